"""Shares of seeds or episodes: exact intervals and tests, and GEE clustered by seed."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from itertools import combinations
from math import nan
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from powerseek.errors import InvalidInput
from powerseek.experiments.statistics.bootstrap import Estimate
from powerseek.types import Floats

COLUMNS = ("term", "effect", "low", "high", "p", "clusters")


def proportion(outcomes: ArrayLike, *, confidence: float = 0.95) -> Estimate:
    """Share of units with an outcome, with the exact interval.

    Args:
        outcomes: [n] of 0 or 1, one a seed; nan is left out.
        confidence: Coverage at least, in (0, 1).

    Returns:
        Share in [0, 1] and interval; of no unit, nan. 0 of 16 gives (0, .206).

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
    """Two shares compared.

    Attributes:
        a: Share in the first arm, nan without units.
        b: Share in the second.
        p: Exact two-sided p of "the shares are equal", nan without units.
        n: Units in each arm, or pairs.
    """

    a: float
    b: float
    p: float
    n: tuple[int, int]


def compare_proportions(x: ArrayLike, y: ArrayLike, *, paired: bool = True) -> Shares:
    """Exact test of two shares of seeds; answers where GEE cannot, with cells of all 0 or all 1.

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
    if min(n, m) == 0:
        a_share, b_share = (float(arm.mean()) if arm.size else nan for arm in (first, second))
        return Shares(a_share, b_share, nan, (n, m))
    if paired:
        gained, lost = int((first > second).sum()), int((first < second).sum())
        p = stats.binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    else:
        a, b = int(first.sum()), int(second.sum())
        p = stats.fisher_exact([[a, n - a], [b, m - b]])[1]
    return Shares(float(first.mean()), float(second.mean()), float(p), (n, m))


def proportion_effects(
    outcomes: ArrayLike,
    factors: Mapping[str, ArrayLike],
    seeds: ArrayLike,
    *,
    working: str = "independence",
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Main effects and interactions of two-level factors on a share, on the logit scale, by GEE.

    Population-averaged logistic regression with seeds as clusters, factors coded -1/2 and 1/2
    (so that every coefficient is the contrast of its name: a difference, a difference of
    differences ...), the bias-reduced sandwich covariance, and t with clusters - coefficients
    degrees of freedom.

    Args:
        outcomes: [rows] in [0, 1]: an outcome, or the share of a trial's episodes; nan left out.
        factors: Name -> [rows] with two values; the smaller is the first level.
        seeds: [rows] labels of the training seeds.
        working: Working correlation within a seed, ``independence`` or ``exchangeable``; it
            affects efficiency only.
        confidence: Coverage aimed at, in (0, 1).

    Returns:
        One row a term (``timing``, ``timing:horizon`` ...) with term, effect (log odds), low,
        high, p, clusters. nan throughout where logits do not exist or too little is known: a
        cell that is empty, all 0 or all 1 (use :func:`compare_proportions`), or fewer clusters
        than coefficients + 2.

    Source: Liang and Zeger 1986; Mancl and DeRouen 2001 (bias reduction); statsmodels.
    CAVEAT: asymptotic in seeds. Size of the interaction test at 5 %, simulated with one 0/1
    outcome a seed in each of 2 x 2 cells and a strong seed effect: .003 at 8 seeds, .02 at 12,
    .05 at 16, .04 at 32 - it is safe with few seeds because it then finds next to nothing.
    An interaction in log odds may be none in probability.
    """
    values = np.asarray(outcomes, dtype=np.float64)
    labels = np.asarray(seeds)
    if labels.shape != values.shape:
        raise InvalidInput("seeds", labels.shape, f"one label a row: shape {values.shape}")
    if working not in ("independence", "exchangeable"):
        raise InvalidInput("working", working, "independence, exchangeable")
    coded = {name: _halves(name, column, values.shape) for name, column in factors.items()}
    if not coded:
        raise InvalidInput("factors", {}, "at least one factor", 'factors={"reward": [...]}')
    known = ~np.isnan(values)
    values = values[known]
    if values.size and not (values.min() >= 0 and values.max() <= 1):
        raise InvalidInput("outcomes", (values.min(), values.max()), "numbers in [0, 1]")
    terms = [term for size in range(1, len(coded) + 1) for term in combinations(coded, size)]
    names = [":".join(term) for term in terms]
    clusters = np.unique(labels[known], return_inverse=True)[1]
    count = int(clusters.max()) + 1 if clusters.size else 0
    unknown = pd.DataFrame([(name, nan, nan, nan, nan, count) for name in names], columns=COLUMNS)
    freedom = count - len(terms) - 1
    levels = np.stack([column[known] for column in coded.values()])
    if freedom < 1 or _separated(values, levels):
        return unknown
    # Here, so that the exact tests do not wait for it: it takes a third of a second to import.
    from statsmodels.genmod.cov_struct import Exchangeable, Independence
    from statsmodels.genmod.families import Binomial
    from statsmodels.genmod.generalized_estimating_equations import GEE

    design = np.stack(
        [np.ones(values.size)]
        + [np.prod([coded[name][known] for name in term], axis=0) for term in terms],
        axis=1,
    )
    structure = Exchangeable() if working == "exchangeable" else Independence()
    model = GEE(values, design, clusters, family=Binomial(), cov_struct=structure)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = model.fit(cov_type="bias_reduced", maxiter=200)
    effect, error = np.asarray(fit.params)[1:], np.asarray(fit.bse)[1:]
    if not (fit.converged and np.isfinite(error).all() and (error > 1e-9).all()):
        return unknown
    reach = float(stats.t.isf((1 - confidence) / 2, freedom)) * error
    p = 2 * stats.t.sf(np.abs(effect) / error, freedom)
    return pd.DataFrame(
        dict(zip(COLUMNS, (names, effect, effect - reach, effect + reach, p, count), strict=True))
    )


def _halves(name: str, column: ArrayLike, shape: tuple[int, ...]) -> Floats:
    """A two-level factor as -1/2 and 1/2."""
    given = np.asarray(column)
    if given.shape != shape:
        raise InvalidInput(f"factors[{name!r}]", given.shape, f"one value a row: shape {shape}")
    levels, codes = np.unique(given, return_inverse=True)
    if levels.size > 2:
        raise InvalidInput(f"factors[{name!r}]", levels.tolist(), "two levels")
    return np.asarray(codes - 0.5, dtype=np.float64)


def _separated(values: Floats, levels: Floats) -> bool:
    """True if a cell is empty or constant at 0 or 1, so that its logit is infinite."""
    cells = ((levels > 0) * 2 ** np.arange(len(levels))[:, None]).sum(axis=0)
    size = 2 ** len(levels)
    rows = np.bincount(cells, minlength=size)
    totals = np.bincount(cells, weights=values, minlength=size)
    return bool(np.any((totals <= 1e-9) | (totals >= rows - 1e-9)))


def _binary(name: str, values: Floats) -> Floats:
    if not np.isin(values, (0, 1)).all():
        odd = values[~np.isin(values, (0, 1))][0]
        raise InvalidInput(name, float(odd), "0 or 1, one a seed", "values >= 0.5")
    return values
