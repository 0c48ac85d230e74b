"""The world minichess against published perft, an outside referee and plain searches."""

import json
import os
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyffish
import pytest
from known import known
from worlds import random_actions

from powerseek.agents import RandomPolicy, ScriptedPolicy, rollout
from powerseek.envs import VecWorld, describe, expand, initial_branches
from powerseek.envs.task import Task
from powerseek.envs.worlds.minichess.board import (
    BLACK,
    KINDS,
    VARIANTS,
    WHITE,
    Position,
    chessboard,
    write_fen,
)
from powerseek.envs.worlds.minichess.opponents import ENOUGH, MATE, VALUE
from powerseek.envs.worlds.minichess.rules import after, in_check, legal_mask, outcome, parse
from powerseek.envs.worlds.minichess.world import DRAWN, LOST, PLAYING, WON
from powerseek.errors import InvalidInput
from powerseek.exact import enumerate_world, oracle
from powerseek.registry import make_world

REFEREE = {"gardner": "gardner", "malett": "gardner", "baby": "gardner", "losalamos": "losalamos"}
SIDES = {"white": WHITE, "black": BLACK}
variants = pytest.mark.parametrize("variant", VARIANTS)


@lru_cache
def game(**params):
    return make_world("minichess", **params)


def board_of(world, record):
    return np.array(record["board"])[: chessboard(world.params.variant).size ** 2]


def position_of(world, record):
    """The agent is to move in a standing record."""
    return Position(board_of(world, record), SIDES[world.params.colour])


def record_of(world, fen):
    """One record with this board, the agent to move."""
    records = world.records(1)
    board = parse(fen, world.params.variant).board
    records["board"][0, : len(board)] = board
    return records


@lru_cache
def met(n, seed, **params):
    """n standing records of random play."""
    world = game(**params)
    vec, rng = VecWorld(world, 32, seed), np.random.default_rng(seed)
    found = [vec.states.copy()]
    while sum(map(len, found)) < n:
        vec.step(random_actions(vec, rng))
        found.append(vec.states.copy())
    return np.concatenate(found)[:n]


def fact(world, facts, name):
    return facts[..., world.columns(name).start]


# Moves.


def world_perft(variant, depth):
    """[1 .. depth] through the world's own legal moves and replies."""
    world = game(variant=variant)
    records, counts = initial_branches(world)[0], []
    while len(counts) < depth:
        parts = [records[i : i + 200] for i in range(0, len(records), 200)]
        counts.append(sum(int(describe(world, part)[1].sum()) for part in parts))
        if len(counts) == depth:
            break
        ends = [expand(world, part) for part in parts]
        replied = sum(int((~ended_by_agent(world, edges)).sum()) for edges in ends)
        counts.append(replied)
        kept = [edges.records[edges.records["outcome"] == PLAYING] for edges in ends]
        records = np.concatenate(kept)
    return counts


def ended_by_agent(world, edges):
    """Which edges the opponent had no move on."""
    ended = np.zeros(len(edges.source), bool)
    for i in np.flatnonzero(edges.records["outcome"] != PLAYING):
        other = Position(board_of(world, edges.records[i]), -SIDES[world.params.colour])
        still = edges.records[i]["outcome"] in (WON, DRAWN)
        ended[i] = still and outcome(chessboard(world.params.variant), *other) != PLAYING
    return ended


@pytest.mark.parametrize(
    ("variant", "depth"),
    [
        ("gardner", 5),
        ("malett", 5),
        ("baby", 5),
        ("losalamos", 4),
        pytest.param("losalamos", 6, marks=pytest.mark.slow),
    ],
)
def test_the_world_counts_the_published_perft(variant, depth):
    case = {"gardner": "perft_gardner5x5", "losalamos": "perft_losalamos6x6"}.get(variant)
    if case is None:
        expected = known("perft_malett_baby5x5").expected[variant]
    else:
        found = known(case).expected
        expected = [*found["perft"], *([found["perft6"]] if depth == 6 else [])]
    assert world_perft(variant, depth) == expected[:depth]


