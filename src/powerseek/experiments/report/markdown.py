"""The report as Markdown: to paste into an issue, a paper's supplement, or a README."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from powerseek.experiments import layout
from powerseek.experiments.analysis.view import View
from powerseek.experiments.report.figures.style import Picture
from powerseek.experiments.report.hypotheses import ClaimText, Verdicts, verdicts_of
from powerseek.experiments.report.sections import (
    Html,
    Part,
    Section,
    Terms,
    Words,
    heading,
    headline,
)
from powerseek.experiments.report.text import MOST_ROWS, Grid
from powerseek.experiments.results.files import write_atomically
from powerseek.experiments.results.provenance import read_provenance, told


def write_summary(view: View, parts: Sequence[Section], folder: Path) -> Path:
    """Write the Markdown summary of a study; its pictures are the PNGs of ``figures``.

    Args:
        view: The study.
        parts: What it shows, from `sections`.
        folder: Where to; what was recorded there of its runs is used where present.

    Returns:
        The path of ``summary.md``, written whole or not at all.
    """
    provenance = read_provenance(folder)
    blocks = [f"# {_text(heading(view, provenance, folder))}", _text(headline(view))]
    blocks += _verdicts(verdicts_of(view))
    for section in parts:
        blocks += [f"## {_text(section.title)}", *(_part(part) for part in section.parts)]
    if provenance:
        facts = [f"- {name}: {_text(value)}" for name, value in told(provenance).items()]
        blocks += ["## Provenance", "\n".join(facts)]
    text = "\n\n".join(block for block in blocks if block) + "\n"
    path = folder / layout.SUMMARY
    write_atomically(path, lambda draft: draft.write_text(text, encoding="utf-8"))
    return path


def _verdicts(verdicts: Verdicts) -> list[str]:
    if not (verdicts.claims or verdicts.notes):
        return []
    notes = [f"**{_text(note)}**" for note in verdicts.notes]
    return [
        "## Verdicts",
        _text(verdicts.registered),
        *notes,
        *(_claim(claim) for claim in verdicts.claims),
    ]


def _claim(claim: ClaimText) -> str:
    blocks = [f"### {_text(claim.title)}: {_text(claim.label)}", _text(claim.claimed)]
    blocks += [f"Note: {_text(claim.note)}."] if claim.note else []
    for found in claim.found:
        lines = (found.effect, found.evidence, found.wanting)
        head = f"- **{_text(found.answer)}** {_text(found.where)}"
        blocks.append("  \n  ".join([head, *(_text(line) for line in lines if line)]))
    return "\n\n".join(blocks)


def _part(part: Part) -> str:
    if isinstance(part, Words):
        head = [f"### {_text(part.title)}"] if part.title else []
        return "\n\n".join([*head, _text(part.text)])
    if isinstance(part, Terms):
        told = (f"- **{_text(name)}**: {_text(said)}" for name, said in part.meanings.items())
        return "\n".join([f"{_text(part.title)}:", "", *told])
    if isinstance(part, Html):
        return _text(part.text)
    return _grid(part) if isinstance(part, Grid) else _picture(part)


def _grid(grid: Grid) -> str:
    sides = (
        ":--" if i < grid.dials or head == "verdict" else "--:"
        for i, head in enumerate(grid.headers)
    )
    rows = [grid.headers, tuple(sides), *grid.rows[:MOST_ROWS]]
    lines = (
        "| " + " | ".join(_cell(text, i != 1) for text in row) + " |" for i, row in enumerate(rows)
    )
    folded = grid.folded
    return "\n".join([f"**{_text(grid.title)}**", "", *lines, *(["", folded] if folded else [])])


def _cell(text: str, escaped: bool) -> str:
    return _text(text) if escaped else text


def _picture(picture: Picture) -> str:
    path = f"{layout.FIGURES}/{picture.name}.png"
    return f"![{_text(picture.title)}]({path})\n\n*{_text(picture.caption)}*"


def _text(value: object) -> str:
    """Text that Markdown shows as it is: nothing in it is markup, and it stays on its line."""
    text = " ".join(str(value).split())
    for mark in "\\`*_[]<>|#":
        text = text.replace(mark, f"\\{mark}")
    return text
