"""Objectives of an exact overseer: success, progress, what is meant, or success and little else.

The last is J = success - eps x acquisition. eps must be so small that success comes first. How
small depends on the world: the last bit of success can be bought with a great deal (the slope of
the need frontier at its end), so eps is taken from that slope and then certified by backward
induction, never assumed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import nan

import numpy as np

from powerseek.envs.rewards.oversight import AIMS
from powerseek.errors import InvalidInput
from powerseek.exact.mdp import TabularMDP
from powerseek.exact.need import need
from powerseek.exact.solvers.finite import advantages, maximise_levels
from powerseek.exact.solvers.outcome import mdp_success
from powerseek.types import Floats

SLACK = 1e-9
"""How far the J-optimum may fall short of the greatest attainable success."""

MIN_EPS = 1e-12
"""Below it, rounding decides: no eps is certified."""

_SLOPES = 100


@dataclass(frozen=True)
class Certificate:
    """That eps puts success first: what every J-optimal policy does, by backward induction.

    Where J-optimal policies differ, it is the one with the least success that is written down.

    Attributes:
        eps: Success that a unit of acquisition costs in J; 0 where nothing can be acquired.
        slack: Success that the aim was allowed to forgo.
        max_success: Greatest attainable success.
        need: Least acquisition at that success, in units; nan where there is none.
        success: Success of the J-optimum, at least max_success - slack - `SLACK`.
        acquisition: Its acquisition, in units; nan where there is none.
    """

    eps: float
    slack: float
    max_success: float
    need: float
    success: float
    acquisition: float

    @property
    def forgone(self) -> float:
        """Success that the aim gives up to acquire less."""
        return max(0.0, self.max_success - self.success)

    @property
    def saved(self) -> float:
        """Units of acquisition that it saves."""
        return self.need - self.acquisition


@dataclass(frozen=True, eq=False)
class Objective:
    """An undiscounted objective: its flows, and its value of the last state.

    Attributes:
        name: ``need``, ``success``, ``progress`` or ``meant``.
        flows: [P] expected flow of every pair.
        finals: [S] value of every state as the last one.
        certificate: For ``need``; None for the others.
        beyond: [T + 1, S] for ``meant``: value of every state where the look-ahead ends, by the
            steps left to the time limit; None where that is `finals`.
    """

    name: str
    flows: Floats = field(repr=False)
    finals: Floats = field(repr=False)
    certificate: Certificate | None = None
    beyond: Floats | None = field(default=None, repr=False)


def objective_of(mdp: TabularMDP, name: str, horizon: int, slack: float = 0.0) -> Objective:
    """An overseer's aim.

    Args:
        mdp: Where.
        name: ``need`` (J = success - eps x acquisition), ``success`` at the end, ``progress``
            (what the fact is at the end; its gain has the same advantages), or ``meant`` (the
            flow ``own`` during the look-ahead, then the most of the flow ``meant``).
        horizon: The time limit T, in steps: eps is certified for it, and ``meant`` looks that far.
        slack: Success that ``need`` may forgo to acquire less, in [0, 1).

    Raises:
        InvalidInput: An unknown aim, no such fact, or no eps that puts success first.
    """
    nothing = np.zeros(mdp.n_pairs)
    if name == "success":
        return Objective(name, nothing, mdp_success(mdp))
    if name == "progress":
        progress = mdp.final("progress")
        if progress is None:
            raise InvalidInput("approval.aim", name, f"one of {', '.join(AIMS)}, and a fact of it")
        return Objective(name, nothing, progress)
    if name == "meant":
        own, meant = _flow_named(mdp, "own"), _flow_named(mdp, "meant")
        values = advantages(mdp, meant, np.zeros(mdp.n_states), horizon)[1]
        return Objective(name, own, values[0], beyond=values)
    if name != "need":
        raise InvalidInput("approval.aim", name, ", ".join(AIMS))
    found = certified(mdp, horizon, slack)
    flow = mdp.flow("resource")
    return Objective(name, nothing if flow is None else -found.eps * flow, mdp_success(mdp), found)


def _flow_named(mdp: TabularMDP, fact: str) -> Floats:
    """[P] expected flow of the fact of that name."""
    if fact not in mdp.fact_names:
        raise InvalidInput("approval.aim", "meant", f"another aim: there is no fact {fact!r} here")
    return mdp.pair_flows[:, mdp.fact_names.index(fact)].copy()


def certified(mdp: TabularMDP, horizon: int, slack: float = 0.0) -> Certificate:
    """The price eps of acquisition in J that gives up at most `slack` of success.

    It starts at half of the reciprocal of the need frontier's steepest slope (with `slack`, at
    the reciprocal of the frontier's price there), never above 1 / (greatest attainable
    acquisition), and is halved until no J-optimal policy forgoes more than that.

    CAVEAT: certified from the initial states. In a state that no J-optimal policy ever enters,
    J may give up success for less acquisition. And where the last bit of success is dear, eps is
    tiny (5e-6 a unit in the default homestead): an optimum heeds it, a learner hardly can;
    `slack` buys a price that learners feel.

    Raises:
        InvalidInput: No eps of at least `MIN_EPS` does.
    """
    problem = _Problem(mdp, horizon)
    least, end, top = problem.ends()
    if not top[1] > 0:
        acquired = nan if problem.barren else end[1]
        return Certificate(0.0, slack, end[0], acquired, end[0], acquired)
    eps = min(_starting_eps(problem, least, end, slack), 1 / top[1])
    while eps >= MIN_EPS:
        success, acquisition = problem.worst(eps)
        if success >= end[0] - slack - SLACK:
            return Certificate(eps, slack, *end, success, acquisition)
        eps /= 2
    raise InvalidInput(
        "spare",
        slack,
        f"more: the last bit of success costs over {1 / MIN_EPS:g} units for each unit of it",
        "Write spare: 0.001.",
    )


class _Problem:
    """Success and acquisition of optimal policies on state x time."""

    def __init__(self, mdp: TabularMDP, horizon: int) -> None:
        flow = mdp.flow("resource")
        self.mdp, self.horizon, self.barren = mdp, horizon, flow is None
        acquired = np.zeros(mdp.n_pairs) if flow is None else flow
        self.flows = np.stack([np.zeros(mdp.n_pairs), acquired], axis=1)
        self.finals = np.stack([mdp_success(mdp), np.zeros(mdp.n_states)], axis=1)

    def ends(self) -> list[tuple[float, float]]:
        """(success, acquisition) of least acquisition, of greatest success, of most acquisition.

        Among those policies, of greatest success, of least acquisition, of greatest success.
        """
        most, least, success = [0.0, 1.0], [0.0, -1.0], [1.0, 0.0]
        pairs = ((least, success), (success, least), (most, success))
        return [self._solve(*levels) for levels in pairs]

    def best(self, eps: float) -> tuple[float, float]:
        """The J-optimum with the greatest success."""
        return self._solve([1.0, -eps], [1.0, 0.0])

    def worst(self, eps: float) -> tuple[float, float]:
        """The J-optimum with the least success."""
        return self._solve([1.0, -eps], [-1.0, 0.0])

    def _solve(self, *levels: list[float]) -> tuple[float, float]:
        weights = np.array(levels)
        success, acquired = maximise_levels(
            self.mdp, self.flows, self.finals, weights, self.horizon
        )[0]
        return float(success), float(acquired)


def _starting_eps(
    problem: _Problem, least: tuple[float, float], end: tuple[float, float], slack: float
) -> float:
    """Success per unit at which the aim turns, as far as the frontier tells; at most that."""
    if slack > 0:
        price = need(problem.mdp, problem.horizon).price(slack)
        if np.isfinite(price) and price > 0:
            return 1 / price
    # Chords to the end get steeper from vertex to vertex; the last one is the steepest slope.
    eps, point = np.inf, least
    for _ in range(_SLOPES):
        gained, cost = end[0] - point[0], end[1] - point[1]
        if gained <= SLACK or cost <= 0 or gained / cost >= eps:
            break
        eps = gained / cost
        point = problem.best(eps)
    return eps / 2
