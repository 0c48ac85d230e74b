"""What may not be read or written is named in one line, by every command, and nothing is lost."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from powerseek.errors import InvalidInput
from powerseek.experiments import run_study
from powerseek.experiments.cli import app as cli
from powerseek.experiments.report.figures.style import Picture
from powerseek.experiments.results.files import StoreError
from powerseek.experiments.results.provenance import describe_run
from powerseek.experiments.results.store import Store
from powerseek.experiments.run import finish
from powerseek.experiments.study.checked import trials
from powerseek.experiments.study.schema import make_study
from powerseek.experiments.sweep.trial import run_trial

GIVEN: dict[str, Any] = {
    "name": "tiny",
    "worlds": [{"id": "star"}],
    "agents": ["random"],
    "timesteps": 1,
    "episodes": 5,
}
NOBODY = 65534
NOTHING, READ_ONLY = 0o000, 0o555
DERIVED = {
    *("results.parquet", "trials.parquet", "report.html", "summary.md", "figures", "tensorboard"),
    *("curves.parquet", "frontiers.parquet", "drawn.json"),
}
"""What is merged or drawn from other files, and made again where it cannot be read."""


class Said(NamedTuple):
    """What a command answered."""

    code: object
    out: str
    err: str


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Whoever runs tests as root may read everything: another user may not."""
    if os.geteuid() != 0:
        yield
        return
    os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


