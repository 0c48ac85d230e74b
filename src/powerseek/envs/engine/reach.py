"""Digests of all that code can reach: functions, the globals they read, and their values.

Comments, docstrings and the places where things stand do not count; code counts as Python's
bytecode, which differs between minor versions of Python.
"""

from __future__ import annotations

import dis
import hashlib
import os
import sys
import types
from collections.abc import Iterable, Mapping
from enum import EnumMeta
from functools import cached_property, lru_cache, partial
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
from numba.core.dispatcher import Dispatcher
from numba.core.extending import _Intrinsic
from numba.core.types import Type
from numba.core.typing.templates import builtin_registry

_PLAIN = (type(None), bool, int, float, complex, str, bytes, range, type(...), type(NotImplemented))
_DESCRIPTORS = (staticmethod, classmethod, property, cached_property)
_IN_C = (
    *(types.BuiltinFunctionType, types.WrapperDescriptorType, types.MethodWrapperType),
    *(types.MethodDescriptorType, types.ClassMethodDescriptorType, types.GetSetDescriptorType),
    *(types.MemberDescriptorType, np.ufunc, type(np.sum)),
)
_GLOBALS = ("LOAD_GLOBAL", "LOAD_NAME")
_CELLS = ("LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_CLOSURE")
_ATTRIBUTES = ("LOAD_ATTR", "LOAD_METHOD")
_STDLIB = os.path.dirname(os.__file__)


class OutOfReach(TypeError):
    """A value of which no digest can be made.

    Args:
        path: Where it stands, as code would write it (``helper.TABLES[0]``).
        value: The value.
    """

    def __init__(self, path: str, value: object) -> None:
        self.path, self.value = path, value
        super().__init__(f"{path} is of type {type(value).__name__}")


