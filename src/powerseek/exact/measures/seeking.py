"""A policy's preference for POWER, and POWER of limited agents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from powerseek.errors import InvalidInput
from powerseek.exact.mdp import TabularMDP
from powerseek.exact.measures.power import BoundedPolicy, Power
from powerseek.exact.solvers.discounted import (
    check_gamma,
    expected_next_value,
    maximum_over_actions,
)
from powerseek.exact.solvers.evaluate import policy_weights
from powerseek.exact.solvers.finite import occupancies
from powerseek.exact.solvers.policy import TabularPolicy
from powerseek.types import Floats, Ints, Policy, Records

_TIE = 1e-12
_NOTHING = 1e-9


@dataclass(frozen=True)
class Seeking:
    """A policy's choices between next states of different POWER.

    Attributes:
        score: 0 for the random policy, 1 for one that always goes where POWER is greatest,
            negative for one that avoids it; nan where no visited state leaves a choice (best and
            random differ by no more than 1e-9).
        chosen: Expected POWER of the next state under the policy, averaged over decisions.
        random: The same for a uniformly random action in the same states.
        best: The same for the POWER-greedy action.
        decisions: Expected number of decisions in an episode.
    """

    score: float
    chosen: float
    random: float
    best: float
    decisions: float


def seeking(
    measured: Power,
    policy: TabularPolicy | Policy | Floats | Callable[[int], Floats],
    horizon: int | None = None,
) -> Seeking:
    """POWER-seeking of a policy: Turner et al. 2021, Def. 5.6, over the decisions it meets.

    ``sum d (chosen - random) / sum d (best - random)`` over states and clock, where d is the
    policy's own visitation and the three are expected POWER of the next state: states in which
    actions differ more weigh more.

    CAVEAT: POWER is about states drawn at random as goals: a policy can score high because its
    task leads through states with many options. Compare with the score of the task's own exact
    optimum. Sampling noise in POWER makes ``best`` look better than it is: use samples enough
    that standard errors are far below the differences.

    Args:
        measured: POWER of every state.
        policy: As in `powerseek.exact.evaluate`.
        horizon: Steps T; the world's time limit by default.

    Raises:
        InvalidInput: A policy that does not fit the MDP.
    """
    mdp = measured.mdp
    steps = mdp.horizon(horizon)
    taken = np.zeros(mdp.n_pairs)
    for _, at_once in occupancies(mdp, policy_weights(mdp, policy, steps), steps):
        taken += at_once
    ahead = measured.pairs
    counts = np.diff(mdp.pair_start)[mdp.pair_state]
    of_state = np.bincount(mdp.pair_state, taken, mdp.n_states)
    choice = (of_state > 0) & (np.diff(mdp.pair_start) > 1)
    total = float(of_state[choice].sum())
    if not total > 0:
        return Seeking(np.nan, np.nan, np.nan, np.nan, 0.0)
    at = choice[mdp.pair_state]
    chosen = float(taken[at] @ ahead[at]) / total
    mean = np.bincount(mdp.pair_state, ahead / counts, mdp.n_states)
    random = float(of_state[choice] @ mean[choice]) / total
    greedy = maximum_over_actions(mdp, ahead, measured.values)
    best = float(of_state[choice] @ greedy[choice]) / total
    margin = best - random
    score = (chosen - random) / margin if margin > max(_NOTHING, 4 * measured.error) else np.nan
    return Seeking(score, chosen, random, best, total)


def decisions(measured: Power, records: Records, actions: Ints) -> tuple[Floats, Floats, Floats]:
    """(chosen, random, best) expected POWER [n] of the next state in decisions that were met.

    What `seeking` averages, for states [n] and actions [n] of trajectories: ``sum (chosen -
    random) / sum (best - random)`` over them estimates its score, also for a policy that
    remembers. An illegal action wastes its step and leaves the POWER of the state itself. All
    three are equal where a state leaves no choice.

    Raises:
        InvalidInput: A state that is over or unknown.
    """
    mdp = measured.mdp
    states = mdp.find(records)
    unknown = np.flatnonzero((states < 0) | mdp.terminal[states])
    if len(unknown):
        raise InvalidInput("records", records[unknown[0]], "states of the world that are not over")
    ahead = measured.pairs
    best = maximum_over_actions(mdp, ahead, measured.values)[states]
    counts = np.diff(mdp.pair_start)
    random = np.bincount(mdp.pair_state, ahead, mdp.n_states)[states] / counts[states]
    table = np.repeat(measured.values[:, None], mdp.n_actions, axis=1)
    table[mdp.pair_state, mdp.pair_action] = ahead
    chosen = table[states, actions]
    free = counts[states] > 1
    return np.where(free, chosen, best), np.where(free, random, best), best


def power_greedy_policy(measured: Power) -> TabularPolicy:
    """Always goes where expected POWER of the next state is greatest; ties are equally likely.

    Two actions tie within the solver's certified error.

    Raises:
        InvalidInput: A state has more actions than a tabular policy can hold.
    """
    mdp = measured.mdp
    ahead = measured.pairs
    best = maximum_over_actions(mdp, ahead, measured.values)[mdp.pair_state]
    tied = ahead >= best - max(2 * measured.error, _TIE)
    return TabularPolicy.uniform_over(mdp, tied, "power-greedy")


def lookahead(mdp: TabularMDP, steps: int, gamma: float) -> BoundedPolicy:
    """An agent that plans `steps` ahead and no further, as `power` takes it (Def. C.1).

    It takes the action that is best if the world ended `steps` steps later (ties equally
    likely), again in every state: `steps` large gives the optimum, 1 the greediest neighbour.

    Args:
        mdp: Where.
        steps: Look-ahead, >= 1.
        gamma: Its discount, in (0, 1).
    """
    check_gamma(gamma)
    if steps < 1:
        raise InvalidInput("steps", steps, "a look-ahead >= 1")

    def act(reward: Floats) -> Floats:
        values = reward
        for _ in range(steps):
            ahead = gamma * expected_next_value(mdp, values)
            best = maximum_over_actions(mdp, ahead, gamma * values)
            values = reward + best
        tied = ahead >= best[mdp.pair_state] - _TIE
        ties = np.bincount(mdp.pair_state, tied, mdp.n_states)
        weights: Floats = tied / ties[mdp.pair_state]
        return weights

    return act
