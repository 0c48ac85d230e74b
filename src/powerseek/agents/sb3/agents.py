"""Learning agents, by id. PyTorch is loaded when one is trained, not when it is named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from powerseek.agents.base import (
    Builder,
    Callback,
    CohortAgent,
    CohortCallback,
    Settings,
    TrainedAgent,
)
from powerseek.agents.checkpoint import Checkpoint
from powerseek.agents.settings import COHORT_SHARES, settings_for
from powerseek.envs.task import Task


class _Learner(Builder):
    learns: ClassVar[bool] = True
    resumes: ClassVar[bool] = True

    @classmethod
    def settings(cls, task: Task, given: Settings) -> dict[str, Any]:
        """See Builder.settings."""
        return settings_for(task.world.id, given)


class _StableBaselines(_Learner):
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


class CohortPPO(_Learner):
    """PPO over legal actions alone, made for training many small agents in one process.

    The algorithm of ``maskable-ppo``, without the library's overhead; `train_cohort` trains many
    of them, each as it would be trained here alone.
    """

    cohort_shares: ClassVar[tuple[str, ...]] = COHORT_SHARES

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
        """See Builder.build.

        Raises:
            TrainingFailed: Its weights ceased to be numbers, say.
        """
        from powerseek.agents.cohort.train import train_alone

        return train_alone(task, seed, timesteps, settings, callback, device, checkpoint)

    @classmethod
    def build_cohort(
        cls,
        tasks: Sequence[Task],
        seeds: Sequence[int],
        timesteps: int,
        settings: Sequence[Settings],
        callback: CohortCallback | None,
        checkpoints: Sequence[Checkpoint | None],
    ) -> Sequence[CohortAgent]:
        """See Builder.build_cohort."""
        from powerseek.agents.cohort.train import train_cohort

        return train_cohort(tasks, seeds, timesteps, settings, callback, checkpoints=checkpoints)
