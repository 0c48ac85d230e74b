"""Infinite-horizon discounted solvers, exact up to a certified absolute error.

Deterministic graphs: policy iteration (Howard 1960) in which a policy, being a graph with one arrow
out of every state, is evaluated in one pass. Stochastic ones: modified policy iteration (Puterman
and Shin 1978). Either way the error comes from the last Bellman residual (MacQueen 1966), never
from a relative change, so that it means the same at every discount.

Reward is received in the state. A terminal state is absorbing: its own only successor.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from powerseek.errors import InvalidInput
from powerseek.exact.mdp import Ints32, TabularMDP
from powerseek.exact.solvers import bellman
from powerseek.exact.solvers.finite import WHOLE
from powerseek.exact.solvers.threads import in_threads
from powerseek.types import Floats, Ints

TOLERANCE = 1e-9
"""Default bound on the absolute error of a value, in units of reward."""


Graph = tuple[Ints, Ints, Ints32, Floats]
"""First pair of each state, first edge of each pair, next states, probabilities."""


@dataclass(frozen=True, eq=False)
class Solution:
    """Optimal values of every state under many reward functions.

    Attributes:
        values: [S, R], V*(s) = R(s) + max_a (r(s, a) + gamma E V*(s')).
        error: Bound on |values - V*| that holds for every state and reward function, in units of
            reward: from the last Bellman residual, rounding included.
    """

    values: Floats
    error: float


def solve(
    mdp: TabularMDP,
    rewards: Floats,
    gamma: float,
    *,
    pair_rewards: Floats | None = None,
    tolerance: float = TOLERANCE,
) -> Solution:
    """Optimal discounted values, one reward function a column.

    Args:
        mdp: Where.
        rewards: [S] or [S, R], received in the state (in a terminal one for ever).
        gamma: Discount, in (0, 1).
        pair_rewards: [P] or [P, R], received besides for taking the pair.
        tolerance: Wanted bound on the absolute error, > 0. Deterministic graphs are always
            solved to rounding; elsewhere the error returned exceeds it only where rounding does.

    Raises:
        InvalidInput: A shape that does not fit, a reward that is not finite, or a gamma or
            tolerance that is not allowed.
    """
    check_gamma(gamma)
    check_tolerance(tolerance)
    states, pairs = _columns(mdp, rewards, pair_rewards)
    graph = arrays_of(mdp)

    def column(i: int) -> tuple[Floats, float]:
        return solve_one(graph, states[i], pairs[i], gamma, tolerance)

    return _solution(in_threads(column, range(len(states))))


def _solution(columns: Iterable[tuple[Floats, float]]) -> Solution:
    values, errors = zip(*columns, strict=True)
    return Solution(np.stack(values, axis=1), max(errors))


def action_values(
    mdp: TabularMDP,
    rewards: Floats,
    gamma: float,
    values: Floats,
    pair_rewards: Floats | None = None,
) -> Floats:
    """[P, R] (or [P]): R(s) + r(s, a) + gamma E V(s') of every pair.

    Args:
        mdp: Where.
        rewards: [S] or [S, R].
        gamma: Discount, in (0, 1).
        values: [S] or [S, R], of what comes after: `Solution.values`, say.
        pair_rewards: [P] or [P, R].

    Raises:
        InvalidInput: As in `solve`.
    """
    check_gamma(gamma)
    states, pairs = _columns(mdp, rewards, pair_rewards)
    after = np.atleast_2d(np.asarray(values, np.float64).T)
    if after.shape[1] != mdp.n_states or len(after) not in (1, len(states)):
        raise InvalidInput("values", np.shape(values), f"shape ({mdp.n_states}, {len(states)})")
    ahead = np.stack([expected_next_value(mdp, row) for row in after])
    paid = pairs if pair_rewards is not None else 0.0
    found = (states[:, mdp.pair_state] + paid + gamma * ahead).T
    return found[:, 0] if np.ndim(rewards) == np.ndim(values) == 1 else found


def policy_values(
    mdp: TabularMDP,
    weights: Floats,
    rewards: Floats,
    gamma: float,
    pair_rewards: Floats | None = None,
    *,
    tolerance: float = TOLERANCE,
) -> Floats:
    """[S, R] values of a policy that does not look at the clock; see `policy_solution`."""
    return policy_solution(mdp, weights, rewards, gamma, pair_rewards, tolerance=tolerance).values


def policy_solution(
    mdp: TabularMDP,
    weights: Floats,
    rewards: Floats,
    gamma: float,
    pair_rewards: Floats | None = None,
    *,
    tolerance: float = TOLERANCE,
) -> Solution:
    """Values of a policy that does not look at the clock, one reward function a column.

    Args:
        mdp: Where.
        weights: [P] probability of every pair given its state.
        rewards: [S] or [S, R].
        gamma: Discount, in (0, 1).
        pair_rewards: [P] or [P, R].
        tolerance: Wanted bound on the absolute error, > 0; the error returned exceeds it only
            where rounding does.

    Raises:
        InvalidInput: As in `solve`, or weights that do not sum to 1 in every state.
    """
    check_gamma(gamma)
    check_tolerance(tolerance)
    weights = check_pair_weights(mdp, weights)
    states, pairs = _columns(mdp, rewards, pair_rewards)
    graph = arrays_of(mdp)

    def column(i: int) -> tuple[Floats, float]:
        out: Floats = states[i] / (1 - gamma)
        error = bellman.evaluate(*graph, weights, states[i], pairs[i], gamma, tolerance, out)
        return out, float(error)

    return _solution(in_threads(column, range(len(states))))


def expected_next_value(mdp: TabularMDP, values: Floats) -> Floats:
    """[P] expectation of `values` [S] of the next state."""
    if mdp.deterministic:
        ahead: Floats = values[mdp.edge_next]
        return ahead
    if not mdp.n_pairs:
        return np.zeros(0)
    found: Floats = np.add.reduceat(
        mdp.edge_probability * values[mdp.edge_next], mdp.edge_start[:-1]
    )
    return found


def maximum_over_actions(mdp: TabularMDP, pairs: Floats, ends: Floats) -> Floats:
    """[S] greatest of `pairs` [P] in every state, `ends` [S] where the episode is over."""
    out = ends.copy()
    alive = np.flatnonzero(~mdp.terminal)
    if len(alive):
        out[alive] = np.maximum.reduceat(pairs, mdp.pair_start[alive])
    return out


def check_gamma(gamma: float) -> None:
    """Refuse a discount outside (0, 1).

    Raises:
        InvalidInput: With what to write for the limits 0 and 1.
    """
    if not 0 < gamma < 1:
        limit = f"Write power_limit(mdp, {gamma:g}) for the limit." if gamma in (0, 1) else ""
        raise InvalidInput("gamma", gamma, "a number above 0 and below 1 (both are limits)", limit)


def check_tolerance(tolerance: float) -> None:
    """Refuse a bound on an error that is not above 0.

    Raises:
        InvalidInput: It is not.
    """
    if not 0 < tolerance < np.inf:
        raise InvalidInput("tolerance", tolerance, "an absolute error > 0", "Write tolerance=1e-9.")


def check_pair_weights(mdp: TabularMDP, weights: Floats) -> Floats:
    """Pair probabilities [P] that sum to 1 in every state that is not over.

    Raises:
        InvalidInput: They are not.
    """
    found = np.ascontiguousarray(weights, np.float64)
    if found.shape != (mdp.n_pairs,):
        raise InvalidInput("weights", found.shape, f"shape ({mdp.n_pairs},), one a pair")
    sums = np.bincount(mdp.pair_state, found, mdp.n_states)
    wrong = (np.abs(sums - 1) > WHOLE) & ~mdp.terminal
    if not np.isfinite(found).all() or (found < 0).any() or wrong.any():
        state = int(wrong.argmax())
        raise InvalidInput(
            "weights",
            f"a sum of {sums[state]:.6g} in state {state}",
            "probabilities >= 0 that sum to 1 in every state",
        )
    return found


def arrays_of(mdp: TabularMDP) -> Graph:
    """The graph as kernels take it; without probabilities where every pair has one edge."""
    probability = np.zeros(0) if mdp.deterministic else mdp.edge_probability
    return mdp.pair_start, mdp.edge_start, mdp.edge_next, probability


def solve_one(
    graph: Graph, reward: Floats, pair_reward: Floats, gamma: float, tolerance: float
) -> tuple[Floats, float]:
    """(values [S], certified error) of one reward function; releases the interpreter's lock.

    Args:
        graph: From `arrays_of`.
        reward: [S].
        pair_reward: [P], or [0] for none.
        gamma: Discount.
        tolerance: As in `solve`.
    """
    values = reward / (1 - gamma)
    if len(graph[3]):
        error = bellman.modified_policy_iteration(
            *graph, reward, pair_reward, gamma, tolerance, values
        )
    else:
        error = bellman.policy_iteration(
            graph[0], graph[2], reward, pair_reward, gamma, tolerance, values
        )
    return values, float(error)


def average_next(
    graph: Graph, rows: Floats, class_of: Ints32, gamma: float, tolerance: float
) -> tuple[Floats, Floats, float]:
    """Optimal value of the next state, averaged over reward functions: what POWER is made of.

    Args:
        graph: From `arrays_of`.
        rows: [n, classes], one reward function on classes of states a row.
        class_of: [S], class of each state.
        gamma: Discount.
        tolerance: As in `solve`.

    Returns:
        Mean [S] over rows of (1 - gamma) max_a E V*(s'), its sum [S] of squared deviations, and
        the certified bound on the absolute error of the mean.
    """
    states = len(graph[0]) - 1
    mean, square = np.zeros(states), np.zeros(states)
    error = bellman.average_next(*graph, rows, class_of, gamma, tolerance, mean, square)
    return mean, square, (1 - gamma) * float(error)


def _columns(
    mdp: TabularMDP, rewards: Floats, pair_rewards: Floats | None
) -> tuple[Floats, Floats]:
    """Rewards as contiguous rows [R, S], and of pairs [R, P] (or [R, 0] if there are none)."""
    states = _rows("rewards", rewards, mdp.n_states, "state")
    if pair_rewards is None:
        return states, np.zeros((len(states), 0))
    pairs = _rows("pair_rewards", pair_rewards, mdp.n_pairs, "(state, action) pair")
    count = max(len(states), len(pairs))
    if {len(states), len(pairs)} - {1, count}:
        raise InvalidInput("pair_rewards", np.shape(pair_rewards), f"{len(states)} columns")
    return (
        np.ascontiguousarray(np.broadcast_to(states, (count, mdp.n_states))),
        np.ascontiguousarray(np.broadcast_to(pairs, (count, mdp.n_pairs))),
    )


def _rows(name: str, given: Floats, size: int, of: str) -> Floats:
    array = np.asarray(given, np.float64)
    if array.ndim not in (1, 2) or len(array) != size or not array.size:
        raise InvalidInput(name, array.shape, f"shape ({size},) or ({size}, R): one row a {of}")
    rows = np.ascontiguousarray(np.atleast_2d(array.T))
    if not np.isfinite(rows).all():
        column, row = np.argwhere(~np.isfinite(rows))[0]
        raise InvalidInput(f"{name}[{row}]", float(rows[column, row]), "finite numbers")
    return rows
