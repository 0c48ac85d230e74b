"""Competence that arms share: where one may be compared with another at equal competence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from powerseek.experiments.analysis.cells import Cell, settings_of

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


def competence_overlap(arms: Sequence[pd.DataFrame]) -> Range | None:
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
    """
    unpaid = [cell for cell in cells if not cell.row["power_weight"]] or list(cells)
    ranges: dict[str, Range | None] = {}
    compared: list[pd.DataFrame] = []
    trials = unpaid[0].trials[["competence", "learnt"]]
    for label, _, members in settings_of(unpaid, keys, ("reward", "power_weight")):
        if len({cell.row["reward"] for cell in members}) > 1:
            arms = [trials.iloc[cell.places] for cell in members]
            ranges[label] = competence_overlap(arms)
            compared += arms
    return Shared(competence_overlap(compared), ranges)
