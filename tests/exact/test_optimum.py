"""Arms' own optima against closed forms, a plain recursion and brute force."""

import warnings

import numpy as np
import pytest
from graphs import best_value, deterministic_policies, drawn, invest
from hypothesis import given, settings
from hypothesis import strategies as st
from known import known
from scipy.optimize import brentq
from worlds import Ladder

from powerseek.envs.rewards.spec import RewardFunction, make_reward
from powerseek.errors import InvalidInput
from powerseek.exact import TabularMDP, enumerated, evaluate, most, need, optimum
from powerseek.exact.solvers.discounted import action_values, solve
from powerseek.exact.solvers.outcome import CRITERIA

INVEST = known("invest_horizon_threshold")
THRESHOLDS = [
    (steps, gain, *wanted)
    for (steps, gain), *wanted in zip(
        INVEST.spec["m_g"],
        INVEST.expected["gamma_star"],
        INVEST.expected["H_star (strictly larger horizon acquires)"],
        INVEST.expected["smallest_integer_H_that_invests"],
        strict=True,
    )
]


@pytest.mark.parametrize(("steps", "gain", "gamma", "horizon", "first"), THRESHOLDS)
def test_investing_pays_from_a_known_horizon_on(steps, gain, gamma, horizon, first):
    mdp = invest(steps, gain)
    assert optimum(mdp, "own", horizon=first).low.acquisition == 1
    # At a threshold that is a whole number, just before, both are as good.
    indifferent = abs(horizon - (first - 1)) < INVEST.tolerance
    before = optimum(mdp, "own", horizon=first - 1)
    assert before.low.acquisition == 0
    assert before.high.acquisition == (1 if indifferent else 0)
    assert optimum(mdp, "own", horizon=first - 2).high.acquisition == 0
    # The value is one line in the horizon where nobody invests, and another where all do.
    short, long = (
        np.polyfit(ends, [optimum(mdp, "own", horizon=end).value for end in ends], 1)
        for ends in ((1, 2), (first, first + 40))
    )
    crossing = (short[1] - long[1]) / (long[0] - short[0])
    assert crossing == pytest.approx(horizon, abs=INVEST.tolerance)


@pytest.mark.parametrize(("steps", "gain", "threshold", "horizon", "first"), THRESHOLDS)
def test_investing_pays_from_a_known_discount_on(steps, gain, threshold, horizon, first):
    # Whether to start investing now; later starts are ties' business, hence the first action.
    mdp = invest(steps, gain)
    for gamma, invests in ((threshold - 1e-4, False), (threshold + 1e-4, True)):
        found = optimum(mdp, "own", gamma, horizon=400)
        assert found.policy.bits[0, 0] == (2 if invests else 1)
    own, nothing = mdp.pair_flows[:, mdp.fact_names.index("own")], np.zeros(mdp.n_states)

    def gain_of_investing(gamma):
        values = solve(mdp, nothing, gamma, pair_rewards=own, tolerance=1e-11).values[:, 0]
        consume, go = action_values(mdp, nothing, gamma, values, own)[:2]
        return go - consume

    found = brentq(gain_of_investing, 0.5, 0.99, xtol=1e-13)
    assert found == pytest.approx(threshold, abs=INVEST.tolerance)


@pytest.mark.parametrize("owed", [0.5, 1.0])
def test_aggregation_needs_the_accumulator(owed):
    case = known("aggregation_needs_accumulator")
    expected = case.expected[f"c={owed}"]
    mdp = TabularMDP.from_transitions(
        {"start": [{"choose": 1}], "choose": [{"stop": 1}, {"go": 1}], "go": [{"end": 1}]},
        facts={
            "progress": {"choose": owed, "stop": owed, "go": owed, "end": owed + 0.1},
            "success": {"stop": 1},
        },
        terminal=["stop", "end"],
        max_steps=8,
    )
    found = optimum(mdp, {"every": 8}, 0.9)
    value = max(expected["stop"], expected["go"])
    assert found.value == pytest.approx(0.9 * value, abs=case.tolerance)
    assert found.uniform.success == (expected["best"] == "stop")
    # At gamma 1, what is owed does not matter: going on is worth .1 more.
    assert optimum(mdp, {"every": 8}, 1.0).uniform.success == 0


