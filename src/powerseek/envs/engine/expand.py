"""Every branch of a world's rules: what the exact layer is built from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from powerseek.envs.engine.chance import TAPE
from powerseek.envs.engine.compile import loops_of
from powerseek.envs.engine.vec import (
    loop_views,
    raise_world_error,
    record_flow_words,
    rules_at_work,
)
from powerseek.envs.world import World
from powerseek.errors import InvalidInput, WorldError
from powerseek.types import Bools, Floats, Floats32, Ints, Records

MOST_BRANCHES = 25_000_000
"""Most branches of one state that are followed, by default."""


class TooManyBranches(WorldError):
    """One state has more branches than were allowed: it is not enumerable."""


@dataclass(frozen=True)
class Expansion:
    """Edges out of given records.

    Attributes:
        source: [E] index of the record an edge leaves.
        action: [E] the action.
        records: [E] where it leads, canonical: flows and clock zeroed.
        probability: [E]; sums to 1 over the edges of one (source, action).
        facts: [E, F] measured at the end of the edge, flows included.
    """

    source: Ints
    action: Ints
    records: Records
    probability: Floats
    facts: Floats


class _Scratch:
    def __init__(self, world: World) -> None:
        self.prepared = world.prepared
        self.loops = loops_of(type(world), self.prepared._fields)
        self.over = world.columns("over").start
        self.record = world.records(1)
        self.view, self.words = loop_views(self.record)
        self.tape = loop_views(np.zeros(1, TAPE).view(np.recarray))[0]


def initial_branches(world: World, most: int = MOST_BRANCHES) -> tuple[Records, Floats]:
    """(records [m], probability [m]) of the initial state; equal records are not merged.

    Raises:
        TooManyBranches: there are more than `most`.
        WorldError: a rule raised.
    """
    scratch = _Scratch(world)
    room = 1024
    while True:
        records, probability = world.records(room), np.zeros(room)
        with rules_at_work(world):
            count = scratch.loops.expand_initial(
                scratch.prepared,
                world.max_steps,
                scratch.view,
                scratch.words,
                scratch.tape,
                loop_views(records)[1],
                probability,
            )
        if count >= 0:
            flows = record_flow_words(world)
            loop_views(records)[1][:, flows] = 0
            return records[:count], probability[:count]
        if room >= most:
            raise _too_many(world, "the initial state", most)
        room *= 8


def _too_many(world: World, what: str, most: int) -> TooManyBranches:
    return TooManyBranches(
        f"world {world.id!r}: {what} has over {most:,} branches; "
        "it is not enumerable at these parameters"
    )


def expand(world: World, records: Any, most: int = MOST_BRANCHES) -> Expansion:
    """Every legal action and every branch of the tape from `records` [m].

    The records must not be over.

    Raises:
        TooManyBranches: one record has more than `most`, over all its actions.
        WorldError: a rule raised or gave a NaN fact.
    """
    scratch = _Scratch(world)
    words = loop_views(_own(world, records))[1]
    flows = record_flow_words(world)
    features, actions, facts = len(world.observation_names), world.n_actions, len(world.fact_names)
    room = max(1024, 4 * len(words) * actions)
    parts: list[tuple[Any, ...]] = []
    first = 0
    while first < len(words):
        source, action = np.zeros(room, np.int64), np.zeros(room, np.int64)
        out, probability = np.zeros(room, world.dtype).view(np.recarray), np.zeros(room)
        values = np.zeros((room, facts))
        with rules_at_work(world):
            done, edges, wrong = scratch.loops.expand(
                scratch.prepared,
                scratch.over,
                flows.start,
                flows.stop,
                first,
                words,
                scratch.view,
                scratch.words,
                scratch.tape,
                np.zeros(features, np.float32),
                np.zeros(actions, np.bool_),
                np.zeros(actions, np.bool_),
                source,
                action,
                loop_views(out)[1],
                probability,
                values,
            )
        raise_world_error(world, 10 * done + wrong if wrong else 0, "record")
        if edges:
            parts.append(
                (source[:edges], action[:edges], out[:edges], probability[:edges], values[:edges])
            )
        if done == first:
            if room >= most:
                raise _too_many(world, "one state", most)
            room *= 4
        first = done
    if not parts:
        return Expansion(
            np.zeros(0, np.int64),
            np.zeros(0, np.int64),
            world.records(0),
            np.zeros(0),
            np.zeros((0, facts)),
        )
    if len(parts) == 1:
        return Expansion(*parts[0])
    return Expansion(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def describe(world: World, records: Any) -> tuple[Floats, Bools, Floats32]:
    """(facts [m, F], masks [m, A], observations [m, obs]) of `records`."""
    scratch = _Scratch(world)
    own = _own(world, records)
    facts = np.zeros((len(own), len(world.fact_names)))
    masks = np.zeros((len(own), world.n_actions), np.bool_)
    observations = np.zeros((len(own), len(world.observation_names)), np.float32)
    with rules_at_work(world):
        code = scratch.loops.describe(
            scratch.prepared, scratch.over, loop_views(own)[0], observations, masks, facts
        )
    raise_world_error(world, code, "record")
    return facts, masks, observations


def script(world: World, name: str, records: Any) -> Ints:
    """Action [m] of the world's scripted ``minimalist`` or ``hoarder`` in `records`."""
    if name not in ("minimalist", "hoarder") or not hasattr(type(world), name):
        raise InvalidInput("script", name, "minimalist or hoarder, where the world defines them")
    scratch = _Scratch(world)
    actions = np.zeros(len(records), np.int64)
    with rules_at_work(world):
        getattr(scratch.loops, f"script_{name}")(
            scratch.prepared, loop_views(_own(world, records))[0], actions
        )
    return actions


def _own(world: World, records: Any) -> Records:
    own = np.empty(len(records), world.dtype).view(np.recarray)
    own[:] = records
    return own
