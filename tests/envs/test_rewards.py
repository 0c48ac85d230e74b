"""Reward arms: published and derived numbers, laws, and the places where the laws break."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import powerseek
from powerseek.envs.rewards import (
    ConfoundWarning,
    Dense,
    Every,
    Facts,
    PowerWeighted,
    Shaped,
    Terminal,
    Thinned,
    arm_name,
    make_arm,
    windows_of,
)
from powerseek.errors import InvalidInput

REWARDS = np.array([1, 0, 2, -1, 3, 0.5, 4])
NAMES = ("progress", "success", "own", "holdings", "wealth[0]", "wealth[1]")
SPECS = {"every": {"every": 3}, "thinned": {"thinned": 0.25}}


class Table:
    """Names the columns of hand-made facts."""

    fact_names = NAMES

    def columns(self, fact):
        if fact == "wealth":
            return slice(4, 6)
        return slice(NAMES.index(fact), NAMES.index(fact) + 1)

    def role(self, role):
        return [(3, 1.0)] if role == "holdings" else []


def facts(progress, success=None, own=None, holdings=None):
    """Facts [..., F] of given columns."""
    progress = np.asarray(progress, float)
    array = np.zeros((*progress.shape, len(NAMES)))
    array[..., 0] = progress
    for column, values in ((1, success), (2, own), (3, holdings)):
        if values is not None:
            array[..., column] = values
    return Facts(array, Table())


def pay(arm, path, cut=False, draws=None):
    """Rewards [T] of one episode whose facts are path [T+1, F]; draws [T, n] gives [T, n]."""
    steps = len(path.array) - 1
    draws = np.zeros((steps, 1)) if draws is None else draws
    at = [Facts(np.repeat(row[None], draws.shape[1], 0), path.world) for row in path.array]
    memory, paid = arm.start(at[0]), []
    for t in range(steps):
        flag = np.full(draws.shape[1], t == steps - 1)
        clock = np.full(draws.shape[1], t + 1)
        reward, memory = arm.step(memory, at[t], at[t + 1], clock, flag, flag & cut, draws[t])
        paid.append(reward)
    return np.squeeze(np.array(paid), 1) if draws.shape[1] == 1 else np.array(paid)


def earned(step_rewards):
    return facts(np.concatenate([[0], np.cumsum(step_rewards)]))


def discounted(rewards, gamma):
    return sum(r * gamma**t for t, r in enumerate(rewards))


# --- known answers -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("k", "paid", "at_gamma_09"),
    [
        (1, [1, 0, 2, -1, 3, 0.5, 4], 6.280309000000001),
        (3, [0, 0, 3, 0, 0, 2.5, 4], 6.031989),
        (7, [0, 0, 0, 0, 0, 0, 9.5], 5.0486895),
    ],
)
@pytest.mark.parametrize("cut", [False, True])
def test_delay_conserves_the_undiscounted_return_only(k, paid, at_gamma_09, cut):
    result = pay(Every(k), earned(REWARDS), cut)
    assert result == pytest.approx(paid, abs=1e-9)
    assert result.sum() == pytest.approx(9.5, abs=1e-9)
    assert discounted(result, 0.9) == pytest.approx(at_gamma_09, abs=1e-9)


def test_corrected_delay_deposits():
    arm = make_arm({"every": 3, "corrected": True}, gamma=0.9, max_steps=7)
    result = pay(arm, earned(REWARDS))
    expected = [0, 0, 3.234567901234568, 0, 0, 2.5987654320987654, 4.0]
    assert result == pytest.approx(expected, abs=1e-9)
    assert discounted(result, 0.9) == pytest.approx(6.280309000000001, abs=1e-9)
    assert arm.scale == pytest.approx(0.9**-2)


def test_thinning_moments_by_enumerating_every_outcome():
    arm = make_arm({"thinned": 0.25}, max_steps=7)
    outcomes = np.array(list(itertools.product([0.0, 0.25], repeat=7)))  # paid, just not paid
    probability = np.prod(np.where(outcomes < 0.25, 0.25, 0.75), axis=1)
    paid = pay(arm, earned(REWARDS), draws=outcomes.T)
    returns = paid.sum(axis=0)
    mean = probability @ returns
    assert mean == pytest.approx(9.5, abs=1e-9)
    assert probability @ (returns - mean) ** 2 == pytest.approx(93.75, abs=1e-9)
    # Floating-point progress leaves crumbs of 1e-16 where a reward is 0.
    frequency = probability @ (np.abs(paid) > 1e-9).mean(axis=0)
    assert frequency == pytest.approx(0.21428571428571427, abs=1e-9)


def test_potential_shaping_shifts_q_by_the_potential():
    gamma, potential, end = 0.9, np.array([0.3, -1.0, 2.0, 0.0]), 3
    moves = [(0, 0), (0, 1), (1, 0), (1, 2), (2, 1), (2, 3)]
    source, target = np.array(moves).T
    base = np.where(target == end, 1.0, -0.05)
    shape, _ = Shaped(gamma).step(
        np.zeros(6),
        facts(potential[source]),
        facts(potential[target]),
        np.ones(6, int),
        target == end,
        np.zeros(6, bool),
        np.zeros(6),
    )

    def solve(reward):
        q = np.zeros(6)
        for _ in range(2000):
            value = np.array([q[source == s].max() if s != end else 0.0 for s in range(4)])
            q = reward + gamma * value[target]
        return q

    plain = [0.5934999999999999, 0.715, 0.5934999999999999, 0.85, 0.715, 1.0]
    shaped = [0.2935, 0.415, 1.5935, 1.85, -1.285, -1.0]
    assert solve(base) == pytest.approx(plain, abs=1e-9)
    assert solve(base + shape) == pytest.approx(shaped, abs=1e-9)


def test_terminal_potential_is_zero():
    # s0: a -> T1 (1), b -> T2 (.5); potential 1 at T2 must not make b look better than a.
    shape, _ = Shaped(0.9).step(
        np.zeros(2),
        facts([0.0, 0.0]),
        facts([0.0, 1.0]),
        np.ones(2, int),
        np.ones(2, bool),
        np.zeros(2, bool),
        np.zeros(2),
    )
    assert np.array([1.0, 0.5]) + shape == pytest.approx([1.0, 0.5], abs=1e-9)


@pytest.mark.parametrize(
    ("keep", "cut", "total"),
    [(False, False, -0.5), (False, True, -0.5), (True, False, -0.5), (True, True, 1.687)],
)
def test_shaping_telescopes(keep, cut, total):
    paid = pay(Shaped(0.9, keep), facts([0.5, 1.5, -2, 3]), cut)
    assert discounted(paid, 0.9) == pytest.approx(total, abs=1e-9)


@pytest.mark.parametrize(("owed", "best"), [(0.5, "go"), (1.0, "stop")])
def test_a_flush_that_the_agent_controls_needs_the_accumulator(owed, best):
    def step(memory, change, clock, ended):
        one, no = np.ones(1, bool), np.zeros(1, bool)
        return Every(8).step(
            np.array([memory]),
            facts([0.0]),
            facts([change]),
            np.array([clock]),
            one if ended else no,
            no,
            np.zeros(1),
        )

    stop, _ = step(owed, 0.0, 7, ended=True)
    now, memory = step(owed, 0.0, 7, ended=False)
    later, _ = step(memory[0], 0.1, 8, ended=False)
    go = now[0] + 0.9 * later[0]
    assert stop[0] == pytest.approx(owed)
    assert go == pytest.approx(0.9 * (owed + 0.1))
    assert ("stop" if stop[0] > go else "go") == best


# --- laws ----------------------------------------------------------------------------------

steps = st.lists(st.floats(-1, 1), min_size=1, max_size=20)
gammas = st.floats(0.8, 1.0)


@given(steps, st.integers(1, 20), st.booleans())
def test_every_k_conserves_the_undiscounted_return(values, k, cut):
    paid = pay(Every(k), earned(values), cut)
    assert np.ravel(paid).sum() == pytest.approx(sum(values), abs=1e-9)
    unpaid = [t for t in range(1, len(values)) if t % k]
    assert not np.ravel(paid)[[t - 1 for t in unpaid]].any()


@given(steps, st.integers(1, 20), gammas, st.booleans())
def test_corrected_delay_conserves_the_discounted_return(values, k, gamma, cut):
    paid = np.ravel(pay(Every(k, 1 / gamma), earned(values), cut))
    assert discounted(paid, gamma) == pytest.approx(discounted(values, gamma), abs=1e-8)


@given(st.lists(st.floats(0.01, 1), min_size=2, max_size=20), st.integers(2, 20))
def test_uncorrected_delay_loses_discounted_return(values, k):
    paid = np.ravel(pay(Every(k), earned(values)))
    assert discounted(paid, 0.9) < discounted(values, 0.9)


@given(steps, st.floats(0.01, 0.99))
def test_thinning_is_unbiased(values, p):
    # Draws below p are paid, draws from p on are not.
    paid = pay(Thinned(p), earned(values), draws=np.array([[0.0, p]] * len(values)))
    assert paid @ [p, 1 - p] == pytest.approx(values, abs=1e-9)
    assert Thinned(p).mean == Dense()


@given(st.lists(st.floats(0, 1), min_size=2, max_size=12), gammas, st.booleans(), st.booleans())
def test_shaped_is_terminal_shifted_by_the_first_potential(potential, gamma, wins, cut):
    success = np.zeros(len(potential))
    success[-1] = wins
    path = facts(potential, success)
    shaped = discounted(np.ravel(pay(Shaped(gamma), path, cut)), gamma)
    plain = discounted(np.ravel(pay(Terminal(), path, cut)), gamma)
    assert shaped == pytest.approx(plain - potential[0], abs=1e-9)
    kept = discounted(np.ravel(pay(Shaped(gamma, keep_at_cap=True), path, cut)), gamma)
    left = gamma ** (len(potential) - 1) * potential[-1] if cut else 0.0
    assert kept == pytest.approx(plain - potential[0] + left, abs=1e-9)


@given(st.lists(st.booleans(), min_size=1, max_size=12))
def test_terminal_pays_once_or_at_the_cap(success):
    path = facts(np.zeros(len(success) + 1), [0, *success])
    first = np.ravel(pay(Terminal(), path, cut=True))
    assert first.sum() == any(success)
    if any(success):
        assert first[success.index(True)] == 1
    at_cap = np.ravel(pay(Terminal(cap=len(success)), path, cut=True))
    assert at_cap.tolist() == [0.0] * (len(success) - 1) + [float(success[-1])]


@given(steps, st.floats(0, 2), st.floats(0.1, 5))
def test_power_weight_pays_all_holdings_their_weight(values, weight, scale):
    holdings = np.linspace(0, scale, len(values) + 1)
    path = earned(values)
    path.array[:, 3] = holdings
    for arm in (Dense(), Every(4)):
        powered = PowerWeighted(arm, weight, scale)
        extra = np.ravel(pay(powered, path)) - np.ravel(pay(arm, path))
        assert extra == pytest.approx(np.diff(holdings) * weight / scale, abs=1e-9)
        assert extra.sum() == pytest.approx(weight, abs=1e-9)
    assert PowerWeighted(Thinned(0.5), weight, scale).mean == PowerWeighted(Dense(), weight, scale)


def test_own_pays_the_world_s_own_reward_and_keeps_no_view():
    path = facts([0, 0, 0], own=[9, -1, 50])
    assert pay(make_arm("own", max_steps=5), path).tolist() == [-1, 50]
    after = facts([0.0], own=[3.0])
    reward, _ = make_arm("own", max_steps=5).step(
        np.zeros(1), after, after, np.ones(1, int), *np.zeros((2, 1), bool), np.zeros(1)
    )
    after.array[:] = 7
    assert reward[0] == 3


def test_facts_are_read_by_name_scalar_or_shaped():
    read = Facts(np.arange(12.0).reshape(2, 6), Table())
    assert read["own"].tolist() == [2, 8]
    assert read["wealth"].tolist() == [[4, 5], [10, 11]]


@pytest.mark.parametrize("name", powerseek.list_rewards())
def test_every_registered_arm_is_pure_and_treats_copies_alone(name):
    arm = make_arm(SPECS.get(name, name), max_steps=9)
    generator = np.random.default_rng(5)
    n = 16
    before, after = (
        facts(
            *generator.random((1, n)), *generator.integers(0, 2, (1, n)), *generator.random((2, n))
        )
        for _ in range(2)
    )
    ended = generator.random(n) < 0.5
    rest = (generator.integers(1, 10, n), ended, ended & (generator.random(n) < 0.5))
    draw = generator.random(n)
    memory = arm.start(before)
    given_ = [memory, before.array, after.array, *rest, draw]
    kept = [array.copy() for array in given_]
    reward, then = arm.step(memory, before, after, *rest, draw)
    assert all(np.array_equal(a, b) for a, b in zip(given_, kept, strict=True))
    assert reward.shape == then.shape == (n,)
    assert reward.dtype == then.dtype == np.float64
    for i in range(n):
        row = slice(i, i + 1)
        alone = arm.step(
            memory[row],
            Facts(before.array[row], Table()),
            Facts(after.array[row], Table()),
            *(array[row] for array in rest),
            draw[row],
        )
        assert (reward[i], then[i]) == (alone[0][0], alone[1][0])
    assert arm.mean.mean == arm.mean
    assert arm.scale >= 1


# --- optimal policies ----------------------------------------------------------------------


class TinyMDP:
    """Random transitions; the last two states end the episode, the last one in success."""

    def __init__(self, seed, states=4, actions=2, horizon=4):
        generator = np.random.default_rng(seed)
        self.states, self.actions, self.horizon = states, actions, horizon
        self.progress = np.append(generator.random(states - 1), 1.0)
        self.success = np.arange(states) == states - 1
        self.over = np.arange(states) >= states - 2
        self.chance = generator.dirichlet(np.full(states, 0.7), (states, actions))

    def optimal_actions(self, arm, gamma):
        """{(t, state, memory): optimal actions} reachable from state 0, by backward induction."""
        found, known = {}, {}

        def value(t, state, memory):
            key = (t, state, round(memory, 9))
            if key in known:
                return known[key]
            after = np.arange(self.states)
            ended = self.over[after] | (t + 1 == self.horizon)
            reward, then = arm.step(
                np.full(self.states, memory),
                facts(np.full(self.states, self.progress[state])),
                facts(self.progress, self.success),
                np.full(self.states, t + 1),
                ended,
                ended & ~self.over,
                np.zeros(self.states),
            )
            future = np.array(
                [0.0 if ended[s] else value(t + 1, s, then[s]) for s in range(self.states)]
            )
            q = self.chance[state] @ (reward + gamma * future)
            found[key] = frozenset(np.flatnonzero(q > q.max() - 1e-9))
            known[key] = q.max()
            return known[key]

        value(0, 0, float(arm.start(facts([self.progress[0]]))[0]))
        return found


def same_optimum(mdp, arm, reference, gamma):
    """Whether `arm` has `reference`'s optimal actions at every (t, state), whatever it owes."""
    wanted = {key[:2]: best for key, best in mdp.optimal_actions(reference, gamma).items()}
    return all(best == wanted[key[:2]] for key, best in mdp.optimal_actions(arm, gamma).items())


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("k", [2, 3, 4])
def test_optimal_policies_survive_delay_at_gamma_1_and_correction_below(seed, k):
    mdp = TinyMDP(seed)
    assert same_optimum(mdp, make_arm({"every": k}, max_steps=4), Dense(), 1.0)
    corrected = make_arm({"every": k, "corrected": True}, gamma=0.7, max_steps=4)
    assert same_optimum(mdp, corrected, Dense(), 0.7)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("gamma", [0.7, 1.0])
