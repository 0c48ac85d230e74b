"""Verdicts on a paired comparison of two arms - and when it is "cannot tell"."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, isfinite, log, nan

import numpy as np

from powerseek.experiments.statistics.bootstrap import Estimate
from powerseek.experiments.statistics.comparisons import LEVEL, Comparison
from powerseek.experiments.statistics.power_analysis import seeds_exact
from powerseek.experiments.statistics.tests import unseen_probability

LEAST_SEEDS = 16
LEAST_REACH = 0.9


def seeds_to_settle(comparison: Comparison, alpha: float = LEVEL) -> int:
    """Seeds per arm that would settle a comparison, at 80 % power; at least 16.

    With a margin M and s the observed standard deviation of the paired differences, the larger
    count of "an effect of M is found" (paired t test) and "no effect is shown to be smaller than
    M" (TOST), exactly; of a bounded measure also so many that seeds which jump would be seen.
    Without a margin 16: seeds alone settle nothing then.

    Args:
        comparison: From `comparisons.compare_groups`.
        alpha: Error rate, smaller where several comparisons share it.

    CAVEAT: the standard deviation is an estimate too, rough with few seeds; and an effect between
    none and the margin may need more seeds than either.
    """
    if not isfinite(comparison.margin):
        return LEAST_SEEDS
    wanted = _seeds_to_see(comparison.margin, comparison.deviation, alpha)
    return max(LEAST_SEEDS, wanted, _seeds_to_meet(comparison, alpha))


def _seeds_to_see(size: float, deviation: float, alpha: float) -> int:
    """Seeds to find an effect of a size, or to show that there is none of it."""
    if not deviation > 0:
        return LEAST_SEEDS
    # Beyond these bounds nothing changes for a reader, and squares would leave a float's range.
    effect = min(1e3, max(1e-6, size / deviation))
    return int(max(seeds_exact(effect, d, alpha=alpha) for d in ("paired", "paired equivalence")))


def _seeds_to_meet(comparison: Comparison, alpha: float) -> int:
    """Seeds of which some would show the jump that moves a bounded mean to the margin."""
    mean, margin = comparison.effect.value, comparison.margin
    if not abs(mean) < margin:
        return LEAST_SEEDS
    missed = max(unseen_probability(mean, end, 1, comparison.bounds) for end in (-margin, margin))
    return ceil(log(alpha) / log(missed)) if 0 < missed < 1 else LEAST_SEEDS


@dataclass(frozen=True)
class Verdict:
    """A verdict: what a comparison allows one to say.

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
        comparison: From `comparisons.compare_groups`.
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
        reasons.append(_too_few_learnt(comparison, "learnt"))
    if seeds < LEAST_SEEDS:
        reasons.append(f"{_seeds(comparison)}, at least {LEAST_SEEDS} needed")
    if not isfinite(comparison.margin):
        reasons.append("no margin was set beforehand")
    if reasons:
        return Verdict("cannot tell", more, tuple(reasons))
    p = comparison.p_difference if np.isnan(p) else p
    equivalent = comparison.p_equivalence < LEVEL and comparison.inside
    if equivalent and control_fires:
        return Verdict("equivalent to none", 0, ())
    if p < LEVEL and not (comparison.effect.low <= 0 <= comparison.effect.high):
        return Verdict("larger" if comparison.effect.value > 0 else "smaller", 0, ())
    if equivalent:
        return Verdict("cannot tell", 0, ("the positive control did not fire",))
    return Verdict("cannot tell", more, ("the interval allows both no effect and the margin",))


