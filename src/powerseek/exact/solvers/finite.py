"""Finite-horizon backward induction, compiled, for many objectives at once.

Every solver carries several *criteria* (expected totals of flows plus a value of the last state)
and works backward over the clock; criteria are undiscounted. Terminal states keep their value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numba import njit
from numpy.typing import NDArray

from powerseek.errors import InvalidInput
from powerseek.exact.mdp import TabularMDP
from powerseek.exact.solvers.threads import cores, in_threads
from powerseek.types import Floats, Ints

Bits = NDArray[np.uint64]

WHOLE = 1e-6
"""How far probabilities that a user gives may miss a sum of 1."""

MAX_ACTIONS = 64
"""Most legal actions in one state that a tabular policy can hold (bits of a word)."""


@njit(cache=True, nogil=True)
def _score(levels, level, m, row):  # type: ignore[no-untyped-def]  # compiled
    total = 0.0
    criteria = levels.shape[2]
    for c in range(criteria):
        total += levels[level, m, c] * row[m * criteria + c]
    return total


@njit(cache=True, nogil=True)
def _improve(  # type: ignore[no-untyped-def]  # compiled
    pair_start,
    edge_start,
    edge_next,
    edge_probability,
    flows,
    levels,
    tolerance,
    following,
    out,
    choice,
    states,
):
    """One step back: per state and objective, the action with the greatest weighted criteria.

    levels: [L, M, C], later levels choose among what ties in earlier ones; following, out:
    [S, M * C]; choice: [S, M] (local action index) or [0, 0] to keep none.
    """
    depth, objectives, criteria = levels.shape
    width = objectives * criteria
    row = np.empty(width)
    best = np.empty((objectives, depth))
    for s in range(states):
        start, stop = pair_start[s], pair_start[s + 1]
        if start == stop:
            continue
        best[:] = -np.inf
        for pair in range(start, stop):
            # Written out here and in `_slip`: as a call of its own it costs need a quarter more.
            for m in range(objectives):
                for c in range(criteria):
                    row[m * criteria + c] = flows[pair, c]
            for edge in range(edge_start[pair], edge_start[pair + 1]):
                probability = edge_probability[edge]
                ahead = following[edge_next[edge]]
                for i in range(width):
                    row[i] += probability * ahead[i]
            for m in range(objectives):
                # The first level that does not tie decides.
                better = False
                for level in range(depth):
                    ahead_by = _score(levels, level, m, row) - best[m, level]
                    if ahead_by > tolerance:
                        better = True
                        break
                    if ahead_by < -tolerance:
                        break
                if better:
                    for level in range(depth):
                        best[m, level] = _score(levels, level, m, row)
                    for c in range(criteria):
                        out[s, m * criteria + c] = row[m * criteria + c]
                    if choice.shape[0] > 0:
                        choice[s, m] = pair - start


@njit(cache=True, nogil=True)
def _follow(  # type: ignore[no-untyped-def]  # compiled
    pair_start, edge_start, edge_next, edge_probability, flows, weights, following, out, states
):
    """One step back under pair probabilities weights [P]; following, out: [S, C]."""
    criteria = flows.shape[1]
    row = np.empty(criteria)
    for s in range(states):
        start, stop = pair_start[s], pair_start[s + 1]
        if start == stop:
            continue
        row[:] = 0.0
        for pair in range(start, stop):
            weight = weights[pair]
            if weight == 0.0:
                continue
            for c in range(criteria):
                row[c] += weight * flows[pair, c]
            for edge in range(edge_start[pair], edge_start[pair + 1]):
                share = weight * edge_probability[edge]
                ahead = following[edge_next[edge]]
                for c in range(criteria):
                    row[c] += share * ahead[c]
        out[s] = row


@njit(cache=True, nogil=True)
def _slip(  # type: ignore[no-untyped-def]  # compiled
    pair_start, edge_start, edge_next, edge_probability, flows, bits, slips, following, out, states
):
    """One step back under a policy that slips: following, out [S, M * C], one m per slip rate.

    bits: [S], the policy acts uniformly over the set bits (local action indices).
    """
    objectives = len(slips)
    criteria = flows.shape[1]
    width = objectives * criteria
    row = np.empty(width)
    total = np.empty(width)
    one = np.uint64(1)
    for s in range(states):
        start, stop = pair_start[s], pair_start[s + 1]
        if start == stop:
            continue
        count = 0
        for i in range(stop - start):
            if (bits[s] >> np.uint64(i)) & one:
                count += 1
        total[:] = 0.0
        for pair in range(start, stop):
            for m in range(objectives):
                for c in range(criteria):
                    row[m * criteria + c] = flows[pair, c]
            for edge in range(edge_start[pair], edge_start[pair + 1]):
                probability = edge_probability[edge]
                ahead = following[edge_next[edge]]
                for i in range(width):
                    row[i] += probability * ahead[i]
            chosen = 0.0
            if (bits[s] >> np.uint64(pair - start)) & one:
                chosen = 1.0 / count
            for m in range(objectives):
                weight = slips[m] / (stop - start) + (1.0 - slips[m]) * chosen
                for c in range(criteria):
                    total[m * criteria + c] += weight * row[m * criteria + c]
        out[s] = total


@njit(cache=True, nogil=True)
def _advantage(  # type: ignore[no-untyped-def]  # compiled
    pair_start, edge_start, edge_next, edge_probability, flows, following, out, row
):
    """One step back for one objective: out [S] its value, row [P] each pair's shortfall of it."""
    for s in range(len(pair_start) - 1):
        start, stop = pair_start[s], pair_start[s + 1]
        if start == stop:
            continue
        best = -np.inf
        for pair in range(start, stop):
            total = flows[pair]
            for edge in range(edge_start[pair], edge_start[pair + 1]):
                total += edge_probability[edge] * following[edge_next[edge]]
            row[pair] = total
            best = max(best, total)
        out[s] = best
        for pair in range(start, stop):
            row[pair] -= best


