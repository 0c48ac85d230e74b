"""Pictures of what treatments led to, a row a cell: colour-blind safe, readable on a phone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from powerseek.envs.words import in_words
from powerseek.experiments.analysis.calibration import Doubt
from powerseek.experiments.analysis.cells import Cell, Worlds, none_learnt
from powerseek.experiments.report.figures.style import (
    BLUE,
    PINK,
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
from powerseek.experiments.report.text import (
    DOUBTED,
    MAX_ROWS,
    NOT_LEARNT,
    column_meanings,
    left_out_text,
)
from powerseek.metrics import Metric


class Rows(NamedTuple):
    """A measure of which each cell has a row.

    Attributes:
        name: Start of the picture's file name.
        measure: Column of the summary.
        title: What it is in words; a template that the world fills, as are label and caption.
        label: The same along the axis.
        caption: What to see in it, of the cells drawn.
        draw: Draws the row of a cell at a height, faded where it is not confirmatory.
        axes: Sets up the axes.
        of_failures: Whether it says something of agents that did not learn their task too.
    """

    name: str
    measure: str
    title: str
    label: str
    caption: Callable[[Sequence[Cell]], str]
    draw: Callable[[Axes, float, Cell, float, Theme], None]
    axes: Callable[[Axes, Theme], object]
    of_failures: bool = False


Doubts: TypeAlias = Mapping[str, Sequence[Doubt]]
"""By world, the measures that are not to be trusted in a setting."""


def acquisition_pictures(worlds: Worlds, doubts: Doubts) -> list[Picture]:
    """What each reward leaves open, and what agents took of it and why: a picture a world."""
    return _pictures(worlds, [ACQUISITION], doubts)


def treatment_pictures(worlds: Worlds, asked: Sequence[Metric], doubts: Doubts) -> list[Picture]:
    """Pictures of what treatments led to besides: evaded control, what is asked for.

    Args:
        worlds: The cells of each world.
        asked: Metrics that get a picture of their own.
        doubts: Measures that are not to be trusted somewhere: their rows are marked.
    """
    return _pictures(worlds, [EVADED, *map(_measured, asked)], doubts)


def _pictures(worlds: Worlds, shown: Sequence[Rows], doubts: Doubts) -> list[Picture]:
    drawn = (
        _picture(world, _marked(cells, rows, doubts.get(world, ())), rows)
        for world, cells in worlds.items()
        for rows in shown
    )
    return [picture for picture in drawn if picture is not None]


def _marked(cells: Sequence[Cell], rows: Rows, doubts: Sequence[Doubt]) -> list[Cell]:
    """The cells, those with words behind their label that are not scored or not to be trusted."""
    own = [doubt for doubt in doubts if doubt.scale == rows.measure]

    def words(cell: Cell) -> str:
        unscored = f", {NOT_LEARNT}" if none_learnt(cell.row) and not rows.of_failures else ""
        return unscored + f" {DOUBTED}" * any(doubt.concerns(cell.row) for doubt in own)

    return [replace(cell, label=f"{cell.label}{words(cell)}") for cell in cells]


def _picture(world: str, cells: Sequence[Cell], rows: Rows) -> Picture | None:
    known = [cell for cell in cells[:MAX_ROWS] if np.isfinite(cell.row[rows.measure])]
    if not known:
        return None

    def draw(theme: Theme) -> Figure:
        figure, axes, places = rows_figure(known, theme, in_words(rows.label, [world]))
        rows.axes(axes, theme)
        for place, cell in zip(places + 0.1, known, strict=True):
            rows.draw(axes, place, cell, 1.0 if cell.row["confirmatory"] else 0.45, theme)
        figure_legend(figure)
        return figure

    doubted = any(cell.label.endswith(DOUBTED) for cell in known)
    mark = f"{DOUBTED}: {column_meanings()[DOUBTED]}." if doubted else ""
    told = (rows.caption(known), mark, left_out_text(len(cells), "settings"))
    caption, title = (
        in_words(said, [world]) for said in (" ".join(filter(None, told)), rows.title)
    )
    return Picture(f"{rows.name}-{picture_name(world)}", f"{world}: {title}", caption, draw)


PARTS = {"free": SKY, "precaution": BLUE, "harmful": PINK}
"""Parts of an acquisition beyond the reference's, as metrics, in the order of their bars."""


