"""Findings about each hypothesis that was set beforehand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite, nan
from typing import Any

import numpy as np

from powerseek.experiments.analysis.arms import Arms, Pair
from powerseek.experiments.analysis.contrasts import controls
from powerseek.experiments.analysis.paired import INTERACTION, arms_selection_bounds, compare_arms
from powerseek.experiments.results.reading import Long
from powerseek.experiments.results.table import Results, learning_trials, long_table
from powerseek.experiments.statistics.comparisons import LEVEL, Comparison
from powerseek.experiments.statistics.lee_bounds import LeeBounds
from powerseek.experiments.statistics.tests import adjust_p_values
from powerseek.experiments.statistics.verdicts import (
    Verdict,
    blind_measure_reason,
    decide_hypothesis,
    undecided_reason,
)
from powerseek.experiments.study.arms import arms_compared, factor_scales
from powerseek.experiments.study.factors import Level, written_level
from powerseek.experiments.study.hypotheses import columns_of, concerns_cell
from powerseek.experiments.study.preregistration import Claim
from powerseek.experiments.study.schema import Hypothesis

UNSAID = Verdict("cannot tell", 0, ("nothing was compared",))


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
        comparison: a - b less the hypothesis's null value, seed by seed.
        p: p of the difference, adjusted for the number of hypotheses of the same standing.
        p_equivalence: p of the equivalence test, adjusted likewise.
        together: How many were adjusted together.
        verdict: What it says of the hypothesis.
        unit: Unit of the measure, empty where unknown.
        bounds: What the comparison could be, were the seeds that learnt in one arm only the most
            or the least greedy; None where both arms learnt in equally many.
        ended: Trials of the first and of the second arm that finished or failed.
        planned: Trials of each arm that the registration knows of, 0 where it says nothing.
        gated: Whether seeds count only that learnt the task.
        tests: Of a threshold, the finding at each of its levels, rising; then `comparison` is that
            of the last.
        crossing: Of a threshold, what these tests come to.
    """

    claim: Claim
    setting: dict[str, Level]
    a: Any
    b: Any
    columns: tuple[str, ...]
    comparison: Comparison
    p: float = nan
    p_equivalence: float = nan
    together: int = 0
    verdict: Verdict = UNSAID
    unit: str = ""
    bounds: LeeBounds | None = None
    ended: tuple[int, int] = (0, 0)
    planned: int = 0
    gated: bool = True
    tests: tuple[Finding, ...] = ()
    crossing: Crossing | None = None


def findings(
    results: Results, claims: Sequence[Claim], rng: np.random.Generator | None = None
) -> list[Finding]:
    """Every hypothesis in every setting that has its arms; worlds are never pooled.

    A trial that failed counts as one that did not learn; a trial that has not ended counts nowhere.

    The test is a two-sided paired t test and, for equivalence, two one-sided ones (TOST), over
    the seeds that learnt the task in both arms; of a level, one-sample tests against its line.
    p is adjusted by Holm over the confirmatory findings and by Benjamini-Hochberg over the
    exploratory ones, each test by itself; every level of a threshold is one of them. What is exact
    (the incentive) is not tested.

    Args:
        results: As written by a sweep.
        claims: From `powerseek.experiments.study.preregistration.read_registration`.
        rng: Source of chance; by default always the same one.

    CAVEAT: "refuted" is about the sign of this effect in this world and setting, no more.
    """
    rng = np.random.default_rng(0) if rng is None else rng
    results = long_table(results)
    if results.empty or not claims:
        return []
    # Hypotheses are about agents that learn; those they are held against are trained on nothing.
    trained = learning_trials(results)[0]
    checkpoints = dict.fromkeys(("end", *(claim.hypothesis.checkpoint for claim in claims)))
    every = {checkpoint: Arms(trained, checkpoint) for checkpoint in checkpoints}
    fired = controls(every["end"], rng)
    found: list[Finding] = []
    for checkpoint, arms in every.items():
        own = [claim for claim in claims if claim.hypothesis.checkpoint == checkpoint]
        found += _compared(arms, own, results, rng)
    return _judged(_crossed(_adjusted(found)), fired)


