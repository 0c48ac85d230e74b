"""What a sweep would do, in the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import islice
from typing import Any

import pandas as pd
from rich.table import Table
from rich.text import Text

from powerseek.experiments.console import Console
from powerseek.experiments.plan.text import hours_text
from powerseek.experiments.results.files import without_passwords
from powerseek.experiments.run import DryRun
from powerseek.experiments.study.factors import factors_in_words, levels_of, varying_factors
from powerseek.experiments.study.grid import Cell, Trial

MAX_ROWS = 60
"""Cells that are listed."""


def print_dry_run(found: DryRun, hours: float | None, console: Console) -> None:
    """Print what a sweep would do.

    Args:
        found: From `powerseek.experiments.run.dry_run`.
        hours: Time that it would have; None where it has all it needs.
        console: Where to.
    """
    console.print(Text(f"Dry run of {found.study.name}; nothing was run or written", style="bold"))
    console.print()
    console.print(_cells_table(found))
    console.print()
    for line in lines_of(found, hours):
        console.print(Text(line))


def _cells_table(found: DryRun) -> Table:
    """A row a trained cell: what it is, and its trials by what would become of them."""
    drawn = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    drawn.add_column("world", no_wrap=True)
    drawn.add_column("cell")
    for head in ("steps", "seeds", "finished", "to run"):
        drawn.add_column(head, justify="right", no_wrap=True)

    def row(cell: Cell) -> Any:
        """Seeds nested in layouts are those of one row."""
        return frozenset(levels_of(cell).items()) if found.study.layouts else cell.key

    trained = [trial for trial in found.grid if not trial.cell.is_reference]
    keys = {id(trial.cell): row(trial.cell) for trial in found.grid}
    cells = {keys[id(trial.cell)]: trial.cell for trial in trained}
    seeds, missing = (
        Counter(keys[id(trial.cell)] for trial in some if not trial.cell.is_reference)
        for some in (found.grid, found.missing)
    )
    named = zip(cells.items(), _names(list(cells.values())), strict=True)
    for (key, cell), name in islice(named, MAX_ROWS):
        counts = (cell.timesteps, seeds[key], seeds[key] - missing[key], missing[key])
        drawn.add_row(Text(cell.world), Text(name), *(f"{count:,}" for count in counts))
    if len(cells) > MAX_ROWS:
        drawn.add_row("", Text(f"... and {len(cells) - MAX_ROWS:,} more cells"))
    return drawn


def _names(cells: Sequence[Cell]) -> list[str]:
    """Each cell by the factors that vary in its world."""
    table = pd.DataFrame([levels_of(cell) for cell in cells])
    columns = [str(name) for name in table if name not in ("world", "version", "budget")]
    varied = {
        str(world): varying_factors(rows, columns)
        for world, rows in table.groupby("world", sort=False)
    }
    return [factors_in_words(levels_of(cell), varied[cell.world]) for cell in cells]


def lines_of(found: DryRun, hours: float | None) -> list[str]:
    """What would be run, in words."""
    trials, missing = len(found.grid), found.missing
    steps = sum(trial.cell.timesteps for trial in missing)
    finished = f"{trials - len(missing):,} of {trials:,} trials"
    lines = [
        f"results: {without_passwords(found.store.shown(found.store.out))}",
        f"finished there: {finished}{_in_brackets(found)}",
        f"to run: {len(missing):,} trials, {steps:,} steps of training",
    ]
    if missing:
        many = [cohort for cohort in found.cohorts if len(cohort) > 1]
        together = f", {_together(many)}" if many else ""
        at_once = _counted(found.workers, "cohort" if many else "trial")
        lines.append(f"at a time: {at_once}{together}")
    else:
        lines.append("It would only report on what is finished.")
    if references := [trial for trial in found.grid if trial.cell.is_reference]:
        names = ", ".join(dict.fromkeys(trial.cell.agent for trial in references))
        lines.append(f"{len(references):,} of the trials are references, not trained: {names}")
    if hours is not None:
        lines.append(
            f"time: {hours_text(hours)}, in rounds of whole seeds (packed round by round), as many "
            "as the measured pace allows"
        )
    return lines


def _in_brackets(found: DryRun) -> str:
    parts = []
    if found.again:
        parts.append(f"{len(found.again):,} failed and would be tried again")
    if found.begun:
        parts.append(f"{len(found.begun):,} would go on from a checkpoint")
    return f" ({'; '.join(parts)})" if parts else ""


def _together(cohorts: Sequence[Sequence[Trial]]) -> str:
    sizes = [len(cohort) for cohort in cohorts]
    packed = _counted(len(sizes), "cohort")
    return f"{sum(sizes):,} trials side by side in {packed} of at most {max(sizes)}"


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"
