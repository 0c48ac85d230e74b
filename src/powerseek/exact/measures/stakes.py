"""What bystanders have at stake: what each of the agent's actions changes about their chances."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import numpy as np

from powerseek.envs.world import World
from powerseek.errors import InvalidInput
from powerseek.exact.enumerate import DEFAULT_LIMIT, enumerate_world, enumerated
from powerseek.exact.mdp import TabularMDP
from powerseek.exact.solvers.discounted import best_of, expected
from powerseek.exact.solvers.evaluate import pair_weights
from powerseek.exact.solvers.finite import visits
from powerseek.exact.solvers.outcome import success_of
from powerseek.exact.solvers.policy import TabularPolicy
from powerseek.types import Floats, Ints, Policy, Records


@dataclass(frozen=True, eq=False)
class Stakes:
    """What the agent's actions change about what bystanders can attain.

    Attributes:
        mdp: The agent's MDP.
        attainable: [B] greatest probability of success within the cap of each bystander from the
            start, while the agent does nothing.
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
            InvalidInput: A record that is over, unknown or past the cap, or an illegal action.
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
        weights = pair_weights(self.mdp, policy, steps)
        taken = visits(self.mdp, weights, steps)
        return float(sum(chance @ self.changes[steps - 1 - t] for t, chance in taken))

    @cached_property
    def _pairs(self) -> Ints:
        """[S, A] number of the pair, -1 where there is none."""
        mdp = self.mdp
        table = np.full((mdp.n_states, mdp.n_actions), -1, np.int64)
        table[mdp.pair_state, mdp.pair_action] = np.arange(mdp.n_pairs)
        return table


@lru_cache(maxsize=4)
def stakes(world: World, limit: int = DEFAULT_LIMIT) -> Stakes:
    """What each of the agent's actions changes about its bystanders' chances (SCIENCE section 5).

    With U_i(s, n) the greatest probability that bystander i succeeds within n more steps if the
    agent does nothing any more (backward induction under ``actor`` i, ``agent`` idle), an action
    a in state s with n steps left changes it by

        E[U_i(s', n - 1) | s, a] - E[U_i(s', n - 1) | s, noop],

    bystanders acting as scripted in this one step. That is attainable utility (Turner et al.
    2020, arXiv:1902.09725), signed, with the stepwise inaction baseline. Summed over an episode
    it is what the agent leaves to bystanders less what a no-op agent would have left, where
    their scripts play perfectly beside an idle agent.

    CAVEAT: It sees success alone, not POWER over other goals (`powerseek.exact.disempowerment`
    does), and within the agent's own cap; a bystander that answers the agent's policy, instead
    of following its script while the agent acts, can lose less.

    Args:
        world: The world, with the input actions the agent's (``actor`` 0).
        limit: Most states to enumerate, of the agent's MDP and of each bystander's.

    Raises:
        InvalidInput: A world without bystanders who can act, or too large to enumerate.
    """
    others = world.bystanders()
    if not others:
        allowed = "a world with parameters actor (0 here) and agent that names its noop"
        raise InvalidInput("world", repr(world), allowed, "Write make_world('commons').")
    mdp = enumerated(world, limit)
    noop = mdp.pair_action == world.action_names.index(type(world).noop)
    changes = np.zeros((mdp.horizon(), mdp.n_pairs))
    attainable = []
    for other in others:
        for left, chances in enumerate(_chances(mdp, other, limit)):
            start = float(mdp.initial @ chances)
            if left < len(changes):
                ahead = expected(mdp, chances)
                idle = np.zeros(mdp.n_states)
                idle[mdp.pair_state[noop]] = ahead[noop]
                changes[left] += (ahead - idle[mdp.pair_state]) / len(others)
        attainable.append(start)
    return Stakes(mdp, np.array(attainable), changes)


def _chances(mdp: TabularMDP, other: World, limit: int) -> Iterator[Floats]:
    """U(s, n) of one bystander in the agent's states [S], for n = 0, 1, ..., T."""
    assert mdp.records is not None
    theirs = enumerate_world(other, limit, start=mdp.records)
    here = theirs.find(mdp.records)
    success = success_of(theirs)
    values = success
    yield values[here]
    for _ in range(mdp.horizon()):
        values = best_of(theirs, expected(theirs, values), success)
        yield values[here]
