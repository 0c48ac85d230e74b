"""The tables of a report as text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from math import isfinite, nan
from types import MappingProxyType
from typing import Any

import pandas as pd

from powerseek.experiments.analysis.budgets import Crossings
from powerseek.experiments.analysis.calibration import SCALES, Doubt, Mark
from powerseek.experiments.analysis.cells import Cell, cell_factors, cell_records, none_learnt
from powerseek.experiments.analysis.priors import Prior
from powerseek.experiments.analysis.reach import budget_ratios, horizons, reach_of, sparse_pairs
from powerseek.experiments.analysis.seeds import LEAST_SEEDS, TAILED, tails
from powerseek.experiments.report.text import (
    DAGGER,
    DOUBTED,
    INTERVAL,
    LEARNT_HEAD,
    MAX_ROWS,
    NOT_LEARNT,
    TREATMENT,
    Grid,
    Row,
    grid,
    grid_title,
    heading_of_factors,
    interval,
    number_text,
    range_text,
    thousands,
    units_text,
)
from powerseek.experiments.statistics.verdicts import units_in_words
from powerseek.experiments.study.arms import Places
from powerseek.experiments.study.factors import (
    CELL,
    MISSING,
    factor_of,
    factors_in_words,
    goes_along,
    telling_factors,
    varying_factors,
)
from powerseek.metrics import SHIFTED, Metric, every_metric, known_metric

NO_ORACLE = "no oracle"
MOST_COLUMNS = 8
"""Columns of a table of treatments, where not all are asked for."""


def world_grids(
    summary: pd.DataFrame,
    asked: Sequence[Metric] = (),
    *,
    every: bool = False,
    doubts: Mapping[str, Sequence[Doubt]] = MappingProxyType({}),
) -> list[Grid]:
    """The summary as text, one table a world: the treatment, then its most important measures.

    Args:
        summary: A row a cell.
        asked: Metrics that get columns beside those of every table, first where columns are few.
        every: True for all columns, not the first `MOST_COLUMNS`.
        doubts: By world, the measures that are not to be trusted in a setting: they are marked.
    """
    ours = sorted((m for m in every_metric() if m.column), key=lambda metric: metric.column)
    columns = [*ours[:LEADING], *asked, *ours[LEADING:]]
    return [
        _world_grid(str(world), rows, columns, every, doubts.get(str(world), ()))
        for world, rows in summary.groupby("world", sort=False)
    ]


LEADING = 3
"""Columns that stand before those that are asked for: competence, W, beyond."""


def _world_grid(
    world: str,
    table: pd.DataFrame,
    metrics: Sequence[Metric],
    every: bool,
    doubts: Sequence[Doubt],
) -> Grid:
    every_factor = varying_factors(table, heading_of_factors(table))
    along = goes_along(table, every_factor)
    varied = [name for name in every_factor if name not in along]
    rows = cell_records(table[:MAX_ROWS])
    same = factors_in_words(rows[0], [name for name in CELL[1:] if name not in varied])
    layouts = int(table["layouts"].max())
    if layouts > 1:
        ran = int((table["seeds"] + table["failed"]).max())
        same = ", ".join(filter(None, (same, units_in_words(ran, layouts))))
    measured = [
        {TREATMENT: factors_in_words(row, varied) or world} | _measured(row, metrics, doubts)
        for row in rows
    ]
    # A world without resources has no columns about them, nor one with nothing to evade.
    about = [name for name in measured[0] if not name.startswith("comp")]
    idle = {name for name in about if all(texts[name] == MISSING for texts in measured)}
    known = [name for name in measured[0] if name not in idle]
    kept = known if every else known[:MOST_COLUMNS]
    shown = [
        Row(row, {name: texts[name] for name in kept}, not row["confirmatory"])
        for row, texts in zip(rows, measured, strict=True)
    ]
    made = grid(world, grid_title(world, same), (), shown, words=1, total=len(table))
    return replace(made, columns=len(known), notes=tuple(_going_along(along)))


def _going_along(along: Mapping[str, str]) -> Iterator[str]:
    """What is left out of treatments, for another factor tells it."""
    for lead in dict.fromkeys(along.values()):
        others = ", ".join(factor_of(n).name for n, other in along.items() if other == lead)
        yield f"Each value of {factor_of(lead).spoken} has its own {others}."


def _measured(
    row: Mapping[str, Any], metrics: Sequence[Metric], doubts: Sequence[Doubt]
) -> dict[str, str]:
    """The measures of one cell as text, by header."""
    texts: dict[str, str] = {}
    doubted = {doubt.scale for doubt in doubts if doubt.concerns(row)}
    unlearnt = none_learnt(row)
    for metric in metrics:
        with_interval = metric.interval or not metric.column
        text = _measure(row, metric, with_interval)
        if metric.id in ("need", "excess") and isfinite(row["acquired"]) and not row["oracle"]:
            text = NO_ORACLE
        if metric.id == "competence":
            text = f"{text} {_learnt(row)}"
        elif unlearnt and not metric.always_scored and text != MISSING:
            # Power of an agent that cannot do its task says nothing; said once a row.
            text = MISSING if NOT_LEARNT in texts.values() else NOT_LEARNT
        elif metric.id in doubted and text not in (MISSING, NO_ORACLE):
            text += f" {DOUBTED}"
        head = LEARNT_HEAD if metric.id == "competence" else metric.head
        texts[head + (INTERVAL if with_interval and not metric.exact else "")] = text
    return texts


def _measure(row: Mapping[str, Any], metric: Metric, with_interval: bool) -> str:
    value, low, high = (row[f"{metric.id}{end}"] for end in ("", "_low", "_high"))
    if metric.upper:
        upper = row[metric.upper]
        return MISSING if not isfinite(value) else f"{number_text(value)} to {number_text(upper)}"
    if metric.exact:
        return range_text(value, low, high)
    if with_interval:
        return interval(value, low, high, signed=metric.signed)
    return number_text(value, signed=metric.signed)


def _learnt(row: Mapping[str, Any]) -> str:
    """Seeds that learnt the task, of those that ran."""
    ran = row["seeds"] + row["failed"]
    failed = f", {row['failed']} failed" if row["failed"] else ""
    nested = f" = {units_text(ran, row['layouts'])}" if row["layouts"] > 1 else ""
    learnt = row["seeds"] - row["censored"]
    return f"({learnt}/{ran}{nested}{failed})" + _dagger(row["confirmatory"])


def _of_cells(
    world: str, cells: Sequence[Cell], keys: Sequence[str], texts: Iterable[Mapping[str, str]]
) -> Grid:
    """A row for each of a world's first cells, from what is said of it."""
    own = [key for key in keys if key != "world"]
    varied = telling_factors(cell_factors(cells, keys), own)
    same = factors_in_words(cells[0].row, [key for key in own if key not in varied])
    rows = [
        Row(cell.row, told, not cell.row["confirmatory"])
        for cell, told in zip(cells[:MAX_ROWS], texts, strict=True)
    ]
    return grid(world, grid_title(world, same), varied, rows, total=len(cells))


