"""A verdict is never stronger than what its seeds, its learners and its margin allow."""

from __future__ import annotations

from dataclasses import replace
from math import isnan, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from powerseek.experiments.statistics.comparisons import Asked, compare_groups
from powerseek.experiments.statistics.verdicts import (
    LEAST_SEEDS,
    decide_hypothesis,
    seeds_to_settle,
    verdict,
)

CLEAR = np.linspace(0.9, 1.1, 16)  # an effect of 1, with hardly any spread
NONE = np.linspace(-0.01, 0.01, 16)


def compare(a, b, rng, **asked):
    return compare_groups(a, b, np.zeros(len(a), dtype=int), [Asked(**asked)], rng)[0]


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
    assert found.deviation == pytest.approx((a - b)[both].std(ddof=1))
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


def test_a_skewed_sample_is_none_only_if_its_interval_is_within_the_margin():
    """One seed of 16 far out: TOST, which takes the mean for normal, is sure of itself."""
    found = compared([0.0] * 15 + [0.8], margin=0.15)
    assert found.p_equivalence < 0.05
    assert not found.inside
    assert verdict(found, control_fires=True).answer == "cannot tell"
    for direction in ("larger", "none"):
        assert said(found, direction).answer == "cannot tell"


@pytest.mark.parametrize("difference", [[], [nan], [1.0]])
def test_hardly_any_seed_does_not_crash(difference):
    said = verdict(compared(difference))
    assert said.answer == "cannot tell"
    assert said.more_seeds > 0


def test_seeds_to_settle():
    # M / s = .7071: the t test needs 18 pairs, TOST 19 (normal approximation: 16 and 18).
    found = replace(compared(CLEAR, margin=0.2), deviation=0.2 * 2**0.5)
    assert seeds_to_settle(found) == 19
    for seeds, enough in ((19, True), (18, False)):
        assert (_tost_power(seeds, 0.5**0.5) >= 0.8) == enough
    # Half the margin, four times the seeds: 4 x 17.13 = 68.5, and the t test's one more.
    assert seeds_to_settle(replace(found, margin=0.1)) == 70
    assert seeds_to_settle(replace(found, deviation=0.0)) == LEAST_SEEDS
    assert seeds_to_settle(replace(found, deviation=nan)) == LEAST_SEEDS
    assert seeds_to_settle(replace(found, deviation=1e-300)) == LEAST_SEEDS
    assert seeds_to_settle(replace(found, margin=nan)) == LEAST_SEEDS
    # A tenth of the error rate: (2.5758 + 1.2816)^2 x 2 = 29.8, and the t test's four more.
    assert seeds_to_settle(found, alpha=0.005) == 34


def _tost_power(seeds, margin):
    """Power of TOST of `seeds` differences of mean 0 and spread 1, over the sample's spread."""
    freedom = seeds - 1
    critical = stats.t.isf(0.05, freedom)

    def found(u):
        room = max(0.0, margin * seeds**0.5 - critical * u)
        density = stats.chi2.pdf(freedom * u * u, freedom) * 2 * freedom * u
        return (2 * stats.norm.cdf(room) - 1) * density

    return integrate.quad(found, 0, 4, limit=200, points=[0.5, 1, 1.5])[0]


# --- seeds that are all alike, and seeds that jump -------------------------------------------


def share(values, margin=0.2, **more):
    values = np.asarray(values, dtype=float)
    more = {"bounds": (-1, 1), **more}
    zeros = np.zeros(values.size)
    return compare(values, zeros, np.random.default_rng(0), margin=margin, **more)


def said(found, direction="larger"):
    p, equal = found.p_difference, found.p_equivalence
    return decide_hypothesis(found, direction, p=p, p_equivalence=equal, control=True)


@pytest.mark.parametrize(("seeds", "margin"), [(16, 0.2), (16, 0.1), (29, 0.1), (59, 0.05)])
def test_shares_that_are_all_none_are_none_by_the_binomial_chance(seeds, margin):
    found = share(np.zeros(seeds), margin)
    p = stats.binomtest(0, seeds, margin, alternative="less").pvalue
    assert found.p_equivalence == pytest.approx(p)
    assert said(found).answer == ("equivalent to none" if p < 0.05 else "cannot tell")
    if p >= 0.05:
        more = said(found).more_seeds
        assert stats.binomtest(0, seeds + more, margin, alternative="less").pvalue < 0.05
        assert stats.binomtest(0, seeds + more - 1, margin, alternative="less").pvalue >= 0.05


def test_seeds_that_are_all_alike_without_bounds_measure_no_chance():
    found = compared(np.zeros(16))
    assert isnan(found.p_equivalence)
    assert isnan(found.effect.low)
    assert said(found).answer == "cannot tell"


