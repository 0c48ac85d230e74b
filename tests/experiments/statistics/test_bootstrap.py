"""Intervals of many groups at once are those of each group by itself."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from powerseek.experiments.statistics.bootstrap import bootstrap_groups
from powerseek.experiments.statistics.resampling import bootstrap


def rng(seed=0):
    return np.random.default_rng(seed)


def alone(values, strata=None, **options):
    groups = np.zeros(len(values), dtype=int)
    found = bootstrap_groups(values[:, None], groups, 1, rng(5), strata=strata, **options)
    return tuple(part[0, 0] for part in found)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6, 8, 16, 40])
@pytest.mark.parametrize("layouts", [1, 2, 3])
def test_a_single_group_is_the_one_cell_function_with_the_same_draws(n, layouts):
    values = rng(n).gamma(1.0, size=n)
    strata = np.sort(rng(n + 1).integers(layouts, size=n))
    wanted = bootstrap(values, rng(5), strata=strata, method="widened", bounds=(0, 2))
    assert alone(values, strata, bounds=[(0, 2)]) == pytest.approx(tuple(wanted), nan_ok=True)


def test_groups_and_columns_are_kept_apart_and_missing_values_left_out():
    chance = rng(1)
    groups = chance.permutation(np.repeat([0, 1, 3], 8))
    values = chance.normal(size=(24, 2))
    values[np.flatnonzero(groups == 1)[:3], 1] = np.nan
    found = bootstrap_groups(values, groups, 4, rng(2))
    for group in (0, 1, 3):
        for column in range(2):
            own = values[groups == group, column]
            plain = bootstrap(own, rng(3), method="widened", resamples=20_000)
            assert found.n[group, column] == plain.n
            assert found.value[group, column] == pytest.approx(plain.value, rel=1e-12)
            ends = found.low[group, column], found.high[group, column]
            width = plain.high - plain.low
            assert ends == pytest.approx((plain.low, plain.high), abs=0.06 * width)
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
    ("n", "normal", "skewed"), [(3, 0.93, 0.87), (8, 0.95, 0.91), (100, 0.95, 0.945)]
)
def test_coverage_is_that_of_the_widened_interval(n, normal, skewed):
    """As in the table of `bootstrap`; the draw shared by all groups must be a large one."""
    count = 3000
    groups = np.repeat(np.arange(count), n)
    for draw, truth, wanted in (("normal", 0, normal), ("exponential", 1, skewed)):
        values = getattr(rng(n), draw)(size=(count * n, 1))
        found = bootstrap_groups(values, groups, count, rng(1))
        covered = np.mean((found.low <= truth) & (truth <= found.high))
        assert covered == pytest.approx(wanted, abs=0.02)
