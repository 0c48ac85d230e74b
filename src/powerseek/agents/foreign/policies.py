"""Python objects as policies: functions, PyTorch's modules, models of Stable-Baselines3."""

from __future__ import annotations

import sys
from typing import Any

from powerseek.agents.foreign.functions import FunctionPolicy
from powerseek.envs.task import Task
from powerseek.errors import InvalidInput
from powerseek.types import Policy


def policy_of(given: Any, task: Task, name: str = "") -> Policy:
    """Make a policy of whatever can act, and try it.

    Args:
        given: A policy of powerseek; a function of observations, or of observations and masks, that
            gives actions or probabilities; a PyTorch module from observations [n, obs] to logits
            [n, A]; a trained model of Stable-Baselines3 or sb3-contrib.
        task: What it is to act in.
        name: What messages call it.

    Returns:
        A policy. Its attribute ``illegal`` says what its illegal choices become unless a user says
        otherwise (`ILLEGAL`); one of powerseek has none.

    Raises:
        InvalidInput: It is none of these, or gives something else.
    """
    name = name or getattr(given, "__name__", type(given).__name__)
    if isinstance(given, Policy):
        return given
    if isinstance(given, type):
        hint = f"Write: policy = {given.__name__}(...), and name that."
        raise InvalidInput("policy", name, "something that acts, not its class", hint)
    for library, make in (("stable_baselines3", _of_library), ("torch", _of_torch)):
        if library in sys.modules and (policy := make(given, task, name)) is not None:
            return policy
    if not callable(given):
        allowed = "a function, a PyTorch module, a model of Stable-Baselines3, or a policy"
        raise InvalidInput("policy", name, allowed)
    return FunctionPolicy(given, task, name)


def _of_library(given: Any, task: Task, name: str) -> Policy | None:
    from powerseek.agents.foreign.library import library_policy

    return library_policy(given, task, name)


def _of_torch(given: Any, task: Task, name: str) -> Policy | None:
    from powerseek.agents.foreign.networks import module_policy

    return module_policy(given, task, name)
