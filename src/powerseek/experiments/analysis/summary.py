"""The results as one row a cell.

Each cell's power measures rest on the seeds that learnt the task (status ``ok``); where none did,
on all finished seeds, and the row is marked as not confirmatory. ``competence`` always rests on
all finished seeds. Failed trials are counted, never scored.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from powerseek.experiments.results.table import (
    STRATUM,
    Results,
    distinct_codes,
    long_table,
    measures_of,
    results_factors,
    row_codes,
    trials,
)
from powerseek.experiments.statistics.bootstrap import FREE, bootstrap_groups
from powerseek.experiments.statistics.verdicts import LEAST_REACH
from powerseek.metrics import Metric, known_metric


def summarise(results: Results, rng: np.random.Generator | None = None) -> pd.DataFrame:
    """One row a cell: means over seeds with 95 % intervals, from sampled evaluation at the end.

    Args:
        results: As written by a sweep.
        rng: Source of chance for the bootstrap; by default always the same one, so that a page
            made twice is the same page.

    Returns:
        The cell's factors; for each measure its mean, ``_low`` and ``_high`` (widened bootstrap
        over seeds, see `resampling_groups`, fractions cut to [0, 1]; range over optimal policies
        for the exact ones); ``seeds`` finished, ``scored`` (seeds behind the power measures),
        ``censored``, ``failed``, ``reach`` (fraction of finished seeds
        that learnt the task), ``confirmatory`` (reach >= .9) and ``oracle`` (whether exact numbers
        exist). nan, never 0, where a number does not exist: an interval of seeds that are all
        alike, too. ``layouts`` counts those of its trials: its means are over them, and its
        intervals over the seeds on these very layouts.
    """
    rng = np.random.default_rng(0) if rng is None else rng
    results = long_table(results)
    keys = results_factors(results)
    every, finished = results.every, trials(results)
    if every.empty:
        return pd.DataFrame(columns=[*keys, *measures_of(results)])
    cell = row_codes(every, keys)
    count = int(cell.max()) + 1
    first = np.full(count, -1)
    first[cell[::-1]] = np.arange(len(cell))[::-1]
    table = every[keys].iloc[first].reset_index(drop=True)
    place = pd.Index(every["trial"]).get_indexer(finished["trial"])
    group = cell[place]
    failed = np.bincount(cell[results.failed], minlength=count)
    measures = [known_metric(name) for name in measures_of(results)]
    columns = {
        **_measures(measures, finished, group, count, rng),
        **_counts(finished, group, count),
        "layouts": distinct_codes(cell, row_codes(every, [STRATUM]), count),
    }
    return pd.concat([table, pd.DataFrame({**columns, "failed": failed})], axis=1)


def _counts(seeds: pd.DataFrame, group: np.ndarray, count: int) -> dict[str, np.ndarray]:
    finished = np.bincount(group, minlength=count)
    learnt = np.bincount(group[seeds["learnt"].to_numpy()], minlength=count)
    with np.errstate(invalid="ignore"):
        reach = learnt / finished
    oracle = np.bincount(group[seeds["need"].notna().to_numpy()], minlength=count) > 0
    return {
        "seeds": finished,
        "scored": np.where(learnt > 0, learnt, finished),
        "censored": finished - learnt,
        "reach": reach,
        "confirmatory": reach >= LEAST_REACH - 1e-9,
        "oracle": oracle,
    }


def _measures(
    measures: Sequence[Metric],
    seeds: pd.DataFrame,
    group: np.ndarray,
    count: int,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    learnt = seeds["learnt"].to_numpy()
    scored = learnt | (np.bincount(group[learnt], minlength=count) == 0)[group]
    strata = pd.factorize(seeds[STRATUM], use_na_sentinel=False)[0]
    drawn = [metric.id for metric in measures if not metric.exact]
    bounds = [(0.0, 1.0) if m.share else FREE for m in measures if not m.exact]
    values = seeds[drawn].to_numpy().copy()
    values[np.ix_(~scored, [i for i, name in enumerate(drawn) if name != "competence"])] = np.nan
    estimates = bootstrap_groups(values, group, count, rng, strata=strata, bounds=bounds)
    columns: dict[str, np.ndarray] = {}
    for name in (metric.id for metric in measures):
        if name not in drawn:
            ends = [_means(seeds[f"{name}{end}"], scored, group, count) for end in ENDS]
        else:
            ends = [part[:, drawn.index(name)] for part in estimates[:3]]
        columns |= {f"{name}{end}": part for end, part in zip(ENDS, ends, strict=True)}
    return columns


ENDS = ("", "_low", "_high")


def _means(
    values: pd.Series[float], scored: np.ndarray, group: np.ndarray, count: int
) -> np.ndarray:
    """Mean of each group over its scored seeds that have a value; nan where none has."""
    numbers = values.to_numpy()
    kept = scored & np.isfinite(numbers)
    group, numbers = group[kept], numbers[kept]
    with np.errstate(invalid="ignore"):
        return np.bincount(group, numbers, count) / np.bincount(group, minlength=count)
