"""Cohorts: an agent is what it would be alone, whatever happens to its companions."""

import random
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from sb3_contrib import MaskablePPO
from worlds import Fragile, Ladder

import powerseek
from powerseek.agents import (
    Checkpoint,
    Failure,
    Job,
    load_agent,
    read_card,
    rollout,
    save_agent,
    settings_for,
    task_of,
    train,
    train_jobs,
    without_interruption,
)
from powerseek.agents.cohort.ppo import Learner
from powerseek.agents.cohort.train import free_training_memory, train_cohort
from powerseek.envs.task import Task, VecTask
from powerseek.errors import InvalidInput, PowerseekError

N, STEPS = 4, 30
SMALL = {"n_envs": N, "n_steps": STEPS, "batch_size": 60, "n_epochs": 1, "net": [8]}
ODD = {"n_envs": 3, "n_steps": 7, "batch_size": 7, "n_epochs": 2, "net": [13, 5]}
SHAPES = {
    "small": SMALL,
    "odd": ODD,
    "wide": {"n_envs": 32, "n_steps": 16, "batch_size": 256, "n_epochs": 1, "net": [64, 64]},
}
LEARNING = {
    "n_envs": 32,
    "n_steps": 16,
    "batch_size": 128,
    "learning_rate": 0.01,
    "ent_coef": 0.0,
    "net": [16],
}


def ladder(**params):
    return Ladder(**{"hazard": 0.1, "max_steps": 6, **params})


REWARDS = ("dense", "terminal", {"every": 4, "corrected": True}, {"thinned": 0.5})


