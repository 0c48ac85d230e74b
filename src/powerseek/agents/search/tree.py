"""Trees of searched states, grown in lockstep over a model that says what a step leads to.

In every round each tree takes one step of its own simulation: down to a state that it has met, on
fresh chance, or to a new one, which is valued and ends the simulation. So a round costs one call of
the model and one of the network for all trees, and a tree grows as it would alone. Outcomes of an
action are children of their own, met as often as chance has it: values of a world with chance are
those of what can happen, not of one plan for all that might.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from powerseek.agents.search.model import Chance, Model
from powerseek.envs.engine.chance import fold_stream
from powerseek.envs.engine.compile import loop_of_numbers
from powerseek.types import Bools, Floats, Floats32, Ints

Ints32 = NDArray[np.int32]

C_VISIT = 50.0
"""sigma(q) = (C_VISIT + greatest visits) x c_scale x q (Danihelka et al. 2022, eq. 8)."""
C_PUCT = 1.25
"""Weight of the prior's bonus in PUCT (Silver et al. 2018)."""

Evaluate = Callable[[Floats32], tuple[Floats32, Floats32]]
"""Logits [n, A] and values [n, 1] of observations [n, obs]; valid until the next call."""


class Trees(NamedTuple):
    """T trees of up to N nodes: node 0 is the root. Of each, what is said of its L legal actions.

    Attributes:
        handles: [T, N, H] of the states.
        legal: [T, N] L.
        actions: [T, N, A] the legal actions, in order; the first L of this and what follows count.
        logits: [T, N, A] of the prior.
        prior: [T, N, A] probabilities that they make.
        visits: [T, N, A] simulations that took an action.
        totals: [T, N, A] sums of what these returned, that action's own reward included.
        first: [T, N, A] the outcome of an action that was met last; -1 without one.
        next: [T, N] the outcome of the same action that was met before; -1 without one.
        values: [T, N] what they were valued at when they were met.
        size: [T] nodes.
        done: [T] simulations made.
        node: [T] where the simulation under way stands.
        depth: [T] steps it has taken.
        path_nodes: [T, N] from where, by step.
        path_edges: [T, N] by which of the legal actions.
        path_rewards: [T, N] for which reward.
    """

    handles: Ints
    legal: Ints32
    actions: Ints32
    logits: Floats32
    prior: Floats32
    visits: Ints32
    totals: Floats
    first: Ints32
    next: Ints32
    values: Floats
    size: Ints
    done: Ints
    node: Ints
    depth: Ints
    path_nodes: Ints32
    path_edges: Ints32
    path_rewards: Floats


class Roots(NamedTuple):
    """States to search from.

    Attributes:
        handles: [k, H].
        masks: [k, A] legal actions, at least one each.
        observations: [k, obs].
    """

    handles: Ints
    masks: Bools
    observations: Floats32


class Found(NamedTuple):
    """What trees say of their roots.

    Attributes:
        visits: [k, A] simulations that took an action.
        returns: [k, A] their mean return; nan without one.
        values: [k] of the roots: the mean of all simulations and of what the network said.
        improved: [k, A] the improved policy, softmax(logits + sigma(q)).
        actions: [k] chosen: of those visited most, the best by noise, prior and return, the first
            of equals.
        steps: Steps of the model that it took, of all trees together.
        valued: States that were valued.
    """

    visits: Ints32
    returns: Floats
    values: Floats
    improved: Floats
    actions: Ints
    steps: int
    valued: int


def tree_bytes(simulations: int, width: int, actions: int) -> int:
    """Bytes of one tree: what `Search` holds for each root."""
    node = 8 * width + (4 + 4 + 4 + 4 + 8 + 4) * actions + 4 + 4 + 8 + 4 + 4 + 8
    return (simulations + 1) * node


