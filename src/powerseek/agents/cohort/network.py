"""The parameters of a policy and a value network as flat vectors, and what computes with them.

The parameters are those of a network of Stable-Baselines3: its tensors become views of the vector
here, so both are always the same. On a processor the loops of `powerseek.agents.cohort.loss`
compute; on another device PyTorch does, whose automatic differentiation would cost as much again
as the products, so the backward pass is written out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from powerseek.agents.cohort.loss import adam_step
from powerseek.agents.cohort.simd import layout, padded_width
from powerseek.envs.engine.chance import INTERPRETED

Tensor = torch.Tensor


@dataclass(frozen=True)
class Layer:
    """One affine layer and the gradient of the loss in it, all views of flat vectors.

    Attributes:
        weight: [out, in].
        across: The same, [in, out].
        bias: [out].
        weight_grad: [out, in].
        bias_grad: [out].
    """

    weight: Tensor
    across: Tensor
    bias: Tensor
    weight_grad: Tensor
    bias_grad: Tensor


class Networks:
    """The policy and the value network of one agent.

    Args:
        network: An actor-critic network of Stable-Baselines3 whose layers are affine, tanh or
            relu between them; from now on its parameters are views of `weights`.
        device: Where they live, as PyTorch names it.

    Attributes:
        weights: [P] all parameters, laid out as `powerseek.agents.cohort.simd.layout` says,
            policy before value.
        grad: [P] the gradient of the loss in them; the padding stays 0.
        relu: True if the activation is relu; else tanh.
        policy_layout: [L, 3] where the policy's layers lie.
        value_layout: [L, 3] where the value's do.
        policy: Layers from observation to logits.
        value: Layers from observation to value.
    """

    def __init__(self, network: Any, device: str = "cpu") -> None:
        towers = network.to(device).mlp_extractor
        policy = [*_affine(towers.policy_net), network.action_net]
        value = [*_affine(towers.value_net), network.value_net]
        self.relu = issubclass(network.activation_fn, torch.nn.ReLU)
        self.policy_layout, size = layout(_widths(policy))
        self.value_layout, size = layout(_widths(value), size)
        self.weights, self.grad = torch.zeros(2, padded_width(size), device=device).unbind()
        self.policy = [self._layer(*p) for p in zip(policy, self.policy_layout, strict=True)]
        self.value = [self._layer(*p) for p in zip(value, self.value_layout, strict=True)]

    @property
    def policy_widths(self) -> list[int]:
        """Widths of the policy's layers: inputs, hidden ones, actions."""
        return [int(self.policy_layout[0, 1]), *self.policy_layout[:, 2].tolist()]

    @property
    def flops(self) -> tuple[int, int]:
        """Floating point operations of a forward pass of a row: the policy's, the value's."""
        policy, value = (
            2 * int((layers[:, 1] * layers[:, 2]).sum())
            for layers in (self.policy_layout, self.value_layout)
        )
        return policy, value

    def _layer(self, module: Any, place: Any) -> Layer:
        start, inputs, outputs = place.tolist()
        end = start + padded_width(inputs) * padded_width(outputs)

        def views(flat: Tensor) -> tuple[Tensor, Tensor]:
            across = flat[start:end].view(padded_width(inputs), -1)[:inputs, :outputs]
            return across, flat[end : end + outputs]

        across, bias = views(self.weights)
        for parameter, view in ((module.weight, across.t()), (module.bias, bias)):
            view.copy_(parameter.data)
            parameter.requires_grad_(False)
            parameter.data = view
        across_grad, bias_grad = views(self.grad)
        return Layer(across.t(), across, bias, across_grad.t(), bias_grad)


