"""How many goals make an action optimal: closed forms, brute force and laws."""

from dataclasses import replace
from itertools import permutations
from math import factorial

import numpy as np
import pytest
from graphs import drawn
from hypothesis import given, settings
from hypothesis import strategies as st
from known import known
from scipy.stats import binom, binomtest
from worlds import Ladder

from powerseek.errors import InvalidInput
from powerseek.exact import TabularMDP, enumerated
from powerseek.exact.measures.goals import draw_rewards, goal_rewards, state_classes
from powerseek.exact.measures.orbits import (
    arrangements,
    clopper_pearson,
    optimality_probability,
    orbit_count,
    orbit_size,
)

FIG3 = known("power_turner_fig3").spec["successors"]


def star(k):
    """One step to k + 1 states, each of which stays as it is."""
    ends = [f"t{i}" for i in range(k + 1)]
    return TabularMDP.from_successors({"s": ends} | {end: [end] for end in ends})


def _plain_values(mdp, reward, gamma):
    """[P] gamma E V*(s') by value iteration on dense matrices: a second method."""
    ahead = np.zeros((mdp.n_pairs, mdp.n_states))
    for pair in range(mdp.n_pairs):
        for edge in range(mdp.edge_start[pair], mdp.edge_start[pair + 1]):
            ahead[pair, mdp.edge_next[edge]] += mdp.edge_probability[edge]
    values = reward / (1 - gamma)
    for _ in range(int(40 / (1 - gamma))):
        best = np.where(mdp.terminal, gamma * values, -np.inf)
        np.maximum.at(best, mdp.pair_state, gamma * ahead @ values)
        values = reward + best
    return gamma * ahead @ values


@pytest.mark.parametrize("gamma", [0.1, 0.5, 0.99])
@pytest.mark.parametrize("k", [1, 2, 4])
def test_k_branches_beat_one_in_k_of_k_plus_one_goals(k, gamma):
    mdp = star(k)
    many = range(k), k
    orbit = orbit_count(mdp, np.arange(k + 2.0), "s", many, gamma)
    assert orbit.fraction == orbit.low == orbit.high == pytest.approx(k / (k + 1), abs=1e-15)
    assert (orbit.total, orbit.orbit, orbit.equal) == (factorial(k + 2),) * 2 + (0,)
    assert orbit.more == k * orbit.fewer
    chances = optimality_probability(mdp, gamma, samples=4000, seed=1)
    assert chances.values[: k + 1].sum() == pytest.approx(1)
    for action in range(k + 1):
        error = np.sqrt(k / (k + 1) ** 2 / 4000)
        assert abs(chances.of("s", action) - 1 / (k + 1)) <= 4 * error
        at = chances.low[action], chances.high[action]
        assert at[0] < chances.values[action] < at[1]
        shown = binomtest(round(chances.values[action] * 4000), 4000).proportion_ci(method="exact")
        assert at == pytest.approx((shown.low, shown.high), abs=1e-9)
    assert chances.of("t0", 0) == 1


def test_the_best_of_many_states_is_a_hundred_times_as_often_there():
    # k = 99 branches, one state beside: rearrangements are sampled.
    found = orbit_count(star(99), np.arange(101.0), "s", (range(99), 99), 0.9, samples=2000)
    assert found.total == found.more + found.fewer + found.equal == 2000
    assert found.orbit == factorial(101)
    assert abs(found.fraction - 0.99) <= 4 * np.sqrt(0.99 * 0.01 / 2000)
    assert 0 < found.high - found.low < 0.02
    shown = binomtest(found.more, 2000).proportion_ci(method="exact")
    assert (found.low, found.high) == pytest.approx((shown.low, shown.high), abs=1e-9)


@pytest.mark.parametrize("gamma", [0.1, 0.9])
def test_more_goals_prefer_the_triangle_that_holds_a_copy_of_the_other(gamma):
    # Turner et al., figure 3: the right triangle has all the choices of the left one, and one more.
    mdp = TabularMDP.from_successors(FIG3)
    reward = np.array([0, 0, 1, 2, 0, 3, 0, 0.5])
    found = orbit_count(mdp, reward, "star", (2, 1), gamma)
    assert found.total == found.orbit == factorial(8) / factorial(4)
    assert found.more >= found.fewer
    back = orbit_count(mdp, reward, "star", (1, 2), gamma)
    assert (back.more, back.fewer, back.equal) == (found.fewer, found.more, found.equal)
    if gamma == 0.9:
        assert found.more > found.fewer


