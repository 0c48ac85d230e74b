"""Small chess against published perft numbers, an outside referee, and its own symmetries."""

import hashlib
import json
import os
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import numba
import numpy as np
import pyffish
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from known import known

from powerseek.envs import VecWorld
from powerseek.envs.engine.compile import uncompiled
from powerseek.envs.world import Fact, Param, World, columns
from powerseek.envs.worlds.minichess.board import (
    BLACK,
    KINDS,
    PAWN,
    VARIANTS,
    WHITE,
    Position,
    action_names,
    ascii,
    chessboard,
    lone_moves,
    make_chessboard,
    square_names,
    write_fen,
)
from powerseek.envs.worlds.minichess.rules import (
    MATED,
    PLAYING,
    STALEMATE,
    after,
    in_check,
    legal_mask,
    legal_moves,
    make,
    moves,
    outcome,
    parse,
    perft,
)
from powerseek.errors import InvalidInput

REFEREE = {"gardner": "gardner", "malett": "gardner", "baby": "gardner", "losalamos": "losalamos"}
variants = pytest.mark.parametrize("variant", VARIANTS)
FEW = "gardner", "losalamos"
few_variants = pytest.mark.parametrize(
    "variant", [pytest.param(x, marks=[pytest.mark.slow] * (x not in FEW)) for x in VARIANTS]
)


@lru_cache(maxsize=16)
def walk(variant, n, seed, longest=150):
    """n positions of random games from the start, mates and stalemates included."""
    b, start = chessboard(variant), parse(VARIANTS[variant].fen, variant)
    rng = np.random.default_rng(seed)
    met, position, plies = [], start, 0
    while len(met) < n:
        met.append(position)
        legal = np.flatnonzero(legal_mask(b, position))
        if len(legal) == 0 or plies == longest:
            position, plies = start, 0
        else:
            position, plies = after(b, position, rng.choice(legal)), plies + 1
    return tuple(met)


def counts(variant, fen, depth):
    return [perft(chessboard(variant), parse(fen, variant), d) for d in range(1, depth + 1)]


def referee_moves(variant, position, played=()):
    return pyffish.legal_moves(REFEREE[variant], f"{write_fen(position)} - - 0 1", list(played))


def referee_perft(variant, position, depth):
    def count(played, left):
        found = referee_moves(variant, position, played)
        return len(found) if left == 1 else sum(count((*played, m), left - 1) for m in found)

    return count((), depth)


def test_perft_of_gardner():
    case = known("perft_gardner5x5")
    expected = case.expected["perft"]
    assert counts("gardner", case.spec["fen"], len(expected)) == expected
    assert VARIANTS["gardner"].fen == case.spec["fen"]


def test_perft_of_malett_and_baby():
    case = known("perft_malett_baby5x5")
    for variant, fen in case.spec["fens"].items():
        expected = case.expected[variant]
        assert counts(variant, fen, len(expected)) == expected
        assert VARIANTS[variant].fen == fen


def test_perft_of_los_alamos():
    case = known("perft_losalamos6x6")
    expected = [*case.expected["perft"], case.expected["perft6"]]
    assert counts("losalamos", case.spec["fen"], 6) == expected
    expected = case.expected["promotion_perft"]
    assert counts("losalamos", case.spec["promotion_fen"], len(expected)) == expected
    assert VARIANTS["losalamos"].fen == case.spec["fen"]


def test_mobility_on_an_empty_board():
    expected = known("mobility_empty_board").expected
    assert {n: lone_moves(int(n)) for n in expected} == expected


@pytest.mark.parametrize("n", range(3, 9))
def test_mobility_is_its_closed_form(n):
    rook, bishop = 2 * n**2 * (n - 1), 2 * n * (n - 1) * (2 * n - 1) // 3
    forms = {"K": 4 * (n - 1) * (2 * n - 1), "N": 8 * (n - 1) * (n - 2)}
    forms |= {"R": rook, "B": bishop, "Q": rook + bishop}
    assert lone_moves(n) == forms


