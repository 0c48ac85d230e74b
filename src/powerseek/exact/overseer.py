"""Exact overseers: who judges single actions for `approval`, `coverage` and constraints.

An overseer looks some steps ahead from (state, time), never past the time limit, and pays an
action its advantage Q - max Q <= 0 under a stated aim (`powerseek.exact.objectives`),
undiscounted. Because rules never read the clock, the advantage depends on the state and on the
steps looked ahead alone; under an aim that weighs what comes after the look-ahead, on the steps
left. One who misjudges adds to it a number that a hash fixes by state, time and action. For
`preference` such an overseer compares, and a model that learns from that judges in its place
(`powerseek.exact.preference`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any, overload

import numpy as np
from numba import njit
from numpy.typing import NDArray

from powerseek.envs.rewards.spec import (
    Change,
    Comparisons,
    Overseer,
    Oversight,
    comparisons_of,
    reward_name,
)
from powerseek.envs.task import Task
from powerseek.errors import InvalidInput
from powerseek.exact.enumerate import DEFAULT_LIMIT, enumerated
from powerseek.exact.mdp import TabularMDP
from powerseek.exact.objectives import Objective, objective_of
from powerseek.exact.penalty import REWARDS, Penalties, penalties, placebo
from powerseek.exact.preference import LearntOverseer, learn
from powerseek.exact.solvers.finite import advantages
from powerseek.exact.state_index import words
from powerseek.types import Bools, Floats, Ints, Records

MAX_BYTES = 4 << 30
"""Largest table of advantages."""

_TYPED_IN = np.dtype([("state", "i8"), ("clock", "i8")])
_SEED = np.uint64(0x6F76657273656572)
_NOISE = np.uint64(0x6D69736A75646765)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLY_1, _MULTIPLY_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)


@dataclass(frozen=True, eq=False)
class Judgements:
    """What an overseer thinks of every action, by how far it looks.

    Attributes:
        mdp: Where.
        horizon: The time limit T, in steps.
        lookahead: Steps h looked ahead, at most.
        table: [h or T, P] advantages, or [n, P] penalties; row k - 1 holds for k steps left, the
            last one for more than those.
        wasted: [h or T, S] of a step that an illegal action wastes: only the clock ticks. Of
            advantages at most 0, even where every legal action does harm.
        keys: [S] hash of each state's identity.
    """

    mdp: TabularMDP
    horizon: int
    lookahead: int
    table: Floats = field(repr=False)
    wasted: Floats = field(repr=False)
    keys: NDArray[np.uint64] = field(repr=False)

    def find(self, records: Records) -> Ints:
        """State numbers [n], -1 for a record that is not a known state."""
        if self.mdp.world is not None:
            return self.mdp.find(records)
        states = records["state"].astype(np.int64)
        return np.where((states >= 0) & (states < self.mdp.n_states), states, -1)

    @cached_property
    def deviation(self) -> float:
        """Standard deviation of the judgements of states that leave a choice, over all times.

        Each (state, time, legal action) counts once; 0 where nothing is told apart.
        """
        legal = np.diff(self.mdp.pair_start)
        chosen = self.table[:, legal[self.mdp.pair_state] > 1]
        if not chosen.size:
            return 0.0
        rows = np.minimum(np.arange(self.horizon), len(self.table) - 1)
        counts = np.bincount(rows, minlength=len(self.table))
        mean = np.average(chosen.mean(axis=1), weights=counts)
        square = np.average((chosen**2).mean(axis=1), weights=counts)
        return float(max(0.0, square - mean**2) ** 0.5)


@dataclass(frozen=True, eq=False)
class ExactOverseer:
    """A `powerseek.envs.rewards.spec.Overseer` who sees the whole world.

    Attributes:
        advantages: What it pays for; shared by overseers who differ in fraction alone.
        fraction: Fraction of (state, time) pairs judged; the judged sets are nested in it.
        noise: Standard deviation of what is added to the advantage of every legal action, in
            standard deviations of these (`Judgements.deviation`): one normal number for each
            (state, time, action), by hash, the same at every noise but for its size.
    """

    advantages: Judgements
    fraction: float = 1.0
    noise: float = 0.0

    @property
    def mdp(self) -> TabularMDP:
        """The enumerated world in which it was solved."""
        return self.advantages.mdp

    @property
    def lookahead(self) -> int:
        """Steps h looked ahead, at most."""
        return self.advantages.lookahead

    def judge(self, records: Records, actions: Ints, clock: Ints) -> Floats:
        """Payment [n] for `actions` [n] in `records` [n] after `clock` [n] steps.

        Each is <= 0 where there is no noise.

        An illegal action wastes its step and is judged as that.

        Raises:
            InvalidInput: A state that is over or that the overseer does not know, or a time
                past the time limit.
        """
        known = self.advantages
        states, clock = known.find(records), np.ascontiguousarray(clock, np.int64)
        out = np.zeros(len(states))
        with np.errstate(over="ignore"):  # 64-bit wrap-around is meant
            unknown = _judge(
                self.mdp.pair_start,
                self.mdp.pair_action,
                known.table,
                known.wasted,
                known.keys,
                self.fraction,
                self.noise * known.deviation if self.noise else 0.0,
                known.horizon,
                states,
                np.ascontiguousarray(actions, np.int64),
                clock,
                out,
            )
        if unknown >= 0:
            raise InvalidInput(
                "overseer: (state, clock)",
                (records[unknown], int(clock[unknown])),
                f"a state of {self.mdp.world or 'the graph'} that is not over, at a clock below "
                f"{known.horizon}",
                "Write task = powerseek.exact.with_overseer(task) for this very world.",
            )
        return out

    def judged(self, clock: int) -> Bools:
        """[S] which states are judged after `clock` steps."""
        out = np.zeros(self.mdp.n_states, np.bool_)
        with np.errstate(over="ignore"):  # as above
            _mark(self.advantages.keys, self.fraction, clock, out)
        return out

    def payments(self, clock: int) -> Floats:
        """[P] payment for every pair after `clock` steps."""
        records = records_of(self.mdp)[self.mdp.pair_state]
        actions = self.mdp.pair_action.astype(np.int64)
        return self.judge(records, actions, np.full(len(actions), clock, np.int64))

    def table(self) -> Floats:
        """[T, P] payment for every pair at every time."""
        return np.stack([self.payments(t) for t in range(self.advantages.horizon)])


@dataclass(frozen=True, eq=False)
class ExactPenalty(ExactOverseer):
    """The overseer of a constraint: `judge` pays penalties, >= 0 (`powerseek.exact.penalty`).

    Attributes:
        of: The overseer of the reward that is constrained, where that needs one.
    """

    of: ExactOverseer | LearntOverseer | None = None


@overload
def exact_overseer(
    mdp: TabularMDP,
    oversight: Oversight | Change,
    horizon: int,
    noop: int | str | None = None,
    seed: int = 0,
) -> ExactOverseer: ...
@overload
def exact_overseer(
    mdp: TabularMDP,
    oversight: Oversight | Comparisons | Change,
    horizon: int,
    noop: int | str | None = None,
    seed: int = 0,
) -> ExactOverseer | LearntOverseer: ...
def exact_overseer(
    mdp: TabularMDP,
    oversight: Oversight | Comparisons | Change,
    horizon: int,
    noop: int | str | None = None,
    seed: int = 0,
) -> ExactOverseer | LearntOverseer:
    """The overseer that a reward asks for; tables are kept for the last few that were asked for.

    Args:
        mdp: Where.
        oversight: Look-ahead, aim, fraction of pairs judged, price, and noise; or what a
            constraint penalises: then it is an `ExactPenalty`; or what a model learns from: then
            it is that model, a `LearntOverseer`.
        horizon: The time limit T, in steps.
        noop: For a constraint, the action that does nothing; the one that the world declares by
            default. A graph typed in declares none.
        seed: Of the labels of a model that is learnt; it changes nothing else.

    Raises:
        InvalidInput: A look-ahead out of range, an aim that the MDP has no facts for, a table
            that would be too large, or states merged by symmetry; or as
            `powerseek.exact.penalty.penalties`, `powerseek.exact.preference.learn`.
    """
    if isinstance(oversight, Comparisons):
        return _learnt(mdp, oversight, horizon, seed)
    if isinstance(oversight, Change):
        asked = replace(oversight, of=None)
        judged = oversight.of
        inside = None if judged is None else exact_overseer(mdp, judged, horizon, seed=seed)
        return ExactPenalty(_penalties(mdp, asked, horizon, noop), of=inside)
    shared = _advantages(mdp, oversight.aim, oversight.lookahead, horizon, oversight.price)
    return ExactOverseer(shared, oversight.share, oversight.noise)


def with_overseer(task: Task, limit: int = DEFAULT_LIMIT, seed: int = 0) -> Task:
    """The task with an exact overseer, where its reward needs one; else the task itself.

    The world is enumerated and the judgement computed once a process. An overseer of your own is
    kept. An exact one of another world or reward is replaced: it would not know the states. One
    that has learnt what the reward asks for stays the same model in another configuration of its
    world, whatever the seed.

    Args:
        task: Any task.
        limit: Most states to enumerate.
        seed: Of the labels of an overseer that is learnt here: that of the training.

    Raises:
        InvalidInput: The world cannot be enumerated, or the reward asks for no exact overseer.
    """
    function, given = task.reward_function, task.overseer
    ours = isinstance(given, ExactOverseer | LearntOverseer)
    if not function.needs_overseer or (given is not None and not ours):
        return task
    asked = function.oversight
    if asked is None:
        raise InvalidInput(
            "reward",
            reward_name(task.reward),
            "a reward function that an exact overseer can judge for",
            "Write Task(..., overseer=...) with an overseer of your own.",
        )
    model = learnt_overseer(given)
    if model is not None and model.asked == comparisons_of(asked):
        model = model.moved(task.world)
        overseer: ExactOverseer | LearntOverseer = model
        if isinstance(asked, Change):
            mdp, penalised = enumerated(task.world, limit), replace(asked, of=None)
            penalty = exact_overseer(mdp, penalised, task.world.max_steps)
            overseer = ExactPenalty(penalty.advantages, of=model)
    else:
        mdp = enumerated(task.world, limit)
        overseer = exact_overseer(mdp, asked, task.world.max_steps, seed=seed)
    if ours and _said_by(given) == _said_by(overseer):
        return task
    return replace(task, overseer=overseer)


def learnt_overseer(overseer: Overseer | None) -> LearntOverseer | None:
    """The model that judges, or judges for what is constrained; None where none was learnt."""
    inside = overseer.of if isinstance(overseer, ExactPenalty) else overseer
    return inside if isinstance(inside, LearntOverseer) else None


def same_overseer(one: Overseer | None, other: Overseer | None) -> bool:
    """True if two overseers are known to judge alike."""
    return _said_by(one) == _said_by(other)


def _said_by(overseer: Overseer | None) -> tuple[Any, ...]:
    if not isinstance(overseer, ExactOverseer):
        return (overseer,)
    inside = overseer.of if isinstance(overseer, ExactPenalty) else None
    said = overseer.advantages, overseer.fraction, overseer.noise
    return said if inside is None else (*said, *_said_by(inside))


def records_of(mdp: TabularMDP) -> Records:
    """[S] records; for a graph typed in, records of a single field: the state's number."""
    if mdp.records is not None:
        return mdp.records
    records = np.zeros(mdp.n_states, _TYPED_IN)
    records["state"] = np.arange(mdp.n_states)
    return records


