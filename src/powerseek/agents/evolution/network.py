"""Small networks as flat vectors, many at once: what chooses actions in training and afterwards.

One loop computes both, a row at a time and every sum in one order, so that a row's numbers depend
neither on what stands beside it nor on who asks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from powerseek.envs.engine.compile import loop_of_numbers
from powerseek.types import Bools, Floats, Floats32, Ints, Situation

_f = np.float32
_MAXIMUM = _f(7.90531110763549805)
_P1, _P3 = _f(4.89352455891786e-03), _f(6.37261928875436e-04)
_P5, _P7 = _f(1.48572235717979e-05), _f(5.12229709037114e-08)
_P9, _P11, _P13 = _f(-8.60467152213735e-11), _f(2.00018790482477e-13), _f(-2.76076847742355e-16)
_Q0, _Q2 = _f(4.89352518554385e-03), _f(2.26843463243900e-03)
_Q4, _Q6 = _f(1.18534705686654e-04), _f(1.19825839466702e-06)


class Layout:
    """The places of a network's layers in a flat vector.

    Of every layer the weights [inputs, outputs] come first, then its biases [outputs].

    Args:
        inputs: Features.
        hidden: Widths of the hidden layers; none of them makes a linear network.
        actions: Logits.

    Attributes:
        layers: [L, 3] offset, inputs and outputs of each layer.
        size: Numbers in a vector.
    """

    def __init__(self, inputs: int, hidden: Sequence[int], actions: int) -> None:
        rows, start = [], 0
        for above, below in pairwise((inputs, *hidden, actions)):
            rows.append((start, above, below))
            start += (above + 1) * below
        self.layers: Ints = np.array(rows, np.int64)
        self.size = start

    @property
    def flops(self) -> int:
        """Floating point operations in the products of a row."""
        return 2 * int((self.layers[:, 1] * self.layers[:, 2]).sum())

    @property
    def scratch(self) -> Floats32:
        """[L + 1, widest] room for what the layers of one row give."""
        return np.zeros((len(self.layers) + 1, int(self.layers[:, 1:].max())), np.float32)

    def initial(self, n: int, generator: np.random.Generator) -> Floats:
        """[n, size] untrained networks.

        Weights are normal with variance 1 / inputs, those of the last layer a hundredth of that
        wide, biases 0: every legal action is about as likely.
        """
        found = np.zeros((n, self.size))
        for start, inputs, outputs in self.layers.tolist():
            wide = 0.01 if start == self.layers[-1, 0] else 1.0
            drawn = generator.normal(size=(n, inputs * outputs))
            found[:, start : start + inputs * outputs] = drawn * wide / math.sqrt(inputs)
        return found


class EvolvedPolicy:
    """A network as a `powerseek.types.Policy`: the softmax of its logits over legal actions.

    Args:
        weights: [size] its parameters.
        layout: Where they lie.
        relu: True if its activation is relu; else tanh.

    Attributes:
        lineage: The ancestors of a champion (`powerseek.agents.evolution.lineage`); None of the
            mean of a distribution, which has none.
    """

    def __init__(self, weights: Floats32, layout: Layout, relu: bool, lineage: Any = None) -> None:
        self.weights, self.layout, self.relu, self.lineage = weights, layout, relu, lineage

    def probabilities(self, situation: Situation) -> Floats:
        """[n, A]; rows sum to 1."""
        seen = np.ascontiguousarray(situation.observations, np.float32)
        found: Floats = np.empty(situation.masks.shape)
        layers, between = self.layout.layers, self.layout.scratch
        _probabilities(self.weights, layers, self.relu, seen, situation.masks, between, found)
        return found


def choose_actions(
    members: Floats32,
    layout: Layout,
    relu: bool,
    seen: Floats32,
    masks: Bools,
    draws: Floats,
    running: Bools,
    chosen: Ints,
) -> int:
    """Draw an action for every environment that runs; the others get their first legal one.

    Args:
        members: [P, size] the networks.
        layout: Where their parameters lie.
        relu: True if their activation is relu; else tanh.
        seen: [P x E, obs] observations, the E environments of the first member first.
        masks: [P x E, A] legal actions, at least one a row.
        draws: [E] uniform in [0, 1), one for each environment of every member.
        running: [P x E] where a network is asked.
        chosen: [P x E]; written.

    Returns:
        How many rows passed through a network.
    """
    weights = np.empty(masks.shape[1])
    between = layout.scratch
    rows: int = _choose(
        members, layout.layers, relu, seen, masks, draws, running, between, weights, chosen
    )
    return rows


@loop_of_numbers
def _tanh(x: Any) -> Any:
    """By Eigen's rational approximation, as in `powerseek.agents.cohort.simd`."""
    x = _MAXIMUM if x > _MAXIMUM else x
    x = -_MAXIMUM if x < -_MAXIMUM else x
    y = x * x
    above = x * (_P1 + y * (_P3 + y * (_P5 + y * (_P7 + y * (_P9 + y * (_P11 + y * _P13))))))
    return above / (_Q0 + y * (_Q2 + y * (_Q4 + y * _Q6)))


