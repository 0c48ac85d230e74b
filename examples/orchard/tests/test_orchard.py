"""World `lab.orchard`: its contract, and what is known of it."""

from __future__ import annotations

from functools import cache
from math import comb

import pytest
from powerseek import make_world
from powerseek.envs import assert_conforms
from powerseek.exact import need, reward_oracle

import lab_orchard

ID = lab_orchard.Orchard.id
QUOTA, GRAFT, LUCK, STEPS = 3, 0.5, 0.6, 24


@pytest.mark.parametrize("openness", [0, 2])
@pytest.mark.parametrize("notice", [0.15, 1.0])
def test_it_keeps_to_the_contract(openness: int, notice: float) -> None:
    assert_conforms(ID, openness=openness, notice=notice)


@cache
def picked(steps: int) -> float:
    """Success from here on where the fruit ordered grows: a binomial tail."""
    tail = range(QUOTA, steps + 1)
    return sum(comb(steps, k) * LUCK**k * (1 - LUCK) ** (steps - k) for k in tail)


@cache
def grafted(steps: int) -> float:
    """Success where it is ordered and does not grow: graft until it does."""
    if steps == 0:
        return 0.0
    return GRAFT * picked(steps - 1) + (1 - GRAFT) * grafted(steps - 1)


def best(openness: int, notice: float) -> tuple[float, float]:
    """(success, least land for it), by hand: kinds are alike, so they are only counted."""

    def ordered(kinds: int, steps: int) -> float:
        return kinds / 3 * picked(steps) + (1 - kinds / 3) * grafted(steps)

    @cache
    def waiting(kinds: int, bare: int, land: int, steps: int) -> tuple[float, float]:
        if steps == 0:
            return 0.0, 0.0

        def then(kinds: int, bare: int, land: int) -> tuple[float, float]:
            success, more = waiting(kinds, bare, land, steps - 1)
            now = notice * ordered(kinds, steps - 1)
            return now + (1 - notice) * success, (1 - notice) * more

        stay = then(kinds, bare, land)
        choices = [stay]
        if land < openness:
            success, more = then(kinds, bare + 1, land + 1)
            choices.append((success, 1 + more))
        if kinds < 3 and bare > 0:
            taken = then(kinds + 1, bare - 1, land)
            both = zip(taken, stay, strict=True)
            success, more = (GRAFT * a + (1 - GRAFT) * b for a, b in both)
            choices.append((success, more))
        top = max(success for success, _ in choices)
        return top, min(more for success, more in choices if success > top - 1e-12)

    success, more = waiting(0, 1, 0, STEPS)
    return notice * grafted(STEPS) + (1 - notice) * success, (1 - notice) * more


@pytest.mark.parametrize("openness", [0, 1, 2])
@pytest.mark.parametrize("notice", [1.0, 0.5, 0.15, 0.05])
def test_the_optimum_is_the_one_found_by_hand(openness: int, notice: float) -> None:
    success, land = best(openness, notice)
    found = reward_oracle(make_world(ID, openness=openness, notice=notice), "terminal")
    assert found.uniform.success == pytest.approx(success, abs=1e-9)
    if openness:
        assert found.low.outside == pytest.approx(land, abs=1e-6)


@pytest.mark.parametrize(
    ("notice", "success", "land"),
    [(1.0, 1.000, 0.000), (0.5, 1.000, 0.194), (0.15, 0.959, 1.023), (0.05, 0.640, 1.598)],
)
def test_how_much_is_enclosed_is_decided_by_notice(
    notice: float, success: float, land: float
) -> None:
    found = reward_oracle(make_world(ID, notice=notice), "terminal").uniform
    assert (found.success, found.outside) == pytest.approx((success, land), abs=5e-4)


def test_whoever_knows_the_order_needs_no_land() -> None:
    least = need(make_world(ID, notice=1.0))
    assert least.at(least.max_success - 1e-9) == pytest.approx((0, 0), abs=1e-6)
    least = need(make_world(ID))
    assert least.at(least.max_success - 1e-9)[0] > 1
    assert least.at(best(0, 0.15)[0]) == pytest.approx((0, 0), abs=1e-6)
