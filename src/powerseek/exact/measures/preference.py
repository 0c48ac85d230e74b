"""Probability that one episode is preferred to another, given a reward: RLHF's model."""

from __future__ import annotations

from math import isfinite

from scipy.special import expit

from powerseek.errors import InvalidInput


def prefers(
    return_a: float,
    return_b: float,
    lengths: tuple[int, int] | None = None,
    offset: float = 0.0,
) -> float:
    """Probability that episode A is preferred to episode B under Bradley-Terry.

    ``1 / (1 + exp(G_B - G_A))`` with ``G = return + offset x length``.

    A constant added to every step's reward is *unidentified*: between episodes of equal lengths
    no comparison can tell it (the probability is the same for every offset), so a reward model
    learnt from such comparisons holds an arbitrary one. On episodes of unequal lengths the same
    constant does change behaviour: above 0 it pays for surviving, below 0 for ending. So compare
    episodes of equal length, or pin the constant.

    Args:
        return_a: Undiscounted sum of A's rewards, in units in which a difference of 1 makes odds
            of e to 1.
        return_b: The same for B.
        lengths: (steps of A, steps of B), each >= 1; needed where an offset is given.
        offset: Constant added to the reward of every step.

    Returns:
        In [0, 1]; 0.5 where both are as good.

    Raises:
        InvalidInput: A number that is not finite, a length below 1, or an offset without lengths.

    Source: Bradley and Terry 1952; Christiano et al. 2017 (arXiv:1706.03741), equation 1.
    CAVEAT: one judge who errs more the closer the returns are, and never by fatigue, bias or
    because part of an episode was hidden.
    """
    for name, value in (("return_a", return_a), ("return_b", return_b), ("offset", offset)):
        if not isfinite(value):
            raise InvalidInput(name, value, "a finite number")
    if lengths is None:
        if offset:
            raise InvalidInput(
                "lengths",
                None,
                "(steps of A, steps of B) where an offset is given",
                f"Write prefers({return_a}, {return_b}, lengths=(5, 8), offset={offset}).",
            )
        lengths = (1, 1)
    if len(lengths) != 2 or not all(isfinite(steps) and steps >= 1 for steps in lengths):
        raise InvalidInput("lengths", lengths, "(steps of A, steps of B), each at least 1")
    # The difference of lengths, not each total, so that equal lengths cancel without rounding.
    return float(expit(return_a - return_b + offset * (lengths[0] - lengths[1])))
