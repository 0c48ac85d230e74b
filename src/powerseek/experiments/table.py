"""The results as one row a cell, and that table in the terminal.

Each cell's power measures rest on the seeds that learnt the task (status ``ok``); where none did,
on all finished seeds, and the row is marked as not confirmatory. ``competence`` always rests on
all finished seeds. Failed trials are counted, never scored.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from powerseek.errors import InvalidInput
from powerseek.experiments.statistics import bootstrap
from powerseek.experiments.verdicts import LEAST_REACH

CELL = ("world", "openness", "goal", "reward", "power_weight", "gamma")
# Further dials: they join the cell only where a study varies them within a world.
DIALS = (
    "params",
    "version",
    "max_steps",
    "time_limit",
    "gae_lambda",
    "n_step",
    "lookahead",
    "agent",
)
STRATUM = "layout"
KEYS = (*CELL, *DIALS, STRATUM, "seed")
NEEDED = (
    *KEYS,
    *("trial", "checkpoint", "evaluation", "status"),
    *("metric", "value", "low", "high"),
)

MEASURES = (
    "competence",
    "success",
    "acquired",
    "acquired_inside",
    "acquired_outside",
    "placebo",
    "need",
    "incentive",
    "learned",
    "remainder",
    "excess",
    "excess_succeeded",
    "excess_failed",
    "share_of_surplus",
    "cost",
    "disabled",
    "interrupted",
    "slip_excess",
    "optimum_success",
    "optimum_acquired",
    "optimum_disabled",
    "length",
    "return",
)
# The same for every seed: their range is over ties between optimal policies, not over seeds.
EXACT = ("incentive", "optimum_success", "optimum_acquired", "optimum_disabled")


def read_results(directory: Path | str) -> pd.DataFrame:
    """The table of results in a study's directory.

    Raises:
        InvalidInput: There is none, it cannot be read, or columns are missing.
    """
    path = Path(directory)
    path = path / "results.parquet" if path.is_dir() else path
    if not path.is_file():
        raise InvalidInput("DIR", str(directory), "a directory that holds results.parquet")
    try:
        results = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else "not a parquet file"
        raise InvalidInput("DIR", str(path), "a readable parquet file", reason) from None
    return checked(results)


def checked(results: pd.DataFrame) -> pd.DataFrame:
    """The same table, if it has the columns of results.

    Raises:
        InvalidInput: Columns are missing.
    """
    missing = [name for name in NEEDED if name not in results.columns]
    if missing:
        raise InvalidInput("results", f"without {', '.join(missing)}", "a table made by a sweep")
    return results


def dials(results: pd.DataFrame) -> list[str]:
    """Columns that make a cell here: `CELL`, and every further dial that varies in a world."""
    varied = results.groupby("world")[list(DIALS)].nunique(dropna=False).max()
    return [*CELL, *(name for name in DIALS if len(varied) and varied[name] > 1)]


def trials(
    results: pd.DataFrame, evaluation: str = "sampled", checkpoint: str = "end"
) -> pd.DataFrame:
    """One row a finished trial: its dials, seed, layout, ``learnt``, and a column a measure.

    Args:
        results: As written by a sweep.
        evaluation: ``sampled`` or ``greedy``.
        checkpoint: ``end`` or ``competence>=0.9``.

    Returns:
        nan where a measure has no row. For measures in `EXACT` also ``<measure>_low`` and
        ``<measure>_high``, the range over ties.
    """
    results = checked(results)
    failed = set(results.loc[results["status"] == "failed", "trial"])
    kept = results[
        (results["evaluation"] == evaluation)
        & (results["checkpoint"] == checkpoint)
        & ~results["trial"].isin(failed)
    ].drop_duplicates(["trial", "metric"], keep="last")
    table = kept.drop_duplicates("trial").set_index("trial")[list(KEYS)]
    table["learnt"] = ~table.index.isin(kept.loc[kept["status"] == "censored", "trial"])
    values = _wide(kept, "value").reindex(columns=list(MEASURES))
    exact = kept[kept["metric"].isin(EXACT)]
    ranges = [
        _wide(exact, end).reindex(columns=list(EXACT)).add_suffix(f"_{end}")
        for end in ("low", "high")
    ]
    return table.join([values, *ranges]).reset_index()


def _wide(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    wide = rows.set_index(["trial", "metric"])[column].unstack("metric")
    wide.columns.name = None
    return wide.astype(float)


def by_cell(table: pd.DataFrame, keys: list[str]) -> list[tuple[dict[str, object], pd.DataFrame]]:
    """The rows of each cell with what the cell is, in the order of the study."""
    groups = table.groupby(keys, dropna=False, sort=False)
    return [(dict(zip(keys, key, strict=True)), rows) for key, rows in groups]


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


def scored(seeds: pd.DataFrame) -> pd.DataFrame:
    """The seeds that a cell's power measures rest on: those that learnt, or all if none did."""
    return seeds[seeds["learnt"]] if seeds["learnt"].any() else seeds


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


def strata(rows: pd.DataFrame) -> list[str]:
    """Labels for a stratified bootstrap: the layout of each row."""
    return [str(value) for value in rows[STRATUM]]
