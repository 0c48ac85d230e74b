"""The plane against homestead, step by step and state by state; and what only the plane has."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import random_actions

import powerseek
from powerseek.agents import ScriptedPolicy, rollout
from powerseek.envs import VecWorld, assert_conforms, describe, expand, initial_branches, script
from powerseek.envs.task import Task
from powerseek.envs.worlds.homestead.layouts import MAP
from powerseek.envs.worlds.homestead.rules import FIELD
from powerseek.envs.worlds.homestead_plane.rules import (
    BARE,
    DRAWN,
    MAX_CARRIERS,
    PLANE_LEVELS,
    A,
)
from powerseek.envs.worlds.homestead_plane.terrain import COUNTS, TILES, kind_at, tile_of
from powerseek.envs.worlds.homestead_plane.world import F
from powerseek.errors import InvalidInput
from powerseek.exact import enumerate_world, need, optimum
from powerseek.exact.solvers.evaluate import policy_weights
from powerseek.exact.solvers.finite import evaluate_policy

NORTH, SOUTH, WEST, EAST = range(4)
CALM = {"hazard": 0.0, "spoil": 0.0}
OPTIMA = {0: (0.9566, 3.99, 0.00), 1: (0.9748, 5.98, 1.96), 2: (0.9800, 9.76, 9.68)}
"""Success, acquired and outside of homestead's exact optimum at each openness."""
EVERYTHING = {"bystanders": 3, "claims": 1, "goal": 3, "reveal": 5, "repair": 0.1, "price": 2}


def world(**params):
    return powerseek.make_world("homestead-plane", **params)


def homestead(**params):
    return powerseek.make_world("homestead", **params)


def fact(there, facts, name):
    values = facts[..., there.columns(name)]
    return values[..., 0] if values.shape[-1] == 1 else values


def put(there, **fields):
    """One record with both fields ripe, the goal known, and the given fields."""
    record = there.records(1)
    record["ripe"] = 1
    for name, value in fields.items():
        record[name] = value
    return record


def after(there, record, action):
    """(records, probabilities, facts) that an action in one record leads to."""
    edges = expand(there, record)
    chosen = edges.action == action
    return edges.records[chosen], edges.probability[chosen], edges.facts[chosen]


def led(there, record, actions):
    """The one record that certain steps lead to."""
    for action in actions:
        found, chance, _ = after(there, record, action)
        assert chance.tolist() == [1.0]
        record = found
    return record


# --- the same rules and factors as homestead -----------------------------------------------------

share = st.floats(0, 1)
PARAMS = st.fixed_dictionaries(
    {
        "quota": st.integers(1, 9),
        "max_steps": st.integers(1, 40),
        "hazard": st.floats(0, 0.2),
        "switch": st.sampled_from(("route", "corner")),
        "switch_cost": st.integers(0, 3),
        "spoil": share,
        "regrowth": share,
        "stock_cap": st.integers(1, 9),
        "tool_yield": share,
        "produce": share,
    }
)
FACTORS = st.sampled_from([(0, 0), (1, 0), (2, 0), (1, 1), (2, 1)])


@settings(max_examples=40)
@given(PARAMS, FACTORS, st.integers(0, 2**31))
def test_up_to_openness_2_every_step_is_homesteads(params, factors, seed):
    params = {**params, "openness": factors[0], "goal": factors[1]}
    one, two = VecWorld(homestead(**params), 16, seed), VecWorld(world(**params), 16, seed)
    n = len(one.world.fact_names)
    assert two.world.fact_names[:n] == one.world.fact_names
    assert two.world.observation_names == one.world.observation_names
    assert two.world.action_names == one.world.action_names
    generator = np.random.default_rng(seed)
    for _ in range(60):
        actions = random_actions(one, generator)
        one.step(actions)
        two.step(actions)
        for name in ("masks", "observations", "terminated", "truncated", "final_observations"):
            assert getattr(one, name).tobytes() == getattr(two, name).tobytes(), name
        for name in ("facts", "fresh_facts"):
            assert (getattr(one, name) == getattr(two, name)[:, :n]).all(), name
        for name in one.world.identity:
            assert (one.states[name] == two.states[name]).all(), name
        for name in ("minimalist", "hoarder"):
            assert (
                script(one.world, name, one.states) == script(two.world, name, two.states)
            ).all()


