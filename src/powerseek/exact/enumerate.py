"""Every reachable state of a world, breadth-first over its rules and its tape."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from powerseek.envs.expand import Expansion, describe, expand, initial_branches
from powerseek.envs.world import World, WorldError
from powerseek.errors import InvalidInput
from powerseek.exact.mdp import PROBABILITY_TOLERANCE, TabularMDP
from powerseek.exact.words import WordTable, words
from powerseek.types import Bools, Floats, Ints, Records

DEFAULT_LIMIT = 1_000_000
CHUNK = 4096


def enumerate_world(world: World, limit: int = DEFAULT_LIMIT) -> TabularMDP:
    """Walk every action and every branch of chance from the initial states.

    States are numbered in the order in which they are met, so earlier states are reachable in
    no more steps than later ones. The clock is not part of a state.

    Args:
        world: The world; its rules must branch finitely.
        limit: Most states to keep.

    Returns:
        The MDP, with ``records``; ``max_steps`` is the world's cap.

    Raises:
        InvalidInput: The world has more states than ``limit``, or no rules (a foreign one).
        WorldError: A rule raised, gave a NaN fact or probabilities that do not sum to 1.
    """
    if limit < 1:
        raise InvalidInput("limit", limit, "a number of states >= 1")
    if not hasattr(type(world), "transition"):
        raise InvalidInput(
            "world", world.id, "a world with rules: a foreign environment has no oracle"
        )
    walk = _Walk(world)
    records, probability = initial_branches(world)
    numbers = walk.meet(records)
    done = 0
    while done < walk.states.count:
        if walk.states.count > limit:
            raise _too_many(world, walk.states.count, limit)
        upto = min(done + CHUNK, walk.states.count)
        walk.expand(done, upto)
        done = upto
    initial = np.zeros(walk.states.count)
    np.add.at(initial, numbers, probability)
    return walk.finish(initial)


class RecordIndex:
    """Number of a record among the states of an enumerated MDP, by the fields of its identity.

    Args:
        world: The world that the records belong to.
    """

    def __init__(self, world: World) -> None:
        names = world.dtype.names or ()
        offsets = {name: world.dtype.fields[name][1] // 8 for name in names}  # type: ignore[index]  # a structured dtype has fields
        widths = {name: world.dtype[name].itemsize // 8 for name in names}
        columns = [offsets[name] + i for name in world.identity for i in range(widths[name])]
        self._columns: Ints = np.array(columns, np.int64)
        self._table = WordTable(len(columns))

    @property
    def count(self) -> int:
        """Number of distinct states met so far."""
        return self._table.count

    def add(self, records: Records) -> tuple[Ints, Ints]:
        """Numbers [n] of the records, and the positions of those met for the first time."""
        return self._table.add(words(_plain(records), self._columns))

    def find(self, records: Records) -> Ints:
        """Numbers [n] of the records, -1 for one that is not a known state."""
        return self._table.find(words(_plain(records), self._columns))


class _Walk:
    """The growing lists of a breadth-first walk."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.states = RecordIndex(world)
        columns = [world.columns(fact.name) for fact in world.facts if fact.flow]
        flows = [i for part in columns for i in range(part.start, part.stop)]
        self.flow_columns: Ints = np.array(flows, np.int64)
        self.flows = WordTable(max(len(flows), 1))
        self.over = world.columns("over").start
        self.records: list[Records] = []
        self.facts: list[Floats] = []
        self.terminal: list[Bools] = []
        self.known: Records = world.records(0)
        self.edges: list[tuple[Any, ...]] = []

    def meet(self, records: Records) -> Ints:
        """Number the records, and keep and describe the new ones."""
        numbers, new = self.states.add(records)
        if len(new):
            fresh = _plain(records)[new]
            fresh["clock"] = 0
            facts = describe(self.world, fresh)[0]
            facts[:, self.flow_columns] = 0.0
            self.records.append(fresh)
            self.facts.append(facts)
            self.terminal.append(facts[:, self.over] > 0)
        return numbers

    def expand(self, start: int, stop: int) -> None:
        """Follow every edge out of the states start:stop (all of which have been met)."""
        records, terminal = self._slice(start, stop)
        alive = np.flatnonzero(~terminal)
        if not len(alive):
            return
        found = expand(self.world, records[alive])
        following = self.meet(found.records)
        flows, _ = self.flows.add(words(self._flows_of(found)))
        source = alive[found.source] + start
        order = np.argsort(source * self.world.n_actions + found.action, kind="stable")
        self.edges.append(
            _merge(
                source[order],
                found.action[order],
                following[order],
                flows[order],
                found.probability[order],
            )
        )

    def _flows_of(self, found: Expansion) -> Floats:
        if not len(self.flow_columns):
            return np.zeros((len(found.source), 1))
        return found.facts[:, self.flow_columns]

    def _slice(self, start: int, stop: int) -> tuple[Records, Bools]:
        """States start:stop, from the blocks in which they were met."""
        ends = np.cumsum([len(block) for block in self.records])
        first, last = np.searchsorted(ends, [start, stop - 1], side="right")
        before = ends[first - 1] if first else 0
        span = slice(start - before, stop - before)
        records = np.concatenate(self.records[first : last + 1])[span]
        return records, np.concatenate(self.terminal[first : last + 1])[span]

    def finish(self, initial: Floats) -> TabularMDP:
        """Put the lists together."""
        world = self.world
        empty = (np.zeros(0, np.int64),) * 4 + (np.zeros(0),)
        parts = self.edges or [empty]
        source, action, following, flow, probability = (
            np.concatenate([part[i] for part in parts]) for i in range(5)
        )
        count = self.states.count
        pairs = source * world.n_actions + action
        first = np.flatnonzero(np.diff(pairs, prepend=-1))
        edge_start = np.append(first, len(pairs)).astype(np.int64)
        _check_sums(world, probability, edge_start)
        pair_state = source[first].astype(np.int32)
        table = np.zeros((max(self.flows.count, 1), len(world.fact_names)))
        if len(self.flow_columns):
            values = self.flows.rows.view(np.float64)
            table[: self.flows.count, self.flow_columns] = values
        return TabularMDP(
            pair_start=np.searchsorted(pair_state, np.arange(count + 1)).astype(np.int64),
            pair_state=pair_state,
            pair_action=action[first].astype(np.int32),
            edge_start=edge_start,
            edge_next=following.astype(np.int32),
            edge_probability=probability,
            initial=initial,
            terminal=np.concatenate(self.terminal),
            state_facts=np.concatenate(self.facts),
            pair_flows=_expected(flow, probability, edge_start, table),
            fact_names=world.fact_names,
            roles=_roles(world),
            max_steps=world.max_steps,
            edge_flow=flow.astype(np.int32),
            flow_table=table,
            absent=world.absent(world.params),
            records=np.concatenate(self.records),
            world=world,
        )


