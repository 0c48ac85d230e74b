"""Whether training had come to rest: the drift of what a verdict is about."""

from __future__ import annotations

from math import isfinite, log10
from typing import NamedTuple

import numpy as np

from powerseek.experiments.statistics.bootstrap import Estimate
from powerseek.types import Floats

LEAST_POINTS = 5
"""Evaluations in the last third of training below which nothing is said of rest."""
RUN = 3


class Rest(NamedTuple):
    """The movement of a compared quantity over the last third of training.

    Attributes:
        drift: Mean drift, with its 90 % bootstrap interval over seeds, in the measure's unit.
        swing: Distance between the running means of three evaluations of the mean curve.
        points: Evaluations in that third.
        exact: Whether they are exact; else of sampled episodes.
        budget: Environment steps of training.
    """

    drift: Estimate
    swing: float
    points: int
    exact: bool
    budget: float

    def settled(self, margin: float) -> bool:
        """Whether the interval lies within the margin and the running means differ by no more.

        Simulated by ``benchmarks.verdicts`` (1500 contrasts each, seed SD = margin, SD of the drift
        1.25 of it, 15 evaluations): at rest 16 / 28 / 40 seeds pass in .41 / .81 / .94; with a
        drift of one margin in .04 / .05 / .06.
        """
        low, high = self.drift.low, self.drift.high
        if not isfinite(low):
            low = high = self.drift.value
        return bool(-margin <= low and high <= margin and self.swing <= margin)

    def enough(self, margin: float) -> float:
        """The budget that would probably do, in environment steps, to two digits.

        Movement over the last third is taken to shrink as the budget grows: half of it at twice
        the budget. CAVEAT: a rule of thumb; a policy that jumps keeps no such rule.
        """
        widest = max(abs(self.drift.low), abs(self.drift.high), abs(self.drift.value), self.swing)
        wanted = self.budget * max(1.5, float(np.nan_to_num(widest)) / margin)
        digits = 1 - int(log10(wanted)) if wanted > 0 else 0
        return float(round(wanted, digits))


def swing_of(curve: Floats) -> float:
    """Distance between the greatest and the least running mean of three evaluations.

    Args:
        curve: [evaluations] the mean curve, three or more.
    """
    means = np.convolve(curve, np.full(RUN, 1 / RUN), mode="valid")
    return float(np.ptp(means))
