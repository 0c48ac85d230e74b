"""PPO on `homestead`, paid at every step: the same settings and steps, in five libraries' ways."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import powerseek
from benchmarks.peers.sides import Comparison, Side, Work, timed
from powerseek.envs.task import Task
from powerseek.types import Floats, Situation

WORLD, STEPS, AGENTS, SEED = "homestead", 122_880, 4, 20_000
ID = "powerseek/Homestead-v0"
EPISODES = 1000
DEFAULT_STEPS = 20_480
"""Library defaults take ten updates for that many steps, and a hundred times as long for each."""


class Drawn:
    """A policy of a library that gives actions: they are drawn by `act` of observations."""

    inexact = "the library draws its actions"

    def __init__(self, act: Callable[[Any], Any]) -> None:
        self.act = act

    def probabilities(self, situation: Situation) -> Floats:
        """[n, A]: 1 at the action that was drawn."""
        drawn = np.asarray(self.act(situation.observations.copy()), np.int64)
        return np.eye(situation.masks.shape[1])[drawn]


class Masked:
    """A network that gives logits [n, A] of observations, over legal actions alone."""

    def __init__(self, logits: Callable[[Any], Any]) -> None:
        self.logits = logits

    def probabilities(self, situation: Situation) -> Floats:
        """[n, A]; rows sum to 1."""
        given = np.asarray(self.logits(situation.observations.copy()), np.float64)
        given = np.where(situation.masks, given, -np.inf)
        weights = np.exp(given - given.max(axis=1, keepdims=True))
        found: Floats = weights / weights.sum(axis=1, keepdims=True)
        return found


def task() -> Task:
    """What all of them learn."""
    return Task(powerseek.make_world(WORLD), "dense")


def settings() -> dict[str, Any]:
    """Hyperparameters of all but the library's defaults."""
    from powerseek.agents import settings_for

    return settings_for(WORLD)


Learning = Callable[[int], tuple[Any, int]]
"""Steps to take -> the policy, and steps taken."""


def _work(make: Callable[[int], Learning], steps: int = STEPS) -> Work:
    """The work of a side: `make` takes a seed; what it makes is compiled already."""
    from powerseek.agents import rollout, without_interruption

    calm = without_interruption(task())
    make(SEED)(1)

    def work(turn: int) -> dict[str, Any]:
        learn = make(SEED + AGENTS * turn)
        seconds, (policy, taken) = timed(lambda: learn(steps), 0)
        success = rollout(policy, calm, EPISODES, SEED).last("success")
        return {"seconds": seconds, "steps": taken, "competence": float(success.mean())}

    return work


def cohort() -> Work:
    """``cohort-ppo``: a cohort of `AGENTS`."""
    from powerseek.agents import Job
    from powerseek.agents.cohort.train import train_cohort

    def learn(seed: int, steps: int) -> tuple[Any, int]:
        jobs = [Job(task(), seed + i, steps, settings()) for i in range(AGENTS)]
        done: Any = train_cohort(jobs, 1)
        return done[0].policy, done[0].timesteps * AGENTS

    return _work(lambda seed: partial(learn, seed))


def maskable() -> Work:
    """``maskable-ppo``: sb3-contrib on the compiled world."""
    from powerseek.agents import train as trained

    def learn(seed: int, steps: int) -> tuple[Any, int]:
        done = trained(task(), "maskable-ppo", seed=seed, timesteps=steps)
        return done.policy, done.timesteps

    return _work(lambda seed: partial(learn, seed))


def defaults() -> Work:
    """Stable-Baselines3's PPO as its documentation begins: one environment, all defaults."""
    import gymnasium
    import torch
    from stable_baselines3 import PPO

    torch.set_num_threads(1)

    def learn(seed: int, steps: int) -> tuple[Any, int]:
        model = PPO("MlpPolicy", gymnasium.make(ID), seed=seed, device="cpu")
        model.learn(steps)
        return Drawn(lambda seen: model.predict(seen)[0]), model.num_timesteps

    return _work(lambda seed: partial(learn, seed), DEFAULT_STEPS)


def sbx() -> Work:
    """PPO of SBX (jax) on the compiled world; it has no masks."""
    import flax.linen
    from sbx import PPO

    from powerseek.agents.sb3.adapter import TaskVecEnv

    chosen = settings()
    same = (
        *("n_steps", "batch_size", "n_epochs", "learning_rate", "ent_coef"),
        *("gae_lambda", "clip_range", "vf_coef", "max_grad_norm"),
    )

    def make(seed: int) -> Learning:
        envs = TaskVecEnv(task(), chosen["n_envs"], seed)
        network = {"net_arch": chosen["net"], "activation_fn": flax.linen.tanh}
        given = {name: chosen[name] for name in same}
        model = PPO("MlpPolicy", envs, seed=seed, gamma=1.0, policy_kwargs=network, **given)
        model.learn(1)  # one update: every instance compiles its own

        def learn(steps: int) -> tuple[Any, int]:
            model.learn(steps)
            return Drawn(lambda seen: model.predict(seen)[0]), model.num_timesteps

        return learn

    return _work(make)


def loop() -> Work:
    """A loop as CleanRL writes it, in PyTorch, on gymnasium's vector interface."""
    from benchmarks.peers.torch_ppo import train as trained

    def learn(seed: int, steps: int) -> tuple[Any, int]:
        logits, taken = trained(ID, settings(), seed, steps)
        return Masked(logits), taken

    return _work(lambda seed: partial(learn, seed))


def jax_vmap() -> Work:
    """A loop as PureJaxRL writes it: `AGENTS` learners at once by ``jax.vmap``."""
    from benchmarks.peers.jax_ppo import Learners

    learners = Learners(task(), settings(), AGENTS)

    def learn(seed: int, steps: int) -> tuple[Any, int]:
        logits, taken = learners.train(seed, steps)
        return Masked(logits), taken

    return _work(lambda seed: partial(learn, seed))


COMPARISONS = {
    "training": Comparison(
        f"PPO on `{WORLD}`, {STEPS:,} steps an agent",
        {
            "cohort-ppo": Side("`cohort-ppo`", "powerseek", cohort),
            "jax": Side(f"jax: `vmap` over {AGENTS} agents, our loop", "jax", jax_vmap),
            "sbx": Side("SBX PPO (no masks)", "sbx-rl", sbx),
            "maskable-ppo": Side("sb3-contrib `MaskablePPO`", "sb3-contrib", maskable),
            "loop": Side("PyTorch, CleanRL's loop rewritten", "torch", loop),
            "defaults": Side(
                f"Stable-Baselines3, all defaults, {DEFAULT_STEPS:,} steps",
                "stable-baselines3",
                defaults,
            ),
        },
    )
}
