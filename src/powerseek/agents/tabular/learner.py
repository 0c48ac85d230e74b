"""Q-learning, Sarsa and virtual Sarsa: one learner of a table, three values of what comes next.

How the settings were chosen: by the mean competence (success with the hazard off, actions drawn,
1,000 episodes) in `homestead` (openness 0) under ``dense`` and ``terminal`` on seeds 10,001 and
10,002, which no study uses. No measure of power entered. Mean of the four trainings:

==========================  ===================  ==============  =====================
learning rate               q-learning, 100,000  sarsa, 100,000  q-learning, 1,000,000
==========================  ===================  ==============  =====================
.1 throughout               .33                  .32             .42
.3 throughout               .23                  .28             .35
1 / n^.6, taken             .28                  .33             .62
1 / n^.8                    .33                  .33             .58
1 / n^.6, eps .02 after .3  .25                  .33             .64
==========================  ===================  ==============  =====================

After 100,000 steps nobody had learnt anything under ``terminal`` (.005). Two seeds tell large
differences apart, not small ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from powerseek.agents.base import Agent
from powerseek.agents.job import Job, Settings, TrainedAgent
from powerseek.agents.settings import ALLOWED, complete
from powerseek.agents.tabular.loops import (
    CARRIED_OUT,
    CHOSEN,
    GREATEST,
    Backup,
    Modified,
    Pending,
    act,
    bits,
    settle,
)
from powerseek.agents.tabular.table import Table, TablePolicy
from powerseek.envs.task import Task, VecTask
from powerseek.errors import InvalidInput
from powerseek.types import Floats, Policy

_ACTING = 0x746162
"""Stream below an agent's seed."""

DEFAULT: dict[str, Any] = {
    "n_envs": 16,
    "n_steps": 64,
    "learning_rate": 1.0,
    "learning_rate_decay": 0.6,
    "exploration_fraction": 0.5,
    "exploration_final_eps": 0.05,
    "initial_value": 0.0,
    "modified_actions": "apart",
    "max_rows": 2**20,
}


