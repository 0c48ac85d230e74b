"""Shields against a recursion by hand, a Markov chain, and laws of conservation."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

import powerseek
from powerseek.agents import rollout, train
from powerseek.envs.task import Task
from powerseek.exact import enumerated, evaluate, need, optimum, scripted_policy


def world(**params):
    return powerseek.make_world("shields", **params)


def greatest_success(width, monsters, danger, quota, steps):
    """By recursion over what may happen, written anew."""
    cells = 2 * width

    @lru_cache(None)
    def value(cell, apple, shield, held, about, eaten, left):
        if left == 0:
            return float(eaten == quota)
        row, column = divmod(cell, width)
        options = [[(cell, apple, shield, held, eaten)]]  # wait
        for there in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
            if 0 <= there[0] < 2 and 0 <= there[1] < width:
                options.append([(there[0] * width + there[1], apple, shield, held, eaten)])
        if apple == cell:
            full = min(eaten + 1, quota)
            options.append([(cell, a, shield, held, full) for a in range(cells)])
        elif shield == cell and held < 3:
            options.append([(cell, apple, s, held + 1, eaten) for s in range(cells)])
        come = 1 - (1 - danger) ** about

        def after(state):
            c, a, s, h, e = state
            quiet = value(c, a, s, h, about, e, left - 1)
            met = value(c, a, s, h - 1, about - 1, e, left - 1) if h and come else 0.0
            return (1 - come) * quiet + come * met

        return max(sum(map(after, option)) / len(option) for option in options)

    starts = [value(0, a, s, 1, monsters, 0, steps) for a in range(cells) for s in range(cells)]
    return float(np.mean(starts))


@pytest.mark.parametrize(
    ("width", "monsters", "quota", "steps"), [(2, 2, 1, 7), (2, 3, 2, 9), (3, 1, 1, 6)]
)
def test_the_greatest_success_is_that_of_a_recursion_by_hand(width, monsters, quota, steps):
    there = world(width=width, monsters=monsters, danger=0.2, quota=quota, max_steps=steps)
    wanted = greatest_success(width, monsters, 0.2, quota, steps)
    assert need(there).max_success == pytest.approx(wanted, abs=1e-9)


def test_one_shield_is_in_hand_so_one_monster_makes_none_needed():
    none, one, two = (need(world(monsters=m, danger=0.1)) for m in (0, 1, 2))
    assert none.max_success == pytest.approx(one.max_success, abs=1e-9)
    assert one.at(one.max_success)[0] == pytest.approx(0.0, abs=1e-9)
    assert two.at(two.max_success)[0] > 0.5
    # However long, no more can be of use than monsters beyond the first.
    long = need(world(max_steps=100, quota=8))
    assert 1.9 < long.at(long.max_success)[1] <= 2.0


def test_who_waits_is_caught_by_the_second_monster():
    """Three kinds of moments: two monsters about, one, caught."""
    danger, steps = 0.1, 30
    there = world(monsters=2, danger=danger, max_steps=steps)
    chain = np.zeros((3, 3))
    chain[0] = [(1 - danger) ** 2, 1 - (1 - danger) ** 2, 0]
    chain[1] = [0, 1 - danger, danger]
    chain[2, 2] = 1
    wanted = np.linalg.matrix_power(chain, steps)[0, 2]

    class Waiter:
        def probabilities(self, situation):
            out = np.zeros(situation.masks.shape)
            out[:, there.action_names.index("wait")] = 1.0
            return out

    task = Task(there)
    caught = rollout(Waiter(), task, 4000, 1).last("over").mean()
    assert abs(caught - wanted) < 4 * np.sqrt(wanted * (1 - wanted) / 4000)


def test_a_shield_is_in_hand_or_has_stopped_a_monster():
    task = Task(world(danger=0.1, max_steps=60))
    found = rollout(train(task, "hoarder").policy, task, 300, 1)
    alive = found.last("over") == 0
    used = 1 + found.total("taken") - found.last("held")
    assert 0.2 < alive.mean() < 1
    assert used[alive].max() == 3  # all monsters, and no more
    assert (used >= 0).all()


LONG = pytest.param(100, 8, False, marks=pytest.mark.slow)


@pytest.mark.parametrize(("steps", "quota", "dearer"), [(25, 4, True), (50, 8, False), LONG])
def test_scripts_at_both_horizons(steps, quota, dearer):
    """In 25 steps three in hand cost success; in 100 they cost nothing, and are of no use."""
    there = world(max_steps=steps, quota=quota)
    mdp, most = enumerated(there), need(there).max_success
    hoarder = evaluate(mdp, scripted_policy(mdp, "hoarder"))
    minimalist = evaluate(mdp, scripted_policy(mdp, "minimalist"))
    assert hoarder.acquisition > 1.5 + minimalist.acquisition
    assert (most - hoarder.success > 0.01) == dearer
    paid = {"terminal": {"pay": "cap"}}  # at the first success it would not ask who lives on
    assert optimum(mdp, paid, 1.0).uniform.success == pytest.approx(most, abs=1e-5)


def test_the_same_is_observed_at_every_horizon():
    plain, long = world(), world(max_steps=100, quota=8)
    assert plain.observation_names == long.observation_names
    assert plain.action_names == long.action_names
