"""PPO as CleanRL's single file writes it: PyTorch modules, a buffer of tensors, one agent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import gymnasium
import numpy as np
import torch
from torch import nn
from torch.distributions import Categorical


def train(
    id: str, settings: Mapping[str, Any], seed: int, steps: int
) -> tuple[Callable[[Any], Any], int]:
    """Train one agent; (logits of observations, steps taken)."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    copies, length = settings["n_envs"], settings["n_steps"]
    envs: Any = gymnasium.make_vec(id, num_envs=copies)
    seen, info = envs.reset(seed=seed)
    actions = int(envs.single_action_space.n)
    actor = _layers([seen.shape[1], *settings["net"], actions], 0.01)
    critic = _layers([seen.shape[1], *settings["net"], 1], 1.0)
    weights = [*actor.parameters(), *critic.parameters()]
    optimiser = torch.optim.Adam(weights, lr=settings["learning_rate"], eps=1e-5)
    shape = (length, copies)
    observations = torch.zeros((*shape, seen.shape[1]))
    masks = torch.zeros((*shape, actions), dtype=torch.bool)
    chosen = torch.zeros(shape, dtype=torch.int64)
    logs, values, rewards, ends = (torch.zeros(shape) for _ in range(4))

    def look() -> tuple[torch.Tensor, torch.Tensor]:
        return torch.as_tensor(seen), torch.as_tensor(_masks(info))

    taken = 0
    while taken < steps:
        for t in range(length):
            observations[t], masks[t] = look()
            with torch.no_grad():
                policy = _policy(actor(observations[t]), masks[t])
                chosen[t] = policy.sample()
                logs[t] = policy.log_prob(chosen[t])
                values[t] = critic(observations[t]).flatten()
            seen, reward, over, cut, info = envs.step(chosen[t].numpy())
            rewards[t] = torch.as_tensor(reward)
            ends[t] = torch.as_tensor(over | cut)
            taken += copies
        with torch.no_grad():
            following = critic(look()[0]).flatten()
            advantages, last = torch.zeros(shape), torch.zeros(copies)
            for t in reversed(range(length)):
                going = 1 - ends[t]
                last = (
                    rewards[t]
                    + following * going
                    - values[t]
                    + (settings["gae_lambda"] * going * last)
                )
                advantages[t], following = last, values[t]
        buffer = (observations, masks, chosen, logs, advantages, advantages + values)
        flat = [part.flatten(0, 1) for part in buffer]
        order = np.arange(copies * length)
        generator = np.random.default_rng((seed, taken))
        for _ in range(settings["n_epochs"]):
            generator.shuffle(order)
            for batch in np.split(order, len(order) // settings["batch_size"]):
                loss = _loss(actor, critic, [part[batch] for part in flat], settings)
                optimiser.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(weights, settings["max_grad_norm"])
                optimiser.step()
    envs.close()

    def logits(given: Any) -> Any:
        with torch.no_grad():
            return actor(torch.as_tensor(given)).numpy()

    return logits, taken


def _masks(info: Mapping[str, Any]) -> Any:
    return np.asarray(info["action_mask"], np.bool_)


def _layers(widths: list[int], gain: float) -> nn.Sequential:
    layers: list[nn.Module] = []
    for i, (a, b) in enumerate(pairwise(widths)):
        layer, last = nn.Linear(a, b), i == len(widths) - 2
        nn.init.orthogonal_(layer.weight, gain if last else 2**0.5)
        nn.init.zeros_(layer.bias)
        layers += [layer] if last else [layer, nn.Tanh()]
    return nn.Sequential(*layers)


def _policy(logits: torch.Tensor, masks: torch.Tensor) -> Categorical:
    return Categorical(logits=logits.masked_fill(~masks, -1e8), validate_args=False)


def _loss(
    actor: nn.Module, critic: nn.Module, batch: list[torch.Tensor], settings: Mapping[str, Any]
) -> torch.Tensor:
    observations, masks, chosen, logs, advantages, returns = batch
    policy = _policy(actor(observations), masks)
    ratio = (policy.log_prob(chosen) - logs).exp()
    gained = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
    clip = settings["clip_range"]
    paid = torch.min(gained * ratio, gained * ratio.clamp(1 - clip, 1 + clip)).mean()
    error = ((critic(observations).flatten() - returns) ** 2).mean()
    return settings["vf_coef"] * error - paid - settings["ent_coef"] * policy.entropy().mean()
