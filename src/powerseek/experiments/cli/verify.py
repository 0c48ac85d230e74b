"""A verification in the terminal: a line a check, then the verdict."""

from __future__ import annotations

from collections.abc import Iterable

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from powerseek.experiments.console import Console
from powerseek.experiments.verify.checks import DIFFERS, NOTE, OK, SKIPPED, Check

STYLES = {OK: "green", DIFFERS: "bold red", NOTE: "yellow", SKIPPED: "dim"}
WORD = len(DIFFERS) + 1


def print_checks(checks: Iterable[Check], console: Console) -> bool:
    """Print each check as it ends.

    Args:
        checks: From `powerseek.experiments.verify.run.verify_run`.
        console: Where to.

    Returns:
        True if nothing differs.
    """
    counts = dict.fromkeys(STYLES, 0)
    for check in checks:
        counts[check.word] += 1
        if check.word == SKIPPED:
            console.print(Text(f"{SKIPPED}: {check.found}", style="dim"))
            continue
        line = Table.grid(padding=(0, 1, 0, 0))
        line.add_column(width=WORD)
        line.add_column()
        words = Text.assemble((check.name, "bold"), f": {check.found}")
        line.add_row(Text(check.word, style=STYLES[check.word]), words)
        console.print(line)
    passed, differ = counts[OK] + counts[NOTE], counts[DIFFERS]
    said = (
        f"{differ} of {passed + differ} checks differ." if differ else f"All {passed} checks pass."
    )
    console.print(Padding(Text(said, style="bold"), (1, 0, 0, 0)))
    return not differ