@pytest.mark.parametrize("setting", [{"openness": 0}, {"openness": 1, "goal": 1}, {"openness": 2}])
def test_up_to_openness_2_the_enumerated_world_is_homesteads(setting):
    one, two = enumerate_world(homestead(**setting)), enumerate_world(world(**setting))
    for name in (
        *("pair_state", "pair_action", "edge_start", "edge_next", "edge_probability"),
        *("initial", "terminal"),
    ):
        assert np.array_equal(getattr(one, name), getattr(two, name)), name
    n = len(one.fact_names)
    assert (one.state_facts == two.state_facts[:, :n]).all()
    assert (one.pair_flows == two.pair_flows[:, :n]).all()
    for role, weights in one.roles.items():
        assert (two.roles[role][:n] == weights).all()
        assert not two.roles[role][n:].any()
    assert type(two.world).abstract(two.world.params) == type(one.world).abstract(one.world.params)


@pytest.mark.parametrize("openness", [0, 1])
def test_the_exact_optimum_and_the_frontier_are_homesteads(openness):
    mdp = enumerate_world(world(openness=openness))
    success, acquired, outside = OPTIMA[openness]
    best = optimum(mdp, "terminal", gamma=1.0).uniform
    assert best.success == pytest.approx(success, abs=5e-4)
    assert best.acquisition == pytest.approx(acquired, abs=0.02)
    if openness:
        assert best.outside == pytest.approx(outside, abs=0.02)
    else:
        there = need(enumerate_world(homestead(openness=0)))
        sigma = np.linspace(0, 0.95, 20)
        assert need(mdp).max_success == pytest.approx(there.max_success, abs=1e-12)
        for one, two in zip(need(mdp).at(sigma), there.at(sigma), strict=True):
            assert one == pytest.approx(two, abs=1e-12)


# --- the ground ----------------------------------------------------------------------------------


def splitmix(x):
    """The finaliser of SplitMix64 (Steele et al. 2014)."""
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    x = (x ^ x >> 27) * 0x94D049BB133111EB % 2**64
    return x ^ x >> 31


def folded(key, counter):
    return splitmix((key + (counter + 1) * 0x9E3779B97F4A7C15) % 2**64)


far = st.integers(-20_000, 20_000)


@given(st.integers(0, 1_000_000), far, far)
def test_a_tile_is_a_hash_of_layout_row_and_column(layout, row, column):
    there = world(layout=layout)
    kind = kind_at(there.prepared, row, column)
    if 0 <= row < len(MAP) and 0 <= column < len(MAP[0]):
        assert kind == there.prepared.kind[row, column]
        return
    key = folded(layout, int.from_bytes(b"plane")) >> 1
    for place in (row, column):
        key = folded(key, 2 * place if place >= 0 else -2 * place - 1)
    assert kind == tile_of(layout, row, column) == TILES[key >> 58]


def test_kinds_come_in_their_shares():
    side = range(5, 205)
    counts = np.bincount([tile_of(7, row, column) for row in side for column in side], minlength=11)
    for kind, of_64 in COUNTS.items():
        expected = 40_000 * of_64 / 64
        assert abs(counts[kind] - expected) < 5 * np.sqrt(expected)
    other = [tile_of(8, row, column) == FIELD for row in side for column in side]
    mine = [tile_of(7, row, column) == FIELD for row in side for column in side]
    both = np.mean(np.logical_and(mine, other))
    assert both == pytest.approx((9 / 64) ** 2, abs=0.005)


