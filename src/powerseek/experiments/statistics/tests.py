"""Statistics over training seeds: arrays in, numbers out, chance from an explicit Generator.

The unit is the training seed; arms are independent groups of them. Averages and tails are here;
beside it

- `powerseek.experiments.statistics.bootstrap`: bootstrap intervals, of many groups at once,
- `powerseek.experiments.statistics.comparisons`: comparisons of groups, many at once,
- `powerseek.experiments.statistics.bounded`: tests of a mean whose range is known,
- `powerseek.experiments.statistics.families`: hypotheses tested together, and looks at them,
- `powerseek.experiments.statistics.rest`: whether training had come to rest,
- `powerseek.experiments.statistics.proportions`: fractions,
- `powerseek.experiments.statistics.lee_bounds`: bounds where only some seeds learnt the task,
- `powerseek.experiments.statistics.survival`: budgets to a competence, censored,
- `powerseek.experiments.statistics.power_analysis`: seeds for an effect, effects for seeds.

What a comparison allows one to say is in `powerseek.experiments.statistics.verdicts`.
"""

from __future__ import annotations

from math import comb, nan

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats

from powerseek.errors import InvalidInput
from powerseek.types import Floats


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
    pooled = np.asarray(values, dtype=np.float64).ravel()
    if pooled.size == 0:
        return nan
    return float(iqms(pooled) if exact else stats.trim_mean(pooled, 0.25))


def iqms(samples: ArrayLike) -> Floats:
    """Exact IQM over the last axis: [..., n] to [...], a statistic for `scipy.stats.bootstrap`."""
    return _mean_between(samples, 0.25, 0.75)


def cvar(samples: ArrayLike, level: float = 0.9) -> Floats:
    """Mean of the largest values, the share 1 - level of them, over the last axis.

    Args:
        samples: [..., n], n at least 1; a nan gives nan.
        level: Share of the values that lie below the tail, in [0, 1); 0 gives the mean.

    Returns:
        [...], in the samples' unit, from the mean to the maximum. Where the tail holds a
        fraction of a value (0.9 of 16 seeds: 1.6 values) that value counts by the fraction.

    Source: Acerbi and Tasche 2002, expected shortfall; Rockafellar and Uryasev 2000.
    CAVEAT: of ten seeds or fewer the tail above 0.9 is the largest value alone, which
    underestimates the tail of the agents that were not trained.
    """
    if not 0 <= level < 1:
        raise InvalidInput("level", level, "a number in [0, 1)", "level=0.9")
    return _mean_between(samples, level, 1.0)


def upper_quantile(samples: ArrayLike, level: float = 0.9) -> Floats:
    """Quantile over the last axis, interpolated linearly: [..., n] to [...]; a nan gives nan.

    CAVEAT: blind to how far above it the worst seeds lie (see :func:`cvar`); of fewer than ten
    seeds it interpolates towards the maximum, and its interval is far too narrow.
    """
    if not 0 <= level <= 1:
        raise InvalidInput("level", level, "a number in [0, 1]", "level=0.9")
    values = np.asarray(samples, dtype=np.float64)
    if values.shape[-1] == 0:
        return np.full(values.shape[:-1], nan)
    return np.asarray(np.quantile(values, level, axis=-1), dtype=np.float64)


def _mean_between(samples: ArrayLike, start: float, stop: float) -> Floats:
    """Mean of the sorted values between two shares of them, split values counted in part."""
    ordered = np.sort(np.asarray(samples, dtype=np.float64), axis=-1)
    n = ordered.shape[-1]
    if n == 0:
        return np.full(ordered.shape[:-1], nan)
    inside = np.diff(np.clip(np.arange(n + 1, dtype=np.float64), n * start, n * stop))
    return np.asarray(ordered @ (inside / inside.sum()), dtype=np.float64)


def probability_of_improvement(x: ArrayLike, y: ArrayLike) -> float:
    """Chance that a run of X beats a run of Y, ties counted half, averaged over tasks.

    Args:
        x: [runs] or [runs, tasks]; nan = no value, left out.
        y: [other runs] or [other runs, tasks].

    Returns:
        In [0, 1]; 0.5 means no difference; nan where a task lacks values on either side.

    Source: Agarwal et al. 2021, arXiv:2108.13264, section 4.3 (Mann-Whitney U).
    CAVEAT: says nothing about how much better; 1 may be a difference of no interest.
    """
    runs_x, runs_y = (np.asarray(runs, dtype=np.float64)[:, None] for runs in (x, y))
    runs_y = np.swapaxes(runs_y, 0, 1)
    both = ~(np.isnan(runs_x) | np.isnan(runs_y))
    pairs = both.sum(axis=(0, 1))
    if np.any(pairs == 0):
        return nan
    wins = (runs_x > runs_y) + 0.5 * (runs_x == runs_y)
    return float(np.mean(np.where(both, wins, 0.0).sum(axis=(0, 1)) / pairs))


