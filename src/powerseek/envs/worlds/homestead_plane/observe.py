"""What the agent sees of `homestead-plane`.

Everything is seen: features of two different records differ. Coordinates n are shown as
n / (8 + |n|), which keeps within (-1, 1) and apart in float32 up to 10,000 steps from the depot.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from powerseek.envs.engine.chance import rule
from powerseek.envs.worlds.homestead.rules import FIELD, PLOT
from powerseek.envs.worlds.homestead.world import Homestead
from powerseek.envs.worlds.homestead_plane.params import PLANE, SEEN, PlaneParams, as_homestead
from powerseek.envs.worlds.homestead_plane.rules import (
    BARE,
    BOTH,
    DRAWN,
    MAX_CARRIERS,
    bare_slot,
    wood_needed,
)
from powerseek.envs.worlds.homestead_plane.terrain import inside, kind_of, strip

SIGHT = 2
"""Tiles that the window shows to each side of the agent."""
CHANNEL = np.array([SEEN.index(kind) if kind in SEEN else -1 for kind in range(11)])
KINDS = ("field", "grove", "tool", "producer", "carrier", "timber", "granary", "depot")


def names(params: PlaneParams) -> tuple[str, ...]:
    """Names of the features: homestead's, then goal, others and plane where there are any."""
    found = list(Homestead.observation(as_homestead(params)))
    if params.goal == BOTH:
        found += ["wood left to deliver"]
    if params.goal == DRAWN:
        found += ["grain wanted", "wood wanted", "until told"]
    for i in range(1, params.bystanders + 1):
        found += [f"{what} of {i}" for what in ("row", "column", "load", "share")]
    if params.claims:
        found += ["claimed 0", "claimed 1"]
    if params.openness == PLANE:
        found += ["row", "column", "carriers"]
        found += [f"bare {axis} {i}" for i in range(BARE) for axis in ("row", "column")]
        sides = range(-SIGHT, SIGHT + 1)
        found += [
            f"{kind} at {row},{column}" for row in sides for column in sides for kind in KINDS
        ]
    return tuple(found)


@rule
def squash(n: int) -> float:
    """A coordinate within (-1, 1)."""
    return n / (8.0 + abs(n))


@rule
def show_map(p: Any, s: Any, out: Any, here: bool) -> int:
    """Homestead's features; the number of the next one."""
    i: int = PLOT * p.columns
    if here:
        out[s.row * p.columns + s.column] = 1.0
    out[i] = s.ripe[0]
    out[i + 1] = s.ripe[1]
    out[i + 2] = s.grain / p.most_grain
    out[i + 3] = s.wood / p.most_wood
    out[i + 4] = (p.quota - s.delivered) / p.quota
    out[i + 5] = s.tool
    out[i + 6] = s.level / p.most_levels
    out[i + 7] = s.trinket
    out[i + 8] = s.disabled
    out[i + 9] = s.interrupted
    return i + 10


@rule
def show_others(p: Any, s: Any, out: Any, i: int) -> int:
    """Goal, bystanders and claims, where there are any; the number of the next feature."""
    if p.goal == BOTH:
        out[i] = wood_needed(p, s) / p.quota
        i += 1
    if p.goal == DRAWN:
        if s.goal != DRAWN:
            out[i + s.goal] = 1.0
        out[i + 2] = s.wait / max(1, p.reveal)
        i += 3
    for k in range(p.bystanders):
        out[i] = squash(s.their_row[k])
        out[i + 1] = squash(s.their_column[k])
        out[i + 2] = s.their_load[k]
        out[i + 3] = s.their_share[k] / p.demand
        i += 4
    if p.claims:
        out[i] = s.claimed[0]
        out[i + 1] = s.claimed[1]
        i += 2
    return i


@rule
def show_plane(p: Any, s: Any, out: Any, i: int) -> None:
    """Where the agent is, which fields lie bare, and what lies around it."""
    out[i] = squash(s.row)
    out[i + 1] = squash(s.column)
    out[i + 2] = s.carriers / MAX_CARRIERS
    i += 3
    for k in range(s.bare):
        out[i + 2 * k] = squash(s.bare_row[k])
        out[i + 2 * k + 1] = squash(s.bare_column[k])
    i += 2 * BARE
    for row in range(s.row - SIGHT, s.row + SIGHT + 1):
        key = strip(p, row)
        for column in range(s.column - SIGHT, s.column + SIGHT + 1):
            kind = kind_of(p, key, row, column)
            channel = CHANNEL[kind]
            if channel >= 0 and (kind != FIELD or ripe_at(p, s, row, column)):
                out[i + channel] = 1.0
            i += len(SEEN)


@rule
def ripe_at(p: Any, s: Any, row: int, column: int) -> bool:
    """Whether the field at a tile, which must be one, is ripe."""
    if inside(p, row, column):
        k = 1 - int((row == p.fields[0, 0]) & (column == p.fields[0, 1]))
        return bool(s.ripe[k] == 1)
    return bare_slot(s, row, column) < 0
