"""Known agents, exact optima and trained agents on one scale; what cannot be trusted is said."""

from __future__ import annotations

from math import isnan

import pandas as pd
import pytest
from synthetic import AGENTS, frame, made_dense, make_frontiers, references, trial_rows

from powerseek.experiments.analysis.calibration import ADD, doubts, marks
from powerseek.experiments.analysis.view import View
from powerseek.experiments.report import sections
from powerseek.experiments.report.figures.calibration import ruler
from powerseek.experiments.report.figures.style import LIGHT
from powerseek.experiments.report.figures.treatments import cells_of
from powerseek.experiments.results.table import trials
from powerseek.experiments.study.schema import parse_study

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
    return marks(cells, view.keys, trials(view.references), frontiers)


def said(rows):
    parts = {s.title: s.parts for s in sections.sections(View(pd.DataFrame(rows)))}
    return [part.text for part in parts["Calibration"] if isinstance(part, sections.Words)]


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
    assert doubts(placed(trial_rows(TRAINED) + references())) == []
    (doubt,) = doubts(placed(trial_rows(TRAINED) + references(agents=swapped)))
    assert doubt == (
        "POWER cannot be trusted here (openness 0): it puts the hoarder at -0.90, not above the "
        "minimalist at -0.80."
    )
    assert f"homestead: {doubt}" in said(trial_rows(TRAINED) + references(agents=swapped))


def test_equal_is_not_above_and_missing_is_no_doubt():
    equal = {"minimalist": (2.5, 0.0, 0.0, 0.0, 0.0), "hoarder": (2.5, 1.0, 1.0, 1.0, 1.0)}
    (doubt,) = doubts(placed(trial_rows(TRAINED) + references(agents=equal)))
    assert doubt.startswith("acq cannot be trusted")
    nothing = float("nan")
    gone = {"minimalist": (2.5, 0, 0, nothing, 0), "hoarder": (3, 1, 1, nothing, 1)}
    assert doubts(placed(trial_rows(TRAINED) + references(agents=gone))) == []


def test_without_known_agents_the_line_that_adds_them_is_said():
    *_, line = said(trial_rows(TRAINED))
    assert line.endswith(ADD)
    study = parse_study(
        f"name: a\nworlds: [{{id: homestead}}]\nrewards: [dense]\ntimesteps: 10\n{ADD}\n"
    )
    assert study.references == [
        *("random", "minimalist", "hoarder", "power-greedy", "minimal-need", "optimum")
    ]


def test_the_optimum_is_one_mark_for_each_reward():
    beside = references(agents={"optimum": AGENTS["optimum"]})
    other = references(agents={"optimum": (9.0, 6.5, 1.0, 1.0, 0.5)}, reward="terminal")
    found = {m.name: m.values["acquired"][0] for m in placed(trial_rows(TRAINED) + beside + other)}
    assert found["optimum, dense"] == 3.1
    assert found["optimum, terminal"] == 9.0


def test_the_ruler_shows_each_mark_at_its_value():
    found = placed(trial_rows(TRAINED) + references())
    panels = ruler("homestead", found).draw(LIGHT).axes
    assert panels[0].get_xlabel().startswith("excess")
    at = {
        line.get_label(): float(line.get_xdata()[0])
        for line in panels[0].lines
        if not line.get_label().startswith("_")
    }
    assert at["hoarder"] == 4.0
    assert at["exact optimum"] == 0.5
    assert at["trained"] == 1.0
    assert isnan(found[-1].values["power_seeking"][0])


def test_where_nobody_learns_there_is_nothing_to_add():
    view = View(frame(references()))
    assert "Calibration" not in {section.title for section in sections.sections(view)}
