"""Arms compared as independent groups of seeds, all comparisons at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import nan

import numpy as np
from scipy import stats

from powerseek.experiments.analysis.arms import Arms, Pair
from powerseek.experiments.statistics.bootstrap import Estimate, bootstrap_groups
from powerseek.experiments.statistics.comparisons import (
    UNBOUNDED,
    Asked,
    Comparison,
    Units,
    compare_groups,
)
from powerseek.experiments.statistics.layouts import compare_layouts, layout_sums
from powerseek.experiments.statistics.lee_bounds import LeeBounds, lee_bounds
from powerseek.experiments.statistics.proportions import proportion
from powerseek.experiments.study.arms import coverage_of
from powerseek.metrics import beside, known_metric, unshifted
from powerseek.types import Floats, Ints

TREND, INTERACTION, TAIL = "trend", "interaction", "tail"
ENDS = ("", "_low", "_high")
ROUNDING = 2e-3
"""Units by which an exact figure may lie past the oracle's bound: that of the frontier's gap."""


def is_trend(a: object) -> bool:
    """True if the first value of a comparison stands for a trend."""
    return str(a).split()[:1] == [TREND]


def compare_arms(arms: Arms, pairs: Sequence[Pair], rng: np.random.Generator) -> list[Comparison]:
    """Compare arms by the seeds of each that learnt the task, as independent groups.

    The positive control is ungated. A level is one arm, held against its null value. A trend is
    the least-squares slope of the cells' means over the factor, per unit of it. An interaction is
    the difference of differences of the four means. Where a margin is in widths of W, each cell is
    divided by its own setting's width. What is exact is not compared by seeds. Where seeds are
    nested in layouts, the same over layouts stands beside it.

    Args:
        arms: All trials.
        pairs: The pairs.
        rng: Source of chance.

    Returns:
        One a pair.
    """
    comparisons: dict[int, Comparison] = {}
    drawn: list[int] = []
    for i, pair in enumerate(pairs):
        if known_metric(pair.measure).exact:
            comparisons[i] = _computed(arms, pair)
        elif pair.kind == TAIL:
            comparisons[i] = _tail(arms, pair)
        else:
            drawn.append(i)
    chosen = [pairs[i] for i in drawn]
    columns: dict[tuple[str, str], list[int]] = {}
    for i, pair in enumerate(chosen):
        columns.setdefault((pair.measure, pair.evaluation), []).append(i)
    for (measure, evaluation), places in columns.items():
        own = [chosen[i] for i in places]
        values = arms.values(measure, evaluation)
        asked = [_asked(arms, pair, values) for pair in own]
        units = seed_units(arms, own, values)
        compared = compare_groups(units, asked, rng)
        comparisons |= {
            drawn[i]: _with_layouts(arms, chosen[i], one, units, k, asked[k])
            for k, (i, one) in enumerate(zip(places, compared, strict=True))
        }
    return [comparisons[i] for i in range(len(pairs))]


def nested(arms: Arms, pair: Pair) -> bool:
    """Whether the seeds of both arms are nested in layouts, which are then the units."""
    return bool(arms.nested[list(pair.cells)].all())


def _with_layouts(
    arms: Arms, pair: Pair, found: Comparison, units: Units, group: int, asked: Asked
) -> Comparison:
    """A comparison of seeds with that of their layouts, where they are nested in some."""
    if not nested(arms, pair):
        return found
    own = units.group == group
    values, cell, layer = (part[own] for part in (units.value, units.cell, units.layer))
    sums = layout_sums(values, cell, layer, asked.weights)
    bounds = UNBOUNDED
    if known_metric(pair.measure).jumps and not is_trend(pair.a):
        ends = [sorted((0.0, w)) for w in asked.weights]
        bounds = sum(low for low, _ in ends), sum(high for _, high in ends)
    return replace(found, layouts=compare_layouts(sums, asked, bounds=bounds))


def cell_weights(arms: Arms, pair: Pair) -> tuple[float, ...]:
    """Weight of each cell's mean, the first arm's cells before the second's."""
    if is_trend(pair.a):
        q = np.array([coverage_of(arms.records[c]["reward"], arms.places) for c in pair.cells])
        q = q - q.mean()
        return tuple(map(float, q / (q @ q)))
    return (1.0,) * len(pair.first) + (-1.0,) * len(pair.second)


