"""A price on acquisition that is paid once, where an episode ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from powerseek.envs.rewards.base import (
    Horizon,
    RewardFunction,
    Step,
    acquired_in,
    price_in_words,
)
from powerseek.envs.rewards.oversight import PERMISSIONS, PRICE, checked_price, refuse_endless
from powerseek.envs.rewards.spec import (
    Spec,
    place_of,
    price_of,
    read_spec,
    restraint_of,
    reward_chain,
    reward_name,
)
from powerseek.envs.rewards.wrapper import Wrapper
from powerseek.errors import InvalidInput
from powerseek.types import Floats

TOO = "and at the end"
"""Said of a reward whose overseer knows a price that is paid at the end as well."""


@dataclass(frozen=True)
class Priced(Wrapper):
    """Pays another reward, and at the last step of an episode -price x units acquired in it.

    Under `Terminal` this is J = success - price x acquisition, paid as sparsely as success is. Of
    `coverage` with the aim ``need`` at the same price it is J, paid at the end, and what its
    overseer says of single steps: at gamma 1 the optimum is J's at every q. Units acquired so far
    are observed: at gamma < 1 an early end costs more, so the optimum depends on them.

    Attributes:
        price: Success that a unit costs, > 0.
        of: The other reward.
    """

    options: ClassVar[tuple[str, ...]] = ("of", *PERMISSIONS)
    reads_acquired: ClassVar[bool] = True
    usual: ClassVar[str] = f"{PRICE:g}"

    price: float
    of: RewardFunction

    @classmethod
    def build(cls, argument: Any, options: Mapping[str, Any], horizon: Horizon) -> RewardFunction:
        """See RewardFunction.build."""
        refuse_endless(cls.id, horizon)
        price = cls.price_of(argument, options)
        return cls(price, cls.build_inner(argument, options, horizon))

    @classmethod
    def inner(cls, argument: Any, options: Mapping[str, Any]) -> Spec:
        """The spec of the other reward.

        Raises:
            InvalidInput: There is none; or it is priced at its end already, has another price of
                its own, or is constrained: a constraint goes around the price.
        """
        spec = super().inner(argument, options)
        inside = [read_spec(one)[0] for one in reward_chain(spec)]
        if cls.id in inside:
            raise InvalidInput("priced.of", spec, "a reward that is not priced at its end already")
        if restraint_of(spec).kind:
            allowed = "a reward without a constraint: a constraint goes around a price"
            hint = f"Write {{{inside[0]}: ..., of: {{priced: {argument}, of: ...}}}}."
            raise InvalidInput("priced.of", spec, allowed, hint)
        if price_of(spec) not in (0, argument):
            allowed = f"a reward without a price, or with the same one ({argument})"
            raise InvalidInput("priced.of", spec, allowed, f"Write price: {argument} in both.")
        return spec

    @classmethod
    def label(cls, argument: Any, options: Mapping[str, Any]) -> str:
        """``terminal price 0.02``; ``coverage 1 need price 0.02 and at the end``."""
        of = cls.inner(argument, options)
        return reward_name(of) + (f" {TOO}" if price_of(of) else price_in_words(argument))

    @classmethod
    def factor(cls, argument: Any, options: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """That of the other reward."""
        of = cls.inner(argument, options)
        place = place_of(of)
        if place is None:
            return None
        words = (TOO if price_of(of) else "", place.family)
        return place.factor, place.level, ", ".join(filter(None, words))

    @classmethod
    def price_of(cls, argument: Any, options: Mapping[str, Any]) -> float:
        """See RewardFunction.price_of."""
        return checked_price(cls.id, argument, options, f"{{priced: {PRICE:g}, of: terminal}}")

    def step(self, step: Step) -> tuple[Floats, Floats]:
        """See RewardFunction.step.

        Raises:
            InvalidInput: The units acquired are not told.
        """
        if step.acquired is None:
            raise InvalidInput(
                "step.acquired", None, f"units acquired so far: {self.id!r} pays for them"
            )
        reward, memory = self.of.step(step)
        return reward - np.where(step.ended, self.price * step.acquired, 0.0), memory


@dataclass(frozen=True)
class PricedAtOnce(Priced):
    """Pays another reward, and for every unit its price when it is acquired.

    At gamma 1 every policy's return is that of `Priced`, without a memory of what was acquired.
    """

    reads_acquired: ClassVar[bool] = False

    def step(self, step: Step) -> tuple[Floats, Floats]:
        """See RewardFunction.step."""
        reward, memory = self.of.step(step)
        return reward - self.price * acquired_in(step.after.array, step.after.world), memory
