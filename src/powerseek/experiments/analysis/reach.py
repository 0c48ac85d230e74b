"""Who learnt the task and when: reach rates, and budgets to a competence with censoring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf, isfinite, nan
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from powerseek.experiments.report.figures.style import Cell
from powerseek.experiments.report.text import (
    DAGGER,
    MISSING,
    MOST_ROWS,
    SHORT,
    Grid,
    dial,
    setting,
    varying,
)
from powerseek.experiments.results.table import Results, by_cell, long
from powerseek.experiments.statistics.survival import budget_ratio, median_budget
from powerseek.experiments.study.contrasts import arms

CROSSING = "competence>="


class Budgets(NamedTuple):
    """When each seed of a cell first reached a competence.

    Attributes:
        steps: [n] environment steps at which it was seen to, or trained in all where it never was.
        reached: [n] True where it was.
    """

    steps: np.ndarray[Any, np.dtype[np.float64]]
    reached: np.ndarray[Any, np.dtype[np.bool_]]


def levels(results: Results) -> list[float]:
    """The levels of competence that a study watched for, rising.

    CAVEAT: Only those that some trial reached are in its results.
    """
    found = (str(name) for name in long(results).checkpoints()["checkpoint"].unique())
    known = [name.removeprefix(CROSSING) for name in found if name.startswith(CROSSING)]
    return sorted(float(level) for level in known)


def crossings(results: Results) -> pd.DataFrame:
    """One row a finished trial: ``end`` (steps trained) and, by level, steps at the crossing.

    A column a level of `levels`, nan where the trial never reached it.
    """
    told = long(results).checkpoints()
    names = ["end", *(f"{CROSSING}{level:g}" for level in levels(results))]
    wide = told.set_index(["trial", "checkpoint"])["timesteps"].astype(float).unstack("checkpoint")
    wide = wide.reindex(columns=names)
    return wide.rename(columns={name: name.removeprefix(CROSSING) for name in names})


def budgets(seeds: pd.DataFrame, steps: pd.DataFrame, level: float) -> Budgets:
    """When the seeds of a cell reached a level.

    Args:
        seeds: Its trials.
        steps: From `crossings`.
        level: The competence.

    CAVEAT: A crossing is seen at the next look, so a budget is too large by up to the time
    between two evaluations; a seed may have fallen below the level again by the end.
    """
    mine = steps.reindex(seeds["trial"])
    when = mine[f"{level:g}"] if f"{level:g}" in mine else mine["end"] * nan
    # The last and largest evaluation may show what the smaller ones while training did not.
    reached = when.notna().to_numpy() | (seeds["competence"] >= level).to_numpy()
    steps_taken = when.fillna(mine["end"]).to_numpy(dtype=np.float64)
    return Budgets(steps_taken, reached.astype(np.bool_))


def wilson(learnt: int, seeds: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share, in [0, 1]; nan of no seeds.

    Source: Wilson 1927. CAVEAT: covers .95 on average over shares, less at some.
    """
    if not seeds:
        return nan, nan
    found = stats.binomtest(learnt, seeds).proportion_ci(0.95, method="wilson")
    return float(found.low), float(found.high)


