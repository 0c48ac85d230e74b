"""One agent at a time: train it and keep it, or measure one that was kept."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from powerseek.errors import InvalidInput
from powerseek.experiments import layout
from powerseek.experiments.results.remote import store_at
from powerseek.experiments.results.store import COLUMNS, trial_columns
from powerseek.experiments.study.checked import cells
from powerseek.experiments.study.grid import Trial, without_reward_warnings
from powerseek.experiments.study.lint import study_cautions
from powerseek.experiments.study.schema import make_study
from powerseek.experiments.sweep.evaluate import Evaluator
from powerseek.experiments.sweep.oracles import optimum_of, oracle_of
from powerseek.experiments.sweep.trial import judged, run_trial, trial_of_card
from powerseek.limits import check_limit
from powerseek.registry import make_world, worlds


def train_one(
    given: Mapping[str, Any], seed: int, out: str | Path | None
) -> tuple[pd.DataFrame, str | None, tuple[str, ...]]:
    """Train the one cell of a study.

    Args:
        given: The study, as its file would hold it.
        seed: Training seed.
        out: Where model and measures go, as for a sweep; by default ``runs/train/<identity>``.

    Returns:
        Its rows, where its model lies (None for an agent without one) and what should be said
        beside it.

    Raises:
        InvalidInput: Bad input; nothing is written.
    """
    check_limit("seed", seed)
    study = make_study(given)
    (cell,) = cells(study)
    trial = Trial(cell, seed, study.name)
    store = store_at(out or Path("runs") / "train" / trial.key)
    store.fetch()
    with store.naming():
        held = store.out.exists() and (not store.out.is_dir() or any(store.out.iterdir()))
        if out is not None and held:
            raise InvalidInput("--out", store.told(str(store.out)), "an empty or absent directory")
        rows = run_trial(trial, store.out)
        store.write(trial, rows)
    model = store.out / layout.MODELS / f"{trial.key}.zip"
    return rows, store.shown(model) if model.is_file() else None, study_cautions(study)


def evaluate_one(
    model: Path, world: str, params: Mapping[str, Any], episodes: int, seed: int
) -> pd.DataFrame:
    """Measure a kept model in a world, beside what it was trained for.

    Args:
        model: What `train_one` or a sweep kept.
        world: World id.
        params: The world's parameters; in the world it was trained in, the rest are those of
            training, else the world's own.
        episodes: Episodes of each evaluation.
        seed: Of the evaluation.

    Raises:
        InvalidInput: Not a model, or one that does not fit the world.
    """
    from powerseek.agents import read_card

    check_limit("episodes", episodes)
    check_limit("seed", seed)
    card = read_card(model)
    with without_reward_warnings():
        return _evaluated(card, model, world, params, episodes, seed)


def _evaluated(
    card: Mapping[str, Any],
    model: Path,
    world: str,
    params: Mapping[str, Any],
    episodes: int,
    seed: int,
) -> pd.DataFrame:
    from powerseek.agents import load_agent, task_of

    world = worlds.resolve(world)
    known = card["params"] if card["world"] == world else {}
    task = task_of(card, make_world(world, **{**known, **params}))
    trained = load_agent(model, task)
    trial = trial_of_card(card, task, seed, episodes)
    evaluator = Evaluator(task, oracle_of(trial.cell, None), optimum_of(trial.cell, None), seed)
    about = {
        **trial_columns(trial),
        "timesteps": trained.timesteps,
        "updates": trained.updates,
        "checkpoint": "end",
        "status": "ok",
    }
    rows = judged(evaluator.rows(trained.policy, episodes, about=about), trial.cell)
    return pd.DataFrame(rows, columns=list(COLUMNS))
