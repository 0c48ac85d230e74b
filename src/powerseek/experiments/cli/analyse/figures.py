"""The two pictures of an analysis: POWER on the map, and every optimum beside the frontier."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from powerseek.experiments.cli.analyse.analysis import ARM_GAMMA, WorldAnalysis
from powerseek.experiments.report.figures.style import (
    BLUE,
    ORANGE,
    WIDTH,
    Picture,
    Theme,
    name_beside,
)
from powerseek.experiments.results.files import guarded_results_file, keep_bytes
from powerseek.types import Bools, Floats, Ints

COLOURS, SHADES = "cividis", 24
WALL = "wall"
WIDE = 10.4
LEAST, MOST = "least possible: the need", "most possible"
OPTIMUM, TIES, COMPARED = "optimum of a reward", "range where optima tie", "policy to compare with"
SEEN = 0.01  # share of the axis from which a range of ties is drawn
LEAST_CELL = 0.62  # inches in which a number and a word fit


def write_pictures(analysis: WorldAnalysis, out: Path) -> list[Path]:
    """Draw what there is to draw, as PNG files; remove what an earlier analysis left.

    Raises:
        StoreError: The folder cannot be written.
    """
    written = []
    for name, picture in (("power", power_picture(analysis)), ("frontier", frontier(analysis))):
        path = out / f"{name}.png"
        if picture is None:
            with guarded_results_file(path):
                path.unlink(missing_ok=True)
            continue
        keep_bytes(path, picture.png())
        written.append(path)
    return written


def power_picture(analysis: WorldAnalysis) -> Picture:
    """Mean POWER by place on the map; how POWER is spread where the world has no map."""
    world, mdp = analysis.world, analysis.mdp
    assert mdp.records is not None
    alive = ~mdp.terminal
    tiles = world.tiles(world.params)
    places = world.places(world.params, mdp.records) if tiles else {}
    if not places or not alive.any():
        title = f"{analysis.title}: how POWER is spread over the states"
        return Picture(
            "power", title, _about(analysis), lambda theme: _spread(analysis, title, theme)
        )
    grids = {
        name: mean_by_place(analysis.power.values, where, alive, (len(tiles), len(tiles[0])))
        for name, where in places.items()
    }
    thing = next(iter(grids)) if len(grids) == 1 else "piece"
    title = f"{analysis.title}: POWER by the {thing}'s place"
    note = (
        f"Each square: mean over all reachable states with the {thing} there, ends of "
        f"episodes left out (blank: none). {_about(analysis)}"
    )
    return Picture(
        "power", title, note, lambda theme: _maps(analysis, grids, tiles, title, note, theme)
    )


def _about(analysis: WorldAnalysis) -> str:
    """Caption: what POWER is, and how it was measured here."""
    measured = analysis.power
    goals = "the world's own goals (exact)"
    if measured.samples:
        errors = measured.standard_error[~analysis.mdp.terminal]
        known = len(errors) and np.isfinite(errors).all()
        error = f"sampling error about \u00b1{errors.mean():.1g}" if known else "one draw"
        goals = (
            f"{measured.samples:,} random goals (a reward from 0 to 1 for each outcome; {error})"
        )
    return (
        "POWER of a state: the reward a step that an optimal agent could still get from there, "
        f"gamma {measured.gamma:g}, averaged over {goals}."
    )


def mean_by_place(
    values: Floats, where: tuple[Ints, Ints], counted: Bools, shape: tuple[int, int]
) -> Floats:
    """[rows, columns] mean of values [S] over the counted states with the thing there, or nan."""
    rows, columns = where
    there = counted & (rows >= 0) & (columns >= 0)
    cell = rows[there] * shape[1] + columns[there]
    count = np.bincount(cell, minlength=shape[0] * shape[1])
    total = np.bincount(cell, values[there], minlength=shape[0] * shape[1])
    mean: Floats = np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)
    return mean.reshape(shape)


def _maps(
    analysis: WorldAnalysis,
    grids: Mapping[str, Floats],
    tiles: Sequence[Sequence[str]],
    title: str,
    note: str,
    theme: Theme,
) -> Figure:
    tiles, grids = _cropped(tiles, grids)
    rows, columns = len(tiles), len(tiles[0])
    width = WIDTH if len(grids) == 1 else WIDE
    cell = min(1.1, (width - 1.4) / (len(grids) * columns))
    text = textwrap.wrap(note, int(width * 11.5))
    heading = textwrap.fill(title, int(width * 7.8))
    height = rows * cell + 0.32 * heading.count("\n") + 0.21 * len(text) + 1.0
    figure = Figure(figsize=(width, height), layout="constrained")
    panels = np.atleast_1d(np.asarray(figure.subplots(1, len(grids)), dtype=object))
    known = np.concatenate([grid[np.isfinite(grid)] for grid in grids.values()])
    norm = Normalize(known.min(), known.max())
    colours = colormaps[COLOURS].resampled(SHADES)
    for axes, (name, grid) in zip(panels, grids.items(), strict=True):
        axes.set_title(name if len(grids) > 1 else "")
        digits = _digits(known) if cell >= LEAST_CELL else None
        _map(axes, grid, tiles, lambda value: colours(norm(value)), digits, theme)
    bar = figure.colorbar(ScalarMappable(norm, colours), ax=list(panels), aspect=18, pad=0.02)
    bar.set_label("mean POWER")
    bar.locator = MaxNLocator(5)
    bar.update_ticks()
    figure.suptitle(heading, fontsize=14.5)
    figure.supxlabel("\n".join(text), fontsize=10.5, x=0.01, ha="left")
    return figure


def _cropped(
    tiles: Sequence[Sequence[str]], grids: Mapping[str, Floats]
) -> tuple[list[list[str]], dict[str, Floats]]:
    """Without rows and columns at the edges that are wall throughout."""
    names = np.array(tiles, dtype=object)
    rows, columns = (np.flatnonzero((names != WALL).any(axis=axis)) for axis in (1, 0))
    inside = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return names[inside].tolist(), {name: grid[inside] for name, grid in grids.items()}


def _digits(values: Floats) -> int:
    """Decimals that tell the values of a picture apart, 2 to 4."""
    spread = float(values.max() - values.min())
    return int(np.clip(np.ceil(-np.log10(max(spread, 1e-9) / 20)), 2, 4))


def _map(
    axes: Axes,
    grid: Floats,
    tiles: Sequence[Sequence[str]],
    colour: Callable[[float], Any],
    digits: int | None,
    theme: Theme,
) -> None:
    axes.set_aspect("equal")
    for (row, column), value in np.ndenumerate(grid):
        word = tiles[row][column]
        known = np.isfinite(value)
        if word == WALL:
            axes.fill(*_square(row, column), color=theme.faint, alpha=0.35, linewidth=0)
            continue
        fill = colour(value) if known else "none"
        edge = theme.ground if known else theme.faint
        axes.fill(*_square(row, column), facecolor=fill, edgecolor=edge, linewidth=1.2)
        light = known and sum(fill[:3]) > 1.5
        ink = ("black" if light else "white") if known else theme.ink
        if digits is not None:
            middle = row + (0.14 if word else 0.0)
            number = f"{value:.{digits}f}" if known else ""
            axes.text(column, middle, number, color=ink, ha="center", va="center", fontsize=12)
            axes.text(column, row - 0.26, word, color=ink, ha="center", va="center", fontsize=10)
        elif word:
            axes.text(column, row, word[0], color=ink, ha="center", va="center", fontsize=11)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.set_xlim(-0.5, len(tiles[0]) - 0.5)
    axes.set_ylim(len(tiles) - 0.5, -0.5)


def _square(row: int, column: int) -> tuple[list[float], list[float]]:
    left, right, top, bottom = column - 0.5, column + 0.5, row - 0.5, row + 0.5
    return [left, right, right, left], [top, top, bottom, bottom]


def _spread(analysis: WorldAnalysis, title: str, theme: Theme) -> Figure:
    figure = Figure(figsize=(WIDTH, 4.6), layout="constrained")
    axes = figure.add_subplot()
    values, over = analysis.power.values, analysis.mdp.terminal
    bins = np.linspace(values.min(), max(values.max(), values.min() + 1e-6), 31)
    parts = {"states that are no end": (values[~over], BLUE), "ends": (values[over], ORANGE)}
    shown = {name: part for name, part in parts.items() if len(part[0])}
    axes.hist(
        [part[0] for part in shown.values()],
        bins=list(bins),
        stacked=True,
        color=[part[1] for part in shown.values()],
        label=list(shown),
        edgecolor=theme.ground,
    )
    axes.set_xlabel("POWER")
    axes.set_ylabel("states")
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.legend()
    figure.suptitle(textwrap.fill(title, int(WIDTH * 7.8)), fontsize=14.5)
    note = textwrap.fill(_about(analysis), int(WIDTH * 11.5))
    figure.supxlabel(note, fontsize=10.5, x=0.01, ha="left")
    return figure


class Point(NamedTuple):
    """One or several policies with the same outcome, on the frontier's picture."""

    names: tuple[str, ...]
    success: float
    low: float
    high: float
    value: float
    beyond: float
    optimal: bool

    @property
    def label(self) -> str:
        """The names, one = the next, and what is acquired beyond need."""
        beyond = f"{round(self.beyond, 2) + 0.0:+.2f}".replace("-", "\u2212")
        names = [name.replace(" ", "\u00a0") for name in self.names]
        return textwrap.fill(f"{' = '.join(names)} ({beyond})", 27)