def _taken(cells: Sequence[Cell]) -> str:
    """The caption of `ACQUISITION`."""
    if not any(cell.row["oracle"] for cell in cells):
        return (
            "What the agents acquired; without an exact oracle nobody can say how much of it the "
            "task needed. Each dot is one training seed."
        )
    layouts = max(int(cell.row["layouts"]) for cell in cells)
    means = f" All but the dots are means over {layouts} layouts." if layouts > 1 else ""
    return (
        "The pale band is what the reward leaves open: any acquisition in it costs less than .005 "
        "of the best return. The line is need: what the greatest success takes at least; the "
        "diamond is the exact optimum of this reward (a line: optima that tie). The bar is what "
        "the trained agents took: grey what pays at .02 of success a unit, then what changed no "
        "success (free), bought success more dearly (precaution) or cost some (harmful); hatched "
        "what they left lying. Each dot is one training seed. The hollow diamond is a minimalist "
        f"that slips until it is only as successful: a dot near it may be mere clumsiness.{means}"
    )


def _acquisition(axes: Axes, place: float, cell: Cell, fade: float, theme: Theme) -> None:
    """What the reward leaves open, need and optimum, and over it what agents took, by parts."""
    row = cell.row
    low, high = row["constraint_low"], row["constraint_high"]
    if np.isfinite(low):
        band: dict[str, Any] = {"color": theme.need, "alpha": 0.45, "linewidth": 0}
        axes.barh(place, high - low, 0.46, left=low, label="left open by reward (W)", **band)
    if np.isfinite(row["need_end"]):
        line: dict[str, Any] = {"color": theme.ink, "linewidth": 2, "zorder": 4}
        ends = (place - 0.23, place + 0.23)
        axes.plot([row["need_end"]] * 2, ends, label="need (greatest success)", **line)
    if np.isfinite(row["optimum_acquired"]):
        _optimum(axes, place, row, "acquired", theme)
    if none_learnt(row):  # what an agent took that cannot do its task says nothing
        axes.barh(place, 0, 0.2)  # so that the axis begins at 0 all the same
        return
    _agents(axes, place, row, fade, theme)
    if np.isfinite(row["slip_excess"]):
        slip: dict[str, Any] = {"label": "slipping minimalist", "markersize": 8, "zorder": 4}
        slip |= {"markeredgecolor": theme.ink, "markeredgewidth": 1.6}
        diamond(axes, row["need"] + row["slip_excess"], place, theme.ground, theme, **slip)
    seed_dots(axes, place, cell.values("acquired", scored=True), theme)


def _agents(axes: Axes, place: float, row: Mapping[str, Any], fade: float, theme: Theme) -> None:
    """The bar of what agents took, by parts where these are known."""
    acquired, left = row["acquired"], row["restraint"]
    parts = {name: row[name] for name in PARTS}

    def bar(width: float, start: float, label: str, **style: Any) -> None:
        axes.barh(place, width, 0.2, left=start, alpha=fade, label=label, zorder=3, **style)

    if not np.isfinite([*parts.values(), left]).all():
        bar(acquired, 0, "acquired", color=theme.faint)
        return
    start = acquired - sum(parts.values())
    bar(start, 0, "pays: .02 success a unit", color=theme.faint)
    hatched: dict[str, Any] = {
        "facecolor": "none",
        "edgecolor": theme.ink,
        "hatch": "////",
        "linewidth": 0.6,
    }
    axes.barh(place + 0.17, -left, 0.1, left=start, label="left lying", zorder=3, **hatched)
    for name, width in parts.items():
        bar(width, start, name, color=PARTS[name])
        start += width


