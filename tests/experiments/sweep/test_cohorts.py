"""Trials side by side: packed by the study alone, each row for row what it is alone."""

from __future__ import annotations

import json
import re
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import killing
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from powerseek.agents import TrainingFailed, load_agent
from powerseek.agents.cohort.ppo import Learner
from powerseek.errors import InvalidInput
from powerseek.experiments.results.recordings import recording_path
from powerseek.experiments.results.store import Store, checkpoint_path, identity
from powerseek.experiments.study.checked import cells, trials
from powerseek.experiments.study.grid import Trial, canonical_study_json
from powerseek.experiments.study.schema import Study, make_study
from powerseek.experiments.sweep import evaluate as evaluate_module
from powerseek.experiments.sweep import follow as watch_module
from powerseek.experiments.sweep import trial as trial_module
from powerseek.experiments.sweep.cohorts import COHORT, cohort_boundaries, make_cohorts
from powerseek.experiments.sweep.trial import run_trial, run_trials
from powerseek.experiments.sweep.worker import run_and_keep

SETTINGS = {
    **{"n_envs": 16, "n_steps": 16, "batch_size": 128, "n_epochs": 4, "net": [16]},
    **{"learning_rate": 0.01, "ent_coef": 0.0},
}
UPDATES = 40
GIVEN: dict[str, Any] = {
    "name": "tiny",
    "worlds": [{"id": "off-switch", "max_steps": 12}],
    "rewards": ["dense", {"every": "cap"}, "terminal"],
    "gamma": [0.9, 1.0],
    "agents": "cohort-ppo",
    "cohort": 4,
    "seeds": 2,
    "timesteps": 256 * UPDATES,
    "episodes": 40,
    "evaluations": 4,
    "competence": [0.001, 0.3],
    "settings": {"cohort-ppo": SETTINGS},
}


def study(**keys: Any) -> Study:
    return make_study({**GIVEN, **keys})


GRID = trials(study())

# --- packing ----------------------------------------------------------------------------------

WIDE = study(
    worlds=[
        {"id": "homestead", "openness": [0, 1], "max_steps": [20, 30]},
        {"id": "off-switch", "timesteps": 5000, "max_steps": [20]},
    ],
    agents=["cohort-ppo", "maskable-ppo"],
    seeds=3,
    settings={},
    references=["random"],
)
WIDE_GRID = trials(WIDE)


def setting(trial: Trial) -> str:
    return canonical_study_json([trial.cell.world, trial.cell.config["params"]])


@given(st.integers(1, 40))
def test_every_trial_is_in_one_cohort_of_its_setting_and_none_is_too_large(most: int) -> None:
    cohorts = make_cohorts(WIDE_GRID, most)
    assert Counter(t.key for cohort in cohorts for t in cohort) == Counter(t.key for t in WIDE_GRID)
    places = {trial.key: i for i, trial in enumerate(WIDE_GRID)}
    firsts = [places[cohort[0].key] for cohort in cohorts]
    assert firsts == sorted(firsts)
    sizes: dict[str, list[int]] = {}
    for cohort in cohorts:
        assert [places[t.key] for t in cohort] == sorted(places[t.key] for t in cohort)
        assert len({(setting(t), t.cell.agent, t.cell.timesteps) for t in cohort}) == 1
        if cohort[0].cell.agent == "cohort-ppo":
            sizes.setdefault(setting(cohort[0]), []).append(len(cohort))
        else:
            assert len(cohort) == 1
    # 3 arms x 2 discounts x 3 seeds in each of five settings, no cohort less than could be.
    full, rest = divmod(18, most)
    assert list(sizes.values()) == [[most] * full + [rest] * (rest > 0)] * 5


def test_without_a_word_of_the_study_cohorts_are_of_one_size() -> None:
    assert make_cohorts(WIDE_GRID) == make_cohorts(WIDE_GRID, COHORT)
    assert max(map(len, make_cohorts(WIDE_GRID))) == COHORT


def test_agents_of_other_networks_or_budgets_are_kept_apart_by_field() -> None:
    mixed = study(
        worlds=[
            {"id": "off-switch"},
            {"id": "off-switch", "timesteps": 512},
            {"id": "off-switch", "settings": {"cohort-ppo": {"net": [9], "ent_coef": 0.5}}},
        ],
        rewards="dense",
        gamma=1.0,
        seeds=1,
    )
    grid = trials(mixed)
    assert [len(cohort) for cohort in make_cohorts(grid)] == [1, 1, 1]
    assert cohort_boundaries(grid) == {"off-switch": ("timesteps", "net")}
    assert cohort_boundaries(WIDE_GRID) == {
        "homestead": ("max_steps", "openness"),
        "off-switch": (),
    }
    assert cohort_boundaries(trials(study(agents="maskable-ppo", cohort=None, settings={}))) == {}


