"""The need frontier: least (or greatest) expected acquisition at each level of success.

All history-free, randomised policies on state x time count: the set of (success, acquisition)
that they attain is a convex polygon, whose edge is found by Lagrangian backward induction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, overload

import numpy as np

from powerseek.envs.world import World
from powerseek.errors import InvalidInput
from powerseek.exact.enumerate import DEFAULT_LIMIT, enumerate_world
from powerseek.exact.mdp import TabularMDP
from powerseek.exact.solvers.finite import TIE, Bits, as_bits, maximise_levels, trade_at_prices
from powerseek.exact.solvers.outcome import mdp_success
from powerseek.types import Floats

GAP = 1e-3
"""Default distance of the bounds, in units of acquisition."""

MAX_LINES = 4096
"""Lines that a frontier is refined with at most, by default."""

_BATCH = 16
_SLACK = 1e-9


@dataclass(frozen=True, eq=False)
class Frontier:
    """Least acquisition (``sign`` 1) or greatest (``sign`` -1) at each level of success.

    Success is measured from the end, as the shortfall of the greatest: the last 1e-9 of it may
    take as many units as all the rest. A single action's shortfall of at most 1e-12 is none.

    Attributes:
        max_success: Greatest attainable success: the end of the frontier.
        corners: [V, 2] rows (shortfall of success, acquisition) by decreasing shortfall, each
            attained by a deterministic policy; every point between two neighbours is attained
            by a mixture. The last is the end: greatest success first, then the extreme
            acquisition.
        tangents: [K, 2] rows (price of a unit of success in units of acquisition, acquisition at
            the end) of lines that no policy crosses.
        sign: 1 for need, -1 for most.
        gap: Greatest distance of the bounds at any success, in units. It exceeds the one asked
            for only where `max_lines` ended the refinement.
    """

    max_success: float
    corners: Floats
    tangents: Floats
    sign: int = 1
    gap: float = 0.0

    @property
    def vertices(self) -> tuple[tuple[float, float], ...]:
        """((success, acquisition), ...) of the corners, by increasing success."""
        return tuple((self.max_success - d, a) for d, a in self.corners.tolist())

    @property
    def extreme(self) -> float:
        """Extreme acquisition of all policies, whatever their success, in units."""
        return float(self.tangents[0, 1])  # the price of the first line is 0

    @overload
    def at(self, success: float) -> tuple[float, float]: ...
    @overload
    def at(self, success: Floats) -> tuple[Floats, Floats]: ...
    def at(self, success: float | Floats) -> tuple[float, float] | tuple[Floats, Floats]:
        """Bounds on the extreme acquisition of all policies with at least this success.

        Args:
            success: A probability, or an array of them. Within 1e-12 of the greatest it counts
                as that.

        Returns:
            (low, high) in units, shaped like ``success``; nan past the end of the frontier, and
            at the end both what the policy there acquires. Elsewhere one is a chord (attained),
            the other a tangent (never passed), at most `gap` apart.
        """
        shortfall = self.max_success - np.asarray(success, np.float64)
        chord = np.interp(shortfall, *self.corners[::-1].T)
        lines = self.tangents[:, 1] - self.sign * self.tangents[:, 0] * shortfall[..., None]
        # A line is exact where it touches: rounding must not turn the bounds around.
        if self.sign > 0:
            low, high = np.minimum(lines.max(axis=-1), chord), chord
        else:
            low, high = chord, np.maximum(lines.min(axis=-1), chord)
        low, high = (np.where(shortfall <= TIE, self.corners[-1, 1], x) for x in (low, high))
        past = ~(shortfall >= -_SLACK)
        low, high = np.where(past, np.nan, low), np.where(past, np.nan, high)
        if low.ndim == 0:
            return float(low), float(high)
        return low, high

    def price(self, slack: float) -> float:
        """Units of acquisition for a unit of success at which a policy gives up about `slack`.

        Between the slopes that meet at the first vertex within `slack` of the greatest success;
        infinite where that is the last vertex: there success comes first, whatever it takes.
        """
        shortfall, acquired = self.corners.T
        first = int(np.argmax(shortfall <= slack))
        if first == len(shortfall) - 1:
            return float("inf")
        slopes = np.diff(acquired) / -np.diff(shortfall)
        below = slopes[first - 1] if first else 0.0
        return float((below + slopes[first]) / 2)

    def to_arrays(self) -> dict[str, Floats]:
        """Arrays from which `from_arrays` makes the frontier again."""
        return {field.name: np.array(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> Frontier:
        """The inverse of `to_arrays`."""
        return cls(
            float(arrays["max_success"]),
            np.asarray(arrays["corners"], np.float64),
            np.asarray(arrays["tangents"], np.float64),
            int(arrays["sign"]),
            float(arrays["gap"]),
        )


def need(
    world_or_mdp: World | TabularMDP,
    horizon: int | None = None,
    *,
    role: str = "resource",
    gap: float = GAP,
    max_lines: int = MAX_LINES,
    limit: int = DEFAULT_LIMIT,
) -> Frontier:
    """Least expected acquisition of any policy with a given success (SCIENCE section 5).

    The policy class is every history-free, randomised policy on state x time. The frontier is
    convex and never falls; its first vertex takes as little as can be taken (then succeeds as
    often as it can), its last succeeds as often as possible (then takes as little as it can).

    Args:
        world_or_mdp: A world, enumerated here, or an MDP with a fact ``success``.
        horizon: Steps T; the world's time limit by default.
        role: What is acquired: flows with this role, in their weights.
        gap: Greatest distance between the bounds, in units of acquisition.
        max_lines: Lines to refine the frontier with at most. Where they do not suffice,
            `Frontier.gap` is larger than `gap`.
        limit: Most states to enumerate.

    Returns:
        The frontier; ``need(world).at(0.95)`` is (low, high).

    Raises:
        InvalidInput: No horizon, no fact ``success``, no such role, or too many states.
    """
    mdp = as_mdp(world_or_mdp, limit)
    return _frontier(mdp, horizon, _acquired(mdp, role), gap, max_lines, sign=1)


def most(
    world_or_mdp: World | TabularMDP,
    horizon: int | None = None,
    *,
    role: str = "resource",
    gap: float = GAP,
    max_lines: int = MAX_LINES,
    limit: int = DEFAULT_LIMIT,
) -> Frontier:
    """Greatest expected acquisition of any policy with at least a given success.

    Concave; ``most - need`` at one success is the attainable surplus. Arguments as in `need`.
    """
    mdp = as_mdp(world_or_mdp, limit)
    return _frontier(mdp, horizon, _acquired(mdp, role), gap, max_lines, sign=-1)


def least_cost(
    mdp: TabularMDP,
    costs: Floats,
    horizon: int | None = None,
    *,
    gap: float = GAP,
    max_lines: int = MAX_LINES,
) -> Frontier:
    """Least expected cost of any policy with a given success: `need`, of any sum over steps.

    Args:
        mdp: An MDP with a fact ``success``.
        costs: [P] expected cost of every pair, in any unit and of either sign; [T, P] where it
            depends on the time, row t at step t.
        horizon: Steps T; the world's time limit by default.
        gap: Greatest distance between the bounds, in the unit of the costs.
        max_lines: As in `need`.

    Returns:
        The frontier, whose ``acquisition`` is the cost.

    Raises:
        InvalidInput: As `need`, or costs of another shape, or not finite.
    """
    steps = mdp.horizon(horizon)
    shapes = (mdp.n_pairs,), (steps, mdp.n_pairs)
    if costs.shape not in shapes or not np.isfinite(costs).all():
        allowed = " or ".join(map(str, shapes))
        raise InvalidInput("costs", costs.shape, f"finite numbers of shape {allowed}")
    return _frontier(mdp, steps, costs, gap, max_lines, sign=1)


def need_at(
    world_or_mdp: World | TabularMDP,
    success: float,
    horizon: int | None = None,
    *,
    role: str = "resource",
    gap: float = GAP,
    max_lines: int = MAX_LINES,
    limit: int = DEFAULT_LIMIT,
) -> tuple[float, float]:
    """Least expected acquisition of any policy with at least this success, and no more of `need`.

    The whole frontier takes three to six times as long where it has many corners.

    Args:
        world_or_mdp: As in `need`, with all that follows.
        success: A probability.
        horizon: As in `need`.
        role: Likewise.
        gap: Likewise.
        max_lines: Likewise.
        limit: Likewise.

    Returns:
        (low, high) in units, as `Frontier.at`; nan past the greatest success.
    """
    mdp = as_mdp(world_or_mdp, limit)
    costs = _acquired(mdp, role)
    return _frontier(mdp, horizon, costs, gap, max_lines, sign=1, success=success).at(success)


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
        horizon: Steps T; the world's time limit by default.
        role: What is acquired.
        price: Units of acquisition that a unit of success is worth; infinite: any.

    Returns:
        [T, S] one set bit per (time, state), at the local index of the action to take.
    """
    flows, finals = two_criteria(mdp, role, needed=False)
    flows = np.column_stack([flows, np.ones(mdp.n_pairs)])
    finals = np.column_stack([finals, np.zeros(mdp.n_states)])
    levels = np.array([[price, -1.0, 0.0], [0.0, 0.0, -1.0]])
    if np.isinf(price):
        levels = np.diag([1.0, -1.0, -1.0])
    return as_bits(mdp, maximise_levels(mdp, flows, finals, levels, mdp.horizon(horizon))[1])


