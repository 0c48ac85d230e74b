"""Acquisition by what it was for: free, precautionary, harmful; and what was left lying.

The performance-difference identity (Kakade and Langford 2002) splits the difference of an agent
and one fixed policy, the reference, into its single actions: what each changes in success and in
acquisition to come, if the reference acts from there on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import nan

import numpy as np
from numba import njit

from powerseek.envs.task import Task
from powerseek.envs.world import World
from powerseek.exact.enumerate import enumerated
from powerseek.exact.mdp import TabularMDP
from powerseek.exact.need import two_criteria
from powerseek.exact.solvers.agent import FORGOTTEN, Occupancy, evaluate_agent
from powerseek.exact.solvers.finite import graph_of, level_values
from powerseek.exact.solvers.outcome import Outcome
from powerseek.types import Floats, Ints, Policy, Records

PRICES = (0.0, 0.02, 0.1)
"""Prices c of a unit of acquisition, in success, of the references."""

SAME_SUCCESS, SAME_ACQUISITION = 1e-9, 1e-12
"""Changes that count as none."""

UNFELT = 1e-3
"""Success a unit below which nobody can feel a price."""

MOST_FORGONE = 0.05
"""Success that a reference may give up; at a price at which it gives up more it is not used."""

PARTS = ("free", "precaution", "harmful", "restraint", "loss")


@dataclass(frozen=True, eq=False)
class Reference:
    """One deterministic policy, best by success - price x acquisition.

    Ties are broken by success, then by least acquisition, each within 1e-12.

    Attributes:
        price: c, success a unit.
        values: [T + 1, S, 2] its success and acquisition to come.
        success: Of a whole episode.
        acquisition: Of a whole episode, in units.
    """

    price: float
    values: Floats
    success: float
    acquisition: float


@dataclass(frozen=True)
class Attribution:
    """An agent's difference from a reference, by kinds of actions.

    With dS and dG what an action changes in success and in acquisition to come:

    - ``free``: dG > 0 and dS = 0, indifference;
    - ``precaution``: dG > 0 and dS > 0, success bought above the price;
    - ``harmful``: dG > 0 and dS < 0: under a sampling policy slips as well, under a greedy one
      greed or error;
    - ``restraint``: dG < 0, units that the reference would have taken, with the success lost;
    - ``loss``: dG = 0 and dS < 0.

    Labels belong to actions, not to units: an action may make more necessary later.

    Attributes:
        reference: Of which it is the difference.
        units: Part -> units of acquisition, an episode; they sum to agent - reference.
        success: Part -> success, likewise.
        unfelt: The part of ``precaution`` that buys less than `UNFELT` success a unit, in units.
    """

    reference: Reference
    units: dict[str, float]
    success: dict[str, float]
    unfelt: float

    @property
    def revealed_price(self) -> float:
        """Units paid for a unit of success by precaution; nan where there is none.

        At least 1 / c by construction.
        """
        bought = self.success["precaution"]
        return self.units["precaution"] / bought if bought > 0 else nan


@lru_cache(maxsize=8)
def reference(world: World, price: float) -> Reference:
    """The reference of a world at a price.

    Raises:
        InvalidInput: The world cannot be enumerated.
    """
    return reference_in(enumerated(world), price)


def reference_in(mdp: TabularMDP, price: float) -> Reference:
    """The reference of an MDP with something to acquire, at a price."""
    flows, finals = two_criteria(mdp, "resource", needed=False)
    levels = np.array([[1.0, -price], [1.0, 0.0], [0.0, -1.0]])
    values = level_values(mdp, flows, finals, levels, mdp.horizon())
    success, acquisition = mdp.initial @ values[0]
    return Reference(price, values, float(success), float(acquisition))


def attribution(
    task: Task,
    policy: Policy,
    *,
    prices: Sequence[float] = PRICES,
    greedy: bool = False,
) -> list[Attribution]:
    """An agent's acquisition by what it was for, at each price.

    Args:
        task: What the agent acts in.
        policy: As `powerseek.exact.agent_occupancies` takes it.
        prices: Of the references.
        greedy: True if it takes the likeliest action.

    Raises:
        InvalidInput: As `agent_occupancies`.
    """
    return outcome_and_attribution(task, policy, prices=prices, greedy=greedy)[1]


def outcome_and_attribution(
    task: Task,
    policy: Policy,
    *,
    prices: Sequence[float] = PRICES,
    greedy: bool = False,
    forgotten: float = FORGOTTEN,
) -> tuple[Outcome, list[Attribution]]:
    """`powerseek.exact.evaluate_agent` and `attribution` in one walk."""
    mdp = enumerated(task.world)
    known = [reference(task.world, price) for price in prices]
    flows, _ = two_criteria(mdp, "resource", needed=False)
    sums = np.zeros((len(known), len(PARTS) + 1, 2))

    def attribute(step: Occupancy) -> None:
        for one, into in zip(known, sums, strict=True):
            now, ahead = one.values[step.t : step.t + 2]
            _attribute(*graph_of(mdp), flows, step.taken, step.wasted, now, ahead, into)

    outcome = evaluate_agent(
        task, policy, greedy=greedy, mdp=mdp, met=attribute, forgotten=forgotten
    )
    return outcome, [
        Attribution(
            one,
            dict(zip(PARTS, into[:-1, 1].tolist(), strict=True)),
            dict(zip(PARTS, into[:-1, 0].tolist(), strict=True)),
            float(into[-1, 1]),
        )
        for one, into in zip(known, sums, strict=True)
    ]


def action_changes(
    world: World, records: Records, actions: Ints, price: float
) -> tuple[Floats, Floats, Ints]:
    """What single actions change, the reference at a price acting on after them.

    Args:
        world: The world, with something to acquire.
        records: [n] states, their clock included.
        actions: [n] what was done in each.
        price: Of the reference.

    Returns:
        dS [n], dG [n] and the part of each, a position in `PARTS`; nan and -1 where the state is
        none that the world leads to, or forbids the action.

    Raises:
        InvalidInput: The world cannot be enumerated.
    """
    mdp = enumerated(world)
    values = reference(world, price).values
    flows, _ = two_criteria(mdp, "resource", needed=False)
    found = np.full((len(records), 2), nan)
    parts = np.full(len(records), -1, np.int64)
    clocks = np.asarray(records["clock"], np.int64)
    states = mdp.find(records)
    _look_up(*graph_of(mdp), mdp.pair_action, flows, values, states, clocks, actions, found, parts)
    return found[:, 0], found[:, 1], parts


@njit(cache=True, nogil=True)
def _look_up(  # type: ignore[no-untyped-def]  # compiled
    pair_start,
    edge_start,
    edge_next,
    edge_probability,
    pair_action,
    flows,
    values,
    states,
    clocks,
    actions,
    found,
    parts,
):
    """Fill found [n, 2] and parts [n] with what actions change."""
    for i in range(len(states)):
        s, t = states[i], clocks[i]
        if s < 0 or t + 1 >= len(values):
            continue
        for pair in range(pair_start[s], pair_start[s + 1]):
            if pair_action[pair] == actions[i]:
                success, gain = _change(
                    *(edge_start, edge_next, edge_probability, flows, s, pair),
                    values[t],
                    values[t + 1],
                )
                found[i, 0], found[i, 1] = success, gain
                parts[i] = _part(success, gain)


@njit(cache=True, nogil=True)
def _change(  # type: ignore[no-untyped-def]  # compiled
    edge_start, edge_next, edge_probability, flows, s, pair, now, ahead
):
    """What a pair of state s changes: dS and dG."""
    success, gain = -now[s, 0], flows[pair, 1] - now[s, 1]
    for edge in range(edge_start[pair], edge_start[pair + 1]):
        success += edge_probability[edge] * ahead[edge_next[edge], 0]
        gain += edge_probability[edge] * ahead[edge_next[edge], 1]
    return success, gain


@njit(cache=True, nogil=True)
def _part(success, gain):  # type: ignore[no-untyped-def]  # compiled
    """The position in `PARTS` of an action with this dS and dG."""
    if gain < -SAME_ACQUISITION:
        return 3
    if gain <= SAME_ACQUISITION:
        return 4
    if success > SAME_SUCCESS:
        return 1
    if success < -SAME_SUCCESS:
        return 2
    return 0


@njit(cache=True, nogil=True)
def _attribute(  # type: ignore[no-untyped-def]  # compiled
    pair_start, edge_start, edge_next, edge_probability, flows, taken, wasted, now, ahead, sums
):
    """Add the actions of one step, `taken` [P] and `wasted` [S], to sums [parts, 2]."""
    for s in range(len(pair_start) - 1):
        if wasted[s] > 0.0:
            _count(wasted[s], ahead[s, 0] - now[s, 0], ahead[s, 1] - now[s, 1], sums)
        for pair in range(pair_start[s], pair_start[s + 1]):
            weight = taken[pair]
            if weight == 0.0:
                continue
            success, gain = _change(
                edge_start, edge_next, edge_probability, flows, s, pair, now, ahead
            )
            _count(weight, success, gain, sums)


@njit(cache=True, nogil=True)
def _count(weight, success, gain, sums):  # type: ignore[no-untyped-def]  # compiled
    """Add an action that changes success and acquisition to come by so much to its part."""
    part = _part(success, gain)
    sums[part, 0] += weight * success
    sums[part, 1] += weight * gain
    if part == 1 and success < UNFELT * gain:
        sums[5, 0] += weight * success
        sums[5, 1] += weight * gain
