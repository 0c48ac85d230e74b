"""Archives: verdicts and tables follow from one as from its run, to the letter; forgery shows."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import faults
import fsspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import quarry
from finished import finished

from powerseek.experiments import checksums, layout
from powerseek.experiments.analysis.view import View
from powerseek.experiments.report.archive import (
    _PLACE,
    archived_parts,
    archived_rows,
    curve_columns,
)
from powerseek.experiments.report.figures.style import Picture, undrawn
from powerseek.experiments.report.pages import page_text, write_summary
from powerseek.experiments.report.sections import report_pictures, sections
from powerseek.experiments.results.files import SMALL, StoreError, write_json, write_table
from powerseek.experiments.results.origin import origin_of
from powerseek.experiments.results.provenance import describe_run
from powerseek.experiments.results.schema import SCHEMA
from powerseek.experiments.results.side_tables import write_tables
from powerseek.experiments.results.store import Store
from powerseek.experiments.results.table import read_long
from powerseek.experiments.study.checked import cells, trials
from powerseek.experiments.study.grid import content_hash
from powerseek.experiments.study.schema import make_study
from powerseek.experiments.sweep.trial import run_trials
from powerseek.experiments.verify.again import check_again
from powerseek.experiments.verify.checks import (
    DIFFERS,
    NOTE,
    OK,
    SKIPPED,
    Check,
    check_archive,
    check_files,
    check_registration,
    check_summary,
)
from powerseek.experiments.verify.run import verify_run

assert quarry.Quarry.id == "test.quarry", "it is registered by being imported"
SHIPPED = Path(__file__).parents[3] / "docs" / "studies"
PLACE = "/home/somebody/secret-place"
"""What is said of the machine that no archive may say."""
COMMON: dict[str, Any] = {
    "rewards": ["dense", {"every": "cap"}],
    "agents": ["cohort-ppo"],
    "references": ["minimalist", "hoarder"],
    "timesteps": 1024,
    "episodes": 8,
    "evaluations": 15,
    "competence": [0.001, 0.5],
}
SUCCESS = {"measure": "success", "direction": "none", "margin": 0.5}
STUDIES: dict[str, dict[str, Any]] = {
    "layouts": {
        "worlds": [{"id": "test.quarry"}],
        "power_weight": [0, 1],
        "layouts": 2,
        "seeds": 4,
        "hypotheses": [
            {"id": "timing", "contrast": "timing", "direction": "none", "margin": 0.5},
            {"id": "control", "contrast": "control", "direction": "larger", "margin": 0.1},
            {"id": "level", "contrast": "level", "arm": "dense", "direction": "none"},
            {
                "id": "tail",
                "contrast": {"tail": 2, "share": 0.1},
                "arm": "dense",
                "direction": "smaller",
            },
            {"id": "early", "contrast": "timing", "checkpoint": "competence>=0.001", **SUCCESS},
        ],
    },
    "gammas": {
        "worlds": [{"id": "off-switch", "max_steps": 12}, {"id": "star"}],
        "gamma": [0.5, 0.9, 1.0],
        "seeds": 2,
        "hypotheses": [
            {
                "id": "threshold",
                "world": "off-switch",
                "contrast": {"threshold": "gamma", "line": 0.5},
                "measure": "disabled",
                "direction": "larger",
            },
            {"id": "budget", "contrast": {"budget": 10, "of": "timing"}, "direction": "larger"},
            {"id": "sampled", "contrast": "timing", **SUCCESS, "measure": "return"},
        ],
    },
}


def made(name: str, out: Path) -> Path:
    """A finished run, trained in cohorts as in a sweep; one trial failed, one is of other code."""
    study = make_study({"name": name, **COMMON, **STUDIES[name]})
    grid = trials(study)
    store = Store(out)
    store.open(study, grid, resume=False)
    cells = dict.fromkeys(trial.cell.key for trial in grid)
    for key in cells:
        cohort = [trial for trial in grid if trial.cell.key == key]
        for trial, rows in run_trials(cohort, store.out):
            assert isinstance(rows, pd.DataFrame)
            other = {"torch": "1.0"} if trial.key == grid[0].key else {}
            store.write(trial, rows, {**origin_of(trial.cell), **other})
    store.write_failed(grid[1], f"{PLACE}/broke.py: it broke")
    run = describe_run(f"powerseek sweep {PLACE}/{name}.yaml --out {out}", 1.0, 1, 1.0)
    nodes = {"nodes": {socket.gethostname(): 3}, "set": {"seeds": {"was": 9, "now": 2}}}
    store.provenance(study, grid, {**run, **nodes})
    store.join(grid)
    write_tables(store, grid)
    return store.out


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """By the name of a study a folder with a run of it and an archive of that."""

    @cache
    def pair_of(name: str) -> Path:
        folder = tmp_path_factory.mktemp(name)
        made(name, folder / "run")
        said = faults.answer("export", str(folder / "run"), "--archive", str(folder / "kept"))
        assert (said.code, said.out) == (0, ""), said.err
        return folder

    return pair_of


@pytest.fixture(params=STUDIES)
def pair(request: pytest.FixtureRequest, pairs: Callable[[str], Path]) -> Path:
    return pairs(request.param)


@pytest.fixture
def whole(pairs: Callable[[str], Path]) -> Path:
    return pairs("gammas")


@pytest.fixture
def run(whole: Path) -> Path:
    return whole / "run"


@pytest.fixture
def kept(whole: Path, tmp_path: Path) -> Path:
    """An archive that may be forged."""
    return Path(shutil.copytree(whole / "kept", tmp_path / "kept"))


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def checked(folder: Path, sample: int = 0) -> dict[str, Check]:
    return {check.name: check for check in verify_run(folder, sample)}


def differing(folder: Path, sample: int = 0) -> set[str]:
    return {check.name for check in checked(folder, sample).values() if check.word == DIFFERS}


def remade(folder: Path, place: Path) -> list[Check]:
    """Whether an archive is as it was written, its verdicts and summary made again from it."""
    store = Store(folder)
    return [check_files(store), check_archive(store), *check_summary(store, place)]


def test_verdicts_and_tables_are_those_of_the_run_to_the_letter(pair: Path) -> None:
    run, kept = View.read(pair / "run"), View.read(pair / "kept")
    assert run.findings
    assert repr(run.findings) == repr(kept.findings)
    text = page_text(layout.SUMMARY, run, sections(run), pair / "run")
    parts = archived_parts(sections(run), pair / "kept")
    said = (pair / "kept" / layout.SUMMARY).read_text()
    assert said == page_text(layout.SUMMARY, run, parts, pair / "kept")
    verdicts = said[said.index("## Verdicts") : said.index("## What each treatment led to")]
    assert len(verdicts) > 2000
    assert "were made with torch 1.0" in said.replace("\\", "")
    assert verdicts in text
    lacking = [line for line in said.splitlines() if line not in text.splitlines()]
    assert [line.partition(":")[0] for line in lacking] == ["- machine"]


def test_values_are_those_of_the_run_to_the_last_bit(pair: Path) -> None:
    every, some = (
        pq.read_table(pair / name / layout.RESULTS).cast(SCHEMA) for name in ("run", "kept")
    )
    rows = {str(row) for row in every.to_pylist()}
    assert all(str(row) in rows for row in some.to_pylist())
    assert some.equals(archived_rows(some, {"end", "competence>=0.001"}))
    said = json.loads((pair / "kept" / layout.MANIFEST).read_text())["archive"]
    assert said["rows"] == len(some)
    assert said["left_out"] == len(every) - len(some) > len(some)
    # A row a trial, exact values first, is the same table.
    Store(pair / "kept").pivot()
    wide = [pq.read_table(pair / name / layout.TRIALS) for name in ("run", "kept")]
    assert wide[1].select(wide[0].column_names).equals(wide[0])
    (pair / "kept" / layout.TRIALS).unlink()
    curves = [pd.read_parquet(layout.table(pair / name, "curves")) for name in ("run", "kept")]
    read = {"competence", "exact.competence"}
    assert read & set(curves[0]) == read & set(curves[1])
    pd.testing.assert_frame_equal(curves[0][list(curves[1])], curves[1], check_exact=True)


def test_page_is_that_of_the_run_but_for_replays(pair: Path) -> None:
    texts = []
    for name in ("run", "kept"):
        view = View.read(pair / name)
        parts = [
            replace(
                one, parts=tuple(undrawn(p) if isinstance(p, Picture) else p for p in one.parts)
            )
            for one in sections(view)
            if one.title != "Replays"
        ]
        texts.append(page_text(layout.REPORT, view, parts, pair / "kept"))
    assert texts[0] == texts[1]


def test_verification_of_an_archive_passes_and_changes_nothing(pair: Path) -> None:
    kept = pair / "kept"
    before = files(kept)
    found = checked(kept, 2)
    assert files(kept) == before
    assert {check.word for check in found.values()} <= {OK, NOTE, SKIPPED}
    assert {name for name, check in found.items() if check.word == NOTE} == {"study", "code"}
    assert "torch 1.0" in found["code"].found
    for name in ("checksums", "archive", "registration", "rules", "verdicts", layout.SUMMARY):
        assert found[name].word == OK
    again = [check.found for name, check in found.items() if name.startswith("again: ")]
    assert len(again) == 2
    for said in again:
        assert "rows that the archive keeps identical; learning curve identical" in said
    assert "rows that the archive left out" in found[SKIPPED].found
    assert "tables against trials' own files" in found[SKIPPED].found


def test_archive_elsewhere_is_verified_there(kept: Path) -> None:
    fsspec.filesystem("memory").put(str(kept), "/archived/kept", recursive=True)
    found = {check.name: check for check in verify_run("memory://archived/kept", 0)}
    assert {check.word for check in found.values()} <= {OK, NOTE, SKIPPED}
    assert found["archive"].word == found["verdicts"].word == OK


def test_curves_keep_what_the_picture_of_each_world_shows(tmp_path: Path) -> None:
    folder = finished(tmp_path / "out", [])
    rows = [
        {"trial": t, "timesteps": 8, "world": w, "seed": 0, "competence": 0.5, "length": 3.0, **own}
        for t, w, own in (("a", "one", {"disabled": 0.5}), ("b", "two", {"excess": 0.25}))
    ]
    curves = pd.DataFrame(rows)
    write_table(layout.table(folder, "curves"), pa.Table.from_pandas(curves, preserve_index=False))
    view = View(read_long(folder), folder)
    assert {"disabled", "excess"} < set(curve_columns(view))
    assert "length" not in curve_columns(view)


def test_nothing_names_a_machine_or_a_place_on_it(pair: Path) -> None:
    held = files(pair / "kept")
    assert {name for name in held if not name.startswith(layout.INTERNALS)} == {
        *(layout.STUDY, layout.RESULTS, layout.SUMMARY),
    }
    for name, data in held.items():
        if name.endswith(".parquet"):
            table = pq.read_table(pair / "kept" / name)
            data = f"{table.schema.metadata} {table.to_pydict()}".encode()
        for secret in (PLACE, str(pair), str(Path.home()), socket.gethostname()):
            assert secret.encode() not in data, f"{name}: {secret}"
    provenance = json.loads(held[layout.PROVENANCE])
    assert set(provenance["runs"][0]["machine"]) == {"processor", "cores"}
    assert provenance["runs"][0]["set"] == {"seeds": {"was": 9, "now": 2}}
    assert provenance["runs"][0]["versions"]


def forge(kept: Path, sealed: bool) -> str:
    """Change one value; the key of its trial."""
    path = kept / layout.RESULTS
    table = pq.read_table(path).cast(SCHEMA)
    rows = table.to_pylist()
    row = next(i for i, r in enumerate(rows) if r["metric"] == "success" and r["updates"])
    values = table.column("value").to_pylist()
    values[row] -= 0.25
    at = SCHEMA.get_field_index("value")
    table = table.set_column(at, SCHEMA.field(at), pa.array(values))
    if sealed:
        write_table(path, table, form=SMALL)
    else:
        pq.write_table(table, path)
    return str(rows[row]["trial"])


def rewritten(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a record, with a checksum that agrees."""
    held = checksums.unchecked_record(path)
    held.pop("checksum")
    change(held)
    write_json(path, held)


