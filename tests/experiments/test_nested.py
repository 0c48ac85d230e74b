"""Seeds nested in layouts, end to end: swept in two parts, reported and checked."""

from __future__ import annotations

import json
import subprocess
import sys

import killing
import pandas as pd
import pytest
from quarry import need_of

STUDY = {
    "name": "nested",
    "worlds": [{"id": "test.quarry"}],
    "rewards": ["dense", {"every": "cap"}],
    "power_weight": [0, 1],
    "layouts": 6,
    "seeds": 18,
    "timesteps": 2000,
    "episodes": 20,
    "references": ["minimalist", "hoarder"],
    "hypotheses": [
        {"id": "H1", "contrast": "timing", "direction": "none", "margin": 0.5},
        {"id": "H2", "contrast": "control", "direction": "larger", "margin": 0.1},
    ],
}
RUN = """
import sys, json, quarry
from powerseek.experiments import run_study
study = json.loads(sys.argv[1])
sys.exit(len(run_study(study, sys.argv[2], workers=2, resume=len(sys.argv) > 3).failures))
"""
VERIFY = """
import sys, quarry
from powerseek.experiments.cli import main
sys.argv = ["powerseek", "verify", sys.argv[1], "--sample", "1"]
main()
"""


def ran(script, *words):
    done = subprocess.run(
        [sys.executable, "-c", script, *words],
        env=killing.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_study_with_layouts_goes_through_sweep_resume_report_and_verify(tmp_path):
    out = str(tmp_path / "out")
    ran(RUN, json.dumps({**STUDY, "seeds": 12, "looks": [12, 18]}), out)
    ran(RUN, json.dumps({**STUDY, "looks": [12, 18]}), out, "resume")
    table = pd.read_parquet(tmp_path / "out/trials.parquet")
    trained = table[table["updates"] > 0]
    assert len(trained) == 4 * 18
    assert (trained["layout"].astype(int) == 1 + trained["seed"] % 6).all()
    assert sorted(table[table["agent"] == "hoarder"]["layout"]) == [str(n) for n in range(1, 7)]
    needs = table.groupby("layout")["need_end"].unique()
    assert {int(n): own.tolist() for n, own in needs.items()} == {
        n: [pytest.approx(need_of(n))] for n in range(1, 7)
    }
    for name in ("report.html", "summary.md"):
        page = (tmp_path / "out" / name).read_text().replace("\\", "")
        assert "6 layouts x 3 seeds" in page
        assert "95 % interval over 6 layouts" in page
        assert "over layouts [95 %]" in page
    assert "differ" not in ran(VERIFY, out)
