"""A package with a world, an agent, a reward or a metric of one's own: what `new-world` writes."""

from __future__ import annotations

import ast
import builtins
import keyword
import re
import tempfile
from functools import cache
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

import powerseek
from powerseek.errors import InvalidInput
from powerseek.experiments.results.files import folder_of
from powerseek.registry import Registry, agents, metrics, rewards, worlds

NAMESPACE = "my"
"""Namespace of a name that is given without one."""

LONGEST = 20
_PART = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


class Kind(NamedTuple):
    """A kind of plugin.

    Attributes:
        registry: Where its ids are.
        example: Such an id.
        look: The command that shows a new one.
    """

    registry: Registry[Any]
    example: str
    look: str


KINDS = {
    "world": Kind(worlds, "lab.orchard", "powerseek check"),
    "agent": Kind(agents, "lab.learner", "powerseek agents"),
    "reward": Kind(rewards, "lab.halves", "powerseek rewards"),
    "metric": Kind(metrics, "lab.pace", "powerseek metrics"),
}

FILES = {
    "pyproject.toml": "plugin/pyproject.toml",
    "README.md": "$kind/README.md",
    "study.yaml": "$kind/study.yaml",
    "src/$package/__init__.py": "plugin/init.py",
    "src/$package/py.typed": "",
    "src/$package/$kind.py": "$kind/$kind.py",
    "tests/test_$module.py": "$kind/test.py",
}
"""File -> template, "" for an empty one."""


class Names(NamedTuple):
    """Names of something new, by place.

    Attributes:
        kind: What it is: ``world``.
        id: In studies: ``lab.apple-orchard``.
        distribution: For pip: ``lab-apple-orchard``.
        package: For import: ``lab_apple_orchard``.
        module: In file names: ``apple_orchard``.
        name: In its module: the class ``AppleOrchard``, or a metric's function ``apple_orchard``.
    """

    kind: str
    id: str
    distribution: str
    package: str
    module: str
    name: str


def new_names(kind: str, name: str) -> Names:
    """Names of something new by the one that a user gives: ``lab.orchard``, or ``orchard``.

    Raises:
        InvalidInput: A name of another form, or one that is taken.
    """
    namespace, _, own = name.rpartition(".")
    found = _names(kind, namespace or NAMESPACE, own)
    if found is None or namespace == "powerseek":
        raise InvalidInput(
            "NAME",
            name,
            f"namespace.{kind}, each of at most {LONGEST} small letters, digits and hyphens",
            f"Write: powerseek new-{kind} {_suggested(kind, namespace, own)}",
        )
    registry = KINDS[kind].registry
    taken = [f"{kind} {id!r}" for id in (name, found.id) if registry.taken(id)]
    if find_spec(found.package) is not None:
        taken.append(f"package {found.package!r}")
    if taken:
        allowed = f"a name that is free (there is a {taken[0]} already)"
        hint = f"Write: powerseek new-{kind} {namespace or 'lab'}.my-{own[: LONGEST - 3]}"
        raise InvalidInput("NAME", name, allowed, hint)
    return found


def _names(kind: str, namespace: str, own: str) -> Names | None:
    """None where a part has another form than it must have."""
    if not all(_PART.fullmatch(part) and len(part) <= LONGEST for part in (namespace, own)):
        return None
    module = own.replace("-", "_")
    name = module if kind == "metric" else "".join(map(str.capitalize, own.split("-")))
    if keyword.iskeyword(name) or hasattr(builtins, name) or name in _bound(kind):
        return None
    both = f"{namespace}-{own}"
    return Names(kind, f"{namespace}.{own}", both, both.replace("-", "_"), module, name)


@cache
def _bound(kind: str) -> frozenset[str]:
    """What else has a name in the module that is written."""
    own = Names(kind, "lab.own", "lab-own", "lab_own", "own", "_own")
    module = ast.parse(package_files(own)[f"src/{own.package}/{kind}.py"])
    found = {own.name}
    for node in module.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            found |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.ClassDef | ast.FunctionDef):
            found.add(node.name)
        else:
            names = (one for one in ast.walk(node) if isinstance(one, ast.Name))
            found |= {one.id for one in names if isinstance(one.ctx, ast.Store)}
    return frozenset(found - {own.name})


def _suggested(kind: str, namespace: str, own: str) -> str:
    """A name that would do, as near as can be."""
    near, last = (
        re.sub(r"[^a-z0-9]+", "-", part.lower())[:LONGEST].strip("-") for part in (namespace, own)
    )
    group = near if near and near != "powerseek" else "lab"
    return f"{group}.{last}" if _names(kind, group, last) else KINDS[kind].example


def make_new(kind: str, name: str, out: str | None = None) -> tuple[Names, Path]:
    """Write the package of something new: all of it, or nothing.

    Args:
        kind: One of `KINDS`.
        name: Its id, ``lab.orchard``; without a namespace it gets `NAMESPACE`.
        out: The folder; by default its own name, here.

    Returns:
        What it is called, and the folder.

    Raises:
        InvalidInput: A bad or taken name, or a folder that is not empty or cannot be written.
    """
    names = new_names(kind, name)
    folder = folder_of(out if out is not None else names.id.rpartition(".")[2])
    _check_free(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".new-") as made:
            for path, text in package_files(names).items():
                (made / Path(path)).parent.mkdir(parents=True, exist_ok=True)
                (made / Path(path)).write_text(text, encoding="utf-8")
            for child in Path(made).iterdir():
                child.replace(folder / child.name)
    except OSError as error:
        allowed = f"a folder that can be written ({error.strerror})"
        raise InvalidInput("--out", str(folder), allowed, "Choose another --out.") from None
    return names, folder


def _check_free(folder: Path) -> None:
    try:
        free = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    except OSError:
        free = False
    if not free:
        allowed = "a folder that is empty or does not exist"
        hint = f"Write --out {folder.name}-2, or move what is there."
        raise InvalidInput("--out", str(folder), allowed, hint)


def next_steps(names: Names, folder: str) -> list[list[str]]:
    """The commands to go on with, for a package in `folder`, in words."""
    return [
        ["pip", "install", "-e", f"{folder}[test]"],
        [*KINDS[names.kind].look.split(), names.id],
        ["pytest", folder],
        ["powerseek", "sweep", str(Path(folder) / "study.yaml")],
    ]


def package_files(names: Names) -> dict[str, str]:
    """Path -> text of every file of the package."""
    fields = {
        **names._asdict(),
        "Kind": names.kind.capitalize(),
        "version": powerseek.__version__,
    }
    templates = resources.files("powerseek.experiments.cli") / "templates"

    def filled(text: str) -> str:
        return Template(text).substitute(fields)

    return {
        filled(path): filled((templates / f"{filled(file)}.txt").read_text("utf-8") if file else "")
        for path, file in FILES.items()
    }
