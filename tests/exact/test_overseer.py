"""Exact overseers: the advantages they pay, the price they put on acquisition, what they judge."""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pytest
from graphs import corridor, deterministic_policies, drawn, one_at_a_time
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from worlds import Ladder, random_actions

import powerseek
from powerseek.envs.rewards.oversight import Judged
from powerseek.envs.rewards.spec import Oversight, make_reward
from powerseek.envs.task import Task, VecTask
from powerseek.errors import InvalidInput
from powerseek.exact import enumerate_world, enumerated, evaluate, need, optimum
from powerseek.exact.objectives import objective_of
from powerseek.exact.overseer import ExactOverseer, exact_overseer, records_of, with_overseer
from powerseek.exact.solvers.finite import occupancies

LADDER = Ladder(rungs=2, slip=0.4, hazard=0.1, max_steps=6)
WORLDS = {
    "ladder": LADDER,
    "homestead, closed": powerseek.make_world("homestead", openness=0),
    "homestead, open": powerseek.make_world("homestead", openness=1),
    "off-switch": powerseek.make_world("off-switch"),
    "endgame": powerseek.make_world("endgame"),
}
GRAPHS = {
    "one at a time": one_at_a_time(max_steps=8),
    "corridor": corridor(length=4, energy=2, max_charges=2),
    **{f"drawn {seed}": drawn(seed, steps=4) for seed in range(6)},
}


PRICE = 0.05


def overseer(mdp, lookahead=None, aim="need", share=1.0, price=PRICE, horizon=None):
    steps = mdp.horizon(horizon)
    price = price if aim == "need" else 0.0
    return exact_overseer(mdp, Oversight(lookahead or steps, aim, share, price), steps)


def plain_advantage(mdp, score, final, steps):
    """[P] Q - max Q by plain recursion over what is to come: a second method."""

    def value(state, left):
        if mdp.terminal[state] or not left:
            return final[state]
        return max(quality(pair, left) for pair in pairs(state))

    def pairs(state):
        return range(mdp.pair_start[state], mdp.pair_start[state + 1])

    def quality(pair, left):
        edges = range(mdp.edge_start[pair], mdp.edge_start[pair + 1])
        ahead = sum(mdp.edge_probability[e] * value(mdp.edge_next[e], left - 1) for e in edges)
        return score[pair] + ahead

    out = np.zeros(mdp.n_pairs)
    for state in np.flatnonzero(~mdp.terminal):
        found = [quality(pair, steps) for pair in pairs(state)]
        out[pairs(state)] = np.array(found) - max(found)
    return out


# --- advantages ----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("aim", ["need", "success", "progress"])
@pytest.mark.parametrize("lookahead", [1, 2, 4])
def test_payments_equal_a_plain_recursion(seed, aim, lookahead):
    mdp = drawn(seed, steps=4)
    found = overseer(mdp, lookahead, aim)
    score = -PRICE * mdp.flow("resource") if aim == "need" else np.zeros(mdp.n_pairs)
    final = mdp.final("progress" if aim == "progress" else "success")
    table = found.table()
    assert table.shape == (4, mdp.n_pairs)
    for t in range(4):
        expected = plain_advantage(mdp, score, final, min(lookahead, 4 - t))
        assert table[t] == pytest.approx(expected, abs=1e-12)


@settings(max_examples=30)
@given(
    seed=st.integers(0, 10**6),
    lookahead=st.integers(1, 5),
    share=st.floats(0, 1),
    aim=st.sampled_from(["need", "success", "progress"]),
)
def test_no_payment_is_above_0_and_some_action_is_free(seed, lookahead, share, aim):
    mdp = drawn(seed, steps=5)
    table = overseer(mdp, lookahead, aim, share).table()
    assert (table <= 0).all()
    best = np.maximum.reduceat(table, mdp.pair_start[:-1][~mdp.terminal], axis=1)
    assert (best == 0).all()


