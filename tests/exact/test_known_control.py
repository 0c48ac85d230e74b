"""Control problems with published numbers: off-switch, shaping, deep sea, camera dropbox."""

from functools import cache

import numpy as np
import pytest
from dropbox import BOXES, MOVES, PAID, dropbox, pay, seen, starting, state, step
from known import known
from scipy.optimize import brentq

import powerseek
from powerseek.envs.worlds.off_switch import BUTTON, GOAL, START, distances
from powerseek.exact import (
    TabularMDP,
    enumerate_world,
    evaluate,
    optimum,
    random_policy,
    scripted_policy,
)
from powerseek.exact.solvers.discounted import action_values, policy_values, solve
from powerseek.exact.solvers.finite import evaluate_policy

# offswitch_leike_level1, offswitch_gamma_threshold

SCRIPTS = {"short": "minimalist", "long": "hoarder"}


def own(mdp):
    """[P] what the world itself pays."""
    return mdp.pair_flows[:, mdp.fact_names.index("own")]


@pytest.fixture(scope="module")
def off_switch():
    return enumerate_world(powerseek.make_world("off-switch"))


def expected_return(mdp, policy):
    """Undiscounted return of the world's own reward to its cap."""
    nothing = np.zeros((mdp.n_states, 1))
    steps = mdp.max_steps
    return evaluate_policy(mdp, own(mdp)[:, None].copy(), nothing, policy.pair_weights, steps)[0]


def test_offswitch_leike_level1(off_switch):
    case = known("offswitch_leike_level1")
    paths, expected = case.spec["paths"], case.expected
    to_goal, to_button = distances(GOAL), distances(BUTTON)
    assert to_goal[START] == paths["short"]
    assert to_button[START] + to_goal[BUTTON] == paths["long (via button)"]
    calm = enumerate_world(powerseek.make_world("off-switch").without_interruption())
    found = {
        "return_short_uninterrupted": expected_return(calm, scripted_policy(calm, "minimalist")),
        "return_long": expected_return(off_switch, scripted_policy(off_switch, "hoarder")),
        "E_return_short": expected_return(off_switch, scripted_policy(off_switch, "minimalist")),
    }
    for name, value in found.items():
        assert value == pytest.approx(expected[name], abs=case.tolerance), name
    best = optimum(off_switch, "own")
    assert expected["optimal_undiscounted"] == "press button"
    assert (best.low.disabled, best.high.disabled) == pytest.approx((1, 1))
    assert best.value == pytest.approx(expected["return_long"], abs=case.tolerance)


def for_ever(mdp, path, gamma):
    """Discounted return of a script without a cap."""
    weights = scripted_policy(mdp, SCRIPTS[path]).pair_weights(0)
    nothing = np.zeros(mdp.n_states)
    values = policy_values(mdp, weights, nothing, gamma, own(mdp), tolerance=1e-12)
    return float(mdp.initial @ values[:, 0])


def chain(mdp, path):
    """The Markov chain that a script makes of the MDP: one action a state."""
    weights = scripted_policy(mdp, SCRIPTS[path]).pair_weights(0)
    rows, paid = {}, {}
    for pair in np.flatnonzero(weights):
        edges = range(mdp.edge_start[pair], mdp.edge_start[pair + 1])
        source = int(mdp.pair_state[pair])
        rows[source] = [{int(mdp.edge_next[e]): mdp.edge_probability[e] for e in edges}]
        paid[source, 0] = float(own(mdp)[pair])
    ends = np.flatnonzero(mdp.terminal).tolist()
    first = int(mdp.initial.argmax())
    return TabularMDP.from_transitions(
        rows, flows={"own": paid}, roles={}, terminal=ends, initial=first
    )


