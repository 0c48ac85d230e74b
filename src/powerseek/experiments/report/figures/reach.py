"""Fractions of seeds that have learnt the task, by steps: Kaplan-Meier, one panel a setting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from powerseek.experiments.analysis.cells import Cell, factors_of
from powerseek.experiments.analysis.reach import Curve, budgets, curve
from powerseek.experiments.report.figures.style import (
    LINES,
    WHEEL,
    WIDTH,
    Picture,
    Theme,
    few_groups,
    groups_left_out,
    in_thousands,
    legend,
    not_drawn,
    slug,
)
from powerseek.experiments.results.table import by_cell
from powerseek.experiments.study.factors import setting, varying

MOST_PANELS = 6
Line: TypeAlias = tuple[dict[str, Any], str, Curve]
"""The style of a line, its name, and where it lies."""


def reach_picture(
    world: str, cells: Sequence[Cell], keys: Sequence[str], steps: pd.DataFrame, level: float
) -> Picture | None:
    """Share of seeds that have reached a competence, against steps; None without seeds.

    Args:
        world: The world.
        cells: Its cells.
        keys: Columns that make a cell.
        steps: From `reach.crossings`.
        level: The competence.
    """
    kept = [cell for cell in cells if len(cell.places)]
    if not kept:
        return None
    styles = {
        id(cell): ({"color": WHEEL[i % len(WHEEL)], "linestyle": LINES[i % len(LINES)]}, name)
        for i, (name, group) in enumerate(few_groups(kept).items())
        for cell in group
    }
    table = factors_of(kept, keys)
    others = [key for key in keys if key not in ("reward", "gamma", "power_weight")]
    names = varying(table, [key for key in others if key != "world"])
    known: list[tuple[str, list[Cell]]] = []
    for shared, rows in by_cell(table, others):
        mine = [kept[i] for i in rows.index if id(kept[i]) in styles]
        if mine:
            known.append((setting(shared, names), mine))
    panels: list[tuple[str, list[Line]]] = [
        (name, [(*styles[id(cell)], curve(budgets(cell.seeds, steps, level))) for cell in mine])
        for name, mine in known[:MOST_PANELS]
    ]

    def draw(theme: Theme) -> Figure:
        figure = Figure(figsize=(WIDTH, 1.0 + 2.9 * len(panels)), layout="constrained")
        rows = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (label, curves) in zip(rows, panels, strict=True):
            axes.set_title(label, loc="left")
            _panel(axes, curves, theme)
        rows[-1].set_xlabel("environment steps of training")
        legend(figure)
        return figure

    caption = (
        f"Share of seeds that had reached competence {level:g}, by environment steps "
        "(Kaplan-Meier; a tick: seeds given up there, which may or may not have got further). "
        "Where a line ends low, power rests on few seeds, or none. Steps are those at which an "
        "evaluation showed it: late by up to one interval between evaluations."
    )
    caption += groups_left_out(kept) + not_drawn(len(known) - MOST_PANELS)
    return Picture(f"reach-{slug(world)}", f"{world}: who learnt the task, and when", caption, draw)


def _panel(axes: Axes, curves: Sequence[Line], theme: Theme) -> None:
    for style, name, found in curves:
        axes.plot(
            *(found.steps, found.share),
            **style,
            drawstyle="steps-post",
            linewidth=2.5,
            label=name,
            alpha=0.9,
        )
        if found.given_up.size:
            axes.plot(
                *(found.given_up, found.share_there, "|"),
                color=theme.ink,
                markersize=11,
                markeredgewidth=2,
            )
    axes.set_ylim(-0.03, 1.03)
    axes.yaxis.set_major_formatter("{x:.0%}")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(in_thousands)
    axes.set_ylabel("learnt")
