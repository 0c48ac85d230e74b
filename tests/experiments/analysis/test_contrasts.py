"""Which cells are compared with which, on what seeds, and what is said about it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from synthetic import frame, make_results, places, resourceful, trial_rows

from powerseek.experiments.analysis.contrasts import FOUND, contrasts
from powerseek.experiments.analysis.groups import arm_intervals
from powerseek.experiments.results.table import results_factors
from powerseek.experiments.statistics.bootstrap import resample
from powerseek.experiments.study.arms import primary_arm_pairs
from powerseek.experiments.study.contrasts import KINDS

MARGINS = dict.fromkeys(KINDS, 0.5)


@pytest.fixture(scope="module")
def results():
    return make_results(seeds=18)


@pytest.fixture(scope="module")
def found(results):
    return contrasts(results, margins=MARGINS)


def world(name="w", shift=0.0, seeds=16, noise=0.01, rewards=("dense", "every cap"), **more):
    """Trials of two rewards; the second acquires `shift` more."""
    chance = np.random.default_rng(sum(map(ord, name)))
    return [
        trial_rows(
            {
                "competence": 0.95,
                "acquired": 3 + i * shift + chance.normal(0, noise),
                "excess": 1 + i * shift + chance.normal(0, noise),
            },
            world=name,
            reward=reward,
            seed=seed,
            **more,
        )
        for i, reward in enumerate(rewards)
        for seed in range(seeds)
    ]


def paid(name="w", gain=2.0, seeds=16, noise=0.01):
    """A paid arm beside `world`, which acquires `gain` more."""
    chance = np.random.default_rng(1)
    return [
        trial_rows(
            {"competence": 0.9, "acquired": 3 + gain + chance.normal(0, noise), "excess": 1 + gain},
            world=name,
            power_weight=1.0,
            seed=seed,
        )
        for seed in range(seeds)
    ]


def only(table, **wanted):
    for column, value in wanted.items():
        table = table[table[column] == value]
    assert len(table) == 1
    return table.iloc[0]


def test_every_row_is_one_comparison_within_one_world(found, results):
    keys = results_factors(results)
    assert set(found.columns) == {"kind", *keys, *FOUND}
    assert set(found["kind"]) == set(KINDS) - {
        *("horizon", "specification", "lookahead", "noise", "aim", "price", "level", "tail"),
        *("constraint", "placebo", "labels"),
    }
    assert found["world"].isin(["homestead", "endgame", "off-switch"]).all()
    for kind, rows in found.groupby("kind"):
        shared = [key for key in keys if key != KINDS[kind].factor]
        assert rows["world"].notna().all()
        assert not rows.duplicated([*shared, "measure", "a", "b"]).any()


def test_an_effect_is_the_difference_of_the_means(found, results):
    row = only(found, kind="timing", world="homestead", openness=2.0, gamma=1.0, measure="excess")
    table = results[
        (results["world"] == "homestead")
        & (results["openness"] == 2)
        & (results["gamma"] == 1)
        & (results["power_weight"] == 0)
        & (results["metric"] == "excess")
        & (results["evaluation"] == "sampled")
    ].pivot_table(index="seed", columns="reward", values="value")
    difference = table["every cap"] - table["dense"]
    assert (row["a"], row["b"], row["seeds"]) == ("every cap", "dense", 18)
    assert row["effect"] == pytest.approx(difference.mean())
    assert row["low"] < difference.mean() < row["high"]


def test_timing_and_sparse_are_never_pooled(found):
    timing, sparse = (found[found["kind"] == kind] for kind in ("timing", "sparse"))
    assert {str(a) for a in timing["a"]} == {"every cap"}
    assert set(sparse["a"]) == {"terminal"}
    assert set(timing["b"]) == set(sparse["b"]) == {"dense"}


def test_worlds_are_never_pooled():
    """Opposite effects in two worlds stay two effects."""
    together = contrasts(frame(*world("up", 1.0), *world("down", -1.0)), margins=MARGINS)
    for name, sign, answer in (("up", 1, "larger"), ("down", -1, "smaller")):
        row = only(together, kind="timing", world=name, measure="excess")
        assert row["effect"] == pytest.approx(sign, abs=0.02)
        assert row["seeds"] == 16
        assert row["answer"] == answer


def test_settings_of_one_world_are_never_pooled():
    trials = [*world(shift=1.0, openness=0.0), *world(shift=-1.0, openness=2.0)]
    rows = contrasts(frame(*trials), margins=MARGINS)
    rows = rows[(rows["kind"] == "timing") & (rows["measure"] == "excess")]
    assert sorted(rows["effect"].round()) == [-1, 1]


@pytest.mark.parametrize(
    ("trials", "margins"),
    [
        (world(shift=1.0, seeds=15), MARGINS),
        (world(shift=1.0), None),
        (
            [
                *world(shift=1.0, seeds=14),
                *(
                    trial_rows(
                        {"competence": 0.5, "acquired": 3.0, "excess": 1.0},
                        "censored",
                        world="w",
                        reward=reward,
                        seed=seed,
                    )
                    for reward in ("dense", "every cap")
                    for seed in (20, 21, 22)
                ),
            ],
            MARGINS,
        ),
    ],
    ids=["15 seeds", "no margin", "14 of 17 learnt"],
)
def test_weak_evidence_is_cannot_tell(trials, margins):
    row = only(contrasts(frame(*trials), margins=margins), kind="timing", measure="excess")
    assert row["effect"] == pytest.approx(1, abs=0.02)
    assert row["answer"] == "cannot tell"
    assert row["reasons"]


def test_power_is_compared_over_seeds_that_learnt():
    trials = world(shift=1.0, seeds=17)
    lost = trial_rows(
        {"competence": 0.1, "acquired": 99.0, "excess": 99.0},
        "censored",
        world="w",
        reward="every cap",
        seed=0,
    )
    trials[17] = lost
    row = only(contrasts(frame(*trials), margins=MARGINS), kind="timing", measure="excess")
    assert row["seeds"] == 16
    assert row["effect"] == pytest.approx(1, abs=0.02)
    assert row["reach_a"] == pytest.approx(16 / 17)
    assert row["answer"] == "larger"


@pytest.mark.parametrize(("gain", "answer"), [(2.0, "equivalent to none"), (0.0, "cannot tell")])
def test_equivalence_needs_a_control_that_fires(gain, answer):
    found = contrasts(frame(*world(), *paid(gain=gain)), margins=MARGINS)
    control = only(found, kind="control")
    assert control["fires"] == (gain > 0)
    assert control["answer"] == ("fires" if gain else "does not fire")
    assert only(found, kind="timing", measure="excess")["answer"] == answer


def test_a_control_of_another_world_does_not_count():
    found = contrasts(frame(*world("w"), *world("v"), *paid("v")), margins=MARGINS)
    rows = found[(found["kind"] == "timing") & (found["measure"] == "excess")].set_index("world")
    assert rows["answer"].to_dict() == {"w": "cannot tell", "v": "equivalent to none"}


def test_the_control_fires_only_when_intervals_separate():
    close = contrasts(frame(*world(noise=3.0), *paid(gain=0.5, noise=3.0)))
    row = only(close, kind="control")
    assert row["effect"] > 0
    assert not row["fires"]
    few = contrasts(frame(*world(seeds=1), *paid(seeds=1)))
    row = only(few, kind="control")
    assert not row["fires"]
    assert row["verdict"] == "cannot tell, 15 more seeds"
    less = contrasts(frame(*world(), *paid(gain=-2.0)))
    assert not only(less, kind="control")["fires"]


def test_the_control_is_ungated():
    trials = paid()
    for rows in trials:
        for row in rows:
            row["status"] = "censored"
    row = only(contrasts(frame(*world(), *trials)), kind="control")
    assert row["fires"]
    assert row["seeds"] == 16


def test_an_arm_s_interval_covers_at_few_seeds_and_of_seeds_that_are_alike():
    chance = np.random.default_rng(2)

    def interval(values, measure="acquired"):
        group = np.zeros(len(values), dtype=int)
        low, high = arm_intervals(measure, np.asarray(values, float), group, 1, None, chance)
        return low[0], high[0]

    low, high = interval([0.0] * 16, "disabled")
    exact = stats.binomtest(0, 16).proportion_ci(0.95)
    assert (low, high) == (exact.low, pytest.approx(exact.high))
    assert interval([1.0] * 16, "disabled") == pytest.approx((1 - exact.high, 1))
    assert interval([3.0] * 4) == (3.0, 3.0)
    assert np.isnan(interval([3.0] * 3)).all()
    assert np.isnan(interval([3.0])).all()
    means = np.array([1.0, 2.0, 4.0])[resample(3, chance)].mean(axis=1)
    low, high = interval([1.0, 2.0, 4.0])
    assert low < np.quantile(means, 0.025)
    assert high > np.quantile(means, 0.975)
    covered = [np.prod(np.array(interval(chance.normal(0, 1, 5)))) < 0 for _ in range(200)]
    assert np.mean(covered) > 0.88  # .94 in the long run; percentile .84


def test_paying_later_at_a_discount_gets_no_verdict():
    found = contrasts(frame(*world(shift=1.0, gamma=0.9)), margins=MARGINS)
    row = only(found, kind="timing", measure="excess")
    assert row["answer"] == "cannot tell"
    assert "gamma < 1" in row["reasons"]
    assert row["verdict"].startswith("cannot tell: at gamma < 1 paying later also pays less")
    assert row["more_seeds"] == 0


def test_paid_agents_are_not_compared_otherwise(found):
    others = found[found["kind"] != "control"]
    assert (others["power_weight"] == 0).all()


def test_openness_compares_the_share_beyond_the_incentive():
    chance = np.random.default_rng(4)
    trials = [
        trial_rows(resourceful(chance, openness, "dense", 0.0, 1.0), openness=openness, seed=seed)
        for openness in (0.0, 2.0)
        for seed in range(16)
    ]
    row = only(contrasts(frame(*trials)), kind="openness", measure="share_beyond_incentive")
    table = frame(*trials).pivot_table(
        index=["openness", "seed"], columns="metric", values="value", aggfunc="first"
    )
    surplus = 4 + 2 * table.index.get_level_values("openness")
    share = ((table["excess"] - table["incentive"]) / surplus).groupby("openness").mean()
    assert row["effect"] == pytest.approx(share[2.0] - share[0.0])


def test_p_values_are_adjusted_for_their_number():
    one = contrasts(frame(*world("up", 0.01)), margins=MARGINS)
    two = contrasts(frame(*world("up", 0.01), *world("other", 0.01)), margins=MARGINS)
    p_one = only(one, kind="timing", measure="excess")["p"]
    p_two = only(two, kind="timing", measure="excess", world="up")["p"]
    assert p_two >= p_one
    without = contrasts(frame(*world("up", 0.01)))
    assert without["p"].isna().all()


def test_nothing_to_compare_is_an_empty_table():
    lonely = contrasts(frame(trial_rows({"competence": 1.0, "acquired": 3.0})))
    assert lonely.empty
    assert "verdict" in lonely
    failed = contrasts(frame(trial_rows({}, "failed"), trial_rows({}, "failed", reward="every 8")))
    assert failed.empty


def test_a_page_made_twice_is_the_same(results):
    pd.testing.assert_frame_equal(contrasts(results), contrasts(results))


def arm(reward, values, noise=0.0, unlearnt=(), **more):
    """Trials of one reward whose excess is `values[seed]`."""
    chance = np.random.default_rng(len(reward))
    return [
        trial_rows(
            {"competence": 0.95, "acquired": 3.0, "excess": value + chance.normal(0, noise)},
            "censored" if seed in unlearnt else "ok",
            reward=reward,
            seed=seed,
            **more,
        )
        for seed, value in enumerate(values)
    ]


COVERED = {"terminal": 2.0, "coverage 0.5": 1.5, "coverage 0.25": 2.0, "coverage 1": 0.5}


def test_coverage_is_compared_with_terminal_and_along_its_dial():
    seeds = np.linspace(0, 1, 16)
    trials = [rows for name, mean in COVERED.items() for rows in arm(name, mean + seeds)]
    found = contrasts(frame(*trials, *arm("dense", seeds)), margins=MARGINS)
    rows = found[found["kind"] == "specification"].set_index("a")
    assert list(rows.index) == ["coverage 0.25", "coverage 0.5", "coverage 1", "trend"]
    assert set(rows["b"].dropna()) == {"terminal"}
    slope = np.polyfit([0, 0.25, 0.5, 1], [2.0, 2.0, 1.5, 0.5], 1)[0]
    assert list(rows["effect"]) == pytest.approx([0.0, -0.5, -1.5, slope])
    assert list(rows["seeds"]) == [16] * 4
    assert rows.loc["coverage 1", "answer"] == "smaller"
    assert "timing" not in set(found["kind"])
    assert rows.loc["trend", "verdict"].startswith("cannot tell: a trend is shown, not judged")
    assert (rows.loc["trend", "more_seeds"], rows.loc["trend", "answer"]) == (0, "cannot tell")


def test_a_trend_rests_on_the_seeds_that_learnt_at_each_coverage():
    lost = {"terminal": {0}, "coverage 0.5": {1}, "coverage 1": {1, 2}}
    wild = [99.0, 99.0, 99.0, *[1.0] * 13]
    trials = [rows for name, seeds in lost.items() for rows in arm(name, wild, unlearnt=seeds)]
    row = only(contrasts(frame(*trials)), kind="specification", a="trend")
    means = [np.mean([v for i, v in enumerate(wild) if i not in out]) for out in lost.values()]
    slope = np.polyfit([0, 0.5, 1], means, 1)[0]
    assert (row["seeds"], row["effect"]) == (14, pytest.approx(slope))
    assert (row["reach_a"], row["reach_b"]) == pytest.approx((14 / 16, 15 / 16))


def test_coverage_of_different_overseers_is_never_mixed():
    values = np.zeros(3)
    dear = "need price 0.02"
    names = ["coverage 0", "coverage 1", f"coverage 1 {dear}", f"coverage 0.5 {dear}"]
    names += ["terminal price 0.02", "coverage 1 need price 0.1"]
    found = contrasts(frame(*(rows for name in names for rows in arm(name, values))))
    rows = found[found["kind"] == "specification"]
    pairs = set(zip(rows["a"], rows["b"].fillna(""), strict=True))
    assert pairs == {
        ("coverage 1", "coverage 0"),
        (f"coverage 0.5 {dear}", "terminal price 0.02"),
        (f"coverage 1 {dear}", "terminal price 0.02"),
        (f"trend {dear}", ""),
    }


def test_aims_and_prices_are_compared_all_else_equal():
    names = ["terminal", "coverage 1", "coverage 1 progress", "coverage 1 need price 0.02"]
    names += ["terminal price 0.02", "shaped"]
    trials = [rows for i, name in enumerate(names) for rows in arm(name, np.full(16, float(i)))]
    found = contrasts(frame(*trials))
    told = {
        kind: {(row.a, row.b, row.effect) for row in found[found["kind"] == kind].itertuples()}
        for kind in ("aim", "price", "specification")
    }
    assert told == {
        "aim": {
            ("coverage 1 progress", "coverage 1", 1.0),
            ("coverage 1 need price 0.02", "coverage 1", 2.0),
        },
        "price": {
            ("coverage 1 need price 0.02", "coverage 1", 2.0),
            ("terminal price 0.02", "terminal", 4.0),
        },
        "specification": {
            ("coverage 1", "terminal", 1.0),
            ("coverage 1 progress", "terminal", 2.0),
            ("coverage 1 need price 0.02", "terminal price 0.02", -1.0),
        },
    }


def test_each_lookahead_is_compared_with_the_longest_of_its_aim():
    names = ["approval 8", "approval cap", "approval 16", "approval 1 progress"]
    trials = [rows for i, name in enumerate(names) for rows in arm(name, np.full(16, float(i)))]
    rows = contrasts(frame(*trials))
    rows = rows[rows["kind"] == "lookahead"]
    shown = [(row.a, row.b, row.effect) for row in rows.itertuples()]
    assert shown == [("approval 8", "approval cap", -1.0), ("approval 16", "approval cap", 1.0)]


LABELLED = (
    *("preference 2000", "preference 20", "preference 0"),
    *("preference 200 length 4", "preference 50 length 4"),
    "preference 50 need price 0.02",
)
MOST_LABELLED = LABELLED[0], LABELLED[3], LABELLED[5]


def test_each_number_of_labels_is_compared_with_the_fewest_of_its_aim():
    names = [*LABELLED[:2], "preference 300 progress", "preference 100 progress"]
    trials = [rows for i, name in enumerate(names) for rows in arm(name, np.full(16, float(i)))]
    rows = contrasts(frame(*trials))
    rows = rows[rows["kind"] == "labels"]
    assert [(row.a, row.b, row.effect) for row in rows.itertuples()] == [
        ("preference 2000", "preference 20", -1.0),
        ("preference 300 progress", "preference 100 progress", -1.0),
    ]


@settings(max_examples=20)
@given(st.lists(st.floats(-5, 5), min_size=3, max_size=6), st.floats(-3, 3))
def test_a_trend_is_blind_to_a_seed_s_own_level_and_finds_a_line(levels, slope):
    trials = [
        rows
        for q in (0, 0.5, 1)
        for rows in arm(f"coverage {q:g}", [level + slope * q for level in levels])
    ]
    row = only(contrasts(frame(*trials)), kind="specification", a="trend")
    assert row["effect"] == pytest.approx(slope, abs=1e-9)


@pytest.mark.parametrize(
    ("kind", "values", "gamma", "pairs"),
    [
        ("timing", ["every 8", "every cap", "dense"], 1.0, [("every cap", "dense")]),
        ("timing", ["every 8", "every 16", "dense"], 1.0, [("every 16", "dense")]),
        ("timing", ["every cap", "dense"], 0.9, []),
        (
            "timing",
            ["every cap", "every 8 corrected", "dense"],
            0.9,
            [("every 8 corrected", "dense")],
        ),
        ("timing", ["every cap", "terminal"], 1.0, []),
        ("sparse", ["terminal", "dense", "terminal at cap"], 1.0, [("terminal", "dense")]),
        ("specification", ["terminal at cap", "coverage 1"], 1.0, []),
        ("specification", list(COVERED), 1.0, [("coverage 1", "terminal")]),
        ("lookahead", ["approval 8", "approval 16"], 1.0, [("approval 8", "approval 16")]),
        ("labels", list(LABELLED), 1.0, [(one, "preference 0") for one in MOST_LABELLED]),
        ("labels", list(LABELLED[3:]), 1.0, [LABELLED[3:5]]),
        ("labels", ["preference 20"], 1.0, []),
        ("openness", [0, 2, 1], 1.0, [(2, 0)]),
        ("horizon", [32], 1.0, []),
        ("control", [1.0, 0.0, 0.5], 1.0, [(1.0, 0.0)]),
        ("control", [1.0], 1.0, []),
        ("level", ["dense", "terminal"], 1.0, []),
    ],
)
def test_a_hypothesis_is_about_the_ends_of_the_dial(kind, values, gamma, pairs):
    known = places(value for value in values if isinstance(value, str))
    assert primary_arm_pairs(kind, values, known, gamma) == pairs
