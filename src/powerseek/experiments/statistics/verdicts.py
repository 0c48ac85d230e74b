"""Verdicts on comparisons of groups of seeds - and when it is "cannot tell"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, isfinite, log, nan

import numpy as np

from powerseek.experiments.statistics.bounded import seeds_that_could, unseen_probability
from powerseek.experiments.statistics.comparisons import LEVEL, Comparison
from powerseek.experiments.statistics.families import PValues
from powerseek.experiments.statistics.layouts import LEAST_LAYOUTS
from powerseek.experiments.statistics.power_analysis import seeds_exact
from powerseek.experiments.statistics.reasons import (
    UNKNOWN,
    Cause,
    Learning,
    Reason,
    advice_of,
    more_layouts,
    more_seeds,
)

LEAST_SEEDS = 16
LEAST_REACH = 0.9
SEEDS_OF_CONTRAST, SEEDS_OF_NONE = 40, 60
"""Seeds to begin with: of a contrast, and of a claim of none about one arm."""


def seeds_to_settle(comparison: Comparison, alpha: float = LEVEL) -> int:
    """Seeds per arm that would settle a comparison, at 80 % power; at least 16 (of layouts 6).

    With a margin M and the observed standard deviation between seeds, the larger count of "an
    effect of M is found" (t test) and "no effect is shown to be smaller than M" (TOST), exactly;
    of a bounded measure also so many that seeds which jump would be seen. Without a margin 16:
    seeds alone settle nothing then.

    Args:
        comparison: From `comparisons.compare_groups`.
        alpha: Error rate, smaller where several comparisons share it.

    CAVEAT: the standard deviation is an estimate too, rough with few seeds; and an effect between
    none and the margin may need more seeds than either.
    """
    least = _least(comparison)
    if not isfinite(comparison.margin):
        return least
    wanted = _seeds_to_see(comparison.margin, comparison, alpha)
    return max(least, wanted, _seeds_to_meet(comparison, alpha))


def seeds_to_tell(comparison: Comparison, alpha: float = LEVEL) -> int:
    """Seeds per arm that would tell the effect found from 0, at 80 % power; more than there are.

    Layouts where they are what is compared.
    """
    wanted = _seeds_to_see(abs(comparison.effect.value), comparison, alpha)
    return max(_least(comparison), wanted, comparison.effect.n + 1)


def _least(comparison: Comparison) -> int:
    """Units below which nothing is concluded."""
    return LEAST_SEEDS if comparison.unit == "seed" else LEAST_LAYOUTS


def _seeds_to_see(size: float, comparison: Comparison, alpha: float) -> int:
    """Seeds to find an effect of a size, or to show that there is none of it."""
    if not comparison.deviation > 0:
        return _least(comparison)
    if comparison.samples == 1:
        designs, cells = ("paired", "paired equivalence"), 1
    else:
        designs, cells = ("simple", "equivalence"), 2
    # Beyond these bounds nothing changes for a reader, and squares would leave a float's range.
    effect = min(1e3, max(1e-6, size / comparison.deviation * cells**0.5))
    return int(max(seeds_exact(effect, design, alpha=alpha) for design in designs))


def _seeds_to_meet(comparison: Comparison, alpha: float) -> int:
    """Seeds of which some would show the jump that moves a bounded mean to the margin."""
    mean, margin, bounds = comparison.effect.value, comparison.margin, comparison.bounds
    if not abs(mean) < margin or not all(map(isfinite, bounds)):
        return _least(comparison)
    # As many cells, each with its part of the range: the chance of one seed in each.
    cells = np.ones(comparison.samples)
    missed = max(
        unseen_probability(
            cells * mean / comparison.samples,
            cells,
            cells,
            end - mean,
            (bounds[0] / comparison.samples, bounds[1] / comparison.samples),
        )
        for end in (-margin, margin)
    )
    return ceil(log(alpha) / log(missed)) if 0 < missed < 1 else _least(comparison)


@dataclass(frozen=True)
class Verdict:
    """A verdict: what a comparison allows one to say.

    Attributes:
        answer: ``larger``, ``smaller``, ``equivalent to none`` or ``cannot tell``; of a
            hypothesis ``supported``, ``refuted``, ``equivalent to none`` or ``cannot tell``.
        more_seeds: Further seeds per arm that would settle it, 0 where seeds are not what lacks.
        because: Why it cannot tell, and what would change it; never empty then.
        more_layouts: Further layouts that would settle it, likewise.

    Raises:
        ValueError: It cannot tell, and does not say why.
    """

    answer: str
    more_seeds: int
    because: tuple[Reason, ...]
    more_layouts: int = 0

    def __post_init__(self) -> None:
        if self.answer == "cannot tell" and not self.because:
            raise ValueError("a verdict that cannot tell needs a reason")

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it cannot tell, in plain words."""
        return tuple(reason.why for reason in self.because)

    @property
    def advice(self) -> tuple[str, ...]:
        """What would change that, likewise."""
        return advice_of(self.because)

    def __str__(self) -> str:
        """One line for tables: ``cannot tell, 12 more seeds``."""
        if self.answer != "cannot tell":
            return self.answer
        if self.more_layouts:
            return f"cannot tell, {self.more_layouts} more layout{'s' * (self.more_layouts != 1)}"
        if self.more_seeds:
            return f"cannot tell, {self.more_seeds} more seed{'s' * (self.more_seeds != 1)}"
        return f"cannot tell: {self.reasons[0]}"


