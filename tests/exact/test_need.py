"""The need frontier against closed forms, a linear programme and brute force."""

import re
import sys
from fractions import Fraction
from itertools import pairwise, permutations

import numpy as np
import pytest
from graphs import (
    by_linear_programme,
    corridor,
    deterministic_policies,
    drawn,
    offers,
    one_at_a_time,
    up_front,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from known import known

import powerseek
from powerseek.errors import InvalidInput
from powerseek.exact import (
    Frontier,
    TabularMDP,
    attainable_holdings,
    enumerated,
    evaluate,
    least_cost,
    minimal_need_policy,
    most,
    need,
    need_at,
)

GAP = 1e-3
RELIABLE = known("resource_minimal_reliability")
CHANCE, TARGETS = RELIABLE.spec["p"], RELIABLE.spec["targets"]
# The other two policy classes are in words: "randomised stocks give 1.95, ...; ... give 1.67, ...".
RANDOMISED, SEQUENTIAL = np.array(
    [float(number) for number in re.findall(r"\d[.\d]*", RELIABLE.spec["policy_class"])]
).reshape(2, -1)


def test_sequential_purchase_needs_the_expected_number_of_attempts():
    frontier = need(one_at_a_time(CHANCE))
    for target, wanted in zip(TARGETS, SEQUENTIAL, strict=True):
        assert frontier.at(target) == pytest.approx((target / CHANCE,) * 2, abs=1e-9)
        assert round(frontier.at(target)[1], 2) == wanted
    # Without an end, buying until success costs the last of these.
    mdp = one_at_a_time(CHANCE, max_steps=400)
    always = (mdp.pair_action == 1).astype(float)
    unlimited = RELIABLE.expected["expected_units_used_unlimited"]
    assert evaluate(mdp, always).acquisition == pytest.approx(unlimited, rel=1e-14)
    assert need(mdp).at(1 - 1e-9)[1] == pytest.approx(unlimited, abs=1e-6)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), sigma=st.floats(0, 1))
def test_costs_that_depend_on_the_time_agree_with_a_linear_programme(seed, sigma):
    mdp = drawn(seed)
    costs = np.random.default_rng(seed).normal(size=(mdp.max_steps, mdp.n_pairs))
    frontier = least_cost(mdp, costs, gap=1e-6)
    success = sigma * frontier.max_success
    wanted = by_linear_programme(mdp, success, costs=costs)
    low, high = frontier.at(success)
    assert low - 1e-6 <= wanted <= high + 1e-6
    assert high - low <= 1e-6 + 1e-9


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_need_is_the_least_cost_of_acquisition_at_every_time(seed):
    mdp = drawn(seed)
    flow = mdp.flow("resource")
    by_need = need(mdp)
    for costs in (flow, np.tile(flow, (mdp.max_steps, 1))):
        found = least_cost(mdp, costs)
        assert (found.corners == by_need.corners).all()
        assert (found.tangents == by_need.tangents).all()


@pytest.mark.parametrize("costs", [np.zeros(3), np.zeros((1, 2)), np.array([np.nan])])
def test_costs_that_fit_no_pair_are_refused(costs):
    mdp = drawn(0)
    given = np.full(mdp.n_pairs, np.nan) if costs.shape == (1,) else costs
    with pytest.raises(InvalidInput, match="costs"):
        least_cost(mdp, given)


def test_randomised_up_front_stocks():
    low, high = need(up_front(CHANCE), gap=1e-9).at(np.array(TARGETS))
    assert high == pytest.approx(RANDOMISED, abs=0.005)
    assert low == pytest.approx(high, abs=1e-8)


def test_smallest_deterministic_up_front_stock():
    mdp = up_front(CHANCE)
    outcomes = [evaluate(mdp, np.eye(mdp.n_pairs)[n]) for n in range(mdp.n_pairs)]
    smallest = [min(o.acquisition for o in outcomes if o.success >= target) for target in TARGETS]
    assert smallest == RELIABLE.expected["minimal_units"]


