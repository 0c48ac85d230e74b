"""Enumerated worlds against hand counts and the simulator."""

from collections import Counter

import numpy as np
import pytest
from worlds import ENUMERABLE, A, Ladder, X

import powerseek
from powerseek.envs import VecWorld, World, WorldError, describe, expand
from powerseek.envs.adapters.foreign import ForeignWorld
from powerseek.envs.engine.chance import flip, rule
from powerseek.envs.world import Fact, Param, columns
from powerseek.errors import InvalidInput
from powerseek.exact import (
    RecordIndex,
    enumerate_world,
    enumerated,
    injective,
    most,
    need,
    optimum,
    power,
    scripted_policy,
)

WORLDS = [w for w in ENUMERABLE if w != "endgame"]


def _make(name):
    return Ladder(hazard=0.1) if name == "ladder" else powerseek.make_world(name)


def test_ladder_has_the_states_it_should():
    # 4 heights x 3 golds, on or off; nothing follows the top or being off.
    calm = enumerate_world(Ladder())
    assert calm.n_states == 4 * 3
    assert calm.terminal.sum() == 3
    assert calm.initial.sum() == pytest.approx(1)
    assert (calm.initial > 0).sum() == 2
    mdp = enumerate_world(Ladder(hazard=0.1))
    assert mdp.n_states == 2 * 4 * 3
    assert mdp.n_pairs == sum(3 if gold < 2 else 2 for gold in range(3)) * 3
    assert mdp.max_steps == 8


def test_expected_flows_and_edge_flows_are_those_of_the_rules():
    mdp = enumerate_world(Ladder())
    acquired = mdp.flow("resource")
    take = mdp.pair_action == 1
    # `take` gives kind 0 (1 unit) with chance 1/4 and kind 2 (2 units) with chance 3/4.
    assert acquired[take] == pytest.approx(1.75)
    assert not acquired[~take].any()
    edge_flows = mdp.flow_table[mdp.edge_flow] @ mdp.roles["resource"]
    weighted = np.add.reduceat(edge_flows * mdp.edge_probability, mdp.edge_start[:-1])
    assert weighted == pytest.approx(acquired)
    assert not mdp.state_facts[:, 4:6].any()


ladder_step = rule(Ladder.transition)


class Tossing(Ladder):
    """A ladder on which a coin is tossed in vain, before each step."""

    id = "test.tossing"

    @staticmethod
    def transition(p, s, a, c):
        flip(c, 0.25)
        ladder_step(p, s, a, c)


def test_chance_without_effect_changes_nothing():
    # Branches come in another order (a, b, a, b), with twice as many edges before they merge.
    plain, tossing = enumerate_world(Ladder(hazard=0.1)), enumerate_world(Tossing(hazard=0.1))
    for name in ("pair_start", "pair_action", "edge_start", "edge_next"):
        assert np.array_equal(getattr(plain, name), getattr(tossing, name))
    assert tossing.edge_probability == pytest.approx(plain.edge_probability, abs=1e-15)
    assert tossing.pair_flows == pytest.approx(plain.pair_flows, abs=1e-15)
    rows = [mdp.flow_table[mdp.edge_flow] for mdp in (plain, tossing)]
    assert np.array_equal(*rows)


@pytest.mark.parametrize("name", ["ladder", *WORLDS])
def test_edges_are_the_expansion(name):
    world = _make(name)
    mdp = enumerated(world)
    index = RecordIndex(world)
    index.add(mdp.records)
    assert index.count == mdp.n_states
    assert np.add.reduceat(mdp.edge_probability, mdp.edge_start[:-1]) == pytest.approx(1)
    facts, masks, _ = describe(world, mdp.records)
    over = world.columns("over").start
    assert np.array_equal(mdp.terminal, facts[:, over] > 0)
    assert np.array_equal(np.diff(mdp.pair_start) == 0, mdp.terminal)
    assert np.array_equal(np.diff(mdp.pair_start)[~mdp.terminal], masks[~mdp.terminal].sum(axis=1))
    is_flow = np.array([fact.flow for fact in world.facts for _ in fact.columns])
    rng = np.random.default_rng(0)
    some = rng.choice(np.flatnonzero(~mdp.terminal), 40)
    for s in some:
        found = expand(world, mdp.records[s : s + 1])
        following = index.find(found.records)
        assert (following >= 0).all()
        for pair in range(mdp.pair_start[s], mdp.pair_start[s + 1]):
            edges = slice(mdp.edge_start[pair], mdp.edge_start[pair + 1])
            here = found.action == mdp.pair_action[pair]
            expected, got = Counter(), Counter()
            flows = found.facts[here][:, is_flow]
            for n, flow, p in zip(following[here], flows, found.probability[here], strict=True):
                expected[n, *flow] += p
            flows = mdp.flow_table[mdp.edge_flow[edges]][:, is_flow]
            chances = mdp.edge_probability[edges]
            for n, flow, p in zip(mdp.edge_next[edges], flows, chances, strict=True):
                assert (n, *flow) not in got, "equal edges are one edge"
                got[n, *flow] = p
            assert got == pytest.approx(expected)
            assert mdp.pair_flows[pair, is_flow] == pytest.approx(chances @ flows)
            assert not mdp.pair_flows[pair, ~is_flow].any()


