"""Effects of several runs, matched by what they compare."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import nan
from typing import Any

import numpy as np

from powerseek.experiments.analysis.cells import cell_records
from powerseek.experiments.analysis.findings.finding import Finding
from powerseek.experiments.analysis.findings.hypotheses import UPPER
from powerseek.experiments.compare.runs import Run
from powerseek.experiments.report.comparisons import arms_in_words, refer_to_hypotheses
from powerseek.experiments.report.findings import finding_arms
from powerseek.experiments.report.hypotheses import claim_text
from powerseek.experiments.report.text import heading_of_factors, title_of
from powerseek.experiments.study.contrasts import contrast_kind
from powerseek.experiments.study.factors import (
    CELL,
    MISSING,
    factor_of,
    factors_in_words,
    written_level,
)
from powerseek.metrics import beside, known_metric
from powerseek.types import Bools

OVER_SEEDS = ("effect", "low", "high")
OVER_LAYOUTS = ("over_layouts", "over_low", "over_high")


@dataclass(frozen=True)
class Effect:
    """One effect in one setting of one run.

    Attributes:
        run: Name of the run.
        key: What is compared, the same text for the same comparison in every run.
        kind: The contrast in a word or two.
        subject: What the numbers are of, in words.
        measure: Metric that is compared.
        claim: Id of the hypothesis; empty where none was set.
        claimed: The claim in words, likewise.
        confirmatory: Whether it was registered before the first trial.
        setting: World and other factors that the arms share, as written, by column.
        arms: What is compared with what.
        effect: Mean of the first arm less that of the second, or the mean of one arm.
        low: Lower end of its 95 % interval, over layouts where there are some; of an exact effect
            of its range over optimal policies.
        high: Upper end, likewise.
        null: Value that it is held against.
        margin: Smallest effect of interest, nan where none was set.
        unit: Of all these, empty where unknown.
        exact: Whether it is computed, the same for every seed.
        gated: Whether seeds count only that learnt the task; those of the positive control all do.
        seeds: Seeds that count, of the arm that has fewest.
        layouts: Layouts in which they are nested, over which the interval is then; else 0.
        reach: Fraction of the seeds of each arm that learnt the task.
        competence: Mean competence of each arm, in [0, 1].
        verdict: Its answer in a word.
        reasons: Why it cannot tell, in words.
    """

    run: str
    key: str
    kind: str
    subject: str
    measure: str
    claim: str
    claimed: str
    confirmatory: bool
    setting: Mapping[str, str]
    arms: str
    effect: float
    low: float
    high: float
    null: float
    margin: float
    unit: str
    exact: bool
    gated: bool
    seeds: int
    layouts: int
    reach: tuple[float, ...]
    competence: tuple[float, ...]
    verdict: str
    reasons: str


@dataclass(frozen=True)
class Match:
    """One comparison in all settings that two runs or more have.

    Attributes:
        varied: Columns by which its settings are told apart.
        effects: Setting by setting, in each the runs in their order.
    """

    varied: tuple[str, ...]
    effects: tuple[Effect, ...]


def claimed_effects(run: Run) -> list[Effect]:
    """What was found of a run's hypotheses: one effect a setting, end of a bracket and level."""
    return [effect for one in run.view.findings for effect in _of_finding(run, one)]


def _of_finding(run: Run, one: Finding) -> Iterator[Effect]:
    said = one.claim.hypothesis
    contrast, upper = said.contrast, beside(said.compared, UPPER)
    for test in one.tests or (one,):
        setting = _setting(test.setting)
        key: list[Any] = [contrast.written, said.arm, said.checkpoint, said.held_against]
        if one.tests:  # each level of a threshold is a comparison of its own
            key.append(written_level(test.a))
        # A fraction of seeds is counted, all else is told with what it is held against.
        for end, measure in zip(test.asked.ends, (said.compared, upper), strict=False):
            null = 0.0 if end.binomial else said.held_against
            subject = title_of(measure, *_worlds(setting))
            if end.binomial:
                subject = f"fraction of seeds with {subject} above {said.held_against:g}"
            subject = f"{contrast.budgets} to competence" if one.ratio else subject
            shown = end.deciding.effect
            subject += f", read at {said.checkpoint}" if said.checkpoint != "end" else ""
            yield Effect(
                run.name,
                json.dumps([*key, measure], sort_keys=True),
                str(contrast),
                subject,
                measure,
                said.id,
                claim_text(said, one.unit, _worlds(setting)),
                one.claim.confirmatory,
                setting,
                finding_arms(test),
                shown.value + null,
                shown.low + null,
                shown.high + null,
                null,
                nan if end.binomial else end.margin,
                "share" if end.binomial else one.unit or known_metric(measure).unit,
                end.exact,
                test.gated,
                end.effect.n,
                0 if end.layouts is None else shown.n,
                end.reach if test.b is not None else end.reach[:1],
                _competence(run, test.setting, test.columns, (test.a, test.b)),
                one.verdict.answer,
                "; ".join(one.verdict.reasons),
            )


