"""Compiled worlds: never stale, quick to start."""

import os
import subprocess
import sys

import pytest

import powerseek
from powerseek.registry import worlds

BUILT_IN = sorted(worlds.builtin)
WORLD = """
from typing import NamedTuple
from powerseek.envs import Fact, Param, World
from helper import jump
import helper

class Jumper(World):
    id = "jumper"
    parameters = {"max_steps": Param(5)}
    state = (("x", "i8"),)
    facts = (Fact("progress"), Fact("success"), Fact("over"))
    def actions(params): return ("go", "stay")
    def observation(params): return ("x",)
    def initial(p, s, c): pass
    def transition(p, s, a, c): s.x = jump(s.x) + helper.EXTRA
    def legal(p, s, out): out[:] = True
    def observe(p, s, out): out[0] = s.x
    def measure(p, s, out): out[0] = 0.0
"""
RUN = """
import time, numba
from jumper import Jumper
from powerseek.envs import VecWorld
began = time.perf_counter()
vec = VecWorld(Jumper(), 1, 0)
vec.step([0])
hits = sum(vec._loops.step.stats.cache_hits.values())
print(int(vec.states.x[0]), hits, time.perf_counter() - began)
"""


def run(folder):
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        cwd=folder,
        env={
            **os.environ,
            "POWERSEEK_CACHE": str(folder / "cache"),
            "PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    x, hits, seconds = done.stdout.split()
    return int(x), int(hits), float(seconds)


def helper(body, extra=0):
    return (
        f"from powerseek.envs import rule\nEXTRA = {extra}\nSTEP = 2\n"
        f"@rule\ndef jump(x):\n    return {body}\n"
    )


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "jumper.py").write_text(WORLD)
    (tmp_path / "helper.py").write_text(helper("x + 1"))
    return tmp_path


def test_an_edited_helper_is_seen_and_an_unedited_one_is_cached(folder):
    assert run(folder)[:2] == (1, 0)
    assert run(folder)[:2] == (1, 1), "the second process must find the compiled loop"
    (folder / "helper.py").write_text(helper("x + 7"))
    assert run(folder)[:2] == (7, 0)
    (folder / "helper.py").write_text(helper("x + STEP"))
    assert run(folder)[0] == 2
    (folder / "helper.py").write_text(helper("x + STEP").replace("STEP = 2", "STEP = 9"))
    assert run(folder)[0] == 9, "a constant that a helper reads is part of the world"
    (folder / "helper.py").write_text(helper("x + 1", extra=30))
    assert run(folder)[0] == 31, "a constant read through a module is part of the world"


def test_template_cannot_be_imported_by_accident():
    with pytest.raises(ImportError, match="use VecWorld"):
        import powerseek.envs.engine.loops  # noqa: F401  # the import itself is the test


def test_no_writable_cache_falls_back(folder, tmp_path):
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a folder should be")
    environment = {**os.environ, "POWERSEEK_CACHE": str(blocked)}
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        cwd=folder,
        env={**environment, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_rules_have_one_name_in_every_process():
    """Else nothing compiled or kept is found again."""
    ours = {name: powerseek.make_world(name).rules for name in BUILT_IN}
    told = f"{{name: powerseek.make_world(name).rules for name in {BUILT_IN}}}"
    code = f"import powerseek; print({told})"
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(ours)
