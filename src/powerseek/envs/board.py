"""What a picture in letters is made of: a board of squares, its labels, and words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

LEAST_ROWS, LEAST_COLUMNS = 2, 3
_WIDEST = 4


class Board(NamedTuple):
    """A picture in letters, taken apart.

    Attributes:
        squares: The board's squares, row by row: a letter or a few each, " " where empty; ()
            where there is no board.
        rows: What stands before each row ("" without labels).
        columns: What stands below each column; () without labels.
        words: The lines that are no board.
    """

    squares: tuple[tuple[str, ...], ...]
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    words: tuple[str, ...]


def take_apart(picture: str, shape: tuple[int, int] = (0, 0)) -> Board:
    """The board, labels and words of a picture in letters.

    Squares may stand side by side or a space apart, with a number before each row and a number or
    a letter below each column.

    Args:
        picture: As `World.render` gives it.
        shape: Rows and columns of the world's map; (0, 0) where it has none. Then lines at the
            top that hold single letters a space apart are taken for a board.
    """
    lines = picture.split("\n")
    rows, columns = shape if shape[0] else _guessed(lines)
    split = [_row(line, columns) for line in lines[:rows]]
    found = next(
        (
            [row for row in at_width if row is not None]
            for at_width in zip(*split, strict=True)
            if None not in at_width
        ),
        [],
    )
    if not rows or len(found) < rows:
        return Board((), (), (), tuple(lines))
    labels, words = tuple(label for label, _ in found), lines[rows:]
    below: tuple[str, ...] = ()
    if any(labels) and words and len(words[0].split()) == columns:
        below, words = tuple(words[0].split()), words[1:]
    return Board(tuple(squares for _, squares in found), labels, below, tuple(words))


def shape_of(tiles: Sequence[Sequence[str]]) -> tuple[int, int]:
    """Rows and columns of a map, (0, 0) if there is none."""
    return (len(tiles), len(tiles[0])) if tiles else (0, 0)


def symbols(legend: str) -> tuple[str, ...]:
    """The single characters that a legend explains, in its order."""
    found: list[str] = []
    for part in re.split(r"[,;()]", legend):
        for word in part.split():
            if len(word) > 1:
                break
            found.append(word)
    return tuple(dict.fromkeys(found))


def _row(line: str, columns: int) -> list[tuple[str, tuple[str, ...]] | None]:
    """(label, squares) of a line read with squares of 1 side by side, then of 1, 2, .. apart."""
    close = (("", tuple(line)) if len(line) == columns else None) if columns else None
    return [close, *(_apart(line, columns, width) for width in range(1, _WIDEST + 1))]


def _apart(line: str, columns: int, width: int) -> tuple[str, tuple[str, ...]] | None:
    whole = (width + 1) * columns - 1
    # Wide squares lose the spaces at the end of the line.
    label, held = ("", line.ljust(whole)) if width > 1 else (line[:-whole], line[-whole:])
    if len(held) != whole or label.strip(" 0123456789") or held[width :: width + 1].strip():
        return None
    squares = [held[i : i + width].rstrip() for i in range(0, whole, width + 1)]
    if any(" " in square for square in squares):
        return None
    return label.strip(), tuple(square or " " for square in squares)


def _guessed(lines: Sequence[str]) -> tuple[int, int]:
    """Rows and columns of single letters a space apart at the top, (0, 0) if there are none."""
    wide = len(lines[0])
    rows = 0
    for line in lines:
        if len(line) != wide or line[1::2].strip():
            break
        rows += 1
    columns = (wide + 1) // 2
    enough = rows >= LEAST_ROWS and columns >= LEAST_COLUMNS and wide % 2
    return (rows, columns) if enough else (0, 0)
