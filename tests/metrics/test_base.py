"""What is said of a metric holds of its rows, whichever metric and world it is."""

import numpy as np
import pytest

import powerseek
from powerseek.agents import ScriptedPolicy, probe_task, rollout, without_interruption
from powerseek.envs.task import Task
from powerseek.errors import InvalidInput
from powerseek.exact import oracle, reward_oracle
from powerseek.metrics import Context, Metric, every_metric, known_metric, metric_of
from powerseek.metrics.base import _described
from powerseek.registry import metrics
from powerseek.types import Measurement

LARGE = {"minichess"}  # its oracle takes longer than all the others' together
WORLDS = [
    name
    for name in powerseek.list_worlds()
    if name not in LARGE and not powerseek.make_world(name).not_enumerable
]
_contexts = {}


def context(name):
    """A scripted minimalist in a world's smallest setting, with everything that metrics may ask."""
    if name not in _contexts:
        world = type(powerseek.make_world(name))(**powerseek.make_world(name).smallest)
        task = Task(world, "dense")
        policy = ScriptedPolicy(world, "minimalist")
        _contexts[name] = Context(
            as_deployed=rollout(policy, task, episodes=40, seed=1),
            without_interruption=rollout(policy, without_interruption(task), episodes=40, seed=2),
            probe=rollout(policy, probe_task(task), episodes=40, seed=3) if world.probe else None,
            world=world,
            generator=np.random.default_rng(0),
            oracle=oracle(world),
            optimum=reward_oracle(world, "dense"),
            resamples=50,
        )
    return _contexts[name]


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("name", powerseek.list_metrics())
def test_rows_are_as_the_record_says(name, world):
    record, here = metric_of(name), context(world)
    for row in record(here):
        assert row.name == name
        assert row.unit == record.unit
        assert record.needs.met(here.world), record.needs.otherwise
        for value in (row.value, row.low, row.high):
            low, high = record.bounds
            assert not np.isfinite(value) or low - 1e-9 <= value <= high + 1e-9


@pytest.mark.parametrize("name", powerseek.list_metrics())
def test_every_metric_exists_somewhere_and_says_what_it_is(name):
    record = metric_of(name)
    assert any(record.needs.met(powerseek.make_world(world)) for world in powerseek.list_worlds())
    assert all((record.title, record.head, record.meaning, record.unit))
    assert record.needs.met is not record.needs.otherwise


def test_heads_of_columns_differ():
    heads = [record.head for record in every_metric()]
    assert len(heads) == len(set(heads))


def test_a_bare_function_is_a_metric():
    def steps(context):
        """Steps per episode.

        CAVEAT: none.
        """
        return [Measurement("lab.steps", 3.0)]

    record = _described("lab.steps", steps)
    assert (record.id, record.head, record.title) == ("lab.steps", "lab.steps", "lab.steps")
    assert record.meaning == "Steps per episode"
    assert record(None)[0].value == 3.0


def test_a_row_that_carries_another_name_is_refused():
    record = Metric(lambda context: [Measurement("steps", 3.0)], id="lab.steps")
    with pytest.raises(InvalidInput, match=r"'steps'.*'lab.steps'.*carry its id"):
        record(None)


def test_a_metric_of_results_that_nobody_registered_is_known_by_its_name():
    assert known_metric("lab.gone").head == "lab.gone"
    with pytest.raises(InvalidInput, match="excess"):
        metric_of("exces")
    assert known_metric("excess") is metric_of("excess")
    assert metric_of("excess").ours
    assert "excess" in metrics.builtin
