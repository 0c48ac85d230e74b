"""Side effects: what an action changes about what could still be attained, or still be reached.

Every measure compares with a baseline, which its name must carry:

- *starting state*: the state in which the episode began;
- *inaction*: where doing nothing since the beginning would have led, `inaction` from the first
  state over the steps taken so far;
- *stepwise inaction*: where doing nothing in the last step would have led, `inaction` from the
  state before over one step. Attainable utility compares with this one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import numpy as np
from numba import njit
from numpy.typing import ArrayLike

from powerseek.errors import InvalidInput
from powerseek.exact.mdp import TabularMDP
from powerseek.exact.measures.empowerment import UNREDUCED, sole_next
from powerseek.exact.solvers.discounted import action_values, solve
from powerseek.types import Floats, Ints

Scaling = Literal["sum", "mean ratio", "none"]
Noop = int | str | Sequence[int] | Ints | Callable[[Any], int | str | None]
"""The action that does nothing: its index, its name, indices [S] (-1 for none), or a callable
from a state (the world's record, or the label of a graph typed in) to its index, name or None."""

TOLERANCE = 1e-9
"""Bound on the absolute error of discounted values and of reachability."""

MAX_NUMBERS = 100_000_000
"""Most numbers [S, K] that `reachability` returns."""

_CLOSEST = 1 - 1e-6
_BLOCK = 256


def attainable_utility_change(
    mdp: TabularMDP,
    auxiliary: Floats,
    gamma: float,
    noop: Noop,
    *,
    scaling: Scaling = "sum",
    decrease_only: bool = False,
) -> Floats:
    """[P] how much every action changes what auxiliary rewards could attain, against the no-op.

    ``sum_i |Q_i(s, a) - Q_i(s, noop)|``, where Q_i is the optimal action value of auxiliary
    reward i, received in the current state; scaled as `attainable_utility_penalty` says (Turner,
    Hadfield-Menell and Tadepalli 2020, "Conservative agency via attainable utility preservation",
    arXiv:1902.09725). Baseline: the no-op in the same state (stepwise inaction).

    CAVEAT: it sees what the auxiliary rewards see, so a loss that none of them depends on costs
    nothing; each step is compared with doing nothing from there on, so a harm that is already
    under way costs nothing either. Gains count like losses unless `decrease_only`.

    Args:
        mdp: Where.
        auxiliary: [S] or [S, N], N reward functions on states.
        gamma: Discount, in (0, 1).
        noop: The action that does nothing (see `Noop`).
        scaling: As in `attainable_utility_penalty`.
        decrease_only: Count losses only, as relative reachability does.

    Returns:
        [P], 0 for the no-op itself; nan in states without the no-op, and where the scale is 0
        but the change is not.

    Raises:
        InvalidInput: A gamma outside (0, 1), rewards that are not finite or do not fit, an
            unknown action, or values that cannot be a scale because they are negative.
    """
    if not 0 < gamma < 1:
        raise InvalidInput("gamma", gamma, "a number above 0 and below 1")
    baseline = noop_pairs(mdp, noop)
    found = solve(mdp, auxiliary, gamma, tolerance=TOLERANCE)
    rewards = np.reshape(auxiliary, found.values.shape)
    values = action_values(mdp, rewards, gamma, found.values)
    out = np.full(mdp.n_pairs, np.nan)
    pairs = np.flatnonzero(baseline[mdp.pair_state] >= 0)
    out[pairs] = attainable_utility_penalty(
        values[pairs],
        values[baseline[mdp.pair_state[pairs]]],
        scaling=scaling,
        decrease_only=decrease_only,
        error=2 * gamma * found.error,
    )
    return out


def attainable_utility_penalty(
    action: ArrayLike,
    noop: ArrayLike,
    *,
    scaling: Scaling = "sum",
    decrease_only: bool = False,
    error: float = 0.0,
) -> Floats:
    """Penalty [...] from the values Q_i [..., N] of an action and of the no-op.

    ========== =================================================== ========================
    scaling    formula                                             source
    ========== =================================================== ========================
    sum        sum_i abs(Q_i(a) - Q_i(noop)) / sum_i Q_i(noop)     the paper
    mean ratio mean_i (abs(Q_i(a) - Q_i(noop)) / Q_i(noop))        the authors' public code
    none       sum_i abs(Q_i(a) - Q_i(noop))                       in units of reward
    ========== =================================================== ========================

    CAVEAT: the first two differ as soon as there are two auxiliary rewards, and neither can be
    compared across worlds or discounts: say which one.

    Args:
        action: [..., N] values of the action.
        noop: [..., N] values of the no-op.
        scaling: "sum", "mean ratio" or "none".
        decrease_only: max(Q_i(noop) - Q_i(a), 0) in place of the absolute difference.
        error: Bound on the error of a difference: a scale no greater counts as 0, and then so
            does a change that is no greater.

    Raises:
        InvalidInput: Unknown scaling, shapes that do not fit, numbers that are not finite, or a
            negative scale.
    """
    if scaling not in get_args(Scaling):
        raise InvalidInput("scaling", scaling, f"one of {', '.join(get_args(Scaling))}")
    chosen, idle = np.asarray(action, np.float64), np.asarray(noop, np.float64)
    if chosen.shape != idle.shape or not chosen.ndim or not chosen.shape[-1]:
        raise InvalidInput("noop", idle.shape, "values of the same shape as action: [..., N >= 1]")
    if not np.isfinite(chosen).all() or not np.isfinite(idle).all():
        raise InvalidInput("action", action, "finite values of the action and of the no-op")
    change = np.maximum(idle - chosen, 0.0) if decrease_only else np.abs(chosen - idle)
    if scaling == "none":
        return np.asarray(change.sum(axis=-1))
    if scaling == "sum":
        count = chosen.shape[-1]
        return relative_change(change.sum(axis=-1), idle.sum(axis=-1), count * error)
    return np.asarray(relative_change(change, idle, error).mean(axis=-1))


def reachability(mdp: TabularMDP, gamma: float, targets: Sequence[object] | None = None) -> Floats:
    """[S, K] how well each target can be reached from each state, in 0 .. 1.

    ``max over policies of E[gamma^(steps until the target is first met)]``, 0 where it never is
    and 1 in the target itself (Krakovna et al. 2019, arXiv:1806.01186). Where the
    dynamics are sure that is gamma^(fewest steps), exactly. Elsewhere it is found by value
    iteration from below, to a certified absolute error of at most 1e-9.

    CAVEAT: says that one state can be reached, not that several can in one life, nor what it
    costs to get there; it depends on the representation (a clock makes the past unreachable).

    Args:
        mdp: Where.
        gamma: Discount in (0, 1); in a deterministic MDP also 1, which gives 0 or 1.
        targets: K labels, records or state numbers; all S states, in order, by default.

    Raises:
        InvalidInput: A gamma outside its range, a state that does not exist, more than
            `MAX_NUMBERS` numbers, or states reduced by symmetry.
    """
    _check_discount(mdp, gamma)
    goals = np.arange(mdp.n_states)
    if targets is not None:
        goals = np.array([mdp.index(target) for target in targets], np.int64)
    if mdp.n_states * len(goals) > MAX_NUMBERS:
        raise InvalidInput(
            "targets",
            f"{len(goals):,} targets of {mdp.n_states:,} states",
            f"at most {MAX_NUMBERS:,} numbers",
            f"Write reachability(mdp, {gamma}, targets=[...]), some targets at a time.",
        )
    return _reachability(mdp, gamma, goals)


def relative_reachability(
    mdp: TabularMDP, current: object, baseline: object, gamma: float
) -> float:
    """Mean loss of reachability over all states, in 0 .. 1, against a baseline state.

    ``mean_s max(R(baseline, s) - R(current, s), 0)`` with R from `reachability` (Krakovna et al.
    2019, arXiv:1806.01186). The baseline is the caller's to name: the starting state, or a
    state from `inaction` (from the start, or stepwise). Where inaction leads to several states,
    average this over them, weighted by their probabilities.

    CAVEAT: every state counts the same, so it depends on the representation, and a world in which
    many states differ in a detail weighs that detail; gains of reachability are not seen at all.

    Args:
        mdp: Where.
        current: The state reached (label, record or state number).
        baseline: The state to compare with.
        gamma: As in `reachability`.

    Raises:
        InvalidInput: As in `reachability`.
    """
    _check_discount(mdp, gamma)
    here, there = mdp.index(current), mdp.index(baseline)
    lost = 0.0
    for first in range(0, mdp.n_states, _BLOCK):
        goals = np.arange(first, min(first + _BLOCK, mdp.n_states))
        reach = _reachability(mdp, gamma, goals)
        lost += float(np.maximum(reach[there] - reach[here], 0.0).sum())
    return lost / mdp.n_states


def unreachability(mdp: TabularMDP, current: object, baseline: object, gamma: float) -> float:
    """``1 - R(current -> baseline)``, in 0 .. 1, with R from `reachability`.

    The deviation measure of Krakovna et al. 2019 (arXiv:1806.01186) that asks only whether the
    baseline state (starting state, inaction or stepwise inaction) can be restored.

    CAVEAT: as great for a trifle as for a catastrophe once neither can be undone.

    Args:
        mdp: Where.
        current: The state reached (label, record or state number).
        baseline: The state to compare with.
        gamma: As in `reachability`.

    Raises:
        InvalidInput: As in `reachability`.
    """
    _check_discount(mdp, gamma)
    goal = np.array([mdp.index(baseline)], np.int64)
    return 1.0 - float(_reachability(mdp, gamma, goal)[mdp.index(current), 0])


def inaction(mdp: TabularMDP, noop: Noop, state: object, steps: int) -> Floats:
    """[S] probability of every state after doing nothing for some steps; terminal states absorb.

    Args:
        mdp: Where.
        noop: The action that does nothing (see `Noop`).
        state: Where it begins: the first state for the inaction baseline; the state before the
            last action, with ``steps=1``, for the stepwise one.
        steps: How many steps, >= 0.

    Raises:
        InvalidInput: An unknown state or action, negative steps, or a state on the way in which
            the no-op is not legal.
    """
    if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or steps < 0:
        raise InvalidInput("steps", steps, "a whole number of steps >= 0")
    mdp.check_unreduced(UNREDUCED)
    baseline = noop_pairs(mdp, noop)
    now = np.zeros(mdp.n_states)
    now[mdp.index(state)] = 1.0
    for step in range(steps):
        ahead = np.where(mdp.terminal, now, 0.0)
        for s in np.flatnonzero((now > 0) & ~mdp.terminal):
            pair = baseline[s]
            if pair < 0:
                raise InvalidInput(
                    "noop",
                    noop,
                    f"legal wherever it leads; not so in state {mdp.name(int(s))}, step {step}",
                )
            edges = slice(mdp.edge_start[pair], mdp.edge_start[pair + 1])
            np.add.at(ahead, mdp.edge_next[edges], now[s] * mdp.edge_probability[edges])
        now = ahead
    return now


def relative_change(change: Floats, scale: Floats, error: float = 0.0) -> Floats:
    """Change / scale: nan where only the scale counts as 0, 0 where both do."""
    if (scale < -error).any():
        raise InvalidInput(
            "scaling",
            float(scale.min()),
            "no-op values >= 0, such as auxiliary rewards >= 0 give",
            'Write scaling="none".',
        )
    none = scale <= error
    found = np.asarray(change / np.where(none, 1.0, scale))
    return np.where(none, np.where(change <= error, 0.0, np.nan), found)


def noop_pairs(mdp: TabularMDP, noop: Noop) -> Ints:
    """[S] pair of the no-op in every state, -1 where there is none."""
    if isinstance(noop, (int, np.integer, str)) and not isinstance(noop, bool):
        actions = np.full(mdp.n_states, _action(mdp, noop))
    elif callable(noop):
        states = mdp.labels if mdp.records is None else mdp.records
        actions = np.array([_action(mdp, noop(state)) for state in states], np.int64)
    else:
        given = np.asarray(noop)
        if given.shape != (mdp.n_states,) or given.dtype.kind not in "iu":
            raise InvalidInput("noop", noop, f"an action, a callable or {mdp.n_states} indices")
        actions = np.array([_action(mdp, int(a) if a >= 0 else None) for a in given], np.int64)
    out = np.full(mdp.n_states, -1, np.int64)
    pairs = np.flatnonzero(mdp.pair_action == actions[mdp.pair_state])
    out[mdp.pair_state[pairs]] = pairs
    return out


def _action(mdp: TabularMDP, action: int | str | None) -> int:
    """Index of an action given by index or name, -1 for None."""
    if action is None:
        return -1
    names = () if mdp.world is None else mdp.world.action_names
    if isinstance(action, str):
        if action not in names:
            known = ", ".join(names) or "an index: a graph typed in has no names of actions"
            raise InvalidInput("noop", action, known)
        return names.index(action)
    if not 0 <= action < mdp.n_actions:
        raise InvalidInput("noop", action, f"0 .. {mdp.n_actions - 1}")
    return int(action)


def _check_discount(mdp: TabularMDP, gamma: float) -> None:
    mdp.check_unreduced(UNREDUCED)
    if (sole_next(mdp) >= 0).all():
        if not 0 < gamma <= 1:
            raise InvalidInput("gamma", gamma, "a number above 0, at most 1")
    elif not 0 < gamma <= _CLOSEST:
        raise InvalidInput(
            "gamma",
            gamma,
            f"a number above 0, at most {_CLOSEST} where chance plays a part",
            "Write gamma=0.9999." if gamma > 0 else "",
        )


def _reachability(mdp: TabularMDP, gamma: float, goals: Ints) -> Floats:
    """[S, K] for state numbers."""
    possible = mdp.edge_probability > 0
    source = np.repeat(mdp.pair_state, np.diff(mdp.edge_start))[possible]
    target = mdp.edge_next[possible]
    order = np.argsort(target, kind="stable")
    back_start = np.searchsorted(target[order], np.arange(mdp.n_states + 1))
    back = (back_start.astype(np.int64), source[order])
    if (sole_next(mdp) >= 0).all():
        return np.asarray(_distances(*back, goals, float(gamma)))
    graph = (mdp.pair_start, mdp.edge_start, mdp.edge_next, mdp.edge_probability)
    return np.asarray(_hitting(*graph, *back, goals, float(gamma), TOLERANCE))


@njit(cache=True, nogil=True)
def _backward(back_start, back, goal, depth, queue):  # type: ignore[no-untyped-def]  # compiled
    """Fewest steps to the goal in depth [S] (-1 for never); queue [S] in that order; its length."""
    depth[:] = -1
    depth[goal] = 0
    queue[0] = goal
    head, tail = 0, 1
    while head < tail:
        s = queue[head]
        head += 1
        for i in range(back_start[s], back_start[s + 1]):
            if depth[back[i]] < 0:
                depth[back[i]] = depth[s] + 1
                queue[tail] = back[i]
                tail += 1
    return tail


@njit(cache=True, nogil=True)
def _distances(back_start, back, goals, gamma):  # type: ignore[no-untyped-def]  # compiled
    states = len(back_start) - 1
    out = np.zeros((states, len(goals)))
    depth, queue = np.empty(states, np.int64), np.empty(states, np.int64)
    for k in range(len(goals)):
        for i in range(_backward(back_start, back, goals[k], depth, queue)):
            out[queue[i], k] = gamma ** depth[queue[i]]
    return out


@njit(cache=True, nogil=True)
def _hitting(  # type: ignore[no-untyped-def]  # compiled
    pair_start, edge_start, edge_next, edge_probability, back_start, back, goals, gamma, tolerance
):
    """Value iteration from below, in place, the nearest states first: [S, K].

    Each sweep contracts by gamma, so the error is at most gamma / (1 - gamma) x the last change.
    """
    states = len(pair_start) - 1
    out = np.zeros((states, len(goals)))
    depth, queue = np.empty(states, np.int64), np.empty(states, np.int64)
    values = np.empty(states)
    enough = tolerance * (1 - gamma) / gamma / 2
    for k in range(len(goals)):
        count = _backward(back_start, back, goals[k], depth, queue)
        values[:] = 0.0
        values[goals[k]] = 1.0
        change = np.inf
        while change > enough:
            change = 0.0
            for i in range(1, count):
                s = queue[i]
                best = values[s]
                for pair in range(pair_start[s], pair_start[s + 1]):
                    total, stay = 0.0, 0.0
                    for edge in range(edge_start[pair], edge_start[pair + 1]):
                        if edge_next[edge] == s:
                            stay += edge_probability[edge]
                        else:
                            total += edge_probability[edge] * values[edge_next[edge]]
                    best = max(best, gamma * total / (1 - gamma * stay))
                change = max(change, best - values[s])
                values[s] = best
        for s in range(states):
            out[s, k] = values[s]
    return out
