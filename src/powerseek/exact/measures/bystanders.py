"""Effects on others: bystanders' POWER under an agent's policy, and what each action changes."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache, partial
from typing import Any

import numpy as np

from powerseek.envs.world import World
from powerseek.errors import InvalidInput
from powerseek.exact.enumerate import DEFAULT_LIMIT, enumerate_world, enumerated
from powerseek.exact.mdp import TabularMDP
from powerseek.exact.measures.goals import Sampler
from powerseek.exact.measures.power import TOLERANCE, average_power, power_of_each_reward
from powerseek.exact.need import Frontier, least_cost
from powerseek.exact.solvers.discounted import (
    arrays_of,
    check_gamma,
    check_tolerance,
    expected_next_value,
    maximum_over_actions,
    solve_one,
)
from powerseek.exact.solvers.evaluate import policy_weights
from powerseek.exact.solvers.finite import WHOLE, occupancies
from powerseek.exact.solvers.outcome import mdp_success
from powerseek.exact.solvers.policy import TabularPolicy
from powerseek.types import Floats, Ints, Policy, Records

AgentPolicy = Floats | int | Callable[[TabularMDP], Floats]
"""Probabilities of the agent's actions [S, agent actions], the index of one action that it always
takes (a no-op), or a callable from the joint MDP to such probabilities."""


@dataclass(frozen=True, eq=False)
class Disempowerment:
    """Change in a bystander's POWER under an agent's policy.

    Attributes:
        values: [S] POWER under the agent's policy - POWER under the no-op agent, -1 to 1 for
            rewards in [0, 1]; negative: the bystander loses.
        standard_error: [S] of sampling, paired: both POWERs see the same reward functions; 0 for
            ``goals``, nan of one sample.
        error: Certified bound on the solver's absolute error of every value, besides sampling.
        agent: The bystander's MDP under the agent's policy.
        noop: The bystander's MDP under the no-op agent. `powerseek.exact.power` of either, with
            the same samples and seed, gives the two POWERs.
    """

    values: Floats
    standard_error: Floats
    error: float
    agent: TabularMDP
    noop: TabularMDP

    def of(self, state: Hashable | Any) -> float:
        """Change of POWER in one state: its label, its record or its number.

        Raises:
            InvalidInput: There is no such state.
        """
        return float(self.values[self.agent.index(state)])


def fix_agent(mdp: TabularMDP, actors: Ints, policy: AgentPolicy) -> TabularMDP:
    """The bystander's MDP while the agent follows a fixed policy that does not look at the clock.

    Its actions are the bystander's; transitions and flows are averaged over the agent's. The
    states, their facts, records and labels stay, so rewards mean the same as in the joint MDP.
    Where there is a world, its policies and masks still speak of joint actions: only measures
    that take rewards (`powerseek.exact.power`, `solve`) mean anything on the result.

    Args:
        mdp: The joint MDP: both act at once.
        actors: [A, 2] (agent action, bystander action) that each action index stands for.
        policy: What the agent does, see `AgentPolicy`. Not looked at where the episode is over.

    Raises:
        InvalidInput: Actors or probabilities that do not fit, or an action of the agent of
            positive probability that is not legal together with an action that the bystander
            has in that state (which is named).
    """
    roles = _check_actors(mdp, actors)
    chances = _chances(mdp, roles, policy)
    theirs = int(roles[:, 1].max(initial=0)) + 1
    pair_role = roles[mdp.pair_action]
    keys, pair_of = np.unique(
        mdp.pair_state.astype(np.int64) * theirs + pair_role[:, 1], return_inverse=True
    )
    weights = chances[mdp.pair_state, pair_role[:, 0]]
    sums = np.bincount(pair_of, weights, len(keys)).astype(np.float64)
    _check_joint(mdp, keys, theirs, sums)
    state = keys // theirs
    pair_flows = np.zeros((len(keys), mdp.pair_flows.shape[1]))
    np.add.at(pair_flows, pair_of, weights[:, None] * mdp.pair_flows)
    return replace(
        mdp,
        pair_start=np.searchsorted(state, np.arange(mdp.n_states + 1)).astype(np.int64),
        pair_state=state.astype(np.int32),
        pair_action=(keys % theirs).astype(np.int32),
        pair_flows=pair_flows,
        **_merged_edges(mdp, pair_of, weights, len(keys)),
    )


def disempowerment(
    mdp: TabularMDP,
    actors: Ints,
    policy: AgentPolicy,
    noop: AgentPolicy,
    gamma: float,
    samples: int = 1000,
    seed: int = 0,
    rewards: str | Sampler = "uniform",
    *,
    tolerance: float = TOLERANCE,
) -> Disempowerment:
    """Change of a bystander's POWER under an agent's policy against a no-op agent.

    SCIENCE section 5; POWER as in `powerseek.exact.power` (Turner et al. 2021, Def. 5.2). Each
    reward function is used for both, so that what they have in common cancels.

    CAVEAT: The bystander knows the agent's policy and answers it perfectly, so harm by surprise
    is not seen; nor is harm to what the bystander already has, only to what it could attain; and
    a baseline that is not nothing (a no-op that lets things decay) makes the agent look better.

    Args:
        mdp: The joint MDP.
        actors: [A, 2], as in `fix_agent`.
        policy: What the agent does, as in `fix_agent`.
        noop: What it is compared with, as in `fix_agent`: usually the index of its no-op.
        gamma: Discount of the measure, in (0, 1).
        samples: Reward functions, >= 1 (not used with ``goals``).
        seed: Of the draws, >= 0.
        rewards: ``uniform``, ``goals`` or a sampler, as in `powerseek.exact.power`.
        tolerance: Bound on the absolute error of every value.

    Raises:
        InvalidInput: As in `fix_agent` and `powerseek.exact.power`.
    """
    check_gamma(gamma)
    check_tolerance(tolerance)
    agent, baseline = fix_agent(mdp, actors, policy), fix_agent(mdp, actors, noop)
    graphs = [(each, arrays_of(each)) for each in (agent, baseline)]
    none = np.zeros(0)

    def change(reward: Floats) -> tuple[Floats, float]:
        attained, bound = [], 0.0
        for each, graph in graphs:
            values, error = solve_one(graph, reward, none, gamma, tolerance / 2 / (1 - gamma))
            attained.append(
                (1 - gamma) * maximum_over_actions(each, expected_next_value(each, values), values)
            )
            bound += (1 - gamma) * error
        return attained[0] - attained[1], bound

    found = average_power(mdp, gamma, rewards, samples, seed, partial(power_of_each_reward, change))
    return Disempowerment(found.values, found.standard_error, found.error, agent, baseline)


def _check_actors(mdp: TabularMDP, actors: Ints) -> Ints:
    roles = np.asarray(actors)
    if roles.shape != (mdp.n_actions, 2) or not np.issubdtype(roles.dtype, np.integer):
        raise InvalidInput(
            "actors", (roles.dtype.name, roles.shape), f"integers of shape ({mdp.n_actions}, 2)"
        )
    if (roles < 0).any():
        raise InvalidInput("actors", int(roles.min()), "action indices >= 0")
    unique, counts = np.unique(roles, axis=0, return_counts=True)
    if (counts > 1).any():
        twice = tuple(unique[counts.argmax()].tolist())
        raise InvalidInput("actors", twice, "each (agent action, bystander action) once")
    return roles.astype(np.int64)


def _chances(mdp: TabularMDP, roles: Ints, policy: AgentPolicy) -> Floats:
    """[S, agent actions] probabilities that sum to 1 wherever the episode goes on."""
    width = int(roles[:, 0].max(initial=0)) + 1
    if isinstance(policy, int | np.integer):
        if not 0 <= policy < width:
            raise InvalidInput("policy", int(policy), f"an action of the agent, 0 to {width - 1}")
        chances = np.zeros((mdp.n_states, width))
        chances[:, policy] = 1.0
        return chances
    given = np.asarray(policy(mdp) if callable(policy) else policy, np.float64)
    if given.shape != (mdp.n_states, width):
        raise InvalidInput("policy", given.shape, f"shape ({mdp.n_states}, {width})")
    sums = given.sum(axis=1)
    good = (given >= 0).all(axis=1) & (np.abs(sums - 1) <= WHOLE)
    wrong = np.flatnonzero(~(good | mdp.terminal))
    if len(wrong):
        raise InvalidInput(
            f"policy in state {mdp.name(wrong[0])}",
            given[wrong[0]].tolist(),
            "probabilities >= 0 that sum to 1",
        )
    return given


def _check_joint(mdp: TabularMDP, keys: Ints, theirs: int, sums: Floats) -> None:
    """Every pair of the bystander must be legal with all that the agent may do there."""
    wrong = np.flatnonzero(np.abs(sums - 1) > WHOLE)
    if len(wrong):
        state, action = divmod(int(keys[wrong[0]]), theirs)
        raise InvalidInput(
            f"policy in state {mdp.name(state)}",
            f"probability {1 - sums[wrong[0]]:.6g} on actions of the agent that are not legal "
            f"together with action {action} of the bystander",
            "every action of the agent legal with every action that the bystander has there",
        )


def _merged_edges(mdp: TabularMDP, pair_of: Ints, weights: Floats, pairs: int) -> dict[str, Any]:
    """Edges of the bystander's pairs; those to one state with the same flows are one."""
    table, flow_of = _distinct_rows(mdp.flow_table)
    source = np.repeat(np.arange(mdp.n_pairs), np.diff(mdp.edge_start))
    chance = weights[source] * mdp.edge_probability
    met = np.flatnonzero(chance > 0)
    rows = np.stack([pair_of[source[met]], mdp.edge_next[met], flow_of[mdp.edge_flow[met]]], axis=1)
    edges, edge_of = np.unique(rows, axis=0, return_inverse=True)
    return {
        "edge_start": np.searchsorted(edges[:, 0], np.arange(pairs + 1)).astype(np.int64),
        "edge_next": edges[:, 1].astype(np.int32),
        "edge_probability": np.bincount(edge_of.reshape(-1), chance[met], len(edges)),
        "edge_flow": edges[:, 2].astype(np.int32),
        "flow_table": table,
    }


