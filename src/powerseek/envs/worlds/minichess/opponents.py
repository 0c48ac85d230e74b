"""Opponents in small chess: material, search, three of them.

`p` is a `Chessboard` or anything with its fields (`Minichess`'s prepared parameters); boards and
sides are as in `minichess_board`. `search` and `reply` are compiled apart from the rules that call
them, so that every loop shares one copy.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from powerseek.envs.engine.chance import pick, rule
from powerseek.envs.worlds.minichess.board import BISHOP, KNIGHT, PAWN, QUEEN, ROOK
from powerseek.envs.worlds.minichess.movegen import in_check, list_moves
from powerseek.envs.worlds.minichess.rules import make

OPPONENTS = ("random", "greedy", "alpha-beta")
RANDOM, GREEDY, ALPHA_BETA = range(3)

VALUE = np.array([0, 1, 3, 3, 5, 9, 0])
"""Value of every kind in pawns, as usual on 8 x 8 boards; the king has none."""

ENOUGH = 5
"""Lead in pawns that decides a game: king and rook mate a bare king by force."""

MATE = 1000
"""Value of mate now, less 1 for every ply until then; no lead comes near it."""


@rule
def lead(board: Any, side: int) -> int:
    """Value of the pieces of `side` less that of the other side's, in pawns."""
    total = 0
    for piece in board:
        total += VALUE[piece] if piece > 0 else -VALUE[-piece]
    return side * total


@rule
def dead(board: Any) -> bool:
    """True if nobody can ever mate: two kings with at most one knight or bishop between them."""
    minor = 0
    for piece in board:
        kind = abs(piece)
        if kind in (KNIGHT, BISHOP):
            minor += 1
        elif kind in (PAWN, ROOK, QUEEN):
            return False
    return minor <= 1


@rule
def captured(p: Any, board: Any, a: int) -> int:
    """Value that move `a` takes, in pawns."""
    return int(VALUE[abs(board[p.target[a]])])


@rule
def promoted(p: Any, a: int) -> int:
    """Value that move `a` adds by promotion, in pawns."""
    return int(VALUE[p.promoted[a]] - VALUE[PAWN]) if p.promoted[a] > 0 else 0


@rule
def _leaf(p: Any, board: Any, side: int, ply: int, moves: int) -> int:
    """Value for `side` of a position that is looked at no further; `moves` is 0 if it has none."""
    if moves == 0:
        return ply - MATE if in_check(p, board, side) else 0
    margin = lead(board, side)
    return 0 if abs(margin) <= VALUE[BISHOP] and dead(board) else margin


@rule
def _loud_first(p: Any, board: Any, listed: Any, count: int) -> None:
    """Bring captures and promotions to the front, which makes for more cuts."""
    front = 0
    for i in range(count):
        a = listed[i]
        if board[p.target[a]] != 0 or p.promoted[a] > 0:
            listed[i], listed[front] = listed[front], a
            front += 1


@numba.njit
def search(p: Any, board: Any, side: int, depth: int, alpha: int, beta: int, ply: int) -> int:
    """Negamax value for `side`, to move, cut to alpha .. beta (fail-hard alpha-beta).

    The leaves are worth their lead in material, or their outcome where the game is over: draws 0,
    a mate `ply` plies from the root MATE - ply. Kept on a stack of its own, because Numba cannot
    keep compiled recursion on disk.

    Args:
        p: Geometry and moves.
        board: [N*N]; as before on return.
        side: 1 or -1.
        depth: Plies to look ahead, >= 0.
        alpha: Values up to this are returned as this.
        beta: Values from this on are returned as this.
        ply: Plies played since the root.
    """
    listed = np.empty((depth + 1, len(p.start)), np.int64)
    low, high = np.empty(depth + 1, np.int64), np.empty(depth + 1, np.int64)
    count, nth = np.empty(depth + 1, np.int64), np.zeros(depth + 1, np.int64)
    piece, taken = np.empty(depth + 1, np.int64), np.empty(depth + 1, np.int64)
    low[0], high[0], count[0], level = alpha, beta, -1, 0
    while True:
        if count[level] < 0:
            enough = 1 if level == depth else len(p.start)
            count[level] = list_moves(p, board, side, listed[level], None, enough)
            nth[level] = 0
            if level < depth and count[level] > 0 and not dead(board):
                _loud_first(p, board, listed[level], count[level])
            else:
                value = _leaf(p, board, side, ply + level, count[level])
                low[level] = max(low[level], min(high[level], value))
                count[level] = 0
        if nth[level] < count[level] and low[level] < high[level]:
            a = listed[level, nth[level]]
            piece[level], taken[level] = board[p.start[a]], board[p.target[a]]
            make(p, board, a)
            side = -side
            level += 1
            low[level], high[level], count[level] = -high[level - 1], -low[level - 1], -1
            continue
        if level == 0:
            return int(low[0])
        value = -low[level]
        level -= 1
        side = -side
        a = listed[level, nth[level]]
        board[p.start[a]], board[p.target[a]] = piece[level], taken[level]
        low[level] = max(low[level], min(high[level], value))
        nth[level] += 1


@rule
def value_of(p: Any, board: Any, side: int, a: int, depth: int, floor: int) -> int:
    """The worth of move `a` of `side`, `depth` plies with it; at most `floor` is `floor`."""
    piece, taken = board[p.start[a]], board[p.target[a]]
    make(p, board, a)
    value = -int(search(p, board, -side, depth - 1, -MATE, -floor, 1))
    board[p.start[a]], board[p.target[a]] = piece, taken
    return value


@numba.njit
def reply(p: Any, board: Any, side: int, opponent: int, depth: int, c: Any) -> int:
    """The opponent's move, -1 if it has none; ties are drawn from the tape.

    Args:
        p: Geometry and moves.
        board: [N*N]; as before on return.
        side: Who moves, 1 or -1.
        opponent: RANDOM (uniform), GREEDY (takes or promotes what is worth most at once) or
            ALPHA_BETA (`search` at full window).
        depth: Plies that ALPHA_BETA looks ahead, its own move included.
        c: The tape.
    """
    listed = np.empty(len(p.start), np.int64)
    count = list_moves(p, board, side, listed, None, len(listed))
    if count == 0:
        return -1
    if opponent == RANDOM:
        return int(listed[pick(c, count)])
    best, ties = -2 * MATE, 0
    for i in range(count):
        a = listed[i]
        if opponent == GREEDY:
            value = captured(p, board, a) + promoted(p, a)
        else:
            value = value_of(p, board, side, a, depth, best - 1)
        if value > best:
            best, ties = value, 0
        if value == best:
            listed[ties] = a
            ties += 1
    return int(listed[pick(c, ties)])
