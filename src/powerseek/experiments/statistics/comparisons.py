"""Paired comparisons of two arms: effects, intervals and tests, of many at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite, nan
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from powerseek.errors import InvalidInput
from powerseek.experiments.statistics.bootstrap import Estimate, bootstrap_groups
from powerseek.experiments.statistics.tests import p_equivalence, unseen
from powerseek.types import Floats, Ints

LEVEL = 0.05
UNBOUNDED = (-inf, inf)


@dataclass(frozen=True)
class Comparison:
    """Two arms compared seed by seed, or one arm held against a line.

    Attributes:
        effect: Mean of a - b with its 95 % bootstrap interval (widened), n = pairs.
        spread: Standard deviation of a - b over seeds, nan below two pairs.
        p_difference: Two-sided paired t test.
        p_equivalence: TOST against the margin, nan without one.
        reach: Share of seeds that learnt the task, in arm a and in arm b.
        margin: Smallest difference of interest set beforehand, nan if none was.
        inside: Whether the 90 % interval lies within the margin; True where there is none, as of
            seeds that are all alike.
        bounds: Range that a - b cannot leave.
        failed: Trials of arm a and of arm b that ended with an error; they count as not learnt.
        paired: False for one arm held against a line.
        exact: Whether nothing here is due to chance: the effect is computed, the same for every
            seed, and its interval is the range over optimal policies that tie.
    """

    effect: Estimate
    spread: float
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
        reach: Share of seeds that learnt the task, in each arm, in [0, 1].
        margin: Smallest difference of interest, set beforehand; nan if none was.
        line: Value that a - b is held against.
        bounds: Range of a - b, such as (-1, 1) of two shares that jump between 0 and 1 from seed
            to seed. It cuts the interval, and no p is below the chance that so few seeds missed
            the ones that jump.
        level: Whether b is no arm, so that nothing is exchanged between two arms by chance.
        failed: Trials of each arm that failed.
    """

    reach: tuple[float, float] = (1.0, 1.0)
    margin: float = nan
    line: float = 0.0
    bounds: tuple[float, float] = UNBOUNDED
    level: bool = False
    failed: tuple[int, int] = (0, 0)


def compare(
    a: ArrayLike,
    b: ArrayLike,
    rng: np.random.Generator,
    *,
    strata: ArrayLike | None = None,
    reach: tuple[float, float] = (1.0, 1.0),
    margin: float = nan,
    line: float = 0.0,
    bounds: tuple[float, float] = UNBOUNDED,
    level: bool = False,
) -> Comparison:
    """One paired difference a - b - line; see `Asked` and `compare_groups`.

    Args:
        a: [n], one value a seed.
        b: [n], the same seeds in the same order; zeros for one arm held against a line.
        rng: Source of chance.
        strata: [n] labels (goal, layout) for a stratified bootstrap.
        reach: See `Asked`.
        margin: See `Asked`.
        line: See `Asked`.
        bounds: See `Asked`.
        level: See `Asked`.

    CAVEAT: a share that never jumps (competence of seeds that learnt) is better left unbounded.
    """
    first, second = (np.asarray(values, dtype=np.float64) for values in (a, b))
    if first.shape != second.shape:
        raise InvalidInput("b", second.shape, f"as many values as a, {first.shape}")
    codes = None if strata is None else np.unique(np.asarray(strata), return_inverse=True)[1]
    asked = Asked(reach, margin, line, bounds, level)
    group = np.zeros(first.size, dtype=np.int64)
    return compare_groups(first, second, group, [asked], rng, strata=codes)[0]