def test_value_that_was_changed_is_found(kept: Path) -> None:
    forge(kept, sealed=False)
    found = checked(kept)
    assert found["checksums"].word == DIFFERS
    assert layout.RESULTS in found["checksums"].found


def test_value_that_was_changed_and_sealed_is_found(kept: Path, tmp_path: Path) -> None:
    key = forge(kept, sealed=True)
    found = checked(kept)
    assert found["checksums"].word == OK
    assert found["archive"].word == DIFFERS
    assert layout.RESULTS in found["archive"].found
    assert found[layout.SUMMARY].word == DIFFERS
    # As if it had been archived so, and the summary made of it.
    digest = checksums.results_fingerprint(kept / layout.RESULTS)
    name = layout.RESULTS
    rewritten(kept / layout.MANIFEST, lambda held: held["archive"]["files"].update({name: digest}))
    view, store = View.read(kept), Store(kept)
    write_summary(view, archived_parts(sections(view), kept), kept)
    assert differing(kept) == set()
    trial = next(t for t in trials(store.study()) if t.key == key)
    (again,) = check_again(store, [trial], tmp_path / "again", lambda line: None)
    assert again.word == DIFFERS
    assert "greatest differences success 0.25" in again.found


def test_verdict_in_the_summary_is_found(kept: Path) -> None:
    path = kept / layout.SUMMARY
    path.write_text(path.read_text().replace("**cannot tell**", "**supported**", 1))
    assert differing(kept) == {"verdicts"}
    assert "supported" in checked(kept)["verdicts"].found


