"""The tables as text: which columns there are, and what is muted."""

from __future__ import annotations

import json
from math import nan

from synthetic import frame, trial_rows

from powerseek.experiments.analysis.cells import cells_of
from powerseek.experiments.analysis.contrasts import contrasts
from powerseek.experiments.analysis.summary import summarise
from powerseek.experiments.analysis.view import View
from powerseek.experiments.report.comparisons import contrast_grids
from powerseek.experiments.report.tables import shift_grid, world_grids
from powerseek.metrics import every_metric, known_metric


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
    assert grid.headers[0] == "treatment"
    assert "lookahead" not in grid.headers
    assert [row[0] for row in grid.rows] == ["dense", "every cap", "approval 8", "coverage 0.5"]
    assert ("every cap", "dense") in set(zip(*contrasts(results)[["a", "b"]].T.values, strict=True))


def agent(seed=0, status="ok", **about):
    """A trial with a value of every metric that has a column."""
    named = [metric for metric in every_metric() if metric.column]
    ends = [known_metric(metric.upper) for metric in named if metric.upper]
    values = {m.id: (1.0, 1.0, 1.0) if m.exact else 1.0 + seed for m in (*named, *ends)}
    return trial_rows({**values, "competence": 1.0}, status, seed=seed, **about)


def test_one_seed_shows_no_interval_and_more_do():
    for seeds, shown in ((1, "+1.00"), (4, "+2.50 [")):
        (grid,) = world_grids(summarise(frame(*(agent(seed) for seed in range(seeds)))))
        (row,) = grid.rows
        assert row[grid.headers.index("beyond [95 %]")].startswith(shown)
        assert ("[" in row[grid.headers.index("beyond [95 %]")]) == (seeds > 1)


def test_a_table_has_eight_columns_unless_all_are_asked_for():
    summary = summarise(frame(agent(0), agent(1)))
    (few,), (all,) = (world_grids(summary, every=every) for every in (False, True))
    primary = ("beyond [95 %]", "excess", "free", "prec", "harm")
    assert few.headers == ("treatment", "comp (learnt)", "W", *primary)
    assert few.headers == all.headers[:8]
    assert len(all.headers) == 1 + sum(metric.column > 0 for metric in every_metric())
    more = len(all.headers) - 8
    assert few.folded == f"{more} more columns: powerseek report DIR --columns all."
    assert not all.folded
    assert few.rows[0][2] == all.rows[0][2] == "1.00 to 1.00"


def test_what_is_asked_for_stands_among_the_eight():
    summary = summarise(frame(agent(0), agent(1)))
    (grid,) = world_grids(summary, [known_metric("restraint")])
    assert grid.headers[:5] == (*("treatment", "comp (learnt)", "W", "beyond [95 %]"), "restraint")


def test_power_of_agents_that_did_not_learn_is_not_shown():
    unlearnt = [agent(seed, "censored", reward="terminal") for seed in range(2)]
    (grid,) = world_grids(summarise(frame(agent(0), *unlearnt)), every=True)
    words = dict(zip(grid.headers, grid.rows[1], strict=True))
    assert words["comp (learnt)"] == "1.00 (0/2) \u2020"
    assert words["beyond [95 %]"] == "not learnt: not scored"
    assert words["W"] == "1.00 to 1.00"
    for head in ("excess", "free", "acq", "evaded", "slip"):
        assert words[head] == "-"


def test_failed_trials_are_told_beside_those_that_learnt():
    failed = trial_rows({}, "failed", seed=5)
    (grid,) = world_grids(summarise(frame(agent(0), agent(1, "censored"), failed)))
    assert grid.rows[0][1].endswith(" (1/3, 1 failed) \u2020")


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


def test_over_settings_of_the_agent_an_effect_is_told_by_its_signs():
    rates, nets = (0.001, 0.003, 0.01), ("[64, 64]", "[128, 128]")
    trials = [
        trial_rows(
            # Terminal takes one unit more at every setting but the last, where it takes one less.
            {"competence": 0.95, "beyond": bump * (reward == "terminal") + 0.01 * seed},
            reward=reward,
            settings=json.dumps({"learning_rate": rate, "final_learning_rate": rate, "net": net}),
            seed=seed,
        )
        for rate in rates
        for net in nets
        for bump in (-1.0 if (rate, net) == (rates[-1], nets[-1]) else 1.0,)
        for reward in ("dense", "terminal")
        for seed in range(6)
    ]
    found = contrasts(frame(*trials))
    grids = contrast_grids(found)
    assert grids["sparse"][0].notes[0] == (
        "terminal - dense: the same sign in 5 of 6 settings of learning_rate, net, in 6 the "
        "interval leaves out 0."
    )
    # A rate that stays is one factor, not two: the arms of .001 and .01 differ in nothing besides.
    assert len(found[found["kind"] == "settings.learning_rate"]) > 0
    assert "settings.final_learning_rate" not in found
    own = grids["settings.learning_rate"][0]
    assert not any("the same sign" in note for note in own.notes)


def test_here_and_there_stand_side_by_side_where_a_study_has_both():
    measures = {"competence": 0.95, "need_end": 2.0, "beyond": 0.5, "acquired": 2.5}
    measures |= {f"{name}_shifted": 3 * value for name, value in measures.items()}
    rows = [trial_rows(measures, seed=seed, shift="max_steps 64") for seed in range(3)]
    view = View(frame(*rows))
    (found,) = [shift_grid(world, own, view.keys) for world, own in cells_of(view).items()]
    told = dict(zip(found.headers, found.rows[0], strict=True))
    # Nothing can be evaded here, and of what the reward leaves open there nothing is known.
    kept = {"comp", "comp there", "need", "need there", "beyond [95 %]", "beyond there [95 %]"}
    assert kept <= set(told)
    assert not {name for name in told if name.startswith(("evaded", "W"))}
    assert (told["need"], told["need there"], told["beyond there [95 %]"]) == (
        "2.00",
        "6.00",
        "+1.50",
    )
    plain = View(frame(*[trial_rows({"competence": 0.95}, seed=0)]))
    assert [shift_grid(w, own, plain.keys) for w, own in cells_of(plain).items()] == [None]
