"""Learners, planners and scripted agents; a policy in a world becomes trajectories."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from powerseek.agents.base import (
    Agent,
    Callback,
    Failure,
    GroupCallback,
    Job,
    Progress,
    TrainedAgent,
    TrainingFailed,
)
from powerseek.agents.checkpoint import Checkpoint, CheckpointIgnored
from powerseek.agents.rollout import probed, rollout, rollouts, without_interruption
from powerseek.agents.saving import load_agent, read_card, save_agent, task_of
from powerseek.agents.scripted import RandomPolicy, ScriptedPolicy
from powerseek.agents.settings import settings_for
from powerseek.agents.training import check_agent, train, train_jobs

if TYPE_CHECKING:
    from powerseek.agents.sb3.adapter import TaskVecEnv
    from powerseek.agents.sb3.policy import NetworkPolicy

# These load PyTorch, so they are imported when first used.
_LEARNING = {
    "NetworkPolicy": "powerseek.agents.sb3.policy",
    "TaskVecEnv": "powerseek.agents.sb3.adapter",
}

__all__ = [
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
    "probed",
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


def __getattr__(name: str) -> Any:
    """Import a name of the learning modules when first used."""
    if name in _LEARNING:
        return getattr(import_module(_LEARNING[name]), name)
    raise AttributeError(f"module 'powerseek.agents' has no attribute {name!r}")
