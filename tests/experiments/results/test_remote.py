"""Results elsewhere come out as those in a folder, whatever fails on the way."""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import shutil
import signal
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import fsspec
import killing
import pandas as pd
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from powerseek.errors import InvalidInput
from powerseek.experiments.results import mirror
from powerseek.experiments.results.files import StoreError, read_table, without_passwords
from powerseek.experiments.results.mirror import Mirror
from powerseek.experiments.results.remote import store_at
from powerseek.experiments.results.schema import SCHEMA
from powerseek.experiments.results.side_tables import write_tables
from powerseek.experiments.results.store import Store, checkpoint_path
from powerseek.experiments.study.checked import trials
from powerseek.experiments.study.grid import Trial
from powerseek.experiments.study.schema import Study, make_study
from powerseek.experiments.sweep import worker as attempts
from powerseek.experiments.sweep.trial import run_trial
from powerseek.experiments.sweep.worker import run_and_keep

GIVEN = {
    "name": "tiny",
    "worlds": [{"id": "off-switch", "max_steps": 12}],
    "agents": ["maskable-ppo", "minimalist"],
    "timesteps": 512,
    "episodes": 20,
    "evaluations": 2,
    "settings": {
        "maskable-ppo": {"n_envs": 16, "n_steps": 16, "batch_size": 128, "n_epochs": 1, "net": [8]}
    },
}
PARTS = (
    "internals/trials/{}.parquet",
    "internals/curves/{}.parquet",
    "internals/models/{}.zip",
    "internals/replays/{}.json.gz",
)


def parts(whole: Path, key: str) -> list[str]:
    """The files of a trial, its rows first."""
    return [part.format(key) for part in PARTS if (whole / part.format(key)).is_file()]


