"""Every world in one picture: ``python -m benchmarks.gallery [docs/worlds.png]``.

A card a world: what it is, a moment of its hoarder's longest episode, what the letters mean. Run it
again whenever a world is added or looks different.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import powerseek
from powerseek.envs import VecWorld, World, script
from powerseek.envs.render import MARGIN, rgb

COPIES, LONGEST = 64, 400
MOMENT = 0.6
"""How far into its episode the hoarder is shown."""
COLUMNS, PAD, GAP = 3, 16, 20
WIDTH = 560
"""Pixels of a card; wider pictures are made smaller."""
TITLE, TEXT, LEGEND = 22, 15, 13
INK, FAINT, GROUND, FRAME = (28, 30, 36), (104, 106, 112), (255, 255, 255), (222, 222, 218)
COLOURS = 128


def moment(world: World) -> Any:
    """A record from the middle of the longest of some episodes of the hoarder."""
    copies = VecWorld(world, COPIES, seed=0)
    going, met = np.ones(COPIES, bool), [copies.states.copy()]
    for _ in range(min(world.max_steps, LONGEST)):
        copies.step(script(world, "hoarder", copies.states))
        going &= ~(copies.terminated | copies.truncated)
        if not going.any():
            break
        met.append(copies.states.copy())
        longest = int(going.argmax())
    return met[int(MOMENT * len(met))][longest if len(met) > 1 else 0]


def card(name: str, width: int = WIDTH) -> Image.Image:
    """One world: id, first line of its docstring, picture and legend, [height, width]."""
    world = powerseek.make_world(name)
    picture = Image.fromarray(rgb(world, moment(world)))
    if picture.width > width:
        size = (width, picture.height * width // picture.width)
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    about = (type(world).__doc__ or "").strip().splitlines()[0]
    page = Image.new("RGB", (width, 4000), GROUND)
    draw, row = ImageDraw.Draw(page), PAD
    row = _write(draw, name, row, width, TITLE, INK)
    row = _write(draw, about, row + 2, width, TEXT, FAINT)
    page.paste(picture, (PAD - MARGIN if picture.width < width else 0, row))
    row = _write(draw, world.legend, row + picture.height, width, LEGEND, FAINT) + PAD
    draw.rectangle((0, 0, width - 1, row - 1), outline=FRAME)
    return page.crop((0, 0, width, row))


def gallery(names: list[str]) -> Image.Image:
    """All cards in columns, each under the shortest so far."""
    cards = [card(name) for name in names]
    heights, placed = [GAP] * COLUMNS, []
    for one in cards:
        column = int(np.argmin(heights))
        placed.append((GAP + column * (WIDTH + GAP), heights[column]))
        heights[column] += one.height + GAP
    page = Image.new("RGB", (COLUMNS * (WIDTH + GAP) + GAP, max(heights)), (246, 246, 244))
    for one, place in zip(cards, placed, strict=True):
        page.paste(one, place)
    return page


def main() -> None:
    """Draw the worlds that are registered here."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gallery", description=__doc__)
    parser.add_argument("path", nargs="?", type=Path, default=Path("docs/worlds.png"))
    path = parser.parse_args().path
    page = gallery(powerseek.list_worlds()).quantize(COLOURS)
    page.save(path, optimize=True)
    print(f"{path}: {page.width} x {page.height}, {path.stat().st_size / 1000:.0f} kB")


def _write(draw: ImageDraw.ImageDraw, text: str, row: int, width: int, size: int, ink: Any) -> int:
    """Write a paragraph from `row` on; the row below it."""
    font = ImageFont.load_default(size)
    line = ""
    for word in [*text.split(), ""]:
        longer = f"{line} {word}".strip()
        if line and (not word or draw.textlength(longer, font) > width - 2 * PAD):
            draw.text((PAD, row), line, ink, font)
            row, longer = row + size * 4 // 3, word
        line = longer
    return row


if __name__ == "__main__":
    main()
