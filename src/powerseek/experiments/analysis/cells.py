"""The cells of a study: what the summary says of each, and the trials behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from powerseek.experiments.analysis.view import View
from powerseek.experiments.results.table import row_codes, rows_by_cell
from powerseek.experiments.study.factors import factors_in_words, telling_factors
from powerseek.types import Floats, Ints


@dataclass(frozen=True)
class Cell:
    """One cell of a world.

    Attributes:
        label: What it is, in words.
        row: Its row of the summary.
        trials: The trials of all cells.
        places: Which of them are its.
    """

    label: str
    row: dict[str, Any]
    trials: pd.DataFrame = field(repr=False)
    places: Ints = field(repr=False)

    @property
    def seeds(self) -> pd.DataFrame:
        """Its trials, taken anew each time; of a single measure `values` is quicker."""
        return self.trials.iloc[self.places]

    def values(self, measure: str, scored: bool = False) -> Floats:
        """A measure of its trials, or of those behind its power measures: see `cells.scored`."""
        learnt = self.trials["learnt"].to_numpy()[self.places]
        places = self.places[learnt] if scored and learnt.any() else self.places
        return np.asarray(self.trials[measure].to_numpy()[places], dtype=np.float64)


def none_learnt(row: Mapping[str, Any]) -> bool:
    """True if a cell, by its row of the summary, has trials and none of them learnt the task."""
    return bool(row["seeds"] > 0 and row["censored"] == row["seeds"])


Worlds: TypeAlias = dict[str, list[Cell]]
"""The cells of each world, in the order of the study."""


def cells_of(view: View) -> Worlds:
    """The cells of each world, in the order of the study."""
    if view.summary.empty:
        return {}
    places = _places(view)
    worlds: Worlds = {}
    for world, here in view.summary.groupby("world", sort=False):
        names = telling_factors(here, view.keys)
        worlds[str(world)] = [
            Cell(factors_in_words(row, names), row, view.trials, places[i])
            for i, row in zip(here.index, cell_records(here), strict=True)
        ]
    return worlds


def _places(view: View) -> list[Ints]:
    """The trials of each row of the summary."""
    together = pd.concat([view.summary[view.keys], view.trials[view.keys]], ignore_index=True)
    cell = row_codes(together, view.keys)[len(view.summary) :]
    order = np.argsort(cell, kind="stable")
    sizes = np.bincount(cell, minlength=len(view.summary))
    return np.split(order, np.cumsum(sizes)[:-1])


def trial_rows(cells: Sequence[Cell]) -> Ints:
    """The trials of some cells."""
    return np.concatenate([cell.places for cell in cells])


def cell_factors(cells: Sequence[Cell], keys: Sequence[str]) -> pd.DataFrame:
    """Some factors of cells, a row a cell."""
    return pd.DataFrame([{key: cell.row[key] for key in keys} for cell in cells])


def settings_of(
    cells: Sequence[Cell], keys: Sequence[str], apart: Sequence[str]
) -> list[tuple[str, dict[str, object], list[Cell]]]:
    """Cells of a world that differ only in the factors `apart`, setting by setting.

    Of each setting what varies of it in words, its factors, and its cells.
    """
    table = cell_factors(cells, keys)
    others = [key for key in keys if key not in apart]
    names = telling_factors(table, [key for key in others if key != "world"])
    return [
        (factors_in_words(shared, names), shared, [cells[i] for i in rows.index])
        for shared, rows in rows_by_cell(table, others)
    ]


def cell_records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as mappings from column names."""
    return [{str(k): v for k, v in row.items()} for row in table.to_dict("records")]
