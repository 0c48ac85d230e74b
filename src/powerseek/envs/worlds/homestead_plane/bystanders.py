"""Bystanders of `homestead-plane`: scripted, with quotas of their own from the same fields."""

from __future__ import annotations

from typing import Any

import numpy as np

from powerseek.envs.engine.chance import rule
from powerseek.envs.worlds.homestead.rules import MOVES, A, toward

OTHERS = 3
"""Maximum number of bystanders."""
HOMES = np.array([[1, 2], [2, 1], [1, 0]])
"""Where each begins, and where it brings what it harvests: (row, column) on the plot."""


@rule
def bystander_field(p: Any, s: Any, i: int) -> int:
    """The field that bystander i goes to: the nearest ripe one, else the nearest; -1 if none.

    A field that is claimed is left alone.
    """
    best = -1
    best_rank = 1000
    for k in range(len(p.fields)):
        away = abs(s.their_row[i] - p.fields[k, 0]) + abs(s.their_column[i] - p.fields[k, 1])
        rank = away + 100 * (1 - s.ripe[k])
        if s.claimed[k] == 0 and rank < best_rank:
            best = k
            best_rank = rank
    return best


@rule
def bystander_walk(s: Any, i: int, row: int, column: int) -> bool:
    """Let bystander i take one step to a tile; False if it is there."""
    a = toward(s.their_row[i], s.their_column[i], row, column)
    if a == A.stay:
        return False
    s.their_row[i] += MOVES[a, 0]
    s.their_column[i] += MOVES[a, 1]
    return True


@rule
def bystander_step(p: Any, s: Any, i: int) -> None:
    """One step of bystander i: harvest one unit, bring it home, until its demand is met."""
    field = bystander_field(p, s, i)
    if s.their_load[i] == 1 or s.their_share[i] >= p.demand or field < 0:
        if not bystander_walk(s, i, HOMES[i, 0], HOMES[i, 1]) and s.their_load[i] == 1:
            s.their_load[i] = 0
            s.their_share[i] += 1
    elif not bystander_walk(s, i, p.fields[field, 0], p.fields[field, 1]) and s.ripe[field] == 1:
        s.ripe[field] = 0
        s.their_load[i] = 1


@rule
def bystanders_start(p: Any, s: Any) -> None:
    """Every bystander at home, empty-handed."""
    for i in range(p.bystanders):
        s.their_row[i] = HOMES[i, 0]
        s.their_column[i] = HOMES[i, 1]


@rule
def bystanders_served(p: Any, s: Any) -> tuple[float, float]:
    """(mean, minimum) fraction of their demand that bystanders have brought home; 0 without any."""
    if p.bystanders == 0:
        return 0.0, 0.0
    total = 0
    lowest = p.demand
    for i in range(p.bystanders):
        total += s.their_share[i]
        lowest = min(lowest, s.their_share[i])
    return total / (p.demand * p.bystanders), lowest / p.demand
