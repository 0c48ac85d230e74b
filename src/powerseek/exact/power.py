"""POWER: the average attainable value over many goals (Turner et al. 2021, arXiv:1912.01683)."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numba import njit

from powerseek.envs.expand import describe
from powerseek.envs.world import World
from powerseek.errors import InvalidInput
from powerseek.exact.discounted import (
    arrays_of,
    average_next,
    best_of,
    check_gamma,
    check_weights,
    expected,
    policy_values,
)
from powerseek.exact.mdp import Ints32, TabularMDP
from powerseek.exact.policy import TabularPolicy
from powerseek.exact.threads import in_threads
from powerseek.exact.words import words
from powerseek.types import Floats

GAMMA = 0.95
"""Discount of the measure unless another is asked for: one for all agents, never their own."""

BLOCK = 32
"""Reward functions drawn at once; part of what a seed means."""

TOLERANCE = 1e-9
"""Default bound on the absolute error of a POWER, before sampling error."""

Sampler = Callable[[np.random.Generator, tuple[int, int]], Floats]
"""(generator, (n, classes)) -> n reward functions, one a row: `numpy.random.Generator.random`."""

Block = tuple[Floats, Floats, float]
"""Mean [S] and sum of squared deviations [S] over some reward functions; certified error."""

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
        return expected(self.mdp, self.values)


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
        tolerance: Bound on the absolute error of every value, uniform in gamma.

    Raises:
        InvalidInput: A gamma outside (0, 1), no samples, a policy that does not fit, a sampler
            that gives another shape or a reward that is not finite, an MDP reduced by symmetry
            (iid rewards on orbits are other goals), or ``goals`` where there is no world.
    """
    check_gamma(gamma)
    if policy is None:
        graph = arrays_of(mdp)

        def optimal(rows: Floats, class_of: Ints32) -> Block:
            return average_next(graph, rows, class_of, gamma, tolerance / (1 - gamma))

        return _average(mdp, gamma, rewards, samples, seed, optimal)

    act = policy if callable(policy) else _fixed(mdp, policy)

    def limited(reward: Floats) -> tuple[Floats, float]:
        weights = act(reward)
        values = policy_values(mdp, weights, reward, gamma, tolerance=tolerance)[:, 0]
        ahead = np.bincount(mdp.pair_state, weights * expected(mdp, values), mdp.n_states)
        return (1 - gamma) * np.where(mdp.terminal, values, ahead), tolerance

    return _average(mdp, gamma, rewards, samples, seed, partial(_one_by_one, limited))


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
    if gamma == 1 and mdp.n_edges != mdp.n_pairs:
        raise InvalidInput(
            "gamma", 1, "0 in a stochastic MDP", "Write power(mdp, 0.999) to come close to 1."
        )

    def attained(reward: Floats) -> tuple[Floats, float]:
        if gamma == 0:
            return best_of(mdp, expected(mdp, reward), reward), 0.0
        gain = np.empty(mdp.n_states)
        return gain, float(_best_cycle(mdp.pair_start, mdp.edge_next, reward, gain))

    return _average(mdp, gamma, rewards, samples, seed, partial(_one_by_one, attained))


def classes(mdp: TabularMDP) -> Ints32:
    """[S] class of every state; rewards are drawn a class.

    Ordered by the values of the fields that `World.abstract` names, not by enumeration: what
    the fields leave out (a dummy) changes nothing. On a graph typed in every state is its own.
    """
    if mdp.world is None or mdp.records is None:
        return np.arange(mdp.n_states, dtype=np.int32)
    fields = list(mdp.world.abstract(mdp.world.params))
    parts = [words(np.ascontiguousarray(mdp.records[name])) for name in fields]
    rows = np.concatenate([part.reshape(mdp.n_states, -1) for part in parts], axis=1)
    found: Ints32 = np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int32)
    return found


def draw_rewards(
    mdp: TabularMDP, rewards: str | Sampler, samples: int, seed: int
) -> Iterator[Floats]:
    """Reward functions on classes, in blocks [at most BLOCK, classes].

    Raises:
        InvalidInput: As in `power`.
    """
    check_draws(samples, seed, rewards)
    if isinstance(rewards, str) and rewards == "goals":
        raise InvalidInput("rewards", rewards, "what is drawn", "Write goal_rewards(mdp).")
    if mdp.symmetric:
        raise InvalidInput(
            "mdp",
            "states reduced by symmetry",
            "all states: iid rewards on orbits are other goals",
            "Write enumerate_world(world).",
        )
    width = int(classes(mdp).max(initial=-1)) + 1
    for block, first in enumerate(range(0, samples, BLOCK)):
        generator = np.random.default_rng([seed, block])
        if isinstance(rewards, str):
            drawn = generator.random((BLOCK, width))
        else:
            drawn = np.asarray(rewards(generator, (BLOCK, width)), np.float64)
        if drawn.shape != (BLOCK, width):
            raise InvalidInput("rewards", drawn.shape, f"an array of shape {(BLOCK, width)}")
        if not np.isfinite(drawn).all():
            wrong = float(drawn[~np.isfinite(drawn)][0])
            raise InvalidInput("rewards", wrong, "finite rewards")
        yield drawn[: samples - first]


def check_draws(samples: int, seed: int, rewards: str | Sampler) -> None:
    """Refuse what `draw_rewards` cannot draw.

    Raises:
        InvalidInput: No samples, a negative seed or an unknown name of rewards.
    """
    if not isinstance(samples, int) or samples < 1:
        raise InvalidInput("samples", samples, "a number of reward functions >= 1")
    if seed < 0:
        raise InvalidInput("seed", seed, "an integer >= 0")
    if isinstance(rewards, str) and rewards not in ("uniform", "goals"):
        raise InvalidInput("rewards", rewards, "uniform, goals or a function that draws them")


