"""Gumbel AlphaZero: what it learns, what playing leaves alone, and what is refused by name."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from families import small_settings
from searched import Guess
from worlds import Ladder

from powerseek.agents import (
    Failure,
    Job,
    check_agent,
    load_agent,
    rollout,
    save_agent,
    train,
    train_jobs,
)
from powerseek.agents.search import checks
from powerseek.agents.search.learner import Searcher, Workspace
from powerseek.agents.search.play import with_search
from powerseek.envs.adapters.foreign import ForeignWorld
from powerseek.envs.task import Task, VecTask
from powerseek.envs.world import Param
from powerseek.errors import InvalidInput
from powerseek.exact import evaluate_agent, with_overseer
from powerseek.experiments.single import evaluate_one
from powerseek.registry import make_world

SMALL = small_settings("search")
BATCH = 4 * 30


def task(reward="dense", gamma=1.0, **params):
    return Task(Ladder(**{"hazard": 0.1, "max_steps": 6, **params}), reward, gamma, windows=(3,))


def job(this=None, seed=1, batches=3, **settings):
    return Job(this or task(), seed, batches * BATCH, {**SMALL, **settings})


def flat(trained):
    parameters = trained.model.policy.state_dict().values()
    return torch.cat([weight.flatten() for weight in parameters]).numpy()


def met(this, steps=3):
    envs = VecTask(this, 32, 3)
    for _ in range(steps):
        envs.step(envs.masks.argmax(axis=1))
    return envs.situation


# --- playing is no training -------------------------------------------------------------------


@pytest.fixture
def gathered(monkeypatch):
    """How often experience was gathered."""
    times = []
    collect = Searcher.collect

    def counted(learner, workspace):
        times.append(learner.job.settings["acting"])
        collect(learner, workspace)

    monkeypatch.setattr(Searcher, "collect", counted)
    return times


def test_jobs_that_differ_in_how_they_play_are_trained_once(gathered):
    jobs = [job(acting=0), job(seed=2), job(acting=8), job(acting=2), job(learning_rate=0.01)]
    found = train_jobs("search", jobs)
    assert not any(isinstance(one, Failure) for one in found)
    assert len(gathered) == 3 * 3  # batches of three trainings
    alone = [train_jobs("search", [one])[0] for one in jobs]
    situation = met(task())
    for one, other in zip(found, alone, strict=True):
        assert np.array_equal(flat(one), flat(other))
        assert np.array_equal(
            one.policy.probabilities(situation), other.policy.probabilities(situation)
        )
        for name in ("timesteps", "updates", "first_reward", "losses", "spent"):
            assert getattr(one, name) == getattr(other, name), name
    assert np.array_equal(flat(found[0]), flat(found[2]))
    assert not np.array_equal(flat(found[0]), flat(found[1]))
    assert not np.array_equal(flat(found[0]), flat(found[4]))


def test_one_that_ends_early_keeps_what_it_had_learnt_and_the_other_goes_on():
    ends = replace(job(acting=2), callback=lambda now: now.timesteps < BATCH)
    short, long = train_jobs("search", [ends, job()])
    assert (short.timesteps, long.timesteps) == (BATCH, 3 * BATCH)
    first = train_jobs("search", [replace(job(batches=3), callback=ends.callback)])[0]
    assert np.array_equal(flat(short), flat(first))
    assert np.array_equal(flat(long), flat(train_jobs("search", [job()])[0]))
    assert not np.array_equal(flat(short), flat(long))


def test_without_simulations_at_play_it_is_the_bare_network():
    this = task()
    found = train(this, "search", timesteps=BATCH, settings={**SMALL, "acting": 4})
    bare = train(this, "search", timesteps=BATCH, settings=SMALL)
    assert "searches" in found.policy.inexact
    assert not hasattr(bare.policy, "inexact")
    assert with_search(found.policy, this, 0) is found.policy.bare
    situation = met(this)
    plain, searched = (one.policy.probabilities(situation) for one in (bare, found))
    assert np.array_equal(with_search(found.policy, this, 0).probabilities(situation), plain)
    assert not np.allclose(plain, searched, atol=0.01)
    exact = evaluate_agent(this, bare.policy)
    shown = rollout(bare.policy, this, 2000, 5).last("success").mean()
    assert abs(exact.success - shown) < 4.5 * 0.5 / np.sqrt(2000)


@pytest.mark.parametrize("agent", ["search", "cohort-ppo", "maskable-ppo"])
def test_skill_is_a_dial_on_what_was_kept(agent, tmp_path):
    """An untrained net is no better than chance, and plans well all the same."""
    this = Task(Ladder(rungs=4, slip=0.1, hazard=0.0, max_steps=6), "dense")
    found = train(this, agent, seed=2, timesteps=1, settings=small_settings(agent))
    kept = load_agent(save_agent(found, this, tmp_path / "a"), this).policy
    bare = rollout(kept, this, 300, 4).last("success").mean()
    searching = rollout(with_search(kept, this, 64), this, 300, 4, greedy=True)
    assert bare < 0.3
    assert searching.last("success").mean() > 0.6
    assert np.array_equal(
        with_search(kept, this, 0).probabilities(met(this)), found.policy.probabilities(met(this))
    )


def test_a_kept_one_searches_the_task_in_which_it_acts(tmp_path):
    this = task()
    found = train(this, "search", timesteps=BATCH, settings={**SMALL, "acting": 4})
    path = save_agent(found, this, tmp_path / "a")
    other = Task(Ladder(slip=0.9, max_steps=6), "dense", windows=(3,))
    assert load_agent(path, other).policy.task.world.params.slip == 0.9
    with pytest.raises(InvalidInput, match="the task in which it acts"):
        load_agent(path)


# --- learning -----------------------------------------------------------------------------------


def test_the_gradient_is_that_of_the_loss():
    """Against PyTorch's own differentiation of cross-entropy + vf_coef x squared error."""
    this = job(task(hazard=0.0))
    learner = Searcher(replace(this, settings=check_agent(this.task, "search", this.settings)))
    sizes = this.task.observation_size, this.task.n_actions
    workspace = Workspace(learner.job.settings, *sizes)
    learner.collect(workspace)
    rows = np.arange(0, 120, 2)
    loss, error = learner.grad(workspace, rows)
    network = learner.bare.network
    parameters = [*network.mlp_extractor.parameters(), *network.action_net.parameters()]
    parameters += [*network.value_net.parameters()]
    for parameter in parameters:
        parameter.requires_grad_(True)
    latent = network.mlp_extractor(torch.tensor(workspace.observations[rows]))
    logits = network.action_net(latent[0])
    logits = logits.masked_fill(~torch.tensor(workspace.masks[rows]), -1e9)
    wanted = torch.tensor(workspace.improved[rows])
    cross = -(wanted * logits.log_softmax(1)).sum(1).mean()
    returns = torch.tensor(workspace.returns.reshape(-1)[rows], dtype=torch.float32)
    squared = ((network.value_net(latent[1])[:, 0] - returns) ** 2).mean()
    (cross + 0.5 * squared).backward()
    assert loss == pytest.approx(cross.item(), rel=1e-5)
    assert error == pytest.approx(squared.item(), rel=1e-5)
    layers = [*learner.networks.policy, *learner.networks.value]
    modules = [m for m in network.modules() if isinstance(m, torch.nn.Linear)]
    for layer in layers:
        module = next(m for m in modules if m.weight.data_ptr() == layer.weight.data_ptr())
        assert torch.allclose(layer.weight_grad, module.weight.grad, atol=1e-6)
        assert torch.allclose(layer.bias_grad, module.bias.grad, atol=1e-6)
    assert (workspace.improved[rows] > 0).sum() > len(rows)


