"""Policies in worlds become trajectories."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from powerseek.envs.adapters.foreign import ForeignWorld
from powerseek.envs.engine.compile import loop
from powerseek.envs.engine.vec import loop_views
from powerseek.envs.task import Task, VecTask
from powerseek.errors import InvalidInput
from powerseek.exact.overseer import with_overseer
from powerseek.limits import check_limit
from powerseek.types import (
    Floats,
    Floats32,
    Ints,
    Policy,
    RecurrentPolicy,
    Situation,
    Trajectories,
)

BATCH = 1024
"""Maximum of episodes of one agent that are run side by side."""
COPIES = 8192
"""Environments above which no further agent joins those that stand side by side."""

_CHOOSING = 0x726F6C6C
"""Stream below an agent's seed."""

_ARRAYS = ("facts", "actions", "rewards", "lengths", "terminated", "records")
"""Fields of trajectories that hold a row an episode."""


def without_interruption(task: Task) -> Task:
    """The same task with interruption switched off: where competence is measured."""
    return replace(task, world=task.world.without_interruption())


def probe_task(task: Task) -> Task:
    """The task in its world's probe: seen and acted in alike, and paid for by nobody."""
    world = task.world.probed()
    return replace(task, world=world, reward="dense", power_weight=0.0, overseer=None)


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

    Every environment runs the same number of episodes, each to its end, so that short
    episodes are no likelier to be counted. All start their episodes together; each waits
    for the longest. The policy is asked about running environments alone.

    Args:
        policy: What acts.
        task: In what, and what is paid; `without_interruption` for competence. A reward that
            needs an overseer and has none, or the exact one of another world, gets this world's;
            one that is learnt has labels of seed 0 then (`powerseek.exact.with_overseer`).
        episodes: How many, >= 1.
        seed: Seed of the world's chance and of the policy's draws, >= 0.
        greedy: Take the likeliest action (the first of them) instead of drawing one.
        batch: Maximum of episodes run side by side; it changes which episodes are drawn.

    Raises:
        InvalidInput: A number of episodes or a seed outside `powerseek.limits`, or a policy that
            gives no action.
    """
    return rollouts([policy], [task], episodes, [seed], greedy=greedy, batch=batch)[0]


def rollouts(
    policies: Sequence[Policy],
    tasks: Sequence[Task],
    episodes: int,
    seeds: Sequence[int],
    *,
    greedy: bool | Sequence[bool] = False,
    batch: int = BATCH,
) -> list[Trajectories]:
    """`rollout` of many agents at once: one world is stepped for all that act in an equal one.

    Every agent's trajectories are bit for bit those that `rollout` gives it alone, whoever else
    is there, how many and in what order. An error of one is raised for all.

    Args:
        policies: What acts, one an agent; a policy may serve several.
        tasks: In what, one an agent. Rewards, discounts and overseers may differ within a world.
        episodes: How many of each agent, >= 1.
        seeds: One an agent, >= 0; equal ones are met by equal chance.
        greedy: As in `rollout`; for all, or one an agent.
        batch: Maximum of episodes of one agent run side by side, as in `rollout`.

    Returns:
        One an agent, in order. All are held in memory: per episode and step, the world's record
        and facts and two numbers more (about half a kilobyte in `homestead`).

    Raises:
        InvalidInput: As in `rollout`, or not one of each for every agent.
    """
    check_limit("episodes", episodes)
    for seed in seeds:
        check_limit("world_seed", seed, "seed")
    flags = [greedy] * len(policies) if isinstance(greedy, bool) else greedy
    for name, given in (("tasks", tasks), ("seeds", seeds), ("greedy", flags)):
        if len(given) != len(policies):
            raise InvalidInput(name, len(given), f"{len(policies)} of them: one for each policy")
    supervised = [with_overseer(task) for task in tasks]
    n = min(episodes, batch)
    results: dict[int, Trajectories] = {}
    for group in _groups(supervised, max(1, COPIES // n)):
        envs = VecTask([supervised[i] for i in group], n, [seeds[i] for i in group])
        players = [
            _Player(policies[i], seeds[i], flags[i], envs, slice(k * n, (k + 1) * n))
            for k, i in enumerate(group)
        ]
        results.update(zip(group, _played(players, envs, n, episodes), strict=True))
        envs.close()
    return [results[i] for i in range(len(policies))]


def _groups(tasks: Sequence[Task], maximum: int) -> Iterator[list[int]]:
    """Numbers of the tasks whose environments are stepped side by side, `maximum` at once."""
    alike: dict[Any, list[int]] = {}
    for i, task in enumerate(tasks):
        key = i if isinstance(task.world, ForeignWorld) else task.beside
        alike.setdefault(key, []).append(i)
    for members in alike.values():
        for start in range(0, len(members), maximum):
            yield members[start : start + maximum]


def _played(players: Sequence[_Player], envs: VecTask, n: int, episodes: int) -> list[Trajectories]:
    """`episodes` of every player, each on n of the environments."""
    parts: list[list[Trajectories]] = [[] for _ in players]
    for start in range(0, episodes, n):
        if start:
            envs.skip(np.full(envs.n, start // n, np.int64))
        _run(players, envs)
        for kept, player in zip(parts, players, strict=True):
            kept.append(_first(player.episodes(), min(n, episodes - start)))
    return [kept[0] if len(kept) == 1 else _joined(kept) for kept in parts]


def _run(players: Sequence[_Player], envs: VecTask) -> None:
    """One episode of every environment, from where the environments stand."""
    chosen = np.zeros(envs.n, np.int64)
    for player in players:
        player.begin()
    running = players
    for t in range(envs.task.world.max_steps):
        for player in running:
            player.act(chosen)
        envs.step(chosen)
        running = [player for player in running if player.goes_on(t, chosen)]
        if not running:
            break


class _Player:
    """One agent among the environments: who acts, by what chance, and what came of it.

    Args:
        policy: What acts.
        seed: Seed of its draws.
        greedy: True if it takes the likeliest action.
        envs: The environments of all players.
        own: Those of them that are its own.
    """

    def __init__(self, policy: Policy, seed: int, greedy: bool, envs: VecTask, own: slice) -> None:
        self.policy, self.greedy, self.own = policy, greedy, own
        self.recurrent = policy if isinstance(policy, RecurrentPolicy) else None
        self.memory: Floats32 | None = None
        self.world = world = envs.task.world
        self.generator = np.random.default_rng([seed, _CHOOSING])
        n = own.stop - own.start
        states = envs.states[own]
        (actor,) = world.acting
        self.standing = Situation(envs.observations[own], envs.masks[own], states, actor)
        self.words = loop_views(states)[1]
        self.shown = (
            envs.facts[own],
            envs.rewards[own],
            envs.ended[own],
            envs.world.terminated[own],
        )
        self.fresh = envs.fresh_facts[own]
        # Flows of a step are those of no later one.
        self.stays = np.array([not f.flow for f in world.facts for _ in range(f.size)], np.float64)
        self.draws = np.zeros(n)
        self.running = np.ones(n, np.bool_)

    def begin(self) -> None:
        """Start anew from where the environments stand."""
        n, world, steps = len(self.draws), self.world, self.world.max_steps
        self.memory = None if self.recurrent is None else self.recurrent.begin(n)
        self.running[:] = True
        self.rows: Ints = np.arange(n)
        self.facts = np.zeros((n, steps + 1, len(world.fact_names)))
        self.facts[:, 0] = self.fresh
        self.actions = np.full((n, steps), -1, np.int64)
        self.rewards = np.zeros((n, steps))
        self.records = np.zeros((n, steps), world.dtype)
        self.record_words = self.records.view(np.int64).reshape(n, steps, -1)
        self.record_words[:, 0] = self.words
        self.lengths = np.zeros(n, np.int64)
        self.terminated = np.zeros(n, np.bool_)

    def act(self, chosen: Ints) -> None:
        """Choose for its running environments."""
        shown = self._situation()
        given = self._probabilities(shown)
        if given.shape != shown.masks.shape:
            raise InvalidInput("policy", given.shape, f"probabilities {shown.masks.shape}")
        self.generator.random(out=self.draws)
        own, rows = chosen[self.own], self.rows
        own[rows] = (
            likeliest_actions(given)
            if self.greedy
            else sample_actions(given, self.draws.take(rows))
        )

    def _probabilities(self, shown: Situation) -> Floats:
        """What its policy gives, which takes down what it remembers of running environments."""
        if self.recurrent is None or self.memory is None:
            return self.policy.probabilities(shown)
        given, after = self.recurrent.step(shown, self.memory.take(self.rows, axis=0))
        self.memory[self.rows] = after
        return given

    def _situation(self) -> Situation:
        """Its running environments."""
        rows, standing = self.rows, self.standing
        if len(rows) == len(self.draws):
            return standing
        words = self.words.take(rows, axis=0)
        return Situation(
            standing.observations.take(rows, axis=0),
            standing.masks.take(rows, axis=0),
            words.view(self.world.dtype).reshape(-1).view(np.recarray),
            standing.actor,
        )

    def goes_on(self, t: int, chosen: Ints) -> bool:
        """Keep step t of its running environments; True if any still runs."""
        _keep(
            t,
            chosen[self.own],
            *self.shown,
            self.words,
            self.stays,
            self.running,
            self.facts,
            self.actions,
            self.rewards,
            self.record_words,
            self.lengths,
            self.terminated,
        )
        self.rows = np.flatnonzero(self.running)
        return self.rows.size > 0

    def episodes(self) -> Trajectories:
        """The episodes played since `begin`."""
        world = self.world
        return Trajectories(
            self.facts,
            world.fact_names,
            self.actions,
            self.rewards,
            self.lengths,
            self.terminated,
            world.id,
            world.params._asdict(),
            None if isinstance(world, ForeignWorld) else self.records,
        )


@loop
def _keep(
    t: Any,
    chosen: Any,
    facts: Any,
    rewards: Any,
    ended: Any,
    over: Any,
    words: Any,
    stays: Any,
    running: Any,
    kept_facts: Any,
    kept_actions: Any,
    kept_rewards: Any,
    kept_words: Any,
    lengths: Any,
    terminated: Any,
) -> None:
    """Keep step t of running environments, and the state they are left in.

    Past the end of an episode, states stay what they were and flows are 0.
    """
    for i in range(len(running)):
        if not running[i]:
            continue
        # Numba moves a row element by element far faster than as a row.
        for f in range(facts.shape[1]):
            kept_facts[i, t + 1, f] = facts[i, f]
        kept_actions[i, t] = chosen[i]
        kept_rewards[i, t] = rewards[i]
        lengths[i] = t + 1
        if ended[i]:
            running[i] = False
            terminated[i] = over[i]
            for past in range(t + 2, kept_facts.shape[1]):
                for f in range(facts.shape[1]):
                    kept_facts[i, past, f] = facts[i, f] * stays[f]
        elif t + 1 < kept_words.shape[1]:
            for w in range(words.shape[1]):
                kept_words[i, t + 1, w] = words[i, w]


def sample_actions(probabilities: Floats, draws: Floats) -> Ints:
    """One action [n] a row of `probabilities` [n, A], by uniform `draws` [n] in [0, 1).

    Raises:
        InvalidInput: A row that is negative, not a number or without weight.
    """
    chosen: Ints = np.zeros(len(probabilities), np.int64)
    _draw(_checked(probabilities), draws, chosen)
    return chosen


def likeliest_actions(probabilities: Floats) -> Ints:
    """The likeliest action [n] of every row of `probabilities` [n, A], the first of them.

    Raises:
        InvalidInput: As in `sample_actions`.
    """
    chosen: Ints = _checked(probabilities).argmax(axis=1)
    return chosen


def _checked(probabilities: Floats) -> Floats:
    """Probabilities as the loops take them."""
    taken = np.ascontiguousarray(probabilities, np.float64)
    if not _sound(taken):
        raise InvalidInput("policy", "no probabilities", "rows >= 0 that sum to 1")
    return taken


@loop
def _sound(probabilities: Any) -> bool:
    """True if every row has weight, none of it negative, infinite or not a number."""
    for i in range(probabilities.shape[0]):
        total = 0.0
        for a in range(probabilities.shape[1]):
            if not probabilities[i, a] >= 0.0:
                return False
            total += probabilities[i, a]
        if not 0.0 < total < np.inf:
            return False
    return True


@loop
def _draw(probabilities: Any, draws: Any, chosen: Any) -> None:
    """Fill `chosen` with one action a row, by inverse of the distribution function."""
    for i in range(probabilities.shape[0]):
        total = 0.0
        for a in range(probabilities.shape[1]):
            total += probabilities[i, a]
        # Rounding must not reach past the last action that has any weight.
        threshold = min(draws[i] * total, np.nextafter(total, 0.0))
        reached = 0.0
        for a in range(probabilities.shape[1]):
            reached += probabilities[i, a]
            if reached > threshold:
                chosen[i] = a
                break


def _first(part: Trajectories, n: int) -> Trajectories:
    return replace(part, **{name: rows[:n] for name, rows in _arrays(part)})


def _joined(parts: Sequence[Trajectories]) -> Trajectories:
    names = [name for name, _ in _arrays(parts[0])]
    joined: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts]) for name in names
    }
    return replace(parts[0], **joined)


def _arrays(part: Trajectories) -> list[tuple[str, Any]]:
    """Those of `_ARRAYS` that it has."""
    pairs = [(name, getattr(part, name)) for name in _ARRAYS]
    return [(name, rows) for name, rows in pairs if rows is not None]
