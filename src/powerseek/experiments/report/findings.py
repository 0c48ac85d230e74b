"""Findings in plain words: effect, evidence, and what is lacking."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from math import isfinite

from powerseek.experiments.analysis.calibration import Doubt
from powerseek.experiments.analysis.findings.finding import Crossing, Finding
from powerseek.experiments.analysis.findings.hypotheses import moving_reasons
from powerseek.experiments.report.text import DOUBTED, column_meanings, number_text, title_of
from powerseek.experiments.statistics.bootstrap import Estimate
from powerseek.experiments.statistics.comparisons import LEVEL, Comparison
from powerseek.experiments.statistics.ratios import RatioClaim
from powerseek.experiments.statistics.reasons import Reason, advice_of
from powerseek.experiments.statistics.verdicts import seeds_in_words
from powerseek.experiments.study.factors import (
    CELL,
    MISSING,
    factor_of,
    factors_in_words,
    written_level,
)
from powerseek.experiments.study.schema import Hypothesis


def check_text(one: Finding, unsaid: Collection[str] = ()) -> str:
    """The manipulation check of a comparison of two arms in words; empty without one.

    Args:
        one: What was found.
        unsaid: Factors that the name of its setting need not say (`View.unsaid`).
    """
    check = one.check
    if check is None:
        return ""
    names = [_arm(one.columns[0], arm) for arm in (one.a, one.b)]
    opened = [
        f"{name} [{number_text(low)}, {number_text(high)}]"
        for name, (low, high) in zip(names, check.left_open, strict=True)
        if isfinite(low)
    ]
    parts = [f"the rewards leave open, in units: {' and '.join(opened)}"] if opened else []
    if isfinite(check.ratio):
        steps = " and ".join(f"{budget:,.0f}" for budget in check.budgets)
        parts.append(f"steps to competence: {steps}, ratio {check.ratio:.2g}")
    if not parts:
        parts.append("neither W nor budgets to competence are known")
    if check.bites is False:
        parts.append("the factor hardly bites, so a null here answers little")
    return f"{_where(one, unsaid)}, {' against '.join(names)}: {'; '.join(parts)}."


def _where(one: Finding, unsaid: Collection[str]) -> str:
    names = [name for name in one.setting if name not in {"world", "power_weight", *unsaid}]
    if one.setting.get("power_weight"):
        names.append("power_weight")
    where = factors_in_words(one.setting, sorted(names, key=lambda n: n not in CELL))
    return f"{one.setting['world']} ({where})" if where else str(one.setting["world"])


@dataclass(frozen=True)
class FindingText:
    """One finding in words.

    Attributes:
        answer: One of `hypotheses.ANSWERS`.
        where: World and setting.
        effect: What was measured, with its interval; of a threshold where the line is crossed.
        evidence: Seeds, reach and tests, line by line: one, or one a level of a threshold.
        wanting: Why it cannot tell, and what would change that; empty where it can.
    """

    answer: str
    where: str
    effect: str
    evidence: tuple[str, ...] = ()
    wanting: str = ""


def threshold_sides(said: Hypothesis) -> tuple[str, str]:
    """Sides of its line on which a threshold begins and ends."""
    return ("below", "above") if said.direction == "larger" else ("above", "below")


def finding_text(
    one: Finding, doubts: Sequence[Doubt] = (), unsaid: Collection[str] = ()
) -> FindingText:
    """What was found of a hypothesis in one setting, in words; with doubts about its measure.

    Args:
        one: What was found.
        doubts: Doubts about measures in its world.
        unsaid: As of `check_text`.
    """
    said = one.claim.hypothesis
    if one.ratio is not None:
        effect = f", {finding_arms(one)}: {_ratio(one.ratio)}"
        evidence = ["; ".join([*_budgets(one, one.ratio), *_adjusted(one)])]
    elif one.crossing is None:
        beyond = f" above {said.held_against:g}" if one.comparison.binomial else ""
        effect = f"{beyond}, {finding_arms(one)}: {_value(one)}"
        evidence = [_evidence(one, _adjusted(one)), *_needed(one), *_relied(one)]
    else:
        effect = f": {_crossed(one, one.crossing)}"
        if one.exact_crossing is not None:
            effect += f"; the exact optimum lies {_crossed(one, one.exact_crossing, '')}"
        levels = (
            f"{_arm(test.columns[0], test.a)}: {_value(test)}{_optimum(test)}" for test in one.tests
        )
        evidence = [
            *(
                "; ".join([f"{level}; {_evidence(test)}", *_needed(test), *_relied(test)])
                for level, test in zip(levels, one.tests, strict=True)
            ),
            *_adjusted(one),
        ]
    return FindingText(
        one.verdict.answer,
        _where(one, unsaid),
        f"{_subject(one)}{effect}",
        (*evidence, *_doubted(one, doubts)),
        _wanting(one),
    )


def _subject(one: Finding) -> str:
    if one.ratio is not None:
        return f"{one.claim.hypothesis.contrast.budgets} to competence {one.ratio.level:g}"
    return title_of(one.claim.hypothesis.compared, str(one.setting["world"]))


def _ratio(claim: RatioClaim) -> str:
    """The ratio of the median budgets with its interval, or the least that it can be."""
    found = claim.ratio
    if isfinite(found.value):
        text = f"{number_text(found.value)} times"
    elif isfinite(found.at_least) and found.at_least > 0:
        text = f"at least {number_text(found.at_least)} times"
    else:
        return MISSING
    if not isfinite(found.low):
        return text
    high = number_text(found.high) if isfinite(found.high) else "no upper end"
    return f"{text}, 95 % interval [{number_text(found.low)}, {high}]"


def _budgets(one: Finding, claim: RatioClaim) -> list[str]:
    """Seeds that got there, and the two tests of the ratio."""
    there = " and ".join(
        f"{int(arm.reached.sum())} of {len(arm.steps)}" for arm in (claim.a, claim.b)
    )
    parts = [seeds_in_words(one.comparison), *_unfinished(one), f"got there: {there}"]
    times = f"{claim.times:g}"
    tested = {
        "larger": (f"more than {times}", f"less than {times}"),
        "smaller": (f"less than {times}", f"more than {times}"),
        "none": (f"beyond {times} either way", f"within {times} either way"),
    }[claim.direction]
    parts += [f"{w} (log-rank) {_p(p)}" for w, p in zip(tested, one.p, strict=True) if isfinite(p)]
    if isfinite(claim.late):
        parts.append(f"seen up to {claim.lateness} late, which both tests allow for")
    return parts


def _needed(one: Finding) -> list[str]:
    """How far the measure need go at the arms' own success."""
    if not one.needed:
        return []
    successes, values = zip(*one.needed, strict=True)
    at = " and ".join(number_text(value) for value in successes)
    least = " and ".join(number_text(value, signed=True) for value in values)
    return [f"at success {at} no policy need go below {least} (exact)"]


