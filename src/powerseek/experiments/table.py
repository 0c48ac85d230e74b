"""The results as one row a cell, and that table in the terminal.

Each cell's power measures rest on the seeds that learnt the task (status ``ok``); where none did,
on all finished seeds, and the row is marked as not confirmatory. ``competence`` always rests on
all finished seeds. Failed trials are counted, never scored.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from powerseek.experiments.cells import (
    EXACT,
    MEASURES,
    by_cell,
    checked,
    dials,
    scored,
    strata,
    trials,
)
from powerseek.experiments.contrasts import contrasts
from powerseek.experiments.hypotheses_text import Verdicts, refer, verdicts_of
from powerseek.experiments.kinds import KINDS
from powerseek.experiments.presentation import (
    Grid,
    contrast_grids,
    legend,
    world_grids,
)
from powerseek.experiments.statistics import bootstrap
from powerseek.experiments.verdicts import LEAST_REACH


def summarise(results: pd.DataFrame, rng: np.random.Generator | None = None) -> pd.DataFrame:
    """One row a cell: means over seeds with 95 % intervals, from sampled evaluation at the end.

    Args:
        results: As written by a sweep.
        rng: Source of chance for the bootstrap; by default always the same one, so that a page
            made twice is the same page.

    Returns:
        The cell's dials; for each measure its mean, ``_low`` and ``_high`` (bootstrap over seeds;
        range over optimal policies for the exact ones); ``seeds`` finished, ``scored`` (seeds
        behind the power measures), ``censored``, ``failed``, ``reach`` (share of finished seeds
        that learnt the task), ``confirmatory`` (reach >= .9) and ``oracle`` (whether exact numbers
        exist). nan, never 0, where a number does not exist.
    """
    rng = np.random.default_rng(0) if rng is None else rng
    results = checked(results)
    keys = dials(results)
    finished = trials(results)
    every = results.drop_duplicates("trial", keep="last")
    failed = set(results.loc[results["status"] == "failed", "trial"])
    held = {_hashable(cell, keys): rows for cell, rows in by_cell(finished, keys)}
    rows = []
    for cell, members in by_cell(every, keys):
        seeds = held.get(_hashable(cell, keys), finished.iloc[:0])
        row = {**cell, **_measures(seeds, rng), **_counts(seeds)}
        rows.append({**row, "failed": int(members["trial"].isin(failed).sum())})
    return pd.DataFrame(rows, columns=None if rows else [*keys, *MEASURES])


def _hashable(cell: dict[str, object], keys: list[str]) -> tuple[object, ...]:
    return tuple(None if pd.isna(cell[key]) else cell[key] for key in keys)  # type: ignore[call-overload]  # scalars only


def _counts(seeds: pd.DataFrame) -> dict[str, object]:
    learnt = int(seeds["learnt"].sum())
    reach = learnt / len(seeds) if len(seeds) else np.nan
    return {
        "seeds": len(seeds),
        "scored": learnt or len(seeds),
        "censored": len(seeds) - learnt,
        "reach": reach,
        "confirmatory": bool(reach >= LEAST_REACH - 1e-9),
        "oracle": bool(seeds["need"].notna().any()),
    }


def _measures(seeds: pd.DataFrame, rng: np.random.Generator) -> dict[str, float]:
    row: dict[str, float] = {}
    for name in MEASURES:
        rows = seeds if name == "competence" else scored(seeds)
        estimate = bootstrap(rows[name].to_numpy(), rng, strata=strata(rows))
        low, high = estimate.low, estimate.high
        if name in EXACT:
            low, high = rows[f"{name}_low"].mean(), rows[f"{name}_high"].mean()
        row |= {name: estimate.value, f"{name}_low": float(low), f"{name}_high": float(high)}
    return row


def print_table(
    results: pd.DataFrame, console: Console | None = None, out: Path | str | None = None
) -> None:
    """Print the finished study: a table a world, comparisons, column meanings, and verdicts.

    Args:
        results: As written by a sweep.
        console: Where to; 100 columns or more read best.
        out: Its directory, for the verdicts on what the study claims; none are printed without.
    """
    console = Console() if console is None else console
    if results.empty:
        console.print("No trial has finished yet.")
        return
    grids = world_grids(summarise(results))
    for grid in grids:
        _print_grid(grid, console)
    verdicts = Verdicts() if out is None else verdicts_of(results, out)
    compared = contrast_grids(refer(contrasts(results), verdicts.found))
    for kind, tables in compared.items():
        console.print(Text(KINDS[kind].title, style="bold underline"))
        for grid in tables:
            _print_grid(grid, console)
    _print_legend([*grids, *(grid for tables in compared.values() for grid in tables)], console)
    _print_verdicts(verdicts, console)


def _print_verdicts(verdicts: Verdicts, console: Console) -> None:
    if not (verdicts.claims or verdicts.notes):
        return
    console.print()
    console.print(Text("Verdicts", style="bold underline"))
    for words in (verdicts.registered, *verdicts.notes):
        if words:
            console.print(Text(words))
    for claim in verdicts.claims:
        console.print()
        console.print(Text.assemble((claim.title, "bold"), f"  [{claim.label}]"))
        console.print(_indented(claim.claimed))
        if claim.note:
            console.print(_indented(f"Note: {claim.note}."))
        for found in claim.found:
            head = Text.assemble((found.answer.upper(), "bold"), f"  {found.where}")
            console.print(Padding(head, (0, 0, 0, 2)))
            for words in (found.effect, found.evidence, found.wanting):
                if words:
                    console.print(_indented(words, 4))


def _indented(words: str, by: int = 2) -> Padding:
    return Padding(Text(words), (0, 0, 0, by))


def _print_grid(grid: Grid, console: Console) -> None:
    console.print(Text(grid.title, style="bold"))
    for columns in _fitting(grid, console.width):
        drawn = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
        for i in columns:
            words = i < grid.dials or grid.headers[i] == "verdict"
            drawn.add_column(Text(grid.headers[i]), justify="left" if words else "right")
        for row, muted in zip(grid.rows, grid.muted, strict=True):
            drawn.add_row(*(Text(row[i]) for i in columns), style="dim" if muted else "")
        console.print(drawn)
    console.print()


def _fitting(grid: Grid, width: int) -> list[list[int]]:
    """Columns of each part of a table, so that no part is wider than the console."""
    widths = [
        max(cell_len(text) for text in column) + 1
        for column in zip(grid.headers, *grid.rows, strict=True)
    ]
    dial_columns = list(range(grid.dials))
    parts = [dial_columns.copy()]
    for i in range(grid.dials, len(widths)):
        # A verdict may wrap; a number must not be cut.
        fits = sum(widths[column] for column in (*parts[-1], i)) <= width
        if not fits and grid.headers[i] != "verdict" and len(parts[-1]) > grid.dials:
            parts.append(dial_columns.copy())
        parts[-1].append(i)
    return parts


def _print_legend(grids: list[Grid], console: Console) -> None:
    drawn = Table.grid(padding=(0, 2, 0, 0))
    for header, meaning in legend(grids).items():
        drawn.add_row(Text(header, style="bold"), Text(meaning))
    console.print(drawn)
