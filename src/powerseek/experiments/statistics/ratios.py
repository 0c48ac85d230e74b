"""Claims about how many times as large one arm's training budgets are as another's."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, inf, isfinite, isnan, log, nan
from typing import NamedTuple

import numpy as np
from scipy import stats

from powerseek.errors import InvalidInput
from powerseek.experiments.statistics.bootstrap import Estimate
from powerseek.experiments.statistics.comparisons import LEVEL, Comparison
from powerseek.experiments.statistics.families import PValues
from powerseek.experiments.statistics.reasons import MANY, Cause, Reason, more_seeds
from powerseek.experiments.statistics.survival import Budgets, Ratio, budget_ratio, p_log_rank
from powerseek.experiments.statistics.verdicts import Verdict, undecided_reason
from powerseek.types import Floats

LONG = 1e9
"""Numbers from which on they are told by their first digits."""


class RatioTests(NamedTuple):
    """One-sided p-values about how many times as large one arm's budgets are as another's.

    Attributes:
        above: Of "more than the ratio".
        below: Of "less than it".
    """

    above: float
    below: float


def p_ratio(a: Budgets, b: Budgets, ratio: float, *, seen: bool = False) -> RatioTests:
    """Log-rank tests of "arm a takes `ratio` times the budgets of arm b".

    Were all budgets of one arm that multiple of the other's, b's times the ratio would be drawn as
    a's are (accelerated failure time); what they were given up at is multiplied alike. A crossing
    lies somewhere between two evaluations, so each side is tested with the ends that speak most
    against it: "more" with a's crossings as early and b's as late as they may have been.

    Args:
        a: Budgets of one arm (the sparse one).
        b: Those of the other (the dense one).
        ratio: Times, > 0.
        seen: Whether to take crossings to lie where they were seen, as if evaluations never ended.

    Returns:
        Both p-values in (0, 1]; 1 where nothing is watched side by side.

    Raises:
        InvalidInput: Ratio not above 0.

    Source: Wei and Gail 1983, JASA 78: 382-388 (rank tests of a scale change, with censoring).
    CAVEAT: of simulated studies with a true ratio of 10 (16 seeds an arm, exponential budgets, a
    quarter given up, seen where they lie) its 5 % tests show "more" in .057 and "less" in .053, and
    "more" in .033 where two tests share the level; at a ratio of 30 "more" in .76 and .63, at 100
    in .99 and .97. Where curves cross, it is about no one ratio.
    """
    if not 0 < ratio < inf:
        raise InvalidInput("ratio", ratio, "a number > 0, finite")
    scaled = Budgets(b.steps * ratio, b.reached, b.before * ratio)
    early_a, early_b = (one.steps if seen else _earliest(one) for one in (a, scaled))
    above = p_log_rank(early_a, a.reached, scaled.steps, b.reached, "larger")
    below = p_log_rank(a.steps, a.reached, early_b, b.reached, "smaller")
    return RatioTests(*(1.0 if isnan(p) else p for p in (above, below)))


def _earliest(seeds: Budgets) -> Floats:
    """[n] the earliest that each may have got there; of one that did not, where it was given up."""
    return np.where(seeds.reached, np.nan_to_num(seeds.before), seeds.steps)


class Clock(NamedTuple):
    """What the budgets of a claim are counted in.

    Attributes:
        unit: In words.
        metric: The metric that curves must hold for it; empty where each has it.
        idle: Seeds of both arms that spent nothing of it, however long they trained.
        timesteps: Longest training of a seed up to where it got there, or was given up; nan where
            that is the largest budget itself.
    """

    unit: str = "steps"
    metric: str = ""
    idle: int = 0
    timesteps: float = nan


STEPS = Clock()
"""Environment steps of training."""


@dataclass(frozen=True)
class RatioClaim:
    """A claim about the ratio of two arms' budgets to one competence, with what tests it.

    Attributes:
        direction: ``larger`` or ``smaller`` than `times`, or ``none``: in [1 / times, times].
        times: The ratio it is held against, > 0; above 1 of ``none``.
        level: The competence, in (0, 1].
        a: Budgets of the first arm (the sparse one).
        b: Those of the second (the dense one).
        ratio: Ratio of the median budgets, with its interval.
        failed: Trials of each arm that ended in an error: their budgets are not known.
        clock: What budgets are counted in.
    """

    direction: str
    times: float
    level: float
    a: Budgets
    b: Budgets
    ratio: Ratio
    failed: tuple[int, int] = (0, 0)
    clock: Clock = STEPS

    def tests(self, *, seen: bool = False) -> PValues:
        """P-values of the claim and of its contrary; of ``none`` the other way round.

        See `p_ratio` for `seen`. nan of a clock in which nothing can be tested: such a claim is
        none of its family.
        """
        if self.clock.metric and (self.clock.idle or self.unmetered):
            return PValues(nan, nan)
        here = p_ratio(self.a, self.b, self.times, seen=seen)
        if self.direction == "larger":
            return PValues(here.above, here.below)
        if self.direction == "smaller":
            return PValues(here.below, here.above)
        inverse = p_ratio(self.a, self.b, 1 / self.times, seen=seen)
        outside = min(1.0, 2 * min(here.above, inverse.below))
        return PValues(outside, max(here.below, inverse.above))

    def p_within(self) -> float:
        """P of "the ratio lies nearer to 1 than the claim": 1 where the claim itself does."""
        if (self.direction == "larger") != (self.times > 1) or self.times == 1:
            return 1.0
        inverse = p_ratio(self.a, self.b, 1 / self.times)
        return inverse.above if self.times > 1 else inverse.below

    @property
    def untrained(self) -> int:
        """Seeds that were competent before they spent anything."""
        return sum(int((one.steps <= 0).sum()) for one in (self.a, self.b))

    @property
    def uncharted(self) -> int:
        """Seeds of which no learning curve tells when they got there."""
        known = ((one.reached & ~np.isnan(one.steps), one.before) for one in (self.a, self.b))
        return sum(int((there & np.isnan(before)).sum()) for there, before in known)

    @property
    def unmetered(self) -> int:
        """Seeds of which nothing tells what they spent."""
        return sum(int(np.isnan(one.steps).sum()) for one in (self.a, self.b))

    @property
    def late(self) -> float:
        """Most of the clock by which a crossing may be seen late; nan where there is none."""
        gaps = [(one.steps - one.before)[one.reached] for one in (self.a, self.b)]
        return float(np.max(np.concatenate(gaps), initial=0.0)) or nan

    @property
    def lateness(self) -> str:
        """`late` in words."""
        digits = ".2g" if self.clock.metric and self.late >= LONG else ",.0f"
        return f"{self.late:{digits}} {self.clock.unit}"

    def comparison(self) -> Comparison:
        """The ratio less what it is held against, with its interval, as other comparisons are."""
        found, n = self.ratio, min(self.ratio.n)
        value, low, high = (end - self.times for end in (found.value, found.low, found.high))
        reach = tuple(float(one.reached.mean()) if n else nan for one in (self.a, self.b))
        effect = Estimate(value, low, high, n)
        return Comparison(effect, nan, nan, nan, (reach[0], reach[1]), nan, failed=self.failed)


def ratio_claim(
    direction: str,
    times: float,
    level: float,
    a: Budgets,
    b: Budgets,
    failed: tuple[int, int],
    rng: np.random.Generator,
    clock: Clock = STEPS,
) -> RatioClaim:
    """The claim with the ratio of the arms' medians; none where a budget is 0 or not known."""
    n = len(a.steps), len(b.steps)
    unknown = Ratio(nan, nan, nan, nan, n)
    if min(n) and min(a.steps.min(), b.steps.min()) > 0:
        unknown = budget_ratio(a.steps, a.reached, b.steps, b.reached, rng)
    return RatioClaim(direction, times, level, a, b, unknown, failed, clock)


