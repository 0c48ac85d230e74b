"""The smallest effects that a number of seeds can find."""

from __future__ import annotations

from math import nan, sqrt
from typing import NamedTuple

import numpy as np
from scipy import optimize, stats

from powerseek.errors import InvalidInput
from powerseek.experiments.statistics import DESIGNS

POWER, LEVEL = 0.8, 0.05
POINTS = 20_000


class Detectable(NamedTuple):
    """What a number of seeds per cell can find, in standard deviations between seeds.

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


def smallest_effect(seeds: int, design: str = "simple") -> float:
    """Smallest effect that a number of seeds finds with 80 % power at level .05.

    The exact power of the tests that the report makes: a paired t test over seeds, two-sided, or
    two one-sided ones (``equivalence``: the smallest margin, true difference 0). With more seeds
    it comes close to what `powerseek.experiments.statistics.seeds_needed` inverts, a normal
    approximation that promises too much below about 16.

    Args:
        seeds: Seeds per cell, >= 1.
        design: ``simple``, ``two-way``, ``three-way`` or ``equivalence``.

    Returns:
        D, in standard deviations between seeds within a cell; nan below two seeds.

    Source: power of the t test, Cohen 1988, chapter 2; TOST: Schuirmann 1987.
    CAVEAT: for one comparison alone, seeds independent between arms: Holm over several needs
    larger effects, arms that share a seed's luck smaller ones.
    """
    if design not in DESIGNS and design != "equivalence":
        raise InvalidInput("design", design, ", ".join((*DESIGNS, "equivalence")))
    if seeds < 2:
        return nan
    freedom, tail = seeds - 1, LEVEL if design == "equivalence" else LEVEL / 2
    # The sample's spread as a share of the true one, at evenly likely points of its distribution.
    likely = (np.arange(POINTS) + 0.5) / POINTS
    bar = stats.t.ppf(1 - tail, freedom) * np.sqrt(stats.chi2.ppf(likely, freedom) / freedom)

    def short(errors: float) -> float:
        """Power short of the wanted, at an effect or a margin of so many standard errors."""
        if design == "equivalence":
            found = np.clip(2 * stats.norm.cdf(errors - bar) - 1, 0, None)
        else:
            found = stats.norm.cdf(errors - bar) + stats.norm.cdf(-errors - bar)
        return float(found.mean()) - POWER

    errors = float(optimize.brentq(short, 0.0, 10 * float(bar.max())))
    return errors * sqrt(DESIGNS.get(design, 2.0) / seeds)


def detectable(seeds: int) -> Detectable:
    """What a number of seeds per cell can find, by `smallest_effect`."""
    return Detectable(seeds, *(smallest_effect(seeds, d) for d in (*DESIGNS, "equivalence")))
