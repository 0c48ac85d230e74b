"""Checks before any verdict: whether a factor bites, and whether what is compared is at rest."""

from __future__ import annotations

from math import isfinite, nan
from typing import NamedTuple

import numpy as np
import pandas as pd

from powerseek.experiments.analysis.arms import Arms, Pair
from powerseek.experiments.analysis.budgets import Crossings
from powerseek.experiments.analysis.groups import cell_weights, seed_units
from powerseek.experiments.statistics.bootstrap import Estimate
from powerseek.experiments.statistics.comparisons import Asked, compare_groups
from powerseek.experiments.statistics.rest import LEAST_POINTS, Rest, swing_of
from powerseek.experiments.statistics.survival import median_budget
from powerseek.metrics import EXACT, beside
from powerseek.metrics.expected import line_drift
from powerseek.types import Floats, Ints

MOVED, TIMES = 0.1, 1.5
"""Shares of a width by which an end of W, and times by which a budget, differs where a factor
bites."""


class Check(NamedTuple):
    """What differs between two arms but for what agents do in them.

    Attributes:
        left_open: Of each arm [least, most] acquisition over all policies within .005 of its
            reward's optimum, in units; nan where it is not known.
        widths: Width of W of ``terminal`` in each arm's setting, in units.
        budgets: Of each arm the median budget to competence, in environment steps; nan where fewer
            than half of its seeds reached it.
        ratio: Of the first budget to the second.
    """

    left_open: tuple[tuple[float, float], tuple[float, float]]
    widths: tuple[float, float]
    budgets: tuple[float, float]
    ratio: float

    @property
    def bites(self) -> bool | None:
        """Whether the rewards leave other things open, or take other budgets; None if unknown."""
        ends = np.array(self.left_open) / np.array(self.widths)[:, None]
        gap = np.abs(ends[0] - ends[1]).max()
        if gap > MOVED or self.ratio > TIMES or self.ratio < 1 / TIMES:
            return True
        return False if isfinite(gap) and isfinite(self.ratio) else None


def manipulation_check(arms: Arms, pair: Pair, crossings: Crossings) -> Check:
    """W of both arms of a pair, and the ratio of their budgets to the competence that gates."""
    first, second = pair.cells
    names = (beside(pair.measure, name) for name in ("constraint_low", "constraint_high", "width"))
    low, high, width = names
    ends = [(arms.constant(low, cell), arms.constant(high, cell)) for cell in (first, second)]
    widths = arms.constant(width, first), arms.constant(width, second)
    budgets = _budget(arms, first, crossings), _budget(arms, second, crossings)
    known = isfinite(budgets[0]) and budgets[1] > 0
    return Check((ends[0], ends[1]), widths, budgets, budgets[0] / budgets[1] if known else nan)


def _budget(arms: Arms, cell: int, crossings: Crossings) -> float:
    """Median budget of a cell's trials, by Kaplan and Meier, to the highest level watched for."""
    own = arms.keys_of(cell)
    if not crossings.levels or not len(own):
        return nan
    seeds = crossings.budgets(own, crossings.levels[-1])
    low, high = median_budget(seeds.steps, seeds.reached)
    return low if low == high else nan


LAST = 2 / 3
"""Share of training after which its last third begins."""


class Curves:
    """The learning curves of trials, as far as their last third.

    Args:
        table: ``curves.parquet``; a row a trial and evaluation, ``trial``, ``timesteps``, a column
            a followed metric, and ``exact.METRIC`` where it was evaluated exactly.
    """

    def __init__(self, table: pd.DataFrame) -> None:
        table = table.sort_values(["trial", "timesteps"])
        whole = table.groupby("trial", sort=False)["timesteps"].transform("max")
        self._late = table[table["timesteps"] > LAST * whole * (1 + 1e-9)]
        self._budget = whole.groupby(table["trial"]).first()
        self._known: dict[str, dict[str, Floats]] = {}

    def column(self, measure: str) -> str | None:
        """The column of a measure, of exact values where there are some; None where it has none."""
        for name in (f"{EXACT}{measure}", measure):
            if name in self._late and self._late[name].notna().any():
                return name
        return None

    def budget(self, trial: str) -> float:
        """Environment steps that a trial was trained for; nan of one without a curve."""
        return float(self._budget.get(trial, nan))

    def of(self, column: str) -> dict[str, Floats]:
        """By trial, the values of a column over the last third, those that are missing left out."""
        if column not in self._known:
            known = self._late[["trial", column]].dropna()
            groups = known.groupby("trial", sort=False)[column]
            self._known[column] = {str(key): rows.to_numpy(float) for key, rows in groups}
        return self._known[column]


def movement(
    arms: Arms, curves: Curves, pair: Pair, rng: np.random.Generator, margin: float
) -> Rest | None:
    """The movement of what a pair compares; None where its measure has no curve.

    Args:
        arms: All trials.
        curves: Their learning curves.
        pair: What is compared, with the unit that it is compared in.
        rng: Source of chance.
        margin: The smallest effect of interest, in that unit.
    """
    column = curves.column(pair.measure)
    if column is None:
        return None
    known, keys = curves.of(column), arms.trial
    cells = np.array(pair.cells, dtype=np.int64)
    mine = [int(t) for t in arms.rows(cells)[1] if t < len(keys) and str(keys[t]) in known]
    mine = [t for t in mine if arms.learnt[t] or not pair.gated]
    if not mine:
        return None
    points = min(len(known[str(keys[t])]) for t in mine)
    budget = float(np.mean([curves.budget(str(keys[t])) for t in mine]))
    unknown = Estimate(nan, nan, nan, len(mine))
    exact = column.startswith(EXACT)
    if points < LEAST_POINTS:
        return Rest(unknown, nan, points, exact, budget)
    late = np.array([known[str(keys[t])][-points:] for t in mine])
    drift = _contrast(arms, pair, np.array(mine), line_drift(late), rng, margin)
    mean = [_contrast(arms, pair, np.array(mine), column, rng, nan).value for column in late.T]
    return Rest(drift, swing_of(np.array(mean)), points, exact, budget)


def _contrast(
    arms: Arms, pair: Pair, trials: Ints, values: Floats, rng: np.random.Generator, margin: float
) -> Estimate:
    """The sum that a pair compares, of other values; with a margin also its 90 % interval."""
    column = np.full(len(arms.cell), nan)
    column[trials] = values
    units = seed_units(arms, [pair], column, trials)
    (found,) = compare_groups(units, [Asked(cell_weights(arms, pair), margin=margin)], rng)
    return Estimate(found.effect.value, *found.narrow, found.effect.n)
