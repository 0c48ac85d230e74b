"""The comparisons a study is made for, each within one world and one setting, never pooled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import nan

import numpy as np
import pandas as pd

from powerseek.experiments.analysis.arms import Arms, Pair
from powerseek.experiments.analysis.groups import TREND, compare_arms, fired_controls, is_trend
from powerseek.experiments.results.table import Results
from powerseek.experiments.statistics.bootstrap import Estimate
from powerseek.experiments.statistics.comparisons import Comparison
from powerseek.experiments.statistics.families import PValues, adjust_family
from powerseek.experiments.statistics.reasons import Cause, more_seeds
from powerseek.experiments.statistics.verdicts import LEAST_SEEDS, Question, Verdict, verdict
from powerseek.experiments.study.arms import arm_pairs as compared_arms
from powerseek.experiments.study.arms import confounded, reward_families
from powerseek.experiments.study.contrasts import KINDS, contrast_kind, factor_kinds
from powerseek.metrics import SHIFTED, beside

FALLBACKS = ("excess", "acquired", "disabled")
"""What is compared where a kind's own measure has no values."""
FOUND = (
    *("measure", "a", "b", "effect", "low", "high", "seeds", "reach_a", "reach_b", "p"),
    *("over_layouts", "over_low", "over_high", "layouts"),
    *("fires", "answer", "verdict", "more_seeds", "reasons", "advice"),
)


