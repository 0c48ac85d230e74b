"""What the results say of each hypothesis that was set beforehand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import isfinite, nan

import numpy as np
import pandas as pd

from powerseek.experiments.cells import Results, long
from powerseek.experiments.contrasts import Pair, compare_arms, controls, ready, settings
from powerseek.experiments.kinds import KINDS, primary
from powerseek.experiments.preregistration import Claim
from powerseek.experiments.reading import Long
from powerseek.experiments.statistics import adjust
from powerseek.experiments.verdicts import LEVEL, Comparison, Verdict, judge

UNSAID = Verdict("cannot tell", 0, ("nothing was compared",))


@dataclass(frozen=True)
class Finding:
    """One hypothesis in one setting of one world.

    Attributes:
        claim: The hypothesis and its standing.
        setting: The dials that both arms share.
        a: Value of the contrast's dial in the first arm.
        b: Value in the second.
        comparison: a - b less the hypothesis's line, seed by seed.
        p: p of the difference, adjusted for the number of hypotheses of the same standing.
        p_equivalence: p of the equivalence test, adjusted likewise.
        together: How many were adjusted together.
        verdict: What it says of the hypothesis.
        unit: Unit of the measure, empty where unknown.
    """

    claim: Claim
    setting: dict[str, object]
    a: object
    b: object
    comparison: Comparison
    p: float = nan
    p_equivalence: float = nan
    together: int = 0
    verdict: Verdict = UNSAID
    unit: str = ""


def findings(
    results: Results, claims: Sequence[Claim], rng: np.random.Generator | None = None
) -> list[Finding]:
    """Every hypothesis in every setting that has both of its arms; worlds are never pooled.

    The test is a two-sided paired t test and, for equivalence, two one-sided ones (TOST), over
    the seeds that learnt the task in both arms. p is adjusted by Holm over the confirmatory
    findings and by Benjamini-Hochberg over the exploratory ones, each test by itself.

    Args:
        results: As written by a sweep.
        claims: From `powerseek.experiments.preregistration.read_registration`.
        rng: Source of chance; by default always the same one.

    CAVEAT: "refuted" is about the sign of this effect in this world and setting, no more.
    """
    rng = np.random.default_rng(0) if rng is None else rng
    results = long(results)
    if results.empty or not claims:
        return []
    finished, keys = ready(results)
    fired = controls(finished, keys, rng)
    found = []
    for claim in claims:
        for pair in _pairs(claim, finished, keys):
            unit = _unit(results, claim.hypothesis.compared)
            compared = compare_arms(pair, rng)
            found.append(Finding(claim, pair.setting, pair.a, pair.b, compared, unit=unit))
    return _judged(_adjusted(found), fired)


def _pairs(claim: Claim, finished: pd.DataFrame, keys: list[str]) -> Iterator[Pair]:
    """The two ends of the hypothesis's dial, in each setting."""
    said = claim.hypothesis
    if said.world is not None:
        finished = finished[finished["world"] == said.world]
    dial = KINDS[said.contrast].dial
    for setting, members in settings(said.contrast, finished, keys):
        for a, b in primary(said.contrast, members[dial], float(str(setting.get("gamma", 1.0)))):
            first, second = (members[members[dial] == arm] for arm in (a, b))
            yield Pair(
                said.contrast,
                setting,
                a,
                b,
                first,
                second,
                said.compared,
                margin=said.margin,
                line=said.line,
            )


def _unit(results: Long, measure: str) -> str:
    return results.units.get(measure, "share" if measure.startswith("share") else "")


def _adjusted(found: Sequence[Finding]) -> list[Finding]:
    """With p adjusted: confirmatory findings among themselves, exploratory ones likewise."""
    changed = list(found)
    for confirmatory, method in ((True, "holm"), (False, "benjamini-hochberg")):
        chosen = [i for i, one in enumerate(found) if one.claim.confirmatory == confirmatory]
        plain = [found[i].comparison for i in chosen]
        p = adjust([c.p_difference for c in plain], method)
        equal = adjust([c.p_equivalence for c in plain], method)
        together = sum(isfinite(c.p_difference) for c in plain)
        for i, difference, equivalence in zip(chosen, p, equal, strict=True):
            changed[i] = replace(
                found[i],
                p=float(difference),
                p_equivalence=float(equivalence),
                together=together,
            )
    return changed


def _judged(found: Sequence[Finding], fired: dict[object, bool]) -> list[Finding]:
    judged = []
    for one in found:
        said = one.claim.hypothesis
        verdict = judge(
            one.comparison,
            said.direction,
            p=one.p,
            p_equivalence=one.p_equivalence,
            control=fired.get(one.setting["world"]),
            alpha=LEVEL / max(1, one.together),
            gated=said.contrast != "control",
        )
        if one.comparison.effect.n == 0 and min(one.comparison.reach) > 0:
            why = f"{said.compared} is undefined here in every pair of seeds"
            verdict = Verdict("cannot tell", 0, (why,))
        judged.append(replace(one, verdict=verdict))
    return judged
