"""Results read by columns: one row a trial, whatever their number, never the whole long table."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from copy import copy
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
from numpy.typing import NDArray
from pyarrow.dataset import field
from pyarrow.fs import LocalFileSystem

from powerseek.errors import InvalidInput
from powerseek.experiments.results.schema import ABSENT_ROW, KEYS, SCHEMA, TEXT, check_metrics
from powerseek.experiments.study.factors import LATER
from powerseek.metrics import failure_of

Ints = NDArray[np.int64]
Source: TypeAlias = ds.Dataset
"""The long table, in a file or in memory, with the columns of `SCHEMA`; null where it lacks one."""

BEST = "best"
"""The exact evaluation of an agent as it acts, where there is one; else the sampled one."""

NEEDED = (
    *KEYS,
    *("trial", "updates", "checkpoint", "evaluation", "status"),
    *("metric", "value", "low", "high"),
)
# Texts are read as codes: a column of them is small, and rows are grouped by numbers.
_CODED = pa.schema(
    [(f.name, pa.dictionary(pa.int32(), TEXT) if f.type == TEXT else f.type) for f in SCHEMA]
)
_FORM = ds.ParquetFileFormat(
    dictionary_columns=[f.name for f in SCHEMA if f.type == TEXT],
    # It would keep what was read of a file until all is read.
    default_fragment_scan_options=ds.ParquetFragmentScanOptions(pre_buffer=False),
)


def opened(path: Path) -> Source:
    """The long table that a parquet file holds.

    Raises:
        InvalidInput: It cannot be read, or columns are missing.
    """
    try:
        fragment = _FORM.make_fragment(str(path), LocalFileSystem())
        columns = fragment.physical_schema.names
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    _check(columns)
    return ds.FileSystemDataset([fragment], _CODED, _FORM)


def row_groups(source: Source) -> Iterator[Source]:
    """A file in parts, each small enough to be held in memory."""
    for fragment in source.get_fragments():
        for part in fragment.split_by_row_group():
            yield ds.FileSystemDataset([part], _CODED, _FORM)


def in_memory(table: pd.DataFrame) -> Source:
    """A long table that is a data frame.

    Raises:
        InvalidInput: Columns are missing.
    """
    _check(table.columns)
    columns = [
        pa.array(table[f.name], from_pandas=True).cast(f.type)
        if f.name in table
        else pa.nulls(len(table), f.type)
        for f in SCHEMA
    ]
    return ds.dataset(pa.table(columns, SCHEMA).cast(_CODED))


def _check(columns: Collection[str]) -> None:
    missing = [name for name in NEEDED if name not in columns and name not in LATER]
    if missing:
        raise InvalidInput("results", f"without {', '.join(missing)}", "a table made by a sweep")


def _unreadable(path: Path | str, error: Exception) -> InvalidInput:
    """The error to raise where a file is no parquet file."""
    reason = str(error).splitlines()[0] if str(error) else "not a parquet file"
    return InvalidInput("DIR", str(path), "a readable parquet file", reason)


def whole_table(source: Source) -> pd.DataFrame:
    """All of a long table: for small studies only.

    Raises:
        InvalidInput: A part of the file cannot be read.
    """
    return _frame(_batches(source, SCHEMA.names), SCHEMA.names)


def distinct_rows(
    source: Source,
    names: Sequence[str],
    rows: ds.Expression = None,
    by: Sequence[str] | None = None,
) -> pd.DataFrame:
    """The first row of each kind, in their order.

    Args:
        source: The long table.
        names: Its columns that are asked for.
        rows: Of which rows; of all where it is not given.
        by: Columns that make a kind, of `names`; all where it is not given.

    Raises:
        InvalidInput: A part of the file cannot be read.
    """
    by = list(by or names)
    found = _frame(_firsts(_batches(source, names, rows), by), names)
    return found.drop_duplicates(by, ignore_index=True)


def _firsts(batches: Iterable[pa.RecordBatch], by: list[str]) -> Iterator[pa.RecordBatch]:
    """The first row of each kind in each batch."""
    for batch in batches:
        row = pa.array(np.arange(len(batch)))
        kinds = pa.table([*batch.select(by), row], [*by, "row"]).group_by(by, use_threads=False)
        # Groups come in no order.
        yield batch.take(np.sort(kinds.aggregate([("row", "min")])["row_min"]))


def _frame(batches: Iterable[pa.RecordBatch], names: Sequence[str]) -> pd.DataFrame:
    """Batches of these columns as one data frame, their texts in words: codes are a batch's own."""
    schema = pa.schema([SCHEMA.field(name) for name in names])
    plain = (batch.cast(schema) for batch in batches)
    found: pd.DataFrame = pa.Table.from_batches(plain, schema).to_pandas()
    return found


