"""Hypotheses tested together: p adjusted for their number, and the level of each look at them."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from powerseek.errors import InvalidInput
from powerseek.types import Floats

METHODS = ("holm", "benjamini-hochberg")
EARLY = 0.01
"""Level of every look but the last."""


class PValues(NamedTuple):
    """The two p-values by which a hypothesis can be answered, nan where it is undefined.

    Attributes:
        difference: Of an effect: other than 0, or for a claim of none beyond the margin; of a
            claim about one arm, past the margin.
        none: Of no effect: within the margin; of a claim about one arm, short of it.
    """

    difference: float
    none: float


def adjust_family(tests: Sequence[PValues], method: str = "holm") -> list[PValues]:
    """Adjust all p-values that can produce an answer together: 2 m of m hypotheses, one family.

    Never is only the smaller p of a hypothesis adjusted: its other one can produce an answer too.
    Simulated by ``benchmarks.verdicts`` (1500 studies of ten hypotheses, half of them without an
    effect and half with one as large as the margin, 40 seeds; studies with a wrong answer): one
    family .05, two families .10, the smaller p of each .17.

    Args:
        tests: Of each hypothesis; what is undefined does not count.
        method: As in `adjust_p_values`.
    """
    adjusted = adjust_p_values([p for one in tests for p in one], method)
    return [PValues(float(a), float(b)) for a, b in adjusted.reshape(-1, 2)]


def look_levels(looks: Sequence[int], level: float = 0.05) -> dict[int, float]:
    """The level at which the whole family is tested at each registered number of seeds.

    .01 at each look but the last, which has what is left of the level: whatever is found at any
    look, the chance of a wrong answer stays below the level (Bonferroni over looks).

    Args:
        looks: Numbers of seeds, rising, the last the greatest; at most five.
        level: Error rate of all looks together.
    """
    early = EARLY * level / 0.05
    last = level - early * (len(looks) - 1)
    return {seeds: last if seeds == looks[-1] else early for seeds in looks}


def adjust_p_values(p_values: ArrayLike, method: str = "holm") -> Floats:
    """Adjust p values for their number; nan stays nan and does not count.

    Args:
        p_values: [k] in [0, 1].
        method: ``holm`` (confirmatory, family-wise) or ``benjamini-hochberg`` (exploratory).

    Source: Holm 1979; Benjamini and Hochberg 1995.
    CAVEAT: Benjamini-Hochberg bounds the share of false findings on average only, and under
    independence or positive dependence of the tests.
    """
    if method not in METHODS:
        raise InvalidInput("method", method, ", ".join(METHODS), 'method="holm"')
    p = np.asarray(p_values, dtype=np.float64)
    adjusted, known = np.full(p.shape, nan), np.isfinite(p)
    kept = p[known]
    if kept.size and not (kept.min() >= 0 and kept.max() <= 1):
        raise InvalidInput("p_values", kept.tolist(), "numbers in [0, 1]")
    adjusted[known] = _holm(kept) if method == "holm" else stats.false_discovery_control(kept)
    return adjusted


def _holm(p: Floats) -> Floats:
    """Holm's adjustment: statsmodels' own is the same but collects garbage, for 90 ms a call."""
    order = np.argsort(p)
    raised = np.empty_like(p)
    raised[order] = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1))
    return np.minimum(raised, 1)
