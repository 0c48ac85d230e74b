"""A sweep's Ray: heard by nobody else, ended by any signal, missed within seconds."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import killing
import pytest

from powerseek.errors import SweepStopped
from powerseek.experiments.sweep import cluster

STUDY = """
name: tiny
worlds: [{id: off-switch, max_steps: 12}]
agents: [maskable-ppo]
timesteps: 40000000
episodes: 40
settings: {maskable-ppo: {n_envs: 16, n_steps: 16, batch_size: 128, n_epochs: 1, net: [8]}}
"""
SCRIPT = """
import sys
sys.argv = ["powerseek", "sweep", "study.yaml", "--out", "out", "--workers", "1", *sys.argv[1:]]
from powerseek.experiments.cli import main
if __name__ == "__main__":
    main()
"""
LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
LISTENS = "0A"


def listeners(pids: list[int]) -> list[str]:
    """Addresses, as the kernel writes them, that TCP sockets of these processes listen on."""
    sockets = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *rest = line.split()
            if state == LISTENS:
                sockets[f"socket:[{rest[5]}]"] = local.partition(":")[0]
    found = []
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                found.append(sockets.get(os.readlink(link), ""))
            except OSError:
                continue
    return [address for address in found if address]


def at_work(process: subprocess.Popen[str], folder: Path) -> list[int]:
    """The processes of a sweep that trains."""
    (folder / "study.yaml").write_text(STUDY)

    def trains() -> bool:
        return any("ResourceTrainable" in what for _, what in killing.descendants(process.pid))

    assert killing.wait_for(trains, process), said(folder)
    time.sleep(2)
    return [process.pid, *(pid for pid, _ in killing.descendants(process.pid))]


def said(folder: Path) -> str:
    return " ".join((folder / "said.txt").read_text().split())


def test_nobody_else_hears_it_and_sigterm_ends_it_like_ctrl_c(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY)
    with killing.started(SCRIPT, tmp_path) as process:
        pids = at_work(process, tmp_path)
        heard = listeners(pids)
        assert len(heard) >= 4
        assert set(heard) <= LOOPBACK
        second = tmp_path / "second"
        second.mkdir()
        with killing.started(SCRIPT.replace('"out"', '"../out"'), second, "--resume") as other:
            (second / "study.yaml").write_text(STUDY)
            assert other.wait(60) == 2
        assert f"process {process.pid}, since" in said(second)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 128 + signal.SIGTERM
        assert killing.gone(pids, 10)
    assert "Go on with: powerseek sweep study.yaml --out out --resume --workers 1" in said(tmp_path)
    assert "Traceback" not in said(tmp_path)
    assert not (tmp_path / "out/internals/lock").exists()


LEFT = """
import os, subprocess, sys
from powerseek.experiments.sweep.cluster import _outlived
if __name__ == "__main__":
    token, how = "of a test", sys.argv[1]
    with _outlived(token if how == "ours" else None):
        rays = subprocess.Popen(["sleep", "60"], env={"RAY_AUTH_TOKEN": token})
        print(rays.pid, flush=True)
        os._exit(1)  # as Ray's compiled code does where its raylet is gone
"""


@pytest.mark.parametrize("whose", ["ours", "another's"])
def test_a_process_that_ends_without_a_word_leaves_one_and_nothing_of_its_ray(
    whose: str, tmp_path: Path
) -> None:
    with killing.started(LEFT, tmp_path, whose) as process:
        assert process.wait(60) == 1
    time.sleep(1)
    pid, *words = (tmp_path / "said.txt").read_text().split()
    assert " ".join(words).startswith("error: this sweep's process was ended")
    assert killing.gone([int(pid)], 0) == (whose == "ours")


def test_a_death_is_heard_where_ctrl_c_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    node = SimpleNamespace(
        dead_processes=lambda: [("raylet", None)],
        live_processes=list,
        kill_all_processes=lambda **how: None,
    )
    monkeypatch.setattr("ray._private.worker._global_node", node)
    monkeypatch.setattr(cluster, "LOOK_SECONDS", 0.01)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as in the background of a script
    try:
        with pytest.raises(SweepStopped, match="raylet died"), cluster._watched():
            time.sleep(20)
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_whole_group_ends_it(sent: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY)
    with killing.started(SCRIPT, tmp_path) as process:
        pids = at_work(process, tmp_path)
        os.killpg(process.pid, sent)
        assert process.wait(60) == 128 + sent
        assert killing.gone(pids, 10)
    assert "--resume" in said(tmp_path)
    assert "Traceback" not in said(tmp_path)


def test_ray_finds_a_folder_where_its_own_is_another_users(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:

    (tmp_path / "ray").write_text("a file where a folder should be")
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    given: list[Path] = []

    def init(*_: object, _temp_dir: str, **options: object) -> None:
        given.append(Path(_temp_dir))
        assert given[0].stat().st_mode & 0o777 == 0o700

    monkeypatch.setattr(cluster.ray, "init", init)
    monkeypatch.setattr(cluster.services, "get_node_ip_address", lambda: cluster.LOOPBACK)
    with cluster.cluster(1, None):
        assert given[0].is_dir()
    assert not given[0].exists()


@pytest.mark.slow
@pytest.mark.parametrize("part", ["/raylet/raylet ", "/gcs/gcs_server "])
def test_the_death_of_ray_is_said_within_seconds(part: str, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY)
    with killing.started(SCRIPT, tmp_path) as process:
        pids = at_work(process, tmp_path)
        (victim,) = (pid for pid, what in killing.descendants(process.pid) if part in what)
        killing.kill(victim)
        assert process.wait(15) == 1
        assert killing.gone(pids, 15)
    last = (tmp_path / "said.txt").read_text().splitlines()[-1]
    assert last.startswith("error: Ray's ")
    assert "--resume" in last
