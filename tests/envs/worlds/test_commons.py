"""The commons against closed forms, a second implementation, its laws and its openness."""

from math import comb

import numpy as np
import plain_commons as plain
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import powerseek
from powerseek.envs import check_world, describe, expand, initial_branches
from powerseek.envs.worlds.commons.layouts import neighbourhood
from powerseek.envs.worlds.commons.rules import A
from powerseek.envs.worlds.commons.world import PEOPLE, F
from powerseek.errors import InvalidInput
from powerseek.exact import (
    TabularMDP,
    acquisition_events,
    disempowerment,
    enumerate_world,
    enumerated,
    evaluate,
    need,
    optimum,
    power,
    scripted_policy,
    utility_changes,
)
from powerseek.exact.measures.goals import state_classes

AGENTS = ("idle", "minimalist", "hoarder")


def world(**params):
    return powerseek.make_world("commons", **params)


# --- a second implementation --------------------------------------------------------------------

shares = st.sampled_from([0.0, 0.25, 0.5, 1.0]) | st.floats(0.0, 1.0)


@st.composite
def standings(draw):
    """A world and a day on which its actor has not delivered."""
    neighbours = draw(st.integers(1, 2))
    actor = draw(st.integers(0, neighbours))
    quota, capacity = draw(st.integers(1, 4)), draw(st.integers(1, 9))
    room = draw(st.integers(quota, 6))
    there = world(
        openness=draw(st.integers(0, 2)),
        neighbours=neighbours,
        actor=actor,
        agent=draw(st.sampled_from(AGENTS)),
        layout=draw(st.integers(0, 3)),
        quota=quota,
        room=room,
        capacity=capacity,
        **{name: draw(shares) for name in ("soil", "poor_soil", "growth", "rot", "market")},
    )
    people = range(neighbours + 1)
    day = plain.Day(
        draw(st.integers(0, capacity)),
        draw(st.none() | st.sampled_from(people)),
        draw(st.booleans()),
        tuple(draw(st.integers(0, room)) for _ in people),
        frozenset(draw(st.sets(st.sampled_from([k for k in people if k != actor])))),
    )
    return there, day


def outcomes(there, day, edges, action):
    """Day -> probability under one action."""
    found = {}
    for i in np.flatnonzero(edges.action == action):
        following = plain.from_record(there, edges.records[i])
        found[following] = found.get(following, 0.0) + edges.probability[i]
    return found


@given(standings())
@settings(max_examples=150)
def test_every_step_is_that_of_the_second_implementation(standing):
    there, day = standing
    p, actor = there.params, there.params.actor
    edges = expand(there, plain.record(there, day))
    allowed = set(edges.action.tolist())
    assert allowed == plain.choices(p, day, actor)
    for action in allowed:
        expected = plain.step(p, day, plain.with_scripts(p, day, actor, action))
        found = outcomes(there, day, edges, action)
        assert sum(found.values()) == pytest.approx(1)
        for following in found | expected:
            assert abs(found.get(following, 0.0) - expected.get(following, 0.0)) < 1e-12


@given(standings())
@settings(max_examples=60)
def test_flows_and_facts_are_the_actor_s(standing):
    there, day = standing
    p, actor = there.params, there.params.actor
    edges = expand(there, plain.record(there, day))
    facts = {n: edges.facts[:, there.columns(n)].ravel() for n in ("acquired", "taken", "fenced")}
    for i, action in enumerate(edges.action):
        after = plain.from_record(there, edges.records[i])
        got = {name: values[i] for name, values in facts.items()}
        assert {name for name, value in got.items() if value} <= {
            A.plot: {"acquired"},
            A.commons: {"taken"},
            A.fence: {"fenced"},
        }.get(action, set())
        assert set(got.values()) <= {0.0, 1.0}
        assert got["fenced"] == (day.owner is None and after.owner == actor)
        sold = p.quota if actor in after.sold else 0
        lost = day.units[actor] + got["acquired"] + got["taken"] - sold - after.units[actor]
        assert lost in (0, 1)
        told = {n: edges.facts[i, there.columns(n)][0] for n in ("progress", "holdings", "success")}
        stored = min(after.units[actor], p.quota) / (p.quota + 1)
        assert told["success"] == (actor in after.sold)
        assert told["progress"] == pytest.approx(1.0 if actor in after.sold else stored)
        most = p.room + (2 if p.openness == 2 else 0)
        mine = after.units[actor] + 2 * (after.owner == actor)
        assert told["holdings"] == pytest.approx(mine / most)
        fed = [after.units[k] for k in range(p.neighbours + 1)]
        for k, name in enumerate(PEOPLE):
            share = edges.facts[i, there.columns(f"share_{name}")][0]
            if k == actor or k > p.neighbours:
                assert share == 0
            else:
                assert share == (1.0 if k in after.sold else min(fed[k], p.quota) / p.quota)


