"""The tables of a report as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from math import isfinite
from typing import Any

import pandas as pd

from powerseek.experiments.analysis.calibration import SCALES, Mark
from powerseek.experiments.analysis.cells import Cell, factors_of, records
from powerseek.experiments.analysis.paired import is_trend
from powerseek.experiments.analysis.reach import budget_ratios, reach_of, sparse_pairs
from powerseek.experiments.analysis.tails import LEAST_SEEDS, TAILED, tails
from powerseek.experiments.report.text import (
    DAGGER,
    INTERVAL,
    MOST_ROWS,
    Grid,
    head_of,
    interval,
    number,
    ranged,
    thousands,
)
from powerseek.experiments.statistics.verdicts import LEAST_REACH
from powerseek.experiments.study.arms import Places
from powerseek.experiments.study.contrasts import KINDS, kind_of
from powerseek.experiments.study.factors import (
    CELL,
    DIALS,
    MISSING,
    PREFIX,
    dial,
    setting,
    short,
    varying,
)
from powerseek.metrics import Metric, every_metric

NO_ORACLE = "no oracle"
TAIL_HEADS = ("90 %", "worst tenth", "max")


def world_grids(summary: pd.DataFrame, asked: Sequence[Metric] = ()) -> list[Grid]:
    """The summary as text, one table a world.

    Args:
        summary: A row a cell.
        asked: Metrics that get columns beside those of every table.
    """
    columns = sorted((m for m in every_metric() if m.column), key=lambda metric: metric.column)
    return [
        _world_grid(str(world), rows, [*columns, *asked])
        for world, rows in summary.groupby("world", sort=False)
    ]


def _factors(table: pd.DataFrame) -> list[str]:
    """Columns of a table that factors have, ``world`` aside."""
    given = [str(name) for name in table]
    own = [name for name in given if name.startswith(tuple(PREFIX.values()))]
    return [name for name in (*CELL[1:], *DIALS, *own) if name in given]


def _world_grid(world: str, table: pd.DataFrame, metrics: Sequence[Metric]) -> Grid:
    varied = varying(table, _factors(table))
    rows = records(table[:MOST_ROWS])
    same = setting(rows[0], [name for name in CELL[1:] if name not in varied])
    measured = [_measured(row, metrics) for row in rows]
    # A world without resources has no columns about them, nor one without a switch.
    about = [name for name in measured[0] if name not in ("comp", "succ")]
    idle = {name for name in about if all(texts[name] == MISSING for texts in measured)}
    if not table["failed"].any():
        idle.add("fail")
    measured = [{k: v for k, v in texts.items() if k not in idle} for texts in measured]
    return Grid(
        title=_title(world, same),
        headers=(*_heads(varied), *measured[0]),
        dials=len(varied),
        rows=tuple(
            (*(dial(row[name]) for name in varied), *texts.values())
            for row, texts in zip(rows, measured, strict=True)
        ),
        muted=tuple(not row["confirmatory"] for row in rows),
        total=len(table),
    )


def _measured(row: Mapping[str, Any], metrics: Sequence[Metric]) -> dict[str, str]:
    """The measures of one cell as text, by header."""
    found = {}
    for metric in metrics:
        value, low, high = (row[f"{metric.id}{end}"] for end in ("", "_low", "_high"))
        with_interval = metric.id == "excess" or not metric.column
        if metric.exact:
            text = ranged(value, low, high)
        elif with_interval:
            text = interval(value, low, high, signed=metric.signed)
        else:
            text = number(value, signed=metric.signed)
        if metric.id in ("need", "excess") and isfinite(row["acquired"]) and not row["oracle"]:
            text = NO_ORACLE
        if metric.id == "excess" and not row["confirmatory"] and isfinite(value):
            text += f" {DAGGER}"
        found[metric.head + (INTERVAL if with_interval and not metric.exact else "")] = text
    counts = {"n": row["seeds"], "cens": row["censored"], "fail": row["failed"]}
    return found | {head: str(count) for head, count in counts.items()}


def contrast_grids(found: pd.DataFrame) -> dict[str, list[Grid]]:
    """Comparisons as text: by kind, one table a world."""
    grids: dict[str, list[Grid]] = {}
    for kind in dict.fromkeys((*KINDS, *found.get("kind", ()))):
        for world, rows in found[found["kind"] == kind].groupby("world", sort=False):
            grids.setdefault(kind, []).append(_contrast_grid(kind, str(world), rows))
    return grids


def _contrast_grid(kind: str, world: str, table: pd.DataFrame) -> Grid:
    """One row a pair of arms: the main measure with its verdict, the off-switch beside it."""
    first = table["measure"].iloc[0]
    main = table[table["measure"] == first]
    differs = kind_of(kind).dial
    varied = [
        n
        for n in varying(main, _factors(main))
        if n != differs and main[n].nunique(dropna=False) > 1
    ]
    same = setting(main.iloc[0].to_dict(), [n for n in CELL[1:] if n not in (*varied, differs)])
    names = [*varied, differs, "a", "b"]
    beside_it = table[table["measure"] != first]
    shown = records(main[:MOST_ROWS])
    # What is beside a row comes soon after it: that of the rows that are not shown is not read.
    last = (
        main.index[len(shown)] if len(main) > len(shown) else len(beside_it) and beside_it.index[-1]
    )
    beside = {_key(row, names): row for row in records(beside_it[beside_it.index <= last])}
    rows = []
    for row in shown:
        other = beside.get(_key(row, names))
        rows.append(
            (
                *(dial(row[name]) for name in varied),
                arms_in_words(row["a"], row["b"]),
                _effect(row),
                *([_effect(other) if other else MISSING] if len(beside_it) else []),
                str(row["seeds"]),
                str(row["verdict"]),
            )
        )
    heads = _heads([*varied, differs])
    measures = (head_of(first), *(["off"] if len(beside_it) else []))
    return Grid(
        title=_title(world, same),
        headers=(*heads, *measures, "pairs", "verdict"),
        dials=len(heads),
        rows=tuple(rows),
        # The positive control is ungated: reach says nothing against it.
        muted=tuple(
            kind != "control" and min(row["reach_a"], row["reach_b"]) < LEAST_REACH for row in shown
        ),
        total=len(main),
    )


def arms_in_words(a: object, b: object) -> str:
    """``terminal - dense``; ``trend, per unit`` for a slope."""
    if is_trend(a):
        return f"{a}, per unit of q"
    return f"{dial(a)} - {dial(b)}"


def _key(row: Mapping[str, Any], names: Sequence[str]) -> tuple[str, ...]:
    return tuple(dial(row.get(name)) for name in names)


def _effect(row: Mapping[str, Any]) -> str:
    return interval(row["effect"], row["low"], row["high"], signed=True)


def calibration_grid(world: str, found: Sequence[Mark]) -> Grid:
    """Known agents, exact optima and trained agents of one world on the same scales.

    Args:
        world: The world.
        found: Its marks, at least one.
    """
    names = list(found[0].factors)
    return Grid(
        title=_title(world, "" if names else found[0].where),
        headers=(*_heads(names), "who", *SCALES.values(), "n"),
        dials=len(names) + 1,
        rows=tuple(
            (
                *map(dial, mark.factors.values()),
                mark.name + _dagger(mark.sure),
                *(_ranged(*mark.values[scale]) for scale in SCALES),
                str(mark.seeds) if mark.seeds else "exact",
            )
            for mark in found
        ),
        muted=tuple(not mark.sure for mark in found),
    )


def _ranged(value: float, low: float, high: float) -> str:
    return ranged(value, low, high) if isfinite(high - low) else number(value)


def tail_grid(world: str, cells: Sequence[Cell], keys: Sequence[str]) -> Grid | None:
    """The tails of one world; None where no cell has a value.

    Args:
        world: The world.
        cells: Its cells.
        keys: Columns that make a cell.
    """
    varied, same = _varied(cells, keys)
    total, cells = len(cells), cells[:MOST_ROWS]
    table = tails(cells)
    shown = {name: head for name, head in TAILED.items() if table[f"{name}_max"].notna().any()}
    if not shown:
        return None
    many = bool((table["scored"] >= LEAST_SEEDS).any())
    ends = ("_90", "_cvar", "_max") if many else ("_max",)
    heads = [
        f"{head}: {what}"
        for head in shown.values()
        for what in ("mean", *(TAIL_HEADS if many else TAIL_HEADS[-1:]))
    ]
    rows = [
        (
            *(dial(cell.row[name]) for name in varied),
            number(tail["iqm"]),
            *(number(tail[f"{name}{end}"]) for name in shown for end in ("", *ends)),
            str(tail["scored"]) + _dagger(cell.row["confirmatory"]),
            str(tail["behind"]) if tail["scored"] >= LEAST_SEEDS else MISSING,
        )
        for cell, tail in zip(cells, table.to_dict("records"), strict=True)
    ]
    return Grid(
        title=_title(world, same),
        headers=(*_heads(varied), "comp IQM", *heads, "seeds", "in tail"),
        dials=len(varied),
        rows=tuple(rows),
        muted=tuple(not cell.row["confirmatory"] for cell in cells),
        total=total,
    )


def reach_grid(world: str, cells: Sequence[Cell], keys: Sequence[str], steps: pd.DataFrame) -> Grid:
    """Seeds finished, failed and censored, reach rate, and median budgets.

    Args:
        world: The world.
        cells: Its cells.
        keys: Columns that make a cell.
        steps: From `reach.crossings`.
    """
    varied, same = _varied(cells, keys)
    levels = [float(name) for name in steps.columns if name != "end"]
    rows = []
    for cell in cells[:MOST_ROWS]:
        seeds, row, found = len(cell.places), cell.row, reach_of(cell, steps)
        share = f"{found.share:.2f} [{found.low:.2f}, {found.high:.2f}]" if seeds else MISSING
        rows.append(
            (
                *(dial(row[name]) for name in varied),
                *(str(seeds), str(row["failed"]), str(row["censored"])),
                share + _dagger(row["confirmatory"]),
                *(thousands(*median) for median in found.medians),
            )
        )
    heads = ("n", "fail", "cens", "reach [95 %]", *(f"steps to {level:g}" for level in levels))
    return Grid(
        title=_title(world, same),
        headers=(*_heads(varied), *heads),
        dials=len(varied),
        rows=tuple(rows),
        muted=tuple(not cell.row["confirmatory"] for cell in cells[:MOST_ROWS]),
        total=len(cells),
    )


def ratio_grid(
    world: str,
    cells: Sequence[Cell],
    keys: Sequence[str],
    places: Places,
    steps: pd.DataFrame,
    level: float,
) -> Grid | None:
    """How many times the dense arm's budget each sparse arm needs, at each horizon; None of none.

    Args:
        world: The world.
        cells: Its cells.
        keys: Columns that make a cell.
        places: Where the rewards lie on the factors of rewards.
        steps: From `reach.crossings`.
        level: The competence to reach.
    """
    apart = ("world", "reward", "max_steps")
    others = varying(factors_of(cells, keys), [key for key in keys if key not in apart])
    names = ["max_steps", *others]
    pairs = sparse_pairs(cells, keys, places)
    rows = []
    for pair, found in islice(budget_ratios(pairs, steps, level), MOST_ROWS):
        times, ends = MISSING, MISSING
        if isfinite(found.value):
            times = f"{found.value:.2g}"
        if isfinite(found.low):
            ends = f"{found.low:.2g} to {found.high:.2g}"
        rows.append(
            (
                *(dial(pair.setting.get(name)) for name in names),
                f"{pair.sparse.row['reward']} / {pair.dense.row['reward']}",
                *(times, ends, f"{found.at_least:.2g}"),
                f"{found.n[0]}, {found.n[1]}",
            )
        )
    if not rows:
        return None
    return Grid(
        title=f"{world}: budget to competence {level:g}, sparse over dense",
        headers=(*_heads(names), "reward", "ratio", "95 %", "at least", "seeds"),
        dials=len(names) + 1,
        rows=tuple(rows),
        muted=tuple(False for _ in rows),
        total=len(pairs) if len(rows) == MOST_ROWS else 0,
    )


def _varied(cells: Sequence[Cell], keys: Sequence[str]) -> tuple[list[str], str]:
    """The factors that differ between the cells of a world, and the others in words."""
    own = [key for key in keys if key != "world"]
    varied = varying(factors_of(cells, keys), own)
    return varied, setting(cells[0].row, [key for key in own if key not in varied])


def _title(world: str, same: str) -> str:
    return f"{world} ({same})" if same else world


def _heads(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(short(name) for name in names)


def _dagger(sure: bool) -> str:
    return "" if sure else f" {DAGGER}"
