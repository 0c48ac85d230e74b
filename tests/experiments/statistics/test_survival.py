"""Censored budgets against a worked example, statsmodels, identities and simulation."""

from __future__ import annotations

from math import comb, inf, isnan, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.duration.survfunc import SurvfuncRight, survdiff

from powerseek.errors import InvalidInput
from powerseek.experiments.statistics.survival import (
    budget_ratio,
    kaplan_meier,
    median_budget,
    median_interval,
    p_log_rank,
    restricted_mean,
)

# Weeks in remission, 6-MP arm and placebo arm (Freireich et al. 1963; Collett, Cox and Oakes).
TREATED = [6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35]
RELAPSED = [1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]
PLACEBO = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23]
ALL = [1] * 21
SEEDS = st.lists(st.tuples(st.integers(1, 12).map(float), st.booleans()), min_size=1, max_size=15)


def rng(seed=0):
    return np.random.default_rng(seed)


def test_remission_times_as_published():
    found = kaplan_meier(TREATED, RELAPSED)
    assert found.times.tolist() == [6, 7, 10, 13, 16, 22, 23]
    wanted = [0.8571, 0.8067, 0.7529, 0.6902, 0.6275, 0.5378, 0.4482]
    assert found.fraction == pytest.approx(wanted, abs=5e-5)
    assert found.last == 35
    assert median_budget(TREATED, RELAPSED) == (23, 23)
    assert median_budget(PLACEBO, ALL) == (8, 8)
    # Published: chi-square 16.79 with one degree of freedom.
    assert stats.chi2.isf(p_log_rank(TREATED, RELAPSED, PLACEBO, ALL), 1) == pytest.approx(
        16.79, abs=0.005
    )


def test_intervals_of_remission_times_as_published():
    """R's survfit: median 23 [13, NA], mean up to 35 weeks 23.29 (se 2.83)."""
    assert median_interval(TREATED, RELAPSED) == (13, inf)
    assert median_interval(PLACEBO, ALL) == (4, 11)
    found = restricted_mean(TREATED, RELAPSED, 35)
    assert found.value == pytest.approx(23.287, abs=5e-4)
    # Nine events: Greenwood's variance times 9/8, by Student's t of 20 degrees of freedom.
    half = stats.t.isf(0.025, 20) * 2.827 * (9 / 8) ** 0.5
    assert (found.low, found.high) == pytest.approx((23.287 - half, 23.287 + half), abs=3e-3)


@settings(max_examples=60)
@given(SEEDS)
def test_median_intervals_agree_with_statsmodels(seeds):
    times, reached = map(np.array, zip(*seeds, strict=True))
    low, high = median_interval(times, reached)
    if len(times) < 6 or not reached.any():
        assert isnan(low)
        return
    assert low <= median_budget(times, reached)[0] <= high
    with np.errstate(divide="ignore", invalid="ignore"):
        theirs = SurvfuncRight(times, reached.astype(int)).quantile_ci(0.5, method="cloglog")
    if theirs[1] < inf and high < inf:
        assert (low, high) == theirs


@settings(max_examples=60)
@given(SEEDS, st.floats(1, 14))
def test_the_restricted_mean_is_the_area_and_without_censoring_the_mean(seeds, horizon):
    times, reached = map(np.array, zip(*seeds, strict=True))
    everyone = restricted_mean(times, np.ones(len(times), bool), horizon)
    assert everyone.value == pytest.approx(np.minimum(times, horizon).mean())
    found = restricted_mean(times, reached, horizon)
    curve = kaplan_meier(times, reached)
    left = [
        curve.fraction[curve.times <= x][-1:].sum() if (curve.times <= x).any() else 1.0
        for x in (np.arange(2000) + 0.5) * horizon / 2000
    ]
    if isnan(found.value):
        assert times.max() < horizon
    else:
        assert found.value == pytest.approx(np.mean(left) * horizon, abs=horizon / 100)
    if not isnan(found.low):
        assert 0 <= found.low <= found.value <= found.high <= horizon


def test_coverage_of_the_restricted_mean_and_the_median():
    chance, hits, repeats = rng(4), np.zeros(2), 300
    for _ in range(repeats):
        times = np.minimum(chance.exponential(size=16), np.log(4))
        reached = times < np.log(4)
        mean = restricted_mean(times, reached, np.log(4))
        low, high = median_interval(times, reached)
        hits += (mean.low <= 0.75 <= mean.high, low <= np.log(2) <= high)
    assert (hits / repeats >= 0.92).all()


@settings(max_examples=60)
@given(SEEDS)
def test_kaplan_meier_agrees_with_statsmodels(seeds):
    times, reached = map(np.array, zip(*seeds, strict=True))
    found = kaplan_meier(times, reached)
    theirs = SurvfuncRight(times, reached.astype(int))
    events = np.isin(theirs.surv_times, times[reached])
    assert found.times.tolist() == theirs.surv_times[events].tolist()
    assert found.fraction == pytest.approx(theirs.surv_prob[events], abs=1e-9)
    low, high = median_budget(times, reached)
    half = found.times[found.fraction <= 0.5 + 1e-12]
    assert (low, high) == ((half[0], half[0]) if half.size else (times.max(), inf))


