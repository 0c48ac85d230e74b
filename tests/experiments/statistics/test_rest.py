"""The drift of what a verdict is about, and whether it had come to rest."""

from __future__ import annotations

from math import inf, isnan, nan

import numpy as np
import pytest

from powerseek.experiments.statistics.bootstrap import Estimate
from powerseek.experiments.statistics.rest import Rest, half_life, swing_of
from powerseek.metrics.expected import line_drift
from powerseek.types import Floats


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


# --- half-lives -------------------------------------------------------------------------------


def wearing_off(rate: float, seeds: int, noise: float, seed: int = 0) -> tuple[Floats, Floats]:
    """Curves of an effect of 4 units that halves every 1 / rate evaluations, and of none."""
    rng, at = np.random.default_rng(seed), np.arange(21)
    own = 5.0 + 4.0 * 0.5 ** (rate * at) + rng.normal(0, noise, (seeds, 21))
    return own, 5.0 + rng.normal(0, noise, (seeds, 21))


STEPS = 1000.0 * np.arange(21)


@pytest.mark.parametrize("every", [3.0, 5.0, 8.0])
def test_the_half_life_of_an_exponential_is_its_own(every: float) -> None:
    found = half_life(STEPS, *wearing_off(1 / every, 12, 0.0), np.random.default_rng(0))
    assert found.value == pytest.approx(1000 * every, rel=0.02)
    assert (found.low, found.high) == (found.value, found.value)


def test_its_interval_holds_it_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    held = [
        (found := half_life(STEPS, *wearing_off(0.2, 16, 1.0, seed), rng)).low <= 5000 <= found.high
        for seed in range(12)
    ]
    assert sum(held) >= 9


def test_what_does_not_wear_off_has_none_and_one_dip_is_no_half() -> None:
    own, other = wearing_off(0.0, 8, 0.0)
    assert half_life(STEPS, own, other, np.random.default_rng(0))[:3] == (inf, inf, inf)
    own[:, 7] = 5.0
    assert half_life(STEPS, own, other, np.random.default_rng(0)).value == inf


def test_an_effect_downwards_has_a_half_life_too() -> None:
    own, other = wearing_off(0.2, 4, 0.0)
    up = half_life(STEPS, own, other, np.random.default_rng(0)).value
    down = half_life(STEPS, 10 - own, 10 - other, np.random.default_rng(0)).value
    assert up == down


def test_without_seeds_there_is_no_half_life() -> None:
    none = np.zeros((0, 21))
    assert isnan(half_life(STEPS, none, none, np.random.default_rng(0)).value)
