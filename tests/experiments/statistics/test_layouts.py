"""Layouts as units: t tests as scipy's, and intervals that cover what they say they cover."""

from __future__ import annotations

from math import inf, isnan, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from powerseek.experiments.statistics.bootstrap import bootstrap_groups
from powerseek.experiments.statistics.comparisons import Asked, Comparison, Units, compare_groups
from powerseek.experiments.statistics.layouts import LEAST_LAYOUTS, compare_layouts, layout_sums
from powerseek.experiments.statistics.power_analysis import detectable_over_layouts, smallest_effect
from powerseek.experiments.statistics.reasons import Cause
from powerseek.experiments.statistics.tests import p_equivalence
from powerseek.experiments.statistics.verdicts import (
    LEAST_SEEDS,
    Question,
    answer_here,
    decide_hypothesis,
)

CONTRAST = (1.0, -1.0)


def rng(seed=0):
    return np.random.default_rng(seed)


def drawn(chance, layouts, seeds, *, effect=0.0, spread=1.0, apart=0.0, noise=1.0):
    """[2, layouts, seeds] of two arms: layouts differ by `spread`, their effects by `apart`."""
    base = spread * chance.normal(size=(1, layouts, 1))
    own = effect + apart * chance.normal(size=(layouts, 1))
    values = base + noise * chance.normal(size=(2, layouts, seeds))
    values[0] += own
    return values


def compared(values, **asked):
    """The comparison over seeds with that over layouts, of [arms, layouts, seeds]."""
    arms, layouts, seeds = values.shape
    one = Asked((1.0, -1.0)[:arms], **{"margin": 0.5, **asked})
    cell = np.repeat(np.arange(arms), layouts * seeds)
    layer = np.tile(np.repeat(np.arange(layouts), seeds), arms)
    units = Units(values.ravel(), np.zeros(values.size, int), cell, layer)
    (found,) = compare_groups(units, [one], rng())
    sums = layout_sums(values.ravel(), cell, layer, one.weights)
    return Comparison(**{**vars(found), "layouts": compare_layouts(sums, one)})


def test_sums_are_differences_within_each_layout_of_the_means_of_its_seeds():
    values = np.array([1.0, 3.0, 10.0, 5.0, 7.0, nan, 4.0])
    cell = np.array([0, 0, 0, 1, 1, 1, 0])
    layer = np.array([2, 2, 5, 2, 5, 5, 9])  # layout 9 lacks an arm
    assert layout_sums(values, cell, layer, CONTRAST).tolist() == [2.0 - 5.0, 10.0 - 7.0]
    assert layout_sums(values, cell, layer, (1.0, 0.0)).tolist() == [2.0, 10.0]


@pytest.mark.parametrize("null", [0.0, 0.3])
def test_the_tests_are_the_one_sample_t_tests_of_scipy(null):
    sums = rng(1).normal(0.4, 1, 9)
    found = compare_layouts(sums, Asked(CONTRAST, margin=0.5, null_value=null))
    assert found.unit == "layout"
    assert found.effect.n == 9
    assert found.effect.value == pytest.approx(sums.mean() - null)
    whole = stats.ttest_1samp(sums - null, 0)
    assert found.p_difference == pytest.approx(whole.pvalue)
    for confidence, ends in ((0.95, found.effect[1:3]), (0.9, found.narrow)):
        assert ends == pytest.approx(tuple(whole.confidence_interval(confidence)))
    sides = [
        (found.p_above, 0.5, "greater"),
        (found.p_at_least, -0.5, "greater"),
        (found.p_below, -0.5, "less"),
        (found.p_at_most, 0.5, "less"),
    ]
    for p, at, side in sides:
        assert p == pytest.approx(stats.ttest_1samp(sums - null, at, alternative=side).pvalue)
    same = p_equivalence(sums - null, np.zeros(9), 0.5, paired=True)
    assert found.p_equivalence == pytest.approx(same)


