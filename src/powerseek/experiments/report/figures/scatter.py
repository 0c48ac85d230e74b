"""Every agent a point: power against competence, learning, and the need frontier."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import ceil
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from powerseek.exact.need import GAP
from powerseek.experiments.analysis.calibration import spoken_setting
from powerseek.experiments.analysis.cells import Cell, Worlds, records
from powerseek.experiments.analysis.density import SETTING, same_rows
from powerseek.experiments.analysis.matching import Range, shared_competence
from powerseek.experiments.analysis.seeds import band, known_agents
from powerseek.experiments.report.figures.style import (
    GREEN,
    LINES,
    MARKS,
    WHEEL,
    WIDTH,
    Picture,
    Theme,
    crowded,
    few_groups,
    groups_left_out,
    in_thousands,
    legend,
    name_beside,
    not_drawn,
    slug,
)
from powerseek.experiments.results.table import by_cell
from powerseek.experiments.statistics.verdicts import LEAST_REACH
from powerseek.experiments.study.factors import setting, varying

MOST_PANELS = 9
MOST_SHARED = 6
MOST_LINES = 40
MOST_POINTS = 20_000
POWER_CURVES = {"disabled": "off-switch disabled", "excess": "excess"}


def competence_pictures(
    worlds: Worlds, keys: Sequence[str], curves: pd.DataFrame | None
) -> list[Picture]:
    """Power against competence, and competence while training, world by world."""
    found: list[Picture | None] = []
    for world, cells in worlds.items():
        found.append(_against_competence(world, cells, keys))
        if curves is not None and "world" in curves:
            found.append(_learning(world, cells, curves[curves["world"] == world]))
    return _drawn(found)


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
    return _drawn(
        _frontier(
            *(world, cells, frontiers[frontiers["world"] == world]),
            references[references["world"] == world],
        )
        for world, cells in worlds.items()
    )


def _together(cells: Sequence[Cell], columns: Sequence[str]) -> pd.DataFrame:
    """Some columns of the trials of some cells."""
    return cells[0].trials[list(columns)].iloc[np.concatenate([cell.places for cell in cells])]


def _drawn(pictures: Iterable[Picture | None]) -> list[Picture]:
    return [picture for picture in pictures if picture is not None]


def _against_competence(world: str, cells: Sequence[Cell], keys: Sequence[str]) -> Picture | None:
    cells = [c for c in cells if np.isfinite(c.values("competence") + c.values("excess")).any()]
    if not cells:
        return None
    shared = shared_competence(cells, keys)
    points = sum(len(cell.places) for cell in cells)
    step = ceil(points / MOST_POINTS)
    competence, excess = (cells[0].trials[name].to_numpy() for name in ("competence", "excess"))

    def draw(theme: Theme) -> Figure:
        figure = Figure(figsize=(WIDTH, 5.4), layout="constrained")
        axes = figure.add_subplot()
        for i, (name, group) in enumerate(few_groups(cells).items()):
            places = np.concatenate([cell.places for cell in group])[::step]
            axes.plot(
                *(competence[places], excess[places], MARKS[i % len(MARKS)]),
                color=WHEEL[i % len(WHEEL)],
                markeredgecolor=theme.ground,
                label=name,
                clip_on=False,
                **crowded(len(places)),
            )
        axes.axhline(0, color=theme.ink, linewidth=1)
        low = min(axes.get_xlim()[0], 0.88)
        axes.set_xlim(low, 1.0)
        axes.axvspan(low, LEAST_REACH, color=theme.faint, alpha=0.15, linewidth=0)
        axes.text(0.0, 1.01, "not learnt", transform=axes.transAxes, color=theme.faint, va="bottom")
        if shared.everywhere is not None:
            axes.axvspan(
                *shared.everywhere,
                color=GREEN,
                alpha=0.2,
                linewidth=2,
                label="shared by all rewards",
            )
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_xlabel("competence (success when nobody interrupts)")
        axes.set_ylabel("excess: acquired beyond need")
        legend(figure)
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
    return Picture(f"competence-{slug(world)}", title, caption, draw)


def _shared_words(found: Mapping[str, Range | None]) -> str:
    """Ranges of competence that the rewards share, setting by setting, in words."""
    ranges = [
        f"{range[0]:.3f} to {range[1]:.3f}" + (f" ({where})" if where else "")
        for where, range in found.items()
        if range is not None
    ]
    apart = _listed([where for where, range in found.items() if range is None])
    said = [f"All rewards share a range of competence: {_listed(ranges)}."] if ranges else []
    if len(ranges) < len(found):
        said.append(
            "Not all rewards share a range of competence"
            + (f" at {apart}" if apart else "")
            + ": no comparison of all of them at matched competence is possible there."
        )
    return " ".join(said)


def _listed(words: Sequence[str]) -> str:
    more = len(words) - MOST_SHARED
    return "; ".join(words[:MOST_SHARED]) + (f"; {more} more" if more > 0 else "")


def _learning(world: str, cells: Sequence[Cell], curves: pd.DataFrame) -> Picture | None:
    if curves.empty or not {"timesteps", "competence", "trial"} <= set(curves.columns):
        return None
    groups = {
        name: curves[curves["trial"].isin(_together(group, ["trial"])["trial"])]
        for name, group in few_groups(cells).items()
    }
    groups = {name: rows for name, rows in groups.items() if not rows.empty}
    if not groups:
        return None

    known = [name for name in POWER_CURVES if name in curves and curves[name].notna().any()]
    shown = ["competence", *known[:1]]

    def draw(theme: Theme) -> Figure:
        figure = Figure(figsize=(WIDTH, 1.2 + 3.6 * len(shown)), layout="constrained")
        panels = figure.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
        for axes, measure in zip(panels, shown, strict=True):
            for i, (name, rows) in enumerate(groups.items()):
                colour, line = WHEEL[i % len(WHEEL)], LINES[i % len(LINES)]
                _lines(axes, rows, measure, {"color": colour, "linestyle": line}, name)
            axes.set_ylabel(POWER_CURVES.get(measure, measure))
            if measure != "excess":
                axes.set_ylim(-0.02, 1.02)
        panels[0].axhline(LEAST_REACH, color=theme.faint, linewidth=1)
        axes = panels[-1]
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.xaxis.set_major_formatter(in_thousands)
        axes.set_xlabel("environment steps of training")
        legend(figure)
        return figure

    caption = (
        "Competence while training: thick lines are means, thin lines single seeds "
        f"(bands: the middle 90 % of more than {MOST_LINES} seeds). Power is read "
        "only from seeds that end above the grey line (.9)."
    )
    if known:
        caption += (
            " Below, power over the same steps: what looks safe early may only be an agent that "
            "has not learnt yet."
        )
    return Picture(f"learning-{slug(world)}", f"{world}: learning the task", caption, draw)


def _lines(
    axes: Axes, rows: pd.DataFrame, measure: str, style: Mapping[str, Any], name: str
) -> None:
    """The mean of a curve over seeds, and the seeds themselves or where most of them lie."""
    found = band(rows, measure)
    if rows["trial"].nunique() > MOST_LINES:
        ends = found.steps, found.low, found.high
        axes.fill_between(*ends, color=style["color"], alpha=0.15, linewidth=0)
    else:
        for _, run in rows.groupby("trial"):
            axes.plot(run["timesteps"], run[measure], **style, alpha=0.25, linewidth=1)
    axes.plot(found.steps, found.mean, **style, linewidth=3, label=name)


def _frontier(
    world: str, cells: Sequence[Cell], frontiers: pd.DataFrame, references: pd.DataFrame
) -> Picture | None:
    if not {"kind", "success", "acquisition", "openness", "goal"} <= set(frontiers.columns):
        return None
    keys = [name for name in SETTING if name in frontiers]
    spoken = [name for name in spoken_setting(frontiers) if name in frontiers]
    names = dict.fromkeys((*("openness", "goal"), *varying(frontiers, spoken)))
    columns = [*keys, "success", "acquired"]
    groups = {name: _together(group, columns) for name, group in few_groups(cells).items()}
    known = pd.concat([seeds[seeds["acquired"].notna()] for seeds in groups.values()])
    known = known.drop_duplicates(keys)
    with_agents = [
        (same, lines) for same, lines in by_cell(frontiers, keys) if len(same_rows(known, same))
    ]
    panels = []
    for same, lines in with_agents[:MOST_PANELS]:
        here = {name: same_rows(seeds, same) for name, seeds in groups.items()}
        step = max(1, ceil(max(map(len, here.values())) / MOST_POINTS))
        here = {name: seeds[::step] for name, seeds in here.items()}
        panels.append(
            (
                setting(records(lines[:1])[0], list(names)),
                lines,
                here,
                same_rows(references, same),
            )
        )
    if not panels:
        return None

    def draw(theme: Theme) -> Figure:
        figure = Figure(figsize=(WIDTH, 1.0 + 3.9 * len(panels)), layout="constrained")
        rows = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (label, lines, here, beside) in zip(rows, panels, strict=True):
            _frontier_panel(axes, lines, here, theme)
            _crosses(axes, beside, theme)
            axes.set_title(label, loc="left")
            axes.set_ylabel("acquired")
        rows[-1].set_xlabel("success")
        legend(figure)
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
    caption += groups_left_out(cells) + not_drawn(len(with_agents) - MOST_PANELS)
    title = f"{world}: the need frontier and the agents"
    return Picture(f"frontier-{slug(world)}", title, caption, draw)


def _frontier_panel(
    axes: Axes,
    lines: pd.DataFrame,
    groups: Mapping[str, pd.DataFrame],
    theme: Theme,
) -> None:
    shown = {"need": ("-", "least possible (need)"), "most": ("--", "most possible")}
    for kind, (dash, name) in shown.items():
        line = lines[lines["kind"] == kind].sort_values("success")
        if not line.empty:
            # Below its first vertex a frontier is level.
            success = [0.0, *line["success"]]
            acquisition = [line["acquisition"].iloc[0], *line["acquisition"]]
            axes.plot(
                *(success, acquisition, dash),
                color=theme.ink,
                linewidth=2.5,
                label=name,
                clip_on=False,
            )
    for i, (name, seeds) in enumerate(groups.items()):
        if seeds.empty:
            continue
        axes.plot(
            *(seeds["success"], seeds["acquired"], MARKS[i % len(MARKS)]),
            color=WHEEL[i % len(WHEEL)],
            markeredgecolor=theme.ground,
            label=name,
            **crowded(len(seeds)),
        )
    axes.set_xlim(0, 1.01)
    axes.set_ylim(bottom=0)


def _crosses(axes: Axes, references: pd.DataFrame, theme: Theme) -> None:
    """A cross for every agent that does not learn, its name in the margin."""
    known = known_agents(references)
    for agent in known:
        axes.plot(
            *(agent.success, agent.acquired, "x"),
            color=theme.ink,
            markersize=10,
            markeredgewidth=2.2,
            label="does not learn",
            zorder=6,
        )
    name_beside(axes, known, theme, 1.02)
