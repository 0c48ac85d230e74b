"""Maps of `homestead`: layout 0 as it stands here, the others drawn by their number."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from powerseek.envs.worlds.homestead.rules import GRAIN, MAX_LEVEL, WOOD_CAP

Cell = tuple[int, int]

# D depot, S switch (route), C switch (corner), F field, o trinket | T tool, W grove, P producer
MAP = (
    "DSFT.",
    ".o.WP",
    "F.C..",
)
PLOT = 3
DISTANCE = 2
"""Steps from the depot to each field."""
APART = (2, 4)
"""Steps from one field to the other."""
TOOL, HARVEST, PRODUCER = 8, 8, 5
"""Least steps from the depot by the tool to both fields; by both fields and the grove to the
producer; by the grove to the producer."""


@lru_cache(maxsize=256)
def map_of(layout: int) -> tuple[str, ...]:
    """The whole map of a layout, with both places that the switch may have.

    Layout 0 is `MAP`. Else the six things of the plot lie on cells of a random permutation, tool
    and grove on two cells of the 4th column, the producer on one of the 5th, drawn again until
    they are `_admissible`, by one generator seeded with the number. The whole map is drawn at
    every openness, so that all share the plot.

    Args:
        layout: Number >= 0.

    Returns:
        3 rows of 5 letters.
    """
    if layout == 0:
        return MAP
    rng = np.random.default_rng(layout)
    things: list[Cell] = []
    while not things or not _admissible(*things):
        plot = [(int(i) // PLOT, int(i) % PLOT) for i in rng.permutation(PLOT * PLOT)]
        tool, grove, _ = ((int(row), PLOT) for row in rng.permutation(PLOT))
        things = [*plot[:6], tool, grove, (int(rng.integers(PLOT)), PLOT + 1)]
    there = dict(zip(things, "DFFSCoTWP", strict=True))
    rows, columns = range(len(MAP)), range(len(MAP[0]))
    return tuple("".join(there.get((i, j), ".") for j in columns) for i in rows)


def find(rows: tuple[str, ...], letter: str) -> list[Cell]:
    """(row, column) of every tile with this letter, row by row."""
    return [(i, j) for i, row in enumerate(rows) for j, tile in enumerate(row) if tile == letter]


def _steps(*cells: Cell) -> int:
    """Steps of the shortest walk by way of cells."""
    return sum(abs(a - c) + abs(b - d) for (a, b), (c, d) in pairwise(cells))


def _admissible(
    depot: Cell,
    field: Cell,
    other: Cell,
    route: Cell,
    corner: Cell,
    trinket: Cell,
    tool: Cell,
    grove: Cell,
    producer: Cell,
) -> bool:
    """True if a map is an instance of the same task.

    Both fields are `DISTANCE` from the depot and `APART`, and capital about as far as in layout
    0. With a field further off, 20 steps are often too few for `precaution`; with fields side by
    side or capital nearer, need may rise there by 5 units over the last .005 of success
    (docs/worlds.md). `route` lies on a shortest way from the depot to a field, `corner` on none.
    """
    fields, apart = (field, other), _steps(field, other)
    through = [
        [_steps(depot, cell, f) == _steps(depot, f) for f in fields] for cell in (route, corner)
    ]
    return (
        _steps(depot, field) == DISTANCE == _steps(depot, other)
        and apart in APART
        and through[0][0]
        and not any(through[1])
        and min(_steps(depot, tool, f) for f in fields) + apart >= TOOL
        and min(_steps(depot, f, grove, producer) for f in fields) + apart >= HARVEST
        and _steps(depot, grove, producer) >= PRODUCER
    )


def wood_cap(params: Any) -> int:
    """Maximum wood carried: one unit, or as the task needs it."""
    return WOOD_CAP if params.goal == GRAIN else min(params.quota, params.stock_cap)


class _Luck(NamedTuple):
    """What a lucky agent has, besides its cell."""

    cell: Cell
    ripe: tuple[bool, ...] = (True, True)
    grain: int = 0
    wood: int = 0
    delivered: int = 0
    tool: bool = False
    level: int = 0


@lru_cache(maxsize=256)
def least_steps(params: Any) -> int | None:
    """Least number of steps in which the quota can be delivered, by any luck and without hazard.

    More grain, and riper fields, never do harm, so the luckiest outcome of each step is enough.

    Args:
        params: Parameters of `homestead`.

    Returns:
        Steps; None if no number would do.
    """
    rows = tuple(row[: PLOT + params.openness] for row in map_of(params.layout))
    layer = [_Luck(find(rows, "D")[0])]
    seen, steps = set(layer), 0
    while layer:
        steps += 1
        after = {s for before in layer for s in _lucky_steps(params, rows, before)}
        if any(s.delivered >= params.quota for s in after):
            return steps
        layer = [s for s in after if s not in seen]
        seen |= after
    return None


def _lucky_steps(params: Any, rows: tuple[str, ...], s: _Luck) -> Iterator[_Luck]:
    """What every action may lead to, luckily."""
    (i, j), fields = s.cell, find(rows, "F")
    for row, column in ((i, j), (i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)):
        if 0 <= row < len(rows) and 0 <= column < len(rows[0]):
            yield _lucky_nature(params, s._replace(cell=(row, column)))
    tile = rows[i][j]
    if tile == "D":
        units = min(s.grain if params.goal == GRAIN else s.wood, params.quota - s.delivered)
        grain, wood = (units, 0) if params.goal == GRAIN else (0, units)
        rest = s._replace(grain=s.grain - grain, wood=s.wood - wood)
        yield _lucky_nature(params, rest._replace(delivered=s.delivered + units))
    elif tile == "F" and s.ripe[fields.index(s.cell)] and s.grain < params.stock_cap:
        units = 2 if s.tool and params.tool_yield > 0 and s.grain + 1 < params.stock_cap else 1
        ripe = tuple(there and cell != s.cell for cell, there in zip(fields, s.ripe, strict=True))
        yield _lucky_nature(params, s._replace(ripe=ripe, grain=s.grain + units))
    elif tile == "T":
        yield _lucky_nature(params, s._replace(tool=True))
    elif tile == "W" and s.wood < wood_cap(params):
        yield _lucky_nature(params, s._replace(wood=s.wood + 1))
    elif tile == "P" and s.level < MAX_LEVEL and s.wood + s.grain > 0:
        paid = s._replace(wood=s.wood - 1) if s.wood else s._replace(grain=s.grain - 1)
        yield _lucky_nature(params, paid._replace(level=s.level + 1))


def _lucky_nature(params: Any, s: _Luck) -> _Luck:
    """What follows an action: grain spoils only if it must, and whatever can come comes."""
    grain = s.grain - (1 if s.grain and params.spoil == 1.0 else 0)
    grain += 1 if s.level and params.produce > 0 and grain < params.stock_cap else 0
    return s._replace(grain=grain, ripe=(True, True) if params.regrowth > 0 else s.ripe)