def compare_groups(
    a: Floats,
    b: Floats,
    group: Ints,
    asked: Sequence[Asked],
    rng: np.random.Generator,
    *,
    strata: Ints | None = None,
) -> list[Comparison]:
    """Many paired differences a - b - line; pairs with a nan on either side are left out.

    Args:
        a: [pairs], one value a seed.
        b: [pairs], of the same seeds; zeros for one arm held against a line.
        group: [pairs] which comparison each belongs to.
        asked: What is asked of each comparison.
        rng: Source of chance; comparisons of equally many seeds share their draws.
        strata: [pairs] numbers of strata (layouts) for a stratified bootstrap.

    CAVEAT: see `compare`, and `bootstrap_groups` for what shared draws mean.
    """
    line = np.array([one.line for one in asked])
    second = b + line[group]
    known = np.isfinite(a) & np.isfinite(second)
    order = np.flatnonzero(known)[np.argsort(group[known], kind="stable")]
    first, second, group = a[order], second[order], group[order]
    layers = None if strata is None else strata[order]
    difference = first - second
    limits = np.array([one.bounds for one in asked]).reshape(-1, 2) - line[:, None]
    value, low, high, n = _intervals(difference, group, limits, layers, rng, 0.95)
    margins = np.array([one.margin for one in asked])
    inside = _within(difference, group, limits, layers, rng, margins)
    spread, different = _t_tests(first, second, group, len(asked))
    starts = np.searchsorted(group, np.arange(len(asked) + 1))
    found = []
    for i, one in enumerate(asked):
        seeds = slice(starts[i], starts[i + 1])
        bounds = float(limits[i, 0]), float(limits[i, 1])
        p, equal = float(different[i]), nan
        if one.level or one.line:
            p = _against_line(p, difference[seeds], bounds)
        if isfinite(one.margin):
            equal = p_equivalence(
                first[seeds], second[seeds], one.margin, paired=True, bounds=bounds
            )
        found.append(
            Comparison(
                Estimate(float(value[i]), float(low[i]), float(high[i]), int(n[i])),
                float(spread[i]),
                p,
                equal,
                one.reach,
                one.margin,
                bool(inside[i]),
                bounds,
                one.failed,
                not one.level,
            )
        )
    return found


def _intervals(
    difference: Floats,
    group: Ints,
    limits: Floats,
    strata: Ints | None,
    rng: np.random.Generator,
    confidence: float,
) -> tuple[Floats, Floats, Floats, Ints]:
    """Mean, ends and pairs of each group."""
    found = bootstrap_groups(
        difference[:, None], group, len(limits), rng, strata=strata, confidence=confidence
    )
    low, high = (np.clip(end[:, 0], *limits.T) for end in (found.low, found.high))
    return found.value[:, 0], low, high, found.n[:, 0]


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
    held = np.flatnonzero(np.isfinite(margins))
    if not len(held):
        return inside
    place = np.full(len(margins), -1)
    place[held] = np.arange(len(held))
    mine = place[group] >= 0
    layers = None if strata is None else strata[mine]
    chosen = difference[mine], place[group[mine]], limits[held], layers
    _, low, high, _ = _intervals(*chosen, rng, 1 - 2 * LEVEL)
    inside[held] = ~((low <= -margins[held]) | (high >= margins[held]))
    return inside


def _t_tests(first: Floats, second: Floats, group: Ints, count: int) -> tuple[Floats, Floats]:
    """Standard deviation of the differences and `p_difference`, of each group; nan below two."""
    n = np.bincount(group, minlength=count).astype(np.float64)
    spread, p = np.full(count, nan), np.full(count, nan)
    some = np.flatnonzero(n > 0)
    starts = np.searchsorted(group, some)
    if not len(some):
        return spread, p
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
        # Rounding gives equal values a spread of 1e-17, which must not pass for precision; nor
        # must squares too small for a float.
        alike = (reach <= 1e-12 * size) | (deviation == 0)
        by_t = 2 * stats.t.sf(np.abs(mean) / (deviation / n**0.5), n - 1)
        found = np.where(alike, np.where(none, 1.0, 2.0 ** (1 - n)), by_t)
    spread[some] = np.where(n > 1, deviation, nan)
    p[some] = np.where(n > 1, found, nan)
    return spread, p


def _against_line(p: float, difference: Floats, bounds: tuple[float, float]) -> float:
    """The p of "the mean is 0" without arms to exchange: at least the chance of unseen seeds."""
    if difference.size < 2:
        return p
    mean = float(difference.mean())
    missed = min(1.0, 2 * unseen(mean, 0.0, difference.size, bounds))
    alike = np.ptp(difference) <= 1e-12 * np.abs(difference).max()
    if not missed and alike:
        return nan
    return missed if alike else max(p, missed)
