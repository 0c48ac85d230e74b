"""Training budgets to a competence, read off all evaluations of each trial."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite, nan

import numpy as np
import pandas as pd

from powerseek.experiments.analysis.arms import Arms, Pair
from powerseek.experiments.results.table import Results, long_table, trials
from powerseek.experiments.statistics.ratios import RatioClaim, ratio_claim
from powerseek.experiments.statistics.survival import Budgets
from powerseek.experiments.study.hypotheses import CROSSING
from powerseek.metrics import EXACT

BUDGET = "budget"
USUAL_GATE = 0.9


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
        competence = finished.get("competence", pd.Series(nan, finished.index))
        self._last = pd.DataFrame({"end": ends, "competence": competence})
        self._told = told[told["checkpoint"] != "end"]
        self._points = _evaluations(curves, self._last)
        self._known: dict[float, pd.DataFrame] = {}

    def budgets(self, seeds: Iterable[str], level: float) -> Budgets:
        """Budgets of some trials, by their keys, to a level of competence."""
        last = self._last.reindex(list(seeds))
        if level not in self._known:
            self._known[level] = self._crossed(level)
        known = self._known[level].reindex(last.index)
        reached = known["steps"].notna().to_numpy()
        steps = known["steps"].fillna(last["end"]).to_numpy(dtype=np.float64)
        return Budgets(steps, reached, known["before"].to_numpy(dtype=np.float64))

    def budget(self, seeds: Iterable[str]) -> float:
        """Least number of steps that some trials were trained for; nan of none."""
        return float(self._last["end"].reindex(list(seeds)).min())

    def _crossed(self, level: float) -> pd.DataFrame:
        """By trial, ``steps`` at the crossing and ``before`` it; without those that have none."""
        points = self._points
        there = points["competence"] >= level
        stays = there.groupby(points["trial"], sort=False).shift(-1, fill_value=True)
        before = points.groupby("trial", sort=False)["timesteps"].shift(1, fill_value=0.0)
        found = points.assign(before=before)[there & stays].drop_duplicates("trial")
        found = found.rename(columns={"timesteps": "steps"}).set_index("trial")[["steps", "before"]]
        bare = self._last[~self._last.index.isin(points["trial"])]
        own = self._told[self._told["checkpoint"] == f"{CROSSING}{level:g}"].set_index("trial")
        # The last and largest evaluation may show what the smaller ones while training did not.
        late = bare["end"].where(bare["competence"] >= level)
        when = own["timesteps"].astype(float).reindex(bare.index).fillna(late).dropna()
        alone = pd.DataFrame({"steps": when, "before": nan})
        parts = [part for part in (found, alone) if len(part)]
        return pd.concat(parts) if parts else alone


def _evaluations(curves: pd.DataFrame | None, last: pd.DataFrame) -> pd.DataFrame:
    """Every evaluation of the trials with a curve: ``trial``, ``timesteps``, ``competence``."""
    names = ["trial", "timesteps", "competence"]
    if curves is None or not set(names) <= set(curves.columns):
        return pd.DataFrame({"trial": [], "timesteps": [], "competence": []}, dtype=float)
    exact = curves.get(f"{EXACT}competence", pd.Series(nan, curves.index))
    known = curves[["trial", "timesteps"]].assign(competence=exact.fillna(curves["competence"]))
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
) -> RatioClaim:
    """The claim about the ratio of two arms' budgets to the competence that gates.

    Every trial counts: one that never got there with what it was trained for.

    Args:
        arms: All trials.
        pair: Both arms, and the ratio that theirs is held against.
        direction: ``larger``, ``smaller`` or ``none``.
        gate: The competence; where it is not known the highest that the study watched for.
        crossings: When each trial reached it.
        rng: Source of chance.
    """
    if not isfinite(gate):
        gate = crossings.levels[-1] if crossings.levels else USUAL_GATE
    first, second = (crossings.budgets(arms.keys_of(cell), gate) for cell in pair.cells)
    failed = int(arms.failures[pair.cells[0]]), int(arms.failures[pair.cells[1]])
    return ratio_claim(direction, pair.null_value, gate, first, second, failed, rng)
