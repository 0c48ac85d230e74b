"""Compile a world's rules: one generated loop module per world, cached on disk, never stale.

Numba's own cache looks only at the file that holds the cached function, so a loop would keep
calling an edited helper's old code. Here the folder is named by a fingerprint of everything the
rules reach: their bytecode, their helpers', the constants those read, and library versions.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numba.core.dispatcher import Dispatcher

from powerseek.cache import cache_folder, warn_of_cache
from powerseek.envs.engine.chance import INTERPRETED
from powerseek.envs.engine.reach import (
    OutOfReach,
    Reach,
    digest_rule_value,
    read_rule_value,
    same_rule_value,
)
from powerseek.errors import WorldError
from powerseek.files import write_atomically

RULES = ("initial", "transition", "legal", "observe", "measure")
SCRIPTS = ("minimalist", "hoarder")
_CODE = ("canonical", "lengths", "environment", "featurise", "read")
_DECLARED = ("version", "state", "flows", "calm", "probe", "runs_on", "noop")
_PREFIX = "powerseek_loops_"
_waiting: dict[str, tuple[Any, ...]] = {}
_frozen: dict[tuple[FunctionType, tuple[str, ...]], Any] = {}
"""What functions read when they were first met: Numba compiles a helper once in a process."""
Loop = TypeVar("Loop", bound=Callable[..., Any])


def loop(function: Loop) -> Loop:
    """Compile a loop over rules, keeping the machine code on disk beside its source."""
    compiled: Any = numba.njit(cache=True, nogil=True)(function)
    return cast(Loop, compiled)


def loop_of_numbers(function: Loop) -> Loop:
    """Compile a loop as `loop` does; what is divided by 0 is infinite or not a number."""
    compiled: Any = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    return cast(Loop, compiled)


def uncompiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function as plain Python, with the compiled ones that it calls.

    For a handful of calls, which compiling would outlast. Functions of its own module that are not
    compiled are followed, those of other modules are called as they are.
    """
    return _uncompiled(function, {})


def _uncompiled(function: Any, made: dict[FunctionType, FunctionType]) -> FunctionType:
    plain: FunctionType = getattr(function, "py_func", function)
    if plain not in made:
        scope = dict(plain.__globals__)
        made[plain] = FunctionType(
            plain.__code__, scope, plain.__name__, plain.__defaults__, plain.__closure__
        )
        for name, value in plain.__globals__.items():
            followed = isinstance(value, FunctionType) and value.__module__ == plain.__module__
            if followed or isinstance(value, Dispatcher):
                scope[name] = _uncompiled(value, made)
    return made[plain]


def rules_for(module: str) -> tuple[Any, ...]:
    """The compiled rules that the generated loop module named `module` drives."""
    try:
        return _waiting[module]
    except KeyError:
        raise ImportError(
            f"{module} is a template that is copied once per world; use VecWorld"
        ) from None


def loops_of(cls: Any, prepared_fields: tuple[str, ...]) -> ModuleType:
    """The loop module of a world class whose rules see the fields `prepared_fields`.

    Raises:
        WorldError: a rule is missing.
    """
    return _loops_of(cls, prepared_fields)


@lru_cache(maxsize=64)
def _loops_of(cls: Any, prepared_fields: tuple[str, ...]) -> ModuleType:
    rules = [getattr(cls, name, None) for name in RULES + SCRIPTS]
    for name, function in zip(RULES, rules, strict=False):
        if function is None:
            raise WorldError(f"world {cls.id!r} has no rule {name!r}; allowed: a static function")
    name = _name(cls, prepared_fields)
    if name in sys.modules:
        return sys.modules[name]
    _waiting[name] = tuple(
        numba.njit(function, forceinline=True) if isinstance(function, FunctionType) else function
        for function in rules
    )
    header = (
        f"from collections import namedtuple\nPrepared = namedtuple('Prepared', "
        f"{list(prepared_fields)!r})\n"
    )
    return _import(name, header + _template().read_text(encoding="utf-8"))


