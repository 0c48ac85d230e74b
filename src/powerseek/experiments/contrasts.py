"""The comparisons a study is made for, each within one world and one setting, never pooled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import isfinite, nan

import numpy as np
import pandas as pd

from powerseek.experiments.cells import (
    EXACT,
    KEYS,
    STRATUM,
    Results,
    by_cell,
    dials,
    long,
    strata,
    trials,
)
from powerseek.experiments.kinds import (
    KINDS,
    SHARE_BEYOND,
    Contrast,
    arms,
    confounded,
    coverages,
    share_judged,
)
from powerseek.experiments.selection import LeeBounds, lee_bounds
from powerseek.experiments.statistics import Estimate, adjust, bootstrap
from powerseek.experiments.verdicts import (
    LEAST_SEEDS,
    MANY_SEEDS,
    UNBOUNDED,
    Comparison,
    Verdict,
    compare,
    verdict,
)

PAIR = ["seed", STRATUM]
TREND = "trend"
NO_CLAIM = "a trend is shown, not judged: hypotheses are about the two ends of the dial"
JUMPING = ("disabled", "interrupted")
"""Shares that are 0 in some seeds and 1 in others: few seeds may miss the ones that differ."""
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
    """One row a trial with every measure that is compared, and what makes a cell.

    A trial that failed has a row too, ``failed``, not ``learnt`` and without any measure: were it
    left out, an arm that crashes in half of its seeds would pass for one that always learns.
    """
    results = long(results)
    keys = dials(results)
    table = trials(results)
    table[SHARE_BEYOND] = _share_beyond_incentive(table, keys)
    failed = results.lost[["trial", *KEYS]].assign(learnt=False, failed=True)
    table["failed"] = False
    if failed.empty:
        return table, keys
    together = pd.concat([table, failed.astype(table.dtypes[list(KEYS)].to_dict())])
    return together.reset_index(drop=True).astype({"learnt": bool, "failed": bool}), keys


@dataclass(frozen=True)
class Pair:
    """Two arms of one setting: their trials, and what of them is compared.

    Attributes:
        kind: Kind of comparison.
        setting: The dials that both arms share.
        a: Value of the kind's dial in the first arm, or `TREND`.
        b: Value in the second, nan for a trend, None for a level.
        first: Trials of the first arm; of every arm but the lowest for a trend.
        second: Trials of the second arm; of the lowest for a trend; none for a level.
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

    The positive control is ungated. A level is one arm, held against its line. A trend is the
    least-squares slope of each seed that learnt the task at every value of the dial, per unit of
    the dial, compared with 0. What is exact is not compared by seeds at all.
    """
    if pair.measure in EXACT:
        return _computed(pair)
    if pair.kind == "level":
        return _level(pair, rng)
    first, second = pair.first, pair.second
    shares = first.groupby(KINDS[pair.kind].dial)["learnt"].mean()
    reach = (float(shares.min()), float(second["learnt"].mean()))
    failed = (int(first["failed"].sum()), int(second["failed"].sum()))
    if pair.kind != "control":
        first, second = first[first["learnt"]], second[second["learnt"]]
    if is_trend(pair.a):
        both = _slopes(pd.concat([first, second]), pair.measure, pair.first["reward"].nunique() + 1)
    else:
        both = first.merge(second, on=PAIR, suffixes=("_a", "_b"))
    a, b = (both[f"{pair.measure}_{arm}"].to_numpy() for arm in "ab")
    compared = compare(
        a,
        b,
        rng,
        strata=strata(both),
        reach=reach,
        margin=pair.margin,
        line=pair.line,
        bounds=(-1.0, 1.0) if pair.measure in JUMPING and not is_trend(pair.a) else UNBOUNDED,
    )
    return replace(compared, failed=failed)


def _computed(pair: Pair) -> Comparison:
    """A measure that is the same for every seed: its value and its range over ties."""

    def ends(rows: pd.DataFrame) -> tuple[float, float, float]:
        # One row a layout, of which the mean is taken.
        known = rows[rows[pair.measure].notna()].drop_duplicates(STRATUM)
        value = known[pair.measure]
        low, high = (known[f"{pair.measure}_{end}"].fillna(value) for end in ("low", "high"))
        return float(value.mean()), float(low.mean()), float(high.mean())

    a, low, high = ends(pair.first)
    b, least, most = (0.0, 0.0, 0.0) if pair.kind == "level" else ends(pair.second)
    arms = [pair.first] if pair.kind == "level" else [pair.first, pair.second]
    count = min(int(rows[pair.measure].notna().sum()) for rows in arms)
    effect = Estimate(a - b - pair.line, low - most - pair.line, high - least - pair.line, count)
    return Comparison(
        effect, 0.0, nan, nan, (1.0, 1.0), pair.margin, paired=pair.kind != "level", exact=True
    )


def _level(pair: Pair, rng: np.random.Generator) -> Comparison:
    """One arm's seeds that learnt the task, against the line: a one-sample t test and TOST."""
    learnt = pair.first[pair.first["learnt"]]
    values = learnt[pair.measure].to_numpy(dtype=np.float64)
    share, failed = float(pair.first["learnt"].mean()), int(pair.first["failed"].sum())
    compared = compare(
        values,
        np.zeros(values.size),
        rng,
        strata=strata(learnt),
        reach=(share, share),
        margin=pair.margin,
        line=pair.line,
        bounds=(0.0, 1.0) if pair.measure in JUMPING else UNBOUNDED,
        level=True,
    )
    return replace(compared, failed=(failed, failed), paired=False)


