"""Comparisons of many groups at once are those of each by itself, and as scipy says."""

from __future__ import annotations

from math import comb, isnan, nan

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from known import known
from scipy import stats
from synthetic import make_results

from benchmarks.made_up import write_results
from powerseek.experiments.analysis.contrasts import contrasts
from powerseek.experiments.analysis.summary import summarise
from powerseek.experiments.results.table import read_long, read_results
from powerseek.experiments.statistics.bootstrap import bootstrap_groups
from powerseek.experiments.statistics.comparisons import Asked, Units, compare_groups


def rng(seed=0):
    return np.random.default_rng(seed)


def units(*arms, group=0):
    value = np.concatenate([np.asarray(arm, dtype=float) for arm in arms])
    cell = np.repeat(np.arange(len(arms)), [len(arm) for arm in arms])
    zeros = np.zeros(len(value), dtype=int)
    return Units(value, zeros + group, cell, zeros)


def compare(*arms, chance=None, **asked):
    asked.setdefault("weights", (1.0, -1.0)[: len(arms)])
    return compare_groups(units(*arms), [Asked(**asked)], chance or rng())[0]


@pytest.mark.parametrize("n", [2, 3, 8, 16, 40])
def test_one_arm_has_the_interval_of_the_plain_bootstrap_with_the_same_draws(n):
    a = rng(n).normal(size=n)
    found = compare(a, chance=rng(1), margin=0.5, null_value=0.1)
    same = rng(1)
    whole, narrow = (
        bootstrap_groups((a - 0.1)[:, None], np.zeros(n, int), 1, same, confidence=c)
        for c in (0.95, 0.9)
    )
    assert tuple(found.effect) == pytest.approx([part[0, 0] for part in whole], nan_ok=True)
    ends = narrow.low[0, 0], narrow.high[0, 0]
    assert found.narrow == pytest.approx(ends, nan_ok=True)


def test_the_interval_of_two_arms_resamples_each_by_itself():
    a, b = rng(1).normal(3, 1, 200), rng(2).normal(1, 4, 100)
    found = compare(a, b)
    error = (a.var() / 199 + b.var() / 99) ** 0.5
    half = 1.972 * error
    gap = a.mean() - b.mean()
    assert found.effect[:2] == pytest.approx((gap, gap - half), abs=0.1 * half)
    assert found.effect.high == pytest.approx(gap + half, abs=0.1 * half)
    # A common shift of all seeds, or of one arm, moves only where it must.
    moved = compare(a + 100, b + 100)
    assert tuple(moved.effect) == pytest.approx(tuple(found.effect), abs=1e-9)


def test_many_groups_are_kept_apart():
    chance = rng(3)
    arms = [chance.normal(i, 1 + i, size=(2, n)) for i, n in enumerate((1, 2, 16, 16, 100, 16))]
    arms[5][:] = 0.3
    asked = [Asked(margin=0.5 if i % 2 else nan) for i in range(len(arms))]
    parts = [units(*two, group=i) for i, two in enumerate(arms)]
    mixed = chance.permutation(sum(len(part.value) for part in parts))
    whole = Units(*(np.concatenate(column)[mixed] for column in zip(*parts, strict=True)))
    for one, (i, two) in zip(compare_groups(whole, asked, rng(1)), enumerate(arms), strict=True):
        plain = compare(*two, margin=asked[i].margin)
        told = (one.effect.value, one.deviation, one.p_difference, one.p_equivalence)
        wanted = (plain.effect.value, plain.deviation, plain.p_difference, plain.p_equivalence)
        assert told == pytest.approx(wanted, nan_ok=True, abs=1e-12)
        assert one.effect.n == plain.effect.n == two.shape[1]
        width = plain.effect.high - plain.effect.low
        ends, others = ((c.effect.low, c.effect.high) for c in (one, plain))
        assert ends == pytest.approx(others, abs=0.08 * width if width > 0 else 0, nan_ok=True)


@given(
    st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=30),
    st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=30),
    st.floats(0.01, 100),
)
@example([0.0, 0.0], [0.0, 1.2e-219], 1.0)
@settings(max_examples=80)
def test_p_is_that_of_welch_s_t_test(a, b, margin):
    found = compare(a, b, margin=margin)
    assert found.effect.value == pytest.approx(np.mean(a) - np.mean(b), rel=1e-9, abs=1e-9)
    if min(np.ptp(a), np.ptp(b)) > 1e-3:

        def p(shift, side):
            return stats.ttest_ind(np.add(a, shift), b, equal_var=False, alternative=side).pvalue

        assert found.p_difference == pytest.approx(p(0, "two-sided"), rel=1e-6)
        assert found.p_above == pytest.approx(p(-margin, "greater"), rel=1e-6)
        assert found.p_below == pytest.approx(p(margin, "less"), rel=1e-6)
        wanted = max(p(margin, "greater"), p(-margin, "less"))
        assert found.p_equivalence == pytest.approx(wanted, rel=1e-6)
        assert found.p_beyond == pytest.approx(min(1, 2 * min(found.p_above, found.p_below)))


