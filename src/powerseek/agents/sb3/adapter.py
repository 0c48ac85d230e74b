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
    """n environments of a task as Stable-Baselines3 sees them.

    Observations and rewards are copied out: the library keeps an observation across the next
    step, and adds bootstrapped values to rewards in place.

    Args:
        task: The task.
        n: Number of environments.
        seed: Seed of their chance.

    Attributes:
        envs: The VecTask underneath.
        first_reward: Environment steps (all environments) at which a reward other than 0 was first
            paid.
    """

    def __init__(self, task: Task, n: int, seed: int = 0) -> None:
        self.envs = VecTask(task, n, seed)
        self.first_reward: int | None = None
        self._steps = 0
        self._chosen: Any = None
        self._no_infos: list[dict[str, Any]] = [{} for _ in range(n)]
        super().__init__(n, *spaces(task.observation_size, task.n_actions))

    def reset(self) -> Any:
        """First observations [n, obs]; a seed given to `seed` starts its first episodes."""
        if self._seeds[0] is not None:
            self.envs.reset(self._seeds[0])
        else:
            self.envs.skip(self.envs.episodes + 1)
        self._reset_seeds()
        self._reset_options()
        return self.envs.observations.copy()

    def step_async(self, actions: Any) -> None:
        """Keep `actions` [n] for `step_wait`."""
        self._chosen = actions

    def step_wait(self) -> Any:
        """(observations [n, obs], rewards [n], dones [n], infos) of a step.

        Infos are empty but where an episode ended; they are not to be written to.
        """
        envs = self.envs
        envs.step(self._chosen)
        self._steps += self.num_envs
        if self.first_reward is None and envs.rewards.any():
            self.first_reward = self._steps
        infos = self._no_infos
        if envs.ended.any():
            infos = infos.copy()
            for i in np.flatnonzero(envs.ended):
                infos[i] = {
                    "terminal_observation": envs.final_observations[i].copy(),
                    "TimeLimit.truncated": bool(envs.truncated[i]),
                }
        rewards = envs.rewards.astype(np.float32)
        return envs.observations.copy(), rewards, envs.ended.copy(), infos

    def close(self) -> None:
        """Release the environments."""
        self.envs.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """``render_mode`` is None and ``action_masks`` is known; AttributeError otherwise."""
        if attr_name == "render_mode":
            return [None for _ in self._indices(indices)]
        if attr_name == "action_masks":
            return self.env_method(attr_name, indices=indices)
        raise AttributeError(f"environments of a task have no attribute {attr_name!r}")

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Nothing can be set: environments share one compiled world."""
        raise AttributeError(f"environments of a task have no attribute {attr_name!r} to set")

    def env_method(
        self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any
    ) -> list[Any]:
        """``action_masks`` alone: rows [A] of the states now standing."""
        if method_name != "action_masks":
            raise AttributeError(f"environments of a task have no method {method_name!r}")
        masks = self.envs.masks
        return list(masks.copy() if indices is None else masks[list(self._indices(indices))])

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        """Never."""
        return [False for _ in self._indices(indices)]

    def _indices(self, indices: Any) -> Iterable[int]:
        if indices is None:
            return range(self.num_envs)
        return [indices] if isinstance(indices, int) else indices


def spaces(width: int, actions: int) -> tuple[gymnasium.spaces.Box, gymnasium.spaces.Discrete]:
    """Spaces of observations [width] and actions, as in the gymnasium adapters."""
    box = gymnasium.spaces.Box(-OBSERVATION_BOUND, OBSERVATION_BOUND, (width,), np.float32)
    return box, gymnasium.spaces.Discrete(actions)
