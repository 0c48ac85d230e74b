"""PyTorch's networks as policies, and what may be read of them from a stranger's file."""

from __future__ import annotations

import contextlib
import io
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from powerseek.agents.archive import opened
from powerseek.agents.foreign.fit import check_sizes
from powerseek.agents.foreign.functions import TOLERANCE, situations
from powerseek.agents.foreign.illegal import RENORMALISE
from powerseek.envs.task import Task
from powerseek.errors import InvalidInput
from powerseek.types import Bools, Floats, Policy, Situation

ACTIVATIONS: dict[str, type[nn.Module]] = {
    one.__name__: one
    for one in (nn.Identity, nn.ReLU, nn.SELU, nn.SiLU, nn.Mish, nn.Sigmoid, nn.Tanh)
}
_PLAIN: dict[type[nn.Module], tuple[str, ...]] = {
    nn.Linear: (),  # its weights say its size
    nn.LayerNorm: ("normalized_shape", "eps"),
    nn.ELU: ("alpha",),
    nn.GELU: ("approximate",),
    nn.LeakyReLU: ("negative_slope",),
    **dict.fromkeys(ACTIVATIONS.values(), ()),
}
"""Layers that are read from files, and of what each is made anew."""
_IDLE = (nn.Dropout, nn.Flatten)
_LAST = (nn.Softmax, nn.LogSoftmax)
"""Layers that change nothing after training; and at the end of a policy, which is a softmax."""
_COUNTS: list[Any] = [np.dtype, type(np.dtype(np.int64)), np.int64(0).__reduce__()[0]]
"""Makers of one whole number of NumPy, as `action_space.n` is, which layers keep as their size."""

WIDEST = 1_000_000
"""Numbers that a layer norm may be over: it is made before its weights are seen to fit."""
OWN_CODE = (
    "A network of your own class is code: write it into a file that builds it and loads its "
    "weights, net = Net(); net.load_state_dict(torch.load('weights.pt', weights_only=True)), and "
    "name that: powerseek evaluate file.py:net"
)


