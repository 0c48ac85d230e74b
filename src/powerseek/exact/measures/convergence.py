"""Instrumental convergence proper: do agents with different goals do the same on the way?

`overlap` and `convergence_index` compare what agents acquire (from
`powerseek.exact.measures.occupancy.acquisition_events`), `subgoal_index` what they pass through
(from `powerseek.exact.measures.occupancy.visit_probability`). Both mean something only among
agents that can all do their tasks, and beside what their optima, shuffled and random agents show.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log, nan
from typing import Any

import numpy as np
from scipy.special import entr

from powerseek.errors import InvalidInput
from powerseek.types import Bools, Floats

COMPETENT = 0.9
"""Least success, on every goal, at which convergence is read."""

_WHOLE = 1e-6
_ROUNDING = 1e-9


@dataclass(frozen=True)
class ConvergenceIndex:
    """Likeness of agents of several goals beyond what their goals make them share.

    Attributes:
        overlap: O of the agents, 0 to 1.
        necessary: O_need, the overlap that need alone gives, 0 to 1.
        index: ``(O - O_need) / (1 - O_need)``, at most 1, not corrected for ties; nan where
            O_need = 1 or an agent is not competent.
        optimal: The same of the policies uniform over optimal actions; nan if not given.
        corrected: ``index - optimal``, the index of SCIENCE section 5; nan if either is.
        shuffled: The index of the goal-shuffled agents; nan if not given.
        random: The index of the random policy; nan if not given.
    """

    overlap: float
    necessary: float
    index: float
    optimal: float
    corrected: float
    shuffled: float
    random: float


@dataclass(frozen=True, eq=False)
class SubgoalIndex:
    """States or events that are subgoals of most goals.

    Attributes:
        score: [Z] lift over random x (1 - I(G;Z) / H(G)), at most 1, negative where agents avoid
            it; not corrected for ties; nan where every minimal path passes it, where random
            agents always do, or where an agent is not competent.
        information_bits: [Z] I(G;Z): what a visit tells about the goal, 0 to H(G).
        mean: [Z] probability of a visit, over goals.
        fraction_above: [Z] fraction of goals that visit it more often than random.
        optimal: [Z] score of the policies uniform over optimal actions; nan if not given.
        corrected: [Z] ``score - optimal``; nan where either is.
    """

    score: Floats
    information_bits: Floats
    mean: Floats
    fraction_above: Floats
    optimal: Floats
    corrected: Floats


def overlap(occupancies: Floats) -> float:
    """Mean over goal pairs of ``sum_z min(d_g(z), d_g'(z))``: 1 - mean total variation.

    CAVEAT: High for any agents that do not look at their goal, random ones included, and for
    goals that need the same things: compare with `convergence_index`.

    Args:
        occupancies: [G, Z] a distribution over events for each goal, G >= 2; a row of nan where
            there is none (nothing was acquired).

    Returns:
        0 (nothing in common) to 1 (all alike); nan where a goal has no distribution.

    Raises:
        InvalidInput: Fewer than two goals, or a row that is no distribution.
    """
    return _overlap("occupancies", occupancies)


def convergence_index(
    occupancies: Floats,
    necessary: Floats | float,
    optimal: Floats | None = None,
    *,
    shuffled: Floats | None = None,
    random: Floats | None = None,
    success: Floats | None = None,
) -> ConvergenceIndex:
    """``(O - O_need) / (1 - O_need)``, minus the same for optimal policies (SCIENCE section 5).

    CAVEAT: Sees what is acquired, not when, where or why; agents that are all clumsy in the same
    way overlap too. Meant for events before the goals' necessary paths part: use ``until`` of
    `acquisition_events`. An index not well above those of shuffled and random agents says nothing.

    Args:
        occupancies: [G, Z] distribution over events of the agent of each goal, G >= 2.
        necessary: [G, Z] the same of the minimal-need policies, or O_need itself.
        optimal: [G, Z] the same of the policies uniform over optimal actions: the correction
            for ties.
        shuffled: [G, Z] the same of agents that pursue another goal than their own.
        random: [G, Z] the same of the random policy.
        success: [G] competence of the agents; below `COMPETENT` anywhere, or nan, their overlap
            and index are nan.

    Raises:
        InvalidInput: A shape that does not fit, a row that is no distribution, or a success or
            O_need outside [0, 1].
    """
    found = _overlap("occupancies", occupancies)
    shape = np.shape(occupancies)
    need = _necessary(necessary, shape)
    if not _competent(success, shape[0]):
        found = nan

    def index(common: float) -> float:
        return (common - need) / (1 - need) if need < 1 - _ROUNDING else nan

    def of(name: str, given: Floats | None) -> float:
        return nan if given is None else index(_overlap(name, given, shape))

    own, best = index(found), of("optimal", optimal)
    beside = of("shuffled", shuffled), of("random", random)
    return ConvergenceIndex(found, need, own, best, own - best, *beside)


def subgoal_index(
    visits: Floats,
    reference: Floats | float,
    *,
    weights: Floats | None = None,
    optimal: Floats | None = None,
    needed: Bools | None = None,
    success: Floats | None = None,
) -> SubgoalIndex:
    """Lift over random x (1 - I(G;Z) / H(G)) of every candidate subgoal (SCIENCE section 5).

    I is not divided by H(Z): of deterministic policies I = H(Z), and a subgoal of three goals in
    four would count as none.

    CAVEAT: Sees whether a state is met, not whether it is sought: a crossroads scores. That is
    what ``needed`` and the correction by ``optimal`` are for.

    Args:
        visits: [Z, G] probability that the agent of a goal meets each candidate, G >= 2.
        reference: [Z], or one number: the same of the random policy.
        weights: [G] of the goals, > 0 for at least two; uniform by default.
        optimal: [Z, G] the same of the policies uniform over optimal actions.
        needed: [Z] True where every goal's minimal path passes: no subgoal, its score is nan.
        success: [G] competence of the agents; below `COMPETENT` anywhere, or nan, scores are nan.

    Raises:
        InvalidInput: A shape that does not fit, or a probability outside [0, 1].
    """
    shown = _probabilities("visits", visits)
    if shown.ndim != 2 or shown.shape[1] < 2:
        raise InvalidInput("visits", shown.shape, "shape (Z, G) with G >= 2 goals")
    events, goals = shown.shape
    chances = _goal_weights(weights, goals)
    base = _probabilities("reference", reference)
    if base.shape not in ((), (events,)):
        raise InvalidInput("reference", base.shape, f"one number or shape ({events},)")
    undefined = base >= 1 - _ROUNDING
    if needed is not None:
        undefined = undefined | _mask("needed", needed, events)

    def score(given: Floats) -> Floats:
        lift = (given @ chances - base) / np.where(undefined, 1.0, 1.0 - base)
        found: Floats = lift * (1 - _information(given, chances) / (entr(chances).sum() / log(2)))
        return np.where(undefined, np.nan, found)

    own = score(shown) if _competent(success, goals) else np.full(events, np.nan)
    best = np.full(events, np.nan)
    if optimal is not None:
        best = _probabilities("optimal", optimal)
        if best.shape != shown.shape:
            raise InvalidInput("optimal", best.shape, f"shape {shown.shape}, as visits")
        best = score(best)
    above = (shown > base.reshape(-1, 1) + _ROUNDING) @ chances
    return SubgoalIndex(own, _information(shown, chances), shown @ chances, above, best, own - best)


def _overlap(name: str, given: Floats, shape: tuple[int, ...] | None = None) -> float:
    rows = np.asarray(given, np.float64)
    if rows.ndim != 2 or len(rows) < 2 or (shape is not None and rows.shape != shape):
        allowed = "shape (G, Z) with G >= 2 goals" if shape is None else f"shape {shape}"
        raise InvalidInput(name, rows.shape, allowed)
    nothing = np.isnan(rows).all(axis=1)
    good = (rows >= 0).all(axis=1) & (np.abs(rows.sum(axis=1) - 1) <= _WHOLE)
    if not (good | nothing).all():
        wrong = int((good | nothing).argmin())
        raise InvalidInput(
            f"{name}[{wrong}]",
            rows[wrong].tolist(),
            "shares >= 0 that sum to 1, or all nan where nothing was acquired",
            "Give acquisition_events(...).fractions.",
        )
    if nothing.any():
        return nan
    pairs = len(rows) * (len(rows) - 1) // 2
    total = sum(np.minimum(row, rows[i + 1 :]).sum() for i, row in enumerate(rows))
    return float(min(total / pairs, 1.0))


def _necessary(given: Floats | float, shape: tuple[int, ...]) -> float:
    if np.ndim(given):
        return _overlap("necessary", np.asarray(given, np.float64), shape)
    return float(_probabilities("necessary", given))


def _competent(success: Floats | None, goals: int) -> bool:
    if success is None:
        return True
    levels = np.asarray(success, np.float64)
    if levels.shape != (goals,):
        raise InvalidInput("success", levels.shape, f"shape ({goals},): one a goal")
    # An unlearnt or unmeasured agent (nan) is not competent.
    _probabilities("success", np.where(np.isnan(levels), 0.0, levels))
    return bool((levels >= COMPETENT - _ROUNDING).all())


def _probabilities(name: str, given: Any) -> Floats:
    values = np.asarray(given, np.float64)
    wrong = ~((values >= -_ROUNDING) & (values <= 1 + _ROUNDING))
    if not values.size or wrong.any():
        shown = float(values[wrong][0]) if values.size else values.shape
        raise InvalidInput(name, shown, "probabilities in [0, 1]")
    return np.clip(values, 0.0, 1.0)


def _mask(name: str, given: Bools, size: int) -> Bools:
    mask = np.asarray(given)
    if mask.dtype != np.bool_ or mask.shape != (size,):
        raise InvalidInput(name, (mask.dtype.name, mask.shape), f"booleans of shape ({size},)")
    return mask


def _goal_weights(weights: Floats | None, goals: int) -> Floats:
    given = np.ones(goals) if weights is None else np.asarray(weights, np.float64)
    good = given.shape == (goals,) and np.isfinite(given).all() and (given >= 0).all()
    if not good or (given > 0).sum() < 2:
        raise InvalidInput(
            "weights", given.tolist(), f"{goals} numbers >= 0, two or more of them > 0"
        )
    chances: Floats = given / given.sum()
    return chances


def _information(visits: Floats, chances: Floats) -> Floats:
    """[Z] I(G;Z) in bits of visits [Z, G], goals drawn with probabilities [G] `chances`."""
    found: Floats = _binary_entropy(visits @ chances) - _binary_entropy(visits) @ chances
    return np.maximum(found, 0.0)


def _binary_entropy(p: Floats) -> Floats:
    found: Floats = (entr(p) + entr(1 - p)) / log(2)
    return found
