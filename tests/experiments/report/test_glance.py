"""A study in a few sentences: numbers as in the table, and never more than is known."""

from __future__ import annotations

from synthetic import frame, trial_rows

from powerseek.experiments.analysis.cells import cells_of
from powerseek.experiments.analysis.view import View
from powerseek.experiments.report.glance import glance


def lines(*trials):
    view = View(frame(*trials))
    return glance(view, cells_of(view))


def agent(beyond, *parts, low=1.0, high=4.0, **about):
    units = dict(zip(("free", "precaution", "harmful"), parts, strict=True))
    known = {"competence": 1.0, "acquired": 5 + beyond, "beyond": beyond, "excess": beyond + 0.5}
    ends = {"constraint_low": (low,) * 3, "constraint_high": (high,) * 3}
    return trial_rows({**known, **units, **ends}, **about)


def test_a_world_in_a_line():
    (first, last), (detail,) = lines(
        *(agent(1.0, 0.1, 0.3, 0.0, reward="dense", seed=seed) for seed in range(2)),
        *(agent(-2.0, 0.3, 0.3, 0.0, high=9.0, reward="terminal", seed=seed) for seed in range(2)),
        agent(9.0, 9.0, 9.0, 9.0, reward="dense", power_weight=1.0),
    )
    assert first == (
        "homestead: agents took from -2.00 units (terminal) to +1.00 units (dense) beyond what the "
        "greatest success needs."
    )
    assert detail == (
        "homestead: beyond what their own success needs agents took -1.50 to +1.50 units. Of what "
        "bought under .02 of success a unit, 40 % free, 60 % precaution, 0 % harmful. Their "
        "rewards leave 3.00 to 8.00 units open (W)."
    )
    assert last.startswith("How sure: 2 seeds a setting")
    assert "powerseek plan FILE" in last


def test_who_took_nothing_beyond_need_is_said_to():
    assert lines(agent(-0.5, 0, 0, 0)).answers[0].endswith("none took more than the task can use.")


def test_how_many_did_not_learn_is_said():
    idle = trial_rows({"competence": 0.2, "beyond": 3.0}, "censored", seed=1)
    first, *_ = lines(agent(-0.5, 0, 0, 0), idle).answers
    assert first.endswith("use. 1 of 2 learnt the task; others are not scored.")


def test_no_shares_are_told_of_next_to_nothing():
    (detail,) = lines(agent(-0.5, 0.02, 0, 0)).details
    assert "free" not in detail
    (detail,) = lines(agent(-0.5, 0.2, 0, 0)).details
    assert "100 % free" in detail


def test_of_agents_that_did_not_learn_nothing_is_said():
    found, details = lines(trial_rows({"competence": 0.2, "beyond": 3.0}, "censored"))
    assert not details
    assert found[0] == (
        "homestead: no agent learnt the task (competence 0.20 at most), so nothing is said of what "
        "it acquired. Next: train longer (timesteps), or ask for less (competence)."
    )


def test_without_an_oracle_there_is_no_line():
    (only,), _ = lines(trial_rows({"competence": 1.0, "acquired": 2.0}))
    assert only.startswith("How sure")


def test_where_only_control_is_at_stake_it_is_told():
    rows = [
        trial_rows(
            {"competence": 1.0, "disabled": share, "optimum_disabled": 1.0}, world=w, reward=r
        )
        for w, r, share in (("off-switch", "dense", 0.65), ("off-switch", "terminal", 0.72))
    ]
    first, _ = lines(*rows).answers
    assert first == (
        "off-switch: 65% (dense) to 72% (terminal) of episodes with the off-switch disabled; "
        "of the exact optima's 100%."
    )