def _relied(one: Finding) -> list[str]:
    """How much of the arms' success rests on what they took."""
    if not one.relied:
        return []
    lost = " and ".join(number_text(value, signed=True) for value in one.relied)
    return [f"success lost where the power on offer is withheld (reliance): {lost}"]


def _optimum(one: Finding) -> str:
    """What the reward's exact optimum does at a level of a threshold; empty where unknown."""
    if one.optimum is None:
        return ""
    effect, zero = one.optimum.effect, one.claim.hypothesis.held_against
    ends = (number_text(x + zero) for x in (effect.value, effect.low, effect.high))
    value, low, high = ends
    value += f" [{low}, {high}]" if low != high else ""
    return f", exact optimum {value}"


def _doubted(one: Finding, doubts: Sequence[Doubt]) -> Iterator[str]:
    """Why what was measured is not to be trusted here, a line a setting."""
    for doubt in doubts:
        if doubt.scale == one.claim.hypothesis.compared and doubt.concerns(one.setting):
            yield (
                f"{DOUBTED} {column_meanings()[DOUBTED]}: {number_text(doubt.hoarder)} against "
                f"{number_text(doubt.minimalist)} ({doubt.where})"
            )


def _value(one: Finding) -> str:
    """Effect, with its interval and unit; of a bracket both ends."""
    ends = [_end(end, one) for end in one.asked.ends]
    if len(set(ends)) == 1:
        return ends[0]
    return f"from {ends[0]} to {ends[1]}, by where need is read"


def _end(comparison: Comparison, one: Finding) -> str:
    effect = comparison.effect
    said = one.claim.hypothesis
    line = 0.0 if comparison.binomial else said.held_against
    if not effect.n:
        return MISSING
    if comparison.binomial:
        value = f"{comparison.tail[0]} of {effect.n} seeds"
    else:
        value = with_unit(number_text(effect.value + line, signed=True), one.unit)
    signed, over = not comparison.binomial, comparison.layouts

    def ends(of: Estimate) -> str:
        low, high = (number_text(end + line, signed=signed) for end in (of.low, of.high))
        return f"[{low}, {high}]"

    if over is not None and isfinite(over.effect.low):
        layouts = f"{over.effect.n} layouts"
        mean = f" of them a fraction of {number_text(over.effect.value)} a layout,"
        value += f",{mean * comparison.binomial} 95 % interval over {layouts} {ends(over.effect)}"
    if isfinite(effect.low):
        what = "range over optimal policies" if comparison.exact else "95 % interval"
        what += " over seeds" * (over is not None and not comparison.exact)
        what += " on these layouts" * (over is not None)
        value += f", {what} {ends(effect)}"
    return value


def finding_arms(one: Finding) -> str:
    """``dense minus terminal``; of an interaction the effects whose difference it is."""
    if len(one.columns) == 2:
        (high, most), (low, least) = one.a, one.b
        first, second = (factor_of(column).name for column in one.columns)
        effect = f"effect of {first} ({written_level(high)} minus {written_level(low)})"
        return f"{effect} at {second} {written_level(most)} minus that at {written_level(least)}"
    names = [_arm(one.columns[0], arm) for arm in (one.a, one.b) if arm is not None]
    return (" over " if one.ratio else " minus ").join(names)