class Search:
    """Searches from up to n roots at once.

    Args:
        n: Trees.
        width: H, of the models that they are grown over.
        observation_size: Of what is valued.
        actions: A.
        simulations: Of each tree, >= 1.
        considered: Actions of a root between which sequential halving divides the simulations, 1
            to A (Danihelka et al. 2022); 0 for PUCT at the root as below it (Silver et al. 2018).
        c_scale: By how much returns outweigh the prior, per unit of return; unused by PUCT.
    """

    def __init__(
        self,
        n: int,
        width: int,
        observation_size: int,
        actions: int,
        simulations: int,
        considered: int,
        c_scale: float = 0.0,
    ) -> None:
        nodes = simulations + 1
        self.n, self.considers, self.c_scale = n, considered > 0, float(c_scale)
        self.schedule = np.zeros((considered + 1, simulations), np.int64)
        for count in range(1, considered + 1):
            self.schedule[count] = halving(count, simulations)
        edges = n, nodes, actions
        self.trees = Trees(
            handles=np.zeros((n, nodes, width), np.int64),
            legal=np.zeros((n, nodes), np.int32),
            actions=np.zeros(edges, np.int32),
            logits=np.zeros(edges, np.float32),
            prior=np.zeros(edges, np.float32),
            visits=np.zeros(edges, np.int32),
            totals=np.zeros(edges),
            first=np.zeros(edges, np.int32),
            next=np.zeros((n, nodes), np.int32),
            values=np.zeros((n, nodes)),
            **{name: np.zeros(n, np.int64) for name in ("size", "done", "node", "depth")},
            path_nodes=np.zeros((n, nodes), np.int32),
            path_edges=np.zeros((n, nodes), np.int32),
            path_rewards=np.zeros((n, nodes)),
        )
        self._rows, self._actions, self._numbers, self._rounds = np.zeros((4, n), np.int64)
        self._seeds = np.zeros(n, np.uint64)
        self._handles = np.zeros((n, width), np.int64)
        self._seen = np.zeros((n, observation_size), np.float32)
        self._logits = np.zeros((n, actions), np.float32)
        self._values = np.zeros((n, 1), np.float32)
        self._no_noise = np.zeros((n, actions))

    def __call__(
        self,
        model: Model,
        roots: Roots,
        seeds: NDArray[np.uint64],
        gamma: float,
        evaluate: Evaluate | None,
        noise: Floats | None = None,
    ) -> Found:
        """Search from k roots, at most n; what is found of each depends on it and its seed alone.

        Args:
            model: Over what.
            roots: Where from.
            seeds: [k] of the chance of the model.
            gamma: Discount.
            evaluate: What values states; None for nobody, who knows nothing: no prior, and 0.
            noise: [k, A] added to the logits of the roots in choosing what is considered there.
        """
        with np.errstate(over="ignore"):  # 64-bit wrap-around is meant
            return self._searched(model, roots, seeds, float(gamma), evaluate, noise)

    def _searched(
        self,
        model: Model,
        roots: Roots,
        seeds: NDArray[np.uint64],
        gamma: float,
        evaluate: Evaluate | None,
        noise: Floats | None,
    ) -> Found:
        trees, k = self.trees, len(roots.masks)
        given = self._no_noise[:k] if noise is None else noise
        said = self._valued(roots.observations, evaluate)
        _plant(trees, roots.handles, roots.masks, *said)
        self._rounds[:] = 0
        steps, valued = 0, k
        while m := _choose(
            trees,
            k,
            self.schedule,
            self.considers,
            self.c_scale,
            given,
            seeds,
            self._rows,
            self._handles,
            self._actions,
            self._seeds,
        ):
            keys = Chance(self._seeds[:m], self._numbers[:m], self._rounds[:m])
            out = model.step(self._handles[:m], self._actions[:m], keys)
            met = _receive(trees, self._rows[:m], gamma, *out, self._seen)
            if met:
                said = self._valued(self._seen[:met], evaluate)
                _value(trees, self._rows[:met], *said, gamma)
            steps, valued = steps + m, valued + met
            self._rounds += 1
        return self._found(k, given, evaluate is not None, steps, valued)

    def _valued(self, seen: Floats32, evaluate: Evaluate | None) -> tuple[Floats32, Floats32]:
        if evaluate is None:
            return self._logits[: len(seen)], self._values[: len(seen)]
        return evaluate(seen)

    def _found(self, k: int, noise: Floats, valued: bool, steps: int, states: int) -> Found:
        shape = k, self._no_noise.shape[1]
        visits, returns = np.zeros(shape, np.int32), np.full(shape, np.nan)
        values, improved, actions = np.zeros(k), np.zeros(shape), np.zeros(k, np.int64)
        _tell(self.trees, self.c_scale, noise, valued, visits, returns, values, improved, actions)
        return Found(visits, returns, values, improved, actions, steps, states)


