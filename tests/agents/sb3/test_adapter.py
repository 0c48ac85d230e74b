"""Learners: what they are shown is what happened, and what they learn is what is right."""

import tempfile
import zipfile
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch
from stable_baselines3.common.env_checker import check_env
from worlds import Ladder

import powerseek
from powerseek.agents import (
    NetworkPolicy,
    TaskVecEnv,
    load_agent,
    read_card,
    rollout,
    save_agent,
    task_of,
    train,
)
from powerseek.agents.sb3.families import FAMILIES
from powerseek.agents.sb3.learner import network_settings
from powerseek.envs.adapters.gym import WorldEnv
from powerseek.envs.task import Task, VecTask
from powerseek.errors import InvalidInput
from powerseek.exact import enumerated, evaluate, scripted_policy
from powerseek.types import Policy, Situation

LEARNERS = ("ppo", "maskable-ppo")
N, STEPS, SEED = 4, 30, 5
SMALL = {"n_envs": N, "n_steps": STEPS, "batch_size": 60, "n_epochs": 1, "net": [8]}
FROZEN = {**SMALL, "learning_rate": 1e-12}
LEARNING = {
    "n_envs": 32,
    "n_steps": 16,
    "batch_size": 128,
    "learning_rate": 0.01,
    "ent_coef": 0.0,
    "net": [16],
}


FIVE = Task(Ladder(), windows=(2, 3))
"""5 features, 3 actions."""


def ladder(**params):
    return Ladder(**{"hazard": 0.1, "max_steps": 6, **params})


def in_time(flat):
    """[T, n, ...] of what the library has flattened copy by copy."""
    return np.asarray(flat).reshape(N, STEPS, -1).swapaxes(0, 1)


def buffers(task, agent, rollouts):
    """The buffers of the first `rollouts` updates of one training: the first, then the last."""
    found = []
    for k in range(1, rollouts + 1):
        done = train(task, agent, seed=SEED, timesteps=k * N * STEPS, settings=FROZEN)
        found.append((done.model.rollout_buffer, done.model))
    return found


@pytest.mark.parametrize("agent", LEARNERS)
@pytest.mark.parametrize(("time_limit", "gamma"), [("terminal", 1.0), ("bootstrap", 0.9)])
def test_the_buffer_holds_what_happened(agent, time_limit, gamma):
    task = Task(ladder(), {"every": 4, "corrected": True}, gamma, time_limit)
    vec = VecTask(task, N, SEED)
    starts = np.ones(N, bool)
    cut = over = 0
    for buffer, model in buffers(task, agent, 2):
        observations, actions = in_time(buffer.observations), in_time(buffer.actions)[..., 0]
        for t in range(STEPS):
            assert np.array_equal(observations[t], vec.observations)
            assert np.array_equal(buffer.episode_starts[t].astype(bool), starts)
            if agent == "maskable-ppo":
                assert np.array_equal(in_time(buffer.action_masks)[t].astype(bool), vec.masks)
            vec.step(actions[t].astype(np.int64))
            expected = vec.rewards.copy()
            if vec.truncated.any():
                last = torch.as_tensor(vec.final_observations)
                ahead = model.policy.predict_values(last).detach().numpy()[:, 0]
                expected += gamma * np.where(vec.truncated, ahead, 0.0)
            assert np.allclose(buffer.rewards[t], expected, atol=1e-6)
            starts = vec.ended.copy()
            cut += vec.truncated.sum()
            over += (vec.ended & ~vec.truncated).sum()
    assert over > 0
    assert (cut > 0) == (time_limit == "bootstrap")


@pytest.mark.parametrize(("time_limit", "gamma"), [("terminal", 1.0), ("bootstrap", 0.9)])
def test_ends_of_episodes_are_told_as_the_library_wants_them(time_limit, gamma):
    task = Task(ladder(), gamma=gamma, time_limit=time_limit)
    envs, vec = TaskVecEnv(task, 8, 3), VecTask(task, 8, 3)
    envs.seed(3)
    assert np.array_equal(envs.reset(), vec.observations)
    generator = np.random.default_rng(0)
    at_cap = 0
    for _ in range(40):
        actions = generator.integers(3, size=8)
        observations, _, dones, infos = envs.step(actions)
        vec.step(actions)
        assert np.array_equal(observations, vec.observations)
        assert np.array_equal(dones, vec.ended)
        for i, info in enumerate(infos):
            assert bool(info) == dones[i]
            if info:
                capped = bool(vec.world.truncated[i])
                at_cap += capped
                assert info["TimeLimit.truncated"] == (capped and time_limit == "bootstrap")
                assert np.array_equal(info["terminal_observation"], vec.final_observations[i])
    assert at_cap > 0