def test_optimal_policies_of_shaped_are_those_of_terminal(seed, gamma):
    mdp = TinyMDP(seed)
    assert same_optimum(mdp, make_arm("shaped", gamma=gamma, max_steps=4), Terminal(), gamma)
    assert same_optimum(mdp, make_arm({"thinned": 0.3}, max_steps=4).mean, Dense(), gamma)


def test_optimal_policies_do_not_survive_uncorrected_delay_below_gamma_1():
    changed = [not same_optimum(TinyMDP(seed), Every(4), Dense(), 0.7) for seed in range(12)]
    assert any(changed)


def test_optimal_policies_do_not_survive_a_potential_kept_at_a_cap_that_ends_the_task():
    kept = [
        not same_optimum(TinyMDP(seed), Shaped(0.9, keep_at_cap=True), Terminal(), 0.9)
        for seed in range(12)
    ]
    assert any(kept)


def test_delay_makes_stopping_pay_where_going_on_is_better():
    """State 0 may stop at progress .91 now, or go on to 1: dense goes, delayed stops."""
    go = 0.9 * (1.0 - 0.91)
    assert go > 0  # dense: going on earns something, stopping nothing more

    def paid(path, gamma, arm):
        return discounted(np.ravel(pay(arm, facts(path))), gamma)

    stop_path, go_path = [0, 0.91, 0.91], [0, 0.91, 0.91, 1.0]
    assert paid(go_path, 0.9, Dense()) > paid(stop_path, 0.9, Dense())
    assert paid(go_path, 0.9, Every(3)) < paid(stop_path, 0.9, Every(3))
    assert paid(go_path, 0.9, Every(3, 1 / 0.9)) > paid(stop_path, 0.9, Every(3, 1 / 0.9))


