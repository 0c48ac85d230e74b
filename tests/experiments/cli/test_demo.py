"""The demo: what it prints, where its picture is, and its study."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from finished import finished
from rich.console import Console
from synthetic import trial_rows

from powerseek.experiments.analysis.view import View
from powerseek.experiments.cli import demo
from powerseek.experiments.results.store import Store
from powerseek.experiments.run import Finished
from powerseek.experiments.study.checked import cells
from powerseek.experiments.study.schema import load_study


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    measures = {"competence": 1.0, "acquired": 3.0, "beyond": 1.0, "excess": 1.5, "need_end": 2.0}
    rows = [
        trial_rows(measures, reward=arm, seed=s) for s in range(3) for arm in ("dense", "every")
    ]
    folder = finished(tmp_path_factory.mktemp("made") / "demo", rows, hypotheses=())
    pictures = [folder / "figures" / f"acquisition-{w}.png" for w in ("endgame", "homestead")]
    return Finished(View.read(folder), (), Store(folder), tuple(pictures))


def test_what_was_found_the_picture_and_the_way_on(found: Finished) -> None:
    target, said = io.StringIO(), list[str]()
    console = Console(file=target, width=100)
    picture = demo.show_demo(found, console, said.append)
    assert picture == found.figures[1]
    shown = target.getvalue()
    assert shown.startswith("homestead: agents took +1.00 units")
    assert "How sure: 3 seeds a setting" in shown
    assert max(map(len, shown.splitlines())) <= 100
    assert [line.split()[0] for line in said] == [
        "picture:",
        "report:",
        "Go",
        "powerseek",
        "powerseek",
    ]
    assert str(picture) in said[0]


def test_without_a_picture_none_is_named(found: Finished) -> None:
    said = list[str]()
    bare = Finished(found.view, (), found.store, ())
    assert demo.show_demo(bare, Console(file=io.StringIO()), said.append) is None
    assert not any("picture" in line for line in said)


def test_pictures_are_opened_only_where_there_is_a_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in demo.SCREENS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    assert not demo.has_screen()
    monkeypatch.setenv("DISPLAY", ":0")
    assert not demo.has_screen()  # output goes to a pipe
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert demo.has_screen()


def test_its_study_is_what_the_help_says() -> None:
    study = load_study(demo.STUDY)
    grid = cells(study)
    assert len(grid) * study.seeds == 32
    assert {cell.agent for cell in grid} == {"cohort-ppo"}
    assert len({cell.world for cell in grid}) == 2
    assert study.seeds == 8


@pytest.mark.slow
def test_the_demo_from_the_command_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "powerseek.experiments.cli", "demo", "--out", "d"]
    environment = {name: value for name, value in os.environ.items() if name not in demo.SCREENS}
    for _ in range(2):  # the second time shows what is there
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        assert "picture:  d/figures/acquisition-homestead.png" in done.stdout
    assert (tmp_path / "d" / "figures" / "acquisition-homestead.png").is_file()
