"""Walks of the conformance kit, kept step by step, and how it compares and names records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from powerseek.envs.adapters.foreign import ForeignWorld, VecForeign
from powerseek.envs.engine.expand import script
from powerseek.envs.engine.vec import VecWorld, loop_views
from powerseek.envs.world import World
from powerseek.types import Bools, Floats, Ints, Records

SEED = 20_210
COPIES, STEPS = 16, 64

Walk = dict[str, Any]
"""What n copies did, by name: [steps, n] or [steps, n, k]."""


def make_simulator(world: World, n: int, seed: int = SEED) -> VecWorld | VecForeign:
    """N copies of a world, foreign or not."""
    return (
        VecForeign(world, n, seed) if isinstance(world, ForeignWorld) else VecWorld(world, n, seed)
    )


def rehearse(world: World, n: int, steps: int) -> Iterator[tuple[Any, Ints]]:
    """(copies, the actions to step them with), `steps` times; the caller takes the step.

    Actions are random and legal; copy i draws its own, so that they do not depend on n.
    """
    vec = make_simulator(world, n)
    draws = np.stack([np.random.default_rng([SEED, i]).random(steps) for i in range(n)])
    for t in range(steps):
        yield vec, random_legal_actions(vec.masks, draws[:, t])


def random_legal_actions(masks: Bools, draws: Floats) -> Ints:
    """One legal action per copy [n] by one draw each, uniformly."""
    counts = np.cumsum(masks, axis=1)
    chosen: Ints = (counts > (draws * counts[:, -1])[:, None]).argmax(axis=1)
    return chosen


def random_walk(world: World, n: int, steps: int) -> Walk:
    """Everything that n copies do in random legal steps."""
    seen = []
    for vec, actions in rehearse(world, n, steps):
        before = loop_views(vec.states)[1].copy()
        vec.step(actions)
        seen.append(walk_step(vec, before, actions))
    return joined_steps(seen)


def walk_step(vec: Any, before: Ints, actions: Ints) -> Walk:
    """One step of a walk: what stood before it, what was done, and all that came of it."""
    names = ("observations", "masks", "facts", "fresh_facts", "terminated", "truncated")
    kept = {name: getattr(vec, name).copy() for name in names}
    return {"before": before, "actions": actions, "after": loop_views(vec.states)[1].copy(), **kept}


def joined_steps(seen: list[Walk]) -> Walk:
    """Steps of a walk, one array a name."""
    return {name: np.stack([step[name] for step in seen]) for name in seen[0]} if seen else {}


def visited_records(world: World, name: str) -> Records:
    """Records standing at each step of up to 256, by random actions or by a script."""
    steps = min(256, 2 * world.max_steps) if name == "random" else min(256, world.max_steps)
    met = []
    for vec, actions in rehearse(world, 32, steps):
        met.append(vec.states.copy())
        vec.step(actions if name == "random" else legal_script(world, name, vec))
    return np.concatenate(met)


def legal_script(world: World, name: str, vec: Any) -> Ints:
    """A script's actions, the first legal one where it chooses a forbidden one."""
    actions = np.clip(script(world, name, vec.states), 0, world.n_actions - 1)
    allowed = vec.masks[np.arange(len(actions)), actions]
    return np.where(allowed, actions, vec.masks.argmax(axis=1))


def field_words(world: World, names: tuple[str, ...]) -> Ints:
    """The 8-byte words of a record that hold these fields."""
    found: list[int] = []
    for name in names:
        kind, offset = world.dtype.fields[name][:2]  # type: ignore[index]  # a structured dtype has fields
        found += range(offset // 8, (offset + kind.itemsize) // 8)
    return np.array(found, np.int64)


def words(records: Any) -> Ints:
    """[n, W] 8-byte words of records, a copy; -0.0 and 0.0 are one word."""
    out: Ints = loop_views(np.asarray(records).view(np.recarray))[1].copy()
    out[out == np.iinfo(np.int64).min] = 0
    return out


def record_from_words(world: World, words: Ints) -> Any:
    """The record that has these 8-byte words [W]."""
    records = world.records(1)
    loop_views(records)[1][0] = words
    return records[0]


def rows(table: Any) -> Any:
    """[n] one opaque value a row of int64 [n, k], for np.unique."""
    table = np.ascontiguousarray(table, np.int64)
    if not table.shape[1]:
        return np.zeros(len(table), np.int64)
    return table.view(np.dtype((np.void, 8 * table.shape[1])))[:, 0]


def record_keys(world: World, records: Any, names: tuple[str, ...] | None = None) -> Any:
    """[n] one opaque value a record, by some of its fields (by default: which state it is)."""
    return rows(words(records)[:, field_words(world, world.identity if names is None else names)])


def without_flows(world: World, records: Any) -> Records:
    """The records [n] with flows and clock zero."""
    out = np.array(records).view(np.recarray)
    for name in (*(field[0] for field in world.flows), "clock"):
        out[name] = 0
    return out


def state_text(world: World, record: Any, names: tuple[str, ...] | None = None) -> str:
    """A record in words: ``row=1, ripe=[1 0]``."""
    return ", ".join(f"{n}={_value(record[n])}" for n in (names or world.identity))


def _value(value: Any) -> str:
    array = np.asarray(value)
    return f"{array.item():g}" if array.ndim == 0 else str(array)