@pytest.mark.parametrize("depth", [4, pytest.param(5, marks=pytest.mark.slow)])
@few_variants
def test_the_referee_counts_the_same_perft(variant, depth):
    start = parse(VARIANTS[variant].fen, variant)
    assert perft(chessboard(variant), start, depth) == referee_perft(variant, start, depth)


def agree_with_the_referee(variant, positions):
    """Compare moves, check and outcome; returns what happened how often."""
    b = chessboard(variant)
    names = np.array(action_names(b))
    seen = dict.fromkeys(("check", "promotion", PLAYING, MATED, STALEMATE), 0)
    for i, position in enumerate(positions):
        board, side = position
        mine = names[legal_mask(b, position)].tolist()
        assert sorted(mine) == sorted(referee_moves(variant, position)), ascii(board)
        fen = f"{write_fen(position)} - - 0 1"
        check = bool(in_check(b, board, side))
        # The referee takes a millisecond a question.
        if i % 3 == 0 or not mine:
            assert check == pyffish.gives_check(REFEREE[variant], fen, []), ascii(board)
        result = outcome(b, board, side)
        if mine:
            assert result == PLAYING
        else:
            verdict = pyffish.game_result(REFEREE[variant], fen, [])
            expected = {-pyffish.VALUE_MATE: MATED, pyffish.VALUE_DRAW: STALEMATE}[verdict]
            assert result == expected, ascii(board)
        seen[result] += 1
        seen["check"] += check
        seen["promotion"] += any(len(name) == 5 for name in mine)
    return seen


@few_variants
def test_moves_check_and_outcome_are_the_referees(variant):
    seen = agree_with_the_referee(variant, walk(variant, 800, seed=1))
    assert seen["check"] > 20
    assert seen["promotion"] > 8
    assert seen[MATED] > 0


@pytest.mark.slow
@variants
def test_moves_check_and_outcome_are_the_referees_on_many_positions(variant):
    seen = agree_with_the_referee(variant, walk(variant, 10_000, seed=2))
    assert min(seen.values()) > 0


@pytest.mark.parametrize(
    ("fen", "variant", "expected"),
    [
        ("k1R2/5/1K3/5/5 b", "gardner", MATED),
        ("k4/2Q2/5/5/4K b", "gardner", STALEMATE),
        ("k1R2/5/5/5/K4 b", "gardner", PLAYING),
        ("5/5/1q3/4k/K4 w", "gardner", STALEMATE),
        ("k3R1/6/1K4/6/6/6 b", "losalamos", MATED),
    ],
)
def test_mate_and_stalemate_by_hand(fen, variant, expected):
    board, side = position = parse(fen, variant)
    assert outcome(chessboard(variant), board, side) == expected
    agree_with_the_referee(variant, [position])


def test_moves_by_hand():
    """A pinned rook keeps its line; a pawn takes aside, promotes, and makes no double step."""
    b = chessboard("gardner")
    #  5 r . n . k
    #  4 . P . . .     The rook on a3 shields a1: it moves on column a only. The pawn b4 pushes
    #  3 R . . . .     or takes on a5 and c5, each with four promotions; d2 has one step.
    #  2 . . . P .
    #  1 K . . . .
    found = legal_moves(b, parse("r1n1k/1P3/R4/3P1/K4 w"))
    assert {m for m in found if m[:2] == "a3"} == {"a3a2", "a3a4", "a3a5"}
    assert {m for m in found if m[:2] == "b4"} == {f"b4{t}5{p}" for t in "abc" for p in "qrbn"}
    assert {m for m in found if m[:2] == "d2"} == {"d2d3"}


