"""Fractions of seeds against exact tests by hand and statsmodels."""

from __future__ import annotations

from math import comb, isnan, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar

from powerseek.errors import InvalidInput
from powerseek.experiments.statistics.proportions import compare_proportions, proportion

BITS = st.lists(st.integers(0, 1), min_size=1, max_size=20)


def test_no_event_in_sixteen_seeds_is_no_zero():
    found = proportion([0] * 16)
    assert (found.value, found.low, found.n) == (0, 0, 16)
    # (1 - high)^16 = 0.025
    assert found.high == pytest.approx(1 - 0.025 ** (1 / 16))
    assert proportion([1]).low == pytest.approx(0.025)
    assert all(isnan(number) for number in proportion([nan])[:3])


@given(st.integers(1, 30), st.floats(0.02, 0.98))
@settings(max_examples=30)
def test_the_exact_interval_covers_at_least_as_often_as_said(n, share):
    chances = stats.binom.pmf(np.arange(n + 1), n, share)
    found = [proportion([1] * k + [0] * (n - k)) for k in range(n + 1)]
    covers = [estimate.low <= share <= estimate.high for estimate in found]
    assert chances @ covers >= 0.95 - 1e-9


@settings(max_examples=50)
@given(BITS, BITS)
def test_exact_tests_agree_with_a_second_implementation(x, y):
    n, m = len(x), len(y)
    a, b = sum(x), sum(y)
    free = compare_proportions(x, y, paired=False)
    assert (free.a, free.b, free.n) == (a / n, b / m, (n, m))
    # Fisher: all tables with these margins that are no likelier than this one.
    chances = [comb(n, k) * comb(m, a + b - k) for k in range(max(0, a + b - m), min(n, a + b) + 1)]
    here = comb(n, a) * comb(m, b)
    wanted = sum(chance for chance in chances if chance <= here) / comb(n + m, a + b)
    assert free.p == pytest.approx(wanted, abs=1e-9)

    x, y = x[: min(n, m)], y[: min(n, m)]
    table = [
        [sum((u, v) == (i, j) for u, v in zip(x, y, strict=True)) for j in (0, 1)] for i in (0, 1)
    ]
    wanted = mcnemar(table, exact=True).pvalue if table[0][1] + table[1][0] else 1.0
    assert compare_proportions(x, y).p == pytest.approx(min(wanted, 1), abs=1e-9)


def test_shares_without_seeds_are_nan():
    for paired in (True, False):
        found = compare_proportions([nan, nan], [1, 0], paired=paired)
        assert isnan(found.a)
        assert isnan(found.p)
    assert compare_proportions([1], [0]).p == 1
    assert compare_proportions([1, nan, 0], [1, 1, nan]).n == (1, 1)


def test_only_zeros_and_ones_are_counted():
    with pytest.raises(InvalidInput, match="0 or 1"):
        proportion([0.5])
    with pytest.raises(InvalidInput, match="0 or 1"):
        compare_proportions([0, 1], [0, 7])
    with pytest.raises(InvalidInput, match="as many"):
        compare_proportions([0, 1], [0])
