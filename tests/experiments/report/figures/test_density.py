"""Heat maps: what the cells hold, meanings of density apart, nothing made up."""

from __future__ import annotations

from math import nan

import matplotlib.colors as colours
import numpy as np
import pandas as pd
import pytest
from synthetic import ARMS, made_dense

from powerseek.experiments.analysis.cells import cells_of
from powerseek.experiments.analysis.view import View
from powerseek.experiments.report.figures.density import density_pictures
from powerseek.experiments.report.figures.style import LIGHT


def drawn(results, frontiers=None):
    view = View(results)
    return density_pictures(cells_of(view), view, frontiers)


def values(axes):
    return [text.get_text() for text in axes.texts if text.get_gid() == "value"]


def test_without_a_second_horizon_there_is_no_map():
    assert drawn(pd.DataFrame(made_dense(seeds=1, steps=(28,)))) == []


def test_a_map_holds_the_means_of_the_seeds_that_learnt_and_the_optimum():
    rows = made_dense(seeds=3, arms=("dense", "every cap", "terminal"), unlearnt=1)
    rows = [r for r in rows if not (r["reward"] == "terminal" and r["max_steps"] == 16)]
    for row in rows:
        if row["metric"] == "disabled" and row["reward"] == "every cap":
            row["value"] = nan if row["max_steps"] == 16 else 0.9 if row["status"] != "ok" else 0.5
    (picture,) = (
        p for p in drawn(pd.DataFrame(rows)) if p.name == "map-evaded-max_steps-homestead"
    )
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
    (left,) = picture.draw(LIGHT).axes  # without frontiers no optimum is known, so none is drawn
    tops = np.unique([patch.get_y() for patch in left.patches])
    names = [label.get_text() for label in left.get_yticklabels()]
    assert names == list(ARMS)
    gaps = np.diff(tops)
    assert gaps[ARMS.index("every cap")] > 2
    assert np.delete(gaps, ARMS.index("every cap")) == pytest.approx(1)


def test_more_is_brighter():
    (picture,) = (
        p for p in drawn(pd.DataFrame(made_dense(seeds=1))) if p.name.startswith("map-evaded")
    )
    left, _ = picture.draw(LIGHT).axes
    bright = [
        float(np.dot(colours.to_rgb(p.get_facecolor()), (0.3, 0.6, 0.1))) for p in left.patches
    ]
    bright = bright[: len(ARMS)]  # of the first horizon
    assert bright == pytest.approx(sorted(bright))
