"""The long table of results as one row a trial, and trials grouped into cells."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd

from powerseek.errors import InvalidInput
from powerseek.experiments import layout
from powerseek.experiments.results.parameters import in_words, told
from powerseek.experiments.results.reading import File, Frame, Ints, Long, Source, unreadable

Results: TypeAlias = pd.DataFrame | Long

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
    "disempowerment",
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
# Shares of episodes: they lie in [0, 1].
SHARES = ("competence", "success", "disabled", "interrupted", "optimum_success", "optimum_disabled")
# The same for every seed: their range is over ties between optimal policies, not over seeds.
EXACT = ("incentive", "optimum_success", "optimum_acquired", "optimum_disabled")


def read_long(directory: Path | str) -> Long:
    """The results in a study's directory, read by columns as far as they are asked for.

    Raises:
        InvalidInput: There are none, they cannot be read, or columns are missing.
    """
    return _checked(File(_results(directory)))


def read_results(directory: Path | str) -> pd.DataFrame:
    """The table of results in a study's directory, all of it: for scripts on small studies.

    Raises:
        InvalidInput: There is none, it cannot be read, or columns are missing.
    """
    path = _results(directory)
    try:
        results = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from None
    _check(list(results.columns))
    return results


def _results(directory: Path | str) -> Path:
    path = Path(directory)
    path = path / layout.RESULTS if path.is_dir() else path
    if not path.is_file():
        raise InvalidInput("DIR", str(directory), f"a directory that holds {layout.RESULTS}")
    return path


def long(results: Results) -> Long:
    """Results in memory in the form in which all others are read; one in it as it is.

    Raises:
        InvalidInput: Columns are missing.
    """
    return results if isinstance(results, Long) else _checked(Frame(results))


def _checked(source: Source) -> Long:
    _check(source.columns)
    found = Long(source, KEYS)
    found.words = in_words(found.every)
    found.every = told(found.every, found.words)
    return found


def _check(columns: Sequence[str]) -> None:
    missing = [name for name in NEEDED if name not in columns]
    if missing:
        raise InvalidInput("results", f"without {', '.join(missing)}", "a table made by a sweep")


def learners(results: Results) -> tuple[Long, Long]:
    """The trials of agents that learn, and those of the others; all are the first's if none learns.

    An agent none of whose finished trials took a gradient step is a reference for the others:
    a script, a planner, chance.
    """
    found = long(results)
    learns = found.every["agent"].isin(found.learning).to_numpy()
    if not learns.any():
        learns = ~learns
    return found.where(learns), found.where(~learns)


def dials(results: Results) -> list[str]:
    """Columns that make a cell here: `CELL`, and every further dial that varies in a world."""
    every = long(results).every
    varied = every.groupby("world")[list(DIALS)].nunique(dropna=False).max()
    return [*CELL, *(name for name in DIALS if len(varied) and varied[name] > 1)]


def trials(results: Results, evaluation: str = "sampled", checkpoint: str = "end") -> pd.DataFrame:
    """One row a finished trial: its dials, seed, layout, ``learnt``, and a column a measure.

    Args:
        results: As written by a sweep.
        evaluation: ``sampled`` or ``greedy``.
        checkpoint: ``end`` or ``competence>=0.9``.

    Returns:
        nan where a measure has no row. For measures in `EXACT` also ``<measure>_low`` and
        ``<measure>_high``, the range over ties.
    """
    return long(results).trials(evaluation, checkpoint, MEASURES, EXACT)


def by_cell(table: pd.DataFrame, keys: list[str]) -> list[tuple[dict[str, object], pd.DataFrame]]:
    """The rows of each cell with what the cell is, in the order of the study."""
    groups = table.groupby(keys, dropna=False, sort=False)
    return [(dict(zip(keys, key, strict=True)), rows) for key, rows in groups]


def codes(table: pd.DataFrame, names: list[str]) -> Ints:
    """A number a row, the same for rows that agree; by first appearance, missing with missing."""
    if table.empty:
        return np.zeros(0, dtype=np.int64)
    groups = table.groupby(names, dropna=False, sort=False)
    return np.asarray(groups.ngroup(), dtype=np.int64)