@pytest.mark.parametrize("name", ["ladder", *WORLDS])
def test_the_simulator_never_leaves_the_enumerated_states(name):
    world = _make(name)
    mdp = enumerated(world)
    index = RecordIndex(world)
    index.add(mdp.records)
    vec = VecWorld(world, 500, seed=0)
    rng = np.random.default_rng(0)
    for _ in range(2 * min(world.max_steps, 40)):
        assert (index.find(vec.states) >= 0).all()
        vec.step((vec.masks * rng.random(vec.masks.shape)).argmax(axis=1))


@pytest.mark.parametrize("name", WORLDS)
def test_agents_see_what_oracles_see(name):
    assert injective(enumerated(powerseek.make_world(name)))


def test_hidden_state_is_noticed():
    # Interrupted agents are over, so what tells them apart need not be seen; height must be.
    assert injective(enumerate_world(Ladder(hazard=0.1)))

    class Blind(Ladder):
        id = "test.blind"

        @staticmethod
        def observe(p, s, out):
            out[X.height] = s.gold / 2.0

    assert not injective(enumerate_world(Blind()))


def test_too_many_states_say_how_many_and_what_to_do():
    with pytest.raises(InvalidInput, match="states and still growing") as caught:
        enumerate_world(powerseek.make_world("homestead"), limit=100)
    text = str(caught.value)
    assert "Raise limit (--limit on the command line) or shrink openness=1, quota=3" in text
    with pytest.raises(InvalidInput, match=r"shrink size=5$"):
        enumerate_world(powerseek.make_world("endgame", size=5, openness=0), limit=1000)
    with pytest.raises(InvalidInput, match="still growing") as caught:
        enumerate_world(powerseek.make_world("homestead", goal=1), limit=100)
    assert "goal" not in str(caught.value)
    assert "max_steps" not in str(caught.value)
    with pytest.raises(InvalidInput, match="limit"):
        enumerate_world(Ladder(), limit=0)


def test_what_cannot_be_enumerated_says_why_and_what_to_use_instead():
    class Ruleless(World):
        id = "test.ruleless"
        parameters = Ladder.parameters

    with pytest.raises(InvalidInput, match=r"without .*transition.* no oracle.*from_transitions"):
        enumerate_world(Ruleless())

    class Foreign(ForeignWorld):
        id = "test.foreign"
        parameters = Ladder.parameters

    with pytest.raises(InvalidInput, match=r"foreign environment.*no oracle.*rollout\(\)"):
        enumerate_world(Foreign())


def test_starting_elsewhere():
    world = Ladder()
    start = world.records(4)
    start["height"] = [2, 2, 1, 3]
    start["gold"] = [2, 2, 2, 0]
    start["weights"] = [1, 0, 3]
    start["clock"], start["taken"] = 5, 1.0
    mdp = enumerate_world(world, start=start)
    # Twice (2, 2), then (1, 2), then (3, 0), which is over; (3, 2) is met on the way.
    assert [tuple(r[n] for n in ("height", "gold")) for r in mdp.records] == [
        (2, 2),
        (1, 2),
        (3, 0),
        (3, 2),
    ]
    assert mdp.initial.tolist() == [0.5, 0.25, 0.25, 0]
    assert not mdp.records["clock"].any()
    assert not mdp.records["taken"].any()
    assert start["clock"].tolist() == [5] * 4
    whole = enumerate_world(world)
    again = enumerate_world(world, start=whole.records)
    assert again.n_states == whole.n_states
    assert np.array_equal(again.edge_next, whole.edge_next)


class Picky(Ladder):
    """Says nothing legal at height 2."""

    id = "test.picky"

    @staticmethod
    def legal(p, s, out):
        out[A.climb] = s.height != 2


@pytest.mark.parametrize(
    ("start", "word"),
    [
        (lambda w: w.records(0), "one or more records"),
        (lambda w: w.records(1)[0], "one or more records"),
        (lambda w: np.zeros(3), "one or more records of test.picky"),
        (lambda w: powerseek.make_world("homestead").records(1), "dtype"),
    ],
)
def test_bad_starts_are_refused(start, word):
    with pytest.raises(InvalidInput, match=word):
        enumerate_world(Picky(), start=start(Picky()))


