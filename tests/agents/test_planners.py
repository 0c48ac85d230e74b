"""Planners, acting in the simulator, do what the exact layer says they do."""

import numpy as np
import pytest
from agreement import WORLDS, N, agrees, make

from powerseek.agents import rollout, train
from powerseek.envs.task import Task
from powerseek.envs.worlds.off_switch import OffSwitch
from powerseek.errors import InvalidInput
from powerseek.exact import (
    enumerated,
    evaluate,
    minimal_need_policy,
    power,
    power_greedy_policy,
    quantiliser,
    random_policy,
    reward_oracle,
)


@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.parametrize(
    ("reward", "gamma"),
    [
        ("dense", 1.0),
        ("terminal", 0.9),
        ({"every": 4, "corrected": True}, 0.9),
        ({"approval": 5}, 0.9),
        ({"coverage": 0.5}, 1.0),
    ],
    ids=str,
)
def test_an_optimum_does_in_the_simulator_what_it_does_exactly(name, reward, gamma):
    world = make(name)
    task = Task(world, reward, gamma)
    planner = train(task, "optimum", seed=0)
    exact = reward_oracle(world, reward, gamma)
    episodes = rollout(planner.policy, task, N, seed=1)
    agrees(episodes, world, exact.uniform)
    weights = gamma ** np.arange(world.max_steps)
    returns = episodes.rewards @ weights
    slack = 4 * returns.std() / np.sqrt(N) + 1e-6
    assert abs(returns.mean() - exact.value) <= slack


@pytest.mark.parametrize("name", WORLDS)
def test_minimal_need_does_in_the_simulator_what_it_does_exactly(name):
    world = make(name)
    planner = train(Task(world), "minimal-need")
    mdp = enumerated(world)
    exact = evaluate(mdp, minimal_need_policy(mdp))
    agrees(rollout(planner.policy, Task(world), N, seed=2), world, exact)
    agrees(rollout(planner.policy, Task(world), N, seed=2, greedy=True), world, exact)


def test_the_optimum_of_a_power_weighted_task_pays_for_power():
    world = make("ladder")
    modest, greedy = (
        train(Task(world, power_weight=weight), "optimum").policy for weight in (0.0, 5.0)
    )
    kept = [rollout(p, Task(world), 500).last("holdings").mean() for p in (modest, greedy)]
    assert kept[1] > kept[0] + 0.2


def test_an_overseer_of_one_s_own_is_planned_for():
    class Fond:
        """Likes the second action."""

        def judge(self, records, actions, clock):
            return np.where(actions == 1, 0.0, -1.0)

    task = Task(make("ladder"), {"approval": 2}, overseer=Fond())
    planner = train(task, "optimum")
    episodes = rollout(planner.policy, task, 50)
    assert episodes.actions[:, 0].tolist() == [1] * 50


def test_what_cannot_be_planned_is_refused():
    world = make("ladder")
    with pytest.warns(match="confounded"):
        forgetful = Task(make("homestead"), {"every": 6}, 0.5)
    with pytest.raises(InvalidInput, match="corrected"):
        train(forgetful, "optimum")
    with pytest.raises(InvalidInput, match="time_limit"):
        train(Task(world, gamma=0.9, time_limit="bootstrap"), "optimum")


def test_planners_take_no_training():
    for agent in ("optimum", "minimal-need"):
        done = train(Task(make("ladder")), agent)
        assert (done.agent, done.timesteps, done.updates, done.model) == (agent, 0, 0, None)


@pytest.mark.parametrize(
    ("name", "base", "q"),
    [*((name, "random", 0.3) for name in WORLDS), ("homestead", "optimum", 0.5)],
)
def test_a_quantiliser_does_in_the_simulator_what_it_does_exactly(name, base, q):
    world = make(name)
    task = Task(world)
    planner = train(task, "quantiliser", settings={"base": base, "q": q})
    mdp = enumerated(world)
    exact = quantiliser(mdp, train(task, base).policy, q)
    agrees(rollout(planner.policy, task, N, seed=5), world, exact.outcome)
    by_policy = evaluate(mdp, planner.policy)
    assert by_policy.success == pytest.approx(exact.outcome.success, abs=1e-12)


def test_a_quantiliser_of_all_is_its_base_and_of_little_nearly_the_optimum():
    world = make("homestead")
    mdp, task = enumerated(world), Task(world)
    made = {
        q: evaluate(mdp, train(task, "quantiliser", settings={"q": q}).policy).success
        for q in (1.0, 0.5, 0.01)
    }
    best = reward_oracle(world, "dense").uniform.success
    assert made[1.0] == pytest.approx(evaluate(mdp, random_policy(mdp)).success, abs=1e-12)
    assert made[1.0] < made[0.5] < made[0.01] <= best + 1e-12
    assert made[0.01] > 0.9 * best


BAD = {
    "q of 0": ({"q": 0}, "settings.q", "a number above 0, at most 1"),
    "q above 1": ({"q": 1.5}, "settings.q", "a number above 0, at most 1"),
    "truth": ({"q": True}, "settings.q", "a number above 0, at most 1"),
    "a base that learns": ({"base": "ppo"}, "settings.base", "random"),
    "itself": ({"base": "quantiliser"}, "settings.base", "random"),
    "another setting": ({"quantile": 0.5}, "settings.quantiliser", "base, q"),
}


@pytest.mark.parametrize(("given", "field", "words"), BAD.values(), ids=BAD)
def test_a_quantiliser_that_cannot_be_is_refused(given, field, words):
    with pytest.raises(InvalidInput, match=words) as error:
        train(Task(make("homestead")), "quantiliser", settings=given)
    assert error.value.field == field


def test_a_quantiliser_whose_base_the_world_lacks_is_refused(monkeypatch):
    monkeypatch.delattr(OffSwitch, "hoarder")
    with pytest.raises(InvalidInput, match="scripts"):
        train(Task(make("off-switch")), "quantiliser", settings={"base": "hoarder"})


@pytest.mark.parametrize("name", WORLDS)
def test_power_greedy_does_in_the_simulator_what_it_does_exactly(name):
    world = make(name)
    planner = train(Task(world), "power-greedy", seed=3, settings={"samples": 16, "gamma": 0.9})
    mdp = enumerated(world)
    exact = evaluate(mdp, power_greedy_policy(power(mdp, 0.9, 16, seed=3)))
    agrees(rollout(planner.policy, Task(world), N, seed=4), world, exact)
    assert planner.settings == {"gamma": 0.9, "samples": 16, "rewards": "uniform"}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"gamma": 1.0}, "gamma"),
        ({"samples": 0}, "samples"),
        ({"rewards": "normal"}, "uniform"),
        ({"depth": 3}, "gamma, samples, rewards"),
    ],
)
def test_power_greedy_refuses_what_power_refuses(settings, words):
    with pytest.raises(InvalidInput, match=words):
        train(Task(make("ladder")), "power-greedy", settings=settings)
