"""Constraints: another reward, less a penalty for what an action changes about what is attainable.

How much that is, an injected overseer says; the exact one is `powerseek.exact.penalty`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from powerseek.envs.rewards.base import (
    Change,
    Horizon,
    Overseer,
    Restraint,
    RewardFunction,
    is_reward_number,
    reward_steps,
)
from powerseek.envs.rewards.oversight import Judged, refuse_endless
from powerseek.envs.rewards.spec import Spec, read_spec, reward_chain, reward_name
from powerseek.envs.rewards.wrapper import Wrapper
from powerseek.errors import InvalidInput
from powerseek.types import Floats, Ints, Records

AUXILIARY = ("random", "goals", "holdings")
"""Rewards whose attainable utility a constraint preserves: drawn at random on what the world's
goals can be about (the default), the world's own goals, or what is held."""

GAMMA = 0.996
"""Discount of the auxiliary values where a spec gives none, that of the paper's experiments: being
a step away from something then hardly counts, losing it for good does."""


@dataclass(frozen=True)
class Constrained(Judged, Wrapper):
    """Base of rewards that pay another one, and at every step -strength x an overseer's penalty.

    The no-op costs nothing. With ``placebo: true`` the penalties lie on harmless actions instead,
    as strongly: what any penalty of such strength does, whatever it is on
    (`powerseek.exact.penalty`). Strength 0 is the other reward itself.

    CAVEAT: It penalises what the auxiliary rewards see. An end of the episode is absorbing: it
    takes away all they could still have had, so finishing the task is penalised like a breakage.

    Attributes:
        strength: lambda, > 0: what a penalty of 1 costs.
        of: The other reward.
        auxiliary: One of `AUXILIARY`.
        placebo: Whether harmless actions are penalised instead.
    """

    needs_noop: ClassVar[bool] = True
    usual: ClassVar[str] = "0.1"

    strength: float
    of: RewardFunction
    auxiliary: str = "random"
    placebo: bool = False

    @classmethod
    def build(cls, argument: Any, options: Mapping[str, Any], horizon: Horizon) -> RewardFunction:
        """See RewardFunction.build; the other reward itself at strength 0."""
        strength = cls.restraint_of(argument, options).strength
        of = cls.build_inner(argument, options, horizon)
        own = cls._terms(argument, options, horizon)
        auxiliary, placebo = _auxiliary(cls.id, options), _placebo(cls.id, options)
        return cls(strength, of, auxiliary, placebo, **own) if strength else of

    @classmethod
    def _terms(cls, argument: Any, options: Mapping[str, Any], horizon: Horizon) -> dict[str, Any]:
        """Fields of its own, by name."""
        raise NotImplementedError

    @classmethod
    def _words(cls, options: Mapping[str, Any]) -> str:
        """What sets its kind of constraint apart; empty where all is as usual."""
        raise NotImplementedError

    @classmethod
    def inner(cls, argument: Any, options: Mapping[str, Any]) -> Spec:
        """See Wrapper.inner.

        Raises:
            InvalidInput: There is none; or it is constrained already.
        """
        spec = super().inner(argument, options)
        within = [one for one in map(_id, reward_chain(spec)) if one in ("aup", "penalty")]
        if within:
            allowed = f"a reward without a constraint: it has {within[0]} already"
            raise InvalidInput(f"{cls.id}.of", spec, allowed, "Write one of the two.")
        return spec

    @classmethod
    def label(cls, argument: Any, options: Mapping[str, Any]) -> str:
        """``terminal aup 0.1``, ``terminal aup 0.1 placebo``, ``terminal penalty 0.1 within 8``."""
        found = cls.restraint_of(argument, options)
        words = found.words or f"{cls.id} 0"
        return f"{reward_name(cls.inner(argument, options))} {words}"

    @classmethod
    def restraint_of(cls, argument: Any, options: Mapping[str, Any]) -> Restraint:
        """See RewardFunction.restraint_of; none at strength 0, whatever the options."""
        if not is_reward_number(argument) or not 0 <= argument < math.inf:
            allowed = "a number >= 0: what a penalty of 1 costs"
            raise InvalidInput(cls.id, argument, allowed, f"Write {cls._example()}.")
        if not argument:
            return Restraint()
        auxiliary = _auxiliary(cls.id, options)
        apart = "" if auxiliary == AUXILIARY[0] else auxiliary
        kind = " ".join(filter(None, (cls.id, cls._words(options), apart)))
        return Restraint(kind, float(argument), _placebo(cls.id, options))

    @classmethod
    def _example(cls) -> str:
        return f"{{{cls.id}: {cls.usual}, of: terminal}}"

    @property
    def change(self) -> Change:
        """What it asks about single actions."""
        raise NotImplementedError

    @property
    def oversight(self) -> Change:  # type: ignore[override]  # computed
        """See RewardFunction.oversight."""
        inside = self.of.oversight
        return replace(self.change, of=None if isinstance(inside, Change) else inside)

    @property
    def reads_acquired(self) -> bool:  # type: ignore[override]  # as the other reward
        """See RewardFunction."""
        return self.of.reads_acquired

    @property
    def unjudged(self) -> RewardFunction:
        """What the other reward pays without an overseer."""
        return self.of.unjudged

    def with_overseer(self, overseer: Overseer | None) -> RewardFunction:
        """See RewardFunction.with_overseer.

        One whose other reward needs an overseer too finds that one in its attribute ``of``.
        """
        of = self.of.with_overseer(getattr(overseer, "of", None))
        return replace(self, overseer=overseer, of=of)

    def judge(self, records: Records, actions: Ints, clock: Ints) -> Floats:
        """See RewardFunction.judge: what the other reward's overseer pays, less the penalty."""
        paid = self.of.judge(records, actions, clock)
        return paid - self.strength * super().judge(records, actions, clock)