@dataclass(frozen=True)
class Question:
    """A claim, and the comparisons that can answer it.

    Attributes:
        direction: ``larger``, ``smaller`` or ``none``: what the effect is claimed to be.
        ends: The comparison; at both ends of a bracket two, the lower one first.
        none: Those by which "none" is shown, where they are others.
        one_sided: Whether it is about a level: past its margin or not, never the other side.
        cliff: Units by which need rises over the last .005 of success, nan where not known.
        gated: False for the positive control itself, which needs neither learning nor a control.
        given: Its p-values, where they are of another test than those of the comparisons.
    """

    direction: str
    ends: tuple[Comparison, ...]
    none: tuple[Comparison, ...] = ()
    one_sided: bool = False
    cliff: float = nan
    gated: bool = True
    given: PValues | None = None

    @property
    def main(self) -> Comparison:
        """The comparison that is told first: at the lower end."""
        return self.ends[0]

    @property
    def for_none(self) -> tuple[Comparison, ...]:
        """The comparisons by which "none" is shown."""
        return self.none or self.ends

    @property
    def deciding(self) -> Question:
        """The question over layouts, where there are some: its verdict rests on these."""
        if self.main.layouts is None:
            return self
        ends, none = (tuple(one.deciding for one in part) for part in (self.ends, self.none))
        return replace(self, ends=ends, none=none)

    def tests(self) -> PValues:
        """Its two p-values, each the larger of those at both ends; nan where it is undefined.

        Over layouts, where there are some.
        """
        if self.given is not None and self.main.effect.n:
            return self.given
        if self.main.layouts is not None:
            return self.deciding.tests()
        if self.main.exact or not min(one.effect.n for one in (*self.ends, *self.none)):
            return PValues(nan, nan)
        different = [_p_difference(one, self) for one in self.ends]
        signs = {one.effect.value > 0 for one in self.ends}
        p = 1.0 if len(signs) > 1 and not self.one_sided else max(different)
        return PValues(p, max(_p_none(one, self) for one in self.for_none))


def _p_difference(one: Comparison, asked: Question) -> float:
    """P of an effect; 1 where nothing measures chance, for it could produce an answer."""
    if asked.one_sided:
        p = one.p_below if asked.direction == "smaller" else one.p_above
    elif asked.direction == "none":
        p = one.p_beyond
    else:
        p = one.p_difference
    return 1.0 if np.isnan(p) else p


def _p_none(one: Comparison, asked: Question) -> float:
    if asked.one_sided:
        p = one.p_at_least if asked.direction == "smaller" else one.p_at_most
    else:
        p = one.p_equivalence
    return 1.0 if np.isnan(p) else p


def verdict(
    comparison: Comparison, *, tests: PValues | None = None, control: bool = False
) -> Verdict:
    """The strongest statement a comparison supports: `decide_hypothesis`, of no claim.

    Args:
        comparison: From `comparisons.compare_groups`.
        tests: Its p-values adjusted for the number of comparisons; by default unadjusted.
        control: Whether the study's positive control was detected: needed for equivalence alone.
    """
    if not isfinite(comparison.margin):
        more = max(0, LEAST_SEEDS - comparison.effect.n)
        reasons = undecided_reason(comparison)
        more *= not _unlearnt(comparison)
        return Verdict("cannot tell", more, (*reasons, Cause.NO_MARGIN.because()))
    asked = Question("larger", (comparison,))
    said = decide_hypothesis(asked, tests or asked.tests(), control=True)
    if said.answer == "equivalent to none" and not control:
        return Verdict("cannot tell", 0, (Cause.SILENT_CONTROL.because(),))
    answer = {"supported": "larger", "refuted": "smaller"}.get(said.answer, said.answer)
    return Verdict(answer, said.more_seeds, said.because)


