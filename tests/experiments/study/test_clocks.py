"""Budgets in clocks of the ledger, and between agents: what a study plans, registers, refuses."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from powerseek.errors import InvalidInput
from powerseek.experiments.plan.plan import make_plan
from powerseek.experiments.plan.text import print_plan
from powerseek.experiments.study.checked import cells, trials
from powerseek.experiments.study.grid import content_hash
from powerseek.experiments.study.hypotheses import hypothesis_comparisons
from powerseek.experiments.study.preregistration import registration
from powerseek.experiments.study.schema import make_study
from powerseek.metrics import followed_metrics

AGENTS = {"factor": "agent", "low": "cohort-ppo", "high": "a2c"}


def a_study(contrast, **more):
    claim = {"id": "H", "contrast": contrast, "direction": "larger"}
    return make_study(
        {
            **{"name": "x", "worlds": [{"id": "star"}], "rewards": ["dense", "terminal"]},
            **{"agents": ["cohort-ppo", "a2c"], "timesteps": 2000, "seeds": 16},
            **{"hypotheses": [claim], **more},
        }
    )


def registered(contrast):
    study = a_study(contrast)
    return registration(study, cells(study))


def test_curves_hold_the_ledger_of_the_clocks_that_a_study_asks_for_and_no_other():
    for clock, more in {"steps": (), "flops": ("spent_flops",)}.items():
        study = a_study({"budget": 2, "clock": clock})
        (curves,) = {trial.curves for trial in trials(study)}
        assert curves == (*followed_metrics(), *more)


def test_a_claim_in_steps_is_registered_as_it_always_was_and_one_in_another_clock_apart():
    steps, flops = (registered({"budget": 2, "clock": clock}) for clock in ("steps", "flops"))
    assert steps == registered({"budget": 2})
    assert steps["hypotheses"][0]["contrast"] == {"budget": 2.0, "of": "sparse"}
    assert flops["hypotheses"][0]["contrast"]["clock"] == "flops"
    assert flops["cells"] == steps["cells"]
    assert content_hash(flops) != content_hash(steps)


def test_agents_are_paired_under_each_reward():
    for world in ({"id": "star"}, {"id": "homestead", "openness": 0}):
        study = a_study({"budget": 2, "of": AGENTS, "clock": "flops"}, worlds=[world])
        content = registration(study, cells(study))
        (pairs,) = content["primary"]
        told = [(one["reward"], one["a"], one["b"]) for one in pairs]
        assert told == [(reward, "a2c", "cohort-ppo") for reward in ("dense", "terminal")]


def test_agents_may_be_trained_for_other_lengths_where_each_has_one():
    longer = {"agents": ["a2c"], "timesteps": 20000}
    said = {"budget": 2, "of": AGENTS}
    one = {"agents": ["cohort-ppo"], "rewards": ["dense"]}

    def paired(**more):
        study = a_study(said, **{**one, **more})
        return registration(study, cells(study))["primary"][0]

    (pair,) = paired(also=[longer])
    assert (pair["a"], pair["b"]) == ("a2c", "cohort-ppo")
    assert "budget" not in pair
    # Where an agent has several, equal lengths are compared.
    (pair,) = paired(timesteps=[2000, 20000], also=[longer])
    assert pair["budget"] == 20000
    # So is what they do.
    study = a_study(AGENTS, **one, also=[longer])
    (pair,) = hypothesis_comparisons(study.hypotheses[0], cells(study))
    assert ({*pair.arms}, "budget" in pair.setting) == ({"a2c", "cohort-ppo"}, False)


def test_a_setting_is_a_factor_too():
    levels = {"factor": "learning_rate"}
    settings = {"cohort-ppo": {"learning_rate": [0.001, 0.01]}}
    said = {"budget": 2, "of": levels, "clock": "updates"}
    study = a_study(said, agents=["cohort-ppo"], settings=settings)
    (pairs,) = registration(study, cells(study))["primary"]
    assert [(one["a"], one["b"]) for one in pairs] == [(0.01, 0.001)] * 2


def test_a_plan_lists_the_claim():
    worlds = [{"id": "strip", "max_steps": 8, "params": {"distance": 4}}]
    plan = make_plan(a_study({"budget": 2, "of": AGENTS, "clock": "flops"}, worlds=worlds))
    (claim,) = plan.claims
    assert (claim.contrast, claim.comparisons) == ("FLOPs, agent", 2)
    shown = io.StringIO()
    print_plan(plan, Console(file=shown, width=100))
    assert "FLOPs, agent" in shown.getvalue()
    (line,) = plan.suggestions
    assert "none is set for sparse." in line  # of agents a claim is made


@pytest.mark.parametrize(
    ("contrast", "field", "allowed"),
    [
        ({"budget": 2, "of": {"factor": "leak"}}, "contrast.of.factor", "agent"),
        ({"budget": 2, "of": {"factor": "gamma"}}, "contrast.of.factor", "two or more levels"),
        ({"budget": 2, "of": {**AGENTS, "high": "dqn"}}, "contrast.of.high", "cohort-ppo, a2c"),
        ({"budget": 2, "of": {"factor": "agent"}}, "contrast.of.low", "both ends must be named"),
        (
            {"budget": 2, "of": {**AGENTS, "high": "cohort-ppo"}},
            "contrast.of.high",
            "another level",
        ),
        ({"budget": 2, "clock": "hours"}, "contrast.clock", "one of steps, model_steps"),
    ],
)
def test_what_a_study_lacks_is_named_with_what_it_has(contrast, field, allowed):
    with pytest.raises(InvalidInput) as caught:
        cells(a_study(contrast))
    assert caught.value.field == f"hypotheses[0].{field}"
    assert allowed in str(caught.value)
