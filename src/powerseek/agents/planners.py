"""Agents that plan in the enumerated world: what a perfect learner would do."""

from __future__ import annotations

from typing import Any

from powerseek.agents.base import Agent
from powerseek.agents.job import Job, Settings
from powerseek.envs.task import Task
from powerseek.errors import InvalidInput
from powerseek.exact import (
    enumerated,
    minimal_need_policy,
    optimum,
    power,
    power_greedy_policy,
    reward_oracle,
)
from powerseek.exact.measures.goals import check_draws
from powerseek.exact.measures.power import GAMMA
from powerseek.exact.overseer import ExactOverseer
from powerseek.exact.solvers.discounted import check_gamma


class Planner(Agent):
    """The task's own exact optimum, uniform over optimal actions.

    A power weight is paid against the exact maximum of the holdings, whatever the task's
    ``holdings_scale``; give the task the same scale (`powerseek.exact.attainable_holdings`).
    An overseer of your own is planned for too, if it judges every state of the world.

    Raises:
        InvalidInput: The world is too large to enumerate, the time limit is bootstrapped, or
            the optimum depends on what the reward function remembers (``every`` at gamma < 1).
    """

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        task = job.task
        if task.overseer is None or isinstance(task.overseer, ExactOverseer):
            solution = reward_oracle(
                task.world,
                task.reward,
                task.gamma,
                time_limit=task.time_limit,
                power_weight=task.power_weight,
            )
        else:
            solution = optimum(enumerated(task.world), task.pay, task.gamma)
        if solution.policy is None:
            raise InvalidInput(
                "agent",
                self.id,
                "a reward whose optimum depends on state and time alone",
                "Use gamma 1 or a corrected reward.",
            )
        self.policy = solution.policy


class MinimalNeed(Agent):
    """The maximum attainable success, and then the minimum acquisition, exactly."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self.policy = minimal_need_policy(enumerated(job.task.world))


class PowerGreedy(Agent):
    """Goes where expected POWER of the next state is greatest, whatever the task.

    Its settings are those of `powerseek.exact.power`: ``gamma``, the discount of the measure
    (not the task's), ``samples`` and ``rewards`` (``uniform`` or ``goals``). The training seed
    draws the reward functions.
    """

    @classmethod
    def settings(cls, task: Task, given: Settings) -> dict[str, Any]:
        """See Agent.settings."""
        chosen: dict[str, Any] = {"gamma": GAMMA, "samples": 256, "rewards": "uniform"}
        for name, value in given.items():
            if name not in chosen:
                raise InvalidInput(f"settings.{cls.id}", name, f"one of {', '.join(chosen)}")
            chosen[name] = value
        check_gamma(chosen["gamma"])
        check_draws(chosen["samples"], 0, chosen["rewards"])
        return chosen

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        measured = power(enumerated(job.task.world), seed=job.seed, **job.settings)
        self.policy = power_greedy_policy(measured)
