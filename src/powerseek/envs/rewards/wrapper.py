"""Rewards that pay another reward, and something besides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from powerseek.envs.rewards.base import (
    Change,
    Comparisons,
    Facts,
    Horizon,
    Overseer,
    Oversight,
    Restraint,
    RewardFunction,
)
from powerseek.envs.rewards.spec import (
    Spec,
    aim_of,
    make_reward,
    noise_of,
    place_of,
    price_of,
    restraint_of,
)
from powerseek.errors import InvalidInput
from powerseek.types import Floats, Ints, Records


class Wrapper(RewardFunction):
    """Base of rewards that pay the reward ``of`` and something besides.

    Whatever a subclass does not say itself is as the other reward has it: its place on a factor,
    its memory, its overseer. A subclass is a frozen dataclass with a field ``of``.

    Attributes:
        of: The other reward.
        usual: An argument for hints on what to write.
    """

    wraps: ClassVar[bool] = True
    usual: ClassVar[str] = ""

    of: RewardFunction

    @classmethod
    def inner(cls, argument: Any, options: Mapping[str, Any]) -> Spec:
        """The spec of the other reward.

        Raises:
            InvalidInput: There is none.
        """
        spec: Spec | None = options.get("of")
        if spec is None:
            hint = f"Write {{{cls.id}: {cls.usual}, of: terminal}}."
            raise InvalidInput(f"{cls.id}.of", spec, "the reward that is paid besides", hint)
        return spec

    @classmethod
    def build_inner(
        cls, argument: Any, options: Mapping[str, Any], horizon: Horizon
    ) -> RewardFunction:
        """The other reward; InvalidInput as `inner`, or as that reward says."""
        return make_reward(
            cls.inner(argument, options),
            max_steps=horizon.max_steps,
            gamma=horizon.gamma,
            time_limit=horizon.time_limit,
            runs_on=horizon.runs_on,
        )

    @classmethod
    def factor(cls, argument: Any, options: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """That of the other reward."""
        place = place_of(cls.inner(argument, options))
        return None if place is None else (place.factor, place.level, place.family)

    @classmethod
    def aim_of(cls, argument: Any, options: Mapping[str, Any]) -> str:
        """That of the other reward's overseer."""
        return aim_of(cls.inner(argument, options))

    @classmethod
    def price_of(cls, argument: Any, options: Mapping[str, Any]) -> float:
        """That of the other reward."""
        return price_of(cls.inner(argument, options))

    @classmethod
    def noise_of(cls, argument: Any, options: Mapping[str, Any]) -> float:
        """That of the other reward's overseer."""
        return noise_of(cls.inner(argument, options))

    @classmethod
    def restraint_of(cls, argument: Any, options: Mapping[str, Any]) -> Restraint:
        """That of the other reward."""
        return restraint_of(cls.inner(argument, options))

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
    def oversight(  # type: ignore[override]  # as the other reward
        self,
    ) -> Oversight | Comparisons | Change | None:
        """See RewardFunction.oversight."""
        return self.of.oversight

    @property
    def scale(self) -> float:
        """See RewardFunction.scale."""
        return self.of.scale

    @property
    def mean(self) -> RewardFunction:
        """See RewardFunction.mean."""
        return self.paying(self.of.mean)

    @property
    def unjudged(self) -> RewardFunction:
        """See RewardFunction.unjudged."""
        return self.paying(self.of.unjudged)

    def paying(self, of: RewardFunction) -> RewardFunction:
        """The same of another reward."""
        mine: Any = self  # a dataclass, as every subclass is
        changed: RewardFunction = replace(mine, of=of)
        return changed

    def with_overseer(self, overseer: Overseer | None) -> RewardFunction:
        """See RewardFunction.with_overseer."""
        return self.paying(self.of.with_overseer(overseer))

    def start(self, facts: Facts) -> Floats:
        """See RewardFunction.start."""
        return self.of.start(facts)

    def recall(self, facts: Facts, since: Mapping[int, Floats]) -> Floats | None:
        """See RewardFunction.recall."""
        return self.of.recall(facts, since)

    def judge(self, records: Records, actions: Ints, clock: Ints) -> Floats:
        """See RewardFunction.judge."""
        return self.of.judge(records, actions, clock)