def agree_with_the_referee(variant, n, seed, colour="white"):
    world = game(variant=variant, colour=colour)
    records = met(n, seed, variant=variant, colour=colour)
    masks, names = describe(world, records)[1], np.array(world.action_names)
    for record, mask in zip(records, masks, strict=True):
        fen = f"{write_fen(position_of(world, record))} - - 0 1"
        assert set(names[mask]) == set(pyffish.legal_moves(REFEREE[variant], fen, [])), fen


@pytest.mark.parametrize(
    ("variant", "colour"), [("gardner", "white"), ("gardner", "black"), ("losalamos", "white")]
)
def test_the_mask_is_the_referees(variant, colour):
    agree_with_the_referee(variant, 300, 1, colour)


@pytest.mark.slow
@variants
def test_the_mask_is_the_referees_on_many_positions(variant):
    agree_with_the_referee(variant, 10_000, 2)


def verdict(world, record):
    """The referee's word on a record, seen by the agent."""
    variant, side = world.params.variant, SIDES[world.params.colour]
    for mover in (side, -side):
        position = Position(board_of(world, record), mover)
        if in_check(chessboard(variant), position.board, -mover):
            continue
        fen = f"{write_fen(position)} - - 0 1"
        if not pyffish.legal_moves(REFEREE[variant], fen, []):
            value = pyffish.game_result(REFEREE[variant], fen, [])
            assert value in (0, -pyffish.VALUE_MATE)
            yield DRAWN if value == 0 else (LOST if mover == side else WON)
        drawn = pyffish.has_insufficient_material(REFEREE[variant], fen, []) == (True, True)
        assert drawn == is_dead(position)
        if drawn:
            yield DRAWN


@pytest.mark.parametrize(
    "params", [{}, {"colour": "black"}, {"variant": "losalamos"}, {"opponent": "greedy"}], ids=str
)
def test_how_games_end_is_the_referees_word(params):
    world = game(**params)
    late = met(4000, 3, **params)[2000::40]
    edges = expand(world, late)
    ends = edges.records["outcome"]
    chosen = np.concatenate([np.flatnonzero(ends == k)[:25] for k in range(4)])
    seen = set()
    for i in chosen:
        words = set(verdict(world, edges.records[i]))
        if ends[i] == PLAYING:
            # The other side may have no move where it is not its turn.
            assert not words & {LOST, WON}
            assert describe(world, edges.records[i : i + 1])[1].any()
            assert not is_dead(position_of(world, edges.records[i]))
        else:
            assert ends[i] in words
        seen.add(int(ends[i]))
    assert {PLAYING, WON, LOST} <= seen


@pytest.mark.parametrize(
    ("fen", "move", "end"),
    [
        ("k4/2R2/1K3/5/5 w", "c4c5", WON),
        ("k4/5/5/5/2Q1K w", "c1c4", DRAWN),
        ("k4/5/n4/K4/5 w", "a2a3", DRAWN),
        ("k4/5/5/5/3RK w", "d1d4", PLAYING),
    ],
)
def test_ends_by_hand(fen, move, end):
    """Mate, stalemate, a last knight taken (kings alone), and none of these."""
    world = game()
    edges = expand(world, record_of(world, fen))
    ends = edges.records["outcome"][edges.action == world.action_names.index(move)]
    assert len(ends)
    assert set(ends.tolist()) == {end}


# Opponents, against what plain Python says of every move.


def material(position):
    sign = np.sign(position.board) * VALUE[abs(position.board)]
    return int(position.side * sign.sum())


def is_dead(position):
    left = sorted(KINDS[abs(k)] for k in position.board if k != 0)
    return left in (["K", "K"], ["B", "K", "K"], ["K", "K", "N"])


