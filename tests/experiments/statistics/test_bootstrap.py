"""Bootstrap intervals against enumeration and scipy; their coverage; many groups at once."""

from __future__ import annotations

from math import inf, isnan, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from known import known
from scipy import stats

from powerseek.errors import InvalidInput
from powerseek.experiments.statistics.bootstrap import (
    METHODS,
    bootstrap,
    bootstrap_groups,
    means,
    resample,
)

UNITS = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=30)


def rng(seed=0):
    return np.random.default_rng(seed)


# bootstrap_exact_enumeration


def test_bootstrap_exact_enumeration():
    case = known("bootstrap_exact_enumeration")
    draws = means(np.array(case.spec["sample"])[resample(3, rng())])
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


def test_a_small_sample_has_an_exact_interval():
    first, second = (bootstrap([1.0, 2.0, 6.0], rng(seed)) for seed in (1, 2))
    assert first == second
    assert first.value == 3
    draws = np.sort([(a + b + c) / 3 for a in (1, 2, 6) for b in (1, 2, 6) for c in (1, 2, 6)])
    assert (first.low, first.high) == pytest.approx(tuple(np.quantile(draws, [0.025, 0.975])))


def test_drawn_resamples_agree_with_scipy():
    sample = rng(1).gamma(2.0, size=40)
    ours = bootstrap(sample, rng(2))
    theirs = stats.bootstrap(
        (sample,), np.mean, n_resamples=20_000, method="percentile", rng=rng(3)
    ).confidence_interval
    width = theirs.high - theirs.low
    assert ours.low == pytest.approx(theirs.low, abs=0.05 * width)
    assert ours.high == pytest.approx(theirs.high, abs=0.05 * width)


def test_values_without_a_number_are_left_out():
    assert bootstrap([1.0, nan, 3.0], rng()) == bootstrap([1.0, 3.0], rng())
    assert bootstrap([1.0, inf, 3.0], rng()).n == 2


def test_one_unit_or_none_has_no_interval():
    one, none = bootstrap([2.0], rng()), bootstrap([nan], rng())
    assert (one.value, one.n) == (2.0, 1)
    assert isnan(one.low)
    assert isnan(one.high)
    assert none.n == 0
    assert all(isnan(number) for number in none[:3])


@given(UNITS, st.floats(-10, 10))
def test_the_interval_lies_within_the_sample_and_moves_with_it(values, shift):
    found = bootstrap(values, rng(), resamples=200)
    moved = bootstrap(np.add(values, shift), rng(), resamples=200)
    if len(values) > 1:
        assert min(values) - 1e-9 <= found.low <= found.high <= max(values) + 1e-9
        assert moved.low == pytest.approx(found.low + shift, abs=1e-6)
        assert moved.high == pytest.approx(found.high + shift, abs=1e-6)


def test_strata_keep_their_sizes():
    strata = np.array(["a", "a", "b", "b", "b"])
    drawn = strata[resample(5, rng(), strata, 300)]
    assert ((drawn == "a").sum(axis=1) == 2).all()
    # All the spread lies between strata: none is left within.
    values = [0.0, 0.0, 1.0, 1.0, 1.0]
    assert bootstrap(values, rng(), strata=strata)[1:3] == pytest.approx((0.6, 0.6))
    assert bootstrap(values, rng())[1:3] != pytest.approx((0.6, 0.6))


def test_strata_of_one_unit_are_ignored():
    values = [1.0, 2.0, 4.0]
    assert bootstrap(values, rng(), strata=["a", "b", "c"]) == bootstrap(values, rng())


@pytest.mark.parametrize(("n", "least"), [(40, 0.91), (16, 0.87)])
def test_coverage_is_what_was_asked_for(n, least):
    """A percentile interval covers a little less than 95 %: t over z, and 1 - 1/n in variance."""
    repeats = 1500
    chance = rng(n)
    samples = chance.normal(size=(repeats, n))
    found = [bootstrap(sample, chance, resamples=600) for sample in samples]
    covered = np.mean([estimate.low <= 0 <= estimate.high for estimate in found])
    theory = 1 - 2 * stats.t.sf(stats.norm.ppf(0.975) * (1 - 1 / n) ** 0.5, n - 1)
    error = (theory * (1 - theory) / repeats) ** 0.5
    assert covered > least
    assert covered == pytest.approx(theory, abs=3.3 * error + 0.005)


