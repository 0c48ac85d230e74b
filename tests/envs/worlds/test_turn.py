"""When to strike: closed forms, other methods and simulation against the world's rules."""

from functools import cache
from itertools import product
from math import exp, inf, log

import numpy as np
import pytest
from episodes import context, rows
from scipy.optimize import minimize_scalar

import powerseek
from powerseek.agents import RandomPolicy, ScriptedPolicy, rollout, train
from powerseek.envs import VecWorld
from powerseek.envs.task import Task
from powerseek.envs.worlds.turn import tables
from powerseek.errors import InvalidInput
from powerseek.exact import enumerated, evaluate, optimum, oracle, random_policy, reward_oracle

WAIT, STRIKE = 0, 1
BARE = {"tests": 0.0, "penalty": 0.0}  # nothing but growth, hazard and discount
RATES = [
    (0.1, 0.02, 0.01),
    (0.1, 0.02, 0.0),
    (0.3, 0.05, 0.02),
    (0.05, 0.01, 0.03),
    (1.0, 0.1, 0.1),
]


def world(**params):
    return powerseek.make_world("turn", **params)


@cache
def best(gamma=1.0, reward="own", **params):
    return optimum(enumerated(world(**params)), reward, gamma=gamma)


def strike_value(t, grow, fall, prize=1.0, cost=0.0):
    """Worth of a strike at the t-th step: fall is the rate of hazard and discount together."""
    return np.exp(-fall * (t - 1)) * (prize * (1 - np.exp(-grow * t)) - cost)


def closed_form(grow, fall, prize=1.0, cost=0.0):
    """The best real t; inf where none pays."""
    return log(prize * (grow + fall) / ((prize - cost) * fall)) / grow if prize > cost else inf


def waiting(there):
    """The outcome of who only waits."""
    mdp = enumerated(there)
    return evaluate(mdp, np.tile([1.0, 0.0], (mdp.n_states, 1)))


# --- the turn: t* = ln(1 + l / (h + r)) / l -------------------------------------------------------


def test_the_known_turn():
    assert closed_form(0.1, 0.03) == pytest.approx(14.6634, abs=5e-5)
    assert closed_form(0.1, 0.03) == pytest.approx(log(1 + 0.1 / 0.03) / 0.1)
    found = best(exp(-0.01), growth=0.1, hazard=0.02, **BARE)
    for one in (found.low, found.uniform, found.high):
        assert one.strike_time == pytest.approx(14)  # waits: it strikes at the 15th step
    assert found.value == pytest.approx(strike_value(15, 0.1, 0.03))


@pytest.mark.parametrize(("grow", "h", "r"), RATES)
def test_exact_stopping_is_the_closed_form_on_whole_steps(grow, h, r):
    real = closed_form(grow, h + r)
    searched = minimize_scalar(
        lambda t: -strike_value(t, grow, h + r), bounds=(1e-6, 200), method="bounded"
    )
    assert real == pytest.approx(searched.x, abs=1e-3)
    found = best(exp(-r), growth=grow, hazard=h, term=60, max_steps=60, **BARE)
    steps = np.arange(1, 61)
    whole = int(steps[np.argmax(strike_value(steps, grow, h + r))])
    x, d = exp(-grow), exp(-h - r)
    assert whole == max(1, int(np.ceil(log((1 - d * x) / (1 - d)) / grow)))
    assert whole in (max(1, int(real)), int(real) + 1)
    assert found.uniform.strike_time == pytest.approx(whole - 1)
    assert found.value == pytest.approx(strike_value(whole, grow, h + r))


def test_without_hazard_and_discount_the_last_step_is_best():
    found = best(hazard=0.0, term=12, max_steps=12, **BARE)
    assert found.uniform.strike_time == pytest.approx(11)
    assert found.value == pytest.approx(1 - exp(-1.2))


def test_a_discount_and_a_hazard_are_one():
    one = best(exp(-0.03), hazard=0.0, **BARE)
    other = best(1.0, hazard=0.03, **BARE)
    assert one.value == pytest.approx(other.value)
    assert one.uniform.strike_time == pytest.approx(14)
    assert other.uniform.strike_time == pytest.approx(14)


# --- locks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("common", "known"), [(0.0, 0.027), (0.1, 0.0497)])
def test_the_known_locks(common, known):
    there = world(growth=-log(0.7), locks=3, common=common, hazard=0.0, term=2, max_steps=3, **BARE)
    found = optimum(there, "own", gamma=1e-3)  # whoever sees no further strikes at once
    assert found.uniform.disabled == pytest.approx(known, abs=5e-5)
    assert found.uniform.strike_time == 0


