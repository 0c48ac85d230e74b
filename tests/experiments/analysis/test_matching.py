"""The competence that arms share, and the words where they share none."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st
from synthetic import frame, trial_rows

from powerseek.experiments.analysis.cells import cells_of
from powerseek.experiments.analysis.matching import competence_overlap, shared_competence
from powerseek.experiments.analysis.view import View

ARM = st.lists(st.tuples(st.floats(0.5, 1), st.booleans()), max_size=6)


def arm(values, learnt=True):
    return pd.DataFrame({"competence": values, "learnt": learnt})


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


def shared(*trials):
    view = View(frame(*trials))
    (cells,) = cells_of(view).values()
    return shared_competence(cells, view.keys)


def test_the_overlap_is_from_the_largest_least_to_the_smallest_greatest():
    assert competence_overlap([arm([0.9, 0.97]), arm([0.93, 0.99])]) == (0.93, 0.97)
    assert competence_overlap([arm([0.9, 0.92]), arm([0.93, 0.99])]) is None
    assert competence_overlap([arm([0.9, 0.93]), arm([0.93, 0.99])]) == (0.93, 0.93)
    assert competence_overlap([arm([0.9, 0.97])]) is None
    assert competence_overlap([arm([0.9, 0.97]), arm([0.95], learnt=False)]) is None
    assert competence_overlap([arm([0.9, np.nan, 0.97]), arm([0.93, 0.99])]) == (0.93, 0.97)


@given(st.lists(ARM, min_size=2, max_size=4))
def test_what_is_shared_lies_within_every_arm(arms):
    tables = [arm([v for v, _ in rows], [learnt for _, learnt in rows]) for rows in arms]
    found = competence_overlap(tables)
    ranges = [[v for v, learnt in rows if learnt] for rows in arms]
    # Another way to say it: a value is shared if every arm has learnt seeds on both its sides.
    within = [
        value
        for value in (v for kept in ranges for v in kept)
        if all(kept and min(kept) <= value <= max(kept) for kept in ranges)
    ]
    assert found == ((min(within), max(within)) if within else None)


def test_settings_are_not_mixed():
    near = results({"dense": [0.91, 0.95], "terminal": [0.93, 0.99]}, openness=0.0)
    far = results({"dense": [0.91, 0.92], "terminal": [0.98, 0.99]}, openness=2.0)
    found = shared(*near, *far)
    assert found.everywhere is None
    assert found.settings == {"openness 0": (0.93, 0.95), "openness 2": None}


def test_who_is_paid_is_no_arm():
    arms = results({"dense": [0.91, 0.95], "terminal": [0.93, 0.99]})
    paid = results({"dense": [0.999]}, power_weight=1.0)
    assert shared(*arms, *paid).everywhere == (0.93, 0.95)


def test_one_reward_is_compared_with_nothing():
    assert shared(*results({"dense": [0.91, 0.95]})) == (None, {})
