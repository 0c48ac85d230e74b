"""Exact policies as lookups: (state, clock) -> a set of actions, each equally likely."""

from __future__ import annotations

from abc import ABC, abstractmethod
from math import inf

import numpy as np
from numba import njit

from powerseek.envs.engine.expand import script
from powerseek.errors import InvalidInput
from powerseek.exact.mdp import TabularMDP
from powerseek.exact.need import minimal_need_choices
from powerseek.exact.solvers.finite import Bits, as_bits
from powerseek.types import Bools, Floats, Ints, Situation


@njit(cache=True)
def _pair_weights(pair_start, bits, out):  # type: ignore[no-untyped-def]  # compiled
    """Spread each state's probability over its set bits; out [P]."""
    one = np.uint64(1)
    for s in range(len(bits)):
        count = 0
        for i in range(pair_start[s + 1] - pair_start[s]):
            if (bits[s] >> np.uint64(i)) & one:
                count += 1
        for i in range(pair_start[s + 1] - pair_start[s]):
            chosen = (bits[s] >> np.uint64(i)) & one
            out[pair_start[s] + i] = 1.0 / count if chosen else 0.0


@njit(cache=True)
def _rows(pair_start, pair_action, bits, states, clocks, out):  # type: ignore[no-untyped-def]  # compiled
    """Action probabilities of (state, clock) queries; the first unknown query, or -1."""
    one = np.uint64(1)
    for i in range(len(states)):
        s = states[i]
        if s < 0 or clocks[i] < 0 or (len(bits) > 1 and clocks[i] >= len(bits)):
            return i
        word = bits[clocks[i] if len(bits) > 1 else 0, s]
        count = 0
        for j in range(pair_start[s + 1] - pair_start[s]):
            if (word >> np.uint64(j)) & one:
                count += 1
        if count == 0:
            return i
        for j in range(pair_start[s + 1] - pair_start[s]):
            if (word >> np.uint64(j)) & one:
                out[i, pair_action[pair_start[s] + j]] = 1.0 / count
    return -1


class PairPolicy(ABC):
    """A policy on (state, clock), by pairs of state and action; a `powerseek.types.Policy`.

    Looks states up by the identity of their records, so it acts in any copy of its world and
    in the same world with other chances (hazard off) as far as the states coincide.

    Attributes:
        mdp: Where it was computed.
        name: What it is, for messages.
    """

    mdp: TabularMDP
    name: str

    @abstractmethod
    def _fill(self, states: Ints, clocks: Ints, out: Floats) -> int:
        """Fill out [n, A] for (state, clock) queries; the first unknown query, or -1."""

    @abstractmethod
    def pair_weights(self, t: int) -> Floats:
        """[P] probability of every pair after t steps; 0 throughout a state it never meets."""

    def probabilities(self, situation: Situation) -> Floats:
        """Action probabilities [n, A]; rows sum to 1.

        Raises:
            InvalidInput: A state that the policy does not know, or cannot be in at that time.
        """
        states = self.mdp.record_index.find(situation.states)
        clocks = np.ascontiguousarray(situation.states["clock"], np.int64)
        out = np.zeros((len(states), self.mdp.n_actions))
        unknown = self._fill(states, clocks, out)
        if unknown >= 0:
            raise InvalidInput(
                f"{self.name}: state",
                situation.states[unknown],
                "a state that is not over and that its world can be in at that clock",
            )
        return out

    def pairs_in(self, mdp: TabularMDP) -> Ints:
        """[P of mdp] number of the same pair here, -1 where there is none."""
        if mdp is self.mdp:
            return np.arange(mdp.n_pairs)
        _, records = mdp.origin
        actions = max(self.mdp.n_actions, mdp.n_actions)
        here = self.mdp.record_index.find(records)[mdp.pair_state]
        wanted = np.where(here < 0, -1, here * actions + mdp.pair_action)
        known = self.mdp.pair_state.astype(np.int64) * actions + self.mdp.pair_action
        order = np.argsort(known, kind="stable")
        place = np.minimum(np.searchsorted(known[order], wanted), max(len(known) - 1, 0))
        found = order[place]
        return np.where(known[found] == wanted, found, -1)


