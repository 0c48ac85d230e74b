"""Comparisons of many pairs at once are those of each pair by itself, and as scipy says."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats
from synthetic import make_results

from benchmarks.made_up import write_results
from powerseek.experiments.analysis.contrasts import contrasts
from powerseek.experiments.analysis.summary import summarise
from powerseek.experiments.results.table import read_long, read_results
from powerseek.experiments.statistics.bootstrap import bootstrap_groups
from powerseek.experiments.statistics.comparisons import Asked, compare_groups
from powerseek.experiments.statistics.tests import p_difference


def rng(seed=0):
    return np.random.default_rng(seed)


def compare(a, b, rng, strata=None, **asked):
    group = np.zeros(len(a), dtype=int)
    return compare_groups(a, b, group, [Asked(**asked)], rng, strata=strata)[0]


@pytest.mark.parametrize("n", [2, 3, 5, 8, 16, 40])
@pytest.mark.parametrize("layouts", [1, 2])
def test_one_pair_has_the_interval_of_the_plain_bootstrap_with_the_same_draws(n, layouts):
    a, b = rng(n).normal(size=(2, n))
    strata = np.arange(n) * layouts // n
    found = compare(a, b, rng(1), strata=strata, margin=0.5, bounds=(-1, 1), null_value=0.1)
    same = rng(1)
    how = {"strata": strata, "bounds": [(-1.1, 0.9)]}
    whole, (_, low, high, _) = (
        bootstrap_groups((a - b - 0.1)[:, None], np.zeros(n, int), 1, same, confidence=c, **how)
        for c in (0.95, 0.9)
    )
    assert tuple(found.effect) == pytest.approx([part[0, 0] for part in whole], nan_ok=True)
    assert found.inside == (not (low <= -0.5 or high >= 0.5))


def test_many_pairs_are_kept_apart():
    chance = rng(3)
    sizes = [0, 1, 2, 16, 16, 100, 700, 16]
    group = np.repeat(np.arange(len(sizes)), sizes)
    a, b = chance.normal(size=(2, len(group)))
    a[group == 7] = b[group == 7] = 0.3
    asked = [Asked(margin=0.5 if i % 2 else np.nan, bounds=(-4, 4)) for i in range(len(sizes))]
    mixed = chance.permutation(len(group))
    found = compare_groups(a[mixed], b[mixed], group[mixed], asked, rng(1))
    for i, n in enumerate(sizes):
        own = group == i
        plain = compare(a[own], b[own], rng(2), margin=asked[i].margin, bounds=(-4, 4))
        one = found[i]
        assert one.effect.n == n
        told = (one.effect.value, one.deviation, one.p_difference, one.p_equivalence, one.inside)
        wanted = (plain.effect.value, plain.deviation, plain.p_difference, plain.p_equivalence)
        assert told == pytest.approx((*wanted, plain.inside), nan_ok=True, abs=1e-12)
        ends, others = ((c.effect.low, c.effect.high) for c in (one, plain))
        width = plain.effect.high - plain.effect.low
        assert ends == pytest.approx(others, abs=0.08 * width if n > 2 else 0, nan_ok=True)


@given(
    st.lists(st.tuples(*[st.floats(-1e6, 1e6)] * 2), min_size=2, max_size=30),
    st.integers(1, 3),
)
@example([(0.0, 0.0), (0.0, 1.2e-219)], 1)
@settings(max_examples=50)
def test_p_is_that_of_the_paired_t_test(pairs, copies):
    a, b = np.array(pairs).T
    group = np.repeat(np.arange(copies), len(a))
    found = compare_groups(np.tile(a, copies), np.tile(b, copies), group, [Asked()] * copies, rng())
    for one in found:
        assert one.p_difference == pytest.approx(p_difference(a, b), rel=1e-9, abs=1e-12)
        assert one.effect.value == pytest.approx((a - b).mean(), rel=1e-9, abs=1e-9)
    if one.deviation > 1e-6 * max(1, np.abs(pairs).max()):
        assert one.p_difference == pytest.approx(stats.ttest_rel(a, b).pvalue, rel=1e-6)


def test_seeds_without_a_partner_value_are_left_out():
    a, b = np.array([1.0, np.nan, 3.0, 4.5]), np.array([0.0, 1.0, np.nan, 1.5])
    assert compare(a, b, rng()).effect[::3] == (2.0, 2)


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
        wide[(wide["max_steps"] == steps) & (wide["power_weight"] == 0)]
        for steps in (row["a"], row["b"])
    ]
    both = arms[0].merge(arms[1], on="seed")
    assert row["seeds"] == len(both)
    wanted = both["value_x"].mean() - both["value_y"].mean()
    assert row["effect"] == pytest.approx(wanted, rel=1e-12)


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
