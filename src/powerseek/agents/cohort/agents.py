"""PPO for many small agents, by id. PyTorch is loaded when one is trained, not when it is named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from powerseek.agents.base import (
    Callback,
    CohortAgent,
    CohortCallback,
    Settings,
    TrainedAgent,
)
from powerseek.agents.checkpoint import Checkpoint
from powerseek.agents.sb3.agents import Learner
from powerseek.agents.settings import COHORT_SHARES
from powerseek.envs.task import Task


class CohortPPO(Learner):
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
