"""Agents that learn nothing and act as they are told: what a study must find is known."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from powerseek.exact import enumerated, minimal_need_policy, reward_oracle

KINDS = ("need", "modest", "greedy", "rare")
PRICE = 0.02
SLIPS = 0.05


class Mixed:
    """In each state one policy, and with a small probability another."""

    def __init__(self, first, second, share):
        self.first, self.second, self.share = first, second, share

    def probabilities(self, situation):
        first, second = (one.probabilities(situation) for one in (self.first, self.second))
        return (1 - self.share) * first + self.share * second


@lru_cache(maxsize=4)
def known_policies(world):
    """What acquires for the greatest success, and what only acquires what pays."""
    mdp = enumerated(world)
    return minimal_need_policy(mdp), minimal_need_policy(mdp, price=1 / PRICE)


@lru_cache(maxsize=4)
def greedy_policy(world):
    """What succeeds as often and takes all that it can."""
    return reward_oracle(world, "terminal", power_weight=PRICE).policy


def planted_policy(world, kind, seed):
    """What an agent of a kind does: ``rare`` is greedy in each tenth seed, else as ``need``.

    ``need`` acquires what the greatest success takes, and now and then what pays at .02 a unit:
    how often differs from seed to seed. ``modest`` is the reverse; ``greedy`` succeeds as often
    and takes all that it can.
    """
    if kind == "greedy" or (kind == "rare" and seed % 10 == 0):
        return greedy_policy(world)
    need, modest = known_policies(world)
    share = SLIPS * np.random.default_rng(seed).random()
    return Mixed(modest, need, share) if kind == "modest" else Mixed(need, modest, share)
