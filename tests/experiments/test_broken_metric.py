"""A study with a plugin's metric that raises: told once, and what is mended counts from then on."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from killing import environment

from powerseek.experiments.analysis.view import View

POINTS = "[powerseek.metrics]\nlab.rash = lab_rash:rash\n"
PLUGIN = '''
"""A metric."""
from powerseek.metrics import metric
from powerseek.types import Measurement


@metric(unit="units", bounds=(0.0, 99.0), curve=True, expected=lambda e: BY(e.outcome.acquisition))
def rash(context):
    """Units acquired, and a mistake.

    CAVEAT: none.
    """
    return [Measurement("lab.rash", BY(context.acquired.mean()), unit="units")]


def BY(units):
    raise KeyError(f"no <b>{units:.0f}</b>")
'''
MENDED = PLUGIN.replace('raise KeyError(f"no <b>{units:.0f}</b>")', "return float(units)")
STUDY = """
name: rash
worlds: [{id: required, params: {surplus: [0, 4]}}]
rewards: [dense]
agents: [random]
seeds: 2
timesteps: 1
episodes: 20
evaluations: 1
hypotheses:
  - {id: H, contrast: {factor: surplus}, measure: lab.rash, direction: larger, margin: 0.5}
"""
OTHERS = r"metric 'lab\.rash' failed"


class Elsewhere:
    """A folder in which the plugin is installed."""

    def __init__(self, home: Path) -> None:
        self.home, self.module = home, home / "site" / "lab_rash.py"
        about = home / "site" / "lab_rash-1.dist-info"
        about.mkdir(parents=True)
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-rash\nVersion: 1\n")
        (about / "entry_points.txt").write_text(POINTS)
        (home / "study.yaml").write_text(STUDY)

    def powerseek(self, *words: str) -> subprocess.CompletedProcess[str]:
        known = environment()
        path = os.pathsep.join([str(self.home / "site"), known["PYTHONPATH"]])
        command = [sys.executable, "-m", "powerseek.experiments.cli", *words]
        how = {"cwd": self.home, "env": {**known, "PYTHONPATH": path}, "check": False}
        return subprocess.run(command, capture_output=True, text=True, **how)  # type: ignore[call-overload,no-any-return]  # our own words

    def results(self) -> pd.DataFrame:
        return pd.read_parquet(self.home / "out" / "results.parquet")


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Elsewhere, str]:
    elsewhere = Elsewhere(tmp_path_factory.mktemp("rash"))
    elsewhere.module.write_text(PLUGIN)
    done = elsewhere.powerseek("sweep", "study.yaml", "--out", "out", "--workers", "2")
    assert done.returncode == 0, done.stderr
    return elsewhere, done.stderr


def test_it_is_told_once_and_every_other_number_is_there(swept):
    elsewhere, said = swept
    assert len(re.findall(OTHERS, said)) == 1
    assert re.search(rf"{OTHERS}: KeyError: 'no <b>\d</b>' \(in BY, lab_rash.py line 17\)", said)
    assert "--resume" in said
    assert "Traceback" not in said
    rows = elsewhere.results()
    own, others = rows[rows["metric"] == "lab.rash"], rows[rows["metric"] != "lab.rash"]
    assert set(own["evaluation"]) == {"sampled", "greedy", "exact", "exact-greedy"}
    assert own["value"].isna().all()
    assert own["unit"].str.startswith("failed: KeyError").all()
    assert set(own["status"]) <= {"ok", "censored"}
    assert others["trial"].nunique() == 4
    assert others.loc[others["metric"] == "acquired", "value"].notna().all()
    assert pd.read_parquet(elsewhere.home / "out" / "trials.parquet")["lab.rash"].isna().all()


def test_the_report_tells_it_once_and_its_words_are_no_markup(swept):
    out = swept[0].home / "out"
    for page in ("report.html", "summary.md"):
        text = (out / page).read_text()
        assert len(re.findall("failed in 4 of 4 trials", text)) == 1
        assert "<b>3</b>" not in text


def test_one_agent_is_measured_all_the_same(swept):
    done = swept[0].powerseek(
        *("train", "--world", "required", "--agent", "random", "--episodes", "20", "--out", "one")
    )
    assert done.returncode == 0, done.stderr
    assert len(re.findall(rf"warning: {OTHERS}: KeyError", done.stderr)) == 1
    assert re.search(r"│ acquired +│ \d", done.stdout)
    assert re.search(r"│ lab.rash +│ undefined .* failed +│", done.stdout)


@pytest.mark.slow
def test_once_mended_it_counts_in_trials_that_are_run_from_then_on(swept):
    elsewhere, _ = swept
    before = elsewhere.results()
    elsewhere.module.write_text(MENDED)
    kept = sorted((elsewhere.home / "out" / "internals" / "trials").glob("*.parquet"))
    kept[0].unlink()
    done = elsewhere.powerseek("sweep", "study.yaml", "--out", "out", "--resume")
    assert done.returncode == 0, done.stderr
    assert len(re.findall(rf"{OTHERS} in 3 of 4 trials", done.stderr)) == 1
    rows = elsewhere.results()
    fresh = rows["trial"] == kept[0].stem
    own = rows["metric"] == "lab.rash"
    assert rows.loc[fresh & own, "value"].notna().all()
    assert (rows.loc[fresh & own, "unit"] == "units").all()
    assert rows.loc[~fresh & own, "value"].isna().all()
    same = ["trial", "checkpoint", "evaluation", "metric", "value", "low", "high"]
    pd.testing.assert_frame_equal(
        rows.loc[~own, same], before.loc[before["metric"] != "lab.rash", same]
    )
    view = View(pd.concat([rows[~fresh], rows[fresh]], ignore_index=True))
    assert view.results.units["lab.rash"] == "units"  # no reason is one
    assert list(view.broken) == ["lab.rash"]
