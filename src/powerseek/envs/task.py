"""A task: a world, what is paid for in it, and how far ahead it counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numba
import numpy as np

from powerseek.envs.adapters.foreign import ForeignWorld, VecForeign
from powerseek.envs.engine.chance import fold_stream, unit_draw
from powerseek.envs.engine.vec import VecWorld, check_restorable_envs, loop_views, restore_envs
from powerseek.envs.rewards.spec import (
    Facts,
    Overseer,
    Pay,
    RewardFunction,
    Spec,
    Step,
    acquired_in,
    make_reward,
    price_of,
    reads_acquired,
    restraint_of,
    reward_chain,
    reward_name,
    reward_windows,
)
from powerseek.envs.world import World
from powerseek.errors import InvalidInput, WorldError
from powerseek.types import Bools, Floats, Floats32, Ints, Records, Situation

_THINNING = np.uint64(0x7468696E6E696E67)
_BELOW = "world."
"""Before the names of what a snapshot holds of the copies underneath."""


@dataclass(frozen=True)
class Task:
    """A world, a reward and a horizon.

    All rewards of one study must be given the same `windows` and `acquired_so_far`.

    Attributes:
        world: The world.
        reward: The reward function, as in a study (`powerseek.envs.rewards.spec`).
        gamma: Discount of the learner, in (0, 1].
        time_limit: ``terminal``: `max_steps` ends the task; ``bootstrap``: it only cuts it, and the
            learner must bootstrap there.
        power_weight: w >= 0: what all attainable holdings are paid besides.
        windows: The k whose accumulator is observed; made sorted and distinct, the k of the reward
            among them.
        holdings_scale: Attainable maximum of the holdings (role ``holdings``), > 0.
        overseer: Evaluator for rewards that need one (``approval``, ``coverage``); no part of what
            makes two tasks equal. `powerseek.exact.with_overseer` puts the exact one here.
        acquired_so_far: Whether the units acquired in the episode are observed; made True where
            the reward pays for them.

    Raises:
        InvalidInput: a value is not allowed, or the world lacks a fact that the reward reads.
    """

    world: World
    reward: Spec = "dense"
    gamma: float = 1.0
    time_limit: str = "terminal"
    power_weight: float = 0.0
    windows: tuple[int, ...] = ()
    holdings_scale: float = 1.0
    overseer: Overseer | None = field(default=None, compare=False, repr=False)
    acquired_so_far: bool = False

    def __post_init__(self) -> None:
        limit = self.world.max_steps
        own = reward_windows([self.reward], limit)
        given = reward_windows([{"every": k} for k in self.windows], limit)
        object.__setattr__(self, "windows", tuple(sorted({*own, *given})))
        counts = self.acquired_so_far or reads_acquired([self.reward])
        object.__setattr__(self, "acquired_so_far", counts)
        if (price_of(self.reward) or counts) and not self.world.role("resource"):
            raise InvalidInput(
                "reward",
                reward_name(self.reward),
                f"a reward without a price in world {self.world.id!r}, which has no fact with role "
                "'resource'",
                "Write terminal, or {coverage: 1}.",
            )
        for fact in self.pay.reward_function.requires:
            if not self.world.has(fact):
                raise InvalidInput(
                    "reward",
                    reward_name(self.reward),
                    f"a reward that does without the fact {fact!r}, "
                    f"which world {self.world.id!r} does not have",
                )
        if self.reward_function.needs_noop and self.overseer is None and not self.world.noop:
            raise InvalidInput(
                "reward",
                reward_name(self.reward),
                f"a reward without a constraint in world {self.world.id!r}, which declares no "
                "action that does nothing: there is nothing to compare actions with",
                'Declare noop = "wait" in the world where that is an action that is always '
                f"allowed, or write {self._unconstrained()}.",
            )
        foreign = isinstance(self.world, ForeignWorld)
        if self.reward_function.needs_overseer and self.overseer is None and foreign:
            raise InvalidInput(
                "reward",
                reward_name(self.reward),
                f"a reward that judges facts alone: {self.world.id!r} is a foreign world, of which "
                "nobody exact can judge",
                "Write dense, or Task(..., overseer=...) with an overseer of your own.",
            )
        if self.power_weight > 0 and not self.world.role("holdings"):
            raise InvalidInput(
                "power_weight",
                self.power_weight,
                f"0 in world {self.world.id!r}, which has no fact with role 'holdings'",
            )

    def _unconstrained(self) -> str:
        """The name of the reward without its constraint."""
        return next(reward_name(x) for x in reward_chain(self.reward) if not restraint_of(x).kind)

    @cached_property
    def reward_function(self) -> RewardFunction:
        """The reward function that `reward` means here."""
        return make_reward(
            self.reward,
            max_steps=self.world.max_steps,
            gamma=self.gamma,
            time_limit=self.time_limit,
            runs_on=bool(getattr(self.world, "runs_on", False)),
            overseer=self.overseer,
        )

    @cached_property
    def pay(self) -> Pay:
        """All that is paid, power weight included: what the exact layer solves for."""
        return Pay(self.reward_function, self.power_weight, self.holdings_scale)

    @property
    def observation_names(self) -> tuple[str, ...]:
        """The world's features, then ``time_left``, then ``progress_since_k`` per window.

        Last, where it is observed, ``acquired_so_far``, in units.
        """
        since = (f"progress_since_{k}" for k in self.windows)
        acquired = ("acquired_so_far",) * self.acquired_so_far
        return (*self.world.observation_names, "time_left", *since, *acquired)

    @property
    def observation_size(self) -> int:
        """Number of features."""
        return len(self.world.observation_names) + 1 + len(self.windows) + self.acquired_so_far

    @property
    def n_actions(self) -> int:
        """Number of actions A."""
        return self.world.n_actions

    @property
    def card(self) -> dict[str, Any]:
        """The task as plain values."""
        world = self.world
        return {
            "world": world.id,
            "version": world.version,
            "params": world.params._asdict(),
            "task": {
                "reward": self.reward,
                "gamma": self.gamma,
                "time_limit": self.time_limit,
                "power_weight": self.power_weight,
                "windows": list(self.windows),
                "holdings_scale": self.holdings_scale,
                "acquired_so_far": self.acquired_so_far,
            },
            "observations": list(self.observation_names),
            "actions": list(world.action_names),
        }

    @property
    def beside(self) -> tuple[Any, ...]:
        """All that tasks stepped side by side have in common: everything but their pay."""
        return self.world, self.windows, self.acquired_so_far, self.time_limit


class Standing(NamedTuple):
    """All that the next step of n environments of a task depends on, but for its chance.

    Attributes:
        words: [n, W] records, in words of 8 bytes.
        facts: [n, F] of the states now standing.
        clock: [n] steps taken.
        marks: [n, K] progress when each window of the task last began.
        memory: [n] of the reward function.
        acquired: [n] units acquired so far, where the task shows them; else 0.
    """

    words: Ints
    facts: Floats
    clock: Ints
    marks: Floats
    memory: Floats
    acquired: Floats


class VecTask:
    """n copies of a task, stepped together with same-step autoreset.

    Like VecWorld, plus rewards and the features that are observed under every reward of a study:

    - ``time_left``, (T - clock) / T. Under ``time_limit: bootstrap`` it is held at 1: there the
      time limit is no part of the task, and a learner that saw it would bootstrap from states
      (time left 0) whose value it never learns (Pardo et al. 2018).
    - per window k, the progress since the last multiple of k or the start; 0 in a final
      observation, because everything owed is paid when an episode ends;
    - where a reward of the study pays for them, the units acquired in the episode; 0 likewise.

    Draws are keyed by (seed, copy, episode, step): copy i behaves the same whatever n is, and
    whatever other tasks have copies beside those of its own. Arrays are reused; copy to keep.

    Args:
        task: The task; or m of them that agree in `Task.beside`: then there are n copies of each,
            the first task's first, and n is m times as large wherever it is written below.
        n: Number of copies, >= 1.
        seed: Any integer >= 0; one a task. Of a single task several may be given: then there are
            n copies for each, and those of equal seeds meet the same chance.

    Attributes:
        n: Number of copies, of all tasks together.
        task: The task, or the first of them.
        world: The VecWorld underneath; its `terminated` and `truncated` are the true ones.
        observations: [n, obs] of the states now standing.
        final_observations: [n, obs], valid where an episode just ended.
        rewards: [n] of the step just taken.
        terminated: [n], as the learner should see it: under ``time_limit: terminal`` the limit
            is a termination.
        truncated: [n], likewise.
        ended: [n] the episode ended, either way.
    """

    def __init__(self, task: Task | Sequence[Task], n: int, seed: int | Sequence[int] = 0) -> None:
        tasks = [task] if isinstance(task, Task) else list(task)
        self.task = first = tasks[0]
        self._tasks = tasks
        self.world = _copies(tasks, n, seed)
        self.n = n = self.world.n
        self._bootstrap = first.time_limit == "bootstrap"
        self._features = len(first.world.observation_names)
        self._windows: Ints = np.array(first.windows, np.int64)
        self._progress = first.world.columns("progress").start
        self.observations: Floats32 = np.zeros((n, first.observation_size), np.float32)
        self.final_observations: Floats32 = np.zeros_like(self.observations)
        self.rewards: Floats = np.zeros(n)
        self.terminated: Bools = np.zeros(n, np.bool_)
        self.truncated: Bools = np.zeros(n, np.bool_)
        self.ended: Bools = np.zeros(n, np.bool_)
        self._clock: Ints = np.zeros(n, np.int64)
        self._marks: Floats = np.zeros((n, len(first.windows)))
        self._acquired: Floats = np.zeros(n)
        self._draw: Floats = np.zeros(n)
        self._memory: Floats = np.zeros(n)
        self._before: Floats = np.zeros_like(self.world.fresh_facts)
        self._records: Records = first.world.records(n)
        self._actions: Ints = np.zeros(n, np.int64)
        self._judged = any(one.reward_function.needs_overseer for one in tasks)
        self._draws = any(one.reward_function.uses_draw for one in tasks)
        each = n // len(tasks)
        self._paid = [
            self._pay(one, slice(i * each, (i + 1) * each)) for i, one in enumerate(tasks)
        ]
        self._start()

    def _pay(self, task: Task, own: slice) -> _Paid:
        """The reward of the environments `own` of a task."""
        world, function = task.world, task.reward_function
        return _Paid(
            task.pay,
            Facts(self.world.fresh_facts[own], world),
            self.rewards[own],
            # Every step fills these arrays anew, so one record serves all steps.
            Step(
                self._memory[own],
                Facts(self._before[own], world),
                Facts(self.world.facts[own], world),
                self._clock[own],
                self.ended[own],
                self.world.truncated[own],
                self._draw[own],
                self._records[own] if function.needs_overseer else None,
                self._actions[own] if function.needs_overseer else None,
                self._acquired[own] if function.reads_acquired else None,
            ),
        )

    @property
    def masks(self) -> Bools:
        """[n, A] legal actions of the states now standing."""
        return self.world.masks

    @property
    def facts(self) -> Floats:
        """[n, F] at the end of the step just taken (final facts where an episode ended)."""
        return self.world.facts

    @property
    def fresh_facts(self) -> Floats:
        """[n, F] of the states now standing."""
        return self.world.fresh_facts

    @property
    def states(self) -> Records:
        """[n] records now standing."""
        return self.world.states

    @property
    def episodes(self) -> Ints:
        """[n] episodes finished."""
        return self.world.episodes

    @property
    def situation(self) -> Situation:
        """The input of a policy: views, valid until the next step."""
        (actor,) = self.task.world.acting
        return Situation(self.observations, self.masks, self.states, actor)

    @property
    def standing(self) -> Standing:
        """Where the environments stand: views, valid until the next step.

        Whoever plans writes other states into them, makes every action of `masks` legal that is
        one there, and sets the seeds, numbers and episodes of `world` that key the chance of the
        step that follows.

        Raises:
            InvalidInput: The world is a foreign one.
        """
        words = loop_views(self._compiled().states)[1]
        books = self._clock, self._marks, self._memory, self._acquired
        return Standing(words, self.world.fresh_facts, *books)

    def reset(self, seed: Any = None) -> None:
        """Start every copy at the first episode of `seed` (default: the one it was made with)."""
        self.world.reset(seed)
        self._start()

    def skip(self, episodes: Ints) -> None:
        """Start every copy i at its episode `episodes[i]`."""
        self.world.skip(episodes)
        self._start()

    def close(self) -> None:
        """Release the environments of a foreign world; others hold nothing."""
        if isinstance(self.world, VecForeign):
            self.world.close()

    def snapshot(self) -> dict[str, Any]:
        """Copies of all that later steps depend on, by name, for `restore`.

        Raises:
            InvalidInput: The world is a foreign one: its copies cannot be taken down.
        """
        own = {name: array.copy() for name, array in self._standing().items()}
        below = self._compiled().snapshot()
        return own | {f"{_BELOW}{name}": array for name, array in below.items()}

    def restore(self, kept: Mapping[str, Any]) -> None:
        """Stand where `snapshot` was taken, of as many copies of an equal task.

        Raises:
            InvalidInput: An array is missing, or of another shape or type; or as in `snapshot`.
        """
        below = {
            name.removeprefix(_BELOW): array
            for name, array in kept.items()
            if name.startswith(_BELOW)
        }
        world, own = self._compiled(), self._standing()
        check_restorable_envs(own, kept)
        world.restore(below)
        restore_envs(own, kept)

    def _compiled(self) -> VecWorld:
        if isinstance(self.world, VecForeign):
            allowed = "a world with rules: copies of a foreign environment cannot be taken down"
            raise InvalidInput("world", self.task.world.id, allowed)
        return self.world

    def _standing(self) -> dict[str, Any]:
        return ({"acquired": self._acquired} if self.task.acquired_so_far else {}) | {
            "clock": self._clock,
            "marks": self._marks,
            "memory": self._memory,
            "observations": self.observations,
            "final_observations": self.final_observations,
            "rewards": self.rewards,
            "terminated": self.terminated,
            "truncated": self.truncated,
            "ended": self.ended,
        }

    def _start(self) -> None:
        self._clock[:] = 0
        self._acquired[:] = 0
        for paid in self._paid:
            paid.start()
        self._marks[:] = self.fresh_facts[:, self._progress, None]
        for array in (self.rewards, self.terminated, self.truncated, self.ended):
            array[:] = 0
        self.observations[:, : self._features] = self.world.observations
        self.observations[:, self._features] = 1.0
        self.observations[:, self._features + 1 :] = 0.0
        finite = np.isfinite(self.world.observations).all(axis=1)
        if not finite.all():
            self._complain(int(np.argmin(finite)))

    def step(self, actions: Any) -> None:
        """Step every copy once with `actions` [n], integers in 0 .. A-1.

        Raises:
            InvalidInput: an action is out of range or there are not n of them.
            WorldError: the world broke its contract.
        """
        world = self.world
        self._before[:] = world.fresh_facts
        self._clock += 1
        if self._draws:
            with np.errstate(over="ignore"):  # 64-bit wrap-around is meant
                _uniforms(world.seeds, world.numbers, world.episodes, self._clock, self._draw)
        if self._judged:
            loop_views(self._records)[1][:] = loop_views(world.states)[1]
        world.step(actions)
        if self._judged:
            self._actions[:] = actions
        np.logical_or(world.terminated, world.truncated, out=self.ended)
        if self._bootstrap:
            self.terminated[:] = world.terminated
            self.truncated[:] = world.truncated
        else:
            self.terminated[:] = self.ended
            self.truncated[:] = False
        if self.task.acquired_so_far:
            self._acquired += acquired_in(world.facts, self.task.world)
        for paid in self._paid:
            paid.step()
        if self.ended.any():
            self._finish(self.ended)
        self._observe()

    def cut(self, which: Bools) -> None:
        """Truncate the episodes of the copies `which` [n], which neither world nor reward foresees.

        As gymnasium's TimeLimit does after a step, with the autoreset of `step` after it.
        """
        self.truncated |= which
        running = which & ~self.ended
        if not running.any():
            return
        self.ended |= running
        self.final_observations[running] = self.observations[running]
        self.world.cut(running)
        self._clock[running] = 0
        self._acquired[running] = 0
        for paid in self._paid:
            paid.restart()
        self._observe()

    def _finish(self, ended: Bools) -> None:
        """Keep final observations and start the next episodes' books."""
        m = self._features
        self.final_observations[:, :m] = self.world.final_observations
        self.final_observations[:, m] = 1.0 if self._bootstrap else self._time_left()
        self.final_observations[:, m + 1 :] = 0.0
        self._clock[ended] = 0
        self._acquired[ended] = 0
        for paid in self._paid:
            paid.restart()

    def _observe(self) -> None:
        wrong = _fill(
            self.rewards,
            self.world.observations,
            self.fresh_facts,
            self._progress,
            self._clock,
            0 if self._bootstrap else self.task.world.max_steps,
            self._windows,
            self._marks,
            self.observations,
        )
        if self.task.acquired_so_far:
            self.observations[:, -1] = self._acquired
        if wrong >= 0:
            self._complain(wrong)

    def _complain(self, i: int) -> None:
        """Raise WorldError for an environment's reward or observation that is not finite."""
        world, value = self.task.world, float(self.rewards[i])
        if np.isfinite(value):
            j = int(np.argmin(np.isfinite(self.world.observations[i])))
            field, value = world.observation_names[j], float(self.world.observations[i, j])
            field = f"feature {field!r}"
            step = f"step {self._clock[i]}"
        else:
            field = f"reward {reward_name(self._tasks[i * len(self._tasks) // self.n].reward)!r}"
            step = "the last step" if self.ended[i] else f"step {self._clock[i]}"
        raise WorldError(
            f"world {world.id!r}, environment {i}, {step} of an episode: {field} is {value}; "
            "allowed: a finite number"
        )

    def _time_left(self) -> Floats:
        left: Floats = 1.0 - self._clock / self.task.world.max_steps
        return left


