"""The policy of a cohort's agent, which exact evaluation asks about thousands of situations."""

from __future__ import annotations

from typing import Any

from powerseek.agents.cohort.backend import Compiled
from powerseek.agents.cohort.network import Networks, compiles
from powerseek.agents.sb3.policy import NetworkPolicy
from powerseek.types import Floats32, Policy

MANY = 2048
"""Rows from which on compiled loops compute: more than episodes are run side by side, so that
these are the same whatever else is measured."""


class CohortPolicy(NetworkPolicy):
    """A network of which few rows pass through PyTorch, many through the loops it was trained by.

    These take a fifth of the time; both compute the same up to rounding in single precision.

    Args:
        network: The actor-critic network.
        networks: Its parameters, or equal ones.

    Attributes:
        prior: The policy that the last of its phases with a reward began with; None of a training
            without phases before it.
    """

    prior: Policy | None = None

    def __init__(self, network: Any, networks: Networks) -> None:
        super().__init__(network, masked=True)
        self.networks = networks

    def logits(self, observations: Floats32) -> Floats32:
        """See `NetworkPolicy.logits`."""
        networks = self.networks
        if len(observations) < MANY or not compiles(networks.weights.device):
            return super().logits(observations)
        inputs, *net, actions = networks.policy_widths
        return Compiled(net, inputs, actions).logits(networks, observations)
