"""Empowerment against known answers, brute force over sequences, and the laws of information."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from known import known
from scipy.optimize import minimize
from worlds import Ladder

from powerseek.errors import InvalidInput
from powerseek.exact import TabularMDP, enumerate_world
from powerseek.exact.measures.capacity import capacity
from powerseek.exact.measures.empowerment import empowerment

FOUR = ((0, 1), (0, -1), (1, 0), (-1, 0))
FIVE = (*FOUR, (0, 0))


def grid(size, moves=FIVE, walls=False, slip=0.0):
    """A torus, or a box where a bump is a stay; a slip is one of the other moves."""

    def ahead(cell, move):
        found = (cell[0] + move[0], cell[1] + move[1])
        if walls:
            return found if all(0 <= x < size for x in found) else cell
        return (found[0] % size, found[1] % size)

    def row(cell, action):
        out = {}
        for i, move in enumerate(moves):
            share = 1 - slip if i == action else slip / (len(moves) - 1)
            if share > 0:
                out[ahead(cell, move)] = out.get(ahead(cell, move), 0.0) + share
        return out

    cells = product(range(size), repeat=2)
    return TabularMDP.from_transitions(
        {cell: [row(cell, action) for action in range(len(moves))] for cell in cells}
    )


def channel_mdp(rows):
    """A state "x" whose actions are the inputs of a channel to absorbing outcomes."""
    out = {"x": [{y: float(p) for y, p in enumerate(row)} for row in rows]}
    return TabularMDP.from_transitions(out | {y: [{y: 1.0}] for y in range(len(rows[0]))})


def drawn(seed, sure, states=5, names=3):
    """A random MDP with one terminal state whose states have different sets of actions."""
    rng = np.random.default_rng(seed)
    rows, actions = {}, []
    for s in range(states):
        chosen = np.flatnonzero(rng.random(names) < 0.8)
        chosen = chosen if len(chosen) else np.array([0])
        actions += chosen.tolist()
        rows[s] = []
        for _ in chosen:
            ahead = rng.choice(states + 1, size=1 if sure else rng.integers(1, 3), replace=False)
            chance = rng.dirichlet(np.ones(len(ahead))) if len(ahead) > 1 else [1.0]
            rows[s].append({int(n): float(p) for n, p in zip(ahead, chance, strict=True)})
    mdp = TabularMDP.from_transitions(rows, terminal=[states])
    return replace(mdp, pair_action=np.array(actions, np.int32))


def brute(mdp, state, n):
    """Rows [legal sequences, S] of the channel, sequence by sequence."""
    rows = []
    for sequence in product(range(mdp.n_actions), repeat=n):
        belief = {state: 1.0}
        for action in sequence:
            following = {}
            for s, weight in belief.items():
                if mdp.terminal[s]:
                    following[s] = following.get(s, 0.0) + weight
                    continue
                pairs = range(mdp.pair_start[s], mdp.pair_start[s + 1])
                pair = next((p for p in pairs if mdp.pair_action[p] == action), None)
                if pair is None:
                    following = None
                    break
                for edge in range(mdp.edge_start[pair], mdp.edge_start[pair + 1]):
                    y = int(mdp.edge_next[edge])
                    following[y] = following.get(y, 0.0) + weight * mdp.edge_probability[edge]
            belief = following
            if belief is None:
                break
        if belief is not None:
            rows.append([belief.get(s, 0.0) for s in range(mdp.n_states)])
    return np.array(rows)


def information(weights, rows):
    """Mutual information in bits, term by term."""
    output = weights @ rows
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(rows > 0, rows * np.log2(rows / output), 0.0)
    return float(weights @ terms.sum(axis=1))


def by_scipy(rows):
    """Capacity in bits by sequential quadratic programming over the weights of the inputs."""
    rows = np.unique(np.round(rows, 12), axis=0)
    rows = rows[:, rows.any(axis=0)]

    def slope(weights):
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = np.where(rows > 0, rows * np.log2(rows / (weights @ rows)), 0.0)
        return 1 / np.log(2) - terms.sum(axis=1)

    found = minimize(
        lambda weights: -information(weights, rows),
        np.full(len(rows), 1 / len(rows)),
        jac=slope,
        method="SLSQP",
        bounds=[(1e-12, 1.0)] * len(rows),
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": np.ones_like},
        options={"ftol": 1e-13, "maxiter": 1000},
    )
    return -found.fun


def test_open_plane():
    case = known("empowerment_open_plane")
    mdp = grid(13)  # six steps from the middle do not come round
    still = grid(13, FOUR)
    for i, n in enumerate(case.spec["n"]):
        bits = empowerment(mdp, n, states=[(6, 6)]).of((6, 6))
        assert bits == pytest.approx(case.expected["bits"][i], abs=case.tolerance)
        assert 2**bits == pytest.approx(case.expected["counts"][i], abs=case.tolerance)
        counted = 2 ** empowerment(still, n, states=[(6, 6)]).of((6, 6))
        assert counted == pytest.approx(
            case.expected["four_actions_no_stay_counts"][i], abs=case.tolerance
        )


def test_torus():
    case = known("empowerment_torus10")
    mdp = grid(10)
    for n, count in zip(case.spec["n"], case.expected["counts"], strict=True):
        assert 2 ** empowerment(mdp, n).bits == pytest.approx(
            np.full(100, count), abs=case.tolerance
        )
    five = empowerment(mdp, 5)
    assert five.of((0, 0)) == pytest.approx(case.expected["n5_bits"], abs=case.tolerance)
    assert (five.error, five.n, five.mdp) == (0.0, 5, mdp)
    assert 2 ** empowerment(grid(10, FOUR), 5).of((3, 3)) == pytest.approx(
        case.expected["n5_no_stay_count"], abs=case.tolerance
    )


def test_box():
    case = known("empowerment_box10")
    found = empowerment(grid(10, walls=True), 5)
    for name, bits in case.expected["bits"].items():
        cell = tuple(int(x) for x in name.strip("()").split(","))
        assert found.of(cell) == pytest.approx(bits, abs=case.tolerance)
        assert 2 ** found.of(cell) == pytest.approx(case.expected["counts"][name], abs=1e-9)
    assert found.bits.mean() == pytest.approx(case.expected["mean_bits_over_100_cells"], abs=1e-9)
    assert found.bits.min() == pytest.approx(case.expected["min_bits"], abs=case.tolerance)
    assert found.bits.max() == pytest.approx(case.expected["max_bits"], abs=case.tolerance)
    still = empowerment(grid(10, FOUR, walls=True), 5)
    for name, count in case.expected["no_stay_counts"].items():
        cell = tuple(int(x) for x in name.strip("()").split(","))
        assert 2 ** still.of(cell) == pytest.approx(count, abs=case.tolerance)


CHANNELS = {
    "BSC_0p1": [[0.9, 0.1], [0.1, 0.9]],
    "BEC_0p1": [[0.9, 0.1, 0.0], [0.0, 0.1, 0.9]],
    "Z_0p5": [[1.0, 0.0], [0.5, 0.5]],
    "grid_interior_slip0p2": (np.eye(5) * 0.75 + 0.05).tolist(),
}


def test_noisy_channels():
    case = known("empowerment_noisy_channels")
    assert set(CHANNELS) == set(case.expected["bits"])
    for name, rows in CHANNELS.items():
        found = empowerment(channel_mdp(rows), 1)
        assert found.of("x") == pytest.approx(case.expected["bits"][name], abs=case.tolerance)
        assert 0 <= found.error <= 1e-9
        assert capacity(rows)[0] == pytest.approx(found.of("x"), abs=1e-9)
    slippery = empowerment(grid(5, slip=0.2), 1, states=[(2, 2)])
    assert slippery.of((2, 2)) == pytest.approx(
        case.expected["bits"]["grid_interior_slip0p2"], abs=case.tolerance
    )


def test_parity():
    case = known("empowerment_horizon_parity")
    mdp = TabularMDP.from_successors({"c": ["a", "b"], "a": ["c"], "b": ["c"]})
    found = [empowerment(mdp, n).of(case.spec["state"]) for n in case.spec["n"]]
    assert found == pytest.approx(case.expected["bits"], abs=case.tolerance)


@pytest.mark.parametrize("seed", range(12))
def test_sure_states_equal_sets_of_ends(seed):
    mdp = drawn(seed, sure=True)
    for n in (1, 2, 3, 4):
        found = empowerment(mdp, n)
        ends = [len(np.unique(brute(mdp, s, n), axis=0)) for s in range(mdp.n_states)]
        assert found.bits == pytest.approx(np.log2(ends), abs=1e-12)
        assert found.error == 0


@pytest.mark.parametrize("seed", range(12))
def test_channels_equal_a_general_optimiser_over_all_sequences(seed):
    mdp = drawn(seed, sure=False)
    for n in (1, 2, 3):
        found = empowerment(mdp, n)
        assert found.error <= 1e-9
        for s in range(mdp.n_states):
            rows = brute(mdp, s, n)
            if len(rows):
                assert found.bits[s] == pytest.approx(by_scipy(rows), abs=2e-6)
                assert found.bits[s] == pytest.approx(capacity(rows)[0], abs=2e-9)
            else:
                assert np.isnan(found.bits[s])


def test_sums_that_miss_1_by_rounding_do_not_add_bits():
    assert capacity(np.eye(256) * (1 - 9e-10))[0] == pytest.approx(8, abs=1e-9)


@pytest.mark.parametrize("spread", [1e-2, 1e-4, 1e-7])
def test_rows_that_are_nearly_alike_are_still_certified(spread):
    rng = np.random.default_rng(1)
    rows = rng.dirichlet(np.ones(5), 4)
    rows = np.vstack([rows, rows + spread * (rng.dirichlet(np.ones(5), 4) - rows)])
    bits, error = capacity(rows)
    assert error <= 1e-9
    assert bits == pytest.approx(by_scipy(rows), abs=2e-6)


def test_commuting_noise_merges_sequences():
    # 5 ** 8 sequences are fewer than 500 distributions: moves commute on a torus.
    found = empowerment(grid(6, slip=0.2), 8, states=[(0, 0)], sequences=500)
    assert found.error <= 1e-9
    assert 0 < found.of((0, 0)) < empowerment(grid(6), 8).of((0, 0))


def test_one_sure_state_in_a_world_of_chance_is_counted_exactly():
    mdp = TabularMDP.from_transitions(
        {"a": [{"b": 1.0}, {"c": 1.0}], "b": [{"a": 0.5, "c": 0.5}], "c": [{"c": 1.0}]}
    )
    found = empowerment(mdp, 1)
    assert found.bits.tolist() == [1.0, 0.0, 0.0]
    assert found.error == 0.0


def test_terminal_states_absorb_any_action():
    mdp = TabularMDP.from_transitions(
        {"a": [{"b": 1.0}, {"end": 1.0}], "b": [{"a": 1.0}, {"b": 1.0}]}, terminal=["end"]
    )
    assert empowerment(mdp, 2).bits == pytest.approx([np.log2(3), np.log2(3), 0.0])
    # "end" absorbs what "b" needs two actions for, so the two sequences stay legal.
    mixed = TabularMDP.from_transitions(
        {
            "a": [{"b": 0.5, "end": 0.5}],
            "b": [{"l": 1}, {"r": 1}],
            "l": [{"l": 1}],
            "r": [{"r": 1}],
        },
        terminal=["end"],
    )
    assert empowerment(mixed, 2).of("a") == pytest.approx(0.5, abs=1e-9)


def test_no_sequence_that_is_always_legal_is_undefined():
    mdp = TabularMDP.from_transitions(
        {"a": [{"b": 0.5, "c": 0.5}], "b": [{"b": 1.0}], "c": [{"c": 1.0}]}
    )
    apart = replace(mdp, pair_action=np.array([0, 0, 1], np.int32))
    assert np.isnan(empowerment(apart, 2).of("a"))
    assert empowerment(apart, 1).of("a") == 0
    assert empowerment(mdp, 2).of("a") == 0


def test_split_edges_and_impossible_ones_do_not_matter():
    mdp = drawn(3, sure=True)
    twice = replace(
        mdp,
        edge_start=2 * mdp.edge_start,
        edge_next=np.repeat(mdp.edge_next, 2),
        edge_probability=np.tile([0.25, 0.75], mdp.n_edges),
    )
    assert empowerment(twice, 3).bits.tolist() == empowerment(mdp, 3).bits.tolist()
    never = replace(twice, edge_probability=np.tile([0.0, 1.0], mdp.n_edges))
    never = replace(never, edge_next=never.edge_next.copy())
    never.edge_next[::2] = 0
    assert empowerment(never, 3).bits.tolist() == empowerment(mdp, 3).bits.tolist()


def test_a_world_by_record():
    mdp = enumerate_world(Ladder(slip=0.25, rungs=2))
    found = empowerment(mdp, 2)
    for s in range(mdp.n_states):
        rows = brute(mdp, s, 2)
        assert found.of(mdp.records[s]) == pytest.approx(capacity(rows)[0], abs=2e-9)


def test_only_the_states_asked_for():
    found = empowerment(grid(5), 2, states=[(1, 1), (0, 0)])
    assert np.flatnonzero(np.isfinite(found.bits)).tolist() == [0, 6]


@pytest.mark.parametrize(
    ("n", "keywords", "words"),
    [
        (0, {}, ["n: got 0", ">= 1"]),
        (2.0, {}, ["n: got 2.0"]),
        (True, {}, ["n: got True"]),
        (2, {"sequences": 0}, ["sequences: got 0"]),
        (2, {"states": [(9, 9)]}, ["state", "(9, 9)"]),
        (4, {"sequences": 20}, ["n: got 4", "20", "3 of 4", "empowerment(mdp, 2)", "=200)"]),
    ],
)
def test_bad_input_is_refused(n, keywords, words):
    with pytest.raises(InvalidInput) as caught:
        empowerment(grid(4, slip=0.2), n, **keywords)
    assert all(word in str(caught.value) for word in words)


def test_states_reduced_by_symmetry_are_refused():
    with pytest.raises(InvalidInput, match="enumerate_world"):
        empowerment(replace(grid(3), symmetric=True), 1)


@pytest.mark.parametrize(
    "rows", [[[0.5, 0.6]], [[1.5, -0.5]], [[np.nan, 1.0]], [], [0.5, 0.5], np.zeros((0, 2))]
)
def test_bad_channels_are_refused(rows):
    with pytest.raises(InvalidInput, match="channel"):
        capacity(rows)


def rows_of(seed, inputs, outputs):
    return np.random.default_rng(seed).dirichlet(np.full(outputs, 0.4), inputs)


SIZES = st.tuples(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 6))


@settings(max_examples=40)
@given(SIZES, st.data())
def test_merging_outcomes_never_raises_capacity(size, data):
    rows = rows_of(*size)
    merged = np.zeros_like(rows)
    for y in range(rows.shape[1]):
        merged[:, data.draw(st.integers(0, rows.shape[1] - 1))] += rows[:, y]
    assert capacity(merged)[0] <= capacity(rows)[0] + 1e-9


@settings(max_examples=40)
@given(SIZES)
def test_capacity_lies_between_the_bounds_and_mixtures_add_nothing(size):
    rows = rows_of(*size)
    bits, error = capacity(rows)
    assert 0 <= bits <= np.log2(min(rows.shape)) + 1e-9
    mixed = np.vstack([rows, rows.mean(axis=0), rows[:1], 0.3 * rows[:1] + 0.7 * rows[-1:]])
    split = np.hstack([rows * 0.25, rows * 0.75, np.zeros((len(rows), 1))])
    assert capacity(mixed)[0] == pytest.approx(bits, abs=2e-9)
    assert capacity(split)[0] == pytest.approx(bits, abs=2e-9)
    assert information(np.full(len(rows), 1 / len(rows)), rows) <= bits + error + 1e-12


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 4), st.booleans())
def test_bounds_duplicates_and_a_stay_action(seed, n, sure):
    mdp = drawn(seed, sure, states=4, names=2)
    bits = empowerment(mdp, n).bits
    known_bits = bits[np.isfinite(bits)]
    assert ((known_bits >= 0) & (known_bits <= n * np.log2(mdp.n_actions) + 1e-9)).all()
    names = mdp.n_actions
    twice = with_actions(mdp, lambda s, p: [(int(mdp.pair_action[p]) + names, p)])
    assert empowerment(twice, n).bits == pytest.approx(bits, abs=2e-9, nan_ok=True)
    if sure:
        stay = with_actions(mdp, lambda s, p: [(names, None)] if p == mdp.pair_start[s] else [])
        assert (empowerment(stay, n).bits >= bits - 1e-12).all()


def with_actions(mdp, more):
    """The MDP with further pairs: more(s, pair) -> (action, pair to copy or None for a stay)."""
    rows, actions = {}, []
    for s in range(mdp.n_states):
        rows[s] = []
        for p in range(mdp.pair_start[s], mdp.pair_start[s + 1]):
            for action, copied in [(int(mdp.pair_action[p]), p), *more(s, p)]:
                actions.append(action)
                edges = (
                    range(mdp.edge_start[p], mdp.edge_start[p + 1]) if copied is not None else []
                )
                row = {int(mdp.edge_next[e]): float(mdp.edge_probability[e]) for e in edges}
                rows[s].append(row or {s: 1.0})
    ends = [s for s in range(mdp.n_states) if mdp.terminal[s]]
    mdp = TabularMDP.from_transitions(rows, terminal=ends)
    return replace(mdp, pair_action=np.array(actions, np.int32))


@pytest.mark.slow
def test_a_hundred_thousand_states():
    found = empowerment(grid(316), 5)
    assert 2**found.bits == pytest.approx(np.full(316**2, 61))