def decide_ratio(
    claim: RatioClaim, tests: PValues, *, level: float = LEVEL, together: int = 2
) -> Verdict:
    """Decide a claim about a ratio of budgets: neither rest nor a positive control come into it.

    Shown means p < level, adjusted over one family. What is claimed and shown is ``supported``.
    Where the contrary is shown the claim is ``refuted``; one of a ratio away from 1 is
    ``equivalent to none`` if it is also shown to lie within [1 / times, times]. It cannot tell
    below 16 seeds an arm, with seeds that were competent untrained (a budget of 0 has no ratio) or
    spend nothing of the clock, with trials that failed, have no learning curve or none of what they
    spent, and where evaluations are too far apart.

    Seeds that never reached the competence are censored, not left out.

    Args:
        claim: The claim, with its budgets.
        tests: Its p-values, adjusted.
        level: Of the family.
        together: How many p-values are adjusted together.

    CAVEAT: `p_ratio` has the error rates, which are those of its tests.
    """
    reasons = _unknown(claim)
    if reasons:
        return Verdict("cannot tell", 0, tuple(reasons))
    none = claim.direction == "none"
    if tests.none < level and none:
        return Verdict("supported", 0, ())
    if tests.difference < level:
        return Verdict("refuted" if none else "supported", 0, ())
    if tests.none < level:
        within = claim.p_within() < level / max(1, together)
        return Verdict("equivalent to none" if within else "refuted", 0, ())
    alpha = level / max(1, together)
    if min(claim.tests(seen=True)) < alpha:
        return Verdict("cannot tell", 0, (Cause.COARSE.because(late=claim.lateness),))
    n = min(claim.ratio.n)
    gap = _distance(claim)
    there = int(claim.a.reached.sum() + claim.b.reached.sum())
    if not gap > 0 or not there:
        longest = claim.clock.timesteps
        if isnan(longest):
            longest = max(one.steps.max() for one in (claim.a, claim.b))
        reach = " and ".join(f"{int(one.reached.sum())}" for one in (claim.a, claim.b))
        told = {"reach": reach, "n": n, "times": claim.times, "timesteps": 2 * longest}
        return Verdict("cannot tell", 0, (Cause.UNREACHED.because(**told),))
    # Schoenfeld 1981: seeds that must get there for a log-rank test, of exponential budgets.
    needed = 4 * (stats.norm.isf(alpha) + stats.norm.ppf(0.8)) ** 2 / gap**2
    wanted = max(n + 1, ceil(min(2.0 * MANY, n * needed / there)))
    advice = more_seeds(wanted - n, wanted)
    return Verdict(
        "cannot tell", wanted - n, (Cause.OPEN_RATIO.because(times=claim.times, more=advice),)
    )


