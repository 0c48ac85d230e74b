"""Interactions of two-level factors."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from powerseek.errors import InvalidInput


def factorial_contrast(cells: ArrayLike) -> float:
    """Difference of differences (of differences ...) over a 2 x 2 x ... table of cell means.

    Args:
        cells: Cell means, every axis of length 2.

    Returns:
        Second level minus first along every axis, in the cells' unit.

    CAVEAT: depends on the scale (raw, logit, share of surplus): fix the scale beforehand.
    """
    table = np.asarray(cells, dtype=np.float64)
    if any(length != 2 for length in table.shape):
        raise InvalidInput("cells", table.shape, "a table with two levels along every axis")
    while table.ndim:
        table = table[..., 1] - table[..., 0]
    return float(table)
