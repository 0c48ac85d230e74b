"""Stable-Baselines3 and sb3-contrib on compiled worlds.

PyTorch is imported here, in `powerseek.agents.resume` and in the modules of cohorts alone.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from sb3_contrib import MaskablePPO
from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import VecEnv

from powerseek.agents.base import Callback, Progress, Settings, TrainedAgent
from powerseek.agents.checkpoint import Checkpoint
from powerseek.agents.sb3.checkpointing import put_back, take_down
from powerseek.agents.sb3.policy import distinct, softmax
from powerseek.envs.adapters.foreign import ForeignWorld
from powerseek.envs.adapters.gym import OBSERVATION_BOUND
from powerseek.envs.task import Task, VecTask
from powerseek.errors import InvalidInput
from powerseek.types import Floats, Situation

ALGORITHMS: dict[str, Any] = {"ppo": PPO, "maskable-ppo": MaskablePPO}
NETWORKS: dict[str, Any] = {
    "ppo": ActorCriticPolicy,
    "maskable-ppo": MaskableActorCriticPolicy,
    "cohort-ppo": MaskableActorCriticPolicy,
}
MASKED = ("maskable-ppo", "cohort-ppo")
"""Agents trained over legal actions alone."""
CARD = "powerseek.json"
"""Our page in a saved model's zip: what is needed to build its network and act."""

_ON_CARD = (
    *("agent", "world", "params", "task", "observations", "actions"),
    *("settings", "timesteps", "updates", "first_reward"),
)
PASSED_ON = (
    *("n_steps", "batch_size", "n_epochs", "ent_coef", "gae_lambda"),
    *("clip_range", "vf_coef", "max_grad_norm"),
)
_ACTIVATIONS = {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU}


