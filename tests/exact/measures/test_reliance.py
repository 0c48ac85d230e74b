"""The power on offer withheld: what is withheld, and what success is left."""

from __future__ import annotations

import numpy as np
import pytest

import powerseek
from powerseek.agents import RandomPolicy, ScriptedPolicy
from powerseek.envs import describe
from powerseek.envs.task import Task
from powerseek.errors import InvalidInput
from powerseek.exact import enumerated, evaluate, random_policy, success_without_power
from powerseek.exact.measures.reliance import offers_power
from powerseek.types import Situation

PLOT = 3
SHUT = {
    "homestead": ({"openness": 2, "max_steps": 12}, {"openness": 0}),
    "homestead-plane": ({"openness": 1, "max_steps": 10}, {"openness": 0}),
    "commons": ({"openness": 2, "max_steps": 10}, {"openness": 0}),
    "leaky-chess": ({"leak": 4}, {"leak": 0}),
    "strip": ({"openness": 2, "distance": 5, "max_steps": 20}, {"openness": 0}),
}
"""World -> (parameters, those that shut what is on offer)."""


def pair_of_worlds(name):
    world = powerseek.make_world(name, **SHUT[name][0])
    return world, world.replace(**SHUT[name][1])


@pytest.mark.parametrize("name", SHUT)
def test_what_is_left_is_what_is_legal_where_nothing_is_on_offer(name):
    world, shut = pair_of_worlds(name)
    mdp = enumerated(world)
    _, records = mdp.origin
    records = records[~mdp.terminal]
    if name.startswith("homestead"):  # beyond the plot there is no such place
        records = records[(records["column"] < PLOT) & (records["column"] >= 0)]
        records = records[(records["row"] < PLOT) & (records["row"] >= 0)]
    if name == "leaky-chess":  # nor compute to spend on a hint
        records = records[records["compute"] == 0]
    withheld = type(world).withheld(world.params, records)
    legal, other = describe(world, records)[1], describe(shut, records)[1]
    assert np.array_equal(legal & ~withheld, legal & other)
    assert (legal & withheld).any()
    assert type(world).withheld(shut.params, records) is None


@pytest.mark.parametrize("name", SHUT)
def test_chance_without_power_is_chance_where_nothing_is_on_offer(name):
    world, shut = pair_of_worlds(name)
    found = success_without_power(Task(world, {"every": 4}), RandomPolicy())
    mdp = enumerated(shut)
    assert found == pytest.approx(evaluate(mdp, random_policy(mdp)).success, abs=1e-9)


@pytest.mark.parametrize("openness", [1, 3])
def test_on_the_board_captures_and_the_second_piece_are_withheld(openness):
    world = powerseek.make_world("endgame", openness=openness)
    mdp = enumerated(world)
    _, records = mdp.origin
    withheld = type(world).withheld(world.params, records)
    taken = mdp.flow("resource") > 0
    held = withheld[mdp.pair_state, mdp.pair_action]
    assert held[taken].all()
    second = mdp.pair_action >= 8 * world.params.size
    assert np.array_equal(held, taken | second)
    assert taken.any()


@pytest.mark.parametrize("name", ["homestead", "commons"])
def test_a_minimalist_does_not_rely_on_it(name):
    world, _ = pair_of_worlds(name)
    script = ScriptedPolicy(world, "minimalist")
    known = evaluate(enumerated(world), script).success
    assert known > 0.1
    assert success_without_power(Task(world), script) == pytest.approx(known, abs=1e-12)


class Drawn:
    """Takes what is on offer in nine of ten, whatever it is shown as legal."""

    def __init__(self, world):
        self.world = world

    def probabilities(self, shown: Situation):
        legal = describe(self.world, shown.states)[1]
        weights = np.where(type(self.world).withheld(self.world.params, shown.states), 9.0, 1.0)
        weights = np.where(legal, weights, 0.0)
        return weights / weights.sum(axis=1, keepdims=True)


def test_what_a_policy_gives_the_rest_is_brought_to_a_sum_of_one():
    world, shut = pair_of_worlds("commons")
    mdp = enumerated(shut)
    expected = evaluate(mdp, random_policy(mdp)).success
    assert success_without_power(Task(world), Drawn(world)) == pytest.approx(expected, abs=1e-9)


def test_it_is_undefined_where_nothing_is_on_offer_or_nothing_is_left():
    star = powerseek.make_world("star")
    assert not offers_power(star)
    assert np.isnan(success_without_power(Task(star), RandomPolicy()))
    world, shut = pair_of_worlds("commons")
    assert np.isnan(success_without_power(Task(shut), RandomPolicy()))
    hoarder = ScriptedPolicy(world, "hoarder")  # it would do nothing else
    assert np.isnan(success_without_power(Task(world), hoarder))


def test_masks_of_another_shape_are_refused(monkeypatch):
    world, _ = pair_of_worlds("commons")
    monkeypatch.setattr(
        type(world), "withheld", staticmethod(lambda params, records: np.zeros((1, 1), bool))
    )
    with pytest.raises(InvalidInput, match="withheld of commons"):
        success_without_power(Task(world), RandomPolicy())
