import numpy as np
import pytest

from powerseek.errors import InvalidInput
from powerseek.exact import TabularMDP
from powerseek.exact.words import WordTable, words


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
