"""Constraints: penalties by hand, their placebos' strength, and what an optimum makes of both."""

from dataclasses import replace
from functools import cache
from itertools import product

import numpy as np
import pytest
from graphs import drawn
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import Ladder, random_actions

import powerseek
from powerseek.envs.rewards.spec import Change, make_reward
from powerseek.envs.task import Task, VecTask
from powerseek.errors import InvalidInput
from powerseek.exact import (
    TabularMDP,
    attainable_utility_change,
    enumerated,
    optimum,
    random_policy,
    reward_oracle,
    with_overseer,
)
from powerseek.exact.measures.goals import draw_rewards, state_classes
from powerseek.exact.overseer import exact_overseer
from powerseek.exact.penalty import HARMLESS, REWARDS, SEED, penalties
from powerseek.exact.solvers.evaluate import policy_weights
from powerseek.exact.solvers.finite import occupancies

WAIT, STAY, AUP = 0, "stay", {"aup": 0.5, "of": "terminal"}


class Waiting(Ladder):
    """The ladder, on which one may wait."""

    id = "test.waiting"
    noop = "wait"


LADDER = Waiting(rungs=2, slip=0.4, hazard=0.1, max_steps=6)


def vase(max_steps=4, ends=False):
    """Stay whole (1 held), step aside (.5) and back, or break (0) for good; action 0 waits."""
    return TabularMDP.from_transitions(
        {
            "whole": [{"whole": 1.0}, {"broken": 1.0}, {"aside": 1.0}],
            "aside": [{"aside": 1.0}, {"whole": 1.0}],
            **({} if ends else {"broken": [{"broken": 1.0}]}),
        },
        facts={"held": {"whole": 1.0, "aside": 0.5}, "success": {"broken": 1.0}},
        roles={"holdings": {"held": 1.0}},
        terminal=["broken"] if ends else [],
        max_steps=max_steps,
    )


def of_pairs(mdp, values):
    """{(state, action): value} of a row [P]."""
    names = ((mdp.labels[s], int(a)) for s, a in zip(mdp.pair_state, mdp.pair_action, strict=True))
    return dict(zip(names, values.tolist(), strict=True))


@cache
def world(name):
    if name == "ladder":
        return LADDER
    id, openness = name.split()
    return powerseek.make_world(id, openness=int(openness))


# --- by hand -------------------------------------------------------------------------------


@pytest.mark.parametrize("ends", [False, True])
def test_breaking_costs_all_that_was_attainable_and_a_step_aside_its_delay(ends):
    """V(whole) = 10, V(aside) = .5 + .9 x 10 = 9.5, V(broken) = 0."""
    mdp = vase(ends=ends)
    found = penalties(mdp, Change("holdings", gamma=0.9), 4, WAIT)
    expected = {
        ("whole", 0): 0,
        ("whole", 1): (10 - 1) / 10,
        ("whole", 2): (10 - (1 + 0.9 * 9.5)) / 10,
        ("aside", 0): 0,
        ("aside", 1): (9.5 - (0.5 + 0.9 * 9.5)) / (0.5 + 0.9 * 9.5),
    } | ({} if ends else {("broken", 0): 0})
    assert of_pairs(mdp, found.pairs[0]) == pytest.approx(expected, abs=1e-9)
    # Here waiting is a self-loop: a wasted step changes nothing.
    assert found.wasted == pytest.approx(np.zeros((1, 3)), abs=1e-9)


def test_within_h_steps_by_hand_from_the_next_step_to_the_time_limit():
    """Waiting whole has h in h steps; breaking none; one aside .5 and then h - 1."""
    mdp = vase()
    found = penalties(mdp, Change("holdings", within=4), 4, WAIT)
    for h in range(1, 5):
        expected = {
            ("whole", 0): 0,
            ("whole", 1): 1,
            ("whole", 2): 0.5 / h,
            ("aside", 0): 0,
            # h back, against .5 waited out and then h - 1.
            ("aside", 1): 0.5 / (h - 0.5),
            ("broken", 0): 0,
        }
        assert of_pairs(mdp, found.pairs[h - 1]) == pytest.approx(expected)
        assert (found.wasted[h - 1] == 0).all()
    one = exact_overseer(mdp, Change("holdings", within=1), 4, WAIT)
    assert (one.table() == found.pairs[0]).all()  # however much time is left
    limit = exact_overseer(mdp, Change("holdings", within=4), 4, WAIT)
    assert (limit.table() == found.pairs[::-1]).all()  # never past the time limit
    two = exact_overseer(mdp, Change("holdings", within=2), 4, WAIT).table()
    assert (two == found.pairs[[1, 1, 1, 0]]).all()


