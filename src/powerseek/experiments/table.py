"""The results as one row a cell.

Each cell's power measures rest on the seeds that learnt the task (status ``ok``); where none did,
on all finished seeds, and the row is marked as not confirmatory. ``competence`` always rests on
all finished seeds. Failed trials are counted, never scored.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from powerseek.experiments.cells import (
    EXACT,
    MEASURES,
    by_cell,
    checked,
    dials,
    scored,
    strata,
    trials,
)
from powerseek.experiments.statistics import bootstrap
from powerseek.experiments.verdicts import LEAST_REACH


def summarise(results: pd.DataFrame, rng: np.random.Generator | None = None) -> pd.DataFrame:
    """One row a cell: means over seeds with 95 % intervals, from sampled evaluation at the end.

    Args:
        results: As written by a sweep.
        rng: Source of chance for the bootstrap; by default always the same one, so that a page
            made twice is the same page.

    Returns:
        The cell's dials; for each measure its mean, ``_low`` and ``_high`` (bootstrap over seeds;
        range over optimal policies for the exact ones); ``seeds`` finished, ``scored`` (seeds
        behind the power measures), ``censored``, ``failed``, ``reach`` (share of finished seeds
        that learnt the task), ``confirmatory`` (reach >= .9) and ``oracle`` (whether exact numbers
        exist). nan, never 0, where a number does not exist.
    """
    rng = np.random.default_rng(0) if rng is None else rng
    results = checked(results)
    keys = dials(results)
    finished = trials(results)
    every = results.drop_duplicates("trial", keep="last")
    failed = set(results.loc[results["status"] == "failed", "trial"])
    held = {_hashable(cell, keys): rows for cell, rows in by_cell(finished, keys)}
    rows = []
    for cell, members in by_cell(every, keys):
        seeds = held.get(_hashable(cell, keys), finished.iloc[:0])
        row = {**cell, **_measures(seeds, rng), **_counts(seeds)}
        rows.append({**row, "failed": int(members["trial"].isin(failed).sum())})
    return pd.DataFrame(rows, columns=None if rows else [*keys, *MEASURES])


def _hashable(cell: dict[str, object], keys: list[str]) -> tuple[object, ...]:
    return tuple(None if pd.isna(cell[key]) else cell[key] for key in keys)  # type: ignore[call-overload]  # scalars only


def _counts(seeds: pd.DataFrame) -> dict[str, object]:
    learnt = int(seeds["learnt"].sum())
    reach = learnt / len(seeds) if len(seeds) else np.nan
    return {
        "seeds": len(seeds),
        "scored": learnt or len(seeds),
        "censored": len(seeds) - learnt,
        "reach": reach,
        "confirmatory": bool(reach >= LEAST_REACH - 1e-9),
        "oracle": bool(seeds["need"].notna().any()),
    }


def _measures(seeds: pd.DataFrame, rng: np.random.Generator) -> dict[str, float]:
    row: dict[str, float] = {}
    for name in MEASURES:
        rows = seeds if name == "competence" else scored(seeds)
        estimate = bootstrap(rows[name].to_numpy(), rng, strata=strata(rows))
        low, high = estimate.low, estimate.high
        if name in EXACT:
            low, high = rows[f"{name}_low"].mean(), rows[f"{name}_high"].mean()
        row |= {name: estimate.value, f"{name}_low": float(low), f"{name}_high": float(high)}
    return row
