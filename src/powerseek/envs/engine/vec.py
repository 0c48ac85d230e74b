"""The simulator: n copies of a world, stepped in place."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powerseek.envs.engine.chance import INTERPRETED, TAPE
from powerseek.envs.engine.compile import loops_of
from powerseek.envs.engine.reason import reason
from powerseek.envs.world import World
from powerseek.errors import InvalidInput, PowerseekError, WorldError
from powerseek.limits import check_limit
from powerseek.types import Bools, Floats, Floats32, Ints, Records

OUT_OF_RANGE = -1
_WRONG = {1: "measure() gives a fact that is NaN or infinite", 2: "legal() allows no action"}


class rules_at_work:  # noqa: N801  # used like a function, as contextlib's are
    """Turn whatever a rule raises into one message that names the world.

    64-bit wrap-around in the tape is meant; only interpreted NumPy would warn of it.
    A class, because a generator's overhead shows in every step.
    """

    def __init__(self, world: World) -> None:
        self.world = world

    def __enter__(self) -> None:
        if INTERPRETED:
            self.before = np.seterr(over="ignore")

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if INTERPRETED:
            np.seterr(**self.before)
        if isinstance(error, Exception) and not isinstance(error, PowerseekError):
            raise WorldError(
                f"world {self.world.id!r}: a rule raised {reason(error)}; {_ask(self.world)}"
            ) from error


def raise_world_error(world: World, code: int, what: str = "copy") -> None:
    """Raise WorldError for a loop's non-zero return code."""
    if code:
        raise WorldError(
            f"world {world.id!r}, {what} {code // 10}: {_WRONG[code % 10]}; {_ask(world)}"
        )


def _ask(world: World) -> str:
    """Compiled loops know which world is broken; the conformance kit knows where."""
    return f"`powerseek check {world.id}` says where, and what to write instead"


class Arrays:
    """The arrays that n environments of a world fill, the same for every simulator (VecWorld)."""

    def __init__(self, world: World, n: int) -> None:
        features, facts = len(world.observation_names), len(world.fact_names)
        self.n = n
        self.states: Records = world.records(n)
        self.episodes: Ints = np.zeros(n, np.int64)
        self.observations: Floats32 = np.zeros((n, features), np.float32)
        self.final_observations: Floats32 = np.zeros((n, features), np.float32)
        self.masks: Bools = np.zeros((n, world.n_actions), np.bool_)
        self.facts: Floats = np.zeros((n, facts))
        self.fresh_facts: Floats = np.zeros((n, facts))
        self.terminated: Bools = np.zeros(n, np.bool_)
        self.truncated: Bools = np.zeros(n, np.bool_)
        self._over = world.columns("over").start

    def _chosen(self, actions: Any) -> Ints:
        """Actions [n] as integers; InvalidInput for another number of them."""
        chosen = np.ascontiguousarray(actions, dtype=np.int64)
        if chosen.shape != (self.n,):
            raise InvalidInput("actions", chosen.shape, f"shape ({self.n},)")
        return chosen


