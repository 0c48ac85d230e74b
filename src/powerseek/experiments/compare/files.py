"""Files of a comparison of runs: a row an effect as CSV, the tables as Markdown, a forest plot."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from powerseek.errors import InvalidInput
from powerseek.experiments.compare.claims import Effect, setting_text
from powerseek.experiments.compare.side_by_side import SideBySide
from powerseek.experiments.compare.text import (
    MEANINGS,
    alone_in_words,
    claims_in_words,
    differences_grid,
    is_muted,
    match_grid,
    per_arm_text,
    reasons_in_words,
    runs_in_words,
    unit_text,
    verdict_text,
)
from powerseek.experiments.report.figures.forest import ForestPanel, ForestRow, forest_picture
from powerseek.experiments.report.figures.style import Picture
from powerseek.experiments.report.pages import render
from powerseek.experiments.results.files import guarded_results_file, keep_bytes
from powerseek.experiments.statistics.verdicts import units_in_words

CSV, MARKDOWN, PNG, SVG = "compare.csv", "compare.md", "forest.png", "forest.svg"
FILES = (CSV, MARKDOWN, PNG, SVG)


def csv_table(found: SideBySide) -> pd.DataFrame:
    """One row an effect, matched or not; numbers in `unit`, a column a factor of the settings."""
    rows = []
    for matched, effects in (
        (True, [one for match in found.matches for one in match.effects]),
        (False, found.alone),
    ):
        for one in effects:
            row = {name: getattr(one, name) for name in _PLAIN}
            row |= {f"reach_{end}": value for end, value in zip("ab", one.reach, strict=False)}
            row |= {f"competence_{e}": v for e, v in zip("ab", one.competence, strict=False)}
            rows.append({"in_two_runs": matched, **row, **one.setting})
    return pd.DataFrame(rows)


_PLAIN = (
    *("run", "claim", "claimed", "confirmatory", "kind", "subject", "measure", "arms"),
    *("effect", "low", "high", "null", "margin", "unit", "exact", "seeds", "layouts"),
    *("verdict", "reasons"),
)


def panels(found: SideBySide) -> Iterator[ForestPanel]:
    """The panels of the forest plot: one a comparison and unit."""
    for match in found.matches:
        for unit in dict.fromkeys(one.unit for one in match.effects):
            own = [one for one in match.effects if one.unit == unit]
            names = [*dict.fromkeys(one.claim for one in own if one.claim)]
            arms = [*dict.fromkeys(one.arms for one in own)]
            rows = tuple(
                ForestRow(
                    one.run,
                    "; ".join(
                        part
                        for part in (
                            setting_text(one, match.varied),
                            one.arms if len(arms) > 1 else "",
                        )
                        if part
                    ),
                    one.effect,
                    one.low,
                    one.high,
                    one.null,
                    one.margin,
                    _told(one),
                    is_muted(one),
                )
                for one in own
            )
            title = ", ".join(names) or own[0].kind
            title += f": {arms[0]}" if len(arms) == 1 else ""
            told = f", in {unit_text(unit)}" if unit_text(unit) else ""
            yield ForestPanel(title, f"{own[0].subject}{told}", rows)


def _told(one: Effect) -> str:
    seeds = "exact" if one.exact else units_in_words(one.seeds, one.layouts)
    return f"{verdict_text(one)} \u00b7 {seeds} \u00b7 competence {per_arm_text(one.competence)}"


def forest(found: SideBySide) -> Picture:
    """The forest plot: every effect with its interval, run below run."""
    return forest_picture([*panels(found)], [run.name for run in found.runs])


def check_files(out: Path) -> None:
    """Refuse a folder that holds anything but an earlier comparison.

    Raises:
        InvalidInput: It does, or it is no folder.
        StoreError: It cannot be read.
    """
    with guarded_results_file(out, "read"):
        there = out.exists()
        if there and not out.is_dir():
            raise InvalidInput("--out", str(out), "a directory")
        held = sorted(path.name for path in out.iterdir()) if there else []
    other = [name for name in held if name not in FILES]
    if other:
        allowed = f"an empty or absent directory, or one of a comparison, not with {other[0]!r}"
        raise InvalidInput("--out", str(out), allowed, "Choose another --out.")


def write_files(found: SideBySide, out: Path) -> list[Path]:
    """Write the comparison as CSV, Markdown and a picture; each all or nothing.

    Raises:
        StoreError: The folder cannot be written.
    """
    picture = forest(found)
    grids = [(match_grid(m), claims_in_words(m), reasons_in_words(m)) for m in found.matches]
    table = io.StringIO()
    csv_table(found).to_csv(table, index=False)
    page = render(
        MARKDOWN,
        runs=runs_in_words(found),
        differences=differences_grid(found),
        notes=found.notes,
        matches=grids,
        meanings=MEANINGS,
        picture=picture,
        file=PNG,
        alone=alone_in_words(found.alone),
    )
    png, svg = picture.files()
    contents = (table.getvalue().encode(), page.encode(), png, svg)
    for name, data in zip(FILES, contents, strict=True):
        with guarded_results_file(out):
            out.mkdir(parents=True, exist_ok=True)
        keep_bytes(out / name, data)
    return [out / name for name in FILES]
