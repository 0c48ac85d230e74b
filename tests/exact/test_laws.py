"""Laws of the exact figures: labels, scales and shifts do not matter; scripts read as they act."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import powerseek
from powerseek.envs.rewards.spec import make_reward
from powerseek.envs.task import Task
from powerseek.exact import (
    TabularMDP,
    constraint,
    enumerated,
    evaluate,
    minimal_need_policy,
    most,
    need,
    optimum,
)
from powerseek.exact.constraint import GAP
from powerseek.exact.measures.attribution import (
    PARTS,
    PRICES,
    _attribute,
    outcome_and_attribution,
    reference_in,
)
from powerseek.exact.need import two_criteria
from powerseek.exact.solvers.evaluate import SLIPS
from powerseek.exact.solvers.finite import evaluate_slips, graph_of, occupancies
from powerseek.exact.solvers.outcome import mdp_criteria
from powerseek.exact.solvers.policy import scripted_policy

# Relabelling ---------------------------------------------------------------------------------

LABELLED = {
    "homestead": ("homestead", {"openness": 0, "max_steps": 12}),
    "commons": ("commons", {"openness": 2, "max_steps": 10}),
    "leaky-chess": ("leaky-chess", {"leak": 2, "max_steps": 4}),
}


def relabelled(mdp: TabularMDP, seed: int) -> tuple[TabularMDP, np.ndarray]:
    """The MDP with states and actions in another order, and which old pair each new one is."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(mdp.n_states)
    number = np.argsort(order)
    starts, stops = mdp.pair_start[order], mdp.pair_start[order + 1]
    pairs = np.concatenate(
        [rng.permutation(np.arange(*ends)) for ends in zip(starts, stops, strict=True)]
    )
    edges = np.concatenate([np.arange(mdp.edge_start[p], mdp.edge_start[p + 1]) for p in pairs])
    fans = np.diff(mdp.edge_start)[pairs]
    names = rng.permutation(mdp.n_actions)
    made = replace(
        mdp,
        pair_start=np.concatenate([[0], np.cumsum(stops - starts)]),
        pair_state=number[mdp.pair_state[pairs]].astype(np.int32),
        pair_action=names[mdp.pair_action[pairs]].astype(np.int32),
        edge_start=np.concatenate([[0], np.cumsum(fans)]),
        edge_next=number[mdp.edge_next[edges]].astype(np.int32),
        edge_probability=mdp.edge_probability[edges],
        edge_flow=mdp.edge_flow[edges],
        initial=mdp.initial[order],
        terminal=mdp.terminal[order],
        state_facts=mdp.state_facts[order],
        pair_flows=mdp.pair_flows[pairs],
        records=None,
        world=None,
    )
    return made, pairs


def figures(mdp: TabularMDP, weights: np.ndarray) -> dict[str, Any]:
    """Every figure that is read off an MDP, and those of a policy on pairs [P]."""
    end = need(mdp).max_success
    levels = np.linspace(0, end, 7)
    found: dict[str, Any] = {"need": need(mdp).at(levels), "most": most(mdp).at(levels)}
    found["ends"] = end, need(mdp).corners[-1, 1], most(mdp).extreme
    for reward in ("dense", "terminal", {"every": 3}):
        best = optimum(mdp, reward)
        found[f"optimum {reward}"] = best.value, best.low.as_array(), best.high.as_array()
        open_ = constraint(mdp, reward)
        found[f"open {reward}"] = open_.best, open_.random, open_.tie_low, open_.tie_high
        found[f"width {reward}"] = open_.low, open_.high
    found["policy"] = evaluate(mdp, weights).as_array()
    (flows, _), nothing = two_criteria(mdp, "resource"), np.zeros(mdp.n_states)
    for price in PRICES:
        base, sums = reference_in(mdp, price), np.zeros((len(PARTS) + 1, 2))
        for t, taken in occupancies(mdp, lambda _: weights, mdp.horizon()):
            now, ahead = base.values[t : t + 2]
            _attribute(*graph_of(mdp), flows, taken, nothing, now, ahead, sums)
        found[f"parts {price}"] = base.success, base.acquisition, sums
    return found


