from __future__ import annotations

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer
from tensorboard.plugins.hparams import metadata

from powerseek.experiments.grid import Cell, Trial
from powerseek.experiments.tensorboard import FOLDER, Curves, run_folder, write_experiment

GRID = [
    Trial(Cell("w", 1, {"openness": 1, "max_steps": 8}, reward, "ppo", 9, gamma=gamma), seed, "s")
    for reward in ("dense", {"every": 8})
    for gamma in (1.0, 0.5)
    for seed in range(2)
]


def read(out: Path) -> EventMultiplexer:
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(out / FOLDER))
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
    name = str(run_folder(tmp_path, GRID[0]).relative_to(tmp_path / FOLDER))
    points = read(tmp_path).Scalars(name, "success")
    assert [(point.step, point.value) for point in points] == [(4, 0.5), (9, 1.0)]
    assert [point.step for point in read(tmp_path).Scalars(name, "excess")] == [9]


def test_a_trial_begun_again_leaves_one_curve(tmp_path: Path) -> None:
    write(tmp_path, GRID[0], first=0.1)
    write(tmp_path, GRID[0], first=0.2)
    name = str(run_folder(tmp_path, GRID[0]).relative_to(tmp_path / FOLDER))
    assert [point.value for point in read(tmp_path).Scalars(name, "success")] == [
        pytest.approx(0.2),
        1.0,
    ]


def test_hyperparameters_stand_in_the_runs_themselves(tmp_path: Path) -> None:
    for _ in range(2):  # a resume says it again, and leaves one
        write_experiment(tmp_path, GRID)
    for trial in GRID:
        write(tmp_path, trial)
    multiplexer = read(tmp_path)
    assert len(multiplexer.Runs()) == len(GRID) + 1
    assert len(list((tmp_path / FOLDER).glob("events.*"))) == 1
    content = multiplexer.SummaryMetadata(".", metadata.EXPERIMENT_TAG).plugin_data.content
    experiment = metadata.parse_experiment_plugin_data(content)
    domains = {info.name: list(info.domain_discrete) for info in experiment.hparam_infos}
    assert domains["gamma"] == [0.5, 1.0]
    assert domains["reward"] == ["dense", "every 8"]
    groups = set()
    for trial in GRID:
        name = str(run_folder(tmp_path, trial).relative_to(tmp_path / FOLDER))
        data = multiplexer.SummaryMetadata(name, metadata.SESSION_START_INFO_TAG).plugin_data
        start = metadata.parse_session_start_info_plugin_data(data.content)
        assert start.hparams["gamma"].number_value == trial.cell.gamma
        groups.add(start.group_name)
    assert len(groups) == len(GRID) // 2


def test_a_failed_trial_is_marked(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), Curves(tmp_path, GRID[0]):
        raise RuntimeError("no")
    multiplexer = read(tmp_path)
    (name,) = multiplexer.Runs()
    data = multiplexer.SummaryMetadata(name, metadata.SESSION_END_INFO_TAG).plugin_data
    assert metadata.parse_session_end_info_plugin_data(data.content).status == 2
