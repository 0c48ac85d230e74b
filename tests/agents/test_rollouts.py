"""Many agents at once: each exactly as it would be alone."""

import sys
from functools import cache

import gymnasium
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import Ladder

import powerseek
from powerseek.agents import (
    RandomPolicy,
    ScriptedPolicy,
    rollout,
    rollouts,
    train,
    without_interruption,
)
from powerseek.envs.adapters.foreign import ForeignWorld
from powerseek.envs.task import Task
from powerseek.envs.world import Param
from powerseek.errors import InvalidInput

ARMS = ("dense", {"every": 4}, {"thinned": 0.5}, "terminal", {"approval": 3}, {"coverage": 0.5})
WORLDS = ("test.ladder", *powerseek.list_worlds())
SMALL = {"n_envs": 4, "n_steps": 8, "batch_size": 32, "n_epochs": 1}


class Pole(ForeignWorld):
    """CartPole, cut early."""

    id = "test.pole"
    parameters = {"max_steps": Param(12)}

    @staticmethod
    def environment(params):
        return gymnasium.make("CartPole-v1")

    @staticmethod
    def read(params, moment):
        return {"progress": moment.clock / params.max_steps, "success": 0.0}


class Nobody:
    """Has no action to offer."""

    def probabilities(self, situation):
        return np.zeros(situation.masks.shape)


def world_of(name):
    if name == "test.ladder":
        return Ladder(hazard=0.15, slip=0.4, max_steps=9)
    return powerseek.make_world(name)


@cache
def network(name, number):
    """A network that has learnt next to nothing, so that all it can do happens."""
    agent = ("ppo", "maskable-ppo", "cohort-ppo")[number % 3]
    shape = {**SMALL, "net": [[8], [13, 5], [64, 64]][number % 3]}
    task = Task(world_of(name), windows=(2, 4))
    return train(task, agent, seed=number, timesteps=32, settings=shape).policy


def policy(name, number):
    world = world_of(name)
    kinds = (RandomPolicy(), ScriptedPolicy(world, "hoarder"), ScriptedPolicy(world, "minimalist"))
    return kinds[number] if number < 3 else network(name, number)


def task(name, arm="dense", **more):
    return Task(world_of(name), arm, windows=(2, 4), **more)


def exactly(found, expected):
    """Bit for bit: -0.0 is not 0.0 here."""
    for field in ("facts", "actions", "rewards", "lengths", "terminated", "records"):
        one, other = getattr(found, field), getattr(expected, field)
        if one is None or other is None:
            assert one is other is None
            continue
        assert (one.dtype, one.shape) == (other.dtype, other.shape), field
        assert one.tobytes() == other.tobytes(), field
    assert (found.world, found.params) == (expected.world, expected.params)
    assert found.fact_names == expected.fact_names


def as_alone(agents, episodes, **how):
    """Roll (policy, task, seed, greedy) out together, and compare with each alone."""
    policies, tasks, seeds, greedy = zip(*agents, strict=True)
    found = rollouts(policies, tasks, episodes, seeds, greedy=greedy, **how)
    assert len(found) == len(agents)
    for one, (acts, where, seed, likeliest) in zip(found, agents, strict=True):
        exactly(one, rollout(acts, where, episodes, seed, greedy=likeliest, **how))
    return found


@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.parametrize(("episodes", "batch"), [(5, 1024), (8, 8), (11, 4)])
def test_every_agent_is_as_alone(name, episodes, batch):
    """Policies, arms, gammas, weights, seeds (two alike) and greed, and a calm world besides."""
    has_approval = ARMS if name == "test.ladder" else ARMS[:4]
    agents = []
    for i in range(12):
        arm = has_approval[i % len(has_approval)]
        weight = 0.5 * (i % 2) if world_of(name).role("holdings") else 0.0
        here = task(name, arm, gamma=1.0 - 0.1 * (i % 2) * (arm == "dense"), power_weight=weight)
        here = without_interruption(here) if i % 4 == 3 else here
        agents.append((policy(name, i % 6), here, [7, 7, 2**40][i % 3], i % 5 == 4))
    found = as_alone(agents, episodes, batch=batch)
    assert len({one.actions.tobytes() for one in found}) > 4