# Corrected and widened intervals


def test_the_bias_corrected_interval_agrees_with_scipy():
    sample = rng(1).gamma(1.0, size=25)
    ours = bootstrap(sample, rng(2), method="bca", resamples=40_000)
    theirs = stats.bootstrap(
        (sample,), np.mean, n_resamples=40_000, method="BCa", rng=rng(3)
    ).confidence_interval
    plain = bootstrap(sample, rng(2), resamples=40_000)
    width = theirs.high - theirs.low
    assert ours.low == pytest.approx(theirs.low, abs=0.05 * width)
    assert ours.high == pytest.approx(theirs.high, abs=0.05 * width)
    assert plain.high < ours.high - 0.03 * width


def test_widening_of_a_symmetric_sample_gives_students_interval():
    half = np.abs(rng(4).normal(size=20))
    sample = np.concatenate([half, -half])
    ours = bootstrap(sample, rng(5), method="widened", resamples=60_000)
    theirs = stats.ttest_1samp(sample, 0).confidence_interval()
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=0.03)


def covered(n, draw, truth, method, repeats, chance):
    found = [bootstrap(draw(n), chance, method=method, resamples=400) for _ in range(repeats)]
    return np.mean([estimate.low <= truth <= estimate.high for estimate in found])


@pytest.mark.parametrize(
    ("n", "percentile", "normal", "skewed"),
    [(3, 0.68, 0.93, 0.87), (5, 0.84, 0.94, 0.90), (8, 0.89, 0.95, 0.91)],
)
def test_few_seeds_are_covered_as_often_as_said(n, percentile, normal, skewed):
    chance, repeats = rng(n), 500
    assert covered(n, lambda n: chance.normal(size=n), 0, "percentile", repeats, chance) < (
        percentile + 0.05
    )
    found = covered(n, lambda n: chance.normal(size=n), 0, "widened", repeats, chance)
    assert found == pytest.approx(normal, abs=0.04)
    found = covered(n, lambda n: chance.exponential(size=n), 1, "widened", repeats, chance)
    assert found == pytest.approx(skewed, abs=0.05)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "normal", "skewed"),
    [
        ("percentile", (0.68, 0.84, 0.89, 0.92), (0.63, 0.79, 0.85, 0.89)),
        ("bca", (0.68, 0.83, 0.88, 0.92), (0.65, 0.80, 0.86, 0.90)),
        ("widened", (0.93, 0.94, 0.95, 0.95), (0.87, 0.90, 0.91, 0.93)),
    ],
)
def test_the_coverage_in_the_docstring(method, normal, skewed):
    chance = rng(11)
    for n, *wanted in zip((3, 5, 8, 16), normal, skewed, strict=True):
        draws = (lambda n: chance.normal(size=n), lambda n: chance.exponential(size=n))
        found = [covered(n, draw, mu, method, 2000, chance) for mu, draw in enumerate(draws)]
        assert found == pytest.approx(wanted, abs=0.03), (method, n)


def test_strata_are_widened_by_their_own_freedom():
    """Two units a stratum: the resamples' variance is half of what it should be."""
    chance, repeats, hits = rng(6), 600, 0
    strata = np.repeat(np.arange(4), 2)
    for _ in range(repeats):
        sample = 10.0 * strata + chance.normal(size=8)
        found = bootstrap(sample, chance, strata=strata, method="widened", resamples=400)
        hits += found.low <= 15 <= found.high
        assert found.high - found.low < 8
    assert hits / repeats == pytest.approx(0.95, abs=0.035)


