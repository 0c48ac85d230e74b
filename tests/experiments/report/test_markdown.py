"""The Markdown summary says what the page says, and no name in it is markup."""

from __future__ import annotations

import json

import pytest
from synthetic import frame, make_results, trial_rows

from powerseek.experiments.analysis.view import View
from powerseek.experiments.report.markdown import write_summary
from powerseek.experiments.report.sections import pictures, sections
from powerseek.experiments.report.tables import world_grids

NASTY = "<b>|*a*_b_[x](y)`#\\"


def summary(table, folder):
    view = View(table, folder)
    parts = sections(view)
    return view, parts, write_summary(view, parts, folder).read_text(encoding="utf-8")


def cells(line):
    """The cells of a row of a Markdown table as they are shown."""
    kept, cell, escaped = [], "", False
    for letter in line.strip()[1:]:
        if escaped or letter not in "|\\":
            cell, escaped = cell + letter, False
        elif letter == "\\":
            escaped = True
        else:
            kept, cell = [*kept, cell.strip()], ""
    return kept


def test_every_table_row_and_every_picture_is_there(tmp_path):
    view, parts, text = summary(make_results(seeds=2), tmp_path)
    shown = [cells(line) for line in text.splitlines() if line.startswith("|")]
    for grid in world_grids(view.summary):
        for row in grid.rows:
            assert [" ".join(cell.split()) for cell in row] in shown
    for picture in pictures(parts):
        assert f"(figures/{picture.name}.png)" in text


def test_a_table_has_one_width(tmp_path):
    _, _, text = summary(make_results(seeds=2), tmp_path)
    for block in text.split("\n\n"):
        widths = {len(cells(line)) for line in block.splitlines() if line.startswith("|")}
        assert len(widths) <= 1


def test_names_are_not_markup(tmp_path):
    (tmp_path / "internals").mkdir()
    (tmp_path / "internals/provenance.json").write_text(
        json.dumps({"study": NASTY, "identity": "0"})
    )
    measures = {"competence": 1.0, "acquired": 1.0, "excess": 0.5}
    table = frame(trial_rows(measures, world=NASTY, reward=NASTY, study=NASTY))
    _, _, text = summary(table, tmp_path)
    for bare in ("<b>", "*a*", "[x]", "`"):
        assert bare not in text.replace("\\" + bare[0], "")
    assert any(NASTY in cells(line) for line in text.splitlines() if line.startswith("|"))


@pytest.mark.parametrize("rows", [0, 40])
def test_poor_results_make_a_summary(tmp_path, rows):
    _, _, text = summary(make_results(seeds=1).iloc[:rows], tmp_path)
    assert text.startswith("# powerseek: ")
    assert "nan" not in text
