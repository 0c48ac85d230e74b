"""Policies held to a base: closed forms, an identity, limits, and a search for anything better."""

from itertools import pairwise

import numpy as np
import pytest
from graphs import drawn
from hypothesis import given, settings
from hypothesis import strategies as st

from powerseek.errors import InvalidInput
from powerseek.exact import (
    TabularMDP,
    enumerated,
    evaluate,
    leashed_optimum,
    optimum,
    quantiliser,
    random_policy,
    scripted_policy,
)
from powerseek.registry import make_world

HELD = {"leash": leashed_optimum, "quantiliser": quantiliser}


def bandit(values):
    """One choice, paid at once."""
    return TabularMDP.from_transitions(
        {"s": [{"end": 1.0}] * len(values)},
        facts={"success": {"end": 1}, "progress": {}},
        flows={"own": {("s", i): float(x) for i, x in enumerate(values)}},
        terminal=["end"],
        max_steps=1,
    )


def totals(mdp, weights):
    """[T, P] sum of every pair's state."""
    alive = np.diff(mdp.pair_start) > 0
    sums = np.add.reduceat(weights, mdp.pair_start[:-1][alive], axis=1)
    return np.repeat(sums, np.diff(mdp.pair_start)[alive], axis=1)


def drawn_base(mdp, seed):
    """[T, P] a base drawn at random, which leaves three in ten actions out; never a state's all."""
    rng = np.random.default_rng(seed)
    weights = rng.exponential(size=(mdp.horizon(None), mdp.n_pairs))
    weights *= rng.random(weights.shape) < 0.7
    weights[:, mdp.pair_start[:-1][np.diff(mdp.pair_start) > 0]] += 0.1
    return weights / totals(mdp, weights)


def forward(mdp, policy, base, gamma):
    """Divergence of an episode, from the start on: a second way of reckoning it."""
    standing, total = mdp.initial * ~mdp.terminal, 0.0
    for t, (row, prior) in enumerate(zip(policy, base, strict=True)):
        taken = standing[mdp.pair_state] * row
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(row > 0, np.log(row / prior), 0.0)
        total += gamma**t * float(taken @ ratio)
        standing = np.zeros(mdp.n_states)
        pair = np.repeat(np.arange(mdp.n_pairs), np.diff(mdp.edge_start))
        np.add.at(standing, mdp.edge_next, taken[pair] * mdp.edge_probability)
        standing *= ~mdp.terminal
    return total


def test_a_leashed_choice_in_closed_form():
    found = leashed_optimum(bandit([1, 0, 2]), np.array([0.5, 0.3, 0.2]), 1.0, "own")
    assert found.probabilities[0] == pytest.approx([0.433268, 0.095634, 0.471098], abs=1e-6)
    assert found.value == pytest.approx(1.143252, abs=1e-6)
    assert found.divergence == pytest.approx(0.232212, abs=1e-6)
    assert found.value == pytest.approx(found.returns - found.divergence, abs=1e-12)


@pytest.mark.parametrize(
    ("q", "wanted"),
    [
        (0.5, [0, 0.4, 0.4, 0.2]),
        (0.1, [0, 0, 0, 1]),
        (0.3, [0, 0, 2 / 3, 1 / 3]),
        (1.0, [0.4, 0.3, 0.2, 0.1]),
    ],
)
def test_a_quantilised_choice_in_closed_form(q, wanted):
    found = quantiliser(bandit(range(4)), np.array([0.4, 0.3, 0.2, 0.1]), q, "own")
    assert found.probabilities[0] == pytest.approx(wanted)
    assert (found.returns, found.value) == pytest.approx([np.dot(wanted, range(4))] * 2)


def test_what_is_worth_the_same_shares_what_is_left_of_the_fraction():
    found = quantiliser(bandit([1, 1, 0]), np.array([0.3, 0.1, 0.6]), 0.2, "own")
    assert found.probabilities[0] == pytest.approx([0.75, 0.25, 0])


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    reward=st.sampled_from(["dense", "terminal", {"every": 2}, {"every": "cap"}, "shaped"]),
    gamma=st.sampled_from([1.0, 0.9]),
    strength=st.floats(0.01, 3),
    how=st.sampled_from(list(HELD)),
)
def test_value_is_return_less_the_leash_and_nothing_near_is_better(
    seed, reward, gamma, strength, how
):
    mdp = drawn(seed, states=4, actions=3, steps=4)
    base, own = drawn_base(mdp, seed), strength if how == "leash" else min(strength, 1.0)
    found = HELD[how](mdp, base, own, reward, gamma)
    price = strength if how == "leash" else 0.0
    assert found.value == pytest.approx(found.returns - price * found.divergence, abs=1e-8)
    if found.probabilities is None:  # the reward remembers
        assert gamma < 1
        return
    policy = np.where(totals(mdp, found.probabilities) > 0, found.probabilities, base)
    assert (policy[base == 0] == 0).all()
    told = evaluate(mdp, policy).as_array()
    assert found.outcome.as_array() == pytest.approx(told, abs=1e-9, nan_ok=True)
    assert found.divergence == pytest.approx(forward(mdp, policy, base, gamma), abs=1e-9)
    rng = np.random.default_rng(seed)
    for _ in range(5 if how == "leash" else 0):
        other = rng.random() * base + rng.random() * policy * rng.random(policy.shape)
        other /= totals(mdp, other)
        got = quantiliser(mdp, other, 1.0, reward, gamma).returns  # its whole self: what it gets
        assert got - price * forward(mdp, other, base, gamma) <= found.value + 1e-9


