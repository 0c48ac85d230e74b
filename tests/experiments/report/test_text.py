"""Numbers in words."""

from __future__ import annotations

from math import inf, nan

import pytest

from powerseek.experiments.report.text import interval, number_text, range_text, thousands


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (nan, "-"),
        (float("inf"), "-"),
        (0.0, "0.00"),
        (-0.001, "0.00"),
        (12.34, "12.3"),
        (12345.6, "12346"),
        (0.125, "0.12"),
    ],
)
def test_numbers_in_words(value, text):
    assert number_text(value) == text


def test_intervals_in_words():
    assert interval(1.2, 0.8, 1.7, signed=True) == "+1.20 [0.80, 1.70]"
    assert interval(1.2, nan, nan) == "1.20"
    assert interval(nan, nan, nan) == "-"
    assert range_text(1.0, 0.98, 1.02) == "1.00"
    assert range_text(1.0, 0.8, 1.2) == "1.00 [0.80, 1.20]"


@pytest.mark.parametrize(
    ("budget", "text"),
    [
        ((12_000, 12_000), "12k"),
        ((120_000, inf), "> 120k"),
        ((2.5e6, 2.5e6), "2.5M"),
        ((nan, nan), "-"),
    ],
)
def test_budgets_in_words(budget, text):
    assert thousands(*budget) == text
