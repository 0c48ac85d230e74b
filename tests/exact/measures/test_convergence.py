"""Convergence across goals, and what policies meet on their way."""

from itertools import combinations

import numpy as np
import pytest
from graphs import drawn
from hypothesis import given, settings
from hypothesis import strategies as st
from known import known
from worlds import Ladder

from powerseek.errors import InvalidInput
from powerseek.exact import TabularMDP, enumerated, evaluate, minimal_need_policy, random_policy
from powerseek.exact.measures.convergence import convergence_index, overlap, subgoal_index
from powerseek.exact.measures.occupancy import (
    acquisition_events,
    discounted_occupancies,
    visit_probability,
)
from powerseek.exact.solvers.evaluate import policy_weights
from powerseek.exact.solvers.finite import evaluate_policy

OVERLAP = known("ic_overlap_index")
ROWS = np.array(OVERLAP.spec["occupancies_per_goal(before divergence)"])
SUBGOAL = known("ic_subgoal_mutual_information")
VISITS = np.array(SUBGOAL.spec["P(visit z|goal) rows"], float)
P0 = SUBGOAL.spec["p0 (reference visit rate)"]


def test_overlap_and_index_of_three_goals():
    near = OVERLAP.tolerance
    assert overlap(ROWS) == pytest.approx(OVERLAP.expected["O"], abs=near)
    found = convergence_index(ROWS, OVERLAP.spec["O_nec"])
    assert found.overlap == pytest.approx(OVERLAP.expected["O"], abs=near)
    assert found.index == pytest.approx(OVERLAP.expected["index"], abs=near)
    assert np.isnan([found.optimal, found.corrected, found.shuffled, found.random]).all()


def test_subgoals_of_four_goals():
    found = subgoal_index(VISITS, P0)
    near = SUBGOAL.tolerance
    assert found.score == pytest.approx(SUBGOAL.expected["score"], abs=near)
    assert found.information_bits == pytest.approx(SUBGOAL.expected["I_bits"], abs=near)
    assert found.mean == pytest.approx(SUBGOAL.expected["mean"], abs=near)
    above = SUBGOAL.expected["fraction_of_goals_above_p0"]
    assert found.fraction_above == pytest.approx(above, abs=near)
    assert np.isnan(found.corrected).all()


def test_the_index_is_corrected_for_ties_and_shown_beside_its_baselines():
    tied = np.array([[0.5, 0.5, 0.0, 0.0], [0.5, 0.0, 0.5, 0.0], [0.5, 0.0, 0.0, 0.5]])
    alike = np.full((3, 4), 0.25)
    found = convergence_index(ROWS, tied, alike, shuffled=ROWS[::-1], random=alike)
    assert found.necessary == pytest.approx(0.5)
    assert found.index == pytest.approx(OVERLAP.expected["index"])
    assert found.optimal == found.random == pytest.approx(1)
    assert found.corrected == pytest.approx(OVERLAP.expected["index"] - 1)
    assert found.shuffled == pytest.approx(found.index)
    assert convergence_index(ROWS, tied, ROWS).corrected == 0


def test_the_index_is_undefined_where_need_is_all_there_is():
    for needed in (1.0, np.full((3, 4), 0.25)):
        found = convergence_index(ROWS, needed, ROWS)
        assert found.overlap == pytest.approx(OVERLAP.expected["O"])
        assert np.isnan([found.index, found.optimal, found.corrected]).all()


def test_nothing_acquired_is_no_overlap_to_speak_of():
    rows = ROWS.copy()
    rows[1] = np.nan
    assert np.isnan(overlap(rows))
    assert np.isnan(convergence_index(rows, 0.5).index)


@pytest.mark.parametrize(
    ("success", "defined"),
    [([0.9, 0.9, 1.0], True), ([1, 0.899, 1], False), ([1, np.nan, 1], False)],
)
def test_convergence_is_read_among_the_competent_alone(success, defined):
    found = convergence_index(ROWS, 0.5, ROWS, success=np.array(success))
    assert np.isfinite(found.index) == np.isfinite(found.corrected) == defined
    assert np.isfinite(found.overlap) == defined
    assert np.isfinite(found.optimal)
    four = np.array([*success, 1.0])
    subgoals = subgoal_index(VISITS, P0, optimal=VISITS, success=four)
    assert np.isfinite(subgoals.score).all() == np.isfinite(subgoals.corrected).all() == defined
    assert np.isfinite(subgoals.mean).all()
    assert np.isfinite(subgoals.optimal).all()


@st.composite
def distributions(draw):
    shape = draw(st.integers(2, 5)), draw(st.integers(1, 5))
    seed = draw(st.integers(0, 2**32 - 1))
    rows = np.random.default_rng(seed).dirichlet(np.full(shape[1], 0.5), shape[0])
    return rows / rows.sum(axis=1, keepdims=True)


