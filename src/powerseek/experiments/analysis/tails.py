"""Upper tails: the worst of a treatment's seeds, which a mean hides."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np
import pandas as pd

from powerseek.experiments.report.figures.style import Cell
from powerseek.experiments.report.text import (
    DAGGER,
    MISSING,
    MOST_ROWS,
    SHORT,
    Grid,
    dial,
    number,
    setting,
    varying,
)
from powerseek.experiments.statistics.tests import cvar, iqm, upper_quantile
from powerseek.types import Floats

TAILED = {"excess": "excess", "disabled": "off"}
"""Measures of which the tail is shown, by column head."""
LEAST_SEEDS = 10
"""Seeds below which the tail above .9 is no more than the largest value."""
HEADS = ("90 %", "worst tenth", "max")


def tails(cells: Sequence[Cell]) -> pd.DataFrame:
    """The tail of every cell, over the seeds that its power measures rest on.

    Args:
        cells: Cells of one world.

    Returns:
        A row a cell: ``seeds`` finished, ``scored`` and ``behind`` (seeds in the worst tenth, a
        fraction counted as one); ``iqm`` of competence over all finished seeds; for `TAILED`
        their mean, ``_90`` (90 % quantile), ``_cvar`` (mean of the worst tenth) and ``_max``.
        Quantile and tail are nan below `LEAST_SEEDS` seeds with a value.

    CAVEAT: The tail of n seeds rests on n/10 of them; other seeds may well be worse.
    """
    rows = []
    for cell in cells:
        row: dict[str, float] = {
            "seeds": len(cell.places),
            "scored": (scored := len(cell.values("competence", scored=True))),
            "behind": ceil(scored / 10),
            "iqm": iqm(_known(cell.values("competence"))),
        }
        for name in TAILED:
            row |= _tail(name, _known(cell.values(name, scored=True)))
        rows.append(row)
    return pd.DataFrame(rows)


def _known(values: Floats) -> Floats:
    return np.asarray(values[~np.isnan(values)])


def _tail(name: str, values: Floats) -> dict[str, float]:
    many = values.size >= LEAST_SEEDS
    return {
        name: float(values.mean()) if values.size else np.nan,
        f"{name}_90": float(upper_quantile(values)) if many else np.nan,
        f"{name}_cvar": float(cvar(values)) if many else np.nan,
        f"{name}_max": float(values.max()) if values.size else np.nan,
    }


def tail_grid(world: str, cells: Sequence[Cell], keys: Sequence[str]) -> Grid | None:
    """The tails of one world as a table; None where no cell has a value.

    Args:
        world: The world.
        cells: Its cells.
        keys: Columns that make a cell.
    """
    total, every = len(cells), cells
    cells = cells[:MOST_ROWS]
    table = tails(cells)
    shown = {name: head for name, head in TAILED.items() if table[f"{name}_max"].notna().any()}
    if not shown:
        return None
    dials = pd.DataFrame([{key: cell.row[key] for key in keys} for cell in every])
    varied = varying(dials, [key for key in keys if key != "world"])
    same = setting(cells[0].row, [k for k in keys if k not in ("world", *varied)])
    many = bool((table["scored"] >= LEAST_SEEDS).any())
    ends = ("_90", "_cvar", "_max") if many else ("_max",)
    heads = [
        f"{head}: {what}"
        for head in shown.values()
        for what in ("mean", *(HEADS if many else HEADS[-1:]))
    ]
    rows = []
    for cell, tail in zip(cells, table.to_dict("records"), strict=True):
        sure = "" if cell.row["confirmatory"] else f" {DAGGER}"
        rows.append(
            (
                *(dial(cell.row[name]) for name in varied),
                number(tail["iqm"]),
                *(number(tail[f"{name}{end}"]) for name in shown for end in ("", *ends)),
                str(tail["scored"]) + sure,
                str(tail["behind"]) if tail["scored"] >= LEAST_SEEDS else MISSING,
            )
        )
    return Grid(
        title=f"{world} ({same})" if same else world,
        headers=(*(SHORT.get(n, n) for n in varied), "comp IQM", *heads, "seeds", "in tail"),
        dials=len(varied),
        rows=tuple(rows),
        muted=tuple(not cell.row["confirmatory"] for cell in cells),
        total=total,
    )
