"""PPO for one agent of a cohort: collect experience, estimate advantages, take gradient steps.

The algorithm and its constants are those of MaskablePPO of sb3-contrib (Huang and Ontanon 2020,
arXiv:2006.14171) as `powerseek.agents.sb3.adapter` uses it; what it draws comes from streams
of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from powerseek.agents.base import Agent
from powerseek.agents.cohort.backend import network_passes
from powerseek.agents.cohort.cloning import Cloning, log_softmax
from powerseek.agents.cohort.export import library_model, untrained_network
from powerseek.agents.cohort.loss import draw_actions, estimate_advantages
from powerseek.agents.cohort.network import Adam, Networks
from powerseek.agents.cohort.policy import CohortPolicy
from powerseek.agents.job import Job, Settings, TrainedAgent
from powerseek.agents.phases import (
    WITHOUT,
    Imitation,
    Leash,
    Reinforcement,
    demonstrations,
    phase_ends,
    phase_labels,
    phase_seed,
    phase_task,
    read_phases,
)
from powerseek.agents.sb3.learner import learning_rates
from powerseek.agents.sb3.state import check_tensors
from powerseek.agents.settings import PHASES
from powerseek.envs.rewards.oversight import Nothing
from powerseek.envs.task import VecTask
from powerseek.errors import InvalidInput, PowerseekError
from powerseek.types import Floats, Ints, Policy

_ACTING, _SHUFFLING, _CLONING = 0x616374, 0x736875, 0x636C6F
"""Streams below an agent's seed."""

