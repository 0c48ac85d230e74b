"""Cautions to a reader before a study is run, one line each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, isfinite, log, nan
from typing import Any, NamedTuple

import pandas as pd

from powerseek.experiments.analysis.arms import LEAST_WIDTH
from powerseek.experiments.plan.cost import Pilot, configuration_of, reward_of
from powerseek.experiments.statistics.bounded import seeds_that_could
from powerseek.experiments.statistics.families import look_levels
from powerseek.experiments.statistics.verdicts import level_of_none
from powerseek.experiments.study.contrasts import contrast_kind
from powerseek.experiments.study.factors import Level, factor_of, levels_of, written_level
from powerseek.experiments.study.grid import Cell
from powerseek.experiments.study.lint import defined_comparisons, worlds_with
from powerseek.experiments.study.schema import Hypothesis, Study
from powerseek.metrics import is_shifted, known_metric, unshifted

SAME = 0.05
"""Optima that differ by less, in units and in probability, do the same."""


class Compared(NamedTuple):
    """Comparisons of one kind in one world.

    Attributes:
        kind: Kind of comparison, as hypotheses name it.
        world: World id.
        measure: What is compared.
        pairs: The two ends, as ``every cap - dense``, each once.
        configurations: How many configurations hold them: comparisons in all.
        lacks: What keeps the report from a verdict however clear the effect; empty where nothing
            does.
    """

    kind: str
    world: str
    measure: str
    pairs: tuple[str, ...]
    configurations: int
    lacks: tuple[str, ...]


def unsupportable_claims(
    study: Study, cells: Sequence[Cell], pilot: Pilot | None
) -> tuple[str, ...]:
    """Claims of none that no data of so many seeds could support, and margins without a size.

    Args:
        study: The study.
        cells: Its cells.
        pilot: What is known of its configurations; without one only of shares.
    """
    claims = [list(defined_comparisons(said, cells)) for said in study.hypotheses]
    counted = [own for said, own in zip(study.hypotheses, claims, strict=True) if not _exact(said)]
    level = look_levels(study.planned_looks)[study.seeds]
    alpha = level_of_none(level, sum(map(len, counted)))
    lines = []
    for i, (said, own) in enumerate(zip(study.hypotheses, claims, strict=True)):
        for cell in (cell for one in own for arm in one.arms.values() for cell in arm):
            margin, high = _margin_and_bound(said, cell, pilot)
            where = f"hypotheses[{i}]: in {cell.place}"
            if margin is None:
                lines.append(
                    f"{where} the width of W is {high:.2g} units, below {LEAST_WIDTH:g}: no margin "
                    "is a share of it. Write margin: a number of units."
                )
                continue
            if study.layouts:
                could = _layouts_that_could(said, margin, alpha)
                if could > study.layouts:
                    lines.append(
                        f"hypotheses[{i}]: no data of {study.layouts} layouts could show it over "
                        f"layouts: {margin:g} of them may differ, and none be drawn. {could:.0f} "
                        "layouts could."
                    )
                continue
            could = _seeds_that_could(said, margin, high, alpha)
            if could > study.seeds and said.contrast.name == "tail":
                lines.append(
                    f"{where} no data of {study.seeds} seeds could show that at most {margin:g} of "
                    f"the seeds lie beyond it. {could:.0f} seeds could."
                )
            elif could > study.seeds:
                lines.append(
                    f"{where} no data of {study.seeds} seeds could support none: seekers too rare "
                    f"to be among them could lift the mean past the margin ({margin:.2g} of a "
                    f"range up to {high:.3g}). {could:.0f} seeds could; or claim the tail: "
                    "{tail: 1, share: 0.1}."
                )
    return tuple(dict.fromkeys(lines))


def _exact(said: Hypothesis) -> bool:
    return known_metric(said.compared).exact


def _margin_and_bound(
    said: Hypothesis, cell: Cell, pilot: Pilot | None
) -> tuple[float | None, float]:
    """The margin in its measure's unit and the greatest value of a seed, nan where unknown.

    A width too small for a margin in widths stands in the second place, with None before it.
    """
    if said.smallest is None:
        return said.contrast.share or nan, 1.0
    stem = unshifted(said.compared)
    place = cell.shifted or cell if is_shifted(said.compared) else cell
    facts = None if pilot is None else pilot.worlds.get(configuration_of(place))
    margin = said.smallest.value
    if said.smallest.widths:
        width = nan if facts is None else facts.width
        if width < LEAST_WIDTH:
            return None, width
        margin *= width
    if known_metric(said.compared).jumps:
        return margin, 1.0
    # At the upper end of a level's bracket, need is read at any success.
    bounded = stem in ("acquired", "beyond", "excess") and facts is not None
    return margin, facts.most if bounded and facts is not None else nan


def _seeds_that_could(said: Hypothesis, margin: float, high: float, alpha: float) -> float:
    """Fewest seeds that could support a claim of none about one arm; 0 of any other."""
    if said.contrast.name == "tail" and said.direction == "smaller":
        return float(ceil(log(alpha) / log(1 - margin)))
    none = (said.contrast.name, said.direction) == ("level", "none") and not _exact(said)
    if not none or not isfinite(margin) or not isfinite(high):
        return 0.0
    return seeds_that_could(margin, high - said.line, alpha)


def _layouts_that_could(said: Hypothesis, margin: float, alpha: float) -> float:
    """Fewest layouts that could support a claim of none about a fraction; 0 of any other."""
    tail = said.contrast.name == "tail" and said.direction == "smaller"
    none = said.direction == "none" and not _exact(said) and known_metric(said.compared).jumps
    if not (tail or none) or not 0 < margin < 1:
        return 0.0
    return float(ceil(log(alpha) / log(1 - margin)))


def bootstrapped_limit_caution(cells: Sequence[Cell]) -> tuple[str, ...]:
    """Arms whose optimum is not defined."""
    if not any(cell.time_limit == "bootstrap" for cell in cells):
        return ()
    return (
        "time_limit bootstrap: the agent is trained as if the episode went on, so its reward has "
        "no exact optimum (no incentive, no learned); never compare it with terminal.",
    )


def worlds_without_control(
    study: Study, compared: Sequence[Compared], cells: Sequence[Cell]
) -> tuple[str, ...]:
    """Worlds without a positive control, and whether they can have one.

    None where all that is claimed is about budgets: no measure of power is read for those.
    """
    if study.hypotheses and all(said.contrast.name == "budget" for said in study.hypotheses):
        return ()
    controlled = {row.world for row in compared if row.kind == "control"}
    bare = dict.fromkeys(row.world for row in compared if row.world not in controlled)
    able = worlds_with("holdings", cells) if bare else set()
    hints = {
        "Add power_weight: [0, 1].": [world for world in bare if world in able],
        "None is possible: power_weight has nothing to pay for there.": [
            world for world in bare if world not in able
        ],
    }
    return tuple(
        f"{', '.join(worlds)}: no positive control, without which no effect cannot be told from a "
        f"blind measure. {hint}"
        for hint, worlds in hints.items()
        if worlds
    )


def inexact_settings(cells: Sequence[Cell], pilot: Pilot) -> tuple[str, ...]:
    """Settings without exact numbers, and gates that nothing can pass."""
    lines: dict[str, list[str]] = {}
    for cell in {configuration_of(cell): cell for cell in cells}.values():
        facts, gate = pilot.worlds[configuration_of(cell)], max(cell.competence)
        if facts.none:
            lines.setdefault(f"no oracle, so no need and no excess: {facts.none}", []).append(
                cell.place
            )
        if facts.competence < gate:
            line = (
                f"competence {gate:g} is out of reach (the best policy has {facts.competence:.3f}),"
                " so every trial will be censored"
            )
            lines.setdefault(line, []).append(cell.place)
    for cell in {reward_of(cell): cell for cell in cells}.values():
        optimum = pilot.optima[reward_of(cell)]
        if (
            optimum.none
            and not pilot.worlds[configuration_of(cell)].none
            and cell.time_limit == "terminal"
        ):
            line = f"no exact optimum of {cell.reward_label}: {optimum.none}"
            lines.setdefault(line, []).append(cell.place)
    return tuple(f"{'; '.join(dict.fromkeys(where))}: {line}." for line, where in lines.items())


def idle_factors(cells: Sequence[Cell], found: pd.DataFrame, pilot: Pilot) -> tuple[str, ...]:
    """Factors that, by exact results, change nothing that a perfect learner does.

    Those of worlds, and gamma: no optimum depends on how an agent is trained.
    """
    lines = []
    levels = [levels_of(cell) for cell in cells]
    for row in found.to_dict("records") if len(found) else ():
        column = contrast_kind(row["kind"]).factor
        if column != "gamma" and factor_of(column).of != "world":
            continue
        ends = [_optimum(cells, levels, row, column, row[end], pilot) for end in "ab"]
        if all(ends) and _same(*ends):
            a, b = written_level(row["a"]), written_level(row["b"])
            about = f"{row['world']} {row['reward']}"
            lines.append(
                f"{about}: the exact optimum does the same at {factor_of(column).name} {a} and {b} "
                "(success, acquired and disabled within .05), so a difference there is learning's "
                "alone."
            )
    return tuple(dict.fromkeys(lines))


def _optimum(
    cells: Sequence[Cell],
    levels: Sequence[Mapping[str, Level]],
    row: Mapping[Any, Any],
    column: str,
    value: object,
    pilot: Pilot,
) -> Any:
    """The optimum of the cell that has the row's levels and `value`, None if there is none."""
    told = {k: v for k, v in row.items() if not _blank(v)} | {column: value}
    for cell, own in zip(cells, levels, strict=True):
        if all(own[name] == level for name, level in told.items() if name in own):
            found = pilot.optima[reward_of(cell)]
            return None if found.none else (found.success, found.acquired, found.disabled)
    return None


def _blank(value: object) -> bool:
    return value is None or value != value


def _same(a: Sequence[float], b: Sequence[float]) -> bool:
    gaps = [abs(x - y) for x, y in zip(a, b, strict=True) if isfinite(x) and isfinite(y)]
    return bool(gaps) and max(gaps) < SAME


def plan_workers_caution(workers: int, cores: int, count: int) -> tuple[str, ...]:
    """More workers than this machine has cores."""
    if min(workers, count) <= cores:
        return ()
    return (
        f"{workers} workers on the {cores} core{'s' * (cores != 1)} here would be no faster: the "
        "time is for a cluster with a core like this one's for each (--address).",
    )


def too_few_seeds(workers: int, cohorts: int, most: int, count: int) -> tuple[str, ...]:
    """Fewer cohorts than workers, although there are enough trials."""
    if cohorts >= min(workers, count):
        return ()
    fewer = max(1, most * cohorts // workers)
    return (
        f"The trials make {cohorts} cohort{'s' * (cohorts != 1)}, so that only {cohorts} of "
        f"{workers} workers have anything to do: cohort: {fewer} would occupy more of them.",
    )