def _switch(axes: Axes, place: float, cell: Cell, fade: float, theme: Theme) -> None:
    """The mean as a bar, the seeds, and the exact optimum with its range."""
    row = cell.row
    if not none_learnt(cell.row):
        axes.barh(place, row["disabled"], 0.3, color=SKY, alpha=fade, label="agents (mean)")
        seed_dots(axes, place, cell.values("disabled", scored=True), theme)
    if np.isfinite(row["optimum_disabled"]):
        _optimum(axes, place, row, "disabled", theme)


def _optimum(axes: Axes, place: float, row: Mapping[str, Any], what: str, theme: Theme) -> None:
    """The exact optimum, and a line over optimal policies that tie."""
    ends = row[f"optimum_{what}_low"], row[f"optimum_{what}_high"]
    if np.isfinite(ends).all() and ends[1] - ends[0] > 0.02:
        axes.plot(ends, (place, place), color=RED, linewidth=3, solid_capstyle="butt", zorder=5)
    label = "exact optimum"
    diamond(axes, row[f"optimum_{what}"], place, RED, theme, label=label, clip_on=False)


def _percent(axes: Axes, _: Theme) -> None:
    axes.set_xlim(-0.03, 1.03)
    axes.xaxis.set_major_formatter("{x:.0%}")


ACQUISITION = Rows(
    *("acquisition", "acquired"),
    "what rewards leave open and agents take",
    "resources acquired per episode",
    _taken,
    _acquisition,
    lambda axes, theme: axes.axvline(0, color=theme.ink, linewidth=1),
)
EVADED = Rows(
    *("evaded", "disabled", "episodes with {off_switch}"),
    "episodes with {off_switch}",
    lambda _: (
        "Episodes with {off_switch}. The red diamond is the exact optimum for this "
        "reward (a line: optima that tie differ). A low bar beside a high diamond means that the "
        "agents did not find it, not that the reward is safe."
    ),
    _switch,
    _percent,
)


def _measured(metric: Metric) -> Rows:
    """The mean of any metric in each setting with its interval, and every seed.

    Beside it what of it no policy of such success need do, where a metric tells. Of agents that did
    not learn their task nothing is shown that supposes they did.
    """
    needed = metric.needed

    def draw(axes: Axes, place: float, cell: Cell, fade: float, theme: Theme) -> None:
        if none_learnt(cell.row) and not metric.always_scored:
            return
        if needed and np.isfinite(least := cell.row.get(needed, np.nan)):
            hollow = {"markeredgecolor": theme.ink, "markersize": 8, "zorder": 4, "alpha": fade}
            label = "equal success takes (exact)"
            diamond(axes, least, place, theme.ground, theme, label=label, **hollow)
        value, *ends = (cell.row[f"{metric.id}{end}"] for end in ("", "_low", "_high"))
        if np.isfinite(ends).all():
            axes.plot(ends, (place, place), color=BLUE, linewidth=3, alpha=fade)
        label = "exact" if metric.exact else "mean over seeds"
        diamond(axes, value, place, BLUE, theme, label=label, alpha=fade)
        if not metric.exact:
            seed_dots(axes, place, cell.values(metric.id, scored=True), theme)

    ends = "the range over optimal policies that tie" if metric.exact else "its 95 % interval"
    caption = f"{metric.meaning[0].upper()}{metric.meaning[1:]}. The line is {ends}."
    if needed:
        caption += " Hollow: how far it need go at the agents' own success, by no policy less."
    return Rows(
        *(f"measure-{picture_name(metric.id)}", metric.id, metric.title),
        f"{metric.title}, {metric.unit}" if metric.unit else metric.title,
        lambda _: caption,
        draw,
        lambda axes, _: axes.set_xlim(-0.03, 1.03) if metric.share else None,
        metric.always_scored,
    )
