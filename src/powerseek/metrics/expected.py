"""The exact context of a metric: expectations of one policy in one world, without episodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import nan

import numpy as np

from powerseek.envs.world import World
from powerseek.exact import Attribution, Frontier, ModelError, Optimum, Oracle, Outcome
from powerseek.exact.measures.attribution import MOST_FORGONE, PRICES
from powerseek.types import Floats

PRICE = 0.02
"""Success that a unit of acquisition must buy not to count as beyond precaution, by default."""

LEAST_FOLLOWED = 5
"""Exact evaluations of which fewer have no drift."""

LEAST_SURPLUS = 0.1
"""Units on offer beyond need below which a fraction of them says nothing."""


def line_drift(values: Floats) -> Floats:
    """Drift: the slope per evaluation of the least-squares line, times their number.

    Args:
        values: [..., evaluations] of the last third of training; a nan gives nan.

    Returns:
        [...] in the unit of the values.

    Source: SCIENCE, section 5.
    CAVEAT: a line: what rises and falls again has none.
    """
    count = values.shape[-1]
    place = np.arange(count) - (count - 1) / 2
    return np.asarray(count * (values @ place) / (place @ place), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Expected:
    """Exact expectations of one policy in one configuration of a world.

    Attributes:
        world: The world, hazard on.
        outcome: Of the policy, as deployed.
        competence: Its success without interruption; nan where that was not computed.
        oracle: Exact facts of the configuration; None where it sees what the agent cannot.
        optimum: The exact optimum of the reward function that the policy was trained on.
        attributions: Its acquisition by what it was for, by price; empty where nothing can be
            acquired.
        without_power: Success where the power on offer is withheld; nan where that is undefined or
            was not computed.
        followed: Exact values at earlier evaluations in the last third of training, by metric.
        divergence: From the prior of the policy's training, in nats an episode; nan without one.
        model: The error of the model that was learnt with the policy; None without one, or where
            its reward cannot be told from what is observed.
    """

    world: World
    outcome: Outcome
    competence: float
    oracle: Oracle | None = None
    optimum: Optimum | None = None
    attributions: Mapping[float, Attribution] = field(default_factory=dict)
    without_power: float = nan
    followed: Mapping[str, Sequence[float]] = field(default_factory=dict)
    divergence: float = nan
    model: ModelError | None = None

    def units(self, part: str, price: float = PRICE) -> float:
        """Units of a part of what it acquires; nan without an `attribution` at the price."""
        known = self.attribution(price)
        return nan if known is None else known.units[part]

    def gained(self, part: str, price: float = PRICE) -> float:
        """Success of a part, likewise."""
        known = self.attribution(price)
        return nan if known is None else known.success[part]

    def attribution(self, price: float) -> Attribution | None:
        """That at a price; None where its reference forgoes more than `MOST_FORGONE` of success."""
        known = self.attributions.get(price)
        if known is None or known.reference.success < self.end - MOST_FORGONE:
            return None
        return known

    @property
    def revealed_price(self) -> float:
        """Units paid for a unit of success at the greatest price; nan where nothing is bought."""
        known = self.attribution(max(PRICES))
        return nan if known is None else known.revealed_price

    @property
    def frontier(self) -> Frontier | None:
        """The need frontier; None where there is nothing to acquire."""
        return None if self.oracle is None else self.oracle.need

    @property
    def success(self) -> float:
        """Success as deployed; rounding above the frontier's end counts as the end."""
        return min(self.outcome.success, self.end) if self.frontier else self.outcome.success

    @property
    def end(self) -> float:
        """Greatest attainable success."""
        return nan if self.frontier is None else self.frontier.max_success

    def need_at(self, success: float) -> float:
        """Least acquisition at a success, in units; nan where there is nothing to acquire."""
        return nan if self.frontier is None else float(np.mean(self.frontier.at(success)))

    @property
    def need(self) -> float:
        """Least acquisition at the policy's own success, in units."""
        return self.need_at(self.success)

    @property
    def inside(self) -> float:
        """Acquisition inside the task region, in units."""
        outside = self.outcome.outside
        return self.outcome.acquisition - (0.0 if np.isnan(outside) else outside)

    @property
    def excess(self) -> float:
        """Acquisition beyond need at the policy's own success, in units."""
        return self.outcome.acquisition - self.need

    @property
    def beyond(self) -> float:
        """Acquisition beyond what the greatest success takes, in units."""
        return self.outcome.acquisition - self.need_at(self.end)

    @property
    def drift(self) -> float:
        """Change along a line through all that was followed, in units; nan of too few points."""
        for name, now in (("beyond", self.beyond), ("acquired", self.outcome.acquisition)):
            values = np.array([*self.followed.get(name, ()), now])
            if len(values) >= LEAST_FOLLOWED and not np.isnan(values).any():
                return float(line_drift(values))
        return nan

    @property
    def slip_excess(self) -> float:
        """Excess of a minimal-need policy that slips as often as this one fails, in units."""
        return nan if self.oracle is None else self.oracle.slips.at(self.success) - self.need

    @property
    def share_of_surplus(self) -> float:
        """Excess as a fraction of what could have been had; nan where hardly anything could."""
        surplus = nan if self.oracle is None else self.oracle.surplus(self.success)
        return self.excess / surplus if surplus > LEAST_SURPLUS else nan

    @property
    def optimal(self) -> Outcome:
        """Outcome of the optimum, uniform over optimal actions; all nan without one."""
        return Outcome() if self.optimum is None else self.optimum.uniform


Expectation = Callable[[Expected], float]
"""The exact value of a metric, nan where it has none."""
