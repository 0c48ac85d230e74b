"""The drift of what a verdict is about, and whether it had come to rest."""

from __future__ import annotations

from math import nan

import numpy as np
import pytest

from powerseek.experiments.statistics.bootstrap import Estimate
from powerseek.experiments.statistics.rest import Rest, swing_of
from powerseek.metrics.expected import line_drift


def test_a_drift_is_the_slope_times_the_evaluations():
    line = 2.0 + 0.3 * np.arange(5)
    wave = line + np.array([0.1, -0.2, 0.2, -0.2, 0.1])
    assert line_drift(np.array([line, 0 * line, line[::-1]])) == pytest.approx([1.5, 0, -1.5])
    slope = np.polyfit(np.arange(5), wave, 1)[0]
    assert line_drift(wave[None]) == pytest.approx([5 * slope])
    assert np.isnan(line_drift(np.array([[1.0, nan, 2.0]]))).all()


def test_a_swing_is_seen_where_a_line_sees_none():
    arch = np.array([0.0, 1.0, 2.0, 1.0, 0.0])
    assert line_drift(arch[None]) == pytest.approx([0.0])
    assert swing_of(arch) == pytest.approx(4 / 3 - 1)


def rest(low, high, swing=0.0, value=None):
    middle = (low + high) / 2 if value is None else value
    return Rest(Estimate(middle, low, high, 16), swing, 5, True, 100_000.0)


@pytest.mark.parametrize(
    ("found", "settled"),
    [
        (rest(-0.4, 0.4), True),
        (rest(-0.6, 0.4), False),
        (rest(-0.1, 0.6), False),
        (rest(-0.1, 0.1, swing=0.6), False),
        (rest(nan, nan, value=0.0), True),
        (rest(nan, nan, value=0.9), False),
    ],
)
def test_rest_is_within_the_margin(found, settled):
    assert found.settled(0.5) == settled


def test_the_budget_that_would_do_grows_with_the_movement():
    assert rest(0.1, 2.0).enough(0.5) == 400_000
    assert rest(-2.0, -0.1).enough(0.5) == 400_000
    assert rest(0.0, 0.1, swing=0.6).enough(0.5) == 150_000
