"""Files of Python with worlds in them: ``orchard.py:Orchard`` stands wherever a world's id does."""

from __future__ import annotations

import hashlib
import re
import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

_FORM = re.compile(r"(?P<path>.+\.py)(:(?P<name>.*))?")

FILES: dict[str, str] = {}
"""Modules imported from such files, and the absolute path of each: what workers need."""


def parse_reference(text: object) -> tuple[Path, str] | None:
    """(path, name) of ``PATH.py:NAME``, the name "" where it is left out; None of other text."""
    found = _FORM.fullmatch(text) if isinstance(text, str) else None
    return (Path(found["path"]).absolute(), found["name"] or "") if found else None


def module_of(path: Path) -> str:
    """Name of the module that a file is imported as.

    ``__main__`` where it is the script that runs; the file's own name, unless that is taken by
    something else; then with a digest of the path.
    """
    held = {name: Path(kept) for name, kept in FILES.items()}
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    if main is not None:
        held["__main__"] = Path(main)
    for name, kept in held.items():
        if kept.resolve() == path.resolve():
            return name
    name = re.sub(r"\W", "_", path.stem)
    digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]
    return f"{name}_{digest}" if _is_taken(name, path) else name


def is_imported(path: Path) -> bool:
    """True if a file has been imported, or is the script that runs."""
    return module_of(path) in {*FILES, "__main__"}


def _is_taken(name: str, path: Path) -> bool:
    """True if importing `name` would find something else than the file at `path`."""
    known: ModuleSpec | None
    try:
        known = find_spec(name)
    except (ImportError, ValueError):  # a module without a spec
        return True
    return known is not None and Path(known.origin or "").resolve() != path.resolve()


def import_file(path: str | Path, name: str) -> ModuleType:
    """The module `name` from a file, imported once.

    What lies beside the file can be imported by it, after all that is installed.

    Raises:
        ImportError: There is no such file.
        Exception: Whatever it raises.
    """
    if name in sys.modules:
        return sys.modules[name]
    path = Path(path)
    if not path.is_file():
        raise ImportError(f"there is no file {path}", name=name)
    spec = spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    FILES[name] = str(path)
    return module
