"""The arithmetic of a cohort's PPO, against the library's own and against closed forms."""

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy
from worlds import Ladder

from powerseek.agents import Job
from powerseek.agents.cohort.backend import Compiled, OnDevice
from powerseek.agents.cohort.loss import draw_actions, estimate_advantages
from powerseek.agents.cohort.network import Adam, Networks
from powerseek.agents.cohort.ppo import LOSSES, Learner, Workspace
from powerseek.agents.sb3.adapter import spaces
from powerseek.agents.sb3.families import FAMILIES
from powerseek.agents.sb3.learner import LibraryLearner, network_settings
from powerseek.agents.settings import settings_for
from powerseek.envs.task import Task, VecTask

N, STEPS, SEED = 6, 20, 5
FAMILY = FAMILIES["maskable-ppo"]
SETTINGS = settings_for(
    "test.ladder",
    {"n_envs": N, "n_steps": STEPS, "batch_size": 40, "n_epochs": 3, "net": [16, 8]},
)
LIMITS = [("terminal", 1.0), ("bootstrap", 0.9)]
KINDS = [Compiled, OnDevice]  # the second by PyTorch, here on the processor too


def ladder_task(time_limit="terminal", gamma=1.0):
    world = Ladder(hazard=0.1, max_steps=6)
    return Task(world, {"every": 4, "corrected": True}, gamma, time_limit)


def network_of(task, settings, seed=0):
    torch.manual_seed(seed)
    return MaskableActorCriticPolicy(
        *spaces(task.observation_size, task.n_actions),
        lambda _: 0.0,
        **network_settings(settings, FAMILY),
    )


def prepared(task, settings=SETTINGS, total=10**6, network=None, kind=Compiled):
    """A learner that has not learnt, and where it computes."""
    network = network_of(task, settings) if network is None else network
    workspace = Workspace(settings, task.observation_size, task.n_actions)
    assert isinstance(workspace.passes, Compiled)
    workspace.passes = kind(settings["net"], task.observation_size, task.n_actions)
    return Learner(Job(task, SEED, total, settings), network), workspace


def parameters(network):
    return torch.cat([p.detach().flatten() for p in network.parameters()])


# --- one update is the library's ------------------------------------------------------------


def fill(buffer, model, task):
    """The library's experience, as ours; advantages and returns are left to us."""
    theirs = model.rollout_buffer
    buffer.observations[:] = theirs.observations.reshape(N * STEPS, -1)
    buffer.masks[:] = theirs.action_masks.reshape(N * STEPS, -1) > 0
    buffer.actions[:] = theirs.actions.reshape(-1)
    buffer.log_probabilities[:] = theirs.log_probs.reshape(-1)
    buffer.rewards[:] = theirs.rewards
    buffer.ended[:-1] = theirs.episode_starts[1:]
    buffer.ended[-1] = model._last_episode_starts
    buffer.values[:-1] = theirs.values
    with torch.no_grad():
        last = model.policy.predict_values(torch.as_tensor(model._last_obs))
    buffer.values[-1] = last.numpy()[:, 0]


def step_by_step(order):
    """Rows of the library's flattened buffer (copy by copy) as rows of ours."""
    return (order % STEPS) * N + order // STEPS