def test_the_sum_of_advantages_is_what_a_policy_falls_short_of_the_aim():
    # Kakade and Langford 2002, the performance difference lemma, undiscounted.
    mdp = drawn(3, steps=5)
    judge = overseer(mdp)
    table = judge.table()
    weights = np.random.default_rng(0).random((5, mdp.n_pairs))
    for t in range(5):
        total = np.add.reduceat(weights[t], mdp.pair_start[:-1][~mdp.terminal])
        weights[t] /= np.repeat(total, np.diff(mdp.pair_start)[~mdp.terminal])
    found = evaluate(mdp, weights)
    standing, paid = mdp.initial.copy(), 0.0
    for t in range(5):
        taken = standing[mdp.pair_state] * weights[t]
        paid += taken @ table[t]
        standing = np.zeros(mdp.n_states)
        flow = np.repeat(taken, np.diff(mdp.edge_start)) * mdp.edge_probability
        np.add.at(standing, mdp.edge_next, flow)
    best = optimum(mdp, {"priced": PRICE, "of": "terminal"}).value
    assert paid == pytest.approx(found.success - PRICE * found.acquisition - best, abs=1e-12)


# --- optima of the arms ------------------------------------------------------------------

AT = {"aim": "need", "price": PRICE}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("price", [0.01, 0.3])
def test_success_is_bought_at_the_price_by_brute_force(seed, price):
    mdp = drawn(seed, states=2, actions=3, steps=3)
    outcomes = [evaluate(mdp, weights) for weights in deterministic_policies(mdp)]

    def best(price):
        j = [o.success - price * o.acquisition for o in outcomes]
        kept = [o for o, value in zip(outcomes, j, strict=True) if value > max(j) - 1e-12]
        return max(j), min(o.success for o in kept), max(o.acquisition for o in kept)

    need = {"aim": "need", "price": price}
    for spec, felt in (
        ({"approval": "cap", **need}, price),
        ({"priced": price, "of": "terminal"}, price),
        ({"priced": price, "of": {"coverage": 0.5, **need}}, price),
        ({"priced": price, "of": {"coverage": 1.0, **need}}, price),
        # Success is judged, and paid besides: it weighs twice.
        ({"coverage": 1.0, **need}, price / 2),
    ):
        found = optimum(mdp, spec)
        assert found.low.success == pytest.approx(best(felt)[1], abs=1e-9)
        assert found.high.acquisition == pytest.approx(best(felt)[2], abs=1e-9)
    paid = optimum(mdp, {"priced": price, "of": "terminal"})
    assert paid.value == pytest.approx(best(price)[0], abs=1e-12)


@pytest.mark.parametrize("gamma", [1.0, 0.8])
@pytest.mark.parametrize("aim", ["success", "need"])
@pytest.mark.parametrize("name", [*WORLDS, *GRAPHS])
def test_looking_to_the_cap_has_the_optimum_of_the_aim_at_any_discount(name, aim, gamma):
    mdp = GRAPHS[name] if name in GRAPHS else enumerated(WORLDS[name])
    if aim == "need" and "resource" not in mdp.roles:
        with pytest.raises(InvalidInput, match=r"reward: got 'approval cap need price 0.05'"):
            optimum(mdp, {"approval": "cap", **AT}, gamma)
        return
    spec = {"approval": "cap", **(AT if aim == "need" else {})}
    found = optimum(mdp, spec, gamma)
    wanted = optimum(mdp, {"priced": PRICE, "of": "terminal"} if aim == "need" else "terminal")
    assert found.value == pytest.approx(0, abs=1e-12)
    for one, other in ((found.low, wanted.low), (found.high, wanted.high)):
        assert one.success == pytest.approx(other.success, abs=1e-8)
        assert one.acquisition == pytest.approx(other.acquisition, abs=1e-5, nan_ok=True)


@pytest.mark.parametrize("name", ["ladder", "homestead, closed", *GRAPHS])
def test_judging_every_step_for_success_changes_no_optimum_at_gamma_1(name):
    mdp = GRAPHS[name] if name in GRAPHS else enumerated(WORLDS[name])
    found, plain = optimum(mdp, {"coverage": 1.0}), optimum(mdp, "terminal")
    assert found.value == pytest.approx(plain.value, abs=1e-12)
    for one, other in ((found.low, plain.low), (found.high, plain.high)):
        assert one.as_array() == pytest.approx(other.as_array(), abs=1e-8, nan_ok=True)


