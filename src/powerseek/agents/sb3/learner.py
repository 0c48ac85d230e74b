"""PPO of Stable-Baselines3 and sb3-contrib, update by update.

The library's `learn` runs a loop of its own: collect experience, then learn from it, until the
steps are used up. That loop is `powerseek.agents.base.train_in_turns` here, so that its algorithms
are told, kept and stopped like every other agent; both halves are the library's.
"""

from __future__ import annotations

import io
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sb3_contrib import MaskablePPO
from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy
from stable_baselines3 import PPO
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.utils import LinearSchedule

from powerseek.agents.archive import opened
from powerseek.agents.base import Agent
from powerseek.agents.job import Job, Settings, TrainedAgent
from powerseek.agents.sb3.adapter import TaskVecEnv, spaces
from powerseek.agents.sb3.policy import NetworkPolicy
from powerseek.agents.settings import settings_for
from powerseek.envs.engine.vec import restore_envs

ALGORITHMS: dict[str, Any] = {"ppo": PPO, "maskable-ppo": MaskablePPO}
NETWORKS: dict[str, Any] = {
    "ppo": ActorCriticPolicy,
    "maskable-ppo": MaskableActorCriticPolicy,
    "cohort-ppo": MaskableActorCriticPolicy,
    "imitation": MaskableActorCriticPolicy,
}
_PASSED_ON = (
    *("n_steps", "batch_size", "n_epochs", "ent_coef", "gae_lambda"),
    *("clip_range", "vf_coef", "max_grad_norm"),
)
_ACTIVATIONS = {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU}
WEIGHTS = "policy.pth"
"""The part of a model that Stable-Baselines3 saved which holds its network."""
_FRAME = 2**16
"""Bytes that names, places and alignment of a layer's weights may take besides."""
_LAST = ("last_obs", "last_episode_starts")
_COUNTERS = ("num_timesteps", "_n_updates", "_current_progress_remaining")


