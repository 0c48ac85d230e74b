"""Curves and hyperparameters for TensorBoard: one run per trial, live while it trains.

They lie under ``internals/tensorboard``; means over the seeds of a cell are in
`powerseek.experiments.tensorboard.overview`. The HParams plugin's own records are written
directly, so that curves and hyperparameters are the same run.

A run can be replaced whole, so that TensorBoard never shows half of one or an old one.
TensorBoard follows a run's folder: it reads each file once, from its start on, and goes on to a
file whose name sorts after it. So a run is said again in a new file with a later name, moved into
place when it is complete, and the old one is emptied. (Were it removed at once, TensorBoard's
slower loader, which opens files anew each time, would wait for it for ever.) What was read before
is dropped: by the start of a session that stands first in every file, or because a tag's steps
begin again. For the latter a tag's first step may fall but never rise.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.plugins.hparams import api_pb2, metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import (
    HParamsPluginData,
    SessionEndInfo,
    SessionStartInfo,
)
from tensorboard.summary.writer.record_writer import RecordWriter

from powerseek.experiments import layout
from powerseek.experiments.results.files import guarded_results_file
from powerseek.experiments.study.factors import BY_NAME, factor_of, levels_of
from powerseek.experiments.study.grid import Cell, Trial
from powerseek.experiments.tensorboard.layout import END
from powerseek.files import remove_temporaries, write_atomically

Value = float | str
PREFIX = "events.out.tfevents"
FOLLOWED = 600.0
"""Seconds within which TensorBoard has surely looked at a run again."""
_NAME = re.compile(rf"{re.escape(PREFIX)}\.\d{{19}}\.[0-9a-f]{{16}}")
"""Names of our event files: a time in ns since 1970, and what is said was made of."""
_TRIAL = "0" * 16


def logdir(out: Path) -> Path:
    """Folder to look at: cells and comparisons. That of single trials is another."""
    return layout.cells_folder(out)


def hyperparameters(cell: Cell) -> dict[str, Value]:
    """Hyperparameters of a cell in the HParams view."""
    levels = {factor_of(column).name: value for column, value in levels_of(cell).items()}
    levels["layout"] = None if "layout" not in cell.params else str(cell.params["layout"])
    apart = ("version",)
    return {name: v for name, v in levels.items() if v is not None and name not in apart}


def experiment_event(cells: Sequence[Cell], curves: Sequence[str]) -> Event:
    """The record of what varies over all cells, and of which numbers matter.

    Args:
        cells: The cells.
        curves: The metrics that are followed.
    """
    seen: dict[str, set[Value]] = {}
    for cell in cells:
        for name, value in hyperparameters(cell).items():
            seen.setdefault(name, set()).add(value)
    varied = {name: values for name, values in seen.items() if len(values) > 1}
    core = {name: values for name, values in seen.items() if name == "world" or name in BY_NAME}
    experiment = api_pb2.Experiment(
        hparam_infos=[_info(name, values) for name, values in (varied or core).items()],
        metric_infos=[
            api_pb2.MetricInfo(
                name=api_pb2.MetricName(tag=f"{END}/{tag}"), display_name=f"{tag} at the end"
            )
            for tag in (*curves, "seeds")
        ],
    )
    data = HParamsPluginData(experiment=experiment)
    return _plugin_event(metadata.EXPERIMENT_TAG, data, 0.0)


def session_events(cell: Cell, ended: Sequence[float], complete: bool) -> list[Event]:
    """A cell's run as the HParams view shows it.

    Args:
        cell: The cell.
        ended: When each of its finished trials ended, in seconds since 1970.
        complete: Whether none is missing.
    """
    events = [_started(cell, min(ended, default=0.0))]
    if complete:
        events.append(_ended(api_pb2.STATUS_SUCCESS, max(ended)))
    return events


class Curves:
    """One trial's curves, from its start to its end.

    A run that was cut short before is begun anew; `restore` says again what it had said.

    Args:
        out: Results directory.
        trial: The trial.

    Attributes:
        points: (timesteps, value of each curve) so far.
    """

    def __init__(self, out: Path, trial: Trial) -> None:
        self.points: list[tuple[int, Mapping[str, float]]] = []
        self._times: list[float] = []
        folder = layout.run_folder(out, trial)
        before = _files(folder)
        self._path, self._ended = _next_path(folder, _TRIAL, before), False
        now = time.time()
        with guarded_results_file(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._write(*event_file_start(now), _started(trial.cell, now))
            remove_empty_events(before)

    def _write(self, *events: Event) -> None:
        with guarded_results_file(self._path), self._path.open("ab") as file:
            file.write(encoded(events))

    def add(
        self, timesteps: int, values: Mapping[str, float], wall_time: float | None = None
    ) -> None:
        """One point of each curve at `timesteps`; nan points are left out.

        Args:
            timesteps: Environment steps so far.
            values: Value of each curve.
            wall_time: When, in seconds since 1970; now by default.

        Raises:
            DiskFull: No space is left.
            StoreError: Not writable.
        """
        if self._ended:
            raise RuntimeError("the run has ended")
        wall_time = time.time() if wall_time is None else wall_time
        self.points.append((timesteps, values))
        self._times.append(wall_time)
        shown = {tag: value for tag, value in values.items() if value == value}
        self._write(event_scalars(timesteps, shown, wall_time))

    def snapshot(self) -> list[Any]:
        """All points so far as plain JSON values, for `restore`."""
        return [
            [steps, dict(values), when]
            for (steps, values), when in zip(self.points, self._times, strict=True)
        ]

    def restore(self, kept: Sequence[Any]) -> None:
        """Say again, as it was said then, what `snapshot` gave; nothing may have been added."""
        for steps, values, when in kept:
            self.add(steps, values, when)

    def end(self, ok: bool) -> None:
        """Mark the run as finished or failed; what is said again later counts for nothing."""
        if not self._ended:
            self._ended = True
            status = api_pb2.STATUS_SUCCESS if ok else api_pb2.STATUS_FAILURE
            self._write(_ended(status, time.time()))

    def __enter__(self) -> Curves:
        """Nothing but the curves."""
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        """Mark the run as finished or failed, if it was not yet."""
        self.end(ok=error is None)


def _started(cell: Cell, when: float) -> Event:
    start = SessionStartInfo(group_name=layout.cell_name(cell), start_time_secs=when)
    for name, value in hyperparameters(cell).items():
        if isinstance(value, str):
            start.hparams[name].string_value = value
        else:
            start.hparams[name].number_value = value
    data = HParamsPluginData(session_start_info=start)
    return _plugin_event(metadata.SESSION_START_INFO_TAG, data, when)


def _ended(status: int, when: float) -> Event:
    end = SessionEndInfo(status=status, end_time_secs=when)
    data = HParamsPluginData(session_end_info=end)
    return _plugin_event(metadata.SESSION_END_INFO_TAG, data, when)


def _info(name: str, values: set[Value]) -> api_pb2.HParamInfo:
    info = api_pb2.HParamInfo(name=name, display_name=name)
    if all(isinstance(value, str) for value in values):
        info.type = api_pb2.DATA_TYPE_STRING
    else:
        info.type = api_pb2.DATA_TYPE_FLOAT64
    info.domain_discrete.extend(sorted(values, key=str))
    return info


def _plugin_event(tag: str, data: HParamsPluginData, when: float) -> Event:
    value = Summary.Value(
        tag=tag,
        metadata=metadata.create_summary_metadata(data),
        tensor=metadata.NULL_TENSOR,
    )
    return Event(wall_time=when, summary=Summary(value=[value]))


def encoded(events: Iterable[Event]) -> bytes:
    """Events as they stand in a file."""
    buffer = io.BytesIO()
    writer = RecordWriter(buffer)
    for event in events:
        writer.write(event.SerializeToString())
    return buffer.getvalue()


def event_file_start(wall_time: float) -> list[Event]:
    """Events that a file starts with: its format, and that all said before in its run is void."""
    start = SessionLog(status=SessionLog.START)
    return [
        Event(wall_time=wall_time, file_version="brain.Event:2"),
        Event(wall_time=wall_time, session_log=start),
    ]


def event_scalars(
    step: int,
    values: Mapping[str, float],
    wall_time: float,
    described: Mapping[str, str] = MappingProxyType({}),
) -> Event:
    """One point of each curve; at a curve's first point also what it is, in words, by tag."""
    shown = [_scalar(tag, value, described.get(tag, "")) for tag, value in values.items()]
    return Event(wall_time=wall_time, step=step, summary=Summary(value=shown))


