"""Two learners in the same settings: groups of seeds, margins, tests of equivalence.

Margins, tests and verdicts are those of docs/studies/equivalence.yaml.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import inf, isfinite, isnan, log, nan
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from powerseek.errors import InvalidInput
from powerseek.experiments.analysis.budgets import Crossings
from powerseek.experiments.results.table import learning_trials, results_factors, trials
from powerseek.experiments.statistics.bootstrap import Estimate
from powerseek.experiments.statistics.families import adjust_p_values
from powerseek.experiments.statistics.power_analysis import seeds_exact, statistical_power
from powerseek.experiments.statistics.tests import p_difference, p_equivalence
from powerseek.experiments.statistics.verdicts import LEAST_REACH
from powerseek.types import Floats

LIBRARY, COHORT = "maskable-ppo", "cohort-ppo"
LEVEL, COMPETENT = 0.05, 0.9
EQUIVALENT, DIFFERS, OPEN, ALIKE = "equivalent", "differs", "cannot tell", "all alike"
LAMBDA = "gae_lambda"
"""The factor whose change is the positive control."""


@dataclass(frozen=True)
class Measure:
    """What is compared.

    Attributes:
        name: Column of the trials; ``steps`` is the time to competence.
        title: In words.
        margin: Smallest difference of interest; of logarithms where `ratio`.
        wider: (world, openness) -> the margin there.
        gated: Over seeds that learnt the task.
        ratio: Compared as a ratio, by logarithms.
    """

    name: str
    title: str
    margin: float
    wider: dict[tuple[str, float], float] = field(default_factory=dict)
    gated: bool = False
    ratio: bool = False

    def margin_in(self, told: dict[str, Any]) -> float:
        """The margin in one setting."""
        return self.wider.get((told["world"], told["openness"]), self.margin)


MEASURES = (
    Measure("competence", "competence at the end", 0.02),
    Measure("success", "success at the end, hazard as met", 0.02),
    Measure("excess", "excess: units acquired beyond need", 0.5, {("homestead", 2.0): 1.2}, True),
    Measure("disabled", "off-switch disabled, share of episodes", 0.2, gated=True),
    Measure("steps", "environment steps to competence .9", log(1.1), ratio=True),
)


@dataclass(frozen=True)
class Comparison:
    """One measure of both learners in one setting, and what the two groups of seeds allow.

    Attributes:
        setting: In words.
        control: Whether the cohort's learner was changed on purpose.
        measure: What is compared.
        margin: Smallest difference of interest.
        values: [n] of the cohort's seeds and [m] of the library's; logarithms of a ratio.
        effect: Cohort - library with its 90 % interval (Welch); nan without spread.
        p_equivalence: Larger p of the two one-sided tests.
        p_difference: Of the two-sided test; `p_adjusted` by Holm among all comparisons.
        p_adjusted: See there; nan of a control, which is none of them.
        power: Of the tests of equivalence at the spread seen, if there is no difference.
        together: Correlation between the two learners' values at the same seed.
        reach: Share of seeds that learnt the task, likewise.
    """

    setting: str
    control: bool
    measure: Measure
    margin: float
    values: tuple[Floats, Floats]
    effect: Estimate
    p_equivalence: float
    p_difference: float
    power: float
    together: float
    reach: tuple[float, float]
    p_adjusted: float = nan

    @property
    def verdict(self) -> str:
        """``equivalent``, ``differs``, ``cannot tell`` or ``all alike``; see the study file."""
        if self.measure.gated and min(self.reach) < LEAST_REACH - 1e-9:
            return OPEN
        if isnan(self.p_equivalence):
            return ALIKE if self.effect.value == 0 else OPEN
        if self.p_equivalence < LEVEL:
            return EQUIVALENT
        p = self.p_difference if self.control else self.p_adjusted
        return DIFFERS if p < LEVEL else OPEN

    @property
    def spread(self) -> float:
        """Standard deviation between seeds, pooled."""
        return float(np.mean([np.var(own, ddof=1) for own in self.values]) ** 0.5)

    @property
    def wanted(self) -> float:
        """Seeds an agent for 80 % power at this margin and spread; inf without spread."""
        if not self.spread > 0:
            return inf
        return seeds_exact(self.margin / self.spread, "equivalence")


def middle(values: Any, statistic: Callable[[Any], Any], rng: np.random.Generator) -> Estimate:
    """A statistic of seeds with its 95 % bootstrap interval (BCa), nan where they are all alike."""
    seeds = np.asarray(values, dtype=np.float64)
    seeds = seeds[np.isfinite(seeds)]
    value = float(statistic(seeds))
    if len(seeds) < 2 or np.ptp(seeds) <= 1e-12 * np.abs(seeds).max():
        return Estimate(value, np.nan, np.nan, len(seeds))
    ends = stats.bootstrap((seeds,), statistic, method="BCa", rng=rng).confidence_interval
    return Estimate(value, float(ends.low), float(ends.high), len(seeds))


def compare(
    setting: str,
    measure: Measure,
    margin: float,
    cohort: pd.Series[float],
    library: pd.Series[float],
    reach: tuple[float, float] = (1.0, 1.0),
    control: bool = False,
) -> Comparison:
    """Two groups of seeds, as independent ones.

    Args:
        setting: In words.
        measure: What is compared.
        margin: > 0, in the values' unit.
        cohort: A value a seed, by seed; nan is left out.
        library: Likewise.
        reach: Share of either's seeds that learnt the task.
        control: Whether it is the positive control.
    """
    series = cohort.dropna(), library.dropna()
    x, y = (own.to_numpy(dtype=np.float64) for own in series)
    both = pd.concat(series, axis=1, join="inner").to_numpy(dtype=np.float64)
    varies = len(both) > 2 and bool((np.std(both, axis=0) > 0).all())
    effect = difference(x, y)
    power = nan
    if effect.high > effect.low:
        spread = float(np.mean([x.var(ddof=1), y.var(ddof=1)]) ** 0.5)
        power = statistical_power(margin / spread, effect.n, "equivalence", alpha=LEVEL)
    return Comparison(
        *(setting, control, measure, margin, (x, y)),
        effect,
        p_equivalence(x, y, margin, pooled=False),
        p_difference(x, y, paired=False, pooled=False),
        power,
        float(np.corrcoef(both.T)[0, 1]) if varies else nan,
        reach,
    )


def difference(x: Floats, y: Floats) -> Estimate:
    """mean(x) - mean(y) with its 90 % interval, that of the two one-sided tests (Welch 1947).

    Args:
        x: [n].
        y: [m].

    Returns:
        nan below two values in either; an interval of nan without spread.
    """
    count = min(len(x), len(y))
    if count < 2:
        return Estimate(nan, nan, nan, count)
    gap = float(x.mean() - y.mean())
    per_x, per_y = float(x.var(ddof=1)) / len(x), float(y.var(ddof=1)) / len(y)
    # Rounding gives equal values a spread of 1e-17.
    noise = 1e-12 * float(max(np.abs(x).max(), np.abs(y).max()))
    if max(np.ptp(x), np.ptp(y)) <= noise or per_x + per_y == 0:
        return Estimate(gap if abs(gap) > noise else 0.0, nan, nan, count)
    share = per_x / (per_x + per_y)
    freedom = 1 / (share**2 / (len(x) - 1) + (1 - share) ** 2 / (len(y) - 1))
    reach = float(stats.t.isf(LEVEL, freedom)) * (per_x + per_y) ** 0.5
    return Estimate(gap, gap - reach, gap + reach, count)


@dataclass(frozen=True)
class Setting:
    """Both learners in one setting.

    Attributes:
        label: In words.
        told: Its factors.
        control: Whether the cohort's learner was changed on purpose.
        cohort: Its trials, one row a seed, with ``steps`` and ``reached``.
        library: Likewise.
    """

    label: str
    told: dict[str, Any]
    control: bool
    cohort: pd.DataFrame
    library: pd.DataFrame

    @property
    def reach(self) -> tuple[float, float]:
        """Share of each one's seeds that learnt the task."""
        return float(self.cohort["learnt"].mean()), float(self.library["learnt"].mean())

    def compare(self, measure: Measure) -> Comparison | None:
        """One measure; None where the setting has none."""
        values = [_values(own, measure) for own in (self.cohort, self.library)]
        if any(own.notna().sum() < 2 for own in values):
            return None
        margin = measure.margin_in(self.told)
        return compare(self.label, measure, margin, *values, self.reach, self.control)


