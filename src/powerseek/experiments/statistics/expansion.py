"""Intervals of a mean by its cumulants, as endless resampling would give them (Cornish-Fisher)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import stats

from powerseek.types import Floats, Ints

MILD = 0.25  # largest skewness of the mean at which it may


class Moments(NamedTuple):
    """Of each group: units, strata, mean, largest size, and central sums about each stratum.

    `farthest` is the largest distance of a unit from the mean of its stratum.
    """

    n: Floats
    strata: Floats
    mean: Floats
    largest: Floats
    farthest: Floats
    second: Floats
    third: Floats
    fourth: Floats
    pull: Floats


def sample_moments(sample: Floats, group: Ints, layer: Ints, count: int, sizes: Ints) -> Moments:
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
        units = np.bincount(place, minlength=count * levels)
        own = np.bincount(place, weights=away, minlength=count * levels) / units
        within = away - np.where(np.isfinite(own), own, 0.0)[place]
        farthest = _largest(np.abs(within), group, count)
        squares = np.bincount(place, weights=within**2, minlength=count * levels)
        per = np.where(units > 0, squares**2 / units, 0.0).reshape(count, levels).sum(axis=1)
        second, pulls = total(within**2), total(away**2)
        pull = np.where(pulls > 0, total(away**3) / (6 * pulls**1.5), 0.0)
        fourth = total(within**4) - 3 * per
    return Moments(
        n, parts.astype(float), mean, largest, farthest, second, total(within**3), fourth, pull
    )


def _largest(numbers: Floats, group: Ints, count: int) -> Floats:
    """Largest number of each group, whose units lie together; 0 of an empty one."""
    largest = np.zeros(count)
    if len(group):
        starts = np.flatnonzero(np.diff(group, prepend=-1))
        largest[group[starts]] = np.maximum.reduceat(numbers, starts)
    return largest


def expanded(about: Moments, tail: float) -> tuple[Floats, Floats, np.ndarray]:
    """The ends from the cumulants of the resampled mean, and where they may be used."""
    with np.errstate(divide="ignore", invalid="ignore"):
        error = about.second**0.5 / about.n
        skew = about.third / about.second**1.5
        peak = about.fourth / about.second**2
        ends = []
        for z in (stats.norm.ppf(tail), -stats.norm.ppf(tail)):
            # The fraction of resamples below the mean is that of the same expansion.
            z = skew / 6 + z
            z = skew / 6 + z / np.maximum(1 - about.pull * z, 1e-9)
            bent = z + skew / 6 * (z**2 - 1) + peak / 24 * (z**3 - 3 * z)
            bent -= skew**2 / 36 * (2 * z**3 - 5 * z)
            ends.append(about.mean + widening(about.n, about.strata, tail) * error * bent)
        fits = (np.abs(skew) <= MILD) & (np.abs(peak) <= MILD)
    return ends[0], ends[1], fits & np.isfinite(ends[0])


def widening(n: float | Floats, strata: float | Floats, tail: float) -> Floats:
    """Factor by which ``widened`` moves the ends: Student's t over z, and lacking variance."""
    freedom = n - strata
    ratio = stats.t.isf(tail, freedom) / stats.norm.isf(tail)
    return np.asarray(ratio * (n / freedom) ** 0.5, dtype=np.float64)
