"""The command that shows several runs side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from powerseek.experiments.compare.claims import Match
from powerseek.experiments.compare.files import check_files, write_files
from powerseek.experiments.compare.runs import run_names
from powerseek.experiments.compare.side_by_side import SideBySide, side_by_side
from powerseek.experiments.compare.text import (
    MEANINGS,
    alone_in_words,
    claims_in_words,
    differences_grid,
    match_grid,
    reasons_in_words,
    runs_in_words,
)
from powerseek.experiments.console import Console
from powerseek.experiments.report.terminal import print_grid
from powerseek.experiments.results.files import folder_of


def compare_runs(
    runs: Sequence[str],
    out: str | None,
    console: Console,
    say: Callable[[str], None],
    shown: Callable[[Path], str],
) -> None:
    """Compare runs, print it and keep it.

    Args:
        runs: Their results directories.
        out: Where files go; by default below ``runs/compare``, by the names of the runs.
        console: Where tables go.
        say: Prints a line.
        shown: A path as a user would type it.
    """
    names = "-and-".join(name.replace("/", "-") for name in run_names(runs))
    folder = folder_of(out or Path("runs") / "compare" / names[:150])
    check_files(folder)
    found = side_by_side(runs)
    print_side_by_side(found, console)
    say("")
    for path in write_files(found, folder):
        say(f"{path.name + ':':<13}{shown(path)}")


def print_side_by_side(found: SideBySide, console: Console) -> None:
    """Print the comparison: what differs first, then a table a comparison."""
    for line in runs_in_words(found):
        console.print(Text(line))
    console.print()
    if found.differences:
        print_grid(differences_grid(found), console)
    else:
        console.print(Text("Nothing differs in their configuration.\n"))
    for line in found.notes:
        console.print(Text(f"Note: {line}\n", style="yellow"))
    for match in found.matches:
        _print_match(match, console)
    legend = Table.grid(padding=(0, 2, 0, 0))
    for head, meaning in MEANINGS.items():
        legend.add_row(Text(head, style="bold"), Text(meaning))
    console.print(legend)
    if found.alone:
        console.print()
        console.print(Text("In one run only", style="bold"))
        for line in alone_in_words(found.alone):
            console.print(Padding(Text(line), (0, 0, 0, 2)))


def _print_match(match: Match, console: Console) -> None:
    print_grid(match_grid(match), console)
    for line in (*claims_in_words(match), *reasons_in_words(match)):
        console.print(Padding(Text(line), (0, 0, 0, 2)))
    if match.effects[0].claim:
        console.print()