@given(st.lists(st.floats(-9, 9), min_size=3, max_size=8), st.floats(-5, 5), st.randoms())
def test_what_layouts_have_in_common_and_their_order_change_nothing(sums, shift, order):
    x = np.array(sums)
    asked = Asked((1.0,), margin=0.5)
    here = compare_layouts(x, asked)
    order.shuffle(sums)
    there = compare_layouts(np.array(sums) + shift, asked._replace(null_value=shift))
    assert there.effect.value == pytest.approx(here.effect.value, abs=1e-9)
    if here.deviation > 1e-6:
        assert there.p_at_most == pytest.approx(here.p_at_most, abs=1e-6)


def test_alike_layouts_measure_no_chance():
    none = compare_layouts(np.zeros(8), Asked(CONTRAST, margin=0.5))
    assert (none.p_difference, none.p_equivalence) == (1.0, pytest.approx(nan, nan_ok=True))
    assert isnan(none.effect.low)
    same = compare_layouts(np.ones(8), Asked(CONTRAST, margin=0.5))
    assert same.p_difference == 2 / 2**8
    assert isnan(compare_layouts(np.ones(8), Asked((1.0,), margin=0.5)).p_above)


@pytest.mark.parametrize("n", [6, 8, 30])
def test_of_a_fraction_no_p_is_below_the_chance_to_miss_the_layouts_at_its_end(n):
    found = compare_layouts(np.zeros(n), Asked((1.0,), margin=0.1), bounds=(0.0, 1.0))
    assert found.p_at_most == pytest.approx(0.9**n)
    assert found.bounds == (0.0, 1.0)
    assert not found.bounded(above=True)  # no betting: it is a t test that an interval goes with
    sums = rng().normal(0, 0.001, n)
    found = compare_layouts(sums, Asked(CONTRAST, margin=0.1), bounds=(-1.0, 1.0))
    assert found.p_equivalence >= 0.89**n
    assert compare_layouts(sums, Asked(CONTRAST, margin=0.1)).p_equivalence < 1e-6


def test_over_ties_the_larger_p_of_both_ends_counts():
    value = rng(2).normal(1, 0.2, 8)
    asked = Asked(CONTRAST, margin=0.5)
    found = compare_layouts(value, asked, low=value - 0.3, high=value + 2)
    low, high = (compare_layouts(value + by, asked) for by in (-0.3, 2.0))
    assert found.p_above == low.p_above
    assert found.p_at_most == high.p_at_most
    assert found.p_difference == max(low.p_difference, high.p_difference)
    assert found.effect[1:3] == (low.effect.low, high.effect.high)
    across = compare_layouts(value, asked, low=value - 5, high=value + 2)
    assert across.p_difference == 1.0


def test_the_interval_over_layouts_covers_the_mean_over_all_and_that_over_seeds_does_not():
    """8 layouts x 5 seeds, as the docstring of `compare_layouts` says, with fewer studies."""
    studies, layouts, seeds = 1500, 8, 5
    values = drawn(rng(5), studies * layouts, seeds)[1].reshape(studies, layouts, seeds)
    layer = np.tile(np.repeat(np.arange(layouts), seeds), studies)
    group = np.repeat(np.arange(studies), layouts * seeds)
    own = bootstrap_groups(values.reshape(-1, 1), group, studies, rng(1), strata=layer)
    over = np.array(
        [compare_layouts(one.mean(axis=1), Asked((1.0,))).effect[1:3] for one in values]
    )
    base = rng(5).normal(size=(1, studies * layouts, 1)).reshape(studies, layouts).mean(axis=1)

    def cover(low, high, truth):
        return np.mean((low <= truth) & (truth <= high))

    all_layouts = {
        "layouts": cover(*over.T, 0.0),
        "seeds": cover(own.low[:, 0], own.high[:, 0], 0.0),
    }
    these = cover(own.low[:, 0], own.high[:, 0], base)
    assert 0.93 <= all_layouts["layouts"] <= 0.97, all_layouts
    assert 0.5 <= all_layouts["seeds"] <= 0.68, all_layouts
    assert 0.93 <= these <= 0.97, these
    assert cover(*over.T, base) > 0.98


def decided(values, direction="larger", **asked):
    question = Question(direction, (compared(values, **asked),))
    return question, decide_hypothesis(question, question.tests(), control=True)


