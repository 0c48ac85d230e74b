"""Findings about each hypothesis that was set beforehand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import isfinite, nan
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from powerseek.agents.spec import agent_id
from powerseek.experiments.analysis.arms import LEAST_WIDTH, Arms, Pair
from powerseek.experiments.analysis.budgets import BUDGET, Crossings, arms_ratio
from powerseek.experiments.analysis.checks import Curves, manipulation_check, movement
from powerseek.experiments.analysis.contrasts import controls
from powerseek.experiments.analysis.findings.finding import Finding
from powerseek.experiments.analysis.findings.thresholds import THRESHOLD, crossed, crossing_verdict
from powerseek.experiments.analysis.groups import (
    INTERACTION,
    TAIL,
    arms_selection_bounds,
    compare_arms,
    nested,
)
from powerseek.experiments.results.reading import Long
from powerseek.experiments.results.table import Results, learning_trials, long_table
from powerseek.experiments.statistics.families import PValues, adjust_family
from powerseek.experiments.statistics.layouts import LEAST_LAYOUTS
from powerseek.experiments.statistics.ratios import decide_ratio
from powerseek.experiments.statistics.reasons import (
    Cause,
    Learning,
    Reason,
    more_layouts,
)
from powerseek.experiments.statistics.rest import LEAST_POINTS, Rest
from powerseek.experiments.statistics.verdicts import (
    Question,
    Verdict,
    decide_hypothesis,
)
from powerseek.experiments.study.arms import arms_compared, differ_at_play, factor_scales
from powerseek.experiments.study.contrasts import ONE_ARM
from powerseek.experiments.study.factors import TRAINING, Level
from powerseek.experiments.study.hypotheses import (
    across_settings,
    columns_apart,
    columns_of,
    concerns_cell,
)
from powerseek.experiments.study.preregistration import Claim
from powerseek.experiments.study.schema import Hypothesis
from powerseek.metrics import beside, known_metric, unshifted
from powerseek.types import Floats

LOWER, UPPER = "beyond", "excess"
"""Ends of the bracket in which a level lies: from need at the greatest success, from need at one's
own. The first may be below 0; both are acquired less a need."""


class _Asked(NamedTuple):
    """One comparison of a claim in one setting, with the pairs at the ends of its bracket."""

    claim: Claim
    columns: tuple[str, ...]
    ends: tuple[Pair, ...]
    none: tuple[Pair, ...]
    unscaled: Reason | None
    optimum: tuple[Pair, ...] = ()

    @property
    def pairs(self) -> tuple[Pair, ...]:
        return (*self.ends, *self.none, *self.optimum)


def findings(
    results: Results,
    claims: Sequence[Claim],
    rng: np.random.Generator | None = None,
    curves: pd.DataFrame | None = None,
) -> list[Finding]:
    """Every hypothesis in every setting that has its arms; worlds are never pooled.

    A trial that failed counts as one that did not learn; a trial that has not ended counts nowhere.
    Policies are read as evaluated exactly, and where they were not by episodes.

    Arms are independent groups of the seeds that learnt the task: Welch's t test, and for
    equivalence two one-sided ones (TOST); of a level, one-sided tests of one group against its
    margin, of which "none" is tested by betting where the oracle knows the range. A level on
    ``beyond``, and a contrast across settings, is read at both ends of the bracket. p is adjusted
    by Holm over the confirmatory findings and by Benjamini-Hochberg over the exploratory ones, both
    tests of each in one family; every level of a threshold is one of them. What is exact (the
    incentive) is not tested, and what is undefined does not count.

    Args:
        results: As written by a sweep.
        claims: From `powerseek.experiments.study.preregistration.read_registration`.
        rng: Source of chance; by default always the same one.
        curves: Learning curves, from which it is told whether training had come to rest.

    CAVEAT: "refuted" is about the sign of this effect in this world and setting, no more.
    """
    rng = np.random.default_rng(0) if rng is None else rng
    results = long_table(results)
    if results.empty or not claims:
        return []
    # Hypotheses are about agents that learn; those they are held against are trained on nothing.
    trained = learning_trials(results)[0]
    checkpoints = dict.fromkeys(("end", *(claim.hypothesis.checkpoint for claim in claims)))
    every = {checkpoint: Arms(trained, checkpoint) for checkpoint in checkpoints}
    fired = controls(every["end"], rng)
    followed = None if curves is None or curves.empty else Curves(curves)
    crossings = Crossings(trained, curves)
    found: list[Finding] = []
    for checkpoint, arms in every.items():
        own = [claim for claim in claims if claim.hypothesis.checkpoint == checkpoint]
        late = followed if checkpoint == "end" else None
        found += _compared(arms, own, results, rng, late, crossings)
    return _judged(crossed(_adjusted(found)), fired)


def _compared(
    arms: Arms,
    claims: Sequence[Claim],
    results: Long,
    rng: np.random.Generator,
    curves: Curves | None,
    crossings: Crossings,
) -> list[Finding]:
    """Compare the arms of every hypothesis; one finding for each level of a threshold."""
    asked = [one for claim in claims for one in _pairs(claim, arms)]
    drawn = [pair for one in asked for pair in one.pairs if pair.kind != BUDGET]
    compared = iter(compare_arms(arms, drawn, rng))
    found = []
    for one in asked:
        pair, said = one.ends[0], one.claim.hypothesis
        ratio, optimum = None, None
        if pair.kind == BUDGET:
            clock = said.contrast.clock
            ratio = arms_ratio(arms, pair, said.direction, one.claim.gate, crossings, rng, clock)
            question = Question(
                said.direction, (ratio.comparison(),), gated=False, given=ratio.tests()
            )
        else:
            ends = tuple(next(compared) for _ in one.ends)
            none = tuple(next(compared) for _ in one.none)
            optimum = next((next(compared) for _ in one.optimum), None)
            level = said.contrast.name in ONE_ARM
            rise = beside(pair.measure, "cliff")
            cliff = max(arms.constant(rise, cell) for cell in pair.cells)
            question = Question(
                _direction(said), ends, none, one_sided=level, cliff=cliff, gated=pair.gated
            )
        frozen = _frozen(arms, one)
        unit = "times" if ratio else "W" if pair.scaled else _unit(results, said)
        found.append(
            Finding(
                one.claim,
                pair.setting,
                pair.a,
                pair.b,
                one.columns,
                question,
                unit=unit,
                exactly=_exactly(arms, pair),
                rest=() if frozen else _rest(arms, curves, one, rng),
                frozen=frozen,
                check=manipulation_check(arms, pair, crossings) if len(pair.cells) == 2 else None,
                bounds=arms_selection_bounds(arms, pair, rng),
                ended=_ended(arms, pair),
                planned=one.claim.seeds * _times(arms, one.claim, pair),
                unscaled=one.unscaled,
                learning=_learning(arms, pair, one.claim.gate),
                optimum=optimum,
                needed=_needed(arms, pair),
                relied=_relied(arms, pair),
                ratio=ratio,
            )
        )
    return found


def _learning(arms: Arms, pair: Pair, gate: float) -> Learning:
    """Budget of the arm of which fewest seeds learnt, and what nine of ten of its seeds reached."""
    cell = min(pair.cells, key=lambda c: float(np.nan_to_num(arms.reach[c])))
    own = arms.rows(np.array([cell], dtype=np.int64))[1]
    reached = arms.values("competence")[own]
    reached = reached[np.isfinite(reached)]
    low = float(np.quantile(reached, 0.1, method="lower")) if len(reached) else nan
    budget = arms.described[cell].get("budget", nan)
    return Learning(float(budget), gate, low)


def _direction(said: Hypothesis) -> str:
    """The claim about a tail is one of none: at most its share."""
    tail = said.contrast.name == TAIL
    return "none" if tail and said.direction == "smaller" else said.direction


def _needed(arms: Arms, pair: Pair) -> tuple[tuple[float, float], ...]:
    """Success and what of the measure it takes, of each of one or two arms."""
    measure = known_metric(pair.measure).needed
    success = beside(pair.measure, "success")
    known = _means(arms, pair, (success, measure)) if measure else ()
    return tuple((a, b) for a, b in known)


def _relied(arms: Arms, pair: Pair) -> tuple[float, ...]:
    """Reliance of each of one or two arms, beside what is acquired or done with it."""
    return tuple(value for (value,) in _means(arms, pair, (beside(pair.measure, "reliance"),)))


def _means(arms: Arms, pair: Pair, measures: Sequence[str]) -> list[list[float]]:
    """Means of measures of one or two arms, over seeds that have them; empty where none has."""
    if pair.kind in (TAIL, INTERACTION, BUDGET):
        return []
    counted = [arms.counted(cell, pair.gated) for cell in pair.cells]
    known = [[_mean(arms.values(name)[own]) for name in measures] for own in counted]
    return known if np.isfinite(known).all() else []


def _mean(values: Floats) -> float:
    """The mean of the values that are known; nan where none is."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else nan


