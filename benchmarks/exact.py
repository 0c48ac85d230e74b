"""Exact-layer measures: each returns numbers, run in a process of its own."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import powerseek
from powerseek.exact import (
    TabularMDP,
    enumerate_world,
    enumerated,
    most,
    need,
    power,
    reward_oracle,
)

GAMMA = 0.99
STATES, ACTIONS = 1000, 4
ARMS: tuple[Any, ...] = (
    *("dense", {"every": 8}, {"every": "cap"}, {"thinned": 0.25}, "shaped", "terminal"),
    *({"approval": 8}, {"approval": "cap"}, {"coverage": 0.5}, {"coverage": 1.0}),
)


def graph(kind: str, states: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Next states [S, A]: ``random``, or a ``grid`` whose walls keep one where one is."""
    if kind == "random":
        return np.random.default_rng(0).integers(0, states, (states, ACTIONS))
    n = int(states**0.5)
    row, column = np.divmod(np.arange(n * n), n)
    up, down = np.maximum(row - 1, 0), np.minimum(row + 1, n - 1)
    left, right = np.maximum(column - 1, 0), np.minimum(column + 1, n - 1)
    return np.stack([up * n + column, down * n + column, row * n + left, row * n + right], axis=1)


def ours(kind: str) -> dict[str, float]:
    """Seconds for one reward function by policy iteration on one core, and its certified error."""
    _one_core()
    mdp = TabularMDP.from_successors(graph(kind, STATES))
    power(mdp, GAMMA, 32)
    begun = time.perf_counter()
    measured = power(mdp, GAMMA, 1024)
    spent = time.perf_counter() - begun
    return {"seconds": spent / 1024, "error": measured.error / (1 - GAMMA)}


def peer(kind: str, form: str) -> dict[str, float]:
    """Seconds for one reward function by pymdptoolbox's value iteration, and its true error."""
    import mdptoolbox.mdp
    import scipy.sparse

    from powerseek.exact import solve

    _one_core()
    following = graph(kind, STATES)
    states = len(following)
    matrices = np.zeros((ACTIONS, states, states))
    for action in range(ACTIONS):
        matrices[action, np.arange(states), following[:, action]] = 1.0
    sparse = [scipy.sparse.csr_matrix(matrix) for matrix in matrices]
    reward = np.random.default_rng(1).random(states)
    peer = mdptoolbox.mdp.ValueIteration(
        matrices if form == "dense" else sparse, reward, GAMMA, epsilon=1e-6
    )
    begun = time.perf_counter()
    peer.run()
    spent = time.perf_counter() - begun
    exact = solve(TabularMDP.from_successors(following), reward, GAMMA).values[:, 0]
    return {
        "seconds": spent,
        "error": float(np.abs(np.array(peer.V) - exact).max()),
        "sweeps": float(peer.iter),
    }


def scale(kind: str, states: int) -> dict[str, float]:
    """POWER from 64 reward functions on a large graph, all cores."""
    mdp = TabularMDP.from_successors(graph(kind, states))
    power(TabularMDP.from_successors(graph(kind, 100)), GAMMA, 2)
    begun = time.perf_counter()
    measured = power(mdp, GAMMA, 64)
    return {"seconds": time.perf_counter() - begun, "error": measured.error, "gigabytes": _peak()}


def chess() -> dict[str, float]:
    """POWER of king and rook against king, 8 x 8, from 256 reward functions, all cores."""
    world = powerseek.make_world("endgame", size=8, openness=0)
    begun = time.perf_counter()
    mdp = enumerate_world(world)
    enumerated_in = time.perf_counter() - begun
    begun = time.perf_counter()
    measured = power(mdp, GAMMA, 256)
    return {
        "states": mdp.n_states,
        "enumeration": enumerated_in,
        "seconds": time.perf_counter() - begun,
        "error": measured.error,
        "gigabytes": _peak(),
    }


def homestead() -> dict[str, float]:
    """Frontiers and every arm's optimum of the largest default homestead."""
    world = powerseek.make_world("homestead", openness=2)
    begun = time.perf_counter()
    mdp = enumerated(world)
    need(mdp)
    most(mdp)
    frontiers = time.perf_counter() - begun
    for arm in ARMS:
        reward_oracle(world, arm)
    return {
        "states": mdp.n_states,
        "frontiers": frontiers,
        "seconds": time.perf_counter() - begun,
        "gigabytes": _peak(),
    }


def _one_core() -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def _peak() -> float:
    """Peak memory of this process, in gigabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


SIZES = (1_000, 10_000, 100_000, 1_000_000)
KINDS = ("random", "grid")
ALL: dict[str, Callable[[], dict[str, float]]] = {
    **{f"power-{kind}": partial(ours, kind) for kind in KINDS},
    **{f"peer-{k}-{f}": partial(peer, k, f) for k in KINDS for f in ("dense", "sparse")},
    **{f"scale-{kind}-{size}": partial(scale, kind, size) for kind in KINDS for size in SIZES},
    "chess-power": chess,
    "homestead-exact": homestead,
}
