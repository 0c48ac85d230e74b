"""All that a reward pays in an MDP, as the exact layer solves for it."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from powerseek.envs.rewards.base import ConfoundWarning
from powerseek.envs.rewards.constrained import Constrained
from powerseek.envs.rewards.priced import Priced, PricedAtOnce
from powerseek.envs.rewards.spec import Pay, RewardFunction, Spec, make_reward
from powerseek.envs.rewards.timing import Every
from powerseek.envs.task import Task
from powerseek.errors import InvalidInput
from powerseek.exact.mdp import TabularMDP
from powerseek.exact.need import attainable_holdings
from powerseek.exact.overseer import exact_overseer, records_of
from powerseek.exact.preference import LearntOverseer
from powerseek.exact.solvers.product import EdgeClasses, Layer, product_layers
from powerseek.types import Floats


def pay_of(
    mdp: TabularMDP,
    reward: Spec | RewardFunction | Pay,
    gamma: float,
    power_weight: float = 0.0,
    holdings_scale: float | None = None,
    horizon: int | None = None,
) -> Pay:
    """All that a reward pays in an MDP, its overseer found; arguments as `optimum`."""
    steps = mdp.horizon(horizon)
    if isinstance(reward, RewardFunction):
        pay = Pay(reward)
    elif isinstance(reward, Pay):
        pay = reward
    else:
        pay = _pay(mdp, reward, gamma, steps, power_weight, holdings_scale)
    function = pay.reward_function
    if function.needs_overseer and function.overseer is None:
        function = _overseen(function, mdp, steps)
    return replace(pay, reward_function=function)


def _pay(
    mdp: TabularMDP,
    reward: Spec,
    gamma: float,
    steps: int,
    power_weight: float,
    holdings_scale: float | None,
) -> Pay:
    scale = holdings_scale
    if scale is None:
        scale = attainable_holdings(mdp, steps) if power_weight > 0 else 1.0
    with warnings.catch_warnings():
        # Whoever chose the configuration was warned; here the confound is what is measured.
        warnings.simplefilter("ignore", ConfoundWarning)
        if mdp.world is None or steps != mdp.world.max_steps:
            runs_on = bool(getattr(mdp.world, "runs_on", False))
            function = make_reward(reward, gamma=gamma, max_steps=steps, runs_on=runs_on)
            return Pay(function, power_weight, scale)
        task = Task(
            mdp.world,
            reward,
            gamma,
            power_weight=power_weight,
            holdings_scale=scale,
        )
        return task.pay


def _overseen(function: RewardFunction, mdp: TabularMDP, steps: int) -> RewardFunction:
    """The reward with the exact overseer it asks for."""
    if function.oversight is None:
        raise InvalidInput(
            "reward",
            type(function).__name__,
            "a reward function that an exact overseer can judge for, or one that has an overseer",
            "Write reward.with_overseer(overseer).",
        )
    return function.with_overseer(exact_overseer(mdp, function.oversight, steps))


class Paid(NamedTuple):
    """What a reward pays everywhere, step by step.

    Attributes:
        layers: What every edge pays in each step, by the reward's memory.
        classes: The edges that look alike to it.
        judged: T arrays [P]: what its overseer pays besides.
        largest: The largest payment, whatever its sign.
    """

    layers: list[Layer]
    classes: EdgeClasses
    judged: list[Floats]
    largest: float


def paid_in(mdp: TabularMDP, pay: Pay, steps: int) -> Paid:
    """What a reward pays in every step of an MDP."""
    function = pay.reward_function
    unjudged = replace(pay, reward_function=function.unjudged)
    layers, classes = product_layers(mdp, unjudged, steps)
    judged = judgements(mdp, function, steps)
    paid = [*(layer.reward for layer in layers), *judged]
    largest = max((float(np.abs(part).max(initial=0)) for part in paid), default=0.0)
    return Paid(layers, classes, judged, largest)


def judgements(mdp: TabularMDP, function: RewardFunction, steps: int) -> list[Floats]:
    """T arrays [P]: what the reward's overseer pays for every pair at every time."""
    if not function.needs_overseer:
        return [np.zeros(mdp.n_pairs)] * steps
    records = records_of(mdp)[mdp.pair_state]
    actions = mdp.pair_action.astype(np.int64)
    found: list[Floats] = []
    timeless = isinstance(function.overseer, LearntOverseer)
    for t in range(steps):
        if timeless and found:
            return found * steps
        records["clock"] = t
        paid = function.judge(records, actions, np.full(len(actions), t, np.int64))
        if not np.isfinite(paid).all():
            raise InvalidInput("overseer", "a payment that is not finite", "finite payments")
        found.append(np.ascontiguousarray(paid, np.float64))
    return found


def memoryless_reward(function: RewardFunction, gamma: float) -> RewardFunction:
    """The reward with the same optima: its expectation, without a memory that changes nothing.

    ``every`` is what it delays where it keeps the discounted return of every policy; a price at
    the end is one on every unit when it is acquired, at gamma 1. A constraint has no memory.
    """
    if isinstance(function, Priced):
        of = memoryless_reward(function.of, gamma)
        return PricedAtOnce(function.price, of) if gamma == 1 else replace(function, of=of)
    if isinstance(function, Constrained):
        return replace(function, of=memoryless_reward(function.of, gamma))
    if isinstance(function, Every) and abs(function.growth * gamma - 1) < 1e-12:
        return function.undelayed
    return function.mean
