"""Errors of models by hand, none of the true one, and the bound above every gap."""

from dataclasses import replace

import numpy as np
import pytest
from families import small_settings
from searched import Guess
from worlds import Ladder

from powerseek.agents import train
from powerseek.agents.scripted import RandomPolicy
from powerseek.agents.search.tabular import Tabular
from powerseek.envs.task import Task, VecTask
from powerseek.errors import InvalidInput
from powerseek.exact import Imagined, evaluate_agent, model_error, oracle
from powerseek.experiments.sweep.evaluate import Evaluator
from powerseek.metrics import expect
from powerseek.types import Situation

NAMES = ("model_bound", "model_error", "model_gap", "model_reward_error")


class Coin:
    """A model of `Guess` in which heads fall with probability `heads`."""

    def __init__(self, heads):
        self.heads = heads
        self.reward_range = 0.0, 1 / 3

    def outcomes(self, observations, masks, actions):
        n = len(actions)
        source = np.tile(np.arange(n), 2)
        right = np.repeat([1.0, 0.0], n)
        chance = np.where(actions == 0, self.heads, 1 - self.heads)
        reached = observations[source] + 0
        reached[:, 0] += right
        clock = np.rint((1 - reached[:, 1]) * 3) + 1
        reached[:, 1] = 1 - clock / 3
        probability = np.concatenate([chance, 1 - chance])
        return Imagined(source, probability, right / 3, clock == 3, reached, masks[source])


class Heads:
    """Says heads, whatever is known."""

    def probabilities(self, situation):
        return np.tile([1.0, 0.0], (len(situation.masks), 1))


class Drawn:
    """Prefers what a random row of numbers prefers in what it sees."""

    def __init__(self, seed, actions):
        self.weights = np.random.default_rng(seed).standard_normal((9, actions))

    def probabilities(self, situation):
        seen = situation.observations
        logits = np.sin(5 * seen) @ self.weights[: seen.shape[1]]
        given = np.exp(logits) * situation.masks
        return given / given.sum(axis=1, keepdims=True)


def ladder(reward="dense", gamma=1.0, **params):
    return Task(Ladder(**{"max_steps": 5, **params}), reward, gamma, windows=(3,))


def counted(task, steps, seed, n=8):
    """A model that saw so many steps of environments that acted at random."""
    model = Tabular(task.observation_size, task.n_actions)
    envs, rng = VecTask(task, n, seed), np.random.default_rng(seed)
    for _ in range(steps):
        stood = model.stand(envs)
        actions = (rng.random(envs.masks.shape) * envs.masks).argmax(axis=1)
        envs.step(actions)
        model.meet(stood, actions, envs.rewards, envs.ended, envs)
    return model