class TaskVecEnv(VecEnv):
    """n copies of a task as Stable-Baselines3 sees them.

    Observations and rewards are copied out: the library keeps an observation across the next
    step, and adds bootstrapped values to rewards in place.

    Args:
        task: The task.
        n: Number of copies.
        seed: Seed of their chance.

    Attributes:
        copies: The VecTask underneath.
        first_reward: Environment steps (all copies) at which a reward other than 0 was first
            paid.
    """

    def __init__(self, task: Task, n: int, seed: int = 0) -> None:
        self.copies = VecTask(task, n, seed)
        self.first_reward: int | None = None
        self._steps = 0
        self._chosen: Any = None
        self._no_infos: list[dict[str, Any]] = [{} for _ in range(n)]
        super().__init__(n, *spaces_of(task))

    def reset(self) -> Any:
        """First observations [n, obs]; a seed given to `seed` starts its first episodes."""
        if self._seeds[0] is not None:
            self.copies.reset(self._seeds[0])
        else:
            self.copies.skip(self.copies.episodes + 1)
        self._reset_seeds()
        self._reset_options()
        return self.copies.observations.copy()

    def step_async(self, actions: Any) -> None:
        """Keep `actions` [n] for `step_wait`."""
        self._chosen = actions

    def step_wait(self) -> Any:
        """(observations [n, obs], rewards [n], dones [n], infos) of a step.

        Infos are empty but where an episode ended; they are not to be written to.
        """
        copies = self.copies
        copies.step(self._chosen)
        self._steps += self.num_envs
        if self.first_reward is None and copies.rewards.any():
            self.first_reward = self._steps
        infos = self._no_infos
        if copies.ended.any():
            infos = infos.copy()
            for i in np.flatnonzero(copies.ended):
                infos[i] = {
                    "terminal_observation": copies.final_observations[i].copy(),
                    "TimeLimit.truncated": bool(copies.truncated[i]),
                }
        rewards = copies.rewards.astype(np.float32)
        return copies.observations.copy(), rewards, copies.ended.copy(), infos

    def close(self) -> None:
        """Release the copies."""
        close = getattr(self.copies.world, "close", None)
        if close is not None:
            close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """``render_mode`` is None and ``action_masks`` is known; AttributeError otherwise."""
        if attr_name == "render_mode":
            return [None for _ in self._indices(indices)]
        if attr_name == "action_masks":
            return self.env_method(attr_name, indices=indices)
        raise AttributeError(f"copies of a task have no attribute {attr_name!r}")

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Nothing can be set: copies share one compiled world."""
        raise AttributeError(f"copies of a task have no attribute {attr_name!r} to set")

    def env_method(
        self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any
    ) -> list[Any]:
        """``action_masks`` alone: rows [A] of the states now standing."""
        if method_name != "action_masks":
            raise AttributeError(f"copies of a task have no method {method_name!r}")
        masks = self.copies.masks
        return list(masks.copy() if indices is None else masks[list(self._indices(indices))])

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        """Never."""
        return [False for _ in self._indices(indices)]

    def _indices(self, indices: Any) -> Iterable[int]:
        if indices is None:
            return range(self.num_envs)
        return [indices] if isinstance(indices, int) else indices


def spaces_of(task: Task) -> tuple[gymnasium.spaces.Box, gymnasium.spaces.Discrete]:
    """Spaces of observations and actions, as in the gymnasium adapters."""
    bound, shape = OBSERVATION_BOUND, (task.observation_size,)
    box = gymnasium.spaces.Box(-bound, bound, shape, np.float32)
    return box, gymnasium.spaces.Discrete(task.n_actions)


class NetworkPolicy:
    """An actor-critic network as a `powerseek.types.Policy`.

    Unmasked (``ppo``) it gives illegal actions their weight: it was trained where they waste a
    step, and there it acts.

    Args:
        network: The actor-critic network.
        masked: Whether it was trained over legal actions alone.
    """

    def __init__(self, network: Any, masked: bool) -> None:
        self.network, self.masked = network, masked

    def probabilities(self, situation: Situation) -> Floats:
        """Action probabilities [n, A]; rows sum to 1.

        Those of the library's distribution without the cost of building one: the softmax, in
        double precision, of what the policy's layers give. Copies that see the same are computed
        once: side by side in a small world, most do.
        """
        network, observations = self.network, situation.observations
        first, which = distinct(observations)
        # A copy: BLAS may add in another order where an array starts at another address.
        seen = torch.tensor(observations.take(first, axis=0), device=network.device)
        with torch.inference_mode():
            features = network.pi_features_extractor(seen)
            logits = network.action_net(network.mlp_extractor.policy_net(features))
        return softmax(logits.cpu().numpy(), which, situation.masks, self.masked)


class _Report(BaseCallback):
    """Hands progress to ours, between updates, and keeps a checkpoint after it."""

    def __init__(
        self, callback: Callback, policy: NetworkPolicy, envs: TaskVecEnv, kept: _Kept
    ) -> None:
        super().__init__()
        self.ours, self.policy, self.envs, self.kept = callback, policy, envs, kept
        self.go_on = True
        self.told = -1

    def tell(self) -> None:
        """Once per count of environment steps."""
        if self.go_on and self.told != self.num_timesteps:
            self.told = self.num_timesteps
            updates = gradient_steps(self.model)
            now = Progress(self.told, updates, self.policy, self.envs.first_reward)
            self.go_on = self.ours(now) is not False
            if self.go_on:
                self.kept.keep(self.model, self.envs)

    def _on_rollout_start(self) -> None:
        self.tell()

    def _on_step(self) -> bool:
        return self.go_on


@dataclass(frozen=True)
class _Kept:
    """A training's checkpoint, or none."""

    checkpoint: Checkpoint | None
    of: Mapping[str, Any]

    def keep(self, model: Any, envs: TaskVecEnv) -> None:
        """Write it, if one is due."""
        if self.checkpoint is not None and self.checkpoint.due:
            self.checkpoint.write(self.of, take_down(model, envs, self.checkpoint.keep()))

    def restore(self, model: Any, envs: TaskVecEnv) -> bool | None:
        """True if training goes on from it, False if it starts at zero.

        None if it starts at zero and `model` and `envs` must be made anew for that.
        """
        if self.checkpoint is None:
            return False
        parts = self.checkpoint.read(self.of)
        if parts is None:
            return False
        try:
            self.checkpoint.take(put_back(model, envs, parts))
        except Exception as error:  # whatever a strange file does, zero is right
            self.checkpoint.ignore(f"cannot be used ({type(error).__name__})")
            return None
        return True


