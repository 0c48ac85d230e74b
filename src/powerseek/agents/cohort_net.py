"""A policy and a value network as flat vectors, with a backward pass of their own.

A minibatch of these networks is a few matrix products of tens of microseconds each; automatic
differentiation would cost as much again. The parameters are those of a network of
Stable-Baselines3: its tensors become views of the vector here, so both are always the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

ALIGNED = 16
"""Floats in 64 bytes. BLAS may add in another order where an array starts elsewhere."""

Tensor = torch.Tensor
_MINUS_ONE = torch.tensor(-1.0)


@dataclass(frozen=True)
class Layer:
    """One affine layer and the gradient of the loss in it, all views of flat vectors.

    Attributes:
        weight: [out, in].
        across: The same, [in, out].
        bias: [out].
        weight_slope: [out, in].
        bias_slope: [out].
    """

    weight: Tensor
    across: Tensor
    bias: Tensor
    weight_slope: Tensor
    bias_slope: Tensor


class Scratch:
    """Where passes over `rows` rows leave their numbers; overwritten by every pass.

    Agents of one cohort take turns in it: nothing is read that the same pass did not write.

    Args:
        rows: Rows at a time.
        inputs: Width of the observation.
        net: Widths of the hidden layers.
        actions: Number of actions A.

    Attributes:
        inputs: [rows, inputs]; filled by the caller.
        hidden: [rows, width] per hidden layer, after the activation.
        hidden_slopes: Gradient of the loss before that activation.
        logits: [rows, A].
        values: [rows, 1].
        logits_slope: Gradient of the loss in `logits`; filled by the caller.
        values_slope: Likewise in `values`.
    """

    def __init__(self, rows: int, inputs: int, net: Sequence[int], actions: int) -> None:
        self.inputs = torch.zeros(rows, inputs)
        self.hidden = [torch.zeros(rows, width) for width in net]
        self.hidden_slopes = [torch.zeros(rows, width) for width in net]
        self.logits, self.logits_slope = torch.zeros(2, rows, actions).unbind()
        self.values, self.values_slope = torch.zeros(2, rows, 1).unbind()


class Networks:
    """The policy and the value network of one agent.

    Args:
        network: An actor-critic network of Stable-Baselines3 whose layers are affine, tanh or
            relu between them; from now on its parameters are views of `weights`.

    Attributes:
        weights: [P] all parameters, each tensor padded with zeros to 64 bytes.
        slope: [P] the gradient of the loss in them; the padding stays 0.
        policy: Layers from observation to logits.
        value: Layers from observation to value.
    """

    def __init__(self, network: Any) -> None:
        self.relu = issubclass(network.activation_fn, torch.nn.ReLU)
        spans, size = {}, 0
        for parameter in network.parameters():
            spans[id(parameter)] = (size, parameter.numel())
            size += -(-parameter.numel() // ALIGNED) * ALIGNED
        self.weights, self.slope = torch.zeros(size), torch.zeros(size)

        def view(flat: Tensor, parameter: Tensor) -> Tensor:
            start, count = spans[id(parameter)]
            return flat[start : start + count].view(parameter.shape)

        def layer(module: Any) -> Layer:
            for parameter in (module.weight, module.bias):
                held = view(self.weights, parameter)
                held.copy_(parameter.data)
                parameter.requires_grad_(False)
                parameter.data = held
            slopes = (view(self.slope, parameter) for parameter in (module.weight, module.bias))
            weight = module.weight.data
            return Layer(weight, weight.t(), module.bias.data, *slopes)

        towers = network.mlp_extractor
        self.policy = [layer(m) for m in (*_affine(towers.policy_net), network.action_net)]
        self.value = [layer(m) for m in (*_affine(towers.value_net), network.value_net)]

    def logits(self, scratch: Scratch) -> Tensor:
        """Logits [rows, A] of the scratch's inputs, left there too."""
        return self._forward(self.policy, scratch, scratch.logits)

    def values(self, scratch: Scratch) -> Tensor:
        """Values [rows, 1], likewise."""
        return self._forward(self.value, scratch, scratch.values)

    def backward_policy(self, scratch: Scratch) -> None:
        """The policy's part of `slope`, from ``logits_slope``; straight after `logits`."""
        self._backward(self.policy, scratch, scratch.logits_slope)

    def backward_value(self, scratch: Scratch) -> None:
        """The value's part of `slope`, from ``values_slope``; straight after `values`."""
        self._backward(self.value, scratch, scratch.values_slope)

    def _forward(self, layers: Sequence[Layer], scratch: Scratch, out: Tensor) -> Tensor:
        below = scratch.inputs
        for layer, hidden in zip(layers[:-1], scratch.hidden, strict=True):
            if self.relu:
                torch.addmm(layer.bias, below, layer.across, out=hidden)
                hidden.clamp_(min=0.0)
            else:
                # tanh x = 2 / (1 + exp(-2 x)) - 1, five times as fast as the library's tanh.
                torch.addmm(layer.bias, below, layer.across, beta=2, alpha=2, out=hidden)
                torch.add(_MINUS_ONE, hidden.sigmoid_(), alpha=2, out=hidden)
            below = hidden
        return torch.addmm(layers[-1].bias, below, layers[-1].across, out=out)

    def _backward(self, layers: Sequence[Layer], scratch: Scratch, slope: Tensor) -> None:
        for i in range(len(layers) - 1, -1, -1):
            layer = layers[i]
            below = scratch.hidden[i - 1] if i else scratch.inputs
            torch.sum(slope, 0, out=layer.bias_slope)
            if i == 0:
                # Observations are of odd widths, for which BLAS is faster this way round.
                layer.weight_slope.copy_(torch.mm(below.t(), slope).t())
            else:
                torch.mm(slope.t(), below, out=layer.weight_slope)
                ahead = scratch.hidden_slopes[i - 1]
                torch.mm(slope, layer.weight, out=ahead)
                slope = self._through(ahead, below)

    def _through(self, slope: Tensor, hidden: Tensor) -> Tensor:
        """The slope before the activation whose result is `hidden`, in place."""
        aten = torch.ops.aten
        if self.relu:
            aten.threshold_backward.grad_input(slope, hidden, 0.0, grad_input=slope)
        else:
            aten.tanh_backward.grad_input(slope, hidden, grad_input=slope)
        return slope


