"""Behaviour cloning: gradient steps on the cross-entropy of demonstrated actions."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from powerseek.agents.cohort.network import Adam, Networks, Scratch
from powerseek.agents.phases import Demonstrations
from powerseek.types import Bools, Floats, Floats32, Ints

SHORTEST = -1e9
"""Logarithm of what is no probability: of illegal actions."""


class Cloning:
    """Passes of minibatches of one size through a policy network.

    Args:
        networks: Of the agent; their value network keeps its weights.
        batch_size: Transitions in a gradient step.
        device: Where they live, as PyTorch names it.
    """

    def __init__(self, networks: Networks, batch_size: int, device: str = "cpu") -> None:
        inputs, *net, actions = networks.policy_widths
        self.networks = networks
        self._scratch = Scratch(batch_size, inputs, net, actions, device)

    def step(
        self, adam: Adam, shown: Demonstrations, rows: Ints, rate: float, max_norm: float
    ) -> float:
        """One gradient step on some `rows` of what was demonstrated; their mean loss, in nats."""
        networks, scratch = self.networks, self._scratch
        scratch.inputs.copy_(torch.from_numpy(shown.observations[rows]))
        logits = scratch.forward(networks.policy, networks.relu, scratch.logits)
        logs = log_softmax(logits.cpu().numpy(), shown.masks[rows])
        taken = np.arange(len(rows)), shown.actions[rows]
        grad = np.exp(logs)
        grad[taken] -= 1.0
        networks.grad.zero_()
        scratch.logits_grad.copy_(torch.from_numpy((grad / len(rows)).astype(np.float32)))
        scratch.backward(networks.policy, networks.relu, scratch.logits_grad)
        adam.step(networks.weights, networks.grad, rate, max_norm)
        return float(-logs[taken].mean())


def log_softmax(logits: Floats32, masks: Bools) -> Floats:
    """[n, A] log probabilities among the legal actions, of logits [n, A]; `SHORTEST` of others."""
    legal: Any = np.where(masks, logits.astype(np.float64), SHORTEST)
    legal -= legal.max(axis=1, keepdims=True)
    logs: Floats = legal - np.log(np.exp(legal).sum(axis=1, keepdims=True))
    return np.where(masks, logs, SHORTEST)
