"""Success of an agent from which the power on offer is withheld."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan

import numpy as np

from powerseek.envs.task import Task
from powerseek.envs.world import World
from powerseek.errors import InvalidInput
from powerseek.exact.solvers.agent import evaluate_agent
from powerseek.types import Bools, Floats, Policy, Situation


def offers_power(world: World) -> bool:
    """True if a world has actions to withhold at its parameters."""
    return type(world).withheld(world.params, world.records(0)) is not None


def success_without_power(task: Task, policy: Policy, *, greedy: bool = False) -> float:
    """Exact success, as deployed, of a policy whose legal actions are those of no power on offer.

    The policy is shown the legal actions that `World.withheld` leaves; what it gives the others is
    taken away and the rest brought to a sum of 1.

    Args:
        task: What the policy acts in.
        policy: As `powerseek.exact.agent_occupancies` takes it.
        greedy: True if it takes the likeliest action that is left.

    Returns:
        A probability; nan where nothing is on offer, or where it comes to a situation in which no
        legal action is left, or none that it would ever take.

    Raises:
        InvalidInput: As `agent_occupancies`; or `World.withheld` gives no masks.
    """
    if not offers_power(task.world):
        return nan
    try:
        return evaluate_agent(task, _Without(policy, task.world), greedy=greedy).success
    except _NothingLeft:
        return nan


class _NothingLeft(Exception):
    """A situation in which no action is left."""


@dataclass(frozen=True)
class _Without:
    """A policy from which actions are withheld."""

    policy: Policy
    world: World

    def probabilities(self, situation: Situation) -> Floats:
        """[n, A] weights of the actions that are left; the walk brings rows to a sum of 1."""
        masks = situation.masks & ~self._withheld(situation)
        if not masks.any(axis=1).all():
            raise _NothingLeft
        shown = Situation(situation.observations, masks, situation.states, situation.actor)
        left: Floats = np.where(masks, self.policy.probabilities(shown), 0.0)
        if not left.any(axis=1).all():
            raise _NothingLeft
        return left

    def _withheld(self, situation: Situation) -> Bools:
        withheld = type(self.world).withheld(self.world.params, situation.states)
        if withheld is None or withheld.shape != situation.masks.shape:
            given = None if withheld is None else withheld.shape
            allowed = f"masks {situation.masks.shape}, as for no records"
            raise InvalidInput(f"withheld of {self.world.id}", given, allowed)
        return withheld
