"""The table of a row a trial is a pivot of the long one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from powerseek.errors import InvalidInput
from powerseek.experiments.results import store as stores
from powerseek.experiments.results.schema import COLUMNS, trial_columns
from powerseek.experiments.results.store import Store
from powerseek.experiments.results.table import long_table
from powerseek.experiments.study.checked import trials
from powerseek.experiments.study.schema import make_study
from powerseek.registry import metrics

STUDY = make_study(
    {
        "name": "wide",
        "worlds": [{"id": "homestead", "openness": [0, 1]}, {"id": "star"}],
        "rewards": ["dense", "terminal"],
        "gamma": [1.0, 0.9],
        "seeds": 3,
        "timesteps": 100,
    }
)
GRID = trials(STUDY)


def rows(number: int, **about: Any) -> list[dict[str, Any]]:
    """Rows of one trial: a metric that all have, one that some have, one undefined."""
    status = "censored" if number % 5 == 0 else "ok"
    found = []
    for evaluation in ("sampled", "greedy"):
        for metric in ("success", "excess", *(["lab.mine"] if number % 2 else []), "nothing"):
            value = None if metric == "nothing" else number + len(metric) / 10
            value = value if value is None or evaluation == "sampled" else -value
            row = {"checkpoint": "end", "evaluation": evaluation, "metric": metric}
            found.append({**row, "value": value, "status": status, "timesteps": 100 + number})
    if number % 3 == 0:  # some were evaluated exactly
        told = {"checkpoint": "end", "evaluation": "exact", "status": status}
        told |= {"timesteps": 100 + number}
        found += [{**told, "metric": name, "value": number / 7} for name in ("success", "free")]
    row = {"checkpoint": "competence>=0.9", "evaluation": "sampled", "metric": "early"}
    found.append({**row, "value": 7.0, "status": "ok", "timesteps": 50})
    return [{**about, "updates": number, "n": 5, "unit": None, **row} for row in found]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Trials in several row groups, the last two not run and one failed in each group."""
    monkeypatch.setattr(stores, "ROW_GROUP", 40)
    made = Store(tmp_path / "out")
    made.open(STUDY, GRID, resume=False)
    for number, trial in enumerate(GRID[:-2]):
        if number % 7 == 3:
            made.write_failed(trial, "broke", reached={"timesteps": 12, "updates": 3})
        else:
            table = pd.DataFrame(rows(number, **trial_columns(trial)))
            made.write(trial, table.reindex(columns=list(COLUMNS)))
    made.join(GRID)
    return made


def pivot(long: pd.DataFrame) -> pd.DataFrame:
    """The same from the long table, by pandas alone."""
    end = long[(long["checkpoint"] == "end") & (long["evaluation"] == "sampled")]
    measured = [*COLUMNS[COLUMNS.index("checkpoint") : COLUMNS.index("status")]]
    about = end.drop(columns=measured).drop_duplicates("trial").set_index("trial")
    values = end[end["status"] != "failed"].pivot(index="trial", columns="metric", values="value")
    exact = long[long["evaluation"] == "exact"].pivot(
        index="trial", columns="metric", values="value"
    )
    return about.join(exact.combine_first(values))


def test_it_is_the_pivot_of_the_long_table(store: Store) -> None:
    found = pd.read_parquet(store.out / "trials.parquet")
    expected = pivot(store.load())
    assert list(found["trial"]) == list(expected.index) == [t.key for t in GRID[:-2]]
    pd.testing.assert_frame_equal(
        found.set_index("trial"), expected, check_like=True, check_exact=True
    )
    assert set(found["status"]) == {"ok", "censored", "failed"}
    assert list(found.columns[-5:]) == ["success", "excess", "nothing", "free", "lab.mine"]
    assert found.loc[3, ["status", "timesteps", "updates"]].tolist() == ["failed", 12, 3]
    assert found.loc[3, "success"] != found.loc[3, "success"]


def test_it_is_made_in_parts(store: Store) -> None:
    results, wide = (pq.ParquetFile(store.out / f"{n}.parquet") for n in ("results", "trials"))
    assert results.num_row_groups == wide.num_row_groups > 3
    sizes = [wide.metadata.row_group(i).num_rows for i in range(wide.num_row_groups)]
    assert sum(sizes) == len(GRID) - 2


def test_without_any_trial_it_has_no_row(tmp_path: Path) -> None:
    made = Store(tmp_path / "out")
    made.open(STUDY, GRID, resume=False)
    made.join(GRID)
    found = pd.read_parquet(made.out / "trials.parquet")
    assert found.empty
    assert list(found.columns[-3:]) == ["status", "timesteps", "updates"]


@pytest.mark.parametrize("id", ["seed", "spec", "learnt"])
def test_a_metric_with_the_id_of_a_column_is_refused(
    id: str, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = pytest.raises(InvalidInput, match=rf"metric id.*register_metric\(\"my.{id}\"\)")
    table = store.load()
    with refused:  # measured elsewhere
        long_table(table.assign(metric=table["metric"].replace("excess", id)))
    end = rows(1, **trial_columns(GRID[0]))
    end[0]["metric"] = id
    store.write(GRID[0], pd.DataFrame(end).reindex(columns=list(COLUMNS)))
    with refused:
        store.join(GRID)
    monkeypatch.setitem(metrics._entries, id, lambda context: [])
    with refused:  # before the first trial
        Store(tmp_path / "new").open(STUDY, GRID, resume=False)
    assert not (tmp_path / "new").exists()
