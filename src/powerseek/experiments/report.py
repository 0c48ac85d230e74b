"""The report: one HTML page that needs nothing else, readable on a phone, light and dark."""

from __future__ import annotations

import base64
import html
import json
import os
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

import pandas as pd

from powerseek.experiments.cells import checked
from powerseek.experiments.contrasts import contrasts
from powerseek.experiments.drawing import DARK, Picture
from powerseek.experiments.figures import pictures, read_table
from powerseek.experiments.hypotheses_text import (
    ANSWERS,
    ClaimText,
    FindingText,
    Verdicts,
    refer,
    verdicts_of,
)
from powerseek.experiments.kinds import KINDS
from powerseek.experiments.presentation import (
    LEGEND,
    Grid,
    contrast_grids,
    legend,
    world_grids,
)
from powerseek.experiments.table import summarise

NAME = "report.html"


def write_report(results: pd.DataFrame, out: Path | str) -> Path:
    """Write the page of a study.

    Args:
        results: As written by a sweep.
        out: Directory of the study; ``preregistration.json``, ``provenance.json``,
            ``frontiers.parquet`` and ``curves.parquet`` in it are used where present.

    Returns:
        The path of ``report.html``, written whole or not at all.
    """
    folder = Path(out)
    provenance = _provenance(folder)
    verdicts = verdicts_of(results, folder)
    page = Template(_template()).substitute(
        title=_text(f"powerseek: {provenance.get('study') or _name(results) or folder.name}"),
        headline=_headline(results),
        verdicts=_verdicts(verdicts),
        body=_body(results, folder, verdicts),
        provenance=_provenance_html(provenance),
    )
    path = folder / NAME
    draft = folder / f".{NAME}.part"
    draft.write_text(page, encoding="utf-8")
    os.replace(draft, path)
    return path


def _body(results: pd.DataFrame, folder: Path, verdicts: Verdicts) -> str:
    if results.empty:
        return "<p>No trial has finished yet.</p>"
    results = checked(results)
    summary, compared = summarise(results), refer(contrasts(results), verdicts.found)
    found = pictures(results, read_table(folder, "frontiers"), read_table(folder, "curves"))
    parts = ["<h2>What each treatment led to</h2>"]
    for grid in world_grids(summary):
        parts.append(_grid(grid))
    parts.append(_legend(world_grids(summary)))
    parts.append("<h2>Comparisons</h2>")
    if verdicts.claims:
        parts.append(
            "<p>Only what a hypothesis named beforehand, with its margin, gets a verdict; the "
            "other rows are effects and intervals to look at.</p>"
        )
    for kind, grids in contrast_grids(compared).items():
        parts += [f"<h3>{_text(KINDS[kind].title)}</h3>", f"<p>{_text(KINDS[kind].meaning)}</p>"]
        parts += [_grid(grid) for grid in grids]
    parts.append("<h2>Pictures</h2>")
    parts += [_figure(picture) for picture in found]
    return "\n".join(parts)


def _verdicts(verdicts: Verdicts) -> str:
    """What the study claimed beforehand and what came of it, or that it claimed nothing."""
    parts = ['<section class="verdicts">', "<h2>Verdicts</h2>"]
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
        terms = "".join(
            f"<dt>{_text(answer)}</dt><dd>{_text(meaning)}</dd>"
            for answer, meaning in ANSWERS.items()
        )
        parts.append(
            f"<details><summary>What the verdicts mean</summary><dl>{terms}</dl></details>"
        )
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


def _headline(results: pd.DataFrame) -> str:
    """One sentence of counts, so that a reader knows how much stands behind the page."""
    if results.empty:
        return ""
    status = results.drop_duplicates("trial", keep="last")["status"].value_counts()
    trials, seeds = results["trial"].nunique(), results["seed"].nunique()
    words = [f"{trials} training runs, up to {seeds} seeds per setting"]
    if status.get("censored", 0):
        words.append(f"{status['censored']} never learnt the task and are not scored")
    if status.get("failed", 0):
        words.append(f"{status['failed']} failed")
    return _text("; ".join(words) + ".")


def _grid(grid: Grid) -> str:
    head = "".join(
        f'<th class="{_column(grid, i)}" title="{_text(LEGEND.get(name, ""))}">{_text(name)}</th>'
        for i, name in enumerate(grid.headers)
    )
    rows = "".join(
        f"<tr{' class=muted' if muted else ''}>"
        + "".join(
            f'<td class="{_column(grid, i)}">{_text(cell)}</td>' for i, cell in enumerate(row)
        )
        + "</tr>"
        for row, muted in zip(grid.rows, grid.muted, strict=True)
    )
    return (
        f'<h4>{_text(grid.title)}</h4><div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _column(grid: Grid, i: int) -> str:
    return "w" if i < grid.dials or grid.headers[i] == "verdict" else "n"


def _legend(grids: Sequence[Grid]) -> str:
    terms = "".join(
        f"<dt>{_text(name)}</dt><dd>{_text(meaning)}</dd>"
        for name, meaning in legend(grids).items()
    )
    return f"<details open><summary>What the columns mean</summary><dl>{terms}</dl></details>"


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


def _provenance(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _provenance_html(provenance: dict[str, Any]) -> str:
    if not provenance:
        return "<p>No provenance was recorded.</p>"
    runs = provenance.get("runs") or [{}]
    last = runs[-1]
    machine, versions = last.get("machine", {}), last.get("versions", {})
    facts = {
        "study": provenance.get("study"),
        "configuration": str(provenance.get("identity", ""))[:16],
        "made by": last.get("command"),
        "finished": last.get("finished"),
        "wall time": f"{provenance.get('wall_seconds', 0):.0f} s in {len(runs)} run(s)",
        "code": last.get("revision"),
        "machine": ", ".join(
            str(machine[k]) for k in ("processor", "cores", "system") if machine.get(k)
        ),
        "versions": ", ".join(f"{name} {number}" for name, number in versions.items()),
    }
    rows = "".join(
        f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>" for name, value in facts.items() if value
    )
    return f"<dl>{rows}</dl>"


def _name(results: pd.DataFrame) -> str:
    return "" if results.empty else str(results["study"].iloc[0])


def _template() -> str:
    folder = resources.files("powerseek.experiments") / "templates"
    return (folder / "report.html").read_text(encoding="utf-8")


def _text(value: object) -> str:
    return html.escape(str(value), quote=True)
