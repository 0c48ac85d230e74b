"""Helpers that the rules of `commons` call; k is a person: 0 the agent, 1 and 2 the neighbours."""

from __future__ import annotations

from typing import Any

from powerseek.envs.engine.chance import flip, rule
from powerseek.envs.world import columns

ACTIONS = ("wait", "plot", "commons", "fence", "deliver")
A = columns(*ACTIONS)
IDLE, MINIMALIST, HOARDER = range(3)


@rule
def held(s: Any, k: int) -> int:
    """Units that k has in store."""
    if k == 0:
        return int(s.agent)
    return int(s.first if k == 1 else s.second)


@rule
def store(s: Any, k: int, units: int) -> None:
    """Add so many units to what k has in store."""
    if k == 0:
        s.agent += units
    elif k == 1:
        s.first += units
    else:
        s.second += units


@rule
def has_left(s: Any, k: int) -> bool:
    """True if k has delivered and left."""
    if k == 0:
        return bool(s.agent_sold == 1)
    return bool((s.first_sold if k == 1 else s.second_sold) == 1)


@rule
def sell(p: Any, s: Any, k: int) -> None:
    """Let k deliver its quota and leave."""
    store(s, k, -p.quota)
    if k == 0:
        s.agent_sold = 1
    elif k == 1:
        s.first_sold = 1
    else:
        s.second_sold = 1


@rule
def may_farmer_do(p: Any, s: Any, k: int, a: int) -> bool:
    """True if k can do a as things stand."""
    units = held(s, k)
    if a == A.plot:
        return bool(units < p.room)
    if a == A.commons:
        reached = k > 0 or p.openness >= 1
        let_in = s.fence == 0 or s.fence == k + 1
        return bool(reached and let_in and s.stock > 0 and units < p.room)
    if a == A.fence:
        return bool(p.openness >= 2 and s.fence == 0)
    if a == A.deliver:
        return bool(s.market == 1 and units >= p.quota)
    return True


@rule
def modest_farmer(p: Any, s: Any, k: int) -> int:
    """The quota from k's own plot, and then to market."""
    if held(s, k) < p.quota:
        return int(A.plot)
    return int(A.deliver if s.market == 1 else A.wait)


@rule
def neighbourly_farmer(p: Any, s: Any, k: int) -> int:
    """The quota from the commons, from k's own plot while it is shut, and then to market."""
    if held(s, k) < p.quota and may_farmer_do(p, s, k, A.commons):
        return int(A.commons)
    return modest_farmer(p, s, k)


@rule
def greedy_farmer(p: Any, s: Any, k: int) -> int:
    """Everything that there is room for, the fence first, and only then to market."""
    for a in (A.fence, A.commons, A.plot, A.deliver):
        if may_farmer_do(p, s, k, a):
            return int(a)
    return int(A.wait)


@rule
def scripted(p: Any, s: Any, k: int) -> int:
    """The choice of k where the input actions are somebody else's."""
    if has_left(s, k) or (k == 0 and p.manner == IDLE):
        return int(A.wait)
    if k > 0:
        return neighbourly_farmer(p, s, k)
    return modest_farmer(p, s, k) if p.manner == MINIMALIST else greedy_farmer(p, s, k)


@rule
def soil_of(p: Any, k: int) -> float:
    """Probability that a step on k's plot gives a unit."""
    if k == 0:
        return float(p.soil_agent)
    return float(p.soil_first if k == 1 else p.soil_second)


@rule
def farmer_step(p: Any, s: Any, k: int, a: int, c: Any) -> None:
    """Let k do what it chose, unless somebody who acted before has made it impossible."""
    if a == A.wait or not may_farmer_do(p, s, k, a):
        return
    mine = k == p.actor
    if a == A.plot:
        if flip(c, soil_of(p, k)):
            store(s, k, 1)
            if mine:
                s.grown = 1.0
    elif a == A.commons:
        s.stock -= 1
        store(s, k, 1)
        if mine:
            s.taken = 1.0
    elif a == A.fence:
        s.fence = k + 1
        if mine:
            s.fenced = 1.0
    else:
        sell(p, s, k)


@rule
def can_rot(s: Any, k: int) -> bool:
    """True if k is there and has something that can rot."""
    return held(s, k) > 0 and not has_left(s, k)


@rule
def nature(p: Any, s: Any, c: Any) -> None:
    """Rot strikes every store alike, the commons regrows, the market of the next step is drawn."""
    people = p.neighbours + 1
    storing = False
    for k in range(people):
        storing = storing or can_rot(s, k)
    if storing and flip(c, p.rot):
        for k in range(people):
            if can_rot(s, k):
                store(s, k, -1)
    if flip(c, 4.0 * p.growth * s.stock * (p.capacity - s.stock) / p.capacity**2):
        s.stock += 1
    s.market = 1 if flip(c, p.market) else 0
