"""A whole study: run what is missing, merge, draw, report."""

from __future__ import annotations

import os
import shlex
import socket
import time
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from powerseek.errors import InvalidInput, SweepStopped
from powerseek.experiments import layout
from powerseek.experiments.analysis.view import View
from powerseek.experiments.console import Console, warn
from powerseek.experiments.results.files import StoreError
from powerseek.experiments.results.integrity import is_drawn, note_drawn, sources
from powerseek.experiments.results.provenance import command_line, cores, damaged_runs, describe_run
from powerseek.experiments.results.remote import store_at
from powerseek.experiments.results.side_tables import write_tables
from powerseek.experiments.results.store import Store, checkpoint_path
from powerseek.experiments.study.changes import Change
from powerseek.experiments.study.checked import trials
from powerseek.experiments.study.grid import Trial, on_first_layout
from powerseek.experiments.study.lint import study_cautions
from powerseek.experiments.study.schema import Study, load_study, make_study
from powerseek.experiments.sweep.cohorts import Cohort, kind_of, make_cohorts
from powerseek.experiments.sweep.prices import prices, unchecked_price
from powerseek.experiments.sweep.progress import Display, Tally
from powerseek.experiments.sweep.rounds import rounds_in_time
from powerseek.experiments.sweep.sparsity import pays_success_alone, random_play, sparse_caution
from powerseek.experiments.sweep.trial import CHECKPOINT_SECONDS
from powerseek.experiments.tensorboard.curves import logdir
from powerseek.limits import check_limit

if TYPE_CHECKING:
    from powerseek.experiments.tensorboard.overview import Overview

OVERVIEW_SHARE = 0.05
"""Of a sweep's time, at most goes into what TensorBoard shows of all trials together."""
LOST = 0.05
"""Of the time that a sweep has, at most is lost of each trial that is cut short."""


class FailedTrial(NamedTuple):
    """A trial that ended in an error.

    Attributes:
        trial: The trial; ``--resume`` tries it again.
        reason: The exception's own words, and the function and file that raised it, in a line.
        path: The file that holds all that is known of the error.
    """

    trial: Trial
    reason: str
    path: Path


@dataclass(frozen=True)
class Finished:
    """A study that has been run.

    Attributes:
        view: What it found.
        failed: Trials that ended in an error; `failures` has their reasons.
        store: Where everything lies.
        figures: The PNGs.
        cautions: What a reader of the report should know, a line each.
        left: Trials that were not finished in time (`hours`).
    """

    view: View
    failed: tuple[Trial, ...]
    store: Store
    figures: tuple[Path, ...]
    cautions: tuple[str, ...] = ()
    left: tuple[Trial, ...] = ()

    @property
    def results(self) -> pd.DataFrame:
        """One row per trial x checkpoint x evaluation x metric."""
        return self.store.load()

    @property
    def failures(self) -> tuple[FailedTrial, ...]:
        """The trials that ended in an error, each with its reason; empty where none did."""
        store = self.store
        return tuple(FailedTrial(t, store.error(t), store.error_path(t)) for t in self.failed)

    @property
    def report(self) -> Path:
        """The HTML page; of results elsewhere, as everything here, a copy for as long as this."""
        return self.store.out / layout.REPORT

    @property
    def tensorboard(self) -> Path:
        """The folder for ``tensorboard --logdir``."""
        return logdir(self.store.out)


def run_study(
    study: Study | Mapping[str, Any] | str | Path,
    out: str | Path | None = None,
    *,
    resume: bool = False,
    workers: int | None = None,
    address: str | None = None,
    console: Console | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    hours: float | None = None,
    changes: Sequence[Change] = (),
) -> Finished:
    """Run a study, or what is missing of it, and report.

    Args:
        study: A study, or what its file would hold; the path of one, or the name of a shipped one.
        out: Results directory, or the address of one elsewhere (``s3://bucket/path``, whatever
            pyarrow opens); by default ``runs/<name>``.
        resume: Go on with what `out` already holds: finished trials are not run again, others go
            on from their checkpoints, and failed ones are tried again.
        workers: Trials at a time; by default one per core.
        address: A running Ray cluster.
        console: Where progress goes; by default the terminal's error stream.
        checkpoint_seconds: Seconds of a trial's training between its checkpoints, >= 0.
        hours: Time after which it stops and reports on what is finished, > 0. Seeds are begun
            together in all cells, and only those that can be finished by the pace measured so far;
            no number depends on it.
        changes: What was changed of the study's file (`study.changes`), to be kept on record.

    Returns:
        What it found and where everything lies. A trial that fails raises nothing and the others
        go on: see `Finished.failures`; what `hours` did not suffice for is in `Finished.left`.

    Raises:
        InvalidInput: Bad input, found before the first trial; nothing is written.
        StoreError: The results directory cannot be written or reached.
        SweepStopped: It can no longer be written, or Ray could not be started.
        KeyboardInterrupt: Stopped; finished trials are kept.
    """
    began = time.monotonic()
    study = _study(study)
    console = console or Console(stderr=True)
    how = _How(workers, address, checkpoint_seconds, hours, tuple(changes))
    how.check()
    until = inf if hours is None else began + hours * 3600
    say = partial(warn, console)
    grid = _admitted(study, say)
    store = store_at(out or Path("runs") / study.name)
    with store.locked(say):
        for difference in store.open(study, grid, resume):
            say(difference)
        try:
            with store.naming():
                return _filled(study, grid, store, how, until, console)
        except StoreError as error:
            raise SweepStopped(str(error)) from None