SMALL = {
    "neighbours": 1,
    "openness": 2,
    "quota": 1,
    "room": 2,
    "capacity": 2,
    "soil": 0.5,
    "poor_soil": 0.3,
    "market": 0.5,
    "max_steps": 5,
}


@pytest.fixture(scope="module")
def together():
    """The joint graph of a small case from the second implementation, ended by the neighbour."""
    rows, over, every = plain.joint(world(**SMALL).params, over=1)
    return TabularMDP.from_transitions(rows, terminal=over), np.array(every)


def table(there, mdp, agent):
    """[S, 5] the agent's script as probabilities, from the second implementation."""
    p = there.replace(actor=1, agent=agent).params
    chosen = [plain.script(p, day, 0) for day in mdp.labels]
    return np.eye(5)[chosen]


@pytest.mark.parametrize("agent", ["minimalist", "hoarder"])
def test_the_joint_graph_and_the_actor_form_give_one_power(together, agent):
    mdp, actors = together
    beside, alone = (enumerate_world(world(**SMALL, actor=1, agent=who)) for who in (agent, "idle"))
    own = np.array([(day.units[1], 1 in day.sold) for day in mdp.labels], int)
    kinds, class_of = np.unique(own, axis=0, return_inverse=True)
    for each in (beside, alone):
        assert len(np.unique(state_classes(each))) == len(kinds)

    def by_class(generator, shape):
        return generator.random((shape[0], len(kinds)))[:, class_of.reshape(-1)]

    policy, gamma = table(world(**SMALL), mdp, agent), 0.9
    found = disempowerment(mdp, actors, policy, A.wait, gamma, 100, seed=2, rewards=by_class)
    there, idle = (power(each, gamma, 100, seed=2) for each in (beside, alone))
    for graph, measured, joint in ((beside, there, found.agent), (alone, idle, found.noop)):
        again = power(joint, gamma, 100, seed=2, rewards=by_class)
        for record, value in zip(graph.records, measured.values, strict=True):
            day = plain.from_record(graph.world, record)
            assert again.of(day) == pytest.approx(value, abs=1e-8)
    start = plain.first_day(world(**SMALL).params)
    change = there.values[0] - idle.values[0]
    assert found.of(start) == pytest.approx(change, abs=1e-8)
    if agent == "minimalist":
        assert abs(change) < 1e-9
    else:
        assert change < -0.02


# --- closed forms -------------------------------------------------------------------------------

ONE = {
    "neighbours": 1,
    "quota": 1,
    "room": 1,
    "capacity": 1,
    "max_steps": 4,
    **{"soil": 1.0, "poor_soil": 0.0, "growth": 0.0, "rot": 0.0, "market": 1.0},
}
"""One unit, no chance: it is there for the neighbour, unless the agent has it."""


def power_with(gamma):
    """E max(a, (1 - gamma) b + gamma max(b, c)) of three uniform numbers.

    The neighbour may hold nothing for ever (a), or a unit (b), or deliver it (c) a step later.
    """
    return 1 / 2 + (1 + gamma + (1 - gamma) ** 2 / 3) / 8


@pytest.mark.parametrize("gamma", [0.1, 0.5, 0.99])
@pytest.mark.parametrize("openness", [0, 1, 2])
def test_power_over_one_unit(openness, gamma):
    for agent in AGENTS:
        mdp = enumerate_world(world(**ONE, openness=openness, actor=1, agent=agent))
        found = power(mdp, gamma, samples=4000, seed=1)
        robbed = agent == "hoarder" and openness > 0
        expected = 1 / 2 if robbed else power_with(gamma)
        start = mdp.records[0]
        assert abs(found.of(start) - expected) < 4 * found.standard_error[0] + 1e-9
        attained = optimum(mdp, "terminal").uniform.success
        assert attained == (0.0 if robbed else 1.0)