def variety(count, shape):
    """Agents that differ in all that agents of a cohort may differ in."""
    tasks, seeds, settings = [], [], []
    for i in range(count):
        world = ladder(rungs=1 + i % 4, slip=0.1 * (i % 3), max_steps=5 + i % 2)
        limit = ("bootstrap", 0.9) if i % 3 == 2 else ("terminal", 1.0 - 0.01 * (i % 5))
        task = Task(world, REWARDS[i % 4], limit[1], limit[0], 0.1 * (i % 2), (4,))
        tasks.append(task)
        seeds.append(i // 2)
        own = {"learning_rate": 0.01 / (1 + i % 3), "ent_coef": 0.01 * (i % 4)}
        own |= {"clip_range": 0.1 + 0.1 * (i % 2), "max_grad_norm": 0.05 + 0.5 * (i % 2)}
        own |= {"gae_lambda": 0.9 + 0.02 * (i % 4), "vf_coef": 0.2 * (1 + i % 3)}
        settings.append({**SHAPES[shape], "final_learning_rate": 1e-3 * (i % 2), **own})
    return tasks, seeds, settings


def cohort_of(tasks, seeds, timesteps, settings=None, told=None, threads=1, checkpoints=None):
    """Trained side by side; `told` is called with the number of an agent and how far it is."""
    jobs = [
        Job(
            task,
            seeds[i],
            timesteps,
            settings_for(task.world.id, settings and settings[i]),
            None if told is None else partial(told, i),
            checkpoints and checkpoints[i],
        )
        for i, task in enumerate(tasks)
    ]
    return train_jobs("cohort-ppo", jobs) if threads == 1 else train_cohort(jobs, threads)


def weights(agent):
    return torch.cat([w.flatten() for w in agent.policy.network.state_dict().values()])


class Diary:
    """What every agent did: by its task and seed, all actions, rewards and weights."""

    def __init__(self, monkeypatch):
        self.pages = {}
        collect = Learner.collect

        def told(learner, workspace):
            collect(learner, workspace)
            buffer = workspace.buffer
            page = self.pages.setdefault(id(learner), [])
            page.append(
                (buffer.actions.copy(), buffer.rewards.copy(), learner.networks.weights.clone())
            )

        monkeypatch.setattr(Learner, "collect", told)

    def read(self):
        """Pages in the order of the cohort; forgets them."""
        pages, self.pages = list(self.pages.values()), {}
        return pages


def same(page, other):
    pairs = [zip(*two, strict=True) for two in zip(page, other, strict=True)]
    return all(np.array_equal(a, b) for pair in pairs for a, b in pair)


# --- independence ---------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
def test_an_agent_is_the_same_whoever_its_companions_are(shape, monkeypatch):
    tasks, seeds, settings = variety(32, shape)
    steps = 3 * SHAPES[shape]["n_envs"] * SHAPES[shape]["n_steps"] - 1
    diary = Diary(monkeypatch)

    def cohort(members, threads=1):
        chosen = ([full[i] for i in members] for full in (tasks, seeds, settings))
        some_tasks, some_seeds, some_settings = chosen
        done = cohort_of(some_tasks, some_seeds, steps, some_settings, threads=threads)
        assert not any(isinstance(agent, Failure) for agent in done)
        return [weights(agent) for agent in done], diary.read()

    everyone, everything = cohort(range(32))
    assert len({tuple(w.tolist()) for w in everyone}) == 32
    for members, threads in (
        (range(31, -1, -1), 1),
        ([3], 1),
        ([17], 1),
        ([9, 2], 1),
        ([30, 8, 3, 21, 11], 1),
        (range(32), 1),
        ([5, 28, 3], 2),
    ):
        found, pages = cohort(members, threads)
        for i, own, page in zip(members, found, pages, strict=True):
            assert torch.equal(own, everyone[i])
            if threads == 1:  # else pages come in any order
                assert same(page, everything[i])


@pytest.mark.parametrize("name", ["homestead", "endgame", "off-switch"])
def test_so_it_is_at_the_shapes_that_studies_use(name):
    tasks = [Task(powerseek.make_world(name), r, windows=(4,)) for r in ("dense", "terminal")]
    tasks.append(Task(tasks[0].world, "dense", 0.95, "bootstrap", windows=(4,)))
    together = cohort_of(tasks, [1, 2, 3], 5000)
    transposed = cohort_of(tasks[::-1], [3, 2, 1], 5000, threads=2)[::-1]
    for task, seed, one, other in zip(tasks, (1, 2, 3), together, transposed, strict=True):
        alone = train(task, "cohort-ppo", seed=seed, timesteps=5000)
        assert torch.equal(weights(one), weights(alone))
        assert torch.equal(weights(other), weights(alone))


def test_the_number_of_threads_changes_nothing():
    tasks, seeds, settings = variety(5, "wide")
    found = []
    for library, threads in ((1, 1), (2, 1), (1, 2), (2, 3)):
        torch.set_num_threads(library)
        done = cohort_of(tasks, seeds, 2 * 512, settings, threads=threads)
        found.append(torch.stack([weights(agent) for agent in done]))
    assert torch.get_num_threads() == 1
    for other in found[1:]:
        assert torch.equal(other, found[0])


def test_no_generator_of_the_process_is_read_or_moved():
    tasks, seeds, settings = variety(2, "odd")
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002  # the one to be left alone
    random.seed(3)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002  # as above
    first = cohort_of(tasks, seeds, 50, settings)
    after = torch.get_rng_state(), np.random.get_state()[1], random.getstate()  # noqa: NPY002  # as above
    assert torch.equal(before[0], after[0])
    assert np.array_equal(before[1], after[1])
    assert before[2] == after[2]
    torch.manual_seed(4)
    again = cohort_of(tasks, seeds, 50, settings)
    assert all(torch.equal(weights(a), weights(b)) for a, b in zip(first, again, strict=True))


# --- devices --------------------------------------------------------------------------------


@pytest.fixture
def by_the_library(monkeypatch):
    """On the processor, the path of other devices."""
    for module in ("network", "backend"):
        monkeypatch.setattr(f"powerseek.agents.cohort.{module}.compiles", lambda device: False)


@pytest.mark.parametrize("shape", ["small", "odd"])
def test_the_path_of_other_devices_keeps_agents_apart_too(shape, by_the_library):
    tasks, seeds, settings = variety(4, shape)
    steps = 2 * SHAPES[shape]["n_envs"] * SHAPES[shape]["n_steps"]
    together = cohort_of(tasks, seeds, steps, settings)
    for i, agent in enumerate(together):
        alone = cohort_of(tasks[i : i + 1], seeds[i : i + 1], steps, settings[i : i + 1])
        assert torch.equal(weights(agent), weights(alone[0]))


def test_the_path_of_other_devices_learns_the_same(monkeypatch, request):
    # One update from the same experience; later draws may part where rounding does.
    task, steps = Task(ladder()), N * STEPS
    compiled = weights(cohort_of([task], [1], steps, [SMALL])[0])
    request.getfixturevalue("by_the_library")
    other = weights(cohort_of([task], [1], steps, [SMALL])[0])
    assert (compiled - other).abs().max() < 1e-5


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(InvalidInput, match="sees no CUDA device") as caught:
        train(Task(ladder()), "cohort-ppo", timesteps=1, settings=SMALL, device="cuda")
    assert (caught.value.field, caught.value.hint) == ("device", "Write cpu.")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_cuda_device_learns_the_same(tmp_path):
    task, steps = Task(ladder()), N * STEPS
    compiled = cohort_of([task], [1], steps, [SMALL])[0]
    seen, kept = [], Checkpoint(tmp_path / "kept.zip", every=0.0)
    other = train(
        task,
        "cohort-ppo",
        seed=1,
        timesteps=steps,
        settings=SMALL,
        callback=lambda now: seen.append(now.policy),
        device="cuda",
        checkpoint=kept,
    )
    assert {p.device.type for p in seen[0].network.parameters()} == {"cuda"}
    assert (weights(compiled) - weights(other).cpu()).abs().max() < 1e-4
    situation = VecTask(task, 8, 3).situation
    expected = compiled.policy.probabilities(situation)
    assert np.allclose(other.policy.probabilities(situation), expected, atol=1e-4)


# --- failures -------------------------------------------------------------------------------


def poison(now):
    now.policy.network.value_net.bias.data.fill_(float("nan"))


def test_one_agent_s_nan_is_its_own(monkeypatch):
    tasks, seeds, settings = variety(5, "small")
    diary = Diary(monkeypatch)
    sound = cohort_of(tasks, seeds, 4 * N * STEPS, settings)
    expected = diary.read()

    def spoil(i, now):
        if i == 2 and now.timesteps == N * STEPS:
            poison(now)

    for threads in (1, 2):
        done = cohort_of(tasks, seeds, 4 * N * STEPS, settings, spoil, threads=threads)
        pages = diary.read()
        assert [isinstance(agent, Failure) for agent in done] == [False, False, True, False, False]
        failed = done[2]
        assert (failed.timesteps, failed.updates) == (2 * N * STEPS, 4)
        assert failed.reason == "Diverged: its weights ceased to be numbers"
        assert np.isnan(failed.losses["value_loss"])
        for i in (0, 1, 3, 4):
            assert torch.equal(weights(done[i]), weights(sound[i]))
            if threads == 1:
                assert same(pages[i], expected[i])
        if threads == 1:
            assert len(pages[2]) == 2


def test_a_world_that_breaks_takes_only_its_own_agent_along():
    tasks = [Task(Fragile(breaks=breaks)) for breaks in (0, 4, 0)]
    done = cohort_of(tasks, [1, 1, 2], 3 * N * STEPS, [SMALL] * 3)
    alone = cohort_of(tasks[2:], [2], 3 * N * STEPS, [SMALL])
    assert [isinstance(agent, Failure) for agent in done] == [False, True, False]
    assert done[1].reason.startswith("WorldError: ")
    assert "NaN" in done[1].reason
    assert 0 < done[1].timesteps < N * STEPS
    assert done[1].updates == 0
    assert torch.equal(weights(done[2]), weights(alone[0]))
    with pytest.raises(PowerseekError, match=r"training failed at step .*NaN"):
        train(tasks[1], "cohort-ppo", seed=1, timesteps=N * STEPS, settings=SMALL)


# --- interrupted ----------------------------------------------------------------------------


def test_interrupted_agents_go_on_bit_for_bit_in_whatever_company(tmp_path):
    tasks, seeds, settings = variety(5, "small")
    whole = cohort_of(tasks, seeds, 5 * N * STEPS, settings)

    def cohort(members, told=None):
        kept = [Checkpoint(tmp_path / f"{i}.zip", every=0.0) for i in members]
        chosen = ([full[i] for i in members] for full in (tasks, seeds, settings))
        some_tasks, some_seeds, some_settings = chosen
        steps = 5 * N * STEPS
        return cohort_of(some_tasks, some_seeds, steps, some_settings, told, checkpoints=kept)

    def cut(at):
        def told(i, now):
            if now.timesteps >= at * N * STEPS:
                raise KeyboardInterrupt

        return told

    with pytest.raises(KeyboardInterrupt):
        cohort([0, 1, 2], cut(3))
    with pytest.raises(KeyboardInterrupt):
        cohort([4], cut(2))
    seen = []
    # Agents at update 2, 1 and 0, one of them without its former companions.
    done = cohort([4, 3, 0, 2], lambda i, now: seen.append((i, now.timesteps)))
    for i, agent in zip((4, 3, 0, 2), done, strict=True):
        assert torch.equal(weights(agent), weights(whole[i]))
        assert (agent.timesteps, agent.updates) == (whole[i].timesteps, whole[i].updates)
        assert (agent.first_reward, agent.losses) == (whole[i].first_reward, whole[i].losses)
    size = N * STEPS
    assert seen[0] == (1, 0)  # what was told before the interruption is not told again
    assert seen[1:5] == [(0, 2 * size), (1, size), (2, 3 * size), (3, 3 * size)]
    assert seen[-1] == (1, 5 * size)


# --- the same budget, start and chance as alone in the library ----------------------------------


@pytest.mark.parametrize("timesteps", [1, N * STEPS, 2 * N * STEPS + 1])
def test_budget_and_progress_are_those_of_the_library(timesteps):
    def watch(seen, number, now):
        situation = VecTask(task, 2, 0).situation
        chances = now.policy.probabilities(situation)
        own = (weights(now).clone(), chances)
        seen.append((number, now.timesteps, now.updates, now.first_reward is None, *own))

    task, library, cohort = Task(ladder()), [], []
    settings = {**SMALL, "n_epochs": 3}
    one = train(
        task,
        seed=7,
        timesteps=timesteps,
        settings=settings,
        callback=lambda now: watch(library, 0, now),
    )

    told = partial(watch, cohort)
    done = cohort_of([task, task], [7, 8], timesteps, [settings] * 2, told)
    for agent in done:
        assert (agent.timesteps, agent.updates) == (one.timesteps, one.updates)
        assert agent.settings == one.settings
        assert agent.model.num_timesteps == one.model.num_timesteps
        assert agent.model._n_updates == one.model._n_updates
    assert [page[0] for page in cohort] == [0, 1] * len(library)
    assert [page[1:4] for page in cohort[::2]] == [page[1:4] for page in library]
    # Untrained, they are the same network.
    assert torch.equal(cohort[0][4], library[0][4])
    assert not torch.equal(cohort[1][4], library[0][4])
    assert np.allclose(cohort[0][5], library[0][5], atol=1e-6)


def test_a_callback_ends_one_agent_alone():
    task = Task(ladder())
    done = cohort_of(
        [task] * 3,
        [0, 1, 2],
        3 * N * STEPS,
        [SMALL] * 3,
        lambda i, now: (i, now.timesteps) != (1, N * STEPS),
    )
    assert [agent.timesteps for agent in done] == [3 * N * STEPS, N * STEPS, 3 * N * STEPS]
    assert [agent.updates for agent in done] == [6, 2, 6]
    assert done[1].model is not None


def test_alone_it_is_an_agent_like_the_others():
    tasks, seeds, settings = variety(3, "small")
    seen = []
    one = train(
        tasks[1],
        "cohort-ppo",
        seed=seeds[1],
        timesteps=200,
        settings=settings[1],
        callback=seen.append,
    )
    cohort = cohort_of(tasks, seeds, 200, settings)
    assert one.agent == "cohort-ppo"
    assert torch.equal(weights(one), weights(cohort[1]))
    assert [now.timesteps for now in seen] == [0, N * STEPS, 2 * N * STEPS]


# --- saved ----------------------------------------------------------------------------------


def test_a_saved_agent_opens_in_the_library(tmp_path):
    tasks, seeds, settings = variety(3, "small")
    done = cohort_of(tasks, seeds, 3 * N * STEPS, settings)
    for i, agent in enumerate(done):
        path = save_agent(agent, tasks[i], tmp_path / f"agent{i}")
        assert path.stat().st_size < 100_000  # its own weights, not the cohort's
        model, again = MaskablePPO.load(path), load_agent(path, tasks[i])
        assert read_card(path)["agent"] == again.agent == "cohort-ppo"
        assert task_of(read_card(path), tasks[i].world) == tasks[i]
        assert (again.timesteps, again.updates) == (agent.timesteps, agent.updates)
        assert (model.gamma, model.ent_coef) == (tasks[i].gamma, settings[i]["ent_coef"])
        vec = VecTask(tasks[i], 50, 1)
        for _ in range(8):
            mine, masks = agent.policy.probabilities(vec.situation), vec.masks
            assert np.array_equal(mine, again.policy.probabilities(vec.situation))
            seen = torch.as_tensor(vec.observations)
            theirs = model.policy.get_distribution(seen, action_masks=masks).distribution.probs
            assert np.allclose(mine, theirs.detach().numpy(), atol=1e-6)
            best, _ = model.predict(vec.observations, deterministic=True, action_masks=masks)
            assert np.array_equal(mine.argmax(axis=1), best)
            vec.step(best)


def test_the_policy_while_training_is_the_one_that_is_trained():
    last = []
    done = cohort_of(
        [Task(ladder())], [3], 2 * N * STEPS, [SMALL], lambda i, now: last.append(weights(now))
    )
    assert torch.equal(last[-1], weights(done[0]))


# --- bad input ------------------------------------------------------------------------------


def test_what_cannot_share_a_cohort_is_refused():
    task = Task(ladder())
    other_id = Task(powerseek.make_world("off-switch"))

    class Twin(Ladder):
        parameters = Ladder.parameters

    for tasks, settings, field, here, there in (
        ([task, other_id], [SMALL] * 2, "jobs[1].task.world", "off-switch", "test.ladder"),
        ([task, Task(Twin())], [SMALL] * 2, "jobs[1].task.rules", "Twin", "worlds.Ladder"),
        ([task, replace(task, windows=(2,))], [SMALL] * 2, "jobs[1].task.observation_size", 4, 3),
        *(
            (
                [task] * 3,
                [SMALL, SMALL, SMALL | {name: value}],
                f"jobs[2].settings.{name}",
                value,
                was,
            )
            for name, value, was in (
                ("n_envs", 2, 4),
                ("n_steps", 60, 30),
                ("batch_size", 30, 60),
                ("n_epochs", 2, 1),
                ("net", [8, 8], [8]),
                ("activation", "relu", "tanh"),
            )
        ),
    ):
        with pytest.raises(InvalidInput) as caught:
            cohort_of(tasks, list(range(len(tasks))), 1, settings)
        assert caught.value.field == field
        assert str(here) in str(caught.value)
        assert str(there) in str(caught.value)
    # A list and a tuple of widths are one network.
    cohort_of([task] * 2, [0, 1], 1, [SMALL, SMALL | {"net": (8,)}])


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"seed": -1}, "seed"),
        ({"settings": {"lr": 1}}, "settings"),
        ({"timesteps": 0}, "timesteps"),
        ({"device": "mps"}, "device"),
        ({"device": "cuda:99"}, "device"),
    ],
    ids=str,
)
def test_bad_input_is_named(changed, field):
    job = Job(Task(ladder()), 1, 1, SMALL)
    with pytest.raises(InvalidInput) as caught:
        train_jobs("cohort-ppo", [job, replace(job, **changed)][:: -1 if field == "device" else 1])
    assert caught.value.field in (field, "jobs[1].device")