def outcome_points(analysis: WorldAnalysis) -> list[Point]:
    """Every arm's optimum and every reference policy; those with one outcome are one point."""
    found: dict[tuple[float, ...], Point] = {}
    rows = [
        (name, arm.uniform, arm.low.acquisition, arm.high.acquisition, True)
        for name, arm in analysis.arms.items()
    ]
    rows += [
        (name, policy, policy.acquisition, policy.acquisition, False)
        for name, policy in analysis.policies.items()
    ]
    for name, outcome, low, high, optimal in rows:
        key = (*np.round((outcome.success, outcome.acquisition, low, high), 6), optimal)
        names = (*found[key].names, name) if key in found else (name,)
        beyond = analysis.beyond_need(outcome)
        found[key] = Point(names, outcome.success, low, high, outcome.acquisition, beyond, optimal)
    return sorted(found.values(), key=lambda point: (point.value, -point.success))


def frontier(analysis: WorldAnalysis) -> Picture | None:
    """Need and most by success, with every optimum; None where nothing can be acquired."""
    if analysis.need is None or analysis.most is None:
        return None
    title = f"{analysis.title}: what the optimum of each reward acquires"
    return Picture("frontier", title, "", lambda theme: _frontier(analysis, title, theme))


def _frontier(analysis: WorldAnalysis, title: str, theme: Theme) -> Figure:
    assert analysis.need is not None
    assert analysis.most is not None
    marked = outcome_points(analysis)
    figure = Figure(figsize=(WIDE, 6.8), layout="constrained")
    axes = figure.add_subplot()
    grid = np.unique(np.append(np.linspace(0, analysis.need.max_success, 400), _corners(analysis)))
    least, greatest = analysis.need.at(grid)[1], analysis.most.at(grid)[0]
    axes.fill_between(grid, least, greatest, color=theme.need, alpha=0.3, linewidth=0)
    axes.plot(grid, greatest, "--", color=theme.ink, linewidth=2, label=MOST)
    axes.plot(grid, least, "-", color=theme.ink, linewidth=2.5, clip_on=False, label=LEAST)
    axes.set_xlim(0, 1.0)
    axes.set_ylim(0, 1.05 * max(greatest.max(), 1e-9))
    for point in marked:
        _mark(axes, point)
    axes.xaxis.set_major_formatter("{x:.0%}")
    axes.set_xlabel("share of episodes that succeed")
    axes.set_ylabel("acquired per episode (units)")
    name_beside(axes, [(p.label, p.success, p.value) for p in marked], theme, 1.07)
    handles, labels = axes.get_legend_handles_labels()
    known = dict(zip(labels, handles, strict=True))
    unique = {name: known[name] for name in (LEAST, MOST, OPTIMUM, TIES, COMPARED) if name in known}
    above: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.3}
    axes.legend(list(unique.values()), list(unique), ncols=3, columnspacing=1.2, **above)
    figure.suptitle(textwrap.fill(title, int(WIDE * 7.8)), fontsize=14.5)
    note = (
        "In brackets: units acquired beyond what that success needs. Exact values: episodes of "
        f"at most {analysis.mdp.max_steps} steps, rewards not discounted (gamma {ARM_GAMMA:g}); "
        "where several optima tie, the mark is one that picks evenly among best actions."
    )
    note = textwrap.fill(note, int(WIDE * 11.5))
    figure.supxlabel(note, fontsize=10.5, x=0.01, ha="left")
    return figure


def _mark(axes: Axes, point: Point) -> None:
    """A diamond for an optimum, with a bar over its ties; a ring for a policy."""
    common: dict[str, Any] = {"clip_on": False, "color": BLUE if point.optimal else ORANGE}
    if not point.optimal:
        ring: dict[str, Any] = {"markerfacecolor": "none", "markeredgewidth": 2.5, "markersize": 13}
        axes.plot(point.success, point.value, "o", **common, **ring, zorder=6, label=COMPARED)
        return
    if point.high - point.low > SEEN * axes.get_ylim()[1]:
        bar: dict[str, Any] = {"linewidth": 4, "alpha": 0.6, "zorder": 4, "label": TIES}
        axes.plot([point.success] * 2, [point.low, point.high], **common, **bar)
    diamond: dict[str, Any] = {"markersize": 8, "markeredgecolor": "white", "label": OPTIMUM}
    axes.plot(point.success, point.value, "D", **common, **diamond, zorder=5)


def _corners(analysis: WorldAnalysis) -> Floats:
    assert analysis.need is not None
    assert analysis.most is not None
    corners = [s for line in (analysis.need, analysis.most) for s, _ in line.vertices]
    top = analysis.need.max_success
    return np.array([s for s in corners if s <= top])
