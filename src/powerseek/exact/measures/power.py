"""POWER: the average attainable value over many goals (Turner et al. 2021, arXiv:1912.01683)."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from powerseek.errors import InvalidInput
from powerseek.exact.mdp import Ints32, TabularMDP
from powerseek.exact.measures.goals import (
    Block,
    Sampler,
    draw_rewards,
    goal_rewards,
    merge_samples,
    state_classes,
)
from powerseek.exact.solvers.cycles import best_cycle
from powerseek.exact.solvers.discounted import (
    arrays_of,
    average_next,
    check_gamma,
    check_pair_weights,
    check_tolerance,
    expected_next_value,
    maximum_over_actions,
    policy_solution,
)
from powerseek.exact.solvers.policy import TabularPolicy
from powerseek.exact.solvers.threads import in_threads
from powerseek.types import Floats

GAMMA = 0.95
"""Discount of the measure unless another is asked for: one for all agents, never their own."""

TOLERANCE = 1e-9
"""Default bound on the absolute error of a POWER, before sampling error."""

BoundedPolicy = Callable[[Floats], Floats]
"""A reward function [S] -> what a limited agent does about it: pair probabilities [P]."""


@dataclass(frozen=True, eq=False)
class Power:
    """POWER of every state.

    Attributes:
        mdp: Where.
        gamma: The discount at which it is measured: one for all agents, never their own.
        rewards: What rewards were drawn from: ``uniform``, ``goals`` or a sampler's name.
        samples: Reward functions drawn; 0 where the expectation is exact.
        values: [S], in the rewards' units (uniform: 0 to 1).
        standard_error: [S], of sampling; 0 where the expectation is exact.
        error: Certified bound on the solver's absolute error of every value, besides sampling.
    """

    mdp: TabularMDP
    gamma: float
    rewards: str
    samples: int
    values: Floats
    standard_error: Floats
    error: float

    def of(self, state: Hashable | Any) -> float:
        """POWER of one state: its label, its record or its number.

        Raises:
            InvalidInput: There is no such state.
        """
        return float(self.values[self.mdp.index(state)])

    @property
    def pairs(self) -> Floats:
        """[P] expected POWER of the next state: what Turner's Def. 5.6 compares actions by."""
        return expected_next_value(self.mdp, self.values)


def power(
    mdp: TabularMDP,
    gamma: float = GAMMA,
    samples: int = 1000,
    seed: int = 0,
    rewards: str | Sampler = "uniform",
    *,
    policy: BoundedPolicy | TabularPolicy | Floats | None = None,
    tolerance: float = TOLERANCE,
) -> Power:
    """(1 - gamma) / gamma x E[V*_R(s) - R(s)] over reward functions R (Def. 5.2), of every state.

    Rewards are received in states, one draw for each class of states that the world tells apart
    (`World.abstract`; on a graph typed in, each state). A terminal state is absorbing. The
    clock plays no part. The same seed gives the same reward functions whatever the number of
    threads, and the first n of more samples are those of n samples.

    CAVEAT: POWER depends on the representation and on the goals: raw values of two different
    graphs are not comparable, and it says what could be attained, not what an agent attains or
    wants. It is not monotone in gamma.

    Args:
        mdp: Where.
        gamma: Discount of the measure, in (0, 1); the limits 0 and 1 are `power_limit`.
        samples: Reward functions to draw, >= 1 (not used with ``goals``).
        seed: Of the draws, >= 0.
        rewards: ``uniform`` (iid on [0, 1]); ``goals``: the world's own goals, all equally
            likely, each rewarding its ``progress`` (an exact expectation, no draws); or a
            `Sampler`.
        policy: Measure what a limited agent attains instead of the optimum (Def. C.1): from the
            reward function to what it does, or one fixed policy that looks at neither reward
            nor clock (a `TabularPolicy`, or pair probabilities [P]).
        tolerance: Wanted bound on the absolute error of every value, uniform in gamma;
            `Power.error` exceeds it only where rounding does.

    Raises:
        InvalidInput: A gamma outside (0, 1), no samples, a policy that does not fit, a sampler
            that gives another shape or a reward that is not finite, an MDP reduced by symmetry
            (iid rewards on orbits are other goals), or ``goals`` where there is no world.
    """
    check_gamma(gamma)
    check_tolerance(tolerance)
    if policy is None:
        graph = arrays_of(mdp)

        def optimal(rows: Floats, class_of: Ints32) -> Block:
            return average_next(graph, rows, class_of, gamma, tolerance / (1 - gamma))

        return average_power(mdp, gamma, rewards, samples, seed, optimal)

    act = policy if callable(policy) else _fixed(mdp, policy)

    def limited(reward: Floats) -> tuple[Floats, float]:
        weights = act(reward)
        found = policy_solution(mdp, weights, reward, gamma, tolerance=tolerance / (1 - gamma))
        values = found.values[:, 0]
        ahead = np.bincount(
            mdp.pair_state, weights * expected_next_value(mdp, values), mdp.n_states
        )
        return (1 - gamma) * np.where(mdp.terminal, values, ahead), (1 - gamma) * found.error

    return average_power(mdp, gamma, rewards, samples, seed, partial(power_of_each_reward, limited))