@lru_cache(maxsize=4)
def _advantages(
    mdp: TabularMDP, aim: str, lookahead: int, horizon: int, price: float
) -> Judgements:
    mdp.check_unreduced("an overseer judges records as they are met")
    if not 1 <= lookahead <= max(horizon, 1):
        raise InvalidInput("lookahead", lookahead, f"1 to the time limit ({horizon} steps)")
    steps = min(lookahead, horizon)
    rows = horizon if aim == "meant" else steps
    size = 8 * rows * (mdp.n_pairs + 2 * mdp.n_states)
    if size > MAX_BYTES:
        raise InvalidInput(
            "lookahead",
            lookahead,
            f"a table of at most {MAX_BYTES / 1e9:.1f} GB; this one takes {size / 1e9:.1f} GB",
            "Write a shorter look-ahead, or a smaller world.",
        )
    wanted = _objective(mdp, aim, horizon, price)
    if wanted.beyond is None:
        table, values = advantages(mdp, wanted.flows, wanted.finals, steps)
        wasted = values[:-1] - values[1:]
    else:
        table, wasted = _by_steps_left(mdp, wanted.flows, wanted.beyond, steps)
    return Judgements(mdp, horizon, steps, table, np.minimum(wasted, 0.0), _keys(mdp))


@lru_cache(maxsize=4)
def _learnt(mdp: TabularMDP, asked: Comparisons, horizon: int, seed: int) -> LearntOverseer:
    judge = exact_overseer(mdp, Oversight(horizon, asked.aim, price=asked.price), horizon)

    def score(pairs: Ints, clocks: Ints) -> Floats:
        records = records_of(mdp)[mdp.pair_state[pairs]]
        return judge.judge(records, mdp.pair_action[pairs].astype(np.int64), clocks)

    return learn(mdp, asked, horizon, seed, score)