def test_optimality_probability_on_turners_graph_against_brute_force():
    mdp, gamma = TabularMDP.from_successors(FIG3), 0.9
    found = optimality_probability(mdp, gamma, samples=300, seed=7)
    counts = np.zeros(mdp.n_pairs)
    for rows in draw_rewards(mdp, "uniform", 300, 7):
        for row in rows:
            ahead = _plain_values(mdp, row, gamma)
            best = np.full(mdp.n_states, -np.inf)
            np.maximum.at(best, mdp.pair_state, ahead)
            counts += ahead >= best[mdp.pair_state] - 1e-9
    assert found.values == pytest.approx(counts / 300, abs=1e-12)
    # More of what there is to choose is to the right, so more goals are there.
    large = optimality_probability(mdp, gamma, samples=10_000)
    chances = [large.of("star", action) for action in range(3)]
    assert chances == sorted(chances)
    assert sum(chances) == pytest.approx(1)


@pytest.mark.parametrize("gamma", [0.3, 0.9])
@pytest.mark.parametrize("seed", range(4))
def test_orbits_and_optimality_of_stochastic_graphs_against_brute_force(seed, gamma):
    mdp = drawn(seed, states=3)
    reward = np.random.default_rng(seed).integers(0, 3, mdp.n_states).astype(float)
    state = int(np.diff(mdp.pair_start).argmax())
    first, stop = mdp.pair_start[state : state + 2]
    if stop - first < 2:
        pytest.skip("no choice in this graph")
    gains = []
    for row in set(permutations(reward)):
        ahead = _plain_values(mdp, np.array(row), gamma)
        gains.append(ahead[first] - ahead[first + 1])
    gains = np.array(gains)
    found = orbit_count(mdp, reward, state, (0, 1), gamma)
    counted = (gains > 1e-7).sum(), (gains < -1e-7).sum(), (abs(gains) <= 1e-7).sum()
    assert (found.more, found.fewer, found.equal) == counted
    chances = optimality_probability(mdp, gamma, samples=100, seed=seed)
    counts = np.zeros(mdp.n_pairs)
    for rows in draw_rewards(mdp, "uniform", 100, seed):
        for row in rows:
            ahead = _plain_values(mdp, row, gamma)
            best = np.full(mdp.n_states, -np.inf)
            np.maximum.at(best, mdp.pair_state, ahead)
            counts += ahead >= best[mdp.pair_state] - 1e-7
    assert chances.values == pytest.approx(counts / 100, abs=1e-12)


def test_optimality_probability_is_the_expected_share_of_the_orbit():
    # Under iid rewards all rearrangements are equally likely: averaging over each orbit changes
    # the expectation in nothing.
    mdp = TabularMDP.from_successors(
        {"s": ["hub", "end"], "hub": ["a", "b"], "end": ["end"], "a": ["a"], "b": ["b"]}
    )
    gamma, shares = 0.6, []
    for rows in draw_rewards(mdp, "uniform", 150, 11):
        shares += [orbit_count(mdp, row, "s", (0, 1), gamma).fraction for row in rows]
    found = optimality_probability(mdp, gamma, samples=20_000, seed=3)
    error = np.hypot(np.std(shares) / np.sqrt(len(shares)), 0.5 / np.sqrt(20_000))
    assert abs(found.of("s", 0) - np.mean(shares)) <= 4 * error
    # Averaging over orbits leaves less to chance.
    assert np.std(shares) < np.sqrt(0.25) / 2


def test_ties_are_optimal_all():
    mdp = TabularMDP.from_transitions(
        {
            "s": [{"a": 1.0}, {"a": 0.5, "b": 0.5}, {"b": 0.5, "a": 0.5}, {"b": 1.0}],
            "a": [{"s": 1.0}],
            "b": [{"s": 0.1, "b": 0.9}],
        }
    )
    found = optimality_probability(mdp, 0.9, 500)
    # A mixture is never better than both ends, save where all tie.
    assert found.values[:4] == pytest.approx([found.of("s", 0), 0, 0, 1 - found.of("s", 0)])
    flat = optimality_probability(mdp, 0.9, 20, rewards=lambda rng, shape: np.ones(shape))
    assert (flat.values == 1).all()
    assert (flat.high == 1).all()
    assert (flat.low < 1).all()
    assert 0 < flat.tie < 1e-8
    # Actions 1 and 2 are the same in every goal.
    tied = orbit_count(mdp, np.array([0.3, 0.1, 0.2]), "s", (1, 2), 0.9)
    assert (tied.more, tied.fewer, tied.equal, tied.fraction) == (0, 0, 6, 0)