@pytest.mark.parametrize("heads", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("gamma", [1.0, 0.9])
def test_errors_of_a_coin_are_those_by_hand(heads, gamma):
    """Of three steps each pays |heads - 1/2| / 3 wrongly; the last one is known to end."""
    found = model_error(Task(Guess(), "dense", gamma), Heads(), Coin(heads))
    wrong, ahead = abs(heads - 0.5), 1 + gamma + gamma**2
    assert found.transitions == pytest.approx(2 * wrong, abs=1e-9)
    assert found.rewards == pytest.approx(wrong, abs=1e-9)
    assert found.value == pytest.approx(ahead / 6)
    assert found.imagined == pytest.approx(heads * ahead / 3)
    assert found.gap == pytest.approx(wrong * ahead / 3, abs=1e-9)
    # In the model the same is to come wherever it stands: of an end alone does it differ.
    spans = np.array([1 + gamma, 1, 0]) * heads / 3
    terms = gamma ** np.arange(3) * (wrong / 3 + gamma * wrong * spans)
    assert found.bound == pytest.approx(terms.sum(), abs=1e-9)


@pytest.mark.parametrize("reward", ["dense", "terminal", {"every": 3}, {"thinned": 0.5}])
def test_the_true_model_has_no_error(reward):
    """All of a world without chance, as it was met; thinning apart, which is chance of its own.

    What is owed is observed in single precision.
    """
    task = ladder(reward, slip=0.0)
    model = counted(task, 2_000, 1, 32)
    found = model_error(task, RandomPolicy(), model)
    assert found.transitions == pytest.approx(0, abs=1e-9)
    assert found.rewards == pytest.approx(0, abs=0.05 if "thinned" in reward else 1e-6)
    assert found.imagined == pytest.approx(found.value, abs=0.02 if "thinned" in reward else 1e-6)
    assert found.bound == pytest.approx(found.rewards, abs=1e-9)


@pytest.mark.parametrize("steps", [0, 3, 10, 100, 1000])
@pytest.mark.parametrize("seed", range(3))
def test_no_gap_is_above_its_bound(steps, seed):
    reward = ("dense", "terminal", {"every": 3})[seed]
    task = ladder(reward, (1.0, 0.9)[seed % 2], hazard=0.2)
    model, policy = counted(task, steps, seed), Drawn(seed, task.n_actions)
    found = model_error(task, policy, model)
    assert found.gap <= found.bound + 1e-9
    rough = model_error(task, policy, model, nodes=0)
    assert np.isnan(rough.imagined)
    assert np.isnan(rough.gap)
    assert (rough.transitions, rough.rewards) == (found.transitions, found.rewards)
    assert rough.bound >= found.bound - 1e-9
    assert found.transitions >= 0


@pytest.mark.parametrize("seed", range(2))
def test_returns_in_a_model_are_those_of_a_recursion_in_plain_python(seed):
    task = ladder("dense", 0.9, hazard=0.2, max_steps=4)
    model, policy = counted(task, 30, seed), Drawn(seed, task.n_actions)

    def value(seen, legal, left):
        if not left:
            return 0.0
        blank = task.world.records(1)
        chosen = policy.probabilities(Situation(seen[None], legal[None], blank))[0]
        total = 0.0
        for action in np.flatnonzero(chosen > 0):
            said = model.outcomes(seen[None], legal[None], np.array([action]))
            for i in range(len(said.source)):
                after = 0.0
                if not said.ended[i]:
                    after = value(said.observations[i], said.masks[i], left - 1)
                weight = chosen[action] * said.probability[i]
                total += weight * (said.rewards[i] + 0.9 * after)
        return total

    envs = VecTask(task, 64, 5)
    begun, first, count = np.unique(
        envs.observations, axis=0, return_index=True, return_counts=True
    )
    assert len(begun) == 2  # gold or none, as likely
    values = [value(envs.observations[i], envs.masks[i], 4) for i in first]
    assert count.min() > 10
    assert model_error(task, policy, model).imagined == pytest.approx(np.mean(values), abs=1e-6)


def test_true_returns_are_those_of_exact_evaluation():
    task = ladder("dense", hazard=0.2)
    policy = Drawn(1, task.n_actions)
    found = model_error(task, policy, counted(task, 20, 1))
    # What is paid in an episode is the height it comes to.
    rungs = evaluate_agent(task, policy)
    envs = VecTask(task, 4096, 1)
    total, over = np.zeros(4096), np.zeros(4096, np.bool_)
    rng = np.random.default_rng(1)
    for _ in range(5):
        given = policy.probabilities(envs.situation).cumsum(axis=1)
        envs.step((rng.random((4096, 1)) < given).argmax(axis=1))
        total += np.where(over, 0.0, envs.rewards)
        over |= envs.ended
    assert found.value == pytest.approx(total.mean(), abs=0.02)
    assert found.value >= rungs.success - 1e-9


def test_what_cannot_be_asked_is_refused():
    task = replace(ladder({"every": 3, "corrected": True}), gamma=0.9)
    with pytest.raises(InvalidInput, match=r"reward: got 'every 3 corrected'.*observed"):
        model_error(task, RandomPolicy(), counted(task, 1, 1))

    class Careless:
        def probabilities(self, situation):
            return np.full(situation.masks.shape, 1 / situation.masks.shape[1])

    task = ladder()
    with pytest.raises(InvalidInput, match="legal"):
        model_error(task, Careless(), counted(task, 1, 1))


@pytest.mark.parametrize("model", ["tabular", "network", "rules"])
def test_rows_tell_of_models_that_were_learnt_alone(model):
    task = ladder()
    settings = {**small_settings("search"), "model": model}
    trained = train(task, "search", timesteps=240, settings=settings)
    evaluator = Evaluator(task, oracle(task.world), None, 0)
    rows = {row.name: row.value for row in expect(evaluator.expected(trained.policy, False))}
    assert set(NAMES) & set(rows) == (set() if model == "rules" else set(NAMES))
    if model != "rules":
        exact = model_error(task, trained.policy, trained.policy.learnt, forgotten=1e-5)
        assert rows["model_error"] == exact.transitions > 0
        assert rows["model_gap"] == exact.gap <= exact.bound == rows["model_bound"]
    early = expect(evaluator.expected(trained.policy, False, whole=False))
    assert not set(NAMES) & {row.name for row in early}
