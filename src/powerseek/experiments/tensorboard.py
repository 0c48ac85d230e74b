"""Curves and hyperparameters for TensorBoard: one run per trial.

The HParams plugin's own records are written directly, so that a trial's curves and its
hyperparameters are the same run.
"""

from __future__ import annotations

import re
import shutil
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

from powerseek.experiments.grid import Cell, Trial

FOLDER = "tensorboard"
CURVES = ("return", "success", "competence", "excess", "disabled")
Value = float | str


def run_folder(out: Path, trial: Trial) -> Path:
    """Where one trial's events lie: tensorboard/<world>/<cell>/seed-<n>."""
    cell = trial.cell
    return out / FOLDER / cell.world / _name(cell) / f"seed-{trial.seed}"


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


def write_experiment(out: Path, grid: Sequence[Trial]) -> None:
    """Say once what varies over the whole grid, and which numbers matter."""
    for old in (out / FOLDER).glob("events.*"):
        old.unlink()
    seen: dict[str, set[Value]] = {}
    for trial in grid:
        for name, value in hyperparameters(trial.cell).items():
            seen.setdefault(name, set()).add(value)
    varied = {name: values for name, values in seen.items() if len(values) > 1}
    experiment = api_pb2.Experiment(
        time_created_secs=time.time(),
        hparam_infos=[_info(name, values) for name, values in (varied or seen).items()],
        metric_infos=[
            api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag), display_name=tag) for tag in CURVES
        ],
    )
    writer = EventFileWriter(str(out / FOLDER))
    data = HParamsPluginData(experiment=experiment)
    writer.add_event(_plugin_event(metadata.EXPERIMENT_TAG, data))
    writer.close()


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
        shutil.rmtree(folder, ignore_errors=True)
        self._writer = EventFileWriter(str(folder))
        start = SessionStartInfo(group_name=_name(trial.cell), start_time_secs=time.time())
        for name, value in hyperparameters(trial.cell).items():
            if isinstance(value, str):
                start.hparams[name].string_value = value
            else:
                start.hparams[name].number_value = value
        data = HParamsPluginData(session_start_info=start)
        self._writer.add_event(_plugin_event(metadata.SESSION_START_INFO_TAG, data))

    def add(
        self, timesteps: int, values: Mapping[str, float], wall_time: float | None = None
    ) -> None:
        """One point of each curve at `timesteps`; nan points are left out.

        Args:
            timesteps: Environment steps so far.
            values: Value of each curve.
            wall_time: When, in seconds since 1970; now by default.
        """
        wall_time = time.time() if wall_time is None else wall_time
        self.points.append((timesteps, values))
        self._times.append(wall_time)
        shown = [
            Summary.Value(tag=tag, simple_value=value)
            for tag, value in values.items()
            if value == value
        ]
        event = Event(wall_time=wall_time, step=timesteps, summary=Summary(value=shown))
        self._writer.add_event(event)
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

    def __enter__(self) -> Curves:
        """Nothing but the curves."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Mark the run as finished or failed."""
        status = api_pb2.STATUS_SUCCESS if error is None else api_pb2.STATUS_FAILURE
        end = SessionEndInfo(status=status, end_time_secs=time.time())
        data = HParamsPluginData(session_end_info=end)
        self._writer.add_event(_plugin_event(metadata.SESSION_END_INFO_TAG, data))
        self._writer.close()


def _name(cell: Cell) -> str:
    """The cell in words, fit for a folder; its identity keeps it apart from others."""
    return re.sub(r"[^\w.=+-]+", "_", cell.label()) + f"_{cell.key[:6]}"


def _info(name: str, values: set[Value]) -> api_pb2.HParamInfo:
    info = api_pb2.HParamInfo(name=name, display_name=name)
    if all(isinstance(value, str) for value in values):
        info.type = api_pb2.DATA_TYPE_STRING
    else:
        info.type = api_pb2.DATA_TYPE_FLOAT64
    info.domain_discrete.extend(sorted(values, key=str))
    return info


def _plugin_event(tag: str, data: HParamsPluginData) -> Event:
    value = Summary.Value(
        tag=tag,
        metadata=metadata.create_summary_metadata(data),
        tensor=metadata.NULL_TENSOR,
    )
    return Event(wall_time=time.time(), summary=Summary(value=[value]))