def selection_bounds(pair: Pair, rng: np.random.Generator) -> LeeBounds | None:
    """Lee's bounds on a - b where the arms differ in reach; None where they do not.

    Over the seeds that ended in both arms, with a failed trial as one that did not learn. None of
    a level and of what is exact.
    """
    if pair.kind == "level" or pair.measure in EXACT:
        return None
    both = pair.first.merge(pair.second, on=PAIR, suffixes=("_a", "_b"))
    values = {arm: both[f"{pair.measure}_{arm}"].where(both[f"learnt_{arm}"]) for arm in "ab"}
    undefined = [both[f"learnt_{arm}"] & values[arm].isna() for arm in "ab"]
    known = ~(undefined[0] | undefined[1])
    first, second = (values[arm][known].to_numpy(dtype=np.float64) for arm in "ab")
    learnt = [int(np.isfinite(arm).sum()) for arm in (first, second)]
    if min(learnt) == 0 or learnt[0] == learnt[1]:
        return None
    return lee_bounds(first - pair.line, second, rng)


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
    """Whether the interval of the control's measure with pay lies above the one without.

    Each arm's interval is `arm_interval`. Two 95 % intervals that are apart are more than a
    difference at level .05: of blind testbeds at most .006 fire by chance (3, 5 and 16 seeds,
    normal and exponential).
    """
    if pair.kind != "control":
        return False
    with_pay, without = (
        arm_interval(rows, pair.measure or "acquired", rng) for rows in (pair.first, pair.second)
    )
    return bool(with_pay[0] > without[1])


def arm_interval(rows: pd.DataFrame, measure: str, rng: np.random.Generator) -> tuple[float, float]:
    """95 % interval of one arm's mean: the widened bootstrap, which covers at few seeds too.

    Seeds that are all alike have no bootstrap interval. Of a share in `JUMPING` it is then the
    exact binomial one (16 seeds of 0: up to .206); of any other measure the value itself, if
    there are four seeds or more: two such arms differ by a permutation test (2 of 70 orders).
    """
    values = rows[measure].to_numpy(dtype=np.float64)
    known = values[np.isfinite(values)]
    bounds = (0.0, 1.0) if measure in JUMPING else UNBOUNDED
    method = "widened" if known.size <= MANY_SEEDS else "percentile"
    found = bootstrap(values, rng, strata=strata(rows), method=method, bounds=bounds)
    if isfinite(found.low) or known.size < 2:
        return found.low, found.high
    if measure in JUMPING:
        same = 0.025 ** (1 / known.size)
        return same * found.value, same * found.value + 1 - same
    return (found.value, found.value) if known.size >= 4 else (nan, nan)


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
    barred = NO_CLAIM if is_trend(pair.a) else pair.confound
    if pair.kind == "control":
        said = _control_verdict(comparison, fire)
    elif barred:
        others = tuple(reason for reason in said.reasons if "margin" not in reason)
        said = Verdict("cannot tell", 0, (barred, *others))
    found = (
        *(pair.measure, pair.a, pair.b, *comparison.effect, *comparison.reach, p),
        *(fire, said.answer, str(said), said.more_seeds, "; ".join(said.reasons)),
    )
    return {"kind": pair.kind, **pair.setting, **dict(zip(FOUND, found, strict=True))}


def _control_verdict(comparison: Comparison, fire: bool) -> Verdict:
    if fire:
        return Verdict("fires", 0, ())
    more = max(0, LEAST_SEEDS - comparison.effect.n)
    if more:
        return Verdict("cannot tell", more, ("the intervals overlap",))
    return Verdict("does not fire", 0, ())