def gradient_steps(model: Any) -> int:
    """Gradient steps that a PPO has taken (the library counts passes over its buffer)."""
    return int(model._n_updates * (model.n_steps * model.n_envs // model.batch_size))


def train_ppo(
    task: Task,
    agent: str,
    seed: int,
    timesteps: int,
    settings: Settings,
    callback: Callback | None = None,
    device: str = "cpu",
    checkpoint: Checkpoint | None = None,
) -> TrainedAgent:
    """Train ``ppo`` or ``maskable-ppo`` from complete settings; see `powerseek.agents.train`."""
    torch.set_num_threads(1)
    envs, model = _new(task, agent, seed, settings, device)
    rules = getattr(envs.copies.world, "rules", None)
    of = training_card(task, agent, seed, timesteps, settings, model.device.type, rules)
    kept = _Kept(None if isinstance(task.world, ForeignWorld) else checkpoint, of)
    resumed = kept.restore(model, envs)
    if resumed is None:
        envs, model = _new(task, agent, seed, settings, device)
    policy = NetworkPolicy(model.policy, agent == "maskable-ppo")
    report = _Report(callback or _carry_on, policy, envs, kept)
    if resumed:
        report.told = model.num_timesteps
        # What is asked for counts from here on; the total, and so the schedule, is as before.
        ahead = timesteps - model.num_timesteps
        model.learn(ahead, callback=report, log_interval=None, reset_num_timesteps=False)
    else:
        model.learn(timesteps, callback=report, log_interval=None)
    report.num_timesteps = model.num_timesteps
    report.tell()
    policy.network.set_training_mode(False)
    envs.close()
    steps = report.told if not report.go_on else model.num_timesteps
    return TrainedAgent(
        agent,
        policy,
        steps,
        gradient_steps(model),
        envs.first_reward,
        dict(settings),
        model,
    )


def _new(
    task: Task, agent: str, seed: int, settings: Settings, device: str
) -> tuple[TaskVecEnv, Any]:
    """Copies of the task and an untrained model; every generator is seeded."""
    envs = TaskVecEnv(task, settings["n_envs"], seed)
    schedule = LinearSchedule(settings["learning_rate"], settings["final_learning_rate"], 1.0)
    model = ALGORITHMS[agent](
        NETWORKS[agent],
        envs,
        learning_rate=schedule,
        gamma=task.gamma,
        policy_kwargs=network_settings(settings),
        seed=seed,
        device=device,
        **{name: settings[name] for name in PASSED_ON},
    )
    # Its default logger leaves a folder behind at every training.
    model.set_logger(Logger(folder=None, output_formats=[]))
    return envs, model


def _carry_on(progress: Progress) -> None:
    return None


def network_settings(settings: Settings) -> dict[str, Any]:
    """What the library calls the network of complete `settings`."""
    return {
        "net_arch": list(settings["net"]),
        "activation_fn": _ACTIVATIONS[settings["activation"]],
    }


def save_agent(trained: TrainedAgent, task: Task, path: str | Path) -> Path:
    """Write a trained network: a zip that Stable-Baselines3 reads too, with our card in it.

    Args:
        trained: What `train` gave, with a model.
        task: What it was trained on.
        path: Where; `.zip` is added to a name without it. Written whole or not at all.

    Returns:
        The path written.
    """
    path = Path(path)
    path = path if path.suffix == ".zip" else path.with_name(f"{path.name}.zip")
    part = path.with_name(f".{path.stem}.part.zip")
    trained.model.save(part)
    card = {
        "agent": trained.agent,
        **_card(task),
        "settings": dict(trained.settings),
        "timesteps": trained.timesteps,
        "updates": trained.updates,
        "first_reward": trained.first_reward,
    }
    with zipfile.ZipFile(part, "a") as archive:
        archive.writestr(CARD, json.dumps(card))
    os.replace(part, path)
    return path


def _card(task: Task) -> dict[str, Any]:
    """What a task is, as plain values."""
    world = task.world
    return {
        "world": world.id,
        "version": world.version,
        "params": world.params._asdict(),
        "task": {
            "reward": task.reward,
            "gamma": task.gamma,
            "time_limit": task.time_limit,
            "power_weight": task.power_weight,
            "windows": list(task.windows),
            "holdings_scale": task.holdings_scale,
        },
        "observations": list(task.observation_names),
        "actions": list(world.action_names),
    }


def training_card(
    task: Task,
    agent: str,
    seed: int,
    timesteps: int,
    settings: Settings,
    device: str,
    rules: str | None,
) -> dict[str, Any]:
    """What a training is, as plain values: all on which its numbers depend, versions aside."""
    return {
        "agent": agent,
        "seed": seed,
        "timesteps": timesteps,
        "settings": dict(settings),
        "device": device,
        "rules": rules,
        **_card(task),
    }


def read_card(path: str | Path) -> dict[str, Any]:
    """What `save_agent` wrote beside the weights.

    Raises:
        InvalidInput: Not a model that powerseek saved.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            card: dict[str, Any] = json.loads(archive.read(CARD))
        lacking = [name for name in _ON_CARD if name not in card]
        if lacking or card["agent"] not in NETWORKS:
            raise ValueError("not a page that powerseek wrote")
    except (OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise _no_model(path, f"{type(error).__name__}: {error}.") from None
    return card


def _no_model(path: str | Path, why: str) -> InvalidInput:
    return InvalidInput("model", str(path), "a model that powerseek saved", why)


def load_agent(path: str | Path, task: Task | None = None, device: str = "cpu") -> TrainedAgent:
    """Read a saved network. Only weights are read: nothing in the file is executed.

    Args:
        path: A model that `save_agent` wrote.
        task: Where it is to act; checked.
        device: Where the network lives.

    Raises:
        InvalidInput: Not such a model, or one that sees or does other things than the task.
    """
    card = read_card(path)
    if task is not None:
        _check_fit(path, "observations", card["observations"], task.observation_names)
        _check_fit(path, "actions", card["actions"], task.world.action_names)
    try:
        network = _network(card, device)
        with zipfile.ZipFile(path) as archive, archive.open("policy.pth") as weights:
            network.load_state_dict(torch.load(weights, device, weights_only=True))
    except Exception as error:  # whatever a strange file does: torch raises many kinds
        reason = "its weights are damaged, or do not fit the settings it names"
        raise _no_model(path, f"{type(error).__name__}: {reason}.") from None
    network.set_training_mode(False)
    return TrainedAgent(
        card["agent"],
        NetworkPolicy(network, card["agent"] in MASKED),
        card["timesteps"],
        card["updates"],
        card["first_reward"],
        card["settings"],
    )


def _network(card: Mapping[str, Any], device: str) -> Any:
    """The network that a card tells of, untrained."""
    bound, width = OBSERVATION_BOUND, len(card["observations"])
    return NETWORKS[card["agent"]](
        gymnasium.spaces.Box(-bound, bound, (width,), np.float32),
        gymnasium.spaces.Discrete(len(card["actions"])),
        lambda _: 0.0,
        **network_settings(card["settings"]),
    ).to(device)


def task_of(card: Mapping[str, Any], world: Any) -> Task:
    """The task of a saved model, in `world`."""
    task = dict(card["task"])
    return Task(world, **{**task, "windows": tuple(task["windows"])})


def _check_fit(path: str | Path, what: str, saved: Sequence[str], here: Sequence[str]) -> None:
    if list(saved) == list(here):
        return
    other = [name for name in here if name not in saved] or [n for n in saved if n not in here]
    raise InvalidInput(
        "model",
        str(path),
        f"a model with the {what} of the task ({len(here)}, the model has {len(saved)}; "
        f"first difference: {other[0] if other else 'their order'})",
    )