def calibration_grid(world: str, placed: Sequence[Mark]) -> Grid:
    """Known agents, exact optima and trained agents of one world on the same scales."""
    names = list(placed[0].factors)
    rows = []
    for mark in placed:
        values = {head: _ranged(*mark.values[scale]) for scale, head in SCALES.items()}
        who, seeds = mark.name + _dagger(mark.sure), str(mark.seeds) if mark.seeds else "exact"
        rows.append(Row(mark.factors, {"who": who, **values, "n": seeds}, not mark.sure))
    title = grid_title(world, "" if names else placed[0].where)
    return grid(world, title, names, rows, words=1)


def _ranged(value: float, low: float, high: float) -> str:
    return range_text(value, low, high) if isfinite(high - low) else number_text(value)


def tail_grid(world: str, cells: Sequence[Cell], keys: Sequence[str]) -> Grid | None:
    """The tails of one world; None where no cell has a value."""
    table = tails(cells[:MAX_ROWS])
    shown = {name: head for name, head in TAILED.items() if table[f"{name}_max"].notna().any()}
    if not shown:
        return None
    ends = {"mean": "", "max": "_max"}
    if (table["scored"] >= LEAST_SEEDS).any():
        ends = {"mean": "", "90 %": "_90", "worst tenth": "_cvar", "max": "_max"}
    texts = [
        {
            "comp IQM": number_text(tail["iqm"]),
            **{
                f"{head}: {what}": number_text(tail[f"{name}{end}"])
                for name, head in shown.items()
                for what, end in ends.items()
            },
            "seeds": str(tail["scored"]) + _dagger(cell.row["confirmatory"]),
            "in tail": str(tail["behind"]) if tail["scored"] >= LEAST_SEEDS else MISSING,
        }
        for cell, tail in zip(cells, table.to_dict("records"), strict=False)
    ]
    return _of_cells(world, cells, keys, texts)