@dataclass(frozen=True)
class Aup(Constrained):
    """Attainable utility preservation: another reward, less strength x the action's penalty.

    The penalty is sum_i |Q_i(s, a) - Q_i(s, noop)| / sum_i Q_i(s, noop), where Q_i is the optimal
    value of auxiliary reward i (Turner, Hadfield-Menell and Tadepalli 2020, arXiv:1902.09725).

    Attributes:
        gamma: Discount of the auxiliary values, in (0, 1).
    """

    options: ClassVar[tuple[str, ...]] = ("of", "placebo", "auxiliary", "gamma")

    gamma: float = GAMMA

    @classmethod
    def _terms(cls, argument: Any, options: Mapping[str, Any], horizon: Horizon) -> dict[str, Any]:
        return {"gamma": cls._gamma(options)}

    @classmethod
    def _words(cls, options: Mapping[str, Any]) -> str:
        gamma = cls._gamma(options)
        return "" if gamma == GAMMA else f"gamma {gamma:g}"

    @classmethod
    def _gamma(cls, options: Mapping[str, Any]) -> float:
        gamma = options.get("gamma", GAMMA)
        if not is_reward_number(gamma) or not 0 < gamma < 1:
            allowed = "a number above 0 and below 1: discount of the auxiliary values"
            hint = f"Leave it out, for {GAMMA:g}, or write penalty and horizon."
            raise InvalidInput("aup.gamma", gamma, allowed, hint)
        return float(gamma)

    @property
    def change(self) -> Change:
        """See Constrained.change."""
        return Change(self.auxiliary, gamma=self.gamma, placebo=self.placebo)


@dataclass(frozen=True)
class Penalty(Constrained):
    """Less strength x the change, by the action, in what can be attained within h steps.

    As `Aup`, with Q_i the most of auxiliary reward i that can be had in the next h states, of the
    action and the best h - 1 after it, undiscounted; h is never past the time limit.

    Attributes:
        within: Steps h, 1 .. T.
    """

    options: ClassVar[tuple[str, ...]] = ("horizon", "of", "placebo", "auxiliary")

    within: int = 1

    @classmethod
    def _terms(cls, argument: Any, options: Mapping[str, Any], horizon: Horizon) -> dict[str, Any]:
        refuse_endless(cls.id, horizon)
        given = options.get("horizon")
        instead = f"Write {cls._example()}."
        return {"within": reward_steps("penalty.horizon", given, horizon.max_steps, instead)}

    @classmethod
    def _words(cls, options: Mapping[str, Any]) -> str:
        return f"within {options.get('horizon')}"

    @classmethod
    def _example(cls) -> str:
        return f"{{{cls.id}: {cls.usual}, horizon: 8, of: terminal}}"

    @property
    def change(self) -> Change:
        """See Constrained.change."""
        return Change(self.auxiliary, within=self.within, placebo=self.placebo)


def _id(spec: Spec) -> str:
    return read_spec(spec)[0]


def _auxiliary(id: str, options: Mapping[str, Any]) -> str:
    """The auxiliary rewards that options name; InvalidInput for none of `AUXILIARY`."""
    given = options.get("auxiliary", AUXILIARY[0])
    if not isinstance(given, str) or given not in AUXILIARY:
        raise InvalidInput(f"{id}.auxiliary", given, ", ".join(AUXILIARY))
    return given


def _placebo(id: str, options: Mapping[str, Any]) -> bool:
    given = options.get("placebo", False)
    if not isinstance(given, bool):
        raise InvalidInput(f"{id}.placebo", given, "true or false")
    return given
