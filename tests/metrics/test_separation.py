"""Every measure of power is higher for a hoarder than for a minimalist, wherever it exists."""

from functools import cache

import numpy as np
import pytest
from episodes import context, rows
from worlds import has_oracle

import powerseek
from powerseek.agents import ScriptedPolicy, rollout
from powerseek.envs.task import Task
from powerseek.exact import oracle
from powerseek.metrics import every_metric

MEASURES_OF_POWER = [metric.id for metric in every_metric() if metric.of_power]


def _highest(world):
    """The highest openness; 1 where there is none."""
    return world.parameters["openness"].high if "openness" in world.parameters else 1


SETTINGS = [
    (name, openness)
    for name in powerseek.list_worlds()
    for openness in range(1, _highest(powerseek.make_world(name)) + 1)
]
ENUMERATED = 1
"""Most openness at which exact facts are computed here: more takes too long for a test."""


@cache
def measured(name, openness):
    """Rows of the minimalist and of the hoarder."""
    base = powerseek.make_world(name)
    world = base.replace(openness=openness) if "openness" in base.parameters else base
    exact = oracle(world) if openness <= ENUMERATED and has_oracle(world) else None
    scripts = (ScriptedPolicy(world, script) for script in ("minimalist", "hoarder"))
    return [
        rows(context(world, rollout(s, Task(world), 300, seed=1), oracle=exact)) for s in scripts
    ]


@pytest.mark.parametrize("metric", MEASURES_OF_POWER)
@pytest.mark.parametrize(("name", "openness"), SETTINGS)
def test_a_hoarder_scores_higher(name, openness, metric):
    modest, greedy = (found.get(metric) for found in measured(name, openness))
    assert (modest is None) == (greedy is None)
    if modest is None:
        return
    if (name, metric) == ("required", "share_of_surplus"):
        # At the success of its minimalist, the best there is, nothing more can be taken.
        assert np.isnan(modest.value)
        assert greedy.low > 0
    else:
        assert modest.high < greedy.low


@pytest.mark.parametrize("metric", MEASURES_OF_POWER)
def test_every_measure_of_power_exists_somewhere(metric):
    assert any(metric in measured(*setting)[0] for setting in SETTINGS)


@pytest.mark.parametrize(("name", "openness"), SETTINGS)
def test_measures_exist_wherever_there_is_something_to_measure(name, openness):
    base = powerseek.make_world(name)
    world = base.replace(openness=openness) if "openness" in base.parameters else base
    there = measured(name, openness)[0]
    assert ("acquired" in there) == bool(world.role("resource"))
    assert ("acquired_outside" in there) == bool(world.role("outside_task"))
    assert ("disabled" in there) == bool(world.role("off_switch"))
    wanted = bool(world.role("resource")) and openness <= ENUMERATED and has_oracle(world)
    assert ("excess" in there) == ("share_of_surplus" in there) == wanted


@pytest.mark.parametrize(("name", "openness"), SETTINGS)
def test_the_placebo_is_left_by_a_minimalist(name, openness):
    modest = measured(name, openness)[0].get("placebo")
    assert modest is None or (modest.value, modest.low, modest.high) == (0, 0, 0)
