"""Agents that plan in the enumerated world: what a perfect learner would do."""

from __future__ import annotations

from typing import Any

from powerseek.agents.base import Agent
from powerseek.agents.job import Job, Settings
from powerseek.agents.training import train
from powerseek.envs.task import Task
from powerseek.errors import InvalidInput
from powerseek.exact import (
    enumerated,
    minimal_need_policy,
    optimum,
    power,
    power_greedy_policy,
    quantiliser,
    reward_oracle,
)
from powerseek.exact.measures.goals import check_draws
from powerseek.exact.measures.power import GAMMA
from powerseek.exact.overseer import ExactOverseer
from powerseek.exact.solvers.discounted import check_gamma
from powerseek.registry import agents
from powerseek.types import Policy


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
        self.policy = _memoryless(solution.policy, self.id)


def _memoryless(policy: Policy | None, agent: str) -> Policy:
    """A solution's policy, refused where it needs what the reward function remembers."""
    if policy is None:
        allowed = "a reward whose optimum depends on state and time alone"
        raise InvalidInput("agent", agent, allowed, "Use gamma 1 or a corrected reward.")
    return policy


class MinimalNeed(Agent):
    """The maximum attainable success, and then the minimum acquisition, exactly."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self.policy = minimal_need_policy(enumerated(job.task.world))


class Quantiliser(Agent):
    """Draws each action from the best fraction of a base agent's, by the task's reward, exactly.

    Its settings: ``base``, the id of an agent that does not learn, and ``q``, the fraction, above 0
    and at most 1, which is the base itself (Taylor 2016; `powerseek.exact.quantiliser`).

    Raises:
        InvalidInput: As the optimum's; or a base that has no action in a state that it reaches.
    """

    @classmethod
    def settings(cls, task: Task, given: Settings) -> dict[str, Any]:
        """See Agent.settings."""
        chosen: dict[str, Any] = {"base": "random", "q": 0.5}
        for name, value in given.items():
            if name not in chosen:
                raise InvalidInput(f"settings.{cls.id}", name, f"one of {', '.join(chosen)}")
            chosen[name] = value
        base, q = chosen["base"], chosen["q"]
        known = [id for id in agents.ids() if id != cls.id and not agents.get(id).learns]
        if base not in known:
            raise InvalidInput("settings.base", base, f"one of {', '.join(known)}")
        if isinstance(q, bool) or not isinstance(q, int | float) or not 0 < q <= 1:
            raise InvalidInput("settings.q", q, "a number above 0, at most 1")
        agents.get(base).settings(task, {})
        return chosen

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        task = job.task
        if task.time_limit == "bootstrap":
            allowed = "terminal for what plans: a bootstrapped time limit has no last step"
            raise InvalidInput("time_limit", task.time_limit, allowed)
        base = train(task, job.settings["base"], seed=job.seed).policy
        held = quantiliser(enumerated(task.world), base, job.settings["q"], task.pay, task.gamma)
        self.policy = _memoryless(held.policy, self.id)


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