def test_what_is_handed_out_stays_as_it_was():
    envs = TaskVecEnv(Task(ladder()), 4, 0)
    first = envs.reset()
    kept = first.copy()
    climb = np.zeros(4, np.int64)
    seen, rewards, dones, infos = envs.step(climb)
    copies = [array.copy() for array in (seen, rewards, dones)]
    rewards += 100.0
    assert np.abs(envs.envs.rewards).max() <= 1
    while not infos[0]:
        infos = envs.step(climb)[3]
    last = infos[0]["terminal_observation"]
    end = last.copy()
    for _ in range(10):
        assert (np.abs(envs.step(climb)[1]) <= 1).all()
    assert np.array_equal(first, kept)
    assert np.array_equal(seen, copies[0])
    assert np.array_equal(rewards, copies[1] + 100)
    assert np.array_equal(dones, copies[2])
    assert np.array_equal(last, end)


def test_a_reset_in_the_middle_starts_other_episodes_and_a_seed_the_same():
    envs = TaskVecEnv(Task(ladder()), 16, 0)
    envs.seed(4)
    first = envs.reset()
    envs.step(np.zeros(16, np.int64))
    second = envs.reset()
    assert (second[:, -1] == 1).all()
    assert not np.array_equal(first, second)
    envs.seed(4)
    assert np.array_equal(envs.reset(), first)
    envs.close()


def test_the_vector_environment_offers_masks_and_nothing_else():
    envs = TaskVecEnv(Task(ladder()), 3, 0)
    envs.reset()
    assert envs.get_attr("render_mode") == [None] * 3
    assert np.array_equal(envs.env_method("action_masks"), envs.envs.masks)
    assert np.array_equal(envs.env_method("action_masks", indices=1), envs.envs.masks[1:2])
    assert envs.env_is_wrapped(object) == [False] * 3
    for refused in (lambda: envs.get_attr("gold"), lambda: envs.set_attr("gold", 1)):
        with pytest.raises(AttributeError):
            refused()
    with pytest.raises(AttributeError):
        envs.env_method("render")


@pytest.mark.parametrize("world", powerseek.list_worlds())
def test_the_library_s_checker_passes(world):
    env = WorldEnv(world)
    check_env(env)
    env.close()


