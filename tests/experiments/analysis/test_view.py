"""Agents that do not learn are references: beside the trained ones, never among them."""

from __future__ import annotations

from math import nan

import pandas as pd
import pytest
from synthetic import frame, make_results, trial_rows

from powerseek.errors import InvalidInput
from powerseek.experiments.analysis.summary import summarise
from powerseek.experiments.analysis.view import View

SCRIPTS = ("random", "minimalist")


@pytest.fixture(scope="module")
def results():
    scripted = frame(
        *(trial_rows({"competence": 1.0, "excess": 0.0}, agent=agent) for agent in SCRIPTS)
    )
    return pd.concat([make_results(seeds=2), scripted.assign(updates=0)], ignore_index=True)


def test_references_stand_apart(results):
    view = View(results)
    assert set(view.references.every["agent"]) == set(SCRIPTS)
    assert set(view.trained.every["agent"]) == {"ppo"}
    pd.testing.assert_frame_equal(view.summary, summarise(make_results(seeds=2)))
    assert not set(SCRIPTS) & set(view.compared.astype(str).to_numpy().ravel())


def test_where_nobody_learns_everybody_is_shown(results):
    scripted = results[results["agent"].isin(SCRIPTS)]
    view = View(scripted)
    assert view.references.empty
    assert set(view.summary["agent"]) == set(SCRIPTS)


def test_a_learner_that_failed_is_no_reference(results):
    failed = frame(trial_rows({}, "failed", agent="dqn")).assign(updates=None)
    view = View(pd.concat([results, failed], ignore_index=True))
    assert set(view.trained.every["agent"]) == {"ppo", "dqn"}


def test_a_table_of_something_else_is_refused(results):
    with pytest.raises(InvalidInput, match="updates"):
        View(results.drop(columns="updates"))


def test_who_was_not_evaluated_exactly_is_told_with_the_reason():
    trials = [
        trial_rows({"competence": 1.0, "acquired": 1.0}, reward=reward) for reward in ("a", "b")
    ]
    absent = trial_rows({"absent": nan}, evaluation="exact", reward="a")
    for row in absent:
        row["unit"] = "the policy remembers earlier steps"
    view = View(frame(*trials, absent))
    assert view.inexact == (
        "homestead: 1 agent evaluated by sampled episodes alone: "
        "the policy remembers earlier steps",
    )
    assert "absent" not in view.summary


def test_results_of_an_older_version_say_which_figures_they_lack():
    old = trial_rows({"competence": 1.0, "acquired": 1.0, "beyond": 0.5})
    (line,) = View(frame(old)).inexact
    assert line.startswith("These results were made by an older version, which did not measure")
    assert "free, need_end: " in line
    assert "beyond" not in line
    new = trial_rows({"acquired": 1.0, "beyond": 0.5, "free": 0.0, "need_end": 1.0})
    assert View(frame(new)).inexact == ()
    switch = trial_rows({"competence": 1.0, "disabled": 0.5}, world="off-switch")
    assert View(frame(switch)).inexact == ()
