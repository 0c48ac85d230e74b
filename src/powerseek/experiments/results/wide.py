"""The results as one row a trial: what most questions outside powerseek begin with."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
from pyarrow.dataset import field

from powerseek.experiments.results.files import table_writer
from powerseek.experiments.results.reading import (
    BEST,
    distinct_rows,
    measured,
    opened,
    row_groups,
)
from powerseek.experiments.results.schema import (
    DESCRIBED,
    FAILED_ROW,
    NO_METRIC,
    NUMBER,
    SCHEMA,
    check_metrics,
)

ABOUT = (*DESCRIBED, "status", "timesteps", "updates")
"""Columns of a trial that are no metric."""
_AT_END = field("checkpoint") == FAILED_ROW["checkpoint"]
_OF_EACH = _AT_END & (field("evaluation") == FAILED_ROW["evaluation"])


def write_trials(results: Path, path: Path) -> None:
    """Write one row per trial of merged results that ended, failed ones among them, in their order.

    Columns: what says which trial it is (`schema.DESCRIBED`); ``status`` (``ok``, ``censored``:
    it did not learn the task, ``failed``); ``timesteps`` and ``updates`` it was trained for; and
    the value of each metric at the end of training, in the metric's unit: the exact one where
    there is one, else that of sampled episodes; null where it is undefined. One row group of the
    results is in memory at a time.

    Args:
        results: The merged table; its row groups hold whole trials.
        path: The table to write.

    Raises:
        InvalidInput: The merged table cannot be read, or a metric has the id of a column.
    """
    source = opened(results)
    metrics = [*distinct_rows(source, ["metric"], _AT_END)["metric"]]
    metrics = [name for name in metrics if name not in NO_METRIC]
    check_metrics(metrics)
    columns = [SCHEMA.field(name) for name in ABOUT] + [pa.field(m, NUMBER) for m in metrics]
    with table_writer(path, pa.schema(columns)) as writer:
        for part in row_groups(source):
            about = distinct_rows(part, ABOUT, _OF_EACH, by=["trial"])
            values = measured(part, about["trial"], metrics, (), BEST, FAILED_ROW["checkpoint"])
            made = pd.concat([about, values], axis=1)
            writer.write_table(pa.Table.from_pandas(made, pa.schema(columns), preserve_index=False))
