"""What is compiled beforehand is all that a first trial needs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from powerseek.experiments.cli.compile import compile_world, compile_worlds

TRAIN = ("train", "--world", "star", "--timesteps", "100", "--episodes", "10", "--out")


def powerseek(cache: Path, *words: str) -> str:
    command = [sys.executable, "-m", "powerseek.experiments.cli", *words]
    environment = {**os.environ, "POWERSEEK_CACHE": str(cache)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout


def machine_code(cache: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in cache.rglob("*.nb[ci]")}


def test_what_is_compiled_is_said_and_what_fails_too(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    assert compile_worlds(["star"], said.append) == 0
    assert said == ["compiled 1 of 1: star"]
    assert "star" in compile_world("stra")
    monkeypatch.setattr(
        "powerseek.experiments.cli.compile.compile_world", lambda id: "no such tool"
    )
    assert compile_worlds(["star"], said.append) == 1
    assert said[1:] == ["compiled 1 of 1: star failed: no such tool"]


@pytest.mark.slow
def test_a_first_trial_compiles_nothing_more(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert powerseek(cache, "compile", "star") == "compiled 1 of 1: star\n"
    before = machine_code(cache)
    assert len(before) > 20
    powerseek(cache, *TRAIN, str(tmp_path / "model"))
    assert machine_code(cache) == before