def seed_units(
    arms: Arms, pairs: Sequence[Pair], values: Floats, trials: Ints | None = None
) -> Units:
    """The seeds that count of every pair's cells.

    Args:
        arms: All trials.
        pairs: The pairs.
        values: [trials] what is compared.
        trials: The trials that may count; by default all.
    """
    cells = [pair.cells for pair in pairs]
    sizes = [len(own) for own in cells]
    owner = np.repeat(np.arange(len(pairs)), sizes)
    local = np.concatenate([np.arange(size) for size in sizes] or [np.zeros(0, dtype=np.int64)])
    place, trial = arms.rows(np.array([c for own in cells for c in own], dtype=np.int64))
    ungated = np.array([not pair.gated for pair in pairs], dtype=bool)
    group = owner[place]
    counts = ungated[group] | arms.learnt[trial]
    if trials is not None:
        counts &= np.isin(trial, trials)
    place, trial, group = place[counts], trial[counts], group[counts]
    scale = np.array([_scale(arms, p, c) for p, own in zip(pairs, cells, strict=True) for c in own])
    value = values[trial] / scale[place] if len(trial) else np.zeros(0)
    return Units(value, group, local[place], arms.layout[trial])


def _scale(arms: Arms, pair: Pair, cell: int) -> float:
    return arms.constant(beside(pair.measure, "width"), cell) if pair.scaled else 1.0


def _asked(arms: Arms, pair: Pair, values: Floats) -> Asked:
    sides = list(pair.first), list(pair.second or pair.first)
    reach = tuple(float(arms.reach[own].min()) for own in sides)
    failed = tuple(int(arms.failures[own].sum()) for own in sides)
    return Asked(
        cell_weights(arms, pair),
        (reach[0], reach[1]),
        pair.margin,
        pair.null_value,
        _bounds(arms, pair, values),
        (failed[0], failed[1]),
    )


def _bounds(arms: Arms, pair: Pair, values: Floats) -> tuple[float, float]:
    """Range of a seed's value, where it is known.

    Of a share that jumps it is [0, 1]. Of acquisition in one arm, evaluated exactly, the oracle
    knows it: no policy acquires more than `most`, nor needs more than `need_end`.
    """
    if known_metric(pair.measure).jumps and not is_trend(pair.a):
        return 0.0, 1.0
    measure = unshifted(pair.measure)
    if len(pair.cells) > 1 or measure not in ("acquired", "beyond", "excess"):
        return UNBOUNDED
    cell = pair.first[0]
    trials = arms.counted(cell, pair.gated)
    trials = trials[np.isfinite(values[trials])]
    if not len(trials) or not arms.exactly(pair.measure, cell, pair.evaluation, pair.gated):
        return UNBOUNDED
    # Each layout has a range of its own: a seed of the cell may lie in any of them.
    named = (beside(pair.measure, name) for name in ("most", "need_end"))
    own, most, need = values[trials], *(arms.values(name)[trials] for name in named)
    lows, highs = {
        "acquired": (np.zeros(len(trials)), most),
        "beyond": (-need, most - need),
        # At a success below the greatest it may be anything up to all there is.
        "excess": (-need, most),
    }[measure]
    if not np.isfinite([lows, highs]).all():
        return UNBOUNDED
    if (own > highs + ROUNDING).any() or (own < lows - ROUNDING).any():
        return UNBOUNDED
    return float(min(lows.min(), own.min())), float(max(highs.max(), own.max()))