def attainable_holdings(mdp: TabularMDP, horizon: int | None = None) -> float:
    """Greatest expected gain in weighted ``holdings`` over an episode: the power weight's scale.

    Raises:
        InvalidInput: The MDP has no fact with role ``holdings``.
    """
    holdings = mdp.final("holdings")
    if holdings is None:
        raise InvalidInput("power_weight", "> 0", "0 in a world without a fact of role 'holdings'")
    return max_final(mdp, holdings, mdp.horizon(horizon)) - float(mdp.initial @ holdings)


def max_final(mdp: TabularMDP, finals: Floats, horizon: int) -> float:
    """Greatest expected value of the last state, [S] `finals`, of any policy."""
    nothing = np.zeros((mdp.n_pairs, 1))
    return float(maximise_levels(mdp, nothing, finals[:, None], np.ones((1, 1)), horizon)[0][0])


def as_mdp(world_or_mdp: World | TabularMDP, limit: int = DEFAULT_LIMIT) -> TabularMDP:
    """The MDP itself, or the world enumerated."""
    if isinstance(world_or_mdp, TabularMDP):
        return world_or_mdp
    return enumerate_world(world_or_mdp, limit)


def two_criteria(mdp: TabularMDP, role: str, needed: bool = True) -> tuple[Floats, Floats]:
    """Flows [P, 2] and finals [S, 2] of (success, acquisition)."""
    known = mdp.flow(role) is not None or needed
    return _with_success(mdp, _acquired(mdp, role) if known else np.zeros(mdp.n_pairs))


