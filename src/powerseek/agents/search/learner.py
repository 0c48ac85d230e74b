"""Gumbel AlphaZero: act by search, learn what it found better and what came of it.

Danihelka et al. 2022, Policy improvement by planning with Gumbel. Q values are not rescaled:
returns are in natural units, the same in every state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from powerseek.agents.base import Agent
from powerseek.agents.cohort.backend import network_passes
from powerseek.agents.cohort.cloning import log_softmax
from powerseek.agents.cohort.export import library_model, untrained_network
from powerseek.agents.cohort.loss import estimate_advantages
from powerseek.agents.cohort.network import Adam, Networks, Scratch
from powerseek.agents.cohort.policy import CohortPolicy
from powerseek.agents.cohort.ppo import BACKWARD, Diverged
from powerseek.agents.cohort.train import train_cohort
from powerseek.agents.job import Failure, Job, Settings, TrainedAgent
from powerseek.agents.sb3.learner import learning_rates
from powerseek.agents.sb3.state import check_tensors
from powerseek.agents.search.learnt import Learnt
from powerseek.agents.search.mixture import Mixture
from powerseek.agents.search.model import Model, Rules
from powerseek.agents.search.play import with_search
from powerseek.agents.search.tabular import Tabular
from powerseek.agents.search.tree import Roots, Search
from powerseek.agents.settings import ACTING, CONSIDERED, LEARNT, SEARCHED, settings_for
from powerseek.envs.task import VecTask
from powerseek.exact.overseer import same_overseer
from powerseek.types import Floats32, Ints, Policy

_SEARCHING, _SHUFFLING = 0x73656172, 0x736875
"""Streams below an agent's seed."""

LOSSES = ("policy_loss", "value_loss", "grad_norm")
"""What `Searcher.losses` holds: cross-entropy in nats, squared error."""


def train_searchers(jobs: Sequence[Job]) -> list[TrainedAgent | Failure]:
    """Train every job; those that are equal but for how they play share what is computed.

    Raises:
        InvalidInput: As `train_cohort`.
    """
    made: list[Searcher] = []

    def make(job: Job) -> Searcher:
        learner = Searcher(job, [one for one in made if equal_training(one.job, job)])
        made.append(learner)
        return learner

    return train_cohort(jobs, make=make, workspace=Workspace)


def equal_training(one: Job, other: Job) -> bool:
    """True if two jobs lead to the same weights: they differ at most in how these play."""
    return (
        (one.task, one.seed, one.timesteps, one.device)
        == (other.task, other.seed, other.timesteps, other.device)
        and same_overseer(one.task.overseer, other.task.overseer)
        and {**one.settings, ACTING: 0} == {**other.settings, ACTING: 0}
    )


def learnt_model(inputs: int, actions: int, settings: Settings, seed: int = 0) -> Learnt:
    """The model that settings speak of, which has learnt nothing.

    Args:
        inputs: Features that are observed.
        actions: Number of actions A.
        settings: Complete ones of ``search``, with a model that is learnt.
        seed: Of the agent.
    """
    if settings["model"] == "tabular":
        return Tabular(inputs, actions)
    return Mixture(inputs, actions, settings, seed)


class Workspace:
    """Memory in which agents of a cohort take turns: experience, trees and passes.

    Args:
        settings: Complete settings.
        inputs: Width of the observation.
        actions: Number of actions A.
        device: Where the networks are, as PyTorch names it.

    Attributes:
        observations: [T n, inputs] stepped from.
        masks: [T n, A] legal there.
        improved: [T n, A] the policy that search found there.
        rewards: [T, n].
        ended: [T, n] True where the episode ended with that step.
        values: [T + 1, n] of the states stepped from, as searched, and of those left standing.
        returns: [T, n].
    """

    def __init__(self, settings: Settings, inputs: int, actions: int, device: str = "cpu") -> None:
        steps, n = settings["n_steps"], settings["n_envs"]
        self.settings, self.sizes = settings, (inputs, actions)
        self.observations = np.zeros((steps * n, inputs), np.float32)
        self.masks = np.zeros((steps * n, actions), np.bool_)
        self.improved = np.zeros((steps * n, actions), np.float32)
        self.rewards = np.zeros((steps, n))
        self.ended = np.zeros((steps, n), np.bool_)
        self.values = np.zeros((steps + 1, n))
        self.advantages, self.returns = np.zeros((2, steps, n))
        self.passes = network_passes(settings, inputs, actions, device)
        net = settings["net"]
        self.scratch = Scratch(settings["batch_size"], inputs, net, actions, device)
        self._searches: dict[int, Search] = {}

    def search(self, width: int) -> Search:
        """Trees over models of that width."""
        if width not in self._searches:
            settings = self.settings
            self._searches[width] = Search(
                settings["n_envs"],
                width,
                *self.sizes,
                settings["simulations"],
                settings["considered"] or min(CONSIDERED, self.sizes[1]),
                settings["c_scale"],
            )
        return self._searches[width]


