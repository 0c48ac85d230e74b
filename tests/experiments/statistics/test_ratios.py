"""Claims about ratios of budgets: planted ratios, scaling, what evaluations cannot see."""

from __future__ import annotations

from math import log, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from powerseek.errors import InvalidInput
from powerseek.experiments.statistics.families import adjust_family
from powerseek.experiments.statistics.ratios import decide_ratio, p_ratio, ratio_claim
from powerseek.experiments.statistics.survival import Budgets, p_log_rank

NONE_FAILED = (0, 0)


def drawn(scale, chance, seeds=16, every=0.0):
    """Exponential budgets, of which a quarter are given up; seen at every so many steps."""
    times, end = scale * chance.exponential(size=seeds), scale * log(4)
    reached = times < end
    return budgets(np.minimum(times, end), reached, every)


def budgets(times, reached=None, every=0.0):
    times = np.asarray(times, dtype=float)
    reached = np.ones(len(times), bool) if reached is None else np.asarray(reached)
    if not every:
        return Budgets(times, reached, times)
    seen = np.where(reached, np.ceil(times / every) * every, times)
    return Budgets(seen, reached, np.where(reached, seen - every, nan))


def claim(a, b, direction="larger", times=10.0):
    return ratio_claim(direction, times, 0.9, a, b, NONE_FAILED, np.random.default_rng(0))


def answer(a, b, direction="larger", times=10.0):
    said = claim(a, b, direction, times)
    (adjusted,) = adjust_family([said.tests()], "holm")
    return decide_ratio(said, adjusted).answer


def answers(true, direction, repeats, times=10.0, seed=5, every=0.0):
    chance = np.random.default_rng(seed)
    found = [
        answer(drawn(true, chance, every=every), drawn(1.0, chance, every=every), direction, times)
        for _ in range(repeats)
    ]
    return {name: found.count(name) / repeats for name in set(found)}


def test_a_true_ratio_of_ten_is_seldom_called_more_and_thirty_often():
    """Exactly ten: wrong in .05 at most, and by chance .02 more in so few studies."""
    assert answers(10.0, "larger", 200).get("supported", 0) <= 0.07
    assert answers(10.0, "smaller", 200, seed=6).get("supported", 0) <= 0.07
    assert answers(30.0, "larger", 60)["supported"] > 0.4
    assert answers(100.0, "larger", 40)["supported"] > 0.85


def test_ratios_near_one_and_far_below():
    assert answers(1.0, "larger", 20)["equivalent to none"] > 0.7
    assert answers(1.0, "none", 20)["supported"] > 0.7
    assert answers(0.01, "larger", 20) == {"refuted": 1}
    assert answers(100.0, "none", 20)["refuted"] > 0.7
    assert answers(1.0, "smaller", 20) == {"supported": 1}
    assert answers(100.0, "smaller", 20)["refuted"] > 0.7


def test_evaluations_too_far_apart_refute_nothing():
    """Seen at the next of fifteen evaluations, a dense arm looks up to ten times as slow."""
    chance = np.random.default_rng(1)
    dense, sparse = chance.uniform(0.1, 0.6, 16), chance.uniform(1, 6, 16)
    exact = answer(budgets(sparse), budgets(dense))
    coarse = claim(budgets(sparse, every=6.0), budgets(dense, every=6.0))
    assert exact == "cannot tell"
    assert coarse.tests(seen=True).none < 0.01  # a wrong verdict, were it believed
    assert coarse.tests().none > 0.99
    assert coarse.late == 6
    said = decide_ratio(coarse, coarse.tests())
    assert said.answer == "cannot tell"
    assert "too far apart" in said.reasons[0]


SEEDS = st.lists(st.tuples(st.integers(1, 40), st.booleans()), min_size=6, max_size=12)


@settings(max_examples=40)
@given(SEEDS, SEEDS, st.sampled_from([0.25, 2.0, 8.0]), st.sampled_from([0.5, 4.0]))
def test_scaling_one_arm_scales_the_ratio(a, b, ratio, scale):
    first, second = (budgets(*zip(*seeds, strict=True), every=4.0) for seeds in (a, b))
    longer = Budgets(first.steps * scale, first.reached, first.before * scale)
    assert p_ratio(longer, second, ratio * scale) == pytest.approx(p_ratio(first, second, ratio))
    turned = p_ratio(second, first, 1 / ratio)
    assert p_ratio(first, second, ratio) == pytest.approx((turned.below, turned.above))


@settings(max_examples=40)
@given(SEEDS, SEEDS, st.sampled_from([0.5, 1.0, 5.0]))
def test_what_is_not_known_to_the_step_proves_no_more(a, b, ratio):
    first, second = (budgets(*zip(*seeds, strict=True), every=4.0) for seeds in (a, b))
    careful, seen = p_ratio(first, second, ratio), p_ratio(first, second, ratio, seen=True)
    assert (np.array(careful) >= np.array(seen) - 0.25).all()
    exact = Budgets(first.steps, first.reached, first.steps)
    there = Budgets(second.steps, second.reached, second.steps)
    assert p_ratio(exact, there, ratio) == seen


def test_sides_halve_the_two_sided_test():
    a, b = np.arange(1.0, 9.0), np.arange(3.0, 11.0)
    ones = np.ones(8, bool)
    both = p_log_rank(a, ones, b, ones)
    assert p_log_rank(a, ones, b, ones, "smaller") == pytest.approx(both / 2)
    assert p_log_rank(a, ones, b, ones, "larger") == pytest.approx(1 - both / 2)


def test_an_arm_that_never_learns_counts_as_censored():
    dense = budgets(np.linspace(1, 2, 16))
    never = Budgets(np.full(16, 100.0), np.zeros(16, bool), np.full(16, nan))
    assert answer(never, dense) == "supported"  # at least fifty times
    assert answer(never, dense, times=200.0) == "cannot tell"
    assert answer(dense, never, direction="smaller", times=0.1) == "supported"


@pytest.mark.parametrize("ratio", [0, -1.0, np.inf])
def test_impossible_ratios_are_refused(ratio):
    with pytest.raises(InvalidInput, match="ratio"):
        p_ratio(budgets([1.0]), budgets([1.0]), ratio)
