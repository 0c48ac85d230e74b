"""Worlds as gymnasium environments, one copy or many; their ids are in `powerseek.ids`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from powerseek.envs.render import LINE, fitted, rgb
from powerseek.envs.task import Task, VecTask
from powerseek.envs.world import World
from powerseek.registry import make_world
from powerseek.types import Records

OBSERVATION_BOUND = 10.0
"""Declared bound of every feature; worlds keep theirs in about [-1, 1]."""

RENDER_MODES = ["ansi", "rgb_array"]

_SEEDS = 2**31 - 1


class WorldEnv(gymnasium.Env[Any, Any]):
    """One copy of a world under one reward arm.

    Observation: Box float32 [obs], the world's features, time left and accumulators
    (`VecTask`). Action: Discrete(A). Reward: the arm's. Termination and truncation: as
    ``time_limit`` says. Info: every fact by name and ``action_mask`` [A] (int8, 1 = legal).

    Args:
        world: World id.
        reward: Arm, as in a study.
        gamma: Discount of the learner (arms may need it).
        time_limit: ``terminal`` or ``bootstrap``.
        power_weight: w >= 0.
        windows: The k whose accumulators are observed besides the arm's own.
        holdings_scale: Attainable maximum of the holdings.
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
        render_mode: str | None = None,
        **params: Any,
    ) -> None:
        self.task = _task(
            world, params, reward, gamma, time_limit, power_weight, windows, holdings_scale
        )
        self.render_mode = render_mode
        self._easel = _Easel(self.task.world, render_mode)
        self.observation_space, self.action_space = _spaces(self.task)
        self._copies: VecTask | None = None
        self._running = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode: the first of `seed`, or the next one of the seed before."""
        super().reset(seed=seed)
        if seed is not None or self._copies is None:
            chosen = int(self.np_random.integers(_SEEDS)) if seed is None else seed
            if self._copies is None:
                self._copies = VecTask(self.task, 1, chosen)
            else:
                self._copies.reset(chosen)
        elif not self._copies.ended[0]:
            self._copies.skip(self._copies.episodes + 1)
        self._running = True
        copies = self._copies
        return copies.observations[0].copy(), self._info(copies.fresh_facts, copies.masks)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Step once.

        Raises:
            gymnasium.error.ResetNeeded: no episode is running.
        """
        copies = self._copies
        if copies is None or not self._running:
            raise gymnasium.error.ResetNeeded("no episode is running; call reset() first")
        copies.step(np.array([action], dtype=np.int64))
        ended = bool(copies.ended[0])
        self._running = not ended
        observations = copies.final_observations if ended else copies.observations
        masks = np.zeros_like(copies.masks) if ended else copies.masks
        return (
            observations[0].copy(),
            float(copies.rewards[0]),
            bool(copies.terminated[0]),
            bool(copies.truncated[0]),
            self._info(copies.facts, masks),
        )

    def action_masks(self) -> Any:
        """[A] bool: legal actions of the state now standing (sb3-contrib asks for it)."""
        if self._copies is None:
            raise gymnasium.error.ResetNeeded("no episode is running; call reset() first")
        return self._copies.masks[0].copy()

    def render(self) -> Any:
        """Picture of the state now standing: text, or [height, width, 3] uint8 of one shape.

        After an episode's last step that is already the next episode's first state.
        """
        return None if self._copies is None else self._easel.draw(self._copies.states)[0]

    def close(self) -> None:
        """Release the copies."""
        _close(self._copies)
        self._copies, self._running = None, False

    def _info(self, facts: Any, masks: Any) -> dict[str, Any]:
        info = _by_name(self.task, facts, masks)
        return {
            name: values[0].item() if values.ndim == 1 else values[0]
            for name, values in info.items()
        }


