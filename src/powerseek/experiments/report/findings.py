"""Findings in plain words: effect, evidence, and what is lacking."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from powerseek.experiments.analysis.hypotheses import Crossing, Finding
from powerseek.experiments.report.text import number_text, title_of
from powerseek.experiments.study.factors import (
    CELL,
    MISSING,
    factor_of,
    factors_in_words,
    written_level,
)
from powerseek.experiments.study.schema import Hypothesis

MANY = 1_000_000


@dataclass(frozen=True)
class FindingText:
    """One finding in words.

    Attributes:
        answer: One of `hypotheses.ANSWERS`.
        where: World and setting.
        effect: What was measured, with its interval; of a threshold where the line is crossed.
        evidence: Seeds, reach and tests, line by line: one, or one a level of a threshold.
        wanting: Why it cannot tell and what would settle it; empty where it can.
    """

    answer: str
    where: str
    effect: str
    evidence: tuple[str, ...] = ()
    wanting: str = ""


def threshold_sides(said: Hypothesis) -> tuple[str, str]:
    """Sides of its line on which a threshold begins and ends."""
    return ("below", "above") if said.direction == "larger" else ("above", "below")


def finding_text(one: Finding) -> FindingText:
    """What was found of a hypothesis in one setting, in words."""
    said = one.claim.hypothesis
    names = [name for name in one.setting if name not in ("world", "power_weight")]
    if one.setting.get("power_weight"):
        names.append("power_weight")
    where = factors_in_words(one.setting, sorted(names, key=lambda n: n not in CELL))
    if one.crossing is None:
        effect, evidence = f", {_arms(one)}: {_value(one)}", [_evidence(one, _adjusted(one))]
    else:
        effect = f": {_crossed(one, one.crossing)}"
        levels = (f"{_arm(test.columns[0], test.a)}: {_value(test)}" for test in one.tests)
        evidence = [
            *(f"{level}; {_evidence(test)}" for level, test in zip(levels, one.tests, strict=True)),
            *_adjusted(one),
        ]
    return FindingText(
        one.verdict.answer,
        f"{one.setting['world']} ({where})" if where else str(one.setting["world"]),
        f"{title_of(said.compared)}{effect}",
        tuple(evidence),
        _wanting(one),
    )


def _value(one: Finding) -> str:
    """Effect, with its interval and unit."""
    effect, line = one.comparison.effect, one.claim.hypothesis.held_against
    if not effect.n:
        return MISSING
    value = with_unit(number_text(effect.value + line, signed=True), one.unit)
    if isfinite(effect.low):
        ends = (number_text(end + line, signed=True) for end in (effect.low, effect.high))
        over = "range over optimal policies" if one.comparison.exact else "95 % interval"
        value += f", {over} [{', '.join(ends)}]"
    return value


def _arms(one: Finding) -> str:
    """``dense minus terminal``; of an interaction the effects whose difference it is."""
    if len(one.columns) == 2:
        (high, most), (low, least) = one.a, one.b
        first, second = (factor_of(column).name for column in one.columns)
        effect = f"effect of {first} ({written_level(high)} minus {written_level(low)})"
        return f"{effect} at {second} {written_level(most)} minus that at {written_level(least)}"
    names = [_arm(one.columns[0], arm) for arm in (one.a, one.b) if arm is not None]
    return " minus ".join(names)


def _crossed(one: Finding, crossing: Crossing) -> str:
    """Levels up to which one side of the line is shown, and from which on the other."""
    said, column = one.claim.hypothesis, one.columns[0]
    near, far = threshold_sides(said)
    before, after = f"not shown {near} {{line}} at the least {{name}}", f"nowhere shown {far} it"
    if crossing.before is not None:
        before = f"shown {near} {{line}} up to {_arm(column, crossing.before)}"
    if crossing.after is not None:
        after = f"first shown {far} it at {_arm(column, crossing.after)}"
    before = before.format(line=f"{said.held_against:g}", name=factor_of(column).name)
    return f"{before}, {after}"


def _arm(column: str, value: object) -> str:
    return (
        written_level(value)
        if column == "reward"
        else f"{factor_of(column).name} {written_level(value)}"
    )


def with_unit(text: str, unit: str) -> str:
    """A number with its unit; a fraction has none."""
    return f"{text} {unit}" if unit and unit != "share" else text


def _evidence(one: Finding, more: Sequence[str] = ()) -> str:
    """Evidence of a comparison: seeds, how many learnt, tests; `more` before Lee's bounds."""
    comparison = one.comparison
    if comparison.exact:
        return "exact: computed, the same for every seed, so there is nothing to test"
    seeds = comparison.effect.n
    alone = one.b is None
    parts = [f"{seeds} {'' if alone else 'paired '}seed{'s' * (seeds != 1)}"]
    parts += _unfinished(one)
    failed = [f" ({count} failed)" if count else "" for count in comparison.failed]
    learnt = [f"{_percent(r)}{f}" for r, f in zip(comparison.reach, failed, strict=True)]
    parts.append("learnt the task: " + " and ".join(learnt[:1] if alone else learnt))
    if isfinite(one.p):
        test = (
            f"not {one.claim.hypothesis.held_against:g} (one-sample"
            if alone
            else "difference (paired"
        )
        parts.append(f"{test} t test) {_p(one.p)}")
    if isfinite(one.p_equivalence):
        what = "within the margin of it" if alone else "no effect as large as the margin"
        parts.append(f"{what} (TOST) {_p(one.p_equivalence)}")
    return "; ".join([*parts, *more, *_selected(one)])


def _adjusted(one: Finding) -> list[str]:
    """Number of tests that p is adjusted for, where there are several."""
    method = "Holm" if one.claim.confirmatory else "Benjamini-Hochberg"
    return [f"p adjusted for {one.together} tests ({method})"] if one.together > 1 else []


def _unfinished(one: Finding) -> list[str]:
    """``12 and 16 of 16 seeds ended``: what is said so far may change."""
    if not one.planned or min(one.ended) >= one.planned:
        return []
    counts = dict.fromkeys(str(count) for count in one.ended)
    return [f"only {' and '.join(counts)} of {one.planned} seeds ended, so this is not final"]


def _selected(one: Finding) -> list[str]:
    """Effects that the seeds which learnt in one arm only allow (Lee's bounds)."""
    if one.bounds is None:
        return []
    line, bounds = one.claim.hypothesis.line, one.bounds

    def ends(low: float, high: float) -> str:
        return f"[{number_text(low + line, signed=True)}, {number_text(high + line, signed=True)}]"

    text = "if the seeds that learnt in one arm only were the most or the least greedy: "
    text += with_unit(ends(bounds.low, bounds.high), one.unit)
    if isfinite(bounds.interval_low):
        text += f", 95 % interval {ends(bounds.interval_low, bounds.interval_high)}"
    return [f"{text} (Lee's bounds)"]


def _percent(share: float) -> str:
    """Rounded down, so that it never reads as enough where it is not."""
    return f"{int(100 * share + 1e-9)} %" if isfinite(share) else MISSING


def _p(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def _wanting(one: Finding) -> str:
    if one.verdict.answer != "cannot tell":
        return ""
    text = "Why: " + "; ".join(one.verdict.reasons) + "."
    more = one.verdict.more_seeds
    if more > MANY:
        return f"{text} Over a million seeds would be needed: the margin is too small for this."
    if more:
        return f"{text} About {more} more seed{'s' * (more != 1)} in each arm would settle it."
    return f"{text} More seeds alone would not settle it."