def test_without_a_mean_effect_layouts_claim_one_in_one_study_of_twenty_and_seeds_in_many():
    """Effects differ by two seed SDs between layouts, and their mean over all layouts is none."""
    wrong = 0
    for study in range(2000):
        first, second = drawn(rng(study), 8, 5, apart=2.0)
        sums = (first - second).mean(axis=1)
        wrong += compare_layouts(sums, Asked(CONTRAST, margin=0.5)).p_difference < 0.05
    assert wrong / 2000 == pytest.approx(0.05, abs=0.015)
    claimed = 0
    for study in range(40):
        question, _ = decided(drawn(rng(study), 8, 5, apart=2.0))
        claimed += answer_here(question, 0.05) in ("supported", "refuted")
    assert claimed > 12


def test_verdicts_agree_where_layouts_do():
    _, said = decided(drawn(rng(1), 8, 5, effect=2.0, noise=0.5))
    assert (said.answer, said.because) == ("supported", ())
    _, said = decided(drawn(rng(1), 8, 5, noise=0.3))
    assert said.answer == "equivalent to none"


def test_where_they_disagree_it_says_so_and_how_many_layouts_would_do():
    values = drawn(rng(4), 8, 5, effect=1.0, apart=3.0, noise=0.2)
    question, said = decided(values)
    assert answer_here(question, 0.025) == "supported"
    (reason,) = said.because
    assert reason.cause is Cause.THESE_LAYOUTS
    assert "on these 8 layouts it is supported" in reason.why
    wanted = 8 + said.more_layouts
    assert f"layouts: {wanted}, seeds: {5 * wanted}" in reason.advice
    assert str(said) == f"cannot tell, {said.more_layouts} more layouts"
    # As many layouts have the power that is promised, were the deviation the one found.
    deviation = question.deciding.main.deviation
    assert smallest_effect(wanted, "paired", alpha=0.025) * deviation <= max(
        0.5, abs(question.main.effect.value)
    )


@pytest.mark.parametrize("n", range(2, LEAST_LAYOUTS))
def test_below_six_layouts_nothing_is_concluded(n):
    _, said = decided(drawn(rng(1), n, LEAST_SEEDS, effect=9.0, noise=0.1))
    assert said.answer == "cannot tell"
    assert said.because[0].cause is Cause.FEW_LAYOUTS
    assert said.more_layouts == LEAST_LAYOUTS - n


def test_seeds_are_gates_still():
    values = drawn(rng(1), 8, 1, effect=9.0, noise=0.1)
    assert [r.cause for r in decided(values)[1].because] == [Cause.FEW_SEEDS]
    values = drawn(rng(1), 8, 5, effect=9.0, noise=0.1)
    assert decided(values, reach=(0.5, 1.0))[1].because[0].cause is Cause.UNLEARNT


def test_none_of_a_level_is_a_t_test_over_layouts_though_a_seed_s_range_is_known():
    values = drawn(rng(1), 8, 5, spread=0.1, noise=0.1)[:1]
    one = compared(values, bounds=(-3.0, 9.0))
    question = Question("none", (one,), one_sided=True)
    assert question.tests().none == one.layouts.p_at_most < 0.05
    assert one.p_at_most > 0.05  # betting on 40 seeds could not say so
    assert decide_hypothesis(question, question.tests(), control=True).answer == "supported"


def test_a_plan_s_effects_are_found_as_often_as_it_says():
    (row,) = detectable_over_layouts(8, 5, spreads=(1.0,))
    found, none = 0, 0
    for study in range(400):
        values = drawn(rng(study), 8, 5, effect=row.contrast, apart=1.0)
        found += compared(values).layouts.p_difference < 0.05
        values = drawn(rng(study + 1000), 8, 5, apart=1.0)
        none += compared(values, margin=row.equivalence).layouts.p_equivalence < 0.05
    assert found / 400 == pytest.approx(0.8, abs=0.06)
    assert none / 400 == pytest.approx(0.8, abs=0.06)
    assert inf > row.contrast > row.level > 0