def test_corridor_needs_three_charges():
    case = known("resource_minimal_deterministic")
    expected, mdp = case.expected, corridor()
    frontier, charge = need(mdp), mdp.flow("resource").max()
    units = expected["minimal_energy_acquired"]
    assert frontier.at(1.0) == (units, units)
    assert frontier.at(1.0)[0] / charge == expected["minimal_charges"]
    assert most(mdp).at(1.0)[1] == pytest.approx(18.0)
    # Charge five times, then walk.
    charging = mdp.flow("resource") > 0
    only = np.bincount(mdp.pair_state, minlength=mdp.n_states)[mdp.pair_state] == 1
    at_charger = np.isin(mdp.pair_state, mdp.pair_state[charging])
    weights = np.stack(
        [np.where(at_charger & ~only, charging == (t < 5), 1.0) for t in range(mdp.max_steps)]
    )
    found = evaluate(mdp, weights)
    assert found.success == 1
    excess = found.acquisition - frontier.at(found.success)[1]
    assert (excess, excess / charge) == (
        expected["excess_energy"],
        expected["excess_if_agent_charges_5"],
    )


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("sign", [1, -1])
def test_frontier_equals_linear_programme(seed, sign):
    mdp = drawn(seed, states=5, actions=3, steps=5)
    frontier = (need if sign > 0 else most)(mdp, gap=1e-9)
    for share in (0.0, 0.3, 0.7, 0.95, 1.0):
        # The end is approached from inside: a programme on the boundary is a rounding error away
        # from having no solution.
        sigma = share * (frontier.max_success - 1e-9)
        low, high = frontier.at(sigma)
        assert by_linear_programme(mdp, sigma, sign) == pytest.approx(high, abs=1e-6)
        assert low == pytest.approx(high, abs=1e-8)


@pytest.mark.parametrize("seed", range(3))
def test_no_deterministic_policy_crosses_the_frontiers(seed):
    mdp = drawn(seed, states=2, actions=3, steps=3)
    least, greatest = need(mdp, gap=1e-9), most(mdp, gap=1e-9)
    found = [evaluate(mdp, weights) for weights in deterministic_policies(mdp)]
    for one in found:
        assert least.at(one.success)[0] <= one.acquisition + 1e-9
        assert one.acquisition <= greatest.at(one.success)[1] + 1e-9
    attained = np.array([(one.success, one.acquisition) for one in found])
    for vertex in (*least.vertices, *greatest.vertices):
        assert np.abs(attained - vertex).max(axis=1).min() < 1e-9
    top = attained[:, 0].max()
    assert least.max_success == pytest.approx(top)
    best = attained[attained[:, 0] > top - 1e-12, 1].min()
    minimal = evaluate(mdp, minimal_need_policy(mdp))
    assert (minimal.success, minimal.acquisition) == pytest.approx((top, best))


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), steps=st.integers(0, 6), gap=st.sampled_from([1e-6, 0.05]))
def test_frontiers_are_monotone_convex_and_bounded(seed, steps, gap):
    mdp = drawn(seed, states=4, actions=3, steps=steps)
    least, greatest = need(mdp, gap=gap), most(mdp, gap=gap)
    sigma = np.linspace(0, least.max_success, 41)
    for frontier, sign in ((least, 1), (greatest, -1)):
        low, high = frontier.at(sigma)
        assert (low <= high).all()
        assert (high - low <= gap + 1e-9).all()
        for edge in (low, high):
            assert (sign * np.diff(edge) >= -1e-9).all()
            assert (sign * np.diff(edge, 2) >= -1e-9).all()
    assert (least.at(sigma)[0] <= greatest.at(sigma)[1] + 1e-9).all()
    assert np.isnan(least.at(least.max_success + 1e-6)).all()


