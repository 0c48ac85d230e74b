"""Rest: the drift of what a verdict is about, and the half-life of an effect that wears off."""

from __future__ import annotations

from math import inf, isfinite, log10, nan
from typing import NamedTuple

import numpy as np

from powerseek.experiments.statistics.bootstrap import Estimate
from powerseek.types import Floats

LEAST_POINTS = 5
"""Evaluations in the last third of training below which nothing is said of rest."""
RUN = 3
DRAWS = 1000
"""Resamples behind the interval of a half-life."""


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


def half_life(steps: Floats, first: Floats, second: Floats, rng: np.random.Generator) -> Estimate:
    """Steps after which half of an effect is gone, with its 95 % interval over seeds.

    The effect is the mean of the first arm less where the second one rests, its mean over the last
    third. Half of it is gone at the first evaluation (along the line from the one before) from
    which on two of three successive means are within half of what it was at the beginning.

    Args:
        steps: [k] of the evaluations, rising.
        first: [n, k] of the arm whose effect it is, a row a seed.
        second: [m, k] of the other.
        rng: Source of chance: seeds are drawn anew in both arms.

    Returns:
        In steps; inf where it never comes to half, in the value or an end of the interval; nan of
        no seeds, and in the interval below two.

    CAVEAT: An effect whose sign is not certain at the beginning has no half-life: see its interval.
    """
    if not len(first) or not len(second):
        return Estimate(nan, nan, nan, 0)
    rest = resting(second)
    value = _halved(steps, np.nanmean(first, axis=0) - rest.mean())
    if min(len(first), len(second)) < 2:
        return Estimate(value, nan, nan, len(first))
    drawn = []
    for _ in range(DRAWS):
        own = first[rng.integers(len(first), size=len(first))]
        other = rest[rng.integers(len(rest), size=len(rest))]
        drawn.append(_halved(steps, np.nanmean(own, axis=0) - other.mean()))
    # Of what never comes to half no interpolation is possible.
    low, high = np.quantile(drawn, [0.025, 0.975], method="nearest")
    return Estimate(value, float(low), float(high), len(first))


def resting(curves: Floats) -> Floats:
    """[n] where curves [n, k] come to rest: the mean of each over its last third."""
    late: Floats = np.nanmean(curves[:, -(-2 * curves.shape[1] // 3) :], axis=1)
    return late


def _halved(steps: Floats, effect: Floats) -> float:
    left = effect / effect[0]
    below = left <= 0.5
    for i in range(1, len(steps)):
        if below[i] and below[i : i + RUN].sum() >= min(2, len(steps) - i):
            share = (left[i - 1] - 0.5) / (left[i - 1] - left[i]) if not below[i - 1] else 0.0
            return float(steps[i - 1] + share * (steps[i] - steps[i - 1]))
    return inf
