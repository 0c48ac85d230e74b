"""The environment of the peers: powerseek's own, seen but not written to, and theirs on top.

``python -m benchmarks.peers.environment DIR`` makes it. Every peer is installed by itself, so that
one that breaks stops no other; why it did is kept in ``DIR/missing.json``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from itertools import takewhile
from pathlib import Path

HERE = Path(__file__).parent
PEERS = HERE / "pinned.txt"
CONSTRAINTS = HERE.parents[1] / "constraints.txt"
MISSING = "missing.json"
BUILT = "pymdptoolbox"
"""Plain Python without a wheel: pip makes one."""


def pinned(text: str) -> dict[str, str]:
    """Name -> version of every line ``name==version``; comments and empty lines are skipped."""
    lines = (line.split("#")[0].strip() for line in text.splitlines())
    return dict(line.split("==") for line in lines if line)


def versions() -> dict[str, str]:
    """Installed version of every peer that is there."""
    found = {}
    for name in pinned(PEERS.read_text()):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def reasons(folder: Path = Path(sys.prefix)) -> dict[str, str]:
    """Why a peer is not in the environment at `folder`; nothing where all are, or none was made."""
    path = folder / MISSING
    found: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    return found


def make(folder: Path) -> dict[str, str]:
    """Make the environment; what did not install, and why."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    library = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    # Its .pth files are read too: powerseek itself may be installed by one.
    below = f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n"
    (library / "powerseek-below.pth").write_text(below)
    missing: dict[str, str] = {}
    for name, wanted in pinned(PEERS.read_text()).items():
        print(f"installing {name} {wanted}", flush=True)
        if why := _installed(python, f"{name}=={wanted}"):
            missing[name] = why
            print(f"  not installed: {why}", flush=True)
    (folder / MISSING).write_text(json.dumps(missing, indent=1))
    return missing


def _installed(python: Path, requirement: str) -> str:
    """Install it; "" or why it could not be."""
    command = [str(python), "-m", "pip", "install", "--only-binary=:all:", f"--no-binary={BUILT}"]
    command += ["-c", str(CONSTRAINTS), requirement]
    quiet = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = subprocess.run(command, env=quiet, capture_output=True, text=True)
    if not done.returncode:
        return ""
    return reason((done.stdout + done.stderr).splitlines())


def reason(said: Sequence[str]) -> str:
    """What pip said, in one line: what conflicts, or its last error."""
    for i, line in enumerate(said):
        if line.startswith("The conflict is caused by:"):
            rest = (line.strip() for line in said[i + 1 :])
            return "; ".join(takewhile(bool, rest))
    errors = [line.removeprefix("ERROR: ") for line in said if line.startswith("ERROR:")]
    return (errors or [*said] or ["pip said nothing"])[-1]


if __name__ == "__main__":
    make(Path(sys.argv[1]))