def decide_hypothesis(
    comparison: Comparison,
    direction: str,
    *,
    p: float,
    p_equivalence: float,
    control: bool | None,
    alpha: float = LEVEL,
    gated: bool = True,
) -> Verdict:
    """Decide a hypothesis that was set beforehand, with its margin, by a comparison.

    An exact effect is judged by its range alone. Any other is "cannot tell" unless at least 16
    seeds are paired, at least 90 % of the seeds of both arms learnt the task, and the world's
    positive control fired. Then: an effect shown to be smaller
    than the margin is ``equivalent to none`` - which supports a claim of ``none`` - even where it
    is also shown not to be 0; any other effect shown not to be 0 supports the hypothesis or refutes
    it by its sign. A claim of ``none`` is refuted by an effect shown to be larger than the margin.

    Shown means p < .05 (t test, TOST) and an interval that does not contradict it: the 95 %
    interval excludes 0 (or the margin), the 90 % interval lies within the margin. p decides; the
    interval only ever takes a verdict away. Simulated with 16 seeds an arm, 1500 studies each:

    | truth | wrong |
    |---|---|
    | no difference; normal, 0/1 with chance .5, .2, .05 | .05, .05, .05, .00 find one |
    | as large as the margin; normal | .04 find none (TOST alone .05) |
    | margin .2: 0/1 with chance .2 against always 0, with noise | .02 find none (TOST alone .14) |
    | margin .3: 0/1 with chance .5 against .2 | .02 find none (TOST alone .03) |

    An effect of one standard deviation of the differences is found in .97 (t test alone .97),
    0/1 with chance .9 against .1 in 1.00, .7 against .2 in .78; none of a standard deviation in
    .97 (TOST alone .97).

    Args:
        comparison: From `comparisons.compare_groups`, with the hypothesis's margin.
        direction: ``larger``, ``smaller`` or ``none``: what the effect is claimed to be.
        p: p of the difference, adjusted for the number of hypotheses.
        p_equivalence: p of the equivalence test, adjusted likewise.
        control: Whether the positive control fired; None where the study has none here.
        alpha: Error rate left to this hypothesis, where p is not adjusted.
        gated: False for the positive control itself, which needs neither learning nor a control.

    CAVEAT: the effect among seeds that learnt the task in both arms; an arm that changes which
    seeds learn can shift it. An unbounded measure that is skewed from seed to seed (exponential)
    is called equivalent at the margin in .08 of studies with 16 seeds.
    """
    if comparison.exact:
        return _exact(comparison, direction)
    effect = comparison.effect
    # Beyond the margin, one of the two tests of equivalence fails from the other side.
    p_beyond = 2 * (1 - comparison.p_equivalence) if abs(effect.value) > comparison.margin else 1.0
    shown = _shown(comparison, direction, p, p_equivalence, p_beyond < alpha)
    reasons = undecided_reason(comparison, gated) + (blind_measure_reason(control) if gated else [])
    if reasons:
        # More seeds of an arm that does not learn, or of a blind testbed, settle nothing.
        few = effect.n < LEAST_SEEDS and not _unlearnt(comparison, gated)
        wanted = LEAST_SEEDS if shown else seeds_to_settle(comparison, alpha)
        return Verdict("cannot tell", max(0, wanted - effect.n) if few else 0, tuple(reasons))
    if shown:
        return Verdict(shown, 0, ())
    why = "the interval allows both no effect and one as large as the margin"
    if direction == "none":
        why = "the interval allows effects on both sides of the margin"
    other = p_beyond if direction == "none" else comparison.p_difference
    if min(other, comparison.p_equivalence) < LEVEL:
        why = "not clear enough for one of several hypotheses tested together"
    if np.isnan(comparison.p_difference):
        why = "all seeds are alike, so nothing here measures chance"
    return Verdict("cannot tell", _still_wanted(comparison, direction, alpha), (why,))


def _shown(
    comparison: Comparison, direction: str, p: float, p_equivalence: float, beyond: bool
) -> str:
    """The answer that the tests give, whatever gates it; empty where they give none."""
    effect = comparison.effect
    if p_equivalence < LEVEL and comparison.inside:
        return "supported" if direction == "none" else "equivalent to none"
    if direction == "none":
        return "refuted" if beyond and not _reaches(effect, comparison.margin) else ""
    if p < LEVEL and not effect.low <= 0 <= effect.high:
        return "supported" if (effect.value > 0) == (direction == "larger") else "refuted"
    return ""


def _exact(comparison: Comparison, direction: str) -> Verdict:
    """The verdict on a computed effect: no seeds, no learners and no control come into it."""
    effect, margin = comparison.effect, comparison.margin
    if -margin < effect.low and effect.high < margin:
        return Verdict("supported" if direction == "none" else "equivalent to none", 0, ())
    least = margin if direction == "none" else 0.0
    if effect.low > least or effect.high < -least:
        found = "larger" if effect.low > least else "smaller"
        return Verdict("supported" if direction == found else "refuted", 0, ())
    why = f"optimal policies that tie lie on both sides of {'the margin' if least else 'it'}"
    return Verdict("cannot tell", 0, (why,))


def _reaches(effect: Estimate, margin: float) -> bool:
    """True if the interval of an effect beyond the margin reaches back to it."""
    return effect.low <= margin if effect.value > 0 else effect.high >= -margin


def _unlearnt(comparison: Comparison, gated: bool = True) -> bool:
    return gated and float(np.nan_to_num(np.min(comparison.reach))) < LEAST_REACH - 1e-9


def _too_few_learnt(comparison: Comparison, what: str) -> str:
    reach = np.nan_to_num(comparison.reach)
    failed = comparison.failed[int(np.argmin(reach))]
    failures = f" ({failed} of its trials failed)" if failed else ""
    return f"only {int(100 * reach.min())} % of an arm {what}{failures}"


def _seeds(comparison: Comparison) -> str:
    """``15 paired seeds``, or ``15 seeds`` of one arm."""
    count = comparison.effect.n
    return f"{count} {'paired ' * comparison.paired}seed{'s' * (count != 1)}"


def _lacking_seeds(comparison: Comparison) -> list[str]:
    seeds = comparison.effect.n
    if seeds >= LEAST_SEEDS:
        return []
    return [f"{_seeds(comparison)}, at least {LEAST_SEEDS} needed"]


def undecided_reason(comparison: Comparison, gated: bool = True) -> list[str]:
    """The reason that no seeds say anything, in plain words: too few, or too few that learnt."""
    unlearnt = [_too_few_learnt(comparison, "learnt the task")]
    return (unlearnt if _unlearnt(comparison, gated) else []) + _lacking_seeds(comparison)


def blind_measure_reason(control: bool | None) -> list[str]:
    """The reason that a measure which shows nothing may be blind; empty where the control fired."""
    if control is None:
        return ["the study has no positive control here (power_weight above 0)"]
    return [] if control else ["the positive control did not fire"]


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
        wanted = _seeds_to_see(gap, comparison.deviation, alpha)
    return max(1, wanted - seeds)