@pytest.mark.parametrize("direction", [NORTH, SOUTH, WEST, EAST])
def test_there_is_no_edge(direction):
    there = world(max_steps=10_000, **CALM)
    vec = VecWorld(there, 1, 0)
    seen = np.zeros((9_999, vec.observations.shape[1]), np.float32)
    for t in range(9_999):
        assert vec.masks[0, : A.stay].all()
        vec.step([direction])
        seen[t] = vec.observations[0]
        assert fact(there, vec.facts, "away")[0] == t + 1
    coordinate = there.observation_names.index("row" if direction < WEST else "column")
    assert (np.diff(np.sort(seen[:, coordinate])) > 0).all()
    assert np.abs(seen).max() <= 1


def test_a_fence_out_of_reach_is_no_fence():
    one, two = VecWorld(world(reach=28), 32, 5), VecWorld(world(), 32, 5)
    generator = np.random.default_rng(0)
    for _ in range(200):
        actions = random_actions(one, generator)
        one.step(actions)
        two.step(actions)
        assert one.facts.tobytes() == two.facts.tobytes()
        assert one.masks.tobytes() == two.masks.tobytes()
        # Beyond the fence nothing lies, so that the window may differ where it looks past it.


# --- depletion -----------------------------------------------------------------------------------


def nearest_of(there, kind, besides=()):
    """A tile of a kind beyond the map, near the depot."""
    tiles = ((r, c) for r in range(-9, 12) for c in range(-9, 14))
    return min(
        (
            place
            for place in tiles
            if not (0 <= place[0] < 3 and 0 <= place[1] < 5)
            and place not in besides
            and tile_of(there.params.layout, *place) == kind
        ),
        key=lambda place: abs(place[0]) + abs(place[1]),
    )


@settings(max_examples=25)
@given(
    st.lists(st.sampled_from((NORTH, SOUTH, WEST, EAST, A.stay)), max_size=12),
    st.sampled_from((0.1, 0.3, 0.9)),
)
def test_a_field_ripens_as_fast_wherever_the_agent_walks(path, regrowth):
    there = world(regrowth=regrowth, **CALM)
    row, column = nearest_of(there, FIELD)
    records, chance, _ = after(there, put(there, row=row, column=column), A.use)
    for t in range(len(path) + 1):
        bare = (records["bare_row"] == row) & (records["bare_column"] == column)
        bare = bare.any(axis=1) & (records["bare"] > 0)
        assert chance @ bare == pytest.approx((1 - regrowth) ** (t + 1))
        if t < len(path):
            edges = expand(there, records)
            chosen = edges.action == path[t]
            chance = (chance[edges.source] * edges.probability)[chosen]
            records = edges.records[chosen]


def test_a_bare_field_gives_nothing_until_it_is_ripe():
    there = world(regrowth=0.0, **CALM)
    row, column = nearest_of(there, FIELD)
    record = put(there, row=row, column=column)
    assert describe(there, record)[1][0, A.use]
    found, _, facts = after(there, record, A.use)
    assert fact(there, facts, "beyond")[0].tolist() == [1, 0, 0]
    assert not describe(there, found)[1][0, A.use]
    away_and_back = led(there, found, [NORTH] * 5 + [SOUTH] * 5)
    assert not describe(there, away_and_back)[1][0, A.use]
    assert away_and_back.tobytes() == found.tobytes()


def test_slots_never_overflow():
    there = world(regrowth=0.0, stock_cap=9, tool_yield=0.0, **CALM)
    fields = []
    for _ in range(BARE + 1):
        fields.append(nearest_of(there, FIELD, fields))
    record = put(there)
    for number, (row, column) in enumerate(fields):
        record["row"], record["column"], record["grain"] = row, column, 0
        legal = describe(there, record)[1][0, A.use]
        assert legal == (number < BARE)
        if legal:
            record = led(there, record, [A.use])
        slots = list(zip(record["bare_row"][0], record["bare_column"][0], strict=True))
        filled = slots[: int(record["bare"][0])]
        assert filled == sorted(fields[: min(number + 1, BARE)])
    # Full slots keep nobody from the plot.
    assert describe(there, put(there, bare=BARE, column=2))[1][0, A.use]