def test_four_cells_are_a_difference_of_differences_by_satterthwaite():
    arms = [rng(i).normal(i * i, 1 + i, 12 + i) for i in range(4)]
    weights = (1.0, -1.0, -1.0, 1.0)
    found = compare(*arms, weights=weights)
    parts = np.array([arm.var(ddof=1) / len(arm) for arm in arms])
    value = sum(w * arm.mean() for w, arm in zip(weights, arms, strict=True))
    freedom = parts.sum() ** 2 / sum(
        part**2 / (len(arm) - 1) for part, arm in zip(parts, arms, strict=True)
    )
    assert found.effect.value == pytest.approx(value)
    assert found.effect.n == 12
    p = 2 * stats.t.sf(abs(value) / parts.sum() ** 0.5, freedom)
    assert found.p_difference == pytest.approx(p)


def test_eight_cells_are_a_difference_of_differences_of_differences():
    case = known("threeway_interaction_contrast")
    cells = np.array(case.spec["cell_means[density][horizon][bounded]"])
    # The published number is the first level of density minus the second.
    signs = np.einsum("i,j,k->ijk", [1, -1], [-1, 1], [-1, 1])
    arms = [np.array([mean, mean]) for mean in cells.ravel()]
    found = compare(*arms, weights=tuple(map(float, signs.ravel())), reach=(1.0, 1.0))
    assert found.effect.value == pytest.approx(case.expected["contrast"], abs=1e-12)


def test_groups_that_are_all_alike_differ_as_surely_as_their_number_allows():
    found = compare(np.ones(16), np.zeros(16), margin=0.5)
    assert found.p_difference == pytest.approx(2 / comb(32, 16))
    assert found.p_equivalence == 1
    same = compare(np.ones(16), np.ones(16), margin=0.5)
    assert same.p_difference == 1
    assert isnan(same.p_equivalence)
    assert isnan(same.effect.low)
    # Rounding is no spread.
    x, y = [0.1 + 0.2, 0.3, 0.3], [0.3, 0.1 + 0.2, 0.3]
    assert compare(x, y).p_difference == 1
    # Against a line nothing can be exchanged.
    assert isnan(compare(np.ones(16), null_value=0.5).p_difference)
    assert isnan(compare(np.ones(16), np.zeros(16), null_value=0.5).p_difference)


def test_one_seed_or_none_proves_nothing():
    for arms in (([1.0], [0.0]), ([1.0, 2.0], [0.0]), ([1.0, 2.0, nan], [nan])):
        found = compare(*arms, margin=0.5)
        assert isnan(found.p_difference)
        assert isnan(found.p_equivalence)
    assert compare([1.0, 2.0], [nan]).effect.n == 0
    assert compare([1.0, nan, 3.0], [0.0, 1.0]).effect[::3] == (1.5, 2)


def test_the_tail_counts_seeds_a_margin_above_the_median():
    a, b = np.zeros(20), np.linspace(-0.1, 0.1, 20)
    a[:2] = 5.0
    assert compare(a, b, margin=0.5).tail == (2, 0)
    assert compare(b, a, margin=0.5).tail == (0, 2)
    assert compare(a, b).tail == ()


@pytest.mark.slow
def test_a_file_of_twenty_thousand_trials_says_what_the_table_in_memory_says(tmp_path):
    write_results(tmp_path / "results.parquet", cells=400, seeds=50)
    read, held = read_long(tmp_path), read_results(tmp_path)
    for make in (summarise, contrasts):
        one, other = make(read), make(held)
        assert len(one) >= 400
        pd.testing.assert_frame_equal(one, other)
    table = contrasts(read)
    wide = held[
        (held["metric"] == "excess") & (held["evaluation"] == "sampled") & (held["status"] == "ok")
    ]
    row = table[(table["kind"] == "horizon") & (table["measure"] == "excess")].iloc[0]
    for key in ("openness", "gamma", "reward"):
        wide = wide[wide[key] == row[key]]
    arms = [
        wide[(wide["max_steps"] == steps) & (wide["power_weight"] == 0)]["value"]
        for steps in (row["a"], row["b"])
    ]
    assert row["seeds"] == min(map(len, arms))
    assert row["effect"] == pytest.approx(arms[0].mean() - arms[1].mean(), rel=1e-12)


def test_the_order_of_rows_moves_nothing_but_the_bootstrap():
    results = make_results(seeds=6, unlearnt=1)
    tables = [contrasts(rows) for rows in (results, results.sample(frac=1, random_state=2))]
    keys = ["kind", "world", "openness", "gamma", "reward", "measure", "a", "b"]
    one, other = (
        table.assign(**{key: table[key].astype(str) for key in keys}).set_index(keys).sort_index()
        for table in tables
    )
    for name in ("effect", "reach_a", "reach_b", "seeds"):
        assert one[name].to_numpy() == pytest.approx(other[name].to_numpy(), nan_ok=True)
