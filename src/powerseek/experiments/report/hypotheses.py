"""Hypotheses and what was found of them, in plain words: for the terminal and the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from powerseek.errors import InvalidInput
from powerseek.experiments.analysis.calibration import study_doubts
from powerseek.experiments.analysis.findings.finding import Finding
from powerseek.experiments.analysis.view import View
from powerseek.experiments.report.findings import (
    FindingText,
    check_text,
    finding_text,
    threshold_sides,
    wanting_text,
    with_unit,
)
from powerseek.experiments.report.text import number_text, title_of
from powerseek.experiments.statistics.layouts import LEAST_LAYOUTS
from powerseek.experiments.statistics.reasons import Cause
from powerseek.experiments.statistics.verdicts import LEAST_REACH, LEAST_SEEDS
from powerseek.experiments.study.claims import CLAIMS
from powerseek.experiments.study.contrasts import contrast_kind
from powerseek.experiments.study.factors import MISSING, written_level
from powerseek.experiments.study.preregistration import Claim, Registration, spoken_date
from powerseek.experiments.study.schema import Hypothesis

ANSWERS = {
    "supported": "the effect is there, as claimed",
    "refuted": "there is an effect, and it is not the one claimed",
    "equivalent to none": "any effect is smaller than the margin set beforehand",
    "cannot tell": "the evidence allows more than one of these; the reasons are given",
}
MIXED = "mixed"
NOTHING = wanting_text([Cause.UNCOMPARED.because()])
"""What is said of a hypothesis of which no setting has finished trials."""


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
        checks: Manipulation checks, to be read before any verdict: one line two arms.
        claims: One text a hypothesis.
        found: The findings themselves.
    """

    registered: str = ""
    notes: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
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
    doubts, unsaid = study_doubts(view), view.unsaid
    worlds = tuple(map(str, view.trained.every["world"].unique()))
    texts = []
    for one in found:
        world = str(one.setting["world"])
        texts.append((one, finding_text(one, doubts.get(world, ()), unsaid[world])))
    claims = tuple(
        _claim(c, [told for told in texts if told[0].claim is c], worlds) for c in known.claims
    )
    lines = (check_text(one, unsaid[str(one.setting["world"])]) for one in found)
    checks = tuple(dict.fromkeys(filter(None, lines)))
    return Verdicts(_registered(known), known.notes, checks, claims, found)


def _registered(known: Registration) -> str:
    if not known.date:
        return ""
    looks = ", ".join(map(str, known.looks))
    planned = f" Looks were planned at {looks} seeds." if len(known.looks) > 1 else ""
    return (
        f"Registered on {spoken_date(known.date)}, before the first trial: hypotheses, margins, "
        f"exclusions and cells, sha256 {known.hash[:16]}.{planned} A seed that stays below "
        f"competence {known.gate:g} is left out.{_over_layouts(known)} Nothing is concluded from "
        f"fewer than {LEAST_SEEDS} seeds an arm, where less than {100 * LEAST_REACH:.0f} % of an "
        "arm's seeds learnt, without a positive control that fires, or while what is compared "
        "still moves."
    )


def _over_layouts(known: Registration) -> str:
    """What verdicts are about where seeds are nested in layouts."""
    layouts = max(claim.layouts for claim in known.claims)
    if not layouts:
        return ""
    return (
        f" Seeds are nested in {layouts} layouts, and verdicts are about layouts like these: tests "
        f"are over layouts, at least {LEAST_LAYOUTS} of them. Intervals over seeds hold for these "
        "very layouts."
    )


