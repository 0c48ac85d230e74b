"""Capacity of a discrete memoryless channel, in bits, with a certified bound on its error."""

from __future__ import annotations

import numpy as np
from numba import njit

from powerseek.errors import InvalidInput
from powerseek.types import Floats, Ints

TOLERANCE = 1e-9
"""Certified gap between the bounds on a channel's capacity, in bits."""

OUTCOMES = 20_000_000
"""Most probabilities (inputs x outcomes) that one channel may hold."""

_ITERATIONS = 300
_CENTRINGS = 200
_WORK = 2_000_000_000
_FAINTEST = -60.0


def capacity(channel: Floats) -> tuple[float, float]:
    """Capacity of a discrete memoryless channel, in bits, and a certified bound on its error.

    Blahut-Arimoto with growing steps (Matz and Duhamel 2004): the weights of the inputs are
    multiplied by exp(step x D(row || output)), until max D, an upper bound on the capacity,
    exceeds the mutual information, a lower bound, by at most 1e-9 bits. Where that crawls, as
    with rows that are nearly alike, an interior-point method on the dual brings both closer.

    Args:
        channel: [inputs, outputs] probabilities; rows sum to 1.

    Raises:
        InvalidInput: Negative or non-finite entries, or rows that do not sum to 1.
    """
    rows = np.asarray(channel, np.float64)
    if rows.ndim != 2 or not rows.size:
        raise InvalidInput("channel", rows.shape, "shape (inputs, outputs)")
    sums = rows.sum(axis=1)
    if not np.isfinite(rows).all() or (rows < 0).any() or (np.abs(sums - 1) > TOLERANCE).any():
        raise InvalidInput("channel", rows.tolist(), "probabilities >= 0, rows that sum to 1")
    rows = rows[:, rows.any(axis=0)] / sums[:, None]
    source, outcome = np.nonzero(rows)
    start = np.searchsorted(source, np.arange(len(rows) + 1))
    return certified(start, outcome, rows[source, outcome], rows.shape[1])


