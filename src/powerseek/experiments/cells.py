"""The long table of results as one row a trial, and trials grouped into cells."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from powerseek.errors import InvalidInput

CELL = ("world", "openness", "goal", "reward", "power_weight", "gamma")
# Further dials: they join the cell only where a study varies them within a world. The look-ahead
# is none of them: the reward's label holds it.
DIALS = (
    "params",
    "version",
    "max_steps",
    "time_limit",
    "gae_lambda",
    "n_step",
    "agent",
)
STRATUM = "layout"
KEYS = (*CELL, *DIALS, "lookahead", STRATUM, "seed")
NEEDED = (
    *KEYS,
    *("trial", "updates", "checkpoint", "evaluation", "status"),
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
    "power_seeking",
    "interrupted",
    "slip_excess",
    "optimum_success",
    "optimum_acquired",
    "optimum_disabled",
    "optimum_power_seeking",
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


def learners(results: pd.DataFrame) -> pd.Series[bool]:
    """Which rows are of agents that learn; every row where no agent does.

    An agent none of whose finished trials took a gradient step is a reference for the others:
    a script, a planner, chance.
    """
    updates = results["updates"].fillna(0).groupby(results["agent"]).transform("max")
    failed = results["status"].eq("failed").groupby(results["agent"]).transform("all")
    learns = updates.gt(0) | failed
    return learns if learns.any() else ~learns


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


def scored(seeds: pd.DataFrame) -> pd.DataFrame:
    """The seeds that a cell's power measures rest on: those that learnt, or all if none did."""
    return seeds[seeds["learnt"]] if seeds["learnt"].any() else seeds


def strata(rows: pd.DataFrame) -> list[str]:
    """Labels for a stratified bootstrap: the layout of each row."""
    return [str(value) for value in rows[STRATUM]]
