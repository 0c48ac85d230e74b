from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from powerseek.agents import Progress, check_agent, load_agent, rollout, train
from powerseek.errors import ProcessLeft
from powerseek.exact import Oracle, with_overseer
from powerseek.experiments.layout import run_folder
from powerseek.experiments.results.store import COLUMNS, Store
from powerseek.experiments.study.checked import trials
from powerseek.experiments.study.grid import Cell, Trial
from powerseek.experiments.study.schema import make_study
from powerseek.experiments.sweep.evaluate import Evaluator
from powerseek.experiments.sweep.follow import EvalCallback
from powerseek.experiments.sweep.oracles import optimum_of, oracle_of
from powerseek.experiments.sweep.trial import run_trial
from powerseek.registry import make_world


def trial(**keys: Any) -> Trial:
    given = {"name": "t", "worlds": [{"id": "homestead", "openness": 0}], "timesteps": 4096}
    return trials(make_study({**given, "episodes": 200, "evaluations": 2, **keys}))[0]


LEARNT = {"competence": 0.999, "rewards": [{"every": 4}]}


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    out = tmp_path_factory.mktemp("learnt")
    return out, run_trial(trial(**LEARNT), out)


def test_rows_have_the_fixed_columns_and_both_evaluations(
    learnt: tuple[Path, pd.DataFrame],
) -> None:
    _, rows = learnt
    assert tuple(rows.columns) == COLUMNS
    end = rows[rows["checkpoint"] == "end"]
    for evaluation in ("sampled", "greedy"):
        metrics = set(end.loc[end["evaluation"] == evaluation, "metric"])
        assert {"success", "competence", "acquired", "need", "excess", "disabled"} <= metrics
    assert not rows.duplicated(["checkpoint", "evaluation", "metric"]).any()
    assert (end["timesteps"] >= 4096).all()
    assert (end["updates"] > 0).all()


def test_a_trial_that_did_not_learn_is_censored(learnt: tuple[Path, pd.DataFrame]) -> None:
    _, rows = learnt
    assert set(rows["checkpoint"]) == {"end"}
    assert set(rows["status"]) == {"censored"}


def test_the_gate_reads_the_exact_competence_not_what_few_episodes_show(tmp_path: Path) -> None:
    rows = run_trial(trial(agents=["random"], episodes=2, competence=[1e-6]), tmp_path)
    found = rows[rows["metric"] == "competence"].set_index("evaluation")["value"]
    assert found["sampled"] == 0.0 < 1e-6 < found["exact"] < 0.5
    assert set(rows["status"]) == {"ok"}


def test_the_same_trial_twice_gives_the_same_rows(
    learnt: tuple[Path, pd.DataFrame], tmp_path: Path
) -> None:
    _, rows = learnt
    pd.testing.assert_frame_equal(rows, run_trial(trial(**LEARNT), tmp_path))


def test_a_trial_leaves_its_model_curves_and_exact_numbers(
    learnt: tuple[Path, pd.DataFrame],
) -> None:
    out, _ = learnt
    this = trial(**LEARNT)
    assert (out / "internals/models" / f"{this.key}.zip").is_file()
    assert list(run_folder(out, this).glob("events.*"))
    assert len(list((out / "internals/oracles").glob("*.npz"))) == 2


def test_a_kept_model_measures_alike(learnt: tuple[Path, pd.DataFrame]) -> None:
    from powerseek.experiments.single import evaluate_one

    out, rows = learnt
    model = out / "internals/models" / f"{trial(**LEARNT).key}.zip"
    again = evaluate_one(model, "homestead", {}, 2000, 7)
    end = rows[rows["checkpoint"] == "end"].set_index(["evaluation", "metric"])
    new = again.rows.set_index(["evaluation", "metric"])
    for key in (("sampled", "success"), ("sampled", "competence")):
        # 200 against 2,000 episodes: four standard errors
        assert abs(end.loc[key, "value"] - new.loc[key, "value"]) < 4 * (0.25 / 180) ** 0.5


@pytest.mark.parametrize("agent", ["minimalist", "hoarder", "random", "optimum", "minimal-need"])
def test_agents_that_do_not_learn_are_measured_too(agent: str, tmp_path: Path) -> None:
    rows = run_trial(trial(agents=agent), tmp_path)
    end = rows[(rows["checkpoint"] == "end") & (rows["evaluation"] == "sampled")]
    values = end.set_index("metric")["value"]
    assert (values["competence"] >= 0.9) == (end["status"] == "ok").all()
    if agent == "optimum":
        assert abs(values["success"] - values["optimum_success"]) < 4 * (0.05 / 200) ** 0.5


