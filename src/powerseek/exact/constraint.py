"""The freedom that a reward leaves: least and greatest acquisition of all that nearly maximise it.

A property of the treatment, computed before anything is trained (SCIENCE section 5, W(eps)).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from math import inf, isinf
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from powerseek.envs.rewards.spec import Pay
from powerseek.envs.world import World
from powerseek.errors import InvalidInput
from powerseek.exact.mdp import TabularMDP
from powerseek.exact.need import as_mdp
from powerseek.exact.pay import memoryless_reward, paid_in, pay_of
from powerseek.exact.solvers.finite import TIE
from powerseek.exact.solvers.product import NO_NODES, node_of
from powerseek.types import Floats

SHARE = 0.005
"""Eps as a fraction of what the optimum's return has above a random policy's."""

NOTHING = 1e-9
"""Such a fraction of the largest return that could be counts as no difference."""

GAP = 1e-3
"""Units between the bounds that are given and those that some policy attains."""

MAX_ROUNDS = 100
FIRST = 5
"""Prices of the first look at an end of W: a pass at ten takes three times as long as at one."""


@dataclass(frozen=True)
class Constraint:
    """How weakly a reward constrains acquisition.

    Attributes:
        low: Least acquisition, in units, of any policy whose return lies within `eps` of the best;
            no such policy acquires less, and one acquires at most `GAP` more.
        high: Greatest acquisition, likewise.
        tie_low: The same at eps 0: over optimal policies.
        tie_high: Likewise.
        best: Greatest expected return J*, at the reward's own discount.
        random: Return of the policy uniform over legal actions.
        eps: What may be forgone of the best, in return.
    """

    low: float
    high: float
    tie_low: float
    tie_high: float
    best: float
    random: float
    eps: float

    def as_array(self) -> Floats:
        """[7] in the order of the attributes."""
        return np.array(astuple(self))

    @classmethod
    def from_array(cls, values: Floats) -> Constraint:
        """The inverse of `as_array`."""
        return cls(*(float(value) for value in values))

    @property
    def width(self) -> float:
        """Units between the least and the greatest."""
        return self.high - self.low


def constraint(
    world_or_mdp: World | TabularMDP,
    reward: Any = "dense",
    gamma: float = 1.0,
    *,
    share: float = SHARE,
    eps: float | None = None,
    power_weight: float = 0.0,
) -> Constraint:
    """The freedom that a reward leaves, over all policies on state x time x the reward's memory.

    Args:
        world_or_mdp: A world, enumerated here, or an MDP, with something to acquire.
        reward: As `powerseek.exact.optimum` takes it.
        gamma: Discount of the return, in (0, 1].
        share: Eps as a fraction of J* - J(random), so that scaling a reward changes nothing.
        eps: Eps itself, in return.
        power_weight: w >= 0, as in `powerseek.exact.optimum`.

    Raises:
        InvalidInput: Nothing can be acquired; or the reward says nothing, all policies being alike
            to it; or an eps that is not above 0.
    """
    mdp = as_mdp(world_or_mdp)
    if mdp.flow("resource") is None:
        raise InvalidInput("world", str(mdp.world), "one in which something can be acquired")
    solver = _Solver(mdp, pay_of(mdp, reward, gamma, power_weight), gamma)
    best, random = solver.best, solver.random
    if best - random <= NOTHING * solver.largest * solver.steps:
        raise InvalidInput("reward", reward, "one that tells policies apart: this one says nothing")
    tie = TIE * (best - random)
    allowed = share * (best - random) if eps is None else eps
    if not allowed > 0:
        raise InvalidInput("eps", allowed, "a return above 0")
    low, high = ends = [_End(sign, allowed) for sign in (1, -1)]
    for _ in range(MAX_ROUNDS):
        asked = [(price, end) for end in ends for price in end.prices()]
        if not asked:
            tied = low.tied.acquired, -high.tied.acquired
            return Constraint(low.bound, -high.bound, *tied, best, random, allowed)
        points = solver.at([price for price, _ in asked], [end.sign for _, end in asked], tie)
        for (_, end), point in zip(asked, points, strict=True):
            end.take(point)
    raise InvalidInput("reward", "bounds that do not meet", f"bounds within {GAP} units")


class _Point(NamedTuple):
    """The policy of least signed acquisition + price x return forgone."""

    price: float
    forgone: float
    acquired: float


class _End:
    """The least signed acquisition of policies that forgo at most eps of the best return.

    The frontier of (forgone, acquired) is convex: all policies lie on or above the line of each
    point. Between one that forgoes more than eps and one that does not, the next is the best at
    the price of the chord, and at some about it: a pass at several prices costs little more.

    Attributes:
        sign: 1 for the least acquisition, -1 for the greatest.
        bound: No policy that forgoes at most eps lies below it.
        tied: The optimum, at an infinite price.
    """

    def __init__(self, sign: int, eps: float) -> None:
        self.sign, self.eps, self.bound = sign, eps, -inf
        self._near: _Point | None = None
        self._far: _Point | None = None

    def prices(self) -> list[float]:
        """Where to look next; nowhere once a policy attains the bound, to `GAP`."""
        if self._near is None:
            return [0.0, inf]
        near, far = self._near, self._far
        if far is None:
            return []
        rise, run = near.acquired - far.acquired, far.forgone - near.forgone
        if near.acquired - rise * (self.eps - near.forgone) / run - self.bound <= GAP:
            return []
        chord = rise / run
        if isinf(near.price):  # at rise / eps nobody forgoes more than eps
            return list(map(float, np.geomspace(chord, rise / self.eps, FIRST)))
        return [(far.price * chord) ** 0.5 or chord / 4, chord, (chord * near.price) ** 0.5]

    def take(self, point: _Point) -> None:
        """Count a point of the frontier."""
        if isinf(point.price):
            self.tied = point
        else:
            line = point.acquired + point.price * (point.forgone - self.eps)
            self.bound = max(self.bound, line)
        if point.forgone > self.eps:
            if self._far is None or point.forgone < self._far.forgone:
                self._far = point
        elif self._near is None or point.forgone > self._near.forgone:
            self._near = point


class _Solver:
    """Backward induction on the layers of a reward.

    Args:
        mdp: The MDP.
        pay: What is paid.
        gamma: Discount.
    """

    def __init__(self, mdp: TabularMDP, pay: Pay, gamma: float) -> None:
        self.mdp, self.gamma, self.steps = mdp, gamma, mdp.horizon()
        function = memoryless_reward(pay.reward_function, gamma)
        pay = replace(pay, reward_function=function)
        self.layers, self.classes, self.judged, self.largest = paid_in(mdp, pay, self.steps)
        self.flow: Floats = np.ascontiguousarray(mdp.flow("resource"), np.float64)
        self.start = np.flatnonzero((mdp.initial > 0) & ~mdp.terminal)
        self.best, self.random = self._back(np.zeros(0), np.zeros(0), 0.0)

    def at(self, prices: Sequence[float], signs: Sequence[int], tie: float) -> list[_Point]:
        """The best policy at each price of return in signed units; at inf the best optimal one."""
        row = self._back(np.array(prices), np.array(signs, np.float64), tie)[2:]
        return list(map(_Point, prices, map(float, row[1::2]), map(float, row[::2])))

    def _back(self, prices: Floats, signs: Floats, tie: float) -> Floats:
        """[2 + 2 M]: J*, J(random), then signed acquisition and return forgone at each price."""
        mdp, width = self.mdp, 2 + 2 * len(prices)
        graph = (mdp.pair_start, mdp.edge_start, mdp.edge_next, mdp.edge_probability)
        ahead, values = NO_NODES, np.zeros((0, width))
        for t in reversed(range(self.steps)):
            layer = self.layers[t]
            out = np.zeros((len(layer.memory), width))
            _trade_nodes(
                *graph,
                self.classes.of_edge,
                mdp.terminal,
                self.flow,
                layer.start,
                layer.memory,
                layer.reward,
                self.judged[t],
                layer.following,
                ahead.start,
                ahead.memory,
                values,
                t + 1 == self.steps,
                self.gamma,
                prices * self.gamma**t,
                signs,
                tie / self.gamma**t,
                out,
            )
            ahead, values = layer, out
        total: Floats = mdp.initial[self.start] @ values
        return total


@njit(cache=True, nogil=True)
def _trade_nodes(  # type: ignore[no-untyped-def]  # compiled
    pair_start,
    edge_start,
    edge_next,
    edge_probability,
    of_edge,
    terminal,
    flow,
    start,
    memory,
    reward,
    judged,
    following,
    next_start,
    next_memory,
    ahead,
    last,
    gamma,
    prices,
    signs,
    tie,
    out,
):
    """One step back: least flow + price x return forgone, where an action forgoes max Q - Q.

    ahead, out: [n, 2 + 2 M] greatest and random return, then flow and return forgone at each price;
    at an infinite one only actions count that forgo nothing.
    """
    width = out.shape[1]
    rows = np.empty((64, width))
    for s in range(len(start) - 1):
        first, count = pair_start[s], pair_start[s + 1] - pair_start[s]
        for node in range(start[s], start[s + 1]):
            paid, onward = reward[memory[node]], following[memory[node]]
            best = -np.inf
            for i in range(count):
                row = rows[i]
                row[:] = 0.0
                row[0] = row[1] = judged[first + i]
                for m in range(2, width, 2):
                    row[m] = signs[m // 2 - 1] * flow[first + i]
                for edge in range(edge_start[first + i], edge_start[first + i + 1]):
                    probability, state = edge_probability[edge], edge_next[edge]
                    row[0] += probability * paid[of_edge[edge]]
                    row[1] += probability * paid[of_edge[edge]]
                    if last or terminal[state]:
                        continue
                    then = ahead[node_of(next_start, next_memory, state, onward[of_edge[edge]])]
                    row[0] += probability * gamma * then[0]
                    row[1] += probability * gamma * then[1]
                    for m in range(2, width, 2):
                        row[m] += probability * then[m]
                        row[m + 1] += probability * gamma * then[m + 1]
                best = max(best, row[0])
                out[node, 1] += row[1] / count
            out[node, 0] = best
            for i in range(count):
                lost = best - rows[i, 0]
                forgone = lost if lost > tie else 0.0
                for m in range(2, width, 2):
                    rows[i, m + 1] += forgone
            for m in range(2, width, 2):
                price = prices[m // 2 - 1]
                least = np.inf
                for i in range(count):
                    if np.isinf(price):
                        if best - rows[i, 0] > tie:
                            continue
                        value = rows[i, m]
                    else:
                        value = rows[i, m] + price * rows[i, m + 1]
                    if value < least:
                        least = value
                        out[node, m] = rows[i, m]
                        out[node, m + 1] = rows[i, m + 1]