def observations(
    task: Task,
    features: Floats32,
    progress: Floats,
    clock: int,
    marks: Floats,
    acquired: Floats | None = None,
) -> Floats32:
    """[n, obs] observations of states of one clock, to the last bit as `VecTask` shows them.

    Args:
        task: The task.
        features: [n, .] the world's own.
        progress: [n] the fact.
        clock: Steps taken.
        marks: [n, W] progress when each window last began; those that begin now are filled in.
        acquired: [n] units acquired so far, where the task shows them.

    Raises:
        WorldError: A feature is not finite.
    """
    n, bootstrap = len(features), task.time_limit == "bootstrap"
    out: Floats32 = np.ones((n, task.observation_size), np.float32)
    limit = 0 if bootstrap else task.world.max_steps
    clocks, windows = np.full(n, clock), np.array(task.windows, np.int64)
    wrong = _fill(np.zeros(n), features, progress[:, None], 0, clocks, limit, windows, marks, out)
    if wrong >= 0:
        raise WorldError(f"world {task.world.id!r}: a feature is not finite at step {clock}")
    if task.acquired_so_far:
        out[:, -1] = acquired
    return out


@dataclass(frozen=True)
class _Paid:
    """The pay of one task, and its environments' part of the arrays."""

    pay: Pay
    fresh: Facts
    rewards: Floats
    shown: Step

    def start(self) -> None:
        """Memory of copies that all stand in their initial state."""
        self.shown.memory[:] = self.pay.reward_function.start(self.fresh)

    def step(self) -> None:
        """Pay the step just taken."""
        self.rewards[:], self.shown.memory[:] = self.pay.step(self.shown)

    def restart(self) -> None:
        """Memory of the copies that start anew."""
        np.copyto(
            self.shown.memory, self.pay.reward_function.start(self.fresh), where=self.shown.ended
        )