def test_a_cap_is_an_end_and_bootstrapping_has_no_oracle():
    mdp = TabularMDP.from_transitions(
        {"s": [{"s": 1}]},
        facts={"success": {}, "progress": {}},
        flows={"own": {("s", 0): 1.0}},
        max_steps=10,
    )
    value = known("timelimit_bootstrap").expected["V_if_truncation_treated_as_terminal"]
    assert optimum(mdp, "own", 0.99).value == pytest.approx(value, abs=1e-9)
    with pytest.raises(InvalidInput, match="no oracle"):
        optimum(mdp, "own", 0.99, time_limit="bootstrap")


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("gamma", [1.0, 0.8])
@pytest.mark.parametrize(
    ("spec", "kind", "k"),
    [
        ("dense", "dense", 1),
        ("terminal", "terminal", 1),
        ("shaped", "shaped", 1),
        ({"thinned": 0.25}, "dense", 1),
        ({"every": 2}, "every", 2),
        ({"every": 3}, "every", 3),
        ({"every": "cap"}, "every", 5),
        ({"every": 3, "corrected": True}, "corrected", 3),
    ],
)
def test_value_equals_a_plain_recursion(seed, gamma, spec, kind, k):
    mdp = drawn(seed, states=4, actions=3, steps=5)
    expected = best_value(mdp, kind, gamma, k)
    for collapse in (True, False):
        found = optimum(mdp, spec, gamma, collapse=collapse)
        assert found.value == pytest.approx(expected, abs=1e-9)


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), k=st.integers(1, 5), gamma=st.sampled_from([0.7, 0.95]))
def test_delay_keeps_optimal_policies_where_it_is_said_to(seed, k, gamma):
    mdp = drawn(seed, steps=5)
    for spec, discount in (({"every": k}, 1.0), ({"every": k, "corrected": True}, gamma)):
        dense = optimum(mdp, "dense", discount)
        late = optimum(mdp, spec, discount, collapse=False)
        assert late.value == pytest.approx(dense.value, abs=1e-9)
        assert np.array_equal(late.policy.bits, dense.policy.bits)
        for one, other in ((late.low, dense.low), (late.high, dense.high)):
            assert one.as_array() == pytest.approx(other.as_array(), abs=1e-9, nan_ok=True)


def test_delay_changes_the_optimum_below_gamma_1_somewhere():
    found = [
        optimum(drawn(seed, steps=5), spec, 0.6).uniform.success
        for spec in ("dense", {"every": 5})
        for seed in range(20)
    ]
    assert not np.allclose(found[:20], found[20:])


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), gamma=st.sampled_from([0.7, 1.0]))
def test_shaping_shifts_the_value_and_keeps_the_policies(seed, gamma):
    mdp = drawn(seed, steps=5)
    plain, shaped = optimum(mdp, "terminal", gamma), optimum(mdp, "shaped", gamma)
    shift = mdp.initial @ mdp.final("progress")
    assert shaped.value == pytest.approx(plain.value - shift, abs=1e-9)
    assert np.array_equal(plain.policy.bits, shaped.policy.bits)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("arm", ["dense", "terminal"])
def test_ranges_over_ties_equal_brute_force(seed, arm):
    mdp = drawn(seed, states=2, actions=3, steps=3)
    # Equal progress everywhere but at success makes plenty of ties.
    mdp.state_facts[:2, mdp.fact_names.index("progress")] = 0.25
    found = optimum(mdp, arm)
    target = {"dense": 0.75, "terminal": 1.0}[arm]
    outcomes = [evaluate(mdp, weights) for weights in deterministic_policies(mdp)]
    lost = _share_lost(mdp) if arm == "dense" else None
    values = [
        o.success if arm == "terminal" else o.success * target - 0.25 * lost(w)
        for o, w in zip(outcomes, deterministic_policies(mdp), strict=True)
    ]
    best = max(values)
    assert found.value == pytest.approx(best, abs=1e-12)
    optimal = np.array(
        [o.as_array() for o, v in zip(outcomes, values, strict=True) if v > best - 1e-10]
    )
    assert found.low.as_array() == pytest.approx(optimal.min(axis=0), nan_ok=True)
    assert found.high.as_array() == pytest.approx(optimal.max(axis=0), nan_ok=True)
    assert evaluate(mdp, found.policy).as_array() == pytest.approx(
        found.uniform.as_array(), nan_ok=True
    )


def _share_lost(mdp):
    """Probability of ending in `lost`, by evaluating its own fact as success."""
    column = mdp.fact_names.index("success")

    def lost(weights):
        kept = mdp.state_facts[:, column].copy()
        mdp.state_facts[:, column] = np.arange(mdp.n_states) == mdp.index("lost")
        out = evaluate(mdp, weights).success
        mdp.state_facts[:, column] = kept
        return out

    return lost


