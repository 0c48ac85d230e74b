"""Worlds as gymnasium environments, one or many; their ids are in `powerseek.ids`."""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from powerseek.envs.render import LINE, fit_pixels, rgb
from powerseek.envs.task import Task, VecTask
from powerseek.envs.world import World
from powerseek.errors import InvalidInput
from powerseek.registry import make_world
from powerseek.types import Records

OBSERVATION_BOUND = 10.0
"""Declared bound of every feature; worlds keep theirs in about [-1, 1]."""

RENDER_MODES = ["ansi", "rgb_array"]

_SEEDS = 2**31 - 1


class WorldEnv(gymnasium.Env[Any, Any]):
    """A world under one reward function.

    Observation: Box float32 [obs], the world's features, time left and accumulators
    (`VecTask`). Action: Discrete(A). Reward: what that pays. Termination and truncation: as
    ``time_limit`` says. Info: every fact by name and ``action_mask`` [A] (int8, 1 = legal).

    Args:
        world: World id.
        reward: Reward function, as in a study.
        gamma: Discount of the learner (a reward may need it).
        time_limit: ``terminal`` or ``bootstrap``.
        power_weight: w >= 0.
        windows: The k whose accumulators are observed besides its own.
        holdings_scale: Attainable maximum of the holdings.
        acquired_so_far: Whether units acquired are observed, whatever the reward.
        render_mode: ``ansi`` (text), ``rgb_array`` (`powerseek.envs.render`) or None.
        **params: The world's parameters.

    Example:
        ``gymnasium.make("powerseek/Homestead-v0", openness=2, reward={"every": 8})``
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": RENDER_MODES, "render_fps": 4}  # type: ignore[misc]  # gymnasium does not say ClassVar

    def __init__(
        self,
        world: str,
        reward: Any = "dense",
        gamma: float = 1.0,
        time_limit: str = "terminal",
        power_weight: float = 0.0,
        windows: tuple[int, ...] = (),
        holdings_scale: float = 1.0,
        acquired_so_far: bool = False,
        render_mode: str | None = None,
        **params: Any,
    ) -> None:
        made = make_world(world, **params)
        self.task = Task(
            made,
            reward,
            gamma,
            time_limit,
            power_weight,
            tuple(windows),
            holdings_scale,
            acquired_so_far=acquired_so_far,
        )
        self.render_mode = render_mode
        self._easel = _Easel(self.task.world, render_mode)
        self.observation_space, self.action_space = _spaces(self.task)
        self._envs: VecTask | None = None
        self._running = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode: the first of `seed`, or the next one of the seed before."""
        super().reset(seed=seed)
        if seed is not None or self._envs is None:
            chosen = int(self.np_random.integers(_SEEDS)) if seed is None else seed
            if self._envs is None:
                self._envs = VecTask(self.task, 1, chosen)
            else:
                self._envs.reset(chosen)
        elif not self._envs.ended[0]:
            self._envs.skip(self._envs.episodes + 1)
        self._running = True
        envs = self._envs
        return envs.observations[0].copy(), self._info(envs.fresh_facts, envs.masks)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Step once.

        Raises:
            gymnasium.error.ResetNeeded: no episode is running.
        """
        envs = self._envs
        if envs is None or not self._running:
            raise gymnasium.error.ResetNeeded("no episode is running; call reset() first")
        envs.step(np.array([action], dtype=np.int64))
        ended = bool(envs.ended[0])
        self._running = not ended
        observations = envs.final_observations if ended else envs.observations
        masks = np.zeros_like(envs.masks) if ended else envs.masks
        return (
            observations[0].copy(),
            float(envs.rewards[0]),
            bool(envs.terminated[0]),
            bool(envs.truncated[0]),
            self._info(envs.facts, masks),
        )

    def action_masks(self) -> Any:
        """[A] bool: legal actions of the state now standing (sb3-contrib asks for it)."""
        if self._envs is None:
            raise gymnasium.error.ResetNeeded("no episode is running; call reset() first")
        return self._envs.masks[0].copy()

    def render(self) -> Any:
        """Picture of the state now standing: text, or [height, width, 3] uint8 of one shape.

        After an episode's last step that is already the next episode's first state.
        """
        return None if self._envs is None else self._easel.draw(self._envs.states)[0]

    def close(self) -> None:
        """Release the environments."""
        _close(self._envs)
        self._envs, self._running = None, False

    def _info(self, facts: Any, masks: Any) -> dict[str, Any]:
        named = _by_name(self.task, facts, masks).items()
        return {name: rows[0].item() if rows.ndim == 1 else rows[0] for name, rows in named}


class WorldVectorEnv(VectorEnv[Any, Any, Any]):
    """n environments of a world under one reward function, stepped by compiled loops.

    Autoreset in the same step: where an episode ends, observation and info are the next
    episode's, and ``final_obs`` and ``final_info`` (with masks ``_final_obs``,
    ``_final_info``) hold the end of the last one. Arrays are fresh every step.

    Args:
        num_envs: Number of environments.
        world: World id; this and the rest as in WorldEnv.
        reward: Reward function, as in a study.
        gamma: Discount of the learner.
        time_limit: ``terminal`` or ``bootstrap``.
        power_weight: w >= 0.
        windows: The k whose accumulators are observed besides its own.
        holdings_scale: Attainable maximum of the holdings.
        acquired_so_far: Whether units acquired are observed, whatever the reward.
        render_mode: ``ansi``, ``rgb_array`` or None.
        max_episode_steps: Steps after which an episode is truncated, as by gymnasium's
            ``TimeLimit``: neither seen nor paid, as the world's ``max_steps`` is. None, -1: none.
        **params: The world's parameters.

    Example:
        ``gymnasium.make_vec("powerseek/Homestead-v0", num_envs=8, openness=2)``
    """

    metadata: ClassVar[dict[str, Any]] = {  # type: ignore[misc]  # as in WorldEnv
        "render_modes": RENDER_MODES,
        "render_fps": 4,
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }

    def __init__(
        self,
        num_envs: int,
        world: str,
        reward: Any = "dense",
        gamma: float = 1.0,
        time_limit: str = "terminal",
        power_weight: float = 0.0,
        windows: tuple[int, ...] = (),
        holdings_scale: float = 1.0,
        acquired_so_far: bool = False,
        render_mode: str | None = None,
        max_episode_steps: int | None = None,
        **params: Any,
    ) -> None:
        super().__init__()
        self._limit = _limit(max_episode_steps)
        made = make_world(world, **params)
        self.task = Task(
            made,
            reward,
            gamma,
            time_limit,
            power_weight,
            tuple(windows),
            holdings_scale,
            acquired_so_far=acquired_so_far,
        )
        self.num_envs = num_envs
        self.render_mode = render_mode
        self._easel = _Easel(self.task.world, render_mode)
        self.single_observation_space, self.single_action_space = _spaces(self.task)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._envs: VecTask | None = None
        self._elapsed = np.zeros(num_envs, np.int64)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start every environment: at the first episodes of `seed`, or at the next ones."""
        super().reset(seed=seed)
        self._elapsed[:] = 0
        if self._envs is None:
            chosen = int(self.np_random.integers(_SEEDS)) if seed is None else seed
            self._envs = VecTask(self.task, self.num_envs, chosen)
        elif seed is not None:
            self._envs.reset(seed)
        else:
            self._envs.skip(self._envs.episodes + ~self._envs.ended)
        envs = self._envs
        return envs.observations.copy(), self._infos(envs.fresh_facts, envs.masks)

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Step every environment once with `actions` [n].

        Raises:
            gymnasium.error.ResetNeeded: reset() was never called.
        """
        envs = self._envs
        if envs is None:
            raise gymnasium.error.ResetNeeded("call reset() first")
        envs.step(actions)
        self._elapsed += 1
        if self._limit:
            envs.cut(self._elapsed >= self._limit)
        self._elapsed[envs.ended] = 0
        infos = self._infos(envs.fresh_facts, envs.masks)
        if envs.ended.any():
            infos |= self._final(envs)
        return (
            envs.observations.copy(),
            envs.rewards.copy(),
            envs.terminated.copy(),
            envs.truncated.copy(),
            infos,
        )

    def render(self) -> tuple[Any, ...] | None:
        """Pictures of the states now standing, one an environment, as in WorldEnv."""
        if self._envs is None or self.render_mode is None:
            return None
        return self._easel.draw(self._envs.states)

    def close_extras(self, **kwargs: Any) -> None:
        """Release the environments."""
        _close(self._envs)
        self._envs = None

    def _infos(self, facts: Any, masks: Any) -> dict[str, Any]:
        return _with_masks(
            _by_name(self.task, facts.copy(), masks), np.ones(self.num_envs, np.bool_)
        )

    def _final(self, envs: VecTask) -> dict[str, Any]:
        ended = envs.ended.copy()
        observations = np.full(self.num_envs, None, dtype=object)
        for i in np.flatnonzero(ended):
            observations[i] = envs.final_observations[i].copy()
        named = _by_name(self.task, envs.facts.copy(), np.zeros_like(envs.masks))
        return {
            "final_obs": observations,
            "_final_obs": ended,
            "final_info": _with_masks(named, ended),
            "_final_info": ended,
        }


class _Easel:
    """Pictures of one world in one render mode, all of one shape as videos need them."""

    def __init__(self, world: World, mode: str | None) -> None:
        self.world, self.mode = world, mode
        self._shape: tuple[int, ...] = ()

    def draw(self, states: Records) -> tuple[Any, ...]:
        """One picture of every state; None each without a mode."""
        if self.mode == "ansi":
            return tuple(self.world.render(self.world.params, state) for state in states)
        if self.mode != "rgb_array":
            return (None,) * len(states)
        pictures = [rgb(self.world, state) for state in states]
        # A spare line: the words below a board may grow by one.
        self._shape = self._shape or (
            max(picture.shape[0] for picture in pictures) + LINE,
            pictures[0].shape[1],
        )
        return tuple(fit_pixels(picture, self._shape) for picture in pictures)


def _limit(max_episode_steps: int | None) -> int:
    """Steps after which episodes are truncated, 0 for none."""
    if max_episode_steps in (None, -1):
        return 0
    whole = isinstance(max_episode_steps, int | np.integer) and max_episode_steps > 0
    if not whole or isinstance(max_episode_steps, bool):
        allowed = "a whole number >= 1, or -1 for none"
        raise InvalidInput("max_episode_steps", max_episode_steps, allowed)
    return int(max_episode_steps)


def _spaces(task: Task) -> tuple[gymnasium.spaces.Box, gymnasium.spaces.Discrete]:
    box = gymnasium.spaces.Box(
        -OBSERVATION_BOUND, OBSERVATION_BOUND, (task.observation_size,), np.float32
    )
    return box, gymnasium.spaces.Discrete(task.n_actions)


def _by_name(task: Task, facts: Any, masks: Any) -> dict[str, Any]:
    """Facts [n, F] as arrays [n] or [n, k] by name, and the action masks."""
    named: dict[str, Any] = {}
    for fact in task.world.facts:
        columns = facts[:, task.world.columns(fact.name)]
        named[fact.name] = columns.copy() if fact.shape else columns[:, 0]
    named["action_mask"] = masks.astype(np.int8)
    return named


def _with_masks(infos: dict[str, Any], present: Any) -> dict[str, Any]:
    """Vector infos as gymnasium lays them out: beside every key, which environments have it."""
    return infos | {f"_{name}": present for name in infos}


def _close(envs: VecTask | None) -> None:
    close = getattr(envs.world, "close", None) if envs is not None else None
    if close is not None:
        close()