class _How(NamedTuple):
    """How a study is run; see `run_study`."""

    workers: int | None
    address: str | None
    checkpoint_seconds: float = CHECKPOINT_SECONDS
    hours: float | None = None
    changes: tuple[Change, ...] = ()

    @property
    def most(self) -> int:
        """Trials, or cohorts, at a time at most."""
        return self.workers or cores()

    def check(self) -> None:
        """Refuse what no study can be run with."""
        if self.workers is not None:
            check_limit("workers", self.workers, "--workers")
        if not self.checkpoint_seconds >= 0:
            raise InvalidInput("checkpoint_seconds", self.checkpoint_seconds, "a number >= 0")
        if self.hours is not None and not 0 < self.hours < inf:
            hint = "Write for example --hours 0.5; leave it out to run until all is finished."
            raise InvalidInput("--hours", self.hours, "a number of hours > 0", hint)
        if self.address is not None:
            _check_address(self.address)


def _admitted(study: Study, say: Callable[[str], None]) -> tuple[Trial, ...]:
    """Every trial of a study that can be run; says what its author should know first."""
    grid = trials(study)
    for caution in study_cautions(study):
        say(caution)
    trained = list({t.cell.key: t.cell for t in grid if not t.cell.is_reference}.values())
    for caution in map(unchecked_price, prices(trained)):
        if caution:
            say(caution)
    # One layout stands for all: each would be enumerated here, before anything is trained.
    asked = list(filter(pays_success_alone, on_first_layout(trained, study.layouts)))
    for caution in map(sparse_caution, random_play(asked)):
        if caution:
            say(caution)
    return grid


class DryRun(NamedTuple):
    """What a sweep would do.

    Attributes:
        study: The study.
        grid: Its trials, in order.
        store: Where results would go.
        missing: The trials that would be run.
        again: Of these, those that failed before.
        begun: Of these, those that would go on from a checkpoint.
        cohorts: The missing trials as they would be trained, those of one side by side.
        workers: Cohorts at a time.
    """

    study: Study
    grid: tuple[Trial, ...]
    store: Store
    missing: tuple[Trial, ...]
    again: tuple[Trial, ...]
    begun: tuple[Trial, ...]
    cohorts: tuple[Cohort, ...]
    workers: int


def dry_run(
    study: Study | Mapping[str, Any] | str | Path,
    out: str | Path | None = None,
    *,
    resume: bool = False,
    workers: int | None = None,
    address: str | None = None,
    hours: float | None = None,
    console: Console | None = None,
) -> DryRun:
    """Say what `run_study` would do, given the same; nothing is run or written.

    Raises:
        InvalidInput: What `run_study` would refuse.
        StoreError: The results directory cannot be read or written.
    """
    study = _study(study)
    how = _How(workers, address, hours=hours)
    how.check()
    say = partial(warn, console or Console(stderr=True))
    grid = _admitted(study, say)
    store = store_at(out or Path("runs") / study.name)
    with store.naming():
        store.check_usable()
        for difference in store.inspect(study, grid, resume):
            say(difference)
        missing = tuple(store.missing(grid))
        again = tuple(store.failed(missing))
        begun = tuple(t for t in missing if checkpoint_path(store.out, t).is_file())
    cohorts = _cohorts(study, grid, missing)
    most = min(how.most, max(1, len(cohorts)))
    return DryRun(study, grid, store, missing, again, begun, cohorts, most)


def _cohorts(study: Study, grid: Sequence[Trial], missing: Sequence[Trial]) -> tuple[Cohort, ...]:
    """The missing trials in the cohorts that the whole study is trained in."""
    lacking = {trial.key for trial in missing}
    whole = make_cohorts(grid, study.cohort)
    left = (tuple(trial for trial in cohort if trial.key in lacking) for cohort in whole)
    return tuple(cohort for cohort in left if cohort)