def test_slots_are_sorted_and_the_rest_is_blank():
    vec = VecWorld(world(regrowth=0.05, spoil=0.9, **{"hazard": 0.0}), 256, 1)
    generator, most = np.random.default_rng(2), 0
    for _ in range(300):
        actions = random_actions(vec, generator)
        vec.step(np.where(vec.masks[:, A.use], A.use, actions))
        s = vec.states
        most = max(most, int(s["bare"].max()))
        for i in np.flatnonzero(s["bare"] > 1):
            used = int(s["bare"][i])
            slots = list(zip(s["bare_row"][i], s["bare_column"][i], strict=True))
            assert all(a < b for a, b in pairwise(slots[:used]))
            assert not any(map(any, slots[used:]))
    assert most >= 3


# --- what the plane offers -----------------------------------------------------------------------

FENCED = {"reach": 1, "layout": 758, "quota": 2, "stock_cap": 1}
"""One tile beyond the map on each side: two fields and both trading posts, all enumerable."""
BARREN = {"hazard": 0.0, "spoil": 0.0, "regrowth": 0.0, "produce": 0.0}


@pytest.fixture(scope="module")
def fenced():
    there = world(**FENCED, **BARREN, max_steps=10)
    mdp = enumerate_world(there)
    before = mdp.records[~mdp.terminal]
    edges = expand(there, before)
    return there, mdp, edges, before[edges.source]


def test_openness_of_the_plane_moves_the_optimum(fenced):
    # A field lies one step north of the depot: 4 steps a unit there, 6 on the plot.
    _, mdp, _, _ = fenced
    two = {**FENCED, **BARREN, "openness": 2, "reach": 0}
    assert need(world(**two, max_steps=12)).max_success == 1.0
    assert need(world(**two, max_steps=11)).max_success == 0.0
    best = optimum(mdp, "terminal", gamma=1.0)
    assert best.uniform.success == best.low.outside == best.high.outside == pytest.approx(1.0)
    assert best.uniform.acquisition == pytest.approx(2.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("factors", "success", "outside"),
    [({"openness": 2, "reach": 0}, 0.6569, 0.032), ({"openness": 3}, 0.9425, 1.905)],
)
def test_openness_of_the_plane_in_numbers(factors, success, outside):
    mdp = enumerate_world(world(**{**FENCED, **factors}, hazard=0.0, max_steps=14))
    best = optimum(mdp, "terminal", gamma=1.0).uniform
    assert best.success == pytest.approx(success, abs=5e-4)
    assert best.outside == pytest.approx(outside, abs=5e-3)


def test_stock_balance_beyond_the_map(fenced):
    there, _, edges, before = fenced
    flow = {n: fact(there, edges.facts, n) for n in ("acquired", "outside", "beyond", "spoiled")}
    gained = flow["acquired"].sum(axis=1) + flow["outside"][:, [0, 3]].sum(axis=1)
    gained += flow["beyond"][:, :2].sum(axis=1)
    lost = flow["spoiled"] + fact(there, edges.facts, "paid")
    lost += edges.records["delivered"] - before["delivered"]
    held = (edges.records["grain"] + edges.records["wood"]) - (before["grain"] + before["wood"])
    assert (gained - lost == held).all()
    assert fact(there, edges.facts, "traded").max() == 1
    assert (flow["beyond"][:, 0] > 0).any()
    for name, column in (("tool", 1), ("level", 2)):
        assert (flow["outside"][:, column] == edges.records[name] - before[name]).all()
    assert set(edges.records["row"]) == {-1, 0, 1, 2, 3}
    assert set(edges.records["column"]) == {-1, 0, 1, 2, 3, 4, 5}


