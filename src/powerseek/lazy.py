"""Public names imported when first used (PEP 562), so that packages are quick to import."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any


def lazily(
    package: str, public: Iterable[str], homes: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` of a package that imports some names when first used.

    It imports them under ``TYPE_CHECKING`` as well, for type checkers.

    Args:
        package: Its ``__name__``.
        public: Its ``__all__``.
        homes: Name -> module that has it, or that is it: ``{"envs": "powerseek.envs"}``.
    """

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home = import_module(homes[name])
        return home if home.__name__ == f"{package}.{name}" else getattr(home, name)

    return get, lambda: sorted({*vars(sys.modules[package]), *public})
