"""Rules as plain Python in a process of their own: what the conformance kit asks of it.

There rules can be called one by one, an index past an array's end raises, and the line that
fails is known.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from powerseek.envs.checks.episodes import (
    COPIES,
    SEED,
    STEPS,
    Walk,
    field_words,
    joined_steps,
    record_from_words,
    rehearse,
    state_text,
    walk_step,
)
from powerseek.envs.engine.chance import TAPE, cue_tape
from powerseek.envs.engine.compile import RULES
from powerseek.envs.engine.vec import loop_views
from powerseek.envs.world import World
from powerseek.scripts import FILES, import_file
from powerseek.types import Ints

SECONDS = 60
"""Most processor time that plain Python may take; what else the machine does changes nothing."""
PROBED = 300
"""Records in which every allowed action is tried."""


@dataclass(frozen=True)
class Trouble:
    """Trouble with one rule in one place.

    Attributes:
        kind: ``raised``, ``not finite``, ``nothing legal`` or ``writes``.
        rule: Name of the rule.
        error: What it raised, which fact is what, or which field it changed.
        where: File and line, "" where there is none.
        record: The record it was given, in words, "" where there was none yet.
        action: Name of the action it was given, or which led to the record; "" if none.
        before: Where that action was taken, if it led to the record.
        elsewhere: Whether the same action is accepted in another record.
    """

    kind: str
    rule: str
    error: str
    where: str = ""
    record: str = ""
    action: str = ""
    before: str = ""
    elsewhere: bool = False


class Interpreted(NamedTuple):
    """Results of running a world's rules as plain Python.

    Attributes:
        walk: As `Case.walk`, up to where a rule failed; {} if it never got there.
        trouble: What went wrong, None if nothing.
        absent: Why nothing could be run, "" if it could.
    """

    walk: Walk
    trouble: Trouble | None
    absent: str = ""


def interpret(world: World, seconds: int = SECONDS) -> Interpreted:
    """Run a world's rules in a child process under ``NUMBA_DISABLE_JIT=1``."""
    cls = type(world)
    if cls.__module__ == "__main__" or "<locals>" in cls.__qualname__:
        absent = f"{cls.__qualname__} lives in {cls.__module__}, where no other process finds it"
        return Interpreted({}, None, f"{absent}: move it to the top of a module")
    request = {
        "module": cls.__module__,
        "file": FILES.get(cls.__module__, ""),
        "name": cls.__qualname__,
        "params": world.params._asdict(),
        "seconds": seconds,
    }
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "request.json").write_text(json.dumps(request))
        paths = os.pathsep.join(path or os.getcwd() for path in sys.path)
        code = f"from {__name__} import main; main({folder!r})"
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": paths},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == -signal.SIGXCPU:
            return Interpreted({}, None, f"took more than {seconds} s as plain Python")
        answer = Path(folder) / "answer.json"
        if not answer.exists():
            last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
            return Interpreted({}, None, f"another process could not load it: {last}")
        told = json.loads(answer.read_text())
        with np.load(Path(folder) / "walk.npz", allow_pickle=False) as arrays:
            kept = dict(arrays)
        return Interpreted(kept, Trouble(**told) if told else None)


def main(folder: str) -> None:
    """Answer the request that lies in `folder`."""
    request = json.loads((Path(folder) / "request.json").read_text())
    resource.setrlimit(resource.RLIMIT_CPU, (request["seconds"], request["seconds"] + 5))
    module, file = request["module"], request["file"]
    cls: Any = import_file(file, module) if file else import_module(module)
    for name in request["name"].split("."):
        cls = getattr(cls, name)
    with np.errstate(over="ignore"):  # 64-bit wrap-around in the tape is meant
        kept, trouble = _tried(cls(**request["params"]))
    np.savez(Path(folder) / "walk.npz", **kept)
    (Path(folder) / "answer.json").write_text(json.dumps(trouble and asdict(trouble)))


def _tried(world: World) -> tuple[Walk, Trouble | None]:
    cls: Any = type(world)
    trouble = _call("prepare", cls.prepare, world.params) or _starts(world)
    if trouble:
        return {}, trouble
    seen: list[Walk] = []
    vec, before, actions = None, np.zeros((0, 0), np.int64), np.zeros(0, np.int64)
    try:
        for vec, actions in rehearse(world, COPIES, STEPS):
            before = loop_views(vec.states)[1].copy()
            vec.step(actions)
            seen.append(walk_step(vec, before, actions))
    except Exception as error:
        stopped = _stopped(world, vec, before, actions) or Trouble("raised", "a rule", str(error))
        return joined_steps(seen), _judged(world, stopped, _explored(world)[0])
    accepted, first = _explored(world)
    return joined_steps(seen), first and _judged(world, first, accepted)


def _starts(world: World) -> Trouble | None:
    """Trouble at the start of the environments."""
    for copy in range(COPIES):
        records, trouble = _start(world, copy)
        trouble = trouble or _look(world, records)
        if trouble:
            return trouble
    return None


