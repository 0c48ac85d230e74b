"""Hypotheses and what was found of them, in plain words: for the terminal and the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import pandas as pd

from powerseek.errors import InvalidInput
from powerseek.experiments.analysis.hypotheses import Finding
from powerseek.experiments.analysis.view import View
from powerseek.experiments.report.text import number, title_of
from powerseek.experiments.statistics.verdicts import LEAST_REACH, LEAST_SEEDS
from powerseek.experiments.study.claims import CLAIMS, SHORT_ID
from powerseek.experiments.study.contrasts import kind_along, kind_of
from powerseek.experiments.study.factors import (
    CELL,
    DIALS,
    MISSING,
    PREFIX,
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
        effect: What was measured, with its interval.
        evidence: Seeds, reach and tests.
        wanting: Why it cannot tell and what would settle it; empty where it can.
    """

    answer: str
    where: str
    effect: str
    evidence: str
    wanting: str


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
    """All that a study says of its hypotheses.

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
    """What a study's hypotheses come to; nothing where it names none, or has no folder."""
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


def refer(compared: pd.DataFrame, found: Sequence[Finding]) -> pd.DataFrame:
    """Comparisons with the verdict of a hypothesis in the place of "no margin was set".

    Args:
        compared: From `powerseek.experiments.analysis.contrasts.contrasts`.
        found: Findings from the same results.
    """
    said: dict[tuple[str, ...], list[str]] = {}
    for one in found:
        claim = one.claim.hypothesis
        if (
            claim.checkpoint == "end"
            and not claim.line
            and one.b is not None
            and len(one.columns) == 1
        ):
            shared = (f"{name} {dial(value)}" for name, value in sorted(one.setting.items()))
            key = (_kind(one), claim.compared, dial(one.a), dial(one.b), *shared)
            name = claim.id if len(claim.id) <= SHORT_ID else f"{claim.id[: SHORT_ID - 1]}\u2026"
            words = f"{name}: {one.verdict.answer}"
            words += "" if one.claim.confirmatory else " (exploratory)"
            said.setdefault(key, []).append(words)
    if not said:
        return compared
    compared = compared.copy()
    kinds = compared["kind"].unique()
    names = {kind: sorted(_shared(compared, kind_of(kind).dial)) for kind in kinds}
    compared["verdict"] = [
        "; ".join(
            said.get(
                (
                    row["kind"],
                    row["measure"],
                    dial(row["a"]),
                    dial(row["b"]),
                    *(f"{name} {dial(row[name])}" for name in names[row["kind"]]),
                ),
                [row["verdict"]],
            )
        )
        for row in compared.to_dict("records")
    ]
    return compared


def _shared(compared: pd.DataFrame, differs: str) -> list[str]:
    """Columns that say in which setting two arms were compared."""
    names = [str(name) for name in compared]
    own = [name for name in names if name.startswith(tuple(PREFIX.values()))]
    apart = PREFIX["agent"] if differs == "agent" else None
    return [
        name
        for name in (*CELL, *DIALS, *own)
        if name in names and name != differs and not (apart and name.startswith(apart))
    ]


def _kind(one: Finding) -> str:
    """The kind of comparison that a finding is one of."""
    name = one.claim.hypothesis.contrast.name
    return kind_along(one.columns[0]) if name == "factor" else name


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
        why = "No finished trial of both arms, so there is nothing to compare yet."
        texts = [FindingText("cannot tell", said.world or "", why, "", "")]
        answers = {"cannot tell"}
    note = claim.note
    if claim.settings > len(found):
        missing = f"{len(found)} of its {claim.settings} settings have finished trials of both arms"
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
    """Claimed: what is larger with which arm, and the margin."""
    measure, contrast = title_of(said.compared), said.contrast
    about = _about(said)
    if contrast.name == "threshold":
        near, far = ("below", "above") if said.direction == "larger" else ("above", "below")
        rises = f"at the least {contrast.factors[0]} and {far} it from some greater one on"
        return f"Claimed: {measure} is {near} {said.held_against:g} {rises}{about}."
    margin = 0.0 if said.margin is None else said.margin
    words = _with_unit(number(margin) if margin >= 0.01 else f"{margin:g}", unit)
    line = f" by more than {said.line:g}" if said.line else ""
    if contrast.name == "level":
        held = f"{said.line:g}" if said.line or said.direction != "none" else "none"
        than = held if said.direction == "none" else f"{said.direction} than {held}"
        claim = f"{measure} is {than} with {dial(said.arm)}"
    elif contrast.name == "interaction":
        first, second = contrast.factors
        effect = f"the effect of {first} on {measure} is"
        ends = f"at the greatest {second}", f"at the least{line}"
        claim = f"{effect} {_as(said, *ends)}"
    else:
        claim = f"{measure} is {_as(said, *(f'with {end}' for end in _ends(said)))}{line}"
    return f"Claimed: {claim}{about}. Margin: {words}."


