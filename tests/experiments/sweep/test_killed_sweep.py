"""A sweep that is killed, in whatever way, ends with the results of one that was not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import killing
import pandas as pd
import pytest
import ray
from ray.cluster_utils import Cluster
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from powerseek.experiments.results.schema import SCHEMA
from powerseek.experiments.results.store import Store, checkpoint_path
from powerseek.experiments.study.checked import trials
from powerseek.experiments.study.grid import Trial
from powerseek.experiments.study.schema import Study, make_study
from powerseek.experiments.sweep.progress import Display, Tally
from powerseek.experiments.sweep.trial import run_trial

UPDATES = 60
SETTINGS = {"n_envs": 16, "n_steps": 16, "batch_size": 128, "n_epochs": 1, "net": [8]}
GIVEN = {
    "name": "tiny",
    "worlds": [{"id": "off-switch", "max_steps": 12}],
    "rewards": ["dense", {"every": "cap"}],
    "seeds": 2,
    "timesteps": 256 * UPDATES,
    "episodes": 40,
    "evaluations": 4,
    "competence": [0.001, 0.5],
    "agents": ["maskable-ppo"],
    "settings": {"maskable-ppo": SETTINGS},
}
SCRIPT = f"""
import json
import sys
from powerseek.experiments import run_study
from powerseek.experiments.study.schema import make_study
if __name__ == "__main__":
    address, changes = (*sys.argv[1:], None, None)[:2]
    study = make_study({GIVEN!r} | json.loads(changes or "{{}}"))
    run_study(study, "out", resume=True, workers=2, address=address, checkpoint_seconds=0.0)