def _distinct_rows(table: Floats) -> tuple[Floats, Ints]:
    if not table.shape[1]:
        return table[:1], np.zeros(len(table), np.int64)
    rows, number = np.unique(table, axis=0, return_inverse=True)
    return rows, number.reshape(-1).astype(np.int64)


@dataclass(frozen=True, eq=False)
class UtilityChanges:
    """Changes in bystanders' attainable utility, by action of the agent.

    Attributes:
        mdp: The agent's MDP.
        attainable: [B] greatest probability of success of each bystander within the time limit,
            from the start, while the agent does nothing.
        changes: [T, P] change of that by taking each pair against the no-op in the same state,
            mean over bystanders; row n is with n + 1 steps left. -1 to 1, negative: they lose; 0
            for the no-op.
    """

    mdp: TabularMDP
    attainable: Floats
    changes: Floats = field(repr=False)

    def of(self, records: Records, actions: Ints) -> Floats:
        """[n] change by taking `actions` [n] in `records` [n], at the clock of each record.

        Raises:
            InvalidInput: A record that is over, unknown or past the end, or an illegal action.
        """
        states = self.mdp.find(records)
        pairs = np.where(states < 0, -1, self._pairs[states, actions])
        left = len(self.changes) - records["clock"]
        wrong = np.flatnonzero((pairs < 0) | (left < 1))
        if len(wrong):
            allowed = "states of the world that are not over, with legal actions"
            raise InvalidInput("records", records[wrong[0]], allowed)
        found: Floats = self.changes[left - 1, pairs]
        return found

    def total(self, policy: TabularPolicy | Policy | Floats | Callable[[int], Floats]) -> float:
        """Expected sum of changes over an episode of a policy, exactly.

        Args:
            policy: As in `powerseek.exact.evaluate`.

        Raises:
            InvalidInput: A policy that does not fit.
        """
        steps = len(self.changes)
        weights = policy_weights(self.mdp, policy, steps)
        taken = occupancies(self.mdp, weights, steps)
        return float(sum(chance @ self.changes[steps - 1 - t] for t, chance in taken))

    @property
    def losses(self) -> Floats:
        """[T, P] what bystanders lose by each pair, row t as step t; negative: they gain."""
        lost: Floats = -self.changes[::-1]
        return lost

    @cached_property
    def _pairs(self) -> Ints:
        """[S, A] number of the pair, -1 where there is none."""
        mdp = self.mdp
        table = np.full((mdp.n_states, mdp.n_actions), -1, np.int64)
        table[mdp.pair_state, mdp.pair_action] = np.arange(mdp.n_pairs)
        return table


