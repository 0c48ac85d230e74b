"""A new world as a package of its own: what `powerseek new-world` writes."""

from __future__ import annotations

import keyword
import re
import tempfile
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from string import Template
from typing import NamedTuple

import powerseek
from powerseek.errors import InvalidInput
from powerseek.experiments.results.files import folder_of
from powerseek.registry import worlds

NAMESPACE = "my"
"""Namespace of a name that is given without one."""

LONGEST = 20
_PART = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_USED = {"A", "Any", "ClassVar", "F", "Fact", "Param", "World", "X"}
"""What the written module calls other things."""

FILES = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "study.yaml": "study.yaml",
    "src/$package/__init__.py": "init.py",
    "src/$package/py.typed": "",
    "src/$package/world.py": "world.py",
    "tests/test_$module.py": "test.py",
}
"""File -> template, "" for an empty one."""


class Names(NamedTuple):
    """Names of a new world, by place.

    Attributes:
        id: In studies: ``lab.apple-orchard``.
        distribution: For pip: ``lab-apple-orchard``.
        package: For import: ``lab_apple_orchard``.
        module: In file names: ``apple_orchard``.
        title: The class: ``AppleOrchard``.
    """

    id: str
    distribution: str
    package: str
    module: str
    title: str


def new_world_names(name: str) -> Names:
    """Names of a world by the one that a user gives: ``lab.orchard``, or ``orchard``.

    Raises:
        InvalidInput: A name of another form, or one that is taken.
    """
    namespace, _, own = name.rpartition(".")
    found = _names(namespace or NAMESPACE, own)
    if found is None or namespace == "powerseek":
        raise InvalidInput(
            "NAME",
            name,
            f"namespace.world, each of at most {LONGEST} small letters, digits and hyphens",
            f"Write: powerseek new-world {_suggested(namespace, own)}",
        )
    taken = [f"world {id!r}" for id in (name, found.id) if worlds.taken(id)]
    if find_spec(found.package) is not None:
        taken.append(f"package {found.package!r}")
    if taken:
        allowed = f"a name that is free (there is a {taken[0]} already)"
        hint = f"Write: powerseek new-world {namespace or 'lab'}.my-{own[: LONGEST - 3]}"
        raise InvalidInput("NAME", name, allowed, hint)
    return found


def _names(namespace: str, own: str) -> Names | None:
    """None where a part has another form than it must have."""
    if not all(_PART.fullmatch(part) and len(part) <= LONGEST for part in (namespace, own)):
        return None
    title = "".join(word.capitalize() for word in own.split("-"))
    if title in _USED or keyword.iskeyword(title):
        return None
    both = f"{namespace}-{own}"
    return Names(f"{namespace}.{own}", both, both.replace("-", "_"), own.replace("-", "_"), title)


def _suggested(namespace: str, own: str) -> str:
    """A name that would do, as near as can be."""
    near, world = (
        re.sub(r"[^a-z0-9]+", "-", part.lower())[:LONGEST].strip("-") for part in (namespace, own)
    )
    group = near if near and near != "powerseek" else "lab"
    return f"{group}.{world}" if _names(group, world) else "lab.orchard"


def make_new_world(name: str, out: str | None = None) -> tuple[Names, Path]:
    """Write the package of a new world: all of it, or nothing.

    Args:
        name: Its id, ``lab.orchard``; without a namespace it gets `NAMESPACE`.
        out: The folder; by default the world's own name, here.

    Returns:
        What it is called, and the folder.

    Raises:
        InvalidInput: A bad or taken name, or a folder that is not empty or cannot be written.
    """
    names = new_world_names(name)
    folder = folder_of(out if out is not None else names.id.rpartition(".")[2])
    _check_free(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".new-world-") as made:
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


def package_files(names: Names) -> dict[str, str]:
    """Path -> text of every file of the package."""
    fields = {**names._asdict(), "version": powerseek.__version__}
    templates = resources.files("powerseek.experiments.cli") / "templates" / "world"
    return {
        Template(path).substitute(fields): Template(
            (templates / f"{template}.txt").read_text(encoding="utf-8") if template else ""
        ).substitute(fields)
        for path, template in FILES.items()
    }
