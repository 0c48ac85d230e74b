"""A verdict is never stronger than what its seeds, its learners and its margin allow."""

from __future__ import annotations

from dataclasses import replace
from math import isnan, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from powerseek.experiments.verdicts import LEAST_SEEDS, compare, seeds_to_settle, verdict

CLEAR = np.linspace(0.9, 1.1, 16)  # an effect of 1, with hardly any spread
NONE = np.linspace(-0.01, 0.01, 16)


def compared(difference, reach=(1.0, 1.0), margin=0.2):
    difference = np.asarray(difference, dtype=float)
    zeros = np.zeros(difference.size)
    return compare(difference, zeros, np.random.default_rng(0), reach=reach, margin=margin)


def test_a_comparison_is_paired():
    chance = np.random.default_rng(3)
    a, b = chance.normal(1, 1, 20), chance.normal(0, 1, 20)
    a[2], b[5] = nan, nan
    found = compare(a, b, np.random.default_rng(0), margin=0.5)
    both = np.isfinite(a) & np.isfinite(b)
    assert found.effect.n == 18
    assert found.effect.value == pytest.approx((a - b)[both].mean())
    assert found.spread == pytest.approx((a - b)[both].std(ddof=1))
    assert found.p_difference == pytest.approx(stats.ttest_rel(a[both], b[both]).pvalue)
    assert found.effect.low < found.effect.value < found.effect.high


@pytest.mark.parametrize(
    ("difference", "fires", "answer"),
    [
        (CLEAR, False, "larger"),
        (-CLEAR, False, "smaller"),
        (NONE, True, "equivalent to none"),
        (NONE, False, "cannot tell"),
    ],
)
def test_what_enough_good_seeds_say(difference, fires, answer):
    assert verdict(compared(difference), control_fires=fires).answer == answer


def test_equivalence_without_a_control_says_why():
    said = verdict(compared(NONE))
    assert str(said) == "cannot tell: the positive control did not fire"


@pytest.mark.parametrize("difference", [CLEAR, -CLEAR, NONE])
@pytest.mark.parametrize("fires", [True, False])
def test_below_sixteen_seeds_nothing_is_said(difference, fires):
    said = verdict(compared(difference[:15]), p=1e-9, control_fires=fires)
    assert said.answer == "cannot tell"
    assert str(said) == "cannot tell, 1 more seed"
    assert "15 paired seeds" in said.reasons[0]


@pytest.mark.parametrize("reach", [(0.89, 1.0), (1.0, 0.89), (0.0, 0.0), (nan, 1.0), (1.0, nan)])
@pytest.mark.parametrize("difference", [CLEAR, NONE])
def test_below_ninety_percent_reach_nothing_is_said(reach, difference):
    said = verdict(compared(difference, reach), p=1e-9, control_fires=True)
    assert said.answer == "cannot tell"
    assert said.more_seeds == 0
    assert "learnt" in str(said)


def test_ninety_percent_reach_is_enough():
    assert verdict(compared(CLEAR, (0.9, 18 / 20))).answer == "larger"


@pytest.mark.parametrize("difference", [CLEAR, NONE])
def test_without_a_margin_nothing_is_said(difference):
    said = verdict(compared(difference, margin=nan), p=1e-9, control_fires=True)
    assert said.answer == "cannot tell"
    assert said.reasons == ("no margin was set beforehand",)


def test_an_adjusted_p_takes_the_place_of_the_plain_one():
    assert verdict(compared(CLEAR), p=0.2).answer == "cannot tell"


def test_a_significant_effect_within_the_margin_is_equivalent_to_none():
    small = np.linspace(0.04, 0.06, 16)
    assert verdict(compared(small), control_fires=True).answer == "equivalent to none"


@given(
    st.lists(st.floats(-2, 2), min_size=1, max_size=24),
    st.floats(0, 1),
    st.one_of(st.just(nan), st.floats(0.01, 2)),
    st.booleans(),
    st.one_of(st.just(nan), st.floats(0, 1)),
)
def test_no_verdict_is_stronger_than_its_evidence(difference, reach, margin, fires, p):
    found = compared(difference, (1.0, reach), margin)
    said = verdict(found, p=p, control_fires=fires)
    weak = len(difference) < 16 or reach < 0.9 - 1e-9 or isnan(margin)
    if weak:
        assert said.answer == "cannot tell"
    if said.answer == "cannot tell":
        assert said.reasons
        assert said.more_seeds >= 0
    else:
        assert str(said) == said.answer
    if said.answer == "equivalent to none":
        assert fires
    if said.answer in ("larger", "smaller"):
        assert found.effect.low > 0 or found.effect.high < 0
        assert (said.answer == "larger") == (found.effect.value > 0)


@pytest.mark.parametrize("difference", [[], [nan], [1.0]])
def test_hardly_any_seed_does_not_crash(difference):
    said = verdict(compared(difference))
    assert said.answer == "cannot tell"
    assert said.more_seeds > 0


def test_seeds_to_settle():
    # D = M sqrt(2) / s = 1: 16 seeds to find an effect, 18 to show that there is none.
    found = replace(compared(CLEAR, margin=0.2), spread=0.2 * 2**0.5)
    assert seeds_to_settle(found) == 18
    # Half the margin needs four times the seeds: 4 x 17.13 = 68.5.
    assert seeds_to_settle(replace(found, margin=0.1)) == 69
    assert seeds_to_settle(replace(found, spread=0.0)) == LEAST_SEEDS
    assert seeds_to_settle(replace(found, spread=nan)) == LEAST_SEEDS
    assert seeds_to_settle(replace(found, spread=1e-300)) == LEAST_SEEDS
    assert seeds_to_settle(replace(found, margin=nan)) == LEAST_SEEDS
    # A tenth of the error rate: 2 (2.5758 + 1.2816)^2 = 29.8.
    assert seeds_to_settle(found, alpha=0.005) == 30