@pytest.mark.parametrize("reward", ["dense", "terminal", {"every": "cap"}])
def test_a_short_leash_is_the_base_and_a_long_one_the_optimum(reward):
    world = make_world("homestead", openness=0)
    mdp = enumerated(world)
    best = optimum(mdp, reward)
    bases = {name: scripted_policy(mdp, name) for name in ("minimalist", "hoarder")}
    bases["random"] = random_policy(mdp)
    for base in bases.values():
        kept = leashed_optimum(mdp, base, 1e4, reward)
        assert kept.outcome.as_array() == pytest.approx(
            evaluate(mdp, base).as_array(), abs=1e-2, nan_ok=True
        )
        assert kept.divergence < 1e-6
    # No base can lose more than b times the logarithm of its choices in every step.
    for strength in (0.01, 0.001):
        free = leashed_optimum(mdp, bases["random"], strength, reward)
        slack = strength * world.max_steps * np.log(mdp.n_actions)
        assert best.value - slack <= free.value <= free.returns <= best.value + 1e-9


def test_the_longer_the_leash_the_greater_the_return_and_the_divergence():
    mdp = enumerated(make_world("homestead", openness=0))
    found = [leashed_optimum(mdp, random_policy(mdp), b, "terminal") for b in (1, 0.1, 0.03)]
    for short, long in pairwise(found):
        assert long.returns > short.returns
        assert long.divergence > short.divergence


def test_of_two_leashes_alike_the_one_to_a_hoarder_takes_more():
    mdp = enumerated(make_world("homestead", openness=1))
    took = {}
    for name in ("minimalist", "hoarder"):
        policies = scripted_policy(mdp, name), random_policy(mdp)
        script, chance = (policy.pair_weights(0) for policy in policies)
        found = leashed_optimum(mdp, 0.9 * script + 0.1 * chance, 0.02, "terminal")
        took[name] = found.outcome.acquisition
    assert took["hoarder"] > took["minimalist"] + 0.3


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), q=st.floats(0.05, 1.0))
def test_a_quantilised_choice_costs_at_most_the_base_over_q(seed, q):
    rng = np.random.default_rng(seed)
    base, cost = rng.dirichlet(np.ones(5)), rng.exponential(size=5)
    found = quantiliser(bandit(rng.normal(size=5)), base, q, "own").probabilities[0]
    assert found.sum() == pytest.approx(1)
    assert found @ cost <= base @ cost / q + 1e-9


@pytest.mark.parametrize("strength", [0, -1, np.nan, np.inf])
def test_a_leash_of_no_strength_is_refused(strength):
    with pytest.raises(InvalidInput, match="optimum") as refused:
        leashed_optimum(bandit([1, 0]), np.array([0.5, 0.5]), strength)
    assert refused.value.field == "strength"


@pytest.mark.parametrize("q", [0, 1.5, -0.1, np.nan])
def test_a_quantile_outside_its_range_is_refused(q):
    with pytest.raises(InvalidInput, match="at most 1"):
        quantiliser(bandit([1, 0]), np.array([0.5, 0.5]), q)


@pytest.mark.parametrize("how", list(HELD))
def test_a_base_without_probabilities_where_it_goes_is_refused(how):
    mdp = TabularMDP.from_transitions(
        {"s": [{"on": 1.0}, {"end": 1.0}], "on": [{"end": 1.0}]},
        facts={"success": {"end": 1}, "progress": {}},
        terminal=["end"],
        max_steps=2,
    )
    assert HELD[how](mdp, np.array([0.0, 1.0, 0.0]), 0.5).outcome.length == 1  # it is never there
    with pytest.raises(InvalidInput, match="that it reaches"):
        HELD[how](mdp, np.array([0.5, 0.5, 0.0]), 0.5)
