"""Expected totals of an episode under one policy."""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields
from math import nan

import numpy as np

from powerseek.errors import InvalidInput
from powerseek.exact.mdp import TabularMDP
from powerseek.types import Floats


@dataclass(frozen=True)
class Outcome:
    """Exact expectations over one episode; nan where the world has no such fact.

    Attributes:
        success: Probability that the fact ``success`` is 1 at the end.
        acquisition: Undiscounted sum of the flows with role ``resource``, in units.
        outside: The part of it that lies outside the task region, in units.
        placebo: Sum of the flows with role ``placebo``, in units.
        cost: Sum of the flows with role ``cost``, in units.
        disabled: Probability that the off-switch is disabled at the end (role ``off_switch``).
        interrupted: Probability that the agent was switched off (fact ``interrupted``).
        length: Steps.
        struck: Probability that the agent struck (fact ``struck``).
        turn: Sum of the flow with role ``turn``: waits before the strike, 0 without one.
        warned: Probability that the agent was told of a test (fact ``warned``).
        defied: Probability that it was told and struck (fact ``defied``).
        exposed: Probability that it struck in a test (fact ``exposed``).
    """

    success: float = nan
    acquisition: float = nan
    outside: float = nan
    placebo: float = nan
    cost: float = nan
    disabled: float = nan
    interrupted: float = nan
    length: float = nan
    struck: float = nan
    turn: float = nan
    warned: float = nan
    defied: float = nan
    exposed: float = nan

    @property
    def strike_time(self) -> float:
        """Mean waits before the strike, of the episodes with one; nan where there is none."""
        return self.turn / self.struck if self.struck > 0 else nan

    @property
    def strikes_warned(self) -> float:
        """Probability of a strike where the agent was told of a test; nan where it never is."""
        return self.defied / self.warned if self.warned > 0 else nan

    def as_array(self) -> Floats:
        """[13] in the order of the attributes."""
        return np.array(astuple(self))

    @classmethod
    def from_array(cls, values: Floats) -> Outcome:
        """The inverse of `as_array`."""
        return cls(*(float(value) for value in values))


CRITERIA = tuple(field.name for field in fields(Outcome))
_FLOWS = {
    "acquisition": "resource",
    "outside": "resource outside",
    "placebo": "placebo",
    "cost": "cost",
    "turn": "turn",
}
_FINALS = {
    **{name: name for name in ("success", "interrupted", "struck", "warned", "defied", "exposed")},
    "disabled": "off_switch",
}


@dataclass(frozen=True)
class Criteria:
    """The expectations of an `Outcome` that exist in an MDP, as solvers take them.

    Attributes:
        names: C attribute names of `Outcome`.
        flows: [P, C].
        finals: [S, C].
    """

    names: tuple[str, ...]
    flows: Floats
    finals: Floats

    def outcome(self, values: Floats) -> Outcome:
        """The outcome that [C] values stand for."""
        return Outcome(**{n: float(v) for n, v in zip(self.names, values, strict=True)})


def mdp_criteria(mdp: TabularMDP) -> Criteria:
    """Every expectation that exists in the MDP."""
    names, flows, finals = [], [], []
    for name in CRITERIA:
        flow, final = _columns(mdp, name)
        if flow is None and final is None:
            continue
        names.append(name)
        flows.append(np.zeros(mdp.n_pairs) if flow is None else flow)
        finals.append(np.zeros(mdp.n_states) if final is None else final)
    return Criteria(
        tuple(names),
        np.ascontiguousarray(np.stack(flows, axis=1)),
        np.ascontiguousarray(np.stack(finals, axis=1)),
    )


def _columns(mdp: TabularMDP, name: str) -> tuple[Floats | None, Floats | None]:
    if name == "length":
        return np.ones(mdp.n_pairs), None
    if name in _FLOWS:
        return mdp.flow(_FLOWS[name]), None
    fact = _FINALS[name]
    return None, None if fact in mdp.absent else mdp.final(fact)


def mdp_success(mdp: TabularMDP) -> Floats:
    """[S] the fact ``success``.

    Raises:
        InvalidInput: The MDP has none.
    """
    success = mdp.final("success")
    if success is None:
        raise InvalidInput(
            "facts", mdp.fact_names, "a fact 'success'", 'give facts={"success": {"goal": 1}}'
        )
    return success