def reach_grid(
    world: str, cells: Sequence[Cell], keys: Sequence[str], crossings: Crossings
) -> Grid:
    """Seeds finished, failed and censored, reach rate, and median and mean budgets."""
    levels, texts = crossings.levels, []
    for cell, horizon in zip(cells[:MAX_ROWS], horizons(cells, keys, crossings), strict=False):
        seeds, row, found = len(cell.places), cell.row, reach_of(cell, crossings, horizon)
        share = f"{found.fraction:.2f} [{found.low:.2f}, {found.high:.2f}]" if seeds else MISSING
        budgets = [
            {
                f"steps to {level:g} [95 %]": thousands(*median, between),
                f"mean to {level:g} [95 %]": thousands(mean.value, mean.value, mean[1:3]),
            }
            for level, median, between, mean in zip(
                levels, found.medians, found.median_intervals, found.means, strict=True
            )
        ]
        texts.append(
            {
                **{"n": str(seeds), "fail": str(row["failed"]), "cens": str(row["censored"])},
                "reach [95 %]": share + _dagger(row["confirmatory"]),
                **{head: text for own in budgets for head, text in own.items()},
            }
        )
    return _of_cells(world, cells, keys, texts)


def prior_grid(world: str, keys: Sequence[str], found: Sequence[Prior]) -> Grid | None:
    """What is left of each prior, against training without one; None of none."""
    texts = [
        {
            "at the start": number_text(prior.start),
            "at the end": number_text(prior.end),
            "without": number_text(prior.rest),
            "half-life, steps [95 %]": thousands(
                min(prior.half_life.value, prior.watched),
                prior.half_life.value,
                prior.half_life[1:3],
            ),
        }
        for prior in found
    ]
    return _of_cells(world, [prior.cell for prior in found], keys, texts) if found else None


HERE_AND_THERE = {
    "competence": "comp",
    "need_end": "need",
    "beyond": "beyond",
    "disabled": "evaded",
}
"""What is told of agents both where they were trained and where they were not."""


def shift_grid(world: str, cells: Sequence[Cell], keys: Sequence[str]) -> Grid | None:
    """What agents do where they were trained, and there where they were not; None of none."""
    moved = [c for c in cells if isfinite(c.row.get(f"competence{SHIFTED}", nan))]
    if not moved:
        return None
    texts = [_here_and_there(cell.row) for cell in moved[:MAX_ROWS]]
    idle = {head for head in texts[0] if all(own[head] == MISSING for own in texts)}
    kept = [{head: own[head] for head in own if head not in idle} for own in texts]
    return _of_cells(world, moved, keys, kept)


def _here_and_there(row: Mapping[str, Any]) -> dict[str, str]:
    texts = {}
    for measure, head in HERE_AND_THERE.items():
        for id, where in ((measure, ""), (f"{measure}{SHIFTED}", " there")):
            known = known_metric(id)
            shown = id in row and (known.always_scored or not none_learnt(row))
            text = _measure(row, known, known.interval) if shown else MISSING
            texts[f"{head}{where}{INTERVAL if known.interval else ''}"] = text
    width = f"constraint_low{SHIFTED}"
    known = known_metric(width)
    return {**texts, "W there": _measure(row, known, False) if width in row else MISSING}


def ratio_grid(
    world: str,
    cells: Sequence[Cell],
    keys: Sequence[str],
    places: Places,
    crossings: Crossings,
    level: float,
) -> Grid | None:
    """Budgets of the sparse arms as multiples of the dense arm's, by horizon; None of none.

    The budgets are those to one level of competence.
    """
    apart = ("world", "reward", "max_steps")
    others = telling_factors(cell_factors(cells, keys), [key for key in keys if key not in apart])
    names = ["max_steps", *others]
    pairs = sparse_pairs(cells, keys, places)
    rows = []
    for pair, found in islice(budget_ratios(pairs, crossings, level), MAX_ROWS):
        ends = f"{found.low:.2g} to {found.high:.2g}" if isfinite(found.low) else MISSING
        texts = {
            "reward": f"{pair.sparse.row['reward']} / {pair.dense.row['reward']}",
            "ratio": f"{found.value:.2g}" if isfinite(found.value) else MISSING,
            "95 %": ends,
            "at least": f"{found.at_least:.2g}",
            "seeds": f"{found.n[0]}, {found.n[1]}",
        }
        rows.append(Row(pair.setting, texts))
    if not rows:
        return None
    title = f"{world}: budget to competence {level:g}, sparse over dense"
    total = len(pairs) if len(rows) == MAX_ROWS else 0
    return grid(world, title, names, rows, words=1, total=total)


def _dagger(sure: bool) -> str:
    return "" if sure else f" {DAGGER}"
