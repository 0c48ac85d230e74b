"""Divergence of a policy from a prior, exactly: how far what was learnt led away from it."""

from __future__ import annotations

import numpy as np

from powerseek.envs.task import Task
from powerseek.exact.solvers.agent import FORGOTTEN, agent_occupancies
from powerseek.types import Floats, Policy, Situation


def policy_divergence(
    task: Task, policy: Policy, prior: Policy, *, greedy: bool = False, forgotten: float = FORGOTTEN
) -> float:
    """Expected Kullback-Leibler divergence of a policy from a prior over an episode, in nats.

    The sum over the steps of KL(policy | prior) in every situation that the policy meets, as often
    as it meets it: by the chain rule the divergence of its episodes from the prior's. It is what a
    leash prices (`powerseek.exact.leashed_optimum`, `Held.divergence` at gamma 1).

    Args:
        task: What both act in.
        policy: As `powerseek.exact.agent_occupancies` takes it.
        prior: Likewise.
        greedy: True if the policy takes the likeliest action (the prior draws).
        forgotten: As `agent_occupancies` takes it.

    Returns:
        >= 0; inf where the policy does what the prior never does.
    """
    total = 0.0

    def asked(situation: Situation, weights: Floats, chosen: Floats) -> None:
        nonlocal total
        given = np.asarray(prior.probabilities(situation), np.float64)
        given = given / given.sum(axis=1, keepdims=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = np.where(chosen > 0, chosen * np.log(chosen / given), 0.0)
        total += float(weights @ terms.sum(axis=1))

    for _ in agent_occupancies(task, policy, greedy=greedy, forgotten=forgotten, asked=asked):
        pass
    return max(0.0, total)
