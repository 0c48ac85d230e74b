"""PPO for one agent of a cohort: collect experience, estimate advantages, take gradient steps.

The algorithm and its constants are those of MaskablePPO of sb3-contrib (Huang and Ontanon 2020,
arXiv:2006.14171) as `powerseek.agents.sb3.adapter` uses it; what it draws comes from streams
of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.utils import LinearSchedule

from powerseek.agents.base import Settings
from powerseek.agents.cohort.backend import passes
from powerseek.agents.cohort.loss import draw_actions, estimate_advantages
from powerseek.agents.cohort.network import Adam, Networks
from powerseek.envs.task import Task, VecTask
from powerseek.types import Ints

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
        self.observations = np.zeros((steps * n, inputs), np.float32)
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
        device: Where the networks are, as PyTorch names it.
    """

    def __init__(self, settings: Settings, inputs: int, actions: int, device: str = "cpu") -> None:
        self.experience = Experience(settings["n_steps"], settings["n_envs"], inputs, actions)
        self.passes = passes(settings, inputs, actions, device)


class Learner:
    """One agent: its networks, its optimiser, its copies of the task and its own chance.

    Args:
        task: What it is trained on.
        seed: Seed of exploration, of shuffles and of the copies' chance.
        timesteps: Environment steps asked for: the schedule of the learning rate.
        settings: Complete settings.
        network: Its untrained actor-critic network, which from now on follows the training.
        device: Where it is to live, as PyTorch names it.

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
        device: str = "cpu",
    ) -> None:
        self.task, self.settings = task, settings
        self.networks = Networks(network, device)
        self.adam = Adam(len(self.networks.weights), device)
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
        met, copies, shop = workshop.experience, self.copies, workshop.passes
        draws = self.acting.random((met.steps, met.n))
        for t in range(met.steps):
            now = met.at(t)
            met.observations[now] = copies.observations
            met.masks[now] = copies.masks
            logits = shop.logits(self.networks, copies.observations)
            actions = met.actions[now]
            draw_actions(logits, copies.masks, draws[t], actions, met.log_probabilities[now])
            copies.step(actions)
            self.timesteps += met.n
            met.rewards[t] = copies.rewards
            met.ended[t] = copies.ended
            if self.first_reward is None and met.rewards[t].any():
                self.first_reward = self.timesteps
            if copies.truncated.any():
                ahead = shop.values(self.networks, copies.final_observations)[:, 0]
                met.rewards[t] += np.where(copies.truncated, self.task.gamma * ahead, 0.0)
        met.values[-1] = shop.values(self.networks, copies.observations)[:, 0]
        # Of all states stepped from at once: the weights have not changed since.
        met.values[:-1].reshape(-1)[:] = shop.values(self.networks, met.observations)[:, 0]
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
        networks, most = self.networks, self.settings["max_grad_norm"]
        norm = self.adam.step(networks.weights, networks.slope, rate, most)
        self.updates += 1
        return *losses, norm

    def slope(self, workshop: Workshop, rows: Ints) -> tuple[float, ...]:
        """Fill the networks' `slope` with the gradient of the loss on `rows` of the experience.

        Returns:
            The means that `LOSSES` names, without the last.
        """
        return workshop.passes.slope(self.networks, workshop.experience, rows, self.settings)
