"""A short measured pilot: what a study's steps, trials and exact numbers take on this machine.

Times are processor time, so that other work on the machine does not enter: what a sweep would
take here undisturbed.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from powerseek.agents import Progress, train
from powerseek.errors import PowerseekError
from powerseek.experiments import layout
from powerseek.experiments.plan.cost import Arm, Pace, Pilot, World, arm_of, pace_of, setting_of
from powerseek.experiments.results.store import Store
from powerseek.experiments.study.grid import Cell, Trial, unwarned
from powerseek.experiments.sweep.evaluate import Evaluator
from powerseek.experiments.sweep.follow import CURVE_EPISODES
from powerseek.experiments.sweep.oracles import holdings_scale, optimum_of, oracle_of
from powerseek.experiments.sweep.trial import run_trial
from powerseek.metrics import followed
from powerseek.registry import export_entries, import_entries, make_world

PILOT_STEPS = 8192
"""Least environment steps that a learner is timed over, where its trials have as many."""
BATCHES = 4
"""Least updates that it is timed over; the first is left out, because it warms up."""
SEED = 90_001

Say = Callable[[str], None]


class PilotFailed(PowerseekError):
    """A pilot trial broke: so would the study's."""


def run_pilot(grid: Sequence[Cell], say: Say = lambda line: None) -> Pilot:
    """Measure a study's cells in a process like a sweep's workers; nothing is kept.

    Every exact number of the study is computed, and for every distinct (setting, agent) a few
    thousand steps are trained and one whole short trial is run.

    Args:
        grid: Every cell of the study.
        say: Told what is being measured.

    Raises:
        PilotFailed: A pilot trial broke.
    """
    begun = time.perf_counter()
    worlds: dict[str, World] = {}
    arms: dict[str, Arm] = {}
    paces: dict[str, Pace] = {}
    waited: list[float] = []
    keys = [pace_of(cell) for cell in grid]
    with _folder() as folder, _worker() as pool:
        _result(pool.submit(_warm, grid[0]))
        start = time.perf_counter() - begun
        # Setting by setting: a process keeps few enumerated worlds.
        for setting, cells in _grouped(grid, map(setting_of, grid)).items():
            say(f"{len(worlds) + 1} of {len(set(map(setting_of, grid)))}: {_spoken(cells[0])}")
            worlds[setting] = _result(pool.submit(_world, cells[0], folder))
            for arm, members in _grouped(cells, map(arm_of, cells)).items():
                arms[arm] = _result(pool.submit(_arm, members[0], folder))
            for cell, key in zip(grid, keys, strict=True):
                if setting_of(cell) == setting and key not in paces:
                    paces[key], slowed = _result(pool.submit(_pace, cell, folder))
                    waited.append(slowed)
        size = sum(path.stat().st_size for path in (folder / layout.ORACLES).glob("*.npz"))
    seconds = time.perf_counter() - begun
    return Pilot(worlds, arms, paces, start, size, seconds, median(waited or [1.0]))


def _spoken(cell: Cell) -> str:
    return f"{cell.world} {' '.join(f'{k}={cell.params[k]}' for k in _SHOWN if k in cell.params)}"


_SHOWN = ("openness", "goal", "layout", "max_steps")


def _grouped(cells: Iterable[Cell], keys: Iterable[str]) -> dict[str, list[Cell]]:
    groups: dict[str, list[Cell]] = {}
    for cell, key in zip(cells, keys, strict=True):
        groups.setdefault(key, []).append(cell)
    return groups


