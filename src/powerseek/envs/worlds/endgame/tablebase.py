"""Exact tables for the `endgame` world: distance to mate with and without the surplus.

A position is (loose, slot, main, king, black): a bit mask of the loose black pieces still on the
board, what became of the pawn, and the squares of White's main piece and of both kings. The
tables are plain retrograde analysis (Thompson, "Retrograde analysis of certain endgames", ICCA
Journal 1986): positions won in d moves are found from those lost in d - 1.

Slot 0 is "neither pawn nor promoted queen", then comes one slot a square the pawn may stand on,
then (from ``first_queen``) one a square of the promoted queen. The last row of the main axis
means captured, so a main piece at -1 can index the tables as it is.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from powerseek.envs.worlds.endgame.board import Board, board_table_shape

DRAWN, ILLEGAL = -1, -2
"""Values of positions without a forced mate, and of those that cannot occur."""

MATE, BARE, HOARD = 0, 1, 2
"""Aims of White: mate; mate without capture or promotion; the next safe capture or promotion."""


class Tables(NamedTuple):
    """Results of retrograde analysis, axes [loose, slot, main, king, black].

    Attributes:
        closed: [loose, slot, main, king] bit t is set where Black's king may not stand on square
            t: White attacks or guards it, through that king itself (it cannot hide from a line
            behind itself), or a loose piece stands there.
        white: i1, White to move: moves to mate, >= 1.
        black: i1, Black to move: moves of White to mate, 0 = is mate.
        bare: i1, Black to move: the same where White neither captures nor promotes; only slots
            below ``first_queen``.
        hoard: i1, Black to move: moves of White to its next capture or promotion that keeps
            the win.
    """

    closed: NDArray[np.int64]
    white: NDArray[np.int8]
    black: NDArray[np.int8]
    bare: NDArray[np.int8]
    hoard: NDArray[np.int8]


@contextmanager
def compiling_tablebase() -> Iterator[None]:
    """Compile even under NUMBA_DISABLE_JIT: tables are data, and interpreted take minutes."""
    config: Any = numba.config
    setting = config.DISABLE_JIT
    config.DISABLE_JIT = 0
    try:
        yield
    finally:
        config.DISABLE_JIT = setting


@compiling_tablebase()
def make_tables(board: Board) -> Tables:
    """Solve every position of `board`: Black delays mate for ever or as long as possible."""
    shape = board_table_shape(board)
    closed = _closed(board, shape)
    white, black = np.empty(shape, np.int8), np.empty(shape, np.int8)
    _solve(board, closed, MATE, black, white, black)
    scratch, hoard = np.empty(shape, np.int8), np.empty(shape, np.int8)
    _solve(board, closed, HOARD, black, scratch, hoard)
    return Tables(closed, white, black, make_bare_tables(board)[1], hoard)


@compiling_tablebase()
def make_bare_tables(board: Board) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """(White to move, Black to move): moves to mate if White neither captures nor promotes.

    The slot axis ends before ``first_queen``.
    """
    masks, slots, *squares = board_table_shape(board)
    shape = (masks, min(slots, board.first_queen), *squares)
    white, black = np.empty(shape, np.int8), np.empty(shape, np.int8)
    _solve(board, _closed(board, shape), BARE, black, white, black)
    return white, black


def _closed(board: Board, shape: tuple[int, ...]) -> NDArray[np.int64]:
    closed = np.zeros(shape[:4], np.int64)
    _close(board, closed)
    return closed


def compiled_tablebase(function: Callable[..., Any]) -> Any:
    """Compile a function even under NUMBA_DISABLE_JIT; to be called in `compiling_tablebase`."""
    with compiling_tablebase():
        return numba.njit(cache=True)(function)


# White's moves are written once, as plain functions: the tables compile them here, and the rules
# of the world wrap them again, so that they can be interpreted. `b` is a Board, or anything with
# its fields.


def white_moves(
    b: Any, king: int, main: int, black: int, pawn: int, queen: int, loose: int, out: Any
) -> int:
    """Set out[a], all False before, for White's legal actions a; returns how many there are.

    With None for `out` it only counts.

    Only Black's king attacks, so a move is illegal for check only where the kings would touch.
    """
    n = b.size
    count = 0
    for d in range(8):
        t = b.rays[king, d, 0]
        if t < 0 or t in (main, pawn, queen):
            continue
        if not b.near[t, black]:
            if out is not None:
                out[d] = True
            count += 1
    for piece in range(2):
        square, diagonal, first = main, b.diagonal, 8
        if piece == 1:
            square, diagonal, first = queen, True, 8 * n
        if square < 0:
            continue
        for d in range(8):
            if d % 2 == 1 and not diagonal:
                continue
            for k in range(n - 1):
                t = b.rays[square, d, k]
                if t < 0 or t in (king, main, black, pawn, queen):
                    break
                if out is not None:
                    out[first + d * (n - 1) + k] = True
                count += 1
                if loose & b.loose_at[t]:
                    break
    if pawn >= 0:
        t = b.rays[pawn, 0, 0]
        if t not in (king, main, black) and not loose & b.loose_at[t]:
            if out is not None:
                out[8 * n] = True
            count += 1
        for d in (1, 7):
            t = b.rays[pawn, d, 0]
            if t >= 0 and loose & b.loose_at[t]:
                if out is not None:
                    out[8 * n + d * (n - 1)] = True
                count += 1
    return count


def white_after(
    b: Any, king: int, main: int, pawn: int, queen: int, loose: int, action: int
) -> tuple[int, int, int, int, int, int, int]:
    """(king, main, pawn, queen, loose, bit captured or 0, 1 if promoted) after a legal action."""
    n = b.size
    promoted = 0
    if action < 8:
        t = b.rays[king, action, 0]
        king = t
    elif action < 8 * n:
        t = b.rays[main, (action - 8) // (n - 1), (action - 8) % (n - 1)]
        main = t
    else:
        d, k = (action - 8 * n) // (n - 1), (action - 8 * n) % (n - 1)
        if pawn >= 0:
            t = b.rays[pawn, d, k]
            pawn = t
            if b.rays[t, 0, 0] < 0:
                pawn, queen, promoted = -1, t, 1
        else:
            t = b.rays[queen, d, k]
            queen = t
    captured = loose & b.loose_at[t]
    return king, main, pawn, queen, loose ^ captured, captured, promoted


def king_room(rays: Any, shut: int, square: int) -> int:
    """Number of squares Black's king may go to from `square`; bit t of `shut` forbids t."""
    count = 0
    for d in range(8):
        t = rays[square, d, 0]
        if t >= 0 and (shut >> t) & 1 == 0:
            count += 1
    return count


