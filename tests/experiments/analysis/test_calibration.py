"""Known agents, exact optima and trained agents on one scale; what cannot be trusted is said."""

from __future__ import annotations

import pandas as pd
import pytest
from synthetic import AGENTS, made_dense, make_frontiers, references, trial_rows

from powerseek.experiments.analysis.calibration import Doubt, calibration_doubts, calibration_marks
from powerseek.experiments.analysis.cells import cells_of
from powerseek.experiments.analysis.view import View
from powerseek.experiments.results.table import trials

TRAINED = {
    "competence": 0.95,
    "acquired": 3.5,
    "excess": 1.0,
    "share_of_surplus": 0.25,
    "disabled": 0.4,
    "incentive": (0.5, 0.4, 0.9),
    "optimum_acquired": (3.0, 2.9, 3.4),
    "optimum_disabled": (0.6, 0.6, 0.6),
    "optimum_power_seeking": -0.2,
    "optimum_success": 0.5,
}


def placed(rows, frontiers=None):
    view = View(pd.DataFrame(rows))
    (cells,) = cells_of(view).values()
    return calibration_marks(cells, view.keys, trials(view.references), frontiers)


def test_everything_is_on_one_scale():
    rows = trial_rows(TRAINED) + trial_rows({**TRAINED, "acquired": 7.0}, power_weight=1.0)
    found = placed(rows + references(seeds=2), make_frontiers())
    known = {mark.name: mark for mark in found if mark.kind == "reference"}
    # Random is censored, and on the scale all the same.
    assert {name: mark.values["acquired"][0] for name, mark in known.items()} == {
        name: values[0] for name, values in AGENTS.items()
    }
    assert {mark.seeds for mark in known.values()} == {2}
    (optimum,) = [mark for mark in found if mark.kind == "optimum"]
    assert optimum.values["acquired"] == (3.0, 2.9, 3.4)
    assert optimum.values["excess"] == (0.5, 0.4, 0.9)
    assert optimum.values["power_seeking"][0] == -0.2
    assert optimum.values["share_of_surplus"][0] == pytest.approx(0.5 / (6.5 - 2.6 / 8))
    rest = {(mark.kind, mark.name): mark.values["acquired"][0] for mark in found[-2:]}
    assert rest == {("trained", "trained, dense"): 3.5, ("paid", "trained, dense, w 1"): 7.0}


def test_settings_are_apart():
    rows = made_dense(seeds=1, arms=("dense",)) + references(max_steps=28)
    found = placed(rows)
    assert {mark.where for mark in found} == {"openness 0, steps 16", "openness 0, steps 28"}
    assert {m.where for m in found if m.kind == "reference"} == {"openness 0, steps 28"}


def test_a_measure_that_does_not_tell_hoarder_from_minimalist_is_flagged():
    swapped = {**AGENTS, "hoarder": (*AGENTS["hoarder"][:4], -0.9)}
    assert calibration_doubts(placed(trial_rows(TRAINED) + references())) == []
    found = calibration_doubts(placed(trial_rows(TRAINED) + references(agents=swapped)))
    assert found == [Doubt("openness 0", {}, "power_seeking", -0.9, -0.8)]


def test_equal_is_not_above_and_missing_is_no_doubt():
    equal = {"minimalist": (2.5, 0.0, 0.0, 0.0, 0.0), "hoarder": (2.5, 1.0, 1.0, 1.0, 1.0)}
    (doubt,) = calibration_doubts(placed(trial_rows(TRAINED) + references(agents=equal)))
    assert doubt.scale == "acquired"
    nothing = float("nan")
    gone = {"minimalist": (2.5, 0, 0, nothing, 0), "hoarder": (3, 1, 1, nothing, 1)}
    assert calibration_doubts(placed(trial_rows(TRAINED) + references(agents=gone))) == []


def test_the_optimum_is_one_mark_for_each_reward():
    beside = references(agents={"optimum": AGENTS["optimum"]})
    other = references(agents={"optimum": (9.0, 6.5, 1.0, 1.0, 0.5)}, reward="terminal")
    found = {m.name: m.values["acquired"][0] for m in placed(trial_rows(TRAINED) + beside + other)}
    assert found["optimum, dense"] == 3.1
    assert found["optimum, terminal"] == 9.0
