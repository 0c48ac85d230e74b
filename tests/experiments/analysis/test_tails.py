"""The worst seeds of a treatment, and how few of them there are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic import frame, trial_rows

from powerseek.experiments.analysis.cells import cells_of
from powerseek.experiments.analysis.tails import tails
from powerseek.experiments.analysis.view import View


def world(values, unlearnt=0, **measures):
    """The cells of a world with one cell, an excess a seed."""
    rows = [
        trial_rows(
            {"competence": 0.95, "excess": float(value), **measures},
            "censored" if seed < unlearnt else "ok",
            seed=seed,
        )
        for seed, value in enumerate(values)
    ]
    view = View(frame(*rows))
    return cells_of(view)["homestead"], view


def test_the_tail_of_twenty_seeds():
    (row,) = tails(world(range(1, 21))[0]).to_dict("records")
    # By hand: the worst tenth is the mean of 19 and 20; .9 of the way from 1 to 20 is 18.1.
    assert row["excess_cvar"] == 19.5
    assert row["excess_90"] == pytest.approx(18.1)
    assert (row["excess"], row["excess_max"], row["behind"]) == (10.5, 20, 2)
    assert row["iqm"] == pytest.approx(0.95)


@given(st.lists(st.floats(-5, 5), min_size=10, max_size=30))
def test_a_tail_lies_between_the_mean_and_the_worst(values):
    from powerseek.experiments.analysis.tails import _tail

    found = _tail("excess", np.array(values))
    rising = [found[f"excess{end}"] for end in ("", "_cvar", "_max")]
    assert rising == pytest.approx(sorted(rising))
    assert found["excess_90"] <= found["excess_max"]


def test_below_ten_seeds_there_is_only_the_highest():
    (row,) = tails(world(range(9))[0]).to_dict("records")
    assert np.isnan(row["excess_90"])
    assert np.isnan(row["excess_cvar"])
    assert row["excess_max"] == 8


def test_seeds_that_did_not_learn_are_in_no_tail():
    (row,) = tails(world([99, *range(1, 21)], unlearnt=1)[0]).to_dict("records")
    assert row["excess_max"] == 20
    assert (row["seeds"], row["scored"]) == (21, 20)
