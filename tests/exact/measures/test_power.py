"""POWER: closed forms, published figures, and laws."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from known import known
from worlds import ENUMERABLE, Ladder

from powerseek import make_world
from powerseek.envs.world import rule
from powerseek.errors import InvalidInput
from powerseek.exact import (
    TabularMDP,
    enumerate_world,
    minimal_need_policy,
    power,
    power_limit,
    random_policy,
)
from powerseek.exact.measures.goals import draw_rewards, state_classes
from powerseek.exact.measures.seeking import lookahead

MANY = 120_000  # iid uniform rewards have a standard deviation of .29: an error below 1e-3


def close(measured, state, expected, within=4.0):
    """Sampled: within 4 standard errors, and those below 1e-3."""
    i = measured.mdp.index(state)
    assert measured.standard_error[i] < 1e-3
    assert measured.error < 1e-9
    assert abs(measured.values[i] - expected) <= within * measured.standard_error[i] + 1e-9


def star(k):
    leaves = [f"t{i}" for i in range(k)]
    return TabularMDP.from_successors({"s0": leaves, **{leaf: [leaf] for leaf in leaves}})


@pytest.mark.parametrize(
    ("gamma", "policy"),
    [
        *((0.9, None), (0.9, np.ones(2)), (1 - 1e-7, None)),
        pytest.param(1 - 1e-7, np.ones(2), marks=pytest.mark.slow),
    ],
)
def test_errors_are_told_where_rounding_keeps_them_above_the_tolerance(gamma, policy):
    """A cycle of two states, one action each: V(s) = (R(s) + gamma R(s')) / (1 - gamma^2)."""
    mdp = TabularMDP.from_successors({0: [1], 1: [0]})
    found = power(mdp, gamma, 3, policy=policy, tolerance=1e-18)
    rows = np.concatenate(list(draw_rewards(mdp, "uniform", 3, 0))).astype(object)
    rows, g = np.vectorize(Fraction, otypes=[object])(rows), Fraction(gamma)
    values = (rows + g * rows[:, ::-1]) / (1 - g * g)
    exact = ((1 - g) / g * (values - rows)).mean(axis=0)
    assert found.error > 1e-18
    assert (np.abs([Fraction(v) for v in found.values.tolist()] - exact) <= found.error).all()


@pytest.mark.parametrize("policy", [None, np.ones(2)])
def test_a_tolerance_must_be_above_0(policy):
    mdp = TabularMDP.from_successors({0: [1], 1: [0]})
    with pytest.raises(InvalidInput, match="tolerance"):
        power(mdp, 0.9, 3, policy=policy, tolerance=-1.0)


def test_absorbing_state():
    case = known("power_absorbing")
    mdp = TabularMDP.from_successors(case.spec["successors"])
    for gamma in case.spec["gamma"]:
        close(power(mdp, gamma, MANY), "s", case.expected["POWER_s"])


def test_chain_without_choice():
    case = known("power_chain")
    measured = power(TabularMDP.from_successors(case.spec["successors"]), case.spec["gamma"], MANY)
    for state in case.spec["successors"]:
        close(measured, state, case.expected["POWER_all_states"])


@pytest.mark.parametrize("k", known("power_star_k").spec["k"])
def test_star(k):
    case = known("power_star_k")
    for gamma in case.spec["gamma"]:
        close(power(star(k), gamma, MANY), "s0", case.expected["POWER_s0"][k - 1])
    assert power_limit(star(k), 1, 2000).of("s0") == pytest.approx(k / (k + 1), abs=0.03)
    assert power_limit(star(k), 0, 2000).of("s0") == pytest.approx(k / (k + 1), abs=0.03)


@pytest.mark.parametrize("row", range(4))
def test_delayed_choice(row):
    case = known("power_delayed_choice")
    spec = case.spec["rows"][row]
    delay, k = spec["delay"], spec["k"]
    ways = {f"s{i}": [f"s{i + 1}"] for i in range(delay)}
    ways[f"s{delay}"] = [f"t{i}" for i in range(k)]
    ways |= {f"t{i}": [f"t{i}"] for i in range(k)}
    measured = power(TabularMDP.from_successors(ways), spec["gamma"], MANY)
    close(measured, "s0", case.expected["POWER_s0"][row])


def test_complete_graph():
    case = known("power_complete_graph")
    for n, expected in zip(case.spec["n"], case.expected["POWER"], strict=True):
        mdp = TabularMDP.from_successors({i: list(range(n)) for i in range(n)})
        close(power(mdp, case.spec["gamma"], MANY), 0, expected)


@pytest.mark.parametrize("gamma", ["0.1", "0.5", "0.9"])
def test_the_figure_of_the_paper(gamma):
    case = known("power_turner_fig3")
    measured = power(TabularMDP.from_successors(case.spec["successors"]), float(gamma), MANY)
    for state, expected in case.expected["POWER"][gamma].items():
        close(measured, state, expected)
    if gamma == "0.5":
        # V* on average, from POWER: E V* = gamma / (1 - gamma) POWER + E R.
        for state, expected in case.expected["V_star_avg_gamma0.5"].items():
            assert measured.of(state) + 0.5 == pytest.approx(expected, abs=4e-3)


def test_actions_are_compared_by_the_power_of_the_next_state():
    case = known("power_seeking_action_order")
    mdp = TabularMDP.from_successors(case.spec["successors"])
    measured = power(mdp, case.spec["gamma"], MANY)
    start = mdp.pair_start[mdp.index(case.spec["state"])]
    ahead = measured.pairs[start : start + 3]
    assert ahead == pytest.approx(list(case.expected["E_POWER_next"].values()), abs=4e-3)
    order = np.array(["empty", "l_tri", "r_tri"])[np.argsort(-ahead)]
    assert list(order) == case.expected["ranking"]


def test_bernoulli_rewards():
    case = known("power_bernoulli_rewards")
    spec = case.spec

    def bernoulli(generator, shape):
        return (generator.random(shape) < spec["p"]).astype(float)

    measured = power(star(4), spec["gamma"], 250_000, rewards=bernoulli)
    close(measured, "s0", case.expected["POWER_s0"])
    close(measured, "t0", case.expected["POWER_t"])
    assert measured.rewards == "bernoulli"


def test_grid():
    case = known("power_grid3x3_powerplay")
    cells = [(r, c) for r in range(3) for c in range(3)]
    ways = {
        (r, c): [(r, c)]
        + [(r + i, c + j) for i, j in ((1, 0), (-1, 0), (0, 1), (0, -1)) if (r + i, c + j) in cells]
        for r, c in cells
    }
    measured = power(TabularMDP.from_successors(ways), case.spec["gamma"], 100_000)
    values = measured.values.reshape(3, 3)
    assert measured.standard_error.max() < 1e-3
    by_symmetry = {
        "corner": values[[0, 0, 2, 2], [0, 2, 0, 2]].mean(),
        "edge": values[[0, 1, 1, 2], [1, 0, 2, 1]].mean(),
        "centre": values[1, 1],
    }
    for place, value in by_symmetry.items():
        # Corners share their draws, so averaging gains little: allow 4 standard errors.
        allowed = case.tolerance + 4 * measured.standard_error.max()
        assert value == pytest.approx(case.expected[place], abs=allowed)


def test_power_of_limited_agents():
    case = known("suboptimal_power_fig11")
    ways = {"s0": ["sl", "sr"], "sl": ["s1", "s2"], "sr": ["s3", "s4", "s5"]}
    mdp = TabularMDP.from_successors(ways | {f"s{i}": [f"s{i}"] for i in range(1, 6)})
    # The pairs by which each leaf is reached, among those of s0, sl and sr.
    path = {"s1": (0, 2), "s2": (0, 3), "s3": (1, 4), "s4": (1, 5), "s5": (1, 6)}

    def best_of(*leaves):
        def policy(reward):
            best = max(leaves, key=lambda leaf: reward[mdp.index(leaf)])
            weights = np.zeros(mdp.n_pairs)
            weights[[0, 2, 4, 7, 8, 9, 10, 11]] = 1.0
            first, second = path[best]
            weights[[0, 1]] = [first == 0, first == 1]
            weights[slice(2, 4) if first == 0 else slice(4, 7)] = 0.0
            weights[second] = 1.0
            return weights

        return policy

    # At gamma 1 only the leaf counts; on the way to it a step weighs 1 - gamma.
    gamma, state = 0.999, mdp.index("s0")
    found = {
        "POWER_pol1": power(mdp, gamma, 3000, policy=best_of("s4")),
        "POWER_pol2": power(mdp, gamma, 3000, policy=best_of("s1", "s2", "s5")),
        "POWER_pol3": power(mdp, gamma, 3000, policy=best_of(*path)),
    }
    for name, measured in found.items():
        limit = (1 - gamma) * 0.5 + gamma * case.expected[name]
        assert abs(measured.values[state] - limit) <= 4 * measured.standard_error[state]
    assert power(mdp, gamma, 3000).of("s0") == pytest.approx(found["POWER_pol3"].of("s0"), abs=2e-3)
    close(power_limit(mdp, 1, MANY), "s0", case.expected["POWER_pol3"])


def test_looking_further_ahead_gives_more_power_up_to_the_optimum():
    mdp = TabularMDP.from_successors(
        {0: [1, 2], 1: [3, 4], 2: [5, 6, 0], 3: [3], 4: [4, 3], 5: [5, 2], 6: [1]}
    )
    found = [power(mdp, 0.9, 200, policy=lookahead(mdp, h, 0.9)).values for h in (1, 3, 60)]
    best = power(mdp, 0.9, 200).values
    assert np.abs(found[2] - best).max() < 1e-3
    assert found[0].mean() < found[1].mean() <= found[2].mean() + 1e-9
    assert all((values <= best + 1e-9).all() for values in found)


def test_a_fixed_policy_has_the_mean_reward_and_no_more():
    mdp = enumerate_world(make_world("off-switch"))
    for policy in (random_policy(mdp), random_policy(mdp).pair_weights(0)):
        measured = power(mdp, 0.9, 400, policy=policy)
        assert (np.abs(measured.values - 0.5) <= 5 * measured.standard_error).all()
    best = power(mdp, 0.9, 400)
    assert (best.values >= measured.values - 1e-8).all()
    with pytest.raises(InvalidInput, match="clock"):
        power(mdp, 0.9, 4, policy=minimal_need_policy(mdp))
    with pytest.raises(InvalidInput, match="weights"):
        power(mdp, 0.9, 4, policy=np.ones(3))


graphs = st.dictionaries(
    st.integers(0, 5), st.lists(st.integers(0, 5), min_size=1, max_size=4), min_size=6, max_size=6
)


@settings(max_examples=25)
@given(graphs, st.sampled_from([0.05, 0.5, 0.95]), st.integers(0, 99))
def test_laws(ways, gamma, seed):
    mdp = TabularMDP.from_successors(ways)
    measured = power(mdp, gamma, 200, seed)
    assert ((measured.values >= 0) & (measured.values <= 1)).all()
    # Prop. 5.4: at most that of n states all in reach; a further action never takes POWER away.
    more = TabularMDP.from_successors({s: [*following, 0] for s, following in ways.items()})
    assert (power(more, gamma, 200, seed).values >= measured.values - 1e-9).all()
    # A duplicate of an action changes nothing, to the last digit but rounding.
    twice = TabularMDP.from_successors({s: [*w, *w] for s, w in ways.items()})
    assert np.abs(power(twice, gamma, 200, seed).values - measured.values).max() < 1e-12
    # Prop. 5.3: POWER moves continuously, between the limits at 0 and at 1.
    near = power(mdp, 1e-9, 200, seed).values
    assert near == pytest.approx(power_limit(mdp, 0, 200, seed).values, abs=1e-6)
    far = power(mdp, 1 - 1e-7, 200, seed)
    assert far.values == pytest.approx(power_limit(mdp, 1, 200, seed).values, abs=1e-5)


def best_cycles(ways, reward):
    """Greatest mean reward of a simple cycle within reach, by walking every path."""

    def best(s):
        top = -np.inf
        stack = [(s, [s])]
        while stack:
            at, path = stack.pop()
            for n in ways[at]:
                if n in path:
                    top = max(top, np.mean([reward[x] for x in path[path.index(n) :]]))
                else:
                    stack.append((n, [*path, n]))
        return top

    return [best(s) for s in sorted(ways)]


@settings(max_examples=25)
@given(graphs, st.integers(0, 99), st.booleans())
def test_limit_at_one_is_the_best_cycle(ways, seed, coarse):
    ways = {s: ways[s] for s in sorted(ways)}

    def tied(generator, shape):
        return generator.integers(0, 3, shape) / 2.0 if coarse else generator.random(shape)

    mdp = TabularMDP.from_successors(ways)
    measured = power_limit(mdp, 1, 5, seed, tied)
    (block,) = draw_rewards(mdp, tied, 5, seed)
    exact = np.mean([best_cycles(ways, row) for row in block], axis=0)
    assert np.abs(measured.values - exact).max() <= measured.error + 1e-9


def test_first_samples_of_many_are_those_of_few():
    mdp = star(3)
    few, many = (list(draw_rewards(mdp, "uniform", n, 7)) for n in (20, 90))
    assert np.array_equal(np.concatenate(few), np.concatenate(many)[:20])
    assert not np.array_equal(few[0], next(iter(draw_rewards(mdp, "uniform", 20, 8))))


def test_error_is_uniform_in_gamma():
    mdp = enumerate_world(make_world("off-switch"))
    values = [power(mdp, gamma, 16) for gamma in (0.01, 0.5, 0.9, 0.999)]
    assert all(measured.error <= 1.1e-9 for measured in values)


climb_on = rule(Ladder.transition)


class Dummy(Ladder):
    """Ladder with a field that flips at every step and says nothing."""

    id = "test.dummy"
    state = (("flipped", "i8"), *Ladder.state)

    @classmethod
    def abstract(cls, params):
        return tuple(name for name in super().abstract(params) if name != "flipped")

    @staticmethod
    def transition(p, s, a, c):
        s.flipped = 1 - s.flipped
        climb_on(p, s, a, c)


def test_a_dummy_field_changes_nothing():
    plain, dummy = enumerate_world(Ladder(hazard=0.1)), enumerate_world(Dummy(hazard=0.1))
    assert dummy.n_states > 1.5 * plain.n_states
    at = {tuple(r[n] for n in ("height", "gold", "off")): i for i, r in enumerate(plain.records)}
    same = [at[tuple(r[n] for n in ("height", "gold", "off"))] for r in dummy.records]
    a, b = power(plain, 0.9, 64), power(dummy, 0.9, 64)
    assert np.abs(b.values - a.values[same]).max() < 1e-8

    # A world that counted it would have other goals, and other POWER.
    class Counted(Dummy):
        id = "test.counted"

        @classmethod
        def abstract(cls, params):
            return tuple(field[0] for field in cls.state)

    c = power(enumerate_world(Counted(hazard=0.1)), 0.9, 64)
    assert np.abs(c.values - a.values[same]).max() > 1e-3


@pytest.mark.parametrize("world", ENUMERABLE)
def test_abstract_fields_are_fields_of_every_world(world):
    made = make_world(world)
    assert set(made.abstract(made.params)) <= set(made.identity)
    mdp = enumerate_world(made)
    kinds = state_classes(mdp)
    assert kinds.min() == 0
    assert len(np.unique(kinds)) == kinds.max() + 1
    measured = power(mdp, 0.9, 8)
    assert np.isfinite(measured.values).all()
    assert measured.of(mdp.records[0]) == measured.values[0]


def test_the_placebo_is_no_power():
    mdp = enumerate_world(make_world("homestead", openness=0))
    measured = power(mdp, 0.9, 32)
    index = {r.tobytes(): i for i, r in enumerate(mdp.records)}
    for i, record in enumerate(mdp.records[:400]):
        with_it = record.copy()
        with_it["trinket"] = 1 - record["trinket"]
        if with_it.tobytes() in index:
            other = index[with_it.tobytes()]
            assert measured.values[i] == pytest.approx(measured.values[other], abs=1e-8)


def test_being_switched_off_is_the_least_power_and_a_disabled_switch_the_most():
    mdp = enumerate_world(make_world("off-switch"))
    measured = power(mdp, 0.99, 400)
    playing = ~mdp.terminal
    off = (mdp.records["interrupted"] == 1) & playing
    safe = (mdp.records["disabled"] == 1) & playing
    assert measured.values[off] == pytest.approx(0.5, abs=0.05)
    assert measured.values[off].max() < measured.values[playing & ~off].min()
    # Where both occur: the same cell with the tile still ahead, and with the button pressed.
    ahead = (mdp.records["disabled"] == 0) & (mdp.records["passed"] == 0) & playing
    cells = {(r["row"], r["column"]): i for i, r in enumerate(mdp.records) if ahead[i]}
    compared = 0
    for i in np.flatnonzero(safe):
        other = cells.get((mdp.records[i]["row"], mdp.records[i]["column"]))
        if other is not None:
            assert measured.values[i] != measured.values[other]
            compared += 1
    assert compared > 2


def test_goals_are_the_worlds_own_and_exact():
    world = make_world("homestead", openness=1)
    mdp = enumerate_world(world)
    measured = power(mdp, 0.9, rewards="goals")
    assert measured.samples == 0
    assert not measured.standard_error.any()
    done = mdp.final("success") > 0
    # Under its own goal (grain) an end in success pays 1 for ever; under the other, its wood.
    assert (measured.values[done] >= 0.5 - 1e-9).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"gamma": 0}, "power_limit"),
        ({"gamma": 1}, "power_limit"),
        ({"gamma": 1.5}, "gamma"),
        ({"samples": 0}, "samples"),
        ({"seed": -1}, "seed"),
        ({"rewards": "normal"}, "uniform"),
        ({"rewards": "goals"}, "graph typed in"),
        ({"rewards": lambda generator, shape: np.full(shape, np.nan)}, "finite"),
        ({"rewards": lambda generator, shape: np.zeros(3)}, "shape"),
    ],
)
def test_what_makes_no_sense_is_refused(change, words):
    with pytest.raises(InvalidInput, match=words):
        power(**{"mdp": star(2), "gamma": 0.9, **change})


def test_limits_are_refused_where_there_are_none():
    with pytest.raises(InvalidInput, match="0 or 1"):
        power_limit(star(2), 0.5)
    coin = TabularMDP.from_transitions({0: [{0: 0.5, 1: 0.5}], 1: [{1: 1.0}]})
    with pytest.raises(InvalidInput, match="stochastic"):
        power_limit(coin, 1)
    assert power_limit(coin, 0, 2000).of(0) == pytest.approx(0.5, abs=0.03)
    with pytest.raises(InvalidInput, match="state"):
        power(star(2), 0.9, 10).of("nowhere")
