"""Exact evaluation of agents: of all that they can see, accumulators of the past included."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numba import njit

from powerseek.envs.engine.expand import describe
from powerseek.envs.rewards.spec import acquired_in
from powerseek.envs.task import Task, observations
from powerseek.errors import InvalidInput
from powerseek.exact.enumerate import enumerated
from powerseek.exact.mdp import TabularMDP
from powerseek.exact.solvers.finite import graph_of
from powerseek.exact.solvers.outcome import Outcome, mdp_criteria
from powerseek.types import Bools, Floats, Floats32, Ints, Policy, Situation

CHUNK = 4_096
"""Nodes of which a policy is asked at once: what is said of them stays in a processor's cache."""

MAX_STANDING = 100_000_000
"""Most numbers in a table of states x accumulators."""

ROUNDING = 1e-14
"""Probability of illegal actions up to which there is none."""

FORGOTTEN = 1e-12
"""Probability of an episode that is followed no further, by default.

A policy that samples may stand nearly anywhere, however improbably: two in five nodes of homestead
at openness 2 hold less than this together.
"""


class Occupancy(NamedTuple):
    """One step of all episodes at once.

    Attributes:
        t: Number of the step, from 0.
        taken: [P] probability of taking each pair in it.
        wasted: [S] probability of trying there what is illegal: only the clock ticks.
        ended: [S] probability of having ended in each state after it.
    """

    t: int
    taken: Floats
    wasted: Floats
    ended: Floats


@dataclass(frozen=True, eq=False)
class Nodes:
    """All that an agent may stand in before a step, and how probably it does.

    Attributes:
        state: [n] numbers of states.
        kept: [n, K] what each accumulator of the task keeps of the past: of progress since a
            multiple of k, the progress there; last, where they are shown, units acquired.
        probability: [n] > 0.
    """

    state: Ints
    kept: Floats
    probability: Floats


@dataclass(frozen=True, eq=False)
class ShownStates:
    """All that is shown of states whatever the time, which rules do not read.

    Attributes:
        features: [S, .] the world's own; of states that are over, 0.
        masks: [S, A] legal actions, likewise.
        words: [S, .] records, as words.
        progress: [S] the fact.
    """

    features: Floats32
    masks: Bools
    words: Ints
    progress: Floats

    @classmethod
    def of(cls, mdp: TabularMDP) -> ShownStates:
        """Of every state of an enumerated world."""
        world, records = mdp.origin
        alive = np.flatnonzero(~mdp.terminal)
        features = np.zeros((mdp.n_states, len(world.observation_names)), np.float32)
        masks = np.zeros((mdp.n_states, world.n_actions), np.bool_)
        _, masks[alive], features[alive] = describe(world, records[alive])
        words = np.ascontiguousarray(records).view(np.int64).reshape(mdp.n_states, -1)
        progress = mdp.state_facts[:, world.columns("progress").start]
        return cls(features, masks, words, progress)


