"""A package outside the tree brings a world, a metric and a reward: a study is about all three."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

PLUGIN = Path(__file__).parent / "levers" / "lab_levers.py"
POINTS = """
[powerseek.worlds]
lab.levers = lab_levers:Levers
[powerseek.rewards]
lab.pulse = lab_levers:Pulse
[powerseek.metrics]
lab.steps = lab_levers:steps
lab.pulls = lab_levers:pulls
"""
STUDY = """
name: levers
worlds: [{id: lab.levers, params: {levers: [1, 3]}}]
rewards: [dense, {lab.pulse: 2}]
agents: cohort-ppo
settings: {cohort-ppo: {n_envs: 16, n_steps: 16, batch_size: 64, learning_rate: 0.01}}
seeds: 16
timesteps: 6000
episodes: 100
evaluations: 15
hypotheses:
  - {id: more levers take longer, contrast: {factor: levers}, measure: lab.steps,
     direction: larger, margin: 0.5}
  - {id: timing by a plugin, contrast: timing, measure: lab.steps, direction: none, margin: 0.5}
  - {id: timing at three levers, contrast: timing, measure: lab.pulls, direction: none,
     margin: 0.5, params: {levers: 3}}
also:
  - {rewards: dense, power_weight: 5, worlds: [{id: lab.levers}]}
  - {rewards: dense, worlds: [{id: lab.levers}]}
"""


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """A folder with the plugin as an installed package, and the environment that sees it."""
    home = tmp_path_factory.mktemp("levers")
    site = home / "site"
    about = site / "lab_levers-1.dist-info"
    about.mkdir(parents=True)
    shutil.copy(PLUGIN, site)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-levers\nVersion: 1\n")
    (about / "entry_points.txt").write_text(POINTS)
    paths = [str(site), *filter(None, [os.environ.get("PYTHONPATH")])]
    return home, {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def powerseek(elsewhere, *words):
    home, environment = elsewhere
    command = [sys.executable, "-m", "powerseek.experiments.cli", *words]
    return subprocess.run(
        command, cwd=home, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def swept(elsewhere):
    (elsewhere[0] / "study.yaml").write_text(STUDY)
    done = powerseek(elsewhere, "sweep", "study.yaml", "--out", "out")
    assert done.returncode == 0, done.stdout + done.stderr
    return elsewhere[0] / "out", done.stdout


@pytest.mark.slow  # 80 trainings
def test_the_factor_gets_a_verdict_by_the_plugin_s_own_metric(swept):
    out, said = swept
    summary = (out / "summary.md").read_text()
    assert re.search(r"more levers take longer[^\n]*supported", summary)
    effect = re.search(r"steps of an episode, levers 3 minus levers 1: \+(\d\.\d+) steps", said)
    assert effect is not None, said
    assert float(effect[1]) >= 2  # each lever takes a step, and coins may be taken on the way
    assert "Factor: levers of the world" in said


@pytest.mark.slow  # 80 trainings
def test_the_plugin_s_reward_lies_on_the_factor_of_timing(swept):
    _, said = swept
    assert "lab.pulse 2 minus dense" in said
    assert "lab.pulse 2 - dense" in said


@pytest.mark.slow  # 80 trainings
def test_metrics_get_columns_and_rows(swept):
    out, said = swept
    assert "steps taken [95 %]" in said
    assert "lab.pulls [95 %]" in said
    trials = pd.read_parquet(out / "trials.parquet")
    known = trials[(trials["power_weight"] == 0) & (trials["status"] == "ok")]
    levers = known["params"].str.extract(r'"levers": (\d)')[0].astype(int)
    assert (known["lab.steps"] >= levers).all()
    assert known["lab.pulls"].to_numpy() == pytest.approx(levers.to_numpy())


@pytest.mark.slow  # 80 trainings
def test_the_factor_has_a_picture_and_the_metric_too(swept):
    names = {path.name for path in (swept[0] / "figures").glob("*.png")}
    assert {"map-lab.steps-levers-lab.levers.png", "measure-lab.steps-lab.levers.png"} <= names


@pytest.mark.slow  # 80 trainings
def test_the_metric_has_curves(swept):
    cells = [path for path in (swept[0] / "tensorboard").glob("dense_levers=*") if path.is_dir()]
    events = EventAccumulator(str(cells[0])).Reload()
    assert {"2 others/lab.steps", "2 others/lab.pulls"} <= set(events.Tags()["scalars"])
    compared = {path.name for path in (swept[0] / "tensorboard" / "arms").iterdir()}
    assert {"levers=1", "levers=3"} <= compared


WRONG = {
    "contrast: {factor: lever}": ("contrast.factor", "lever", "levers"),
    "contrast: {factor: levers, high: 2}": ("contrast.high", "2", "one of 1, 3"),
    "measure: lab.step": ("measure", "lab.step", "did you mean 'lab.steps'"),
    "contrast: {threshold: levers, line: 9}": ("contrast.line", "9", "0 to 8"),
    "contrast: {interaction: [levers, gamma]}": ("contrast.interaction", "gamma", "levers"),
    "params: {levers: 2}": ("params.levers", "2", "one of 1, 3"),
}


@pytest.mark.parametrize(
    ("line", "told"),
    [  # each is a process: half of them are slow
        pytest.param(line, told, id=line, marks=[pytest.mark.slow] * (i % 2))
        for i, (line, told) in enumerate(WRONG.items())
    ],
)
def test_a_wrong_hypothesis_gets_one_line_that_names_what_is_allowed(line, told, elsewhere):
    said = {"contrast": "{factor: levers}", "measure": "lab.steps", "margin": "0.5"}
    key, _, value = line.partition(": ")
    said[key] = value
    if "threshold" in value:
        del said["margin"]
    words = ", ".join(f"{k}: {v}" for k, v in said.items())
    text = STUDY.split("hypotheses:")[0]
    text += f"hypotheses: [{{id: H, direction: larger, {words}}}]\n"
    (elsewhere[0] / "wrong.yaml").write_text(text)
    done = powerseek(elsewhere, "sweep", "wrong.yaml", "--out", "wrong")
    field, value, allowed = told
    assert (done.returncode, done.stdout) == (2, "")
    (only,) = done.stderr.splitlines()
    assert only.startswith(f"error: hypotheses[0].{field}: got ")
    assert value in only
    assert allowed in only
    assert not (elsewhere[0] / "wrong").exists()
