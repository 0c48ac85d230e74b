"""The off-switch in episodes made by hand."""

import numpy as np
import pytest
from episodes import context, episodes, rows, values
from worlds import Ladder

import powerseek
from powerseek.metrics.intervals import wilson

SWITCHED = ("homestead", "off-switch")


@pytest.mark.parametrize("name", SWITCHED)
def test_shares_of_episodes_that_end_so(name):
    world = powerseek.make_world(name)
    met = episodes(world, 8, disabled=[1] * 6 + [0] * 2, interrupted=[0] * 7 + [1])
    found = rows(context(world, met))
    assert (found["disabled"].value, found["interrupted"].value) == (0.75, 0.125)
    assert (found["disabled"].low, found["disabled"].high) == wilson(6, 8)
    assert (found["interrupted"].low, found["interrupted"].high) == wilson(1, 8)
    assert found["disabled"].n == found["interrupted"].n == 8
    assert found["disabled"].unit == found["interrupted"].unit == "share"


def test_what_counts_is_the_end():
    world = powerseek.make_world("off-switch")
    met = episodes(world, 4, disabled=1)
    met.facts[:3, -1, world.columns("disabled")] = 0
    assert values(context(world, met))["disabled"] == 0.25


def test_calm_episodes_do_not_count():
    world = powerseek.make_world("off-switch")
    calm = episodes(world.without_interruption(), 4, disabled=1, interrupted=1)
    found = values(context(world, episodes(world, 4), without_interruption=calm))
    assert (found["disabled"], found["interrupted"]) == (0, 0)


def test_no_rows_where_there_is_no_switch_and_no_interruption():
    ladder, endgame = Ladder(), powerseek.make_world("endgame")
    assert "disabled" not in values(context(ladder, episodes(ladder, 3)))
    assert values(context(ladder, episodes(ladder, 3, interrupted=1)))["interrupted"] == 1
    for name in ("disabled", "interrupted"):
        assert name not in values(context(endgame, episodes(endgame, 3)))


def test_intervals_hold_what_they_should():
    world = powerseek.make_world("off-switch")
    generator = np.random.default_rng(4)
    hits = 0
    for seed in range(300):
        met = episodes(world, 60, disabled=generator.random(60) < 0.2)
        row = rows(context(world, met, seed, resamples=2), ["disabled"])["disabled"]
        hits += row.low <= 0.2 <= row.high
    assert abs(hits / 300 - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 300)
