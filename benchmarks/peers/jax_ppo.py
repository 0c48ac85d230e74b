"""PPO as PureJaxRL writes it: several learners by ``jax.vmap``, compiled whole, on our copies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from powerseek.envs.task import Task, VecTask


class Learners:
    """As many learners as `agents`, one after another's seed; compiled once.

    Args:
        task: What they learn.
        settings: As ``cohort-ppo`` has them.
        agents: How many learn side by side.
    """

    def __init__(self, task: Task, settings: Mapping[str, Any], agents: int) -> None:
        self.task, self.settings, self.agents = task, settings, agents
        self.optimiser = optax.chain(
            optax.clip_by_global_norm(settings["max_grad_norm"]),
            optax.adam(settings["learning_rate"], eps=1e-5),
        )
        self.make = jax.jit(jax.vmap(self._made))
        self.act = jax.jit(jax.vmap(_act))
        self.learn = jax.jit(jax.vmap(partial(_learn, settings, self.optimiser)))

    def train(self, seed: int, steps: int) -> tuple[Callable[[Any], Any], int]:
        """(Logits of the first agent, steps taken by all)."""
        agents, copies, length = self.agents, self.settings["n_envs"], self.settings["n_steps"]
        envs = VecTask([self.task] * agents, copies, [seed + i for i in range(agents)])
        keys = jax.vmap(jax.random.PRNGKey)(jnp.arange(seed, seed + agents))
        state = self.make(keys)

        def rows(array: Any) -> Any:
            return array.reshape(agents, copies, *array.shape[1:]).copy()

        taken = 0
        while taken < steps:
            steps_seen = []
            for _ in range(length):
                seen, masks = rows(envs.observations), rows(envs.masks)
                actions, logs, keys = self.act(state[0], seen, masks, keys)
                actions = np.asarray(actions)
                envs.step(actions.reshape(-1).astype(np.int64))
                rewards = rows(envs.rewards).astype(np.float32)
                steps_seen.append((seen, masks, actions, logs, rewards, rows(envs.ended)))
                taken += copies
            batch = [np.stack(part, axis=1) for part in zip(*steps_seen, strict=True)]
            state, keys = self.learn(state, batch, rows(envs.observations), keys)
        jax.block_until_ready(state)
        first = jax.tree.map(lambda array: array[0], state[0])
        return partial(_forward, first["actor"]), taken * agents

    def _made(self, key: Any) -> Any:
        size, net = self.task.observation_size, self.settings["net"]
        a, b = jax.random.split(key)
        actor = _layers(a, [size, *net, self.task.n_actions], 0.01)
        weights = {"actor": actor, "critic": _layers(b, [size, *net, 1], 1.0)}
        return weights, self.optimiser.init(weights)


def _layers(key: Any, widths: list[int], gain: float) -> Any:
    layers = []
    for i, (a, b) in enumerate(pairwise(widths)):
        key, own = jax.random.split(key)
        scale = gain if i == len(widths) - 2 else 2**0.5
        layers.append((jax.nn.initializers.orthogonal(scale)(own, (a, b)), jnp.zeros(b)))
    return layers


def _forward(layers: Any, x: Any) -> Any:
    for w, b in layers[:-1]:
        x = jnp.tanh(x @ w + b)
    w, b = layers[-1]
    return x @ w + b


def _logs(weights: Any, seen: Any, masks: Any) -> Any:
    """Logarithms of the probabilities of all actions."""
    return jax.nn.log_softmax(jnp.where(masks, _forward(weights["actor"], seen), -1e8))


def _act(weights: Any, seen: Any, masks: Any, key: Any) -> Any:
    key, own = jax.random.split(key)
    logs = _logs(weights, seen, masks)
    actions = jax.random.categorical(own, logs)
    return actions, jnp.take_along_axis(logs, actions[:, None], 1)[:, 0], key


def _learn(settings: Any, optimiser: Any, state: Any, batch: Any, last: Any, key: Any) -> Any:
    """One update of one agent: advantages, then all epochs."""
    seen, masks, actions, logs, rewards, ended = batch
    weights = state[0]
    values = _forward(weights["critic"], seen)[..., 0]
    end = _forward(weights["critic"], last)[..., 0]

    def back(carried: Any, step: Any) -> Any:
        advantage, following = carried
        reward, over, value = step
        going = 1.0 - over
        delta = reward + following * going - value
        advantage = delta + settings["gae_lambda"] * going * advantage
        return (advantage, value), advantage

    start = (jnp.zeros_like(end), end)
    _, advantages = jax.lax.scan(back, start, (rewards, ended, values), reverse=True)
    buffer = (seen, masks, actions, logs, advantages, advantages + values)
    flat = [part.reshape(-1, *part.shape[2:]) for part in buffer]
    size = len(flat[0])
    gradient = jax.grad(partial(_loss, settings))

    def step(state: Any, rows: Any) -> Any:
        weights, moments = state
        found = gradient(weights, [part[rows] for part in flat])
        changes, moments = optimiser.update(found, moments)
        return (optax.apply_updates(weights, changes), moments), None

    def epoch(state: Any, key: Any) -> Any:
        order = jax.random.permutation(key, size).reshape(-1, settings["batch_size"])
        return jax.lax.scan(step, state, order)[0], None

    key, own = jax.random.split(key)
    state, _ = jax.lax.scan(epoch, state, jax.random.split(own, settings["n_epochs"]))
    return state, key


def _loss(settings: Any, weights: Any, batch: Any) -> Any:
    seen, masks, actions, old, advantages, returns = batch
    logs = _logs(weights, seen, masks)
    ratio = jnp.exp(jnp.take_along_axis(logs, actions[:, None], 1)[:, 0] - old)
    gained = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
    clip = settings["clip_range"]
    paid = jnp.minimum(gained * ratio, gained * jnp.clip(ratio, 1 - clip, 1 + clip)).mean()
    error = jnp.square(_forward(weights["critic"], seen)[..., 0] - returns).mean()
    entropy = -(jnp.exp(logs) * jnp.where(masks, logs, 0.0)).sum(axis=1).mean()
    return settings["vf_coef"] * error - paid - settings["ent_coef"] * entropy
