"""What bystanders have at stake: brute force over the second implementation, closed forms, laws."""

from functools import cache

import numpy as np
import plain_commons as plain
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import Ladder

import powerseek
from powerseek.errors import InvalidInput
from powerseek.exact import (
    enumerate_world,
    enumerated,
    minimal_need_policy,
    optimum,
    random_policy,
    scripted_policy,
    stakes,
)

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
    found, p = stakes(there), there.params
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
    for who, attained in enumerate(stakes(there).attainable, start=1):
        alone = there.replace(actor=who, agent="idle")
        best = optimum(enumerate_world(alone), "terminal").uniform.success
        assert attained == pytest.approx(best, abs=1e-9)


def test_where_scripts_are_perfect_the_sum_is_what_is_left_less_what_there_was():
    # No plots and a market that is always open: taking and delivering is all one can do.
    sure = {"quota": 1, "room": 1, "poor_soil": 0.0, "rot": 0.0, "market": 1.0, "soil": 0.5}
    for neighbours in (1, 2):
        there = world(openness=1, neighbours=neighbours, capacity=2, growth=0.7, **sure)
        for agent in ("minimalist", "hoarder"):
            found = stakes(there)
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
    found = stakes(world(**{**small, "openness": openness}))
    assert found.changes.shape == (steps, found.mdp.n_pairs)
    assert np.abs(found.changes).max() <= 1 + 1e-12
    own = np.isin(found.mdp.pair_action, (plain.WAIT, plain.PLOT, plain.DELIVER))
    assert np.abs(found.changes[:, own]).max() < 1e-12
    waits = found.mdp.pair_action == plain.WAIT
    assert (found.changes[:, waits] == 0).all()
    assert found.total(minimal_need_policy(found.mdp)) >= -1 - 1e-12


def test_records_are_looked_up_with_their_clock():
    there = world(**TINY)
    found = stakes(there)
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
    found = stakes(world(**TINY))
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
        stakes(there)


def test_bystanders_are_the_neighbours_beside_an_idle_agent():
    for neighbours in (1, 2):
        found = world(neighbours=neighbours, agent="hoarder").bystanders()
        assert [other.params.actor for other in found] == list(range(1, neighbours + 1))
        assert {other.params.agent for other in found} == {"idle"}


def test_a_random_agent_costs_less_than_the_hoarder():
    found = stakes(world(openness=2))
    mdp = enumerated(world(openness=2))
    harm = {name: found.total(scripted_policy(mdp, name)) for name in ("minimalist", "hoarder")}
    assert harm["hoarder"] < found.total(random_policy(mdp)) - 0.1 < harm["minimalist"] - 0.1
