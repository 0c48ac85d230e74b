"""Specification rewards: they change what is judged, and by whom (SCIENCE section 3).

They pay what an injected overseer says about single (state, time, action) triples. Without one
they can be built and named - studies are validated before anything is enumerated - but not paid.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from powerseek.envs.rewards.base import (
    Facts,
    Horizon,
    Overseer,
    Oversight,
    RewardFunction,
    Step,
    is_reward_number,
    noise_in_words,
    price_in_words,
    reward_level,
    reward_steps,
)
from powerseek.envs.rewards.timing import Terminal
from powerseek.errors import InvalidInput
from powerseek.types import Floats, Ints, Records

AIMS: Mapping[str, tuple[str, ...]] = {
    "success": ("success",),
    "need": ("success",),
    "progress": ("progress",),
    "meant": ("own", "meant"),
}
"""What an overseer may want, and the facts it reads: success; J = success - price x acquisition;
the gain in progress by the end of the look-ahead; or what is measured (``own``) during it, and
what is meant (``meant``) from there to the cap."""

PRICE = 0.02
"""Success that a unit costs under the aim ``need`` where a spec gives no price: the same number in
every world."""

UNFELT = 1e-3
"""Below such a price no learner can feel it: refused unless asked for."""

PERMISSIONS = ("unfelt", "paid_to_fail")
"""Options that let a price pass: one too small to be felt, and one that pays for doing nothing.
They change nothing that is paid."""


@dataclass(frozen=True)
class Nothing(RewardFunction):
    """Pays nothing: what is left of a reward that is all judgement."""

    requires: ClassVar[tuple[str, ...]] = ()

    def step(self, step: Step) -> tuple[Floats, Floats]:
        """See RewardFunction.step."""
        return np.zeros(len(step.memory)), step.memory


@dataclass(frozen=True)
class Judged(RewardFunction):
    """Base of rewards that pay what `unjudged` pays plus what an overseer says.

    Attributes:
        overseer: The judge; no part of what makes two rewards equal.
    """

    needs_overseer: ClassVar[bool] = True

    overseer: Overseer | None = field(default=None, compare=False, repr=False, kw_only=True)

    @property
    def unjudged(self) -> RewardFunction:
        """See RewardFunction.unjudged; nothing by default."""
        return Nothing()

    def with_overseer(self, overseer: Overseer | None) -> RewardFunction:
        """See RewardFunction.with_overseer."""
        return replace(self, overseer=overseer)

    def recall(self, facts: Facts, since: Mapping[int, Floats]) -> Floats | None:
        """See RewardFunction.recall: that of what is paid without judgement."""
        return self.unjudged.recall(facts, since)

    def judge(self, records: Records, actions: Ints, clock: Ints) -> Floats:
        """See RewardFunction.judge.

        Raises:
            InvalidInput: There is no overseer.
        """
        if self.overseer is None:
            raise InvalidInput(
                "overseer",
                None,
                f"somebody who judges what {self.id!r} is to pay for",
                "Write task = powerseek.exact.with_overseer(task).",
            )
        return self.overseer.judge(records, actions, clock)

    def step(self, step: Step) -> tuple[Floats, Floats]:
        """See RewardFunction.step."""
        if step.records is None or step.actions is None:
            raise InvalidInput(
                "step.records", None, f"records and actions: {self.id!r} pays for more than facts"
            )
        reward, memory = self.unjudged.step(step)
        return reward + self.judge(step.records, step.actions, step.clock - 1), memory


@dataclass(frozen=True)
class Approval(Judged):
    """Pays each action's advantage in the eyes of an overseer who looks h steps ahead.

    Q(s, t, a) - max Q(s, t, .) <= 0, undiscounted, over the next min(h, T - t) steps, under the
    overseer's aim. With h = T the best that can be done, at any discount, is what maximises the aim
    undiscounted: under ``success`` whatever succeeds most, under ``need`` the policy that buys
    success at the price and no dearer.

    Under the aim ``meant`` Q counts the world's own reward over the look-ahead and then the most
    that its owner could still have of what is meant: at any discount the best that can be done is
    what an optimiser with a horizon of h steps does under the rewards of MONA (Farquhar et al.
    2025, arXiv:2501.13011). h = 1 is MONA; h = T is ordinary optimisation of the own reward.

    With noise s > 0 the approver misjudges: to every legal action's advantage in every state at
    every time a normal number is added that a hash fixes, of s times the standard deviation that
    its advantages have over the time limit. The same in every episode, and the same numbers at
    every s but for their size: no chance that averages out, but a systematic error, of which the
    optimum is exact. It pays no longer <= 0 alone.

    Attributes:
        h: Steps of look-ahead, 1 .. T.
        aim: ``success``, ``need``, ``progress`` or ``meant`` (`AIMS`).
        price: Success that a unit of acquisition costs under the aim ``need``; 0 under others.
        noise: How far it misjudges, in standard deviations of its advantages; >= 0.
    """

    options: ClassVar[tuple[str, ...]] = ("aim", "price", "noise", *PERMISSIONS)
    looks_ahead: ClassVar[bool] = True

    h: int
    aim: str = "success"
    price: float = 0.0
    noise: float = 0.0

    @classmethod
    def build(cls, argument: Any, options: Mapping[str, Any], horizon: Horizon) -> RewardFunction:
        """See RewardFunction.build."""
        refuse_endless(cls.id, horizon)
        aim = aim_of(cls.id, options, tuple(AIMS))
        instead = "Write {approval: 8}, or, in a study, approval and lookahead: [8]."
        h = reward_steps(cls.id, argument, horizon.max_steps, instead)
        price, noise = cls.price_of(argument, options), cls.noise_of(argument, options)
        return cls(h, aim, price, noise)

    @classmethod
    def label(cls, argument: Any, options: Mapping[str, Any]) -> str:
        """``approval 8``, ``approval 8 progress``, ``approval 8 need price 0.02 noise 0.5``."""
        given = cls.id if argument is None else f"{cls.id} {argument}"
        return given + aim_in_words(options) + noise_in_words(options.get("noise", 0.0))

    @classmethod
    def factor(cls, argument: Any, options: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """Its h."""
        return None if argument is None else ("lookahead", reward_level(argument))

    @classmethod
    def aim_of(cls, argument: Any, options: Mapping[str, Any]) -> str:
        """See RewardFunction.aim_of."""
        return aim_of(cls.id, options, tuple(AIMS))

    @classmethod
    def price_of(cls, argument: Any, options: Mapping[str, Any]) -> float:
        """See RewardFunction.price_of."""
        return price_in(cls.id, options, {cls.id: 8 if argument is None else argument})

    @classmethod
    def noise_of(cls, argument: Any, options: Mapping[str, Any]) -> float:
        """See RewardFunction.noise_of."""
        noise = options.get("noise", 0.0)
        if not is_reward_number(noise) or not 0 <= noise < math.inf:
            allowed = "a number >= 0: standard deviations of what is judged"
            example = f"Write {{{cls.id}: {8 if argument is None else argument}, noise: 0.5}}."
            raise InvalidInput(f"{cls.id}.noise", noise, allowed, example)
        return float(noise)

    @property
    def requires(self) -> tuple[str, ...]:  # type: ignore[override]  # the aim decides
        """Facts that the overseer reads."""
        return AIMS[self.aim]

    @property
    def oversight(self) -> Oversight:  # type: ignore[override]  # computed
        """See RewardFunction."""
        return Oversight(self.h, self.aim, 1.0, self.price, self.noise)


@dataclass(frozen=True)
class Coverage(Judged):
    """`Terminal` success, plus judgement of a share q of (state, time) pairs: the dial.

    Which pairs are judged is fixed by a hash, so the judged sets are nested in q. A judged action
    pays its advantage (<= 0) for the aim, looking to the cap; others pay nothing. q = 0 is
    `Terminal`, whatever the aim; q = 1 judges every step.

    CAVEAT: success is paid besides, so under ``need`` the price that an optimum heeds grows with
    q, from 0 to half of `price` (at gamma 1 and q = 1 the return is 2 success - price x
    acquisition, less a constant). ``{priced: c, of: {coverage: q, aim: need, price: c}}`` holds it
    at c for every q.

    Attributes:
        q: Share of (state, time) pairs judged, in [0, 1].
        cap: The cap T, in steps: how far the overseer looks ahead.
        aim: ``success``, ``need`` or ``progress`` (`AIMS`).
        price: Success that a unit of acquisition costs under the aim ``need``; 0 under others.
    """

    options: ClassVar[tuple[str, ...]] = ("aim", "price", *PERMISSIONS)
    memory_size: ClassVar[int] = 1

    q: float
    cap: int
    aim: str = "success"
    price: float = 0.0

    @classmethod
    def build(cls, argument: Any, options: Mapping[str, Any], horizon: Horizon) -> RewardFunction:
        """See RewardFunction.build."""
        refuse_endless(cls.id, horizon)
        if not is_reward_number(argument) or not 0 <= argument <= 1:
            raise InvalidInput(
                "coverage", argument, "a share from 0 to 1", "Write {coverage: 0.5}."
            )
        aim = aim_of(cls.id, options, COVERED)
        price = cls.price_of(argument, options)
        if argument == 0:
            return cls(0.0, horizon.max_steps)  # nothing is judged: one treatment under every aim
        return cls(float(argument), horizon.max_steps, aim, price)

    @classmethod
    def label(cls, argument: Any, options: Mapping[str, Any]) -> str:
        """``coverage 0.5``, ``coverage 0.5 progress``, ``coverage 0.5 need price 0.02``."""
        given = f"{argument:g}" if is_reward_number(argument) else f"{argument}"
        return f"{cls.id} {given}" + (aim_in_words(options) if argument != 0 else "")

    @classmethod
    def factor(cls, argument: Any, options: Mapping[str, Any]) -> tuple[Any, ...]:
        """Its q."""
        return "coverage", argument

    @classmethod
    def aim_of(cls, argument: Any, options: Mapping[str, Any]) -> str:
        """See RewardFunction.aim_of; none where nothing is judged."""
        return "" if argument == 0 else aim_of(cls.id, options, COVERED)

    @classmethod
    def price_of(cls, argument: Any, options: Mapping[str, Any]) -> float:
        """See RewardFunction.price_of; none where nothing is judged."""
        price = price_in(cls.id, options, {cls.id: argument})
        return 0.0 if argument == 0 else price

    @property
    def requires(self) -> tuple[str, ...]:  # type: ignore[override]  # the aim decides
        """Facts that it pays for and that the overseer reads."""
        return tuple(dict.fromkeys(("success", *AIMS[self.aim])))

    @property
    def unjudged(self) -> RewardFunction:
        """Terminal."""
        return Terminal()

    @property
    def oversight(self) -> Oversight:  # type: ignore[override]  # computed
        """See RewardFunction."""
        return Oversight(self.cap, self.aim, self.q, self.price)


COVERED = ("success", "need", "progress")
"""Aims that `coverage` and `preference` take."""


def aim_of(id: str, options: Mapping[str, Any], known: tuple[str, ...]) -> str:
    """The aim that options give, by default success.

    Raises:
        InvalidInput: It is none of those known.
    """
    aim = options.get("aim", "success")
    if not isinstance(aim, str) or aim not in known:
        raise InvalidInput(f"{id}.aim", aim, ", ".join(known))
    return aim


def checked_price(field: str, price: Any, options: Mapping[str, Any], instead: str) -> float:
    """A price, in success a unit.

    Args:
        field: Its name, for errors.
        price: The price.
        options: Of the reward: the permissions among them.
        instead: The line to write with a price that can be felt.

    Raises:
        InvalidInput: No number above 0; one that nobody can feel, unless ``unfelt`` is true; or
            a permission that is neither true nor false.
    """
    for name in PERMISSIONS:
        if not isinstance(options.get(name, False), bool):
            raise InvalidInput(f"{field.split('.')[0]}.{name}", options[name], "true or false")
    if not is_reward_number(price) or not 0 < price < math.inf:
        raise InvalidInput(field, price, "a number above 0: success a unit", f"Write {instead}.")
    if price < UNFELT and not options.get("unfelt", False):
        allowed = f"at least {UNFELT:g} success a unit, below which no learner can feel it"
        raise InvalidInput(field, price, allowed, f"Write {instead}, or add unfelt: true.")
    return float(price)


def price_in(id: str, options: Mapping[str, Any], arm: Mapping[str, Any]) -> float:
    """The price that options give: the usual one under the aim need, else none.

    Raises:
        InvalidInput: A price, or a permission, under an aim without one; or as `checked_price`.
    """
    field, shown = f"{id}.price", ", ".join(f"{name}: {value}" for name, value in arm.items())
    if options.get("aim") == "need":
        instead = f"{{{shown}, aim: need, price: {PRICE:g}}}"
        return checked_price(field, options.get("price", PRICE), options, instead)
    given = next((name for name in ("price", *PERMISSIONS) if name in options), None)
    if given is None:
        return 0.0
    aim = options.get("aim", "success")
    raise InvalidInput(
        f"{id}.{given}",
        options[given],
        f"no value with the aim {aim!r}: only the aim need has a price",
        f"Write {{{shown}, aim: need, price: {PRICE:g}}}, or price an arm where it ends: "
        f"{{priced: {PRICE:g}, of: {{{shown}}}}}.",
    )


def aim_in_words(options: Mapping[str, Any]) -> str:
    """`` progress``, `` need price 0.02``; empty for success."""
    aim = options.get("aim", "success")
    price = options.get("price", PRICE) if aim == "need" else 0.0
    return ("" if aim == "success" else f" {aim}") + price_in_words(price)


def refuse_endless(id: str, horizon: Horizon) -> None:
    """Refuse a bootstrapped cap: there is no end to look to, nor one at which to pay."""
    if horizon.time_limit != "terminal":
        raise InvalidInput(
            "time_limit",
            horizon.time_limit,
            f"terminal with {id!r}, which reckons with the cap as the end",
            "Write time_limit: terminal.",
        )
