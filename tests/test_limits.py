from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from powerseek.agents import rollout, train
from powerseek.envs.engine.vec import VecWorld
from powerseek.envs.task import Task
from powerseek.errors import LONGEST, InvalidInput, shown
from powerseek.exact import TabularMDP, power
from powerseek.experiments import run_study
from powerseek.experiments.single import evaluate_one, train_one
from powerseek.experiments.study.schema import make_study
from powerseek.limits import LIMITS, check_limit
from powerseek.registry import make_world


@pytest.mark.parametrize("name", LIMITS)
def test_both_ends_are_allowed_and_nothing_beyond(name: str) -> None:
    low, high = LIMITS[name]
    assert [check_limit(name, end) for end in (low, high, np.int64(low))] == [low, high, low]
    for value in (low - 1, high + 1, 2**70, float(low), str(low), True, None):
        with pytest.raises(InvalidInput) as caught:
            check_limit(name, value, "--here")
        assert caught.value.field == "--here"
        assert f"{high:,}" in caught.value.allowed
    assert check_limit(name, low) == low


STAR = {"name": "s", "worlds": [{"id": "star"}], "agents": ["random"], "timesteps": 1}


def star(**keys: Any) -> dict[str, Any]:
    return {**STAR, **keys}


TASK = Task(make_world("star"))
POLICY = train(TASK, "random").policy
GRAPH = TabularMDP.from_successors({"a": ["a"]})

TOO_MANY: dict[str, tuple[str, Callable[[], object]]] = {
    "study, episodes": ("episodes", lambda: make_study(star(episodes=10**9))),
    "study, evaluations": ("evaluations", lambda: make_study(star(evaluations=10**9))),
    "study, timesteps": ("timesteps", lambda: make_study(star(timesteps=10**13))),
    "study, a world's timesteps": (
        "worlds[0].timesteps",
        lambda: make_study(star(worlds=[{"id": "star", "timesteps": 10**13}])),
    ),
    "study, cohort": ("cohort", lambda: make_study(star(cohort=10**9))),
    "study, seeds": ("seeds", lambda: make_study(star(seeds=2**40))),
    "study, first seed": ("first_seed", lambda: make_study(star(first_seed=2**32))),
    "study, last seed": ("first_seed", lambda: make_study(star(first_seed=2**32 - 5, seeds=6))),
    "run_study, workers": ("--workers", lambda: run_study(star(), workers=10**9)),
    "train_one, seed": ("seed", lambda: train_one(star(), 2**32, None)),
    "evaluate_one, episodes": (
        "episodes",
        lambda: evaluate_one("no", "star", {}, 10**9, 0),  # type: ignore[arg-type]
    ),
    "evaluate_one, seed": (
        "seed",
        lambda: evaluate_one("no", "star", {}, 5, 2**32),  # type: ignore[arg-type]
    ),
    "train, seed": ("seed", lambda: train(TASK, "random", seed=2**32)),
    "train, timesteps": ("timesteps", lambda: train(TASK, "ppo", timesteps=10**13)),
    "rollout, episodes": ("episodes", lambda: rollout(POLICY, TASK, 10**9)),
    "rollout, seed": ("seed", lambda: rollout(POLICY, TASK, 5, seed=2**70)),
    "power, samples": ("samples", lambda: power(GRAPH, samples=10**9)),
    "power, seed": ("seed", lambda: power(GRAPH, seed=2**70)),
    "simulator, seed": ("seed", lambda: VecWorld(make_world("star"), 1, 2**64)),
}


@pytest.mark.parametrize(("field", "act"), TOO_MANY.values(), ids=TOO_MANY)
def test_every_entry_point_refuses_what_cannot_be_meant(
    field: str, act: Callable[[], object], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInput) as caught:
        act()
    assert caught.value.field == field
    assert list(tmp_path.iterdir()) == []


def test_last_seeds_are_allowed() -> None:
    assert make_study(star(first_seed=2**32 - 5, seeds=5)).seeds == 5
    assert len(rollout(POLICY, TASK, 1, seed=2**64 - 1).lengths) == 1
    assert VecWorld(make_world("star"), 1, 2**64 - 1).n == 1


LAUGHS: Any = "lol"
for _ in range(12):
    LAUGHS = [LAUGHS] * 10
RING: list[Any] = []
RING.append(RING)


@pytest.mark.parametrize(
    "value",
    [LAUGHS, RING, "x" * 10**6, int("f" * 5000, 16), {"a" * 10**5: LAUGHS}, np.zeros((50, 50))],
    ids=["laughs", "ring", "text", "number", "mapping", "array"],
)
def test_a_value_in_a_message_is_one_short_line(value: object) -> None:
    said = str(InvalidInput("field", value, "less"))
    assert len(said) < LONGEST + 100
    assert "\n" not in said


def test_short_values_are_shown_as_python_writes_them() -> None:
    for value in ({"every": 4, "of": "own"}, [1, 2.5, None], "a\nb", 2**70, ("x",), True):
        assert shown(value) == repr(value)
