"""Settings of the learners: complete, checked, and the same for every arm."""

import pytest
from worlds import Ladder

import powerseek
from powerseek.agents import check_agent, settings_for, train
from powerseek.agents.settings import ACTIVATIONS, DEFAULT, WORLDS
from powerseek.envs.task import Task
from powerseek.errors import InvalidInput

WRONG = [
    ({"lr": 0.1}, "settings"),
    ({"gamma": 0.9}, "settings"),
    ({"n_envs": 0}, "settings.n_envs"),
    ({"n_envs": 8.0}, "settings.n_envs"),
    ({"n_envs": True}, "settings.n_envs"),
    ({"n_steps": "32"}, "settings.n_steps"),
    ({"n_epochs": -1}, "settings.n_epochs"),
    ({"batch_size": 1}, "settings.batch_size"),
    ({"batch_size": 1000}, "settings.batch_size"),
    ({"batch_size": 8192}, "settings.batch_size"),
    ({"n_envs": 3, "n_steps": 5}, "settings.batch_size"),
    ({"learning_rate": 0}, "settings.learning_rate"),
    ({"learning_rate": -0.1}, "settings.learning_rate"),
    ({"learning_rate": "3e-4"}, "settings.learning_rate"),
    ({"learning_rate": float("nan")}, "settings.learning_rate"),
    ({"learning_rate": None}, "settings.learning_rate"),
    ({"final_learning_rate": -1e-9}, "settings.final_learning_rate"),
    ({"final_learning_rate": float("inf")}, "settings.final_learning_rate"),
    ({"ent_coef": -0.01}, "settings.ent_coef"),
    ({"ent_coef": True}, "settings.ent_coef"),
    ({"gae_lambda": 1.1}, "settings.gae_lambda"),
    ({"gae_lambda": -0.1}, "settings.gae_lambda"),
    ({"clip_range": 0}, "settings.clip_range"),
    ({"vf_coef": -1}, "settings.vf_coef"),
    ({"max_grad_norm": 0}, "settings.max_grad_norm"),
    ({"net": 64}, "settings.net"),
    ({"net": "64"}, "settings.net"),
    ({"net": [64, 0]}, "settings.net"),
    ({"net": [64.0]}, "settings.net"),
    ({"n_envs": 10**30}, "settings.n_envs"),
    ({"n_envs": 2**16, "n_steps": 2**16}, "settings.n_steps"),
    ({"n_envs": 1, "n_steps": 1}, "settings.n_steps"),
    ({"n_epochs": 10**6}, "settings.n_epochs"),
    ({"net": [10**9]}, "settings.net"),
    ({"net": [1] * 17}, "settings.net"),
    ({"learning_rate": 10**400}, "settings.learning_rate"),
    ({"activation": "gelu"}, "settings.activation"),
    ({"activation": None}, "settings.activation"),
]


@pytest.mark.parametrize(("given", "field"), WRONG, ids=str)
def test_what_is_wrong_is_named(given, field):
    with pytest.raises(InvalidInput) as error:
        settings_for("homestead", given)
    assert error.value.field == field
    for agent in ("ppo", "maskable-ppo"):
        with pytest.raises(InvalidInput):
            check_agent(Task(Ladder()), agent, given)


@pytest.mark.parametrize(
    "given",
    [
        {"net": []},
        {"net": (8, 8)},
        {"ent_coef": 0},
        {"final_learning_rate": 0},
        {"gae_lambda": 1},
        {"gae_lambda": 0.0},
        {"n_envs": 1, "n_steps": 2, "batch_size": 2},
        *({"activation": name} for name in ACTIVATIONS),
    ],
    ids=str,
)
def test_what_is_right_takes_the_place_of_the_default(given):
    constant = {"final_learning_rate": DEFAULT["learning_rate"]}
    assert settings_for("test.ladder", given) == {**DEFAULT, **constant, **given}


def test_a_batch_that_does_not_divide_is_answered_with_one_that_does():
    with pytest.raises(InvalidInput, match="Write batch_size: 24") as error:
        settings_for("off-switch", {"n_envs": 12, "n_steps": 10, "batch_size": 48})
    assert "120" in str(error.value)
    settings_for("off-switch", {"n_envs": 12, "n_steps": 10, "batch_size": 24})
    with pytest.raises(InvalidInput, match="Write batch_size: 15"):
        settings_for("off-switch", {"n_envs": 3, "n_steps": 5})


@pytest.mark.parametrize("world", powerseek.list_worlds())
def test_every_world_has_complete_settings_that_hold(world):
    chosen = settings_for(world)
    assert chosen.keys() == DEFAULT.keys()
    ends = {"final_learning_rate": chosen["learning_rate"]}
    assert chosen == {**DEFAULT, **WORLDS.get(world, {}), **ends}
    assert settings_for(world, chosen) == chosen


def test_worlds_with_settings_of_their_own_exist():
    assert set(WORLDS) <= set(powerseek.list_worlds())


@pytest.mark.parametrize("world", powerseek.list_worlds())
def test_arms_and_learners_share_them(world):
    made = powerseek.make_world(world)
    arms = ("dense", "terminal", {"every": 4})
    found = [check_agent(Task(made, arm), a) for arm in arms for a in ("ppo", "maskable-ppo")]
    assert all(one == settings_for(world) for one in found)


def test_defaults_are_not_changed_by_who_asks():
    settings_for("homestead")["n_envs"] = 7
    assert settings_for("homestead")["n_envs"] == DEFAULT["n_envs"]


@pytest.mark.parametrize("agent", ["random", "minimalist", "hoarder", "optimum", "minimal-need"])
def test_what_does_not_learn_has_no_settings(agent):
    with pytest.raises(InvalidInput, match="has none"):
        train(Task(Ladder()), agent, settings={"n_envs": 8})


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"timesteps": 0}, "timesteps"),
        ({"timesteps": 100, "seed": -1}, "seed"),
        ({"timesteps": 100, "seed": 0.5}, "seed"),
        ({"timesteps": 100, "seed": 2**32}, "seed"),
        ({"seed": 2**70, "agent": "random"}, "seed"),
        ({"timesteps": 10**30}, "timesteps"),
        ({"timesteps": 100, "agent": "sarsa-lambda"}, "agent"),
    ],
    ids=str,
)
def test_what_training_refuses(asked, field):
    with pytest.raises(InvalidInput) as error:
        train(Task(Ladder()), **asked)
    assert error.value.field == field


def test_a_learning_rate_is_constant_unless_it_is_told_where_to_end():
    assert settings_for("star")["final_learning_rate"] == DEFAULT["learning_rate"]
    assert settings_for("star", {"learning_rate": 0.01})["final_learning_rate"] == 0.01
    falling = settings_for("star", {"final_learning_rate": 0.0})
    assert (falling["learning_rate"], falling["final_learning_rate"]) == (3e-3, 0.0)
