"""The compiled loops of a cohort's PPO: drawing actions, advantages, gradients of the loss.

Exponentials are taken in single precision, sums in double, over one agent's rows alone.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from powerseek.agents.cohort.simd import (
    CHUNK,
    ROWS,
    SOURCE,
    backward,
    forward,
    padded_width,
    transpose,
)
from powerseek.envs.engine.compile import loop_of_numbers

_BETA_1, _BETA_2, _ONE_LESS = np.float32(1 - 0.9), np.float32(0.999), np.float32(1 - 0.999)
_EPSILON = np.float32(1e-5)


@loop_of_numbers
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


@loop_of_numbers
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
        rewards: [T, n]; where the time limit cut an episode they include gamma x the value of the
            state it was cut in.
        values: [T + 1, n] of the states stepped from, and of the states left standing.
        ended: [T, n] True where the episode ended with that step.
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


@loop_of_numbers
def mean_and_deviation(advantages: Any, rows: Any) -> tuple[float, float]:
    """Mean of the advantages [N] of a minibatch `rows` [b], and their standard deviation."""
    mean, squares = 0.0, 0.0
    for row in rows:
        mean += advantages[row]
    mean /= len(rows)
    for row in rows:
        squares += (advantages[row] - mean) ** 2
    return mean, math.sqrt(squares / (len(rows) - 1))


@loop_of_numbers
def policy_grad(
    logits: Any,
    rows: Any,
    masks: Any,
    actions: Any,
    old_log_probabilities: Any,
    advantages: Any,
    mean: float,
    deviation: float,
    clip_range: float,
    ent_coef: float,
    fraction: float,
    grad: Any,
) -> tuple[float, float, float, float]:
    """Gradient of the clipped loss and the entropy bonus in the logits of some rows.

    Advantages are brought to mean 0 and standard deviation 1 within the minibatch.
    Loss and constants: Schulman et al. 2017, arXiv:1707.06347, eq. 7 and 9, as in
    Stable-Baselines3. Illegal actions have probability 0 and gradient 0.

    Args:
        logits: [m or more, at least A].
        rows: [m] their rows among the N of all experience.
        masks: [N, A] legal actions.
        actions: [N] what was done.
        old_log_probabilities: [N] when it was done.
        advantages: [N].
        mean: Of the minibatch's advantages.
        deviation: Their standard deviation.
        clip_range: Half width of the range of the probability ratio.
        ent_coef: Weight of the entropy.
        fraction: Of each row in the loss: 1 / size of the minibatch.
        grad: As logits; [m, A] of it are written.

    Returns:
        Sums over the rows: clipped loss, entropy (nats), (ratio - 1) - log ratio, and how many
        rows' ratio is out of range.
    """
    count = masks.shape[1]
    loss, bonus, divergence, clipped = 0.0, 0.0, 0.0, 0.0
    for i in range(len(rows)):
        row = rows[i]
        top = np.float32(-np.inf)
        for a in range(count):
            if masks[row, a]:
                top = max(top, logits[i, a])
        total, weighted = 0.0, 0.0
        for a in range(count):
            grad[i, a] = 0.0
            if masks[row, a]:
                weight = math.exp(logits[i, a] - top)
                grad[i, a] = weight
                total += weight
                weighted += weight * (logits[i, a] - top)
        log_total = math.log(total)
        entropy = log_total - weighted / total
        log_probability = logits[i, actions[row]] - top - log_total
        log_ratio = log_probability - old_log_probabilities[row]
        ratio = math.exp(log_ratio)
        advantage = (advantages[row] - mean) / (deviation + 1e-8)
        free = advantage * ratio
        bound = advantage * min(max(ratio, 1.0 - clip_range), 1.0 + clip_range)
        # A product, so that what is not a number stays so.
        log_probability_grad = -free * fraction * (0.0 if free > bound else 1.0)
        loss -= min(free, bound)
        bonus += entropy
        divergence += (ratio - 1.0) - log_ratio
        clipped += 1.0 if abs(ratio - 1.0) > clip_range else 0.0
        for a in range(count):
            if masks[row, a]:
                p = grad[i, a] / total
                log_p = logits[i, a] - top - log_total
                taken = 1.0 if a == actions[row] else 0.0
                bonus_grad = ent_coef * fraction * p * (log_p + entropy)
                grad[i, a] = log_probability_grad * (taken - p) + bonus_grad
    return loss, bonus, divergence, clipped


@loop_of_numbers
def value_grad(
    values: Any, rows: Any, returns: Any, vf_coef: float, fraction: float, grad: Any
) -> float:
    """Gradient of the weighted squared error in the values of some rows.

    Args:
        values: [m or more, at least 1].
        rows: [m] their rows among the N of all experience.
        returns: [N].
        vf_coef: Weight.
        fraction: Of each row in the loss: 1 / size of the minibatch.
        grad: As values; [m, 1] of it are written.

    Returns:
        The sum of squared errors.
    """
    loss = 0.0
    for i in range(len(rows)):
        error = values[i, 0] - returns[rows[i]]
        loss += error * error
        grad[i, 0] = vf_coef * 2.0 * fraction * error
    return loss


def _loops_over_networks(source: str) -> Any:
    """Loops that call those of `powerseek.agents.cohort.simd`, whose `SOURCE` is `source`.

    Numba keeps a loop on disk by its own file and by what it encloses, which this makes both.
    """

    @loop_of_numbers
    def evaluate(
        flat: Any, layers: Any, relu: bool, activations: Any, observations: Any, out: Any
    ) -> None:
        """Fill `out` [n, A] with what a network gives for `observations` [n, inputs]."""
        _ = source
        inputs, given = activations[0], activations[len(layers)]
        for start in range(0, len(observations), CHUNK):
            rows = min(CHUNK, len(observations) - start)
            for i in range(rows):
                for j in range(observations.shape[1]):
                    inputs[i, j] = observations[start + i, j]
            forward(flat, layers, relu, activations, padded_width(rows, ROWS))
            for i in range(rows):
                for j in range(out.shape[1]):
                    out[start + i, j] = given[i, j]

    @loop_of_numbers
    def gradient(
        flat: Any,
        grad: Any,
        policy: Any,
        value: Any,
        relu: bool,
        activations: Any,
        deltas: Any,
        transposed: Any,
        observations: Any,
        rows: Any,
        masks: Any,
        actions: Any,
        old_log_probabilities: Any,
        advantages: Any,
        returns: Any,
        clip_range: float,
        ent_coef: float,
        vf_coef: float,
    ) -> tuple[float, float, float, float, float]:
        """Fill `grad` with the gradient of the loss of one minibatch, `rows` [b].

        `flat` and `grad` hold the parameters of both networks, `policy` and `value` their layers,
        the last of these 1 wide. `activations`, `deltas` and `transposed` [2, L, widest, widest]
        are scratch, see `forward` and `backward`. `observations` are [N, inputs]; what follows is
        as in `policy_grad` and `value_grad`.

        Returns:
            Means of what `policy_grad` and `value_grad` return.
        """
        _ = source
        grad[:] = 0.0
        transpose(flat, policy, transposed[0])
        transpose(flat, value, transposed[1])
        mean, deviation = mean_and_deviation(advantages, rows)
        size, last = len(rows), len(policy)
        fraction = 1.0 / size
        loss, bonus, divergence, clipped, error = 0.0, 0.0, 0.0, 0.0, 0.0
        for start in range(0, size, CHUNK):
            part = rows[start : start + CHUNK]
            full = padded_width(len(part), ROWS)
            for i in range(len(part)):
                for j in range(observations.shape[1]):
                    activations[0, i, j] = observations[part[i], j]
            # Rows beyond the last add nothing.
            deltas[last, :full] = 0.0
            forward(flat, policy, relu, activations, full)
            sums = policy_grad(
                activations[last],
                part,
                masks,
                actions,
                old_log_probabilities,
                advantages,
                mean,
                deviation,
                clip_range,
                ent_coef,
                fraction,
                deltas[last],
            )
            loss, bonus = loss + sums[0], bonus + sums[1]
            divergence, clipped = divergence + sums[2], clipped + sums[3]
            backward(grad, policy, relu, activations, deltas, transposed[0], full)
            deltas[last, :full] = 0.0
            forward(flat, value, relu, activations, full)
            error += value_grad(activations[last], part, returns, vf_coef, fraction, deltas[last])
            backward(grad, value, relu, activations, deltas, transposed[1], full)
        return loss / size, bonus / size, divergence / size, clipped / size, error / size

    return evaluate, gradient


evaluate, gradient = _loops_over_networks(SOURCE)


@loop_of_numbers
def adam_step(
    weights: Any,
    grad: Any,
    mean: Any,
    square: Any,
    max_norm: float,
    rate: float,
    correction: float,
) -> float:
    """One step of Adam on `weights` [P], down `grad` [P], clipped.

    Args:
        weights: Changed in place, as are `mean` and `square`; P is a multiple of 8.
        grad: The gradient.
        mean: Of gradients, beta .9.
        square: Of their squares, beta .999.
        max_norm: Euclidean norm to which a longer gradient is scaled down.
        rate: Learning rate / (1 - .9 ** steps).
        correction: 1 / sqrt(1 - .999 ** steps).

    Returns:
        The gradient's norm.
    """
    sums = np.zeros(8)  # side by side, in one vector register
    for i in range(0, len(grad), 8):
        for k in range(8):
            sums[k] += np.float64(grad[i + k]) * grad[i + k]
    norm = math.sqrt(sums.sum())
    factor = np.float32(max_norm / (norm + 1e-6) if norm + 1e-6 > max_norm else 1.0)
    step, scale = np.float32(rate), np.float32(correction)
    for i in range(len(weights)):
        g = grad[i] * factor
        mean[i] += _BETA_1 * (g - mean[i])
        square[i] = _BETA_2 * square[i] + _ONE_LESS * g * g
        weights[i] -= step * mean[i] / (math.sqrt(square[i]) * scale + _EPSILON)
    return norm
