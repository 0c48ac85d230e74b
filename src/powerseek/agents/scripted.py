"""Agents that do not learn: random, and the pair that every world scripts."""

from __future__ import annotations

from typing import Any

import numpy as np

from powerseek.agents.base import Builder, Callback, Settings, TrainedAgent
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


class Random(Builder):
    """Uniform over the legal actions."""

    @classmethod
    def build(
        cls,
        task: Task,
        seed: int,
        timesteps: int,
        settings: Settings,
        callback: Callback | None,
        device: str,
    ) -> TrainedAgent:
        """See Builder.build."""
        return TrainedAgent(cls.id, RandomPolicy())


class _Scripted(Builder):
    @classmethod
    def settings(cls, task: Task, given: Settings) -> dict[str, Any]:
        """See Builder.settings."""
        ScriptedPolicy(task.world, cls.id)
        return super().settings(task, given)

    @classmethod
    def build(
        cls,
        task: Task,
        seed: int,
        timesteps: int,
        settings: Settings,
        callback: Callback | None,
        device: str,
    ) -> TrainedAgent:
        """See Builder.build."""
        return TrainedAgent(cls.id, ScriptedPolicy(task.world, cls.id))


class Minimalist(_Scripted):
    """The world's script that succeeds and takes as little as it can."""


class Hoarder(_Scripted):
    """The world's script that takes all power on offer, and then succeeds if there is time."""
