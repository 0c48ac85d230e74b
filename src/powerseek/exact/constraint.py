"""The freedom that a reward leaves: least and greatest acquisition of all that nearly maximise it.

A property of the treatment, computed before anything is trained (SCIENCE section 5, W(eps)).
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, replace
from typing import Any

import numpy as np
from numba import njit

from powerseek.envs.rewards.spec import Pay
from powerseek.envs.world import World
from powerseek.errors import InvalidInput
from powerseek.exact.mdp import TabularMDP
from powerseek.exact.need import as_mdp
from powerseek.exact.pay import judgements, memoryless_reward, pay_of
from powerseek.exact.solvers.finite import TIE
from powerseek.exact.solvers.product import Layer, node_of, product_layers
from powerseek.types import Floats

SHARE = 0.005
"""Eps as a fraction of what the optimum's return has above a random policy's."""

NOTHING = 1e-9
"""Such a fraction of the largest return that could be counts as no difference."""

GAP = 1e-3
"""Units between the bounds that are given and those that some policy attains."""

MAX_STEPS = 200


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
    ends = [sign * solver.extreme(sign, allowed, tie) for sign in (1, -1)]
    ties = [sign * solver.tied(sign, tie) for sign in (1, -1)]
    return Constraint(ends[0], ends[1], ties[0], ties[1], best, random, allowed)


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
        unjudged = replace(pay, reward_function=function.unjudged)
        self.layers, self.classes = product_layers(mdp, unjudged, self.steps)
        self.judged = judgements(mdp, function, self.steps)
        paid = [*(layer.reward for layer in self.layers), *self.judged]
        self.largest = max((float(np.abs(part).max(initial=0)) for part in paid), default=0.0)
        self.flow: Floats = np.ascontiguousarray(mdp.flow("resource"), np.float64)
        self.start = np.flatnonzero((mdp.initial > 0) & ~mdp.terminal)
        self.best, self.random = self._back(np.zeros(0), 1, 0.0)[:2]

    def at(self, price: float, sign: int, tie: float) -> tuple[float, float]:
        """(return forgone, signed acquisition) of the best policy at a price of return in units."""
        row = self._back(np.array([price]), sign, tie)
        return float(row[3]), float(row[2])

    def tied(self, sign: int, tie: float) -> float:
        """Least signed acquisition over optimal policies."""
        return self.at(np.inf, sign, tie)[1]

    def extreme(self, sign: int, eps: float, tie: float) -> float:
        """Greatest lower bound on signed acquisition of policies that forgo at most eps.

        The frontier of (forgone, acquisition) is convex: between a policy that forgoes more than
        eps and one that forgoes less, the next is the best at the price of the chord.
        """
        far = self.at(0.0, sign, tie)
        if far[0] <= eps:
            return far[1]
        price = max(abs(far[1]), 1.0) / eps
        near = self.at(price, sign, tie)
        lines = [(0.0, far[1]), (price, near[1] + price * near[0])]
        for _ in range(MAX_STEPS):
            if near[0] > eps:  # not dear enough yet
                far, price = near, price * 10
                near = self.at(price, sign, tie)
                lines.append((price, near[1] + price * near[0]))
                continue
            bound = max(level - slope * eps for slope, level in lines)
            part = (eps - near[0]) / (far[0] - near[0])
            attained = near[1] + part * (far[1] - near[1])
            if attained - bound <= GAP:
                return bound
            slope = (near[1] - far[1]) / (far[0] - near[0])
            middle = self.at(slope, sign, tie)
            lines.append((slope, middle[1] + slope * middle[0]))
            if middle[0] > eps:
                far = middle
            else:
                near = middle
        raise InvalidInput("reward", "bounds that do not meet", f"bounds within {GAP} units")

    def _back(self, prices: Floats, sign: int, tie: float) -> Floats:
        """[2 + 2 M]: J*, J(random), then signed acquisition and return forgone at each price."""
        mdp, width = self.mdp, 2 + 2 * len(prices)
        graph = (mdp.pair_start, mdp.edge_start, mdp.edge_next, mdp.edge_probability)
        ahead, values = _NOTHING, np.zeros((0, width))
        for t in reversed(range(self.steps)):
            layer = self.layers[t]
            out = np.zeros((len(layer.memory), width))
            _trade_nodes(
                *graph,
                self.classes.of_edge,
                mdp.terminal,
                sign * self.flow,
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
                tie / self.gamma**t,
                out,
            )
            ahead, values = layer, out
        total: Floats = mdp.initial[self.start] @ values
        return total


_NOTHING = Layer(
    np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros((0, 0)), np.zeros((0, 0), np.int32)
)


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
                    row[m] = flow[first + i]
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
