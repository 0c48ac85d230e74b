"""The summary and the printed table: known means, nothing cut, nothing made up."""

from __future__ import annotations

import io
from math import nan

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from synthetic import frame, make_results, trial_rows

from powerseek.errors import InvalidInput
from powerseek.experiments.analysis.contrasts import contrasts
from powerseek.experiments.analysis.summary import summarise
from powerseek.experiments.analysis.view import View
from powerseek.experiments.report.terminal import print_table
from powerseek.experiments.report.text import (
    contrast_grids,
    interval,
    number,
    ranged,
    setting,
    world_grids,
)
from powerseek.experiments.results.table import EXACT, MEASURES, read_results


@pytest.fixture(scope="module")
def results():
    return make_results(seeds=4, unlearnt=2)


def printed(results, width=100):
    target = io.StringIO()
    print_table(View(results), Console(file=target, width=width, force_terminal=False))
    return target.getvalue()


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


def test_a_look_ahead_is_told_by_the_reward_and_parts_no_other_cells():
    trials = [
        trial_rows({"competence": 1.0, "excess": 0.5}, reward=reward, lookahead=h, seed=seed)
        for reward, h in (
            ("dense", nan),
            ("every cap", nan),
            ("approval 8", 8.0),
            ("coverage 0.5", nan),
        )
        for seed in range(2)
    ]
    results = frame(*trials)
    (grid,) = world_grids(summarise(results))
    assert grid.headers[0] == "reward"
    assert "lookahead" not in grid.headers
    assert [row[0] for row in grid.rows] == ["dense", "every cap", "approval 8", "coverage 0.5"]
    assert ("every cap", "dense") in set(zip(*contrasts(results)[["a", "b"]].T.values, strict=True))


def test_one_seed_has_a_mean_and_no_interval():
    table = summarise(make_results(seeds=1))
    assert np.isfinite(table["excess"].iloc[0])
    assert table["excess_low"].isna().all()
    for grid in world_grids(table):
        if "excess [95 %]" not in grid.headers:
            assert grid.title.startswith("off-switch")  # nothing to acquire, no column
            continue
        column = grid.headers.index("excess [95 %]")
        assert not any("[" in row[column] for row in grid.rows)


def test_all_censored_is_shown_as_not_confirmatory():
    trials = [
        trial_rows(
            {"competence": 0.2, "acquired": 1.0, "excess": 0.5, "need": 0.5}, "censored", seed=seed
        )
        for seed in range(3)
    ]
    row = summarise(frame(*trials)).iloc[0]
    assert (row["scored"], row["censored"], row["reach"]) == (3, 3, 0)
    assert not row["confirmatory"]
    assert "\u2020" in printed(frame(*trials))


def test_failed_trials_are_counted_and_never_scored():
    good = [trial_rows({"competence": 1.0, "acquired": 2.0}, seed=seed) for seed in range(2)]
    bad = trial_rows({}, "failed", seed=2)
    table = summarise(frame(*good, bad))
    assert (table["seeds"].iloc[0], table["failed"].iloc[0]) == (2, 1)
    assert table["acquired"].iloc[0] == 2
    assert " fail" in printed(frame(*good, bad))
    assert " fail" not in printed(frame(*good))


def test_a_cell_of_failures_only_has_no_numbers():
    found = frame(trial_rows({}, "failed"), trial_rows({"competence": 1.0}, reward="terminal"))
    row = only(summarise(found), reward="dense")
    assert row[list(MEASURES)].isna().all()
    assert (row["seeds"], row["failed"]) == (0, 1)
    lines = [line for line in printed(found).splitlines() if line.startswith("dense")]
    assert "0.00" not in lines[0]
    assert " - " in lines[0]


def test_without_an_oracle_the_table_says_so():
    trials = [trial_rows({"competence": 1.0, "acquired": 2.0}, seed=seed) for seed in range(2)]
    row = summarise(frame(*trials)).iloc[0]
    assert not row["oracle"]
    assert np.isnan(row["excess"])
    assert printed(frame(*trials)).count("no oracle") == 2


def test_a_missing_metric_is_a_dash():
    text = printed(frame(trial_rows({"competence": 1.0, "success": nan})))
    line = next(line for line in text.splitlines() if line.startswith("dense"))
    assert line.split() == ["dense", "1.00", "-", "1", "0"]


@pytest.mark.parametrize("name", EXACT)
def test_every_exact_measure_is_a_measure(name):
    assert name in MEASURES


@pytest.mark.parametrize("width", [40, 80, 100, 120, 200])
def test_no_number_is_cut(results, width):
    text = printed(results, width)
    for grid in world_grids(summarise(results)):
        for row in grid.rows:
            for cell in row:
                for word in cell.split():
                    assert word in text
    # A cut number would end in the mark for left-out letters.
    assert "\u2026" not in text.split("competence:")[0]
    if width >= 80:
        assert max(len(line.rstrip()) for line in text.splitlines()) <= width


@pytest.mark.parametrize("width", [80, 100, 120])
def test_every_row_keeps_its_numbers_together(results, width):
    """Each part of a table that does not fit has as many lines as cells."""
    text = printed(results, width)
    grid = world_grids(summarise(results))[0]
    for row in grid.rows:
        excess = row[grid.headers.index("excess [95 %]")]
        assert any(excess in line for line in text.splitlines())


@pytest.mark.parametrize(
    "name", ["\u4e16\u754c/\u0444\u00fc", "[bold]x[/bold]", "<b>&amp;", "a\\[b", "\U0001f3e1"]
)
def test_odd_names_are_printed_as_they_are(name):
    text = printed(frame(trial_rows({"competence": 1.0}, world=name, reward=name)))
    assert text.count(name) == 2


def test_no_results_is_said_in_words(results):
    assert printed(results.iloc[:0]).strip() == "No trial has finished yet."


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


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (nan, "-"),
        (float("inf"), "-"),
        (0.0, "0.00"),
        (-0.001, "0.00"),
        (12.34, "12.3"),
        (12345.6, "12346"),
        (0.125, "0.12"),
    ],
)
def test_numbers_in_words(value, text):
    assert number(value) == text


def test_intervals_in_words():
    assert interval(1.2, 0.8, 1.7, signed=True) == "+1.20 [0.80, 1.70]"
    assert interval(1.2, nan, nan) == "1.20"
    assert interval(nan, nan, nan) == "-"
    assert ranged(1.0, 0.98, 1.02) == "1.00"
    assert ranged(1.0, 0.8, 1.2) == "1.00 [0.80, 1.20]"
    words = setting(
        {"reward": "dense", "goal": 0, "gamma": 0.9, "openness": nan},
        ["reward", "goal", "openness", "gamma"],
    )
    assert words == "dense, goal 0, gamma 0.9"


def test_only_gated_comparisons_are_muted_for_lack_of_learning():
    measures = {"competence": 0.5, "acquired": 3.0, "excess": 1.0}
    trials = [
        trial_rows(
            {**measures, "acquired": 3.0 + 5 * weight},
            status="censored",
            reward=reward,
            power_weight=weight,
            seed=seed,
        )
        for seed in range(4)
        for reward, weight in (("dense", 0.0), ("every cap", 0.0), ("dense", 1.0))
    ]
    grids = contrast_grids(contrasts(frame(*trials)))
    assert grids["control"][0].muted == (False,)
    assert grids["control"][0].rows[0][-1] == "fires"
    assert grids["timing"][0].muted == (True,)