@loop_of_numbers
def _activate(out: Any, relu: bool) -> None:
    """The activation of [n], in place."""
    if relu:
        for j in range(len(out)):
            out[j] = out[j] if out[j] > 0.0 else _f(0.0)
    else:
        for j in range(len(out)):
            out[j] = _tanh(out[j])


@loop_of_numbers
def _forward(flat: Any, layers: Any, relu: bool, seen: Any, between: Any) -> None:
    """Pass one row [obs] through one network [size]; the last row of `between` gets its logits."""
    for i in range(len(seen)):
        between[0, i] = seen[i]
    last = len(layers) - 1
    for k in range(len(layers)):
        start, inputs, outputs = layers[k, 0], layers[k, 1], layers[k, 2]
        out = between[k + 1, :outputs]
        weights = flat[start : start + inputs * outputs].reshape(inputs, outputs)
        bias = flat[start + inputs * outputs : start + (inputs + 1) * outputs]
        for j in range(outputs):
            out[j] = bias[j]
        for i in range(inputs):
            x = between[k, i]
            if x != 0.0:
                for j in range(outputs):
                    out[j] += x * weights[i, j]
        if k < last:
            _activate(out, relu)


@loop_of_numbers
def _softmax(logits: Any, mask: Any, out: Any) -> float:
    """Weights [A] of legal actions, in double precision, and their sum."""
    top = -np.inf
    for a in range(len(mask)):
        if mask[a]:
            top = max(top, logits[a])
    total = 0.0
    for a in range(len(mask)):
        out[a] = math.exp(logits[a] - top) if mask[a] else 0.0
        total += out[a]
    return total


@loop_of_numbers
def _probabilities(
    flat: Any, layers: Any, relu: bool, seen: Any, masks: Any, between: Any, out: Any
) -> None:
    for i in range(len(seen)):
        _forward(flat, layers, relu, seen[i], between)
        total = _softmax(between[len(layers)], masks[i], out[i])
        for a in range(masks.shape[1]):
            out[i, a] /= total


@loop_of_numbers
def _choose(
    members: Any,
    layers: Any,
    relu: bool,
    seen: Any,
    masks: Any,
    draws: Any,
    running: Any,
    between: Any,
    weights: Any,
    chosen: Any,
) -> int:
    rows, episodes = 0, len(draws)
    for i in range(len(seen)):
        if not running[i]:
            chosen[i] = np.argmax(masks[i])
            continue
        rows += 1
        _forward(members[i // episodes], layers, relu, seen[i], between)
        total = _softmax(between[len(layers)], masks[i], weights)
        # Rounding must not reach past the last action that has any weight.
        threshold = min(draws[i % episodes] * total, np.nextafter(total, 0.0))
        reached = 0.0
        for a in range(len(weights)):
            reached += weights[a]
            if reached > threshold:
                chosen[i] = a
                break
    return rows
