"""The long table of results as one row a trial, and trials grouped into cells."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from powerseek.agents.spec import agent_id
from powerseek.envs.rewards.spec import Place, place_of
from powerseek.errors import InvalidInput
from powerseek.experiments import checksums, layout
from powerseek.experiments.results.files import reason
from powerseek.experiments.results.integrity import made_anew
from powerseek.experiments.results.reading import (
    BEST,
    Ints,
    Long,
    Source,
    in_memory,
    opened,
    whole_table,
)
from powerseek.experiments.results.schema import NO_METRIC
from powerseek.experiments.study.factors import (
    CELL,
    FACTORS,
    MORE,
    PREFIX,
    Level,
    Of,
    factor_columns,
)
from powerseek.metrics import known_metric
from powerseek.registry import list_metrics

Results: TypeAlias = pd.DataFrame | Long

STRATUM = "layout"


def read_long(directory: Path | str) -> Long:
    """The results in a study's directory, read by columns as far as they are asked for.

    Raises:
        InvalidInput: There are none, they cannot be read, or columns are missing.
    """
    return _with_factors(opened(_results(directory)))


def read_results(directory: Path | str) -> pd.DataFrame:
    """The table of results in a study's directory, all of it: for scripts on small studies.

    Raises:
        InvalidInput: There is none, it cannot be read, or columns are missing.
    """
    return whole_table(opened(_results(directory)))


def _results(directory: Path | str) -> Path:
    path = Path(directory)
    path = path / layout.RESULTS if path.is_dir() else path
    try:
        checksums.check(path)
    except FileNotFoundError:
        allowed = f"a directory that holds {layout.RESULTS}"
        raise InvalidInput("DIR", str(directory), allowed) from None
    except (OSError, ValueError) as error:
        allowed = f"a table as a sweep wrote it ({reason(error)})"
        raise InvalidInput("DIR", str(path), allowed, made_anew(path.parent)) from None
    return path


def long_table(results: Results) -> Long:
    """Results in memory in the form in which all others are read; one in it as it is.

    Raises:
        InvalidInput: Columns are missing.
    """
    return results if isinstance(results, Long) else _with_factors(in_memory(results))


def _with_factors(source: Source) -> Long:
    table = Long(source)
    known = set(table.every)
    table.every = results_with_factors(table.every)
    table.known += [str(name) for name in table.every if name not in known]
    return table


def results_with_factors(table: pd.DataFrame) -> pd.DataFrame:
    """A table with a column for every parameter and setting that its rows do not all share.

    Args:
        table: Columns ``world``, ``params``, and where they are there ``agent``, ``settings`` and
            those of `FACTORS`; what is no JSON mapping has no factors.

    Returns:
        With ``params.NAME`` for what varies within a world and ``settings.NAME`` for what varies
        among agents of an id in a world; numbers as floats, missing where a row has none.
    """
    for of, name, groups in _SPREAD:
        if {name, *groups} <= set(table.columns) and len(table):
            table = table.assign(**_columns(table, of, name, groups))
    return table


_SPREAD: tuple[tuple[Of, str, list[str]], ...] = (
    ("world", "params", ["world"]),
    ("agent", "settings", ["world", "agent"]),
)


def agent_ids(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the id of each agent for its name, where agents are named by settings too."""
    known = table["agent"].unique()
    ids = {name: agent_id(name) for name in known if isinstance(name, str)}
    if all(name == id for name, id in ids.items()):
        return table
    return table.assign(agent=table["agent"].map(ids))


_OWN = [factor for factor in FACTORS if factor.of == "cell"]


def _columns(table: pd.DataFrame, of: Of, name: str, groups: list[str]) -> dict[str, pd.Series]:
    table = agent_ids(table) if "agent" in groups else table
    own = [factor for factor in _OWN if of == "agent" and factor.column in table]
    told = [*dict.fromkeys([*groups, name, *(factor.column for factor in own)])]
    row = row_codes(table, told)
    first = np.unique(row, return_index=True)[1]
    levels: list[dict[str, Level]] = []
    seen: dict[tuple[object, ...], list[dict[str, Level]]] = {}
    for given in table[told].iloc[first].to_dict("records"):
        cell = {factor.name: _known(given[factor.column]) for factor in own}
        held = dict(factor_columns(json_column(given[name]), of, cell))
        levels.append(held)
        seen.setdefault(tuple(given[g] for g in groups), []).append(held)
    varied = {
        column
        for group in seen.values()
        for column in {column for held in group for column in held}
        if len({held.get(column) for held in group}) > 1
    }
    return {
        column: pd.Series([held.get(column) for held in levels], dtype=object)
        .infer_objects()
        .take(row)
        .set_axis(table.index)
        for column in sorted(varied)
    }


