"""The page stands alone and is well formed; it and the summary say what the tables say."""

from __future__ import annotations

import base64
import json
from math import nan

import pytest
from synthetic import frame, make_curves, make_frontiers, make_results, trial_rows
from webpage import Page, check_alone

from powerseek.errors import InvalidInput
from powerseek.experiments.analysis.summary import summarise
from powerseek.experiments.analysis.view import View
from powerseek.experiments.report import pages
from powerseek.experiments.report.sections import report_pictures, sections
from powerseek.experiments.report.tables import world_grids


def write_report(table, folder):
    view = View(table, folder)
    return pages.write_report(view, sections(view), folder)


def page(table, folder):
    text = write_report(table, folder).read_text(encoding="utf-8")
    found = Page(text)
    check_alone(found, text)
    return found, text


@pytest.fixture(scope="module")
def results():
    return make_results(seeds=3, unlearnt=2)


@pytest.fixture(scope="module")
def full(results, tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    (folder / "internals").mkdir()
    make_curves(results).to_parquet(folder / "internals/curves.parquet")
    make_frontiers().to_parquet(folder / "internals/frontiers.parquet")
    provenance = {
        "study": "made-up",
        "identity": "0123456789abcdef0123",
        "wall_seconds": 61.4,
        "runs": [
            {
                "command": "powerseek sweep <made-up>",
                "wall_seconds": 61.4,
                "machine": {"processor": "x", "cores": 2, "system": "Linux"},
                "versions": {"numpy": "2.4"},
            }
        ],
    }
    (folder / "internals/provenance.json").write_text(json.dumps(provenance))
    found, text = page(results, folder)
    return folder, found, text


def test_the_page_is_the_only_file_written(full):
    assert {path.name for path in full[0].iterdir()} == {"report.html", "internals"}
    assert {path.name for path in (full[0] / "internals").iterdir()} == {
        *("curves.parquet", "frontiers.parquet", "provenance.json")
    }


def test_a_page_of_html_for_phones_and_for_the_dark(full):
    _, found, text = full
    assert text.lower().startswith("<!doctype html>")
    meta = [attributes for tag, attributes in found.tags if tag == "meta"]
    assert {"charset": "utf-8"} in [{k: (v or "").lower() for k, v in a.items()} for a in meta]
    assert any("width=device-width" in (a.get("content") or "") for a in meta)
    assert "prefers-color-scheme: dark" in text
    assert dict(found.tags)["html"].get("lang") == "en"
    assert len(text) < 3_000_000


def test_every_picture_is_there_light_and_dark(full):
    _, found, _ = full
    images = [attributes for tag, attributes in found.tags if tag == "img"]
    sources = [attributes for tag, attributes in found.tags if tag == "source"]
    assert len(images) == len(sources) >= 12
    assert all(attributes["alt"] for attributes in images)
    for light, dark in zip(images, sources, strict=True):
        assert dark["media"] == "(prefers-color-scheme: dark)"
        assert light["src"] != dark["srcset"]
        for data in (light["src"], dark["srcset"]):
            assert base64.b64decode(data.split(",")[1], validate=True).startswith(b"\x89PNG")


def test_every_cell_of_the_table_is_in_the_page(full, results):
    _, found, _ = full
    for grid in world_grids(summarise(results)):
        for row in grid.rows:
            start = next(
                i for i in range(len(found.cells)) if found.cells[i : i + len(row)] == list(row)
            )
            assert start >= 0


def test_counts_and_provenance_are_in_words(full, results):
    _, found, _ = full
    trials = results["trial"].nunique()
    censored = results[results["status"] == "censored"]["trial"].nunique()
    assert f"{trials} training runs, up to 3 seeds per setting" in found.words
    assert f"{censored} never learnt the task and are not scored" in found.words
    assert "powerseek sweep <made-up>" in found.words
    assert "61 s in 1 run(s)" in found.words


NASTY = '<script>alert("x")</script>&\u4e16\u754c\'$title${body}'


def test_names_are_escaped(tmp_path):
    measures = {"competence": 1.0, "acquired": 1.0, "excess": 0.5, "disabled": 0.5}
    trials = [
        trial_rows(measures, world=NASTY, goal=NASTY, reward=reward, study=NASTY)
        for reward in (NASTY, "dense", "every cap")
    ]
    text = write_report(frame(*trials), tmp_path).read_text(encoding="utf-8")
    found = Page(text)
    assert "<script>alert" not in text
    assert NASTY in found.words
    assert NASTY in found.cells


@pytest.mark.parametrize(
    "table",
    [
        make_results(seeds=1).query("openness == 0 and gamma == 1"),
        frame(trial_rows({}, "failed")),
        frame(trial_rows({"competence": 0.1, "acquired": 1.0}, "censored")),
        frame(trial_rows({"competence": nan, "acquired": nan, "excess": nan, "disabled": nan})),
        frame(trial_rows({"return": 1.0}, openness=nan, goal=None)),
    ],
    ids=["one seed", "failed", "censored without oracle", "nan", "foreign world"],
)
def test_poor_results_make_a_page(table, tmp_path):
    found, _ = page(table, tmp_path)
    assert "nan" not in " ".join(found.cells)
    assert "None" not in found.cells


def test_nan_is_a_dash_and_never_zero(tmp_path):
    unknown = trial_rows({"competence": nan, "acquired": nan})
    known = trial_rows({"competence": 1.0, "acquired": 1.0}, reward="terminal")
    found, _ = page(frame(unknown, known), tmp_path)
    assert found.cells[:5] == ["dense", "- (1/1)", *["-"] * 3]
    assert found.cells[5:10] == ["terminal", "1.00 (1/1)", "no oracle", "1.00", "no oracle"]


def test_no_results_make_a_page(results, tmp_path):
    found, _ = page(results.iloc[:0], tmp_path)
    assert "No trial has finished yet." in found.words


@pytest.mark.parametrize("held", ["", "[]", "{", "null"])
def test_a_broken_provenance_is_no_reason_to_fail(held, tmp_path):
    (tmp_path / "internals").mkdir()
    (tmp_path / "internals/provenance.json").write_text(held)
    found, _ = page(frame(trial_rows({"competence": 1.0})), tmp_path)
    assert "internals/provenance.json: cannot be read" in found.words


def test_an_unknown_table_leaves_the_old_page(results, tmp_path):
    old = write_report(results.iloc[:0], tmp_path).read_text()
    with pytest.raises(InvalidInput, match="metric"):
        write_report(results.drop(columns="metric"), tmp_path)
    assert (tmp_path / "report.html").read_text() == old


def test_every_link_of_the_contents_leads_to_a_heading(full):
    _, found, _ = full
    links = [attributes["href"] for tag, attributes in found.tags if tag == "a"]
    anchors = ["#" + a["id"] for tag, a in found.tags if tag == "h2"]
    assert links == anchors
    assert len(set(links)) == len(links) > 7


def test_a_page_shows_the_first_rows_of_a_long_table_and_says_so(tmp_path):
    many = frame(*(trial_rows({"competence": 1.0}, reward=f"r{i:02}") for i in range(70)))
    found, _ = page(many, tmp_path)
    assert [cell for cell in found.cells if cell.startswith("r")][:60] == [
        f"r{i:02}" for i in range(60)
    ]
    assert "r60" not in found.cells
    assert "The first 60 of 70 rows, in the order of the study" in found.words


MARKS = "<b>|*a*_b_[x](y)`#\\~~c~~&amp;$d$"


def summary(table, folder):
    view = View(table, folder)
    parts = sections(view)
    return view, parts, pages.write_summary(view, parts, folder).read_text(encoding="utf-8")


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


def test_every_table_row_and_every_picture_is_in_the_summary(tmp_path):
    view, parts, text = summary(make_results(seeds=2), tmp_path)
    shown = [cells(line) for line in text.splitlines() if line.startswith("|")]
    for grid in world_grids(view.summary):
        for row in grid.rows:
            assert [" ".join(cell.split()) for cell in row] in shown
    for picture in report_pictures(parts):
        assert f"(figures/{picture.name}.png)" in text


def test_a_table_of_the_summary_has_one_width(tmp_path):
    _, _, text = summary(make_results(seeds=2), tmp_path)
    for block in text.split("\n\n"):
        widths = {len(cells(line)) for line in block.splitlines() if line.startswith("|")}
        assert len(widths) <= 1


def test_names_are_not_markup_in_the_summary(tmp_path):
    (tmp_path / "internals").mkdir()
    (tmp_path / "internals/provenance.json").write_text(
        json.dumps({"study": MARKS, "identity": "0"})
    )
    measures = {"competence": 1.0, "acquired": 1.0, "excess": 0.5}
    table = frame(trial_rows(measures, world=MARKS, reward=MARKS, study=MARKS))
    _, _, text = summary(table, tmp_path)
    for bare in ("<b>", "*a*", "[x]", "`", "~~c", "&amp;", "$d$"):
        assert bare not in text.replace("\\" + bare[0], "")
    assert any(MARKS in cells(line) for line in text.splitlines() if line.startswith("|"))


@pytest.mark.parametrize("rows", [0, 40])
def test_poor_results_make_a_summary(tmp_path, rows):
    _, _, text = summary(make_results(seeds=1).iloc[:rows], tmp_path)
    assert text.startswith("# powerseek: ")
    assert "nan" not in text


@pytest.mark.parametrize("written", [summary, lambda *given: page(*given)], ids=["md", "html"])
def test_no_name_steers_a_terminal_or_turns_a_page_round(written, tmp_path):
    name = "a\x1b[31mb\x9bc\u202ed"
    measures = {"competence": 1.0, "acquired": 1.0, "excess": 0.5}
    text = str(written(frame(trial_rows(measures, world=name, study=name)), tmp_path)[-1])
    assert "a\ufffd" in text
    assert not set(text) & set("\x1b\x9b\u202e")


def test_the_answer_and_its_picture_stand_before_all_else(full):
    """So that a phone's first screen shows them."""
    text = full[2].partition("<body>")[2]
    places = [
        text.index(part)
        for part in ('<ul class="glance">', "<figure>", 'class="contents"', 'id="verdicts"')
    ]
    assert places == sorted(places)
    assert "<p" not in text[: places[0]]


def test_every_table_scrolls_with_a_cue_and_keeps_its_first_column(full):
    text = full[2]
    assert text.count("<table") == text.count('<div class="scroll" tabindex="0" role="region"') > 3
    style = text.partition("<style>")[2].partition("</style>")[0]
    rules = {rule.partition("{")[0].strip(): rule.partition("{")[2] for rule in style.split("}")}
    assert "overflow-x: auto" in rules[".scroll"]
    assert "var(--shade)" in rules[".scroll"]  # a shadow at the edge behind which there is more
    sticky = rules[".scroll th:first-child, .scroll td:first-child"]
    assert "position: sticky" in sticky
    assert "left: 0" in sticky
    assert "background: var(--ground)" in rules[".scroll td:first-child"]  # what passes below


def test_comparisons_that_cannot_tell_say_below_what_would_change_it(full):
    words = " ".join(full[1].words.split())
    assert "What would change cannot tell: " in words
    assert "name it under hypotheses: with a margin, in a study that has not run yet" in words
