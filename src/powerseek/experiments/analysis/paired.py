"""Pairs of arms compared seed by seed, all pairs at once."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from typing import NamedTuple, TypeAlias

import numpy as np

from powerseek.experiments.analysis.arms import Arms, Pair
from powerseek.experiments.statistics.bootstrap import Estimate, bootstrap_groups
from powerseek.experiments.statistics.comparisons import (
    UNBOUNDED,
    Asked,
    Comparison,
    compare_groups,
)
from powerseek.experiments.statistics.lee_bounds import LeeBounds, lee_bounds
from powerseek.experiments.study.arms import coverage_of
from powerseek.metrics import known_metric
from powerseek.types import Floats, Ints

Rows: TypeAlias = tuple[Ints, Ints]

TREND, INTERACTION = "trend", "interaction"
ENDS = ("", "_low", "_high")


class Seeds(NamedTuple):
    """The seeds compared: of each its pair, its value in either arm, and its layout."""

    pair: Ints
    a: Floats
    b: Floats
    layout: Ints


def is_trend(a: object) -> bool:
    """True if the first value of a comparison stands for a trend."""
    return str(a).split()[:1] == [TREND]


def compare_arms(arms: Arms, pairs: Sequence[Pair], rng: np.random.Generator) -> list[Comparison]:
    """Compare two arms seed by seed, over the seeds that learnt the task in both.

    The positive control is ungated. A level is one arm, held against its null value. A trend is the
    least-squares slope of each seed that learnt the task at every value of the factor, per unit of
    the factor, compared with 0. An interaction is the difference of differences of each seed that
    learnt it in all four arms, in the measure's unit. What is exact is not compared by seeds.

    Args:
        arms: All trials.
        pairs: The pairs.
        rng: Source of chance.

    Returns:
        One a pair.
    """
    comparisons: dict[int, Comparison] = {}
    together: dict[str, list[int]] = {}
    for i, pair in enumerate(pairs):
        if known_metric(pair.measure).exact:
            comparisons[i] = _computed(arms, pair)
        else:
            together.setdefault(pair.measure, []).append(i)
    for measure, places in together.items():
        chosen = [pairs[i] for i in places]
        seeds = _seeds(arms, chosen, measure)
        asked = [_asked(arms, pair) for pair in chosen]
        compared = compare_groups(seeds.a, seeds.b, seeds.pair, asked, rng, strata=seeds.layout)
        comparisons |= dict(zip(places, compared, strict=True))
    return [comparisons[i] for i in range(len(pairs))]


def _asked(arms: Arms, pair: Pair) -> Asked:
    first, second = list(pair.first), list(pair.second)
    bounds = UNBOUNDED
    if known_metric(pair.measure).jumps and not is_trend(pair.a):
        bounds = (-1.0, 1.0) if pair.paired else (0.0, 1.0)
        bounds = (-2.0, 2.0) if pair.kind == INTERACTION else bounds
    sides = first, second if pair.paired else first
    reach = tuple(float(arms.reach[own].min()) for own in sides)
    failed = tuple(int(arms.failures[own].sum()) for own in sides)
    level = not pair.paired
    return Asked(
        (reach[0], reach[1]), pair.margin, pair.null_value, bounds, level, (failed[0], failed[1])
    )


def _seeds(arms: Arms, pairs: Sequence[Pair], measure: str) -> Seeds:
    """The seeds of all pairs, in whichever way each kind of pair is compared."""
    values = arms.values(measure)
    trends = np.array([is_trend(pair.a) for pair in pairs], dtype=bool)
    levels = np.array([not pair.paired for pair in pairs], dtype=bool)
    crossed = np.array([pair.kind == INTERACTION for pair in pairs], dtype=bool)
    two = ~trends & ~levels & ~crossed
    parts = []
    ways = (trends, _slopes), (levels, _single), (crossed, _crossed), (two, _matched)
    for chosen, how in ways:
        places = np.flatnonzero(chosen)
        if len(places):
            seeds = how(arms, [pairs[int(i)] for i in places], values)
            parts.append(seeds._replace(pair=places[seeds.pair]))
    return Seeds(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _members(arms: Arms, pairs: Sequence[Pair], cells: Sequence[Sequence[int]]) -> Rows:
    """(pair, trial) of the trials that count of some cells of each pair, by unit in each cell."""
    owner = np.repeat(np.arange(len(pairs)), [len(own) for own in cells])
    place, trial = arms.rows(np.array([cell for own in cells for cell in own], dtype=np.int64))
    ungated = np.array([not pair.gated for pair in pairs])
    pair = owner[place]
    counts = ungated[pair] | arms.learnt[trial]
    return pair[counts], trial[counts]


def _matched(arms: Arms, pairs: Sequence[Pair], values: Floats) -> Seeds:
    """Every two trials of a pair's arms with the same seed and layout."""
    pair, first = _members(arms, pairs, [pair.first for pair in pairs])
    other, second = _members(arms, pairs, [pair.second for pair in pairs])
    units = arms.unit.max(initial=0) + 1
    left, right = _joined(pair * units + arms.unit[first], other * units + arms.unit[second])
    first, second = first[left], second[right]
    return Seeds(pair[left], values[first], values[second], arms.layout[first])


def _joined(left: Ints, right: Ints) -> tuple[Ints, Ints]:
    """Places of every two equal numbers, in the order of the left ones; the right ones rise."""
    low, high = (np.searchsorted(right, left, side) for side in ("left", "right"))
    count = high - low
    places = np.repeat(np.arange(len(left)), count)
    within = np.arange(len(places)) - np.repeat(np.cumsum(count) - count, count)
    return places, low[places] + within


