"""Reach rates, and budgets to a competence with censoring."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import isfinite, nan
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from powerseek.errors import InvalidInput
from powerseek.experiments.analysis.budgets import USUAL_GATE, Crossings, competence_levels
from powerseek.experiments.analysis.cells import Cell, settings_of
from powerseek.experiments.analysis.view import View
from powerseek.experiments.statistics.bootstrap import Estimate
from powerseek.experiments.statistics.survival import (
    Budgets,
    Ratio,
    budget_ratio,
    kaplan_meier,
    median_budget,
    median_interval,
    restricted_mean,
)
from powerseek.experiments.study.arms import Places, arm_pairs
from powerseek.metrics.intervals import wilson

Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


class Reach(NamedTuple):
    """Number of a cell's seeds that learnt the task, and their budgets.

    Attributes:
        fraction: Of its finished seeds, those that learnt the task; nan of no seeds.
        low: Lower end of Wilson's 95 % interval.
        high: Its upper end.
        medians: For each level of competence the range of the median budget, in steps.
        median_intervals: Of each its 95 % interval.
        means: For each level the mean of the budget up to a horizon, in steps, with its interval.
    """

    fraction: float
    low: float
    high: float
    medians: tuple[tuple[float, float], ...]
    median_intervals: tuple[tuple[float, float], ...]
    means: tuple[Estimate, ...]


class Curve(NamedTuple):
    """Fraction of seeds that have reached a competence, against steps (Kaplan-Meier).

    Attributes:
        steps: [points] where the fraction rises, from 0 to the last step watched.
        fraction: [points] from each of them on.
        given_up: [n] steps at which seeds were given up, each once.
        fraction_there: [n] the fraction at those.
    """

    steps: Floats
    fraction: Floats
    given_up: Floats
    fraction_there: Floats


class Pair(NamedTuple):
    """A sparse arm and the dense one of the same setting, both with finished seeds."""

    setting: Mapping[str, object]
    sparse: Cell
    dense: Cell


def gating_level(view: View) -> float:
    """Competence below which a trial is not scored; `USUAL_GATE` where nothing tells."""
    try:
        known = view.registration
    except InvalidInput:  # told where its verdicts would stand
        known = None
    levels = competence_levels(view.trained)
    return known.gate if known is not None else levels[-1] if levels else USUAL_GATE


def reach_of(cell: Cell, crossings: Crossings, horizon: float) -> Reach:
    """Seeds of a cell that learnt the task, and their budgets to each level of competence.

    Means are of budgets up to the horizon, in steps > 0.
    """
    seeds = len(cell.places)
    learnt = seeds - int(cell.row["censored"])
    known = [crossings.budgets(cell.seeds["trial"], level) for level in crossings.levels]
    own = [(budgets.steps, budgets.reached) for budgets in known]
    return Reach(
        learnt / seeds if seeds else nan,
        *wilson(learnt, seeds),
        tuple(median_budget(*budgets) for budgets in own),
        tuple(median_interval(*budgets) for budgets in own),
        tuple(restricted_mean(*budgets, horizon) for budgets in own),
    )


def horizons(cells: Sequence[Cell], keys: Sequence[str], crossings: Crossings) -> list[float]:
    """For each cell the smallest budget trained to in its setting, to which means are taken.

    The setting is what the arms of rewards share, at any budget and pay for power; nan without
    finished seeds.
    """
    found: dict[int, float] = {}
    for _, _, members in settings_of(cells, keys, ("reward", "power_weight", "budget")):
        least = crossings.budget(trial for cell in members for trial in cell.seeds["trial"])
        found |= {id(cell): least for cell in members}
    return [found[id(cell)] for cell in cells]


def reach_curve(seeds: Budgets) -> Curve:
    """The fraction of seeds that have got there, step by step."""
    kept = kaplan_meier(seeds.steps, seeds.reached)
    steps = np.concatenate([[0.0], kept.times, [kept.last]])
    left = np.concatenate([[1.0], kept.fraction])
    fraction = 1 - np.append(left, left[-1])
    given_up = np.unique(seeds.steps[~seeds.reached])
    there = fraction[np.searchsorted(steps[:-1], given_up, side="right") - 1]
    return Curve(steps, fraction, given_up, there)


def sparse_pairs(cells: Sequence[Cell], keys: Sequence[str], places: Places) -> list[Pair]:
    """Every sparse arm with the dense one, setting by setting: the latest payment, then success."""
    pairs = []
    for _, shared, members in settings_of(cells, keys, ("world", "reward")):
        by_arm = {str(cell.row["reward"]): cell for cell in members}
        # The horizon is no factor of a study that never varies it.
        horizon = dict(zip(("max_steps",), members[0].values("max_steps"), strict=False))
        for pair in [
            *arm_pairs("timing", by_arm, places)[-1:],
            *arm_pairs("sparse", by_arm, places),
        ]:
            both = [by_arm[str(arm)] for arm in pair]
            if all(len(cell.places) for cell in both):
                pairs.append(Pair({**shared, **horizon}, *both))
    return pairs


def budget_ratios(
    pairs: Sequence[Pair], crossings: Crossings, level: float
) -> Iterator[tuple[Pair, Ratio]]:
    """Budgets of the sparse arms as multiples of the dense arm's, one after another.

    An arm with a seed that is competent untrained has no ratio: its budget would be 0. Nor has
    one of which not even a lower bound is known.
    """
    rng = np.random.default_rng(0)
    for pair in pairs:
        sparse, dense = (
            crossings.budgets(cell.seeds["trial"], level) for cell in (pair.sparse, pair.dense)
        )
        if (sparse.steps <= 0).any() or (dense.steps <= 0).any():
            continue
        ratio = budget_ratio(sparse.steps, sparse.reached, dense.steps, dense.reached, rng)
        if isfinite(ratio.at_least):
            yield pair, ratio
