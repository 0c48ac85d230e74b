"""Pictures of what treatments led to, a row a cell: colour-blind safe, readable on a phone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from powerseek.experiments.analysis.cells import Cell, Worlds
from powerseek.experiments.report.figures.style import (
    BLUE,
    ORANGE,
    RED,
    SKY,
    Picture,
    Theme,
    diamond,
    figure_legend,
    picture_name,
    rows_figure,
    seed_dots,
)
from powerseek.experiments.report.text import MAX_ROWS, left_out_text
from powerseek.metrics import Metric


class Rows(NamedTuple):
    """A measure of which each cell has a row.

    Attributes:
        name: Start of the picture's file name.
        measure: Column of the summary.
        title: What it is in words.
        label: The same along the axis.
        caption: What to see in it, of the cells drawn.
        draw: Draws the row of a cell at a height, faded where it is not confirmatory.
        axes: Sets up the axes.
    """

    name: str
    measure: str
    title: str
    label: str
    caption: Callable[[Sequence[Cell]], str]
    draw: Callable[[Axes, float, Cell, float, Theme], None]
    axes: Callable[[Axes, Theme], object]


def treatment_pictures(worlds: Worlds, asked: Sequence[Metric] = ()) -> list[Picture]:
    """Pictures of what treatments led to: acquisition split up, the off-switch, what is asked for.

    Args:
        worlds: The cells of each world.
        asked: Metrics that get a picture of their own.
    """
    shown = [DECOMPOSITION, OFF_SWITCH, *map(_measured, asked)]
    drawn = (_picture(world, cells, rows) for world, cells in worlds.items() for rows in shown)
    return [picture for picture in drawn if picture is not None]


def _picture(world: str, cells: Sequence[Cell], rows: Rows) -> Picture | None:
    known = [cell for cell in cells[:MAX_ROWS] if np.isfinite(cell.row[rows.measure])]
    if not known:
        return None

    def draw(theme: Theme) -> Figure:
        figure, axes, places = rows_figure(known, theme, rows.label)
        rows.axes(axes, theme)
        for place, cell in zip(places + 0.1, known, strict=True):
            rows.draw(axes, place, cell, 1.0 if cell.row["confirmatory"] else 0.45, theme)
        figure_legend(figure)
        return figure

    caption = f"{rows.caption(known)} {left_out_text(len(cells), 'settings')}".strip()
    return Picture(f"{rows.name}-{picture_name(world)}", f"{world}: {rows.title}", caption, draw)


def _split_up(cells: Sequence[Cell]) -> str:
    if not any(cell.row["oracle"] for cell in cells):
        return (
            "What the agents acquired; without an exact oracle nobody can say how much of it the "
            "task needed. Each dot is one training seed."
        )
    return (
        "One bar per setting. Grey is what any equally successful policy must acquire; blue is "
        "what the exact optimum for this reward takes beyond that; the thin orange part is what "
        "the trained agents add, learned + rest in the table (hatched and reaching back where they "
        "take less). Each dot is one "
        "training seed, the diamond a minimalist that slips until it is only as successful: a dot "
        "near the diamond may be mere clumsiness."
    )


def _waterfall(axes: Axes, place: float, cell: Cell, fade: float, theme: Theme) -> None:
    """Need, then incentive, then the rest up to what was acquired."""
    row = cell.row
    acquired, need, incentive = row["acquired"], row["need"], row["incentive"]

    def bar(width: float, start: float, height: float, label: str, **style: Any) -> None:
        axes.barh(place, width, height, left=start, alpha=fade, label=label, **style)

    if not np.isfinite(need):
        bar(acquired, 0, 0.36, "acquired (no oracle)", color=theme.need)
    else:
        bar(need, 0, 0.36, "need", color=theme.need)
        start = need
        if np.isfinite(incentive):
            bar(incentive, need, 0.36, "incentive (of the reward)", color=BLUE)
            start = need + incentive
        if acquired < start:
            less = {"facecolor": "none", "edgecolor": ORANGE, "hatch": "////"}
            bar(acquired - start, start, 0.17, "taken less", **less)
        else:
            bar(
                acquired - start,
                start,
                0.17,
                "added (learned + rest)",
                facecolor=ORANGE,
                edgecolor=ORANGE,
            )
        if np.isfinite(row["slip_excess"]):
            slip: dict[str, Any] = {"label": "slipping minimalist", "markersize": 8, "zorder": 4}
            slip |= {"markeredgecolor": theme.ink, "markeredgewidth": 1.6}
            diamond(axes, need + row["slip_excess"], place, theme.ground, theme, **slip)
    seed_dots(axes, place, cell.values("acquired", scored=True), theme)


def _switch(axes: Axes, place: float, cell: Cell, fade: float, theme: Theme) -> None:
    """The mean as a bar, the seeds, and the exact optimum with its range."""
    row = cell.row
    axes.barh(place, row["disabled"], 0.3, color=SKY, alpha=fade, label="agents (mean)")
    seed_dots(axes, place, cell.values("disabled", scored=True), theme)
    ends = row["optimum_disabled_low"], row["optimum_disabled_high"]
    if np.isfinite(ends).all() and ends[1] - ends[0] > 0.02:
        axes.plot(ends, (place, place), color=RED, linewidth=3, solid_capstyle="butt")
    if np.isfinite(row["optimum_disabled"]):
        label = "exact optimum"
        diamond(axes, row["optimum_disabled"], place, RED, theme, label=label, clip_on=False)


def _percent(axes: Axes, _: Theme) -> None:
    axes.set_xlim(-0.03, 1.03)
    axes.xaxis.set_major_formatter("{x:.0%}")


DECOMPOSITION = Rows(
    *("decomposition", "acquired"),
    "what was needed, what the reward makes worthwhile, what learning added",
    "resources acquired per episode",
    _split_up,
    _waterfall,
    lambda axes, theme: axes.axvline(0, color=theme.ink, linewidth=1),
)
OFF_SWITCH = Rows(
    *("off-switch", "disabled", "does it disable its off-switch?"),
    "episodes with the off-switch disabled",
    lambda _: (
        "How often the off-switch was disabled. The red diamond is the exact optimum for this "
        "reward (a line: optima that tie differ). A low bar beside a high diamond means that the "
        "agents did not find it, not that the reward is safe."
    ),
    _switch,
    _percent,
)


def _measured(metric: Metric) -> Rows:
    """The mean of any metric in each setting with its interval, and every seed."""

    def draw(axes: Axes, place: float, cell: Cell, fade: float, theme: Theme) -> None:
        value, *ends = (cell.row[f"{metric.id}{end}"] for end in ("", "_low", "_high"))
        if np.isfinite(ends).all():
            axes.plot(ends, (place, place), color=BLUE, linewidth=3, alpha=fade)
        label = "exact" if metric.exact else "mean over seeds"
        diamond(axes, value, place, BLUE, theme, label=label, alpha=fade)
        if not metric.exact:
            seed_dots(axes, place, cell.values(metric.id, scored=True), theme)

    ends = "the range over optimal policies that tie" if metric.exact else "its 95 % interval"
    caption = f"{metric.meaning[0].upper()}{metric.meaning[1:]}. The line is {ends}."
    return Rows(
        *(f"measure-{picture_name(metric.id)}", metric.id, metric.title),
        f"{metric.title}, {metric.unit}" if metric.unit else metric.title,
        lambda _: caption,
        draw,
        lambda axes, _: axes.set_xlim(-0.03, 1.03) if metric.share else None,
    )
