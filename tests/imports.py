"""What modules import, read off their source, and the circles that they make."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import powerseek

PACKAGE = Path(powerseek.__file__).parent
ROOMS = ("agents", "envs", "exact", "experiments", "metrics")
PATHS = sorted(p.relative_to(PACKAGE).as_posix() for p in PACKAGE.rglob("*.py"))
"""Every module of ours, relative to the package."""


class Import(NamedTuple):
    """One imported module, and whether type checkers alone see the import."""

    module: str
    line: int
    typing_only: bool = False


def name_of(path: str) -> str:
    """``powerseek.envs.world`` of ``envs/world.py``, ``powerseek.envs`` of its ``__init__``."""
    return ".".join(["powerseek", *Path(path).with_suffix("").parts]).removesuffix(".__init__")


NAMES = frozenset(map(name_of, PATHS))


def imports(path: str, source: str, names: AbstractSet[str] = NAMES) -> Iterator[Import]:
    """Every import of the module at `path`, inside functions too, and ``import_module("x")``.

    Args:
        path: Relative to the package.
        source: Its source.
        names: Modules of ours: ``from powerseek.exact import mdp`` imports one.
    """
    package = ".".join(["powerseek", *Path(path).parts[:-1]])
    tree = ast.parse(source)
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        for module in dict.fromkeys(_imported(node, package, names)):
            yield Import(module, getattr(node, "lineno", 0), id(node) in typing_only)


def _imported(node: ast.AST, package: str, known: AbstractSet[str]) -> list[str]:
    match node:
        case ast.Import(names=names):
            return [alias.name for alias in names]
        case ast.ImportFrom(module=module, names=names, level=level):
            base = package.split(".")[: len(package.split(".")) + 1 - level] if level else []
            stem = ".".join([*base, *([module] if module else [])])
            # `from powerseek import exact` imports a room, `from powerseek.exact import x` too.
            whole = [f"{stem}.{alias.name}" for alias in names]
            return [name if stem == "powerseek" or name in known else stem for name in whole]
        case ast.Call(func=func, args=[ast.Constant(value=str(module)), *_]) if ast.unparse(
            func
        ).rpartition(".")[2] in {"import_module", "__import__"}:
            return [module]
        case ast.Attribute(value=ast.Name(id="powerseek"), attr=attr) if attr in ROOMS:
            return [f"powerseek.{attr}"]
    return []


def circle(sources: Mapping[str, str]) -> list[str]:
    """Modules each of which imports the next, the last one the first; [] where none do.

    Args:
        sources: Source by path. What type checkers alone import makes no circle.
    """
    names = {name_of(path) for path in sources}
    graph = {
        name_of(path): {
            _module(found.module, names)
            for found in imports(path, source, names)
            if not found.typing_only
        }
        - {name_of(path), ""}
        for path, source in sources.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def _module(name: str, names: set[str]) -> str:
    """The module that a name is, or is in; "" where it is none of these."""
    while name and name not in names:
        name = name.rpartition(".")[0]
    return name
