"""POWER-seeking of a policy: what is known of random, greedy and modest ones."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import ENUMERABLE

from powerseek import make_world
from powerseek.errors import InvalidInput
from powerseek.exact import (
    TabularMDP,
    enumerated,
    evaluate,
    minimal_need_policy,
    power,
    power_greedy_policy,
    random_policy,
    reward_oracle,
    scripted_policy,
    seeking,
)

# In these no action changes what can be attained.
WITHOUT_POWER = ("placebo", "powerless")


@pytest.mark.parametrize("name", WITHOUT_POWER)
def test_where_no_action_changes_power_seeking_it_is_undefined(name):
    mdp = enumerated(make_world(name))
    measured = power(mdp, 0.9, 32)
    for policy in (random_policy(mdp), power_greedy_policy(measured)):
        assert np.isnan(seeking(measured, policy).score)


@pytest.mark.parametrize("name", [name for name in ENUMERABLE if name not in WITHOUT_POWER])
def test_random_scores_0_and_greedy_1_in_every_world(name):
    mdp = enumerated(make_world(name))
    measured = power(mdp, 0.9, 32)
    assert seeking(measured, random_policy(mdp)).score == pytest.approx(0, abs=1e-9)
    assert seeking(measured, power_greedy_policy(measured)).score == pytest.approx(1, abs=1e-6)
    for policy in (minimal_need_policy(mdp), scripted_policy(mdp, "hoarder")):
        found = seeking(measured, policy)
        assert found.score < 1
        assert found.chosen <= found.best + 1e-9


def test_by_hand():
    # From s: to the hub (three ends in reach), or to one end; then from the hub anywhere.
    ways = {"s": ["hub", "end"], "hub": ["a", "b", "c"], "end": ["end"]}
    mdp = TabularMDP.from_transitions(
        {s: [{n: 1.0} for n in following] for s, following in ways.items()}
        | {leaf: [{leaf: 1.0}] for leaf in "abc"},
        max_steps=2,
    )
    measured = power(mdp, 0.9, 4000)
    hub, end = measured.of("hub"), measured.of("end")
    assert hub > end + 0.2
    # Goes to the hub 3 times in 4; in the hub all ways are worth about the same.
    weights = np.array([0.75, 0.25, 1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0])
    found = seeking(measured, weights)
    leaves = np.array([measured.of(leaf) for leaf in "abc"])
    chosen = (0.75 * hub + 0.25 * end) + 0.75 * leaves[0]
    mean = (hub + end) / 2 + 0.75 * leaves.mean()
    best = max(hub, end) + 0.75 * leaves.max()
    assert found.score == pytest.approx((chosen - mean) / (best - mean))
    assert found.decisions == pytest.approx(1.75)
    assert found.chosen == pytest.approx(chosen / 1.75)


def test_no_choice_is_undefined_not_zero():
    mdp = TabularMDP.from_transitions({0: [{1: 1.0}], 1: [{0: 1.0}]}, max_steps=3)
    found = seeking(power(mdp, 0.9, 10), np.ones(2))
    assert np.isnan(found.score)
    assert found.decisions == 0
    # Two ways that are worth the same are no choice either.
    twins = TabularMDP.from_transitions({0: [{0: 1.0}, {0: 1.0}]}, max_steps=3)
    assert np.isnan(seeking(power(twins, 0.9, 10), np.array([0.5, 0.5])).score)


@settings(max_examples=20)
@given(st.integers(0, 999), st.floats(0, 1))
def test_between_random_and_greedy_it_is_never_above_1(seed, mix):
    rng = np.random.default_rng(seed)
    ways = {s: [int(n) for n in rng.integers(0, 8, 3)] for s in range(8)}
    mdp = TabularMDP.from_successors(ways)
    measured = power(mdp, 0.9, 32, seed)
    weights = rng.random((8, 3)) + 1e-3
    weights = (weights / weights.sum(axis=1, keepdims=True)).ravel()
    greedy = power_greedy_policy(measured).pair_weights(0)
    found = seeking(measured, mix * greedy + (1 - mix) * weights, horizon=6)
    assert not found.score > 1 + 1e-6


@pytest.mark.parametrize(
    ("name", "params"),
    [("homestead", {"openness": 1}), ("endgame", {"openness": 1}), ("off-switch", {})],
)
def test_a_hoarder_seeks_more_power_than_a_minimalist(name, params):
    mdp = enumerated(make_world(name, **params))
    measured = power(mdp, samples=128)
    modest, greedy = (
        seeking(measured, scripted_policy(mdp, script)).score
        for script in ("minimalist", "hoarder")
    )
    assert greedy > modest
    assert np.isfinite(seeking(measured, reward_oracle(mdp.world, "terminal").policy).score)


def test_greedy_acts_the_same_at_any_clock_and_evaluates():
    mdp = enumerated(make_world("off-switch"))
    policy = power_greedy_policy(power(mdp, 0.99, 200))
    assert len(policy.bits) == 1
    outcome = evaluate(mdp, policy)
    assert outcome.success == 0  # the goal ends it all, and with it all options
    with pytest.raises(InvalidInput, match="policy"):
        seeking(power(mdp, 0.9, 8), np.ones((3, 3)))