def _values(own: pd.DataFrame, measure: Measure) -> pd.Series[float]:
    kept = own[own["learnt"]] if measure.gated else own
    found = kept.set_index("seed")[measure.name].astype(float)
    return np.log(found) if measure.ratio else found


def settings(results: pd.DataFrame) -> tuple[list[Setting], int]:
    """The settings that both learners were trained in, and how many seeds these have.

    Only seeds of which every setting has a finished or failed trial count: a sweep cut short ends
    in the middle of a seed.

    Raises:
        InvalidInput: There is no such setting.
    """
    every, _ = learning_trials(results)
    about = every.every
    ended = about.groupby("seed")["trial"].nunique()
    whole = ended.index[ended == ended.max()]
    table = trials(every)
    table = table[table["seed"].isin(whole)].reset_index(drop=True)
    crossings = Crossings(results)
    table["steps"], table["reached"] = crossings.budgets(table["trial"], COMPETENT)[:2]
    keys = [key for key in results_factors(every) if key not in ("agent", LAMBDA)]
    for name in (*keys, LAMBDA):
        table[name] = table[name].astype(object).where(table[name].notna(), None)
    found = []
    for _, members in table.groupby(keys, dropna=False, sort=False):
        told = dict(members.iloc[0])
        plain = members[LAMBDA].isna()
        library = members[plain & (members["agent"] == LIBRARY)]
        for changed, cohort in members[members["agent"] == COHORT].groupby(LAMBDA, dropna=False):
            if len(library):
                control = not isnan(changed)  # type: ignore[arg-type]  # a number, by its column
                found.append(Setting(_label(told, changed), told, control, cohort, library))
    if not found:
        wanted = f"a study of {LIBRARY} and {COHORT} in the same settings"
        raise InvalidInput("DIR", sorted(set(about["agent"])), wanted)
    return sorted(found, key=lambda one: one.control), len(whole)


def _label(told: dict[str, Any], changed: Any) -> str:
    opened = "" if told["openness"] is None else f", openness {told['openness']:g}"
    control = "" if isnan(changed) else f"; lambda {changed:g}".replace("0.", ".")
    return f"{told['world']}{opened}, {told['reward']}{control}"


def compared(found: Sequence[Setting]) -> list[Comparison]:
    """All measures in all settings, adjusted for their number; the control stands apart."""
    every = [c for m in MEASURES for s in found if (c := s.compare(m)) is not None]
    tests = [c for c in every if not c.control]
    adjusted = iter(adjust_p_values([c.p_difference for c in tests], "holm"))
    return [c if c.control else replace(c, p_adjusted=float(next(adjusted))) for c in every]


def number(value: float, places: int = 3, *, signed: bool = False) -> str:
    """As the documentation writes it: ``.948``, ``+.003``; ``-`` where there is none."""
    if not isfinite(value):
        return "-"
    text = f"{round(value, places) + 0.0:{'+' if signed else ''}.{places}f}"
    return text.replace("0.", ".", 1) if text.lstrip("+-").startswith("0.") else text
