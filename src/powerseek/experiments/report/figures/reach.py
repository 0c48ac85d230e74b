"""Who has learnt the task by when: Kaplan-Meier curves, one panel a setting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from powerseek.experiments.analysis.reach import Budgets, budgets
from powerseek.experiments.report.figures.style import (
    LINES,
    WHEEL,
    WIDTH,
    Cell,
    Picture,
    Theme,
    few_groups,
    groups_left_out,
    legend,
    slug,
)
from powerseek.experiments.report.text import setting, varying
from powerseek.experiments.results.table import by_cell
from powerseek.experiments.statistics.survival import kaplan_meier

MOST_PANELS = 6
Curve: TypeAlias = tuple[dict[str, Any], str, Budgets]


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
    table = pd.DataFrame([{key: cell.row[key] for key in keys} for cell in kept])
    others = [key for key in keys if key not in ("reward", "gamma", "power_weight")]
    names = varying(table, [key for key in others if key != "world"])
    known: list[tuple[str, list[Cell]]] = []
    for shared, rows in by_cell(table, others):
        mine = [kept[i] for i in rows.index if id(kept[i]) in styles]
        if mine:
            known.append((setting(shared, names), mine))
    left_out = len(known) - MOST_PANELS
    panels: list[tuple[str, list[Curve]]] = [
        (name, [(*styles[id(cell)], budgets(cell.seeds, steps, level)) for cell in mine])
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
    caption += groups_left_out(kept)
    if left_out > 0:
        caption += f" {left_out} more settings are not drawn."
    return Picture(f"reach-{slug(world)}", f"{world}: who learnt the task, and when", caption, draw)


def _panel(axes: Axes, curves: Sequence[Curve], theme: Theme) -> None:
    for style, name, (steps, reached) in curves:
        found = kaplan_meier(steps, reached)
        times = np.concatenate([[0.0], found.times, [found.last]])
        kept = np.concatenate([[1.0], found.share])
        share = 1 - np.append(kept, kept[-1])
        axes.plot(
            *(times, share), **style, drawstyle="steps-post", linewidth=2.5, label=name, alpha=0.9
        )
        given_up = np.unique(steps[~reached])
        if given_up.size:
            at = share[np.searchsorted(times[:-1], given_up, side="right") - 1]
            axes.plot(given_up, at, "|", color=theme.ink, markersize=11, markeredgewidth=2)
    axes.set_ylim(-0.03, 1.03)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share:.0%}"))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda steps, _: f"{steps / 1000:g}k"))
    axes.set_ylabel("learnt")
