"""Reward arms: small pure objects from arrays of facts to arrays of rewards.

An arm knows no world and no learner. It pays for what happens between two moments, ``before``
and ``after`` one step, and carries one number of memory per copy. A study names it by data,
never by text to parse: ``dense``, ``{every: 8}``, ``{every: 8, corrected: true}``,
``{every: cap}``, ``{thinned: 0.25}``, ``shaped``, ``terminal``, ``{terminal: {pay: cap}}``,
``own``.
"""

from __future__ import annotations

import math
import numbers
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from powerseek.errors import InvalidInput
from powerseek.registry import register_reward, rewards
from powerseek.types import Bools, Floats, Ints

Spec = str | Mapping[str, Any]
"""An arm as a study writes it: its id, or ``{id: argument, option: value}``."""

TIME_LIMITS = ("terminal", "bootstrap")
MAX_SCALE = 100.0
"""Largest factor by which discount correction may blow up a reward."""


class ConfoundWarning(UserWarning):
    """Two settings together change more than the one thing that the study varies."""


class FactSource(Protocol):
    """What names the columns of a facts array: any World."""

    @property
    def fact_names(self) -> tuple[str, ...]:
        """The F flattened columns."""
        ...

    def columns(self, fact: str) -> slice:
        """Columns of one fact."""
        ...

    def role(self, role: str) -> list[tuple[int, float]]:
        """(column, weight) of every component with a role."""
        ...


class Facts:
    """An array of facts [..., F], read by name.

    Args:
        array: [..., F]; not copied, so later changes are seen.
        world: What names its columns.
    """

    __slots__ = ("_index", "array", "world")

    def __init__(self, array: Floats, world: FactSource) -> None:
        self.array, self.world = array, world
        self._index: dict[str, int | slice] = {}

    def __getitem__(self, name: str) -> Floats:
        """View of one fact: [...], or [..., k] for a shaped one; KeyError if there is none."""
        if name not in self._index:
            columns = self.world.columns(name)
            scalar = self.world.fact_names[columns.start] == name
            self._index[name] = columns.start if scalar else columns
        return self.array[..., self._index[name]]


@dataclass(frozen=True)
class Horizon:
    """What an arm may need to know about time.

    Attributes:
        gamma: Discount, in (0, 1].
        max_steps: The cap T, in steps.
        time_limit: ``terminal`` (the cap ends the task) or ``bootstrap`` (it only cuts it).
        runs_on: Whether an episode goes on after success.
    """

    gamma: float
    max_steps: int
    time_limit: str = "terminal"
    runs_on: bool = False


class Arm:
    """A reward arm; subclasses are frozen dataclasses that override `step`.

    Attributes:
        options: Option names a spec may give.
        requires: Facts that the arm reads.
        memory_size: 1 where `step` reads its memory, else 0 (the exact layer can drop it).
        uses_draw: Whether `step` reads its uniform draws.
    """

    id: ClassVar[str] = ""
    options: ClassVar[tuple[str, ...]] = ()
    requires: ClassVar[tuple[str, ...]] = ("progress",)
    memory_size: ClassVar[int] = 0
    uses_draw: ClassVar[bool] = False

    @classmethod
    def build(cls, argument: Any, options: Mapping[str, Any], horizon: Horizon) -> Arm:
        """The arm that a spec means; InvalidInput for an argument that is not allowed."""
        _no_argument(cls.id, argument)
        return cls()

    @classmethod
    def label(cls, argument: Any, options: Mapping[str, Any]) -> str:
        """Canonical text of a spec, for tables."""
        words = [cls.id]
        if argument is not None and argument is not True:
            words.append(f"{argument:g}" if isinstance(argument, float) else f"{argument}")
        return " ".join(words + [name for name, value in options.items() if value])

    @classmethod
    def window(cls, argument: Any, max_steps: int) -> int | None:
        """The k whose accumulator the learner must see, if the arm has one."""
        return None

    @property
    def mean(self) -> Arm:
        """The arm that pays this one's expectation given the transition."""
        return self

    @property
    def scale(self) -> float:
        """Largest factor by which one step's reward is multiplied before it is paid."""
        return 1.0

    def start(self, facts: Facts) -> Floats:
        """Memory [n] of copies that stand in their initial state."""
        return np.zeros(facts.array.shape[:-1])

    def step(
        self,
        memory: Floats,
        before: Facts,
        after: Facts,
        clock: Ints,
        ended: Bools,
        cut: Bools,
        draw: Floats,
    ) -> tuple[Floats, Floats]:
        """Pay one step of n copies, real or hypothetical; writes into nothing it is given.

        Args:
            memory: [n], from `start` or the step before.
            before: Facts [n, F] of the state stepped from.
            after: Facts [n, F] at the end of the step, flows of this step included.
            clock: [n] steps taken, this one included.
            ended: [n] the episode ended here, by the rules or by its cap.
            cut: [n] it was stopped by its cap alone.
            draw: [n] uniform in [0, 1).

        Returns:
            Rewards [n] and the new memory [n].
        """
        raise NotImplementedError


