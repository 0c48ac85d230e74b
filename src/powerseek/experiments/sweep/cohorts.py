"""Cohorts of trials that are trained side by side: the study's file alone decides them.

Packing changes no number, so it depends on nothing that could: neither on the number of workers
nor on memory, nor on what a sweep has finished before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from powerseek.experiments.study.grid import Cell, Trial, canonical_study_json
from powerseek.experiments.sweep.progress import Kind
from powerseek.registry import agents

COHORT = 16
"""Most trials side by side, where a study does not say."""

Cohort: TypeAlias = tuple[Trial, ...]


def make_cohorts(grid: Sequence[Trial], most: int | None = None) -> tuple[Cohort, ...]:
    """The trials of a study in cohorts of at most `most`, by the first trial of each.

    Agents share a cohort if they are trained by one cohort trainer in one setting of a world, for
    as many steps, with equal settings of what such agents have in common; trials of other agents
    are cohorts of one. Trials whose trainings are equal (`Agent.aside`) are in one cohort, where
    the training is computed once, and count as one.

    Args:
        grid: Every trial of the study, in its order.
        most: Trainings in a cohort, >= 1; by default `COHORT`.
    """
    kinds: dict[int, str | None] = {}  # of cells, of which a grid holds each once
    filling: dict[str, list[Trial]] = {}
    trainings: dict[str, int] = {}
    placed: dict[str, list[Trial]] = {}
    found: list[list[Trial]] = []
    for trial in grid:
        if id(trial.cell) not in kinds:
            common = cohort_fields(trial.cell)
            kinds[id(trial.cell)] = None if common is None else canonical_study_json(common)
        kind = kinds[id(trial.cell)]
        if kind is None:
            found.append([trial])
            continue
        training = _training(trial)
        if training in placed:
            placed[training].append(trial)
            continue
        if trainings.get(kind, 0) in (0, most or COHORT):
            filling[kind], trainings[kind] = [], 0
            found.append(filling[kind])
        filling[kind].append(trial)
        trainings[kind] += 1
        if training:
            placed[training] = filling[kind]
    return tuple(map(tuple, found))


def _training(trial: Trial) -> str:
    """All that a training hangs on, of an agent that can play in several ways; else ""."""
    aside = agents.get(trial.cell.agent).aside
    if not aside:
        return ""
    config = {name: value for name, value in trial.config.items() if name != "agent_spec"}
    rest = {name: value for name, value in config["settings"].items() if name not in aside}
    return canonical_study_json({**config, "settings": rest})


def cohort_fields(cell: Cell) -> dict[str, Any] | None:
    """Fields that all cells of one cohort share, by name; None for an agent trained alone."""
    shared = agents.get(cell.agent).shared
    if shared is None:
        return None
    return {
        "agent": cell.agent,
        "world": cell.world,
        "version": cell.version,
        **cell.config["params"],
        "timesteps": cell.timesteps,
        **{name: cell.config["settings"][name] for name in shared},
    }


def kind_of(cell: Cell) -> Kind:
    """What decides about how long a trial of a cell takes."""
    setting = canonical_study_json([cell.world, cell.params])
    return Kind(cell.agent, setting, cell.timesteps)


def cohort_boundaries(grid: Sequence[Trial]) -> dict[str, tuple[str, ...]]:
    """By world, the fields in which cells differ that therefore share no cohort."""
    by_world: dict[str, list[Mapping[str, Any]]] = {}
    for cell in {id(trial.cell): trial.cell for trial in grid}.values():
        common = cohort_fields(cell)
        if common is not None:
            by_world.setdefault(cell.world, []).append(common)
    return {
        world: tuple(
            name
            for name in held[0]
            if len({canonical_study_json(common.get(name)) for common in held}) > 1
        )
        for world, held in by_world.items()
    }