def _acquired(mdp: TabularMDP, role: str) -> Floats:
    """[P] expected flow of a role."""
    flow = mdp.flow(role)
    if flow is None:
        raise InvalidInput("role", role, f"one of {', '.join(sorted(mdp.roles))}")
    return flow


def _with_success(mdp: TabularMDP, costs: Floats) -> tuple[Floats, Floats]:
    """Flows [..., P, 2] and finals [S, 2] of (success, cost), for costs [..., P]."""
    flows = np.stack([np.zeros_like(costs), costs], axis=-1)
    finals = np.stack([mdp_success(mdp), np.zeros(mdp.n_states)], axis=1)
    return np.ascontiguousarray(flows), np.ascontiguousarray(finals)


def _frontier(
    mdp: TabularMDP,
    horizon: int | None,
    costs: Floats,
    gap: float,
    max_lines: int,
    sign: int,
    success: float | None = None,
) -> Frontier:
    """The frontier of costs [P] or [T, P]; refined at one success alone where one is given."""
    if not gap > 0:
        raise InvalidInput("gap", gap, "units of acquisition > 0")
    steps = mdp.horizon(horizon)
    flows, finals = _with_success(mdp, costs)
    first = np.array([[0.0, -sign], [1.0, 0.0]])
    least, end = (
        maximise_levels(mdp, flows, finals, w, steps)[0].tolist() for w in (first, first[::-1])
    )
    left, right = (end[0] - least[0], sign * least[1]), (0.0, sign * end[1])
    corners, tangents, widest, waiting = [right], [(0.0, left[1])], 0.0, list[_Segment]()
    if left[0] > TIE:
        corners.append(left)
        waiting.append(_Segment(left, right, 0.0, np.inf))
    while waiting and len(tangents) < max_lines:
        size = min(_BATCH, max_lines - len(tangents))
        batch, waiting = waiting[:size], waiting[size:]
        prices = np.array([segment.price for segment in batch])
        found = trade_at_prices(mdp, sign * costs, finals[:, 0], prices, steps)
        for segment, price, (d, a) in zip(batch, prices.tolist(), found.tolist(), strict=True):
            left, right = segment.left, segment.right
            tangents.append((price, a + price * d))
            distance = right[1] - a + price * (right[0] - d)
            halves: list[_Segment] = []
            if distance > gap and right[0] < d < left[0]:
                corners.append((d, a))
                halves = [
                    _Segment(left, (d, a), segment.left_price, price),
                    _Segment((d, a), right, price, segment.right_price),
                ]
            asked = [h for h in halves if success is None or h.spans(end[0] - success)]
            waiting += [half for half in asked if half.gap > gap]
            settled = [half.gap for half in halves if half.gap <= gap] if halves else [distance]
            widest = max(widest, *settled, 0.0)
    widest = max(widest, *(segment.gap for segment in waiting), 0.0)
    scale = np.array([1.0, sign])
    ordered = np.array(sorted(corners, reverse=True)) * scale
    return Frontier(end[0], ordered, np.array(tangents) * scale, sign, widest)


class _Segment(NamedTuple):
    """Two corners of a convex frontier, and the price of a line through each, not crossed."""

    left: tuple[float, float]
    right: tuple[float, float]
    left_price: float
    right_price: float

    @property
    def price(self) -> float:
        """Units for a unit of success along the chord."""
        return (self.right[1] - self.left[1]) / (self.left[0] - self.right[0])

    def spans(self, shortfall: float) -> bool:
        """Whether it decides about this shortfall of success."""
        return self.right[0] <= shortfall <= self.left[0]

    @property
    def gap(self) -> float:
        """Greatest distance of the chord from both lines at once, in units."""
        width, rise = self.left[0] - self.right[0], self.right[1] - self.left[1]
        below, above = rise - self.left_price * width, self.right_price * width - rise
        # The lines meet where these two rises share the width between them.
        return max(0.0, below if np.isinf(above) else below * above / (below + above or 1.0))