class Reach:
    """A digest of everything fed to it and of all that this reaches.

    Args:
        own: A package; what stands outside it counts by its name, and so does a value that cannot
            be followed. "": code is followed wherever it leads but into Python, NumPy and Numba,
            and a value that cannot be followed is refused.

    Attributes:
        modules: Names of the modules in which functions and classes were found.
        reads: All that functions read by name: (function, names it is read by, value).
    """

    def __init__(self, own: str = "") -> None:
        self.own = own
        self.modules: set[str] = set()
        self.reads: list[tuple[FunctionType, tuple[str, ...], Any]] = []
        self._digest = hashlib.sha256()
        self._seen: dict[int, tuple[int, Any]] = {}

    @property
    def text(self) -> str:
        """The digest: 64 hex digits."""
        return self._digest.hexdigest()

    def put(self, *parts: str | int | None) -> None:
        """Count plain values, told apart from those beside them."""
        self._digest.update(repr(parts).encode())

    def feed(self, thing: Any, path: str) -> None:
        """Count a value, which stands at `path`, and all it reaches.

        Raises:
            OutOfReach: It reaches what cannot be followed.
        """
        kind = type(thing)
        if kind in _PLAIN:
            self.put(kind.__name__, repr(thing))
        elif kind is CodeType:
            self._code(thing, {}, {}, path)
        elif kind is tuple:
            self._items(thing, path)
        elif kind in (set, frozenset):  # in another order in every process
            self.put(
                kind.__name__, *sorted(digest_rule_value(one, path, self.own) for one in thing)
            )
        elif isinstance(thing, np.dtype):
            self.put("dtype", repr(thing), thing.alignment, thing.itemsize)
        elif isinstance(thing, np.generic):
            self._array(np.asarray(thing), path)
        elif id(thing) in self._seen:
            self.put("again", self._seen[id(thing)][0])
        else:
            # Kept as well, lest its id be given to another.
            self._seen[id(thing)] = len(self._seen), thing
            self._feed_new(thing, kind, path)

    def _feed_new(self, thing: Any, kind: type, path: str) -> None:
        if isinstance(kind, EnumMeta):
            self.feed((kind, thing._name_, thing._value_), path)
        elif isinstance(thing, np.ndarray):
            self._array(thing, path)
        elif isinstance(thing, list | tuple):
            self._items(thing, path)
            self.feed(kind, path)
        elif isinstance(thing, Mapping):
            self._items(thing.items(), path)
        elif isinstance(thing, Type):
            self._numba_type(thing, path)
        elif isinstance(thing, Dispatcher):
            self._compiled(thing, path)
        elif isinstance(thing, _Intrinsic):
            self.feed(thing._defn, path)
        elif isinstance(thing, partial):
            self.feed((thing.func, thing.args, thing.keywords), path)
        elif isinstance(thing, MethodType):
            self.feed((thing.__func__, thing.__self__), path)
        elif isinstance(thing, _DESCRIPTORS):
            parts = ("__func__", "func", "fget", "fset", "fdel")
            self.feed((kind, *(getattr(thing, part, None) for part in parts)), path)
        elif self._counts_by_name(thing):
            self.put("name", _home(thing), thing.__name__)
        elif isinstance(thing, FunctionType):
            self._function(thing, path)
        elif isinstance(thing, type) and hasattr(thing, "class_type"):  # compiled by Numba
            self._numba_type(thing.class_type, path)
        elif isinstance(thing, type):
            self._class(thing, path)
        else:
            self._unknown(thing, path)

    def _unknown(self, thing: Any, path: str) -> None:
        kind = type(thing)
        if not self.own:
            raise OutOfReach(path, thing)
        self.put("instance", kind.__module__, kind.__qualname__)
        if not self._counts_by_name(kind):
            self.feed((kind, getattr(thing, "__dict__", None)), path)

    def _counts_by_name(self, thing: Any) -> bool:
        """True for functions, classes and modules whose insides do not count."""
        if not isinstance(thing, (FunctionType, type, ModuleType, *_IN_C)):
            return False
        home = _home(thing)
        outside = self.own and home != self.own and not home.startswith(f"{self.own}.")
        return bool(outside) or _external(home)

    def _items(self, items: Iterable[Any], path: str) -> None:
        entries = list(items)
        self.put("items", len(entries))
        for i, entry in enumerate(entries):
            self.feed(entry, f"{path}[{i}]")

    def _array(self, array: Any, path: str) -> None:
        """Count an array, its layout too: compiled code depends on it."""
        if type(array) not in (np.ndarray, np.recarray, np.memmap):
            self._unknown(array, path)
            return
        flags = array.flags
        self.put("array", *array.shape, flags.c_contiguous, flags.f_contiguous, flags.aligned)
        self.feed(array.dtype, path)
        if array.dtype.names:  # the gaps between fields hold anything
            for name in array.dtype.names:
                self._array(np.asarray(array[name]), f"{path}.{name}")
        elif array.dtype.hasobject:
            self._items(array.ravel().tolist(), path)
        else:
            self._digest.update(array.tobytes())

    def _compiled(self, compiled: Any, path: str) -> None:
        """Count a function under njit; options that change no result do not count."""
        same = ("nopython", "nogil", "forceinline", "boundscheck")
        options = {k: v for k, v in compiled.targetoptions.items() if v and k not in same}
        if options or compiled.locals or not compiled._can_compile:
            self.put(str(compiled.locals), str(compiled._can_compile or compiled.signatures))
            self.feed(options, path)
        self.feed(compiled.py_func, path)

    def _function(self, function: FunctionType, path: str) -> None:
        self.modules.add(function.__module__)
        self.feed((function.__defaults__, function.__kwdefaults__, dict(function.__dict__)), path)
        cells = {}
        closure = function.__closure__ or ()
        for name, cell in zip(function.__code__.co_freevars, closure, strict=True):
            try:
                cells[name] = cell.cell_contents
            except ValueError:  # not filled yet
                cells[name] = None
        for names, value in self._code(function.__code__, function.__globals__, cells, path):
            self.reads.append((function, names, value))
        # What compiled code calls in the place of a function that is not compiled itself.
        for template in self._overloads.get(id(function), ()):
            self.feed(vars(template).get("_overload_func"), path)

    @cached_property
    def _overloads(self) -> dict[int, Any]:
        return {id(key): getattr(known, "templates", ()) for key, known in builtin_registry.globals}

    def _code(
        self, code: CodeType, scope: Mapping[str, Any], cells: Mapping[str, Any], path: str
    ) -> list[tuple[tuple[str, ...], Any]]:
        """Count what code does, and the values that it reads in `scope` and `cells`.

        Returns those of `scope`, by the chain of names that leads to each.
        """
        self.put(
            *("code", code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount),
            *(code.co_flags, code.co_code.hex(), code.co_exceptiontable.hex()),
            *(*code.co_names, *code.co_varnames, *code.co_freevars, *code.co_cellvars),
        )
        steps = [step for step in dis.get_instructions(code) if step.opname != "EXTENDED_ARG"]
        reads: dict[tuple[str, ...], Any] = {}
        inner = []
        for i, step in enumerate(steps):
            if step.opcode in dis.hasconst:  # those that are loaded: a docstring is not
                if isinstance(step.argval, CodeType):
                    inner += self._code(step.argval, scope, cells, path)
                else:
                    self.feed(step.argval, path)
            elif step.opname in _GLOBALS or step.opname in _CELLS:
                values = scope if step.opname in _GLOBALS else cells
                if step.argval in values:
                    names = [step.argval]
                    for after in steps[i + 1 :]:
                        if after.opname not in _ATTRIBUTES:
                            break
                        names.append(after.argval)
                    chain, value = self._read(values[names[0]], names)
                    reads[chain] = value
        for chain, value in reads.items():
            self.put(*chain)
            self.feed(value, ".".join(chain))
        return [(chain, value) for chain, value in reads.items() if chain[0] in scope] + inner

    def _read(self, value: Any, names: list[str]) -> tuple[tuple[str, ...], Any]:
        """(names, value) of what code reads by a chain of names: modules are looked through."""
        for i, name in enumerate(names[1:], 1):
            if not isinstance(value, ModuleType) or self._counts_by_name(value):
                return tuple(names[:i]), value
            value = getattr(value, name, None)
        return tuple(names), value

    def _class(self, cls: type, path: str) -> None:
        self.modules.add(cls.__module__)
        self.put("class", cls.__qualname__)
        self._items(cls.__bases__, path)
        if isinstance(cls, EnumMeta):
            members: Mapping[str, Any] = cls.__members__
            for name, member in members.items():
                self.put(name)
                self.feed(member._value_, f"{path}.{name}")
        fields = getattr(cls, "_fields", ())  # of a named tuple: places, not values
        for name, value in sorted(vars(cls).items()):
            code = isinstance(value, (FunctionType, Dispatcher, *_DESCRIPTORS))
            data = not (name.startswith("__") or name == "_abc_impl" or isinstance(cls, EnumMeta))
            if code or (data and name not in fields and not isinstance(value, _IN_C)):
                self.put(name)
                self.feed(value, f"{path}.{name}")

    def _numba_type(self, kind: Any, path: str) -> None:
        """Count a type of Numba's; those of compiled classes are named after a place in memory."""
        compiled = getattr(kind, "class_type", kind)
        if hasattr(compiled, "struct"):
            parts = ("struct", "methods", "static_methods", "jit_props")
            self.feed(tuple(dict(getattr(compiled, part)) for part in parts), path)
        elif "#" in str(kind):
            self._unknown(kind, path)
        else:
            self.put("type", str(kind))


