"""A results directory that is damaged, of another version or of two studies is never misread."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from powerseek.errors import InvalidInput
from powerseek.experiments.analysis.view import View
from powerseek.experiments.cli import app as cli
from powerseek.experiments.report.figures.style import Picture
from powerseek.experiments.results.files import StoreError, write_table
from powerseek.experiments.results.provenance import describe_run
from powerseek.experiments.results.store import Store
from powerseek.experiments.run import finish
from powerseek.experiments.study.checked import trials
from powerseek.experiments.study.grid import Trial
from powerseek.experiments.study.preregistration import read_registration
from powerseek.experiments.study.schema import make_study
from powerseek.experiments.sweep.trial import run_trial

GIVEN: dict[str, Any] = {
    "name": "tiny",
    "worlds": [{"id": "off-switch", "max_steps": 12}],
    "rewards": ["dense", {"every": "cap"}],
    "agents": ["minimalist"],
    "seeds": 2,
    "timesteps": 64,
    "episodes": 20,
    "evaluations": 1,
    "hypotheses": [{"id": "H1a", "contrast": "timing", "direction": "larger", "margin": 0.5}],
}
DERIVED = {
    *("results.parquet", "trials.parquet", "report.html", "summary.md"),
    *("curves.parquet", "frontiers.parquet"),
}
Call = Callable[..., tuple[int, str, str]]


def grid(**keys: Any) -> tuple[Trial, ...]:
    return trials(make_study({**GIVEN, **keys}))


def make(out: Path, **keys: Any) -> Store:
    """A finished study, each trial run here."""
    store, study = Store(out), make_study({**GIVEN, **keys})
    store.open(study, grid(**keys), resume=False)
    for trial in grid(**keys):
        store.write(trial, run_trial(trial, out))
    store.provenance(study, grid(**keys), describe_run("powerseek sweep tiny", 1.0, 1, 1.0))
    finish(store, grid(**keys))
    return store


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("finished") / "out").out


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another study, with trials of its own."""
    return make(tmp_path_factory.mktemp("other") / "out", name="else", timesteps=65).out


@pytest.fixture
def out(finished: Path, tmp_path: Path) -> Path:
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(GIVEN))
    return Path(shutil.copytree(finished, tmp_path / "out"))


@pytest.fixture
def call(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Call:
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["powerseek", *words])
        try:
            cli.main()
        except SystemExit as ended:
            said = capsys.readouterr()
            return int(ended.code or 0), said.out, said.err
        raise AssertionError("the command line always exits")

    return run


def first(out: Path, i: int = 0) -> Path:
    return out / f"internals/trials/{grid()[i].key}.parquet"


def cut(path: Path, keep: float) -> Path:
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep)])
    return path


def rewrite(path: Path, change: Callable[[pa.Table], pa.Table]) -> Path:
    """Write a table as a sweep would have written it."""
    write_table(path, change(pq.read_table(path)).replace_schema_metadata(None))
    return path


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    held = json.loads(path.read_text())
    change(held)
    path.write_text(json.dumps(held))
    return path


def overwrite(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def contents(out: Path) -> dict[str, bytes]:
    """Every file that no command may change: all that is not drawn or merged from others."""
    kept = (path for path in out.rglob("*") if path.is_file() and path.name not in DERIVED)
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in kept
        if path.suffix not in (".png", ".svg") and "tensorboard" not in path.parts
    }


