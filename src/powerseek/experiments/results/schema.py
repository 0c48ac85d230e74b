"""The rows of results: their columns, and what of them says which trial it was."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from math import isnan, nan
from typing import Any

import pyarrow as pa

from powerseek.errors import InvalidInput
from powerseek.experiments import layout
from powerseek.experiments.study.factors import BY_NAME, FACTORS, LATER
from powerseek.experiments.study.grid import Trial, canonical_study_json

TEXT, NUMBER, WHOLE = pa.string(), pa.float64(), pa.int64()
KINDS = {str: TEXT, float: NUMBER, int: WHOLE}
SCHEMA = pa.schema(
    [
        *[(name, TEXT) for name in ("study", "world")],
        ("version", WHOLE),
        ("params", TEXT),
        *[(f.name, KINDS[f.dtype]) for f in FACTORS if f.column == f.name and f.name not in LATER],
        *[(name, WHOLE) for name in ("seed", "timesteps", "updates")],
        *[(name, TEXT) for name in ("checkpoint", "evaluation", "metric")],
        *[(name, NUMBER) for name in ("value", "low", "high")],
        ("n", WHOLE),
        *[(name, TEXT) for name in ("unit", "status", "trial")],
        # Scripts elsewhere know the columns so far by their order: what is newer comes last.
        *[(f.column, KINDS[f.dtype]) for f in FACTORS if f.column != f.name],
        *[(name, TEXT) for name in ("settings", "spec")],
        # Parts of the reward, beside its label.
        *[("aim", TEXT), ("price", NUMBER)],
        *[(name, KINDS[BY_NAME[name].dtype]) for name in LATER],
    ]
)
COLUMNS: tuple[str, ...] = tuple(SCHEMA.names)
DESCRIBED = (*COLUMNS[: COLUMNS.index("timesteps")], *COLUMNS[COLUMNS.index("trial") :])
"""The columns that `trial_columns` fills."""
KEYS = (
    "world",
    *(factor.column for factor in FACTORS),
    *("version", "params", "settings", "spec", "seed"),
)
"""The columns that make a trial what it is, in the order of tables of trials."""
FAILED_ROW = {"checkpoint": "end", "evaluation": "sampled", "metric": "failed"}
ABSENT_ROW = {"checkpoint": "end", "evaluation": "exact", "metric": "absent"}
"""The row where nothing was evaluated exactly: its unit says why, in a sentence."""
BROKEN = (
    "Its values there are nan, with this reason as their unit; all else is kept. Once it is "
    "mended, --resume uses it in trials still to come and leaves finished ones as they are; for "
    f"its values in those too delete their files ({layout.ROWS}/TRIAL.parquet) before --resume, "
    "or choose another --out."
)
"""What comes of a metric that failed, and what to do."""
OF_REWARD = ("return",)
"""Metrics of the reward itself, beside those that need its optimum."""
NO_METRIC = (FAILED_ROW["metric"], ABSENT_ROW["metric"])


def trial_columns(trial: Trial) -> dict[str, Any]:
    """The columns of the results that say what a trial is.

    One a factor; the world's other parameters, the agent's settings and the reward's spec as JSON.
    """
    cell, params = trial.cell, dict(trial.cell.params)
    own = {f.column: params.pop(f.name, None) for f in FACTORS if f.of == "world"}
    own |= {f.column: getattr(cell, f.name) for f in FACTORS if f.of == "cell"}
    own |= {"reward": cell.reward_label, "agent": cell.agent_label, "shift": cell.shift_label}
    typed = {f.column: None if own[f.column] is None else f.dtype(own[f.column]) for f in FACTORS}
    return {
        "study": trial.study,
        "world": cell.world,
        "version": cell.version,
        "params": json.dumps(params, sort_keys=True),
        **typed,
        "settings": json.dumps(dict(cell.settings), sort_keys=True),
        "spec": canonical_study_json(cell.reward),
        "aim": cell.aim,
        "price": cell.price,
        "seed": trial.seed,
        "trial": trial.key,
    }


def broken_words(metric: str, why: str, where: str = "") -> str:
    """What is said of a metric that failed: its id, why, and in which trials."""
    return f"metric {metric!r} failed{where and f' in {where}'}: {why}. {BROKEN}"


def competence_of(rows: Iterable[Mapping[Any, Any]]) -> float:
    """Competence at the end: the exact one where there is one, else that of sampled episodes."""
    found = {row["evaluation"]: row["value"] for row in rows if row["metric"] == "competence"}
    exact = found.get("exact", nan)
    return float(found.get("sampled", nan) if isnan(exact) else exact)


def check_metrics(ids: Iterable[str]) -> None:
    """Refuse a metric whose column a table of trials could not tell from one that it has.

    Raises:
        InvalidInput: Which metric, and what to call it.
    """
    for id in ids:
        if id in COLUMNS or id == "learnt":
            hint = f'Write register_metric("my.{id}") instead.'
            raise InvalidInput("metric id", id, "an id that no column of results has", hint)