def _copies(tasks: Sequence[Task], n: int, seed: int | Sequence[int]) -> VecWorld | VecForeign:
    """The copies underneath.

    Raises:
        InvalidInput: Tasks that cannot stand side by side, or another number of seeds than of
            tasks.
    """
    first = tasks[0]
    for i, task in enumerate(tasks):
        if task.beside != first.beside:
            raise InvalidInput(
                f"task[{i}]", task, f"one with the world, accumulators and time limit of {first}"
            )
    count = 1 if isinstance(seed, int | np.integer) else len(seed)
    if len(tasks) > 1 and count != len(tasks):
        raise InvalidInput("seed", seed, f"{len(tasks)} of them: one for each task")
    if not isinstance(first.world, ForeignWorld):
        return VecWorld(first.world, n, seed)
    if len(tasks) > 1:
        allowed = "a single one: copies of foreign environments stand alone"
        raise InvalidInput("task", tasks, allowed)
    return VecForeign(first.world, n, seed)


@numba.njit(cache=True)
def _fill(
    rewards: Any,
    seen: Any,
    facts: Any,
    progress: Any,
    clock: Any,
    max_steps: Any,
    windows: Any,
    marks: Any,
    out: Any,
) -> int:
    """Observe the states now standing; a time limit of 0: time left is not told.

    Returns the last environment whose reward or observation is not finite, -1 if none is.
    """
    m = seen.shape[1]
    wrong = -1
    for i in range(len(clock)):
        bad = rewards[i] - rewards[i] != 0.0
        for j in range(m):
            out[i, j] = seen[i, j]
            bad |= seen[i, j] - seen[i, j] != 0.0
        if bad:
            wrong = i
        if max_steps > 0:
            out[i, m] = 1.0 - clock[i] / max_steps
        for k in range(len(windows)):
            if clock[i] % windows[k] == 0:
                marks[i, k] = facts[i, progress]
            out[i, m + 1 + k] = facts[i, progress] - marks[i, k]
    return wrong


@numba.njit
def _uniforms(seeds: Any, numbers: Any, episodes: Any, clock: Any, out: Any) -> None:
    """One uniform per copy, from streams apart from those of the world's chance."""
    for i in range(len(out)):
        below = fold_stream(fold_stream(seeds[i] ^ _THINNING, 0), numbers[i])
        out[i] = unit_draw(fold_stream(fold_stream(below, episodes[i]), clock[i]))
