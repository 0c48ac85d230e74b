"""Shares against exact tests by hand, scipy and a fit by hand; size by simulation."""

from __future__ import annotations

from itertools import product
from math import comb, isnan, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats
from statsmodels.stats.contingency_tables import mcnemar

from powerseek.errors import InvalidInput
from powerseek.experiments.statistics.proportions import (
    compare_proportions,
    proportion,
    proportion_effects,
)

BITS = st.lists(st.integers(0, 1), min_size=1, max_size=20)


def test_no_event_in_sixteen_seeds_is_no_zero():
    found = proportion([0] * 16)
    assert (found.value, found.low, found.n) == (0, 0, 16)
    # (1 - high)^16 = 0.025
    assert found.high == pytest.approx(1 - 0.025 ** (1 / 16))
    assert proportion([1]).low == pytest.approx(0.025)
    assert all(isnan(number) for number in proportion([nan])[:3])


@given(st.integers(1, 30), st.floats(0.02, 0.98))
@settings(max_examples=30)
def test_the_exact_interval_covers_at_least_as_often_as_said(n, share):
    chances = stats.binom.pmf(np.arange(n + 1), n, share)
    found = [proportion([1] * k + [0] * (n - k)) for k in range(n + 1)]
    covers = [estimate.low <= share <= estimate.high for estimate in found]
    assert chances @ covers >= 0.95 - 1e-9


@settings(max_examples=50)
@given(BITS, BITS)
def test_exact_tests_agree_with_a_second_implementation(x, y):
    n, m = len(x), len(y)
    a, b = sum(x), sum(y)
    free = compare_proportions(x, y, paired=False)
    assert (free.a, free.b, free.n) == (a / n, b / m, (n, m))
    # Fisher: all tables with these margins that are no likelier than this one.
    chances = [comb(n, k) * comb(m, a + b - k) for k in range(max(0, a + b - m), min(n, a + b) + 1)]
    here = comb(n, a) * comb(m, b)
    wanted = sum(chance for chance in chances if chance <= here) / comb(n + m, a + b)
    assert free.p == pytest.approx(wanted, abs=1e-9)

    x, y = x[: min(n, m)], y[: min(n, m)]
    table = [
        [sum((u, v) == (i, j) for u, v in zip(x, y, strict=True)) for j in (0, 1)] for i in (0, 1)
    ]
    wanted = mcnemar(table, exact=True).pvalue if table[0][1] + table[1][0] else 1.0
    assert compare_proportions(x, y).p == pytest.approx(min(wanted, 1), abs=1e-9)


def test_shares_without_seeds_are_nan():
    for paired in (True, False):
        found = compare_proportions([nan, nan], [1, 0], paired=paired)
        assert isnan(found.a)
        assert isnan(found.p)
    assert compare_proportions([1], [0]).p == 1
    assert compare_proportions([1, nan, 0], [1, 1, nan]).n == (1, 1)


# GEE


def cells(log_odds, n, chance, spread=1.0):
    """One 0/1 outcome of each seed in each cell of a 2 x 2 x ... table, with a seed effect."""
    table = np.asarray(log_odds, dtype=float)
    seed = spread * chance.normal(size=(n, *[1] * table.ndim))
    outcomes = (chance.random((n, *table.shape)) < special.expit(table + seed)).astype(float)
    codes = np.array(list(product((0, 1), repeat=table.ndim)) * n).T
    names = ("timing", "horizon", "door")[: table.ndim]
    return (
        outcomes.ravel(),
        dict(zip(names, codes, strict=True)),
        np.repeat(np.arange(n), table.size),
    )


@pytest.mark.parametrize("working", ["independence", "exchangeable"])
def test_effects_are_contrasts_of_the_cells_log_odds(working):
    outcomes, factors, seeds = cells([[-1, 0], [0.5, 2]], 200, np.random.default_rng(0), 0.5)
    found = proportion_effects(outcomes, factors, seeds, working=working).set_index("term")
    shares = outcomes.reshape(-1, 2, 2).mean(axis=0)
    table = special.logit(shares)
    wanted = {
        "timing": (table[1] - table[0]).mean(),
        "horizon": (table[:, 1] - table[:, 0]).mean(),
        "timing:horizon": table[1, 1] - table[1, 0] - table[0, 1] + table[0, 0],
    }
    assert found["effect"].to_dict() == pytest.approx(wanted, abs=1e-4)
    assert (found["low"] < found["effect"]).all()
    assert (found["effect"] < found["high"]).all()
    assert (found["clusters"] == 200).all()
    assert found.loc["timing", "p"] < 1e-4


