"""Statistics against published numbers and second implementations; coverage by simulation."""

from __future__ import annotations

from math import inf, isnan, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from known import known
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestIndPower
from statsmodels.stats.weightstats import ttost_ind, ttost_paired

from powerseek.errors import InvalidInput
from powerseek.experiments.statistics import (
    adjust,
    bootstrap,
    factorial_contrast,
    iqm,
    means,
    p_difference,
    p_equivalence,
    probability_of_improvement,
    resample,
    seeds_needed,
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
    tasks = means(np.transpose(x))
    found = {
        "median_x": bootstrap(tasks, rng(), statistic=medians).value,
        "mean_x": bootstrap(tasks, rng()).value,
        "iqm_x": iqm(x, exact=False),
        "iqm_y": iqm(y, exact=False),
        "prob_improvement(x,y)": probability_of_improvement(x, y),
    }
    assert found == pytest.approx(case.expected, abs=case.tolerance)
    # Twelve and six values: the exact middle half agrees.
    assert (iqm(x), iqm(y)) == (found["iqm_x"], found["iqm_y"])


def medians(samples):
    return np.median(samples, axis=-1)


@given(UNITS, UNITS)
def test_improvement_is_the_u_statistic_and_its_reverse_is_the_complement(x, y):
    share = stats.mannwhitneyu(x, y).statistic / (len(x) * len(y))
    assert probability_of_improvement(x, y) == pytest.approx(share)
    assert probability_of_improvement(y, x) == pytest.approx(1 - share)


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


# multiple_comparisons


def test_multiple_comparisons():
    case = known("multiple_comparisons")
    p = case.spec["p"]
    found = {
        "holm": adjust(p),
        "benjamini-hochberg": adjust(p, "benjamini-hochberg"),
        # Bonferroni is what Holm makes of a p beside which all the others are hopeless.
        "bonferroni": [adjust([value] + [1.0] * (len(p) - 1))[0] for value in p],
    }
    for method, values in found.items():
        wanted = case.expected[method.replace("-", "_")]
        assert values == pytest.approx(wanted, abs=case.tolerance), method


def test_a_missing_p_stays_missing_and_does_not_count():
    assert adjust([0.01, nan, 0.04]) == pytest.approx([0.02, nan, 0.04], nan_ok=True)
    assert np.isnan(adjust([nan, nan])).all()
    assert adjust([]).size == 0


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_adjusting_never_lowers_and_holm_is_within_bonferroni(p):
    holm, bh = adjust(p), adjust(p, "benjamini-hochberg")
    bonferroni = multipletests(p, method="bonferroni")[1]
    assert (np.asarray(p) <= bh + 1e-12).all()
    assert (bh <= holm + 1e-12).all()
    assert (holm <= bonferroni + 1e-12).all()


def test_an_unknown_method_is_named():
    with pytest.raises(InvalidInput, match="benjamini-hochberg"):
        adjust([0.1], "none")


# tost_equivalence


TOST = known("tost_equivalence")
X, Y = TOST.spec["x"], TOST.spec["y"]


def test_tost_equivalence():
    low, high = TOST.spec["margin"]
    assert -low == high
    assert TOST.spec["pooled variance"]
    found = {
        "mean_diff": float(means(np.array(X)) - means(np.array(Y))),
        "p_tost": p_equivalence(X, Y, high),
        "p_tost_welch": p_equivalence(X, Y, high, pooled=False),
    }
    assert found == pytest.approx(TOST.expected, abs=TOST.tolerance)


@settings(deadline=None)
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


def test_equal_units_are_equivalent_only_within_the_margin():
    assert p_equivalence([1, 1], [1, 1], 0.1) == 0
    assert p_equivalence([1, 1], [2, 2], 0.1) == 1
    assert p_equivalence([1, 1], [2, 2], 0.1, paired=True) == 1
    assert p_equivalence([1, 1], [2, 2], 0.1, pooled=False) == 1
    assert p_difference([1, 1], [1, 1]) == 1
    assert p_difference([1, 1], [2, 2]) == 0


def test_one_unit_proves_nothing():
    assert isnan(p_equivalence([1], [1], 0.1))
    assert isnan(p_difference([1], [1]))


@pytest.mark.parametrize("margin", [0, -0.1, nan])
def test_a_margin_is_positive(margin):
    with pytest.raises(InvalidInput, match="margin"):
        p_equivalence(X, Y, margin)


# threeway_interaction_contrast


def test_threeway_interaction_contrast():
    case = known("threeway_interaction_contrast")
    cells = case.spec["cell_means[density][horizon][bounded]"]
    wanted = case.expected["contrast"]
    # The published number is the first level of density minus the second; ours is the second
    # level of every factor minus the first.
    assert factorial_contrast(cells[::-1]) == pytest.approx(wanted, abs=case.tolerance)
    assert factorial_contrast(cells) == pytest.approx(-wanted, abs=case.tolerance)


@given(st.lists(st.floats(-1, 1), min_size=4, max_size=4))
def test_additive_cells_have_no_interaction(parts):
    a, b, c, d = parts
    cells = [[a + c, a + d], [b + c, b + d]]
    assert factorial_contrast(cells) == pytest.approx(0, abs=1e-9)


def test_a_contrast_needs_two_levels():
    with pytest.raises(InvalidInput, match="two levels"):
        factorial_contrast([[1, 2, 3], [1, 2, 3]])


# seeds_needed, power_analysis_two_sample_t


@pytest.mark.parametrize(
    ("design", "row"),
    [
        ("simple", "per_cell_simple_effect 2z^2/D^2"),
        ("two-way", "per_cell_2way 4z^2/D^2"),
        ("three-way", "per_cell_3way 8z^2/D^2"),
        ("equivalence", "TOST per group, true diff 0, margin 1.0/0.8/0.5 SD"),
    ],
)
def test_seeds_needed(design, row):
    case = known("seeds_needed")
    spec, wanted = case.spec, case.expected[row]
    effects = (1.0, 0.8, 0.5) if design == "equivalence" else spec["D_values"]
    found = [seeds_needed(d, design, alpha=spec["alpha"], power=spec["power"]) for d in effects]
    assert found == pytest.approx(wanted, abs=case.tolerance)


def test_power_analysis_two_sample_t():
    """The normal approximation is at most two seeds below the exact t test."""
    case = known("power_analysis_two_sample_t")
    chances = {"alpha": case.spec["alpha"], "power": case.spec["power"]}
    assert case.spec["two_sided"]
    exact = case.expected["n_per_group"]
    effects = case.spec["d"]
    assert [np.ceil(TTestIndPower().solve_power(d, **chances)) for d in effects] == exact
    short = np.subtract(exact, [seeds_needed(effect, **chances) for effect in effects])
    assert set(short) <= {0, 1, 2}


def test_no_effect_needs_endless_seeds():
    assert seeds_needed(0) == inf
    assert seeds_needed(0, "equivalence") == inf


@pytest.mark.parametrize(("effect", "design"), [(-1, "simple"), (nan, "simple"), (1, "four-way")])
def test_impossible_designs_are_refused(effect, design):
    with pytest.raises(InvalidInput):
        seeds_needed(effect, design)
