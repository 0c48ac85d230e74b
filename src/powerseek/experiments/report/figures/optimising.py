"""Over-optimisation: what a learnt reward pays, and what its labels were about, ever further on."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from powerseek.experiments.analysis.cells import Cell
from powerseek.experiments.analysis.priors import Course, courses
from powerseek.experiments.analysis.seeds import Band
from powerseek.experiments.analysis.view import View
from powerseek.experiments.report.figures.style import (
    Picture,
    Theme,
    figure_legend,
    line_style,
    not_drawn,
    panels_figure,
    picture_name,
    steps_axis,
)
from powerseek.types import Floats

MAX_PANELS = 3
LETTERS = 52
"""Of a title in a line."""
APART = 0.1
"""Share of the axis that the first tick is at least away from 0."""


def optimising_picture(
    world: str, view: View, cells: Sequence[Cell], curves: pd.DataFrame | None
) -> Picture | None:
    """What rewards learnt from labels pay, and success by their aim; None where none is learnt."""
    known = courses(view, cells, curves)
    if not known:
        return None
    drawn = known[:MAX_PANELS]
    every = [course for _, own in drawn for course in own]
    places = [view.places[course.cell.row["reward"]] for course in every]
    priced = any(place.price for place in places)
    others = sorted({place.aim for place in places} - {"", "success", "need"})
    aim = "success" if others else f"{'return by' if priced else 'success:'}\nthe labels' aim"

    def draw(theme: Theme) -> Figure:
        figure, panels = panels_figure(2 * len(drawn), 1.0 + 5.4 * len(drawn), sharex=False)
        for i, (setting, own) in enumerate(drawn):
            paid, wanted = panels[2 * i : 2 * i + 2]
            for k, course in enumerate(own):
                name = _name(course, own)
                _line(paid, course.away, course.paid, k, name, theme)
                _line(wanted, course.away, course.aim, k, name, theme)
            paid.set_title("\n".join(textwrap.wrap(setting, LETTERS)), loc="left")
            paid.set_ylabel("paid by the\nlearnt reward")
            wanted.set_ylabel(aim)
            wanted.sharex(paid)
            paid.tick_params(labelbottom=False)
            if own[0].from_prior:
                _nats_axis(wanted)
            else:
                steps_axis(wanted)
        figure_legend(figure)
        return figure

    away = "how far agents have gone from what their last phase began with (0: not at all)"
    if not all(course.from_prior for course in every):
        steps = "environment steps, as these agents have no prior to go from"
        away = f"{away}, or {steps}" if any(course.from_prior for course in every) else steps
    caption = (
        "One line is one number of labels that a reward model was learnt from: the mean over seeds "
        "at each evaluation, from the ring, where training begins, to the dot, where it ends; the "
        "band holds the middle 90 % of the seeds. Above, what the model pays an episode, which is "
        f"what agents are trained for; below, what its labels were about. To the right: {away}. "
        "Where the upper line rises and the lower one falls, agents make the most of the model's "
        "mistakes: over-optimisation."
    )
    if priced:
        caption += " Return by the aim: success less the price of each unit acquired."
    if others:
        caption += f" The aim {' and '.join(others)} has no curve: success is shown in its place."
    caption += not_drawn(len(known) - MAX_PANELS)
    title = f"{world}: what a learnt reward pays, and what it was to teach"
    return Picture(f"optimising-{picture_name(world)}", title, caption, draw)


def _name(course: Course, others: Sequence[Course]) -> str:
    """``200 labels``; the reward in full where several have as many."""
    if sum(other.labels == course.labels for other in others) > 1:
        return str(course.cell.row["reward"])
    return f"{course.labels:,} labels"


def _nats_axis(axes: Axes) -> None:
    """Divergence along a panel, by its root: the first nats are where most happens."""
    axes.set_xscale("function", functions=(lambda x: np.sqrt(np.maximum(x, 0.0)), np.square))
    axes.set_xlim(left=0.0)
    axes.xaxis.set_major_locator(_roots(axes.get_xlim()[1]))
    axes.set_xlabel("divergence from the prior, nats an episode")


def _roots(most: float) -> FixedLocator:
    """Ticks at 0 and at 1, 2, 5, 10, ... as far as their roots leave room for them."""
    scale = 10 ** np.arange(-2, 1 + np.ceil(np.log10(max(most, 0.01))))
    ticks = [0.0]
    for tick in np.sort(np.outer([1, 2, 5], scale).ravel())[::-1]:
        above = min((t for t in ticks if t > 0), default=np.inf)
        room = np.sqrt(tick) > APART * np.sqrt(most) and np.sqrt(above / tick) > 1.3
        if tick <= most and room:
            ticks.append(float(tick))
    return FixedLocator(ticks)


def _line(axes: Axes, away: Floats, band: Band, i: int, name: str, theme: Theme) -> None:
    """A mean with its band, a ring where it begins and a dot where it ends."""
    style = line_style(i)
    axes.fill_between(away, band.low, band.high, color=style["color"], alpha=0.15, linewidth=0)
    axes.plot(away, band.mean, **style, linewidth=2.5, label=name)
    ends: dict[str, Any] = {"color": style["color"], "markersize": 9, "zorder": 5, "clip_on": False}
    ring: dict[str, Any] = {"markerfacecolor": theme.ground, "markeredgewidth": 2}
    axes.plot(away[:1], band.mean[:1], "o", **ends, **ring)
    axes.plot(away[-1:], band.mean[-1:], "o", **ends)
