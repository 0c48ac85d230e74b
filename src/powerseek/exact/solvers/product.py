"""(state, reward memory) layers over the clock: where a reward's own optimum is solved exactly.

A memory is what the reward remembers and, where it pays for them, the units acquired so far.
A reward is asked only about distinct situations (facts that it reads, before and after), so that
the object itself, not a copy of its rule, says what every edge pays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from powerseek.envs.rewards.spec import Facts, Pay, Step, acquired_in
from powerseek.errors import InvalidInput
from powerseek.exact.mdp import Ints32, TabularMDP
from powerseek.exact.state_index import WordTable, words
from powerseek.types import Bools, Floats, Ints

MAX_MEMORIES = 4096
"""Most distinct memories at one clock; beyond, the reward has no oracle."""

_MEMORY_DIGITS = 12


@dataclass(frozen=True, eq=False)
class Layer:
    """Reachable (state, memory) nodes after t steps, and what the reward does from there.

    Attributes:
        start: [S+1]; the nodes of state s are ``start[s]:start[s+1]``.
        memory: [n] index of each node's memory.
        reward: [memories, K] what an edge of each class pays.
        following: [memories, K] index of the memory in the next layer.
    """

    start: Ints
    memory: Ints32
    reward: Floats
    following: Ints32


NO_NODES = Layer(
    np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros((0, 0)), np.zeros((0, 0), np.int32)
)
"""What comes after the last step."""


class Columns:
    """The facts of an MDP by name, remembering which were read."""

    def __init__(self, mdp: TabularMDP) -> None:
        self._mdp = mdp
        self.read: set[int] = set()

    @property
    def fact_names(self) -> tuple[str, ...]:
        """The F flattened columns."""
        return self._mdp.fact_names

    def columns(self, fact: str) -> slice:
        """Columns of one fact."""
        names = self._mdp.fact_names
        found = [i for i, name in enumerate(names) if name == fact or name.startswith(f"{fact}[")]
        if not found:
            raise InvalidInput(
                "reward", fact, f"a reward function that reads one of {', '.join(names)}"
            )
        self.read.update(found)
        return slice(found[0], found[-1] + 1)

    def role(self, role: str) -> list[tuple[int, float]]:
        """(column, weight) of every component with a role."""
        weights = self._mdp.roles.get(role, np.zeros(0))
        found = [(int(i), float(weights[i])) for i in np.flatnonzero(weights)]
        self.read.update(column for column, _ in found)
        return found


@dataclass(frozen=True, eq=False)
class EdgeClasses:
    """Edges that look alike to a reward function.

    Attributes:
        of_edge: [E] class of each edge.
        before: [K, F] facts before the step, in the columns that the reward reads; nan elsewhere.
        after: [K, F] facts after it, flows included.
        over: [K] whether the edge ends the episode by the rules.
    """

    of_edge: Ints32
    before: Floats
    after: Floats
    over: Bools


def edge_classes(mdp: TabularMDP, pay: Pay) -> EdgeClasses:
    """Classes of the edges by the facts that are paid for."""
    columns = Columns(mdp)
    _probe(pay, mdp, columns)
    if pay.reward_function.reads_acquired:
        columns.role("resource")
    read = np.array(sorted(columns.read), np.int64)
    is_flow = ~_constant_zero(mdp.flow_table)
    states, flows = read[~is_flow[read]], read[is_flow[read]]
    seen = np.column_stack([mdp.state_facts[:, states], mdp.terminal])
    state_class = WordTable(seen.shape[1]).add(words(seen))[0]
    rows = np.column_stack([mdp.flow_table[:, flows], np.zeros(len(mdp.flow_table))])
    flow_class = WordTable(rows.shape[1]).add(words(rows))[0]
    source = np.repeat(mdp.pair_state, np.diff(mdp.edge_start))
    kinds = (
        state_class[source],
        state_class[mdp.edge_next],
        flow_class[mdp.edge_flow],
    )
    of_edge, first = WordTable(3).add(np.column_stack(kinds))
    before = np.full((len(first), len(mdp.fact_names)), np.nan)
    after = before.copy()
    before[:, states] = mdp.state_facts[source[first]][:, states]
    before[:, flows] = 0.0
    after[:, states] = mdp.state_facts[mdp.edge_next[first]][:, states]
    after[:, flows] = mdp.flow_table[mdp.edge_flow[first]][:, flows]
    over = mdp.terminal[mdp.edge_next[first]]
    return EdgeClasses(of_edge.astype(np.int32), before, after, over)


def product_layers(mdp: TabularMDP, pay: Pay, horizon: int) -> tuple[list[Layer], EdgeClasses]:
    """Every (state, memory) that any policy can be in, clock by clock.

    Raises:
        InvalidInput: The reward's memory takes too many values.
    """
    classes, columns = edge_classes(mdp, pay), Columns(mdp)
    graph = (mdp.pair_start, mdp.edge_start, mdp.edge_next, classes.of_edge)
    start = np.zeros(mdp.n_states + 1, np.int64)
    alive = (mdp.initial > 0) & ~mdp.terminal
    np.cumsum(alive, out=start[1:])
    began = pay.reward_function.start(Facts(mdp.state_facts[alive], columns))
    counts = pay.reward_function.reads_acquired
    gained = acquired_in(classes.after, columns) if counts else np.zeros(len(classes.over))
    memories, memory = _distinct(np.column_stack([np.round(began, _MEMORY_DIGITS), 0.0 * began]))
    found = []
    for t in range(horizon):
        met = np.zeros((len(memories), len(classes.over)), np.bool_)
        _meet(*graph, start, memory, met)
        last = t + 1 == horizon
        reward, after = _ask(pay, columns, classes, gained, memories, met, t + 1, last)
        following, memories = _next_memories(after, met, classes.over | last)
        found.append(Layer(start, memory, reward, following))
        if not last:
            start, memory = _advance(mdp, graph, found[-1], len(memories))
    return found, classes


def _probe(pay: Pay, mdp: TabularMDP, columns: Columns) -> None:
    """Pay one made-up step of nothing, to see what is read."""
    facts = Facts(np.zeros((1, len(mdp.fact_names))), columns)
    truth, zero = np.zeros(1, np.bool_), np.zeros(1)
    memory, clock = pay.reward_function.start(facts), np.ones(1, np.int64)
    pay.step(Step(memory, facts, facts, clock, truth, truth, zero, acquired=zero))


def _constant_zero(table: Floats) -> Bools:
    """[F] columns that are 0 in every row."""
    return np.logical_not(table.any(axis=0))


def _distinct(memories: Floats) -> tuple[Floats, Ints32]:
    """The different rows of [n, 2], sorted, and which of them each is."""
    found = [np.unique(column, return_inverse=True) for column in memories.T]
    (first, place), (second, within) = found
    pairs, index = np.unique(place * len(second) + within, return_inverse=True)
    one, other = np.divmod(pairs, max(1, len(second)))
    return np.column_stack([first[one], second[other]]), index.astype(np.int32)


def _ask(
    pay: Pay,
    columns: Columns,
    classes: EdgeClasses,
    gained: Floats,
    memories: Floats,
    met: Bools,
    clock: int,
    last: bool,
) -> tuple[Floats, Floats]:
    """Reward [memories, K] and new memory [memories, K, 2] where they are met, else 0."""
    reward, after = np.zeros(met.shape), np.zeros((*met.shape, 2))
    memory, kind = np.nonzero(met)
    over = classes.over[kind]
    acquired = memories[memory, 1] + gained[kind]
    with np.errstate(invalid="ignore"):
        paid, kept = pay.step(
            Step(
                memories[memory, 0],
                Facts(classes.before[kind], columns),
                Facts(classes.after[kind], columns),
                np.full(len(kind), clock, np.int64),
                over | last,
                ~over & last,
                np.full(len(kind), 0.5),
                acquired=acquired,
            )
        )
    if not np.isfinite(paid).all() or not np.isfinite(kept).all():
        raise InvalidInput(
            "reward",
            type(pay.reward_function).__name__,
            "a reward function that pays finite rewards",
        )
    reward[met], after[met, 0] = paid, np.round(kept, _MEMORY_DIGITS)
    after[met, 1] = np.round(acquired, _MEMORY_DIGITS)
    return reward, after


def _next_memories(after: Floats, met: Bools, ended: Bools) -> tuple[Ints32, Floats]:
    """Index [memories, K] into the distinct memories [m, 2] that go on, and those memories."""
    going = met & ~ended
    following = np.zeros(met.shape, np.int32)
    if not going.any():
        return following, np.zeros((1, 2))
    memories, index = _distinct(after[going])
    if len(memories) > MAX_MEMORIES:
        raise InvalidInput(
            "reward",
            f"a reward function with {len(memories):,} memories",
            f"at most {MAX_MEMORIES:,}",
        )
    following[going] = index
    return following, memories


@njit(cache=True, nogil=True)
def _meet(pair_start, edge_start, edge_next, of_edge, start, memory, met):  # type: ignore[no-untyped-def]  # compiled
    """Mark the (memory, edge class) combinations that occur."""
    for s in range(len(start) - 1):
        for node in range(start[s], start[s + 1]):
            row = met[memory[node]]
            for edge in range(edge_start[pair_start[s]], edge_start[pair_start[s + 1]]):
                row[of_edge[edge]] = True


@njit(cache=True, nogil=True)
def _reach(  # type: ignore[no-untyped-def]  # compiled
    pair_start, edge_start, edge_next, of_edge, terminal, start, memory, following, reached
):
    """Mark the (state, memory) nodes of the next layer."""
    for s in range(len(start) - 1):
        for node in range(start[s], start[s + 1]):
            row = following[memory[node]]
            for edge in range(edge_start[pair_start[s]], edge_start[pair_start[s + 1]]):
                if not terminal[edge_next[edge]]:
                    reached[edge_next[edge], row[of_edge[edge]]] = True


def _advance(
    mdp: TabularMDP,
    graph: tuple[Any, Any, Any, Any],
    layer: Layer,
    memories: int,
) -> tuple[Ints, Ints32]:
    reached = np.zeros((mdp.n_states, memories), np.bool_)
    _reach(*graph, mdp.terminal, layer.start, layer.memory, layer.following, reached)
    start = np.zeros(mdp.n_states + 1, np.int64)
    np.cumsum(reached.sum(axis=1), out=start[1:])
    return start, np.nonzero(reached)[1].astype(np.int32)


@njit(cache=True, nogil=True)
def node_of(start, memory, state, wanted):  # type: ignore[no-untyped-def]  # compiled
    """Node of (state, memory) in a layer, by bisection."""
    low, high = start[state], start[state + 1] - 1
    while low < high:
        middle = (low + high) // 2
        if memory[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low
