"""Discounted solvers: against linear systems, brute force over policies, and each other."""

import itertools

import numpy as np
import pytest
from graphs import drawn
from hypothesis import given, settings
from hypothesis import strategies as st
from known import known

from powerseek import make_world
from powerseek.errors import InvalidInput
from powerseek.exact import TabularMDP, action_values, enumerate_world, policy_values, solve
from powerseek.exact.solvers.discounted import expected_next_value


def by_linear_system(mdp, weights, reward, pair_reward, gamma):
    """(I - gamma P) V = R + r, terminal states absorbing."""
    chance = np.zeros((mdp.n_states, mdp.n_states))
    income = np.array(reward, float)
    for pair in range(mdp.n_pairs):
        s = mdp.pair_state[pair]
        income[s] += weights[pair] * pair_reward[pair]
        for edge in range(mdp.edge_start[pair], mdp.edge_start[pair + 1]):
            chance[s, mdp.edge_next[edge]] += weights[pair] * mdp.edge_probability[edge]
    for s in np.flatnonzero(mdp.terminal):
        chance[s, s] = 1.0
    return np.linalg.solve(np.eye(mdp.n_states) - gamma * chance, income)


def by_brute_force(mdp, reward, pair_reward, gamma):
    """Greatest value of every deterministic stationary policy."""
    counts = np.diff(mdp.pair_start)
    best = np.full(mdp.n_states, -np.inf)
    for chosen in itertools.product(*[range(n) for n in counts if n]):
        weights = np.zeros(mdp.n_pairs)
        weights[mdp.pair_start[:-1][counts > 0] + np.array(chosen)] = 1.0
        best = np.maximum(best, by_linear_system(mdp, weights, reward, pair_reward, gamma))
    return best


def wired(seed, states=6, actions=3):
    """A random deterministic graph with one end."""
    rng = np.random.default_rng(seed)
    ways = {s: list(rng.integers(0, states, rng.integers(1, actions + 1))) for s in range(states)}
    rows = {s: [{int(n): 1.0} for n in following] for s, following in ways.items()}
    return TabularMDP.from_transitions({s: rows[s] for s in range(states - 1)}, terminal=[5])


@settings(max_examples=40)
@given(
    st.integers(0, 10_000),
    st.sampled_from([0.001, 0.3, 0.9, 0.999]),
    st.booleans(),
    st.booleans(),
)
def test_optimum_is_the_best_policy_and_the_error_is_certified(seed, gamma, stochastic, paid):
    mdp = drawn(seed) if stochastic else wired(seed)
    rng = np.random.default_rng(seed)
    rewards = rng.normal(size=(mdp.n_states, 3))
    pairs = rng.normal(size=(mdp.n_pairs, 3)) * paid
    found = solve(mdp, rewards, gamma, pair_rewards=pairs if paid else None)
    assert found.error < 1e-8
    for i in range(3):
        best = by_brute_force(mdp, rewards[:, i], pairs[:, i], gamma)
        assert np.abs(found.values[:, i] - best).max() <= found.error + 1e-12 / (1 - gamma)


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.sampled_from([0.01, 0.5, 0.99]), st.booleans())
def test_a_policy_is_worth_what_its_linear_system_says(seed, gamma, stochastic):
    mdp = drawn(seed) if stochastic else wired(seed)
    rng = np.random.default_rng(seed)
    weights = rng.random(mdp.n_pairs)
    weights /= np.bincount(mdp.pair_state, weights, mdp.n_states)[mdp.pair_state]
    rewards, pairs = rng.normal(size=(mdp.n_states, 2)), rng.normal(size=(mdp.n_pairs, 2))
    found = policy_values(mdp, weights, rewards, gamma, pairs)
    for i in range(2):
        exact = by_linear_system(mdp, weights, rewards[:, i], pairs[:, i], gamma)
        assert np.abs(found[:, i] - exact).max() < 1e-9