@njit(cache=True)
def _depths(pair_start, edge_start, edge_next, initial):  # type: ignore[no-untyped-def]  # compiled
    """[S] least number of steps to each state, a number past any horizon if never reached."""
    depth = np.full(len(initial), np.iinfo(np.int64).max)
    queue = np.empty(len(initial), np.int64)
    tail = 0
    for s in range(len(initial)):
        if initial[s] > 0:
            depth[s] = 0
            queue[tail] = s
            tail += 1
    head = 0
    while head < tail:
        s = queue[head]
        head += 1
        for edge in range(edge_start[pair_start[s]], edge_start[pair_start[s + 1]]):
            following = edge_next[edge]
            if depth[following] == np.iinfo(np.int64).max:
                depth[following] = depth[s] + 1
                queue[tail] = following
                tail += 1
    return depth


def as_bits(mdp: TabularMDP, choices: Ints) -> Bits:
    """One set bit per choice (local action index); the shape stays.

    Raises:
        InvalidInput: A state has more actions than a word has bits.
    """
    most = int(np.diff(mdp.pair_start).max(initial=0))
    if most > MAX_ACTIONS:
        raise InvalidInput("actions in one state", most, f"at most {MAX_ACTIONS} in exact policies")
    return np.uint64(1) << choices.astype(np.uint64)


def reachable(mdp: TabularMDP, horizon: int) -> Ints:
    """[T] how many states to look at when t steps have been taken: no later one is reachable.

    Enumeration numbers states by their distance, so most of the early layers are skipped; in a
    graph numbered otherwise it is every state.
    """
    depth = _depths(mdp.pair_start, mdp.edge_start, mdp.edge_next, mdp.initial)
    last_first = np.maximum.accumulate(depth)
    counts: Ints = np.searchsorted(last_first, np.arange(horizon), side="right")
    return np.where(np.all(depth == last_first), counts, mdp.n_states)


def maximise(
    mdp: TabularMDP,
    flows: Floats,
    finals: Floats,
    levels: Floats,
    horizon: int,
    tolerance: float = 0.0,
    keep: bool = False,
) -> tuple[Floats, Ints | None]:
    """Maximise weighted criteria over all policies on state x time, many weightings at once.

    Args:
        mdp: The MDP.
        flows: [P, C] expected flow of every criterion.
        finals: [S, C] value of every criterion in the last state.
        levels: [L, M, C] weights to maximise: the first level, among its ties the second, ...
        horizon: Steps T.
        tolerance: Absolute difference that counts as a tie, at each step and level.
        keep: Whether to return the choices.

    Returns:
        Criteria [M, C] of the maximising policies from the initial distribution, and their
        choices [T, S, M] (local action index) or None.
    """
    counts = reachable(mdp, horizon)

    def solve(part: Ints) -> tuple[Floats, Ints | None]:
        chosen = np.ascontiguousarray(levels[:, part], np.float64)
        return _backward(mdp, flows, finals, chosen, counts, tolerance, keep)

    parts = np.array_split(np.arange(levels.shape[1]), 1 if keep else cores())
    found = list(in_threads(solve, [part for part in parts if len(part)]))
    return np.concatenate([totals for totals, _ in found]), found[0][1]


