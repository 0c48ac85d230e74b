"""The comparison of two learners as one picture."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from benchmarks.equivalence_groups import (
    COHORT,
    DIFFERS,
    EQUIVALENT,
    LIBRARY,
    MEASURES,
    Comparison,
    Measure,
    middle,
    number,
)
from powerseek.experiments.report.figures.style import (
    BLUE,
    GREEN,
    ORANGE,
    RED,
    WIDTH,
    Picture,
    Theme,
)
from powerseek.types import Floats

DRAWN = ("competence", "success", "excess", "steps")
LEARNERS = ((LIBRARY, BLUE, "s", -0.13), (COHORT, ORANGE, "o", 0.13))
"""Name, colour, mark and place within a row."""
WORDS = {
    "competence": ("competence at the end of training", "cohort-ppo \u2212 maskable-ppo"),
    "success": ("success at the end, hazard as met", "cohort-ppo \u2212 maskable-ppo"),
    "excess": ("excess: units acquired beyond need", "cohort-ppo \u2212 maskable-ppo"),
    "steps": ("environment steps to competence .9", "cohort-ppo / maskable-ppo"),
}
RARE = 0.08
"""Share of a row's seeds that an axis need not reach to; an arrow stands for them."""
ROW, HEAD = 0.62, 1.35
"""Inches of a row, and of a panel's title and axis."""


def picture(every: Sequence[Comparison]) -> Picture:
    """Seeds of both learners, and their differences within the margins, a panel a measure."""
    panels = [(m, own) for m in MEASURES if m.name in DRAWN and (own := _of(every, m))]
    heights = [HEAD + ROW * len(own) for _, own in panels]

    def draw(theme: Theme) -> Figure:
        figure = Figure(figsize=(WIDTH * 1.4, sum(heights) + 1.1), layout="constrained")
        parts = figure.subfigures(len(panels), 1, height_ratios=heights, hspace=0.0)
        for part, (measure, own) in zip(np.atleast_1d(parts), panels, strict=True):
            part.suptitle(WORDS[measure.name][0], x=0.012, ha="left", fontsize=15, weight="bold")
            left, right = part.subplots(1, 2, width_ratios=[1.0, 0.95])
            _values(left, measure, own, theme)
            _differences(right, measure, own, theme)
        _legend(figure, theme)
        return figure

    caption = (
        "Left: every dot is one training, with the mean of the seeds and its 95 % interval. "
        "Right: cohort-ppo minus maskable-ppo with its 90 % interval; grey: the margin set "
        "beforehand. An interval inside the grey band is equivalence."
    )
    return Picture("equivalence", "Cohorts learn what Stable-Baselines3 learns", caption, draw)


def _of(every: Sequence[Comparison], measure: Measure) -> list[Comparison]:
    return [one for one in every if one.measure is measure]


def _rows(axes: Axes, own: Sequence[Comparison], theme: Theme) -> None:
    axes.set_ylim(len(own) - 0.5, -0.72)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color=theme.faint, alpha=0.25, linewidth=0.8)
    axes.set_axisbelow(True)


def _values(axes: Axes, measure: Measure, own: Sequence[Comparison], theme: Theme) -> None:
    """Seeds, means and intervals of both learners."""
    _rows(axes, own, theme)
    rng = np.random.default_rng(0)
    every = [values for one in own for values in one.values]
    ends = min(np.quantile(v, RARE) for v in every), max(np.max(v) for v in every)
    room = 0.06 * (ends[1] - ends[0])
    for place, one in enumerate(own):
        axes.text(
            *(0.0, place - 0.42, f"{'control: ' if one.control else ''}{one.setting}"),
            transform=axes.get_yaxis_transform(),
            fontsize=12.5,
            style="italic" if one.control else "normal",
            va="center",
        )
        sides = dict(zip((COHORT, LIBRARY), one.values, strict=True))
        for name, colour, mark, off in LEARNERS:
            row = place + 0.08 + off
            _seeds(axes, row, sides[name], colour, mark, measure.ratio, rng)
            if not measure.ratio and (sides[name] < ends[0] - room).any():
                axes.plot(ends[0] - room, row, "<", color=colour, markersize=6, clip_on=False)
    if not measure.ratio:
        axes.set_xlim(ends[0] - room, ends[1] + room)
    if measure.ratio:
        axes.set_xscale("log")
        ticks = [5e3, 1e4, 2e4, 4e4, 8e4, 16e4]
        axes.set_xticks(ticks, [f"{tick / 1000:g}k" for tick in ticks])
        axes.minorticks_off()
    else:
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.xaxis.set_major_formatter(_plain(measure))


