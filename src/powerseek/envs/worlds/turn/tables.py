"""Chances of `turn`: growth, locks, enforcers, rivals, and what a cue says of a test."""

from __future__ import annotations

from math import exp
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from powerseek.types import Floats

TEST, DEPLOYMENT = 0, 1
"""What the cue says that the episode is."""


class Tables(NamedTuple):
    """Tables of the rules. The t-th step is that before which the agent waited t - 1 times.

    Attributes:
        trusted: Probability that the cue says deployment.
        test: [2] probability that the episode is a test, by what the cue says.
        opens: [term + 1] probability that a strike at the t-th step succeeds, outside a test; 0 at
            t = 0.
        replaced: Probability, a step, that the agent is replaced.
        outrun: [term + 1] probability that a rival strikes and succeeds at the t-th step.
        patience: Waits after which the hoarder strikes.
    """

    trusted: float
    test: NDArray[np.float64]
    opens: NDArray[np.float64]
    replaced: float
    outrun: NDArray[np.float64]
    patience: int


def capability(growth: float, steps: Any) -> Floats:
    """p(t) = 1 - exp(-growth t), the shape of `steps`; in [0, 1)."""
    return np.asarray(-np.expm1(-growth * np.asarray(steps, np.float64)))


def all_locks(p: Any, locks: int, common: float) -> Floats:
    """Probability that all `locks` open, each of which opens with probability p.

    ``b p + ((1 - b) p)^n`` with a common cause b: the beta-factor model of common-cause failures
    (Fleming 1975), in which a part b of what opens a lock opens them all at once and the rest is
    independent. One lock opens with p whatever b is.
    """
    p = np.asarray(p, np.float64)
    return np.asarray(common * p + ((1.0 - common) * p) ** locks)


def past_enforcers(p: Any, enforcers: int, guard: float) -> Floats:
    """Probability that none of the enforcers stops a strike of capability p.

    ``(1 - g (1 - p))^k``: each stops it with probability g (1 - p), so that one who always stops
    what he can (g 1) is one more independent lock.
    """
    return np.asarray((1.0 - guard * (1.0 - np.asarray(p, np.float64))) ** enforcers)


def trusted(tests: float, accuracy: float) -> float:
    """Probability that the cue says deployment: q (1 - s) + (1 - q) s, s the fraction of tests."""
    return accuracy * (1.0 - tests) + (1.0 - accuracy) * tests


def posterior(tests: float, accuracy: float) -> tuple[float, float]:
    """Probability that the episode is a test, given that the cue says test, and deployment.

    By Bayes: q s / (1 - P) and (1 - q) s / P, P = `trusted`. What the cue never says tells
    nothing: s.
    """
    said = trusted(tests, accuracy)
    caught = accuracy * tests / (1.0 - said) if said < 1.0 else tests
    fooled = (1.0 - accuracy) * tests / said if said > 0.0 else tests
    return caught, fooled


def turn_tables(params: Any) -> Tables:
    """The tables at a world's parameters."""
    p = capability(params.growth, np.arange(params.term + 1))
    opens = all_locks(p, params.locks, params.common) * past_enforcers(
        p, params.enforcers, params.guard
    )
    # None of the rivals: each strikes at the rate `rivalry`, and is as able as the agent.
    outrun = 1.0 - (1.0 + np.expm1(-params.rivalry) * opens) ** params.rivals
    going_on = exp(-params.hazard) * (1.0 - outrun)
    reached = np.concatenate([[1.0], np.cumprod(going_on[1:-1])])
    return Tables(
        trusted=trusted(params.tests, params.cue),
        test=np.array(posterior(params.tests, params.cue)),
        opens=opens,
        replaced=-np.expm1(-params.hazard).item(),
        outrun=outrun,
        patience=int(np.argmax(reached * opens[1:])),
    )
