"""Learning curves over seeds: means with their intervals, point by point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from math import inf, nan
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import stats

from powerseek.experiments.results.side_tables import curve_table

LEVEL = 0.95
FREE = (-inf, inf)
Floats: TypeAlias = NDArray[np.float64]
Curve: TypeAlias = Mapping[str, Mapping[int, float]]
"""One trial's curves: name -> timesteps -> value; what is undefined is left out."""


def mean_band(values: Floats, bounds: tuple[float, float] = FREE) -> dict[str, Floats]:
    """Mean over seeds and its 95 % interval, point by point.

    Args:
        values: [seeds, points], nan where a seed has no value.
        bounds: What no value can leave: the interval ends there.

    Returns:
        ``mean``, ``low``, ``high`` and ``seeds`` (how many have a value), each [points]. The
        interval is mean -/+ t (n - 1 degrees of freedom) x standard deviation (n - 1) / sqrt(n),
        in the curve's unit; nan for fewer than two seeds, as is the mean for none.

    CAVEAT: it is the uncertainty of the mean, not the spread of seeds; it takes seeds to be about
    normal, and so says little where seeds fall into two camps. Each point stands for itself: many
    points make chance excursions likely.
    """
    there = ~np.isnan(values)
    n = there.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(there, values, 0.0).sum(axis=0) / n
        squares = np.where(there, values - mean, 0.0) ** 2
        deviation = np.sqrt(squares.sum(axis=0) / (n - 1))
        half = np.array([_quantile(int(count)) for count in n]) * deviation / np.sqrt(n)
    low, high = np.maximum(mean - half, bounds[0]), np.minimum(mean + half, bounds[1])
    return {"mean": mean, "low": low, "high": high, "seeds": n.astype(np.float64)}


@cache
def _quantile(n: int) -> float:
    """Half the width of the interval in standard errors of the mean."""
    return float(stats.t.ppf((1 + LEVEL) / 2, n - 1)) if n > 1 else nan


def aligned_curves(curves: Sequence[Mapping[int, float]]) -> tuple[list[int], Floats]:
    """Curves of seeds side by side: every step that any of them has, and [seeds, steps].

    A seed counts where it was evaluated, nowhere between or beyond: there it is nan.
    """
    steps = sorted({step for curve in curves for step in curve})
    values = [[curve.get(step, nan) for step in steps] for curve in curves]
    return steps, np.array(values, dtype=np.float64).reshape(len(curves), len(steps))


def read_curve(path: Path) -> dict[str, dict[int, float]]:
    """One trial's curves as kept beside the results: curve -> timesteps -> value, nan left out.

    Empty where there is none, or none that can be read.
    """
    try:
        columns: dict[str, list[Any]] = curve_table(path).to_pydict()
    except (OSError, ValueError, pa.ArrowException):
        return {}
    steps = columns.get("timesteps", [])
    return {
        name: {
            int(step): float(value)
            for step, value in zip(steps, columns[name], strict=True)
            if value is not None and value == value
        }
        for name in columns
        if name not in ("trial", "timesteps")
    }


def curve_end_value(curve: Curve, name: str) -> float:
    """Value at the trial's last evaluation, nan where it is undefined there."""
    last = max((step for points in curve.values() for step in points), default=0)
    return curve.get(name, {}).get(last, nan)