def goal_rewards(mdp: TabularMDP) -> Floats:
    """[S, G] reward of every state under each of the world's own goals: its ``progress``.

    Raises:
        InvalidInput: A graph typed in: it has no goals.
    """
    if mdp.world is None or mdp.records is None:
        raise InvalidInput("rewards", "goals", "uniform or a sampler on a graph typed in")
    return np.stack(
        [
            describe(world, mdp.records)[0][:, world.columns("progress").start]
            for world in goals(mdp.world)
        ],
        axis=1,
    )


def goals(world: World) -> list[World]:
    """The world under every goal it knows: every allowed value of its parameter ``goal``."""
    low, high = world.ranges.get("goal", (0, 0))
    found = []
    for goal in range(low, high + 1) if hasattr(world.params, "goal") else ():
        try:
            found.append(world.replace(goal=goal))
        except InvalidInput:  # not at these parameters
            continue
    return found or [world]


def _average(
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
    class_of = classes(mdp)

    def work(rows: Floats) -> tuple[int, Block]:
        return len(rows), block(rows, class_of)

    drawn = draw_rewards(mdp, rewards, samples, seed)
    count, mean, standard_error, error = merged(in_threads(work, drawn), mdp.n_states)
    return Power(mdp, gamma, name, count, mean, standard_error, error)


def merged(parts: Iterable[tuple[int, Block]], size: int) -> tuple[int, Floats, Floats, float]:
    """Count, mean [size], its standard error [size] (nan of one sample) and the largest error.

    Means and squares of parts make those of the whole (Chan, Golub and LeVeque 1979).
    """
    count, mean, square, error = 0, np.zeros(size), np.zeros(size), 0.0
    for n, (its_mean, its_square, bound) in parts:
        off = its_mean - mean
        square += its_square + off * off * (count * n / (count + n))
        mean += off * (n / (count + n))
        count, error = count + n, max(error, bound)
    with np.errstate(invalid="ignore"):  # one sample has no spread
        return count, mean, np.sqrt(square / np.float64(count - 1) / count), error


def _fixed(mdp: TabularMDP, policy: TabularPolicy | Floats) -> BoundedPolicy:
    """A policy that does the same whatever is rewarded."""
    if isinstance(policy, TabularPolicy):
        if len(policy.bits) > 1 or policy.mdp is not mdp:
            allowed = "a policy of this very MDP that does not look at the clock"
            raise InvalidInput("policy", policy.name, allowed)
        policy = policy.pair_weights(0)
    weights = check_weights(mdp, policy)
    return lambda reward: weights


def _one_by_one(
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


@njit(cache=True, nogil=True)
def _best_cycle(pair_start, pair_next, reward, gain):  # type: ignore[no-untyped-def]  # compiled
    """Greatest mean reward [S] of a reachable cycle, in place; the certified error.

    Policy iteration on (gain, bias), as in Cochet-Terrasson et al. 1998. The gains found are
    attained; the error is how much the last inequalities leave open from above.
    """
    states = len(pair_start) - 1
    following = np.empty(states, np.int64)
    bias = np.zeros(states)
    mark = np.empty(states, np.int8)
    path = np.empty(states, np.int64)
    for s in range(states):
        following[s] = s
        for pair in range(pair_start[s], pair_start[s + 1]):
            if pair == pair_start[s] or reward[pair_next[pair]] > reward[following[s]]:
                following[s] = pair_next[pair]
    slack = 1e-13 * (1.0 + np.abs(reward).max())
    rounds = 0
    while True:
        rounds += 1
        _evaluate_average(following, reward, gain, bias, mark, path)
        switches = 0
        for s in range(states):
            for pair in range(pair_start[s], pair_start[s + 1]):
                n = pair_next[pair]
                if gain[n] > gain[following[s]] + slack:
                    following[s] = n
                    switches += 1
        if switches > 0:
            continue
        error = 0.0
        for s in range(states):
            now = bias[following[s]]
            for pair in range(pair_start[s], pair_start[s + 1]):
                n = pair_next[pair]
                if gain[n] >= gain[s] - slack:
                    error = max(error, bias[n] - now)
                    if bias[n] > bias[following[s]] + states * slack:
                        following[s] = n
                        switches += 1
        # Ties of several cycles may switch for ever; then the error says what is left open.
        if switches == 0 or rounds > 200 + states:
            return error + slack


@njit(cache=True, nogil=True)
def _evaluate_average(following, reward, gain, bias, mark, path):  # type: ignore[no-untyped-def]  # compiled
    """Gain and bias [S] of a graph with one arrow out of every state, in one pass."""
    mark[:] = 0
    for start in range(len(following)):
        length = 0
        s = start
        while mark[s] == 0:
            mark[s] = 1
            path[length] = s
            length += 1
            s = following[s]
        if length == 0:
            continue
        if mark[s] == 1:
            total, steps, around = 0.0, 0, s
            while True:
                total += reward[around]
                steps += 1
                around = following[around]
                if around == s:
                    break
            gain[s] = total / steps
            bias[s] = 0.0
            mark[s] = 2
        for i in range(length - 1, -1, -1):
            here = path[i]
            if mark[here] == 1:
                gain[here] = gain[following[here]]
                bias[here] = reward[here] - gain[here] + bias[following[here]]
                mark[here] = 2
