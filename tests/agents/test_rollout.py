"""Rollouts: whole episodes, all equally likely to be counted, as the simulator played them."""

from itertools import pairwise

import numpy as np
import pytest
from worlds import Ladder, Well

import powerseek
from powerseek.agents import RandomPolicy, ScriptedPolicy, rollout, without_interruption
from powerseek.agents.rollout import sample_actions
from powerseek.envs.task import Task, VecTask
from powerseek.errors import InvalidInput
from powerseek.exact import evaluate
from powerseek.exact.overseer import with_overseer

FIELDS = ("facts", "actions", "rewards", "lengths", "terminated", "records")


class Fixed:
    """The same probabilities everywhere."""

    def __init__(self, *row):
        self.row = np.array(row, float)
        self.asked = 0

    def probabilities(self, situation):
        n = len(situation.states)
        assert len(situation.masks) == len(situation.observations) == n
        self.asked += n
        return np.tile(self.row, (n, 1))


def task(reward="dense", **params):
    return Task(Ladder(**{"hazard": 0.15, "slip": 0.4, "max_steps": 9, **params}), reward)


def same(one, other):
    return all(np.array_equal(getattr(one, f), getattr(other, f)) for f in FIELDS)


@pytest.mark.parametrize(("episodes", "batch"), [(1, 8), (8, 8), (17, 8), (5, 1)])
def test_exactly_so_many_whole_episodes(episodes, batch):
    found = rollout(RandomPolicy(), task(), episodes, batch=batch)
    over = found.fact_names.index("over")
    assert found.facts.shape == (episodes, 10, len(found.fact_names))
    assert found.actions.shape == found.rewards.shape == (episodes, 9)
    for i, length in enumerate(found.lengths):
        ends = found.facts[i, : length + 1, over] > 0
        assert not ends[:-1].any()
        assert ends[-1] == found.terminated[i]
        assert found.terminated[i] or length == 9
    assert found.world == "test.ladder"
    assert found.params == task().world.params._asdict()


@pytest.mark.parametrize("name", powerseek.list_worlds())
@pytest.mark.parametrize("reward", ["dense", {"every": 3}], ids=str)
def test_episodes_are_those_of_the_simulator(name, reward):
    here = Task(powerseek.make_world(name), reward)
    found = rollout(RandomPolicy(), here, 10, seed=7, batch=4)
    vec = VecTask(here, 4, 7)
    for i in range(10):
        copy, episode = i % 4, i // 4
        vec.skip(np.full(4, episode))
        assert np.array_equal(found.facts[i, 0], vec.fresh_facts[copy])
        for t in range(found.lengths[i]):
            vec.step(np.full(4, found.actions[i, t]))
            assert np.array_equal(found.facts[i, t + 1], vec.facts[copy])
            assert found.rewards[i, t] == vec.rewards[copy]
            assert vec.ended[copy] == (t + 1 == found.lengths[i])
        assert found.terminated[i] == vec.world.terminated[copy]


@pytest.mark.parametrize("name", powerseek.list_worlds())
def test_past_the_end_states_stay_and_flows_are_0(name):
    world = powerseek.make_world(name)
    found = rollout(ScriptedPolicy(world, "minimalist"), Task(world), 60)
    flow = np.array([f.flow for f in world.facts for _ in range(f.size)])
    assert (found.lengths < world.max_steps).any()
    for i, length in enumerate(found.lengths):
        past = found.facts[i, length + 1 :]
        assert (past[:, ~flow] == found.facts[i, length, ~flow]).all()
        assert (past[:, flow] == 0).all()
        assert (found.actions[i, length:] == -1).all()
        assert (found.actions[i, :length] >= 0).all()
        assert (found.rewards[i, length:] == 0).all()


@pytest.mark.parametrize("batch", [7, 5000])
def test_short_episodes_are_no_likelier_than_long_ones(batch):
    """What counted the first episodes to end would come out short."""
    here = task(rungs=10, max_steps=30)
    n = 700 if batch == 7 else 5000
    found = rollout(RandomPolicy(), here, n, seed=3, batch=batch)
    exact = evaluate(here.world, RandomPolicy())
    error = found.lengths.std() / np.sqrt(n)
    assert found.lengths.std() > 3
    assert abs(found.lengths.mean() - exact.length) < 4 * error
    off = found.last("interrupted").mean()
    assert abs(off - exact.interrupted) < 4 * np.sqrt(exact.interrupted / n)


def test_greedy_takes_the_first_likeliest_and_drawing_does_as_told():
    here = task(rungs=10, hazard=0.0)
    greedy = rollout(Fixed(0.3, 0.35, 0.35), here, 50, greedy=True)
    assert (greedy.actions == 1).all()
    drawn = rollout(Fixed(0.3, 0.0, 0.7), here, 500).actions
    assert not (drawn == 1).any()
    assert abs((drawn == 0).mean() - 0.3) < 4 * np.sqrt(0.21 / drawn.size)
    # Draws of copies and of times have nothing to do with each other.
    assert abs(np.corrcoef(drawn[:, 0], drawn[:, 1])[0, 1]) < 4 / np.sqrt(500)
    assert abs(np.corrcoef(drawn[:-1, 0], drawn[1:, 0])[0, 1]) < 4 / np.sqrt(500)


