"""Agents whose behaviour is known, on one scale with the trained: can the measures be trusted?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import isfinite, nan
from typing import NamedTuple, TypeAlias

import pandas as pd

from powerseek.experiments.analysis.cells import Cell, cell_records, cells_of
from powerseek.experiments.analysis.density import arm_optimum_share, rows_like
from powerseek.experiments.analysis.view import View
from powerseek.experiments.results.table import rows_by_cell, trials
from powerseek.experiments.study.factors import PREFIX, factors_in_words, varying_factors
from powerseek.metrics import known_metric

SCALES = {
    "acquired": "acq",
    "beyond": "beyond",
    "excess": "excess",
    "share_of_surplus": "share",
    "disabled": "evaded",
    "power_seeking": "POWER",
}
"""What is held against the known agents, by its column head."""
SETTING = ("openness", "goal", "max_steps", "params", "version")

Where: TypeAlias = tuple[str, dict[str, object]]


@dataclass(frozen=True)
class Mark:
    """One agent, or one arm, on the scales of one setting.

    Attributes:
        where: The setting in words.
        factors: The factors of the setting that vary.
        kind: ``reference``, ``optimum`` (exact), ``paid`` for power, or ``trained``.
        name: The agent, or the arm.
        values: (value, low, high) by measure; low and high are the range over optimal policies,
            nan for all but the exact optimum.
        seeds: Seeds behind it, 0 for the exact optimum.
        sure: Whether 90 % of the seeds learnt the task; True for what does not learn.
    """

    where: str
    factors: Mapping[str, object]
    kind: str
    name: str
    values: Mapping[str, tuple[float, ...]] = field(repr=False)
    seeds: int = 0
    sure: bool = True


def calibration_marks(
    cells: Sequence[Cell],
    keys: Sequence[str],
    references: pd.DataFrame,
    frontiers: pd.DataFrame | None = None,
) -> list[Mark]:
    """Everything on one scale, setting by setting: known agents, exact optima, trained agents.

    Args:
        cells: Cells of the trained agents of one world.
        keys: Columns that make a cell.
        references: One row a trial of its agents that do not learn. All seeds count: nobody
            expects them to learn the task.
        frontiers: Vertices of need and most, as kept beside the results.
    """
    known = [cell for cell in cells if len(cell.places)]
    about = _about(known)
    if about.empty:
        return []
    names = varying_factors(about, spoken_setting(about))
    spoken = ["openness", *(name for name in names if name != "openness")]
    apart = {"world", "power_weight", *SETTING, *spoken_setting(about)}
    arm = [*(key for key in keys if key not in apart), "power_weight"]
    placed = []
    for shared, rows in rows_by_cell(about, list(SETTING)):
        here = [known[i] for i in rows.index]
        varied = varying_factors(pd.DataFrame([cell.row for cell in here]), arm)
        told = cell_records(rows[:1])[0]
        where = factors_in_words(told, spoken), {name: told[name] for name in names}
        placed += _references(where, rows_like(references, shared))
        placed += _optima(where, here, varied, frontiers)
        placed += [_trained(where, cell, varied) for cell in here]
    return placed


def _about(cells: Sequence[Cell]) -> pd.DataFrame:
    """The setting of each cell, from its first trial."""
    if not cells:
        return pd.DataFrame(columns=list(SETTING))
    trials = cells[0].trials
    names = [*SETTING, *(name for name in spoken_setting(trials) if name not in SETTING)]
    first = trials[names].iloc[[cell.places[0] for cell in cells]]
    return first.reset_index(drop=True)


def spoken_setting(table: pd.DataFrame) -> list[str]:
    """Columns that say in words in which setting of a world a row is; in place of its JSON."""
    own = [str(name) for name in table if str(name).startswith(PREFIX["world"])]
    return [*(name for name in SETTING if name != "params"), *own]


def _references(where: Where, trials: pd.DataFrame) -> list[Mark]:
    """Agents that do not learn; the optimum once for each reward it is the optimum of."""
    placed = []
    for agent, rows in trials.groupby("agent", sort=False):
        names = (
            varying_factors(rows, ("reward", "gamma", "power_weight")) if agent == "optimum" else []
        )
        groups = (
            rows_by_cell(rows, names) if names and rows["reward"].notna().all() else [({}, rows)]
        )
        for told, mine in groups:
            name = ", ".join(
                [str(agent), *([factors_in_words(told, names)] if len(groups) > 1 else [])]
            )
            values = {scale: (_mean(mine[scale]), nan, nan) for scale in SCALES}
            placed.append(Mark(*where, "reference", name, values, len(mine)))
    return placed


def _optima(
    where: Where, cells: Sequence[Cell], varied: Sequence[str], frontiers: pd.DataFrame | None
) -> list[Mark]:
    """The exact optimum of every reward that does not pay for power, each once."""
    optima: dict[str, Mark] = {}
    names = [name for name in varied if name in ("reward", "gamma", "time_limit")]
    for cell in cells:
        values = {
            scale: tuple(
                float(cell.row.get(f"{column}{end}", nan)) for end in ("", "_low", "_high")
            )
            for scale in SCALES
            if (column := known_metric(scale).optimum)
        }
        need = float(cell.row.get("need_end", nan))
        values["beyond"] = tuple(value - need for value in values["acquired"])
        values["share_of_surplus"] = (arm_optimum_share(cell, frontiers), nan, nan)
        name = f"exact optimum, {factors_in_words(cell.row, names)}"
        if not cell.row["power_weight"] and any(isfinite(value[0]) for value in values.values()):
            optima.setdefault(name, Mark(*where, "optimum", name, values))
    return list(optima.values())


def _trained(where: Where, cell: Cell, varied: Sequence[str]) -> Mark:
    paid = bool(cell.row["power_weight"])
    names = [name for name in varied if name != "power_weight" or paid]
    return Mark(
        *where,
        "paid" if paid else "trained",
        f"trained, {factors_in_words(cell.row, names)}",
        {scale: (float(cell.row[scale]), nan, nan) for scale in SCALES},
        int(cell.row["scored"]),
        bool(cell.row["confirmatory"]),
    )


def _mean(values: pd.Series[float]) -> float:
    known = values.dropna()
    return float(known.mean()) if len(known) else nan


class Doubt(NamedTuple):
    """A scale on which a setting's hoarder does not lie above its minimalist.

    Attributes:
        where: The setting in words.
        factors: Its factors that vary, by column.
        scale: The measure.
        hoarder: What it says of the hoarder.
        minimalist: What it says of the minimalist.
    """

    where: str
    factors: Mapping[str, object]
    scale: str
    hoarder: float
    minimalist: float

    def concerns(self, setting: Mapping[str, object]) -> bool:
        """True of a row of this setting, and of a comparison that an arm of it takes part in."""
        told = {name: setting[name] for name in self.factors if name in setting}
        return all(known in (self.factors[name], None) for name, known in told.items())


@lru_cache(maxsize=1)  # tables, pictures and verdicts of one report ask
def study_doubts(view: View) -> dict[str, list[Doubt]]:
    """The scales that are not to be trusted in each world of a study; none without references."""
    if view.references.empty:
        return {}
    beside = trials(view.references)
    return {
        world: calibration_doubts(
            calibration_marks(cells, view.keys, beside[beside["world"] == world])
        )
        for world, cells in cells_of(view).items()
    }


def calibration_doubts(placed: Sequence[Mark]) -> list[Doubt]:
    """Every scale that does not tell a hoarder from a minimalist, setting by setting.

    CAVEAT: Means over seeds are compared, without a test: a measure that passes may still be poor.
    """
    doubted = []
    factors = {mark.where: mark.factors for mark in placed}
    for where in factors:
        known = {
            mark.name: mark for mark in placed if (mark.where, mark.kind) == (where, "reference")
        }
        if not {"hoarder", "minimalist"} <= set(known):
            continue
        for scale in SCALES:
            much, little = (known[name].values[scale][0] for name in ("hoarder", "minimalist"))
            if much <= little:
                doubted.append(Doubt(where, factors[where], scale, much, little))
    return doubted
