"""What a user installs is what the tree holds, and it works away from the tree."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

import powerseek

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "powerseek"
ROOMS = ("agents", "envs", "exact", "experiments", "metrics")


def run(*command: str | Path, cwd: Path) -> str:
    """Standard output of `command`, which must succeed, cut off from the tree under test."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}: exit {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built from a copy: a build folder in the tree would bring back deleted modules."""
    copy = tmp_path_factory.mktemp("tree")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    shutil.copytree(
        ROOT / "src", copy / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
    )
    out = copy / "dist"
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, cwd=copy)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def elsewhere(wheel, tmp_path_factory) -> Path:
    """A new environment holding the wheel; dependencies are borrowed from the current one."""
    home = tmp_path_factory.mktemp("elsewhere")
    venv = home / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", venv, cwd=home)
    python = venv / "bin" / "python"
    install = ("install", "--quiet", "--no-deps", "--no-index", wheel)
    run(sys.executable, "-m", "pip", "--python", python, *install, cwd=home)
    site = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=home)
    # A path named in a .pth file comes last and its own .pth files (the editable install) are
    # not read, so powerseek can only come from the wheel.
    borrowed = Path(site.strip()) / "borrowed.pth"
    borrowed.write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return home


@pytest.mark.parametrize("room", ROOMS)
def test_root_link_leads_to_its_room(room):
    link = ROOT / room
    assert link.is_symlink()
    assert link.readlink() == Path("src") / "powerseek" / room
    assert (link / "__init__.py").is_file()


def test_wheel_holds_the_tree_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        packed = {
            name: archive.read(name) for name in archive.namelist() if ".dist-info/" not in name
        }
    tree = {
        path.relative_to(SOURCE.parent).as_posix(): path.read_bytes()
        for path in SOURCE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert sorted(packed) == sorted(tree)
    assert packed == tree
    assert "powerseek/py.typed" in packed
    assert "powerseek/experiments/studies/quick.yaml" in packed


def test_wheel_works_elsewhere(elsewhere):
    script = """
import json, gymnasium, powerseek
from powerseek.experiments import load_study
print(json.dumps({
    "file": powerseek.__file__,
    "worlds": powerseek.list_worlds(),
    "gymnasium": sorted(id for id in gymnasium.registry if id.startswith("powerseek/")),
    "study": load_study("quick").name,
}))
"""
    seen = json.loads(run(elsewhere / "venv" / "bin" / "python", "-c", script, cwd=elsewhere))
    assert Path(seen["file"]).is_relative_to(elsewhere)
    assert set(seen["worlds"]) >= {"endgame", "homestead", "off-switch"}
    assert {
        "powerseek/Endgame-v0",
        "powerseek/Homestead-v0",
        "powerseek/OffSwitch-v0",
    } <= set(seen["gymnasium"])
    assert seen["study"] == "quick"


def test_command_works_elsewhere(elsewhere):
    command = elsewhere / "venv" / "bin" / "powerseek"
    usage = run(command, "--help", cwd=elsewhere)
    for name in ("sweep", "train", "evaluate", "report", "envs"):
        assert name in usage
    listed = run(command, "envs", cwd=elsewhere)
    for world in ("endgame", "homestead", "off-switch"):
        assert world in listed


def test_version_is_stated_once_and_agrees():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert powerseek.__version__ == declared["version"] == version("powerseek")


def test_constraints_pin_every_dependency_exactly():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    # A local suffix (torch's +cpu), a path or an address would hold on one machine only.
    assert [pin for pin in pins if not _is_plain_pin(pin)] == []
    pinned = {pin.partition("==")[0].lower().replace("_", "-") for pin in pins}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["test"], *extras["bench"]]
    names = {line.partition(">=")[0].partition("[")[0].lower() for line in wanted}
    assert names - pinned == set()


def _is_plain_pin(line: str) -> bool:
    name, separator, number = line.partition("==")
    return bool(name and separator and re.fullmatch(r"[\d.]+((b|rc|\.post|post)\d+)?", number))