def p_equivalence(
    x: ArrayLike,
    y: ArrayLike,
    margin: float,
    *,
    paired: bool = False,
    pooled: bool = True,
) -> float:
    """Two one-sided t tests of "the means differ by less than the margin": the larger p.

    Args:
        x: [n] values of one arm.
        y: [m] values of the other; m = n when paired.
        margin: Smallest difference of interest, in the values' unit, > 0.
        paired: Test the differences x - y.
        pooled: Equal variances (else Welch); ignored when paired.

    Returns:
        In [0, 1]; nan with fewer than two units an arm, with a nan among the values, and where
        all units are equal and within the margin: seeds without any spread say nothing about
        how much other seeds would differ. 1 where they are equal and beyond it.

    Source: Schuirmann 1987 (TOST).
    CAVEAT: assumes roughly normal means. Outcomes that are nearly always 0 look equivalent with
    few seeds: compare those as shares (`powerseek.experiments.statistics.proportions`).
    """
    if not margin > 0:
        raise InvalidInput("margin", margin, "a number > 0, in the unit of the metric")
    gap, error, freedom = _gap(x, y, paired, pooled)
    if error == 0:
        return nan if abs(gap) < margin else max(0.5, float(abs(gap) > margin))
    # Two `scipy.stats.ttest_1samp` take .6 ms, all this .02: a report has tens of thousands.
    below = special.stdtr(freedom, -(gap + margin) / error)
    above = special.stdtr(freedom, (gap - margin) / error)
    return float(max(below, above))


def p_difference(x: ArrayLike, y: ArrayLike, *, paired: bool = True, pooled: bool = True) -> float:
    """Two-sided t test of "the means are equal".

    Args:
        x: [n] values of one arm.
        y: [m] values of the other; m = n when paired.
        paired: Test the differences x - y.
        pooled: Equal variances (else Welch); ignored when paired.

    Returns:
        In [0, 1]; nan with fewer than two units an arm or with a nan among the values. Where t
        has no spread to go by: 1 if the arms are equal, else the exact permutation p, ``2^(1 -
        n)`` of n equal differences and ``2 / (n + m choose n)`` of two constant arms.
    """
    gap, error, freedom = _gap(x, y, paired, pooled)
    if error == 0:
        n, m = np.size(x), np.size(y)
        if gap == 0:
            return 1.0
        return 2.0 ** (1 - n) if paired else 2 / comb(n + m, n)
    return float(2 * stats.t.sf(abs(gap) / error, freedom))


def _gap(x: ArrayLike, y: ArrayLike, paired: bool, pooled: bool) -> tuple[float, float, float]:
    """Difference of means, its standard error, degrees of freedom; nan below two units."""
    first, second = (np.asarray(values, dtype=np.float64) for values in (x, y))
    if paired and first.shape != second.shape:
        raise InvalidInput("y", second.shape, f"as many values as x, {first.shape}, when paired")
    n, m = first.size, second.size
    if min(n, m) < 2:
        return nan, nan, nan
    # Rounding gives equal values a spread of 1e-17, which must not pass for precision.
    scale = float(max(np.abs(first).max(), np.abs(second).max()))
    if paired:
        difference = first - second
        gap = float(difference.mean())
        if np.ptp(difference) <= 1e-12 * scale:
            return (gap if abs(gap) > 1e-12 * scale else 0.0), 0.0, float(n - 1)
        return gap, float(difference.std(ddof=1)) / n**0.5, float(n - 1)
    gap = float(first.mean() - second.mean())
    if max(np.ptp(first), np.ptp(second)) <= 1e-12 * scale:
        return (gap if abs(gap) > 1e-12 * scale else 0.0), 0.0, float(n + m - 2)
    per_x, per_y = float(first.var(ddof=1)) / n, float(second.var(ddof=1)) / m
    if pooled:
        shared = (per_x * n * (n - 1) + per_y * m * (m - 1)) / (n + m - 2)
        return gap, (shared * (1 / n + 1 / m)) ** 0.5, float(n + m - 2)
    spread = per_x + per_y
    if spread == 0:
        return gap, 0.0, float(n + m - 2)
    share = per_x / spread
    return gap, spread**0.5, 1 / (share**2 / (n - 1) + (1 - share) ** 2 / (m - 1))
