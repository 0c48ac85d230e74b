"""Run trials through Ray Tune."""

from __future__ import annotations

import contextlib
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from math import inf
from typing import Any, Self, TypeAlias

# First of all: what it sets, Ray reads when it is imported.
from powerseek.experiments.sweep.cluster import cluster  # isort: skip
import ray
from ray import tune

from powerseek.errors import InvalidInput, SweepStopped
from powerseek.experiments.console import warn
from powerseek.experiments.results.files import StoreError
from powerseek.experiments.results.remote import store_at
from powerseek.experiments.results.schema import broken_words
from powerseek.experiments.results.store import Store
from powerseek.experiments.study.grid import Trial
from powerseek.experiments.sweep.cohorts import kind_of
from powerseek.experiments.sweep.oracles import computing
from powerseek.experiments.sweep.progress import Display, Piece
from powerseek.experiments.sweep.trial import CHECKPOINT_SECONDS
from powerseek.experiments.sweep.worker import run_and_keep
from powerseek.registry import export_entries, import_entries

# Tune's own book-keeping grows with its trials: above this many, ours share them.
TUNE_TRIALS = 1000
ATTEMPTS = 2
"""How often a trial is tried whose worker dies."""
DIED = (
    f"the worker process died (attempts: {ATTEMPTS}): "
    "killed, out of memory, or a crash in compiled code\n"
)
UNREADY = "{}, in a worker"
IMPORTABLE = "worlds, rewards, agents and metrics from modules that worker processes can import"
ON_PATH = "Put the module's folder on PYTHONPATH, or install it."
COHORT_DIED = (
    "a worker died training {0} agents side by side; they go on one by one, with the same results. "
    "If memory ran out, write a smaller cohort than {0}: --resume takes it."
)


Cohorts: TypeAlias = list[list[int]]
"""Trials by their number, those that are trained side by side together."""


class Runner(tune.Trainable):
    """Runs the cohorts of one Tune trial, one a step, and keeps each trial when it ends."""

    def setup(self, config: dict[str, Any], **shared: Any) -> None:
        """Once per worker process: registered worlds, all trials and where results go.

        Ctrl-C is the driver's: a KeyboardInterrupt here is a plugin's, and fails its trial.
        """
        with contextlib.suppress(ValueError):  # not the main thread
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        self.unready = ""
        try:
            import_entries(shared["entries"])
        except ImportError as error:
            self.unready = UNREADY.format(" ".join(str(error).split()))
        self.grid: Sequence[Trial] = shared["grid"]
        self.out: str = shared["out"]
        self.store: Store | None = None
        self.checkpoint_seconds: float = shared["checkpoint_seconds"]
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next cohorts without starting a new process."""
        self.waiting: Cohorts = list(new_config["cohorts"])
        return True

    def step(self) -> dict[str, Any]:
        """Run one cohort; a trial's failure is a result, a full disk stops the sweep."""
        indices, begun, exact = self.waiting.pop(0), time.monotonic(), computing.seconds
        result: dict[str, Any] = {"ended": {}, "fatal": "", "done": not self.waiting, "broken": {}}
        cautions: list[str] = []
        try:
            if self.unready:
                raise InvalidInput("plugin", self.unready, IMPORTABLE, ON_PATH)
            self.store = self.store or store_at(self.out, patient=True)
            trials = [self.grid[index] for index in indices]
            told = (cautions.append, result["broken"].setdefault)
            kept = run_and_keep(trials, self.store, self.checkpoint_seconds, *told)
            result["ended"] = dict(zip(indices, kept, strict=True))
            cautions = [self.store.told(caution) for caution in cautions]
        except (StoreError, InvalidInput) as error:
            result["fatal"] = str(error)
        node = ray.get_runtime_context().get_node_id()
        took = {"busy": time.monotonic() - begun, "exact": computing.seconds - exact}
        return {**result, **took, "cautions": cautions, "node": node}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: results are kept by the store."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing."""