def pivot(
    source: Source,
    trials: pd.Series[str],
    values: Sequence[str],
    ranges: Sequence[str] = (),
    rows: ds.Expression = None,
) -> pd.DataFrame:
    """The values of metrics as one row a trial.

    Args:
        source: The long table.
        trials: Which trials, in the order of the rows.
        values: Metrics to give a column of their own, nan where a trial has none.
        ranges: Metrics to give ``<metric>_low`` and ``<metric>_high`` too.
        rows: Of which rows. Of repeated places the last counts.

    Raises:
        InvalidInput: A part of the file cannot be read.
    """
    at, ends = _index(trials), (("", "_low", "_high") if ranges else ("",))
    columns = [*values, *(f"{name}{end}" for end in ends[1:] for name in ranges)]
    place = pd.Index(columns)
    wide = np.full((len(columns), len(at)), np.nan)
    names = ["trial", "metric", *(end[1:] or "value" for end in ends)]
    for batch in _batches(source, names, rows):
        trial, metric = (batch.column(name) for name in ("trial", "metric"))
        row = at.get_indexer(_index(trial.dictionary.to_pandas()))[trial.indices]
        for end in ends:
            told = [f"{name}{end}" for name in metric.dictionary.to_pylist()]
            column = place.get_indexer(pd.Index(told))[metric.indices]
            has = (row >= 0) & (column >= 0)
            numbers = batch.column(end[1:] or "value").cast(pa.float64())
            wide[column[has], row[has]] = numbers.to_numpy(zero_copy_only=False)[has]
    return pd.DataFrame(wide.T, columns=columns)


def _index(names: pd.Series[str]) -> pd.Index[str]:
    """Names to look up: as objects 5 times as fast as in pandas' own strings."""
    return pd.Index(names, dtype=object)


def _batches(
    source: Source, names: Sequence[str], rows: ds.Expression = None
) -> Iterator[pa.RecordBatch]:
    """The rows in their order, as they are read."""
    # 29 million rows, of 500,000 trials, are read and pivoted in 12 s of processor time and 1.2 GB;
    # with pyarrow's defaults, `pre_buffer` among them, in 18 s and 1.9 GB.
    ahead = {"batch_readahead": 1, "fragment_readahead": 1, "batch_size": 1 << 19}
    try:
        yield from source.to_batches(columns=list(names), filter=rows, **ahead)
    except (OSError, ValueError) as error:
        raise _unreadable(getattr(source, "files", ["results"])[0], error) from None


def _refuse_twice(every: pd.DataFrame) -> None:
    """Refuse two trials of one treatment and seed, which would count as two seeds.

    Raises:
        InvalidInput: There are such; names two of them.
    """
    told = [name for name in KEYS if name != "spec"]  # rows are by the label
    twice = every["trial"][every.duplicated(told, keep=False)]
    if len(twice):
        same = every.loc[twice.index[0], told]
        also = twice[(every.loc[twice.index, told].eq(same) | same.isna()).all(axis=1)]
        raise InvalidInput(
            "results",
            ", ".join(also),
            "one trial of each treatment and seed (a reward written in two ways is one treatment)",
            "Leave the rows of all but one of them out.",
        )


def evaluated(evaluation: str, checkpoint: str) -> list[ds.Expression]:
    """The rows of an evaluation at a checkpoint; of `BEST` the sampled, then the exact ones."""
    names = ("sampled", "exact") if evaluation == BEST else (evaluation,)
    return [(field("evaluation") == name) & (field("checkpoint") == checkpoint) for name in names]


def measured(
    source: Source,
    trials: pd.Series[str],
    values: Sequence[str],
    ranges: Sequence[str],
    evaluation: str,
    checkpoint: str,
) -> pd.DataFrame:
    """`pivot` of the rows of an evaluation at a checkpoint; of `BEST` metric by metric."""
    worse, *better = (
        pivot(source, trials, values, ranges, rows) for rows in evaluated(evaluation, checkpoint)
    )
    for found in better:
        worse = found.where(found.notna(), worse)
    return worse