def decide_hypothesis(
    asked: Question,
    tests: PValues,
    *,
    control: bool | None,
    level: float = LEVEL,
    together: int = 2,
    moving: Sequence[Reason] = (),
    learning: Learning = UNKNOWN,
) -> Verdict:
    """Decide a hypothesis that was set beforehand, with its margin: every answer comes from here.

    An exact effect is judged by its range alone. Any other is "cannot tell" unless at least 16
    seeds of each arm count, at least 90 % of the seeds of every arm learnt the task, the world's
    positive control fired, and what is compared had come to rest. Then

    - *of a contrast*, an effect shown to be smaller than the margin is ``equivalent to none`` -
      which supports a claim of ``none`` - even where it is also shown not to be 0; any other effect
      shown not to be 0 supports the hypothesis or refutes it by its sign. A claim of ``none`` is
      refuted by an effect shown to be larger than the margin.
    - *of a level* the claim is one-sided: ``none`` is at most the margin and ``larger`` above it
      (``smaller``: below minus the margin). What shows one refutes the other.
    - *at both ends of a bracket* a claim is supported where it holds at both, the larger of the two
      p deciding, refuted where it holds at neither, and else "cannot tell".

    Shown means p < level, adjusted over one family (`families.adjust_family`), and an interval
    that does not contradict it: the 95 % interval excludes 0, the 90 % interval lies within the
    margin or beyond it. p decides; the interval only ever takes a verdict away. A claim of none
    about one arm whose range is known is decided by betting alone (`bounded.p_at_most`).

    Simulated by ``benchmarks.verdicts``, 1500 studies each, one hypothesis a study (Monte Carlo
    error .006 and less), 16 seeds an arm but where said:

    | truth | wrong |
    |---|---|
    | no effect: normal; SD 1 against 3; 0/1 with chance .5, .2, .05 | .02, .03, .02, .02, .00 |
    | an effect as large as the margin; normal: called none | .05 |
    | margin .2: 0/1 with chance .2 against always 0, with noise: called none | .00 |
    | margin .3: 0/1 with chance .5 against .2: called none | .00 |
    | margin .5: one seed in ten of one arm at +5: called none, 16 / 40 seeds | .18 / .02 |
    | a level, margin .5, one seed in ten at +5: t test, 16 / 20 / 40 / 60 seeds | .18 .13 .02 .03 |
    | a level, margin .5, one in twenty at +10: t test, likewise | .41 .37 .13 .05 |
    | both of these levels by betting, 16 to 60 seeds | .00 |
    | no effect, looked at with 16 and with 32 seeds: .05 each; .01 and .04 | .07; .04 |

    *With layouts* (`statistics.layouts`) the claim is one about layouts like these, and all of this
    is asked of their means: a t test and TOST over layouts, none of a level too, at least 6 of
    them. What the seeds would answer on these layouts alone is said where it is more; what is
    computed is compared over layouts likewise, and needs neither seeds nor learners.

    An effect of 1.5 seed SDs is found in .97, one of 1 in .66, 0/1 with chance .9 against .1 in
    1.00, none of 1.2 SDs in .83. Betting supports none of a level whose range is ten margins with
    60 seeds and not with 40.

    Args:
        asked: The claim and its comparisons.
        tests: Its two p-values, adjusted.
        control: Whether the positive control fired; None where the study has none here.
        level: Of the family: .05, or what this look at the data has of it.
        together: How many p-values are adjusted together, for the seeds that would settle it.
        moving: Reasons that it had not come to rest.
        learning: What is known of the arm that learnt least.

    CAVEAT: the effect among seeds that learnt the task; an arm that changes which seeds learn can
    shift it. Contrasts know no bound: a seeker so rare that no seed shows it goes unseen (the count
    of the tail stands beside them).
    """
    if asked.main.layouts is not None:
        return _over_layouts(asked, tests, control, level, together, moving, learning)
    if asked.main.exact:
        return _exact(asked)
    comparison = asked.main
    shown = _shown(asked, tests, level)
    alpha = level / max(1, together)
    wanted = LEAST_SEEDS
    if comparison.effect.n < LEAST_SEEDS and not shown:
        wanted = seeds_to_settle(comparison, alpha)
    reasons = undecided_reason(comparison, asked.gated, wanted, learning)
    reasons += blind_measure_reason(control) if asked.gated else []
    reasons += moving
    if reasons:
        # More seeds of an arm that does not learn, or of a blind testbed, settle nothing.
        few = comparison.effect.n < LEAST_SEEDS and not _unlearnt(comparison, asked.gated)
        more = max(0, wanted - comparison.effect.n) if few else 0
        return Verdict("cannot tell", more, tuple(reasons))
    if shown:
        return Verdict(shown, 0, ())
    return _undecided(asked, level, together)


