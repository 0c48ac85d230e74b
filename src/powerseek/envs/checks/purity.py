"""Checks of the conformance kit on what rules read and write."""

from __future__ import annotations

from typing import Any

import numpy as np

from powerseek.envs.checks.case import Case, Failed
from powerseek.envs.checks.episodes import (
    field_words,
    record_keys,
    state_text,
    without_flows,
    words,
)
from powerseek.envs.checks.rules import CLOCK, LOOKS, READ_ONLY
from powerseek.envs.engine.compile import loops_of
from powerseek.envs.engine.expand import TooManyBranches, describe, expand, initial_branches
from powerseek.envs.engine.vec import loop_views
from powerseek.envs.world import World
from powerseek.errors import InvalidInput
from powerseek.types import Records

BRANCHED = 48
"""Records whose branches are compared."""


def check_writes(case: Case) -> str:
    """Rules write the record, and only transition and initial do; tables stay as they are."""
    world = case.world
    prepared = world.prepared
    before = [np.asarray(value).tobytes() for value in prepared]
    loops = loops_of(type(world), prepared._fields)
    records = case.standing.copy().view(np.recarray)
    facts = np.zeros((len(records), len(world.fact_names)))
    masks = np.zeros((len(records), world.n_actions), np.bool_)
    seen = np.zeros((len(records), len(world.observation_names)), np.float32)
    loops.describe(
        prepared, world.columns("over").start, loop_views(records)[0], seen, masks, facts
    )
    changed = np.argwhere(words(records) != words(case.standing))
    if len(changed):
        i, field = int(changed[0, 0]), _field(world, int(changed[0, 1]))
        raise Failed(
            f"observe, measure or legal turns {field} of "
            f"({state_text(world, case.standing[i])}) into {records[i][field]}",
            LOOKS,
        )
    check_clock, cap = field_words(world, ("clock",))[0], field_words(world, ("max_steps",))[0]
    going = ~(case.walk["terminated"] | case.walk["truncated"])
    ticked = case.walk["after"][..., check_clock] - case.walk["before"][..., check_clock] == 1
    if not ticked[going].all() or (case.walk["after"][..., cap] != world.max_steps).any():
        raise Failed("a rule writes clock or max_steps", CLOCK)
    if before != [np.asarray(value).tobytes() for value in prepared]:
        raise Failed("a rule changes what prepare made", READ_ONLY)
    return f"{len(records):,} records and all tables stay as they are"


def _field(world: World, word: int) -> str:
    names = world.dtype.names or ()
    return next(name for name in names if word in field_words(world, (name,)))


def check_clock(case: Case) -> str:
    """Rules do not read the clock, the cap or the flows of the step before."""
    world = case.world
    rest = without_flows(world, case.standing)
    state = np.flatnonzero([not fact.flow for fact in world.facts for _ in fact.columns])
    late = rest.copy()
    late["clock"] = world.max_steps - 1
    other = _other_cap(world)
    flowing = case.standing.copy()
    flowing["clock"] = 0
    asked = [("the clock", world, late), ("the flows of the last step", world, flowing)]
    if other is not None:
        capped = rest.copy()
        capped["max_steps"] = other.max_steps
        asked.append(("the cap (max_steps)", other, capped))
    for what, there, records in asked:
        _same_looks(world, rest, there, records, what, state)
        _same_branches(world, rest, there, records, what)
    return f"{len(rest):,} records look and branch alike at any clock, cap and flows"


def _other_cap(world: World) -> World | None:
    for cap in (world.max_steps + 1, world.max_steps - 1):
        try:
            return world.replace(max_steps=cap)
        except InvalidInput:
            continue
    return None


def _same_looks(
    world: World, rest: Records, there: World, records: Records, what: str, state: Any
) -> None:
    looks = describe(world, rest), describe(there, records)
    parts = zip(("measure", "legal", "observe"), *looks, strict=True)
    one: Any
    two: Any
    for rule, one, two in parts:
        if rule == "measure":
            one, two = one[:, state], two[:, state]
        if one.tobytes() != two.tobytes():
            i, j = np.argwhere(one != two)[0]
            labels = {"measure": [world.fact_names[k] for k in state]}.get(rule)
            label = (labels or (world.action_names, world.observation_names)[rule == "observe"])[j]
            raise Failed(
                f"{rule} reads {what}: {label!r} is {one[i, j]} and {two[i, j]} in "
                f"({state_text(world, rest[i])})",
                f"Let {rule} read fields of state alone. A quantity of one step is a "
                "Fact(..., flow=True); the task adds the time left to every observation.",
            )


def _same_branches(world: World, rest: Records, there: World, records: Records, what: str) -> None:
    few = np.linspace(0, len(rest) - 1, min(BRANCHED, len(rest))).astype(int)
    try:
        one, two = expand(world, rest[few], 65_536), expand(there, records[few], 65_536)
        start_one, start_two = (initial_branches(w, 65_536)[0] for w in (world, there))
    except TooManyBranches:
        return
    names = world.identity
    unlike = [
        record_keys(world, a) != record_keys(world, b)
        for a, b in ((start_one, start_two),)
        if len(a) == len(b)
    ]
    if not unlike or unlike[0].any():
        raise Failed(f"initial reads {what}: it gives other records", _FIELDS)
    if len(one.source) != len(two.source):
        raise Failed(f"transition reads {what}: it gives other branches", _FIELDS)
    apart = record_keys(world, one.records) != record_keys(world, two.records)
    apart |= (one.facts != two.facts).any(axis=1) | (one.probability != two.probability)
    if apart.any():
        i = int(apart.argmax())
        record, action = rest[few][one.source[i]], world.action_names[one.action[i]]
        branch = [
            f"({state_text(world, edges.records[i], names)}) "
            f"with probability {edges.probability[i]:.4g}"
            for edges in (one, two)
        ]
        raise Failed(
            f"transition reads {what}: {action!r} in ({state_text(world, record)}) leads to "
            f"{branch[0]}, and to {branch[1]}",
            _FIELDS,
        )


_FIELDS = "Let rules read fields of state alone; count steps in one if the task needs it."
