"""Start-up of gymnasium ids: they are known wherever gymnasium is, without importing powerseek.

gymnasium has read no plugins since 1.0, so ``powerseek.pth`` imports this module when Python
starts. It waits until gymnasium has been imported, and registers the ids then; a process without
gymnasium pays for one comparison an import.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # every Python of the environment runs this: typing alone would cost it 5 ms
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any


class AfterGymnasium:
    """Finder of modules that finds none, and has the ids registered after gymnasium's import."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of gymnasium as others find it, with `register` after it; None of the rest."""
        if name != "gymnasium":
            return None
        sys.meta_path.remove(self)
        found = (finder.find_spec(name, path, target) for finder in sys.meta_path)
        spec = next((spec for spec in found if spec is not None), None)
        if spec is not None and spec.loader is not None:
            loader: Any = spec.loader
            run = loader.exec_module

            def exec_module(module: ModuleType) -> None:
                run(module)
                register()

            loader.exec_module = exec_module
        return spec


def register() -> None:
    """Register the ids; what goes wrong is a warning, for gymnasium is not to blame."""
    from importlib.util import module_from_spec, spec_from_file_location
    from pathlib import Path

    try:
        # By its place: importing powerseek.ids would import powerseek.
        path = Path(__file__).with_name("powerseek") / "ids.py"
        spec = spec_from_file_location("powerseek_ids", path)
        assert spec is not None
        assert spec.loader is not None
        ids = module_from_spec(spec)
        spec.loader.exec_module(ids)
        ids.register_ids()
    except Exception as error:
        import warnings

        warnings.warn(f"no gymnasium ids of powerseek: {error}", stacklevel=2)


if "gymnasium" not in sys.modules:
    sys.meta_path.insert(0, AfterGymnasium())
