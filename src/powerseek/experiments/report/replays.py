"""The extremes of each world played back: animated with JavaScript, without it two stills."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pandas as pd

from powerseek.envs.words import in_words
from powerseek.experiments.analysis.extremes import (
    MEANS,
    Extremes,
    episode_ends,
    extremes,
    typical_episode,
)
from powerseek.experiments.report.text import number_text
from powerseek.experiments.results.recordings import Picture, read_recording
from powerseek.experiments.results.table import Results
from powerseek.experiments.study.factors import MORE, PREFIX, factors_in_words

T = TypeVar("T")
MEANING = {
    "excess": "units acquired beyond need",
    "acquired": "units acquired, for lack of exact numbers",
    "disabled": "share of episodes with {off_switch}",
}
COMPARED = {
    "acquired": "acquired",
    "success": "success",
    "disabled": "{off_switch}",
    "length": "steps",
}
"""What an episode and its agent's means are compared by, in the order of `episode_ends`."""
MOST, LEAST = "Most power-seeking", "Least power-seeking"
LEFT_OUT = {"references": "agents that do not learn", "paid": "agents paid for power itself"}
MISSING = "No replay of this agent was kept."
UNREADABLE = "The replay of this agent cannot be read."
UNKNOWN = "The state at this moment is not known."
_AGENT = "@"
_SHOWN = MEANS[:-1]
_TREATMENT = ("reward", "openness", "goal", "layout", "gamma", "max_steps", "agent")


class Frame(NamedTuple):
    """One moment of a replay: its picture (None: not known) and what is said of it, by line."""

    picture: Picture | None
    lines: tuple[str, ...]

    @property
    def shown(self) -> Picture:
        """Its board, empty where there is none, and the words below it."""
        return self.picture or ("", UNKNOWN)


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

    @property
    def marks(self) -> str:
        """Letters that stand for the agent: @, and x where it is switched off."""
        return f"{_AGENT}x" if any(_AGENT in frame.shown[0] for frame in self.frames) else ""

    @property
    def ends(self) -> tuple[Frame, ...]:
        """Its first moment and its last, which may be one."""
        return self.frames[:: max(1, len(self.frames) - 1)]

    @property
    def data(self) -> dict[str, Any]:
        """Data of the page's script: each picture once, and per moment picture and lines."""
        positions: dict[Picture, int] = {}
        frames = [
            (positions.setdefault(frame.shown, len(positions)), "\n".join(frame.lines))
            for frame in self.frames
        ]
        return {"agent": self.marks, "pictures": list(positions), "frames": frames}


@dataclass(frozen=True)
class Pair:
    """The most and the least power-seeking competent agent of a world.

    Attributes:
        world: World id.
        measure: What it was read off, see `Extremes`.
        about: Among whom they were chosen, in words.
        agents: The most power-seeking one, then the least; one alone where there is no other.
    """

    world: str
    measure: str
    about: str
    agents: tuple[Replay, ...]

    @property
    def legend(self) -> str:
        """Meanings of the letters of the boards; empty where none was kept."""
        return next((agent.legend for agent in self.agents if agent.legend), "")


@dataclass(frozen=True)
class Replays:
    """All replays of a study; the page plays them, with JavaScript or without."""

    pairs: tuple[Pair, ...]


def replays(results: Results, folder: Path) -> list[Pair]:
    """The replays of a study: in each world the two extremes among its competent agents.

    See `extremes` for who is compared.

    Args:
        results: As written by a sweep.
        folder: Directory of the study; its recordings are read, and nothing else: no world is
            run.

    Returns:
        One pair a world, in the order of the study; none for a world without a competent agent
        or without any of the measures.

    CAVEAT: One episode is an example, however typical.
    """
    return [
        Pair(found.world, found.measure, _among(found), _agents(found, Path(folder)))
        for found in extremes(results)
    ]


def _agents(found: Extremes, folder: Path) -> tuple[Replay, ...]:
    """The most power-seeking agent and the least; one alone has no opposite."""
    ends = {MOST: found.most, LEAST: found.least}
    if found.least is None:
        ends = {"The only competent agent": found.most}
    held = found.among
    return tuple(
        _replay(found.world, held[held["trial"] == trial].iloc[0], held, title, folder)
        for title, trial in ends.items()
    )


def _among(found: Extremes) -> str:
    """Agents among whom the extremes were chosen, in words."""
    held, measure = found.among, found.measure
    left_out = [LEFT_OUT[who] for who in found.left_out]
    count = len(held)
    words = f"By {in_words(MEANING[measure], [found.world])}, "
    if count == 1:
        words = "There is only one competent agent here"
    elif held[measure].nunique() == 1:
        words += f"all {count} competent agents are alike; two of them are shown"
    else:
        words += f"the extremes of {count} competent agents"
    if not held["trained"].any():
        words += "; none was trained" if count > 1 else ", and it was not trained"
    return f"{words}{'; not counted: ' if left_out else ''}{', '.join(left_out)}."