def _crossed(one: Finding, crossing: Crossing, shown: str = "shown ") -> str:
    """Levels up to which one side of the line is shown, and from which on the other."""
    said, column = one.claim.hypothesis, one.columns[0]
    near, far = threshold_sides(said)
    before = f"not {shown}{near} {{line}} at the least {{name}}"
    after = f"nowhere {shown}{far} it"
    if crossing.before is not None:
        before = f"{shown}{near} {{line}} up to {_arm(column, crossing.before)}"
    if crossing.after is not None:
        after = f"first {shown}{far} it at {_arm(column, crossing.after)}"
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
    tests = [f"{what} {_p(p)}" for what, p in zip(_tested(one), one.p, strict=True) if isfinite(p)]
    if comparison.exact:
        if comparison.layouts is None:
            return "exact: computed, the same for every seed, so there is nothing to test"
        count = comparison.layouts.effect.n
        return "; ".join([f"exact: computed on each of {count} layouts", *tests, *more])
    alone = one.b is None
    parts = [seeds_in_words(comparison)]
    parts += _unfinished(one)
    failed = [f" ({count} failed)" if count else "" for count in comparison.failed]
    learnt = [f"{_percent(r)}{f}" for r, f in zip(comparison.reach, failed, strict=True)]
    parts.append("learnt the task: " + " and ".join(learnt[:1] if alone else learnt))
    parts += tests
    if comparison.effect.n:
        how = "exactly" if one.exactly else "by sampled episodes alone"
        parts += [f"evaluated {how}", *_tail_count(one), *_at_rest(one)]
    return "; ".join([*parts, *more, *_selected(one)])


def _tested(one: Finding) -> tuple[str, str]:
    """What the two tests are of, in words."""
    said, comparison = one.claim.hypothesis, one.comparison
    over = " over layouts" * (comparison.layouts is not None)
    if comparison.binomial:
        how = f"t test{over}" if over else "exact binomial"
        share = f"{comparison.margin:g} of the seeds"
        return f"more than {share} ({how})", f"fewer than {share} ({how})"
    if said.contrast.name == "threshold":
        return f"not {said.held_against:g} (one-sample t test{over})", ""
    if one.asked.one_sided:
        sides = ("below", "above") if said.direction == "smaller" else ("above", "below")
        last = one.asked.for_none[-1].deciding
        betting = last.bounded(above=said.direction != "smaller")
        how = "betting, as the range is known" if betting else f"one-sided t test{over}"
        line = "minus the margin" if said.direction == "smaller" else "the margin"
        line += f" from {said.line:g}" if said.line else ""
        return f"{sides[0]} {line} (one-sided t test{over})", f"{sides[1]} {line} ({how})"
    welch, tost = (f"t test{over}", f"TOST{over}") if over else ("Welch's t test", "TOST")
    if said.direction == "none":
        return f"larger than the margin ({welch})", f"smaller than the margin ({tost})"
    return f"difference ({welch})", f"no effect as large as the margin ({tost})"


def _tail_count(one: Finding) -> list[str]:
    """Seeds far out in either arm of a contrast, which a mean hides."""
    comparison = one.comparison
    if comparison.binomial or not comparison.tail:
        return []
    counts = " and ".join(str(count) for count in comparison.tail)
    return [f"seeds more than a margin above the median: {counts}"]


def _at_rest(one: Finding) -> list[str]:
    """Whether what is compared had come to rest, and by what that is known."""
    said = one.claim.hypothesis
    if said.checkpoint != "end" or said.contrast.name in ("threshold", "tail"):
        return []
    if one.frozen:
        return ["the same networks in both arms, so that rest is no question"]
    if not one.rest:
        return ["no learning curve tells whether it was at rest"]
    if one.verdict.answer == "cannot tell" and moving_reasons(one):
        return []
    if not isfinite(one.rest[0].drift.low):
        return []
    drifts = (
        f"[{number_text(moved.drift.low, signed=True)}, "
        f"{number_text(moved.drift.high, signed=True)}]"
        for moved in one.rest
    )
    by = "" if all(moved.exact for moved in one.rest) else ", by sampled evaluations"
    word = "" if moving_reasons(one) else "at rest: "
    return [
        f"{word}drift over the last third of training {' and '.join(drifts)} (90 % interval{by})"
    ]


def _adjusted(one: Finding) -> list[str]:
    """Number of tests that p is adjusted for, where there are several, and the level of a look."""
    method = "Holm" if one.claim.confirmatory else "Benjamini-Hochberg"
    told = [f"p adjusted for {one.together} tests ({method})"] if one.together > 1 else []
    if one.claim.level < LEVEL - 1e-12:
        told.append(f"tested at {one.claim.level:g}, this look's part of {LEVEL:g}")
    return told


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
    return wanting_text(one.verdict.because)


def wanting_text(because: Sequence[Reason]) -> str:
    """Why nothing can be told, and what would change that."""
    why = "; ".join(reason.why for reason in because)
    return f"Why: {why}. What would change it: {'; '.join(advice_of(because))}."
