"""The results as one row a trial: what most questions outside powerseek begin with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from powerseek.experiments.results.reading import Block, File, Ints
from powerseek.experiments.results.schema import DESCRIBED, FAILED_ROW, NUMBER, SCHEMA

ABOUT = (*DESCRIBED, "status", "timesteps", "updates")
"""Columns of a trial that are no metric."""
_PLACE = ("checkpoint", "evaluation")


def write_trials(results: Path, path: Path) -> None:
    """Write one row per trial of merged results that ended, failed ones among them, in their order.

    Columns: what says which trial it is (`schema.DESCRIBED`); ``status`` (``ok``, ``censored``:
    it did not learn the task, ``failed``); ``timesteps`` and ``updates`` it was trained for; and
    the value of each metric at the end of training, by sampled evaluation, in the metric's unit:
    null where it is undefined. One row group of the results is in memory at a time.

    Args:
        results: The merged table; its row groups hold whole trials.
        path: The table to write.

    Raises:
        InvalidInput: The merged table cannot be read.
    """
    source = File(results)
    metrics = dict.fromkeys(
        block.values("metric")[code]
        for block in source.blocks([*_PLACE, "metric"])
        for code in dict.fromkeys(block.codes("metric")[_ends(block)].tolist())
    )
    metrics.pop(FAILED_ROW["metric"], None)
    columns = [SCHEMA.field(name) for name in ABOUT] + [pa.field(m, NUMBER) for m in metrics]
    with pq.ParquetWriter(path, pa.schema(columns)) as writer:
        for table in _tables(source, {name: i for i, name in enumerate(metrics)}):
            writer.write_table(table.cast(pa.schema(columns)))


def _tables(source: File, place: dict[str, int]) -> Iterator[pa.Table]:
    """The trials of each block; `place` gives each metric its column."""
    for block in source.blocks([*ABOUT, *_PLACE, "metric", "value"]):
        rows = _ends(block)
        _, first, trial = np.unique(
            block.codes("trial")[rows], return_index=True, return_inverse=True
        )
        order = np.argsort(first)
        values = np.full((len(place), len(first)), np.nan)
        to = np.array([place.get(name, -1) for name in block.values("metric")], int)
        metric = to[block.codes("metric")[rows]]
        given = metric >= 0
        values[metric[given], trial[given]] = block.numbers("value")[rows[given]]
        about = block.rows(rows[first[order]], ABOUT)
        made = pa.Table.from_pandas(about, preserve_index=False)
        for name, i in place.items():
            made = made.append_column(name, pa.array(values[i, order], from_pandas=True))
        yield made


def _ends(block: Block) -> Ints:
    """The rows of the end of training, by sampled evaluation."""
    chosen = np.ones(len(block.codes("metric")), bool)
    for name in _PLACE:
        values, wanted = block.values(name), FAILED_ROW[name]
        chosen &= block.codes(name) == (values.index(wanted) if wanted in values else -2)
    return np.flatnonzero(chosen)
