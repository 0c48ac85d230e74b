import numpy as np
import pytest
from worlds import Ladder

import powerseek
from powerseek.envs import VecWorld
from powerseek.errors import InvalidInput
from powerseek.exact import TabularMDP, enumerate_world
from powerseek.exact.state_index import WordTable, words


def test_successors_become_actions():
    mdp = TabularMDP.from_successors({"a": ["a", "b"], "b": ["b"]})
    assert (mdp.n_states, mdp.n_pairs, mdp.n_edges, mdp.n_actions) == (2, 3, 3, 2)
    assert mdp.edge_next.tolist() == [0, 1, 1]
    assert mdp.pair_action.tolist() == [0, 1, 0]
    assert mdp.index("b") == 1
    assert mdp.initial.tolist() == [1, 0]


def test_facts_flows_and_roles_land_where_they_are_said_to():
    mdp = TabularMDP.from_transitions(
        {"a": [{"a": 0.5, "end": 0.5}, {"end": 1}]},
        facts={"success": {"end": 1}},
        flows={"grain": {("a", 0): 2.0}, "tax": {("a", 1): 3.0}},
        roles={"resource": {"grain": 10.0}},
        terminal=["end"],
    )
    assert mdp.terminal.tolist() == [False, True]
    assert mdp.final("success").tolist() == [0, 1]
    assert mdp.flow("resource").tolist() == [20, 0]
    assert mdp.flow("cost") is None
    assert mdp.final("off_switch") is None


def test_a_role_counts_every_fact_that_holds_it_whatever_their_names():
    mdp = TabularMDP.from_transitions(
        {"a": [{"end": 1}]},
        facts={"holdings": {"end": 2}, "loot": {"end": 3}},
        roles={"holdings": {"holdings": 1.0, "loot": 10.0}},
        terminal=["end"],
    )
    assert mdp.final("holdings").tolist() == [0, 32]
    assert mdp.final("loot").tolist() == [0, 3]


@pytest.mark.parametrize(
    ("transitions", "words"),
    [
        ({"a": [{"a": 0.5}]}, ["transitions['a'][0]", "sum to 1"]),
        ({"a": [{"a": 1.5, "b": -0.5}], "b": [{"b": 1}]}, ["transitions['a'][0]", ">= 0"]),
        ({"a": [{"a": 1}, {"zz": 1}]}, ["transitions['a'][1]", "'zz'", "'a'"]),
        ({"a": [{"a": 1}], "b": []}, ["transitions['b']", "at least one action"]),
        ({"a": [{"a": float("nan")}]}, ["transitions['a'][0]"]),
        ({}, ["transitions", "at least one state"]),
    ],
)
def test_bad_graphs_are_refused_by_name(transitions, words):
    with pytest.raises(InvalidInput) as caught:
        TabularMDP.from_transitions(transitions)
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize(
    ("keywords", "word"),
    [
        ({"facts": {"success": {"zz": 1}}}, "zz"),
        ({"flows": {"grain": {("a", 7): 1.0}}}, "7"),
        ({"flows": {"grain": {("a", 0): float("inf")}}}, "finite"),
        ({"roles": {"resource": {"gold": 1.0}}}, "gold"),
        ({"initial": "zz"}, "initial"),
        ({"initial": {"a": 0.4}}, "initial"),
    ],
)
def test_bad_extras_are_refused_by_name(keywords, word):
    with pytest.raises(InvalidInput, match=word):
        TabularMDP.from_transitions({"a": [{"a": 1}]}, **keywords)


def test_unknown_successor_and_state_are_named():
    with pytest.raises(InvalidInput, match="'c'"):
        TabularMDP.from_successors({"a": ["c"]})
    with pytest.raises(InvalidInput, match="'c'"):
        TabularMDP.from_successors({"a": ["a"]}).index("c")
    with pytest.raises(InvalidInput, match="horizon"):
        TabularMDP.from_successors({"a": ["a"]}).horizon()


def test_deterministic_means_one_edge_a_pair():
    assert TabularMDP.from_successors({"a": ["a", "b"], "b": ["b"]}).deterministic
    assert not TabularMDP.from_transitions(
        {"a": [{"a": 1}, {"a": 0.5, "b": 0.5}], "b": [{"b": 1}]}
    ).deterministic
    assert enumerate_world(Ladder(slip=0.0)).deterministic is False  # `take` is chancy
    assert enumerate_world(powerseek.make_world("endgame", openness=0)).deterministic


