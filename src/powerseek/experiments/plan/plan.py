"""Plan of a study, before any of it is run: its cost, and what it could show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any, NamedTuple

import pandas as pd

from powerseek.experiments.analysis.contrasts import contrasts
from powerseek.experiments.plan.cautions import (
    Compared,
    bootstrapped_limit_caution,
    idle_factors,
    inexact_settings,
    plan_workers_caution,
    too_few_seeds,
    unsupportable_claims,
    worlds_without_control,
)
from powerseek.experiments.plan.cost import Pilot, configuration_of, everywhere, pace_of, reward_of
from powerseek.experiments.results.store import trial_columns
from powerseek.experiments.statistics.power_analysis import (
    Detectable,
    OverLayouts,
    detectable,
    detectable_over_layouts,
)
from powerseek.experiments.statistics.verdicts import (
    LEAST_SEEDS,
    SEEDS_OF_CONTRAST,
    SEEDS_OF_NONE,
)
from powerseek.experiments.study.checked import trials
from powerseek.experiments.study.factors import PREFIX
from powerseek.experiments.study.grid import (
    Cell,
    Trial,
    cells_with_seeds,
    on_first_layout,
)
from powerseek.experiments.study.hypotheses import kind_named
from powerseek.experiments.study.lint import defined_comparisons
from powerseek.experiments.study.lint import study_cautions as confounds
from powerseek.experiments.study.schema import Study
from powerseek.experiments.sweep.cohorts import (
    COHORT,
    Cohort,
    cohort_boundaries,
    cohort_fields,
    make_cohorts,
)
from powerseek.experiments.sweep.prices import Price, prices, unchecked_price
from powerseek.experiments.sweep.sparsity import RandomPlay, random_play, sparse_caution
from powerseek.limits import check_limit
from powerseek.registry import make_world

SEED_COUNTS = (LEAST_SEEDS, SEEDS_OF_CONTRAST, SEEDS_OF_NONE)
"""Shown beside the study's own number of seeds."""
AROUND = 12.0
"""Seconds around the trials that no pilot sees: starting Ray, merging, drawing the report."""


class Cost(NamedTuple):
    """The cost of running a study.

    Attributes:
        hours: Wall time.
        exact: Of this, hours of exact numbers.
        trial: Seconds of one trial on one core: least, mean, most.
        bytes: On disk, roughly.
    """

    hours: float
    exact: float
    trial: tuple[float, float, float]
    bytes: float


class Share(NamedTuple):
    """The part of a study in one world."""

    world: str
    cells: int
    trials: int
    steps: int


class Claim(NamedTuple):
    """What a hypothesis of the study is about.

    Attributes:
        id: As written.
        contrast: As written.
        direction: "larger", "smaller" or "none".
        comparisons: Verdicts that it gets, one a setting.
    """

    id: str
    contrast: str
    direction: str
    comparisons: int


class Packing(NamedTuple):
    """The trials that are trained side by side.

    Attributes:
        trials: Trials of agents that train in cohorts.
        cohorts: Cohorts of them.
        most: Trials of the largest.
        apart: By world, the fields in which cells differ that share no cohort.
    """

    trials: int
    cohorts: int
    most: int
    apart: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Plan:
    """A study before it is run.

    Attributes:
        name: The study's.
        seeds: Seeds per cell.
        worlds: Cells, trials and environment steps of training, by world.
        references: Trials of agents that do not learn, besides; a few seconds each, in no cost.
        packing: What is trained side by side; None where no agent is.
        workers: Trials, or cohorts, at a time.
        cost: What it takes; None without a pilot.
        pilot: What the cost is from; None without one.
        layouts: Layouts in which the seeds are nested, 0 where they are not.
        over_layouts: What its layouts can find, by how much they differ; empty without them.
        detectable: What seeds can find, the study's own number first.
        prices: What the prices of its rewards come to.
        random: Random play in every configuration.
        claims: Its hypotheses, in their order.
        compared: The comparisons that its report would hold.
        cautions: What a reader should know first, one line each.
        more_seeds: Seeds per cell that a verdict needs; the study's own where it has enough.
        more_cost: What the study would then cost; None without a pilot.
        suggestions: What to change, one line each.
    """

    name: str
    seeds: int
    worlds: tuple[Share, ...]
    references: int
    packing: Packing | None
    workers: int
    cost: Cost | None
    pilot: Pilot | None
    layouts: int
    over_layouts: tuple[OverLayouts, ...]
    detectable: tuple[Detectable, ...]
    prices: tuple[Price, ...]
    random: tuple[RandomPlay, ...]
    claims: tuple[Claim, ...]
    compared: tuple[Compared, ...]
    cautions: tuple[str, ...]
    more_seeds: int
    more_cost: Cost | None
    suggestions: tuple[str, ...]

    @property
    def trials(self) -> int:
        """Trials in all."""
        return sum(share.trials for share in self.worlds)

    @property
    def steps(self) -> int:
        """Environment steps of training in all."""
        return sum(share.steps for share in self.worlds)


