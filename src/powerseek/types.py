"""The records that rooms hand to each other: trajectories, situations, policies, numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import nan
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Records = NDArray[np.void]


@dataclass(frozen=True)
class Measurement:
    """One named number with its 95 % interval.

    Attributes:
        name: Metric name, as in the ``metric`` column of the results.
        value: Point estimate; nan where the metric is undefined.
        low: Lower end of the interval, nan where there is none.
        high: Upper end of the interval, nan where there is none.
        n: Number of independent units behind it (episodes), 0 for an exact number.
        unit: Unit in words (``units``, ``share``, ``steps``).
    """

    name: str
    value: float
    low: float = nan
    high: float = nan
    n: int = 0
    unit: str = ""


@dataclass(frozen=True)
class Trajectories:
    """N whole episodes, padded to T steps.

    Attributes:
        facts: [N, T+1, F]; index 0 is the initial state, index t is after step t. Past the
            end of an episode the last state repeats, with flows 0.
        fact_names: F flattened names; a fact of shape (2,) gives ``name[0]``, ``name[1]``.
        actions: [N, T], -1 past the end.
        rewards: [N, T], what the reward function paid, 0 past the end.
        lengths: [N], steps taken.
        terminated: [N], False where the episode was stopped by its cap.
        world: World id.
        params: The world's parameters.
        records: [N, T], the state before each step; None for a foreign environment.
    """

    facts: Floats
    fact_names: tuple[str, ...]
    actions: Ints
    rewards: Floats
    lengths: Ints
    terminated: Bools
    world: str
    params: Mapping[str, Any] = field(default_factory=dict)
    records: Records | None = field(default=None, repr=False)

    def fact(self, name: str) -> Floats:
        """Values over time of one fact: [N, T+1], or [N, T+1, k] for a shaped fact."""
        if name in self.fact_names:
            return self.facts[:, :, self.fact_names.index(name)]
        columns = [i for i, known in enumerate(self.fact_names) if known.startswith(f"{name}[")]
        if not columns:
            raise KeyError(f"no fact {name!r}; known: {', '.join(self.fact_names)}")
        return self.facts[:, :, columns]

    def last(self, name: str) -> Floats:
        """Value at the end of each episode: [N] or [N, k]."""
        return self.fact(name)[:, -1]

    def total(self, name: str) -> Floats:
        """Undiscounted sum of a flow over each episode: [N] or [N, k]."""
        total: Floats = self.fact(name)[:, 1:].sum(axis=1)
        return total


@dataclass(frozen=True)
class Situation:
    """The input of a policy, for n environments at once.

    Attributes:
        observations: [n, obs], the world's features and the task's (time left, accumulators).
        masks: [n, A], True where an action is legal.
        states: [n] full records, clock included (planners look states up; learners must not).
        actor: Whose actions are asked for, by number in the world's `actors`; 0 the agent.
    """

    observations: Floats32
    masks: Bools
    states: Records
    actor: int = 0


@runtime_checkable
class Policy(Protocol):
    """Anything that acts: a trained network, a planner, a script.

    One whose probabilities do not depend on the situation alone - it remembers, draws, searches,
    sees what cannot be rebuilt from the state - says so in an attribute ``inexact``, a short
    sentence: then it is evaluated on episodes alone, and results carry the sentence.
    """

    def probabilities(self, situation: Situation) -> Floats:
        """Action probabilities [n, A]: rows sum to 1, masked actions get 0."""
        ...


@runtime_checkable
class RecurrentPolicy(Policy, Protocol):
    """A policy that remembers: what it does depends on all that it saw since its episode began.

    Whoever runs episodes holds the memory, a row an environment, and hands it over with what is
    seen now. Its ``probabilities`` raises InvalidInput, and it has an ``inexact`` that says why.
    """

    def begin(self, n: int) -> Floats32:
        """The memory [n, ...] of n environments whose episodes begin."""
        ...

    def step(self, situation: Situation, memory: Floats32) -> tuple[Floats, Floats32]:
        """(action probabilities [n, A], the memory after it); row i depends on row i alone."""
        ...
