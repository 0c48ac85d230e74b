"""Functions, networks and live models as policies: what they answer, and what becomes of it."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
import torch
from policies import Linear
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize
from torch import nn

import powerseek
from powerseek.agents import RandomPolicy
from powerseek.agents.foreign.functions import DRAWS, situations
from powerseek.agents.foreign.illegal import RENORMALISE, WASTE, acting, illegal_fraction
from powerseek.agents.foreign.policies import policy_of
from powerseek.envs.task import Task
from powerseek.errors import InvalidInput
from powerseek.exact import evaluate_agent


@pytest.fixture(scope="module")
def task():
    return Task(powerseek.make_world("homestead", openness=0))


@pytest.fixture(scope="module")
def tried(task):
    return situations(task)


def even(observations, masks):
    return masks / masks.sum(axis=-1, keepdims=True)


def first(observation, mask):
    return int(np.flatnonzero(mask)[0])


def firsts(observations, masks):
    return masks.argmax(axis=-1)


def listed(observation, mask):
    return (np.asarray(mask) / sum(mask)).tolist()


def spoils(observations, masks):
    weights = even(observations, masks)
    observations[:], masks[:] = 0, False
    return weights


def hidden(observations, action_masks=None):
    return even(observations, action_masks)


@pytest.mark.parametrize(
    ("function", "same"),
    [(even, even), (listed, even), (spoils, even), (hidden, even), (first, firsts)],
)
def test_a_function_of_one_or_of_many_is_one_policy(function, same, task, tried):
    policy = policy_of(function, task)
    expected = same(tried.observations, tried.masks)
    if expected.ndim == 1:
        expected = np.eye(task.n_actions)[expected]
    found = policy.probabilities(tried)
    np.testing.assert_allclose(found, expected)
    assert found.dtype == np.float64
    assert policy.inexact == ""
    assert policy.together is (function in (even, spoils, hidden))


def test_a_function_of_observations_alone_is_given_no_masks(task, tried):
    policy = policy_of(lambda seen: np.zeros(len(seen), int), task)
    np.testing.assert_array_equal(policy.probabilities(tried).argmax(axis=1), 0)
    assert policy.masked is False
    second = policy_of(
        lambda seen, temperature=1.0: np.zeros(len(seen), int) + int(temperature), task
    )
    np.testing.assert_array_equal(second.probabilities(tried).argmax(axis=1), 1)


def test_what_is_even_is_exactly_the_random_agent(task):
    ours, theirs = RandomPolicy(), policy_of(listed, task)
    assert evaluate_agent(task, ours).success == pytest.approx(
        evaluate_agent(task, theirs).success, abs=1e-12
    )


def test_one_that_draws_or_remembers_is_inexact(task):
    rng = np.random.default_rng(0)

    def draws(observation, mask):
        return rng.choice(np.flatnonzero(mask))

    def drawn(observations, masks):
        return (masks * rng.random(masks.shape)).argmax(axis=1)

    assert {policy_of(function, task).inexact for function in (draws, drawn)} == {DRAWS}
    assert acting(policy_of(draws, task)).inexact == DRAWS


class Acts:
    def __call__(self, observations):
        return np.zeros(len(observations), int)


WRONG = {
    "logits": (lambda seen, masks: 2.0 * masks, "Of logits, give the softmax"),
    "negative": (lambda seen, masks: np.full(masks.shape, -1.0), "that sum to 1"),
    "an action too far": (lambda seen, masks: 99, "actions of 0 to"),
    "another shape": (lambda seen, masks: np.ones(masks.shape[-1] + 1), "It gave an array"),
    "nothing": (lambda seen, masks: None, "It gave None"),
    "words": (lambda seen, masks: "left", "It gave 'left'"),
    "an error": (lambda seen, masks: 1 // 0, "It raised ZeroDivisionError"),
    "no function": (3, "a function, a PyTorch module"),
    "a class": (Acts, "not its class"),
}


@pytest.mark.parametrize(("given", "said"), WRONG.values(), ids=WRONG)
def test_what_is_no_policy_is_refused_in_a_line(given, said, task):
    with pytest.raises(InvalidInput) as refused:
        policy_of(given, task)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_object_that_can_be_called_is_a_function(task, tried):
    assert policy_of(Acts(), task).probabilities(tried).shape == tried.masks.shape


def test_renormalised_choices_are_those_of_a_masked_softmax(task, tried):
    linear = Linear(task, seed=3)
    network = nn.Sequential(nn.Linear(task.observation_size, task.n_actions, bias=False))
    network[0].weight.data = torch.tensor(linear.matrix.T)
    policy = policy_of(network, task)
    assert not np.allclose(policy.probabilities(tried), linear.probabilities(tried), atol=1e-3)
    found = acting(policy).probabilities(tried)
    np.testing.assert_allclose(found, linear.probabilities(tried), atol=1e-6)
    assert acting(policy, WASTE) is policy
    with pytest.raises(InvalidInput, match="waste or renormalise"):
        acting(policy, "drop")


def worst(observations, masks):
    """Something illegal wherever anything is, else the first action."""
    return (~masks).argmax(axis=-1)


def test_where_nothing_legal_is_chosen_legal_actions_are_even(task, tried):
    found = acting(policy_of(worst, task)).probabilities(tried)
    free = tried.masks.all(axis=1)
    assert 0 < free.sum() < len(free)
    np.testing.assert_allclose(found[~free], even(None, tried.masks[~free]))
    np.testing.assert_array_equal(found[free].argmax(axis=1), 0)


def test_the_probability_of_illegal_choices_is_known(task):
    star = Task(powerseek.make_world("star"))
    blind = policy_of(lambda seen: np.full((len(seen), star.n_actions), 1 / star.n_actions), star)
    legal = situations(star).masks.mean(axis=1)  # of each state that there is
    assert legal.min() < legal.max() < 1
    found = illegal_fraction(blind, star, 400, 0, WASTE)
    assert 1 - legal.max() < found < 1 - legal.min()
    assert illegal_fraction(policy_of(even, task), task, 50, 0) == 0
    assert illegal_fraction(policy_of(worst, star), star, 50, 0, RENORMALISE) == 1


def test_a_network_acts_as_after_training_and_is_left_as_it_was(task, tried):
    network = nn.Sequential(
        nn.Linear(task.observation_size, 8), nn.Dropout(0.9), nn.Linear(8, task.n_actions)
    ).train()
    policy = policy_of(network, task)
    np.testing.assert_array_equal(policy.probabilities(tried), policy.probabilities(tried))
    assert network.training
    logits = network.eval()(torch.tensor(tried.observations)).softmax(1).detach().numpy()
    np.testing.assert_allclose(policy.probabilities(tried), logits, atol=1e-6)


def test_a_network_that_gives_probabilities_is_taken_at_its_word(task, tried):
    network = nn.Sequential(nn.Linear(task.observation_size, task.n_actions), nn.Softmax(-1))
    expected = network(torch.tensor(tried.observations)).detach().numpy()
    found = policy_of(network, task).probabilities(tried)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_network_of_other_sizes_is_refused(task):
    class Strange(nn.Module):
        def forward(self, seen):
            return seen[:, :1]

    for network, said in (
        (nn.Sequential(nn.Linear(3, task.n_actions)), f"{task.observation_size} observations"),
        (nn.Sequential(nn.Linear(task.observation_size, 9)), f"{task.n_actions} actions"),
        (Strange(), "it gave [24, 1]"),
    ):
        with pytest.raises(InvalidInput) as refused:
            policy_of(network, task)
        assert said in str(refused.value)


@pytest.mark.parametrize("algorithm", [PPO, A2C, DQN])
def test_a_live_model_acts_as_the_library_says(algorithm, task, tried):
    model = algorithm(
        "MlpPolicy", gymnasium.make("powerseek/Homestead-v0", openness=0), seed=0, device="cpu"
    )
    policy = policy_of(model, task)
    found = policy.probabilities(tried)
    if algorithm is DQN:
        expected = model.predict(tried.observations, deterministic=True)[0]
        np.testing.assert_array_equal(found.argmax(axis=1), expected)
        assert set(found.ravel()) == {0.0, 1.0}
    else:
        drawn = model.policy.get_distribution(torch.tensor(tried.observations)).distribution
        np.testing.assert_allclose(found, drawn.probs.detach().numpy(), atol=1e-6)
    assert policy.illegal == WASTE


def test_a_live_model_is_given_what_it_was_trained_on(task, tried, tmp_path):
    envs = VecNormalize(DummyVecEnv([lambda: gymnasium.make("powerseek/Homestead-v0", openness=0)]))
    model = PPO("MlpPolicy", envs, n_steps=32, batch_size=32, seed=0, device="cpu").learn(32)
    seen = torch.tensor(envs.normalize_obs(tried.observations))
    expected = model.policy.get_distribution(seen).distribution.probs.detach().numpy()
    found = policy_of(model, task).probabilities(tried)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    model.save(tmp_path / "model")
    with pytest.raises(InvalidInput, match="VecNormalize"):
        policy_of(PPO.load(tmp_path / "model", device="cpu"), task)
