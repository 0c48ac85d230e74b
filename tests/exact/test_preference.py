"""Reward models learnt from comparisons: what they learn, what they pay, and for whom."""

import math
from dataclasses import replace

import numpy as np
import pytest
from graphs import drawn
from scipy.optimize import minimize
from scipy.stats import binomtest
from worlds import Ladder

import powerseek
from powerseek.agents import rollout, train, train_jobs, without_interruption
from powerseek.agents.job import Job
from powerseek.agents.scripted import RandomPolicy
from powerseek.envs.engine.expand import describe
from powerseek.envs.rewards.spec import Comparisons, Oversight
from powerseek.envs.task import Task, VecTask
from powerseek.errors import InvalidInput
from powerseek.exact import enumerate_world, evaluate, optimum
from powerseek.exact.overseer import exact_overseer, learnt_overseer, with_overseer
from powerseek.exact.pay import judgements
from powerseek.exact.preference import (
    FRESH,
    PRIOR,
    LearntOverseer,
    agreement,
    compared,
    fitted,
    labels,
)
from powerseek.exact.solvers.finite import occupancies

LADDER = Ladder(rungs=2, slip=0.4, hazard=0.1, max_steps=6)
MDP = enumerate_world(LADDER)
STAR = powerseek.make_world("star")


def model(n=40, seed=0, world=LADDER, **options):
    found = with_overseer(Task(world, {"preference": n, "length": 3, **options}), seed=seed)
    return found.overseer


def score_of(mdp, aim="success", price=0.0):
    """The judge, from his table: a second way to what `judge` pays."""
    horizon = mdp.horizon()
    table = exact_overseer(mdp, Oversight(horizon, aim, price=price), horizon).table()
    return lambda pairs, clocks: table[clocks, pairs]


def uniform():
    """t -> [P] probabilities of the policy uniform over legal actions."""
    legal = 1.0 / np.diff(MDP.pair_start)[MDP.pair_state]
    return lambda t: legal


# --- the model of Bradley and Terry ---------------------------------------------------------


def test_three_of_four_wins_are_log_odds_of_ln_3():
    once = np.ones((4, 1))
    first = np.array([True, True, False, True])
    assert fitted(once, first, prior=0.0) == pytest.approx([math.log(3)], abs=1e-7)
    # With the prior, w solves 4 sigmoid(w) - 3 + PRIOR w = 0.
    (shrunken,) = fitted(once, first)
    assert 4 / (1 + math.exp(-shrunken)) - 3 + PRIOR * shrunken == pytest.approx(0, abs=1e-7)
    assert 0 < shrunken < math.log(3)


def test_weights_are_those_of_another_optimiser():
    rng = np.random.default_rng(0)
    features, first = rng.normal(size=(60, 5)) * 3, rng.random(60) < 0.7

    def loss(w):
        z = features @ w
        return np.sum(np.log1p(np.exp(-np.where(first, z, -z)))) + PRIOR / 2 * w @ w

    assert fitted(features, first) == pytest.approx(minimize(loss, np.zeros(5)).x, abs=1e-4)


def test_no_labels_leave_the_weights_at_exactly_zero():
    assert np.array_equal(fitted(np.zeros((0, 3)), np.zeros(0, bool)), np.zeros(3))


def test_fewer_labels_than_features_are_solved_for_in_their_span():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(12, 40))
    features[:, 30:] = 0.0  # what nobody showed
    first = rng.random(12) < 0.5
    weights = fitted(features, first)
    z = features @ weights
    gradient = features.T @ (1 / (1 + np.exp(-z)) - first) + PRIOR * weights
    assert np.abs(gradient).max() < 1e-7
    assert not weights[30:].any() or np.abs(weights[30:]).max() < 1e-12