def _over_layouts(
    asked: Question,
    tests: PValues,
    control: bool | None,
    level: float,
    together: int,
    moving: Sequence[Reason],
    learning: Learning,
) -> Verdict:
    """The verdict on layouts like those drawn; the arguments are those of `decide_hypothesis`."""
    over, comparison = asked.deciding, asked.main
    layouts, alpha = over.main, level / max(1, together)
    n, least = layouts.effect.n, LEAST_LAYOUTS
    seeds = max(1, round(comparison.effect.n / max(1, n)))
    reasons: list[Reason] = []
    if not comparison.exact:
        reasons += undecided_reason(comparison, asked.gated, learning=learning)
        reasons += blind_measure_reason(control) if asked.gated else []
        reasons += moving
    more = 0
    if n < least:
        told = f"{n} layout{'s' * (n != 1)}"
        wanted = max(least, seeds_to_settle(layouts, alpha))
        blocked = any(reason.cause in (Cause.UNLEARNT, Cause.FAILED) for reason in reasons)
        more = 0 if blocked else wanted - n
        advice = more_layouts(more, wanted, seeds)
        reasons.append(Cause.FEW_LAYOUTS.because(layouts=told, least=least, more=advice))
    if reasons:
        return Verdict("cannot tell", 0, tuple(reasons), more)
    if shown := _shown(over, tests, level):
        return Verdict(shown, 0, ())
    return _undecided_over(asked, level, together, seeds)


def _undecided_over(asked: Question, level: float, together: int, seeds: int) -> Verdict:
    """Why layouts do not decide, what the seeds say of these, and the layouts that would help."""
    over, alpha = asked.deciding, level / max(1, together)
    n = over.main.effect.n
    if _ends_disagree(over, level):
        return Verdict("cannot tell", 0, (_bracket_reason(asked.cliff),))
    if asked.main.exact and any(r.cause is Cause.TIES for r in _exact(asked).because):
        return _exact(asked)
    if not over.main.deviation > 0:
        return Verdict("cannot tell", 0, (Cause.ALIKE_LAYOUTS.because(n=n),))
    more = _still_wanted(over, alpha)
    advice = more_layouts(more, n + more, seeds)
    here = answer_here(asked, alpha)
    if here:
        reason = Cause.THESE_LAYOUTS.because(n=n, answer=here, more=advice)
    else:
        reason = _open_cause(over, level).because(n=n, could=nan, more=advice)
    return Verdict("cannot tell", 0, (reason,), more)


def answer_here(asked: Question, level: float) -> str:
    """The answer on these very layouts, by seeds alone; empty where they give none.

    By the intervals over seeds, which resample within layouts: Welch's test takes what differs
    between layouts for chance, so that its p says less than is known. Where a test needs no
    interval (betting, binomial, seeds all alike) by its p.

    Args:
        asked: The claim.
        level: Of such a test, already divided by their number.
    """
    if asked.main.exact:
        said = _exact(asked).answer
        return "" if said == "cannot tell" else said
    alone = replace(
        asked,
        ends=tuple(replace(one, layouts=None) for one in asked.ends),
        none=tuple(replace(one, layouts=None) for one in asked.none),
    )
    tests, above = alone.tests(), asked.direction != "smaller"
    shown = [isfinite(one.narrow[0]) and not one.binomial for one in alone.ends]
    bare = [
        isfinite(one.narrow[0]) and not (asked.one_sided and one.bounded(above))
        for one in alone.for_none
    ]
    tests = PValues(
        0.0 if all(shown) else tests.difference,
        0.0 if all(bare) else tests.none,
    )
    return _shown(alone, tests, level)


def level_of_none(level: float, hypotheses: float) -> float:
    """The largest level at which "none" can be shown of one of several hypotheses, all so.

    Of 2 m p-values those of the m effects are near 1 then, so that Holm's last step is this.
    """
    return level / (hypotheses + 1)


