"""A finished study in the terminal."""

from __future__ import annotations

from rich.cells import cell_len
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from powerseek.experiments.analysis.calibration import study_doubts
from powerseek.experiments.analysis.cells import cells_of
from powerseek.experiments.analysis.view import View
from powerseek.experiments.console import Console
from powerseek.experiments.report.comparisons import contrast_grids, refer_to_hypotheses
from powerseek.experiments.report.glance import glance
from powerseek.experiments.report.hypotheses import Verdicts, verdicts_of
from powerseek.experiments.report.tables import world_grids
from powerseek.experiments.report.text import Grid, table_legend
from powerseek.experiments.study.contrasts import contrast_kind


def print_answer(view: View, console: Console) -> None:
    """Print what a study found in a few sentences, and the most important columns behind them."""
    _print_glance(view, console)
    grids = world_grids(view.summary, view.asked, doubts=study_doubts(view))
    for grid in grids:
        print_grid(grid, console)
    _print_legend(grids, console)


def _print_glance(view: View, console: Console) -> None:
    found = glance(view, cells_of(view))
    for line in (*found.answers, *found.details):
        console.print(Text(line))
    console.print()


def print_table(view: View, console: Console | None = None, *, every: bool = False) -> None:
    """Print the finished study: what was found, a table a world, comparisons, and verdicts.

    Args:
        view: The study.
        console: Where to; 100 columns or more read best.
        every: True for all columns of its tables of treatments, not the most important ones.
    """
    console = Console() if console is None else console
    if view.results.empty:
        console.print("No trial has finished yet.")
        return
    _print_glance(view, console)
    grids = world_grids(view.summary, view.asked, every=every, doubts=study_doubts(view))
    for grid in grids:
        print_grid(grid, console)
    for words in view.foot:
        console.print(Text(words, style="dim"))
    verdicts = verdicts_of(view)
    compared = contrast_grids(refer_to_hypotheses(view.compared, verdicts.found))
    for kind, tables in compared.items():
        console.print(Text(contrast_kind(kind).title, style="bold underline"))
        for grid in tables:
            print_grid(grid, console)
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
    if verdicts.checks:
        console.print(Text("Manipulation checks", style="bold"))
    for words in verdicts.checks:
        console.print(_indented(words))
    for claim in verdicts.claims:
        console.print()
        console.print(Text.assemble((claim.title, "bold"), f"  [{claim.label}]"))
        console.print(_indented(claim.claimed))
        if claim.note:
            console.print(_indented(f"Note: {claim.note}."))
        for found in claim.found:
            head = Text.assemble((found.answer.upper(), "bold"), f"  {found.where}")
            console.print(Padding(head, (0, 0, 0, 2)))
            for words in (found.effect, *found.evidence, found.wanting):
                if words:
                    console.print(_indented(words, 4))


def _indented(words: str, by: int = 2) -> Padding:
    return Padding(Text(words), (0, 0, 0, by))


def print_grid(grid: Grid, console: Console) -> None:
    """Print a table, in parts where it is wider than the console: no word is cut."""
    console.print(Text(grid.title, style="bold"))
    for columns in _fitting(grid, console.width):
        drawn = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
        for i in columns:
            drawn.add_column(Text(grid.headers[i]), justify="left" if grid.words[i] else "right")
        for row, muted in grid.shown:
            drawn.add_row(*(Text(row[i]) for i in columns), style="dim" if muted else "")
        console.print(drawn)
    for words in filter(None, (grid.folded, *grid.notes)):
        console.print(Text(words, style="dim"))
    console.print()


def _fitting(grid: Grid, width: int) -> list[list[int]]:
    """Columns of each part of a table, so that no part is wider than the console."""
    widths = [
        max(cell_len(text) for text in column) + 1
        for column in zip(grid.headers, *(row for row, _ in grid.shown), strict=True)
    ]
    label_columns = list(range(grid.labels))
    parts = [label_columns.copy()]
    for i in range(grid.labels, len(widths)):
        # A verdict may wrap; a number must not be cut.
        fits = sum(widths[column] for column in (*parts[-1], i)) <= width
        if not fits and grid.headers[i] != "verdict" and len(parts[-1]) > grid.labels:
            parts.append(label_columns.copy())
        parts[-1].append(i)
    return parts


def _print_legend(grids: list[Grid], console: Console) -> None:
    drawn = Table.grid(padding=(0, 2, 0, 0))
    for header, meaning in table_legend(grids).items():
        drawn.add_row(Text(header, style="bold"), Text(meaning))
    console.print(drawn)
