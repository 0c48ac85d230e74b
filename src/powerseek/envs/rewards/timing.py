"""Timing rewards: one reward, paid sooner, later or by chance; and the world's own.

They see facts alone (SCIENCE section 3).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from powerseek.envs.rewards.base import (
    ConfoundWarning,
    Facts,
    Horizon,
    RewardFunction,
    Step,
    is_reward_number,
    refuse_reward_argument,
    reward_level,
    reward_steps,
)
from powerseek.errors import InvalidInput
from powerseek.types import Floats

MAX_SCALE = 100.0
"""Largest factor by which discount correction may blow up a reward."""
OWN, CORRECTED = "own reward", "corrected"
"""Families on the factor ``timing``: what the world pays, and with discount made up for."""


@dataclass(frozen=True)
class Own(RewardFunction):
    """Pays what the world itself pays: the fact ``own``. Reproduces published results."""

    requires: ClassVar[tuple[str, ...]] = ("own",)

    @classmethod
    def factor(cls, argument: Any, options: Mapping[str, Any]) -> tuple[Any, ...]:
        """Not delayed."""
        return "timing", 1, OWN

    def step(self, step: Step) -> tuple[Floats, Floats]:
        """See RewardFunction.step."""
        return step.after["own"].copy(), step.memory


@dataclass(frozen=True)
class Dense(RewardFunction):
    """Pays the change in progress at every step: the reference of the timing rewards."""

    @classmethod
    def factor(cls, argument: Any, options: Mapping[str, Any]) -> tuple[Any, ...]:
        """Not delayed."""
        return "timing", 1

    def step(self, step: Step) -> tuple[Floats, Floats]:
        """See RewardFunction.step."""
        return step.after["progress"] - step.before["progress"], step.memory


@dataclass(frozen=True)
class Every(RewardFunction):
    """Pays the sum of the last k dense rewards when k divides the clock, the rest at the end.

    Keeps the undiscounted return; keeps the optimal policies at gamma 1 only. Corrected, reward
    r_j is paid at t as r_j gamma^-(t-j): it keeps the discounted return, and the optimal
    policies, at the price of a scale of up to gamma^-(k-1).

    ``{every: k, of: own}`` delays what the world itself pays instead. Agents observe what is owed
    of progress, not of that: use it where state and time left tell it, as in `off-switch`.

    Attributes:
        k: Steps between payments, >= 1.
        growth: 1 / gamma where corrected, else 1: what waiting one step does to a reward.
        of: What is delayed: ``dense`` or ``own``.
    """

    options: ClassVar[tuple[str, ...]] = ("corrected", "of")
    memory_size: ClassVar[int] = 1

    k: int
    growth: float = 1.0
    of: str = "dense"

    @classmethod
    def build(cls, argument: Any, options: Mapping[str, Any], horizon: Horizon) -> RewardFunction:
        """See RewardFunction.build."""
        k = cls.window(argument, horizon.max_steps)
        corrected = options.get("corrected", False)
        if not isinstance(corrected, bool):
            raise InvalidInput("every.corrected", corrected, "true or false")
        of = options.get("of", "dense")
        if of not in ("dense", "own"):
            raise InvalidInput("every.of", of, "dense or own")
        gamma = horizon.gamma
        if not corrected:
            if gamma < 1 and k > 1:
                _warn_delay_is_discounted(argument, gamma)
            return cls(k, of=of)
        if -(k - 1) * math.log(gamma) > math.log(MAX_SCALE):
            longest = 1 + int(math.log(MAX_SCALE) / -math.log(gamma))
            raise InvalidInput(
                "every",
                argument,
                f"a corrected k that multiplies rewards by at most {MAX_SCALE:g} "
                f"(gamma^-(k-1)): k <= {longest} at gamma {gamma:g}",
                f"Write {{every: {longest}, corrected: true}}, or use gamma 1.",
            )
        return cls(k, 1 / gamma, of)

    @classmethod
    def label(cls, argument: Any, options: Mapping[str, Any]) -> str:
        """``every 8``, ``every 8 corrected``, ``every cap of own``."""
        words = [cls.id, str(argument)]
        words += ["corrected"] if options.get("corrected") else []
        words += ["of own"] if options.get("of") == "own" else []
        return " ".join(words)

    @classmethod
    def factor(cls, argument: Any, options: Mapping[str, Any]) -> tuple[Any, ...]:
        """Its k; whose reward is delayed and whether discount is made up for set families apart."""
        words = [OWN] if options.get("of") == "own" else []
        words += [CORRECTED] if options.get("corrected") else []
        return "timing", reward_level(argument), ", ".join(words)

    @classmethod
    def window(cls, argument: Any, max_steps: int) -> int:
        """k, with ``cap`` resolved."""
        instead = "Write {every: cap} to pay at the end of the episode only."
        return reward_steps(cls.id, argument, max_steps, instead)

    @property
    def scale(self) -> float:
        """gamma^-(k-1) where corrected, else 1."""
        return self.growth ** (self.k - 1)

    @property
    def undelayed(self) -> RewardFunction:
        """The reward function that pays the same at once."""
        return Own() if self.of == "own" else Dense()

    @property
    def requires(self) -> tuple[str, ...]:  # type: ignore[override]  # the option decides
        """``progress``, or the world's own reward."""
        return ("own",) if self.of == "own" else ("progress",)

    def recall(self, facts: Facts, since: Mapping[int, Floats]) -> Floats | None:
        """Progress that is owed is observed; another reward, or one that grows, is not."""
        if self.k == 1:
            return np.zeros(facts.array.shape[:-1])
        return since[self.k] if self.of == "dense" and self.growth == 1 else None

    def step(self, step: Step) -> tuple[Floats, Floats]:
        """See RewardFunction.step; memory is what is owed."""
        if self.of == "own":
            earned = step.after["own"]
        else:
            earned = step.after["progress"] - step.before["progress"]
        owed = step.memory * self.growth + earned
        pays = (step.clock % self.k == 0) | step.ended
        return np.where(pays, owed, 0.0), np.where(pays, 0.0, owed)


