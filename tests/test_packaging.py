"""What a user installs is what the tree holds, and it works away from the tree."""

from __future__ import annotations

import json
import re
import tomllib
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
from installed import ROOT, new_environment, run

import powerseek

SOURCE = ROOT / "src" / "powerseek"
ROOMS = ("agents", "envs", "exact", "experiments", "metrics")


@pytest.fixture(scope="module")
def elsewhere(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a new environment that holds the wheel."""
    home = tmp_path_factory.mktemp("elsewhere")
    new_environment(home, wheel)
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
        for path in (*SOURCE.rglob("*"), *SOURCE.parent.glob("powerseek*.p*"))
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


def test_gymnasium_knows_our_ids_without_an_import(elsewhere):
    script = """
import sys, gymnasium
print("powerseek" in sys.modules, gymnasium.make("powerseek/Homestead-v0").spec.id)
"""
    seen = run(elsewhere / "venv" / "bin" / "python", "-c", script, cwd=elsewhere)
    assert seen == "False powerseek/Homestead-v0\n"


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
    wanted = [*project["dependencies"], *extras["test"]]
    names = {line.partition(">=")[0].partition("[")[0].lower() for line in wanted}
    assert names - pinned == set()


def _is_plain_pin(line: str) -> bool:
    name, separator, number = line.partition("==")
    return bool(name and separator and re.fullmatch(r"[\d.]+((b|rc|\.post|post)\d+)?", number))
