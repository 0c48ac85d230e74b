"""A short measured pilot: what a study's steps, trials and exact numbers take on this machine.

Times are processor time, so that other work on the machine does not enter: what a sweep would
take here undisturbed.
"""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import pairwise
from math import nan
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import Any, NamedTuple, Self, TypeVar

import cloudpickle

from powerseek.agents import Progress, train
from powerseek.errors import PowerseekError, contained
from powerseek.experiments import layout
from powerseek.experiments.plan.cost import (
    Optimum,
    Pace,
    Pilot,
    World,
    configuration_of,
    everywhere,
    pace_of,
    reward_of,
)
from powerseek.experiments.results.oracles import ARM, WORLD, exact_setting, read_exact
from powerseek.experiments.results.store import Store
from powerseek.experiments.study.grid import Cell, Trial, without_reward_warnings
from powerseek.experiments.sweep.evaluate import Evaluator
from powerseek.experiments.sweep.follow import CURVE_EPISODES
from powerseek.experiments.sweep.oracles import holdings_scale, optimum_of, oracle_of
from powerseek.experiments.sweep.trial import run_trial
from powerseek.metrics import exactly_followed, followed_metrics
from powerseek.registry import export_entries, import_entries, make_world

PILOT_SECONDS = 15.0
"""Time of a pilot; what it leaves unmeasured is taken from what is nearest."""
PILOT_STEPS = 8192
"""Environment steps that a learner is timed over at least, where its trials have as many."""
BATCHES = 4
"""Updates that it is timed over at least; the first is left out, because it warms up."""
SEED = 90_001

Say = Callable[[str], None]
T = TypeVar("T")


class PilotFailed(PowerseekError):
    """A pilot trial broke: so would the study's."""


class _OutOfTime(Exception):
    """The pilot's time is over."""


class _Task(NamedTuple):
    """One measurement: of what, as `Pilot` names it, by which key, and of which cell."""

    of: str
    key: str
    cell: Cell

    @property
    def name(self) -> tuple[str, str]:
        """What tells it from all others."""
        return self.of, self.key


def run_pilot(
    grid: Sequence[Cell], say: Say = lambda line: None, seconds: float = PILOT_SECONDS
) -> Pilot | None:
    """Measure a study's cells in a process like a sweep's workers; nothing is kept.

    Exact numbers are computed, and for every distinct (configuration of a world, agent) a few
    thousand steps are trained and one whole short trial is run: first of every world and agent,
    then of all others, until the time is over.

    Args:
        grid: Every cell of the study.
        say: Told what is being measured.
        seconds: Time for the measurements, once the process has started.

    Returns:
        What was measured, and as the nearest of it the rest; None where the time was too short
        for a single trial.

    Raises:
        PilotFailed: A pilot trial broke.
    """
    begun = time.monotonic()
    tasks = _tasks(grid)
    values: dict[tuple[str, str], Any] = {}
    places = list(dict.fromkeys(task.cell.place for task in tasks))
    with tempfile.TemporaryDirectory(prefix="powerseek-plan-") as name, _Worker() as worker:
        folder, told = Path(name), ""
        worker.ask(None, _warm, grid[0])
        start = time.monotonic() - begun
        with suppress(_OutOfTime):
            for task in tasks:
                if task.cell.place != told:
                    told = task.cell.place
                    say(f"{places.index(told) + 1} of {len(places)}: {told}")
                left = begun + start + seconds - time.monotonic()
                values[task.name] = worker.ask(left, _WORK[task.of], task.cell, folder)
        size = sum(path.stat().st_size for path in (folder / layout.ORACLES).glob("*.npz"))
    done = [task for task in tasks if task.name in values]
    if {task.of for task in done} != set(_WORK):
        return None
    exact = sum(task.of != "paces" for task in tasks) / sum(task.of != "paces" for task in done)
    return Pilot(
        **_filled(tasks, values),
        start=start,
        exact_bytes=int(size * exact),
        seconds=time.monotonic() - begun,
        slowed=median(value[1] for (of, _), value in values.items() if of == "paces"),
        measured=len(done) / len(tasks),
    )


def _tasks(grid: Sequence[Cell]) -> list[_Task]:
    """All measurements: first those of every world and agent, then one configuration at a time.

    A process keeps few enumerated worlds.
    """
    keys = {"worlds": configuration_of, "optima": reward_of, "paces": pace_of}
    kinds = list(keys)
    known: dict[tuple[str, str], _Task] = {}
    for of, key_of in keys.items():
        for cell in grid if of == "paces" else everywhere(grid):
            task = _Task(of, key_of(cell), cell)
            known.setdefault(task.name, task)
    configurations = dict.fromkeys(map(configuration_of, everywhere(grid)))
    place = {key: i for i, key in enumerate(configurations)}
    order = sorted(
        known.values(), key=lambda t: (place[configuration_of(t.cell)], kinds.index(t.of))
    )
    first: dict[tuple[str, ...], _Task] = {}
    for task in order:
        agent = task.cell.agent if task.of == "paces" else ""
        first.setdefault((task.of, task.cell.world, agent), task)
    ahead = {task.name for task in first.values()}
    return sorted(order, key=lambda task: task.name not in ahead)


def _filled(tasks: Sequence[_Task], values: Mapping[tuple[str, str], Any]) -> dict[str, Any]:
    """Measurements by kind and key; what was not measured is as the nearest that was."""
    done = [task for task in tasks if task.name in values]
    found: dict[str, dict[str, Any]] = {of: {} for of in _WORK}
    for task in tasks:
        known = task.name in values
        value = values[task.name if known else _nearest(task, done).name]
        if task.of == "paces":
            value, _ = value
        found[task.of][task.key] = value if known or task.of == "paces" else value.unknown
    return found


