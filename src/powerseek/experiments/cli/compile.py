"""Compile what worlds, learners and exact solvers need, before the first trial waits for it."""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any

from powerseek.errors import PowerseekError
from powerseek.experiments.results.provenance import cores
from powerseek.registry import worlds

FIRST = "off-switch"
"""A small world with a hazard: with it all is compiled that worlds have in common."""


def compile_worlds(ids: Sequence[str], say: Callable[[str], None]) -> int:
    """Train and measure one tiny agent in each world, some side by side, and keep nothing of them.

    Args:
        ids: Worlds that are registered or shipped.
        say: Is told, in a line, when one is done.

    Returns:
        How many failed; `say` has heard why.
    """
    ordered = sorted(ids, key=lambda id: id != FIRST)
    failed, done = 0, 0

    def ended(id: str, error: str) -> None:
        nonlocal failed, done
        done, failed = done + 1, failed + bool(error)
        say(f"compiled {done} of {len(ids)}: {id}" + (f" failed: {error}" if error else ""))

    for id in ordered[:1]:
        ended(id, compile_world(id))
    if ordered[1:]:
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(min(cores(), len(ordered[1:])), mp_context=spawn) as pool:
            waiting = {pool.submit(compile_world, id): id for id in ordered[1:]}
            for future in as_completed(waiting):
                ended(waiting[future], future.result())
    return failed


def compile_world(id: str) -> str:
    """The same for one world, in its smallest configuration; what it failed of, or nothing."""
    from powerseek.experiments.single import train_one

    study: dict[str, Any] = {
        "name": "compile",
        "timesteps": 1,
        "episodes": 8,
        "agents": ["cohort-ppo"],
        "settings": {"cohort-ppo": {"n_envs": 4, "n_steps": 8, "batch_size": 16}},
    }
    try:
        entry = {"id": id, "params": dict(worlds.get(id).smallest)}
        with tempfile.TemporaryDirectory() as folder:
            train_one({**study, "worlds": [entry]}, 0, folder)
    except PowerseekError as error:
        return str(error)
    return ""