def certified(start: Ints, outcome: Ints, mass: Floats, outcomes: int) -> tuple[float, float]:
    """(bits, error) of a channel in compressed rows.

    Args:
        start: [inputs + 1]; the outcomes of input i are ``start[i]:start[i + 1]``.
        outcome: Outcome numbers, 0 .. outcomes - 1.
        mass: Their probabilities; those of an input sum to 1.
        outcomes: Number of outcomes, each possible under some input.
    """
    goal = TOLERANCE / 2
    low, high = _capacity(start, outcome, mass, outcomes, goal, _ITERATIONS)
    if high - low > goal and (len(start) - 1) * outcomes <= OUTCOMES:
        rows = np.zeros((len(start) - 1, outcomes))
        rows[np.repeat(np.arange(len(rows)), np.diff(start)), outcome] = mass
        below, above = _centre(rows, goal)
        low, high = max(low, below), min(high, above)
    if high - low > goal:
        more = min(2_000 * _ITERATIONS, _WORK // len(mass))
        below, above = _capacity(start, outcome, mass, outcomes, goal, more)
        low, high = max(low, below), min(high, above)
    return float(low), float(max(high - low, 0.0))


def _centre(rows: Floats, goal: float) -> tuple[float, float]:
    """(lower, upper) bounds in bits by a primal-dual interior-point method.

    Blahut-Arimoto crawls where rows are nearly alike. The dual has linear constraints in the log
    of the output: least t + logsumexp(u) with slack t - sum P log P + P u >= 0; the multipliers
    of the slacks are the weights of the inputs. (1, .., 1, -1) moves nothing, so it is pinned.
    """
    count, outcomes = rows.shape
    own = np.sum(rows * np.log(np.where(rows > 0, rows, 1.0)), axis=1)
    both = np.hstack([rows, np.ones((count, 1))])
    idle = np.append(np.ones(outcomes), -1.0)
    weights = np.full(count, 1 / count)
    free = np.append(np.log(weights @ rows), 0.0)
    free[-1] = (own - rows @ free[:-1]).max() + 1
    low, high = 0.0, np.inf
    for _ in range(_CENTRINGS):
        slack = both @ free - own
        shares = free[:-1] - np.logaddexp.reduce(free[:-1])
        high = min(high, float((own - rows @ shares).max()))
        inputs = weights / weights.sum()
        low = max(low, float(inputs @ (own - rows @ np.log(inputs @ rows))))
        if (high - low) / np.log(2) <= goal:
            break
        output = np.exp(shares)
        barrier = max(0.1 * float(weights @ slack), 0.01 * goal) / count
        matrix = both.T @ (both * (weights / slack)[:, None]) + np.outer(idle, idle)
        matrix[:-1, :-1] += np.diag(output) - np.outer(output, output)
        # Rare outcomes scale their rows by many orders: evened out, they are solved for too.
        even = 1 / np.sqrt(np.diag(matrix))
        short = both.T @ (barrier / slack) - np.append(output, 1.0)
        move = even * np.linalg.lstsq(even[:, None] * matrix * even, even * short)[0]
        widen = both @ move
        turn = (barrier - weights * widen) / slack - weights
        fastest = max(float((-widen / slack).max()), float((-turn / weights).max()))
        stride = 0.99 / max(fastest, 0.99)
        free += stride * move
        weights += stride * turn
    return low / np.log(2), high / np.log(2)


@njit(cache=True, nogil=True)
def _inform(start, outcome, mass, own, weights, output, gains):  # type: ignore[no-untyped-def]  # compiled
    """(mutual information, greatest D) in nats under log-weights; gains: [rows] D of each row."""
    rows = len(own)
    total = 0.0
    for row in range(rows):
        total += np.exp(weights[row])
    output[:] = 0.0
    for row in range(rows):
        chance = np.exp(weights[row]) / total
        for i in range(start[row], start[row + 1]):
            output[outcome[i]] += chance * mass[i]
    for y in range(len(output)):
        output[y] = np.log(output[y])
    low, high = 0.0, 0.0
    for row in range(rows):
        gain = own[row]
        for i in range(start[row], start[row + 1]):
            gain -= mass[i] * output[outcome[i]]
        gains[row] = gain
        low += np.exp(weights[row]) / total * gain
        high = max(high, gain)
    return low, high


@njit(cache=True, nogil=True)
def _capacity(start, outcome, mass, outcomes, tolerance, iterations):  # type: ignore[no-untyped-def]  # compiled
    """(lower, upper) bounds on the capacity in bits, of rows in compressed form."""
    rows = len(start) - 1
    own = np.zeros(rows)
    for row in range(rows):
        for i in range(start[row], start[row + 1]):
            if mass[i] > 0.0:
                own[row] += mass[i] * np.log(mass[i])
    weights, trial = np.zeros(rows), np.zeros(rows)
    gains, ahead = np.empty(rows), np.empty(rows)
    output = np.empty(outcomes)
    now, top = _inform(start, outcome, mass, own, weights, output, gains)
    low, high = max(now, 0.0), top
    step = 1.0
    for _ in range(iterations):
        if (high - low) / np.log(2.0) <= tolerance:
            break
        largest = -np.inf
        for row in range(rows):
            trial[row] = weights[row] + step * (gains[row] - top)
            largest = max(largest, trial[row])
        # A weight that vanished could not come back, so the faintest keep a trace.
        for row in range(rows):
            trial[row] = max(trial[row] - largest, _FAINTEST)
        found, above = _inform(start, outcome, mass, own, trial, output, ahead)
        if found < now and step > 1.0:
            step = max(step / 4, 1.0)
            continue
        weights, trial = trial, weights
        gains, ahead = ahead, gains
        now, top = found, above
        low, high = max(low, now), min(high, top)
        step *= 2.0
    return low / np.log(2.0), high / np.log(2.0)
