"""Exported values are those of the parquet, to the last digit; nothing of the run is touched."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any

import faults
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from powerseek.experiments import layout
from powerseek.experiments.results.schema import COLUMNS, trial_columns
from powerseek.experiments.results.store import Store
from powerseek.experiments.study.checked import trials
from powerseek.experiments.study.schema import make_study

STUDY = make_study(
    {
        "name": "a, b",
        "worlds": [{"id": "homestead", "openness": [0, 1]}, {"id": "star"}],
        "rewards": ["dense", "terminal"],
        "seeds": 3,
        "timesteps": 100,
    }
)
GRID = trials(STUDY)
ODD = [0.1, 1 / 3, 1e-300, 5e-324, 1e22, -0.0, 123456789.123456789, 2**53 + 1.0, float("inf")]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run in it, of which the last trial is missing and one has failed."""
    folder = tmp_path_factory.mktemp("made")
    store = Store(folder / "run")
    store.open(STUDY, GRID, resume=False)
    rng = np.random.default_rng(0)
    for number, trial in enumerate(GRID[:-1]):
        if number == 4:
            store.write_failed(trial, "broke")
            continue
        about = {**trial_columns(trial), "updates": 3, "n": 5, "unit": 'a "b", c\n', "status": "ok"}
        about |= {"checkpoint": "end", "evaluation": "sampled"}
        values = [*rng.choice(ODD, 3), *rng.normal(size=2), None]
        names = ("competence", "success", "excess", "length", "return", "acquired")
        rows = [
            {**about, "metric": name, "value": value, "low": value}
            for name, value in zip(names, values, strict=True)
        ]
        store.write(trial, pd.DataFrame(rows).reindex(columns=list(COLUMNS)))
    store.join(GRID)
    return folder


@pytest.fixture
def run(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the run, in the working directory."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(made / "run", tmp_path / "run"))


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def same(text: str, path: Path) -> None:
    """A CSV says what a parquet holds, to the last bit."""
    held = pq.read_table(path)
    found = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
    assert list(found) == held.column_names
    assert len(found) == len(held)
    for name in held.column_names:
        for said, value in zip(found[name], held.column(name).to_pylist(), strict=True):
            if value is None:
                assert said == ""
            elif isinstance(value, str):
                assert said == value
            else:
                assert said == repr(value)


@pytest.mark.parametrize(("option", "name"), [("--csv", layout.RESULTS), ("--wide", layout.TRIALS)])
def test_csv_holds_every_value(option: str, name: str, run: Path) -> None:
    before = tree(run)
    said = faults.answer("export", "run", option, "-")
    assert (said.code, said.err) == (0, "")
    same(said.out, run / name)
    there = faults.answer("export", "run", option, "here/a.csv")
    assert (there.code, there.out, there.err) == (0, "", "written: here/a.csv\n")
    assert Path("here/a.csv").read_bytes().decode() == said.out
    assert tree(run) == before


def test_a_row_a_trial_as_parquet(run: Path) -> None:
    assert faults.answer("export", "run", "--wide", "a.parquet").code == 0
    assert pq.read_table("a.parquet").equals(pq.read_table(run / layout.TRIALS))


def test_a_folder_takes_files_by_their_usual_names(run: Path) -> None:
    Path("there").mkdir()
    said = faults.answer("export", "run", "--csv", "there", "--wide", "new/", "--latex", "there")
    assert said.code == 0, said.err
    assert sorted(path.name for path in Path("there").iterdir()) == ["results.csv", "tables.tex"]
    assert [path.name for path in Path("new").iterdir()] == ["trials.csv"]
    assert r"\toprule" in Path("there/tables.tex").read_text()
    assert "3 seeds a cell; identity" in Path("there/tables.tex").read_text()


def test_a_run_that_cannot_be_written_is_read(run: Path) -> None:
    for path in (run, *run.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        for option in ("--csv", "--wide", "--latex"):
            assert faults.answer("export", "run", option, "-").code == 0
    finally:
        for path in (run, *run.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)


REFUSED = {
    "nothing asked for": ([], "--csv, --wide, --latex"),
    "two on standard output": (["--csv", "-", "--wide", "-"], "mixed"),
    "another kind of file": (["--csv", "a.txt"], "ends in .csv"),
    "a table that is none": (["--latex", "a.csv"], "ends in .tex"),
    "no name": (["--csv", ""], "ends in .csv"),
    "one of the run's own": (["--wide", "run/trials.parquet"], "none of the run's own"),
    "the same by another way": (["--wide", "link/../trials.parquet"], "none of the run's own"),
    "below its internals": (["--csv", "run/internals/a.csv"], "none of the run's own"),
    "below a file": (["--csv", "s.yaml/a.csv"], "s.yaml/a.csv"),
    "where nothing can be": (["--csv", "/proc/nowhere/a.csv"], "/proc/nowhere/a.csv"),
    "a name that is too long": (["--csv", "x" * 300 + ".csv"], "255 bytes"),
    "an address": (["--csv", "s3://bucket/a.csv"], "mount the store"),
}


@pytest.mark.parametrize(("words", "named"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_written_is_one_message(words: list[str], named: str, run: Path) -> None:
    Path("s.yaml").write_text("")
    Path("link").symlink_to(run / "internals")
    before = tree(run.parent)
    said = faults.answer("export", "run", *words)
    assert (said.code, said.out) == (2, "")
    assert named in said.err
    assert said.err.count("error: ") == 1
    assert tree(run.parent) == before


@pytest.mark.parametrize("place", ["nowhere", ".", "s.yaml", "", "nosuch://a/b", "~no.such.user/x"])
def test_what_is_no_run_is_refused(place: str, run: Path) -> None:
    Path("s.yaml").write_text("")
    said = faults.answer("export", place, "--csv", "-")
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("error: RUN: got")


def test_what_is_damaged_or_not_merged_says_how_to_have_it_made(run: Path) -> None:
    (run / layout.TRIALS).unlink()
    said = faults.answer("export", "run", "--csv", "-")
    assert (said.code, said.out) == (2, "")
    assert "powerseek report run" in said.err
    Store(run).pivot()
    data = bytearray((run / layout.RESULTS).read_bytes())
    data[100] ^= 1
    (run / layout.RESULTS).write_bytes(bytes(data))
    said = faults.answer("export", "run", "--csv", "-")
    assert (said.code, said.out) == (2, "")
    assert "powerseek report run" in said.err


def test_trials_that_are_not_merged_are_told(run: Path) -> None:
    store = Store(run)
    store.write_failed(GRID[-1], "broke too")
    said = faults.answer("export", "run", "--csv", "-")
    assert said.code == 0
    assert "warning: 1 trials have ended since" in said.err
    same(said.out, run / layout.RESULTS)


def test_columns_of_whole_numbers_with_gaps_stay_whole(run: Path) -> None:
    said = faults.answer("export", "run", "--wide", "-")
    table: Any = pd.read_csv(io.StringIO(said.out), dtype=str, keep_default_na=False)
    assert set(table["updates"]) <= {"3", "0", ""}
    assert set(table["status"]) == {"ok", "failed"}
