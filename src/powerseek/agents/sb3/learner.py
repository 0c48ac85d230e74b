"""Algorithms of Stable-Baselines3 and sb3-contrib, update by update.

The library's `learn` runs a loop of its own: collect experience, then learn from it, until the
steps are used up. That loop is `powerseek.agents.base.train_in_turns` here, so that its algorithms
are told, kept and stopped like every other agent; both halves are the library's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.utils import LinearSchedule

from powerseek.agents.base import Agent
from powerseek.agents.job import Job, Settings, TrainedAgent
from powerseek.agents.sb3.adapter import TaskVecEnv
from powerseek.agents.sb3.families import Family
from powerseek.agents.sb3.policies import policy_of_network
from powerseek.agents.sb3.state import library_state, restore_library

_ACTIVATIONS = {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU}
_LOGGED = "train/"
_NO_LOSSES = {"n_updates", "learning_rate", "clip_range"}


class LibraryLearner(Agent):
    """An algorithm of the library on one job.

    Args:
        job: Complete.
        family: The algorithm.
        agent: Agent id.
    """

    learns = True

    def __init__(self, job: Job, family: Family, agent: str) -> None:
        super().__init__(job)
        self.id = agent  # type: ignore[misc]  # all ids share this class
        self.family = family
        torch.set_num_threads(1)
        self.envs = TaskVecEnv(job.task, job.settings["n_envs"], job.seed)
        self.model = family.algorithm_class()(
            family.network_class(),
            self.envs,
            seed=job.seed,
            device=job.device,
            **library_settings(family, job.settings, job.task.gamma),
        )
        # Its default logger leaves a folder behind at every training.
        self.model.set_logger(Logger(folder=None, output_formats=[]))
        self.policy = policy_of_network(family, self.model.policy, job.settings)
        size = job.task.observation_size, job.task.n_actions
        self._weights = family.weights(job.settings, *size)
        _, self._callback = self.model._setup_learn(job.timesteps)

    def update(self) -> None:
        """As the library's `learn`."""
        if self.family.on_policy:
            self._learn_from_rollout()
        else:
            self._learn_from_replay()
        self._count()

    def _learn_from_rollout(self) -> None:
        model = self.model
        model.collect_rollouts(self.envs, self._callback, model.rollout_buffer, model.n_steps)
        model._update_current_progress_remaining(model.num_timesteps, self.job.timesteps)
        model.train()

    def _learn_from_replay(self) -> None:
        model = self.model
        model.collect_rollouts(
            self.envs,
            self._callback,
            model.train_freq,
            model.replay_buffer,
            learning_starts=model.learning_starts,
        )
        if model.num_timesteps > model.learning_starts:
            model.train(batch_size=model.batch_size, gradient_steps=model.gradient_steps)

    def _count(self) -> None:
        model = self.model
        self.timesteps = model.num_timesteps
        self.updates = model._n_updates * self.family.per_count(self.job.settings)
        self.first_reward = self.envs.first_reward
        self.losses = _losses(model.logger.name_to_value)
        settings, counted = self.job.settings, (self.timesteps, self.updates)
        self.taken["flops"] = self.family.flops(settings, self._weights, *counted)

    def state_dict(self) -> dict[str, Any] | None:
        """See Agent.state_dict; None where a replay buffer is too large to be kept."""
        return library_state(self.model, self.envs)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See Agent.load_state_dict; nothing in the state is executed."""
        restore_library(self.model, self.envs, state, self.family.moments)

    def trained(self) -> TrainedAgent:
        """See Agent.trained."""
        self.model.policy.set_training_mode(False)
        self.envs.close()
        return replace(super().trained(), model=self.model)


def _losses(logged: Mapping[str, Any]) -> dict[str, float]:
    """Those of the last update, of what the library logged."""
    named = {name.removeprefix(_LOGGED): v for name, v in logged.items() if _LOGGED in name}
    return {name: float(value) for name, value in named.items() if name not in _NO_LOSSES}


def library_settings(family: Family, settings: Settings, gamma: float) -> dict[str, Any]:
    """Complete `settings` and the discount, in the library's words."""
    return {
        "learning_rate": learning_rates(settings),
        "gamma": gamma,
        "policy_kwargs": network_settings(settings, family),
        **{theirs: settings[ours] for ours, theirs in family.passed_on.items()},
    }


def learning_rates(settings: Settings) -> LinearSchedule:
    """The learning rate by the fraction of training that is left."""
    return LinearSchedule(settings["learning_rate"], settings["final_learning_rate"], 1.0)


def network_settings(settings: Settings, family: Family) -> dict[str, Any]:
    """The network of complete `settings`, in the library's words."""
    return {
        "net_arch": list(settings["net"]),
        "activation_fn": _ACTIVATIONS[settings["activation"]],
        **{name: settings[name] for name in family.shaped_by},
    }
