"""A task as Stable-Baselines3 sees it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import gymnasium
import numpy as np
from stable_baselines3.common.vec_env import VecEnv

from powerseek.envs.adapters.gym import OBSERVATION_BOUND
from powerseek.envs.task import Task, VecTask


class TaskVecEnv(VecEnv):
    """n copies of a task as Stable-Baselines3 sees them.

    Observations and rewards are copied out: the library keeps an observation across the next
    step, and adds bootstrapped values to rewards in place.

    Args:
        task: The task.
        n: Number of copies.
        seed: Seed of their chance.

    Attributes:
        copies: The VecTask underneath.
        first_reward: Environment steps (all copies) at which a reward other than 0 was first
            paid.
    """

    def __init__(self, task: Task, n: int, seed: int = 0) -> None:
        self.copies = VecTask(task, n, seed)
        self.first_reward: int | None = None
        self._steps = 0
        self._chosen: Any = None
        self._no_infos: list[dict[str, Any]] = [{} for _ in range(n)]
        super().__init__(n, *spaces_of(task))

    def reset(self) -> Any:
        """First observations [n, obs]; a seed given to `seed` starts its first episodes."""
        if self._seeds[0] is not None:
            self.copies.reset(self._seeds[0])
        else:
            self.copies.skip(self.copies.episodes + 1)
        self._reset_seeds()
        self._reset_options()
        return self.copies.observations.copy()

    def step_async(self, actions: Any) -> None:
        """Keep `actions` [n] for `step_wait`."""
        self._chosen = actions

    def step_wait(self) -> Any:
        """(observations [n, obs], rewards [n], dones [n], infos) of a step.

        Infos are empty but where an episode ended; they are not to be written to.
        """
        copies = self.copies
        copies.step(self._chosen)
        self._steps += self.num_envs
        if self.first_reward is None and copies.rewards.any():
            self.first_reward = self._steps
        infos = self._no_infos
        if copies.ended.any():
            infos = infos.copy()
            for i in np.flatnonzero(copies.ended):
                infos[i] = {
                    "terminal_observation": copies.final_observations[i].copy(),
                    "TimeLimit.truncated": bool(copies.truncated[i]),
                }
        rewards = copies.rewards.astype(np.float32)
        return copies.observations.copy(), rewards, copies.ended.copy(), infos

    def close(self) -> None:
        """Release the copies."""
        close = getattr(self.copies.world, "close", None)
        if close is not None:
            close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """``render_mode`` is None and ``action_masks`` is known; AttributeError otherwise."""
        if attr_name == "render_mode":
            return [None for _ in self._indices(indices)]
        if attr_name == "action_masks":
            return self.env_method(attr_name, indices=indices)
        raise AttributeError(f"copies of a task have no attribute {attr_name!r}")

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Nothing can be set: copies share one compiled world."""
        raise AttributeError(f"copies of a task have no attribute {attr_name!r} to set")

    def env_method(
        self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any
    ) -> list[Any]:
        """``action_masks`` alone: rows [A] of the states now standing."""
        if method_name != "action_masks":
            raise AttributeError(f"copies of a task have no method {method_name!r}")
        masks = self.copies.masks
        return list(masks.copy() if indices is None else masks[list(self._indices(indices))])

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        """Never."""
        return [False for _ in self._indices(indices)]

    def _indices(self, indices: Any) -> Iterable[int]:
        if indices is None:
            return range(self.num_envs)
        return [indices] if isinstance(indices, int) else indices


def spaces_of(task: Task) -> tuple[gymnasium.spaces.Box, gymnasium.spaces.Discrete]:
    """Spaces of observations and actions, as in the gymnasium adapters."""
    bound, shape = OBSERVATION_BOUND, (task.observation_size,)
    box = gymnasium.spaces.Box(-bound, bound, shape, np.float32)
    return box, gymnasium.spaces.Discrete(task.n_actions)