@lru_cache(maxsize=4)
def _penalties(mdp: TabularMDP, change: Change, horizon: int, noop: int | str | None) -> Judgements:
    mdp.check_unreduced("an overseer judges records as they are met")
    # What is discounted is of one row, made from a column a reward; finite horizons have h rows.
    steps = min(change.within, horizon)
    size = 8 * (mdp.n_pairs + mdp.n_states) * max(2 * steps, 2 * REWARDS)
    if size > MAX_BYTES:
        raise InvalidInput(
            "world",
            f"{mdp.n_pairs:,} pairs",
            f"penalties of at most {MAX_BYTES / 1e9:.1f} GB; these take {size / 1e9:.1f} GB",
            "Write a smaller world, or a shorter horizon.",
        )
    if change.placebo:
        real = _penalties(mdp, replace(change, placebo=False), horizon, noop)
        found = placebo(mdp, Penalties(real.table, real.wasted), horizon, noop)
    else:
        found = penalties(mdp, change, horizon, noop)
    return Judgements(mdp, horizon, steps or horizon, found.pairs, found.wasted, _keys(mdp))


def _by_steps_left(
    mdp: TabularMDP, flows: Floats, beyond: Floats, lookahead: int
) -> tuple[Floats, Floats]:
    """Advantages [T, P] and changes in value by a wasted step [T, S]; row n - 1 has n steps left.

    Args:
        mdp: Where.
        flows: [P] what is counted during the look-ahead.
        beyond: [T + 1, S] what a state is worth where it ends, by the steps then left.
        lookahead: Steps h looked ahead, at most.
    """
    table = np.empty((len(beyond) - 1, mdp.n_pairs))
    wasted = np.empty((len(beyond) - 1, mdp.n_states))
    for left in range(1, len(beyond)):
        steps = min(lookahead, left)
        shortfall, values = advantages(mdp, flows, beyond[left - steps], steps)
        table[left - 1] = shortfall[-1]
        wasted[left - 1] = values[-2] - values[-1]
    return table, wasted


