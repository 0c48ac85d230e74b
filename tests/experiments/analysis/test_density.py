"""Fields of density x horizon: arms in order, meanings of density apart."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic import ARMS, frame, made_dense, make_frontiers, places, trial_rows

from powerseek.experiments.analysis.cells import cells_of
from powerseek.experiments.analysis.density import (
    arm_optimum_share,
    density_families,
    density_fields,
)
from powerseek.experiments.analysis.view import View


def fields_of(results):
    view = View(results)
    return {
        world: density_fields(cells, view.keys, view.places)
        for world, cells in cells_of(view).items()
    }


def test_arms_are_ordered_by_density_within_their_meaning():
    known = ["terminal", "every cap", "every 16", "coverage 0.25", "dense", "approval 4", "every 2"]
    known += [
        "every cap of own",
        "own",
        "coverage 1",
        "every 8 corrected",
        "thinned 0.1",
        "thinned 0.5",
        "coverage 1 need price 0.1",
        "terminal price 0.1",
        "coverage 1 need price 0.2",
        "dense price 0.1",
    ]
    assert density_families(known, places(known)) == {
        "timing": ("dense", "every 2", "every 16", "every cap"),
        "timing, corrected": ("every 8 corrected",),
        "timing, own reward": ("own", "every cap of own"),
        "thinning": ("thinned 0.5", "thinned 0.1"),
        "specification": ("coverage 1", "coverage 0.25", "terminal"),
        "specification need price 0.1": ("coverage 1 need price 0.1", "terminal price 0.1"),
        "specification need price 0.2": ("coverage 1 need price 0.2",),
        "timing, price 0.1": ("dense price 0.1",),
    }


@given(st.permutations([*ARMS, "coverage 0", "shaped", "own", "approval cap", "every 8 corrected"]))
def test_no_arm_stands_on_two_dials_and_none_is_lost(known):
    placed = [arm for arms in density_families(known, places(known)).values() for arm in arms]
    assert len(placed) == len(set(placed))
    assert set(known) - set(placed) == {"shaped", "approval cap"}


def test_each_horizon_has_fields_of_its_own():
    found = fields_of(frame(*([row] for row in made_dense(seeds=1, gammas=(1.0, 0.9)))))
    told = [(field.factor, field.label, field.columns) for field in found["homestead"]]
    assert told == [
        ("max_steps", "openness 0, gamma 1", (16.0, 28.0)),
        ("max_steps", "openness 0, gamma 0.9", (16.0, 28.0)),
        ("gamma", "openness 0, steps 16", (0.9, 1.0)),
        ("gamma", "openness 0, steps 28", (0.9, 1.0)),
    ]


def test_the_paid_are_not_among_the_cells():
    rows = made_dense(seeds=1, arms=("dense",)) + made_dense(
        seeds=1, arms=("dense",), power_weight=1.0
    )
    (field,) = fields_of(pd.DataFrame(rows))["homestead"]
    assert [cell.row["power_weight"] for cell in field.cells.values()] == [0.0, 0.0]


def test_the_optimum_takes_its_incentive_of_what_is_on_offer_at_its_success():
    measures = {"competence": 1.0, "incentive": (1.0, 1.0, 1.0), "optimum_success": 0.5}
    results = frame(trial_rows(measures))
    (cell,) = cells_of(View(results))["homestead"]
    # At success .5 the made-up frontiers hold 2.6 / 8 and 6.5.
    frontiers = make_frontiers()
    assert arm_optimum_share(cell, frontiers) == pytest.approx(1 / (6.5 - 2.6 / 8))
    assert np.isnan(arm_optimum_share(cell, None))
    assert np.isnan(arm_optimum_share(cell, frontiers[frontiers["kind"] == "need"]))
    assert np.isnan(arm_optimum_share(cell, frontiers.assign(world="endgame")))
    assert np.isnan(arm_optimum_share(cell, frontiers.assign(acquisition=1.0)))
