"""Reach rates, and budgets to a competence with censoring."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import isfinite, nan
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pandas as pd

from powerseek.errors import InvalidInput
from powerseek.experiments.analysis.cells import Cell, settings_of
from powerseek.experiments.analysis.view import View
from powerseek.experiments.results.table import Results, long_table
from powerseek.experiments.statistics.survival import (
    Ratio,
    budget_ratio,
    kaplan_meier,
    median_budget,
)
from powerseek.experiments.study.arms import Places, arm_pairs
from powerseek.metrics.intervals import wilson

CROSSING = "competence>="
Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


class Budgets(NamedTuple):
    """Environment steps at which each seed of a cell first reached a competence.

    Attributes:
        steps: [n] environment steps at which it was seen to, or trained in all where it never was.
        reached: [n] True where it was.
    """

    steps: Floats
    reached: np.ndarray[Any, np.dtype[np.bool_]]


class Reach(NamedTuple):
    """Number of a cell's seeds that learnt the task, and their budgets.

    Attributes:
        fraction: Of its finished seeds, those that learnt the task; nan of no seeds.
        low: Lower end of Wilson's 95 % interval.
        high: Its upper end.
        medians: For each level of competence the range of the median budget, in steps.
    """

    fraction: float
    low: float
    high: float
    medians: tuple[tuple[float, float], ...]


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


USUAL_GATE = 0.9


def gating_level(view: View) -> float:
    """Competence below which a trial is not scored; `USUAL_GATE` where nothing tells."""
    try:
        known = view.registration
    except InvalidInput:  # told where its verdicts would stand
        known = None
    levels = competence_levels(view.trained)
    return known.gate if known is not None else levels[-1] if levels else USUAL_GATE


def competence_levels(results: Results) -> list[float]:
    """The levels of competence that a study watched for, rising.

    CAVEAT: Only those that some trial reached are in its results.
    """
    names = (str(name) for name in long_table(results).checkpoints()["checkpoint"].unique())
    known = [name.removeprefix(CROSSING) for name in names if name.startswith(CROSSING)]
    return sorted(float(level) for level in known)


def competence_crossings(results: Results) -> pd.DataFrame:
    """One row a finished trial: ``end`` (steps trained) and, by level, steps at the crossing.

    A column a level of `competence_levels`, nan where the trial never reached it.
    """
    told = long_table(results).checkpoints()
    names = ["end", *(f"{CROSSING}{level:g}" for level in competence_levels(results))]
    wide = told.set_index(["trial", "checkpoint"])["timesteps"].astype(float).unstack("checkpoint")
    wide = wide.reindex(columns=names)
    return wide.rename(columns={name: name.removeprefix(CROSSING) for name in names})


def seed_budgets(seeds: pd.DataFrame, steps: pd.DataFrame, level: float) -> Budgets:
    """Environment steps at which the seeds of a cell reached a level, by `competence_crossings`.

    CAVEAT: A crossing is seen at the next look, so a budget is too large by up to the time
    between two evaluations; a seed may have fallen below the level again by the end.
    """
    mine = steps.reindex(seeds["trial"])
    when = mine[f"{level:g}"] if f"{level:g}" in mine else mine["end"] * nan
    # The last and largest evaluation may show what the smaller ones while training did not.
    reached = when.notna().to_numpy() | (seeds["competence"] >= level).to_numpy()
    steps_taken = when.fillna(mine["end"]).to_numpy(dtype=np.float64)
    return Budgets(steps_taken, reached.astype(np.bool_))


def reach_of(cell: Cell, steps: pd.DataFrame) -> Reach:
    """Seeds of a cell that learnt the task, and their budgets to each level of competence."""
    seeds = len(cell.places)
    learnt = seeds - int(cell.row["censored"])
    known = [float(name) for name in steps.columns if name != "end"]
    return Reach(
        learnt / seeds if seeds else nan,
        *wilson(learnt, seeds),
        tuple(median_budget(*seed_budgets(cell.seeds, steps, level)) for level in known),
    )


def reach_curve(seeds: Budgets) -> Curve:
    """The fraction of seeds that have got there, step by step."""
    kept = kaplan_meier(*seeds)
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
    pairs: Sequence[Pair], steps: pd.DataFrame, level: float
) -> Iterator[tuple[Pair, Ratio]]:
    """Budgets of the sparse arms as multiples of the dense arm's, one after another.

    An arm with a seed that is competent untrained has no ratio: its budget would be 0. Nor has
    one of which not even a lower bound is known.
    """
    rng = np.random.default_rng(0)
    for pair in pairs:
        sparse, dense = (
            seed_budgets(cell.seeds, steps, level) for cell in (pair.sparse, pair.dense)
        )
        if (sparse.steps <= 0).any() or (dense.steps <= 0).any():
            continue
        ratio = budget_ratio(*sparse, *dense, rng)
        if isfinite(ratio.at_least):
            yield pair, ratio
