"""Stable-Baselines3's agents, by id. PyTorch is loaded when one is trained, not when named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from powerseek.agents.base import Agent, Run, train_in_turns
from powerseek.agents.job import Failure, Job, Settings, TrainedAgent
from powerseek.agents.sb3.families import FAMILIES, Family
from powerseek.envs.task import Task
from powerseek.types import Policy


class LibraryNetwork(Agent):
    """Base of the agents that learn a network of the library.

    Attributes:
        family: Whose network and settings it has.
    """

    learns: ClassVar[bool] = True
    family: ClassVar[Family]

    @classmethod
    def settings(cls, task: Task, given: Settings) -> dict[str, Any]:
        """See Agent.settings."""
        return cls.family.settings(task.world.id, given)

    @classmethod
    def load_model(cls, path: Path, card: Mapping[str, Any], device: str) -> Policy:
        """See Agent.load_model."""
        from powerseek.agents.sb3.models import load_policy

        return load_policy(cls.family, path, card, device)


class _StableBaselines(LibraryNetwork):
    @classmethod
    def train(cls, jobs: Sequence[Job]) -> list[TrainedAgent | Failure]:
        """See Agent.train: one after the other, for the library draws from global generators."""
        from powerseek.agents.sb3.learner import LibraryLearner

        def make(job: Job) -> LibraryLearner:
            return LibraryLearner(job, cls.family, cls.id)

        return [end for job in jobs for end in train_in_turns([Run(job, make)])]


class PPO(_StableBaselines):
    """PPO of Stable-Baselines3 (Schulman et al. 2017, arXiv:1707.06347).

    It sees no action masks: an illegal action is a wasted step, in training and afterwards.
    """

    family = FAMILIES["ppo"]


class MaskablePPO(_StableBaselines):
    """PPO over legal actions alone, of sb3-contrib (Huang and Ontanon 2020, arXiv:2006.14171)."""

    family = FAMILIES["maskable-ppo"]


class A2C(_StableBaselines):
    """Advantage actor-critic of Stable-Baselines3 (Mnih et al. 2016, arXiv:1602.01783).

    One gradient step by RMSProp a batch of experience. It sees no action masks: an illegal action
    is a wasted step, in training and afterwards.
    """

    family = FAMILIES["a2c"]


class TRPO(_StableBaselines):
    """Trust region policy optimisation, of sb3-contrib (Schulman et al. 2015, arXiv:1502.05477).

    It counts the step of its policy and those of its critic as updates. It sees no action masks:
    an illegal action is a wasted step, in training and afterwards.
    """

    family = FAMILIES["trpo"]


class RecurrentPPO(_StableBaselines):
    """PPO with a memory (LSTM), of sb3-contrib: what it does depends on all that it saw.

    It is measured on episodes alone: exact evaluation takes a policy whose probabilities depend on
    the situation (`powerseek.types.RecurrentPolicy`). It sees no action masks: an illegal action
    is a wasted step, in training and afterwards.
    """

    family = FAMILIES["recurrent-ppo"]


class DQN(_StableBaselines):
    """Deep Q-learning of Stable-Baselines3 (Mnih et al. 2015), with n-step targets.

    Its policy is eps-greedy at the final eps: an action at random, of all, with probability
    exploration_final_eps, and else the one of greatest value. That is what "sampled" results show;
    "greedy" ones show the greatest value alone. It sees no action masks: an illegal action is a
    wasted step, in training and afterwards. Its replay buffer is part of its checkpoint; where it
    takes more than 64 MiB, none is kept, and an interrupted training starts at zero.
    """

    family = FAMILIES["dqn"]


class QRDQN(_StableBaselines):
    """DQN over quantiles of the return, of sb3-contrib (Dabney et al. 2017, arXiv:1710.10044).

    It takes the action of the greatest mean; policy, masks and checkpoints are as those of `dqn`.
    """

    family = FAMILIES["qrdqn"]