@register_reward("own")
@dataclass(frozen=True)
class Own(Arm):
    """Pays what the world itself pays: the fact ``own``. Reproduces published results."""

    requires: ClassVar[tuple[str, ...]] = ("own",)

    def step(
        self,
        memory: Floats,
        before: Facts,
        after: Facts,
        clock: Ints,
        ended: Bools,
        cut: Bools,
        draw: Floats,
    ) -> tuple[Floats, Floats]:
        """See Arm.step."""
        return after["own"].copy(), memory


@register_reward("dense")
@dataclass(frozen=True)
class Dense(Arm):
    """Pays the change in progress at every step: the reference of the timing arms."""

    def step(
        self,
        memory: Floats,
        before: Facts,
        after: Facts,
        clock: Ints,
        ended: Bools,
        cut: Bools,
        draw: Floats,
    ) -> tuple[Floats, Floats]:
        """See Arm.step."""
        return after["progress"] - before["progress"], memory


@register_reward("every")
@dataclass(frozen=True)
class Every(Arm):
    """Pays the sum of the last k dense rewards when k divides the clock, the rest at the end.

    Keeps the undiscounted return; keeps the optimal policies at gamma 1 only. Corrected, reward
    r_j is paid at t as r_j gamma^-(t-j): it keeps the discounted return, and the optimal
    policies, at the price of a scale of up to gamma^-(k-1).

    Attributes:
        k: Steps between payments, >= 1.
        growth: 1 / gamma where corrected, else 1: what waiting one step does to a reward.
    """

    options: ClassVar[tuple[str, ...]] = ("corrected",)
    memory_size: ClassVar[int] = 1

    k: int
    growth: float = 1.0

    @classmethod
    def build(cls, argument: Any, options: Mapping[str, Any], horizon: Horizon) -> Arm:
        """See Arm.build."""
        k = cls.window(argument, horizon.max_steps)
        corrected = options.get("corrected", False)
        if not isinstance(corrected, bool):
            raise InvalidInput("every.corrected", corrected, "true or false")
        gamma = horizon.gamma
        if not corrected:
            if gamma < 1 and k > 1:
                _warn_delay_is_discounted(argument, gamma)
            return cls(k)
        if -(k - 1) * math.log(gamma) > math.log(MAX_SCALE):
            longest = 1 + int(math.log(MAX_SCALE) / -math.log(gamma))
            raise InvalidInput(
                "every",
                argument,
                f"a corrected k that multiplies rewards by at most {MAX_SCALE:g} "
                f"(gamma^-(k-1)): k <= {longest} at gamma {gamma:g}",
                f"Write {{every: {longest}, corrected: true}}, or use gamma 1.",
            )
        return cls(k, 1 / gamma)

    @classmethod
    def window(cls, argument: Any, max_steps: int) -> int:
        """k, with ``cap`` resolved."""
        if isinstance(argument, str) and argument == "cap":
            return max_steps
        whole = isinstance(argument, numbers.Integral) and not isinstance(argument, bool)
        if not whole or not 1 <= argument <= max_steps:
            raise InvalidInput(
                "every",
                argument,
                f"an integer from 1 to the cap ({max_steps} steps), or cap",
                "Write {every: cap} to pay at the end of the episode only.",
            )
        return int(argument)

    @property
    def scale(self) -> float:
        """gamma^-(k-1) where corrected, else 1."""
        return self.growth ** (self.k - 1)

    def step(
        self,
        memory: Floats,
        before: Facts,
        after: Facts,
        clock: Ints,
        ended: Bools,
        cut: Bools,
        draw: Floats,
    ) -> tuple[Floats, Floats]:
        """See Arm.step; memory is what is owed."""
        owed = memory * self.growth + (after["progress"] - before["progress"])
        pays = (clock % self.k == 0) | ended
        return np.where(pays, owed, 0.0), np.where(pays, 0.0, owed)