def _tail(arms: Arms, pair: Pair) -> Comparison:
    """The fraction of an arm's seeds beyond a value, against a fraction: exact binomial tests."""
    cell, share = pair.first[0], pair.margin
    values = arms.values(pair.measure, pair.evaluation)
    own = values[arms.counted(cell, pair.gated)]
    own = own[np.isfinite(own)]
    beyond = own > pair.threshold
    fraction, narrow = proportion(beyond), proportion(beyond, confidence=0.9)
    k, n = int(beyond.sum()), len(own)
    ps = {
        side: float(stats.binomtest(k, n, share, alternative=side).pvalue) if n else nan
        for side in ("greater", "less")
    }
    reach, failed = float(arms.reach[cell]), int(arms.failures[cell])
    told = Comparison(
        fraction,
        float(beyond.std(ddof=1)) if n > 1 else nan,
        nan,
        nan,
        (reach, reach),
        share,
        (narrow.low, narrow.high),
        (0.0, 1.0),
        (failed, failed),
        arms=1,
        binomial=True,
        p_above=ps["greater"],
        p_at_most=ps["less"],
        tail=(k,),
    )
    if not nested(arms, pair):
        return told
    trials = arms.counted(cell, pair.gated)
    trials = trials[np.isfinite(values[trials])]
    alone = np.zeros(len(trials), dtype=np.int64)
    counted = (values[trials] > pair.threshold).astype(np.float64)
    shares = layout_sums(counted, alone, arms.layout[trials], (1.0,))
    asked = Asked((1.0,), told.reach, share, 0.0, failed=told.failed)
    return replace(told, layouts=compare_layouts(shares, asked, bounds=(0.0, 1.0)))


def _computed(arms: Arms, pair: Pair) -> Comparison:
    """A measure that is the same for every seed: its value and its range over ties."""
    known = [_computed_cell(arms, pair, cell) for cell in pair.cells]
    weights = np.array(cell_weights(arms, pair))
    count = min(n for _, n in known)
    ends = np.array(
        [[nan] * 3 if not n else np.mean(list(layouts.values()), axis=0) for layouts, n in known]
    )
    # The range of a - b is from the lowest a less the highest b to the reverse.
    value, low, high = map(float, _over_ties(ends, weights) - pair.null_value)
    effect = Estimate(value, low, high, count)
    whole, cells = (1.0, 1.0), len(pair.cells)
    found = Comparison(effect, 0.0, nan, nan, whole, pair.margin, arms=cells, exact=True)
    if not nested(arms, pair) or not count:
        return found
    shared = sorted(set.intersection(*(set(layouts) for layouts, _ in known)))
    sums = np.array(
        [_over_ties(np.array([own[i] for own, _ in known]), weights) for i in shared]
    ).reshape(-1, 3)
    asked = Asked(tuple(map(float, weights)), whole, pair.margin, pair.null_value)
    over = compare_layouts(sums[:, 0], asked, low=sums[:, 1], high=sums[:, 2])
    return replace(found, layouts=over)


def _over_ties(ends: Floats, weights: Floats) -> Floats:
    """[value, least, greatest] of a weighted sum of cells that each have these: [cells, 3]."""
    turned = np.where(weights[:, None] > 0, ends, ends[:, [0, 2, 1]])
    return np.asarray((weights[:, None] * turned).sum(axis=0), dtype=np.float64)


def _computed_cell(
    arms: Arms, pair: Pair, cell: int
) -> tuple[dict[int, tuple[float, float, float]], int]:
    """By layout the value and its range over ties, and how many trials know it."""
    trials = np.sort(arms.rows(np.array([cell], dtype=np.int64))[1])
    values = arms.values(pair.measure)
    known = trials[~np.isnan(values[trials])]
    # One row a layout, of which the mean is taken.
    one = known[np.unique(arms.layout[known], return_index=True)[1]]
    value, low, high = (arms.values(f"{pair.measure}{end}")[one] for end in ENDS)
    scale = _scale(arms, pair, cell)
    parts = (np.where(np.isnan(end), value, end) / scale for end in (value, low, high))
    rows = zip(*(map(float, part) for part in parts), strict=True)
    return dict(zip(map(int, arms.layout[one]), rows, strict=True)), len(known)