def _undecided(asked: Question, level: float, together: int) -> Verdict:
    """Why neither test decides, and the seeds that would help."""
    alpha = level / max(1, together)
    if _ends_disagree(asked, level):
        return Verdict("cannot tell", 0, (_bracket_reason(asked.cliff),))
    cause, could = _open_cause(asked, level), nan
    n = asked.main.effect.n
    more = _still_wanted(asked, alpha)
    if asked.one_sided and asked.direction != "smaller":
        worst = asked.for_none[-1]
        could = seeds_for_none(worst, level_of_none(level, together / 2))
        if isfinite(worst.bounds[1]) and could > worst.effect.n:
            cause = Cause.TOO_RARE
            more = max(more, int(could) - n) if isfinite(could) else 0
    elif all(np.isnan(one.p_difference) for one in asked.ends):
        cause = Cause.ALIKE
    seeds = more_seeds(more, n + more)
    return Verdict("cannot tell", more, (cause.because(n=n, could=could, more=seeds),))


def _bracket_reason(cliff: float) -> Reason:
    rise = f"need rises by {cliff:.2g} units over the last .005 of success"
    rise = rise if isfinite(cliff) else "need is not known near the greatest success"
    return Cause.BRACKET.because(rise=rise)


def _open_cause(asked: Question, level: float) -> Cause:
    """Why an interval decides nothing."""
    if min(asked.tests()) < level:
        return Cause.TOGETHER
    if asked.one_sided:
        return Cause.ACROSS_MARGIN
    return Cause.BOTH_SIDES if asked.direction == "none" else Cause.BOTH_WITHIN


def seeds_for_none(one: Comparison, alpha: float) -> float:
    """Fewest seeds with which any data could show "none" of one bounded arm."""
    if one.binomial:
        return float(ceil(log(alpha) / log(1 - one.margin)))
    return seeds_that_could(one.margin, one.bounds[1], alpha)


def _shown(asked: Question, tests: PValues, level: float) -> str:
    """The answer that the tests give, whatever gates it; empty where they give none."""
    if tests.none < level and all(_within(one, asked) for one in asked.for_none):
        if asked.direction == "none":
            return "supported"
        return "refuted" if asked.one_sided else "equivalent to none"
    if not tests.difference < level or not all(_past(one, asked) for one in asked.ends):
        return ""
    if asked.one_sided:
        return "refuted" if asked.direction == "none" else "supported"
    if asked.direction == "none":
        return "refuted"
    larger = asked.main.effect.value > 0
    return "supported" if larger == (asked.direction == "larger") else "refuted"


def _within(one: Comparison, asked: Question) -> bool:
    """Whether the 90 % interval does not contradict "none"; betting needs no interval."""
    low, high = one.narrow
    if not asked.one_sided:
        return not (low <= -one.margin or high >= one.margin)
    if asked.direction == "smaller":
        return one.bounded(above=False) or not low <= -one.margin
    return one.bounded(above=True) or not high >= one.margin


def _past(one: Comparison, asked: Question) -> bool:
    """Whether the interval does not contradict an effect."""
    effect, (low, high) = one.effect, one.narrow
    if asked.one_sided:
        return not (high >= -one.margin if asked.direction == "smaller" else low <= one.margin)
    if asked.direction == "none":
        return not _reaches(one)
    return not effect.low <= 0 <= effect.high


def _reaches(one: Comparison) -> bool:
    """True if the 95 % interval of an effect beyond the margin reaches back to it."""
    effect, margin = one.effect, one.margin
    return effect.low <= margin if effect.value > 0 else effect.high >= -margin


def _ends_disagree(asked: Question, level: float) -> bool:
    """Whether one end of a bracket would be answered, and the other lies on another side."""
    if len(asked.ends) < 2:
        return False
    said, sides = [], []
    for end, none in zip(asked.ends, asked.for_none, strict=True):
        alone = Question(asked.direction, (end,), (none,), asked.one_sided)
        said.append(_shown(alone, alone.tests(), level))
        sides.append((_side(end, asked), _side(none, asked)))
    return any(said) and len(set(sides)) > 1


def _side(one: Comparison, asked: Question) -> int:
    """Where an effect lies: within the margin, or beyond it on which side that counts."""
    value, margin = one.effect.value, one.margin
    above, below = value > margin, value < -margin
    if asked.one_sided:
        return int(below) if asked.direction == "smaller" else int(above)
    return int(above) - int(below)


