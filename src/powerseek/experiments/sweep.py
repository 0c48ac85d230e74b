"""Run trials through Ray Tune. The only module that imports Ray."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from typing import Any, Self

_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    # Tune would answer Ctrl-C by saving state that nothing here reads, and saves it while it runs.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
}
for _name, _value in _ENVIRONMENT.items():  # Ray reads these when it is imported
    os.environ.setdefault(_name, _value)

import ray  # noqa: E402
from ray import tune  # noqa: E402

from powerseek.errors import PowerseekError  # noqa: E402
from powerseek.experiments import SweepStopped  # noqa: E402
from powerseek.experiments.grid import Trial  # noqa: E402
from powerseek.experiments.progress import Display  # noqa: E402
from powerseek.experiments.store import Store, StoreError  # noqa: E402
from powerseek.experiments.trial import run_trial  # noqa: E402
from powerseek.registry import export_entries, import_entries  # noqa: E402

OBJECT_STORE_BYTES = 80_000_000
# Tune's own book-keeping grows with its trials: above this many, ours share them.
TUNE_TRIALS = 1000
DIED = "the worker process died: killed, out of memory, or a crash in compiled code\n"


class Runner(tune.Trainable):
    """Runs the trials of one Tune trial, one a step, and keeps each when it ends."""

    def setup(self, config: dict[str, Any], **shared: Any) -> None:
        """Once per worker process: registered worlds, all trials and where results go."""
        import_entries(shared["entries"])
        self.grid: Sequence[Trial] = shared["grid"]
        self.store = Store(shared["out"])
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next trials without starting a new process."""
        self.waiting = list(new_config["trials"])
        return True

    def step(self) -> dict[str, Any]:
        """Run one trial; its failure is a result, a full disk stops the sweep."""
        index, begun = self.waiting.pop(0), time.monotonic()
        result = {"index": index, "failed": False, "fatal": "", "done": not self.waiting}
        try:
            result["failed"] = not attempt(self.grid[index], self.store)
        except StoreError as error:
            result["fatal"] = str(error)
        return {**result, "busy": time.monotonic() - begun}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: results are kept by the store."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing."""


def attempt(trial: Trial, store: Store) -> bool:
    """Run a trial and keep its rows, or keep its error; True if it has rows.

    Raises:
        StoreError: The results cannot be written.
    """
    try:
        store.write(trial, run_trial(trial, store.out))
    except StoreError:
        raise
    except PowerseekError as error:
        store.write_failed(trial, f"{type(error).__name__}: {error}\n")
    except Exception:
        store.write_failed(trial, traceback.format_exc())
    else:
        return True
    return False


class _Here:
    """Stays in this process: Tune copies and pickles what it is given, for a restore of its own."""

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {}


class Watch(_Here, tune.Callback):
    """Keeps the display's tally, and records trials whose worker died."""

    def __init__(self, grid: Sequence[Trial], store: Store, display: Display) -> None:
        self.grid, self.store, self.display = grid, store, display
        self.fatal = ""
        self.finished: set[int] = set()

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """One of our trials ended."""
        self.fatal = self.fatal or result["fatal"]
        self.display.tally.busy += result["busy"]
        if not result["fatal"]:
            self._count(result["index"], result["failed"])

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A worker died (killed, out of memory): its trial failed, those after it are lost too."""
        for index in trial.config["trials"]:
            if index not in self.finished:
                self.store.write_failed(self.grid[index], DIED)
                self._count(index, failed=True)

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Show how far the sweep is."""
        self.display.tally.running = sum(trial.status == "RUNNING" for trial in trials)
        self.display.update()

    def _count(self, index: int, failed: bool) -> None:
        tally = self.display.tally
        self.finished.add(index)
        tally.done += 1
        tally.failed += failed
        tally.worked += self.grid[index].cell.timesteps


class _Stop(_Here, tune.Stopper):
    """Ends the sweep once results can no longer be written."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return bool(result["fatal"])

    def stop_all(self) -> bool:
        return bool(self.watch.fatal)


def run_trials(
    grid: Sequence[Trial],
    store: Store,
    display: Display,
    workers: int,
    address: str | None = None,
) -> None:
    """Run every trial of `grid`, `workers` at a time; each is kept in `store` as it ends.

    Args:
        grid: What to run, in order.
        store: Where results go; on a cluster, a folder that every node sees.
        display: Shows progress.
        workers: Trials at a time, one core each.
        address: A running Ray cluster; by default Ray is started here and stopped at the end.

    Raises:
        SweepStopped: Results can no longer be written, or Ray could not be started.
        KeyboardInterrupt: Stopped by the user; Ray is stopped first.
    """
    watch = Watch(grid, store, display)
    size = -(-len(grid) // TUNE_TRIALS)
    batches = [list(range(i, min(i + size, len(grid)))) for i in range(0, len(grid), size)]
    with _ray(workers, address), _scratch() as scratch:
        runner = tune.with_parameters(
            Runner, grid=list(grid), out=str(store.out), entries=export_entries()
        )
        tuner = tune.Tuner(
            tune.with_resources(runner, {"cpu": 1}),
            param_space={"trials": tune.grid_search(batches)},
            tune_config=tune.TuneConfig(reuse_actors=True, max_concurrent_trials=workers),
            run_config=tune.RunConfig(
                name="sweep",
                storage_path=scratch,
                verbose=0,
                callbacks=[watch],
                stop=_Stop(watch),
            ),
        )
        tuner.fit()
    if watch.fatal:
        raise SweepStopped(watch.fatal)


@contextlib.contextmanager
def _ray(workers: int, address: str | None) -> Iterator[None]:
    """A quiet Ray, stopped at the end unless it was running before."""
    if ray.is_initialized():
        yield
        return
    for name in ("ray", "ray.tune", "ray.train"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    local = {} if address else _local(workers)
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL, **local)
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        where = address or "this machine"
        raise SweepStopped(f"Ray could not be started on {where}: {error}") from None
    try:
        yield
    finally:
        with _undisturbed():
            ray.shutdown()


def _local(workers: int) -> dict[str, Any]:
    return {
        "num_cpus": workers,
        "num_gpus": 0,
        "include_dashboard": False,
        "object_store_memory": OBJECT_STORE_BYTES,
    }


@contextlib.contextmanager
def _scratch() -> Iterator[str]:
    """A folder for what Tune insists on writing."""
    folder = tempfile.mkdtemp(prefix="powerseek-tune-")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Hold Ctrl-C back, so that a second one cannot leave processes behind."""
    try:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    except ValueError:  # not the main thread: no signal arrives here
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
