"""A study in TensorBoard while it runs: comparisons and cells, not single trials.

- ``tensorboard/<cell>``: one run a cell of agents that learn, named by what varies within its
  world. For each curve the mean over the seeds so far, its 95 % interval and the number of seeds;
  the cell's factors and its means at the end (HParams).
- ``tensorboard/arms/<factor>=<value>``: one run for each value of a factor compared, with the
  curves of each comparison, so that its two arms share a chart (Custom Scalars).
- ``tensorboard`` itself: the layout of the charts.

Names of tags and of charts are of `powerseek.experiments.tensorboard.layout`. Single trials lie
elsewhere: TensorBoard shows none of more than 40 runs until one is chosen.

Everything here is made from ``curves/`` and can be made again; no result depends on it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event

from powerseek.experiments import layout
from powerseek.experiments.checksums import results_fingerprint
from powerseek.experiments.results.files import StoreError
from powerseek.experiments.results.side_tables import curve_path
from powerseek.experiments.results.store import Store
from powerseek.experiments.study.grid import Trial, content_hash
from powerseek.experiments.study.schema import Hypothesis
from powerseek.experiments.tensorboard.bands import (
    Curve,
    aligned_curves,
    curve_end_value,
    mean_band,
    read_curve,
)
from powerseek.experiments.tensorboard.curves import (
    encoded,
    event_file_start,
    event_scalars,
    experiment_event,
    holds_run,
    remove_run,
    replace_run,
    session_events,
)
from powerseek.experiments.tensorboard.layout import (
    END,
    Comparison,
    all_cells,
    categories,
    curve_title,
    layout_event,
    leading_curves,
    run_names,
    shown_curves,
    tag_of,
)
from powerseek.metrics import EXACT, followed_metrics, known_metric

FORMAT = 2
BAND = ("mean", "low", "high")
SAID = {
    "mean": "Mean over seeds: ",
    "low": "Lower end of the 95 % interval of the mean: ",
    "high": "Upper end of the 95 % interval of the mean: ",
    "seeds": "Seeds with a value: ",
}


@dataclass
class Part:
    """Some curves of a run: means over the finished ones of some trials.

    Attributes:
        trials: The trials.
        measures: The curves.
        leading: As in `tag_of`.
        prefix: Likewise.
        shown: What of `mean_band`.
    """

    trials: Sequence[Trial]
    measures: Sequence[str]
    leading: Sequence[str] = ()
    prefix: str = ""
    shown: Sequence[str] = BAND
    _made_of: tuple[object, ...] = ()
    _content: bytes = b""

    def content(self, curves: Mapping[str, Curve], when: float) -> bytes:
        """The part's events, made anew only where trials have been added."""
        made_of = (when, *curves)
        if made_of != self._made_of:
            self._content = encoded(self._events(list(curves.values()), when))
            self._made_of = made_of
        return self._content

    def _events(self, curves: Sequence[Curve], when: float) -> list[Event]:
        points: dict[int, dict[str, float]] = {}
        words: dict[int, dict[str, str]] = {}
        worlds = dict.fromkeys(trial.cell.world for trial in self.trials)
        for measure in self.measures:
            steps, values = aligned_curves([curve.get(measure, {}) for curve in curves])
            found = mean_band(values, known_metric(measure.removeprefix(EXACT)).bounds)
            tags = {n: tag_of(measure, n, self.leading, self.prefix) for n in self.shown}
            for i, step in enumerate(steps):
                shown = {tag: found[name][i] for name, tag in tags.items()}
                points.setdefault(step, {}).update(shown)
            title = curve_title(measure, *worlds)
            told = {tag: f"{SAID[name]}{title}" for name, tag in tags.items()}
            words.setdefault(steps[0] if steps else 0, {}).update(told)
        return [
            event_scalars(step, points[step], when, words.get(step, {})) for step in sorted(points)
        ]


@dataclass
class Run:
    """A run: comparisons, or a cell.

    Attributes:
        folder: Where it lies.
        parts: What it says.
        cell: Whether it is a cell's: then it has hyperparameters and means at the end.
    """

    folder: Path
    parts: list[Part] = field(default_factory=list)
    cell: bool = False

    @cached_property
    def trials(self) -> dict[str, Trial]:
        """All that it is made of, by identity."""
        return {trial.key: trial for part in self.parts for trial in part.trials}