def _filled(
    study: Study,
    grid: Sequence[Trial],
    store: Store,
    how: _How,
    until: float,
    console: Console,
) -> Finished:
    """Run the trials that the store lacks, and report."""
    from powerseek.experiments.tensorboard.overview import Overview

    missing, told = store.missing(grid), set[str]()
    overview = Overview(store, grid, study.hypotheses, OVERVIEW_SHARE)
    overview.refresh()
    if missing:
        told = _run(study, grid, missing, store, overview, how, until, console)
        store.fetch()
        overview.refresh()
    elif damaged_runs(store.out):
        store.provenance(study, grid, describe_run(command_line(), 0.0, 0, 0.0))
    store.tidy(grid)  # a sweep may have been killed while it merged or drew
    kept = store.kept()
    left = tuple(trial for trial in missing if trial.key not in kept)
    return replace(finish(store, grid, told=told), left=left)


def finish(
    store: Store, grid: Sequence[Trial], anew: bool = False, told: Container[str] = ()
) -> Finished:
    """Merge and draw what has changed since the last time, or draw everything `anew`.

    Of metrics that failed there is a caution each, but for those that were `told` of before. An
    archive is drawn from its tables, which stay as they are.
    """
    from powerseek.experiments.report.archive import STAYED, draw_archive
    from powerseek.experiments.report.pages import write_report, write_summary
    from powerseek.experiments.report.sections import sections, write_figures

    if store.archive:
        view = draw_archive(store)
        store.send()
        said = (STAYED, *view.mixed, *view.broken.values())
        return Finished(view, tuple(store.failed(grid)), store, (), said)
    figures = tuple(sorted((store.out / layout.FIGURES).glob("*.png")))
    cautions = store.cautions(grid)
    stale = store.stale(grid)
    if stale:
        store.join(grid)
    view = View.read(store.out)
    cautions += view.mixed
    cautions += [words for metric, words in view.broken.items() if metric not in told]
    made_of = sources(store.out)
    if anew or not is_drawn(store.out, made_of):
        if not stale:
            store.pivot()
        cautions += write_tables(store, grid)
        parts = sections(view)
        figures = tuple(write_figures(parts, store.out / layout.FIGURES))
        write_summary(view, parts, store.out)
        write_report(view, parts, store.out)
        note_drawn(store.out, made_of)
    store.send()
    return Finished(view, tuple(store.failed(grid)), store, figures, tuple(cautions))


def _check_address(address: str) -> None:
    """Ask for a connection first: Ray itself tries for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon:
        return  # "auto", or a name that only Ray can resolve
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, ValueError) as error:
        allowed = "the address of a running Ray cluster, for example 10.0.0.1:6379"
        raise InvalidInput("--address", address, allowed, str(error)) from None


def _study(given: Study | Mapping[str, Any] | str | Path) -> Study:
    if isinstance(given, Study):
        return given
    return make_study(given) if isinstance(given, Mapping) else load_study(given)


def _run(
    study: Study,
    grid: Sequence[Trial],
    missing: Sequence[Trial],
    store: Store,
    overview: Overview,
    how: _How,
    until: float,
    console: Console,
) -> set[str]:
    """Run the missing trials, and record the run however it ends; metrics that failed."""
    from powerseek.experiments.sweep.tune import sweep

    begun = time.monotonic()
    cohorts = _cohorts(study, grid, missing)
    workers = min(how.most, len(cohorts))
    curves = min(str(logdir(store.out)), os.path.relpath(logdir(store.out)), key=len)
    watch = f"curves while it runs: tensorboard --logdir {shlex.quote(curves)}"
    console.print(watch, highlight=False, markup=False, soft_wrap=True)
    kinds = Counter(kind_of(trial.cell) for trial in missing)
    tally = Tally(len(grid), len(grid) - len(missing), kinds, workers)
    parts: Iterable[Sequence[Cohort]] = (cohorts,)
    if until < inf:
        pack = partial(make_cohorts, most=study.cohort)
        parts = rounds_in_time(missing, pack, workers, until, lambda: tally.busy)
    # What is under way when time is up loses what it has trained since its last checkpoint.
    seconds = min(how.checkpoint_seconds, max(0.0, until - begun) * LOST)
    around = (how.address, seconds, until)
    try:
        with Display(tally, console) as display, store.following(overview.ended) as ended:
            return sweep(parts, missing, store, display, workers, *around, ended)
    finally:
        seconds = time.monotonic() - begun
        run = describe_run(command_line(), seconds, workers, tally.busy)
        changed = {c.key: {"was": c.before, "now": c.value} for c in how.changes}
        about = {"nodes": dict(tally.nodes), **({"set": changed} if changed else {})}
        store.provenance(study, grid, {**run, **about})
