"""Seeds for an effect, the smallest effect for a number of seeds: exact and by approximation."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from math import ceil, inf, isnan, nan
from typing import NamedTuple

import numpy as np
from scipy import optimize, special

from powerseek.errors import InvalidInput
from powerseek.types import Floats

# How many times the variance of one cell mean enters the contrast, per seed in a cell; a
# one group alone, or differences that share their draws, are a single sample (``paired``).
DESIGNS = {"simple": 2.0, "two-way": 4.0, "three-way": 8.0, "paired": 1.0}
# Designs of a test of equivalence -> the design of the contrast it is about.
EQUIVALENCE = {"equivalence": "simple", "paired equivalence": "paired"}

# What a study is told about: effects and margins of independent groups of seeds.
EFFECTS = ("simple", "two-way", "three-way", "equivalence")

# Above this the t test and its normal approximation need the same number of seeds to 1e-5.
MANY = 200_000

NODES, WEIGHTS = np.polynomial.legendre.leggauss(300)


def seeds_needed(
    effect: float, design: str = "simple", *, alpha: float = 0.05, power: float = 0.8
) -> float:
    """Seeds per cell for a wanted power, by the normal approximation.

    ``c (z[1 - alpha/2] + z[power])^2 / D^2`` with c = 2, 4, 8 for a simple effect, a two-way and
    a three-way interaction, 1 for one sample (``paired``); ``c (z[1 - alpha] +
    z[(1 + power)/2])^2 / D^2`` for equivalence (TOST, true difference 0, margin D).

    Args:
        effect: D, the contrast (or margin) in between-seed standard deviations, >= 0; of paired
            designs in standard deviations of the difference.
        design: ``simple``, ``two-way``, ``three-way``, ``paired``, ``equivalence`` or
            ``paired equivalence``.
        alpha: Error rate.
        power: Chance to find an effect of this size.

    Returns:
        A whole number, inf where D is 0.

    CAVEAT: one or two seeds short of the t test it stands for: see :func:`seeds_exact`.
    """
    _check(design, alpha, power)
    if not effect >= 0:
        raise InvalidInput("effect", effect, "a number >= 0, in between-seed standard deviations")
    if effect == 0:
        return inf
    factor = DESIGNS[EQUIVALENCE.get(design, design)]
    if design in EQUIVALENCE:
        z = special.ndtri(1 - alpha) + special.ndtri((1 + power) / 2)
    else:
        z = special.ndtri(1 - alpha / 2) + special.ndtri(power)
    # Divided twice: the square of a tiny effect is 0.
    needed = factor * float(z) ** 2 / effect / effect
    return float(ceil(needed)) if needed < inf else inf


def statistical_power(
    effect: float,
    seeds: float,
    design: str = "simple",
    *,
    alpha: float = 0.05,
    true: float = 0.0,
) -> float:
    """Chance that the t test (or TOST) of a design finds what is there, exactly.

    The two-sided t test of a contrast over c cells has c (n - 1) degrees of freedom and the
    noncentrality D sqrt(n / c) (paired: n - 1 and D sqrt n). TOST: both one-sided tests reject,
    integrated over the sample's standard deviation.

    Args:
        effect: D >= 0 as in :func:`seeds_needed`; the margin where design is an equivalence.
        seeds: Seeds per cell, n.
        design: As in :func:`seeds_needed`.
        alpha: Error rate, two-sided; for equivalence that of each one-sided test.
        true: True difference where design is an equivalence, in the unit of the margin.

    Returns:
        In [0, 1]; 0 below two seeds a cell, with which no t test can find anything.

    Source: Cohen 1988 (noncentral t); Phillips 1990, doi:10.1007/BF01063556 (TOST).
    CAVEAT: normal outcomes, equally variable in all cells; a bimodal outcome needs more seeds.
    """
    _check(design, alpha, 0.5)
    if not effect >= 0:
        raise InvalidInput("effect", effect, "a number >= 0, in between-seed standard deviations")
    if seeds < 2:
        return 0.0
    cells = DESIGNS[EQUIVALENCE.get(design, design)]
    freedom, error = cells * (seeds - 1), (cells / seeds) ** 0.5
    level = alpha if design in EQUIVALENCE else alpha / 2
    critical = -float(special.stdtrit(freedom, level))
    if design in EQUIVALENCE:
        room, off = effect / error, abs(true) / error

        def inside(u: Floats) -> Floats:
            left = np.maximum(room - critical * u, 0)
            return np.asarray(special.ndtr(left - off) - special.ndtr(-left - off))

        return _mean_over_deviations(inside, (room - off) / critical, critical, freedom)
    shift = effect / error

    def beyond(u: Floats) -> Floats:
        return np.asarray(special.ndtr(shift - critical * u) + special.ndtr(-shift - critical * u))

    return _mean_over_deviations(beyond, shift / critical, critical, freedom)


def _mean_over_deviations(
    chance: Callable[[Floats], Floats], edge: float, critical: float, freedom: float
) -> float:
    """Mean of a chance that falls from 1 to 0 around the edge, over the estimated deviation.

    `scipy.special.nctdtr` makes nan of a quarter of 700 cases (4 seeds of an effect of 5 at level
    1e-4, where the power is .29); for TOST there is none. Far below the edge the chance is 1, far
    above it 0; between the two, and where the deviation's density is not 0, it is smooth.
    """
    tail, half = 1e-14, freedom / 2
    low = (special.gammaincinv(half, tail) / half) ** 0.5
    high = (special.gammainccinv(half, tail) / half) ** 0.5
    start = float(np.clip(edge - 9 / critical, low, high))
    stop = float(np.clip(edge + 9 / critical, low, high))
    sure = float(special.gammainc(half, half * start**2))
    u = start + (stop - start) * (NODES + 1) / 2
    with np.errstate(divide="ignore"):
        constant = half * np.log(half) - special.gammaln(half) + np.log(2)
        density = np.exp(constant + (freedom - 1) * np.log(u) - half * u**2)
    between = float((WEIGHTS * chance(u) * density).sum()) * (stop - start) / 2
    return float(np.clip(sure * float(chance(np.array([start]))[0]) + between, 0, 1))


def seeds_exact(
    effect: float, design: str = "simple", *, alpha: float = 0.05, power: float = 0.8
) -> float:
    """Fewest seeds per cell, at least 2, with which the t test (or TOST) has the wanted power.

    Args and result as of :func:`seeds_needed`, which stands in above 200,000 seeds; inf where D is
    0 and the power asked for exceeds alpha.

    CAVEAT: as good as the guess at the standard deviation between seeds that D is measured in.
    """
    rough = seeds_needed(effect, design, alpha=alpha, power=power)
    if rough > MANY:
        return rough

    def reached(seeds: int) -> bool:
        return statistical_power(effect, seeds, design, alpha=alpha) >= power

    low, high = 1, max(2, int(rough))
    while not reached(high):
        low, high = high, high + max(1, high // 8)
    return float(bisect_left(range(high), True, lo=low + 1, key=reached))


def smallest_effect(
    seeds: float, design: str = "simple", *, alpha: float = 0.05, power: float = 0.8
) -> float:
    """Smallest effect (or margin) that so many seeds per cell find with the wanted power.

    Design, alpha and power, in (alpha, 1), are those of :func:`seeds_needed`; so is the result,
    > 0; inf below two seeds: none can be found.

    CAVEAT: an effect that was not found may be any smaller than this, not 0.
    """
    _check(design, alpha, power)
    if power <= alpha:
        raise InvalidInput("power", power, f"a number in (alpha, 1) = ({alpha}, 1)", "power=0.8")
    if isnan(seeds):
        return nan
    if seeds < 2:
        return inf

    def short(effect: float) -> float:
        return statistical_power(effect, seeds, design, alpha=alpha) - power

    top = 1.0
    while short(top) < 0:
        top *= 2
    return float(optimize.brentq(short, 0.0, top, xtol=1e-10))


class Detectable(NamedTuple):
    """Effects that a number of seeds per cell can find, in standard deviations between seeds.

    Attributes:
        seeds: Seeds per cell.
        simple: Smallest simple effect.
        two_way: Smallest two-way interaction.
        three_way: Smallest three-way interaction.
        equivalence: Smallest margin within which no effect can be shown.
    """

    seeds: int
    simple: float
    two_way: float
    three_way: float
    equivalence: float


def detectable_effect(seeds: int, design: str = "simple") -> float:
    """Smallest effect that a number of seeds finds with 80 % power at level .05.

    The exact power of the t test of groups of seeds, two-sided, or
    two one-sided ones (``equivalence``: the smallest margin, true difference 0). With more seeds
    it comes close to what `seeds_needed` inverts, a normal approximation that promises too much
    below about 16.

    Args:
        seeds: Seeds per cell, >= 1.
        design: ``simple``, ``two-way``, ``three-way`` or ``equivalence``.

    Returns:
        D, in standard deviations between seeds within a cell; nan below two seeds.

    Source: power of the t test, Cohen 1988, chapter 2; TOST: Schuirmann 1987.
    CAVEAT: for one comparison alone, of groups that vary equally: Holm over several needs larger
    effects; Welch's test, which the report makes, has slightly less power.
    """
    if design not in EFFECTS:
        raise InvalidInput("design", design, ", ".join(EFFECTS))
    if seeds < 2:
        return nan
    return smallest_effect(seeds, design)


def detectable(seeds: int) -> Detectable:
    """Effects that a number of seeds per cell can find, by `detectable_effect`."""
    return Detectable(seeds, *(detectable_effect(seeds, design) for design in EFFECTS))


class OverLayouts(NamedTuple):
    """Effects that layouts x seeds can find over layouts, in standard deviations between seeds.

    Attributes:
        spread: Standard deviation between layouts of what is compared: an assumption.
        contrast: Smallest contrast, formed within layouts.
        level: Smallest distance of one arm from a line.
        equivalence: Smallest margin within which no contrast can be shown.
    """

    spread: float
    contrast: float
    level: float
    equivalence: float


def detectable_over_layouts(
    layouts: int, seeds: int, spreads: Sequence[float] = (0.5, 1.0, 2.0)
) -> tuple[OverLayouts, ...]:
    """Smallest effects that the t test over layouts finds with 80 % power at level .05.

    A layout's mean varies by s^2 + c / n: s between layouts, one between each of n seeds, c arms.
    So effects are those of one sample of layouts, of this deviation: seeds shrink its second part
    alone, and what layouts can find is never less than s times what they find of seeds without
    number.

    Args:
        layouts: Layouts, >= 2.
        seeds: Seeds of each arm on each, >= 1.
        spreads: Standard deviations between layouts, of a contrast or of one arm, >= 0.

    Source: Cohen 1988, chapter 2; two-stage sampling: Cochran 1977, chapter 10.
    """
    simple, none = (smallest_effect(layouts, d) for d in ("paired", "paired equivalence"))
    rows = []
    for spread in spreads:
        two, one = ((spread**2 + arms / seeds) ** 0.5 for arms in (2, 1))
        rows.append(OverLayouts(spread, simple * two, simple * one, none * two))
    return tuple(rows)


def _check(design: str, alpha: float, power: float) -> None:
    if design not in DESIGNS and design not in EQUIVALENCE:
        raise InvalidInput("design", design, ", ".join((*DESIGNS, *EQUIVALENCE)))
    for name, value in (("alpha", alpha), ("power", power)):
        if not 0 < value < 1:
            raise InvalidInput(name, value, "a number in (0, 1)", f"{name}=0.05")