@pytest.mark.parametrize(("time_limit", "gamma"), LIMITS)
@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("kind", KINDS)
def test_updates_are_those_of_the_library(time_limit, gamma, activation, kind):
    task = ladder_task(time_limit, gamma)
    settings = {**SETTINGS, "activation": activation, "ent_coef": 0.05, "gae_lambda": 0.9}
    settings |= {
        "learning_rate": 2e-3,
        "final_learning_rate": 0.0,
        "max_grad_norm": 0.3,
        "clip_range": 0.01,
    }
    total = 10 * N * STEPS
    model = LibraryLearner(Job(task, SEED, total, settings), FAMILY, "maskable-ppo").model
    learner, workspace = prepared(task, settings, total, copy.deepcopy(model.policy), kind)
    buffer = workspace.buffer
    _, callback = model._setup_learn(total, None, True, "", False)
    for update in range(3):
        before = parameters(model.policy)
        model.collect_rollouts(model.env, callback, model.rollout_buffer, STEPS)
        fill(buffer, model, task)
        buffer.estimate(task.gamma, settings["gae_lambda"])
        assert buffer.ended.any()
        assert not buffer.ended.all()
        assert np.allclose(buffer.advantages, model.rollout_buffer.advantages, atol=1e-6)
        assert np.allclose(buffer.returns, model.rollout_buffer.returns, atol=1e-6)

        model._update_current_progress_remaining(model.num_timesteps, total)
        np.random.seed(update)  # noqa: NPY002  # the library shuffles with it
        model.train()
        same = np.random.RandomState(update)  # as above
        learner.timesteps = model.num_timesteps
        learner.learn(workspace, [step_by_step(same.permutation(N * STEPS)) for _ in range(3)])

        moved = parameters(model.policy) - before
        assert moved.abs().max() > 5e-3
        ours = torch.cat([p.flatten() for p in flat_parameters(learner)])
        assert (ours - parameters(model.policy)).abs().max() < 1e-5
        assert learner.learning_rate == pytest.approx(2e-3 * (1 - (update + 1) / 10))
        assert learner.learning_rate == model.policy.optimizer.param_groups[0]["lr"]
        logged = model.logger.name_to_value
        for name, theirs in {
            "policy_loss": logged["train/policy_gradient_loss"],
            "entropy": -logged["train/entropy_loss"],
            "clip_fraction": logged["train/clip_fraction"],
            "value_loss": logged["train/value_loss"],
        }.items():
            assert learner.losses[name] == pytest.approx(theirs, abs=1e-5), name
    assert model.logger.name_to_value["train/clip_fraction"] > 0
    assert learner.updates == 3 * 3 * 3


def flat_parameters(learner):
    """Parameters in the library's order."""
    policy, value = learner.networks.policy, learner.networks.value
    for layer in (*policy[:-1], *value[:-1], policy[-1], value[-1]):
        yield layer.weight
        yield layer.bias


# --- the gradient ---------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("net", [[16, 8], [7], [], [40, 70, 33]], ids=str)
@pytest.mark.parametrize("size", [40, 64, 97])
@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_is_that_of_automatic_differentiation(activation, net, size, kind):
    task = ladder_task()
    settings = {**SETTINGS, "net": net, "activation": activation, "clip_range": 0.1}
    reference = network_of(task, settings, 3)
    with torch.no_grad():
        for parameter in reference.parameters():
            parameter += (0.3 if len(net) < 3 else 0.1) * torch.randn_like(parameter)
    learner, workspace = prepared(task, settings, network=copy.deepcopy(reference), kind=kind)
    learner.collect(workspace)
    buffer, generator = workspace.buffer, np.random.default_rng(0)
    buffer.log_probabilities += generator.normal(0, 0.2, N * STEPS)  # so that some are clipped
    rows = generator.permutation(N * STEPS)[:size]
    found = dict(zip(LOSSES, learner.grad(workspace, rows), strict=False))

    actions, masks = torch.as_tensor(buffer.actions[rows]), torch.as_tensor(buffer.masks[rows])
    advantages = torch.as_tensor(buffer.advantages.ravel()[rows])
    advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
    reference.double()
    seen = torch.as_tensor(buffer.observations[rows]).double()
    latent_policy, latent_value = reference.mlp_extractor(seen)
    values = reference.value_net(latent_value)
    chances = reference._get_action_dist_from_latent(latent_policy)
    chances.apply_masking(masks)
    log_p, entropy = chances.log_prob(actions), chances.entropy()
    ratio = torch.exp(log_p - torch.as_tensor(buffer.log_probabilities[rows]))
    clipped = torch.clamp(ratio, 0.9, 1.1)
    policy_loss = -torch.min(advantages * ratio, advantages * clipped).mean()
    value_loss = ((torch.as_tensor(buffer.returns.ravel()[rows]) - values[:, 0]) ** 2).mean()
    loss = policy_loss - settings["ent_coef"] * entropy.mean() + settings["vf_coef"] * value_loss
    loss.backward()

    expected = torch.cat([p.grad.flatten() for p in reference.parameters()])
    grads = [getattr(layer, name) for layer in ordered(learner) for name in GRADS]
    actual = torch.cat([grad.flatten() for grad in grads])
    assert expected.abs().max() > 0.01
    assert (actual - expected).abs().max() < 1e-6
    assert found["policy_loss"] == pytest.approx(policy_loss.item(), abs=1e-6)
    assert found["value_loss"] == pytest.approx(value_loss.item(), abs=1e-6)
    assert found["entropy"] == pytest.approx(entropy.mean().item(), abs=1e-6)
    assert found["clip_fraction"] == ((ratio - 1).abs() > 0.1).double().mean().item() > 0.1
    # The padding between tensors is no parameter.
    assert learner.networks.grad.count_nonzero() == actual.count_nonzero()