@variants
@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_move_obeys_the_laws(variant, seed):
    """No king left in check, one piece moved, at most one taken, kings and promotions kept."""
    b = chessboard(variant)
    size = b.size
    for board, side in walk(variant, 40, seed):
        out = np.zeros(len(b.start), bool)
        before = board.copy()
        assert moves(b, board, side, out) == out.sum() == moves(b, board, side, None)
        assert np.array_equal(board, before)
        assert not in_check(b, board, -side)
        for a in np.flatnonzero(out):
            then = board.copy()
            captured = make(b, then, a)
            mover, became = board[b.start[a]] * side, then[b.target[a]] * side
            assert not in_check(b, then, side)
            assert captured == -side * board[b.target[a]]
            assert (then != board).sum() == 2
            assert then[b.start[a]] == 0
            assert mover > 0
            assert became == (b.promoted[a] or mover)
            last_row = b.target[a] // size == (size - 1 if side == WHITE else 0)
            assert (b.promoted[a] > 0) == (mover == PAWN and last_row)
            assert np.count_nonzero(then) == np.count_nonzero(board) - (captured > 0)
            assert sorted(abs(then[abs(then) == 6])) == [6, 6]


def flipped(position, size):
    """The same with colours changed and the board turned upside down."""
    board = -position.board.reshape(size, size)[::-1]
    return Position(np.ascontiguousarray(board).ravel(), -position.side)


def mirrored(position, size):
    """The same with left and right changed."""
    board = position.board.reshape(size, size)[:, ::-1]
    return Position(np.ascontiguousarray(board).ravel(), position.side)


@variants
@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1))
def test_colours_and_sides_are_symmetric(variant, seed):
    b = chessboard(variant)
    n = b.size
    names = np.array(action_names(b))
    digits, letters = "".join(map(str, range(1, n + 1))), "abcdefgh"[:n]
    upside_down = str.maketrans(digits, digits[::-1])

    def other_side(name):
        return name[:4].translate(str.maketrans(letters, letters[::-1])) + name[4:]

    for position in walk(variant, 60, seed)[::3]:
        mine = set(names[legal_mask(b, position)])
        flip, mirror = flipped(position, n), mirrored(position, n)
        assert {name.translate(upside_down) for name in mine} == set(names[legal_mask(b, flip)])
        assert {other_side(name) for name in mine} == set(names[legal_mask(b, mirror)])
        assert perft(b, position, 2) == perft(b, flip, 2) == perft(b, mirror, 2)


@variants
def test_perft_adds_up_over_the_moves(variant):
    b = chessboard(variant)
    for position in walk(variant, 200, seed=4)[::10]:
        legal = np.flatnonzero(legal_mask(b, position))
        children = [after(b, position, a) for a in legal]
        assert perft(b, position, 0) == 1
        assert perft(b, position, 1) == len(legal)
        assert perft(b, position, 3) == sum(perft(b, child, 2) for child in children)


@pytest.mark.parametrize(
    ("variant", "actions", "pushes"),
    [
        ("gardner", 520, ["a4a5", "a4a5q", "a4a5r", "a4a5b", "a4a5n"]),
        ("losalamos", 836, ["a5a6", "a5a6q", "a5a6r", "a5a6n"]),
    ],
)
def test_the_numbering_of_moves(variant, actions, pushes):
    """Every step of queen and knight, and the promotions: 13 or 16 pawn steps a side."""
    b = chessboard(variant)
    n, kinds = b.size, len(b.promotions)
    steps = lone_moves(n)["Q"] + lone_moves(n)["N"] + 2 * (3 * n - 2) * kinds
    assert len(b.start) == len(b.target) == len(b.promoted) == steps == actions
    names = action_names(b)
    assert len(set(names)) == actions
    squares = square_names(n)
    for a, name in enumerate(names):
        if b.promoted[a]:
            nth = b.promotions.tolist().index(b.promoted[a])
            assert b.promoting[b.start[a], b.target[a]] + nth == a
        else:
            assert b.plain[b.start[a], b.target[a]] == a
        assert name[:4] == squares[b.start[a]] + squares[b.target[a]]
    assert names[0] == "a1b1"
    assert [name for name in names if name.startswith(pushes[0])] == pushes
    keys = [(b.start[a], b.target[a], b.promoted[a] > 0) for a in range(actions)]
    assert keys == sorted(keys)