def test_ranges_hold_the_point_and_optima_lie_between_the_frontiers():
    for seed in range(10):
        mdp = drawn(seed, steps=5)
        least, greatest = need(mdp, gap=1e-9), most(mdp, gap=1e-9)
        for spec in ("dense", "terminal"):
            found = optimum(mdp, spec)
            low, high, point = (o.as_array() for o in (found.low, found.high, found.uniform))
            inside = (low <= point + 1e-12) & (point <= high + 1e-12)
            assert (inside | np.isnan(point)).all()
            point, low, high = found.incentive(least)
            assert low - 1e-9 <= point <= high + 1e-9
            assert point >= -1e-8
            surplus = greatest.at(found.uniform.success)[1] - found.uniform.acquisition
            assert surplus >= -1e-8
        assert optimum(mdp, "terminal").uniform.success == pytest.approx(least.max_success)


def test_power_weight_buys_holdings():
    mdp = drawn(0, steps=5)
    power = mdp.final("holdings")

    def gain(weight):
        bits = optimum(mdp, "terminal", power_weight=weight).policy
        column = mdp.fact_names.index("success")
        kept = mdp.state_facts[:, column].copy()
        mdp.state_facts[:, column] = power
        out = evaluate(mdp, bits).success
        mdp.state_facts[:, column] = kept
        return out

    gains = [gain(weight) for weight in (0.0, 0.1, 1.0, 100.0)]
    assert np.all(np.diff(gains) >= -1e-9)
    assert gains[-1] > gains[0] + 0.05


def test_memory_that_matters_leaves_no_lookup():
    # Two ways into `choose` at clock 4: `a` was paid its 1 at clock 3, `b` is still owed it.
    moves = {"start": [{"a1": 0.5, "b1": 0.5}], "choose": [{"stop": 1}, {"go": 1}]}
    for way in "ab":
        moves |= {f"{way}{i}": [{f"{way}{i + 1}": 1.0}] for i in (1, 2)}
        moves[f"{way}3"] = [{"choose": 1.0}]
    paid = dict.fromkeys(("a3", "choose", "stop", "go"), 1.0)
    mdp = TabularMDP.from_transitions(
        moves | {"go": [{"end": 1}]},
        facts={"progress": paid | {"end": 1.1}, "success": {"stop": 1}},
        terminal=["stop", "end"],
        max_steps=9,
    )
    found = optimum(mdp, {"every": 3}, 0.5)
    assert found.policy is None
    assert found.uniform.success == 0.5
    assert found.value == pytest.approx(best_value(mdp, "every", 0.5, 3))
    assert optimum(mdp, {"every": 3}, 1.0).policy is not None


def test_confounds_are_not_warned_about_again():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimum(drawn(0), {"every": 2}, 0.9)


def test_an_arm_object_may_be_given():
    mdp = drawn(2)
    arm = make_reward("dense", gamma=0.9, max_steps=mdp.max_steps)
    assert optimum(mdp, arm, 0.9).value == optimum(mdp, "dense", 0.9).value


class PaysAtTheCap(RewardFunction):
    """Pays 1 where the cap alone ends the episode."""

    def step(self, step):
        assert (step.ended >= step.cut).all()
        return step.cut.astype(float), step.memory


class PaysSquares(RewardFunction):
    """Pays the square of what a single step acquired: not linear in a flow."""

    def step(self, step):
        return (step.after["acquired"] @ np.array([1.0, 2.0])) ** 2, step.memory


def test_an_arm_is_told_what_ended_the_episode():
    mdp = TabularMDP.from_transitions(
        {"s": [{"s": 0.8, "won": 0.2}]},
        facts={"success": {"won": 1}},
        terminal=["won"],
        max_steps=3,
    )
    assert optimum(mdp, PaysAtTheCap()).value == pytest.approx(0.8**3)


def test_an_arm_sees_what_happened_and_not_its_expectation():
    # Gold starts at 0 or 1 and stops at 2; a piece is worth 1 or 2 units (chance 1/4, 3/4).
    found = optimum(enumerated(Ladder(rungs=10, slip=1.0)), PaysSquares())
    assert found.value == pytest.approx(1.5 * (0.25 + 0.75 * 4))
    assert found.uniform.acquisition == pytest.approx(1.5 * 1.75)


@pytest.mark.parametrize("gamma", [0.0, 1.5, float("nan")])
def test_a_discount_out_of_range_is_refused(gamma):
    with pytest.raises(InvalidInput, match="gamma"):
        optimum(drawn(0), "dense", gamma)


def test_no_steps_leave_the_initial_state():
    found = optimum(drawn(0), "dense", horizon=0)
    assert found.value == 0
    assert found.uniform.length == 0


def test_criteria_are_outcome_fields():
    assert CRITERIA[:2] == ("success", "acquisition")