def agent_occupancies(
    task: Task,
    policy: Policy,
    *,
    greedy: bool = False,
    mdp: TabularMDP | None = None,
    forgotten: float = FORGOTTEN,
    asked: Callable[[Situation, Floats, Floats], object] | None = None,
) -> Iterator[Occupancy]:
    """Probability of every pair, step by step, under a policy that sees what a task shows.

    That is the world's features, the time left, the progress since the last multiple of each
    k of `Task.windows` and, where the task shows them, the units acquired so far, to the last bit
    as `powerseek.envs.task.VecTask` shows them. The layers hold what the policy can reach, and
    nothing is kept of them.

    Args:
        task: What the policy acts in, its time limit included.
        policy: A policy whose probabilities depend on the situation alone: no memory, no draws of
            its own. An illegal action wastes a step, as in episodes.
        greedy: True if it takes the likeliest action (the first of them).
        mdp: The task's world, enumerated; found here by default.
        forgotten: Probability of an episode that is followed no further, over all its steps at
            most. It counts as ended where it stands: no expectation is off by more than this times
            what can still come of it.
        asked: Is told of all that the policy is asked about: a situation of n nodes, their [n]
            probabilities, and the [n, A] it gives its actions there.

    Yields:
        What is done in each step, until all episodes have ended.

    Raises:
        InvalidInput: The world cannot be enumerated, its accumulators take too many values, or
            the policy gives no probabilities.
    """
    mdp = enumerated(task.world) if mdp is None else mdp
    world, _ = mdp.origin
    if world != task.world or mdp.symmetric:
        raise InvalidInput("mdp", mdp.world, f"{task.world}, enumerated state by state")
    shown = ShownStates.of(mdp)
    begins = np.flatnonzero((mdp.initial > 0) & ~mdp.terminal)
    accumulators = len(task.windows) + task.acquired_so_far
    nodes = Nodes(begins, np.zeros((len(begins), accumulators)), mdp.initial[begins])
    gains, gain, still = _gains(task, mdp)
    ended = np.where(mdp.terminal, mdp.initial, 0.0)
    for t in range(world.max_steps):
        taken, wasted = np.zeros(mdp.n_pairs), np.zeros(mdp.n_states)
        _restart(task, nodes, shown.progress, t)
        before, kind = _distinct(_needed(task, nodes.kept, t + 1))
        kinds, following = _distinct(_gained(before, gains))
        if len(kinds) * mdp.n_states > MAX_STANDING:
            raise InvalidInput(
                "task.windows",
                task.windows,
                f"accumulators of at most {MAX_STANDING // mdp.n_states:,} values in this world",
            )
        standing = np.zeros((len(kinds), mdp.n_states))
        for start in range(0, len(nodes.state), CHUNK):
            part = slice(start, start + CHUNK)
            situation = _situation(task, nodes, shown, t, part)
            chosen = action_weights(policy, greedy, situation)
            if asked is not None:
                asked(situation, nodes.probability[part], chosen)
            _advance(
                *graph_of(mdp),
                mdp.pair_action,
                gain,
                still,
                nodes.state[part],
                following.reshape(len(before), len(gains))[kind[part]],
                nodes.probability[part],
                chosen,
                taken,
                wasted,
                standing,
            )
        ended += np.where(mdp.terminal, standing.sum(axis=0), 0.0)
        standing[:, mdp.terminal] = 0.0
        _forget(standing, forgotten / world.max_steps, ended)
        if t + 1 == world.max_steps:
            ended += standing.sum(axis=0)
        row, state = np.nonzero(standing)
        nodes = Nodes(state, kinds[row], standing[row, state])
        yield Occupancy(t, taken, wasted, ended)
        if not len(nodes.state):
            return


def evaluate_agent(
    task: Task,
    policy: Policy,
    *,
    greedy: bool = False,
    mdp: TabularMDP | None = None,
    met: Callable[[Occupancy], object] = lambda step: None,
    forgotten: float = FORGOTTEN,
    asked: Callable[[Situation, Floats, Floats], object] | None = None,
) -> Outcome:
    """Exact outcome of a policy that sees what a task shows; arguments as `agent_occupancies`.

    Competence is the success of this in ``without_interruption(task)``. `met` is told of every
    step.
    """
    mdp = enumerated(task.world) if mdp is None else mdp
    measured = mdp_criteria(mdp)
    taken, ended = np.zeros(mdp.n_pairs), np.where(mdp.terminal, mdp.initial, 0.0)
    wasted = 0.0
    for step in agent_occupancies(
        task, policy, greedy=greedy, mdp=mdp, forgotten=forgotten, asked=asked
    ):
        met(step)
        taken += step.taken
        wasted += float(step.wasted.sum())
        ended = step.ended
    found = measured.outcome(taken @ measured.flows + ended @ measured.finals)
    return replace(found, length=found.length + wasted)


def _restart(task: Task, nodes: Nodes, progress: Floats, t: int) -> None:
    """Begin the accumulators anew whose multiple it is."""
    for k, window in enumerate(task.windows):
        if t % window == 0:
            nodes.kept[:, k] = progress[nodes.state]


def _needed(task: Task, kept: Floats, t: int) -> Floats:
    """What still matters at clock t of what was kept: that of one which begins anew does not."""
    anew = [t % window == 0 for window in task.windows]
    return np.where([*anew, *[False] * task.acquired_so_far], 0.0, kept)


def _gains(task: Task, mdp: TabularMDP) -> tuple[Floats, Ints, int]:
    """The different numbers of units that edges acquire, which each edge does, and which is 0.

    A single 0 where the task does not show what was acquired: there it does not matter.
    """
    if not task.acquired_so_far:
        return np.zeros(1), np.zeros(mdp.n_edges, np.int64), 0
    units = acquired_in(mdp.flow_table, task.world)
    gains, which = np.unique(np.append(units, 0.0), return_inverse=True)
    return gains, which[mdp.edge_flow], int(which[-1])


