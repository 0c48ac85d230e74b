"""What a sweep costs beside its trials, as their number grows: trials that do next to nothing."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

SIZES = (100, 1_000, 10_000)


def given(trials: int) -> dict[str, Any]:
    """A study of so many trials (even); an agent by script, one step of training, one episode."""
    return {
        "name": "trivial",
        "worlds": [{"id": "off-switch", "max_steps": 12}],
        "rewards": ["dense", {"every": "cap"}],
        "agents": ["minimalist"],
        "seeds": trials // 2,
        "timesteps": 1,
        "episodes": 1,
        "evaluations": 1,
    }


def overhead(trials: int) -> dict[str, float]:
    """Milliseconds a trial, beyond the trials' own work.

    Returns:
        ``run``: wall time in which a worker did not work, Ray's start included; ``trial``: a
        trial's own work; ``check``, ``merge``, ``beside``, ``load``: opening a directory to
        resume, merging all trials, the tables beside them, reading the merged table.
    """
    from rich.console import Console

    from powerseek.experiments.results.side_tables import write_tables
    from powerseek.experiments.results.store import Store
    from powerseek.experiments.study.checked import trials as trials_of
    from powerseek.experiments.study.schema import make_study
    from powerseek.experiments.sweep.progress import Display, Tally
    from powerseek.experiments.sweep.trial import run_trial
    from powerseek.experiments.sweep.tune import sweep

    workers = min(2, os.cpu_count() or 1)
    study = make_study(given(trials))
    grid = trials_of(study)
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "out")
        run_trial(grid[0], store.out.with_name("warm"))  # compiled and loaded once
        store.open(study, grid, resume=False)
        tally = Tally(len(grid), 0, len(grid))
        begun = time.perf_counter()
        with Display(tally, Console(quiet=True)) as display:
            sweep([[trial] for trial in grid], store, display, workers)
        wall = time.perf_counter() - begun
        steps: dict[str, Callable[[], object]] = {
            "check": lambda: store.open(study, grid, resume=True),
            "merge": lambda: store.merge(grid),
            "beside": lambda: write_tables(store, grid),
            "load": lambda: (store.stale(grid), store.load()),
        }
        spent = {name: _seconds(step) for name, step in steps.items()}
    spent |= {"run": wall - tally.busy / workers, "trial": tally.busy}
    each = {name: 1e3 * seconds / len(grid) for name, seconds in spent.items()}
    return {**each, "trials": len(grid), "wall": wall}


def _seconds(step: Callable[[], object]) -> float:
    begun = time.perf_counter()
    step()
    return time.perf_counter() - begun


ALL: dict[str, Callable[[], dict[str, float]]] = {
    f"sweep-{trials}": partial(overhead, trials) for trials in SIZES
}
