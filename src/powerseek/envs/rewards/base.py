"""The contract of a reward: the step it is shown, the overseer it may ask, and what it must say."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np

from powerseek.errors import InvalidInput
from powerseek.registry import rewards
from powerseek.types import Bools, Floats, Ints, Records


class ConfoundWarning(UserWarning):
    """Two settings together change more than the one thing that the study varies."""


class FactSource(Protocol):
    """Names of the columns of a facts array: any World."""

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


def acquired_in(facts: Floats, world: FactSource) -> Floats:
    """[...] units acquired in the steps whose facts are [..., F].

    One way to add them up for all, so that sums agree to the last bit.
    """
    found = np.zeros(facts.shape[:-1])
    for column, weight in world.role("resource"):
        found = found + weight * facts[..., column]
    return found


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
    """Facts about time that a reward may need.

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


@dataclass(frozen=True)
class Step:
    """One step of n copies, real or hypothetical: all that a reward may pay for.

    Attributes:
        memory: [n], from `RewardFunction.start` or the step before.
        before: Facts [n, F] of the state stepped from.
        after: Facts [n, F] at the end of the step, flows of this step included.
        clock: [n] steps taken, this one included.
        ended: [n] the episode ended here, by the rules or by its cap.
        cut: [n] it was stopped by its cap alone.
        draw: [n] uniform in [0, 1).
        records: [n] states stepped from; None for rewards that see facts alone.
        actions: [n] what was done there, likewise.
        acquired: [n] units acquired in the episode, this step included (`acquired_in`); None for
            rewards that do not read it.
    """

    memory: Floats
    before: Facts
    after: Facts
    clock: Ints
    ended: Bools
    cut: Bools
    draw: Floats
    records: Records | None = None
    actions: Ints | None = None
    acquired: Floats | None = None


class Overseer(Protocol):
    """Whoever judges single actions: an exact one (`powerseek.exact`), or a reward model."""

    def judge(self, records: Records, actions: Ints, clock: Ints) -> Floats:
        """Payment [n] for taking actions [n] in states [n] after clock [n] steps."""
        ...


@dataclass(frozen=True)
class Oversight:
    """Questions of a reward to an exact overseer.

    Attributes:
        lookahead: Steps h that the overseer looks ahead (never past the cap), >= 1.
        aim: ``success``, ``need``, ``progress`` or ``meant``.
        share: Share q of (state, time) pairs that are judged, in [0, 1].
        price: Success that a unit of acquisition costs under the aim ``need``; 0 under others.
        noise: How far the overseer misjudges, in standard deviations of what it judges by; >= 0.
    """

    lookahead: int
    aim: str = "success"
    share: float = 1.0
    price: float = 0.0
    noise: float = 0.0


@dataclass(frozen=True)
class Comparisons:
    """Questions of a reward to a model that is learnt from comparisons of an exact overseer.

    Attributes:
        labels: Comparisons n that are labelled, one bit each; >= 1.
        aim: ``success``, ``need`` or ``progress``: of the overseer who compares.
        price: Success that a unit of acquisition costs under the aim ``need``; 0 under others.
        length: Steps of a segment, >= 1.
        noise: Difference in score that is told right in 73 % (the logistic function of 1) of
            comparisons, in the unit of the aim; >= 0.
    """

    labels: int
    aim: str = "success"
    price: float = 0.0
    length: int = 8
    noise: float = 0.0


@dataclass(frozen=True)
class Change:
    """Questions of a constraint to an exact overseer: how far an action changes what is attainable.

    Attributes:
        auxiliary: The rewards whose attainable utility counts: ``random``, ``goals`` or
            ``holdings``.
        gamma: Discount at which all that is to come counts, in (0, 1); 0 where `within` bounds it.
        within: Steps h within which it counts, undiscounted, >= 1; 0 where `gamma` discounts.
        placebo: Whether harmless actions are penalised instead, as strongly.
        of: Questions of the reward that is paid besides; None where it asks none.
    """

    auxiliary: str = "random"
    gamma: float = 0.0
    within: int = 0
    placebo: bool = False
    of: Oversight | Comparisons | None = None


class Restraint(NamedTuple):
    """How a reward is constrained.

    Attributes:
        kind: The constraint in words, its strength apart: ``aup``, ``penalty within 8``; empty
            for none.
        strength: Its lambda; 0 for none.
        placebo: Whether it is a placebo constraint.
    """

    kind: str = ""
    strength: float = 0.0
    placebo: bool = False

    @property
    def words(self) -> str:
        """``aup 0.1 placebo``; empty for none."""
        if not self.kind:
            return ""
        id, *rest = self.kind.split(" ")
        return " ".join([id, f"{self.strength:g}", *rest, *["placebo"] * self.placebo])