def answer(*words: str) -> Said:
    """The answer to a command line, in this process and as another user."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["powerseek", *words])
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            pytest.raises(SystemExit) as ended,
            as_nobody(),
        ):
            cli.main()
    return Said(ended.value.code or 0, out.getvalue(), err.getvalue())


def refused(said: Said, name: str, *codes: int) -> None:
    """The last line, and no other, is an error that names what may not be read or written."""
    assert said.code in (codes or (2,)), said
    assert said.out == "", said
    *before, last = said.err.splitlines()
    assert last.startswith("error: "), said
    assert name in last, said
    assert not [line for line in before if line.startswith(("error", "Traceback"))], said


@contextlib.contextmanager
def allowed(path: Path, mode: int) -> Iterator[None]:
    """Other permissions for a while."""
    before = path.stat().st_mode
    path.chmod(mode)
    try:
        yield
    finally:
        path.chmod(before)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file that no command may change."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not DERIVED.intersection(path.relative_to(folder).parts)
    }


def given_away(folder: Path) -> None:
    """Let another user have a folder and all that is in it."""
    if os.geteuid() == 0:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, NOBODY, NOBODY)


@pytest.fixture(scope="module")
def finished() -> Iterator[Path]:
    """A folder, which everybody may enter, with a study, its results and a model in it."""
    with tempfile.TemporaryDirectory() as made, pytest.MonkeyPatch.context() as patch:
        patch.setattr(Picture, "_saved", lambda self, theme, *formats: [b""] * len(formats))
        place = Path(made)
        place.chmod(0o755)
        (place / "s.yaml").write_text(yaml.safe_dump(GIVEN))
        (place / "model.zip").write_bytes(b"")
        study = make_study(GIVEN)
        store, grid = Store(place / "out"), trials(study)
        store.open(study, grid, resume=False)
        for trial in grid:
            store.write(trial, run_trial(trial, store.out))
        store.provenance(study, grid, describe_run("powerseek sweep tiny", 1.0, 1, 1.0))
        finish(store, grid)
        given_away(place)
        yield place


@pytest.fixture
def here(finished: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as made:
        place = Path(made)
        shutil.copytree(finished, place, dirs_exist_ok=True)
        given_away(place)
        monkeypatch.chdir(place)
        monkeypatch.setattr(Picture, "_saved", lambda self, theme, *formats: [b""] * len(formats))
        yield place


TRAIN = ("train", "--world", "star", "--agent", "random", "--timesteps", "1", "--episodes", "5")
WRITERS = {
    "sweep": ("sweep", "s.yaml", "--out"),
    "resume": ("sweep", "s.yaml", "--resume", "--out"),
    "train": (*TRAIN, "--out"),
    "analyse": ("analyse", "star", "--samples", "2", "--out"),
    "new-world": ("new-world", "lab.pear", "--out"),
}
READERS = {
    "report": ("report",),
    "evaluate": ("evaluate", "--world", "star"),
    "plan": ("plan", "--no-pilot"),
    "study": ("sweep",),
}


@pytest.mark.parametrize("words", [*WRITERS.values(), *READERS.values()], ids=[*WRITERS, *READERS])
@pytest.mark.parametrize("name", ["closed", "closed/below"])
def test_a_folder_that_may_not_be_read_is_named(
    name: str, words: tuple[str, ...], here: Path
) -> None:
    (here / "closed").mkdir()
    with allowed(here / "closed", NOTHING):
        refused(answer(*words, name), "closed")
    assert list((here / "closed").iterdir()) == []


@pytest.mark.parametrize("words", [("sweep", "s.yaml"), ("plan", "s.yaml", "--no-pilot")])
def test_a_study_that_may_not_be_read_is_named(words: tuple[str, ...], here: Path) -> None:
    with allowed(here / "s.yaml", NOTHING):
        refused(answer(*words), "Permission denied: 's.yaml'")


def test_a_model_that_may_not_be_read_is_named(here: Path) -> None:
    with allowed(here / "model.zip", NOTHING):
        said = answer("evaluate", "model.zip", "--world", "star")
        refused(said, "model.zip")
        assert "Permission denied" in said.err


@pytest.mark.parametrize("words", WRITERS.values(), ids=WRITERS)
@pytest.mark.parametrize("name", ["shut", "shut/below"])
def test_a_folder_that_may_not_be_written_is_named(
    name: str, words: tuple[str, ...], here: Path
) -> None:
    (here / "shut").mkdir()
    with allowed(here / "shut", READ_ONLY):
        refused(answer(*words, name), "shut")
    assert list((here / "shut").iterdir()) == []


@pytest.mark.parametrize("words", WRITERS.values(), ids=WRITERS)
def test_so_is_one_in_which_a_command_writes_unasked(words: tuple[str, ...], here: Path) -> None:
    before = sorted(here.iterdir())
    with allowed(here, READ_ONLY):
        refused(answer(*words[:-1]), str(here))
    assert sorted(here.iterdir()) == before


def test_in_a_folder_that_may_not_be_read_the_rest_goes_on(here: Path) -> None:
    with allowed(here, NOTHING):
        refused(answer("report", "out"), "out")
        refused(answer("sweep", "s.yaml"), "s.yaml")
        refused(answer("new-world", "lab.pear"), "pear")
        assert answer("envs", "star").code == 0


@pytest.mark.parametrize(
    "mode", [pytest.param(NOTHING, marks=pytest.mark.slow), READ_ONLY], ids=["closed", "shut"]
)
def test_of_results_nothing_is_lost_where_a_part_is_closed(mode: int, here: Path) -> None:
    out = here / "out"
    before = contents(out)
    every = (out, *out.glob("*"), *out.glob("internals/**/*"))
    parts = [path for path in every if mode == NOTHING or path.is_dir()]
    assert len(parts) > 6
    for path in parts:
        for words in (["report", "out"], ["sweep", "s.yaml", "--out", "out", "--resume"]):
            with allowed(path, mode):
                said = answer(*words)
            if said.code:
                refused(said, path.name, 2, 1)  # 1: a sweep that has begun
            assert "Traceback" not in said.err, (path, said)
            assert contents(out) == before, (path, said)
    assert answer("report", "out").code == 0


def test_callers_are_told_in_one_kind_of_error(here: Path) -> None:
    (here / "closed").mkdir()
    with allowed(here / "closed", NOTHING), as_nobody():
        for place in ("closed", "closed/below"):
            with pytest.raises((InvalidInput, StoreError), match="closed"):
                run_study(GIVEN, here / place)
