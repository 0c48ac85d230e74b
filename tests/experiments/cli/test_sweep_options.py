"""Sweeps that are changed, tried without running, or stopped in time; trained here, without Ray."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import faults
import pandas as pd
import pytest
import yaml

from powerseek.experiments import layout
from powerseek.experiments.results.lock import locked_folder
from powerseek.experiments.results.store import Store
from powerseek.experiments.study.checked import trials
from powerseek.experiments.study.schema import load_study

STUDY = """
name: tiny
worlds: [{id: off-switch, max_steps: 12}]
rewards: [dense, {every: cap}]
agents: [cohort-ppo]
references: [minimalist]
seeds: 2
cohort: 3
timesteps: 512
episodes: 40
evaluations: 2
settings: {cohort-ppo: {n_envs: 16, n_steps: 16, batch_size: 128, n_epochs: 1, net: [8]}}
"""
SWEEP = ("sweep", "tiny.yaml", "--out", "out")
NO_TIME = "1e-9"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a sweep that nothing has stopped."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        (folder / "tiny.yaml").write_text(STUDY)
        assert faults.answer(*SWEEP).code == 0
    return folder


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(STUDY)
    return tmp_path


def tree(folder: Path) -> dict[str, bytes]:
    """All files and folders, and what they hold."""
    return {str(p): p.read_bytes() if p.is_file() else b"" for p in folder.rglob("*")}


def seeds_of(out: Path) -> list[int]:
    """Seeds that each trained cell has."""
    table = pd.read_parquet(out / layout.TRIALS)
    return list(table[table["agent"] == "cohort-ppo"].groupby("reward")["seed"].nunique())


def command(text: str, before: str) -> list[str]:
    """The words after `powerseek` of a command that a message tells."""
    found = re.search(rf"{before}: powerseek (.*?)(?:\.?\n|$)", text)
    assert found, text
    return shlex.split(found[1])


# --- hours ------------------------------------------------------------------------------------


def test_a_sweep_without_time_has_whole_seeds_and_goes_on_to_the_same_results(
    whole: Path, here: Path
) -> None:
    words, counts = [*SWEEP, "--hours", NO_TIME], []
    for _ in range(2):
        said = faults.answer(*words)
        if said.code == 0:
            break
        assert said.code == 3, said.err
        assert said.err.startswith("warning: tiny: 4 trials, about "), said.err
        assert "more than --hours 1e-09. Seeds that do not fit are left" in said.err
        (seeds,) = set(seeds_of(here / "out"))
        counts.append(seeds)
        assert f"Every cell has {seeds} of its 2 seeds." in said.err
        assert f"trials left: {4 - 2 * seeds}." in said.err
        summary = (here / "out/summary.md").read_text()
        left = f"Not finished: {4 - 2 * seeds} of 5 trials have no result yet"
        assert f"**{left}; {seeds} of 2 seeds a cell so far.**" in summary
        words = command(said.err, "Go on with")
        assert words[4:] == ["--resume", "--hours", "1e-09"]
    assert counts == [1]
    assert said.code == 0, said.err
    assert "Not finished" not in (here / "out/summary.md").read_text()
    assert faults.differences(here / "out", faults.held(whole / "out")) == []


# --- set --------------------------------------------------------------------------------------


def test_a_change_is_shown_kept_and_part_of_what_the_study_is(here: Path) -> None:
    change = ["--set", "worlds.0.max_steps=14", "--set", "seeds=1"]
    said = faults.answer(*SWEEP, *change)
    assert said.code == 0, said.err
    assert "set: worlds.0.max_steps = 14 (was 12)\nset: seeds = 1 (was 2)\n" in said.err
    out = here / "out"
    study = load_study(out / layout.STUDY)
    assert (study.worlds[0].max_steps, study.seeds) == ([14], 1)
    assert set(pd.read_parquet(out / layout.RESULTS)["max_steps"]) == {14}
    (run,) = json.loads((out / layout.PROVENANCE).read_text())["runs"]
    assert run["set"] == {
        "worlds.0.max_steps": {"was": 12, "now": 14},
        "seeds": {"was": 2, "now": 1},
    }
    assert r"- set: worlds.0.max\_steps=14, seeds=1" in (out / layout.SUMMARY).read_text()
    assert yaml.safe_load((here / "tiny.yaml").read_text())["seeds"] == 2

    before = tree(out)
    assert faults.answer(*SWEEP, "--resume", *change).code == 0
    assert faults.lost(out, faults.finished(out)) == []
    for other in ([], ["--set", "worlds.0.max_steps=16"], ["--set", "timesteps=256"]):
        said = faults.answer(*SWEEP, "--resume", *other)
        assert (said.code, said.out) == (2, "")
        assert "the study it already holds ('tiny', different: " in said.err
        # The command that it tells goes on.
        assert faults.answer(*command(said.err, "study it holds")).code == 0
    assert {name: data for name, data in tree(out).items() if layout.ROWS in name} == {
        name: data for name, data in before.items() if layout.ROWS in name
    }


def test_fewer_seeds_than_there_are_say_how_to_go_on(whole: Path, here: Path) -> None:
    shutil.copytree(whole / "out", here / "out")
    said = faults.answer(*SWEEP, "--resume", "--set", "seeds=1")
    assert said.code == 2
    assert "error: --set seeds: got 1; allowed: at least the 2 seeds" in said.err
    assert faults.answer(*command(said.err, "study it holds")).code == 0


def test_a_plan_is_of_the_changed_study(here: Path) -> None:
    said = faults.answer("plan", "tiny.yaml", "--no-pilot", "--set", "seeds=7")
    assert said.code == 0, said.err
    assert said.err == "set: seeds = 7 (was 2)\n"
    assert "7 seeds per cell" in said.out


# --- dry run ----------------------------------------------------------------------------------


def test_a_dry_run_says_what_would_be_run_and_writes_nothing(here: Path) -> None:
    before = tree(here)
    said = faults.answer(*SWEEP, "--dry-run", "--workers", "1")
    assert said.code == 0, said.err
    assert tree(here) == before
    for line in (
        "results: out",
        "finished there: 0 of 5 trials",
        "to run: 5 trials, 2,048 steps of training",
        "at a time: 1 cohort, 3 trials side by side in 1 cohort of at most 3",
        "1 of the trials are references, not trained: minimalist",
    ):
        assert f"\n{line}\n" in said.out
    rows = [line.split() for line in said.out.splitlines() if line.startswith("off-switch")]
    assert rows == [
        ["off-switch", "dense", "512", "2", "0", "2"],
        ["off-switch", "every", "cap", "512", "2", "0", "2"],
    ]


def test_a_dry_run_knows_what_is_finished_failed_and_begun(whole: Path, here: Path) -> None:
    out = Path(shutil.copytree(whole / "out", here / "out"))
    grid = trials(load_study("tiny.yaml"))
    store = Store(out)
    store.path(grid[0]).unlink()
    store.write_failed(grid[1], "broke")
    (out / layout.CHECKPOINTS).mkdir()
    (out / layout.CHECKPOINTS / f"{grid[0].key}.zip").touch()
    (out / layout.RESULTS).unlink()
    before = tree(out)
    said = faults.answer(*SWEEP, "--resume", "--dry-run", "--hours", "2")
    assert said.code == 0, said.err
    told = "3 of 5 trials (1 failed and would be tried again; 1 would go on from a checkpoint)"
    assert f"finished there: {told}\nto run: 2 trials, 1,024 steps of training\n" in said.out
    assert "time: 2.0 h, in rounds of whole seeds" in said.out
    assert "more than --hours" not in said.err
    assert tree(out) == before
    assert faults.answer(*SWEEP, "--dry-run").code == 2  # as without --resume
    with locked_folder(out, pytest.fail):
        said = faults.answer(*SWEEP, "--resume", "--dry-run")
    assert said.code == 2
    assert "It is held by" in said.err


def test_a_dry_run_of_what_is_finished_says_so(whole: Path, here: Path) -> None:
    shutil.copytree(whole / "out", here / "out")
    said = faults.answer(*SWEEP, "--resume", "--dry-run")
    assert said.code == 0
    assert "to run: 0 trials" in said.out
    assert "It would only report on what is finished." in said.out


def test_a_dry_run_of_a_large_study_is_quick_and_starts_no_ray(here: Path) -> None:
    script = (
        "import sys\nfrom powerseek.experiments.cli import app\n"
        "sys.argv = ['powerseek', 'sweep', 'quick', '--dry-run', '--set', 'seeds=40']\n"
        "try:\n    app.main()\nexcept SystemExit as ended:\n"
        "    print(ended.code, *{'ray', 'torch', 'matplotlib'} & sys.modules.keys())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.splitlines()[-1] == "0"
    assert "finished there: 0 of 824 trials" in done.stdout
