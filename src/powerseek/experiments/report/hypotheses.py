"""Hypotheses and what was found of them, in plain words: for the terminal and the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from powerseek.errors import InvalidInput
from powerseek.experiments.analysis.hypotheses import Crossing, Finding
from powerseek.experiments.analysis.view import View
from powerseek.experiments.report.text import number, title_of
from powerseek.experiments.statistics.verdicts import LEAST_REACH, LEAST_SEEDS
from powerseek.experiments.study.claims import CLAIMS
from powerseek.experiments.study.contrasts import kind_of
from powerseek.experiments.study.factors import (
    CELL,
    MISSING,
    dial,
    factor_of,
    setting,
)
from powerseek.experiments.study.preregistration import Claim, Registration, spoken_date
from powerseek.experiments.study.schema import Hypothesis

ANSWERS = {
    "supported": "the effect is there, as claimed",
    "refuted": "there is an effect, and it is not the one claimed",
    "equivalent to none": "any effect is smaller than the margin set beforehand",
    "cannot tell": "the evidence allows more than one of these; the reasons are given",
}
MIXED = "mixed"
MANY = 1_000_000


@dataclass(frozen=True)
class FindingText:
    """One finding in words.

    Attributes:
        answer: One of `ANSWERS`.
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


@dataclass(frozen=True)
class ClaimText:
    """One hypothesis in words, with its findings.

    Attributes:
        title: Its id, and what it says where that is known.
        answer: The answer of all settings, or ``mixed``.
        label: The answer, counted where it is mixed, and whether it is exploratory.
        claimed: What is compared, the direction and the margin.
        note: How it stands to the registration; empty where it was registered and kept.
        found: One text a setting.
    """

    title: str
    answer: str
    label: str
    claimed: str
    note: str
    found: tuple[FindingText, ...]


@dataclass(frozen=True)
class Verdicts:
    """A study's hypotheses and what came of them.

    Attributes:
        registered: When and as what they were registered, in words; empty without hypotheses.
        notes: What changed since.
        claims: One text a hypothesis.
        found: The findings themselves.
    """

    registered: str = ""
    notes: tuple[str, ...] = ()
    claims: tuple[ClaimText, ...] = ()
    found: tuple[Finding, ...] = ()


def verdicts_of(view: View) -> Verdicts:
    """Read a study's verdicts; none where it names no hypothesis, or has no folder."""
    try:
        known, found = view.registration, view.findings
    except InvalidInput as error:
        return Verdicts(
            notes=(f"The registration cannot be read, so no verdict is given. {error}",)
        )
    if known is None or not known.claims:
        return Verdicts()
    claims = tuple(_claim(c, [f for f in found if f.claim is c]) for c in known.claims)
    return Verdicts(_registered(known), known.notes, claims, found)


def _registered(known: Registration) -> str:
    if not known.date:
        return ""
    return (
        f"Registered on {spoken_date(known.date)}, before the first trial: hypotheses, margins, "
        f"exclusions and cells, sha256 {known.hash[:16]}. A seed that stays below "
        f"competence {known.gate:g} is left out. Nothing is concluded from fewer than "
        f"{LEAST_SEEDS} paired seeds, where less than {100 * LEAST_REACH:.0f} % of an arm's seeds "
        "learnt, or without a positive control that fires."
    )


def _claim(claim: Claim, found: Sequence[Finding]) -> ClaimText:
    said = claim.hypothesis
    texts = [_finding(one) for one in found]
    answers = {text.answer for text in texts}
    if not texts:
        why = "None of its settings has finished trials, so there is nothing to compare yet."
        texts = [FindingText("cannot tell", said.world or "", why)]
        answers = {"cannot tell"}
    note = claim.note
    if claim.settings > len(found):
        missing = f"{len(found)} of its {claim.settings} settings have finished trials to compare"
        note = f"{note}; {missing}" if note else missing
    meaning = CLAIMS.get(said.id, "")
    return ClaimText(
        f"{said.id} ({said.contrast}): {meaning}" if meaning else said.id,
        answers.pop() if len(answers) == 1 else MIXED,
        _label(texts, claim.confirmatory),
        _claimed(said, found[0].unit if found else ""),
        note,
        tuple(texts),
    )


def _label(texts: Sequence[FindingText], confirmatory: bool) -> str:
    """``supported``, or ``2 refuted, 3 cannot tell``; and whether it is exploratory."""
    counts = Counter(text.answer for text in texts)
    if len(counts) == 1:
        label = next(iter(counts))
    else:
        label = ", ".join(f"{counts[name]} {name}" for name in ANSWERS if counts[name])
    return label if confirmatory else f"{label} (exploratory)"


