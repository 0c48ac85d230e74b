"""Episodes made by hand, whose every measure is known."""

import numpy as np

from powerseek.metrics import Context, measure
from powerseek.types import Trajectories


def episodes(world, n, steps=4, *, lengths=None, rewards=None, **facts):
    """n episodes with the given final states and totals of flows, [n] or [n, k].

    A flow's total comes in two halves, in the first and the second step; a state fact is 0 at
    the start and what it is at the end ever after.
    """
    table = np.zeros((n, steps + 1, len(world.fact_names)))
    for fact in world.facts:
        values = np.reshape(np.broadcast_to(facts.pop(fact.name, 0.0), (n, *fact.shape)), (n, -1))
        if fact.flow:
            table[:, 1:3, world.columns(fact.name)] = values[:, None] / 2
        else:
            table[:, 1:, world.columns(fact.name)] = values[:, None]
    assert not facts, facts
    return Trajectories(
        table,
        world.fact_names,
        np.zeros((n, steps), np.int64),
        np.zeros((n, steps)) if rewards is None else np.asarray(rewards, float),
        np.full(n, steps) if lengths is None else np.asarray(lengths),
        np.ones(n, np.bool_),
        world.id,
        world.params._asdict(),
    )


def context(world, met, seed=0, **more):
    """A context with its own generator."""
    return Context(met, world, np.random.default_rng(seed), **more)


def rows(found, names=None):
    """Measurements by name."""
    return {row.name: row for row in measure(found, names)}


def values(found, names=None):
    """Values by name."""
    return {name: row.value for name, row in rows(found, names).items()}