@register_reward("thinned")
@dataclass(frozen=True)
class Thinned(Arm):
    """Pays each dense reward r with probability p, as r / p.

    Unbiased, so a risk-neutral optimum is unchanged; variance of a return (1/p - 1) sum r^2.
    Reward normalisation or clipping breaks that.

    Attributes:
        p: Probability of payment, in (0, 1].
    """

    uses_draw: ClassVar[bool] = True

    p: float

    @classmethod
    def build(cls, argument: Any, options: Mapping[str, Any], horizon: Horizon) -> Arm:
        """See Arm.build."""
        if not _is_number(argument) or not 0 < argument <= 1:
            raise InvalidInput("thinned", argument, "a probability above 0, at most 1")
        return cls(float(argument))

    @property
    def mean(self) -> Arm:
        """Dense."""
        return Dense()

    @property
    def scale(self) -> float:
        """1 / p."""
        return 1 / self.p

    def step(
        self,
        memory: Floats,
        before: Facts,
        after: Facts,
        clock: Ints,
        ended: Bools,
        cut: Bools,
        draw: Floats,
    ) -> tuple[Floats, Floats]:
        """See Arm.step."""
        change = after["progress"] - before["progress"]
        return np.where(draw < self.p, change / self.p, 0.0), memory


@register_reward("terminal")
@dataclass(frozen=True)
class Terminal(Arm):
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
    def build(cls, argument: Any, options: Mapping[str, Any], horizon: Horizon) -> Arm:
        """See Arm.build."""
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
    def _at_cap(cls, argument: Any, options: Mapping[str, Any]) -> bool:
        _no_argument(cls.id, argument)
        pay = options.get("pay", "success")
        if pay not in ("success", "cap"):
            raise InvalidInput("terminal.pay", pay, "success or cap")
        return bool(pay == "cap")

    def step(
        self,
        memory: Floats,
        before: Facts,
        after: Facts,
        clock: Ints,
        ended: Bools,
        cut: Bools,
        draw: Floats,
    ) -> tuple[Floats, Floats]:
        """See Arm.step; memory is 1 once paid."""
        succeeded = after["success"] > 0
        if self.cap:
            return np.where(succeeded & (clock >= self.cap), 1.0, 0.0), memory
        return np.where(succeeded, 1.0 - memory, 0.0), np.where(succeeded, 1.0, memory)


@register_reward("shaped")
@dataclass(frozen=True)
class Shaped(Arm):
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
    def build(cls, argument: Any, options: Mapping[str, Any], horizon: Horizon) -> Arm:
        """See Arm.build."""
        _no_argument(cls.id, argument)
        return cls(horizon.gamma, horizon.time_limit == "bootstrap")

    def step(
        self,
        memory: Floats,
        before: Facts,
        after: Facts,
        clock: Ints,
        ended: Bools,
        cut: Bools,
        draw: Floats,
    ) -> tuple[Floats, Floats]:
        """See Arm.step; memory is 1 once success was paid."""
        paid, memory = Terminal().step(memory, before, after, clock, ended, cut, draw)
        gone = ended & ~cut if self.keep_at_cap else ended
        potential = np.where(gone, 0.0, after["progress"])
        return paid + self.gamma * potential - before["progress"], memory


@dataclass(frozen=True)
class PowerWeighted(Arm):
    """Another arm plus w times the change in weighted holdings: the positive control (H4a).

    Attributes:
        arm: What is paid besides; its memory is this arm's.
        weight: w >= 0.
        holdings_scale: Attainable maximum of the holdings, so that w is what all of it pays.
    """

    arm: Arm
    weight: float
    holdings_scale: float = 1.0

    @property
    def memory_size(self) -> int:  # type: ignore[override]  # the wrapped arm decides
        """The wrapped arm's."""
        return self.arm.memory_size

    @property
    def uses_draw(self) -> bool:  # type: ignore[override]  # the wrapped arm decides
        """The wrapped arm's."""
        return self.arm.uses_draw

    @property
    def requires(self) -> tuple[str, ...]:  # type: ignore[override]  # the wrapped arm decides
        """The wrapped arm's (holdings are found by role)."""
        return self.arm.requires

    @property
    def mean(self) -> Arm:
        """The same weight on the wrapped arm's mean."""
        return PowerWeighted(self.arm.mean, self.weight, self.holdings_scale)

    @property
    def scale(self) -> float:
        """The wrapped arm's."""
        return self.arm.scale

    def start(self, facts: Facts) -> Floats:
        """See Arm.start."""
        return self.arm.start(facts)

    def step(
        self,
        memory: Floats,
        before: Facts,
        after: Facts,
        clock: Ints,
        ended: Bools,
        cut: Bools,
        draw: Floats,
    ) -> tuple[Floats, Floats]:
        """See Arm.step."""
        reward, memory = self.arm.step(memory, before, after, clock, ended, cut, draw)
        factor = self.weight / self.holdings_scale
        for column, weight in after.world.role("holdings"):
            change = after.array[..., column] - before.array[..., column]
            reward = reward + factor * weight * change
        return reward, memory


