"""The rows of results: their columns, and what of them says which trial it was."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

from powerseek.experiments.study.grid import Trial

TEXT, NUMBER, WHOLE = pa.string(), pa.float64(), pa.int64()
SCHEMA = pa.schema(
    [
        *[(name, TEXT) for name in ("study", "world")],
        ("version", WHOLE),
        ("params", TEXT),
        ("openness", NUMBER),
        *[(name, TEXT) for name in ("goal", "layout", "reward")],
        ("power_weight", NUMBER),
        ("gamma", NUMBER),
        ("max_steps", WHOLE),
        ("time_limit", TEXT),
        ("gae_lambda", NUMBER),
        ("n_step", WHOLE),
        ("lookahead", WHOLE),
        ("agent", TEXT),
        *[(name, WHOLE) for name in ("seed", "timesteps", "updates")],
        *[(name, TEXT) for name in ("checkpoint", "evaluation", "metric")],
        *[(name, NUMBER) for name in ("value", "low", "high")],
        ("n", WHOLE),
        *[(name, TEXT) for name in ("unit", "status", "trial")],
    ]
)
COLUMNS: tuple[str, ...] = tuple(SCHEMA.names)
DESCRIBED = (*COLUMNS[: COLUMNS.index("timesteps")], "trial")
"""The columns that `describe` fills."""
FAILED_ROW = {"checkpoint": "end", "evaluation": "sampled", "metric": "failed"}


def describe(trial: Trial) -> dict[str, Any]:
    """The columns of the results that say what a trial is."""
    cell, params = trial.cell, dict(trial.cell.params)
    own = {name: params.pop(name, None) for name in ("openness", "goal", "layout")}
    params.pop("max_steps", None)
    return {
        "study": trial.study,
        "world": cell.world,
        "version": cell.version,
        "params": json.dumps(params, sort_keys=True),
        "openness": None if own["openness"] is None else float(own["openness"]),
        "goal": None if own["goal"] is None else str(own["goal"]),
        "layout": None if own["layout"] is None else str(own["layout"]),
        "reward": cell.reward_label,
        "power_weight": cell.power_weight,
        "gamma": cell.gamma,
        "max_steps": cell.max_steps,
        "time_limit": cell.time_limit,
        "gae_lambda": cell.gae_lambda,
        "n_step": cell.n_step,
        "lookahead": cell.lookahead,
        "agent": cell.agent,
        "seed": trial.seed,
        "trial": trial.key,
    }