class WeightedPolicy(PairPolicy):
    """A policy of any probabilities.

    Args:
        mdp: Where it was computed.
        weights: [T, P] probabilities of pairs; 0 throughout a state that it does not know.
        name: What it is, for messages.
    """

    def __init__(self, mdp: TabularMDP, weights: Floats, name: str = "policy") -> None:
        self.mdp, self.weights, self.name = mdp, weights, name

    def _fill(self, states: Ints, clocks: Ints, out: Floats) -> int:
        start, action = self.mdp.pair_start, self.mdp.pair_action
        rows = np.flatnonzero((states >= 0) & (clocks >= 0) & (clocks < len(self.weights)))
        counts = start[states[rows] + 1] - start[states[rows]]
        own = np.repeat(rows, counts)
        within = np.arange(len(own)) - np.repeat(np.cumsum(counts) - counts, counts)
        pairs = start[states[own]] + within
        out[own, action[pairs]] = self.weights[clocks[own], pairs]
        unknown = np.flatnonzero(~out.any(axis=1))
        return int(unknown[0]) if len(unknown) else -1

    def pair_weights(self, t: int) -> Floats:
        """See PairPolicy.pair_weights."""
        found: Floats = self.weights[t]
        return found


class TabularPolicy(PairPolicy):
    """A policy that is uniform over a set of actions.

    Args:
        mdp: Where it was computed.
        bits: [T, S] (or [1, S] if it does not look at the clock): bit i is set where the i-th
            pair of the state is taken.
        name: What it is, for messages.
    """

    def __init__(self, mdp: TabularMDP, bits: Bits, name: str = "policy") -> None:
        self.mdp, self.bits, self.name = mdp, bits, name

    @classmethod
    def uniform_over(cls, mdp: TabularMDP, pairs: Bools, name: str = "policy") -> TabularPolicy:
        """Uniform over the pairs [P] that are True, at any clock.

        Raises:
            InvalidInput: A state has more actions than a word has bits.
        """
        local = np.arange(mdp.n_pairs) - mdp.pair_start[mdp.pair_state]
        bits = np.zeros((1, mdp.n_states), np.uint64)
        np.bitwise_or.at(bits[0], mdp.pair_state[pairs], as_bits(mdp, local[pairs]))
        return cls(mdp, bits, name)

    def _fill(self, states: Ints, clocks: Ints, out: Floats) -> int:
        mdp = self.mdp
        return int(_rows(mdp.pair_start, mdp.pair_action, self.bits, states, clocks, out))

    def pair_weights(self, t: int) -> Floats:
        """See PairPolicy.pair_weights."""
        out = np.zeros(self.mdp.n_pairs)
        _pair_weights(self.mdp.pair_start, self.bits[t if len(self.bits) > 1 else 0], out)
        return out


def minimal_need_policy(
    mdp: TabularMDP, horizon: int | None = None, *, price: float = inf
) -> TabularPolicy:
    """Succeeds as often as possible, then acquires as little as it can, then wastes no time.

    Args:
        mdp: Where.
        horizon: Steps T; the world's time limit by default.
        price: Units of acquisition that a unit of success is worth; infinite: any. A finite one
            gives up the last bit of success where it is dear (`Frontier.price`).
    """
    return TabularPolicy(mdp, minimal_need_choices(mdp, horizon, price=price), "minimal need")


def scripted_policy(mdp: TabularMDP, name: str) -> TabularPolicy:
    """The world's own ``minimalist`` or ``hoarder``.

    Raises:
        InvalidInput: A graph typed in, states reduced by symmetry, an unknown script, or a
            script that chose an illegal action.
    """
    world, records = mdp.origin
    mdp.check_unreduced("a script need not treat the states of an orbit alike")
    alive = np.flatnonzero(~mdp.terminal)
    action = np.full(mdp.n_states, -1, np.int64)
    action[alive] = script(world, name, records[alive])
    hits = np.flatnonzero(mdp.pair_action == action[mdp.pair_state])
    if len(hits) != len(alive):
        wrong = np.setdiff1d(alive, mdp.pair_state[hits])[0]
        raise InvalidInput(
            f"{name} of {world.id}",
            world.action_names[action[wrong]],
            f"a legal action in state {records[wrong]}",
        )
    choices = np.zeros((1, mdp.n_states), np.int64)
    choices[0, mdp.pair_state[hits]] = hits - mdp.pair_start[mdp.pair_state[hits]]
    return TabularPolicy(mdp, as_bits(mdp, choices), name)


def random_policy(mdp: TabularMDP) -> TabularPolicy:
    """Uniform over the legal actions."""
    return TabularPolicy.uniform_over(mdp, np.ones(mdp.n_pairs, np.bool_), "random")
