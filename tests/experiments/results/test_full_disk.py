"""The disk fills up at any moment: one line, and every file is as it was or as it should be."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from powerseek.experiments import layout
from powerseek.experiments.cli import app as cli
from powerseek.experiments.report.figures.style import Picture
from powerseek.experiments.results.provenance import describe_run
from powerseek.experiments.results.store import Store
from powerseek.experiments.run import finish
from powerseek.experiments.study.checked import trials
from powerseek.experiments.study.schema import make_study
from powerseek.experiments.sweep.trial import run_trial

STUDY = make_study(
    {
        "name": "tiny",
        "worlds": [{"id": "star"}],
        "rewards": ["dense", "terminal"],
        "agents": ["random"],
        "timesteps": 1,
        "seeds": 2,
        "episodes": 5,
        "evaluations": 1,
    }
)
PAGES = (layout.REPORT, layout.SUMMARY)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of which all trials have ended, with nothing merged or drawn yet."""
    store, grid = Store(tmp_path_factory.mktemp("whole") / "out"), trials(STUDY)
    store.open(STUDY, grid, resume=False)
    for trial in grid:
        store.write(trial, run_trial(trial, store.out))
    store.provenance(STUDY, grid, describe_run("powerseek sweep tiny", 1.0, 1, 1.0))
    return store.out


def report(
    out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["powerseek", "report", str(out)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0), capsys.readouterr().err


def contents(out: Path) -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file()}


def test_a_report_that_fails_at_any_file_is_one_line_and_tears_none(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def drawn(self: Picture, theme: object, *formats: str) -> list[bytes]:
        return [b"a picture"] * len(formats)

    monkeypatch.setattr(Picture, "_saved", drawn)
    finish(Store(shutil.copytree(whole, tmp_path / "done")), trials(STUDY))
    after, move = contents(tmp_path / "done"), os.replace
    made = [name for name in after if not (whole / name).exists()]
    assert {*PAGES, layout.RESULTS, layout.DRAWN} < set(made)
    out = tmp_path / "out"
    for n in itertools.count():
        shutil.copytree(whole, out)
        (out / layout.FIGURES).mkdir()
        for name in made[:: n % 2 + 1]:  # some from before, some absent
            (out / name).write_bytes(b"before")
        moved = itertools.count()

        def full(source: Any, target: Any, n: int = n, moved: Any = moved) -> None:
            if next(moved) == n:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), source, None, target)
            move(source, target)

        monkeypatch.setattr(os, "replace", full)
        code, said = report(out, monkeypatch, capsys)
        monkeypatch.setattr(os, "replace", move)
        held = contents(out)
        assert {
            name for name, data in held.items() if data not in (b"before", after[name])
        } == set()
        shutil.rmtree(out)
        if code == 0:
            assert n == len(made)
            assert held == after
            break
        assert code == 2
        (line,) = [line for line in said.splitlines() if line.startswith("error: ")]
        assert "No space left on device" in line
        assert "give the same command again" in line
        assert "Traceback" not in said
