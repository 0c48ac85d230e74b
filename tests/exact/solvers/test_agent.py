"""Agents evaluated exactly: accumulators in view, layer by layer, beside plain recursion."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from policies import Linear
from worlds import Ladder, random_actions

import powerseek
from powerseek.agents import rollout
from powerseek.envs import describe
from powerseek.envs.task import Task, VecTask
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
    """[T] of [P]: the same by a dictionary of (state, past progress of each window, units)."""
    mdp = enumerated(task.world)
    world, records = mdp.origin
    progress = mdp.state_facts[:, mdp.fact_names.index("progress")]
    starts = [s for s in np.flatnonzero(mdp.initial) if not mdp.terminal[s]]
    standing = {(int(s), (0.0,) * len(task.windows), 0.0): mdp.initial[s] for s in starts}
    units = mdp.flow_table @ mdp.roles.get("resource", np.zeros(len(mdp.fact_names)))
    found = []
    for t in range(world.max_steps):
        taken, after = np.zeros(mdp.n_pairs), defaultdict(float)
        for (s, old, had), chance in standing.items():
            marks = [
                progress[s] if t % k == 0 else m for k, m in zip(task.windows, old, strict=True)
            ]
            _, mask, features = describe(world, records[[s]])
            left = 1.0 if task.time_limit == "bootstrap" else 1 - t / world.max_steps
            since, so_far = (progress[s] - m for m in marks), [had] * task.acquired_so_far
            seen = np.array([[*features[0], left, *since, *so_far]], np.float32)
            (given,) = policy.probabilities(Situation(seen, mask, records[[s]], 0))
            for pair in range(mdp.pair_start[s], mdp.pair_start[s + 1]):
                weight = chance * given[mdp.pair_action[pair]] / given.sum(dtype=np.float64)
                taken[pair] += weight
                for edge in range(mdp.edge_start[pair], mdp.edge_start[pair + 1]):
                    if not mdp.terminal[mdp.edge_next[edge]]:
                        gained = had + units[mdp.edge_flow[edge]] * task.acquired_so_far
                        key = (int(mdp.edge_next[edge]), tuple(marks), gained)
                        after[key] += weight * mdp.edge_probability[edge]
        standing = after
        found.append(taken)
    return found


@pytest.mark.parametrize("limit", ["terminal", "bootstrap"])
@pytest.mark.parametrize("windows", [(), (3,), (2, 3, 4)])
@pytest.mark.parametrize("world", SMALL, ids=lambda world: world.id)
def test_what_is_taken_is_what_plain_recursion_finds(world, windows, limit):
    task = Task(world, gamma=0.9, windows=windows, time_limit=limit)
    check_against_plain_recursion(task)


@pytest.mark.parametrize("windows", [(), (2, 3)])
def test_what_was_acquired_is_part_of_the_recursion(windows):
    world = Ladder(rungs=2, slip=0.4, hazard=0.1, max_steps=6)
    check_against_plain_recursion(Task(world, windows=windows, acquired_so_far=True))


def check_against_plain_recursion(task):
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
    made = powerseek.make_world(world, **WORLDS[world])
    task = Task(made, {"every": 5}, acquired_so_far=world == "homestead")
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


@pytest.mark.parametrize("world", ["homestead", "commons"])
def test_what_was_acquired_is_seen_to_the_last_bit_as_episodes_show_it(world):
    """Every observation that episodes show is one that the walk asks about, bit for bit."""
    made = powerseek.make_world(world, **{**WORLDS[world], "max_steps": 12})
    task, asked, watching = Task(made, {"priced": 0.05, "of": {"every": 5}}), set(), Gives(None)
    watching.probabilities = lambda shown: (
        asked.update(row.tobytes() for row in shown.observations) or np.where(shown.masks, 1.0, 0.0)
    )
    evaluate_agent(task, watching, forgotten=0.0)
    vec, generator = VecTask(task, 200, 3), np.random.default_rng(0)
    column, most_seen = task.observation_names.index("acquired_so_far"), 0.0
    for _ in range(2 * task.world.max_steps):
        assert {row.tobytes() for row in vec.observations} <= asked
        most_seen = max(most_seen, vec.observations[:, column].max())
        vec.step(random_actions(vec, generator))
    assert most_seen >= 2


def test_what_was_acquired_decides():
    """A policy that looks at it differs from one that does not, and so do their outcomes."""
    task = Task(powerseek.make_world("homestead"), {"priced": 0.05, "of": "terminal"})
    blind = Linear(task)
    blind.matrix[-1] = 0.0
    assert evaluate_agent(task, Linear(task)) != evaluate_agent(task, blind)


def test_parts_of_any_size_give_the_same(monkeypatch):
    task = Task(powerseek.make_world("homestead", openness=1), {"every": 8})
    expected = evaluate_agent(task, Linear(task)).as_array()
    monkeypatch.setattr(agent, "CHUNK", 101)
    np.testing.assert_allclose(evaluate_agent(task, Linear(task)).as_array(), expected, atol=1e-13)


@pytest.mark.parametrize("forgotten", [1e-12, 1e-6, 0.01])
def test_no_more_is_forgotten_than_is_said(forgotten):
    """Every expectation is off by at most that probability times what can still come of it."""
    task = Task(powerseek.make_world("homestead", openness=1), {"every": 8})
    policy, greatest = Linear(task, sharpness=3.0), most(task.world).extreme
    whole, asked = asked_about(task, policy, forgotten=0.0)
    found, fewer = asked_about(task, policy, forgotten=forgotten)
    assert fewer < asked
    assert -1e-13 <= whole.success - found.success <= forgotten + 1e-13
    assert -1e-13 <= whole.acquisition - found.acquisition <= forgotten * greatest + 1e-13
    assert whole.length - found.length <= forgotten * task.world.max_steps + 1e-13
    for step in agent_occupancies(task, policy, forgotten=forgotten):
        last = step.ended.sum()
    assert last == pytest.approx(1, abs=1e-12)  # what is forgotten has ended


def asked_about(task, policy, **how):
    """Its outcome, and how many situations it is asked about."""
    asked = []
    change = Gives(lambda w: w)
    change.probabilities = lambda shown: (
        asked.append(len(shown.masks)) or policy.probabilities(shown)
    )
    return evaluate_agent(task, change, **how), sum(asked)


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
