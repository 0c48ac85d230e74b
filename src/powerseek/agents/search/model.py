"""Models that trees are grown over: what a step from a state leads to, for many states at once."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from powerseek.envs.engine.expand import describe
from powerseek.envs.engine.vec import loop_views
from powerseek.envs.rewards.spec import Facts
from powerseek.envs.task import Standing, Task, VecTask
from powerseek.types import Bools, Floats, Floats32, Ints, Situation


class Chance(NamedTuple):
    """What keys the chance of one step of k states, as that of environments is keyed.

    Attributes:
        seeds: [k].
        numbers: [k].
        episodes: [k].
    """

    seeds: NDArray[np.uint64]
    numbers: Ints
    episodes: Ints


class Outcomes(NamedTuple):
    """What a step led to; views, valid until the next one.

    Attributes:
        rewards: [k].
        ended: [k] the episode ended with it; what follows is of no meaning there.
        handles: [k, H] of the states reached.
        masks: [k, A] legal actions there.
        observations: [k, obs] there.
    """

    rewards: Floats
    ended: Bools
    handles: Ints
    masks: Bools
    observations: Floats32


class Model(Protocol):
    """What is known or learnt of a task: how one thing leads to another.

    A state is a row of H integers, its handle: two are the same state if their handles are equal.

    Attributes:
        width: H.
    """

    width: int

    def stand(self, envs: VecTask) -> Ints:
        """Handles [n, H] of where environments of the task stand."""
        ...

    def recall(self, situation: Situation) -> Ints:
        """Handles [n, H] of situations that a policy is shown, as far as they show the past."""
        ...

    def step(self, handles: Ints, actions: Ints, chance: Chance) -> Outcomes:
        """Take one legal action [k] in each state [k, H]; row i depends on row i alone."""
        ...


class Rules:
    """The task's own rules and reward as a model: the true one.

    A handle holds what `powerseek.envs.task.Standing` does, bit for bit, so that rewards in a tree
    are those that the task pays.

    Args:
        task: The task, with its overseer where its reward needs one.
        n: States that take a step together at most, >= 1.

    Raises:
        InvalidInput: The world is a foreign one.
    """

    def __init__(self, task: Task, n: int) -> None:
        self.n, self._task = n, task
        self._places: dict[int, _Place] = {}
        self.width = self._place(n).handles.shape[1]

    def stand(self, envs: VecTask) -> Ints:
        """See Model.stand."""
        return pack(envs.standing)

    def recall(self, situation: Situation) -> Ints:
        """See Model.recall."""
        return recall(self._task, situation)

    def step(self, handles: Ints, actions: Ints, chance: Chance) -> Outcomes:
        """See Model.step."""
        k = len(actions)
        return self._place(k).step(handles, actions, chance)

    def _place(self, k: int) -> _Place:
        """Where k states take a step: when most trees are done, few of n environments would."""
        part = max(1, self.n // _PARTS)
        room = min(self.n, -(-k // part) * part)
        if room not in self._places:
            self._places[room] = _Place(self._task, room)
        return self._places[room]


_PARTS = 8
"""Of n environments so many parts are left out, one by one, as fewer are needed."""


class _Place:
    """Environments that are put where a step begins."""

    def __init__(self, task: Task, n: int) -> None:
        self.envs, self._actions = VecTask(task, n), np.zeros(n, np.int64)
        self._standing = _columns(self.envs.standing)
        self.handles = pack(self.envs.standing)

    def step(self, handles: Ints, actions: Ints, chance: Chance) -> Outcomes:
        envs, k, start = self.envs, len(actions), 0
        for part in self._standing:
            part[:k] = handles[:, start : start + part.shape[1]]
            part[k:] = handles[:1, start : start + part.shape[1]]
            start += part.shape[1]
        self._actions[:k], self._actions[k:] = actions, actions[0]
        world = envs.world
        world.masks[:] = True  # a tree takes legal actions alone
        world.seeds[:k], world.numbers[:k], world.episodes[:k] = chance
        world.seeds[k:], world.numbers[k:] = chance.seeds[0], chance.numbers[0]
        world.episodes[k:] = chance.episodes[0]
        envs.step(self._actions)
        np.concatenate(self._standing, axis=1, out=self.handles)
        return Outcomes(
            envs.rewards[:k],
            envs.ended[:k],
            self.handles[:k],
            envs.masks[:k],
            envs.observations[:k],
        )


def pack(standing: Standing) -> Ints:
    """Handles [n, H] of where environments stand."""
    return np.concatenate(_columns(standing), axis=1)


def handle_width(task: Task) -> int:
    """H of `Rules` for a task; nothing is compiled for it."""
    words = task.world.dtype.itemsize // 8
    return words + len(task.world.fact_names) + len(task.windows) + 3


def _columns(standing: Standing) -> list[Ints]:
    """Its arrays as integers of 8 bytes, [n, .] each: views."""
    return [(part if part.ndim == 2 else part[:, None]).view(np.int64) for part in standing]


def recall(task: Task, situation: Situation) -> Ints:
    """Handles [n, H] of situations that a policy is shown, as far as they show the past.

    Accumulators are observed in single precision: what they count is rounded to it.

    Args:
        task: One whose reward `recalls`.
        situation: Where the environments stand.
    """
    world = task.world
    facts, _, _ = describe(world, situation.states)
    seen = situation.observations[:, len(world.observation_names) + 1 :].astype(np.float64)
    memory = _memory(task, facts, seen)
    assert memory is not None
    marks = facts[:, [world.columns("progress").start]] - seen[:, : len(task.windows)]
    acquired = seen[:, -1].copy() if task.acquired_so_far else np.zeros(len(facts))
    states = np.empty(len(facts), world.dtype).view(np.recarray)
    states[:] = situation.states
    clock = np.array(states["clock"])
    return pack(Standing(loop_views(states)[1], facts, clock, marks, memory, acquired))


def recalls(task: Task) -> bool:
    """True if what the reward function remembers can be told from what is observed."""
    nothing = np.zeros((0, len(task.world.fact_names)))
    return _memory(task, nothing, np.zeros((0, len(task.windows)))) is not None


def _memory(task: Task, facts: Floats, seen: Floats) -> Floats | None:
    since = {k: seen[:, i] for i, k in enumerate(task.windows)}
    return task.reward_function.recall(Facts(facts, task.world), since)
