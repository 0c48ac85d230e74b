"""RGB pictures: what is painted is what the picture in letters says, in every world."""

from itertools import pairwise

import gymnasium
import numpy as np
import pytest
from worlds import Ladder, make, random_actions

import powerseek
from powerseek.envs import VecWorld
from powerseek.envs.adapters.gym import WorldEnv, WorldVectorEnv
from powerseek.envs.render import (
    CELLS,
    FIRST,
    FLOOR,
    LARGE,
    LOST,
    MARGIN,
    SMALL,
    TILE,
    WALL,
    Board,
    draw_record,
    fit_pixels,
    glyph,
    paint_drawing,
    parse_picture,
    rgb,
    symbols,
)
from powerseek.registry import worlds

PRINTABLE = [chr(code) for code in range(33, 127)]


def met(world, steps=10, seed=0):
    """States of one copy under random legal actions."""
    vec, draws = VecWorld(world, 1, seed), np.random.default_rng(seed)
    found = []
    for _ in range(steps):
        found.append(vec.states[0].copy())
        vec.step(random_actions(vec, draws))
    return found


def read_back(drawn):
    """Characters by the coverage in the pixels, wherever something was written."""
    pixels, bare = (
        paint_drawing(drawn).astype(float),
        paint_drawing(drawn._replace(letters=[])).astype(float),
    )
    found = ""
    for letter in drawn.letters:
        shapes = np.array([glyph(character, letter.size) for character in PRINTABLE])
        height, width = shapes.shape[1:]
        box = slice(letter.row, letter.row + height), slice(letter.column, letter.column + width)
        contrast = np.subtract(letter.ink, bare[box])
        covered = ((pixels - bare)[box] * contrast).sum(axis=-1) / (contrast**2).sum(axis=-1)
        off = np.abs(shapes / 255 - covered).max(axis=(1, 2))
        assert off.min() < 0.03  # pixels are whole numbers
        found += PRINTABLE[off.argmin()]
    return found


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_every_character_has_a_shape_of_its_own_within_its_cell(size):
    shapes = {glyph(character, size).tobytes(): character for character in PRINTABLE}
    assert len(shapes) == len(PRINTABLE)
    for character in PRINTABLE:
        shape = glyph(character, size)
        assert shape.shape == CELLS[size]
        assert shape.max() > 127
        assert not shape[[0, -1]].any(), character
    assert not glyph(" ", size).any()
    # What the font lacks is an empty box.
    assert (glyph("\ue000", size) == glyph("\ue001", size)).all()
    assert glyph("\ue000", size).max() > 127


@pytest.mark.parametrize("name", [*powerseek.list_worlds(), "ladder"])
def test_what_is_painted_reads_as_the_picture_in_letters(name):
    world = make(name)
    painted = {}
    for record in met(world):
        text = world.render(world.params, record)
        drawn = draw_record(world, record)
        pixels, letters = rgb(world, record), drawn.letters
        assert pixels.dtype == np.uint8
        assert pixels.ndim == 3
        assert pixels.shape[2] == 3
        assert (pixels == rgb(world, record)).all()
        assert read_back(drawn) == "".join(text.split())
        assert all(b.row > a.row or b.column > a.column for a, b in pairwise(letters))
        painted.setdefault(text, set()).add(pixels.tobytes())
    if name != "ladder":
        assert len(painted) > 1
    looks = [look for found in painted.values() for look in found]
    assert len(looks) == len(set(looks))


@pytest.mark.parametrize("name", powerseek.list_worlds())
def test_a_video_of_any_world_has_frames_of_one_shape_and_cuts_nothing(name):
    env = WorldEnv(name, render_mode="rgb_array")
    assert env.render() is None
    _, info = env.reset(seed=1)
    first = env.render()
    envs = WorldVectorEnv(3, name, render_mode="rgb_array")
    assert envs.render() is None
    envs.reset(seed=1)
    frames = envs.render()
    assert isinstance(frames, tuple)
    assert len(frames) == 3
    assert all(frame.shape == frames[0].shape for frame in frames)
    assert (frames[0][: len(first)] == first[: len(frames[0])]).all()
    draws = np.random.default_rng(0)
    for _ in range(20):
        *_, terminated, truncated, info = env.step(
            int(draws.choice(np.flatnonzero(info["action_mask"])))
        )
        if terminated or truncated:
            _, info = env.reset()
        frame = env.render()
        assert frame.shape == first.shape
        state = env._envs.states[0]
        whole = rgb(env.task.world, state)
        assert whole.shape[0] <= frame.shape[0]
        assert whole.shape[1] == frame.shape[1]
        assert (frame[: whole.shape[0]] == whole).all()
    env.close()
    envs.close()


class Talkative(Ladder):
    """Ladder with a line of words for every rung."""

    id = "test.talkative"

    @staticmethod
    def render(params, record):
        return "\n".join(["rung"] * (1 + int(record["height"])))


def test_frames_keep_their_shape_while_the_words_grow(monkeypatch):
    monkeypatch.setitem(worlds._entries, "test.talkative", Talkative)
    env = WorldEnv("test.talkative", render_mode="rgb_array", slip=0.0)
    env.reset(seed=0)
    first, seen = env.render(), set()
    for _ in range(2):
        env.step(0)
        seen.add(len(rgb(env.task.world, env._envs.states[0])))
        assert env.render().shape == first.shape
    assert len(seen) == 2
    envs = WorldVectorEnv(4, "test.talkative", render_mode="rgb_array", slip=0.5)
    envs.reset(seed=0)
    for _ in range(2):
        envs.step(np.zeros(4, int))
        assert len({frame.shape for frame in envs.render()}) == 1
    assert len({len(rgb(env.task.world, state)) for state in envs._envs.states}) > 1


