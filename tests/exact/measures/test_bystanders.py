"""What an agent leaves to a bystander: closed forms, brute force and laws."""

from functools import cache

import numpy as np
import plain_commons as plain
import pytest
from graphs import by_linear_programme, drawn
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import Ladder, Well

import powerseek
from powerseek.errors import InvalidInput
from powerseek.exact import (
    TabularMDP,
    enumerate_world,
    enumerated,
    evaluate,
    least_loss,
    minimal_need_policy,
    optimum,
    random_policy,
    scripted_policy,
    utility_changes,
)
from powerseek.exact.measures.bystanders import disempowerment, fix_agent
from powerseek.exact.measures.goals import draw_rewards
from powerseek.exact.measures.power import power

NOOP, LOCK = 0, 1


def door(k):
    """A bystander may walk to one of k + 1 places; a lock leaves the last one alone.

    Joint action: agent action * (k + 1) + bystander action.
    """
    places = [f"t{i}" for i in range(k + 1)]
    moves = {"room": [*places, *[places[-1]] * (k + 1)]}
    moves |= {place: [place] * 2 * (k + 1) for place in places}
    actors = np.array([(agent, b) for agent in (NOOP, LOCK) for b in range(k + 1)])
    return TabularMDP.from_successors(moves), actors


def joint(seed, agent=2, bystander=3, states=4):
    """A random joint MDP in which all actions are legal everywhere, with flows."""
    rng = np.random.default_rng(seed)
    actors = np.array([(a, b) for b in range(bystander) for a in range(agent)])
    rows = {
        s: [dict(enumerate(rng.dirichlet(np.ones(states)).tolist())) for _ in actors]
        for s in range(states)
    }
    flows = {"grain": {(s, i): float(rng.integers(3)) for s in rows for i in range(len(actors))}}
    policy = rng.dirichlet(np.ones(agent), states)
    return TabularMDP.from_transitions(rows, flows=flows, max_steps=3), actors, policy


def table(mdp):
    """[S, A, S] transition probabilities."""
    out = np.zeros((mdp.n_states, mdp.n_actions, mdp.n_states))
    for pair in range(mdp.n_pairs):
        for edge in range(mdp.edge_start[pair], mdp.edge_start[pair + 1]):
            at = mdp.pair_state[pair], mdp.pair_action[pair], mdp.edge_next[edge]
            out[at] += mdp.edge_probability[edge]
    return out


@pytest.mark.parametrize("gamma", [0.1, 0.5, 0.99])
@pytest.mark.parametrize("k", [1, 3])
def test_a_locked_door_leaves_one_place_of_many(k, gamma):
    mdp, actors = door(k)
    found = disempowerment(mdp, actors, LOCK, NOOP, gamma, samples=400, seed=3)
    loss = 1 / 2 - (k + 1) / (k + 2)
    assert abs(found.of("room") - loss) <= 4 * found.standard_error[0]
    drawn_rewards = np.concatenate(list(draw_rewards(mdp, "uniform", 400, 3)))
    change = drawn_rewards[:, k + 1] - drawn_rewards[:, 1:].max(axis=1)
    assert found.of("room") == pytest.approx(change.mean(), abs=1e-9)
    paired = change.std(ddof=1) / np.sqrt(400)
    assert found.standard_error[0] == pytest.approx(paired, abs=1e-9)
    # Once somewhere, nothing changes.
    assert (found.values[1:] == 0).all()
    assert found.error < 1e-9
    # Sure steps stay sure, for the solver that is exact on them.
    assert found.agent.n_edges == found.agent.n_pairs
    # The two POWERs are there to look at, over the same reward functions.
    locked, free = (power(each, gamma, 400, 3) for each in (found.agent, found.noop))
    assert found.values == pytest.approx(locked.values - free.values, abs=1e-9)
    apart = np.hypot(locked.standard_error[0], free.standard_error[0])
    assert found.standard_error[0] < apart


@pytest.mark.slow
def test_a_locked_door_to_three_digits():
    mdp, actors = door(3)
    found = disempowerment(mdp, actors, LOCK, NOOP, 0.9, samples=100_000)
    assert found.standard_error[0] < 1e-3
    assert abs(found.of("room") - (1 / 2 - 4 / 5)) <= 4 * found.standard_error[0]