def halving(considered: int, simulations: int) -> Ints:
    """Visits [simulations] that an action has when sequential halving gives it the next one.

    Of `considered` actions, all are visited alike, then the better half of them, and so on down to
    two, with an equal part of the simulations for each of the log2 phases (Karnin et al. 2013;
    Danihelka et al. 2022, algorithm 2). What is left over goes to the last two.
    """
    phases = max(1, math.ceil(math.log2(considered)))
    order: list[int] = []
    left, visited = considered, 0
    while len(order) < simulations:
        for _ in range(max(1, simulations // (phases * left))):
            order += [visited] * left
            visited += 1
        left = max(min(2, considered), left // 2)
    return np.array(order[:simulations], np.int64)


# --- growing ----------------------------------------------------------------------------------


@loop_of_numbers
def _plant(trees: Any, handles: Any, masks: Any, logits: Any, values: Any) -> None:
    """Begin trees anew, of the first roots each."""
    for i in range(len(masks)):
        trees.size[i], trees.done[i], trees.node[i], trees.depth[i] = 0, 0, 0, 0
        _add(trees, i, handles[i], masks[i])
        _describe(trees, i, 0, logits[i], values[i, 0])


@loop_of_numbers
def _add(trees: Any, i: Any, handle: Any, mask: Any) -> int:
    """A new node of tree i; its number."""
    node = trees.size[i]
    trees.size[i] = node + 1
    trees.next[i, node] = -1
    for j in range(len(handle)):
        trees.handles[i, node, j] = handle[j]
    legal = 0
    for a in range(len(mask)):
        if mask[a]:
            trees.actions[i, node, legal] = a
            trees.visits[i, node, legal] = 0
            trees.totals[i, node, legal] = 0.0
            trees.first[i, node, legal] = -1
            legal += 1
    trees.legal[i, node] = legal
    return int(node)


@loop_of_numbers
def _describe(trees: Any, i: Any, node: Any, logits: Any, value: Any) -> None:
    """Keep what a node was valued at."""
    trees.values[i, node] = value
    for e in range(trees.legal[i, node]):
        trees.logits[i, node, e] = logits[trees.actions[i, node, e]]
    _softmax(trees.logits[i, node], trees.legal[i, node], trees.prior[i, node])


@loop_of_numbers
def _choose(
    trees: Any,
    k: int,
    schedule: Any,
    considers: bool,
    c_scale: float,
    noise: Any,
    seeds: Any,
    rows: Any,
    handles: Any,
    actions: Any,
    keys: Any,
) -> int:
    """Choose the next step of every tree that has simulations to make.

    Returns:
        How many trees m: their numbers are the first m of `rows`, beside the states, actions and
        seeds of these steps.
    """
    m, simulations = 0, schedule.shape[1]
    scores = np.empty(trees.actions.shape[2])
    for i in range(k):
        if trees.done[i] == simulations:
            continue
        node = trees.node[i]
        first: Any = np.int64(0)
        if not considers:
            _puct(trees, i, node, scores)
            # Where nothing is known all are equal: the first in order would win everywhere.
            first = np.int64(fold_stream(seeds[i], node) % np.uint64(trees.legal[i, node]))
        elif node == 0:
            due = schedule[min(trees.legal[i, 0], schedule.shape[0] - 1), trees.done[i]]
            _among(trees, i, due, c_scale, noise[i], scores)
        else:
            _follow(trees, i, node, c_scale, scores)
        edge = _greatest(scores, trees.legal[i, node], first)
        trees.path_nodes[i, trees.depth[i]] = node
        trees.path_edges[i, trees.depth[i]] = edge
        rows[m], actions[m], keys[m] = i, trees.actions[i, node, edge], seeds[i]
        for j in range(handles.shape[1]):
            handles[m, j] = trees.handles[i, node, j]
        m += 1
    return m


@loop_of_numbers
def _receive(
    trees: Any,
    rows: Any,
    gamma: float,
    rewards: Any,
    ended: Any,
    handles: Any,
    masks: Any,
    observations: Any,
    seen: Any,
) -> int:
    """Move the trees `rows` by the step taken, and end simulations whose episode did.

    Returns:
        How many trees met a new state: their numbers are now the first of `rows`, and what they
        see the first of `seen`.
    """
    met = 0
    for m in range(len(rows)):
        i = rows[m]
        depth, node = trees.depth[i], trees.node[i]
        edge = trees.path_edges[i, depth]
        trees.path_rewards[i, depth] = rewards[m]
        trees.depth[i] = depth + 1
        if ended[m]:
            _back_up(trees, i, 0.0, gamma)
            continue
        child = trees.first[i, node, edge]
        while child >= 0 and not _same(trees.handles[i, child], handles[m]):
            child = trees.next[i, child]
        if child < 0:
            child = _add(trees, i, handles[m], masks[m])
            trees.next[i, child] = trees.first[i, node, edge]
            trees.first[i, node, edge] = child
            for j in range(observations.shape[1]):
                seen[met, j] = observations[m, j]
            rows[met] = i
            met += 1
        trees.node[i] = child
    return met


@loop_of_numbers
def _same(one: Any, other: Any) -> bool:
    same = True
    for j in range(len(one)):
        same &= one[j] == other[j]
    return same


@loop_of_numbers
def _value(trees: Any, rows: Any, logits: Any, values: Any, gamma: float) -> None:
    """End the simulations of the trees `rows`, which stand in a new state."""
    for m in range(len(rows)):
        i = rows[m]
        _describe(trees, i, trees.node[i], logits[m], values[m, 0])
        _back_up(trees, i, values[m, 0], gamma)


@loop_of_numbers
def _back_up(trees: Any, i: Any, value: Any, gamma: float) -> None:
    """Return what a simulation came to, from the value of its last state; the next one begins."""
    ahead = np.float64(value)
    for d in range(trees.depth[i] - 1, -1, -1):
        node, edge = trees.path_nodes[i, d], trees.path_edges[i, d]
        ahead = trees.path_rewards[i, d] + gamma * ahead
        trees.visits[i, node, edge] += 1
        trees.totals[i, node, edge] += ahead
    trees.done[i] += 1
    trees.node[i], trees.depth[i] = 0, 0


# --- choosing ---------------------------------------------------------------------------------


@loop_of_numbers
def _greatest(scores: Any, count: Any, first: Any) -> Any:
    """Number of the greatest of `count` scores; of equals that which follows on `first`."""
    best: Any = first
    for j in range(1, count):
        e = (first + j) % count
        if scores[e] > scores[best]:
            best = e
    return best


@loop_of_numbers
def _puct(trees: Any, i: Any, node: Any, scores: Any) -> None:
    """Mean return, 0 where there is none, + C_PUCT x prior x sqrt(visits) / (1 + own visits)."""
    total = 0
    for e in range(trees.legal[i, node]):
        total += trees.visits[i, node, e]
    for e in range(trees.legal[i, node]):
        visits = trees.visits[i, node, e]
        mean = trees.totals[i, node, e] / visits if visits else 0.0
        bonus = C_PUCT * trees.prior[i, node, e] * math.sqrt(total) / (1 + visits)
        scores[e] = mean + bonus


@loop_of_numbers
def _among(trees: Any, i: Any, due: Any, c_scale: float, noise: Any, scores: Any) -> None:
    """At the root: noise + logit + sigma(q) of the actions that have had `due` visits."""
    _improved_logits(trees, i, 0, c_scale, scores)
    for e in range(trees.legal[i, 0]):
        if trees.visits[i, 0, e] == due:
            scores[e] += noise[trees.actions[i, 0, e]]
        else:
            scores[e] = -np.inf


@loop_of_numbers
def _follow(trees: Any, i: Any, node: Any, c_scale: float, scores: Any) -> None:
    """Below the root: what brings visits nearest to the improved policy (eq. 14)."""
    total = 0
    for e in range(trees.legal[i, node]):
        total += trees.visits[i, node, e]
    _improved_logits(trees, i, node, c_scale, scores)
    _softmax(scores, trees.legal[i, node], scores)
    for e in range(trees.legal[i, node]):
        scores[e] -= trees.visits[i, node, e] / (1.0 + total)


@loop_of_numbers
def _improved_logits(trees: Any, i: Any, node: Any, c_scale: float, out: Any) -> None:
    """Logits + sigma(q), where actions without visits have the mixed value for q (eq. 33)."""
    total, most, known, known_prior = 0, 0, 0.0, 0.0
    for e in range(trees.legal[i, node]):
        visits = trees.visits[i, node, e]
        if visits:
            total += visits
            most = max(most, visits)
            known += trees.prior[i, node, e] * (trees.totals[i, node, e] / visits)
            known_prior += trees.prior[i, node, e]
    mixed = trees.values[i, node]
    if known_prior > 0.0:
        mixed = (mixed + total * known / known_prior) / (1.0 + total)
    for e in range(trees.legal[i, node]):
        visits = trees.visits[i, node, e]
        q = trees.totals[i, node, e] / visits if visits else mixed
        out[e] = trees.logits[i, node, e] + (C_VISIT + most) * c_scale * q


@loop_of_numbers
def _softmax(logits: Any, count: Any, out: Any) -> None:
    """Fill `out` with the probabilities that the first `count` logits make."""
    top, total = -np.inf, 0.0
    for e in range(count):
        top = max(top, logits[e])
    for e in range(count):
        out[e] = math.exp(logits[e] - top)
        total += out[e]
    for e in range(count):
        out[e] /= total


@loop_of_numbers
def _tell(
    trees: Any,
    c_scale: float,
    noise: Any,
    valued: bool,
    visits: Any,
    returns: Any,
    values: Any,
    improved: Any,
    actions: Any,
) -> None:
    """Fill what `Found` holds of the first roots; the value of nobody is left out of theirs."""
    scores = np.empty(visits.shape[1])
    for i in range(len(visits)):
        legal, most, total = trees.legal[i, 0], 0, 0.0
        for e in range(legal):
            a, count = trees.actions[i, 0, e], trees.visits[i, 0, e]
            most, total = max(most, count), total + trees.totals[i, 0, e]
            visits[i, a] = count
            if count:
                returns[i, a] = trees.totals[i, 0, e] / count
        done = trees.done[i]
        values[i] = (total + trees.values[i, 0]) / (done + 1.0) if valued else total / done
        _improved_logits(trees, i, 0, c_scale, scores)
        _softmax(scores, legal, scores)
        for e in range(legal):
            improved[i, trees.actions[i, 0, e]] = scores[e]
        _among(trees, i, most, c_scale, noise[i], scores)
        actions[i] = trees.actions[i, 0, _greatest(scores, legal, 0)]
