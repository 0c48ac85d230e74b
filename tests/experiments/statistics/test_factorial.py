"""Interactions against arithmetic, the paired t test and GEE; size by simulation."""

from __future__ import annotations

from math import isnan, nan

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from known import known
from scipy import special, stats

from powerseek.errors import InvalidInput
from powerseek.experiments.statistics.factorial import SCALES, factorial_contrast, factorial_effect


def rng(seed=0):
    return np.random.default_rng(seed)


# threeway_interaction_contrast


def test_threeway_interaction_contrast():
    case = known("threeway_interaction_contrast")
    cells = case.spec["cell_means[density][horizon][bounded]"]
    wanted = case.expected["contrast"]
    # The published number is the first level of density minus the second; ours is the second
    # level of every factor minus the first.
    assert factorial_contrast(cells[::-1]) == pytest.approx(wanted, abs=case.tolerance)
    assert factorial_contrast(cells) == pytest.approx(-wanted, abs=case.tolerance)


@given(st.lists(st.floats(-1, 1), min_size=4, max_size=4))
def test_additive_cells_have_no_interaction(parts):
    a, b, c, d = parts
    cells = [[a + c, a + d], [b + c, b + d]]
    assert factorial_contrast(cells) == pytest.approx(0, abs=1e-9)


def test_a_contrast_needs_two_levels():
    with pytest.raises(InvalidInput, match="two levels"):
        factorial_contrast([[1, 2, 3], [1, 2, 3]])


# factorial_effect


@pytest.mark.parametrize("factors", [1, 2, 3])
def test_on_the_raw_scale_it_is_the_t_test_of_the_seeds_contrasts(factors):
    cells = rng(1).normal(size=(9, *[2] * factors)) + rng(2).normal(size=(9, *[1] * factors))
    own = [factorial_contrast(seed) for seed in cells]
    found = factorial_effect(cells, rng())
    theirs = stats.ttest_1samp(own, 0)
    assert found.estimate.value == pytest.approx(np.mean(own))
    assert found.p == pytest.approx(theirs.pvalue)
    assert found.spread == pytest.approx(np.std(own, ddof=1))
    assert found.estimate.low < found.estimate.value < found.estimate.high
    interval = theirs.confidence_interval()
    width = interval.high - interval.low
    assert found.estimate.low == pytest.approx(interval.low, abs=0.2 * width)
    assert found.estimate.high == pytest.approx(interval.high, abs=0.2 * width)


def test_on_the_logit_scale_it_is_gee():
    """Saturated GEE, seeds as clusters: the same contrast, the same robust error."""
    n = 30
    log_odds = rng(3).normal(size=(n, 1, 1)) + np.array([[-0.5, 0.3], [0.2, 1.2]])
    cells = rng(4).binomial(20, special.expit(log_odds)) / 20
    found = factorial_effect(cells, rng(), scale="logit")
    rows = pd.DataFrame({"y": cells.ravel(), "seed": np.repeat(np.arange(n), 4)})
    x, z = np.tile([0, 0, 1, 1], n), np.tile([0, 1, 0, 1], n)
    design = np.stack([np.ones(4 * n), x, z, x * z], axis=1)
    fit = sm.GEE(rows["y"], design, rows["seed"], family=sm.families.Binomial()).fit()
    assert found.estimate.value == pytest.approx(fit.params.iloc[-1], abs=1e-6)
    robust = fit.bse.iloc[-1] * (n / (n - 1)) ** 0.5
    assert found.spread / n**0.5 == pytest.approx(robust, rel=1e-4)


def test_a_main_effect_averages_over_the_other_factor():
    cells = rng(5).normal(size=(8, 2, 2))
    main = factorial_effect(cells, rng(), over=1)
    own = cells[:, 1].mean(axis=-1) - cells[:, 0].mean(axis=-1)
    assert main.estimate.value == pytest.approx(own.mean())
    assert main.p == pytest.approx(stats.ttest_1samp(own, 0).pvalue)
    assert factorial_effect(cells, rng(), over=(0,)).estimate.value == pytest.approx(
        (cells[:, :, 1] - cells[:, :, 0]).mean()
    )