def tablebase_slot(b: Any, pawn: int, queen: int) -> int:
    """Index along the slot axis."""
    if pawn >= 0:
        return int(b.pawn_slot[pawn])
    return b.first_queen + queen if queen >= 0 else 0


_moves = compiled_tablebase(white_moves)
_after = compiled_tablebase(white_after)
_slot_of = compiled_tablebase(tablebase_slot)
_room = compiled_tablebase(king_room)


@compiled_tablebase
def _second(b: Any, slot: int) -> tuple[int, int]:
    """(pawn, queen) squares of a slot, -1 where there is none."""
    if slot == 0:
        return -1, -1
    if slot < b.first_queen:
        return b.pawn_squares[slot - 1], -1
    return -1, slot - b.first_queen


@compiled_tablebase
def _close(b: Any, out: Any) -> None:
    cells = b.size * b.size
    one = np.int64(1)
    for loose, slot, main, king in np.ndindex(out.shape):
        pawn, queen = _second(b, slot)
        occupied = one << king
        for square in range(cells):
            if square in (main, pawn, queen) or loose & b.loose_at[square]:
                occupied |= one << square
        seen = np.int64(0)
        for square in b.loose_squares:
            if loose & b.loose_at[square]:
                seen |= one << square
        for d in range(8):
            seen |= _ray(b, king, d, 1, occupied)
            if pawn >= 0 and d in (1, 7):
                seen |= _ray(b, pawn, d, 1, occupied)
            if main < cells and (b.diagonal or d % 2 == 0):
                seen |= _ray(b, main, d, b.size - 1, occupied)
            if queen >= 0:
                seen |= _ray(b, queen, d, b.size - 1, occupied)
        out[loose, slot, main, king] = seen


