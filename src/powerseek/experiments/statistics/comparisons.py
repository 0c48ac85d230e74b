"""Comparisons of independent groups of seeds: effects, intervals and tests, of many at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, inf, isfinite, nan
from typing import NamedTuple

import numpy as np
from scipy import special

from powerseek.experiments.statistics.bootstrap import Estimate, bootstrap_groups
from powerseek.experiments.statistics.bounded import p_at_most, unseen_probability
from powerseek.types import Bools, Floats, Ints

LEVEL = 0.05
UNBOUNDED = (-inf, inf)
TWO_ARMS = (1.0, -1.0)


@dataclass(frozen=True)
class Comparison:
    """A weighted sum of the means of some cells, less a null value: a - b, or one arm alone.

    Attributes:
        effect: The sum less the null value, with its 95 % bootstrap interval (widened); n = seeds
            of the cell that has fewest.
        deviation: Standard deviation of the sum of one seed of each cell, nan below two seeds.
        p_difference: Two-sided Welch t test of "it is 0".
        p_equivalence: TOST against the margin, nan without one.
        reach: As asked; so are margin, failed and arms, and bounds less the null value.
        narrow: 90 % interval, where there is a margin; nan of seeds that are all alike.
        p_above: One-sided: more than the margin.
        p_below: One-sided: less than minus the margin.
        p_at_most: One-sided: less than the margin; of one bounded arm by betting.
        p_at_least: One-sided: more than minus the margin, likewise.
        arms: Number of cells.
        tail: Of each of the first two arms, its seeds more than a margin above the median of all
            on the same layout.
        binomial: Whether the effect is a fraction of seeds, by exact binomial tests.
        exact: Whether nothing here is due to chance: the effect is computed, the same for every
            seed, and its interval is the range over optimal policies that tie.
        unit: What is counted: ``seed``, or ``layout`` (see `statistics.layouts`).
        layouts: The same over layouts as units, where seeds are nested in them: then it decides.
    """

    effect: Estimate
    deviation: float
    p_difference: float
    p_equivalence: float
    reach: tuple[float, float]
    margin: float
    narrow: tuple[float, float] = (nan, nan)
    bounds: tuple[float, float] = UNBOUNDED
    failed: tuple[int, int] = (0, 0)
    arms: int = 2
    exact: bool = False
    p_above: float = nan
    p_below: float = nan
    p_at_most: float = nan
    p_at_least: float = nan
    tail: tuple[int, ...] = ()
    binomial: bool = False
    unit: str = "seed"
    layouts: Comparison | None = None

    @property
    def deciding(self) -> Comparison:
        """The comparison that verdicts rest on: over layouts where there are some."""
        return self if self.layouts is None else self.layouts

    @property
    def samples(self) -> int:
        """Independent samples: the cells; of layouts, which the cells share, one."""
        return self.arms if self.unit == "seed" else 1

    def bounded(self, above: bool) -> bool:
        """Whether the range of a seed is known on one side, so that no t test is needed there."""
        return self.unit == "seed" and isfinite(self.bounds[above])

    @property
    def p_beyond(self) -> float:
        """Two-sided: farther from 0 than the margin."""
        return float(min(1.0, 2 * np.nanmin([self.p_above, self.p_below, 1.0])))


class Asked(NamedTuple):
    """Questions about one comparison, beside its seeds.

    Attributes:
        weights: Weight of each cell's mean; one number for one arm alone.
        reach: Fraction of seeds that learnt the task, in each arm, in [0, 1].
        margin: Smallest difference of interest, set beforehand; nan if none was.
        null_value: Value that the sum is held against.
        bounds: Range of a seed's value, such as (0, 1) of a fraction that jumps between 0 and 1
            from seed to seed. It cuts the interval, no p is below the chance that so few seeds
            missed the ones that jump, and a claim of none about one arm is tested by betting. A
            fraction that never jumps (competence of seeds that learnt) is better left unbounded.
        failed: Trials of each arm that ended with an error; they count as not learnt.
    """

    weights: tuple[float, ...] = TWO_ARMS
    reach: tuple[float, float] = (1.0, 1.0)
    margin: float = nan
    null_value: float = 0.0
    bounds: tuple[float, float] = UNBOUNDED
    failed: tuple[int, int] = (0, 0)


class Units(NamedTuple):
    """The seeds of many comparisons, [units] each.

    Attributes:
        value: What is compared, nan = no value, left out.
        group: Which comparison it belongs to.
        cell: Which of its cells, in the order of its weights.
        layer: Number of its layout, a stratum of the bootstrap.
    """

    value: Floats
    group: Ints
    cell: Ints
    layer: Ints


class _Cells(NamedTuple):
    """Of each comparison and cell, [groups, cells]: weight, seeds, mean, variance, spread."""

    weight: Floats
    n: Floats
    mean: Floats
    variance: Floats
    spread: Floats
    size: Floats


def compare_groups(
    units: Units, asked: Sequence[Asked], rng: np.random.Generator
) -> list[Comparison]:
    """Many weighted sums of means of independent cells, each less its null value.

    Cells are independent groups, whose variances may differ (Welch; the degrees of freedom by
    Satterthwaite): pairing by seed bought nothing (correlations of -.2 to .2), as seeds share no
    draws across arms.

    Args:
        units: The seeds.
        asked: What is asked of each comparison.
        rng: Source of chance; comparisons of equally many seeds share their draws.

    CAVEAT: see `bootstrap_groups` for what shared draws mean.
    """
    known = np.isfinite(units.value)
    order = np.flatnonzero(known)[np.argsort(units.group[known], kind="stable")]
    units = _some(units, order)
    if not asked:
        return []
    cells = _cells(units, asked)
    nulls = np.array([one.null_value for one in asked])
    margins = np.array([one.margin for one in asked])
    limits = np.array([_range(one) for one in asked]).reshape(-1, 2)
    total, error, freedom = _sums(cells)
    value = total - nulls
    value[np.abs(value) <= 1e-12 * np.maximum(cells.size.max(axis=1), np.abs(nulls))] = 0.0
    spread = _spread_about_sum(units, cells, value)
    low, high = _interval(spread, units, limits, rng, 0.95)
    tested = np.flatnonzero(np.isfinite(margins))
    narrow = np.full((len(asked), 2), nan)
    if len(tested):
        narrow[tested] = np.transpose(_some_intervals(spread, units, limits, tested, rng))
    starts = np.searchsorted(units.group, np.arange(len(asked) + 1))
    with np.errstate(invalid="ignore"):
        deviation = np.sqrt((cells.weight**2 * cells.variance).sum(axis=1))
    found = []
    for i, one in enumerate(asked):
        own = slice(starts[i], starts[i + 1])
        count = int(cells.n[i, : len(one.weights)].min())
        if not count:
            estimate = Estimate(nan, nan, nan, 0)
            found.append(
                Comparison(
                    estimate,
                    nan,
                    nan,
                    nan,
                    one.reach,
                    one.margin,
                    bounds=(float(limits[i, 0]), float(limits[i, 1])),
                    failed=one.failed,
                    arms=len(one.weights),
                )
            )
            continue
        about = _About(cells, i, one, float(value[i]), float(error[i]), float(freedom[i]))
        sides = _sides(about, units.value[own]) if isfinite(one.margin) else (nan,) * 4
        found.append(
            Comparison(
                Estimate(about.value, float(low[i]), float(high[i]), count),
                float(deviation[i]),
                about.p_difference(),
                _p_equivalence(about) if isfinite(one.margin) else nan,
                one.reach,
                one.margin,
                (float(narrow[i, 0]), float(narrow[i, 1])),
                (float(limits[i, 0]), float(limits[i, 1])),
                one.failed,
                len(one.weights),
                False,
                *sides,
                _tail(_some(units, own), one),
            )
        )
    return found


def _some(units: Units, rows: Ints | Bools | slice) -> Units:
    return Units(units.value[rows], units.group[rows], units.cell[rows], units.layer[rows])


def _range(one: Asked) -> tuple[float, float]:
    """Range of the sum less the null value."""
    if not all(map(isfinite, one.bounds)):
        return UNBOUNDED
    ends = [sorted((w * one.bounds[0], w * one.bounds[1])) for w in one.weights]
    return sum(low for low, _ in ends) - one.null_value, sum(e for _, e in ends) - one.null_value


def _cells(units: Units, asked: Sequence[Asked]) -> _Cells:
    most = max(len(one.weights) for one in asked)
    weight = np.zeros((len(asked), most))
    for i, one in enumerate(asked):
        weight[i, : len(one.weights)] = one.weights
    place, count = units.group * most + units.cell, len(asked) * most

    def total(numbers: Floats) -> Floats:
        return np.bincount(place, numbers, count).astype(np.float64)

    n = np.bincount(place, minlength=count).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = total(units.value) / n
        mean = mean + np.nan_to_num(total(units.value - mean[place]) / n)
        variance = total((units.value - mean[place]) ** 2) / (n - 1)
    low, high = np.full(count, inf), np.full(count, -inf)
    np.minimum.at(low, place, units.value)
    np.maximum.at(high, place, units.value)
    size = np.nan_to_num(np.maximum(np.abs(low), np.abs(high)), posinf=0.0)
    spread = np.where(n > 0, high - low, 0.0)
    shape = weight.shape
    parts = (n, np.nan_to_num(mean), np.where(n > 1, variance, nan), spread, size)
    shaped = [part.reshape(shape) for part in parts]
    shaped[2] = np.where(weight == 0, 0.0, shaped[2])
    return _Cells(weight, *shaped)


def _sums(cells: _Cells) -> tuple[Floats, Floats, Floats]:
    """The weighted sum of each group, its standard error (0 of seeds all alike), and freedom."""
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = cells.weight**2 * cells.variance / cells.n
        parts = np.where(cells.weight == 0, 0.0, parts)
        total = (cells.weight * cells.mean).sum(axis=1)
        whole = parts.sum(axis=1)
        freedom = whole**2 / np.where(parts > 0, parts**2 / (cells.n - 1), 0.0).sum(axis=1)
    # Rounding gives equal values a spread of 1e-17, which must not pass for precision; nor must
    # squares too small for a float.
    alike = (cells.spread <= 1e-12 * cells.size.max(axis=1, keepdims=True)).all(axis=1)
    alike |= ~(freedom > 0) & np.isfinite(whole)
    error = np.where(alike & np.isfinite(whole), 0.0, np.sqrt(whole))
    return total, error, freedom


def _spread_about_sum(units: Units, cells: _Cells, value: Floats) -> Floats:
    """[units] numbers whose mean over a group, each cell resampled by itself, is its sum."""
    at = units.group, units.cell
    seeds = cells.n.sum(axis=1)[units.group]
    away = (units.value - cells.mean[at]) * cells.weight[at] * seeds / cells.n[at]
    away[(cells.spread <= 1e-12 * cells.size)[at]] = 0.0
    return np.asarray(value[units.group] + away, dtype=np.float64)


def _interval(
    spread: Floats, units: Units, limits: Floats, rng: np.random.Generator, confidence: float
) -> tuple[Floats, Floats]:
    layers = int(units.layer.max(initial=0)) + 1
    found = bootstrap_groups(
        spread[:, None],
        units.group,
        len(limits),
        rng,
        strata=units.cell * layers + units.layer,
        confidence=confidence,
    )
    low, high = (np.clip(end[:, 0], *limits.T) for end in (found.low, found.high))
    return low, high


def _some_intervals(
    spread: Floats, units: Units, limits: Floats, chosen: Ints, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """90 % intervals of some groups."""
    place = np.full(len(limits), -1)
    place[chosen] = np.arange(len(chosen))
    mine = place[units.group] >= 0
    part = _some(units, mine)
    part = part._replace(group=place[part.group])
    return _interval(spread[mine], part, limits[chosen], rng, 1 - 2 * LEVEL)


class _About(NamedTuple):
    """One comparison with what its tests need."""

    cells: _Cells
    i: int
    asked: Asked
    value: float
    error: float
    freedom: float

    def missed(self, at: float) -> float:
        """Chance that no seed showed what would move the sum to `at`."""
        if not all(map(isfinite, self.asked.bounds)):
            return 0.0
        k = len(self.asked.weights)
        return unseen_probability(
            self.cells.mean[self.i, :k],
            self.cells.n[self.i, :k],
            np.array(self.asked.weights),
            at - self.value,
            self.asked.bounds,
        )

    def p_one_sided(self, at: float, above: bool) -> float:
        """P of "the effect lies above (below) `at`"; nan where nothing measures chance."""
        gap = self.value - at if above else at - self.value
        if not isfinite(self.error):
            return nan
        if gap <= 0:
            return float(special.stdtr(self.freedom, -gap / self.error)) if self.error else 1.0
        missed = self.missed(at)
        if self.error == 0:
            return missed if missed else nan
        return max(float(special.stdtr(self.freedom, -gap / self.error)), missed)

    def p_difference(self) -> float:
        """Two-sided p of "the effect is 0"."""
        if self.error:
            p = float(2 * special.stdtr(self.freedom, -abs(self.value) / self.error))
        elif not self._exchangeable:
            p = 0.0
        elif self.value == 0:
            return 1.0
        else:
            # Two constant arms: of all ways to deal the seeds to them, these two part them.
            weights = np.array(self.asked.weights)
            n = self.cells.n[self.i, : len(weights)]
            first, second = int(n[weights > 0].sum()), int(n[weights < 0].sum())
            return 2 / comb(first + second, first)
        if isfinite(p) and not self._exchangeable:
            missed = min(1.0, 2 * self.missed(0.0))
            return nan if not p and not missed else max(p, missed)
        return p

    @property
    def _exchangeable(self) -> bool:
        """Whether arms could be exchanged by chance: not with a line."""
        return len(self.asked.weights) > 1 and not self.asked.null_value


def _p_equivalence(about: _About) -> float:
    """Two one-sided tests (Schuirmann 1987): the larger p; nan where nothing measures chance."""
    margin = about.asked.margin
    sides = about.p_one_sided(-margin, above=True), about.p_one_sided(margin, above=False)
    return float(max(sides)) if not any(map(np.isnan, sides)) else _whole(sides)


def _whole(sides: tuple[float, float]) -> float:
    """1 where one side already fails, whatever the other; nan else."""
    return 1.0 if 1.0 in sides else nan


def _sides(about: _About, values: Floats) -> tuple[float, float, float, float]:
    """One-sided tests against the margin: above, below, at most, at least."""
    one = about.asked
    margin, bounds = one.margin, one.bounds
    below, above = about.p_one_sided(margin, above=False), about.p_one_sided(-margin, above=True)
    if len(one.weights) == 1 and isfinite(bounds[1]):
        below = p_at_most(values, one.null_value + margin, bounds[1])
    if len(one.weights) == 1 and isfinite(bounds[0]):
        above = p_at_most(-values, margin - one.null_value, -bounds[0])
    return (
        about.p_one_sided(margin, above=True),
        about.p_one_sided(-margin, above=False),
        below,
        above,
    )


def _tail(units: Units, one: Asked) -> tuple[int, ...]:
    """Seeds of each arm that lie more than a margin above the median of all on their layout."""
    if not isfinite(one.margin) or len(one.weights) != 2:
        return ()
    far = np.zeros(len(units.value), dtype=bool)
    for layer in np.unique(units.layer):
        here = units.layer == layer
        far[here] = units.value[here] > np.median(units.value[here]) + one.margin
    return int(far[units.cell == 0].sum()), int(far[units.cell == 1].sum())