def test_a_seed_decides_everything():
    first, again, other = (rollout(RandomPolicy(), task(), 20, seed=s, batch=8) for s in (1, 1, 2))
    assert same(first, again)
    assert not same(first, other)


def test_batches_are_fresh_episodes():
    found = rollout(RandomPolicy(), task(), 40, batch=10)
    parts = found.actions.reshape(4, 10, -1)
    assert all(not np.array_equal(a, b) for a, b in pairwise(parts))


def test_only_running_copies_are_asked_about():
    policy = Fixed(1.0, 0.0, 0.0)
    found = rollout(policy, task(), 64)
    assert policy.asked == found.lengths.sum() < 64 * 9


def test_calm_has_no_hazard_and_is_otherwise_the_same_task():
    here = task({"every": 4})
    quiet = without_interruption(here)
    assert quiet.world.params == here.world.params._replace(hazard=0.0)
    assert (quiet.reward, quiet.windows) == (here.reward, here.windows)
    assert rollout(RandomPolicy(), here, 100).last("interrupted").any()
    assert not rollout(RandomPolicy(), quiet, 100).last("interrupted").any()


def test_choices_have_their_weights():
    n = 20_000
    draws = (np.arange(n) + 0.5) / n
    row = np.array([0.2, 0.0, 0.5, 0.3])
    counts = np.bincount(sample_actions(np.tile(row, (n, 1)), draws), minlength=4)
    assert np.array_equal(counts, row * n)


def test_rounding_never_reaches_an_action_without_weight():
    edge = np.array([0.0, np.nextafter(1.0, 0)])
    shown = np.array([[0.0, 1 / 3, 1 / 3, 1 / 3, 0.0]] * 2)
    assert list(sample_actions(shown, edge)) == [1, 3]
    assert list(sample_actions(shown * (1 - 1e-7), edge)) == [1, 3]
    assert list(sample_actions(np.array([[0.0, 1e-300, 0.0]] * 2), edge)) == [1, 1]


@pytest.mark.parametrize(
    "row", [(0.0, 0.0, 0.0), (-0.5, 1.0, 0.5), (np.nan, 0.5, 0.5), (np.inf, 0.0, 1.0)]
)
def test_what_is_no_policy_is_refused(row):
    with pytest.raises(InvalidInput, match="policy"):
        rollout(Fixed(*row), task(), 3)


@pytest.mark.parametrize("episodes", [0, -1])
def test_no_episodes_are_refused(episodes):
    with pytest.raises(InvalidInput, match="episodes"):
        rollout(RandomPolicy(), task(), episodes)


@pytest.mark.parametrize("reward", [{"approval": 3}, {"coverage": 0.5}], ids=str)
def test_an_arm_that_needs_an_overseer_gets_the_exact_one(reward):
    found = rollout(RandomPolicy(), task(reward), 40, seed=3)
    assert same(found, rollout(RandomPolicy(), with_overseer(task(reward)), 40, seed=3))
    assert (found.rewards < 0).any()


def test_calm_states_that_the_hazard_never_leaves_have_an_overseer_too():
    met = with_overseer(task({"approval": 3}, hazard=1.0))
    quiet = rollout(RandomPolicy(), without_interruption(met), 40, seed=3)
    assert quiet.lengths.max() > 1
    assert (quiet.rewards <= 0).all()


def test_an_overseer_of_one_s_own_is_kept():
    class Even:
        def judge(self, records, actions, clock):
            return np.full(len(clock), 0.25)

    mine = Task(Ladder(), {"approval": 3}, overseer=Even())
    found = rollout(RandomPolicy(), mine, 5)
    assert found.rewards.sum(axis=1).tolist() == (0.25 * found.lengths).tolist()


@pytest.mark.parametrize("row", [(0.0, 0.0, 0.0), (np.nan, 0.5, 0.5)])
def test_what_is_no_policy_is_refused_when_greedy_too(row):
    with pytest.raises(InvalidInput, match="policy"):
        rollout(Fixed(*row), task(), 3, greedy=True)


def test_probabilities_of_other_copies_are_refused():
    class Single:
        def probabilities(self, situation):
            return np.array([[0.5, 0.0, 0.5]])

    with pytest.raises(InvalidInput, match=r"policy: got \(1, 3\); allowed: probabilities \(4, 3"):
        rollout(Single(), task(), 4)


@pytest.mark.parametrize("who", [0, 1])
def test_a_policy_is_told_whose_actions_it_is_asked_for(who):
    told = set()

    class Listening(RandomPolicy):
        def probabilities(self, situation):
            told.add((len(situation.states) == 8, situation.actor))
            return super().probabilities(situation)

    there = Well(who=who, ann="asleep", refill=1.0)
    rollout(Listening(), Task(there), 8, batch=8)  # all at once, then those that still run
    assert told == {(True, who), (False, who)}