@settings(max_examples=60)
@given(SEEDS, SEEDS)
def test_log_rank_agrees_with_statsmodels(a, b):
    (ta, ra), (tb, rb) = (map(np.array, zip(*seeds, strict=True)) for seeds in (a, b))
    found = p_log_rank(ta, ra, tb, rb)
    assert found == pytest.approx(p_log_rank(tb, rb, ta, ra), nan_ok=True, abs=1e-9)
    arms = np.repeat([0, 1], [ta.size, tb.size])
    if isnan(found):
        return
    theirs = survdiff(np.concatenate([ta, tb]), np.concatenate([ra, rb]).astype(int), arms)[1]
    least = 2 / comb(ta.size + tb.size, tb.size)
    assert found == pytest.approx(min(max(float(theirs), least), 1), abs=1e-8)


def test_size_of_the_log_rank_test():
    chance, repeats = rng(2), 1000
    draws = np.minimum(chance.exponential(size=(repeats, 2, 16)), 1.5)
    found = [p_log_rank(a, a < 1.5, b, b < 1.5) for a, b in draws]
    assert np.mean(np.array(found) < 0.05) == pytest.approx(0.055, abs=0.022)


def test_three_seeds_an_arm_prove_no_difference():
    assert p_log_rank([1, 2, 3], ALL[:3], [7, 8, 9], ALL[:3]) == pytest.approx(0.1)
    assert p_log_rank([1], [True], [9], [True]) == 1


# Ratio of budgets


def test_a_ratio_of_budgets_by_hand():
    dense, sparse = [4, 4, 5, 5, 6, 6], [40, 40, 50, 50, 60, 60]
    found = budget_ratio(sparse, ALL[:6], dense, ALL[:6], rng())
    assert found.value == found.at_least == 10
    assert (found.low, found.high) == pytest.approx((40 / 6, 60 / 4))
    assert found.n == (6, 6)
    few = budget_ratio(sparse[:5], ALL[:5], dense, ALL[:6], rng())
    assert few.value == 10
    assert isnan(few.low)
    assert isnan(few.high)


def test_an_arm_that_never_learns_has_a_least_ratio_only():
    dense = [4, 5, 6, 5, 4, 6]
    found = budget_ratio([100] * 8, [False] * 8, dense, [True] * 6, rng())
    assert isnan(found.value)
    assert found.at_least == 20
    assert found.low == pytest.approx(100 / 6, abs=0.8)
    assert found.high == inf
    turned = budget_ratio(dense, [True] * 6, [100] * 8, [False] * 8, rng())
    assert (turned.low, turned.at_least) == (0, 0)
    assert turned.high == pytest.approx(6 / 100, abs=0.01)
    neither = budget_ratio([100] * 6, [False] * 6, [100] * 6, [False] * 6, rng())
    assert isnan(neither.value)
    assert (neither.low, neither.high) == (0, inf)


def test_coverage_of_the_ratio():
    chance, hits, repeats = rng(3), 0, 300
    for _ in range(repeats):
        a, b = 10 * chance.exponential(size=16), chance.exponential(size=16)
        found = budget_ratio(np.minimum(a, 9), a <= 9, b, b < inf, chance, resamples=300)
        hits += found.low <= 10 <= found.high
    assert hits / repeats >= 0.92


@settings(max_examples=30)
@given(SEEDS, SEEDS)
def test_giving_up_earlier_only_widens_what_is_possible(a, b):
    (ta, ra), (tb, rb) = (map(np.array, zip(*seeds, strict=True)) for seeds in (a, b))
    found = budget_ratio(ta, ra, tb, rb, rng(), resamples=100)
    assert isnan(found.low) == (min(ta.size, tb.size) < 6)
    if not isnan(found.low):
        assert 0 <= found.low <= found.high
    if not isnan(found.value):
        assert found.value == found.at_least > 0


# What cannot be told


def test_no_seed_none_reached_or_one():
    empty = kaplan_meier([], [])
    assert empty.times.size == 0
    assert isnan(empty.last)
    assert np.isnan(median_budget([nan], [False])).all()
    assert isnan(p_log_rank([], [], [1.0], [True]))
    assert all(isnan(number) for number in budget_ratio([], [], [1.0], [True], rng())[:4])

    assert median_budget([9, 9, 9], [False] * 3) == (9, inf)
    assert median_interval([9] * 6, [True] * 6) == (9, 9)
    assert median_interval([3, *[9] * 15], [True, *[False] * 15]) == (9, inf)
    assert isnan(median_interval([9] * 6, [False] * 6)[0])
    assert isnan(restricted_mean([3, 9], [1, 0], 10).value)
    assert restricted_mean([9, 9], [0, 0], 9)[:2] == pytest.approx((9, nan), nan_ok=True)
    assert isnan(p_log_rank([9, 9], [False] * 2, [9, 9], [False] * 2))

    assert median_budget([4], [True]) == (4, 4)
    one = budget_ratio([40.0], [True], [4.0], [True], rng())
    assert one.value == 10
    assert isnan(one.low)


def test_a_nan_budget_is_no_seed():
    assert median_budget([1, nan, 3, 5], [1, 1, 1, 1]) == median_budget([1, 3, 5], [1, 1, 1])


@pytest.mark.parametrize(
    ("field", "call"),
    [
        ("reached", lambda: kaplan_meier([1, 2], [True])),
        ("reached", lambda: kaplan_meier([1, 2], [0.5, 1])),
        ("horizon", lambda: restricted_mean([1, 2], [1, 1], 0)),
        ("budgets", lambda: kaplan_meier([-1], [True])),
        ("budgets", lambda: kaplan_meier([inf], [False])),
        ("budgets_b", lambda: budget_ratio([1, 2], [1, 1], [0, 1], [1, 1], rng())),
    ],
)
def test_impossible_budgets_are_refused(field, call):
    with pytest.raises(InvalidInput, match=field):
        call()
