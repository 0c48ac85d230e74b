"""Exact values while agents train: when, which, how they drift, and why there are none."""

from __future__ import annotations

from dataclasses import replace
from math import isnan, nan
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from powerseek.agents import Progress, RandomPolicy, ScriptedPolicy
from powerseek.exact import Outcome, attribution, evaluate_agent, oracle
from powerseek.experiments.analysis.budgets import Crossings
from powerseek.experiments.results.schema import ABSENT_ROW
from powerseek.experiments.results.side_tables import curve_path
from powerseek.experiments.study.checked import trials
from powerseek.experiments.study.grid import Trial
from powerseek.experiments.study.schema import make_study
from powerseek.experiments.sweep.evaluate import FORGOTTEN_ON_THE_WAY, Asked, Evaluator, rows_each
from powerseek.experiments.sweep.follow import EvalCallback, first_exact
from powerseek.experiments.sweep.trial import run_trial
from powerseek.metrics import (
    Context,
    Expected,
    curve_names,
    exactly_followed,
    followed_metrics,
    metric,
)
from powerseek.registry import make_world, metrics
from powerseek.types import Measurement

PARTS = ("free", "precaution", "harmful", "restraint")


def trial(**keys: Any) -> Trial:
    given = {"name": "t", "worlds": [{"id": "homestead", "openness": 0, "max_steps": 12}]}
    settings = {"n_envs": 8, "n_steps": 16, "batch_size": 128, "n_epochs": 1, "net": [8]}
    given |= {
        "agents": "cohort-ppo",
        "settings": {"cohort-ppo": settings},
        "rewards": [{"every": 4}],
    }
    return trials(make_study({**given, "timesteps": 1920, "episodes": 20, **keys}))[0]


@pytest.mark.parametrize(
    ("evaluations", "first"), [(15, 10), (30, 20), (10, 6), (12, 8), (4, 0), (1, 0), (100, 67)]
)
def test_the_last_third_is_exact_and_five_evaluations_at_least(
    evaluations: int, first: int
) -> None:
    assert first_exact(evaluations) == first
    assert evaluations - first + 1 >= min(5, evaluations + 1)


class Lines:
    """Curves kept in memory."""

    def __init__(self) -> None:
        self.points: list[tuple[int, dict[str, float]]] = []

    def add(self, timesteps: int, values: dict[str, float]) -> None:
        self.points.append((timesteps, values))


def test_what_is_followed_exactly_is_what_the_policy_does() -> None:
    this = trial(evaluations=15, timesteps=1500)
    task = this.cell.task(make_world(this.cell.world, **this.cell.params))
    lines, facts = Lines(), oracle(task.world)
    callback = EvalCallback(Evaluator(task, facts, None, 0), this, lines)  # type: ignore[arg-type]  # a stand-in
    agents = (RandomPolicy(), ScriptedPolicy(task.world, "minimalist"))
    for timesteps, policy in ((900, agents[1]), (1000, agents[0]), (1100, agents[1])):
        assert callback(Progress(timesteps, 0, policy))
    assert not any(name.startswith("exact.") for name in lines.points[0][1])
    for (_, values), policy in zip(lines.points[1:], agents, strict=True):
        known = evaluate_agent(task, policy)
        (parts,) = attribution(task, policy, prices=[0.02])
        expected = {f"exact.{name}": parts.units[name] for name in PARTS}
        expected |= {"exact.success": known.success, "exact.acquired": known.acquisition}
        expected["exact.disabled"] = known.disabled
        assert "exact.competence" not in values  # a walk of its own
        assert facts.need is not None
        expected["exact.beyond"] = known.acquisition - facts.need.corners[-1, 1]
        shown = {name: values[name] for name in expected}
        # What is forgotten on the way could still acquire a few units.
        assert shown == pytest.approx(expected, abs=20 * FORGOTTEN_ON_THE_WAY)
    assert callback.followed["beyond"] == [v["exact.beyond"] for _, v in lines.points[1:]]


def test_a_trial_keeps_exact_curves_and_their_drift(tmp_path: Path) -> None:
    this = trial(evaluations=15)
    rows = run_trial(this, tmp_path)
    curve = pd.read_parquet(curve_path(tmp_path, this))
    exact = [name for name in curve if name.startswith("exact.")]
    assert {f"exact.{name}" for name in ("beyond", "acquired", "success", *PARTS)} <= {*exact}
    late = curve["timesteps"] >= 10 * 128
    assert late.sum() == 6
    assert curve.loc[late, exact].drop(columns="exact.competence").notna().all(axis=None)
    assert curve["exact.competence"].notna().tolist() == [*[False] * (len(curve) - 1), True]
    assert curve.loc[~late, exact].isna().all(axis=None)
    end = rows[rows["evaluation"] == "exact"].set_index("metric")["value"]
    for name in exact:
        assert curve[name].iloc[-1] == end[name.removeprefix("exact.")]
    values = curve.loc[late, "exact.beyond"].to_numpy()
    assert end["drift"] == pytest.approx(6 * np.polyfit(np.arange(6), values, 1)[0], abs=1e-9)
    assert end["drift"] != 0
    assert (rows[rows["metric"] == "drift"]["evaluation"] == "exact").all()


def followed(**values: Any) -> Expected:
    world = make_world("homestead", openness=0, max_steps=12)
    return Expected(world, Outcome(acquisition=5.0), 1.0, followed=values)