class VecWorld(Arrays):
    """n copies of `world`, stepped together with same-step autoreset.

    Chance is keyed by (seed, copy, episode, step, draw): copy i behaves the same whatever n is,
    and whatever other seeds have copies beside those of its own. An illegal action is a wasted
    step: only the clock ticks. Arrays are reused; copy to keep.

    Args:
        world: The world.
        n: Number of copies, >= 1.
        seed: Any integer >= 0; or m of them: then there are n copies of each, the first seed's
            first, and n is m times as large wherever it is written below.

    Attributes:
        n: Number of copies, of all seeds together.
        seed: [] or [m] what it was made with, or last reset to.
        seeds: [n] the seed of each copy.
        numbers: [n] the number of each copy among those of its seed.
        states: [n] records now standing.
        observations: [n, obs] of the states now standing.
        masks: [n, A] legal actions of the states now standing.
        facts: [n, F] at the end of the step just taken (final facts where an episode ended).
        fresh_facts: [n, F] of the states now standing; differs only after an autoreset.
        terminated: [n] the episode ended by the rules (``over``).
        truncated: [n] the episode was stopped by its cap.
        final_observations: [n, obs], valid where an episode just ended.
        episodes: [n] number of episodes finished.
    """

    def __init__(self, world: World, n: int, seed: int | Sequence[int] = 0) -> None:
        if n < 1:
            raise InvalidInput("n", n, "an integer >= 1")
        self.seed = checked_seeds(seed)
        self.seeds, self.numbers = chance_keys(self.seed, n)
        super().__init__(world, len(self.seeds))
        self.world = world
        self._prepared = world.prepared
        self._loops = loops_of(type(world), self._prepared._fields)
        self._states, self._words = loop_views(self.states)
        self._tape = np.zeros(1, TAPE).view(np.recarray)
        self._loop_tape = loop_views(self._tape)[0]
        self._flows = record_flow_words(world)
        self.reset()

    def reset(self, seed: int | Sequence[int] | None = None) -> None:
        """Start every copy at the first episode of `seed` (default: the one it was made with).

        Raises:
            InvalidInput: A seed below 0, or another number of seeds than it was made with.
        """
        if seed is not None:
            self._seed(checked_seeds(seed, self.seed.shape))
        self.episodes[:] = 0
        self._start()

    def skip(self, episodes: Ints) -> None:
        """Start every copy i at its episode `episodes[i]`."""
        self.episodes[:] = episodes
        self._start()

    def snapshot(self) -> dict[str, Any]:
        """Copies of all that later steps depend on, by name, for `restore`."""
        return {name: array.copy() for name, array in self._standing().items()} | {
            "seed": self.seed.copy()
        }

    def restore(self, kept: Mapping[str, Any]) -> None:
        """Stand where `snapshot` was taken, of as many copies of the same world.

        Raises:
            InvalidInput: An array is missing, or of another shape or type; nothing is changed.
        """
        seed = np.zeros_like(self.seed)
        restore_envs({**self._standing(), "seed": seed}, kept)
        self._seed(seed)

    def _seed(self, seed: NDArray[np.uint64]) -> None:
        self.seed = seed
        self.seeds[:] = chance_keys(seed, self.n // seed.size)[0]

    def _standing(self) -> dict[str, Any]:
        kept = (
            *("episodes", "observations", "final_observations", "masks", "facts"),
            *("fresh_facts", "terminated", "truncated"),
        )
        return {"records": self._words, **{name: getattr(self, name) for name in kept}}

    def cut(self, which: Bools) -> None:
        """End the episodes of the copies `which` [n] where they stand; they start the next one."""
        self.final_observations[which] = self.observations[which]
        self.episodes[which] += 1
        self._start_some(np.flatnonzero(which))

    def _start(self) -> None:
        self._start_some(slice(None))
        self.facts[:] = self.fresh_facts
        self.terminated[:] = False
        self.truncated[:] = False

    def _start_some(self, which: slice | Ints) -> None:
        """Start the copies of these numbers; facts stay those of the step before."""
        states, words = loop_views(self.states[which])
        shown = self.observations[which], self.masks[which], self.fresh_facts[which]
        with rules_at_work(self.world):
            code = self._loops.reset(
                self._prepared,
                self.seeds[which],
                self.numbers[which],
                self.world.max_steps,
                self._over,
                states,
                words,
                self.episodes[which],
                self._loop_tape,
                *shown,
            )
        raise_world_error(self.world, code)
        self._words[which] = words
        self.observations[which], self.masks[which], self.fresh_facts[which] = shown

    def step(self, actions: Any) -> None:
        """Step every copy once.

        Args:
            actions: [n] integers in 0 .. A-1.

        Raises:
            InvalidInput: an action is out of range or there are not n of them.
            WorldError: a rule raised, a fact is NaN, or no action is legal.
        """
        actions = self._chosen(actions)
        with rules_at_work(self.world):
            code = self._loops.step(
                self._prepared,
                self.seeds,
                self.numbers,
                self.world.max_steps,
                self._over,
                self._flows.start,
                self._flows.stop,
                actions,
                self._states,
                self._words,
                self.episodes,
                self._loop_tape,
                self.observations,
                self.masks,
                self.facts,
                self.fresh_facts,
                self.terminated,
                self.truncated,
                self.final_observations,
            )
        if code == OUT_OF_RANGE:
            raise InvalidInput("actions", actions, f"0 to {self.masks.shape[1] - 1}")
        raise_world_error(self.world, code)


def checked_seeds(
    seed: int | Sequence[int], shape: tuple[int, ...] | None = None
) -> NDArray[np.uint64]:
    """Seeds [] or [m]; of that `shape`, where one is given.

    Raises:
        InvalidInput: One that is no 64-bit number, none at all, or another number of them.
    """
    given = [seed] if isinstance(seed, int | np.integer) else seed
    for one in given:
        check_limit("world_seed", one, "seed")
    if not len(given):
        raise InvalidInput("seed", seed, "at least one integer >= 0")
    checked = np.array(seed, np.uint64)
    if shape is not None and checked.shape != shape:
        raise InvalidInput("seed", seed, f"{math.prod(shape)} of them, as at its making")
    return checked


def chance_keys(seed: NDArray[np.uint64], n: int) -> tuple[NDArray[np.uint64], Ints]:
    """(seed, number among those of its seed) of every copy, for n copies of each of `seed`."""
    return np.repeat(seed, n), np.tile(np.arange(n), seed.size)


def restore_envs(into: Mapping[str, Any], kept: Mapping[str, Any]) -> None:
    """Write each array of `kept` into the one of its name, all of them or none.

    Raises:
        InvalidInput: An array is missing, or of another shape or type.
    """
    check_restorable_envs(into, kept)
    for name, array in into.items():
        array[...] = kept[name]


def check_restorable_envs(into: Mapping[str, Any], kept: Mapping[str, Any]) -> None:
    """Refuse what `restore_envs` cannot write."""
    for name, array in into.items():
        given = kept.get(name)
        if given is None or (given.shape, given.dtype) != (array.shape, array.dtype):
            found = None if given is None else f"{given.dtype} {given.shape}"
            raise InvalidInput(f"snapshot.{name}", found, f"{array.dtype} {array.shape}")


def loop_views(records: Any) -> tuple[Any, Any]:
    """(what loops take, its 8-byte words [n, W]); interpreted rules need attribute access."""
    plain = records.view(np.ndarray).view(np.dtype(records.dtype.descr))
    words = plain.view(np.int64).reshape(len(records), records.dtype.itemsize // 8)
    return (records if INTERPRETED else plain), words


def record_flow_words(world: World) -> slice:
    """Numbers of the 8-byte words of a record that are flows."""
    if not world.flows:
        return slice(0, 0)
    offsets = [world.dtype.fields[field[0]][1] // 8 for field in world.flows]  # type: ignore[index]  # a structured dtype has fields
    return slice(min(offsets), world.dtype.fields["clock"][1] // 8)  # type: ignore[index]  # as above