class Adam:
    """Adam (Kingma and Ba 2015, arXiv:1412.6980) on one agent's flat vectors.

    Constants are those of Stable-Baselines3's PPO: betas .9 and .999, epsilon 1e-5.

    Attributes:
        mean: [P] of the gradients.
        square: [P] of their squares.
        steps: Taken so far.
    """

    def __init__(self, size: int, device: str = "cpu") -> None:
        self.mean, self.square = torch.zeros(2, size, device=device).unbind()
        self.steps = 0

    def step(self, weights: Tensor, grad: Tensor, learning_rate: float, max_norm: float) -> float:
        """Change `weights` [P] in place by one step down `grad` [P], clipped.

        Args:
            weights: The parameters.
            grad: Their gradient.
            learning_rate: > 0.
            max_norm: Euclidean norm to which a longer gradient is scaled down.

        Returns:
            The gradient's norm.
        """
        self.steps += 1
        rate = learning_rate / (1 - 0.9**self.steps)
        correction = (1 - 0.999**self.steps) ** -0.5
        if compiles(weights.device):
            own = (self.mean.numpy(), self.square.numpy(), float(max_norm), rate, correction)
            return float(adam_step(weights.numpy(), grad.numpy(), *own))
        norm = float(torch.linalg.vector_norm(grad))
        if norm + 1e-6 > max_norm:
            grad.mul_(max_norm / (norm + 1e-6))
        self.mean.lerp_(grad, 1 - 0.9)
        self.square.mul_(0.999).addcmul_(grad, grad, value=1 - 0.999)
        scale = self.square.sqrt().mul_(correction).add_(1e-5)
        weights.addcdiv_(self.mean, scale, value=-rate)
        return norm


def compiles(device: torch.device | str) -> bool:
    """True if compiled loops compute there, and not PyTorch."""
    return torch.device(device).type == "cpu" and not INTERPRETED


class Scratch:
    """PyTorch's passes through networks over `rows` rows; what one leaves, the next overwrites.

    Agents of one cohort take turns in it: nothing is read that the same pass did not write.

    Args:
        rows: Rows at a time.
        inputs: Width of the observation.
        net: Widths of the hidden layers.
        actions: Number of actions A.
        device: Where, as PyTorch names it.

    Attributes:
        inputs: [rows, inputs]; filled by the caller.
        hidden: [rows, width] per hidden layer, after the activation.
        hidden_grads: Gradient of the loss before that activation.
        outputs: [rows, A] logits and [rows, 1] values.
        grads: Gradient of the loss in those; filled by the caller.
    """

    def __init__(
        self, rows: int, inputs: int, net: Sequence[int], actions: int, device: str = "cpu"
    ) -> None:
        def zeros(width: int) -> Tensor:
            return torch.zeros(rows, width, device=device)

        self.inputs = zeros(inputs)
        self.hidden = [zeros(width) for width in net]
        self.hidden_grads = [zeros(width) for width in net]
        self.logits, self.logits_grad = zeros(actions), zeros(actions)
        self.values, self.values_grad = zeros(1), zeros(1)

    def forward(self, layers: Sequence[Layer], relu: bool, out: Tensor) -> Tensor:
        """Fill `out` with what the inputs give."""
        below = self.inputs
        for layer, hidden in zip(layers[:-1], self.hidden, strict=True):
            torch.addmm(layer.bias, below, layer.across, out=hidden)
            hidden.clamp_(min=0.0) if relu else hidden.tanh_()
            below = hidden
        return torch.addmm(layers[-1].bias, below, layers[-1].across, out=out)

    def backward(self, layers: Sequence[Layer], relu: bool, grad: Tensor) -> None:
        """Fill the layers' grads, from that in what they gave; straight after `forward`."""
        aten = torch.ops.aten
        for i in range(len(layers) - 1, -1, -1):
            layer = layers[i]
            below = self.hidden[i - 1] if i else self.inputs
            layer.bias_grad.copy_(grad.sum(0))
            layer.weight_grad.copy_(grad.t() @ below)
            if i:
                ahead = self.hidden_grads[i - 1]
                torch.mm(grad, layer.weight, out=ahead)
                if relu:
                    aten.threshold_backward.grad_input(ahead, below, 0.0, grad_input=ahead)
                else:
                    aten.tanh_backward.grad_input(ahead, below, grad_input=ahead)
                grad = ahead


def _affine(modules: Any) -> Iterator[Any]:
    return (module for module in modules if isinstance(module, torch.nn.Linear))


def _widths(modules: Sequence[Any]) -> list[int]:
    return [modules[0].in_features, *(module.out_features for module in modules)]
