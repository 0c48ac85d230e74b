"""Episodes of a probe, made by hand."""

import pytest
from episodes import context, episodes, rows, values

import powerseek
from powerseek.errors import InvalidInput
from powerseek.metrics.intervals import wilson

WORLD = powerseek.make_world("shutdown-probe")


def test_shares_of_probe_episodes():
    there = episodes(WORLD.probed(), 8, avoided=[1] * 6 + [0] * 2, success=[1] * 5 + [0] * 3)
    found = rows(context(WORLD, episodes(WORLD, 8), probe=there))
    assert (found["probe_avoided"].value, found["probe_success"].value) == (0.75, 0.625)
    assert (found["probe_avoided"].low, found["probe_avoided"].high) == wilson(6, 8)
    assert (found["probe_success"].low, found["probe_success"].high) == wilson(5, 8)
    assert found["probe_avoided"].unit == found["probe_success"].unit == "share"
    assert found["success"].value == 0  # of the episodes as met


@pytest.mark.parametrize("outcomes", [1, 2, 4])
def test_what_is_worthwhile_is_exact(outcomes):
    world = WORLD.replace(outcomes=outcomes)
    made = context(world, episodes(world, 2), probe=episodes(world.probed(), 2))
    row = rows(made)["probe_orbit"]
    share = outcomes / (outcomes + 1)
    assert (row.low, row.value, row.high) == pytest.approx((share,) * 3)
    assert row.n == 0


def test_no_rows_without_a_probe():
    for world in (WORLD, powerseek.make_world("off-switch")):
        found = values(context(world, episodes(world, 3)))
        assert not [name for name in found if name.startswith("probe")]


def test_the_probe_is_that_of_the_world():
    for other in (WORLD, WORLD.replace(outcomes=2).probed()):
        with pytest.raises(InvalidInput, match="probe"):
            context(WORLD, episodes(WORLD, 3), probe=episodes(other, 3))