def test_the_robust_error_is_that_of_the_seeds_contributions():
    outcomes, factors, seeds = cells([[-1, 0], [0.5, 2]], 300, np.random.default_rng(1))
    found = proportion_effects(outcomes, factors, seeds).set_index("term").loc["timing:horizon"]
    table = outcomes.reshape(-1, 2, 2)
    share = table.mean(axis=0)
    own = ((table - share) / (share * (1 - share)) * [[1, -1], [-1, 1]]).sum(axis=(1, 2))
    error = (found["high"] - found["low"]) / 2 / stats.t.isf(0.025, 300 - 4)
    assert error == pytest.approx(own.std(ddof=1) / 300**0.5, rel=0.02)


def test_three_factors_have_seven_terms():
    outcomes, factors, seeds = cells(np.zeros((2, 2, 2)), 60, np.random.default_rng(2))
    found = proportion_effects(outcomes, factors, seeds)
    assert found["term"].tolist()[-1] == "timing:horizon:door"
    assert len(found) == 7
    assert found.notna().all(axis=None)


def test_levels_are_ordered_and_a_copied_row_is_no_new_seed():
    outcomes, factors, seeds = cells([[-1, 0], [0.5, 2]], 40, np.random.default_rng(3))
    named = {
        "timing": np.array(["a-dense", "b-late"])[factors["timing"]],
        "horizon": factors["horizon"],
    }
    found = proportion_effects(outcomes, factors, seeds)
    assert proportion_effects(outcomes, named, seeds)["effect"].tolist() == found["effect"].tolist()
    doubled = {name: np.tile(codes, 2) for name, codes in factors.items()}
    twice = proportion_effects(np.tile(outcomes, 2), doubled, np.tile(seeds, 2))
    for column in ("effect", "low", "high", "p"):
        assert twice[column].tolist() == pytest.approx(found[column].tolist(), abs=1e-6)


def test_what_cannot_be_told_is_nan():
    outcomes, factors, seeds = cells([[-1, 0], [0.5, 1]], 40, np.random.default_rng(4))
    first = (factors["timing"] == 0) & (factors["horizon"] == 0)
    few = seeds < 4
    for changed in (
        np.where(first, 0.0, outcomes),
        np.where(first, nan, outcomes),
        np.ones(outcomes.size),
        np.full(outcomes.size, nan),
        np.where(few, outcomes, nan),
    ):
        found = proportion_effects(changed, factors, seeds)
        assert found[["effect", "low", "high", "p"]].isna().all(axis=None)
        assert len(found) == 3


def size(n, repeats, seed):
    chance, found = np.random.default_rng(seed), []
    for _ in range(repeats):
        outcomes, factors, seeds = cells([[-0.5, 0], [0, 0.5]], n, chance, 1.5)
        found.append(proportion_effects(outcomes, factors, seeds)["p"].iloc[-1])
    p = np.array(found)
    return np.mean(p[np.isfinite(p)] < 0.05)


def test_without_an_interaction_few_are_found():
    assert size(16, 60, 0) <= 0.15


@pytest.mark.slow
@pytest.mark.parametrize(("n", "low", "high"), [(8, 0, 0.02), (16, 0.02, 0.07), (32, 0.03, 0.07)])
def test_the_size_in_the_docstring(n, low, high):
    assert low <= size(n, 700, n) <= high


@pytest.mark.parametrize(
    ("field", "outcomes", "factors", "seeds"),
    [
        ("outcomes", [0, 2], {"x": [0, 1]}, [0, 1]),
        ("factors", [0, 1], {}, [0, 1]),
        ("factors", [0, 1, 1], {"x": [0, 1, 2]}, [0, 1, 2]),
        ("factors", [0, 1], {"x": [0]}, [0, 1]),
        ("seeds", [0, 1], {"x": [0, 1]}, [0]),
    ],
)
def test_impossible_fits_are_refused(field, outcomes, factors, seeds):
    with pytest.raises(InvalidInput, match=field):
        proportion_effects(outcomes, factors, seeds)


def test_only_zeros_and_ones_are_counted():
    with pytest.raises(InvalidInput, match="0 or 1"):
        proportion([0.5])
    with pytest.raises(InvalidInput, match="0 or 1"):
        compare_proportions([0, 1], [0, 7])
    with pytest.raises(InvalidInput, match="as many"):
        compare_proportions([0, 1], [0])
    with pytest.raises(InvalidInput, match="working"):
        proportion_effects([0, 1], {"x": [0, 1]}, [0, 1], working="ar1")
