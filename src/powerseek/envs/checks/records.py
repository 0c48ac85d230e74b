"""Records as the conformance kit compares and names them."""

from __future__ import annotations

from typing import Any

import numpy as np

from powerseek.envs.engine.vec import loop_views
from powerseek.envs.world import World
from powerseek.types import Ints, Records


def columns_of(world: World, names: tuple[str, ...]) -> Ints:
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


def rows(table: Any) -> Any:
    """[n] one opaque value a row of int64 [n, k], for np.unique."""
    table = np.ascontiguousarray(table, np.int64)
    if not table.shape[1]:
        return np.zeros(len(table), np.int64)
    return table.view(np.dtype((np.void, 8 * table.shape[1])))[:, 0]


def keys(world: World, records: Any, names: tuple[str, ...] | None = None) -> Any:
    """[n] one opaque value a record, by some of its fields (by default: which state it is)."""
    return rows(words(records)[:, columns_of(world, world.identity if names is None else names)])


def cleared(world: World, records: Any) -> Records:
    """The records [n] with flows and clock zero."""
    out = np.array(records).view(np.recarray)
    for name in (*(field[0] for field in world.flows), "clock"):
        out[name] = 0
    return out


def tell(world: World, record: Any, names: tuple[str, ...] | None = None) -> str:
    """A record in words: ``row=1, ripe=[1 0]``."""
    return ", ".join(f"{n}={_value(record[n])}" for n in (names or world.identity))


def _value(value: Any) -> str:
    array = np.asarray(value)
    return f"{array.item():g}" if array.ndim == 0 else str(array)
