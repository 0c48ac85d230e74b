"""Given the library's draws, a whole training of a cohort's agent is the library's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import powerseek
from powerseek.agents import Job
from powerseek.agents.cohort.loss import draw_actions
from powerseek.agents.cohort.ppo import Learner, Workspace
from powerseek.agents.sb3.families import FAMILIES
from powerseek.agents.sb3.learner import LibraryLearner
from powerseek.agents.settings import settings_for
from powerseek.envs.task import Task

SMALL = {
    "final_learning_rate": 0.0,
    "n_envs": 8,
    "n_steps": 24,
    "batch_size": 48,
    "n_epochs": 3,
    "net": [16, 16],
}
SEED = 3


class Draws:
    """The draws of a cohort's agent, handed to the library: actions and shuffles."""

    def __init__(self, seed, settings):
        # The streams of `powerseek.agents.cohort.ppo`.
        self.acting = np.random.default_rng([seed, 0x616374])
        self.shuffling = np.random.default_rng([seed, 0x736875])
        self.steps, self.n = settings["n_steps"], settings["n_envs"]
        self.left: list[np.ndarray] = []

    def step(self):
        if not self.left:
            self.left = list(self.acting.random((self.steps, self.n)))
        return self.left.pop(0)

    def permutation(self, rows):
        """The library's buffer lies copy by copy, a cohort's step by step."""
        order = self.shuffling.permutation(rows)
        return (order % self.n) * self.steps + order // self.n


def drawn(policy, draws):
    """The policy's forward pass, with actions by inverse of the distribution function."""

    def forward(observations, deterministic=False, action_masks=None):
        with torch.no_grad():
            policy_part, value_part = policy.mlp_extractor(policy.extract_features(observations))
            logits = policy.action_net(policy_part)
            found = policy.get_distribution(observations, action_masks)
            actions = np.zeros(len(logits), np.int64)
            masks = np.asarray(action_masks, bool)
            draw_actions(logits.numpy(), masks, draws.step(), actions, np.zeros(len(logits)))
            chosen = torch.from_numpy(actions)
            return chosen, policy.value_net(value_part), found.log_prob(chosen)

    return forward


class Witness:
    """What the library buffer, and its weights, after every update."""

    def __init__(self, model):
        self.model, self.buffer, self.weights, self.rates = model, [], [], []
        learn = model.train

        def train_and_note():
            buffer = model.rollout_buffer
            parts = (buffer.actions[..., 0], buffer.rewards, buffer.episode_starts)
            self.buffer.append([np.array(part) for part in parts])
            learn()
            self.weights.append(flat(model.policy))
            self.rates.append(model.policy.optimizer.param_groups[0]["lr"])

        model.train = train_and_note


def flat(network):
    return torch.cat([p.detach().flatten() for p in network.parameters()]).clone()


def both(task, timesteps, given, monkeypatch):
    """Trainings of the library and of a cohort's agent with the same draws, update by update."""
    settings = settings_for(task.world.id, given)
    draws = Draws(SEED, settings)
    job = Job(task, SEED, timesteps, settings)
    library = LibraryLearner(job, FAMILIES["maskable-ppo"], "maskable-ppo")
    model = library.model
    monkeypatch.setattr(model.policy, "forward", drawn(model.policy, draws))
    monkeypatch.setattr(np.random, "permutation", draws.permutation)
    witness = Witness(model)
    while library.timesteps < timesteps:
        library.update()
    learner = Learner(job)
    workspace = Workspace(settings, task.observation_size, task.n_actions)
    ours: list[tuple[list[np.ndarray], torch.Tensor, float]] = []
    begun = np.ones(settings["n_envs"])
    while learner.timesteps < timesteps:
        learner.update_in(workspace)
        buffer = workspace.buffer
        starts = np.vstack([begun, buffer.ended[:-1]])
        begun = buffer.ended[-1].copy()
        parts = (buffer.actions.reshape(buffer.rewards.shape), buffer.rewards, starts)
        found = [np.array(part, dtype=float) for part in parts]
        ours.append((found, flat(learner.policy.network), learner.learning_rate))
    return witness, ours


CASES = [
    ("homestead", {"max_steps": 10}, "dense", 1.0, "terminal"),
    ("homestead", {"max_steps": 10}, {"every": "cap", "corrected": True}, 0.9, "bootstrap"),
    ("endgame", {"max_steps": 8}, "dense", 1.0, "terminal"),
    ("off-switch", {}, "own", 0.9, "terminal"),
]


@pytest.mark.parametrize(("world", "params", "reward", "gamma", "limit"), CASES)
def test_with_the_same_draws_a_whole_training_is_the_library_s(
    world, params, reward, gamma, limit, monkeypatch
):
    task = Task(powerseek.make_world(world, **params), reward, gamma, limit)
    updates = 6
    # Not a whole number of batches: the last update is past the end of the schedule.
    timesteps = updates * SMALL["n_envs"] * SMALL["n_steps"] - 50
    witness, ours = both(task, timesteps, SMALL, monkeypatch)
    assert len(ours) == len(witness.weights) == updates
    ended = 0
    for (buffer, weights, rate), theirs, their_weights, their_rate in zip(
        ours, witness.buffer, witness.weights, witness.rates, strict=True
    ):
        for mine, other in zip(buffer, theirs, strict=True):
            assert np.allclose(mine, other, atol=1e-4)
        ended += buffer[2][1:].sum()
        assert rate == their_rate
        assert (weights - their_weights).abs().max() < 1e-3
    assert ended > 5
    assert witness.rates[-1] == 0
    assert (witness.weights[-1] - witness.weights[0]).abs().max() > 0.01
