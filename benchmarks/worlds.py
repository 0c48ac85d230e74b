"""Every world beside other people's: steps a second with observations and masks, by copies.

Random legal actions, drawn within the measured time; one core, seconds of processor time (what the
other programs of a machine take is not counted). The games differ: read orders of magnitude.
"""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numba
import numpy as np
from rich.console import Console
from rich.table import Table

import powerseek
from benchmarks.measures import rate
from powerseek.envs import VecWorld
from powerseek.registry import worlds

SEED = 20_000
SECONDS = 2.0
COPIES = (1, 64, 1024)
DRAWS = 256
TARGET = 50
"""`minichess`, in steps of two plies, against pgx's gardner_chess, in steps of one, at least."""


@numba.njit
def _choose(masks: Any, draws: Any, out: Any) -> None:
    """A uniformly random legal action per copy."""
    for i in range(len(out)):
        legal = 0
        for a in range(masks.shape[1]):
            legal += masks[i, a]
        left = int(draws[i] * legal)
        for a in range(masks.shape[1]):
            if masks[i, a]:
                if left == 0:
                    out[i] = a
                    break
                left -= 1


def ours(world: str) -> dict[str, float]:
    """A registered world at its defaults."""
    return {str(n): own_rate(world, n) for n in COPIES}


def own_rate(world: str, copies: int) -> float:
    """Steps/s of a registered world."""
    vec = VecWorld(powerseek.make_world(world), copies, SEED)
    draws = np.random.default_rng(SEED).random((DRAWS, copies))
    actions = np.zeros(copies, np.int64)
    turns = max(1, 4096 // copies)
    at = 0

    def step() -> int:
        nonlocal at
        for _ in range(turns):
            _choose(vec.masks, draws[at % DRAWS], actions)
            vec.step(actions)
            at += 1
        return turns * copies

    return rate(step, SECONDS, time.process_time)


def cartpole(copies: int) -> float:
    """CartPole of gymnasium, SyncVectorEnv."""
    return _sync("CartPole-v1", lambda env: env, copies)


def minigrid(copies: int) -> float:
    """MiniGrid-Empty, the agent's 7 x 7 view, SyncVectorEnv."""
    from minigrid.wrappers import ImgObsWrapper

    return _sync("MiniGrid-Empty-8x8-v0", ImgObsWrapper, copies)


def _sync(id: str, wrap: Callable[[Any], Any], copies: int) -> float:
    import gymnasium

    envs = gymnasium.vector.SyncVectorEnv([lambda: wrap(gymnasium.make(id))] * copies)
    envs.reset(seed=SEED)
    high = int(envs.single_action_space.n)  # type: ignore[attr-defined]  # it is Discrete
    actions = np.random.default_rng(SEED).integers(0, high, (DRAWS, copies))
    at = 0

    def step() -> int:
        nonlocal at
        envs.step(actions[at % DRAWS])
        at += 1
        return copies

    return rate(step, SECONDS, time.process_time)


def pgx_chess(copies: int) -> float:
    """Gardner's chess of pgx: one ply a step; drawing and resets are compiled in."""
    import jax
    import jax.numpy as jnp
    import pgx
    from pgx.experimental import auto_reset

    env = pgx.make("gardner_chess")
    step = auto_reset(env.step, env.init)

    def one(state: Any, key: Any) -> Any:
        draw, fresh = jax.random.split(key)
        logits = jnp.where(state.legal_action_mask, 0.0, -jnp.inf)
        return step(state, jax.random.categorical(draw, logits), fresh)

    def start(keys: Any) -> Any:
        return jax.vmap(env.init)(keys)

    return _jax(start, one, lambda state: state.observation, copies)


def craftax(copies: int) -> float:
    """Craftax-Classic, symbolic, without resets: they cost it more than its steps."""
    import jax
    from craftax.craftax_env import make_craftax_env_from_name

    env = make_craftax_env_from_name("Craftax-Classic-Symbolic-v1", auto_reset=False)
    params = env.default_params
    high = int(env.action_space(params).n)

    def one(carried: Any, key: Any) -> Any:
        draw, chance = jax.random.split(key)
        action = jax.random.randint(draw, (), 0, high)
        return env.step(chance, carried[1], action, params)[:2]

    def start(keys: Any) -> Any:
        return jax.vmap(env.reset, (0, None))(keys, params)

    return _jax(start, one, lambda carried: carried[0], copies)


def _jax(
    start: Callable[[Any], Any],
    one: Callable[[Any, Any], Any],
    seen: Callable[[Any], Any],
    copies: int,
) -> float:
    """Steps per second of a vmapped, compiled environment, drawing of actions included."""
    import jax

    together = jax.jit(lambda states, key: jax.vmap(one)(states, jax.random.split(key, copies)))
    keys = iter(range(10**9))
    states = jax.jit(start)(jax.random.split(jax.random.PRNGKey(SEED), copies))

    def step() -> int:
        nonlocal states
        states = together(states, jax.random.PRNGKey(next(keys)))
        seen(states).block_until_ready()
        return copies

    return rate(step, SECONDS, time.process_time)


BENCH = "make bench"
# Not among its peers: it installs pygame into the folder of pygame-ce, which MiniGrid needs.
APART = "in another environment: pip install craftax"

RATES: dict[str, Callable[[int], float]] = {
    "cartpole": cartpole,
    "minigrid": minigrid,
    "pgx": pgx_chess,
    "craftax": craftax,
}
"""Peer -> steps/s of so many copies."""

PEERS: dict[str, tuple[str, str, str]] = {
    "cartpole": ("gymnasium", BENCH, "gymnasium CartPole, SyncVectorEnv"),
    "minigrid": ("minigrid", BENCH, "MiniGrid-Empty-8x8, SyncVectorEnv"),
    "pgx": ("pgx", BENCH, "pgx gardner_chess, jax on a CPU (a step is one ply)"),
    "craftax": ("craftax", APART, "Craftax-Classic symbolic, jax on a CPU, no resets"),
}
"""Name -> (library, how to install it, in words)."""


def peer(name: str) -> dict[str, float]:
    """A peer by its number of copies."""
    some = COPIES[:2] if name == "craftax" else COPIES
    return {str(n): RATES[name](n) for n in some}


ALL: dict[str, Callable[[], dict[str, float]]] = {
    **{f"world-{id}": partial(ours, id) for id in worlds.builtin},
    **{f"peer-{name}": partial(peer, name) for name in PEERS},
}


def table(console: Console, measured: Callable[..., dict[str, float]]) -> None:
    """Every world, then the peers; each in a process of its own."""
    # As XLA counts threads by itself, it is told that there is one.
    flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    os.environ.setdefault("XLA_FLAGS", flags)
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    shown = Table("world", *(f"{n:,} {'copy' if n == 1 else 'copies'}" for n in COPIES))
    shown.title = "Steps/s with observations and masks, random legal actions, per core"
    found: dict[str, dict[str, float]] = {}
    for id in sorted(worlds.builtin):
        with console.status(f"speed: {id}"):
            found[id] = measured(f"world-{id}")
        shown.add_row(id, *_cells(found[id]))
    shown.add_section()
    missing = []
    for name, (library, install, words) in PEERS.items():
        if importlib.util.find_spec(library) is None:
            shown.add_row(words, "not installed")
            missing.append(f"{library}: {install}")
            continue
        with console.status(f"speed: {words} (compiling takes minutes)"):
            found[name] = measured(f"peer-{name}")
        shown.add_row(words, *_cells(found[name]))
    console.print(shown)
    for line in missing:
        console.print(f"not installed: {line}", markup=False)
    if "pgx" in found:
        ratios = [found["minichess"][str(n)] / found["pgx"][str(n)] for n in COPIES]
        told = ", ".join(f"{ratio:,.0f} x" for ratio in ratios)
        console.print(
            f"minichess (random opponent, a step is two plies) against pgx's gardner_chess: {told} "
            f"at {', '.join(map(str, COPIES))} copies; target: >= {TARGET} x"
        )


def _cells(found: dict[str, float]) -> list[str]:
    speeds = [found.get(str(n)) for n in COPIES]
    return ["" if x is None else f"{x:,.0f}" if x >= 10 else f"{x:.2g}" for x in speeds]