def test_states_of_a_typed_in_graph_by_label_or_number():
    mdp = TabularMDP.from_successors({"a": ["a", ("b", 1)], ("b", 1): [("b", 1)]})
    assert mdp.index("a") == 0
    assert mdp.index(("b", 1)) == 1
    assert mdp.index(1) == mdp.index(np.int64(1)) == 1
    for state in (2, -1, 0.0, True, ["a"], None, float("nan"), np.zeros(2)):
        with pytest.raises(InvalidInput, match=r"'a', \('b', 1\); or a state number, 0 to 1"):
            mdp.index(state)


def test_whole_numbers_are_labels_where_there_are_such_labels():
    mdp = TabularMDP.from_successors({1: [1, 0, "x"], 0: [0], "x": ["x"]})
    assert [mdp.index(s) for s in (1, 0, "x", np.int64(1))] == [0, 1, 2, 0]
    with pytest.raises(InvalidInput, match=r"one of 1, 0, 'x'$"):
        mdp.index(2)


def test_states_of_a_world_by_record_or_number():
    world = Ladder(hazard=0.1)
    mdp = enumerate_world(world)
    assert [mdp.index(record) for record in mdp.records] == list(range(mdp.n_states))
    vec = VecWorld(world, 20, seed=0)
    for _ in range(3):
        vec.step(vec.masks.argmax(axis=1))
    for record in vec.states:
        found = mdp.records[mdp.index(record)]
        assert all(np.array_equal(found[name], record[name]) for name in world.identity)
    assert mdp.index(mdp.n_states - 1) == mdp.n_states - 1
    unknown = world.records(1)
    unknown["height"] = 77
    other = powerseek.make_world("homestead").records(1)
    for state in (unknown[0], mdp.records[:1], other[0], mdp.n_states, -1, "start", 0.5):
        with pytest.raises(
            InvalidInput, match=r"(?s)state: got .* one record of test\.ladder .* 0 to"
        ):
            mdp.index(state)
    with pytest.raises(InvalidInput, match="77"):
        mdp.index(unknown[0])


def test_a_record_stands_for_its_orbit():
    world = powerseek.make_world("endgame", openness=0, black="random")
    whole, reduced = enumerate_world(world), enumerate_world(world, symmetry=True)
    found = [reduced.index(record) for record in whole.records]
    assert sorted(set(found)) == list(range(reduced.n_states))
    for name in ("progress", "mobility"):
        assert np.array_equal(reduced.final(name)[found], whole.final(name))


def test_word_table_numbers_like_a_dict():
    rng = np.random.default_rng(0)
    table, known = WordTable(2), {}
    for _ in range(20):
        rows = rng.integers(-40, 40, (700, 2))
        numbers, new = table.add(rows)
        for row, number in zip(rows.tolist(), numbers, strict=True):
            assert known.setdefault(tuple(row), len(known)) == number
        assert len(known) == table.count
        assert all(i in range(700) for i in new)
    assert [tuple(row) for row in table.rows.tolist()] == list(known)
    assert table.find(np.array([[1000, 0], list(known)[5]])).tolist() == [-1, 5]


def test_words_of_minus_zero_are_those_of_zero():
    assert np.array_equal(words(np.array([[-0.0, 1.0]])), words(np.array([[0.0, 1.0]])))


def test_large_graphs_come_as_an_array():
    rng = np.random.default_rng(0)
    array = rng.integers(0, 50, (50, 3))
    listed = TabularMDP.from_successors({s: [int(n) for n in row] for s, row in enumerate(array)})
    typed = TabularMDP.from_successors(array)
    for name in ("pair_start", "pair_state", "pair_action", "edge_start", "edge_next", "initial"):
        assert np.array_equal(getattr(typed, name), getattr(listed, name))
    assert typed.deterministic
    assert typed.index(7) == 7
    with pytest.raises(InvalidInput, match=r"successors\[2, 1\]"):
        TabularMDP.from_successors(np.array([[0, 1], [1, 2], [0, 9]]))
    with pytest.raises(InvalidInput, match="integers"):
        TabularMDP.from_successors(np.array([[0.5]]))
