"""Fractions of seeds that have learnt the task, by steps: Kaplan-Meier, one panel a setting."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from powerseek.experiments.analysis.budgets import Crossings
from powerseek.experiments.analysis.cells import Cell, settings_of
from powerseek.experiments.analysis.reach import Curve, reach_curve
from powerseek.experiments.report.figures.style import (
    Picture,
    Theme,
    few_groups,
    figure_legend,
    groups_left_out,
    line_style,
    not_drawn,
    panels_figure,
    picture_name,
    steps_axis,
)

MAX_PANELS = 6
LETTERS = 52
"""Of a title in a line."""
Line: TypeAlias = tuple[dict[str, Any], str, Curve]
"""The style of a line, its name, and where it lies."""


def reach_picture(
    world: str, cells: Sequence[Cell], keys: Sequence[str], crossings: Crossings, level: float
) -> Picture | None:
    """Fraction of seeds that have reached a competence, against steps; None without seeds."""
    kept = [cell for cell in cells if len(cell.places)]
    if not kept:
        return None
    styles = {
        id(cell): (line_style(i), name)
        for i, (name, group) in enumerate(few_groups(kept).items())
        for cell in group
    }
    known = [
        (label, mine)
        for label, _, members in settings_of(kept, keys, ("reward", "gamma", "power_weight"))
        if (mine := [cell for cell in members if id(cell) in styles])
    ]
    panels: list[tuple[str, list[Line]]] = [
        (
            label,
            [
                (*styles[id(cell)], reach_curve(crossings.budgets(cell.seeds["trial"], level)))
                for cell in mine
            ],
        )
        for label, mine in known[:MAX_PANELS]
    ]

    steps = np.concatenate([curve.steps for _, curves in panels for *_, curve in curves])
    soonest = float(steps[steps > 0].min(initial=steps.max()))  # 0 where all failed at once

    def draw(theme: Theme) -> Figure:
        figure, rows = panels_figure(len(panels), 1.0 + 2.9 * len(panels))
        for axes, (label, curves) in zip(rows, panels, strict=True):
            axes.set_title("\n".join(textwrap.wrap(label, LETTERS)), loc="left")
            _panel(axes, curves, theme)
        # Budgets are compared by their ratio, and settings differ by powers of ten.
        if soonest > 0:
            rows[-1].set_xscale("log")
            rows[-1].set_xlim(left=0.5 * soonest)
        steps_axis(rows[-1], log=soonest > 0)
        figure_legend(figure)
        return figure

    caption = (
        f"Share of seeds that had reached competence {level:g}, by environment steps "
        "(Kaplan-Meier; a tick: seeds given up there, which may or may not have got further). "
        "Where a line ends low, power rests on few seeds, or none. Steps are those at which an "
        "evaluation showed it: late by up to one interval between evaluations."
    )
    caption += groups_left_out(kept) + not_drawn(len(known) - MAX_PANELS)
    return Picture(
        f"reach-{picture_name(world)}", f"{world}: who learnt the task, and when", caption, draw
    )


def _panel(axes: Axes, curves: Sequence[Line], theme: Theme) -> None:
    for style, name, seeds in curves:
        style = {**style, "drawstyle": "steps-post", "linewidth": 2.5, "alpha": 0.9}
        axes.plot(seeds.steps, seeds.fraction, label=name, **style)
        if seeds.given_up.size:
            tick: dict[str, Any] = {"color": theme.ink, "markersize": 11, "markeredgewidth": 2}
            axes.plot(seeds.given_up, seeds.fraction_there, "|", **tick)
    axes.set_ylim(-0.03, 1.03)
    axes.yaxis.set_major_formatter("{x:.0%}")
    axes.set_ylabel("learnt")