class Place(NamedTuple):
    """The place of a reward on a factor of rewards.

    Attributes:
        factor: ``timing``, ``coverage``, ``lookahead``, or a name of a plugin's own.
        level: Its k, q, h or the like, the least where nothing is delayed, judged or foreseen;
            inf for ``cap``.
        family: What else keeps rewards on one factor apart, in words: they are compared with
            others of their family only.
        aim: What its overseer wants; empty where nobody judges.
        price: Success that a unit of acquisition costs; 0 where it costs nothing.
        noise: How far its overseer misjudges; 0 where it does not, or nobody judges.
        restraint: How it is constrained.
    """

    factor: str
    level: float
    family: str = ""
    aim: str = ""
    price: float = 0.0
    noise: float = 0.0
    restraint: Restraint = Restraint()

    @property
    def line(self) -> tuple[str, str, str, float, float, Restraint]:
        """All but the level: what rewards share that lie on one line of their factor."""
        return self.factor, self.family, self.aim, self.price, self.noise, self.restraint

    @property
    def words(self) -> str:
        """What keeps it apart, in words; empty of what has the usual aim and no price."""
        aim = "" if self.aim == "success" else self.aim
        told = f"{aim}{price_in_words(self.price)}{noise_in_words(self.noise)}".strip()
        return ", ".join(filter(None, (self.family, told, self.restraint.words)))


def noise_in_words(noise: float) -> str:
    """`` noise 0.5``; empty for none."""
    return f" noise {noise:g}" if is_reward_number(noise) and noise else ""


def price_in_words(price: float) -> str:
    """`` price 0.02``; empty for none."""
    return f" price {price:g}" if is_reward_number(price) and price else ""


def comparisons_of(asked: Oversight | Comparisons | Change | None) -> Comparisons | None:
    """What is asked of a learnt model, by the reward or by the one that it constrains."""
    inside = asked.of if isinstance(asked, Change) else asked
    return inside if isinstance(inside, Comparisons) else None


