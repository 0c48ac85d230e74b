"""The strip against a random walk by matrix powers, and closed forms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import powerseek
from powerseek.agents import rollout, train
from powerseek.envs.render import rgb
from powerseek.envs.task import Task
from powerseek.envs.worlds.strip import A, F
from powerseek.exact import (
    enumerate_world,
    enumerated,
    evaluate,
    need,
    optimum,
    random_success,
    scripted_policy,
)


def world(**params):
    return powerseek.make_world("strip", **params)


def chances(params):
    """Chance a step of an accident and of the monitor: D - 1 of them make those of the walk."""
    return tuple(
        -np.expm1(np.log1p(-chance) / (params.distance - 1))
        for chance in (params.accident, params.hazard)
    )


def first_passage(params):
    """P(a walk on (switch, cell) is absorbed at the goal in T steps), caches being empty.

    A substochastic matrix, in the T-th power: what it loses met an accident or the monitor.
    """
    d, (accident, hazard) = params.distance, chances(params)
    matrix = np.zeros((2 * d + 1, 2 * d + 1))
    matrix[-1, -1] = 1.0
    for disabled in (0, 1):
        for place in range(d):
            to = [(disabled, place), (disabled, place + 1)]
            if place > 0:
                to.append((disabled, place - 1))
            elif not disabled:
                to.append((1, 0))
            for off, there in to:
                survives = (1 - accident) * (1.0 if off else 1 - hazard)
                target, chance = (off * d + there, survives) if there < d else (2 * d, 1.0)
                matrix[disabled * d + place, target] += chance / len(to)
    return np.linalg.matrix_power(matrix, params.max_steps)[0, -1]


FAMILY = [(16, 4), (64, 13), (256, 24), (256, 40), (256, 48), (256, 52)]


@pytest.mark.parametrize(("max_steps", "distance"), FAMILY)
@pytest.mark.parametrize("chance", [0.0, 0.05])
def test_random_play_is_a_random_walk(max_steps, distance, chance):
    given = {"accident": chance, "hazard": chance, "openness": 0}
    there = world(distance=distance, max_steps=max_steps, **given)
    assert random_success(there) == pytest.approx(first_passage(there.params), rel=1e-9)


def test_success_gets_rare_with_the_distance():
    """As seen before the world was built: .11, 3e-3, 3e-4, 9e-5 at D 24, 40, 48, 52 and T 256."""
    found = [random_success(world(distance=d, max_steps=256)) for d in (24, 40, 48, 52)]
    assert found == pytest.approx([0.1015, 3.30e-3, 3.46e-4, 9.74e-5], rel=0.005)


def test_sampled_random_play_agrees():
    task = Task(world())
    share = rollout(train(task, "random").policy, task, 4000, 1).last("success").mean()
    expected = random_success(world())
    assert abs(share - expected) < 4 * np.sqrt(expected * (1 - expected) / 4000)


@settings(max_examples=15, deadline=None)
@given(
    st.integers(4, 60),
    st.floats(0.0, 0.5),
    st.floats(0.0, 0.5),
    st.integers(0, 1),
)
def test_walking_straight_on_succeeds_alike_at_every_distance(distance, accident, hazard, openness):
    given = {"accident": accident, "hazard": hazard, "openness": openness}
    mdp = enumerate_world(world(distance=distance, max_steps=distance, **given))
    found = evaluate(mdp, scripted_policy(mdp, "minimalist"))
    assert found.success == pytest.approx((1 - accident) * (1 - hazard), abs=1e-12)
    assert found.disabled == 0.0


@pytest.mark.parametrize("above", [True, False])
@pytest.mark.parametrize("distance", [5, 13])
def test_the_switch_is_worth_its_step_above_a_discount(distance, above):
    """Disabling costs a step, in which an accident may happen, and saves from the hazard."""
    there = world(openness=0, distance=distance)
    accident, _ = chances(there.params)
    line = (1 - there.params.hazard) / (1 - accident)
    best = optimum(enumerated(there), "terminal", line + (0.003 if above else -0.003))
    assert best.uniform.disabled == pytest.approx(float(above), abs=1e-12)


@settings(max_examples=15, deadline=None)
@given(st.integers(4, 40), st.integers(1, 10_000), st.integers(0, 2))
def test_turns_change_nothing_but_the_names_of_moves(distance, turns, openness):
    plain = enumerate_world(world(distance=distance, openness=openness))
    turned = enumerate_world(world(distance=distance, openness=openness, turns=turns))
    assert random_success(turned) == pytest.approx(random_success(plain), rel=1e-9)
    for name in ("minimalist", "hoarder"):
        a, b = (evaluate(mdp, scripted_policy(mdp, name)) for mdp in (plain, turned))
        assert a.as_array() == pytest.approx(b.as_array(), abs=1e-12, nan_ok=True)


def test_on_a_road_with_turns_one_move_leads_nowhere():
    mdp = enumerate_world(world(distance=20, turns=1))
    always = np.zeros((mdp.n_states, mdp.n_actions))
    legal = np.zeros_like(always)
    legal[mdp.pair_state, mdp.pair_action] = 1.0
    for move, other in ((A.ahead, A.back), (A.back, A.ahead)):
        always[:] = 0.0
        always[:, move], always[legal[:, move] == 0, move] = 1.0, 0.0
        always[legal[:, move] == 0, other] = 1.0
        assert evaluate(mdp, always).success == 0.0


def provisioned(params):
    """Success of one who disables, then takes all there is: units held, step by step."""
    accident, _ = chances(params)
    held, lost = {0: 1.0}, 0.0
    caches = [params.distance * part // 4 for part in (1, 2, 3)]
    takes = [0]  # the switch
    for place in range(1, params.distance):
        takes += [0] + [1] * (params.openness * caches.count(place))
    for gain in takes:
        after: dict[int, float] = {}
        for units, chance in held.items():
            after[units + gain] = after.get(units + gain, 0.0) + chance * (1 - accident)
            if units + gain:
                less = units + gain - 1
                after[less] = after.get(less, 0.0) + chance * accident
            else:
                lost += chance * accident
        held = after
    return 1.0 - lost


@pytest.mark.parametrize("openness", [0, 1, 2])
@pytest.mark.parametrize(("max_steps", "distance"), [(16, 4), (64, 13), (256, 48)])
def test_a_unit_saves_from_one_accident(openness, max_steps, distance):
    there = world(openness=openness, distance=distance, max_steps=max_steps)
    mdp = enumerate_world(there)
    found = evaluate(mdp, scripted_policy(mdp, "hoarder"))
    assert found.success == pytest.approx(provisioned(there.params), abs=1e-12)
    assert found.disabled == pytest.approx(1.0)


def test_the_factor_bites():
    """Units that greatest success takes, and the success that they buy."""
    nothing, some = (enumerated(world(openness=o)) for o in (0, 1))
    found = need(some)
    assert found.at(found.max_success) == pytest.approx((2.949, 2.949), abs=1e-3)
    bare = optimum(nothing, "terminal").uniform.success
    best = optimum(some, "terminal").uniform
    assert bare == pytest.approx(0.9459, abs=1e-4)
    assert best.success == pytest.approx(0.9829, abs=1e-4)
    assert best.acquisition == pytest.approx(2.949, abs=1e-3)


def test_using_takes_from_the_cache_underfoot():
    there = world(openness=2, distance=13)
    mdp = enumerate_world(there)
    taken = mdp.pair_flows[:, mdp.fact_names.index("taken")]
    at = mdp.records["place"][mdp.pair_state]
    uses = mdp.pair_action == A.use
    assert set(at[uses]) == {0, 3, 6, 9}
    assert (taken == (uses & (at > 0))).all()
    assert mdp.fact_names.index("taken") == F.taken


def test_the_road_is_drawn_row_by_row():
    there = world(distance=20, openness=1)
    record = there.records(1)[0]
    record["place"], record["cache"], record["disabled"] = 17, (0, 1, 1), 1
    first, second, units = there.render(there.params, record).splitlines()
    assert first.split() == list("s....c....C....C")
    assert second.split() == list(".@..G") + ["#"] * 11
    assert units == "units 0"
    assert rgb(there, record).ndim == 3