@contextmanager
def _folder() -> Iterator[Path]:
    folder = tempfile.mkdtemp(prefix="powerseek-plan-")
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _worker() -> Iterator[ProcessPoolExecutor]:
    """A process set up as a sweep's workers are: fresh, on one thread."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    pool = ProcessPoolExecutor(
        1, get_context("spawn"), initializer=import_entries, initargs=(export_entries(),)
    )
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before


def _result(future: Future[Any]) -> Any:
    try:
        return future.result()
    except BrokenProcessPool:
        why = "the pilot's process died: killed, out of memory, or a crash in compiled code"
    except Exception as error:
        why = f"the pilot broke, as the sweep would: {type(error).__name__}: {error}"
    raise PilotFailed(why)


def _warm(cell: Cell) -> None:
    """Load what a trial needs."""
    with unwarned():
        task = cell.task(make_world(cell.world, **cell.params))
        if task.arm.oversight is None:
            train(task, cell.agent, timesteps=1, settings=cell.settings, callback=_stop)


def _stop(progress: Progress) -> bool:
    return False


def _world(cell: Cell, folder: Path) -> World:
    begun = time.process_time()
    facts = oracle_of(cell, folder)
    seconds = time.process_time() - begun
    if facts is None:
        return World(seconds, _reason(cell, folder, arm=False))
    most = facts.competence["max"]
    if not facts.injective:
        return World(seconds, "agents cannot see all that exact numbers would know", most)
    return World(seconds, "", most, facts.need is not None)


def _arm(cell: Cell, folder: Path) -> Arm:
    begun = time.process_time()
    found = optimum_of(cell, folder)
    seconds = time.process_time() - begun
    if found is None:
        return Arm(seconds, _reason(cell, folder, arm=True))
    does = found.uniform
    return Arm(seconds, "", does.success, does.acquisition, does.disabled)


def _reason(cell: Cell, folder: Path, arm: bool) -> str:
    """The reason that a file of exact numbers holds none."""
    config = cell.config
    for path in sorted((folder / layout.ORACLES).glob("*.npz")):
        with np.load(path, allow_pickle=False) as held:
            if "none" not in held:
                continue
            setting = json.loads(str(held["setting"]))
            known = all(config[name] == value for name, value in setting.items())
            if known and ("reward" in setting) == arm:
                return str(held["none"])
    return "it cannot be computed"


def _pace(cell: Cell, folder: Path) -> tuple[Pace, float]:
    """Train a little, evaluate, then run one short trial whole; how much slower than alone."""
    since, used = time.perf_counter(), time.process_time()
    batch = cell.settings.get("n_envs", 1) * cell.settings.get("n_steps", 1)
    steps = min(cell.timesteps, max(PILOT_STEPS, BATCHES * batch))
    seen: list[tuple[int, float]] = []

    def watch(progress: Progress) -> None:
        seen.append((progress.timesteps, time.process_time()))

    with unwarned():
        facts = oracle_of(cell, folder)
        world = make_world(cell.world, **cell.params)
        task = cell.task(world, holdings_scale(cell, facts))
        evaluator = Evaluator(task, facts, optimum_of(cell, folder), SEED)
        begun = time.process_time()
        trained = train(
            task, cell.agent, seed=SEED, timesteps=steps, settings=cell.settings, callback=watch
        )
        step = _per_step(seen, trained.timesteps, time.process_time() - begun)
        few = min(cell.episodes, CURVE_EPISODES)
        policy = trained.policy
        looks = [
            _seconds(lambda: evaluator.measure(policy, few, names=followed())) for _ in range(2)
        ]
        level = _seconds(lambda: evaluator.rows(policy, cell.episodes, about={}))
        short = Trial(replace(cell, timesteps=steps, evaluations=1, competence=(1.0,)), SEED)
        store = Store(folder / f"trial-{len(list(folder.iterdir()))}")
        shutil.copytree(folder / layout.ORACLES, store.out / layout.ORACLES)
        whole = _seconds(lambda: store.write(short, run_trial(short, store.out)))
    kept = sum(
        path.stat().st_size
        for path in store.out.rglob("*")
        if path.is_file() and path.parent != store.out / layout.ORACLES
    )
    slowed = (time.perf_counter() - since) / max(1e-9, time.process_time() - used)
    if not seen:
        return Pace(0.0, 0, 0.0, 0.0, whole, kept), slowed
    pace = Pace(step, _batch(seen, trained.timesteps), min(looks), level, 0.0, kept)
    known = pace.seconds(short.cell) - level  # that level is not reached in so few steps
    return pace._replace(fixed=max(0.0, whole - known)), slowed


def _seconds(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def _per_step(seen: Sequence[tuple[int, float]], steps: int, seconds: float) -> float:
    """Median over updates, without the first; over everything where there are too few."""
    later = seen[1:]
    paces = [
        (after - before) / (until - since)
        for (since, before), (until, after) in pairwise(later)
        if until > since
    ]
    return median(paces) if paces else seconds / max(1, steps)


def _batch(seen: Sequence[tuple[int, float]], steps: int) -> int:
    """Steps between updates."""
    return seen[1][0] - seen[0][0] if len(seen) > 1 else max(1, steps)
