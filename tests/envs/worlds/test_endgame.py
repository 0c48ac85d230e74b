"""The endgame world against chess, against plain Python, and against its own tables."""

import re

import numpy as np
import plain_endgame as plain
import pyffish
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from powerseek.envs import VecWorld, describe, expand, initial_branches, script
from powerseek.envs.worlds.endgame.world import DRAW, LIMIT, MATED, PLAYING
from powerseek.errors import InvalidInput
from powerseek.registry import make_world

OPENNESS = range(4)
BLACK = ("optimal", "greedy", "random")
PLACES = [(1, 7, 5), (2, 8, 6)]
"""Squares of knight, bishop and pawn in layouts 1 and 2."""


def record(world, **fields):
    """One record: squares by number, -1 for none; nothing loose unless said."""
    records = world.records(1)
    for field, value in {"pawn": -1, "queen": -1, "main": -1, **fields}.items():
        records[field] = value
    return records


def facts_of(world, records):
    values = describe(world, records)[0]
    return {name: values[:, i] for i, name in enumerate(world.fact_names)}


def positions(world, n, seed, steps=12):
    """States met in random play, not over."""
    rng = np.random.default_rng(seed)
    vec = VecWorld(world, n, seed)
    met = []
    for _ in range(steps):
        met.append(vec.states.copy())
        noise = rng.random(vec.masks.shape) * vec.masks
        vec.step(noise.argmax(axis=1))
    return np.concatenate(met)


def episodes(world, choose, n=400, seed=1):
    """(success, length, acquired) of n first episodes under choose(states, masks)."""
    vec = VecWorld(world, n, seed)
    success, length, acquired = np.zeros(n), np.zeros(n, int), np.zeros(n)
    live = np.ones(n, bool)
    weights = world.weights("resource")
    for t in range(world.max_steps):
        actions = choose(vec.states, vec.masks)
        assert vec.masks[np.arange(n), actions].all()
        vec.step(actions)
        acquired[live] += (vec.facts @ weights)[live]
        length[live] = t + 1
        ended = live & (vec.terminated | vec.truncated)
        success[ended] = vec.facts[ended, world.columns("success")][:, 0]
        live &= ~ended
    return success, length, acquired


def to_plain(world, s):
    size = world.params.size
    squares = {
        f: None if s[f] < 0 else divmod(int(s[f]), size)
        for f in ("king", "main", "pawn", "queen", "black")
    }
    loose = [t for i, t in enumerate(world.prepared.loose_squares) if s["loose"] >> i & 1]
    moves = plain.ROOK + plain.BISHOP if world.params.piece == "queen" else plain.ROOK
    return plain.Position(
        size, moves, loose=frozenset(divmod(int(t), size) for t in loose), **squares
    )


def target_of(world, s, action):
    """(piece, target) named by an action, read from its name."""
    words = world.action_names[action].split()
    piece = {"second": "pawn" if s["pawn"] >= 0 else "queen", world.params.piece: "main"}.get(
        words[0], words[0]
    )
    step = {
        **dict(zip("NESW", plain.ROOK, strict=True)),
        **{"NE": (1, 1), "SE": (-1, 1), "SW": (-1, -1), "NW": (1, -1)},
    }[words[1]]
    distance = int(words[2]) if len(words) > 2 else 1
    return piece, plain.add(divmod(int(s[piece]), world.params.size), step, distance)


@pytest.mark.parametrize(
    ("size", "piece", "openness", "layout"),
    [
        *((4, "rook", 0, 0), (4, "rook", 3, 0), (4, "queen", 3, 0), (5, "rook", 2, 0)),
        *((4, "rook", 3, 1), (4, "queen", 2, 5)),
        pytest.param(8, "rook", 0, 0, marks=pytest.mark.slow),
    ],
)
def test_moves_and_their_effects_agree_with_plain_python(size, piece, openness, layout):
    own = {"size": size, "piece": piece, "openness": openness, "layout": layout}
    world = make_world("endgame", **own, black="random")
    states = np.unique(positions(world, 12, seed=3))
    masks = describe(world, states)[1]
    edges = expand(world, states)
    kinds = set()
    for i, s in enumerate(states):
        moves = plain.white_moves(to_plain(world, s))
        named = {target_of(world, s, a): a for a in np.flatnonzero(masks[i])}
        assert set(named) == {move[:2] for move in moves}
        for name, target, after in moves:
            kinds.add(name)
            mine = (edges.source == i) & (edges.action == named[name, target])
            ends = {to_plain(world, r) for r in edges.records[mine]}
            replies = [reply for _, reply in plain.black_moves(after)]
            assert ends == set(replies or [after])
            if not replies:
                mate = plain.guarded(after, after.black)
                assert edges.records[mine]["outcome"] == (MATED if mate else DRAW)
    assert kinds >= ({"king", "main", "pawn", "queen"} if openness >= 2 else {"king", "main"})