@pytest.mark.parametrize("most", [1, 3, 16])
def test_trials_that_differ_in_how_they_play_are_trained_together(most: int) -> None:
    """Whatever a cohort holds, and they count as one training."""
    dial = study(
        agents=["search", {"search": {"acting": 8}}, {"search": {"acting": [16, 64]}}],
        seeds=3,
        settings={},
    )
    cohorts = make_cohorts(trials(dial), most)
    held = [{(t.seed, t.cell.reward_label, t.cell.gamma) for t in cohort} for cohort in cohorts]
    assert sum(map(len, held)) == len(set.union(*held)) == 3 * 3 * 2
    assert max(map(len, held)) == min(most, 18)
    assert sorted(len(cohort) / len(own) for cohort, own in zip(cohorts, held, strict=True)) == [
        4
    ] * len(held)


def test_a_cohort_without_agents_for_it_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"cohort: got 4.*agents: \[cohort-ppo\]"):
        cells(study(agents="maskable-ppo", settings={}))
    with pytest.raises(InvalidInput, match="cohort"):
        study(cohort=0)


def test_packing_is_no_part_of_what_a_study_is() -> None:
    assert identity(study()) == identity(study(cohort=1)) == identity(study(cohort=None))
    assert identity(study()) != identity(study(timesteps=1))
    assert [t.key for t in trials(study(cohort=7))] == [t.key for t in GRID]


# --- the same as alone --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, pd.DataFrame]]:
    """Every trial run by itself."""
    out = tmp_path_factory.mktemp("alone")
    return out, {trial.key: run_trial(trial, out) for trial in GRID}


def weights(out: Path, trial: Trial) -> torch.Tensor:
    network = load_agent(out / "internals/models" / f"{trial.key}.zip").policy.network  # type: ignore[attr-defined]  # a network's
    return torch.cat([weight.flatten() for weight in network.state_dict().values()])


def curve(out: Path, trial: Trial) -> pd.DataFrame:
    return pd.read_parquet(out / "internals/curves" / f"{trial.key}.parquet")


def same(out: Path, alone: tuple[Path, dict[str, pd.DataFrame]], trial: Trial) -> None:
    there, _ = alone
    assert torch.equal(weights(out, trial), weights(there, trial))
    pd.testing.assert_frame_equal(curve(out, trial), curve(there, trial), check_exact=True)
    replays = [recording_path(folder, trial.key) for folder in (out, there)]
    assert replays[0].is_file() == replays[1].is_file()
    assert not replays[0].is_file() or replays[0].read_bytes() == replays[1].read_bytes()


@pytest.mark.parametrize("size", [5, 12])
def test_a_cohort_gives_each_trial_the_rows_it_has_alone(
    size: int, alone: tuple[Path, dict[str, pd.DataFrame]], tmp_path: Path
) -> None:
    some = GRID[-size:][::-1]
    found = list(run_trials(some, tmp_path))
    assert [trial for trial, _ in found] == list(some)
    checkpoints = set()
    for trial, rows in found:
        assert isinstance(rows, pd.DataFrame)
        checkpoints |= set(rows["checkpoint"])
        pd.testing.assert_frame_equal(rows, alone[1][trial.key], check_exact=True)
        same(tmp_path, alone, trial)
    assert checkpoints == {"end", "competence>=0.001", "competence>=0.3"}


# --- failures ---------------------------------------------------------------------------------


def spoiled(monkeypatch: pytest.MonkeyPatch, seed: int, gamma: float) -> None:
    """Agents of one seed and discount lose their weights in their third update."""
    learn = Learner.learn

    def poisoned(self: Learner, *given: Any) -> None:
        learn(self, *given)
        if (self.job.seed, self.job.task.gamma) == (seed, gamma) and self.updates == 24:
            self.networks.weights[0] = float("nan")

    monkeypatch.setattr(Learner, "learn", poisoned)