def test_nobody_learns_from_what_a_search_could_not_know():
    """Three coins are guessed in training: half of them right, however long the search."""
    this = Job(Task(Guess()), 1, 4096, {"n_envs": 256, "n_steps": 12, "batch_size": 256})
    learner = Searcher(replace(this, settings=check_agent(this.task, "search", this.settings)))
    workspace = Workspace(learner.job.settings, this.task.observation_size, 2)
    learner.collect(workspace)
    right = 3 * workspace.rewards.mean()
    assert abs(right - 0.5) < 4 * 0.5 / np.sqrt(workspace.rewards.size)


def test_simulated_steps_and_operations_are_counted_by_hand():
    """One simulation a step: one step of the model each, of which all but the last are valued."""
    found = train(task(hazard=0.0), "search", timesteps=BATCH, settings={**SMALL, "simulations": 1})
    assert found.spent["model_steps"] == BATCH
    inputs, actions = task().observation_size, 3
    policy, value = (2 * (inputs * 8 + 8 * out) for out in (actions, 1))
    learning = 3 * (policy + value) * BATCH
    least, most = (policy + value) * BATCH, (policy + value) * 2 * BATCH
    assert least < found.spent["flops"] - learning - value * 4 <= most


@pytest.mark.parametrize(
    "reward",
    ["terminal", {"every": "cap"}, {"coverage": 0.5}, {"priced": 0.02, "of": "terminal"}],
    ids=str,
)
def test_it_trains_and_plays_for_every_kind_of_reward(reward):
    this = with_overseer(task(reward))
    found = train(this, "search", timesteps=BATCH, settings={**SMALL, "acting": 4})
    assert rollout(found.policy, this, 16, 1).lengths.min() >= 1