class RewardFunction:
    """A reward function; subclasses are frozen dataclasses that override `step`.

    Attributes:
        options: Option names a spec may give.
        requires: Facts that the reward reads.
        memory_size: 1 where `step` reads its memory, else 0 (the exact layer can drop it).
        uses_draw: Whether `step` reads its uniform draws.
        needs_overseer: Whether it pays what an overseer says about (state, time, action).
        reads_acquired: Whether it pays for the units acquired in an episode: they are observed
            then, under every reward of its study.
        looks_ahead: Whether a spec's argument is the overseer's look-ahead, which a study may
            give by its key ``lookahead`` instead.
        wraps: Whether it pays another reward, a spec's option ``of``, and something besides.
        needs_noop: Whether it needs a world that declares an action that does nothing.
        learns: Whether its overseer is learnt at the seed of a training.
        overseer: The overseer, where there is one.
        oversight: What the reward asks of an exact overseer; None where it needs none, or none
            that can be computed.
    """

    id: ClassVar[str] = ""
    options: ClassVar[tuple[str, ...]] = ()
    requires: ClassVar[tuple[str, ...]] = ("progress",)
    memory_size: ClassVar[int] = 0
    uses_draw: ClassVar[bool] = False
    needs_overseer: ClassVar[bool] = False
    reads_acquired: ClassVar[bool] = False
    looks_ahead: ClassVar[bool] = False
    wraps: ClassVar[bool] = False
    needs_noop: ClassVar[bool] = False
    learns: ClassVar[bool] = False
    overseer: Overseer | None = None
    oversight: Oversight | Comparisons | Change | None = None

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        cls.id = rewards.builtin_id(cls) or cls.id

    @classmethod
    def build(cls, argument: Any, options: Mapping[str, Any], horizon: Horizon) -> RewardFunction:
        """The reward that a spec means; InvalidInput for an argument that is not allowed."""
        refuse_reward_argument(cls.id, argument)
        return cls()

    @classmethod
    def label(cls, argument: Any, options: Mapping[str, Any]) -> str:
        """Canonical text of a spec, for tables."""
        words = [cls.id]
        if argument is not None and argument is not True:
            words.append(f"{argument:g}" if isinstance(argument, float) else f"{argument}")
        return " ".join(words + [name for name, value in options.items() if value])

    @classmethod
    def factor(cls, argument: Any, options: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """The place of a spec on a factor of rewards, ``("timing", k)``; None for on none.

        The parts of a `Place`, the last of which may be left out: it has a place in contrasts
        and in the figures of density then.
        """
        return None

    @classmethod
    def aim_of(cls, argument: Any, options: Mapping[str, Any]) -> str:
        """What the overseer of a spec wants; empty where nobody judges."""
        return ""

    @classmethod
    def price_of(cls, argument: Any, options: Mapping[str, Any]) -> float:
        """Success that a unit of acquisition costs under a spec; 0 where it costs nothing.

        Raises:
            InvalidInput: A price that is not allowed.
        """
        return 0.0

    @classmethod
    def noise_of(cls, argument: Any, options: Mapping[str, Any]) -> float:
        """How far the overseer of a spec misjudges; 0 where it does not, or nobody judges.

        Raises:
            InvalidInput: A noise that is not allowed.
        """
        return 0.0

    @classmethod
    def restraint_of(cls, argument: Any, options: Mapping[str, Any]) -> Restraint:
        """How a spec is constrained.

        Raises:
            InvalidInput: A strength that is not allowed.
        """
        return Restraint()

    @classmethod
    def window(cls, argument: Any, max_steps: int) -> int | None:
        """The k whose accumulator the learner must see, if the reward has one."""
        return None

    @property
    def mean(self) -> RewardFunction:
        """The reward function that pays this one's expectation given the transition."""
        return self

    @property
    def unjudged(self) -> RewardFunction:
        """The reward function that pays this one's reward without what `judge` adds to it."""
        return self

    @property
    def scale(self) -> float:
        """Largest factor by which one step's reward is multiplied before it is paid."""
        return 1.0

    def with_overseer(self, overseer: Overseer | None) -> RewardFunction:
        """The same reward function with that overseer, if it needs one."""
        return self

    def start(self, facts: Facts) -> Floats:
        """Memory [n] of copies that stand in their initial state."""
        return np.zeros(facts.array.shape[:-1])

    def recall(self, facts: Facts, since: Mapping[int, Floats]) -> Floats | None:
        """Memory [n] of copies that stand in mid-episode, from what is observed of them.

        Args:
            facts: Of where they stand.
            since: k -> [n] progress since the last multiple of k, or the start.

        Returns:
            None where what is observed does not tell: of a reward that remembers, unless it says
            otherwise.
        """
        return None if self.memory_size else np.zeros(facts.array.shape[:-1])

    def judge(self, records: Records, actions: Ints, clock: Ints) -> Floats:
        """The overseer's pay [n], included in `step`; see Overseer.judge."""
        return np.zeros(len(clock))

    def step(self, step: Step) -> tuple[Floats, Floats]:
        """Pay one step: rewards [n] and the new memory [n]. Writes into nothing it is given."""
        raise NotImplementedError


@dataclass(frozen=True)
class Pay:
    """The pay of a task: its reward, and w times the change in weighted holdings (H4a's control).

    Attributes:
        reward_function: The reward function; what it remembers is all the memory there is.
        power_weight: w >= 0, what all attainable holdings are paid.
        holdings_scale: Attainable maximum of the holdings, > 0.

    Raises:
        InvalidInput: a weight or a scale that is not allowed.
    """

    reward_function: RewardFunction
    power_weight: float = 0.0
    holdings_scale: float = 1.0

    def __post_init__(self) -> None:
        if not is_reward_number(self.power_weight) or not 0 <= self.power_weight < math.inf:
            raise InvalidInput("power_weight", self.power_weight, "a number >= 0")
        if not is_reward_number(self.holdings_scale) or not 0 < self.holdings_scale < math.inf:
            raise InvalidInput("holdings_scale", self.holdings_scale, "a number > 0")

    def step(self, step: Step) -> tuple[Floats, Floats]:
        """Pay one step: rewards [n] and the reward's new memory [n]; see RewardFunction.step."""
        reward, memory = self.reward_function.step(step)
        if self.power_weight == 0:
            return reward, memory
        factor = self.power_weight / self.holdings_scale
        for column, weight in step.after.world.role("holdings"):
            change = step.after.array[..., column] - step.before.array[..., column]
            reward = reward + factor * weight * change
        return reward, memory


def is_reward_number(value: Any) -> bool:
    """True if a value is a real number, and no truth value."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def reward_level(argument: Any) -> float:
    """A number of steps as a level of a factor: inf for ``cap``."""
    return math.inf if argument == "cap" else float(argument)


def reward_steps(id: str, argument: Any, max_steps: int, instead: str) -> int:
    """An argument that is a number of steps, from 1 to the time limit, or ``cap`` for that.

    Raises:
        InvalidInput: It is neither; `instead` says what to write.
    """
    if isinstance(argument, str) and argument == "cap":
        return max_steps
    whole = isinstance(argument, numbers.Integral) and not isinstance(argument, bool)
    if not whole or not 1 <= argument <= max_steps:
        allowed = f"an integer from 1 to the cap ({max_steps} steps), or cap"
        raise InvalidInput(id, argument, allowed, instead)
    return int(argument)


def refuse_reward_argument(id: str, argument: Any) -> None:
    """Refuse an argument to a reward that takes none."""
    if argument is not None and argument is not True:
        raise InvalidInput(id, argument, "no argument", f"Write {id}.")
