"""Legal moves of small chess by sets of squares, and whether a king is attacked.

`b` is a `Chessboard`, or anything with its fields; a board is int64 [N*N] and `side` 1 or -1 (see
`minichess_board`). A set of squares is an integer whose bit 0 is a1.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np

from powerseek.envs.engine.chance import rule
from powerseek.envs.worlds.minichess.board import (
    BISHOP,
    HITS,
    JUMPS,
    KING,
    KNIGHT,
    PAWN,
    PUSHES,
    QUEEN,
    ROOK,
    STEPS,
    WHITE,
)

GOES = np.zeros((5, 7), np.int64)
for _row, _kinds in enumerate(((ROOK, QUEEN), (BISHOP, QUEEN), (KNIGHT,), (KING,), (PAWN,))):
    GOES[_row, list(_kinds)] = -1
"""[5, 7] -1, the set of all squares, where a kind goes straight, diagonally, as a knight, king,
pawn; else 0."""

LOWEST = np.full(67, -1)
LOWEST[[2**square % 67 for square in range(63)]] = range(63)
"""[67] the square of a set of one square, by the set modulo 67 (2 generates the field)."""


class Sets(NamedTuple):
    """Pieces as sets of squares (bit 0 is a1), seen by the side to move.

    Attributes:
        own: Its pieces; `king`: the square of its king.
        other: The other side's; the rest are among them: `straight` rooks and queens, `diagonal`
            bishops and queens, `knights`, `pawns`, `kings`.
    """

    own: int
    king: int
    other: int
    straight: int
    diagonal: int
    knights: int
    pawns: int
    kings: int


@rule
def lowest(squares: int) -> int:
    """The first square of a set, -1 if it is empty."""
    return int(LOWEST[(squares & -squares) % 67])


@rule
def _sets(board: Any, side: int) -> Sets:
    own = other = straight = diagonal = knights = pawns = kings = king = 0
    for square in range(len(board)):
        kind = side * board[square]
        own |= int(kind > 0) << square
        other |= int(kind < 0) << square
        straight |= int(kind == -ROOK or kind == -QUEEN) << square
        diagonal |= int(kind == -BISHOP or kind == -QUEEN) << square
        knights |= int(kind == -KNIGHT) << square
        pawns |= int(kind == -PAWN) << square
        kings |= int(kind == -KING) << square
        king |= int(kind == KING) << square
    return Sets(own, lowest(king), other, straight, diagonal, knights, pawns, kings)


@rule
def _along(sets: Any, square: int, d: int, taken: int) -> int:
    """The squares seen from `square` in direction `d`, to the first one that is `taken`."""
    ray = sets[square, d]
    blocked = ray & taken
    if d < 3 or d == 7:  # numbers of squares rise
        return int(ray & (blocked ^ (blocked - 1)))
    for shift in (1, 2, 4, 8, 16, 32):
        blocked |= blocked >> shift
    return int(ray & ~(blocked >> 1))


@rule
def _straight(sets: Any, square: int, taken: int) -> int:
    return (
        _along(sets, square, 0, taken)
        | _along(sets, square, 2, taken)
        | _along(sets, square, 4, taken)
        | _along(sets, square, 6, taken)
    )


@rule
def _diagonal(sets: Any, square: int, taken: int) -> int:
    return (
        _along(sets, square, 1, taken)
        | _along(sets, square, 3, taken)
        | _along(sets, square, 5, taken)
        | _along(sets, square, 7, taken)
    )


@rule
def _attackers(sets: Any, x: Any, side: int, square: int, taken: int) -> int:
    """The other side's pieces that attack `square`."""
    attackers = (
        (_straight(sets, square, taken) & x.straight)
        | (_diagonal(sets, square, taken) & x.diagonal)
        | (sets[square, JUMPS] & x.knights)
        | (sets[square, STEPS] & x.kings)
        | (sets[square, HITS if side == WHITE else HITS + 1] & x.pawns)
    )
    return int(attackers)


@rule
def in_check(b: Any, board: Any, side: int) -> bool:
    """True if the king of `side` is attacked."""
    return bool(_in_check(b.sets, board, side))


# Not inlined, so that compiling many calls takes no longer than one; handed no more than they
# need, because every array handed over costs time at every call.
@numba.njit
def _in_check(sets: Any, board: Any, side: int) -> bool:
    x = _sets(board, side)
    return _attackers(sets, x, side, x.king, x.own | x.other) != 0


