"""Forest plot: effects of several runs with their intervals, one row each, a panel a comparison."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from powerseek.experiments.report.figures.style import (
    MARKS,
    TALLEST,
    WHEEL,
    WIDTH,
    Picture,
    Theme,
    figure_legend,
    not_drawn,
)

ROW, LINE, FRAME = 0.5, 0.21, 1.45
"""Inches of a row, of each line above it, and of what stands around the rows of a panel."""
LETTERS, SMALL = 60, 84
"""Letters that fit on a line: of a title, and above a row."""


@dataclass(frozen=True)
class ForestRow:
    """One effect.

    Attributes:
        run: Whose it is.
        where: Its setting in words; may be empty.
        value: The effect, nan where there is none.
        low: Lower end of its interval, nan where there is none.
        high: Upper end, likewise.
        null: What it is held against.
        margin: Smallest effect of interest, nan where none was set.
        told: Verdict and evidence in a few words.
        muted: Whether it is not confirmatory.
    """

    run: str
    where: str
    value: float
    low: float
    high: float
    null: float
    margin: float
    told: str
    muted: bool


@dataclass(frozen=True)
class ForestPanel:
    """Effects of one comparison in one unit.

    Attributes:
        title: What is compared.
        label: The measure and its unit.
        rows: From top to bottom.
    """

    title: str
    label: str
    rows: tuple[ForestRow, ...]


def forest_picture(panels: Sequence[ForestPanel], runs: Sequence[str]) -> Picture:
    """Every effect with its interval, a row each; each panel has an axis of its own.

    Args:
        panels: At least one.
        runs: All runs, in the order of their colours and marks.
    """
    shown = _fitting(panels)
    left_out = sum(len(panel.rows) for panel in panels) - sum(len(panel.rows) for panel in shown)

    def draw(theme: Theme) -> Figure:
        tall = [_height(panel) for panel in shown]
        figure = Figure(figsize=(WIDTH, sum(tall) + 0.6), layout="constrained")
        grid = figure.add_gridspec(len(shown), 1, height_ratios=tall)
        for i, panel in enumerate(shown):
            _panel(figure.add_subplot(grid[i, 0]), panel, runs, theme)
        figure_legend(figure)
        return figure

    caption = (
        "Each run's own effect: a mark, with its 95 % interval over seeds (of exact numbers the "
        "range over optimal policies; a mark alone has no interval). Vertical line: what it is "
        "held against. Grey band: smaller than the margin that was set beforehand. Pale: fewer "
        "than 90 % of an arm's seeds learnt the task. Nothing is pooled."
    )
    caption += not_drawn(left_out, "effects")
    return Picture("forest", "The same comparisons, run by run", caption, draw)


def _fitting(panels: Sequence[ForestPanel]) -> list[ForestPanel]:
    """The first panels and rows that a picture has room for."""
    room, shown = TALLEST, []
    for panel in panels:
        count = int((room - FRAME) / _row_height(panel))
        if count < 1:
            break
        shown.append(replace(panel, rows=panel.rows[:count]))
        room -= _height(shown[-1])
    return shown


def _height(panel: ForestPanel) -> float:
    return FRAME + _row_height(panel) * len(panel.rows)


def _row_height(panel: ForestPanel) -> float:
    return ROW + LINE * max(len(_words(row)) for row in panel.rows)


def _words(row: ForestRow) -> list[str]:
    """What stands above a row, in lines."""
    words = f"{row.run}  {row.where}".strip()
    whole = f"{words} \u00b7 {row.told}"
    return [whole] if len(whole) <= SMALL else [*textwrap.wrap(words, SMALL), row.told]


def _panel(axes: Axes, panel: ForestPanel, runs: Sequence[str], theme: Theme) -> None:
    rows = panel.rows
    axes.set_title("\n".join(textwrap.wrap(panel.title, LETTERS)), loc="left", fontsize=13.5)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("\n".join(textwrap.wrap(panel.label, LETTERS)))
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.grid(axis="x", color=theme.faint, alpha=0.25, linewidth=0.8)
    axes.set_axisbelow(True)
    words = LINE * max(len(_words(row)) for row in rows) / _row_height(panel)
    for place, row in enumerate(rows):
        _row(axes, place - 0.5, words, row, runs.index(row.run), theme)
    ends = [
        end for row in rows for end in (row.low, row.high, row.value, row.null) if isfinite(end)
    ]
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    edge = 0.06 * (high - low) or 0.5
    axes.set_xlim(low - edge, high + edge)


def _row(axes: Axes, top: float, words: float, row: ForestRow, run: int, theme: Theme) -> None:
    """A row of height 1 from `top` on, of which `words` is the part for what is said above it."""
    style: dict[str, Any]
    colour, alpha = WHEEL[run % len(WHEEL)], 0.4 if row.muted else 1.0
    axes.text(
        *(0.0, top + words, "\n".join(_words(row))),
        transform=axes.get_yaxis_transform(),
        color=theme.faint if row.muted else theme.ink,
        fontsize=10.5,
        va="bottom",
        in_layout=False,  # as wide as the axes at most
    )
    top, bottom = top + words + 0.06, top + 0.94
    if isfinite(row.margin):
        size = (2 * row.margin, bottom - top)
        axes.add_patch(Rectangle((row.null - row.margin, top), *size, color=theme.need, alpha=0.45))
    axes.plot([row.null] * 2, [top, bottom], color=theme.ink, linewidth=1.2)
    middle = (top + bottom) / 2
    if isfinite(row.low) and isfinite(row.high):
        style = {"color": colour, "alpha": alpha, "linewidth": 2.6, "solid_capstyle": "butt"}
        axes.plot([row.low, row.high], [middle] * 2, **style)
    if isfinite(row.value):
        style = {"color": colour, "alpha": alpha, "markeredgecolor": theme.ground}
        axes.plot(row.value, middle, MARKS[run % len(MARKS)], markersize=11, label=row.run, **style)
