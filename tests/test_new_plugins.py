"""What `powerseek new-agent` and its sisters write works as it is, and all of it together."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import fields
from pathlib import Path

import pandas as pd
import pytest
from killing import environment

from powerseek.envs.rewards.base import Step
from powerseek.exact import Outcome
from powerseek.experiments.cli.new import make_new
from powerseek.metrics import Context

PLUGINS = {
    "agent": "lab.learner",
    "reward": "lab.halves",
    "metric": "lab.pace",
    "world": "lab.meadow",
}
STUDY = """
name: all-mine
worlds: [{id: required}]
rewards: [{lab.halves: 1}, {lab.halves: 4}]
agents: [lab.learner]
settings: {lab.learner: {n_envs: 8}}
seeds: 1
timesteps: 400
episodes: 20
evaluations: 1
"""
PARSE = """
import sys
from powerseek.experiments.study.checked import trials
from powerseek.experiments.study.schema import load_study
for path in sys.argv[1:]:
    print(len(trials(load_study(path))))
"""


class Home:
    """A folder in which all four lie, and are installed."""

    def __init__(self, home: Path) -> None:
        self.home, self.folders = home, {}
        for kind, id in PLUGINS.items():
            names, folder = make_new(kind, id, str(home / id.partition(".")[2]))
            self.folders[kind] = folder
            shutil.copytree(folder / "src", home / "site", dirs_exist_ok=True)
            project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
            about = home / "site" / f"{names.package}-1.dist-info"
            about.mkdir()
            told = f"Metadata-Version: 2.1\nName: {names.distribution}\nVersion: 1\n"
            (about / "METADATA").write_text(told)
            points = "".join(
                f"[{group}]\n" + "".join(f"{id} = {place}\n" for id, place in entries.items())
                for group, entries in project["entry-points"].items()
            )
            (about / "entry_points.txt").write_text(points)

    def python(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        known = environment()
        path = os.pathsep.join([str(self.home / "site"), known["PYTHONPATH"]])
        return subprocess.run(
            [sys.executable, *map(str, words)],
            cwd=self.home,
            env={**known, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
        )

    def powerseek(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.python("-m", "powerseek.experiments.cli", *words)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("new"))


def test_their_own_tests_pass(home: Home) -> None:
    # The world's own are run by test_plugins, in an environment that pip made.
    tests = [folder / "tests" for kind, folder in home.folders.items() if kind != "world"]
    done = home.python("-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", *tests)
    assert done.returncode == 0, done.stdout
    assert "29 passed" in done.stdout


@pytest.mark.parametrize("kind", PLUGINS)
def test_linters_have_nothing_to_say(kind: str, home: Home) -> None:
    for words in (["check"], ["format", "--check"]):
        done = home.python("-m", "ruff", *words, "--no-cache", home.folders[kind])
        assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_types_are_sound(home: Home) -> None:
    cache = Path(__file__).parents[1] / ".mypy_cache" / "plugins"
    files = [folder / part for folder in home.folders.values() for part in ("src", "tests")]
    done = home.python("-m", "mypy", "--strict", "--cache-dir", cache, *files)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("kind", ["agent", "reward", "metric"])
def test_each_is_listed_and_shown(kind: str, home: Home) -> None:
    listed, shown = home.powerseek(f"{kind}s"), home.powerseek(f"{kind}s", PLUGINS[kind])
    assert (listed.returncode, listed.stderr, shown.returncode) == (0, "", 0)
    assert any(line.startswith(f"{PLUGINS[kind]} ") for line in listed.stdout.splitlines())
    words = {
        "agent": "  learning_rate = 0.3\n",
        "reward": "  argument: an integer from 1 to the cap, or cap\n  options: now\n",
        "metric": "  unit: units a step\n  bounds: 0 to inf\n",
    }
    assert words[kind] in shown.stdout


def test_their_studies_are_studies(home: Home) -> None:
    studies = [folder / "study.yaml" for folder in home.folders.values()]
    done = home.python("-c", PARSE, *studies)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.split()) == len(studies)


@pytest.mark.slow
def test_a_study_of_all_but_the_world_runs(home: Home) -> None:  # test_plugins has the world
    (home.home / "all.yaml").write_text(STUDY)
    done = home.powerseek("sweep", "all.yaml", "--out", "out")
    assert done.returncode == 0, done.stderr
    assert "failed in" not in done.stderr
    rows = pd.read_parquet(home.home / "out" / "results.parquet")
    assert set(rows["reward"]) == {"lab.halves 1", "lab.halves 4"}
    assert set(rows["agent"]) == {"lab.learner"}
    own = rows[rows["metric"] == "lab.pace"]
    assert set(own["evaluation"]) == {"sampled", "greedy", "exact", "exact-greedy"}
    assert own["value"].notna().all()
    assert list((home.home / "out" / "internals" / "models").glob("*.zip"))


@pytest.mark.parametrize(("of", "cls"), [("step", Step), ("context", Context)])
def test_the_page_about_plugins_names_what_there_is(of: str, cls: type) -> None:
    page = (Path(__file__).parents[1] / "docs" / "plugins.md").read_text(encoding="utf-8")
    table = page.partition(f"| of `{of}` |")[2].partition("\n\n")[0]
    first = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    named = set(re.findall(r"`(\w+)", " ".join(first)))
    assert len(named) >= 7
    assert named <= set(dir(cls)) | set(cls.__dataclass_fields__)


def test_the_page_about_plugins_names_expectations_that_there_are() -> None:
    page = (Path(__file__).parents[1] / "docs" / "plugins.md").read_text(encoding="utf-8")
    told = page.partition("`expected.outcome` has ")[2].partition("each an expectation")[0]
    assert set(re.findall(r"`(\w+)`", told)) == {field.name for field in fields(Outcome)}
