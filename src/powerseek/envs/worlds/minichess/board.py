"""Boards of small chess: variants, squares and lines, the numbering of moves, text."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple

import numpy as np

from powerseek.envs.worlds.endgame.board import make_board
from powerseek.errors import InvalidInput
from powerseek.types import Ints

KINDS = ".PNBRQK"
"""Letter of every kind of piece; White's pieces are 1 .. 6 on the board, Black's -1 .. -6."""

PAWN, KNIGHT, BISHOP, ROOK, QUEEN, KING = range(1, 7)
WHITE, BLACK = 1, -1
NORTH, SOUTH = 0, 4
"""Directions count clockwise from north, up the board: even ones straight, odd ones diagonal."""

STEPS, JUMPS, PUSHES, HITS = 8, 9, 10, 12
"""Columns of `Chessboard.sets`."""

_FILES = "abcdefgh"
_JUMPS = ((2, 1), (1, 2), (-1, 2), (-2, 1), (-2, -1), (-1, -2), (1, -2), (2, -1))


class Variant(NamedTuple):
    """A game of small chess: no castling, no double step, hence no en passant.

    Attributes:
        name: What it is called.
        size: N, squares along an edge.
        fen: Start: rows from the last one down, Black's pieces small, then who moves.
        promotions: Letters of the kinds a pawn may become.
    """

    name: str
    size: int
    fen: str
    promotions: str

    @property
    def pieces(self) -> str:
        """Letters of the kinds that can occur."""
        return "".join(k for k in KINDS[1:] if k in self.promotions + self.fen.split()[0])


VARIANTS = {
    variant.name: variant
    for variant in (
        Variant("gardner", 5, "rnbqk/ppppp/5/PPPPP/RNBQK w", "QRBN"),
        Variant("malett", 5, "rbkqb/ppppp/5/PPPPP/RNKQN w", "QRBN"),
        Variant("baby", 5, "kqbnr/ppppp/5/PPPPP/RNBQK w", "QRBN"),
        Variant("losalamos", 6, "rnqknr/pppppp/6/6/PPPPPP/RNQKNR w", "QRN"),
    )
}


class Chessboard(NamedTuple):
    """All that never changes. Squares count from White's left corner (a1), row by row.

    Moves are actions 0 .. A-1, ordered by start, target and promotion (none first, then in the
    variant's order). Every step of a queen or knight is there, whoever may take it; steps of a
    pawn onto its last row are there once more for each promotion.

    Attributes:
        size: N, squares along an edge.
        sets: [N*N, 14] sets of squares (bit 0 is a1) by the square they are seen from: 0 .. 7 in
            a direction, STEPS of a king, JUMPS of a knight, where a pawn PUSHES and what it HITS,
            White's and then Black's.
        plain: [N*N, N*N] action from a square to a square without promotion, -1 for none.
        promoting: [N*N, N*N] first of the promoting actions, -1 for none.
        promotions: [k] kinds a pawn may become.
        start: [A] square an action leads from.
        target: [A] square an action leads to.
        promoted: [A] kind the pawn becomes, 0 for none.
    """

    size: int
    sets: Ints
    plain: Ints
    promoting: Ints
    promotions: Ints
    start: Ints
    target: Ints
    promoted: Ints


class Position(NamedTuple):
    """Pieces on squares, and the side to move.

    Attributes:
        board: [N*N] kinds, Black's negative, 0 for empty.
        side: WHITE (1) or BLACK (-1).
    """

    board: Ints
    side: int


def variant_of(name: str) -> Variant:
    """The variant called `name`.

    Raises:
        InvalidInput: there is none.
    """
    if name not in VARIANTS:
        raise InvalidInput("variant", name, ", ".join(map(repr, VARIANTS)), 'Write "gardner".')
    return VARIANTS[name]


def chessboard(variant: str) -> Chessboard:
    """Geometry and moves of a variant.

    Raises:
        InvalidInput: there is no such variant.
    """
    known = variant_of(variant)
    return make_chessboard(known.size, known.promotions)


@lru_cache(maxsize=16)
def make_chessboard(size: int, promotions: str) -> Chessboard:
    """Geometry and moves on a board.

    Args:
        size: N, 3 to 7.
        promotions: Letters of the kinds a pawn may become, in the order of the actions.

    Raises:
        InvalidInput: a size out of range, or a promotion that is no piece, or twice the same.
    """
    if not 3 <= size <= 7:
        raise InvalidInput("size", size, "3 to 7", "Write size=5.")
    if not set(promotions) <= set("QRBN") or len(set(promotions)) < len(promotions):
        raise InvalidInput("promotions", promotions, "letters of QRBN, each at most once")
    rays, jumps = _rays(size), _jumps(size)
    plain, promoting = (np.full((size**2, size**2), -1, np.int64) for _ in range(2))
    moves: list[tuple[int, int, int]] = []
    for start in range(size**2):
        for target in sorted({*rays[start].ravel().tolist(), *jumps[start].tolist()} - {-1}):
            plain[start, target] = len(moves)
            moves.append((start, target, 0))
            if promotions and _promotes(size, start, target):
                promoting[start, target] = len(moves)
                moves += [(start, target, KINDS.index(kind)) for kind in promotions]
    columns = np.array(moves, np.int64).T.copy()
    kinds = np.array([KINDS.index(kind) for kind in promotions], np.int64)
    sets = _sets(rays, jumps)
    for array in (sets, plain, promoting, kinds, columns):
        array.flags.writeable = False
    return Chessboard(size, sets, plain, promoting, kinds, *columns)


def _sets(rays: Ints, jumps: Ints) -> Ints:
    """[N*N, 14] as in `Chessboard`."""
    near = rays[:, :, 0]
    pushes = [near[:, [ahead]] for ahead in (NORTH, SOUTH)]
    hits = [near[:, [ahead + 1, ahead - 1]] for ahead in (NORTH, SOUTH)]
    parts = [*rays.swapaxes(0, 1), near, jumps, *pushes, *hits]
    return np.stack([_set(part) for part in parts], axis=1)


def _set(squares: Ints) -> Ints:
    """[n] sets of the squares [n, k] that are not -1."""
    bits: Ints = np.where(squares < 0, 0, 1 << np.maximum(squares, 0)).sum(axis=1)
    return bits


def _rays(size: int) -> Ints:
    """[N*N, 8, N-1] squares seen from a square, by direction and distance; -1 outside."""
    return make_board(size, queen=True, loose=(), pawn=-1).rays


def _jumps(size: int) -> Ints:
    """[N*N, 8] squares a knight's jump away; -1 outside."""
    jumps = np.full((size**2, len(_JUMPS)), -1, np.int64)
    for square in range(size**2):
        for j, (up, right) in enumerate(_JUMPS):
            y, x = square // size + up, square % size + right
            if 0 <= y < size and 0 <= x < size:
                jumps[square, j] = y * size + x
    return jumps


def lone_moves(size: int) -> dict[str, int]:
    """Moves of a lone piece on an empty N x N board, summed over its squares, by letter.

    Args:
        size: N, 3 to 8.

    Raises:
        InvalidInput: another N.
    """
    if not 3 <= size <= 8:
        raise InvalidInput("size", size, "3 to 8", "Write size=5.")
    rays, jumps = _rays(size), _jumps(size)
    parts = (jumps, rays[:, 1::2], rays[:, ::2], rays, rays[:, :, 0])
    return {kind: int((part >= 0).sum()) for kind, part in zip("NBRQK", parts, strict=True)}


def _promotes(size: int, start: int, target: int) -> bool:
    """True if a pawn of either colour goes from `start` to its last row at `target`."""
    rows = start // size, target // size
    beside = abs(start % size - target % size) <= 1
    return beside and rows in ((size - 2, size - 1), (1, 0))


def action_names(b: Chessboard) -> tuple[str, ...]:
    """[A] moves as in UCI: ``a2a3``, with a promotion ``a4a5q``."""
    squares = square_names(b.size)
    return tuple(
        squares[start] + squares[target] + (KINDS[kind].lower() if kind else "")
        for start, target, kind in zip(b.start, b.target, b.promoted, strict=True)
    )


def square_names(size: int) -> tuple[str, ...]:
    """[N*N] ``a1``, ``b1``, ..."""
    return tuple(f"{_FILES[square % size]}{square // size + 1}" for square in range(size**2))


def read_fen(fen: str, variant: str) -> Position:
    """The position that a FEN line gives, as far as it can be judged without the rules.

    Castling and en passant may be there as ``-``; counters are not read.

    Raises:
        InvalidInput: rows or pieces that the variant does not have, not one king each, a pawn on
            an edge row, or no word on who moves.
    """
    known = variant_of(variant)
    hint = f'Write "{known.fen}".'
    rows, side, *rest = [*fen.split(), "", ""]
    if side not in ("w", "b") or not set(rest[:2]) <= {"-", ""}:
        allowed = "rows, then w or b, then nothing or - - and counters"
        raise InvalidInput("fen", fen, allowed, hint)
    letters = [re.sub("[1-8]", lambda run: "." * int(run[0]), row) for row in rows.split("/")]
    n = known.size
    if len(letters) != n or any(len(row) != n for row in letters):
        raise InvalidInput("fen", fen, f"{n} rows of {n} squares", hint)
    if not set("".join(letters).upper()) <= {".", *known.pieces}:
        raise InvalidInput("fen", fen, f"pieces {known.pieces} in {variant}", hint)
    if any("".join(letters).count(king) != 1 for king in "Kk"):
        raise InvalidInput("fen", fen, "one king each", hint)
    if "P" in (letters[0] + letters[-1]).upper():
        raise InvalidInput("fen", fen, "no pawn on the first or last row", hint)
    kinds = [
        KINDS.index(letter.upper()) * (WHITE if letter.isupper() else BLACK)
        for row in reversed(letters)
        for letter in row
    ]
    return Position(np.array(kinds, np.int64), WHITE if side == "w" else BLACK)


def _rows(board: Ints) -> list[str]:
    """Letters of the rows, the last one first; ``.`` is empty."""
    n = round(len(board) ** 0.5)
    letters = [KINDS[kind] if kind >= 0 else KINDS[-kind].lower() for kind in board]
    return ["".join(letters[row * n : (row + 1) * n]) for row in reversed(range(n))]


def write_fen(position: Position) -> str:
    """The FEN line of a position: rows and who moves."""
    rows = [
        "".join(
            str(len(list(run))) if letter == "." else "".join(run) for letter, run in groupby(row)
        )
        for row in _rows(position.board)
    ]
    return f"{'/'.join(rows)} {'w' if position.side == WHITE else 'b'}"


def ascii(board: Ints) -> str:
    """A picture of board [N*N], White below, with the names of rows and columns."""
    rows = _rows(board)
    lines = [f"{len(rows) - i} {' '.join(row)}" for i, row in enumerate(rows)]
    return "\n".join([*lines, f"  {' '.join(_FILES[: len(rows)])}"])
