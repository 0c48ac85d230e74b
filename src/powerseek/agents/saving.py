"""Trained agents on disk: a zip of weights with our card in it, which says what they are of."""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from powerseek.agents.archive import opened, read_arrays
from powerseek.agents.job import TrainedAgent
from powerseek.envs.task import Task
from powerseek.errors import InvalidInput, shown
from powerseek.exact.overseer import learnt_overseer, with_overseer
from powerseek.files import write_atomically
from powerseek.registry import agents

CARD, WEIGHTS, BESIDE = "powerseek.json", "weights.npz", "beside.npz"
"""Our page in a saved agent's zip; its arrays, where no library has a format for them; and those
that its policy needs beside a library's model."""

MAX_CARD = 2**20
"""Bytes of a card at most: names of some ten thousand observations."""


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _names(value: Any) -> bool:
    texts = isinstance(value, list) and all(isinstance(name, str) for name in value)
    return texts and 0 < len(set(value)) == len(value)


def _task(value: Any) -> bool:
    fields = {field.name for field in dataclasses.fields(Task) if field.compare} - {"world"}
    known = isinstance(value, dict) and set(value) <= fields
    return known and isinstance(value.get("windows"), list)


_ON_CARD: dict[str, tuple[Callable[[Any], bool], str]] = {
    "agent": (lambda value: isinstance(value, str) and agents.taken(value), "an agent known here"),
    "world": (lambda value: isinstance(value, str), "the id of a world"),
    "params": (lambda value: isinstance(value, dict), "parameters of a world, by name"),
    "task": (_task, "what powerseek.Task takes, by name"),
    "observations": (_names, "distinct names"),
    "actions": (_names, "distinct names"),
    "settings": (lambda value: isinstance(value, dict), "settings of the agent, by name"),
    "timesteps": (_count, "an integer >= 0"),
    "updates": (_count, "an integer >= 0"),
    "first_reward": (lambda value: value is None or _count(value), "an integer >= 0, or null"),
}
"""Fields of a card: the test of a value, and the allowed ones in words."""


def save_agent(trained: TrainedAgent, task: Task, path: str | Path) -> Path:
    """Write a trained agent: a zip with our card, in the library's own format where it has one.

    Args:
        trained: What `train` gave, with a model or weights.
        task: What it was trained on; with its overseer, where that is learnt: the card says by
            which labels.
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
    content = io.BytesIO()  # libraries say in many ways that a disk is full
    if trained.model is not None:
        trained.model.save(content)
    else:
        _keep(content, WEIGHTS, trained.weights or {})
    if trained.beside is not None:
        _keep(content, BESIDE, trained.beside)
    card = {
        "agent": trained.agent,
        **task.card,
        "settings": dict(trained.settings),
        "timesteps": trained.timesteps,
        "updates": trained.updates,
        "first_reward": trained.first_reward,
    }
    if (model := learnt_overseer(task.overseer)) is not None:
        card["labels_seed"] = model.seed
    with zipfile.ZipFile(content, "a") as archive:
        archive.writestr(CARD, json.dumps(card))
    write_atomically(path, lambda temporary: temporary.write_bytes(content.getvalue()))
    return path


def _keep(content: io.BytesIO, name: str, arrays: Mapping[str, Any]) -> None:
    """Add arrays to a zip, under a name."""
    kept = io.BytesIO()
    np.savez(kept, **dict(arrays))
    with zipfile.ZipFile(content, "a") as archive:
        archive.writestr(name, kept.getvalue())


def read_card(path: str | Path) -> dict[str, Any]:
    """Read the card that `save_agent` wrote beside the weights.

    Raises:
        InvalidInput: Not an agent that powerseek saved, or a card that cannot be one's.
    """
    with refusing(path, "it has no card of ours"), opened(path) as archive:
        if archive.getinfo(CARD).file_size > MAX_CARD:
            raise ValueError(f"its card is larger than {MAX_CARD:,} bytes")
        card = json.loads(archive.read(CARD))
        if not isinstance(card, dict):
            raise ValueError("its card is no mapping")
        for name, (fits, allowed) in _ON_CARD.items():
            if name not in card or not fits(card[name]):
                given = shown(card.get(name, "nothing"))
                raise ValueError(f"its card says {name}: {given}, where {allowed} must stand")
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
    builder = agents.get(card["agent"])
    if task is not None:
        _check_fit(path, "observations", card["observations"], task.observation_names)
        _check_fit(path, "actions", card["actions"], task.world.action_names)
    # Demonstrators of its training need not be here.
    being = {k: value for k, value in card["settings"].items() if k not in builder.recipe}
    with refusing(path, "its weights are damaged, or do not fit the settings it names"):
        if task is not None:
            builder.settings(task, being)
        weights = read_kept(path, WEIGHTS)
        if weights is None:
            policy = builder.load_model(Path(path), {**card, "settings": being}, device)
        else:
            policy = builder.policy_from(weights, {**card, "settings": being})
        policy = builder.in_task(policy, task, being)
    counted = (card[name] for name in ("timesteps", "updates", "first_reward", "settings"))
    return TrainedAgent(card["agent"], policy, *counted)


def read_kept(path: str | Path, part: str) -> dict[str, Any] | None:
    """The arrays of a part of a saved agent, by name; None where it has no such part.

    Args:
        path: What `save_agent` wrote.
        part: `WEIGHTS` or `BESIDE`.

    Raises:
        ValueError: What is kept is no array, or not a number.
    """
    with opened(path) as archive:
        if part not in archive.namelist():
            return None
        arrays = read_arrays(archive.read(part))
    for name, array in arrays.items():
        if array.dtype.kind in "fc" and np.isnan(array).any():
            raise ValueError(f"its weights {name!r} are not all numbers")
    return arrays


def task_of(card: Mapping[str, Any], world: Any) -> Task:
    """The task of a saved agent, in `world`; paid by the reward model that it was trained by.

    That one is learnt anew, where the agent was trained.
    """
    task = dict(card["task"])
    made = Task(world, **{**task, "windows": tuple(task["windows"])})
    seed: Any = card.get("labels_seed")
    if not _count(seed) or world.id != card["world"]:
        return made
    home = dataclasses.replace(made, world=world.replace(**card["params"]))
    return dataclasses.replace(made, overseer=with_overseer(home, seed=seed).overseer)


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


@contextmanager
def refusing(
    path: str | Path, otherwise: str, allowed: str = "a model that powerseek saved"
) -> Iterator[None]:
    """Whatever a strange file does is one line: what we say ourselves, or else `otherwise`."""
    try:
        yield
    except Exception as error:  # libraries raise many kinds, some of many lines
        own = isinstance(error, InvalidInput | OSError) or type(error) is ValueError
        reason = str(error).partition("\n")[0] if own else f"{type(error).__name__}: {otherwise}"
        raise InvalidInput("model", str(path), allowed, f"{reason.rstrip('.')}.") from None
