"""Really killing what runs, for tests: processes are found and ended by their ids."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

POLL = 0.005
HERE = Path(__file__).parent


def environment() -> dict[str, str]:
    """What a child process needs to import our test worlds, wherever it runs."""
    known = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), *([known] if known else [])])}


# Tests may run where Ctrl-C is ignored (in the background), and children inherit that.
hears_interrupts = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)


def start(
    script: str, folder: Path, *words: str, within: tuple[str, ...] = ()
) -> subprocess.Popen[str]:
    """A Python process that runs `script` in `folder`, in a group of its own.

    `within` stands before its command: words of a program that becomes it.
    """
    path = folder / "script.py"
    path.write_text(script)
    with (folder / "said.txt").open("a") as said:
        return subprocess.Popen(
            [*within, sys.executable, str(path), *words],
            cwd=folder,
            env=environment(),
            stdout=said,
            stderr=said,
            text=True,
            start_new_session=True,
            preexec_fn=hears_interrupts,
        )


@contextlib.contextmanager
def started(
    script: str, folder: Path, *words: str, within: tuple[str, ...] = ()
) -> Iterator[subprocess.Popen[str]]:
    """The same, and nothing of it is left at the end."""
    process = start(script, folder, *words, within=within)
    try:
        yield process
    finally:
        below = [pid for pid, _ in descendants(process.pid)]
        process.kill()
        process.wait()
        gone(below, 2)


def gone(pids: list[int], seconds: float) -> bool:
    """Wait for processes to end, and end those that stay; whether all went by themselves."""
    until = time.monotonic() + seconds
    while any(_alive(pid) for pid in pids) and time.monotonic() < until:
        time.sleep(0.1)
    left = [pid for pid in pids if _alive(pid)]
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            kill(pid)
    return not left


def _alive(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


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