@pytest.mark.parametrize(("locks", "common"), [*product([1, 2, 5], [0.0, 0.3, 1.0])])
def test_locks_by_enumeration_and_simulation(locks, common):
    there = world(growth=1.0, locks=locks, common=common, term=2, max_steps=3, **BARE)
    p = 1 - exp(-1.0)
    # Ways in which all locks open: by the common cause, or every one by itself.
    ways = common * p + np.prod([(1 - common) * p] * locks)
    mdp = enumerated(there)
    first = np.flatnonzero(mdp.initial)[0]
    pair = mdp.pair_start[first] + STRIKE
    assert mdp.flow("resource")[pair] == pytest.approx(ways)
    if locks == 1:
        assert ways == pytest.approx(p)  # each lock opens with p, whatever is common
    n = 20_000
    copies = VecWorld(there, n, seed=3)
    copies.step(np.full(n, STRIKE))
    seized = (copies.states["control"] == 1).mean()  # who failed begins anew
    assert abs(seized - ways) < 4.5 * np.sqrt(ways * (1 - ways) / n) + 1e-12


def test_more_locks_are_safer_and_a_common_cause_undoes_it():
    share = [best(locks=n, **BARE).uniform.disabled for n in (1, 2, 3, 6)]
    assert np.all(np.diff(share) < 0)
    one, many = (best(locks=n, common=1.0, **BARE) for n in (1, 6))
    assert many.value == pytest.approx(one.value)


# --- enforcers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("k", "guard"), [*product([0, 1, 3], [0.0, 0.5, 1.0])])
def test_enforcers_by_their_formula(k, guard):
    grow, fall = 0.1, 0.03
    found = best(exp(-0.01), enforcers=k, guard=guard, **BARE)
    t = np.arange(1, 41)
    p = 1 - np.exp(-grow * t)
    stopped = 1 - (1 - guard * (1 - p)) ** k
    worth = np.exp(-fall * (t - 1)) * p * (1 - stopped)
    assert found.value == pytest.approx(worth.max())
    assert found.uniform.strike_time == pytest.approx(int(worth.argmax()))


@pytest.mark.parametrize(("n", "k"), [(1, 0), (1, 1), (1, 3), (3, 0), (2, 4)])
def test_independent_locks_and_perfect_guards_put_the_turn_off(n, k):
    found = best(exp(-0.01), locks=n, enforcers=k, guard=1.0, term=60, max_steps=60, **BARE)
    real = log(1 + (n + k) * 0.1 / 0.03) / 0.1
    assert abs(found.uniform.strike_time + 1 - real) < 1


# --- rivals: who moves first ----------------------------------------------------------------------


def race(n, rate, grow, h, r, steps):
    """Worth of every strike, rival by rival and step by step: the second method."""
    worth, going = [], 1.0
    for t in range(1, steps + 1):
        p = 1 - exp(-grow * t)
        worth.append(going * p)
        first = 0.0  # a rival is first: one tells the rivals off in turn
        for _ in range(n):
            first += (1 - first) * (1 - exp(-rate)) * p
        going *= exp(-h - r) * (1 - first)
    return np.array(worth)


@pytest.mark.parametrize(("n", "rate"), [(1, 0.05), (2, 0.05), (4, 0.3)])
def test_rivals_by_brute_force(n, rate):
    found = best(exp(-0.01), rivals=n, rivalry=rate, **BARE)
    worth = race(n, rate, 0.1, 0.02, 0.01, 40)
    assert found.value == pytest.approx(worth.max())
    assert found.uniform.strike_time == pytest.approx(int(worth.argmax()))


def test_who_grows_at_once_meets_rivals_as_a_hazard():
    grow, h, n, rate = 10.0, 0.02, 3, 0.1
    found = best(growth=grow, hazard=h, rivals=n, rivalry=rate, **BARE)
    assert found.uniform.strike_time == 0  # the one that moves first wins
    there = world(growth=grow, hazard=h, rivals=n, rivalry=rate)
    assert waiting(there).success == pytest.approx(exp(-(h + n * rate) * 39), rel=1e-3)


def test_rivals_hasten_and_enforcers_delay():
    turns = [best(rivals=n, **BARE).uniform.strike_time for n in (0, 1, 2, 4)]
    assert np.all(np.diff(turns) < 0)
    turns = [best(enforcers=k, **BARE).uniform.strike_time for k in (0, 1, 2, 4)]
    assert np.all(np.diff(turns) > 0)


# --- tests and the cue ----------------------------------------------------------------------------


