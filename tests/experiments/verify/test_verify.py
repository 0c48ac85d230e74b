"""Verification of a real, tiny study: sound it passes, and whatever is forged in it is found."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from powerseek.errors import InvalidInput
from powerseek.experiments import checksums, layout
from powerseek.experiments.results.files import (
    DiskFull,
    StoreError,
    keep_bytes,
    keep_results_file,
    table_writer,
    write_json,
    write_table,
)
from powerseek.experiments.results.integrity import note_drawn, sources
from powerseek.experiments.results.oracles import oracle_names
from powerseek.experiments.results.origin import RULES, origin_of, read_origin, with_origin
from powerseek.experiments.results.provenance import describe_run
from powerseek.experiments.results.schema import SCHEMA
from powerseek.experiments.results.store import Store
from powerseek.experiments.run import finish
from powerseek.experiments.study.checked import trials
from powerseek.experiments.study.grid import content_hash
from powerseek.experiments.study.schema import make_study
from powerseek.experiments.sweep.trial import run_trials
from powerseek.experiments.verify.again import sample_trials
from powerseek.experiments.verify.agreement import (
    IDENTICAL,
    OTHER,
    ROUNDED,
    ROUNDING,
    lines_differ,
    rows_agreement,
)
from powerseek.experiments.verify.checks import DIFFERS, NOTE, OK, SKIPPED, Check
from powerseek.experiments.verify.run import verify_run

STUDY = make_study(
    {
        "name": "tiny",
        "worlds": [{"id": "star"}],
        "rewards": ["dense", {"every": "cap"}],
        "agents": ["cohort-ppo"],
        "references": ["minimalist"],
        "seeds": 2,
        "timesteps": 256,
        "episodes": 4,
        "evaluations": 2,
        "hypotheses": [
            {
                "id": "H1a",
                "contrast": "timing",
                "measure": "success",
                "direction": "none",
                "margin": 0.5,
            }
        ],
    }
)
GRID = trials(STUDY)
ALL = len(GRID)
TRIAL = GRID[0]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study: its cohorts trained together, as in a sweep."""
    store = Store(tmp_path_factory.mktemp("whole") / "out")
    store.open(STUDY, GRID, resume=False)
    cells = dict.fromkeys(trial.cell.key for trial in GRID)
    for key in cells:
        cohort = [trial for trial in GRID if trial.cell.key == key]
        for trial, rows in run_trials(cohort, store.out):
            assert isinstance(rows, pd.DataFrame)
            store.write(trial, rows, origin_of(trial.cell))
    store.provenance(STUDY, GRID, describe_run("powerseek sweep tiny", 1.0, 1, 1.0))
    finish(store, GRID)
    return store.out


@pytest.fixture
def out(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "out"))


def checked(out: Path, sample: int = 0) -> dict[str, Check]:
    return {check.name: check for check in verify_run(out, sample)}


def differing(out: Path, sample: int = 0) -> set[str]:
    return {check.name for check in checked(out, sample).values() if check.word == DIFFERS}


def again(out: Path) -> list[Check]:
    """What came of the trials that were made again, all of them."""
    return [c for name, c in checked(out, ALL).items() if name.startswith("again: ")]


