"""A sweep's Ray: heard by nobody else, ended by any signal, missed within seconds."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import killing
import networks
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


def listeners(pids: list[int]) -> dict[int, str]:
    """Ports that TCP sockets of these processes listen on, and at which address (the kernel's)."""
    sockets = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pids[0]}/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *rest = line.split()
            if state == LISTENS:
                sockets[f"socket:[{rest[5]}]"] = local.split(":")
    found = {}
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").glob("*"):
            with contextlib.suppress(OSError, KeyError):
                address, port = sockets[os.readlink(link)]
                found[int(port, 16)] = address
    return found


def at_work(process: subprocess.Popen[str], folder: Path) -> list[int]:
    """The processes of a sweep that trains."""
    (folder / "study.yaml").write_text(STUDY)

    def trains() -> bool:
        return any("ResourceTrainable" in what for _, what in killing.descendants(process.pid))

    assert killing.wait_for(trains, process), said(folder)
    time.sleep(2)
    return [process.pid, *(pid for pid, _ in killing.descendants(process.pid))]


def private_folder(driver: int) -> Path:
    """The folder that Ray's own lies in, which no other user may enter."""
    commands = " ".join(command for _, command in killing.descendants(driver))
    (session,) = set(re.findall(r"/\S+/session_[\w-]+", commands))
    folder = Path(session).parents[1]
    assert folder.stat().st_mode & 0o777 == 0o700
    assert folder.name.startswith("ray-")
    return folder


def environment(pid: int) -> dict[str, str]:
    given = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(variable.split("=", 1) for variable in given if variable)


def said(folder: Path) -> str:
    return " ".join((folder / "said.txt").read_text().split())


@pytest.fixture(params=["in a network of its own", "in this one"])
def ends(request: pytest.FixtureRequest) -> Iterator[list[networks.Within]]:
    """The network that a sweep runs in, and another one at the other end of its cable, if any."""
    reason = networks.unavailable()
    if request.param == "in this one":
        if not reason:
            pytest.skip("it runs in a network of its own")
        yield [()]
        return
    if reason:
        pytest.skip(reason)
    with networks.joined() as both:
        yield list(both)


@pytest.mark.slow  # half a minute, and its time runs out where the machine is busy
def test_nobody_else_hears_it_and_sigterm_ends_it_like_ctrl_c(
    ends: list[networks.Within], tmp_path: Path
) -> None:
    here, *elsewhere = ends
    (tmp_path / "study.yaml").write_text(STUDY)
    with killing.started(SCRIPT, tmp_path, within=here) as process:
        pids = at_work(process, tmp_path)
        heard = listeners(pids)
        assert len(heard) >= 4
        assert set(heard.values()) <= LOOPBACK
        assert set(networks.knock(here, "127.0.0.1", list(heard)).values()) == {"answered"}
        for other in elsewhere:  # which reaches the machine, as the refusals say
            answers = networks.knock(other, networks.INSIDE, list(heard))
            assert set(answers.values()) == {"ConnectionRefusedError"}
        folder = private_folder(process.pid)
        (token,) = {known for pid in pids if (known := environment(pid).get("RAY_AUTH_TOKEN"))}
        written = [path for path in folder.rglob("*") if path.is_file()]
        assert len(written) > 5
        assert not [path for path in written if token.encode() in path.read_bytes()]
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
    assert not folder.exists()


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
    for _ in range(3000):  # another process tells, when it is done
        if "error: " in said(tmp_path):
            break
        time.sleep(0.01)
    pid, *words = (tmp_path / "said.txt").read_text().split()
    assert " ".join(words).startswith("error: this sweep's process was ended")
    assert killing.gone([int(pid)], 0) == (whose == "ours")


def wait(seconds: float) -> None:
    """In steps: one long sleep would be slept to its end."""
    for _ in range(int(seconds * 100)):
        time.sleep(0.01)


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
            wait(20)
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


@pytest.mark.parametrize("usual", ["a file", "x" * 99])
def test_ray_has_a_folder_of_its_own_where_the_usual_place_will_not_do(
    usual: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "a file").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAY_TMPDIR", usual)
    given: list[Path] = []

    def init(*_: object, _temp_dir: str, **options: object) -> None:
        given.append(Path(_temp_dir))
        assert given[0].parent.stat().st_mode & 0o777 == 0o700

    monkeypatch.setattr(cluster.ray, "init", init)
    monkeypatch.setattr(cluster.services, "get_node_ip_address", lambda: cluster.LOOPBACK)
    with cluster.cluster(1, None):
        assert given[0].parent.is_dir()
    assert not given[0].parent.exists()


def test_every_sweep_of_a_process_has_a_token_whatever_the_environment_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "1" * 64)
    loader = cluster.AuthenticationTokenLoader.instance()
    loader.reset_cache()
    tokens = [loader.get_raw_token(ignore_auth_mode=True)]
    for _ in range(2):
        with cluster._token():
            assert "RAY_AUTH_MODE" not in os.environ  # Ray asks for the token that it finds
            tokens.append(loader.get_raw_token(ignore_auth_mode=True))
            assert tokens[-1] == os.environ["RAY_AUTH_TOKEN"]
        assert os.environ["RAY_AUTH_MODE"] == "disabled"
    assert len(set(tokens)) == 3
    assert loader.get_raw_token(ignore_auth_mode=True) == tokens[0]
    monkeypatch.undo()
    loader.reset_cache()


@pytest.mark.slow
def test_a_process_may_sweep_twice(tmp_path: Path) -> None:
    study = {"name": "s", "worlds": [{"id": "star"}], "agents": ["random"], "timesteps": 1}
    script = f"""
from powerseek.experiments import run_study
if __name__ == "__main__":
    for out in ("first", "second"):
        assert not run_study({study!r}, out, workers=1).failed
"""
    with killing.started(script, tmp_path) as process:
        assert process.wait(100) == 0, said(tmp_path)


def test_of_a_cluster_that_was_there_it_is_said_whom_it_trusts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    joined: list[str] = []
    monkeypatch.setattr(cluster.ray, "init", lambda address, **options: joined.append(address))
    with cluster.cluster(1, "10.0.0.1:6379") as warning:
        assert "can run code as you" in warning
    assert joined == ["10.0.0.1:6379"]


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