class TabularLearner(Agent):
    """A learner of action values Q by table, one row for each observation.

    After each step from s to s' it moves Q(s, a) towards reward + gamma x the value of s', which
    is all in which its three kinds differ (Langlois and Everitt 2021, arXiv:2102.07716):
    ``q-learning`` takes the greatest Q(s', .) of an allowed action, ``virtual-sarsa`` that of the
    action which its policy chose in s', ``sarsa`` (theirs is "empirical Sarsa") that of the action
    which was carried out in s'.

    Chosen and carried out are two things where a world declares `World.modified`: while the named
    feature is not 0 (the agent of `off-switch` is interrupted), the declared action (a bump into
    the wall) is carried out, whatever was chosen. All three then learn about the action that was
    carried out, a = what was done, and read observations without that feature: a modification is
    no part of what they take for the world, as in that paper and in Orseau and Armstrong (2016).
    ``modified_actions: dynamics`` makes it one: the feature is read and the action chosen is learnt
    about, so that ``sarsa`` and ``virtual-sarsa`` are the same bit for bit, as they are in every
    world that declares nothing.

    While it trains it is eps-greedy, eps falling from 1 as ``dqn``'s does; but over allowed actions
    alone. Trained, it is so at the final eps ("sampled" and "exact" results; "greedy" ones show the
    greatest value alone). An episode that is cut short goes on, as far as values are concerned,
    with an action drawn in its last state.

    Raises:
        InvalidInput: It saw more observations than ``max_rows``.
    """

    learns = True
    backup: ClassVar[int]

    @classmethod
    def settings(cls, task: Task, given: Settings) -> dict[str, Any]:
        """See Agent.settings."""
        chosen = complete(DEFAULT, given)
        if chosen["learning_rate"] > 1:
            hint = f"Write learning_rate: {DEFAULT['learning_rate']}."
            allowed = "a number above 0 and at most 1: values would overshoot"
            raise InvalidInput("settings.learning_rate", chosen["learning_rate"], allowed, hint)
        return chosen

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        settings, task = job.settings, job.task
        told = dict(task.world.modified) if settings["modified_actions"] == "apart" else {}
        names, n = task.observation_names, settings["n_envs"]
        self._modified = Modified(
            np.array([names.index(name) for name in told], np.int64),
            np.array([task.world.action_names.index(a) for a in told.values()], np.int64),
        )
        read = np.array([i for i, name in enumerate(names) if name not in told], np.int64)
        self.table = Table(read, task.n_actions, settings["initial_value"])
        self.policy: TablePolicy = TablePolicy(self.table, settings["exploration_final_eps"])
        self.envs = VecTask(task, n, job.seed)
        self.acting = np.random.default_rng([job.seed, _ACTING])
        self._pending = Pending(np.full(n, -1), np.zeros(n, np.int64), np.zeros(n))
        self._backup = Backup(
            self.backup,
            float(task.gamma),
            float(settings["learning_rate"]),
            float(settings["learning_rate_decay"]),
            float(settings["initial_value"]),
        )

    @property
    def epsilon(self) -> float:
        """The probability of an action at random, by how much of the training is over."""
        settings = self.job.settings
        over = self.timesteps / (settings["exploration_fraction"] * self.job.timesteps)
        final = float(settings["exploration_final_eps"])
        return float(1.0 + min(1.0, over) * (final - 1.0))

    def update(self) -> None:
        """See Agent.update: ``n_steps`` steps of every environment, each learnt from at once."""
        steps, sums = self.job.settings["n_steps"], np.zeros(2)
        for draws in self.acting.random((steps, self.envs.n, 2, 2)):
            with np.errstate(over="ignore"):  # 64-bit wrap-around is meant
                self._step(draws, sums)
            self._check_size()
        self.updates += int(sums[0])
        self.losses = {"td_error": float(sums[1] / max(1.0, sums[0]))}

    def _step(self, draws: Floats, sums: Floats) -> None:
        """A step of every environment, by draws [n, 2, 2]; adds number and errors of updates."""
        envs, epsilon, chosen = self.envs, self.epsilon, np.zeros(self.envs.n, np.int64)
        self.table.make_room(envs.n)
        shared = self.table.rows, self._modified, self._backup, self._pending
        seen = bits(envs.observations)
        act(seen, envs.masks, draws[:, 0], epsilon, *shared, chosen, sums)
        envs.step(chosen)
        self.timesteps += envs.n
        if self.first_reward is None and envs.rewards.any():
            self.first_reward = self.timesteps
        final, ends = bits(envs.final_observations), (envs.terminated, envs.truncated)
        settle(final, envs.rewards, *ends, draws[:, 1], epsilon, *shared, sums)

    def _check_size(self) -> None:
        limit, most = self.job.settings["max_rows"], ALLOWED["max_rows"]
        if self.table.size > limit:
            raise InvalidInput(
                "settings.max_rows",
                limit,
                f"as many as there are observations, of which world {self.job.task.world.id!r} "
                f"showed more within {self.timesteps:,} steps; {most}",
                "Write cohort-ppo, whose network needs no row for each, or a smaller world.",
            )

    def state_dict(self) -> dict[str, Any]:
        """See Agent.state_dict."""
        return {
            "table": {name: part.copy() for name, part in self.table.state_dict().items()},
            "pending": {name: part.copy() for name, part in self._pending._asdict().items()},
            "envs": self.envs.snapshot(),
            "acting": self.acting.bit_generator.state,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See Agent.load_state_dict."""
        self.table.load_state_dict(state["table"])
        for name, part in self._pending._asdict().items():
            part[:] = state["pending"][name]
        size, actions = self.table.size, self.job.task.n_actions
        rows, done = self._pending.rows, self._pending.actions
        # Compiled loops do not look where they write.
        if rows.min() < -1 or rows.max() >= size or done.min() < 0 or done.max() >= actions:
            raise ValueError("a step waits for a value that the table does not have")
        self.envs.restore(state["envs"])
        self.acting.bit_generator.state = state["acting"]

    def weights(self) -> dict[str, Any]:
        """See Agent.weights."""
        return {**self.table.state_dict(), "columns": self.table.rows.columns}

    @classmethod
    def policy_from(cls, weights: Mapping[str, Any], card: Mapping[str, Any]) -> Policy:
        """See Agent.policy_from."""
        columns = np.asarray(weights["columns"], np.int64)
        if columns.ndim != 1 or not ((columns >= 0) & (columns < len(card["observations"]))).all():
            raise ValueError(f"columns name features beyond {len(card['observations'])}")
        settings = card["settings"]
        table = Table(columns, len(card["actions"]), settings["initial_value"])
        table.load_state_dict(weights)
        return TablePolicy(table, settings["exploration_final_eps"])

    def trained(self) -> TrainedAgent:
        """See Agent.trained."""
        self.envs.close()
        return super().trained()


class QLearning(TabularLearner):
    """Q-learning by table (Watkins 1989): what comes next is worth its best allowed action."""

    backup = GREATEST


class Sarsa(TabularLearner):
    """Sarsa by table, "empirical": what comes next is worth the action that is carried out."""

    backup = CARRIED_OUT


class VirtualSarsa(TabularLearner):
    """Sarsa by table, "virtual": what comes next is worth the action that the policy chose."""

    backup = CHOSEN
