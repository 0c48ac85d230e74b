"""Somebody else's worlds: installed into an environment of their own, found and swept by name."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import NamedTuple

import broken
import pandas as pd
import pytest
from installed import ROOT, built, copied, install, new_environment, run, site_of, started

from powerseek.experiments.cli.new import new_names, package_files

ORCHARD = ROOT / "examples" / "orchard"
FAULTY = {
    "lab.nowhere": "lab_nowhere:World",
    "lab.missing": "lab_broken:NoSuchWorld",
    "lab.number": "lab_broken:NEEDED",
    "lab.module": "lab_broken",
    "lab.import": "lab_import:World",
    "homestead": "lab_broken:Barn",
}
"""Entry points that lead to no world."""

BROKEN = {
    "lab.refuses": "lab_broken:BadDefaults",
    "lab.lies": "lab_broken:AllowsWhatRaises",
    "lab.nan": "lab_broken:NotANumberMeasured",
}
"""Entry points that lead to broken worlds."""


class Elsewhere(NamedTuple):
    """An environment that holds wheels alone, and a folder to stand in.

    Attributes:
        home: The folder.
        bin: Where the environment's commands are.
    """

    home: Path
    bin: Path

    def powerseek(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        return started(self.bin / "powerseek", *words, cwd=self.home)


@pytest.fixture(scope="module")
def elsewhere(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Elsewhere:
    """powerseek, a new world that it wrote there, the example, and a broken plugin."""
    home = tmp_path_factory.mktemp("plugins")
    venv = new_environment(home, wheel)
    made = run(venv / "bin" / "powerseek", "new-world", "lab.meadow", cwd=home)
    assert "lab.meadow lies in meadow" in made
    install(venv, built(copied(home / "meadow", home / "build-meadow")))
    install(venv, built(copied(ORCHARD, home / "build-orchard")))
    _break_in(site_of(venv))
    return Elsewhere(home, venv / "bin")


def _break_in(site: Path) -> None:
    """Install a plugin that offers worlds which are none, and worlds that are broken."""
    shutil.copy(broken.__file__, site / "lab_broken.py")
    (site / "lab_import.py").write_text("import math\n\nimport no_such_library\n")
    about = site / "lab_broken-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-broken\nVersion: 1\n")
    points = "\n".join(f"{id} = {value}" for id, value in {**FAULTY, **BROKEN}.items())
    (about / "entry_points.txt").write_text(f"[powerseek.worlds]\n{points}\n")


def test_the_example_is_what_the_command_writes_developed_further():
    made = package_files(new_names("world", "lab.orchard"))
    kept = {
        path.relative_to(ORCHARD).as_posix()
        for path in ORCHARD.rglob("*")
        if path.is_file() and not re.search(r"cache|egg-info|runs/", str(path))
    }
    assert kept == set(made)
    for path in ("pyproject.toml", "src/lab_orchard/__init__.py", "src/lab_orchard/py.typed"):
        assert (ORCHARD / path).read_text() == made[path]


def test_installed_worlds_are_listed_and_the_broken_ones_named(elsewhere):
    done = elsewhere.powerseek("envs")
    assert done.returncode == 0
    assert re.search(r"^lab\.orchard +Pick what the market orders;", done.stdout, re.MULTILINE)
    assert re.search(r"^lab\.meadow +Gather a quota with bare hands", done.stdout, re.MULTILINE)
    assert re.search(r"^homestead +Deliver a quota", done.stdout, re.MULTILINE)
    said = done.stderr.splitlines()
    assert all(line.startswith("warning: ") for line in said)
    for words in (
        "'lab_nowhere:World' for world 'lab.nowhere' skipped: ModuleNotFoundError",
        "'lab_broken:NoSuchWorld' for world 'lab.missing' skipped: AttributeError",
        "'lab.number' skipped: InvalidInput: world: got 2; allowed: a subclass of powerseek.World",
        "'lab.module' skipped: LookupError: importing it registers no world 'lab.module'",
        "'lab.import' skipped: ModuleNotFoundError: No module named 'no_such_library' "
        "(lab_import.py line 3). Mend the entry point or the module of lab-broken, or uninstall it",
        "plugin 'lab_broken:Barn' offers world 'homestead', which is taken: skipped",
        "world 'lab.refuses' cannot be made: lab.refuses.hazard: got 0.1; allowed: 0.5 to 1.0",
    ):
        assert len([line for line in said if words in line]) == 1, words


def test_installed_worlds_have_gymnasium_ids_and_a_broken_one_stops_none(elsewhere):
    script = """