class _TimeIsUp(KeyboardInterrupt):
    """Ends a sweep as Ctrl-C does: what runs goes on another time, from its checkpoints."""


class _Here:
    """Stays in this process: Tune copies and pickles what it is given, for a restore of its own."""

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {}


class SweepCallback(_Here, tune.Callback):
    """Keeps the display's tally, and sees to trials whose worker died.

    Attributes:
        again: Cohorts that waited behind one whose worker died, and its trials, each alone.
        deaths: How many workers died running each trial.
        begun: When each cohort under way began, on the display's clock.
        broken: Metrics that failed, and why; each is told once.
        until: When time is up, by `time.monotonic`.
    """

    def __init__(
        self,
        grid: Sequence[Trial],
        store: Store,
        display: Display,
        ended: Callable[[Trial], None] = lambda trial: None,
        until: float = inf,
    ) -> None:
        self.until = until
        self.grid, self.store, self.display, self.ended = grid, store, display, ended
        self.fatal = ""
        self.finished: set[int] = set()
        self.again: Cohorts = []
        self.deaths: Counter[int] = Counter()
        self.begun: dict[tuple[int, ...], float] = {}
        self.broken: dict[str, str] = {}

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """One of our cohorts ended."""
        self.fatal = self.fatal or result["fatal"]
        if ended := list(result["ended"]):
            kind = kind_of(self.grid[ended[0]].cell)
            self.display.tally.took(kind, len(ended), result["busy"], result["exact"])
        self.display.tally.nodes[result["node"]] += len(result["ended"])
        for caution in result["cautions"]:
            self.warn(caution)
        for metric, why in result["broken"].items():
            if metric not in self.broken:
                self.broken[metric] = why
                self.warn(broken_words(metric, why))
        for index, kept in result["ended"].items():
            self._count(index, failed=not kept)

    def warn(self, text: str) -> None:
        """Say something beside the display."""
        warn(self.display.console, text)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A worker died (killed, out of memory): its trial is tried again, or failed."""
        try:
            self._died(trial)
        except StoreError as error:
            self.fatal = self.fatal or str(error)

    def _died(self, trial: Any) -> None:
        for index in chain(*self._left(trial)):
            if self.store.done(self.grid[index]):  # it died after keeping it, before saying so
                self._count(index, failed=False)
        left = self._left(trial)
        if not left:
            return
        running, *waiting = left
        self.again += waiting
        for index in running:
            self.deaths[index] += 1
            if self.deaths[index] < ATTEMPTS:
                self.again.append([index])
            else:
                self.store.write_failed(self.grid[index], DIED, resumable=True)
                self._count(index, failed=True)
        if len(running) > 1:
            self.warn(COHORT_DIED.format(len(running)))

    def _left(self, trial: Any) -> Cohorts:
        """Trials that a Tune trial has not finished, the cohort that is running first."""
        left = ([i for i in cohort if i not in self.finished] for cohort in trial.config["cohorts"])
        return [cohort for cohort in left if cohort]

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Show how far the sweep is, and end it once its time is up."""
        running = [trial for trial in trials if trial.status == "RUNNING"]
        cohorts = {tuple(left[0]) for trial in running if (left := self._left(trial))}
        self.begun = {cohort: self.begun.get(cohort, self.display.now()) for cohort in cohorts}
        self.display.tally.running = [
            Piece(kind_of(self.grid[cohort[0]].cell), len(cohort), begun)
            for cohort, begun in self.begun.items()
        ]
        self.display.update()
        if time.monotonic() >= self.until:
            raise _TimeIsUp

    def _count(self, index: int, failed: bool) -> None:
        self.finished.add(index)
        self.display.tally.ended(kind_of(self.grid[index].cell), failed)
        self.ended(self.grid[index])


