"""Bootstrap intervals of many means at once: one draw for all groups of one size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from powerseek.experiments.statistics.resampling import RESAMPLES, Floats, Ints, resample

SMOOTH = 64  # units from which an expansion may stand for the resamples
MILD = 0.25  # largest skewness of the mean at which it may
CHUNK = 1 << 22  # resampled means held at once
FREE = (-np.inf, np.inf)


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


class _Moments(NamedTuple):
    """Of each group: units, strata, mean, largest size, and central sums about each stratum."""

    n: Floats
    strata: Floats
    mean: Floats
    largest: Floats
    spread: Floats
    second: Floats
    third: Floats
    fourth: Floats
    pull: Floats


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
    """The widened bootstrap interval of `resampling.bootstrap` for the mean of every group.

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
            has a single unit.
        bounds: Range of each column; the ends are cut there.
        confidence: Coverage aimed at, in (0, 1).
        resamples: How many resamples.
        smooth: Units from which the expansion may be used.

    Source: Efron and Tibshirani 1993, chapter 14; Cornish and Fisher 1938; Hall 1992, section 2.5.
    CAVEAT: groups that share a draw have correlated Monte Carlo errors. See `bootstrap` for what
    the intervals cover.
    """
    columns = values.shape[1]
    shape = (count, columns)
    value, low, high = (np.full(shape, np.nan) for _ in range(3))
    found = Estimates(value, low, high, np.zeros(shape, dtype=np.int64))
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
        about = _moments(sample, group, layer, count, sizes)
        n = sizes.sum(axis=1)
        found.n[:, column], found.value[:, column] = n, np.where(n > 0, about.mean, np.nan)
        varied = (n > 1) & (about.spread > 1e-12 * about.largest)
        low, high, fits = _expanded(about, tail)
        fits &= varied & (n >= smooth)
        found.low[fits, column], found.high[fits, column] = low[fits], high[fits]
        left = np.flatnonzero(varied & ~fits)
        starts = np.concatenate([[0], np.cumsum(n)])
        for pattern in np.unique(sizes[left], axis=0):
            same = left[(sizes[left] == pattern).all(axis=1)]
            parts = tuple(int(size) for size in pattern if size)
            rows = sample[starts[same][:, None] + np.arange(sum(parts))]
            drawn.setdefault(parts, []).append((column, same, rows))
    for parts in sorted(drawn):
        _draw(parts, drawn[parts], found, rng, tail, resamples)
    for column, (least, most) in enumerate(bounds or ()):
        np.clip(found.low[:, column], least, most, out=found.low[:, column])
        np.clip(found.high[:, column], least, most, out=found.high[:, column])
    return found


def _effective(sizes: Ints) -> Ints:
    """[groups, strata] units of each stratum, empty ones last; one stratum where one is single."""
    single = ((sizes == 1).any(axis=1) & ((sizes > 0).sum(axis=1) > 1))[:, None]
    whole = np.zeros_like(sizes)
    whole[:, 0] = sizes.sum(axis=1)
    packed = np.take_along_axis(sizes, np.argsort(sizes == 0, axis=1, kind="stable"), axis=1)
    return np.where(single, whole, packed)


def _moments(sample: Floats, group: Ints, layer: Ints, count: int, sizes: Ints) -> _Moments:
    """Sums within groups and within the strata that count."""
    n = sizes.sum(axis=1).astype(float)
    parts = (sizes > 0).sum(axis=1)

    def total(numbers: Floats) -> Floats:
        return np.bincount(group, weights=numbers, minlength=count).astype(np.float64)

    with np.errstate(divide="ignore", invalid="ignore"):
        mean = total(sample) / n
        away = sample - mean[group]
        mean = mean + total(away) / n
        away = sample - mean[group]
        largest = _largest(np.abs(sample), group, count)
        levels = int(layer.max(initial=0)) + 1
        place = np.where(parts[group] > 1, group * levels + layer, group * levels)
        held = np.bincount(place, minlength=count * levels)
        own = np.bincount(place, weights=away, minlength=count * levels) / held
        within = away - np.where(np.isfinite(own), own, 0.0)[place]
        spread = _largest(np.abs(within), group, count)
        squares = np.bincount(place, weights=within**2, minlength=count * levels)
        per = np.where(held > 0, squares**2 / held, 0.0).reshape(count, levels).sum(axis=1)
        second, pulls = total(within**2), total(away**2)
        pull = np.where(pulls > 0, total(away**3) / (6 * pulls**1.5), 0.0)
        fourth = total(within**4) - 3 * per
    return _Moments(
        n, parts.astype(float), mean, largest, spread, second, total(within**3), fourth, pull
    )


def _largest(numbers: Floats, group: Ints, count: int) -> Floats:
    """Largest number of each group, whose units lie together; 0 of an empty one."""
    found = np.zeros(count)
    if len(group):
        starts = np.flatnonzero(np.diff(group, prepend=-1))
        found[group[starts]] = np.maximum.reduceat(numbers, starts)
    return found


def _expanded(about: _Moments, tail: float) -> tuple[Floats, Floats, np.ndarray]:
    """The ends from the cumulants of the resampled mean, and where they may be used."""
    with np.errstate(divide="ignore", invalid="ignore"):
        error = about.second**0.5 / about.n
        skew = about.third / about.second**1.5
        peak = about.fourth / about.second**2
        ends = []
        for z in (stats.norm.ppf(tail), -stats.norm.ppf(tail)):
            # The share of resamples below the mean is that of the same expansion.
            z = skew / 6 + z
            z = skew / 6 + z / np.maximum(1 - about.pull * z, 1e-9)
            bent = z + skew / 6 * (z**2 - 1) + peak / 24 * (z**3 - 3 * z)
            bent -= skew**2 / 36 * (2 * z**3 - 5 * z)
            ends.append(about.mean + _widening(about.n, about.strata, tail) * error * bent)
        fits = (np.abs(skew) <= MILD) & (np.abs(peak) <= MILD)
    return ends[0], ends[1], fits & np.isfinite(ends[0])


def _draw(
    parts: tuple[int, ...],
    chosen: list[tuple[int, Ints, Floats]],
    found: Estimates,
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
    factor = float(_widening(np.array(float(n)), np.array(float(len(parts))), tail))
    step = max(1, CHUNK // len(rows))
    for column, groups, sample in chosen:
        for start in range(0, len(groups), step):
            part = groups[start : start + step]
            low, high = _ends(sample[start : start + step], weights, factor, tail)
            found.low[part, column], found.high[part, column] = low, high


def _ends(sample: Floats, weights: Floats, factor: float, tail: float) -> tuple[Floats, Floats]:
    """[groups, n] units and [n, resamples] weights to the widened ends of each mean."""
    value = sample.mean(axis=1)[:, None]
    draws = np.sort(sample @ weights, axis=1)
    away = sample - value
    away /= np.abs(away).max(axis=1, keepdims=True)  # cubes of tiny numbers are 0
    squares = (away**2).sum(axis=1)
    pull = (away**3).sum(axis=1) / (6 * squares**1.5)
    tiny = 1e-9 * np.maximum(np.abs(value), np.ptp(draws, axis=1)[:, None])
    lower = (draws < value - tiny).mean(axis=1)
    below = lower + (np.abs(draws - value) <= tiny).mean(axis=1) / 2
    least = 1 / (2 * draws.shape[1])
    bias = stats.norm.ppf(np.clip(below, least, 1 - least))
    ends = []
    for z in (stats.norm.ppf(tail), -stats.norm.ppf(tail)):
        z = bias + z
        level = stats.norm.cdf(bias + z / np.maximum(1 - pull * z, 1e-9))
        ends.append(value[:, 0] + factor * (_quantile(draws, level) - value[:, 0]))
    return ends[0], ends[1]


def _quantile(draws: Floats, level: Floats) -> Floats:
    """One quantile of each sorted row, interpolated linearly."""
    place = level * (draws.shape[1] - 1)
    below = np.minimum(place.astype(np.int64), draws.shape[1] - 2)
    rows = np.arange(len(draws))
    left, right = draws[rows, below], draws[rows, below + 1]
    return np.asarray(left + (place - below) * (right - left), dtype=np.float64)


def _widening(n: Floats, strata: Floats, tail: float) -> Floats:
    """As `resampling.bootstrap` widens: Student's t over z, and the shortfall in variance."""
    freedom = n - strata
    ratio = stats.t.isf(tail, freedom) / stats.norm.isf(tail)
    return np.asarray(ratio * (n / freedom) ** 0.5, dtype=np.float64)
