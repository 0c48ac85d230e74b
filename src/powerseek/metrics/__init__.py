"""Trajectories and exact results become named, documented numbers.

A metric is a function from a `Context` to measurements, and what is said of it (`Metric`).
"""

from __future__ import annotations

from collections.abc import Iterable
from math import isnan

from powerseek.metrics.base import (
    EXACT,
    Metric,
    curve_names,
    every_metric,
    exactly_followed,
    followed_metrics,
    known_metric,
    metric,
    metric_of,
)
from powerseek.metrics.context import Context
from powerseek.metrics.expected import Expected
from powerseek.registry import list_metrics
from powerseek.types import Measurement


def measure(context: Context, names: Iterable[str] | None = None) -> list[Measurement]:
    """Every registered metric of a context (or those named), in the order of their names.

    Raises:
        InvalidInput: An unknown metric, or one whose rows carry another name.
    """
    wanted = list_metrics() if names is None else names
    return [row for name in wanted for row in metric_of(name)(context)]


def expect(expected: Expected, names: Iterable[str] | None = None) -> list[Measurement]:
    """Every registered metric that exact evaluation knows (or those named), in their order.

    Their rows rest on no episodes: n 0, without an interval. What is undefined has none.
    """
    rows = []
    for known in every_metric() if names is None else map(metric_of, names):
        if known.expected is not None and known.needs.met(expected.world):
            value = known.expected(expected)
            if not isnan(value):
                rows.append(Measurement(known.id, value, n=0, unit=known.unit))
    return rows


__all__ = [
    "EXACT",
    "Context",
    "Expected",
    "Metric",
    "curve_names",
    "every_metric",
    "exactly_followed",
    "expect",
    "followed_metrics",
    "known_metric",
    "measure",
    "metric",
    "metric_of",
]
