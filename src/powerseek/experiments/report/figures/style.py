"""Parts that all pictures share: themes, a PNG, and figures with one row a cell.

Colours are those of Okabe and Ito; no difference is told by colour alone.
"""

from __future__ import annotations

import io
import re
import textwrap
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from PIL import Image
from scipy.optimize import isotonic_regression

from powerseek.experiments.analysis.cells import Cell
from powerseek.experiments.analysis.seeds import box_quantiles
from powerseek.experiments.study.factors import factors_in_words, varying_factors
from powerseek.types import Floats

BLUE, ORANGE, GREEN, PINK, SKY, RED = (
    *("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00"),
)
WHEEL = (BLUE, ORANGE, GREEN, PINK, SKY, RED)
# One more mark and line than colours: their pairs repeat only after 42.
MARKS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)), (0, (9, 3)))
WIDTH = 6.4
DPI = 140
COLOURS = 96  # a picture of few colours, so that the page stays small
TALLEST = 40.0
MAX_DOTS = 200
MAX_POINTS = 20_000
MAX_GROUPS = 24
LINE = 62  # letters of a legend that fit beside each other
LABEL = 64  # letters of a row's label that fit above it; a longer one is drawn smaller
SMALLEST = 8.5


@dataclass(frozen=True)
class Theme:
    """Ground and ink of a picture."""

    ground: str
    ink: str
    faint: str
    need: str


LIGHT = Theme(ground="#ffffff", ink="#1b1f24", faint="#6e7781", need="#c3c9d0")
DARK = Theme(ground="#161b22", ink="#e6edf3", faint="#9aa4ae", need="#59626d")


@dataclass(frozen=True)
class Picture:
    """One picture, not yet drawn.

    Attributes:
        name: File name without its ending.
        title: Heading.
        caption: What to see in it, in plain words.
        draw: Draws it in a theme.
    """

    name: str
    title: str
    caption: str
    draw: Callable[[Theme], Figure]
    _kept: dict[tuple[Theme, str], bytes] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )

    def png(self, theme: Theme = LIGHT) -> bytes:
        """The picture as a PNG file; drawn once."""
        return self._files(theme, "png")[0]

    def svg(self) -> bytes:
        """The picture as an SVG file, the same for the same data; drawn once."""
        return self._files(LIGHT, "svg")[0]

    def files(self) -> tuple[bytes, bytes]:
        """`png` and `svg`, of one drawing."""
        png, svg = self._files(LIGHT, "png", "svg")
        return png, svg

    def drawn(self) -> dict[tuple[Theme, str], bytes]:
        """All files of it, by theme and format."""
        self.files()
        self.png(DARK)
        return self._kept

    def keep(self, drawn: Mapping[tuple[Theme, str], bytes]) -> None:
        """Take files that were drawn elsewhere."""
        self._kept.update(drawn)

    def _files(self, theme: Theme, *formats: str) -> list[bytes]:
        if missing := [format for format in formats if (theme, format) not in self._kept]:
            for format, data in zip(missing, self._saved(theme, *missing), strict=True):
                self._kept[theme, format] = data
        return [self._kept[theme, format] for format in formats]

    def _saved(self, theme: Theme, *formats: str) -> list[bytes]:
        style: dict[Any, Any] = {  # matplotlib types the keys as one long Literal
            **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor"), theme.ink),
            **dict.fromkeys(("xtick.color", "ytick.color"), theme.ink),
            **dict.fromkeys(("figure.facecolor", "axes.facecolor"), theme.ground),
            **dict.fromkeys(("legend.facecolor", "savefig.facecolor"), theme.ground),
            "font.size": 14,
            "font.family": "DejaVu Sans",
            "axes.titlesize": 15,
            "legend.fontsize": 12.5,
            "legend.frameon": False,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "text.parse_math": False,
            "svg.hashsalt": self.name,
        }
        with mpl.rc_context(style), warnings.catch_warnings():
            # A letter that the font lacks is drawn as a box; the page has the name in full.
            warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
            figure = self.draw(theme)
            figure.set_dpi(DPI)
            if (engine := figure.get_layout_engine()) is not None:
                # Once, not at each format: measuring every text takes as long as drawing it.
                engine.execute(figure)
                figure.set_layout_engine("none")
            return [_png(figure) if format == "png" else _svg(figure) for format in formats]


