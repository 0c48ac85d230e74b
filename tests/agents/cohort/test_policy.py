"""Many situations pass through compiled loops, few through PyTorch: the same policy."""

import numpy as np
import pytest
import torch
from worlds import Ladder

from powerseek.agents import load_agent, save_agent, train
from powerseek.agents.cohort import policy as module
from powerseek.agents.cohort.policy import CohortPolicy
from powerseek.agents.sb3.policy import NetworkPolicy
from powerseek.envs.task import Task
from powerseek.types import Situation

TASK = Task(Ladder(hazard=0.1, max_steps=6), {"every": 4})


@pytest.fixture(scope="module", params=["tanh", "relu"])
def agent(request):
    settings = {"activation": request.param, "net": [16, 8], "n_steps": 64, "n_envs": 4}
    settings |= {"batch_size": 64}
    return train(TASK, "cohort-ppo", timesteps=256, settings=settings)


def situation(n, seed=0):
    rng = np.random.default_rng(seed)
    seen = rng.normal(size=(n, TASK.observation_size)).astype(np.float32)
    masks = rng.random((n, TASK.n_actions)) < 0.7
    masks[:, 0] = True
    return Situation(seen, masks, TASK.world.records(n))


def test_many_rows_are_what_pytorch_makes_of_them(agent, monkeypatch):
    shown = situation(module.MANY + 3)
    plain = NetworkPolicy(agent.policy.network, masked=True).probabilities(shown)
    calls = []
    monkeypatch.setattr(torch, "tensor", lambda *_, **__: calls.append(1))
    found = agent.policy.probabilities(shown)
    assert not calls  # PyTorch had no part in it
    np.testing.assert_allclose(found, plain, atol=1e-5)
    assert (found[~shown.masks] == 0).all()
    assert np.ptp(found) > 0.1


def test_few_rows_are_those_of_the_library_bit_for_bit(agent):
    shown = situation(module.MANY - 1)
    plain = NetworkPolicy(agent.policy.network, masked=True).probabilities(shown)
    assert np.array_equal(agent.policy.probabilities(shown), plain)


def test_a_row_does_not_know_its_neighbours(agent):
    shown = situation(2 * module.MANY)
    half = Situation(*(part[: module.MANY] for part in (shown.observations, shown.masks)), None)
    found = agent.policy.probabilities(shown)[: module.MANY]
    assert np.array_equal(found, agent.policy.probabilities(half))


def test_a_kept_agent_computes_alike(agent, tmp_path):
    path = save_agent(agent, TASK, tmp_path / "agent")
    loaded = load_agent(path, TASK)
    assert isinstance(loaded.policy, CohortPolicy)
    for n in (50, module.MANY + 3):
        shown = situation(n)
        assert np.array_equal(loaded.policy.probabilities(shown), agent.policy.probabilities(shown))