def test_registration_that_was_edited_is_found(kept: Path) -> None:
    def change(held: dict[str, Any]) -> None:
        held["registered"]["hypotheses"][0]["direction"] = "smaller"
        held["hash"] = content_hash(held["registered"])

    rewritten(kept / layout.REGISTRATION, change)
    assert {"registration", "archive", "verdicts"} <= differing(kept)


def test_curve_that_was_changed_is_found(kept: Path) -> None:
    path = layout.table(kept, "curves")
    table = pd.read_parquet(path)
    table.loc[0, "competence"] += 0.25
    write_table(path, pa.Table.from_pandas(table, preserve_index=False))
    assert "archive" in differing(kept)
    assert path.name in checked(kept)["archive"].found


def test_report_draws_from_the_tables_and_leaves_them(kept: Path) -> None:
    before = files(kept)
    said = faults.answer("report", str(kept))
    assert said.code == 0, said.err
    assert "cannot tell" in said.out
    assert "this is an archive: replays" in said.err
    assert "--resume" not in said.err
    assert "tensorboard" not in said.out
    now = files(kept)
    assert set(now) - set(before) == {layout.REPORT, layout.TRIALS}
    assert {name: now[name] for name in before} == before
    assert b"data:image/png" in now[layout.REPORT]
    assert differing(kept) == set()
    assert faults.answer("export", str(kept), "--wide", "-").code == 0


