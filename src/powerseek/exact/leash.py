"""Policies held to a base policy: the optimum on a KL leash, and the quantiliser; exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numba import njit

from powerseek.envs.rewards.spec import Pay, RewardFunction, Spec
from powerseek.envs.world import World
from powerseek.errors import InvalidInput
from powerseek.exact.enumerate import DEFAULT_LIMIT
from powerseek.exact.mdp import TabularMDP
from powerseek.exact.need import as_mdp
from powerseek.exact.optimum import TIE
from powerseek.exact.pay import memoryless_reward, paid_in, pay_of
from powerseek.exact.solvers.evaluate import policy_weights
from powerseek.exact.solvers.finite import WHOLE, as_bits
from powerseek.exact.solvers.outcome import Outcome, mdp_criteria
from powerseek.exact.solvers.policy import TabularPolicy, WeightedPolicy
from powerseek.exact.solvers.product import NO_NODES, node_of
from powerseek.types import Floats, Policy

LEASH, QUANTILE = 0, 1
"""Rules by which a step of a policy is chosen from that of its base."""


@dataclass(frozen=True, eq=False)
class Held:
    """What a policy does that is held to a base policy.

    Attributes:
        value: What it maximises at its start: return less `strength` times divergence; of a
            quantiliser its return.
        returns: Expected discounted return of the reward.
        divergence: Expected Kullback-Leibler divergence from the base, in nats, summed over the
            steps of an episode and discounted as pay is.
        outcome: What it does to the world.
        probabilities: [T, P] of pairs, 0 where the base never is; None where they depend on the
            reward's memory (only ``every`` at gamma < 1).
        policy: What acts so, where the base ever is; None likewise.
    """

    value: float
    returns: float
    divergence: float
    outcome: Outcome
    probabilities: Floats | None = field(default=None, repr=False)
    policy: WeightedPolicy | None = field(default=None, repr=False)


def leashed_optimum(
    world_or_mdp: World | TabularMDP,
    base: TabularPolicy | Policy | Floats | Callable[[int], Floats],
    strength: float,
    reward: Spec | RewardFunction | Pay = "dense",
    gamma: float = 1.0,
    *,
    power_weight: float = 0.0,
    horizon: int | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Held:
    """The policy of greatest return less `strength` times its divergence from a base policy.

    By soft backup from the end: with action values Q(s, a, t) of what is left,
    V = b log sum_a base(a) exp(Q / b) and policy(a) = base(a) exp((Q - V) / b), so that in every
    state V = E Q - b KL (Todorov 2009, "Efficient computation of optimal actions"; as a penalty on
    what is learnt from human feedback, Korbak et al. 2022, arXiv:2205.11275). It has no action
    that the base has not: the smaller b, the nearer to the optimum within the base's support, the
    greater, the nearer to the base.

    Args:
        world_or_mdp: A world, enumerated here, or an MDP.
        base: The base policy, as `powerseek.exact.evaluate` takes it.
        strength: b > 0, in units of the reward a nat. For 0 use `powerseek.exact.optimum`.
        reward: The reward, as in a study, or all that a task pays.
        gamma: Discount of pay and divergence, in (0, 1].
        power_weight: w >= 0, paid for all the holdings attainable.
        horizon: Steps T; the world's time limit by default.
        limit: Most states to enumerate.

    Raises:
        InvalidInput: A strength that is not above 0, or a base that has no probabilities in a
            state that it reaches.
    """
    if not (strength > 0 and np.isfinite(strength)):
        allowed = "a number above 0, the price of a nat of divergence from the base"
        hint = "Without a leash: powerseek.exact.optimum."
        raise InvalidInput("strength", strength, allowed, hint)
    mdp = as_mdp(world_or_mdp, limit)
    return _held(mdp, base, LEASH, strength, reward, gamma, power_weight, horizon)


def quantiliser(
    world_or_mdp: World | TabularMDP,
    base: TabularPolicy | Policy | Floats | Callable[[int], Floats],
    q: float,
    reward: Spec | RewardFunction | Pay = "dense",
    gamma: float = 1.0,
    *,
    power_weight: float = 0.0,
    horizon: int | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Held:
    """The policy that draws each action from the best fraction q of a base policy's.

    In every state the base's actions are ranked by their value, reckoned with the quantiliser
    itself in what is left; the best of them that make up a probability of q are kept, the last of
    them in part, and drawn from in the base's proportions (Taylor 2016, "Quantilizers: a safer
    alternative to maximizers for limited optimization"). Actions of one value share what is left
    of q. Whatever the base costs in expectation, one choice costs at most 1/q times as much; T
    choices, one a step, at most q**-T times.

    Args:
        world_or_mdp: A world, enumerated here, or an MDP.
        base: The base policy, as `powerseek.exact.evaluate` takes it.
        q: Fraction, in (0, 1]; 1 is the base.
        reward: The reward, as in a study, or all that a task pays.
        gamma: Discount, in (0, 1].
        power_weight: w >= 0, paid for all the holdings attainable.
        horizon: Steps T; the world's time limit by default.
        limit: Most states to enumerate.

    Raises:
        InvalidInput: A fraction outside (0, 1], or a base that has no probabilities in a state
            that it reaches.
    """
    if not 0 < q <= 1:
        raise InvalidInput("q", q, "a fraction above 0, at most 1 (which is the base itself)")
    mdp = as_mdp(world_or_mdp, limit)
    return _held(mdp, base, QUANTILE, q, reward, gamma, power_weight, horizon)


def _held(
    mdp: TabularMDP,
    base: TabularPolicy | Policy | Floats | Callable[[int], Floats],
    rule: int,
    strength: float,
    reward: Spec | RewardFunction | Pay,
    gamma: float,
    power_weight: float,
    horizon: int | None,
) -> Held:
    if not 0 < gamma <= 1:
        raise InvalidInput("gamma", gamma, "a number above 0, at most 1")
    steps = mdp.horizon(horizon)
    as_bits(mdp, np.zeros(0, np.int64))  # no more actions in a state than the kernel holds
    pay = pay_of(mdp, reward, gamma, power_weight, None, steps)
    pay = replace(pay, reward_function=memoryless_reward(pay.reward_function, gamma))
    layers, classes, judged, largest = paid_in(mdp, pay, steps)
    graph = (mdp.pair_start, mdp.edge_start, mdp.edge_next, mdp.edge_probability, classes.of_edge)
    measured, weights = mdp_criteria(mdp), policy_weights(mdp, base, steps)
    # Columns: what is maximised, return, divergence, and every criterion.
    ahead, totals = NO_NODES, np.zeros((0, 3 + len(measured.names)))
    chosen = np.zeros((steps, mdp.n_pairs))
    memoryless = True
    for t in reversed(range(steps)):
        layer = layers[t]
        found = np.zeros((len(layer.memory), totals.shape[1]))
        memoryless &= bool(
            _back(
                *graph,
                mdp.terminal,
                measured.flows,
                measured.finals,
                layer.start,
                layer.memory,
                layer.reward,
                judged[t],
                layer.following,
                ahead.start,
                ahead.memory,
                totals,
                t + 1 == steps,
                gamma,
                rule,
                strength,
                TIE * (largest or 1.0),
                weights(t),
                found,
                chosen[t],
            )
        )
        ahead, totals = layer, found
    started = np.flatnonzero((mdp.initial > 0) & ~mdp.terminal)
    total = mdp.initial[started] @ totals if steps else np.zeros(totals.shape[1])
    if np.isnan(total).any():
        allowed = "rows that sum to 1 over the legal actions of every state it reaches"
        raise InvalidInput("base", "no probabilities in a state that it reaches", allowed)
    total[3:] += (mdp.initial * mdp.terminal) @ measured.finals
    value, returns, divergence = (float(x) for x in total[:3])
    outcome = measured.outcome(total[3:])
    if not memoryless:
        return Held(value, returns, divergence, outcome)
    acting = WeightedPolicy(mdp, chosen, "held policy")
    return Held(value, returns, divergence, outcome, chosen, acting)


@njit(cache=True, nogil=True)
def _back(  # type: ignore[no-untyped-def]  # compiled
    pair_start,
    edge_start,
    edge_next,
    edge_probability,
    of_edge,
    terminal,
    flows,
    finals,
    start,
    memory,
    reward,
    judged,
    following,
    next_start,
    next_memory,
    next_totals,
    last,
    gamma,
    rule,
    strength,
    tie,
    base,
    totals,
    chosen,
):
    """One step back: totals [n, 3 + C] of every node, and chosen [P] probabilities of pairs.

    True where chosen does not depend on the reward's memory. Totals are nan where the base has no
    probabilities, and before it where the base goes there.
    """
    width = totals.shape[1]
    rows, q = np.empty((64, width)), np.empty(64)
    memoryless = True
    for s in range(len(start) - 1):
        first, count = pair_start[s], pair_start[s + 1] - pair_start[s]
        prior = base[first : first + count].copy()
        mass = prior.sum()
        if abs(mass - 1) > WHOLE:
            totals[start[s] : start[s + 1]] = np.nan
            continue
        prior /= mass
        for node in range(start[s], start[s + 1]):
            paid, onward = reward[memory[node]], following[memory[node]]
            unknown = False
            for i in range(count):
                rows[i] = 0.0
                rows[i, 3:] = flows[first + i]
                q[i] = -np.inf
                if prior[i] <= 0.0:
                    continue
                rows[i, :2] = judged[first + i]
                for edge in range(edge_start[first + i], edge_start[first + i + 1]):
                    probability, state = edge_probability[edge], edge_next[edge]
                    rows[i, :2] += probability * paid[of_edge[edge]]
                    if last or terminal[state]:
                        rows[i, 3:] += probability * finals[state]
                        continue
                    ahead = node_of(next_start, next_memory, state, onward[of_edge[edge]])
                    rows[i, :3] += gamma * probability * next_totals[ahead, :3]
                    rows[i, 3:] += probability * next_totals[ahead, 3:]
                q[i] = rows[i, 0]
                unknown |= np.isnan(q[i])
            if unknown:  # the base goes on to where it has no probabilities
                totals[node] = np.nan
                continue
            weights = np.zeros(count)
            if rule == LEASH:
                value = _soft(prior, q, strength, weights)
            else:
                value = _best_quantile(prior, q, strength, tie, weights)
            divergence = 0.0
            for i in range(count):
                if weights[i] > 0.0:
                    totals[node] += weights[i] * rows[i]
                    divergence += weights[i] * np.log(weights[i] / prior[i])
            totals[node, 0] = value
            totals[node, 2] += divergence
            for i in range(count):
                if node > start[s] and chosen[first + i] != weights[i]:
                    memoryless = False
                chosen[first + i] = weights[i]
    return memoryless


@njit(cache=True, nogil=True)
def _soft(prior, q, strength, weights):  # type: ignore[no-untyped-def]  # compiled
    """Fill weights [n] of the leashed step, give its value; q is -inf where the base has 0."""
    best, total = q[: len(weights)].max(), 0.0
    for i in range(len(weights)):
        if prior[i] > 0.0:
            weights[i] = prior[i] * np.exp((q[i] - best) / strength)
            total += weights[i]
    for i in range(len(weights)):
        weights[i] /= total
    return best + strength * np.log(total)


@njit(cache=True, nogil=True)
def _best_quantile(prior, q, fraction, tie, weights):  # type: ignore[no-untyped-def]  # compiled
    """Fill weights [n] of the quantilised step, give its value; q is -inf where the base has 0."""
    order = np.argsort(-q[: len(weights)])
    left, value, place = fraction, 0.0, 0
    while place < len(order) and left > 0.0 and q[order[place]] > -np.inf:
        end, mass = place, 0.0
        while end < len(order) and q[order[end]] >= q[order[place]] - tie:
            mass += prior[order[end]]
            end += 1
        kept = min(1.0, left / mass) / fraction
        for k in range(place, end):
            weights[order[k]] = kept * prior[order[k]]
            value += weights[order[k]] * q[order[k]]
        left -= mass
        place = end
    return value
