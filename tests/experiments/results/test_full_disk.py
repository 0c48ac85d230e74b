"""The disk fills up at any moment: one line, and every file is as it was or as it should be."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import subprocess
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
ENDS = {".png": b"IEND", ".svg": b"</svg>", ".html": b"</html>"}
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


MOUNTED = (
    'mount -t tmpfs -o size="$1" tmpfs "$2" && cp -r "$3/." "$2/" && echo FILLED; '
    'powerseek report "$2"; echo "exit $?"; cp -r "$2/." "$4/"'
)


def test_a_disk_that_is_really_full_tears_no_file(whole: Path, tmp_path: Path) -> None:
    place, after = tmp_path / "full", tmp_path / "after"
    place.mkdir()
    after.mkdir()
    pages = sum(-(-p.stat().st_size // 4096) for p in whole.rglob("*") if p.is_file())
    size = f"{4 * pages + 60}k"
    words = ["unshare", "-m", "bash", "-c", MOUNTED, "bash", size, place, whole, after]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    try:
        done = subprocess.run(
            words, env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        pytest.skip("unshare is not installed")
    if "FILLED" not in done.stdout:
        pytest.skip(f"no disk of a given size can be mounted here: {done.stderr.strip()}")
    assert done.stdout.splitlines()[-1] == "exit 2"
    (line,) = [line for line in done.stderr.splitlines() if line]
    assert "No space left on device" in line
    for name, data in contents(after).items():
        assert ENDS.get(Path(name).suffix, b"") in data[-200:], name
        assert not Path(name).name.startswith("."), name
    assert not (after / layout.REPORT).exists()
