"""Training in cohorts: against Stable-Baselines3, by size, and against what products cost.

Every side of a ratio trains at the same settings on the same task for the same number of steps, on
the same seeds, and is judged by the same competence. Seconds are of processor time (what the
other programs of a machine take is not counted) and of wall time.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

import powerseek
from powerseek.envs.task import Task

SEED = 20_000
SEEDS = 4
ROUNDS = 2
SHORT, LONG = 40_960, 122_880
"""Steps of the two lengths from which a grid's time is extrapolated."""
SIZES = (1, 2, 8, 32, 128)
LIBRARY: dict[str, Any] = {
    "n_envs": 1,
    "n_steps": 2048,
    "batch_size": 64,
    "n_epochs": 10,
    "learning_rate": 3e-4,
    "final_learning_rate": 3e-4,
    "ent_coef": 0.0,
    "gae_lambda": 0.95,
    "clip_range": 0.2,
    "vf_coef": 0.5,
    "max_grad_norm": 0.5,
}
"""Defaults of Stable-Baselines3's PPO, one environment."""


class Case(NamedTuple):
    """What both sides of a ratio are trained on."""

    world: str
    settings: Mapping[str, Any]
    steps: int


CASES = {
    "homestead": Case("homestead", {}, 122_880),
    "endgame": Case("endgame", {}, 122_880),
    "off-switch": Case("off-switch", {}, 122_880),
    "homestead-batch-64": Case("homestead", {**LIBRARY, "n_envs": 8, "n_steps": 256}, 40_960),
    "homestead-library": Case("homestead", LIBRARY, 40_960),
}
SIDES = ("cohort-ppo", "maskable-ppo", "ppo")


def trained(case: str, side: str, threads: int) -> dict[str, float]:
    """Train on each of the seeds; `threads` of PyTorch, or of a cohort of all seeds."""
    from powerseek.agents import Job, rollout, settings_for, without_interruption
    from powerseek.agents.cohort.train import train_cohort

    world, settings, steps = CASES[case]
    task, seeds = Task(powerseek.make_world(world), "dense"), range(SEED, SEED + SEEDS)
    spent: list[tuple[float, float]] = []
    if side == "cohort-ppo":
        jobs = [Job(task, seed, steps, settings_for(world, settings)) for seed in seeds]
        train_cohort([replace(jobs[0], timesteps=1)])  # compiled
        for _ in range(SEEDS):  # as often as the other side is timed
            begun = _now()
            done = train_cohort(jobs, threads)
            spent.append(tuple((b - a) / SEEDS for a, b in zip(begun, _now(), strict=True)))
        policies = [agent.policy for agent in done]
        taken = done[0].timesteps
    else:
        _library(task, side, 0, settings, 1, threads)
        policies = []
        for seed in seeds:
            begun = _now()
            policy, taken = _library(task, side, seed, settings, steps, threads)
            spent.append(tuple(b - a for a, b in zip(begun, _now(), strict=True)))
            policies.append(policy)
    seen = [rollout(policy, without_interruption(task), 1000, SEED) for policy in policies]
    competence = np.mean([one.last("success").mean() for one in seen])
    return {**_speeds(taken, spent), "competence": float(competence)}


def _library(
    task: Task, side: str, seed: int, given: Mapping[str, Any], steps: int, threads: int
) -> tuple[Any, int]:
    """Stable-Baselines3 on compiled copies, as `train` runs it, but for the threads."""
    import torch

    from powerseek.agents import Job, settings_for
    from powerseek.agents.sb3.families import FAMILIES
    from powerseek.agents.sb3.learner import LibraryLearner

    job = Job(task, seed, steps, settings_for(task.world.id, given))
    learner = LibraryLearner(job, FAMILIES[side], side)
    torch.set_num_threads(threads)
    while learner.timesteps < steps:
        learner.update()
    return learner.policy, learner.timesteps