class ModulePolicy:
    """A network from observations to logits as a policy: it takes their softmax.

    Args:
        module: From [n, obs] float32 to [n, A].
        masked: True if it was trained over legal actions alone: the softmax is over these.
        greedy: True if it takes the greatest: what it gives are values of actions.
        illegal: What its illegal choices become.
        probable: True if it gives probabilities.
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        masked: bool = False,
        greedy: bool = False,
        illegal: str = RENORMALISE,
        probable: bool = False,
    ) -> None:
        self.module, self.masked, self.greedy = module, masked, greedy
        self.illegal, self.probable = illegal, probable

    def probabilities(self, situation: Situation) -> Floats:
        """[n, A]; rows sum to 1."""
        given = outputs(self.module, situation.observations)
        if self.probable:
            weights: Floats = given / given.sum(axis=1, keepdims=True)
            return weights
        return softmax(given, situation.masks if self.masked else None, self.greedy)


def outputs(module: nn.Module, observations: Any) -> Floats:
    """[n, A] that a network gives of observations [n, obs], as it does after training."""
    parameter = next(iter(module.parameters()), None)
    device = None if parameter is None else parameter.device
    was_training = module.training
    with contextlib.suppress(NotImplementedError):  # an exported program stays what it is
        module.eval()
    try:
        with torch.inference_mode():
            given = module(torch.tensor(observations, device=device))
    finally:
        with contextlib.suppress(NotImplementedError):
            module.train(was_training)
    return np.asarray(given.cpu().numpy(), np.float64)


def softmax(logits: Floats, masks: Bools | None, greedy: bool = False) -> Floats:
    """[n, A] weights over the actions with masks, or over all; greedy: 1 for the greatest."""
    if masks is not None:
        logits = np.where(masks, logits, -np.inf)
    if greedy:
        best: Floats = np.eye(logits.shape[1])[logits.argmax(axis=1)]
        return best
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    whole: Floats = weights / weights.sum(axis=1, keepdims=True)
    return whole


def module_policy(given: Any, task: Task, name: str) -> Policy | None:
    """A network as a policy, tried in a few situations; None of what is no network.

    One whose outputs are all probabilities is taken at its word.

    Raises:
        InvalidInput: It does not fit the task, or gives no numbers.
    """
    if not isinstance(given, nn.Module):
        return None
    linear = [each for each in given.modules() if isinstance(each, nn.Linear)]
    if type(given) is nn.Sequential and linear:
        check_sizes(name, task, linear[0].in_features, linear[-1].out_features)
    seen = situations(task).observations
    allowed = f"a network from observations [n, {task.observation_size}] to logits [n, "
    allowed += f"{task.n_actions}]"
    try:
        found = outputs(given, seen)
    except Exception as error:  # a network of a stranger raises what it likes
        words = " ".join(str(error).split())[:300]
        raise InvalidInput(
            "policy", name, allowed, f"It raised {type(error).__name__}: {words}"
        ) from error
    if found.shape != (len(seen), task.n_actions) or not np.isfinite(found).all():
        kind = "what are no numbers" if found.shape[1:] == (task.n_actions,) else list(found.shape)
        raise InvalidInput("policy", name, allowed, f"Of {len(seen)} observations it gave {kind}.")
    sums = abs(found.sum(axis=1) - 1) < TOLERANCE
    return ModulePolicy(given, probable=bool(sums.all() and (found >= 0).all()))


def read_network(path: str | Path) -> nn.Sequential:
    """Read a network that `torch.save` wrote whole, made anew of its layers and weights.

    Nothing in the file is executed: only an ``nn.Sequential`` of known layers is let in, and
    nothing but their kinds, settings and weights is used.

    Raises:
        ValueError: It is no such file; says what to write instead.
    """
    opened(path).close()
    content = Path(path).read_bytes()
    try:
        with torch.serialization.safe_globals([nn.Sequential, *_PLAIN, *_IDLE, *_LAST, *_COUNTS]):
            found = torch.load(io.BytesIO(content), "cpu", weights_only=True)
    except Exception as error:
        raise ValueError(f"It holds more than plain layers. {OWN_CODE}") from error
    if type(found) is not nn.Sequential:
        raise ValueError(f"It holds no nn.Sequential, whole ({type(found).__name__}). {OWN_CODE}")
    layers = list(_layers(found, set()))
    if layers and type(layers[-1]) in _LAST:
        layers.pop()
    for layer in layers:
        if type(layer) not in _PLAIN:
            raise ValueError(f"It has a layer {type(layer).__name__}. {OWN_CODE}")
    return sequential([_anew(layer) for layer in layers])


def sequential(layers: Sequence[nn.Module]) -> nn.Sequential:
    """A network of layers.

    Raises:
        ValueError: Their sizes do not follow each other, or there is no linear one.
    """
    linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
    if not linear:
        raise ValueError("It has no linear layer.")
    for before, after in itertools.pairwise(linear):
        if before.out_features != after.in_features:
            raise ValueError("Its layers do not fit each other.")
    return nn.Sequential(*layers).requires_grad_(False).eval()


def _layers(network: nn.Module, seen: set[int]) -> Iterator[nn.Module]:
    """The layers of nested sequences, in order, but for those that do nothing after training."""
    if id(network) in seen:
        raise ValueError("It has a sequence of layers twice.")
    seen.add(id(network))
    for layer in network._modules.values():
        if type(layer) is nn.Sequential:
            yield from _layers(layer, seen)
        elif layer is not None and type(layer) not in _IDLE:
            yield layer


def _anew(layer: nn.Module) -> nn.Module:
    """The same layer, made of its settings and numbers alone."""
    kind, held = type(layer), {k: v for k, v in layer._parameters.items() if v is not None}
    settings = {name: _plain(layer.__dict__[name]) for name in _PLAIN[kind]}
    if kind is nn.Linear:
        return linear_layer(held.get("weight"), held.get("bias"))
    _check(held.values())
    make: Callable[..., nn.Module] = kind
    made = make(**settings)
    made.load_state_dict(held)
    return made


def _check(tensors: Iterable[Any]) -> None:
    """Refuse what are no numbers, or fewer than they say.

    Raises:
        ValueError: Some are.
    """
    for each in tensors:
        if type(each) not in (nn.Parameter, torch.Tensor) or not each.is_floating_point():
            raise ValueError("Its weights are no tensors of numbers.")
        if each.numel() * each.element_size() > each.untyped_storage().nbytes():
            raise ValueError("It holds fewer weights than it says.")
        if not torch.isfinite(each).all():
            raise ValueError("Its weights are not all numbers.")


def _plain(setting: Any) -> Any:
    """A setting of a layer: a number, a word, or a shape."""
    if isinstance(setting, tuple):
        return tuple(map(_plain, setting))
    if isinstance(setting, int | np.integer) and setting <= WIDEST:
        return int(setting)
    if isinstance(setting, float | str):
        return setting
    raise ValueError("Its layers have settings of another kind.")


def linear_layer(weight: Any, bias: Any) -> nn.Linear:
    """A linear layer of its weights [out, in] and bias [out], which may be None.

    Raises:
        ValueError: They are no such numbers.
    """
    held = {"weight": weight} | ({} if bias is None else {"bias": bias})
    _check(held.values())
    if weight.ndim != 2:
        raise ValueError("Its weights are no matrix.")
    made = nn.Linear(weight.shape[1], weight.shape[0], bias is not None)
    made.load_state_dict(held)
    return made
