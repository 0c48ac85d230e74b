"""Statistics over training seeds: arrays in, numbers out, chance from an explicit Generator.

The unit is the training seed, paired across arms. What a comparison allows one to say is in
`powerseek.experiments.verdicts`.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, inf, nan
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from statsmodels.stats.multitest import multipletests

from powerseek.errors import InvalidInput

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Statistic = Callable[[Floats], Floats]

RESAMPLES = 4000

# How many times the variance of one cell mean enters the contrast, per seed in a cell.
DESIGNS = {"simple": 2.0, "two-way": 4.0, "three-way": 8.0}


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


def iqm(values: ArrayLike, *, exact: bool = True) -> float:
    """Mean of the middle half of all values, nan when empty.

    Args:
        values: Any shape, pooled.
        exact: True weights the values at the quartiles by the fraction of them that lies
            inside; False drops ``floor(n / 4)`` values at each end, as rliable does. Both
            agree when n is divisible by 4.

    Source: Agarwal et al. 2021, arXiv:2108.13264, section 4.3.
    CAVEAT: trims exactly the runs that matter for safety: use it for competence, never for power.
    """
    pooled = np.sort(np.asarray(values, dtype=np.float64).ravel())
    if pooled.size == 0:
        return nan
    if not exact:
        return float(stats.trim_mean(pooled, 0.25))
    edges = np.arange(pooled.size + 1, dtype=np.float64)
    quarter = pooled.size / 4
    inside = np.diff(np.clip(edges, quarter, 3 * quarter))
    return float(inside @ pooled / inside.sum())


def probability_of_improvement(x: ArrayLike, y: ArrayLike) -> float:
    """Chance that a run of X beats a run of Y, ties counted half, averaged over tasks.

    Args:
        x: [runs] or [runs, tasks].
        y: [other runs] or [other runs, tasks].

    Returns:
        In [0, 1]; 0.5 means no difference.

    Source: Agarwal et al. 2021, arXiv:2108.13264, section 4.3 (Mann-Whitney U).
    """
    runs_x, runs_y = (np.asarray(runs, dtype=np.float64) for runs in (x, y))
    gap = runs_x[:, None] - runs_y[None, :]
    return float(np.mean((gap > 0) + 0.5 * (gap == 0)))


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


def means(samples: Floats) -> Floats:
    """Mean over the last axis: the default statistic."""
    return np.asarray(samples.mean(axis=-1), dtype=np.float64)


def bootstrap(
    values: ArrayLike,
    rng: np.random.Generator,
    *,
    strata: ArrayLike | None = None,
    statistic: Statistic = means,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
) -> Estimate:
    """Percentile bootstrap interval over units; units without a value (nan) are left out.

    Args:
        values: [n], one a unit.
        rng: Source of chance.
        strata: [n] labels for a stratified bootstrap, or None. Ignored where a stratum has a
            single unit: resampling it alone would hide its share of the uncertainty.
        statistic: Maps [..., n] to [...].
        confidence: Coverage aimed at, in (0, 1).
        resamples: How many resamples.

    Source: Efron and Tibshirani 1993, chapter 13; stratified: arXiv:2108.13264.
    CAVEAT: too narrow with few units (three units miss the truth far more often than 5 %), and
    of width 0 when all units are equal, which is no proof of certainty.
    """
    sample = np.asarray(values, dtype=np.float64)
    known = np.isfinite(sample)
    kept = sample[known]
    if kept.size == 0:
        return Estimate(nan, nan, nan, 0)
    value = float(statistic(kept))
    if kept.size == 1:
        return Estimate(value, nan, nan, 1)
    labels = None if strata is None else np.asarray(strata)[known]
    if labels is not None:
        sizes = np.unique(labels, return_counts=True)[1]
        labels = labels if sizes.size > 1 and sizes.min() > 1 else None
    draws = statistic(kept[resample(kept.size, rng, labels, resamples)])
    tail = (1 - confidence) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return Estimate(value, float(low), float(high), int(kept.size))


def p_equivalence(
    x: ArrayLike, y: ArrayLike, margin: float, *, paired: bool = False, pooled: bool = True
) -> float:
    """Two one-sided t tests of "the means differ by less than the margin": the larger p.

    Args:
        x: [n] values of one arm.
        y: [m] values of the other; m = n when paired.
        margin: Smallest difference of interest, in the values' unit, > 0.
        paired: Test the differences x - y.
        pooled: Equal variances (else Welch); ignored when paired.

    Source: Schuirmann 1987 (TOST).
    """
    if not margin > 0:
        raise InvalidInput("margin", margin, "a number > 0, in the unit of the metric")
    first, second = (np.asarray(values, dtype=np.float64) for values in (x, y))
    if min(first.size, second.size) < 2:
        return nan
    if paired:
        difference = first - second
        gap, spread = float(difference.mean()), float(difference.std(ddof=1) ** 2 / difference.size)
        freedom = float(difference.size - 1)
    else:
        gap, spread, freedom = _two_sample(first, second, pooled)
    if spread == 0:
        return 0.0 if abs(gap) < margin else 1.0
    error = spread**0.5
    below = stats.t.sf((gap + margin) / error, freedom)
    above = stats.t.cdf((gap - margin) / error, freedom)
    return float(max(below, above))


def _two_sample(x: Floats, y: Floats, pooled: bool) -> tuple[float, float, float]:
    """Difference of means, its squared standard error, degrees of freedom."""
    n, m = x.size, y.size
    per_x, per_y = float(x.var(ddof=1)) / n, float(y.var(ddof=1)) / m
    gap = float(x.mean() - y.mean())
    if pooled:
        shared = (per_x * n * (n - 1) + per_y * m * (m - 1)) / (n + m - 2)
        return gap, shared * (1 / n + 1 / m), float(n + m - 2)
    spread = per_x + per_y
    if spread == 0:
        return gap, 0.0, float(n + m - 2)
    return gap, spread, spread**2 / (per_x**2 / (n - 1) + per_y**2 / (m - 1))


def p_difference(x: ArrayLike, y: ArrayLike) -> float:
    """Two-sided paired t test, nan below two pairs; equal pairs give 1."""
    difference = np.asarray(x, dtype=np.float64) - np.asarray(y, dtype=np.float64)
    if difference.size < 2:
        return nan
    error = float(difference.std(ddof=1)) / difference.size**0.5
    if error == 0:
        return 1.0 if difference[0] == 0 else 0.0
    return float(2 * stats.t.sf(abs(float(difference.mean())) / error, difference.size - 1))


def adjust(p_values: ArrayLike, method: str = "holm") -> Floats:
    """Adjust p values for their number; nan stays nan and does not count.

    Args:
        p_values: [k] in [0, 1].
        method: ``holm`` (confirmatory, family-wise) or ``benjamini-hochberg`` (exploratory).
    """
    known_as = {"holm": "holm", "benjamini-hochberg": "fdr_bh"}
    if method not in known_as:
        raise InvalidInput("method", method, ", ".join(known_as))
    p = np.asarray(p_values, dtype=np.float64)
    adjusted, known = np.full(p.shape, nan), np.isfinite(p)
    if known.any():
        adjusted[known] = multipletests(p[known], method=known_as[method])[1]
    return adjusted


def factorial_contrast(cells: ArrayLike) -> float:
    """Difference of differences (of differences ...) over a 2 x 2 x ... table of cell means.

    Args:
        cells: Cell means, every axis of length 2.

    CAVEAT: depends on the scale (raw, logit, share of surplus): fix the scale beforehand.
    """
    table = np.asarray(cells, dtype=np.float64)
    if any(length != 2 for length in table.shape):
        raise InvalidInput("cells", table.shape, "a table with two levels along every axis")
    while table.ndim:
        table = table[1] - table[0]
    return float(table)


def seeds_needed(
    effect: float, design: str = "simple", *, alpha: float = 0.05, power: float = 0.8
) -> float:
    """Seeds per cell for a wanted power, by the normal approximation.

    ``c (z[1 - alpha/2] + z[power])^2 / D^2`` with c = 2, 4, 8 for a simple effect, a two-way and
    a three-way interaction; ``2 (z[1 - alpha] + z[(1 + power)/2])^2 / D^2`` for equivalence (TOST,
    true difference 0, margin D).

    Args:
        effect: D, the contrast (or margin) in between-seed standard deviations, >= 0.
        design: ``simple``, ``two-way``, ``three-way`` or ``equivalence``.
        alpha: Error rate.
        power: Chance to find an effect of this size.

    Returns:
        A whole number, inf where D is 0.
    """
    if design not in DESIGNS and design != "equivalence":
        raise InvalidInput("design", design, ", ".join((*DESIGNS, "equivalence")))
    if not effect >= 0:
        raise InvalidInput("effect", effect, "a number >= 0, in between-seed standard deviations")
    if effect == 0:
        return inf
    if design == "equivalence":
        factor, z = 2.0, stats.norm.ppf(1 - alpha) + stats.norm.ppf((1 + power) / 2)
    else:
        factor, z = DESIGNS[design], stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(power)
    return float(ceil(factor * float(z) ** 2 / effect**2))