def _compared(
    arms: Arms, claims: Sequence[Claim], results: Long, rng: np.random.Generator
) -> list[Finding]:
    """Compare the arms of every hypothesis; one finding for each level of a threshold."""
    asked = [(claim, *told) for claim in claims for told in _pairs(claim, arms)]
    compared = compare_arms(arms, [pair for _, pair, _ in asked], rng)
    return [
        Finding(
            claim,
            pair.setting,
            pair.a,
            pair.b,
            columns,
            comparison,
            unit=_unit(results, claim.hypothesis.compared),
            bounds=arms_selection_bounds(arms, pair, rng),
            ended=_ended(arms, pair),
            planned=claim.seeds * _layouts(arms, pair),
            gated=pair.gated,
        )
        for (claim, pair, columns), comparison in zip(asked, compared, strict=True)
    ]


def _pairs(claim: Claim, arms: Arms) -> Iterator[tuple[Pair, tuple[str, ...]]]:
    """Arms that the hypothesis compares in each setting, and the columns that differ."""
    said = claim.hypothesis
    contrast = said.contrast
    columns = columns_of(contrast, set(arms.keys))
    if columns is None or not set(columns) <= set(arms.keys):
        return
    about = np.array([concerns_cell(said, record) for record in arms.described], dtype=bool)
    kept = arms.compared(columns, about)
    for setting, cells in arms.settings(columns, about):
        world, gamma = setting["world"], float(str(setting.get("gamma", 1.0)))
        here = factor_scales(columns, arms.of_world(world, kept))
        for levels in arms_compared(
            contrast,
            cells,
            arms.places,
            columns=columns,
            scales=here,
            gamma=gamma,
            arm=said.arm,
        ):
            for pair in _asked(said, setting, levels, cells, columns):
                ends = [*pair.first, *pair.second]
                if not (arms.failures[ends] == arms.sizes[ends]).all():
                    yield pair, columns


def _asked(
    said: Hypothesis,
    setting: dict[str, Level],
    levels: tuple[Any, ...],
    cells: Mapping[Any, int],
    columns: tuple[str, ...],
) -> Iterator[Pair]:
    """One comparison, or of a threshold one a level."""
    kind = said.contrast.name
    margin = nan if said.margin is None else said.margin
    told: dict[str, Any] = {"measure": said.compared, "margin": margin}
    told |= {"null_value": said.held_against, "gated": kind != "control"}
    places = tuple(cells.get(level, -1) for level in levels)
    if kind == "threshold":
        # An agent that is paid for power may rightly give up its task.
        dose = columns == ("power_weight",)
        for level, place in zip(levels, places, strict=True):
            paid = dose and bool(level)
            yield Pair(kind, setting, level, None, (place,), (), **{**told, "gated": not paid})
    elif kind == INTERACTION:
        (both, _, _, neither), (most, less, more, least) = levels, places
        yield Pair(kind, setting, both, neither, (most, least), (less, more), **told)
    else:
        a, b = levels
        second = () if b is None else places[1:]
        yield Pair(kind, setting, a, b, places[:1], second, **told)


def _ended(arms: Arms, pair: Pair) -> tuple[int, int]:
    """Trials of both arms, of the cell that has fewest; of a level twice its own."""
    first, second = (
        int(arms.sizes[list(c)].min()) for c in (pair.first, pair.second or pair.first)
    )
    return first, second


def _layouts(arms: Arms, pair: Pair) -> int:
    """Number of layouts that each seed is trained on."""
    cells = np.array([*pair.first, *pair.second])
    return len(np.unique(arms.layout[arms.rows(cells)[1]]))


def _unit(results: Long, measure: str) -> str:
    return results.units.get(measure, "share" if measure.startswith("share") else "")


def _adjusted(found: Sequence[Finding]) -> list[Finding]:
    """With p adjusted: confirmatory findings among themselves, exploratory ones likewise."""
    changed = list(found)
    for confirmatory, method in ((True, "holm"), (False, "benjamini-hochberg")):
        chosen = [i for i, one in enumerate(found) if one.claim.confirmatory == confirmatory]
        plain = [found[i].comparison for i in chosen]
        p = adjust_p_values([c.p_difference for c in plain], method)
        equal = adjust_p_values([c.p_equivalence for c in plain], method)
        together = sum(isfinite(c.p_difference) for c in plain)
        for i, difference, equivalence in zip(chosen, p, equal, strict=True):
            changed[i] = replace(
                found[i],
                p=float(difference),
                p_equivalence=float(equivalence),
                together=together,
            )
    return changed