class Long:
    """The long table of results, read as far as is asked for.

    Attributes:
        known: Columns that say what a trial is.
        every: One row a trial, as its last row has it: `known`, ``trial``, ``status``, ``study``.
        failed: [trials] whether any row of a trial is marked as failed.
        stepped: Agents that took a gradient step.
        learning: These, and agents without any row that is not marked as failed.
        units: The unit of each metric that has one.
        metrics: The metrics that have rows.
        inexact: Why a trial was not evaluated exactly, by its key, of those that tell.
        broken: Why each metric failed that did, and the keys of the trials in which it did.

    Raises:
        InvalidInput: A part of the file cannot be read, a metric has the id of a column, or two
            trials are one treatment and seed.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._kept: dict[tuple[str, str], pd.DataFrame] = {}
        self.known = list(KEYS)
        told = distinct_rows(source, [*KEYS, "trial", "status", "study"], by=["trial", "status"])
        failed = told["status"] == "failed"
        self.every = told.drop_duplicates("trial", keep="last", ignore_index=True)
        _refuse_twice(self.every)
        self.failed = self.every["trial"].isin(told.loc[failed, "trial"]).to_numpy()
        self.stepped = set(distinct_rows(source, ["agent"], field("updates") > 0)["agent"])
        self.learning = self.stepped | set(told["agent"]) - set(told.loc[~failed, "agent"])
        units = distinct_rows(source, ["metric", "unit"])
        self.metrics: set[str] = set(units["metric"].dropna())
        check_metrics(self.metrics)
        told = distinct_rows(source, ["trial", "unit"], field("metric") == ABSENT_ROW["metric"])
        self.inexact: dict[str, str] = dict(zip(told["trial"], told["unit"], strict=True))
        units = units.dropna()
        broken = units[units["unit"].map(failure_of) != ""]
        self.broken = {
            str(name): self._failures(str(name), own) for name, own in broken.groupby("metric")
        }
        units = units.drop(broken.index).drop_duplicates("metric")
        self.units: dict[str, str] = dict(zip(units["metric"], units["unit"], strict=True))

    def _failures(self, metric: str, units: pd.DataFrame) -> tuple[str, tuple[str, ...]]:
        """Why a metric failed first, and in which trials."""
        rows = (field("metric") == metric) & field("unit").isin(units["unit"].tolist())
        trials = distinct_rows(self._source, ["trial"], rows)["trial"]
        return failure_of(units["unit"].iloc[0]), tuple(trials)

    @property
    def empty(self) -> bool:
        """True if there is no trial at all."""
        return not len(self.every)

    def checkpoints(self) -> pd.DataFrame:
        """Its ``trial``, ``checkpoint`` and ``timesteps``: the first row of each of them."""
        kind = ["trial", "checkpoint"]
        found = distinct_rows(self._source, [*kind, "timesteps"], by=kind)
        here = _index(self.every["trial"]).get_indexer(_index(found["trial"])) >= 0
        return found[here].reset_index(drop=True)

    def where(self, rows: NDArray[np.bool_]) -> Long:
        """Some of the trials.

        Args:
            rows: [trials] which rows of `every`.
        """
        part = copy(self)
        part.every = self.every if rows.all() else self.every[rows].reset_index(drop=True)
        part.failed = self.failed[rows]
        part._kept = {}
        return part

    def trials(
        self, evaluation: str, checkpoint: str, values: Sequence[str], ranges: Sequence[str]
    ) -> pd.DataFrame:
        """One row a trial that did not fail, in the order of their rows.

        Args:
            evaluation: Rows of which evaluation; `BEST` of the exact one, metric by metric, of
                the sampled one where that knows no value.
            checkpoint: Rows of which checkpoint.
            values: Metrics to give a column of their own, nan where a trial has none.
            ranges: Metrics to give ``<metric>_low`` and ``<metric>_high`` too.

        Returns:
            ``trial``, what is `known`, ``learnt`` and these columns. A shallow copy of one table
            that is read once: new columns are the caller's, nothing else is to be changed.
        """
        key = (evaluation, checkpoint)
        if key not in self._kept:
            rows = evaluated(evaluation, checkpoint)[0]
            told = distinct_rows(self._source, ["trial", "status"], rows)
            place = _index(self.every["trial"]).get_indexer(_index(told["trial"]))
            censored = place[told["status"] == "censored"]
            chosen = pd.unique(place[place >= 0])
            chosen = chosen[~self.failed[chosen]]
            about = self.every[["trial", *self.known]].iloc[chosen].reset_index(drop=True)
            about["learnt"] = ~np.isin(chosen, censored)
            wide = measured(self._source, about["trial"], values, ranges, evaluation, checkpoint)
            self._kept[key] = pd.concat([about, wide], axis=1)
        return self._kept[key].copy(deep=False)