@pytest.mark.parametrize("chance", [0.0, 0.25, 0.7, 1.0])
def test_a_lock_now_and_then_is_the_mixture(chance):
    # One choice, known before the lock is: max over places of a mixture of outcomes.
    k, gamma = 3, 0.8
    mdp, actors = door(k)
    policy = np.tile([1 - chance, chance], (mdp.n_states, 1))
    found = disempowerment(mdp, actors, policy, NOOP, gamma, samples=200, seed=1)
    change = []
    for reward in np.concatenate(list(draw_rewards(mdp, "uniform", 200, 1))):
        place = reward[1:]
        mixed = (1 - chance) * place + chance * place[-1]
        change.append(mixed.max() - place.max())
    assert found.of("room") == pytest.approx(np.mean(change), abs=1e-8)
    certain = disempowerment(mdp, actors, LOCK, NOOP, gamma, samples=200, seed=1)
    # The best place stays the best, so the loss is linear in the chance of a lock.
    assert found.of("room") == pytest.approx(chance * certain.of("room"), abs=1e-8)


def test_an_agent_that_changes_nothing_takes_nothing_at_all():
    alone = drawn(3)
    # The agent has three actions, none of which does anything.
    rows, actors = {}, [(a, b) for a in range(3) for b in range(3)]
    probabilities = table(alone)
    for s in range(alone.n_states):
        if not alone.terminal[s]:
            own = [row for row in probabilities[s] if row.any()]
            # All states need the same actions: the last one stands in for those missing.
            own += [own[-1]] * (3 - len(own))
            rows[s] = [{n: float(p) for n, p in enumerate(own[b]) if p > 0} for _, b in actors]
    over = np.flatnonzero(alone.terminal).tolist()
    mdp = TabularMDP.from_transitions(rows, terminal=over)
    policy = np.random.default_rng(0).dirichlet(np.ones(3), mdp.n_states).round(2)
    policy[:, 0] = 1 - policy[:, 1] - policy[:, 2]
    for agent in (2, np.eye(3)[[1] * mdp.n_states]):
        found = disempowerment(mdp, np.array(actors), agent, 0, 0.9, samples=50)
        assert (found.values == 0).all()
        assert (found.standard_error == 0).all()
    mixed = disempowerment(mdp, np.array(actors), policy, 0, 0.9, samples=50)
    assert abs(mixed.values).max() <= mixed.error
    # In a deterministic graph averaging leaves no trace either.
    still = TabularMDP.from_successors({0: [0, 1, 0, 1], 1: [1, 0, 1, 0]})
    pairs = np.array([(0, 0), (0, 1), (1, 0), (1, 1)])
    half = np.full((2, 2), 0.5)
    assert (disempowerment(still, pairs, half, 0, 0.9, samples=50).values == 0).all()


@pytest.mark.parametrize("seed", range(3))
def test_transitions_and_flows_are_averaged_over_the_agent(seed):
    mdp, actors, policy = joint(seed)
    found = fix_agent(mdp, actors, policy)
    whole, flows = table(mdp), mdp.flow("resource").reshape(mdp.n_states, -1)
    expected, expected_flow = np.zeros((4, 3, 4)), np.zeros((4, 3))
    for i, (a, b) in enumerate(actors):
        expected[:, b] += policy[:, [a]] * whole[:, i]
        expected_flow[:, b] += policy[:, a] * flows[:, i]
    assert found.n_actions == 3
    assert table(found) == pytest.approx(expected)
    assert found.flow("resource").reshape(4, 3) == pytest.approx(expected_flow)
    # Flows of edges and of pairs tell the same.
    of_edges = found.edge_probability[:, None] * found.flow_table[found.edge_flow]
    assert np.add.reduceat(of_edges, found.edge_start[:-1]) == pytest.approx(found.pair_flows)
    assert found.labels == mdp.labels
    assert found.max_steps == mdp.max_steps