def test_labels_are_sigmoids_of_what_the_judge_scores():
    draws = np.random.default_rng(1).random(4000)
    won = labels(np.full(4000, 0.2), 0.1, draws).sum()
    assert binomtest(int(won), 4000, 1 / (1 + math.exp(-2))).pvalue > 1e-4
    assert labels(np.array([1e-3, -1e-3]), 0.0, np.array([1.0, 0.0])).tolist() == [True, False]
    tied = labels(np.full(4000, 1e-12), 0.0, draws).sum()
    assert binomtest(int(tied), 4000, 0.5).pvalue > 1e-4


def test_accuracy_leaves_out_the_judges_ties_and_halves_the_models():
    judged = np.array([1.0, -1.0, 2.0, 0.0])
    assert agreement(judged, np.array([0.1, 0.1, 0.0, 3.0])) == pytest.approx(0.5)
    assert np.isnan(agreement(np.zeros(2), np.ones(2)))


# --- segments ------------------------------------------------------------------------------


def test_segments_are_pieces_of_random_play_from_steps_drawn_uniformly():
    found = compared(MDP, 6000, 3, 6, [3])
    here, ahead = found.pairs[..., :-1], found.pairs[..., 1:]
    after = ahead >= 0
    assert not (after & (here < 0)).any()  # once over, over
    for pair, following in {*zip(here[after].tolist(), ahead[after].tolist(), strict=True)}:
        edges = slice(MDP.edge_start[pair], MDP.edge_start[pair + 1])
        assert MDP.pair_state[following] in MDP.edge_next[edges]
    # The first steps are met as often as the exact layer expects, state and clock alike.
    expected = np.concatenate([taken for _, taken in occupancies(MDP, uniform(), 6)])
    expected = expected / expected.sum()
    counted = np.bincount(
        (found.clocks * MDP.n_pairs + found.pairs[..., 0]).ravel(), minlength=6 * MDP.n_pairs
    )
    assert counted / counted.sum() == pytest.approx(expected, abs=0.012)


def test_scores_and_features_are_sums_over_the_steps_before_the_end():
    found = compared(MDP, 50, 3, 6, [4])
    score = score_of(MDP)
    shown = describe(LADDER, MDP.records)[2]
    judged, features = found.scores(score), found.features(MDP).reshape(50, 3, 3)
    for i in range(50):
        total, by_action = 0.0, np.zeros((3, 3))
        for side, sign in ((0, 1.0), (1, -1.0)):
            for k, pair in enumerate(found.pairs[side, i]):
                if pair >= 0:
                    total += sign * score(pair, found.clocks[side, i] + k)
                    seen = shown[MDP.pair_state[pair]]
                    by_action[MDP.pair_action[pair]] += sign * np.array([1, *seen])
        assert judged[i] == pytest.approx(total, abs=1e-12)
        assert features[i] == pytest.approx(by_action, abs=1e-12)


def test_a_constant_on_every_step_changes_no_label_between_whole_segments():
    found = compared(MDP, 400, 3, 6, [5])
    whole = (found.pairs >= 0).all(axis=(0, 2))
    weights = np.random.default_rng(0).normal(size=(3, 3))
    more = weights + np.array([0.7, 0, 0])
    features = found.features(MDP)
    change = features @ (more - weights).ravel()
    assert 50 < whole.sum() < 400
    assert change[whole] == pytest.approx(np.zeros(whole.sum()), abs=1e-12)
    assert np.abs(change[~whole]).max() > 0.5


def test_who_asks_for_more_gets_the_same_ones_first():
    few, many = compared(MDP, 30, 3, 6, [7]), compared(MDP, 300, 3, 6, [7])
    assert np.array_equal(few.pairs, many.pairs[:, :30])
    assert np.array_equal(few.draws, many.draws[:30])


# --- what is learnt ------------------------------------------------------------------------


def test_the_same_seed_has_the_same_model_and_another_seed_another():
    one, again = model(seed=3), with_overseer(Task(LADDER, ARM), seed=3).overseer
    assert np.array_equal(one.weights, again.weights)
    # Not only scaled by other fresh comparisons: other labels.
    other = model(seed=4).weights
    assert np.abs(one.weights / one.weights.std() - other / other.std()).max() > 0.1
    assert (one.labels, one.seed) == (40, 3)


