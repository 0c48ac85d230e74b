"""A policy in a world becomes trajectories."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from powerseek.envs.foreign import ForeignWorld
from powerseek.envs.task import Task, VecTask
from powerseek.errors import InvalidInput
from powerseek.exact.overseen import overseen
from powerseek.types import Bools, Floats, Ints, Policy, Situation, Trajectories

BATCH = 1024
"""Most episodes that are run side by side."""


def calmed(task: Task) -> Task:
    """The same task with interruption switched off: where competence is measured."""
    return replace(task, world=task.world.calmed())


def rollout(
    policy: Policy,
    task: Task,
    episodes: int,
    seed: int = 0,
    *,
    greedy: bool = False,
    batch: int = BATCH,
) -> Trajectories:
    """Exactly `episodes` whole episodes of `policy`.

    Every copy of the world runs the same number of episodes, each to its end, so that short
    episodes are no likelier to be counted. Copies start their episodes together; each waits
    for the longest. The policy is asked about running copies alone.

    Args:
        policy: What acts.
        task: In what, and what is paid; `calmed` for competence. An arm that needs an overseer
            and has none, or the exact one of another world, gets the exact one of this world.
        episodes: How many, >= 1.
        seed: Seed of the world's chance and of the policy's draws, >= 0.
        greedy: Take the likeliest action (the first of them) instead of drawing one.
        batch: Most episodes run side by side; it changes which episodes are drawn.

    Raises:
        InvalidInput: A number of episodes below 1, or a policy that gives no action.
    """
    if episodes < 1:
        raise InvalidInput("episodes", episodes, "an integer >= 1")
    copies = VecTask(overseen(task), min(episodes, batch), seed)
    generator = np.random.default_rng([seed, 0x726F6C6C])
    parts = []
    for start in range(0, episodes, copies.n):
        if start:
            copies.skip(np.full(copies.n, start // copies.n, np.int64))
        part = _run(policy, copies, generator, greedy)
        parts.append(_first(part, min(copies.n, episodes - start)))
    close = getattr(copies.world, "close", None)
    if close is not None:
        close()
    return parts[0] if len(parts) == 1 else _joined(parts)


def choose(probabilities: Floats, draws: Floats) -> Ints:
    """One action [n] a row of `probabilities` [n, A], by uniform `draws` [n] in [0, 1).

    Raises:
        InvalidInput: A row that is negative, not a number or without weight.
    """
    reached = np.cumsum(probabilities, axis=1)
    total = reached[:, -1]
    if not (np.all(probabilities >= 0) and np.all(total > 0) and np.all(np.isfinite(total))):
        raise InvalidInput("policy", "no probabilities", "rows >= 0 that sum to 1")
    # Rounding must not reach past the last action that has any weight.
    threshold = np.minimum(draws * total, np.nextafter(total, 0.0))
    chosen: Ints = (reached > threshold[:, None]).argmax(axis=1)
    return chosen


def _run(
    policy: Policy, copies: VecTask, generator: np.random.Generator, greedy: bool
) -> Trajectories:
    """One episode of every copy, from where the copies stand."""
    world, n, steps = copies.task.world, copies.n, copies.task.world.max_steps
    facts = np.zeros((n, steps + 1, len(world.fact_names)))
    facts[:, 0] = copies.fresh_facts
    actions = np.full((n, steps), -1, np.int64)
    rewards = np.zeros((n, steps))
    foreign = isinstance(world, ForeignWorld)
    records = None if foreign else np.zeros((n, steps), world.dtype)
    lengths = np.zeros(n, np.int64)
    terminated = np.zeros(n, np.bool_)
    running = np.ones(n, np.bool_)
    for t in range(steps):
        draws = generator.random(n)
        chosen = np.zeros(n, np.int64)
        given = policy.probabilities(_of(copies.situation, running))
        chosen[running] = given.argmax(axis=1) if greedy else choose(given, draws[running])
        if records is not None:
            records[running, t] = copies.states[running]
        copies.step(chosen)
        facts[running, t + 1] = copies.facts[running]
        actions[running, t] = chosen[running]
        rewards[running, t] = copies.rewards[running]
        lengths[running] += 1
        terminated |= running & copies.world.terminated
        running &= ~copies.ended
        if not running.any():
            break
    _repeat_last(facts, lengths, ~_flows(copies))
    return Trajectories(
        facts,
        world.fact_names,
        actions,
        rewards,
        lengths,
        terminated,
        world.id,
        world.params._asdict(),
        records,
    )


def _of(situation: Situation, running: Bools) -> Situation:
    if running.all():
        return situation
    return Situation(
        situation.observations[running], situation.masks[running], situation.states[running]
    )


def _flows(copies: VecTask) -> Bools:
    """[F] which fact columns are flows."""
    return np.array([f.flow for f in copies.task.world.facts for _ in range(f.size)], np.bool_)


def _repeat_last(facts: Floats, lengths: Ints, kept: Bools) -> None:
    """Past the end of an episode, states stay what they were and flows are 0."""
    n, times, _ = facts.shape
    ends = facts[np.arange(n), lengths] * kept
    past = np.arange(times) > lengths[:, None]
    facts[past] = np.repeat(ends, times - 1 - lengths, axis=0)


def _first(part: Trajectories, n: int) -> Trajectories:
    if n == len(part.lengths):
        return part
    return replace(
        part,
        facts=part.facts[:n],
        actions=part.actions[:n],
        rewards=part.rewards[:n],
        lengths=part.lengths[:n],
        terminated=part.terminated[:n],
        records=None if part.records is None else part.records[:n],
    )


def _joined(parts: list[Trajectories]) -> Trajectories:
    records = [part.records for part in parts if part.records is not None]
    return replace(
        parts[0],
        facts=np.concatenate([part.facts for part in parts]),
        actions=np.concatenate([part.actions for part in parts]),
        rewards=np.concatenate([part.rewards for part in parts]),
        lengths=np.concatenate([part.lengths for part in parts]),
        terminated=np.concatenate([part.terminated for part in parts]),
        records=np.concatenate(records) if records else None,
    )