@pytest.mark.parametrize("gamma", [0.5, 0.9])
@pytest.mark.parametrize("seed", range(3))
def test_a_random_agent_against_brute_force(seed, gamma):
    mdp, actors, policy = joint(seed)
    found = disempowerment(mdp, actors, policy, 1, gamma, samples=40, seed=seed)
    whole, change = table(mdp), []
    for reward in np.concatenate(list(draw_rewards(mdp, "uniform", 40, seed))):
        attained = []
        for agent in (policy, np.tile([0.0, 1.0], (4, 1))):
            step = np.zeros((4, 3, 4))
            for i, (a, b) in enumerate(actors):
                step[:, b] += agent[:, [a]] * whole[:, i]
            values = reward / (1 - gamma)
            for _ in range(int(40 / (1 - gamma))):
                values = reward + gamma * (step @ values).max(axis=1)
            attained.append((1 - gamma) / gamma * (values - reward))
        change.append(attained[0] - attained[1])
    assert found.values == pytest.approx(np.mean(change, axis=0), abs=1e-8)
    paired = np.std(change, axis=0, ddof=1) / np.sqrt(40)
    assert found.standard_error == pytest.approx(paired, abs=1e-8)


@given(st.integers(0, 2**32 - 1), st.floats(0.05, 0.95))
@settings(max_examples=15)
def test_swapping_policy_and_noop_turns_the_sign(seed, gamma):
    mdp, actors, policy = joint(seed)
    one = disempowerment(mdp, actors, policy, 0, gamma, samples=8)
    other = disempowerment(mdp, actors, lambda m: fixed(m, 2), policy, gamma, samples=8)
    assert one.values == pytest.approx(-other.values, abs=1e-9)
    assert one.standard_error == pytest.approx(other.standard_error, abs=1e-9)
    assert (abs(one.values) <= 1).all()
    same = disempowerment(mdp, actors, policy, policy, gamma, samples=8)
    assert (same.values == 0).all()


def fixed(mdp, width):
    """The agent's action 0 as probabilities, made from the joint MDP."""
    return np.eye(width)[np.zeros(mdp.n_states, int)]


def _edges(mdp):
    pair = np.repeat(np.arange(mdp.n_pairs), np.diff(mdp.edge_start))
    flows = mdp.flow_table[mdp.edge_flow].tolist()
    each = zip(pair, mdp.edge_next, mdp.edge_probability, flows, strict=True)
    return sorted((int(p), int(n), round(float(q), 12), *f) for p, n, q, f in each)


def test_states_that_are_over_and_worlds_keep_what_they_are():
    world = Ladder(hazard=0.1)
    mdp = enumerated(world)
    # climb, take, wait: the agent holds the ladder or lets go; the bystander takes or not.
    actors = np.array([(0, 0), (0, 1), (1, 0)])
    climbs = fix_agent(mdp, np.array([(0, 0), (0, 1), (0, 2)]), 0)
    assert table(climbs) == pytest.approx(table(mdp))
    assert np.array_equal(climbs.pair_flows, mdp.pair_flows)
    assert _edges(climbs) == _edges(mdp)
    assert climbs.world == world
    with pytest.raises(InvalidInput, match="not legal"):
        fix_agent(mdp, actors, 1)
    ends = TabularMDP.from_transitions(
        {"s": [{"t": 1.0}, {"end": 1.0}], "t": [{"end": 1.0}, {"end": 1.0}]}, terminal=["end"]
    )
    policy = np.array([[0.5, 0.5], [1, 0], [np.nan, np.nan]])
    met = fix_agent(ends, np.array([(0, 0), (1, 0)]), policy)
    assert met.terminal.tolist() == [False, False, True]
    assert np.diff(met.pair_start).tolist() == [1, 1, 0]
    assert table(met)[0, 0].tolist() == [0, 0.5, 0.5]


def test_one_sample_has_no_standard_error():
    mdp, actors = door(1)
    found = disempowerment(mdp, actors, LOCK, NOOP, 0.9, samples=1)
    assert np.isnan(found.standard_error).all()


