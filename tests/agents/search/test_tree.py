"""Trees against schedules by hand, exact optima, mates on a small board, and mctx."""

from functools import partial

import numpy as np
import pytest
from searched import Ford, Guess
from worlds import Ladder

from powerseek.agents import rollout, train
from powerseek.agents.search.model import Chance, Rules, pack, recall, recalls
from powerseek.agents.search.policy import SearchPolicy
from powerseek.agents.search.tree import Roots, Search, halving, tree_bytes
from powerseek.envs import describe, expand, initial_branches
from powerseek.envs.task import Task, VecTask, observations
from powerseek.envs.worlds.endgame.world import DRAW, MATED
from powerseek.exact import enumerated, optimum, with_overseer
from powerseek.registry import make_world
from powerseek.types import Situation

SCALE = 0.1
REWARDS = [
    "dense",
    "terminal",
    {"every": 3},
    {"every": "cap"},
    {"thinned": 0.5},
    {"coverage": 0.5},
    {"approval": 2},
    {"priced": 0.02, "of": {"every": 3}},
]


def ladder(reward="dense", gamma=1.0, **params):
    task = Task(Ladder(**{"hazard": 0.1, "max_steps": 6, **params}), reward, gamma, windows=(3,))
    return with_overseer(task)


def acted(task, n=64, steps=3, seed=3):
    """Environments after some legal steps at random."""
    envs, rng = VecTask(task, n, seed), np.random.default_rng(seed)
    for _ in range(steps):
        envs.step(drawn(envs, rng))
    return envs


def drawn(envs, rng):
    return (rng.random(envs.masks.shape) * envs.masks).argmax(axis=1)


def roots_of(envs, rows=slice(None)):
    return Roots(pack(envs.standing)[rows], envs.masks[rows], envs.observations[rows])


def opinion(actions):
    """A network of no layers: logits and values that look at the observation alone."""

    def evaluate(seen):
        # Row by row: BLAS adds in another order where there are more of them.
        mixed = np.sin(7.0 * (seen * np.arange(1, 1 + seen.shape[1])).sum(axis=1))
        logits = np.cos(np.outer(mixed, np.arange(1, 1 + actions))).astype(np.float32)
        return 2 * logits, mixed[:, None].astype(np.float32)

    return evaluate


def searched(task, roots, simulations, considered=0, evaluate=None, noise=None, seeds=None):
    n = len(roots.masks)
    model = Rules(task, n)
    sizes = task.observation_size, task.n_actions
    search = Search(n, model.width, *sizes, simulations, considered, SCALE)
    seeds = np.arange(n, dtype=np.uint64) if seeds is None else seeds
    return search(model, roots, seeds, task.gamma, evaluate, noise)


# --- the schedule -------------------------------------------------------------------------------

SCHEDULES = {
    (1, 4): [0, 1, 2, 3],
    (2, 6): [0, 0, 1, 1, 2, 2],
    # Two phases of 8: four actions twice each, then two of them four times each.
    (4, 16): [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5],
    # Three phases: eight once, four once, and what is left for two.
    (8, 16): [0] * 8 + [1] * 4 + [2, 2, 3, 3],
    # 200 in four phases: 16 x 3, 8 x 6, 4 x 12, 2 x 25, and 2 x 3 that are left over.
    (16, 200): [
        *(v for v in range(3) for _ in range(16)),
        *(v for v in range(3, 9) for _ in range(8)),
        *(v for v in range(9, 21) for _ in range(4)),
        *(v for v in range(21, 49) for _ in range(2)),
    ][:200],
    (5, 3): [0, 0, 0],
}


@pytest.mark.parametrize(("considered", "simulations"), SCHEDULES)
def test_simulations_are_halved_as_by_hand(considered, simulations):
    assert halving(considered, simulations).tolist() == SCHEDULES[considered, simulations]


def test_visits_of_the_root_follow_the_schedule():
    task = Task(make_world("endgame", openness=0), "terminal")
    envs = acted(task, 32, 1)
    found = searched(task, roots_of(envs), 16, 4, opinion(task.n_actions))
    enough = envs.masks.sum(axis=1) >= 4
    assert enough.sum() > 20
    for visits in found.visits[enough]:
        assert sorted(visits[visits > 0].tolist()) == [2, 2, 6, 6]
    assert (found.visits[~envs.masks] == 0).all()
    assert (found.visits.sum(axis=1) == 16).all()


# --- mctx as a referee ----------------------------------------------------------------------------


def test_schedules_are_those_of_mctx():
    mctx = pytest.importorskip("mctx._src.seq_halving", reason="make bench installs it")
    for considered in range(1, 20):
        for simulations in (1, 2, 7, 16, 33, 200):
            theirs = mctx.get_sequence_of_considered_visits(considered, simulations)
            assert tuple(halving(considered, simulations)) == theirs


