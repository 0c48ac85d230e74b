"""A study's results in every form that is shown, each computed once."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import pandas as pd

from powerseek.experiments import layout
from powerseek.experiments.analysis.contrasts import contrasts
from powerseek.experiments.analysis.summary import summarise
from powerseek.experiments.report.hypotheses import Verdicts, refer, verdicts_of
from powerseek.experiments.results.integrity import check_format
from powerseek.experiments.results.parameters import told
from powerseek.experiments.results.table import Results, dials, learners, long, read_long, trials


class View:
    """What the terminal, the pictures, the page and the summary show of one study.

    Args:
        results: As written by a sweep; in memory, or from `cells.read_long`.
        folder: Directory of the study, for what lies beside the results: its registration,
            frontiers, curves. Without one there are none.

    Attributes:
        results: All of them, in the form in which `cells.trials` and the like read them.
        trained: Those of agents that learn; all of them where none does.
        references: Those of the agents that do not learn, in a study that has both.

    Raises:
        InvalidInput: Columns are missing.
    """

    def __init__(self, results: Results, folder: Path | str | None = None) -> None:
        self.results = long(results)
        self.folder = None if folder is None else Path(folder)
        self.trained, self.references = learners(self.results)

    @classmethod
    def read(cls, folder: Path | str) -> View:
        """The study in a directory, its results read by columns as they are asked for.

        Raises:
            InvalidInput: There are no results, they cannot be read, or columns are missing.
            StoreError: They are of another format.
        """
        check_format(Path(folder))
        return cls(read_long(folder), folder)

    @cached_property
    def keys(self) -> list[str]:
        """Columns that make a cell of the trained agents."""
        return dials(self.trained)

    @cached_property
    def trials(self) -> pd.DataFrame:
        """One row a finished trial of the trained agents; see `cells.trials`."""
        return trials(self.trained)

    @cached_property
    def summary(self) -> pd.DataFrame:
        """One row a cell of the trained agents; see `table.summarise`."""
        return summarise(self.trained)

    @cached_property
    def verdicts(self) -> Verdicts:
        """What became of the study's hypotheses; none without a folder."""
        return Verdicts() if self.folder is None else verdicts_of(self.trained, self.folder)

    @cached_property
    def compared(self) -> pd.DataFrame:
        """One row a comparison; see `contrasts.contrasts`."""
        return refer(contrasts(self.trained), self.verdicts.found)

    def table(self, name: str) -> pd.DataFrame | None:
        """A table beside the results (``frontiers``, ``curves``), None where there is none."""
        path = None if self.folder is None else layout.table(self.folder, name)
        if path is None or not path.is_file():
            return None
        return told(pd.read_parquet(path), self.results.words)