@settings(max_examples=40)
@given(st.lists(st.floats(-100, 100), min_size=2, max_size=12), st.floats(0.1, 10))
def test_intervals_hold_the_mean_and_scale_with_the_sample(values, factor):
    for method in METHODS:
        found = bootstrap(values, rng(), method=method, resamples=300)
        scaled = bootstrap(np.multiply(values, factor), rng(), method=method, resamples=300)
        if method == "percentile" or np.ptp(values) > 1e-6:
            assert found.low <= found.high
        assert scaled.value == pytest.approx(found.value * factor, abs=1e-6)
        if method == "percentile":
            assert scaled.low == pytest.approx(found.low * factor, abs=1e-6)
    plain, wide = (bootstrap(values, rng(), method=m, resamples=300) for m in ("bca", "widened"))
    assert not wide.high - wide.low < plain.high - plain.low - 1e-9


@pytest.mark.parametrize("method", METHODS)
def test_equal_units_have_no_width_and_one_has_no_interval(method):
    # A percentile interval claims no more than that all resamples agree; the others cannot tell.
    end = 0.3 if method == "percentile" else nan
    found = bootstrap([0.3] * 8, rng(), method=method)
    assert found[:3] == pytest.approx((0.3, end, end), nan_ok=True)
    strata = ["a", "a", "b", "b"]
    found = bootstrap([0, 0, 1, 1], rng(), strata=strata, method=method)
    assert np.isnan(found.low) == (method != "percentile")
    assert isnan(bootstrap([0.3], rng(), method=method).low)
    assert bootstrap([nan, nan], rng(), method=method).n == 0
    two = bootstrap([0.0, 1.0], rng(), method=method)
    assert two.low < two.value < two.high


def test_a_share_stays_between_its_bounds():
    values = [0.0, 1.0, 1.0, 1.0]
    free = bootstrap(values, rng(), method="widened")
    cut = bootstrap(values, rng(), method="widened", bounds=(0, 1))
    assert free.low < 0
    assert (cut.low, cut.high) == (0, min(1, free.high))


# Joint resampling


def test_joint_resampling_keeps_what_belongs_together():
    first = rng(7).normal(size=30)
    both = np.stack([first, first + 2], axis=1)
    gap = bootstrap(both, rng(), statistic=lambda s: (s[..., 1] - s[..., 0]).mean(axis=-1))
    assert gap[:3] == pytest.approx((2, 2, 2))


def test_a_joint_ratio_agrees_with_scipy():
    x = rng(8).normal(5, 1, size=30)
    y = x + rng(9).normal(5, 1, size=30)

    def ratio(x, y, axis=-1):
        return x.mean(axis=axis) / y.mean(axis=axis)

    ours = bootstrap(
        np.stack([x, y], axis=1), rng(1), statistic=lambda s: ratio(s[..., 0], s[..., 1])
    )
    theirs = stats.bootstrap(
        (x, y), ratio, paired=True, n_resamples=20_000, method="percentile", rng=rng(2)
    ).confidence_interval
    width = theirs.high - theirs.low
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.05 * width)


def test_a_unit_without_one_of_its_values_is_left_out():
    whole = [[1.0, 2.0], [3.0, 5.0], [4.0, 4.0]]
    gap = {"statistic": lambda s: (s[..., 1] - s[..., 0]).mean(axis=-1)}
    assert bootstrap([*whole, [nan, 1.0]], rng(), **gap) == bootstrap(whole, rng(), **gap)


def test_resamples_without_an_answer_leave_no_interval():
    with np.errstate(invalid="ignore", divide="ignore"):
        found = bootstrap([0.0, 0.0, 1.0], rng(), statistic=lambda s: np.log(s.mean(axis=-1)))
    assert found.value == pytest.approx(np.log(1 / 3))
    assert isnan(found.low)
    assert isnan(found.high)


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("method", {"method": "studentised"}),
        ("confidence", {"confidence": 95}),
        ("strata", {"strata": ["a", "b"]}),
    ],
)
def test_impossible_bootstraps_are_refused(field, options):
    with pytest.raises(InvalidInput, match=field):
        bootstrap([1.0, 2.0, 3.0], rng(), **options)


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