def arms_selection_bounds(arms: Arms, pair: Pair, rng: np.random.Generator) -> LeeBounds | None:
    """Lee's bounds on a - b where the arms differ in reach; None where they do not.

    Over the seeds that ended, with a failed trial as one that did not learn. None of the positive
    control, of a level, of an interaction and of what is exact.
    """
    two = pair.gated and len(pair.cells) == 2 and not is_trend(pair.a)
    if not two or known_metric(pair.measure).exact:
        return None
    values, sides = arms.values(pair.measure, pair.evaluation), []
    for cell in pair.cells:
        trials = arms.rows(np.array([cell], dtype=np.int64))[1]
        learnt = arms.learnt[trials]
        own = np.where(learnt, values[trials], nan) / _scale(arms, pair, cell)
        sides.append(own[~(learnt & np.isnan(own))])  # undefined, whatever it learnt
    first, second = sides
    reach = [float(np.isfinite(arm).mean()) if len(arm) else 0.0 for arm in sides]
    if min(reach) == 0 or reach[0] == reach[1]:
        return None
    return lee_bounds(first - pair.null_value, second, rng)


def fired_controls(arms: Arms, pairs: Sequence[Pair], rng: np.random.Generator) -> list[bool]:
    """Of each pair, whether the interval of a control's measure with pay lies above the other.

    Each arm's interval is of `arm_intervals`. Two 95 % intervals that are apart are more than a
    difference at level .05: of blind testbeds at most .006 fire by chance (3, 5 and 16 seeds,
    normal and exponential). False of what is no control.
    """
    fired = [False] * len(pairs)
    together: dict[str, list[int]] = {}
    for i, pair in enumerate(pairs):
        if pair.kind == "control":
            together.setdefault(pair.measure, []).append(i)
    for measure, places in together.items():
        sides = [pairs[i].first[0] for i in places], [pairs[i].second[0] for i in places]
        cells, side = np.unique(np.array(sides), return_inverse=True)
        group, trial = arms.rows(cells)
        known = arms.values(measure)[trial], group, len(cells), arms.layout[trial]
        low, high = arm_intervals(measure, *known, rng)
        paid, unpaid = side.reshape(2, -1)
        for i, fire in zip(places, low[paid] > high[unpaid], strict=True):
            fired[i] = bool(fire)
    return fired


def arm_intervals(
    measure: str,
    values: Floats,
    group: Ints,
    count: int,
    strata: Ints | None,
    rng: np.random.Generator,
) -> tuple[Floats, Floats]:
    """95 % intervals of arms' means: the widened bootstrap, which covers at few seeds too.

    Seeds that are all alike have no bootstrap interval. Of a share that jumps it is then the
    exact binomial one (16 seeds of 0: up to .206); of any other measure the value itself, if
    there are four seeds or more: two such arms differ by a permutation test (2 of 70 orders).

    Args:
        measure: Which measure it is.
        values: [trials], nan = none.
        group: [trials] number of the arm of each.
        count: Arms.
        strata: [trials] numbers of layouts, None for none.
        rng: Source of chance.

    Returns:
        Lower and upper ends, [count] each.
    """
    jumps = known_metric(measure).jumps
    bounds = [(0.0, 1.0) if jumps else UNBOUNDED]
    estimates = bootstrap_groups(values[:, None], group, count, rng, strata=strata, bounds=bounds)
    value, low, high, n = (part[:, 0] for part in estimates)
    alike = ~np.isfinite(low) & (n > 1)
    if jumps:
        same = 0.025 ** (1 / np.maximum(n, 1))
        ends = same * value, same * value + 1 - same
    else:
        ends = (np.where(n >= 4, value, nan),) * 2
    return np.where(alike, ends[0], low), np.where(alike, ends[1], high)