def test_it_learns_a_real_world():
    """Mates, for success alone, where nobody mates by chance: a fifth of what it takes."""
    this = Task(make_world("endgame", openness=0), "terminal")
    given = {"n_envs": 64, "n_steps": 8, "batch_size": 256, "net": [64]}
    found = train(this, "search", seed=10_001, timesteps=12_000, settings=given)
    by_chance = rollout(train(this, "random").policy, this, 500, 3).last("success").mean()
    assert by_chance < 0.02
    assert rollout(found.policy, this, 500, 3).last("success").mean() > 0.4


@pytest.mark.slow
@pytest.mark.parametrize("seed", [10_001, 10_002])
def test_it_mates_for_success_alone_within_half_of_what_others_take(seed):
    """endgame at openness 1, terminal, 60,000 steps, 16 simulations, the bare network."""
    this = Task(make_world("endgame", openness=1), "terminal")
    found = train(this, "search", seed=seed, timesteps=60_000)
    other = train(this, "cohort-ppo", seed=seed, timesteps=60_000)
    success = [rollout(one.policy, this, 1000, 3).last("success").mean() for one in (found, other)]
    assert found.settings["simulations"] == 16
    assert success[0] >= 0.9 > success[1]


# --- the dial at evaluation ---------------------------------------------------------------------


@pytest.mark.parametrize("agent", ["search", "cohort-ppo"])
def test_a_kept_model_is_evaluated_with_so_many_simulations(agent, tmp_path):
    this = Task(make_world("off-switch", max_steps=6), "dense")
    found = train(this, agent, timesteps=1, settings=small_settings(agent))
    path = save_agent(found, this, tmp_path / "a")
    plain = evaluate_one(path, "off-switch", {}, 20, 0)
    searched = evaluate_one(path, "off-switch", {}, 20, 0, settings={"acting": 8})
    bare = evaluate_one(path, "off-switch", {}, 20, 0, settings={"acting": 0})
    assert plain.exact
    assert bare.exact
    assert searched.inexact.startswith("it searches when it acts")
    assert searched.name == "a.zip acting 8"
    assert plain.rows["value"].equals(bare.rows["value"])
    for wrong, words in (
        ({"simulations": 8}, r"settings: got 'simulations'.*acting"),
        ({"acting": -1}, r"settings\.acting: got -1.*0 to"),
    ):
        with pytest.raises(InvalidInput, match=words):
            evaluate_one(path, "off-switch", {}, 20, 0, settings=wrong)


def test_settings_of_a_model_made_elsewhere_are_refused(tmp_path):
    path = tmp_path / "net.pt"
    torch.save(torch.nn.Sequential(torch.nn.Linear(2, 3)), path)
    with pytest.raises(InvalidInput, match=r"settings\.acting: got 4.*made elsewhere"):
        evaluate_one(path, "star", {}, 5, 0, settings={"acting": 4})


