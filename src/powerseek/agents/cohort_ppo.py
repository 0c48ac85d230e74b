"""PPO for one agent of a cohort: collect experience, estimate advantages, take gradient steps.

The algorithm and its constants are those of MaskablePPO of sb3-contrib (Huang and Ontanon 2020,
arXiv:2006.14171) as `powerseek.agents.sb3` uses it; what it draws comes from streams of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.utils import LinearSchedule

from powerseek.agents.cohort_loss import (
    draw_actions,
    estimate_advantages,
    policy_slope,
    value_slope,
)
from powerseek.agents.cohort_net import Adam, Networks, Scratch, clip_norm
from powerseek.agents.training import Settings
from powerseek.envs.task import Task, VecTask
from powerseek.types import Floats, Ints

_ACTING, _SHUFFLING = 0x616374, 0x736875
"""Streams below an agent's seed."""

LOSSES = ("policy_loss", "entropy", "divergence", "clip_share", "value_loss", "slope_norm")
"""What `Learner.losses` holds."""


class Experience:
    """What an agent met between two updates: n copies, T steps each, flattened step by step.

    Args:
        steps: T.
        n: Copies.
        inputs: Width of the observation.
        actions: Number of actions A.

    Attributes:
        observations: [T n, inputs] stepped from.
        masks: [T n, A] legal there.
        actions: [T n] done there.
        log_probabilities: [T n] of that, when it was done.
        rewards: [T, n]; gamma x the value of the last state added where the cap cut an episode.
        ended: [T, n] whether the episode ended with that step.
        values: [T + 1, n] of the states stepped from and of those left standing.
        advantages: [T, n].
        returns: [T, n].
    """

    def __init__(self, steps: int, n: int, inputs: int, actions: int) -> None:
        self.steps, self.n = steps, n
        self.observations = torch.zeros(steps * n, inputs)
        self.masks = np.zeros((steps * n, actions), np.bool_)
        self.actions = np.zeros(steps * n, np.int64)
        self.log_probabilities = np.zeros(steps * n)
        self.rewards = np.zeros((steps, n))
        self.ended = np.zeros((steps, n), np.bool_)
        self.values = np.zeros((steps + 1, n))
        self.advantages = np.zeros((steps, n))
        self.returns = np.zeros((steps, n))

    def at(self, step: int) -> slice:
        """The rows of one step."""
        return slice(step * self.n, (step + 1) * self.n)

    def estimate(self, gamma: float, gae_lambda: float) -> None:
        """Fill `advantages` and `returns`."""
        estimate_advantages(
            self.rewards,
            self.values,
            self.ended,
            float(gamma),
            float(gae_lambda),
            self.advantages,
            self.returns,
        )


class Workshop:
    """Where agents of a cohort take turns to compute.

    It is filled anew for every update, and its sizes do not depend on how many agents there are,
    so an agent computes the same numbers whoever else does.

    Args:
        settings: Complete settings.
        inputs: Width of the observation.
        actions: Number of actions A.
    """

    def __init__(self, settings: Settings, inputs: int, actions: int) -> None:
        n, net = settings["n_envs"], settings["net"]
        self.experience = Experience(settings["n_steps"], n, inputs, actions)
        self.step = Scratch(n, inputs, net, actions)
        self.batch = Scratch(settings["batch_size"], inputs, net, actions)


