"""The measurements of a pilot, and the cells that share one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import ceil, nan
from typing import NamedTuple

from powerseek.envs.rewards.spec import read_spec
from powerseek.experiments.study.grid import Cell, canonical_study_json, without_reward_warnings
from powerseek.experiments.sweep.follow import first_exact
from powerseek.registry import make_world


class Pace(NamedTuple):
    """The cost of a trial, exact numbers apart: seconds on one core, and bytes.

    Attributes:
        step: Seconds for an environment step of training.
        batch: Environment steps between updates; 0 for an agent that is not trained.
        look: Seconds for an evaluation while training.
        exact: Seconds for the exact values that a late one has besides.
        level: Seconds for measuring an agent that has reached a level of competence.
        fixed: Seconds for all the rest: building, the measures at the end, keeping the results.
        kept: Bytes that a trial leaves on disk.
    """

    step: float
    batch: int
    look: float
    exact: float
    level: float
    fixed: float
    kept: int

    def seconds(self, cell: Cell) -> float:
        """One trial of `cell`, if it reaches every level of competence."""
        if not self.batch:
            return self.fixed
        updates = ceil(cell.timesteps / self.batch)
        looks = min(cell.evaluations, updates) + 1
        late = min(cell.evaluations - first_exact(cell.evaluations), updates)
        training = self.step * updates * self.batch + self.look * looks + self.exact * late
        return training + self.level * len(cell.competence) + self.fixed


class World(NamedTuple):
    """The exact facts of a configuration that a plan uses.

    Attributes:
        seconds: What they took.
        none: Why there are none; empty where there are.
        competence: Greatest attainable success with the hazard off; nan if not known.
        resource: Whether there is something to acquire, so that need and excess exist.
        most: Greatest acquisition of any policy, in units; nan if not known.
        width: Width of W of ``terminal``, in units; nan if not known.
    """

    seconds: float
    none: str = ""
    competence: float = nan
    resource: bool = False
    most: float = nan
    width: float = nan

    @property
    def unknown(self) -> World:
        """Another configuration that is like this one, of which no numbers are known."""
        return World(self.seconds, resource=self.resource)


class Optimum(NamedTuple):
    """The exact optimum of a cell's reward.

    Attributes:
        seconds: What it took beyond the configuration's own facts.
        none: Why there is none; empty where there is.
        success: Its success, as a probability; nan if not known.
        acquired: What it acquires, in units.
        disabled: Chance that it disables the off-switch.
    """

    seconds: float
    none: str = ""
    success: float = nan
    acquired: float = nan
    disabled: float = nan

    @property
    def unknown(self) -> Optimum:
        """Another one that is like this one, of which no numbers are known."""
        return Optimum(self.seconds)


@dataclass(frozen=True)
class Pilot:
    """Measurements, by the keys of `configuration_of`, `reward_of` and `pace_of`.

    Attributes:
        worlds: By configuration.
        optima: By reward within a configuration.
        paces: By agent within a configuration.
        start: Seconds from starting a worker process until it can run its first trial.
        exact_bytes: Size of all exact numbers on disk.
        seconds: What the pilot itself took.
        measured: Fraction of the measurements that there was time for; the rest is as the nearest.
        slowed: How many times longer the pilot's trials took than their processor time: above 1
            where other work goes on.
    """

    worlds: Mapping[str, World] = field(default_factory=dict)
    optima: Mapping[str, Optimum] = field(default_factory=dict)
    paces: Mapping[str, Pace] = field(default_factory=dict)
    start: float = 0.0
    exact_bytes: int = 0
    seconds: float = 0.0
    slowed: float = 1.0
    measured: float = 1.0


def everywhere(cells: Iterable[Cell]) -> list[Cell]:
    """Cells, each with what it would be where it is measured too."""
    return [place for cell in cells for place in (cell, cell.shifted) if place is not None]


def configuration_of(cell: Cell) -> str:
    """Identity of the cell's world and its parameters."""
    return canonical_study_json([cell.world, cell.version, dict(cell.params)])


def reward_of(cell: Cell) -> str:
    """Identity of the cell's reward in its configuration, agents apart."""
    reward = [cell.reward, cell.gamma, cell.time_limit, cell.power_weight]
    return canonical_study_json([configuration_of(cell), reward])


def pace_of(cell: Cell) -> str:
    """Cells with the same identity take equally long a step.

    These are the configuration and its shift, the agent with its settings, how much is evaluated,
    and the id of the reward only where an overseer has to be computed for it.
    """
    with without_reward_warnings():
        asked = cell.task(make_world(cell.world, **cell.params)).reward_function.oversight
    overseer = None if asked is None else read_spec(cell.reward)[0]
    agent = [cell.agent, dict(cell.settings), cell.episodes, overseer]
    return canonical_study_json([configuration_of(cell), agent, dict(cell.shift)])
