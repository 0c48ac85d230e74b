"""Forward and backward passes of an agent's networks: by compiled loops, or on a device.

Both kinds compute the same up to rounding; which of them does depends on the device alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from powerseek.agents.cohort.loss import (
    evaluate,
    gradient,
    mean_and_deviation,
    policy_grad,
    value_grad,
)
from powerseek.agents.cohort.network import Networks, Scratch, compiles
from powerseek.agents.cohort.simd import CHUNK, padded_width
from powerseek.agents.job import Settings
from powerseek.types import Floats32, Ints

if TYPE_CHECKING:
    from powerseek.agents.cohort.ppo import RolloutBuffer


class Passes(Protocol):
    """Passes through networks; agents of a cohort take turns in one."""

    def logits(self, networks: Networks, observations: Floats32) -> Floats32:
        """[n, A], valid until the next pass."""

    def values(self, networks: Networks, observations: Floats32) -> Floats32:
        """[n, 1], valid until the next pass."""

    def grad(
        self, networks: Networks, buffer: RolloutBuffer, rows: Ints, settings: Settings
    ) -> tuple[float, ...]:
        """Fill the networks' `grad` with the gradient of the loss on `rows` of the experience.

        Returns:
            Means over the rows: clipped loss, entropy, divergence, fraction clipped, squared error.
        """


def network_passes(settings: Settings, inputs: int, actions: int, device: str = "cpu") -> Passes:
    """For networks of these sizes."""
    kind = Compiled if compiles(device) else OnDevice
    return kind(settings["net"], inputs, actions, device)


class Compiled:
    """On the processor, in compiled loops that know neither batch nor companion."""

    def __init__(self, net: Sequence[int], inputs: int, actions: int, device: str = "cpu") -> None:
        depth, widest = len(net) + 1, max(padded_width(width) for width in (inputs, *net, actions))
        self._activations, self._deltas = np.zeros((2, depth + 1, CHUNK, widest), np.float32)
        self._transposed = np.zeros((2, depth, widest, widest), np.float32)
        self._logits = np.zeros((0, actions), np.float32)
        self._values = np.zeros((0, 1), np.float32)

    def logits(self, networks: Networks, observations: Floats32) -> Floats32:
        """As `Passes` says."""
        self._logits = _at_least(len(observations), self._logits)
        return self._evaluate(networks, networks.policy_layout, observations, self._logits)

    def values(self, networks: Networks, observations: Floats32) -> Floats32:
        """As `Passes` says."""
        self._values = _at_least(len(observations), self._values)
        return self._evaluate(networks, networks.value_layout, observations, self._values)

    def _evaluate(
        self, networks: Networks, layers: Ints, seen: Floats32, out: Floats32
    ) -> Floats32:
        out = out[: len(seen)]
        evaluate(networks.weights.numpy(), layers, networks.relu, self._activations, seen, out)
        return out

    def grad(
        self, networks: Networks, buffer: RolloutBuffer, rows: Ints, settings: Settings
    ) -> tuple[float, ...]:
        """As `Passes` says."""
        means: tuple[float, ...] = gradient(
            networks.weights.numpy(),
            networks.grad.numpy(),
            networks.policy_layout,
            networks.value_layout,
            networks.relu,
            self._activations,
            self._deltas,
            self._transposed,
            buffer.observations,
            rows,
            buffer.masks,
            buffer.actions,
            buffer.log_probabilities,
            buffer.advantages.reshape(-1),
            buffer.returns.reshape(-1),
            float(settings["clip_range"]),
            float(settings["ent_coef"]),
            float(settings["vf_coef"]),
        )
        return means


def _at_least(rows: int, array: Floats32) -> Floats32:
    return array if len(array) >= rows else np.zeros((rows, array.shape[1]), np.float32)


class OnDevice:
    """By PyTorch; the loss is on the processor: what networks give and its grads cross over."""

    def __init__(self, net: Sequence[int], inputs: int, actions: int, device: str = "cpu") -> None:
        self._sizes, self._device = (inputs, net, actions), device
        self._scratch: dict[int, Scratch] = {}

    def _filled(self, observations: Floats32) -> Scratch:
        n = len(observations)
        if n not in self._scratch:
            self._scratch[n] = Scratch(n, *self._sizes, self._device)
        self._scratch[n].inputs.copy_(torch.from_numpy(observations))
        return self._scratch[n]

    def logits(self, networks: Networks, observations: Floats32) -> Floats32:
        """As `Passes` says."""
        scratch = self._filled(observations)
        return _host(scratch.forward(networks.policy, networks.relu, scratch.logits))

    def values(self, networks: Networks, observations: Floats32) -> Floats32:
        """As `Passes` says."""
        scratch = self._filled(observations)
        return _host(scratch.forward(networks.value, networks.relu, scratch.values))

    def grad(
        self, networks: Networks, buffer: RolloutBuffer, rows: Ints, settings: Settings
    ) -> tuple[float, ...]:
        """As `Passes` says."""
        scratch, fraction = self._filled(buffer.observations[rows]), 1.0 / len(rows)
        relu, advantages = networks.relu, buffer.advantages.reshape(-1)
        logits = _host(scratch.forward(networks.policy, relu, scratch.logits))
        into: Any = np.zeros_like(logits)
        parts = policy_grad(
            logits,
            rows,
            buffer.masks,
            buffer.actions,
            buffer.log_probabilities,
            advantages,
            *mean_and_deviation(advantages, rows),
            float(settings["clip_range"]),
            float(settings["ent_coef"]),
            fraction,
            into,
        )
        scratch.logits_grad.copy_(torch.from_numpy(into))
        scratch.backward(networks.policy, relu, scratch.logits_grad)
        values = _host(scratch.forward(networks.value, relu, scratch.values))
        into = np.zeros_like(values)
        vf_coef = float(settings["vf_coef"])
        error = value_grad(values, rows, buffer.returns.reshape(-1), vf_coef, fraction, into)
        scratch.values_grad.copy_(torch.from_numpy(into))
        scratch.backward(networks.value, relu, scratch.values_grad)
        return tuple(part / len(rows) for part in (*parts, error))


def _host(tensor: torch.Tensor) -> Floats32:
    array: Floats32 = tensor.cpu().numpy()
    return array
