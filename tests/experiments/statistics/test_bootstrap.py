"""Bootstrap intervals against enumeration and scipy; their coverage; groups kept apart."""

from __future__ import annotations

from math import nan

import numpy as np
import pytest
from known import known
from scipy import stats

from powerseek.experiments.statistics.bootstrap import bootstrap_groups, resample


def rng(seed=0):
    return np.random.default_rng(seed)


def alone(values, strata=None, **options):
    groups = np.zeros(len(values), dtype=int)
    found = bootstrap_groups(values[:, None], groups, 1, rng(5), strata=strata, **options)
    return tuple(part[0, 0] for part in found)


def narrowed(interval):
    """A widened interval of one stratum as it was before: scipy's BCa."""
    value, low, high, n = interval
    factor = stats.t.isf(0.025, n - 1) / stats.norm.isf(0.025) * (n / (n - 1)) ** 0.5
    return value + (low - value) / factor, value + (high - value) / factor


def test_bootstrap_exact_enumeration():
    case = known("bootstrap_exact_enumeration")
    draws = np.array(case.spec["sample"])[resample(3, rng())].mean(axis=-1)
    expected = case.expected
    assert draws.size == 27
    found = {
        "bootstrap_mean": draws.mean(),
        "bootstrap_se": draws.std(),
        "P(mean<=2)": (draws <= 2 + 1e-9).mean(),
    }
    for name, value in found.items():
        assert value == pytest.approx(expected[name], abs=case.tolerance), name
    distinct = np.unique(draws.round(6))
    assert distinct == pytest.approx(expected["sorted_unique"], abs=case.tolerance)


def test_strata_keep_their_sizes():
    strata = np.array(["a", "a", "b", "b", "b"])
    drawn = strata[resample(5, rng(), strata, 300)]
    assert ((drawn == "a").sum(axis=1) == 2).all()


def test_a_small_sample_has_an_exact_interval():
    sample = np.array([1.0, 2.0, 6.0])
    first, second = alone(sample), alone(sample, resamples=27)
    assert first == second
    assert first[0] == 3


@pytest.mark.parametrize(("n", "shape"), [(25, 1.0), (40, 2.0), (200, 0.5)])
def test_but_for_the_widening_it_agrees_with_scipy(n, shape):
    sample = rng(1).gamma(shape, size=n)
    ours = narrowed(alone(sample, resamples=40_000, smooth=10**9))
    theirs = stats.bootstrap((sample,), np.mean, n_resamples=40_000, method="BCa", rng=rng(3))
    low, high = theirs.confidence_interval
    assert ours == pytest.approx((low, high), abs=0.05 * (high - low))


def test_a_stratum_of_one_unit_makes_one_stratum_of_all():
    values = np.array([1.0, 2.0, 4.0])
    assert alone(values, np.arange(3)) == alone(values)


def test_one_unit_or_none_has_no_interval():
    assert alone(np.array([2.0])) == pytest.approx((2, nan, nan, 1), nan_ok=True)
    assert alone(np.array([nan])) == pytest.approx((nan, nan, nan, 0), nan_ok=True)


def test_widening_of_a_symmetric_sample_gives_students_interval():
    half = np.abs(rng(4).normal(size=20))
    sample = np.concatenate([half, -half])
    ours = alone(sample, resamples=60_000)
    theirs = stats.ttest_1samp(sample, 0).confidence_interval()
    assert ours[1:3] == pytest.approx((theirs.low, theirs.high), rel=0.03)


def test_strata_are_widened_by_their_own_freedom():
    """Two units a stratum: the resamples' variance is half of what it should be."""
    repeats = 2000
    strata = np.tile(np.repeat(np.arange(4), 2), repeats)
    values = (10.0 * strata + rng(6).normal(size=8 * repeats))[:, None]
    found = bootstrap_groups(
        values, np.repeat(np.arange(repeats), 8), repeats, rng(1), strata=strata
    )
    assert np.mean((found.low <= 15) & (found.high >= 15)) == pytest.approx(0.95, abs=0.035)
    assert np.nanmax(found.high - found.low) < 8


def test_a_share_stays_between_its_bounds():
    values = np.array([0.0, 1.0, 1.0, 1.0])
    free, cut = alone(values), alone(values, bounds=[(0, 1)])
    assert free[1] < 0
    assert cut[1:3] == (0, min(1, free[2]))


def test_groups_and_columns_are_kept_apart_and_missing_values_left_out():
    chance = rng(1)
    groups = chance.permutation(np.repeat([0, 1, 3], 8))
    values = chance.normal(size=(24, 2))
    values[np.flatnonzero(groups == 1)[:3], 1] = np.nan
    found = bootstrap_groups(values, groups, 4, rng(2))
    for group in (0, 1, 3):
        for column in range(2):
            own = values[groups == group, column]
            value, low, high, n = alone(own, resamples=20_000)
            assert found.n[group, column] == n
            assert found.value[group, column] == pytest.approx(value, rel=1e-12)
            ends = found.low[group, column], found.high[group, column]
            assert ends == pytest.approx((low, high), abs=0.06 * (high - low))
    assert np.isnan(found.value[2]).all()
    assert (found.n[2] == 0).all()


def test_equal_units_have_a_mean_and_no_interval():
    value, low, high, n = alone(np.full(100, 0.3))
    assert (value, n) == (pytest.approx(0.3), 100)
    assert np.isnan([low, high]).all()
    # All the spread lies between strata.
    value, low, high, n = alone(np.repeat([0.0, 1.0], 40), np.repeat([0, 1], 40))
    assert value == 0.5
    assert np.isnan([low, high]).all()


@pytest.mark.parametrize("strata", [None, np.arange(100) % 2])
@pytest.mark.parametrize("draw", ["normal", "gamma", "uniform"])
def test_the_expansion_is_what_endless_resampling_gives(draw, strata):
    for seed in range(3):
        chance = rng(seed)
        values = chance.gamma(4.0, size=100) if draw == "gamma" else getattr(chance, draw)(size=100)
        short, long = (alone(values, strata, smooth=s, resamples=40_000) for s in (64, 10**9))
        assert short != long  # one was drawn, the other not
        error = values.std() / 10
        assert short[1:3] == pytest.approx(long[1:3], abs=0.06 * error)


def test_a_heavy_tail_is_resampled_however_many_units():
    values = np.zeros(100)
    values[0] = 1.0
    assert alone(values) == alone(values, smooth=10**9)


def test_many_units_have_students_interval():
    values = rng(4).normal(size=2000)
    wanted = stats.ttest_1samp(values, 0).confidence_interval()
    assert alone(values)[1:3] == pytest.approx((wanted.low, wanted.high), abs=0.001)


@pytest.mark.parametrize(
    ("n", "normal", "skewed"),
    [(3, 0.93, 0.87), (5, 0.94, 0.90), (8, 0.95, 0.91), (16, 0.95, 0.93), (100, 0.95, 0.945)],
)
def test_coverage_is_that_of_the_widened_interval(n, normal, skewed):
    """As in the table of `bootstrap_groups`; the draw shared by all groups must be a large one."""
    count = 3000
    groups = np.repeat(np.arange(count), n)
    for draw, truth, wanted in (("normal", 0, normal), ("exponential", 1, skewed)):
        values = getattr(rng(n), draw)(size=(count * n, 1))
        found = bootstrap_groups(values, groups, count, rng(1))
        covered = np.mean((found.low <= truth) & (truth <= found.high))
        assert covered == pytest.approx(wanted, abs=0.02)
