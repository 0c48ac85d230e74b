"""Curves and hyperparameters for TensorBoard: one run per trial, live while it trains.

They lie under ``tensorboard/trials``; means over the seeds of a cell are in
`powerseek.experiments.tensorboard.overview`. The HParams plugin's own records are written
directly, so that
curves and hyperparameters are the same run.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import (
    HParamsPluginData,
    SessionEndInfo,
    SessionStartInfo,
)
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from powerseek.experiments import layout
from powerseek.experiments.study.grid import Cell, Trial
from powerseek.experiments.tensorboard.events import PREFIX, beginning, scalars, void

CURVES = ("return", "success", "competence", "excess", "disabled")
END = "end"
"""What the tags of a cell's means at the end of training start with."""
Value = float | str


def run_folder(out: Path, trial: Trial) -> Path:
    """Where one trial's events lie: tensorboard/trials/<world>/<cell>/seed-<n>."""
    cell = trial.cell
    return out / layout.TENSORBOARD / "trials" / cell.world / cell_name(cell) / f"seed-{trial.seed}"


def overview_folder(out: Path) -> Path:
    """Where the comparisons lie, few runs whatever the study."""
    return out / layout.TENSORBOARD / "overview"


def cells_folder(out: Path) -> Path:
    """Where the cells' means lie, one run a cell."""
    return out / layout.TENSORBOARD / "cells"


def logdir(out: Path) -> Path:
    """What to look at first: comparisons, or cells where the study compares nothing."""
    compared = overview_folder(out)
    return compared if any(path.is_dir() for path in compared.glob("*")) else cells_folder(out)


def cell_name(cell: Cell) -> str:
    """The cell in words, fit for a folder; its identity keeps it apart from others."""
    return re.sub(r"[^\w.=+-]+", "_", cell.label()) + f"_{cell.key[:6]}"


def hyperparameters(cell: Cell) -> dict[str, Value]:
    """What the HParams view shows of a cell."""
    shown: dict[str, Value] = {"world": cell.world, "reward": cell.reward_label}
    for name in ("openness", "max_steps"):
        if name in cell.params:
            shown[name] = float(cell.params[name])
    for name in ("goal", "layout"):
        if name in cell.params:
            shown[name] = str(cell.params[name])
    shown |= {"power_weight": cell.power_weight, "gamma": cell.gamma}
    shown |= {"time_limit": cell.time_limit, "agent": cell.agent}
    for name, value in (("gae_lambda", cell.gae_lambda), ("n_step", cell.n_step)):
        if value is not None:
            shown[name] = float(value)
    return shown


def experiment_event(cells: Sequence[Cell]) -> Event:
    """What varies over all cells, and which of a cell's numbers matter."""
    seen: dict[str, set[Value]] = {}
    for cell in cells:
        for name, value in hyperparameters(cell).items():
            seen.setdefault(name, set()).add(value)
    varied = {name: values for name, values in seen.items() if len(values) > 1}
    experiment = api_pb2.Experiment(
        hparam_infos=[_info(name, values) for name, values in (varied or seen).items()],
        metric_infos=[
            api_pb2.MetricInfo(
                name=api_pb2.MetricName(tag=f"{END}/{tag}"), display_name=f"{tag} at the end"
            )
            for tag in ("competence", "excess", "success", "disabled", "return", "seeds")
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
        folder = run_folder(out, trial)
        before = list(folder.glob(f"{PREFIX}.*"))
        self._writer: EventFileWriter | None = EventFileWriter(str(folder))
        void(before)
        now = time.time()
        for event in (*beginning(now), _started(trial.cell, now)):
            self._writer.add_event(event)

    def add(
        self, timesteps: int, values: Mapping[str, float], wall_time: float | None = None
    ) -> None:
        """One point of each curve at `timesteps`; nan points are left out.

        Args:
            timesteps: Environment steps so far.
            values: Value of each curve.
            wall_time: When, in seconds since 1970; now by default.
        """
        if self._writer is None:
            raise RuntimeError("the run has ended")
        wall_time = time.time() if wall_time is None else wall_time
        self.points.append((timesteps, values))
        self._times.append(wall_time)
        shown = {tag: value for tag, value in values.items() if value == value}
        self._writer.add_event(scalars(timesteps, shown, wall_time))
        self._writer.flush()

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
        if self._writer is not None:
            status = api_pb2.STATUS_SUCCESS if ok else api_pb2.STATUS_FAILURE
            self._writer.add_event(_ended(status, time.time()))
            self._writer.close()
            self._writer = None

    def __enter__(self) -> Curves:
        """Nothing but the curves."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Mark the run as finished or failed, if it was not yet."""
        self.end(ok=error is None)


def _started(cell: Cell, when: float) -> Event:
    start = SessionStartInfo(group_name=cell_name(cell), start_time_secs=when)
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