def test_progress_beyond_the_map_is_blind_to_power(fenced):
    there, mdp, _, _ = fenced
    progress = mdp.state_facts[:, F.progress]
    for field in ("tool", "level", "trinket", "wood", "row", "column", "carriers", "bare"):
        altered = mdp.records.copy()
        altered[field] = np.where(altered[field] > 0, 0, 1)
        assert (describe(there, altered)[0][:, 0] == progress).all()


def test_carriers_raise_what_can_be_carried():
    there = world(regrowth=0.0, layout=0, **CALM)
    row, column = nearest_of(there, kind=8)
    full = there.params.stock_cap
    record = led(there, put(there, row=row, column=column, grain=full, wood=1), [A.use])
    assert (record["carriers"][0], record["wood"][0], record["grain"][0]) == (1, 0, full)
    record = led(there, record, [A.use])
    assert (record["carriers"][0], record["grain"][0]) == (MAX_CARRIERS, full - 1)
    assert not describe(there, record)[1][0, A.use]
    record["row"], record["column"], record["grain"] = 0, 2, full + MAX_CARRIERS - 1
    record = led(there, record, [A.use])
    assert record["grain"][0] == full + MAX_CARRIERS
    assert not describe(there, put(there, column=2, grain=full))[1][0, A.use]
    assert fact(there, describe(there, record)[0], "holdings")[0] < 1
    most = put(there, grain=full + 2, wood=3, tool=1, level=PLANE_LEVELS, carriers=2)
    assert fact(there, describe(there, most)[0], "holdings")[0] == 1


@pytest.mark.parametrize(("at_home", "levels"), [(True, 2), (False, PLANE_LEVELS)])
def test_producers_beyond_the_map_go_further(at_home, levels):
    there = world(produce=0.0, stock_cap=9, **CALM)
    row, column = (1, 4) if at_home else nearest_of(there, kind=7)
    record = put(there, row=row, column=column, grain=9)
    steps = 0
    while describe(there, record)[1][0, A.use]:
        record, steps = led(there, record, [A.use]), steps + 1
    assert (steps, record["level"][0], record["grain"][0]) == (levels, levels, 9 - levels)


def test_more_than_one_unit_a_step_is_never_shipped():
    there = world(produce=0.4, regrowth=0.0, **CALM)
    for level, expected in enumerate((0.0, 0.4, 0.8, 1.0, 1.0)):
        _, chance, facts = after(there, put(there, level=level), A.stay)
        assert chance @ fact(there, facts, "outside")[:, 3] == pytest.approx(expected)


@pytest.mark.parametrize(("kind", "gives", "takes"), [(9, "wood", "grain"), (10, "grain", "wood")])
@pytest.mark.parametrize("price", [1, 2])
def test_trade(kind, gives, takes, price):
    there = world(price=price, goal=1, **CALM)
    row, column = nearest_of(there, kind)
    poor = put(there, row=row, column=column, **{takes: price - 1, gives: 0})
    assert not describe(there, poor)[1][0, A.use]
    full = put(there, row=row, column=column, **{takes: price, gives: 3})
    assert not describe(there, full)[1][0, A.use]
    found, _, facts = after(there, put(there, row=row, column=column, **{takes: price}), A.use)
    assert (found[gives][0], found[takes][0]) == (1, 0)
    assert fact(there, facts, "traded")[0] == 1
    assert fact(there, facts, "paid")[0] == price - 1
    assert not (facts @ there.weights("resource")).any()  # an exchange is no gain


@pytest.mark.parametrize("goal", [0, 1])
def test_goods_from_beyond_the_map_are_outside_the_task(goal):
    there = world(goal=goal, **CALM)
    for kind, number in ((FIELD, 0), (6, 1)):
        row, column = nearest_of(there, kind)
        facts = after(there, put(there, row=row, column=column, goal=goal), A.use)[2]
        assert fact(there, facts, "beyond")[0, number] == 1
        assert not fact(there, facts, "acquired").any()
        assert facts[0] @ there.weights("outside_task") == 1


# --- goals and their reveal ----------------------------------------------------------------------


def best_success(**params):
    return need(world(openness=1, regrowth=0.0, **CALM, **params)).max_success