def plain(case: str) -> dict[str, float]:
    """Stable-Baselines3's PPO on copies of the world in plain Python, one seed."""
    import torch
    from stable_baselines3 import PPO
    from stable_baselines3.common.vec_env import DummyVecEnv

    from benchmarks.measures import _plain_episode
    from benchmarks.plain import PlainEnv
    from powerseek.agents.sb3.families import FAMILIES
    from powerseek.agents.sb3.learner import library_settings
    from powerseek.agents.settings import settings_for

    torch.set_num_threads(1)
    world, given, steps = CASES[case]
    chosen = settings_for(world, given)
    envs = DummyVecEnv([partial(PlainEnv, world, SEED + i) for i in range(chosen["n_envs"])])
    model = PPO(
        "MlpPolicy",
        envs,
        seed=SEED,
        device="cpu",
        **library_settings(FAMILIES["ppo"], chosen, gamma=1.0),
    )
    begun = _now()
    model.learn(steps)
    spent = [tuple(b - a for a, b in zip(begun, _now(), strict=True))]
    calm = PlainEnv(world, SEED + 1, **powerseek.make_world(world).calm)
    succeeded = [_plain_episode(model, calm) for _ in range(400)]
    return {**_speeds(model.num_timesteps, spent), "competence": float(np.mean(succeeded))}


def _now() -> tuple[float, float]:
    return time.process_time(), time.perf_counter()


def _speeds(steps: int, spent: Sequence[tuple[float, ...]]) -> dict[str, float]:
    """Steps per second of processor and wall time, best and median."""
    times = np.array(spent)
    best, usual = steps / times.min(axis=0), steps / np.median(times, axis=0)
    return {"best": best[0], "median": usual[0], "wall_best": best[1], "wall_median": usual[1]}


# --- by size --------------------------------------------------------------------------------


def sized(agents: int, threads: int, world: str = "homestead") -> dict[str, float]:
    """A cohort of so many agents, ten updates each.

    Returns:
        Steps/s of training of processor and wall time; ``made``, milliseconds to make an agent
        and to hand it back; ``megabytes`` of the process once all are trained.
    """
    from powerseek.agents import Job, settings_for
    from powerseek.agents.cohort.train import train_cohort

    task, begun = Task(powerseek.make_world(world), "dense"), []
    steps, chosen = 10 * 4096, settings_for(world)

    def told(now: Any) -> None:
        begun.append((_now(), _megabytes()))

    jobs = [Job(task, seed, steps, chosen, told) for seed in range(SEED, SEED + agents)]
    train_cohort([Job(task, 0, 1, chosen)])
    first = _now()
    done = train_cohort(jobs, threads)
    last, spent = _now(), [b - a for a, b in zip(begun[0][0], begun[-1][0], strict=True)]
    beside = last[0] - first[0] - spent[0]
    return {
        "per_second": done[0].timesteps * agents / spent[0],
        "wall": done[0].timesteps * agents / spent[1],
        "made": 1e3 * beside / agents,
        "megabytes": begun[-1][1],
        "megabytes_handed_back": _megabytes(),
    }


