"""Fractions of goals that make an action optimal (Turner et al. 2021, arXiv:1912.01683).

`optimality_probability` asks over goals drawn at random, `orbit_count` over all rearrangements of
one goal: two ways to say that most goals prefer an action, without a word about POWER.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from math import factorial, prod
from typing import Any

import numpy as np
from scipy.special import betaincinv

from powerseek.errors import InvalidInput
from powerseek.exact.mdp import TabularMDP
from powerseek.exact.measures.goals import (
    BLOCK,
    Sampler,
    draw_rewards,
    goal_rewards,
    state_classes,
)
from powerseek.exact.solvers.discounted import (
    TOLERANCE,
    arrays_of,
    check_gamma,
    check_tolerance,
    expected_next_value,
    maximum_over_actions,
    solve_one,
)
from powerseek.exact.solvers.threads import in_threads
from powerseek.types import Floats, Ints

ORBIT = 50_000
"""Largest orbit that is counted in full where no number of samples is asked for."""

SAMPLES = 10_000
"""Rearrangements drawn from a larger orbit where no number is asked for."""

_ROUNDING = 2.0**-50


@dataclass(frozen=True, eq=False)
class OptimalityProbability:
    """Probability that a (state, action) pair is optimal for a goal drawn at random.

    Attributes:
        mdp: Where.
        gamma: The discount of the goals.
        rewards: What rewards were drawn from: ``uniform``, ``goals`` or a sampler's name.
        samples: Reward functions drawn; 0 where the probability is exact (``goals``).
        values: [P] fraction of reward functions for which the pair is optimal, 0 to 1; actions that
            tie are all optimal, so those of a state may sum to more than 1.
        low: [P] lower end of the exact 95 % interval (Clopper and Pearson 1934).
        high: [P] upper end.
        tie: Gap of action values, in units of reward, up to which pairs count as tied: the
            solver's certified error. No optimal pair is missed; one that falls short of the
            optimum by less than twice this may be counted.
    """

    mdp: TabularMDP
    gamma: float
    rewards: str
    samples: int
    values: Floats
    low: Floats
    high: Floats
    tie: float

    def of(self, state: Hashable | Any, action: int) -> float:
        """Probability that `action` (its index) is optimal in a state (label, record, number).

        Raises:
            InvalidInput: There is no such state, or no such action in it.
        """
        return float(self.values[pair_number(self.mdp, self.mdp.index(state), action)])


@dataclass(frozen=True)
class OrbitCount:
    """For how many rearrangements of one reward function an action beats another.

    Attributes:
        more: Rearrangements under which a is strictly better than b.
        fewer: Under which b is strictly better than a.
        equal: Under which they tie (action values within `tie`).
        total: Rearrangements looked at: the whole orbit, or the sample drawn from it.
        orbit: Distinct rearrangements that there are.
        fraction: ``more / total``.
        low: Lower end of its exact 95 % interval; the fraction itself where the whole orbit was
            counted.
        high: Upper end.
        tie: Difference of action values, in units of reward, up to which they tie: the solver's
            certified error.
    """

    more: int
    fewer: int
    equal: int
    total: int
    orbit: int
    fraction: float
    low: float
    high: float
    tie: float


def optimality_probability(
    mdp: TabularMDP,
    gamma: float,
    samples: int = 1000,
    seed: int = 0,
    rewards: str | Sampler = "uniform",
    *,
    tolerance: float = TOLERANCE,
) -> OptimalityProbability:
    """Probability over reward functions that each (state, action) pair is optimal.

    Turner et al. 2021, for single actions. Goals are drawn as by
    `powerseek.exact.power`: the same seed gives the same ones.

    CAVEAT: Says which action most goals prefer, not by how much, and only for the goals drawn:
    it need not rank actions as POWER does, and an action that leads to many states that look
    different but are worth little counts as well as one that leads to power.

    Args:
        mdp: Where.
        gamma: Discount of the goals, in (0, 1).
        samples: Reward functions to draw, >= 1 (not used with ``goals``).
        seed: Of the draws, >= 0.
        rewards: ``uniform``, ``goals`` or a sampler, as in `powerseek.exact.power`.
        tolerance: Wanted bound on the absolute error of values, in units of reward: what counts
            as a tie.

    Raises:
        InvalidInput: As in `powerseek.exact.power`.
    """
    check_gamma(gamma)
    check_tolerance(tolerance)
    exact = isinstance(rewards, str) and rewards == "goals"
    name = rewards if isinstance(rewards, str) else getattr(rewards, "__name__", "sampler")
    class_of: Any
    if exact:
        drawn: Iterator[Floats] = iter([np.ascontiguousarray(goal_rewards(mdp).T)])
        class_of = slice(None)
    else:
        drawn, class_of = draw_rewards(mdp, rewards, samples, seed), state_classes(mdp)

    def block(rows: Floats) -> tuple[int, Ints, float]:
        counts, widest = np.zeros(mdp.n_pairs, np.int64), 0.0
        for row in rows:
            values, ahead, tie = _solved(mdp, row[class_of], gamma, tolerance)
            counts += ahead >= maximum_over_actions(mdp, ahead, values)[mdp.pair_state] - tie
            widest = max(widest, tie)
        return len(rows), counts, widest

    n, optimal, tie = 0, np.zeros(mdp.n_pairs, np.int64), 0.0
    for its_n, its_counts, its_tie in in_threads(block, drawn):
        n, optimal, tie = n + its_n, optimal + its_counts, max(tie, its_tie)
    values = optimal / n
    low, high = (values, values) if exact else clopper_pearson(optimal, n)
    return OptimalityProbability(mdp, gamma, name, 0 if exact else n, values, low, high, tie)


def orbit_count(
    mdp: TabularMDP,
    reward: Floats,
    state: Hashable | Any,
    actions: tuple[int | Sequence[int], int | Sequence[int]],
    gamma: float,
    samples: int | None = None,
    seed: int = 0,
    *,
    tolerance: float = TOLERANCE,
) -> OrbitCount:
    """In how many rearrangements of a reward function over states an action beats another.

    Turner et al. 2021: the orbit of a reward function under permutations of the
    states. An orbit that is small enough is counted in full, a larger one is sampled uniformly.

    CAVEAT: Counts rearrangements of one goal, all alike, also those no designer would choose; how
    much better an action is does not matter.

    Args:
        mdp: Where.
        reward: [classes] reward of each class of states
            (`powerseek.exact.measures.goals.state_classes`; on a graph typed in, of each state).
        state: Label, record or number of the state in which to compare.
        actions: (a, b), each the index of an action, or several of which the best counts.
        gamma: Discount of the goals, in (0, 1).
        samples: Rearrangements to draw, >= 1, where there are more than that; by default an
            orbit of up to `ORBIT` is counted in full and `SAMPLES` are drawn from a larger one.
        seed: Of the draws, >= 0.
        tolerance: Wanted bound on the absolute error of values: what counts as a tie.

    Raises:
        InvalidInput: A state or action that is not there, a reward function that does not fit or
            is not finite, no samples, a gamma outside (0, 1), or states reduced by symmetry.
    """
    check_gamma(gamma)
    check_tolerance(tolerance)
    number = mdp.index(state)
    a, b = (_pairs(mdp, number, chosen) for chosen in actions)
    class_of = state_classes(mdp)
    values = _class_rewards(mdp, reward, int(class_of.max(initial=-1)) + 1)
    if samples is not None and samples < 1:
        raise InvalidInput("samples", samples, "a number of rearrangements >= 1, or None")
    if seed < 0:
        raise InvalidInput("seed", seed, "an integer >= 0")
    orbit = orbit_size(values)
    whole = orbit <= (ORBIT if samples is None else samples)
    arranged = arrangements(values) if whole else _shuffled(values, samples or SAMPLES, seed)

    def block(rows: Floats) -> tuple[Ints, float]:
        counts, widest = np.zeros(3, np.int64), 0.0
        for row in rows:
            _, ahead, tie = _solved(mdp, row[class_of], gamma, tolerance)
            gain = ahead[a].max() - ahead[b].max()
            counts[0 if gain > tie else 1 if gain < -tie else 2] += 1
            widest = max(widest, tie)
        return counts, widest

    counts, tie = np.zeros(3, np.int64), 0.0
    for its_counts, its_tie in in_threads(block, _blocks(arranged)):
        counts, tie = counts + its_counts, max(tie, its_tie)
    more, fewer, equal = (int(count) for count in counts)
    total = more + fewer + equal
    fraction = more / total
    low, high = fraction, fraction
    if not whole:
        low, high = (float(end) for end in clopper_pearson(counts[0], total))
    return OrbitCount(more, fewer, equal, total, orbit, fraction, low, high, tie)


def orbit_size(values: Floats) -> int:
    """Number of distinct rearrangements of n values: n! over the factorials of repetitions."""
    repeats = np.unique(values, return_counts=True)[1]
    alike: int = prod(factorial(int(count)) for count in repeats)
    return factorial(len(values)) // alike


def arrangements(values: Floats) -> Iterator[Floats]:
    """Every distinct rearrangement once, in lexicographic order (Knuth, TAOCP 7.2.1.2, L)."""
    row = sorted(float(value) for value in values)
    last = len(row) - 1
    while True:
        yield np.array(row)
        at = last - 1
        while at >= 0 and row[at] >= row[at + 1]:
            at -= 1
        if at < 0:
            return
        other = last
        while row[at] >= row[other]:
            other -= 1
        row[at], row[other] = row[other], row[at]
        row[at + 1 :] = reversed(row[at + 1 :])


def clopper_pearson(counts: Ints | int, n: int) -> tuple[Floats, Floats]:
    """(low, high) of the exact 95 % interval of a proportion (Clopper and Pearson 1934).

    Args:
        counts: Number of successes, 0 to n, of any shape.
        n: Number of trials, >= 1.
    """
    k = np.asarray(counts, np.float64)
    # At the ends the beta distribution degenerates: the interval reaches 0 or 1.
    low = np.where(k > 0, betaincinv(np.maximum(k, 1), n - k + 1, 0.025), 0.0)
    high = np.where(k < n, betaincinv(k + 1, np.maximum(n - k, 1), 0.975), 1.0)
    return low, high


def pair_number(mdp: TabularMDP, state: int, action: int) -> int:
    """Number of the pair of a state number and an action index.

    Raises:
        InvalidInput: The state has no such action.
    """
    first, stop = int(mdp.pair_start[state]), int(mdp.pair_start[state + 1])
    legal: list[int] = mdp.pair_action[first:stop].tolist()
    if action not in legal:
        shown = ", ".join(map(str, legal)) or "none: the episode is over there"
        raise InvalidInput("action", action, f"an action of state {state}: {shown}")
    return first + legal.index(action)


def _pairs(mdp: TabularMDP, state: int, chosen: int | Sequence[int]) -> list[int]:
    several = list(chosen) if isinstance(chosen, Sequence | np.ndarray) else [chosen]
    if not several:
        raise InvalidInput("actions", chosen, "the index of an action, or several")
    return [pair_number(mdp, state, action) for action in several]


def _class_rewards(mdp: TabularMDP, reward: Floats, width: int) -> Floats:
    values = np.asarray(reward, np.float64)
    if values.shape != (width,):
        raise InvalidInput("reward", values.shape, f"shape ({width},): one a class of states")
    if not np.isfinite(values).all():
        raise InvalidInput("reward", float(values[~np.isfinite(values)][0]), "finite rewards")
    mdp.check_unreduced("rearranged rewards of orbits are other goals")
    return values


def _solved(
    mdp: TabularMDP, reward: Floats, gamma: float, tolerance: float
) -> tuple[Floats, Floats, float]:
    """Values [S], values of actions [P] before the reward, and how far apart equals may seem."""
    found = np.ascontiguousarray(reward)
    values, error = solve_one(arrays_of(mdp), found, np.zeros(0), gamma, tolerance)
    tie = 2 * gamma * error + _ROUNDING * float(np.abs(values).max(initial=0.0))
    return values, gamma * expected_next_value(mdp, values), tie


def _shuffled(values: Floats, samples: int, seed: int) -> Iterator[Floats]:
    generator = np.random.default_rng(seed)
    for _ in range(samples):
        yield generator.permutation(values)


def _blocks(rows: Iterable[Floats]) -> Iterator[Floats]:
    pending = iter(rows)
    while block := list(islice(pending, BLOCK)):
        yield np.array(block)
