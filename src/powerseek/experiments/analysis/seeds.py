"""Many seeds in a few numbers: means, where most of them lie, and the worst, which means hide."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from powerseek.experiments.analysis.cells import Cell, cell_records
from powerseek.experiments.statistics.tests import cvar, iqm, upper_quantile
from powerseek.experiments.study.factors import factors_in_words
from powerseek.types import Floats

BOX = (0.05, 0.25, 0.5, 0.75, 0.95)


class Band(NamedTuple):
    """A measure while training, over seeds.

    Attributes:
        steps: [n] environment steps, rising.
        mean: [n] its mean there.
        low: [n] its 5 % quantile.
        high: [n] its 95 % quantile.
    """

    steps: Floats
    mean: Floats
    low: Floats
    high: Floats


class Known(NamedTuple):
    """An agent that does not learn, as the mean over its seeds.

    Attributes:
        name: The agent; with its reward, pay for power and discount where these vary.
        success: Mean success.
        acquired: Mean acquisition, in units.
    """

    name: str
    success: float
    acquired: float


def box_quantiles(values: Floats) -> Floats:
    """[5] the quantiles `BOX` of values of which none is nan."""
    return np.asarray(np.quantile(values, BOX), dtype=np.float64)


def curve_band(curves: pd.DataFrame, measure: str) -> Band:
    """A measure at each step, over the trials of some curves."""
    at_steps = curves.groupby("timesteps")[measure]
    mean = at_steps.mean()
    ends = (at_steps.quantile(end) for end in (BOX[0], BOX[-1]))
    return Band(*(np.asarray(part, dtype=np.float64) for part in (mean.index, mean, *ends)))


def ordered_references(references: pd.DataFrame) -> list[Known]:
    """Every agent that does not learn, by rising acquisition.

    Args:
        references: One row a trial of these; what lacks success or acquisition is left out.
    """
    rows = references.dropna(subset=["success", "acquired"])
    varied = [
        name
        for name in ("reward", "power_weight", "gamma")
        if name in rows and rows[name].nunique(dropna=name == "reward") > 1
    ]
    groups = rows.groupby(["agent", *varied], dropna=False, sort=False)
    means: Any = groups[["success", "acquired"]].mean()
    return [
        Known(
            ", ".join(filter(None, (str(row["agent"]), factors_in_words(row, varied)))),
            float(row["success"]),
            float(row["acquired"]),
        )
        for row in cell_records(means.reset_index().sort_values("acquired"))
    ]


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
