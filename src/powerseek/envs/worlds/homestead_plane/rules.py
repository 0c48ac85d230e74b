"""Rules of `homestead-plane`: actions on a tile, and the recovery of fields.

Where a rule is homestead's it is called from homestead_rules or written with its names, in its
order of draws; tests hold every step of the two worlds to be the same.
"""

from __future__ import annotations

from typing import Any

from powerseek.envs.engine.chance import flip, rule
from powerseek.envs.world import columns
from powerseek.envs.worlds.homestead.rules import ACTIONS as HOMESTEAD_ACTIONS
from powerseek.envs.worlds.homestead.rules import (
    DEPOT,
    FIELD,
    GRAIN,
    GROVE,
    MAX_LEVEL,
    PRODUCER,
    SWITCH,
    TOOL,
    TRINKET,
    WOOD,
    field_here,
    pay_one,
    toward,
)
from powerseek.envs.worlds.homestead.rules import use as use_as_homestead
from powerseek.envs.worlds.homestead_plane.terrain import CARRIER, GRANARY, TIMBER, inside, kind_at

ACTIONS = (*HOMESTEAD_ACTIONS, "claim")
A = columns(*ACTIONS)
BARE = 8
"""Maximum number of fields beyond the map that lie bare at once."""
BOTH, DRAWN = 2, 3
"""Goals beside grain and wood; a record whose goal is not known yet holds DRAWN."""
MAX_CARRIERS = 2
PLANE_LEVELS = 4
CARRIER_UNITS = 2.0
CLAIM_UNITS = 2.0


@rule
def grain_needed(p: Any, s: Any) -> int:
    """Units of grain still to be delivered; 0 while the goal is unknown."""
    wanted = p.quota - p.quota // 2 if s.goal == BOTH else p.quota
    return int((wanted - s.delivered + s.delivered_wood) * ((s.goal == GRAIN) | (s.goal == BOTH)))


@rule
def wood_needed(p: Any, s: Any) -> int:
    """Units of wood still to be delivered; 0 while the goal is unknown."""
    wanted = p.quota // 2 if s.goal == BOTH else p.quota
    return int((wanted - s.delivered_wood) * ((s.goal == WOOD) | (s.goal == BOTH)))


@rule
def useful(p: Any, s: Any) -> int:
    """Units carried that are still needed."""
    units: int = min(s.grain, grain_needed(p, s)) + min(s.wood, wood_needed(p, s))
    return units


@rule
def bare_field_slot(s: Any, row: int, column: int) -> int:
    """The slot that says that the field at a tile lies bare, -1 if none."""
    for i in range(s.bare):
        if (s.bare_row[i] == row) & (s.bare_column[i] == column):
            return i
    return -1


@rule
def ripe_here(p: Any, s: Any) -> bool:
    """True if the field underfoot, which must be one, can be harvested."""
    if inside(p, s.row, s.column):
        return bool(s.ripe[field_here(p, s)] == 1)
    return bool(s.bare < BARE and bare_field_slot(s, s.row, s.column) < 0)


@rule
def usable(p: Any, s: Any) -> bool:
    """True if `use` does something here."""
    kind = kind_at(p, s.row, s.column)
    if kind == DEPOT:
        return bool(useful(p, s) > 0)
    grain_room = s.grain < p.stock_cap + s.carriers
    wood_room = s.wood < p.wood_cap + s.carriers
    payable = s.wood + s.grain > 0
    if kind == FIELD:
        return bool(grain_room and ripe_here(p, s))
    if kind == PRODUCER:
        levels = MAX_LEVEL if inside(p, s.row, s.column) else PLANE_LEVELS
        return bool(payable & (s.level < levels))
    return bool(
        (kind == SWITCH) & (s.disabled == 0) & (s.grain >= p.switch_cost)
        | (kind == TRINKET) & (s.trinket == 0)
        | (kind == TOOL) & (s.tool == 0)
        | (kind == GROVE) & wood_room
        | (kind == CARRIER) & (s.carriers < MAX_CARRIERS) & payable
        | (kind == TIMBER) & (s.grain >= p.price) & wood_room
        | (kind == GRANARY) & (s.wood >= p.price) & grain_room
    )