ARM = {"preference": 40, "length": 3}


def test_the_model_is_as_loud_as_the_judge():
    for n in (10, 400):
        found, fresh = model(n), compared(MDP, FRESH, 3, 6, [0, 0x66726573])
        said, judged = fresh.features(MDP) @ found.weights.ravel(), fresh.scores(score_of(MDP))
        assert np.mean(said**2) == pytest.approx(np.mean(judged**2))


@pytest.mark.parametrize("aim", ["success", "need"])
def test_accuracy_rises_with_labels(aim):
    options = {"aim": aim} if aim == "success" else {"aim": aim, "price": 0.05}
    found = [np.mean([model(n, seed, **options).accuracy for seed in range(4)]) for n in (2, 500)]
    assert found[0] + 0.05 < found[1]
    assert found[1] > 0.8
    noisy = np.mean([model(30, seed, noise=5.0, **options).accuracy for seed in range(4)])
    assert noisy < found[1] - 0.05


@pytest.mark.parametrize(("world", "length"), [(LADDER, 3), (STAR, 1)], ids=["ladder", "star"])
def test_many_noiseless_labels_lead_to_what_the_judge_wants(world, length):
    task = with_overseer(Task(world, {"preference": 1000, "length": length}), seed=1)
    best = optimum(world, {"approval": "cap"}).uniform.success
    assert optimum(world, task.pay).uniform.success == pytest.approx(best, abs=0.005)


def test_the_aim_of_the_judge_is_what_the_model_learns():
    grid = {aim: {"aim": aim} for aim in ("success", "progress")} | {
        "need": {"aim": "need", "price": 0.3}
    }
    found = {aim: model(500, **options) for aim, options in grid.items()}
    take = LADDER.action_names.index("take")
    gap = {aim: np.mean(one.weights[take, 0] - one.weights[2, 0]) for aim, one in found.items()}
    assert gap["need"] < gap["success"] - 0.05


# --- what is paid ---------------------------------------------------------------------------


def test_it_pays_in_episodes_what_the_exact_layer_reckons_with():
    task = with_overseer(Task(LADDER, ARM), seed=2)
    table = judgements(MDP, task.reward_function, 6)
    assert len(table) == 6
    envs = VecTask(task, 64, 1)
    rng = np.random.default_rng(0)
    for _ in range(12):
        states = envs.states.copy()
        actions = np.array([rng.choice(np.flatnonzero(mask)) for mask in envs.masks])
        envs.step(actions)
        for record, action, paid in zip(states, actions, envs.rewards, strict=True):
            state = int(MDP.find(record[None])[0])
            rows = slice(MDP.pair_start[state], MDP.pair_start[state + 1])
            pair = rows.start + MDP.pair_action[rows].tolist().index(action)
            assert paid == pytest.approx(table[record["clock"]][pair], abs=1e-12)
            seen = np.array([1, record["height"] / 2, record["gold"] / 2], np.float32)
            assert paid == pytest.approx(task.overseer.weights[action] @ seen, abs=1e-6)
    envs.close()


def test_sampled_returns_are_those_of_the_exact_layer():
    task = with_overseer(Task(LADDER, ARM), seed=2)
    table = judgements(MDP, task.reward_function, 6)
    expected = sum(float(taken @ table[t]) for t, taken in occupancies(MDP, uniform(), 6))
    paid = rollout(RandomPolicy(), task, 4000, 1).rewards.sum(axis=1)
    assert paid.mean() == pytest.approx(expected, abs=4 * paid.std() / 4000**0.5)


