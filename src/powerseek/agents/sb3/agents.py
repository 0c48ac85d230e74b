"""Learning agents, by id. PyTorch is loaded when one is trained, not when it is named."""

from __future__ import annotations

from typing import Any, ClassVar

from powerseek.agents.base import (
    Builder,
    Callback,
    Settings,
    TrainedAgent,
)
from powerseek.agents.checkpoint import Checkpoint
from powerseek.agents.settings import settings_for
from powerseek.envs.task import Task


class Learner(Builder):
    """Base of agents that learn by PPO."""

    learns: ClassVar[bool] = True
    resumes: ClassVar[bool] = True

    @classmethod
    def settings(cls, task: Task, given: Settings) -> dict[str, Any]:
        """See Builder.settings."""
        return settings_for(task.world.id, given)


class _StableBaselines(Learner):
    @classmethod
    def build(
        cls,
        task: Task,
        seed: int,
        timesteps: int,
        settings: Settings,
        callback: Callback | None,
        device: str,
        checkpoint: Checkpoint | None = None,
    ) -> TrainedAgent:
        """See Builder.build."""
        from powerseek.agents.sb3.adapter import train_ppo

        return train_ppo(task, cls.id, seed, timesteps, settings, callback, device, checkpoint)


class PPO(_StableBaselines):
    """PPO of Stable-Baselines3 (Schulman et al. 2017, arXiv:1707.06347).

    It sees no action masks: an illegal action is a wasted step, in training and afterwards.
    """


class MaskablePPO(_StableBaselines):
    """PPO over legal actions alone, of sb3-contrib (Huang and Ontanon 2020, arXiv:2006.14171)."""
