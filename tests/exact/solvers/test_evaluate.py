"""Policies evaluated exactly, against closed forms and against simulation."""

import numpy as np
import pytest
from graphs import drawn, one_at_a_time
from worlds import Ladder, Well

import powerseek
from powerseek.envs import VecWorld, describe, script
from powerseek.envs.task import Task, VecTask
from powerseek.errors import InvalidInput
from powerseek.exact import (
    TabularMDP,
    enumerated,
    evaluate,
    minimal_need_policy,
    optimum,
    random_policy,
    random_success,
    reward_oracle,
    scripted_policy,
    slip_curve,
)
from powerseek.types import Policy, Situation

WORLDS = [("test.ladder", Ladder(hazard=0.1)), ("homestead", None), ("off-switch", None)]


def _world(name, world):
    return world if world is not None else powerseek.make_world(name)


@pytest.mark.parametrize("size", [5, 10, 20])
def test_random_exploration_of_a_deep_sea(size):
    chain = {i: [{"out": 1}, {i + 1: 1}] for i in range(size)}
    mdp = TabularMDP.from_transitions(
        chain, facts={"success": {size: 1}}, terminal=["out", size], max_steps=size
    )
    assert evaluate(mdp, random_policy(mdp)).success == pytest.approx(0.5**size, abs=1e-15)
    assert np.isnan(evaluate(mdp, random_policy(mdp)).disabled)


def test_all_forms_of_a_policy_agree():
    mdp = drawn(4)
    steps, states, actions = mdp.max_steps, mdp.n_states, mdp.n_actions
    policy = minimal_need_policy(mdp)
    weights = np.stack([policy.pair_weights(t) for t in range(steps)])
    table = np.zeros((steps, states, actions))
    table[:, mdp.pair_state, mdp.pair_action] = weights
    whole = evaluate(mdp, policy).as_array()
    for form in (weights, table, lambda t: weights[t]):
        assert evaluate(mdp, form).as_array() == pytest.approx(whole, nan_ok=True)
    constant = random_policy(mdp).pair_weights(0)
    assert evaluate(mdp, constant) == evaluate(mdp, random_policy(mdp))


@pytest.mark.parametrize("bad", [np.zeros(3), np.zeros((7, 7)), "short", "negative"])
def test_what_is_no_policy_is_refused(bad):
    mdp = drawn(4)
    if isinstance(bad, str):
        bad = random_policy(mdp).pair_weights(0) * (0.5 if bad == "short" else -1)
    with pytest.raises(InvalidInput, match="policy"):
        evaluate(mdp, bad)


def test_slips_run_from_the_policy_to_chance():
    mdp = drawn(5)
    policy = minimal_need_policy(mdp)
    curve = slip_curve(policy)
    for at, end in ((0, policy), (-1, random_policy(mdp))):
        exact = evaluate(mdp, end)
        assert curve.success[at] == pytest.approx(exact.success)
        assert curve.acquisition[at] == pytest.approx(exact.acquisition)
    mixed = 0.7 * np.stack([policy.pair_weights(t) for t in range(mdp.max_steps)])
    mixed += 0.3 * random_policy(mdp).pair_weights(0)
    middle = slip_curve(policy, np.array([0.0, 0.3]))
    assert middle.success[1] == pytest.approx(evaluate(mdp, mixed).success)


def test_slip_curve_interpolates_on_success():
    # One attempt a step: a slip wastes it half the time.
    curve = slip_curve(minimal_need_policy(one_at_a_time(max_steps=3)))
    assert curve.at(curve.success[0]) == pytest.approx(curve.acquisition[0])
    assert curve.at(curve.success[-1]) == pytest.approx(curve.acquisition[-1])
    middle = curve.success[[10, 11]].mean()
    assert curve.at(middle) == pytest.approx(curve.acquisition[[10, 11]].mean())
    assert np.isnan(curve.at(curve.success[0] + 0.01))
    assert np.isnan(curve.at(np.array([0.0]))).all()


def _simulate(world, policy, copies, seed):
    """Success, acquisition and length [copies] of one episode each, acted by the policy."""
    vec = VecWorld(world, copies, seed)
    rng = np.random.default_rng(seed)
    going = np.ones(copies, bool)
    total, success, length = np.zeros(copies), np.zeros(copies), np.zeros(copies)
    weights = world.weights("resource")
    while going.any():
        chances = policy.probabilities(Situation(vec.observations, vec.masks, vec.states))
        assert np.allclose(chances.sum(axis=1), 1)
        assert not chances[~vec.masks].any()
        actions = (chances.cumsum(axis=1) > rng.random(copies)[:, None]).argmax(axis=1)
        vec.step(actions)
        total += going * (vec.facts @ weights)
        length += going
        ended = vec.terminated | vec.truncated
        success = np.where(going & ended, vec.facts[:, world.columns("success").start], success)
        going &= ~ended
    return success, total, length


def _close(sample, exact):
    error = max(sample.std() / np.sqrt(len(sample)), 1e-12)
    assert abs(sample.mean() - exact) <= 4 * error + 1e-9