@pytest.mark.parametrize("gamma", [1.0, 0.8])
@pytest.mark.parametrize("name", ["ladder", "off-switch", "drawn 0", "drawn 1"])
def test_no_coverage_is_terminal(name, gamma):
    mdp = GRAPHS[name] if name in GRAPHS else enumerated(WORLDS[name])
    none, terminal = optimum(mdp, {"coverage": 0.0}, gamma), optimum(mdp, "terminal", gamma)
    assert none.value == terminal.value
    assert np.array_equal(none.policy.bits, terminal.policy.bits)
    for one, other in ((none.low, terminal.low), (none.high, terminal.high)):
        assert np.array_equal(one.as_array(), other.as_array(), equal_nan=True)


@pytest.mark.parametrize("name", ["ladder", "endgame", "homestead, closed"])
def test_more_coverage_at_a_price_never_lets_an_optimum_acquire_more(name):
    """At gamma 1 the judge adds a shortfall of J, the more of it the more is judged."""
    mdp = enumerated(WORLDS[name])
    found = [optimum(mdp, {"coverage": share, **AT}) for share in (0.0, 0.3, 0.7, 0.9, 1.0)]
    most = np.array([one.high.acquisition for one in found])
    assert (np.diff(most) <= 1e-9).all()
    assert most[0] > most[-1] + 1e-3


def test_a_short_look_ahead_sees_less():
    mdp = enumerated(WORLDS["homestead, closed"])
    short, long = (optimum(mdp, {"approval": h}).uniform.success for h in (2, "cap"))
    assert short < long - 0.1


def test_an_arm_s_own_overseer_is_asked():
    mdp = drawn(1, steps=4)

    class Fond:
        """Wants action 0 taken, the more the later it is."""

        def judge(self, records, actions, clock):
            assert (records["clock"] == clock).all()
            return np.where(actions == 0, 0.0, -1.0 - clock)

    arm = make_reward({"approval": 2}, max_steps=4, overseer=Fond())
    found = optimum(mdp, arm)
    assert found.value == 0
    alive = ~mdp.terminal
    assert (found.policy.bits[0, alive & (mdp.initial > 0)] == 1).all()


def test_a_power_weight_stands_beside_judgement():
    mdp = drawn(0, steps=4)
    for weight in (0.5, 2.0):
        found = optimum(mdp, {"approval": "cap"}, power_weight=weight)
        assert found.value > 0
        assert found.uniform.success <= need(mdp).max_success + 1e-9


# --- what is judged ------------------------------------------------------------------------


def test_judged_sets_are_nested_and_of_the_share_asked_for():
    mdp = enumerated(WORLDS["homestead, closed"])
    shares = (0.0, 0.1, 0.25, 0.5, 0.9, 1.0)
    sets = []
    for share in shares:
        judge = overseer(mdp, share=share)
        sets.append(np.array([judge.judged(t) for t in range(mdp.horizon())]))
    size = sets[0].size
    for smaller, larger in pairwise(sets):
        assert not (smaller & ~larger).any()
    for share, judged in zip(shares, sets, strict=True):
        error = np.sqrt(share * (1 - share) / size)
        assert abs(judged.mean() - share) <= 4 * error
    half = sets[3]
    # As many at every time, and no state or time decides for another.
    assert np.abs(half.mean(axis=1) - 0.5).max() < 5 * np.sqrt(0.25 / half.shape[1])
    assert abs(np.corrcoef(half[0], half[1])[0, 1]) < 5 / np.sqrt(half.shape[1])


def test_unjudged_pairs_pay_nothing_and_judged_ones_in_full():
    mdp = enumerated(LADDER)
    full, half = overseer(mdp).table(), overseer(mdp, share=0.5)
    for t, paid in enumerate(half.table()):
        judged = half.judged(t)[mdp.pair_state]
        assert np.array_equal(paid, np.where(judged, full[t], 0.0))


def test_what_is_judged_does_not_hang_on_the_order_of_enumeration():
    """The same records are judged in the open world and in the closed one."""
    first, second = (enumerate_world(Ladder(rungs=3, hazard=h, max_steps=8)) for h in (0.0, 0.2))
    known = {
        (int(r["height"]), int(r["gold"]), int(r["off"])): i for i, r in enumerate(second.records)
    }
    order = [known[int(r["height"]), int(r["gold"]), int(r["off"])] for r in first.records]
    for t in range(8):
        a, b = overseer(first, share=0.4).judged(t), overseer(second, share=0.4).judged(t)
        assert np.array_equal(a, b[order])


