"""Replays as a piece of a page: animated with JavaScript, first and last moment without."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from importlib import resources
from string import Template

from powerseek.experiments.report.replays import Frame, Pair, Replay

UNKNOWN = "The state at this moment is not known."
CHANGED = "A dashed frame marks what the last step changed."
WIDE = 6
"""Columns from which squares are drawn smaller."""
_AGENT = "@"


def replays_html(pairs: Sequence[Pair]) -> str:
    """All replays of a study as HTML to put into the body of a page, once; "" for none.

    It brings its own style and script, loads nothing, and takes its colours from the page's
    variables ``--ground``, ``--ink``, ``--soft``, ``--line`` and ``--band``. It has headings of
    levels 3 and 4.
    """
    if not pairs:
        return ""
    folder = resources.files("powerseek.experiments.report") / "templates"
    template = (folder / "replay.html").read_text(encoding="utf-8")
    return Template(template).substitute(worlds="\n".join(_world(pair) for pair in pairs))


def _world(pair: Pair) -> str:
    legend = next((agent.legend for agent in pair.agents if agent.legend), "")
    meanings = f'<p class="soft">Letters: {_text(legend)}. {CHANGED}</p>' if legend else ""
    agents = "".join(_agent(agent) for agent in pair.agents)
    return (
        f"<h3>{_text(pair.world)}</h3><p>{_text(pair.about)}</p>"
        f'<div class="replays">{agents}</div>{meanings}'
    )


def _agent(agent: Replay) -> str:
    numbers = "".join(
        f"<li>{_text(name)} <b>{_text(text)}</b></li>" for name, text in agent.numbers
    )
    return (
        f'<article class="replay"><h4>{_text(agent.title)}</h4><p>{_text(agent.treatment)}</p>'
        f'<ul class="numbers">{numbers}</ul>{_shown(agent)}'
        f'<p class="soft">{_text(agent.about)}</p></article>'
    )


def _shown(agent: Replay) -> str:
    if not agent.frames:
        return ""
    marks = _marks(agent.frames)
    ends = (agent.frames[0], agent.frames[-1]) if len(agent.frames) > 1 else agent.frames[:1]
    stills = "".join(f"<div>{_moment(frame, marks)}</div>" for frame in ends)
    controls = (
        '<div class="controls"><button type="button">Play</button><input type="range" min="0" '
        f'max="{len(agent.frames) - 1}" value="0" step="1" aria-label="Step of the episode"></div>'
    )
    return (
        f'<div class="stills">{stills}</div>'
        f'<div class="player" hidden>{_moment(agent.frames[0], marks)}{controls}</div>'
        f'<script type="application/json">{_data(agent.frames, marks)}</script>'
    )


def _moment(frame: Frame, marks: str) -> str:
    """One moment, with the places that the script fills."""
    board, words = frame.picture or ("", UNKNOWN)
    now = _text("\n".join(frame.lines))
    return f'{_board(board, marks)}<p class="words">{_text(words)}</p><p class="now">{now}</p>'


def _board(board: str, marks: str) -> str:
    if not board:
        return ""
    rows = board.split("\n")
    squares = "".join(
        "<div>"
        + "".join(f'<span class="{_kind(letter, marks)}">{_text(letter)}</span>' for letter in row)
        + "</div>"
        for row in rows
    )
    wide = " wide" if len(rows[0]) > WIDE else ""
    return f'<div class="board{wide}" role="img" aria-label="Board">{squares}</div>'


def _kind(letter: str, marks: str) -> str:
    if letter == "#":
        return "wall"
    return "agent" if letter in marks else "floor" if letter in ". " else ""


def _marks(frames: Sequence[Frame]) -> str:
    """Letters that stand for the agent: @, and x where it is switched off."""
    boards = [frame.picture[0] for frame in frames if frame.picture]
    return f"{_AGENT}x" if any(_AGENT in board for board in boards) else ""


def _data(frames: Sequence[Frame], marks: str) -> str:
    """What the script reads: each picture once, and per moment its picture and its lines."""
    positions: dict[tuple[str, str], int] = {}
    shown = [
        [
            positions.setdefault(frame.picture or ("", UNKNOWN), len(positions)),
            "\n".join(frame.lines),
        ]
        for frame in frames
    ]
    text = json.dumps({"agent": marks, "pictures": list(positions), "frames": shown})
    # Nothing in the data may end the element that holds it.
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _text(value: object) -> str:
    return html.escape(str(value), quote=True)