def contrasts(
    results: Results,
    rng: np.random.Generator | None = None,
    margins: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """Every comparison that the results hold, one row each.

    Arms are compared as independent groups of the seeds that learnt the task; the positive control
    is ungated. This is a description: claims, with their brackets and looks, are hypotheses.

    Args:
        results: As written by a sweep.
        rng: Source of chance; by default always the same one.
        margins: Kind of comparison -> smallest difference of interest in its measure, fixed
            before the first trial. Kinds without one get no verdict.

    Returns:
        kind (of `KINDS`, or the column of any other factor that varies), the factors that both
        arms share (nan for the one that differs), measure, a, b (the two values of that factor;
        `TREND` and nan for the slope over all of them), effect (mean of a - b), low, high, seeds
        (of the arm that has fewest), reach_a, reach_b, p (of the difference; Holm over comparisons
        with a margin), where seeds are nested in layouts over_layouts, over_low, over_high and
        layouts (the same over layouts, of which p and the verdict then are; nan and 0 else), fires
        (control only), answer, verdict, more_seeds, reasons, advice.
    """
    rng = np.random.default_rng(0) if rng is None else rng
    arms = Arms(results)
    kinds = [*KINDS, *factor_kinds(arms.keys)]
    pairs = [pair for kind in kinds for pair in _measured(kind, arms, margins or {})]
    compared = compare_arms(arms, pairs, rng)
    firing = fired_controls(arms, pairs, rng)
    tests = adjust_family(
        [
            Question("larger", (c,)).tests() if np.isfinite(c.margin) else PValues(nan, nan)
            for c in compared
        ]
    )
    fired = {pair.setting["world"] for pair, fire in zip(pairs, firing, strict=True) if fire}
    rows = [
        _row(pair, comparison, fire, p, pair.setting["world"] in fired)
        for pair, comparison, fire, p in zip(pairs, compared, firing, tests, strict=True)
    ]
    return pd.DataFrame(rows, columns=None if rows else ["kind", *arms.keys, *FOUND])


def _pairs(kind: str, arms: Arms) -> Iterator[Pair]:
    """Every two arms that are compared, and every trend."""
    gated = kind != "control"
    for setting, cells in arms.settings([contrast_kind(kind).factor]):
        for a, b in compared_arms(kind, cells, arms.places):
            gamma = float(str(setting.get("gamma", 1.0)))
            confound = kind == "timing" and confounded(a, arms.places, gamma)
            ends = (cells[a],), (cells[b],)
            yield Pair(kind, setting, a, b, *ends, confound=confound, gated=gated)
        for family in (
            reward_families("coverage", cells, arms.places) if kind == "specification" else []
        ):
            if len(family) > 2:
                low, *others = (cells[reward] for reward in family)
                words = [TREND, arms.places[str(family[-1])].words]
                trend = " ".join(word for word in words if word)
                yield Pair(kind, setting, trend, nan, tuple(others), (low,))


def _measured(kind: str, arms: Arms, margins: Mapping[str, float]) -> Iterator[Pair]:
    """The pairs with what is compared: the kind's main measure, and evaded control beside it.

    Of the positive control also its measure where agents were not trained, where it has one.
    """
    main = _primary(kind, arms)
    known = {name: arms.known(name) for name in {*main.values(), "disabled"}}
    known |= {f"{name}{SHIFTED}": arms.known(f"{name}{SHIFTED}") for name in main.values()}
    for pair in _pairs(kind, arms):
        first = main[pair.setting["world"]]
        other = f"{first}{SHIFTED}" if kind == "control" else "disabled"
        for measure in unique_names(first, other):
            judged = measure == first and not pair.confound and not is_trend(pair.a)
            margin = margins.get(kind, nan) if judged else nan
            if all(known[measure][list(cells)].any() for cells in (pair.first, pair.second)):
                yield replace(pair, measure=measure, margin=margin)


def unique_names(*names: str) -> list[str]:
    """The names, each once, in order."""
    return list(dict.fromkeys(names))


def _primary(kind: str, arms: Arms) -> dict[object, str]:
    """The measure of a kind of comparison in each world: the first of these that it has."""
    world = arms.cells["world"].to_numpy()
    primary: dict[object, str] = dict.fromkeys(world, "disabled")
    for measure in unique_names(contrast_kind(kind).measure, *FALLBACKS)[::-1]:
        primary |= dict.fromkeys(world[arms.known(measure)], measure)
    return primary


def controls(arms: Arms, rng: np.random.Generator) -> dict[object, bool]:
    """Worlds that have a positive control, and whether it fired anywhere in them.

    ``WORLD_shifted`` is its control where agents were not trained.
    """
    pairs = list(_measured("control", arms, {}))
    worlds: dict[object, bool] = {}
    for pair, fired in zip(pairs, fired_controls(arms, pairs, rng), strict=True):
        world = beside(pair.measure, str(pair.setting["world"]))
        worlds[world] = fired or worlds.get(world, False)
    return worlds


def _row(
    pair: Pair, comparison: Comparison, fire: bool, p: PValues, fired: bool
) -> dict[str, object]:
    said = verdict(comparison, tests=p, control=fired)
    barred = Cause.TREND if is_trend(pair.a) else Cause.CONFOUNDED if pair.confound else None
    if pair.kind == "control":
        said = _control_verdict(comparison, fire)
    elif barred:
        others = tuple(r for r in said.because if r.cause is not Cause.NO_MARGIN)
        said = Verdict("cannot tell", 0, (barred.because(), *others))
    columns = (
        *(pair.measure, pair.a, pair.b, *comparison.effect, *comparison.reach, p.difference),
        *_over_layouts(comparison),
        *(
            fire,
            said.answer,
            str(said),
            said.more_seeds,
            "; ".join(said.reasons),
            "; ".join(said.advice),
        ),
    )
    return {"kind": pair.kind, **pair.setting, **dict(zip(FOUND, columns, strict=True))}


def _over_layouts(comparison: Comparison) -> Estimate:
    over = comparison.layouts
    return Estimate(nan, nan, nan, 0) if over is None else over.effect


def _control_verdict(comparison: Comparison, fire: bool) -> Verdict:
    if fire:
        return Verdict("fires", 0, ())
    more = max(0, LEAST_SEEDS - comparison.effect.n)
    if more:
        advice = more_seeds(more, LEAST_SEEDS)
        return Verdict("cannot tell", more, (Cause.OVERLAP.because(more=advice),))
    return Verdict("does not fire", 0, ())