def power_limit(
    mdp: TabularMDP,
    gamma: float,
    samples: int = 1000,
    seed: int = 0,
    rewards: str | Sampler = "uniform",
) -> Power:
    """The limit of POWER at gamma 0 or 1; arguments and errors as in `power`.

    At 0 it is the expected greatest reward of the next state, at 1 the expected greatest average
    reward of a cycle that can be reached (deterministic graphs only).

    Raises:
        InvalidInput: A gamma that is not 0 or 1, or 1 on a stochastic MDP.
    """
    if gamma not in (0, 1):
        raise InvalidInput("gamma", gamma, "0 or 1", f"Write power(mdp, {gamma!r}).")
    if gamma == 1 and not mdp.deterministic:
        raise InvalidInput(
            "gamma", 1, "0 in a stochastic MDP", "Write power(mdp, 0.999) to come close to 1."
        )

    def attained(reward: Floats) -> tuple[Floats, float]:
        if gamma == 0:
            return maximum_over_actions(mdp, expected_next_value(mdp, reward), reward), 0.0
        gain = np.empty(mdp.n_states)
        return gain, float(best_cycle(mdp.pair_start, mdp.edge_next, reward, gain))

    return average_power(
        mdp, gamma, rewards, samples, seed, partial(power_of_each_reward, attained)
    )


def average_power(
    mdp: TabularMDP,
    gamma: float,
    rewards: str | Sampler,
    samples: int,
    seed: int,
    block: Callable[[Floats, Ints32], Block],
) -> Power:
    """Mean and standard error of what is attained, over drawn reward functions or goals."""
    if rewards == "goals":
        every = np.arange(mdp.n_states, dtype=np.int32)
        mean, _, error = block(np.ascontiguousarray(goal_rewards(mdp).T), every)
        return Power(mdp, gamma, "goals", 0, mean, np.zeros(mdp.n_states), error)
    name = rewards if isinstance(rewards, str) else getattr(rewards, "__name__", "sampler")
    class_of = state_classes(mdp)

    def work(rows: Floats) -> tuple[int, Block]:
        return len(rows), block(rows, class_of)

    drawn = draw_rewards(mdp, rewards, samples, seed)
    count, mean, standard_error, error = merge_samples(in_threads(work, drawn), mdp.n_states)
    return Power(mdp, gamma, name, count, mean, standard_error, error)


def _fixed(mdp: TabularMDP, policy: TabularPolicy | Floats) -> BoundedPolicy:
    """A policy that does the same whatever is rewarded."""
    if isinstance(policy, TabularPolicy):
        if len(policy.bits) > 1 or policy.mdp is not mdp:
            allowed = "a policy of this very MDP that does not look at the clock"
            raise InvalidInput("policy", policy.name, allowed)
        policy = policy.pair_weights(0)
    weights = check_pair_weights(mdp, policy)
    return lambda reward: weights


def power_of_each_reward(
    attained: Callable[[Floats], tuple[Floats, float]], rows: Floats, class_of: Ints32
) -> Block:
    """A block of what is attained under each reward function alone."""
    mean, square, error = np.zeros(len(class_of)), np.zeros(len(class_of)), 0.0
    for i, row in enumerate(rows):
        found, bound = attained(row[class_of])
        off = found - mean
        mean += off / (i + 1)
        square += off * (found - mean)
        error = max(error, bound)
    return mean, square, error