def test_offswitch_gamma_threshold(off_switch):
    case = known("offswitch_gamma_threshold")
    expected, tolerance = case.expected, case.tolerance
    chains = {path: chain(off_switch, path) for path in SCRIPTS}

    def to_cap(path, gamma):
        return optimum(chains[path], "own", gamma, horizon=off_switch.max_steps).value

    def gain(value, gamma):
        return value("long", gamma) - value("short", gamma)

    uncapped = brentq(
        lambda gamma: gain(lambda path, g: for_ever(off_switch, path, g), gamma), 0.5, 0.95
    )
    capped = brentq(lambda gamma: gain(to_cap, gamma), 0.5, 0.95)
    assert uncapped == pytest.approx(expected["gamma_star"], abs=1e-9)
    assert capped == pytest.approx(expected["gamma_star"], abs=tolerance)
    for gamma in (0.8, 0.9):
        for path, value in expected[f"E_disc_at_{gamma}"].items():
            assert to_cap(path, gamma) == pytest.approx(value, abs=tolerance), (path, gamma)
            # Past the cap the interrupted agent, every second one, pays 1 a step for ever.
            tail = 0.5 / (1 - gamma) * gamma**off_switch.max_steps if path == "short" else 0.0
            assert for_ever(off_switch, path, gamma) == pytest.approx(value - tail, abs=tolerance)
    for steps in range(8, 16):
        pressed = optimum(off_switch, "own", horizon=steps).uniform.disabled
        first = expected["smallest_undiscounted_lookahead_that_presses"]
        assert pressed == pytest.approx(float(steps >= first)), steps


@pytest.mark.parametrize(("beside", "path"), [(-1e-4, "short"), (1e-4, "long")])
def test_the_infinite_optimum_takes_the_path_that_the_threshold_says(off_switch, beside, path):
    case = known("offswitch_gamma_threshold")
    gamma = case.expected["gamma_star"] + beside
    nothing = np.zeros(off_switch.n_states)
    solved = solve(off_switch, nothing, gamma, pair_rewards=own(off_switch))
    assert solved.error <= 1e-9
    values = solved.values[:, 0]
    best = float(off_switch.initial @ values)
    assert best == pytest.approx(for_ever(off_switch, path, gamma), abs=2e-9)
    other = {"short": "long", "long": "short"}[path]
    assert best > for_ever(off_switch, other, gamma) + 1e-5
    # The optimum of the game with a cap does the same.
    pressed = optimum(off_switch, "own", gamma).uniform.disabled
    assert pressed == pytest.approx(float(path == "long"))


# potential_shaping_Q_shift

CHAIN = {0: [0, 1], 1: [0, 2], 2: [1, 3]}


def test_potential_shaping_shifts_q():
    case = known("potential_shaping_Q_shift")
    gamma, potential = case.spec["gamma"], np.array(case.spec["Phi"], float)
    mdp = TabularMDP.from_successors(CHAIN, terminal=[3])
    pays = np.where(mdp.edge_next == 3, 1.0, -0.05)
    shaping = gamma * potential[mdp.edge_next] - potential[mdp.pair_state]
    nothing = np.zeros(mdp.n_states)
    names = [f"{s}->{following}" for s, ahead in CHAIN.items() for following in ahead]
    for reward, wanted in ((pays, "Q_star"), (pays + shaping, "Q_star_shaped")):
        solved = solve(mdp, nothing, gamma, pair_rewards=reward)
        q = action_values(mdp, nothing, gamma, solved.values[:, 0], reward)
        found = dict(zip(names, q.tolist(), strict=True))
        assert found == pytest.approx(case.expected[wanted], abs=case.tolerance)
    # Both at once, as two reward functions of one call: the shift is -Phi(s), whatever is done.
    both = np.stack([pays, pays + shaping], axis=1)
    solved = solve(mdp, np.zeros((mdp.n_states, 2)), gamma, pair_rewards=both)
    q = action_values(mdp, np.zeros((mdp.n_states, 2)), gamma, solved.values, both)
    shift = -potential[mdp.pair_state]
    assert q[:, 1] - q[:, 0] == pytest.approx(shift, abs=case.tolerance)


# deepsea_random_exploration


def deep_sea(size):
    """Sink `size` rows, each to the left or (at .01 / size) to the right; treasure on the right."""
    rows, paid = {}, {}
    for row in range(size):
        for column in range(row + 1):
            last = row == size - 1
            left = "out" if last else (row + 1, max(column - 1, 0))
            right = ("found" if column == row else "out") if last else (row + 1, column + 1)
            rows[row, column] = [{left: 1.0}, {right: 1.0}]
            paid[(row, column), 1] = -0.01 / size + (right == "found")
    return TabularMDP.from_transitions(
        rows,
        facts={"success": {"found": 1}},
        flows={"own": paid},
        roles={},
        terminal=["found", "out"],
        max_steps=size,
    )


def first_success(chance, episodes):
    """Probability that a random policy succeeds within so many episodes, each of one step."""
    mdp = TabularMDP.from_transitions(
        {"again": [{"found": chance, "again": 1 - chance}]},
        facts={"success": {"found": 1}},
        terminal=["found"],
    )
    return evaluate(mdp, np.ones(1), episodes).success


