"""Really killing what runs, for tests: processes are found and ended by their ids."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

POLL = 0.005


def start(script: str, folder: Path, *words: str) -> subprocess.Popen[str]:
    """A Python process that runs `script` in `folder`, in a group of its own."""
    path = folder / "script.py"
    path.write_text(script)
    with (folder / "said.txt").open("a") as said:
        return subprocess.Popen(
            [sys.executable, str(path), *words],
            cwd=folder,
            stdout=said,
            stderr=said,
            text=True,
            start_new_session=True,
        )


def wait_for(there: Callable[[], bool], process: subprocess.Popen[str]) -> bool:
    """Wait until something is there (True), or the process has ended (False)."""
    until = time.monotonic() + 240
    while time.monotonic() < until:
        if there():
            return True
        if process.poll() is not None:
            return False
        time.sleep(POLL)
    raise TimeoutError


def writes(path: Path) -> Callable[[], int]:
    """Counts how often a file was seen to be another one than before."""
    seen: set[int] = set()

    def count() -> int:
        with contextlib.suppress(FileNotFoundError):
            seen.add(path.stat().st_mtime_ns)
        return len(seen)

    return count


def kill(pid: int) -> None:
    """End one process at once, as kill -9 does."""
    os.kill(pid, signal.SIGKILL)


def descendants(pid: int) -> Iterator[tuple[int, str]]:
    """(id, command line) of every process below `pid` (Linux)."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            parents.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(entry.name))
    waiting = list(parents.get(pid, []))
    while waiting:
        child = waiting.pop()
        waiting += parents.get(child, [])
        try:
            command = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        yield child, command