def _gained(kept: Floats, gains: Floats) -> Floats:
    """[n x G, K] what [n, K] become by each of the gains, those of one after each other."""
    after = np.repeat(kept, len(gains), axis=0)
    if after.shape[1]:  # where units are not shown, the only gain is 0
        after[:, -1] += np.tile(gains, len(kept))
    return after


def _distinct(kept: Floats) -> tuple[Floats, Ints]:
    """The different rows of [n, W], and which of them each is."""
    kinds, kind = np.zeros((1, 0)), np.zeros(len(kept), np.int64)
    for column in kept.T:  # one by one: rows as a whole are far slower to sort
        values, place = np.unique(column, return_inverse=True)
        pairs, kind = np.unique(kind * len(values) + place, return_inverse=True)
        old, new = np.divmod(pairs, len(values))
        kinds = np.column_stack([kinds[old], values[new]])
    return kinds, kind


def _situation(task: Task, nodes: Nodes, shown: ShownStates, t: int, part: slice) -> Situation:
    """The input of a policy in some of the nodes."""
    world, state = task.world, nodes.state[part]
    records = shown.words.take(state, axis=0).view(world.dtype).reshape(-1).view(np.recarray)
    records["clock"] = t
    masks = shown.masks.take(state, axis=0)
    seen = observations(
        task,
        shown.features.take(state, axis=0),
        shown.progress[state],
        t,
        nodes.kept[part, : len(task.windows)],
        nodes.kept[part, -1] if task.acquired_so_far else None,
    )
    (actor,) = world.acting
    return Situation(seen, masks, records, actor)


def action_weights(policy: Policy, greedy: bool, situation: Situation) -> Floats:
    """[n, A] probabilities of actions in a situation; rows sum to 1.

    Raises:
        InvalidInput: The policy gives none.
    """
    chosen, shape = policy.probabilities(situation), situation.masks.shape
    if chosen.shape != shape:
        raise InvalidInput("policy", chosen.shape, f"probabilities {shape}")
    if greedy:
        best: Floats = np.eye(shape[1])[chosen.argmax(axis=1)]
        return best
    total = chosen.sum(axis=1, keepdims=True, dtype=np.float64)
    if not ((chosen >= 0).all() and (total > 0).all() and np.isfinite(total).all()):
        raise InvalidInput("policy", "no probabilities", "rows >= 0 that sum to 1")
    weights: Floats = chosen / total  # as actions are drawn; float32 misses 1 by what adds up
    return weights


@njit(cache=True, nogil=True)
def _forget(standing, allowed, ended):  # type: ignore[no-untyped-def]  # compiled
    """End the least probable of standing [kinds, S], `allowed` of it at most, where it stands.

    By powers of two: every node is dropped that holds less than the greatest one that fits.
    """
    mass = np.zeros(1100)  # of doubles, by exponent
    for row in standing:
        for probability in row:
            if probability > 0.0:
                mass[math.frexp(probability)[1] + 1074] += probability
    total, last = 0.0, 0
    while last < len(mass) and total + mass[last] <= allowed:
        total += mass[last]
        last += 1
    least = math.ldexp(0.5, last - 1074)
    for row in standing:
        for s in range(len(row)):
            if 0.0 < row[s] < least:
                ended[s] += row[s]
                row[s] = 0.0


@njit(cache=True, nogil=True)
def _advance(  # type: ignore[no-untyped-def]  # compiled
    pair_start,
    edge_start,
    edge_next,
    edge_probability,
    pair_action,
    gain,
    still,
    state,
    following,
    probability,
    chosen,
    taken,
    wasted,
    standing,
):
    """Add what nodes do: taken [P], wasted [S], and where it leads, standing [kinds, S].

    gain [E] and following [n, G] say which kind a node becomes by an edge; the gain `still` is 0.
    """
    for i in range(len(state)):
        illegal = 0.0
        for action in range(chosen.shape[1]):
            illegal += chosen[i, action]
        for pair in range(pair_start[state[i]], pair_start[state[i] + 1]):
            illegal -= chosen[i, pair_action[pair]]
            weight = probability[i] * chosen[i, pair_action[pair]]
            if weight == 0.0:
                continue
            taken[pair] += weight
            for edge in range(edge_start[pair], edge_start[pair + 1]):
                kind = following[i, gain[edge]]
                standing[kind, edge_next[edge]] += weight * edge_probability[edge]
        if illegal > ROUNDING:
            wasted[state[i]] += probability[i] * illegal
            standing[following[i, still], state[i]] += probability[i] * illegal