def _single(arms: Arms, pairs: Sequence[Pair], values: Floats) -> Seeds:
    """One arm's trials, held against 0."""
    pair, trial = _members(arms, pairs, [pair.first for pair in pairs])
    return Seeds(pair, values[trial], np.zeros(len(trial)), arms.layout[trial])


def _crossed(arms: Arms, pairs: Sequence[Pair], values: Floats) -> Seeds:
    """The two sums whose difference is the interaction, of each seed that has all four values."""
    cells = [(*pair.first, *pair.second) for pair in pairs]
    pair, trial, one, seed = _whole(arms, pairs, cells, values)
    count = len(arms.cells)
    added = [place * count + cell for place, own in enumerate(pairs) for cell in own.first]
    plus = np.isin(pair[seed] * count + arms.cell[trial], added)
    own = values[trial]
    a, b = (
        np.bincount(seed, np.where(part, own, 0.0), len(one)).astype(np.float64)
        for part in (plus, ~plus)
    )
    return Seeds(pair, a, b, arms.layout[one])


def _slopes(arms: Arms, pairs: Sequence[Pair], values: Floats) -> Seeds:
    """Slope over coverage of each seed that has the measure at every coverage of its pair."""
    cells = [(*pair.first, *pair.second) for pair in pairs]
    pair, trial, one, seed = _whole(arms, pairs, cells, values)
    judged = np.array([coverage_of(told["reward"], arms.places) for told in arms.records])
    q, y = judged[arms.cell[trial]], values[trial]
    count = np.bincount(seed)
    q, y = (part - (np.bincount(seed, part) / count)[seed] for part in (q, y))
    slope = np.bincount(seed, q * y) / np.bincount(seed, q * q)
    return Seeds(pair, slope, np.zeros(len(pair)), arms.layout[one])


def _whole(
    arms: Arms, pairs: Sequence[Pair], cells: Sequence[Sequence[int]], values: Floats
) -> tuple[Ints, Ints, Ints, Ints]:
    """The seeds that have a value in every cell of their pair.

    Returns:
        Of each seed its pair; the trials of all of them; of each seed its first trial; and of
        each of these trials the number of its seed.
    """
    pair, trial = _members(arms, pairs, cells)
    known = np.isfinite(values[trial])
    pair, trial = pair[known], trial[known]
    units = arms.unit.max(initial=0) + 1
    _, one, seed = np.unique(
        pair * units + arms.unit[trial], return_index=True, return_inverse=True
    )
    first = trial[one]
    whole = np.bincount(seed) == np.array([len(own) for own in cells])[pair[one]]
    kept = whole[seed]
    return pair[one[whole]], trial[kept], first[whole], (np.cumsum(whole) - 1)[seed[kept]]


def _computed(arms: Arms, pair: Pair) -> Comparison:
    """A measure that is the same for every seed: its value and its range over ties."""

    def ends(cells: Sequence[int]) -> tuple[Floats, int]:
        """Value and range, summed over the cells, and how many trials know it."""
        ranges, counts = zip(*map(cell_ends, cells), strict=True)
        return np.sum(ranges, axis=0), min(counts)

    def cell_ends(cell: int) -> tuple[tuple[float, ...], int]:
        trials = np.sort(arms.rows(np.array([cell], dtype=np.int64))[1])
        values = arms.values(pair.measure)
        known = trials[~np.isnan(values[trials])]
        # One row a layout, of which the mean is taken.
        one = known[np.unique(arms.layout[known], return_index=True)[1]]
        value, low, high = (arms.values(f"{pair.measure}{end}")[one] for end in ENDS)
        if not len(one):
            return (nan, nan, nan), 0
        parts = (np.where(np.isnan(end), value, end) for end in (value, low, high))
        return tuple(float(part.mean()) for part in parts), len(known)

    first, count = ends(pair.first)
    second, other = ends(pair.second) if pair.paired else (np.zeros(3), count)
    # The range of a - b is from the lowest a less the highest b to the reverse.
    value, low, high = map(float, first - second[[0, 2, 1]] - pair.null_value)
    effect = Estimate(value, low, high, min(count, other))
    whole = (1.0, 1.0)
    return Comparison(effect, 0.0, nan, nan, whole, pair.margin, paired=pair.paired, exact=True)


def arms_selection_bounds(arms: Arms, pair: Pair, rng: np.random.Generator) -> LeeBounds | None:
    """Lee's bounds on a - b where the arms differ in reach; None where they do not.

    Over the seeds that ended in both arms, with a failed trial as one that did not learn. None of
    the positive control, of a level, of an interaction and of what is exact.
    """
    two = pair.gated and pair.paired and pair.kind != INTERACTION
    if not two or known_metric(pair.measure).exact:
        return None
    sides = [arms.rows(np.array(cells, dtype=np.int64))[1] for cells in (pair.first, pair.second)]
    places = _joined(arms.unit[sides[0]], arms.unit[sides[1]])
    trials = [side[place] for side, place in zip(sides, places, strict=True)]
    values = [np.where(arms.learnt[own], arms.values(pair.measure)[own], nan) for own in trials]
    undefined = [arms.learnt[t] & np.isnan(v) for t, v in zip(trials, values, strict=True)]
    known = ~(undefined[0] | undefined[1])
    first, second = (own[known] for own in values)
    learnt = [int(np.isfinite(arm).sum()) for arm in (first, second)]
    if min(learnt) == 0 or learnt[0] == learnt[1]:
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
