"""Illegal choices of policies: how probable they are, and what becomes of them."""

from __future__ import annotations

import numpy as np

from powerseek.agents.rollout import rollout
from powerseek.envs.task import Task
from powerseek.errors import InvalidInput
from powerseek.types import Floats, Policy, Situation

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
    return OverLegal(policy) if chosen == RENORMALISE else policy


class OverLegal:
    """A policy that takes legal actions alone, in the proportions of another's.

    Args:
        policy: The other.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy, self.inexact = policy, getattr(policy, "inexact", "")

    def probabilities(self, situation: Situation) -> Floats:
        """[n, A]; even over the legal actions where the other takes none of them."""
        masks = situation.masks
        weights = np.where(masks, self.policy.probabilities(situation), 0.0)
        weights = np.where(weights.sum(axis=1, keepdims=True) > 0, weights, masks)
        legal: Floats = weights / weights.sum(axis=1, keepdims=True)
        return legal


class _Counted:
    """A policy, and how probable its illegal choices were."""

    def __init__(self, policy: Policy) -> None:
        self.policy, self.illegal, self.asked = policy, 0.0, 0

    def probabilities(self, situation: Situation) -> Floats:
        given = self.policy.probabilities(situation)
        self.illegal += float(given[~situation.masks].sum())
        self.asked += len(given)
        return given


def illegal_fraction(
    policy: Policy, task: Task, episodes: int, seed: int, illegal: str | None = None
) -> float:
    """Probability of illegal actions, a step, over episodes of a policy as `acting` has it act."""
    counted = _Counted(policy)
    chosen = getattr(policy, "illegal", WASTE) if illegal is None else illegal
    rollout(acting(counted, chosen), task, episodes, seed)
    return counted.illegal / max(counted.asked, 1)