def fingerprint(world: Any) -> str:
    """Hex digits that change when the rules of a world do, or anything that its rules can read.

    Counted are the rules with all that they reach (`powerseek.envs.engine.reach`), the loops that
    drive them, what the world declares, and the values of its parameters and prepared tables. A
    foreign environment counts by the code of its own package. The digits are the same in every
    process, under one minor version of Python.

    Raises:
        WorldError: as `check_rules`.
    """
    cls: Any = type(world)
    reach = Reach(cls.__module__.rpartition(".")[0] or cls.__module__)
    reach.put(_reach(cls).text, _driver())
    reach.feed([getattr(cls, name, None) for name in _CODE], "")
    # Where nobody else acts constraints alone read the no-op: worlds may come to declare one.
    declared = {name: getattr(cls, name) for name in _DECLARED}
    idle = {} if cls.actor_parameter else {"noop": ""}
    reach.feed(list({**declared, **idle}.values()), "")
    facts = [(x.name, x.shape, x.flow, x.roles, x.weights) for x in cls.facts]
    reach.feed((facts, cls.absent(world.params), cls.abstract(world.params)), "")
    ranges = {k: (x.default, x.low, x.high, x.choices) for k, x in cls.parameters.items()}
    reach.feed((ranges, world.params._asdict()), "")
    reach.feed((world.action_names, world.observation_names), "")
    if hasattr(cls, "transition"):
        reach.feed(world.prepared._asdict(), "")
    return reach.text


def check_rules(cls: Any) -> None:
    """Refuse a world class whose compiled rules would not be what its code says.

    Raises:
        WorldError: A rule reads a value that no fingerprint can cover, or one that has changed
            since it was compiled; the message names the world, the value and what to do.
    """
    for function, names, value in _reach(cls).reads:
        now = read_rule_value(function, names)
        if now is not value:
            _refuse_change(cls, function, names, value, now)


def _refuse_change(
    cls: Any, function: FunctionType, names: tuple[str, ...], then: Any, now: Any
) -> None:
    if not INTERPRETED and not same_rule_value(then, now):
        raise WorldError(
            f"world {cls.id!r}: {function.__name__!r} reads {'.'.join(names)}, which has changed "
            f"since {function.__name__!r} was compiled; define {function.__name__!r} and the "
            "world again (in a notebook: run their cells), or start anew"
        )


@lru_cache(maxsize=64)
def _reach(cls: Any) -> Reach:
    """All that the rules and scripts of a world class reach."""
    reach = Reach()
    for name in RULES + SCRIPTS:
        try:
            reach.feed(getattr(cls, name, None), name)
        except OutOfReach as error:
            raise WorldError(
                f"world {cls.id!r}, rule {name!r}: reads {error.path}, of type "
                f"{type(error.value).__name__}, whose value compiled rules cannot follow; write a "
                "number, a text, an Enum, an array, a tuple of these, or a function under @rule"
            ) from error
    for function, names, value in reach.reads:
        then = _frozen.setdefault((function, names), value)
        if then is not value:
            _refuse_change(cls, function, names, then, value)
    return reach


@lru_cache(maxsize=1)
def _driver() -> str:
    """Digest of the loops that drive rules, whatever their comments."""
    return digest_rule_value(compile(_template().read_bytes(), "loops.py", "exec"), "loops")


def _name(cls: Any, prepared_fields: tuple[str, ...]) -> str:
    """Name of a world's compiled loops: another one for other code, fields or libraries."""
    ours = [path.read_text(encoding="utf-8") for path in (_template(), Path(__file__))]
    reach = _reach(cls)
    libraries = (sys.version, numba.__version__, np.__version__)
    parts = (reach.text, sorted(reach.modules), prepared_fields, libraries, ours)
    return _PREFIX + hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _template() -> Path:
    return Path(__file__).with_name("loops.py")


def _write(name: str, source: str) -> Path:
    warn_of_cache()
    path = Path(cache_folder(), name, f"{name}.py")
    try:
        if not path.exists():
            write_atomically(path, lambda draft: draft.write_text(source, encoding="utf-8"))
    except OSError as error:
        raise WorldError(
            f"the cache {cache_folder()} cannot be written ({error.strerror}); set "
            "POWERSEEK_CACHE to a folder that can be"
        ) from None
    return path


def _import(name: str, source: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, _write(name, source))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
