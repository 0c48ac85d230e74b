"""Averages, tails and tests against published numbers and second implementations."""

from __future__ import annotations

from math import isnan, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from known import known
from scipy import stats
from statsmodels.stats.weightstats import ttost_ind, ttost_paired

from powerseek.errors import InvalidInput
from powerseek.experiments.statistics.tests import (
    cvar,
    iqm,
    iqms,
    p_difference,
    p_equivalence,
    probability_of_improvement,
    upper_quantile,
)

UNITS = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=30)


def rng(seed=0):
    return np.random.default_rng(seed)


# iqm_values


def test_iqm_values():
    case = known("iqm_values")
    samples = case.spec.values()
    exact, trimmed = (
        case.expected["exact_fractional_IQM"],
        case.expected["trim_mean_0.25 (rliable)"],
    )
    assert [iqm(sample) for sample in samples] == pytest.approx(exact, abs=case.tolerance)
    found = [iqm(sample, exact=False) for sample in samples]
    assert found == pytest.approx(trimmed, abs=case.tolerance)


@given(UNITS)
def test_iqm_is_the_trimmed_mean_of_the_sample_repeated_four_times(values):
    # Every value four times: then a quarter of them is a whole number of values.
    assert iqm(values) == pytest.approx(stats.trim_mean(np.repeat(values, 4), 0.25), abs=1e-8)


def test_iqm_of_nothing_is_nan():
    assert isnan(iqm([]))


# rliable_unit_values


def test_rliable_unit_values():
    case = known("rliable_unit_values")
    x, y = case.spec["x"], case.spec["y"]
    # rliable's mean and median are taken over tasks, of each task's mean over runs.
    tasks = np.mean(x, axis=0)
    found = {
        "median_x": np.median(tasks),
        "mean_x": np.mean(tasks),
        "iqm_x": iqm(x, exact=False),
        "iqm_y": iqm(y, exact=False),
        "prob_improvement(x,y)": probability_of_improvement(x, y),
    }
    assert found == pytest.approx(case.expected, abs=case.tolerance)
    # Twelve and six values: the exact middle half agrees.
    assert (iqm(x), iqm(y)) == (found["iqm_x"], found["iqm_y"])


def test_missing_runs_do_not_count_as_lost():
    assert probability_of_improvement([1, nan, 3], [0, nan]) == 1
    assert probability_of_improvement([[1, 5], [nan, 5]], [[0, 5]]) == 0.75
    assert isnan(probability_of_improvement([nan], [1]))
    assert isnan(probability_of_improvement([], [1]))


@given(UNITS, UNITS)
def test_improvement_is_the_u_statistic_and_its_reverse_is_the_complement(x, y):
    share = stats.mannwhitneyu(x, y).statistic / (len(x) * len(y))
    assert probability_of_improvement(x, y) == pytest.approx(share)
    assert probability_of_improvement(y, x) == pytest.approx(1 - share)


# tost_equivalence


TOST = known("tost_equivalence")
X, Y = TOST.spec["x"], TOST.spec["y"]


def test_tost_equivalence():
    low, high = TOST.spec["margin"]
    assert -low == high
    assert TOST.spec["pooled variance"]
    found = {
        "mean_diff": np.mean(X) - np.mean(Y),
        "p_tost": p_equivalence(X, Y, high),
        "p_tost_welch": p_equivalence(X, Y, high, pooled=False),
    }
    assert found == pytest.approx(TOST.expected, abs=TOST.tolerance)


@given(
    st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5)), min_size=3, max_size=15),
    st.floats(0.1, 5),
)
def test_tost_agrees_with_statsmodels(pairs, margin):
    x, y = np.array(pairs).T
    if min(np.std(x), np.std(y), np.std(x - y)) < 1e-3:
        return
    for mode, pooled in (("pooled", True), ("unequal", False)):
        theirs = ttost_ind(x, y, -margin, margin, usevar=mode)[0]
        assert p_equivalence(x, y, margin, pooled=pooled) == pytest.approx(theirs, abs=1e-8)
    theirs = ttost_paired(x, y, -margin, margin)[0]
    assert p_equivalence(x, y, margin, paired=True) == pytest.approx(theirs, abs=1e-8)
    assert p_difference(x, y) == pytest.approx(stats.ttest_rel(x, y).pvalue, abs=1e-8)