class Searcher(Agent):
    """One agent: its networks, its optimiser, its environments, its model and its own chance.

    Args:
        job: What is trained.
        siblings: Others in the same process whose training is the same.

    Attributes:
        envs: The environments.
        model: What it searches.
        searching: Where the draws of searches come from.
        shuffling: Where the order of minibatches comes from.
        complete: Environment steps after the last update that came to its end.
    """

    id = "search"
    learns = True

    def __init__(self, job: Job, siblings: Sequence[Searcher] = ()) -> None:
        super().__init__(job)
        settings = job.settings
        network = untrained_network(job.task, job.seed, settings)
        # Values begin at 0: search would believe those drawn at random, and explore no more.
        torch.nn.init.zeros_(network.value_net.weight)
        self.siblings = list(siblings)
        for other in siblings:
            other.siblings.append(self)
        self.networks = Networks(network, job.device)
        self.bare = CohortPolicy(network, self.networks)
        sizes = job.task.observation_size, job.task.n_actions
        self.model: Model
        if settings["model"] in LEARNT:
            self.bare.learnt = self.model = learnt_model(*sizes, settings, job.seed)
        else:
            self.model = Rules(job.task, settings["n_envs"])
        self.policy = self._playing(self.bare)
        self.adam = Adam(len(self.networks.weights), job.device)
        self._rates = learning_rates(settings)
        self.searching = np.random.default_rng([job.seed, _SEARCHING])
        self.shuffling = np.random.default_rng([job.seed, _SHUFFLING])
        self.envs = VecTask(job.task, settings["n_envs"], job.seed)
        self.complete = 0

    def _playing(self, bare: Policy) -> Policy:
        """The network as the settings say that it plays."""
        settings = self.job.settings
        own = {name: settings[name] for name in SEARCHED}
        return with_search(bare, self.job.task, settings[ACTING], **own)

    def update_in(self, workspace: Workspace) -> None:
        """One update, computed in `workspace`, or taken from a sibling who has made it.

        Raises:
            Diverged: A weight is no number any more.
        """
        batch = self.envs.n * self.job.settings["n_steps"]
        made = [one for one in self.siblings if one.complete == self.timesteps + batch]
        if made:
            self._follow(made[0])
        else:
            self.collect(workspace)
            self.learn(workspace)
            if isinstance(self.model, Learnt):
                batches = self.model.learn()
                self.updates += batches
                self.spend(flops=batches * self.model.batch_flops)
        if not torch.isfinite(self.networks.weights).all():
            raise Diverged("its weights ceased to be numbers")
        self.complete = self.timesteps

    def _follow(self, other: Searcher) -> None:
        """Stand where a sibling does."""
        self.load_state_dict(other.state_dict())
        self.timesteps, self.updates = other.timesteps, other.updates
        self.first_reward, self.losses = other.first_reward, dict(other.losses)
        self.taken = dict(other.taken)

    def collect(self, workspace: Workspace) -> None:
        """Fill the experience: T steps of every environment, each chosen by a search."""
        envs, networks, n = self.envs, self.networks, self.envs.n
        policy, value = networks.flops
        search = workspace.search(self.model.width)

        def evaluate(seen: Floats32) -> tuple[Floats32, Floats32]:
            passes = workspace.passes
            return passes.logits(networks, seen), passes.values(networks, seen)

        for t in range(len(workspace.rewards)):
            now = slice(t * n, (t + 1) * n)
            workspace.observations[now], workspace.masks[now] = envs.observations, envs.masks
            roots = Roots(self.model.stand(envs), envs.masks, envs.observations)
            # Draws of its own: those of the step to come are nobody's to know.
            seeds = self.searching.integers(2**64, size=n, dtype=np.uint64)
            noise = self.searching.gumbel(size=envs.masks.shape)
            found = search(self.model, roots, seeds, self.job.task.gamma, evaluate, noise)
            workspace.improved[now], workspace.values[t] = found.improved, found.values
            envs.step(found.actions)
            self.timesteps += n
            self.spend(model_steps=found.steps, flops=(policy + value) * found.valued)
            workspace.rewards[t], workspace.ended[t] = envs.rewards, envs.ended
            if isinstance(self.model, Learnt):
                self.spend(flops=self.model.step_flops * found.steps)
                self.model.meet(roots.handles, found.actions, envs.rewards, envs.ended, envs)
            if self.first_reward is None and envs.rewards.any():
                self.first_reward = self.timesteps
        workspace.values[-1] = workspace.passes.values(networks, envs.observations)[:, 0]
        self.spend(flops=value * n)
        estimate_advantages(
            workspace.rewards,
            workspace.values,
            workspace.ended,
            float(self.job.task.gamma),
            float(self.job.settings["gae_lambda"]),
            workspace.advantages,
            workspace.returns,
        )

    def learn(self, workspace: Workspace) -> None:
        """One update: `n_epochs` passes over the experience."""
        settings, rows = self.job.settings, len(workspace.observations)
        rate = float(self._rates(1.0 - (self.timesteps - rows) / self.job.timesteps))
        size, losses = settings["batch_size"], list[tuple[float, ...]]()
        for _ in range(settings["n_epochs"]):
            order = self.shuffling.permutation(rows)
            for start in range(0, rows, size):
                losses.append(self._descend(workspace, order[start : start + size], rate))
        self.losses = dict(zip(LOSSES, np.mean(losses, axis=0).tolist(), strict=True))
        self.spend(flops=BACKWARD * sum(self.networks.flops) * settings["n_epochs"] * rows)

    def _descend(self, workspace: Workspace, rows: Ints, rate: float) -> tuple[float, ...]:
        loss, error = self.grad(workspace, rows)
        networks, max_norm = self.networks, self.job.settings["max_grad_norm"]
        norm = self.adam.step(networks.weights, networks.grad, rate, max_norm)
        self.updates += 1
        return loss, error, norm

    def grad(self, workspace: Workspace, rows: Ints) -> tuple[float, float]:
        """Fill the networks' `grad` with that of cross-entropy + vf_coef x squared error.

        Returns:
            Means over `rows` [batch_size] of the experience: cross-entropy between the improved
            policy and the network's, squared error of the value.
        """
        networks, scratch, size = self.networks, workspace.scratch, len(rows)
        scratch.inputs.copy_(torch.from_numpy(workspace.observations[rows]))
        wanted, relu = workspace.improved[rows], networks.relu
        logits = scratch.forward(networks.policy, relu, scratch.logits).cpu().numpy()
        logs = log_softmax(logits, workspace.masks[rows])
        grad = (np.exp(logs) - wanted) / size
        scratch.logits_grad.copy_(torch.from_numpy(grad.astype(np.float32)))
        scratch.backward(networks.policy, relu, scratch.logits_grad)
        values = scratch.forward(networks.value, relu, scratch.values).cpu().numpy()[:, 0]
        error = values - workspace.returns.reshape(-1)[rows]
        grad = (2.0 * self.job.settings["vf_coef"] / size) * error[:, None]
        scratch.values_grad.copy_(torch.from_numpy(grad.astype(np.float32)))
        scratch.backward(networks.value, relu, scratch.values_grad)
        loss = -np.where(wanted > 0, wanted * logs, 0.0).sum(axis=1).mean()
        return float(loss), float(np.square(error).mean())

    def state_dict(self) -> dict[str, Any]:
        """See Agent.state_dict; experience is left out: it is gathered anew."""
        learnt = {"model": self.model.state_dict()} if isinstance(self.model, Learnt) else {}
        return {
            **learnt,
            **{name: part.cpu().numpy() for name, part in self._numbers().items()},
            "envs": self.envs.snapshot(),
            "adam_steps": self.adam.steps,
            "searching": self.searching.bit_generator.state,
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
        if isinstance(self.model, Learnt):
            self.model.load_state_dict(state["model"])
        self.adam.steps = int(state["adam_steps"])
        self.searching.bit_generator.state = state["searching"]
        self.shuffling.bit_generator.state = state["shuffling"]

    def _numbers(self) -> dict[str, torch.Tensor]:
        """Tensors that an update changes in place."""
        networks, adam = self.networks, self.adam
        return {"weights": networks.weights, "mean": adam.mean, "square": adam.square}

    def trained(self) -> TrainedAgent:
        """See Agent.trained: a model of the library's own class, which anybody can open."""
        task, given = self.job.task, self.job.settings
        of_library = settings_for(task.world.id)
        known = {name: given[name] for name in of_library if name in given}
        job = replace(self.job, settings={**of_library, **known})
        model = library_model(job, self.timesteps, self.updates, self.bare.network)
        model.policy.set_training_mode(False)
        bare = CohortPolicy(model.policy, self.networks)
        bare.learnt = self.bare.learnt
        beside = bare.learnt.arrays() if given[ACTING] and bare.learnt is not None else None
        return replace(super().trained(), policy=self._playing(bare), model=model, beside=beside)