class Overview:
    """Keeps what is shown of a study up to date while its trials end.

    Args:
        store: The results directory.
        grid: All trials of the study.
        hypotheses: Its hypotheses.
        share: Of the time, in (0, 1], at most goes into taking in trials that have ended: what
            is written for one grows with the number of trials. Below 1 some wait for the next
            one, or for `refresh`.
    """

    def __init__(
        self,
        store: Store,
        grid: Sequence[Trial],
        hypotheses: Sequence[Hypothesis] = (),
        share: float = 1.0,
    ) -> None:
        self.store, self.grid, self.share = store, grid, share
        self._waiting: dict[Path, Run] = {}
        self._not_before = 0.0
        self._overview, self._cells = (
            layout.overview_folder(store.out),
            layout.cells_folder(store.out),
        )
        self._done: dict[str, float] = {}
        self._content: dict[str, str] = {}
        self._curves: dict[str, Curve] = {}
        cells: dict[str, list[Trial]] = {}
        for trial in grid:
            cells.setdefault(trial.cell.key, []).append(trial)
        kinds = [own[0].cell for own in cells.values() if not own[0].cell.is_reference]
        sampled = grid[0].curves if grid else followed_metrics()
        self._followed = shown_curves(kinds, sampled)
        self._leading = leading_curves(self._followed)
        self._categories = categories(kinds, hypotheses, sampled)
        self._runs: dict[Path, Run] = {}
        names = run_names(kinds)
        for key, name in names.items():
            folder = self._cells / name
            means = Part(cells[key], self._followed, self._leading, shown=(*BAND, "seeds"))
            self._runs[folder] = Run(folder, [means], cell=True)
        for category in self._categories:
            for comparison in category.comparisons:
                self._add(comparison, cells)
        self._of: dict[str, list[Run]] = {}
        for run in self._runs.values():
            for key in run.trials:
                self._of.setdefault(key, []).append(run)

    def _add(self, comparison: Comparison, cells: Mapping[str, Sequence[Trial]]) -> None:
        """A part to the run of each of its two arms."""
        for name, members in comparison.arms.items():
            folder = self._overview / name
            trials = [trial for cell in members for trial in cells[cell.key]]
            run = self._runs.setdefault(folder, Run(folder))
            run.parts.append(Part(trials, comparison.measures, prefix=comparison.prefix))

    def refresh(self) -> None:
        """Write whatever is not as the results directory's finished trials make it.

        Raises:
            OSError: It cannot be written.
        """
        failed = {trial.key for trial in self.store.failed(self.grid)}
        self._done = {}
        for trial in self.grid:
            if trial.key not in failed:
                self._look(trial)
        for run in self._runs.values():
            if not holds_run(run.folder, self._made_of(run)):
                self._write(run)
        self._write_layouts()

    def ended(self, trial: Trial) -> None:
        """Take in a trial that has just been kept; a failed one, or one not readable, is not.

        It is a view: where it cannot be written the sweep goes on without it.
        """
        with contextlib.suppress(OSError, StoreError):
            if not self.store.failed([trial]):
                self._look(trial)
                self._waiting |= {run.folder: run for run in self._of.get(trial.key, [])}
                self._catch_up()

    def _catch_up(self) -> None:
        begun = time.monotonic()
        if begun < self._not_before:
            return
        for run in self._waiting.values():
            self._write(run)
        self._waiting = {}
        ended = time.monotonic()
        self._not_before = begun + (ended - begun) / self.share

    def _look(self, trial: Trial) -> None:
        """Note whether, and when, a trial was finished."""
        with contextlib.suppress(OSError):
            self._done[trial.key] = self.store.path(trial).stat().st_mtime
            content = results_fingerprint(curve_path(self.store.out, trial))[:16]
            if self._content.get(trial.key) != content:
                self._content[trial.key] = content
                self._curves.pop(trial.key, None)

    def _made_of(self, run: Run) -> str:
        """Short hash of all that a run's content follows from."""
        parts = [
            [part.prefix, *part.measures, *(t.key for t in part.trials if t.key in self._done)]
            for part in run.parts
        ]
        made_of = [self._content[key] for key in run.trials if key in self._done]
        return content_hash([FORMAT, len(run.trials), parts, made_of])[:16]

    def _write(self, run: Run) -> None:
        done = {key: self._curve(trial) for key, trial in run.trials.items() if key in self._done}
        there = {key: curve for key, curve in done.items() if curve}
        when = max((self._done[key] for key in there), default=0.0)
        content = [encoded(event_file_start(when))]
        if run.cell:
            content.append(encoded(self._session(run, there)))
        for part in run.parts:
            own = {trial.key: there[trial.key] for trial in part.trials if trial.key in there}
            ended = max((self._done[key] for key in own), default=0.0)
            content.append(part.content(own, ended))
        replace_run(run.folder, self._made_of(run), b"".join(content))

    def _session(self, run: Run, there: Mapping[str, Curve]) -> list[Event]:
        """Hyperparameters of a cell, and the means over its seeds at the end of training."""
        trials = list(run.trials.values())
        times = [self._done[key] for key in there]
        complete = len(there) == len(trials)
        events = session_events(trials[0].cell, times, complete)
        if there:
            means = {
                name: [curve_end_value(curve, name) for curve in there.values()]
                for name in self._followed
            }
            ends = {
                f"{END}/{name}": float(mean_band(np.array(values)[:, None])["mean"][0])
                for name, values in means.items()
            }
            ends[f"{END}/seeds"] = float(len(there))
            ends = {tag: value for tag, value in ends.items() if value == value}
            # Always the same step, so that a later mean takes the place of an earlier one.
            events.append(event_scalars(trials[0].cell.timesteps, ends, max(times)))
        return events

    def _curve(self, trial: Trial) -> Curve:
        if not self._curves.get(trial.key):
            self._curves[trial.key] = read_curve(curve_path(self.store.out, trial))
        return self._curves[trial.key]

    def _write_layouts(self) -> None:
        """The charts, and what the HParams view shows; runs of other hypotheses are removed."""
        cells = [run.parts[0].trials[0].cell for run in self._runs.values() if run.cell]
        shown = [*self._categories, all_cells(self._followed)]
        ordered = tuple(dict.fromkeys((*self._leading, *self._followed)))
        told = [layout_event(shown, self._leading), experiment_event(cells, ordered)]
        _state(self._cells, told)
        there = self._overview.iterdir() if self._overview.is_dir() else ()
        for folder in there:
            if folder.is_dir() and folder not in self._runs:
                remove_run(folder)


def _state(folder: Path, events: Sequence[Event]) -> None:
    """Say something about all runs of a folder, unless it is said there."""
    content = encoded([*event_file_start(0.0), *events])
    made_of = content_hash(content.hex())[:16]
    if not holds_run(folder, made_of):
        replace_run(folder, made_of, content)