def plain_value(b, position, depth, ply):
    legal = np.flatnonzero(legal_mask(b, position))
    if len(legal) == 0:
        return ply - MATE if in_check(b, *position) else 0
    if is_dead(position):
        return 0
    if depth == 0:
        return material(position)
    return max(-plain_value(b, after(b, position, int(a)), depth - 1, ply + 1) for a in legal)


def plain_replies(world, position):
    """Boards that the opponent may choose, to move in `position`."""
    b = chessboard(world.params.variant)
    thens = [after(b, position, int(a)) for a in np.flatnonzero(legal_mask(b, position))]
    if world.params.opponent == "random":
        return thens
    if world.params.opponent == "greedy":
        worth = [-material(then) for then in thens]
    else:
        worth = [-plain_value(b, then, world.params.depth - 1, 1) for then in thens]
    return [then for then, value in zip(thens, worth, strict=True) if value == max(worth)]


@pytest.mark.parametrize(
    ("params", "every"),
    [
        ({"opponent": "random"}, 20),
        ({"opponent": "greedy"}, 20),
        ({"opponent": "greedy", "variant": "losalamos", "colour": "black"}, 60),
        ({"opponent": "alpha-beta", "depth": 1}, 40),
        ({"opponent": "alpha-beta", "depth": 2}, 150),
        ({"opponent": "alpha-beta", "depth": 3, "colour": "black"}, 700),
        pytest.param({"opponent": "alpha-beta", "depth": 4}, 2000, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_replies_are_those_of_a_plain_search_each_as_likely(params, every):
    world = game(**params)
    b = chessboard(world.params.variant)
    same = {k: v for k, v in params.items() if k in ("variant", "colour")}
    records = met(2000, 4, **same)[::every]
    edges = expand(world, records)
    compared = 0
    for i, record in enumerate(records):
        position = position_of(world, record)
        actions = np.flatnonzero(legal_mask(b, position))
        for a in actions[:: max(1, len(actions) // 2)]:
            mine = np.flatnonzero((edges.source == i) & (edges.action == a))
            then = after(b, position, int(a))
            if is_dead(then) or outcome(b, *then) != PLAYING:
                assert len(mine) == 1
                continue
            expected = plain_replies(world, then)
            found = {board_of(world, edges.records[j]).tobytes() for j in mine}
            assert found == {reply.board.tobytes() for reply in expected}
            assert edges.probability[mine] == pytest.approx(1 / len(expected))
            compared += 1
    assert compared > 2


def mates(b, position):
    """Whether the side to move can mate at once."""
    thens = [after(b, position, int(a)) for a in np.flatnonzero(legal_mask(b, position))]
    return any(outcome(b, *then) == 1 for then in thens)


def test_a_mate_in_two_is_played_from_depth_3():
    """Two rooks drive the king to the edge: 1 Rd4 and 2 Re5, or the like, whatever Black does."""
    #  5 . . k . .     Black (the agent) has moved its king to c5; White mates in two by a ladder.
    #  4 . . . . .
    #  3 . R . . .
    #  2 R . . . .
    #  1 . . . . K
    b = chessboard("gardner")
    lost = parse("2k2/5/1R3/R4/4K w")
    assert not mates(b, lost)
    values = {d: plain_value(b, lost, d, 0) for d in (1, 3)}
    assert values == {1: 2 * VALUE[4], 3: MATE - 3}
    for depth, sure in ((1, False), (3, True)):
        world = game(opponent="alpha-beta", depth=depth, colour="black")
        start = record_of(world, "1k3/5/1R3/R4/4K b")
        edges = expand(world, start)
        step = world.action_names.index("b5c5")
        replies = edges.records[edges.action == step]
        then = [expand(world, replies[i : i + 1]) for i in range(len(replies))]
        assert all((e.records["outcome"] == LOST).all() for e in then) == sure


def test_alpha_beta_takes_a_mate_in_one_and_hangs_none_it_can_avoid():
    b = chessboard("gardner")
    world = game(opponent="alpha-beta", depth=2)
    records = met(3000, 5)[::60]
    edges = expand(world, records)
    taken = spared = 0
    for i in range(len(records)):
        position = position_of(world, records[i])
        for a in np.unique(edges.action[edges.source == i]):
            mine = edges.records[(edges.source == i) & (edges.action == a)]
            then = after(b, position, int(a))
            if outcome(b, *then) != PLAYING or is_dead(then):
                continue
            if mates(b, then):
                assert (mine["outcome"] == LOST).all()
                taken += 1
                continue
            others = [after(b, then, int(m)) for m in np.flatnonzero(legal_mask(b, then))]
            hangs = [mates(b, other) for other in others]
            if any(hangs) and not all(hangs):
                left = [Position(board_of(world, r), position.side) for r in mine]
                assert not any(mates(b, reply) for reply in left)
                spared += 1
    assert taken > 3
    assert spared > 20


def greedy_actions(world, vec, rng):
    """The agent's take on `greedy`: what takes or promotes the most, ties at random."""
    b = chessboard(world.params.variant)
    boards = vec.states["board"][:, : b.size**2]
    gain = VALUE[abs(boards[:, b.target])] + np.where(b.promoted > 0, VALUE[b.promoted] - 1, 0)
    gain = np.where(vec.masks, gain, -1) + rng.random(gain.shape) * 0.5
    return gain.argmax(axis=1)


@pytest.mark.parametrize(("opponent", "greedy"), [("greedy", False), ("alpha-beta", True)])
def test_opponents_are_ordered_by_strength(opponent, greedy):
    """Wins - losses of the weaker side over 300 games lies below 0 by 4 standard errors."""
    world = game(opponent=opponent)
    vec, rng = VecWorld(world, 300, 6), np.random.default_rng(6)
    score, live = np.zeros(300), np.ones(300, bool)
    for _ in range(world.max_steps):
        vec.step(greedy_actions(world, vec, rng) if greedy else random_actions(vec, rng))
        ended = live & (vec.terminated | vec.truncated)
        score[ended] = fact(world, vec.facts[ended], "result")
        live &= ~ended
    assert not live.any()
    assert score.mean() + 4 * score.std() / np.sqrt(300) < 0


# Facts.


@lru_cache
def played(**params):
    """Random and scripted episodes of a setting."""
    world = game(**params)
    policies = (
        RandomPolicy(),
        ScriptedPolicy(world, "minimalist"),
        ScriptedPolicy(world, "hoarder"),
    )
    return [rollout(policy, Task(world), 60, seed=i) for i, policy in enumerate(policies)]


@pytest.mark.parametrize("params", [{}, {"variant": "losalamos", "colour": "black"}], ids=str)
def test_every_pawn_of_lead_is_accounted_for(params):
    """lead = lead before + taken + promoted - lost; the capped lead grows by what is no surplus."""
    world = game(**params)
    names = ("captured", "promoted", "surplus_captured", "surplus_promoted", "lost", "lead")
    surplus = 0.0
    for episodes in played(**params):
        column = {name: fact(world, episodes.facts, name) for name in names}
        for i, length in enumerate(episodes.lengths):
            had, now = column["lead"][i, :length], column["lead"][i, 1 : length + 1]
            c, p, sc, sp, lost = (column[name][i, 1 : length + 1] for name in names[:5])
            assert np.array_equal(now, had + c + p + sc + sp - lost)
            at_most = np.minimum(had + c + p + sc + sp, ENOUGH) - np.minimum(had, ENOUGH)
            assert np.array_equal(c + p, at_most)
            assert (np.stack([c, p, sc, sp, lost]) >= 0).all()
            # Captures count first: a promotion is needed only for what they leave open.
            assert not (p * sc).any()
            surplus += (sc + sp).sum()
    assert surplus > 100


@pytest.mark.parametrize("params", [{}, {"variant": "losalamos"}, {"colour": "black"}], ids=str)
def test_progress_is_the_evaluation_and_blind_to_surplus(params):
    world = game(**params)
    for episodes in played(**params):
        progress = fact(world, episodes.facts, "progress")
        over, success = (fact(world, episodes.facts, name) > 0 for name in ("over", "success"))
        lead = fact(world, episodes.facts, "lead")
        assert (progress[success] == 1).all()
        assert (progress[over & ~success] == 0).all()
        expected = (np.clip(lead, -ENOUGH, ENOUGH) + ENOUGH) / 20
        assert progress[~over] == pytest.approx(expected[~over])
        assert len(np.unique(progress[~over & (lead >= ENOUGH)])) <= 1
        holdings = fact(world, episodes.facts, "holdings")
        assert np.array_equal(holdings > 0, lead > ENOUGH)
        assert holdings.max() <= 1
        assert (fact(world, episodes.facts, "mobility")[over] == 0).all()
        assert (fact(world, episodes.facts, "mobility")[~over] > 0).all()
        assert progress[:, 0] == pytest.approx(0.25)


def test_a_capture_that_passes_the_decisive_lead_is_split():
    """Lead 2; the pawn takes a queen and becomes one: 3 needed, 6 + 8 surplus."""
    world = game()
    record = record_of(world, "1q2k/P4/5/5/K1RR1 w")
    assert fact(world, describe(world, record)[0], "lead") == 2
    edges = expand(world, record)
    mine = edges.facts[edges.action == world.action_names.index("a4b5q")][0]
    names = ("captured", "promoted", "surplus_captured", "surplus_promoted")
    assert [fact(world, mine, name) for name in names] == [3, 0, 6, 8]


def test_a_hoarder_takes_more_than_the_reference_winner():
    world = game()
    _, modest, greedy = played()
    units = [e.facts[:, 1:].sum(axis=1) @ world.weights("resource") for e in (modest, greedy)]
    assert units[1].mean() > units[0].mean() + 15
    assert fact(world, modest.facts[:, -1], "success").mean() > 0.7
    assert fact(world, greedy.facts[:, -1], "success").mean() > 0.25


@variants
def test_the_observation_shows_the_board(variant):
    world = game(variant=variant, colour="black")
    records = met(200, 7, variant=variant, colour="black")
    seen = describe(world, records)[2]
    names = world.observation_names
    for record, row in zip(records, seen, strict=True):
        shown = sorted(name for name, value in zip(names[:-1], row, strict=False) if value)
        board = board_of(world, record)
        n = chessboard(variant).size
        expected = sorted(
            f"{'own' if kind < 0 else 'other'} {KINDS[abs(kind)]}@{'abcdef'[i % n]}{i // n + 1}"
            for i, kind in enumerate(board)
            if kind
        )
        assert shown == expected
        assert row[-1] == 0


def test_what_is_not_there_is_absent():
    def absent(start):
        world = make_world("minichess", start=start)
        return set(world.absent(world.params))

    assert absent("") == set()
    assert absent("2k2/P4/2K2/5/5 w") == {"captured", "surplus_captured"}
    assert absent("k4/5/2K2/5/4R w") == {
        "captured",
        "promoted",
        "surplus_captured",
        "surplus_promoted",
        "holdings",
    }


# Starts.


def test_black_is_moved_against_first():
    world = game(colour="black")
    records, probability = initial_branches(world)
    assert len(records) == 7
    assert probability == pytest.approx(1 / 7)
    assert (describe(world, records)[1].sum(axis=1) > 0).all()
    fen = "2k2/P4/2K2/5/5 b"
    start = make_world("minichess", start=fen)
    assert len(initial_branches(start)[0]) == legal_mask(chessboard("gardner"), parse(fen)).sum()


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"variant": "chess"}, "variant"),
        ({"opponent": "human"}, "opponent"),
        ({"opponent": "alpha-beta", "depth": 5}, "depth"),
        ({"depth": 0}, "depth"),
        ({"colour": "red"}, "colour"),
        ({"max_steps": 0}, "max_steps"),
        ({"start": "rnbqk/ppppp/5/PPPPP w"}, "fen"),
        ({"start": "k4/5/5/5/R3K w"}, "position"),
        ({"start": "k1R2/5/1K3/5/5 b"}, "start"),
        ({"start": "k4/5/5/5/4K w"}, "start"),
        ({"start": "k4/2Q2/5/5/4K b", "colour": "black"}, "start"),
        ({"start": "4k/5/5/1r3/K3r w", "colour": "white", "variant": "losalamos"}, "fen"),
    ],
)
def test_bad_input_is_named(params, field):
    with pytest.raises(InvalidInput, match=field):
        make_world("minichess", **params)


UNCOMPILED = """
from numba.core.event import install_recorder
from powerseek import make_world
with install_recorder("numba:compile") as compiled:
    for start in ("2k2/P4/2K2/5/5 w", "rnbqk/ppppp/5/PPPPP/RNBQK b"):
        make_world("minichess", start=start)
print(len(compiled.buffer))
"""


def test_a_start_is_checked_without_compiling():
    done = subprocess.run([sys.executable, "-c", UNCOMPILED], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("0\n", "")


# The exact layer.


def test_a_whole_game_has_no_oracle_and_says_what_has():
    for refused in (enumerate_world, oracle):
        with pytest.raises(InvalidInput, match=r'20 pieces.*"2k2/P4/2K2/5/5 w"'):
            refused(game())


@pytest.mark.slow
def test_a_rook_is_enough_where_a_queen_is_to_be_had():
    world = make_world("minichess", **game().smallest, max_steps=12)
    exact = oracle(world)
    assert exact.states == 14_178
    assert exact.injective
    assert exact.competence["max"] == pytest.approx(1)
    assert exact.need.at(1.0) == pytest.approx((4, 4))
    assert exact.most.at(1.0) == pytest.approx((8, 8))
    assert exact.policies["minimalist"].acquisition == pytest.approx(4)


# Pictures and arithmetic.


def test_pictures():
    world = game()
    vec = VecWorld(world, 1, 0)
    assert world.render(world.params, vec.states[0]) == (
        "5 r n b q k\n4 p p p p p\n3 . . . . .\n2 P P P P P\n1 R N B Q K\n  a b c d e"
    )
    assert world.tiles(world.params) == (("",) * 5,) * 5
    places = world.places(world.params, vec.states)
    assert {name: (int(r[0]), int(c[0])) for name, (r, c) in places.items()} == {
        "White's king": (4, 4),
        "Black's king": (0, 4),
    }
    mated = record_of(world, "k1R2/5/1K3/5/5 b")
    mated["outcome"] = WON
    assert world.render(world.params, mated[0]).endswith("  a b c d e\nwon")


DIGEST = """
import hashlib, json, sys
sys.path[:0] = {paths!r}
from powerseek import make_world
from powerseek.envs import script
from worlds import walk
digest = hashlib.sha256()
for params in {settings!r}:
    world = make_world("minichess", **params)
    for step in walk(world, 2, params["max_steps"] + 2, seed=5):
        for part in step:
            digest.update(part.tobytes())
    from powerseek.envs import VecWorld
    vec = VecWorld(world, 2, 8)
    for name in ("minimalist", "hoarder"):
        digest.update(script(world, name, vec.states).tobytes())
print(json.dumps(digest.hexdigest()))
"""
SETTINGS = [
    {"opponent": "greedy", "variant": "losalamos", "colour": "black", "max_steps": 12},
    {"opponent": "alpha-beta", "depth": 2, "max_steps": 3},
    {"start": "2k2/P4/2K2/1n3/5 w", "opponent": "alpha-beta", "depth": 3, "max_steps": 3},
]


def digest_of(**environment):
    code = DIGEST.format(paths=[str(Path(__file__).parents[2])], settings=SETTINGS)
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_every_opponent_plays_the_same_compiled_and_interpreted():
    assert digest_of() == digest_of(NUMBA_DISABLE_JIT="1")