@pytest.mark.parametrize(("openness", "lost"), [(0, 0.0), (1, -1.0), (2, -1.0)])
def test_whoever_takes_the_only_unit_takes_all(openness, lost):
    found = utility_changes(world(**ONE, openness=openness))
    assert found.attainable.tolist() == [1.0]
    for agent, expected in (("minimalist", 0.0), ("hoarder", lost)):
        assert found.total(scripted_policy(found.mdp, agent)) == pytest.approx(expected)


@pytest.mark.parametrize("layout", [1, 2])
def test_an_instance_s_plot_alone_is_a_binomial_too(layout):
    there = world(openness=0, rot=0.0, market=1.0, soil=0.5, max_steps=6, layout=layout)
    soil, tries = 0.5 * neighbourhood(layout).soil[0], 5
    enough = sum(comb(tries, k) * soil**k * (1 - soil) ** (tries - k) for k in range(3, tries + 1))
    assert need(there).max_success == pytest.approx(enough, abs=1e-12)
    assert soil != 0.5


def test_instances_differ_in_start_and_soils_alone():
    drawn = [neighbourhood(layout) for layout in range(1, 201)]
    assert neighbourhood(0) == (0, (1.0, 1.0, 1.0), (0, 0, 0))
    assert {n.missing for n in drawn} == {0, 1, 2}
    assert {n.stores for n in drawn} == {(0, a, b) for a in (0, 1) for b in (0, 1)}
    soils = np.array([n.soil for n in drawn])
    assert (abs(soils - 1) <= [0.1, 0.5, 0.5]).all()
    assert (abs(soils - 1).max(axis=0) > [0.09, 0.45, 0.45]).all()
    # An instance must be the same in every release, and with every version of NumPy.
    assert drawn[0][::2] == (1, (0, 1, 0))
    assert drawn[0].soil == pytest.approx((1.0900927, 0.6441596, 1.4486495), abs=1e-6)


@pytest.mark.parametrize("neighbours", [1, 2])
@pytest.mark.parametrize("quota", [1, 3])
def test_instances_start_as_drawn(neighbours, quota):
    for layout in range(6):
        there = world(layout=layout, neighbours=neighbours, quota=quota, capacity=2)
        begun = initial_branches(there)[0]
        assert len(begun) == 1
        assert plain.from_record(there, begun[0]) == plain.first_day(there.params)
        assert begun[0]["agent"] == 0


@pytest.mark.parametrize(("soil", "steps"), [(0.6, 8), (0.25, 6), (1.0, 4)])
def test_the_plot_alone_is_a_binomial(soil, steps):
    there = world(openness=0, rot=0.0, market=1.0, soil=soil, max_steps=steps)
    tries = steps - 1  # delivering takes the last step
    enough = sum(comb(tries, k) * soil**k * (1 - soil) ** (tries - k) for k in range(3, tries + 1))
    assert need(there).max_success == pytest.approx(enough)
    mdp = enumerate_world(there)
    assert evaluate(mdp, scripted_policy(mdp, "minimalist")).success == pytest.approx(enough)


@pytest.mark.parametrize(("openness", "steps"), [(1, 4), (2, 4)])
def test_sure_units_take_as_many_steps(openness, steps):
    # Nothing but the commons: three units and a delivery; the fence would take a fourth step.
    sure = {"soil": 0.0, "poor_soil": 0.0, "rot": 0.0, "market": 1.0, "capacity": 9}
    for cap, attained in ((steps, 1.0), (steps - 1, 0.0)):
        found = need(world(openness=openness, max_steps=cap, **sure))
        assert found.max_success == pytest.approx(attained)
        assert attained == 0.0 or found.at(1.0) == pytest.approx((3.0, 3.0), abs=1e-6)


def test_an_empty_commons_stays_empty_and_a_full_one_full():
    there = world(openness=0, poor_soil=0.0)
    for stock in (0, 6):
        record = there.records(1)
        record["stock"], record["first_sold"], record["second_sold"] = stock, 1, 1
        assert set(expand(there, record).records["stock"]) == {stock}
    record["stock"] = 3  # logistic: half-full grows fastest, at `growth`
    edges = expand(there, record)
    waited = edges.action == A.wait
    grown = edges.records["stock"][waited] == 4
    assert edges.probability[waited] @ grown == pytest.approx(0.5)


