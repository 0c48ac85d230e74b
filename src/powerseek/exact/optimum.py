"""A reward function's own optimum, exactly: its value and what its optimal policies do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numba import njit

from powerseek.envs.rewards.spec import Pay, RewardFunction, Spec
from powerseek.envs.world import World
from powerseek.errors import InvalidInput
from powerseek.exact.constraint import Constraint
from powerseek.exact.enumerate import DEFAULT_LIMIT
from powerseek.exact.mdp import TabularMDP
from powerseek.exact.need import Frontier, as_mdp
from powerseek.exact.pay import memoryless_reward, paid_in, pay_of
from powerseek.exact.solvers.evaluate import evaluate
from powerseek.exact.solvers.finite import Bits, as_bits
from powerseek.exact.solvers.outcome import CRITERIA, Outcome, mdp_criteria
from powerseek.exact.solvers.policy import TabularPolicy
from powerseek.exact.solvers.product import NO_NODES, node_of
from powerseek.types import Floats

TIE = 1e-9
"""Q values closer than this times the reward's largest payment count as tied."""


@dataclass(frozen=True, eq=False)
class Optimum:
    """The behaviour of a perfect maximiser of one reward in one configuration.

    Optimal policies differ where actions tie (within `TIE` times the largest payment). ``low``
    and ``high`` hold each expectation's range over all of them, one expectation at a time: the
    lows together need not belong to any single policy.

    Attributes:
        value: Expected discounted return of the reward.
        low: Least of each expectation over optimal policies.
        high: Greatest of each.
        uniform: The policy uniform over optimal actions: the point estimate.
        competence: Success of that policy with the hazard off; nan where not asked for, or
            where the without_interruption world has states that it never learnt to act in.
        power_seeking: POWER-seeking score of that policy; nan where not asked for.
        constraint: The acquisition that the reward leaves open; None where not asked for, where
            nothing can be acquired, or where the reward says nothing.
        policy: That policy, as a lookup; None where it needs the reward's memory, which a lookup
            by state and clock does not have (only ``every`` at gamma < 1), or from a file.
    """

    value: float
    low: Outcome
    high: Outcome
    uniform: Outcome
    competence: float = np.nan
    power_seeking: float = np.nan
    constraint: Constraint | None = None
    policy: TabularPolicy | None = field(default=None, repr=False)

    def incentive(self, frontier: Frontier | None) -> tuple[float, float, float]:
        """(point, low, high) of acquisition beyond need at the optimum's own success, in units.

        The point is the uniform policy's. low and high bound it over all optimal policies
        (outer bounds: they take the worst success and the worst acquisition together; no policy
        acquires less than need) and over the gap of the frontier. nan without a frontier
        (nothing to acquire).
        """
        if frontier is None:
            return np.nan, np.nan, np.nan
        point = self.uniform.acquisition - float(np.mean(frontier.at(self.uniform.success)))
        top = min(self.high.success, frontier.max_success)
        low = max(0.0, self.low.acquisition - frontier.at(top)[1])
        high = self.high.acquisition - frontier.at(self.low.success)[0]
        return point, low, high

    def to_arrays(self) -> dict[str, Floats]:
        """Arrays from which `from_arrays` makes the optimum again, without its policy."""
        rows = (self.low, self.high, self.uniform)
        return {
            "value": np.array(self.value),
            "competence": np.array(self.competence),
            "power_seeking": np.array(self.power_seeking),
            "outcomes": np.stack([row.as_array() for row in rows]),
            "constraint": self.constraint.as_array() if self.constraint else np.zeros(0),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> Optimum:
        """The inverse of `to_arrays`."""
        low, high, uniform = (Outcome.from_array(row) for row in arrays["outcomes"])
        scores = float(arrays["competence"]), float(arrays["power_seeking"])
        open_ = arrays["constraint"]
        left = Constraint.from_array(open_) if len(open_) else None
        return cls(float(arrays["value"]), low, high, uniform, *scores, constraint=left)


def optimum(
    world_or_mdp: World | TabularMDP,
    reward: Spec | RewardFunction | Pay = "dense",
    gamma: float = 1.0,
    *,
    time_limit: str = "terminal",
    power_weight: float = 0.0,
    holdings_scale: float | None = None,
    horizon: int | None = None,
    calm: TabularMDP | None = None,
    collapse: bool = True,
    limit: int = DEFAULT_LIMIT,
) -> Optimum:
    """The exact optimum of a reward function over (state, reward memory, clock).

    The reward object itself is asked what every edge pays, so its accumulator, its flush at the
    time limit and its discounting are what they are in training; and its overseer, where it has
    one, what every pair pays at every time. Random payment (``thinned``) is replaced by its
    expectation.

    Args:
        world_or_mdp: A world, enumerated here, or an MDP.
        reward: The reward, as in a study; a reward function; or all that a task pays, `Task.pay`
            (for these two power_weight must be 0). One that needs an overseer and has none gets
            the exact one.
        gamma: Discount, in (0, 1].
        time_limit: Must be ``terminal``.
        power_weight: w >= 0, paid for all the holdings attainable.
        holdings_scale: Attainable maximum of the holdings; computed by default.
        horizon: Steps T; the world's time limit by default.
        calm: The world with its hazard off, enumerated, to measure competence in.
        collapse: Solve ``every`` as ``dense`` where it keeps the discounted return of every
            policy (gamma 1, or corrected): same optima, no accumulator in the state. False
            walks through the accumulator all the same.
        limit: Most states to enumerate.

    Raises:
        InvalidInput: ``time_limit: bootstrap``: past the limit the learner's problem has no end, so
            backward induction has no last step (no oracle). Or a reward that is not allowed.
    """
    if time_limit != "terminal":
        raise InvalidInput(
            "time_limit",
            time_limit,
            "terminal in exact optima: a bootstrapped time limit has no last step (no oracle)",
            "Write time_limit: terminal.",
        )
    mdp = as_mdp(world_or_mdp, limit)
    steps = mdp.horizon(horizon)
    pay = pay_of(mdp, reward, gamma, power_weight, holdings_scale, steps)
    function = pay.reward_function
    as_bits(mdp, np.zeros(0, np.int64))
    function = memoryless_reward(function, gamma) if collapse else function.mean
    value, ranges, bits = _solve(mdp, replace(pay, reward_function=function), gamma, steps)
    measured = mdp_criteria(mdp)
    rows = np.full((3, len(CRITERIA)), np.nan)
    rows[:, [CRITERIA.index(name) for name in measured.names]] = ranges
    low, high, uniform = (Outcome.from_array(row) for row in rows)
    policy = None if bits is None else TabularPolicy(mdp, bits, "optimum")
    return Optimum(value, low, high, uniform, _competence(policy, calm, steps), policy=policy)


def _solve(
    mdp: TabularMDP, pay: Pay, gamma: float, steps: int
) -> tuple[float, Floats, Bits | None]:
    """Value, ranges [3, C], and the actions [T, S] where they do not depend on memory."""
    if not 0 < gamma <= 1:
        raise InvalidInput("gamma", gamma, "a number above 0, at most 1")
    measured = mdp_criteria(mdp)
    found, classes, judged, largest = paid_in(mdp, pay, steps)
    tie = TIE * (largest or 1.0)
    graph = (mdp.pair_start, mdp.edge_start, mdp.edge_next, mdp.edge_probability, classes.of_edge)
    width = len(measured.names)
    ahead, ahead_value, ahead_ranges = NO_NODES, np.zeros(0), np.zeros((0, 3, width))
    actions = np.zeros((steps, mdp.n_states), np.uint64)
    memoryless = True
    for t in reversed(range(steps)):
        layer = found[t]
        nodes = len(layer.memory)
        value, ranges = np.zeros(nodes), np.zeros((nodes, 3, width))
        bits = np.zeros(nodes, np.uint64)
        _back(
            *graph,
            mdp.terminal,
            measured.flows,
            measured.finals,
            layer.start,
            layer.memory,
            layer.reward,
            judged[t],
            layer.following,
            ahead.start,
            ahead.memory,
            ahead_value,
            ahead_ranges,
            t + 1 == steps,
            gamma,
            tie,
            value,
            ranges,
            bits,
        )
        memoryless &= bool(_agree(layer.start, bits, actions[t]))
        ahead, ahead_value, ahead_ranges = layer, value, ranges
    started = np.flatnonzero((mdp.initial > 0) & ~mdp.terminal)
    over = mdp.initial * mdp.terminal
    total = np.tile(over @ measured.finals, (3, 1))
    if not steps:
        return 0.0, np.tile(mdp.initial @ measured.finals, (3, 1)), actions
    weight = mdp.initial[started]
    total += np.tensordot(weight, ahead_ranges, 1)
    return float(weight @ ahead_value), total, actions if memoryless else None


def _competence(policy: TabularPolicy | None, calm: TabularMDP | None, steps: int) -> float:
    if policy is None or calm is None:
        return float("nan")
    try:
        return evaluate(calm, policy, steps).success
    except InvalidInput:
        return float("nan")


@njit(cache=True, nogil=True)
def _back(  # type: ignore[no-untyped-def]  # compiled
    pair_start,
    edge_start,
    edge_next,
    edge_probability,
    of_edge,
    terminal,
    flows,
    finals,
    start,
    memory,
    reward,
    judged,
    following,
    next_start,
    next_memory,
    next_value,
    next_ranges,
    last,
    gamma,
    tie,
    value,
    ranges,
    bits,
):
    """One step back over nodes: value [n], ranges [n, 3, C] over the optimal actions, bits [n].

    judged [P] is what every pair pays besides its edges. ranges holds, per criterion, the least
    and the greatest over all optimal policies and the value of the policy uniform over optimal
    actions.
    """
    criteria = flows.shape[1]
    q = np.empty(64)
    row = np.empty((3, criteria))
    for s in range(len(start) - 1):
        first, count = pair_start[s], pair_start[s + 1] - pair_start[s]
        for node in range(start[s], start[s + 1]):
            paid, onward = reward[memory[node]], following[memory[node]]
            best = -np.inf
            for i in range(count):
                total = judged[first + i]
                for edge in range(edge_start[first + i], edge_start[first + i + 1]):
                    gain = paid[of_edge[edge]]
                    state = edge_next[edge]
                    if not last and not terminal[state]:
                        ahead = node_of(next_start, next_memory, state, onward[of_edge[edge]])
                        gain += gamma * next_value[ahead]
                    total += edge_probability[edge] * gain
                q[i] = total
                best = max(best, total)
            value[node] = best
            chosen = np.uint64(0)
            ties = 0
            for i in range(count):
                if q[i] < best - tie:
                    continue
                ties += 1
                chosen |= np.uint64(1) << np.uint64(i)
                row[:] = flows[first + i]
                for edge in range(edge_start[first + i], edge_start[first + i + 1]):
                    probability = edge_probability[edge]
                    state = edge_next[edge]
                    if last or terminal[state]:
                        row += probability * finals[state]
                    else:
                        ahead = node_of(next_start, next_memory, state, onward[of_edge[edge]])
                        row += probability * next_ranges[ahead]
                if ties == 1:
                    ranges[node] = row
                    continue
                for c in range(criteria):
                    ranges[node, 0, c] = min(ranges[node, 0, c], row[0, c])
                    ranges[node, 1, c] = max(ranges[node, 1, c], row[1, c])
                    ranges[node, 2, c] += row[2, c]
            for c in range(criteria):
                ranges[node, 2, c] /= ties
            bits[node] = chosen


@njit(cache=True)
def _agree(start, bits, out):  # type: ignore[no-untyped-def]  # compiled
    """Actions [S] optimal whatever the memory: True where all nodes of each state agree."""
    same = True
    for s in range(len(start) - 1):
        for node in range(start[s], start[s + 1]):
            if node == start[s]:
                out[s] = bits[node]
            elif bits[node] != out[s]:
                same = False
                out[s] &= bits[node]
    return same
