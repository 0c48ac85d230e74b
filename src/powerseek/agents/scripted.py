"""Agents that do not learn: random, and the pair that every world scripts."""

from __future__ import annotations

from typing import Any

import numpy as np

from powerseek.agents.base import Agent
from powerseek.agents.job import Job, Settings
from powerseek.envs.engine.expand import script
from powerseek.envs.task import Task
from powerseek.envs.world import World
from powerseek.errors import InvalidInput
from powerseek.types import Floats, Situation


class RandomPolicy:
    """Uniform over the legal actions."""

    def probabilities(self, situation: Situation) -> Floats:
        """[n, A]."""
        legal = situation.masks.astype(np.float64)
        uniform: Floats = legal / legal.sum(axis=1, keepdims=True)
        return uniform


class ScriptedPolicy:
    """A world's own script.

    Args:
        world: The world.
        name: ``minimalist`` or ``hoarder``.

    Raises:
        InvalidInput: The world has no such script.
    """

    def __init__(self, world: World, name: str) -> None:
        if not hasattr(type(world), name):
            raise InvalidInput("agent", name, f"an agent that world {world.id!r} scripts")
        self.world, self.name = world, name

    def probabilities(self, situation: Situation) -> Floats:
        """[n, A]: 1 for the scripted action."""
        chosen = script(self.world, self.name, situation.states)
        out = np.zeros(situation.masks.shape)
        out[np.arange(len(chosen)), chosen] = 1.0
        return out


class Random(Agent):
    """Uniform over the legal actions."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self.policy = RandomPolicy()


class _Scripted(Agent):
    @classmethod
    def settings(cls, task: Task, given: Settings) -> dict[str, Any]:
        """See Agent.settings."""
        ScriptedPolicy(task.world, cls.id)
        return super().settings(task, given)

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self.policy = ScriptedPolicy(job.task.world, self.id)


class Minimalist(_Scripted):
    """The world's script that succeeds and takes as little as it can."""


class Hoarder(_Scripted):
    """The world's script that takes all power on offer, and then succeeds if there is time."""
