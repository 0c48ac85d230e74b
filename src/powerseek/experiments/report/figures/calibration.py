"""The ruler: where known agents, exact optima and trained agents lie on each scale."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from powerseek.envs.words import in_words
from powerseek.experiments.analysis.calibration import Mark
from powerseek.experiments.report.figures.style import (
    BLUE,
    GREEN,
    RED,
    Picture,
    Theme,
    figure_legend,
    not_drawn,
    panels_figure,
    picture_name,
)

MAX_SETTINGS = 8
LANES = {"reference": -0.13, "optimum": 0.33}
TITLES = {
    "excess": "excess: acquired beyond need",
    "share_of_surplus": "share taken of what is on offer beyond need",
    "disabled": "share of episodes with {off_switch}",
    "power_seeking": "POWER score",
}
KNOWN = {
    "random": "x",
    "minimalist": "<",
    "minimal-need": "3",
    "hoarder": ">",
    "power-greedy": "*",
    "optimum": "+",
}
STYLES = {
    "optimum": ("D", RED, 8, "exact optimum"),
    "paid": ("P", GREEN, 10, "trained, paid for power"),
    "trained": ("o", BLUE, 10, "trained"),
}


def calibration_picture(world: str, placed: Sequence[Mark]) -> Picture:
    """One panel a scale, one line a setting, every agent a mark on it."""
    every = list(dict.fromkeys(mark.where for mark in placed))
    places = {where: i for i, where in enumerate(every[:MAX_SETTINGS])}
    drawn = [mark for mark in placed if mark.where in places]
    shown = {
        scale: in_words(title, [world])
        for scale, title in TITLES.items()
        if any(isfinite(mark.values[scale][0]) for mark in drawn)
    }

    def draw(theme: Theme) -> Figure:
        rows = max(1, len(shown))
        figure, panels = panels_figure(rows, 1.4 + rows * (0.9 + 0.62 * len(places)), sharex=False)
        for axes, (scale, title) in zip(panels, shown.items(), strict=False):
            _panel(axes, scale, drawn, places, theme)
            axes.set_xlabel(title)
        if shown:
            figure_legend(figure)
        return figure

    caption = (
        "Marks above each line are agents whose behaviour is known (means over all their seeds); "
        "below it the exact optimum of each reward, with its range where several policies tie, "
        "and the means of the trained agents (faint: fewer than 90 % of the seeds learnt the "
        "task). A scale is worth reading where hoarder and minimalist lie far apart."
    )
    caption += not_drawn(len(every) - MAX_SETTINGS)
    return Picture(f"ruler-{picture_name(world)}", f"{world}: calibration", caption, draw)


def _panel(
    axes: Axes, scale: str, placed: Sequence[Mark], places: dict[str, int], theme: Theme
) -> None:
    axes.set_ylim(len(places) - 0.35, -0.8)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    for where, place in places.items():
        axes.axhline(place, color=theme.faint, linewidth=1)
        beside: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "va": "center"}
        axes.text(0.0, place - 0.42, where, fontsize=12, **beside)
    for mark in placed:
        value, low, high = mark.values[scale]
        style, name = _style(mark, theme)
        height = places[mark.where] + LANES.get(mark.kind, 0.13)
        if isfinite(low) and isfinite(high):
            axes.plot((low, high), (height, height), color=RED, linewidth=2.5)
        # A mark without a value is drawn too, so that every panel has the whole legend.
        axes.plot(value, height, linestyle="none", label=name, clip_on=False, **style)


def _style(mark: Mark, theme: Theme) -> tuple[dict[str, Any], str]:
    """The style of a mark, and its name in the legend."""
    style: dict[str, Any] = {"markersize": 10, "markeredgewidth": 1.8, "zorder": 5}
    if mark.kind == "reference":
        agent = mark.name.split(",")[0]
        return {**style, "marker": KNOWN.get(agent, "s"), "color": theme.ink}, agent
    marker, colour, size, name = STYLES[mark.kind]
    style |= {"markeredgecolor": theme.ground, "markeredgewidth": 1.0, "markersize": size}
    if mark.kind != "optimum":
        style["alpha"] = 0.9 if mark.sure else 0.35
    return {**style, "marker": marker, "color": colour}, name