class Faulty(MemoryFileSystem):
    """A store in memory that fails once, at its `fails`-th request.

    Attributes:
        how: ``before`` it does what was asked, ``after`` it (the answer is lost), or ``half``:
            of what is written it keeps half.
    """

    protocol = "faulty"
    store: dict[str, Any] = {}
    pseudo_dirs = [""]
    calls = 0
    fails = 0
    how = "before"

    @classmethod
    def begin(cls, fails: int = 0, how: str = "before") -> None:
        Faulty.calls, Faulty.fails, Faulty.how = 0, fails, how

    def _due(self) -> bool:
        Faulty.calls += 1
        return Faulty.calls == Faulty.fails

    def _asked(self, do: Callable[[], Any]) -> Any:
        due = self._due()
        if due and self.how != "after":
            raise OSError("the network is gone")
        found = do()
        if due:
            raise OSError("the answer is lost")
        return found

    def _open(self, path: str, mode: str = "rb", **more: Any) -> Any:
        if mode == "rb" or self.how != "half":
            return self._asked(lambda: super(Faulty, self)._open(path, mode, **more))
        file = super()._open(path, mode, **more)
        if self._due():
            write = file.write

            def half(data: Any) -> None:
                write(bytes(data)[: len(data) // 2])
                raise OSError("the network is gone halfway")

            file.write = half
        return file

    def find(self, *given: Any, **more: Any) -> Any:
        return self._asked(lambda: super(Faulty, self).find(*given, **more))

    def mv(self, *given: Any, **more: Any) -> Any:
        return self._asked(lambda: self._moved(*given))

    def _moved(self, source: str, target: str) -> None:
        self.store[target] = self.store.pop(source)

    def rm(self, *given: Any, **more: Any) -> Any:
        return self._asked(lambda: super(Faulty, self).rm(*given, **more))


fsspec.register_implementation("faulty", Faulty)


def study() -> Study:
    return make_study(GIVEN)


def grid() -> tuple[Trial, ...]:
    return trials(study())


@pytest.fixture(autouse=True)
def empty(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(mirror, "PAUSES", ())
    yield
    Faulty.begin()
    Faulty.store.clear()
    MemoryFileSystem.store.clear()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in a folder, without an interruption."""
    store = Store(tmp_path_factory.mktemp("whole"))
    store.open(study(), grid(), resume=False)
    for trial in grid():
        store.write(trial, run_trial(trial, store.out))
    store.merge(grid())
    write_tables(store, grid())
    kept = sorted(Path(part).parts[1] for trial in grid() for part in parts(store.out, trial.key))
    assert kept == ["curves", "curves", "models", "replays", "trials", "trials"]
    return store.out


def swept(address: str) -> None:
    """What a driver and a worker do, each with a copy of its own; both start anew."""
    driver, worker = store_at(address), store_at(address, patient=True)
    driver.open(study(), grid(), resume=True)
    for trial in driver.missing(grid()):
        run_and_keep([trial], worker, 0.0, lambda text: None)
    driver.fetch()
    driver.tidy(grid())
    driver.join(grid())
    write_tables(driver, grid())
    driver.send()


def replayed(whole: Path) -> Callable[..., Any]:
    """Trials that take no time: their files and rows are those of the run in a folder."""

    def run(trials: Sequence[Trial], out: Path, **how: Any) -> Iterator[tuple[Trial, Any]]:
        for trial in trials:
            yield trial, rows(trial, out, **how)

    def rows(trial: Trial, out: Path, *, sent: Callable[[Path], None], **more: Any) -> pd.DataFrame:
        checkpoint = checkpoint_path(out, trial)
        checkpoint.parent.mkdir(exist_ok=True, parents=True)
        checkpoint.write_text("some way")
        with contextlib.suppress(StoreError):
            sent(checkpoint)
        for name in (
            *parts(whole, trial.key)[1:],
            *(f"internals/oracles/{path.name}" for path in (whole / "internals/oracles").iterdir()),
        ):
            (out / name).parent.mkdir(exist_ok=True, parents=True)
            shutil.copyfile(whole / name, out / name)
        return read_table(whole / "internals/trials" / f"{trial.key}.parquet", SCHEMA).to_pandas()

    return run


def same(found: Path, expected: Path) -> None:
    """One file holds what the other holds."""
    if found.suffix == ".parquet":
        tables = (pd.read_parquet(path) for path in (found, expected))
        pd.testing.assert_frame_equal(*tables, check_exact=True)
    elif found.suffix == ".zip":
        names = (zipfile.ZipFile(path).namelist() for path in (found, expected))
        assert next(names) == next(names)
    else:
        assert found.read_bytes() == expected.read_bytes()


def check(found: Mirror, whole: Path) -> None:
    """All results, as in the folder; nothing left over."""
    names = found.listing()
    assert not [
        name for name in names if name.startswith(("internals/checkpoints/", "internals/errors/"))
    ]
    assert not found.listing(begun=True)
    found.fetch(names)
    for name in (
        "results.parquet",
        "trials.parquet",
        "internals/curves.parquet",
        "internals/frontiers.parquet",
        *(part for trial in grid() for part in parts(whole, trial.key)),
    ):
        assert name in names
        same(found.folder / name, whole / name)


KINDS = ["memory://a/b", "memory://object/store", "fsspec+local://{}/r", "local://{}/r"]


@pytest.mark.parametrize("kind", KINDS)
def test_results_elsewhere_are_those_of_a_folder(
    kind: str, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "object" in kind:  # where nothing is moved
        monkeypatch.setattr(mirror, "WHOLE_OR_NOT", {"py::fsspec+memory"})
    address = kind.format(tmp_path)
    swept(address)
    check(Mirror(address), whole)
    again = store_at(address)
    again.open(study(), grid(), resume=True)
    assert again.missing(grid()) == []
    if "memory" not in kind:  # it does not tell when what was written
        assert not again.stale(grid())
    assert again.mirror.changed() == []  # nothing to be sent that is there
    with pytest.raises(InvalidInput, match="--resume") as refused:
        store_at(address).open(study(), grid(), resume=False)
    assert str(again.out.parent.parent) not in str(refused.value).replace(str(tmp_path), "")
    assert again.study() == study()


FAULTY = "fsspec+faulty://a/b"
HOW = ("before", "after", "half")


@pytest.mark.parametrize("first", range(len(HOW)))
def test_a_store_that_fails_costs_nothing_but_time(
    first: int, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "run_trials", replayed(whole))
    failing(HOW[first], whole, range(2 + 4 * first, 200, 13))


@pytest.mark.slow
@pytest.mark.parametrize("how", HOW)
def test_a_store_that_fails_at_any_request_costs_nothing_but_time(
    how: str, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "run_trials", replayed(whole))
    failing(how, whole, itertools.count(1))


def test_a_single_failure_is_tried_again(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "run_trials", replayed(whole))
    monkeypatch.setattr(mirror, "PAUSES", (0.0,))
    for fails in range(9, 40, 5):
        Faulty.store.clear()
        Faulty.begin(fails, HOW[fails % len(HOW)])
        swept(FAULTY)
        assert Faulty.calls > fails
        Faulty.begin()
        check(Mirror(FAULTY), whole)


def failing(how: str, whole: Path, requests: Iterable[int]) -> None:
    """Fail each of these requests, in a run of its own, until there are not so many."""
    said: list[str] = []
    for fails in requests:
        Faulty.store.clear()
        Faulty.begin(fails, how)
        with contextlib.suppress(StoreError):
            try:
                swept(FAULTY)
            except StoreError as error:
                said.append(str(error))
                raise
        met = Faulty.calls >= fails
        Faulty.begin()
        check_kept(Mirror(FAULTY), whole)
        swept(FAULTY)
        check(Mirror(FAULTY), whole)
        if not met:
            break
    else:
        raise AssertionError("more requests than were tried")
    assert len(said) > 3
    assert all("faulty://a/b" in text and "powerseek-out" not in text for text in said)


def check_kept(kept: Mirror, whole: Path) -> None:
    """A trial whose rows are there is finished, and all that belongs to it lies beside them."""
    names = kept.listing()
    kept.fetch(names)
    for name in names:
        if name.startswith("internals/trials/"):
            for part in parts(whole, Path(name).stem):
                same(kept.folder / part, whole / part)
            assert any(name.startswith("internals/oracles/") for name in names)
    begun = any(name.startswith("internals/trials/") for name in names)
    assert "internals/manifest.json" in names or not begun


def test_two_drivers_at_once_end_with_the_same(
    whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "run_trials", replayed(whole))
    address = "memory://two/drivers"
    one, other = store_at(address), store_at(address)
    one.open(study(), grid(), resume=False)
    with pytest.raises(InvalidInput, match="--resume"):
        other.open(study(), grid(), resume=False)
    other.open(study(), grid(), resume=True)
    for store, tried in ((one, grid()[:1]), (other, grid()), (one, grid()[1:])):
        for trial in tried:
            assert run_and_keep([trial], store_at(address), 0.0, lambda text: None) == [True]
        store.fetch()
        store.tidy(grid())
        store.join(grid())
        write_tables(store, grid())
        store.send()
    check(Mirror(address), whole)


def test_a_trial_goes_on_elsewhere_from_the_checkpoint_that_was_sent(
    whole: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    address, trial = f"local://{tmp_path}/r", grid()[0]
    first = store_at(address)
    first.open(study(), grid(), resume=False)
    worker = store_at(address)
    # In the background Ctrl-C is ignored: what raises it would be taken for the trial's own.
    request.addfinalizer(partial(signal.signal, signal.SIGINT, signal.getsignal(signal.SIGINT)))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.raises(KeyboardInterrupt):
        run_and_keep([trial], Stopped(worker, after=1), 0.0, lambda text: None)
    assert list(Mirror(address).listing("internals/checkpoints")) == [
        f"internals/checkpoints/{trial.key}.zip"
    ]
    assert not first.done(trial)
    again, sent = store_at(address), Stopped(store_at(address), after=99)
    again.open(study(), grid(), resume=True)
    assert run_and_keep([trial], sent, 0.0, lambda text: pytest.fail(text)) == [True]
    assert sent.count == 2  # of three
    assert again.done(trial)
    same(again.path(trial), whole / "internals/trials" / f"{trial.key}.parquet")
    assert again.missing(grid()) == list(grid()[1:])


class Stopped:
    """A store whose process is interrupted once it has sent some checkpoints."""

    def __init__(self, store: Store, after: int) -> None:
        self.store, self.after, self.count = store, after, 0

    def sent(self, path: Path) -> None:
        self.store.sent(path)
        self.count += 1
        if self.count == self.after:
            raise KeyboardInterrupt

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)


def test_a_failed_trial_is_there_with_its_error_and_is_tried_again(
    whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(trials: Sequence[Trial], out: Path, **more: Any) -> Iterator[tuple[Trial, Any]]:
        yield trials[0], RuntimeError(f"broken in {out}")

    address = "memory://failed"
    store = store_at(address)
    store.open(study(), grid(), resume=False)
    monkeypatch.setattr(attempts, "run_trials", broken)
    for trial in grid():
        assert run_and_keep([trial], store_at(address), 0.0, lambda text: None) == [False]
    store.fetch()
    assert store.failed(grid()) == list(grid())
    error = store.error_path(grid()[0])
    assert "RuntimeError: broken in memory://failed" in error.read_text()
    assert store.shown(error) == f"memory://failed/internals/errors/{grid()[0].key}.txt"
    monkeypatch.setattr(attempts, "run_trials", replayed(whole))
    swept(address)
    check(Mirror(address), whole)
    store.fetch()
    assert store.failed(grid()) == []


def test_what_is_half_there_is_not_there_and_is_tidied() -> None:
    address = "memory://half"
    files = fsspec.filesystem("memory")
    files.pipe("/half/trials/x.parquet", b"")
    files.pipe("/half/trials/.y.parquet.123", b"half")
    files.pipe("/half/manifest.json", b"{}")
    here = Mirror(address)
    assert set(here.listing()) == {"manifest.json"}
    here.fetch(["trials/x.parquet", "manifest.json"])
    assert [path.name for path in here.folder.rglob("*") if path.is_file()] == ["manifest.json"]
    assert set(here.listing(begun=True)) == {"trials/.y.parquet.123"}


def test_a_copy_goes_with_its_owner_and_what_a_killed_one_left_goes_later(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left = tmp_path / "powerseek-out-left"
    left.mkdir()
    (left / "lock").touch()
    one = Mirror("memory://copy")
    assert left.is_dir()  # its owner may be about to lock it
    for lock in tmp_path.glob("*/lock"):
        os.utime(lock, (0, 0))
    other = Mirror("memory://copy")
    assert not left.exists()
    assert one.folder.is_dir()
    assert other.folder != one.folder
    del one, other
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_passwords_are_not_shown() -> None:
    assert without_passwords("--out s3://key:secret@bucket/a b") == "--out s3://key:***@bucket/a b"
    for text in ("s3://key@bucket/x", "hdfs://host:9000/x", "https://host:80/a@b", "a: b@c"):
        assert without_passwords(text) == text


SCRIPT = f"""
import sys
from powerseek.experiments import run_study
from powerseek.experiments.study.schema import make_study
if __name__ == "__main__":
    study = make_study({GIVEN | {"seeds": 2, "timesteps": 256 * 40}!r})
    done = run_study(study, sys.argv[1], resume=True, workers=2, checkpoint_seconds=0.0)
    print(done.store.shown(done.report), [p.is_file() for p in (done.report, *done.figures)])
"""


def longer() -> tuple[Trial, ...]:
    return trials(make_study(GIVEN | {"seeds": 2, "timesteps": 256 * 40}))


@pytest.mark.slow
def test_a_killed_sweep_goes_on_from_another_machine_s_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two workers without a shared folder; another TMPDIR stands for another machine."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("RAY_TMPDIR", tempfile.gettempdir())  # short, for its sockets
    there, address = tmp_path / "there", f"fsspec+local://{tmp_path}/there"
    seen: set[tuple[str, int]] = set()

    def under_way() -> bool:
        for path in (there / "internals/checkpoints").glob("[!.]*"):
            with contextlib.suppress(FileNotFoundError):
                seen.add((path.name, path.stat().st_mtime_ns))
        return len(seen) >= 6

    (tmp_path / "one").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "one"))
    with killing.started(SCRIPT, tmp_path, address) as process:
        assert killing.wait_for(under_way, process), (tmp_path / "said.txt").read_text()
        below = [pid for pid, _ in killing.descendants(process.pid)]
        killing.kill(process.pid)
        killing.gone(below, 5)
    keys = {trial.key for trial in longer()}
    before = {
        path.stem: path.stat().st_mtime_ns for path in (there / "internals/trials").glob("[!.]*")
    }
    assert before.keys() < keys
    shutil.rmtree(tmp_path / "one")

    (tmp_path / "two").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "two"))
    done = killing.start(SCRIPT, tmp_path, address)
    said = (done.wait(), (tmp_path / "said.txt").read_text())
    assert said[0] == 0, said[1]
    assert f"{address}/report.html [True" in said[1]
    assert "Traceback" not in said[1]
    assert not list((tmp_path / "two").glob("powerseek-out-*/out/internals/trials/*"))
    after = {path.stem: path.stat().st_mtime_ns for path in (there / "internals/trials").iterdir()}
    assert after.keys() == keys
    assert before.items() <= after.items()
    names = {path.name for path in there.iterdir()}
    assert {"report.html", "summary.md", "trials.parquet", "internals", "tensorboard"} <= names
    assert not {"checkpoints"} & {path.parts[-2] for path in there.rglob("*") if path.is_file()}
    assert not [path for path in there.rglob(".*") if path.is_file()]
    assert len({path.parent for path in (there / "internals/tensorboard").rglob("events.*")}) == 4

    store = Store(tmp_path / "local")
    store.open(make_study(GIVEN | {"seeds": 2, "timesteps": 256 * 40}), longer(), resume=False)
    for trial in longer():
        store.write(trial, run_trial(trial, store.out))
    whole = store.merge(longer())
    found = pd.read_parquet(there / "results.parquet")
    pd.testing.assert_frame_equal(found, whole, check_exact=True)