# --- in the simulator ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "spec",
    [
        {"approval": 2},
        {"approval": "cap"},
        {"approval": 3, "aim": "progress"},
        {"coverage": 0.5},
        {"coverage": 1.0, "aim": "need", "price": 0.1},
    ],
    ids=str,
)
def test_simulated_rewards_equal_the_table(spec):
    task = with_overseer(Task(LADDER, spec))
    judge = task.overseer
    table, mdp = judge.table(), judge.mdp
    actions = mdp.pair_action + mdp.pair_state.astype(np.int64) * mdp.n_actions
    place = {int(key): pair for pair, key in enumerate(actions)}
    vec, generator = VecTask(task, 64, 3), np.random.default_rng(1)
    plain = VecTask(Task(LADDER, "terminal"), 64, 3)
    for _ in range(30):
        before, chosen = vec.states.copy(), random_actions(vec, generator)
        vec.step(chosen)
        plain.step(chosen)
        states = judge.advantages.find(before)
        pairs = [place[int(s * mdp.n_actions + a)] for s, a in zip(states, chosen, strict=True)]
        expected = table[before["clock"], pairs]
        if "coverage" in spec:
            expected = expected + plain.rewards
        assert np.array_equal(vec.rewards, expected)


def test_no_coverage_pays_terminal_rewards():
    vec = VecTask(with_overseer(Task(LADDER, {"coverage": 0})), 32, 2)
    plain, generator = VecTask(Task(LADDER, "terminal"), 32, 2), np.random.default_rng(0)
    for _ in range(30):
        actions = random_actions(vec, generator)
        vec.step(actions)
        plain.step(actions)
        assert np.array_equal(vec.rewards, plain.rewards)
        assert np.array_equal(vec.observations, plain.observations)


def test_returns_of_a_random_policy_add_up_to_what_the_exact_layer_says():
    """Mean simulated return under uniform actions against the table's own forward sum."""
    task = with_overseer(Task(LADDER, {"approval": 3}))
    mdp, table = task.overseer.mdp, task.overseer.table()
    standing, paid = mdp.initial.copy(), 0.0
    weights = 1 / np.diff(mdp.pair_start)[mdp.pair_state]
    for t in range(LADDER.max_steps):
        taken = standing[mdp.pair_state] * weights
        paid += taken @ table[t]
        standing = np.zeros(mdp.n_states)
        np.add.at(
            standing,
            mdp.edge_next,
            np.repeat(taken, np.diff(mdp.edge_start)) * mdp.edge_probability,
        )
    vec, generator = VecTask(task, 4000, 0), np.random.default_rng(0)
    totals, running = np.zeros(4000), np.ones(4000, bool)
    for _ in range(LADDER.max_steps):
        vec.step(random_actions(vec, generator))
        totals += np.where(running, vec.rewards, 0.0)
        running &= ~vec.ended
    assert not running.any()
    assert abs(totals.mean() - paid) < 4 * totals.std() / np.sqrt(4000)


def test_a_wasted_step_is_judged_as_standing_still():
    """Unmasked agents may act illegally; then only the clock ticks."""
    task = with_overseer(Task(LADDER, {"approval": "cap"}))
    known = task.overseer.advantages
    laden = (known.mdp.records["gold"] == 2) & (known.mdp.records["height"] == 0)
    full = np.flatnonzero(laden & ~known.mdp.terminal)[0]
    record = known.mdp.records[[full]]
    zero = np.zeros(1, np.int64)
    illegal = task.overseer.judge(record, np.ones(1, np.int64), zero)
    assert not (known.mdp.pair_action[known.mdp.pair_start[full] :][:2] == 1).any()
    # Waiting is standing still too, but for the hazard, which then strikes.
    waiting = task.overseer.judge(record, np.full(1, 2), zero)
    assert waiting[0] < illegal[0] < 0


# --- tasks -----------------------------------------------------------------------------------


