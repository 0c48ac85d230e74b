"""Which recorded episodes a report plays back: the extremes of each world, one episode each."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pandas as pd

from powerseek.experiments.report.text import number, setting
from powerseek.experiments.results.table import DIALS, KEYS, Results, long, trials
from powerseek.experiments.sweep.recording import FORM, Picture, recording_path

T = TypeVar("T")
MEASURES = ("excess", "acquired", "disabled")
"""What power-seeking is read off: the first that exists in a world."""
MEANING = {
    "excess": "units acquired beyond need",
    "acquired": "units acquired, for lack of exact numbers",
    "disabled": "share of episodes in which the off-switch is disabled",
}
MOST, LEAST = "Most power-seeking", "Least power-seeking"
MISSING = "No replay of this agent was kept."
UNREADABLE = "The replay of this agent cannot be read."
_SHOWN = ("success", "acquired", "need", "excess", "disabled")
_MEANS = (*_SHOWN, "length")
_TREATMENT = ("reward", "openness", "goal", "layout", "gamma", "max_steps", "agent")
_LARGEST = 32_000_000  # characters: no recording of ours comes near


class Frame(NamedTuple):
    """One moment of a replay: its picture (None: not known) and what is said of it, by line."""

    picture: Picture | None
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Replay:
    """One agent and one of its episodes.

    Attributes:
        trial: Key of its trial.
        title: What it is an extreme of.
        treatment: What it was trained on, in words.
        numbers: Its measures at the end of training, sampled: (name, text).
        about: How the episode was chosen, or why there is none.
        frames: The episode; empty where none was kept.
        legend: What the letters of its boards mean.
    """

    trial: str
    title: str
    treatment: str
    numbers: tuple[tuple[str, str], ...]
    about: str
    frames: tuple[Frame, ...] = ()
    legend: str = ""


@dataclass(frozen=True)
class Pair:
    """The most and the least power-seeking competent agent of a world.

    Attributes:
        world: World id.
        measure: What it was read off, one of `MEASURES`.
        about: Among whom they were chosen, in words.
        agents: The most power-seeking one, then the least; one alone where there is no other.
    """

    world: str
    measure: str
    about: str
    agents: tuple[Replay, ...]


def replays(results: Results, folder: Path) -> list[Pair]:
    """The replays of a study: in each world the two extremes among its competent agents.

    Only trials that learnt the task (status ``ok``) count, at the end of training, by sampled
    evaluation: by excess, else by acquisition, else by disabling; ties go to the lower trial
    id. Agents that do not learn, and agents paid for power itself, count only where a world has
    no others.

    Args:
        results: As written by a sweep.
        folder: Directory of the study; its recordings are read, and nothing else: no world is
            run.

    Returns:
        One pair a world, in the order of the study; none for a world without a competent agent
        or without any of the measures.

    CAVEAT: The extremes of many agents are outliers by choice: they show what happened once, not
    what a treatment does. One episode is an example, however typical.
    """
    results = long(results)
    if results.empty:
        return []
    table = trials(results)
    table["trained"] = table["agent"].isin(results.stepped)
    needed = ["trial", "trained", *KEYS, *dict.fromkeys((*MEASURES, *_MEANS))]
    table = table.loc[table["learnt"] & table[list(MEASURES)].notna().any(axis=1), needed]
    pairs = []
    for world, rows in table.groupby("world", sort=False, observed=True):
        held, left_out = _compared(rows)
        measure = next((name for name in MEASURES if np.isfinite(held[name]).any()), None)
        if measure is not None:
            held = held[np.isfinite(held[measure])]
            about = _among(held, measure, left_out)
            agents = tuple(
                _replay(held[held["trial"] == trial].iloc[0], held, title, Path(folder))
                for title, trial in _ends(held, measure).items()
            )
            pairs.append(Pair(str(world), measure, about, agents))
    return pairs


def _compared(rows: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The trials that a world is read off, and who was left out."""
    left_out = []
    for words, chosen in (
        ("agents that do not learn", rows["trained"]),
        ("agents paid for power itself", rows["power_weight"] == 0),
    ):
        chosen = chosen[rows.index]
        if chosen.any() and not chosen.all():
            rows = rows[chosen]
            left_out.append(words)
    return rows, left_out


def _ends(held: pd.DataFrame, measure: str) -> dict[str, str]:
    """The extremes' trials by title; one alone has no opposite."""
    trials, values = held["trial"], held[measure].to_numpy()
    most = min(trials[values == values.max()])
    others = (trials != most).to_numpy()
    if not others.any():
        return {"The only competent agent": str(most)}
    least = min(trials[others & (values == values[others].min())])
    return {MOST: str(most), LEAST: str(least)}


def _among(held: pd.DataFrame, measure: str, left_out: Sequence[str]) -> str:
    count = len(held)
    words = f"By {measure} ({MEANING[measure]}), "
    if count == 1:
        words = "There is only one competent agent here"
    elif held[measure].nunique() == 1:
        words += f"all {count} competent agents are alike; two of them are shown"
    else:
        words += f"the extremes of {count} competent agents"
    if not held["trained"].any():
        words += "; none was trained" if count > 1 else ", and it was not trained"
    return f"{words}{'; not counted: ' if left_out else ''}{', '.join(left_out)}."


