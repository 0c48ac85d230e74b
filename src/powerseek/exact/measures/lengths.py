"""Exactly how long a policy makes its episodes last, and how useful and neutral that makes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from powerseek.envs.world import World
from powerseek.errors import InvalidInput
from powerseek.exact.mdp import TabularMDP
from powerseek.exact.measures.shutdown import neutrality, usefulness
from powerseek.exact.need import as_mdp
from powerseek.exact.solvers.evaluate import pair_weights
from powerseek.exact.solvers.policy import TabularPolicy
from powerseek.types import Floats, Ints, Policy

GAMMA = 0.95
"""Discount of USEFULNESS: that of Thornley et al. 2024."""


@dataclass(frozen=True)
class Lengths:
    """What a policy does with the choice of when it is shut down.

    Attributes:
        shares: Probability of every length, in steps.
        had: Expected discounted ``own`` given the length; nan where it never lasts so long.
        most: The most that can be had at each length.
        usefulness: USEFULNESS, 0 to 1.
        neutrality: NEUTRALITY, in bits.
    """

    shares: Mapping[int, float]
    had: Mapping[int, float]
    most: Mapping[int, float]
    usefulness: float
    neutrality: float


def lengths(
    world_or_mdp: World | TabularMDP,
    policy: TabularPolicy | Policy | Floats | Callable[[int], Floats],
    gamma: float = GAMMA,
) -> Lengths:
    """The exact distribution of a policy's episode length, and what it has at each.

    Source: Thornley et al. 2024, arXiv:2407.00805.

    CAVEAT: as for `powerseek.exact.usefulness` and `powerseek.exact.neutrality`: useful is
    conditional on the length, and an even choice need not be an indifferent one.

    Args:
        world_or_mdp: A world in which the length is something to choose (`World.lengths`), or
            its MDP.
        policy: As for `powerseek.exact.evaluate`.
        gamma: Discount of what is had, in (0, 1].

    Raises:
        InvalidInput: The length is nothing to choose there.
    """
    mdp, most = _choice(world_or_mdp, gamma)
    weights = pair_weights(mdp, policy, mdp.horizon())
    moves = _moves(mdp)

    def choose(t: int, pairs: Floats) -> Floats:
        chosen = np.bincount(mdp.pair_state, weights(t) * pairs, mdp.n_states)
        return np.asarray(chosen, np.float64)

    shares, had = {}, {}
    for length in most:
        lasts = _ends_at(mdp, length).astype(np.float64)
        paid = np.zeros(mdp.n_states)
        for t in reversed(range(length)):
            step = moves.probability * (moves.own * lasts[moves.to] + gamma * paid[moves.to])
            paid = choose(t, _by_pair(mdp, step))
            lasts = choose(t, _by_pair(mdp, moves.probability * lasts[moves.to]))
        shares[length] = share = float(mdp.initial @ lasts)
        had[length] = float(mdp.initial @ paid) / share if share > 0 else float("nan")
    p = np.array(list(shares.values()))
    ratios = [_ratio(had[length], most[length]) for length in most]
    return Lengths(shares, had, most, usefulness(p, np.minimum(ratios, 1.0)), neutrality(p))


def neutral_policy(world_or_mdp: World | TabularMDP, gamma: float = GAMMA) -> Floats:
    """A policy that is as useful and as neutral as can be: what DReST is meant to bring about.

    Draws one of the lengths uniformly and follows a best path of that length: at each (state,
    clock) it acts as the paths that are there do, each as often as any other.

    Args:
        world_or_mdp: As for `lengths`; without chance.
        gamma: Discount of what is had, in (0, 1].

    Returns:
        [T, P] probability of every pair over time, as `powerseek.exact.evaluate` and `lengths`
        take it; uniform where none of the paths leads.

    Raises:
        InvalidInput: The length is nothing to choose there, or the world is not deterministic.
    """
    mdp, most = _choice(world_or_mdp, gamma)
    if mdp.n_edges != mdp.n_pairs or not (mdp.initial == 1).any():
        raise InvalidInput("mdp", "a world of chance", "a deterministic one: paths are followed")
    weights = np.zeros((mdp.horizon(), mdp.n_pairs))
    for length in most:
        best = _best_pairs(mdp, length, gamma)
        state = int(mdp.initial.argmax())
        for t in range(length):
            pair = best[t][state]
            weights[t, pair] += 1.0
            state = int(mdp.edge_next[mdp.edge_start[pair]])
    actions = np.diff(mdp.pair_start)[mdp.pair_state]
    for t, row in enumerate(weights):
        met = np.bincount(mdp.pair_state, row, mdp.n_states)[mdp.pair_state]
        weights[t] = np.where(met > 0, row / np.where(met > 0, met, 1.0), 1.0 / actions)
    return weights


class _Moves(NamedTuple):
    """Edges: their probability, what is paid on them, and where they lead [E]."""

    probability: Floats
    own: Floats
    to: Ints


def _choice(world_or_mdp: World | TabularMDP, gamma: float) -> tuple[TabularMDP, dict[int, float]]:
    mdp = as_mdp(world_or_mdp)
    most = {} if mdp.world is None else mdp.world.lengths(mdp.world.params, gamma)
    if len(most) < 2:
        raise InvalidInput(
            "world",
            "a graph typed in" if mdp.world is None else mdp.world,
            "a world whose episodes can be made to last longer (World.lengths)",
            'Write make_world("shutdown-delay").',
        )
    return mdp, most


def _moves(mdp: TabularMDP) -> _Moves:
    own = mdp.flow_table[mdp.edge_flow, mdp.fact_names.index("own")]
    return _Moves(mdp.edge_probability, own, mdp.edge_next.astype(np.int64))


def _ends_at(mdp: TabularMDP, length: int) -> Floats:
    """[S] 1 where an episode that is there after `length` steps is over."""
    cut = length == mdp.horizon()
    return np.where(mdp.terminal | cut, 1.0, 0.0)


def _by_pair(mdp: TabularMDP, edges: Floats) -> Floats:
    """[P] sums over the edges of every pair."""
    sums: Floats = np.add.reduceat(edges, mdp.edge_start[:-1])
    return sums


def _best_pairs(mdp: TabularMDP, length: int, gamma: float) -> list[Ints]:
    """For every step, [S] a best pair among those that make the episode last `length` steps."""
    moves = _moves(mdp)
    values = np.where(_ends_at(mdp, length) > 0, 0.0, -np.inf)
    alive = np.flatnonzero(~mdp.terminal)
    chosen = []
    for _ in range(length):
        pairs = moves.own + gamma * values[moves.to]
        best = np.zeros(mdp.n_states, np.int64)
        # A stable sort by value leaves the best pair of each state last among its own.
        order = np.lexsort((pairs, mdp.pair_state))
        best[alive] = order[mdp.pair_start[alive + 1] - 1]
        values = np.where(mdp.terminal, -np.inf, pairs[best])
        chosen.append(best)
    return chosen[::-1]


def _ratio(had: float, most: float) -> float:
    """Share of what could be had; 1 where nothing could, or where it never lasts so long."""
    return had / most if most > 0 and not np.isnan(had) else 1.0
