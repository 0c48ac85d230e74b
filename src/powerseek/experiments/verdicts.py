"""What a paired comparison of two arms allows one to say - and when it is "cannot tell"."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, nan

import numpy as np
from numpy.typing import ArrayLike

from powerseek.experiments import kinds
from powerseek.experiments.statistics import (
    Estimate,
    bootstrap,
    p_difference,
    p_equivalence,
    seeds_needed,
)

LEAST_SEEDS = kinds.LEAST_SEEDS
LEAST_REACH = 0.9
LEVEL = 0.05


@dataclass(frozen=True)
class Comparison:
    """Two arms compared seed by seed.

    Attributes:
        effect: Mean of a - b with its bootstrap interval, n = pairs.
        spread: Standard deviation of a - b over seeds, nan below two pairs.
        p_difference: Two-sided paired t test.
        p_equivalence: TOST against the margin, nan without one.
        reach: Share of seeds that learnt the task, in arm a and in arm b.
        margin: Smallest difference of interest set beforehand, nan if none was.
    """

    effect: Estimate
    spread: float
    p_difference: float
    p_equivalence: float
    reach: tuple[float, float]
    margin: float


def compare(
    a: ArrayLike,
    b: ArrayLike,
    rng: np.random.Generator,
    *,
    strata: ArrayLike | None = None,
    reach: tuple[float, float] = (1.0, 1.0),
    margin: float = nan,
) -> Comparison:
    """Paired difference a - b; pairs with a nan on either side are left out.

    Args:
        a: [n], one value a seed.
        b: [n], the same seeds in the same order.
        rng: Source of chance.
        strata: [n] labels (goal, layout) for a stratified bootstrap.
        reach: Share of seeds that learnt the task, in each arm, in [0, 1].
        margin: Smallest difference of interest, set beforehand; nan if none was.
    """
    first, second = (np.asarray(values, dtype=np.float64) for values in (a, b))
    paired = np.isfinite(first) & np.isfinite(second)
    effect = bootstrap(first - second, rng, strata=strata)
    first, second = first[paired], second[paired]
    spread = float((first - second).std(ddof=1)) if effect.n > 1 else nan
    equivalence = p_equivalence(first, second, margin, paired=True) if isfinite(margin) else nan
    return Comparison(effect, spread, p_difference(first, second), equivalence, reach, margin)


def seeds_to_settle(comparison: Comparison, alpha: float = LEVEL) -> int:
    """Seeds per arm that would settle a comparison, at 80 % power; at least 16.

    With a margin M, D = M / (s / sqrt 2), s the observed standard deviation of the paired
    differences, and the larger count of "an effect of M is found" and "no effect is shown to be
    smaller than M" is taken. Without a margin, D = 1: a difference of one seed standard deviation.

    Args:
        comparison: From :func:`compare`.
        alpha: Error rate, smaller where several comparisons share it.

    CAVEAT: the spread is an estimate too, rough with few seeds; and an effect between none and
    the margin may need more seeds than either.
    """
    if not isfinite(comparison.margin):
        return int(max(LEAST_SEEDS, seeds_needed(1.0, alpha=alpha)))
    return max(LEAST_SEEDS, _seeds_to_see(comparison.margin, comparison.spread, alpha))


def _seeds_to_see(size: float, spread: float, alpha: float) -> int:
    """Seeds to find an effect of a size, or to show that there is none of it."""
    if not spread > 0:
        return LEAST_SEEDS
    # Beyond these bounds nothing changes for a reader, and squares would leave a float's range.
    effect = min(1e3, max(1e-6, size * 2**0.5 / spread))
    return int(max(seeds_needed(effect, d, alpha=alpha) for d in ("simple", "equivalence")))


@dataclass(frozen=True)
class Verdict:
    """What a comparison allows one to say.

    Attributes:
        answer: ``larger``, ``smaller``, ``equivalent to none`` or ``cannot tell``; of a
            hypothesis ``supported``, ``refuted``, ``equivalent to none`` or ``cannot tell``.
        more_seeds: Further seeds per arm that would settle it, 0 where seeds are not what lacks.
        reasons: Why it cannot tell, in plain words.
    """

    answer: str
    more_seeds: int
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        """One line for tables: ``cannot tell, 12 more seeds``."""
        if self.answer != "cannot tell":
            return self.answer
        if self.more_seeds:
            return f"cannot tell, {self.more_seeds} more seed{'s' * (self.more_seeds != 1)}"
        return f"cannot tell: {self.reasons[0]}" if self.reasons else self.answer


def verdict(comparison: Comparison, *, p: float = nan, control_fires: bool = False) -> Verdict:
    """The strongest statement a comparison supports.

    "cannot tell" unless at least 16 seeds are paired, at least 90 % of the seeds of both arms
    learnt the task, and a margin was set beforehand. Equivalence also needs a positive control
    that fired.

    Args:
        comparison: From :func:`compare`.
        p: p of the difference after adjusting for the number of comparisons; nan = unadjusted.
        control_fires: Whether the study's positive control was detected.
    """
    seeds = comparison.effect.n
    more = max(0, seeds_to_settle(comparison) - seeds)
    reasons = []
    reach = float(np.nan_to_num(np.min(comparison.reach)))
    if reach < LEAST_REACH - 1e-9:
        # More seeds of an arm that does not learn settle nothing.
        more = 0
        reasons.append(f"only {int(100 * reach)} % of an arm learnt")
    if seeds < LEAST_SEEDS:
        reasons.append(f"{seeds} paired seed{'s' * (seeds != 1)}, at least {LEAST_SEEDS} needed")
    if not isfinite(comparison.margin):
        reasons.append("no margin was set beforehand")
    if reasons:
        return Verdict("cannot tell", more, tuple(reasons))
    p = comparison.p_difference if np.isnan(p) else p
    if comparison.p_equivalence < LEVEL and control_fires:
        return Verdict("equivalent to none", 0, ())
    if p < LEVEL and not (comparison.effect.low <= 0 <= comparison.effect.high):
        return Verdict("larger" if comparison.effect.value > 0 else "smaller", 0, ())
    if comparison.p_equivalence < LEVEL:
        return Verdict("cannot tell", 0, ("the positive control did not fire",))
    return Verdict("cannot tell", more, ("the interval allows both no effect and the margin",))


def judge(
    comparison: Comparison,
    direction: str,
    *,
    p: float,
    p_equivalence: float,
    control: bool | None,
    alpha: float = LEVEL,
    gated: bool = True,
) -> Verdict:
    """What a comparison says of a hypothesis that was set beforehand, with its margin.

    "cannot tell" unless at least 16 seeds are paired, at least 90 % of the seeds of both arms
    learnt the task, and the world's positive control fired. Then: an effect shown to be smaller
    than the margin is ``equivalent to none`` - which supports a claim of ``none`` - even where it
    is also shown not to be 0; any other effect shown not to be 0 supports the hypothesis or refutes
    it by its sign. A claim of ``none`` is refuted by an effect shown to be larger than the margin.

    Args:
        comparison: From :func:`compare`, with the hypothesis's margin.
        direction: ``larger``, ``smaller`` or ``none``: what the effect is claimed to be.
        p: p of the difference, adjusted for the number of hypotheses.
        p_equivalence: p of the equivalence test, adjusted likewise.
        control: Whether the positive control fired; None where the study has none here.
        alpha: Error rate left to this hypothesis, where p is not adjusted.
        gated: False for the positive control itself, which needs neither learning nor a control.

    CAVEAT: the effect among seeds that learnt the task in both arms; an arm that changes which
    seeds learn can shift it.
    """
    reasons = _lacking(comparison, control) if gated else _lacking_seeds(comparison)
    if reasons:
        # More seeds of an arm that does not learn, or of a blind testbed, settle nothing.
        few = comparison.effect.n < LEAST_SEEDS and not _unlearnt(comparison, gated)
        wanted = seeds_to_settle(comparison, alpha) - comparison.effect.n
        return Verdict("cannot tell", max(0, wanted) if few else 0, tuple(reasons))
    if p_equivalence < LEVEL:
        return Verdict("supported" if direction == "none" else "equivalent to none", 0, ())
    effect = comparison.effect
    # Beyond the margin, one of the two tests of equivalence fails from the other side.
    p_beyond = 2 * (1 - comparison.p_equivalence) if abs(effect.value) > comparison.margin else 1.0
    if direction == "none":
        if p_beyond < alpha:
            return Verdict("refuted", 0, ())
    elif p < LEVEL and not effect.low <= 0 <= effect.high:
        found = "larger" if effect.value > 0 else "smaller"
        return Verdict("supported" if direction == found else "refuted", 0, ())
    why = "the interval allows both no effect and one as large as the margin"
    if direction == "none":
        why = "the interval allows effects on both sides of the margin"
    other = p_beyond if direction == "none" else comparison.p_difference
    if min(other, comparison.p_equivalence) < LEVEL:
        why = "not clear enough for one of several hypotheses tested together"
    if np.isnan(comparison.p_difference):
        why = "all seeds are alike, so nothing here measures chance"
    return Verdict("cannot tell", _still_wanted(comparison, direction, alpha), (why,))


def _unlearnt(comparison: Comparison, gated: bool = True) -> bool:
    return gated and float(np.nan_to_num(np.min(comparison.reach))) < LEAST_REACH - 1e-9


def _lacking_seeds(comparison: Comparison) -> list[str]:
    seeds = comparison.effect.n
    if seeds >= LEAST_SEEDS:
        return []
    return [f"{seeds} paired seed{'s' * (seeds != 1)}, at least {LEAST_SEEDS} needed"]


def _lacking(comparison: Comparison, control: bool | None) -> list[str]:
    """Why nothing may be said, in plain words."""
    reasons = []
    if _unlearnt(comparison):
        reach = float(np.nan_to_num(np.min(comparison.reach)))
        reasons.append(f"only {int(100 * reach)} % of an arm learnt the task")
    reasons += _lacking_seeds(comparison)
    if control is None:
        reasons.append("the study has no positive control here (power_weight above 0)")
    elif not control:
        reasons.append("the positive control did not fire")
    return reasons


def _still_wanted(comparison: Comparison, direction: str, alpha: float) -> int:
    """Further seeds, from the effect found where those for the margin are there already.

    A claim of an effect is settled once it is told from 0 or from the margin, whichever is
    farther; a claim of none only once it is told from the margin.
    """
    seeds = comparison.effect.n
    wanted = seeds_to_settle(comparison, alpha)
    if wanted <= seeds:
        effect, margin = abs(comparison.effect.value), comparison.margin
        gap = abs(margin - effect) if direction == "none" else max(effect, margin - effect)
        wanted = _seeds_to_see(gap, comparison.spread, alpha)
    return max(1, wanted - seeds)
