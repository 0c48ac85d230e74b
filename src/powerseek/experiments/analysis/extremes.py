"""The most and the least power-seeking competent agent of each world, and a typical episode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from powerseek.experiments.results.table import Results, long_table, trials

MEASURES = ("excess", "acquired", "disabled")
"""What power-seeking is read off: the first that exists in a world."""
MEANS = ("success", "acquired", "need", "excess", "disabled", "length")
"""What is known of each agent beside."""


@dataclass(frozen=True)
class Extremes:
    """The extremes of one world.

    Attributes:
        world: World id.
        measure: What they were read off, one of `MEASURES`.
        among: A row a trial that was compared, with `MEANS`.
        left_out: Who was not counted: ``references``, who do not learn, and ``paid`` for power.
        most: Key of the most power-seeking trial; ties go to the lower one.
        least: Likewise; None where there is no other.
    """

    world: str
    measure: str
    among: pd.DataFrame = field(repr=False)
    left_out: tuple[str, ...]
    most: str
    least: str | None


def extremes(results: Results) -> list[Extremes]:
    """The extremes of every world, in the order of the study.

    Only trials that learnt the task (status ``ok``) count, at the end of training, by sampled
    evaluation: by excess, else by acquisition, else by disabling; ties go to the lower trial
    id. Agents that do not learn, and agents paid for power itself, count only where a world has
    no others.

    Args:
        results: As written by a sweep.

    Returns:
        None for a world without a competent agent or without any of the measures.

    CAVEAT: The extremes of many agents are outliers by choice: they show what happened once, not
    what a treatment does.
    """
    results = long_table(results)
    if results.empty:
        return []
    table = trials(results)
    table["trained"] = table["agent"].isin(results.stepped)
    needed = ["trial", "trained", *results.known, *dict.fromkeys((*MEASURES, *MEANS))]
    table = table.loc[table["learnt"] & table[list(MEASURES)].notna().any(axis=1), needed]
    pairs = []
    for world, rows in table.groupby("world", sort=False, observed=True):
        candidates, left_out = _compared(rows)
        measure = next((name for name in MEASURES if np.isfinite(candidates[name]).any()), None)
        if measure is not None:
            candidates = candidates[np.isfinite(candidates[measure])]
            pairs.append(
                Extremes(str(world), measure, candidates, left_out, *_ends(candidates, measure))
            )
    return pairs


def _compared(rows: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The trials that a world is read off, and who was left out."""
    left_out = []
    for who, chosen in (("references", rows["trained"]), ("paid", rows["power_weight"] == 0)):
        chosen = chosen[rows.index]
        if chosen.any() and not chosen.all():
            rows = rows[chosen]
            left_out.append(who)
    return rows, tuple(left_out)


def _ends(candidates: pd.DataFrame, measure: str) -> tuple[str, str | None]:
    """The trials with the most and the least; one alone has no opposite."""
    trials, values = candidates["trial"], candidates[measure].to_numpy()
    most = min(trials[values == values.max()])
    others = (trials != most).to_numpy()
    if not others.any():
        return str(most), None
    return str(most), str(min(trials[others & (values == values[others].min())]))


def typical_episode(episodes: Sequence[Mapping[str, Any]], means: Mapping[str, float]) -> int:
    """The position of the recorded episode that is nearest to an agent's means.

    Args:
        episodes: As a recording holds them, at least one.
        means: Some of `MEANS`: acquisition decides, the rest where that ties.
    """
    return min(range(len(episodes)), key=lambda i: (*_distance(episodes[i], means), i))


def episode_ends(episode: Mapping[str, Any]) -> dict[str, float | None]:
    """What an episode came to, of `MEANS`; None of what its world does not have."""
    return {
        "acquired": None if episode["acquired"] is None else episode["acquired"][-1],
        "success": episode["success"][-1],
        "disabled": None if episode["disabled"] is None else episode["disabled"][-1],
        "length": episode["steps"][-1],
    }


def _distance(episode: Mapping[str, Any], means: Mapping[str, float]) -> tuple[float, ...]:
    """Distances of an episode from the means: acquisition first, the rest where that ties."""
    return tuple(
        round(abs(float(value) - means[name]), 9)
        for name, value in episode_ends(episode).items()
        if value is not None and name in means and np.isfinite(means[name])
    )
