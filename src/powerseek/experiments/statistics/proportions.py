"""Fractions of seeds: exact intervals and tests."""

from __future__ import annotations

from math import nan
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from powerseek.errors import InvalidInput
from powerseek.experiments.statistics.bootstrap import Estimate
from powerseek.types import Floats


def proportion(outcomes: ArrayLike, *, confidence: float = 0.95) -> Estimate:
    """Fraction of units with an outcome, with the exact interval.

    Args:
        outcomes: [n] of 0 or 1, one a seed; nan is left out.
        confidence: Coverage at least, in (0, 1).

    Returns:
        Fraction in [0, 1] and interval; of no unit, nan. 0 of 16 gives (0, .206).

    Source: Clopper and Pearson 1934.
    CAVEAT: covers at least as often as asked, usually more; episodes of one seed are not units.
    """
    values = np.asarray(outcomes, dtype=np.float64)
    kept = _binary("outcomes", values[~np.isnan(values)])
    if kept.size == 0:
        return Estimate(nan, nan, nan, 0)
    ones = int(kept.sum())
    low, high = stats.binomtest(ones, kept.size).proportion_ci(confidence, method="exact")
    return Estimate(ones / kept.size, float(low), float(high), int(kept.size))


class Shares(NamedTuple):
    """Two fractions compared.

    Attributes:
        a: Fraction in the first arm, nan without units.
        b: Fraction in the second.
        p: Exact two-sided p of "the fractions are equal", nan without units.
        n: Units in each arm, or pairs.
    """

    a: float
    b: float
    p: float
    n: tuple[int, int]


def compare_proportions(x: ArrayLike, y: ArrayLike, *, paired: bool = True) -> Shares:
    """Exact test of two fractions of seeds; answers with cells of all 0 or all 1 too.

    Args:
        x: [n] of 0 or 1, one a seed; nan = no value.
        y: [m]; the same seeds in the same order when paired. A pair with a nan is left out.
        paired: McNemar's exact test of the pairs that differ; else Fisher's.

    Source: McNemar 1947 (exact, binomial); Fisher 1935.
    CAVEAT: conservative: with 5 pairs no p lies below .06. Equality not rejected is no
    equivalence.
    """
    first, second = (np.asarray(values, dtype=np.float64) for values in (x, y))
    if paired:
        if first.shape != second.shape:
            raise InvalidInput("y", second.shape, f"as many values as x, {first.shape}")
        both = ~(np.isnan(first) | np.isnan(second))
        first, second = first[both], second[both]
    first = _binary("x", first[~np.isnan(first)])
    second = _binary("y", second[~np.isnan(second)])
    n, m = int(first.size), int(second.size)
    a_share, b_share = (float(arm.mean()) if arm.size else nan for arm in (first, second))
    if min(n, m) == 0:
        return Shares(a_share, b_share, nan, (n, m))
    if paired:
        gained, lost = int((first > second).sum()), int((first < second).sum())
        p = stats.binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    else:
        a, b = int(first.sum()), int(second.sum())
        p = stats.fisher_exact([[a, n - a], [b, m - b]])[1]
    return Shares(a_share, b_share, float(p), (n, m))


def _binary(name: str, values: Floats) -> Floats:
    if not np.isin(values, (0, 1)).all():
        odd = values[~np.isin(values, (0, 1))][0]
        raise InvalidInput(name, float(odd), "0 or 1, one a seed", "values >= 0.5")
    return values