def test_overseen_injects_replaces_and_leaves_alone():
    plain = Task(LADDER, "dense")
    assert with_overseer(plain) is plain
    task = with_overseer(Task(LADDER, {"coverage": 0.5}))
    assert isinstance(task.overseer, ExactOverseer)
    assert with_overseer(task) is task
    other = with_overseer(
        Task(LADDER.without_interruption(), {"coverage": 0.5}, overseer=task.overseer)
    )
    assert other.overseer.mdp.world == LADDER.without_interruption()
    wider = with_overseer(Task(LADDER, {"coverage": 0.9}, overseer=task.overseer))
    assert wider.overseer.fraction == 0.9
    assert wider.overseer.advantages is task.overseer.advantages  # computed once

    class Own:
        def judge(self, records, actions, clock):
            return np.zeros(len(clock))

    mine = Task(LADDER, {"coverage": 0.5}, overseer=Own())
    assert with_overseer(mine) is mine


def test_a_power_weighted_task_is_overseen_too():
    task = with_overseer(Task(LADDER, {"approval": 2}, power_weight=0.5))
    assert task.reward_function.overseer is task.overseer
    vec = VecTask(task, 2)
    vec.step([0, 1])


def test_an_overseer_refuses_what_it_cannot_know():
    judge = with_overseer(Task(Ladder(hazard=0.0), {"approval": 2})).overseer
    vec = VecTask(Task(Ladder(hazard=0.5), {"approval": 2}, overseer=judge), 64)
    zero = np.zeros(1, np.int64)
    strange = vec.states[:1].copy()
    strange["height"] = 77
    with pytest.raises(InvalidInput, match=r"overseer.*with_overseer\(task\)"):
        judge.judge(strange, zero, zero)
    with pytest.raises(InvalidInput, match="a clock below 8"):
        judge.judge(vec.states[:1].copy(), zero, zero + 8)
    over = np.flatnonzero(judge.mdp.terminal)[:1]
    with pytest.raises(InvalidInput, match="not over"):
        judge.judge(judge.mdp.records[over], zero, zero)


@pytest.mark.parametrize(
    ("oversight", "words"),
    [
        (Oversight(0), "lookahead: got 0; allowed: 1 to the time limit"),
        (Oversight(9), r"lookahead: got 9; allowed: 1 to the time limit \(4 steps\)"),
        (Oversight(2, "power"), "aim: got 'power'"),
    ],
)
def test_bad_oversight_is_named(oversight, words):
    with pytest.raises(InvalidInput, match=words):
        exact_overseer(drawn(0, steps=4), oversight, 4)


def test_a_table_too_large_is_refused_before_it_is_made(monkeypatch):
    from powerseek.exact import overseer as module

    monkeypatch.setattr(module, "MAX_BYTES", 100)
    with pytest.raises(InvalidInput, match="shorter look-ahead"):
        exact_overseer(drawn(99, steps=4), Oversight(4), 4)


def test_states_merged_by_symmetry_are_refused():
    merged = replace(drawn(0, steps=4), symmetric=True)
    with pytest.raises(InvalidInput, match="symmetry"):
        exact_overseer(merged, Oversight(2), 4)


def test_an_aim_without_its_fact_is_refused():
    mdp = one_at_a_time(max_steps=3)
    with pytest.raises(InvalidInput, match=r"aim: got 'progress'"):
        objective_of(mdp, "progress", 3)
    with pytest.raises(InvalidInput, match=r"aim: got 'meant'.*no fact 'own'"):
        objective_of(mdp, "meant", 3)
    with pytest.raises(InvalidInput, match="meant"):
        Task(WORLDS["off-switch"], {"approval": 1, "aim": "meant"})


def test_a_graph_typed_in_is_judged_by_state_number():
    mdp = drawn(0, steps=4)
    judge = overseer(mdp)
    records = records_of(mdp)
    assert np.array_equal(judge.advantages.find(records), np.arange(mdp.n_states))
    records["state"] = 99
    assert (judge.advantages.find(records) == -1).all()


def test_an_arm_without_exact_overseer_needs_one_of_your_own():
    @dataclass(frozen=True)
    class Learnt(Judged):
        requires = ()

    with pytest.raises(InvalidInput, match="exact overseer"):
        optimum(drawn(0), Learnt())


# --- noise ---------------------------------------------------------------------------------


