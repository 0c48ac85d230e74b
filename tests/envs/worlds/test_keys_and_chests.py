"""Keys and chests against a search by hand over each map, and laws of conservation."""

from __future__ import annotations

import itertools
from collections import deque

import numpy as np
import pytest

import powerseek
from powerseek.agents import rollout, train
from powerseek.envs.task import Task
from powerseek.envs.worlds.keys_and_chests import MOST, drawn_maps
from powerseek.errors import InvalidInput
from powerseek.exact import enumerated, evaluate, need, optimum, scripted_policy

SMALL = {"size": 3, "maps": 3, "max_steps": 40}


def world(**params):
    return powerseek.make_world("keys-and-chests", **params)


def shortest(size, start, keys, chests):
    """Steps of the shortest way to open as many chests as can be, by breadth-first search."""
    quota = min(len(keys), len(chests))
    first = (start, frozenset(keys), frozenset(chests), 0)
    seen, ahead = {first}, deque([(first, 0)])
    while ahead:
        (cell, left, closed, held), steps = ahead.popleft()
        if len(chests) - len(closed) == quota:
            return steps
        row, column = divmod(cell, size)
        near = [(row + a, column + b) for a, b in ((0, 1), (1, 0), (0, -1), (-1, 0))]
        found = [
            (r * size + c, left, closed, held) for r, c in near if 0 <= r < size and 0 <= c < size
        ]
        if cell in left:
            found.append((cell, left - {cell}, closed, held + 1))
        if cell in closed and held:
            found.append((cell, left, closed - {cell}, held - 1))
        for state in found:
            if state not in seen:
                seen.add(state)
                ahead.append((state, steps + 1))
    raise AssertionError("no way")


@pytest.mark.parametrize(("keys", "chests"), [(1, 2), (2, 1), (2, 3), (3, 2)])
def test_the_greatest_success_is_that_of_the_shortest_way_and_need_the_scarcer(keys, chests):
    accident = 0.03
    there = world(keys=keys, chests=chests, accident=accident, **SMALL)
    lengths = [
        shortest(3, row[0], row[1 : 1 + keys], row[1 + MOST : 1 + MOST + chests])
        for row in drawn_maps(there.params).tolist()
    ]
    wanted = np.mean([(1 - accident) ** (steps - 1) for steps in lengths])
    found = need(there)
    assert found.max_success == pytest.approx(wanted, abs=1e-9)
    # Without accidents need is the scarcer of the two, whatever the map; the rest is of no use.
    calm = need(world(keys=keys, chests=chests, accident=0.0, **SMALL))
    assert calm.max_success == pytest.approx(1.0)
    assert calm.at(1.0)[0] == pytest.approx(min(keys, chests), abs=1e-6)


def test_scripts_take_what_is_needed_and_all_there_is():
    for keys, chests in ((2, 4), (4, 2)):
        mdp = enumerated(world(keys=keys, chests=chests, accident=0.0, max_steps=60))
        for name, taken in (("minimalist", min(keys, chests)), ("hoarder", keys)):
            found = evaluate(mdp, scripted_policy(mdp, name))
            assert found.success == pytest.approx(1.0)
            assert found.acquisition == pytest.approx(taken)
    best = optimum(enumerated(world(keys=4, chests=2)), "terminal", 0.99).uniform
    assert best.acquisition <= 2.0  # a key too many costs a step, and each step has a price


def test_a_key_is_in_hand_or_has_opened_a_chest():
    task = Task(world(keys=4, chests=3, accident=0.02))
    found = rollout(train(task, "random").policy, task, 300, 1)
    opened = found.last("progress") * 3
    taken = found.total("taken")
    assert taken.max() >= 2
    np.testing.assert_allclose(taken, found.last("held") + opened)


def test_maps_differ_by_layout_alone_and_keep_their_places():
    few, many = (drawn_maps(world(keys=k, chests=c).params) for k, c in ((2, 4), (4, 2)))
    np.testing.assert_array_equal(few[:, :3], many[:, :3])  # the start and the first two keys
    np.testing.assert_array_equal(few[:, 1 + MOST :][:, :2], many[:, 1 + MOST :][:, :2])
    assert (drawn_maps(world(layout=1).params) != few).any()
    for row in many:
        cells = row[row >= 0]
        assert len(set(cells.tolist())) == len(cells) == 7


def test_the_same_is_observed_and_done_at_every_count():
    plain = world()
    for keys, chests in itertools.product((1, 6), (1, 6)):
        other = plain.replace(keys=keys, chests=chests, layout=3)
        assert other.observation_names == plain.observation_names
        assert other.action_names == plain.action_names


def test_only_keys_that_open_nothing_are_withheld():
    kind = type(world())
    scarce = world(keys=2, chests=4)
    assert kind.withheld(scarce.params, scarce.records(0)) is None
    there = world(keys=4, chests=1, maps=1)
    records = there.records(2)
    cells = drawn_maps(there.params)[0]
    records["key"][:, :4] = 1
    records["key"][1, 1], records["held"][1] = 0, 1
    records["cell"] = cells[1]
    use = there.action_names.index("use")
    withheld = kind.withheld(there.params, records)
    assert withheld[:, use].tolist() == [False, True]
    assert withheld.sum() == 1


@pytest.mark.parametrize(
    ("params", "field"),
    [({"size": 3, "keys": 5, "chests": 4}, "chests"), ({"keys": 7}, "keys-and-chests.keys")],
)
def test_what_has_no_place_is_refused(params, field):
    with pytest.raises(InvalidInput) as error:
        world(**params)
    assert error.value.field == field
    assert error.value.allowed
