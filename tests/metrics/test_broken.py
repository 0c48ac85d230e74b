"""A metric of a plugin that fails costs its own number, and nothing else."""

from __future__ import annotations

import sys
from math import isnan, nan

import numpy as np
import pytest

import powerseek
from powerseek.agents import RandomPolicy, rollout
from powerseek.envs.task import Task
from powerseek.exact import oracle
from powerseek.experiments.sweep.evaluate import Evaluator
from powerseek.metrics import (
    Context,
    Metric,
    broken_metrics,
    expect,
    failure_of,
    measure,
    metric,
)
from powerseek.registry import list_metrics, metrics
from powerseek.types import Measurement

ID = "lab.broken"
OURS = list_metrics()


def row(*numbers, **more):
    return [Measurement(ID, *numbers, **more)]


def stumbles(context):
    """Raises where a plugin would."""
    raise ZeroDivisionError("division\n by zero")


def leaves(context):
    sys.exit(3)


def misuses(context):
    return context.mean(ID, [1.0, 2.0], "steps")


FAILURES = {
    "raises": (stumbles, "ZeroDivisionError: division by zero (in stumbles, test_broken.py line "),
    "leaves": (leaves, "ProcessLeft: SystemExit 3 (in leaves, test_broken.py line "),
    "raises in a library": (misuses, "(in misuses, test_broken.py line "),
    "nothing": (lambda c: None, "result: got None; allowed: a list of one Measurement"),
    "a number": (lambda c: 3.0, "result: got 3.0; allowed: a list of one Measurement"),
    "a list of numbers": (lambda c: [3.0], "result: got [3.0]"),
    "two": (lambda c: row(1.0) * 2, "allowed: a list of one Measurement, or of none"),
    "words": (lambda c: row("many"), "value: got 'many'; allowed: a finite number, nan where"),
    "truth": (lambda c: row(True), "value: got True; allowed: a finite number"),
    "complex": (lambda c: row(1j), "value: got 1j; allowed: a finite number"),
    "endless": (lambda c: row(np.inf), "value: got inf; allowed: a finite number"),
    "array": (lambda c: row(np.ones(2)), "value: got array([1., 1.]); allowed: a finite number"),
    "wrong way round": (lambda c: row(1.0, 2.0, 0.5), "interval: got (2.0, 0.5); allowed: low <="),
    "half an interval": (lambda c: row(1.0, 0.5, nan), "interval: got (0.5, nan); allowed: low <="),
    "below its bounds": (lambda c: row(-1.0), "value: got -1.0; allowed: its bounds, 0 to 9"),
    "above them": (lambda c: row(1.0, 0.0, 10.0), "high: got 10.0; allowed: its bounds, 0 to 9"),
    "no count": (lambda c: row(1.0, n=-1), "n and unit: got (-1, '')"),
    "no unit": (lambda c: row(1.0, unit=None), "n and unit: got (0, None)"),
    "another name": (
        lambda c: [Measurement("lab.other", 1.0)],
        f"name of a row: got 'lab.other'; allowed: '{ID}': a metric's rows carry its id",
    ),
}


@pytest.fixture(scope="module")
def given():
    world = powerseek.make_world("required")
    task = Task(world, "dense")
    return task, rollout(RandomPolicy(), task, episodes=30, seed=1)


def context(given):
    task, episodes = given
    return Context(episodes, task.world, np.random.default_rng(0), resamples=20)


@pytest.fixture
def register(monkeypatch):
    def make(compute, **record):
        monkeypatch.setitem(metrics._entries, ID, metric(bounds=(0.0, 9.0), **record)(compute))

    return make


@pytest.mark.parametrize(("compute", "why"), FAILURES.values(), ids=FAILURES)
def test_a_failure_is_told_with_its_place_and_costs_nothing_else(compute, why, given, register):
    before = measure(context(given))
    register(compute)
    rows = measure(context(given))
    (own,) = [row for row in rows if row.name == ID]
    assert isnan(own.value)
    assert isnan(own.low)
    assert why in failure_of(own.unit)
    assert f"test_broken.py line {compute.__code__.co_firstlineno}"[:-1] in own.unit
    assert "\n" not in own.unit
    assert broken_metrics(rows) == {ID: failure_of(own.unit)}
    assert repr([row for row in rows if row.name != ID]) == repr(before)


@pytest.mark.parametrize(
    "numbers",
    [(nan,), (0.0, 0.0, 0.0), (9.0, 0.0, 9.0 + 1e-12), (np.float32(2.0), 1, 3), (5, 4, 4.5)],
)
def test_what_is_a_measurement_is_kept_as_plain_numbers(numbers, given, register):
    register(lambda c: row(*numbers, n=np.int64(4), unit="steps"))
    (own,) = measure(context(given), [ID])
    assert (own.unit, own.n, type(own.n)) == ("steps", 4, int)
    found = (own.value, own.low, own.high)
    assert repr(found) == repr(tuple(float(x) for x in (*numbers, nan, nan)[:3]))


def test_none_is_a_metric_that_does_not_exist_here(given, register):
    register(lambda c: [])
    assert measure(context(given), [ID]) == []


@pytest.mark.parametrize(
    ("expected", "why"),
    [
        (lambda e: 1 / (e.outcome.success * 0), "ZeroDivisionError"),
        (lambda e: "many", "value: got 'many'"),
        (lambda e: None, "value: got None"),
        (lambda e: -1.0, "value: got -1.0; allowed: its bounds"),
        (lambda e: float(e.outcome.nothing), "AttributeError"),
    ],
)
def test_an_exact_value_that_fails_is_told_likewise(expected, why, given, register):
    task, _ = given
    evaluator = Evaluator(task, oracle(task.world), None, 0)
    known = evaluator.expected(RandomPolicy(), False)
    before = expect(known)
    register(lambda c: row(1.0), expected=expected)
    rows = expect(known)
    (own,) = [row for row in rows if row.name == ID]
    assert isnan(own.value)
    assert why in failure_of(own.unit)
    assert "test_broken.py line " in own.unit
    assert repr([row for row in rows if row.name != ID]) == repr(before)
    (curve,) = evaluator.exact_curves(RandomPolicy(), [ID])
    assert failure_of(curve.unit) == failure_of(own.unit)


def test_an_exact_value_that_is_undefined_has_no_row(given, register):
    task, _ = given
    known = Evaluator(task, oracle(task.world), None, 0).expected(RandomPolicy(), False)
    register(lambda c: row(1.0), expected=lambda e: nan)
    assert not [row for row in expect(known) if row.name == ID]


def test_an_error_of_our_own_is_not_hidden(given, monkeypatch):
    monkeypatch.setitem(metrics._entries, "length", Metric(stumbles, unit="steps"))
    with pytest.raises(ZeroDivisionError):
        measure(context(given), ["length"])
