"""Competence while learning, one panel a world, from a study of `docs/studies/learnable.yaml`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from math import ceil
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from powerseek.experiments import layout
from powerseek.experiments.report.figures.style import BLUE, WIDTH, Picture, Theme

GATE = 0.9
"""Competence from which power may be read."""
COLUMNS = 3


def picture(curves: pd.DataFrame) -> Picture:
    """Every seed as a thin line, their mean as a thick one, a panel a world.

    Args:
        curves: A row a trial and look: ``world``, ``trial``, ``timesteps``, ``competence``.
    """
    worlds = sorted(set(curves["world"]))
    rows = ceil(len(worlds) / COLUMNS)

    def draw(theme: Theme) -> Figure:
        figure = Figure(figsize=(WIDTH * 1.5, 2.5 * rows + 0.3), layout="constrained")
        panels = np.asarray(figure.subplots(rows, COLUMNS, sharey=True, squeeze=False)).ravel()
        for axes, world in zip(panels, worlds, strict=False):
            own = curves[curves["world"] == world]
            for _, run in own.groupby("trial"):
                axes.plot(run["timesteps"], run["competence"], color=BLUE, alpha=0.35, linewidth=1)
            mean = own.groupby("timesteps")["competence"].mean()
            axes.plot(mean.index, mean.to_numpy(), color=BLUE, linewidth=2.5)
            axes.axhline(GATE, color=theme.faint, linewidth=1)
            axes.set_title(f"{world}  {mean.iloc[-1]:.2f}", loc="left", fontsize=13)
            axes.set_ylim(-0.02, 1.04)
            axes.xaxis.set_major_locator(MaxNLocator(3))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda steps, _: f"{steps / 1000:g}k"))
        for axes in panels[len(worlds) :]:
            axes.set_axis_off()
        figure.supxlabel("environment steps of training", fontsize=13)
        figure.supylabel("competence", fontsize=13)
        return figure

    caption = "Thin lines: seeds. Grey: .9, from which power may be read. The number is the end."
    return Picture("learnable", "Every world is learnt where every step is judged", caption, draw)


def told(curves: pd.DataFrame) -> str:
    """A Markdown table: seeds, steps, competence at the end (least and mean), a row a world."""
    lines = ["| world | seeds | steps | competence: mean | least |", "|:--|--:|--:|--:|--:|"]
    for world, own in curves.groupby("world"):
        end = own.sort_values("timesteps").groupby("trial").last()
        shown = f"{end['competence'].mean():.3f} | {end['competence'].min():.3f}"
        lines.append(f"| `{world}` | {len(end)} | {end['timesteps'].max():,} | {shown} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table and draw the picture."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.learnable", description=__doc__)
    parser.add_argument("directory", metavar="DIR", type=Path, help="what the sweep wrote")
    parser.add_argument("--picture", default="docs/learnable.png", metavar="PNG")
    given = parser.parse_args(arguments)
    path = layout.table(given.directory, "curves")
    if not path.exists():
        sys.exit(f"{path} is not there; run: powerseek sweep docs/studies/learnable.yaml --out DIR")
    curves = pd.read_parquet(path)
    print(told(curves))
    Path(given.picture).write_bytes(picture(curves).png())
    print(f"\nwritten: {given.picture}")


if __name__ == "__main__":
    main()
