"""Finite-horizon backward induction, compiled.

*Criteria* are undiscounted expected totals of flows plus a value of the last state. Solvers work
backward over the clock; terminal states keep their value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numba import njit
from numpy.typing import NDArray

from powerseek.errors import InvalidInput
from powerseek.exact.mdp import Ints32, TabularMDP
from powerseek.exact.solvers.threads import cores, in_threads
from powerseek.types import Floats, Ints

Bits = NDArray[np.uint64]

WHOLE = 1e-6
"""How far probabilities that a user gives may miss a sum of 1."""

TIE = 1e-12
"""What an action may cost of the best that its state can attain, and still count as tied."""

MAX_ACTIONS = 64
"""Most legal actions in one state that a tabular policy can hold (bits of a word)."""


@njit(cache=True, nogil=True)
def _improve(  # type: ignore[no-untyped-def]  # compiled
    pair_start,
    edge_start,
    edge_next,
    edge_probability,
    flows,
    levels,
    choice,
    following,
    out,
    states,
):
    """One step back: the first action that is best at every level, among ties of the one before.

    levels: [L, C]; following, out: [S, L + C] greatest weighted criteria of each level, then the
    criteria of the policy; choice: [S] local action index.
    """
    depth, criteria = levels.shape
    rows = np.empty((_widest(pair_start), depth + criteria))
    tied = np.empty(len(rows), np.bool_)
    for s in range(states):
        start, stop = pair_start[s], pair_start[s + 1]
        if start == stop:
            continue
        for i in range(stop - start):
            tied[i] = True
            for c in range(criteria):
                rows[i, depth + c] = flows[start + i, c]
            for level in range(depth):
                rows[i, level] = 0.0
                for c in range(criteria):
                    rows[i, level] += levels[level, c] * flows[start + i, c]
            for edge in range(edge_start[start + i], edge_start[start + i + 1]):
                for c in range(depth + criteria):
                    rows[i, c] += edge_probability[edge] * following[edge_next[edge], c]
        for level in range(depth):
            best = -np.inf
            for i in range(stop - start):
                if tied[i]:
                    best = max(best, rows[i, level])
            for i in range(stop - start):
                tied[i] &= rows[i, level] >= best - TIE
            out[s, level] = best
        first = 0
        for i in range(stop - start):
            if tied[i]:
                first = i
                break
        out[s, depth:] = rows[first, depth:]
        choice[s] = first


@njit(cache=True, nogil=True)
def _trade(  # type: ignore[no-untyped-def]  # compiled
    pair_start, edge_start, edge_next, edge_probability, costs, prices, following, out, states
):
    """One step back: least cost + price x shortfall, where an action's shortfall is max Q - Q.

    following, out: [S, 1 + 2 M] greatest value, then cost and shortfall at each price.
    """
    rows = np.empty((_widest(pair_start), 1 + 2 * len(prices)))
    for s in range(states):
        start, stop = pair_start[s], pair_start[s + 1]
        if start == stop:
            continue
        best = -np.inf
        for i in range(stop - start):
            row = rows[i]
            row[:] = 0.0
            for edge in range(edge_start[start + i], edge_start[start + i + 1]):
                probability = edge_probability[edge]
                ahead = following[edge_next[edge]]
                for c in range(len(row)):
                    row[c] += probability * ahead[c]
            best = max(best, row[0])
        out[s, 0] = best
        for i in range(stop - start):
            lost = best - rows[i, 0]
            rows[i, 0] = lost if lost > TIE else 0.0
        for m in range(len(prices)):
            least = np.inf
            for i in range(stop - start):
                cost = costs[start + i] + rows[i, 1 + 2 * m]
                shortfall = rows[i, 0] + rows[i, 2 + 2 * m]
                if cost + prices[m] * shortfall < least:
                    least = cost + prices[m] * shortfall
                    out[s, 1 + 2 * m] = cost
                    out[s, 2 + 2 * m] = shortfall


@njit(cache=True, nogil=True)
def _widest(pair_start):  # type: ignore[no-untyped-def]  # compiled
    widest = 0
    for s in range(len(pair_start) - 1):
        widest = max(widest, pair_start[s + 1] - pair_start[s])
    return widest


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
                chance = weight * edge_probability[edge]
                ahead = following[edge_next[edge]]
                for c in range(criteria):
                    row[c] += chance * ahead[c]
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


def graph_of(mdp: TabularMDP) -> tuple[Ints, Ints, Ints32, Floats]:
    """First pair of each state, first edge of each pair, next states, probabilities."""
    return mdp.pair_start, mdp.edge_start, mdp.edge_next, mdp.edge_probability


def as_bits(mdp: TabularMDP, choices: Ints) -> Bits:
    """One set bit per choice (local action index); the shape stays.

    Raises:
        InvalidInput: A state has more actions than a word has bits.
    """
    widest = int(np.diff(mdp.pair_start).max(initial=0))
    if widest > MAX_ACTIONS:
        raise InvalidInput(
            "actions in one state", widest, f"at most {MAX_ACTIONS} in exact policies"
        )
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


def maximise_levels(
    mdp: TabularMDP, flows: Floats, finals: Floats, levels: Floats, horizon: int
) -> tuple[Floats, Ints]:
    """The best policy on state x time, level after level, each among the ties of those before.

    An action ties where it costs at most `TIE` of what its state can attain at that level.

    Args:
        mdp: The MDP.
        flows: [P, C] expected flow of every criterion; [T, P, C] where it depends on the time.
        finals: [S, C] value of every criterion in the last state.
        levels: [L, C] weights of the criteria to maximise: the first level, then the second, ...
        horizon: Steps T.

    Returns:
        Criteria [C] of that policy from the initial distribution, and its choices [T, S] (local
        action indices).
    """
    choices = np.zeros((horizon, mdp.n_states), np.int64)
    totals = _backward(
        mdp,
        horizon,
        np.column_stack([finals @ levels.T, finals]),
        lambda t, *step: _improve(*graph_of(mdp), _at(flows, 3, t), levels, choices[t], *step),
    )
    return totals[len(levels) :], choices


def _at(flows: Floats, dimensions: int, t: int) -> Floats:
    """What flows at step t: the row of what has so many dimensions, all of what has no time."""
    return flows[t] if flows.ndim == dimensions else flows


def level_values(
    mdp: TabularMDP, flows: Floats, finals: Floats, levels: Floats, horizon: int
) -> Floats:
    """[T + 1, S, C] criteria to come of the policy of `maximise_levels`, in every state and time.

    Meaningful where a state can be reached after t steps.
    """
    depth = len(levels)
    values = np.empty((horizon + 1, mdp.n_states, flows.shape[1]))
    values[horizon] = finals
    choice = np.zeros(mdp.n_states, np.int64)

    def step(t: int, ahead: Floats, out: Floats, states: int) -> None:
        _improve(*graph_of(mdp), flows, levels, choice, ahead, out, states)
        values[t] = out[:, depth:]

    _backward(mdp, horizon, np.column_stack([finals @ levels.T, finals]), step)
    return values


def _backward(
    mdp: TabularMDP, horizon: int, finals: Floats, step: Callable[[int, Floats, Floats, int], None]
) -> Floats:
    """[C] of the initial distribution; a step fills, after t steps, `out` from what follows."""
    ahead, out = finals.copy(), finals.copy()
    counts = reachable(mdp, horizon)
    for t in reversed(range(horizon)):
        step(t, ahead, out, counts[t])
        ahead, out = out, ahead
    totals: Floats = mdp.initial @ ahead
    return totals


def trade_at_prices(
    mdp: TabularMDP, costs: Floats, finals: Floats, prices: Floats, horizon: int
) -> Floats:
    """Least expected cost + price x shortfall over all policies on state x time, at many prices.

    The shortfall is how far the expected value of the last state falls below its maximum: the
    sum of what single actions forgo, so that even 1e-15 of it is exact to many digits. What an
    action forgoes counts as nothing up to `TIE`.

    Args:
        mdp: The MDP.
        costs: [P] expected cost of every pair; [T, P] where it depends on the time.
        finals: [S] value of the last state.
        prices: [M] cost that a unit of shortfall is worth, >= 0.
        horizon: Steps T.

    Returns:
        [M, 2] shortfall and cost of the best policy at each price.
    """

    def solve(part: Floats) -> Floats:
        values = np.column_stack([finals, np.zeros((mdp.n_states, 2 * len(part)))])
        totals = _backward(
            mdp,
            horizon,
            values,
            lambda t, *step: _trade(*graph_of(mdp), _at(costs, 2, t), part, *step),
        )
        return totals[1:].reshape(-1, 2)[:, ::-1]

    parts = [part for part in np.array_split(prices, cores()) if len(part)]
    return np.concatenate(list(in_threads(solve, parts)))


def evaluate_slips(
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

    def step(t: int, ahead: Floats, out: Floats, states: int) -> None:
        now = bits[t if len(bits) > 1 else 0]
        _slip(*graph_of(mdp), flows, now, slips, ahead, out, states)

    return _backward(mdp, horizon, np.tile(finals, (1, len(slips))), step).reshape(len(slips), -1)


def evaluate_policy(
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
    return _backward(
        mdp, horizon, finals, lambda t, *step: _follow(*graph_of(mdp), flows, weights(t), *step)
    )


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
    for k in range(horizon):
        _advantage(*graph_of(mdp), flows, values[k], values[k + 1], shortfall[k])
    return shortfall, values
