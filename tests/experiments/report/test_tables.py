"""The tables as text: which columns there are, and what is muted."""

from __future__ import annotations

from math import nan

from synthetic import frame, make_results, trial_rows

from powerseek.experiments.analysis.contrasts import contrasts
from powerseek.experiments.analysis.summary import summarise
from powerseek.experiments.report.comparisons import contrast_grids
from powerseek.experiments.report.tables import world_grids


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


def test_one_seed_shows_no_interval():
    table = summarise(make_results(seeds=1))
    for grid in world_grids(table):
        if "excess [95 %]" not in grid.headers:
            assert grid.title.startswith("off-switch")  # nothing to acquire, no column
            continue
        column = grid.headers.index("excess [95 %]")
        assert not any("[" in row[column] for row in grid.rows)


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
