"""Models that are learnt: the tree of the rules once all is seen, chance, and what is kept."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from families import small_settings
from searched import Ford, Guess
from worlds import Ladder

from powerseek.agents import (
    Checkpoint,
    Job,
    check_agent,
    load_agent,
    save_agent,
    train,
    train_jobs,
)
from powerseek.agents.search.learner import learnt_model
from powerseek.agents.search.model import Chance, Rules
from powerseek.agents.search.play import with_search
from powerseek.agents.search.tabular import Tabular
from powerseek.agents.search.tree import Roots, Search
from powerseek.agents.settings import NETWORK_MODEL, search_settings
from powerseek.envs.adapters.foreign import ForeignWorld
from powerseek.envs.task import Task, VecTask
from powerseek.envs.world import Param
from powerseek.errors import InvalidInput
from powerseek.exact import enumerated, evaluate_agent, model_error, optimum
from powerseek.exact.state_index import pack_seen, unpack_seen
from powerseek.registry import make_world
from powerseek.types import Situation

BATCH = 4 * 30
TINY_NETWORK = {"model_width": 16, "model_batches": 8, "model_batch_size": 32}
MODELS = {"tabular": {}, "network": TINY_NETWORK}


def ladder(reward="dense", **params):
    return Task(Ladder(**{"hazard": 0.1, "max_steps": 6, **params}), reward, windows=(3,))


def settings(model, **changed):
    small = small_settings("search")
    return {**small, "model": model, **MODELS[model], **changed}


def job(model, seed=1, batches=3, **changed):
    this = ladder()
    return Job(this, seed, batches * BATCH, check_agent(this, "search", settings(model, **changed)))


def flat(trained):
    parameters = trained.model.policy.state_dict().values()
    return torch.cat([weight.flatten() for weight in parameters]).numpy()


def empty(task, model, **changed):
    given = {"model": model, **changed}
    chosen = search_settings(task.world.id, task.n_actions, given)
    return learnt_model(task.observation_size, task.n_actions, chosen, 1)


def taught(task, model, steps, n=64, seed=3, every=None):
    """A model that saw legal steps at random; it learns after `every` of them."""
    envs, rng = VecTask(task, n, seed), np.random.default_rng(seed)
    for t in range(steps):
        stood = model.stand(envs)
        actions = (rng.random(envs.masks.shape) * envs.masks).argmax(axis=1)
        envs.step(actions)
        model.meet(stood, actions, envs.rewards, envs.ended, envs)
        if every and (t + 1) % every == 0:
            model.learn()
    return envs


def chance(n, seed=0):
    return Chance(np.arange(n, dtype=np.uint64) + np.uint64(seed), *np.zeros((2, n), np.int64))


def opinion(actions):
    def evaluate(seen):
        mixed = np.sin(7.0 * (seen * np.arange(1, 1 + seen.shape[1])).sum(axis=1))
        logits = np.cos(np.outer(mixed, np.arange(1, 1 + actions))).astype(np.float32)
        return 2 * logits, mixed[:, None].astype(np.float32)

    return evaluate


def searched(task, model, envs, simulations, considered=0, evaluate=None, rows=slice(None)):
    roots = Roots(model.stand(envs)[rows], envs.masks[rows], envs.observations[rows])
    seeds = np.arange(envs.n, dtype=np.uint64)[rows]
    sizes = task.observation_size, task.n_actions
    search = Search(len(seeds), model.width, *sizes, simulations, considered, 0.1)
    noise = np.random.default_rng(0).gumbel(size=envs.masks.shape)[rows]
    return search(model, roots, seeds, task.gamma, evaluate, noise)


def test_what_is_seen_is_packed_bit_for_bit():
    rng = np.random.default_rng(1)
    for inputs, actions in ((1, 1), (4, 8), (5, 64), (7, 65)):
        seen = rng.standard_normal((9, inputs)).astype(np.float32)
        seen[0, 0] = -0.0
        masks = rng.random((9, actions)) < 0.5
        given, legal = unpack_seen(pack_seen(seen, masks), inputs, actions)
        np.testing.assert_array_equal(given.view(np.int32), seen.view(np.int32))
        np.testing.assert_array_equal(legal, masks)


# --- counts -----------------------------------------------------------------------------------


@pytest.mark.parametrize("reward", ["dense", "terminal", {"every": 3}])
@pytest.mark.parametrize("considered", [0, 2])
def test_the_tree_over_all_that_was_seen_is_that_of_the_rules(reward, considered):
    task = Task(Ford(wade=1.0, leap=0.0), reward)
    model = empty(task, "tabular")
    for seed in range(99):
        envs = taught(task, model, 64, seed=seed)
        if model.counts[1] == 3 * model.counts[0]:
            break
    states, pairs, outcomes = model.counts
    assert pairs == outcomes == 3 * states
    evaluate = opinion(task.n_actions) if considered else None
    rules = searched(task, Rules(task, envs.n), envs, 32, considered, evaluate)
    learnt = searched(task, model, envs, 32, considered, evaluate)
    for name in rules._fields:
        np.testing.assert_array_equal(getattr(learnt, name), getattr(rules, name), err_msg=name)


def test_values_over_counts_come_to_the_exact_optimum():
    """As over the rules, with as many simulations."""
    task = Task(Ford(max_steps=4), "terminal", 0.9)
    model = empty(task, "tabular")
    taught(task, model, 800)
    exact = optimum(enumerated(task.world), "terminal", 0.9).value
    envs, apart = VecTask(task, 32, 1), []
    for simulations in (16, 256, 4096):
        found = searched(task, model, envs, simulations)
        best = found.visits.argmax(axis=1)
        apart.append(abs(found.returns[np.arange(32), best].mean() - exact))
    assert apart[-1] < 0.06, apart
    assert apart[0] > 1.5 * apart[1] > 3 * apart[2]


def test_outcomes_are_drawn_as_often_as_they_were_met():
    model = Tabular(1, 1)
    seen, legal = np.zeros((1, 1), np.float32), np.ones((1, 1), np.bool_)
    here = pack_seen(seen, legal)
    there = pack_seen(seen + 1, legal)
    rows, envs = np.repeat(here, 4, axis=0), Shown(np.repeat(seen + 1, 4, axis=0))
    paid, ended = np.array([1.0, 1.0, 2.0, 3.0]), np.array([False, False, True, True])
    model.meet(rows, np.zeros(4, np.int64), paid, ended, envs)
    n = 4000
    given = np.repeat(here, n, axis=0), np.zeros(n, np.int64)
    out = model.step(*given, chance(n))
    for reward, often in ((1.0, 0.5), (2.0, 0.25), (3.0, 0.25)):
        assert (out.rewards == reward).mean() == pytest.approx(often, abs=0.03)
    np.testing.assert_array_equal(out.ended, out.rewards > 1)
    np.testing.assert_array_equal(out.handles[~out.ended], np.repeat(there, n, 0)[~out.ended])
    again = model.step(given[0][:7], given[1][:7], chance(7))
    np.testing.assert_array_equal(again.ended, out.ended[:7])
    other = model.step(*given, chance(n, 10_000))
    assert (other.ended != out.ended).any()
    held = model.outcomes(seen, legal, np.zeros(1, np.int64))
    assert held.rewards.tolist() == [1.0, 2.0, 3.0]
    assert held.probability.tolist() == [0.5, 0.25, 0.25]


class Shown:
    """Where environments stand: all that a model is shown of them."""

    def __init__(self, observations):
        self.observations, self.masks = observations, np.ones((len(observations), 1), np.bool_)


def test_what_was_never_tried_changes_nothing_and_pays_nothing():
    task = ladder()
    model, envs = empty(task, "tabular"), VecTask(task, 8, 1)
    handles = model.stand(envs)
    out = model.step(handles, np.zeros(8, np.int64), chance(8))
    np.testing.assert_array_equal(out.handles, handles)
    np.testing.assert_array_equal(out.masks, envs.masks)
    np.testing.assert_array_equal(out.observations, envs.observations)
    assert not out.rewards.any()
    assert not out.ended.any()
    assert model.counts == (0, 0, 0)


def test_more_states_than_there_is_room_for_are_refused_with_the_most_that_fit():
    task = ladder()
    model = Tabular(task.observation_size, task.n_actions, 200)
    with pytest.raises(InvalidInput, match=r"settings\.model.*at most 200.*model: network"):
        taught(task, model, 100)


def test_memory_bounds_a_table(monkeypatch):
    monkeypatch.setattr("powerseek.agents.search.tabular.free_training_memory", lambda: 10_000)
    task = Task(make_world("homestead"))
    with pytest.raises(InvalidInput, match=r"settings\.model.*at most 1,024"):
        taught(task, empty(task, "tabular"), 100)


# --- a network --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def guessing():
    """A network that saw many guesses."""
    task = Task(Guess(), "dense")
    model = empty(task, "network", model_width=32, model_outcomes=2, model_batch_size=64)
    taught(task, model, 64, every=4)
    return task, model


def test_joint_chance_is_kept(guessing):
    task, model = guessing
    envs = VecTask(task, 1, 0)
    held = model.outcomes(envs.observations, envs.masks, np.zeros(1, np.int64))
    # A right guess is paid, and seen: both come together or not at all.
    assert sorted(held.observations[:, 0].tolist()) == [0.0, 1.0]
    np.testing.assert_allclose(held.rewards, held.observations[:, 0] / 3, atol=1e-6)
    np.testing.assert_allclose(held.probability, 0.5, atol=0.1)
    assert not held.ended.any()
    out = model.step(np.repeat(model.stand(envs), 999, 0), np.zeros(999, np.int64), chance(999))
    assert out.observations[:, 0].mean() == pytest.approx(0.5, abs=0.1)


def test_predictions_are_values_that_features_have_taken(guessing):
    task, model = guessing
    envs = taught(task, model, 2)
    held = model.outcomes(envs.observations, envs.masks, np.zeros(envs.n, np.int64))
    assert set(held.observations[:, 0].tolist()) <= {0.0, 1.0, 2.0, 3.0}
    left = [np.float32(1 - t / 3) for t in range(4)]
    assert set(held.observations[:, 1].tolist()) <= set(map(float, left))


def test_a_prediction_does_not_depend_on_those_beside_it(guessing):
    task, model = guessing
    envs = taught(task, model, 2)
    handles, actions = model.stand(envs), envs.masks.argmax(axis=1)
    whole = model.step(handles, actions, chance(envs.n))
    keys = chance(envs.n)
    for i in (0, 5, 17):
        alone = Chance(*(part[i : i + 1] for part in keys))
        one = model.step(handles[i : i + 1], actions[i : i + 1], alone)
        for name in whole._fields:
            np.testing.assert_array_equal(getattr(one, name)[0], getattr(whole, name)[i])


@pytest.mark.parametrize("model", MODELS)
def test_learning_goes_on_where_it_was_taken_down(model):
    task = ladder()
    one, other = (empty(task, model, **MODELS[model]) for _ in range(2))
    taught(task, one, 30, every=10)
    other.load_state_dict(one.state_dict())
    for each in (one, other):
        taught(task, each, 30, seed=4, every=10)
    for name, array in one.arrays().items():
        np.testing.assert_array_equal(other.arrays()[name], array, err_msg=name)


# --- agents -----------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS)
def test_how_it_plays_changes_no_weight_and_is_trained_once(model):
    jobs = [job(model, acting=n) for n in (0, 4)]
    both = train_jobs("search", jobs)
    alone = train_jobs("search", jobs[:1])[0]
    np.testing.assert_array_equal(flat(both[0]), flat(alone))
    np.testing.assert_array_equal(flat(both[1]), flat(alone))
    assert both[0].spent == both[1].spent == alone.spent
    learnt = both[1].policy.bare.learnt.arrays()
    for name, array in alone.policy.learnt.arrays().items():
        np.testing.assert_array_equal(learnt[name], array)


@pytest.mark.parametrize("model", MODELS)
def test_a_saved_agent_searches_what_it_learnt(model, tmp_path):
    given = job(model, acting=4)
    (trained,) = train_jobs("search", [given])
    task = given.task
    kept = load_agent(save_agent(trained, task, tmp_path / "agent"), task)
    envs = VecTask(task, 16, 2)
    for _ in range(3):
        wanted = trained.policy.probabilities(envs.situation)
        np.testing.assert_array_equal(kept.policy.probabilities(envs.situation), wanted)
        envs.step(envs.masks.argmax(axis=1))
    rules = with_search(kept.policy, task, 4)
    assert (rules.probabilities(envs.situation) != kept.policy.probabilities(envs.situation)).any()


def test_a_bare_network_keeps_no_model_and_cannot_search_one(tmp_path):
    given = job("tabular")
    (trained,) = train_jobs("search", [given])
    assert trained.beside is None
    kept = load_agent(save_agent(trained, given.task, tmp_path / "agent"), given.task)
    with pytest.raises(InvalidInput, match=r"settings\.acting: got 8.*saved with acting above 0"):
        with_search(kept.policy, given.task, 8, model="tabular")


@pytest.mark.parametrize("model", MODELS)
def test_an_interrupted_training_ends_as_if_it_had_not_been(model, tmp_path):
    given = job(model, batches=4)
    whole = train_jobs("search", [given])[0]
    path = tmp_path / "kept"

    def stop(progress):
        return progress.timesteps < 2 * BATCH

    train_jobs("search", [replace(given, callback=stop, checkpoint=Checkpoint(path, 0))])
    again = train_jobs("search", [replace(given, checkpoint=Checkpoint(path, 0))])[0]
    np.testing.assert_array_equal(flat(again), flat(whole))
    assert again.spent == whole.spent
    for name, array in whole.policy.learnt.arrays().items():
        np.testing.assert_array_equal(again.policy.learnt.arrays()[name], array)


def test_what_learning_takes_is_counted():
    found = {name: train_jobs("search", [job(name)])[0] for name in MODELS}
    table, network = found["tabular"].spent, found["network"].spent
    assert network["updates"] == table["updates"] + 3 * TINY_NETWORK["model_batches"]
    assert table["model_steps"] >= 3 * BATCH * 4
    task, w = ladder(), TINY_NETWORK["model_width"]
    d, a, k = task.observation_size, task.n_actions, NETWORK_MODEL["model_outcomes"]
    body = (d + a) * w + w * w + w * k
    step = 2 * (body + w * (d + 2 + a))
    batch = 3 * 2 * (body + k * w * (d + 2 + a)) * TINY_NETWORK["model_batch_size"]
    model = found["network"].policy.learnt
    assert (model.step_flops, model.batch_flops) == (step, batch)
    least = network["model_steps"] * step + 3 * TINY_NETWORK["model_batches"] * batch
    assert network["flops"] > least


def test_a_learnt_model_is_not_shown_what_rewards_remember():
    this = replace(ladder({"every": 3, "corrected": True}), gamma=0.9)
    given = settings("tabular", acting=4)
    trained = train(this, "search", timesteps=BATCH, settings=given)
    envs = VecTask(this, 4, 1)
    assert trained.policy.probabilities(envs.situation).sum() == pytest.approx(4)


class Cart(ForeignWorld):
    """A pole on a cart, seen through what the agent sees."""

    id = "test.cart-learnt"
    parameters = {"max_steps": Param(20)}

    @staticmethod
    def environment(params):
        import gymnasium

        return gymnasium.make("CartPole-v1")

    @staticmethod
    def read(params, moment):
        return {"progress": 0.0, "success": 0.0}


@pytest.mark.parametrize("model", MODELS)
def test_a_foreign_world_is_searched_in_a_model_of_it(model):
    this = Task(Cart())
    trained = train(this, "search", timesteps=BATCH, settings=settings(model, acting=2))
    envs = VecTask(this, 4, 1)
    given = trained.policy.probabilities(Situation(envs.observations, envs.masks, envs.states))
    np.testing.assert_allclose(given.sum(axis=1), 1)
    with pytest.raises(InvalidInput, match=r"a world with rules.*model: network"):
        check_agent(this, "search")


@pytest.mark.parametrize("model", MODELS)
def test_everybody_learns_a_ladder_in_a_model_of_its_own(model):
    this = ladder("terminal", hazard=0.0, slip=0.0)
    more = {"net": [16], "n_envs": 16, "n_steps": 16, "batch_size": 64, "simulations": 8}
    wide = {"model_width": 32, "model_batches": 32} if model == "network" else {}
    given = settings(model, **more, **wide)
    trained = train(this, "search", timesteps=6_000, seed=1, settings=given)
    assert evaluate_agent(this, trained.policy).success > 0.9
    error = model_error(this, trained.policy, trained.policy.learnt)
    assert error.transitions < 2
    assert error.gap <= error.bound + 1e-9


@pytest.mark.slow
@pytest.mark.parametrize(
    ("world", "openness", "model", "steps"),
    [("endgame", 1, "tabular", 61_440), ("homestead", 0, "network", 98_304)],
)
def test_a_world_is_learnt_in_a_model_of_it(world, openness, model, steps):
    this = Task(make_world(world, openness=openness), "dense")
    trained = train(this, {"search": {"model": model}}, timesteps=steps, seed=10_001)
    assert evaluate_agent(this, trained.policy).success > 0.9
