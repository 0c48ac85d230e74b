"""The case of the conformance kit: a world's walks, records and graph, made once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np

from powerseek.envs.adapters.foreign import ForeignWorld
from powerseek.envs.checks.episodes import (
    COPIES,
    STEPS,
    Walk,
    random_walk,
    record_keys,
    state_text,
    visited_records,
    without_flows,
)
from powerseek.envs.checks.graph import Graph, TooLarge, make_graph
from powerseek.envs.checks.interpreted import Interpreted, interpret
from powerseek.envs.engine.expand import describe
from powerseek.envs.world import World
from powerseek.types import Floats, Records

STATES, EDGES = 20_000, 400_000
"""A world up to this size is checked in every state, a larger one in those it was seen in."""

HOOKS = {"observe": "featurise", "measure": "read", "initial": "environment"}
"""What the author of a foreign world writes where others write a rule."""


class Failed(Exception):
    """A check found a world to break its contract.

    Args:
        found: The evidence: which record, which action, which values.
        instead: What to write instead.
    """

    def __init__(self, found: str, instead: str) -> None:
        super().__init__(found)
        self.found, self.instead = found, instead


class NotApplicable(Exception):
    """A check has nothing to look at here; its message says why."""


class Seen(NamedTuple):
    """Facts that were measured together.

    Attributes:
        facts: [n, F].
        tell: What row i is, in words.
        flows: Whether flows are those of a step just taken; else the records' flows are zero.
        words: What all rows are.
    """

    facts: Floats
    tell: Callable[[int], str]
    flows: bool
    words: str


class Case:
    """A world under test, and all that is made of it for more than one check.

    Args:
        world: The world.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.foreign = isinstance(world, ForeignWorld)

    def place(self, rule: str) -> str:
        """The name of a rule, or of what stands in its place in a foreign world."""
        return HOOKS[rule] if self.foreign else rule

    @cached_property
    def smallest(self) -> World:
        """The world at the setting that it declares its smallest."""
        return type(self.world)(**self.world.smallest)

    @cached_property
    def interpreted(self) -> tuple[World, Interpreted]:
        """(the setting it was tried at, what plain Python makes of the rules).

        A world whose tables take too long as plain Python is tried at its smallest setting.
        """
        found = interpret(self.world)
        if found.walk or found.trouble or self.smallest == self.world:
            return self.world, found
        smaller = interpret(self.smallest)
        return (self.smallest, smaller) if smaller.walk or smaller.trouble else (self.world, found)

    @cached_property
    def walk(self) -> Walk:
        """64 random legal steps of 16 environments (`random_walk`)."""
        return random_walk(self.world, COPIES, STEPS)

    @cached_property
    def standing(self) -> Records:
        """Records met on random walks and by the scripts, distinct as states, as they stood.

        Flows and clock are those of the first visit.
        """
        met = [self.world.records(0)]
        for name in ("random", "minimalist", "hoarder"):
            if name == "random" or hasattr(type(self.world), name):
                met.append(visited_records(self.world, name))
        records = np.concatenate(met).view(np.recarray)
        _, first = np.unique(record_keys(self.world, records), return_index=True)
        return records[np.sort(first)]

    @cached_property
    def graph(self) -> Graph | None:
        """Every reachable state of the world, or of its smallest setting; None if too many."""
        for world in (self.world, self.smallest):
            try:
                return make_graph(world, STATES, EDGES)
            except TooLarge:
                continue
        return None

    @cached_property
    def whole(self) -> bool:
        """True if the graph is of the world as given, not of a smaller setting."""
        return self.graph is not None and self.graph.world == self.world

    @cached_property
    def seen(self) -> tuple[Seen, ...]:
        """Facts of the walk's steps, and of every record of `settings`."""
        facts = np.concatenate([self.walk["facts"], self.walk["fresh_facts"]])
        n = facts.shape[1]
        found = [
            Seen(
                facts.reshape(-1, facts.shape[2]),
                lambda i: f"step {i // n % STEPS + 1} of copy {i % n}",
                True,
                f"{facts.shape[0] * n:,} facts of a walk",
            )
        ]
        for world, records, words in () if self.foreign else self.settings():
            rest = without_flows(world, records)
            told = partial(_tell_row, world, rest)
            found.append(Seen(describe(world, rest)[0], told, False, words))
        return tuple(found)

    def settings(self) -> Iterator[tuple[World, Records, str]]:
        """(world, its records, how they were got): those met, and those of the graph."""
        yield self.world, self.standing, f"{len(self.standing):,} records met"
        if self.graph is not None:
            words = f"all {len(self.graph.records):,} reachable states"
            at = "" if self.whole else f" of {self.graph.world!r}"
            yield self.graph.world, self.graph.records, words + at


def _tell_row(world: World, records: Records, i: int) -> str:
    return state_text(world, records[i])
