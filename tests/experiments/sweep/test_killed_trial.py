"""A trial whose process is killed goes on where it was, and says what it would have said."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import killing
import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from powerseek.agents import CheckpointIgnored, load_agent
from powerseek.experiments.layout import run_folder
from powerseek.experiments.results.store import Store, checkpoint_path
from powerseek.experiments.study.checked import trials
from powerseek.experiments.study.grid import Trial
from powerseek.experiments.study.schema import make_study
from powerseek.experiments.sweep.trial import run_trial

SETTINGS = {"n_envs": 16, "n_steps": 16, "batch_size": 128, "n_epochs": 1, "net": [8]}
UPDATES = 40


def trial(**keys: Any) -> Trial:
    given = {
        "name": "t",
        "worlds": [{"id": "homestead", "openness": 0}],
        "rewards": [{"every": 4}],
        "timesteps": 256 * UPDATES,
        "episodes": 40,
        "evaluations": 8,
        "competence": [0.001, 0.1, 0.999],
        "agents": ["maskable-ppo"],
        "settings": {"maskable-ppo": SETTINGS},
    }
    return trials(make_study({**given, **keys}))[0]


SCRIPT = f"""
from pathlib import Path
from powerseek.experiments.sweep.trial import run_trial
from powerseek.experiments.study.grid import Trial
run_trial(Trial.from_config({trial().config!r}), Path("out"), checkpoint_seconds=0.0)
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    """What the trial gives without an interruption."""
    out = tmp_path_factory.mktemp("whole")
    return out, run_trial(trial(), out)


def points(out: Path) -> list[tuple[int, float, float]]:
    """(step, value, wall time) of a curve as TensorBoard shows it."""
    events = EventAccumulator(str(run_folder(out, trial()))).Reload()
    return [(e.step, e.value, e.wall_time) for e in events.Scalars("competence")]


def kill_at(folder: Path, count: int) -> bool:
    """Kill the trial once its checkpoint was written `count` times; False if it was too late."""
    seen = killing.writes(checkpoint_path(folder / "out", trial()))
    process = killing.start(SCRIPT, folder)
    there = killing.wait_for(lambda: seen() >= count, process)
    if there:
        killing.kill(process.pid)
    process.wait(timeout=60)
    assert there or process.returncode == 0, (folder / "said.txt").read_text()
    return there


def check(out: Path, rows: pd.DataFrame, whole: tuple[Path, pd.DataFrame], begun: float) -> None:
    expected, all_rows = whole
    pd.testing.assert_frame_equal(rows, all_rows, check_exact=True)
    name = f"{trial().key}"
    curves = [pd.read_parquet(o / "internals/curves" / f"{name}.parquet") for o in (out, expected)]
    pd.testing.assert_frame_equal(*curves, check_exact=True)
    shown, wanted = points(out), points(expected)
    assert [point[:2] for point in shown] == [point[:2] for point in wanted]
    # The first point is the one that the killed process wrote.
    assert shown[0][2] < begun < shown[-1][2]
    models = [load_agent(o / "internals/models" / f"{name}.zip") for o in (out, expected)]
    weights = [model.policy.network.state_dict() for model in models]  # type: ignore[attr-defined]  # a network
    assert all((weights[0][part] == weights[1][part]).all() for part in weights[0])
    Store(out).trials.mkdir(parents=True)
    Store(out).write(trial(), rows)
    assert not checkpoint_path(out, trial()).exists()


def test_a_killed_trial_goes_on_as_if_it_had_not_been(
    whole: tuple[Path, pd.DataFrame], tmp_path: Path
) -> None:
    assert kill_at(tmp_path, UPDATES * 3 // 4)  # after some of its exact evaluations
    begun = time.time()
    rows = run_trial(trial(), tmp_path / "out", checkpoint_seconds=0.0)
    check(tmp_path / "out", rows, whole, begun)
    assert {"competence>=0.001", "end"} <= set(rows["checkpoint"])
    assert "drift" in set(rows["metric"])


@pytest.mark.slow
@pytest.mark.parametrize("counts", [(1,), (2, 2, 2), (15, 10, 3), (UPDATES,)])
def test_a_trial_killed_anywhere_any_number_of_times(
    counts: tuple[int, ...], whole: tuple[Path, pd.DataFrame], tmp_path: Path
) -> None:
    begun = time.time()
    for count in counts:
        assert kill_at(tmp_path, count + (count != counts[0]))
        begun = time.time()
    rows = run_trial(trial(), tmp_path / "out", checkpoint_seconds=0.0)
    check(tmp_path / "out", rows, whole, begun)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no checkpoint"])
def test_a_damaged_checkpoint_starts_again_from_zero_with_a_caution(
    content: bytes, whole: tuple[Path, pd.DataFrame], tmp_path: Path
) -> None:
    path = checkpoint_path(tmp_path, trial())
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    said: list[str] = []
    rows = run_trial(trial(), tmp_path, caution=said.append)
    pd.testing.assert_frame_equal(rows, whole[1], check_exact=True)
    assert len(said) == 1
    assert str(path) in said[0]
    assert "starts at zero" in said[0]


def test_a_checkpoint_of_another_trial_is_never_gone_on_from(
    whole: tuple[Path, pd.DataFrame], tmp_path: Path
) -> None:
    other = trial(episodes=41)  # the same training, measured otherwise
    run_trial(other, tmp_path, checkpoint_seconds=0.0)
    os.replace(checkpoint_path(tmp_path, other), checkpoint_path(tmp_path, trial()))
    with pytest.warns(CheckpointIgnored, match="different: about"):
        rows = run_trial(trial(), tmp_path)
    pd.testing.assert_frame_equal(rows, whole[1], check_exact=True)
