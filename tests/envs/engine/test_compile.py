"""Compiled worlds: never stale, quick to start."""

import os
import subprocess
import sys
import threading
from dataclasses import replace
from types import FunctionType

import numpy as np
import pytest
from worlds import Ladder

from powerseek import make_world as make
from powerseek.envs.engine.chance import rule
from powerseek.envs.engine.compile import fingerprint
from powerseek.errors import WorldError
from powerseek.registry import worlds

BUILT_IN = sorted(worlds.builtin)
WORLD = """
from typing import NamedTuple
from powerseek.envs import Fact, Param, World
from helper import jump

class Jumper(World):
    id = "jumper"
    parameters = {"max_steps": Param(5)}
    state = (("x", "i8"),)
    facts = (Fact("progress"), Fact("success"), Fact("over"))
    def actions(params): return ("go", "stay")
    def observation(params): return ("x",)
    def initial(p, s, c): pass
    def transition(p, s, a, c): s.x = jump(s.x)
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


def helper(body):
    return f"from powerseek.envs import rule\n@rule\ndef jump(x):\n    return {body}\n"


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
    told = f"{{x: (make(x).rules, fingerprint(make(x))) for x in {BUILT_IN}}}"
    code = (
        "from powerseek import make_world as make\n"
        f"from powerseek.envs.engine.compile import fingerprint\nprint({told})"
    )
    ours = {x: (make(x).rules, fingerprint(make(x))) for x in BUILT_IN}
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(ours)


def test_rules_that_cannot_be_followed_are_refused_when_a_world_is_made():
    lock = threading.Lock()

    class Locked(Ladder):
        """A world whose rule reads a lock."""

        id = "test.locked"

        @staticmethod
        def legal(p, s, out):
            out[0] = lock.locked()

    told = "world 'test.locked', rule 'legal': reads lock, of type lock, .*; write a number, a text"
    with pytest.raises(WorldError, match=told):
        Locked()


class Table(Ladder):
    """A ladder with a table, and a prize in a closed list."""

    @staticmethod
    def prepare(params):
        return {"table": np.arange(TABLE["size"])}


TABLE = {"size": 3000}
CHANGES = {
    "the same once more": {},
    "words about a fact": {"facts": tuple(replace(x, about="other") for x in Ladder.facts)},
    "a weight": {"facts": tuple(replace(x, weights=(2.0,)) for x in Ladder.facts)},
    "a field": {"state": (*Ladder.state, ("more", "i8"))},
    "a flow": {"flows": (*Ladder.flows, ("more", "f8"))},
    "a range": {
        "parameters": {k: replace(x, low=-9, high=999) for k, x in Ladder.parameters.items()}
    },
    "a rule": {"legal": staticmethod(lambda p, s, out: None)},
    "absent facts": {"absent": staticmethod(lambda params: (Ladder.facts[0].name,))},
    "goals": {"abstract": classmethod(lambda cls, params: ())},
    "names of actions": {"actions": staticmethod(lambda params: ("x",))},
    "a symmetry": {"canonical": staticmethod(lambda params, records: records)},
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_fingerprint_changes_with_what_a_world_declares(change):
    told = [fingerprint(type("W", (Table,), each)()) for each in ({}, CHANGES[change])]
    assert (told[0] == told[1]) == (list(CHANGES).index(change) < 2)


def test_a_fingerprint_changes_with_parameters_and_tables(monkeypatch):
    told = {fingerprint(Table()), fingerprint(Table(max_steps=7))}
    monkeypatch.setitem(TABLE, "size", 3001)
    told.add(fingerprint(type("W", (Table,), {})()))
    assert len(told) == 3
    assert all(len(text) == 64 and int(text, 16) for text in told)


PRIZE = 3


@rule
def pay(n):
    return n * PRIZE


def test_a_value_that_changes_once_rules_are_compiled_is_refused(monkeypatch):
    """Else the old value would be paid, and kept on disk under the name of the new one."""

    def legal(p, s, out):
        out[0] = pay(1) > 0

    made = type("W", (Ladder,), {"id": "test.prize", "legal": staticmethod(legal)})
    made()
    monkeypatch.setitem(globals(), "PRIZE", 7)
    told = "'test.prize': 'pay' reads PRIZE, which has changed since 'pay' was compiled; define"
    with pytest.raises(WorldError, match=told):
        made()
    with pytest.raises(WorldError, match=told):
        type("W", (Ladder,), {"id": "test.prize", "legal": staticmethod(legal)})()
    monkeypatch.setitem(globals(), "pay", rule(FunctionType(pay.py_func.__code__, globals())))
    again = FunctionType(legal.__code__, globals(), closure=legal.__closure__)
    assert type("W", (Ladder,), {"id": "test.prize", "legal": staticmethod(again)})()
    monkeypatch.undo()
    made()