def test_ties_are_those_of_arithmetic_not_of_rounding():
    rows = [{"a": 0.1, "b": 0.2, "c": 0.7}, {"c": 0.7, "b": 0.2, "a": 0.1}]
    rows.append({"a": 0.1, "s": 0.0, "b": 0.2, "c": 0.7})
    ends = {end: [{end: 0.6, "s": 0.4}] for end in "abc"}
    mdp = TabularMDP.from_transitions({"s": rows} | ends)
    reward = np.array([1 / 3, 0.1, 0.7, 0.2])
    # Summed in another order, the same numbers differ in the last digit.
    for actions in permutations(range(3), 2):
        assert orbit_count(mdp, reward, "s", actions, 0.9).equal == 24
    assert (optimality_probability(mdp, 0.9, 100).values == 1).all()


class Heights(Ladder):
    """A ladder whose goals are about height alone."""

    id = "test.heights"

    @classmethod
    def abstract(cls, params):
        return ("height",)


def test_goals_are_drawn_over_what_the_world_says_they_are_about():
    mdp = enumerated(Heights(rungs=2))
    reward = np.array([0.0, 0.3, 1.0])
    height = state_classes(mdp)
    assert np.array_equal(height, mdp.records["height"])
    found = orbit_count(mdp, reward, 0, (0, 2), 0.9)
    gains = []
    for row in permutations(reward):
        ahead = _plain_values(mdp, np.array(row)[height], 0.9)
        gains.append(ahead[0] - ahead[mdp.pair_start[1] - 1])
    assert (found.more, found.fewer) == (
        np.sum(np.array(gains) > 1e-7),
        np.sum(np.array(gains) < -1e-7),
    )
    assert found.total == 6
    chances = optimality_probability(mdp, 0.9, 50, seed=2)
    counts = np.zeros(mdp.n_pairs)
    for row in np.concatenate(list(draw_rewards(mdp, "uniform", 50, 2))):
        ahead = _plain_values(mdp, row[height], 0.9)
        best = np.full(mdp.n_states, -np.inf)
        np.maximum.at(best, mdp.pair_state, ahead)
        counts += ahead >= best[mdp.pair_state] - 1e-7
    assert chances.values == pytest.approx(counts / 50)


def test_a_world_rearranges_its_classes_and_asks_its_own_goals():
    world = Ladder(rungs=1, slip=0.0)
    mdp = enumerated(world)
    width = state_classes(mdp).max() + 1
    reward = np.zeros(width)
    reward[0] = 1
    found = orbit_count(mdp, reward, 0, (0, 2), 0.9)
    assert found.total == found.orbit == width
    own = optimality_probability(mdp, 0.9, rewards="goals")
    ahead = _plain_values(mdp, goal_rewards(mdp)[:, 0], 0.9)
    best = np.full(mdp.n_states, -np.inf)
    np.maximum.at(best, mdp.pair_state, ahead)
    assert own.values.tolist() == (ahead >= best[mdp.pair_state] - 1e-9).tolist()
    assert (own.samples, own.rewards) == (0, "goals")
    assert np.array_equal(own.low, own.values)
    assert np.array_equal(own.high, own.values)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=6))
def test_every_distinct_rearrangement_comes_once(values):
    rows = [tuple(row) for row in arrangements(np.array(values, float))]
    assert rows == sorted(set(permutations([float(v) for v in values])))
    assert len(rows) == orbit_size(np.array(values, float))


@given(st.integers(1, 60), st.data())
def test_exact_intervals_are_those_of_binomial_tests(n, data):
    k = data.draw(st.integers(0, n))
    low, high = clopper_pearson(k, n)
    shown = binomtest(k, n).proportion_ci(method="exact")
    assert (low, high) == pytest.approx((shown.low, shown.high), abs=1e-9)
    # At the ends of the interval the count is at the 2.5 % tail.
    if 0 < k < n:
        assert binom.sf(k - 1, n, low) == pytest.approx(0.025)
        assert binom.cdf(k, n, high) == pytest.approx(0.025)


