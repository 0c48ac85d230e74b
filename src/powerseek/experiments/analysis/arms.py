"""Trials by cell, as numbers: so that arms are compared thousands of times at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import nan
from typing import Any

import numpy as np
import pandas as pd

from powerseek.agents.spec import agent_id
from powerseek.experiments.results.reading import BEST
from powerseek.experiments.results.table import (
    STRATUM,
    Results,
    agent_ids,
    distinct_codes,
    json_column,
    long_table,
    results_factors,
    reward_places,
    row_codes,
    trials,
)
from powerseek.experiments.study.contrasts import SHARE_BEYOND
from powerseek.experiments.study.factors import FACTORS, PREFIX, Level, factor_columns
from powerseek.types import Bools, Floats, Ints

LEAST_WIDTH = 0.1
"""Units below which no shares of a width of W are formed."""


@dataclass(frozen=True)
class Pair:
    """Two arms of one setting, and what of them is compared.

    Attributes:
        kind: Kind of comparison, by its name; ``interaction`` for that of two factors.
        setting: The factors that both arms share, by column.
        a: Level of the kind's factor in the first arm, or a trend; of an interaction both greatest.
        b: Level in the second, nan for a trend, None for a level; of an interaction both least.
        first: Cells of the first arm; of every arm but the lowest for a trend; of an interaction
            those that count for it: both factors at their greatest, then both at their least.
        second: Cells of the second arm; of the lowest for a trend; none for a level; of an
            interaction those that count against it: the first factor at its least, the second.
        measure: What is compared.
        margin: Smallest difference of interest set beforehand, nan if none was.
        null_value: Value that a - b is held against.
        confound: True if the arms differ in what they pay too, not in timing alone.
        gated: Whether seeds count only that learnt the task; not where power itself is paid.
        evaluation: Rows of which evaluation; ``best`` of the exact one where there is one.
        scaled: Whether each cell is divided by its setting's width, the margin being one of W.
        threshold: Of a tail, the value beyond which seeds are counted; the margin is then the
            fraction of them that is claimed.
    """

    kind: str
    setting: dict[str, Level]
    a: Any
    b: Any
    first: tuple[int, ...]
    second: tuple[int, ...]
    measure: str = ""
    margin: float = nan
    null_value: float = 0.0
    confound: bool = False
    gated: bool = True
    evaluation: str = BEST
    scaled: bool = False
    threshold: float = nan

    @property
    def cells(self) -> tuple[int, ...]:
        """All its cells, those of the first arm before those of the second."""
        return (*self.first, *self.second)


class Arms:
    """All trials that ended, by cell.

    A trial that failed is here too, ``failed``, not ``learnt`` and without any measure: were it
    left out, an arm that crashes in half of its seeds would pass for one that always learns.

    Args:
        results: As written by a sweep.
        checkpoint: Where the measures are read. A trial that never came there counts as one that
            did not learn the task.

    Attributes:
        keys: Columns that make a cell.
        places: Where the rewards lie on the factors of rewards, by label.
        cells: What each cell is, in the order of the study.
        cell: [trials] number of its cell.
        unit: [trials] number of its seed and layout, by which the trials of a cell are ordered.
        layout: [trials] number of its layout.
        seed: [trials] number of its seed.
        learnt: [trials] whether it learnt the task.
        failed: [trials] whether it ended in an error.
    """

    def __init__(self, results: Results, checkpoint: str = "end") -> None:
        results = long_table(results)
        self.keys = results_factors(results)
        self.places = reward_places(results)
        self._finished = trials(results, checkpoint=checkpoint)
        about = self._finished[results.known]
        here = results.every["trial"].isin(self._finished["trial"]).to_numpy()
        failed = results.failed
        for others in (results.every[~here & ~failed], results.every[failed]):
            if len(others):
                known = others[results.known].astype(about.dtypes.to_dict())
                about = pd.concat([about, known], ignore_index=True)
        finished = len(self._finished)
        self.failed = np.arange(len(about)) >= len(about) - int(failed.sum())
        self.learnt = np.zeros(len(about), dtype=bool)
        self.learnt[:finished] = self._finished["learnt"]
        self.cell = row_codes(about, self.keys)
        self.unit = row_codes(about, ["seed", STRATUM])
        self.layout = row_codes(about, [STRATUM])
        self.seed = row_codes(about, ["seed"])
        first = np.unique(self.cell, return_index=True)[1]
        self.cells = about[self.keys].iloc[first].reset_index(drop=True)
        self._about = about.iloc[first]
        self.sizes = np.bincount(self.cell, minlength=len(first))
        self._order = np.lexsort((self.unit, self.cell))
        self._starts = np.concatenate([[0], np.cumsum(self.sizes)])
        self._values: dict[tuple[str, str], Floats] = {}
        self._results, self._checkpoint = results, checkpoint

    def rows(self, cells: Ints) -> tuple[Ints, Ints]:
        """The trials of some cells, by unit within each: (place in `cells`, trial), both [rows]."""
        sizes = self.sizes[cells]
        place = np.repeat(np.arange(len(cells)), sizes)
        within = np.arange(len(place)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        return place, self._order[self._starts[cells][place] + within]

    def values(self, measure: str, evaluation: str = BEST) -> Floats:
        """[trials] a measure, nan where there is none."""
        key = measure, evaluation
        if key not in self._values:
            column = np.full(len(self.cell), nan)
            if measure == SHARE_BEYOND:
                known: pd.Series | None = self._share_beyond()
            elif evaluation == BEST:
                known = self._finished.get(measure)
            else:
                table = trials(self._results, evaluation, self._checkpoint).set_index("trial")
                known = table.get(measure)
                known = None if known is None else known.reindex(self.trial)
            if known is not None:
                column[: len(known)] = known
            self._values[key] = column
        return self._values[key]

    @cached_property
    def trial(self) -> pd.Series:
        """[finished] keys of the trials that finished: the first of all."""
        return self._finished["trial"]

    def keys_of(self, cell: int) -> pd.Series:
        """Keys of the trials of a cell that finished."""
        own = self.rows(np.array([cell], dtype=np.int64))[1]
        return self.trial.iloc[own[own < len(self.trial)]]

    def counted(self, cell: int, gated: bool = True) -> Ints:
        """The trials of a cell whose power measures count."""
        trial = self.rows(np.array([cell], dtype=np.int64))[1]
        return trial[self.learnt[trial]] if gated else trial

    def constant(self, measure: str, cell: int) -> float:
        """A measure that is the same in all trials of a cell on one layout; nan where none has it.

        The mean over layouts, each counted once: the scale of a margin, not a bound.
        """
        trials = self.counted(cell, gated=False)
        own, known = self.values(measure)[trials], np.isfinite(self.values(measure)[trials])
        layouts = self.layout[trials][known]
        means = [own[known][layouts == layout].mean() for layout in np.unique(layouts)]
        return float(np.mean(means)) if means else nan

    @cached_property
    def nested(self) -> Bools:
        """[cells] whether each seed was trained on one of several layouts: seeds within layouts.

        Seeds that are trained on every layout (a list of them under ``params``) are crossed with
        layouts that somebody chose, which stand for no others.
        """
        count = len(self.cells)
        seeds, layouts = (distinct_codes(self.cell, c, count) for c in (self.seed, self.layout))
        return np.asarray((seeds == self.sizes) & (layouts > 1))

    def layouts_of(self, cells: Sequence[int]) -> int:
        """Number of layouts that some cells have trials on."""
        return len(np.unique(self.layout[self.rows(np.array(cells, dtype=np.int64))[1]]))

    def exactly(self, measure: str, cell: int, evaluation: str, gated: bool = True) -> bool:
        """Whether a measure of all trials that count was evaluated exactly."""
        of = "exact" if evaluation == BEST else evaluation
        measure = "excess" if measure == SHARE_BEYOND else measure
        own = self.values(measure, of)[self.counted(cell, gated)]
        return bool(len(own) and np.isfinite(own).all())

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
    def records(self) -> list[dict[str, Any]]:
        """A record for each cell; nan for what is missing."""
        told = self.cells.astype(object).where(self.cells.notna(), nan)
        return [{str(k): v for k, v in row.items()} for row in told.to_dict("records")]

    @cached_property
    def described(self) -> list[dict[str, Any]]:
        """All that is known of each cell by column, whether or not it varies here."""
        cells_known = []
        for row in self._about.to_dict("records"):
            known = {str(name): value for name, value in row.items()}
            own = {f.name: known[f.column] for f in FACTORS if known[f.column] == known[f.column]}
            cells_known.append(
                {
                    **known,
                    **dict(factor_columns(json_column(known["params"]), "world", {})),
                    **dict(factor_columns(json_column(known["settings"]), "agent", own)),
                }
            )
        return cells_known

    def _share_beyond(self) -> pd.Series:
        """(excess - incentive) / attainable surplus, with surplus = excess / share_of_surplus."""
        table = self._finished
        share = table["share_of_surplus"]
        surplus = (table["excess"] / share).where(share.abs() > 1e-9)
        usual = surplus.groupby(self.cell[: len(table)]).transform("median")
        beyond = (table["excess"] - table["incentive"]) / surplus.fillna(usual)
        return beyond

    def settings(
        self,
        columns: Sequence[str],
        cells: Bools | None = None,
        apart: Sequence[str] = (),
    ) -> Iterator[tuple[dict[str, Level], dict[Any, int]]]:
        """Each setting in which levels may be compared, and its cell at each of these levels.

        Paid agents are the positive control: no comparison but one of their pay sees them, unless
        all agents of a world are paid. An agent's settings are its own where agents are compared,
        and agents that differ in a setting are one by their id.

        Args:
            columns: What differs; of two columns a cell is named by both levels.
            cells: Which cells are compared; by default all.
            apart: Columns that may differ besides (`columns_apart`).
        """
        if not set(columns) <= set(self.keys) or self.cells.empty:
            return
        places = np.flatnonzero(self.compared(columns, cells))
        if not len(places):
            return
        own = PREFIX["agent"] if "agent" in columns else "\0"
        free = {*columns, *apart}
        names = [k for k in self.keys if k not in free and not k.startswith(own)]
        named = "agent" in names and any(c.startswith(PREFIX["agent"]) for c in columns)
        shared = agent_ids(self.cells) if named else self.cells
        group = row_codes(shared.iloc[places], names)
        order = np.argsort(group, kind="stable")
        for members in np.split(places[order], np.flatnonzero(np.diff(group[order])) + 1):
            told = self.records[members[0]]
            arms: dict[Any, int] = {}
            for cell in members:
                found = tuple(self.records[cell][column] for column in columns)
                arms.setdefault(found if len(columns) > 1 else found[0], int(cell))
            agent = {"agent": agent_id(str(told["agent"]))} if named else {}
            yield {name: told[name] for name in names} | agent, arms

    def compared(self, columns: Sequence[str], cells: Bools | None = None) -> Bools:
        """[cells] which of them `settings` compares."""
        kept = np.ones(len(self.cells), bool) if cells is None else cells
        if "power_weight" in columns:
            return kept
        unpaid = self.cells["power_weight"].eq(0) & kept
        free = unpaid.groupby(self.cells["world"]).transform("any")
        return kept & (~free | unpaid).to_numpy(dtype=bool)

    def of_world(self, world: Level, cells: Bools) -> list[dict[str, Any]]:
        """The records of some cells of a world."""
        own = (self.records[int(cell)] for cell in np.flatnonzero(cells))
        return [record for record in own if record["world"] == world]
