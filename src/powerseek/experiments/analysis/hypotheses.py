"""What the results say of each hypothesis that was set beforehand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import isfinite, nan

import numpy as np

from powerseek.experiments.analysis.arms import Arms, Pair
from powerseek.experiments.analysis.contrasts import controls
from powerseek.experiments.analysis.paired import compare_arms, selection_bounds
from powerseek.experiments.results.reading import Long
from powerseek.experiments.results.table import Results, learners, long
from powerseek.experiments.statistics.comparisons import LEVEL, Comparison
from powerseek.experiments.statistics.lee_bounds import LeeBounds
from powerseek.experiments.statistics.tests import adjust
from powerseek.experiments.statistics.verdicts import Verdict, judge
from powerseek.experiments.study.contrasts import primary
from powerseek.experiments.study.preregistration import Claim

UNSAID = Verdict("cannot tell", 0, ("nothing was compared",))


@dataclass(frozen=True)
class Finding:
    """One hypothesis in one setting of one world.

    Attributes:
        claim: The hypothesis and its standing.
        setting: The dials that both arms share.
        a: Value of the contrast's dial in the first arm.
        b: Value in the second; None for a level, which is about one arm.
        comparison: a - b less the hypothesis's line, seed by seed.
        p: p of the difference, adjusted for the number of hypotheses of the same standing.
        p_equivalence: p of the equivalence test, adjusted likewise.
        together: How many were adjusted together.
        verdict: What it says of the hypothesis.
        unit: Unit of the measure, empty where unknown.
        bounds: What the comparison could be, were the seeds that learnt in one arm only the most
            or the least greedy; None where both arms learnt in equally many.
        ended: Trials of the first and of the second arm that finished or failed.
        planned: Trials of each arm that the registration knows of, 0 where it says nothing.
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
    bounds: LeeBounds | None = None
    ended: tuple[int, int] = (0, 0)
    planned: int = 0


def findings(
    results: Results, claims: Sequence[Claim], rng: np.random.Generator | None = None
) -> list[Finding]:
    """Every hypothesis in every setting that has its arms; worlds are never pooled.

    A trial that failed counts as one that did not learn; a trial that has not ended counts nowhere.

    The test is a two-sided paired t test and, for equivalence, two one-sided ones (TOST), over
    the seeds that learnt the task in both arms; of a level, one-sample tests against its line.
    p is adjusted by Holm over the confirmatory findings and by Benjamini-Hochberg over the
    exploratory ones, each test by itself. What is exact (the incentive) is not tested.

    Args:
        results: As written by a sweep.
        claims: From `powerseek.experiments.study.preregistration.read_registration`.
        rng: Source of chance; by default always the same one.

    CAVEAT: "refuted" is about the sign of this effect in this world and setting, no more.
    """
    rng = np.random.default_rng(0) if rng is None else rng
    results = long(results)
    if results.empty or not claims:
        return []
    # Hypotheses are about agents that learn; those they are held against are trained on nothing.
    arms = Arms(learners(results)[0])
    fired = controls(arms, rng)
    asked = [(claim, pair) for claim in claims for pair in _pairs(claim, arms)]
    compared = compare_arms(arms, [pair for _, pair in asked], rng)
    found = [
        Finding(
            claim,
            pair.setting,
            pair.a,
            pair.b,
            comparison,
            unit=_unit(results, claim.hypothesis.compared),
            bounds=selection_bounds(arms, pair, rng),
            ended=_ended(arms, pair),
            planned=claim.seeds * _layouts(arms, pair),
        )
        for (claim, pair), comparison in zip(asked, compared, strict=True)
    ]
    return _judged(_adjusted(found), fired)


def _pairs(claim: Claim, arms: Arms) -> Iterator[Pair]:
    """The two ends of the hypothesis's dial, in each setting."""
    said = claim.hypothesis
    for setting, cells in arms.settings(said.contrast):
        if said.world is not None and setting["world"] != said.world:
            continue
        gamma = float(str(setting.get("gamma", 1.0)))
        for a, b in primary(said.contrast, cells, gamma, said.arm):
            ends = [cells[end] for end in ((a,) if b is None else (a, b))]
            if (arms.failures[ends] == arms.sizes[ends]).all():
                continue
            first, second = tuple(ends[:1]), tuple(ends[1:])
            yield Pair(
                *(said.contrast, setting, a, b, first, second, said.compared),
                margin=said.margin,
                line=said.line,
            )


def _ended(arms: Arms, pair: Pair) -> tuple[int, int]:
    """Trials of both arms; of a level twice its own."""
    first, second = (
        int(arms.sizes[list(c)].sum()) for c in (pair.first, pair.second or pair.first)
    )
    return first, second


def _layouts(arms: Arms, pair: Pair) -> int:
    """How many layouts each seed is trained on."""
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
            among = "pair of seeds" if one.comparison.paired else "seed"
            why = f"{said.compared} is undefined here in every {among}"
            verdict = Verdict("cannot tell", 0, (why,))
        judged.append(replace(one, verdict=verdict))
    return judged
