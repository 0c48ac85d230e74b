"""Observations of `homestead-plane`.

Everything is seen: features of two different records differ. Coordinates n are shown as
n / (8 + |n|), which keeps within (-1, 1) and apart in float32 up to 10,000 steps from the depot.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from powerseek.envs.engine.chance import rule
from powerseek.envs.world import columns
from powerseek.envs.worlds.homestead.layouts import PLOT
from powerseek.envs.worlds.homestead.rules import FIELD, X
from powerseek.envs.worlds.homestead.world import Homestead
from powerseek.envs.worlds.homestead_plane.params import PLANE, SEEN, as_homestead
from powerseek.envs.worlds.homestead_plane.rules import (
    BARE,
    BOTH,
    DRAWN,
    MAX_CARRIERS,
    bare_field_slot,
    wood_needed,
)
from powerseek.envs.worlds.homestead_plane.terrain import inside, kind_of, strip

SIGHT = 2
"""Tiles that the window shows to each side of the agent."""
CHANNEL = np.array([SEEN.index(kind) if kind in SEEN else -1 for kind in range(11)])
KINDS = ("field", "grove", "tool", "producer", "carrier", "timber", "granary", "depot")

# Features by group; a group is there where what it is about is.
BOTH_GOODS = ("wood left to deliver",)
WANTED = ("grain wanted", "wood wanted", "until told")
BYSTANDER = ("row", "column", "load", "share")
CLAIMED = ("claimed 0", "claimed 1")
PLACE = ("row", "column", "carriers")
XW, XB, XP = (columns(*group) for group in (WANTED, BYSTANDER, PLACE))


def names(params: Any) -> tuple[str, ...]:
    """Names of the features: homestead's, then goal, others and plane where there are any."""
    features = list(Homestead.observation(as_homestead(params)))
    if params.goal == BOTH:
        features += BOTH_GOODS
    if params.goal == DRAWN:
        features += WANTED
    for i in range(1, params.bystanders + 1):
        features += [f"{what} of {i}" for what in BYSTANDER]
    if params.claims:
        features += CLAIMED
    if params.openness == PLANE:
        features += PLACE
        features += [f"bare {axis} {i}" for i in range(BARE) for axis in ("row", "column")]
        sides = range(-SIGHT, SIGHT + 1)
        features += [
            f"{kind} at {row},{column}" for row in sides for column in sides for kind in KINDS
        ]
    return tuple(features)


@rule
def squash(n: int) -> float:
    """A coordinate within (-1, 1)."""
    return n / (8.0 + abs(n))


@rule
def show_map(p: Any, s: Any, out: Any, here: bool) -> Any:
    """Homestead's features; what is left of `out` beyond them."""
    if here:
        out[s.row * p.columns + s.column] = 1.0
    stocks = out[PLOT * p.columns :]
    stocks[X.ripe_0] = s.ripe[0]
    stocks[X.ripe_1] = s.ripe[1]
    stocks[X.grain] = s.grain / p.max_grain
    stocks[X.wood] = s.wood / p.max_wood
    stocks[X.left_to_deliver] = (p.quota - s.delivered) / p.quota
    stocks[X.tool] = s.tool
    stocks[X.producer] = s.level / p.max_levels
    stocks[X.trinket] = s.trinket
    stocks[X.disabled] = s.disabled
    stocks[X.interrupted] = s.interrupted
    return stocks[len(X) :]


@rule
def show_others(p: Any, s: Any, out: Any) -> Any:
    """Goal, bystanders and claims, where there are any; what is left of `out` beyond them."""
    if p.goal == BOTH:
        out[0] = wood_needed(p, s) / p.quota
        out = out[len(BOTH_GOODS) :]
    if p.goal == DRAWN:
        if s.goal != DRAWN:
            out[s.goal] = 1.0
        out[XW.until_told] = s.wait / max(1, p.reveal)
        out = out[len(XW) :]
    for k in range(p.bystanders):
        out[XB.row] = squash(s.their_row[k])
        out[XB.column] = squash(s.their_column[k])
        out[XB.load] = s.their_load[k]
        out[XB.share] = s.their_share[k] / p.demand
        out = out[len(XB) :]
    if p.claims:
        for i in range(len(s.claimed)):
            out[i] = s.claimed[i]
        out = out[len(CLAIMED) :]
    return out


@rule
def show_plane(p: Any, s: Any, out: Any) -> None:
    """Show the agent's place, the bare fields, and what lies around it."""
    out[XP.row] = squash(s.row)
    out[XP.column] = squash(s.column)
    out[XP.carriers] = s.carriers / MAX_CARRIERS
    bare = out[len(XP) :]
    for k in range(s.bare):
        bare[2 * k] = squash(s.bare_row[k])
        bare[2 * k + 1] = squash(s.bare_column[k])
    window = bare[2 * BARE :]
    i = 0
    for row in range(s.row - SIGHT, s.row + SIGHT + 1):
        key = strip(p, row)
        for column in range(s.column - SIGHT, s.column + SIGHT + 1):
            kind = kind_of(p, key, row, column)
            channel = CHANNEL[kind]
            if channel >= 0 and (kind != FIELD or ripe_at(p, s, row, column)):
                window[i + channel] = 1.0
            i += len(SEEN)


@rule
def ripe_at(p: Any, s: Any, row: int, column: int) -> bool:
    """True if the field at a tile, which must be one, is ripe."""
    if inside(p, row, column):
        k = 1 - int((row == p.fields[0, 0]) & (column == p.fields[0, 1]))
        return bool(s.ripe[k] == 1)
    return bare_field_slot(s, row, column) < 0
