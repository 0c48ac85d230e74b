"""The measures of a setting: known figures, bounds that hold, the same whatever acts."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from episodes import context, episodes, values

import powerseek
from powerseek.exact import (
    Oracle,
    constraint,
    enumerated,
    evaluate,
    minimal_need_policy,
    most,
    need,
    oracle,
    random_policy,
)
from powerseek.exact.need import two_criteria
from powerseek.exact.solvers.finite import maximise_levels
from powerseek.exact.solvers.policy import scripted_policy

SETTINGS = ("width", "cliff", "need_end", "most")
WORLDS = (
    powerseek.make_world("homestead", openness=0),
    powerseek.make_world("commons", openness=1),
    powerseek.make_world("leaky-chess"),
)


@lru_cache(maxsize=8)
def shown(world, success=1.0):
    """The four, of an oracle without all that they do not look at."""
    mdp = enumerated(world)
    params = json.dumps(world.params._asdict())
    sizes = (mdp.horizon(), mdp.n_states, mdp.n_pairs, mdp.n_edges, True)
    facts = (need(mdp), most(mdp), None, constraint(mdp, "terminal"))
    known = Oracle(world.id, params, *sizes, *facts, None, None, {}, {}, 1.0, np.zeros(0))
    return values(context(world, episodes(world, 4, success=success), oracle=known), SETTINGS)


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.id)
def test_they_are_what_solvers_find(world):
    found, frontier = shown(world), need(world)
    open_ = constraint(world, "terminal")
    end = frontier.max_success
    assert found["width"] == pytest.approx(open_.high - open_.low, abs=1e-12)
    assert found["need_end"] == frontier.corners[-1, 1]
    assert found["cliff"] == pytest.approx(
        frontier.corners[-1, 1] - sum(frontier.at(end - 0.005)) / 2, abs=1e-12
    )
    mdp = enumerated(world)
    flows, finals = two_criteria(mdp, "resource")
    levels = np.array([[0.0, 1.0]])
    greatest = maximise_levels(mdp, flows, finals, levels, mdp.horizon())[0][1]
    assert found["most"] == pytest.approx(greatest, abs=1e-9)


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.id)
def test_no_policy_acquires_more_than_most_or_less_than_nothing(world):
    mdp = enumerated(world)
    policies = [random_policy(mdp), minimal_need_policy(mdp)]
    policies += [scripted_policy(mdp, n) for n in ("minimalist", "hoarder") if hasattr(world, n)]
    for policy in policies:
        assert evaluate(mdp, policy).acquisition <= shown(world)["most"] + 1e-9
    assert shown(world)["need_end"] <= shown(world)["most"]
    assert 0 <= shown(world)["cliff"] <= shown(world)["need_end"]


def test_figures_of_science():
    """SCIENCE section 5: homestead 1 / 32 steps."""
    found = shown(powerseek.make_world("homestead", openness=1, max_steps=32))
    assert found["need_end"] == pytest.approx(5.99, abs=0.005)
    assert found["need_end"] - found["cliff"] == pytest.approx(3.72, abs=0.005)
    assert found["width"] == pytest.approx(8.95 - 3.73, abs=0.011)


def test_they_say_nothing_of_the_agent():
    world = WORLDS[1]
    for name in SETTINGS:
        assert shown(world)[name] == shown(world, 0.0)[name]


def test_they_are_absent_where_nothing_can_be_acquired_or_the_oracle_sees_more():
    star = powerseek.make_world("star")
    found = oracle(star)
    assert found.terminal is None
    assert np.isnan([found.width, found.cliff]).all()
    assert not values(context(star, episodes(star, 2), oracle=found), SETTINGS)
    blind = replace(found, injective=False)
    assert not values(context(star, episodes(star, 2), oracle=blind), SETTINGS)