def test_an_agent_whose_loss_is_no_number_fails_alone_with_its_step_and_last_metrics(
    alone: tuple[Path, dict[str, pd.DataFrame]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spoiled(monkeypatch, 1, 0.9)
    some = [trial for trial in GRID if trial.seed == 1]
    store = Store(tmp_path)
    store.open(study(), GRID, resume=False)
    assert run_and_keep(some, store, 1e9, pytest.fail) == [
        trial.cell.gamma == 1.0 for trial in some
    ]
    for trial in some:
        rows = pd.read_parquet(store.path(trial))
        if trial.cell.gamma == 1.0:
            expected = alone[1][trial.key]
            pd.testing.assert_frame_equal(rows, expected, check_exact=True, check_dtype=False)
            same(tmp_path, alone, trial)
            continue
        (row,) = rows.to_dict("records")
        assert (row["status"], row["metric"]) == ("failed", "failed")
        assert (row["timesteps"], row["updates"]) == (3 * 256, 24)
        said = store.error_path(trial).read_text()
        assert "training failed at step 768 (24 updates): Diverged: its weights ceased" in said
        assert re.search(r"value_loss [\d.e-]+", said)
        assert re.search(r"Last evaluated at step 0: .*competence [\d.]+", said)
        assert "Traceback" not in said
        reason = r"at step 768: Diverged: its weights ceased .* \(in \S+, \w+\.py line \d+\)"
        assert re.fullmatch(reason, store.error(trial))


def test_an_agent_alone_fails_in_the_same_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoiled(monkeypatch, 1, 0.9)
    trial = next(trial for trial in GRID if (trial.seed, trial.cell.gamma) == (1, 0.9))
    with pytest.raises(TrainingFailed, match="at step 768") as caught:
        run_trial(trial, tmp_path)
    ((_, error),) = run_trials([trial], tmp_path / "cohort")
    assert isinstance(error, TrainingFailed)
    assert error.failure == caught.value.failure
    assert error.__notes__ == caught.value.__notes__


@pytest.mark.parametrize("where", ["begin", "look", "end", "keep"])
def test_what_breaks_about_one_trial_costs_the_others_nothing(
    where: str,
    alone: tuple[Path, dict[str, pd.DataFrame]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    some = GRID[:4]
    bad = some[2]

    def breaks(module: Any, name: str, blame: Any) -> None:
        whole = getattr(module, name)

        def broken(*given: Any, **named: Any) -> Any:
            if blame(*given):
                raise ValueError("the roof fell in")
            return whole(*given, **named)

        monkeypatch.setattr(module, name, broken)

    def judged(asked: Any, *_: Any) -> bool:
        return any(one.evaluator.arm is arm for one in asked)

    from powerseek.experiments.sweep.oracles import optimum_of

    arm = optimum_of(bad.cell, tmp_path)
    breaks(
        *{
            "begin": (evaluate_module, "optimum_of", lambda cell, out: cell == bad.cell),
            "look": (watch_module, "measure_each", judged),
            "end": (trial_module, "rows_each", judged),
            "keep": (trial_module, "keep_model", lambda trained, task, path: path.name == bad.key),
        }[where]
    )
    for trial, found in run_trials(some, tmp_path):
        if trial == bad:
            assert isinstance(found, ValueError)
        else:
            assert isinstance(found, pd.DataFrame)
            pd.testing.assert_frame_equal(found, alone[1][trial.key], check_exact=True)
            same(tmp_path, alone, trial)


# --- killed -----------------------------------------------------------------------------------

SCRIPT = f"""
from powerseek.experiments import run_study
from powerseek.experiments.study.schema import make_study
if __name__ == "__main__":
    run_study(make_study({GIVEN!r}), "out", resume=True, workers=2, checkpoint_seconds=0.0)
"""


def whole(alone: tuple[Path, dict[str, pd.DataFrame]]) -> pd.DataFrame:
    store = Store(alone[0])
    store.trials.mkdir(parents=True, exist_ok=True)
    for trial in GRID:
        store.write(trial, alone[1][trial.key])
    return store.merge(GRID)


def going(folder: Path, updates: int) -> Any:
    """Whether one agent's checkpoint was seen to change so often."""
    return killing.writes(checkpoint_path(folder / "out", GRID[0])), updates


def workers(pid: int) -> list[int]:
    return [
        child for child, command in killing.descendants(pid) if "ray::ResourceTrainable" in command
    ]


def killed(
    who: str, updates: int, alone: tuple[Path, dict[str, pd.DataFrame]], folder: Path
) -> str:
    """A sweep in cohorts of which something is killed; what it said."""
    seen, enough = going(folder, updates)
    with killing.started(SCRIPT, folder) as process:
        assert killing.wait_for(lambda: seen() >= enough, process)
        below = workers(process.pid)
        if who == "worker":
            killing.kill(below[0])
        else:
            process.send_signal(signal.SIGKILL)
        code = process.wait(timeout=280)
    if who == "driver":
        assert code != 0
        assert killing.gone(below, seconds=30)
        with killing.started(SCRIPT, folder) as process:
            code = process.wait(timeout=280)
    said = (folder / "said.txt").read_text()
    assert code == 0, said
    found = pd.read_parquet(folder / "out/results.parquet")
    pd.testing.assert_frame_equal(found, whole(alone), check_exact=True)
    assert not (folder / "out/internals/checkpoints").exists()
    assert not list((folder / "out/internals/errors").iterdir())
    for trial in GRID:
        same(folder / "out", alone, trial)
    return said


@pytest.mark.slow
def test_a_cohort_whose_worker_was_killed_goes_on_one_by_one(
    alone: tuple[Path, dict[str, pd.DataFrame]], tmp_path: Path
) -> None:
    said = " ".join(killed("worker", 8, alone, tmp_path).split())
    assert "a worker died training 4 agents side by side" in said
    assert "write a smaller cohort" in said
    (run,) = json.loads((tmp_path / "out/internals/provenance.json").read_text())["runs"]
    assert sum(run["nodes"].values()) == len(GRID)


@pytest.mark.slow
@pytest.mark.parametrize("updates", [1, 8, 30])
@pytest.mark.parametrize("who", ["worker", "driver"])
def test_a_cohort_killed_anywhere(
    who: str, updates: int, alone: tuple[Path, dict[str, pd.DataFrame]], tmp_path: Path
) -> None:
    killed(who, updates, alone, tmp_path)