@given(
    st.integers(0, 2**32 - 1),
    st.floats(0.05, 0.95),
    st.floats(0.01, 100),
    st.floats(-5, 5),
)
@settings(max_examples=25)
def test_scaling_and_shifting_a_goal_changes_no_comparison(seed, gamma, scale, shift):
    mdp = drawn(seed % 7, states=2)
    reward = np.random.default_rng(seed).random(mdp.n_states)
    state = int(np.diff(mdp.pair_start).argmax())
    last = int(np.diff(mdp.pair_start).max()) - 1
    one = orbit_count(mdp, reward, state, (0, last), gamma)
    other = orbit_count(mdp, scale * reward + shift, state, (0, last), gamma)
    assert (one.more, one.fewer) == (other.more, other.fewer)
    assert one.more + one.fewer + one.equal == one.orbit


def test_seeds_give_the_same_again_and_more_samples_go_on():
    mdp = star(3)
    one, same = (optimality_probability(mdp, 0.9, 64, seed=5) for _ in range(2))
    assert np.array_equal(one.values, same.values)
    reward = np.arange(5.0)
    sampled = [orbit_count(mdp, reward, "s", (0, 1), 0.9, samples=50, seed=s) for s in (1, 1, 2)]
    assert sampled[0] == sampled[1]
    assert sampled[0].total == 50 < sampled[0].orbit
    assert sampled[0] != sampled[2]
    # A sample as large as the orbit is the orbit.
    assert orbit_count(mdp, reward, "s", (0, 1), 0.9, samples=120).fraction == 0.5


def test_intervals_of_sampled_orbits_cover_the_share_of_the_whole_orbit():
    mdp, reward = star(3), np.arange(5.0)
    whole = orbit_count(mdp, reward, "s", (range(3), 3), 0.9)
    assert whole.fraction == 0.75
    parts = [
        orbit_count(mdp, reward, "s", (range(3), 3), 0.9, samples=50, seed=seed)
        for seed in range(200)
    ]
    covered = np.mean([part.low <= whole.fraction <= part.high for part in parts])
    assert covered >= 0.95 - 4 * np.sqrt(0.95 * 0.05 / 200)
    mean = np.mean([part.fraction for part in parts])
    assert abs(mean - whole.fraction) <= 4 * np.sqrt(0.75 * 0.25 / 50 / 200)


NAN = float("nan")


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda m: optimality_probability(m, 1.0), "gamma"),
        (lambda m: optimality_probability(m, 0.9, 0), "samples"),
        (lambda m: optimality_probability(m, 0.9, rewards="gaussian"), "rewards"),
        (lambda m: optimality_probability(m, 0.9, rewards="goals"), "rewards"),
        (lambda m: optimality_probability(m, 0.9, 4, rewards=lambda g, s: s[0] * NAN), "rewards"),
        (lambda m: optimality_probability(m, 0.9, tolerance=0.0), "tolerance"),
        (lambda m: optimality_probability(m, 0.9, 4).of("zz", 0), "zz"),
        (lambda m: optimality_probability(m, 0.9, 4).of("s", 9), "action"),
        (lambda m: orbit_count(m, np.ones(3), "s", (0, 1), 0.9), "reward"),
        (lambda m: orbit_count(m, np.full(4, NAN), "s", (0, 1), 0.9), "reward"),
        (lambda m: orbit_count(m, np.ones(4), "zz", (0, 1), 0.9), "zz"),
        (lambda m: orbit_count(m, np.ones(4), "s", (0, 7), 0.9), "action"),
        (lambda m: orbit_count(m, np.ones(4), "s", (0, []), 0.9), "actions"),
        (lambda m: orbit_count(m, np.ones(4), "s", (0, 1), 0.0), "gamma"),
        (lambda m: orbit_count(m, np.ones(4), "s", (0, 1), 0.9, samples=0), "samples"),
        (lambda m: orbit_count(m, np.ones(4), "s", (0, 1), 0.9, seed=-1), "seed"),
        (lambda m: orbit_count(m, np.ones(4), "s", (0, 1), 0.9, tolerance=NAN), "tolerance"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(call, word):
    with pytest.raises(InvalidInput, match=word):
        call(star(2))


def test_states_reduced_by_symmetry_are_refused():
    folded = replace(star(2), symmetric=True)
    with pytest.raises(InvalidInput, match="symmetry"):
        optimality_probability(folded, 0.9, 4)
    with pytest.raises(InvalidInput, match="symmetry"):
        orbit_count(folded, np.ones(4), "s", (0, 1), 0.9)


def test_a_graph_that_is_over_has_no_actions():
    mdp = TabularMDP.from_successors({"s": ["end"]}, terminal=["end"])
    assert optimality_probability(mdp, 0.9, 5).values.tolist() == [1]
    with pytest.raises(InvalidInput, match="over"):
        optimality_probability(mdp, 0.9, 5).of("end", 0)
