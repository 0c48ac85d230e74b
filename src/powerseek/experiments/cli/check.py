"""A conformance report in the terminal: a table of verdicts, then what failed and what to write."""

from __future__ import annotations

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from powerseek.envs.checks.run import CHECKS, FAILED, NOT_APPLICABLE, PASSED, Report

FEW = 2
STYLES = {PASSED: "green", FAILED: "bold red", NOT_APPLICABLE: "dim"}


def print_report(report: Report, console: Console) -> None:
    """Print every verdict with its meaning, then each failure with its evidence.

    Args:
        report: What `check_world` found.
        console: Where to; 100 columns or more read best.
    """
    about = {check.name: check.about for check in CHECKS}
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for header in ("check", "verdict", "what it means", "found"):
        table.add_column(header, no_wrap=header in ("check", "verdict"))
    grouped = _shared_reasons(report)
    for finding in report.findings:
        if finding.found in grouped:
            continue
        found = "see below" if finding.verdict == FAILED else finding.found
        cells = (finding.check, finding.verdict, about[finding.check], found)
        style = STYLES[finding.verdict]
        table.add_row(*(Text(cell, style=style if i == 1 else "") for i, cell in enumerate(cells)))
    console.print(table)
    for why, names in grouped.items():
        console.print()
        console.print(Text(f"not applicable: {', '.join(names)}: {why}", style="dim"))
    for finding in report.findings:
        if finding.verdict == FAILED:
            console.print()
            console.print(Text(f"{finding.check}: {about[finding.check]}", style="bold"))
            console.print(Padding(Text(finding.found), (0, 0, 0, 2)))
            console.print(Padding(Text(f"Instead: {finding.instead}"), (0, 0, 0, 2)))
    console.print()
    console.print(Text(_verdict(report), style="bold"))


def _shared_reasons(report: Report) -> dict[str, list[str]]:
    """Checks that do not apply, by their reason, where a reason has more than `FEW` of them."""
    names: dict[str, list[str]] = {}
    for finding in report.findings:
        if finding.verdict == NOT_APPLICABLE:
            names.setdefault(finding.found, []).append(finding.check)
    return {why: checks for why, checks in names.items() if len(checks) > FEW}


def _verdict(report: Report) -> str:
    counts = [f.verdict for f in report.findings]
    passed, skipped = counts.count(PASSED), counts.count(NOT_APPLICABLE)
    rest = f", {skipped} not applicable" if skipped else ""
    if report.conforms:
        return f"{report.world} conforms: {passed} passed{rest}."
    failed = ", ".join(report.failed)
    return f"{report.world} does not conform: {failed} failed; {passed} passed{rest}."