def json_column(text: object) -> dict[str, Any]:
    """The mapping that a column of JSON holds in a row; empty where it is none."""
    try:
        held = json.loads(str(text))
    except ValueError:
        return {}
    return held if isinstance(held, dict) else {}


def _known(value: Any) -> Any:
    return None if value is None or value != value else value


def learning_trials(results: Results) -> tuple[Long, Long]:
    """The trials of agents that learn, and those of the others; all are the first's if none learns.

    An agent none of whose finished trials took a gradient step is a reference for the others:
    a script, a planner, chance.
    """
    table = long_table(results)
    learns = table.every["agent"].isin(table.learning).to_numpy()
    if not learns.any():
        learns = ~learns
    return table.where(learns), table.where(~learns)


def results_factors(results: Results) -> list[str]:
    """Columns that make a cell here: `CELL`, and every further factor that varies in a world.

    A setting counts where it varies among agents of an id there.
    """
    every = long_table(results).every
    names = [str(name) for name in every]
    params = [name for name in names if name.startswith(PREFIX["world"])]
    settings = [name for name in names if name.startswith(PREFIX["agent"])]
    columns = list(CELL)
    for names, groups in (([*params, *MORE], ["world"]), (settings, ["world", "agent"])):
        table = agent_ids(every) if "agent" in groups else every
        varied = table.groupby(groups)[names].nunique(dropna=False).max()
        columns += [name for name in names if len(varied) and varied[name] > 1]
    return columns


def trials(results: Results, evaluation: str = BEST, checkpoint: str = "end") -> pd.DataFrame:
    """One row a finished trial: its factors, seed, layout, ``learnt``, and a column a measure.

    Args:
        results: As written by a sweep.
        evaluation: ``sampled``, ``greedy``, ``exact``, ``exact-greedy``, or ``best``: metric by
            metric the exact value, the sampled one where there is none.
        checkpoint: ``end`` or ``competence>=0.9``.

    Returns:
        A column for every metric that is registered or has rows, nan where it has none. For exact
        ones also ``<measure>_low`` and ``<measure>_high``, the range over ties.
    """
    table = long_table(results)
    measures = measures_of(table)
    exact = [name for name in measures if known_metric(name).exact]
    return table.trials(evaluation, checkpoint, measures, exact)


def measures_of(results: Results) -> list[str]:
    """Every metric that is registered here or has rows in the results, sorted."""
    return sorted({*list_metrics(), *long_table(results).metrics} - {*NO_METRIC})


def reward_places(results: Results) -> dict[str, Place]:
    """Places of the rewards of results on the factors of rewards, by label.

    One that a plugin knows which is not installed lies on none.
    """
    every = long_table(results).every[["reward", "spec"]].drop_duplicates()
    places = {}
    for label, spec in every.itertuples(index=False):
        with contextlib.suppress(InvalidInput, ValueError):
            place = place_of(json.loads(spec))
            if place is not None:
                places[str(label)] = place
    return places


def rows_by_cell(
    table: pd.DataFrame, keys: list[str]
) -> list[tuple[dict[str, object], pd.DataFrame]]:
    """The rows of each cell with what the cell is, in the order of the study."""
    groups = table.groupby(keys, dropna=False, sort=False)
    return [(dict(zip(keys, key, strict=True)), rows) for key, rows in groups]


def row_codes(table: pd.DataFrame, names: list[str]) -> Ints:
    """A number a row, the same for rows that agree; by first appearance, missing with missing."""
    if table.empty:
        return np.zeros(0, dtype=np.int64)
    groups = table.groupby(names, dropna=False, sort=False)
    return np.asarray(groups.ngroup(), dtype=np.int64)


def distinct_codes(group: Ints, codes: Ints, count: int) -> Ints:
    """[count] how many different codes the rows of each group have; both [rows], from 0."""
    size = int(codes.max(initial=0)) + 1
    pairs: Ints = np.unique(group * size + codes)
    return np.bincount(pairs // size, minlength=count)
