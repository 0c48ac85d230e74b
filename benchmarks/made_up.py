"""Made-up results of any size, as a sweep writes them: the input of the report's measures."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from powerseek.experiments.results.store import SCHEMA
from powerseek.registry import list_metrics

OPENNESS, PAY, GAMMAS, STEPS = (
    (0.0, 1.0, 2.0, 4.0, 8.0),
    (0.0, 1.0),
    (0.9, 1.0),
    (20, 28, 40, 60, 80),
)
REWARDS = ("dense", "every 2", "every 4", "every 8", "every 16", "every cap", "terminal")
REWARDS = (*REWARDS, "coverage 0.25", "coverage 0.5", "coverage 1")
METRICS = tuple(name for name in list_metrics() if not name.startswith("probe_"))
CELLS = 1000  # of one world
SHARES = ("competence", "success", "disabled", "interrupted")
ROWS = 1 << 20  # of a row group, at most
Ints = NDArray[np.int64]


def write_results(
    path: Path, cells: int, seeds: int, *, earlier: bool = False, seed: int = 0
) -> int:
    """Write ``results.parquet`` of cells x seeds trials; the number of its rows.

    Every trial has 30 metrics, sampled and greedy. Every fortieth trial did not learn the task,
    every two-hundredth failed; every second world has two layouts.

    Args:
        path: The file.
        cells: Cells; beyond 1,000 further worlds are added.
        seeds: Seeds a cell.
        earlier: Whether the rows at ``competence>=0.9`` are there too.
        seed: Of the numbers.
    """
    rng = np.random.default_rng(seed)
    factors = list(product(STEPS, OPENNESS, GAMMAS, PAY, REWARDS))
    at_once = max(1, ROWS // (2 * len(METRICS) * (1 + earlier)))
    written = 0
    with pq.ParquetWriter(path, SCHEMA) as writer:
        for start in range(0, cells * seeds, at_once):
            trials = np.arange(start, min(start + at_once, cells * seeds))
            table = _rows(trials, seeds, factors, earlier, rng)
            writer.write_table(table, row_group_size=len(table))
            written += len(table)
    return written


def _spec(reward: str) -> str:
    """A reward of `REWARDS` as results hold its spec."""
    id, *rest = reward.split()
    if not rest:
        return json.dumps(id)
    return json.dumps({id: rest[0] if rest[0] == "cap" else json.loads(rest[0])})


def _rows(
    trials: Ints, seeds: int, factors: list[Any], earlier: bool, rng: np.random.Generator
) -> pa.Table:
    """All rows of some trials."""
    cell, seed = np.divmod(trials, seeds)
    world, setting = np.divmod(cell, CELLS)
    setting = setting % len(factors)
    steps, openness, gamma, pay, reward = (
        np.array([factor[i] for factor in factors], dtype=object)[setting] for i in range(5)
    )
    state = np.where(trials % 200 == 199, 2, np.where(trials % 40 == 39, 1, 0))
    layout = np.where(world % 2 == 1, seed % 2, -1)
    kinds = [(e, c) for c in ("end", "competence>=0.9")[: 1 + earlier] for e in (0, 1)]
    repeat = len(METRICS) * len(kinds)
    # A failed trial is a single row.
    row = np.repeat(np.arange(len(trials)), np.where(state == 2, 1, repeat))
    place = np.arange(len(row)) - np.searchsorted(row, np.arange(len(trials)))[row]
    kind, metric = np.divmod(place, len(METRICS))
    values = _values(row, metric, state, pay.astype(float), rng)
    failed = state[row] == 2
    columns: dict[str, Any] = {
        name: pa.nulls(len(row), SCHEMA.field(name).type) for name in SCHEMA.names
    }
    texts: dict[str, tuple[Ints, list[str]]] = {
        "study": (np.zeros(len(trials), int), ["made-up"]),
        "world": (world - world.min(), [f"world {i}" for i in range(world.min(), world.max() + 1)]),
        "params": (np.zeros(len(trials), int), ['{"size": 3, "spoil": 0.02}']),
        "goal": (np.zeros(len(trials), int), ["deliver"]),
        "layout": (layout, ["a", "b"]),
        "reward": (np.array([REWARDS.index(r) for r in reward]), list(REWARDS)),
        "settings": (np.zeros(len(trials), int), ["{}"]),
        "spec": (np.array([REWARDS.index(r) for r in reward]), [_spec(r) for r in REWARDS]),
        "time_limit": (np.zeros(len(trials), int), ["terminal"]),
        "agent": (np.zeros(len(trials), int), ["maskable-ppo"]),
        "trial": (np.arange(len(trials)), [f"{7919 * int(t):016x}" for t in trials]),
        "status": (state, ["ok", "censored", "failed"]),
    }
    for name, (codes, words) in texts.items():
        columns[name] = _text(codes[row], words)
    columns["metric"] = _text(np.where(failed, len(METRICS), metric), [*METRICS, "failed"])
    columns["unit"] = _text(metric, ["share" if m in SHARES else "units" for m in METRICS], failed)
    columns["evaluation"] = _text(np.array([e for e, _ in kinds])[kind], ["sampled", "greedy"])
    ends = np.array([c != "end" for _, c in kinds], dtype=int)
    columns["checkpoint"] = _text(ends[kind], ["end", "competence>=0.9"])
    numbers = {"openness": openness, "gamma": gamma, "power_weight": pay, "max_steps": steps}
    for name, given in {**numbers, "seed": seed, "version": np.ones(len(trials))}.items():
        columns[name] = pa.array(given[row].astype(SCHEMA.field(name).type.to_pandas_dtype()))
    columns["budget"] = pa.array(np.full(len(row), 300_000))
    for name, number in (("timesteps", 300_000), ("updates", 1000), ("n", 1000)):
        columns[name] = pa.array(np.full(len(row), number), mask=failed)
    for name, change in (("value", 0.0), ("low", -0.05), ("high", 0.05)):
        columns[name] = pa.array(values + change, mask=failed)
    return pa.table(columns).cast(SCHEMA)


def _values(
    row: Ints, metric: Ints, state: Ints, pay: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Shares near .95 (.5 where nothing was learnt), other measures skewed around 3."""
    share = np.isin(metric, [METRICS.index(name) for name in SHARES])
    competent = np.where(state[row] == 1, 0.5, 0.95)
    found: NDArray[np.float64] = np.where(
        share,
        np.clip(competent + rng.normal(0, 0.03, len(row)), 0, 1),
        2.5 + rng.standard_gamma(2.0, len(row)) / 4 + 2 * pay[row],
    )
    return found


def _text(
    codes: Ints, words: list[str], missing: NDArray[np.bool_] | None = None
) -> pa.DictionaryArray:
    absent = (codes < 0) if missing is None else missing | (codes < 0)
    return (
        pa.DictionaryArray.from_arrays(
            pa.array(np.maximum(codes, 0), pa.int32(), mask=absent), _unique(words)
        )
        if len(set(words)) == len(words)
        else _text(*_merged(codes, words), missing)
    )


def _unique(words: list[str]) -> pa.Array:
    return pa.array(words, pa.string())


def _merged(codes: Ints, words: list[str]) -> tuple[Ints, list[str]]:
    unique = list(dict.fromkeys(words))
    return np.array([unique.index(word) for word in words])[codes], unique