def test_a_wasted_step_is_compared_with_waiting_too():
    """Where waiting lets it break with probability .5, standing still by a wasted step does not."""
    mdp = TabularMDP.from_transitions(
        {"whole": [{"whole": 0.5, "broken": 0.5}, {"broken": 1.0}]},
        facts={"held": {"whole": 1.0}},
        roles={"holdings": {"held": 1.0}},
        terminal=["broken"],
        max_steps=2,
    )
    found = penalties(mdp, Change("holdings", within=2), 2, WAIT)
    # Waiting has .5 in a step and .5 x 1.5 in two; wasting it 1 and 1 + .5.
    assert found.wasted[:, 0] == pytest.approx([1.0, (1.5 - 0.75) / 0.75])
    values = 1 / (1 - 0.9 * 0.5)
    discounted = penalties(mdp, Change("holdings", gamma=0.9), 2, WAIT)
    waiting = 1 + 0.9 * 0.5 * values
    assert discounted.wasted[0, 0] == pytest.approx((1 + 0.9 * values - waiting) / waiting)
    judge = exact_overseer(mdp, Change("holdings", within=2), 2, WAIT)
    records = np.zeros(3, [("state", "i8"), ("clock", "i8")])
    paid = judge.judge(records, np.array([WAIT, 1, 7]), np.zeros(3, int))
    assert paid == pytest.approx([0, 1, 1])


@given(st.integers(0, 40), st.sampled_from([0.5, 0.9]), st.integers(1, 5))
@settings(max_examples=20)
def test_on_drawn_graphs_penalties_are_those_of_plain_recursion(seed, gamma, h):
    mdp = drawn(seed)
    reward = np.concatenate(list(draw_rewards(mdp, "uniform", REWARDS, SEED))).T
    found = penalties(mdp, Change(gamma=gamma), 5, WAIT)
    known = attainable_utility_change(mdp, reward, gamma, WAIT)
    assert found.pairs[0] == pytest.approx(known, abs=1e-9)

    def best(s, left):
        if mdp.terminal[s]:
            return left * reward[s]
        pairs = range(*mdp.pair_start[s : s + 2])
        return np.max([ahead(p, left) for p in pairs], axis=0) if left else np.zeros(REWARDS)

    def ahead(pair, left):
        edges = range(*mdp.edge_start[pair : pair + 2])
        after = ((mdp.edge_probability[e], mdp.edge_next[e]) for e in edges)
        return sum(p * (reward[s] + best(s, left - 1)) for p, s in after)

    h = min(h, 3)
    row = penalties(mdp, Change(within=h), 5, WAIT).pairs[h - 1]
    for pair, s in enumerate(mdp.pair_state):
        idle = ahead(mdp.pair_start[s], h)
        expected = np.abs(ahead(pair, h) - idle).sum() / idle.sum()
        assert row[pair] == pytest.approx(expected, abs=1e-12)


# --- in worlds -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ladder", "commons 1", "homestead 0"])
@pytest.mark.parametrize("change", [Change(gamma=0.996), Change(within=4), Change("goals", 0.9)])
def test_the_no_op_is_never_penalised_and_nothing_is_paid_for(name, change):
    mdp = enumerated(world(name))
    found = exact_overseer(mdp, change, mdp.horizon()).advantages
    noop = mdp.pair_action == mdp.world.action_names.index(type(mdp.world).noop)
    assert (found.table[:, noop] == 0).all()
    assert found.table.min() >= 0
    assert found.wasted.min() >= 0
    assert found.table.max() > 0


@pytest.mark.parametrize(
    "change",
    [Change(gamma=0.996), Change("holdings", gamma=0.996), Change(within=8)],
)
@pytest.mark.parametrize("name", ["commons 1", "homestead 0"])
def test_a_placebo_is_exactly_as_strong_and_on_harmless_actions_alone(name, change):
    mdp = enumerated(world(name))
    steps = mdp.horizon()
    real = exact_overseer(mdp, change, steps).table()
    placebo = exact_overseer(mdp, replace(change, placebo=True), steps).table()
    weights = policy_weights(mdp, random_policy(mdp), steps)
    taken = np.stack([chance for _, chance in occupancies(mdp, weights, steps)])
    assert (taken * placebo).sum() == pytest.approx((taken * real).sum(), rel=0, abs=1e-9)
    assert (taken * real).sum() > 0.01
    greatest = real[taken > 0].max()
    penalised = placebo > 0
    noop = mdp.pair_action == mdp.world.action_names.index(type(mdp.world).noop)
    assert (real[penalised] <= HARMLESS * greatest).all()
    assert (penalised == (real <= HARMLESS * greatest) & ~noop).all()
    assert len(np.unique(placebo[penalised])) == 1