def test_every_seed_disabling_against_none_is_larger():
    found = share(np.ones(16))
    assert found.p_difference == 2.0**-15
    assert said(found).answer == "supported"
    assert said(found, "smaller").answer == "refuted"
    # 16 seeds of 1: a true mean of .5 over [-1, 1] shows that with chance .75^16, twice for both.
    beyond = share(np.ones(16), 0.5)
    assert 2 * (1 - beyond.p_equivalence) == pytest.approx(2 * 0.75**16)
    assert said(beyond, "none").answer == "refuted"


def test_against_a_line_nothing_is_exchanged():
    """16 seeds at 0 are no proof of a mean below .1: of a tenth of seeds that jump, none shows."""
    found = share(np.zeros(16), 0.05, null_value=0.1, level=True, bounds=(0, 1))
    p = 2 * stats.binomtest(0, 16, 0.1, alternative="less").pvalue
    assert found.p_difference == pytest.approx(p)
    assert said(found, "smaller").answer == "cannot tell"
    far = share(np.zeros(16), null_value=0.3, level=True, bounds=(0, 1))
    assert said(far, "smaller").answer == "supported"
    unbounded = compare(
        np.ones(16), np.zeros(16), np.random.default_rng(0), null_value=0.5, margin=0.2
    )
    assert isnan(unbounded.p_difference)


def test_an_interval_of_a_share_stays_in_its_range():
    found = share([1.0] * 15 + [0.0])
    assert found.effect.high <= 1
    assert found.bounds == (-1, 1)


# --- how often it is wrong ---------------------------------------------------------------------

SEEDS, STUDIES = 16, 250
CHANCE = np.random.default_rng(20)


def _jumps(share, noise=0.0):
    drawn = (CHANCE.random(SEEDS) < share) + noise * CHANCE.normal(size=SEEDS)
    return np.clip(drawn, 0, 1)


NULLS = {
    "normal, no effect": (lambda: CHANCE.normal(0, 1, SEEDS), 0.5, False, "none"),
    "0/1, no effect": (lambda: _jumps(0.5) - _jumps(0.5), 0.3, True, "none"),
    "0/1 and noise, no effect": (lambda: _jumps(0.2, 0.03) - _jumps(0.2, 0.03), 0.3, True, "none"),
    "rare 1, no effect": (lambda: _jumps(0.05) - _jumps(0.05), 0.3, True, "none"),
    "normal, at the margin": (lambda: CHANCE.normal(1, 1, SEEDS), 1.0, False, "margin"),
    "0/1 against 0, at the margin": (lambda: _jumps(0.2), 0.2, True, "margin"),
    "0/1 and noise, at the margin": (lambda: _jumps(0.1, 0.03), 0.1, True, "margin"),
    "0/1, at the margin": (lambda: _jumps(0.5) - _jumps(0.2), 0.3, True, "margin"),
}


@pytest.mark.parametrize(("draw", "margin", "jumping", "null"), NULLS.values(), ids=NULLS)
def test_a_verdict_is_wrong_in_one_study_of_twenty(draw, margin, jumping, null):
    """Rates of "supported" or "refuted" without an effect, of "equivalent" at the margin."""
    bounds = (-1, 1) if jumping else (-np.inf, np.inf)
    wrong = 0
    for _ in range(STUDIES):
        found = compare(draw(), np.zeros(SEEDS), CHANCE, margin=margin, bounds=bounds)
        answer = said(found).answer
        wrong += answer in (("supported", "refuted") if null == "none" else ("equivalent to none",))
    # Fails by chance once in 1000 where the rate is .05.
    assert wrong <= stats.binom.isf(0.001, STUDIES, 0.05)


def test_a_clear_effect_is_found():
    """One standard deviation of the differences: power .96 by the t test."""
    answers = [
        said(compare(CHANCE.normal(1, 1, SEEDS), np.zeros(SEEDS), CHANCE, margin=0.1)).answer
        for _ in range(STUDIES)
    ]
    assert answers.count("supported") >= stats.binom.ppf(0.001, STUDIES, 0.94)
    jumped = [said(share(_jumps(0.9) - _jumps(0.1))).answer for _ in range(STUDIES // 5)]
    assert jumped.count("supported") >= 0.9 * len(jumped)


@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_a_clear_effect_wants_no_more_seeds_than_the_rule(spread):
    # Clear of 0, while the margin alone would ask for many more seeds to show that there is none.
    difference = 5 + spread * np.linspace(-1, 1, 15)
    found = compared(difference)
    answer = decide_hypothesis(found, "larger", p=1e-6, p_equivalence=1.0, control=True)
    assert answer.answer == "cannot tell"
    assert answer.more_seeds == LEAST_SEEDS - 15
