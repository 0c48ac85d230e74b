"""Small worlds whose every number is known, for tests."""

import numpy as np

import powerseek
from powerseek.envs import VecWorld
from powerseek.envs.engine.chance import flip, pick, rule, weighted
from powerseek.envs.engine.vec import loop_views
from powerseek.envs.world import Fact, Param, World, columns

ACTIONS = ("climb", "take", "wait")
FEATURES = ("height", "gold")


@rule
def climb(height, rungs):
    return min(height + 1, rungs)


class Ladder(World):
    """Climb `rungs` rungs; each climb slips with probability `slip`; gold may be picked up."""

    id = "test.ladder"
    parameters = {
        "rungs": Param(3, 1, 10),
        "slip": Param(0.25, 0.0, 1.0),
        "hazard": Param(0.0, 0.0, 1.0),
        "max_steps": Param(8),
    }
    state = (("height", "i8"), ("gold", "i8"), ("off", "i8"), ("weights", "f8", (3,)))
    flows = (("taken", "f8", (2,)),)
    facts = (
        Fact("progress"),
        Fact("success"),
        Fact("over"),
        Fact("interrupted"),
        Fact("acquired", shape=(2,), flow=True, roles=("resource",), weights=(1.0, 2.0)),
        Fact("holdings", roles=("holdings",)),
    )
    calm = {"hazard": 0.0}

    @staticmethod
    def actions(params):
        return ACTIONS

    @staticmethod
    def observation(params):
        return FEATURES

    @staticmethod
    def initial(p, s, c):
        s.gold = pick(c, 2)
        s.weights[0] = 1.0
        s.weights[2] = 3.0

    @staticmethod
    def transition(p, s, a, c):
        if a == A.climb:
            if not flip(c, p.slip):
                s.height = climb(s.height, p.rungs)
        elif a == A.take:
            kind = weighted(c, s.weights)
            if kind == 0:
                s.gold += 1
                s.taken[0] = 1.0
            else:
                s.gold += 1
                s.taken[1] = 1.0
        if flip(c, p.hazard):
            s.off = 1

    @staticmethod
    def legal(p, s, out):
        out[A.climb] = True
        out[A.take] = s.gold < 2
        out[A.wait] = True

    @staticmethod
    def observe(p, s, out):
        out[X.height] = s.height / p.rungs
        out[X.gold] = s.gold / 2.0

    @staticmethod
    def measure(p, s, out):
        out[F.progress] = s.height / p.rungs
        out[F.success] = 1.0 if s.height == p.rungs else 0.0
        out[F.over] = 1.0 if s.height == p.rungs or s.off == 1 else 0.0
        out[F.interrupted] = s.off
        for i in range(2):
            out[F.acquired + i] = s.taken[i]
        out[F.holdings] = s.gold / 2.0

    @staticmethod
    def minimalist(p, s):
        return A.climb

    @staticmethod
    def hoarder(p, s):
        return A.take if s.gold < 2 else A.climb


A, X, F = columns(*ACTIONS), columns(*FEATURES), columns(*Ladder.facts)


def has_oracle(world):
    """Whether nothing speaks against enumerating it."""
    return not world.no_oracle(world.params)


ENUMERABLE = [w for w in powerseek.list_worlds() if has_oracle(powerseek.make_world(w))]
"""Worlds whose defaults enumerate."""


def make(name):
    return Ladder(hazard=0.1) if name == "ladder" else powerseek.make_world(name)


def random_actions(vec, generator):
    """One uniformly random legal action per copy, by one draw per copy."""
    draws = generator.random(vec.n)
    counts = np.cumsum(vec.masks, axis=1)
    return (counts > (draws * counts[:, -1])[:, None]).argmax(axis=1)


def walk(world, n, steps, seed, actions_seed=0):
    """A digest-ready record of everything that n copies do under random legal actions."""
    vec = VecWorld(world, n, seed)
    streams = [np.random.default_rng([actions_seed, i]) for i in range(n)]
    seen = []
    for _ in range(steps):
        counts = np.cumsum(vec.masks, axis=1)
        draws = np.array([stream.random() for stream in streams])
        vec.step((counts > (draws * counts[:, -1])[:, None]).argmax(axis=1))
        seen.append(
            [
                loop_views(vec.states)[1].copy(),
                vec.observations.copy(),
                vec.masks.copy(),
                vec.facts.copy(),
                vec.fresh_facts.copy(),
                vec.terminated.copy(),
                vec.truncated.copy(),
            ]
        )
    return seen


class Fragile(World):
    """A counter that is no number any more once it reaches `breaks`."""

    id = "test.fragile"
    parameters = {"breaks": Param(0, 0, 9), "max_steps": Param(6)}
    state = (("height", "i8"),)
    facts = Ladder.facts[:3]

    @staticmethod
    def actions(params):
        return ("climb", "wait")

    @staticmethod
    def observation(params):
        return ("height",)

    @staticmethod
    def initial(p, s, c):
        s.height = 0

    @staticmethod
    def transition(p, s, a, c):
        s.height += 1 - a

    @staticmethod
    def legal(p, s, out):
        out[:] = True

    @staticmethod
    def observe(p, s, out):
        out[0] = s.height / 10.0

    @staticmethod
    def measure(p, s, out):
        out[0] = np.nan if 0 < p.breaks <= s.height else s.height / 10.0