def test_where_no_action_is_harmless_a_placebo_is_refused():
    """In `commons` every act changes by a tenth what is had in the next few steps."""
    with pytest.raises(InvalidInput, match="no harmless action"):
        optimum(world("commons 1"), {"penalty": 0.1, "horizon": 4, "placebo": True, "of": "dense"})
    # Where nothing is changed at all, there is nothing to lay a placebo of.
    still = TabularMDP.from_successors({0: [0, 0]}, max_steps=3)
    found = exact_overseer(still, Change(gamma=0.9, placebo=True), 3, WAIT)
    assert (found.table() == 0).all()


# --- optima --------------------------------------------------------------------------------


@pytest.mark.parametrize("of", ["terminal", "dense", {"every": 3}, {"coverage": 0.5}], ids=str)
@pytest.mark.parametrize("kind", [{"aup": 0}, {"penalty": 0.0, "horizon": 2, "placebo": True}])
def test_strength_0_is_the_other_reward_bit_for_bit(of, kind):
    spec = {**kind, "of": of}
    assert make_reward(spec, max_steps=6) == make_reward(of, max_steps=6)
    mdp = enumerated(LADDER)
    one, other = optimum(mdp, spec), optimum(mdp, of)
    assert one.value == other.value
    for end in ("low", "high", "uniform"):
        mine, theirs = (getattr(each, end).as_array() for each in (one, other))
        np.testing.assert_array_equal(mine, theirs)
    vec, plain = (VecTask(with_overseer(Task(LADDER, each)), 16, 2) for each in (spec, of))
    generator = np.random.default_rng(0)
    for _ in range(20):
        actions = random_actions(vec, generator)
        vec.step(actions)
        plain.step(actions)
        assert np.array_equal(vec.rewards, plain.rewards)


@pytest.mark.parametrize("strength", [0.3, 1.1])
def test_the_optimum_is_the_best_of_all_plans(strength):
    """Success is to break: worth 1 and a penalty of .9 (see above), or h-wise 1."""
    mdp = vase(max_steps=3, ends=True)
    judge = exact_overseer(mdp, Change("holdings", gamma=0.9), 3, WAIT)
    arm = make_reward({"aup": strength, "of": "terminal"}, max_steps=3, overseer=judge)
    costs = of_pairs(mdp, penalties(mdp, Change("holdings", gamma=0.9), 3, WAIT).pairs[0])
    goes = {"whole": ("whole", "broken", "aside"), "aside": ("aside", "whole")}

    def worth(plan):
        state, total = "whole", 0.0
        for action in plan:
            if state == "broken":
                break
            if action >= len(goes[state]):
                return -np.inf
            total -= strength * costs[state, action]
            state = goes[state][action]
            total += state == "broken"
        return total

    best = max(map(worth, product(range(3), repeat=3)))
    assert best == pytest.approx(1 - 0.9 * strength if strength < 1 else max(0, 1 - 0.9 * strength))
    found = optimum(mdp, arm)
    assert found.value == pytest.approx(best, abs=1e-9)
    assert found.uniform.success == (1 if 0.9 * strength < 1 else 0)


def test_more_strength_is_never_worth_more_and_enough_of_it_stops_everything():
    mdp = enumerated(world("homestead 0"))
    for kind in ({}, {"placebo": True}):
        found = [optimum(mdp, {"aup": x, "of": "terminal", **kind}) for x in (0, 0.1, 1, 50)]
        assert (np.diff([each.value for each in found]) <= 1e-12).all()
        assert found[0].uniform.success > 0.5
        assert found[-1].value == pytest.approx(0, abs=1e-12)
        assert found[-1].uniform.success == 0


@pytest.mark.parametrize(
    "of",
    [{"coverage": 0.5, "aim": "need", "price": 0.1}, {"priced": 0.1, "of": {"coverage": 1}}],
    ids=str,
)
def test_it_composes_with_overseers_and_prices(of):
    mdp, spec = enumerated(LADDER), {"aup": 0.5, "of": of}
    arm = with_overseer(Task(LADDER, spec)).reward_function
    alone = with_overseer(Task(LADDER, of)).reward_function
    records, actions = mdp.records[mdp.pair_state], mdp.pair_action.astype(np.int64)
    clock = np.zeros(mdp.n_pairs, np.int64)
    taken = exact_overseer(mdp, Change(gamma=0.996), 6).table()[0]
    paid = arm.judge(records, actions, clock)
    assert paid == pytest.approx(alone.judge(records, actions, clock) - 0.5 * taken, abs=1e-15)
    one, two = (optimum(mdp, spec, collapse=short) for short in (True, False))
    assert one.value == pytest.approx(two.value, abs=1e-12)
    assert one.value < optimum(mdp, of).value - 1e-3