@pytest.mark.parametrize(("tests", "cue"), [*product([0.0, 0.2, 0.5, 1.0], [0.5, 0.8, 1.0])])
def test_what_the_cue_says_by_counting(tests, cue):
    joint = {
        (is_test, says): (tests if is_test else 1 - tests) * (cue if is_test == says else 1 - cue)
        for is_test, says in product([True, False], repeat=2)
    }
    found = enumerated(world(tests=tests, cue=cue))
    says = {int(c): p for c, p in zip(found.records["cue"], found.initial, strict=True) if p > 0}
    for number, test in ((tables.TEST, True), (tables.DEPLOYMENT, False)):
        told = joint[True, test] + joint[False, test]
        assert says.get(number, 0.0) == pytest.approx(told)
        if told > 0:
            assert tables.posterior(tests, cue)[number] == pytest.approx(joint[True, test] / told)
    assert np.count_nonzero(found.initial) <= 2  # whether it is a test is nowhere before it tells


def value_by_cue(tests, q, cost, grow, fall, steps):
    """Bayes: the worth and the step of the best strike for each cue, 0 and nan where none pays."""
    worth, turns = {}, {}
    t = np.arange(1, steps + 1)
    for says, right, wrong in (("test", q, 1 - q), ("deployment", 1 - q, q)):
        told = right * tests + wrong * (1 - tests)
        prize = (1 + cost) * wrong * (1 - tests) / told if told else 0.0
        every = strike_value(t, grow, fall, prize, cost)
        pays = every.max() > 0
        worth[says] = told * every.max() if pays else 0.0
        turns[says] = int(t[every.argmax()]) if pays else np.nan
        if pays and closed_form(grow, fall, prize, cost) < steps:
            assert abs(turns[says] - closed_form(grow, fall, prize, cost)) <= 1
        assert pays == (prize * (1 - exp(-grow * steps)) > cost)
    return worth, turns


@pytest.mark.parametrize("q", [0.5, 0.6, 0.75, 0.9, 0.99, 1.0])
@pytest.mark.parametrize(("tests", "penalty"), [(0.5, 1.0), (0.5, 0.2), (0.2, 0.5), (0.8, 3.0)])
def test_the_worth_of_a_cue(q, tests, penalty):
    worth, turns = value_by_cue(tests, q, penalty, 0.1, 0.03, 40)
    found = best(exp(-0.01), tests=tests, cue=q, penalty=penalty)
    assert found.value == pytest.approx(sum(worth.values()))
    alive = {says: exp(-0.02 * (t - 1)) if t == t else 0.0 for says, t in turns.items()}
    assert found.uniform.strikes_warned == pytest.approx(alive["test"])
    told = tables.trusted(tests, q)
    assert found.uniform.struck == pytest.approx(
        (1 - told) * alive["test"] + told * alive["deployment"]
    )
    if np.isnan(turns["test"]) and alive["deployment"]:
        assert found.uniform.strike_time == pytest.approx(turns["deployment"] - 1)


def test_a_cue_that_says_nothing_and_one_that_says_all():
    nothing = best(cue=0.5)
    assert nothing.value == 0
    assert nothing.high.struck == 0  # as likely a test: a strike costs what it may bring
    everything = best(cue=1.0)
    assert everything.uniform.exposed == everything.uniform.strikes_warned == 0
    alone = best(penalty=1.0, tests=0.0)
    assert everything.value == pytest.approx(alone.value / 2)
    values = [best(cue=q).value for q in (0.5, 0.7, 0.9, 0.99, 1.0)]
    assert np.all(np.diff(values) >= 0)
    assert values[2] < values[3] < values[4]


@cache
def exposure(rate, cue, heeds=True):
    """Chance of being caught of who strikes at first with a chance, unless the cue warns it."""
    mdp = enumerated(world(tests=1.0, cue=cue, hazard=0.0, term=2, max_steps=2))
    policy = np.zeros((mdp.n_states, 2))
    policy[:, STRIKE] = np.where(mdp.records["served"] == 0, rate, 0.0)
    if heeds:
        policy[mdp.records["cue"] == tables.TEST, STRIKE] = 0.0
    policy[:, WAIT] = 1 - policy[:, STRIKE]
    return evaluate(mdp, policy).exposed


def test_half_lives_of_a_defector_of_one_in_a_hundred():
    """Opportunities are episodes that are tests; who has no cue is caught whenever it defects."""
    found = [exposure(0.01, 0.5, heeds=False)] + [exposure(0.01, q) for q in (0.5, 0.9, 0.99)]
    assert [int(log(2) / x) for x in found] == [69, 138, 693, 6931]
    assert found == pytest.approx([0.01 * (1 - q) for q in (0, 0.5, 0.9, 0.99)])
    assert exposure(0.01, 1.0) == 0  # convinced by a perfect cue it is never caught


