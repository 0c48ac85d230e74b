"""Attainable utility and reachability against known answers, slow second methods and laws."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from known import known
from scipy.optimize import linprog
from scipy.sparse import csr_array
from scipy.sparse.csgraph import shortest_path
from worlds import Ladder

from powerseek.errors import InvalidInput
from powerseek.exact import TabularMDP, enumerate_world
from powerseek.exact.measures.side_effects import (
    attainable_utility_change,
    attainable_utility_penalty,
    inaction,
    reachability,
    relative_reachability,
    unreachability,
)
from powerseek.exact.solvers.discounted import solve

BREAK = {"ok": ["ok", "broken"], "broken": ["broken"]}
VASE = {
    ("L", "ok"): [("L", "ok"), ("R", "ok")],
    ("R", "ok"): [("R", "ok"), ("L", "ok"), ("R", "broken")],
    ("L", "broken"): [("L", "broken"), ("R", "broken")],
    ("R", "broken"): [("R", "broken"), ("L", "broken")],
}


def drawn(seed, sure=False, states=5, actions=3):
    """A random MDP with one terminal state; action 0 is everywhere."""
    rng = np.random.default_rng(seed)
    rows = {}
    for s in range(states):
        rows[s] = []
        for _ in range(rng.integers(1, actions + 1)):
            ahead = rng.choice(states + 1, size=1 if sure else 2, replace=False)
            chance = [1.0] if sure else rng.dirichlet(np.ones(2))
            rows[s].append({int(n): float(p) for n, p in zip(ahead, chance, strict=True)})
    return TabularMDP.from_transitions(rows, terminal=[states])


def ahead(mdp, pair, values):
    edges = slice(mdp.edge_start[pair], mdp.edge_start[pair + 1])
    return float(mdp.edge_probability[edges] @ values[mdp.edge_next[edges]])


def plain_values(mdp, reward, gamma):
    """(Q [P], V [S]) by value iteration in plain Python."""
    values = np.zeros(mdp.n_states)
    for _ in range(int(np.log(1e-12) / np.log(gamma)) + 1):
        values = np.array(
            [
                reward[s]
                + gamma
                * max(
                    (ahead(mdp, p, values) for p in range(*mdp.pair_start[s : s + 2])),
                    default=values[s],
                )
                for s in range(mdp.n_states)
            ]
        )
    pairs = enumerate(mdp.pair_state)
    return np.array([reward[s] + gamma * ahead(mdp, p, values) for p, s in pairs]), values


def plain_hitting(mdp, target, gamma):
    """[S] greatest expected discount at the target by a linear programme."""
    rows, right = [np.eye(mdp.n_states)[target] * -1.0], [-1.0]
    for p, s in enumerate(mdp.pair_state):
        if s == target:
            continue
        row = np.zeros(mdp.n_states)
        for edge in range(mdp.edge_start[p], mdp.edge_start[p + 1]):
            row[mdp.edge_next[edge]] += gamma * mdp.edge_probability[edge]
        row[s] -= 1
        rows.append(row)
        right.append(0.0)
    found = linprog(np.ones(mdp.n_states), rows, right, bounds=(0, None), method="highs")
    assert found.success
    return found.x


def test_breaking_for_good():
    case = known("aup_irreversible_break")
    mdp = TabularMDP.from_successors(BREAK)
    gamma, near = case.spec["gamma"], {"abs": case.tolerance}
    reward = np.array([1.0, 0.0])
    raw = attainable_utility_change(mdp, reward, gamma, 0, scaling="none")
    assert raw[:2] == pytest.approx([0.0, case.expected["penalty"]], **near)
    scaled = attainable_utility_change(mdp, reward[:, None], gamma, 0)
    assert scaled == pytest.approx([0.0, case.expected["scaled_penalty"], 0.0], **near)
    weight = 0.5 / scaled[1]
    assert weight == pytest.approx(
        case.expected["lambda_at_which_task_reward_0.5_breaks_even"], **near
    )
    values, _ = plain_values(mdp, reward, gamma)
    expected = [case.expected["Q_noop"], case.expected["Q_break"]]
    assert values[:2] == pytest.approx(expected, **near)
    assert raw[1] == pytest.approx(expected[0] - expected[1], **near)


def test_scalings_differ_as_soon_as_there_are_two_rewards():
    case = known("aup_scaling_variants")
    action, noop = case.spec["Q_action"], case.spec["Q_noop"]
    found = {
        "sum_abs": attainable_utility_penalty(action, noop, scaling="none"),
        "paper_scale_sum": attainable_utility_penalty(action, noop),
        "repo_default_mean_ratio": attainable_utility_penalty(action, noop, scaling="mean ratio"),
        "decrease_only_sum(RR-like)": attainable_utility_penalty(
            action, noop, scaling="none", decrease_only=True
        ),
    }
    assert found == pytest.approx(case.expected, abs=case.tolerance)


def test_a_broken_vase():
    case = known("relative_reachability_vase")
    mdp = TabularMDP.from_successors(VASE)
    for gamma, expected in zip(case.spec["gamma_r"], case.expected["d_RR"], strict=True):
        found = relative_reachability(mdp, ("R", "broken"), ("R", "ok"), gamma)
        assert found == pytest.approx(expected, abs=case.tolerance)
    table = reachability(mdp, 0.9, targets=[("R", "broken"), ("L", "broken")])
    assert table[mdp.index(("R", "ok"))] == pytest.approx([0.9, 0.81])


def test_unreachability():
    case = known("unreachability_unit")
    gamma, near = case.spec["g"], {"abs": case.tolerance}
    both = TabularMDP.from_successors({"a": ["b"], "b": ["a"]})
    assert unreachability(both, "a", "a", gamma) == pytest.approx(case.expected["dev(a,a)"], **near)
    assert unreachability(both, "a", "b", gamma) == pytest.approx(case.expected["dev(a,b)"], **near)
    one_way = TabularMDP.from_successors({"a": ["b"], "b": ["b"]})
    assert unreachability(one_way, "b", "a", gamma) == pytest.approx(
        case.expected["if_b_cannot_return dev(b,a)"], **near
    )


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("sure", [True, False])
def test_attainable_utility_equals_plain_value_iteration(seed, sure):
    mdp = drawn(seed, sure)
    auxiliary = np.random.default_rng(seed).random((mdp.n_states, 3))
    values = np.stack([plain_values(mdp, column, 0.8)[0] for column in auxiliary.T], axis=1)
    found = attainable_utility_change(mdp, auxiliary, 0.8, 0)
    ratios = attainable_utility_change(mdp, auxiliary, 0.8, 0, scaling="mean ratio")
    for p, s in enumerate(mdp.pair_state):
        change, scale = abs(values[p] - values[mdp.pair_start[s]]), values[mdp.pair_start[s]]
        assert found[p] == pytest.approx(change.sum() / scale.sum(), abs=1e-8)
        assert ratios[p] == pytest.approx((change / scale).mean(), abs=1e-8)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("gamma", [0.5, 0.95, 1.0])
def test_sure_reachability_equals_shortest_paths(seed, gamma):
    mdp = drawn(seed, sure=True)
    graph = csr_array(
        (np.ones(mdp.n_pairs), (mdp.pair_state, mdp.edge_next)), shape=(mdp.n_states,) * 2
    )
    steps = shortest_path(graph, unweighted=True)
    expected = np.where(np.isinf(steps), 0.0, gamma ** np.where(np.isinf(steps), 0, steps))
    assert reachability(mdp, gamma) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("gamma", [0.5, 0.95, 0.999])
def test_uncertain_reachability_equals_a_linear_programme(seed, gamma):
    mdp = drawn(seed)
    expected = [plain_hitting(mdp, target, gamma) for target in range(mdp.n_states)]
    found = reachability(mdp, gamma)
    assert found == pytest.approx(np.stack(expected, axis=1), abs=1e-8)
    some = reachability(mdp, gamma, targets=[3, 1])
    assert some == pytest.approx(found[:, [3, 1]], abs=1e-12)
    here, there = 2, 0
    lost = np.maximum(found[there] - found[here], 0).mean()
    assert relative_reachability(mdp, here, there, gamma) == pytest.approx(lost, abs=1e-12)
    assert unreachability(mdp, here, there, gamma) == pytest.approx(1 - found[here, there])


def test_expected_discount_of_a_wait():
    p, gamma = 0.3, 0.9
    mdp = TabularMDP.from_transitions({"a": [{"b": p, "a": 1 - p}]}, terminal=["b"])
    assert reachability(mdp, gamma, targets=["b"])[0, 0] == pytest.approx(
        gamma * p / (1 - gamma * (1 - p)), abs=1e-9
    )


def test_reachability_of_a_slow_walk_keeps_its_bound():
    size, gamma = 30, 0.9999
    rows = {s: [{max(s - 1, 0): 0.5, min(s + 1, size): 0.5}] for s in range(size)}
    mdp = TabularMDP.from_transitions(rows | {size: [{size: 1.0}]})
    matrix = np.eye(size + 1)
    for s in range(size):
        for following, chance in rows[s][0].items():
            matrix[s, following] -= gamma * chance
    expected = np.linalg.solve(matrix, np.eye(size + 1)[size])
    assert abs(reachability(mdp, gamma, targets=[size])[:, 0] - expected).max() <= 1e-9


def test_relative_reachability_over_more_states_than_a_block():
    size, gamma = 600, 0.99
    mdp = TabularMDP.from_successors({s: [min(s + 1, size - 1)] for s in range(size)})
    reach = [[gamma ** (t - s) if t >= s else 0.0 for t in range(size)] for s in (0, 500)]
    lost = np.maximum(np.subtract(reach[0], reach[1]), 0).mean()
    assert relative_reachability(mdp, 500, 0, gamma) == pytest.approx(lost, abs=1e-12)


def test_inaction_from_the_start_and_stepwise():
    decay = TabularMDP.from_transitions(
        {"ok": [{"ok": 0.9, "broken": 0.1}, {"ok": 1.0}], "broken": [{"broken": 0.5, "over": 0.5}]},
        terminal=["over"],
    )
    assert inaction(decay, 0, "ok", 0).tolist() == [1, 0, 0]
    assert inaction(decay, 0, "ok", 1) == pytest.approx([0.9, 0.1, 0])
    assert inaction(decay, 0, "ok", 2) == pytest.approx([0.81, 0.14, 0.05])
    assert inaction(decay, 0, "ok", 2000) == pytest.approx([0, 0, 1])
    assert inaction(decay, 1, "ok", 5).tolist() == [1, 0, 0]
    with pytest.raises(InvalidInput, match=r"'broken', step 1"):
        inaction(decay, lambda s: 0 if s == "ok" else None, "ok", 2)


def test_the_ways_to_name_the_noop():
    mdp = enumerate_world(Ladder(slip=0.25, rungs=2))
    auxiliary = np.random.default_rng(0).random((mdp.n_states, 2))
    named = attainable_utility_change(mdp, auxiliary, 0.9, "wait")
    others = [2, np.full(mdp.n_states, 2), lambda record: 2, lambda record: "wait"]
    for noop in others:
        assert np.array_equal(attainable_utility_change(mdp, auxiliary, 0.9, noop), named)
    assert np.isfinite(named).all()
    assert (named[mdp.pair_action == 2] == 0).all()
    rich = lambda record: "take" if record["gold"] < 2 else None  # noqa: E731  # inline for reading
    some = attainable_utility_change(mdp, auxiliary, 0.9, rich)
    without = mdp.records["gold"][mdp.pair_state] == 2
    assert np.array_equal(np.isnan(some), without)
    assert np.array_equal(np.isnan(attainable_utility_change(mdp, auxiliary, 0.9, "take")), without)
    assert 0 < without.sum() < mdp.n_pairs


def test_a_scale_of_zero_is_undefined_unless_nothing_changes():
    assert attainable_utility_penalty([[0.0], [1.0]], [[0.0], [0.0]]).tolist()[0] == 0
    assert np.isnan(attainable_utility_penalty([1.0], [0.0]))
    assert np.isnan(attainable_utility_penalty([1.0, 1.0], [0.0, 1.0], scaling="mean ratio"))
    assert attainable_utility_penalty([1e-12], [1e-12], error=1e-9) == 0
    assert np.isnan(attainable_utility_penalty([1.0], [1e-12], error=1e-9))
    assert np.isnan(attainable_utility_penalty([1.0, 1.0], [9e-10, 9e-10], error=1e-9))
    assert attainable_utility_penalty([1.0], [0.0], scaling="none") == 1


def test_only_losses_count_where_asked():
    gains, losses = attainable_utility_penalty(
        [[4.0, 3.0], [1.0, 1.5]], [[4.0, 2.0], [4.0, 2.0]], scaling="none", decrease_only=True
    )
    assert (gains, losses) == (0, 3.5)
    mdp = TabularMDP.from_successors(
        {"a": ["a", "rich", "poor"], "rich": ["rich"], "poor": ["poor"]}
    )
    reward = np.array([1.0, 2.0, 0.0])
    found = attainable_utility_change(
        mdp, reward, 0.9, lambda s: None if s == "rich" else 0, scaling="none", decrease_only=True
    )
    # Waiting is worth 1 + .9 (1 + .9 x 20) = 18.1, going there at once 19, poverty 1.
    assert found == pytest.approx([0, 0, 18.1 - 1, np.nan, 0], nan_ok=True)


def test_error_of_the_solver_is_no_scale(monkeypatch):
    def off(*given, **keywords):
        found = solve(*given, **keywords)
        return replace(found, values=found.values + 1e-10, error=found.error + 1e-10)

    # Nothing is to be had from "none", but a solver may say so to within its error only.
    monkeypatch.setattr("powerseek.exact.measures.side_effects.solve", off)
    mdp = TabularMDP.from_transitions(
        {
            "some": [{"some": 0.5, "none": 0.5}, {"some": 1.0}, {"none": 1.0}],
            "none": [{"none": 1.0}, {"none": 1.0}],
            "late": [{"none": 1.0}, {"none": 0.1, "some": 0.9}],
        }
    )
    for scaling in ("sum", "mean ratio"):
        found = attainable_utility_change(
            mdp, np.array([[1.0, 0.5], [0.0, 0.0], [0.0, 0.0]]), 0.99, 0, scaling=scaling
        )
        assert np.isfinite(found[:3]).all()
        assert found[3:6].tolist() == [0, 0, 0]
        assert np.isnan(found[6])


def bad_calls():
    mdp, flat = TabularMDP.from_successors(VASE), np.ones(4)
    unsure = drawn(0)
    change = attainable_utility_change
    return [
        (lambda: change(mdp, flat, 1.0, 0), "gamma"),
        (lambda: change(mdp, flat, 0.0, 0), "gamma"),
        (lambda: change(mdp, flat * np.nan, 0.9, 0), "reward"),
        (lambda: change(mdp, np.ones(3), 0.9, 0), "reward"),
        (lambda: change(mdp, -flat, 0.9, 0), 'scaling="none"'),
        (lambda: change(mdp, flat, 0.9, 0, scaling="median"), "scaling"),
        (lambda: change(mdp, flat, 0.9, 7), "noop: got 7"),
        (lambda: change(mdp, flat, 0.9, "wait"), "noop: got 'wait'"),
        (lambda: change(mdp, flat, 0.9, [0, 0]), "noop"),
        (lambda: attainable_utility_penalty([1.0], [1.0, 2.0]), "noop"),
        (lambda: attainable_utility_penalty([np.inf], [1.0]), "finite"),
        (lambda: reachability(mdp, 1.1), "gamma"),
        (lambda: reachability(mdp, 0.0), "gamma"),
        (lambda: reachability(unsure, 1.0), "gamma=0.9999"),
        (lambda: reachability(mdp, 0.9, targets=["zz"]), "zz"),
        (lambda: relative_reachability(mdp, "zz", ("L", "ok"), 0.9), "zz"),
        (lambda: unreachability(mdp, ("L", "ok"), "zz", 0.9), "zz"),
        (lambda: unreachability(mdp, ("L", "ok"), ("L", "ok"), float("nan")), "gamma"),
        (lambda: reachability(replace(mdp, symmetric=True), 0.9), "symmetry"),
        (lambda: inaction(mdp, 0, ("L", "ok"), -1), "steps"),
        (lambda: inaction(mdp, 0, "zz", 1), "zz"),
    ]


@pytest.mark.parametrize(("call", "words"), bad_calls())
def test_bad_input_is_refused(call, words):
    with pytest.raises(InvalidInput, match=words):
        call()


def test_too_many_targets_are_refused(monkeypatch):
    monkeypatch.setattr("powerseek.exact.measures.side_effects.MAX_NUMBERS", 15)
    with pytest.raises(InvalidInput, match="4 targets of 4 states"):
        reachability(TabularMDP.from_successors(VASE), 0.9)


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.booleans(), st.sampled_from(["sum", "mean ratio", "none"]))
def test_laws_of_attainable_utility(seed, sure, scaling):
    mdp = drawn(seed, sure)
    auxiliary = np.random.default_rng(seed).random((mdp.n_states, 2)) + 0.1
    found = attainable_utility_change(mdp, auxiliary, 0.9, 0, scaling=scaling)
    down = attainable_utility_change(mdp, auxiliary, 0.9, 0, scaling=scaling, decrease_only=True)
    assert (found[mdp.pair_action == 0] == 0).all()
    assert (found >= 0).all()
    assert (down >= 0).all()
    assert (down <= found).all()
    more = attainable_utility_change(mdp, 7 * auxiliary, 0.9, 0, scaling=scaling)
    assert more == pytest.approx((7 if scaling == "none" else 1) * found, abs=1e-7)


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.booleans(), st.floats(0.05, 0.99))
def test_laws_of_reachability(seed, sure, gamma):
    mdp = drawn(seed, sure)
    reach = reachability(mdp, gamma)
    assert (np.diag(reach) == 1).all()
    assert ((reach >= 0) & (reach <= 1)).all()
    assert (reach <= reachability(mdp, (1 + gamma) / 2) + 2e-9).all()
    # Going by way of another state is one of the policies.
    for by in range(mdp.n_states):
        assert (reach >= np.outer(reach[:, by], reach[by]) - 2e-9).all()
    for s in range(mdp.n_states):
        assert relative_reachability(mdp, s, s, gamma) == 0
        assert unreachability(mdp, s, s, gamma) == 0
    lost = relative_reachability(mdp, mdp.n_states - 1, 0, gamma)
    assert 0 <= lost <= 1
