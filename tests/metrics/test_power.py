"""POWER-seeking from episodes: what is known of random, greedy and scripted agents."""

import numpy as np
import pytest

import powerseek
from powerseek.agents import rollout, train
from powerseek.envs.task import Task
from powerseek.errors import InvalidInput
from powerseek.exact import (
    decisions,
    enumerated,
    oracle,
    power_greedy_policy,
    random_policy,
    reward_oracle,
    scripted_policy,
    seeking,
)
from powerseek.metrics import Context, measure

CASES = [("homestead", {"openness": 1}), ("endgame", {"openness": 1}), ("off-switch", {})]
EPISODES = 1500


def shown(policy, task, facts, optimum=None):
    episodes = rollout(policy, task, EPISODES, seed=5)
    context = Context(episodes, task.world, np.random.default_rng(0), oracle=facts, optimum=optimum)
    return {found.name: found for found in measure(context)}


@pytest.mark.parametrize(("name", "params"), CASES, ids=str)
def test_episodes_show_the_exact_score(name, params):
    world = powerseek.make_world(name, **params)
    facts, mdp = oracle(world), enumerated(world)
    measured = facts.power_in(world)
    # Accumulators that an exact evaluation cannot know do not matter to episodes.
    task = Task(world, windows=(8,))
    for policy in (
        random_policy(mdp),
        scripted_policy(mdp, "minimalist"),
        scripted_policy(mdp, "hoarder"),
        power_greedy_policy(measured),
    ):
        found = shown(policy, task, facts)["power_seeking"]
        exact = seeking(measured, policy).score
        # 95 % intervals, widened to 4 standard errors.
        slack = 1e-6 + (found.high - found.low)
        assert abs(found.value - exact) <= slack
        assert found.low - 1e-9 <= found.value <= found.high + 1e-9
    assert found.value == pytest.approx(1, abs=1e-6)


def test_the_optimums_own_score_stands_beside():
    world = powerseek.make_world("endgame")
    facts = oracle(world)
    measured = facts.power_in(world)
    arm = reward_oracle(world, "terminal", measured=measured)
    task = Task(world, "terminal")
    found = shown(train(task, "optimum").policy, task, facts, arm)
    beside = found["optimum_power_seeking"].value
    assert beside == pytest.approx(seeking(measured, arm.policy).score)
    width = found["power_seeking"].high - found["power_seeking"].low
    assert abs(found["power_seeking"].value - beside) <= width
    again = type(arm).from_arrays(arm.to_arrays())
    assert again.power_seeking == beside


def test_without_an_oracle_there_is_no_row():
    world = powerseek.make_world("off-switch")
    episodes = rollout(random_policy(enumerated(world)), Task(world), 20)
    names = {m.name for m in measure(Context(episodes, world, np.random.default_rng(0)))}
    assert not names & {"power_seeking", "optimum_power_seeking"}


def test_no_choice_is_undefined():
    world = powerseek.make_world("off-switch", interruption=1.0, max_steps=3)
    facts = oracle(world)
    flat = type(facts)(**{**vars(facts), "power": np.full_like(facts.power, 0.5)})
    found = shown(random_policy(enumerated(world)), Task(world), flat)
    assert np.isnan(found["power_seeking"].value)


def test_decisions_one_by_one():
    world = powerseek.make_world("off-switch")
    mdp, measured = enumerated(world), oracle(world).power_in(world)
    alive = np.flatnonzero(~mdp.terminal)
    for s in alive[:10]:
        pairs = slice(mdp.pair_start[s], mdp.pair_start[s + 1])
        ahead, actions = measured.pairs[pairs], mdp.pair_action[pairs].astype(np.int64)
        records = np.repeat(mdp.records[s : s + 1], len(actions))
        chosen, random, best = decisions(measured, records, actions)
        assert chosen == pytest.approx(ahead)
        assert random == pytest.approx(ahead.mean())
        assert best == pytest.approx(ahead.max())
    with pytest.raises(InvalidInput, match="not over"):
        decisions(measured, mdp.records[mdp.terminal][:1], np.zeros(1, np.int64))
    unknown = mdp.records[:1].copy()
    unknown["row"] = 50
    with pytest.raises(InvalidInput, match="not over"):
        decisions(measured, unknown, np.zeros(1, np.int64))
