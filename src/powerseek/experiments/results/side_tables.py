"""Tables beside the results: learning curves, and the frontiers that agents are held against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from powerseek.experiments import checksums, layout
from powerseek.experiments.results.files import StoreError, names, reason, write_table
from powerseek.experiments.results.integrity import made_anew
from powerseek.experiments.results.oracles import damaged_oracle, kept_oracle
from powerseek.experiments.results.store import Store, trial_columns
from powerseek.experiments.study.grid import Trial

_SETTING = ("world", "version", "params", "openness", "goal", "layout", "max_steps")


def curve_path(out: Path, trial: Trial) -> Path:
    """Path of the learning curve of one trial."""
    return out / layout.CURVES / f"{trial.key}.parquet"


def keep_curve(out: Path, trial: Trial, points: Sequence[tuple[int, Mapping[str, float]]]) -> None:
    """Keep one trial's curve, at `curve_path`.

    Args:
        out: Results directory.
        trial: The trial.
        points: (timesteps, value of each curve).
    """
    rows = [{"trial": trial.key, "timesteps": steps, **values} for steps, values in points]
    _write(curve_path(out, trial), pd.DataFrame(rows))


def write_tables(store: Store, grid: Sequence[Trial]) -> tuple[str, ...]:
    """Write ``curves.parquet`` and ``frontiers.parquet`` of the finished trials.

    Curves have a row per trial x evaluation while training, frontiers a row per setting x
    ``kind`` (``need``, ``most``) x vertex.

    Returns:
        What had to be left out, in words.
    """
    curves, unread = _curves(store, grid)
    _write(layout.table(store.out, "curves"), curves)
    frontiers, damaged = _frontiers(store, grid)
    _write(layout.table(store.out, "frontiers"), frontiers)
    wrong = [(curve_path(store.out, trial), UNREAD, trial) for trial in unread]
    wrong += [(path, DAMAGED, trial) for trial, path in damaged]
    return tuple(f"{path}: {what} {ANEW.format(store.path(t))}" for path, what, t in wrong)


UNREAD = "cannot be read; the learning curves lack that trial."
DAMAGED = "damaged; its frontier is left out of the pictures."
ANEW = "To have it made again, move {} away and run the sweep again with --resume."


def _curves(store: Store, grid: Sequence[Trial]) -> tuple[pd.DataFrame, list[Trial]]:
    """The curves of trials that have rows, and those of which they cannot be read."""
    kept, tables, unread = store.kept(), [], []
    required = store.checksummed
    there = names(store.out / layout.CURVES, ".parquet") & kept
    for trial in grid:
        if trial.key not in there:
            continue
        path = curve_path(store.out, trial)
        try:
            tables.append(_curve(path, trial, required))
        except (OSError, ValueError, pa.ArrowException):
            unread.append(trial)
    if not tables:
        return pd.DataFrame(), unread
    return pa.concat_tables(tables, promote_options="default").to_pandas(), unread


def read_side_table(out: Path, name: str) -> pd.DataFrame | None:
    """Read ``curves`` or ``frontiers`` as `write_tables` wrote it; None where there is none.

    Raises:
        StoreError: It cannot be read, or is not as it was written.
    """
    path = layout.table(out, name)
    try:
        checksums.check(path)
        return pd.read_parquet(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, pa.ArrowException) as error:
        raise StoreError(f"{path}: cannot be read: {reason(error)}. {made_anew(out)}") from None


def curve_table(path: Path, required: bool = False) -> pa.Table:
    """Read the learning curve of one trial.

    Raises:
        OSError, ValueError, pyarrow.ArrowException: There is none, it cannot be read, or it is
            not as it was written.
    """
    source = pa.BufferReader(checksums.sealed_bytes(path, required))
    with pq.ParquetFile(source) as file:
        return file.read(use_threads=False).replace_schema_metadata(None)


def _curve(path: Path, trial: Trial, required: bool) -> pa.Table:
    table = curve_table(path, required)
    if not table.num_rows or table.column("trial").unique().to_pylist() != [trial.key]:
        raise ValueError("of another trial")
    kinds = {"trial": pa.string(), "timesteps": pa.int64()}
    columns = {
        name: table.column(name).cast(kinds.get(name, pa.float64())) for name in table.column_names
    }
    columns["world"] = pa.array([trial.cell.world] * table.num_rows)
    columns["seed"] = pa.array([trial.seed] * table.num_rows, pa.int64())
    return pa.table(columns)


def _frontiers(
    store: Store, grid: Sequence[Trial]
) -> tuple[pd.DataFrame, list[tuple[Trial, Path]]]:
    """The frontiers of all settings, and files that are there and damaged, with a trial of each."""
    rows: list[dict[str, Any]] = []
    seen: set[tuple[object, ...]] = set()
    damaged: list[tuple[Trial, Path]] = []
    first: dict[str, Trial] = {}
    for trial in grid:
        first.setdefault(trial.cell.key, trial)
    for trial in first.values():
        about = trial_columns(trial)
        setting = {name: about[name] for name in _SETTING}
        if tuple(setting.values()) in seen:
            continue
        seen.add(tuple(setting.values()))
        exact = kept_oracle(trial.cell, store.out)
        if exact is None:
            damaged += [(trial, path) for path in damaged_oracle(trial.cell, store.out)]
        for kind in ("need", "most") if exact is not None else ():
            frontier = getattr(exact, kind)
            if frontier is not None:
                about = {**setting, "kind": kind, "gap": frontier.gap}
                rows += [{**about, "success": s, "acquisition": a} for s, a in frontier.vertices]
    columns = [*_SETTING, "kind", "success", "acquisition", "gap"]
    return pd.DataFrame(rows, columns=columns), damaged


def _write(path: Path, table: pd.DataFrame) -> None:
    write_table(path, pa.Table.from_pandas(table, preserve_index=False))
