"""PPO for many small agents, by id. PyTorch is loaded when one is trained, not when it is named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from powerseek.agents.job import Failure, Job, TrainedAgent
from powerseek.agents.sb3.agents import ActorCritic
from powerseek.agents.settings import COHORT_SHARED


class CohortPPO(ActorCritic):
    """PPO over legal actions alone, made for training many small agents in one process.

    The algorithm of ``maskable-ppo``, without the library's overhead.
    """

    shared: ClassVar[tuple[str, ...] | None] = COHORT_SHARED

    @classmethod
    def train(cls, jobs: Sequence[Job]) -> list[TrainedAgent | Failure]:
        """See Agent.train."""
        from powerseek.agents.cohort.train import train_cohort

        return train_cohort(jobs)
