"""Compile a world's rules: one generated loop module per world, cached on disk, never stale.

Numba's own cache looks only at the file that holds the cached function, so a loop would keep
calling an edited helper's old code. Here the folder is named by a fingerprint of everything the
rules reach: their bytecode, their helpers', the constants those read, and library versions.
"""

from __future__ import annotations

import dis
import hashlib
import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, TypeVar, cast

import numba
import numpy as np

from powerseek.errors import WorldError

RULES = ("initial", "transition", "legal", "observe", "measure")
SCRIPTS = ("minimalist", "hoarder")
_READS = ("LOAD_GLOBAL", "LOAD_NAME")
_PREFIX = "powerseek_loops_"
_EXTERNAL = {"numpy", "numba", "math", "builtins"}
_waiting: dict[str, tuple[Any, ...]] = {}
Loop = TypeVar("Loop", bound=Callable[..., Any])


def loop(function: Loop) -> Loop:
    """Compile a loop over rules, keeping the machine code on disk beside its source."""
    compiled: Any = numba.njit(cache=True, nogil=True)(function)
    return cast(Loop, compiled)


def loop_of_numbers(function: Loop) -> Loop:
    """Compile a loop as `loop` does; what is divided by 0 is infinite or not a number."""
    compiled: Any = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    return cast(Loop, compiled)


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
    name = _PREFIX + fingerprint([*rules, prepared_fields])
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


def fingerprint(things: list[Any]) -> str:
    """Sixteen hex digits that change when anything the rules reach changes."""
    digest = hashlib.sha256()
    ours = (_template(), _template().with_name("chance.py"), Path(__file__))
    for part in (sys.version, numba.__version__, np.__version__, *(p.read_bytes() for p in ours)):
        digest.update(repr(part).encode())
    seen: set[int] = set()
    for thing in things:
        _feed(digest, thing, seen)
    return digest.hexdigest()[:16]


def _feed(digest: Any, thing: Any, seen: set[int], names: tuple[str, ...] = ()) -> None:
    thing = getattr(thing, "py_func", thing)
    if isinstance(thing, FunctionType):
        if id(thing) in seen:
            return
        seen.add(id(thing))
        digest.update(repr((thing.__module__, thing.__name__, thing.__defaults__)).encode())
        reads, used = _feed_code(digest, thing.__code__)
        for name in reads:
            if name in thing.__globals__:
                digest.update(name.encode())
                _feed(digest, thing.__globals__[name], seen, used)
        for cell in thing.__closure__ or ():
            _feed(digest, cell.cell_contents, seen)
    elif isinstance(thing, ModuleType):
        digest.update(thing.__name__.encode())
        if thing.__name__.split(".")[0] not in _EXTERNAL:
            for name in names:
                if hasattr(thing, name):
                    _feed(digest, getattr(thing, name), seen, names)
    elif isinstance(thing, np.ndarray):
        digest.update(repr((thing.dtype, thing.shape)).encode() + thing.tobytes())
    elif isinstance(thing, type):
        digest.update(f"{thing.__module__}.{thing.__qualname__}".encode())
    else:
        digest.update(repr(thing).encode())


def _feed_code(digest: Any, code: CodeType) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The globals that code reads, and all its names: what it may read of a module."""
    digest.update(code.co_code + repr((code.co_names, code.co_varnames)).encode())
    used = list(code.co_names)
    # An attribute may have the name of a global that the code never reads.
    reads = [step.argval for step in dis.get_instructions(code) if step.opname in _READS]
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            more, names = _feed_code(digest, constant)
            reads, used = [*reads, *more], [*used, *names]
        else:
            digest.update(repr(constant).encode())
    return tuple(dict.fromkeys(reads)), tuple(dict.fromkeys(used))


def _template() -> Path:
    return Path(__file__).with_name("loops.py")


def cache_folder() -> Path:
    """Folder of compiled loops: $POWERSEEK_CACHE, or the user's cache folder."""
    named = os.environ.get("POWERSEEK_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "powerseek"


def _write(name: str, source: str) -> Path:
    for base in (cache_folder(), Path(tempfile.gettempdir()) / f"powerseek-{os.getuid()}"):
        path = base / name / f"{name}.py"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                descriptor, draft = tempfile.mkstemp(dir=path.parent, suffix=".py")
                with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                    file.write(source)
                os.replace(draft, path)
        except OSError:
            continue
        return path
    raise WorldError(
        f"no folder for compiled worlds is writable: {cache_folder()}; "
        "set POWERSEEK_CACHE to one that is"
    )


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
