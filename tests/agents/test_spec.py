"""Agents as a study names them: specs, their labels, and what results compare."""

import pytest

from powerseek.agents import train
from powerseek.agents.spec import agent_id, agent_label, read_agent
from powerseek.envs.task import Task
from powerseek.errors import InvalidInput
from powerseek.experiments.study.checked import cells
from powerseek.experiments.study.hypotheses import hypothesis_comparisons
from powerseek.experiments.study.schema import make_study
from powerseek.experiments.study.size import study_size
from powerseek.registry import list_agents, make_world

STAR = {"name": "s", "worlds": [{"id": "star"}], "timesteps": 100, "cohort": 4}
NARROW, WIDE = {"cohort-ppo": {"net": [8]}}, {"cohort-ppo": {"net": [32], "ent_coef": 0.1}}


def grid(*agents, **more):
    return cells(make_study({**STAR, "agents": list(agents), **more}))


def test_a_spec_is_an_id_or_an_id_with_settings():
    assert read_agent("ppo") == ("ppo", {})
    assert read_agent({"ppo": {"net": [8]}}) == ("ppo", {"net": [8]})
    assert agent_label("ppo", {}) == "ppo"
    assert agent_label("ppo", {"net": [8], "ent_coef": 0.02}) == "ppo net [8] ent_coef 0.02"
    for id in list_agents():
        assert agent_id(agent_label(id, {"net": [8, 8]})) == agent_id(id) == id


def test_training_takes_a_spec_too():
    task = Task(make_world("star"))
    given = {"cohort-ppo": {"net": [8], "n_envs": 4, "n_steps": 8, "batch_size": 16}}
    done = train(task, given, timesteps=1, settings={"net": [32], "ent_coef": 0.1})
    assert (done.agent, done.settings["net"], done.settings["ent_coef"]) == ("cohort-ppo", [8], 0.1)
    with pytest.raises(InvalidInput, match="agent: got 7"):
        train(task, 7, timesteps=1)


def test_agents_of_one_id_are_told_by_their_settings():
    plain, narrow, wide = grid("cohort-ppo", NARROW, WIDE)
    assert [c.agent_label for c in (plain, narrow, wide)] == [
        *("cohort-ppo", "cohort-ppo net [8]", "cohort-ppo net [32] ent_coef 0.1"),
    ]
    assert {c.agent for c in (plain, narrow, wide)} == {"cohort-ppo"}
    assert (narrow.settings["net"], wide.settings["ent_coef"]) == ([8], 0.1)
    assert len({c.key for c in (plain, narrow, wide)}) == 3


def test_named_by_its_id_alone_a_cell_is_what_it_was():
    (plain,) = grid("cohort-ppo")
    assert "agent_spec" not in plain.config


def test_the_spec_replaces_what_the_study_says_of_all():
    settings = {"cohort-ppo": {"ent_coef": 0.3, "net": [[16]]}}
    plain, wide = grid("cohort-ppo", WIDE, settings=settings)
    assert (plain.settings["ent_coef"], wide.settings["ent_coef"]) == (0.3, 0.1)
    (own,) = grid(NARROW, worlds=[{"id": "star", "settings": settings}])
    assert (own.settings["net"], own.settings["ent_coef"]) == ([8], 0.3)


def test_one_agent_named_twice_is_trained_once():
    named = {"cohort-ppo": {"ent_coef": 0.02}}
    assert [cell.agent_label for cell in grid("cohort-ppo", named)] == ["cohort-ppo"]
    assert [cell.agent_label for cell in grid(named, "cohort-ppo")] == ["cohort-ppo ent_coef 0.02"]


def test_a_list_within_a_spec_is_one_of_levels():
    given = {"cohort-ppo": {"ent_coef": [0.0, 0.1], "net": [8]}}
    found = grid(given)
    assert [cell.agent_label for cell in found] == [
        *("cohort-ppo ent_coef 0 net [8]", "cohort-ppo ent_coef 0.1 net [8]"),
    ]
    assert study_size(make_study({**STAR, "agents": given})).cells == 2


def compared(said, *agents):
    claim = {"id": "c", "direction": "larger", "margin": 0.1, "measure": "success", **said}
    study = make_study({**STAR, "agents": list(agents), "hypotheses": [claim]})
    return list(hypothesis_comparisons(study.hypotheses[0], cells(study)))


def test_agents_are_compared_by_name_and_by_a_setting():
    name = "cohort-ppo net [8]"
    (by_name,) = compared(
        {"contrast": {"factor": "agent", "low": "cohort-ppo", "high": name}}, "cohort-ppo", NARROW
    )
    assert list(by_name.arms) == [name, "cohort-ppo"]
    low, high = ({"cohort-ppo": {"ent_coef": x, "net": [8]}} for x in (0.0, 0.1))
    (by_setting,) = compared({"contrast": {"factor": "ent_coef"}}, "ppo", low, high)
    assert by_setting.columns == ("settings.ent_coef",)
    assert list(by_setting.arms) == [0.1, 0.0]
    assert by_setting.setting["agent"] == "cohort-ppo"
    assert by_setting.setting["settings.net"] == "[8]"


@pytest.mark.parametrize("agent", ["cohort-ppo", {"cohort-ppo": {"ent_coef": 0.1, "net": [8]}}])
def test_a_claim_is_about_an_agent_or_about_all_of_an_id(agent):
    low, high = ({"cohort-ppo": {"ent_coef": x, "net": [8]}} for x in (0.0, 0.1))
    given = {"contrast": "level", "arm": "dense", "agent": agent}
    found = compared(given, "ppo", low, high)
    assert len(found) == (2 if agent == "cohort-ppo" else 1)


WRONG = {
    "two in one item": ([{"ppo": {}, "cohort-ppo": {}}], "agents[0]", "an agent's id"),
    "settings without braces": ([{"ppo": 3}], "agents[0]", "{ppo: {learning_rate: 0.001}}"),
    "a number": ([7], "agents[0]", "an agent's id, or {id: {setting: value}}"),
    "nothing": ([{}], "agents[0]", "an agent's id, or {id: {setting: value}}"),
    "an unknown agent": ([{"pppo": {"net": [8]}}], "agents", "Did you mean 'ppo'"),
    "an unknown setting": ([{"ppo": {"lr": 1}}], "agents.ppo.lr", "learning_rate"),
    "a value": ([{"ppo": {"ent_coef": -1}}], "agents.ppo.ent_coef", "a number >= 0"),
}


@pytest.mark.parametrize(("agents", "field", "words"), WRONG.values(), ids=WRONG)
def test_what_is_no_agent_is_refused(agents, field, words):
    with pytest.raises(InvalidInput) as error:
        cells(
            make_study({"name": "s", "worlds": [{"id": "star"}], "timesteps": 9, "agents": agents})
        )
    assert error.value.field == field
    assert words in str(error.value)