def same_rule_value(one: Any, two: Any) -> bool:
    """True if no code could tell one value from the other, as far as they can be followed."""
    try:
        return one is two or digest_rule_value(one, "") == digest_rule_value(two, "")
    except OutOfReach:
        return False


def read_rule_value(function: FunctionType, names: tuple[str, ...]) -> Any:
    """The value that a function reads by a chain of names, at this moment."""
    value = function.__globals__.get(names[0])
    for name in names[1:]:
        value = getattr(value, name, None)
    return value


def digest_rule_value(thing: Any, path: str, own: str = "") -> str:
    """64 hex digits that change when a value does, or anything it reaches; as `Reach.feed`."""
    reach = Reach(own)
    reach.feed(thing, path)
    return reach.text


def _home(thing: Any) -> str:
    """Name of the module that a function, a class or a module stands in."""
    if isinstance(thing, ModuleType):
        return thing.__name__
    owner = getattr(thing, "__objclass__", getattr(thing, "__self__", thing))
    kind = owner if isinstance(owner, type) else type(owner)
    return str(getattr(thing, "__module__", None) or kind.__module__)


@lru_cache(maxsize=1024)
def _external(home: str) -> bool:
    """True for modules of Python, NumPy and Numba: versions stand for what is in them."""
    root = home.partition(".")[0]
    file = getattr(sys.modules.get(root), "__file__", None) or _STDLIB
    return root in ("numpy", "numba") or (
        root in sys.stdlib_module_names and file.startswith(_STDLIB)
    )
