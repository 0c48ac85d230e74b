"""Who learnt the task and when; seeds that never did are censored, not dropped."""

from __future__ import annotations

import pytest
from synthetic import frame, trial_rows

from powerseek.experiments.analysis.budgets import competence_levels
from powerseek.experiments.analysis.cells import cells_of
from powerseek.experiments.analysis.reach import (
    reach_curve,
)
from powerseek.experiments.analysis.view import View


def trial(when, level=0.9, end=100_000, **identity):
    """Rows of one seed that reached a level at `when`, or never."""
    learnt = when is not None
    measures = {"competence": 0.95 if learnt else 0.4}
    last = trial_rows(measures, "ok" if learnt else "censored", **identity)
    rows = [{**row, "timesteps": end} for row in last]
    if learnt:
        crossing = trial_rows(measures, checkpoint=f"competence>={level:g}", **identity)
        rows += [{**row, "timesteps": when} for row in crossing]
    return rows


def arm(times, **identity):
    return [trial(when, seed=seed, **identity) for seed, when in enumerate(times)]


def seen(*trials):
    results = frame(*trials)
    view = View(results)
    (cells,) = cells_of(view).values()
    return cells, view.crossings, results


def test_budgets_are_the_steps_at_the_crossing_or_all_there_were():
    (cell,), crossings, results = seen(*arm([30_000, None, 50_000]))
    assert competence_levels(results) == crossings.levels == [0.9]
    found = crossings.budgets(cell.seeds["trial"], 0.9)
    assert list(found.steps) == [30_000, 100_000, 50_000]
    assert list(found.reached) == [True, False, True]


def test_what_the_last_evaluation_shows_counts_at_the_end():
    late = [{**row, "timesteps": 80_000} for row in trial_rows({"competence": 0.93}, seed=1)]
    (cell,), crossings, _ = seen(trial(30_000), late)
    found = crossings.budgets(cell.seeds["trial"], 0.9)
    assert list(found.steps) == [30_000, 80_000]
    assert list(found.reached) == [True, True]


def test_the_curve_is_that_of_the_seeds_watched():
    (cell,), crossings, _ = seen(*arm([20_000, 60_000, None, None]))
    found = reach_curve(crossings.budgets(cell.seeds["trial"], 0.9))
    assert list(found.steps) == [0, 20_000, 60_000, 100_000]
    assert list(found.fraction) == pytest.approx([0, 0.25, 0.5, 0.5])
    assert (list(found.given_up), list(found.fraction_there)) == ([100_000], [0.5])