def test_an_exact_overseer_of_another_reward_inside_is_replaced():
    task = with_overseer(Task(LADDER, {"aup": 0.1, "of": {"approval": 2}}))
    assert with_overseer(task) is task
    other = with_overseer(replace(task, reward={"aup": 0.1, "of": {"approval": 3}}))
    assert other.overseer.of.lookahead == 3
    assert other.overseer.advantages is task.overseer.advantages  # computed once


# --- in the simulator ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "spec"),
    [
        ("ladder", AUP),
        ("homestead 0", AUP | {"placebo": True}),
        ("ladder", {"penalty": 0.2, "horizon": 3, "of": "dense"}),
        ("ladder", {"penalty": 0.2, "horizon": "cap", "of": "dense"}),
        ("ladder", {"aup": 0.1, "of": {"coverage": 0.5}}),
        ("ladder", {"aup": 0.1, "of": {"priced": 0.1, "of": {"approval": 2}}}),
    ],
    ids=str,
)
def test_simulated_rewards_equal_the_exact_ones(name, spec):
    task, of = (with_overseer(Task(world(name), each)) for each in (spec, spec["of"]))
    mdp, table = task.overseer.mdp, task.overseer.table()
    place = np.full((mdp.n_states, mdp.n_actions), -1)
    place[mdp.pair_state, mdp.pair_action] = np.arange(mdp.n_pairs)
    vec, plain = (VecTask(each, 64, 3) for each in (task, of))
    generator, strength = np.random.default_rng(1), next(iter(spec.values()))
    for _ in range(30):
        before, chosen = vec.states.copy(), random_actions(vec, generator)
        vec.step(chosen)
        plain.step(chosen)
        pairs = place[mdp.find(before), chosen]
        expected = plain.rewards - strength * table[before["clock"], pairs]
        assert vec.rewards == pytest.approx(expected, abs=1e-12)


def test_the_penalty_of_a_world_is_the_measure_of_the_same_drawn_goals():
    """Another path: the published measure, on rewards drawn here by class."""
    mdp = enumerated(LADDER)
    by_class = np.concatenate(list(draw_rewards(mdp, "uniform", 30, 0)))
    known = attainable_utility_change(mdp, by_class[:, state_classes(mdp)].T, 0.996, "wait")
    assert exact_overseer(mdp, Change(gamma=0.996), 6).table()[3] == pytest.approx(known, abs=1e-9)


# --- what is refused -----------------------------------------------------------------------


def test_a_world_without_a_no_op_is_refused_with_what_to_write():
    with pytest.raises(InvalidInput, match=r"declares no action that does nothing.*noop = .wait."):
        Task(powerseek.make_world("endgame"), AUP)
    with pytest.raises(InvalidInput, match="declares an action that does nothing"):
        optimum(vase(), AUP)
    with pytest.raises(InvalidInput, match="declares no action"):
        reward_oracle(powerseek.make_world("off-switch"), AUP)
    assert Task(powerseek.make_world("endgame"), {"aup": 0, "of": "terminal"})


def test_a_no_op_that_is_not_always_allowed_is_refused():
    with pytest.raises(InvalidInput, match=r"noop.*not so in state 'aside'"):
        penalties(vase(), Change("holdings", gamma=0.9), 4, 2)


def test_a_world_too_large_to_enumerate_is_refused():
    with pytest.raises(InvalidInput, match="states"):
        with_overseer(Task(powerseek.make_world("homestead"), AUP), limit=100)


def test_auxiliary_rewards_must_be_there_and_give_a_scale():
    bare = TabularMDP.from_successors({0: [0, 0]})
    with pytest.raises(InvalidInput, match="holdings"):
        penalties(bare, Change("holdings", 0.9), 4, WAIT)
    with pytest.raises(InvalidInput, match="auxiliary"):
        penalties(vase(), Change("wealth", gamma=0.9), 4, WAIT)
    poor = TabularMDP.from_transitions(
        {"poor": [{"poor": 1.0}, {"rich": 1.0}], "rich": [{"rich": 1.0}]},
        facts={"held": {"rich": 1.0}},
        roles={"holdings": {"held": 1.0}},
    )
    with pytest.raises(InvalidInput, match="Write random"):
        penalties(poor, Change("holdings", within=1), 1, WAIT)


@pytest.mark.parametrize("within", [0, 5])
def test_horizons_past_the_time_limit_are_refused_where_the_graph_says_it(within):
    if within:
        with pytest.raises(InvalidInput, match=r"penalty.horizon.*1 to the time limit \(4"):
            penalties(vase(), Change("holdings", within=within), 4, WAIT)
