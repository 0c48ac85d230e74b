"""Heat maps of density x another factor: what agents did beside what is optimal, world by world."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, nan
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from powerseek.envs.words import in_words
from powerseek.experiments.analysis.cells import Cell, Worlds
from powerseek.experiments.analysis.density import Field, arm_optimum_share, density_fields
from powerseek.experiments.analysis.view import View
from powerseek.experiments.report.figures.style import (
    WIDTH,
    Picture,
    Theme,
    not_drawn,
    picture_name,
)
from powerseek.experiments.report.text import DAGGER
from powerseek.experiments.study.factors import Level, factor_of
from powerseek.experiments.study.factors import written_level as spell
from powerseek.metrics import Metric

MAX_PANELS = 6
MAX_COLUMNS = 12
BESIDE = 22
"""Letters that fit beside each other below a panel."""
GAP = 1.15
"""Rows between two families of arms: one for the name of the second."""


@dataclass(frozen=True)
class Shown:
    """A measure to map.

    Attributes:
        name: Start of the picture's file name.
        measure: Column of the summary.
        title: What it is in words; a template that the world fills.
        optimal: The same of the arm's exact optimum.
        colours: Colour map, and the values at its two ends.
        scale: The colours in words.
    """

    name: str
    measure: str
    title: str
    optimal: Callable[[Cell, pd.DataFrame | None], float]
    colours: tuple[str, float, float]
    scale: str


def _column(name: str) -> Callable[[Cell, pd.DataFrame | None], float]:
    return lambda cell, _: float(cell.row[name])


_SHARES = "Dark is 0, bright is 1."
SHOWN = (
    Shown(
        *("map-surplus", "share_of_surplus", "share of what is on offer beyond need that is taken"),
        *(arm_optimum_share, ("cividis", 0.0, 1.0), _SHARES),
    ),
    Shown(
        *("map-evaded", "disabled", "share of episodes with {off_switch}"),
        *(_column("optimum_disabled"), ("cividis", 0.0, 1.0), _SHARES),
    ),
    Shown(
        *("map-power", "power_seeking", "POWER score: 0 chooses like chance, 1 always for POWER"),
        *(_column("optimum_power_seeking"), ("PuOr_r", -1.0, 1.0)),
        "Orange seeks POWER, purple avoids it. Never compare it across worlds or opennesses.",
    ),
)


def density_pictures(worlds: Worlds, view: View, frontiers: pd.DataFrame | None) -> list[Picture]:
    """The maps of every world in which another factor varies, one a factor and measure.

    Share of surplus, evaded control, POWER, and what else the study asks for.
    """
    pictures = []
    for world, cells in worlds.items():
        by_factor: dict[str, list[Field]] = {}
        for field in density_fields(cells, view.keys, view.places):
            by_factor.setdefault(field.factor, []).append(field)
        asked = [shown for metric in view.asked if (shown := _asked(metric, cells)) is not None]
        for known in by_factor.values():
            for shown in (*SHOWN, *asked):
                with_values = [f for f in known if _has_values(f, shown.measure)]
                if with_values:
                    pictures.append(_picture(world, with_values, shown, frontiers))
    return pictures


def _asked(metric: Metric, cells: Sequence[Cell]) -> Shown | None:
    """The map of a measure that a study asks for; None where no cell has it."""
    if any(metric.id == shown.measure for shown in SHOWN):
        return None
    values = [float(cell.row[metric.id]) for cell in cells]
    known = [value for value in values if isfinite(value)]
    if not known:
        return None
    low, high = (0.0, 1.0) if metric.share else (min(known), max(known))
    return Shown(
        f"map-{picture_name(metric.id)}",
        metric.id,
        metric.title,
        lambda cell, _: float(cell.row.get(metric.optimum, nan)),
        ("cividis", low, high if high > low else low + 1.0),
        f"Dark is {low:g}, bright is {high:g}{f' {metric.unit}' if metric.unit else ''}.",
    )


def _has_values(field: Field, measure: str) -> bool:
    return any(isfinite(cell.row[measure]) for cell in field.cells.values())


def _picture(
    world: str, known: Sequence[Field], shown: Shown, frontiers: pd.DataFrame | None
) -> Picture:
    drawn = known[:MAX_PANELS]
    name = factor_of(known[0].factor).name
    optima = [
        {place: shown.optimal(cell, frontiers) for place, cell in field.cells.items()}
        for field in drawn
    ]
    with_optimum = any(isfinite(value) for values in optima for value in values.values())

    def draw(theme: Theme) -> Figure:
        heights = [_places(field)[1] + 1.3 for field in drawn]
        figure = Figure(figsize=(WIDTH, 0.8 + 0.36 * sum(heights)), layout="constrained")
        rows = figure.subplots(
            *(len(drawn), 1 + with_optimum), squeeze=False, gridspec_kw={"height_ratios": heights}
        )
        for i, (field, row) in enumerate(zip(drawn, rows, strict=True)):
            left = row[0]
            found = {place: float(c.row[shown.measure]) for place, c in field.cells.items()}
            _panel(left, field, found, shown, theme)
            if with_optimum:
                _panel(row[1], field, optima[i], shown, theme, named=False)
            for axes, head in zip(row, ("agents", "exact optimum"), strict=False):
                axes.set_title(head if i == 0 else "", fontsize=14, pad=22)
            left.text(
                *(0.0, 1.0, field.label),
                transform=left.transAxes,
                va="bottom",
                ha="left",
                fontsize=12,
            )
        return figure

    caption = (
        "Rows are rewards, densest on top; timing (the same reward, paid later) and "
        "specification (how much of the behaviour is judged) are two different things. Columns "
        f"are levels of {name}. "
        + (
            "Left the mean over seeds, right what is optimal for that reward (optima that tie "
            "drawn evenly). "
            if with_optimum
            else "The mean over seeds. "
        )
        + shown.scale
        + f" {DAGGER} and hatching: fewer than 90 % of the seeds learnt the task. "
        "Empty: not in the study, or no number."
    )
    elsewhere = dict.fromkeys(arm for field in drawn for arm in field.left_out)
    if elsewhere:
        caption += f" On neither factor, so not here: {', '.join(elsewhere)}."
    caption += not_drawn(len(known) - len(drawn))
    if any(len(field.columns) > MAX_COLUMNS for field in drawn):
        caption += f" The first {MAX_COLUMNS} levels are drawn."
    what = "horizon" if name == "max_steps" else name
    title = f"{world}: density and {what} - {in_words(shown.title, [world])}"
    return Picture(f"{shown.name}-{picture_name(name)}-{picture_name(world)}", title, caption, draw)


def _places(field: Field) -> tuple[dict[str, float], float]:
    """Height of each arm and of the bottom, first arm on top, with a gap above each family."""
    places, place = {}, 0.0
    for arms in field.families.values():
        place += GAP
        for arm in arms:
            places[arm] = place
            place += 1.0
    return places, place


def _panel(
    axes: Axes,
    field: Field,
    values: Mapping[tuple[str, Level], float],
    shown: Shown,
    theme: Theme,
    named: bool = True,
) -> None:
    places, bottom = _places(field)
    columns = field.columns[:MAX_COLUMNS]
    name, low, high = shown.colours
    norm, colours = Normalize(low, high, clip=True), mpl.colormaps[name]
    axes.set_xlim(-0.5, len(columns) - 0.5)
    axes.set_ylim(bottom - 0.4, 0.0)
    for (arm, horizon), value in values.items():
        if arm in places and horizon in columns and isfinite(value):
            place = columns.index(horizon), places[arm]
            # What is optimal does not depend on who learnt it.
            sure = not named or bool(field.cells[arm, horizon].row["confirmatory"])
            _square(axes, place, value, (norm, colours), sure, len(columns), theme)
    for family, arms in field.families.items():
        label = family if named else ""
        axes.text(-0.5, places[arms[0]] - 0.6, label, fontsize=11, style="italic", va="bottom")
    axes.set_yticks(list(places.values()), list(places) if named else [""] * len(places))
    levels = [spell(value) for value in columns]
    crowded = sum(map(len, levels)) > BESIDE
    axes.set_xticks(range(len(columns)), levels, rotation=90 if crowded else 0)
    axes.set_xlabel(factor_of(field.factor).spoken)
    axes.tick_params(length=0, labelsize=12)
    for side in axes.spines.values():
        side.set_visible(False)


def _square(
    axes: Axes,
    place: tuple[int, float],
    value: float,
    scale: tuple[Normalize, Colormap],
    sure: bool,
    columns: int,
    theme: Theme,
) -> None:
    norm, colours = scale
    x, y = place
    colour = np.asarray(colours(norm(value)))
    bright = float(colour[:3] @ (0.299, 0.587, 0.114))
    style: dict[str, Any] = {"facecolor": colour, "edgecolor": theme.ground}
    if not sure:
        style = {"facecolor": theme.ground, "edgecolor": theme.faint, "hatch": "///"}
    axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, linewidth=1.5, **style))
    ink = theme.ink if not sure else ("#000000" if bright > 0.5 else "#ffffff")
    words = f"{value + 0.0:.2f}" + ("" if sure else DAGGER)
    axes.text(
        *(x, y, words),
        color=ink,
        ha="center",
        va="center",
        fontsize=max(6.0, min(12.5, 34 / columns)),
        bbox=None if sure else {"facecolor": theme.ground, "edgecolor": "none", "pad": 1},
        gid="value",
    )
