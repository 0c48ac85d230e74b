"""Density of feedback against any other factor, as fields of cells: arms, columns, values.

Timing and specification are two meanings of density and are never one axis.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, nan
from typing import Any

import numpy as np
import pandas as pd

from powerseek.experiments.analysis.cells import Cell, cell_factors
from powerseek.experiments.results.table import rows_by_cell
from powerseek.experiments.study.arms import Places
from powerseek.experiments.study.arms import reward_families as along
from powerseek.experiments.study.contrasts import factor_kinds
from powerseek.experiments.study.factors import Level, factors_in_words, ordered, varying_factors
from powerseek.metrics.expected import LEAST_SURPLUS

HORIZONS = ("max_steps", "gamma")
OURS = ("timing", "thinning")
"""Factors of rewards that come first in figures."""
# What a frontier belongs to: agents are shown against the frontier of their own setting only.
SETTING = ("version", "params", "openness", "goal", "layout", "max_steps")


@dataclass(frozen=True)
class Field:
    """All cells of one setting, by arm and by the level of one other factor.

    Attributes:
        label: The setting in words.
        factor: The column that they differ in.
        columns: Its values, rising.
        families: Arms by their meaning of density, densest first; no arm is in two.
        cells: Cell of an arm and a column; missing ones are absent.
        left_out: Arms that lie on neither factor of density.
    """

    label: str
    factor: str
    columns: tuple[Level, ...]
    families: Mapping[str, tuple[str, ...]]
    cells: Mapping[tuple[str, Level], Cell]
    left_out: tuple[str, ...]


def density_families(rewards: Iterable[Level], places: Places) -> dict[str, tuple[str, ...]]:
    """Arms ordered from dense to sparse, one list for each meaning of density.

    ``dense`` heads the first timing family; ``terminal`` and coverage 0 end the first family of
    specification at their price. An arm on a factor of a plugin's own has a family there, in the
    order of its levels. Arms that are on no factor, or on the overseer's look-ahead, are in none.
    """
    known = [arm for arm in dict.fromkeys(map(str, rewards)) if arm in places]
    lines: dict[tuple[int, str, str], list[str]] = {}
    for arm in known:
        place = places[arm]
        if place.factor not in ("coverage", "lookahead"):
            ours = OURS.index(place.factor) if place.factor in OURS else len(OURS)
            lines.setdefault((ours, place.factor, place.words), []).append(arm)
    named = {
        ", ".join(filter(None, line[1:])): sorted(arms, key=lambda arm: places[arm].level)
        for line, arms in sorted(lines.items())
    }
    ended: set[Level] = set()
    for judged in along("coverage", known, places):
        arms = [str(arm) for arm in judged[::-1] if arm not in ended]
        ended.update(arms)
        named[f"specification {places[arms[0]].words}".strip()] = arms
    rest = [arm for arm in known if places[arm].factor == "coverage" and arm not in ended]
    for arm in rest:
        name = f"specification {places[arm].words}".strip()
        named[name] = [*named.get(name, ()), arm]
    return {name: tuple(arms) for name, arms in named.items()}


def density_fields(cells: Sequence[Cell], keys: Sequence[str], places: Places) -> list[Field]:
    """Every field of a world with two or more columns: one a factor whose levels have an order.

    Not of openness: what is on offer differs, so that its values are not to be compared.
    """
    paid = [bool(cell.row["power_weight"]) for cell in cells]
    unpaid = cells if all(paid) else [c for c, pay in zip(cells, paid, strict=True) if not pay]
    factors = [*(name for name in HORIZONS if name in keys), *factor_kinds(keys)]
    return [field for factor in factors for field in _fields(factor, unpaid, keys, places)]


def _fields(factor: str, cells: Sequence[Cell], keys: Sequence[str], places: Places) -> list[Field]:
    others = [key for key in keys if key not in ("world", "reward", factor)]
    table = cell_factors(cells, keys)
    names = [
        "openness",
        *(n for n in varying_factors(table, others) if n not in ("reward", "openness")),
    ]
    maps = []
    for shared, rows in rows_by_cell(table, others) if len(table) else []:
        columns = ordered(rows[factor].dropna())
        members = [cells[i] for i in rows.index]
        known = density_families((cell.row["reward"] for cell in members), places)
        placed = {arm for arms in known.values() for arm in arms}
        if len(columns) < 2 or not placed:
            continue
        maps.append(
            Field(
                factors_in_words(shared, [name for name in names if name in shared]),
                factor,
                tuple(columns),
                known,
                {(str(c.row["reward"]), c.row[factor]): c for c in members},
                tuple(dict.fromkeys(str(r) for r in rows["reward"] if str(r) not in placed)),
            )
        )
    return maps


def arm_optimum_share(cell: Cell, frontiers: pd.DataFrame | None) -> float:
    """Fraction of the attainable surplus that the arm's own exact optimum takes.

    Incentive over what is on offer beyond need at the optimum's success, the mean over layouts;
    nan where either is not known or less than `LEAST_SURPLUS` is on offer.

    CAVEAT: Where optimal policies tie it is of the one that draws evenly among them.
    """
    surplus = _surplus(cell, frontiers)
    return float(cell.row["incentive"]) / surplus if surplus > LEAST_SURPLUS else nan


def _surplus(cell: Cell, frontiers: pd.DataFrame | None) -> float:
    """Most - need at the optimum's success, mean over the cell's layouts; nan if unknown.

    Each layout has a frontier and an optimum of its own.
    """
    if frontiers is None or frontiers.empty or not len(cell.places):
        return nan
    if not {"kind", "success", "acquisition"} <= set(frontiers.columns):
        return nan
    surpluses = []
    for shared, own in rows_by_cell(cell.seeds, [name for name in SETTING if name in frontiers]):
        success = float(own["optimum_success"].mean())
        if not isfinite(success):
            return nan
        lines = rows_like(frontiers[frontiers["world"] == cell.row["world"]], shared)
        ends: dict[str, Any] = {}
        for kind, line in lines.sort_values("success").groupby("kind"):
            ends[str(kind)] = np.interp(success, line["success"], line["acquisition"])
        surpluses.append(ends["most"] - ends["need"] if {"most", "need"} <= set(ends) else nan)
    return float(np.mean(surpluses)) if surpluses else nan


def rows_like(table: pd.DataFrame, wanted: Mapping[str, Any]) -> pd.DataFrame:
    """Rows of a table that agree with some of their columns, missing with missing."""
    same = [
        table[name].isna() if pd.isna(value) else table[name] == value
        for name, value in wanted.items()
    ]
    return table[np.logical_and.reduce(same)] if same else table