def noisy(mdp, noise, lookahead=None, aim="success"):
    steps = mdp.horizon()
    return exact_overseer(mdp, Oversight(lookahead or steps, aim, noise=noise), steps)


@pytest.mark.parametrize("name", GRAPHS)
def test_no_noise_is_the_overseer_of_before_bit_for_bit(name):
    mdp = GRAPHS[name]
    plain = exact_overseer(mdp, Oversight(mdp.horizon()), mdp.horizon())
    assert noisy(mdp, 0.0).table().tobytes() == plain.table().tobytes()


def test_the_deviation_is_that_of_all_choices_at_all_times():
    mdp = enumerated(LADDER)
    for lookahead in (1, 3, 6):
        found = noisy(mdp, 0.0, lookahead)
        legal = np.diff(mdp.pair_start)[mdp.pair_state]
        assert found.advantages.deviation == pytest.approx(found.table()[:, legal > 1].std())
        assert found.advantages.deviation > 0


@pytest.mark.parametrize("lookahead", [2, pytest.param(6, marks=pytest.mark.slow)])
def test_noise_is_normal_of_the_size_asked_for_and_the_same_at_every_size(lookahead):
    mdp = enumerated(powerseek.make_world("homestead", openness=1))
    plain, half, twice = (noisy(mdp, noise, lookahead) for noise in (0.0, 0.5, 2.0))
    added = (half.table() - plain.table()) / (0.5 * plain.advantages.deviation)
    assert stats.kstest(added[:4].ravel()[::7], "norm").pvalue > 1e-3
    assert added.mean() == pytest.approx(0, abs=0.01)
    assert added.std() == pytest.approx(1, abs=0.01)
    again = (twice.table() - plain.table()) / (2.0 * plain.advantages.deviation)
    assert again == pytest.approx(added, abs=1e-9)
    # One number for each time, action and state: no two alike, and none tells of another.
    assert len(np.unique(np.round(added, 9))) > 0.999 * added.size
    assert abs(np.corrcoef(added[0], added[1])[0, 1]) < 0.03
    starts = mdp.pair_start[:-1][np.diff(mdp.pair_start) > 1]
    assert abs(np.corrcoef(added[0][starts], added[0][starts + 1])[0, 1]) < 0.05


def test_every_episode_is_judged_alike():
    task = with_overseer(Task(LADDER, {"approval": 3, "noise": 1.0}))
    found, mdp = task.overseer, enumerated(LADDER)
    records, actions = records_of(mdp)[mdp.pair_state], mdp.pair_action.astype(np.int64)
    for clock in (0, 4):
        once, again = (found.judge(records, actions, np.full(len(actions), clock)) for _ in "ab")
        assert (once == again).all()
        assert (once == found.table()[clock]).all()
    assert with_overseer(task) is task
    plain = with_overseer(replace(task, reward={"approval": 3}))
    assert plain.overseer.noise == 0
    assert (plain.overseer.table() <= 0).all()
    legal = mdp.pair_action[mdp.pair_state == mdp.pair_state[0]]
    for action in np.setdiff1d(np.arange(mdp.n_actions), legal):
        asked = records[:1], np.array([action]), np.array([0])
        # A step that is wasted nobody approves by mistake.
        assert found.judge(*asked) == plain.overseer.judge(*asked)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("noise", [0.5, 20.0])
def test_the_optimum_under_a_noisy_approver_is_exact(seed, noise):
    """By brute force: of all deterministic policies none is approved of more."""
    mdp = drawn(seed, states=2, actions=3, steps=3)
    spec = {"approval": 2, "noise": noise}
    paid = noisy(mdp, noise, 2).table()
    best = max(
        sum(chance @ paid[t] for t, chance in occupancies(mdp, lambda t, w=w: w[t], mdp.max_steps))
        for w in deterministic_policies(mdp)
    )
    assert optimum(mdp, spec).value == pytest.approx(best, abs=1e-12)


def test_an_approver_who_misjudges_much_is_succeeded_for_less():
    mdp = enumerated(powerseek.make_world("homestead", openness=1))
    success = [
        optimum(mdp, {"approval": "cap", "noise": noise}).uniform.success for noise in (0, 1, 10)
    ]
    assert success[0] > success[1] >= success[2]
