"""A price on acquisition that is paid once, where an episode ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from powerseek.envs.rewards.base import (
    Facts,
    Horizon,
    Overseer,
    Oversight,
    RewardFunction,
    Step,
    acquired_in,
    price_in_words,
)
from powerseek.envs.rewards.oversight import PERMISSIONS, PRICE, checked_price, refuse_endless
from powerseek.envs.rewards.spec import (
    Spec,
    aim_of,
    make_reward,
    noise_of,
    place_of,
    price_of,
    reward_name,
    unpriced,
)
from powerseek.errors import InvalidInput
from powerseek.types import Floats, Ints, Records

TOO = "and at the end"
"""Said of a reward whose overseer knows a price that is paid at the end as well."""


@dataclass(frozen=True)
class Priced(RewardFunction):
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

    price: float
    of: RewardFunction

    @classmethod
    def build(cls, argument: Any, options: Mapping[str, Any], horizon: Horizon) -> RewardFunction:
        """See RewardFunction.build."""
        refuse_endless(cls.id, horizon)
        price, spec = cls.price_of(argument, options), _of(argument, options)
        of = make_reward(
            spec,
            max_steps=horizon.max_steps,
            gamma=horizon.gamma,
            time_limit=horizon.time_limit,
            runs_on=horizon.runs_on,
        )
        return cls(price, of)

    @classmethod
    def label(cls, argument: Any, options: Mapping[str, Any]) -> str:
        """``terminal price 0.02``; ``coverage 1 need price 0.02 and at the end``."""
        of = _of(argument, options)
        return reward_name(of) + (f" {TOO}" if price_of(of) else price_in_words(argument))

    @classmethod
    def factor(cls, argument: Any, options: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """That of the other reward."""
        of = _of(argument, options)
        place = place_of(of)
        if place is None:
            return None
        words = (TOO if price_of(of) else "", place.family)
        return place.factor, place.level, ", ".join(filter(None, words))

    @classmethod
    def aim_of(cls, argument: Any, options: Mapping[str, Any]) -> str:
        """That of the other reward's overseer."""
        return aim_of(_of(argument, options))

    @classmethod
    def price_of(cls, argument: Any, options: Mapping[str, Any]) -> float:
        """See RewardFunction.price_of."""
        return checked_price(cls.id, argument, options, f"{{priced: {PRICE:g}, of: terminal}}")

    @classmethod
    def noise_of(cls, argument: Any, options: Mapping[str, Any]) -> float:
        """That of the other reward's overseer."""
        return noise_of(_of(argument, options))

    @property
    def requires(self) -> tuple[str, ...]:  # type: ignore[override]  # as the other reward
        """See RewardFunction."""
        return self.of.requires

    @property
    def memory_size(self) -> int:  # type: ignore[override]  # as the other reward
        """See RewardFunction.memory_size."""
        return self.of.memory_size

    @property
    def uses_draw(self) -> bool:  # type: ignore[override]  # as the other reward
        """See RewardFunction.uses_draw."""
        return self.of.uses_draw

    @property
    def needs_overseer(self) -> bool:  # type: ignore[override]  # as the other reward
        """See RewardFunction.needs_overseer."""
        return self.of.needs_overseer

    @property
    def overseer(self) -> Overseer | None:  # type: ignore[override]  # as the other reward
        """See RewardFunction.overseer."""
        return self.of.overseer

    @property
    def oversight(self) -> Oversight | None:  # type: ignore[override]  # as the other reward
        """See RewardFunction.oversight."""
        return self.of.oversight

    @property
    def scale(self) -> float:
        """See RewardFunction.scale."""
        return self.of.scale

    @property
    def mean(self) -> RewardFunction:
        """See RewardFunction.mean."""
        return replace(self, of=self.of.mean)

    @property
    def unjudged(self) -> RewardFunction:
        """See RewardFunction.unjudged."""
        return replace(self, of=self.of.unjudged)

    def with_overseer(self, overseer: Overseer | None) -> RewardFunction:
        """See RewardFunction.with_overseer."""
        return replace(self, of=self.of.with_overseer(overseer))

    def start(self, facts: Facts) -> Floats:
        """See RewardFunction.start."""
        return self.of.start(facts)

    def judge(self, records: Records, actions: Ints, clock: Ints) -> Floats:
        """See RewardFunction.judge."""
        return self.of.judge(records, actions, clock)

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


def _of(price: Any, options: Mapping[str, Any]) -> Spec:
    """The spec of the other reward.

    Raises:
        InvalidInput: There is none, or it has another price of its own.
    """
    spec: Spec | None = options.get("of")
    if spec is None:
        hint = f"Write {{priced: {PRICE:g}, of: terminal}}."
        raise InvalidInput("priced.of", spec, "the reward that is paid besides", hint)
    if unpriced(spec) is not spec:
        raise InvalidInput("priced.of", spec, "a reward that is not priced at its end already")
    if price_of(spec) not in (0, price):
        allowed = f"a reward without a price, or with the same one ({price})"
        raise InvalidInput("priced.of", spec, allowed, f"Write price: {price} in both.")
    return spec
