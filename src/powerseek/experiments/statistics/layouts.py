"""Comparisons whose unit is the layout: what they say of a world, beyond the layouts drawn.

Seeds are nested in layouts (seed number i is trained on layout 1 + i mod N), and all arms of a
world share the layouts. Of seeds an interval says what others would do *on these layouts*; of
layouts what would be found on others.
"""

from __future__ import annotations

from math import isfinite, nan

import numpy as np
from scipy import special

from powerseek.experiments.statistics.bootstrap import Estimate
from powerseek.experiments.statistics.bounded import unseen_probability
from powerseek.experiments.statistics.comparisons import LEVEL, UNBOUNDED, Asked, Comparison
from powerseek.types import Floats, Ints

LEAST_LAYOUTS = 6
"""Layouts below which a study with layouts concludes nothing."""


def layout_sums(values: Floats, cell: Ints, layer: Ints, weights: tuple[float, ...]) -> Floats:
    """[layouts] the weighted sum of the cells' means within each layout that has them all.

    Args:
        values: [units] one a seed, nan = no value, left out.
        cell: [units] the place of its cell in the weights.
        layer: [units] number of its layout.
        weights: Weight of each cell's mean.
    """
    known = np.isfinite(values)
    values, cell, layer = values[known], cell[known], layer[known]
    layouts, row = np.unique(layer, return_inverse=True)
    shape = len(layouts), len(weights)
    place = row * len(weights) + cell
    n = np.bincount(place, minlength=shape[0] * shape[1]).reshape(shape)
    total = np.bincount(place, values, shape[0] * shape[1]).reshape(shape)
    whole = (n > 0).all(axis=1)
    return np.asarray((total[whole] / n[whole]) @ np.array(weights), dtype=np.float64)


def compare_layouts(
    sums: Floats,
    asked: Asked,
    *,
    low: Floats | None = None,
    high: Floats | None = None,
    bounds: tuple[float, float] = UNBOUNDED,
) -> Comparison:
    """The mean over layouts, less the null value: t intervals and t tests of one sample of layouts.

    Each layout is one unit, however many seeds it has: their chance is part of what differs between
    layouts. A contrast is formed within each layout, so that what all arms of a layout have in
    common cancels. Coverage of the 95 % interval of one arm, 8 layouts x 5 seeds, SD between
    layouts as between seeds, 4000 simulated studies (`tests/experiments/statistics/test_layouts`):

    | interval | covers the mean over all layouts | over these layouts |
    |---|---|---|
    | over layouts (t, 7 degrees of freedom) | .95 | 1.00 |
    | over seeds (stratified bootstrap) | .59 | .95 |

    Of skewed layout effects (exponential) it covers .92 at 6, 8 and 12 layouts; where one layout in
    five differs by 5 seed SDs .74 of 6 layouts, .82 of 8, .93 of 12: what no layout drawn shows, no
    interval knows. So nothing is concluded below `LEAST_LAYOUTS`.

    Args:
        sums: [layouts] from `layout_sums`.
        asked: Its margin, null value, reach and failures; weights for the number of arms.
        low: [layouts] the least over optimal policies that tie, where it is computed; so high.
        high: [layouts] the greatest.
        bounds: Range of a layout's sum where it is one of fractions: no p is then below the chance
            that so few layouts missed those that lie at its end.

    Returns:
        Of unit ``layout``: n is their number, the deviation that between layouts. Ends of intervals
        are nan where all layouts are alike. p over ties is the larger of both ends'.
    """
    null, margin = asked.null_value, asked.margin
    ends = [_Sample(part - null, asked, bounds) for part in (low, high) if part is not None]
    about = _Sample(sums - null, asked, bounds)
    under, over = ends or (about, about)
    tested = isfinite(margin)
    above, at_least = (under.p_above(m) if tested else nan for m in (margin, -margin))
    below, at_most = (over.p_below(m) if tested else nan for m in (-margin, margin))
    one_side = (under.mean > 0) == (over.mean > 0)
    limits = (bounds[0] - null, bounds[1] - null)
    (low95, _), (_, high95) = under.interval(0.95), over.interval(0.95)
    (low90, _), (_, high90) = under.interval(1 - 2 * LEVEL), over.interval(1 - 2 * LEVEL)
    return Comparison(
        Estimate(about.mean, low95, high95, about.n),
        about.deviation,
        max(under.p_difference(), over.p_difference()) if one_side else 1.0,
        _larger(at_least, at_most),
        asked.reach,
        margin,
        (low90, high90) if tested else (nan, nan),
        limits if all(map(isfinite, limits)) else UNBOUNDED,
        asked.failed,
        len(asked.weights),
        p_above=above,
        p_below=below,
        p_at_most=at_most,
        p_at_least=at_least,
        unit="layout",
    )


def _larger(a: float, b: float) -> float:
    """The larger p; 1 where one side already fails, nan where the other is not known."""
    return 1.0 if 1.0 in (a, b) else float(np.max([a, b]))


class _Sample:
    """One number a layout, less the null value."""

    def __init__(self, values: Floats, asked: Asked, bounds: tuple[float, float]) -> None:
        self.n = len(values)
        self.mean = float(values.mean()) if self.n else nan
        self.deviation = float(values.std(ddof=1)) if self.n > 1 else nan
        size = float(np.abs(values + asked.null_value).max(initial=0.0))
        if self.n > 1 and np.ptp(values) <= 1e-12 * size:
            self.deviation = 0.0
        if abs(self.mean) <= 1e-12 * max(size, abs(asked.null_value)):
            self.mean = 0.0
        self._error = self.deviation / max(1, self.n) ** 0.5
        # Arms could be exchanged by chance; one arm and a line, or a level and 0, could not.
        self._exchangeable = len(asked.weights) > 1 and not asked.null_value
        self._bounds = bounds[0] - asked.null_value, bounds[1] - asked.null_value

    def interval(self, confidence: float) -> tuple[float, float]:
        if not self._error > 0:
            return nan, nan
        half = float(special.stdtrit(self.n - 1, (1 + confidence) / 2)) * self._error
        low, high = self._bounds
        return max(low, self.mean - half), min(high, self.mean + half)

    def p_above(self, at: float) -> float:
        """P of "the mean lies above"; nan where nothing measures chance."""
        return self._one_sided(at, self.mean - at)

    def p_below(self, at: float) -> float:
        """P of "the mean lies below", likewise."""
        return self._one_sided(at, at - self.mean)

    def _one_sided(self, at: float, gap: float) -> float:
        if not isfinite(self._error):
            return nan
        if not self._error:
            missed = self._missed(at) if gap > 0 else 1.0
            return missed if missed else nan
        p = float(special.stdtr(self.n - 1, -gap / self._error))
        return max(p, self._missed(at)) if gap > 0 else p

    def p_difference(self) -> float:
        """Two-sided p of "the mean is 0"; of layouts all alike by turning signs (2 of 2^n)."""
        if not isfinite(self._error):
            return nan
        if not self._error:
            alike = 2.0 ** (1 - self.n) if self._exchangeable else nan
            return alike if self.mean else 1.0
        p = float(2 * special.stdtr(self.n - 1, -abs(self.mean) / self._error))
        return p if self._exchangeable else max(p, min(1.0, 2 * self._missed(0.0)))

    def _missed(self, at: float) -> float:
        """Chance that no layout showed what would move the mean to `at`; 0 without a range."""
        if not all(map(isfinite, self._bounds)):
            return 0.0
        one = np.ones(1)
        return unseen_probability(
            np.array([self.mean]), one * self.n, one, at - self.mean, self._bounds
        )
