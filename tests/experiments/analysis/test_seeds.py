"""Means and quantiles over seeds, against numbers worked out by hand."""

from __future__ import annotations

from math import nan

import numpy as np
import pandas as pd
import pytest

from powerseek.experiments.analysis.seeds import box_quantiles, curve_band, ordered_references


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