def _nearest(task: _Task, done: Sequence[_Task]) -> _Task:
    """The measurement of the same kind whose cell is most like a task's."""

    def likeness(other: _Task) -> tuple[bool, bool, int, bool]:
        a, b = task.cell, other.cell
        params = sum(b.params.get(name) == value for name, value in a.params.items())
        return a.agent == b.agent, a.world == b.world, params, a.reward == b.reward

    return max((other for other in done if other.of == task.of), key=likeness)


class _Worker:
    """A process set up as a sweep's workers are: fresh, on one thread.

    It knows nothing of the script that runs here, which needs no guard against being run anew.
    """

    def __init__(self) -> None:
        context = get_context("spawn")
        self.pipe, theirs = context.Pipe()
        entries = cloudpickle.dumps(export_entries())
        self.process = context.Process(target=_serve, args=(theirs, entries), daemon=True)
        hidden = ModuleType("__main__")
        with (
            _changed(os.environ, "OMP_NUM_THREADS", "1"),
            _changed(sys.modules, "__main__", hidden),
        ):
            self.process.start()
        theirs.close()

    def ask(self, seconds: float | None, work: Callable[..., Any], *given: Any) -> Any:
        """What `work` gives there, within so many seconds.

        Raises:
            PilotFailed: It broke, or the process died.
            _OutOfTime: It is not done in time.
        """
        try:
            self.pipe.send((work, given))
            if not self.pipe.poll(None if seconds is None else max(0.0, seconds)):
                raise _OutOfTime
            done, answer = self.pipe.recv()
        except (EOFError, ConnectionError):
            died = "the pilot's process died: killed, out of memory, or a crash in compiled code"
            raise PilotFailed(died) from None
        if not done:
            raise PilotFailed(f"the pilot broke, as the sweep would: {answer}")
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _serve(pipe: Connection, entries: bytes) -> None:
    """Answer what is asked, in the worker's process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        import_entries(pickle.loads(entries))
        while True:
            work, given = pipe.recv()
            with contained():
                pipe.send((True, work(*given)))
    except EOFError:
        return
    except Exception as error:
        pipe.send((False, f"{type(error).__name__}: {error}"))


@contextmanager
def _changed(mapping: MutableMapping[str, T], name: str, value: T) -> Iterator[None]:
    """Another value in a mapping for a while."""
    before = mapping.get(name)
    mapping[name] = value
    try:
        yield
    finally:
        if before is None:
            del mapping[name]
        else:
            mapping[name] = before


def _warm(cell: Cell) -> None:
    """Load what a trial needs."""
    with without_reward_warnings():
        task = cell.task(make_world(cell.world, **cell.params))
        if task.reward_function.oversight is None:
            train(task, cell.agent, timesteps=1, settings=cell.settings, callback=_stop)


def _stop(progress: Progress) -> bool:
    return False


def _world(cell: Cell, folder: Path) -> World:
    begun = time.process_time()
    facts = oracle_of(cell, folder)
    seconds = time.process_time() - begun
    if facts is None:
        return World(seconds, _reason(cell, folder, paid=False))
    most = facts.competence["max"]
    if not facts.injective:
        return World(seconds, "agents cannot see all that exact numbers would know", most)
    greatest = nan if facts.most is None else facts.most.extreme
    return World(seconds, "", most, facts.need is not None, greatest, facts.width)


def _optimum(cell: Cell, folder: Path) -> Optimum:
    begun = time.process_time()
    found = optimum_of(cell, folder)
    seconds = time.process_time() - begun
    if found is None:
        return Optimum(seconds, _reason(cell, folder, paid=True))
    does = found.uniform
    return Optimum(seconds, "", does.success, does.acquisition, does.disabled)


def _reason(cell: Cell, folder: Path, paid: bool) -> str:
    """The reason that a file of exact numbers holds none."""
    kept = read_exact(folder, exact_setting(cell, ARM if paid else WORLD)) or {}
    return str(kept.get("none", "it cannot be computed"))


def _pace(cell: Cell, folder: Path) -> tuple[Pace, float]:
    """Train a little, evaluate, then run one short trial whole; how much slower than alone."""
    since, used = time.perf_counter(), time.process_time()
    batch = cell.settings.get("n_envs", 1) * cell.settings.get("n_steps", 1)
    steps = min(cell.timesteps, max(PILOT_STEPS, BATCHES * batch))
    seen: list[tuple[int, float]] = []

    def watch(progress: Progress) -> None:
        seen.append((progress.timesteps, time.process_time()))

    with without_reward_warnings():
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
            _seconds(lambda: evaluator.measure(policy, few, names=followed_metrics()))
            for _ in range(2)
        ]
        exact = min(
            _seconds(lambda: evaluator.exact_curves(policy, exactly_followed(followed_metrics())))
            for _ in range(2)
        )
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
        return Pace(0.0, 0, 0.0, 0.0, 0.0, whole, kept), slowed
    pace = Pace(step, _batch(seen, trained.timesteps), min(looks), exact, level, 0.0, kept)
    known = pace.seconds(short.cell) - level  # that level is not reached in so few steps
    return pace._replace(fixed=max(0.0, whole - known)), slowed


_WORK: Mapping[str, Callable[[Cell, Path], Any]] = {
    "worlds": _world,
    "optima": _optimum,
    "paces": _pace,
}


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