@pytest.mark.parametrize("which", ["minimal", "random", "minimalist", "hoarder"])
@pytest.mark.parametrize(("name", "world"), WORLDS)
def test_simulation_agrees_within_four_standard_errors(name, world, which):
    world = _world(name, world)
    mdp = enumerated(world)
    policy = {"minimal": minimal_need_policy, "random": random_policy}.get(
        which, lambda m: scripted_policy(m, which)
    )(mdp)
    assert isinstance(policy, Policy)
    exact = evaluate(mdp, policy)
    success, total, length = _simulate(world, policy, 4000, seed=1)
    _close(success, exact.success)
    _close(length, exact.length)
    if world.role("resource"):
        _close(total, exact.acquisition)


@pytest.mark.parametrize(
    ("reward", "gamma", "weight"),
    [
        ("dense", 1.0, 0.0),
        ("dense", 0.9, 0.0),
        ({"every": 8}, 1.0, 0.0),
        ({"every": 8, "corrected": True}, 0.9, 0.0),
        ("terminal", 0.9, 0.0),
        ("shaped", 0.95, 0.0),
        ({"thinned": 0.5}, 1.0, 0.0),
        ("dense", 1.0, 1.0),
    ],
)
def test_a_task_pays_the_optimum_its_value(reward, gamma, weight):
    world = Ladder(hazard=0.1)
    mdp = enumerated(world)
    found = reward_oracle(world, reward, gamma, power_weight=weight)
    scale = powerseek.exact.attainable_holdings(mdp)
    task = Task(world, reward, gamma, power_weight=weight, holdings_scale=scale)
    vec = VecTask(task, 20_000, seed=3)
    rng = np.random.default_rng(0)
    going, returns, discount = np.ones(vec.n, bool), np.zeros(vec.n), 1.0
    while going.any():
        chances = found.policy.probabilities(vec.situation)
        vec.step((chances.cumsum(axis=1) > rng.random(vec.n)[:, None]).argmax(axis=1))
        returns += going * discount * vec.rewards
        going &= ~vec.ended
        discount *= gamma
    _close(returns, found.value)


def test_competence_is_the_same_policy_with_the_hazard_off():
    world = Ladder(hazard=0.1)
    calm = enumerated(world.without_interruption())
    found = optimum(enumerated(world), "dense", calm=calm)
    assert found.competence == pytest.approx(evaluate(calm, found.policy).success)
    assert found.competence > found.uniform.success
    success, _, _ = _simulate(world.without_interruption(), found.policy, 4000, seed=5)
    _close(success, found.competence)


class Climber:
    """A policy that is not tabular: it prefers to climb."""

    def probabilities(self, situation):
        chances = situation.masks * np.array([3.0, 1.0, 1.0])
        return chances / chances.sum(axis=1, keepdims=True)


class Watching(Climber):
    """A climber that checks that it is shown what a task shows."""

    def __init__(self, world):
        self.world = world

    def probabilities(self, situation):
        left = 1 - situation.states["clock"] / self.world.max_steps
        assert np.allclose(situation.observations[:, -1], left)
        _, masks, observations = describe(self.world, situation.states)
        assert np.array_equal(situation.masks, masks)
        assert np.array_equal(situation.observations[:, :-1], observations)
        return super().probabilities(situation)


def test_any_policy_may_be_evaluated_exactly():
    world = Ladder(hazard=0.1)
    exact = evaluate(enumerated(world), Watching(world))
    success, total, _ = _simulate(world, Climber(), 4000, seed=2)
    _close(success, exact.success)
    _close(total, exact.acquisition)


@pytest.mark.parametrize("who", [0, 1])
def test_a_policy_is_told_whose_actions_it_is_asked_for(who):
    class Drawing:
        def probabilities(self, situation):
            assert situation.actor == who
            return np.eye(3)[script(there, "minimalist", situation.states)]

    there = Well(who=who, refill=0.0)
    mdp = enumerated(there)
    assert evaluate(mdp, Drawing()).success == float(who == 0)  # Ann, thirsty, draws before Miles


def test_a_state_that_does_not_exist_is_named():
    world = Ladder()
    policy = minimal_need_policy(enumerated(world))
    records = world.records(2)
    records["height"] = 99
    masks = np.ones((2, 3), bool)
    with pytest.raises(InvalidInput, match="state"):
        policy.probabilities(Situation(np.zeros((2, 3), np.float32), masks, records))


@pytest.mark.parametrize("name", ["star", "off-switch", "homestead", "required"])
def test_random_success_is_that_of_one_who_always_slips(name):
    mdp = enumerated(powerseek.make_world(name))
    slips = slip_curve(minimal_need_policy(mdp), np.array([0.5, 1.0]))
    assert random_success(mdp) == pytest.approx(slips.success[-1], abs=1e-12)


def test_random_success_by_hand():
    """From the start to leaf 0, or by the hub: 1/2 + 1/2 x 1/4; within one step only the first."""
    assert random_success(powerseek.make_world("star")) == pytest.approx(0.5 + 0.5 / 4)
    assert random_success(powerseek.make_world("star"), 1) == pytest.approx(0.5)
    assert random_success(powerseek.make_world("star", goal=2), 1) == 0.0