def undrawn(picture: Picture) -> Picture:
    """A picture of the same name, title and caption with nothing in it, which costs no time."""
    return replace(picture, draw=lambda theme: Figure(figsize=(1, 1)))


def _png(figure: Figure) -> bytes:
    """A picture of few colours."""
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    small = io.BytesIO()
    few = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB").quantize(COLOURS)
    few.save(small, format="png", optimize=True)
    return small.getvalue()


def _svg(figure: Figure) -> bytes:
    target = io.BytesIO()
    figure.savefig(target, format="svg", dpi=DPI, metadata={"Date": None})
    return target.getvalue()


def picture_name(world: str) -> str:
    """A file name from a world id, which may hold slashes or any letters."""
    return re.sub(r"[^\w.-]+", "-", world).strip("-.") or "world"


def panels_figure(rows: int, height: float, sharex: bool = True) -> tuple[Figure, list[Axes]]:
    """A figure of panels one below the other; height in inches."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, list(figure.subplots(rows, 1, sharex=sharex, squeeze=False)[:, 0])


def rows_figure(cells: Sequence[Cell], theme: Theme, label: str) -> tuple[Figure, Axes, Any]:
    """A figure with one horizontal row a cell, first cell on top, its label above the row."""
    figure, (axes,) = panels_figure(1, min(TALLEST, 2.1 + 0.62 * len(cells)))
    places = np.arange(len(cells), dtype=float)
    axes.set_ylim(len(cells) - 0.4, -0.75)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("\n".join(textwrap.wrap(label, LINE)))
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.grid(axis="x", color=theme.faint, alpha=0.25, linewidth=0.8)
    axes.set_axisbelow(True)
    greys = [not cell.row["confirmatory"] for cell in cells]
    labels = [cell.label + " \u2020" * grey for cell, grey in zip(cells, greys, strict=True)]
    fits = LABEL / max(LABEL, *map(len, labels))
    for place, label, grey in zip(places, labels, greys, strict=True):
        axes.text(
            *(0.0, place - 0.34, label),
            transform=axes.get_yaxis_transform(),
            color=theme.faint if grey else theme.ink,
            fontsize=max(SMALLEST, 13 * fits),
            va="center",
        )
    return figure, axes, places


def figure_legend(figure: Figure) -> None:
    """One entry a label of any panel, above them, in as many columns as there is room for."""
    unique: dict[str, Any] = {}
    for panel in figure.axes:
        handles, labels = panel.get_legend_handles_labels()
        unique |= {k: v for k, v in zip(labels, handles, strict=True) if k not in unique}
    if not unique:
        return
    columns = min(3, max(1, LINE // (max(len(label) for label in unique) + 7)))
    # Up to three lines fit above the axes as drawn; more must not squeeze them.
    more = max(0, -(-len(unique) // columns) - 3)
    figure.set_figheight(figure.get_figheight() + 0.26 * more)
    drawn = figure.legend(
        *(list(unique.values()), list(unique)),
        loc="outside upper left",
        ncols=columns,
        handlelength=2.8,  # a dash and a dot of the longest line
        columnspacing=1.2,
    )
    for handle in drawn.legend_handles:  # the row that it stands for may be faded
        if handle is not None:
            handle.set_alpha(1.0)


def by_reward(cells: Sequence[Cell]) -> dict[str, list[Cell]]:
    """Cells with the same reward, pay for power, discount, agent and phases, by these in words."""
    rows = pd.DataFrame([cell.row for cell in cells])
    names = ["reward", *varying_factors(rows, ["gamma", "agent", "phases"])]
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        paid = ["power_weight"] if cell.row["power_weight"] else []
        groups.setdefault(factors_in_words(cell.row, [*names, *paid]), []).append(cell)
    return groups


def few_groups(cells: Sequence[Cell]) -> dict[str, list[Cell]]:
    """`by_reward`, no more groups than a legend can name; `groups_left_out` says the rest."""
    return dict(list(by_reward(cells).items())[:MAX_GROUPS])


def groups_left_out(cells: Sequence[Cell]) -> str:
    """The end of a caption where not every group is drawn."""
    return not_drawn(len(by_reward(cells)) - MAX_GROUPS, "rewards")


def not_drawn(more: int, what: str = "settings") -> str:
    """The end of a caption where so many more there are; empty where none are."""
    return f" {more} more {what} are not drawn." if more > 0 else ""


def steps_axis(axes: Axes, log: bool = False) -> None:
    """Environment steps of training along a panel, in thousands: ``50k``."""
    axes.xaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5)) if log else MaxNLocator(5))
    if log:
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(lambda steps, _: f"{steps / 1000:g}k")
    axes.set_xlabel("environment steps of training")


def line_style(i: int) -> dict[str, Any]:
    """Colour and line of the i-th group."""
    return {"color": WHEEL[i % len(WHEEL)], "linestyle": LINES[i % len(LINES)]}


def agent_points(axes: Axes, i: int, x: Any, y: Any, name: str, theme: Theme, **style: Any) -> None:
    """The agents of the i-th group, in its colour and mark: many are small and faint."""
    style |= {"color": WHEEL[i % len(WHEEL)], "markeredgecolor": theme.ground, "label": name}
    axes.plot(x, y, MARKS[i % len(MARKS)], **crowded(len(x)), **style)


def diamond(axes: Axes, x: float, y: float, colour: str, theme: Theme, **style: Any) -> None:
    """One number of a row that stands for itself: an optimum, a mean."""
    style = {"markersize": 10, "markeredgecolor": theme.ground, "zorder": 6, **style}
    axes.plot(x, y, "D", color=colour, **style)


def name_beside(
    axes: Axes, points: Sequence[tuple[str, float, float]], theme: Theme, at: float
) -> None:
    """Names in a column right of the axes, as near to their points as they fit, a line to each.

    Args:
        axes: Its limits are set; it begins at 0.
        points: (name, x, y) of each, by rising y.
        theme: Colours.
        at: Where the column begins, as a fraction of the axes' width.
    """
    if not points:
        return
    tall = np.array([1.6 + name.count("\n") for name, *_ in points])
    line = min(1 / 18, 1 / tall.sum())
    offsets = np.cumsum(tall * line) - tall * line / 2
    wanted = np.array([y for *_, y in points]) / axes.get_ylim()[1]
    # Least squares with room for each name: what is left of it after the room must not fall.
    slack = isotonic_regression(wanted - offsets).x
    heights = np.clip(slack, 0, max(1 - tall.sum() * line, 0)) + offsets
    link = {"arrowstyle": "-", "color": theme.faint, "linewidth": 0.9}
    for (name, *place), height in zip(points, heights, strict=True):
        axes.annotate(
            name,
            xy=(place[0], place[1]),
            xytext=(at, height),
            textcoords="axes fraction",
            fontsize=11.5,
            va="center",
            color=theme.ink,
            arrowprops={**link, "relpos": (0, 0.5), "shrinkB": 6},
            annotation_clip=False,
        )


def crowded(points: int) -> dict[str, Any]:
    """The style of so many points: many are small, faint, and one image in an SVG."""
    if points <= MAX_DOTS:
        return {"markersize": 9, "alpha": 0.85}
    return {"markersize": 4, "alpha": 0.4, "rasterized": True, "markeredgewidth": 0}


def seed_dots(axes: Axes, place: float, values: Floats, theme: Theme) -> None:
    """One dot a seed, apart a little in height so that equal seeds stay visible.

    More than `MAX_DOTS` become a box: the middle half, the median, whiskers at 5 and 95 %.
    """
    known = values[~np.isnan(values)]
    if len(known) > MAX_DOTS:
        ends = box_quantiles(known)
        style: dict[str, Any] = {"color": theme.ink, "zorder": 5, "solid_capstyle": "butt"}
        axes.plot(ends[[0, 4]], [place, place], linewidth=1.5, **style)
        axes.plot(ends[[1, 3]], [place, place], linewidth=7, label="seeds: middle half", **style)
        axes.plot(ends[2], place, "|", color=theme.ground, markersize=9, zorder=6)
        return
    apart = 0.09 * (len(known) > 1)
    heights = place + np.linspace(-apart, apart, len(known))
    style = {"color": theme.ink, "markersize": 4.5, "alpha": 0.75, "zorder": 5}
    axes.plot(known, heights, "o", label="one seed", **style)
