"""RGB pictures of any world, drawn from its picture in letters and its map."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from powerseek.envs.world import World
from powerseek.types import Ints

Colour: TypeAlias = tuple[int, int, int]
Pixels: TypeAlias = NDArray[np.uint8]
Tiles: TypeAlias = Sequence[Sequence[str]]

MARGIN, GAP, TILE = 12, 8, 48
ADVANCE, LINE = 12, 20
SMALL, LARGE = 15, 36
"""Sizes of the font in pixels, for words and for a square's only letter."""
CELLS = {SMALL: (LINE, ADVANCE), LARGE: (46, 36)}
"""Height and width of a character's cell in pixels, by the size of the font."""
COLUMNS = 40  # characters a line of words
MIN_ROWS, MIN_COLUMNS = 2, 3  # of a board that no map tells of
WIDEST = 4  # letters a square of a board

PAGE: Colour = (255, 255, 255)
INK: Colour = (40, 44, 52)
FAINT: Colour = (176, 172, 162)
FLOOR: Colour = (244, 242, 236)
WALL: Colour = (72, 76, 86)
BRICK: Colour = (98, 102, 114)
ACCENT: Colour = (208, 70, 48)
KINDS: tuple[Colour, ...] = (
    *((250, 205, 125), (164, 212, 152), (236, 160, 150), (162, 194, 236)),
    *((210, 178, 226), (240, 226, 140), (150, 214, 208), (216, 192, 166)),
)
"""Grounds of tiles, by kind in the order of the map."""
FIRST, OTHER, LOST = (30, 92, 190), (168, 104, 28), (190, 40, 40)
"""Discs under the first thing that moves, under others, and under a lost agent."""
CHECKERS: tuple[Colour, Colour] = ((146, 166, 146), (118, 140, 120))
WHITE, BLACK, DOT = (255, 255, 255), (16, 18, 22), (92, 112, 94)
SYMBOLS: tuple[Colour, ...] = (
    *((30, 92, 190), (176, 92, 16), (24, 128, 72), (160, 48, 120)),
    *((190, 40, 40), (96, 84, 190)),
)
"""Inks of the legend's symbols among words."""


class Letter(NamedTuple):
    """One character as drawn, in a cell of its own.

    Attributes:
        character: Which.
        row: Its cell's first row of pixels.
        column: Its cell's first column of pixels.
        size: Of the font: `SMALL` or `LARGE`.
        ink: Its colour, which differs from the ground under it.
    """

    character: str
    row: int
    column: int
    size: int
    ink: Colour


class Drawing(NamedTuple):
    """A picture before it is painted.

    Attributes:
        shape: Height and width in pixels.
        patches: (row, column, height, width, colour) of rectangles, later ones on top.
        letters: What is written on them.
    """

    shape: tuple[int, int]
    patches: list[tuple[int, int, int, int, Colour]]
    letters: list[Letter]


def rgb(world: World, record: Any) -> Pixels:
    """A picture of a record: what `World.render` writes, drawn with colours.

    Squares of a map are coloured by what its tiles are (`World.tiles`) and what moves
    (`World.places`) stands on a disc; where that is White's and Black's the board is chequered and
    pieces have their colours. A world that has no map gets letters, its legend's symbols in colour.

    Args:
        world: Any world.
        record: One record of it.

    Returns:
        [height, width, 3] uint8. The width depends on the world's parameters alone, the height
        on the number of lines of words.
    """
    return paint_drawing(draw_record(world, record))


def paint_drawing(drawn: Drawing) -> Pixels:
    """The pixels of a drawing: [height, width, 3] uint8."""
    pixels = np.empty((*drawn.shape, 3), np.uint8)
    pixels[:] = PAGE
    for row, column, height, width, colour in drawn.patches:
        pixels[row : row + height, column : column + width] = colour
    for letter in drawn.letters:
        height, width = CELLS[letter.size]
        place = pixels[letter.row : letter.row + height, letter.column : letter.column + width]
        over = glyph(letter.character, letter.size)[..., None] / 255
        place[:] = np.rint(place * (1 - over) + np.array(letter.ink) * over)
    return pixels


def fit_pixels(pixels: Pixels, shape: tuple[int, ...]) -> Pixels:
    """The picture on a page of another shape: [height, width, 3], cut or filled at the end."""
    page = np.empty((shape[0], shape[1], 3), np.uint8)
    page[:] = PAGE
    height, width = (min(a, b) for a, b in zip(pixels.shape, shape, strict=False))
    page[:height, :width] = pixels[:height, :width]
    return page