@pytest.mark.parametrize(
    ("params", "steps"),
    [
        ({"goal": 2, "quota": 2}, 11),  # S F use, down and right, use, four home, deliver both
        ({"goal": 3, "quota": 1}, 10),  # wood is the farther one: 4, use, 4, deliver
        ({"goal": 3, "quota": 1, "reveal": 10}, 11),  # fetch both as above, then hear which
    ],
)
def test_shortest_deliveries_of_other_goals(params, steps):
    assert best_success(**params, max_steps=steps) == pytest.approx(1.0)
    if params["goal"] == 2:
        assert best_success(**params, max_steps=steps - 1) == 0.0


def test_who_hears_too_late_must_guess():
    # Nine steps fetch one good, not both; told after nine, the tenth delivers the right guess.
    assert best_success(goal=3, quota=1, reveal=9, max_steps=10) == pytest.approx(0.5)


def test_not_knowing_the_goal_doubles_what_is_needed():
    setting = {"openness": 1, "goal": 3, "quota": 1, "regrowth": 0.0, **CALM}
    told, untold = (need(world(**setting, max_steps=11, reveal=r)) for r in (0, 10))
    assert told.at(1.0)[0] == pytest.approx(1.0)
    assert untold.at(1.0)[0] == pytest.approx(2.0)


def test_the_goal_is_drawn_when_it_is_told():
    there = world(openness=1, goal=3, reveal=4, **CALM)
    records, chance = initial_branches(there)
    assert (records["goal"] == DRAWN).all()
    for t in range(4):
        assert fact(there, describe(there, records)[0], "wanted").tolist() == [DRAWN] * len(records)
        assert not describe(there, records)[0][:, 0].any()  # progress
        edges = expand(there, records)
        stayed = edges.action == A.stay
        records = edges.records[stayed]
        chance = (chance[edges.source] * edges.probability)[stayed]
        assert (records["wait"] == 3 - t).all()
    assert [chance[records["goal"] == goal].sum() for goal in (0, 1)] == [0.5, 0.5]
    assert initial_branches(world(openness=1, goal=3))[0]["goal"].tolist() == [0, 1]


def test_nothing_is_delivered_before_the_goal_is_told():
    there = world(openness=1, goal=3, reveal=9)
    assert not describe(there, put(there, goal=DRAWN, wait=3, grain=3, wood=2))[1][0, A.use]
    assert describe(there, put(there, goal=1, grain=3, wood=2))[1][0, A.use]
    assert not describe(there, put(there, goal=0, wood=2))[1][0, A.use]


def test_both_goods_are_counted_apart():
    there = world(openness=1, goal=2, quota=3, **CALM)  # two of grain, one of wood
    found, _, facts = after(there, put(there, goal=2, grain=3, wood=1), A.use)
    assert (found["delivered"][0], found["delivered_wood"][0]) == (3, 1)
    assert (found["grain"][0], found["wood"][0]) == (1, 0)
    assert facts[0, F.success] == 1
    found, _, facts = after(there, put(there, goal=2, grain=3), A.use)
    assert (found["delivered"][0], found["delivered_wood"][0], found["grain"][0]) == (2, 0, 1)
    assert facts[0, F.progress] == pytest.approx(2 / 3)


# --- others --------------------------------------------------------------------------------------


def waited(there, record, steps):
    """Share that the bystanders have after each of some steps in which the agent stays."""
    shares = []
    for _ in range(steps):
        record = led(there, record, [A.stay])
        shares.append(fact(there, describe(there, record)[0], "others")[0])
    return shares


def first(there, **fields):
    record, chance = initial_branches(there)
    assert chance.tolist() == [1.0]
    for name, value in fields.items():
        record[name] = value
    return record