def test_trees_are_those_of_mctx_where_there_is_no_chance():
    """Visits and returns of every root, its improved policy and the action that is taken."""
    mctx = pytest.importorskip("mctx", reason="make bench installs it")
    import jax
    import jax.numpy as jnp
    from jax.experimental import io_callback

    task = Task(Ford(wade=1.0, leap=1.0), "dense", 0.9)
    envs, n, actions, evaluate = VecTask(task, 8, 1), 8, task.n_actions, opinion(task.n_actions)
    envs.step(np.arange(8) % 2 + 1)
    ours = searched(task, roots_of(envs), 24, 2, evaluate)
    model, known = Rules(task, n), list(zip(pack(envs.standing), envs.masks, strict=True))

    def step(taken, states):
        """Our rules behind mctx, which takes illegal actions too, and steps on after the end."""
        handles, masks = (np.stack(part) for part in zip(*(known[i] for i in states), strict=True))
        taken = np.where(masks[np.arange(n), taken], taken, masks.argmax(axis=1))
        nothing = np.zeros(n, np.int64)
        out = model.step(handles, taken, Chance(nothing.astype(np.uint64), nothing, nothing))
        known.extend(zip(out.handles.copy(), out.masks.copy(), strict=True))
        logits, values = evaluate(out.observations)
        return (
            out.rewards.astype(np.float32),
            np.where(out.ended, 0.0, 0.9).astype(np.float32),
            np.where(out.masks, logits, -1e9).astype(np.float32),
            values[:, 0],
            np.arange(len(known) - n, len(known), dtype=np.int32),
        )

    def recurrent(params, key, action, state):
        one = jax.ShapeDtypeStruct((n,), jnp.float32)
        numbers = jax.ShapeDtypeStruct((n,), jnp.int32)
        shapes = one, one, jax.ShapeDtypeStruct((n, actions), jnp.float32), one, numbers
        reward, discount, logits, value, following = io_callback(
            lambda a, s: step(np.asarray(a).astype(np.int64), np.asarray(s)),
            shapes,
            action,
            state,
            ordered=True,
        )
        found = mctx.RecurrentFnOutput(
            reward=reward, discount=discount, prior_logits=logits, value=value
        )
        return found, following

    logits, values = evaluate(envs.observations)
    theirs = mctx.gumbel_muzero_policy(
        params=(),
        rng_key=jax.random.PRNGKey(0),
        root=mctx.RootFnOutput(
            prior_logits=jnp.asarray(np.where(envs.masks, logits, -1e9), jnp.float32),
            value=jnp.asarray(values[:, 0]),
            embedding=jnp.arange(n, dtype=jnp.int32),
        ),
        recurrent_fn=recurrent,
        num_simulations=24,
        invalid_actions=jnp.asarray(~envs.masks),
        max_num_considered_actions=2,
        qtransform=partial(
            mctx.qtransform_completed_by_mix_value, value_scale=SCALE, rescale_values=False
        ),
        gumbel_scale=0.0,
    )
    told = theirs.search_tree.summary()
    assert np.array_equal(ours.visits, told.visit_counts)
    assert np.allclose(np.nan_to_num(ours.returns), told.qvalues * (ours.visits > 0), atol=1e-5)
    assert np.allclose(ours.values, told.value, atol=1e-5)
    assert np.allclose(ours.improved, theirs.action_weights, atol=1e-5)
    assert np.array_equal(ours.actions, theirs.action)


# --- returns --------------------------------------------------------------------------------------


def sure(seen):
    """Prefers to wade and expects 1 of every state."""
    return np.tile(np.float32([0, 50, 0]), (len(seen), 1)), np.ones((len(seen), 1), np.float32)


def test_returns_are_discounted_and_end_with_the_episode_as_by_hand():
    """Wading pays 1/6 a step; two simulations wade once and twice, then expect 1."""
    task = Task(Ford(wade=1.0), "dense", 0.5)
    (returns,) = searched(task, roots_of(VecTask(task, 1)), 2, 1, sure).returns
    assert returns[1] == pytest.approx(1 / 6 + 0.5 * (1 + (1 / 6 + 0.5 * 1)) / 2)
    last = Task(Ford(wade=1.0, max_steps=1), "dense", 0.5)
    found = searched(last, roots_of(VecTask(last, 1)), 2, 1, sure)
    assert found.returns[0, 1] == pytest.approx(1 / 6)
    assert found.values[0] == pytest.approx((1 + 2 / 6) / 3)


# --- what is improved -------------------------------------------------------------------------


