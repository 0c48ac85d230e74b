"""Memory that a process can still take."""

from __future__ import annotations

from pathlib import Path

_SYSTEM, _GROUP = Path("/proc/meminfo"), Path("/sys/fs/cgroup")


def free_training_memory(system: Path = _SYSTEM, group: Path = _GROUP) -> int | None:
    """Bytes that a process here can still take; None where the system does not say.

    Args:
        system: Linux's account of the machine.
        group: Linux's account of the control group, whose limit may be lower (version 2).
    """
    known = [free for free in (_machine(system), _limit(group)) if free is not None]
    return min(known, default=None)


def _machine(path: Path) -> int | None:
    try:
        lines = dict(line.split(":", 1) for line in path.read_text().splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError, IndexError):
        return None


def _limit(folder: Path) -> int | None:
    try:
        limit = int((folder / "memory.max").read_text())
        return max(0, limit - int((folder / "memory.current").read_text()))
    except (OSError, ValueError):  # no such group, or "max": no limit
        return None
