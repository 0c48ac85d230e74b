"""Studies: a study file becomes trials, a sweep, a table of results and a report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from powerseek.errors import SweepStopped

if TYPE_CHECKING:
    from powerseek.experiments.run import Finished, run_study
    from powerseek.experiments.study.schema import Study, load_study, make_study

__all__ = ["Finished", "Study", "SweepStopped", "load_study", "make_study", "run_study"]
_HOMES = {
    **dict.fromkeys(("Finished", "run_study"), "run"),
    **dict.fromkeys(("Study", "load_study", "make_study"), "study"),
}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for: the sweep is slow to import."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