def contrast_effects(run: Run) -> list[Effect]:
    """The comparisons that every report makes, with the verdicts of hypotheses where there are."""
    compared = run.view.compared
    if compared.empty:
        return []
    referred = refer_to_hypotheses(compared, run.view.findings)
    said = referred["verdict"].where(referred["verdict"] != compared["verdict"], compared["answer"])
    compared = compared.assign(verdict=said)
    names = ["world", *heading_of_factors(compared)]
    effects = []
    for row in cell_records(compared):
        kind, measure, a, b = (row[name] for name in ("kind", "measure", "a", "b"))
        column = contrast_kind(kind).factor
        setting = {name: row[name] for name in names if name != column}
        arms = arms_in_words(a, b)
        arms = arms if column == "reward" else f"{factor_of(column).spoken} {arms}"
        value, low, high = (row[name] for name in (OVER_LAYOUTS if row["layouts"] else OVER_SEEDS))
        effects.append(
            Effect(
                run.name,
                json.dumps([kind, measure, arms]),
                factor_of(kind).name,
                title_of(measure, *_worlds(setting)),
                measure,
                "",
                "",
                False,
                _setting(setting),
                arms,
                value,
                low,
                high,
                0.0,
                nan,
                run.view.results.units.get(measure) or known_metric(measure).unit,
                known_metric(measure).exact,
                kind != "control",
                int(row["seeds"]),
                int(row["layouts"]),
                (row["reach_a"], row["reach_b"]),
                _competence(run, setting, (column,), (a, b)),
                str(row["verdict"]),
                str(row["reasons"]),
            )
        )
    return effects


def _worlds(setting: Mapping[str, Any]) -> list[str]:
    return [str(setting["world"])] if "world" in setting else []


def _setting(given: Mapping[str, Any]) -> dict[str, str]:
    return {name: written_level(value) for name, value in given.items()}


def _competence(
    run: Run, setting: Mapping[str, Any], columns: Sequence[str], arms: Sequence[Any]
) -> tuple[float, ...]:
    """Mean competence of each arm: of the cells of the summary that are it; nan where none is."""
    competence = run.view.summary["competence"].to_numpy()
    shared = _cells_at(run, setting)
    found = []
    for arm in arms:
        if arm is not None:
            levels = arm if len(columns) > 1 else (arm,)
            own = shared & _cells_at(run, dict(zip(columns, levels, strict=True)))
            found.append(float(competence[own].mean()) if own.any() else nan)
    return tuple(found)


def _cells_at(run: Run, levels: Mapping[str, Any]) -> Bools:
    """The cells of the summary that have these levels of factors."""
    cells = run.cells
    here = np.ones(len(run.view.summary), dtype=bool)
    for name, value in levels.items():
        if name in cells:
            here &= cells[name] == written_level(value)
    return here


def match_effects(
    runs: Sequence[Run], effects: Sequence[Effect]
) -> tuple[list[Match], list[Effect]]:
    """Match effects of several runs by what they compare, in which setting.

    Settings are the same where all factors are that vary within a run: what is one value in all of
    a run may be another in the next (the agent, the world, the budget), and is what the two are
    compared for.

    Args:
        runs: The runs.
        effects: Those of all runs.

    Returns:
        What two runs or more have, in the order of the first; and what one run alone has.
    """
    constants = {run.name: run.constants for run in runs}
    order = {run.name: i for i, run in enumerate(runs)}
    matches, alone = [], []
    for key in dict.fromkeys(one.key for one in effects):
        own = _filled([one for one in effects if one.key == key], constants)
        varied = _varied(own)
        places: dict[tuple[str, ...], list[Effect]] = {}
        for one in own:
            place = tuple(one.setting.get(name, MISSING) for name in varied)
            places.setdefault(place, []).append(one)
        both = [e for e in places.values() if len({one.run for one in e}) > 1]
        alone += [one for e in places.values() if e not in both for one in e]
        if both:
            found = [one for e in both for one in sorted(e, key=lambda one: order[one.run])]
            matches.append(Match(varied, tuple(found)))
    return matches, alone


def _filled(
    effects: Sequence[Effect], constants: Mapping[str, Mapping[str, Mapping[str, str]]]
) -> list[Effect]:
    """Effects whose settings name every factor that another's names, where it has one value."""
    names = dict.fromkeys(name for one in effects for name in one.setting)
    filled = []
    for one in effects:
        known = constants[one.run].get(one.setting.get("world", ""), {})
        more = {n: known[n] for n in names if n not in one.setting and n in known}
        filled.append(replace(one, setting={**one.setting, **more}))
    return filled


def _varied(effects: Sequence[Effect]) -> tuple[str, ...]:
    """Columns that have two values within one run."""
    names = dict.fromkeys(name for one in effects for name in one.setting)
    runs = dict.fromkeys(one.run for one in effects)
    return tuple(
        name
        for name in names
        if any(
            len({one.setting.get(name, MISSING) for one in effects if one.run == run}) > 1
            for run in runs
        )
    )


def setting_text(one: Effect, names: Sequence[str]) -> str:
    """Some factors of a setting in words: ``off-switch, gamma 1``."""
    others = [name for name in names if name != "world" and name in one.setting]
    others = [name for name in others if name != "power_weight" or one.setting[name] != "0"]
    words = factors_in_words(one.setting, sorted(others, key=lambda name: name not in CELL))
    world = [one.setting["world"]] if "world" in names and "world" in one.setting else []
    return ", ".join([*world, *([words] if words else [])])
