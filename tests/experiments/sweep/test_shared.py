"""Exact numbers shared between studies: equal to computed ones, and never those of other code."""

from __future__ import annotations

import os

import numpy as np
import pytest

from powerseek.experiments.results.oracles import ARM, WORLD, exact_setting, read_exact
from powerseek.experiments.study.checked import cells
from powerseek.experiments.study.schema import make_study
from powerseek.experiments.sweep import oracles, shared
from powerseek.registry import rewards

REMEMBERED = (shared._shared_folder, oracles._oracle, oracles._optimum)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache of its own, empty, that is used."""
    monkeypatch.setenv("POWERSEEK_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv(shared.SWITCH)
    yield tmp_path / "cache"
    for remembered in REMEMBERED:
        remembered.cache_clear()


@pytest.fixture
def computed(monkeypatch):
    """What is computed, in turn."""
    found = []
    for name in ("oracle", "reward_oracle"):
        whole = getattr(oracles, name)
        monkeypatch.setattr(
            oracles, name, lambda *a, n=name, w=whole, **k: found.append(n) or w(*a, **k)
        )
    return found


def exact_files(out, reward="dense"):
    """What lies beside the results of a study of its own in a process of its own, to the bit."""
    for remembered in REMEMBERED:
        remembered.cache_clear()
    given = {"name": "s", "worlds": [{"id": "star"}], "rewards": [reward], "timesteps": 1000}
    (cell,) = cells(make_study(given))
    oracles.oracle_of(cell, out)
    oracles.optimum_of(cell, out)
    return [read_exact(out, exact_setting(cell, names)) for names in (WORLD, ARM)]


def test_what_one_study_computed_the_next_one_reads_bit_for_bit(cache, computed, tmp_path):
    ours = exact_files(tmp_path / "one")
    assert computed == ["oracle", "reward_oracle"]
    theirs = exact_files(tmp_path / "two")
    assert computed == ["oracle", "reward_oracle"]
    for one, other in zip(ours, theirs, strict=True):
        assert one.keys() == other.keys()
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.parametrize(
    "change",
    [
        lambda monkeypatch: monkeypatch.setattr(shared, "versions", lambda: {"numpy": "0"}),
        lambda monkeypatch: monkeypatch.setattr(shared, "processor", lambda: "another"),
        lambda monkeypatch: monkeypatch.setattr(oracles, "rules_of", lambda cell: "edited"),
        lambda monkeypatch: monkeypatch.setenv(shared.SWITCH, "0"),
    ],
    ids=["libraries", "processor", "rules", "switched off"],
)
def test_numbers_of_anything_else_are_not_read(cache, computed, tmp_path, monkeypatch, change):
    exact_files(tmp_path / "one")
    change(monkeypatch)
    exact_files(tmp_path / "two")
    assert computed == ["oracle", "reward_oracle"] * 2


def test_nothing_is_shared_where_all_is_computed_anew(cache, computed, tmp_path):
    exact_files(tmp_path / "one")
    with shared.nothing_shared():
        exact_files(tmp_path / "two")
    assert computed == ["oracle", "reward_oracle"] * 2
    exact_files(tmp_path / "three")
    assert computed == ["oracle", "reward_oracle"] * 2


def test_code_counts(tmp_path, monkeypatch):
    before = shared._made_by()
    (tmp_path / "exact").mkdir()
    (tmp_path / "exact" / "need.py").write_text("GAP = 0.1\n")
    monkeypatch.setattr(shared.powerseek, "__path__", [str(tmp_path)])
    assert shared._made_by() != before


def test_the_optimum_of_a_plugins_reward_is_not_shared(cache, computed, tmp_path, monkeypatch):
    monkeypatch.setitem(rewards._entries, "mine", rewards.get("dense"))
    exact_files(tmp_path / "one", "mine")
    exact_files(tmp_path / "two", "mine")
    assert computed == ["oracle", "reward_oracle", "reward_oracle"]


def test_a_damaged_file_is_computed_again(cache, computed, tmp_path):
    exact_files(tmp_path / "one")
    for path in cache.rglob("*.npz"):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    exact_files(tmp_path / "two")
    assert computed == ["oracle", "reward_oracle"] * 2


def test_the_oldest_are_removed_first(tmp_path, monkeypatch):
    monkeypatch.setattr(shared, "LIMIT", 25)
    for age, name in enumerate("cab"):
        path = tmp_path / "code" / f"{name}.npz"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"0123456789")
        os.utime(path, (age, age))
    shared._prune(tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*.npz")) == ["a.npz", "b.npz"]


def test_a_cache_that_cannot_be_written_changes_nothing(computed, tmp_path, monkeypatch):
    (tmp_path / "cache").write_text("a file")
    monkeypatch.setenv("POWERSEEK_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv(shared.SWITCH)
    exact_files(tmp_path / "one")
    exact_files(tmp_path / "two")
    for remembered in REMEMBERED:
        remembered.cache_clear()
    assert computed == ["oracle", "reward_oracle"] * 2