def _backward(
    mdp: TabularMDP,
    flows: Floats,
    finals: Floats,
    levels: Floats,
    counts: Ints,
    tolerance: float,
    keep: bool,
) -> tuple[Floats, Ints | None]:
    """`maximise` on one core."""
    objectives = levels.shape[1]
    ahead = np.tile(finals, (1, objectives))
    out = ahead.copy()
    choices = np.zeros((len(counts), mdp.n_states, objectives), np.int64) if keep else None
    none = np.zeros((0, 0), np.int64)
    graph = (mdp.pair_start, mdp.edge_start, mdp.edge_next, mdp.edge_probability)
    for t in reversed(range(len(counts))):
        choice = none if choices is None else choices[t]
        _improve(*graph, flows, levels, tolerance, ahead, out, choice, counts[t])
        ahead, out = out, ahead
    return (mdp.initial @ ahead).reshape(objectives, -1), choices


def slip(
    mdp: TabularMDP, flows: Floats, finals: Floats, bits: Bits, slips: Floats, horizon: int
) -> Floats:
    """Criteria [M, C] of a policy that with probability ``slips[m]`` acts at random.

    Args:
        mdp: The MDP.
        flows: [P, C].
        finals: [S, C].
        bits: [T, S] or [1, S] uint64; the policy is uniform over the set local actions.
        slips: [M] probabilities of a uniformly random legal action; 1 is the random policy.
        horizon: Steps T.
    """
    ahead = np.tile(finals, (1, len(slips)))
    out = ahead.copy()
    counts = reachable(mdp, horizon)
    graph = (mdp.pair_start, mdp.edge_start, mdp.edge_next, mdp.edge_probability)
    for t in reversed(range(horizon)):
        now = bits[t if len(bits) > 1 else 0]
        _slip(*graph, flows, now, slips, ahead, out, counts[t])
        ahead, out = out, ahead
    return (mdp.initial @ ahead).reshape(len(slips), -1)


def follow(
    mdp: TabularMDP,
    flows: Floats,
    finals: Floats,
    weights: Callable[[int], Floats],
    horizon: int,
) -> Floats:
    """Criteria [C] of any Markov policy.

    Args:
        mdp: The MDP.
        flows: [P, C].
        finals: [S, C].
        weights: t -> [P], probability of every pair given its state.
        horizon: Steps T.
    """
    ahead, out = finals.copy(), finals.copy()
    counts = reachable(mdp, horizon)
    graph = (mdp.pair_start, mdp.edge_start, mdp.edge_next, mdp.edge_probability)
    for t in reversed(range(horizon)):
        _follow(*graph, flows, weights(t), ahead, out, counts[t])
        ahead, out = out, ahead
    total: Floats = mdp.initial @ ahead
    return total


def occupancies(
    mdp: TabularMDP, weights: Callable[[int], Floats], horizon: int
) -> Iterator[tuple[int, Floats]]:
    """(t, [P] probability of taking each pair as step t) of any Markov policy, forward in time.

    Args:
        mdp: The MDP.
        weights: t -> [P], probability of every pair given its state.
        horizon: Steps T.

    Raises:
        InvalidInput: Probabilities that do not sum to 1 in a state that the policy reaches.
    """
    standing: Floats = mdp.initial.copy()
    fans = np.diff(mdp.edge_start)
    for t in range(horizon):
        standing[mdp.terminal] = 0.0
        taken: Floats = standing[mdp.pair_state] * weights(t)
        if not abs(taken.sum() - standing.sum()) <= WHOLE:
            raise InvalidInput(
                "policy",
                f"probabilities that reach a total of {taken.sum():.6g} of {standing.sum():.6g}",
                "rows that sum to 1 over the legal actions of every state it reaches",
            )
        yield t, taken
        flow = np.repeat(taken, fans) * mdp.edge_probability
        standing = np.bincount(mdp.edge_next, flow, mdp.n_states).astype(np.float64)


def advantages(
    mdp: TabularMDP, flows: Floats, finals: Floats, horizon: int
) -> tuple[Floats, Floats]:
    """Q - max Q of every pair, for an undiscounted objective, by the steps still to go.

    Args:
        mdp: The MDP.
        flows: [P] expected flow of the objective.
        finals: [S] its value in the last state.
        horizon: Most steps to go, H.

    Returns:
        Advantages [H, P], all <= 0, where row k - 1 has k steps to go, and values [H + 1, S],
        where row k has k.
    """
    shortfall = np.zeros((horizon, mdp.n_pairs))
    values = np.tile(finals, (horizon + 1, 1))
    graph = (mdp.pair_start, mdp.edge_start, mdp.edge_next, mdp.edge_probability)
    for k in range(horizon):
        _advantage(*graph, flows, values[k], values[k + 1], shortfall[k])
    return shortfall, values