GRADS = ("weight_grad", "bias_grad")


def ordered(learner):
    policy, value = learner.networks.policy, learner.networks.value
    return (*policy[:-1], *value[:-1], policy[-1], value[-1])


@pytest.mark.parametrize("compiled", [True, False])
def test_the_optimiser_is_the_library_s(compiled, monkeypatch):
    monkeypatch.setattr("powerseek.agents.cohort.network.compiles", lambda device: compiled)
    generator = torch.Generator().manual_seed(0)
    ours = torch.randn(80, generator=generator)
    theirs = torch.nn.Parameter(ours.clone())
    adam, reference = Adam(80), torch.optim.Adam([theirs], lr=0.01, eps=1e-5)
    for k in range(30):
        grad = torch.randn(80, generator=generator) * 10.0 ** (k % 5 - 3)
        theirs.grad = grad.clone()
        norm = torch.nn.utils.clip_grad_norm_([theirs], 0.5).item()
        assert adam.step(ours, grad, 0.01, 0.5) == pytest.approx(norm)
        reference.step()
        assert torch.allclose(ours, theirs.detach(), atol=1e-6)
        assert torch.allclose(adam.mean, reference.state[theirs]["exp_avg"], atol=1e-7)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", [1, 50, 200])
def test_networks_say_what_the_library_s_say_and_share_its_weights(activation, kind, rows):
    task = ladder_task()
    settings = {**SETTINGS, "activation": activation}
    network = network_of(task, settings)
    networks = Networks(network)
    passes = kind(settings["net"], task.observation_size, 3)
    inputs = 3 * torch.randn(rows, task.observation_size)
    for factor in (1.0, 5.0, 40.0):  # up to saturation
        networks.weights.mul_(factor)
        with torch.no_grad():
            values = network.predict_values(inputs)
            expected = network.get_distribution(inputs).distribution.probs
        found = torch.softmax(torch.from_numpy(passes.logits(networks, inputs.numpy())), 1)
        near = 2e-6 * (1 + values.abs().max())
        assert torch.allclose(found, expected, atol=2e-6 * factor**2)
        found = torch.from_numpy(passes.values(networks, inputs.numpy()))
        assert torch.allclose(found, values, atol=near.item(), rtol=1e-5)


# --- advantages and draws -------------------------------------------------------------------


def test_advantages_of_a_short_story():
    # Rewards 1, 2 and 4; the first episode ends with the second step. By hand:
    # delta_2 = 4 + .5 * 8 - 3 = 5; delta_1 = 2 - 2 = 0; delta_0 = 1 + .5 * 2 - 1 = 1.
    rewards, values = np.array([[1.0], [2.0], [4.0]]), np.array([[1.0], [2.0], [3.0], [8.0]])
    ended = np.array([[False], [True], [False]])
    advantages, returns = np.empty((2, 3, 1))
    estimate_advantages(rewards, values, ended, 0.5, 0.5, advantages, returns)
    assert advantages.ravel().tolist() == [1.0, 0.0, 5.0]
    assert returns.ravel().tolist() == [2.0, 2.0, 8.0]
    estimate_advantages(rewards, values, ended & False, 0.5, 0.5, advantages, returns)
    # Now delta_1 = 2 + 1.5 - 2 = 1.5, so 1.5 + .25 * 5 = 2.75 and 1 + .25 * 2.75 = 1.6875.
    assert advantages.ravel().tolist() == [1.6875, 2.75, 5.0]


