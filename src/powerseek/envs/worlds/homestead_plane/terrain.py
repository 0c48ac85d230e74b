"""Ground of `homestead-plane`: what lies on a tile, by a hash of layout, row and column.

No array holds the plane: rows and columns are signed and unbounded, and a tile is hashed whenever
somebody looks at it. `ground_of` and `tile_of` are the same hash in plain integers, for pictures
and for finding the nearest tile of a kind once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from powerseek.envs.engine.chance import fold_stream, rule
from powerseek.envs.worlds.homestead.layouts import MAP, PLOT
from powerseek.envs.worlds.homestead.rules import (
    DEPOT,
    FIELD,
    GROVE,
    NOTHING,
    PRODUCER,
    SWITCH,
    TOOL,
    TRINKET,
)

# Kinds of tile that homestead does not have.
CARRIER, TIMBER, GRANARY = range(8, 11)
HOME_COLUMNS = len(MAP[0])

COUNTS = {FIELD: 9, GROVE: 3, TOOL: 1, PRODUCER: 2, CARRIER: 2, TIMBER: 1, GRANARY: 1}
"""Tiles of each kind among 64 of the plane; the rest is bare ground."""
TILES: NDArray[np.int64] = np.array(
    [NOTHING] * (64 - sum(COUNTS.values()))
    + [kind for kind, count in COUNTS.items() for _ in range(count)]
)
LETTERS = {
    **{NOTHING: ".", DEPOT: "D", FIELD: "F", SWITCH: "S", TRINKET: "o", TOOL: "T", GROVE: "W"},
    **{PRODUCER: "P", CARRIER: "K", TIMBER: "B", GRANARY: "G"},
}

_WORD = (1 << 64) - 1
_GOLDEN, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_S58 = np.uint64(58)
_SALT = 0x706C616E65


@rule
def zigzag(i: int) -> int:
    """0, -1, 1, -2, 2 ... as 0, 1, 2, 3, 4 ...: a counter for `fold_stream`."""
    return 2 * i if i >= 0 else -2 * i - 1


@rule
def strip(p: Any, row: int) -> Any:
    """Key of a row of the plane."""
    return fold_stream(np.uint64(p.ground), zigzag(row))


@rule
def inside(p: Any, row: int, column: int) -> bool:
    """True if a tile lies on the map of `homestead`, at this openness."""
    return bool((row >= 0) & (row < PLOT) & (column >= 0) & (column < p.columns))


@rule
def fenced_tile(p: Any, row: int, column: int) -> bool:
    """True if a tile lies within reach."""
    return bool((row >= p.top) & (row <= p.bottom) & (column >= p.left) & (column <= p.right))


@rule
def kind_of(p: Any, key: Any, row: int, column: int) -> int:
    """Kind of a tile; `key` is its row's `strip`."""
    if inside(p, row, column):
        return int(p.kind[row, column])
    if not fenced_tile(p, row, column):
        return NOTHING
    return int(TILES[np.int64(fold_stream(key, zigzag(column)) >> _S58)])


@rule
def kind_at(p: Any, row: int, column: int) -> int:
    """Kind of a tile."""
    if inside(p, row, column):
        return int(p.kind[row, column])
    return kind_of(p, strip(p, row), row, column)


def _mix(x: int) -> int:
    x = (x ^ (x >> 30)) * _FIRST & _WORD
    x = (x ^ (x >> 27)) * _SECOND & _WORD
    return x ^ (x >> 31)


def _fold(key: int, counter: int) -> int:
    return _mix((key + (counter + 1) * _GOLDEN) & _WORD)


def ground_of(layout: int) -> int:
    """The key of a layout's plane, 63 bits."""
    return _fold(layout, _SALT) >> 1


def tile_of(layout: int, row: int, column: int) -> int:
    """Kind of the plane's tile at a row and column off the map of `homestead`."""
    rows, columns = (2 * i if i >= 0 else -2 * i - 1 for i in (row, column))
    return int(TILES[_fold(_fold(ground_of(layout), rows), columns) >> 58])


def nearest(layout: int, kind: int, reach: int) -> tuple[int, int]:
    """(row, column) of the tile of a kind that is nearest to the depot; (0, 0) if none is near.

    Only tiles within 24 steps, off the map of `homestead` and within `reach` of it count.
    """
    for away in range(1, 25):
        for row in range(-away, away + 1):
            for column in {abs(row) - away, away - abs(row)}:
                if 0 <= row < PLOT and 0 <= column < HOME_COLUMNS:
                    continue
                near = -reach <= row < PLOT + reach and -reach <= column < HOME_COLUMNS + reach
                if near and tile_of(layout, row, column) == kind:
                    return row, column
    return 0, 0