"""
CHECKPOINTS = "out/internals/checkpoints"
# Ray gives the trial of a worker that is still starting to one that is free before: trials must
# take longer than a worker's start for a node that comes back to get any.
LONGER = {"seeds": 3, "timesteps": 256 * UPDATES * 4}
NODE = {"num_cpus": 1, "object_store_memory": 80_000_000}
# That a node is gone is noticed within seconds, not within half a minute.
SOON = {"health_check_period_ms": 500, "health_check_failure_threshold": 4}
Kill = Callable[[subprocess.Popen[str]], None]


def study() -> Study:
    return make_study(GIVEN)


def grid() -> tuple[Trial, ...]:
    return trials(study())


def alone(study: Study, out: Path) -> pd.DataFrame:
    """The results without Ray and without an interruption."""
    store, grid = Store(out), trials(study)
    store.open(study, grid, resume=False)
    for trial in grid:
        store.write(trial, run_trial(trial, store.out))
    return store.merge(grid)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    return alone(study(), tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def longer(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    return alone(make_study({**GIVEN, **LONGER}), tmp_path_factory.mktemp("longer"))


def check(folder: Path, whole: pd.DataFrame) -> None:
    """Every row, and nothing left over."""
    found = pd.read_parquet(folder / "out/results.parquet")
    pd.testing.assert_frame_equal(found, whole, check_exact=True)
    assert tuple(found.columns) == tuple(SCHEMA.names)
    assert not (folder / CHECKPOINTS).exists()
    assert not [path for path in (folder / "out").rglob(".*") if path.is_file()]
    assert not list((folder / "out/internals/errors").iterdir())


def busy(pid: int) -> list[int]:
    """The worker processes that are running a trial below the driver `pid`."""
    return [
        child for child, command in killing.descendants(pid) if "ray::ResourceTrainable" in command
    ]


def under_way(folder: Path, count: int) -> Callable[[], bool]:
    """Whether `count` checkpoints were seen, all trials together."""
    seen: set[tuple[str, int]] = set()

    def enough() -> bool:
        for path in (folder / CHECKPOINTS).glob("*.zip"):
            try:
                seen.add((path.name, path.stat().st_mtime_ns))
            except FileNotFoundError:
                continue
        return len(seen) >= count

    return enough


def kill_worker(process: subprocess.Popen[str]) -> None:
    assert killing.wait_for(lambda: bool(busy(process.pid)), process)
    killing.kill(busy(process.pid)[0])


def kill_driver(process: subprocess.Popen[str]) -> None:
    killing.kill(process.pid)


def kill_raylet(process: subprocess.Popen[str]) -> None:
    commands = killing.descendants(process.pid)
    (raylet,) = (pid for pid, command in commands if "/raylet/raylet " in command)
    killing.kill(raylet)


def interrupt(process: subprocess.Popen[str]) -> None:
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does: to every process of the group


@pytest.mark.slow  # in CI a cohort's worker is killed (test_cohorts)
def test_a_killed_worker_s_trial_is_tried_again(whole: pd.DataFrame, tmp_path: Path) -> None:
    worker_killed(8, whole, tmp_path)


def test_a_trial_that_takes_two_workers_down_fails_and_those_behind_it_do_not(
    whole: pd.DataFrame, tmp_path: Path
) -> None:
    from powerseek.experiments.sweep.tune import SweepCallback, _batches

    store = Store(tmp_path)
    store.open(study(), grid(), resume=False)
    callback = SweepCallback(grid(), store, Display(Tally(4, 0, Counter()), Console(quiet=True)))
    path = checkpoint_path(store.out, grid()[1])
    path.parent.mkdir(parents=True)
    path.touch()
    # Kept, but its worker died before it could say so.
    store.write(grid()[0], whole[whole["trial"] == grid()[0].key])
    callback.on_trial_error(0, [], SimpleNamespace(config={"cohorts": [[0], [1], [2], [3]]}))
    assert sorted(callback.again) == [[1], [2], [3]]
    assert callback.finished == {0}
    batches = _batches(callback.again, callback.deaths)
    assert sorted(batches) == [[[1]], [[2]], [[3]]]
    assert batches[-1] == [[1]]
    assert not store.failed(grid())
    callback.again = []
    callback.on_trial_error(0, [], SimpleNamespace(config={"cohorts": [[1]]}))
    assert callback.again == []
    assert store.failed(grid()) == [grid()[1]]
    assert "died" in store.error_path(grid()[1]).read_text()
    assert callback.display.tally.failed == 1
    # A resume tries it again, from where it was.
    assert path.exists()
    assert store.missing(grid()) == list(grid()[1:])


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 8, 30, 70, 130])
@pytest.mark.parametrize("stop", [kill_driver, interrupt, kill_raylet])
def test_a_sweep_stopped_anywhere_goes_on(
    stop: Kill, count: int, whole: pd.DataFrame, tmp_path: Path
) -> None:
    stopped(stop, count, whole, tmp_path)


def stopped(stop: Kill, count: int, whole: pd.DataFrame, tmp_path: Path) -> None:
    with killing.started(SCRIPT, tmp_path) as process:
        assert killing.wait_for(under_way(tmp_path, count), process)
        below, workers = [pid for pid, _ in killing.descendants(process.pid)], busy(process.pid)
        stop(process)
        process.wait(timeout=120)
        if stop is kill_raylet and process.returncode == 0:
            check(tmp_path, whole)  # the workers outlived it and finished
            return
        assert process.returncode != 0
        assert killing.gone(workers, seconds=30)
        killing.gone(below, seconds=1)  # Ray's own agents outlive a driver that was killed
    kept = {
        path.name: path.stat().st_mtime_ns for path in (tmp_path / "out/internals/trials").iterdir()
    }
    finished = [name for name in kept if not name.startswith(".")]
    assert len(finished) < len(grid())
    # Workers may outlive a driver long enough to finish what they were at.
    going = {path.stem for path in (tmp_path / CHECKPOINTS).glob("*.zip")}
    going -= {name.partition(".")[0] for name in finished}
    begun = time.time()
    with killing.started(SCRIPT, tmp_path) as process:
        assert process.wait(timeout=280) == 0, (tmp_path / "said.txt").read_text()
    check(tmp_path, whole)
    for name in finished:  # they are not run again
        assert (tmp_path / "out/internals/trials" / name).stat().st_mtime_ns == kept[name]
    # The trials that were under way went on: they still have a point from before.
    early = sum(started(run) < begun for run in (tmp_path / "out/tensorboard").rglob("seed-*"))
    assert early >= len(finished) + len(going)


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 30, 100])
def test_a_worker_killed_anywhere(count: int, whole: pd.DataFrame, tmp_path: Path) -> None:
    worker_killed(count, whole, tmp_path)


def worker_killed(count: int, whole: pd.DataFrame, tmp_path: Path) -> None:
    with killing.started(SCRIPT, tmp_path) as process:
        assert killing.wait_for(under_way(tmp_path, count), process)
        kill_worker(process)
        assert process.wait(timeout=280) == 0, (tmp_path / "said.txt").read_text()
    check(tmp_path, whole)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """Two nodes of one core each, on this machine's loopback."""
    monkeypatch.setenv("PYTHONPATH", killing.environment()["PYTHONPATH"])
    # Other programs of Ray on this machine are to start their own, not to join this one.
    monkeypatch.setattr(ray._private.utils, "write_ray_address", lambda *_: None)
    head = {**NODE, "include_dashboard": False, "_system_config": SOON}
    made = Cluster(True, head_node_args=head)
    try:
        made.add_node(**NODE)
        yield made
    finally:
        made.shutdown()


