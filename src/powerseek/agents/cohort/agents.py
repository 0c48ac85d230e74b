"""PPO for many small agents, by id. PyTorch is loaded when one is trained, not when it is named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, ClassVar

from powerseek.agents.job import Failure, Job, TrainedAgent
from powerseek.agents.sb3.agents import LibraryNetwork
from powerseek.agents.sb3.families import FAMILIES
from powerseek.agents.settings import COHORT_SHARED
from powerseek.types import Policy


class CohortPPO(LibraryNetwork):
    """PPO over legal actions alone, made for training many small agents in one process.

    The algorithm of ``maskable-ppo``, without the library's overhead.
    """

    family = FAMILIES["maskable-ppo"]
    shared: ClassVar[tuple[str, ...] | None] = COHORT_SHARED

    @classmethod
    def train(cls, jobs: Sequence[Job]) -> list[TrainedAgent | Failure]:
        """See Agent.train."""
        from powerseek.agents.cohort.train import train_cohort

        return train_cohort(jobs)

    @classmethod
    def load_model(cls, path: Path, card: Mapping[str, Any], device: str) -> Policy:
        """See Agent.load_model."""
        from powerseek.agents.cohort.network import Networks
        from powerseek.agents.cohort.policy import CohortPolicy
        from powerseek.agents.sb3.models import load_policy

        loaded: Any = load_policy(cls.family, path, card, device)
        # A copy: weights laid out otherwise would round otherwise in PyTorch.
        return CohortPolicy(loaded.network, Networks(deepcopy(loaded.network), device))
