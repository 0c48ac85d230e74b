"""Results read by columns: one row a trial, whatever their number, never the whole long table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from powerseek.errors import InvalidInput

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def unreadable(path: Path, error: Exception) -> InvalidInput:
    """What to raise where a file is no parquet file."""
    reason = str(error).splitlines()[0] if str(error) else "not a parquet file"
    return InvalidInput("DIR", str(path), "a readable parquet file", reason)


class Block(Protocol):
    """Some consecutive rows of the long table."""

    def codes(self, name: str) -> Ints:
        """A column as a number a row into its `values`; -1 where there is none."""

    def values(self, name: str) -> list[Any]:
        """The distinct values of a column."""

    def numbers(self, name: str) -> Floats:
        """A column of numbers, nan where there is none."""

    def rows(self, places: Ints, names: Sequence[str]) -> pd.DataFrame:
        """Some columns of some rows."""


class Source(Protocol):
    """Where a long table lies."""

    columns: list[str]

    def frame(self) -> pd.DataFrame:
        """All of it, in memory."""

    def blocks(self, names: Sequence[str]) -> Iterator[Block]:
        """All rows in order, in blocks that hold the named columns."""


class Frame:
    """A long table in memory: one block."""

    def __init__(self, table: pd.DataFrame) -> None:
        self.table = table
        self.columns = [str(name) for name in table.columns]
        self._coded: dict[str, tuple[Ints, list[Any]]] = {}

    def frame(self) -> pd.DataFrame:
        """The table itself."""
        return self.table

    def blocks(self, names: Sequence[str]) -> Iterator[Block]:
        """The table itself."""
        del names
        yield self

    def codes(self, name: str) -> Ints:
        """See `Block`."""
        return self._factors(name)[0]

    def values(self, name: str) -> list[Any]:
        """See `Block`."""
        return self._factors(name)[1]

    def _factors(self, name: str) -> tuple[Ints, list[Any]]:
        if name not in self._coded:
            codes, values = pd.factorize(self.table[name])
            self._coded[name] = codes.astype(np.int64), list(values)
        return self._coded[name]

    def numbers(self, name: str) -> Floats:
        """See `Block`."""
        return np.asarray(self.table[name].to_numpy(dtype=np.float64, na_value=np.nan))

    def rows(self, places: Ints, names: Sequence[str]) -> pd.DataFrame:
        """See `Block`."""
        return self.table[list(names)].iloc[places].reset_index(drop=True)


class File:
    """A parquet file: a block is a row group, and only the columns asked for are read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            schema = pq.read_schema(path)
            texts = [field.name for field in schema if _is_text(field.type)]
            self._file = pq.ParquetFile(path, read_dictionary=texts)
        except (OSError, ValueError) as error:
            raise unreadable(path, error) from None
        self.columns = list(self._file.schema_arrow.names)

    def frame(self) -> pd.DataFrame:
        """The whole file."""
        return pd.read_parquet(self.path)

    def blocks(self, names: Sequence[str]) -> Iterator[Block]:
        """Each row group.

        Raises:
            InvalidInput: A part of the file cannot be read.
        """
        for group in range(self._file.num_row_groups):
            try:
                table = self._file.read_row_group(group, list(names))
            except (OSError, ValueError) as error:
                raise unreadable(self.path, error) from None
            if len(table):
                yield _Group(table)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


class _Group:
    def __init__(self, table: pa.Table) -> None:
        self.table = table
        self._coded: dict[str, pa.DictionaryArray] = {}

    def _column(self, name: str) -> pa.DictionaryArray:
        if name not in self._coded:
            column = self.table.column(name)
            if not pa.types.is_dictionary(column.type):
                column = column.dictionary_encode()
            # Chunks may differ in their dictionaries.
            self._coded[name] = pa.concat_arrays(column.unify_dictionaries().chunks)
        return self._coded[name]

    def codes(self, name: str) -> Ints:
        codes: Ints = self._column(name).indices.fill_null(-1).to_numpy(zero_copy_only=False)
        return codes

    def values(self, name: str) -> list[Any]:
        values: list[Any] = self._column(name).dictionary.to_pylist()
        return values

    def numbers(self, name: str) -> Floats:
        column = self.table.column(name).cast(pa.float64())
        return np.asarray(column.to_numpy(), dtype=np.float64)

    def rows(self, places: Ints, names: Sequence[str]) -> pd.DataFrame:
        taken = self.table.select(list(names)).take(pa.array(places))
        plain = [
            column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
            for column in taken.columns
        ]
        frame: pd.DataFrame = pa.table(plain, names=list(names)).to_pandas()
        return frame


