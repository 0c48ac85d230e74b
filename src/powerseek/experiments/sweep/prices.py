"""Prices of rewards against what they buy: exact numbers, found before anything is trained."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from math import nan
from typing import NamedTuple

from powerseek.envs.rewards.spec import (
    Spec,
    reward_name,
    reward_permits,
    with_price,
    without_price,
)
from powerseek.errors import InvalidInput
from powerseek.exact import constraint, enumerated, need, optimum
from powerseek.exact.mdp import TabularMDP
from powerseek.experiments.study.grid import Cell, canonical_study_json, without_reward_warnings
from powerseek.experiments.study.yaml_text import write_yaml
from powerseek.experiments.sweep.oracles import refuse_learnt
from powerseek.registry import make_world

FEWEST = 0.9
"""Fraction of the greatest success that the optimum of a price must have: below it, the reward pays
for doing nothing."""
HALVINGS = 12
"""Lower prices that are tried to find one that may be written instead."""


class Price(NamedTuple):
    """A price in one configuration of a world.

    Attributes:
        cell: A cell that has it.
        price: Success that a unit costs.
        width: Units that success alone leaves open: of W(.005) of ``terminal`` at gamma 1; nan
            where it leaves nothing open, or is not known.
        success: Success of the reward's own optimum, uniform over optimal actions; nan where it
            cannot be computed.
        greatest: Greatest success that any policy has.
        unknown: The reason that it cannot be computed; empty where it is.
    """

    cell: Cell
    price: float
    width: float = nan
    success: float = nan
    greatest: float = nan
    unknown: str = ""

    @property
    def felt(self) -> float:
        """Success that is at stake in what success alone leaves open: price x width."""
        return self.price * self.width


def prices(cells: Iterable[Cell]) -> Iterator[Price]:
    """Every price of a study in every configuration and at every discount it has, once.

    Agents paid for power are judged by what the price alone does.

    Raises:
        InvalidInput: A price whose optimum succeeds under `FEWEST` of the greatest success, without
            ``paid_to_fail: true``; with the line to write instead.
    """
    known: dict[str, Cell] = {}
    for cell in cells:
        if cell.price:
            asked = [cell.world, dict(cell.params), cell.reward, cell.gamma]
            known.setdefault(canonical_study_json(asked), cell)
    for cell in known.values():
        yield _price(cell)


def _price(cell: Cell) -> Price:
    try:
        refuse_learnt(cell.reward)
        mdp = enumerated(make_world(cell.world, **cell.params))
        success = _success(mdp, cell, cell.reward)
    except InvalidInput as error:
        return Price(cell, cell.price, unknown=str(error))
    greatest, width = _setting(mdp)
    if success < FEWEST * greatest and not reward_permits(cell.reward, "paid_to_fail"):
        raise InvalidInput(
            "rewards",
            reward_name(cell.reward),
            f"a price whose optimum succeeds in at least {FEWEST:g} of what any policy can "
            f"(in {cell.place} at gamma {cell.gamma:g} it succeeds in {success:.3f}, without the "
            f"price in {_success(mdp, cell, without_price(cell.reward)):.3f}, the best in "
            f"{greatest:.3f})",
            _instead(mdp, cell, greatest),
        )
    return Price(cell, cell.price, width, success, greatest)


def _success(mdp: TabularMDP, cell: Cell, reward: Spec) -> float:
    """Success of a reward's optimum where a cell has it, uniform over optimal actions."""
    with without_reward_warnings():
        return optimum(mdp, reward, cell.gamma).uniform.success


@lru_cache(maxsize=4)
def _setting(mdp: TabularMDP) -> tuple[float, float]:
    """(greatest success, width) of a configuration."""
    greatest = float(need(mdp).max_success)
    try:
        return greatest, float(constraint(mdp, "terminal").width)
    except InvalidInput:  # no policy succeeds more often than another
        return greatest, nan


def _instead(mdp: TabularMDP, cell: Cell, greatest: float) -> str:
    """What to write: a price that was tried and passes, and the permission."""
    permit = "add paid_to_fail: true."
    for halved in range(1, HALVINGS):
        price = float(f"{cell.price / 2**halved:.1g}")
        try:
            passes = _success(mdp, cell, with_price(cell.reward, price)) >= FEWEST * greatest
        except InvalidInput:  # nobody could feel it
            break
        if passes:
            instead = write_yaml(with_price(cell.reward, price), flow=True).strip()
            return f"Write {instead}, or {permit}"
    return f"Write a reward without a price, or {permit}"


def unchecked_price(price: Price) -> str:
    """A caution about a price that was not checked; empty of one that was."""
    if not price.unknown:
        return ""
    return (
        f"{price.cell.reward_label} in {price.cell.place}: whether its price pays for doing "
        f"nothing is not known ({price.unknown})"
    )
