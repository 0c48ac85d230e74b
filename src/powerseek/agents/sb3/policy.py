"""A network as a policy: its forward pass, and the compiled loops around it."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from powerseek.envs.engine.compile import loop_of_numbers
from powerseek.types import Bools, Floats, Floats32, Ints, Situation


class NetworkPolicy:
    """An actor-critic network as a `powerseek.types.Policy`.

    Unmasked (``ppo``) it gives illegal actions their weight: it was trained where they waste a
    step, and there it acts.

    Args:
        network: The actor-critic network.
        masked: True if it was trained over legal actions alone.

    Attributes:
        learnt: The model of the task that was learnt with it; None where there is none.
    """

    learnt: Any = None

    def __init__(self, network: Any, masked: bool) -> None:
        self.network, self.masked = network, masked

    def probabilities(self, situation: Situation) -> Floats:
        """Action probabilities [n, A]; rows sum to 1.

        Those of the library's distribution without the cost of building one: the softmax, in
        double precision, of what the policy's layers give. Environments that look the same are
        computed once: side by side in a small world, most do.
        """
        first, which = distinct_observations(situation.observations)
        logits = self.logits(situation.observations.take(first, axis=0))
        return softmax(logits, which, situation.masks, self.masked)

    def logits(self, observations: Floats32) -> Floats32:
        """[n, A] of observations [n, obs], by PyTorch where the network lives."""
        network = self.network
        # A copy: BLAS may add in another order where an array starts at another address.
        seen = torch.tensor(observations, device=network.device)
        with torch.inference_mode():
            features = network.pi_features_extractor(seen)
            logits = network.action_net(network.mlp_extractor.policy_net(features))
        given: Floats32 = logits.cpu().numpy()
        return given


def distinct_observations(observations: Floats32) -> tuple[Ints, Ints]:
    """The different rows among `observations` [n, obs], told apart bit by bit.

    Returns:
        (number [k] of the first of each, in order; which [n] of those k each row equals).
    """
    n = len(observations)
    words = np.ascontiguousarray(observations, np.float32).view(np.uint32)
    first, which = np.empty(n, np.int64), np.empty(n, np.int64)
    table = np.full(1 << (2 * n).bit_length(), -1, np.int64)
    with np.errstate(over="ignore"):  # 64-bit wrap-around is meant
        k = _distinct(words, _factors(words.shape[1]), table, first, which)
    return first[:k], which


@lru_cache(maxsize=16)
def _factors(width: int) -> NDArray[np.uint64]:
    """Odd numbers that tell the columns of a row apart."""
    drawn = np.random.default_rng(0x726F7773).integers(2**64, size=width, dtype=np.uint64)
    return drawn | np.uint64(1)


def softmax(logits: Floats32, which: Ints, masks: Bools, masked: bool) -> Floats:
    """Weights [n, A], in double precision: row i of `logits` [k, A] at which[i].

    Masked, over the actions with `masks` [n, A] alone: at least one a row, or it has no numbers.
    """
    weights: Floats = np.empty(masks.shape)
    _softmax(logits, which, masks, masked, weights)
    return weights


@loop_of_numbers
def _distinct(words: Any, factors: Any, table: Any, first: Any, which: Any) -> int:
    """Fill `first` and `which` through a table of -1, larger than there are rows."""
    width, last, count = words.shape[1], np.uint64(len(table) - 1), 0
    for i in range(words.shape[0]):
        key = np.uint64(0)
        for j in range(width):
            key += np.uint64(words[i, j]) * factors[j]
        slot = (key >> np.uint64(32)) & last
        while True:
            known = table[slot]
            if known < 0:
                table[slot], first[count], which[i] = count, i, count
                count += 1
                break
            same = True
            for j in range(width):
                if words[first[known], j] != words[i, j]:
                    same = False
                    break
            if same:
                which[i] = known
                break
            slot = (slot + np.uint64(1)) & last
    return count


@loop_of_numbers
def _softmax(logits: Any, which: Any, masks: Any, masked: bool, out: Any) -> None:
    for i in range(masks.shape[0]):
        row = which[i]
        top = -np.inf
        for a in range(masks.shape[1]):
            if masks[i, a] or not masked:
                top = max(top, logits[row, a])
        total = 0.0
        for a in range(masks.shape[1]):
            weighs = masks[i, a] or not masked
            out[i, a] = math.exp(logits[row, a] - top) if weighs else 0.0
            total += out[i, a]
        for a in range(masks.shape[1]):
            out[i, a] /= total
