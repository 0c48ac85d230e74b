"""Processes of a sweep are killed at random moments; resumed, it ends as if none had been."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

import faults
import killing
import pytest

from powerseek.experiments import layout

PARTS = {"worker": r"ray::(?!\w+Agent)", "raylet": "/raylet/raylet ", "gcs": "/gcs/gcs_server "}
VICTIMS = ("driver", *PARTS)
SENT = (signal.SIGKILL, signal.SIGTERM)
LONG = 20.0
"""Seconds that a sweep is taken to last, until one was seen to end earlier."""
GONE = 15.0
"""Seconds within which all processes are gone: Ray's outlive a driver that was killed a little."""
Plan: TypeAlias = Iterable[tuple[str, signal.Signals, str]]
MOMENTS: dict[str, Callable[[Path], object]] = {
    "any": lambda out: True,
    "lock": lambda out: (out / layout.LOCK).exists(),
    "manifest": lambda out: (out / layout.MANIFEST).exists(),
    "checkpoint": lambda out: any((out / layout.CHECKPOINTS).glob("*.zip")),
    "trial": lambda out: any((out / layout.ROWS).glob("[!.]*")),
    "trials": lambda out: len([*(out / layout.ROWS).glob("[!.]*")]) == faults.TRIALS,
    "merging": lambda out: any(out.glob(".*")),
    "drawing": lambda out: (out / layout.FIGURES).exists(),
    "page": lambda out: (out / layout.SUMMARY).exists(),
}
"""What is waited for before a random delay: of the whole sweep where for nothing, else short."""
AT_ONCE = [("driver", signal.SIGTERM, "lock"), ("driver", signal.SIGKILL, "trial")]


def anywhere(chance: random.Random) -> Iterator[tuple[str, signal.Signals, str]]:
    """Every victim and signal equally often; the driver at any moment, the others while there."""
    moments = itertools.cycle(MOMENTS)
    for victim, sent in itertools.cycle(itertools.product(VICTIMS, SENT)):
        yield victim, sent, next(moments) if victim == "driver" else "any"


def found(process: subprocess.Popen[str], victim: str) -> list[int]:
    if victim == "driver":
        return [process.pid]
    below = killing.descendants(process.pid)
    return [pid for pid, what in below if re.search(PARTS[victim], what)]


def of_folder(folder: Path) -> list[int]:
    """Processes that work in a folder, whoever their parent is: a sweep's and its Ray's."""
    pids = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if Path(os.readlink(link)) == folder:
                pids.append(int(link.parent.name))
        except OSError:  # it ended, or is another user's
            continue
    return pids


class Ordeal:
    """One study after another, each killed until it finishes, then held against the undisturbed.

    Args:
        folder: Where it is run.
        whole: Folder of the undisturbed run.
        chance: Of delays, and of which worker is hit.
    """

    def __init__(self, folder: Path, whole: Path, chance: random.Random) -> None:
        self.folder, self.chance = folder, chance
        self.out, self.held = folder / "out", faults.held(whole / "out")
        self.tally, self.long = faults.Tally(), LONG
        self.begin()

    def begin(self) -> None:
        """A folder with the study alone."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        (self.folder / "study.yaml").write_text(faults.STUDY)

    def run(
        self, victim: str = "", sent: signal.Signals = signal.SIGTERM, moment: str = "any"
    ) -> None:
        """Resume the sweep and kill a process of it, if one is named and is there by then."""
        fresh, before, begun = not self.out.exists(), faults.finished(self.out), time.monotonic()
        with killing.started(faults.SCRIPT, self.folder, *faults.WORDS) as process:
            struck = bool(victim) and self.strike(process, victim, sent, moment)
            code = process.wait(200)
            left = self.left()
        said = (self.folder / "said.txt").read_text()
        (self.folder / "said.txt").unlink()
        if not struck:
            self.long = min(self.long, time.monotonic() - begun)
        if struck:
            # What is there from before is no sign that this sweep has come so far.
            self.judge(victim, sent, code, said, early=moment == "any" or not fresh)
        else:
            assert code == 0, said
        harm = {
            "left": left,
            "tracebacks": faults.troubles(said),
            "lost": faults.lost(self.out, before),
            "torn": faults.torn(self.out),
        }
        if code == 0:
            harm["temporaries"] = faults.temporaries(self.out)
            harm["changed"] = faults.differences(self.out, self.held)
            self.begin()
        self.tally.harmed(f"{victim} {sent.name} {moment} {code}", **harm)

    def left(self) -> list[str]:
        """Command lines of the processes of a sweep that has ended which do not end."""
        said = []
        for pid in of_folder(self.folder):
            with contextlib.suppress(OSError):
                said.append(f"{pid} {Path(f'/proc/{pid}/cmdline').read_text()[:200]}")
        return said if not killing.gone([int(one.split()[0]) for one in said], GONE) else []

    def strike(
        self, process: subprocess.Popen[str], victim: str, sent: signal.Signals, moment: str
    ) -> bool:
        """Wait, and kill; False if the sweep, or what was to be killed, had ended by then."""
        there = MOMENTS[moment]
        if not killing.wait_for(lambda: bool(there(self.out) and found(process, victim)), process):
            return False
        time.sleep(self.chance.uniform(0, self.long if moment == "any" else 0.3))
        pids = found(process, victim)
        if process.poll() is not None or not pids:
            return False
        os.kill(self.chance.choice(pids), sent)
        return True

    def judge(self, victim: str, sent: int, code: int, said: str, early: bool) -> None:
        """Count a kill by how the sweep ended; one that had done all its work ends well."""
        self.tally["faults"] += 1
        self.tally["resumed" if code else "survived"] += 1
        allowed = {"driver": {0, -sent, 128 + sent}, "worker": {0}}.get(victim, {0, 1})
        assert code in allowed, (victim, sent, code, said)
        if code > 0:
            last = said.splitlines()[-1]
            assert "--resume" in last or (early and last == "Stopped."), (victim, sent, said)


@pytest.mark.parametrize(
    ("count", "plan"),
    [(2, AT_ONCE), (60, None)],
    ids=["few", "many"],
)
@pytest.mark.slow  # CI kills one sweep and one trial: tests/experiments/sweep/test_killed_*.py
def test_a_killed_sweep_ends_as_if_it_had_not_been(
    count: int, plan: Plan | None, whole: Path, tmp_path: Path
) -> None:
    chance = random.Random(60)
    ordeal = Ordeal(tmp_path / "study", whole, chance)
    for victim, sent, moment in plan or anywhere(chance):
        ordeal.run(victim, sent, moment)
        if ordeal.tally["faults"] == count:
            break
    if ordeal.out.exists():
        ordeal.run()
    ordeal.tally.show("kills")
    ordeal.tally.check(count)
