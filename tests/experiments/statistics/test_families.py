"""One family of all p-values that can produce an answer; looks share its level."""

from __future__ import annotations

from math import nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from known import known
from statsmodels.stats.multitest import multipletests

from powerseek.errors import InvalidInput
from powerseek.experiments.statistics.families import (
    PValues,
    adjust_family,
    adjust_p_values,
    look_levels,
)


def test_both_p_values_of_every_hypothesis_count():
    family = [PValues(0.01, 0.9), PValues(0.02, nan), PValues(nan, nan), PValues(0.7, 0.001)]
    found = adjust_family(family)
    known = adjust_p_values([0.01, 0.9, 0.02, 0.7, 0.001])
    told = [p for one in found for p in one if p == p]
    assert told == pytest.approx(list(known))
    assert found[3].none == pytest.approx(5 * 0.001)
    assert np.isnan(found[1].none)
    assert np.isnan(found[2]).all()
    assert adjust_family([]) == []


@pytest.mark.parametrize(
    ("looks", "levels"),
    [
        ((40,), {40: 0.05}),
        ((20, 40), {20: 0.01, 40: 0.04}),
        ((16, 32, 48, 64, 80), {16: 0.01, 32: 0.01, 48: 0.01, 64: 0.01, 80: 0.01}),
    ],
)
def test_looks_share_the_level(looks, levels):
    found = look_levels(looks)
    assert found == pytest.approx(levels)
    assert sum(found.values()) == pytest.approx(0.05)


# multiple_comparisons


def test_multiple_comparisons():
    case = known("multiple_comparisons")
    p = case.spec["p"]
    found = {
        "holm": adjust_p_values(p),
        "benjamini-hochberg": adjust_p_values(p, "benjamini-hochberg"),
        # Bonferroni is what Holm makes of a p beside which all the others are hopeless.
        "bonferroni": [adjust_p_values([value] + [1.0] * (len(p) - 1))[0] for value in p],
    }
    for method, values in found.items():
        wanted = case.expected[method.replace("-", "_")]
        assert values == pytest.approx(wanted, abs=case.tolerance), method


def test_a_missing_p_stays_missing_and_does_not_count():
    assert adjust_p_values([0.01, nan, 0.04]) == pytest.approx([0.02, nan, 0.04], nan_ok=True)
    assert np.isnan(adjust_p_values([nan, nan])).all()
    assert adjust_p_values([]).size == 0


@settings(max_examples=12)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_adjusting_agrees_with_statsmodels(p):
    for ours, theirs in (("holm", "holm"), ("benjamini-hochberg", "fdr_bh")):
        assert adjust_p_values(p, ours) == pytest.approx(
            multipletests(p, method=theirs)[1], abs=1e-12
        )


@settings(max_examples=40)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_adjusting_never_lowers_and_holm_is_within_bonferroni(p):
    holm, bh = adjust_p_values(p), adjust_p_values(p, "benjamini-hochberg")
    bonferroni = np.minimum(np.multiply(p, len(p)), 1)
    assert (np.asarray(p) <= bh + 1e-12).all()
    assert (bh <= holm + 1e-12).all()
    assert (holm <= bonferroni + 1e-12).all()


def test_an_unknown_method_is_named():
    with pytest.raises(InvalidInput, match="benjamini-hochberg"):
        adjust_p_values([0.1], "none")
    with pytest.raises(InvalidInput, match="p_values"):
        adjust_p_values([0.1, 1.5])