@pytest.mark.parametrize("agent", LEARNERS)
def test_a_seed_gives_the_same_weights_bit_for_bit(agent):
    def weights(seed):
        done = train(Task(ladder()), agent, seed=seed, timesteps=2 * N * STEPS, settings=SMALL)
        return torch.cat([w.flatten() for w in done.model.policy.state_dict().values()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_masked_actions_are_never_picked_and_illegal_ones_are_without_masks():
    task = Task(ladder(rungs=10, hazard=0.0, max_steps=20))
    for agent, allowed in (("maskable-ppo", False), ("ppo", True)):
        done = train(task, agent, timesteps=N * STEPS, settings=SMALL)
        gold = in_time(done.model.rollout_buffer.observations)[..., 1]
        took = in_time(done.model.rollout_buffer.actions)[..., 0] == 1
        assert (took & (gold == 1)).any() == allowed
        vec = VecTask(task, 200, 0)
        for _ in range(8):
            shown = done.policy.probabilities(vec.situation)
            assert np.allclose(shown.sum(axis=1), 1)
            assert (shown[~vec.masks] > 0).any() == (allowed and not vec.masks.all())
            vec.step(np.where(vec.masks[:, 1], 1, 0))


@pytest.mark.parametrize("agent", LEARNERS)
@pytest.mark.parametrize("reward", ["dense", "terminal", {"every": 4}], ids=str)
def test_a_ladder_is_climbed(agent, reward):
    world = Ladder(rungs=4, slip=0.25, max_steps=6)
    mdp = enumerated(world)
    best = evaluate(mdp, scripted_policy(mdp, "minimalist")).success
    assert best == pytest.approx(0.83056640625)  # at least 4 of 6 at .75
    task = Task(world, reward)
    done = train(task, agent, seed=1, timesteps=8192, settings=LEARNING)
    found = rollout(done.policy, task, 4000, seed=9)
    reached = found.last("success").mean()
    assert reached > best - 0.03
    assert done.timesteps == 8192
    assert done.updates == 16 * 4 * 4
    # Exact evaluation knows no accumulators and no wasted steps.
    if agent == "maskable-ppo" and not task.windows:
        exact = evaluate(world, done.policy).success
        assert abs(reached - exact) < 4 * np.sqrt(exact * (1 - exact) / 4000)


@pytest.mark.parametrize("agent", LEARNERS)
def test_a_saved_agent_acts_as_before(agent, tmp_path):
    task = Task(ladder(), {"every": 4}, windows=(2,))
    done = train(task, agent, seed=2, timesteps=N * STEPS, settings=SMALL)
    path = save_agent(done, task, tmp_path / "agent")
    assert [file.name for file in tmp_path.iterdir()] == ["agent.zip"]
    again = load_agent(path, task)
    assert isinstance(again.policy, Policy)
    assert isinstance(again.policy, NetworkPolicy)
    vec = VecTask(task, 50, 1)
    for _ in range(8):
        before, after = (a.policy.probabilities(vec.situation) for a in (done, again))
        assert np.array_equal(before, after)
        vec.step(np.ones(50, np.int64))
    for name in ("agent", "timesteps", "updates", "first_reward", "settings"):
        assert getattr(again, name) == getattr(done, name)
    assert task_of(read_card(path), task.world) == task
    # It is the library's own format too.
    model = FAMILIES[agent].algorithm_class().load(path)
    assert torch.equal(
        model.policy.state_dict()["action_net.weight"],
        done.model.policy.state_dict()["action_net.weight"],
    )


def test_what_is_no_model_or_does_not_fit_is_refused(tmp_path):
    nothing, text, other = tmp_path / "none.zip", tmp_path / "text.zip", tmp_path / "other.zip"
    text.write_text("no model")
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("policy.pth", b"")
    for path in (nothing, text, other):
        with pytest.raises(InvalidInput, match="a model that powerseek saved"):
            load_agent(path)
    task = Task(ladder())
    trained = train(task, "maskable-ppo", timesteps=1, settings=SMALL)
    path = save_agent(trained, task, tmp_path / "a.zip")
    with pytest.raises(InvalidInput, match="first difference: progress_since_4"):
        load_agent(path, Task(ladder(), windows=(4,)))
    with pytest.raises(InvalidInput, match="observations of the task"):
        load_agent(path, Task(powerseek.make_world("off-switch")))
    assert load_agent(path, Task(ladder(rungs=5))).agent == "maskable-ppo"


def test_training_leaves_no_folder_behind():
    def folders():
        return set(Path(tempfile.gettempdir()).glob("SB3-*"))

    before = folders()
    train(Task(ladder()), timesteps=N * STEPS, settings=SMALL)
    assert folders() == before


def test_a_callback_sees_every_update_and_ends_training():
    seen = []

    def watch(now):
        vec = VecTask(Task(ladder()), 2, 0)
        seen.append((now.timesteps, now.updates, now.first_reward))
        assert np.allclose(now.policy.probabilities(vec.situation).sum(axis=1), 1)
        return now.timesteps < 2 * N * STEPS

    done = train(Task(ladder()), timesteps=99 * N * STEPS, settings=SMALL, callback=watch)
    assert [steps for steps, _, _ in seen] == [0, N * STEPS, 2 * N * STEPS]
    assert [updates for _, updates, _ in seen] == [0, 2, 4]
    assert (done.timesteps, done.updates) == (2 * N * STEPS, 4)
    assert seen[0][2] is None
    assert done.first_reward == seen[1][2]
    assert done.first_reward % N == 0

    seen.clear()
    train(Task(ladder()), timesteps=2 * N * STEPS, settings=SMALL, callback=seen.append)
    assert [now.timesteps for now in seen] == [0, N * STEPS, 2 * N * STEPS]


def test_first_reward_counts_steps_of_all_copies():
    task = Task(Ladder(slip=0.0, hazard=0.0, rungs=3), "terminal")
    envs = TaskVecEnv(task, 5, 0)
    envs.reset()
    for _ in range(2):
        envs.step(np.zeros(5, np.int64))
    assert envs.first_reward is None
    for _ in range(3):
        envs.step(np.zeros(5, np.int64))
        assert envs.first_reward == 15


def a_network(masked, net=(8,), activation="tanh", seed=0):
    """An untrained network with logits of some size, as a policy; 5 features, 3 actions."""
    family = FAMILIES["maskable-ppo" if masked else "ppo"]
    settings = network_settings({"net": list(net), "activation": activation}, family)
    torch.manual_seed(seed)
    network = family.network_class()(
        gymnasium.spaces.Box(-2, 2, (5,), np.float32),
        gymnasium.spaces.Discrete(3),
        lambda _: 0.0,
        **settings,
    )
    with torch.no_grad():
        network.action_net.weight.mul_(100)
        network.action_net.bias.normal_()
    network.set_training_mode(False)
    return NetworkPolicy(network, masked)


def situations(n, seed=0):
    """n random observations, any actions legal but at least one."""
    generator = np.random.default_rng(seed)
    masks = generator.random((n, 3)) < 0.5
    masks[np.arange(n), generator.integers(3, size=n)] = True
    observations = generator.normal(size=(n, 5)).astype(np.float32)
    return Situation(observations, masks, np.zeros(n, "V8"))


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("net", "activation"), [((8,), "tanh"), ((64, 64), "relu"), ((), "tanh")])
@pytest.mark.parametrize("scale", [0.0, 1.0, 30.0, 1e4, 1e12])
def test_probabilities_are_the_library_s(masked, net, activation, scale):
    policy, shown = a_network(masked, net, activation), situations(500)
    with torch.no_grad():
        policy.network.action_net.weight.mul_(scale)
        extra = {"action_masks": shown.masks} if masked else {}
        seen = torch.as_tensor(shown.observations)
        expected = policy.network.get_distribution(seen, **extra).distribution.probs.numpy()
    found = policy.probabilities(shown)
    assert found.dtype == np.float64
    if scale < 1e8 or not masked:  # the library's illegal actions have a logit of -1e8
        # A float32 logit is off by a part of itself, which differs between processors.
        assert np.abs(found - expected).max() < max(1e-6, 1e-7 * scale)
    assert np.abs(found.sum(axis=1) - 1).max() < 1e-12
    assert (found >= 0).all()
    if masked:
        assert (found[~shown.masks] == 0).all()
    else:
        assert scale > 1 or (found[~shown.masks] > 0).any()


def test_probabilities_of_known_logits():
    """Logits log p, whatever is seen: p, and p given what is legal."""
    shown = situations(64)
    p = np.array([0.2, 0.5, 0.3])
    for masked in (False, True):
        policy = a_network(masked)
        with torch.no_grad():
            policy.network.action_net.weight.zero_()
            policy.network.action_net.bias.copy_(torch.as_tensor(np.log(p)))
        expected = np.where(shown.masks, p, 0.0) if masked else np.tile(p, (64, 1))
        expected /= expected.sum(axis=1, keepdims=True)
        assert np.abs(policy.probabilities(shown) - expected).max() < 1e-7


@pytest.mark.parametrize("n", [1, 7, 256])
def test_where_observations_lie_in_memory_changes_nothing(n):
    """Agents that share an array must act as if each had its own."""
    policy, shown = a_network(True, (64, 64)), situations(n)
    expected = policy.probabilities(shown)
    for shift in range(17):
        held = np.zeros(shift + shown.observations.size, np.float32)
        observations = held[shift:].reshape(shown.observations.shape)
        observations[:] = shown.observations
        moved = Situation(observations, shown.masks, shown.states)
        assert policy.probabilities(moved).tobytes() == expected.tobytes()


def test_a_network_without_numbers_is_refused():
    policy = a_network(True)
    with torch.no_grad():
        policy.network.action_net.bias.fill_(torch.nan)
    for greedy in (False, True):
        with pytest.raises(InvalidInput, match="policy"):
            rollout(policy, FIVE, 3, greedy=greedy)
