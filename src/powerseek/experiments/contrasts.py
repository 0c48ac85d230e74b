"""The comparisons a study is made for, each within one world and one setting, never pooled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import nan

import numpy as np
import pandas as pd

from powerseek.experiments.cells import STRATUM, Results, by_cell, dials, long, strata, trials
from powerseek.experiments.kinds import (
    KINDS,
    SHARE_BEYOND,
    Contrast,
    arms,
    confounded,
    coverages,
    share_judged,
)
from powerseek.experiments.statistics import adjust, bootstrap
from powerseek.experiments.verdicts import LEAST_SEEDS, Comparison, Verdict, compare, verdict

PAIR = ["seed", STRATUM]
TREND = "trend"
FOUND = (
    *("measure", "a", "b", "effect", "low", "high", "seeds", "reach_a", "reach_b", "p"),
    *("fires", "answer", "verdict", "more_seeds", "reasons"),
)


def contrasts(
    results: Results,
    rng: np.random.Generator | None = None,
    margins: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """Every comparison that the results hold, one row each.

    Arms are compared seed by seed. Power is compared over pairs in which both seeds learnt the
    task; the positive control is ungated.

    Args:
        results: As written by a sweep.
        rng: Source of chance; by default always the same one.
        margins: Kind of comparison -> smallest difference of interest in its measure, fixed
            before the first trial. Kinds without one get no verdict.

    Returns:
        kind, the dials that both arms share (nan for the one that differs), measure, a, b (the
        two values of that dial; `TREND` and nan for the slope over all of them), effect (mean of
        a - b), low, high, seeds (pairs), reach_a, reach_b, p (Holm over preregistered
        comparisons), fires (control only), answer, verdict, more_seeds, reasons.
    """
    rng = np.random.default_rng(0) if rng is None else rng
    finished, keys = ready(results)
    pairs = [pair for name in KINDS for pair in _measured(name, finished, keys, margins or {})]
    compared = [compare_arms(pair, rng) for pair in pairs]
    firing = [fires(pair, rng) for pair in pairs]
    planned = [c.p_difference if np.isfinite(c.margin) else nan for c in compared]
    fired = {pair.setting["world"] for pair, fire in zip(pairs, firing, strict=True) if fire}
    rows = [
        _row(pair, comparison, fire, p, pair.setting["world"] in fired)
        for pair, comparison, fire, p in zip(pairs, compared, firing, adjust(planned), strict=True)
    ]
    return pd.DataFrame(rows, columns=None if rows else ["kind", *keys, *FOUND])


def ready(results: Results) -> tuple[pd.DataFrame, list[str]]:
    """One row a finished trial with every measure that is compared, and what makes a cell."""
    results = long(results)
    keys = dials(results)
    finished = trials(results)
    finished[SHARE_BEYOND] = _share_beyond_incentive(finished, keys)
    return finished, keys


@dataclass(frozen=True)
class Pair:
    """Two arms of one setting: their trials, and what of them is compared.

    Attributes:
        kind: Kind of comparison.
        setting: The dials that both arms share.
        a: Value of the kind's dial in the first arm, or `TREND`.
        b: Value in the second, nan for a trend.
        first: Trials of the first arm; of every arm but the lowest for a trend.
        second: Trials of the second arm; of the lowest for a trend.
        measure: What is compared.
        margin: Smallest difference of interest set beforehand, nan if none was.
        line: Value that a - b is held against.
        confound: What else differs between the arms, in words.
    """

    kind: Contrast
    setting: dict[str, object]
    a: object
    b: object
    first: pd.DataFrame
    second: pd.DataFrame
    measure: str = ""
    margin: float = nan
    line: float = 0.0
    confound: str = ""


def settings(
    name: Contrast, finished: pd.DataFrame, keys: list[str]
) -> Iterator[tuple[dict[str, object], pd.DataFrame]]:
    """Each setting in which arms of a kind may be compared, with its trials.

    Paid agents are the positive control: no other kind of comparison sees them, unless all
    agents of a world are paid.
    """
    dial = KINDS[name].dial
    if dial not in keys:
        return
    unpaid = finished.groupby("world")["power_weight"].transform(lambda w: w.eq(0).any())
    if dial != "power_weight":
        finished = finished[~unpaid.astype(bool) | finished["power_weight"].eq(0)]
    yield from by_cell(finished, [key for key in keys if key != dial])


def _pairs(name: Contrast, finished: pd.DataFrame, keys: list[str]) -> Iterator[Pair]:
    """Every two arms that are compared, and every trend."""
    dial = KINDS[name].dial
    for setting, members in settings(name, finished, keys):
        for a, b in arms(name, members[dial]):
            first, second = (members[members[dial] == arm] for arm in (a, b))
            confound = ""
            if name == "timing" and confounded(a, float(str(setting["gamma"]))):
                confound = "at gamma < 1 paying later also pays less"
            yield Pair(name, setting, a, b, first, second, confound=confound)
        for family in coverages(members[dial]) if name == "specification" else []:
            if len(family) > 2:
                first, second = (members[members[dial].isin(f)] for f in (family[1:], family[:1]))
                yield Pair(name, setting, _trend(family), nan, first, second)


def _trend(family: list[object]) -> str:
    """``trend``, and whose overseer it is where that is no plain one: ``trend spare 0.01``."""
    return " ".join([TREND, *str(family[-1]).split()[2:]])


def _measured(
    name: Contrast, finished: pd.DataFrame, keys: list[str], margins: Mapping[str, float]
) -> Iterator[Pair]:
    """The pairs with what is compared: the kind's main measure, and the off-switch beside it."""
    for pair in _pairs(name, finished, keys):
        main = _primary(name, finished[finished["world"] == pair.setting["world"]])
        for measure in [main] if name == "control" else unique(main, "disabled"):
            judged = measure == main and not pair.confound and not is_trend(pair.a)
            margin = margins.get(name, nan) if judged else nan
            if pair.first[measure].notna().any() and pair.second[measure].notna().any():
                yield replace(pair, measure=measure, margin=margin)