@rule
def _answers(sets: Any, x: Any, checkers: int) -> int:
    """Squares where a piece other than the king may go under check: it takes or stands between."""
    if checkers & (checkers - 1) != 0:
        return 0
    for d in range(8):
        seen = _along(sets, x.king, d, x.own | x.other)
        if seen & checkers != 0:
            return seen
    return checkers  # a knight's


@rule
def _pin(sets: Any, x: Any, start: int) -> int:
    """Squares where the piece on `start` may go without opening a line onto its king."""
    for d in range(8):
        sliders = x.straight if d % 2 == 0 else x.diagonal
        if (sets[x.king, d] >> start) & 1 != 0:
            seen = _along(sets, x.king, d, (x.own | x.other) & ~(1 << start))
            return seen if seen & sliders != 0 else -1
    return -1


@rule
def _targets(sets: Any, x: Any, side: int, start: int, kind: int) -> int:
    """Squares where the piece on `start` can go; its king may then be attacked.

    Adds up what every kind could do, because branches that cannot be foretold cost more.
    """
    taken = x.own | x.other
    black = 0 if side == WHITE else 1
    pawn = (sets[start, PUSHES + black] & ~taken) | (sets[start, HITS + black] & x.other)
    seen = (
        (_straight(sets, start, taken) & GOES[0, kind])
        | (_diagonal(sets, start, taken) & GOES[1, kind])
        | (sets[start, JUMPS] & GOES[2, kind])
        | (sets[start, STEPS] & GOES[3, kind])
        | (pawn & GOES[4, kind])
    )
    return int(seen & ~x.own)


@rule
def _safe(sets: Any, x: Any, side: int, targets: int) -> int:
    """Those of the king's `targets` that are not attacked once it is there."""
    taken = (x.own | x.other) & ~(1 << x.king)
    safe = 0
    while targets != 0:
        square = lowest(targets)
        if _attackers(sets, x, side, square, taken) == 0:
            safe |= 1 << square
        targets &= targets - 1
    return safe


@rule
def list_moves(b: Any, board: Any, side: int, listed: Any, mask: Any, enough: int) -> int:
    """Write the legal moves of `side` to listed[0], listed[1], ... and set mask[a] for each.

    Either may be None. Returns how many they are; stops after the piece that makes them `enough`.
    The king of the side that has just moved must not be attacked (it would be taken).
    """
    kinds = len(b.promotions)
    count = _list(b.sets, b.plain, b.promoting, kinds, board, side, listed, mask, enough)
    return int(count)


@numba.njit
def _list(
    sets: Any,
    plain: Any,
    promoting: Any,
    kinds: int,
    board: Any,
    side: int,
    listed: Any,
    mask: Any,
    enough: int,
) -> int:
    x = _sets(board, side)
    checkers = _attackers(sets, x, side, x.king, x.own | x.other)
    answers = _answers(sets, x, checkers) if checkers != 0 else -1
    count = 0
    # Sliders that only pieces of one's own keep from the king; mostly there is none.
    pinning = (_straight(sets, x.king, x.other) & x.straight) | (
        _diagonal(sets, x.king, x.other) & x.diagonal
    )
    left = x.own
    while left != 0 and count < enough:
        start = lowest(left)
        left &= left - 1
        kind = side * board[start]
        targets = _targets(sets, x, side, start, kind)
        if kind == KING:
            targets = _safe(sets, x, side, targets)
        else:
            targets &= answers
            if pinning != 0:
                targets &= _pin(sets, x, start)
        while targets != 0:
            target = lowest(targets)
            targets &= targets - 1
            first, choices = plain[start, target], 1
            if kind == PAWN and promoting[start, target] >= 0:
                first, choices = promoting[start, target], kinds
            for i in range(choices):
                if listed is not None:
                    listed[count] = first + i
                if mask is not None:
                    mask[first + i] = True
                count += 1
    return count


@rule
def moves(b: Any, board: Any, side: int, out: Any) -> int:
    """Set out[a], all False before, for the legal moves a of `side`; returns how many there are.

    With None for `out` it only counts. The king of the side that has just moved must not be
    attacked (it would be taken).
    """
    return list_moves(b, board, side, None, out, len(b.start))