def make_arm(
    spec: Spec,
    *,
    max_steps: int,
    gamma: float = 1.0,
    time_limit: str = "terminal",
    power_weight: float = 0.0,
    holdings_scale: float = 1.0,
    runs_on: bool = False,
) -> Arm:
    """The arm that `spec` means at these settings.

    Args:
        spec: As in a study.
        max_steps: The cap T, in steps.
        gamma: Discount of the learner, in (0, 1].
        time_limit: ``terminal`` or ``bootstrap``.
        power_weight: w >= 0, paid for all the holdings attainable.
        holdings_scale: Attainable maximum of the holdings, > 0.
        runs_on: Whether an episode goes on after success.

    Raises:
        InvalidInput: an unknown arm, or a setting that is not allowed.

    Warns:
        ConfoundWarning: gamma < 1 with ``every`` uncorrected.
    """
    id, argument, options = read_spec(spec)
    check_horizon(gamma, time_limit)
    if not _is_number(power_weight) or not 0 <= power_weight < math.inf:
        raise InvalidInput("power_weight", power_weight, "a number >= 0")
    if not _is_number(holdings_scale) or not 0 < holdings_scale < math.inf:
        raise InvalidInput("holdings_scale", holdings_scale, "a number > 0")
    horizon = Horizon(float(gamma), max_steps, time_limit, runs_on)
    arm: Arm = rewards.get(id).build(argument, options, horizon)
    if power_weight > 0:
        return PowerWeighted(arm, float(power_weight), float(holdings_scale))
    return arm


def check_horizon(gamma: float, time_limit: str) -> None:
    """Refuse a discount or a time limit that is not allowed, or the two together."""
    if not _is_number(gamma) or not 0 < gamma <= 1:
        raise InvalidInput("gamma", gamma, "a number above 0, at most 1")
    if time_limit not in TIME_LIMITS:
        raise InvalidInput("time_limit", time_limit, " or ".join(TIME_LIMITS))
    if time_limit == "bootstrap" and gamma == 1:
        raise InvalidInput(
            "time_limit",
            time_limit,
            "terminal at gamma 1 (bootstrapping through the cap diverges there)",
            "Write time_limit: terminal, or a gamma below 1.",
        )


def read_spec(spec: Spec) -> tuple[str, Any, dict[str, Any]]:
    """Id, argument (None if there is none) and options, in the arm's order, of a spec.

    Raises:
        InvalidInput: an unknown arm or option.
    """
    if isinstance(spec, str):
        rewards.get(spec)
        return spec, None, {}
    if not isinstance(spec, Mapping) or not spec:
        raise InvalidInput("reward", spec, "an arm's name, or {name: argument, option: value}")
    known = [name for name in spec if name in rewards.ids()]
    id = known[0] if len(known) == 1 else next(iter(spec))
    entry = rewards.get(id)
    given = {name: value for name, value in spec.items() if name != id}
    argument = spec[id]
    if isinstance(argument, Mapping):
        given, argument = {**given, **argument}, None
    for name in given:
        if name not in entry.options:
            raise InvalidInput(f"{id} option", name, ", ".join(entry.options) or "none")
    return id, argument, {name: given[name] for name in entry.options if name in given}


def arm_name(spec: Spec) -> str:
    """Canonical text of a spec for tables and columns: ``every 8 corrected``."""
    id, argument, options = read_spec(spec)
    return str(rewards.get(id).label(argument, options))


def windows_of(specs: Iterable[Spec], max_steps: int) -> tuple[int, ...]:
    """Sorted distinct k of a study's arms, ``cap`` resolved: the accumulators to observe."""
    found = set()
    for spec in specs:
        id, argument, _ = read_spec(spec)
        found.add(rewards.get(id).window(argument, max_steps))
    return tuple(sorted(found - {None}))


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _no_argument(id: str, argument: Any) -> None:
    if argument is not None and argument is not True:
        raise InvalidInput(id, argument, "no argument", f"Write {id}.")


def _warn_delay_is_discounted(argument: Any, gamma: float) -> None:
    warnings.warn(
        f"every {argument} at gamma {gamma:g} pays later and so pays less: reward density is "
        "confounded with discount, and the optimal policies may change. "
        f"Use gamma 1, or {{every: {argument}, corrected: true}}.",
        ConfoundWarning,
        stacklevel=4,
    )
