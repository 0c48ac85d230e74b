"""Every cause of "cannot tell" is reached by results, and told with its advice wherever read."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from synthetic import frame, made_budgets, planted, trial_rows

from powerseek.experiments.analysis.contrasts import contrasts
from powerseek.experiments.analysis.findings.finding import UNSAID
from powerseek.experiments.analysis.findings.hypotheses import findings
from powerseek.experiments.report.findings import finding_text
from powerseek.experiments.report.terminal import print_table
from powerseek.experiments.statistics.comparisons import Asked, Units, compare_groups
from powerseek.experiments.statistics.families import PValues
from powerseek.experiments.statistics.layouts import compare_layouts
from powerseek.experiments.statistics.reasons import Cause
from powerseek.experiments.statistics.verdicts import Question, decide_hypothesis
from powerseek.experiments.study.preregistration import Claim
from powerseek.experiments.study.schema import Hypothesis

CLAIM = {"id": "H1a", "contrast": "timing", "direction": "larger", "margin": 0.5}
SLIPS = np.linspace(-0.1, 0.1, 16)


def found(trials, curves=None, standing=None, **more):
    claim = Claim(Hypothesis(**{**CLAIM, **more}), **(standing or {}))
    return findings(frame(*trials), [claim], curves=curves)


def arm(values, **asked):
    values = np.asarray(values, dtype=float)
    zeros = np.zeros(len(values), dtype=int)
    units = Units(values, zeros, zeros, zeros)
    asked = Asked(weights=(1.0,), **{"margin": 0.5, **asked})
    return compare_groups(units, [asked], np.random.default_rng(0))[0]


def level(direction, *ends, tests=None, **asked):
    question = Question(direction, tuple(arm(end, **asked) for end in ends), one_sided=True)
    return [decide_hypothesis(question, tests or question.tests(), control=True)]


def contrasted(trials, margins=None):
    table = contrasts(frame(*trials), margins=margins)
    return [(row["reasons"], row["advice"]) for row in table.to_dict("records")]


def failed():
    return [
        trial_rows({}, "failed", reward=rows[0]["reward"], seed=rows[0]["seed"])
        if rows[0]["reward"] == "every cap" and rows[0]["seed"] < 4
        else rows
        for rows in planted(1.0, seeds=20)
    ]


def thresholds(*means, noise=0.1):
    """One arm at rising gamma, whose measure lies about a mean at each."""
    rng = np.random.default_rng(0)
    trials = [
        trial_rows(
            {"competence": 0.95, "acquired": mean + noise * rng.normal()}, gamma=gamma, seed=seed
        )
        for gamma, mean in zip((0.8, 0.9, 1.0), means, strict=True)
        for seed in range(16)
    ]
    asked = {"contrast": {"threshold": "gamma", "line": 1.0}, "measure": "acquired"}
    return found([*trials, *paid()], margin=None, **asked)


def paid():
    return [
        trial_rows({"competence": 0.95, "acquired": 9 + 0.1 * seed}, power_weight=1.0, seed=seed)
        for seed in range(16)
    ]


def curve(points, drift):
    trials = dict.fromkeys(rows[0]["trial"] for rows in planted(1.0))
    return pd.DataFrame(
        {"trial": trial, "timesteps": 1000 * i, "excess": drift * i * j, "beyond": drift * i * j}
        for j, trial in enumerate(trials)
        for i in range(1, points + 1)
    )


def coverages():
    rewards = ("terminal", "coverage 0.5", "coverage 1.0")
    return [
        trial_rows({"competence": 0.95, "acquired": 1 + i, "excess": 1 + i}, reward=r, seed=seed)
        for i, r in enumerate(rewards)
        for seed in range(16)
    ]


def over_layouts(*sums):
    """The verdict over layouts, on each of which five seeds of two arms are alike but for noise."""
    values = np.array(sums)[:, None] / 2 + np.linspace(-0.1, 0.1, 5)
    both = np.concatenate([values.ravel(), -values.ravel()])
    cell, n = np.repeat([0, 1], values.size), len(both)
    units = Units(both, np.zeros(n, int), cell, np.tile(np.repeat(np.arange(len(sums)), 5), 2))
    (seeds,) = compare_groups(units, [Asked(margin=0.5)], np.random.default_rng(0))
    layouts = compare_layouts(np.array(sums, dtype=float), Asked(margin=0.5))
    question = Question("larger", (replace(seeds, layouts=layouts),))
    return [decide_hypothesis(question, question.tests(), control=True)]


WIDTHS = {"margin": {"w": 0.1}}
ALIKE = Question("smaller", (arm(np.zeros(16)),))
REACHED = {
    Cause.UNLEARNT: lambda: found(planted(1.0, seeds=20, unlearnt=3)),
    Cause.FAILED: lambda: found(failed()),
    Cause.UNFINISHED: lambda: found(planted(1.0, seeds=4), standing={"seeds": 16}),
    Cause.FEW_SEEDS: lambda: found(planted(1.0, seeds=4)),
    Cause.FEW_LAYOUTS: lambda: over_layouts(3.0, 3.1, 3.2, 3.3),
    Cause.THESE_LAYOUTS: lambda: over_layouts(9.0, -7.0, 9.0, -7.0, 9.0, 9.0),
    Cause.ALIKE_LAYOUTS: lambda: over_layouts(*[0.0] * 8),
    Cause.NO_MARGIN: lambda: contrasted(planted(1.0)),
    Cause.NO_CONTROL: lambda: found(planted(1.0, gain=None)),
    Cause.SILENT_CONTROL: lambda: found(planted(1.0, gain=0.0)),
    Cause.OVERLAP: lambda: contrasted(planted(1.0, seeds=4, gain=0.0)),
    Cause.FEW_EVALUATIONS: lambda: found(planted(1.0), curves=curve(6, 0.0)),
    Cause.MOVING: lambda: found(planted(1.0), curves=curve(15, 1.0)),
    Cause.BRACKET: lambda: level("none", SLIPS - 1, SLIPS + 2),
    Cause.BOTH_WITHIN: lambda: found(planted(0.3, noise=3.0)),
    Cause.ACROSS_MARGIN: lambda: level("none", 9 * SLIPS + 0.5),
    Cause.BOTH_SIDES: lambda: found(planted(0.4), direction="none"),
    Cause.TOGETHER: lambda: level("none", SLIPS + 2, tests=PValues(0.2, 0.2)),
    Cause.TOO_RARE: lambda: level("none", SLIPS, bounds=(-1.0, 50.0)),
    Cause.ALIKE: lambda: [decide_hypothesis(ALIKE, PValues(1, 1), control=True)],
    Cause.TIES: lambda: found(ties(), measure="optimum_acquired"),
    Cause.UNDEFINED: lambda: found(planted(1.0), measure="disabled"),
    Cause.UNSCALED: lambda: found(planted(1.0), **WIDTHS),
    Cause.UNCOMPARED: lambda: [UNSAID],
    Cause.OPEN_LEVELS: lambda: (
        thresholds(0.0, 1.0, 2.0, noise=1.0) + thresholds(1.0, 1.0, 1.0, noise=1.0)
    ),
    Cause.CROSSED_TWICE: lambda: thresholds(0.0, 2.0, 0.0),
    Cause.UNTRAINED: lambda: ratios(dense=[0, *DENSE[1:]]),
    Cause.UNSPENT: lambda: ratios(pace=0.0),
    Cause.UNMETERED: lambda: ratios(pace=float("nan")),
    Cause.NO_BUDGET: lambda: ratios(more=[trial_rows({}, "failed", seed=99)]),
    Cause.UNCHARTED: lambda: ratios(charted=False),
    Cause.COARSE: lambda: ratios(every=40_000),
    Cause.UNREACHED: lambda: ratios(sparse=[500_000] * 16, dense=[380_000] * 16),
    Cause.OPEN_RATIO: lambda: ratios(sparse=[9 * when for when in DENSE[::-1]]),
    Cause.TREND: lambda: contrasted(coverages()),
    Cause.CONFOUNDED: lambda: contrasted(planted(1.0, gamma=0.9)),
}


DENSE = [1000 * when for when in range(5, 21)]


def ratios(sparse=(20_000,) * 16, dense=DENSE, every=1000, charted=True, more=(), pace=None):
    """Budgets of two arms, held against a ratio of ten; in FLOPs where a step has a price."""
    clocks = dict.fromkeys(("terminal", "dense"), {} if pace is None else {"spent_flops": pace})
    times = {"terminal": sparse, "dense": dense}
    trials, curves = made_budgets(times, every, clocks=clocks)
    contrast = {"budget": 10, "clock": "steps" if pace is None else "flops"}
    curves = curves if charted else None
    return found([*trials, *more], curves=curves, contrast=contrast, margin=None)


def ties():
    ends = {"dense": (3.0, 1.0, 5.0), "every cap": (3.0, 2.0, 4.0)}
    return [
        trial_rows({"competence": 0.95, "optimum_acquired": own}, reward=reward, seed=seed)
        for reward, own in ends.items()
        for seed in range(2)
    ]


def told_of(one):
    """Why and advice of a finding, of a verdict, or of a comparison's row."""
    if isinstance(one, tuple):
        return one
    verdict = getattr(one, "verdict", one)
    return "; ".join(verdict.reasons), "; ".join(verdict.advice)


