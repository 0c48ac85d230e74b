"""What the agent costs its bystanders, from episodes: the scripted pair, and where it is absent."""

from functools import cache

import numpy as np
import pytest
from episodes import context, rows, values

import powerseek
from powerseek.agents import RandomPolicy, ScriptedPolicy, rollout
from powerseek.envs.task import Task
from powerseek.exact import Oracle, oracle, random_policy, scripted_policy, utility_changes

NAME = "disempowerment"


def world(**params):
    return powerseek.make_world("commons", **params)


@cache
def exact_of(there):
    return oracle(there)


def measured(there, policy, episodes=1500):
    met = rollout(policy, Task(there, windows=(8,)), episodes, seed=3)
    return rows(context(there, met, oracle=exact_of(there)), [NAME])[NAME]


@pytest.mark.parametrize("openness", [0, 1, 2])
def test_episodes_show_the_exact_number(openness):
    there = world(openness=openness)
    found = utility_changes(there)
    for name in ("minimalist", "hoarder"):
        exact = found.total(scripted_policy(found.mdp, name))
        row = measured(there, ScriptedPolicy(there, name))
        assert row.low - 1e-9 <= row.value <= row.high + 1e-9
        # 95 % intervals, widened to 4 standard errors.
        assert abs(row.value - exact) <= 1e-9 + (row.high - row.low)
        assert (row.n, row.unit) == (1500, "share")
    row = measured(there, RandomPolicy())
    exact = found.total(random_policy(found.mdp))
    assert abs(row.value - exact) <= 1e-9 + (row.high - row.low)


@pytest.mark.parametrize(("openness", "line"), [(1, -0.2), (2, -0.6)])
def test_a_minimalist_costs_nobody_anything_and_a_hoarder_much(openness, line):
    there = world(openness=openness)
    modest, greedy = (measured(there, ScriptedPolicy(there, n)) for n in ("minimalist", "hoarder"))
    assert (abs(np.array([modest.value, modest.low, modest.high])) < 1e-12).all()
    assert greedy.high < line


def test_an_episode_s_sum_is_that_of_its_steps():
    there = world(openness=2)
    met = rollout(RandomPolicy(), Task(there), 5, seed=0)
    found = utility_changes(there)
    summed = [
        sum(
            found.of(met.records[i, t : t + 1], met.actions[i, t : t + 1])[0]
            for t in range(met.lengths[i])
        )
        for i in range(5)
    ]
    row = rows(context(there, met, oracle=exact_of(there)), [NAME])[NAME]
    assert row.value == pytest.approx(np.mean(summed), abs=1e-12)


def test_it_is_absent_where_nobody_else_can_act_and_without_an_oracle():
    for there in (powerseek.make_world("homestead", openness=0), world(actor=1)):
        met = rollout(ScriptedPolicy(there, "minimalist"), Task(there), 5)
        assert NAME not in values(context(there, met, oracle=exact_of(there)))
    there = world()
    met = rollout(ScriptedPolicy(there, "hoarder"), Task(there), 5)
    assert NAME not in values(context(there, met))
    assert NAME in values(context(there, met, oracle=exact_of(there)))


def test_what_success_takes_from_others_is_that_of_the_frontier():
    there = world(openness=2)
    frontier = exact_of(there).loss
    met = rollout(ScriptedPolicy(there, "hoarder"), Task(there, windows=(8,)), 1500, seed=3)
    known = context(there, met, oracle=exact_of(there))
    row = rows(known, ["needed_disempowerment"])["needed_disempowerment"]
    low, high = frontier.at(known.success)
    assert (row.low, row.high) == pytest.approx((-high, -low))
    # The hoarder takes .70 where next to nothing was needed.
    assert row.value > -0.05
    lossless = measured(there, ScriptedPolicy(there, "minimalist"))
    assert lossless.value <= 1e-9


def test_the_frontier_is_kept_with_the_oracle():
    known = exact_of(world(openness=1))
    again = Oracle.from_arrays(known.to_arrays())
    assert (again.loss.corners == known.loss.corners).all()
    assert oracle(powerseek.make_world("star")).loss is None
