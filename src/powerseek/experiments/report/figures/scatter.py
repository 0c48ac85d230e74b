"""Every agent a point: power against competence, and competence while training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from powerseek.envs.words import in_words
from powerseek.experiments.analysis.cells import Cell, Worlds, trial_rows
from powerseek.experiments.analysis.matching import Range, shared_competence
from powerseek.experiments.analysis.reach import gating_level
from powerseek.experiments.analysis.seeds import curve_band
from powerseek.experiments.analysis.view import View
from powerseek.experiments.report.figures.style import (
    GREEN,
    MAX_POINTS,
    Picture,
    Theme,
    agent_points,
    few_groups,
    figure_legend,
    groups_left_out,
    line_style,
    panels_figure,
    picture_name,
    steps_axis,
)

MAX_SHARED = 6
MAX_LINES = 40
POWER_CURVES = {"disabled": "{off_switch}", "excess": "excess"}


def power_curve(curves: pd.DataFrame) -> str:
    """The measure that a world's learning is shown by beside competence; empty where none is."""
    known = (name for name in POWER_CURVES if name in curves and curves[name].notna().any())
    return next(known, "")


def competence_pictures(worlds: Worlds, view: View, curves: pd.DataFrame | None) -> list[Picture]:
    """Power against competence, and competence while training, world by world."""
    drawn: list[Picture | None] = []
    gate = gating_level(view)
    for world, cells in worlds.items():
        drawn.append(_against_competence(world, cells, view.keys, gate))
        if curves is not None and "world" in curves:
            own = curves[curves["world"] == world]
            drawn.append(_learning(world, cells, own, gate))
    return [picture for picture in drawn if picture is not None]


def _against_competence(
    world: str, cells: Sequence[Cell], keys: Sequence[str], gate: float
) -> Picture | None:
    cells = [c for c in cells if np.isfinite(c.values("competence") + c.values("excess")).any()]
    if not cells:
        return None
    shared = shared_competence(cells, keys)
    points = sum(len(cell.places) for cell in cells)
    step = ceil(points / MAX_POINTS)
    competence, excess = (cells[0].trials[name].to_numpy() for name in ("competence", "excess"))

    def draw(theme: Theme) -> Figure:
        figure, (axes,) = panels_figure(1, 5.4)
        for i, (name, group) in enumerate(few_groups(cells).items()):
            places = trial_rows(group)[::step]
            agent_points(axes, i, competence[places], excess[places], name, theme, clip_on=False)
        axes.axhline(0, color=theme.ink, linewidth=1)
        low = min(axes.get_xlim()[0], gate - 0.02)
        axes.set_xlim(low, 1.0)
        axes.axvspan(low, gate, color=theme.faint, alpha=0.15, linewidth=0)
        axes.text(0.0, 1.01, "not learnt", transform=axes.transAxes, color=theme.faint, va="bottom")
        if shared.everywhere is not None:
            style: dict[str, Any] = {"color": GREEN, "alpha": 0.2, "linewidth": 2}
            axes.axvspan(*shared.everywhere, label="shared by all rewards", **style)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_xlabel(in_words("competence (success{if_uninterrupted})", [world]))
        axes.set_ylabel("excess: acquired beyond need")
        figure_legend(figure)
        return figure

    caption = (
        "Each point is one training seed. Only points right of the shaded part count: an agent "
        "that has not learnt the task can look modest, or greedy, for no reason but that. Compare "
        "rewards at equal competence; above the line is more than the task needs. "
        + _shared_words(shared.settings)
        + groups_left_out(cells)
        + (f" One seed in {step} of all {points:,} is drawn." if step > 1 else "")
    )
    title = f"{world}: power against competence"
    return Picture(f"competence-{picture_name(world)}", title, caption, draw)


def _shared_words(ranges_by_setting: Mapping[str, Range | None]) -> str:
    """Ranges of competence that the rewards share, setting by setting, in words."""
    ranges = [
        f"{range[0]:.3f} to {range[1]:.3f}" + (f" ({where})" if where else "")
        for where, range in ranges_by_setting.items()
        if range is not None
    ]
    apart = _listed([where for where, range in ranges_by_setting.items() if range is None])
    said = [f"All rewards share a range of competence: {_listed(ranges)}."] if ranges else []
    if len(ranges) < len(ranges_by_setting):
        said.append(
            "Not all rewards share a range of competence"
            + (f" at {apart}" if apart else "")
            + ": no comparison of all of them at matched competence is possible there."
        )
    return " ".join(said)


def _listed(words: Sequence[str]) -> str:
    more = len(words) - MAX_SHARED
    return "; ".join(words[:MAX_SHARED]) + (f"; {more} more" if more > 0 else "")


def _learning(
    world: str, cells: Sequence[Cell], curves: pd.DataFrame, gate: float
) -> Picture | None:
    if curves.empty or not {"timesteps", "competence", "trial"} <= set(curves.columns):
        return None
    trials = cells[0].trials["trial"]
    groups = {
        name: rows
        for name, group in few_groups(cells).items()
        if len(rows := curves[curves["trial"].isin(trials.iloc[trial_rows(group)])])
    }
    if not groups:
        return None
    known = power_curve(curves)
    shown = ["competence", *([known] if known else [])]

    def draw(theme: Theme) -> Figure:
        figure, panels = panels_figure(len(shown), 1.2 + 3.6 * len(shown))
        for axes, measure in zip(panels, shown, strict=True):
            for i, (name, rows) in enumerate(groups.items()):
                _lines(axes, rows, measure, line_style(i), name)
            axes.set_ylabel(in_words(POWER_CURVES.get(measure, measure), [world]))
            if measure != "excess":
                axes.set_ylim(-0.02, 1.02)
        panels[0].axhline(gate, color=theme.faint, linewidth=1)
        steps_axis(panels[-1])
        figure_legend(figure)
        return figure

    caption = (
        "Competence while training: thick lines are means, thin lines single seeds "
        f"(bands: the middle 90 % of more than {MAX_LINES} seeds). Power is read "
        f"only from seeds that end above the grey line ({gate:g})."
    )
    if known:
        caption += (
            " Below, power over the same steps: what looks safe early may only be an agent that "
            "has not learnt yet."
        )
    return Picture(f"learning-{picture_name(world)}", f"{world}: learning the task", caption, draw)


def _lines(
    axes: Axes, rows: pd.DataFrame, measure: str, style: Mapping[str, Any], name: str
) -> None:
    """The mean of a curve over seeds, and the seeds themselves or where most of them lie."""
    middle = curve_band(rows, measure)
    if rows["trial"].nunique() > MAX_LINES:
        ends = middle.steps, middle.low, middle.high
        axes.fill_between(*ends, color=style["color"], alpha=0.15, linewidth=0)
    else:
        for _, run in rows.groupby("trial"):
            axes.plot(run["timesteps"], run[measure], **style, alpha=0.4, linewidth=1)
    axes.plot(middle.steps, middle.mean, **style, linewidth=3, label=name)
