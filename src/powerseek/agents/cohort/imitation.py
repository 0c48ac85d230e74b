"""Behaviour cloning as an agent: demonstrators gather the experience that it learns from."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from powerseek.agents.cohort.cloning import Cloning
from powerseek.agents.cohort.ppo import BACKWARD, Learner, Workspace
from powerseek.agents.job import Job
from powerseek.agents.phases import Demonstrations, read_demonstrators, split
from powerseek.agents.rollout import sample_actions
from powerseek.types import Ints, Situation


class Imitator(Learner):
    """One agent that imitates: the network, optimiser and environments of ``cohort-ppo``.

    Args:
        job: What is trained; the setting ``of`` says by whom.
    """

    id = "imitation"

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        settings = job.settings
        who = read_demonstrators(settings["of"], job.task, "settings.of")
        ends = np.cumsum([0, *split(settings["n_envs"], who)]).tolist()
        self._shown = [
            (slice(start, end), one.policy(job.task, job.seed))
            for one, start, end in zip(who, ends, ends[1:], strict=False)
            if end > start
        ]
        self._cloning = Cloning(self.networks, settings["batch_size"], job.device)

    def collect(self, workspace: Workspace) -> None:
        """Fill the experience with what the demonstrators do."""
        buffer, envs = workspace.buffer, self.envs
        draws = self.acting.random((buffer.steps, buffer.n))
        for t in range(buffer.steps):
            now = buffer.at(t)
            buffer.observations[now], buffer.masks[now] = envs.observations, envs.masks
            actions, standing = buffer.actions[now], envs.situation
            for own, policy in self._shown:
                seen = Situation(
                    standing.observations[own],
                    standing.masks[own],
                    standing.states[own],
                    standing.actor,
                )
                actions[own] = sample_actions(policy.probabilities(seen), draws[t, own])
            envs.step(actions)
            self.timesteps += buffer.n
            if self.first_reward is None and envs.rewards.any():
                self.first_reward = self.timesteps
        self.spend(demonstrations=len(buffer.actions))

    def learn(self, workspace: Workspace, orders: Iterable[Ints]) -> None:
        """One update: see Learner.learn."""
        buffer, settings = workspace.buffer, self.job.settings
        shown = Demonstrations(buffer.observations, buffer.masks, buffer.actions)
        size, rate, losses = settings["batch_size"], self.learning_rate, list[float]()
        for order in orders:
            for start in range(0, len(order), size):
                rows = order[start : start + size]
                losses.append(
                    self._cloning.step(self.adam, shown, rows, rate, settings["max_grad_norm"])
                )
                self.updates += 1
        self.losses = {"imitation_loss": float(np.mean(losses))}
        passes = settings["n_epochs"] * len(buffer.actions)
        self.spend(flops=BACKWARD * self.networks.flops[0] * passes)