@pytest.mark.parametrize("simulations", [2, 8, 32])
def test_the_improved_policy_is_no_worse_than_the_prior_by_what_was_found(simulations):
    """sum pi' q >= sum pi q, with the mixed value for actions that were not visited."""
    task = ladder(max_steps=8)
    envs, evaluate = acted(task, 128, 2), opinion(3)
    noise = np.random.default_rng(0).gumbel(size=envs.masks.shape)
    found = searched(task, roots_of(envs), simulations, 3, evaluate, noise)
    logits, values = evaluate(envs.observations)
    prior = np.where(envs.masks, np.exp(logits), 0.0)
    prior /= prior.sum(axis=1, keepdims=True)
    met, q = found.visits > 0, np.nan_to_num(found.returns)
    known = (prior * q).sum(axis=1) / (prior * met).sum(axis=1)
    mixed = (values[:, 0] + simulations * known) / (1 + simulations)
    q = np.where(met, q, mixed[:, None])
    sigma = SCALE * (50 + found.visits.max(axis=1, keepdims=True))
    wanted = prior * np.exp(sigma * (q - q.max(axis=1, keepdims=True)))
    wanted /= wanted.sum(axis=1, keepdims=True)
    assert np.abs(found.improved - wanted).max() < 1e-6
    gain = (found.improved * q).sum(axis=1) - (prior * q).sum(axis=1)
    assert gain.min() > -1e-6  # logits are of single precision
    assert gain.max() > 0.01
    best = np.where(found.visits == found.visits.max(axis=1, keepdims=True), 0, -np.inf)
    with np.errstate(divide="ignore"):
        score = best + noise + np.log(wanted)
    assert np.array_equal(found.actions, score.argmax(axis=1))


# --- the model ------------------------------------------------------------------------------------


@pytest.mark.parametrize("reward", REWARDS, ids=str)
def test_steps_in_a_tree_are_those_of_the_task_by_the_same_chance(reward):
    """Rewards, ends, states, masks and observations, to the last bit, from every state met."""
    task = ladder(reward)
    envs, model, rng = VecTask(task, 32, 3), Rules(task, 32), np.random.default_rng(0)
    paid = ended = 0
    for _ in range(14):
        actions, world = drawn(envs, rng), envs.world
        chance = Chance(world.seeds.copy(), world.numbers.copy(), world.episodes.copy())
        out = model.step(pack(envs.standing), actions, chance)
        envs.step(actions)
        assert np.array_equal(out.rewards, envs.rewards)
        assert np.array_equal(out.ended, envs.ended)
        on = ~envs.ended
        assert np.array_equal(out.handles[on], pack(envs.standing)[on])
        assert np.array_equal(out.masks[on], envs.masks[on])
        assert np.array_equal(out.observations[on], envs.observations[on])
        paid, ended = paid + (envs.rewards != 0).sum(), ended + envs.ended.sum()
    assert paid > 10
    assert ended > 10