def test_units_without_spread_prove_no_equivalence():
    for mode in ({}, {"paired": True}, {"pooled": False}):
        assert isnan(p_equivalence([1, 1], [1, 1], 0.1, **mode))
        assert p_equivalence([1, 1], [2, 2], 0.1, **mode) == 1


def test_units_without_spread_differ_as_surely_as_their_number_allows():
    assert p_difference([1, 1], [1, 1]) == 1
    assert p_difference([1, 1], [1, 1], paired=False) == 1
    # Two of the four ways to swap the arms of two pairs, two of the six ways to deal four units.
    assert p_difference([1, 1], [2, 2]) == 0.5
    assert p_difference([1, 1], [2, 2], paired=False) == pytest.approx(1 / 3)
    assert p_difference(np.ones(16), np.zeros(16)) == 2.0**-15


@pytest.mark.parametrize("paired", [True, False])
def test_rounding_is_no_spread(paired):
    x, y = [0.1 + 0.2, 0.3, 0.3], [0.3, 0.1 + 0.2, 0.3]
    assert p_difference(x, y, paired=paired) == 1
    assert isnan(p_equivalence(x, y, 0.1, paired=paired))
    assert p_difference(np.add(x, 1), y, paired=paired) > 0.05


@given(
    st.lists(st.floats(-5, 5), min_size=3, max_size=12),
    st.lists(st.floats(-5, 5), min_size=3, max_size=12),
)
def test_unpaired_t_tests_agree_with_scipy(x, y):
    if min(np.std(x), np.std(y)) < 1e-3:
        return
    for pooled in (True, False):
        theirs = stats.ttest_ind(x, y, equal_var=pooled).pvalue
        assert p_difference(x, y, paired=False, pooled=pooled) == pytest.approx(theirs, abs=1e-10)


def test_pairs_need_partners():
    with pytest.raises(InvalidInput, match="paired"):
        p_difference([1, 2, 3], [1, 2])


def test_one_unit_proves_nothing():
    assert isnan(p_equivalence([1], [1], 0.1))
    assert isnan(p_difference([1], [1]))
    assert isnan(p_difference([], []))
    assert isnan(p_difference([nan, 1, 2], [1, 2, 3]))
    assert isnan(p_equivalence([nan, 1, 2], [1, 2, 3], 1, paired=True))


@pytest.mark.parametrize("margin", [0, -0.1, nan])
def test_a_margin_is_positive(margin):
    with pytest.raises(InvalidInput, match="margin"):
        p_equivalence(X, Y, margin)


# Tails


def test_tails_of_ten_seeds_by_hand():
    seeds = [0.0] * 7 + [1.0, 2.0, 10.0]
    assert cvar(seeds) == 10
    assert cvar(seeds, 0.8) == 6
    assert cvar(seeds, 0.85) == pytest.approx((10 + 0.5 * 2) / 1.5)
    assert cvar(seeds, 0) == pytest.approx(np.mean(seeds))
    assert upper_quantile(seeds) == pytest.approx(2.8)


@given(UNITS, st.floats(0, 0.99))
def test_cvar_is_the_least_of_rockafellar_and_uryasev(values, level):
    # min over t of t + E[(X - t)+] / (1 - level); the minimum lies at one of the values.
    excess = [t + np.maximum(np.subtract(values, t), 0).mean() / (1 - level) for t in values]
    assert cvar(values, level) == pytest.approx(min(excess), rel=1e-6, abs=1e-6)


@given(UNITS)
def test_tails_lie_above_the_middle_and_below_the_maximum(values):
    assert np.mean(values) - 1e-9 <= cvar(values) <= max(values) + 1e-9
    assert upper_quantile(values) <= cvar(values) + 1e-9
    assert iqms(np.tile(values, (2, 1))) == pytest.approx([iqm(values)] * 2)


def test_tails_of_nothing_are_nan_and_a_nan_is_not_a_seed():
    assert np.isnan([cvar([]), upper_quantile([]), cvar([1, nan]), upper_quantile([1, nan])]).all()
    for level in (-0.1, 1, nan):
        with pytest.raises(InvalidInput, match="level"):
            cvar([1.0], level)
    with pytest.raises(InvalidInput, match="level"):
        upper_quantile([1.0], 1.1)


def test_a_tail_is_a_statistic_for_the_bootstrap():
    values = rng(3).exponential(size=40)
    low, high = stats.bootstrap((values,), cvar, n_resamples=500, rng=rng()).confidence_interval
    assert low < cvar(values) < high
