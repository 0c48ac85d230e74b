"""The goals that POWER averages over: reward functions drawn on classes, or the world's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from powerseek.envs.engine.expand import describe
from powerseek.envs.world import World
from powerseek.errors import InvalidInput
from powerseek.exact.mdp import Ints32, TabularMDP
from powerseek.exact.state_index import words
from powerseek.limits import check_limit
from powerseek.types import Floats

BLOCK = 32
"""Reward functions drawn at once; part of what a seed means."""

Sampler = Callable[[np.random.Generator, tuple[int, int]], Floats]
"""(generator, (n, classes)) -> n reward functions, one a row: `numpy.random.Generator.random`."""

Block = tuple[Floats, Floats, float]
"""Mean [S] and sum of squared deviations [S] over some reward functions; certified error."""


def state_classes(mdp: TabularMDP) -> Ints32:
    """[S] class of every state; rewards are drawn a class.

    Ordered by the values of the fields that `World.abstract` names, not by enumeration: what
    the fields leave out (a dummy) changes nothing. On a graph typed in every state is its own.
    """
    if mdp.world is None or mdp.records is None:
        return np.arange(mdp.n_states, dtype=np.int32)
    fields = list(mdp.world.abstract(mdp.world.params))
    parts = [words(np.ascontiguousarray(mdp.records[name])) for name in fields]
    rows = np.concatenate([part.reshape(mdp.n_states, -1) for part in parts], axis=1)
    found: Ints32 = np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int32)
    return found


def draw_rewards(
    mdp: TabularMDP, rewards: str | Sampler, samples: int, seed: int
) -> Iterator[Floats]:
    """Reward functions on classes, in blocks [at most BLOCK, classes].

    Raises:
        InvalidInput: As in `power`.
    """
    check_draws(samples, seed, rewards)
    if isinstance(rewards, str) and rewards == "goals":
        raise InvalidInput("rewards", rewards, "what is drawn", "Write goal_rewards(mdp).")
    mdp.check_unreduced("iid rewards on orbits are other goals")
    width = int(state_classes(mdp).max(initial=-1)) + 1
    for block, first in enumerate(range(0, samples, BLOCK)):
        generator = np.random.default_rng([seed, block])
        if isinstance(rewards, str):
            drawn = generator.random((BLOCK, width))
        else:
            drawn = np.asarray(rewards(generator, (BLOCK, width)), np.float64)
        if drawn.shape != (BLOCK, width):
            raise InvalidInput("rewards", drawn.shape, f"an array of shape {(BLOCK, width)}")
        if not np.isfinite(drawn).all():
            wrong = float(drawn[~np.isfinite(drawn)][0])
            raise InvalidInput("rewards", wrong, "finite rewards")
        yield drawn[: samples - first]


def check_draws(samples: int, seed: int, rewards: str | Sampler) -> None:
    """Refuse what `draw_rewards` cannot draw.

    Raises:
        InvalidInput: Samples or a seed outside `powerseek.limits`, or an unknown name of rewards.
    """
    check_limit("samples", samples)
    check_limit("seed", seed)
    if isinstance(rewards, str) and rewards not in ("uniform", "goals"):
        raise InvalidInput("rewards", rewards, "uniform, goals or a function that draws them")


def goal_rewards(mdp: TabularMDP) -> Floats:
    """[S, G] reward of every state under each of the world's own goals: its ``progress``.

    Raises:
        InvalidInput: A graph typed in: it has no goals.
    """
    if mdp.world is None or mdp.records is None:
        raise InvalidInput("rewards", "goals", "uniform or a sampler on a graph typed in")
    return np.stack(
        [
            describe(world, mdp.records)[0][:, world.columns("progress").start]
            for world in goals(mdp.world)
        ],
        axis=1,
    )


def goals(world: World) -> list[World]:
    """The world under every goal it knows: every allowed value of its parameter ``goal``."""
    low, high = world.parameters["goal"].ends or (0, 0) if "goal" in world.parameters else (0, -1)
    found = []
    for goal in range(low, high + 1):
        try:
            found.append(world.replace(goal=goal))
        except InvalidInput:  # not at these parameters
            continue
    return found or [world]


def merge_samples(
    parts: Iterable[tuple[int, Block]], size: int
) -> tuple[int, Floats, Floats, float]:
    """Count, mean [size], its standard error [size] (nan of one sample) and the largest error.

    Means and squares of parts make those of the whole (Chan, Golub and LeVeque 1979).
    """
    count, mean, square, error = 0, np.zeros(size), np.zeros(size), 0.0
    for n, (its_mean, its_square, bound) in parts:
        off = its_mean - mean
        square += its_square + off * off * (count * n / (count + n))
        mean += off * (n / (count + n))
        count, error = count + n, max(error, bound)
    with np.errstate(invalid="ignore"):  # one sample has no standard deviation
        return count, mean, np.sqrt(square / np.float64(count - 1) / count), error
