"""The need frontier of each setting, with every agent a point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from powerseek.exact.need import GAP
from powerseek.experiments.analysis.calibration import spoken_setting
from powerseek.experiments.analysis.cells import Cell, Worlds, cell_records, trial_rows
from powerseek.experiments.analysis.density import SETTING, rows_like
from powerseek.experiments.analysis.seeds import ordered_references
from powerseek.experiments.report.figures.style import (
    MAX_POINTS,
    Picture,
    Theme,
    agent_points,
    few_groups,
    figure_legend,
    groups_left_out,
    name_beside,
    not_drawn,
    panels_figure,
    picture_name,
)
from powerseek.experiments.results.table import rows_by_cell
from powerseek.experiments.study.factors import factors_in_words, varying_factors

MAX_PANELS = 9


def frontier_pictures(
    worlds: Worlds, frontiers: pd.DataFrame | None, references: pd.DataFrame
) -> list[Picture]:
    """The need frontier of each setting with every agent a point, world by world.

    Args:
        worlds: The cells of each world.
        frontiers: Vertices of need and most, as kept beside the results.
        references: One row a trial of the agents that do not learn: crosses, by name.
    """
    if frontiers is None or "world" not in frontiers:
        return []
    drawn = (
        _frontier(world, cells, *(t[t["world"] == world] for t in (frontiers, references)))
        for world, cells in worlds.items()
    )
    return [picture for picture in drawn if picture is not None]


def _frontier(
    world: str, cells: Sequence[Cell], frontiers: pd.DataFrame, references: pd.DataFrame
) -> Picture | None:
    if not {"kind", "success", "acquisition", "openness", "goal"} <= set(frontiers.columns):
        return None
    keys = [name for name in SETTING if name in frontiers]
    spoken = [name for name in spoken_setting(frontiers) if name in frontiers]
    apart = [name for name in (*spoken, "layout") if name in frontiers]
    names = dict.fromkeys(("openness", "goal", *varying_factors(frontiers, apart)))
    trials = cells[0].trials[[*keys, "success", "acquired"]]
    groups = {name: trials.iloc[trial_rows(group)] for name, group in few_groups(cells).items()}
    known = pd.concat([seeds[seeds["acquired"].notna()] for seeds in groups.values()])
    known = known.drop_duplicates(keys)
    with_agents = [
        (same, lines)
        for same, lines in rows_by_cell(frontiers, keys)
        if len(rows_like(known, same))
    ]
    if "layout" in names:  # a picture each, of the first layouts of every setting where many
        with_agents.sort(key=lambda panel: _number(panel[0]["layout"]))
    panels = []
    for same, lines in with_agents[:MAX_PANELS]:
        here = {name: rows_like(seeds, same) for name, seeds in groups.items()}
        step = max(1, ceil(max(map(len, here.values())) / MAX_POINTS))
        here = {name: seeds[::step] for name, seeds in here.items()}
        label = factors_in_words(cell_records(lines[:1])[0], list(names))
        panels.append((label, lines, here, rows_like(references, same)))
    if not panels:
        return None

    def draw(theme: Theme) -> Figure:
        figure, rows = panels_figure(len(panels), 1.0 + 3.9 * len(panels))
        for axes, (label, lines, here, beside) in zip(rows, panels, strict=True):
            _frontier_panel(axes, lines, here, theme)
            _crosses(axes, beside, theme)
            axes.set_title(label, loc="left")
            axes.set_ylabel("acquired")
        rows[-1].set_xlabel("success")
        figure_legend(figure)
        return figure

    caption = (
        "The solid line is the least that can be acquired at each success, the dashed line the "
        "most: no policy lies outside. Each mark is a trained agent; its height above the solid "
        "line is its excess."
    )
    if any(len(beside) for *_, beside in panels):
        caption += " Crosses are agents that do not learn, the mean over their seeds."
    widest = max(lines.get("gap", pd.Series(0.0)).max() for _, lines, *_ in panels)
    if widest > GAP:
        caption += f" The lines may be up to {widest:.2g} units off: refining them took too long."
    caption += groups_left_out(cells) + not_drawn(len(with_agents) - MAX_PANELS)
    title = f"{world}: the need frontier and the agents"
    return Picture(f"frontier-{picture_name(world)}", title, caption, draw)


def _number(layout: object) -> tuple[int, str]:
    """Layouts in order: by number, then names."""
    text = str(layout)
    return (int(text), "") if text.isdecimal() else (0, text)


def _frontier_panel(
    axes: Axes, lines: pd.DataFrame, groups: Mapping[str, pd.DataFrame], theme: Theme
) -> None:
    shown = {"need": ("-", "least possible (need)"), "most": ("--", "most possible")}
    for kind, (dash, name) in shown.items():
        line = lines[lines["kind"] == kind].sort_values("success")
        if not line.empty:
            # Below its first vertex a frontier is level.
            success = [0.0, *line["success"]]
            acquisition = [line["acquisition"].iloc[0], *line["acquisition"]]
            style: dict[str, Any] = {"color": theme.ink, "linewidth": 2.5, "clip_on": False}
            axes.plot(success, acquisition, dash, label=name, **style)
    for i, (name, seeds) in enumerate(groups.items()):
        if not seeds.empty:
            agent_points(axes, i, seeds["success"], seeds["acquired"], name, theme)
    axes.set_xlim(0, 1.01)
    axes.set_ylim(bottom=0)


def _crosses(axes: Axes, references: pd.DataFrame, theme: Theme) -> None:
    """A cross for every agent that does not learn, its name in the margin."""
    known = ordered_references(references)
    style: dict[str, Any] = {"color": theme.ink, "markersize": 10, "zorder": 6}
    for agent in known:
        axes.plot(
            agent.success, agent.acquired, "x", markeredgewidth=2.2, label="does not learn", **style
        )
    name_beside(axes, known, theme, 1.02)
