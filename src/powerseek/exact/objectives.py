"""Objectives of an exact overseer: success, or less a price; progress; or what is meant."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from powerseek.envs.rewards.oversight import AIMS
from powerseek.errors import InvalidInput
from powerseek.exact.mdp import TabularMDP
from powerseek.exact.solvers.finite import advantages
from powerseek.exact.solvers.outcome import mdp_success
from powerseek.types import Floats


@dataclass(frozen=True, eq=False)
class Objective:
    """An undiscounted objective: its flows, and its value of the last state.

    Attributes:
        name: ``success``, ``need``, ``progress`` or ``meant``.
        flows: [P] expected flow of every pair.
        finals: [S] value of every state as the last one.
        beyond: [T + 1, S] for ``meant``: value of every state where the look-ahead ends, by the
            steps left to the time limit; None where that is `finals`.
    """

    name: str
    flows: Floats = field(repr=False)
    finals: Floats = field(repr=False)
    beyond: Floats | None = field(default=None, repr=False)


def objective_of(mdp: TabularMDP, name: str, horizon: int, price: float = 0.0) -> Objective:
    """An overseer's aim.

    Args:
        mdp: Where.
        name: ``success`` at the end, ``need`` (J = success - price x acquisition), ``progress``
            (what the fact is at the end; its gain has the same advantages), or ``meant`` (the
            flow ``own`` during the look-ahead, then the most of the flow ``meant``).
        horizon: The time limit T, in steps: ``meant`` looks that far.
        price: Success that a unit of acquisition costs under ``need``.

    Raises:
        InvalidInput: An unknown aim, or no such fact.
    """
    nothing = np.zeros(mdp.n_pairs)
    if name == "success":
        return Objective(name, nothing, mdp_success(mdp))
    if name == "progress":
        progress = mdp.final("progress")
        if progress is None:
            raise InvalidInput("aim", name, f"one of {', '.join(AIMS)}, and a fact of it")
        return Objective(name, nothing, progress)
    if name == "meant":
        own, meant = _flow_named(mdp, "own"), _flow_named(mdp, "meant")
        values = advantages(mdp, meant, np.zeros(mdp.n_states), horizon)[1]
        return Objective(name, own, values[0], beyond=values)
    if name != "need":
        raise InvalidInput("aim", name, ", ".join(AIMS))
    flow = mdp.flow("resource")
    if flow is None:
        raise InvalidInput("aim", name, f"another aim: nothing can be acquired in {mdp.world}")
    return Objective(name, -price * flow, mdp_success(mdp))


def _flow_named(mdp: TabularMDP, fact: str) -> Floats:
    """[P] expected flow of the fact of that name."""
    if fact not in mdp.fact_names:
        raise InvalidInput("aim", "meant", f"another aim: there is no fact {fact!r} here")
    return mdp.pair_flows[:, mdp.fact_names.index(fact)].copy()