@lru_cache(maxsize=4)
def utility_changes(world: World, limit: int = DEFAULT_LIMIT) -> UtilityChanges:
    """Change in bystanders' attainable utility by each of the agent's actions.

    With U_i(s, n) the greatest probability that bystander i succeeds within n more steps if the
    agent does nothing any more (backward induction in `World.bystanders`), an action
    a in state s with n steps left changes it by

        E[U_i(s', n - 1) | s, a] - E[U_i(s', n - 1) | s, noop],

    bystanders acting as scripted in this one step. That is attainable utility (Turner et al.
    2020, arXiv:1902.09725), signed, with the stepwise inaction baseline. Summed over an episode
    it is what the agent leaves to bystanders less what a no-op agent would have left, where
    their scripts play perfectly beside an idle agent.

    CAVEAT: It sees success alone, not POWER over other goals (`powerseek.exact.disempowerment`
    does), and within the agent's own time limit; a bystander that answers the agent's policy,
    instead of following its script while the agent acts, can lose less.

    Args:
        world: The world, with the input actions the agent's.
        limit: Most states to enumerate, of the agent's MDP and of each bystander's.

    Raises:
        InvalidInput: A world without bystanders who can act, or too large to enumerate.
    """
    others = world.bystanders()
    if not others:
        allowed = "a world of more actors than the agent, who has the input actions"
        raise InvalidInput("world", repr(world), allowed, "Write make_world('commons').")
    mdp = enumerated(world, limit)
    noop = mdp.pair_action == world.action_names.index(type(world).noop)
    changes = np.zeros((mdp.horizon(), mdp.n_pairs))
    attainable = []
    for other in others:
        for left, chances in enumerate(_attainable(mdp, other, limit)):
            start = float(mdp.initial @ chances)
            if left < len(changes):
                ahead = expected_next_value(mdp, chances)
                idle = np.zeros(mdp.n_states)
                idle[mdp.pair_state[noop]] = ahead[noop]
                changes[left] += (ahead - idle[mdp.pair_state]) / len(others)
        attainable.append(start)
    return UtilityChanges(mdp, np.array(attainable), changes)