def _unknown(claim: RatioClaim) -> list[Reason]:
    """Reasons that no ratio is known at all."""
    reasons = []
    if failed := sum(claim.failed):
        reasons.append(Cause.NO_BUDGET.because(failed=failed))
    clock = claim.clock
    if clock.idle:
        reasons.append(Cause.UNSPENT.because(seeds=clock.idle, unit=clock.unit))
    elif claim.untrained:
        before = f"before any {clock.unit}" if clock.metric else "before training"
        told = {"seeds": claim.untrained, "level": claim.level, "before": before}
        reasons.append(Cause.UNTRAINED.because(**told))
    if claim.unmetered:
        told = {"seeds": claim.unmetered, "unit": clock.unit, "metric": clock.metric}
        reasons.append(Cause.UNMETERED.because(**told))
    if claim.uncharted:
        reasons.append(Cause.UNCHARTED.because(seeds=claim.uncharted))
    return [*reasons, *undecided_reason(claim.comparison(), gated=False)]


def _distance(claim: RatioClaim) -> float:
    """Logarithm of the ratio found to the nearest that it is held against; 0 if none is known."""
    found = claim.ratio.value
    if not isfinite(found):
        return 0.0
    ends = {claim.times, 1 / claim.times} if claim.direction == "none" else {claim.times}
    return min(abs(log(found / end)) for end in ends)
