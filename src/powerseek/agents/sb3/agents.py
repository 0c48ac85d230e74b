"""Stable-Baselines3's agents, by id. PyTorch is loaded when one is trained, not when named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from powerseek.agents.base import Agent, Run, train_in_turns
from powerseek.agents.job import Failure, Job, Settings, TrainedAgent
from powerseek.agents.settings import settings_for
from powerseek.envs.task import Task
from powerseek.types import Policy


class ActorCritic(Agent):
    """Base of the agents that learn an actor-critic network of Stable-Baselines3 by PPO."""

    learns: ClassVar[bool] = True

    @classmethod
    def settings(cls, task: Task, given: Settings) -> dict[str, Any]:
        """See Agent.settings."""
        return settings_for(task.world.id, given)

    @classmethod
    def load_model(cls, path: Path, card: Mapping[str, Any], device: str) -> Policy:
        """See Agent.load_model."""
        from powerseek.agents.sb3.learner import load_network

        return load_network(path, card, device)


class _StableBaselines(ActorCritic):
    @classmethod
    def train(cls, jobs: Sequence[Job]) -> list[TrainedAgent | Failure]:
        """See Agent.train: one after the other, for the library draws from global generators."""
        from powerseek.agents.sb3.learner import LibraryPPO

        def make(job: Job) -> LibraryPPO:
            return LibraryPPO(job, cls.id)

        return [end for job in jobs for end in train_in_turns([Run(job, make)])]


class PPO(_StableBaselines):
    """PPO of Stable-Baselines3 (Schulman et al. 2017, arXiv:1707.06347).

    It sees no action masks: an illegal action is a wasted step, in training and afterwards.
    """


class MaskablePPO(_StableBaselines):
    """PPO over legal actions alone, of sb3-contrib (Huang and Ontanon 2020, arXiv:2006.14171)."""
