"""Over-optimisation: what a learnt reward pays and its labels' aim, against divergence."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from synthetic import frame, trial_rows

from powerseek.experiments.analysis.cells import cells_of
from powerseek.experiments.analysis.priors import OPTIMISED, courses
from powerseek.experiments.analysis.view import View
from powerseek.experiments.report import archive, sections
from powerseek.experiments.report.figures.optimising import optimising_picture
from powerseek.experiments.report.figures.style import LIGHT
from powerseek.experiments.study.preregistration import Claim, Registration
from powerseek.experiments.study.schema import Hypothesis

STEPS = np.array([0, 1000, 2000, 3000])
AWAY = np.array([0.0, 4.0, 9.0, 16.0])


def made(rewards=("preference 200", "preference 20", "dense"), seeds=2, drop=()):
    """A view of agents that are paid .1 a nat more and succeed .01 a nat less, a seed apart.

    Seed 1 goes twice as far as seed 0; `drop` are curves that results lack.
    """
    trials, curves = [], []
    for reward in rewards:
        for seed in range(seeds):
            rows = trial_rows({"competence": 0.9, "success": 0.9}, reward=reward, seed=seed)
            trials.append(rows)
            away = AWAY * (1 + seed)
            own = {"return": 0.1 * away, "success": 0.9 - 0.01 * away, "acquired": away}
            own |= {"exact.divergence": away, "competence": 0.9, "world": "homestead"}
            told = {"trial": rows[0]["trial"], "seed": seed, "timesteps": STEPS, **own}
            curves.append(pd.DataFrame(told).drop(columns=[*drop]))
    view = View(frame(*trials))
    view.table = {"curves": pd.concat(curves)}.get
    (cells,) = cells_of(view).values()
    return view, cells, view.table("curves")


def test_courses_are_means_over_seeds_at_each_evaluation_labels_rising():
    ((setting, own),) = courses(*made())
    assert setting == ""
    assert [course.labels for course in own] == [20, 200]
    for course in own:
        assert course.from_prior
        assert course.away == pytest.approx(1.5 * AWAY)
        assert course.paid.mean == pytest.approx(0.15 * AWAY)
        assert course.aim.mean == pytest.approx(0.9 - 0.015 * AWAY)
        assert (course.aim.low <= course.aim.mean).all()
        assert course.aim.high[-1] == pytest.approx(0.9 - 0.01 * 16 * 1.05)


def test_an_aim_with_a_price_is_success_less_what_was_acquired():
    ((_, (course,)),) = courses(*made(["preference 20 need price 0.02"]))
    assert course.aim.mean == pytest.approx(0.9 - (0.01 + 0.02) * 1.5 * AWAY)


def test_without_a_prior_steps_are_told_and_without_curves_nothing():
    for few in (made(drop=["exact.divergence"]), made()):
        view, cells, curves = few
        if "exact.divergence" in curves:  # older results have it of the end alone
            curves.loc[curves["timesteps"] < 3000, "exact.divergence"] = np.nan
        ((_, own),) = courses(view, cells, curves)
        assert not own[0].from_prior
        assert list(own[0].away) == list(STEPS)
        picture = optimising_picture("homestead", view, cells, curves)
        assert "have no prior to go from" in picture.caption
        assert axes_of(picture)[1].get_xlabel() == "environment steps of training"
    view, cells, _ = made()
    assert courses(view, cells, None) == []
    assert courses(*made(drop=["return"])) == []
    assert optimising_picture("homestead", *made(["dense"])) is None


def axes_of(picture):
    return picture.draw(LIGHT).axes


def test_the_picture_has_a_line_a_number_of_labels_from_ring_to_dot():
    view, cells, curves = made()
    picture = optimising_picture("homestead", view, cells, curves)
    paid, aim = axes_of(picture)
    for axes, pace, start in ((paid, 0.15, 0.0), (aim, -0.015, 0.9)):
        lines = {line.get_label(): line for line in axes.lines}
        for name in ("20 labels", "200 labels"):
            assert lines[name].get_xdata() == pytest.approx(1.5 * AWAY)
            assert lines[name].get_ydata() == pytest.approx(start + pace * AWAY)
        marks = [float(line.get_xdata()[0]) for line in axes.lines if len(line.get_xdata()) == 1]
        assert marks == [0, 24, 0, 24]
    assert aim.get_xlabel() == "divergence from the prior, nats an episode"
    assert all(tick <= 24 for tick in aim.get_xticks())
    assert "over-optimisation" in picture.caption
    shown = sections.report_pictures(sections.sections(view))
    assert "optimising-homestead" in [one.name for one in shown]
    assert picture.png()[:4] == b"\x89PNG"


def test_as_many_labels_of_two_aims_are_told_apart_and_progress_is_said_to_have_no_curve():
    view, cells, curves = made(["preference 20", "preference 20 progress"])
    picture = optimising_picture("homestead", view, cells, curves)
    names = {line.get_label() for line in axes_of(picture)[0].lines}
    assert {"preference 20", "preference 20 progress"} <= names
    assert "The aim progress has no curve" in picture.caption


def test_archives_keep_the_curves_that_it_reads_and_no_others():
    view, *_ = made()
    assert set(OPTIMISED) <= set(archive.curve_columns(view))
    view, *_ = made(["dense"])
    assert "exact.divergence" not in archive.curve_columns(view)


def test_archives_keep_the_clock_that_a_claim_asks_for():
    view, _, curves = made(["dense"])
    view.table = {"curves": curves.assign(spent_flops=1.0, spent_labels=0.0)}.get
    claim = {"id": "H", "contrast": {"budget": 2, "clock": "flops"}, "direction": "larger"}
    view.registration = Registration("", "", (Claim(Hypothesis(**claim)),), 0.9, ())
    kept = archive.curve_columns(view)
    assert "spent_flops" in kept
    assert "spent_labels" not in kept
