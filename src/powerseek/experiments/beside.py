"""Tables beside the results: learning curves, and the frontiers that agents are held against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from powerseek.experiments.grid import Trial
from powerseek.experiments.oracles import kept_oracle
from powerseek.experiments.store import Store, describe, guard, write_atomically

CURVES, FRONTIERS = "curves", "frontiers"
_SETTING = ("world", "version", "params", "openness", "goal", "layout", "max_steps")


def keep_curve(out: Path, trial: Trial, points: Sequence[tuple[int, Mapping[str, float]]]) -> None:
    """Keep one trial's curve as ``curves/<trial>.parquet``.

    Args:
        out: Results directory.
        trial: The trial.
        points: (timesteps, value of each curve).
    """
    rows = [{"trial": trial.key, "timesteps": steps, **values} for steps, values in points]
    _write(out / CURVES / f"{trial.key}.parquet", pd.DataFrame(rows))


def write_tables(store: Store, grid: Sequence[Trial]) -> None:
    """Write ``curves.parquet`` and ``frontiers.parquet`` of the finished trials.

    Curves have a row per trial x evaluation while training, frontiers a row per setting x
    ``kind`` (``need``, ``most``) x vertex.
    """
    _write(store.out / f"{CURVES}.parquet", _curves(store, grid))
    _write(store.out / f"{FRONTIERS}.parquet", _frontiers(store, grid))


def _curves(store: Store, grid: Sequence[Trial]) -> pd.DataFrame:
    kept = [
        pd.read_parquet(path).assign(world=trial.cell.world, seed=trial.seed)
        for trial in grid
        if (path := store.out / CURVES / f"{trial.key}.parquet").is_file()
        and store.path(trial).is_file()
    ]
    return pd.concat(kept, ignore_index=True) if kept else pd.DataFrame()


def _frontiers(store: Store, grid: Sequence[Trial]) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    seen: set[tuple[object, ...]] = set()
    for trial in grid:
        about = describe(trial)
        setting = {name: about[name] for name in _SETTING}
        if tuple(setting.values()) in seen:
            continue
        seen.add(tuple(setting.values()))
        exact = kept_oracle(trial.cell, store.out)
        for kind in ("need", "most") if exact is not None else ():
            frontier = getattr(exact, kind)
            vertices = () if frontier is None else frontier.vertices
            rows += [
                {**setting, "kind": kind, "success": success, "acquisition": acquisition}
                for success, acquisition in vertices
            ]
    return pd.DataFrame(rows, columns=[*_SETTING, "kind", "success", "acquisition"])


def _write(path: Path, table: pd.DataFrame) -> None:
    guard(path, write_atomically, path, lambda temporary: table.to_parquet(temporary, index=False))
