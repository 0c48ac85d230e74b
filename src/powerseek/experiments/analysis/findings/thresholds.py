"""Thresholds: the tests at each level of a factor, read upwards into one finding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from powerseek.experiments.analysis.findings.finding import Crossing, Finding
from powerseek.experiments.statistics.comparisons import Comparison
from powerseek.experiments.statistics.layouts import LEAST_LAYOUTS
from powerseek.experiments.statistics.reasons import Cause, more_layouts, more_seeds
from powerseek.experiments.statistics.verdicts import (
    Verdict,
    blind_measure_reason,
    seeds_to_tell,
    undecided_reason,
)
from powerseek.experiments.study.factors import Level, written_level

THRESHOLD = "threshold"


def crossed(found: Sequence[Finding]) -> list[Finding]:
    """With the tests of each threshold folded into one finding a setting."""
    kept: list[Finding] = []
    folded: dict[tuple[int, str], list[Finding]] = {}
    for one in found:
        if one.claim.hypothesis.contrast.name != THRESHOLD:
            kept.append(one)
            continue
        key = (id(one.claim), str(sorted(one.setting.items())))
        if key not in folded:
            kept.append(one)
        folded.setdefault(key, []).append(one)
    tests = {id(own[0]): own for own in folded.values()}
    return [
        replace(
            own[-1],
            tests=tuple(own),
            crossing=_crossing(own),
            exact_crossing=_exact_crossing(own),
        )
        if (own := tests.get(id(one)))
        else one
        for one in kept
    ]


def _crossing(tests: Sequence[Finding]) -> Crossing:
    """Read the tests of a threshold upwards, as far as each side of its line is shown."""
    rising = tests[0].claim.hypothesis.direction == "larger"
    return _read_upwards([(one.a, _side(one, rising)) for one in tests])


def _exact_crossing(tests: Sequence[Finding]) -> Crossing | None:
    """The same of the reward's exact optimum; None where no level has one."""
    rising = tests[0].claim.hypothesis.direction == "larger"
    optima = [one.optimum for one in tests]
    if not any(optima):
        return None
    sides = ("" if one is None else _exact_side(one, rising) for one in optima)
    return _read_upwards([(one.a, side) for one, side in zip(tests, sides, strict=True)])


def _read_upwards(sides: Sequence[tuple[Level, str]]) -> Crossing:
    before: Level = None
    for level, side in sides:
        if side != "near":
            break
        before = level
    after = next((level for level, side in sides if side == "far"), None)
    return Crossing(before, after, tuple(sides))


def _side(one: Finding, rising: bool) -> str:
    """On which side of its line a level is shown to lie; empty where neither is."""
    comparison = one.comparison.deciding
    effect = comparison.effect
    if comparison.exact:
        return _exact_side(comparison, rising)
    if comparison.unit == "layout" and effect.n < LEAST_LAYOUTS:
        return ""
    shown = one.comparison.exact or not undecided_reason(one.comparison, one.gated)
    shown = shown and one.p.difference < one.claim.level
    if not shown or effect.low <= 0 <= effect.high:
        return ""
    return "far" if (effect.value > 0) == rising else "near"


def _exact_side(comparison: Comparison, rising: bool) -> str:
    """The side on which all optimal policies lie that tie; empty where they lie on both."""
    effect = comparison.effect
    if not (effect.low > 0 or effect.high < 0):
        return ""
    return "far" if (effect.low > 0) == rising else "near"


def crossing_verdict(one: Finding, control: bool | None) -> Verdict:
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
        return Verdict("cannot tell", 0, (Cause.CROSSED_TWICE.because(),))
    if sides[0] == "near" and beyond:
        return Verdict("supported", 0, ())
    open_at = [written_level(level) for level, side in zip(levels, sides, strict=True) if not side]
    tests = [test for test, side in zip(one.tests, sides, strict=True) if not side]
    deciding = [test.comparison.deciding for test in tests]
    wanted = max(seeds_to_tell(comparison, one.claim.level) for comparison in deciding)
    have = min(comparison.effect.n for comparison in deciding)
    if one.comparison.layouts is not None:
        return _open_over_layouts(one, open_at, wanted, have)
    more = wanted - have
    least = min((test.learning for test in tests), key=lambda known: np.nan_to_num(known.reached))
    reasons = dict.fromkeys(
        why
        for test in tests
        for why in undecided_reason(test.comparison, test.gated, wanted, least)
    )
    unlearnt = any(reason.cause in (Cause.UNLEARNT, Cause.FAILED) for reason in reasons)
    advice = more_seeds(0 if unlearnt else max(1, more), wanted)
    told = {"levels": ", ".join(open_at), "more": advice}
    return Verdict("cannot tell", 0, (Cause.OPEN_LEVELS.because(**told), *reasons))


def _open_over_layouts(one: Finding, levels: Sequence[str], wanted: int, have: int) -> Verdict:
    """A threshold that layouts leave open at some levels."""
    more = max(1, wanted - have)
    seeds = max(1, round(one.comparison.effect.n / max(1, have)))
    advice = more_layouts(more, have + more, seeds)
    reason = Cause.OPEN_LEVELS.because(levels=", ".join(levels), more=advice)
    gates = dict.fromkeys(
        why for test in one.tests for why in undecided_reason(test.comparison, test.gated)
    )
    return Verdict("cannot tell", 0, (reason, *gates), more)