@pytest.mark.parametrize("world", ["homestead", "endgame", "off-switch"])
@pytest.mark.parametrize("gamma", [0.5, 0.99])
def test_bellman_holds_to_the_error_in_every_world(world, gamma):
    mdp = enumerate_world(make_world(world, **({"openness": 0} if world == "homestead" else {})))
    rewards = np.random.default_rng(0).random((mdp.n_states, 2))
    found = solve(mdp, rewards, gamma)
    q = action_values(mdp, rewards, gamma, found.values)
    for i in range(2):
        best = np.full(mdp.n_states, -np.inf)
        np.maximum.at(best, mdp.pair_state, q[:, i])
        best[mdp.terminal] = rewards[mdp.terminal, i] / (1 - gamma)
        assert np.abs(best - found.values[:, i]).max() <= (1 + gamma) * found.error


def test_a_tighter_tolerance_moves_values_within_the_looser_error():
    mdp = enumerate_world(make_world("homestead", openness=0))
    rewards = np.random.default_rng(0).random(mdp.n_states)
    loose = solve(mdp, rewards, 0.99, tolerance=1e-2)
    tight = solve(mdp, rewards, 0.99, tolerance=1e-9)
    assert 1e-9 < loose.error <= 1e-2
    assert np.abs(loose.values - tight.values).max() <= loose.error + tight.error


def test_both_solvers_agree_on_one_graph():
    # A coin between twins that are worth the same changes nothing, but takes the other solver.
    rng = np.random.default_rng(3)
    ways = {s: [int(n) for n in rng.integers(0, 40, 3)] for s in range(40)}
    ways[1] = [0]
    rows = {s: [{n: 1.0} for n in following] for s, following in ways.items()}
    rows |= {"twin": rows[0], 1: [{0: 0.5, "twin": 0.5}]}
    single, double = TabularMDP.from_successors(ways), TabularMDP.from_transitions(rows)
    rewards = rng.random((40, 5))
    doubled = np.concatenate([rewards, rewards[:1]])
    a, b = solve(single, rewards, 0.95), solve(double, doubled, 0.95)
    assert np.abs(a.values - b.values[:40]).max() <= a.error + b.error


def test_expectation_of_the_next_state():
    mdp = drawn(1)
    values = np.arange(mdp.n_states, dtype=float)
    for pair in range(mdp.n_pairs):
        edges = slice(mdp.edge_start[pair], mdp.edge_start[pair + 1])
        exact = (mdp.edge_probability[edges] * values[mdp.edge_next[edges]]).sum()
        assert expected_next_value(mdp, values)[pair] == pytest.approx(exact)


def test_time_limits():
    case = known("timelimit_bootstrap")
    forever = TabularMDP.from_successors({0: [0]})
    found = solve(forever, np.ones(1), 0.99)
    assert found.values[0, 0] == pytest.approx(
        case.expected["V_with_bootstrap"], abs=case.tolerance
    )


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"gamma": 1.0}, "gamma"),
        ({"gamma": 0.0}, "gamma"),
        ({"gamma": -0.5}, "gamma"),
        ({"gamma": float("nan")}, "gamma"),
        ({"tolerance": 0.0}, "tolerance"),
        ({"rewards": np.array([1.0, np.nan])}, "rewards"),
        ({"rewards": np.array([1.0, np.inf])}, "rewards"),
        ({"rewards": np.ones(3)}, "rewards"),
        ({"rewards": np.ones((2, 0))}, "rewards"),
        ({"pair_rewards": np.ones(5)}, "pair_rewards"),
        ({"pair_rewards": np.array([np.nan, 0.0])}, "pair_rewards"),
    ],
)
def test_what_makes_no_sense_is_refused(change, field):
    mdp = TabularMDP.from_successors({0: [1], 1: [0]})
    given_ = {"rewards": np.ones(2), "gamma": 0.9, **change}
    with pytest.raises(InvalidInput, match=field):
        solve(mdp, given_.pop("rewards"), given_.pop("gamma"), **given_)


def test_weights_must_sum_to_one():
    mdp = TabularMDP.from_successors({0: [1, 0], 1: [0]})
    with pytest.raises(InvalidInput, match="state 0"):
        policy_values(mdp, np.array([0.5, 0.4, 1.0]), np.ones(2), 0.9)
    with pytest.raises(InvalidInput, match="weights"):
        policy_values(mdp, np.ones(2), np.ones(2), 0.9)