def test_starts_that_the_rules_reject_are_refused():
    start = Picky().records(3)
    start["height"] = [1, 2, 0]
    with pytest.raises(InvalidInput, match=r"rules accept.*record 1: "):
        enumerate_world(Picky(), start=start)
    with pytest.raises(WorldError):
        enumerate_world(Picky(), start=start[:1])
    start = Ladder().records(1)
    start["weights"] = np.nan
    with pytest.raises(InvalidInput, match=r"start\['weights'\].*finite"):
        enumerate_world(Ladder(), start=start)
    world = powerseek.make_world("endgame", openness=0, black="random")
    start = world.records(1)
    start["king"] = 99
    with pytest.raises(InvalidInput, match="rules accept"):
        enumerate_world(world, start=start)


def test_progress_is_told_once_a_chunk():
    seen = []
    mdp = enumerate_world(
        powerseek.make_world("homestead"), progress=lambda met, done: seen.append((met, done))
    )
    met, done = np.array(seen).T
    assert len(seen) >= 2
    assert (np.diff(met) >= 0).all()
    assert (np.diff(done) > 0).all()
    assert (done <= met).all()
    assert seen[-1] == (mdp.n_states, mdp.n_states)


MIRROR_ACTIONS = ("left", "right", "take")
MIRROR_FEATURES = ("at", "left coin", "right coin")


class Mirror(World):
    """Walk from the middle of a line to either end; a coin lies a step to either side."""

    id = "test.mirror"
    parameters = {
        "width": Param(3, 2, 9),
        "slip": Param(0.2, 0.0, 1.0),
        "max_steps": Param(9),
    }
    state = (("at", "i8"), ("coin", "i8", (2,)))
    flows = (("taken", "f8"),)
    facts = (
        Fact("progress"),
        Fact("success"),
        Fact("over"),
        Fact("acquired", flow=True, roles=("resource",)),
    )

    @staticmethod
    def actions(params):
        return MIRROR_ACTIONS

    @staticmethod
    def observation(params):
        return MIRROR_FEATURES

    @staticmethod
    def canonical(params, records):
        turned = records.copy()
        turned["at"], turned["coin"] = -records["at"], records["coin"][:, ::-1]
        same = turned["at"] == records["at"]
        swap = (turned["at"] < records["at"]) | (
            same & (turned["coin"][:, 0] < records["coin"][:, 0])
        )
        out = records.copy()
        out[swap] = turned[swap]
        return out

    @staticmethod
    def initial(p, s, c):
        s.coin[0] = s.coin[1] = 1

    @staticmethod
    def transition(p, s, a, c):
        if a == MA.take:
            side = 0 if s.at < 0 else 1
            s.taken = s.coin[side]
            s.coin[side] = 0
        elif not flip(c, p.slip):
            s.at += 2 * a - 1

    @staticmethod
    def legal(p, s, out):
        out[: MA.take] = True
        if s.at == -1:
            out[MA.take] = s.coin[0] == 1
        elif s.at == 1:
            out[MA.take] = s.coin[1] == 1

    @staticmethod
    def observe(p, s, out):
        out[MX.at] = s.at / p.width
        out[MX.left_coin] = s.coin[0]
        out[MX.right_coin] = s.coin[1]

    @staticmethod
    def measure(p, s, out):
        out[F.progress] = abs(s.at) / p.width
        out[F.success] = out[F.over] = 1.0 if abs(s.at) == p.width else 0.0
        out[F.acquired] = s.taken


MA, MX, F = columns(*MIRROR_ACTIONS), columns(*MIRROR_FEATURES), columns(*Mirror.facts)


SYMMETRIC = [
    Mirror(),
    *(
        powerseek.make_world("endgame", openness=0, black="random", piece=piece, max_steps=12)
        for piece in ("rook", "queen")
    ),
]


def outcomes(world, record, canonical):
    """What may happen in a record, action by action, names of actions and symmetry left out."""
    found = expand(world, record)
    ends = canonical(found.records)
    kinds = {}
    for i, action in enumerate(found.action):
        key = tuple(ends[list(world.identity)][i].item()), tuple(found.facts[i])
        key = str(key)
        kinds.setdefault(action, {}).setdefault(key, 0.0)
        kinds[action][key] += found.probability[i]
    rounded = [tuple(sorted((k, round(p, 12)) for k, p in kind.items())) for kind in kinds.values()]
    return Counter(rounded)


def commutes(world, records, canonical):
    representative = canonical(records)
    return all(
        outcomes(world, records[i : i + 1], canonical)
        == outcomes(world, representative[i : i + 1], canonical)
        for i in range(len(records))
    )


def test_every_world_that_offers_symmetry_is_tested():
    offering = {
        name
        for name in powerseek.list_worlds()
        if type(powerseek.make_world(name)).canonical is not World.canonical
    }
    assert offering <= {world.id for world in SYMMETRIC}