def _megabytes() -> float:
    """Memory of this process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


# --- the limit ------------------------------------------------------------------------------


def limit(case: str) -> dict[str, float]:
    """What a step costs at least: its products alone, at the rate of each kind, and the world.

    Returns:
        ``madds`` a step, multiplications with an addition; ``library``, microseconds a step of
        PyTorch's products at these very shapes; ``lanes``, of ours; ``world``, of the
        simulator with rewards; ``spent``, of training as it is; all on one thread.
    """
    import torch

    from powerseek.agents import Job
    from powerseek.agents.cohort.ppo import Learner, Workspace
    from powerseek.agents.cohort.simd import CHUNK, add_product, padded_width
    from powerseek.agents.settings import settings_for
    from powerseek.envs.task import VecTask

    torch.set_num_threads(1)
    world, given, _ = CASES[case]
    task, chosen = Task(powerseek.make_world(world), "dense"), settings_for(world, given)
    batch, epochs, n = chosen["batch_size"], chosen["n_epochs"], chosen["n_envs"]
    products: list[tuple[float, int, int, int]] = []  # how often a step, and the shape
    for out in (task.n_actions, 1):
        widths = [task.observation_size, *chosen["net"], out]
        acting = n if out > 1 else batch
        for i, (a, b) in enumerate(pairwise(widths)):
            products += [(1 / acting, acting, a, b), (epochs / batch, batch, a, b)]
            products.append((epochs / batch, a, batch, b))
            if i:
                products.append((epochs / batch, batch, b, a))

    def library(m: int, k: int, n: int) -> float:
        x, w, out = torch.randn(m, k), torch.randn(n, k).t(), torch.empty(m, n)
        return _shortest(lambda: torch.mm(x, w, out=out))

    def lanes(m: int, k: int, n: int) -> float:
        """Of whole tiles, in pieces that fit the cache as training has them."""
        rows, inner, wide = padded_width(min(m, CHUNK), 8), min(k, CHUNK), padded_width(n)
        x, w, out = (np.zeros(s, np.float32) for s in ((rows, inner), (inner, wide), (rows, wide)))
        times = _shortest(lambda: [add_product(x, w, out, rows, inner, wide) for _ in range(10)])
        return times / 10 * (m / min(m, CHUNK)) * (k / inner)

    copies = VecTask(task, n, SEED)
    actions = copies.masks.argmax(axis=1)
    learner = Learner(Job(task, SEED, 10**9, chosen))
    workspace = Workspace(chosen, task.observation_size, task.n_actions)
    size = n * chosen["n_steps"]
    return {
        "madds": sum(often * m * k * n for often, m, k, n in products),
        "library": 1e6 * sum(often * library(*shape) for often, *shape in products),
        "lanes": 1e6 * sum(often * lanes(*shape) for often, *shape in products),
        "world": 1e6 * _shortest(lambda: copies.step(actions)) / n,
        "spent": 1e6 * _shortest(lambda: learner.update_in(workspace), 30) / size,
    }


def throughput() -> dict[str, float]:
    """The grid of docs/studies/throughput.yaml with one seed, at two lengths of training.

    Returns:
        Of processor time: ``exact``, seconds once for all trials; ``fixed``, seconds a trial
        (making, evaluating, keeping); ``per_second``, steps of training; ``hours``, of the whole
        grid on two cores: (exact + trials x (fixed + steps / per_second)) / 2.
    """
    from powerseek.experiments.study.checked import trials as trials_of
    from powerseek.experiments.study.schema import load_study
    from powerseek.experiments.sweep.cohorts import make_cohorts
    from powerseek.experiments.sweep.trial import run_trials

    study = load_study("docs/studies/throughput.yaml")
    grid = [trial for trial in trials_of(study) if trial.seed == 0]

    def spent(steps: int, folder: str) -> float:
        cells = {id(t.cell): replace(t.cell, timesteps=steps) for t in grid}
        some = [replace(trial, cell=cells[id(trial.cell)]) for trial in grid]
        begun = time.process_time()
        for cohort in make_cohorts(some, study.cohort):
            for trial, rows in run_trials(cohort, Path(folder)):
                if isinstance(rows, Exception):
                    raise RuntimeError(trial.key) from rows
        return time.process_time() - begun

    with tempfile.TemporaryDirectory() as folder:
        first = spent(4096, folder)
        exact = first - spent(4097, folder)
        short, long = (spent(steps, folder) for steps in (SHORT, LONG))
    slope = (long - short) / (LONG - SHORT)
    fixed = short - slope * SHORT
    seconds = exact + study.seeds * (fixed + slope * study.timesteps)
    return {
        "trials": len(grid) * study.seeds,
        "exact": exact,
        "fixed": fixed / len(grid),
        "per_second": len(grid) / slope,
        "hours": seconds / 2 / 3600,
    }


def _shortest(work: Callable[[], object], repeats: int = 200) -> float:
    """Seconds of processor time."""
    work()
    found = []
    for _ in range(repeats):
        begun = time.thread_time()
        work()
        found.append(time.thread_time() - begun)
    return min(found)


# --- tables ---------------------------------------------------------------------------------


def tables(console: Console, measured: Callable[..., dict[str, float]]) -> None:
    """Everything about cohorts, each measure in a process of its own."""
    for table in (ratios, two_cores, sizes, limits):
        table(console, measured)


def ratios(console: Console, measured: Callable[..., dict[str, float]]) -> None:
    """Against Stable-Baselines3."""
    table = Table("case", "side", "steps/s", "competence", "ratio", "target")
    table.title = "Training, steps per second of processor time (median)"
    for case in CASES:
        sides = [*SIDES, "plain"] if case in ("homestead", "homestead-library") else [*SIDES]
        found: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
        for turn in range(ROUNDS):
            for side in sides:
                if side == "plain" and turn:
                    continue
                with console.status(f"training: {case}, {side}"):
                    name = f"train-{case}-{side}"
                    found[side].append(measured(name, interpreted=side == "plain"))
        speeds = {side: np.median([one["median"] for one in found[side]]) for side in sides}
        for side in sides:
            table.add_row(
                case,
                {"plain": "ppo, plain Python"}.get(side, side),
                f"{speeds[side]:,.0f}",
                f"{np.mean([one['competence'] for one in found[side]]):.2f}",
                "" if side == SIDES[0] else f"{speeds[SIDES[0]] / speeds[side]:,.1f} x",
                _target(case, side),
            )
    with console.status("training: SB3's defaults in plain Python against our settings"):
        fast = measured("train-homestead-cohort-ppo")
        slow = measured("train-homestead-library-plain", interpreted=True)
    table.add_row(
        "homestead against library",
        "ppo, plain Python",
        f"{slow['median']:,.0f}",
        f"{slow['competence']:.2f}",
        f"{fast['median'] / slow['median']:,.0f} x",
        ">= 100 x",
    )
    console.print(table)


def _target(case: str, side: str) -> str:
    if side == "plain" and case == "homestead":
        return ">= 25 x"
    return ">= 8 x" if side in SIDES[1:] else ""


def two_cores(console: Console, measured: Callable[..., dict[str, float]]) -> None:
    """The same on both cores: wall time."""
    table = Table("homestead on two cores", "steps/s of wall time", title="Two cores")
    for name in ("cohort-ppo", "cohort-ppo-2-threads", "maskable-ppo", "maskable-ppo-2-threads"):
        with console.status(f"two cores: {name}"):
            found = measured(f"train-homestead-{name}")
        table.add_row(name, f"{found['wall_best']:,.0f}")
    for side in ("cohort-ppo", "maskable-ppo"):
        with console.status(f"two processes: {side}"):
            both = measured(f"train-homestead-{side}", processes=2)
        table.add_row(f"{side}, two processes", f"{both['wall_best']:,.0f}")
    console.print(table)


def sizes(console: Console, measured: Callable[..., dict[str, float]]) -> None:
    """By the size of a cohort."""
    title = "Homestead, ten updates an agent"
    table = Table("agents", "steps/s", "2 threads, wall", "made, ms", "MB", title=title)
    for size in SIZES:
        with console.status(f"a cohort of {size}"):
            one, two = measured(f"cohort-{size}"), measured(f"cohort-{size}-2-threads")
        table.add_row(
            str(size),
            f"{one['per_second']:,.0f}",
            f"{two['wall']:,.0f}",
            f"{one['made']:.1f}",
            f"{one['megabytes']:,.0f}",
        )
    console.print(table)


def limits(console: Console, measured: Callable[..., dict[str, float]]) -> None:
    """Against what products and the world cost."""
    table = Table("case", "multiply-adds", "library's", "ours", "world", "spent", "of the floor")
    table.title = "Microseconds a step: products alone, the world, and training as it is"
    for case in CASES:
        with console.status(f"the limit: {case}"):
            found = measured(f"limit-{case}")
        floor = found["lanes"] + found["world"]
        parts = (f"{found[name]:.2f}" for name in ("library", "lanes", "world", "spent"))
        table.add_row(case, f"{found['madds']:,.0f}", *parts, f"{floor / found['spent']:.0%}")
    console.print(table)


ALL: dict[str, Callable[[], dict[str, float]]] = {
    **{f"train-{c}-{s}": partial(trained, c, s, 1) for c in CASES for s in SIDES},
    **{f"train-{c}-{s}-2-threads": partial(trained, c, s, 2) for c in CASES for s in SIDES},
    **{f"train-{c}-plain": partial(plain, c) for c in CASES},
    **{f"cohort-{n}": partial(sized, n, 1) for n in SIZES},
    **{f"cohort-{n}-2-threads": partial(sized, n, 2) for n in SIZES},
    "throughput": throughput,
    **{f"limit-{case}": partial(limit, case) for case in CASES},
}
