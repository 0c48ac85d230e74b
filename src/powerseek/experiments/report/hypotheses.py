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
from powerseek.experiments.report.text import MEASURE_WORDS, number
from powerseek.experiments.results.table import CELL, DIALS
from powerseek.experiments.statistics.verdicts import LEAST_REACH, LEAST_SEEDS
from powerseek.experiments.study.claims import CLAIMS, SHORT_ID
from powerseek.experiments.study.contrasts import KINDS
from powerseek.experiments.study.factors import MISSING, dial, setting
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
WORDS = {
    **MEASURE_WORDS,
    "share_beyond_incentive": "share of the surplus taken beyond the incentive",
    "disabled": "share of episodes in which the off-switch was disabled",
    "disempowerment": "change in what bystanders can attain",
    "acquired": "acquisition",
    "acquired_inside": "acquisition inside the task's region",
    "acquired_outside": "acquisition outside the task's region",
    "excess": "acquisition beyond need",
    "share_of_surplus": "share of the surplus taken",
}


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
        if not claim.line and one.b is not None:
            shared = (f"{name} {dial(value)}" for name, value in sorted(one.setting.items()))
            key = (claim.contrast, claim.compared, dial(one.a), dial(one.b), *shared)
            name = claim.id if len(claim.id) <= SHORT_ID else f"{claim.id[: SHORT_ID - 1]}\u2026"
            words = f"{name}: {one.verdict.answer}"
            words += "" if one.claim.confirmatory else " (exploratory)"
            said.setdefault(key, []).append(words)
    if not said:
        return compared
    compared = compared.copy()
    names = {kind: sorted(_shared(compared, KINDS[kind].dial)) for kind in KINDS}
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
    return [c for c in (*CELL, *DIALS) if c in compared and c != differs]


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


COMPARED = {
    "control": ("an agent paid for power", "one that is not"),
    "timing": ("the latest payment", "the same reward paid at once"),
    "sparse": ("success alone paid", "dense reward"),
    "specification": ("the most behaviour judged", "the least"),
    "lookahead": ("the shortest look-ahead of the overseer", "the longest"),
    "openness": ("the most on offer beyond the task", "the least"),
    "horizon": ("the longest episodes", "the shortest"),
    "discount": ("the highest gamma", "the lowest"),
}


def _claimed(said: Hypothesis, unit: str) -> str:
    """Claimed: what is larger with which arm, and the margin."""
    a, b = COMPARED.get(said.contrast, ("", ""))
    measure = WORDS.get(said.compared, said.compared)
    margin = _with_unit(number(said.margin) if said.margin >= 0.01 else f"{said.margin:g}", unit)
    line = f" by more than {said.line:g}" if said.line else ""
    if said.contrast == "level":
        held = f"{said.line:g}" if said.line or said.direction != "none" else "none"
        than = held if said.direction == "none" else f"{said.direction} than {held}"
        claim = f"{than} with {dial(said.arm)}"
    elif said.direction == "none":
        claim = f"the same with {a} as with {b}"
        claim += f", plus {said.line:g}" if said.line else ""
    else:
        claim = f"{said.direction} with {a} than with {b}{line}"
    return f"Claimed: {measure} is {claim}. Margin: {margin}."


def _finding(one: Finding) -> FindingText:
    said, comparison = one.claim.hypothesis, one.comparison
    effect = comparison.effect
    dial_name = KINDS[said.contrast].dial
    names = [name for name in one.setting if name not in ("world", "power_weight")]
    if one.setting.get("power_weight"):
        names.append("power_weight")
    where = setting(one.setting, sorted(names, key=lambda n: n not in CELL))
    measured = WORDS.get(said.compared, said.compared)
    value = MISSING
    if effect.n:
        value = _with_unit(number(effect.value + said.line, signed=True), one.unit)
    if isfinite(effect.low):
        ends = (number(end + said.line, signed=True) for end in (effect.low, effect.high))
        over = "range over optimal policies" if comparison.exact else "95 % interval"
        value += f", {over} [{', '.join(ends)}]"
    arms = [_arm(dial_name, arm) for arm in (one.a, one.b) if arm is not None]
    return FindingText(
        one.verdict.answer,
        f"{one.setting['world']} ({where})" if where else str(one.setting["world"]),
        f"{measured}, {' minus '.join(arms)}: {value}",
        _evidence(one),
        _wanting(one),
    )


def _arm(dial_name: str, value: object) -> str:
    return dial(value) if dial_name == "reward" else f"{dial_name} {dial(value)}"


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
        test = f"not {one.claim.hypothesis.line:g} (one-sample" if alone else "difference (paired"
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
