"""What a prior leaves, and what going away from it brings.

The effect of imitation on acquisition, and how long it lasts; and of rewards that are learnt from
labels what agents are paid, and what they do for the aim of the labels, the further they go.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from powerseek.agents.settings import PHASES
from powerseek.experiments.analysis.cells import Cell, settings_of
from powerseek.experiments.analysis.seeds import Band, curve_band
from powerseek.experiments.analysis.view import View
from powerseek.experiments.statistics.bootstrap import Estimate
from powerseek.experiments.statistics.rest import half_life, resting
from powerseek.experiments.study.arms import Places
from powerseek.metrics import EXACT
from powerseek.types import Floats

LABELS = "labels"
"""The factor of rewards that are learnt from labels."""
PAID, DIVERGENCE = "return", f"{EXACT}divergence"
OPTIMISED = (PAID, "success", "acquired", DIVERGENCE)
"""Curves of which over-optimisation is told."""
MEASURES = ("beyond", "acquired")
"""What the effect is in: the first of which there is a curve."""
SEED = 0


class Prior(NamedTuple):
    """The effect of imitation before the first phase of reward, against none, in units.

    Attributes:
        cell: What was trained so.
        against: The phases without imitation that it is held against.
        start: Mean at the first evaluation, before any reward.
        end: Mean at the end.
        rest: Mean of the others over their last third.
        half_life: Steps after which half of the effect is gone, with its 95 % interval.
        watched: Steps of the last evaluation.
    """

    cell: Cell
    against: str
    start: float
    end: float
    rest: float
    half_life: Estimate
    watched: float


def priors(view: View, cells: Sequence[Cell], curves: pd.DataFrame | None) -> list[Prior]:
    """The effect of each way of training that begins with imitation, against one that does not.

    Args:
        view: The study.
        cells: Those of a world.
        curves: Learning curves; none without.
    """
    measure = prior_measure(view, curves)
    if curves is None or not measure:
        return []
    imitates = _imitating(view)
    found = []
    for _, _, members in settings_of(cells, view.keys, (PHASES,)):
        plain = [cell for cell in members if cell.row[PHASES] not in imitates]
        for cell in members if plain else ():
            if cell.row[PHASES] in imitates:
                found.append(_prior(cell, plain[0], curves, measure))
    return found


def prior_measure(view: View, curves: pd.DataFrame | None) -> str:
    """The curve that the effect of imitation is read from; "" where no study of phases has one."""
    known = () if curves is None or PHASES not in view.keys else curves.columns
    return next((measure for measure in MEASURES if measure in known), "")


def _imitating(view: View) -> set[str]:
    """Names of phases of which the first is imitation."""
    every = view.trained.every[[PHASES, "settings"]].dropna().drop_duplicates()
    told = ((name, json.loads(held).get(PHASES, [{}])) for name, held in every.to_numpy())
    return {str(name) for name, phases in told if "imitate" in phases[0]}


def _prior(cell: Cell, plain: Cell, curves: pd.DataFrame, measure: str) -> Prior:
    (steps, own), (_, other) = (_curves(one, curves, measure) for one in (cell, plain))
    rest = float(resting(other).mean()) if other.size else np.nan
    start, end = (float(np.nanmean(own[:, at])) if own.size else np.nan for at in (0, -1))
    lasts = half_life(steps, own, other, np.random.default_rng(SEED))
    watched = float(steps[-1]) if len(steps) else np.nan
    return Prior(cell, str(plain.row[PHASES]), start, end, rest, lasts, watched)


def _curves(cell: Cell, curves: pd.DataFrame, measure: str) -> tuple[Floats, Floats]:
    """Steps [k] and values [seeds, k] of the seeds of a cell that learnt their task."""
    own = curves[curves["trial"].isin(cell.seeds["trial"][cell.seeds["learnt"]])]
    wide = own.pivot_table(index="trial", columns="timesteps", values=measure).dropna(axis=1)
    return wide.columns.to_numpy(dtype=np.float64), wide.to_numpy(dtype=np.float64)


class Course(NamedTuple):
    """What agents of a cell did while trained on a reward that is learnt from labels.

    Attributes:
        cell: The cell.
        labels: Labels that the reward is learnt from.
        away: [k] mean divergence from the prior at each evaluation, in nats an episode; of agents
            without a prior their environment steps.
        from_prior: Whether `away` is a divergence.
        paid: What the reward paid an episode, over seeds.
        aim: The same by the aim of the labels: success, less the price of what was acquired where
            the aim has one.
    """

    cell: Cell
    labels: int
    away: Floats
    from_prior: bool
    paid: Band
    aim: Band


def with_labels(view: View) -> Places:
    """Places of the rewards of a study that are learnt from labels, by label."""
    return {name: place for name, place in view.places.items() if place.factor == LABELS}


def courses(
    view: View, cells: Sequence[Cell], curves: pd.DataFrame | None
) -> list[tuple[str, list[Course]]]:
    """Of each setting of a world, in words, the courses of its rewards, labels rising.

    Args:
        view: The study.
        cells: Those of a world.
        curves: Learning curves; none without.
    """
    if curves is None or not {"trial", "timesteps", PAID, "success"} <= set(curves.columns):
        return []
    places = with_labels(view)
    learnt = [cell for cell in cells if cell.row["reward"] in places]
    found = []
    for setting, _, members in settings_of(learnt, view.keys, ("reward",)) if learnt else ():
        rising = sorted(members, key=lambda cell: places[cell.row["reward"]].level)
        known = (_course(view, cell, curves) for cell in rising)
        if own := [course for course in known if len(course.away)]:
            found.append((setting, own))
    return found


def _course(view: View, cell: Cell, curves: pd.DataFrame) -> Course:
    place = view.places[cell.row["reward"]]
    own = curves[curves["trial"].isin(cell.seeds["trial"])]
    aim = own["success"]
    if place.price and "acquired" in own:
        aim = aim - place.price * own["acquired"]
    own = own.assign(aim=aim).dropna(subset=[PAID, "aim"])
    # Older results tell it of the end alone.
    from_prior = DIVERGENCE in own and own.loc[own[DIVERGENCE].notna(), "timesteps"].nunique() > 1
    if from_prior:
        own = own.dropna(subset=DIVERGENCE)
    paid, aimed = curve_band(own, PAID), curve_band(own, "aim")
    away = curve_band(own, DIVERGENCE).mean if from_prior else paid.steps
    return Course(cell, int(place.level), away, from_prior, paid, aimed)