@dataclass(frozen=True)
class Thinned(RewardFunction):
    """Pays each dense reward r with probability p, as r / p.

    Unbiased, so a risk-neutral optimum is unchanged; variance of a return (1/p - 1) sum r^2.
    Reward normalisation or clipping breaks that.

    Attributes:
        p: Probability of payment, in (0, 1].
    """

    uses_draw: ClassVar[bool] = True

    p: float

    @classmethod
    def factor(cls, argument: Any, options: Mapping[str, Any]) -> tuple[Any, ...]:
        """Number of rewards that go unpaid for each that is paid."""
        return "thinning", 1 / argument - 1

    @classmethod
    def build(cls, argument: Any, options: Mapping[str, Any], horizon: Horizon) -> RewardFunction:
        """See RewardFunction.build."""
        if not is_reward_number(argument) or not 0 < argument <= 1:
            raise InvalidInput("thinned", argument, "a probability above 0, at most 1")
        return cls(float(argument))

    @property
    def mean(self) -> RewardFunction:
        """Dense."""
        return Dense()

    @property
    def scale(self) -> float:
        """1 / p."""
        return 1 / self.p

    def step(self, step: Step) -> tuple[Floats, Floats]:
        """See RewardFunction.step."""
        change = step.after["progress"] - step.before["progress"]
        return np.where(step.draw < self.p, change / self.p, 0.0), step.memory


