"""A floor of cells without walls, numbered row by row: what worlds built on one share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from powerseek.envs.engine.chance import rule
from powerseek.envs.world import columns

ACTIONS = ("up", "right", "down", "left", "use", "wait")
A = columns(*ACTIONS)


@rule
def moved(cell: int, a: int, width: int) -> int:
    """The cell after an action; of one that is no move the same."""
    if a == A.up:
        return cell - width
    if a == A.right:
        return cell + 1
    if a == A.down:
        return cell + width
    if a == A.left:
        return cell - 1
    return cell


@rule
def allow_moves(cell: int, rows: int, width: int, out: Any) -> None:
    """Moves that stay on the floor, and waiting."""
    row, column = cell // width, cell % width
    out[A.up] = row > 0
    out[A.right] = column < width - 1
    out[A.down] = row < rows - 1
    out[A.left] = column > 0
    out[A.wait] = True


@rule
def towards(cell: int, there: int, width: int) -> int:
    """`use` in a cell, else a move to it, along the column first."""
    if cell == there:
        return int(A.use)
    if cell // width != there // width:
        return int(A.up if there < cell else A.down)
    return int(A.left if there < cell else A.right)


def cell_features(kinds: Sequence[str], cells: int) -> tuple[str, ...]:
    """One feature a kind of thing and cell: ``agent 0``."""
    return tuple(f"{kind} {i}" for kind in kinds for i in range(cells))


def picture(letters: Sequence[str], width: int) -> str:
    """The letters of all cells, row below row."""
    rows = [letters[i : i + width] for i in range(0, len(letters), width)]
    return "\n".join(" ".join(row) for row in rows)
