"""PPO for one agent of a cohort: collect experience, estimate advantages, take gradient steps.

The algorithm and its constants are those of MaskablePPO of sb3-contrib (Huang and Ontanon 2020,
arXiv:2006.14171) as `powerseek.agents.sb3.adapter` uses it; what it draws comes from streams
of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from powerseek.agents.base import Agent
from powerseek.agents.cohort.backend import network_passes
from powerseek.agents.cohort.export import library_model, untrained_network
from powerseek.agents.cohort.loss import draw_actions, estimate_advantages
from powerseek.agents.cohort.network import Adam, Networks
from powerseek.agents.cohort.policy import CohortPolicy
from powerseek.agents.job import Job, Settings, TrainedAgent
from powerseek.agents.sb3.learner import learning_rates
from powerseek.agents.sb3.state import check_tensors
from powerseek.envs.task import VecTask
from powerseek.errors import PowerseekError
from powerseek.types import Ints

_ACTING, _SHUFFLING = 0x616374, 0x736875
"""Streams below an agent's seed."""

LOSSES = ("policy_loss", "entropy", "divergence", "clip_fraction", "value_loss", "grad_norm")
"""What `Learner.losses` holds."""


class Diverged(PowerseekError):
    """A training has no numbers any more."""


class RolloutBuffer:
    """Experience between two updates: n environments, T steps each, flattened step by step.

    Args:
        steps: T.
        n: Number of environments.
        inputs: Width of the observation.
        actions: Number of actions A.

    Attributes:
        observations: [T n, inputs] stepped from.
        masks: [T n, A] legal there.
        actions: [T n] done there.
        log_probabilities: [T n] of that, when it was done.
        rewards: [T, n]; gamma x the value of the last state added where an episode was cut.
        ended: [T, n] True where the episode ended with that step.
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


class Workspace:
    """Memory in which agents of a cohort take turns to compute.

    It is filled anew for every update, and its sizes do not depend on how many agents there are,
    so an agent computes the same numbers whoever else does.

    Args:
        settings: Complete settings.
        inputs: Width of the observation.
        actions: Number of actions A.
        device: Where the networks are, as PyTorch names it.
    """

    def __init__(self, settings: Settings, inputs: int, actions: int, device: str = "cpu") -> None:
        self.buffer = RolloutBuffer(settings["n_steps"], settings["n_envs"], inputs, actions)
        self.passes = network_passes(settings, inputs, actions, device)


class Learner(Agent):
    """One agent: its networks, its optimiser, its environments and its own chance.

    Args:
        job: What is trained.
        network: Its untrained actor-critic network, which from now on follows the training; by
            default the one that ``maskable-ppo`` has at this seed.

    Attributes:
        envs: The environments.
        acting: Where the draws of actions come from.
        shuffling: Where the order of minibatches comes from.
    """

    id = "cohort-ppo"
    learns = True

    def __init__(self, job: Job, network: Any = None) -> None:
        super().__init__(job)
        settings = job.settings
        if network is None:
            network = untrained_network(job.task, job.seed, settings)
        self.networks = Networks(network, job.device)
        self.policy: CohortPolicy = CohortPolicy(network, self.networks)
        self.adam = Adam(len(self.networks.weights), job.device)
        self.envs = VecTask(job.task, settings["n_envs"], job.seed)
        self._rates = learning_rates(settings)
        self.acting = np.random.default_rng([job.seed, _ACTING])
        self.shuffling = np.random.default_rng([job.seed, _SHUFFLING])

    @property
    def learning_rate(self) -> float:
        """By how much of the steps asked for have been taken."""
        return float(self._rates(1.0 - self.timesteps / self.job.timesteps))

    def update_in(self, workspace: Workspace) -> None:
        """One update, computed in `workspace`.

        Raises:
            Diverged: A weight is no number any more.
        """
        self.collect(workspace)
        rows = len(workspace.buffer.actions)
        epochs = range(self.job.settings["n_epochs"])
        self.learn(workspace, (self.shuffling.permutation(rows) for _ in epochs))
        if not torch.isfinite(self.networks.weights).all():
            raise Diverged("its weights ceased to be numbers")

    def collect(self, workspace: Workspace) -> None:
        """Fill the experience: T steps of every environment under the present weights."""
        buffer, envs, passes = workspace.buffer, self.envs, workspace.passes
        draws = self.acting.random((buffer.steps, buffer.n))
        for t in range(buffer.steps):
            now = buffer.at(t)
            buffer.observations[now] = envs.observations
            buffer.masks[now] = envs.masks
            logits = passes.logits(self.networks, envs.observations)
            actions = buffer.actions[now]
            draw_actions(logits, envs.masks, draws[t], actions, buffer.log_probabilities[now])
            envs.step(actions)
            self.timesteps += buffer.n
            buffer.rewards[t] = envs.rewards
            buffer.ended[t] = envs.ended
            if self.first_reward is None and buffer.rewards[t].any():
                self.first_reward = self.timesteps
            if envs.truncated.any():
                ahead = passes.values(self.networks, envs.final_observations)[:, 0]
                buffer.rewards[t] += np.where(envs.truncated, self.job.task.gamma * ahead, 0.0)
        buffer.values[-1] = passes.values(self.networks, envs.observations)[:, 0]
        # Of all states stepped from at once: the weights have not changed since.
        buffer.values[:-1].reshape(-1)[:] = passes.values(self.networks, buffer.observations)[:, 0]
        buffer.estimate(self.job.task.gamma, self.job.settings["gae_lambda"])

    def learn(self, workspace: Workspace, orders: Iterable[Ints]) -> None:
        """One update: a pass over the experience for each of `orders`.

        Args:
            workspace: Where the experience is.
            orders: Permutations of the experience's rows.
        """
        rate, size = self.learning_rate, self.job.settings["batch_size"]
        losses: list[tuple[float, ...]] = []
        for order in orders:
            for start in range(0, len(order), size):
                losses.append(self._descend(workspace, order[start : start + size], rate))
        self.losses = dict(zip(LOSSES, np.mean(losses, axis=0).tolist(), strict=True))

    def _descend(self, workspace: Workspace, rows: Ints, rate: float) -> tuple[float, ...]:
        losses = self.grad(workspace, rows)
        networks, max_norm = self.networks, self.job.settings["max_grad_norm"]
        norm = self.adam.step(networks.weights, networks.grad, rate, max_norm)
        self.updates += 1
        return *losses, norm

    def grad(self, workspace: Workspace, rows: Ints) -> tuple[float, ...]:
        """Fill the networks' `grad` with the gradient of the loss on `rows` of the experience.

        Returns:
            The means that `LOSSES` names, without the last.
        """
        return workspace.passes.grad(self.networks, workspace.buffer, rows, self.job.settings)

    def state_dict(self) -> dict[str, Any]:
        """See Agent.state_dict; experience is left out: it is gathered anew."""
        return {
            **{name: part.cpu().numpy() for name, part in self._numbers().items()},
            "envs": self.envs.snapshot(),
            "adam_steps": self.adam.steps,
            "acting": self.acting.bit_generator.state,
            "shuffling": self.shuffling.bit_generator.state,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See Agent.load_state_dict; nothing in the state is executed."""
        numbers = self._numbers()
        kept = {name: torch.from_numpy(state[name]) for name in numbers}
        check_tensors(numbers, kept)
        for name, part in numbers.items():
            part.copy_(kept[name])
        self.envs.restore(state["envs"])
        self.adam.steps = int(state["adam_steps"])
        self.acting.bit_generator.state = state["acting"]
        self.shuffling.bit_generator.state = state["shuffling"]

    def _numbers(self) -> dict[str, torch.Tensor]:
        """Tensors that an update changes in place."""
        networks, adam = self.networks, self.adam
        return {"weights": networks.weights, "mean": adam.mean, "square": adam.square}

    def trained(self) -> TrainedAgent:
        """See Agent.trained: a model of the library's own class, which anybody can open."""
        self.envs.close()
        model = library_model(self.job, self.timesteps, self.updates, self.policy.network)
        model.policy.set_training_mode(False)
        policy = CohortPolicy(model.policy, self.networks)
        return replace(super().trained(), policy=policy, model=model)