@pytest.mark.parametrize("name", LABELLED)
def test_labels_of_states_and_actions_change_nothing(name):
    id, params = LABELLED[name]
    mdp = enumerated(powerseek.make_world(id, **params))
    weights = np.random.default_rng(1).random(mdp.n_pairs)
    weights /= np.bincount(mdp.pair_state, weights, mdp.n_states)[mdp.pair_state]
    other, pairs = relabelled(replace(mdp, records=None, world=None), 2)
    assert (other.pair_action != mdp.pair_action).any()
    mine = figures(replace(mdp, records=None, world=None), weights)
    theirs = figures(other, weights[pairs])
    for figure, values in mine.items():
        # The bounds of a frontier and of W depend on the lines that found them.
        off = GAP + 1e-9 if figure.split()[0] in ("need", "most", "width") else 1e-9
        for one, two in zip(values, theirs[figure], strict=True):
            np.testing.assert_allclose(one, two, rtol=0, atol=off, err_msg=figure)


# Rewards -------------------------------------------------------------------------------------


def endless(seed: int, states: int = 5, actions: int = 3, steps: int = 6) -> TabularMDP:
    """A random MDP in which every episode has the same length."""
    rng = np.random.default_rng(seed)
    rows = {
        s: [dict(enumerate(rng.dirichlet(np.ones(states)))) for _ in range(actions)]
        for s in range(states)
    }
    taken = {(s, a): float(rng.integers(3)) for s in range(states) for a in range(actions)}
    progress = {s: float(rng.random()) for s in range(states)}
    return TabularMDP.from_transitions(
        rows,
        facts={"success": {0: 1}, "progress": progress},
        flows={"acquired": taken},
        max_steps=steps,
    )


@pytest.mark.parametrize("change", [(1.0, 0.7), (1.0, -3.0), (250.0, 0.0), (1e-3, 5.0)], ids=str)
@pytest.mark.parametrize(("reward", "gamma"), [("dense", 1.0), ({"every": 2}, 0.9)], ids=str)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.filterwarnings("ignore::powerseek.envs.rewards.base.ConfoundWarning")
def test_scaling_or_shifting_a_reward_of_fixed_length_changes_no_w(seed, reward, gamma, change):
    mdp, (scale, shift) = endless(seed), change
    function = make_reward(reward, gamma=gamma, max_steps=mdp.max_steps)

    class Changed(type(function)):
        def step(self, step):
            paid, memory = super().step(step)
            return scale * paid + shift, memory

    other = copy(function)
    object.__setattr__(other, "__class__", Changed)
    found, changed = constraint(mdp, function, gamma), constraint(mdp, other, gamma)
    steps = sum(gamma**t for t in range(mdp.max_steps))
    assert changed.best == pytest.approx(scale * found.best + shift * steps, rel=1e-9)
    assert found.high - found.low > 10 * GAP
    for name in ("low", "high"):
        assert getattr(changed, name) == pytest.approx(getattr(found, name), abs=GAP + 1e-6)
    for name in ("tie_low", "tie_high"):
        assert getattr(changed, name) == pytest.approx(getattr(found, name), abs=1e-6)


NEAR = (
    powerseek.make_world("homestead", openness=0),
    powerseek.make_world("commons", openness=1),
    powerseek.make_world("leaky-chess"),
)