INTERPRETED = """
import json, sys
sys.path[:0] = {paths!r}
from powerseek.envs.engine.chance import INTERPRETED
from test_minichess_rules import digest
print(json.dumps([INTERPRETED, digest()]))
"""


def digest():
    """Of what the rules say of a random game of each variant."""
    found = hashlib.sha256()
    for name, variant in VARIANTS.items():
        b, (board, side) = chessboard(name), parse(variant.fen, name)
        found.update(repr(perft(b, parse(variant.fen, name), 2)).encode())
        rng = np.random.default_rng(7)
        for _ in range(100):
            out = np.zeros(len(b.start), bool)
            n = moves(b, board, side, out)
            found.update(out.tobytes())
            facts = (n, bool(in_check(b, board, side)), outcome(b, board, side))
            found.update(repr(tuple(map(int, facts))).encode())
            if n == 0:
                break
            captured = make(b, board, rng.choice(np.flatnonzero(out)))
            found.update(board.tobytes() + repr(int(captured)).encode())
            side = -side
    return found.hexdigest()


def test_compiled_equals_interpreted():
    here = Path(__file__).parent
    source = str(here.parents[2] / "src")
    done = subprocess.run(
        [sys.executable, "-c", INTERPRETED.format(paths=[str(here.parents[1]), str(here)])],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": source, "NUMBA_DISABLE_JIT": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    interpreted, found = json.loads(done.stdout.splitlines()[-1])
    assert interpreted
    assert hasattr(moves, "py_func")  # compiled here
    assert found == digest()


class _Game(World):
    """Both sides by turns: the rules as a world calls them."""

    id = "minichess-of-a-test"
    parameters = {"max_steps": Param(60)}
    state = (("board", "i8", (25,)), ("side", "i8"))
    facts = (Fact("progress"), Fact("success"), Fact("over"))

    @staticmethod
    def prepare(params):
        first = parse(VARIANTS["gardner"].fen).board
        return {**chessboard("gardner")._asdict(), "first": first}

    @staticmethod
    def actions(params):
        return action_names(chessboard("gardner"))

    @staticmethod
    def observation(params):
        return ("side",)

    @staticmethod
    def initial(p, s, c):
        for square in range(25):
            s.board[square] = p.first[square]
        s.side = 1

    @staticmethod
    def transition(p, s, a, c):
        make(p, s.board, a)
        s.side = -s.side

    @staticmethod
    def legal(p, s, out):
        moves(p, s.board, s.side, out)

    @staticmethod
    def observe(p, s, out):
        out[0] = s.side

    @staticmethod
    def measure(p, s, out):
        result = outcome(p, s.board, s.side)
        out[F.success] = 1.0 if result == MATED else 0.0
        out[F.over] = 0.0 if result == PLAYING else 1.0


F = columns(*_Game.facts)


@numba.njit
def _turn(p, s, a, out):
    """What a world's transition and legal would do."""
    make(p, s.board, a)
    s.side = -s.side
    return moves(p, s.board, s.side, out)


def test_compiled_rules_read_and_write_a_record():
    b, position = chessboard("gardner"), parse(VARIANTS["gardner"].fen)
    record = np.zeros(1, np.dtype(list(_Game.state))).view(np.recarray)
    record["board"], record["side"] = position
    rng = np.random.default_rng(3)
    for _ in range(20):
        a = rng.choice(np.flatnonzero(legal_mask(b, position)))
        out = np.zeros(len(b.start), bool)
        assert _turn(b, record[0], a, out) == out.sum()
        position = after(b, position, a)
        assert np.array_equal(record["board"][0], position.board)
        assert record["side"][0] == position.side
        assert np.array_equal(out, legal_mask(b, position))


@pytest.mark.slow
def test_a_world_can_call_the_rules():
    b = chessboard("gardner")
    vec = VecWorld(_Game(), 8, seed=0)
    rng = np.random.default_rng(0)
    for _ in range(30):
        for i in range(8):
            position = Position(vec.states[i]["board"].copy(), int(vec.states[i]["side"]))
            assert np.array_equal(vec.masks[i], legal_mask(b, position))
        vec.step((rng.random(vec.masks.shape) * vec.masks).argmax(axis=1))


@variants
def test_rules_as_plain_python_are_the_compiled_ones(variant):
    b = chessboard(variant)
    plain_mask, plain_after = uncompiled(legal_mask), uncompiled(after)
    for position in walk(variant, 300, seed=9)[::10]:
        mask = legal_mask(b, position)
        assert np.array_equal(plain_mask(b, position), mask)
        for a in np.flatnonzero(mask)[::5]:
            ours, theirs = plain_after(b, position, a), after(b, position, a)
            assert np.array_equal(ours.board, theirs.board)
            assert ours.side == theirs.side


@variants
def test_text_round_trips(variant):
    for position in walk(variant, 300, seed=9):
        again = parse(write_fen(position), variant)
        assert np.array_equal(again.board, position.board)
        assert again.side == position.side


def test_a_picture():
    assert ascii(parse("k4/5/2P2/5/4K b").board) == (
        "5 k . . . .\n4 . . . . .\n3 . . P . .\n2 . . . . .\n1 . . . . K\n  a b c d e"
    )


@pytest.mark.parametrize(
    ("fen", "variant"),
    [
        ("rnbqk/ppppp/5/PPPPP/RNBQK", "gardner"),
        ("rnbqk/ppppp/5/PPPPP/RNBQK x", "gardner"),
        ("rnbqk/ppppp/5/PPPPP/RNBQK w KQ - 0 1", "gardner"),
        ("rnbqk/ppppp/5/PPPPP/RNBQK w - e3", "gardner"),
        ("", "gardner"),
        ("rnbqk/ppppp/5/PPPPP w", "gardner"),
        ("rnbqk/ppppp/6/PPPPP/RNBQK w", "gardner"),
        ("rnbqk/ppppp/5/PPPPP/RNBQX w", "gardner"),
        ("rnbqr/ppppp/5/PPPPP/RNBQK w", "gardner"),
        ("rnbqk/ppppp/5/PPPPP/RNKQK w", "gardner"),
        ("k3P/5/5/5/4K w", "gardner"),
        ("k4/5/5/5/p3K w", "gardner"),
        ("k4/5/5/5/R3K w", "gardner"),
        ("5/5/1kK2/5/5 w", "gardner"),
        ("k5/6/6/6/6/B4K w", "losalamos"),
        ("rnbqk/ppppp/5/PPPPP/RNBQK w", "losalamos"),
        ("rnbqk/ppppp/5/PPPPP/RNBQK w", "chess"),
    ],
)
def test_a_wrong_fen_is_refused(fen, variant):
    with pytest.raises(InvalidInput):
        parse(fen, variant)


def test_counters_may_stand_in_a_fen():
    assert parse("k4/5/5/5/4K b - - 3 17").side == BLACK


def test_wrong_calls_are_refused():
    b, start = chessboard("gardner"), parse(VARIANTS["gardner"].fen)
    six = parse(VARIANTS["losalamos"].fen, "losalamos")
    taken = Position(parse("k4/5/5/5/4K w").board.copy(), WHITE)
    taken.board[20 - 5] = KINDS.index("R")
    calls = [
        lambda: perft(b, start, -1),
        lambda: perft(b, start, 2.5),
        lambda: perft(b, six, 1),
        lambda: perft(b, taken, 1),
        lambda: legal_moves(b, Position(start.board, 0)),
        lambda: after(b, start, 0),
        lambda: after(b, start, -1),
        lambda: after(b, start, 520),
        lambda: lone_moves(2),
        lambda: lone_moves(9),
        lambda: make_chessboard(5, "QQ"),
        lambda: make_chessboard(5, "QK"),
    ]
    for call in calls:
        with pytest.raises(InvalidInput):
            call()