def draw_record(world: World, record: Any) -> Drawing:
    """The drawing that `rgb` paints."""
    params = world.params
    tiles = world.tiles(params)
    board = parse_picture(world.render(params, record), map_shape(tiles))
    rows, columns = map_shape(board.squares)
    widest = max((len(square) for line in board.squares for square in line), default=1)
    tile = max(TILE, ADVANCE * widest + GAP)
    aside = ADVANCE * max(map(len, board.rows), default=0) + (GAP if any(board.rows) else 0)
    width = max(ADVANCE * COLUMNS, columns * tile + aside)
    words = [line for words in board.words for line in _wrapped(words, width // ADVANCE)]
    below = LINE if board.columns else 0
    high = rows * tile + below
    first = MARGIN + high + (GAP if rows and words else 0)
    drawn = Drawing((first + LINE * len(words) + MARGIN, width + 2 * MARGIN), [], [])
    left = MARGIN + aside + (width - columns * tile - aside) // 2
    _draw_board(drawn, world, record, board, tile, left)
    for c, label in enumerate(board.columns):
        at = left + c * tile + (tile - ADVANCE * len(label)) // 2
        _write(drawn, label, MARGIN + rows * tile + 2, at, SMALL, INK)
    _draw_words(drawn, words, world.legend, first)
    return drawn


def _draw_words(drawn: Drawing, lines: Sequence[str], legend: str, top: int) -> None:
    """Lines of text; the legend's symbols in colour where they stand alone."""
    inks = dict(zip(symbols(legend), SYMBOLS * len(legend), strict=False))
    for i, line in enumerate(lines):
        for j, character in enumerate(line):
            beside = line[max(j - 1, 0) : j] + line[j + 1 : j + 2]
            part = character.isdigit() or any(near.isalnum() for near in beside)
            ink = INK if part else inks.get(character, INK)
            _write(drawn, character, top + LINE * i, MARGIN + ADVANCE * j, SMALL, ink)


def _wrapped(line: str, columns: int) -> list[str]:
    return textwrap.wrap(line, columns, break_on_hyphens=False) or [""]


def _write(drawn: Drawing, text: str, row: int, column: int, size: int, ink: Colour) -> None:
    for i, character in enumerate(text):
        if character != " ":
            at = column + i * CELLS[size][1]
            drawn.letters.append(Letter(character, row, at, size, ink))


def _draw_board(
    drawn: Drawing, world: World, record: Any, board: Board, tile: int, left: int
) -> None:
    """Tiles, what stands on them, and the labels of the rows."""
    tiles = world.tiles(world.params)
    kinds = _grounds(tiles)
    one = np.array([record], world.dtype)
    places = world.places(world.params, one) if tiles else {}
    chess = any(name.startswith("White's") for name in places)
    discs = _discs(places)
    for r, (line, label) in enumerate(zip(board.squares, board.rows, strict=True)):
        top = MARGIN + r * tile
        before = left - GAP - ADVANCE * len(label)
        _write(drawn, label, top + (tile - LINE) // 2, before, SMALL, INK)
        for c, square in enumerate(line):
            at = left + c * tile
            thing = discs.get((r, c), None if tiles else _lone(square))
            if chess:
                ground, ink = CHECKERS[(r + c) % 2], _piece(square)
            else:
                ground, ink = _ground(tiles, kinds, r, c, square), _mark(square)
            drawn.patches.append((top, at, tile, tile, ground))
            if thing is not None and not chess:
                ink = WHITE
                _disc(drawn, top, at, tile, LOST if square == "x" else thing)
            size = LARGE if len(square) == 1 else SMALL
            height, width = CELLS[size]
            inside = (tile - width * len(square)) // 2
            _write(drawn, square, top + (tile - height) // 2, at + inside, size, ink)


def _disc(drawn: Drawing, top: int, left: int, tile: int, colour: Colour) -> None:
    """A square with its corners off, which leaves a ring of the ground under it."""
    for cut, inset in ((4, 10), (7, 7), (10, 4)):
        drawn.patches.append((top + cut, left + inset, tile - 2 * cut, tile - 2 * inset, colour))


def _grounds(tiles: Tiles) -> dict[str, Colour]:
    """A ground for each kind of tile but walls and nothing."""
    names = dict.fromkeys(_kind(tile) for line in tiles for tile in line)
    named = [name for name in names if name not in ("", "wall")]
    grounds = {name: KINDS[i % len(KINDS)] for i, name in enumerate(named)}
    return grounds | ({"wall": WALL} if "wall" in names else {})


def _kind(tile: str) -> str:
    """The first word of a tile's name: coin of `coin C2`."""
    return tile.split(" ", 1)[0]


def _ground(tiles: Tiles, kinds: dict[str, Colour], row: int, column: int, square: str) -> Colour:
    if tiles:
        colour = kinds.get(_kind(tiles[row][column]), FLOOR)
    elif square == " ":
        return PAGE
    elif square.isalpha():
        colour = KINDS[ord(square.upper()) % len(KINDS)]
    else:
        colour = FLOOR
    used = square.islower() or square in ". "
    return _mixed(colour, FLOOR) if used and colour not in (FLOOR, WALL) else colour


def _mixed(one: Colour, other: Colour) -> Colour:
    red, green, blue = ((a + 2 * b) // 3 for a, b in zip(one, other, strict=True))
    return red, green, blue


def _mark(square: str) -> Colour:
    """The ink of what is written on a tile."""
    if square == "#":
        return BRICK
    if square == ".":
        return FAINT
    return INK if square[0].isalnum() else ACCENT


def _piece(square: str) -> Colour:
    """The ink of a piece: capitals are White's."""
    if not square.isalpha():
        return DOT if square == "." else ACCENT
    return WHITE if square.isupper() else BLACK


def _lone(square: str) -> Colour | None:
    """The disc under what moves by its letter alone, where there is no map to ask."""
    if square in "@x":
        return FIRST
    return OTHER if square.isdigit() else None


def _discs(places: Mapping[str, tuple[Ints, Ints]]) -> dict[tuple[int, int], Colour]:
    """The disc under whatever moves, by the square it is on; the first one's is on top."""
    discs = {}
    for i, (row, column) in reversed([*enumerate(places.values())]):
        if row[0] >= 0:
            discs[int(row[0]), int(column[0])] = FIRST if i == 0 else OTHER
    return discs


@cache
def glyph(character: str, size: int) -> Pixels:
    """[height, width] coverage, 0 to 255, of a character in the middle of its cell.

    Args:
        character: Which; an empty box where Pillow's own font does not have it.
        size: `SMALL` or `LARGE`, in pixels; the cell is that of `CELLS`.
    """
    height, width = CELLS[size]
    cell = Image.new("L", (width, height))
    font = ImageFont.load_default(size)
    place = width / 2, height - size // 3
    ImageDraw.Draw(cell).text(place, character, 255, font, "ms", stroke_width=size / 50)
    return np.asarray(cell)


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


def parse_picture(picture: str, shape: tuple[int, int] = (0, 0)) -> Board:
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
    squares = next(
        (
            [row for row in at_width if row is not None]
            for at_width in zip(*split, strict=True)
            if None not in at_width
        ),
        [],
    )
    if not rows or len(squares) < rows:
        return Board((), (), (), tuple(lines))
    labels, words = tuple(label for label, _ in squares), lines[rows:]
    below: tuple[str, ...] = ()
    if any(labels) and words and len(words[0].split()) == columns:
        below, words = tuple(words[0].split()), words[1:]
    return Board(tuple(squares for _, squares in squares), labels, below, tuple(words))


def map_shape(tiles: Tiles) -> tuple[int, int]:
    """Rows and columns of a map, (0, 0) if there is none."""
    return (len(tiles), len(tiles[0])) if tiles else (0, 0)


def symbols(legend: str) -> tuple[str, ...]:
    """The single characters that a legend explains, in its order."""
    characters: list[str] = []
    for part in re.split(r"[,;()]", legend):
        for word in part.split():
            if len(word) > 1:
                break
            characters.append(word)
    return tuple(dict.fromkeys(characters))


def _row(line: str, columns: int) -> list[tuple[str, tuple[str, ...]] | None]:
    """(label, squares) of a line read with squares of 1 side by side, then of 1, 2, .. apart."""
    close = (("", tuple(line)) if len(line) == columns else None) if columns else None
    return [close, *(_apart(line, columns, width) for width in range(1, WIDEST + 1))]


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
    enough = rows >= MIN_ROWS and columns >= MIN_COLUMNS and wide % 2
    return (rows, columns) if enough else (0, 0)
