"""The competence that rewards share is marked, and said setting by setting."""

from __future__ import annotations

import pandas as pd
import pytest
from synthetic import frame, trial_rows

from powerseek.experiments.analysis.cells import cells_of
from powerseek.experiments.analysis.view import View
from powerseek.experiments.report.figures.scatter import competence_pictures
from powerseek.experiments.report.figures.style import LIGHT


def results(rewards, **identity):
    """Trials with a competence each; `rewards` holds the values of each arm."""
    return [
        trial_rows(
            {"competence": value, "excess": 1.0},
            "ok" if value >= 0.9 else "censored",
            reward=reward,
            seed=seed,
            **identity,
        )
        for reward, values in rewards.items()
        for seed, value in enumerate(values)
    ]


def test_the_caption_says_which_settings_share_a_range():
    near = results({"dense": [0.91, 0.95], "terminal": [0.93, 0.99]}, openness=0.0)
    far = results({"dense": [0.91, 0.92], "terminal": [0.98, 0.99]}, openness=2.0)
    view = View(frame(*near, *far))
    (picture,) = competence_pictures(cells_of(view), view, None)
    assert "0.930 to 0.950 (openness 0)." in picture.caption
    where = "Not all rewards share a range of competence at openness 2: no comparison"
    assert where in picture.caption


def test_the_overlap_is_marked_in_the_picture_and_said_in_its_caption():
    view = View(frame(*results({"dense": [0.91, 0.95], "terminal": [0.93, 0.99, 0.5]})))
    (picture,) = competence_pictures(cells_of(view), view, None)
    axes = picture.draw(LIGHT).axes[0]
    (band,) = [patch for patch in axes.patches if patch.get_label() == "shared by all rewards"]
    assert (band.get_x(), band.get_x() + band.get_width()) == pytest.approx((0.93, 0.95))
    assert "All rewards share a range of competence: 0.930 to 0.950." in picture.caption


@pytest.mark.parametrize("gate", [None, 0.5])
def test_what_counts_as_learnt_is_the_study_s_own_level(gate):
    rows = results({"dense": [0.6, 0.7, 0.95]})
    if gate:
        rows.append(trial_rows({"competence": 0.6}, checkpoint=f"competence>={gate:g}"))
    view = View(frame(*rows))
    curves = pd.DataFrame(
        {"trial": rows[0][0]["trial"], "timesteps": [0, 9], "competence": 0.6, "world": "homestead"}
    )
    against, learning = competence_pictures(cells_of(view), view, curves)
    patches = against.draw(LIGHT).axes[0].patches
    ends = [
        patch.get_x() + patch.get_width()
        for patch in patches
        if "shared" not in str(patch.get_label())
    ]
    assert ends == pytest.approx([gate or 0.9])
    assert f"the grey line ({gate or 0.9:g})" in learning.caption
    lines = [line.get_ydata() for line in learning.draw(LIGHT).axes[0].lines]
    assert [gate or 0.9] * 2 in [list(line) for line in lines]
