"""Networks of a cohort's agents as Stable-Baselines3 and sb3-contrib make and keep them."""

from __future__ import annotations

from typing import Any

import torch
from sb3_contrib import MaskablePPO
from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy

from powerseek.agents.job import Job, Settings
from powerseek.agents.sb3.adapter import spaces
from powerseek.agents.sb3.families import FAMILIES
from powerseek.agents.sb3.learner import library_settings, network_settings
from powerseek.envs.task import Task

FAMILY = FAMILIES["maskable-ppo"]


def untrained_network(task: Task, seed: int, settings: Settings) -> Any:
    """The untrained network that ``maskable-ppo`` has at this seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MaskableActorCriticPolicy(
            *spaces(task.observation_size, task.n_actions),
            lambda _: settings["learning_rate"],
            **network_settings(settings, FAMILY),
        )


def library_model(job: Job, timesteps: int, updates: int, network: Any) -> Any:
    """The library's own model with the weights of `network`; no generator is seeded for it.

    Args:
        job: What it was trained for.
        timesteps: Environment steps it took.
        updates: Gradient steps it took.
        network: Its actor-critic network.
    """
    task, settings = job.task, job.settings
    model = MaskablePPO(
        MaskableActorCriticPolicy,
        None,  # type: ignore[arg-type]  # the library takes none, and is told the spaces below
        device="cpu",
        _init_setup_model=False,
        **library_settings(FAMILY, settings, task.gamma),
    )
    model.observation_space, model.action_space = spaces(task.observation_size, task.n_actions)
    model.n_envs = settings["n_envs"]
    with torch.random.fork_rng(devices=[]):
        model._setup_model()
    model.policy.load_state_dict(network.state_dict())
    model.seed, model.num_timesteps = job.seed, timesteps
    batches = settings["n_steps"] * settings["n_envs"] // settings["batch_size"]
    model._n_updates = updates // batches
    return model