def _exact(asked: Question) -> Verdict:
    """The verdict on a computed effect: no seeds, no learners and no control come into it."""
    effect, margin, direction = asked.main.effect, asked.main.margin, asked.direction
    if asked.one_sided:
        sign = -1.0 if direction == "smaller" else 1.0
        low, high = sorted((sign * effect.low, sign * effect.high))
        if high <= margin:
            return Verdict("supported" if direction == "none" else "refuted", 0, ())
        if low > margin:
            return Verdict("refuted" if direction == "none" else "supported", 0, ())
        return Verdict("cannot tell", 0, (Cause.TIES.because(line="the margin"),))
    if -margin < effect.low and effect.high < margin:
        return Verdict("supported" if direction == "none" else "equivalent to none", 0, ())
    least = margin if direction == "none" else 0.0
    if effect.low > least or effect.high < -least:
        found = "larger" if effect.low > least else "smaller"
        return Verdict("supported" if direction == found else "refuted", 0, ())
    line = "the margin" if least else "none"
    return Verdict("cannot tell", 0, (Cause.TIES.because(line=line),))


def _unlearnt(comparison: Comparison, gated: bool = True) -> bool:
    return gated and float(np.nan_to_num(np.min(comparison.reach))) < LEAST_REACH - 1e-9


def _too_few_learnt(comparison: Comparison, learning: Learning) -> Reason:
    reach = np.nan_to_num(comparison.reach)
    failed = comparison.failed[int(np.argmin(reach))]
    cause = Cause.FAILED if failed else Cause.UNLEARNT
    advice = learning.advice()
    return cause.because(percent=int(100 * reach.min()), failed=failed, learning=advice)


def seeds_in_words(comparison: Comparison) -> str:
    """``15 seeds an arm``, or ``15 seeds`` of one arm; ``8 layouts x 5 seeds an arm``."""
    layouts = 0 if comparison.layouts is None else comparison.layouts.effect.n
    return units_in_words(comparison.effect.n, layouts) + " an arm" * (comparison.arms > 1)


def units_in_words(seeds: int, layouts: int = 0) -> str:
    """``40 seeds``, ``8 layouts x 5 seeds``, or ``38 seeds on 8 layouts`` where they are uneven."""
    if layouts < 2:
        return f"{seeds} seed{'s' * (seeds != 1)}"
    if seeds % layouts:
        return f"{seeds} seeds on {layouts} layouts"
    each = seeds // layouts
    return f"{layouts} layouts x {each} seed{'s' * (each != 1)}"


def undecided_reason(
    comparison: Comparison,
    gated: bool = True,
    wanted: int = LEAST_SEEDS,
    learning: Learning = UNKNOWN,
) -> list[Reason]:
    """The reason that no seeds say anything: too few, or too few that learnt.

    Args:
        comparison: The seeds.
        gated: False of a positive control, which needs no learning.
        wanted: Seeds an arm that would settle it.
        learning: What is known of the arm that learnt least.
    """
    unlearnt = _unlearnt(comparison, gated)
    reasons = [_too_few_learnt(comparison, learning)] if unlearnt else []
    if (n := comparison.effect.n) < LEAST_SEEDS:
        told = seeds_in_words(comparison)
        advice = more_seeds(0 if unlearnt else wanted - n, wanted)
        reasons.append(Cause.FEW_SEEDS.because(seeds=told, least=LEAST_SEEDS, more=advice))
    return reasons


def blind_measure_reason(control: bool | None) -> list[Reason]:
    """The reason that a measure which shows nothing may be blind; empty where the control fired."""
    if control is None:
        return [Cause.NO_CONTROL.because()]
    return [] if control else [Cause.SILENT_CONTROL.because()]


def _still_wanted(asked: Question, alpha: float) -> int:
    """Further seeds, from the effect found where those for the margin are there already.

    A claim of an effect is settled once it is told from 0 or from the margin, whichever is
    farther; a claim of none, or about a level, only once it is told from the margin.
    """
    comparison = asked.main
    seeds = comparison.effect.n
    wanted = seeds_to_settle(comparison, alpha)
    if wanted <= seeds:
        effect, margin = comparison.effect.value, comparison.margin
        if asked.one_sided:
            gap = abs(margin - effect) if asked.direction != "smaller" else abs(margin + effect)
        else:
            gap = abs(margin - abs(effect))
            gap = gap if asked.direction == "none" else max(abs(effect), margin - abs(effect))
        wanted = _seeds_to_see(gap, comparison, alpha)
    return max(1, wanted - seeds)