def _seeds(
    axes: Axes,
    place: float,
    values: Floats,
    colour: str,
    mark: str,
    ratio: bool,
    rng: np.random.Generator,
) -> None:
    drawn = np.exp if ratio else np.asarray
    spread = rng.uniform(-0.07, 0.07, len(values))
    axes.plot(
        *(drawn(values), place + spread, mark),
        color=colour,
        markersize=4,
        alpha=0.3,
        markeredgewidth=0,
    )
    mean, low, high, _ = (float(x) for x in middle(values, np.mean, rng))
    ends = np.array([low, high]) if np.isfinite([low, high]).all() else np.array([mean, mean])
    style: dict[str, Any] = {"solid_capstyle": "butt", "zorder": 6}
    axes.plot(drawn(ends), (place, place), color="#1b1f24", linewidth=2.4, **style)
    axes.plot(
        *(drawn(np.array([mean])), [place], mark),
        color=colour,
        markersize=8,
        markeredgecolor="#1b1f24",
        markeredgewidth=1.3,
        zorder=7,
    )


def _differences(axes: Axes, measure: Measure, own: Sequence[Comparison], theme: Theme) -> None:
    """Differences, their intervals and the margins they are held against."""
    _rows(axes, own, theme)
    reach = max(one.margin for one in own) * 2.2
    for place, one in enumerate(own):
        row = place + 0.08
        axes.barh(row, 2 * one.margin, 0.44, left=-one.margin, color=theme.need, alpha=0.55)
        value, low, high, _ = one.effect
        ink = {EQUIVALENT: GREEN, DIFFERS: RED}.get(one.verdict, theme.ink)
        ends = (
            [max(low, -reach), min(high, reach)] if np.isfinite([low, high]).all() else [value] * 2
        )
        axes.plot(ends, (row, row), color=ink, linewidth=3, solid_capstyle="butt", zorder=5)
        for end, beyond, arrow in ((-reach, low, "<"), (reach, high, ">")):
            if abs(beyond) > reach and np.sign(beyond) == np.sign(end):
                axes.plot(end, row, arrow, color=ink, markersize=8, zorder=5, clip_on=False)
        if abs(value) <= reach:
            axes.plot(value, row, "D", color=ink, markersize=7, zorder=6)
        else:
            side = float(np.sign(value))
            told = f"x {number(exp(value), 2)}" if measure.ratio else number(value, 2, signed=True)
            where = {"ha": "left" if side < 0 else "right", "va": "center", "fontsize": 12.5}
            axes.text(0.9 * side * reach, row, told, color=ink, **where)
        axes.text(
            *(0.0, place - 0.42, one.verdict + (" (changed on purpose)" if one.control else "")),
            transform=axes.get_yaxis_transform(),
            fontsize=12.5,
            weight="bold" if one.verdict == DIFFERS else "normal",
            color=ink,
            va="center",
        )
    axes.axvline(0, color=theme.ink, linewidth=1)
    axes.set_xlim(-1.06 * reach, 1.06 * reach)
    axes.set_xlabel(WORDS[measure.name][1])
    axes.xaxis.set_major_locator(MaxNLocator(5))
    if measure.ratio:
        ticks = [0.8, 0.9, 1.0, 1.1, 1.2]
        axes.set_xticks(np.log(ticks), [f"{tick:g}" for tick in ticks])
    else:
        axes.xaxis.set_major_formatter(_plain(measure))


def _plain(measure: Measure) -> FuncFormatter:
    return FuncFormatter(lambda value, _: f"{value:g}" if abs(value) > 1e-9 else "0")


def _legend(figure: Figure, theme: Theme) -> None:
    entries: list[Any] = [
        Line2D([], [], color=colour, marker=mark, linestyle="", markersize=8, label=name)
        for name, colour, mark, _ in LEARNERS
    ]
    faint = {"color": theme.ink, "marker": "o", "markersize": 4, "alpha": 0.4, "markeredgewidth": 0}
    entries += [
        Line2D([], [], linestyle="", label="one training", **faint),
        Line2D([], [], color=theme.ink, linewidth=2.4, label="mean of them, 95 %"),
        Line2D([], [], color=theme.ink, marker="<", linestyle="", label="beyond the axis"),
        Line2D([], [], color=GREEN, marker="D", linewidth=3, label="difference, 90 %"),
        Patch(color=theme.need, alpha=0.55, label="margin set beforehand"),
    ]
    figure.legend(handles=entries, loc="outside upper left", ncols=3, handlelength=1.4)