BACKWARD = 3
"""Forward passes that one is with the pass backward that follows it."""

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
        phases: What it goes through (`powerseek.agents.phases`).
        phase: Number of the one it is in; that of the last once all are over.
        ended: The policy as each phase left it that is over.
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
        self._rates = learning_rates(settings)
        self.acting = np.random.default_rng([job.seed, _ACTING])
        self.shuffling = np.random.default_rng([job.seed, _SHUFFLING])
        written = settings.get(PHASES)
        self.phases = WITHOUT if written is None else read_phases(written, job.task)
        self._ends = phase_ends(
            self.phases, job.timesteps, settings["n_envs"] * settings["n_steps"]
        )
        self.phase, self.ended = 0, list[CohortPolicy]()
        self._prior: Policy | None = None
        first = next(i for i, one in enumerate(self.phases) if isinstance(one, Reinforcement))
        self.envs = self._environments(first, job.seed)
        self._begin()

    def _environments(self, phase: int, seed: int) -> VecTask:
        task = phase_task(self.phases[phase], self.job.task, self.job.seed)
        if bought := phase_labels(self.phases, phase, self.job.task, task):
            self.spend(labels=bought)
        return VecTask(task, self.job.settings["n_envs"], seed)

    @property
    def _paid(self) -> bool:
        """Whether the phase pays anything; if not, nothing is learnt from it."""
        task = self.envs.task
        return bool(task.power_weight) or not isinstance(task.reward_function, Nothing)

    def _begin(self) -> None:
        """Go through imitation, up to a phase that gathers experience or the end of all."""
        while isinstance(phase := self.phases[self.phase], Imitation):
            self._imitate(phase)
            if not self._end():
                return
        self._hold()

    def _imitate(self, phase: Imitation) -> None:
        seed, settings = phase_seed(self.job.seed, self.phase), self.job.settings
        shown = demonstrations(phase, self.job.task, seed) if phase.steps else None
        if shown is None or not len(shown.actions):
            return
        chance = np.random.default_rng([seed, _CLONING])
        cloning = Cloning(self.networks, phase.batch_size, self.job.device)
        rate, max_norm = self.learning_rate, settings["max_grad_norm"]
        for _ in range(phase.steps):
            rows = chance.integers(len(shown.actions), size=phase.batch_size)
            loss = cloning.step(self.adam, shown, rows, rate, max_norm)
            self.updates += 1
        flops = BACKWARD * self.networks.flops[0] * phase.steps * phase.batch_size
        self.spend(flops=flops, demonstrations=len(shown.actions))
        self.losses = {"imitation_loss": loss}

    def _end(self) -> bool:
        """Keep what a phase has come to; False if it was the last."""
        self.ended.append(frozen(self.policy))
        if self.phase + 1 == len(self.phases):
            return False
        self.phase += 1
        # What a phase has taught the optimiser is about another loss.
        self.adam = Adam(len(self.networks.weights), self.job.device)
        return True

    @property
    def _leash(self) -> Leash | None:
        phase = self.phases[self.phase]
        leash = phase.leash if isinstance(phase, Reinforcement) else None
        return leash if leash is not None and leash.kl else None

    def _hold(self) -> None:
        """Find the prior of the phase's leash."""
        leash = self._leash
        self.policy.prior = self.ended[-1] if self.ended else None
        if leash is None:
            self._prior = None
        elif isinstance(leash.to, int):
            self._prior = self.ended[leash.to]
        else:
            task = phase_task(self.phases[self.phase], self.job.task, self.job.seed)
            self._prior = leash.to.policy(task, self.job.seed)

    @property
    def learning_rate(self) -> float:
        """By how much of the steps asked for have been taken."""
        return float(self._rates(1.0 - self.timesteps / self.job.timesteps))

    def update_in(self, workspace: Workspace) -> None:
        """One update, computed in `workspace`.

        A phase whose reward is `Nothing` gathers its steps and takes no gradient step: it leaves
        every weight as it is, whatever entropy or leash would add.

        Raises:
            Diverged: A weight is no number any more.
        """
        self.collect(workspace)
        if self._paid:
            self._pass_over(workspace)
        if self.timesteps >= self._ends[self.phase] and self._end():
            self._begin()
            if isinstance(self.phases[self.phase], Reinforcement):
                self.envs.close()
                self.envs = self._environments(self.phase, phase_seed(self.job.seed, self.phase))

    def _pass_over(self, workspace: Workspace) -> None:
        rows = len(workspace.buffer.actions)
        epochs = range(self.job.settings["n_epochs"])
        self.learn(workspace, (self.shuffling.permutation(rows) for _ in epochs))
        if not torch.isfinite(self.networks.weights).all():
            raise Diverged("its weights ceased to be numbers")

    def collect(self, workspace: Workspace) -> None:
        """Fill the experience: T steps of every environment under the present weights."""
        buffer, envs, passes = workspace.buffer, self.envs, workspace.passes
        draws = self.acting.random((buffer.steps, buffer.n))
        divergence = np.zeros_like(buffer.rewards)
        for t in range(buffer.steps):
            now = buffer.at(t)
            buffer.observations[now] = envs.observations
            buffer.masks[now] = envs.masks
            logits = passes.logits(self.networks, envs.observations)
            actions = buffer.actions[now]
            draw_actions(logits, envs.masks, draws[t], actions, buffer.log_probabilities[now])
            if self._prior is not None and not isinstance(self._prior, CohortPolicy):
                prior = _log_probabilities(self._prior, envs, actions)
                divergence[t] = buffer.log_probabilities[now] - prior
            envs.step(actions)
            self.timesteps += buffer.n
            buffer.rewards[t] = envs.rewards
            buffer.ended[t] = envs.ended
            if self.first_reward is None and buffer.rewards[t].any():
                self.first_reward = self.timesteps
            if envs.truncated.any():
                ahead = passes.values(self.networks, envs.final_observations)[:, 0]
                buffer.rewards[t] += np.where(envs.truncated, self.job.task.gamma * ahead, 0.0)
        if isinstance(self._prior, CohortPolicy):
            logs = log_softmax(
                passes.logits(self._prior.networks, buffer.observations), buffer.masks
            )
            prior = logs[np.arange(len(buffer.actions)), buffer.actions]
            divergence[:] = (buffer.log_probabilities - prior).reshape(divergence.shape)
        if self._leash is not None:
            buffer.rewards -= self._leash.kl * divergence
        buffer.values[-1] = passes.values(self.networks, envs.observations)[:, 0]
        # Of all states stepped from at once: the weights have not changed since.
        buffer.values[:-1].reshape(-1)[:] = passes.values(self.networks, buffer.observations)[:, 0]
        policy, value = self.networks.flops
        passed = policy * (1 + isinstance(self._prior, CohortPolicy)) + value
        self.spend(flops=passed * len(buffer.actions) + value * buffer.n)
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
        passes = self.job.settings["n_epochs"] * len(workspace.buffer.actions)
        self.spend(flops=BACKWARD * sum(self.networks.flops) * passes)

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
        ended = enumerate(policy.networks.weights for policy in self.ended)
        return {
            "phase": self.phase,
            **{f"ended_{i}": weights.cpu().numpy() for i, weights in ended},
            **{name: part.cpu().numpy() for name, part in self._numbers().items()},
            "envs": self.envs.snapshot(),
            "adam_steps": self.adam.steps,
            "acting": self.acting.bit_generator.state,
            "shuffling": self.shuffling.bit_generator.state,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See Agent.load_state_dict; nothing in the state is executed."""
        self.phase, started = int(state["phase"]), self.phase
        if self.phase != started:  # the first experience of all is in place
            self.envs = self._environments(self.phase, phase_seed(self.job.seed, self.phase))
        self.ended = self.ended[: self.phase]
        while f"ended_{len(self.ended)}" in state:
            self.ended.append(frozen(self.policy))
        ends = {f"ended_{i}": one.networks.weights for i, one in enumerate(self.ended)}
        self._hold()
        numbers = {**self._numbers(), **ends}
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
        policy.prior = self.policy.prior
        return replace(super().trained(), policy=policy, model=model)


def frozen(policy: CohortPolicy) -> CohortPolicy:
    """The policy as it now is, whatever becomes of its network."""
    network = deepcopy(policy.network)
    return CohortPolicy(network, Networks(network, policy.networks.weights.device.type))


def _log_probabilities(prior: Policy, envs: VecTask, actions: Ints) -> Floats:
    """[n] of what is done, under a prior.

    Raises:
        InvalidInput: The prior never does it, so that it would cost without end.
    """
    found: Floats = prior.probabilities(envs.situation)[np.arange(len(actions)), actions]
    if (found <= 0).any():
        action = envs.task.world.action_names[int(actions[np.argmin(found)])]
        allowed = f"a prior that gives every legal action a chance (it never does {action!r} there)"
        hint = "Imitate it in a phase before, and write its number: leash: {to: 0, kl: 0.02}."
        raise InvalidInput("leash.to", type(prior).__name__, allowed, hint)
    return np.log(found)