import gymnasium
envs = gymnasium.make_vec("lab/Meadow-v0", num_envs=2, max_episode_steps=3)
print(envs.reset(seed=0)[0].shape[0], gymnasium.make("lab/Orchard-v0", quota=1).spec.id)
try:
    gymnasium.make("lab/Import-v0")
except ValueError as error:
    print(error)
"""
    done = started(elsewhere.bin / "python", "-c", script, cwd=elsewhere.home)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("PluginWarning: ") == 1, done.stderr
    first, second = done.stdout.splitlines()
    assert first == "2 lab/Orchard-v0"
    assert "'lab.import' skipped: ModuleNotFoundError: No module named 'no_such_library'" in second


@pytest.mark.parametrize(
    ("id", "words"),
    [
        ("lab.nowhere", "worlds[1].id: got 'lab.nowhere'; allowed: a world whose plugin can be"),
        ("lab.refuses", "worlds[1].params.hazard: got 0.1; allowed: 0.5 to 1.0"),
    ],
)
def test_a_study_of_a_world_that_is_none_is_refused(id, words, elsewhere):
    study = elsewhere.home / "refused.yaml"
    study.write_text(f"name: refused\nworlds: [{{id: star}}, {{id: {id}}}]\ntimesteps: 100\n")
    done = elsewhere.powerseek("sweep", study)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"error: {words}" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (elsewhere.home / "runs" / "refused").exists()


@pytest.mark.slow
def test_the_kit_accepts_the_example_by_its_name(elsewhere):
    done = elsewhere.powerseek("check", "lab.orchard", "--set", "quota=1")
    assert done.returncode == 0, done.stdout
    assert "conforms: 2" in done.stdout


def test_a_new_world_passes_its_own_tests_and_the_linters(elsewhere):
    folder = elsewhere.home / "meadow"
    passed = run(elsewhere.bin / "python", "-m", "pytest", "-q", cwd=folder)
    assert re.search(r"\d passed", passed)
    for words in (["check"], ["format", "--check"]):
        run(sys.executable, "-m", "ruff", *words, cwd=folder)


@pytest.mark.slow
@pytest.mark.parametrize("which", ["meadow", "orchard", "foreign"])
def test_types_are_sound(which, elsewhere):
    folder = elsewhere.home / "meadow" if which == "meadow" else ROOT / "examples" / which
    cache = ROOT / ".mypy_cache" / "plugins"
    words = [sys.executable, "-m", "mypy", "--cache-dir", str(cache)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_the_example_passes_its_own_tests(elsewhere):
    run(elsewhere.bin / "python", "-m", "pytest", "-q", cwd=elsewhere.home / "build-orchard")


@pytest.mark.slow
def test_workers_find_installed_worlds_and_outlive_broken_ones(elsewhere):
    text = """
        name: theirs
        worlds: [{id: lab.meadow}, {id: lab.orchard}, {id: lab.lies}, {id: lab.nan}]
        agents: [random]
        timesteps: 1
        episodes: 20
        evaluations: 1
    """
    study = elsewhere.home / "theirs.yaml"
    study.write_text(textwrap.dedent(text))
    done = elsewhere.powerseek("sweep", study, "--workers", "2", "--out", "theirs")
    assert done.returncode == 1, done.stderr
    rows = pd.read_parquet(elsewhere.home / "theirs" / "results.parquet")
    by_world = rows.groupby("world")["status"].agg(set)
    assert by_world["lab.meadow"] <= {"ok", "censored"}
    assert by_world["lab.orchard"] <= {"ok", "censored"}
    assert by_world["lab.lies"] == by_world["lab.nan"] == {"failed"}
    said = [line for line in done.stderr.splitlines() if line.startswith("failed: ")]
    for id, words in {
        "lab.lies": "a rule raised ValueError: nothing to deliver",
        "lab.nan": "measure() gives a fact that is NaN or infinite",
    }.items():
        (line,) = [line for line in said if line.startswith(f"failed: {id} ")]
        assert words in line
        assert f"`powerseek check {id}` says where, and what to write instead" in line
