"""What is known about king and rook (queen) against king, read off the enumerated `endgame`.

Black plays `random`, so that every reply is a branch: White minimises over the pairs of a state,
Black maximises over the branches of a pair. A pair is a position with Black to move.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import plain_endgame as plain
import pytest
from known import known

import powerseek
from powerseek.envs.worlds.endgame.board import DIRECTIONS, make_board
from powerseek.exact import TabularMDP, enumerate_world

ORTHOGONAL = np.array([len(name) == 1 for name in DIRECTIONS])
PIECES = ("king", "main", "black")


boards = pytest.mark.parametrize(
    ("size", "piece"),
    [(5, "rook"), *(pytest.param(8, x, marks=pytest.mark.slow) for x in ("queen", "rook"))],
)


class Analysis(NamedTuple):
    """Moves of White to mate, inf where there is none; Black's positions up to symmetry."""

    mdp: TabularMDP
    white: np.ndarray  # [S], White to move
    legal: np.ndarray  # [S] White may be to move: not over, Black's king not in a line
    black: np.ndarray  # [B], Black to move
    orbit: np.ndarray  # [B] positions that the symmetries make of each
    stalemate: np.ndarray  # [B]


def attacks(size, queen):
    """[king, main, black] does White's main piece see Black's square?"""
    rays = make_board(size, queen, (), -1).rays
    seen = np.zeros((size**2,) * 3, bool)
    for king, main in np.ndindex(size**2, size**2):
        for line in rays[main, np.flatnonzero(ORTHOGONAL | queen)]:
            for square in line:
                if square in (-1, king):
                    break
                seen[king, main, square] = True
    return seen


def placements(world):
    """Records of all ways to place the pieces with the kings apart.

    Black's king may stand in a line though White is to move. No game gets there, but six
    positions (up to symmetry) of the rook with Black to move follow from such placements alone,
    and the published counts include them.
    """
    near = make_board(world.params.size, False, (), -1).near
    king, main, black = np.indices((world.params.size**2,) * 3)
    squares = np.nonzero(~near[king, black] & (main != king) & (main != black))
    records = world.records(len(squares[0]))
    records["pawn"] = records["queen"] = -1
    for name, values in zip(PIECES, squares, strict=True):
        records[name] = values
    return records


def distances(mdp):
    """Moves to mate: (White to move [S], Black to move [P]), by sweeps until nothing changes."""
    alive = ~mdp.terminal
    white = np.where(mdp.final("success") > 0, 0.0, np.inf)
    while True:
        black = np.maximum.reduceat(white[mdp.edge_next], mdp.edge_start[:-1])
        before = white.copy()
        white[alive] = 1 + np.minimum.reduceat(black, mdp.pair_start[:-1][alive])
        if np.array_equal(before, white):
            return white, black


