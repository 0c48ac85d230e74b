"""Results by columns: from a file in any row groups as from memory, and as pandas says."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from synthetic import frame, make_results, trial_rows

from benchmarks.made_up import write_results
from powerseek.errors import InvalidInput
from powerseek.experiments.analysis.summary import summarise
from powerseek.experiments.analysis.view import View
from powerseek.experiments.results.schema import KEYS
from powerseek.experiments.results.table import long_table, read_long, trials
from powerseek.metrics import every_metric
from powerseek.registry import list_metrics

EXACT = [metric.id for metric in every_metric() if metric.exact]


@pytest.fixture(scope="module")
def results():
    made = make_results(seeds=5, unlearnt=2)
    made = made.assign(layout=np.where(made["seed"] % 2 == 0, "a", "b"))
    earlier = made.assign(checkpoint="competence>=0.9", value=made["value"] / 2)
    failed = frame(trial_rows({}, "failed", seed=9), trial_rows({}, "failed", reward="every 3"))
    found = pd.concat([made, earlier, failed], ignore_index=True)
    return found.assign(phases="scratch", shift="max_steps 64").astype({"layout": "str"})


def plainly(results, evaluation, checkpoint):
    """The same table by pandas' own means."""
    failed = set(results.loc[results["status"] == "failed", "trial"])
    kept = results[
        (results["evaluation"] == evaluation)
        & (results["checkpoint"] == checkpoint)
        & ~results["trial"].isin(failed)
    ].drop_duplicates(["trial", "metric"], keep="last")
    table = kept.drop_duplicates("trial").set_index("trial").reindex(columns=list(KEYS))
    table["learnt"] = ~table.index.isin(kept.loc[kept["status"] == "censored", "trial"])

    def wide(rows, column):
        return rows.set_index(["trial", "metric"])[column].unstack("metric").astype(float)

    exact = kept[kept["metric"].isin(EXACT)]
    parts = [wide(kept, "value").reindex(columns=list_metrics())]
    parts += [
        wide(exact, e).reindex(columns=list(EXACT)).add_suffix(f"_{e}") for e in ("low", "high")
    ]
    return table.join(parts).reset_index()


@pytest.mark.parametrize("evaluation", ["sampled", "greedy"])
@pytest.mark.parametrize("checkpoint", ["end", "competence>=0.9"])
def test_a_table_is_the_one_that_pandas_makes(results, evaluation, checkpoint):
    found = trials(results, evaluation, checkpoint)
    pd.testing.assert_frame_equal(found, plainly(results, evaluation, checkpoint))


def test_the_best_is_the_exact_value_and_the_sampled_one_where_there_is_none(results):
    sampled = results[results["evaluation"] == "sampled"]
    known = sampled[sampled["metric"].isin(["excess", "success"])].assign(evaluation="exact")
    known["value"] = np.where(known["seed"] == 1, np.nan, known["value"] + 0.25)
    fresh = known[known["metric"] == "success"].assign(metric="free", value=3.0)
    both = pd.concat([results, known, fresh], ignore_index=True)
    found, plain = trials(both), trials(both, "sampled")
    new = np.where(plain["seed"] == 1, 0.0, 0.25)
    for measure in ("excess", "success"):
        np.testing.assert_array_equal(found[measure], plain[measure] + new)
    assert (found["free"] == 3.0).all()
    assert plain["free"].isna().all()
    others = plain.columns.difference(["excess", "success", "free"])
    pd.testing.assert_frame_equal(found[others], plain[others])


@pytest.mark.parametrize("rows", [41, 10**6])
def test_a_file_reads_as_memory_does_however_it_is_cut(results, rows, tmp_path):
    results.to_parquet(tmp_path / "results.parquet", row_group_size=rows, index=False)
    read = read_long(tmp_path)
    held = long_table(pd.read_parquet(tmp_path / "results.parquet"))
    pd.testing.assert_frame_equal(read.every, held.every)
    pd.testing.assert_frame_equal(trials(read), trials(held))
    pd.testing.assert_frame_equal(summarise(read), summarise(held))
    assert read.learning == held.learning
    assert read.units == held.units


def test_a_later_row_replaces_an_earlier_one_of_the_same_measure(results):
    twice = pd.concat([results, results.assign(value=results["value"] + 1)], ignore_index=True)
    pd.testing.assert_frame_equal(trials(twice), plainly(twice, "sampled", "end"))


def test_trials_that_lie_scattered_are_put_together(results):
    mixed = results.sample(frac=1, random_state=3)
    pd.testing.assert_frame_equal(trials(mixed), plainly(mixed, "sampled", "end"))


@pytest.mark.parametrize("rows", [7, 10**6])
def test_checkpoints_and_lost_trials_are_told_without_the_long_table(results, rows, tmp_path):
    results.to_parquet(tmp_path / "results.parquet", row_group_size=rows, index=False)
    read = read_long(tmp_path)
    told = results[["trial", "checkpoint", "timesteps"]]
    wanted = told.drop_duplicates(["trial", "checkpoint"]).reset_index(drop=True)
    pd.testing.assert_frame_equal(read.checkpoints(), wanted)
    failed = results.loc[results["status"] == "failed", "trial"]
    assert list(read.every.loc[read.failed, "trial"]) == list(failed)
    assert read.stepped == {"ppo"}
    none = read.where(np.zeros(len(read.every), bool))
    assert none.empty
    assert none.checkpoints().empty
    assert trials(none).empty


def test_a_caller_may_add_columns_of_its_own(results):
    found = long_table(results)
    mine = trials(found)
    mine["own"] = 1
    assert "own" not in trials(found)


@pytest.mark.slow
def test_twenty_thousand_trials_are_read_by_columns(tmp_path):
    path = tmp_path / "results.parquet"
    rows = write_results(path, cells=1100, seeds=18)
    assert rows > 1_000_000
    view = View.read(tmp_path)
    assert len(view.results.every) == 19_800
    assert len(view.trials) == 19_800 - 99
    assert len(view.summary) == 1100
    every = pd.read_parquet(
        path,
        columns=["trial", "value"],
        filters=[
            ("metric", "==", "acquired"),
            ("evaluation", "==", "sampled"),
            ("status", "==", "ok"),
        ],
    )
    about = view.trials.set_index("trial")
    assert about["acquired"][every["trial"]].to_numpy() == pytest.approx(every["value"])
    keys = [*view.keys]
    mean = about[about["learnt"]].groupby(keys, dropna=False, sort=False)["acquired"].mean()
    assert view.summary["acquired"].to_numpy() == pytest.approx(mean.to_numpy(), rel=1e-12)


def test_a_file_that_was_cut_short_is_refused(results, tmp_path):
    path = tmp_path / "results.parquet"
    results.to_parquet(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InvalidInput, match="readable"):
        View.read(tmp_path)
    results.drop(columns="status").to_parquet(path)
    with pytest.raises(InvalidInput, match="status"):
        View.read(tmp_path)


def test_two_trials_of_one_treatment_and_seed_are_refused():
    """Their spec and name differ, as of ``{coverage: 1}`` and ``{coverage: 1.0}``: one label."""
    rows = [trial_rows({"success": 1.0}, spec=spec, seed=seed) for spec in "ab" for seed in (0, 1)]
    with pytest.raises(InvalidInput, match="one trial of each treatment and seed") as caught:
        long_table(frame(*rows))
    assert caught.value.value.count('"seed": 0') == 2
