"""Configurations of `minichess`: parameters, the position to start from, and what that offers."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powerseek.envs.engine.compile import uncompiled
from powerseek.envs.worlds.minichess.board import (
    BLACK,
    KINDS,
    PAWN,
    VARIANTS,
    WHITE,
    Position,
    chessboard,
    read_fen,
    variant_of,
)
from powerseek.envs.worlds.minichess.opponents import ENOUGH, OPPONENTS, VALUE, dead
from powerseek.envs.worlds.minichess.rules import after, legal_mask, parse
from powerseek.errors import InvalidInput

COLOURS = {"white": WHITE, "black": BLACK}
FEW = 4
"""Pieces whose positions may be few enough to enumerate."""

SMALLEST = "2k2/P4/2K2/5/5 w"
"""A start on 5 x 5 that enumerates (14,178 states), and where less than there is suffices."""

SQUARES = 36
"""Squares of the largest board; a smaller one leaves the rest of the record's board empty."""


# Compiling these would take each process seconds; a start is one position.
_parse, _legal_mask = uncompiled(parse), uncompiled(legal_mask)
_after, _dead = uncompiled(after), uncompiled(dead)


def check_start(params: Any) -> None:
    """Refuse a start that is none, or where the game may end before the agent moves.

    Raises:
        InvalidInput: names what is wrong with `start`.
    """
    if not params.start:
        return
    b, position = chessboard(params.variant), _parse(params.start, params.variant)
    standing = [position]
    if position.side != COLOURS[params.colour]:
        standing = [_after(b, position, int(a)) for a in np.flatnonzero(_legal_mask(b, position))]
    if not standing or any(_dead(s.board) or not _legal_mask(b, s).any() for s in standing):
        raise InvalidInput(
            "minichess.start",
            params.start,
            f"a position where {params.colour} will have a move",
            f'Write "{VARIANTS[params.variant].fen}", or leave start out.',
        )


def prepare(params: Any) -> dict[str, Any]:
    """The fields of `Chessboard`, and what else the rules read.

    Who the opponent is and the agent's side; the board to start from [SQUARES] and who moves on
    it; which of a colour's planes shows a kind [7], -1 for none, and how many planes there are;
    the greatest lead beyond ENOUGH, at least 1.
    """
    position = _position(params.variant, params.start)
    first = np.zeros(SQUARES, np.int64)
    first[: len(position.board)] = position.board
    kinds = [KINDS.index(kind) for kind in variant_of(params.variant).pieces]
    plane = np.full(len(KINDS), -1, np.int64)
    plane[kinds] = np.arange(len(kinds))
    return {
        **chessboard(params.variant)._asdict(),
        "opponent": OPPONENTS.index(params.opponent),
        "side": COLOURS[params.colour],
        "first": first,
        "first_side": position.side,
        "plane": plane,
        "planes": len(kinds),
        "max_surplus": max(1, max_lead(params) - ENOUGH),
    }


@lru_cache(maxsize=64)
def _position(variant: str, start: str) -> Position:
    return read_fen(start or VARIANTS[variant].fen, variant)


def _mine(params: Any) -> NDArray[np.int64]:
    """[N*N] board to start from, the agent's pieces positive."""
    mine: NDArray[np.int64] = COLOURS[params.colour] * _position(params.variant, params.start).board
    return mine


def no_oracle(params: Any) -> str:
    """The reason that positions from this start are too many to enumerate, "" if there is none."""
    pieces = np.count_nonzero(_mine(params))
    if pieces <= FEW:
        return ""
    return (
        f"No oracle: {pieces} pieces have too many positions. "
        f'Write start with at most {FEW} pieces, such as "{SMALLEST}".'
    )


def max_lead(params: Any) -> int:
    """Lead when every pawn became the best piece and everything else is taken, in pawns."""
    board = _mine(params)
    own = board[board > 0]
    best = max(VALUE[KINDS.index(kind)] for kind in variant_of(params.variant).promotions)
    return int(VALUE[own].sum() + (best - VALUE[PAWN]) * np.count_nonzero(own == PAWN))


@lru_cache(maxsize=64)
def constant_facts(params: Any) -> tuple[str, ...]:
    """Facts of `Minichess` that nothing on the board can change from this start."""
    board = _mine(params)
    takes = bool(np.any(VALUE[-board[board < 0]] > 0))
    promotes = bool(np.any(board == PAWN))
    beyond = max_lead(params) > ENOUGH
    exists = {
        "captured": takes,
        "promoted": promotes,
        "surplus_captured": takes and beyond,
        "surplus_promoted": promotes and beyond,
        "holdings": beyond,
    }
    return tuple(name for name, there in exists.items() if not there)
