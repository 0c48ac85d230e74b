"""Causes of "cannot tell": why nothing can be said, and what would change it, a sentence each."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, unique
from math import isfinite, nan
from typing import Any, NamedTuple

MANY = 1_000_000
"""Seeds beyond which no number is told: the margin is too small for any study."""


@unique
class Cause(Enum):
    """A cause of "cannot tell": templates of why, and of the advice on what would change it.

    Every place that leaves a verdict open names one of these (`because`), so that none is without
    advice; where nothing would help the advice says so.
    """

    UNLEARNT = ("only {percent} % of an arm learnt the task", "{learning}")
    FAILED = (
        "only {percent} % of an arm learnt the task ({failed} of its trials failed)",
        "mend what made trials fail (see internals/errors), then the same command with --resume",
    )
    UNFINISHED = (
        "only {ended} of {planned} seeds ended",
        "let it end: the same command with --resume",
    )
    FEW_SEEDS = ("{seeds}, at least {least} needed", "{more}")
    FEW_LAYOUTS = ("{layouts}, at least {least} needed", "{more}")
    THESE_LAYOUTS = (
        "on these {n} layouts it is {answer}, by the interval over seeds, but layouts differ too "
        "much to say so of others",
        "{more}",
    )
    ALIKE_LAYOUTS = (
        "all {n} layouts are alike, so nothing here measures how much others differ",
        "nothing would in this study: a measure that differs between layouts",
    )
    NO_MARGIN = (
        "no margin was set beforehand",
        "name it under hypotheses: with a margin, in a study that has not run yet",
    )
    NO_CONTROL = (
        "the study has no positive control here (power_weight above 0)",
        "write power_weight: [0, 1]",
    )
    SILENT_CONTROL = (
        "the positive control did not fire",
        "more timesteps or seeds, so that agents paid for power (power_weight above 0) show more "
        "of it than others; where they never do, another measure",
    )
    OVERLAP = ("the intervals overlap", "{more}")
    FEW_EVALUATIONS = (
        "{points} evaluations in the last third of training, at least {least} needed to see "
        "whether it came to rest",
        "write evaluations: 15; where it stands there already, training has too few updates: "
        "timesteps: {timesteps:.0f}",
    )
    MOVING = (
        "still moving: {moved} over the last third of training, the margin is {margin:.2g}",
        "timesteps: {timesteps:.0f} would probably do",
    )
    BRACKET = (
        "{rise}, and the claim holds at one end of it only",
        "no seeds would: a contrast within one setting, in which need cancels, or a larger margin",
    )
    BOTH_WITHIN = (
        "the interval allows both no effect and one as large as the margin",
        "{more}",
    )
    ACROSS_MARGIN = ("the interval reaches across the margin", "{more}")
    BOTH_SIDES = ("the interval allows effects on both sides of the margin", "{more}")
    TOGETHER = (
        "not clear enough for one of several hypotheses tested together",
        "{more}; or fewer hypotheses in one study",
    )
    TOO_RARE = (
        "with {n} seeds no data could show none: seekers too rare to be among them could still "
        "reach past the margin; {could:.0f} seeds could",
        "{more}; or a larger margin; or a claim of the tail (contrast: {{tail: ..., share: ...}})",
    )
    ALIKE = (
        "all seeds are alike, so nothing here measures chance",
        "nothing would in this study: a measure that differs between seeds",
    )
    TIES = (
        "optimal policies that tie lie on both sides of {line}",
        "nothing would, for it is computed and the reward leaves it open: ask what agents do "
        "(measure: beyond, or acquired)",
    )
    UNDEFINED = (
        "{measure} is undefined here in every seed",
        "nothing would here: another measure (powerseek envs {world} lists them)",
    )
    UNSCALED = (
        "the margin is a share of the width of W, which {width}",
        "write margin: a number of units",
    )
    UNCOMPARED = (
        "none of its settings has finished trials, so there is nothing to compare yet",
        "let its trials end: the same command with --resume",
    )
    OPEN_LEVELS = ("not shown on either side of the line at {levels}", "{more}")
    CROSSED_TWICE = (
        "it is shown on both sides of the line in turn: no single threshold",
        "nothing would: there are several; ask at each level (contrast: level)",
    )
    UNTRAINED = (
        "{seeds} seeds were at competence {level:g} {before}, and a budget of 0 has no ratio",
        "a higher level of competence (competence: [...]), or a harder setting",
    )
    UNSPENT = (
        "{seeds} seeds spend no {unit} at all, and a budget of 0 has no ratio",
        "a clock in which both arms spend something: clock: steps, in a study of its own",
    )
    UNMETERED = (
        "nothing tells how many {unit} {seeds} seeds took to get there (no curve {metric})",
        "the claim in a study of its own, named before the first trial: its curves then hold it",
    )
    NO_BUDGET = (
        "{failed} trials failed, so their budgets are not known",
        "mend what made trials fail (see internals/errors), then the same command with --resume",
    )
    UNCHARTED = (
        "no learning curve tells when {seeds} seeds got there",
        "curves.parquet beside the results: the same command with --resume writes it",
    )
    COARSE = (
        "evaluations are too far apart: crossings are seen up to {late} late, which may be all "
        "that is seen",
        "evaluations: several times as many as now, in a study of its own; where each update has "
        "one already, smaller updates or a harder setting",
    )
    UNREACHED = (
        "too few seeds got there ({reach} of {n} in each arm) to tell the ratio from {times:g}",
        "timesteps: {timesteps:.0f}, twice as many, and more if need be",
    )
    OPEN_RATIO = ("the log-rank test shows the ratio on neither side of {times:g}", "{more}")
    TREND = (
        "a trend is shown, not judged: hypotheses are about the two ends of the factor",
        "name its two ends under hypotheses: contrast: specification",
    )
    CONFOUNDED = ("at gamma < 1 paying later also pays less", "write gamma: [1.0]")

    def because(self, **facts: Any) -> Reason:
        """The reason, its templates filled.

        Raises:
            KeyError: A fact is missing.
        """
        why, advice = self.value
        return Reason(self, why.format_map(facts), advice.format_map(facts))


class Reason(NamedTuple):
    """A reason that nothing can be said.

    Attributes:
        cause: Its kind.
        why: In plain words.
        advice: What would change it, likewise; never empty.
    """

    cause: Cause
    why: str
    advice: str


class Learning(NamedTuple):
    """What is known of the arm that learnt least, for what would teach it.

    Attributes:
        timesteps: Its budget, in environment steps; nan where not known.
        gate: The competence from which a seed counts; nan likewise.
        reached: The competence that nine of ten of its seeds reached; nan likewise.
    """

    timesteps: float = nan
    gate: float = nan
    reached: float = nan

    def advice(self) -> str:
        """What would let more seeds count."""
        longer = "train longer"
        if isfinite(self.timesteps):
            longer += f": timesteps: {2 * self.timesteps:.0f}, twice as many, and more if need be"
        lower = "a lower competence: in a new study"
        if isfinite(self.gate) and isfinite(self.reached):
            level = int(100 * self.reached) / 100
            if not 0 < level < self.gate:
                return longer
            lower = (
                f"in a new study a claim about less able agents, competence: [{level:g}], which "
                f"nine of ten seeds reached (the level is {self.gate:g})"
            )
        return f"{longer}; or {lower}"


UNKNOWN = Learning()


def more_seeds(more: int, wanted: int) -> str:
    """The advice on seeds.

    Args:
        more: Further seeds an arm; 0 where their number cannot be told.
        wanted: All seeds an arm.
    """
    if more > MANY:
        return "over a million seeds, so rather a larger margin"
    if not more:
        return f"at least {wanted} seeds an arm that learn the task"
    return (
        f"about {more} more seed{'s' * (more != 1)} in each arm (seeds: {wanted}, in a study of "
        "its own, for seeds added after a look are exploratory)"
    )


def more_layouts(more: int, wanted: int, seeds: int) -> str:
    """The advice on layouts.

    Args:
        more: Further layouts; 0 where their number cannot be told.
        wanted: All layouts.
        seeds: Seeds of each.
    """
    if more > MANY:
        return "over a million layouts, so rather a larger margin"
    if not more:
        return f"at least {wanted} layouts (layouts: {wanted}, in a study of its own)"
    return (
        f"about {more} more layout{'s' * (more != 1)} (layouts: {wanted}, seeds: "
        f"{wanted * seeds}, in a study of its own)"
    )


def advice_of(reasons: Sequence[Reason]) -> tuple[str, ...]:
    """The advice of some reasons, each once."""
    return tuple(dict.fromkeys(reason.advice for reason in reasons))
