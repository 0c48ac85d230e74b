"""Upper tails: the worst of a treatment's seeds, which a mean hides."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np
import pandas as pd

from powerseek.experiments.analysis.cells import Cell
from powerseek.experiments.statistics.tests import cvar, iqm, upper_quantile
from powerseek.types import Floats

TAILED = {"excess": "excess", "disabled": "evaded"}
"""Measures of which the tail is shown, by column head."""
LEAST_SEEDS = 10
"""Seeds below which the tail above .9 is no more than the largest value."""


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