def _replay(own: pd.Series[Any], dials: pd.DataFrame, title: str, folder: Path) -> Replay:
    about = {str(name): value for name, value in own.to_dict().items()}
    means = {name: float(about[name]) for name in _MEANS if np.isfinite(about[name])}
    trial = str(about["trial"])
    frames: tuple[Frame, ...] = ()
    legend = ""
    try:
        frames, words, legend = _typical(_read(folder, trial), means)
    except FileNotFoundError:
        words = MISSING
    except (OSError, EOFError, zlib.error, ValueError, TypeError, KeyError, IndexError):
        words = UNREADABLE
    numbers = tuple(
        (name, number(means[name], signed=name == "excess")) for name in _SHOWN if name in means
    )
    return Replay(trial, title, _treatment(about, dials), numbers, words, frames, legend)


def _treatment(about: Mapping[str, Any], dials: pd.DataFrame) -> str:
    """What an agent was trained on; what rarely differs is said only where it does."""
    rare = [n for n in DIALS if n not in (*_TREATMENT, "params", "version")]
    names = [*_TREATMENT, *(n for n in rare if dials[n].nunique(dropna=False) > 1)]
    if about["power_weight"]:
        names.insert(1, "power_weight")
    if dials["params"].nunique(dropna=False) > 1:
        names.append("params")
    words = [setting(about, names), f"seed {about['seed']}"]
    return ", ".join(word for word in words if word)


def _read(folder: Path, trial: str) -> dict[str, Any]:
    """The recording of a trial as it lies there.

    Raises:
        OSError, EOFError, zlib.error, ValueError: It cannot be read, or is none of this trial.
    """
    with gzip.open(recording_path(folder, trial), "rb") as file:
        text = file.read(_LARGEST + 1)
    if len(text) > _LARGEST:
        raise ValueError("too large for a recording")
    held = json.loads(text)
    if not isinstance(held, dict) or (held.get("form"), held.get("trial")) != (FORM, trial):
        raise ValueError("not a recording of this trial, or of another version")
    return held


def _typical(
    held: Mapping[str, Any], means: Mapping[str, float]
) -> tuple[tuple[Frame, ...], str, str]:
    """The frames of the episode nearest to the agent's means, why that one, and the legend."""
    episodes: Sequence[Mapping[str, Any]] = held["episodes"]
    nearest = min(range(len(episodes)), key=lambda i: (*_distance(episodes[i], means), i))
    chosen = episodes[nearest]
    words = f"A typical episode: of {len(episodes)} recorded ones, "
    if chosen["acquired"] is not None and "acquired" in means:
        words += (
            f"the one whose acquisition ({chosen['acquired'][-1]:g}) is nearest to this "
            f"agent's mean ({number(means['acquired'])})."
        )
    else:
        words += "the one nearest to this agent's means."
    return _frames(held, chosen), words, str(held["legend"])


def _distance(episode: Mapping[str, Any], means: Mapping[str, float]) -> tuple[float, ...]:
    """How far an episode is from the means: acquisition first, the rest where that ties."""
    last = {
        "acquired": None if episode["acquired"] is None else episode["acquired"][-1],
        "success": episode["success"][-1],
        "disabled": None if episode["disabled"] is None else episode["disabled"][-1],
        "length": episode["steps"][-1],
    }
    return tuple(
        round(abs(float(value) - means[name]), 9)
        for name, value in last.items()
        if value is not None and name in means and np.isfinite(means[name])
    )


def _frames(held: Mapping[str, Any], episode: Mapping[str, Any]) -> tuple[Frame, ...]:
    """The episode moment by moment.

    Raises:
        ValueError, TypeError, KeyError, IndexError: It is not what a recording holds.
    """
    pictures = [(str(board), str(words)) for board, words in held["pictures"]]
    steps = [int(step) for step in episode["steps"]]
    columns = [episode[name] for name in ("frames", "acquired", "disabled", "interrupted")]
    if any(column is not None and len(column) != len(steps) for column in columns):
        raise ValueError("columns of different lengths")
    found = []
    for i, position in enumerate(episode["frames"]):
        picture = None if position is None else _at(pictures, position)
        found.append(Frame(picture, tuple(_lines(held["names"], episode, steps, i))))
    return tuple(found)


def _lines(
    names: Sequence[str], episode: Mapping[str, Any], steps: Sequence[int], i: int
) -> list[str]:
    """What there is to say at the i-th kept step: as many lines at every step."""
    last = len(steps) - 1
    gap = i > 0 and steps[i] - steps[i - 1] > 1
    lines = [f"Step {steps[i]} of {steps[last]}: {_action(names, episode, i)}"]
    if gap:
        lines[0] += f" (steps {steps[i - 1] + 1} to {steps[i] - 1} are left out)"
    if (acquired := episode["acquired"]) is not None:
        gain = acquired[i] - acquired[i - 1] if i else 0.0
        lines.append(f"Acquired so far: {acquired[i]:g}{f' (+{gain:g})' if gain > 0 else ''}")
    if (disabled := episode["disabled"]) is not None:
        lines.append(f"Off-switch: {'disabled' if disabled[i] else 'in working order'}")
    stopped = episode["interrupted"] is not None and episode["interrupted"][i]
    outcome = "success" if episode["success"][i] else "failed" if i == last else "under way"
    lines.append(f"Outcome: {outcome}{', the agent was switched off' if stopped else ''}")
    return lines


def _action(names: Sequence[str], episode: Mapping[str, Any], i: int) -> str:
    return "start" if i == 0 else str(_at(names, episode["actions"][i - 1]))


def _at(listed: Sequence[T], position: int) -> T:
    if position < 0:
        raise IndexError(position)
    return listed[position]