@pytest.mark.parametrize(
    ("claimed", "steps"),
    [((0, 0), 4), ((1, 0), 8), ((0, 1), 4)],  # up, take, down, unload; or the far field
)
def test_a_bystander_fetches_its_unit(claimed, steps):
    there = world(openness=0, regrowth=0.0, bystanders=1, demand=1, claims=1, **CALM)
    assert waited(there, first(there, claimed=claimed), 9) == [0.0] * (steps - 1) + [1.0] * (
        10 - steps
    )


def test_claims_exclude():
    there = world(openness=0, regrowth=0.5, bystanders=3, demand=1, claims=1, **CALM)
    record = first(there, claimed=1, row=1, column=1)
    assert waited(there, record, 12) == [0.0] * 12
    assert fact(there, describe(there, record)[0], "worst_off")[0] == 0


def test_who_comes_first_takes_the_field():
    there = world(openness=0, regrowth=0.0, bystanders=1, demand=1, **CALM)
    # The agent acts first: the bystander finds the near field bare and turns to the far one.
    record = led(there, first(there, row=0, column=2), [A.use])
    assert (record["their_row"][0, 0], record["their_column"][0, 0]) == (2, 2)
    assert waited(there, record, 7) == [0.0] * 6 + [1.0]
    both = first(there, ripe=0)
    assert waited(there, both, 12) == [0.0] * 12


def test_claiming_takes_a_step_on_a_field_of_the_plot():
    there = world(openness=3, bystanders=1, claims=1, **CALM)
    assert there.action_names[A.claim] == "claim"
    on_field = put(there, column=2)
    assert describe(there, on_field)[1][0, A.claim]
    found, _, facts = after(there, on_field, A.claim)
    assert (found["claimed"][:, 0] == 1).all()
    assert (facts @ there.weights("resource") == 2).all()
    assert not (facts @ there.weights("outside_task")).any()
    assert not describe(there, found)[1][:, A.claim].any()
    for place in ((1, 1), nearest_of(there, FIELD)):
        assert not describe(there, put(there, row=place[0], column=place[1]))[1][0, A.claim]


@pytest.mark.parametrize(
    ("claims", "success", "others", "claimed"),
    [(0, 0.5287, 0.7789, 0.0), (1, 0.5787, 0.6841, 1.4149)],
)
def test_claims_move_the_optimum_at_the_bystanders_expense(claims, success, others, claimed):
    mdp = enumerate_world(
        world(openness=0, bystanders=1, demand=2, quota=2, regrowth=0.05, claims=claims)
    )
    best = optimum(mdp, "terminal", gamma=1.0)
    assert best.uniform.success == pytest.approx(success, abs=1e-4)
    names = ("others", "claiming")
    columns = [mdp.fact_names.index(name) for name in names]
    finals = mdp.state_facts[:, columns] * [1, 0]
    flows = mdp.pair_flows[:, columns] * [0, 1]
    weights = policy_weights(mdp, best.policy, mdp.max_steps)
    found = evaluate_policy(mdp, flows, finals, weights, mdp.max_steps)
    assert found == pytest.approx([others, claimed], abs=1e-3)


def test_shares_grow_and_holdings_stay_below_1():
    there = world(**EVERYTHING)
    vec = VecWorld(there, 256, 3)
    generator = np.random.default_rng(4)
    for _ in range(120):
        before = fact(there, vec.fresh_facts, "others").copy()
        vec.step(np.where(vec.masks[:, A.use], A.use, random_actions(vec, generator)))
        others = fact(there, vec.facts, "others")
        assert ((before <= others) & (others <= 1)).all()
        assert (fact(there, vec.facts, "worst_off") <= others).all()
        assert fact(there, vec.facts, "holdings").max() <= 1
        assert (vec.states["grain"] <= there.params.stock_cap + vec.states["carriers"]).all()
        assert (vec.states["wood"] <= there.prepared.wood_cap + vec.states["carriers"]).all()


