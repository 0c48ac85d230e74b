"""Real Ray, real training, tiny trials. Each start of Ray takes seconds, so there are few."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import faults
import pandas as pd
import pytest
from killing import hears_interrupts
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from powerseek.experiments.layout import cells_folder
from powerseek.experiments.results.store import COLUMNS
from powerseek.experiments.sweep.evaluate import EVALUATIONS, EXACT

STUDY = """
name: tiny
worlds: [{id: homestead, openness: 0}]
rewards: [dense, {every: cap}]
agents: [maskable-ppo]
seeds: 3
timesteps: 6000
episodes: 100
evaluations: 2
"""
POWERSEEK = (sys.executable, "-m", "powerseek.experiments.cli")
SWEEP = (*POWERSEEK, "sweep", "tiny.yaml", "--out", "out", "--workers", "2")


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=300)


def times(folder: Path) -> dict[str, int]:
    return {
        path.name: path.stat().st_mtime_ns
        for path in (folder / "out/internals/trials").glob("*.parquet")
    }


@pytest.mark.slow
def test_a_sweep_is_stopped_resumed_and_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tiny.yaml").write_text(STUDY)
    pipe = subprocess.PIPE
    with subprocess.Popen(
        SWEEP,
        cwd=tmp_path,
        stdout=pipe,
        stderr=pipe,
        text=True,
        start_new_session=True,
        preexec_fn=hears_interrupts,
    ) as process:
        until = time.monotonic() + 200
        while len(times(tmp_path)) < 2 and process.poll() is None and time.monotonic() < until:
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does: to every process of the group
        _, said = process.communicate(timeout=100)
    assert process.returncode == 130, said
    assert "powerseek sweep tiny.yaml --out out --resume --workers 2" in said
    assert "Traceback" not in said
    assert len(said.splitlines()) < 12, said
    kept = times(tmp_path)
    assert 2 <= len(kept) < 6

    again = run(tmp_path, *SWEEP, "--resume")
    assert again.returncode == 0, again.stderr
    assert len(times(tmp_path)) == 6
    assert kept.items() <= times(tmp_path).items()
    check_results(tmp_path / "out")
    for word in ("results.parquet", "report.html", ".png", "tensorboard --logdir"):
        assert word in again.stdout

    finished = times(tmp_path)
    monkeypatch.chdir(tmp_path)
    words = SWEEP[len(POWERSEEK) :]
    shown = faults.answer(*words, "--resume")
    assert shown.code == 0
    assert "dense" in shown.out
    assert "running" not in shown.err
    assert times(tmp_path) == finished

    refused = faults.answer(*words)
    assert refused.code == 2
    assert "--resume" in refused.err


def check_results(out: Path) -> None:
    results = pd.read_parquet(out / "results.parquet")
    assert tuple(results.columns) == COLUMNS
    assert results["trial"].nunique() == 6
    assert set(results["evaluation"]) == {*EVALUATIONS, *EXACT}
    end = results[results["checkpoint"] == "end"]
    per_trial = end[end["evaluation"] == "sampled"].groupby("trial")["metric"]
    assert per_trial.apply(lambda names: {"success", "competence", "need"} <= set(names)).all()
    assert not end.duplicated(["trial", "evaluation", "metric"]).any()
    assert set(results["status"]) <= {"ok", "censored"}
    assert len({path.parent for path in (out / "internals/tensorboard").rglob("events.*")}) == 6
    curves = pd.read_parquet(out / "internals/curves.parquet")
    dense = end.loc[end["reward"] == "dense", "trial"].unique()
    mean = curves[curves["trial"].isin(dense)].groupby("timesteps")["competence"].mean()
    cell = EventAccumulator(str(cells_folder(out) / "dense")).Reload()
    shown = {point.step: point.value for point in cell.Scalars("1 main/competence")}
    assert shown == pytest.approx(mean.to_dict(), rel=1e-6)
    assert curves.groupby("trial")["timesteps"].nunique().eq(3).all()
    assert curves["trial"].nunique() == 6
    frontiers = pd.read_parquet(out / "internals/frontiers.parquet")
    assert set(frontiers["kind"]) == {"need", "most"}
    assert frontiers["gap"].max() <= 1e-3
    assert json.loads((out / "internals/provenance.json").read_text())["trials"] == 6
    assert {path.name for path in out.iterdir()} == {
        *("results.parquet", "trials.parquet", "report.html", "summary.md", "study.yaml"),
        *("figures", "tensorboard", "internals"),
    }
    assert {path.suffix for path in (out / "figures").iterdir()} == {".png", ".svg"}
    assert not [path for path in out.rglob(".*") if path.is_file()]


SCRIPT = """
from powerseek import register_world
from powerseek.envs.world import Fact, Param, World, columns
from powerseek.experiments import run_study