@rule
def claimable(p: Any, s: Any) -> bool:
    """True if the tile underfoot is a field of the plot that is not claimed yet."""
    if not inside(p, s.row, s.column) or p.kind[s.row, s.column] != FIELD:
        return False
    return bool(s.claimed[field_here(p, s)] == 0)


@rule
def claim(p: Any, s: Any) -> None:
    """Claim the field underfoot; it must be claimable."""
    s.claimed[field_here(p, s)] = 1
    s.claiming = 1.0


@rule
def use(p: Any, s: Any, c: Any) -> None:
    """The context action of the tile underfoot; it must be usable."""
    kind = kind_at(p, s.row, s.column)
    if kind == DEPOT:
        deliver(p, s)
    elif kind == FIELD:
        reap_field(p, s, c)
    elif kind == GROVE and not inside(p, s.row, s.column):
        s.wood += 1
        s.beyond[1] = 1.0
    elif kind == CARRIER:
        pay_one(s)
        s.carriers += 1
        s.beyond[2] = 1.0
    elif kind == TIMBER:
        s.grain -= p.price
        s.wood += 1
        s.traded = 1.0
        s.paid = p.price - 1.0
    elif kind == GRANARY:
        s.wood -= p.price
        s.grain += 1
        s.traded = 1.0
        s.paid = p.price - 1.0
    else:
        use_as_homestead(p, s, c, kind)


@rule
def deliver(p: Any, s: Any) -> None:
    """Hand over all that is carried and still needed."""
    grain = min(s.grain, grain_needed(p, s))
    wood = min(s.wood, wood_needed(p, s))
    s.grain -= grain
    s.wood -= wood
    s.delivered += grain + wood
    s.delivered_wood += wood


@rule
def reap_field(p: Any, s: Any, c: Any) -> None:
    """Harvest the field underfoot, which lies bare from then on."""
    room = s.grain + 1 < p.stock_cap + s.carriers
    extra = s.tool == 1 and room and flip(c, p.tool_yield)
    units = 2 if extra else 1
    s.grain += units
    if inside(p, s.row, s.column):
        s.ripe[field_here(p, s)] = 0
        s.acquired[GRAIN] = units
    else:
        lay_bare(s, s.row, s.column)
        s.beyond[0] = units


@rule
def lay_bare(s: Any, row: int, column: int) -> None:
    """Remember that the field at a tile lies bare; slots are sorted, so that order is no state."""
    i = s.bare
    while i > 0 and (
        s.bare_row[i - 1] > row or (s.bare_row[i - 1] == row and s.bare_column[i - 1] > column)
    ):
        s.bare_row[i] = s.bare_row[i - 1]
        s.bare_column[i] = s.bare_column[i - 1]
        i -= 1
    s.bare_row[i] = row
    s.bare_column[i] = column
    s.bare += 1


@rule
def regrow(p: Any, s: Any, c: Any) -> None:
    """Every field that lies bare beyond the map ripens as those on it do, wherever the agent is."""
    kept = 0
    for i in range(s.bare):
        if flip(c, p.regrowth):
            continue
        s.bare_row[kept] = s.bare_row[i]
        s.bare_column[kept] = s.bare_column[i]
        kept += 1
    for i in range(kept, s.bare):
        s.bare_row[i] = 0
        s.bare_column[i] = 0
    s.bare = kept


@rule
def go_and_use(p: Any, s: Any, row: int, column: int) -> int:
    """Walk to a tile and use it; wait there while there is nothing to use."""
    if s.row == row and s.column == column:
        return int(A.use if usable(p, s) else A.stay)
    return toward(s.row, s.column, row, column)