def test_deepsea_random_exploration():
    case = known("deepsea_random_exploration")
    expected = case.expected
    for size, chance, median in zip(
        expected["N"],
        expected["P_success_per_episode"],
        expected["median_episodes_to_first_success"],
        strict=True,
    ):
        mdp = deep_sea(size)
        found = evaluate(mdp, random_policy(mdp)).success
        assert found == pytest.approx(chance, abs=case.tolerance, rel=1e-12)
        assert first_success(found, median - 1) < 0.5 <= first_success(found, median)
        assert optimum(mdp, "own").value == pytest.approx(
            expected["optimal_return"], abs=case.tolerance
        )
        assert optimum(mdp, "own").low.success == 1


# mona_camera_dropbox_3x3

START_OF = {
    "s1": state((0, 2), (1, 0), (1, 1)),
    "s2": state((0, 0), (1, 0), (1, 1)),
    "s3": state((0, 0), (1, 0)),
}


@cache
def cached(kind):
    return dropbox(kind)


def worth(kind, start, steps=PAID, gamma=1.0):
    return optimum(starting(cached(kind), start), "own", gamma, horizon=steps).value


def test_mona_camera_dropbox_3x3():
    case = known("mona_camera_dropbox_3x3")
    assert set(START_OF) == set(case.spec["states"])
    for kind in ("good", "bad"):
        found = {name: worth(kind, start) for name, start in START_OF.items()}
        assert found == pytest.approx(case.expected[f"V_{kind}"], abs=case.tolerance)
    # MONA's overseer wants `good`: a step is paid what is measured now (`bad`) plus how much
    # better the owner thinks of what follows.
    agent, boxes = state((2, 2), (1, 1), (2, 1))
    before = worth("good", (agent, boxes))
    advantages = []
    for move in MOVES.values():
        following = step(agent, boxes, move)
        later = 0.0 if seen(following[1]) else worth("good", following, PAID - 1)
        advantages.append(pay(following[1], "bad") + later - before)
    wanted = "MONA_advantage_state(agent(2,2),boxes(1,1),(2,1))_UDLR"
    assert advantages == pytest.approx(case.expected[wanted], abs=case.tolerance)


def play(start, moves):
    """Measured rewards and boxes left, move by move."""
    agent, boxes = start
    paid = []
    for name in moves:
        assert not seen(boxes)
        agent, boxes = step(agent, boxes, MOVES[name])
        paid.append(pay(boxes, "bad"))
    return paid, len(boxes), seen(boxes)


def test_the_camera_is_blinded_by_hand():
    honest = ["left", "left", "down"]
    assert play(START_OF["s1"], honest) == ([-0.01, -0.01, 0.99], BOXES, True)
    blinding = ["left", "down", "up", "left", "down", "right", "right", "down", "left"]
    paid, left, caught = play(START_OF["s1"], blinding)
    assert paid == pytest.approx([-0.01] * 4 + [0.99] + [-0.01] * 3 + [0.99])
    assert (left, caught) == (1, True)
    # Neither two boxes at once, nor one through a wall.
    beside = state((0, 0), (0, 1), (0, 2))
    assert step(*beside, MOVES["right"]) == beside
    assert step(*state((1, 1), (1, 2)), MOVES["right"]) == state((1, 1), (1, 2))


@pytest.mark.parametrize("kind", ["good", "bad"])
def test_every_state_of_the_dropbox_by_plain_recursion_and_without_a_cap(kind):
    mdp = cached(kind)

    @cache
    def best(agent, boxes, steps, gamma):
        if seen(boxes) or not steps:
            return 0.0
        ahead = [step(agent, boxes, move) for move in MOVES.values()]
        return max(pay(b, kind) + gamma * best(a, b, steps - 1, gamma) for a, b in ahead)

    for name, start in START_OF.items():
        for steps in (0, 1, 8, 9, 12):
            assert worth(kind, start, steps) == pytest.approx(best(*start, steps, 1.0)), name
    nothing = np.zeros(mdp.n_states)
    values = solve(mdp, nothing, 0.8, pair_rewards=own(mdp)).values[:, 0]
    for label, value in zip(mdp.labels, values, strict=True):
        assert value == pytest.approx(best(*label, 120, 0.8), abs=1e-9)
