"""The smallest effects that a number of seeds can find."""

from __future__ import annotations

from math import nan, sqrt
from typing import NamedTuple

from powerseek.errors import InvalidInput
from powerseek.experiments.statistics import power_analysis
from powerseek.experiments.statistics.tests import DESIGNS

EFFECTS = ("simple", "two-way", "three-way", "equivalence")


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
    it comes close to what `powerseek.experiments.statistics.tests.seeds_needed` inverts, a normal
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
    if design not in EFFECTS:
        raise InvalidInput("design", design, ", ".join(EFFECTS))
    if seeds < 2:
        return nan
    test = "paired equivalence" if design == "equivalence" else "paired"
    # A contrast of n cells varies from seed to seed with n times the variance within a cell.
    return power_analysis.smallest_effect(seeds, test) * sqrt(DESIGNS.get(design, 2.0))


def detectable(seeds: int) -> Detectable:
    """What a number of seeds per cell can find, by `smallest_effect`."""
    return Detectable(seeds, *(smallest_effect(seeds, design) for design in EFFECTS))