def test_exact_numbers_are_read_back_as_they_were(tmp_path: Path) -> None:
    cell = trial().cell
    first = oracle_of(cell, tmp_path)
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "internals/oracles").iterdir()}
    from powerseek.experiments.sweep import oracles

    oracles._oracle.cache_clear()
    second = oracle_of(cell, tmp_path)
    assert isinstance(first, Oracle)
    assert isinstance(second, Oracle)
    assert first.need is not None
    assert second.need is not None
    assert first.need.vertices == second.need.vertices
    assert {
        path: path.stat().st_mtime_ns for path in (tmp_path / "internals/oracles").iterdir()
    } == files


def test_a_truncated_file_of_exact_numbers_is_made_again(tmp_path: Path) -> None:
    from powerseek.experiments.sweep import oracles

    cell = trial().cell
    optimum_of(cell, tmp_path)
    sizes = {path: path.stat().st_size for path in (tmp_path / "internals/oracles").iterdir()}
    assert len(sizes) == 2  # of the setting, and of the arm in it
    for path in sizes:
        path.write_bytes(path.read_bytes()[: sizes[path] // 2])
    oracles._optimum.cache_clear()
    oracles._oracle.cache_clear()
    assert optimum_of(cell, tmp_path) is not None
    assert {path: path.stat().st_size for path in sizes} == sizes


def test_a_bootstrapped_cap_has_no_optimum_and_is_still_measured(tmp_path: Path) -> None:
    rows = run_trial(trial(time_limit="bootstrap", gamma=0.9, agents="random"), tmp_path)
    metrics = set(rows["metric"])
    assert "need" in metrics
    assert "incentive" not in metrics


def test_a_power_weight_is_scaled_by_what_is_attainable(tmp_path: Path) -> None:
    cell = trial(power_weight=1.0).cell
    facts = oracle_of(cell, tmp_path)
    assert facts is not None
    from powerseek.experiments.sweep.oracles import holdings_scale

    assert holdings_scale(cell, facts) == facts.holdings
    assert holdings_scale(trial().cell, facts) == 1.0


class Lines:
    """Curves kept in memory."""

    def __init__(self) -> None:
        self.points: list[int] = []

    def add(self, timesteps: int, values: dict[str, float]) -> None:
        self.points.append(timesteps)


def test_each_level_is_measured_once_when_it_is_first_reached() -> None:
    cell: Cell = trial(timesteps=1000, evaluations=10, competence=[0.5, 0.9], episodes=64).cell
    task = cell.task(make_world(cell.world, **cell.params))
    weak, strong = (train(task, agent).policy for agent in ("random", "minimalist"))
    callback = EvalCallback(Evaluator(task, None, None, 0), Trial(cell, 0), Lines())  # type: ignore[arg-type]  # stand-in
    for timesteps, policy in ((100, weak), (200, strong), (300, strong), (400, weak)):
        callback(Progress(timesteps, timesteps // 10, policy))
    rows = pd.DataFrame(callback.rows)
    assert set(rows["checkpoint"]) == {"competence>=0.5", "competence>=0.9"}
    assert set(rows["timesteps"]) == {200}
    assert set(rows["updates"]) == {20}
    assert set(rows["status"]) == {"ok"}
    assert not rows.duplicated(["checkpoint", "evaluation", "metric"]).any()


def test_a_crossing_is_measured_on_other_episodes_than_showed_it() -> None:
    cell: Cell = trial().cell
    task = cell.task(make_world(cell.world, **cell.params))
    evaluator, policy = Evaluator(task, None, None, 0), train(task, "random").policy
    first, second, again = (
        evaluator.measure(policy, 64, purpose, 1, names=["length"])[0].value
        for purpose in (1, 2, 1)
    )
    assert first != second
    assert first == again


def test_curves_are_spread_over_training_and_leave_the_end_to_the_end() -> None:
    cell: Cell = trial(timesteps=1000, evaluations=4, episodes=8).cell
    world = make_world(cell.world, **cell.params)
    task = cell.task(world)
    policy = train(task, "random").policy
    lines = Lines()
    callback = EvalCallback(Evaluator(task, None, None, 0), Trial(cell, 0), lines)  # type: ignore[arg-type]  # a stand-in
    for timesteps in (0, 100, 260, 300, 700, 760, 1000, 1000):
        callback(Progress(timesteps, 0, policy))
    assert lines.points == [0, 260, 700, 760]


def test_settings_of_the_agent_are_complete_in_the_identity() -> None:
    cell = trial().cell
    task = cell.task(make_world(cell.world, **cell.params))
    assert dict(cell.settings) == check_agent(task, cell.agent)


def test_rows_survive_the_store(learnt: tuple[Path, pd.DataFrame], tmp_path: Path) -> None:
    _, rows = learnt
    this = trial(**LEARNT)
    store = Store(tmp_path)
    store.trials.mkdir(parents=True)
    store.write(this, rows)
    merged = store.merge([this])
    assert list(merged["value"].dropna()) == list(rows["value"].dropna())
    assert set(merged["trial"]) == {this.key}


@pytest.mark.parametrize("reward", [{"coverage": 1.0}, {"approval": 4}], ids=str)
def test_an_overseen_agent_runs_end_to_end(reward: dict[str, Any], tmp_path: Path) -> None:
    tiny = {"id": "off-switch", "params": {"interruption": 0.0}, "max_steps": 20}
    settings = {"maskable-ppo": {"n_envs": 32, "n_steps": 16, "batch_size": 256}}
    this = trial(worlds=[tiny], rewards=reward, timesteps=20_000, settings=settings)
    rows = run_trial(this, tmp_path)
    assert set(rows["lookahead"].dropna()) == ({4} if "approval" in reward else set())
    values = rows[(rows["checkpoint"] == "end") & (rows["evaluation"] == "sampled")]
    values = values.set_index("metric")["value"]
    if "coverage" in reward:
        assert values["optimum_success"] > 0.99
        assert values["success"] > 0.9
        assert 0.8 < values["return"] <= 1
    else:
        assert values["return"] <= 0


def test_a_kept_overseen_model_measures_in_another_world(tmp_path: Path) -> None:
    from powerseek.experiments.single import evaluate_one

    this = trial(rewards={"approval": "cap", "aim": "need"}, timesteps=4096)
    run_trial(this, tmp_path)
    model = tmp_path / "internals/models" / f"{this.key}.zip"
    rows = evaluate_one(model, "homestead", {"spoil": 0.1}, 50, 1).rows
    assert set(rows["reward"]) == {"approval cap need price 0.02"}
    assert set(rows["lookahead"]) == {28}
    assert (rows.loc[rows["metric"] == "return", "value"] < 0).all()


def test_each_seed_is_measured_by_the_model_that_trained_it(tmp_path: Path) -> None:
    from powerseek.experiments.single import evaluate_one

    world = {"id": "off-switch", "params": {"interruption": 0.3}, "max_steps": 8}
    given = {"worlds": [world], "rewards": {"preference": 30, "length": 4}, "seeds": 2}
    settings = {"cohort-ppo": {"n_envs": 8, "n_steps": 8, "batch_size": 64, "net": [8]}}
    study = make_study({"name": "t", **given, "timesteps": 64, "settings": settings})
    both = trials(study)
    assert optimum_of(both[0].cell, tmp_path) is None
    returns = []
    for this in both:
        rows = run_trial(this, tmp_path)
        end = rows[(rows["checkpoint"] == "end") & (rows["evaluation"] == "sampled")]
        found = end.set_index("metric")["value"]
        assert found["spent_labels"] == 30
        assert "optimum_success" not in found
        made = make_world(this.cell.world, **this.cell.params)
        model = tmp_path / "internals/models" / f"{this.key}.zip"
        policy = load_agent(model).policy
        exact = {}
        for seed in (0, 1):
            task = with_overseer(this.cell.task(made), seed=seed)
            paid = rollout(policy, task, 4000, 3).rewards.sum(axis=1)
            exact[seed] = paid.mean(), 5 * paid.std() / len(paid) ** 0.5
        mean, off = exact[this.seed]
        other, _ = exact[1 - this.seed]
        told = end.set_index("metric").loc["return"]
        assert told["low"] - off < mean < told["high"] + off
        assert not told["low"] - off < other < told["high"] + off
        returns.append(found["return"])
        # A kept model is paid by the same one, whatever the seed of the evaluation.
        again = evaluate_one(model, "off-switch", {}, 1000, 77).rows
        kept = again[(again["metric"] == "return") & (again["evaluation"] == "sampled")]
        assert kept["value"].item() == pytest.approx(mean, abs=2 * off + 0.01)
    assert returns[0] != returns[1]


@pytest.mark.parametrize("leaving", [SystemExit(0), GeneratorExit()])
@pytest.mark.parametrize("place", ["trial.train_jobs", "trial.rows_each", "evaluate.make_world"])
def test_what_ends_the_process_fails_the_trial_alone(
    leaving: BaseException, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leave(*_: Any, **__: Any) -> None:
        raise leaving

    monkeypatch.setattr(f"powerseek.experiments.sweep.{place}", leave)
    with pytest.raises(ProcessLeft, match=type(leaving).__name__):
        run_trial(trial(timesteps=64, agents=["random"]), tmp_path)