def _scalar(tag: str, value: float, words: str) -> Summary.Value:
    if not words:
        return Summary.Value(tag=tag, simple_value=value)
    about = SummaryMetadata(summary_description=words)
    about.plugin_data.plugin_name = "scalars"
    return Summary.Value(tag=tag, simple_value=value, metadata=about)


def replace_run(folder: Path, made_of: str, content: bytes) -> Path:
    """Make `content` all that a run's folder says; readers see it whole or not at all.

    Args:
        folder: Of the run.
        made_of: What the content was made of, as a short hash: see `holds_run`.
        content: Encoded events, from `event_file_start` on.
    """
    before = _files(folder)
    path = _next_path(folder, made_of, before)
    # A view: not worth the wait for the disk.
    write_atomically(path, lambda temporary: temporary.write_bytes(content), durable=False)
    remove_empty_events(before)
    return path


def remove_run(folder: Path) -> None:
    """Remove a run, but nothing that others put into its folder; a link is left alone."""
    files = [] if folder.is_symlink() else _files(folder)
    for path in files:
        path.unlink(missing_ok=True)
    if files:
        with contextlib.suppress(OSError):  # something of others is left
            folder.rmdir()


def remove_empty_events(files: Iterable[Path]) -> None:
    """Empty event files; remove those that have been empty for long enough."""
    for path in files:
        with contextlib.suppress(FileNotFoundError):
            found = path.stat()
            if found.st_size:
                os.truncate(path, 0)
            elif time.time() - found.st_mtime > FOLLOWED:
                path.unlink()


def holds_run(folder: Path, made_of: str) -> bool:
    """True if a run's folder holds what was made of this and nothing else; removes half a file.

    Raises:
        OSError: The folder cannot be changed.
    """
    remove_temporaries(folder)
    full = [path for path in _files(folder) if path.stat().st_size]
    return [path.name.rpartition(".")[2] for path in full] == [made_of]


def _files(folder: Path) -> list[Path]:
    """A run's event files that were written here, in order; a link leads to what is not ours."""
    paths = sorted(path for path in folder.glob(f"{PREFIX}.*") if _NAME.fullmatch(path.name))
    return [path for path in paths if path.is_file() and not path.is_symlink()]


def _next_path(folder: Path, made_of: str, before: Sequence[Path]) -> Path:
    """Path of an event file that is read after those of before."""
    stamps = (int(path.name.split(".")[3]) for path in before)
    return folder / f"{PREFIX}.{max([time.time_ns(), *(s + 1 for s in stamps)]):019d}.{made_of}"