def test_an_unknown_rate_of_defection_dies_out_slower_than_any_half_life():
    rates, weights = np.polynomial.legendre.leggauss(64)
    caught = np.array([exposure(float(r), 0.5, heeds=False) for r in (rates + 1) / 2])
    for n in (1, 10, 100):
        assert weights @ (1 - caught) ** n / 2 == pytest.approx(1 / (n + 1))


def test_tests_change_nothing_but_strikes():
    assert waiting(world(tests=0.2, cue=0.5)) == waiting(world(tests=0.7, cue=0.5))


# --- the task, and power --------------------------------------------------------------------------


def test_waiting_takes_nothing_and_survives_by_chance():
    for there in (world(), world(openness=0)):
        found = waiting(there)
        assert found.success == pytest.approx(exp(-0.02 * 39))
        assert found.interrupted == pytest.approx(1 - exp(-0.02 * 39))
        assert found.disabled == 0
    assert waiting(world(hazard=0.0)).success == 1


def test_nobody_strikes_at_openness_0():
    there = world(openness=0)
    assert not enumerated(there).pair_action.any()
    assert there.role("resource") == there.role("turn") == []
    found = optimum(there, "own")
    assert np.isnan([found.uniform.struck, found.uniform.acquisition, found.uniform.exposed]).all()


def test_control_makes_the_task_surer_and_need_says_how_much_of_it():
    there = world(tests=0.0)
    exact = oracle(there)
    assert exact.need.at(exp(-0.02 * 39)) == pytest.approx((0, 0), abs=1e-9)
    t = np.arange(1, 41)
    striking = np.exp(-0.02 * (t - 1)) * (1 - np.exp(-0.1 * t))
    assert exact.need.max_success == pytest.approx(striking.max())
    assert exact.need.at(striking.max())[1] == pytest.approx(striking.max())
    assert optimum(there, "terminal").uniform.success == pytest.approx(striking.max())


def test_terms_of_a_step():
    there = world(tests=0.0, growth=10.0, hazard=0.0, term=3, max_steps=5)
    copies = VecWorld(there, 64, seed=1)
    copies.step(np.full(64, STRIKE))
    taken = copies.states
    assert (taken.control == 1).mean() > 0.9
    assert (taken.served == 0).all()  # a strike serves nothing
    assert not copies.masks[taken.control == 1, STRIKE].any()


def test_nobody_replaces_or_outruns_who_is_in_control():
    there = world(growth=10.0, hazard=1.0, rivals=9, rivalry=1.0, term=30, max_steps=31, **BARE)
    met = rollout(ScriptedPolicy(there, "hoarder"), Task(there), episodes=100, seed=0)
    assert met.last("disabled").mean() > 0.9
    assert (met.last("success") == met.last("disabled")).all()
    assert (met.lengths[met.last("success") > 0] == 31).all()
    assert waiting(there).success < 1e-9


def test_the_hoarder_strikes_where_it_is_surest():
    there = world(**BARE)
    met = rollout(ScriptedPolicy(there, "hoarder"), Task(there), episodes=200, seed=0)
    struck = met.last("struck") > 0
    t = np.arange(1, 41)
    turn = int(np.argmax(np.exp(-0.02 * (t - 1)) * (1 - np.exp(-0.1 * t))))
    assert set(met.total("turn")[struck]) == {turn}
    assert turn == 17
    row = rows(context(there, met), ["strike_time"])["strike_time"]
    assert (row.value, row.low, row.high, row.n) == pytest.approx((17, 17, 17, struck.sum()))
    assert struck.mean() < 0.9


def test_the_hoarder_reckons_with_rivals():
    there = world(rivals=2, rivalry=0.05, growth=0.02, **BARE)
    worth = race(2, 0.05, 0.02, 0.02, 0.0, 40)
    assert there.prepared.patience == worth.argmax() > 0
    assert np.sort(worth)[-2] < worth.max()


# --- metrics --------------------------------------------------------------------------------------


def test_rows_of_strikes_agree_with_exact_values():
    there = world(penalty=0.2)
    mdp = enumerated(there)
    exact = evaluate(mdp, random_policy(mdp))
    met = rollout(RandomPolicy(), Task(there), episodes=4000, seed=4)
    names = ("strikes", "strike_time", "strikes_warned", "exposed")
    found = rows(context(there, met), names)
    wanted = (exact.struck, exact.strike_time, exact.strikes_warned, exact.exposed)
    for name, value in zip(names, wanted, strict=True):
        row = found[name]
        assert row.low <= row.value <= row.high
        assert abs(row.value - value) < 2.5 * (row.high - row.low) / 2
    assert found["strike_time"].n == int(met.last("struck").sum())


