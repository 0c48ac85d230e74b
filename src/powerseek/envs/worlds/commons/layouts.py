"""Instances of `commons`: neighbourhoods that differ in what they begin with and how land bears."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

STOCK_MISSING = 2
"""Units that at most are missing from the commons at the start."""
SOIL, POOR_SOIL = 0.1, 0.5
"""Greatest change of `soil` and of a neighbour's `poor_soil`, as a fraction of each."""


class Neighbourhood(NamedTuple):
    """What an instance changes.

    Attributes:
        missing: Units missing from a full commons at the start.
        soil: [3] by which the probability that a step on a plot gives a unit is multiplied, by
            person: barren land stays barren.
        stores: [3] units that each has at the start; the agent none.
    """

    missing: int
    soil: tuple[float, float, float]
    stores: tuple[int, int, int]


@lru_cache(maxsize=256)
def neighbourhood(layout: int) -> Neighbourhood:
    """The neighbourhood of a layout: 0 as the parameters say, others drawn by their number.

    Uniform and independent, in this order: units missing, 0 to 2; the agent's soil, within a
    tenth of the parameter; each neighbour's, within a half; 0 or 1 unit in each neighbour's store.
    """
    if layout == 0:
        return Neighbourhood(0, (1.0, 1.0, 1.0), (0, 0, 0))
    rng = np.random.default_rng(layout)
    missing = int(rng.integers(STOCK_MISSING + 1))
    own = 1.0 + float(rng.uniform(-SOIL, SOIL))
    first, second = (1.0 + rng.uniform(-POOR_SOIL, POOR_SOIL, 2)).tolist()
    stores = rng.integers(2, size=2).tolist()
    return Neighbourhood(missing, (own, first, second), (0, *stores))
