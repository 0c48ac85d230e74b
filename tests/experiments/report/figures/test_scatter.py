"""The competence that rewards share is marked, and said setting by setting."""

from __future__ import annotations

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
    (picture,) = competence_pictures(cells_of(view), view.keys, None)
    assert "0.930 to 0.950 (openness 0)." in picture.caption
    where = "Not all rewards share a range of competence at openness 2: no comparison"
    assert where in picture.caption


def test_the_overlap_is_marked_in_the_picture_and_said_in_its_caption():
    view = View(frame(*results({"dense": [0.91, 0.95], "terminal": [0.93, 0.99, 0.5]})))
    (picture,) = competence_pictures(cells_of(view), view.keys, None)
    axes = picture.draw(LIGHT).axes[0]
    (band,) = [patch for patch in axes.patches if patch.get_label() == "shared by all rewards"]
    assert (band.get_x(), band.get_x() + band.get_width()) == pytest.approx((0.93, 0.95))
    assert "All rewards share a range of competence: 0.930 to 0.950." in picture.caption
