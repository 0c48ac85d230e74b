"""Parameters in words: what differs, and nothing else."""

import pandas as pd
import pytest

from powerseek.experiments.results.parameters import in_words, told

A = '{"hazard": 0.02, "leak": 1, "piece": "rook", "useful": true}'
B = '{"hazard": 0.02, "leak": 4, "piece": "rook", "useful": true}'
C = '{"hazard": 0.02, "leak": 4, "piece": "rook", "useful": false}'


def table(*params, world="door"):
    return pd.DataFrame({"world": world, "params": list(params), "value": range(len(params))})


def test_only_what_differs_is_said():
    every = table(A, B, C, A)
    words = in_words(every)
    assert list(told(every, words)["params"]) == [
        *("leak 1, useful true", "leak 4, useful true", "leak 4, useful false"),
        "leak 1, useful true",
    ]
    assert list(every["params"]) == [A, B, C, A]


def test_settings_that_differ_are_told_apart_within_their_world_alone():
    every = pd.concat([table(A, B), table(C, world="other")], ignore_index=True)
    assert list(told(every, in_words(every))["params"]) == ["leak 1", "leak 4", C]


@pytest.mark.parametrize("params", [(A, A), ("{}", None), ("not JSON", A), ("[1]", A), ()])
def test_what_does_not_differ_or_is_no_object_is_left_as_it_is(params):
    every = table(*params)
    assert in_words(every) == {}
    assert told(every, {}) is every


def test_a_missing_parameter_is_a_difference_and_missing_params_stay_missing():
    every = table('{"a": 1, "b": 2}', '{"a": 1}', None)
    assert list(told(every, in_words(every))["params"])[:2] == ["b 2", ""]
    assert told(every, in_words(every))["params"].isna().tolist() == [False, False, True]


def test_other_tables_are_told_in_the_same_words():
    words = in_words(table(A, B))
    assert list(told(table(B, C), words)["params"]) == ["leak 4", C]
    nothing = pd.DataFrame({"world": ["door"]})
    assert told(nothing, words) is nothing
