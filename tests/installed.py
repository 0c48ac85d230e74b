"""Packages built and installed away from the tree."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[1]


def started(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """What came of `command`, cut off from the tree under test."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def run(*command: str | Path, cwd: Path) -> str:
    """Standard output of `command`, which must succeed."""
    done = started(*command, cwd=cwd)
    assert done.returncode == 0, f"{command}: exit {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def built(tree: Path) -> Path:
    """The wheel of a source tree, which is built in place: give a copy."""
    out = tree / "dist"
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, cwd=tree)
    (wheel,) = out.glob("*.whl")
    return wheel


def copied(source: Path, to: Path) -> Path:
    """A copy of a source tree without what tools leave in it."""
    left = shutil.ignore_patterns("__pycache__", "*.egg-info", "build", "dist", ".*_cache", "runs")
    return Path(shutil.copytree(source, to, ignore=left, dirs_exist_ok=True))


def new_environment(home: Path, wheel: Path) -> Path:
    """A new environment holding a wheel; dependencies are borrowed from the current one."""
    venv = home / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", venv, cwd=home)
    install(venv, wheel)
    # A path named in a .pth file comes last and its own .pth files (the editable install) are
    # not read, so powerseek can only come from the wheel.
    (site_of(venv) / "borrowed.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return venv


def install(venv: Path, wheel: Path) -> None:
    """Install a wheel, without dependencies."""
    words = ("install", "--quiet", "--no-deps", "--no-index", wheel)
    python = venv / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, *words, cwd=venv)


def site_of(venv: Path) -> Path:
    """Where the packages of an environment lie."""
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    return Path(run(venv / "bin" / "python", "-c", code, cwd=venv).strip())