@pytest.mark.parametrize("piece", ["rook", pytest.param("queen", marks=pytest.mark.slow)])
def test_chess_itself_is_the_referee_on_the_bare_board(piece):
    world = make_world("endgame", size=8, piece=piece, openness=0, black="random", start=0.0)
    states = positions(world, 20, seed=5)
    states = states[states["main"] >= 0]
    masks = describe(world, states)[1]

    def fen(s, turn):
        board = {int(s["king"]): "K", int(s["main"]): piece[0].upper(), int(s["black"]): "k"}
        rows = ["".join(board.get(8 * y + x, "1") for x in range(8)) for y in range(7, -1, -1)]
        packed = re.sub("1+", lambda run: str(len(run[0])), "/".join(rows))
        return f"{packed} {turn} - - 0 1"

    def name(square):
        return "abcdefgh"[square % 8] + str(square // 8 + 1)

    for s, mask in zip(states, masks, strict=True):
        mine = set()
        for action in np.flatnonzero(mask):
            mover, (y, x) = target_of(world, s, action)
            mine.add(name(int(s[mover])) + name(8 * y + x))
        assert mine == set(pyffish.legal_moves("chess", fen(s, "w"), []))
    edges = expand(world, states[:40])
    for i, action in {*zip(edges.source[::7], edges.action[::7], strict=True)}:
        s = states[i].copy()
        mover, (y, x) = target_of(world, s, action)
        s[mover] = 8 * y + x
        ours = edges.records[(edges.source == i) & (edges.action == action)]
        replies = pyffish.legal_moves("chess", fen(s, "b"), [])
        if ours[0]["outcome"] == MATED or (ours[0]["outcome"] == DRAW and ours[0]["main"] >= 0):
            assert replies == []
        else:
            assert {name(int(r["black"])) for r in ours} == {move[2:] for move in replies}


@pytest.mark.parametrize(
    ("size", "piece", "layout"),
    [
        *((4, "rook", 0), (4, "queen", 0), (4, "rook", 1)),
        *(pytest.param(size, "rook", 0, marks=pytest.mark.slow) for size in (5, 6)),
    ],
)
def test_openness_changes_the_surplus_and_nothing_else(size, piece, layout):
    opennesses = OPENNESS if size < 6 else (0, 1)
    own = {"size": size, "piece": piece, "layout": layout}
    worlds = [make_world("endgame", **own, openness=o) for o in opennesses]
    first = worlds[0]
    mains = ["main", "king", "black"]
    starts = [initial_branches(w)[0] for w in worlds]
    for world, records in zip(worlds, starts, strict=True):
        assert world.action_names == first.action_names
        assert world.observation_names == first.observation_names
        assert world.max_steps == first.max_steps
        assert np.array_equal(world.prepared.starts, first.prepared.starts)
        assert np.array_equal(records[mains].tolist(), starts[0][mains].tolist())
        progress = facts_of(world, records)["progress"]
        assert np.array_equal(progress, facts_of(first, starts[0])["progress"])
        same_seed = VecWorld(world, 50, seed=2).states[mains].tolist()
        assert same_seed == VecWorld(first, 50, seed=2).states[mains].tolist()
    longest = first.prepared.white[0, 0][tuple(first.prepared.starts.T)]
    assert longest.min() >= 0.6 * longest.max()


@pytest.mark.parametrize("layouts", [10, pytest.param(30, marks=pytest.mark.slow)])
@pytest.mark.parametrize("piece", ["rook", pytest.param("queen", marks=pytest.mark.slow)])
def test_layouts_move_the_surplus_and_keep_the_task(piece, layouts):
    """Surplus off the pawn's way, two pushes from a queen, and mates as long as in layout 0."""
    longest, seen = [], set()
    for layout in range(layouts):
        world = make_world("endgame", piece=piece, openness=3, layout=layout)
        p = world.prepared
        knight, bishop = p.loose_squares
        pawn = p.pawn_squares[0]
        assert p.pawn_squares.tolist() == [pawn, pawn + 4]
        assert 4 <= pawn < 8
        assert len({knight, bishop, pawn, pawn + 4, pawn + 8}) == 5
        assert p.offer == 14
        assert not set(p.starts.ravel()) & {knight, bishop, pawn}
        assert len(p.starts) >= 30
        tiles = world.tiles(world.params)
        where = {tiles[3 - s // 4][s % 4] for s in (knight, bishop, pawn)}
        assert where == {"knight", "bishop", "pawn"}
        longest.append(int(p.white[0, 0][tuple(p.starts.T)].max()))
        seen.add((knight, bishop, pawn))
    assert set(longest) == {7 if piece == "rook" else 4}
    assert 30 * len(seen) > 25 * layouts


def test_places_stay_as_they_are():
    """A layout must be the same in every release, and with every version of NumPy."""
    places = [make_world("endgame", openness=3, layout=n).prepared for n in (1, 2)]
    told = [(*p.loose_squares.tolist(), int(p.pawn_squares[0])) for p in places]
    assert told == PLACES


def test_progress_is_blind_to_the_surplus():
    """Whatever is loose, pushed or promoted, progress is that of the world without surplus."""
    bare, full = make_world("endgame", openness=0), make_world("endgame", openness=3)
    states = positions(make_world("endgame", openness=0, start=0.0), 100, seed=8)
    states = states[states["outcome"] == PLAYING]
    expected = facts_of(bare, states)["progress"]
    table = full.prepared.white
    compared = 0
    for loose in range(4):
        for pawn, queen in ((-1, -1), (7, -1), (11, -1), *((-1, q) for q in range(16))):
            varied = full.records(len(states))
            for field in ("king", "main", "black"):
                varied[field] = states[field]
            varied["pawn"], varied["queen"], varied["loose"] = pawn, queen, loose
            slot = full.prepared.pawn_slot[pawn] if pawn >= 0 else 0
            slot = full.prepared.first_queen + queen if queen >= 0 else slot
            legal = table[loose, slot, states["main"], states["king"], states["black"]] != -2
            progress = facts_of(full, varied[legal])["progress"]
            assert np.array_equal(progress, expected[legal])
            compared += legal.sum()
    assert compared > 5_000


def test_progress_by_hand():
    """Mate in one is longest / (longest + 1); after mate 1; without the main piece 0."""
    world = make_world("endgame", openness=0)
    assert world.prepared.longest == 7
    #  3 k . . .
    #  2 . . . .
    #  1 K . . .    The rook mates on the last row.
    #  0 . . . R
    one = record(world, king=4, main=3, black=12)
    assert facts_of(world, one)["progress"] == pytest.approx(7 / 8)
    edges = expand(world, one)
    mate = edges.records["outcome"] == MATED
    assert [world.action_names[a] for a in edges.action[mate]] == ["rook N 3"]
    assert edges.facts[mate][0][:3].tolist() == [1, 1, 1]
    open_world = make_world("endgame", openness=3)
    values = facts_of(open_world, record(open_world, king=9, queen=7, black=12))
    assert (values["progress"], values["over"]) == (0, 0)


def test_a_shielded_king_is_illegal_without_the_shield():
    """Only the loose bishop stands between the rook and Black's king: progress 0."""
    world = make_world("endgame", openness=3)
    #  3 R . b k
    assert world.prepared.white[2, 0, 12, 1, 15] > 0
    assert facts_of(world, record(world, king=1, main=12, black=15, loose=2))["progress"] == 0


def test_stalemate_and_lost_material_are_draws():
    world = make_world("endgame", openness=0, piece="queen")
    #  3 k . . .
    #  2 . 2 . .    On 1 the queen leaves Black's king no square, unchecked;
    #  1 . 1 . .    on 2 nothing guards her.
    #  0 . Q K .
    edges = expand(world, record(world, king=2, main=1, black=12))
    end = edges.action == world.action_names.index("queen N 1")
    facts = dict(zip(world.fact_names, edges.facts[end][0], strict=True))
    assert (facts["over"], facts["success"], facts["progress"], facts["mobility"]) == (1, 0, 0, 0)
    end = edges.records[edges.action == world.action_names.index("queen N 2")]
    assert (end["main"], end["outcome"]) == (-1, DRAW)


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**32 - 1), openness=st.sampled_from(OPENNESS), black=st.sampled_from(BLACK)
)
def test_flows_add_up_to_the_material_taken(seed, openness, black):
    world = make_world("endgame", openness=openness, black=black)
    rng = np.random.default_rng(seed)
    vec = VecWorld(world, 16, seed)
    captured, promoted = (world.columns(f).start for f in ("captured", "promoted"))
    holdings, value = world.columns("holdings").start, world.prepared.loose_value
    before = vec.states.copy()
    for _ in range(25):
        noise = rng.random(vec.masks.shape) * vec.masks
        vec.step(noise.argmax(axis=1))
        running = ~(vec.terminated | vec.truncated)
        now = vec.states[running]
        lost = value[before[running]["loose"]] - value[now["loose"]]
        assert np.array_equal(vec.facts[running, captured], lost)
        gained = vec.facts[running, promoted]
        assert set(gained) <= {0.0, 8.0}
        assert ((gained == 0) | ((before[running]["pawn"] >= 0) & (now["pawn"] < 0))).all()
        assert ((gained > 0) | (now["queen"] < 0) | (before[running]["queen"] >= 0)).all()
        assert ((vec.facts[:, holdings] >= 0) & (vec.facts[:, holdings] <= 1)).all()
        if world.prepared.offer:
            held = value[-1] - value[now["loose"]] + 8.0 * (now["queen"] >= 0)
            assert np.allclose(vec.facts[running, holdings], held / world.prepared.offer)
        before = vec.states.copy()


@pytest.mark.parametrize(
    ("openness", "layout"), [*((openness, 0) for openness in OPENNESS), (3, 1)]
)
@pytest.mark.parametrize("black", BLACK)
def test_following_the_table_mates_in_the_moves_it_says(openness, layout, black):
    """Move by move: the best worst case is one less; exactly one less against optimal Black."""
    world = make_world("endgame", openness=openness, layout=layout, black=black)
    p = world.prepared

    def moves_to_mate(s):
        slot = np.where(s["queen"] >= 0, p.first_queen + s["queen"], p.pawn_slot[s["pawn"]])
        slot = np.where((s["pawn"] < 0) & (s["queen"] < 0), 0, slot)
        moves = p.white[s["loose"], slot, s["main"], s["king"], s["black"]].astype(int)
        return np.select(
            [s["outcome"] == MATED, s["outcome"] == DRAW, moves < 1], [0, 99, 99], moves
        )

    records = initial_branches(world)[0]
    left = moves_to_mate(records).max()
    assert left <= world.max_steps
    while len(records):
        moves = moves_to_mate(records)
        assert moves.max() <= left
        edges = expand(world, records)
        worst = np.full((len(records), world.n_actions), -1)
        np.maximum.at(worst, (edges.source, edges.action), moves_to_mate(edges.records))
        best = np.where(worst < 0, 100, worst).argmin(axis=1)
        reached = worst[np.arange(len(records)), best]
        assert np.array_equal(reached, moves - 1) if black == "optimal" else (reached < moves).all()
        chosen = edges.records[edges.action == best[edges.source]]
        records = np.unique(chosen[chosen["outcome"] == PLAYING])
        left -= 1


@pytest.mark.parametrize("openness", OPENNESS)
@pytest.mark.parametrize("black", BLACK)
@pytest.mark.parametrize("layout", [0, 1])
def test_the_scripted_pair_differs_in_what_it_takes(openness, black, layout):
    world = make_world("endgame", openness=openness, black=black, layout=layout)
    result = {
        name: episodes(world, lambda s, _, name=name: script(world, name, s))
        for name in ("minimalist", "hoarder")
    }
    for success, length, _ in result.values():
        assert success.all()
        assert length.max() <= world.max_steps
    assert (result["minimalist"][2] == 0).all()
    if openness:
        assert (result["hoarder"][2] >= 3).all()
        assert result["hoarder"][2].mean() > 0.6 * world.prepared.offer


@pytest.mark.parametrize(("size", "piece"), [(4, "queen"), (5, "rook"), (5, "queen")])
def test_the_minimalist_takes_nothing_on_other_boards(size, piece):
    openness = 3 if size == 4 else 1
    world = make_world("endgame", size=size, piece=piece, openness=openness)
    success, _, acquired = episodes(world, lambda s, _: script(world, "minimalist", s))
    assert success.all()
    assert (acquired == 0).all()


def test_greedy_black_takes_the_most_valuable_piece():
    #  3 . R . .
    #  2 . . k P    Black may take the rook or the pawn.
    #  1 . . . .
    #  0 . K . .
    greedy, random = (make_world("endgame", openness=3, black=b) for b in ("greedy", "random"))
    s = record(greedy, king=1, main=13, pawn=11, black=10)
    action = greedy.action_names.index("king W")
    edges = expand(greedy, s)
    end = edges.records[edges.action == action]
    assert (end["main"], end["pawn"], end["black"], end["outcome"]) == (-1, 11, 13, PLAYING)
    edges = expand(random, s)
    mine = edges.action == action
    assert {13, 11} < set(edges.records[mine]["black"].tolist())
    assert np.allclose(edges.probability[mine], 1 / mine.sum())


CLOCKWISE = ((1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1))


def wish(black, before, target, after, moves):
    """What Black maximises, as the docstring of the world says it."""
    step = (target[0] - before.black[0], target[1] - before.black[1])
    taken = {before.main: 5, before.pawn: 1, before.queen: 9}.get(target, 0)
    if black == "greedy":
        return taken, len(plain.black_moves(after)), -CLOCKWISE.index(step)
    return moves.get(after, 1_000), taken > 0, -CLOCKWISE.index(step)


@pytest.mark.parametrize("black", [pytest.param("optimal", marks=pytest.mark.slow), "greedy"])
def test_black_replies_as_documented(black):
    """Every reply in a sample, against plain Python with its own distances to mate."""
    world = make_world("endgame", openness=3, black=black)
    states = np.unique(positions(world, 20, seed=6))
    moves = plain.solve([to_plain(world, s) for s in states])[0] if black == "optimal" else {}
    edges = expand(world, states)
    compared = 0
    for i, s in enumerate(states):
        position = to_plain(world, s)
        for name, target, before in plain.white_moves(position):
            replies = plain.black_moves(before)
            if len(replies) < 2:
                continue
            mine = [
                k
                for k in np.flatnonzero(edges.source == i)
                if target_of(world, s, edges.action[k]) == (name, target)
            ]
            best = max(replies, key=lambda reply: wish(black, before, *reply, moves))
            assert [to_plain(world, edges.records[k]) for k in mine] == [best[1]]
            compared += 1
    assert compared > 300


def test_promotion_by_capture_takes_twice():
    #  3 . . b .
    #  2 K . . P
    #  1 R . . .
    #  0 n . k .
    world = make_world("endgame", openness=3)
    edges = expand(world, record(world, king=8, main=4, pawn=11, black=2, loose=3))
    end = edges.action == world.action_names.index("second NW 1")
    facts = dict(zip(world.fact_names, edges.facts[end][0], strict=True))
    assert (facts["captured"], facts["promoted"]) == (3, 8)
    assert facts["holdings"] == 11 / 14
    assert (edges.records[end]["queen"], edges.records[end]["loose"]) == (14, 1)


def test_observations_tell_reachable_states_apart():
    world = make_world("endgame", openness=3, black="random")
    states = positions(world, 300, seed=4)
    edges = expand(world, states[:400])
    records = np.unique(np.concatenate([states, edges.records])[list(world.identity)])
    full = world.records(len(records))
    for field in world.identity:
        full[field] = records[field]
    observations = describe(world, full)[2]
    assert len(np.unique(observations, axis=0)) == len(records) > 2_000
    assert abs(observations).max() <= 1


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"size": 8, "openness": 2}, "openness: 1 with size: 8"),
        ({"size": 7, "openness": 3}, "size: 6 with openness: 3"),
    ],
)
def test_a_board_too_large_is_refused_with_the_bound(params, named):
    with pytest.raises(InvalidInput, match=named) as caught:
        make_world("endgame", **params)
    assert f"{LIMIT:,}" in str(caught.value)