def _claim(
    claim: Claim,
    told: Sequence[tuple[Finding, FindingText]],
    worlds: Sequence[str],
) -> ClaimText:
    said = claim.hypothesis
    found, texts = [one for one, _ in told], [text for _, text in told]
    answers = {text.answer for text in texts}
    if not texts:
        texts = [FindingText("cannot tell", said.world or "", "", wanting=NOTHING)]
        answers = {"cannot tell"}
    note = claim.note
    if claim.settings > len(found):
        missing = f"{len(found)} of its {claim.settings} settings have finished trials to compare"
        note = f"{note}; {missing}" if note else missing
    meaning = CLAIMS.get(said.id, "")
    about = [said.world] if said.world else sorted({str(f.setting["world"]) for f in found})
    about = about or list(worlds)
    return ClaimText(
        f"{said.id} ({said.contrast}): {meaning}" if meaning else said.id,
        answers.pop() if len(answers) == 1 else MIXED,
        _label(texts, claim.confirmatory),
        claim_text(said, found[0].unit if found else "", about),
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


def claim_text(said: Hypothesis, unit: str, worlds: Sequence[str]) -> str:
    """The claim itself: what is larger where, and the margin."""
    measure, line = title_of(said.compared, *worlds), f"{said.held_against:g}"
    about = _about(said)
    if said.contrast.name == "threshold":
        near, far = threshold_sides(said)
        rises = f"at the least {said.contrast.factors[0]} and {far} it from some greater one on"
        return f"Claimed: {measure} is {near} {line} {rises}{about}."
    if said.contrast.name == "tail":
        most = "at most" if said.direction == "smaller" else "more than"
        seeds = f"{100 * float(said.contrast.share or 0):g} % of the seeds with"
        beyond = f"{written_level(said.arm)} have {measure} above {line}"
        return f"Claimed: {most} {seeds} {beyond}{about}."
    subject, a, b = _compared(said, measure)
    if said.contrast.name == "budget":
        subject, verb, other = _budgets(said)
        return f"Claimed: the {subject} to competence {a} {verb} {_times(said, other)} {b}{about}."
    match said.direction, bool(b):
        case "none", True:
            claim = f"the same {a} as {b}{_shift(said)}"
        case "none", False:
            claim = f"at most {f'{line} plus ' if said.line else ''}the margin {a}"
        case larger, True:
            claim = f"{larger} {a} than {b}{_shift(said)}"
        case larger, False:
            sign = {"larger": "plus ", "smaller": "minus "}[larger]
            past = f"{line} {sign}" if said.line else sign.replace("plus ", "")
            claim = f"{larger} than {past}the margin {a}"
    return f"Claimed: {subject} is {claim}{about}. Margin: {_margin(said, unit)}."


def _budgets(said: Hypothesis) -> tuple[str, str, str]:
    """What a budget is counted in, with its verb and what stands for it in the second arm."""
    counted = said.contrast.budgets
    return (counted, "are", "those") if said.contrast.ledger else (counted, "is", "that")


def _times(said: Hypothesis, other: str) -> str:
    """The ratio of budgets that is claimed, in words; `other` stands for the second's."""
    if said.direction == "none":
        return f"within {said.held_against:g} times of {other}"
    more = "more" if said.direction == "larger" else "less"
    return f"{more} than {said.held_against:g} times {other}"


def _margin(said: Hypothesis, unit: str) -> str:
    """The smallest effect of interest, in words."""
    if said.smallest is None:
        return MISSING
    value = said.smallest.value
    number = number_text(value) if value >= 0.01 else f"{value:g}"
    if said.smallest.widths:
        return f"{number} of the width of W, what success alone leaves open"
    return with_unit(number, unit)


def _shift(said: Hypothesis) -> str:
    """Distance that the claim sets between the arms, where it is another than 0, in words."""
    if not said.line:
        return ""
    if (said.direction, said.line > 0) in (("larger", True), ("smaller", False)):
        return f" by more than {abs(said.line):g}"
    return f", {'plus' if said.line > 0 else 'minus'} {abs(said.line):g}"


def _compared(said: Hypothesis, measure: str) -> tuple[str, str, str]:
    """Subject of a hypothesis and its two arms, in words; the second empty where it has one."""
    contrast = said.contrast
    match contrast.name:
        case "level":
            return measure, f"with {written_level(said.arm)}", ""
        case "interaction":
            first, second = contrast.factors
            return (
                f"the effect of {first} on {measure}",
                f"at the greatest {second}",
                "at the least",
            )
        case _ if contrast.of_factor:
            factor = contrast.factors[0]
            high, low = (
                f"{factor} {written_level(given)}" if given is not None else f"the {end} {factor}"
                for given, end in ((contrast.high, "greatest"), (contrast.low, "least"))
            )
        case _:
            high, low = contrast_kind(contrast.kind).ends
    return measure, f"with {high}", f"with {low}"


def _about(said: Hypothesis) -> str:
    """Scope of a hypothesis: the configuration, agent and checkpoint that it names."""
    parts = [f"{name} {written_level(value)}" for name, value in said.params.items()]
    parts += [said.agent] if said.agent else []
    told = f" ({', '.join(parts)})" if parts else ""
    if said.checkpoint == "end":
        return told
    return f"{told}, read at {said.checkpoint}: chosen after training, so a description"
