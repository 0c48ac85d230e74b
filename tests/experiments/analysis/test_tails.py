"""The worst seeds of a treatment, and how few of them there are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic import frame, trial_rows

from powerseek.experiments.analysis.tails import tail_grid, tails
from powerseek.experiments.analysis.view import View
from powerseek.experiments.report import sections
from powerseek.experiments.report.figures.treatments import cells_of


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


def test_the_tail_of_twenty_seeds():
    (row,) = tails(world(range(1, 21))[0]).to_dict("records")
    # By hand: the worst tenth is the mean of 19 and 20; .9 of the way from 1 to 20 is 18.1.
    assert row["excess_cvar"] == 19.5
    assert row["excess_90"] == pytest.approx(18.1)
    assert (row["excess"], row["excess_max"], row["behind"]) == (10.5, 20, 2)
    assert row["iqm"] == pytest.approx(0.95)


@given(st.lists(st.floats(-5, 5), min_size=10, max_size=30))
def test_a_tail_lies_between_the_mean_and_the_worst(values):
    from powerseek.experiments.analysis.tails import _tail

    found = _tail("excess", np.array(values))
    rising = [found[f"excess{end}"] for end in ("", "_cvar", "_max")]
    assert rising == pytest.approx(sorted(rising))
    assert found["excess_90"] <= found["excess_max"]


def test_below_ten_seeds_only_the_highest_is_shown():
    cells, view = world(range(9))
    (row,) = tails(cells).to_dict("records")
    assert np.isnan(row["excess_90"])
    assert np.isnan(row["excess_cvar"])
    grid = tail_grid("homestead", cells, view.keys)
    assert grid.headers == ("reward", "comp IQM", "excess: mean", "excess: max", "seeds", "in tail")
    assert grid.rows == (("dense", "0.95", "4.00", "8.00", "9", "-"),)


def test_seeds_that_did_not_learn_are_in_no_tail():
    (row,) = tails(world([99, *range(1, 21)], unlearnt=1)[0]).to_dict("records")
    assert row["excess_max"] == 20
    assert (row["seeds"], row["scored"]) == (21, 20)


def test_both_measures_have_their_tail():
    cells, view = world(range(1, 21), disabled=0.5)
    grid = tail_grid("homestead", cells, view.keys)
    cell = dict(zip(grid.headers, grid.rows[0], strict=True))
    assert cell["off: worst tenth"] == cell["off: max"] == "0.50"
    assert cell["excess: worst tenth"] == "19.5"
    assert cell["in tail"] == "2"
    titles = {section.title for section in sections.sections(view)}
    assert "Upper tails" in titles


def test_no_measure_of_power_no_tail():
    view = View(frame(trial_rows({"competence": 1.0})))
    assert "Upper tails" not in {section.title for section in sections.sections(view)}