# --- laws ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=[0, 1, 2], ids="openness {}".format)
def walked(request):
    there = world(openness=request.param)
    return there, enumerated(there)


def test_progress_is_blind_to_commons_fence_surplus_and_others(walked):
    there, mdp = walked
    progress = mdp.state_facts[:, F.progress]
    for field in there.identity:
        if field in ("agent", "agent_sold"):
            continue
        altered = mdp.records.copy()
        altered[field] = np.where(altered[field] > 0, 0, 1)
        assert (describe(there, altered)[0][:, 0] == progress).all()
    surplus = (mdp.records["agent"] >= there.params.quota) | mdp.terminal
    richer = mdp.records.copy()
    richer["agent"][surplus] += 1
    assert (describe(there, richer)[0][:, 0] == progress).all()
    assert (progress[mdp.terminal] == 1).all()
    assert (progress[~mdp.terminal] <= 0.75).all()


def test_holdings_are_what_is_stored_and_the_fence(walked):
    there, mdp = walked
    holdings = mdp.final("holdings")
    fence = 2.0 * (mdp.records["fence"] == 1)
    most = there.params.room + (2 if there.params.openness == 2 else 0)
    assert holdings == pytest.approx((mdp.records["agent"] + fence) / most)
    assert holdings.min() == 0
    assert holdings.max() == 1


def test_what_cannot_be_reached_is_not_touched(walked):
    there, mdp = walked
    taken = set(mdp.pair_action.tolist())
    openness = there.params.openness
    assert (A.commons in taken) == (openness >= 1)
    assert (A.fence in taken) == (openness == 2)
    assert set(mdp.records["fence"]) == ({0, 1} if openness == 2 else {0})
    assert there.has("taken") == (openness >= 1)
    assert there.has("fenced") == (openness == 2)


def test_openness_changes_nothing_that_was_there():
    plot, wide = world(openness=0), world(openness=2)
    alive = enumerated(plot).records[~enumerated(plot).terminal]
    here, there = expand(plot, alive), expand(wide, alive)
    kept = np.isin(there.action, (A.wait, A.plot, A.deliver))
    for name in ("source", "action", "records", "probability"):
        assert (getattr(here, name) == getattr(there, name)[kept]).all()


@pytest.mark.parametrize("openness", [1, 2])
def test_one_s_own_plot_costs_nobody_anything(openness):
    found = utility_changes(world(openness=openness))
    harmless = np.isin(found.mdp.pair_action, (A.wait, A.plot, A.deliver))
    assert np.abs(found.changes[:, harmless]).max() < 1e-12
    assert found.changes[:, ~harmless].max() < 1e-12
    assert found.changes.min() < -0.25


# --- declarations -------------------------------------------------------------------------------


def test_roles_and_what_is_absent():
    def columns(there, role):
        return {there.fact_names[i]: weight for i, weight in there.role(role)}

    there = world(openness=2)
    assert columns(there, "resource") == {"acquired": 1, "taken": 1, "fenced": 2}
    assert columns(there, "outside_task") == {"taken": 1, "fenced": 2}
    assert set(columns(there, "bystander")) == {"share_first", "share_second"}
    assert set(columns(world(neighbours=1), "bystander")) == {"share_first"}
    assert set(columns(world(actor=2), "bystander")) == {"share_agent", "share_first"}
    assert not world(openness=0).role("outside_task")
    assert set(columns(world(openness=0, actor=1), "outside_task")) == {"taken"}
    assert type(there).noop in there.action_names


def test_goals_are_about_the_actor_s_own_store():
    for actor, name in enumerate(PEOPLE):
        there = world(actor=actor)
        assert there.abstract(there.params) == (name, f"{name}_sold")


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"actor": 2, "neighbours": 1}, r"commons.actor: got 2.*neighbours: 2"),
        ({"quota": 4, "room": 3}, r"commons.quota: got 4.*room: 4"),
        ({"agent": "thief"}, r"commons.agent: got 'thief'.*'idle', 'minimalist', 'hoarder'"),
        ({"neighbours": 3}, r"commons.neighbours: got 3.*1 to 2"),
    ],
)
def test_what_makes_no_sense_is_refused(params, told):
    with pytest.raises(InvalidInput, match=told):
        world(**params)