def digests(out: Path) -> dict[str, str]:
    files = (path for path in sorted(out.rglob("*")) if path.is_file())
    return {str(p.relative_to(out)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def forged(table: pa.Table, add: float = 0.125) -> pa.Table:
    """A table of results in which one value is another."""
    row = table.column("metric").to_pylist().index("success")
    values = table.column("value").to_pylist()
    values[row] += add
    return table.set_column(table.schema.get_field_index("value"), "value", [values])


def forge_trial(out: Path, trial: Any = TRIAL) -> None:
    """One value of a trial, with a checksum that agrees and the origin that it had."""
    path = Store(out).path(trial)
    table = forged(pq.read_table(path).cast(SCHEMA))
    write_table(path, with_origin(table, read_origin(path)))


def redraw(out: Path) -> None:
    """Everything that is made from the trials, made from the forged ones."""
    finish(Store(out), GRID, anew=True)


def test_sound_study_passes_and_stays_as_it_is(out: Path) -> None:
    before = digests(out)
    found = checked(out, 2)
    assert digests(out) == before
    assert {c.word for c in found.values()} <= {OK, SKIPPED}
    made = [check for name, check in found.items() if name.startswith("again: ")]
    assert len(made) == 2
    assert all("rows identical; learning curve identical" in check.found for check in made)
    assert found["exact numbers"].word == OK
    assert f"{ALL - 2} of {ALL} trials were not made again" in found[SKIPPED].found


def test_every_trial_is_the_same_alone_as_in_its_cohort(out: Path) -> None:
    assert len(again(out)) == ALL
    assert {check.word for check in again(out)} == {OK}


def test_results_elsewhere_are_verified_there(out: Path) -> None:
    store = fsspec.filesystem("memory")
    Store(out).path(TRIAL).write_bytes(b"PAR1")
    store.put(str(out), "/verified/out", recursive=True)
    found = {check.name: check for check in verify_run("memory://verified/out", 0)}
    assert found["checksums"].word == DIFFERS
    assert found["study"].found.startswith("memory://verified/out/internals/trials/")


def test_value_of_the_merged_table_is_found(out: Path) -> None:
    path = out / layout.RESULTS
    made_of = pq.read_metadata(path).metadata[b"made_of"].decode()
    table = forged(pq.read_table(path).cast(SCHEMA))

    def write(temporary: Path) -> None:
        with table_writer(temporary, SCHEMA, made_of=made_of) as writer:
            writer.write_table(table)

    keep_results_file(path, write)
    found = checked(out)
    assert found["checksums"].word == OK
    assert found[layout.RESULTS].word == DIFFERS
    assert TRIAL.key in found[layout.RESULTS].found
    assert "success" in found[layout.RESULTS].found


def test_value_of_a_trial_is_found_in_what_was_made_from_it(out: Path) -> None:
    forge_trial(out)
    assert layout.RESULTS in differing(out)


def test_forgery_that_was_drawn_anew_is_found_by_training_again(out: Path) -> None:
    forge_trial(out)
    redraw(out)
    assert differing(out) == set()
    wrong = [check for check in again(out) if check.word == DIFFERS]
    assert len(wrong) == 1
    assert "greatest differences success 0.12" in wrong[0].found


def test_verdict_in_the_summary_is_found(out: Path) -> None:
    path = out / layout.SUMMARY
    text = path.read_text()
    assert "**cannot tell**" in text
    path.write_text(text.replace("**cannot tell**", "**supported**"))
    assert differing(out) == {"drawn files", "verdicts"}
    note_drawn(out, sources(out))  # as if it had been drawn so
    assert differing(out) == {"verdicts"}
    assert "supported" in checked(out)["verdicts"].found


@pytest.mark.parametrize(
    ("name", "check"), [(layout.SUMMARY, layout.SUMMARY), (layout.REPORT, layout.REPORT)]
)
def test_number_on_a_page_is_found(out: Path, name: str, check: str) -> None:
    path = out / name
    text = path.read_text()
    path.write_text(text.replace("training runs, up to 2 seeds", "training runs, up to 20 seeds"))
    assert path.read_text() != text
    note_drawn(out, sources(out))
    assert differing(out) == {check}


def test_missing_page_is_found(out: Path) -> None:
    (out / layout.SUMMARY).unlink()
    assert {"drawn files", "verdicts", layout.SUMMARY} <= differing(out)


def test_picture_that_was_changed_is_found(out: Path) -> None:
    picture = next((out / layout.FIGURES).glob("*.png"))
    picture.write_bytes(picture.read_bytes() + b"\0")
    assert differing(out) == {"drawn files"}
    assert picture.name in checked(out)["drawn files"].found


def test_damage_ends_what_needs_the_file_and_is_said(out: Path) -> None:
    path = Store(out).path(TRIAL)
    path.write_bytes(path.read_bytes().replace(b"success", b"succesS", 1))
    found = checked(out, 1)
    assert found["checksums"].word == DIFFERS
    assert path.name in found["checksums"].found
    assert found["study"].word == DIFFERS
    assert "all else" in found[SKIPPED].found


def test_years_of_training_are_not_begun_unasked(out: Path) -> None:
    with pytest.raises(InvalidInput, match="--sample"):
        list(verify_run(out, 2, hours=1e-9))
    assert list(verify_run(out, 0, hours=0))


def test_failed_and_missing_trials_are_told(out: Path) -> None:
    store = Store(out)
    store.write_failed(TRIAL, "it broke")
    store.path(GRID[1]).unlink()
    (out / layout.RESULTS).unlink()
    redraw(out)
    found = checked(out, ALL)
    assert {check.word for check in found.values()} == {OK, NOTE, SKIPPED}
    assert f"{ALL - 1} of {ALL} trials" in found["study"].found
    assert "1 of them failed" in found["study"].found
    assert "2 trials have no result or failed" in found[SKIPPED].found
    assert sum(name.startswith("again: ") for name in found) == ALL - 2


def test_full_disk_is_no_difference(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any, **how: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("powerseek.experiments.results.files.write_atomically", full)
    with pytest.raises(DiskFull):
        checked(out)


def test_registration_that_was_rewritten_is_found(out: Path) -> None:
    path = out / layout.REGISTRATION
    held = checksums.unchecked_record(path)
    held.pop("checksum")
    held["registered"]["hypotheses"][0]["margin"] = 0.1
    held["hash"] = content_hash(held["registered"])
    write_json(path, held)
    assert f"{layout.MANIFEST} names another" in checked(out)["registration"].found
    manifest = checksums.unchecked_record(out / layout.MANIFEST)
    manifest |= {"preregistered": held["hash"]}
    write_json(out / layout.MANIFEST, manifest)
    found = checked(out)["registration"]
    assert found.word == DIFFERS
    assert found.found == "it is not that of study.yaml by this version"


def test_exact_numbers_that_were_changed_are_found(out: Path) -> None:
    path = out / oracle_names(TRIAL.cell)[0]
    with np.load(path) as file:
        held = dict(file)
    name = next(n for n in held if held[n].dtype.kind == "f" and np.isfinite(held[n]).any())
    held[name] = held[name] + 0.5

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez_compressed(file, **held)
        with zipfile.ZipFile(temporary, "a") as archive:
            archive.comment = checksums.BLANK.encode()

    keep_results_file(path, write)
    found = checked(out, ALL)
    assert found["checksums"].word == OK
    assert found["exact numbers"].word == DIFFERS
    assert name in found["exact numbers"].found


def test_learning_curve_that_was_changed_is_found(out: Path) -> None:
    path = out / layout.CURVES / f"{TRIAL.key}.parquet"
    table = pq.read_table(path)
    name = "competence"
    changed = pa.array([x + 0.25 for x in table.column(name).to_pylist()], pa.float64())
    at = table.schema.get_field_index(name)
    write_table(path, table.set_column(at, name, changed).replace_schema_metadata(None))
    wrong = [check for check in again(out) if check.word == DIFFERS]
    assert len(wrong) == 1
    assert "rows identical; learning curve differs" in wrong[0].found


def test_other_rules_and_other_code_are_told_apart(out: Path) -> None:
    path = Store(out).path(TRIAL)
    origin = read_origin(path)
    table = pq.read_table(path).cast(SCHEMA)
    write_table(path, with_origin(table, {**origin, "torch": "1.0"}))
    found = checked(out)
    assert found["code"].word == NOTE
    assert "torch 1.0" in found["code"].found
    assert found["rules"].word == OK
    write_table(path, with_origin(table, {**origin, RULES: "others"}))
    assert checked(out)["rules"].word == DIFFERS


def test_another_version_says_so(out: Path) -> None:
    path = out / layout.MANIFEST
    held = {
        name: value
        for name, value in checksums.unchecked_record(path).items()
        if name != "checksum"
    }
    write_json(path, {**held, "powerseek": "0.0.9"})
    found = checked(out)["version"]
    assert found.word == NOTE
    assert "0.0.9" in found.found


def test_another_format_is_refused(out: Path) -> None:
    path = out / layout.MANIFEST
    held = {
        name: value
        for name, value in checksums.unchecked_record(path).items()
        if name != "checksum"
    }
    write_json(path, {**held, "format": 9})
    with pytest.raises(StoreError, match="results of format 9"):
        checked(out)


@pytest.mark.parametrize("lacking", [layout.MANIFEST, layout.RESULTS])
def test_what_is_no_finished_study_is_refused(out: Path, lacking: str) -> None:
    (out / lacking).unlink()
    with pytest.raises(InvalidInput, match=f"RUN: .*{lacking}"):
        checked(out)


def test_edited_manifest_is_a_difference(out: Path) -> None:
    path = out / layout.MANIFEST
    keep_bytes(path, path.read_bytes().replace(b'"tiny"', b'"tinY"'))
    assert differing(out) == {"manifest"}


@pytest.mark.parametrize("sample", [0, 1, 2, 3, 4, 5, 99])
def test_sample_is_spread_over_cells(sample: int) -> None:
    chosen = sample_trials(GRID, sample, 7)
    assert len(chosen) == len({trial.key for trial in chosen}) == min(sample, ALL)
    counts = Counter(trial.cell.key for trial in chosen if not trial.cell.is_reference)
    assert max(counts.values(), default=0) <= -(-sample // 2)
    assert [t.key for t in chosen] == [t.key for t in sample_trials(GRID, sample, 7)]
    trained = sum(not trial.cell.is_reference for trial in GRID)
    assert sample > 2 or not any(trial.cell.is_reference for trial in chosen) or trained < sample


def test_samples_of_other_seeds_are_others() -> None:
    assert len({tuple(t.key for t in sample_trials(GRID, 2, seed)) for seed in range(20)}) > 1


def rows(**changed: Any) -> pa.Table:
    row = {"checkpoint": "end", "evaluation": "exact", "metric": "success", "value": 0.5}
    row |= {"low": float("nan"), "n": 4, "timesteps": 9, "status": "ok", **changed}
    return pa.Table.from_pylist([{name: row.get(name) for name in SCHEMA.names}], SCHEMA)


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({}, IDENTICAL),
        ({"value": np.nextafter(0.5, 1)}, ROUNDED),
        ({"value": 0.5 + 0.9 * ROUNDING}, ROUNDED),
        ({"value": 0.5 + 1.1 * ROUNDING}, OTHER),
        ({"value": float("nan")}, OTHER),
        ({"low": 0.1}, OTHER),
        ({"n": 5}, OTHER),
        ({"timesteps": 10}, OTHER),
        ({"status": "censored"}, OTHER),
        ({"metric": "competence"}, OTHER),
    ],
)
def test_rule_of_agreement(changed: dict[str, Any], word: str) -> None:
    assert rows_agreement(rows(), rows(**changed)).word == word


def test_greatest_difference_is_of_each_metric() -> None:
    kept = pa.concat_tables([rows(), rows(metric="length", value=3.0, high=4.0)])
    made = pa.concat_tables([rows(value=0.75), rows(metric="length", value=5.0, high=4.5)])
    assert rows_agreement(kept, made).greatest == {"success": 0.25, "length": 2.0}


@pytest.mark.parametrize(
    ("kept", "count"), [(["a", "x", "c"], 1), (["a", "c"], 2), (["a", "b", "c", "d"], 1), ([], 3)]
)
def test_lines_that_differ_are_counted(kept: list[str], count: int) -> None:
    found = lines_differ(kept, ["a", "b", "c"])
    assert found is not None
    assert found.lines == count
    assert lines_differ(["a"], ["a"]) is None


Call = Callable[..., tuple[int, str, str]]


def test_command_ends_with_1_where_anything_differs(
    out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from powerseek.experiments.cli import app as cli

    def run(*words: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["powerseek", "verify", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code or 0), capsys.readouterr().out

    code, said = run(str(out), "--sample", "0")
    assert code == 0
    assert "checks pass" in said
    assert "not checked: " in said
    (out / layout.SUMMARY).write_text("all is well")
    code, said = run(str(out), "--sample", "0")
    assert code == 1
    assert said.count("differs  ") == 3
    assert json.loads((out / layout.MANIFEST).read_text())["study"] == "tiny"
