"""Trained agents on disk: a zip of weights with our card in it, which says what they are of."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from powerseek.agents.job import TrainedAgent
from powerseek.envs.task import Task
from powerseek.errors import InvalidInput
from powerseek.registry import agents

CARD, WEIGHTS = "powerseek.json", "weights.npz"
"""Our page in a saved agent's zip; and its arrays, where no library has a format for them."""

_ON_CARD = (
    *("agent", "world", "params", "task", "observations", "actions"),
    *("settings", "timesteps", "updates", "first_reward"),
)


def save_agent(trained: TrainedAgent, task: Task, path: str | Path) -> Path:
    """Write a trained agent: a zip with our card, in the library's own format where it has one.

    Args:
        trained: What `train` gave, with a model or weights.
        task: What it was trained on.
        path: Where; `.zip` is added to a name without it. Written whole or not at all.

    Returns:
        The path written.

    Raises:
        InvalidInput: An agent of which there is nothing to keep.
    """
    if not trained.can_be_saved:
        raise InvalidInput("agent", trained.agent, "an agent with a model or weights")
    path = Path(path)
    path = path if path.suffix == ".zip" else path.with_name(f"{path.name}.zip")
    part = path.with_name(f".{path.stem}.part.zip")
    if trained.model is not None:
        trained.model.save(part)
    else:
        file = io.BytesIO()
        np.savez(file, **dict(trained.weights or {}))
        with zipfile.ZipFile(part, "w") as archive:
            archive.writestr(WEIGHTS, file.getvalue())
    card = {
        "agent": trained.agent,
        **task.card,
        "settings": dict(trained.settings),
        "timesteps": trained.timesteps,
        "updates": trained.updates,
        "first_reward": trained.first_reward,
    }
    with zipfile.ZipFile(part, "a") as archive:
        archive.writestr(CARD, json.dumps(card))
    os.replace(part, path)
    return path


def read_card(path: str | Path) -> dict[str, Any]:
    """Read the card that `save_agent` wrote beside the weights.

    Raises:
        InvalidInput: Not an agent that powerseek saved.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            card: dict[str, Any] = json.loads(archive.read(CARD))
        lacking = [name for name in _ON_CARD if name not in card]
        if lacking or not agents.taken(card["agent"]):
            raise ValueError("not a page that powerseek wrote")
    except (OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise _no_model(path, f"{type(error).__name__}: {error}.") from None
    return card


def load_agent(path: str | Path, task: Task | None = None, device: str = "cpu") -> TrainedAgent:
    """Read a saved agent. Only weights are read: nothing in the file is executed.

    Args:
        path: What `save_agent` wrote.
        task: Where it is to act; checked.
        device: Where the network lives.

    Raises:
        InvalidInput: Not such a file, or an agent that sees or does other things than the task.
    """
    card = read_card(path)
    if task is not None:
        _check_fit(path, "observations", card["observations"], task.observation_names)
        _check_fit(path, "actions", card["actions"], task.world.action_names)
    builder = agents.get(card["agent"])
    try:
        weights = _weights(path)
        if weights is None:
            policy = builder.load_model(Path(path), card, device)
        else:
            policy = builder.policy_from(weights, card)
    except Exception as error:  # whatever a strange file does: torch raises many kinds
        reason = "its weights are damaged, or do not fit the settings it names"
        raise _no_model(path, f"{type(error).__name__}: {reason}.") from None
    return TrainedAgent(
        card["agent"],
        policy,
        card["timesteps"],
        card["updates"],
        card["first_reward"],
        card["settings"],
    )


def _weights(path: str | Path) -> dict[str, Any] | None:
    """The arrays of a saved agent, by name; None where a library keeps them in its own way."""
    with zipfile.ZipFile(path) as archive:
        if WEIGHTS not in archive.namelist():
            return None
        content = archive.read(WEIGHTS)
    with np.load(io.BytesIO(content), allow_pickle=False) as held:
        return dict(held)


def task_of(card: Mapping[str, Any], world: Any) -> Task:
    """The task of a saved agent, in `world`."""
    task = dict(card["task"])
    return Task(world, **{**task, "windows": tuple(task["windows"])})


def _check_fit(path: str | Path, what: str, saved: Sequence[str], here: Sequence[str]) -> None:
    if list(saved) == list(here):
        return
    other = [name for name in here if name not in saved] or [n for n in saved if n not in here]
    raise InvalidInput(
        "model",
        str(path),
        f"a model with the {what} of the task ({len(here)}, the model has {len(saved)}; "
        f"first difference: {other[0] if other else 'their order'})",
    )


def _no_model(path: str | Path, why: str) -> InvalidInput:
    return InvalidInput("model", str(path), "a model that powerseek saved", why)
