"""The measures themselves: each returns numbers, run in a process of its own."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import powerseek
from powerseek.envs import VecWorld
from powerseek.envs.task import Task

WORLD = "homestead"
COPIES = 64
PLAIN_STEPS, TRAINING_STEPS = 60_000, 120_000
"""Training budgets: the compiled side gets more steps, so that it ends at least as competent."""
SECONDS = 3.0
SEED = 20_000
"""Apart from the seeds of studies (0 and up) and of tuning (10,000 and up)."""


def rate(
    step: Callable[[], int],
    seconds: float = SECONDS,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Steps per second of `clock` of `step`, which returns how many it took, over some seconds."""
    step()
    taken, begun = 0, clock()
    while (spent := clock() - begun) < seconds:
        taken += step()
    return taken / spent


def simulator(world: str) -> dict[str, float]:
    """VecWorld with observations, masks and facts, random legal-or-not actions."""
    speeds = {}
    for copies in (1, COPIES, 1024):
        vec = VecWorld(powerseek.make_world(world), copies, SEED)
        actions = np.random.default_rng(0).integers(0, vec.masks.shape[1], (64, copies))
        turn = iter(range(10**9))

        def step(vec: VecWorld = vec, actions: Any = actions, turn: Any = turn) -> int:
            for _ in range(50):
                vec.step(actions[next(turn) % 64])
            return 50 * vec.n

        speeds[str(copies)] = rate(step)
    return speeds


def sb3_simulator() -> dict[str, float]:
    """The compiled world through Stable-Baselines3's VecEnv interface."""
    from powerseek.agents.sb3.adapter import TaskVecEnv

    return {"steps_per_second": _vec_env(TaskVecEnv(_task(), COPIES, SEED))}


def plain_simulator() -> dict[str, float]:
    """Plain Python under Stable-Baselines3's DummyVecEnv."""
    from stable_baselines3.common.vec_env import DummyVecEnv

    from benchmarks.plain import PlainEnv

    makers = [partial(PlainEnv, WORLD, seed) for seed in range(COPIES)]
    return {"steps_per_second": _vec_env(DummyVecEnv(makers))}


def _vec_env(envs: Any) -> float:
    envs.reset()
    actions = np.random.default_rng(0).integers(0, envs.action_space.n, (64, envs.num_envs))
    turn = iter(range(10**9))

    def step() -> int:
        for _ in range(10):
            envs.step(actions[next(turn) % 64])
        return 10 * int(envs.num_envs)

    return rate(step)


def _task() -> Task:
    return Task(powerseek.make_world(WORLD), "dense")


def training() -> dict[str, float]:
    """``maskable-ppo`` with our settings on the compiled world, then competence."""
    from powerseek.agents import rollout, train, without_interruption

    task = _task()
    train(task, "maskable-ppo", seed=SEED, timesteps=4096)
    begun = time.perf_counter()
    trained = train(task, "maskable-ppo", seed=SEED, timesteps=TRAINING_STEPS)
    spent = time.perf_counter() - begun
    seen = rollout(trained.policy, without_interruption(task), 1000, SEED)
    return {
        "seconds": spent,
        "steps_per_second": trained.timesteps / spent,
        "competence": float(seen.last("success").mean()),
    }


def plain_training() -> dict[str, float]:
    """SB3's PPO with library defaults, one plain Python environment, then competence."""
    import torch
    from stable_baselines3 import PPO

    from benchmarks.plain import PlainEnv

    torch.set_num_threads(1)
    model = PPO("MlpPolicy", PlainEnv(WORLD, SEED), seed=SEED, device="cpu")
    begun = time.perf_counter()
    model.learn(PLAIN_STEPS)
    spent = time.perf_counter() - begun
    calm = PlainEnv(WORLD, SEED + 1, **powerseek.make_world(WORLD).calm)
    succeeded = [_plain_episode(model, calm) for _ in range(400)]
    return {
        "seconds": spent,
        "steps_per_second": model.num_timesteps / spent,
        "competence": float(np.mean(succeeded)),
    }


def _plain_episode(model: Any, env: Any) -> float:
    seen, _ = env.reset()
    while True:
        action, _ = model.predict(seen)
        seen, _, ended, _, info = env.step(int(action))
        if ended:
            return float(info["success"])


STUDY = """
name: overhead
worlds: [{id: homestead, openness: [1]}]
rewards: [dense]
seeds: 16
timesteps: 60000
"""


def ray_overhead() -> dict[str, float]:
    """Share of a small sweep's wall time in which no trial was at work, start-up included."""
    import json

    from powerseek.experiments import layout
    from powerseek.experiments.run import run_study

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "overhead.yaml"
        path.write_text(STUDY)
        finished = run_study(path, Path(folder) / "out", workers=min(2, os.cpu_count() or 1))
        found = json.loads((finished.store.out / layout.PROVENANCE).read_text())
    run = found["runs"][-1]
    return {
        "wall": run["wall_seconds"],
        "work": run["trial_seconds"] / run["workers"],
        "trials": found["trials"],
        "workers": run["workers"],
        "overhead": 1 - run["trial_seconds"] / run["workers"] / run["wall_seconds"],
    }


ALL: dict[str, Callable[[], dict[str, float]]] = {
    "plain-simulator": plain_simulator,
    "sb3-simulator": sb3_simulator,
    **{f"simulator-{w}": partial(simulator, w) for w in ("homestead", "endgame", "off-switch")},
    "plain-training": plain_training,
    "training": training,
    "ray-overhead": ray_overhead,
}