def after(mdp):
    """[3, P] squares of king, main piece and Black's king once White has moved."""
    size = mdp.world.params.size
    rays = make_board(size, False, (), -1).rays
    king, main, black = (mdp.records[name][mdp.pair_state] for name in PIECES)
    move = mdp.pair_action - 8
    stepped = rays[king, np.minimum(mdp.pair_action, 7), 0]
    slid = rays[main, move // (size - 1) % 8, move % (size - 1)]
    return np.array([np.where(move < 0, stepped, king), np.where(move < 0, main, slid), black])


def images(squares, size):
    """[8, n] one number for each image of positions [3, n] under the board's symmetries."""
    rows, columns = np.divmod(squares, size)
    found = []
    for y, x in ((rows, columns), (columns, rows)):
        found += [(y, x), (size - 1 - y, x), (y, size - 1 - x), (size - 1 - y, size - 1 - x)]
    return np.array([sum((y * size + x)[i] * 64**i for i in range(3)) for y, x in found])


@lru_cache(maxsize=4)
def analyse(size, piece, symmetry=True):
    world = powerseek.make_world("endgame", size=size, piece=piece, openness=0, black="random")
    mdp = enumerate_world(world, start=placements(world), symmetry=symmetry)
    white, black = distances(mdp)
    keys = np.sort(images(after(mdp), size), axis=0)
    _, first, where = np.unique(keys[0], return_index=True, return_inverse=True)
    assert np.array_equal(black[first][where], black), "equal positions, unequal distances"
    # White always has a move here, so a drawn end that keeps the piece is stalemate.
    end = mdp.edge_next[mdp.edge_start[:-1]]
    drawn = mdp.terminal[end] & (white[end] > 0) & (mdp.records["main"][end] >= 0)
    checked = attacks(size, piece == "queen")[tuple(mdp.records[name] for name in PIECES)]
    return Analysis(
        mdp,
        white,
        ~mdp.terminal & ~checked,
        black[first],
        (np.diff(keys[:, first], axis=0) > 0).sum(axis=0) + 1,
        (drawn & (np.diff(mdp.edge_start) == 1))[first],
    )


def counts(distance):
    """How many positions are won in 0, 1, 2, ... moves."""
    return np.bincount(distance[np.isfinite(distance)].astype(int)).tolist()


@pytest.mark.slow
def test_rook_on_the_chess_board():
    case = known("krk_8x8_dtm")
    found = analyse(8, "rook")
    assert len(found.black) == case.expected["n_positions"]
    assert np.isinf(found.black).sum() == case.expected["draw"]
    assert counts(found.black) == case.expected["dtm_counts_0_to_16"]
    longest = case.expected["max_dtm_moves"]
    assert found.white[found.legal].max() == longest
    assert (found.white[found.legal] == longest).sum() == case.expected["wtm_positions_at_16 (sym)"]


@pytest.mark.slow  # small boards stand against plain Python, and the rook on 8 x 8 below
def test_queen_on_the_chess_board():
    case = known("kqk_8x8_dtm")
    found = analyse(8, "queen")
    longest = case.expected["max_dtm_moves"]
    assert found.white[found.legal].max() == longest
    assert (found.white[found.legal] == longest).sum() == case.expected["wtm_positions_at_10 (sym)"]
    assert (found.black == longest).sum() == case.expected["btm_lost_in_10 (sym)"]
    drawn = np.isinf(found.black)
    assert found.orbit[drawn].sum() == case.expected["btm_draws_raw"]
    assert found.orbit[found.stalemate].sum() == case.expected["stalemates_raw"]
    assert not (found.stalemate & ~drawn).any()


@pytest.mark.parametrize(
    ("size", "piece"),
    [(5, "rook"), *(pytest.param(8, x, marks=pytest.mark.slow) for x in ("rook", "queen"))],
)
def test_every_placement_is_met_with_black_to_move(size, piece):
    found = analyse(size, piece)
    assert found.orbit.sum() == len(placements(found.mdp.world))


@boards
def test_the_tables_of_the_world_agree(size, piece):
    """The second method: retrograde analysis over arrays of squares."""
    found = analyse(size, piece)
    main, king, black = (found.mdp.records[name][found.legal] for name in ("main", "king", "black"))
    table = found.mdp.world.prepared.white[0, 0, main, king, black]
    assert (table > 0).all()
    assert np.array_equal(found.white[found.legal], table)


@pytest.mark.parametrize("symmetry", [False, True])
@pytest.mark.parametrize(("size", "piece"), [(4, "rook"), (4, "queen"), (5, "rook")])
def test_small_boards_agree_with_plain_python(size, piece, symmetry):
    found = analyse(size, piece, symmetry)
    moves = plain.ROOK + plain.BISHOP if piece == "queen" else plain.ROOK
    positions = [
        plain.Position(size, moves, king, main, None, None, black, frozenset())
        for king, main, black in (
            [divmod(int(record[name]), size) for name in PIECES]
            for record in found.mdp.records[found.legal]
        )
    ]
    white, _, _ = plain.solve(positions)
    assert [white.get(p, np.inf) for p in positions] == found.white[found.legal].tolist()


def test_mobility_on_the_empty_board():
    """All pieces but the knight: no knight of this world ever moves."""
    case = known("mobility_empty_board")
    for size in case.spec["n"]:
        there = make_board(size, False, (), -1).rays >= 0
        mobility = {
            "K": there[:, :, 0].sum(),
            "R": there[:, ORTHOGONAL].sum(),
            "B": there[:, ~ORTHOGONAL].sum(),
            "Q": there.sum(),
        }
        for piece, moves in mobility.items():
            assert moves == case.expected[str(size)][piece]
