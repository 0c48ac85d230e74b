"""A finding: one hypothesis in one setting, with what was compared and what it comes to."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan
from typing import Any

from powerseek.experiments.analysis.checks import Check
from powerseek.experiments.statistics.comparisons import Comparison
from powerseek.experiments.statistics.families import PValues
from powerseek.experiments.statistics.lee_bounds import LeeBounds
from powerseek.experiments.statistics.ratios import RatioClaim
from powerseek.experiments.statistics.reasons import UNKNOWN, Cause, Learning, Reason
from powerseek.experiments.statistics.rest import Rest
from powerseek.experiments.statistics.verdicts import Question, Verdict
from powerseek.experiments.study.factors import Level
from powerseek.experiments.study.preregistration import Claim

UNTESTED = PValues(nan, nan)
UNSAID = Verdict("cannot tell", 0, (Cause.UNCOMPARED.because(),))


@dataclass(frozen=True)
class Crossing:
    """The levels of a factor between which a measure crosses a line, as far as it is shown.

    Attributes:
        before: The last level that, as all below it, is shown to lie on the near side of the line
            (below it for a claim of ``larger``); None where the first is not.
        after: The first level that is shown to lie on its far side; None where none is.
        levels: All levels tested, rising, with what is shown of each: ``near``, ``far`` or empty.
    """

    before: Level
    after: Level
    levels: tuple[tuple[Level, str], ...]


@dataclass(frozen=True)
class Finding:
    """One hypothesis in one setting of one world.

    Attributes:
        claim: The hypothesis and its standing.
        setting: The factors that both arms share, by column.
        a: Level of the contrast's factor in the first arm; both greatest of an interaction; the
            level of one test of a threshold.
        b: Level in the second; both least of an interaction; None where one arm is held against a
            line.
        columns: What differs.
        asked: The claim with its comparisons: one, or those at the ends of a bracket.
        p: Its p-values, adjusted for the number of hypotheses of the same standing.
        together: How many p-values were adjusted together.
        verdict: What it says of the hypothesis.
        unit: Unit of the effect, empty where unknown.
        exactly: Whether policies were evaluated exactly, in all trials; else by episodes.
        rest: The movement of what is compared at each end, over the last third of training; empty
            where there is no curve of it.
        frozen: Whether its arms are one training, played in several ways: then rest is no question.
        check: What the arms' rewards leave open, and their budgets to competence; None of one arm.
        bounds: What the comparison could be, were the seeds that learnt in one arm only the most
            or the least greedy; None where both arms learnt in equally many.
        ended: Trials of the first and of the second arm that finished or failed.
        planned: Trials of each arm that the registration knows of, 0 where it says nothing.
        unscaled: Why its margin, a share of W, has no size here; None where it has.
        learning: What is known of the arm that learnt least.
        tests: Of a threshold, the finding at each of its levels, rising; then `comparison` is that
            of the last.
        crossing: Of a threshold, what these tests come to.
        optimum: Of a threshold's level, the same measure of the reward's exact optimum; None where
            it has none.
        exact_crossing: Of a threshold, what those come to.
        needed: Of each arm the mean success of the seeds that count, and the mean of what of the
            measure that success takes; empty where that is not known.
        relied: Of each arm the mean over the seeds that count of ``reliance``, the success that is
            lost where what they took is withheld; empty where that is not known.
        ratio: Of a budget, its two arms' budgets and what tests their ratio.
    """

    claim: Claim
    setting: dict[str, Level]
    a: Any
    b: Any
    columns: tuple[str, ...]
    asked: Question
    p: PValues = UNTESTED
    together: int = 0
    verdict: Verdict = UNSAID
    unit: str = ""
    exactly: bool = False
    rest: tuple[Rest, ...] = ()
    frozen: bool = False
    check: Check | None = None
    bounds: LeeBounds | None = None
    ended: tuple[int, int] = (0, 0)
    planned: int = 0
    unscaled: Reason | None = None
    learning: Learning = UNKNOWN
    tests: tuple[Finding, ...] = ()
    crossing: Crossing | None = None
    optimum: Comparison | None = None
    exact_crossing: Crossing | None = None
    needed: tuple[tuple[float, float], ...] = ()
    relied: tuple[float, ...] = ()
    ratio: RatioClaim | None = None

    @property
    def comparison(self) -> Comparison:
        """The comparison that is told first."""
        return self.asked.main

    @property
    def gated(self) -> bool:
        """Whether seeds count only that learnt the task."""
        return self.asked.gated
