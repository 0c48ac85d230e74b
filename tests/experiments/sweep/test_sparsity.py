"""Random play before training: what plan and sweep say of it, and what they refuse."""

from __future__ import annotations

import io
from math import inf
from typing import Any

import pytest
from rich.console import Console

from powerseek.errors import InvalidInput
from powerseek.exact import enumerated, evaluate, random_policy, random_success
from powerseek.experiments.plan.plan import make_plan
from powerseek.experiments.plan.text import print_plan
from powerseek.experiments.run import dry_run
from powerseek.experiments.study.checked import cells
from powerseek.experiments.study.schema import Study, make_study
from powerseek.experiments.sweep.sparsity import RandomPlay, random_play, sparse_caution
from powerseek.registry import make_world

ROAD: dict[str, Any] = {"id": "strip", "params": {"distance": 14}, "max_steps": 24}


def a_study(*rewards: Any, **keys: Any) -> Study:
    base = {"name": "s", "worlds": [ROAD], "timesteps": 2048, "seeds": 1}
    return make_study({**base, "rewards": list(rewards), **keys})


def found(*rewards: Any, **keys: Any) -> list[RandomPlay]:
    return list(random_play(cells(a_study(*rewards, **keys))))


def test_each_configuration_is_told_once_with_its_least_budget() -> None:
    worlds = [{**ROAD, "params": {"distance": [5, 14]}}]
    told = found("dense", "terminal", worlds=worlds, timesteps=[1000, 4000])
    assert [one.where for one in told] == [
        "strip distance 5, max_steps 24",
        "strip distance 14, max_steps 24",
    ]
    for one, distance in zip(told, (5, 14), strict=True):
        mdp = enumerated(make_world("strip", distance=distance, max_steps=24))
        assert one.success == random_success(mdp)
        assert one.length == evaluate(mdp, random_policy(mdp)).length
        assert one.successes == pytest.approx(1000 / one.length * one.success)


@pytest.mark.parametrize(
    ("reward", "sparse"),
    [
        ("dense", False),
        ({"every": "cap"}, False),
        ("shaped", False),
        ({"coverage": 0.5}, False),
        ("terminal", True),
        ({"coverage": 0}, True),
        ({"priced": 0.01, "of": "terminal"}, True),
        ({"priced": 0.01, "of": "dense"}, False),
    ],
    ids=str,
)
def test_only_pay_for_success_alone_needs_a_success(reward: Any, sparse: bool) -> None:
    (one,) = found(reward)
    assert (one.budget < inf) == sparse
    assert bool(sparse_caution(one)) == sparse


def test_the_line_to_write_instead_is_enough() -> None:
    (one,) = found("terminal")
    assert one.successes < 1
    words = sparse_caution(one)
    assert "may never be paid" in words
    written = int(words.split("timesteps: ")[1].split()[0])
    (enough,) = found("terminal", timesteps=written)
    assert enough.successes >= 1
    assert not sparse_caution(enough)
    (short,) = found("terminal", timesteps=int(0.9 * enough.length / enough.success))
    assert sparse_caution(short)


def test_what_random_play_mostly_does_is_not_sparse() -> None:
    (one,) = found("terminal", worlds=[{"id": "strip", "params": {"distance": 4}}])
    assert one.success > 0.5
    assert "not sparse" in sparse_caution(one)


def test_what_nobody_can_do_is_refused_before_the_first_trial() -> None:
    far = [{**ROAD, "params": {"distance": 25}}]
    with pytest.raises(InvalidInput, match="none does") as refused:
        dry_run(a_study("terminal", worlds=far))
    assert refused.value.field == "strip.max_steps"
    (told,) = found("dense", worlds=far)
    assert told.success == 0
    (edge,) = found("terminal", worlds=[{**ROAD, "params": {"distance": 24}}])
    assert 0 < edge.success < 1e-9


def test_a_world_that_is_not_enumerated_is_not_judged() -> None:
    (one,) = found("terminal", worlds=[{"id": "minichess"}])
    assert one.unknown
    assert not sparse_caution(one)


def test_sweeps_and_plans_say_it() -> None:
    said = Console(file=io.StringIO(), width=2000)
    dry_run(a_study("terminal"), console=said)
    plan = make_plan(a_study("dense", "terminal"))
    shown = Console(file=io.StringIO(), width=2000)
    print_plan(plan, shown)
    (one,) = plan.random
    for console in (said, shown):
        assert isinstance(console.file, io.StringIO)
        assert "may never be paid" in console.file.getvalue()
    assert isinstance(shown.file, io.StringIO)
    assert f"{one.success:.2g}" in shown.file.getvalue()