class LibraryPPO(Agent):
    """``ppo`` or ``maskable-ppo`` on one job.

    Args:
        job: Complete.
        agent: Agent id.
    """

    learns = True

    def __init__(self, job: Job, agent: str) -> None:
        super().__init__(job)
        self.id = agent  # type: ignore[misc]  # two ids share this class
        torch.set_num_threads(1)
        settings, task = job.settings, job.task
        self.envs = TaskVecEnv(task, settings["n_envs"], job.seed)
        self.model = ALGORITHMS[agent](
            NETWORKS[agent],
            self.envs,
            seed=job.seed,
            device=job.device,
            **library_settings(settings, task.gamma),
        )
        # Its default logger leaves a folder behind at every training.
        self.model.set_logger(Logger(folder=None, output_formats=[]))
        self.policy = NetworkPolicy(self.model.policy, agent == "maskable-ppo")
        _, self._callback = self.model._setup_learn(job.timesteps)

    def update(self) -> None:
        """As the library's `learn`."""
        model = self.model
        model.collect_rollouts(self.envs, self._callback, model.rollout_buffer, model.n_steps)
        model._update_current_progress_remaining(model.num_timesteps, self.job.timesteps)
        model.train()
        self._count()

    def _count(self) -> None:
        self.timesteps = self.model.num_timesteps
        self.updates = gradient_steps(self.model)
        self.first_reward = self.envs.first_reward

    def state_dict(self) -> dict[str, Any]:
        """See Agent.state_dict.

        The rollout buffer is left out: it is filled anew before it is read. So are the generators
        of the spaces, and statistics of episodes, from which nothing is drawn or learnt.
        """
        model, envs = self.model, self.envs
        kind, keys, position, has_gauss, cached = np.random.get_state()  # noqa: NPY002  # the library draws from it
        networks = {
            "policy": model.policy.state_dict(),
            "optimizer": model.policy.optimizer.state_dict(),
            "random": torch.get_rng_state(),
        }
        if model.device.type == "cuda":
            networks["random_cuda"] = torch.cuda.get_rng_state(model.device)
        file = io.BytesIO()
        torch.save(networks, file)
        return {
            "networks": file.getvalue(),
            "envs": envs.envs.snapshot(),
            **{name: getattr(model, f"_{name}") for name in _LAST},
            "random_keys": keys,
            **{name: getattr(model, name) for name in _COUNTERS},
            "steps": envs._steps,
            "first_reward": envs.first_reward,
            "random_numpy": [kind, position, has_gauss, cached],
            "random_python": random.getstate(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See Agent.load_state_dict; nothing in the state is executed."""
        model, envs = self.model, self.envs
        networks = read_tensors(state["networks"], model.device)
        check_tensors(model.policy.state_dict(), networks["policy"])
        model.policy.load_state_dict(networks["policy"])
        optimizer, weights = model.policy.optimizer, list(model.policy.parameters())
        moments = networks["optimizer"]["state"]
        for i, moment in moments.items():
            alike = dict.fromkeys(("exp_avg", "exp_avg_sq"), weights[i])
            check_tensors({**alike, "step": torch.tensor(0.0)}, moment)
        optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})
        envs.envs.restore(state["envs"])
        envs._steps, envs.first_reward = state["steps"], state["first_reward"]
        restore_envs({name: getattr(model, f"_{name}") for name in _LAST}, state)
        for name in _COUNTERS:
            setattr(model, name, type(getattr(model, name))(state[name]))
        torch.set_rng_state(networks["random"].cpu())
        if model.device.type == "cuda":
            torch.cuda.set_rng_state(networks["random_cuda"].cpu(), model.device)
        kind, position, has_gauss, cached = state["random_numpy"]
        np.random.set_state((kind, state["random_keys"], position, has_gauss, cached))  # noqa: NPY002  # as above
        version, words, gauss = state["random_python"]
        random.setstate((version, tuple(words), gauss))

    def trained(self) -> TrainedAgent:
        """See Agent.trained."""
        self.model.policy.set_training_mode(False)
        self.envs.close()
        return replace(super().trained(), model=self.model)


def gradient_steps(model: Any) -> int:
    """Gradient steps that a PPO has taken (the library counts passes over its buffer)."""
    return int(model._n_updates * (model.n_steps * model.n_envs // model.batch_size))


def library_settings(settings: Settings, gamma: float) -> dict[str, Any]:
    """Complete `settings` and the discount, in the library's words."""
    return {
        "learning_rate": learning_rates(settings),
        "gamma": gamma,
        "policy_kwargs": network_settings(settings),
        **{name: settings[name] for name in _PASSED_ON},
    }


def learning_rates(settings: Settings) -> LinearSchedule:
    """The learning rate by the fraction of training that is left."""
    return LinearSchedule(settings["learning_rate"], settings["final_learning_rate"], 1.0)


def network_settings(settings: Settings) -> dict[str, Any]:
    """The network of complete `settings`, in the library's words."""
    return {
        "net_arch": list(settings["net"]),
        "activation_fn": _ACTIVATIONS[settings["activation"]],
    }


def load_network(path: Path, card: Mapping[str, Any], device: str) -> NetworkPolicy:
    """The network of a saved agent, as its policy.

    Raises:
        Exception: Of whatever kind: weights other than those of the network on the card.
    """
    settings = settings_for(card["world"], card["settings"])
    inputs, actions = len(card["observations"]), len(card["actions"])
    with opened(path) as archive:
        _check_size(archive.getinfo(WEIGHTS).file_size, [inputs, *settings["net"]], actions)
        content = archive.read(WEIGHTS)
    network = NETWORKS[card["agent"]](
        *spaces(inputs, actions), lambda _: 0.0, **network_settings(settings)
    ).to(device)
    tensors = read_tensors(content, device)
    check_tensors(network.state_dict(), tensors)
    network.load_state_dict(tensors)
    network.set_training_mode(False)
    return NetworkPolicy(network, masked=card["agent"] != "ppo")


def _check_size(size: int, widths: Sequence[int], actions: int) -> None:
    """Refuse weights of another size than a network has with these widths, inputs first."""
    towers = ([*widths, actions], [*widths, 1])
    numbers = sum((i + 1) * o for tower in towers for i, o in pairwise(tower))
    minimum = 4 * numbers
    if not minimum <= size <= minimum + _FRAME + _FRAME * len(widths):
        raise ValueError(f"its weights take {size:,} bytes, those of its network {minimum:,}")


def read_tensors(content: bytes, device: Any) -> Any:
    """What `torch.save` wrote, of weights and plain values alone, none of it compressed."""
    opened(content).close()
    return torch.load(io.BytesIO(content), device, weights_only=True)


def check_tensors(expected: Mapping[str, torch.Tensor], given: Mapping[str, torch.Tensor]) -> None:
    """Refuse tensors of other names, shapes or types, or with values that are no numbers.

    Raises:
        ValueError: It names the first that differs.
    """
    if set(given) != set(expected):
        raise ValueError(
            f"weights of other layers: {', '.join(sorted(set(given) ^ set(expected)))}"
        )
    for name, here in expected.items():
        tensor = given[name]
        if (tensor.shape, tensor.dtype, tensor.layout) != (here.shape, here.dtype, here.layout):
            raise ValueError(f"weights {name!r} of another shape or type")
        if not torch.isfinite(tensor).all():
            raise ValueError(f"weights {name!r} are not all numbers")
