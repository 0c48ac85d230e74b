"""Every record of a results directory, damaged in seeded ways: refused by name, or read right."""

from __future__ import annotations

import copy
import json
import os
import random
import shutil
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from powerseek.errors import PowerseekError
from powerseek.experiments import layout, run
from powerseek.experiments.analysis.view import View
from powerseek.experiments.results.integrity import is_drawn, note_drawn, sources
from powerseek.experiments.results.oracles import kept_oracle
from powerseek.experiments.results.provenance import (
    describe_run,
    provenance_in_words,
    read_provenance,
)
from powerseek.experiments.results.recordings import read_recording
from powerseek.experiments.results.side_tables import read_side_table, write_tables
from powerseek.experiments.results.store import Store
from powerseek.experiments.study.checked import trials
from powerseek.experiments.study.preregistration import read_registration
from powerseek.experiments.study.schema import make_study
from powerseek.experiments.sweep import oracles
from powerseek.experiments.sweep.trial import run_trial
from powerseek.experiments.tensorboard.bands import read_curve

STUDY = make_study(
    {
        "name": "tiny",
        "worlds": [{"id": "star"}],
        "rewards": ["dense", {"every": "cap"}],
        "agents": ["minimalist"],
        "seeds": 1,
        "timesteps": 8,
        "episodes": 4,
        "evaluations": 1,
        "hypotheses": [{"id": "H1", "contrast": "timing", "direction": "larger", "margin": 0.5}],
    }
)
GRID = trials(STUDY)
KEY = GRID[0].key
MUTATIONS = 14


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study whose pages are a word each."""
    store = Store(tmp_path_factory.mktemp("whole") / "out")
    store.open(STUDY, GRID, resume=False)
    for trial in GRID:
        store.write(trial, run_trial(trial, store.out))
    store.provenance(STUDY, GRID, describe_run("powerseek sweep tiny", 1.0, 1, 1.0))
    store.join(GRID)
    write_tables(store, GRID)
    for name in (layout.REPORT, layout.SUMMARY):
        (store.out / name).write_text("drawn")
    note_drawn(store.out, sources(store.out))
    return store.out


@pytest.fixture
def out(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "out"))


def rows(out: Path) -> Any:
    """The rows that a report would be made from."""
    store = Store(out)
    grid = trials(store.study())
    store.check(grid)
    assert all(isinstance(line, str) for line in store.cautions(grid))
    if store.stale(grid):
        store.join(grid)
    found = View.read(out)
    return found.results.every.to_json(), store.load().to_json(), len(store.failed(grid))


def resumed(out: Path) -> Any:
    """What a resume finds to do."""
    there = Path(shutil.copytree(out, out.with_name("resumed"), copy_function=os.link))
    try:
        store = Store(there)
        store.open(STUDY, GRID, resume=True)
        return len(store.missing(GRID)), [store.done(trial) for trial in GRID]
    finally:
        shutil.rmtree(there)


def claims(out: Path) -> Any:
    said = read_registration(out)
    return said and [(claim.hypothesis.margin, claim.confirmatory) for claim in said.claims]


def side_tables(out: Path) -> Any:
    tables = (read_side_table(out, name) for name in ("curves", "frontiers"))
    return [None if table is None else table.to_json() for table in tables]


def frontiers(out: Path) -> Any:
    found = [kept_oracle(trial.cell, out) for trial in GRID]
    return [None if each is None else each.states for each in found]


def recordings(out: Path) -> Any:
    return [read_recording(out, trial.key)["episodes"] for trial in GRID]


def curves(out: Path) -> Any:
    return [read_curve(out / layout.CURVES / f"{trial.key}.parquet") for trial in GRID]


def without_reason(told: dict[str, str]) -> dict[str, str]:
    """What is lost, whatever was done to it."""
    if "lost" not in told:
        return told
    where, read, _ = told["lost"].partition(": cannot be read")
    return {**told, "lost": f"{where}{read}"}


READERS: dict[str, Callable[[Path], Any]] = {
    "rows": rows,
    "claims": claims,
    "side tables": side_tables,
    "frontiers": frontiers,
    "recordings": recordings,
    "curves": curves,
    "resumed": resumed,
    "provenance": lambda out: without_reason(provenance_in_words(read_provenance(out))),
    "drawn": lambda out: is_drawn(out, sources(out)),
    "error": lambda out: Store(out).error(GRID[0]),
}
CATCHES = {"recordings": (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError)}
"""What the replays of a report take for one that cannot be read."""
LEFT_OUT: dict[str, Any] = {
    "provenance": {"lost": "internals/provenance.json: cannot be read"},
    "drawn": False,
    "frontiers": [None] * len(GRID),
    "curves": [{}, {}],
}
"""What stands for a damaged one: the report says so, draws anew, or computes it again."""


def read(out: Path) -> dict[str, Any]:
    """What each reader finds; a PowerseekError is one of its answers."""
    found: dict[str, Any] = {}
    for name, reader in READERS.items():
        try:
            found[name] = reader(out)
        except (PowerseekError, *CATCHES.get(name, ())) as error:
            found[name], words = "refused", str(error)
            if name not in CATCHES:
                assert "\n" not in words
    return found


def mutate(path: Path, seed: int) -> None:
    """Damage a file: mostly a bit, else a cut, a burst of zeros, or something that is no file."""
    data, chance = path.read_bytes(), random.Random(seed)
    at = chance.randrange(len(data))
    if seed < MUTATIONS - 8:
        flipped = bytearray(data)
        flipped[at] ^= 1 << chance.randrange(8)
        path.write_bytes(flipped)
        return
    path.unlink()
    match MUTATIONS - seed:
        case 1:
            os.mkfifo(path)
        case 2:
            path.mkdir()
        case 3:
            path.symlink_to("/dev/zero")
        case 4:
            path.write_bytes(b"")
        case 5:
            path.write_bytes(b"null")
        case 6:
            path.write_bytes(b"\xff\xfe" + data)
        case 7:
            path.write_bytes(data[:at])
        case _:
            path.write_bytes(data[:at] + bytes(64) + data[at + 64 :])


RECORDS = {
    "trial": f"{layout.ROWS}/{KEY}.parquet",
    "results": layout.RESULTS,
    "manifest": layout.MANIFEST,
    "study": layout.STUDY,
    "registration": layout.REGISTRATION,
    "provenance": layout.PROVENANCE,
    "drawn": layout.DRAWN,
    "curve": f"{layout.CURVES}/{KEY}.parquet",
    "curves": f"{layout.INTERNALS}/curves.parquet",
    "frontiers": f"{layout.INTERNALS}/frontiers.parquet",
    "recording": f"{layout.REPLAYS}/{KEY}.json.gz",
}


@pytest.mark.parametrize("name", RECORDS)
def test_a_damaged_record_is_refused_or_read_right(name: str, out: Path, whole: Path) -> None:
    path, right = out / RECORDS[name], read(whole)
    for seed in range(MUTATIONS):
        shutil.copy2(whole / RECORDS[name], path)
        mutate(path, seed)
        found = read(out)
        for reader, answer in found.items():
            if answer == "refused" or answer == right[reader]:
                continue
            if reader == "claims":  # damaged ones are shown, as exploratory
                assert not any(confirmatory for _, confirmatory in answer)
            elif reader == "frontiers" or reader == "curves":
                assert None in answer or {} in answer
            else:
                assert answer == LEFT_OUT[reader], (name, seed, reader)
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink()


NAMES = ("manifest", "registration", "provenance", "drawn")
WRONG: tuple[Any, ...] = (None, 7, -1, 1e999, "x", "\ud800", [], [3], {}, {"a": 1}, 10**5000, True)


def places(held: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each value that a record holds."""
    yield above
    parts = dict(enumerate(held)) if isinstance(held, list) else held
    for name, part in parts.items() if isinstance(parts, dict) else ():
        yield from places(part, (*above, name))


