"""Bootstrap intervals of means over training seeds, stratified, many at once.

`scipy.stats.bootstrap` has no strata and does not list a small sample's resamples; of 16 seeds it
takes 1.1 ms (BCa), `bootstrap_groups` .12 a mean. A report asks for tens of thousands.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from powerseek.experiments.statistics.expansion import expanded, sample_moments, widening
from powerseek.types import Floats, Ints

RESAMPLES = 4000
SMOOTH = 64  # units from which an expansion may stand for the resamples
CHUNK = 1 << 22  # resampled means held at once
FREE = (-np.inf, np.inf)


class Estimate(NamedTuple):
    """A point estimate with its interval; nan where there is none.

    Attributes:
        value: The statistic of the sample, in the sample's unit.
        low: Lower end of the interval, nan below two units.
        high: Upper end of the interval, nan below two units.
        n: Units (seeds) it rests on.
    """

    value: float
    low: float
    high: float
    n: int


def resample(
    n: int, rng: np.random.Generator, strata: ArrayLike | None = None, resamples: int = RESAMPLES
) -> Ints:
    """Row numbers of bootstrap resamples: [resamples, n].

    Without strata and where ``n ** n <= resamples`` all resamples are listed instead of drawn,
    so that the interval of a very small sample carries no Monte Carlo error.

    Args:
        n: Sample size, at least 1.
        rng: Source of chance.
        strata: [n] labels (goal, layout); every resample keeps each stratum's size.
        resamples: How many to draw.
    """
    if strata is None:
        if n**n <= resamples:
            return np.indices((n,) * n, dtype=np.int64).reshape(n, -1).T
        return rng.integers(n, size=(resamples, n))
    codes = np.unique(np.asarray(strata), return_inverse=True)[1]
    columns = np.empty((resamples, n), dtype=np.int64)
    for code in range(int(codes.max()) + 1):
        members = np.flatnonzero(codes == code)
        columns[:, members] = rng.choice(members, size=(resamples, members.size))
    return columns


class Estimates(NamedTuple):
    """Means with their intervals, each [groups, columns]; nan where there is none.

    Attributes:
        value: Mean of the group.
        low: Lower end.
        high: Upper end.
        n: Units it rests on.
    """

    value: Floats
    low: Floats
    high: Floats
    n: Ints


def bootstrap_groups(
    values: Floats,
    groups: Ints,
    count: int,
    rng: np.random.Generator,
    *,
    strata: Ints | None = None,
    bounds: Sequence[tuple[float, float]] | None = None,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    smooth: int = SMOOTH,
) -> Estimates:
    """Bootstrap the mean of every group, with a widened interval.

    The interval is corrected for bias and skew (BCa), then both ends are moved away from the mean
    by Student's t over z and by the resamples' own shortfall in variance, (n - 1) / n. Coverage of
    the 95 % interval, 8000 simulated samples each (exponential: skewed as power is; Monte Carlo
    error .003 to .005):

    | n | percentile: normal | exponential | bca: normal | exponential | widened: normal | exp. |
    |---|---|---|---|---|---|---|
    | 3 | .68 | .63 | .68 | .65 | .93 | .87 |
    | 5 | .84 | .79 | .83 | .80 | .94 | .90 |
    | 8 | .89 | .85 | .88 | .86 | .95 | .91 |
    | 16 | .92 | .89 | .92 | .90 | .95 | .93 |

    The studentised bootstrap is no choice: with three units a ninth of its resamples are all
    alike and it never ends.

    Groups with equally many units in equally large strata share one draw of resamples. From
    `smooth` units on, and where the mean's skewness is at most .25, nothing is drawn: the
    resamples' quantiles come from their first four cumulants (Cornish-Fisher), which are known.
    Against 400,000 resamples of normal, exponential and uniform samples of 64 units and more the
    ends then differ by at most .02 standard errors; drawing 4000 resamples moves them by .04.

    Args:
        values: [units, columns], nan = no value, left out of its column.
        groups: [units] number of the group of each, in [0, count).
        count: Groups.
        rng: Source of chance.
        strata: [units] numbers of strata >= 0; None for none. Ignored in a group where a stratum
            has a single unit: resampling it alone would hide its part of the uncertainty.
        bounds: Range of each column; the ends are cut there.
        confidence: Coverage aimed at, in (0, 1).
        resamples: How many resamples.
        smooth: Units from which the expansion may be used.

    Source: Efron and Tibshirani 1993, chapter 14; widening: Hesterberg 2015,
    doi:10.1080/00031305.2015.1089789; stratified: arXiv:2108.13264; expansion: Cornish and Fisher
    1938; Hall 1992, section 2.5.
    CAVEAT: groups that share a draw have correlated Monte Carlo errors. Units that are all alike
    have no interval, nan (fractions: see `powerseek.experiments.statistics.proportions`).
    """
    columns = values.shape[1]
    shape = (count, columns)
    none = np.full(shape, np.nan)
    estimates = Estimates(none, none.copy(), none.copy(), np.zeros(shape, dtype=np.int64))
    layers = np.zeros(len(groups), dtype=np.int64) if strata is None else strata
    order = np.lexsort((layers, groups))
    groups, layers = groups[order], layers[order]
    levels = int(layers.max(initial=0)) + 1
    drawn: dict[tuple[int, ...], list[tuple[int, Ints, Floats]]] = {}
    tail = (1 - confidence) / 2
    for column in range(columns):
        sample = values[order, column]
        known = np.isfinite(sample)
        sample, group, layer = sample[known], groups[known], layers[known]
        sizes = np.bincount(group * levels + layer, minlength=count * levels)
        sizes = _effective(sizes.reshape(count, levels))
        about = sample_moments(sample, group, layer, count, sizes)
        n = sizes.sum(axis=1)
        estimates.n[:, column] = n
        estimates.value[:, column] = np.where(n > 0, about.mean, np.nan)
        varied = (n > 1) & (about.farthest > 1e-12 * about.largest)
        low, high, fits = expanded(about, tail)
        fits &= varied & (n >= smooth)
        estimates.low[fits, column], estimates.high[fits, column] = low[fits], high[fits]
        left = np.flatnonzero(varied & ~fits)
        starts = np.concatenate([[0], np.cumsum(n)])
        for pattern in np.unique(sizes[left], axis=0):
            same = left[(sizes[left] == pattern).all(axis=1)]
            parts = tuple(int(size) for size in pattern if size)
            rows = sample[starts[same][:, None] + np.arange(sum(parts))]
            drawn.setdefault(parts, []).append((column, same, rows))
    for parts in sorted(drawn):
        _draw(parts, drawn[parts], estimates, rng, tail, resamples)
    for column, limits in enumerate(bounds or ()):
        for end in (estimates.low, estimates.high):
            np.clip(end[:, column], *limits, out=end[:, column])
    return estimates


def _effective(sizes: Ints) -> Ints:
    """[groups, strata] units of each stratum, empty ones last; one stratum where one is single."""
    single = ((sizes == 1).any(axis=1) & ((sizes > 0).sum(axis=1) > 1))[:, None]
    whole = np.zeros_like(sizes)
    whole[:, 0] = sizes.sum(axis=1)
    packed = np.take_along_axis(sizes, np.argsort(sizes == 0, axis=1, kind="stable"), axis=1)
    return np.where(single, whole, packed)


def _draw(
    parts: tuple[int, ...],
    chosen: list[tuple[int, Ints, Floats]],
    estimates: Estimates,
    rng: np.random.Generator,
    tail: float,
    resamples: int,
) -> None:
    """Fill in the ends of all groups whose strata have these sizes."""
    n = sum(parts)
    labels = np.repeat(np.arange(len(parts)), parts) if len(parts) > 1 else None
    rows = resample(n, rng, labels, resamples)
    weights = np.zeros((n, len(rows)))
    np.add.at(weights, (rows.T, np.arange(len(rows))), 1 / n)
    factor = float(widening(np.array(float(n)), np.array(float(len(parts))), tail))
    step = max(1, CHUNK // len(rows))
    for column, groups, sample in chosen:
        for start in range(0, len(groups), step):
            part = groups[start : start + step]
            own = sample[start : start + step]
            value = own.mean(axis=1)[:, None]
            # The pull of a unit on the mean is what it lies above it, but for a factor.
            ends = _ends(np.sort(own @ weights, axis=1), value, own - value, factor, tail)
            estimates.low[part, column], estimates.high[part, column] = ends


def _ends(
    draws: Floats, value: Floats, pull: Floats, factor: float, tail: float
) -> tuple[Floats, Floats]:
    """Ends of the intervals of many statistics, [rows] each.

    Args:
        draws: [rows, resamples] of each statistic, sorted.
        value: [rows, 1] of the samples themselves.
        pull: [rows, n] of the units, in any unit, for the correction of bias and skew.
        factor: How far the ends are moved away from the value.
        tail: Chance to miss at either end.
    """
    levels = _corrected(draws, value, pull, tail)
    low, high = (_quantile(draws, level) for level in levels)
    value = value[:, 0]
    return value + factor * (low - value), value + factor * (high - value)


def _corrected(draws: Floats, value: Floats, pull: Floats, tail: float) -> tuple[Floats, Floats]:
    """Quantile levels of both ends after the correction for bias and acceleration."""
    largest = np.abs(pull).max(axis=1, keepdims=True)
    pull = pull / np.where(largest > 0, largest, 1.0)  # cubes of tiny numbers are 0
    squares = (pull**2).sum(axis=1)
    skew = (pull**3).sum(axis=1) / (6 * np.where(squares > 0, squares, 1.0) ** 1.5)
    tiny = 1e-9 * np.maximum(np.abs(value), np.ptp(draws, axis=1)[:, None])
    lower = (draws < value - tiny).mean(axis=1)
    below = lower + (np.abs(draws - value) <= tiny).mean(axis=1) / 2
    smallest = 1 / (2 * draws.shape[1])
    bias = stats.norm.ppf(np.clip(below, smallest, 1 - smallest))
    low, high = (
        stats.norm.cdf(bias + (bias + z) / np.maximum(1 - skew * (bias + z), 1e-9))
        for z in (stats.norm.ppf(tail), -stats.norm.ppf(tail))
    )
    return low, high


def _quantile(draws: Floats, level: Floats) -> Floats:
    """One quantile of each sorted row, interpolated linearly."""
    place = level * (draws.shape[1] - 1)
    below = np.minimum(place.astype(np.int64), draws.shape[1] - 2)
    rows = np.arange(len(draws))
    left, right = draws[rows, below], draws[rows, below + 1]
    return np.asarray(left + (place - below) * (right - left), dtype=np.float64)
