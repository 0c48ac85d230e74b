"""What a reader should know of a study before its first trial, with the line to write instead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from powerseek.envs.rewards.spec import Spec, read_spec
from powerseek.envs.world import World
from powerseek.errors import InvalidInput
from powerseek.experiments.results.table import EXACT
from powerseek.experiments.statistics.verdicts import LEAST_SEEDS
from powerseek.experiments.study.checked import cells
from powerseek.experiments.study.contrasts import SHARE_BEYOND
from powerseek.experiments.study.grid import Cell
from powerseek.experiments.study.preregistration import primary_claims
from powerseek.experiments.study.schema import Study, make_study
from powerseek.registry import make_world

ACQUIRING = (
    *("acquired", "acquired_inside", "acquired_outside", "need", "incentive", "learned"),
    *("remainder", "excess", "excess_succeeded", "excess_failed", "share_of_surplus"),
    *("slip_excess", "optimum_acquired", SHARE_BEYOND),
)
"""Measures of what is acquired: undefined where nothing can be."""


def cautions(study: Study) -> tuple[str, ...]:
    """What a reader should know before running the study, one line each."""
    grid = cells(study)
    confounded = {
        (cell.reward_label, cell.gamma)
        for cell in grid
        if cell.gamma < 1.0 and delays_without_correction(cell.reward)
    }
    if not confounded:
        return hopeless(study, grid)
    shown = ", ".join(f"{reward!r} at gamma {gamma:g}" for reward, gamma in sorted(confounded))
    return (
        f"{shown}: density is confounded with discount, because paying later also pays less. "
        "Compare at gamma 1, or write {every: k, corrected: true}.",
        *hopeless(study, grid),
    )


def delays_without_correction(reward: Spec) -> bool:
    """Whether an arm pays dense reward later without making up for the discount."""
    id, _, options = read_spec(reward)
    return id == "every" and not options.get("corrected")


def hopeless(study: Study, grid: Sequence[Cell]) -> tuple[str, ...]:
    """Why hypotheses can only end in "cannot tell", known before the first trial.

    Args:
        study: The study.
        grid: Its cells.

    Returns:
        One line each, with the line to write instead; every such line was tried: it gives the
        study its control.
    """
    if not study.hypotheses:
        return ()
    lines = [*_undefined(study, grid), *_uncontrolled(study, grid)]
    if study.seeds < LEAST_SEEDS and any(h.compared not in EXACT for h in study.hypotheses):
        lines.append(
            f"{study.seeds} seeds: no hypothesis gets a verdict below {LEAST_SEEDS}. Write seeds: "
            f"{LEAST_SEEDS}."
        )
    return tuple(lines)


def worlds_with(role: str, grid: Sequence[Cell]) -> set[str]:
    """Worlds of a study that have a fact with a role in some setting."""
    return {world.id for world in _made(grid) if world.role(role)}


def beside(grid: Sequence[Cell]) -> set[str]:
    """Worlds of a study in which bystanders can act in the agent's place, in some setting."""
    return {world.id for world in _made(grid) if world.bystanders()}


def _made(grid: Sequence[Cell]) -> Iterator[World]:
    """The world of every setting."""
    settings = {(cell.world, str(cell.params)): cell for cell in grid}.values()
    return (make_world(cell.world, **cell.params) for cell in settings)


def _undefined(study: Study, grid: Sequence[Cell]) -> Iterator[str]:
    """Claims about what a world does not have."""
    acquiring, switched = worlds_with("resource", grid), worlds_with("off_switch", grid)
    for i, said in enumerate(study.hypotheses):
        there = {claim["world"] for claim in primary_claims(said, grid)}
        if said.compared in ACQUIRING and there - acquiring:
            bare = there - acquiring
            hint = "measure: disabled" if bare <= switched else "world: X, one that has resources"
            yield (
                f"hypotheses[{i}] is about {said.compared}, and nothing can be acquired in "
                f'{", ".join(sorted(bare))}: its verdict there will be "cannot tell". '
                f"Write {hint}."
            )
        lonely = there - beside(grid) if said.compared == "disempowerment" else set()
        if lonely:
            yield (
                f"hypotheses[{i}] is about {said.compared}, and nobody beside the agent can act in "
                f'{", ".join(sorted(lonely))}: its verdict there will be "cannot tell". Write '
                f"world: {next(iter(sorted(there - lonely)), 'commons')}."
            )


def _uncontrolled(study: Study, grid: Sequence[Cell]) -> Iterator[str]:
    """Worlds without the positive control, and the line that gives it to them, where one does."""
    chancy = [h for h in study.hypotheses if h.compared not in EXACT]
    said = [h for h in chancy if h.contrast != "control"]
    tested = {claim["world"] for h in said for claim in primary_claims(h, grid)}
    blind = tested - _controlled(grid)
    able = blind & worlds_with("holdings", grid)
    if blind - able:
        yield (
            f"no positive control is possible in {', '.join(sorted(blind - able))}, which has no "
            "fact with role 'holdings' for power_weight to pay for: every verdict there will be "
            '"cannot tell".'
        )
    if able:
        line = next(_lines(study, able), "")
        yield (
            f"no positive control in {', '.join(sorted(able))}: every verdict there will be "
            f'"cannot tell".{line}'
        )


def _controlled(grid: Sequence[Cell]) -> set[str]:
    return {claim["world"] for claim in primary_claims("control", grid)}


def _lines(study: Study, wanted: set[str]) -> Iterator[str]:
    """Lines that give some worlds their positive control, the shortest first; each was tried."""
    plain = study.model_dump(exclude_unset=True)
    entries = [entry for entry in plain["worlds"] if entry["id"] in wanted]
    rewards = sorted(study.rewards, key=lambda reward: reward != "dense")
    also = plain.get("also", [])
    where = "Add to also" if also else "Write also"
    changes: list[tuple[str, dict[str, Any]]] = []
    if 0 not in study.power_weight:
        weights = [0, *study.power_weight]
        changes.append(("Write power_weight", {"power_weight": weights}))
    for reward in rewards:
        pay = {"rewards": reward, "power_weight": 1}
        changes += [(where, {"also": [*also, b]}) for b in (pay, {"worlds": entries, **pay})]
    for words, change in changes:
        try:
            found = _controlled(cells(make_study({**plain, **change})))
        except InvalidInput:
            continue
        if wanted <= found:
            (value,) = change.values()
            added = value[len(also) :] if "also" in change else value
            line = yaml.safe_dump(added, default_flow_style=True, sort_keys=False, width=1e6)
            yield f" {words}: {line.strip()}."
