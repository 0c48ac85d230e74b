"""Reward arms: published and derived numbers, laws, and the places where the laws break."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from known import known

import powerseek
from powerseek.envs.rewards.spec import (
    ConfoundWarning,
    Facts,
    Pay,
    Step,
    make_reward,
    reward_name,
    reward_windows,
)
from powerseek.envs.rewards.timing import Dense, Every, Shaped, Terminal, Thinned
from powerseek.errors import InvalidInput

NAMES = ("progress", "success", "own", "holdings", "wealth[0]", "wealth[1]")
SPECS = {
    "every": {"every": 3},
    "thinned": {"thinned": 0.25},
    "approval": {"approval": 3},
    "coverage": {"coverage": 0.5},
    "preference": {"preference": 3, "length": 2},
    "priced": {"priced": 0.1, "of": {"coverage": 0.5}},
    "aup": {"aup": 0.1, "of": {"priced": 0.1, "of": {"coverage": 0.5}}},
    "penalty": {"penalty": 0.1, "horizon": 3, "placebo": True, "of": "terminal"},
}


class Strict:
    """Judges by the state, the action and the time, one by one; for what is constrained, too."""

    @property
    def of(self):
        return self

    def judge(self, records, actions, clock):
        return -(records["place"] + 0.5 * actions + 0.25 * clock)


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


def pay(arm, path, cut=False, draws=None, of=None):
    """Rewards [T] of one episode whose facts are path [T+1, F]; draws [T, n] gives [T, n]."""
    steps = len(path.array) - 1
    draws = np.zeros((steps, 1)) if draws is None else draws
    at = [Facts(np.repeat(row[None], draws.shape[1], 0), path.world) for row in path.array]
    memory, paid = arm.start(at[0]), []
    for t in range(steps):
        flag = np.full(draws.shape[1], t == steps - 1)
        clock = np.full(draws.shape[1], t + 1)
        shown = Step(memory, at[t], at[t + 1], clock, flag, flag & cut, draws[t])
        reward, memory = (of or arm).step(shown)
        paid.append(reward)
    return np.squeeze(np.array(paid), 1) if draws.shape[1] == 1 else np.array(paid)


def one_step(arm, before, after, ended):
    """Rewards [n] of a first step that no cap cuts."""
    n = len(ended)
    shown = Step(np.zeros(n), before, after, np.ones(n, int), ended, np.zeros(n, bool), np.zeros(n))
    return arm.step(shown)[0]


def earned(step_rewards):
    return facts(np.concatenate([[0], np.cumsum(step_rewards)]))


def discounted(rewards, gamma):
    return sum(r * gamma**t for t, r in enumerate(rewards))


# --- known answers -------------------------------------------------------------------------


@pytest.mark.parametrize("i", range(3))
@pytest.mark.parametrize("cut", [False, True])
def test_delay_conserves_the_undiscounted_return_only(i, cut):
    case = known("delayed_reward_conservation")
    near = {"abs": case.tolerance, "rel": 0}
    k, expected = case.spec["k"][i], case.expected
    result = pay(Every(k), earned(case.spec["rewards"]), cut)
    assert result == pytest.approx(expected.get(f"k{k}", case.spec["rewards"]), **near)
    assert result.sum() == pytest.approx(expected["undiscounted_return"][i], **near)
    at_gamma = discounted(result, case.spec["gamma"])
    assert at_gamma == pytest.approx(expected["discounted_gamma0.9"][i], **near)


def test_corrected_delay_deposits():
    case = known("discount_corrected_delay")
    near = {"abs": case.tolerance, "rel": 0}
    k, gamma = case.spec["k"], case.spec["gamma"]
    arm = make_reward({"every": k, "corrected": True}, gamma=gamma, max_steps=7)
    result = pay(arm, earned(case.spec["rewards"]))
    assert result == pytest.approx(case.expected["deposits"], **near)
    assert discounted(result, gamma) == pytest.approx(case.expected["discounted_return"], **near)
    assert arm.scale == pytest.approx(gamma ** -(k - 1))


def test_thinning_moments_by_enumerating_every_outcome():
    case = known("stochastic_thinning")
    near = {"abs": case.tolerance, "rel": 0}
    p, values = case.spec["p"], case.spec["rewards"]
    arm = make_reward({"thinned": p}, max_steps=7)
    outcomes = np.array(list(itertools.product([0.0, p], repeat=len(values))))  # paid, just not
    probability = np.prod(np.where(outcomes < p, p, 1 - p), axis=1)
    paid = pay(arm, earned(values), draws=outcomes.T)
    returns = paid.sum(axis=0)
    mean = probability @ returns
    assert mean == pytest.approx(case.expected["mean"], **near)
    assert probability @ (returns - mean) ** 2 == pytest.approx(case.expected["variance"], **near)
    # Floating-point progress leaves crumbs of 1e-16 where a reward is 0.
    frequency = probability @ (np.abs(paid) > 1e-9).mean(axis=0)
    assert frequency == pytest.approx(case.expected["frac_nonzero_expected"], **near)


def test_potential_shaping_shifts_q_by_the_potential():
    gamma, potential, end = 0.9, np.array([0.3, -1.0, 2.0, 0.0]), 3
    moves = [(0, 0), (0, 1), (1, 0), (1, 2), (2, 1), (2, 3)]
    source, target = np.array(moves).T
    base = np.where(target == end, 1.0, -0.05)
    before, after = facts(potential[source]), facts(potential[target])
    shape = one_step(Shaped(gamma), before, after, target == end)

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
    case = known("shaping_terminal_potential_bug")
    gamma, phi = case.spec["gamma"], case.spec["Phi"]
    right = case.expected["correct (Phi(terminal):=0)"]
    wrong = case.expected["buggy"]
    base = np.array([1.0, 0.5])
    before, after = facts([phi["s0"]] * 2), facts([phi["T1"], phi["T2"]])
    found = base + one_step(Shaped(gamma), before, after, np.ones(2, bool))
    assert found == pytest.approx([right["Q_a"], right["Q_b"]], abs=case.tolerance)
    assert "ab"[found.argmax()] == right["best"]
    # A step that does not end keeps the potential: the bug, were the episode over.
    kept = base + one_step(Shaped(gamma), before, after, np.zeros(2, bool))
    assert kept == pytest.approx([wrong["Q_a"], wrong["Q_b"]], abs=case.tolerance)


@pytest.mark.parametrize(
    ("keep", "cut", "which"),
    [(False, False, 0), (False, True, 0), (True, False, 0), (True, True, 1)],
)
def test_shaping_telescopes(keep, cut, which):
    case = known("shaping_telescopes")
    gamma = case.spec["gamma"]
    paid = pay(Shaped(gamma, keep), facts(case.spec["potentials_along_path"]), cut)
    total = case.expected["sum_gamma_t_F"][which]
    assert discounted(paid, gamma) == pytest.approx(total, abs=case.tolerance)


@pytest.mark.parametrize("owed", [0.5, 1.0])
def test_a_flush_that_the_agent_controls_needs_the_accumulator(owed):
    case = known("aggregation_needs_accumulator")
    gamma, expected = case.spec["gamma"], case.expected[f"c={owed}"]

    def step(memory, change, clock, ended):
        one, no = np.ones(1, bool), np.zeros(1, bool)
        flag = one if ended else no
        before, after = facts([0.0]), facts([change])
        memory, clock = np.array([memory]), np.array([clock])
        return Every(8).step(Step(memory, before, after, clock, flag, no, np.zeros(1)))

    stop, _ = step(owed, 0.0, 7, ended=True)
    now, memory = step(owed, 0.0, 7, ended=False)
    later, _ = step(memory[0], 0.1, 8, ended=False)
    go = now[0] + gamma * later[0]
    assert stop[0] == pytest.approx(expected["stop"], abs=case.tolerance)
    assert go == pytest.approx(expected["go"], abs=case.tolerance)
    assert ("stop" if stop[0] > go else "go") == expected["best"]
    assert (stop[0] > go) == (owed > case.expected["threshold_c"])


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
        extra = np.ravel(pay(arm, path, of=Pay(arm, weight, scale))) - np.ravel(pay(arm, path))
        assert extra == pytest.approx(np.diff(holdings) * weight / scale, abs=1e-9)
        assert extra.sum() == pytest.approx(weight, abs=1e-9)


def test_own_pays_the_world_s_own_reward_and_keeps_no_view():
    path = facts([0, 0, 0], own=[9, -1, 50])
    assert pay(make_reward("own", max_steps=5), path).tolist() == [-1, 50]
    after = facts([0.0], own=[3.0])
    reward = one_step(make_reward("own", max_steps=5), after, after, np.zeros(1, bool))
    after.array[:] = 7
    assert reward[0] == 3


@pytest.mark.parametrize("k", [2, "cap"])
def test_the_world_s_own_reward_can_be_delayed_too(k):
    path = facts([0, 0, 0, 1], own=[9, -1, -1, 50])
    paid = pay(make_reward({"every": k, "of": "own"}, max_steps=5), path).tolist()
    assert paid == ([0, -2, 50] if k == 2 else [0, 0, 48])


def test_facts_are_read_by_name_scalar_or_shaped():
    read = Facts(np.arange(12.0).reshape(2, 6), Table())
    assert read["own"].tolist() == [2, 8]
    assert read["wealth"].tolist() == [[4, 5], [10, 11]]


@pytest.mark.parametrize("name", powerseek.list_rewards())
def test_every_registered_arm_is_pure_and_treats_copies_alone(name):
    arm = make_reward(SPECS.get(name, name), max_steps=9, overseer=Strict())
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
    records = np.zeros(n, [("place", "f8")])
    records["place"] = generator.random(n)
    seen = (draw, records, generator.integers(0, 3, n), generator.random(n))
    memory = arm.start(before)
    given_ = [memory, before.array, after.array, *rest, *seen]
    kept = [array.copy() for array in given_]
    reward, then = arm.step(Step(memory, before, after, *rest, *seen))
    assert all(np.array_equal(a, b) for a, b in zip(given_, kept, strict=True))
    assert reward.shape == then.shape == (n,)
    assert reward.dtype == then.dtype == np.float64
    for i in range(n):
        row = slice(i, i + 1)
        alone = arm.step(
            Step(
                memory[row],
                Facts(before.array[row], Table()),
                Facts(after.array[row], Table()),
                *(array[row] for array in (*rest, *seen)),
            )
        )
        assert (reward[i], then[i]) == (alone[0][0], alone[1][0])
    assert arm.mean.mean == arm.mean
    assert arm.needs_overseer == (arm.unjudged != arm)
    paid, _ = arm.unjudged.step(Step(memory, before, after, *rest, *seen))
    assert reward == pytest.approx(paid + arm.judge(*seen[1:3], rest[0] - 1), abs=1e-15)
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
                Step(
                    np.full(self.states, memory),
                    facts(np.full(self.states, self.progress[state])),
                    facts(self.progress, self.success),
                    np.full(self.states, t + 1),
                    ended,
                    ended & ~self.over,
                    np.zeros(self.states),
                )
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
    assert same_optimum(mdp, make_reward({"every": k}, max_steps=4), Dense(), 1.0)
    corrected = make_reward({"every": k, "corrected": True}, gamma=0.7, max_steps=4)
    assert same_optimum(mdp, corrected, Dense(), 0.7)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("gamma", [0.7, 1.0])
def test_optimal_policies_of_shaped_are_those_of_terminal(seed, gamma):
    mdp = TinyMDP(seed)
    assert same_optimum(mdp, make_reward("shaped", gamma=gamma, max_steps=4), Terminal(), gamma)
    assert same_optimum(mdp, make_reward({"thinned": 0.3}, max_steps=4).mean, Dense(), gamma)


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
        ({"every": "cap", "of": "own"}, "every cap of own"),
        ({"every": 8, "of": "dense"}, "every 8"),
        ({"every": 8, "of": "own", "corrected": True}, "every 8 corrected of own"),
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
    assert reward_name(spec) == name


def test_windows_of_a_study():
    study = ["dense", {"every": 8}, {"every": "cap"}, {"every": 8, "corrected": True}, {"every": 2}]
    assert reward_windows(study, 28) == (2, 8, 28)
    assert reward_windows(["dense", "terminal"], 28) == ()


@pytest.mark.parametrize(
    ("spec", "settings", "words"),
    [
        ("densse", {}, "reward: got 'densse'; allowed: approval, .*Did you mean 'dense'"),
        ({"evry": 8}, {}, "Did you mean 'every'"),
        ({"every": 0}, {}, "every: got 0; allowed: an integer from 1 to the cap"),
        ({"every": 2.0}, {}, "every: got 2.0"),
        ({"every": True}, {}, "every: got True"),
        ({"every": None}, {}, "every: got None"),
        ("every", {}, "every: got None"),
        ({"every": "end"}, {}, "every: got 'end'"),
        ({"every": 29}, {}, r"every: got 29; .*the cap \(28 steps\)"),
        ({"every": 8, "corrected": 1}, {"gamma": 0.9}, "every.corrected: got 1"),
        ({"every": 8, "correct": True}, {}, "every option: got 'correct'; allowed: corrected, of"),
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
        ({"every": 28, "corrected": True}, {"gamma": 0.5}, "every: got 28.*k <= 7 at gamma 0.5"),
        ({"every": "cap", "corrected": True}, {"gamma": 1e-300}, "every: got 'cap'"),
    ],
)
def test_bad_input_is_named(spec, settings, words):
    with pytest.raises(InvalidInput, match=words):
        make_reward(spec, **{"max_steps": 28, **settings})


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((-1,), "power_weight: got -1; allowed: a number >= 0"),
        ((float("inf"),), "power_weight: got inf"),
        (("1",), "power_weight: got '1'"),
        ((1, 0), "holdings_scale: got 0; allowed: a number > 0"),
    ],
)
def test_a_weight_or_a_scale_that_is_not_allowed_is_named(given, words):
    with pytest.raises(InvalidInput, match=words):
        Pay(Dense(), *given)


def test_the_largest_corrected_k_named_in_the_refusal_is_allowed():
    assert make_reward({"every": 7, "corrected": True}, gamma=0.5, max_steps=28).scale == 64


def test_delay_below_gamma_1_warns_of_the_confound():
    with pytest.warns(ConfoundWarning, match="confounded with discount"):
        make_reward({"every": 8}, gamma=0.95, max_steps=28)
    for quiet in ({"every": 1}, {"every": 8, "corrected": True}, "dense"):
        make_reward(quiet, gamma=0.95, max_steps=28)  # warnings are errors here


def test_pay_at_the_cap_where_episodes_run_on():
    spec = {"terminal": {"pay": "cap"}}
    assert make_reward(spec, max_steps=28, runs_on=True) == Terminal(cap=28)