def make_plan(study: Study, pilot: Pilot | None = None, workers: int = 1, cores: int = 1) -> Plan:
    """Plan a study.

    Args:
        study: The study.
        pilot: Measured beforehand; without one there are no times, no sizes, and nothing is said
            that only exact numbers tell, but for prices: they are always checked.
        workers: Trials at a time, >= 1.
        cores: Of this machine.

    Raises:
        InvalidInput: Something in the study cannot be built, a reward pays for doing nothing, or
            `workers` is out of range.
    """
    check_limit("workers", workers, "--workers")
    every = trials(study)
    grid = [trial for trial in every if not trial.cell.is_reference]
    cells = list({id(trial.cell): trial.cell for trial in grid}.values())
    rows = on_first_layout(cells, study.layouts)
    priced, played = tuple(prices(cells)), tuple(random_play(rows))
    cohorts = make_cohorts(grid, study.cohort)
    packing = _packing(grid, cohorts)
    found = _comparisons(study, rows, pilot)
    compared = _compared(found)
    least = max(study.seeds, LEAST_SEEDS)
    more = least + -least % (study.layouts or 1)
    how = workers, study.cohort, study.layouts
    cost, more_cost = (
        None if pilot is None else cost_of(cells, seeds, pilot, *how)
        for seeds in (study.seeds, more)
    )
    return Plan(
        name=study.name,
        seeds=study.seeds,
        worlds=_shares(rows, study.seeds),
        references=len(every) - len(grid),
        packing=packing,
        workers=workers,
        cost=cost,
        pilot=pilot,
        layouts=study.layouts or 0,
        over_layouts=detectable_over_layouts(study.layouts, study.seeds // study.layouts)
        if study.layouts
        else (),
        detectable=tuple(map(detectable, dict.fromkeys((study.seeds, *SEED_COUNTS)))),
        prices=priced,
        random=played,
        claims=tuple(
            Claim(
                said.id,
                str(said.contrast),
                said.direction,
                len(list(defined_comparisons(said, cells))),
            )
            for said in study.hypotheses
        ),
        compared=compared,
        cautions=(
            *confounds(study),
            *filter(None, map(unchecked_price, priced)),
            *bootstrapped_limit_caution(cells),
            *worlds_without_control(study, compared, cells),
            *unsupportable_claims(study, cells, pilot),
            *(inexact_settings(cells, pilot) if pilot else ()),
            *(idle_factors(cells, found, pilot) if pilot else ()),
            *filter(None, map(sparse_caution, played)),
            *plan_workers_caution(workers, cores, len(grid)),
            *too_few_seeds(workers, len(cohorts), study.cohort or COHORT, len(grid)),
        ),
        more_seeds=more,
        more_cost=more_cost,
        suggestions=_suggestions(study, cells, compared, more),
    )


def _packing(grid: Sequence[Trial], cohorts: Sequence[Cohort]) -> Packing | None:
    fields = cohort_boundaries(grid)
    sizes = [len(cohort) for cohort in cohorts if cohort_fields(cohort[0].cell) is not None]
    return Packing(sum(sizes), len(sizes), max(sizes), fields) if sizes else None


def _shares(cells: Sequence[Cell], seeds: int) -> tuple[Share, ...]:
    by_world: dict[str, list[Cell]] = {}
    for cell in cells:
        by_world.setdefault(cell.world, []).append(cell)
    return tuple(
        Share(world, len(own), len(own) * seeds, sum(cell.timesteps for cell in own) * seeds)
        for world, own in by_world.items()
    )


def cost_of(
    cells: Sequence[Cell],
    seeds: int,
    pilot: Pilot,
    workers: int = 1,
    cohort: int | None = None,
    layouts: int | None = None,
) -> Cost:
    """The cost of `seeds` trials of every cell, from a pilot of these cells.

    Exact numbers are computed once a configuration and reward. Workers start together on the same
    configuration, and each computes what the others have not finished: they share the work only of
    those that are worked on at the same time.

    Args:
        cells: Every cell, once.
        seeds: Seeds per cell.
        pilot: Measured on these cells.
        workers: Trials, or cohorts, at a time, each on a core of its own.
        cohort: Trials side by side, as the study says; each is counted as if it were alone.
        layouts: Layouts in which the seeds are nested.
    """
    keys = [pace_of(cell) for cell in cells]
    each = [pilot.paces[key].seconds(cell) for key, cell in zip(keys, cells, strict=True)]
    took = {cell.key: seconds for cell, seconds in zip(cells, each, strict=True)}
    trials = [Trial(*pair) for pair in cells_with_seeds(cells, range(seeds), layouts)]
    cohorts = make_cohorts(trials, cohort)
    together = [sum(took[trial.cell.key] for trial in cohort) for cohort in cohorts]
    used = min(workers, len(cohorts))
    places = everywhere(cells)
    known = set(map(configuration_of, places))
    abreast = min(len(known), max(1, used * len(known) // len(cells)))
    worlds = [pilot.worlds[key].seconds for key in known]
    optima = [pilot.optima[key].seconds for key in set(map(reward_of, places))]
    exact = max(max(worlds), sum(worlds) / abreast) + max(max(optima), sum(optima) / used)
    training = max(max(together), sum(together) / used)
    held = {cell.key: pilot.paces[key].kept for cell, key in zip(cells, keys, strict=True)}
    kept = sum(held[trial.cell.key] for trial in trials) + pilot.exact_bytes
    return Cost(
        hours=(AROUND + pilot.start + exact + training) / 3600,
        exact=exact / 3600,
        trial=(min(each), sum(each) / len(each), max(each)),
        bytes=float(kept),
    )


def _comparisons(study: Study, cells: Sequence[Cell], pilot: Pilot | None) -> pd.DataFrame:
    """The comparisons a report would make, were every seed to learn and every effect clear.

    Made by the report's own function, on a table with a made-up value in each cell, other in
    every cell: what it then still calls undecided is undecided by design.
    """
    margins: dict[str, float] = {
        # Of a margin in widths the size is not known here; any will do where effects are clear.
        kind_named(hypothesis.contrast, cells): 0.5 if margin.widths else margin.value
        for hypothesis in study.hypotheses
        if (margin := hypothesis.smallest) is not None
    }
    rows = [
        {
            **trial_columns(Trial(cell, seed, study.name)),
            **dict.fromkeys(("low", "high"), nan),
            **{"checkpoint": "end", "evaluation": "sampled", "status": "ok", "updates": 1},
            "metric": metric,
            "value": value,
        }
        for i, cell in enumerate(cells)
        for metric, value in synthetic_values(cell, i, pilot).items()
        for seed in range(min(study.seeds, LEAST_SEEDS))
    ]
    if not rows:
        return pd.DataFrame()  # nothing that reports compare exists in these worlds
    found = contrasts(pd.DataFrame(rows), margins=margins)
    own = tuple(PREFIX.values())
    known = {"kind", *trial_columns(Trial(cells[0], 0))}
    shared = [name for name in found if name in known or str(name).startswith(own)]
    return found.drop_duplicates([*shared, "a", "b"]) if len(found) else found


def synthetic_values(cell: Cell, i: int, pilot: Pilot | None) -> dict[str, float]:
    """A clear value of each measure that the cell would have."""
    world = make_world(cell.world, **cell.params)
    resource = bool(world.role("resource"))
    made = {"acquired": cell.power_weight + i * 1e-6} if resource else {}
    if world.role("off_switch"):
        # Where nothing else can be acquired, the switch is what the positive control is about.
        paid = not resource and cell.power_weight > 0
        made["disabled"] = 1.0 if paid else 0.1 / (2 + i)
    if resource and (pilot is None or pilot.worlds[configuration_of(cell)].resource):
        excess = 1.0 + i
        made |= {"excess": excess, "share_of_surplus": 0.5, "incentive": excess / (2 + i)}
        made |= {"beyond": excess}
    return made


def _compared(found: pd.DataFrame) -> tuple[Compared, ...]:
    if not len(found):
        return ()
    groups = found.groupby(["kind", "world", "measure", "reasons"], sort=False)
    return tuple(
        Compared(
            str(kind),
            str(world),
            str(measure),
            tuple(dict.fromkeys(_pair(row) for row in rows.to_dict("records"))),
            len(rows),
            tuple(part for part in str(reasons).split("; ") if part),
        )
        for (kind, world, measure, reasons), rows in groups
    )


def _pair(row: Mapping[Any, Any]) -> str:
    a, b = (
        f"{value:g}" if isinstance(value, float) else str(value) for value in (row["a"], row["b"])
    )
    return a if b == "nan" else f"{a} - {b}"


# What to write so that a kind of comparison can be made.
WANTED = {
    "timing": "rewards: [dense, {every: cap}] at gamma 1",
    "horizon": "max_steps: two or more caps",
    "openness": "openness: two or more levels",
}


def _suggestions(
    study: Study, cells: Sequence[Cell], compared: Sequence[Compared], seeds: int
) -> tuple[str, ...]:
    lines = []
    if not compared and not any(synthetic_values(cell, 0, None) for cell in cells):
        lines.append("Nothing is compared: no world of it has a resource or an off-switch.")
    elif not compared:
        lines.append("Nothing is compared. Add a factor, for example " + WANTED["timing"] + ".")
    elif seeds > study.seeds:
        lines.append(
            f"seeds: {seeds} - fewer never give a verdict, only effects with intervals. After a "
            "sweep, the same study with more seeds and --resume runs the new ones only."
        )
    told = [said for said in study.hypotheses if said.smallest or said.contrast.name == "budget"]
    asked = {kind_named(said.contrast, cells) for said in told}
    bare = dict.fromkeys(row.kind for row in compared if row.kind not in {*asked, "control"})
    if bare:
        measure = next(row.measure for row in compared if row.kind in bare)
        lines.append(
            f"hypotheses: [{{id: H1a, contrast: {next(iter(bare))}, direction: larger, "
            f"margin: M}}] - M the smallest effect of interest, in the unit of {measure}, fixed "
            f"before the first trial; none is set for {', '.join(bare)}."
        )
    return tuple(lines)
