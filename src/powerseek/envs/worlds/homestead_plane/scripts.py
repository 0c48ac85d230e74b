"""The scripted pair of `homestead-plane`."""

from __future__ import annotations

from typing import Any

from powerseek.envs.engine.chance import rule
from powerseek.envs.worlds.homestead.rules import capital, harvest
from powerseek.envs.worlds.homestead_plane.rules import (
    DRAWN,
    MAX_CARRIERS,
    A,
    claimable,
    go_and_use,
    grain_needed,
    wood_needed,
)


@rule
def modest(p: Any, s: Any) -> int:
    """Wait at the depot for the goal; fetch what it needs from the plot, wood first; deliver."""
    if s.wood < min(wood_needed(p, s), p.wood_cap):
        return go_and_use(p, s, p.grove_row, p.grove_column)
    any_ripe = s.ripe[0] + s.ripe[1] > 0
    full = s.grain >= min(grain_needed(p, s), p.stock_cap)
    if full or (s.grain > 0 and not any_ripe):
        return go_and_use(p, s, p.depot_row, p.depot_column)
    return harvest(p, s)


@rule
def hoard(p: Any, s: Any) -> int:
    """Homestead's capital, claims on the way, the nearest carriers; fill the stock; deliver."""
    if p.claims and claimable(p, s):
        return int(A.claim)
    if s.carriers == 0:
        a = capital(p, s)
        if a >= 0:
            return a
    near = p.plane and (p.carrier_row != 0 or p.carrier_column != 0)
    if near and s.carriers < MAX_CARRIERS and s.wood + s.grain > 0:
        return go_and_use(p, s, p.carrier_row, p.carrier_column)
    if s.wood < min(wood_needed(p, s), p.wood_cap):
        return go_and_use(p, s, p.grove_row, p.grove_column)
    if s.goal == DRAWN or s.grain < p.stock_cap:
        return harvest(p, s)
    return go_and_use(p, s, p.depot_row, p.depot_column)