Damage = Callable[[Path, Path], Path]
# What is done to the directory, and what the message must say. It gives the path to be named.
REFUSED: dict[str, tuple[Damage, str]] = {
    "a trial cut short": (lambda out, _: cut(first(out), 0.5), "Move .* away"),
    "an empty trial": (lambda out, _: cut(first(out), 0), "Move .* away"),
    "a trial without rows": (
        lambda out, _: rewrite(first(out), lambda table: table.slice(0, 0)),
        "Move it away",
    ),
    "a trial of an older version, a column less": (
        lambda out, _: rewrite(first(out), lambda table: table.drop_columns(["lookahead"])),
        "another version of powerseek wrote it .*without lookahead",
    ),
    "a trial of a newer version, a column more": (
        lambda out, _: rewrite(
            first(out), lambda table: table.append_column("mood", pa.nulls(table.num_rows))
        ),
        "another version of powerseek wrote it .*with mood",
    ),
    "a trial with a column of another kind": (
        lambda out, _: rewrite(
            first(out),
            lambda table: table.set_column(
                table.column_names.index("seed"), "seed", table.column("seed").cast(pa.string())
            ),
        ),
        "another kind of seed",
    ),
    "a trial of another study": (
        lambda out, other: Path(
            shutil.copy(next((other / "internals/trials").iterdir()), out / "internals/trials")
        ),
        "of no trial of this study",
    ),
    "trials of a version that counts other things into their identity": (
        lambda out, _: first(out).rename(out / "internals/trials/0123456789abcdef.parquet"),
        "another version of powerseek",
    ),
    "a manifest of another format": (
        lambda out, _: edit(out / "internals/manifest.json", lambda held: held.update(format=99)),
        "results of format 99, written by powerseek",
    ),
}
# These stop a report; a resume mends them.
MENDED: dict[str, tuple[Damage, str]] = {
    "a manifest cut short": (lambda out, _: cut(out / "internals/manifest.json", 0.5), "--resume"),
    "a manifest that is none": (
        lambda out, _: overwrite(out / "internals/manifest.json", "[]"),
        "--resume",
    ),
    "a manifest without its format": (
        lambda out, _: edit(out / "internals/manifest.json", lambda held: held.pop("format")),
        "its checksum does not match",
    ),
    "a manifest without its parts": (
        lambda out, _: overwrite(out / "internals/manifest.json", '{"study": 1}'),
        "--resume",
    ),
    "a study file cut short": (lambda out, _: overwrite(out / "study.yaml", "a: ["), "--resume"),
    "no study file": (
        lambda out, _: (out / "study.yaml").rename(out.parent / "moved").parent / "out/study.yaml",
        "--resume",
    ),
    "the study file of another study": (
        lambda out, other: Path(shutil.copy(other / "study.yaml", out)),
        "not the study that internals/manifest.json names",
    ),
    "the study file with fewer seeds": (
        lambda out, _: overwrite(
            out / "study.yaml", (out / "study.yaml").read_text().replace("seeds: 2", "seeds: 1")
        ),
        "1 seeds, not 2",
    ),
}


@pytest.mark.parametrize(
    ("damage", "message"), [*REFUSED.values(), *MENDED.values()], ids=[*REFUSED, *MENDED]
)
def test_a_report_names_the_file_and_what_to_do_and_changes_nothing(
    damage: Damage, message: str, out: Path, other: Path, call: Call
) -> None:
    path = damage(out, other)
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    code, said, err = call("report", "out")
    assert (code, said) == (2, "")
    assert str(path) in err
    assert re.search(message, " ".join(err.split()))
    assert err.count("error:") == 1
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize(("damage", "message"), REFUSED.values(), ids=REFUSED)
def test_a_resume_refuses_what_is_not_this_study_s(
    damage: Damage, message: str, out: Path, other: Path, call: Call
) -> None:
    path = damage(out, other)
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    code, said, err = call("sweep", "tiny.yaml", "--out", "out", "--resume")
    assert (code, said) == (2, "")
    assert str(path) in err
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before


# The manifest of results of format 1, at the top of their folder, and what is said of it.
OLDER = {
    "of a version that numbered formats": (
        '{"format": 1, "powerseek": "0.0.9", "study": "tiny"}',
        "format 1, written by powerseek 0.0.9",
    ),
    "of one that did not": (
        '{"powerseek": "0.0.2", "study": "tiny"}',
        "format 1, written by powerseek 0.0.2",
    ),
    "of one that cannot be known": ("{", "format 1, written by powerseek (it does not say which)"),
}


@pytest.mark.parametrize(("text", "said"), OLDER.values(), ids=OLDER)
def test_results_of_format_1_are_refused_in_one_line(
    text: str, said: str, tmp_path: Path, finished: Path, call: Call
) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished / "internals", out)
    for name in ("results.parquet", "study.yaml"):
        shutil.copy(finished / name, out)
    overwrite(out / "manifest.json", text)
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(GIVEN))
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    for words in (("report", "out"), ("sweep", "tiny.yaml", "--out", "out", "--resume")):
        code, shown, err = call(*words)
        assert (code, shown) == (2, "")
        line = err.splitlines()[-1]
        assert err.count("error") == 1
        assert line == (
            f"error: {out / 'manifest.json'}: results of {said}; this version reads format 2. "
            "Read them with that version, or run the study anew in another --out."
        )
    with pytest.raises(StoreError, match="format 1"):
        View.read(out)
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize(("damage", "message"), MENDED.values(), ids=MENDED)
def test_a_resume_writes_anew_what_says_which_study_it_is(
    damage: Damage, message: str, out: Path, other: Path, finished: Path, call: Call
) -> None:
    damage(out, other)
    code, _, err = call("sweep", "tiny.yaml", "--out", "out", "--resume")
    assert (code, "error" in err) == (0, False)
    assert contents(out) == contents(finished)
    store = Store(out)
    store.check(trials(store.study()))