def test_tasks_that_cannot_share_copies_get_their_own():
    """Other parameters, windows and time limits; foreign environments; all in one call."""
    tasks = [
        task("test.ladder"),
        Task(Ladder(rungs=5), "dense", windows=(2,)),
        Task(Ladder(rungs=5), "dense", windows=(3, 4)),
        Task(Ladder(rungs=5), "dense", 0.9, "bootstrap", windows=(2,)),
        Task(Pole(), "own"),
        Task(Pole(), "own"),
        task(WORLDS[-1]),
        Task(Ladder(rungs=5), "terminal", windows=(2,)),
    ]
    agents = [(RandomPolicy(), here, 3, i % 2 == 1) for i, here in enumerate(tasks)]
    found = as_alone(agents, 6)
    assert [one.world for one in found] == [here.world.id for here in tasks]
    assert found[4].records is None
    assert found[4].actions.tobytes() != found[5].actions.tobytes(), "one of them was greedy"


@pytest.mark.parametrize("most", [1, 6, 20, 10_000])
def test_how_many_stand_side_by_side_changes_nothing(most, monkeypatch):
    agents = [(policy("test.ladder", i % 6), task("test.ladder"), i, False) for i in range(9)]
    policies, tasks, seeds, _ = zip(*agents, strict=True)
    before = rollouts(policies, tasks, 5, seeds)
    monkeypatch.setattr(sys.modules["powerseek.agents.rollout"], "COPIES", most)
    for one, other in zip(rollouts(policies, tasks, 5, seeds), before, strict=True):
        exactly(one, other)


AGENT = st.tuples(
    st.integers(0, 5), st.sampled_from(ARMS), st.integers(0, 3), st.booleans(), st.booleans()
)


@settings(max_examples=30)
@given(st.lists(AGENT, min_size=1, max_size=7), st.integers(1, 9), st.integers(1, 4), st.data())
def test_neither_order_nor_companions_matter(drawn, episodes, batch, data):
    agents = []
    for number, arm, seed, greedy, calm in drawn:
        here = task("test.ladder", arm)
        agents.append(
            (
                policy("test.ladder", number),
                without_interruption(here) if calm else here,
                seed,
                greedy,
            )
        )
    found = as_alone(agents, episodes, batch=batch)
    order = data.draw(st.permutations(range(len(agents))))
    kept = order[: data.draw(st.integers(1, len(agents)))]
    policies, tasks, seeds, greedy = zip(*(agents[i] for i in kept), strict=True)
    again = rollouts(policies, tasks, episodes, seeds, greedy=greedy, batch=batch)
    for i, one in zip(kept, again, strict=True):
        exactly(one, found[i])


def test_a_policy_is_asked_about_its_own_running_copies_alone():
    class Counting(RandomPolicy):
        def __init__(self):
            self.asked = 0

        def probabilities(self, situation):
            assert len(situation.observations) == len(situation.masks) == len(situation.states)
            assert (situation.states.off == 0).all()
            self.asked += len(situation.masks)
            return super().probabilities(situation)

    policies = [Counting() for _ in range(3)]
    found = rollouts(policies, [task("test.ladder")] * 3, 12, [0, 1, 2], batch=4)
    asked = [counted.asked for counted in policies]
    assert asked == [one.lengths.sum() for one in found]
    assert len(set(asked)) == 3


def test_an_error_of_one_is_raised():
    policies = [RandomPolicy(), Nobody()]
    with pytest.raises(InvalidInput, match="policy"):
        rollouts(policies, [task("test.ladder")] * 2, 3, [0, 1])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"tasks": 1}, "tasks: got 1; allowed: 2 of them"),
        ({"seeds": 3}, "seeds: got 3; allowed: 2 of them"),
        ({"greedy": 1}, "greedy: got 1; allowed: 2 of them"),
    ],
)
def test_one_of_each_is_asked_for(given, words):
    many = {"tasks": 2, "seeds": 2, "greedy": 2, **given}
    with pytest.raises(InvalidInput, match=words):
        rollouts(
            [RandomPolicy()] * 2,
            [task("test.ladder")] * many["tasks"],
            3,
            list(range(many["seeds"])),
            greedy=[False] * many["greedy"],
        )


def test_nobody_has_no_episodes():
    assert rollouts([], [], 3, []) == []