@pytest.mark.slow
def test_two_nodes_of_which_one_dies_give_what_one_machine_gives(
    whole: pd.DataFrame, cluster: Cluster, tmp_path: Path
) -> None:
    node_killed(60, whole, cluster, tmp_path)


@pytest.mark.slow
def test_two_nodes_give_what_one_machine_gives(
    whole: pd.DataFrame, cluster: Cluster, tmp_path: Path
) -> None:
    with killing.started(SCRIPT, tmp_path, cluster.address) as process:
        assert process.wait(timeout=280) == 0, (tmp_path / "said.txt").read_text()
    check(tmp_path, whole)
    assert set(nodes(tmp_path)) == {node.node_id for node in cluster.list_all_nodes()}
    assert (tmp_path / "said.txt").read_text().count("can run code as you") == 1


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 30, 100])
def test_a_node_killed_anywhere(
    count: int, whole: pd.DataFrame, cluster: Cluster, tmp_path: Path
) -> None:
    node_killed(count, whole, cluster, tmp_path)


def node_killed(count: int, whole: pd.DataFrame, cluster: Cluster, tmp_path: Path) -> None:
    """Both nodes are at work when the raylet of one is killed; the other finishes."""
    (second,) = cluster.worker_nodes
    first = cluster.head_node
    raylets = [node.all_processes["raylet"][0].process.pid for node in (first, second)]
    with killing.started(SCRIPT, tmp_path, cluster.address) as process:
        assert killing.wait_for(lambda: all(map(busy, raylets)), process)
        assert killing.wait_for(under_way(tmp_path, count), process)
        killing.kill(raylets[1])
        assert process.wait(timeout=280) == 0, (tmp_path / "said.txt").read_text()
    check(tmp_path, whole)
    assert first.node_id in nodes(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("away", [0.0, 6.0])  # before and after its death is noticed
def test_a_node_that_comes_back_is_used_again(
    away: float, longer: pd.DataFrame, cluster: Cluster, tmp_path: Path
) -> None:
    (second,) = cluster.worker_nodes
    first = cluster.head_node
    raylets = [node.all_processes["raylet"][0].process.pid for node in (first, second)]
    with killing.started(SCRIPT, tmp_path, cluster.address, json.dumps(LONGER)) as process:
        assert killing.wait_for(lambda: all(map(busy, raylets)), process)
        assert killing.wait_for(under_way(tmp_path, 30), process)
        killing.kill(raylets[1])
        time.sleep(away)
        third = cluster.add_node(**NODE)
        raylet = third.all_processes["raylet"][0].process.pid
        assert killing.wait_for(lambda: bool(busy(raylet)), process)
        assert process.wait(timeout=280) == 0, (tmp_path / "said.txt").read_text()
    check(tmp_path, longer)
    assert nodes(tmp_path)[third.node_id] > 0


def nodes(folder: Path) -> dict[str, int]:
    """How many trials each node finished."""
    (run,) = json.loads((folder / "out/internals/provenance.json").read_text())["runs"]
    found: dict[str, int] = run["nodes"]
    return found


def started(run: Path) -> float:
    """When the first point of a trial's curves was written."""
    events = EventAccumulator(str(run)).Reload()
    return float(events.Scalars("success")[0].wall_time)
