"""The Bradley-Terry preference: published numbers, and what an offset can and cannot change."""

from math import exp, inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st
from known import known

from powerseek.errors import InvalidInput
from powerseek.exact.measures.preference import prefers

RETURNS = st.floats(-50, 50)
LENGTHS = st.integers(1, 1000)


def test_preference_reward_bradley_terry():
    case = known("preference_reward_bradley_terry")
    a, b = case.spec["returns"]
    lengths, offset = tuple(case.spec["lengths"]), case.spec["per_step_offset"]
    plain, moved = case.expected["P_prefer_A_no_offset"], case.expected["P_prefer_A_with_offset"]
    assert prefers(a, b) == pytest.approx(plain, abs=case.tolerance)
    assert prefers(a, b, lengths) == pytest.approx(plain, abs=case.tolerance)
    assert prefers(a, b, lengths, offset) == pytest.approx(moved, abs=case.tolerance)


@given(RETURNS, RETURNS, LENGTHS, st.floats(-1e6, 1e6))
def test_no_comparison_of_equal_lengths_can_tell_the_offset(a, b, length, offset):
    assert prefers(a, b, (length, length), offset) == prefers(a, b)


@given(RETURNS, RETURNS, LENGTHS, LENGTHS, st.floats(-1, 1))
def test_it_is_the_ratio_of_exponentials_and_the_reverse_is_the_complement(a, b, m, n, offset):
    found = prefers(a, b, (m, n), offset)
    gap = (b + offset * n) - (a + offset * m)
    expected = 1 / (1 + exp(gap)) if gap < 700 else 0.0
    assert found == pytest.approx(expected, abs=1e-9)
    assert prefers(b, a, (n, m), offset) == pytest.approx(1 - found, abs=1e-12)


@given(RETURNS, RETURNS, st.integers(1, 99), st.floats(0.01, 1))
def test_an_offset_above_nothing_pays_for_surviving(a, b, spare, offset):
    longer = (spare + 1, 1)
    assert prefers(a, b, longer, offset) >= prefers(a, b) >= prefers(a, b, longer, -offset)


def test_hopeless_comparisons_do_not_overflow():
    assert prefers(1e4, -1e4) == 1
    assert prefers(-1e4, 1e4) == 0


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ((nan, 0), "return_a"),
        ((0, inf), "return_b"),
        ((0, 0, (1, 2), inf), "offset"),
        ((0, 0, None, 0.5), "lengths"),
        ((0, 0, (0, 2)), "lengths"),
        ((0, 0, (1, nan)), "lengths"),
        ((0, 0, (1, 2, 3)), "lengths"),
    ],
)
def test_bad_input_is_named(arguments, field):
    with pytest.raises(InvalidInput, match=f"^{field}:"):
        prefers(*arguments)
