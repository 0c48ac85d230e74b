"""What the README shows runs as printed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)
EXACT = (Path(__file__).parents[1] / "docs/exact.md").read_text(encoding="utf-8")
PYTHON = [text for language, text in BLOCKS if language == "python"]
PYTHON += re.findall(r"```python\n(.*?)```", EXACT, re.DOTALL)
AGENTS = (Path(__file__).parents[1] / "docs/agents.md").read_text(encoding="utf-8")
PYTHON += re.findall(r"```python\n((?:(?!```).)*write_report.*?)```", AGENTS, re.DOTALL)


@pytest.mark.parametrize(
    "code",
    PYTHON,
    ids=[
        *("ten lines", "a world", "a graph", "exact", "a reward", "an agent", "constraints"),
        *("preferences", "a leash", "one of elsewhere"),
    ],
)
def test_python_runs(code, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(code)
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout


CHECKED = """
from powerseek.envs import assert_conforms
for openness in (0, 1, 2):
    assert_conforms("orchard.py:Orchard", openness=openness)
"""


def test_the_world_keeps_every_law(tmp_path):
    (code,) = [text for text in PYTHON if "class Orchard" in text]
    (tmp_path / "orchard.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "-c", CHECKED], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr[-3000:]


def test_study_is_valid(tmp_path):
    from powerseek.experiments.study.checked import cells, trials
    from powerseek.experiments.study.schema import load_study, make_study

    plain, more, claims = [text for language, text in BLOCKS if language == "yaml"]
    path = tmp_path / "mine.yaml"
    path.write_text(plain)
    assert len(trials(load_study(path))) == 3 * 4 * yaml.safe_load(plain)["seeds"]
    path.write_text(plain + more)
    held = [trial for trial in trials(load_study(path)) if trial.cell.is_reference]
    assert len(held) == 3 * len(yaml.safe_load(more)["references"])
    asked = {
        **yaml.safe_load(plain),
        "worlds": [{"id": "leaky-chess", "params": {"leak": [0, 1, 2]}}],
        "rewards": ["dense"],
        "timesteps": [50_000, 100_000],
        "power_weight": [0, 1],
        "hypotheses": yaml.safe_load(claims),
    }
    assert len(cells(make_study(asked))) == 3 * 2 * 2


def test_pictures_and_pages_exist():
    for target in re.findall(r"\]\(([\w./-]+)\)", README):
        assert (Path(__file__).parents[1] / target).exists(), target
