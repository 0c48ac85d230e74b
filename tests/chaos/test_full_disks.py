"""The disk is really full at one moment of a sweep; with room again, nothing shows of it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import faults
import killing
import pytest

from powerseek.experiments import layout

PAGE = 4096
MOUNTED = """
sweep() { "$1" script.py sweep study.yaml --out out --resume --workers 2; echo "exit $?"; }
mount -t tmpfs -o size="$2" tmpfs out && cp -a "$3/." out && echo MOUNTED || exit
sweep "$1" 2> full.txt; cp -a out/. full
mount -o remount,size=64m out; sweep "$1" 2> room.txt; cp -a out/. room
"""
MERGED = (layout.RESULTS, layout.TRIALS, layout.REPORT, layout.SUMMARY, layout.DRAWN)


def pages(out: Path) -> int:
    """What a folder takes of a disk."""
    return sum(-(-path.stat().st_size // PAGE) for path in faults.files(out))


def run(folder: Path, size: int, given: Path) -> list[str]:
    """Sweep on a disk of so many pages, then on one with room; what was said on it."""
    for name in ("out", "full", "room"):
        (folder / name).mkdir(parents=True)
    (folder / "study.yaml").write_text(faults.STUDY)
    (folder / "script.py").write_text(faults.SCRIPT)
    words = ["unshare", "-m", "bash", "-c", MOUNTED, "bash", sys.executable]
    try:
        done = subprocess.run(
            [*words, f"{size * PAGE // 1024}k", str(given)],
            cwd=folder,
            env=killing.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        pytest.skip("unshare is not installed")
    if "MOUNTED" not in done.stdout:
        pytest.skip(f"no disk of a given size can be mounted here: {done.stderr.strip()}")
    assert not done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("count", "trained"),
    # In every run a disk is as good as full: tests/experiments/results/test_full_disk.py.
    [
        pytest.param(1, True, marks=pytest.mark.slow),
        pytest.param(12, False, marks=pytest.mark.slow),
    ],
    ids=["few", "many"],
)
def test_a_full_disk_costs_no_result(
    count: int, trained: bool, whole: Path, tmp_path: Path
) -> None:
    """Few: with all trials there from the start, so that the disk fills while they are drawn."""
    given, tally, held = tmp_path / "given", faults.Tally(), faults.held(whole / "out")
    given.mkdir()
    if trained:
        shutil.copytree(whole / "out", given, dirs_exist_ok=True)
        shutil.rmtree(given / layout.FIGURES)
        for name in MERGED:
            (given / name).unlink()
    # The lock lies there as well: with a page for each file there is none for the last of them.
    least, most = pages(given) + 1, pages(whole / "out")
    for number in range(count):
        folder = tmp_path / f"{number}"
        said = run(folder, least + number * (most - least) // max(1, count - 1), given)
        full, room = folder / "full", folder / "room"
        terminal = (folder / "full.txt").read_text()
        codes = [line for line in said if line.startswith("exit ")]
        tally["faults"] += 1
        tally["resumed"] += codes in (["exit 1", "exit 0"], ["exit 2", "exit 0"])
        (line,) = [line for line in terminal.splitlines() if line.startswith("error: ")]
        assert "No space left on device" in line, line
        assert "free some space and give the same command again" in line, line
        tally.harmed(
            line,
            torn=faults.torn(full) + faults.torn(room),
            temporaries=faults.temporaries(full) + faults.temporaries(room),
            lost=faults.lost(room, faults.finished(full)),
            changed=faults.differences(room, held),
            tracebacks=faults.troubles(terminal + (folder / "room.txt").read_text()),
        )
    tally.show("full disks")
    tally.check(count)
