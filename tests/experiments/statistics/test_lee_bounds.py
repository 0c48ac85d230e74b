"""Lee bounds by hand, against enumeration of who was selected, and by simulation."""

from __future__ import annotations

from itertools import combinations
from math import isnan, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from powerseek.errors import InvalidInput
from powerseek.experiments.statistics.lee_bounds import lee_bounds


def rng(seed=0):
    return np.random.default_rng(seed)


def some(values, reached):
    return np.where(reached, values, nan)


def test_bounds_by_hand():
    # a reaches in 4 of 4 seeds, b in 2 of 4: half of a's are trimmed.
    found = lee_bounds([1, 2, 3, 4], [1, nan, 3, nan], rng())
    assert (found.low, found.high) == (1.5 - 2, 3.5 - 2)
    assert found.trimmed == 0.5
    assert found.reach == (1, 0.5)
    assert found.n == (4, 2)
    # The other way round the other arm is trimmed.
    turned = lee_bounds([1, nan, 3, nan], [1, 2, 3, 4], rng())
    assert (turned.low, turned.high) == (-found.high, -found.low)


def test_a_fraction_of_a_seed_is_trimmed():
    # Reach 1 and 2/3: of a's four seeds 2 2/3 are kept.
    found = lee_bounds([1, 2, 3, 4], [0, 0, nan], rng())
    assert found.low == pytest.approx((1 + 2 + 3 * 2 / 3) / (8 / 3))
    assert found.high == pytest.approx((4 + 3 + 2 * 2 / 3) / (8 / 3))


def test_equal_reach_leaves_the_plain_difference():
    a, b = rng(1).normal(size=20), rng(2).normal(size=20)
    a[3], b[7] = nan, nan
    found = lee_bounds(a, b, rng())
    assert found.low == pytest.approx(np.nanmean(a) - np.nanmean(b))
    assert found.high == pytest.approx(found.low)
    assert found.trimmed == 0
    assert found.interval_low < found.low < found.interval_high


@settings(max_examples=40)
@given(st.lists(st.floats(-10, 10), min_size=3, max_size=7), st.data())
def test_bounds_are_the_extremes_over_who_would_have_been_selected(values, data):
    lost = data.draw(st.integers(1, len(values) - 1))
    kept = len(values) - lost
    other = [0.0] * kept + [nan] * lost
    means = [np.mean(group) for group in combinations(values, kept)]
    found = lee_bounds(values, other, rng(), resamples=20)
    assert (found.low, found.high) == pytest.approx((min(means), max(means)), abs=1e-9)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), min_size=4, max_size=12), st.data())
def test_laws(pairs, data):
    a, b = np.array(pairs).T
    reached = st.lists(st.booleans(), min_size=a.size, max_size=a.size)
    a, b = some(a, data.draw(reached)), some(b, data.draw(reached))
    found = lee_bounds(a, b, rng(), resamples=50)
    turned = lee_bounds(b, a, rng(), resamples=50)
    moved = lee_bounds(a + 1, b, rng(), resamples=50)
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low), nan_ok=True)
    assert (moved.low, moved.high) == pytest.approx((found.low + 1, found.high + 1), nan_ok=True)
    if not isnan(found.low):
        plain = np.nanmean(a) - np.nanmean(b)
        assert found.low - 1e-9 <= plain <= found.high + 1e-9
    if not isnan(found.interval_low):
        assert found.interval_low <= found.low + 1e-9
        assert found.high <= found.interval_high + 1e-9


def test_the_interval_covers_the_effect_where_the_plain_difference_does_not():
    """Weak seeds reach it only under a, and have more: the plain difference is biased."""
    chance, truth, hits, plain, repeats, n = rng(5), 0.5, 0, 0, 150, 40
    for _ in range(repeats):
        weak = chance.random(n) < 0.25
        a = truth + 2 * weak + chance.normal(size=n)
        b = some(chance.normal(size=n), chance.random(n) >= 0.25)
        found = lee_bounds(a, b, chance, resamples=300)
        hits += found.interval_low <= truth <= found.interval_high
        gap = np.nanmean(a) - np.nanmean(b)
        plain += abs(gap - truth) < 1.96 * (2 / n) ** 0.5 * 1.2
    assert hits / repeats >= 0.93
    assert plain / repeats < 0.7


def test_without_trimming_the_interval_is_students():
    chance, hits, repeats = rng(6), 0, 400
    for _ in range(repeats):
        a, b = chance.normal(size=10), chance.normal(size=10)
        found = lee_bounds(a, b, chance, resamples=300)
        hits += found.interval_low <= 0 <= found.interval_high
    assert hits / repeats == pytest.approx(0.95, abs=0.035)


def test_what_cannot_be_told_is_nan():
    none = lee_bounds([nan, nan], [1, 2], rng())
    assert all(isnan(number) for number in none[:4])
    assert none.reach == (0, 1)
    assert isnan(none.trimmed)
    empty = lee_bounds([], [], rng())
    assert all(isnan(number) for number in (*empty[:4], *empty.reach))
    one = lee_bounds([1.0], [0.0], rng())
    assert (one.low, one.high) == (1, 1)
    assert isnan(one.interval_low)
    equal = lee_bounds([1.0] * 6, [0.0] * 6, rng())
    assert equal.low == 1
    assert isnan(equal.interval_low)
    assert isnan(equal.interval_high)


def test_an_impossible_coverage_is_refused():
    with pytest.raises(InvalidInput, match="confidence"):
        lee_bounds([1, 2], [1, 2], rng(), confidence=1)