def _as(said: Hypothesis, a: str, b: str) -> str:
    """``larger with a than with b``, or ``the same with a as with b``."""
    if said.direction == "none":
        plus = f", plus {said.line:g}" if said.line else ""
        return f"the same {a} as {b}{plus}"
    return f"{said.direction} {a} than {b}"


def _ends(said: Hypothesis) -> tuple[str, str]:
    """Both arms in words."""
    contrast = said.contrast
    if contrast.name != "factor":
        return kind_of(contrast.name).ends
    factor = contrast.factors[0]
    high, low = (
        f"{factor} {dial(given)}" if given is not None else f"the {end} {factor}"
        for given, end in ((contrast.high, "greatest"), (contrast.low, "least"))
    )
    return high, low


def _about(said: Hypothesis) -> str:
    """What else a hypothesis names: one configuration, an agent, a checkpoint."""
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
    measured = title_of(said.compared)
    if one.crossing is not None:
        effect, evidence = _crossed(one), _evidence_of_tests(one)
    else:
        effect = f"{measured}, {_arms(one)}: {_value(one)}"
        evidence = _evidence(one)
    return FindingText(
        one.verdict.answer,
        f"{one.setting['world']} ({where})" if where else str(one.setting["world"]),
        effect,
        evidence,
        _wanting(one),
    )


def _value(one: Finding) -> str:
    """What was measured, with its interval and unit."""
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
        first, second = (factor_of(column).spoken for column in one.columns)
        effect = f"{first} {dial(high)} minus {dial(low)}"
        return f"({effect}) at {second} {dial(most)} minus the same at {dial(least)}"
    names = [_arm(one.columns[0], arm) for arm in (one.a, one.b) if arm is not None]
    return " minus ".join(names)


def _crossed(one: Finding) -> str:
    """Up to which level one side of the line is shown, and from which on the other."""
    said, crossing = one.claim.hypothesis, one.crossing
    assert crossing is not None
    near, far = ("below", "above") if said.direction == "larger" else ("above", "below")
    name, line = factor_of(one.columns[0]).spoken, f"{said.held_against:g}"
    before = f"last shown {near} {line} at {name} {dial(crossing.before)}"
    after = f"first shown {far} it at {dial(crossing.after)}"
    if crossing.before is None:
        before = f"shown {near} {line} at no {name} from the least on"
    if crossing.after is None:
        after = f"shown {far} it at none up to {dial(crossing.levels[-1][0])}"
    levels = "; ".join(f"{dial(test.a)}: {_value(test)}" for test in one.tests)
    return f"{title_of(said.compared)}: {before}, {after}. {levels}"


def _evidence_of_tests(one: Finding) -> str:
    """What each level's test rests on."""
    return ". ".join(f"{dial(test.a)}: {_evidence(test)}" for test in one.tests)


def _arm(column: str, value: object) -> str:
    return dial(value) if column == "reward" else f"{factor_of(column).name} {dial(value)}"


def _with_unit(text: str, unit: str) -> str:
    return f"{text} {unit}" if unit and unit != "share" else text


def _evidence(one: Finding) -> str:
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
    if one.together > 1:
        method = "Holm" if one.claim.confirmatory else "Benjamini-Hochberg"
        parts.append(f"p adjusted for {one.together} tests ({method})")
    parts += _selected(one)
    return "; ".join(parts)


def _unfinished(one: Finding) -> list[str]:
    """``12 and 16 of 16 seeds ended``: what is said so far may change."""
    if not one.planned or min(one.ended) >= one.planned:
        return []
    counts = dict.fromkeys(str(count) for count in one.ended)
    return [f"only {' and '.join(counts)} of {one.planned} seeds ended, so this is not final"]


def _selected(one: Finding) -> list[str]:
    """What the seeds that learnt in one arm only could make of the effect (Lee's bounds)."""
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