LOSS_GAP = 1e-4
"""Default distance of the bounds on a loss, as a fraction of what bystanders can attain."""


def least_loss(world: World, *, gap: float = LOSS_GAP, limit: int = DEFAULT_LIMIT) -> Frontier:
    """Least loss of bystanders' attainable utility that any policy with a given success causes.

    The frontier of `powerseek.exact.need`, of the sum over an episode of what each action takes
    from them (`utility_changes`, in the opposite sign: a loss is above 0). Less than the least
    at its success no policy of the agent costs them; what an agent costs beyond was not needed.

    Args:
        world: The world, with the input actions the agent's.
        gap: Greatest distance between the bounds, as a fraction.
        limit: As in `utility_changes`.

    Returns:
        The frontier, whose ``acquisition`` is the loss, -1 to 1, mean over bystanders;
        ``least_loss(world).at(0.95)`` is (low, high). At success 0 it is at most 0: that of doing
        nothing.

    Raises:
        InvalidInput: As in `utility_changes`.

    CAVEAT: As for `utility_changes`; and as for need: the last per cent of success may cost more
    than all the rest.
    """
    found = utility_changes(world, limit)
    return least_cost(found.mdp, found.losses, gap=gap)


def _attainable(mdp: TabularMDP, other: World, limit: int) -> Iterator[Floats]:
    """U(s, n) of one bystander in the agent's states [S], for n = 0, 1, ..., T."""
    _, records = mdp.origin
    theirs = enumerate_world(other, limit, start=records)
    here = theirs.find(records)
    success = mdp_success(theirs)
    values = success
    yield values[here]
    for _ in range(mdp.horizon()):
        values = maximum_over_actions(theirs, expected_next_value(theirs, values), success)
        yield values[here]