@lru_cache(maxsize=4)
def _objective(mdp: TabularMDP, name: str, horizon: int, price: float) -> Objective:
    return objective_of(mdp, name, horizon, price)


def _keys(mdp: TabularMDP) -> NDArray[np.uint64]:
    """[S] hash of the words of each state's identity: no clock, no flows, no state number."""
    records = records_of(mdp)
    names: Sequence[str] = ("state",) if mdp.world is None else mdp.world.identity
    columns = [np.ascontiguousarray(records[name]).reshape(len(records), -1) for name in names]
    rows = words(np.concatenate([column.view(np.float64) for column in columns], axis=1))
    keys = np.zeros(len(rows), np.uint64)
    with np.errstate(over="ignore"):  # 64-bit wrap-around is meant
        _fold_rows(rows, keys)
    return keys


# Cached loops must not import helpers: an edit there would not reach them.
@njit(cache=True)
def _mix(key, counter):  # type: ignore[no-untyped-def]  # compiled
    """The counter-th 64 bits below a key (SplitMix64, Steele et al. 2014)."""
    x = key + (np.uint64(counter) + np.uint64(1)) * _GOLDEN
    x = (x ^ (x >> _S30)) * _MULTIPLY_1
    x = (x ^ (x >> _S27)) * _MULTIPLY_2
    return x ^ (x >> _S31)


@njit(cache=True)
def _is_judged(key, clock, fraction):  # type: ignore[no-untyped-def]  # compiled
    return (_mix(key, clock) >> _S11) * 2.0**-53 < fraction


@njit(cache=True)
def _error(key, clock, action):  # type: ignore[no-untyped-def]  # compiled
    """A standard normal number for a state, time and action (Box and Muller 1958)."""
    here = _mix(_mix(key ^ _NOISE, clock), action)
    size = 1.0 - (_mix(here, 0) >> _S11) * 2.0**-53  # in (0, 1]
    turn = (_mix(here, 1) >> _S11) * 2.0**-53
    return np.sqrt(-2.0 * np.log(size)) * np.cos(2.0 * np.pi * turn)


@njit(cache=True)
def _fold_rows(rows, keys):  # type: ignore[no-untyped-def]  # compiled
    for i in range(len(rows)):
        key = _SEED
        for word in rows[i]:
            key = _mix(key ^ np.uint64(word), 0)
        keys[i] = key


@njit(cache=True)
def _mark(keys, fraction, clock, out):  # type: ignore[no-untyped-def]  # compiled
    for s in range(len(keys)):
        out[s] = _is_judged(keys[s], clock, fraction)


@njit(cache=True)
def _judge(  # type: ignore[no-untyped-def]  # compiled
    pair_start,
    pair_action,
    table,
    wasted,
    keys,
    fraction,
    noise,
    horizon,
    states,
    actions,
    clocks,
    out,
):
    """Fill out [n]; the first query that is of no known, living state in time, or -1."""
    for i in range(len(states)):
        s, t = states[i], clocks[i]
        if s < 0 or t < 0 or t >= horizon or pair_start[s] == pair_start[s + 1]:
            return i
        if not _is_judged(keys[s], t, fraction):
            continue
        row = min(len(table), horizon - t) - 1
        out[i] = wasted[row, s]
        for pair in range(pair_start[s], pair_start[s + 1]):
            if pair_action[pair] == actions[i]:
                out[i] = table[row, pair]
                if noise > 0.0:
                    out[i] += noise * _error(keys[s], t, actions[i])
                break
    return -1