def _exactly(arms: Arms, pair: Pair) -> bool:
    return all(arms.exactly(pair.measure, c, pair.evaluation, pair.gated) for c in pair.cells)


def _rest(
    arms: Arms, curves: Curves | None, one: _Asked, rng: np.random.Generator
) -> tuple[Rest, ...]:
    """The movement at each end of what has a margin in its measure's unit."""
    # What is read off whole curves moves no further.
    still = one.ends[0].kind == BUDGET or known_metric(one.ends[0].measure).exact
    if curves is None or still:
        return ()
    told = []
    for pair in one.ends:
        # A fraction of seeds moves with the measure that they are counted by.
        margin = nan if pair.kind == TAIL else pair.margin
        plain = replace(pair, null_value=0.0)
        if TRAINING in one.columns:
            plain = _longest_trained(arms, plain)
        moved = movement(arms, curves, plain, rng, margin)
        told += [] if moved is None else [moved]
    return tuple(told)


def _frozen(arms: Arms, one: _Asked) -> bool:
    """True if its arms are one training, played in several ways."""
    played = {agent_id(str(arms.described[cell]["agent"])) for cell in one.ends[0].cells}
    return all(differ_at_play(agent, one.columns) for agent in played)


def _longest_trained(arms: Arms, pair: Pair) -> Pair:
    """The cells of a pair that were trained the longest; the others are cut short on purpose."""
    longest = max(float(arms.described[cell][TRAINING]) for cell in pair.cells)

    def kept(cells: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(c for c in cells if float(arms.described[c][TRAINING]) == longest)

    return replace(pair, first=kept(pair.first), second=kept(pair.second))


def _pairs(claim: Claim, arms: Arms) -> Iterator[_Asked]:
    """What the hypothesis compares in each setting, with the columns that differ."""
    said = claim.hypothesis
    contrast = said.contrast
    columns = columns_of(contrast, set(arms.keys))
    if columns is None or not set(columns) <= set(arms.keys):
        return
    about = np.array([concerns_cell(said, record) for record in arms.described], dtype=bool)
    kept = arms.compared(columns, about)
    records = [arms.records[cell] for cell in np.flatnonzero(kept)]
    apart = columns_apart(contrast, columns, records)
    for setting, cells in arms.settings(columns, about, apart):
        world, gamma = setting["world"], float(str(setting.get("gamma", 1.0)))
        here = factor_scales(columns, arms.of_world(world, kept))
        for levels in arms_compared(
            contrast,
            cells,
            arms.places,
            columns=columns,
            scales=here,
            gamma=gamma,
            arm=said.arm,
        ):
            for pair in _asked(said, setting, levels, cells, columns):
                own = list(pair.cells)
                if not (arms.failures[own] == arms.sizes[own]).all():
                    asked = _bracketed(claim, arms, pair, columns)
                    yield asked._replace(optimum=_optimum(arms, pair))


def _bracketed(claim: Claim, arms: Arms, pair: Pair, columns: tuple[str, ...]) -> _Asked:
    """The pair with its margin in a unit, and its other end where a level is what it is about."""
    said = claim.hypothesis
    across, level = across_settings(columns), said.contrast.name in (*ONE_ARM, THRESHOLD)
    pair, unscaled = _with_margin(said, arms, pair, across)
    end = beside(pair.measure, UPPER)
    known = arms.known(end)[list(pair.cells)].all()
    if unshifted(said.compared) != LOWER or not (across or level) or not known:
        return _Asked(claim, columns, (pair,), (), unscaled)
    upper = replace(pair, measure=end)
    greedy = replace(upper, evaluation="exact-greedy")
    none: tuple[Pair, ...] = ()
    if (level and said.direction != "smaller") or pair.kind == TAIL:
        none = (pair, greedy if _exactly(arms, greedy) else upper)
    return _Asked(claim, columns, (pair, upper), none, unscaled)


def _optimum(arms: Arms, pair: Pair) -> tuple[Pair, ...]:
    """The level of a threshold of the reward's exact optimum; none where it is not known."""
    if pair.kind != THRESHOLD:
        return ()
    measure, line = known_metric(pair.measure).optimum, pair.null_value
    if unshifted(pair.measure) == LOWER:  # an optimum's own zero is that of its setting
        measure, end = (beside(pair.measure, name) for name in ("optimum_acquired", "need_end"))
        line += arms.constant(end, pair.first[0])
    known = measure and isfinite(line) and isfinite(arms.constant(measure, pair.first[0]))
    return (replace(pair, measure=measure, null_value=line),) if known else ()


def _with_margin(
    said: Hypothesis, arms: Arms, pair: Pair, across: bool
) -> tuple[Pair, Reason | None]:
    """The margin in units, or across settings in widths; and why it has no size here."""
    margin = said.smallest
    if margin is None or not margin.widths:
        return pair if margin is None else replace(pair, margin=margin.value), None
    sizes = [arms.constant(beside(pair.measure, "width"), cell) for cell in pair.cells]
    if not min(sizes) >= LEAST_WIDTH:
        size = min(sizes)
        what = (
            f"is {size:.2g} units here, below {LEAST_WIDTH:g}"
            if isfinite(size)
            else ("is not known here")
        )
        return pair, Cause.UNSCALED.because(width=what)
    if across:
        return replace(pair, margin=margin.value, scaled=True), None
    return replace(pair, margin=margin.value * sizes[0]), None


def _asked(
    said: Hypothesis,
    setting: dict[str, Level],
    levels: tuple[Any, ...],
    cells: Mapping[Any, int],
    columns: tuple[str, ...],
) -> Iterator[Pair]:
    """One comparison, or of a threshold one a level."""
    kind = said.contrast.name
    told: dict[str, Any] = {"measure": said.compared}
    told |= {"null_value": said.held_against, "gated": kind not in ("control", BUDGET)}
    places = tuple(cells.get(level, -1) for level in levels)
    if kind == THRESHOLD:
        # An agent that is paid for power may rightly give up its task.
        dose = columns == ("power_weight",)
        for level, place in zip(levels, places, strict=True):
            paid = dose and bool(level)
            yield Pair(kind, setting, level, None, (place,), (), **{**told, "gated": not paid})
    elif kind == INTERACTION:
        (both, _, _, neither), (most, less, more, least) = levels, places
        yield Pair(kind, setting, both, neither, (most, least), (less, more), **told)
    elif kind == TAIL:
        told |= {"threshold": said.held_against, "null_value": 0.0, "margin": said.contrast.share}
        yield Pair(kind, setting, levels[0], None, places[:1], (), **told)
    else:
        a, b = levels
        second = () if b is None else places[1:]
        yield Pair(kind, setting, a, b, places[:1], second, **told)


def _ended(arms: Arms, pair: Pair) -> tuple[int, int]:
    """Trials of both arms, of the cell that has fewest; of a level twice its own."""
    first, second = (
        int(arms.sizes[list(c)].min()) for c in (pair.first, pair.second or pair.first)
    )
    return first, second


def _times(arms: Arms, claim: Claim, pair: Pair) -> int:
    """How often each seed is trained in a cell: once where seeds are nested in layouts."""
    return 1 if claim.layouts or nested(arms, pair) else arms.layouts_of(pair.cells)


def _unit(results: Long, said: Hypothesis) -> str:
    if said.contrast.name == TAIL or said.compared.startswith("share"):
        return "share"
    return results.units.get(said.compared, "")


def _adjusted(found: Sequence[Finding]) -> list[Finding]:
    """With p adjusted: confirmatory findings among themselves, exploratory ones likewise."""
    changed = list(found)
    for confirmatory, method in ((True, "holm"), (False, "benjamini-hochberg")):
        chosen = [i for i, one in enumerate(found) if one.claim.confirmatory == confirmatory]
        tests = [_tests(found[i]) for i in chosen]
        together = sum(isfinite(p) for one in tests for p in one)
        for i, p in zip(chosen, adjust_family(tests, method), strict=True):
            changed[i] = replace(found[i], p=p, together=together)
    return changed


def _tests(one: Finding) -> PValues:
    """The p-values of a finding; a threshold's level is held against its line alone."""
    tests = one.asked.tests()
    threshold = one.claim.hypothesis.contrast.name == THRESHOLD
    return tests._replace(none=nan) if threshold else tests


def _control(one: Finding, fired: dict[object, bool]) -> bool | None:
    """Whether the positive control of a finding's world fired; None where it has none.

    Where agents were not trained, theirs there will do, or any of the world: somebody who was
    trained there.
    """
    world = str(one.setting["world"])
    known = {world, beside(one.claim.hypothesis.compared, world)} & fired.keys()
    return any(fired[name] for name in known) if known else None


def _judged(found: Sequence[Finding], fired: dict[object, bool]) -> list[Finding]:
    judged = []
    for one in found:
        control = _control(one, fired)
        effect = one.comparison.effect
        if one.crossing is not None:
            verdict = crossing_verdict(one, control)
        elif one.ratio is not None:
            verdict = decide_ratio(one.ratio, one.p, level=one.claim.level, together=one.together)
        elif effect.n == 0 and min(one.comparison.reach) > 0:
            told = {"measure": one.claim.hypothesis.compared, "world": one.setting["world"]}
            verdict = Verdict("cannot tell", 0, (Cause.UNDEFINED.because(**told),))
        elif one.claim.layouts and one.comparison.layouts is None and effect.n:
            least, lacking = LEAST_LAYOUTS, "seeds of a single layout"
            advice = more_layouts(0, max(least, one.claim.layouts), 1)
            told = {"layouts": lacking, "least": least, "more": advice}
            verdict = Verdict("cannot tell", 0, (Cause.FEW_LAYOUTS.because(**told),))
        elif one.unscaled is not None:
            verdict = Verdict("cannot tell", 0, (one.unscaled,))
        else:
            verdict = decide_hypothesis(
                one.asked,
                one.p,
                control=control,
                level=one.claim.level,
                together=one.together,
                moving=moving_reasons(one),
                learning=one.learning,
            )
        judged.append(replace(one, verdict=_unfinished(one, verdict)))
    return judged


def _unfinished(one: Finding, verdict: Verdict) -> Verdict:
    """The verdict, of too few seeds because not all have ended: then nothing else need be done."""
    missing = one.planned - min(one.ended)
    few = [r for r in verdict.because if r.cause in (Cause.FEW_SEEDS, Cause.FEW_LAYOUTS)]
    if missing <= 0 or not few:
        return verdict
    reason = Cause.UNFINISHED.because(ended=min(one.ended), planned=one.planned)
    others = (r for r in verdict.because if r not in few)
    short = [r for r in few if verdict.more_seeds > missing]
    return replace(verdict, because=(reason, *others, *short))


def moving_reasons(one: Finding) -> tuple[Reason, ...]:
    """Reasons that what is compared had not come to rest; empty where it had."""
    for moved in one.rest:
        margin = _margin_of_rest(one)
        if moved.points < LEAST_POINTS:
            enough = moved.budget * LEAST_POINTS / max(1, moved.points)
            counts = {"points": moved.points, "least": LEAST_POINTS}
            return (Cause.FEW_EVALUATIONS.because(**counts, timesteps=enough),)
        if isfinite(margin) and not moved.settled(margin):
            enough, told = moved.enough(margin), _moved(moved, one.unit)
            return (Cause.MOVING.because(moved=told, margin=margin, timesteps=enough),)
    return ()


def _margin_of_rest(one: Finding) -> float:
    """What counts as rest; of a tail nothing does, as it has no margin in its measure's unit."""
    return nan if one.comparison.binomial else one.comparison.margin


def _moved(moved: Rest, unit: str) -> str:
    drift, units = moved.drift, f" {unit}" if unit and unit != "share" else ""
    if isfinite(drift.low):
        return (
            f"{drift.value:+.2g}{units}, 90 % interval [{drift.low:+.2g}, {drift.high:+.2g}], and "
            f"its running mean by {moved.swing:.2g}"
        )
    return f"{drift.value:+.2g}{units}, and its running mean by {moved.swing:.2g}"
