"""The need frontier: least (or greatest) expected acquisition at each level of success.

All history-free, randomised policies on state x time count: the set of (success, acquisition)
that they attain is a convex polygon, whose edge is found by Lagrangian backward induction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, overload

import numpy as np

from powerseek.envs.world import World
from powerseek.errors import InvalidInput
from powerseek.exact.enumerate import DEFAULT_LIMIT, enumerate_world
from powerseek.exact.mdp import TabularMDP
from powerseek.exact.solvers.finite import Bits, as_bits, maximise
from powerseek.exact.solvers.outcome import success_of
from powerseek.types import Floats

TIE = 1e-12
"""Difference in success (or units) below which the end points count as tied, at each step."""

GAP = 1e-3
"""Default distance of chord and tangent, in units of acquisition."""

_BATCH = 16
_NARROW = 1e-10
_SLACK = 1e-9


@dataclass(frozen=True, eq=False)
class Frontier:
    """Least acquisition (``sign`` 1) or greatest (``sign`` -1) at each level of success.

    Attributes:
        vertices: ((success, acquisition), ...) by increasing success, each attained by a
            deterministic policy; every point between two neighbours is attained by a mixture.
        tangents: [K, 2] rows (slope, height at success 0) of lines that no policy crosses.
        sign: 1 for need, -1 for most.
    """

    vertices: tuple[tuple[float, float], ...]
    tangents: Floats
    sign: int = 1

    @property
    def max_success(self) -> float:
        """Greatest attainable success: the end of the frontier."""
        return self.vertices[-1][0]

    @overload
    def at(self, success: float) -> tuple[float, float]: ...
    @overload
    def at(self, success: Floats) -> tuple[Floats, Floats]: ...
    def at(self, success: float | Floats) -> tuple[float, float] | tuple[Floats, Floats]:
        """Bounds on the extreme acquisition of all policies with at least this success.

        Args:
            success: A probability, or an array of them.

        Returns:
            (low, high) in units, shaped like ``success``; nan past the end of the frontier.
            One is a chord (attained), the other a tangent (never passed).
        """
        sigma = np.asarray(success, np.float64)
        points = np.array(self.vertices)
        chord = np.interp(sigma, points[:, 0], points[:, 1])
        lines = self.tangents[:, 0] * sigma[..., None] + self.tangents[:, 1]
        # A line is exact where it touches: rounding must not turn the bounds around.
        if self.sign > 0:
            low, high = np.minimum(lines.max(axis=-1), chord), chord
        else:
            low, high = chord, np.maximum(lines.min(axis=-1), chord)
        past = ~(sigma <= self.max_success + _SLACK)
        low, high = np.where(past, np.nan, low), np.where(past, np.nan, high)
        if sigma.ndim == 0:
            return float(low), float(high)
        return low, high

    def price(self, spare: float) -> float:
        """Units of acquisition for a unit of success at which a policy gives up about `spare`.

        Between the slopes that meet at the first vertex within `spare` of the greatest success;
        infinite where that is the last vertex: there success comes first, whatever it takes.
        """
        points = np.array(self.vertices)
        first = int(np.argmax(points[:, 0] >= self.max_success - spare))
        if first == len(points) - 1:
            return float("inf")
        slopes = np.diff(points[:, 1]) / np.diff(points[:, 0])
        below = slopes[first - 1] if first else 0.0
        return float((below + slopes[first]) / 2)

    def to_arrays(self) -> dict[str, Floats]:
        """Arrays from which `from_arrays` makes the frontier again."""
        return {
            "vertices": np.array(self.vertices),
            "tangents": self.tangents,
            "sign": np.array(float(self.sign)),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> Frontier:
        """The inverse of `to_arrays`."""
        vertices = tuple((float(s), float(a)) for s, a in arrays["vertices"])
        return cls(vertices, np.asarray(arrays["tangents"], np.float64), int(arrays["sign"]))


def need(
    world_or_mdp: World | TabularMDP,
    horizon: int | None = None,
    *,
    role: str = "resource",
    gap: float = GAP,
    limit: int = DEFAULT_LIMIT,
) -> Frontier:
    """Least expected acquisition of any policy with a given success (SCIENCE section 5).

    The policy class is every history-free, randomised policy on state x time. The frontier is
    convex and never falls; its first vertex takes as little as can be taken (then succeeds as
    often as it can), its last succeeds as often as possible (then takes as little as it can).

    Args:
        world_or_mdp: A world, enumerated here, or an MDP with a fact ``success``.
        horizon: Steps T; the world's cap by default.
        role: What is acquired: flows with this role, in their weights.
        gap: Greatest distance between the bounds, in units of acquisition.
        limit: Most states to enumerate.

    Returns:
        The frontier; ``need(world).at(0.95)`` is (low, high).

    Raises:
        InvalidInput: No horizon, no fact ``success``, no such role, or too many states.
    """
    return _frontier(as_mdp(world_or_mdp, limit), horizon, role, gap, sign=1)


def most(
    world_or_mdp: World | TabularMDP,
    horizon: int | None = None,
    *,
    role: str = "resource",
    gap: float = GAP,
    limit: int = DEFAULT_LIMIT,
) -> Frontier:
    """Greatest expected acquisition of any policy with at least a given success.

    Concave; ``most - need`` at one success is the attainable surplus. Arguments as in `need`.
    """
    return _frontier(as_mdp(world_or_mdp, limit), horizon, role, gap, sign=-1)


def minimal_need_choices(
    mdp: TabularMDP,
    horizon: int | None = None,
    *,
    role: str = "resource",
    price: float = float("inf"),
) -> Bits:
    """The minimal-need policy: greatest success, then least acquisition, then no dawdling.

    Each counts only among policies equal in what comes before (within `TIE` at each step). The
    third level, fewest steps, keeps a minimalist with time on its hands from waiting for the
    last moment, where any slip would be fatal. Nothing to acquire leaves the other two.

    Args:
        mdp: Where.
        horizon: Steps T; the world's cap by default.
        role: What is acquired.
        price: Units of acquisition that a unit of success is worth; infinite: any.

    Returns:
        [T, S] one set bit per (time, state), at the local index of the action to take.
    """
    steps = mdp.horizon(horizon)
    flows, finals = _two_criteria(mdp, role, needed=False)
    flows = np.column_stack([flows, np.ones(mdp.n_pairs)])
    finals = np.column_stack([finals, np.zeros(mdp.n_states)])
    levels = np.diag([1.0, -1.0, -1.0])[:, None]
    if price < float("inf"):
        levels = np.array([[[price, -1.0, 0.0]], [[0.0, 0.0, -1.0]]])
    _, choices = maximise(mdp, flows, finals, levels, steps, TIE, keep=True)
    assert choices is not None
    return as_bits(mdp, choices[:, :, 0])


def attainable_holdings(mdp: TabularMDP, horizon: int | None = None) -> float:
    """Greatest expected gain in weighted ``holdings`` over an episode: the power weight's scale.

    Raises:
        InvalidInput: The MDP has no fact with role ``holdings``.
    """
    holdings = mdp.final("holdings")
    if holdings is None:
        raise InvalidInput("power_weight", "> 0", "0 in a world without a fact of role 'holdings'")
    flows, one = np.zeros((mdp.n_pairs, 1)), np.ones((1, 1, 1))
    totals, _ = maximise(mdp, flows, holdings[:, None].copy(), one, mdp.horizon(horizon))
    return float(totals[0, 0] - mdp.initial @ holdings)


def as_mdp(world_or_mdp: World | TabularMDP, limit: int = DEFAULT_LIMIT) -> TabularMDP:
    """The MDP itself, or the world enumerated."""
    if isinstance(world_or_mdp, TabularMDP):
        return world_or_mdp
    return enumerate_world(world_or_mdp, limit)


def _two_criteria(mdp: TabularMDP, role: str, needed: bool = True) -> tuple[Floats, Floats]:
    """Flows [P, 2] and finals [S, 2] of (success, acquisition)."""
    flow = mdp.flow(role)
    if flow is None and not needed:
        flow = np.zeros(mdp.n_pairs)
    if flow is None:
        raise InvalidInput("role", role, f"one of {', '.join(sorted(mdp.roles))}")
    flows = np.stack([np.zeros(mdp.n_pairs), flow], axis=1)
    finals = np.stack([success_of(mdp), np.zeros(mdp.n_states)], axis=1)
    return np.ascontiguousarray(flows), np.ascontiguousarray(finals)


def _frontier(mdp: TabularMDP, horizon: int | None, role: str, gap: float, sign: int) -> Frontier:
    if not gap > 0:
        raise InvalidInput("gap", gap, "units of acquisition > 0")
    steps = mdp.horizon(horizon)
    flows, finals = _two_criteria(mdp, role)

    def solve(levels: Floats, tolerance: float) -> Floats:
        return maximise(mdp, flows, finals, levels, steps, tolerance)[0]

    first = np.array([[0.0, -sign], [1.0, 0.0]])
    ends = solve(np.stack([first, first[::-1]]), TIE)
    points = [(float(s), float(a)) for s, a in ends]
    tangents = [(0.0, points[0][1])]
    if points[1][0] - points[0][0] <= _NARROW:
        return Frontier(((points[1][0], points[0][1]),), np.array(tangents), sign)
    waiting = [_Segment(points[0], points[1], 0.0, sign * np.inf)]
    while waiting:
        batch, waiting = waiting[:_BATCH], waiting[_BATCH:]
        slopes = np.array([segment.slope for segment in batch])
        weights = np.stack([sign * slopes, np.full(len(slopes), -sign)], axis=1)
        found = solve(weights[None], 0.0)
        for segment, slope, (s, a) in zip(batch, slopes.tolist(), found.tolist(), strict=True):
            left, right = segment.left, segment.right
            tangents.append((slope, a - slope * s))
            beyond = sign * (left[1] + slope * (s - left[0]) - a)
            inside = left[0] + _NARROW < s < right[0] - _NARROW
            if beyond > gap and inside:
                points.append((s, a))
                halves = (
                    _Segment(left, (s, a), segment.left_slope, slope),
                    _Segment((s, a), right, slope, segment.right_slope),
                )
                waiting += [half for half in halves if half.gap > gap]
    return Frontier(tuple(sorted(points)), np.array(tangents), sign)


class _Segment(NamedTuple):
    """Two points of a frontier, and the slope of a line through each that nothing crosses."""

    left: tuple[float, float]
    right: tuple[float, float]
    left_slope: float
    right_slope: float

    @property
    def slope(self) -> float:
        """Slope of the chord."""
        return (self.right[1] - self.left[1]) / (self.right[0] - self.left[0])

    @property
    def gap(self) -> float:
        """Greatest distance of the chord from both lines at once, in units."""
        (x0, y0), (x1, y1) = self.left, self.right
        if np.isinf(self.right_slope):
            meet = x1
        elif self.left_slope == self.right_slope:
            meet = x0
        else:
            meet = (y1 - y0 + self.left_slope * x0 - self.right_slope * x1) / (
                self.left_slope - self.right_slope
            )
        return abs(self.slope - self.left_slope) * (min(max(meet, x0), x1) - x0)