def test_ends_are_lexicographic():
    mdp = TabularMDP.from_transitions(
        {"s": [{"won": 0.5, "lost": 0.5}, {"lost": 1}, {"won": 1}, {"won": 1}]},
        facts={"success": {"won": 1}},
        flows={"acquired": {("s", 2): 7.0, ("s", 3): 4.0}},
        terminal=["won", "lost"],
        max_steps=1,
    )
    assert need(mdp).vertices == ((0.5, 0.0), (1.0, 4.0))
    assert need(mdp).at(0.2) == (0.0, 0.0)
    assert need(mdp).at(0.75) == (2.0, 2.0)
    assert most(mdp).vertices == ((1.0, 7.0),)


@pytest.mark.parametrize(("frontier", "sign"), [(need, 1), (most, -1)])
def test_bounds_stay_close_where_the_last_bit_of_success_is_dear(frontier, sign):
    """Every tenth of what is left of failure, down to 1e-11 and then 0, costs (or bars) a unit."""
    left = [*(10.0**-n for n in range(12)), 0.0]
    units = np.arange(13.0) if sign > 0 else 20 - np.arange(13.0)
    found = frontier(offers(left, units))
    assert found.gap <= GAP
    for success, unit in zip(1 - np.array(left), units, strict=True):
        low, high = found.at(success)
        assert low == pytest.approx(unit, abs=2 * GAP)
        assert high == pytest.approx(unit, abs=2 * GAP)
        assert low <= high <= low + GAP
    assert found.at(found.max_success) == (units[-1], units[-1])
    assert frontier(offers(left, units), role="resource").vertices[-1] == (1.0, units[-1])


def test_a_sliver_of_success_may_cost_all():
    assert need(offers([5e-11, 0.0], [1.0, 8.0])).at(1.0) == (8.0, 8.0)
    assert need(offers([5e-11, 0.0], [1.0, 8.0])).at(1 - 5e-11)[1] == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_successes_tie_within_1e_12_of_the_greatest(order):
    left, units = np.array([1.6e-12, 0.8e-12, 0.0]), np.array([0.0, 1.0, 2.0])
    mdp = offers(left[list(order)], units[list(order)])
    assert need(mdp).at(1.0) == (1.0, 1.0)
    assert most(mdp).at(1.0) == (2.0, 2.0)
    assert evaluate(mdp, minimal_need_policy(mdp)).acquisition == 1.0


def test_no_line_passes_the_end_where_ties_of_many_steps_add_up():
    """Shortcuts of 9e-13 at 20 steps are ties and free; one of 1e-11 is none, and saves 3."""
    steps = {n: [{n + 1: 1 - 9e-13, "lost": 9e-13}, {n + 1: 1.0}] for n in range(20)}
    mdp = TabularMDP.from_transitions(
        {"start": [{0: 1 - 1e-11, "lost": 1e-11}, {0: 1.0}], **steps},
        facts={"success": {20: 1}},
        flows={"acquired": {("start", 1): 3.0, **{(n, 1): 1.0 for n in range(20)}}},
        terminal=[20, "lost"],
        max_steps=21,
    )
    frontier = need(mdp)
    assert frontier.at(frontier.max_success) == (3.0, 3.0)
    assert frontier.at(frontier.max_success - 5e-12) == pytest.approx((1.5, 1.5), abs=1e-4)
    assert frontier.tangents[:, 1].max() <= 3 + 1e-9


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("frontier", "sign"), [(need, 1), (most, -1)])
def test_bounds_hold_and_are_close_up_to_the_end_by_exact_arithmetic(seed, frontier, sign):
    """Success hangs on flips of 1e-3 to 1e-10: fractions enumerate every policy on the hull."""
    mdp = _cliff(seed)
    points = sorted(_outcomes(mdp), key=lambda point: (-point[0], sign * point[1]))
    top, end = points[0]
    found = frontier(mdp)
    assert found.gap <= GAP
    assert found.at(found.max_success) == pytest.approx((float(end),) * 2, abs=1e-12)
    corners = [(Fraction(0), end)]
    for success, units in points:
        if sign * units < sign * corners[-1][1]:
            corners.append((top - success, units))
    hull = [corners[0]]
    while hull[-1] != corners[-1]:
        d, units = hull[-1]
        rest = [c for c in corners if c[0] > d]
        hull.append(max(rest, key=lambda c: (sign * (units - c[1]) / (c[0] - d), c[0])))
    for (d, units), (further, fewer) in pairwise(hull):
        for part in (Fraction(1, 3), Fraction(1)):
            shortfall = float(d + part * (further - d))
            if shortfall < 1e-10:
                continue
            exact = float(units + part * (fewer - units))
            low, high = found.at(found.max_success - shortfall)
            assert low - 1e-4 <= exact <= high + 1e-4
            assert high - low <= GAP + 1e-9


