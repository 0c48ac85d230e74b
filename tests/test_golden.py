"""Rows keep their values until a commit changes them on purpose, and says so here."""

from __future__ import annotations

from pathlib import Path

import golden
import pytest

import powerseek

GOLDEN = "5cd0c5688c22ab4eaa076bda727e378d7bf1795cb5575d5666efd44bc79cf005"


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    # A process of its own: other tests have registered worlds here that workers cannot import.
    return golden.rows_of(Path(powerseek.__file__).parents[1], tmp_path_factory.mktemp("golden"))


def test_rows_are_the_golden_ones(table):
    assert golden.digest(table) == GOLDEN


@pytest.mark.parametrize("name", ["value", "status", "n"])
def test_a_changed_row_shows(table, name):
    row = table.index[(table["agent"] == "optimum") & (table["metric"] == "success")][0]
    changed = table.astype(object)
    changed.loc[row, name] = "ok!" if name == "status" else table.loc[row, name] + 1
    assert golden.digest(changed) != golden.digest(table)


def test_a_trained_value_is_no_part_of_it_but_its_count_is(table):
    row = table.index[(table["updates"] > 0) & (table["metric"] == "return")][0]
    for name, counts in (("value", False), ("updates", True)):
        changed = table.astype(object)
        changed.loc[row, name] = 7
        assert (golden.digest(changed) != golden.digest(table)) == counts