def test_gymnasium_collects_frames():
    env = gymnasium.make("powerseek/Dropbox-v0", render_mode="rgb_array")
    assert env.metadata["render_modes"] == ["ansi", "rgb_array"]
    env = gymnasium.wrappers.RenderCollection(env)
    env.reset(seed=0)
    env.step(0)
    frames = env.render()
    assert len(frames) == 2
    assert frames[0].shape == frames[1].shape


def tile(pixels, row, column, left):
    """Ground, a pixel inside the corner, and the disc, if any, of a tile."""
    top, at = MARGIN + row * TILE, left + column * TILE
    return tuple(int(x) for x in pixels[top + 1, at + 1]), tuple(
        int(x) for x in pixels[top + TILE // 2, at + 5]
    )


def test_walls_floor_and_agent_of_the_off_switch():
    world = powerseek.make_world("off-switch")
    record = met(world, 1)[0]
    pixels = rgb(world, record)
    left = (pixels.shape[1] - 8 * TILE) // 2
    assert tile(pixels, 0, 0, left) == (WALL, WALL)
    assert tile(pixels, 3, 3, left) == (FLOOR, FLOOR)
    assert tile(pixels, 2, 6, left)[1] == FIRST
    record["interrupted"] = 1
    assert tile(rgb(world, record), 2, 6, left)[1] == LOST


@pytest.mark.parametrize("openness", [0, 2])
def test_tiles_of_one_kind_look_alike_and_of_two_kinds_do_not(openness):
    world = powerseek.make_world("homestead", openness=openness)
    pixels = rgb(world, met(world, 1)[0])
    tiles = world.tiles(world.params)
    left = (pixels.shape[1] - len(tiles[0]) * TILE) // 2
    grounds = {}
    for r, line in enumerate(tiles):
        for c, kind in enumerate(line):
            grounds.setdefault(kind, set()).add(tile(pixels, r, c, left)[0])
    assert all(len(colours) == 1 for colours in grounds.values())
    assert len({colour for colours in grounds.values() for colour in colours}) == len(grounds)


def test_pieces_are_in_their_colours_on_a_chequered_board():
    world = powerseek.make_world("minichess")
    record = met(world, 1)[0]
    inks = {letter.character: letter.ink for letter in draw_record(world, record).letters}
    assert {inks[piece] for piece in "KQRBNP"} == {(255, 255, 255)}
    assert len({inks[piece] for piece in "kqr"}) == 1
    assert inks["k"] != inks["K"]
    left = (rgb(world, record).shape[1] - 5 * TILE) // 2 + 10
    grounds = [tile(rgb(world, record), 2, c, left)[0] for c in range(5)]
    assert grounds[0] == grounds[2] == grounds[4] != grounds[1] == grounds[3]


def test_a_world_without_a_picture_of_its_own_gets_its_fields():
    world = Ladder()
    record = met(world, 1)[0]
    assert read_back(draw_record(world, record)) == "".join(str(record).split())


@pytest.mark.parametrize(
    ("picture", "shape", "expected"),
    [
        ("@ S\n. o\nx 1", (2, 2), Board((("@", "S"), (".", "o")), ("", ""), (), ("x 1",))),
        ("#@ \n# G", (2, 3), Board((("#", "@", " "), ("#", " ", "G")), ("", ""), (), ())),
        (
            "11 k . \n 9 . K\n   a b\nmate",
            (2, 2),
            Board((), (), (), ("11 k . ", " 9 . K", "   a b", "mate")),
        ),
        (
            "11 k .\n 9 . K\n   a b\nmate",
            (2, 2),
            Board((("k", "."), (".", "K")), ("11", "9"), ("a", "b"), ("mate",)),
        ),
        ("@  C2 #\nSD4 .  #", (2, 3), Board((), (), (), ("@  C2 #", "SD4 .  #"))),
        (
            "@   C2  #\nSD4 .   #",
            (2, 3),
            Board((("@", "C2", "#"), ("SD4", ".", "#")), ("", ""), (), ()),
        ),
        (
            ". @ T\n    W\ngrain 1",
            (0, 0),
            Board(((".", "@", "T"), (" ", " ", "W")), ("", ""), (), ("grain 1",)),
        ),
        ("at k .\nat . K", (2, 2), Board((), (), (), ("at k .", "at . K"))),
        ("a b\nc d", (0, 0), Board((), (), (), ("a b", "c d"))),
        ("what a day", (0, 0), Board((), (), (), ("what a day",))),
        ("", (0, 0), Board((), (), (), ("",))),
    ],
)
def test_taking_apart(picture, shape, expected):
    assert parse_picture(picture, shape) == expected


def test_symbols_of_a_legend():
    assert symbols("@ agent (x off), K R king, rook; * a unit") == ("@", "x", "K", "R", "*", "a")
    assert symbols("") == ()


def test_a_page_of_another_shape_cuts_and_fills():
    pixels = np.full((4, 6, 3), 7, np.uint8)
    assert (fit_pixels(pixels, (4, 6)) == pixels).all()
    assert fit_pixels(pixels, (2, 6)).shape == (2, 6, 3)
    page = fit_pixels(pixels, (5, 8))
    assert (page[:4, :6] == 7).all()
    assert (page[4] == 255).all()
    assert (page[:, 6:] == 255).all()