class WorldVectorEnv(VectorEnv[Any, Any, Any]):
    """n copies of a world under one reward arm, stepped by compiled loops.

    Autoreset in the same step: where an episode ends, observation and info are the next
    episode's, and ``final_obs`` and ``final_info`` (with masks ``_final_obs``,
    ``_final_info``) hold the end of the last one. Arrays are fresh every step.

    Args:
        num_envs: Number of copies.
        world: World id; this and the rest as in WorldEnv.
        reward: Arm, as in a study.
        gamma: Discount of the learner.
        time_limit: ``terminal`` or ``bootstrap``.
        power_weight: w >= 0.
        windows: The k whose accumulators are observed besides the arm's own.
        holdings_scale: Attainable maximum of the holdings.
        render_mode: ``ansi``, ``rgb_array`` or None.
        **params: The world's parameters.
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
        render_mode: str | None = None,
        **params: Any,
    ) -> None:
        super().__init__()
        self.task = _task(
            world, params, reward, gamma, time_limit, power_weight, windows, holdings_scale
        )
        self.num_envs = num_envs
        self.render_mode = render_mode
        self._easel = _Easel(self.task.world, render_mode)
        self.single_observation_space, self.single_action_space = _spaces(self.task)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._copies: VecTask | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start every copy: at the first episodes of `seed`, or at the next ones."""
        super().reset(seed=seed)
        if self._copies is None:
            chosen = int(self.np_random.integers(_SEEDS)) if seed is None else seed
            self._copies = VecTask(self.task, self.num_envs, chosen)
        elif seed is not None:
            self._copies.reset(seed)
        else:
            self._copies.skip(self._copies.episodes + ~self._copies.ended)
        copies = self._copies
        return copies.observations.copy(), self._infos(copies.fresh_facts, copies.masks)

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Step every copy once with `actions` [n].

        Raises:
            gymnasium.error.ResetNeeded: reset() was never called.
        """
        copies = self._copies
        if copies is None:
            raise gymnasium.error.ResetNeeded("call reset() first")
        copies.step(actions)
        infos = self._infos(copies.fresh_facts, copies.masks)
        if copies.ended.any():
            infos |= self._final(copies)
        return (
            copies.observations.copy(),
            copies.rewards.copy(),
            copies.terminated.copy(),
            copies.truncated.copy(),
            infos,
        )

    def render(self) -> tuple[Any, ...] | None:
        """Pictures of the states now standing, one a copy, as in WorldEnv."""
        if self._copies is None or self.render_mode is None:
            return None
        return self._easel.draw(self._copies.states)

    def close_extras(self, **kwargs: Any) -> None:
        """Release the copies."""
        _close(self._copies)
        self._copies = None

    def _infos(self, facts: Any, masks: Any) -> dict[str, Any]:
        return _with_masks(
            _by_name(self.task, facts.copy(), masks), np.ones(self.num_envs, np.bool_)
        )

    def _final(self, copies: VecTask) -> dict[str, Any]:
        ended = copies.ended.copy()
        observations = np.full(self.num_envs, None, dtype=object)
        for i in np.flatnonzero(ended):
            observations[i] = copies.final_observations[i].copy()
        named = _by_name(self.task, copies.facts.copy(), np.zeros_like(copies.masks))
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
        return tuple(fitted(picture, self._shape) for picture in pictures)


def _task(
    world: str,
    params: Mapping[str, Any],
    reward: Any,
    gamma: float,
    time_limit: str,
    power_weight: float,
    windows: tuple[int, ...],
    holdings_scale: float,
) -> Task:
    return Task(
        make_world(world, **params),
        reward,
        gamma,
        time_limit,
        power_weight,
        tuple(windows),
        holdings_scale,
    )


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
    """Vector infos as gymnasium lays them out: beside every key, which copies have it."""
    return infos | {f"_{name}": present for name in infos}


def _close(copies: VecTask | None) -> None:
    close = getattr(copies.world, "close", None) if copies is not None else None
    if close is not None:
        close()