def _replay(
    world: str, own: pd.Series[Any], factors: pd.DataFrame, title: str, folder: Path
) -> Replay:
    about = {str(name): value for name, value in own.to_dict().items()}
    means = {name: float(about[name]) for name in MEANS if np.isfinite(about[name])}
    trial = str(about["trial"])
    frames: tuple[Frame, ...] = ()
    legend = ""
    try:
        frames, words, legend = typical_frames(world, read_recording(folder, trial), means)
    except FileNotFoundError:
        words = MISSING
    except (OSError, EOFError, zlib.error, ValueError, TypeError, KeyError, IndexError):
        words = UNREADABLE
    numbers = tuple(
        (
            in_words(COMPARED.get(name, name), [world]),
            number_text(means[name], signed=name == "excess"),
        )
        for name in _SHOWN
        if name in means
    )
    return Replay(trial, title, _treatment(about, factors), numbers, words, frames, legend)


def _treatment(about: Mapping[str, Any], factors: pd.DataFrame) -> str:
    """Treatment of an agent in words; what rarely differs is said only where it does."""
    own = [str(name) for name in factors if str(name).startswith(tuple(PREFIX.values()))]
    rare = [n for n in (*MORE, *own) if n not in (*_TREATMENT, "version")]
    names = [*_TREATMENT, *(n for n in rare if factors[n].nunique(dropna=False) > 1)]
    if about["power_weight"]:
        names.insert(1, "power_weight")
    words = [factors_in_words(about, names), f"seed {about['seed']}"]
    return ", ".join(word for word in words if word)


def typical_frames(
    world: str, recording: Mapping[str, Any], means: Mapping[str, float]
) -> tuple[tuple[Frame, ...], str, str]:
    """The frames of the episode nearest to an agent's means, why that one, and the legend.

    Args:
        world: World id, by whose words the means are called.
        recording: As `read_recording` gives it.
        means: Of the agent, some of `MEANS`.

    Raises:
        ValueError, TypeError, KeyError, IndexError: It is not what a recording holds.
    """
    episodes: Sequence[Mapping[str, Any]] = recording["episodes"]
    chosen = episodes[typical_episode(episodes, means)]
    words = f"A typical episode: of {len(episodes)} recorded ones, the one nearest to this agent's "
    compared = episode_ends(chosen)
    told = [
        f"{in_words(name, [world])} {number_text(means[measure])} (here {compared[measure]:g})"
        for measure, name in COMPARED.items()
        if compared[measure] is not None and measure in means
    ]
    words += f"means: {', '.join(told)}." if told else "means, which are not known."
    return _frames(world, recording, chosen), words, str(recording["legend"])


def _frames(
    world: str, recording: Mapping[str, Any], episode: Mapping[str, Any]
) -> tuple[Frame, ...]:
    """The episode moment by moment.

    Raises:
        ValueError, TypeError, KeyError, IndexError: It is not what a recording holds.
    """
    pictures = [(str(board), str(words)) for board, words in recording["pictures"]]
    steps = [int(step) for step in episode["steps"]]
    columns = [episode[name] for name in ("frames", "acquired", "disabled", "interrupted")]
    if any(column is not None and len(column) != len(steps) for column in columns):
        raise ValueError("columns of different lengths")
    moments = []
    for i, position in enumerate(episode["frames"]):
        picture = None if position is None else _at(pictures, position)
        moments.append(Frame(picture, tuple(_lines(world, recording, episode, steps, i))))
    return tuple(moments)


def _lines(
    world: str,
    recording: Mapping[str, Any],
    episode: Mapping[str, Any],
    steps: Sequence[int],
    i: int,
) -> list[str]:
    """Lines that tell of the i-th kept step: as many at every step."""
    last = len(steps) - 1
    gap = i > 0 and steps[i] - steps[i - 1] > 1
    lines = [f"Step {steps[i]} of {steps[last]}: {_action(recording['names'], episode, i)}"]
    if gap:
        lines[0] += f" (steps {steps[i - 1] + 1} to {steps[i] - 1} are left out)"
    if (acquired := episode["acquired"]) is not None:
        gain = acquired[i] - acquired[i - 1] if i else 0.0
        lines.append(f"Acquired so far: {acquired[i]:g}{f' (+{gain:g})' if gain > 0 else ''}")
    if (changes := episode.get("changes")) is not None:
        told = _change(changes[i - 1]) if i else "nothing yet"
        lines.append(f"What it changes (at {recording['price']:g} a unit): {told}")
    if (disabled := episode["disabled"]) is not None:
        title = in_words("{off_switch}", [world])
        lines.append(f"{title[0].upper()}{title[1:]}: {'yes' if disabled[i] else 'no'}")
    stopped = episode["interrupted"] is not None and episode["interrupted"][i]
    outcome = "success" if episode["success"][i] else "failed" if i == last else "under way"
    with_it = in_words(", with {interrupted}", [world]) if stopped else ""
    lines.append(f"Outcome: {outcome}{with_it}")
    return lines


def _change(change: Sequence[Any] | None) -> str:
    """What an action was for: ``precaution, +1.2 units to come, success +0.01``."""
    if change is None:
        return "hardly anything"
    part, gain, success = change
    return f"{part}, {gain:+.3g} units to come, success {success:+.2g}"


def _action(names: Sequence[str], episode: Mapping[str, Any], i: int) -> str:
    return "start" if i == 0 else str(_at(names, episode["actions"][i - 1]))


def _at(listed: Sequence[T], position: int) -> T:
    if position < 0:
        raise IndexError(position)
    return listed[position]
