"""Trials by cell, as numbers: so that the arms of thousands of comparisons are paired at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import nan

import numpy as np
import pandas as pd

from powerseek.experiments.results.table import KEYS, STRATUM, Results, codes, dials, long, trials
from powerseek.experiments.study.contrasts import KINDS, SHARE_BEYOND, Contrast
from powerseek.types import Bools, Floats, Ints


@dataclass(frozen=True)
class Pair:
    """Two arms of one setting, and what of them is compared.

    Attributes:
        kind: Kind of comparison.
        setting: The dials that both arms share.
        a: Value of the kind's dial in the first arm, or a trend.
        b: Value in the second, nan for a trend, None for a level.
        first: Cells of the first arm; of every arm but the lowest for a trend.
        second: Cells of the second arm; of the lowest for a trend; none for a level.
        measure: What is compared.
        margin: Smallest difference of interest set beforehand, nan if none was.
        line: Value that a - b is held against.
        confound: What else differs between the arms, in words.
    """

    kind: Contrast
    setting: dict[str, object]
    a: object
    b: object
    first: tuple[int, ...]
    second: tuple[int, ...]
    measure: str = ""
    margin: float = nan
    line: float = 0.0
    confound: str = ""


class Arms:
    """All trials that ended, by cell.

    A trial that failed is here too, ``failed``, not ``learnt`` and without any measure: were it
    left out, an arm that crashes in half of its seeds would pass for one that always learns.

    Args:
        results: As written by a sweep.

    Attributes:
        keys: Columns that make a cell.
        cells: What each cell is, in the order of the study.
        cell: [trials] number of its cell.
        unit: [trials] number of its seed and layout, by which arms are paired.
        layout: [trials] number of its layout.
        learnt: [trials] whether it learnt the task.
        failed: [trials] whether it ended in an error.
    """

    def __init__(self, results: Results) -> None:
        results = long(results)
        self.keys = dials(results)
        self._finished = trials(results)
        about = self._finished[list(KEYS)]
        if len(lost := results.lost):
            known = lost[list(KEYS)].astype(about.dtypes.to_dict())
            about = pd.concat([about, known], ignore_index=True)
        finished = len(self._finished)
        self.failed = np.arange(len(about)) >= finished
        self.learnt = np.zeros(len(about), dtype=bool)
        self.learnt[:finished] = self._finished["learnt"]
        self.cell = codes(about, self.keys)
        self.unit = codes(about, ["seed", STRATUM])
        self.layout = codes(about, [STRATUM])
        first = np.unique(self.cell, return_index=True)[1]
        self.cells = about[self.keys].iloc[first].reset_index(drop=True)
        self.sizes = np.bincount(self.cell, minlength=len(first))
        self._order = np.lexsort((self.unit, self.cell))
        self._starts = np.concatenate([[0], np.cumsum(self.sizes)])
        self._values: dict[str, Floats] = {}

    def rows(self, cells: Ints) -> tuple[Ints, Ints]:
        """The trials of some cells, by unit within each: (place in `cells`, trial), both [rows]."""
        sizes = self.sizes[cells]
        place = np.repeat(np.arange(len(cells)), sizes)
        within = np.arange(len(place)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        return place, self._order[self._starts[cells][place] + within]

    def values(self, measure: str) -> Floats:
        """[trials] a measure, nan where there is none."""
        if measure not in self._values:
            known = self._share_beyond() if measure == SHARE_BEYOND else self._finished[measure]
            found = np.full(len(self.cell), nan)
            found[: len(known)] = known
            self._values[measure] = found
        return self._values[measure]

    def known(self, measure: str) -> Bools:
        """[cells] whether any trial has the measure."""
        has = self.cell[~np.isnan(self.values(measure))]
        return np.asarray(np.bincount(has, minlength=len(self.cells)) > 0)

    def total(self, trials: Bools) -> Ints:
        """[cells] how many of its trials are among these."""
        return np.bincount(self.cell[trials], minlength=len(self.cells))

    @cached_property
    def reach(self) -> Floats:
        """[cells] share of the trials that learnt the task."""
        return np.asarray(self.total(self.learnt) / self.sizes, dtype=np.float64)

    @cached_property
    def failures(self) -> Ints:
        """[cells] trials that failed."""
        return self.total(self.failed)

    @cached_property
    def records(self) -> list[dict[str, object]]:
        """What each cell is; nan for what is missing."""
        told = self.cells.astype(object).where(self.cells.notna(), nan)
        return [{str(k): v for k, v in row.items()} for row in told.to_dict("records")]

    def _share_beyond(self) -> Floats:
        """(excess - incentive) / attainable surplus, with surplus = excess / share_of_surplus."""
        table = self._finished
        share = table["share_of_surplus"]
        surplus = (table["excess"] / share).where(share.abs() > 1e-9)
        usual = surplus.groupby(self.cell[: len(table)]).transform("median")
        found = (table["excess"] - table["incentive"]) / surplus.fillna(usual)
        return found.to_numpy(dtype=np.float64)

    def settings(self, kind: Contrast) -> Iterator[tuple[dict[str, object], dict[object, int]]]:
        """Each setting in which arms of a kind may be compared, and its cell at each of its arms.

        Paid agents are the positive control: no other kind of comparison sees them, unless all
        agents of a world are paid.
        """
        dial = KINDS[kind].dial
        if dial not in self.keys or self.cells.empty:
            return
        kept = np.arange(len(self.cells))
        if dial != "power_weight":
            weight = self.cells["power_weight"]
            unpaid = weight.eq(0).groupby(self.cells["world"]).transform("any")
            kept = kept[(~unpaid | weight.eq(0)).to_numpy(dtype=bool)]
        names = [key for key in self.keys if key != dial]
        group = codes(self.cells.iloc[kept], names)
        order = np.argsort(group, kind="stable")
        for members in np.split(kept[order], np.flatnonzero(np.diff(group[order])) + 1):
            told = self.records[members[0]]
            arms = {self.records[cell][dial]: int(cell) for cell in members}
            yield {name: told[name] for name in names}, arms
