"""Exact evaluation in every world of every kind of agent: parts that sum, episodes that agree."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from policies import Linear

import powerseek
from powerseek.agents import ScriptedPolicy, rollout, train
from powerseek.envs.task import Task
from powerseek.exact import (
    enumerated,
    evaluate,
    evaluate_agent,
    minimal_need_policy,
    need,
    optimum,
)
from powerseek.exact.measures.attribution import outcome_and_attribution
from powerseek.exact.solvers.policy import scripted_policy

ENUMERATED = [
    name
    for name in powerseek.list_worlds()
    if name != "minichess" and not powerseek.make_world(name).not_enumerable
]
"""Worlds in their smallest settings; minichess takes longer than all the others together."""
KINDS = ("random", "minimal-need", "minimalist", "hoarder", "optimum", "power-greedy")
LEARNERS = ("cohort-ppo", "maskable-ppo", "ppo")


@lru_cache(maxsize=32)
def smallest(name: str) -> Any:
    world = powerseek.make_world(name)
    return type(world)(**world.smallest)


class Wasteful:
    """Acts at random, legal or not, as ``ppo`` does, which sees no masks."""

    def probabilities(self, shown: Any) -> Any:
        weights = np.arange(1.0, 1 + shown.masks.shape[1]) + np.zeros(shown.masks.shape)
        return weights / weights.sum(axis=1, keepdims=True)


def policy_of(task: Task, kind: str) -> Any:
    """A policy of a kind of agent; None of one that the world has not."""
    if kind == "network":
        return Linear(task, sharpness=2.0)
    if kind == "wasteful":
        return Wasteful()
    if kind in ("minimalist", "hoarder") and not hasattr(type(task.world), kind):
        return None
    steps = {"timesteps": 2048, "settings": SETTINGS} if kind in LEARNERS else {}
    return train(task, kind, seed=1, **steps).policy


SETTINGS = {"n_envs": 8, "n_steps": 64, "batch_size": 64, "net": [16]}
SOME = [*((kind, False) for kind in ("random", "minimal-need", "network", "wasteful"))]
SOME += [("network", True)]


@pytest.mark.parametrize("name", ENUMERATED)
def test_parts_sum_in_every_world(name):
    """Attribution sums to agent - reference in success and in acquisition, at every price."""
    task = Task(smallest(name), {"every": 5})
    for kind, greedy in SOME:
        policy = policy_of(task, kind)
        outcome, found = outcome_and_attribution(task, policy, greedy=greedy)
        acquired = np.nan_to_num(outcome.acquisition)
        for one in found:
            base = one.reference
            assert sum(one.units.values()) == pytest.approx(acquired - base.acquisition, abs=1e-9)
            assert sum(one.success.values()) == pytest.approx(
                outcome.success - base.success, abs=1e-9
            )
        if kind == "minimal-need":
            assert max(map(abs, found[0].units.values())) <= 1e-9
            if task.world.role("resource"):
                assert acquired - need(task.world).corners[-1, 1] == pytest.approx(0, abs=1e-6)


def check_episodes(task: Task, policy: Any, greedy: bool, episodes: int = 600) -> None:
    """Sampled episodes show the exact outcome, within 4.5 standard errors."""
    exact = evaluate_agent(task, policy, greedy=greedy)
    met = rollout(policy, task, episodes, 7, greedy=greedy)
    shown = {"success": met.last("success") > 0, "length": met.lengths.astype(float)}
    if task.world.role("resource"):
        shown["acquisition"] = met.facts[:, 1:].sum(axis=1) @ task.world.weights("resource")
    for name, values in shown.items():
        value = getattr(exact, name)
        error = max(values.std(), 0.02) / np.sqrt(episodes)  # what is rare may not be seen
        assert abs(values.mean() - value) <= 4.5 * error + 1e-6, (name, values.mean(), value)


@pytest.mark.parametrize("name", ENUMERATED)
def test_episodes_show_the_exact_outcome_in_every_world(name):
    task = Task(smallest(name), {"every": 3})
    for kind, greedy in SOME:
        check_episodes(task, policy_of(task, kind), greedy)


@pytest.mark.parametrize("greedy", [False, True])
@pytest.mark.parametrize("kind", [*KINDS, *LEARNERS])
def test_episodes_show_the_exact_outcome_of_every_agent(kind, greedy):
    task = Task(powerseek.make_world("commons", openness=2, max_steps=10), {"every": 3})
    check_episodes(task, policy_of(task, kind), greedy)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*KINDS, *LEARNERS])
@pytest.mark.parametrize("name", ENUMERATED)
def test_episodes_show_the_exact_outcome_of_every_agent_in_every_world(name, kind):
    task = Task(smallest(name), {"every": 3})
    policy = policy_of(task, kind)
    for greedy in (False, True) if policy is not None else ():
        check_episodes(task, policy, greedy, 4000)


@pytest.mark.parametrize("name", ENUMERATED)
def test_planners_and_scripts_have_the_outcome_that_the_oracle_has(name):
    world = smallest(name)
    mdp = enumerated(world)
    task, best = Task(world, {"every": 4}, windows=(3,)), optimum(mdp, "dense")
    assert evaluate_agent(task, best.policy).as_array() == pytest.approx(
        best.uniform.as_array(), abs=1e-9, nan_ok=True
    )
    for script in ("minimalist", "hoarder"):
        if hasattr(type(world), script):
            known = evaluate(mdp, scripted_policy(mdp, script)).as_array()
            found = evaluate_agent(task, ScriptedPolicy(world, script)).as_array()
            assert found == pytest.approx(known, abs=1e-9, nan_ok=True)
    modest = minimal_need_policy(mdp)
    known = evaluate(mdp, modest).as_array()
    assert evaluate_agent(task, modest).as_array() == pytest.approx(known, abs=1e-9, nan_ok=True)
