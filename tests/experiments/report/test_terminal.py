"""The printed tables: nothing cut, nothing made up."""

from __future__ import annotations

import io
from math import nan

import pytest
from rich.console import Console
from synthetic import frame, make_results, trial_rows

from powerseek.experiments.analysis.summary import summarise
from powerseek.experiments.analysis.view import View
from powerseek.experiments.report.tables import world_grids
from powerseek.experiments.report.terminal import print_table


@pytest.fixture(scope="module")
def results():
    return make_results(seeds=4, unlearnt=2)


def printed(results, width=100):
    target = io.StringIO()
    print_table(View(results), Console(file=target, width=width, force_terminal=False))
    return target.getvalue()


def test_all_censored_is_shown_as_not_confirmatory():
    trials = [
        trial_rows(
            {"competence": 0.2, "acquired": 1.0, "excess": 0.5, "need": 0.5}, "censored", seed=seed
        )
        for seed in range(3)
    ]
    assert "\u2020" in printed(frame(*trials))


def test_failed_trials_have_a_column_where_there_are_any():
    good = [trial_rows({"competence": 1.0, "acquired": 2.0}, seed=seed) for seed in range(2)]
    bad = trial_rows({}, "failed", seed=2)
    assert " fail" in printed(frame(*good, bad))
    assert " fail" not in printed(frame(*good))


def test_a_cell_of_failures_only_has_no_numbers():
    found = frame(trial_rows({}, "failed"), trial_rows({"competence": 1.0}, reward="terminal"))
    lines = [line for line in printed(found).splitlines() if line.startswith("dense")]
    assert "0.00" not in lines[0]
    assert " - " in lines[0]


def test_without_an_oracle_the_table_says_so():
    trials = [trial_rows({"competence": 1.0, "acquired": 2.0}, seed=seed) for seed in range(2)]
    assert printed(frame(*trials)).count("no oracle") == 2


def test_a_missing_metric_is_a_dash():
    text = printed(frame(trial_rows({"competence": 1.0, "success": nan})))
    line = next(line for line in text.splitlines() if line.startswith("dense"))
    assert line.split() == ["dense", "1.00", "(1/1)"]


@pytest.mark.parametrize("width", [40, 80, 100, 120, 200])
def test_no_number_is_cut(results, width):
    text = printed(results, width)
    for grid in world_grids(summarise(results)):
        for row in grid.rows:
            for cell in row:
                for word in cell.split():
                    assert word in text
    # A cut number would end in the mark for left-out letters.
    assert "\u2026" not in text.split("competence:")[0]
    if width >= 80:
        assert max(len(line.rstrip()) for line in text.splitlines()) <= width


@pytest.mark.parametrize("width", [80, 100, 120])
def test_every_row_keeps_its_numbers_together(results, width):
    """Each part of a table that does not fit has as many lines as cells."""
    text = printed(results, width)
    grid = world_grids(summarise(results))[0]
    for row in grid.rows:
        excess = row[grid.headers.index("excess")]
        assert any(excess in line and row[0] in line for line in text.splitlines())


@pytest.mark.parametrize(
    "name", ["\u4e16\u754c/\u0444\u00fc", "[bold]x[/bold]", "<b>&amp;", "a\\[b", "\U0001f3e1"]
)
def test_odd_names_are_printed_as_they_are(name):
    text = printed(frame(trial_rows({"competence": 1.0}, world=name, reward=name)))
    assert text.count(name) == 2


def test_no_results_is_said_in_words(results):
    assert printed(results.iloc[:0]).strip() == "No trial has finished yet."
