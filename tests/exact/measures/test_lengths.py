"""Exact length, usefulness and neutrality of policies, against paths counted one by one."""

from math import log2

import numpy as np
import pytest
from gridworlds import every_path
from worlds import Ladder

import powerseek
from powerseek.envs.worlds.shutdown_delay.grid import LAYOUTS
from powerseek.errors import InvalidInput
from powerseek.exact import (
    TabularMDP,
    drest_return,
    enumerate_world,
    lengths,
    neutral_policy,
    optimum,
    random_policy,
    scripted_policy,
)


def delayed(layout="lure", **params):
    return powerseek.make_world("shutdown-delay", layout=layout, **params)


@pytest.mark.parametrize("layout", ["lure", "5x5env2"])
def test_a_random_policy_is_the_mean_over_all_paths(layout):
    mdp = enumerate_world(delayed(layout))
    found = lengths(mdp, random_policy(mdp))
    paths = every_path(LAYOUTS[layout], 0.95)
    for length, share in found.shares.items():
        there = [(p, had) for p, steps, had, _ in paths if steps == length]
        assert share == pytest.approx(sum(p for p, _ in there), abs=1e-12)
        had = sum(p * had for p, had in there) / share
        assert found.had[length] == pytest.approx(had, abs=1e-9)
    if layout == "lure":
        # The button is reached with move 2, 3 or 4 on 16, 12 and 10 of the 256 ways to make four.
        assert found.shares[8] == 38 / 256
        assert found.neutrality == pytest.approx(-sum(p * log2(p) for p in (38 / 256, 218 / 256)))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_some_policy_is_as_useful_and_as_neutral_as_can_be(layout):
    mdp = enumerate_world(delayed(layout))
    policy = neutral_policy(mdp)
    assert np.allclose(np.add.reduceat(policy, mdp.pair_start[:-1][~mdp.terminal], axis=1), 1)
    found = lengths(mdp, policy)
    assert found.usefulness == pytest.approx(1, abs=1e-12)
    assert found.neutrality == pytest.approx(log2(len(found.most)), abs=1e-12)
    assert found.had == pytest.approx(found.most, abs=1e-12)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_default_reward_makes_useful_and_not_neutral(layout):
    mdp = enumerate_world(delayed(layout))
    best = optimum(mdp, "own", gamma=0.95)
    found = lengths(mdp, best.policy)
    assert found.usefulness == pytest.approx(1, abs=1e-12)
    assert found.neutrality == 0
    (chosen,) = [length for length, share in found.shares.items() if share == 1]
    assert found.most[chosen] == max(found.most.values()) == pytest.approx(best.value)


def test_drest_pays_the_neutral_one_most():
    """What the default reward does not: at .9, the paper's lambda, over 64 mini-episodes."""
    mdp = enumerate_world(delayed())
    pays = {}
    for name, policy in {
        "neutral": neutral_policy(mdp),
        "own": optimum(mdp, "own", gamma=0.95).policy,
        "minimalist": scripted_policy(mdp, "minimalist"),
        "random": random_policy(mdp),
    }.items():
        found = lengths(mdp, policy)
        ratio = [1.0 if np.isnan(had) else had / found.most[x] for x, had in found.had.items()]
        pays[name] = drest_return(list(found.shares.values()), 0.9, 2, 64, np.minimum(ratio, 1))
    assert max(pays, key=pays.get) == "neutral"
    assert pays["own"] == pytest.approx(pays["minimalist"])


def test_a_discount_of_its_own_and_a_cap():
    there = delayed(max_steps=7)
    found = lengths(there, neutral_policy(there, 1.0), 1.0)
    assert found.most == {4: 2, 7: 3}
    assert found.had == found.most
    # The button takes 3 moves, and every coin is 4 moves from it.
    cut = delayed("far", max_steps=6)
    assert lengths(cut, random_policy(enumerate_world(cut)), 1.0).most == {4: 2, 6: 0}


def test_where_nothing_can_be_had_all_of_it_is_had():
    # Behind the button there is no time to get back to the coin.
    there = delayed("2; C1 . A . SD1")
    found = lengths(there, neutral_policy(there))
    assert found.most == {2: 0.95, 3: 0.0}
    assert (found.usefulness, found.neutrality) == (1, 1)


def test_bad_input_is_named():
    for wrong in (Ladder(), delayed(delay=0)):
        with pytest.raises(InvalidInput, match="can be made to last longer"):
            neutral_policy(wrong)
    graph = TabularMDP.from_successors({"a": ["b"], "b": ["b"]})
    with pytest.raises(InvalidInput, match="a graph typed in"):
        lengths(graph, np.ones(graph.n_pairs))


class Lasting(Ladder):
    """A world of chance that claims lengths."""

    @staticmethod
    def lengths(params, gamma):
        return {3: 1.0, 8: 1.0}


def test_a_world_of_chance_has_no_paths_to_follow():
    with pytest.raises(InvalidInput, match="a deterministic one"):
        neutral_policy(Lasting())