def test_the_worlds_own_goals_need_no_draws():
    mdp = enumerated(Ladder(hazard=0.1))
    actors = np.array([(0, 0), (0, 1), (0, 2)])
    found = disempowerment(mdp, actors, 0, 0, 0.9, rewards="goals")
    assert (found.values == 0).all()
    assert (found.standard_error == 0).all()


def _partly_legal():
    # In "b" the bystander may go on only if the agent waits.
    moves = {"a": ["a", "b", "a", "b"], "b": ["a", "b", "a"]}
    return TabularMDP.from_successors(moves), np.array([(0, 0), (0, 1), (1, 0), (1, 1)])


def test_an_action_that_is_legal_only_together_is_named():
    mdp, actors = _partly_legal()
    with pytest.raises(InvalidInput, match=r"state 'b'.*action 1 of the bystander"):
        fix_agent(mdp, actors, 1)
    with pytest.raises(InvalidInput, match=r"probability 0\.5"):
        fix_agent(mdp, actors, np.full((2, 2), 0.5))
    waits_there = fix_agent(mdp, actors, np.array([[0.0, 1.0], [1.0, 0.0]]))
    assert np.diff(waits_there.pair_start).tolist() == [2, 2]


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda m, a: fix_agent(m, a[:2], 0), "actors"),
        (lambda m, a: fix_agent(m, a * 1.0, 0), "actors"),
        (lambda m, a: fix_agent(m, a - 1, 0), "actors"),
        (lambda m, a: fix_agent(m, a * [1, 0], 0), "once"),
        (lambda m, a: fix_agent(m, a, 2), "policy"),
        (lambda m, a: fix_agent(m, a, -1), "policy"),
        (lambda m, a: fix_agent(m, a, np.ones((3, 3))), "policy"),
        (lambda m, a: fix_agent(m, a, np.ones((3, 2))), "policy in state 'room'"),
        (lambda m, a: fix_agent(m, a, np.full((3, 2), np.nan)), "policy in state 'room'"),
        (lambda m, a: fix_agent(m, a, np.tile([2.0, -1.0], (3, 1))), "policy in state 'room'"),
        (lambda m, a: disempowerment(m, a, 1, 0, 1.0), "gamma"),
        (lambda m, a: disempowerment(m, a, 1, 0, 0.9, samples=0), "samples"),
        (lambda m, a: disempowerment(m, a, 1, 0, 0.9, rewards="goals"), "rewards"),
        (lambda m, a: disempowerment(m, a, 1, 0, 0.9, tolerance=0), "tolerance"),
        (lambda m, a: disempowerment(m, a, 1, 0, 0.9, samples=4).of("zz"), "zz"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(call, word):
    with pytest.raises(InvalidInput, match=word):
        call(*door(1))


TINY = {
    "openness": 2,
    "quota": 1,
    "room": 2,
    "capacity": 2,
    "max_steps": 4,
    **{"soil": 0.5, "poor_soil": 0.3, "growth": 0.5, "rot": 0.2, "market": 0.5},
}


def world(**params):
    return powerseek.make_world("commons", **params)


def best_chance(p, who):
    """U(day, n) of one neighbour while the agent does nothing, by recursion."""
    alone = p._replace(agent="idle")

    @cache
    def chance(day, left):
        if who in day.sold:
            return 1.0
        if left == 0:
            return 0.0
        return max(
            ahead(plain.step(alone, day, plain.with_scripts(alone, day, who, a)), left)
            for a in plain.choices(alone, day, who)
        )

    def ahead(days, left):
        return sum(share * chance(day, left - 1) for day, share in days.items())

    return chance, ahead


def total_change(p, act):
    """Expected sum of changes over an episode of an agent's rule, by recursion."""
    others = [best_chance(p, who) for who in range(1, p.neighbours + 1)]

    @cache
    def summed(day, left):
        if 0 in day.sold or left == 0:
            return 0.0
        moved = plain.step(p, day, plain.with_scripts(p, day, 0, act(p, day, 0)))
        still = plain.step(p, day, plain.with_scripts(p, day, 0, plain.WAIT))
        change = sum(ahead(moved, left) - ahead(still, left) for _, ahead in others) / len(others)
        return change + sum(share * summed(d, left - 1) for d, share in moved.items())

    return summed(plain.first_day(p), p.max_steps)


@pytest.mark.parametrize("neighbours", [1, 2])
@pytest.mark.parametrize("openness", [1, 2])
def test_brute_force_says_the_same(openness, neighbours):
    there = world(**{**TINY, "openness": openness, "neighbours": neighbours})
    found, p = utility_changes(there), there.params
    start = plain.first_day(p)
    for who in range(1, neighbours + 1):
        chance = best_chance(p, who)[0](start, p.max_steps)
        assert found.attainable[who - 1] == pytest.approx(chance, abs=1e-12)
    for name in ("minimalist", "hoarder"):
        expected = total_change(p, getattr(plain, name))
        assert found.total(scripted_policy(found.mdp, name)) == pytest.approx(expected, abs=1e-12)
    assert expected < -0.05


@pytest.mark.parametrize("openness", [1, 2])
def test_attainable_is_the_neighbour_s_own_optimum(openness):
    there = world(openness=openness)
    for who, attained in enumerate(utility_changes(there).attainable, start=1):
        alone = there.replace(actor=who, agent="idle")
        best = optimum(enumerate_world(alone), "terminal").uniform.success
        assert attained == pytest.approx(best, abs=1e-9)


def test_where_scripts_are_perfect_the_sum_is_what_is_left_less_what_there_was():
    # No plots and a market that is always open: taking and delivering is all one can do.
    sure = {"quota": 1, "room": 1, "poor_soil": 0.0, "rot": 0.0, "market": 1.0, "soil": 0.5}
    for neighbours in (1, 2):
        there = world(openness=1, neighbours=neighbours, capacity=2, growth=0.7, **sure)
        for agent in ("minimalist", "hoarder"):
            found = utility_changes(there)
            p = there.params
            left = expected_left(p, getattr(plain, agent))
            before = found.attainable.mean()
            total = found.total(scripted_policy(found.mdp, agent))
            assert total == pytest.approx(left - before, abs=1e-9)


def expected_left(p, act):
    """Mean of what neighbours can still attain where the agent's episode ends, by recursion."""
    others = [best_chance(p, who)[0] for who in range(1, p.neighbours + 1)]

    @cache
    def kept(day, left):
        if 0 in day.sold or left == 0:
            return sum(chance(day, left) for chance in others) / len(others)
        days = plain.step(p, day, plain.with_scripts(p, day, 0, act(p, day, 0)))
        return sum(share * kept(d, left - 1) for d, share in days.items())

    return kept(plain.first_day(p), p.max_steps)


@given(
    openness=st.integers(0, 2),
    neighbours=st.integers(1, 2),
    soil=st.floats(0, 1),
    growth=st.floats(0, 1),
    steps=st.integers(1, 6),
)
@settings(max_examples=12)
def test_one_s_own_plot_is_nobody_s_loss(openness, neighbours, soil, growth, steps):
    small = {**TINY, "neighbours": neighbours, "soil": soil, "growth": growth, "max_steps": steps}
    found = utility_changes(world(**{**small, "openness": openness}))
    assert found.changes.shape == (steps, found.mdp.n_pairs)
    assert np.abs(found.changes).max() <= 1 + 1e-12
    own = np.isin(found.mdp.pair_action, (plain.WAIT, plain.PLOT, plain.DELIVER))
    assert np.abs(found.changes[:, own]).max() < 1e-12
    waits = found.mdp.pair_action == plain.WAIT
    assert (found.changes[:, waits] == 0).all()
    assert found.total(minimal_need_policy(found.mdp)) >= -1 - 1e-12


@pytest.mark.parametrize("openness", [1, 2])
def test_least_losses_are_those_of_a_linear_programme(openness):
    there = world(**{**TINY, "openness": openness})
    found, frontier = utility_changes(there), least_loss(there)
    for sigma in (0.0, 0.3, 0.6, 0.9, 1.0):
        success = sigma * frontier.max_success
        wanted = by_linear_programme(found.mdp, success, costs=found.losses)
        low, high = frontier.at(success)
        assert low - 1e-7 <= wanted <= high + 1e-7
    assert frontier.at(frontier.max_success)[1] > 0.01


@pytest.mark.parametrize("openness", [0, 1, 2])
def test_no_policy_costs_less_than_the_least_at_its_success(openness):
    there = world(openness=openness)
    found, frontier = utility_changes(there), least_loss(there)
    for name in ("minimalist", "hoarder"):
        policy = scripted_policy(found.mdp, name)
        success = evaluate(found.mdp, policy).success
        assert -found.total(policy) >= frontier.at(success)[0] - 1e-9
    # Doing nothing takes nothing, and at openness 0 nothing can be taken.
    assert frontier.at(0.0)[1] <= 1e-12
    assert frontier.extreme <= 1e-12
    end = frontier.at(frontier.max_success)[0]
    assert end == pytest.approx({0: 0.0, 1: 0.2388, 2: 0.7010}[openness], abs=1e-4)
    # All but the last per cents of success cost neighbours nothing.
    assert frontier.at(0.96)[1] < 1e-9


def test_records_are_looked_up_with_their_clock():
    there = world(**TINY)
    found = utility_changes(there)
    mdp = found.mdp
    alive = np.flatnonzero(~mdp.terminal)[:20]
    for left in (1, there.max_steps):
        for s in alive:
            pairs = slice(mdp.pair_start[s], mdp.pair_start[s + 1])
            actions = mdp.pair_action[pairs].astype(np.int64)
            records = np.repeat(mdp.records[s : s + 1], len(actions))
            records["clock"] = there.max_steps - left
            assert (found.of(records, actions) == found.changes[left - 1, pairs]).all()


def test_what_is_not_there_is_refused():
    found = utility_changes(world(**TINY))
    mdp = found.mdp
    first = mdp.records[:1].copy()
    late, unknown = first.copy(), first.copy()
    late["clock"], unknown["stock"] = 4, 99
    over = mdp.records[mdp.terminal][:1]
    for records, action in ((first, plain.DELIVER), (late, 0), (unknown, 0), (over, 0)):
        with pytest.raises(InvalidInput, match="not over"):
            found.of(records, np.array([action]))


@pytest.mark.parametrize(
    "there",
    [Ladder(), powerseek.make_world("homestead"), world(actor=1), world(actor=2, agent="hoarder")],
    ids=repr,
)
def test_where_nobody_else_can_act_there_are_no_stakes(there):
    assert there.bystanders() == []
    with pytest.raises(InvalidInput, match="actor"):
        utility_changes(there)


def test_bystanders_are_the_neighbours_beside_an_idle_agent():
    for neighbours in (1, 2):
        found = world(neighbours=neighbours, agent="hoarder").bystanders()
        assert [other.params.actor for other in found] == list(range(1, neighbours + 1))
        assert {other.params.agent for other in found} == {"idle"}


@pytest.mark.parametrize("refill", [0.0, 0.25, 1.0])
def test_the_last_unit_costs_a_bystander_the_chance_that_the_well_stays_dry(refill):
    """With n steps left Miles needs two after the next: (1 - refill)^(n - 2) is what he loses."""
    there = Well(refill=refill)
    found = utility_changes(there)
    full = found.mdp.records["water"] == 1
    untouched = full & (found.mdp.records["units"] == 0).all(1)
    start = np.flatnonzero(untouched & (found.mdp.records["gone"] == 0).all(1))
    pair = np.flatnonzero((found.mdp.pair_state == start[0]) & (found.mdp.pair_action == 1))
    dry = [0.0, 0.0] + [-((1 - refill) ** (n - 2)) for n in range(3, there.max_steps + 1)]
    assert len(start) == len(pair) == 1
    assert found.attainable.tolist() == [1.0]
    assert found.changes[:, pair[0]] == pytest.approx(dry, abs=1e-12)


def test_a_random_agent_costs_less_than_the_hoarder():
    found = utility_changes(world(openness=2))
    mdp = enumerated(world(openness=2))
    harm = {name: found.total(scripted_policy(mdp, name)) for name in ("minimalist", "hoarder")}
    assert harm["hoarder"] < found.total(random_policy(mdp)) - 0.1 < harm["minimalist"] - 0.1
