"""The reward ``preference``: what a model says of each action that has learnt from comparisons.

Who compares, what is compared and how the model learns is `powerseek.exact.preference`.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from powerseek.envs.rewards.base import (
    Comparisons,
    Horizon,
    RewardFunction,
    is_reward_number,
    noise_in_words,
    reward_steps,
)
from powerseek.envs.rewards.oversight import (
    AIMS,
    COVERED,
    PERMISSIONS,
    Judged,
    Nothing,
    aim_in_words,
    aim_of,
    price_in,
    refuse_endless,
)
from powerseek.errors import InvalidInput

LENGTH = 8
"""Steps of a segment where a spec gives none, or the time limit where that is shorter."""
MOST_LABELS = 100_000


@dataclass(frozen=True)
class Preference(Judged):
    """Pays what a Bradley-Terry model says of an action in a state, learnt from n comparisons.

    An overseer with the aim compares two segments of random play, again and again; a linear model
    of what is observed is fitted to the answers, and its reward is paid instead of the overseer's:
    the reward of RLHF, without the language model. The labels are drawn by the seed of the
    training: every seed is paid by a model of its own.

    With 0 labels nothing is known and nothing is paid (`Nothing`), whatever the aim.

    Attributes:
        labels: n, 1 to `MOST_LABELS`.
        aim: ``success``, ``need`` or ``progress`` (`powerseek.envs.rewards.oversight.AIMS`).
        price: Success that a unit of acquisition costs under the aim ``need``; 0 under others.
        length: Steps of a segment, 1 .. T.
        noise: As `Comparisons` has it; 0 where the better segment always wins.
    """

    options: ClassVar[tuple[str, ...]] = ("aim", "price", "length", "noise", *PERMISSIONS)
    learns: ClassVar[bool] = True

    labels: int
    aim: str = "success"
    price: float = 0.0
    length: int = LENGTH
    noise: float = 0.0

    @classmethod
    def build(cls, argument: Any, options: Mapping[str, Any], horizon: Horizon) -> RewardFunction:
        """See RewardFunction.build; `Nothing` without labels."""
        refuse_endless(cls.id, horizon)
        whole = isinstance(argument, numbers.Integral) and not isinstance(argument, bool)
        if not whole or not 0 <= argument <= MOST_LABELS:
            allowed = f"a whole number of labels, 0 to {MOST_LABELS:,}"
            raise InvalidInput(cls.id, argument, allowed, "Write {preference: 200}.")
        aim = aim_of(cls.id, options, COVERED)
        price, noise = price_in(cls.id, options, {cls.id: argument}), _noise(options)
        given = options.get("length", min(LENGTH, horizon.max_steps))
        instead = f"Write {{preference: {argument}, length: {min(LENGTH, horizon.max_steps)}}}."
        length = reward_steps(f"{cls.id}.length", given, horizon.max_steps, instead)
        return cls(int(argument), aim, price, length, noise) if argument else Nothing()

    @classmethod
    def label(cls, argument: Any, options: Mapping[str, Any]) -> str:
        """``preference 200``, ``preference 200 need price 0.02 length 4 noise 0.1``."""
        told = f"{aim_in_words(options)}{_length_in_words(options)}"
        told += noise_in_words(options.get("noise", 0.0))
        return f"{cls.id} {argument}{told if argument != 0 else ''}"

    @classmethod
    def factor(cls, argument: Any, options: Mapping[str, Any]) -> tuple[Any, ...]:
        """Its n, among those of segments as long."""
        return "labels", argument, _length_in_words(options).strip() if argument != 0 else ""

    @classmethod
    def aim_of(cls, argument: Any, options: Mapping[str, Any]) -> str:
        """See RewardFunction.aim_of; none where there are no labels."""
        return "" if argument == 0 else aim_of(cls.id, options, COVERED)

    @classmethod
    def price_of(cls, argument: Any, options: Mapping[str, Any]) -> float:
        """See RewardFunction.price_of; none where there are no labels."""
        price = price_in(cls.id, options, {cls.id: argument})
        return 0.0 if argument == 0 else price

    @classmethod
    def noise_of(cls, argument: Any, options: Mapping[str, Any]) -> float:
        """See RewardFunction.noise_of; none where there are no labels."""
        noise = _noise(options)
        return 0.0 if argument == 0 else noise

    @property
    def requires(self) -> tuple[str, ...]:  # type: ignore[override]  # the aim decides
        """Facts that the overseer reads."""
        return AIMS[self.aim]

    @property
    def oversight(self) -> Comparisons:  # type: ignore[override]  # computed
        """See RewardFunction."""
        return Comparisons(self.labels, self.aim, self.price, self.length, self.noise)


def _noise(options: Mapping[str, Any]) -> float:
    noise = options.get("noise", 0.0)
    if not is_reward_number(noise) or not 0 <= noise < math.inf:
        allowed = "a number >= 0, in the unit of the aim (success)"
        raise InvalidInput("preference.noise", noise, allowed, "Write noise: 0.1.")
    return float(noise)


def _length_in_words(options: Mapping[str, Any]) -> str:
    length = options.get("length", LENGTH)
    return "" if length == LENGTH else f" length {length}"
