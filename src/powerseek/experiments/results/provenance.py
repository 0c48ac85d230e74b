"""Provenance of results: command, versions, revision and machine."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from pydantic import Field

from powerseek.experiments import layout
from powerseek.experiments.checksums import Count, Record, checksummed
from powerseek.experiments.results.files import StoreError, read_record, without_passwords

LIBRARIES = ("powerseek", "numpy", "numba", "torch", "stable-baselines3", "sb3-contrib", "ray")


_Seconds: TypeAlias = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Set(Record):
    was: Any = None
    now: Any = None


class _Run(Record):
    wall_seconds: _Seconds
    command: str = ""
    finished: str = ""
    revision: str | None = None
    versions: dict[str, str] = {}
    machine: dict[str, str | Count] = {}
    set: dict[str, _Set] = {}


class _Provenance(Record):
    """Shape of the record of a study's runs."""

    study: str = ""
    identity: str = ""
    trials: Count = 0
    seeds: Count = 0
    wall_seconds: _Seconds = 0.0
    runs: list[_Run] = []


def cores() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def command_line() -> str:
    """The command this process was started with, without the passwords of addresses."""
    program = Path(sys.argv[0]).name
    if program == "__main__.py":
        program = "powerseek"
    return without_passwords(" ".join([program, *sys.argv[1:]]))


def describe_run(command: str, seconds: float, workers: int, busy: float) -> dict[str, Any]:
    """One run of a command: when, how long, on what, with which code.

    Args:
        command: The command.
        seconds: Wall time.
        workers: Trials at a time.
        busy: Seconds that the trials themselves took, all workers together; what is missing
            from workers x wall time is overhead.
    """
    return {
        "command": command,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "wall_seconds": round(seconds, 3),
        "trial_seconds": round(busy, 3),
        "workers": workers,
        "versions": {"python": platform.python_version(), **versions()},
        "revision": revision(),
        "machine": {
            "system": platform.platform(),
            "processor": processor(),
            "cores": cores(),
        },
    }


def recorded_runs(folder: Path) -> dict[str, Any]:
    """The record of a study's runs; empty where there is none.

    Raises:
        StoreError: It cannot be read.
    """
    required = checksummed(folder / layout.MANIFEST)
    return read_record(folder / layout.PROVENANCE, _Provenance, required)


def read_provenance(folder: Path) -> dict[str, Any]:
    """Read the record of a study's runs; where it cannot be read, why, as ``lost``."""
    lost = damaged_runs(folder)
    return {"lost": lost} if lost else recorded_runs(folder)


def damaged_runs(folder: Path) -> str:
    """The reason that the record of a study's runs cannot be read; "" where it can."""
    try:
        recorded_runs(folder)
    except StoreError as error:
        return str(error).removeprefix(f"{folder}{os.sep}")
    return ""


def provenance_in_words(provenance: Mapping[str, Any]) -> dict[str, str]:
    """Provenance in words, by what each is; what is not known is left out."""
    known = provenance.get("runs") or []
    last = known[-1] if known else {}
    machine, versions = last.get("machine", {}), last.get("versions", {})
    facts = {
        "study": provenance.get("study"),
        "configuration": str(provenance.get("identity", ""))[:16],
        "trials": provenance.get("trials"),
        "seeds": provenance.get("seeds"),
        "made by": last.get("command"),
        "set": ", ".join(
            f"{key}={json.dumps(value.get('now'))}" for key, value in last.get("set", {}).items()
        ),
        "finished": last.get("finished"),
        "wall time": known and f"{provenance.get('wall_seconds', 0):.0f} s in {len(known)} run(s)",
        "code": last.get("revision"),
        "machine": ", ".join(
            str(machine[k]) for k in ("processor", "cores", "system") if machine.get(k)
        ),
        "versions": ", ".join(f"{name} {number}" for name, number in versions.items()),
        "lost": provenance.get("lost"),
    }
    return {name: str(value) for name, value in facts.items() if value}


def versions() -> dict[str, str]:
    """Version of each of `LIBRARIES`."""
    held = {}
    for name in LIBRARIES:
        try:
            held[name] = version(name)
        except PackageNotFoundError:
            held[name] = "not installed"
    return held


def revision() -> str | None:
    """Git revision of the code, where it runs from a checkout that tracks it."""
    here = Path(__file__)
    try:
        _git(here, "ls-files", "--error-unmatch", here.name)
        return _git(here, "describe", "--always", "--dirty") or None
    except (OSError, subprocess.SubprocessError):
        return None


def _git(here: Path, *words: str) -> str:
    command = ["git", "-C", str(here.parent), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()


def processor() -> str:
    """The processor's model, "" where it is not known."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if "model name" in line), "")