@pytest.mark.parametrize("name", NAMES)
def test_a_record_of_an_older_version_edited_by_hand_is_no_traceback(
    name: str, out: Path, whole: Path
) -> None:
    """Without checksums, so that it is the shape that counts."""
    chance, path = random.Random(0), out / RECORDS[name]
    about = json.loads((out / layout.MANIFEST).read_text())
    del about["checksum"], about["checksums"]
    (out / layout.MANIFEST).write_text(json.dumps(about))
    held = json.loads(path.read_text())
    held.pop("checksum", None)
    ways = [way for way in places(held) if way and way[0] != "files"]
    for number in range(MUTATIONS):
        edited = copy.deepcopy(held)
        *above, last = ways[number % len(ways)] if number < len(ways) else chance.choice(ways)
        place = edited
        for step in above:
            place = place[step]
        place[last] = chance.choice(WRONG)
        path.write_text(dumped(edited))
        read(out)


def dumped(held: Any) -> str:
    """JSON, of whole numbers too long for Python to write as well."""
    sys.set_int_max_str_digits(0)
    try:
        return json.dumps(held)
    finally:
        sys.set_int_max_str_digits(4300)


def test_rows_put_back_with_their_time_are_merged_and_no_longer_failed(out: Path) -> None:
    store, trial = Store(out), GRID[0]
    good = out.with_name("good")
    shutil.copy2(store.path(trial), good)
    store.write_failed(trial, "the roof fell in")
    store.join(GRID)
    assert store.failed(GRID) == [trial]
    shutil.copy2(good, store.path(trial))
    assert store.stale(GRID)
    assert store.failed(GRID) == []  # its error outlives it
    assert store.missing(GRID) == []
    store.join(GRID)
    assert not store.load()["status"].eq("failed").any()


