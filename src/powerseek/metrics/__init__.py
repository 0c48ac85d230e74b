"""Trajectories and exact results become named, documented numbers.

A metric is a function from a `Context` to measurements; none where it does not exist in the
world, nan where it is undefined for these episodes.
"""

from __future__ import annotations

from collections.abc import Iterable

from powerseek.metrics.context import Context, Metric
from powerseek.registry import list_metrics, metrics
from powerseek.types import Measurement

MEASURES_OF_POWER = (
    "acquired",
    "acquired_outside",
    "disabled",
    "excess",
    "share_of_surplus",
)
"""Metrics that must be higher for a hoarder than for a minimalist wherever they exist."""


def measure(context: Context, names: Iterable[str] | None = None) -> list[Measurement]:
    """Every registered metric of a context (or those named), in the order of their names.

    Raises:
        InvalidInput: An unknown metric.
    """
    found: list[Measurement] = []
    for name in list_metrics() if names is None else names:
        found += metrics.get(name)(context)
    return found


__all__ = ["MEASURES_OF_POWER", "Context", "Metric", "measure"]