def _start(world: World, copy: int) -> tuple[Any, Trouble | None]:
    records, tape = world.records(1), np.zeros(1, TAPE).view(np.recarray)
    cue_tape(tape[0], np.uint64(SEED), copy, 0, 0)
    cls: Any = type(world)
    return records, _call("initial", cls.initial, world.prepared, records[0], tape[0])


def _stopped(world: World, vec: Any, before: Ints, actions: Ints) -> Trouble | None:
    """The trouble that stopped a step of several environments: the first to fail alone."""
    clock = field_words(world, ("clock",))[0]
    for copy in range(len(before)):
        key = (copy, int(vec.episodes[copy]), int(before[copy, clock]) + 1)
        _, trouble = _act(world, before[copy], int(actions[copy]), key)
        if trouble:
            return trouble
    return None


def _act(
    world: World, standing: Ints, action: int, key: tuple[int, int, int]
) -> tuple[Any, Trouble | None]:
    """(the record it leads to, what goes wrong) when one record takes one action."""
    records, tape = world.records(1), np.zeros(1, TAPE).view(np.recarray)
    loop_views(records)[1][0] = standing
    for name, *_ in world.flows:
        records[name] = 0
    before, name = state_text(world, records[0]), world.action_names[action]
    kept = (int(records["clock"][0]), int(records["max_steps"][0]))
    cue_tape(tape[0], np.uint64(SEED), *key)
    cls: Any = type(world)
    trouble = _call("transition", cls.transition, world.prepared, records[0], action, tape[0])
    if trouble:
        return records, replace(trouble, record=before, action=name)
    if kept != (int(records["clock"][0]), int(records["max_steps"][0])):
        return records, Trouble("writes", "transition", "clock or max_steps", "", before, name)
    trouble = _look(world, records)
    return records, trouble and replace(trouble, action=name, before=before)


def _look(world: World, records: Any) -> Trouble | None:
    """Trouble when a record is observed, measured and asked for its legal actions."""
    cls: Any = type(world)
    told, before = state_text(world, records[0]), records.tobytes()
    out: dict[str, Any] = {
        "observe": np.zeros(len(world.observation_names), np.float32),
        "measure": np.zeros(len(world.fact_names)),
        "legal": np.zeros(world.n_actions, np.bool_),
    }
    for name, array in out.items():
        if name == "legal" and out["measure"][world.columns("over").start] > 0:
            return None
        trouble = _call(name, getattr(cls, name), world.prepared, records[0], array)
        if trouble:
            return replace(trouble, record=told)
        if records.tobytes() != before:
            return Trouble("writes", name, f"({state_text(world, records[0])})", "", told)
        if name == "measure" and not np.isfinite(array).all():
            first = int(np.flatnonzero(~np.isfinite(array))[0])
            error = f"{world.fact_names[first]} = {array[first]}"
            return Trouble("not finite", name, error, "", told)
    return None if out["legal"].any() else Trouble("nothing legal", "legal", "", "", told)


def _explored(world: World) -> tuple[set[int], Trouble | None]:
    """(actions that some record accepted, the first thing to go wrong), from the start on.

    Every allowed action of every record met, breadth first; where one fails, the others go on.
    """
    accepted: set[int] = set()
    first: Trouble | None = None
    over, seen = world.columns("over").start, set()
    waiting = [loop_views(_start(world, copy)[0])[1][0].copy() for copy in range(COPIES)]
    for turn, standing in enumerate(waiting):
        if turn >= PROBED:
            break
        for action in _legal(world, standing):
            records, trouble = _act(world, standing, action, (turn, 1, 1))
            first = first or trouble
            if trouble:
                continue
            accepted.add(action)
            led = loop_views(records)[1][0].copy()
            key = led[field_words(world, world.identity)].tobytes()
            facts = np.zeros(len(world.fact_names))
            cls: Any = type(world)
            cls.measure(world.prepared, records[0], facts)
            if key not in seen and not facts[over] > 0:
                seen.add(key)
                waiting.append(led)
    return accepted, first


def _judged(world: World, trouble: Trouble, accepted: set[int]) -> Trouble:
    """The trouble, with whether its action is accepted elsewhere."""
    if trouble.rule != "transition":
        return trouble
    return replace(trouble, elsewhere=world.action_names.index(trouble.action) in accepted)


def _legal(world: World, words: Ints) -> list[int]:
    mask = np.zeros(world.n_actions, np.bool_)
    cls: Any = type(world)
    cls.legal(world.prepared, record_from_words(world, words), mask)
    return [int(action) for action in np.flatnonzero(mask)]


def _call(rule: str, function: Callable[..., Any], *arguments: Any) -> Trouble | None:
    """Call a rule; what it raised."""
    try:
        function(*arguments)
    except Exception as error:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename != __file__]
        where = f"{Path(frames[-1].filename).name} line {frames[-1].lineno}" if frames else ""
        words = (str(error).strip().splitlines() or ["no message"])[0]
        return Trouble("raised", rule, f"{type(error).__name__}: {words}", where)
    return None


assert set(RULES) == {"initial", "transition", "legal", "observe", "measure"}