# --- refused --------------------------------------------------------------------------------------


class Balance(ForeignWorld):
    """A foreign environment, never made."""

    id = "test.balance-search"
    parameters = {"max_steps": Param(40)}

    @staticmethod
    def environment(params):
        import gymnasium

        return gymnasium.make("CartPole-v1")

    @staticmethod
    def read(params, moment):
        return {"progress": 0.0, "success": 0.0}


OUTCOMES = "settings.model_outcomes", "1 to 64", "model_outcomes: 4"
REFUSED = [
    ("search", {"simulations": 0}, "settings.simulations", "at least 1", "acting: 0"),
    ("search", {"simulations": 1.5}, "settings.simulations", "whole number", "simulations: 16"),
    ("search", {"acting": -1}, "settings.acting", "0 to", "acting: 0"),
    ("search", {"considered": 4}, "settings.considered", "1 to 3", "considered: 3"),
    ("search", {"considered": 0}, "settings.considered", "1 to", ""),
    ("search", {"c_scale": 0}, "settings.c_scale", "above 0", "c_scale: 0.1"),
    ("search", {"model": "dream"}, "settings.model", "rules or tabular or network", "model: rules"),
    ("search", {"model_width": 8}, "settings", "simulations", ""),
    ("search", {"model": "network", "model_outcomes": 0}, *OUTCOMES),
    ("puct", {"simulations": 0}, "settings.simulations", "1 to", "simulations: 64"),
    ("puct", {"acting": 4}, "settings", "simulations", ""),
]


@pytest.mark.parametrize(("agent", "given", "field", "allowed", "hint"), REFUSED)
def test_a_wrong_setting_is_named_with_what_to_write(agent, given, field, allowed, hint):
    with pytest.raises(InvalidInput) as caught:
        check_agent(task(), agent, given)
    assert caught.value.field == field
    assert allowed in caught.value.allowed
    assert hint in caught.value.hint


@pytest.mark.parametrize("agent", ["search", "puct"])
def test_tasks_in_which_nobody_can_search_are_refused(agent):
    endless = Task(Ladder(), "dense", 0.9, time_limit="bootstrap")
    with pytest.raises(InvalidInput, match=r"time_limit: got 'bootstrap'.*terminal"):
        check_agent(endless, agent)
    with pytest.raises(InvalidInput, match=r"test\.balance-search.*a world with rules"):
        check_agent(Task(Balance()), agent)


def test_a_reward_that_remembers_what_nobody_sees_can_be_trained_for_and_not_played():
    corrected = task({"every": 3, "corrected": True}, 0.9)
    assert check_agent(corrected, "search")["acting"] == 0
    with pytest.raises(InvalidInput, match=r"settings\.acting: got 8.*every 3 corrected"):
        check_agent(corrected, "search", {"acting": 8})
    with pytest.raises(InvalidInput, match=r"reward: got 'every 3 corrected'.*observed"):
        check_agent(corrected, "puct")


def test_trees_larger_than_memory_are_refused_with_the_largest_that_fit(monkeypatch):
    monkeypatch.setattr(checks, "free_training_memory", lambda: 20_000_000)
    with pytest.raises(InvalidInput, match=r"simulations: got 2000.*with n_envs: 128") as caught:
        check_agent(task(), "search", {"simulations": 2000})
    most = int(caught.value.hint.removeprefix("Write simulations: ").rstrip("."))
    assert check_agent(task(), "search", {"simulations": most})["simulations"] == most
    with pytest.raises(InvalidInput, match="simulations"):
        check_agent(task(), "search", {"simulations": most + 1})
    with pytest.raises(InvalidInput, match=r"settings\.acting: got 2000.*at most"):
        check_agent(task(), "search", {"acting": 2000, "simulations": 4})


def test_models_without_a_policy_over_legal_actions_and_a_value_cannot_search():
    this = task()
    for agent in ("ppo", "dqn"):
        policy = train(this, agent, timesteps=1, settings=small_settings(agent)).policy
        with pytest.raises(InvalidInput, match=r"search, cohort-ppo and maskable-ppo"):
            with_search(policy, this, 8)
