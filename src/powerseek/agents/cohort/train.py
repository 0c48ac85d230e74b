"""Many small PPO agents trained in one process.

A study's agents differ in seed, goal, reward, discount and a few coefficients; training them
one by one in a general library costs mostly the library's own overhead. Here they take turns on
one set of arrays that stays in the processor's cache: measured, stacking agents into one batched
matrix product saves nothing at the minibatches in use and costs a third where the stack outgrows
the cache. Taking turns, an agent computes exactly what it would compute alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, cast

import torch

from powerseek.agents.base import Agent, Run, train_in_turns
from powerseek.agents.cohort.ppo import Learner, Workspace
from powerseek.agents.job import Failure, Job, Settings, TrainedAgent
from powerseek.agents.memory import free_training_memory
from powerseek.errors import InvalidInput

RESERVE = 2**30
"""Bytes that stay free while agents are made: what training and measuring them takes besides."""


class InWorkspace(Protocol):
    """A learner whose updates are computed in a workspace, by turns with others."""

    def update_in(self, workspace: Any) -> None:
        """One update."""


def train_cohort(
    jobs: Sequence[Job],
    threads: int = 1,
    make: Callable[[Job], Agent] = Learner,
    workspace: Callable[[Settings, int, int, str], Any] = Workspace,
) -> list[TrainedAgent | Failure]:
    """Train one agent for each of `jobs`, all in this process (PyTorch is set to one thread).

    An agent's weights, actions and rewards are bit for bit those it would have alone, whoever
    its companions are, how many, and in what order; one that fails changes nothing for them.
    Every agent starts from the weights that ``maskable-ppo`` has at its seed, meets the same
    chance of the world, and takes as many environment steps and gradient steps; its own draws
    (actions, shuffles) are others, so trainings are equal in distribution and not in number.

    Args:
        jobs: Complete ones that share a cohort (`powerseek.agents.train_jobs` sees to both).
            Their device is ``cpu``, or ``cuda`` where PyTorch sees such a device: the world and
            the loss stay on the processor, and what is said above of bits is promised there
            alone.
        threads: Agents that compute at the same time, >= 1; it changes no number.
        make: Makes an untrained one, an `InWorkspace`.
        workspace: Makes what it is updated in.

    Returns:
        What became of each, in order.

    Raises:
        InvalidInput: A value that is not allowed, or more agents than memory has room for.
    """
    if not isinstance(threads, int) or threads < 1:
        raise InvalidInput("threads", threads, "an integer >= 1")
    check_device(jobs[0].device)
    torch.set_num_threads(1)
    runs: list[Run] = []
    for job in jobs:
        _check_memory(len(runs), len(jobs))
        runs.append(Run(job, make))
        failure = runs[-1].failure
        if failure is not None and isinstance(failure.error, MemoryError):
            raise _too_large(len(runs) - 1, len(jobs))
    task, settings, device = jobs[0].task, jobs[0].settings, jobs[0].device
    workspaces = [
        workspace(settings, task.observation_size, task.n_actions, device)
        for _ in range(min(threads, len(jobs)))
    ]
    # Within an agent one thread always: more would add in another order.
    with ThreadPoolExecutor(
        len(workspaces), initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:

        def update(training: Sequence[Run]) -> None:
            parts = [training[i :: len(workspaces)] for i in range(len(workspaces))]
            list(pool.map(_update_in, parts, workspaces))

        return train_in_turns(runs, update)


def _update_in(runs: Sequence[Run], workspace: Any) -> None:
    for run in runs:
        with run.attempt():
            learner = cast(InWorkspace, run.learner)
            learner.update_in(workspace)


def check_device(device: str) -> None:
    """Refuse a device on which cohorts cannot be trained.

    Raises:
        InvalidInput: It is neither the processor nor a CUDA device that PyTorch sees.
    """
    seen = torch.cuda.device_count() if torch.cuda.is_available() else 0
    names = ["cpu", *(["cuda"] if seen else []), *(f"cuda:{i}" for i in range(seen))]
    if device not in names:
        why = "" if seen else " (PyTorch sees no CUDA device here)"
        raise InvalidInput("device", device, f"{', '.join(names)}{why}", "Write cpu.")


def _check_memory(made: int, wanted: int) -> None:
    free = free_training_memory()
    if free is not None and free < RESERVE:
        raise _too_large(made, wanted)


def _too_large(made: int, wanted: int) -> InvalidInput:
    fit = made * 3 // 4
    if not fit:
        allowed = f"at least {RESERVE / 2**30:g} GB of free memory for any training"
        return InvalidInput("memory", f"too little for a cohort of {wanted}", allowed)
    allowed = f"at most {fit} agents: memory was full after {made}"
    return InvalidInput("cohort", wanted, allowed, f"Write cohort: {fit}.")
