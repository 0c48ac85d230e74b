"""Seeds and detectable effects against statsmodels, known answers and simulation."""

from __future__ import annotations

from math import inf, isnan, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from known import known
from scipy import stats
from statsmodels.stats.power import TTestIndPower, TTestPower

from powerseek.errors import InvalidInput
from powerseek.experiments.statistics.power_analysis import (
    DESIGNS,
    EFFECTS,
    EQUIVALENCE,
    detectable_effect,
    seeds_exact,
    seeds_needed,
    smallest_effect,
    statistical_power,
)
from powerseek.experiments.statistics.tests import p_equivalence

ALL = (*DESIGNS, *EQUIVALENCE)


@pytest.mark.parametrize(
    ("design", "row"),
    [
        ("simple", "per_cell_simple_effect 2z^2/D^2"),
        ("two-way", "per_cell_2way 4z^2/D^2"),
        ("three-way", "per_cell_3way 8z^2/D^2"),
        ("equivalence", "TOST per group, true diff 0, margin 1.0/0.8/0.5 SD"),
    ],
)
def test_seeds_needed(design, row):
    case = known("seeds_needed")
    spec, wanted = case.spec, case.expected[row]
    effects = (1.0, 0.8, 0.5) if design == "equivalence" else spec["D_values"]
    found = [seeds_needed(d, design, alpha=spec["alpha"], power=spec["power"]) for d in effects]
    assert found == pytest.approx(wanted, abs=case.tolerance)


def test_power_analysis_two_sample_t():
    case = known("power_analysis_two_sample_t")
    chances = {"alpha": case.spec["alpha"], "power": case.spec["power"]}
    assert case.spec["two_sided"]
    assert case.tolerance == 0
    exact = case.expected["n_per_group"]
    effects = case.spec["d"]
    assert [seeds_exact(effect, **chances) for effect in effects] == exact
    # The normal approximation is at most two seeds short.
    short = np.subtract(exact, [seeds_needed(effect, **chances) for effect in effects])
    assert set(short) <= {0, 1, 2}


def test_no_effect_needs_endless_seeds():
    assert seeds_needed(0) == inf
    assert seeds_needed(0, "equivalence") == inf


@pytest.mark.parametrize(("effect", "design"), [(-1, "simple"), (nan, "simple"), (1, "four-way")])
def test_impossible_designs_are_refused(effect, design):
    with pytest.raises(InvalidInput):
        seeds_needed(effect, design)


@pytest.mark.parametrize("seeds", [2, 5, 16, 300])
@pytest.mark.parametrize("effect", [0.0, 0.3, 1.0, 4.0])
def test_power_agrees_with_statsmodels(effect, seeds):
    for design, theirs in (("simple", TTestIndPower()), ("paired", TTestPower())):
        wanted = theirs.power(effect, seeds, 0.05)
        # Far from 0, scipy's noncentral t has no value.
        wanted = 1.0 if np.isnan(wanted) and effect * seeds**0.5 > 15 else wanted
        assert statistical_power(effect, seeds, design) == pytest.approx(wanted, abs=1e-9)


def test_power_of_an_interaction_by_simulation():
    n, effect, runs = 6, 2.0, 20_000
    cells = np.random.default_rng(0).normal(size=(runs, 4, n))
    cells[:, 3] += effect
    gap = cells.mean(axis=-1) @ [1, -1, -1, 1]
    error = (cells.var(axis=-1, ddof=1).mean(axis=1) * 4 / n) ** 0.5
    found = np.mean(np.abs(gap / error) > stats.t.isf(0.025, 4 * (n - 1)))
    assert statistical_power(effect, n, "two-way") == pytest.approx(found, abs=0.012)


@pytest.mark.parametrize(
    ("margin", "seeds", "design", "true"),
    [
        (1.0, 18, "equivalence", 0.0),
        (0.8, 28, "equivalence", 0.0),
        (0.8, 28, "equivalence", 0.3),
        (1.0, 5, "equivalence", 0.0),
        (0.7, 20, "paired equivalence", 0.0),
    ],
)
def test_power_of_tost_by_simulation(margin, seeds, design, true):
    chance, paired = np.random.default_rng(1), design.startswith("paired")
    found = []
    for _ in range(2500):
        x, y = chance.normal(true, 1, seeds), chance.normal(0, 0 if paired else 1, seeds)
        found.append(p_equivalence(x, y, margin, paired=paired) < 0.05)
    assert statistical_power(margin, seeds, design, true=true) == pytest.approx(
        np.mean(found), abs=0.03
    )


