"""Studies: a study file becomes trials, a sweep, a table of results and a report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from powerseek.errors import SweepStopped
from powerseek.lazy import lazily

if TYPE_CHECKING:
    from powerseek.experiments.run import FailedTrial, Finished, run_study
    from powerseek.experiments.study.schema import Study, load_study, make_study

__all__ = [
    "FailedTrial",
    "Finished",
    "Study",
    "SweepStopped",
    "load_study",
    "make_study",
    "run_study",
]

# The sweep is slow to import.
__getattr__, __dir__ = lazily(
    __name__,
    __all__,
    dict.fromkeys(("FailedTrial", "Finished", "run_study"), "powerseek.experiments.run")
    | dict.fromkeys(("Study", "load_study", "make_study"), "powerseek.experiments.study.schema"),
)