@compiled_tablebase
def _ray(b: Any, square: int, d: int, reach: int, occupied: int) -> np.int64:
    seen = np.int64(0)
    for k in range(reach):
        t = b.rays[square, d, k]
        if t < 0:
            break
        seen |= np.int64(1) << t
        if (occupied >> t) & 1:
            break
    return seen


@compiled_tablebase
def _solve(b: Any, closed: Any, aim: int, won: Any, white: Any, black: Any) -> None:
    """Fill `white` and `black` for White's `aim`; `won` is the mate table that HOARD reads."""
    _classify(b, closed, aim, white, black)
    out = np.zeros(8 + 16 * (b.size - 1), np.bool_)
    depth, changed = 0, True
    while changed:
        depth += 1
        changed = False
        for at in np.ndindex(white.shape):
            if white[at] == DRAWN and _white_wins(b, aim, won, black, at, depth, out):
                white[at] = depth
                changed = True
        for at in np.ndindex(white.shape):
            if black[at] == DRAWN and _black_loses(b, closed, white, at):
                black[at] = depth
                changed = True


@compiled_tablebase
def _classify(b: Any, closed: Any, aim: int, white: Any, black: Any) -> None:
    """Mark every position ILLEGAL, DRAWN (so far) or, Black to move, mate."""
    n = b.size
    white[:] = ILLEGAL
    black[:] = ILLEGAL
    for at in np.ndindex(white.shape):
        loose, slot, main, king, k = at
        pawn, queen = _second(b, slot)
        if main == n * n:
            main = -1
        if (main < 0 and slot == 0) or (aim == HOARD and loose == 0 and pawn < 0):
            continue
        if b.near[king, k] or _clash(b, loose, (king, main, pawn, queen, k)):
            continue
        black[at] = DRAWN
        if (closed[loose, slot, main, king] >> k) & 1 == 0:
            white[at] = DRAWN
        elif aim != HOARD and _room(b.rays, closed[loose, slot, main, king], k) == 0:
            black[at] = 0


@compiled_tablebase
def _clash(b: Any, loose: int, squares: tuple[int, ...]) -> bool:
    """True if two pieces share a square."""
    for i in range(len(squares)):
        if squares[i] >= 0:
            if loose & b.loose_at[squares[i]]:
                return True
            for j in range(i):
                if squares[i] == squares[j]:
                    return True
    return False


@compiled_tablebase
def _white_wins(
    b: Any, aim: int, won: Any, lost: Any, at: tuple[int, ...], depth: int, out: Any
) -> bool:
    """True if some move of White reaches its aim within `depth` moves."""
    loose, slot, main, king, black = at
    pawn, queen = _second(b, slot)
    if main == b.size * b.size:
        main = -1
    out[:] = False
    _moves(b, king, main, black, pawn, queen, loose, out)
    for a in range(len(out)):
        if not out[a]:
            continue
        king2, main2, pawn2, queen2, loose2, captured, promoted = _after(
            b, king, main, pawn, queen, loose, a
        )
        slot2 = _slot_of(b, pawn2, queen2)
        if aim != MATE and (captured or promoted):
            if aim == HOARD and won[loose2, slot2, main2, king2, black] >= 0:
                return True
        elif 0 <= lost[loose2, slot2, main2, king2, black] < depth:
            return True
    return False


@compiled_tablebase
def _black_loses(b: Any, closed: Any, white: Any, at: tuple[int, ...]) -> bool:
    """True if Black has a move and every one of them leads to a won position."""
    loose, slot, main, king, black = at
    pawn, queen = _second(b, slot)
    shut = closed[loose, slot, main, king]
    moves = 0
    for d in range(8):
        t = b.rays[black, d, 0]
        if t < 0 or (shut >> t) & 1:
            continue
        moves += 1
        main2 = -1 if t == main else main
        slot2 = 0 if t in (pawn, queen) else slot
        if white[loose, slot2, main2, king, t] < 1:
            return False
    return moves > 0
