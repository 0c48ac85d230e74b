"""Other people's training loops run on our ids as on gymnasium's own: only the id changes."""

import gymnasium
import numpy as np
import pytest
import torch
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.env_util import make_vec_env
from torch.distributions import Categorical

import powerseek  # noqa: F401  # registers the ids; tests do not start by powerseek.pth

NUM_ENVS, NUM_STEPS, UPDATES = 3, 40, 2


@pytest.fixture(autouse=True)
def one_thread():
    """Threads of tiny networks only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def sync_envs(id):
    """Environments as single-file learners make them: wrapped one by one, reset a step later."""
    thunk = lambda: gymnasium.wrappers.RecordEpisodeStatistics(gymnasium.make(id))  # noqa: E731
    return gymnasium.vector.SyncVectorEnv([thunk] * NUM_ENVS)


def native_envs(id):
    """Environments that step together, and their wrapper."""
    envs = gymnasium.make_vec(id, num_envs=NUM_ENVS)
    return gymnasium.wrappers.vector.RecordEpisodeStatistics(envs)


def train(envs, seed=1):
    """PPO in the structure of CleanRL's single file; lengths of the episodes that ended."""
    torch.manual_seed(seed)
    size = int(np.prod(envs.single_observation_space.shape))
    assert isinstance(envs.single_action_space, gymnasium.spaces.Discrete)
    actor = torch.nn.Linear(size, int(envs.single_action_space.n))
    critic = torch.nn.Linear(size, 1)
    optimizer = torch.optim.Adam([*actor.parameters(), *critic.parameters()], lr=1e-3)
    observed = torch.zeros((NUM_STEPS, NUM_ENVS, *envs.single_observation_space.shape))
    actions, logprobs, rewards, dones, values = torch.zeros((5, NUM_STEPS, NUM_ENVS))
    lengths = []
    seen, done = torch.Tensor(envs.reset(seed=seed)[0]), torch.zeros(NUM_ENVS)
    for _ in range(UPDATES):
        for step in range(NUM_STEPS):
            observed[step], dones[step] = seen, done
            with torch.no_grad():
                chance = Categorical(logits=actor(seen))
                action, values[step] = chance.sample(), critic(seen).flatten()
            actions[step], logprobs[step] = action, chance.log_prob(action)
            given, reward, terminated, truncated, infos = envs.step(action.numpy())
            rewards[step] = torch.tensor(reward)
            seen, done = torch.Tensor(given), torch.Tensor(np.logical_or(terminated, truncated))
            episode = infos.get("episode", infos.get("final_info", {}).get("episode"))
            lengths += [] if episode is None else [n for n in episode["l"] if n]
        with torch.no_grad():
            advantages, last, following = torch.zeros_like(rewards), 0.0, critic(seen).flatten()
            for t in reversed(range(NUM_STEPS)):
                going = 1 - (done if t == NUM_STEPS - 1 else dones[t + 1])
                delta = rewards[t] + 0.99 * following * going - values[t]
                advantages[t] = last = delta + 0.99 * 0.95 * going * last
                following = values[t]
        chance = Categorical(logits=actor(observed))
        ratio = (chance.log_prob(actions) - logprobs).exp()
        surrogate = torch.min(advantages * ratio, advantages * ratio.clamp(0.8, 1.2)).mean()
        error = ((critic(observed)[..., 0] - advantages - values) ** 2).mean()
        optimizer.zero_grad()
        (error / 2 - surrogate - 0.01 * chance.entropy().mean()).backward()
        optimizer.step()
        assert all(p.isfinite().all() for p in actor.parameters())
    envs.close()
    return lengths


@pytest.mark.parametrize(
    ("id", "make"),
    [
        ("CartPole-v1", sync_envs),
        ("powerseek/Homestead-v0", sync_envs),
        ("powerseek/Homestead-v0", native_envs),
        ("powerseek/Minichess-v0", native_envs),
    ],
)
def test_a_single_file_loop_needs_the_id_alone(id, make):
    lengths = train(make(id))
    limit = gymnasium.make(id).unwrapped
    limit = limit.task.world.max_steps if hasattr(limit, "task") else 500
    assert len(lengths) >= NUM_ENVS
    assert 0 < max(lengths) <= limit


@pytest.mark.parametrize("algorithm", [PPO, DQN])
def test_stable_baselines3_needs_the_id_alone(algorithm):
    steps = {} if algorithm is DQN else {"n_steps": 64}
    model = algorithm("MlpPolicy", "powerseek/Homestead-v0", device="cpu", **steps)
    assert model.learn(64).num_timesteps >= 64
    envs = make_vec_env("powerseek/Homestead-v0", n_envs=2, env_kwargs={"openness": 0})
    model = algorithm("MlpPolicy", envs, device="cpu", **steps)
    assert model.learn(64).num_timesteps >= 64