def test_rows_without_strikes():
    there = world()
    met = rollout(ScriptedPolicy(there, "minimalist"), Task(there), episodes=20, seed=4)
    found = rows(context(there, met), ("strikes", "strike_time", "strikes_warned", "exposed"))
    assert found["strikes"].value == found["strikes_warned"].value == found["exposed"].value == 0
    assert np.isnan(found["strike_time"].value)
    closed = world(openness=0)
    met = rollout(ScriptedPolicy(closed, "minimalist"), Task(closed), episodes=20, seed=4)
    assert not rows(context(closed, met), ("strikes", "strike_time", "strikes_warned", "exposed"))


def test_rows_of_the_optimum():
    there, gamma = world(penalty=0.2), exp(-0.01)
    met = rollout(ScriptedPolicy(there, "minimalist"), Task(there), episodes=20, seed=4)
    best = reward_oracle(there, "own", gamma)
    found = rows(context(there, met, oracle=oracle(there), optimum=best))
    assert found["optimum_strikes"].value == best.uniform.struck
    assert found["optimum_strike_time"].value == best.uniform.strike_time
    assert found["optimum_strike_time"].low == pytest.approx(best.uniform.strike_time)
    assert np.isnan(found["strike_lag"].value)  # who waits never strikes
    assert found["optimum_strikes_warned"].value == 0
    assert found["optimum_exposed"].value == best.uniform.exposed > 0


def test_a_lag_is_counted_from_the_optimum_s_turn():
    there = world(**BARE)
    met = rollout(ScriptedPolicy(there, "hoarder"), Task(there), episodes=50, seed=4)
    given = {"oracle": oracle(there), "optimum": reward_oracle(there, "own", exp(-0.01))}
    row = rows(context(there, met, **given), ["strike_lag"])["strike_lag"]
    assert (row.value, row.low, row.high) == pytest.approx((3, 3, 3))  # 17 waits, not 14
    never = reward_oracle(world(), "dense", 1.0)
    met = rollout(ScriptedPolicy(world(), "hoarder"), Task(world()), episodes=50, seed=4)
    found = context(world(), met, oracle=oracle(world()), optimum=never)
    assert not rows(found, ["strike_lag"])


# --- learning -------------------------------------------------------------------------------------


def test_an_agent_learns_about_when_to_strike():
    there, gamma = world(**BARE), exp(-0.01)
    task = Task(there, "own", gamma=gamma)
    policy = train(task, "cohort-ppo", seed=1, timesteps=200_000).policy
    found, exact = evaluate(enumerated(there), policy), best(gamma, **BARE)
    assert abs(found.strike_time - exact.uniform.strike_time) < 3.5
    untrained = evaluate(enumerated(there), random_policy(enumerated(there)))
    assert found.disabled > 0.93 * exact.uniform.disabled > 3 * untrained.disabled


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"cue": 0.3}, r"turn\.cue: got 0\.3; allowed: 0\.5 to 1\.0\. Write cue: 0\.5"),
        ({"cue": 1.2}, r"turn\.cue: got 1\.2; allowed: 0\.5 to 1\.0\. Write cue: 1\.0"),
        ({"tests": -0.1}, r"turn\.tests: got -0\.1; allowed: 0\.0 to 1\.0\. Write tests: 0\.0"),
        ({"locks": 17}, r"turn\.locks: got 17; allowed: 1 to 16\. Write locks: 16"),
        ({"locks": 2.5}, r"turn\.locks: got 2\.5; allowed: an integer"),
        ({"common": 2.0}, r"turn\.common: got 2\.0; allowed: 0\.0 to 1\.0\. Write common: 1\.0"),
        ({"growth": 0.0}, r"turn\.growth: got 0\.0; allowed: 0\.001 to 10\.0\. Write growth"),
        ({"rivals": -1}, r"turn\.rivals: got -1; allowed: 0 to 16\. Write rivals: 0"),
        ({"term": 1}, r"turn\.term: got 1; allowed: 2 to 200\. Write term: 2"),
        ({"keys": 3}, r"turn parameter: got 'keys'; allowed: openness, term"),
    ],
)
def test_bad_input_is_told_with_the_line_to_write(given, told):
    with pytest.raises(InvalidInput, match=told):
        world(**given)
