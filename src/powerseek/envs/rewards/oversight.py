"""Specification rewards: they change what is judged, and by whom (SCIENCE section 3).

They pay what an injected overseer says about single (state, time, action) triples. Without one
they can be built and named - studies are validated before anything is enumerated - but not paid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from powerseek.envs.rewards.base import (
    Horizon,
    Overseer,
    Oversight,
    RewardFunction,
    Step,
    is_reward_number,
    reward_level,
    reward_steps,
)
from powerseek.envs.rewards.timing import Terminal
from powerseek.errors import InvalidInput
from powerseek.types import Floats, Ints, Records

AIMS: Mapping[str, tuple[str, ...]] = {
    "need": ("success",),
    "success": ("success",),
    "progress": ("progress",),
    "meant": ("own", "meant"),
}
"""What an overseer may want, and the facts it reads: J = success - eps x acquisition; success;
the gain in progress by the end of the look-ahead; or what is measured (``own``) during it, and
what is meant (``meant``) from there to the cap."""


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
    overseer's aim. With h = T and the aim ``need`` the best that can be done, at any discount,
    is what the minimal-need policy does.

    Under the aim ``meant`` Q counts the world's own reward over the look-ahead and then the most
    that its owner could still have of what is meant: at any discount the best that can be done is
    what an optimiser with a horizon of h steps does under the rewards of MONA (Farquhar et al.
    2025, arXiv:2501.13011). h = 1 is MONA; h = T is ordinary optimisation of the own reward.

    Attributes:
        h: Steps of look-ahead, 1 .. T.
        aim: ``need``, ``success``, ``progress`` or ``meant`` (`AIMS`).
        spare: Success that the aim ``need`` may forgo to acquire less, in [0, 1).
    """

    options: ClassVar[tuple[str, ...]] = ("aim", "spare")
    looks_ahead: ClassVar[bool] = True

    h: int
    aim: str = "need"
    spare: float = 0.0

    @classmethod
    def build(cls, argument: Any, options: Mapping[str, Any], horizon: Horizon) -> RewardFunction:
        """See RewardFunction.build."""
        _ends_at_cap(cls.id, horizon)
        aim = options.get("aim", "need")
        if not isinstance(aim, str) or aim not in AIMS:
            raise InvalidInput("approval.aim", aim, ", ".join(AIMS))
        spare = _spare(cls.id, options)
        if spare and aim != "need":
            raise InvalidInput(
                "approval.spare", spare, "0: only the aim need can spare success", "Leave it out."
            )
        instead = "Write {approval: 8}, or, in a study, approval and lookahead: [8]."
        return cls(reward_steps(cls.id, argument, horizon.max_steps, instead), aim, spare)

    @classmethod
    def label(cls, argument: Any, options: Mapping[str, Any]) -> str:
        """``approval 8``, ``approval 8 success``, ``approval 8 spare 0.01``."""
        given = cls.id if argument is None else f"{cls.id} {argument}"
        aim = options.get("aim", "need")
        return given + ("" if aim == "need" else f" {aim}") + _spare_label(options)

    @classmethod
    def factor(cls, argument: Any, options: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """Its h; what the overseer wants sets families apart."""
        aim = options.get("aim", "need")
        words = ("" if aim == "need" else f"{aim}") + _spare_label(options)
        return None if argument is None else ("lookahead", reward_level(argument), words.strip())

    @property
    def requires(self) -> tuple[str, ...]:  # type: ignore[override]  # the aim decides
        """Facts that the overseer reads."""
        return AIMS[self.aim]

    @property
    def oversight(self) -> Oversight:  # type: ignore[override]  # computed
        """See RewardFunction."""
        return Oversight(self.h, self.aim, 1.0, self.spare)


@dataclass(frozen=True)
class Coverage(Judged):
    """`Terminal` success, plus judgement of a share q of (state, time) pairs: the dial.

    Which pairs are judged is fixed by a hash, so the judged sets are nested in q. A judged action
    pays its advantage (<= 0) for J = success - eps x acquisition, looking to the cap; others
    pay nothing. q = 0 is `Terminal`; q = 1 judges every step.

    Attributes:
        q: Share of (state, time) pairs judged, in [0, 1].
        cap: The cap T, in steps: how far the overseer looks ahead.
        spare: Success that J may forgo to acquire less, in [0, 1).
    """

    options: ClassVar[tuple[str, ...]] = ("spare",)
    requires: ClassVar[tuple[str, ...]] = ("success",)
    memory_size: ClassVar[int] = 1

    q: float
    cap: int
    spare: float = 0.0

    @classmethod
    def build(cls, argument: Any, options: Mapping[str, Any], horizon: Horizon) -> RewardFunction:
        """See RewardFunction.build."""
        _ends_at_cap(cls.id, horizon)
        if not is_reward_number(argument) or not 0 <= argument <= 1:
            raise InvalidInput(
                "coverage", argument, "a share from 0 to 1", "Write {coverage: 0.5}."
            )
        return cls(float(argument), horizon.max_steps, _spare(cls.id, options))

    @classmethod
    def label(cls, argument: Any, options: Mapping[str, Any]) -> str:
        """``coverage 0.5``, ``coverage 0.5 spare 0.01``."""
        given = f"{argument:g}" if is_reward_number(argument) else f"{argument}"
        return f"{cls.id} {given}" + _spare_label(options)

    @classmethod
    def factor(cls, argument: Any, options: Mapping[str, Any]) -> tuple[Any, ...]:
        """Its q; what the overseer may forgo sets families apart."""
        return "coverage", argument, _spare_label(options).strip()

    @property
    def unjudged(self) -> RewardFunction:
        """Terminal."""
        return Terminal()

    @property
    def oversight(self) -> Oversight:  # type: ignore[override]  # computed
        """See RewardFunction."""
        return Oversight(self.cap, "need", self.q, self.spare)


def _spare(id: str, options: Mapping[str, Any]) -> float:
    spare = options.get("spare", 0.0)
    if not is_reward_number(spare) or not 0 <= spare < 1:
        raise InvalidInput(f"{id}.spare", spare, "a number from 0 to below 1")
    return float(spare)


def _spare_label(options: Mapping[str, Any]) -> str:
    spare = options.get("spare", 0.0)
    return f" spare {spare:g}" if is_reward_number(spare) and spare else ""


def _ends_at_cap(id: str, horizon: Horizon) -> None:
    """Refuse a bootstrapped cap: an overseer that looks to the cap has none to look to."""
    if horizon.time_limit != "terminal":
        raise InvalidInput(
            "time_limit",
            horizon.time_limit,
            f"terminal with {id!r}: its overseer looks ahead to the cap",
            "Write time_limit: terminal.",
        )