# --- specs ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("dense", "dense"),
        ({"dense": None}, "dense"),
        ({"every": 8}, "every 8"),
        ({"every": "cap"}, "every cap"),
        ({"every": 8, "corrected": True}, "every 8 corrected"),
        ({"corrected": True, "every": 8}, "every 8 corrected"),
        ({"every": 8, "corrected": False}, "every 8"),
        ({"thinned": 0.25}, "thinned 0.25"),
        ({"thinned": 1.0}, "thinned 1"),
        ("terminal", "terminal"),
        ({"terminal": None, "pay": "cap"}, "terminal at cap"),
        ({"terminal": {"pay": "cap"}}, "terminal at cap"),
        ({"terminal": {"pay": "success"}}, "terminal"),
        ("shaped", "shaped"),
        ("own", "own"),
    ],
)
def test_canonical_names(spec, name):
    assert arm_name(spec) == name


def test_windows_of_a_study():
    study = ["dense", {"every": 8}, {"every": "cap"}, {"every": 8, "corrected": True}, {"every": 2}]
    assert windows_of(study, 28) == (2, 8, 28)
    assert windows_of(["dense", "terminal"], 28) == ()


@pytest.mark.parametrize(
    ("spec", "settings", "words"),
    [
        ("densse", {}, "reward: got 'densse'; allowed: dense, .*Did you mean 'dense'"),
        ({"evry": 8}, {}, "Did you mean 'every'"),
        ({"every": 0}, {}, "every: got 0; allowed: an integer from 1 to the cap"),
        ({"every": 2.0}, {}, "every: got 2.0"),
        ({"every": True}, {}, "every: got True"),
        ({"every": None}, {}, "every: got None"),
        ("every", {}, "every: got None"),
        ({"every": "end"}, {}, "every: got 'end'"),
        ({"every": 29}, {}, r"every: got 29; .*the cap \(28 steps\)"),
        ({"every": 8, "corrected": 1}, {"gamma": 0.9}, "every.corrected: got 1"),
        ({"every": 8, "correct": True}, {}, "every option: got 'correct'; allowed: corrected"),
        ({"dense": 3}, {}, "dense: got 3; allowed: no argument"),
        ({"dense": None, "pay": "cap"}, {}, "dense option: got 'pay'; allowed: none"),
        ({"thinned": 0}, {}, "thinned: got 0"),
        ({"thinned": 1.5}, {}, "thinned: got 1.5"),
        ({"thinned": "half"}, {}, "thinned: got 'half'"),
        ({"thinned": float("nan")}, {}, "thinned: got nan"),
        ({"terminal": {"pay": "cap"}}, {}, "terminal.pay: got 'cap'.*runs on after success"),
        ({"terminal": {"pay": "late"}}, {}, "terminal.pay: got 'late'; allowed: success or cap"),
        (3, {}, "reward: got 3"),
        ({}, {}, "reward: got {}"),
        ("dense", {"gamma": 0}, "gamma: got 0; allowed: a number above 0, at most 1"),
        ("dense", {"gamma": 1.01}, "gamma: got 1.01"),
        ("dense", {"gamma": float("nan")}, "gamma: got nan"),
        ("dense", {"time_limit": "none"}, "time_limit: got 'none'; allowed: terminal or boot"),
        ("dense", {"time_limit": "bootstrap"}, "time_limit: got 'bootstrap'.*diverges"),
        ("dense", {"power_weight": -1}, "power_weight: got -1; allowed: a number >= 0"),
        ("dense", {"power_weight": float("inf")}, "power_weight: got inf"),
        ("dense", {"power_weight": 1, "holdings_scale": 0}, "holdings_scale: got 0"),
        ({"every": 28, "corrected": True}, {"gamma": 0.5}, "every: got 28.*k <= 7 at gamma 0.5"),
        ({"every": "cap", "corrected": True}, {"gamma": 1e-300}, "every: got 'cap'"),
    ],
)
def test_bad_input_is_named(spec, settings, words):
    with pytest.raises(InvalidInput, match=words):
        make_arm(spec, **{"max_steps": 28, **settings})


def test_the_largest_corrected_k_named_in_the_refusal_is_allowed():
    assert make_arm({"every": 7, "corrected": True}, gamma=0.5, max_steps=28).scale == 64


def test_delay_below_gamma_1_warns_of_the_confound():
    with pytest.warns(ConfoundWarning, match="confounded with discount"):
        make_arm({"every": 8}, gamma=0.95, max_steps=28)
    for quiet in ({"every": 1}, {"every": 8, "corrected": True}, "dense"):
        make_arm(quiet, gamma=0.95, max_steps=28)  # warnings are errors here


def test_pay_at_the_cap_where_episodes_run_on():
    spec = {"terminal": {"pay": "cap"}}
    assert make_arm(spec, max_steps=28, runs_on=True) == Terminal(cap=28)