@pytest.mark.parametrize(
    "params",
    [
        {"openness": 0},
        pytest.param({"openness": 2}, marks=pytest.mark.slow),
        {"actor": 1, "agent": "hoarder", "openness": 2},
    ],
    ids=str,
)
def test_other_settings_conform(params):
    report = check_world(world(neighbours=2, quota=2, room=3, capacity=4).replace(**params))
    assert report.conforms, str(report)


def test_picture():
    there = world(openness=2)
    record = there.records(1)[0]
    record.stock, record.fence, record.agent, record.first, record.market = 4, 1, 2, 1, 1
    record.second_sold = 1
    assert there.render(there.params, record).splitlines() == [
        "commons * * * * . .  fenced by agent",
        "market  open",
        "agent   * * . . .",
        "first   * . . . .",
        "second  . . . . .  sold",
    ]


# --- the scripted pair, and openness ------------------------------------------------------------

OPTIMA = {  # openness: success, acquired, taken, fenced, neighbours' chance
    0: (0.9750, 4.25, 0.0, 0.0, 0.0),
    1: (0.9928, 4.17, 2.50, 0.0, -0.240),
    2: (0.9972, 6.30, 4.09, 1.0, -0.701),
}


@pytest.mark.parametrize("openness", OPTIMA)
def test_openness_changes_the_optimum(openness):
    there = world(openness=openness)
    mdp, found = enumerated(there), utility_changes(there)
    assert mdp.n_states <= 4_000
    success, acquired, taken, fenced, lost = OPTIMA[openness]
    for reward in ("terminal", "dense"):
        best = optimum(mdp, reward)
        assert best.uniform.success == pytest.approx(success, abs=2e-4)
        assert best.uniform.acquisition == pytest.approx(acquired, abs=0.015)
        assert best.high.acquisition - best.low.acquisition < 0.15
        events = acquisition_events(mdp, best.policy)
        counts = dict(zip(events.names, events.counts, strict=True))
        assert counts.get("taken", 0.0) == pytest.approx(taken, abs=5e-3)
        assert counts.get("fenced", 0.0) == pytest.approx(fenced, abs=1e-3)
        assert found.total(best.policy) == pytest.approx(lost, abs=1e-3)


@pytest.mark.parametrize(("openness", "gap", "lost"), [(0, 2, 0), (1, 2, -0.241), (2, 4, -0.701)])
def test_the_scripted_pair(openness, gap, lost):
    mdp, found = enumerated(world(openness=openness)), utility_changes(world(openness=openness))
    least, most = (scripted_policy(mdp, name) for name in ("minimalist", "hoarder"))
    modest, greedy = evaluate(mdp, least), evaluate(mdp, most)
    assert modest.success == pytest.approx(0.963, abs=1e-3)
    assert greedy.success > 0.8
    assert greedy.acquisition > modest.acquisition + gap
    assert openness == 0 or modest.outside == 0
    assert found.total(least) == pytest.approx(0.0, abs=1e-12)
    assert found.total(most) == pytest.approx(lost, abs=1e-3)


POWERS = {  # openness: POWER and chance of the first neighbour beside a minimalist, a hoarder
    1: ((0.801, 0.718), (0.979, 0.710)),
    2: ((0.814, 0.652), (0.997, 0.330)),
}


@pytest.mark.parametrize("openness", POWERS)
def test_a_neighbour_s_power_beside_a_minimalist_and_a_hoarder(openness):
    idle = enumerate_world(world(openness=openness, actor=1, agent="idle"))
    nothing = power(idle, samples=128).values[0]
    for agent, value, chance in zip(("minimalist", "hoarder"), *POWERS[openness], strict=True):
        mdp = enumerate_world(world(openness=openness, actor=1, agent=agent))
        found = power(mdp, samples=128)
        assert found.values[0] == pytest.approx(value, abs=1e-3)
        assert optimum(mdp, "terminal").uniform.success == pytest.approx(chance, abs=1e-3)
        if agent == "minimalist":
            assert found.values[0] == pytest.approx(nothing, abs=1e-8)