@pytest.mark.parametrize("world", NEAR, ids=lambda world: world.id)
def test_w_holds_every_agent_that_is_nearly_optimal(world):
    """Policies that succeed within eps of the best: slipping ones, modest and greedy ones."""
    mdp = enumerated(world)
    frontier, measured = need(mdp), mdp_criteria(mdp)
    columns = [measured.names.index(name) for name in ("success", "acquisition")]
    flows, finals = measured.flows[:, columns].copy(), measured.finals[:, columns].copy()
    met = 0
    for share in (0.005, 0.05):
        open_ = constraint(mdp, "terminal", share=share)
        for policy in (
            minimal_need_policy(mdp),
            minimal_need_policy(mdp, price=frontier.price(share / 2)),
            optimum(mdp, "terminal").policy,
            optimum(mdp, "terminal", power_weight=share / 10).policy
            if "holdings" in mdp.roles
            else optimum(mdp, "dense").policy,
        ):
            assert policy is not None
            slipping = evaluate_slips(mdp, flows, finals, policy.bits, SLIPS**3, mdp.horizon())
            for success, acquired in slipping:
                if success >= open_.best - open_.eps:
                    met += 1
                    assert open_.low - 1e-9 <= acquired <= open_.high + 1e-9
    assert met > 20


# Scripts -------------------------------------------------------------------------------------


def slow_ones(*settings: tuple[str, dict[str, Any]]) -> list[Any]:
    """Parameters of a test that only slow runs take."""
    return [pytest.param(*setting, marks=pytest.mark.slow) for setting in settings]


SCRIPTED = [
    *(("commons", {"openness": openness}) for openness in (0, 1, 2)),
    *(("homestead", {"openness": 0, "max_steps": steps}) for steps in (24, 32)),
    ("homestead", {"openness": 1, "max_steps": 32}),
    *slow_ones(
        *(("homestead", {"openness": o, "max_steps": t}) for o in (1, 2) for t in (24, 28)),
        ("homestead", {"openness": 2, "max_steps": 32}),
        *(("homestead-plane", {"openness": openness}) for openness in (0, 1, 2)),
        *(("endgame", {"openness": openness}) for openness in (2, 3)),
        *(("leaky-chess", {"leak": leak}) for leak in (3, 4)),
    ),
    ("endgame", {"openness": 1}),
    *(("leaky-chess", {"leak": leak}) for leak in (1, 2)),
    *((name, {}) for name in ("dropbox", "required", "shutdown-delay")),
]
"""Every enumerated setting in which something is on offer; what takes seconds is slow."""


@pytest.mark.parametrize(("name", "params"), SCRIPTED, ids=str)
def test_what_a_hoarder_takes_is_beyond_and_a_minimalist_takes_none_of_it(name, params):
    """Width .1 W of a minimalist's free and precaution; a hoarder's parts .1 W above its."""
    mdp = enumerated(powerseek.make_world(name, **params))
    task, end = Task(mdp.world), need(mdp).corners[-1, 1]
    width = constraint(mdp, "terminal").width
    beyond, taken, parts = {}, {}, {}
    for script in ("minimalist", "hoarder"):
        policy = scripted_policy(mdp, script)
        outcome, (found,) = outcome_and_attribution(task, policy, prices=[0.02])
        taken[script], beyond[script] = outcome.acquisition, outcome.acquisition - end
        parts[script] = found.units
    modest, greedy = (parts[script] for script in ("minimalist", "hoarder"))
    assert beyond["hoarder"] > beyond["minimalist"]
    assert modest["free"] + modest["precaution"] <= 0.1 * width
    if beyond["hoarder"] >= 0 and taken["hoarder"] - taken["minimalist"] >= 0.25 * width:
        more = sum(greedy[part] - modest[part] for part in ("free", "precaution", "harmful"))
        assert more >= 0.1 * width
    else:
        assert name.startswith("homestead")  # its difference is restraint
        assert params["openness"] == 0


def test_where_a_hoarder_takes_less_than_need_its_difference_is_restraint():
    """homestead 0 / 24 steps, where the last of success takes more than a hoarder ever has."""
    mdp = enumerated(powerseek.make_world("homestead", openness=0, max_steps=24))
    hoarder = scripted_policy(mdp, "hoarder")
    outcome, (found,) = outcome_and_attribution(Task(mdp.world), hoarder, prices=[0.0])
    assert outcome.acquisition < need(mdp).corners[-1, 1]
    assert found.units["restraint"] < -0.1