def _plain(records: Records) -> Records:
    """Records as an ordinary structured array."""
    return np.asarray(records).view(np.ndarray).view(np.dtype(records.dtype.descr))


@njit(cache=True)
def _merge(source, action, following, flow, probability):  # type: ignore[no-untyped-def]  # compiled
    """Add up equal edges of a pair; edges come sorted by pair."""
    kept = 0
    pair = 0
    out = (source.copy(), action.copy(), following.copy(), flow.copy(), probability.copy())
    for i in range(len(source)):
        if i == 0 or source[i] != source[i - 1] or action[i] != action[i - 1]:
            pair = kept
        same = -1
        for j in range(pair, kept):
            if out[2][j] == following[i] and out[3][j] == flow[i]:
                same = j
                break
        if same >= 0:
            out[4][same] += probability[i]
            continue
        out[0][kept] = source[i]
        out[1][kept] = action[i]
        out[2][kept] = following[i]
        out[3][kept] = flow[i]
        out[4][kept] = probability[i]
        kept += 1
    return (
        out[0][:kept].copy(),
        out[1][:kept].copy(),
        out[2][:kept].copy(),
        out[3][:kept].copy(),
        out[4][:kept].copy(),
    )


def _expected(flow: Ints, probability: Floats, edge_start: Ints, table: Floats) -> Floats:
    """[P, F] expected flows of every pair, column by column to keep memory low."""
    out = np.zeros((len(edge_start) - 1, table.shape[1]))
    for column in np.flatnonzero(table.any(axis=0)):
        weighted = table[flow, column] * probability
        out[:, column] = np.add.reduceat(weighted, edge_start[:-1])
    return out


def _check_sums(world: World, probability: Floats, edge_start: Ints) -> None:
    if not len(probability):
        return
    off = np.abs(np.add.reduceat(probability, edge_start[:-1]) - 1)
    if off.max() > PROBABILITY_TOLERANCE:
        raise WorldError(
            f"world {world.id!r}: the branches of a transition have probabilities that "
            f"miss a sum of 1 by {off.max():.2g}"
        )


def _roles(world: World) -> dict[str, Floats]:
    """Role -> weights, and ``resource outside``: the resource that lies outside the task."""
    names = sorted({role for fact in world.facts for role in fact.roles})
    out = {name: world.weights(name) for name in names if world.role(name)}
    if "resource" in out and "outside_task" in out:
        out["resource outside"] = out["resource"] * (out["outside_task"] != 0)
    return out


def _too_many(world: World, count: int, limit: int) -> InvalidInput:
    sizes = {k: v for k, v in world.params._asdict().items() if type(v) is int and v > 0}
    shrink = ", ".join(f"{name}={value}" for name, value in sizes.items() if name != "max_steps")
    return InvalidInput(
        "limit",
        limit,
        f"more than the states of {world.id}: {count:,} states and still growing",
        f"raise limit or shrink {shrink or 'the world'}",
    )
