"""The report: one HTML page that needs nothing else, readable on a phone, light and dark."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from itertools import groupby
from pathlib import Path
from string import Template
from typing import Any

from powerseek.experiments import layout
from powerseek.experiments.analysis.view import View
from powerseek.experiments.report.figures.style import DARK, Picture
from powerseek.experiments.report.hypotheses import (
    ANSWERS,
    ClaimText,
    FindingText,
    Verdicts,
    verdicts_of,
)
from powerseek.experiments.report.sections import (
    Html,
    Part,
    Section,
    Terms,
    Words,
    heading,
    headline,
)
from powerseek.experiments.report.text import MOST_ROWS, Grid, meanings
from powerseek.experiments.results.files import write_atomically
from powerseek.experiments.results.provenance import read_provenance, told

# Headings of the template, by their anchors: above the study's own and below.
BEFORE = (("verdicts", "Verdicts"), ("about", "What this page is about"))
AFTER = (("cannot-tell", "What this cannot tell you"), ("provenance", "Provenance"))


def write_report(view: View, parts: Sequence[Section], folder: Path) -> Path:
    """Write the page of a study.

    Args:
        view: The study.
        parts: What it shows, from `sections`.
        folder: Where to; what was recorded there of its runs is used where present.

    Returns:
        The path of ``report.html``, written whole or not at all.
    """
    provenance = read_provenance(folder)
    page = Template(_template()).substitute(
        title=_text(heading(view, provenance, folder)),
        headline=_text(headline(view)),
        contents=_contents(parts),
        verdicts=_verdicts(verdicts_of(view)),
        body="\n".join(_section(part) for part in parts),
        provenance=_provenance_html(provenance),
    )
    path = folder / layout.REPORT
    write_atomically(path, lambda draft: draft.write_text(page, encoding="utf-8"))
    return path


def _contents(parts: Sequence[Section]) -> str:
    """Links to every heading of the page: its own, and the study's between them."""
    titles = [(_anchor(section.title), section.title) for section in parts]
    links = (
        f'<li><a href="#{anchor}">{_text(title)}</a></li>'
        for anchor, title in (*BEFORE, *titles, *AFTER)
    )
    return "".join(links)


def _anchor(title: str) -> str:
    return re.sub(r"\W+", "-", title.lower()).strip("-")


def _section(section: Section) -> str:
    shown = []
    for pictures, parts in groupby(section.parts, lambda part: isinstance(part, Picture)):
        drawn = "\n".join(_part(part) for part in parts)
        shown.append(f'<div class="figures">{drawn}</div>' if pictures else drawn)
    body = "\n".join(shown)
    return f'<h2 id="{_anchor(section.title)}">{_text(section.title)}</h2>\n{body}'


def _part(part: Part) -> str:
    if isinstance(part, Words):
        head = f"<h3>{_text(part.title)}</h3>" if part.title else ""
        return head + (f"<p>{_text(part.text)}</p>" if part.text else "")
    if isinstance(part, Terms):
        return _terms(part.title, part.meanings, opened=True)
    if isinstance(part, Html):
        return part.html
    return _grid(part) if isinstance(part, Grid) else _figure(part)


def _terms(title: str, meanings: Mapping[str, str], opened: bool = False) -> str:
    terms = "".join(
        f"<dt>{_text(name)}</dt><dd>{_text(meaning)}</dd>" for name, meaning in meanings.items()
    )
    state = " open" if opened else ""
    return f"<details{state}><summary>{_text(title)}</summary><dl>{terms}</dl></details>"


def _verdicts(verdicts: Verdicts) -> str:
    """What the study claimed beforehand and what came of it, or that it claimed nothing."""
    parts = ['<section class="verdicts">', '<h2 id="verdicts">Verdicts</h2>']
    if verdicts.registered:
        parts.append(f'<p class="soft">{_text(verdicts.registered)}</p>')
    if verdicts.notes:
        notes = "".join(f"<li>{_text(note)}</li>" for note in verdicts.notes)
        parts.append(f'<ul class="notes">{notes}</ul>')
    if not verdicts.claims and not verdicts.notes:
        parts.append(
            "<p>This study named no hypothesis before it ran, so it gives effects and "
            "intervals, and no verdict.</p>"
        )
    parts += [_claim(claim) for claim in verdicts.claims]
    if verdicts.claims:
        parts.append(_terms("What the verdicts mean", ANSWERS))
    return "\n".join([*parts, "</section>"])


def _claim(claim: ClaimText) -> str:
    note = f'<p class="note">Note: {_text(claim.note)}.</p>' if claim.note else ""
    return (
        f'<article><h3>{_text(claim.title)} <span class="answer {_class(claim.answer)}">'
        f"{_text(claim.label)}</span></h3><p>{_text(claim.claimed)}</p>{note}"
        + "".join(_finding(found) for found in claim.found)
        + "</article>"
    )


def _finding(found: FindingText) -> str:
    lines = [
        f'<b class="{_class(found.answer)}">{_text(found.answer)}</b> {_text(found.where)}',
        f"{_text(found.effect)}",
        f"{_text(found.wanting)}",
    ]
    evidence = f'<p class="soft">{_text(found.evidence)}</p>' if found.evidence else ""
    told = "".join(f"<p>{line}</p>" for line in lines if line)
    return f'<div class="finding {_class(found.answer)}">{told}{evidence}</div>'


def _class(answer: str) -> str:
    return answer.split()[0]


def _grid(grid: Grid) -> str:
    told = meanings()
    head = "".join(
        f'<th class="{_column(grid, i)}" title="{_text(told.get(name, ""))}">{_text(name)}</th>'
        for i, name in enumerate(grid.headers)
    )
    rows = "".join(
        f"<tr{' class=muted' if muted else ''}>"
        + "".join(
            f'<td class="{_column(grid, i)}">{_text(cell)}</td>' for i, cell in enumerate(row)
        )
        + "</tr>"
        for row, muted in zip(*(kept[:MOST_ROWS] for kept in (grid.rows, grid.muted)), strict=True)
    )
    folded = grid.folded
    return (
        f'<h4>{_text(grid.title)}</h4><div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
        + (f'<p class="soft">{_text(folded)}</p>' if folded else "")
    )


def _column(grid: Grid, i: int) -> str:
    return "w" if i < grid.dials or grid.headers[i] == "verdict" else "n"


def _figure(picture: Picture) -> str:
    light, dark = (
        "data:image/png;base64," + base64.b64encode(data).decode()
        for data in (picture.png(), picture.png(DARK))
    )
    return (
        f"<figure><h3>{_text(picture.title)}</h3><picture>"
        f'<source media="(prefers-color-scheme: dark)" srcset="{dark}">'
        f'<img src="{light}" alt="{_text(picture.title)}"></picture>'
        f"<figcaption>{_text(picture.caption)}</figcaption></figure>"
    )


def _provenance_html(provenance: dict[str, Any]) -> str:
    if not provenance:
        return "<p>No provenance was recorded.</p>"
    rows = "".join(
        f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>" for name, value in told(provenance).items()
    )
    return f"<dl>{rows}</dl>"


def _template() -> str:
    folder = resources.files("powerseek.experiments.report") / "templates"
    return (folder / "report.html").read_text(encoding="utf-8")


def _text(value: object) -> str:
    return html.escape(str(value), quote=True)
