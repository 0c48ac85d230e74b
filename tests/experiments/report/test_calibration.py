"""The section of known agents: what cannot be trusted is said, and how to add them."""

from __future__ import annotations

from math import isnan

import pandas as pd
from synthetic import AGENTS, frame, references, trial_rows

from powerseek.experiments.analysis.calibration import calibration_marks, study_doubts
from powerseek.experiments.analysis.cells import cells_of
from powerseek.experiments.analysis.view import View
from powerseek.experiments.report import sections
from powerseek.experiments.report.figures.calibration import calibration_picture
from powerseek.experiments.report.figures.style import LIGHT
from powerseek.experiments.report.figures.treatments import acquisition_pictures
from powerseek.experiments.report.sections import ADD
from powerseek.experiments.report.tables import world_grids
from powerseek.experiments.report.text import table_legend
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


def said(rows):
    parts = {s.title: s.parts for s in sections.sections(View(pd.DataFrame(rows)))}
    return [part.text for part in parts["Calibration"] if isinstance(part, sections.Words)]


def test_a_measure_that_does_not_tell_hoarder_from_minimalist_is_said():
    swapped = {**AGENTS, "hoarder": (*AGENTS["hoarder"][:4], -0.9)}
    doubt = (
        "homestead: POWER cannot be trusted here (openness 0): it puts the hoarder at -0.90, not "
        "above the minimalist at -0.80."
    )
    assert doubt in said(trial_rows(TRAINED) + references(agents=swapped))
    assert not any("trusted" in words for words in said(trial_rows(TRAINED) + references()))


def test_a_scale_is_named_by_its_column():
    equal = {"minimalist": (2.5, 0.0, 0.0, 0.0, 0.0), "hoarder": (2.5, 1.0, 1.0, 1.0, 1.0)}
    (doubt,) = (
        words
        for words in said(trial_rows(TRAINED) + references(agents=equal))
        if "trusted" in words
    )
    assert doubt.startswith("homestead: acq cannot be trusted")


def test_rows_of_a_setting_whose_measure_is_not_to_be_trusted_are_marked():
    """Excess does not tell the hoarder at openness 0, and does at openness 2."""
    known = {**TRAINED, "need": (2.5, 2.5, 2.5)}
    fooled = {**AGENTS, "hoarder": (5.0, -0.5, *AGENTS["hoarder"][2:])}
    rows = [*trial_rows(known, openness=0.0), *references(agents=fooled, openness=0.0)]
    rows += [*trial_rows(known, openness=2.0), *references(openness=2.0)]
    view = View(pd.DataFrame(rows))
    doubts = study_doubts(view)
    assert [(d.where, d.scale) for d in doubts["homestead"]] == [("openness 0", "excess")]
    (grid,) = world_grids(view.summary, doubts=doubts)
    column = grid.headers.index("excess")
    assert [row[column] for row in grid.rows] == ["+1.00 \u2021", "+1.00"]
    assert "\u2021" in table_legend([grid])
    assert doubts["homestead"][0].concerns({"world": "homestead", "openness": 0.0})
    assert doubts["homestead"][0].concerns({"world": "homestead"})  # an arm of a contrast
    assert not doubts["homestead"][0].concerns({"openness": 2.0})


def test_pictures_mark_the_rows_too():
    fooled = {**AGENTS, "hoarder": (0.0, *AGENTS["hoarder"][1:])}
    rows = [*trial_rows(TRAINED, openness=0.0), *references(agents=fooled, openness=0.0)]
    rows += [*trial_rows(TRAINED, openness=2.0), *references(openness=2.0)]
    view = View(pd.DataFrame(rows))
    (picture,) = acquisition_pictures(cells_of(view), study_doubts(view))
    labels = [text.get_text() for text in picture.draw(LIGHT).axes[0].texts]
    assert labels == ["openness 0, dense \u2021", "openness 2, dense"]
    assert "\u2021: not to be trusted here" in picture.caption


def test_without_known_agents_the_line_that_adds_them_is_said():
    *_, line = said(trial_rows(TRAINED))
    assert line.endswith(ADD)
    study = parse_study(
        f"name: a\nworlds: [{{id: homestead}}]\nrewards: [dense]\ntimesteps: 10\n{ADD}\n"
    )
    assert study.references == [
        *("random", "minimalist", "hoarder", "power-greedy", "minimal-need", "optimum")
    ]


def test_where_nobody_learns_there_is_nothing_to_add():
    view = View(frame(references()))
    assert "Calibration" not in {section.title for section in sections.sections(view)}


def placed(rows, frontiers=None):
    view = View(pd.DataFrame(rows))
    (cells,) = cells_of(view).values()
    return calibration_marks(cells, view.keys, trials(view.references), frontiers)


def test_the_ruler_shows_each_mark_at_its_value():
    found = placed(trial_rows(TRAINED) + references())
    panels = calibration_picture("homestead", found).draw(LIGHT).axes
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