def test_an_illegal_action_pays_the_least_of_the_legal_ones():
    found = model(200)
    states = MDP.records[~MDP.terminal]
    _, masks, _ = describe(LADDER, states)
    full = states[~masks[:, 1]]
    each = [found.judge(full, np.full(len(full), a), np.zeros(len(full), int)) for a in range(3)]
    assert len(full)
    assert each[1] == pytest.approx(np.minimum(each[0], each[2]))
    with pytest.raises(InvalidInput, match="not over"):
        found.judge(MDP.records[MDP.terminal], np.zeros(MDP.terminal.sum(), int), 0)


def test_no_labels_pay_nothing_and_need_nobody():
    task = with_overseer(Task(LADDER, {"preference": 0}))
    assert task.overseer is None
    assert not rollout(RandomPolicy(), task, 20, 0).rewards.any()
    assert optimum(LADDER, {"preference": 0}).value == 0


# --- one model a seed, the same wherever it goes --------------------------------------------


def test_it_stays_the_same_where_the_task_is_moved():
    task = with_overseer(Task(LADDER, ARM), seed=5)
    assert with_overseer(task, seed=1) is task
    calm = with_overseer(without_interruption(task))
    assert calm.overseer.world == calm.world != LADDER
    assert calm.overseer.weights is task.overseer.weights
    back = with_overseer(replace(calm, world=LADDER))
    assert np.array_equal(back.overseer.weights, task.overseer.weights)
    other = with_overseer(replace(task, reward={**ARM, "preference": 41}), seed=5)
    assert other.overseer.labels == 41
    with pytest.raises(InvalidInput, match="no features or actions but"):
        task.overseer.moved(powerseek.make_world("strip"))


@pytest.mark.parametrize("where", ["priced", "priced and constrained"])
def test_it_judges_what_is_priced_and_constrained(where):
    spec = {"priced": 0.1, "of": ARM}
    if where != "priced":
        spec = {"penalty": 0.1, "horizon": 2, "of": spec}
    world = quiet_ladder()
    task = with_overseer(Task(world, spec), seed=5)
    found = learnt_overseer(task.overseer)
    assert (found.seed, found.labels) == (5, 40)
    assert with_overseer(task) is task
    moved = with_overseer(replace(task, world=world.replace(hazard=0.0)))
    assert learnt_overseer(moved.overseer).weights is found.weights
    assert optimum(world, task.pay).value is not None


class QuietLadder(Ladder):
    id = "test.quiet_ladder"
    noop = "wait"


def quiet_ladder():
    return QuietLadder(rungs=2, slip=0.4, hazard=0.1, max_steps=6)


def test_every_job_is_paid_by_the_model_of_its_own_seed():
    task = Task(LADDER, ARM)
    agents = train_jobs("optimum", [Job(task, seed) for seed in (0, 1)])
    for seed, agent in enumerate(agents):
        paid = with_overseer(task, seed=seed)
        best = optimum(MDP, paid.pay)
        assert agent.spent["labels"] == 40
        assert evaluate(MDP, agent.policy).success == pytest.approx(best.uniform.success)
    assert train(Task(LADDER, "terminal"), "random").spent["labels"] == 0


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (Comparisons(5, length=7), r"length: got 7; .*time limit \(6 steps\)"),
        (Comparisons(5, "need", 0.1), None),
        (Comparisons(5, "power"), "aim: got 'power'"),
    ],
)
def test_what_cannot_be_asked_is_refused(asked, said):
    if said is None:
        assert isinstance(exact_overseer(MDP, replace(asked, length=2), 6), LearntOverseer)
        return
    with pytest.raises(InvalidInput, match=said):
        exact_overseer(MDP, asked, 6)


def test_states_merged_by_symmetry_and_graphs_typed_in_are_refused():
    with pytest.raises(InvalidInput, match="all states"):
        exact_overseer(replace(MDP, symmetric=True), Comparisons(5, length=2), 6)
    with pytest.raises(InvalidInput, match="typed in"):
        exact_overseer(drawn(0, steps=4), Comparisons(5, length=2), 4)
