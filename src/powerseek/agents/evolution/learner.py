"""The agent: a method of evolution, and the episodes in which its members are judged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from powerseek.agents.base import Agent
from powerseek.agents.evolution.evaluate import Arena, Played
from powerseek.agents.evolution.lineage import Lineage
from powerseek.agents.evolution.methods import METHODS
from powerseek.agents.evolution.network import EvolvedPolicy, Layout
from powerseek.agents.evolution.settings import settings_for
from powerseek.agents.job import Job, Settings, TrainedAgent
from powerseek.envs.task import Task
from powerseek.errors import InvalidInput
from powerseek.types import Policy

_NETWORKS, _DRAWS, _FRESH = 0x6E6574, 0x64726177, 0x6672657368


class Evolution(Agent):
    """Evolution of small networks by the returns of whole episodes: ES, sep-CMA-ES, GA or ARS.

    An update is a generation: every member of a population plays some episodes in which all meet
    the same chance, and the method learns from the mean returns alone. So it never sees when a
    reward was paid: at gamma 1, rewards that differ in timing are one treatment for it, bit for
    bit. Members draw their actions from the softmax of a small network over legal actions, in
    training and afterwards.

    The policy is the mean of the distribution, of a genetic algorithm the champion. What it was
    selected by flatters it, so it plays ``champion_episodes`` more in each generation, on chance
    that selected nothing: ``losses`` has ``fitness`` (of the population), ``best`` (of its best
    member, which selected it) and ``champion_fitness`` (of the policy, anew).

    Settings depend on `method`: es, cma, ga (parents, elites) or ars (directions); cma and ga have
    no learning_rate.
    """

    learns = True
    whole_episodes = True
    policy: EvolvedPolicy

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        if job.device != "cpu":
            allowed = "cpu: evolution computes on the processor"
            raise InvalidInput("device", job.device, allowed, "Write cpu.")
        settings, task = job.settings, job.task
        self.layout = Layout(task.observation_size, settings["net"], task.n_actions)
        self.relu = settings["activation"] == "relu"
        size = settings["population"], settings["episodes"]
        kind = self.layout, self.relu
        self.arena = Arena(task, *size, *kind, job.seed)
        fresh = int(np.random.default_rng([job.seed, _FRESH]).integers(2**63))
        self.fresh = Arena(task, 1, settings["champion_episodes"], *kind, fresh)
        drawn = self.layout.initial(size[0], np.random.default_rng([job.seed, _NETWORKS]))
        self.method = METHODS[settings["method"]](drawn, settings)
        self.policy = self._policy()

    @classmethod
    def settings(cls, task: Task, given: Settings) -> dict[str, Any]:
        """See Agent.settings."""
        if task.time_limit != "terminal":
            allowed = "terminal: evolution adds up whole episodes, and has no value to go on with"
            raise InvalidInput(
                "time_limit", task.time_limit, allowed, "Write time_limit: terminal."
            )
        return settings_for(given)

    def update(self) -> None:
        """One generation."""
        generation = self.updates
        drawn = np.random.default_rng([self.job.seed, _DRAWS, generation])
        members = self.method.ask(drawn).astype(np.float32)
        fitness = self._count(self.arena.play(members, generation)).fitness
        self.method.tell(fitness)
        self.policy = self._policy()
        anew = self._count(self.fresh.play(self.policy.weights[None], generation))
        self.updates += 1
        self.losses = {
            "fitness": float(fitness.mean()),
            "best": float(fitness.max()),
            "champion_fitness": float(anew.fitness[0]),
            **self.method.told,
        }

    def _policy(self) -> EvolvedPolicy:
        weights = self.method.best.astype(np.float32)
        return EvolvedPolicy(weights, self.layout, self.relu, self.method.lineage)

    def _count(self, played: Played) -> Played:
        """Enter steps, arithmetic and the first reward."""
        if self.first_reward is None and played.first_reward is not None:
            self.first_reward = self.timesteps + played.first_reward
        self.timesteps += played.steps
        self.spend(flops=played.steps * self.layout.flops)
        return played

    def state_dict(self) -> dict[str, Any] | None:
        """See Agent.state_dict; draws and chance are of the number of a generation."""
        return self.method.arrays()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See Agent.load_state_dict."""
        self.method.restore(state)
        self.policy = self._policy()

    def weights(self) -> dict[str, Any]:
        """See Agent.weights; with the lineage, where there is one."""
        found: dict[str, Any] = {"network": self.policy.weights}
        if (line := self.policy.lineage) is not None:
            found |= {"parents": line.parents, "champion": np.array(line.champion)}
        return found

    @classmethod
    def policy_from(cls, weights: Mapping[str, Any], card: Mapping[str, Any]) -> Policy:
        """See Agent.policy_from."""
        settings = settings_for(card["settings"])
        layout = Layout(len(card["observations"]), settings["net"], len(card["actions"]))
        network, line = weights["network"], None
        if network.shape != (layout.size,) or network.dtype != np.float32:
            raise ValueError(f"its network has {network.shape} numbers, not {layout.size}")
        if settings["method"] == "ga":
            line = _lineage(weights["parents"], weights["champion"], settings)
        return EvolvedPolicy(network, layout, settings["activation"] == "relu", line)

    def trained(self) -> TrainedAgent:
        """See Agent.trained."""
        self.arena.close()
        self.fresh.close()
        return super().trained()


def _lineage(parents: Any, champion: Any, settings: Settings) -> Lineage:
    """A lineage that was kept, every number in it one of a member's."""
    n = settings["population"]
    numbers = parents.dtype == np.int32 and parents.ndim == 2 and parents.shape[1] == n
    inside = numbers and champion.shape == () and 0 <= champion < n
    if not inside or (parents < 0).any() or (parents >= n).any():
        raise ValueError("its lineage is not one of its population")
    return Lineage(parents, settings["elites"], int(champion))