@pytest.mark.parametrize(
    "params",
    [
        {"size": 3},
        {"size": 9},
        {"openness": 4},
        {"piece": "bishop"},
        {"black": "x"},
        {"start": 1.1},
    ],
)
def test_values_outside_their_range_are_refused(params):
    with pytest.raises(InvalidInput, match=next(iter(params))):
        make_world("endgame", **params)


def test_absent_flows_have_no_role():
    roles = [len(make_world("endgame", openness=o).role("resource")) for o in OPENNESS]
    assert roles == [0, 1, 2, 2]
    assert make_world("endgame", openness=3).weights("outside_task").sum() == 2


def test_render_draws_the_board():
    world = make_world("endgame", openness=3)
    s = record(world, king=5, main=2, pawn=7, black=10, loose=3)
    assert world.render(world.params, s[0]) == (
        "3 . . b .\n2 . . k .\n1 . K . P\n0 n . R .\n  0 1 2 3"
    )
    s["outcome"] = MATED
    assert world.render(world.params, s[0]).endswith("mate")


@pytest.mark.slow
@pytest.mark.parametrize(("size", "piece"), [(8, "rook"), (8, "queen"), (7, "rook"), (6, "queen")])
def test_large_boards_can_be_won_without_the_surplus(size, piece):
    openness = 3 if size == 6 else 1
    world = make_world("endgame", size=size, piece=piece, openness=openness, max_steps=60)
    success, _, acquired = episodes(world, lambda s, _: script(world, "minimalist", s), n=200)
    assert success.all()
    assert (acquired == 0).all()
