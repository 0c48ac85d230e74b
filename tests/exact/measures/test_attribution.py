"""Attribution: parts that sum to what they are parts of, and known answers by hand."""

from __future__ import annotations

import numpy as np
import pytest
from policies import Linear

import powerseek
from powerseek.agents import RandomPolicy, rollout
from powerseek.envs.engine.expand import describe
from powerseek.envs.task import Task
from powerseek.exact import TabularMDP, enumerated, evaluate_agent, minimal_need_policy, need
from powerseek.exact.measures.attribution import (
    PARTS,
    PRICES,
    _attribute,
    action_changes,
    attribution,
    reference,
    reference_in,
)
from powerseek.exact.need import two_criteria
from powerseek.exact.solvers.finite import graph_of
from powerseek.exact.solvers.policy import scripted_policy

SETTINGS = {
    "homestead 0": ("homestead", {"openness": 0}),
    "homestead 1": ("homestead", {"openness": 1}),
    "homestead, hazard, runs on": ("homestead", {"hazard": 0.1, "max_steps": 20}),
    "commons": ("commons", {"openness": 1}),
    "endgame": ("endgame", {}),
    "star": ("star", {}),
    "off-switch": ("off-switch", {}),
}
WORLDS = {name: powerseek.make_world(id, **params) for name, (id, params) in SETTINGS.items()}
AGENTS = {
    "network": lambda task: Linear(task, sharpness=2.0),
    "random": lambda task: RandomPolicy(),
    "minimal need": lambda task: minimal_need_policy(enumerated(task.world)),
    "minimalist": lambda task: scripted_policy(enumerated(task.world), "minimalist"),
    "hoarder": lambda task: scripted_policy(enumerated(task.world), "hoarder"),
}


def acquired(outcome):
    return np.nan_to_num(outcome.acquisition)


@pytest.mark.parametrize(
    ("agent", "greedy"), [*((agent, False) for agent in AGENTS), ("network", True)]
)
@pytest.mark.parametrize("world", WORLDS)
def test_parts_sum_to_agent_minus_reference(world, agent, greedy):
    task = Task(WORLDS[world], {"every": 5})
    policy = AGENTS[agent](task)
    whole = evaluate_agent(task, policy, greedy=greedy)
    for found in attribution(task, policy, greedy=greedy):
        base = found.reference
        assert sum(found.units.values()) == pytest.approx(
            acquired(whole) - base.acquisition, abs=1e-9
        )
        assert sum(found.success.values()) == pytest.approx(whole.success - base.success, abs=1e-9)
        assert found.units["restraint"] <= 0
        assert min(found.units[part] for part in ("free", "precaution", "harmful")) >= 0
        assert max(found.success[part] for part in ("harmful", "restraint", "loss")) <= 1e-9
        # The reference is best: success costs at least its price.
        bought = found.success["precaution"] - base.price * found.units["precaution"]
        assert bought <= 1e-9
        assert found.unfelt <= found.units["precaution"] + 1e-12


@pytest.mark.parametrize("world", ["homestead 1", "homestead, hazard, runs on", "commons"])
def test_single_actions_of_episodes_add_up_to_the_attribution(world):
    """The second method: sampled episodes, each of their actions looked up by itself."""
    task = Task(WORLDS[world], {"every": 5})
    policy = AGENTS["network"](task)
    episodes = rollout(policy, task, 3000, 7)
    at = np.nonzero(np.arange(episodes.actions.shape[1]) < episodes.lengths[:, None])
    records, actions = episodes.records[at], episodes.actions[at]
    success, gain, part = action_changes(task.world, records, actions, 0.02)
    (whole,) = attribution(task, policy, prices=[0.02])
    assert (part >= 0).all()
    for i, name in enumerate(PARTS):
        for changed, exact in ((success, whole.success), (gain, whole.units)):
            own = np.bincount(at[0], changed * (part == i), 3000)
            error = own.std() / np.sqrt(3000)
            assert abs(own.mean() - exact[name]) <= 4.5 * error + 1e-12, name


def test_a_state_that_is_not_reached_and_a_forbidden_action_change_nothing_known():
    world = WORLDS["homestead 0"]
    records = enumerated(world).origin[1][:2].copy()
    records["clock"] = [0, world.max_steps]
    _, masks, _ = describe(world, records)
    forbidden = int(np.flatnonzero(~masks[0])[0])
    for action in (forbidden, int(masks[1].argmax())):
        found = action_changes(world, records[[0, 1]], np.array([forbidden, action]), 0.02)
        assert np.isnan(found[0]).all()
        assert (found[2] == -1).all()


@pytest.mark.parametrize("world", WORLDS)
def test_at_price_0_the_reference_is_the_end_of_the_frontier(world):
    end = reference(WORLDS[world], 0.0)
    if WORLDS[world].role("resource"):
        frontier = need(WORLDS[world])
        assert end.success == pytest.approx(frontier.max_success, abs=1e-12)
        assert end.acquisition == pytest.approx(frontier.corners[-1, 1], abs=1e-9)
    task = Task(WORLDS[world])
    (found,) = attribution(task, AGENTS["minimal need"](task), prices=[0.0])
    assert max(map(abs, (*found.units.values(), *found.success.values()))) < 1e-9


@pytest.mark.parametrize("world", WORLDS)
def test_nothing_is_precaution_where_success_comes_first(world):
    task = Task(WORLDS[world])
    (found,) = attribution(task, AGENTS["network"](task), prices=[0.0])
    assert found.units["precaution"] == 0.0


def test_a_dearer_unit_makes_the_reference_take_less():
    taken = [reference(WORLDS["homestead 1"], price).acquisition for price in PRICES]
    assert taken == sorted(taken, reverse=True)
    assert taken[0] > taken[-1]


def shop(step):
    """One step: take nothing, or a unit with what it does to success."""
    return TabularMDP.from_transitions(
        {"shop": [{"won": 0.5, "lost": 0.5}, {"won": 0.5 + step, "lost": 0.5 - step}]},
        facts={"success": {"won": 1}},
        flows={"acquired": {("shop", 1): 1.0}},
        terminal=["won", "lost"],
        max_steps=1,
    )


def sums_of(step, price, taken):
    """[parts, 2] success and units of what is taken in the shop."""
    mdp = shop(step)
    base, sums = reference_in(mdp, price), np.zeros((len(PARTS) + 1, 2))
    flows, _ = two_criteria(mdp, "resource", needed=False)
    wasted = np.zeros(mdp.n_states)
    _attribute(*graph_of(mdp), flows, np.array(taken), wasted, *base.values, sums)
    return sums


@pytest.mark.parametrize(
    ("step", "price", "part"),
    [
        (0.0, 0.02, "free"),
        (0.01, 0.02, "precaution"),
        (-0.3, 0.02, "harmful"),
        (0.3, 0.02, None),  # worth its price: the reference takes it too
        (0.0005, 0.02, "unfelt"),
    ],
)
def test_an_action_by_hand(step, price, part):
    expected = np.zeros((len(PARTS) + 1, 2))
    if part == "unfelt":
        expected[[1, -1]] = step, 1.0
    elif part:
        expected[PARTS.index(part)] = step, 1.0
    np.testing.assert_allclose(sums_of(step, price, [0.0, 1.0]), expected, atol=1e-12)


def test_restraint_is_the_unit_that_the_reference_takes():
    assert sums_of(0.3, 0.02, [1.0, 0.0])[3].tolist() == pytest.approx([-0.3, -1.0])