def _claimed(said: Hypothesis, unit: str) -> str:
    """The claim itself: what is larger where, and the margin."""
    measure, line, about = title_of(said.compared), f"{said.held_against:g}", _about(said)
    if said.contrast.name == "threshold":
        near, far = _sides(said)
        rises = f"at the least {said.contrast.factors[0]} and {far} it from some greater one on"
        return f"Claimed: {measure} is {near} {line} {rises}{about}."
    subject, a, b = _compared(said)
    match said.direction, bool(b):
        case "none", True:
            claim = f"the same {a} as {b}{_shift(said)}"
        case "none", False:
            claim = f"{line if said.line else 'none'} {a}"
        case larger, True:
            claim = f"{larger} {a} than {b}{_shift(said)}"
        case larger, False:
            claim = f"{larger} than {line} {a}"
    margin = 0.0 if said.margin is None else said.margin
    words = _with_unit(number(margin) if margin >= 0.01 else f"{margin:g}", unit)
    return f"Claimed: {subject} is {claim}{about}. Margin: {words}."


def _shift(said: Hypothesis) -> str:
    """Distance that the claim sets between the arms, where it is another than 0, in words."""
    if not said.line:
        return ""
    if (said.direction, said.line > 0) in (("larger", True), ("smaller", False)):
        return f" by more than {abs(said.line):g}"
    return f", {'plus' if said.line > 0 else 'minus'} {abs(said.line):g}"


def _compared(said: Hypothesis) -> tuple[str, str, str]:
    """Subject of a hypothesis and its two arms, in words; the second empty where it has one."""
    measure, contrast = title_of(said.compared), said.contrast
    match contrast.name:
        case "level":
            return measure, f"with {dial(said.arm)}", ""
        case "interaction":
            first, second = contrast.factors
            return (
                f"the effect of {first} on {measure}",
                f"at the greatest {second}",
                "at the least",
            )
        case "factor":
            factor = contrast.factors[0]
            high, low = (
                f"{factor} {dial(given)}" if given is not None else f"the {end} {factor}"
                for given, end in ((contrast.high, "greatest"), (contrast.low, "least"))
            )
        case kind:
            high, low = kind_of(kind).ends
    return measure, f"with {high}", f"with {low}"


def _sides(said: Hypothesis) -> tuple[str, str]:
    """Sides of its line on which a threshold begins and ends."""
    return ("below", "above") if said.direction == "larger" else ("above", "below")


def _about(said: Hypothesis) -> str:
    """Scope of a hypothesis: the configuration, agent and checkpoint that it names."""
    parts = [f"{name} {dial(value)}" for name, value in said.params.items()]
    parts += [said.agent] if said.agent else []
    told = f" ({', '.join(parts)})" if parts else ""
    if said.checkpoint == "end":
        return told
    return f"{told}, read at {said.checkpoint}: chosen after training, so a description"


def _finding(one: Finding) -> FindingText:
    said = one.claim.hypothesis
    names = [name for name in one.setting if name not in ("world", "power_weight")]
    if one.setting.get("power_weight"):
        names.append("power_weight")
    where = setting(one.setting, sorted(names, key=lambda n: n not in CELL))
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
    value = _with_unit(number(effect.value + line, signed=True), one.unit)
    if isfinite(effect.low):
        ends = (number(end + line, signed=True) for end in (effect.low, effect.high))
        over = "range over optimal policies" if one.comparison.exact else "95 % interval"
        value += f", {over} [{', '.join(ends)}]"
    return value


def _arms(one: Finding) -> str:
    """``dense minus terminal``; of an interaction the effects whose difference it is."""
    if len(one.columns) == 2:
        (high, most), (low, least) = one.a, one.b
        first, second = (factor_of(column).name for column in one.columns)
        effect = f"effect of {first} ({dial(high)} minus {dial(low)})"
        return f"{effect} at {second} {dial(most)} minus that at {dial(least)}"
    names = [_arm(one.columns[0], arm) for arm in (one.a, one.b) if arm is not None]
    return " minus ".join(names)


def _crossed(one: Finding, crossing: Crossing) -> str:
    """Levels up to which one side of the line is shown, and from which on the other."""
    said, column = one.claim.hypothesis, one.columns[0]
    near, far = _sides(said)
    before, after = f"not shown {near} {{line}} at the least {{name}}", f"nowhere shown {far} it"
    if crossing.before is not None:
        before = f"shown {near} {{line}} up to {_arm(column, crossing.before)}"
    if crossing.after is not None:
        after = f"first shown {far} it at {_arm(column, crossing.after)}"
    before = before.format(line=f"{said.held_against:g}", name=factor_of(column).name)
    return f"{before}, {after}"


def _arm(column: str, value: object) -> str:
    return dial(value) if column == "reward" else f"{factor_of(column).name} {dial(value)}"


def _with_unit(text: str, unit: str) -> str:
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
        return f"[{number(low + line, signed=True)}, {number(high + line, signed=True)}]"

    text = "if the seeds that learnt in one arm only were the most or the least greedy: "
    text += _with_unit(ends(bounds.low, bounds.high), one.unit)
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