def draw(logits, masks, draws):
    rows = np.broadcast_to(np.asarray(logits, np.float32), (len(draws), len(logits)))
    legal = np.broadcast_to(np.asarray(masks, np.bool_), rows.shape)
    actions, log_p = np.empty(len(draws), np.int64), np.empty(len(draws))
    draw_actions(rows.copy(), legal.copy(), np.asarray(draws), actions, log_p)
    return actions, log_p


def test_actions_are_drawn_by_their_probabilities():
    logits, masks = [0.0, math.log(2), 9.0, math.log(5)], [True, True, False, True]
    actions, log_p = draw(logits, masks, (np.arange(8000) + 0.5) / 8000)
    assert np.bincount(actions, minlength=4).tolist() == [1000, 2000, 0, 5000]
    expected = np.log(np.array([1 / 8, 2 / 8, np.nan, 5 / 8]))[actions]
    assert np.allclose(log_p, expected, atol=1e-6)


@given(
    st.lists(st.floats(-200, 200, width=32), min_size=1, max_size=9),
    st.integers(1, 2**9 - 1),
    st.floats(0, 1, exclude_max=True),
)
def test_illegal_and_impossible_actions_are_never_drawn(logits, legal, drawn):
    masks = np.array([bool(legal >> a & 1) for a in range(len(logits))])
    if not masks.any():
        masks[-1] = True
    for uniform in (drawn, 0.0, math.nextafter(1.0, 0.0)):
        (action,), (log_p,) = draw(logits, masks, [uniform])
        assert masks[action]
        top = max(np.float32(z) for z, ok in zip(logits, masks, strict=True) if ok)
        assert np.float32(logits[action]) - top > -110  # else its weight is 0
        assert -120 < log_p <= 0


# --- experience -----------------------------------------------------------------------------


@pytest.mark.parametrize(("time_limit", "gamma"), LIMITS)
def test_experience_is_what_happened(time_limit, gamma):
    task = ladder_task(time_limit, gamma)
    learner, workspace = prepared(task)
    network, buffer = network_of(task, SETTINGS), workspace.buffer
    vec, cut, first = VecTask(task, N, SEED), 0, None
    for k in range(2):
        learner.collect(workspace)
        for t in range(STEPS):
            now = buffer.at(t)
            seen = torch.from_numpy(vec.observations.copy())
            assert np.array_equal(buffer.observations[now], seen)
            assert np.array_equal(buffer.masks[now], vec.masks)
            assert vec.masks[np.arange(N), buffer.actions[now]].all()
            with torch.no_grad():
                values, log_p, _ = network.evaluate_actions(
                    seen, torch.as_tensor(buffer.actions[now]), torch.as_tensor(vec.masks)
                )
            assert np.allclose(buffer.values[t], values[:, 0], atol=1e-6)
            assert np.allclose(buffer.log_probabilities[now], log_p, atol=1e-6)
            vec.step(buffer.actions[now])
            if first is None and vec.rewards.any():
                first = (k * STEPS + t + 1) * N
            with torch.no_grad():
                ahead = network.predict_values(torch.from_numpy(vec.final_observations))
            expected = vec.rewards + np.where(vec.truncated, gamma * ahead[:, 0].numpy(), 0.0)
            assert np.allclose(buffer.rewards[t], expected, atol=1e-6)
            assert np.array_equal(buffer.ended[t], vec.ended)
            cut += vec.truncated.sum()
        left = network.predict_values(torch.from_numpy(vec.observations))
        assert np.allclose(buffer.values[-1], left[:, 0].detach(), atol=1e-6)
    assert (cut > 0) == (time_limit == "bootstrap")
    assert learner.timesteps == 2 * N * STEPS
    assert learner.first_reward == first
