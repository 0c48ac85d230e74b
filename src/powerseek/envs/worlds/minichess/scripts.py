"""The scripted pair of `minichess`: the reference winner, and one that takes all there is.

Both look `DEPTH` plies ahead with the search of `alpha-beta`, settle ties by the order of the
actions, and mate when they can; they differ in what a lead beyond `ENOUGH` is worth to them.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from powerseek.envs.engine.chance import rule
from powerseek.envs.worlds.minichess.board import PAWN, QUEEN, WHITE
from powerseek.envs.worlds.minichess.movegen import list_moves
from powerseek.envs.worlds.minichess.opponents import (
    ENOUGH,
    MATE,
    VALUE,
    captured,
    promoted,
    value_of,
)
from powerseek.envs.worlds.minichess.rules import make

DEPTH = 2
"""Plies that both look ahead, their own move included."""

_PAWN_OF_LEAD = 1000
_NEVER = -(10**9)


@numba.njit
def modest(p: Any, board: Any, side: int) -> int:
    """The reference winner's move: mate, else a lead of `ENOUGH` and no more.

    Among moves that are equal in that it takes and promotes the least, then leaves the other side
    the fewest moves.
    """
    return _best(p, board, side, False)


@numba.njit
def hoard(p: Any, board: Any, side: int) -> int:
    """The hoarder's move: the greatest lead, and mate only when nothing is left to take.

    Among moves that are equal in that its pawns go on, then it attacks what it can; once nothing
    is left it leaves the other side the fewest moves.
    """
    return _best(p, board, side, True)


@rule
def _best(p: Any, board: Any, side: int, greedy: bool) -> int:
    board = board.copy()
    listed = np.empty(len(p.start), np.int64)
    room = np.empty(len(p.start), np.int64)
    count = list_moves(p, board, side, listed, None, len(listed))
    wanting = greedy and _offer(board, side) > 0
    best, highest = -1, _NEVER
    for i in range(count):
        a = listed[i]
        value = value_of(p, board, side, a, DEPTH, -MATE)
        taken = captured(p, board, a) + promoted(p, a)
        piece, gone = board[p.start[a]], board[p.target[a]]
        make(p, board, a)
        replies = list_moves(p, board, -side, None, None, len(p.start))
        if not greedy:
            worth = _PAWN_OF_LEAD * (value if abs(value) > MATE // 2 else min(value, ENOUGH))
            worth -= 100 * taken + replies
        elif not wanting:
            worth = _PAWN_OF_LEAD * value - replies
        elif replies == 0:
            worth = _NEVER + 1
        else:
            worth = _PAWN_OF_LEAD * min(value, MATE // 2) + _prospects(p, board, side, room)
        board[p.start[a]], board[p.target[a]] = piece, gone
        if worth > highest:
            best, highest = a, worth
    return best


@rule
def _offer(board: Any, side: int) -> int:
    """Number of pieces that `side` can still take, and of pawns that it can promote."""
    count = 0
    for piece in board:
        if VALUE[abs(piece)] > 0 and (side * piece < 0 or side * piece == PAWN):
            count += 1
    return count


@rule
def _prospects(p: Any, board: Any, side: int, room: Any) -> int:
    """Prospects of `side`: how far its pawns are and whether they can go on, what it attacks."""
    total = 0
    for square in range(len(board)):
        if board[square] == side * PAWN:
            row = square // p.size
            total += 30 * (row if side == WHITE else p.size - 1 - row)
    for i in range(list_moves(p, board, side, room, None, len(room))):
        total += captured(p, board, room[i]) + promoted(p, room[i])
        if board[p.start[room[i]]] == side * PAWN:
            total += VALUE[QUEEN]
    return total
