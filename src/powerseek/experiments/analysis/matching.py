"""Competence that arms share: where one may be compared with another at equal competence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from powerseek.experiments.analysis.cells import Cell, factors_of
from powerseek.experiments.results.table import by_cell
from powerseek.experiments.study.factors import setting, varying

Range = tuple[float, float]


class Shared(NamedTuple):
    """The competence that arms share.

    Attributes:
        everywhere: Range that all arms of all settings share; None where there is none, or
            nowhere two arms to compare.
        settings: The same of each setting that has two arms to compare, by the setting in words.
    """

    everywhere: Range | None
    settings: Mapping[str, Range | None]


def overlap(arms: Sequence[pd.DataFrame]) -> Range | None:
    """Largest least to smallest greatest competence of two or more arms' seeds that learnt.

    Args:
        arms: Trials of each arm, with ``competence`` and ``learnt``.

    Returns:
        (low, high) with low <= high; None where they share no value, an arm has no seed that
        learnt, or there are fewer than two arms.

    CAVEAT: Sharing a range does not make arms comparable: who lies in it was chosen after
    training.
    """
    learnt = [rows.loc[rows["learnt"].astype(bool), "competence"].dropna() for rows in arms]
    if len(learnt) < 2 or any(values.empty for values in learnt):
        return None
    low = max(float(values.min()) for values in learnt)
    high = min(float(values.max()) for values in learnt)
    return (low, high) if low <= high else None


def shared_competence(cells: Sequence[Cell], keys: Sequence[str]) -> Shared:
    """The competence shared by the arms of a world, setting by setting.

    Arms are the rewards; agents that are paid for power are none, unless all are.

    Args:
        cells: Cells of one world.
        keys: Columns that make a cell.
    """
    unpaid = [cell for cell in cells if not cell.row["power_weight"]] or list(cells)
    table = factors_of(unpaid, keys)
    others = [key for key in keys if key not in ("reward", "power_weight")]
    named = varying(table, [key for key in others if key != "world"])
    found: dict[str, Range | None] = {}
    compared: list[pd.DataFrame] = []
    trials = unpaid[0].trials[["competence", "learnt"]]
    for shared, rows in by_cell(table, others):
        arms = [trials.iloc[unpaid[i].places] for i in rows.index]
        if rows["reward"].nunique() > 1:
            found[setting(shared, named)] = overlap(arms)
            compared += arms
    return Shared(overlap(compared), found)
