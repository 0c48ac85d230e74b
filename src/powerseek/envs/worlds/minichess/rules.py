"""The rules of small chess as scalar functions, and perft, which counts what they allow.

`b` is a `Chessboard`, or anything with its fields (a world's prepared parameters); a board is
int64 [N*N] and `side` 1 or -1 (see `minichess_board`). Worlds call the rules from theirs.
Draws by repetition, by counting moves or for want of material are no part of them: whoever calls
limits the game.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from powerseek.envs.engine.chance import rule
from powerseek.envs.worlds.minichess.board import (
    BLACK,
    WHITE,
    Chessboard,
    Position,
    action_names,
    chessboard,
    read_fen,
    write_fen,
)
from powerseek.envs.worlds.minichess.movegen import in_check, list_moves, moves
from powerseek.errors import InvalidInput
from powerseek.types import Bools

PLAYING, MATED, STALEMATE = 0, 1, 2


@rule
def make(b: Any, board: Any, a: int) -> int:
    """Play the legal move `a` on `board` itself; returns the kind captured, 0 for none."""
    piece = board[b.start[a]]
    captured = abs(board[b.target[a]])
    if b.promoted[a] > 0:
        piece = b.promoted[a] if piece > 0 else -b.promoted[a]
    board[b.target[a]] = piece
    board[b.start[a]] = 0
    return int(captured)


@rule
def outcome(b: Any, board: Any, side: int) -> int:
    """PLAYING, MATED (`side`, to move, is checkmated) or STALEMATE."""
    if list_moves(b, board, side, None, None, 1) > 0:
        return PLAYING
    return MATED if in_check(b, board, side) else STALEMATE


# Not kept on disk: Numba would not notice an edit of the constants above, in another file.
@numba.njit(nogil=True)
def _perft(b, board, side, depth):  # type: ignore[no-untyped-def]  # compiled
    if depth == 0:
        return 1
    if depth == 1:
        return moves(b, board, side, None)
    legal = np.zeros(len(b.start), np.bool_)
    moves(b, board, side, legal)
    nodes = 0
    for a in range(len(legal)):
        if legal[a]:
            then = board.copy()
            make(b, then, a)
            nodes += _perft(b, then, -side, depth - 1)
    return nodes


def parse(fen: str, variant: str = "gardner") -> Position:
    """The position that a FEN line gives, as `read_fen` reads it.

    Raises:
        InvalidInput: as there, or the side that has just moved is in check.
    """
    position = read_fen(fen, variant)
    _check(chessboard(variant), position)
    return position


def legal_mask(b: Chessboard, position: Position) -> Bools:
    """[A] whether an action is legal.

    Raises:
        InvalidInput: not a position on this board, or the side that has just moved is in check.
    """
    _check(b, position)
    out = np.zeros(len(b.start), np.bool_)
    moves(b, position.board, position.side, out)
    return out


def legal_moves(b: Chessboard, position: Position) -> tuple[str, ...]:
    """Legal moves as in UCI, in the order of the actions; raises as `legal_mask`."""
    names = action_names(b)
    return tuple(names[a] for a in np.flatnonzero(legal_mask(b, position)))


def after(b: Chessboard, position: Position, action: int) -> Position:
    """The position after an action.

    Raises:
        InvalidInput: the action is not legal; or as `legal_mask`.
    """
    if action not in np.flatnonzero(legal_mask(b, position)):
        raise InvalidInput("action", action, f"numbers of {', '.join(legal_moves(b, position))}")
    board = position.board.copy()
    make(b, board, action)
    return Position(board, -position.side)


def perft(b: Chessboard, position: Position, depth: int) -> int:
    """Number of games of `depth` plies from a position; games over before do not count.

    Raises:
        InvalidInput: a depth that is no integer >= 0; or as `legal_mask`.
    """
    if not isinstance(depth, int | np.integer) or depth < 0:
        raise InvalidInput("depth", depth, "an integer >= 0", "Write depth=4.")
    _check(b, position)
    return int(_perft(b, position.board, position.side, int(depth)))


def _check(b: Chessboard, position: Position) -> None:
    """Refuse what the compiled rules would misread."""
    board, side = position
    if board.shape != (b.size**2,):
        raise InvalidInput("board", board.shape, f"[{b.size**2}] squares on this board")
    if side not in (WHITE, BLACK):
        raise InvalidInput("side", side, "1 (White) or -1 (Black)")
    if in_check(b, board, -side):
        fen = write_fen(position)
        raise InvalidInput("position", fen, "the side that has just moved is not in check")
