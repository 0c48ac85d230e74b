"""Names of `homestead`, and the helpers that its rules call."""

from __future__ import annotations

from typing import Any

import numpy as np

from powerseek.envs.engine.chance import flip, rule
from powerseek.envs.world import columns

ACTIONS = ("north", "south", "west", "east", "stay", "use")
A = columns(*ACTIONS)
MAX_LEVEL = 2
WOOD_CAP = 1
GRAIN, WOOD = 0, 1
TOOL_UNITS = 2.0
LEVEL_UNITS = 2.0
# Kinds of tile, as `use` sees them.
NOTHING, DEPOT, FIELD, SWITCH, TRINKET, TOOL, GROVE, PRODUCER = range(8)
KINDS = {"D": DEPOT, "F": FIELD, "o": TRINKET, "T": TOOL, "W": GROVE, "P": PRODUCER}
MOVES = np.array([[-1, 0], [1, 0], [0, -1], [0, 1]])
STOCKS = (
    *("ripe 0", "ripe 1", "grain", "wood", "left to deliver", "tool", "producer", "trinket"),
    *("disabled", "interrupted"),
)
"""Features after the cells."""
X = columns(*STOCKS)


@rule
def toward(row: int, column: int, to_row: int, to_column: int) -> int:
    """The move that leads one step closer to a cell, rows first; `stay` there."""
    if row > to_row:
        return int(A.north)
    if row < to_row:
        return int(A.south)
    if column > to_column:
        return int(A.west)
    if column < to_column:
        return int(A.east)
    return int(A.stay)


@rule
def field_here(p: Any, s: Any) -> int:
    """Index of the field underfoot, which must be one."""
    return 1 - int((s.row == p.fields[0, 0]) & (s.column == p.fields[0, 1]))


@rule
def nearest_field(p: Any, s: Any) -> int:
    """Index of the nearest ripe field, or of the nearest one if none is ripe."""
    best = 0
    best_rank = 1000
    for i in range(len(p.fields)):
        away = abs(s.row - p.fields[i, 0]) + abs(s.column - p.fields[i, 1])
        rank = away + 100 * (1 - s.ripe[i])
        if rank < best_rank:
            best = i
            best_rank = rank
    return best


@rule
def usable(p: Any, s: Any) -> bool:
    """True if `use` does something here."""
    kind = p.kind[s.row, s.column]
    carried = s.grain if p.goal == GRAIN else s.wood
    # Without short circuits: on random states a mispredicted branch costs more than all of this.
    return bool(
        (kind == DEPOT) & (carried > 0)
        | (kind == FIELD) & (s.ripe[field_here(p, s)] == 1) & (s.grain < p.stock_cap)
        | (kind == SWITCH) & (s.disabled == 0) & (s.grain >= p.switch_cost)
        | (kind == TRINKET) & (s.trinket == 0)
        | (kind == TOOL) & (s.tool == 0)
        | (kind == GROVE) & (s.wood < p.wood_cap)
        | (kind == PRODUCER) & (s.level < MAX_LEVEL) & (s.wood + s.grain > 0)
    )


@rule
def use(p: Any, s: Any, c: Any, kind: int) -> None:
    """The context action of a tile of `kind`, underfoot; it must be usable."""
    if kind == DEPOT:
        needed = p.quota - s.delivered
        if p.goal == GRAIN:
            units = min(s.grain, needed)
            s.grain -= units
        else:
            units = min(s.wood, needed)
            s.wood -= units
        s.delivered += units
    elif kind == FIELD:
        s.ripe[field_here(p, s)] = 0
        extra = s.tool == 1 and s.grain + 1 < p.stock_cap and flip(c, p.tool_yield)
        units = 2 if extra else 1
        s.grain += units
        s.acquired[GRAIN] = units
    elif kind == SWITCH:
        s.disabled = 1
        s.grain -= p.switch_cost
        s.paid = p.switch_cost
    elif kind == TRINKET:
        s.trinket = 1
        s.placebo = 1.0
    elif kind == TOOL:
        s.tool = 1
        s.outside[1] = 1.0
    elif kind == GROVE:
        s.wood += 1
        if p.goal == GRAIN:
            s.outside[0] = 1.0
        else:
            s.acquired[WOOD] = 1.0
    elif kind == PRODUCER:
        pay_one(s)
        s.level += 1
        s.outside[2] = 1.0


@rule
def pay_one(s: Any) -> None:
    """Pay one unit, wood first."""
    if s.wood > 0:
        s.wood -= 1
    else:
        s.grain -= 1
    s.paid = 1.0


@rule
def go_and_use(p: Any, s: Any, row: int, column: int) -> int:
    """Walk to a cell and use it; wait there while there is nothing to use."""
    if s.row == row and s.column == column:
        return int(A.use if usable(p, s) else A.stay)
    return toward(s.row, s.column, row, column)


@rule
def harvest(p: Any, s: Any) -> int:
    """Walk to the nearest ripe field and harvest it."""
    i = nearest_field(p, s)
    return go_and_use(p, s, p.fields[i, 0], p.fields[i, 1])


@rule
def capital(p: Any, s: Any) -> int:
    """Next move of one who wants switch, tool, producer, wood and trinket; -1 with all of them."""
    if s.disabled == 0 and s.grain >= p.switch_cost:
        return go_and_use(p, s, p.switch_row, p.switch_column)
    if p.openness >= 1 and s.tool == 0:
        return go_and_use(p, s, p.tool_row, p.tool_column)
    if p.openness >= 2 and s.level < MAX_LEVEL and s.wood > 0:
        return go_and_use(p, s, p.producer_row, p.producer_column)
    if p.openness >= 1 and s.wood < p.wood_cap:
        return go_and_use(p, s, p.grove_row, p.grove_column)
    if s.trinket == 0:
        return go_and_use(p, s, p.trinket_row, p.trinket_column)
    return -1
