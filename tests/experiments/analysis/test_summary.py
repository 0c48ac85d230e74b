"""The summary: known means, nothing made up."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from synthetic import frame, make_results, trial_rows

from powerseek.errors import InvalidInput
from powerseek.experiments.analysis.summary import summarise
from powerseek.experiments.results.table import read_results
from powerseek.registry import list_metrics


@pytest.fixture(scope="module")
def results():
    return make_results(seeds=4, unlearnt=2)


def only(table, **wanted):
    for column, value in wanted.items():
        table = table[table[column] == value]
    assert len(table) == 1
    return table.iloc[0]


def test_a_mean_is_that_of_the_seeds_that_learnt(results):
    row = only(summarise(results), world="homestead", openness=2.0, reward="terminal", gamma=1.0)
    rows = results[
        (results["world"] == "homestead")
        & (results["openness"] == 2)
        & (results["reward"] == "terminal")
        & (results["gamma"] == 1)
        & (results["evaluation"] == "sampled")
    ]
    values = rows.pivot_table(index=["status", "seed"], columns="metric", values="value")
    assert row["excess"] == pytest.approx(values.loc["ok", "excess"].mean())
    assert row["competence"] == pytest.approx(values["competence"].mean())
    assert (row["seeds"], row["scored"], row["censored"], row["failed"]) == (4, 2, 2, 0)
    assert row["reach"] == 0.5
    assert not row["confirmatory"]


def test_the_decomposition_adds_up_in_every_row(results):
    table = summarise(results)
    table = table[table["oracle"]]
    assert len(table) > 10
    parts = table["incentive"] + table["learned"] + table["remainder"]
    assert parts.to_numpy() == pytest.approx(table["excess"].to_numpy())
    assert (table["need"] + table["excess"]).to_numpy() == pytest.approx(table["acquired"])


def test_the_interval_of_an_exact_number_is_its_range_over_ties(results):
    row = summarise(results).iloc[0]
    assert row["incentive_low"] == pytest.approx(row["incentive"] - 0.1)
    assert row["incentive_high"] == pytest.approx(row["incentive"] + 0.2)


def test_only_the_sampled_end_is_summarised(results):
    before = summarise(results)
    noise = results.assign(value=99.0, evaluation="greedy")
    earlier = results.assign(value=99.0, checkpoint="competence>=0.9")
    after = summarise(pd.concat([results, noise, earlier]))
    pd.testing.assert_frame_equal(before, after)


def test_a_dial_that_varies_makes_cells():
    trials = [trial_rows({"competence": 1.0}, max_steps=steps) for steps in (28, 40)]
    table = summarise(frame(*trials))
    assert list(table["max_steps"]) == [28, 40]


def test_one_seed_has_a_mean_and_no_interval():
    table = summarise(make_results(seeds=1))
    assert np.isfinite(table["excess"].iloc[0])
    assert table["excess_low"].isna().all()


def test_all_censored_is_not_confirmatory():
    trials = [
        trial_rows(
            {"competence": 0.2, "acquired": 1.0, "excess": 0.5, "need": 0.5}, "censored", seed=seed
        )
        for seed in range(3)
    ]
    row = summarise(frame(*trials)).iloc[0]
    assert (row["scored"], row["censored"], row["reach"]) == (3, 3, 0)
    assert not row["confirmatory"]


def test_failed_trials_are_counted_and_never_scored():
    good = [trial_rows({"competence": 1.0, "acquired": 2.0}, seed=seed) for seed in range(2)]
    bad = trial_rows({}, "failed", seed=2)
    table = summarise(frame(*good, bad))
    assert (table["seeds"].iloc[0], table["failed"].iloc[0]) == (2, 1)
    assert table["acquired"].iloc[0] == 2


def test_a_cell_of_failures_only_has_no_numbers():
    found = frame(trial_rows({}, "failed"), trial_rows({"competence": 1.0}, reward="terminal"))
    row = only(summarise(found), reward="dense")
    assert row[list_metrics()].isna().all()
    assert (row["seeds"], row["failed"]) == (0, 1)


def test_without_an_oracle_there_is_no_excess():
    trials = [trial_rows({"competence": 1.0, "acquired": 2.0}, seed=seed) for seed in range(2)]
    row = summarise(frame(*trials)).iloc[0]
    assert not row["oracle"]
    assert np.isnan(row["excess"])


@pytest.mark.parametrize("name", list_metrics())
def test_every_metric_has_a_column(table, name):
    assert {name, f"{name}_low", f"{name}_high"} <= set(table)


@pytest.fixture(scope="module")
def table(results):
    return summarise(results)


def test_missing_columns_are_named(results):
    with pytest.raises(InvalidInput, match="status"):
        summarise(results.drop(columns="status"))


def test_results_are_read_or_what_lacks_is_named(results, tmp_path):
    with pytest.raises(InvalidInput, match=r"results\.parquet"):
        read_results(tmp_path)
    path = tmp_path / "results.parquet"
    path.write_text("not a table")
    with pytest.raises(InvalidInput, match="readable"):
        read_results(tmp_path)
    results.to_parquet(path)
    assert len(read_results(tmp_path)) == len(results)