def _crossed(found: Sequence[Finding]) -> list[Finding]:
    """With the tests of each threshold folded into one finding a setting."""
    kept: list[Finding] = []
    folded: dict[tuple[int, str], list[Finding]] = {}
    for one in found:
        if one.claim.hypothesis.contrast.name != "threshold":
            kept.append(one)
            continue
        key = (id(one.claim), str(sorted(one.setting.items())))
        if key not in folded:
            kept.append(one)
        folded.setdefault(key, []).append(one)
    tests = {id(own[0]): own for own in folded.values()}
    return [
        replace(own[-1], tests=tuple(own), crossing=_crossing(own))
        if (own := tests.get(id(one)))
        else one
        for one in kept
    ]


def _crossing(tests: Sequence[Finding]) -> Crossing:
    """Read the tests of a threshold upwards, as far as each side of its line is shown."""
    rising = tests[0].claim.hypothesis.direction == "larger"
    sides = [(one.a, _side(one, rising)) for one in tests]
    before: Level = None
    for level, side in sides:
        if side != "near":
            break
        before = level
    after = next((level for level, side in sides if side == "far"), None)
    return Crossing(before, after, tuple(sides))


def _side(one: Finding, rising: bool) -> str:
    """On which side of its line a level is shown to lie; empty where neither is."""
    comparison = one.comparison
    effect = comparison.effect
    if comparison.exact:
        shown = effect.low > 0 or effect.high < 0
    else:
        shown = not undecided_reason(comparison, one.gated) and one.p < LEVEL
        shown = shown and not effect.low <= 0 <= effect.high
    if not shown:
        return ""
    return "far" if (effect.value > 0) == rising else "near"


def _judged(found: Sequence[Finding], fired: dict[object, bool]) -> list[Finding]:
    judged = []
    for one in found:
        said = one.claim.hypothesis
        control = fired.get(one.setting["world"])
        if one.crossing is not None:
            verdict = _crossing_verdict(one, control)
        else:
            verdict = decide_hypothesis(
                one.comparison,
                said.direction,
                p=one.p,
                p_equivalence=one.p_equivalence,
                control=control,
                alpha=LEVEL / max(1, one.together),
                gated=said.contrast.name != "control",
            )
        if one.crossing is None and one.comparison.effect.n == 0 and min(one.comparison.reach) > 0:
            among = "pair of seeds" if one.comparison.paired else "seed"
            why = f"{said.compared} is undefined here in every {among}"
            verdict = Verdict("cannot tell", 0, (why,))
        judged.append(replace(one, verdict=verdict))
    return judged


def _crossing_verdict(one: Finding, control: bool | None) -> Verdict:
    """The verdict on a threshold, by the tests of its levels.

    Supported where its least level is shown on the near side of the line and a higher one on the
    far side; refuted where the least is shown on the far side already, or all on the near side.
    That all lie on the near side needs a positive control that fired: a measure that sees nothing
    would show the same.
    """
    levels, sides = zip(*one.crossing.levels, strict=True) if one.crossing else ((), ())
    beyond = sides[sides.index("far") :] if "far" in sides else ()
    if sides[0] == "far":
        return Verdict("refuted", 0, ())
    if all(side == "near" for side in sides):
        if one.comparison.exact or control:
            return Verdict("refuted", 0, ())
        return Verdict("cannot tell", 0, tuple(blind_measure_reason(control)))
    if "near" in beyond:
        why = "it is shown on both sides of the line in turn: no single threshold"
        return Verdict("cannot tell", 0, (why,))
    if sides[0] == "near" and beyond:
        return Verdict("supported", 0, ())
    open_at = [written_level(level) for level, side in zip(levels, sides, strict=True) if not side]
    reasons = [f"not shown on either side of the line at {', '.join(open_at)}"]
    tests = [test for test, side in zip(one.tests, sides, strict=True) if not side]
    reasons += dict.fromkeys(
        why for test in tests for why in undecided_reason(test.comparison, test.gated)
    )
    return Verdict("cannot tell", 0, tuple(reasons))
