"""Means and quantiles over seeds, against numbers worked out by hand."""

from __future__ import annotations

from math import nan

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic import frame, trial_rows

from powerseek.experiments.analysis.cells import cells_of
from powerseek.experiments.analysis.seeds import (
    _tail,
    box_quantiles,
    curve_band,
    ordered_references,
    tails,
)
from powerseek.experiments.analysis.view import View


def test_the_box_of_evenly_spread_values():
    assert box_quantiles(np.arange(101.0)) == pytest.approx([5, 25, 50, 75, 95])


def test_a_band_is_taken_step_by_step():
    curves = pd.DataFrame(
        [
            {"timesteps": step, "trial": trial, "excess": step / 10 + trial}
            for step in (20, 10)
            for trial in range(101)
        ]
    )
    curves.loc[0, "excess"] = nan  # trial 0 at step 20
    found = curve_band(curves, "excess")
    assert list(found.steps) == [10, 20]
    assert found.mean == pytest.approx([51, 52.5])
    assert found.low[0] == pytest.approx(6)
    assert found.high[0] == pytest.approx(96)


def test_agents_that_do_not_learn_are_told_apart_by_what_varies():
    def rows(agent, acquired, **more):
        known = {"success": 0.5, "reward": "dense", "power_weight": 0.0, "gamma": 1.0, **more}
        return [{"agent": agent, "acquired": value, **known} for value in acquired]

    plain = pd.DataFrame([*rows("hoarder", (4.0, 6.0)), *rows("random", (1.0, nan))])
    assert ordered_references(plain) == [("random", 0.5, 1.0), ("hoarder", 0.5, 5.0)]
    more = pd.DataFrame(rows("hoarder", (2.0,), reward="terminal", gamma=0.9))
    assert [agent.name for agent in ordered_references(pd.concat([plain, more]))] == [
        *("random, dense, gamma 1", "hoarder, terminal, gamma 0.9", "hoarder, dense, gamma 1")
    ]
    assert ordered_references(plain.iloc[:0]) == []


# The worst seeds of a treatment, and how few of them there are


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
    found = _tail("excess", np.array(values))
    rising = [found[f"excess{end}"] for end in ("", "_cvar", "_max")]
    assert rising == pytest.approx(sorted(rising))
    assert found["excess_90"] <= found["excess_max"]


def test_below_ten_seeds_there_is_only_the_highest():
    (row,) = tails(world(range(9))[0]).to_dict("records")
    assert np.isnan(row["excess_90"])
    assert np.isnan(row["excess_cvar"])
    assert row["excess_max"] == 8


def test_seeds_that_did_not_learn_are_in_no_tail():
    (row,) = tails(world([99, *range(1, 21)], unlearnt=1)[0]).to_dict("records")
    assert row["excess_max"] == 20
    assert (row["seeds"], row["scored"]) == (21, 20)