class Learner:
    """One agent: its networks, its optimiser, its copies of the task and its own chance.

    Args:
        task: What it is trained on.
        seed: Seed of exploration, of shuffles and of the copies' chance.
        timesteps: Environment steps asked for: the schedule of the learning rate.
        settings: Complete settings.
        network: Its untrained actor-critic network, which from now on follows the training.

    Attributes:
        timesteps: Environment steps taken, all copies together.
        updates: Gradient steps taken.
        first_reward: Environment steps at which a reward other than 0 was first paid.
        losses: Means over the last update, by name; empty before it.
        acting: Where the draws of actions come from.
        shuffling: Where the order of minibatches comes from.
    """

    def __init__(
        self,
        task: Task,
        seed: int,
        timesteps: int,
        settings: Settings,
        network: Any,
    ) -> None:
        self.task, self.settings = task, settings
        self.networks = Networks(network)
        self.adam = Adam(len(self.networks.weights))
        self.copies = VecTask(task, settings["n_envs"], seed)
        self.total = timesteps
        self.timesteps = self.updates = 0
        self.first_reward: int | None = None
        self.losses: dict[str, float] = {}
        self._rates = LinearSchedule(
            settings["learning_rate"], settings["final_learning_rate"], 1.0
        )
        self.acting = np.random.default_rng([seed, _ACTING])
        self.shuffling = np.random.default_rng([seed, _SHUFFLING])

    @property
    def learning_rate(self) -> float:
        """By how much of the steps asked for have been taken."""
        return float(self._rates(1.0 - self.timesteps / self.total))

    @property
    def sound(self) -> bool:
        """Whether every weight is a number."""
        return bool(torch.isfinite(self.networks.weights).all())

    def iterate(self, workshop: Workshop) -> None:
        """Collect experience once and learn from it."""
        self.collect(workshop)
        rows = len(workshop.experience.actions)
        epochs = range(self.settings["n_epochs"])
        self.learn(workshop, (self.shuffling.permutation(rows) for _ in epochs))

    def collect(self, workshop: Workshop) -> None:
        """Fill the experience: T steps of every copy under the present weights."""
        met, copies, scratch = workshop.experience, self.copies, workshop.step
        draws = self.acting.random((met.steps, met.n))
        observations = met.observations.numpy()
        for t in range(met.steps):
            now = met.at(t)
            observations[now] = copies.observations
            met.masks[now] = copies.masks
            scratch.inputs.copy_(met.observations[now])
            logits = self.networks.logits(scratch).numpy()
            actions = met.actions[now]
            draw_actions(logits, met.masks[now], draws[t], actions, met.log_probabilities[now])
            copies.step(actions)
            self.timesteps += met.n
            met.rewards[t] = copies.rewards
            met.ended[t] = copies.ended
            if self.first_reward is None and met.rewards[t].any():
                self.first_reward = self.timesteps
            if copies.truncated.any():
                ahead = self._values(scratch, copies.final_observations)
                met.rewards[t] += np.where(copies.truncated, self.task.gamma * ahead, 0.0)
        met.values[-1] = self._values(scratch, copies.observations)
        self._value_experience(workshop)
        met.estimate(self.task.gamma, self.settings["gae_lambda"])

    def learn(self, workshop: Workshop, orders: Iterable[Ints]) -> None:
        """One update: a pass over the experience for each of `orders`.

        Args:
            workshop: Where the experience is.
            orders: Permutations of the experience's rows.
        """
        rate, size = self.learning_rate, self.settings["batch_size"]
        found: list[tuple[float, ...]] = []
        for order in orders:
            for start in range(0, len(order), size):
                found.append(self._descend(workshop, order[start : start + size], rate))
        self.losses = dict(zip(LOSSES, np.mean(found, axis=0).tolist(), strict=True))

    def _descend(self, workshop: Workshop, rows: Ints, rate: float) -> tuple[float, ...]:
        losses = self.slope(workshop, rows)
        networks = self.networks
        norm = clip_norm(networks.slope, self.settings["max_grad_norm"])
        self.adam.step(networks.weights, networks.slope, rate)
        self.updates += 1
        return *losses, norm

    def slope(self, workshop: Workshop, rows: Ints) -> tuple[float, ...]:
        """Fill the networks' `slope` with the gradient of the loss on `rows` of the experience.

        Returns:
            The means that `LOSSES` names, without the last.
        """
        met, scratch, chosen = workshop.experience, workshop.batch, self.settings
        networks = self.networks
        torch.index_select(met.observations, 0, torch.from_numpy(rows), out=scratch.inputs)
        parts = policy_slope(
            networks.logits(scratch).numpy(),
            rows,
            met.masks,
            met.actions,
            met.log_probabilities,
            met.advantages.reshape(-1),
            float(chosen["clip_range"]),
            float(chosen["ent_coef"]),
            scratch.logits_slope.numpy(),
        )
        networks.backward_policy(scratch)
        error = value_slope(
            networks.values(scratch).numpy(),
            rows,
            met.returns.reshape(-1),
            float(chosen["vf_coef"]),
            scratch.values_slope.numpy(),
        )
        networks.backward_value(scratch)
        return *parts, error

    def _values(self, scratch: Scratch, observations: Any) -> Floats:
        """[n] of one state a copy."""
        scratch.inputs.copy_(torch.from_numpy(observations))
        found: Floats = self.networks.values(scratch).numpy()[:, 0]
        return found

    def _value_experience(self, workshop: Workshop) -> None:
        """Values of all states stepped from: the weights have not changed since."""
        met, scratch = workshop.experience, workshop.batch
        rows, flat = len(scratch.inputs), met.values[:-1].reshape(-1)
        for start in range(0, len(flat), rows):
            part = slice(start, start + rows)
            scratch.inputs.copy_(met.observations[part])
            flat[part] = self.networks.values(scratch).numpy()[:, 0]
