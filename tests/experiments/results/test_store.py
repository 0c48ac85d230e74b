from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from powerseek.errors import InvalidInput
from powerseek.experiments.results.files import DiskFull, StoreError
from powerseek.experiments.results.provenance import describe_run
from powerseek.experiments.results.store import (
    COLUMNS,
    Store,
    identity,
    trial_columns,
)
from powerseek.experiments.study.grid import Cell, Trial
from powerseek.experiments.study.schema import Study, load_study, make_study


def study(**keys: Any) -> Study:
    return make_study({"name": "s", "worlds": [{"id": "w"}], "timesteps": 9, "seeds": 2, **keys})


PARAMS = {"openness": 1, "max_steps": 8, "spoil": 0.1}
CLAIM = {"id": "H1a", "contrast": "timing", "direction": "larger", "margin": 0.5}
GRID = [Trial(Cell("w", 1, PARAMS, {"every": 8}, "ppo", 9), seed, "s") for seed in range(2)]


def rows(trial: Trial, value: float = 0.5) -> pd.DataFrame:
    extra = {"timesteps": 9, "updates": 3, "checkpoint": "end", "evaluation": "sampled"}
    extra |= {"metric": "success", "value": value, "low": float("nan"), "high": 1.0, "n": 4}
    row = {**trial_columns(trial), **extra, "unit": "share", "status": "ok"}
    return pd.DataFrame([row], columns=list(COLUMNS))


def begun(folder: Path, **keys: Any) -> Store:
    store = Store(folder / "out")
    store.open(study(**keys), GRID, resume=False)
    return store


NEWER = ("budget", "settings", "spec", "aim", "price", "phases", "shift")


def test_columns_are_the_fixed_ones_in_their_order() -> None:
    fixed = (
        "study world version params openness goal layout reward power_weight gamma max_steps "
        "time_limit gae_lambda n_step lookahead agent seed timesteps updates checkpoint "
        "evaluation metric value low high n unit status trial"
    )
    assert tuple(fixed.split()) == COLUMNS[: -len(NEWER)]
    assert COLUMNS[-len(NEWER) :] == NEWER


def test_rows_come_back_as_written(tmp_path: Path) -> None:
    store = begun(tmp_path)
    for trial in GRID:
        store.write(trial, rows(trial, trial.seed / 2))
    merged = store.merge(GRID)
    pd.testing.assert_frame_equal(merged, store.load())
    assert list(merged["value"]) == [0.0, 0.5]
    assert set(merged["params"]) == {'{"spoil": 0.1}'}
    assert set(merged["reward"]) == {"every 8"}
    assert merged["lookahead"].isna().all()


def test_aim_and_price_are_told_beside_the_reward() -> None:
    told = {}
    for spec in ("dense", {"coverage": 1, "aim": "need"}, {"priced": 0.1, "of": "terminal"}):
        found = trial_columns(Trial(Cell("w", 1, PARAMS, spec, "ppo", 9), 0))
        told[found["reward"]] = found["aim"], found["price"]
    assert told == {
        "dense": (None, 0.0),
        "coverage 1 need price 0.02": ("need", 0.02),
        "terminal price 0.1": (None, 0.1),
    }


def test_a_judge_s_aim_is_part_of_what_a_trial_is() -> None:
    """Where nothing was said of it, it was another one in earlier versions."""
    trial = Trial(Cell("w", 1, PARAMS, {"coverage": 1}, "ppo", 9), 0)
    assert trial.config["aim"] == "success"
    assert "aim" not in GRID[0].config
    assert "acquired_so_far" not in GRID[0].config
    again = Trial.from_config(trial.config)
    assert (again, again.key) == (trial, trial.key)


def test_a_failed_trial_is_a_row_with_its_error_beside_it(tmp_path: Path) -> None:
    store = begun(tmp_path)
    store.write_failed(GRID[0], "the roof fell in")
    assert store.error_path(GRID[0]).read_text() == "the roof fell in"
    assert store.failed(GRID) == [GRID[0]]
    assert store.missing(GRID) == GRID
    assert list(store.merge(GRID)["status"]) == ["failed"]
    store.write(GRID[0], rows(GRID[0]))
    assert store.failed(GRID) == []
    assert store.missing(GRID) == [GRID[1]]


def test_a_merge_is_stale_once_a_trial_is_kept(tmp_path: Path) -> None:
    store = begun(tmp_path)
    assert store.stale(GRID)
    store.write(GRID[0], rows(GRID[0]))
    store.merge(GRID)
    assert not store.stale(GRID)
    store.write(GRID[1], rows(GRID[1]))
    assert store.stale(GRID)


def test_a_directory_in_use_is_refused_without_resume(tmp_path: Path) -> None:
    begun(tmp_path)
    with pytest.raises(InvalidInput, match="--resume"):
        Store(tmp_path / "out").open(study(), GRID, resume=False)
    Store(tmp_path / "out").open(study(), GRID, resume=True)


def test_another_study_is_refused_and_what_differs_is_named(tmp_path: Path) -> None:
    begun(tmp_path)
    with pytest.raises(InvalidInput, match="timesteps"):
        Store(tmp_path / "out").open(study(timesteps=10), GRID, resume=True)
    with pytest.raises(InvalidInput, match="name"):
        Store(tmp_path / "out").open(study(name="t"), GRID, resume=True)


