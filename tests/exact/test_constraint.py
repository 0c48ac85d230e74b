"""W(eps): the freedom that a reward leaves, beside linear programs and published figures."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import linprog
from scipy.sparse import coo_array
from worlds import Ladder

import powerseek
from powerseek.envs.rewards.spec import Pay
from powerseek.envs.task import Task
from powerseek.errors import InvalidInput
from powerseek.exact import constraint, enumerate_world, evaluate, need, optimum, random_policy
from powerseek.exact.constraint import GAP

LADDER = Ladder(rungs=2, slip=0.4, hazard=0.1, max_steps=5)
SMALL = powerseek.make_world("homestead", openness=0, max_steps=8, quota=1)


def program(world, reward, gamma):
    """(flow of every variable, return of every variable, equalities) over (t, state, mark, pair).

    A policy's probability of taking each pair in each situation; the mark of ``every: k`` is
    progress when it last paid, that of ``priced`` the units acquired.
    """
    mdp = enumerate_world(world)
    progress = mdp.state_facts[:, mdp.fact_names.index("progress")]
    success = mdp.state_facts[:, mdp.fact_names.index("success")]
    gained = mdp.flow("resource")
    units = mdp.flow_table @ mdp.roles["resource"]
    priced = reward["priced"] if isinstance(reward, dict) and "priced" in reward else None
    nodes = {
        (0, int(s), progress[s] if priced is None else 0.0): mdp.initial[s]
        for s in np.flatnonzero(mdp.initial)
    }
    numbers, waiting = {node: i for i, node in enumerate(nodes)}, list(nodes)
    flows, returns, entries = [], [], []
    starts = list(nodes.values())
    for t, s, mark in waiting:
        for pair in range(mdp.pair_start[s], mdp.pair_start[s + 1]):
            variable, paid = len(flows), 0.0
            entries.append((numbers[t, s, mark], variable, 1.0))
            for edge in range(mdp.edge_start[pair], mdp.edge_start[pair + 1]):
                chance, after = mdp.edge_probability[edge], int(mdp.edge_next[edge])
                last = t + 1 == world.max_steps or mdp.terminal[after]
                now, kept = 0.0, progress[s]
                if priced is not None:
                    kept = mark + units[mdp.edge_flow[edge]]
                    now = success[after] - priced * kept if last else 0.0
                elif reward == "dense":
                    now = progress[after] - progress[s]
                elif reward == "terminal":
                    now = success[after] if last else 0.0
                else:
                    due = last or (t + 1) % reward["every"] == 0
                    now, kept = (progress[after] - mark, progress[after]) if due else (0.0, mark)
                paid += chance * now
                if not last:
                    node = (t + 1, after, kept if isinstance(reward, dict) else progress[after])
                    if node not in numbers:
                        numbers[node] = len(numbers)
                        waiting.append(node)
                        starts.append(0.0)
                    entries.append((numbers[node], variable, -chance))
            flows.append(gained[pair])
            returns.append(paid * gamma**t)
    rows, columns, values = zip(*entries, strict=True)
    equal = coo_array((values, (rows, columns)), shape=(len(starts), len(flows))).tocsr()
    return np.array(flows), np.array(returns), equal, np.array(starts)


@pytest.mark.parametrize("gamma", [1.0, 0.8])
@pytest.mark.parametrize(
    "reward", ["dense", "terminal", {"every": 3}, {"priced": 0.03, "of": "terminal"}], ids=str
)
@pytest.mark.parametrize("world", [LADDER, SMALL], ids=["ladder", "homestead"])
def test_a_linear_program_finds_the_same(world, reward, gamma):
    flows, returns, equal, starts = program(world, reward, gamma)
    best = -linprog(-returns, A_eq=equal, b_eq=starts, method="highs").fun
    found = constraint(world, reward, gamma, share=0.05)
    assert found.best == pytest.approx(best, abs=1e-9)
    for sign, end in ((1, found.low), (-1, found.high)):
        limit = {"A_ub": -returns[None], "b_ub": [-(best - found.eps)]}
        done = linprog(sign * flows, A_eq=equal, b_eq=starts, **limit, method="highs")
        attained = sign * done.fun
        assert end == pytest.approx(attained, abs=GAP + 1e-6)
        assert sign * (attained - end) >= -1e-6  # outer bounds
    assert found.low - 1e-9 <= found.tie_low <= found.tie_high <= found.high + 1e-9


@pytest.mark.parametrize(
    ("params", "ends"),
    [
        ({"openness": 0}, (3.62, 5.19)),
        ({"openness": 1}, (4.53, 7.95)),
        pytest.param({"openness": 2}, (4.35, 14.44), marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_homestead_leaves_what_an_independent_computation_found(params, ends):
    """Figures of a re-analysis with independent code, at .005 of success."""
    found = constraint(powerseek.make_world("homestead", **params), "terminal", eps=0.005)
    assert (found.low, found.high) == pytest.approx(ends, abs=0.006)


def test_for_success_it_is_the_frontier():
    world = powerseek.make_world("homestead", openness=1)
    found, frontier = constraint(world, "terminal"), need(world)
    assert found.best == pytest.approx(frontier.max_success, abs=1e-12)
    low, high = frontier.at(frontier.max_success - found.eps)
    assert low - GAP - 1e-9 <= found.low <= high + 1e-9
    assert found.tie_low == pytest.approx(frontier.corners[-1, 1], abs=1e-9)


@pytest.mark.parametrize("reward", ["dense", "terminal", {"every": 4}, {"coverage": 0.5}], ids=str)
def test_ties_are_those_of_the_optimum_and_random_is_random(reward):
    world = powerseek.make_world("homestead", openness=0)
    found, best = constraint(world, reward), optimum(world, reward)
    assert found.best == pytest.approx(best.value, abs=1e-12)
    assert found.tie_low == pytest.approx(best.low.acquisition, abs=1e-9)
    assert found.tie_high == pytest.approx(best.high.acquisition, abs=1e-9)
    if reward == "terminal":
        assert found.random == pytest.approx(
            evaluate(world, random_policy(enumerate_world(world))).success
        )


def test_it_widens_with_eps_and_holds_every_nearly_optimal_policy():
    world = powerseek.make_world("homestead", openness=0)
    found = [constraint(world, "dense", share=share) for share in (1e-6, 0.005, 0.05, 0.5)]
    for one, more in itertools.pairwise(found):
        assert more.low <= one.low + 1e-9
        assert more.high >= one.high - 1e-9
        assert one.low <= one.tie_low + GAP
    wide = constraint(world, "dense", share=1.0)
    mdp = enumerate_world(world)
    assert wide.low <= evaluate(mdp, random_policy(mdp)).acquisition <= wide.high


def test_scaling_a_reward_changes_nothing():
    world = powerseek.make_world("homestead", openness=0)
    pay = Task(world, "dense").pay

    class Scaled(type(pay.reward_function)):
        def step(self, step):
            paid, memory = super().step(step)
            return 1e6 * paid, memory

    scaled = Scaled()
    found, more = constraint(world, pay), constraint(world, replace(pay, reward_function=scaled))
    assert more.eps == pytest.approx(1e6 * found.eps)
    assert (more.low, more.high) == pytest.approx((found.low, found.high), abs=GAP)


def test_a_discount_makes_a_difference():
    world = powerseek.make_world("homestead", openness=1)
    patient, hasty = constraint(world, "dense"), constraint(world, "dense", 0.9)
    assert hasty.high < patient.high - 0.5


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: constraint(powerseek.make_world("off-switch")), "something can be acquired"),
        (lambda: constraint(LADDER, eps=0.0), "a return above 0"),
        (lambda: constraint(LADDER, share=float("nan")), "a return above 0"),
        (lambda: constraint(SMALL.replace(max_steps=3), "terminal"), "says nothing"),
    ],
)
def test_what_has_no_answer_is_refused(make, words):
    with pytest.raises(InvalidInput, match=words):
        make()


def test_pay_is_taken_as_it_is():
    task = Task(powerseek.make_world("homestead", openness=0), "terminal")
    assert isinstance(task.pay, Pay)
    assert constraint(task.world, task.pay) == constraint(task.world, "terminal")