class _Stop(_Here, tune.Stopper):
    """Ends the sweep once results can no longer be written."""

    def __init__(self, callback: SweepCallback) -> None:
        self.callback = callback

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return bool(result["fatal"])

    def stop_all(self) -> bool:
        return bool(self.callback.fatal)


def sweep(
    parts: Iterable[Sequence[Sequence[Trial]]],
    grid: Sequence[Trial],
    store: Store,
    display: Display,
    workers: int,
    address: str | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    until: float = inf,
    ended: Callable[[Trial], None] = lambda trial: None,
) -> set[str]:
    """Run cohorts, part by part and `workers` at a time; each trial is kept as it ends.

    A trial whose worker dies is tried again from its last checkpoint, alone, `ATTEMPTS` times in
    all, after the others; then it is kept as failed.

    Args:
        parts: Cohorts to run, in order (`powerseek.experiments.sweep.cohorts`); the next ones are
            asked for when the last ones have ended (`powerseek.experiments.sweep.rounds`).
        grid: All trials of the parts.
        store: Where results go; on a cluster, elsewhere or a folder that every node sees.
        display: Shows progress.
        workers: Cohorts at a time, one core each.
        address: A running Ray cluster; by default Ray is started here and stopped at the end.
        checkpoint_seconds: Seconds of a trial's training between its checkpoints, >= 0.
        until: When to stop, by `time.monotonic`, as Ctrl-C would, whatever is unfinished then.
        ended: Is told of every trial that has ended, here, once it is kept.

    Returns:
        The metrics that failed; each has been told of.

    Raises:
        SweepStopped: Results can no longer be written, or Ray could not be started.
        KeyboardInterrupt: Stopped by the user or a signal; Ray is stopped first.
    """
    callback = SweepCallback(grid, store, display, ended, until)
    numbers = {trial.key: number for number, trial in enumerate(grid)}
    with cluster(workers, address) as warning, _scratch() as scratch:
        if warning:
            callback.warn(warning)
        runner = tune.with_parameters(
            Runner,
            grid=grid,
            out=store.address,
            entries=export_entries(),
            checkpoint_seconds=checkpoint_seconds,
        )
        with contextlib.suppress(_TimeIsUp):
            for cohorts in parts:
                todo: Cohorts = [[numbers[trial.key] for trial in cohort] for cohort in cohorts]
                while todo and not callback.fatal:
                    callback.again = []
                    _round(runner, _batches(todo, callback.deaths), callback, workers, scratch)
                    todo = callback.again
                if callback.fatal:
                    break
    if callback.fatal:
        raise SweepStopped(callback.fatal)
    return set(callback.broken)


def _batches(todo: Cohorts, deaths: Mapping[int, int]) -> list[Cohorts]:
    """The cohorts of each Tune trial; whatever a worker died of runs alone, and last."""
    risky = [cohort for cohort in todo if any(deaths.get(index) for index in cohort)]
    rest = sorted(cohort for cohort in todo if cohort not in risky)
    size = max(1, -(-len(rest) // TUNE_TRIALS))
    return [rest[i : i + size] for i in range(0, len(rest), size)] + [[one] for one in risky]


def _round(
    runner: Any, batches: list[Cohorts], callback: SweepCallback, workers: int, scratch: str
) -> None:
    """Run every batch once."""
    tuner = tune.Tuner(
        tune.with_resources(runner, {"cpu": 1}),
        param_space={"cohorts": tune.grid_search(batches)},
        tune_config=tune.TuneConfig(reuse_actors=True, max_concurrent_trials=workers),
        run_config=tune.RunConfig(
            name="sweep",
            storage_path=tempfile.mkdtemp(dir=scratch),
            verbose=0,
            callbacks=[callback],
            stop=_Stop(callback),
        ),
    )
    tuner.fit()


@contextlib.contextmanager
def _scratch() -> Iterator[str]:
    """A folder for what Tune insists on writing."""
    folder = tempfile.mkdtemp(prefix="powerseek-tune-")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