@given(distributions(), st.randoms(use_true_random=False))
@settings(max_examples=60)
def test_overlap_is_one_minus_mean_total_variation_whatever_the_order(rows, shuffler):
    pairs = [abs(a - b).sum() / 2 for a, b in combinations(rows, 2)]
    assert overlap(rows) == pytest.approx(1 - np.mean(pairs))
    assert 0 <= overlap(rows) <= 1
    goals, events = list(range(len(rows))), list(range(rows.shape[1]))
    shuffler.shuffle(goals)
    shuffler.shuffle(events)
    assert overlap(rows[goals][:, events]) == pytest.approx(overlap(rows))
    assert overlap(np.tile(rows[0], (3, 1))) == pytest.approx(1)
    assert overlap(np.eye(3)) == 0


@given(
    st.integers(0, 2**32 - 1),
    st.integers(2, 6),
    st.floats(0, 0.95),
)
@settings(max_examples=60)
def test_information_is_that_of_the_joint_table(seed, goals, base):
    rng = np.random.default_rng(seed)
    visits, weights = rng.random((3, goals)).round(1), rng.random(goals) + 0.1
    found = subgoal_index(visits, base, weights=weights)
    share = weights / weights.sum()
    for z in range(3):
        joint = np.stack([share * visits[z], share * (1 - visits[z])])
        outer = joint.sum(axis=1, keepdims=True) * share
        inside = joint > 0
        bits = (joint[inside] * np.log2(joint[inside] / outer[inside])).sum()
        entropy = -(share * np.log2(share)).sum()
        mean = joint[0].sum()
        assert found.information_bits[z] == pytest.approx(bits, abs=1e-9)
        assert found.mean[z] == pytest.approx(mean)
        lift = (mean - base) / (1 - base)
        assert found.score[z] == pytest.approx(lift * (1 - bits / entropy), abs=1e-9)
        assert found.fraction_above[z] == pytest.approx(share[visits[z] > base + 1e-9].sum())


def test_what_every_minimal_path_or_random_agent_passes_is_no_subgoal():
    needed = np.array([True, False, False, False])
    found = subgoal_index(VISITS, np.array([P0, P0, 1.0, P0]), needed=needed, optimal=VISITS)
    assert np.isnan(found.score).tolist() == [True, False, True, False]
    assert np.isnan(found.optimal).tolist() == [True, False, True, False]
    assert found.corrected[[1, 3]] == pytest.approx([0, 0])
    assert found.score[1] == pytest.approx(SUBGOAL.expected["score"][1])