@pytest.mark.parametrize("cause", Cause)
def test_results_reach_every_cause_and_it_is_told_with_its_advice(cause):
    start = cause.value[0].partition("{")[0]
    end = cause.value[0].rpartition("}")[2]
    reached = REACHED[cause]()
    typed = [getattr(one, "verdict", one) for one in reached if not isinstance(one, tuple)]
    assert not typed or any(r.cause is cause for verdict in typed for r in verdict.because)
    told = [told_of(one) for one in reached]
    own = [(why, advice) for why, advice in told if start in why and end in why]
    assert own, told
    assert all(advice for _, advice in own)


@pytest.mark.parametrize("cause", [Cause.UNLEARNT, Cause.MOVING, Cause.OPEN_LEVELS, Cause.TIES])
def test_a_finding_s_words_hold_why_and_advice(cause):
    for one in REACHED[cause]():
        if one.verdict.answer == "cannot tell":
            words = finding_text(one).wanting
            why, _, change = words.partition(" What would change it: ")
            assert why.startswith("Why: ")
            assert all(reason in why for reason in one.verdict.reasons)
            assert all(advice in change for advice in one.verdict.advice)


def test_budget_and_level_are_those_of_the_arm_that_lacks():
    (one,) = found(planted(1.0, seeds=20, unlearnt=3), standing={"gate": 0.99})
    (advice,) = one.verdict.advice
    assert "timesteps: 600000" in advice  # twice the 300,000 of made-up trials
    assert "competence: [0.95]" in advice


def test_comparisons_without_a_hypothesis_say_it_below_their_table():
    from powerseek.experiments.analysis.view import View

    shown = io.StringIO()
    print_table(View(frame(*planted(1.0))), Console(file=shown, width=400))
    assert "What would change cannot tell: name it under hypotheses:" in shown.getvalue()
