"""Learners, planners and scripted agents; a policy in a world becomes trajectories."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from powerseek.agents.base import (
    Builder,
    Callback,
    CohortAgent,
    CohortCallback,
    Failure,
    Progress,
    TrainedAgent,
    TrainingFailed,
    check_agent,
    train,
)
from powerseek.agents.checkpoint import Checkpoint, CheckpointIgnored
from powerseek.agents.rollout import calmed, probed, rollout, rollouts
from powerseek.agents.scripted import RandomPolicy, ScriptedPolicy
from powerseek.agents.settings import settings_for

if TYPE_CHECKING:
    from powerseek.agents.cohort.train import train_cohort
    from powerseek.agents.sb3.adapter import (
        NetworkPolicy,
        TaskVecEnv,
        load_agent,
        read_card,
        save_agent,
        task_of,
    )

# These load PyTorch, so they are imported when first used.
_SB3 = ("NetworkPolicy", "TaskVecEnv", "load_agent", "read_card", "save_agent", "task_of")
_LEARNING = {
    **dict.fromkeys(_SB3, "powerseek.agents.sb3.adapter"),
    "train_cohort": "powerseek.agents.cohort.train",
}

__all__ = [
    "Builder",
    "Callback",
    "Checkpoint",
    "CheckpointIgnored",
    "CohortAgent",
    "CohortCallback",
    "Failure",
    "NetworkPolicy",
    "Progress",
    "RandomPolicy",
    "ScriptedPolicy",
    "TaskVecEnv",
    "TrainedAgent",
    "TrainingFailed",
    "calmed",
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
    "train_cohort",
]


def __getattr__(name: str) -> Any:
    """Import a name of the learning modules when first used."""
    if name in _LEARNING:
        return getattr(import_module(_LEARNING[name]), name)
    raise AttributeError(f"module 'powerseek.agents' has no attribute {name!r}")