def test_a_failed_trial_without_its_error_is_tried_again(out: Path) -> None:
    store = Store(out)
    store.write_failed(GRID[0], "the roof fell in")
    store.error_path(GRID[0]).unlink()
    assert store.missing(GRID) == [GRID[0]]
    assert not store.done(GRID[0])
    assert store.error(GRID[0]) == "no reason given"


CHANGES: dict[str, Callable[[Path], object]] = {
    "merged anew, then killed": lambda out: merged_anew(out),
    "an older page put back": lambda out: (out / layout.REPORT).write_text("older"),
    "a table edited": lambda out: (out / layout.TRIALS).write_bytes(b""),
    "a curve put back": lambda out: (out / RECORDS["curve"]).unlink(),
    "another machine's provenance": lambda out: (out / layout.PROVENANCE).write_text("{}"),
    "a page lost": lambda out: (out / layout.SUMMARY).unlink(),
}


def merged_anew(out: Path) -> None:
    store = Store(out)
    store.write_failed(GRID[1], "x")
    store.join(GRID)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_pages_are_of_what_lies_there_by_its_content(
    change: Callable[[Path], object], out: Path
) -> None:
    for path in out.rglob("*"):
        os.utime(path)  # times do not count
    assert is_drawn(out, sources(out))
    times = {path: path.stat() for path in out.rglob("*") if path.is_file()}
    change(out)
    for path, was in times.items():
        if path.exists():
            os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert not is_drawn(out, sources(out))