def test_the_sign_of_an_interaction_depends_on_the_scale():
    means = np.array([[0.01, 0.05], [0.5, 0.7]])
    cells = np.clip(means + 0.001 * rng(6).normal(size=(16, 2, 2)), 0.001, 0.999)
    raw, odds = (factorial_effect(cells, rng(), scale=scale) for scale in ("raw", "logit"))
    assert raw.estimate.low > 0
    assert odds.estimate.high < 0
    assert max(raw.p, odds.p) < 0.001


@settings(max_examples=30)
@given(st.lists(st.floats(0.05, 0.95), min_size=12, max_size=12), st.sampled_from(sorted(SCALES)))
def test_swapping_two_levels_turns_the_sign(values, scale):
    cells = np.reshape(values, (3, 2, 2))
    there, back = (
        factorial_effect(c, rng(), scale=scale, resamples=50) for c in (cells, cells[:, ::-1])
    )
    assert there.estimate.value == pytest.approx(-back.estimate.value, abs=1e-9)
    assert there.p == pytest.approx(back.p, abs=1e-9, nan_ok=True)
    assert there.estimate.value == pytest.approx(
        factorial_contrast(SCALES[scale].of(cells.mean(axis=0))), abs=1e-9
    )


def test_ratios_on_the_log_scale_do_not_interact():
    cells = np.outer([1.0, 3.0], [2.0, 5.0]) * np.linspace(0.5, 1.5, 8)[:, None, None]
    assert factorial_effect(cells, rng(), scale="log").estimate.value == pytest.approx(0, abs=1e-9)
    assert factorial_effect(cells, rng()).estimate.value == pytest.approx(6)


def test_what_cannot_be_told_is_nan():
    assert factorial_effect(np.full((4, 2, 2), nan), rng()).estimate.n == 0
    one = factorial_effect([[1.0, 2.0]], rng())
    assert one.estimate.value == 1
    assert all(isnan(number) for number in (one.estimate.low, one.p, one.spread))
    equal = factorial_effect([[0.1, 0.3]] * 5, rng())
    assert isnan(equal.p)
    assert equal.spread == 0
    for scale in ("log", "logit"):
        never = factorial_effect([[0.0, 0.5], [0.0, 0.7]], rng(), scale=scale)
        assert all(isnan(number) for number in (*never.estimate[:3], never.p))


def test_a_seed_without_a_cell_is_left_out():
    cells = rng(7).normal(size=(6, 2, 2))
    cells[2, 0, 1] = nan
    assert factorial_effect(cells, rng(1)) == factorial_effect(np.delete(cells, 2, 0), rng(1))


@pytest.mark.parametrize("scale", ["raw", "logit"])
def test_without_an_interaction_five_per_cent_are_found(scale):
    chance, found, n = rng(8), [], 8
    log_odds = np.array([[-1.0, 0.0], [0.0, 1.0]])
    for _ in range(1000):
        seed = chance.normal(size=(n, 1, 1))
        cells = seed + chance.normal(size=(n, 2, 2))
        if scale == "logit":
            odds = 0.8 * seed + 0.5 * chance.normal(size=(n, 2, 2)) + log_odds
            cells = chance.binomial(20, special.expit(odds)) / 20
        found.append(factorial_effect(cells, chance, scale=scale, resamples=2).p)
    assert np.mean(np.array(found) < 0.05) == pytest.approx(0.05, abs=0.022)


@pytest.mark.parametrize(
    ("field", "cells", "options"),
    [
        ("scale", [[1, 2]], {"scale": "rank"}),
        ("cells", [[1, 2, 3]], {}),
        ("cells", [1, 2], {}),
        ("over", [[1, 2]], {"over": 0}),
        ("over", [[[1, 2], [3, 4]]], {"over": 2}),
    ],
)
def test_impossible_contrasts_are_refused(field, cells, options):
    with pytest.raises(InvalidInput, match=field):
        factorial_effect(cells, rng(), **options)
