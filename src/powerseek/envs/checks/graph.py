"""Every reachable state of a small world, and how surely success can be had from each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from powerseek.envs.checks.episodes import record_keys
from powerseek.envs.engine.expand import (
    Expansion,
    TooManyBranches,
    describe,
    expand,
    initial_branches,
)
from powerseek.envs.world import World
from powerseek.types import Bools, Floats, Floats32, Ints, Records

CHUNK, CHUNK_EDGES = 1024, 100_000
BRANCHES = 65_536
"""Most branches of one state that the kit follows."""


class TooLarge(Exception):
    """A world has more states, edges or branches than were allowed; the message says which."""


@dataclass(frozen=True)
class Graph:
    """Every reachable state of a world and every branch out of it.

    Attributes:
        world: The world.
        records: [S] the states, flows and clock zero; the first `n_initial` are initial.
        n_initial: Number of initial states.
        facts: [S, F] of the states.
        masks: [S, A] likewise.
        observations: [S, obs] likewise.
        over: [S] whether the episode ends there.
        source: [E] state an edge leaves, ascending.
        action: [E] ascending within a source.
        following: [E] state it leads to.
        probability: [E] sums to 1 over the edges of one (source, action).
        flows: [E, F] facts at the end of the edge, flows included.
    """

    world: World
    records: Records
    n_initial: int
    facts: Floats
    masks: Bools
    observations: Floats32
    over: Bools
    source: Ints
    action: Ints
    following: Ints
    probability: Floats
    flows: Floats

    def success(self, steps: int, allowed: Bools | None = None) -> Floats:
        """[steps + 1, S] greatest probability of success within so many steps.

        Args:
            steps: Steps, >= 0.
            allowed: [E] edges whose (source, action) may be chosen, by default all; an action
                with one forbidden edge is forbidden, a state without actions stays as it is.
        """
        new = np.diff(self.source, prepend=-1) != 0
        pair = np.flatnonzero(new | (np.diff(self.action, prepend=-1) != 0))
        start = np.flatnonzero(new[pair])
        values = np.empty((steps + 1, len(self.records)))
        values[0] = self.facts[:, self.world.columns("success").start] > 0
        states = self.source[pair][start]
        forbidden = None
        if allowed is not None and len(pair):
            forbidden = ~np.logical_and.reduceat(allowed, pair)
        for t in range(1, steps + 1):
            values[t] = values[t - 1]
            if not len(pair):
                continue
            expected = np.add.reduceat(values[t - 1][self.following] * self.probability, pair)
            if forbidden is not None:
                expected[forbidden] = values[0][self.source[pair][forbidden]]
            values[t, states] = np.maximum.reduceat(expected, start)
        return values


def make_graph(world: World, states: int, edges: int) -> Graph:
    """Walk every action and every branch of chance from the initial states.

    Args:
        world: The world, one with rules.
        states: Most states to keep.
        edges: Most edges to keep.

    Raises:
        TooLarge: The world has more.
        WorldError: A rule raised, a fact is NaN or no action is legal.
    """
    over = world.columns("over").start
    numbers: dict[bytes, int] = {}
    none = np.zeros(0, np.int64)
    parts = [(none, none, none, np.zeros(0), np.zeros((0, len(world.fact_names))))]
    try:
        first = initial_branches(world, BRANCHES)[0]
        found = [first[_number(world, first, numbers)[1]]]
        described = [describe(world, found[0])]
        base = total = 0
        for block, looks in zip(found, described, strict=False):  # both grow
            alive = np.flatnonzero(looks[0][:, over] <= 0)
            for part, out in follow_records(world, block[alive]):
                following, new = _number(world, out.records, numbers)
                if len(new):
                    found.append(out.records[new])
                    described.append(describe(world, out.records[new]))
                total += len(following)
                if len(numbers) > states or total > edges:
                    raise TooLarge(f"more than {states:,} states or {edges:,} edges")
                source = base + alive[part][out.source]
                parts.append((source, out.action, following, out.probability, out.facts))
            base += len(block)
    except TooManyBranches as error:
        raise TooLarge(f"a state with more than {BRANCHES:,} branches") from error
    facts, masks, observations = (np.concatenate(x) for x in zip(*described, strict=True))
    edge = [np.concatenate(x) for x in zip(*parts, strict=True)]
    records = np.concatenate(found).view(np.recarray)
    return Graph(
        world, records, len(found[0]), facts, masks, observations, facts[:, over] > 0, *edge
    )


def follow_records(world: World, records: Records) -> Iterator[tuple[Ints, Expansion]]:
    """(positions, their branches) of the records [n], as many at a time as memory likes."""
    at, size = 0, 4
    while at < len(records):
        part = np.arange(at, min(at + size, len(records)))
        out = expand(world, records[part], BRANCHES)
        yield part, out
        at += len(part)
        each = max(1, len(out.source) // len(part))
        size = max(1, min(CHUNK, CHUNK_EDGES // each))


def _number(world: World, records: Records, numbers: dict[bytes, int]) -> tuple[Ints, Ints]:
    """Number [n] of each record, and the positions of those met for the first time, in order."""
    opaque = record_keys(world, records)
    _, first, inverse = np.unique(opaque, return_index=True, return_inverse=True)
    known = np.empty(len(first), np.int64)
    new = []
    for rank in np.argsort(first):
        key = opaque[first[rank]].tobytes()
        if key not in numbers:
            numbers[key] = len(numbers)
            new.append(first[rank])
        known[rank] = numbers[key]
    return known[inverse], np.array(new, np.int64)
