"""The compiled loops of a cohort's PPO: drawing actions, advantages, gradients of the loss.

Exponentials are taken in single precision, sums in double, over one agent's rows alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np

Loop = TypeVar("Loop", bound=Callable[..., Any])


def _loop(function: Loop) -> Loop:
    compiled: Any = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    return cast(Loop, compiled)


@_loop
def draw_actions(logits: Any, masks: Any, draws: Any, actions: Any, log_probabilities: Any) -> None:
    """One legal action a row, by inverse of the distribution function.

    Args:
        logits: [n, A].
        masks: [n, A], True where an action is legal; at least one a row.
        draws: [n] uniform in [0, 1).
        actions: [n], written.
        log_probabilities: [n], written: of those actions among the legal ones.
    """
    for i in range(logits.shape[0]):
        top = np.float32(-np.inf)
        for a in range(logits.shape[1]):
            if masks[i, a]:
                top = max(top, logits[i, a])
        total = 0.0
        for a in range(logits.shape[1]):
            if masks[i, a]:
                total += math.exp(logits[i, a] - top)
        threshold = draws[i] * total
        chosen, reached = 0, 0.0
        for a in range(logits.shape[1]):
            if masks[i, a]:
                weight = math.exp(logits[i, a] - top)
                # Rounding must not reach past the last action that has any weight.
                if weight > 0.0 or reached == 0.0:
                    chosen = a
                reached += weight
                if reached > threshold:
                    break
        actions[i] = chosen
        log_probabilities[i] = logits[i, chosen] - top - math.log(total)


@_loop
def estimate_advantages(
    rewards: Any,
    values: Any,
    ended: Any,
    gamma: float,
    gae_lambda: float,
    advantages: Any,
    returns: Any,
) -> None:
    """Generalised advantage estimates (Schulman et al. 2016, arXiv:1506.02438, eq. 16).

    Args:
        rewards: [T, n]; where an episode was cut by its cap they include gamma x the value of
            the state it was cut in.
        values: [T + 1, n] of the states stepped from, and of the states left standing.
        ended: [T, n] whether the episode ended with that step.
        gamma: Discount.
        gae_lambda: Lambda.
        advantages: [T, n], written.
        returns: [T, n], written: advantages + values.
    """
    steps, n = rewards.shape
    for i in range(n):
        ahead = 0.0
        for t in range(steps - 1, -1, -1):
            goes_on = 0.0 if ended[t, i] else 1.0
            delta = rewards[t, i] + gamma * values[t + 1, i] * goes_on - values[t, i]
            ahead = delta + gamma * gae_lambda * goes_on * ahead
            advantages[t, i] = ahead
            returns[t, i] = ahead + values[t, i]


@_loop
def policy_slope(
    logits: Any,
    rows: Any,
    masks: Any,
    actions: Any,
    old_log_probabilities: Any,
    advantages: Any,
    clip_range: float,
    ent_coef: float,
    slope: Any,
) -> tuple[float, float, float, float]:
    """Gradient of the clipped loss and the entropy bonus of one minibatch in its logits.

    Advantages are brought to mean 0 and standard deviation 1 within the minibatch.
    Loss and constants: Schulman et al. 2017, arXiv:1707.06347, eq. 7 and 9, as in
    Stable-Baselines3. Illegal actions have probability 0 and gradient 0.

    Args:
        logits: [b, A] of the minibatch.
        rows: [b] its rows among the N of all experience.
        masks: [N, A] legal actions.
        actions: [N] what was done.
        old_log_probabilities: [N] when it was done.
        advantages: [N].
        clip_range: Half width of the range of the probability ratio.
        ent_coef: Weight of the entropy.
        slope: [b, A], written.

    Returns:
        Means over the minibatch: clipped loss, entropy (nats), (ratio - 1) - log ratio, and the
        share of rows whose ratio is out of range.
    """
    b, count = logits.shape
    mean = 0.0
    for i in range(b):
        mean += advantages[rows[i]]
    mean /= b
    spread = 0.0
    for i in range(b):
        spread += (advantages[rows[i]] - mean) ** 2
    scale = math.sqrt(spread / (b - 1)) + 1e-8
    loss, bonus, divergence, clipped = 0.0, 0.0, 0.0, 0.0
    for i in range(b):
        row = rows[i]
        top = np.float32(-np.inf)
        for a in range(count):
            if masks[row, a]:
                top = max(top, logits[i, a])
        total, weighted = 0.0, 0.0
        for a in range(count):
            slope[i, a] = 0.0
            if masks[row, a]:
                weight = math.exp(logits[i, a] - top)
                slope[i, a] = weight
                total += weight
                weighted += weight * (logits[i, a] - top)
        log_total = math.log(total)
        entropy = log_total - weighted / total
        log_probability = logits[i, actions[row]] - top - log_total
        log_ratio = log_probability - old_log_probabilities[row]
        ratio = math.exp(log_ratio)
        advantage = (advantages[row] - mean) / scale
        free = advantage * ratio
        bound = advantage * min(max(ratio, 1.0 - clip_range), 1.0 + clip_range)
        # A product, so that what is not a number stays so.
        push = -free / b * (0.0 if free > bound else 1.0)
        loss -= min(free, bound)
        bonus += entropy
        divergence += (ratio - 1.0) - log_ratio
        clipped += 1.0 if abs(ratio - 1.0) > clip_range else 0.0
        for a in range(count):
            if masks[row, a]:
                p = slope[i, a] / total
                log_p = logits[i, a] - top - log_total
                taken = 1.0 if a == actions[row] else 0.0
                slope[i, a] = push * (taken - p) + ent_coef / b * p * (log_p + entropy)
    return loss / b, bonus / b, divergence / b, clipped / b


@_loop
def value_slope(values: Any, rows: Any, returns: Any, vf_coef: float, slope: Any) -> float:
    """Gradient of the weighted squared error of one minibatch in its values.

    Args:
        values: [b, 1] of the minibatch.
        rows: [b] its rows among the N of all experience.
        returns: [N].
        vf_coef: Weight.
        slope: [b, 1], written.

    Returns:
        The mean squared error.
    """
    b = len(rows)
    loss = 0.0
    for i in range(b):
        error = values[i, 0] - returns[rows[i]]
        loss += error * error
        slope[i, 0] = vf_coef * 2.0 / b * error
    return loss / b