def test_a_resume_of_another_study_is_refused_even_where_the_manifest_is_lost(
    out: Path, other: Path, call: Call
) -> None:
    (out / "internals/manifest.json").unlink()
    (out / "study.yaml").unlink()
    code, _, err = call("sweep", str(other / "study.yaml"), "--out", "out", "--resume")
    assert code == 2
    assert "of no trial of this study" in err


def test_merged_tables_that_are_damaged_are_made_again(
    out: Path, finished: Path, call: Call
) -> None:
    merged = ("results", "trials", "internals/curves", "internals/frontiers")
    for name in merged:
        cut(out / f"{name}.parquet", 0.5)
    overwrite(out / "internals/provenance.json", '{"runs": [{"wall')
    assert call("report", "out")[0] == 0
    for name in merged:
        tables = [pd.read_parquet(path / f"{name}.parquet") for path in (out, finished)]
        pd.testing.assert_frame_equal(*tables, check_exact=True)


@pytest.mark.parametrize("keep", [0, 0.99])
def test_merged_rows_that_are_damaged_are_merged_again(
    keep: float, out: Path, finished: Path
) -> None:
    cut(out / "results.parquet", keep)
    assert Store(out).stale(grid())
    Store(out).check(grid())


def same(out: Path, finished: Path) -> None:
    tables = [pd.read_parquet(path / "results.parquet") for path in (out, finished)]
    pd.testing.assert_frame_equal(*tables, check_exact=True)


def test_merged_rows_of_an_older_version_are_merged_again(
    out: Path, finished: Path, call: Call
) -> None:
    rewrite(out / "results.parquet", lambda table: table.drop_columns(["lookahead"]))
    assert call("sweep", "tiny.yaml", "--out", "out", "--resume")[0] == 0
    same(out, finished)


def test_merged_rows_of_another_study_are_neither_shown_nor_overwritten(
    out: Path, other: Path, call: Call
) -> None:
    shutil.copy(other / "results.parquet", out)
    before = (out / "results.parquet").read_bytes()
    code, said, err = call("report", "out")
    assert (code, said) == (2, "")
    assert str(out / "results.parquet") in err
    assert "not in this study" in err
    assert call("sweep", "tiny.yaml", "--out", "out", "--resume")[0] == 2
    assert (out / "results.parquet").read_bytes() == before


def test_rows_under_another_trial_s_name_are_found(out: Path, call: Call) -> None:
    shutil.copy(first(out, 1), first(out))
    code, said, err = call("report", "out")
    assert (code, said) == (2, "")
    assert str(first(out)) in err
    assert "another trial" in err


def test_missing_trials_are_said_and_never_written_over(out: Path, call: Call) -> None:
    dense = [trial for trial in grid() if trial.cell.reward_label == "dense"]
    for trial in dense:
        (out / f"internals/trials/{trial.key}.parquet").unlink()
    code, _, err = call("report", "out")
    assert code == 2
    assert "2 trials whose own file is gone" in err
    (out / "results.parquet").unlink()
    code, said, err = call("report", "out")
    assert code == 0
    assert "2 of 4 trials have no result" in err
    assert "SUPPORTED" not in said
    assert "REFUTED" not in said
    assert "Traceback" not in err


def test_a_damaged_curve_or_oracle_is_left_out_with_a_warning(
    out: Path, finished: Path, call: Call
) -> None:
    curve = cut(out / f"internals/curves/{grid()[0].key}.parquet", 0.5)
    oracles = [cut(path, 0.5) for path in (out / "internals/oracles").iterdir()]
    code, _, err = call("report", "out")
    assert code == 0
    assert f"{curve}: cannot be read" in err
    assert sum(f"{path}: damaged" in err for path in oracles) == 1  # the others are optima
    same(out, finished)
    assert pd.read_parquet(out / "internals/curves.parquet")["trial"].nunique() == 3


BROKEN_REGISTRATIONS = {
    "cut short": '{"hash": "',
    "none": "[]",
    "without its parts": '{"hash": "a"}',
    "with parts of another kind": json.dumps(
        {"hash": "a", "date": 3, "late": False, "changes": [3], "registered": {}}
    ),
}


@pytest.mark.parametrize("text", BROKEN_REGISTRATIONS.values(), ids=BROKEN_REGISTRATIONS)
def test_a_damaged_registration_is_named_and_not_overwritten(
    text: str, out: Path, call: Call
) -> None:
    path = overwrite(out / "internals/preregistration.json", text)
    with pytest.raises(InvalidInput, match=str(path)):
        read_registration(out)
    code, _, err = call("sweep", "tiny.yaml", "--out", "out", "--resume")
    assert code == 2
    assert str(path) in err
    assert path.read_text() == text


