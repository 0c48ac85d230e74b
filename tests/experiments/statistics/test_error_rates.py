"""Verdicts are as rarely wrong as their docstrings say: the simulation there, made smaller."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from benchmarks import verdicts

SMALL = {"seekers": 40, "families": 200, "settled": 120, "looks": 150}


def check(name, studies):
    """Every rate that must be small is so; fails by chance once in 1000 where it is .05."""
    rates = dict(verdicts.ALL[name](studies, np.random.default_rng(1)))
    most = stats.binom.isf(0.001, studies, 0.05) / studies
    for what, rate in rates.items():
        right = ("betting" in what and "supports" not in what) or what.startswith(
            ("one family", "one look", "two looks at .01", "drift of 1", "no effect")
        )
        if right or (what.startswith("at the margin") and "seed in ten" not in what):
            assert rate <= most, what
    return rates


@pytest.mark.parametrize("name", SMALL)
def test_errors_are_as_rare_as_said(name):
    rates = check(name, SMALL[name])
    if name == "seekers":  # that the t test is wrong is why there is betting
        assert rates["0.05 of seeds at +10, 16 seeds, t test"] > 0.2
        assert rates["no seeker, range up to ten margins, 60 seeds, betting supports"] == 1
    if name == "families":
        assert rates["the smaller p of each: studies with a wrong answer"] > 0.1
    if name == "settled":
        assert rates["drift of 0 margins, 40 seeds: called at rest"] > 0.85


@pytest.mark.slow
@pytest.mark.parametrize("name", verdicts.ALL)
def test_errors_are_as_rare_as_said_in_a_thousand_studies(name):
    rates = check(name, 1000)
    if name == "power":
        assert rates["effect of 1.5 SD"] > 0.95
    if name == "looks":
        assert rates["two looks at .05 each"] > 0.055
    if name == "settled":
        assert rates["drift of 0 margins, 28 seeds: called at rest"] == pytest.approx(0.8, abs=0.04)