def unique(*names: str) -> list[str]:
    """The names, each once, in order."""
    return list(dict.fromkeys(names))


def is_trend(a: object) -> bool:
    """Whether the first value of a comparison stands for a trend."""
    return str(a).split()[:1] == [TREND]


def _primary(name: Contrast, rows: pd.DataFrame) -> str:
    """What a kind of comparison is about in this world: the first of these that it has."""
    order = unique(KINDS[name].measure, "acquired", "disabled")
    if name == "control":
        return order[0]
    return next((measure for measure in order if rows[measure].notna().any()), "disabled")


def _share_beyond_incentive(finished: pd.DataFrame, keys: list[str]) -> pd.Series[float]:
    """(excess - incentive) / attainable surplus, with surplus = excess / share_of_surplus."""
    surplus = (finished["excess"] / finished["share_of_surplus"]).where(
        finished["share_of_surplus"].abs() > 1e-9
    )
    usual = surplus.groupby([finished[key] for key in keys], dropna=False).transform("median")
    return (finished["excess"] - finished["incentive"]) / surplus.fillna(usual)


def compare_arms(pair: Pair, rng: np.random.Generator) -> Comparison:
    """Compare two arms seed by seed, over the seeds that learnt the task in both.

    The positive control is ungated. A trend is the least-squares slope of each seed that learnt
    the task at every value of the dial, per unit of the dial, compared with 0.
    """
    first, second = pair.first, pair.second
    shares = first.groupby(KINDS[pair.kind].dial)["learnt"].mean()
    reach = (float(shares.min()), float(second["learnt"].mean()))
    if pair.kind != "control":
        first, second = first[first["learnt"]], second[second["learnt"]]
    if is_trend(pair.a):
        both = _slopes(pd.concat([first, second]), pair.measure, pair.first["reward"].nunique() + 1)
    else:
        both = first.merge(second, on=PAIR, suffixes=("_a", "_b"))
    a, b = (both[f"{pair.measure}_{arm}"].to_numpy() for arm in "ab")
    return compare(a, b + pair.line, rng, strata=strata(both), reach=reach, margin=pair.margin)


def _slopes(rows: pd.DataFrame, measure: str, levels: int) -> pd.DataFrame:
    """Slope of a measure over coverage, one row a seed that has it at every level."""
    rows = rows[rows[measure].notna()].copy()
    rows["q"] = rows["reward"].map(share_judged)
    found = []
    for (seed, layout), seeds in rows.groupby(PAIR, dropna=False, sort=True):
        if len(seeds) == levels:
            q, y = seeds["q"] - seeds["q"].mean(), seeds[measure] - seeds[measure].mean()
            found.append((seed, layout, float((q * y).sum() / (q * q).sum()), 0.0))
    return pd.DataFrame(found, columns=[*PAIR, f"{measure}_a", f"{measure}_b"])


def fires(pair: Pair, rng: np.random.Generator) -> bool:
    """Whether the interval of acquired with pay lies above the one without."""
    if pair.kind != "control":
        return False
    with_pay, without = (
        bootstrap(rows["acquired"].to_numpy(), rng, strata=strata(rows))
        for rows in (pair.first, pair.second)
    )
    return bool(with_pay.low > without.high)


def controls(
    finished: pd.DataFrame, keys: list[str], rng: np.random.Generator
) -> dict[object, bool]:
    """Worlds that have a positive control, and whether it fired anywhere in them."""
    found: dict[object, bool] = {}
    for pair in _measured("control", finished, keys, {}):
        world = pair.setting["world"]
        found[world] = fires(pair, rng) or found.get(world, False)
    return found


def _row(
    pair: Pair, comparison: Comparison, fire: bool, p: float, fired: bool
) -> dict[str, object]:
    said = verdict(comparison, p=p, control_fires=fired)
    reasons = said.reasons
    if pair.kind == "control":
        said = _control_verdict(comparison, fire)
        reasons = said.reasons
    elif pair.confound:
        reasons = (pair.confound, *(r for r in reasons if "margin" not in r))
    found = (
        *(pair.measure, pair.a, pair.b, *comparison.effect, *comparison.reach, p),
        *(fire, said.answer, str(said), said.more_seeds, "; ".join(reasons)),
    )
    return {"kind": pair.kind, **pair.setting, **dict(zip(FOUND, found, strict=True))}


def _control_verdict(comparison: Comparison, fire: bool) -> Verdict:
    if fire:
        return Verdict("fires", 0, ())
    more = max(0, LEAST_SEEDS - comparison.effect.n)
    if more:
        return Verdict("cannot tell", more, ("the intervals overlap",))
    return Verdict("does not fire", 0, ())