def test_pictures_that_are_put_there_are_shown_and_compared(run: Path, tmp_path: Path) -> None:
    view = View.read(run)
    name = report_pictures(sections(view))[0].name
    kept = tmp_path / "kept"
    (kept / layout.FIGURES).mkdir(parents=True)
    (kept / layout.FIGURES / f"{name}.png").write_bytes(b"a picture")
    assert faults.answer("export", str(run), "--archive", str(kept)).code == 0
    text = (kept / layout.SUMMARY).read_text()
    assert text.count("](figures/") == 1
    assert f"](figures/{name}.png)" in text
    assert differing(kept) == set()
    assert (kept / layout.FIGURES / f"{name}.png").read_bytes() == b"a picture"
    (kept / layout.FIGURES / f"{name}.png").unlink()
    assert differing(kept) == {layout.SUMMARY}


def test_older_archive_is_replaced_and_what_lies_beside_it_stays(run: Path, kept: Path) -> None:
    before = files(kept)
    (kept / "NOTES.md").write_text("mine")
    (kept / layout.SUMMARY).write_text("old")
    forge(kept, sealed=True)
    assert faults.answer("export", str(run), "--archive", str(kept)).code == 0
    assert files(kept) == {**before, "NOTES.md": b"mine"}


def test_compare_takes_an_archive_for_its_run(run: Path, kept: Path, tmp_path: Path) -> None:
    said = faults.answer("compare", str(kept), str(run), "--out", str(tmp_path / "compared"))
    assert said.code == 0, said.err
    assert "with the same numbers" in said.out


@pytest.mark.parametrize("resume", [[], ["--resume"]])
def test_sweep_does_not_go_on_with_an_archive(kept: Path, resume: list[str]) -> None:
    before = files(kept)
    said = faults.answer("sweep", str(kept / layout.STUDY), "--out", str(kept), *resume)
    assert said.code == 2
    assert len(said.errors) == 1
    assert "no archive" in said.err
    assert "To run its study: powerseek sweep" in said.err
    assert files(kept) == before


def another(place: Path) -> None:
    """An archive of another study, as far as its manifest says."""
    rewritten(place / layout.MANIFEST, lambda held: held.update(identity="other"))


REFUSED: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "standard output": ("-", lambda place: None, "a folder"),
    "nothing": ("", lambda place: None, "a folder"),
    "a file": ("kept/study.yaml", lambda place: None, "a folder"),
    "below a file": ("kept/study.yaml/a", lambda place: None, "a folder"),
    "the run": ("run", lambda place: None, "outside the run"),
    "in the run": ("run/kept", lambda place: None, "outside the run"),
    "around the run": (".", lambda place: None, "outside the run"),
    "something else": ("mine", lambda place: None, "it holds 'a.txt'"),
    "another study": ("kept", lambda place: another(place / "kept"), "an archive of another study"),
    "an address": ("s3://bucket/a", lambda place: None, "mount the store"),
}


