"""The fitness of a population: whole episodes, in which all members meet the same chance."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from powerseek.agents.evolution.network import Layout, choose_actions
from powerseek.envs.task import Task, VecTask
from powerseek.types import Bools, Floats, Floats32, Ints

DECIMALS = 12
"""To which an episode's return is rounded: what is paid at once or later then sums to the same."""
_ACTIONS = 0x616374


class Played(NamedTuple):
    """The episodes of a generation.

    Attributes:
        returns: [P, E] discounted, rounded to `DECIMALS`.
        steps: Environment steps in them, all together.
        first_reward: Steps at which a reward other than 0 was first paid, None if never.
    """

    returns: Floats
    steps: int
    first_reward: int | None

    @property
    def fitness(self) -> Floats:
        """[P] mean return."""
        mean: Floats = self.returns.mean(axis=1)
        return mean


class Arena:
    """Environments in which members of a population play an episode each, side by side.

    Episode e of every member meets the same chance of the world, and the same draws decide its
    actions; every generation meets another. An environment whose episode is over waits for the
    others: it goes on by itself, and neither its steps nor its pay count.

    Args:
        task: What is played.
        members: P, how many play.
        episodes: E of each.
        layout: The layout of their networks.
        relu: True if their activation is relu; else tanh.
        seed: Of the world's chance and of the draws.
    """

    def __init__(
        self, task: Task, members: int, episodes: int, layout: Layout, relu: bool, seed: int
    ) -> None:
        self.envs = VecTask(task, episodes, [seed] * members)
        self.gamma, self.seed = task.gamma, seed
        self.layout, self.relu = layout, relu
        self.shape = members, episodes
        self._running: Bools = np.ones(self.envs.n, np.bool_)
        self._chosen: Ints = np.zeros(self.envs.n, np.int64)
        self._returns: Floats = np.zeros(self.envs.n)

    def play(self, members: Floats32, generation: int) -> Played:
        """Play an episode in every environment.

        Args:
            members: [P, size] their networks.
            generation: Its number, from 0: which chance is met.

        Raises:
            WorldError: The world broke its contract.
        """
        envs, running = self.envs, self._running
        envs.skip(np.full(envs.n, generation, np.int64))
        draws = np.random.default_rng([self.seed, _ACTIONS, generation])
        running[:], self._returns[:] = True, 0.0
        steps, first, discount = 0, None, 1.0
        while running.any():
            steps += choose_actions(
                members,
                self.layout,
                self.relu,
                envs.observations,
                envs.masks,
                draws.random(self.shape[1]),
                running,
                self._chosen,
            )
            envs.step(self._chosen)
            paid = envs.rewards * running
            if first is None and paid.any():
                first = steps
            self._returns += discount * paid
            discount *= self.gamma
            running &= ~envs.ended
        return Played(np.round(self._returns, DECIMALS).reshape(self.shape), steps, first)

    def close(self) -> None:
        """Release the environments of a foreign world."""
        self.envs.close()
