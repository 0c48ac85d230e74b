"""Learners, planners and scripted agents; a policy in a world becomes trajectories."""

from typing import TYPE_CHECKING

from powerseek.agents.base import Agent
from powerseek.agents.checkpoint import Checkpoint, CheckpointIgnored
from powerseek.agents.job import (
    LEDGER,
    Callback,
    Failure,
    GroupCallback,
    Job,
    Progress,
    TrainedAgent,
    TrainingFailed,
)
from powerseek.agents.rollout import probe_task, rollout, rollouts, without_interruption
from powerseek.agents.saving import load_agent, read_card, save_agent, task_of
from powerseek.agents.scripted import RandomPolicy, ScriptedPolicy
from powerseek.agents.settings import settings_for
from powerseek.agents.training import check_agent, train, train_jobs
from powerseek.lazy import lazily

if TYPE_CHECKING:
    from powerseek.agents.sb3.adapter import TaskVecEnv
    from powerseek.agents.sb3.policy import NetworkPolicy

__all__ = [
    "LEDGER",
    "Agent",
    "Callback",
    "Checkpoint",
    "CheckpointIgnored",
    "Failure",
    "GroupCallback",
    "Job",
    "NetworkPolicy",
    "Progress",
    "RandomPolicy",
    "ScriptedPolicy",
    "TaskVecEnv",
    "TrainedAgent",
    "TrainingFailed",
    "check_agent",
    "load_agent",
    "probe_task",
    "read_card",
    "rollout",
    "rollouts",
    "save_agent",
    "settings_for",
    "task_of",
    "train",
    "train_jobs",
    "without_interruption",
]

# These load PyTorch.
__getattr__, __dir__ = lazily(
    __name__,
    __all__,
    {
        "NetworkPolicy": "powerseek.agents.sb3.policy",
        "TaskVecEnv": "powerseek.agents.sb3.adapter",
    },
)
