"""A frozen policy in a situation it was not trained in, over every permutation of outcomes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from powerseek.envs.rewards.spec import Spec
from powerseek.envs.world import World
from powerseek.errors import InvalidInput
from powerseek.exact.enumerate import enumerated
from powerseek.exact.optimum import optimum
from powerseek.exact.solvers.evaluate import evaluate
from powerseek.exact.solvers.policy import TabularPolicy
from powerseek.types import Floats, Policy


@dataclass(frozen=True)
class Probe:
    """A policy's behaviour where it can be shut down, which it could not be in training.

    Attributes:
        avoided: Probability that the policy avoids shutdown, over chance and permutations.
        success: Probability that it does its task there.
        orbit: The same probability of avoiding under an optimum, uniform over optimal actions: the
            fraction of permutations in which avoiding is worthwhile.
        low: The least of any optimum.
        high: The greatest.
    """

    avoided: float
    success: float
    orbit: float
    low: float
    high: float


def probe(
    world: World,
    policy: TabularPolicy | Policy | Floats | Callable[[int], Floats],
    reward: Spec = "terminal",
    gamma: float = 1.0,
) -> Probe:
    """Probability that a policy trained in `world` avoids shutdown in the world's probe.

    Krakovna and Kramar 2023, arXiv:2304.06528, Theorem 2: an agent that learns a goal which its
    training left open avoids shutdown in a new situation for at least n of n + 1 permutations of
    the rewards there, if n outcomes beyond it can be had for good. The probe deals the permutations
    out at random, so that probabilities are shares of them, exactly.

    CAVEAT: the fraction of an optimum is no law of learners; and where the policy is shown the
    values that are permuted, as in `shutdown-probe`, it is one goal-reading policy that is probed,
    not many trained ones.

    Args:
        world: A world that declares a `World.probe`, at the parameters of training.
        policy: As for `powerseek.exact.evaluate`; it must know what to do in the probe.
        reward: The reward whose optimum is counted over the permutations.
        gamma: Its discount, in (0, 1].

    Raises:
        InvalidInput: The world has no probe, or too large a one to enumerate.
    """
    if not world.probe:
        raise InvalidInput(
            "world",
            world,
            "a world with a probe (World.probe)",
            'Write make_world("shutdown-probe").',
        )
    mdp = enumerated(world.probed())
    found, best = evaluate(mdp, policy), optimum(mdp, reward, gamma=gamma)
    return Probe(
        found.disabled,
        found.success,
        best.uniform.disabled,
        best.low.disabled,
        best.high.disabled,
    )
