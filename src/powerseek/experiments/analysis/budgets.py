"""Training budgets to a competence, read off all evaluations of each trial."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite, nan

import numpy as np
import pandas as pd

from powerseek.experiments.analysis.arms import Arms, Pair
from powerseek.experiments.results.table import Results, long_table, trials
from powerseek.experiments.statistics.ratios import Clock, RatioClaim, ratio_claim
from powerseek.experiments.statistics.survival import Budgets
from powerseek.experiments.study.contrasts import CLOCKS, STEPS, Contrast
from powerseek.experiments.study.hypotheses import CROSSING
from powerseek.metrics import EXACT

BUDGET = "budget"
USUAL_GATE = 0.9


def _spent(clock: str) -> str:
    return Contrast(BUDGET, clock=clock).ledger


SPENT = [_spent(clock) for clock in CLOCKS if clock != STEPS]
"""Metrics of what training takes, beside environment steps."""


def competence_levels(results: Results) -> list[float]:
    """The levels of competence that a study watched for, rising.

    CAVEAT: Only those that some trial reached are in its results.
    """
    names = (str(name) for name in long_table(results).checkpoints()["checkpoint"].unique())
    known = [name.removeprefix(CROSSING) for name in names if name.startswith(CROSSING)]
    return sorted(float(level) for level in known)


class Crossings:
    """Evaluations of all finished trials, from which budgets to any competence are read.

    The budget to a level is the first evaluation that shows it, where the next one shows it still;
    the last one, which is larger and has none after it, counts by itself. A value is the exact one
    where there is one.

    Args:
        results: As written by a sweep.
        curves: Learning curves; a trial without one has but the first evaluation that showed each
            level that the study watched for, and its end.

    Attributes:
        levels: Levels of competence that the study watched for, rising.

    CAVEAT: A crossing is seen at the next evaluation, so a budget is too large by up to the time
    between two (``evaluations`` of the study); `Budgets.before` says how early it may have been.
    """

    def __init__(self, results: Results, curves: pd.DataFrame | None = None) -> None:
        results = long_table(results)
        self.levels = competence_levels(results)
        told = results.checkpoints()
        ends = told[told["checkpoint"] == "end"].set_index("trial")["timesteps"].astype(float)
        finished = trials(results).set_index("trial")
        lacking = pd.Series(nan, finished.index)
        known = {name: finished.get(name, lacking) for name in ("competence", *SPENT)}
        self._last = pd.DataFrame({"end": ends, **known})
        self._told = told[told["checkpoint"] != "end"]
        self._points = _evaluations(curves, self._last)
        self._known: dict[float, pd.DataFrame] = {}

    def budgets(self, seeds: Iterable[str], level: float, clock: str = STEPS) -> Budgets:
        """Budgets of some trials, by their keys, to a level of competence.

        Args:
            seeds: The trials.
            level: The level, in (0, 1].
            clock: What is counted, of `CLOCKS`; nan where results do not tell when they got there.
        """
        last = self._last.reindex(list(seeds))
        if level not in self._known:
            self._known[level] = self._crossed(level)
        known = self._known[level].reindex(last.index)
        reached = known["steps"].notna().to_numpy()
        if clock == STEPS:
            steps, before = known["steps"].fillna(last["end"]), known["before"]
        else:
            spent = _spent(clock)
            steps, before = known[spent].where(reached, last[spent]), known[f"{spent}_before"]
        return Budgets(steps.to_numpy(np.float64), reached, before.to_numpy(np.float64))

    def idle(self, seeds: Iterable[str], clock: str) -> int:
        """Number of trials, by their keys, that spent nothing of a clock in all their training."""
        if clock == STEPS:
            return 0
        return int(self._last[_spent(clock)].reindex(list(seeds)).eq(0).sum())

    def budget(self, seeds: Iterable[str]) -> float:
        """Least number of steps that some trials were trained for; nan of none."""
        return float(self._last["end"].reindex(list(seeds)).min())

    def _crossed(self, level: float) -> pd.DataFrame:
        """By trial, ``steps`` at the crossing and ``before`` it; without those that have none.

        Of every other clock ``spent_CLOCK`` and ``spent_CLOCK_before``.
        """
        points = self._points
        there = points["competence"] >= level
        course = points.groupby("trial", sort=False)
        stays = there.groupby(points["trial"], sort=False).shift(-1, fill_value=True)
        earlier = course[["timesteps", *SPENT]].shift(1)
        # Before the first of its evaluations a trial had spent nothing.
        earlier = earlier.mask(course.cumcount() == 0, 0.0)
        clocks = {"steps": "before", **{name: f"{name}_before" for name in SPENT}}
        earlier = earlier.rename(columns={"timesteps": "steps"}).rename(columns=clocks)
        found = points.join(earlier)[there & stays].drop_duplicates("trial").set_index("trial")
        found = found.rename(columns={"timesteps": "steps"})[[*clocks, *clocks.values()]]
        bare = self._last[~self._last.index.isin(points["trial"])]
        own = self._told[self._told["checkpoint"] == f"{CROSSING}{level:g}"].set_index("trial")
        # The last and largest evaluation may show what the smaller ones while training did not.
        late = bare["end"].where(bare["competence"] >= level)
        when = own["timesteps"].astype(float).reindex(bare.index).fillna(late).dropna()
        alone = pd.DataFrame({"steps": when, **dict.fromkeys(found.columns[1:], nan)})
        parts = [part for part in (found, alone) if len(part)]
        return pd.concat(parts) if parts else alone


def _evaluations(curves: pd.DataFrame | None, last: pd.DataFrame) -> pd.DataFrame:
    """Every evaluation of the trials with a curve: ``trial``, ``timesteps``, ``competence``.

    And what was spent until then by every other clock, nan where the curves lack it.
    """
    names = ["trial", "timesteps", "competence"]
    if curves is None or not set(names) <= set(curves.columns):
        return pd.DataFrame({name: [] for name in (*names, *SPENT)}, dtype=float)
    names += SPENT
    lacking = pd.Series(nan, curves.index)
    exact = curves.get(f"{EXACT}competence", lacking)
    spent = {name: curves.get(name, lacking) for name in SPENT}
    known = curves[["trial", "timesteps"]].assign(
        competence=exact.fillna(curves["competence"]), **spent
    )
    known = known[known["trial"].isin(last.index)].dropna(subset="competence")
    own = last[last.index.isin(known["trial"])].rename(columns={"end": "timesteps"})
    own = own.rename_axis("trial").reset_index()[names].dropna(subset="competence")
    # Its own, larger evaluation shows the end.
    every = pd.concat([known, own]).astype({"timesteps": float})
    every = every.drop_duplicates(["trial", "timesteps"], keep="last")
    return every.sort_values(["trial", "timesteps"]).reset_index(drop=True)


def arms_ratio(
    arms: Arms,
    pair: Pair,
    direction: str,
    gate: float,
    crossings: Crossings,
    rng: np.random.Generator,
    clock: str = STEPS,
) -> RatioClaim:
    """The claim about the ratio of two arms' budgets to the competence that gates.

    Every trial counts: one that never got there with all that it spent.

    Args:
        arms: All trials.
        pair: Both arms, and the ratio that theirs is held against.
        direction: ``larger``, ``smaller`` or ``none``.
        gate: The competence; where it is not known the highest that the study watched for.
        crossings: When each trial reached it.
        rng: Source of chance.
        clock: What budgets are counted in, of `CLOCKS`.
    """
    if not isfinite(gate):
        gate = crossings.levels[-1] if crossings.levels else USUAL_GATE
    seeds = [arms.keys_of(cell) for cell in pair.cells]
    first, second = (crossings.budgets(own, gate, clock) for own in seeds)
    failed = int(arms.failures[pair.cells[0]]), int(arms.failures[pair.cells[1]])
    steps = np.concatenate([crossings.budgets(own, gate).steps for own in seeds])
    idle = sum(crossings.idle(own, clock) for own in seeds)
    counted = Clock()
    if clock != STEPS:
        counted = Clock(CLOCKS[clock], _spent(clock), idle, float(steps.max(initial=0.0)))
    return ratio_claim(direction, pair.null_value, gate, first, second, failed, rng, counted)