def test_a_damaged_registration_gives_no_verdict(out: Path, call: Call) -> None:
    path = cut(out / "internals/preregistration.json", 0.5)
    code, said, _ = call("report", "out")
    assert code == 0
    assert "no verdict is given" in " ".join(said.split())
    assert str(path) in "".join(said.split())


@pytest.mark.parametrize("text", ['{"runs": [{"wall', "[]", '{"runs": 3}', '{"runs": [{}]}'])
def test_a_damaged_provenance_is_kept_aside_and_loses_no_sweep(
    text: str, out: Path, call: Call
) -> None:
    path = overwrite(out / "internals/provenance.json", text)
    study = make_study(GIVEN)
    Store(out).provenance(study, grid(), describe_run("again", 2.0, 1, 1.0))
    held = json.loads(path.read_text())
    assert [run["command"] for run in held["runs"]] == ["again"]
    (aside,) = out.glob("internals/provenance.damaged*")
    assert aside.read_text() == text
    assert aside.name in held["lost"]


@pytest.mark.parametrize("status", ["censored", "failed"])
def test_where_no_trial_counts_nothing_is_told(status: str, out: Path, call: Call) -> None:
    for trial in grid():
        column = pa.array([status] * pq.read_table(first(out)).num_rows)
        rewrite(
            out / f"internals/trials/{trial.key}.parquet",
            lambda table, column=column: table.set_column(
                table.column_names.index("status"), "status", column
            ),
        )
    code, said, err = call("report", "out")
    assert code == 0
    assert "SUPPORTED" not in said
    assert "REFUTED" not in said
    assert "Traceback" not in err


def test_a_report_is_drawn_where_its_page_is_not_of_these_results(out: Path) -> None:
    page, store = out / "report.html", Store(out)
    drawn, place = page.read_bytes(), page.stat().st_ino
    finish(store, grid())
    assert page.stat().st_ino == place
    store.write_failed(grid()[0], "the roof fell in")
    store.join(grid())  # and killed before it could draw
    finish(store, grid())
    assert b"1 failed" in page.read_bytes()
    page.write_bytes(drawn)
    finish(store, grid())
    assert b"1 failed" in page.read_bytes()


def test_one_seed_tells_nothing(tmp_path: Path, call: Call) -> None:
    make(tmp_path / "out", seeds=1)
    code, said, _ = call("report", "out")
    assert code == 0
    assert "CANNOT TELL" in said
    assert "SUPPORTED" not in said


PLACES = (
    *("report.html", "summary.md", "results.parquet", "trials.parquet"),
    *("internals/curves.parquet", "internals/drawn.json"),
)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures that take no time."""
    monkeypatch.setattr(Picture, "_saved", lambda self, theme, *formats: [b""] * len(formats))


@pytest.mark.usefixtures("undrawn")
def test_a_report_replaces_links_and_writes_through_none(out: Path, call: Call) -> None:
    places = [*(out / name for name in PLACES), *(out / "figures").iterdir()]
    mine = out.parent / "mine.txt"
    mine.write_text("mine")
    for path in places:
        path.unlink()
        path.symlink_to(mine)
    assert call("report", "out")[0] == 0
    assert [path for path in places if path.is_symlink()] == []
    assert mine.read_text() == "mine"


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def loop(path: Path) -> None:
    shutil.rmtree(path)
    path.symlink_to(path.name)


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("make", [folder, fifo])
@pytest.mark.parametrize("name", PLACES)
def test_what_is_no_file_is_named_in_a_line_and_stays(
    name: str, make: Callable[[Path], None], out: Path, call: Call
) -> None:
    make(out / name)
    code, _, err = call("report", "out")
    assert code == 2
    (line,) = [line for line in err.splitlines() if line.startswith("error: ")]
    assert name in line
    assert "no file" in line
    assert "Traceback" not in err
    assert (out / name).exists()


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    "name", ["figures", "tensorboard", *(f"internals/{n}" for n in ("curves", "oracles", "trials"))]
)
def test_a_folder_that_is_a_loop_is_no_traceback(name: str, out: Path, call: Call) -> None:
    (out / name).mkdir(exist_ok=True)
    loop(out / name)
    code, _, err = call("report", "out")
    assert code in (0, 2)
    assert code == 0 or name in err
    assert "Traceback" not in err
    assert (out / name).is_symlink()
