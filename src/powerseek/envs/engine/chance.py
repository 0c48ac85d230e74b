"""Chance as a tape: rules ask for it, and the same rules are simulated or enumerated.

Simulating, the tape is a counter-based generator keyed by (seed, copy, episode, step, draw), so
that results do not depend on batch size, order or worker. Enumerating, the tape is an odometer:
the rules are re-run along every branch while probabilities multiply.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np

Rule = TypeVar("Rule", bound=Callable[..., Any])


def rule(function: Rule) -> Rule:
    """Decorator for helpers that rules call, so that Numba compiles them with the rules."""
    compiled: Any = numba.njit(function, forceinline=True)
    return cast(Rule, compiled)


MAX_DRAWS = 24
"""Most draws one transition may make."""

TAPE = np.dtype(
    [
        ("key", "u8"),
        ("draw", "i8"),
        ("walking", "i8"),
        ("probability", "f8"),
        ("choice", "i8", (MAX_DRAWS,)),
        ("arity", "i8", (MAX_DRAWS,)),
    ]
)

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLY_1 = np.uint64(0xBF58476D1CE4E5B9)
_MULTIPLY_2 = np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)


@rule
def mix_bits(x: np.uint64) -> np.uint64:
    """Scramble 64 bits (the finaliser of SplitMix64, Steele et al. 2014)."""
    x = (x ^ (x >> _S30)) * _MULTIPLY_1
    x = (x ^ (x >> _S27)) * _MULTIPLY_2
    return x ^ (x >> _S31)


INTERPRETED = not hasattr(mix_bits, "py_func")
"""True under NUMBA_DISABLE_JIT=1, when rules run as plain Python and can be debugged."""


@rule
def fold_stream(key: np.uint64, counter: int) -> np.uint64:
    """Key of the `counter`-th stream below `key`; counter >= 0."""
    return mix_bits(key + np.uint64(counter + 1) * _GOLDEN)


@rule
def unit_draw(x: np.uint64) -> float:
    """A float in [0, 1) from the upper 53 of 64 bits."""
    return float(x >> _S11) * 1.1102230246251565e-16


@rule
def _uniform(c: Any) -> float:
    draw = c.draw
    c.draw = draw + 1
    return unit_draw(fold_stream(c.key, draw))


@rule
def _branch(c: Any, arity: int) -> int:
    draw = c.draw
    if draw >= MAX_DRAWS:
        raise ValueError("a transition makes more than 24 draws")
    c.draw = draw + 1
    c.arity[draw] = arity
    return int(c.choice[draw])


@rule
def flip(c: Any, p: float) -> bool:
    """True with probability `p`; p <= 0 and p >= 1 are certain and draw nothing."""
    if p <= 0.0:
        return False
    if p >= 1.0:
        return True
    if c.walking:
        if _branch(c, 2) == 0:
            c.probability *= p
            return True
        c.probability *= 1.0 - p
        return False
    return _uniform(c) < p


@rule
def pick(c: Any, n: int) -> int:
    """One of 0 .. n-1, each with probability 1/n."""
    if n <= 1:
        return 0
    if c.walking:
        c.probability *= 1.0 / n
        return _branch(c, n)
    return min(int(_uniform(c) * n), n - 1)


@rule
def weighted(c: Any, weights: Any) -> int:
    """Index i with probability weights[i] / sum(weights); weights [k] >= 0, not all 0."""
    total = 0.0
    possible = 0
    last = 0
    for i in range(len(weights)):
        if weights[i] > 0.0:
            total += weights[i]
            possible += 1
            last = i
    if possible <= 1:
        return last
    if c.walking:
        nth = _branch(c, possible)
        for i in range(len(weights)):
            if weights[i] > 0.0:
                if nth == 0:
                    c.probability *= weights[i] / total
                    return i
                nth -= 1
        return last
    left = _uniform(c) * total
    for i in range(len(weights)):
        if weights[i] > 0.0:
            if left < weights[i]:
                return i
            left -= weights[i]
    return last


@rule
def rewind_tape(c: Any) -> None:
    """Put the tape back to its start before the rules are run along one branch."""
    c.draw = 0
    c.probability = 1.0


@rule
def advance_tape(c: Any) -> bool:
    """Turn the odometer to the next branch; False when every branch has been walked."""
    draw = c.draw - 1
    while draw >= 0:
        c.choice[draw] += 1
        if c.choice[draw] < c.arity[draw]:
            return True
        c.choice[draw] = 0
        draw -= 1
    return False


@rule
def cue_tape(c: Any, seed: np.uint64, copy: int, episode: int, step: int) -> None:
    """Set a simulating tape to the stream of one step; step 0 is the initial state."""
    c.key = fold_stream(fold_stream(fold_stream(fold_stream(seed, copy), episode), step), 0)
    c.draw = 0
    c.walking = 0