def test_a_state_that_agents_avoid_scores_below_zero():
    assert subgoal_index(np.zeros((1, 2)), 0.25).score[0] == pytest.approx(-1 / 3)


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: overlap(ROWS[:1]), "G >= 2"),
        (lambda: overlap(ROWS * 2), r"occupancies\[0\]"),
        (lambda: overlap(np.where(ROWS == 0.3, np.nan, ROWS)), r"occupancies\[0\]"),
        (lambda: overlap(np.array([[1.5, -0.5], [0.5, 0.5]])), r"occupancies\[0\]"),
        (lambda: convergence_index(ROWS, 1.5), "necessary"),
        (lambda: convergence_index(ROWS, np.nan), "necessary"),
        (lambda: convergence_index(ROWS, ROWS[:2]), "necessary"),
        (lambda: convergence_index(ROWS, 0.5, ROWS[:, :3]), "optimal"),
        (lambda: convergence_index(ROWS, 0.5, success=np.ones(2)), "success"),
        (lambda: convergence_index(ROWS, 0.5, success=np.array([1, 1, 90])), "success"),
        (lambda: subgoal_index(VISITS[0], P0), "visits"),
        (lambda: subgoal_index(VISITS * 2, P0), "visits"),
        (lambda: subgoal_index(np.zeros((0, 4)), P0), "visits"),
        (lambda: subgoal_index(VISITS, np.full(3, P0)), "reference"),
        (lambda: subgoal_index(VISITS, np.nan), "reference"),
        (lambda: subgoal_index(VISITS, P0, weights=np.array([1, 0, 0, 0])), "weights"),
        (lambda: subgoal_index(VISITS, P0, weights=np.ones(3)), "weights"),
        (lambda: subgoal_index(VISITS, P0, optimal=VISITS[:2]), "optimal"),
        (lambda: subgoal_index(VISITS, P0, needed=np.zeros(4)), "needed"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(call, word):
    with pytest.raises(InvalidInput, match=word):
        call()


def _two_kinds(steps=4):
    """From the start buy grain or ore; a shop past the fork sells ore alone."""
    return TabularMDP.from_transitions(
        {
            "start": [{"start": 0.5, "fork": 0.5}, {"fork": 1.0}],
            "fork": [{"shop": 1.0}, {"won": 1.0}],
            "shop": [{"won": 1.0}],
        },
        facts={"success": {"won": 1}},
        flows={
            "grain": {("start", 0): 1.0},
            "ore": {("start", 1): 2.0, ("shop", 0): 6.0},
            "paid": {("start", 0): 9.0},
        },
        roles={"resource": {"grain": 3.0, "ore": 1.0}},
        terminal=["won"],
        max_steps=steps,
    )


def test_events_are_counted_by_kind_up_to_where_paths_part():
    mdp = _two_kinds()
    weights = np.array([1, 0, 1, 0, 1.0])
    # Grain at steps 0, 1, 2 and 3 with probability 1, 1/2, 1/4, 1/8; ore if the fork is left by
    # step 2 at the latest, so that the shop is left by step 3.
    whole = acquisition_events(mdp, weights)
    assert whole.names == ("grain", "ore")
    assert whole.counts == pytest.approx([1.875, 6 * 0.75])
    assert whole.fractions == pytest.approx(np.array([1.875, 4.5]) / 6.375)
    fork = np.array([label == "fork" for label in mdp.labels])
    assert acquisition_events(mdp, weights, until=fork).fractions.tolist() == [1, 0]
    assert acquisition_events(mdp, weights, until=2).counts.tolist() == [1.5, 0]
    assert acquisition_events(mdp, weights, until=99).counts == pytest.approx(whole.counts)
    assert acquisition_events(mdp, weights, 2).counts.tolist() == [1.5, 0]
    for none in (0, np.ones(mdp.n_states, bool)):
        nothing = acquisition_events(mdp, weights, until=none)
        assert nothing.counts.tolist() == [0, 0]
        assert np.isnan(nothing.fractions).all()


@pytest.mark.parametrize("seed", range(4))
def test_forward_counts_agree_with_backward_ones(seed):
    mdp = drawn(seed)
    for policy in (minimal_need_policy(mdp), random_policy(mdp)):
        weights = policy_weights(mdp, policy, mdp.max_steps)
        flows = mdp.pair_flows[:, mdp.roles["resource"] > 0].copy()
        found = acquisition_events(mdp, policy)
        backward = evaluate_policy(mdp, flows, np.zeros((mdp.n_states, 1)), weights, mdp.max_steps)
        assert found.counts == pytest.approx(backward)
        assert found.counts[0] == pytest.approx(evaluate(mdp, policy).acquisition)
        won = visit_probability(mdp, policy, ["won"])
        assert won == pytest.approx(evaluate(mdp, policy).success)


def test_events_of_a_world_are_its_components():
    world = Ladder(hazard=0.1)
    mdp = enumerated(world)
    found = acquisition_events(mdp, random_policy(mdp))
    assert found.names == ("acquired[0]", "acquired[1]")
    assert found.counts @ [1, 2] == pytest.approx(evaluate(mdp, random_policy(mdp)).acquisition)
    # Weights of the kinds are 1, 0, 3.
    assert found.fractions == pytest.approx([0.25, 0.75])


def _ever(mdp, weights, wanted, s, left):
    """Probability of a visit by plain recursion: a second method."""
    if s in wanted:
        return 1.0
    if left == 0 or mdp.terminal[s]:
        return 0.0
    total = 0.0
    for pair in range(mdp.pair_start[s], mdp.pair_start[s + 1]):
        for edge in range(mdp.edge_start[pair], mdp.edge_start[pair + 1]):
            chance = weights[pair] * mdp.edge_probability[edge]
            total += chance * _ever(mdp, weights, wanted, mdp.edge_next[edge], left - 1)
    return total


@pytest.mark.parametrize("seed", range(3))
def test_probability_of_ever_meeting_a_state(seed):
    mdp = drawn(seed)
    policy = random_policy(mdp)
    weights = policy.pair_weights(0)
    for wanted in ([0], [1], [2, 3], ["won", 3]):
        numbers = {mdp.index(s) for s in wanted}
        plain = sum(p * _ever(mdp, weights, numbers, s, 4) for s, p in enumerate(mdp.initial))
        assert visit_probability(mdp, policy, wanted) == pytest.approx(plain)
        mask = np.isin(np.arange(mdp.n_states), list(numbers))
        assert visit_probability(mdp, weights, mask) == pytest.approx(plain)
    assert visit_probability(mdp, policy, [0, 1]) == 1
    assert visit_probability(mdp, policy, [2], horizon=0) == 0


def test_visits_feed_the_subgoal_index():
    # Two goals behind one gate that need not be passed: the agents of both pass it.
    mdp = TabularMDP.from_successors(
        {
            "start": ["gate", "road"],
            "gate": ["a", "b"],
            "road": ["a", "b"],
            "a": ["a"],
            "b": ["b"],
        },
        max_steps=2,
    )
    agents = [np.array([1, 0, 1, 0, 1, 0, 1, 1.0]), np.array([1, 0, 0, 1, 0, 1, 1, 1.0])]
    base = visit_probability(mdp, random_policy(mdp), ["gate"])
    visits = [[visit_probability(mdp, each, [z]) for each in agents] for z in ("gate", "a")]
    assert visits == [[1, 1], [1, 0]]
    found = subgoal_index(np.array(visits), base)
    assert found.score.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda m, w: acquisition_events(m, w[:2]), "policy"),
        (lambda m, w: acquisition_events(m, w / 2), "policy"),
        (lambda m, w: acquisition_events(m, w, until=-1), "until"),
        (lambda m, w: acquisition_events(m, w, until=1.5), "until"),
        (lambda m, w: acquisition_events(m, w, until=np.ones(2, bool)), "until"),
        (lambda m, w: acquisition_events(m, w, until=np.ones(4)), "until"),
        (lambda m, w: visit_probability(m, w, ["zz"]), "zz"),
        (lambda m, w: visit_probability(m, w, "won"), "states"),
        (lambda m, w: visit_probability(m, w, []), "states"),
        (lambda m, w: visit_probability(m, w, np.zeros(4, bool)), "states"),
        (lambda m, w: visit_probability(m, w, np.ones(3, bool)), "states"),
        (lambda m, w: discounted_occupancies(m, w, 1.0), "gamma"),
        (lambda m, w: discounted_occupancies(m, w / 2, 0.9), "weights"),
        (lambda m, w: discounted_occupancies(m, w, 0.9, "zz"), "zz"),
        (lambda m, w: discounted_occupancies(m, w, 0.9, np.full(4, 0.5)), "start"),
        (lambda m, w: discounted_occupancies(m, w, 0.9, np.array([np.nan, 0, 0, 1])), "start"),
    ],
)
def test_bad_questions_about_visits_are_refused_by_name(call, word):
    with pytest.raises(InvalidInput, match=word):
        call(_two_kinds(), np.array([1, 0, 1, 0, 1.0]))


