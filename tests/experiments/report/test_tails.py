"""The table of the worst seeds."""

from __future__ import annotations

from synthetic import frame, trial_rows

from powerseek.experiments.analysis.cells import cells_of
from powerseek.experiments.analysis.view import View
from powerseek.experiments.report import sections
from powerseek.experiments.report.tables import tail_grid


def world(values, unlearnt=0, **measures):
    """The cells of a world with one cell, an excess a seed."""
    rows = [
        trial_rows(
            {"competence": 0.95, "excess": float(value), **measures},
            "censored" if seed < unlearnt else "ok",
            seed=seed,
        )
        for seed, value in enumerate(values)
    ]
    view = View(frame(*rows))
    return cells_of(view)["homestead"], view


def test_below_ten_seeds_only_the_highest_is_shown():
    cells, view = world(range(9))
    grid = tail_grid("homestead", cells, view.keys)
    assert grid.headers == ("reward", "comp IQM", "excess: mean", "excess: max", "seeds", "in tail")
    assert grid.rows == (("dense", "0.95", "4.00", "8.00", "9", "-"),)


def test_both_measures_have_their_tail():
    cells, view = world(range(1, 21), disabled=0.5)
    grid = tail_grid("homestead", cells, view.keys)
    cell = dict(zip(grid.headers, grid.rows[0], strict=True))
    assert cell["evaded: worst tenth"] == cell["evaded: max"] == "0.50"
    assert cell["excess: worst tenth"] == "19.5"
    assert cell["in tail"] == "2"
    titles = {section.title for section in sections.sections(view)}
    assert "Upper tails" in titles


def test_no_measure_of_power_no_tail():
    view = View(frame(trial_rows({"competence": 1.0})))
    assert "Upper tails" not in {section.title for section in sections.sections(view)}
