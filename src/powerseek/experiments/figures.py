"""The pictures of a study, one world each: colour-blind safe, readable on a phone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from powerseek.experiments.cells import by_cell
from powerseek.experiments.drawing import (
    BLUE,
    LINES,
    MARKS,
    ORANGE,
    RED,
    SKY,
    WHEEL,
    WIDTH,
    Cell,
    Picture,
    Theme,
    by_reward,
    dots,
    legend,
    rows_figure,
    slug,
)
from powerseek.experiments.presentation import setting, varying
from powerseek.experiments.verdicts import LEAST_REACH
from powerseek.experiments.view import View

MOST_PANELS = 9
# What a frontier belongs to: agents are shown against the frontier of their own setting only.
SETTING = ("version", "params", "openness", "goal", "layout", "max_steps")


def treatment_pictures(view: View) -> list[Picture]:
    """What each treatment led to: acquisition split up, and the off-switch, world by world."""
    worlds = cells_of(view).items()
    return _drawn(make(world, cells) for world, cells in worlds for make in _OF_TREATMENTS)


def competence_pictures(view: View) -> list[Picture]:
    """Power against competence, and competence while training, world by world."""
    curves = view.table("curves")
    found = []
    for world, cells in cells_of(view).items():
        found.append(_against_competence(world, cells))
        if curves is not None and "world" in curves:
            found.append(_learning(world, cells, curves[curves["world"] == world]))
    return _drawn(found)


def frontier_pictures(view: View) -> list[Picture]:
    """The need frontier of each setting with every agent a point, world by world."""
    frontiers = view.table("frontiers")
    if frontiers is None or "world" not in frontiers:
        return []
    return _drawn(
        _frontier(world, cells, frontiers[frontiers["world"] == world])
        for world, cells in cells_of(view).items()
    )


def _drawn(pictures: Iterable[Picture | None]) -> list[Picture]:
    return [picture for picture in pictures if picture is not None]


def cells_of(view: View) -> dict[str, list[Cell]]:
    """The cells of each world, in the order of the study."""
    worlds = view.summary["world"].unique() if len(view.summary) else ()
    return {str(world): _cells(view, str(world)) for world in worlds}


def _cells(view: View, world: str) -> list[Cell]:
    here = view.summary[view.summary["world"] == world]
    names = varying(here, view.keys)
    found = []
    for cell, rows in by_cell(here, view.keys):
        row = {str(name): value for name, value in rows.iloc[0].items()}
        found.append(Cell(setting(cell, names), row, _rows_of(view.trials, cell)))
    return found


def _rows_of(table: pd.DataFrame, cell: Mapping[str, Any]) -> pd.DataFrame:
    same = [
        table[name].isna() if pd.isna(value) else table[name] == value
        for name, value in cell.items()
    ]
    return table[np.logical_and.reduce(same)]


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
        legend(figure, axes)
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
    dots(axes, place, cell.scored["acquired"], theme)


def _off_switch(world: str, cells: Sequence[Cell]) -> Picture | None:
    cells = [cell for cell in cells if np.isfinite(cell.row["disabled"])]
    if not cells:
        return None

    def draw(theme: Theme) -> Figure:
        figure, axes, places = rows_figure(cells, theme, "episodes with the off-switch disabled")
        axes.set_xlim(-0.03, 1.03)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share:.0%}"))
        for place, cell in zip(places + 0.1, cells, strict=True):
            row = cell.row
            fade = 1.0 if row["confirmatory"] else 0.45
            axes.barh(place, row["disabled"], 0.3, color=SKY, alpha=fade, label="agents (mean)")
            dots(axes, place, cell.scored["disabled"], theme)
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
        legend(figure, axes)
        return figure

    caption = (
        "How often the off-switch was disabled. The red diamond is the exact optimum for this "
        "reward (a line: optima that tie differ). A low bar beside a high diamond means that the "
        "agents did not find it, not that the reward is safe."
    )
    title = f"{world}: does it disable its off-switch?"
    return Picture(f"off-switch-{slug(world)}", title, caption, draw)


_OF_TREATMENTS = (_decomposition, _off_switch)


def _against_competence(world: str, cells: Sequence[Cell]) -> Picture | None:
    cells = [c for c in cells if (c.seeds["competence"].notna() & c.seeds["excess"].notna()).any()]
    if not cells:
        return None

    def draw(theme: Theme) -> Figure:
        figure = Figure(figsize=(WIDTH, 5.4), layout="constrained")
        axes = figure.add_subplot()
        for i, (name, group) in enumerate(by_reward(cells).items()):
            seeds = pd.concat([cell.seeds for cell in group])
            axes.plot(
                *(seeds["competence"], seeds["excess"], MARKS[i % len(MARKS)]),
                color=WHEEL[i % len(WHEEL)],
                markeredgecolor=theme.ground,
                markersize=9,
                alpha=0.85,
                label=name,
                clip_on=False,
            )
        axes.axhline(0, color=theme.ink, linewidth=1)
        low = min(axes.get_xlim()[0], 0.88)
        axes.set_xlim(low, 1.0)
        axes.axvspan(low, LEAST_REACH, color=theme.faint, alpha=0.15, linewidth=0)
        axes.text(0.0, 1.01, "not learnt", transform=axes.transAxes, color=theme.faint, va="bottom")
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_xlabel("competence (success when nobody interrupts)")
        axes.set_ylabel("excess: acquired beyond need")
        legend(figure, axes)
        return figure

    caption = (
        "Each point is one training seed. Only points right of the shaded part count: an agent "
        "that has not learnt the task can look modest, or greedy, for no reason but that. Compare "
        "rewards at equal competence; above the line is more than the task needs."
    )
    title = f"{world}: power against competence"
    return Picture(f"competence-{slug(world)}", title, caption, draw)


def _learning(world: str, cells: Sequence[Cell], curves: pd.DataFrame) -> Picture | None:
    if curves.empty or not {"timesteps", "competence", "trial"} <= set(curves.columns):
        return None
    groups = {
        name: curves[curves["trial"].isin(pd.concat([cell.seeds for cell in group])["trial"])]
        for name, group in by_reward(cells).items()
    }
    groups = {name: rows for name, rows in groups.items() if not rows.empty}
    if not groups:
        return None

    def draw(theme: Theme) -> Figure:
        figure = Figure(figsize=(WIDTH, 4.8), layout="constrained")
        axes = figure.add_subplot()
        for i, (name, rows) in enumerate(groups.items()):
            style: dict[str, Any] = {
                "color": WHEEL[i % len(WHEEL)],
                "linestyle": LINES[i % len(LINES)],
            }
            for _, run in rows.groupby("trial"):
                axes.plot(run["timesteps"], run["competence"], **style, alpha=0.25, linewidth=1)
            mean = rows.groupby("timesteps")["competence"].mean()
            axes.plot(mean.index, mean.to_numpy(), **style, linewidth=3, label=name)
        axes.axhline(LEAST_REACH, color=theme.faint, linewidth=1)
        axes.set_ylim(0, 1.02)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda steps, _: f"{steps / 1000:g}k"))
        axes.set_xlabel("environment steps of training")
        axes.set_ylabel("competence")
        legend(figure, axes)
        return figure

    caption = (
        "Competence while training: thick lines are means, thin lines single seeds. Power is read "
        "only from seeds that end above the grey line (.9)."
    )
    return Picture(f"learning-{slug(world)}", f"{world}: learning the task", caption, draw)


def _frontier(world: str, cells: Sequence[Cell], frontiers: pd.DataFrame) -> Picture | None:
    if not {"kind", "success", "acquisition", "openness", "goal"} <= set(frontiers.columns):
        return None
    keys = [name for name in SETTING if name in frontiers]
    names = dict.fromkeys((*("openness", "goal"), *varying(frontiers, keys)))
    panels = []
    for same, lines in by_cell(frontiers, keys):
        here = [replace(cell, seeds=_rows_of(cell.seeds, same)) for cell in cells]
        here = [cell for cell in here if cell.seeds["acquired"].notna().any()]
        if here:
            panels.append((setting(same, list(names)), lines, here))
    left_out = len(panels) - MOST_PANELS
    panels = panels[:MOST_PANELS]
    if not panels:
        return None

    def draw(theme: Theme) -> Figure:
        figure = Figure(figsize=(WIDTH, 1.0 + 3.9 * len(panels)), layout="constrained")
        rows = np.atleast_1d(np.asarray(figure.subplots(len(panels), 1, sharex=True), dtype=object))
        for axes, (label, lines, here) in zip(rows, panels, strict=True):
            _frontier_panel(axes, lines, here, theme)
            axes.set_title(label, loc="left")
            axes.set_ylabel("acquired")
        rows[-1].set_xlabel("success")
        legend(figure, rows[0])
        return figure

    caption = (
        "The solid line is the least that can be acquired at each success, the dashed line the "
        "most: no policy lies outside. Each mark is a trained agent; its height above the solid "
        "line is its excess."
    )
    if left_out > 0:
        caption += f" {left_out} more settings are not drawn."
    title = f"{world}: the need frontier and the agents"
    return Picture(f"frontier-{slug(world)}", title, caption, draw)


def _frontier_panel(axes: Axes, lines: pd.DataFrame, cells: Sequence[Cell], theme: Theme) -> None:
    shown = {"need": ("-", "least possible (need)"), "most": ("--", "most possible")}
    for kind, (dash, name) in shown.items():
        line = lines[lines["kind"] == kind].sort_values("success")
        if not line.empty:
            axes.plot(
                *(line["success"], line["acquisition"], dash),
                color=theme.ink,
                linewidth=2.5,
                label=name,
            )
    for i, (name, group) in enumerate(by_reward(cells).items()):
        seeds = pd.concat([cell.seeds for cell in group])
        axes.plot(
            *(seeds["success"], seeds["acquired"], MARKS[i % len(MARKS)]),
            color=WHEEL[i % len(WHEEL)],
            markeredgecolor=theme.ground,
            markersize=9,
            alpha=0.85,
            label=name,
        )
    axes.set_xlim(0, 1.01)
    axes.set_ylim(bottom=0)
