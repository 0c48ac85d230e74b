"""The pictures of a study, one world each: colour-blind safe, readable on a phone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

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
    dots,
    legend,
    rows_figure,
    slug,
)
from powerseek.experiments.report.text import MOST_ROWS, left_out
from powerseek.metrics import Metric


def treatment_pictures(worlds: Worlds, asked: Sequence[Metric] = ()) -> list[Picture]:
    """Pictures of what treatments led to: acquisition split up, the off-switch, what is asked for.

    Args:
        worlds: The cells of each world.
        asked: Metrics that get a picture of their own.
    """
    found = []
    makers: list[Callable[[str, Sequence[Cell]], Picture | None]] = [_decomposition, _off_switch]
    makers += [partial(_measured, metric) for metric in asked]
    for world, cells in worlds.items():
        folded = left_out(len(cells), "settings")
        for make in makers:
            picture = make(world, cells[:MOST_ROWS])
            if picture is not None:
                caption = f"{picture.caption} {folded}".strip()
                found.append(replace(picture, caption=caption))
    return found


def _decomposition(world: str, cells: Sequence[Cell]) -> Picture | None:
    cells = [cell for cell in cells if np.isfinite(cell.row["acquired"])]
    if not cells:
        return None
    oracle = any(cell.row["oracle"] for cell in cells)
    caption = (
        "One bar per setting. Grey is what any equally successful policy must acquire; blue is "
        "what the exact optimum for this reward takes beyond that; the thin orange part is what "
        "the trained agents add, learned + rest in the table (hatched and reaching back where they "
        "take less). Each dot is one "
        "training seed, the diamond a minimalist that slips until it is only as successful: a dot "
        "near the diamond may be mere clumsiness."
        if oracle
        else "What the agents acquired; without an exact oracle nobody can say how much of it the "
        "task needed. Each dot is one training seed."
    )

    def draw(theme: Theme) -> Figure:
        figure, axes, places = rows_figure(cells, theme, "resources acquired per episode")
        for place, cell in zip(places, cells, strict=True):
            _waterfall(axes, place + 0.1, cell, theme)
        axes.axvline(0, color=theme.ink, linewidth=1)
        legend(figure)
        return figure

    title = f"{world}: what was needed, what the reward makes worthwhile, what learning added"
    return Picture(f"decomposition-{slug(world)}", title, caption, draw)


def _waterfall(axes: Axes, place: float, cell: Cell, theme: Theme) -> None:
    """Need, then incentive, then the rest up to what was acquired."""
    row, fade = cell.row, 1.0 if cell.row["confirmatory"] else 0.45
    acquired, need, incentive = row["acquired"], row["need"], row["incentive"]
    if np.isfinite(need):
        axes.barh(place, need, 0.36, color=theme.need, alpha=fade, label="need")
        start = need
        if np.isfinite(incentive):
            axes.barh(
                *(place, incentive, 0.36),
                left=need,
                color=BLUE,
                alpha=fade,
                label="incentive (of the reward)",
            )
            start = need + incentive
        rest, back = acquired - start, acquired < start
        axes.barh(
            *(place, rest, 0.17),
            left=start,
            facecolor="none" if back else ORANGE,
            edgecolor=ORANGE,
            hatch="////" if back else None,
            alpha=fade,
            label="taken less" if back else "added (learned + rest)",
        )
        slip = row["slip_excess"]
        if np.isfinite(slip):
            axes.plot(
                *(need + slip, place, "D"),
                color=theme.ground,
                markeredgecolor=theme.ink,
                markersize=8,
                markeredgewidth=1.6,
                label="slipping minimalist",
                zorder=4,
            )
    else:
        axes.barh(place, acquired, 0.36, color=theme.need, alpha=fade, label="acquired (no oracle)")
    dots(axes, place, cell.values("acquired", scored=True), theme)


def _off_switch(world: str, cells: Sequence[Cell]) -> Picture | None:
    cells = [cell for cell in cells if np.isfinite(cell.row["disabled"])]
    if not cells:
        return None

    def draw(theme: Theme) -> Figure:
        figure, axes, places = rows_figure(cells, theme, "episodes with the off-switch disabled")
        axes.set_xlim(-0.03, 1.03)
        axes.xaxis.set_major_formatter("{x:.0%}")
        for place, cell in zip(places + 0.1, cells, strict=True):
            row = cell.row
            fade = 1.0 if row["confirmatory"] else 0.45
            axes.barh(place, row["disabled"], 0.3, color=SKY, alpha=fade, label="agents (mean)")
            dots(axes, place, cell.values("disabled", scored=True), theme)
            ends = row["optimum_disabled_low"], row["optimum_disabled_high"]
            if np.isfinite(ends).all() and ends[1] - ends[0] > 0.02:
                axes.plot(ends, (place, place), color=RED, linewidth=3, solid_capstyle="butt")
            if np.isfinite(row["optimum_disabled"]):
                axes.plot(
                    *(row["optimum_disabled"], place, "D"),
                    color=RED,
                    markeredgecolor=theme.ground,
                    markersize=10,
                    label="exact optimum",
                    zorder=6,
                    clip_on=False,
                )
        legend(figure)
        return figure

    caption = (
        "How often the off-switch was disabled. The red diamond is the exact optimum for this "
        "reward (a line: optima that tie differ). A low bar beside a high diamond means that the "
        "agents did not find it, not that the reward is safe."
    )
    title = f"{world}: does it disable its off-switch?"
    return Picture(f"off-switch-{slug(world)}", title, caption, draw)


def _measured(metric: Metric, world: str, cells: Sequence[Cell]) -> Picture | None:
    """The mean of any metric in each setting with its interval, and every seed."""
    cells = [cell for cell in cells if np.isfinite(cell.row[metric.id])]
    if not cells:
        return None

    def draw(theme: Theme) -> Figure:
        label = f"{metric.title}, {metric.unit}" if metric.unit else metric.title
        figure, axes, places = rows_figure(cells, theme, label)
        if metric.share:
            axes.set_xlim(-0.03, 1.03)
        for place, cell in zip(places + 0.1, cells, strict=True):
            row = cell.row
            value, low, high = (row[f"{metric.id}{end}"] for end in ("", "_low", "_high"))
            fade = 1.0 if row["confirmatory"] else 0.45
            if np.isfinite([low, high]).all():
                axes.plot((low, high), (place, place), color=BLUE, linewidth=3, alpha=fade)
            axes.plot(
                *(value, place, "D"),
                color=BLUE,
                markeredgecolor=theme.ground,
                markersize=10,
                alpha=fade,
                zorder=6,
                label="exact" if metric.exact else "mean over seeds",
            )
            if not metric.exact:
                dots(axes, place, cell.values(metric.id, scored=True), theme)
        legend(figure)
        return figure

    ends = "the range over optimal policies that tie" if metric.exact else "its 95 % interval"
    caption = f"{metric.meaning[0].upper()}{metric.meaning[1:]}. The line is {ends}."
    title = f"{world}: {metric.title}"
    return Picture(f"measure-{slug(metric.id)}-{slug(world)}", title, caption, draw)