def reach_grid(world: str, cells: Sequence[Cell], keys: Sequence[str], steps: pd.DataFrame) -> Grid:
    """Seeds finished, failed and censored, reach rate, and median budgets, as a table.

    Args:
        world: The world.
        cells: Its cells.
        keys: Columns that make a cell.
        steps: From `crossings`.
    """
    dials = pd.DataFrame([{key: cell.row[key] for key in keys} for cell in cells])
    varied = varying(dials, [key for key in keys if key != "world"])
    same = setting(cells[0].row, [key for key in keys if key not in ("world", *varied)])
    known = [float(name) for name in steps.columns if name != "end"]
    rows = []
    for cell in cells[:MOST_ROWS]:
        seeds, row = len(cell.places), cell.row
        learnt = seeds - int(row["censored"])
        low, high = wilson(learnt, seeds)
        share = f"{learnt / seeds:.2f} [{low:.2f}, {high:.2f}]" if seeds else MISSING
        rows.append(
            (
                *(dial(row[name]) for name in varied),
                *(str(seeds), str(row["failed"]), str(row["censored"])),
                share + ("" if row["confirmatory"] else f" {DAGGER}"),
                *(thousands(*median_budget(*budgets(cell.seeds, steps, at))) for at in known),
            )
        )
    heads = ("n", "fail", "cens", "reach [95 %]", *(f"steps to {level:g}" for level in known))
    return Grid(
        title=f"{world} ({same})" if same else world,
        headers=(*(SHORT.get(name, name) for name in varied), *heads),
        dials=len(varied),
        rows=tuple(rows),
        muted=tuple(not cell.row["confirmatory"] for cell in cells[:MOST_ROWS]),
        total=len(cells),
    )


def thousands(low: float, high: float) -> str:
    """A median budget: ``12k``, or ``> 120k`` where fewer than half of the seeds got there."""
    if not isfinite(low):
        return MISSING
    text = f"{low / 1000:.3g}k" if low < 1e6 else f"{low / 1e6:.3g}M"
    return f"> {text}" if high == inf else text


def ratio_grid(
    world: str, cells: Sequence[Cell], keys: Sequence[str], steps: pd.DataFrame, level: float
) -> Grid | None:
    """How many times the dense arm's budget each sparse arm needs, at each horizon; None of none.

    An arm with a seed that is competent untrained has no ratio: its budget would be 0.

    Args:
        world: The world.
        cells: Its cells.
        keys: Columns that make a cell.
        steps: From `crossings`.
        level: The competence to reach.
    """
    table = pd.DataFrame([{key: cell.row[key] for key in keys} for cell in cells])
    others = [key for key in keys if key not in ("world", "reward")]
    names = ["max_steps", *(n for n in varying(table, others) if n not in ("reward", "max_steps"))]
    rng = np.random.default_rng(0)
    rows: list[tuple[str, ...]] = []
    total = 0
    for shared, members in by_cell(table, others):
        by_arm = {str(cells[i].row["reward"]): cells[i] for i in members.index}
        pairs = [*arms("timing", by_arm)[-1:], *arms("sparse", by_arm)]
        told = {**shared, **_horizon(by_arm)}
        for a, b in pairs:
            total += all(len(by_arm[str(arm)].places) for arm in (a, b))
            if len(rows) == MOST_ROWS:
                continue
            both = [budgets(by_arm[str(arm)].seeds, steps, level) for arm in (a, b)]
            if any((arm.steps <= 0).any() for arm in both):
                continue
            found = budget_ratio(*both[0], *both[1], rng)
            if isfinite(found.at_least):
                times = f"{found.value:.2g}" if isfinite(found.value) else MISSING
                ends = f"{found.low:.2g} to {found.high:.2g}" if isfinite(found.low) else MISSING
                least = f"{found.at_least:.2g}"
                dials = (dial(told.get(name)) for name in names)
                rows.append(
                    (*dials, f"{a} / {b}", times, ends, least, f"{found.n[0]}, {found.n[1]}")
                )
    if not rows:
        return None
    return Grid(
        title=f"{world}: budget to competence {level:g}, sparse over dense",
        headers=(
            *(SHORT.get(name, name) for name in names),
            *("reward", "ratio", "95 %", "at least", "seeds"),
        ),
        dials=len(names) + 1,
        rows=tuple(rows),
        muted=tuple(False for _ in rows),
        total=total if len(rows) == MOST_ROWS else 0,
    )


def _horizon(by_arm: Mapping[str, Cell]) -> dict[str, object]:
    """The horizon of a setting, which is no dial of a study that never varies it."""
    cell = next(iter(by_arm.values()))
    known = cell.values("max_steps")
    return {"max_steps": known[0]} if len(known) else {}
