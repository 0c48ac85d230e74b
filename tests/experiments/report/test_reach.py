"""The section about who learnt the task and when: its tables and its curves."""

from __future__ import annotations

import pandas as pd
import pytest
from synthetic import frame, made_dense, places, trial_rows

from powerseek.experiments.analysis.cells import cells_of
from powerseek.experiments.analysis.view import View
from powerseek.experiments.report import sections
from powerseek.experiments.report.figures.reach import reach_picture
from powerseek.experiments.report.figures.style import LIGHT
from powerseek.experiments.report.tables import ratio_grid, reach_grid

PLACES = places(["dense", "every cap", "terminal"])


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
    return cells, view.keys, view.crossings, results


def test_failed_trials_are_counted_and_have_no_budget():
    cells, keys, steps, _ = seen(*arm([30_000, 50_000]), trial_rows({}, "failed", seed=7))
    grid = reach_grid("homestead", cells, keys, steps)
    (row,) = (dict(zip(grid.headers, row, strict=True)) for row in grid.rows)
    assert (row["n"], row["fail"], row["cens"]) == ("2", "1", "0")
    assert row["steps to 0.9 [95 %]"].split()[0] == "30k"


def test_the_table_says_who_reached_what_and_when():
    cells, keys, steps, _ = seen(
        *arm([10_000, 20_000, 30_000, None]), *arm([90_000, None, None], reward="terminal")
    )
    grid = reach_grid("homestead", cells, keys, steps)
    dense, terminal = (dict(zip(grid.headers, row, strict=True)) for row in grid.rows)
    assert dense["reach [95 %]"].startswith("0.75 [0.30, 0.95]")
    assert dense["steps to 0.9 [95 %]"] == "20k"
    assert terminal["steps to 0.9 [95 %]"] == "> 100k"
    assert terminal["cens"] == "2"
    assert grid.muted == (True, True)


def test_the_ratio_is_of_medians_at_each_horizon():
    short = [*arm([10_000] * 6, max_steps=16), *arm([40_000] * 6, max_steps=16, reward="terminal")]
    long = [*arm([10_000] * 6), *arm([None] * 6, reward="terminal")]
    cells, keys, steps, _ = seen(*short, *long)
    grid = ratio_grid("homestead", cells, keys, PLACES, steps, 0.9)
    first, second = (dict(zip(grid.headers, row, strict=True)) for row in grid.rows)
    assert (first["steps"], first["reward"], first["ratio"]) == ("16", "terminal / dense", "4")
    # Nobody got there: a lower bound, and no ratio.
    assert (second["steps"], second["ratio"], second["at least"]) == ("28", "-", "10")


def test_timing_and_terminal_stand_in_rows_of_their_own():
    trials = (
        arm([10_000 * (i + 1)], reward=r) for i, r in enumerate(("dense", "every cap", "terminal"))
    )
    cells, keys, steps, _ = seen(*(rows for rows in trials for rows in rows))
    grid = ratio_grid("homestead", cells, keys, PLACES, steps, 0.9)
    assert [row[1] for row in grid.rows] == ["every cap / dense", "terminal / dense"]


@pytest.mark.parametrize("able", ["dense", "terminal"])
def test_whoever_is_competent_untrained_has_no_ratio(able):
    times = {"dense": [20_000, 30_000], "terminal": [40_000, 60_000]}
    for reward, grids in ((able, 0), ("nobody", 1)):
        given = times | {reward: [0, 30_000]}
        rows = [trial for name in times for trial in arm(given[name], reward=name)]
        cells, keys, steps, _ = seen(*rows)
        assert bool(ratio_grid("homestead", cells, keys, PLACES, steps, 0.9)) == grids


def test_one_arm_has_no_ratio():
    cells, keys, steps, _ = seen(*arm([10_000]))
    assert ratio_grid("homestead", cells, keys, PLACES, steps, 0.9) is None


def test_the_curve_rises_where_a_seed_learns_and_ends_below_one_where_some_never_do():
    cells, keys, steps, _ = seen(*arm([20_000, 60_000, None, None]))
    picture = reach_picture("homestead", cells, keys, steps, 0.9)
    (axes,) = picture.draw(LIGHT).axes
    curve, given_up = axes.lines
    assert list(curve.get_xdata()) == [0, 20_000, 60_000, 100_000]
    assert list(curve.get_ydata()) == pytest.approx([0, 0.25, 0.5, 0.5])
    assert (list(given_up.get_xdata()), list(given_up.get_ydata())) == ([100_000], [0.5])


def test_the_section_is_there_and_says_when_nobody_got_there():
    view = View(pd.DataFrame(made_dense(seeds=2, arms=("dense", "every cap"), unlearnt=1)))
    parts = {s.title: s.parts for s in sections.sections(view)}["Censoring and reach"]
    assert "reach-homestead" in {getattr(part, "name", "") for part in parts}
    none = View(frame(*arm([None, None])))
    (*_, last) = {s.title: s.parts for s in sections.sections(none)}["Censoring and reach"]
    assert last.text == "No seed reached a competence that the study watched for."


def test_the_curve_is_drawn_where_no_seed_took_a_step():
    cells, keys, steps, _ = seen(*[trial(None, end=0, seed=seed) for seed in range(3)])
    picture = reach_picture("homestead", cells, keys, steps, 0.9)
    assert [axes.get_xscale() for axes in picture.draw(LIGHT).axes] == ["linear"]