def test_drift_is_known_on_a_line_and_undefined_on_few_points() -> None:
    assert followed(acquired=[1.0, 2, 3, 4]).drift == pytest.approx(5)
    assert followed(acquired=[5.0, 5, 5, 5]).drift == 0
    assert followed(acquired=[1.0, 9, 1, 9, 1, 9]).drift == pytest.approx(
        7 * np.polyfit(np.arange(7), [1, 9, 1, 9, 1, 9, 5], 1)[0]
    )
    assert isnan(followed(acquired=[1.0, 2, 3]).drift)
    assert isnan(followed(acquired=[1.0, nan, 3, 4]).drift)
    assert isnan(followed().drift)


class Remembers(RandomPolicy):
    inexact = "the policy remembers earlier steps"


def why(evaluator: Evaluator, policy: Any) -> str:
    about = {"checkpoint": "end", "status": "ok"}
    (rows,) = rows_each([Asked(evaluator, policy, (0,))], 4, [about])
    exact = [row for row in rows if row["evaluation"].startswith("exact")]
    assert len(exact) == 1
    assert {name: exact[0][name] for name in ABSENT_ROW} == ABSENT_ROW
    assert isnan(exact[0]["value"])
    assert evaluator.exact_curves(policy, ["success"]) == []
    return str(exact[0]["unit"])


def test_why_there_are_no_exact_rows_is_kept_with_the_results() -> None:
    this = trial()
    task = this.cell.task(make_world(this.cell.world, **this.cell.params))
    known, none = Evaluator(task, oracle(task.world), None, 0), Evaluator(task, None, None, 0)
    assert why(known, Remembers()) == Remembers.inexact
    assert why(none, RandomPolicy()) == "the world has too many states to enumerate"
    chess = make_world("minichess")
    told = why(Evaluator(replace(task, world=chess), None, None, 0), RandomPolicy())
    assert told == (chess.not_enumerable or "the world has too many states to enumerate")


def test_an_error_of_the_walk_is_told_and_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    from powerseek.exact.solvers import agent

    this = trial()
    task = this.cell.task(make_world(this.cell.world, **this.cell.params))
    evaluator = Evaluator(task, oracle(task.world), None, 0)
    monkeypatch.setattr(agent, "MAX_STANDING", 100)
    assert "accumulators of at most" in why(evaluator, RandomPolicy())


def test_no_curve_is_exact_of_what_has_no_exact_value() -> None:
    exact = exactly_followed(followed_metrics())
    assert exact[0] == "beyond"
    assert "return" not in exact
    assert set(PARTS) <= {*exact}


def test_a_metric_that_fails_while_agents_train_is_told_once_the_trial_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def early(context: Context) -> list[Measurement]:
        return [Measurement("lab.early", 1 / (context.n - 8))]  # at the end there are more episodes

    monkeypatch.setitem(metrics._entries, "lab.early", metric()(early))
    monkeypatch.setattr("powerseek.experiments.sweep.follow.CURVE_EPISODES", 8)
    this = trial(evaluations=3, episodes=16, timesteps=384)
    told: dict[str, str] = {}
    rows = run_trial(this, tmp_path, broken=told.setdefault)
    (why,) = told.values()
    assert why.startswith("ZeroDivisionError: division by zero (in ")
    assert why.partition("(in ")[2].startswith(f"{early.__qualname__}, test_follow.py line ")
    assert set(told) == {"lab.early"}
    assert rows.loc[rows["metric"] == "lab.early", "value"].notna().all()
    curve = pd.read_parquet(curve_path(tmp_path, this))["lab.early"]
    assert curve.notna().tolist() == [*[False] * (len(curve) - 1), True]


def test_divergence_is_followed_at_every_evaluation_where_a_reward_is_learnt(
    tmp_path: Path,
) -> None:
    keys = {"phases": {"cloned": [{"imitate": "random", "steps": 5}, {"reward": "task"}]}}
    keys |= {"worlds": [{"id": "star"}], "evaluations": 8}
    this = trial(rewards=[{"preference": 20}], **keys)
    assert first_exact(8) == 4
    rows = run_trial(this, tmp_path)
    curve = pd.read_parquet(curve_path(tmp_path, this))
    divergence = curve["exact.divergence"].to_numpy()
    assert len(curve) == 9
    assert divergence[0] == 0
    assert (divergence[1:] > 0).all()
    end = rows[rows["evaluation"] == "exact"].set_index("metric")["value"]
    assert divergence[-1] == end["divergence"]
    assert curve["return"].notna().all()
    assert curve["exact.success"].notna().sum() == 5  # the rest of it as late as ever
    assert "divergence" not in trial(rewards=["dense"], **keys).curves
    assert "acquired" not in this.curves
    shown = curve_names(this.curves)
    assert ("exact.divergence" in shown, "divergence" in shown) == (True, False)
    priced = trial(rewards=[{"preference": 20, "aim": "need", "price": 0.02}])
    assert "acquired" in priced.curves


def test_a_clock_that_a_claim_asks_for_is_kept_at_every_evaluation(tmp_path: Path) -> None:
    said = {"id": "H", "contrast": {"budget": 2, "clock": "flops"}, "direction": "larger"}
    this = trial(rewards=["dense", "terminal"], hypotheses=[said], evaluations=3)
    rows = run_trial(this, tmp_path)
    curves = pd.read_parquet(curve_path(tmp_path, this))
    spent = curves["spent_flops"].to_numpy()
    (total,) = set(rows.loc[rows["metric"] == "spent_flops", "value"])
    assert spent[0] == 0
    assert spent[-1] == total
    assert spent == pytest.approx(total * curves["timesteps"].to_numpy() / 1920)
    known = Crossings(rows, curves).budgets([this.key], 2.0, "flops")
    assert (list(known.steps), list(known.reached)) == ([total], [False])
