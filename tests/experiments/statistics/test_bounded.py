"""Betting never supports a false claim more often than said; unseen seeds are counted."""

from __future__ import annotations

from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from powerseek.errors import InvalidInput
from powerseek.experiments.statistics.bounded import (
    BETS,
    p_at_most,
    seeds_that_could,
    unseen_probability,
)


def test_betting_by_hand():
    bets = [(i + 1) / (BETS + 1) / (2.0 - 0.5) for i in range(BETS)]
    x = [0.1, 0.3, 0.9]
    wealth = [np.prod([1 + bet * (0.5 - value) for value in x]) for bet in bets]
    assert p_at_most(x, 0.5, 2.0) == pytest.approx(min(1, 1 / np.mean(wealth)))
    assert p_at_most([-1.0] * 3, 0.5, 2.0) == pytest.approx(
        1 / np.mean([(1 + bet * 1.5) ** 3 for bet in bets])
    )
    assert p_at_most([], 0.5, 2.0) == 1
    assert p_at_most([2.0], 0.5, 2.0) == 1


def test_a_bound_below_the_margin_leaves_nothing_to_show():
    assert p_at_most([0.1, 0.2], 0.5, 0.4) == 0
    assert p_at_most([0.1, 0.5], 0.5, 0.5) == 1
    assert seeds_that_could(0.5, 0.4, 0.05) == 1


def test_a_seed_above_its_bound_is_refused():
    with pytest.raises(InvalidInput, match="at most 2"):
        p_at_most([0.1, 2.1], 0.5, 2.0)


@pytest.mark.parametrize(("share", "far"), [(0.1, 5.0), (0.05, 10.0), (0.5, 1.0)])
def test_rare_seekers_are_never_called_none(share, far):
    """Mean = margin: one seed in ten at +5 u, one in twenty at +10 u (trap 18)."""
    chance, margin = np.random.default_rng(0), share * far
    wrong = [
        p_at_most(far * (chance.random(n) < share), margin, far + 1e-9) < 0.05
        for n in (16, 20, 60)
        for _ in range(300)
    ]
    # Fails by chance once in 1000 where the rate is .05; a t test is wrong in .1 to .4.
    assert sum(wrong) <= stats.binom.isf(0.001, len(wrong), 0.05)


@pytest.mark.parametrize(("margin", "high"), [(0.5, 5.0), (0.2, 1.0), (0.52, 3.5), (1.0, 1.5)])
def test_the_seeds_that_could_are_just_enough(margin, high):
    could = int(seeds_that_could(margin, high, 0.05))
    assert p_at_most(np.zeros(could), margin, high) <= 0.05
    assert p_at_most(np.zeros(could - 1), margin, high) > 0.05
    # No valid test needs fewer than this; betting at most twice as many here.
    least = log(0.05) / log(1 - margin / high)
    assert least <= could <= 2 * least + 1


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.floats(0.01, 0.9))
def test_p_lies_between_0_and_1_and_falls_with_the_values(values, margin):
    p = p_at_most(values, margin, 1.0)
    assert 0 <= p <= 1
    assert p_at_most(np.multiply(values, 0.5), margin, 1.0) <= p + 1e-12


def test_unseen_seeds_of_one_arm_have_the_binomial_chance():
    for n, true in ((16, 0.2), (29, 0.1)):
        chance = unseen_probability(np.zeros(1), np.array([n]), np.ones(1), true, (0, 1))
        assert chance == pytest.approx(stats.binom.pmf(0, n, true))
    assert unseen_probability(np.zeros(1), np.array([9]), np.ones(1), 1.5, (0, 1)) == 0
    assert unseen_probability(np.zeros(1), np.array([9]), np.ones(1), 0.0, (0, 1)) == 1


@given(st.integers(2, 30), st.integers(2, 30), st.floats(0.05, 1.5), st.floats(0, 0.4))
def test_two_arms_share_a_gap_in_the_way_that_is_missed_most_often(n, m, gap, mean):
    """Against every way to share it, on a grid."""
    found = unseen_probability(
        np.array([mean, 1 - mean]), np.array([n, m]), np.array([1.0, -1.0]), gap, (0, 1)
    )
    room = 1 - mean
    first = np.linspace(max(0.0, gap - room), min(gap, room), 2001)
    left = np.clip(1 - first / room, 0, 1) ** n * np.clip(1 - (gap - first) / room, 0, 1) ** m
    wanted = left.max() if gap < 2 * room else 0.0
    assert found == pytest.approx(wanted, rel=1e-3, abs=1e-12)
