"""Density of feedback against horizon, as fields of cells: which arms, which columns, what value.

Timing and specification are two meanings of density and are never one axis.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite, nan
from typing import Any

import numpy as np
import pandas as pd

from powerseek.experiments.analysis.cells import Cell, factors_of
from powerseek.experiments.results.table import by_cell
from powerseek.experiments.study.contrasts import coverages
from powerseek.experiments.study.factors import setting, varying
from powerseek.metrics.acquisition import LEAST_SURPLUS

HORIZONS = ("max_steps", "gamma")
# What a frontier belongs to: agents are shown against the frontier of their own setting only.
SETTING = ("version", "params", "openness", "goal", "layout", "max_steps")


@dataclass(frozen=True)
class Field:
    """All cells of one setting, by arm and horizon.

    Attributes:
        label: The setting in words.
        dial: What the columns differ in: ``max_steps`` or ``gamma``.
        columns: Its values, rising.
        families: Arms by their meaning of density, densest first; no arm is in two.
        cells: Cell of an arm and a column; missing ones are absent.
        left_out: Arms that lie on neither dial of density.
    """

    label: str
    dial: str
    columns: tuple[float, ...]
    families: Mapping[str, tuple[str, ...]]
    cells: Mapping[tuple[str, float], Cell]
    left_out: tuple[str, ...]


def families(rewards: Iterable[object]) -> dict[str, tuple[str, ...]]:
    """Arms ordered from dense to sparse, one list for each meaning of density.

    ``dense`` heads the first timing family; ``terminal`` and coverage 0 end the first family of
    specification. Arms that are on no such dial (approval, shaped, a plugin's) are in none.
    """
    known = list(dict.fromkeys(str(reward) for reward in rewards))
    found: dict[str, list[str]] = {}
    for name in ("timing", "timing, corrected", "timing, thinned", "timing, own reward"):
        members = [arm for arm in known if _timing(arm) == name]
        if members:
            found[name] = sorted(members, key=_sparseness)
    ended: set[object] = set()
    for judged in coverages(known):
        arms = [str(arm) for arm in judged[::-1] if arm not in ended]
        ended.update(arms)
        overseer = " ".join(arms[0].split()[2:])
        found[f"specification {overseer}".strip()] = arms
    rest = [a for a in known if (a == "terminal" or a.startswith("coverage ")) and a not in ended]
    if rest:
        name = next((name for name in found if name.startswith("specification")), "specification")
        found[name] = [*found.get(name, ()), *rest]
    return {name: tuple(arms) for name, arms in found.items()}


def _timing(arm: str) -> str:
    """Which family of timing an arm belongs to; empty for none."""
    match arm.split():
        case ["dense"] | ["every", _]:
            return "timing"
        case ["own"] | ["every", _, "of", "own"]:
            return "timing, own reward"
        case ["every", _, "corrected"]:
            return "timing, corrected"
        case ["thinned", _]:
            return "timing, thinned"
    return ""


def _sparseness(arm: str) -> float:
    words = arm.split()
    if len(words) < 2:
        return 0.0
    value = inf if words[1] == "cap" else float(words[1])
    return -value if words[0] == "thinned" else value


def fields(cells: Sequence[Cell], keys: Sequence[str]) -> list[Field]:
    """Every field of a world with two or more columns.

    Args:
        cells: The world's cells.
        keys: Columns that make a cell.
    """
    paid = [bool(cell.row["power_weight"]) for cell in cells]
    unpaid = cells if all(paid) else [c for c, pay in zip(cells, paid, strict=True) if not pay]
    found = []
    for dial in HORIZONS:
        if dial in keys:
            found += _fields(dial, unpaid, keys)
    return found


def _fields(dial: str, cells: Sequence[Cell], keys: Sequence[str]) -> list[Field]:
    others = [key for key in keys if key not in ("world", "reward", dial)]
    table = factors_of(cells, keys)
    names = ["openness", *(n for n in varying(table, others) if n not in ("reward", "openness"))]
    found = []
    for shared, rows in by_cell(table, others) if len(table) else []:
        columns = sorted({float(value) for value in rows[dial].dropna()})
        if len(columns) < 2:
            continue
        members = [cells[i] for i in rows.index]
        known = families(cell.row["reward"] for cell in members)
        placed = {arm for arms in known.values() for arm in arms}
        if not placed:
            continue
        found.append(
            Field(
                setting(shared, [name for name in names if name in shared]),
                dial,
                tuple(columns),
                known,
                {(str(c.row["reward"]), float(c.row[dial])): c for c in members},
                tuple(dict.fromkeys(str(r) for r in rows["reward"] if str(r) not in placed)),
            )
        )
    return found


def optimal_share(cell: Cell, frontiers: pd.DataFrame | None) -> float:
    """Share of the attainable surplus that the arm's own exact optimum takes.

    Args:
        cell: The cell.
        frontiers: Vertices of need and most, as kept beside the results.

    Returns:
        Incentive over what is on offer beyond need at the optimum's success, the mean over
        layouts; nan where either is not known or less than `LEAST_SURPLUS` is on offer.

    CAVEAT: Where optimal policies tie it is of the one that draws evenly among them.
    """
    success, incentive = cell.row["optimum_success"], cell.row["incentive"]
    surplus = _surplus(cell, float(success), frontiers)
    return float(incentive) / surplus if surplus > LEAST_SURPLUS else nan


def _surplus(cell: Cell, success: float, frontiers: pd.DataFrame | None) -> float:
    """Most - need at a success, mean over the layouts of the cell's seeds; nan if unknown."""
    if frontiers is None or frontiers.empty or not len(cell.places) or not isfinite(success):
        return nan
    if not {"kind", "success", "acquisition"} <= set(frontiers.columns):
        return nan
    found = []
    for shared, _ in by_cell(cell.seeds, [name for name in SETTING if name in frontiers]):
        lines = same_rows(frontiers[frontiers["world"] == cell.row["world"]], shared)
        ends: dict[str, Any] = {}
        for kind, line in lines.sort_values("success").groupby("kind"):
            ends[str(kind)] = np.interp(success, line["success"], line["acquisition"])
        found.append(ends["most"] - ends["need"] if {"most", "need"} <= set(ends) else nan)
    return float(np.mean(found)) if found else nan


def same_rows(table: pd.DataFrame, wanted: Mapping[str, Any]) -> pd.DataFrame:
    """Rows of a table that agree with some of their columns, missing with missing."""
    same = [
        table[name].isna() if pd.isna(value) else table[name] == value
        for name, value in wanted.items()
    ]
    return table[np.logical_and.reduce(same)] if same else table
