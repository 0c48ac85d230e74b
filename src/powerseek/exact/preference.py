"""A reward model learnt from comparisons: Bradley and Terry's, linear in what is observed.

**Segments.** L steps of episodes of the policy that is uniform over legal actions, whose first step
is drawn uniformly from all steps of such episodes. Past an episode's end a segment goes on with
steps that are judged 0 and have no features, so that all are of length L.

**Judge.** Who compares them holds an aim and looks to the cap: a segment's score is the sum of what
the exact overseer of ``approval`` with the look-ahead ``cap`` pays for its actions, their
advantages (the regret-based preferences of Knox et al. 2022, arXiv:2206.02231). Unlike success
itself that tells segments apart even where random play hardly ever succeeds. The first is preferred
with the probability sigmoid((score 1 - score 2) / noise); without noise the better one always wins,
and a fair coin decides between equals.

**Model.** The reward of action a where x is observed is w[a] . (1, x); the log odds that the first
segment is preferred are the sum of its rewards less the other's (Bradley and Terry 1952; as a
reward model, Christiano et al. 2017, arXiv:1706.03741). The w are the most probable ones under a
normal prior of precision `PRIOR` on each: a convex problem with one solution. At zero labels that
is 0 throughout.

**Unit.** The log odds of noiseless labels have none, and those of few labels shrink with the prior.
The reward is therefore scaled so that it tells `FRESH` other pairs of segments apart by as much, in
root mean square, as the judge does: it is in the judge's unit, success, at any number of labels.

CAVEAT: The scale is one number that the labels do not tell, and a model of few labels is as loud as
one of many: the number of labels changes what is said, and not how much is paid for it.

CAVEAT: A constant on every step changes no comparison of segments that run to their full length;
what pins it are the prior and the segments that an episode's end cuts short.

CAVEAT: The judge's advantages may depend on the time left, and need not be linear in what is
observed: no number of labels makes such a model exact.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import nan
from typing import NamedTuple, TypeAlias

import numpy as np
from scipy.special import expit

from powerseek.envs.engine.expand import describe
from powerseek.envs.rewards.spec import Comparisons
from powerseek.envs.world import World
from powerseek.errors import InvalidInput
from powerseek.exact.mdp import TabularMDP
from powerseek.types import Bools, Floats, Ints, Records

PRIOR = 1.0
"""Precision of the normal prior on every weight, in log odds ** -2."""
FRESH = 1000
"""Comparisons, none of which is learnt from, by which a model is scaled and its accuracy told."""
TIE = 1e-9
"""Segments whose scores differ by no more are equally good."""

_BLOCK = 128
"""Comparisons drawn at once: whoever asks for more at one seed gets the same ones first."""
_LEARNING, _FRESH = 0x6C61626C, 0x66726573
"""Streams below a seed."""
_TOLERANCE, _ROUNDS, _HALVINGS = 1e-8, 200, 40

Score: TypeAlias = Callable[[Ints, Ints], Floats]
"""What a judge pays for pairs [n] of state and action after clocks [n]: [n]."""


@dataclass(frozen=True, eq=False)
class LearntOverseer:
    """A `powerseek.envs.rewards.spec.Overseer` who has learnt from comparisons.

    It judges by what is observed, whatever the time, so it judges the same way in any configuration
    of its world that shows the same features.

    Attributes:
        world: The world whose records it reads.
        names: The K features that it has learnt of; those that `world` does not have are 0 there.
        asked: What it has learnt from.
        seed: Of its labels.
        weights: [A, 1 + K] of a constant and of each of K features, by action; in the judge's unit.
        accuracy: Fraction of fresh comparisons, ties left out, in which it prefers the segment that
            the judge without noise does; a tie of its own is half right. nan if all are ties.
    """

    world: World
    names: tuple[str, ...]
    asked: Comparisons
    seed: int
    weights: Floats = field(repr=False)
    accuracy: float

    @property
    def labels(self) -> int:
        """Labels it has learnt from, one bit each."""
        return self.asked.labels

    def judge(self, records: Records, actions: Ints, clock: Ints) -> Floats:
        """Payment [n] for `actions` [n] in `records` [n]; the time does not matter.

        An illegal action wastes its step. No segment has one: it pays the least that a legal action
        would.

        Raises:
            InvalidInput: A state that is over.
        """
        _, masks, observations = describe(self.world, records)
        if not masks.any(axis=1).all():
            over = int(np.argmin(masks.any(axis=1)))
            raise InvalidInput("overseer: state", records[over], "a state that is not over")
        known = self.weights[:, self._columns]
        paid = observations.astype(np.float64) @ known.T + self.weights[:, 0]
        rows, actions = np.arange(len(paid)), np.asarray(actions, np.int64)
        least = np.where(masks, paid, np.inf).min(axis=1)
        given: Floats = np.where(masks[rows, actions], paid[rows, actions], least)
        return given

    @cached_property
    def _columns(self) -> list[int]:
        """Columns of `weights` of what the world shows."""
        return [1 + self.names.index(name) for name in self.world.observation_names]

    def moved(self, world: World) -> LearntOverseer:
        """The same one in another configuration of its world.

        Raises:
            InvalidInput: One with further features, or other actions.
        """
        if world == self.world:
            return self
        strange = set(world.observation_names) - set(self.names)
        if strange or world.action_names != self.world.action_names:
            allowed = "a configuration with no features or actions but those it has learnt of"
            raise InvalidInput("overseer", f"a reward model of {self.world}", allowed)
        return replace(self, world=world)


class Compared(NamedTuple):
    """Pairs of segments of equal length.

    Attributes:
        pairs: [2, n, L] pairs of state and action of the first and of the second segments; -1 past
            the end of an episode.
        clocks: [2, n] steps taken before each.
        draws: [n] uniform in [0, 1).
    """

    pairs: Ints
    clocks: Ints
    draws: Floats

    def scores(self, score: Score) -> Floats:
        """[n] by how much the first scores more than the second."""
        clocks = self.clocks[..., None] + np.arange(self.pairs.shape[-1])
        judged, met = np.zeros(self.pairs.shape), self.pairs >= 0
        judged[met] = score(self.pairs[met], clocks[met])
        first, second = judged.sum(axis=-1)
        ahead: Floats = first - second
        return ahead

    def features(self, mdp: TabularMDP) -> Floats:
        """[n, A (1 + K)] of the first segments, less those of the second."""
        world, records = mdp.origin
        width = 1 + len(world.observation_names)
        met = self.pairs >= 0
        states, seen = np.unique(mdp.pair_state[self.pairs[met]], return_inverse=True)
        shown = np.ones((len(states), width))
        shown[:, 1:] = describe(world, records[states])[2]
        sides, rows, _ = np.nonzero(met)
        found = np.zeros((self.pairs.shape[1], world.n_actions, width))
        signs = np.where(sides == 0, 1.0, -1.0)
        actions = mdp.pair_action[self.pairs[met]]
        np.add.at(found, (rows, actions), signs[:, None] * shown[seen])
        return found.reshape(len(found), -1)


def learn(
    mdp: TabularMDP, asked: Comparisons, horizon: int, seed: int, score: Score
) -> LearntOverseer:
    """The model that is learnt from the labels of one seed.

    With more labels at the same seed it learns from the same ones and from others.

    Args:
        mdp: Where; of a world.
        asked: Number of labels, length of segments, and noise; aim and price are the judge's.
        horizon: The time limit T, in steps.
        seed: Of the segments and of the labels, >= 0.
        score: The judge.

    Raises:
        InvalidInput: States merged by symmetry, a graph typed in, or a length out of range.
    """
    world, _ = mdp.origin
    mdp.check_unreduced("a model is learnt from states as they are met")
    if not 1 <= asked.length <= horizon:
        raise InvalidInput("length", asked.length, f"1 to the time limit ({horizon} steps)")
    seen = compared(mdp, asked.labels, asked.length, horizon, [seed, _LEARNING])
    first = labels(seen.scores(score), asked.noise, seen.draws)
    weights = fitted(seen.features(mdp), first)
    fresh = compared(mdp, FRESH, asked.length, horizon, [seed, _FRESH])
    judged, said = fresh.scores(score), fresh.features(mdp) @ weights
    loudness = np.sqrt(np.mean(said**2))
    scale = np.sqrt(np.mean(judged**2)) / loudness if loudness > 0 else 0.0
    by_action = (scale * weights).reshape(world.n_actions, -1)
    names = tuple(world.observation_names)
    return LearntOverseer(world, names, asked, seed, by_action, agreement(judged, said))


def compared(mdp: TabularMDP, n: int, length: int, horizon: int, key: list[int]) -> Compared:
    """So many comparisons of random play, the first of those that `key` seeds.

    Raises:
        InvalidInput: Every episode is over before its first step.
    """
    blocks = [_block(mdp, length, horizon, [*key, i]) for i in range(max(1, -(-n // _BLOCK)))]
    pairs, clocks, draws = (np.concatenate(part, axis=-1) for part in zip(*blocks, strict=True))
    return Compared(np.moveaxis(pairs, -1, 1)[:, :n], clocks[:, :n], draws[:n])


def _block(mdp: TabularMDP, length: int, horizon: int, key: list[int]) -> tuple[Ints, Ints, Floats]:
    """Pairs [2, L, n], clocks [2, n] and draws [n] of a block."""
    chance = np.random.default_rng(key)
    count = 2 * _BLOCK
    played = np.full((count, horizon + length), -1, np.int64)
    played[:, :horizon] = _random_play(mdp, count, horizon, chance)
    episodes, steps = np.nonzero(played >= 0)
    if not len(steps):
        raise InvalidInput("world", str(mdp.world), "a world that is not over as it begins")
    chosen = chance.integers(len(steps), size=count)
    rows, clocks = episodes[chosen], steps[chosen]
    pairs = played[rows[:, None], clocks[:, None] + np.arange(length)]
    shape = 2, _BLOCK
    by_side = np.moveaxis(pairs.reshape(*shape, length), -1, 1)
    return by_side, clocks.reshape(shape), chance.random(_BLOCK)


def _random_play(mdp: TabularMDP, count: int, horizon: int, chance: np.random.Generator) -> Ints:
    """[count, T] pairs met in episodes of the policy uniform over legal actions; -1 once over."""
    legal, likely = np.diff(mdp.pair_start), np.cumsum(mdp.edge_probability)
    played = np.full((count, horizon), -1, np.int64)
    starts = np.cumsum(mdp.initial)
    states = np.searchsorted(starts, chance.random(count) * starts[-1], side="right")
    states = np.minimum(states, mdp.n_states - 1)
    for t in range(horizon):
        draws, living = chance.random((2, count)), np.flatnonzero(~mdp.terminal[states])
        here = states[living]
        pairs = mdp.pair_start[here] + (draws[0, living] * legal[here]).astype(np.int64)
        first, last = mdp.edge_start[pairs], mdp.edge_start[pairs + 1] - 1
        before = likely[first] - mdp.edge_probability[first]
        edges = np.searchsorted(likely, before + draws[1, living], side="right")
        states[living] = mdp.edge_next[np.clip(edges, first, last)]
        played[living, t] = pairs
    return played


def labels(scores: Floats, noise: float, draws: Floats) -> Bools:
    """[n] whether the first segment is preferred, where it scores [n] more than the second."""
    if noise > 0:
        preferred: Bools = draws < expit(scores / noise)
        return preferred
    return np.where(np.abs(scores) <= TIE, draws < 0.5, scores > 0)


def fitted(features: Floats, first: Bools, prior: float = PRIOR) -> Floats:
    """Most probable weights [D] of Bradley and Terry's model, by Newton's method.

    They minimise sum log(1 + exp(-sign z)) + prior / 2 |w|**2 with z = features w, until no entry
    of the gradient exceeds 1e-8; the zero weights at no labels, exactly.

    Args:
        features: [n, D] of the first of each comparison, less those of the second.
        first: [n] whether it was preferred.
        prior: Precision; > 0 unless features of full rank and contradictory labels bound w.
    """
    if 0 < len(features) < features.shape[1]:
        # The prior leaves no weight outside the span of the rows, so it is solved for in there.
        basis, within = np.linalg.qr(features.T)
        found: Floats = basis @ fitted(within.T, first, prior)
        return found
    weights = np.zeros(features.shape[1])

    def loss(at: Floats) -> float:
        z = features @ at
        return float(np.logaddexp(0.0, np.where(first, -z, z)).sum() + prior / 2 * at @ at)

    for _ in range(_ROUNDS):
        likely = expit(features @ weights)
        gradient = features.T @ (likely - first) + prior * weights
        if np.abs(gradient).max(initial=0.0) <= _TOLERANCE:
            break
        curved = (likely * (1 - likely))[:, None] * features
        hessian = features.T @ curved + prior * np.eye(len(weights))
        step, now = np.linalg.solve(hessian, gradient), loss(weights)
        size = 1.0
        while loss(weights - size * step) > now + 1e-12 * (1 + now) and size > 2.0**-_HALVINGS:
            size /= 2
        weights = weights - size * step
    return weights


def agreement(judged: Floats, said: Floats) -> float:
    """Fraction of comparisons, the judge's ties left out, in which a model has the judge's sign."""
    told = np.abs(judged) > TIE
    if not told.any():
        return nan
    return float(np.mean(0.5 + 0.5 * np.sign(judged[told]) * np.sign(said[told])))
