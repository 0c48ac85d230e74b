"""Networks that are no actor of the present alone as policies: of values, and with a memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from powerseek.agents.job import Settings
from powerseek.agents.sb3.families import Family
from powerseek.agents.sb3.policy import NetworkPolicy, distinct_observations
from powerseek.errors import InvalidInput
from powerseek.types import Floats, Floats32, Policy, Situation

REMEMBERS = "it remembers what it saw, so its probabilities depend on more than the situation"


def policy_of_network(family: Family, network: Any, settings: Settings) -> Policy:
    """A network of a family as the policy that was trained."""
    if family.acts == "values":
        return ValuePolicy(network, family.values, settings["exploration_final_eps"])
    if family.acts == "remembers":
        return MemoryPolicy(network)
    return NetworkPolicy(network, family.masked)


class ValuePolicy:
    """A network of action values as an eps-greedy policy.

    With probability `epsilon` an action at random, evenly of all, legal or not; else the one of
    the greatest value, the first of them. So it acted at the end of its training.

    Args:
        network: The library's, with its target network.
        part: The part of it that gives values [n, A], or their quantiles [n, Q, A].
        epsilon: The probability of an action at random.
    """

    def __init__(self, network: Any, part: str, epsilon: float) -> None:
        self.network, self.part, self.epsilon = network, part, epsilon

    def probabilities(self, situation: Situation) -> Floats:
        """Action probabilities [n, A]; rows sum to 1, of values that are no numbers are nan."""
        first, which = distinct_observations(situation.observations)
        values = self.values(situation.observations.take(first, axis=0))
        count, actions = values.shape
        weights: Floats = np.full((count, actions), self.epsilon / actions)
        weights[np.arange(count), values.argmax(axis=1)] += 1 - self.epsilon
        weights[np.isnan(values).any(axis=1)] = np.nan
        return weights.take(which, axis=0)

    def values(self, observations: Floats32) -> Floats32:
        """[n, A] of observations [n, obs]: of quantiles, their mean."""
        seen = torch.tensor(observations, device=self.network.device)
        with torch.inference_mode():
            given = getattr(self.network, self.part)(seen)
            values: Floats32 = (given.mean(dim=1) if given.ndim == 3 else given).cpu().numpy()
        return values


class MemoryPolicy:
    """A recurrent actor-critic network as a `powerseek.types.RecurrentPolicy`.

    Illegal actions have their weight: it was trained where they waste a step, and there it acts.

    Args:
        network: The library's, whose actor is an LSTM.
    """

    inexact = REMEMBERS

    def __init__(self, network: Any) -> None:
        self.network = network

    def begin(self, n: int) -> Floats32:
        """The memory [n, 2, layers, units] of n episodes that begin: hidden and cell states."""
        layers, _, units = self.network.lstm_hidden_state_shape
        return np.zeros((n, 2, layers, units), np.float32)

    def step(self, situation: Situation, memory: Floats32) -> tuple[Floats, Floats32]:
        """Action probabilities [n, A], and the memory after what is seen now."""
        network = self.network
        seen = torch.tensor(situation.observations, device=network.device)
        held = torch.tensor(memory, device=network.device).permute(1, 2, 0, 3).contiguous()
        with torch.inference_mode():
            features = network.pi_features_extractor(seen)[None]
            latent, after = network.lstm_actor(features, (held[0], held[1]))
            logits = network.action_net(network.mlp_extractor.forward_actor(latent[0]))
            probabilities: Floats = logits.double().softmax(dim=1).cpu().numpy()
            remembered: Floats32 = torch.stack(after).permute(2, 0, 1, 3).cpu().numpy()
        return probabilities, remembered

    def probabilities(self, situation: Situation) -> Floats:
        """Refused: they depend on what was seen before.

        Raises:
            InvalidInput: Always.
        """
        allowed = f"a policy of the situation alone: {REMEMBERS}"
        raise InvalidInput("policy", "recurrent", allowed, "Measure it on episodes.")