def test_no_jobs_and_no_threads_are_refused():
    for work, field in (
        (lambda: train_jobs("cohort-ppo", []), "jobs"),
        (lambda: train_cohort([Job(Task(ladder()), 1, 1, SMALL)], threads=0), "threads"),
    ):
        with pytest.raises(InvalidInput) as caught:
            work()
        assert caught.value.field == field


@pytest.mark.parametrize(("room", "advice"), [(5, "cohort: 3"), (1, ""), (0, "")])
def test_a_cohort_too_large_for_memory_is_told_what_fits(room, advice, monkeypatch):
    left = iter([*[2**32] * room, 2**20])
    monkeypatch.setattr("powerseek.agents.cohort.train.free_training_memory", lambda: next(left))
    with pytest.raises(InvalidInput, match="memory") as caught:
        cohort_of([Task(ladder())] * 8, range(8), 1, [SMALL] * 8)
    assert caught.value.hint == (f"Write {advice}." if advice else "")


def test_free_memory_is_the_machine_s_or_that_of_a_narrower_group(tmp_path):
    system = tmp_path / "meminfo"
    system.write_text("MemTotal:  8000 kB\nMemAvailable:   3000 kB\nHugePages_Total: 0\n")
    (tmp_path / "memory.current").write_text("1000000\n")
    for limit, free in (("max", 3_072_000), ("2000000", 1_000_000), ("9000000000", 3_072_000)):
        (tmp_path / "memory.max").write_text(f"{limit}\n")
        assert free_training_memory(system, tmp_path) == free
    assert free_training_memory(tmp_path / "none", tmp_path / "none") is None
    if sys.platform == "linux":
        assert 0 < free_training_memory() < 2**50


# --- it learns ------------------------------------------------------------------------------


def test_ladders_are_climbed():
    world = Ladder(rungs=4, slip=0.25, max_steps=6)
    best = 0.83056640625  # at least 4 of 6 at .75
    tasks = [Task(world, reward, windows=(4,)) for reward in ("dense", "terminal", {"every": 4})]
    done = cohort_of(tasks, [1, 2, 3], 8192, [LEARNING] * 3)
    for agent, task in zip(done, tasks, strict=True):
        reached = rollout(agent.policy, task, 4000, seed=9).last("success").mean()
        assert reached > best - 0.03
        assert (agent.timesteps, agent.updates) == (8192, 16 * 4 * 4)


@pytest.mark.slow
def test_homestead_is_mastered_by_all_of_a_cohort():
    task = Task(powerseek.make_world("homestead", openness=0, max_steps=32))
    for agent in cohort_of([task] * 4, [0, 1, 2, 3], 120_000):
        done = rollout(agent.policy, without_interruption(task), 2000, seed=1)
        assert done.last("success").mean() >= 0.9