def _cliff(seed):
    """Two steps, each a free or a paid choice among several, which matters by a little."""
    rng = np.random.default_rng(seed)
    transitions, acquired = {}, {}
    for s in range(2):
        failing = 10.0 ** -rng.uniform(3, 10, 4)
        transitions[s] = [{s + 1 if s < 1 else "won": 1 - q, "lost": q} for q in failing]
        acquired |= {(s, a): float(rng.integers(0, 9)) for a in range(4)}
    return TabularMDP.from_transitions(
        transitions,
        facts={"success": {"won": 1}},
        flows={"acquired": acquired},
        terminal=["won", "lost"],
        max_steps=2,
    )


def _outcomes(mdp):
    """(success, acquisition) of every deterministic policy of `_cliff`, as fractions."""
    units = mdp.flow("resource")
    stays = [Fraction(float(p)) for p in mdp.edge_probability[::2]]
    for first in range(4):
        for second in range(4, 8):
            bought = Fraction(units[first]) + stays[first] * Fraction(units[second])
            yield stays[first] * stays[second], bought


def test_an_end_of_the_work_is_told():
    frontier = need(drawn(0, states=5, actions=3, steps=5), gap=1e-9, max_lines=4)
    assert len(frontier.tangents) == 4
    assert frontier.gap > 1e-9
    low, high = frontier.at(np.linspace(0, frontier.max_success, 1001))
    assert 1e-9 < (high - low).max() <= frontier.gap + 1e-12
    assert Frontier.from_arrays(frontier.to_arrays()).gap == frontier.gap


def test_the_end_of_homestead_is_what_the_lexicographic_policy_acquires():
    mdp = enumerated(powerseek.make_world("homestead", openness=1, spoil=0.001))
    least, greatest = need(mdp), most(mdp)
    policy = evaluate(mdp, minimal_need_policy(mdp))
    assert least.at(policy.success) == (least.corners[-1, 1],) * 2
    assert policy.acquisition == pytest.approx(least.at(policy.success)[0], abs=1e-12)
    near = least.max_success - np.append(0.0, np.logspace(-12, -1, 200))
    for frontier in (least, greatest):
        low, high = frontier.at(near)
        assert (high - low <= GAP + 1e-9).all()
        assert frontier.gap <= GAP
    assert least.corners[-1, 1] <= greatest.corners[-1, 1]


def test_success_must_last_to_the_end():
    mdp = TabularMDP.from_transitions(
        {"on": [{"off": 1.0}], "off": [{"off": 1.0}]},
        facts={"success": {"on": 1}},
        flows={"acquired": {}},
        max_steps=1,
    )
    assert need(mdp).max_success == 0.0
    assert need(mdp, 0).max_success == 1.0


def test_a_frontier_survives_storage():
    frontier = need(drawn(3))
    again = Frontier.from_arrays(frontier.to_arrays())
    sigma = np.linspace(0, 1, 11)
    assert np.array_equal(frontier.at(sigma), again.at(sigma), equal_nan=True)


def test_attainable_holdings_is_the_best_expected_gain():
    mdp = drawn(1, states=2, actions=2, steps=3)
    power = mdp.final("holdings")
    start = mdp.initial @ power
    # Brute force: a policy's final holdings, by stepping its state distribution forward.
    best = max(_expected_final(mdp, weights, power) for weights in deterministic_policies(mdp))
    assert attainable_holdings(mdp) == pytest.approx(best - start)


