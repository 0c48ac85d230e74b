"""Trajectories and exact results become named, documented numbers.

A metric is a function from a `Context` to measurements, and what is said of it (`Metric`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import isnan, nan

from powerseek.errors import LIBRARIES, contained, place_of, reason_of
from powerseek.metrics.base import (
    EXACT,
    FAILED,
    SHIFTED,
    Metric,
    beside,
    curve_names,
    every_metric,
    exactly_followed,
    failure_of,
    followed_metrics,
    is_shifted,
    known_metric,
    metric,
    metric_of,
    unshifted,
)
from powerseek.metrics.context import Context
from powerseek.metrics.expected import Expected
from powerseek.registry import list_metrics
from powerseek.types import Measurement


def measure(context: Context, names: Iterable[str] | None = None) -> list[Measurement]:
    """Every registered metric of a context (or those named), in the order of their names.

    One of a plugin or script that raises, or gives what is no measurement, costs its own number
    alone: its row is nan, and its unit says why (`failure_of`).

    Raises:
        InvalidInput: An unknown metric.
    """
    known = map(metric_of, list_metrics() if names is None else names)
    return [row for one in known for row in _contained(one, lambda one: one(context))]


def expect(expected: Expected, names: Iterable[str] | None = None) -> list[Measurement]:
    """Every registered metric that exact evaluation knows (or those named), in their order.

    Their rows rest on no episodes: n 0, without an interval. What is undefined has none; what
    failed has one, as in `measure`.
    """

    def rows(known: Metric) -> list[Measurement]:
        if known.expected is None or not known.needs.met(expected.world):
            return []
        return known.rows([Measurement(known.id, known.expected(expected), unit=known.unit)])

    known = every_metric() if names is None else map(metric_of, names)
    every = (row for one in known for row in _contained(one, rows))
    return [row for row in every if failure_of(row.unit) or not isnan(row.value)]


def broken_metrics(rows: Iterable[Measurement]) -> dict[str, str]:
    """Why each metric failed that did, by its id."""
    return {row.name: why for row in rows if (why := failure_of(row.unit))}


def _contained(known: Metric, compute: Callable[[Metric], list[Measurement]]) -> list[Measurement]:
    """The rows of a metric; of one that is not ours and fails, the row that says why."""
    if known.ours:
        return compute(known)
    try:
        with contained():
            return compute(known)
    except Exception as error:
        why = reason_of(error, passed_over=(*LIBRARIES, "powerseek"))
        place = "" if " (in " in why else place_of(known.compute)
        return [Measurement(known.id, nan, unit=f"{FAILED}{why}{f' (in {place})' * bool(place)}")]


__all__ = [
    "EXACT",
    "SHIFTED",
    "Context",
    "Expected",
    "Metric",
    "beside",
    "broken_metrics",
    "curve_names",
    "every_metric",
    "exactly_followed",
    "expect",
    "failure_of",
    "followed_metrics",
    "is_shifted",
    "known_metric",
    "measure",
    "metric",
    "metric_of",
    "unshifted",
]
