"""Paired comparisons of two arms: effects, intervals and tests, of many at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite, nan
from typing import NamedTuple

import numpy as np
from scipy import stats

from powerseek.experiments.statistics.bootstrap import Estimate, bootstrap_groups
from powerseek.experiments.statistics.tests import p_equivalence, unseen_probability
from powerseek.types import Floats, Ints

LEVEL = 0.05
UNBOUNDED = (-inf, inf)


@dataclass(frozen=True)
class Comparison:
    """Two arms compared seed by seed, or one arm held against a line.

    Attributes:
        effect: Mean of a - b less the null value, with its 95 % bootstrap interval (widened), n =
            pairs.
        deviation: Standard deviation of a - b over seeds, nan below two pairs.
        p_difference: Two-sided paired t test.
        p_equivalence: TOST against the margin, nan without one.
        reach: As asked; so are margin and failed, and bounds less the null value.
        inside: Whether the 90 % interval lies within the margin; True where there is none, as of
            seeds that are all alike.
        paired: False for one arm held against a null value.
        exact: Whether nothing here is due to chance: the effect is computed, the same for every
            seed, and its interval is the range over optimal policies that tie.
    """

    effect: Estimate
    deviation: float
    p_difference: float
    p_equivalence: float
    reach: tuple[float, float]
    margin: float
    inside: bool = True
    bounds: tuple[float, float] = UNBOUNDED
    failed: tuple[int, int] = (0, 0)
    paired: bool = True
    exact: bool = False


class Asked(NamedTuple):
    """Questions about one comparison, beside its seeds.

    Attributes:
        reach: Fraction of seeds that learnt the task, in each arm, in [0, 1].
        margin: Smallest difference of interest, set beforehand; nan if none was.
        null_value: Value that a - b is held against.
        bounds: Range of a - b, such as (-1, 1) of two fractions that jump between 0 and 1 from
            seed to seed. It cuts the interval, and no p is below the chance that so few seeds
            missed the ones that jump. A fraction that never jumps (competence of seeds that
            learnt) is better left unbounded.
        level: Whether b is no arm, so that nothing is exchanged between two arms by chance.
        failed: Trials of each arm that ended with an error; they count as not learnt.
    """

    reach: tuple[float, float] = (1.0, 1.0)
    margin: float = nan
    null_value: float = 0.0
    bounds: tuple[float, float] = UNBOUNDED
    level: bool = False
    failed: tuple[int, int] = (0, 0)


def compare_groups(
    a: Floats,
    b: Floats,
    group: Ints,
    asked: Sequence[Asked],
    rng: np.random.Generator,
    *,
    strata: Ints | None = None,
) -> list[Comparison]:
    """Many paired differences a - b - null value; pairs with a nan on either side are left out.

    Args:
        a: [pairs], one value a seed.
        b: [pairs], of the same seeds; zeros for one arm held against a null value.
        group: [pairs] which comparison each belongs to.
        asked: What is asked of each comparison.
        rng: Source of chance; comparisons of equally many seeds share their draws.
        strata: [pairs] numbers of strata (layouts) for a stratified bootstrap.

    CAVEAT: see `bootstrap_groups` for what shared draws mean.
    """
    null_values = np.array([one.null_value for one in asked])
    second = b + null_values[group]
    known = np.isfinite(a) & np.isfinite(second)
    order = np.flatnonzero(known)[np.argsort(group[known], kind="stable")]
    first, second, group = a[order], second[order], group[order]
    layers = None if strata is None else strata[order]
    difference = first - second
    limits = np.array([one.bounds for one in asked]).reshape(-1, 2) - null_values[:, None]
    value, low, high, n = _intervals(difference, group, limits, layers, rng, 0.95)
    margins = np.array([one.margin for one in asked])
    inside = _within(difference, group, limits, layers, rng, margins)
    deviation, different = _t_tests(first, second, group, len(asked))
    starts = np.searchsorted(group, np.arange(len(asked) + 1))
    comparisons = []
    for i, one in enumerate(asked):
        seeds = slice(starts[i], starts[i + 1])
        bounds = float(limits[i, 0]), float(limits[i, 1])
        p, equal = float(different[i]), nan
        if one.level or one.null_value:
            p = _against_null_value(p, difference[seeds], bounds)
        if isfinite(one.margin):
            arms = first[seeds], second[seeds]
            equal = p_equivalence(*arms, one.margin, paired=True, bounds=bounds)
        effect = Estimate(float(value[i]), float(low[i]), float(high[i]), int(n[i]))
        tests = float(deviation[i]), p, equal
        within = bool(inside[i])
        given = one.reach, one.margin
        comparisons.append(
            Comparison(effect, *tests, *given, within, bounds, one.failed, not one.level)
        )
    return comparisons


def _intervals(
    difference: Floats,
    group: Ints,
    limits: Floats,
    strata: Ints | None,
    rng: np.random.Generator,
    confidence: float,
) -> tuple[Floats, Floats, Floats, Ints]:
    """Mean, ends and pairs of each group."""
    value, low, high, n = bootstrap_groups(
        difference[:, None], group, len(limits), rng, strata=strata, confidence=confidence
    )
    low, high = (np.clip(end[:, 0], *limits.T) for end in (low, high))
    return value[:, 0], low, high, n[:, 0]


def _within(
    difference: Floats,
    group: Ints,
    limits: Floats,
    strata: Ints | None,
    rng: np.random.Generator,
    margins: Floats,
) -> np.ndarray:
    """True if the 90 % interval of each group lies within its margin, where it has one."""
    inside = np.ones(len(margins), dtype=bool)
    judged = np.isfinite(margins)
    if not judged.any():
        return inside
    mine = judged[group]
    layers = None if strata is None else strata[mine]
    chosen = difference[mine], (np.cumsum(judged) - 1)[group[mine]], limits[judged], layers
    _, low, high, _ = _intervals(*chosen, rng, 1 - 2 * LEVEL)
    inside[judged] = ~((low <= -margins[judged]) | (high >= margins[judged]))
    return inside


def _t_tests(first: Floats, second: Floats, group: Ints, count: int) -> tuple[Floats, Floats]:
    """Standard deviation of the differences and `p_difference`, of each group; nan below two."""
    n = np.bincount(group, minlength=count).astype(np.float64)
    deviations, p = np.full(count, nan), np.full(count, nan)
    some = np.flatnonzero(n > 0)
    starts = np.searchsorted(group, some)
    if not len(some):
        return deviations, p
    difference = first - second
    size = np.maximum.reduceat(np.maximum(np.abs(first), np.abs(second)), starts)
    reach = np.maximum.reduceat(difference, starts) - np.minimum.reduceat(difference, starts)

    def total(numbers: Floats) -> Floats:
        return np.asarray(np.add.reduceat(numbers, starts), dtype=np.float64)

    n = n[some]
    many = n.astype(np.int64)
    mean = total(difference) / n
    mean = mean + total(difference - np.repeat(mean, many)) / n
    away = difference - np.repeat(mean, many)
    none = np.abs(mean) <= 1e-12 * size
    with np.errstate(divide="ignore", invalid="ignore"):
        deviation = np.sqrt(total(away**2) / (n - 1))
        # Rounding gives equal values a deviation of 1e-17, which must not pass for precision; nor
        # must squares too small for a float.
        alike = (reach <= 1e-12 * size) | (deviation == 0)
        by_t = 2 * stats.t.sf(np.abs(mean) / (deviation / n**0.5), n - 1)
        tested = np.where(alike, np.where(none, 1.0, 2.0 ** (1 - n)), by_t)
    deviations[some] = np.where(n > 1, deviation, nan)
    p[some] = np.where(n > 1, tested, nan)
    return deviations, p


def _against_null_value(p: float, difference: Floats, bounds: tuple[float, float]) -> float:
    """The p of "the mean is 0" without arms to exchange: at least the chance of unseen seeds."""
    if difference.size < 2:
        return p
    mean = float(difference.mean())
    missed = min(1.0, 2 * unseen_probability(mean, 0.0, difference.size, bounds))
    alike = np.ptp(difference) <= 1e-12 * np.abs(difference).max()
    if not missed and alike:
        return nan
    return missed if alike else max(p, missed)
