"""Simulations of a Gumbel search with a network of 128 x 128: ours over rules, mctx's over nothing.

mctx is given a free model: a step is a sum of two numbers, so that all it takes is the tree and the
network. The trees are as many, the considered actions and the network's sizes the same.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks.peers.sides import Comparison, Side, Work, timed

ROOTS, SIMULATIONS, CONSIDERED = 1024, 16, 8
WORLD, NET = "endgame", [128, 128]


def _ours() -> Work:
    """Searches in `endgame` at openness 1, from states that random play meets."""
    import powerseek
    from powerseek.agents import check_agent
    from powerseek.agents.job import Job
    from powerseek.agents.search.learner import Searcher, Workspace
    from powerseek.agents.search.model import pack
    from powerseek.agents.search.tree import Roots
    from powerseek.envs.task import Task

    task = Task(powerseek.make_world(WORLD, openness=1), "terminal")
    given = {"n_envs": ROOTS, "simulations": SIMULATIONS, "considered": CONSIDERED, "net": NET}
    job = Job(task, 0, 1, check_agent(task, "search", given))
    learner = Searcher(job)
    workspace = Workspace(job.settings, task.observation_size, task.n_actions)
    search, envs = workspace.search(learner.model.width), learner.envs
    passes, networks, rng = workspace.passes, learner.networks, np.random.default_rng(0)

    def evaluate(seen: Any) -> Any:
        return passes.logits(networks, seen), passes.values(networks, seen)

    def once() -> None:
        roots = Roots(pack(envs.standing), envs.masks, envs.observations)
        seeds = rng.integers(2**64, size=ROOTS, dtype=np.uint64)
        noise = rng.gumbel(size=envs.masks.shape)
        envs.step(search(learner.model, roots, seeds, 1.0, evaluate, noise).actions)

    once()

    def work(turn: int) -> dict[str, Any]:
        seconds, _ = timed(once, 2.0)
        return {"seconds": seconds, "steps": ROOTS * SIMULATIONS}

    return work


def _mctx() -> Work:
    """The same sizes, and a model that costs nothing."""
    import jax
    import jax.numpy as jnp
    import mctx

    inputs, actions = 84, 56
    keys = iter(jax.random.split(jax.random.PRNGKey(0), 16))

    def tower(outputs: int) -> list[Any]:
        pairs = pairwise([inputs, *NET, outputs])
        return [jax.random.normal(next(keys), pair) / pair[0] ** 0.5 for pair in pairs]

    towers = tower(actions), tower(1)

    def passed(layers: list[Any], seen: Any) -> Any:
        for layer in layers[:-1]:
            seen = jnp.tanh(seen @ layer)
        return seen @ layers[-1]

    def model(layers: Any, key: Any, action: Any, state: Any) -> Any:
        following = state + 0.01 * action[:, None]
        return mctx.RecurrentFnOutput(
            reward=jnp.zeros(ROOTS),
            discount=jnp.ones(ROOTS),
            prior_logits=passed(layers[0], following),
            value=passed(layers[1], following)[:, 0],
        ), following

    @jax.jit
    def searched(layers: Any, key: Any, state: Any) -> Any:
        root = mctx.RootFnOutput(
            prior_logits=passed(layers[0], state),
            value=passed(layers[1], state)[:, 0],
            embedding=state,
        )
        return mctx.gumbel_muzero_policy(
            layers,
            key,
            root,
            model,
            num_simulations=SIMULATIONS,
            max_num_considered_actions=CONSIDERED,
        ).action

    state = jax.random.normal(next(keys), (ROOTS, inputs))
    once = partial(searched, towers, next(keys), state)
    jax.block_until_ready(once())

    def work(turn: int) -> dict[str, Any]:
        seconds, _ = timed(lambda: jax.block_until_ready(once()), 2.0)
        return {"seconds": seconds, "steps": ROOTS * SIMULATIONS}

    return work


COMPARISONS = {
    "search": Comparison(
        f"simulations of `search` in `{WORLD}`, {SIMULATIONS} a root, network of 128 x 128",
        {
            "powerseek": Side("over the world's rules", "powerseek", _ours),
            "mctx": Side("mctx `gumbel_muzero_policy`, a model for free", "mctx", _mctx),
        },
    ),
}
