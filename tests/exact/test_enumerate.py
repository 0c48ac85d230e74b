"""Enumerated worlds against hand counts and the simulator."""

import numpy as np
import pytest
from worlds import Ladder

import powerseek
from powerseek.envs import VecWorld, World, describe, expand
from powerseek.errors import InvalidInput
from powerseek.exact import RecordIndex, enumerate_world, enumerated, injective

WORLDS = [w for w in powerseek.list_worlds() if w != "endgame"]


def _make(name):
    return Ladder(hazard=0.1) if name == "ladder" else powerseek.make_world(name)


def test_ladder_has_the_states_it_should():
    # 4 heights x 3 golds, on or off; nothing follows the top or being off.
    calm = enumerate_world(Ladder())
    assert calm.n_states == 4 * 3
    assert calm.terminal.sum() == 3
    assert calm.initial.sum() == pytest.approx(1)
    assert (calm.initial > 0).sum() == 2
    mdp = enumerate_world(Ladder(hazard=0.1))
    assert mdp.n_states == 2 * 4 * 3
    assert mdp.n_pairs == sum(3 if gold < 2 else 2 for gold in range(3)) * 3
    assert mdp.max_steps == 8


def test_expected_flows_and_edge_flows_are_those_of_the_rules():
    mdp = enumerate_world(Ladder())
    acquired = mdp.flow("resource")
    take = mdp.pair_action == 1
    # `take` gives kind 0 (1 unit) with chance 1/4 and kind 2 (2 units) with chance 3/4.
    assert acquired[take] == pytest.approx(1.75)
    assert not acquired[~take].any()
    edge_flows = mdp.flow_table[mdp.edge_flow] @ mdp.roles["resource"]
    weighted = np.add.reduceat(edge_flows * mdp.edge_probability, mdp.edge_start[:-1])
    assert weighted == pytest.approx(acquired)
    assert not mdp.state_facts[:, 4:6].any()


@pytest.mark.parametrize("name", ["ladder", *WORLDS])
def test_edges_are_the_expansion(name):
    world = _make(name)
    mdp = enumerated(world)
    index = RecordIndex(world)
    index.add(mdp.records)
    assert index.count == mdp.n_states
    assert np.add.reduceat(mdp.edge_probability, mdp.edge_start[:-1]) == pytest.approx(1)
    facts, masks, _ = describe(world, mdp.records)
    over = world.columns("over").start
    assert np.array_equal(mdp.terminal, facts[:, over] > 0)
    assert np.array_equal(np.diff(mdp.pair_start) == 0, mdp.terminal)
    assert np.array_equal(np.diff(mdp.pair_start)[~mdp.terminal], masks[~mdp.terminal].sum(axis=1))
    rng = np.random.default_rng(0)
    some = rng.choice(np.flatnonzero(~mdp.terminal), 20)
    for s in some:
        found = expand(world, mdp.records[s : s + 1])
        following = index.find(found.records)
        assert (following >= 0).all()
        for pair in range(mdp.pair_start[s], mdp.pair_start[s + 1]):
            edges = slice(mdp.edge_start[pair], mdp.edge_start[pair + 1])
            here = found.action == mdp.pair_action[pair]
            expected = np.bincount(following[here], found.probability[here], mdp.n_states)
            got = np.bincount(mdp.edge_next[edges], mdp.edge_probability[edges], mdp.n_states)
            assert got == pytest.approx(expected)


@pytest.mark.parametrize("name", ["ladder", *WORLDS])
def test_the_simulator_never_leaves_the_enumerated_states(name):
    world = _make(name)
    mdp = enumerated(world)
    index = RecordIndex(world)
    index.add(mdp.records)
    vec = VecWorld(world, 500, seed=0)
    rng = np.random.default_rng(0)
    for _ in range(2 * min(world.max_steps, 40)):
        assert (index.find(vec.states) >= 0).all()
        vec.step((vec.masks * rng.random(vec.masks.shape)).argmax(axis=1))


@pytest.mark.parametrize("name", WORLDS)
def test_agents_see_what_oracles_see(name):
    assert injective(enumerated(powerseek.make_world(name)))


def test_hidden_state_is_noticed():
    # Interrupted agents are over, so what tells them apart need not be seen; height must be.
    assert injective(enumerate_world(Ladder(hazard=0.1)))

    class Blind(Ladder):
        id = "test.blind"

        @staticmethod
        def observe(p, s, out):
            out[0] = s.gold / 2.0

    assert not injective(enumerate_world(Blind()))


def test_too_many_states_say_how_many_and_what_to_do():
    with pytest.raises(InvalidInput, match="states and still growing") as caught:
        enumerate_world(powerseek.make_world("homestead"), limit=100)
    text = str(caught.value)
    assert "Raise limit (--limit on the command line) or shrink openness=1, quota=3" in text
    with pytest.raises(InvalidInput, match=r"shrink size=8$"):
        enumerate_world(powerseek.make_world("endgame", size=8, openness=0), limit=1000)
    with pytest.raises(InvalidInput, match="still growing") as caught:
        enumerate_world(powerseek.make_world("homestead", goal=1), limit=100)
    assert "goal" not in str(caught.value)
    assert "max_steps" not in str(caught.value)
    with pytest.raises(InvalidInput, match="limit"):
        enumerate_world(Ladder(), limit=0)


def test_a_world_without_rules_has_no_oracle():
    class Foreign(World):
        id = "test.foreign"
        Params = type(Ladder().params)

    with pytest.raises(InvalidInput, match="no oracle"):
        enumerate_world(Foreign())