def _expected_final(mdp, weights, values):
    chance = mdp.initial.copy()
    for now in weights:
        step = chance * mdp.terminal
        for pair in range(mdp.n_pairs):
            for edge in range(mdp.edge_start[pair], mdp.edge_start[pair + 1]):
                step[mdp.edge_next[edge]] += (
                    chance[mdp.pair_state[pair]] * now[pair] * mdp.edge_probability[edge]
                )
        chance = step
    return chance @ values


@pytest.mark.parametrize(
    ("keywords", "word"),
    [({"gap": 0}, "gap"), ({"role": "gold"}, "gold"), ({"horizon": -1}, "horizon")],
)
def test_bad_input_is_named(keywords, word):
    with pytest.raises(InvalidInput, match=word):
        need(drawn(0), **keywords)


def test_without_a_success_fact_there_is_no_frontier():
    mdp = TabularMDP.from_successors({"a": ["a"]}, flows={"acquired": {}}, max_steps=3)
    with pytest.raises(InvalidInput, match="success"):
        need(mdp)


def test_a_minimalist_with_time_on_its_hands_does_not_dawdle():
    mdp = TabularMDP.from_transitions(
        {"s": [{"s": 1}, {"won": 1}, {"won": 1}]},
        facts={"success": {"won": 1}},
        flows={"acquired": {("s", 2): 1.0}},
        terminal=["won"],
        max_steps=9,
    )
    found = evaluate(mdp, minimal_need_policy(mdp))
    assert (found.success, found.acquisition, found.length) == (1, 0, 1)


def test_price_buys_the_vertex_within_reach():
    """Kinks at .5 and .9 of slopes 1, 5 and 40: a spare .05 lands on .9, at a price between."""
    corners = np.array([(0.93, 0.0), (0.43, 0.5), (0.03, 2.5), (0.0, 3.7)])
    frontier = Frontier(0.93, corners, np.zeros((1, 2)))
    assert frontier.price(0.05) == pytest.approx((5 + 40) / 2)
    assert frontier.price(0.5) == pytest.approx((1 + 5) / 2)
    assert frontier.price(0.0) == np.inf


@pytest.mark.parametrize("seed", range(4))
def test_priced_policy_lies_on_the_frontier(seed):
    mdp = drawn(seed, states=5, actions=3, steps=5)
    frontier = need(mdp, gap=1e-9)
    for spare in (0.0, 0.01, 0.1):
        found = evaluate(mdp, minimal_need_policy(mdp, price=frontier.price(spare)))
        assert found.success >= frontier.max_success - spare - 1e-9
        assert found.acquisition == pytest.approx(frontier.at(found.success - 1e-10)[1], abs=1e-6)


@pytest.mark.parametrize(
    "mdp",
    [
        enumerated(powerseek.make_world("homestead", openness=1)),
        one_at_a_time(CHANCE),
        up_front(CHANCE),
    ],
    ids=["homestead", "one at a time", "up front"],
)
def test_one_level_is_a_point_of_the_whole_frontier(mdp):
    frontier = need(mdp)
    end = frontier.max_success
    for success in (0.0, 0.3 * end, 0.9 * end, end - 1e-6, end):
        whole, alone = frontier.at(success), need_at(mdp, success)
        assert alone[0] <= whole[1] + 1e-9
        assert whole[0] <= alone[1] + 1e-9
        assert alone[1] - alone[0] <= GAP + 1e-9
    assert need_at(mdp, end) == frontier.at(end)
    assert np.isnan(need_at(mdp, end + 0.01)).all()


def test_one_level_takes_fewer_passes(monkeypatch):
    mdp = enumerated(powerseek.make_world("homestead", openness=1))
    module, lines = sys.modules["powerseek.exact.need"], []
    trade = module.trade_at_prices
    monkeypatch.setattr(module, "trade_at_prices", lambda *a: lines.append(len(a[3])) or trade(*a))
    need(mdp)
    whole, lines[:] = sum(lines), []
    need_at(mdp, 0.9)
    assert sum(lines) * 4 < whole
