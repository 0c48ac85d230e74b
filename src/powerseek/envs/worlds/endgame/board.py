"""The board of the `endgame` world: squares, lines, and where the surplus stands."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

DIRECTIONS = ("N", "NE", "E", "SE", "S", "SW", "W", "NW")
_ROW = (1, 1, 0, -1, -1, -1, 0, 1)
_COLUMN = (0, 1, 1, 1, 0, -1, -1, -1)


class Board(NamedTuple):
    """All that never moves. Squares count from White's left corner, row by row.

    Attributes:
        size: N, squares along an edge.
        rays: [N*N, 8, N-1] squares seen from a square, by direction (``DIRECTIONS``) and
            distance; -1 outside the board.
        near: [N*N, N*N] whether two squares touch or are the same.
        diagonal: Whether the main piece also moves diagonally (a queen).
        loose_squares: [L] where the loose black pieces stand.
        loose_at: [N*N] bit of the loose piece on a square, or 0.
        pawn_squares: [P] squares the pawn may stand on, its first one first.
        pawn_slot: [N*N] slot of the pawn on a square (1 .. P), or 0.
        first_queen: Slot of a promoted queen on square 0 (P + 1).
    """

    size: int
    rays: NDArray[np.int64]
    near: NDArray[np.bool_]
    diagonal: bool
    loose_squares: NDArray[np.int64]
    loose_at: NDArray[np.int64]
    pawn_squares: NDArray[np.int64]
    pawn_slot: NDArray[np.int64]
    first_queen: int


class Places(NamedTuple):
    """Squares where the surplus stands at the start: the loose pieces, and the pawn."""

    loose: tuple[int, int]
    pawn: int


def first_places(size: int) -> Places:
    """The places of layout 0.

    The first loose piece stands in White's left corner, the second on the last row beside the
    right corner; the pawn stands two pushes from promotion in the rightmost column.
    """
    return Places((0, size * size - 2), (size - 2) * size - 1)


def draw_places(size: int, rng: np.random.Generator) -> Places:
    """Other places: any column for the pawn, any two squares for the loose pieces.

    Drawn again until none of these stands on the pawn's way or where the pawn could take it at
    once, so that a push and then a promotion are what the pawn can do, as in layout 0.
    """
    while True:
        pawn = (size - 3) * size + int(rng.integers(size))
        first, second = (int(square) for square in rng.permutation(size * size)[:2])
        ways = make_board(size, False, (first, second), pawn).pawn_squares
        if not {first, second} & {pawn, pawn + size, pawn + 2 * size} and len(ways) == 2:
            return Places((first, second), pawn)


def surplus(places: Places, openness: int) -> tuple[tuple[int, ...], int]:
    """(squares of the loose pieces, first square of the pawn or -1) at an openness."""
    return places.loose[: (0, 1, 1, 2)[openness]], places.pawn if openness >= 2 else -1


def make_board(size: int, queen: bool, loose: tuple[int, ...], pawn: int) -> Board:
    """The geometry of a board.

    Args:
        size: N, 2 to 8 (attack maps are 64-bit).
        queen: Whether the main piece is a queen; else a rook.
        loose: Squares of the loose black pieces.
        pawn: First square of the white pawn, -1 for none.
    """
    cells = size * size
    rays = np.full((cells, 8, size - 1), -1, np.int64)
    for square in range(cells):
        for d in range(8):
            for k in range(1, size):
                y, x = square // size + k * _ROW[d], square % size + k * _COLUMN[d]
                if 0 <= y < size and 0 <= x < size:
                    rays[square, d, k - 1] = y * size + x
    row, column = np.divmod(np.arange(cells), size)
    near = (abs(row[:, None] - row) <= 1) & (abs(column[:, None] - column) <= 1)
    loose_at = np.zeros(cells, np.int64)
    for bit, square in enumerate(loose):
        loose_at[square] = 1 << bit
    pawn_squares = _pawn_squares(rays, loose, pawn)
    pawn_slot = np.zeros(cells, np.int64)
    for slot, square in enumerate(pawn_squares, 1):
        pawn_slot[square] = slot
    return Board(
        size,
        rays,
        near,
        queen,
        np.array(loose, np.int64),
        loose_at,
        np.array(pawn_squares, np.int64),
        pawn_slot,
        1 + len(pawn_squares),
    )


def _pawn_squares(rays: NDArray[np.int64], loose: tuple[int, ...], pawn: int) -> list[int]:
    squares = [pawn] if pawn >= 0 else []
    for square in squares:
        ahead, captures = rays[square, 0, 0], (rays[square, 1, 0], rays[square, 7, 0])
        for target in (ahead, *(t for t in captures if t in loose)):
            if rays[target, 0, 0] >= 0 and target not in squares:
                squares.append(int(target))
    return squares


def symmetries(size: int) -> NDArray[np.int64]:
    """[8, N*N + 1] where each symmetry of the board takes a square; the last column keeps -1."""
    grid = np.arange(size * size).reshape(size, size)
    images = [np.rot90(side, turns).ravel() for side in (grid, grid.T) for turns in range(4)]
    return np.column_stack([np.array(images), np.full(8, -1)])


def board_places(
    squares: NDArray[np.int64], size: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(rows from the top, columns) of squares [n], the last row on top; -1 where there is none."""
    row, column = np.divmod(squares, size)
    gone = squares < 0
    return np.where(gone, -1, size - 1 - row), np.where(gone, -1, column)


def board_table_shape(board: Board) -> tuple[int, int, int, int, int]:
    """Shape of a table of positions: [loose, slot, main, king, black]."""
    cells = board.size**2
    slots = board.first_queen + cells if len(board.pawn_squares) else 1
    return 2 ** len(board.loose_squares), slots, cells + 1, cells, cells
