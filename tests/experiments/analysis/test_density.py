"""Heat maps: arms in order, meanings of density apart, what the cells hold, nothing made up."""

from __future__ import annotations

from math import nan

import matplotlib.colors as colours
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic import ARMS, frame, made_dense, make_frontiers, trial_rows

from powerseek.experiments.analysis.density import families, fields, optimal_share
from powerseek.experiments.analysis.view import View
from powerseek.experiments.report.figures.density import density_pictures
from powerseek.experiments.report.figures.style import LIGHT
from powerseek.experiments.report.figures.treatments import cells_of


def fields_of(results):
    view = View(results)
    return {world: fields(cells, view.keys) for world, cells in cells_of(view).items()}


def drawn(results, frontiers=None):
    view = View(results)
    return density_pictures(cells_of(view), view.keys, frontiers)


def values(axes):
    return [text.get_text() for text in axes.texts if text.get_gid() == "value"]


def test_arms_are_ordered_by_density_within_their_meaning():
    known = ["terminal", "every cap", "every 16", "coverage 0.25", "dense", "approval 4", "every 2"]
    known += [
        "every cap of own",
        "own",
        "coverage 1",
        "every 8 corrected",
        "thinned 0.1",
        "thinned 0.5",
        "coverage 1 spare 1",
    ]
    assert families(known) == {
        "timing": ("dense", "every 2", "every 16", "every cap"),
        "timing, corrected": ("every 8 corrected",),
        "timing, thinned": ("thinned 0.5", "thinned 0.1"),
        "timing, own reward": ("own", "every cap of own"),
        "specification": ("coverage 1", "coverage 0.25", "terminal"),
        "specification spare 1": ("coverage 1 spare 1",),
    }


@given(st.permutations([*ARMS, "coverage 0", "shaped", "own", "approval cap", "every 8 corrected"]))
def test_no_arm_stands_on_two_dials_and_none_is_lost(known):
    placed = [arm for arms in families(known).values() for arm in arms]
    assert len(placed) == len(set(placed))
    assert set(known) - set(placed) == {"shaped", "approval cap"}


def test_each_horizon_has_fields_of_its_own():
    found = fields_of(frame(*([row] for row in made_dense(seeds=1, gammas=(1.0, 0.9)))))
    told = [(field.dial, field.label, field.columns) for field in found["homestead"]]
    assert told == [
        ("max_steps", "openness 0, gamma 1", (16.0, 28.0)),
        ("max_steps", "openness 0, gamma 0.9", (16.0, 28.0)),
        ("gamma", "openness 0, steps 16", (0.9, 1.0)),
        ("gamma", "openness 0, steps 28", (0.9, 1.0)),
    ]


def test_without_a_second_horizon_there_is_no_map():
    assert drawn(pd.DataFrame(made_dense(seeds=1, steps=(28,)))) == []


def test_the_paid_are_not_among_the_cells():
    rows = made_dense(seeds=1, arms=("dense",)) + made_dense(
        seeds=1, arms=("dense",), power_weight=1.0
    )
    (field,) = fields_of(pd.DataFrame(rows))["homestead"]
    assert [cell.row["power_weight"] for cell in field.cells.values()] == [0.0, 0.0]


def test_a_map_holds_the_means_of_the_seeds_that_learnt_and_the_optimum():
    rows = made_dense(seeds=3, arms=("dense", "every cap", "terminal"), unlearnt=1)
    rows = [r for r in rows if not (r["reward"] == "terminal" and r["max_steps"] == 16)]
    for row in rows:
        if row["metric"] == "disabled" and row["reward"] == "every cap":
            row["value"] = nan if row["max_steps"] == 16 else 0.9 if row["status"] != "ok" else 0.5
    (picture,) = (p for p in drawn(pd.DataFrame(rows)) if p.name == "map-off-switch-homestead")
    left, right = picture.draw(LIGHT).axes
    # Of every cap at T 16 there is no number, terminal at T 16 is not in the study; of every cap
    # at T 28 one seed of three did not learn.
    assert values(left) == ["0.00", "0.00", "0.50\u2020", "0.20"]
    assert values(right) == ["0.95"] * 5
    hatched = [patch for patch in left.patches if patch.get_hatch()]
    assert len(hatched) == 1
    assert not [patch for patch in right.patches if patch.get_hatch()]
    assert len(left.patches) == 4
    families_named = [t.get_text() for t in left.texts if t.get_style() == "italic"]
    assert families_named == ["timing", "specification"]


def test_timing_and_specification_are_apart():
    (picture, *_) = drawn(pd.DataFrame(made_dense(seeds=1)))
    left, _ = picture.draw(LIGHT).axes
    tops = np.unique([patch.get_y() for patch in left.patches])
    names = [label.get_text() for label in left.get_yticklabels()]
    assert names == list(ARMS)
    gaps = np.diff(tops)
    assert gaps[ARMS.index("every cap")] > 2
    assert np.delete(gaps, ARMS.index("every cap")) == pytest.approx(1)


def test_more_is_brighter():
    (picture,) = (
        p for p in drawn(pd.DataFrame(made_dense(seeds=1))) if p.name.startswith("map-off")
    )
    left, _ = picture.draw(LIGHT).axes
    bright = [
        float(np.dot(colours.to_rgb(p.get_facecolor()), (0.3, 0.6, 0.1))) for p in left.patches
    ]
    bright = bright[: len(ARMS)]  # of the first horizon
    assert bright == pytest.approx(sorted(bright))


def test_the_optimum_takes_its_incentive_of_what_is_on_offer_at_its_success():
    measures = {"competence": 1.0, "incentive": (1.0, 1.0, 1.0), "optimum_success": 0.5}
    results = frame(trial_rows(measures))
    (cell,) = cells_of(View(results))["homestead"]
    # At success .5 the made-up frontiers hold 2.6 / 8 and 6.5.
    frontiers = make_frontiers()
    assert optimal_share(cell, frontiers) == pytest.approx(1 / (6.5 - 2.6 / 8))
    assert np.isnan(optimal_share(cell, None))
    assert np.isnan(optimal_share(cell, frontiers[frontiers["kind"] == "need"]))
    assert np.isnan(optimal_share(cell, frontiers.assign(world="endgame")))
    assert np.isnan(optimal_share(cell, frontiers.assign(acquisition=1.0)))
