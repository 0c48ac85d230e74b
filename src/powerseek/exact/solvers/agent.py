"""Exact evaluation of agents: of all that they can see, accumulators of past progress included."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numba import njit

from powerseek.envs.engine.expand import describe
from powerseek.envs.task import Task, observations
from powerseek.errors import InvalidInput
from powerseek.exact.enumerate import enumerated
from powerseek.exact.mdp import TabularMDP
from powerseek.exact.solvers.finite import WHOLE, graph_of
from powerseek.exact.solvers.outcome import Outcome, mdp_criteria
from powerseek.types import Floats, Ints, Policy, Situation

CHUNK = 16_384
"""Nodes of which a policy is asked at once."""

MAX_STANDING = 100_000_000
"""Most numbers in a table of states x accumulators."""


@dataclass(frozen=True, eq=False)
class Nodes:
    """All that an agent may stand in before a step, and how probably it does.

    Attributes:
        state: [n] numbers of states.
        marks: [n, W] progress when each accumulator of the task last began anew.
        probability: [n] > 0.
    """

    state: Ints
    marks: Floats
    probability: Floats


def agent_occupancies(
    task: Task, policy: Policy, *, greedy: bool = False, mdp: TabularMDP | None = None
) -> Iterator[tuple[int, Floats, Floats]]:
    """Probability of every pair, step by step, under a policy that sees what a task shows.

    That is the world's features, the time left and the progress since the last multiple of each
    k of `Task.windows`, to the last bit as `powerseek.envs.task.VecTask` shows them. The layers
    hold what the policy can reach, and nothing is kept of them.

    Args:
        task: What the policy acts in, its time limit included.
        policy: A policy whose probabilities depend on the situation alone: no memory, no draws of
            its own.
        greedy: True if it takes the likeliest action (the first of them).
        mdp: The task's world, enumerated; found here by default.

    Yields:
        (t, taken [P], ended [S]): the probability of taking each pair as step t, and of having
        ended in each state after it.

    Raises:
        InvalidInput: The world cannot be enumerated, its accumulators take too many values, or
            the policy gives probabilities that do not sum to 1.
    """
    mdp = enumerated(task.world) if mdp is None else mdp
    world, _ = mdp.origin
    if world != task.world or mdp.symmetric:
        raise InvalidInput("mdp", mdp.world, f"{task.world}, enumerated state by state")
    progress = mdp.state_facts[:, world.columns("progress").start]
    begins = np.flatnonzero((mdp.initial > 0) & ~mdp.terminal)
    nodes = Nodes(begins, np.zeros((len(begins), len(task.windows))), mdp.initial[begins])
    ended = np.where(mdp.terminal, mdp.initial, 0.0)
    for t in range(world.max_steps):
        taken = np.zeros(mdp.n_pairs)
        _restart(task, nodes, progress, t)
        kinds, kind = _distinct(_kept(task, nodes.marks, t + 1))
        if len(kinds) * mdp.n_states > MAX_STANDING:
            raise InvalidInput(
                "task.windows",
                task.windows,
                f"accumulators of at most {MAX_STANDING // mdp.n_states:,} values in this world",
            )
        standing = np.zeros((len(kinds), mdp.n_states))
        for start in range(0, len(nodes.state), CHUNK):
            part = slice(start, start + CHUNK)
            chosen = _chosen(task, mdp, policy, greedy, nodes, progress, t, part)
            _advance(
                *graph_of(mdp),
                mdp.pair_action,
                nodes.state[part],
                kind[part],
                nodes.probability[part],
                chosen,
                taken,
                standing,
            )
        if not abs(taken.sum() - nodes.probability.sum()) <= WHOLE:
            raise InvalidInput("policy", "probability of a forbidden action", "0 there")
        ended += np.where(mdp.terminal, standing.sum(axis=0), 0.0)
        standing[:, mdp.terminal] = 0.0
        row, state = np.nonzero(standing)
        nodes = Nodes(state, kinds[row], standing[row, state])
        if t + 1 == world.max_steps:
            ended += standing.sum(axis=0)
        yield t, taken, ended
        if not len(nodes.state):
            return


def evaluate_agent(
    task: Task,
    policy: Policy,
    *,
    greedy: bool = False,
    mdp: TabularMDP | None = None,
    met: Callable[[int, Floats], object] = lambda t, taken: None,
) -> Outcome:
    """Exact outcome of a policy that sees what a task shows; arguments as `agent_occupancies`.

    Competence is the success of this in ``without_interruption(task)``. `met` is told of every
    step and the probabilities [P] of what is taken in it.
    """
    mdp = enumerated(task.world) if mdp is None else mdp
    measured = mdp_criteria(mdp)
    taken, ended = np.zeros(mdp.n_pairs), np.where(mdp.terminal, mdp.initial, 0.0)
    for t, now, over in agent_occupancies(task, policy, greedy=greedy, mdp=mdp):
        met(t, now)
        taken += now
        ended = over
    return measured.outcome(taken @ measured.flows + ended @ measured.finals)


def _restart(task: Task, nodes: Nodes, progress: Floats, t: int) -> None:
    """Begin the accumulators anew whose multiple it is."""
    for k, window in enumerate(task.windows):
        if t % window == 0:
            nodes.marks[:, k] = progress[nodes.state]


def _kept(task: Task, marks: Floats, t: int) -> Floats:
    """The marks that still matter at clock t: those that begin anew there do not."""
    return np.where([t % window == 0 for window in task.windows], 0.0, marks)


def _distinct(marks: Floats) -> tuple[Floats, Ints]:
    """The different rows of [n, W], and which of them each is."""
    kinds, kind = np.zeros((1, 0)), np.zeros(len(marks), np.int64)
    for column in marks.T:  # one by one: rows as a whole are far slower to sort
        values, place = np.unique(column, return_inverse=True)
        pairs, kind = np.unique(kind * len(values) + place, return_inverse=True)
        old, new = np.divmod(pairs, len(values))
        kinds = np.column_stack([kinds[old], values[new]])
    return kinds, kind


def _chosen(
    task: Task,
    mdp: TabularMDP,
    policy: Policy,
    greedy: bool,
    nodes: Nodes,
    progress: Floats,
    t: int,
    part: slice,
) -> Floats:
    """[n, A] probabilities of actions in some of the nodes."""
    world, known = mdp.origin
    state = nodes.state[part]
    records = known[state].copy()
    records["clock"] = t
    _, masks, features = describe(world, records)
    seen = observations(task, features, progress[state], t, nodes.marks[part])
    (actor,) = world.acting
    chosen = policy.probabilities(Situation(seen, masks, records, actor))
    if chosen.shape != masks.shape:
        raise InvalidInput("policy", chosen.shape, f"probabilities {masks.shape}")
    if greedy:
        best: Floats = np.eye(masks.shape[1])[chosen.argmax(axis=1)]
        return best
    total = chosen.sum(axis=1, keepdims=True, dtype=np.float64)
    if not ((chosen >= 0).all() and (total > 0).all() and np.isfinite(total).all()):
        raise InvalidInput("policy", "no probabilities", "rows >= 0 that sum to 1")
    weights: Floats = chosen / total  # as actions are drawn; float32 misses 1 by what adds up
    return weights


@njit(cache=True, nogil=True)
def _advance(  # type: ignore[no-untyped-def]  # compiled
    pair_start,
    edge_start,
    edge_next,
    edge_probability,
    pair_action,
    state,
    kind,
    probability,
    chosen,
    taken,
    standing,
):
    """Add what nodes do: taken [P], and where it leads, standing [kinds, S]."""
    for i in range(len(state)):
        row = standing[kind[i]]
        for pair in range(pair_start[state[i]], pair_start[state[i] + 1]):
            weight = probability[i] * chosen[i, pair_action[pair]]
            if weight == 0.0:
                continue
            taken[pair] += weight
            for edge in range(edge_start[pair], edge_start[pair + 1]):
                row[edge_next[edge]] += weight * edge_probability[edge]