def test_events_need_resources_that_are_not_lost():
    with pytest.raises(InvalidInput, match="resource"):
        acquisition_events(TabularMDP.from_successors({0: [0]}, max_steps=1), np.ones(1))
    lost = TabularMDP.from_successors({0: [0]}, flows={"grain": {(0, 0): -1.0}}, max_steps=1)
    with pytest.raises(InvalidInput, match="resource"):
        acquisition_events(lost, np.ones(1))


def test_recurrent_visits():
    case = known("recurrent_visit_count")
    gamma = case.spec["gamma"]
    one = TabularMDP.from_successors({"start": ["rec"], "rec": ["rec"]})
    two = TabularMDP.from_successors({"start": ["rec"], "rec": ["off"], "off": ["rec"]})
    late = TabularMDP.from_successors({"start": ["a"], "a": ["b"], "b": ["rec"], "rec": ["rec"]})
    found = [
        discounted_occupancies(mdp, np.ones(mdp.n_pairs), gamma)[mdp.index("rec")]
        for mdp in (one, two, late)
    ]
    assert found == pytest.approx(case.expected["V"], abs=case.tolerance)
    over = TabularMDP.from_successors({"start": ["rec"]}, terminal=["rec"])
    assert discounted_occupancies(over, np.ones(1), gamma)[1] == pytest.approx(found[0])


@pytest.mark.parametrize("gamma", [0.1, 0.9, 0.99])
def test_discounted_occupancies_solve_their_linear_equations(gamma):
    mdp = drawn(2)
    weights = random_policy(mdp).pair_weights(0)
    step = np.diag(mdp.terminal.astype(float))
    for pair in range(mdp.n_pairs):
        for edge in range(mdp.edge_start[pair], mdp.edge_start[pair + 1]):
            chance = weights[pair] * mdp.edge_probability[edge]
            step[mdp.pair_state[pair], mdp.edge_next[edge]] += chance
    inverse = np.linalg.inv(np.eye(mdp.n_states) - gamma * step)
    found = discounted_occupancies(mdp, weights, gamma)
    assert found == pytest.approx(mdp.initial @ step @ inverse, abs=1e-9)
    assert found.sum() == pytest.approx(1 / (1 - gamma))
    for start in (1, "won"):
        of_one = discounted_occupancies(mdp, weights, gamma, start)
        assert of_one == pytest.approx((step @ inverse)[mdp.index(start)], abs=1e-9)
    spread = np.full(mdp.n_states, 1 / mdp.n_states)
    found = discounted_occupancies(mdp, weights, gamma, spread)
    assert found == pytest.approx(spread @ step @ inverse, abs=1e-9)
