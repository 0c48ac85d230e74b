"""One sweep per results directory."""

from __future__ import annotations

import os
from pathlib import Path

import killing
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from powerseek.errors import InvalidInput
from powerseek.experiments import layout
from powerseek.experiments.results import lock
from powerseek.experiments.results.files import StoreError
from powerseek.experiments.results.lock import locked_folder, locked_mirror
from powerseek.experiments.results.mirror import Mirror

HOLD = """
import sys, time
from pathlib import Path
from powerseek.experiments.results.lock import locked_folder
with locked_folder(Path("out"), print):
    Path("held").touch()
    time.sleep(600)
"""


def silent(text: str) -> None:
    raise AssertionError(text)


def test_the_second_is_told_who_holds_it_and_leaves_no_trace(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with locked_folder(out, silent):
        with (
            pytest.raises(
                InvalidInput, match=rf"held by \w+ on \S+ \(process {os.getpid()}, since"
            ),
            locked_folder(out, silent),
        ):
            pass
        assert [path.name for path in out.rglob("*")] == ["internals", "lock"]
    assert not out.exists()
    with locked_folder(out, silent):
        (out / "a").touch()
    assert [path.name for path in out.iterdir()] == ["a"]


def test_one_that_was_killed_is_taken_over_with_a_word(tmp_path: Path) -> None:
    with killing.started(HOLD, tmp_path) as process:
        assert killing.wait_for((tmp_path / "held").exists, process)
        with (
            pytest.raises(InvalidInput, match=f"process {process.pid}"),
            locked_folder(tmp_path / "out", silent),
        ):
            pass
        killing.kill(process.pid)
        process.wait()
    said: list[str] = []
    with locked_folder(tmp_path / "out", said.append):
        pass
    assert len(said) == 1
    assert f"(process {process.pid}, since" in said[0]
    assert "taken over" in said[0]
    with locked_folder(tmp_path / "out", silent):
        pass


@pytest.mark.parametrize("kind", ["fifo", "link", "folder"])
def test_what_is_no_file_is_refused_and_stays(kind: str, tmp_path: Path) -> None:
    path = tmp_path / layout.LOCK
    path.parent.mkdir()
    (tmp_path / "mine").write_text("mine")
    make = {
        "fifo": os.mkfifo,
        "link": lambda p: p.symlink_to(tmp_path / "mine"),
        "folder": os.mkdir,
    }
    make[kind](path)
    with pytest.raises(StoreError, match="lock"), locked_folder(tmp_path, silent):
        pass
    assert (tmp_path / "mine").read_text() == "mine"
    assert path.is_symlink() or path.exists()


@pytest.mark.parametrize("left", ["", "{}", "[1]", '{"user": 1}', "half a li"])
def test_a_name_that_cannot_be_read_does_not_matter(left: str, tmp_path: Path) -> None:
    path = tmp_path / layout.LOCK
    path.parent.mkdir()
    path.write_text(left)
    said: list[str] = []
    with locked_folder(tmp_path, said.append):
        pass
    assert len(said) == bool(left)


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(lock, "SETTLE", 0.0)
    MemoryFileSystem.store.clear()
    return "fsspec+memory://lab/out"


def test_elsewhere_the_second_is_refused_until_the_first_has_ended(elsewhere: str) -> None:
    with locked_mirror(Mirror(elsewhere), silent):
        with (
            pytest.raises(InvalidInput, match=f"process {os.getpid()}"),
            locked_mirror(Mirror(elsewhere), silent),
        ):
            pass
        assert set(Mirror(elsewhere).listing()) == {layout.LOCK}
    assert not Mirror(elsewhere).listing()
    with locked_mirror(Mirror(elsewhere), silent):
        pass


def test_elsewhere_one_without_a_sign_of_life_is_taken_over(
    elsewhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with locked_mirror(Mirror(elsewhere), silent):
        left = dict(MemoryFileSystem.store)
    MemoryFileSystem.store.update(left)
    listing = Mirror.listing

    def aged(mirror: Mirror, under: str = "", begun: bool = False) -> dict[str, tuple[int, int]]:
        hour = {True: 0, False: 3600 * 10**9}
        return {n: (1, 10**18 - hour["-" in n]) for n in listing(mirror, under, begun)}

    monkeypatch.setattr(Mirror, "listing", aged)
    said: list[str] = []
    with locked_mirror(Mirror(elsewhere), said.append):
        pass
    assert [f"process {os.getpid()}" in text for text in said] == [True]


def test_of_two_who_begin_at_once_elsewhere_one_goes_on(
    elsewhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Mirror(elsewhere)

    def settle(seconds: float) -> None:  # the other wrote later
        lock._send(other, layout.LOCK, '{"user": "ann", "host": "h", "pid": 1, "since": "now"}')

    monkeypatch.setattr("powerseek.experiments.results.lock.time.sleep", settle)
    with pytest.raises(InvalidInput, match="ann on h"), locked_mirror(Mirror(elsewhere), silent):
        pass