@dataclass(frozen=True)
class Terminal(RewardFunction):
    """Pays 1 at the first success, else 0; or, at the cap, 1 if there is success then.

    An objective of its own, without partial credit: not the sparse pole of ``every``. Paid at
    the cap, its date is fixed and gamma does not matter.

    Attributes:
        cap: Steps after which it is paid; 0 to pay at the first success.
    """

    options: ClassVar[tuple[str, ...]] = ("pay",)
    requires: ClassVar[tuple[str, ...]] = ("success",)
    memory_size: ClassVar[int] = 1

    cap: int = 0

    @classmethod
    def build(cls, argument: Any, options: Mapping[str, Any], horizon: Horizon) -> RewardFunction:
        """See RewardFunction.build."""
        if not cls._at_cap(argument, options):
            return cls()
        if not horizon.runs_on:
            raise InvalidInput(
                "terminal.pay",
                "cap",
                "success, in a world whose episode ends at success",
                "Write terminal; paying at the cap needs an episode that runs on after success.",
            )
        return cls(horizon.max_steps)

    @classmethod
    def label(cls, argument: Any, options: Mapping[str, Any]) -> str:
        """``terminal`` or ``terminal at cap``."""
        return "terminal at cap" if cls._at_cap(argument, options) else "terminal"

    @classmethod
    def factor(cls, argument: Any, options: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """Nothing but success is judged; paid at the cap it is another objective."""
        return None if cls._at_cap(argument, options) else ("coverage", 0)

    @classmethod
    def _at_cap(cls, argument: Any, options: Mapping[str, Any]) -> bool:
        refuse_reward_argument(cls.id, argument)
        pay = options.get("pay", "success")
        if pay not in ("success", "cap"):
            raise InvalidInput("terminal.pay", pay, "success or cap")
        return bool(pay == "cap")

    def recall(self, facts: Facts, since: Mapping[int, Floats]) -> Floats:
        """It was paid where there is success; one that was lost again counts as never paid."""
        paid = (facts["success"] > 0) & (self.cap == 0)
        return paid.astype(np.float64)

    def step(self, step: Step) -> tuple[Floats, Floats]:
        """See RewardFunction.step; memory is 1 once paid."""
        succeeded = step.after["success"] > 0
        if self.cap:
            return np.where(succeeded & (step.clock >= self.cap), 1.0, 0.0), step.memory
        return np.where(succeeded, 1.0 - step.memory, 0.0), np.where(succeeded, 1.0, step.memory)


@dataclass(frozen=True)
class Shaped(RewardFunction):
    """Terminal success plus gamma Phi(s') - Phi(s), with Phi = progress.

    Ng, Harada and Russell 1999: optimal policies are those of ``terminal``, whose discounted
    return is shifted by -Phi(s0). Grzes 2017: Phi is 0 where the task ends, which a cap does
    under ``time_limit: terminal`` and does not under ``bootstrap``.

    Attributes:
        gamma: Discount of the learner.
        keep_at_cap: Whether Phi stays what it is at a cap (``time_limit: bootstrap``).
    """

    requires: ClassVar[tuple[str, ...]] = ("progress", "success")
    memory_size: ClassVar[int] = 1

    gamma: float
    keep_at_cap: bool = False

    @classmethod
    def build(cls, argument: Any, options: Mapping[str, Any], horizon: Horizon) -> RewardFunction:
        """See RewardFunction.build."""
        refuse_reward_argument(cls.id, argument)
        return cls(horizon.gamma, horizon.time_limit == "bootstrap")

    def recall(self, facts: Facts, since: Mapping[int, Floats]) -> Floats:
        """See RewardFunction.recall."""
        return Terminal().recall(facts, since)

    def step(self, step: Step) -> tuple[Floats, Floats]:
        """See RewardFunction.step; memory is 1 once success was paid."""
        paid, memory = Terminal().step(step)
        gone = step.ended & ~step.cut if self.keep_at_cap else step.ended
        potential = np.where(gone, 0.0, step.after["progress"])
        return paid + self.gamma * potential - step.before["progress"], memory


def _warn_delay_is_discounted(argument: Any, gamma: float) -> None:
    warnings.warn(
        f"every {argument} at gamma {gamma:g} pays later and so pays less: reward density is "
        "confounded with discount, and the optimal policies may change. "
        f"Use gamma 1, or {{every: {argument}, corrected: true}}.",
        ConfoundWarning,
        stacklevel=4,
    )