def test_the_exact_count_for_equivalence_is_near_the_approximation():
    case = known("seeds_needed")
    wanted = case.expected["TOST per group, true diff 0, margin 1.0/0.8/0.5 SD"]
    found = [seeds_exact(margin, "equivalence") for margin in (1.0, 0.8, 0.5)]
    assert found == pytest.approx(wanted, abs=1)
    # "16 seeds give 80 % TOST power only for margins above one seed-SD."
    assert 1 < smallest_effect(16, "equivalence") < 1.1


def test_at_the_edge_of_the_margin_tost_errs_at_its_rate():
    assert statistical_power(1.0, 400, "equivalence", true=1.0) == pytest.approx(0.05, abs=1e-3)


@settings(max_examples=40)
@given(st.sampled_from(ALL), st.floats(0.25, 3), st.floats(0.3, 0.95))
def test_the_exact_count_is_the_least_that_does(design, effect, power):
    n = int(seeds_exact(effect, design, power=power))
    assert statistical_power(effect, n, design) >= power
    assert n == 2 or statistical_power(effect, n - 1, design) < power
    assert smallest_effect(n, design, power=power) <= effect + 1e-6


@settings(max_examples=30)
@given(st.sampled_from(ALL), st.integers(2, 200), st.floats(0.3, 0.95))
def test_the_smallest_effect_is_found_with_the_power_asked_for(design, seeds, power):
    effect = smallest_effect(seeds, design, power=power)
    assert statistical_power(effect, seeds, design) == pytest.approx(power, abs=1e-6)


def test_one_seed_finds_nothing():
    for design in ALL:
        assert smallest_effect(1, design) == inf
        assert statistical_power(9.0, 1, design) == 0
    assert isnan(smallest_effect(nan))


def test_extremes_answer():
    assert seeds_exact(0) == inf
    assert seeds_exact(1e-5) == seeds_needed(1e-5)
    assert seeds_needed(1e-200) == inf
    assert seeds_exact(1e3) == 2
    assert statistical_power(1e4, 50) == pytest.approx(1, abs=1e-12)
    assert statistical_power(0, 10) == pytest.approx(0.05)
    assert seeds_exact(0.2, power=0.01) == 2


@pytest.mark.parametrize(("field", "value"), [("alpha", 0), ("power", 1), ("alpha", 5)])
def test_impossible_rates_are_refused(field, value):
    for function in (seeds_needed, seeds_exact, smallest_effect):
        with pytest.raises(InvalidInput, match=field):
            function(10, **{field: value})
    with pytest.raises(InvalidInput, match="power"):
        smallest_effect(10, alpha=0.1, power=0.05)


# What seeds can find where arms are independent groups


@pytest.mark.parametrize("design", EFFECTS)
def test_detectable_effect_comes_close_to_seeds_needed(design: str) -> None:
    rows = {
        "simple": "per_cell_simple_effect 2z^2/D^2",
        "two-way": "per_cell_2way 4z^2/D^2",
        "three-way": "per_cell_3way 8z^2/D^2",
        "equivalence": "TOST per group, true diff 0, margin 1.0/0.8/0.5 SD",
    }
    case = known("seeds_needed")
    effects = (1.0, 0.8, 0.5) if design == "equivalence" else case.spec["D_values"]
    for effect, seeds in zip(effects, case.expected[rows[design]], strict=True):
        if seeds >= 16:  # below, the normal approximation promises too much
            assert detectable_effect(seeds, design) == pytest.approx(effect, rel=0.08)


@pytest.mark.parametrize("seeds", [2, 3, 5, 16, 64])
def test_detectable_effect_has_the_power_of_the_t_test_of_two_groups(seeds: int) -> None:
    """statsmodels integrates the noncentral t; ours averages the normal over the spread."""
    found = TTestIndPower().power(detectable_effect(seeds, "simple"), seeds, 0.05)
    assert found == pytest.approx(0.8, abs=1e-3)


@pytest.mark.parametrize("seeds", [3, 16])
def test_smallest_margin_has_the_power_of_the_equivalence_test(seeds: int) -> None:
    rng, margin = np.random.default_rng(0), detectable_effect(seeds, "equivalence")
    arms = rng.normal(size=(1500, 2, seeds))
    found = np.mean([p_equivalence(a, b, margin) < 0.05 for a, b in arms])
    assert found == pytest.approx(0.8, abs=0.04)


@settings(max_examples=30)
@given(st.integers(2, 300), st.sampled_from(EFFECTS))
def test_more_seeds_find_smaller_effects_and_never_more_than_the_approximation_promises(
    seeds: int, design: str
) -> None:
    effect = detectable_effect(seeds, design)
    assert effect > detectable_effect(seeds + 1, design)
    assert seeds_needed(effect, design) <= seeds


def test_one_seed_finds_nothing_and_unknown_designs_are_refused() -> None:
    assert isnan(detectable_effect(1))
    with pytest.raises(InvalidInput, match="four-way"):
        detectable_effect(16, "four-way")