def test_results_of_a_version_without_checksums_are_read_and_it_is_said_once(out: Path) -> None:
    for path in (out / layout.ROWS).iterdir():
        pq.write_table(pq.read_table(path).replace_schema_metadata(None), path)
    for name in NAMES:
        held = json.loads((out / RECORDS[name]).read_text())
        del held["checksum"]
        held.pop("checksums", None)
        (out / RECORDS[name]).write_text(json.dumps(held))
    before = read(out)
    assert "refused" not in before.values()
    said = [line for line in Store(out).cautions(GRID) if "checksums" in line]
    assert [line.partition(": ")[2] for line in said] == [
        "an older version wrote 2 of 2 trials without checksums: damage to them would go unnoticed."
    ]
    for trial in GRID:
        store = Store(out)
        store.open(STUDY, GRID, resume=True)
        assert not store.checksummed
        store.write(trial, run_trial(trial, out))
    store.open(STUDY, GRID, resume=True)
    assert not store.cautions(GRID)
    store.provenance(STUDY, GRID, describe_run("again", 1.0, 1, 1.0))
    assert len(read_provenance(out)["runs"]) == 2


def test_a_lost_manifest_does_not_make_checksums_optional(out: Path) -> None:
    (out / layout.MANIFEST).unlink()
    Store(out).open(STUDY, GRID, resume=True)
    assert Store(out).checksummed


def test_rows_edited_by_a_tool_are_named(out: Path) -> None:
    path = out / RECORDS["trial"]
    pq.write_table(pq.read_table(path).replace_schema_metadata(None), path)
    for check in (rows, resumed):
        with pytest.raises(PowerseekError, match=rf"{KEY}.*its checksum is gone: edited"):
            check(out)
    pd.read_parquet(path).assign(value=1.0).to_parquet(path)
    for check in (rows, resumed):
        with pytest.raises(PowerseekError, match=rf"{KEY}.*its checksum is gone: edited"):
            check(out)


@pytest.mark.parametrize("name", ["provenance", "registration"])
def test_a_record_whose_checksum_was_taken_out_is_not_believed(name: str, out: Path) -> None:
    path = out / RECORDS[name]
    held = json.loads(path.read_text())
    del held["checksum"]
    path.write_text(json.dumps(held))
    if name == "registration":
        said = read_registration(out)
        assert said is not None
        assert not any(claim.confirmatory for claim in said.claims)
        with pytest.raises(PowerseekError, match="its checksum is gone"):
            Store(out).open(STUDY, GRID, resume=True)
    else:
        assert list(read_provenance(out)) == ["lost"]
        assert "its checksum is gone" in "".join(Store(out).cautions(GRID))


def test_a_table_edited_by_hand_is_said_and_merged_anew(out: Path, whole: Path) -> None:
    path = out / layout.RESULTS
    pd.read_parquet(path).assign(value=1.0).to_parquet(path)
    store = Store(out)
    assert store.stale(GRID)
    store.join(GRID)
    assert path.read_bytes() == (whole / layout.RESULTS).read_bytes()


@pytest.mark.parametrize("folder", [layout.CURVES, layout.ORACLES])
def test_what_a_report_lacks_is_named_with_what_to_do(folder: str, out: Path) -> None:
    store = Store(out)
    for path in (out / folder).iterdir():
        path.write_bytes(b"damaged")
    lines = write_tables(store, GRID)
    assert lines
    assert all(str(out / folder) in line for line in lines)
    for line in lines:
        Path(line.partition("again, move ")[2].partition(" away and run")[0]).unlink()
    for trial in store.missing(GRID):
        oracles._oracle.cache_clear()
        store.write(trial, run_trial(trial, store.out))
    assert write_tables(store, GRID) == ()


def test_what_a_killed_merge_left_half_written_goes(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = run.Finished(None, (), Store(out), ())  # type: ignore[arg-type]  # nor anything read
    monkeypatch.setattr(
        run, "finish", lambda store, grid, told: nothing
    )  # nothing is to be run or drawn
    half = out / ".abcd1234.powerseek-part"
    half.touch()
    run.run_study(STUDY, out, resume=True)
    assert not half.exists()


def test_a_table_that_was_not_merged_yet_is_no_damage(out: Path) -> None:
    (out / layout.RESULTS).unlink()
    assert Store(out).cautions(GRID) == []