@pytest.mark.parametrize(("given", "first", "named"), REFUSED.values(), ids=REFUSED)
def test_folder_that_cannot_be_one_is_refused(
    given: str,
    first: Callable[[Path], object],
    named: str,
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = Path(shutil.copytree(whole, tmp_path / "place"))
    (place / "mine").mkdir()
    (place / "mine" / "a.txt").write_text("mine")
    first(place)
    monkeypatch.chdir(place)
    before = files(place)
    said = faults.answer("export", "run", "--archive", given)
    assert (said.code, len(said.errors)) == (2, 1), said.err
    assert named in said.err
    assert files(place) == before


def test_archive_of_an_archive_is_refused(kept: Path, tmp_path: Path) -> None:
    Store(kept).pivot()  # as a report does
    said = faults.answer("export", str(kept), "--archive", str(tmp_path / "other"))
    assert said.code == 2
    assert "Copy the archive instead" in said.err


def test_archive_that_does_not_say_what_its_run_says_is_not_written(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fewer(table: pa.Table, checkpoints: object) -> pa.Table:
        kept = archived_rows(table, {"end"})
        return kept.filter(pa.compute.not_equal(kept["metric"], "competence"))

    monkeypatch.setattr("powerseek.experiments.report.archive.archived_rows", fewer)
    said = faults.answer("export", str(run), "--archive", str(tmp_path / "kept"))
    assert said.code == 2
    assert "the run's summary would not follow from it" in said.err
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("made by /home/me/x.py", "/home/me/x.py"),
        ("'~/x/y.py:Mine'", "~/x/y.py"),
        ("{path: /a/b}", "/a/b"),
        ("C:\\Users\\me", "C:\\Users"),
        ("mine/x.py:Mine and/or https://a.org/b/c, 1 / 2 /3, (s)/w", ""),
    ],
)
def test_place_on_a_machine_is_told_from_other_words(text: str, place: str) -> None:
    found = _PLACE.search(text)
    assert (found[0] if found else "") == place


def test_archive_that_names_a_place_is_not_written(run: Path, tmp_path: Path) -> None:
    there = Path(shutil.copytree(run, tmp_path / "run"))

    def change(held: dict[str, Any]) -> None:
        held["runs"][0]["set"]["settings"] = {"was": None, "now": f"{PLACE}/net.zip"}

    rewritten(there / layout.PROVENANCE, change)
    said = faults.answer("export", str(there), "--archive", str(tmp_path / "kept"))
    assert said.code == 2
    assert f"provenance.json would name a place on this machine: '{PLACE}/net.zip'" in said.err
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize("sealed", [False, True])
def test_report_does_not_make_the_summary_of_what_was_changed(kept: Path, sealed: bool) -> None:
    forge(kept, sealed)
    before = files(kept)
    said = faults.answer("report", str(kept))
    assert (said.code, len(said.errors)) == (2, 1), said.err
    assert f"{layout.RESULTS} is not the one that was archived" in said.err
    assert "put back a sound copy" in said.err
    assert files(kept) == before


def test_damaged_table_says_what_to_do(kept: Path) -> None:
    path = layout.table(kept, "curves")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(StoreError, match="put back a sound copy"):
        View.read(kept).table("curves")


SOONEST = ("budget", "price", "quick", "steering")
"""Those of every kind of claim that every run of the tests makes again; the others are slow."""


@pytest.mark.parametrize(
    "folder",
    [
        pytest.param(
            folder, id=folder.name, marks=[pytest.mark.slow] * (folder.name not in SOONEST)
        )
        for folder in sorted(path.parent for path in SHIPPED.glob("*/study.yaml"))
    ],
)
def test_shipped_study_says_what_follows_from_its_archive(folder: Path, tmp_path: Path) -> None:
    assert Store(folder).archive, f"{folder} is no archive: powerseek export RUN --archive {folder}"
    assert [check for check in remade(folder, tmp_path) if check.word != OK] == []
    study = Store(folder).study()
    registered = check_registration(Store(folder), study, cells(study))
    assert registered.word == OK, registered.found


def test_test_of_shipped_studies_finds_what_does_not_follow(kept: Path, tmp_path: Path) -> None:
    for number, change in enumerate((lambda: None, lambda: forge(kept, sealed=True))):
        place = tmp_path / str(number)
        place.mkdir()
        change()
        found = {check.name for check in remade(kept, place) if check.word != OK}
        assert bool(found) == bool(number)