class Long:
    """The long table of results, read as far as is asked for.

    Args:
        source: Where it lies.
        known: Columns that say what a trial is.

    Attributes:
        every: One row a trial, from its last row: `known`, ``trial``, ``status``, ``study``.
        numbers: [trials] the number of each of these trials, in the order of their first rows.
        failed: [all numbers] whether any row of a trial is marked as failed.
        stepped: Agents that took a gradient step.
        learning: These, and agents without any row that is not marked as failed.
        rows: Rows of the long table.
        units: The unit of each metric that has one.
        metrics: The metrics that have rows.
    """

    def __init__(self, source: Source, known: Sequence[str]) -> None:
        self._source = source
        # The number of each trial, and of the trials of each block in the order of their codes.
        self._number: dict[Any, int] = {}
        self._numbered: list[Ints] = []
        self._kept: dict[tuple[str, ...], pd.DataFrame] = {}
        self.known = list(known)
        self._read()

    def _read(self) -> None:
        names = [*self.known, "trial", "status"]
        names += [name for name in ("study",) if name in self._source.columns]
        more = ["updates", "agent", "metric"]
        more += [name for name in ("unit",) if name in self._source.columns]
        parts, numbers = [], []
        failed = np.zeros(0, bool)
        met: dict[Any, list[bool]] = {}
        self.units: dict[str, str] = {}
        self.metrics: set[str] = set()
        number = self._number
        self.rows = 0
        for block in self._source.blocks(list(dict.fromkeys([*names, *more]))):
            trial = block.codes("trial")
            self.rows += len(trial)
            given = (number.setdefault(name, len(number)) for name in block.values("trial"))
            numbered = np.fromiter(given, int)
            self._numbered.append(numbered)
            last = np.full(len(numbered), -1)
            last[trial] = np.arange(len(trial))
            last = np.sort(last[last >= 0])
            parts.append(block.rows(last, names))
            numbers.append(numbered[trial[last]])
            failed = np.concatenate([failed, np.zeros(len(self._number) - len(failed), bool)])
            lost = _equal(block, "status", "failed")
            failed[numbered[trial[lost]]] = True
            _note_agents(block, lost, met)
            self.metrics.update(name for name in block.values("metric") if name is not None)
            self._note_units(block)
        self.failed = failed
        self.stepped = {name for name, (steps, _) in met.items() if steps}
        self.learning = {name for name, (steps, ended) in met.items() if steps or not ended}
        empty = pd.DataFrame(columns=names)
        self.every = pd.concat(parts, ignore_index=True) if parts else empty
        self.numbers = np.concatenate(numbers) if numbers else np.zeros(0, int)
        # A trial that goes on in a later block is told by its last row.
        final = np.full(len(self._number), -1)
        final[self.numbers] = np.arange(len(self.numbers))
        if len(final) < len(self.numbers):
            final = np.sort(final)
            self.every = self.every.iloc[final].reset_index(drop=True)
            self.numbers = self.numbers[final]

    def _note_units(self, block: Block) -> None:
        if "unit" not in self._source.columns:
            return
        metric, metrics = block.codes("metric"), block.values("metric")
        unit, units = block.codes("unit"), block.values("unit")
        if units:
            known = (unit >= 0) & (metric >= 0)
            pairs = np.flatnonzero(np.bincount((metric * len(units) + unit)[known]))
            for m, u in zip(*np.divmod(pairs, len(units)), strict=True):
                self.units.setdefault(metrics[m], units[u])

    @property
    def empty(self) -> bool:
        """Whether there is no trial at all."""
        return not len(self.every)

    def frame(self) -> pd.DataFrame:
        """The long table itself, of all trials: for small studies only."""
        return self._source.frame()

    @property
    def lost(self) -> pd.DataFrame:
        """The rows of `every` of the trials that failed."""
        failed: pd.DataFrame = self.every[self.failed[self.numbers]]
        return failed

    def checkpoints(self) -> pd.DataFrame:
        """Its ``trial``, ``checkpoint`` and ``timesteps``: the first row of each of them."""
        names = ["trial", "checkpoint", "timesteps"]
        wanted = np.zeros(len(self._number), bool)
        wanted[self.numbers] = True
        parts = [pd.DataFrame(columns=names)]
        for block, numbered in zip(self._source.blocks(names), self._numbered, strict=True):
            trial, checkpoint = block.codes("trial"), block.codes("checkpoint")
            width = len(block.values("checkpoint"))
            first = np.full(len(numbered) * width, -1)
            first[(trial * width + checkpoint)[::-1]] = np.arange(len(trial))[::-1]
            rows = np.sort(first[first >= 0])
            parts.append(block.rows(rows[wanted[numbered[trial[rows]]]], names))
        found = pd.concat(parts[1:] or parts, ignore_index=True)
        return found.drop_duplicates(["trial", "checkpoint"], ignore_index=True)

    def where(self, rows: NDArray[np.bool_]) -> Long:
        """Some of the trials.

        Args:
            rows: [trials] which rows of `every`.
        """
        part = copy(self)
        part.every = self.every if rows.all() else self.every[rows].reset_index(drop=True)
        part.numbers = self.numbers[rows]
        part._kept = {}
        return part

    def trials(
        self, evaluation: str, checkpoint: str, values: Sequence[str], ranges: Sequence[str]
    ) -> pd.DataFrame:
        """One row a trial that did not fail, in the order of their rows.

        Args:
            evaluation: Rows of which evaluation.
            checkpoint: Rows of which checkpoint.
            values: Metrics to give a column of their own, nan where a trial has none.
            ranges: Metrics to give ``<metric>_low`` and ``<metric>_high`` too.

        Returns:
            ``trial``, what is `known`, ``learnt`` and these columns. A shallow copy of one table
            that is read once: new columns are the caller's, nothing else is to be changed.
        """
        key = (evaluation, checkpoint)
        if key not in self._kept:
            self._kept[key] = self._wide(evaluation, checkpoint, values, ranges)
        return self._kept[key].copy(deep=False)

    def _wide(
        self, evaluation: str, checkpoint: str, values: Sequence[str], ranges: Sequence[str]
    ) -> pd.DataFrame:
        count = len(self._number)
        wanted = np.zeros(count, bool)
        wanted[self.numbers] = True
        wanted &= ~self.failed
        columns = [*values, *(f"{name}_low" for name in ranges)]
        columns += [f"{name}_high" for name in ranges]
        place = {name: i for i, name in enumerate(columns)}
        wide = np.full((len(columns), count), np.nan)
        first, seen = np.full(count, -1), 0
        metrics: dict[str, int] = {}
        censored = np.zeros((0, count), bool)
        names = ["trial", "checkpoint", "evaluation", "metric", "status", "value"]
        blocks = self._source.blocks([*names, *(["low", "high"] if ranges else [])])
        for block, numbered in zip(blocks, self._numbered, strict=True):
            local = block.codes("trial")
            rows = np.flatnonzero(
                wanted[numbered][local]
                & _equal(block, "evaluation", evaluation)
                & _equal(block, "checkpoint", checkpoint)
            )
            trial = numbered[local[rows]]
            # Of repeated places the last is kept: later rows replace earlier ones.
            fresh = first[trial] < 0
            first[trial[fresh][::-1]] = seen + rows[fresh][::-1]
            seen += len(local)
            given, metric = block.values("metric"), block.codes("metric")[rows]
            known = np.array([metrics.setdefault(name, len(metrics)) for name in given], int)
            if len(metrics) > len(censored):
                more = np.zeros((len(metrics) - len(censored), count), bool)
                censored = np.concatenate([censored, more])
            censored[known[metric], trial] = _equal(block, "status", "censored")[rows]
            for end in ("", *(("_low", "_high") if ranges else ())):
                to = np.array([place.get(f"{name}{end}", -1) for name in given], int)[metric]
                has = to >= 0
                numbers = block.numbers(end[1:] or "value")
                wide[to[has], trial[has]] = numbers[rows[has]]
        # Rows of every in the order of the first row that was read of each trial.
        order = np.flatnonzero(first[self.numbers] >= 0)
        order = order[np.argsort(first[self.numbers[order]], kind="stable")]
        chosen = self.numbers[order]
        about = self.every[["trial", *self.known]].iloc[order].reset_index(drop=True)
        about["learnt"] = ~np.asarray(censored.any(axis=0))[chosen]
        if not np.array_equal(chosen, np.arange(count)):
            wide = wide[:, chosen]
        return pd.concat([about, pd.DataFrame(wide.T, columns=columns)], axis=1)


def _equal(block: Block, name: str, wanted: str) -> NDArray[np.bool_]:
    """Which rows have this text in a column."""
    values = block.values(name)
    code = values.index(wanted) if wanted in values else len(values)
    return np.asarray(block.codes(name) == code, dtype=np.bool_)


def _note_agents(block: Block, failed: NDArray[np.bool_], met: dict[Any, list[bool]]) -> None:
    """Note of each agent whether it took a gradient step, and whether any row did not fail."""
    agent, agents = block.codes("agent"), block.values("agent")
    steps = block.numbers("updates")
    for rows, i in ((steps > 0, 0), (~failed, 1)):
        for code in np.flatnonzero(np.bincount(agent[rows & (agent >= 0)])):
            met.setdefault(agents[code], [False, False])[i] = True
    for name in agents:
        met.setdefault(name, [False, False])
