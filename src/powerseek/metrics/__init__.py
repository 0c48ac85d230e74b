"""Trajectories and exact results become named, documented numbers.

A metric is a function from a `Context` to measurements, and what is said of it (`Metric`).
"""

from __future__ import annotations

from collections.abc import Iterable

from powerseek.metrics.base import (
    Metric,
    every_metric,
    followed_metrics,
    known_metric,
    metric,
    metric_of,
)
from powerseek.metrics.context import Context
from powerseek.registry import list_metrics
from powerseek.types import Measurement


def measure(context: Context, names: Iterable[str] | None = None) -> list[Measurement]:
    """Every registered metric of a context (or those named), in the order of their names.

    Raises:
        InvalidInput: An unknown metric, or one whose rows carry another name.
    """
    wanted = list_metrics() if names is None else names
    return [row for name in wanted for row in metric_of(name)(context)]


__all__ = [
    "Context",
    "Metric",
    "every_metric",
    "followed_metrics",
    "known_metric",
    "measure",
    "metric",
    "metric_of",
]