def test_a_study_may_grow_by_seeds_but_not_shrink(tmp_path: Path) -> None:
    begun(tmp_path)
    Store(tmp_path / "out").open(study(seeds=5), GRID, resume=True)
    with pytest.raises(InvalidInput, match="at least the 5 seeds"):
        Store(tmp_path / "out").open(study(seeds=4), GRID, resume=True)


def test_a_directory_of_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("chapter 1")
    for resume in (False, True):
        with pytest.raises(InvalidInput):
            Store(tmp_path).open(study(), GRID, resume=resume)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_file_in_the_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(InvalidInput, match="a directory"):
        begun(tmp_path)


def test_resume_on_an_absent_directory_starts(tmp_path: Path) -> None:
    store = Store(tmp_path / "deep" / "out")
    store.open(study(), GRID, resume=True)
    assert store.manifest()["identity"] == identity(study())


def test_an_unwritable_place_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be used"):
        Store(tmp_path / "file" / "out").open(study(), GRID, resume=False)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_leaves_no_half_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    store = begun(tmp_path)

    def full(source: object, target: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(DiskFull, match="--resume"):
        store.write(GRID[0], rows(GRID[0]))
    assert list(store.trials.iterdir()) == []


def test_tidying_takes_only_what_a_sweep_left(tmp_path: Path) -> None:
    store, half = begun(tmp_path), ".abcdefgh.powerseek-part"
    store.write(GRID[0], rows(GRID[0]))
    (store.out / "internals/checkpoints").mkdir()
    done, going_on = (store.out / f"internals/checkpoints/{trial.key}.zip" for trial in GRID)
    halves = [store.out / folder / half for folder in ("", "internals/trials", "internals/models")]
    (store.out / "internals/models").mkdir()
    mine = [
        store.out / name
        for name in (".notes.md", ".draft.tar.gz", "internals/.mine.zip", "internals/models/me.zip")
    ]
    for path in (done, going_on, *halves, *mine):
        path.write_text("held")
    store.tidy(GRID)
    assert [path.exists() for path in (done, going_on, *halves)] == [False, True, *[False] * 3]
    assert {path.read_text() for path in mine} == {"held"}


@pytest.mark.parametrize("folder", ["internals/checkpoints", "internals/trials/loop", "figures"])
def test_tidying_leaves_what_lies_behind_a_link(folder: str, tmp_path: Path) -> None:
    store, mine = begun(tmp_path), tmp_path / "mine"
    store.write(GRID[0], rows(GRID[0]))
    mine.mkdir()
    held = [mine / name for name in (".abcdefgh.powerseek-part", f"{GRID[0].key}.zip", "notes.md")]
    for path in held:
        path.write_text("mine")
    link = store.out / folder
    link.symlink_to(link.name if link.name == "loop" else mine)
    (store.out / "internals/oracles/.abcdefgh.powerseek-part").symlink_to(held[2])
    store.tidy(GRID)
    assert [path.read_text() for path in held] == ["mine"] * 3
    assert link.is_symlink()


@pytest.mark.parametrize("make", [os.mkdir, lambda path: os.symlink("../mine.txt", path)])
def test_a_checkpoint_that_is_no_file_of_ours_is_left(make: Any, tmp_path: Path) -> None:
    store = begun(tmp_path)
    store.write(GRID[0], rows(GRID[0]))
    path = store.out / f"internals/checkpoints/{GRID[0].key}.zip"
    path.parent.mkdir()
    make(path)
    store.tidy(GRID)
    assert os.path.lexists(path)


def test_provenance_adds_up_over_runs(tmp_path: Path) -> None:
    import json

    store = begun(tmp_path)
    store.provenance(study(), GRID, describe_run("powerseek sweep s", 2.0, 2, 3.5))
    store.provenance(study(), GRID, describe_run("powerseek sweep s --resume", 3.0, 2, 5.0))
    kept = json.loads((store.out / "internals/provenance.json").read_text())
    assert kept["wall_seconds"] == 5.0
    assert [run["command"] for run in kept["runs"]] == [
        "powerseek sweep s",
        "powerseek sweep s --resume",
    ]
    assert kept["runs"][0]["versions"]["numpy"]


def test_the_kept_study_is_the_study(tmp_path: Path) -> None:
    keys = {
        "gamma": [1, 0.9],
        "rewards": ["dense", {"every": "cap"}],
        "also": [{"rewards": "dense", "power_weight": 1.0}],
        "hypotheses": [CLAIM],
        "settings": {"maskable-ppo": {"net": [8, 8]}},
    }
    store = begun(tmp_path, **keys)
    kept = load_study(store.out / "study.yaml")
    assert kept == study(**keys)
    assert identity(kept) == identity(study(**keys)) == store.manifest()["identity"]


def test_a_file_address_is_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "a b"
    assert Store(folder.as_uri()).out == folder
    assert Store(f"file://localhost{tmp_path}").out == tmp_path
    assert Store("c:x").out == Path.cwd() / "c:x"
    for address in ("s3://bucket/x", "gs://bucket", "s3:/bucket/x", "file://elsewhere/x"):
        with pytest.raises(InvalidInput, match="--out"):
            Store(address)


def test_first_seed_makes_another_study_and_its_default_none() -> None:
    assert identity(study(first_seed=0)) == identity(study())
    assert identity(study(first_seed=1)) != identity(study())


def test_a_table_that_was_never_merged_is_not_called_damaged(tmp_path: Path) -> None:
    store = begun(tmp_path)
    assert not store.results.exists()
    assert not [line for line in store.cautions(GRID) if "merged" in line]