class Adam:
    """Adam (Kingma and Ba 2015, arXiv:1412.6980) on one agent's flat vectors.

    Constants are those of Stable-Baselines3's PPO: betas .9 and .999, epsilon 1e-5.
    """

    def __init__(self, size: int) -> None:
        self.mean, self.square, self.scale = torch.zeros(3, size).unbind()
        self.steps = 0

    def step(self, weights: Tensor, slope: Tensor, learning_rate: float) -> None:
        """Change `weights` [P] in place by one step down `slope` [P]."""
        self.steps += 1
        self.mean.lerp_(slope, 1 - 0.9)
        self.square.mul_(0.999).addcmul_(slope, slope, value=1 - 0.999)
        rate = learning_rate / (1 - 0.9**self.steps)
        torch.sqrt(self.square, out=self.scale)
        self.scale.div_((1 - 0.999**self.steps) ** 0.5).add_(1e-5)
        weights.addcdiv_(self.mean, self.scale, value=-rate)


def clip_norm(slope: Tensor, most: float) -> float:
    """Scale one agent's `slope` [P] in place to a Euclidean norm of at most `most`.

    Returns:
        The norm before.
    """
    norm = float(torch.linalg.vector_norm(slope))
    if norm + 1e-6 > most:
        slope.mul_(most / (norm + 1e-6))
    return norm


def _affine(modules: Any) -> Iterator[Any]:
    return (module for module in modules if isinstance(module, torch.nn.Linear))