@pytest.mark.parametrize("reward", REWARDS, ids=str)
def test_a_policy_knows_of_the_past_what_the_task_does(reward):
    task = ladder(reward)
    envs, rng = VecTask(task, 32, 3), np.random.default_rng(0)
    for _ in range(14):
        told = recall(task, envs.situation)
        known = pack(envs.standing)
        books = slice(envs.states.dtype.itemsize // 8 + len(task.world.fact_names), None)
        whole = np.ones(known.shape[1], bool)
        whole[books] = False
        whole[books.start] = True  # the clock
        assert np.array_equal(told[:, whole], known[:, whole])
        as_numbers = told[:, ~whole].view(np.float64), known[:, ~whole].view(np.float64)
        assert np.allclose(*as_numbers, atol=1e-6)
        envs.step(drawn(envs, rng))


def test_rewards_that_remember_what_nobody_sees_are_known():
    corrected = {"every": 3, "corrected": True}
    with pytest.warns(UserWarning, match="pays later"):
        discounted = ladder({"every": 3}, 0.9)
    assert recalls(discounted)
    assert not recalls(ladder(corrected, 0.9))
    assert recalls(ladder({"every": 1, "corrected": True}, 0.9))
    own = Task(make_world("off-switch"), {"every": 3, "of": "own"})
    assert not recalls(own)


def test_a_tree_is_what_it_is_alone():
    task, evaluate = ladder(), opinion(3)
    envs = acted(task, 40, 2)
    noise = np.random.default_rng(0).gumbel(size=envs.masks.shape)
    seeds = np.arange(40, dtype=np.uint64) ** 3
    every = searched(task, roots_of(envs), 24, 3, evaluate, noise, seeds)
    for rows in (slice(7, 8), slice(20, 31)):
        some = searched(task, roots_of(envs, rows), 24, 3, evaluate, noise[rows], seeds[rows])
        for together, alone in zip(every[:5], some[:5], strict=True):
            assert np.array_equal(together[rows], alone, equal_nan=True)
    assert len({row.tobytes() for row in every.returns}) > 20


def test_trees_take_the_bytes_that_they_are_said_to():
    task = ladder()
    model, n = Rules(task, 8), 8
    trees = Search(n, model.width, task.observation_size, 3, 9, 2, SCALE).trees
    per_tree = sum(array.nbytes for array in trees) / n
    assert abs(per_tree - tree_bytes(9, model.width, 3)) <= 4 * 8


# --- chance ---------------------------------------------------------------------------------------


def test_a_search_moves_no_stream_of_the_world():
    """Environments that are searched from, and others that are not, do the same to the last bit."""
    task = ladder({"thinned": 0.5})
    searching, plain = VecTask(task, 16, 3), VecTask(task, 16, 3)
    rng, policy = np.random.default_rng(0), SearchPolicy(task, 8)
    for _ in range(12):
        searched(task, roots_of(searching), 8)
        policy.probabilities(searching.situation)
        actions = drawn(plain, rng)
        searching.step(actions)
        plain.step(actions)
        kept = plain.snapshot()
        for name, array in searching.snapshot().items():
            assert np.array_equal(array, kept[name]), name


def test_no_search_knows_how_a_coin_will_fall():
    done = rollout(SearchPolicy(Task(Guess()), 32), Task(Guess()), 1500, 5, greedy=True)
    right = done.last("progress").mean()
    assert abs(right - 0.5) < 4 * 0.5 / np.sqrt(3 * 1500)


# --- exact optima -------------------------------------------------------------------------------


def test_values_of_the_root_come_to_the_exact_optimum():
    """Of a world with chance, beyond the horizon of the first trees."""
    task = Task(Ford(max_steps=4), "terminal", 0.9)
    exact = optimum(enumerated(task.world), "terminal", 0.9).value
    roots = roots_of(VecTask(task, 32, 1))
    apart = []
    for simulations in (16, 256, 4096):
        found = searched(task, roots, simulations)
        best = found.visits.argmax(axis=1)
        apart.append(abs(found.returns[np.arange(32), best].mean() - exact))
    assert apart[-1] < 0.05, apart
    assert apart[0] > 1.5 * apart[1] > 3 * apart[2]


def test_more_simulations_never_return_less_and_none_more_than_the_optimum():
    """1,000 roots against a Black that draws its replies; two standard errors."""
    world = make_world("endgame", openness=0, start=0.0, black="random", max_steps=4)
    task, means, errors = Task(world, "terminal"), [], []
    exact = optimum(enumerated(world), "terminal").value
    for simulations in (1, 4, 16, 64):
        policy = train(task, {"puct": {"simulations": simulations}}).policy
        paid = rollout(policy, task, 1000, 9, greedy=True).rewards.sum(axis=1)
        means.append(paid.mean())
        errors.append(paid.std() / np.sqrt(1000))
    for i in range(4):
        assert means[i] <= exact + 2 * errors[i]
    for i in range(3):
        assert means[i + 1] >= means[i] - 2 * np.hypot(errors[i], errors[i + 1])
    assert means[3] > means[0] + 0.5


# --- mates ----------------------------------------------------------------------------------------


def moves_to_mate(world, s):
    """By the world's own tables; 0 mated, 99 drawn."""
    p = world.prepared
    slot = np.where(s["queen"] >= 0, p.first_queen + s["queen"], p.pawn_slot[s["pawn"]])
    slot = np.where((s["pawn"] < 0) & (s["queen"] < 0), 0, slot)
    moves = p.white[s["loose"], slot, s["main"], s["king"], s["black"]].astype(int)
    return np.select([s["outcome"] == MATED, s["outcome"] == DRAW, moves < 1], [0, 99, 99], moves)


def solved(moves, simulations, most=64):
    """Fraction of positions with mate in so many whose search takes a move that keeps it."""
    world = make_world("endgame", openness=0, start=0.0)
    task = Task(world, "terminal")
    records = initial_branches(world)[0]
    records = records[moves_to_mate(world, records) == moves][:most]
    facts, masks, features = describe(world, records)
    progress = facts[:, world.columns("progress").start]
    seen = observations(task, features, progress, 0, np.zeros((len(records), 0)))
    given = SearchPolicy(task, simulations).probabilities(Situation(seen, masks, records))
    chosen = given.argmax(axis=1)
    edges = expand(world, records)
    taken = chosen[edges.source] == edges.action
    worst = np.zeros(len(records), int)
    np.maximum.at(worst, edges.source[taken], moves_to_mate(world, edges.records[taken]))
    assert len(records) >= 8
    return (worst == moves - 1).mean()


def test_mates_are_found_by_so_many_simulations():
    assert solved(1, 16) == 1
    assert solved(2, 256) == 1
    assert solved(2, 16) < 1


@pytest.mark.slow
def test_a_mate_in_three_is_found_by_four_thousand():
    assert solved(3, 4096) == 1