@register_world("mine.line")
class Line(World):
    parameters = {"length": Param(3, 1, 9), "broken": Param(0, 0, 1), "max_steps": Param(12)}
    state = (("place", "i8"),)
    facts = (Fact("progress"), Fact("success"), Fact("over"))

    @staticmethod
    def actions(params):
        return ("on", "stay")

    @staticmethod
    def observation(params):
        return ("place",)

    def initial(p, s, c):
        s.place = 0

    def transition(p, s, a, c):
        if a == 0:
            s.place += 1

    def legal(p, s, out):
        out[0] = True
        out[1] = True

    def observe(p, s, out):
        out[0] = s.place / p.length

    def measure(p, s, out):
        out[F.progress] = s.place / p.length
        out[F.success] = out[F.over] = 1.0 if s.place >= p.length else 0.0
        if p.broken == 1 and s.place == 2:
            out[F.progress] = float("nan")

    def minimalist(p, s):
        return 0

    def hoarder(p, s):
        return 0


F = columns(*Line.facts)


if __name__ == "__main__":
    study = {
        "name": "mine",
        "worlds": [{"id": "mine.line"}, {"id": "mine.line", "params": {"broken": 1}}],
        "timesteps": 4000, "episodes": 100, "evaluations": 2,
    }
    done = run_study(study, "out", workers=2)
    print(sorted(zip(done.results["status"], done.results["metric"])))
    (failed,) = done.failures
    print(failed.trial == done.failed[0], failed.path.is_file(), failed.reason)
"""


@pytest.mark.slow  # both workers compile its world: minutes where the machine is busy
def test_a_world_of_a_script_travels_and_a_broken_one_fails_alone(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(textwrap.dedent(SCRIPT))
    done = run(tmp_path, sys.executable, "script.py")
    assert done.returncode == 0, done.stderr
    results = pd.read_parquet(tmp_path / "out/results.parquet")
    good = results[results["params"] == '{"broken": 0, "length": 3}']
    bad = results[results["params"] == '{"broken": 1, "length": 3}']
    assert "failed" not in set(good["status"])
    assert "success" in set(good["metric"])
    assert list(bad["status"]) == ["failed"]
    (error,) = (tmp_path / "out/internals/errors").iterdir()
    assert "NaN" in error.read_text()
    assert "Traceback" not in done.stderr
    assert re.search(r"True True .*NaN.* \(in \S+, \w+\.py line \d+\)\n", done.stdout)


HIDDEN = """
import sys
sys.path.insert(0, "hidden")
import mine_hidden  # registers an agent; no worker finds this module
from powerseek.errors import SweepStopped
from powerseek.experiments import run_study

if __name__ == "__main__":
    study = {"name": "s", "worlds": [{"id": "star"}], "agents": ["mine.hidden"], "timesteps": 1}
    try:
        run_study(study, "out", workers=1)
    except SweepStopped as error:
        print(error)
"""


@pytest.mark.slow
def test_a_module_that_workers_cannot_import_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(HIDDEN)
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden/mine_hidden.py").write_text(
        "from powerseek import register_agent\nfrom powerseek.agents import Agent\n\n\n"
        '@register_agent("mine.hidden")\nclass Hidden(Agent):\n    pass\n'
    )
    done = run(tmp_path, sys.executable, "script.py")
    assert done.returncode == 0, done.stderr
    assert "No module named 'mine_hidden', in a worker" in done.stdout
    assert "Put the module's folder on PYTHONPATH, or install it." in done.stdout
    assert "died" not in done.stderr


QUITS = """
from powerseek import register_agent
from powerseek.agents import Agent
from powerseek.experiments import run_study


@register_agent("mine.quits")
class Quits(Agent):
    @classmethod
    def train(cls, jobs):
        raise KeyboardInterrupt("enough")


if __name__ == "__main__":
    study = {"name": "s", "worlds": [{"id": "star"}], "agents": ["mine.quits"], "timesteps": 1}
    (failed,) = run_study(study, "out", workers=1).failures
    print(failed.reason)
"""


@pytest.mark.slow
def test_a_plugin_that_interrupts_its_worker_fails_its_trial_alone(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(QUITS)
    done = run(tmp_path, sys.executable, "script.py")
    assert done.returncode == 0, done.stderr
    (last,) = done.stdout.splitlines()[-1:]
    assert re.search(r"KeyboardInterrupt enough \(in Quits.train, script.py line \d+\)", last)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def another_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep without --address starts its own Ray whatever others are known here."""
    monkeypatch.setitem(os.environ, "RAY_ADDRESS", "127.0.0.1:1")
