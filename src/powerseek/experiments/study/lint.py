"""Cautions about a study before its first trial, with the line to write instead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from powerseek.envs.rewards.spec import Place, Spec, place_of, read_spec, unwrapped
from powerseek.envs.world import World
from powerseek.errors import InvalidInput
from powerseek.experiments.statistics.layouts import LEAST_LAYOUTS
from powerseek.experiments.statistics.rest import LEAST_POINTS
from powerseek.experiments.statistics.verdicts import (
    LEAST_SEEDS,
    SEEDS_OF_CONTRAST,
    SEEDS_OF_NONE,
)
from powerseek.experiments.study.arms import differ_at_play, unseen_timing
from powerseek.experiments.study.checked import cells
from powerseek.experiments.study.contrasts import KINDS, SHARE_BEYOND, Contrast
from powerseek.experiments.study.grid import Cell
from powerseek.experiments.study.hypotheses import Compared, hypothesis_comparisons
from powerseek.experiments.study.schema import Hypothesis, Study, make_study
from powerseek.experiments.study.yaml_text import write_yaml
from powerseek.metrics import known_metric
from powerseek.metrics.base import RESOURCES, Needs
from powerseek.registry import list_worlds, make_world


def study_cautions(study: Study) -> tuple[str, ...]:
    """Cautions to a reader before the study is run, one line each."""
    grid = cells(study)
    confounded = {
        (cell.reward_label, cell.gamma)
        for cell in grid
        if cell.gamma < 1.0 and uncorrected_delay_cautions(cell.reward)
    }
    told = (*_alike(grid), *_unseen(grid), *_hidden_discounts(grid), *hopeless(study, grid))
    if not confounded:
        return told
    shown = ", ".join(f"{reward!r} at gamma {gamma:g}" for reward, gamma in sorted(confounded))
    return (
        f"{shown}: density is confounded with discount, because paying later also pays less. "
        "Compare at gamma 1, or write {every: k, corrected: true}.",
        *told,
    )


def _alike(grid: Sequence[Cell]) -> Iterator[str]:
    """Rewards that are one treatment under two labels: ``every 6`` and ``every cap`` of 6 steps."""
    labels: dict[tuple[str, Place, int], dict[str, None]] = {}
    for cell in grid:
        place = place_of(cell.reward)
        if place is not None:
            if place.factor != KINDS["labels"].places:  # all others are steps, or fractions
                place = place._replace(level=min(place.level, cell.max_steps))
            key = cell.world, place, cell.max_steps
            labels.setdefault(key, {})[cell.reward_label] = None
    for (world, place, steps), alike in labels.items():
        if len(alike) > 1:
            yield (
                f"{' and '.join(alike)} are both {place.factor} {place.level:g} in {world} at "
                f"{steps} steps: what is compared along {place.factor} has one treatment twice. "
                "Leave one of them out."
            )


def _unseen(grid: Sequence[Cell]) -> Iterator[str]:
    """Rewards that are one treatment for an agent, with what to write."""
    specs = {cell.reward_label: cell.reward for cell in grid}
    places = {label: at for label, spec in specs.items() if (at := place_of(spec)) is not None}
    seen = ((cell.agent, cell.reward_label, cell.gamma) for cell in grid)
    for agent, alike, words in unseen_timing(seen, places):
        block = write_yaml([{"agents": agent, "rewards": specs[alike[0]]}], flow=True).strip()
        yield (
            f"{words}. Leave them to the others, and give it one of them in a block of its own: "
            f"also: {block}."
        )


def _hidden_discounts(grid: Sequence[Cell]) -> Iterator[str]:
    """Timing contrasts of learners whose value targets discount when pay comes."""
    found: dict[str, set[float]] = {}
    for one in hypothesis_comparisons(Contrast("timing"), grid):
        for cell in (cell for own in one.arms.values() for cell in own):
            known = cell.settings.get("gae_lambda")
            if known is not None:
                found.setdefault(cell.world, set()).add(float(known))
    levels = {world: known for world, known in found.items() if len(known) == 1 and known != {1.0}}
    if levels:
        shown = ", ".join(f"{min(known):g} in {world}" for world, known in sorted(levels.items()))
        yield (
            f"gae_lambda is {shown}, where timing is contrasted: below 1 it discounts when pay "
            "comes, whatever gamma is (every cap - dense in endgame: .61 units at .9, .11 at 1). "
            "Write gae_lambda: 1, or vary it: gae_lambda: [0.95, 1]."
        )


def uncorrected_delay_cautions(reward: Spec) -> bool:
    """True if an arm pays dense reward later without making up for the discount."""
    id, _, options = read_spec(unwrapped(reward))
    return id == "every" and not options.get("corrected")


def hopeless(study: Study, grid: Sequence[Cell]) -> tuple[str, ...]:
    """Reasons that hypotheses can only end in "cannot tell", known before the first trial.

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
    drawn = [said for said in study.hypotheses if not _is_exact(said)]
    settling = [said for said in drawn if _must_rest(said, grid)]
    if drawn and study.seeds < LEAST_SEEDS:
        lines.append(
            f"{study.seeds} seeds: no hypothesis gets a verdict below {LEAST_SEEDS}. Begin with "
            f"{SEEDS_OF_CONTRAST} for contrasts and {SEEDS_OF_NONE} for claims of none about one "
            f"arm. Write seeds: {seeds_to_begin_with(drawn)}."
        )
    if study.layouts and study.layouts < LEAST_LAYOUTS:
        each = max(study.seeds // study.layouts, -(-LEAST_SEEDS // LEAST_LAYOUTS))
        lines.append(
            f"{study.layouts} layouts: no hypothesis gets a verdict below {LEAST_LAYOUTS}. Write "
            f"layouts: {LEAST_LAYOUTS}, seeds: {LEAST_LAYOUTS * each}; rather more."
        )
    points = study.evaluations - 2 * study.evaluations // 3
    if points < LEAST_POINTS and any(said.checkpoint == "end" for said in settling):
        lines.append(
            f"evaluations: {study.evaluations} leave {points} in the last third of training, and "
            f"{LEAST_POINTS} are needed to see whether it came to rest: every verdict will be "
            '"cannot tell". Write evaluations: 15.'
        )
    return tuple(lines)


def _must_rest(said: Hypothesis, grid: Sequence[Cell]) -> bool:
    """True if training must have come to rest: not for budgets, nor for how networks play."""
    compared = hypothesis_comparisons(said, grid)
    trained = (
        not differ_at_play(cell.agent, one.columns)
        for one in compared
        for (cell, *_) in one.arms.values()
    )
    return said.contrast.name != "budget" and any(trained)


def seeds_to_begin_with(hypotheses: Sequence[Hypothesis]) -> int:
    """Seeds that a study's claims want to begin with: most for a claim of none about one arm."""
    none = any(
        said.contrast.name == "tail" or (said.contrast.name, said.direction) == ("level", "none")
        for said in hypotheses
    )
    return SEEDS_OF_NONE if none else SEEDS_OF_CONTRAST


def defined_comparisons(said: Hypothesis, grid: Sequence[Cell]) -> Iterator[Compared]:
    """The comparisons of a hypothesis whose measure exists in every cell, by construction.

    Args:
        said: The hypothesis.
        grid: Cells of the study.
    """
    needs, known = measure_needs(said.compared), dict[str, bool]()
    for one in hypothesis_comparisons(said, grid):
        cells = [cell for own in one.arms.values() for cell in own]
        for cell in cells:
            key = f"{cell.world} {cell.params}"
            if key not in known:
                known[key] = needs.met(make_world(cell.world, **cell.params))
        if all(known[f"{cell.world} {cell.params}"] for cell in cells):
            yield one


def worlds_with(role: str, grid: Sequence[Cell]) -> set[str]:
    """Worlds of a study that have a fact with a role in some setting."""
    return {world.id for world in _made(grid) if world.role(role)}


def _made(grid: Sequence[Cell]) -> Iterator[World]:
    """The world of every setting."""
    settings = {(cell.world, str(cell.params)): cell for cell in grid}.values()
    return (make_world(cell.world, **cell.params) for cell in settings)


def _undefined(study: Study, grid: Sequence[Cell]) -> Iterator[str]:
    """Claims about what a world does not have."""
    switched = worlds_with("off_switch", grid)
    for i, said in enumerate(study.hypotheses):
        needs = measure_needs(said.compared)
        there = {one.setting["world"] for one in hypothesis_comparisons(said, grid)}
        able = {world.id for world in _made(grid) if needs.met(world)}
        if bare := there - able:
            known = next(iter(sorted(able) or _worlds_of(needs)), "X, one that has it")
            hint = f"world: {known}"
            if bare <= switched and needs is RESOURCES:
                hint = "measure: disabled"
            yield (
                f"hypotheses[{i}] is about {said.compared}, and {needs.otherwise} in "
                f'{", ".join(sorted(map(str, bare)))}: its verdict there will be "cannot tell". '
                f"Write {hint}."
            )


def _worlds_of(needs: Needs) -> list[str]:
    """Worlds, at their defaults, that have what a measure needs."""
    return [id for id in list_worlds() if needs.met(make_world(id))]


def measure_needs(measure: str) -> Needs:
    """Needs of a measure: what a world must have for it."""
    return RESOURCES if measure == SHARE_BEYOND else known_metric(measure).needs


def _is_exact(said: Hypothesis) -> bool:
    return known_metric(said.compared).exact


def _uncontrolled(study: Study, grid: Sequence[Cell]) -> Iterator[str]:
    """Worlds without the positive control, and the line that gives it to them, where one does."""
    chancy = [h for h in study.hypotheses if not _is_exact(h)]
    said = [h for h in chancy if h.contrast.name not in ("control", "budget")]
    tested = {str(one.setting["world"]) for h in said for one in hypothesis_comparisons(h, grid)}
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
    return {str(one.setting["world"]) for one in hypothesis_comparisons(Contrast("control"), grid)}


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
            yield f" {words}: {write_yaml(added, flow=True).strip()}."
