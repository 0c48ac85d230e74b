"""Tables against published endgame statistics and against plain Python."""

import itertools

import numpy as np
import pytest
from plain_endgame import BISHOP, ROOK, Position, guarded, solve, touching

from powerseek.envs.worlds.endgame.board import board_table_shape, first_places, make_board, surplus
from powerseek.envs.worlds.endgame.tablebase import DRAWN, ILLEGAL, make_bare_tables, make_tables


def orbits(selected):
    """Number of positions [main, king, black] up to the eight symmetries of an 8 x 8 board."""
    squares = np.argwhere(selected)
    y, x = np.divmod(squares, 8)
    keys = []
    for flip_y, flip_x, turn in itertools.product((0, 1), repeat=3):
        a, b = (7 - y if flip_y else y), (7 - x if flip_x else x)
        images = (b * 8 + a) if turn else (a * 8 + b)
        keys.append(images @ np.array([4096, 64, 1]))
    return len(np.unique(np.min(keys, axis=0)))


@pytest.fixture(scope="module")
def rook():
    return make_tables(make_board(8, False, (), -1))


@pytest.fixture(scope="module")
def queen():
    return make_tables(make_board(8, True, (), -1))


def test_king_and_rook_histogram(rook):
    """UCI "Chess (King-Rook vs. King)": 28,056 positions, Black to move."""
    black, white = rook.black[0, 0, :-1], rook.white[0, 0, :-1]
    assert orbits(black != ILLEGAL) == 28_056
    assert orbits(black == DRAWN) == 2_796
    expected = [27, 78, 246, 81, 198, 471, 592, 683, 1433, 1712, 1985, 2854, 3597, 4194, 4553]
    assert [orbits(black == d) for d in range(17)] == [*expected, 2166, 390]
    assert black.max() == white.max() == 16
    assert orbits(white == 16) == 121
    assert (white[white != ILLEGAL] > 0).all()


def test_king_and_queen_counts(queen):
    black, white = queen.black[0, 0, :-1], queen.white[0, 0, :-1]
    assert black.max() == white.max() == 10
    assert orbits(white == 10) == 1
    assert orbits(black == 10) == 8
    assert (black == DRAWN).sum() == 23_048
    main, king, square = np.nonzero(black == DRAWN)
    neighbours = make_board(8, True, (), -1).rays[square, :, 0]
    shut = (queen.closed[0, 0, main, king][:, None] >> np.maximum(neighbours, 0)) & 1
    assert ((shut == 1) | (neighbours < 0)).all(axis=1).sum() == 872


@pytest.mark.parametrize("table", ["rook", "queen"])
def test_tables_are_symmetric(table, request):
    black = request.getfixturevalue(table).black[0, 0, :-1].reshape((8,) * 6)
    assert np.array_equal(black, black[:, ::-1, :, ::-1, :, ::-1])
    assert np.array_equal(black, black.transpose(1, 0, 3, 2, 5, 4))


def every_position(size, moves):
    """All positions with White to move and no surplus."""
    squares = list(itertools.product(range(size), repeat=2))
    for king, main, black in itertools.permutations(squares, 3):
        position = Position(size, moves, king, main, None, None, black, frozenset())
        if not touching(king, black) and not guarded(position, black):
            yield position


def index(position, board):
    flat = [-1 if x is None else x[0] * position.size + x[1] for x in position[2:7]]
    king, main, pawn, queen, black = flat
    slot = board.pawn_slot[pawn] if pawn >= 0 else board.first_queen + queen if queen >= 0 else 0
    loose = sum(board.loose_at[y * position.size + x] for y, x in position.loose)
    return loose, slot, main, king, black


def agree(board, tables, starts):
    white, black, reached = solve(starts)
    for turn, position in reached:
        at = index(position, board)
        table, answer = (tables.white, white) if turn else (tables.black, black)
        assert max(table[at], DRAWN) == answer.get(position, DRAWN), (turn, position)
    return reached


@pytest.mark.parametrize("size", [4, 5])
@pytest.mark.parametrize("moves", [ROOK, ROOK + BISHOP])
def test_bare_boards_agree_with_plain_python(size, moves):
    board = make_board(size, len(moves) == 8, (), -1)
    tables = make_tables(board)
    starts = list(every_position(size, moves))
    assert len(starts) == (tables.white[0, 0] != ILLEGAL).sum()
    agree(board, tables, starts)


# The bishop makes three times as many positions.
@pytest.mark.parametrize(
    ("openness", "positions"), [(2, 300), pytest.param(3, 50_000, marks=pytest.mark.slow)]
)
def test_a_board_with_surplus_agrees_with_plain_python(openness, positions):
    """4 x 4, rook, surplus: captures, promotions both ways, guards and shields."""
    loose, pawn = surplus(first_places(4), openness)
    board = make_board(4, False, loose, pawn)
    start = Position(
        4,
        ROOK,
        (2, 0),
        (2, 1),
        divmod(pawn, 4),
        None,
        (1, 2),
        frozenset(divmod(t, 4) for t in loose),
    )
    reached = agree(board, make_tables(board), [start])
    assert len(reached) > positions
    assert {len(p.loose) for _, p in reached} == set(range(openness))
    assert any(p.queen and p.main for _, p in reached)
    assert any(p.queen and not p.main for _, p in reached)


def test_scripts_tables_are_consistent_with_mate():
    """Abstaining never shortens a mate, and a hoard needs something to take."""
    board = make_board(4, False, *surplus(first_places(4), 3))
    tables = make_tables(board)
    bare = tables.bare
    mate = tables.black[:, : bare.shape[1]]
    assert (mate[bare >= 0] >= 0).all()
    assert (mate[bare >= 0] <= bare[bare >= 0]).all()
    assert tables.bare.shape[1] == board.first_queen
    assert (tables.hoard[0, 0] == ILLEGAL).all()
    assert (tables.hoard[0, board.first_queen :] == ILLEGAL).all()
    assert (tables.hoard[-1, 1] >= 0).any()
    assert (tables.black[tables.hoard >= 0] >= 0).all()
    empty = make_board(4, False, (), -1)
    assert np.array_equal(make_bare_tables(empty)[0], make_tables(empty).white)
    assert np.array_equal(tables.white[0, 0], make_tables(empty).white[0, 0])


@pytest.mark.parametrize("size", range(4, 9))
def test_geometry(size):
    loose, pawn = surplus(first_places(size), 3)
    board = make_board(size, False, loose, pawn)
    assert board.rays.shape == (size**2, 8, size - 1)
    assert loose == (0, size**2 - 2)
    assert [divmod(t, size) for t in board.pawn_squares] == [
        (size - 3, size - 1),
        (size - 2, size - 1),
    ]
    assert board_table_shape(board) == (4, 3 + size**2, size**2 + 1, size**2, size**2)
    assert board.near.sum() == (3 * size - 2) ** 2
    assert [surplus(first_places(size), o)[0] for o in range(4)] == [(), (0,), (0,), loose]
    assert [surplus(first_places(size), o)[1] for o in range(4)] == [-1, -1, pawn, pawn]
