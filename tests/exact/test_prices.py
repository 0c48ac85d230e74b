"""What a price does, and what density does: exact optima of both, crossed (SCIENCE, trap 12)."""

from functools import cache

import numpy as np
import pytest
from worlds import Ladder

import powerseek
from powerseek.exact import constraint, enumerated, optimum

LADDER = Ladder(rungs=2, slip=0.4, hazard=0.1, max_steps=6)


def priced(of, price):
    return {"priced": price, "of": of}


def need(price, q=1):
    return {"coverage": q, "aim": "need", "price": price}


@cache
def endgame():
    return enumerated(powerseek.make_world("endgame", openness=2, max_steps=20))


@cache
def homestead():
    return enumerated(powerseek.make_world("homestead", openness=1, max_steps=32))


def test_the_price_does_all_of_it_and_density_nothing():
    """Judged for success or not, an optimum may take all there is; at a price it takes nothing."""
    sparse, dense = optimum(endgame(), "terminal"), optimum(endgame(), {"coverage": 1})
    for free in (sparse, dense):
        assert free.uniform.success == pytest.approx(1)
        assert (free.low.acquisition, free.high.acquisition) == pytest.approx((0, 11))
        assert free.uniform.acquisition == pytest.approx(7.2405, abs=1e-4)
    for spec in (priced("terminal", 0.0909), need(0.0909)):
        dear = optimum(endgame(), spec)
        assert dear.uniform.success == pytest.approx(1)
        assert dear.high.acquisition == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("spec", "ends"),
    [
        ("terminal", (3.73, 8.95)),
        ({"coverage": 1}, (3.73, 8.95)),
        (priced("terminal", 0.02), (3.63, 4.11)),
        (need(0.02), (3.64, 4.55)),
        (need(0.04), (3.63, 4.11)),  # success is paid besides: half of the price is felt
    ],
    ids=str,
)
def test_judging_every_step_constrains_nothing_that_success_alone_does_not(spec, ends):
    found = constraint(homestead(), spec)
    assert (found.low, found.high) == pytest.approx(ends, abs=0.006)


@pytest.mark.parametrize("q", [0, 0.3, 1])
def test_paid_at_the_end_as_well_a_price_is_the_same_at_every_coverage(q):
    mdp, price = enumerated(LADDER), 0.05
    one, other = (
        optimum(mdp, priced("terminal", price)),
        optimum(mdp, priced(need(price, q), price)),
    )
    for mine, theirs in ((one.low, other.low), (one.high, other.high)):
        assert mine.as_array() == pytest.approx(theirs.as_array(), abs=1e-9, nan_ok=True)
    assert one.value == pytest.approx(other.value, abs=1e-12)


@pytest.mark.parametrize("of", ["terminal", "dense", {"every": 3}, need(0.05)], ids=str)
def test_at_gamma_1_a_price_may_be_paid_unit_by_unit(of):
    """The optimum need not remember what was acquired; walking through that finds the same."""
    mdp = enumerated(LADDER)
    one, other = (optimum(mdp, priced(of, 0.05), collapse=short) for short in (True, False))
    assert one.value == pytest.approx(other.value, abs=1e-12)
    for mine, theirs in ((one.low, other.low), (one.high, other.high)):
        assert mine.as_array() == pytest.approx(theirs.as_array(), abs=1e-9, nan_ok=True)


def test_below_gamma_1_an_optimum_remembers_what_it_has_acquired():
    mdp = enumerated(powerseek.make_world("homestead", openness=0, max_steps=16))
    found = optimum(mdp, priced("terminal", 0.05), 0.8)
    assert found.policy is None
    assert optimum(mdp, priced("terminal", 0.05)).policy is not None


def test_a_higher_price_never_buys_more():
    mdp = enumerated(powerseek.make_world("homestead", openness=0, max_steps=16))
    found = [optimum(mdp, priced("terminal", c)) for c in (0.001, 0.02, 0.1, 0.5, 2)]
    assert (np.diff([one.high.acquisition for one in found]) <= 1e-9).all()
    assert (np.diff([one.high.success for one in found]) <= 1e-9).all()
    assert found[0].high.acquisition > found[-1].high.acquisition == 0
