from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer
from tensorboard.plugins.hparams import metadata

from powerseek.experiments.layout import EVENTS, run_folder
from powerseek.experiments.results.files import DiskFull, StoreError
from powerseek.experiments.study.grid import Cell, Trial
from powerseek.experiments.tensorboard.curves import Curves, experiment_event

GRID = [
    Trial(Cell("w", 1, {"openness": 1, "max_steps": 8}, reward, "ppo", 9, gamma=gamma), seed, "s")
    for reward in ("dense", {"every": 8})
    for gamma in (1.0, 0.5)
    for seed in range(2)
]


def read(out: Path) -> EventMultiplexer:
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(out / EVENTS))
    multiplexer.Reload()
    return multiplexer


def write(out: Path, trial: Trial, first: float = 0.5) -> None:
    with Curves(out, trial) as curves:
        curves.add(4, {"success": first, "excess": float("nan")})
        curves.add(9, {"success": 1.0, "excess": -0.25})


def test_one_run_per_trial_with_its_curves(tmp_path: Path) -> None:
    for trial in GRID:
        write(tmp_path, trial)
    runs = read(tmp_path).Runs()
    assert len(runs) == len(GRID)
    name = str(run_folder(tmp_path, GRID[0]).relative_to(tmp_path / EVENTS))
    points = read(tmp_path).Scalars(name, "success")
    assert [(point.step, point.value) for point in points] == [(4, 0.5), (9, 1.0)]
    assert [point.step for point in read(tmp_path).Scalars(name, "excess")] == [9]


def test_a_trial_begun_again_leaves_one_curve(tmp_path: Path) -> None:
    write(tmp_path, GRID[0], first=0.1)
    write(tmp_path, GRID[0], first=0.2)
    name = str(run_folder(tmp_path, GRID[0]).relative_to(tmp_path / EVENTS))
    assert [point.value for point in read(tmp_path).Scalars(name, "success")] == [
        pytest.approx(0.2),
        1.0,
    ]


def test_who_follows_a_trial_that_is_begun_again_sees_no_step_twice(tmp_path: Path) -> None:
    with Curves(tmp_path, GRID[0]) as cut_short:
        cut_short.add(4, {"success": 0.1})
        cut_short.add(9, {"success": 0.2})
        follower = EventAccumulator(str(run_folder(tmp_path, GRID[0]))).Reload()
        kept = cut_short.snapshot()[:1]
    time.sleep(1.1)  # files are named by the second
    with Curves(tmp_path, GRID[0]) as resumed:
        resumed.restore(kept)
        resumed.add(8, {"success": 0.7})
    for events in (follower.Reload(), EventAccumulator(follower.path).Reload()):
        points = [(event.step, event.value) for event in events.Scalars("success")]
        assert points == [(4, pytest.approx(0.1)), (8, pytest.approx(0.7))]


def test_hyperparameters_stand_in_the_runs_themselves(tmp_path: Path) -> None:
    for trial in GRID:
        write(tmp_path, trial)
    multiplexer = read(tmp_path)
    groups = set()
    for trial in GRID:
        name = str(run_folder(tmp_path, trial).relative_to(tmp_path / EVENTS))
        data = multiplexer.SummaryMetadata(name, metadata.SESSION_START_INFO_TAG).plugin_data
        start = metadata.parse_session_start_info_plugin_data(data.content)
        assert start.hparams["gamma"].number_value == trial.cell.gamma
        groups.add(start.group_name)
    assert len(groups) == len(GRID) // 2


def test_cells_vary_in_what_the_experiment_names() -> None:
    (value,) = experiment_event([trial.cell for trial in GRID], GRID[0].curves).summary.value
    experiment = metadata.parse_experiment_plugin_data(value.metadata.plugin_data.content)
    domains = {info.name: list(info.domain_discrete) for info in experiment.hparam_infos}
    assert domains == {"gamma": [0.5, 1.0], "reward": ["dense", "every 8"]}


def test_a_failed_trial_is_marked(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), Curves(tmp_path, GRID[0]):
        raise RuntimeError("no")
    multiplexer = read(tmp_path)
    (name,) = multiplexer.Runs()
    data = multiplexer.SummaryMetadata(name, metadata.SESSION_END_INFO_TAG).plugin_data
    assert metadata.parse_session_end_info_plugin_data(data.content).status == 2


def test_event_files_of_others_are_left_alone(tmp_path: Path) -> None:
    write(tmp_path, GRID[0])
    folder, elsewhere = run_folder(tmp_path, GRID[0]), tmp_path / "elsewhere.log"
    elsewhere.write_text("mine")
    (ours,) = folder.iterdir()
    theirs = [
        folder / "events.out.tfevents.1764348.host.12.0",
        folder / "events.out.tfevents.1.mine",
        folder / ours.name.replace(".0", ".1", 1),
    ]
    for path in theirs[:2]:
        path.write_text("mine")
    theirs[2].symlink_to(elsewhere)
    write(tmp_path, GRID[0])
    assert [path.read_text() for path in theirs] == ["mine"] * 3
    assert ours.read_bytes() == b""


def test_a_full_disk_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(events: object) -> bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with Curves(tmp_path, GRID[0]) as curves, monkeypatch.context() as patch:
        patch.setattr("powerseek.experiments.tensorboard.curves.encoded", full)
        with pytest.raises(DiskFull, match="No space left"):
            curves.add(4, {"success": 0.5})
        with pytest.raises(DiskFull, match="No space left"):
            Curves(tmp_path, GRID[1])
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        Curves(tmp_path / "file", GRID[0])
