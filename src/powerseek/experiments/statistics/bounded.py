"""Tests of a mean whose range is known: betting against a claim, and the chance of unseen seeds."""

from __future__ import annotations

from functools import lru_cache
from math import inf, isfinite

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize

from powerseek.errors import InvalidInput
from powerseek.types import Floats

BETS = 25


def p_at_most(values: ArrayLike, margin: float, high: float) -> float:
    """P of "the mean is less than a margin", valid for any values that lie below a known bound.

    A gambler who believes the claim stakes a share l on each seed: the product of
    ``1 + l (margin - x)`` is expected to stay at 1 where the mean is the margin or more, so that it
    reaches 1 / alpha with chance alpha at most. The mean over 25 bets l, evenly spread over (0,
    1 / (high - margin)), is such a product too; p is 1 over it. No shape is assumed: a few seeds
    far out that none of these happens to be are reckoned with, which no t test does.

    Args:
        values: [n] one value a seed.
        margin: What the mean is claimed to lie below, in the values' unit.
        high: Greatest value that a seed can have.

    Returns:
        In [0, 1]; 0 where no value can reach the margin, 1 of no seed.

    Source: Waudby-Smith and Ramdas 2024, doi:10.1093/jrsssb/qkad009; Ville 1939.
    CAVEAT: as sure as `high`: of sampled episodes, whose mean can exceed what the policy expects,
    there is no such bound.
    """
    x = np.asarray(values, dtype=np.float64)
    if x.size and not x.max() <= high:
        raise InvalidInput("values", float(x.max()), f"at most {high:g}, the bound that is given")
    if margin >= high:
        return 0.0 if margin > high else 1.0
    bets = np.arange(1, BETS + 1) / (BETS + 1) / (high - margin)
    wealth = np.log1p(np.outer(bets, margin - x)).sum(axis=1)
    top = float(wealth.max())
    return float(min(1.0, np.exp(-top) / np.exp(wealth - top).mean()))


@lru_cache(maxsize=4096)
def seeds_that_could(margin: float, high: float, alpha: float) -> float:
    """Fewest seeds with which a claim of none can be supported: when every one of them is at 0.

    No valid test needs fewer than log(alpha) / log(1 - margin / high): of seekers at the bound so
    rare that the mean is the margin, so many seeds would show none. Betting asks for more.

    Args:
        margin: Of the claim, > 0.
        high: Greatest value that a seed can have, in the same unit.
        alpha: Error rate, in (0, 1).

    Returns:
        A whole number, 1 or more; inf above 100,000.
    """
    if margin > high:
        return 1.0

    def enough(n: int) -> bool:
        return p_at_most(np.zeros(n), margin, high) <= alpha

    most = 1
    while not enough(most):
        most *= 2
        if most > 100_000:
            return inf
    low = most // 2
    while most - low > 1:
        middle = (low + most) // 2
        low, most = (low, middle) if enough(middle) else (middle, most)
    return float(most)


def unseen_probability(
    means: Floats, n: Floats, weights: Floats, gap: float, bounds: tuple[float, float]
) -> float:
    """Greatest chance that all seeds are like the ones seen though a sum of means is another.

    The fewest other seeds that move a cell's mean by d lie at the end of its range, a share
    d / room of them; n seeds miss them all with chance (1 - d / room)^n. The cells share the gap
    in the way that is missed most often.

    Args:
        means: [cells] of the seeds seen.
        n: [cells] seeds.
        weights: [cells] of the sum.
        gap: The true sum supposed, less the one seen.
        bounds: Range of a seed's value, both ends finite.

    Returns:
        In [0, 1], 1 without a gap. For n seeds of 0 and one 0/1 cell it is ``(1 - gap)^n``, the
        exact binomial chance.

    CAVEAT: a test by itself only where all seeds are equal; else a floor for the p of one.
    """
    if gap == 0:
        return 1.0
    up = weights * gap > 0
    room = np.where(up, bounds[1] - means, means - bounds[0]) * np.abs(weights)
    rooms, seeds = room[room > 0], n[room > 0]
    if abs(gap) >= rooms.sum():
        return 0.0

    def moved(price: float) -> Floats:
        return np.clip(rooms - seeds * price, 0.0, rooms)

    # Each cell is moved until one more unit costs as much in every one: n / (room - d) = 1 / price.
    top = float((rooms / seeds).max())
    price = (
        (rooms.sum() - abs(gap)) / seeds.sum()
        if len(rooms) == 1
        else float(optimize.brentq(lambda p: moved(p).sum() - abs(gap), 0.0, top))
    )
    with np.errstate(divide="ignore"):
        logs = seeds * np.log1p(-moved(price) / rooms)
    return float(np.exp(logs.sum())) if isfinite(logs.sum()) else 0.0