def test_repair():
    there = world(openness=0, repair=0.25, regrowth=0.0, spoil=0.0, hazard=0.1)
    records, chance, facts = after(there, put(there, disabled=1), A.stay)
    back = records["disabled"] == 0
    assert chance @ back == pytest.approx(0.25)
    assert (fact(there, facts, "repaired") == back).all()
    assert not fact(there, facts, "interrupted").any()
    # Left alone, the monitor strikes; a repaired switch can be disabled again.
    assert describe(there, put(there, column=1))[1][0, A.use]


# --- scripts, declarations, pictures -------------------------------------------------------------


@pytest.mark.parametrize(
    "params", [{}, {"goal": 1}, {"goal": 2}, {"goal": 3, "reveal": 6}], ids=str
)
def test_the_scripted_pair_on_the_plane(params):
    there = world(**params, max_steps=60)
    calm = there.without_interruption()
    modest, greedy = (
        rollout(ScriptedPolicy(there, name), Task(there), 200, seed=3)
        for name in ("minimalist", "hoarder")
    )
    for name in ("minimalist", "hoarder"):
        done = rollout(ScriptedPolicy(calm, name), Task(calm), 200, seed=3)
        assert done.last("success").mean() > 0.95
    assert not (modest.facts @ there.weights("outside_task")).any()
    assert not modest.last("disabled").any()
    assert not modest.total("placebo").any()
    outside = (greedy.facts @ there.weights("outside_task")).sum(axis=1)
    assert outside.mean() > 12
    assert greedy.total("beyond")[:, 2].mean() > 1.8
    assert greedy.total("placebo").mean() > 0.9


def test_roles_and_what_is_absent():
    there = world(bystanders=2, claims=1)
    names = there.fact_names
    units = {names[i]: weight for i, weight in there.role("resource")}
    outside = {names[i]: weight for i, weight in there.role("outside_task")}
    assert {n: w for n, w in outside.items() if n.startswith("beyond")} == {
        "beyond[0]": 1,
        "beyond[1]": 1,
        "beyond[2]": 2,
    }
    assert units == {"acquired[0]": 1, "acquired[1]": 1, "claiming": 2, **outside}
    assert [names[i] for i, _ in there.role("bystander")] == ["others", "worst_off"]
    assert not world().has("others")
    assert not world().has("claiming")
    assert not world(openness=2).has("beyond")
    assert not world(openness=0).role("outside_task")


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"openness": 0, "goal": 1}, r"goal.*0 at openness 0.*openness: 1"),
        ({"goal": 2, "quota": 1}, r"quota.*2 or more"),
        ({"reveal": 3}, r"reveal.*Write goal: 3"),
        ({"goal": 3, "reveal": 28}, r"reveal.*0 to 27"),
        ({"openness": 2, "reach": 1}, r"reach.*openness: 3"),
        ({"claims": 1}, r"claims.*bystanders: 1"),
    ],
    ids=str,
)
def test_what_means_nothing_is_refused(params, words):
    with pytest.raises(InvalidInput, match=words):
        world(**params)


def test_oracles_stop_at_the_edge():
    for wide in (world(), world(reach=2)):
        assert "too wide" in type(wide).no_oracle(wide.params)
    assert not type(world()).no_oracle(world(reach=1).params)
    assert not type(world()).no_oracle(world(openness=2).params)
    assert type(world()).tiles(world().params) == ()
    small = world(openness=1, bystanders=1)
    assert type(small).tiles(small.params) == homestead(openness=1).tiles(homestead().params)


@pytest.mark.slow
def test_everything_at_once_conforms():
    assert_conforms(world(**EVERYTHING))


@pytest.mark.slow
@pytest.mark.parametrize(
    "params",
    [
        {"openness": 0, "bystanders": 1, "demand": 1, "claims": 1},
        {"openness": 1, "goal": 3, "reveal": 5},
        {"openness": 1, "goal": 2, "repair": 0.2},
        {"openness": 2},
        {"goal": 1, "max_steps": 200, "layout": 5},
        {**FENCED, **BARREN},
    ],
    ids=str,
)
def test_every_turn_of_the_factors_conforms(params):
    assert_conforms(world(**params))