@pytest.mark.parametrize("world", SYMMETRIC, ids=repr)
def test_representatives_behave_like_those_they_stand_for(world):
    mdp = enumerate_world(world)
    records = mdp.records

    def canonical(some):
        return world.canonical(world.params, some)

    kept = records.copy()
    representative = canonical(records)
    assert np.array_equal(records, kept)
    assert np.array_equal(canonical(representative), representative)
    assert not np.array_equal(representative, records)
    assert np.array_equal(describe(world, representative)[0], describe(world, records)[0])
    alive = np.flatnonzero(~mdp.terminal & (representative != records))
    some = np.random.default_rng(0).permutation(alive)[:60]
    assert commutes(world, records[some], canonical)


@pytest.mark.parametrize("world", SYMMETRIC, ids=repr)
def test_symmetry_changes_the_count_and_no_optimum(world):
    whole, reduced = enumerate_world(world), enumerate_world(world, symmetry=True)
    assert reduced.symmetric
    assert not whole.symmetric
    assert reduced.n_states < whole.n_states
    index = RecordIndex(world)
    index.add(world.canonical(world.params, whole.records))
    assert index.count == reduced.n_states
    assert (index.find(reduced.records) >= 0).all()
    for mdp in (whole, reduced):
        assert np.add.reduceat(mdp.edge_probability, mdp.edge_start[:-1]) == pytest.approx(1)
    for spec, gamma in (("terminal", 1.0), ("dense", 0.9)):
        a, b = optimum(whole, spec, gamma), optimum(reduced, spec, gamma)
        assert b.value == pytest.approx(a.value, abs=1e-12)
        for one, other in ((a.low, b.low), (a.high, b.high), (a.uniform, b.uniform)):
            assert other.as_array() == pytest.approx(one.as_array(), abs=1e-9, nan_ok=True)
    if "resource" in whole.roles:
        for frontier in (need, most):
            a, b = frontier(whole), frontier(reduced)
            assert np.array(b.vertices) == pytest.approx(np.array(a.vertices), abs=1e-9)


@pytest.mark.parametrize(
    ("squares", "orbit"), [((1, 6, 15), 8), ((1, -1, 15), 8), ((0, 5, 15), 4), ((0, -1, 15), 4)]
)
def test_images_of_a_board_share_the_least_of_them(squares, orbit):
    world = powerseek.make_world("endgame", openness=0, black="random")
    images = world.records(8)
    for i in range(8):
        for name, square in zip(("king", "main", "black"), squares, strict=True):
            row, column = divmod(square, 4)
            row, column = (row, column) if i & 1 else (column, row)
            row, column = (3 - row if i & 2 else row), (3 - column if i & 4 else column)
            images[name][i] = -1 if square < 0 else 4 * row + column
    images["pawn"] = images["queen"] = -1
    assert len(np.unique(images)) == orbit
    found = world.canonical(world.params, images)
    assert len(np.unique(found)) == 1
    assert found[0] in images


def test_symmetric_edges_to_one_orbit_are_merged():
    mdp = enumerate_world(powerseek.make_world("endgame", openness=0, black="random"))
    reduced = enumerate_world(mdp.world, symmetry=True)
    for pair in range(reduced.n_pairs):
        ends = reduced.edge_next[reduced.edge_start[pair] : reduced.edge_start[pair + 1]]
        assert len(set(ends.tolist())) == len(ends)
    assert reduced.n_states < mdp.n_states / 4


@pytest.mark.parametrize(
    "params",
    [
        {"black": "greedy", "openness": 0},
        {"black": "optimal", "openness": 0},
        {"black": "random", "openness": 1},
    ],
)
def test_endgame_offers_symmetry_only_where_nothing_breaks_it(params):
    world = powerseek.make_world("endgame", **params)
    assert world.canonical(world.params, world.records(0)) is None
    with pytest.raises(InvalidInput, match="symmetry") as caught:
        enumerate_world(world, symmetry=True)
    assert "Leave symmetry out" in str(caught.value)
    bare = world.replace(openness=0, black="random")

    def turned(some):
        return bare.canonical(bare.params, some)

    records = enumerate_world(world)
    alive = records.records[~records.terminal]
    assert not commutes(world, alive[:200], turned)


def test_asking_for_symmetry_where_no_world_offers_it():
    with pytest.raises(InvalidInput, match="Ladder"):
        enumerate_world(Ladder(), symmetry=True)


def test_scripts_and_power_need_every_state():
    world = powerseek.make_world("endgame", openness=0, black="random")
    small = enumerate_world(world, symmetry=True)
    with pytest.raises(InvalidInput, match="symmetry"):
        scripted_policy(small, "minimalist")
    with pytest.raises(InvalidInput, match="symmetry"):
        power(small, 0.9, 1)
