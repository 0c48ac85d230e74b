"""Illegal choices of policies: how probable they are, and what becomes of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from powerseek.agents.rollout import rollout
from powerseek.envs.task import Task
from powerseek.errors import InvalidInput
from powerseek.types import Floats, Floats32, Policy, RecurrentPolicy, Situation

WASTE, RENORMALISE = "waste", "renormalise"
ILLEGAL = {
    WASTE: "an illegal action wastes a step, as in the environment",
    RENORMALISE: "illegal actions are left out and the others brought to a sum of 1 (where none "
    "is left, legal ones are drawn evenly)",
}
"""What becomes of the probability that a policy gives to illegal actions."""


def acting(policy: Policy, illegal: str | None = None) -> Policy:
    """The policy as it acts: `illegal` says what its illegal choices become, by default its own.

    Raises:
        InvalidInput: Not one of `ILLEGAL`.
    """
    chosen = getattr(policy, "illegal", WASTE) if illegal is None else illegal
    if chosen not in ILLEGAL:
        raise InvalidInput("illegal", chosen, " or ".join(ILLEGAL))
    return _through(policy, over_legal) if chosen == RENORMALISE else policy


Change: TypeAlias = Callable[[Situation, Floats], Floats]
"""What becomes of the probabilities [n, A] that a policy gives in a situation."""


def _through(policy: Policy, change: Change) -> Policy:
    """A policy with what becomes of its probabilities; it remembers if the policy does."""
    if isinstance(policy, RecurrentPolicy):
        return _RecurrentThrough(policy, change)
    return _Through(policy, change)


class _Through:
    """A policy, and what becomes of its probabilities."""

    def __init__(self, policy: Policy, change: Change) -> None:
        self.policy, self.change = policy, change
        self.inexact = getattr(policy, "inexact", "")

    def probabilities(self, situation: Situation) -> Floats:
        return self.change(situation, self.policy.probabilities(situation))


class _RecurrentThrough(_Through):
    """The same of a policy that remembers."""

    policy: RecurrentPolicy

    def begin(self, n: int) -> Floats32:
        return self.policy.begin(n)

    def step(self, situation: Situation, memory: Floats32) -> tuple[Floats, Floats32]:
        given, after = self.policy.step(situation, memory)
        return self.change(situation, given), after


def over_legal(situation: Situation, given: Floats) -> Floats:
    """Legal actions alone, in their proportions; evenly where `given` has none of them."""
    masks = situation.masks
    weights = np.where(masks, given, 0.0)
    weights = np.where(weights.sum(axis=1, keepdims=True) > 0, weights, masks)
    legal: Floats = weights / weights.sum(axis=1, keepdims=True)
    return legal


class _Count:
    """Notes how probable illegal choices were."""

    def __init__(self) -> None:
        self.illegal, self.asked = 0.0, 0

    def __call__(self, situation: Situation, given: Floats) -> Floats:
        self.illegal += float(given[~situation.masks].sum())
        self.asked += len(given)
        return given


def illegal_fraction(
    policy: Policy, task: Task, episodes: int, seed: int, illegal: str | None = None
) -> float:
    """Probability of illegal actions, a step, over episodes of a policy as `acting` has it act."""
    count = _Count()
    chosen = getattr(policy, "illegal", WASTE) if illegal is None else illegal
    rollout(acting(_through(policy, count), chosen), task, episodes, seed)
    return count.illegal / max(count.asked, 1)
