"""Agents evaluated exactly: accumulators in view, layer by layer, beside plain recursion."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from policies import Linear
from worlds import Ladder

import powerseek
from powerseek.agents import rollout
from powerseek.envs import describe
from powerseek.envs.task import Task
from powerseek.errors import InvalidInput
from powerseek.exact import enumerated, evaluate, minimal_need_policy, most, random_policy
from powerseek.exact.solvers import agent
from powerseek.exact.solvers.agent import agent_occupancies, evaluate_agent
from powerseek.exact.solvers.policy import scripted_policy
from powerseek.types import Floats, Situation

WORLDS = {
    "star": {},
    "off-switch": {},
    "homestead": {"openness": 1},
    "commons": {"openness": 1},
    "shutdown-delay": {},
}


SMALL = (
    powerseek.make_world("star"),
    powerseek.make_world("off-switch", max_steps=8),
    Ladder(rungs=2, slip=0.4, hazard=0.1, max_steps=6),
)


def plain_occupancies(task: Task, policy: Linear) -> list[Floats]:
    """[T] of [P]: the same by a dictionary of (state, past progress of each window)."""
    mdp = enumerated(task.world)
    world, records = mdp.origin
    progress = mdp.state_facts[:, mdp.fact_names.index("progress")]
    starts = [s for s in np.flatnonzero(mdp.initial) if not mdp.terminal[s]]
    standing = {(int(s), (0.0,) * len(task.windows)): mdp.initial[s] for s in starts}
    found = []
    for t in range(world.max_steps):
        taken, after = np.zeros(mdp.n_pairs), defaultdict(float)
        for (s, old), chance in standing.items():
            marks = [
                progress[s] if t % k == 0 else m for k, m in zip(task.windows, old, strict=True)
            ]
            _, mask, features = describe(world, records[[s]])
            left = 1.0 if task.time_limit == "bootstrap" else 1 - t / world.max_steps
            seen = np.array([[*features[0], left, *(progress[s] - m for m in marks)]], np.float32)
            (given,) = policy.probabilities(Situation(seen, mask, records[[s]], 0))
            for pair in range(mdp.pair_start[s], mdp.pair_start[s + 1]):
                weight = chance * given[mdp.pair_action[pair]] / given.sum(dtype=np.float64)
                taken[pair] += weight
                for edge in range(mdp.edge_start[pair], mdp.edge_start[pair + 1]):
                    if not mdp.terminal[mdp.edge_next[edge]]:
                        key = (int(mdp.edge_next[edge]), tuple(marks))
                        after[key] += weight * mdp.edge_probability[edge]
        standing = after
        found.append(taken)
    return found


@pytest.mark.parametrize("limit", ["terminal", "bootstrap"])
@pytest.mark.parametrize("windows", [(), (3,), (2, 3, 4)])
@pytest.mark.parametrize("world", SMALL, ids=lambda world: world.id)
def test_what_is_taken_is_what_plain_recursion_finds(world, windows, limit):
    task = Task(world, gamma=0.9, windows=windows, time_limit=limit)
    policy = Linear(task)
    expected = plain_occupancies(task, policy)
    for t, taken, wasted, ended in agent_occupancies(task, policy):
        assert not wasted.any()
        np.testing.assert_allclose(taken, expected[t], rtol=0, atol=1e-14)
        going = expected[t + 1].sum() if t + 1 < len(expected) else 0.0
        assert ended.sum() + going == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("world", WORLDS)
def test_exact_policies_have_the_outcome_that_they_have_without_a_task(world):
    made = powerseek.make_world(world, **WORLDS[world])
    mdp = enumerated(made)
    policies = [random_policy(mdp), minimal_need_policy(mdp)]
    policies += [scripted_policy(mdp, name) for name in ("minimalist", "hoarder")]
    task = Task(made, {"every": 4}, windows=(3,))
    for policy in policies:
        expected = evaluate(mdp, policy).as_array()
        np.testing.assert_allclose(evaluate_agent(task, policy).as_array(), expected, atol=1e-12)


@pytest.mark.parametrize("greedy", [False, True])
@pytest.mark.parametrize("world", WORLDS)
def test_episodes_show_the_exact_outcome(world, greedy):
    task = Task(powerseek.make_world(world, **WORLDS[world]), {"every": 5})
    policy = Linear(task, sharpness=2.0)
    exact = evaluate_agent(task, policy, greedy=greedy)
    episodes = rollout(policy, task, 4000, 3, greedy=greedy)
    shown = {
        "success": episodes.last("success") > 0,
        "acquisition": episodes.facts[:, 1:].sum(axis=1) @ task.world.weights("resource"),
        "length": episodes.lengths,
    }
    for name, values in shown.items():
        if not np.isnan(getattr(exact, name)):
            spread = values.std() / np.sqrt(len(values))
            assert abs(values.mean() - getattr(exact, name)) <= 4.5 * spread + 1e-9, name


def test_the_accumulator_is_seen():
    """A policy that hurries only where a window is empty differs from one that never does."""
    task = Task(powerseek.make_world("homestead"), {"every": 7})
    blind = Linear(task)
    blind.matrix[-1] = 0.0
    assert evaluate_agent(task, Linear(task)) != evaluate_agent(task, blind)


def test_parts_of_any_size_give_the_same(monkeypatch):
    task = Task(powerseek.make_world("homestead", openness=1), {"every": 8})
    expected = evaluate_agent(task, Linear(task)).as_array()
    monkeypatch.setattr(agent, "CHUNK", 101)
    np.testing.assert_allclose(evaluate_agent(task, Linear(task)).as_array(), expected, atol=1e-13)


@pytest.mark.parametrize("forgotten", [1e-12, 1e-6, 0.01])
def test_no_more_is_forgotten_than_is_said(forgotten, monkeypatch):
    """Every expectation is off by at most that probability times what can still come of it."""
    task = Task(powerseek.make_world("homestead", openness=1), {"every": 8})
    policy, greatest = Linear(task, sharpness=3.0), most(task.world).extreme
    monkeypatch.setattr(agent, "FORGOTTEN", 0.0)
    whole, asked = evaluate_agent(task, policy), asked_about(task, policy)
    monkeypatch.setattr(agent, "FORGOTTEN", forgotten)
    found, fewer = evaluate_agent(task, policy), asked_about(task, policy)
    assert fewer < asked
    assert -1e-13 <= whole.success - found.success <= forgotten + 1e-13
    assert -1e-13 <= whole.acquisition - found.acquisition <= forgotten * greatest + 1e-13
    assert whole.length - found.length <= forgotten * task.world.max_steps + 1e-13
    for step in agent_occupancies(task, policy):
        last = step.ended.sum()
    assert last == pytest.approx(1, abs=1e-12)  # what is forgotten has ended


def asked_about(task, policy):
    """How many situations it is asked about."""
    asked = []
    change = Gives(lambda w: w)
    change.probabilities = lambda shown: (
        asked.append(len(shown.masks)) or policy.probabilities(shown)
    )
    evaluate_agent(task, change)
    return sum(asked)


def test_what_is_least_probable_is_forgotten_first():
    standing = np.array([[0.5, 1e-3, 0.0, 3e-5], [2e-5, 0.25, 1e-9, 0.0]])
    ended = np.zeros(4)
    agent._forget(standing, 1e-4, ended)
    # 1e-3 does not fit; of what does, nothing is left.
    assert standing.tolist() == [[0.5, 1e-3, 0, 0], [0, 0.25, 0, 0]]
    assert ended.tolist() == [2e-5, 0, 1e-9, 3e-5]
    before = standing.copy()
    agent._forget(standing, 9e-4, ended)
    assert np.array_equal(standing, before)
    agent._forget(np.array([[5e-324, 0.0]]), 0.0, ended)
    assert ended[0] == 2e-5


class Gives:
    def __init__(self, change):
        self.change = change

    def probabilities(self, situation: Situation) -> Floats:
        return self.change(np.where(situation.masks, 1.0, 0.0))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda w: w[:, :1], "allowed: probabilities"),
        (lambda w: -w, "rows >= 0 that sum to 1"),
        (lambda w: w * 0, "rows >= 0 that sum to 1"),
    ],
)
def test_what_is_no_policy_is_refused(change, words):
    task = Task(powerseek.make_world("homestead"))
    with pytest.raises(InvalidInput, match=words):
        evaluate_agent(task, Gives(change))


def test_too_many_accumulators_are_refused(monkeypatch):
    monkeypatch.setattr(agent, "MAX_STANDING", 10_000)
    task = Task(powerseek.make_world("homestead"), windows=(2, 3, 5, 7))
    with pytest.raises(InvalidInput, match="accumulators of at most"):
        evaluate_agent(task, Linear(task))
