"""Budgets read off evaluations, and claims about their ratio from results to words."""

from __future__ import annotations

from math import isnan, nan

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.multitest import multipletests
from synthetic import frame, made_budgets, planted, trial_rows

from powerseek.agents.job import LEDGER
from powerseek.errors import InvalidInput
from powerseek.experiments.analysis.budgets import Crossings
from powerseek.experiments.analysis.findings.hypotheses import findings
from powerseek.experiments.report.findings import finding_text
from powerseek.experiments.report.hypotheses import claim_text
from powerseek.experiments.statistics.survival import p_log_rank
from powerseek.experiments.study.contrasts import CLOCKS, Contrast
from powerseek.experiments.study.preregistration import Claim
from powerseek.experiments.study.schema import Hypothesis, make_study

DENSE = [1000 * (5 + seed) for seed in range(16)]
LONG = [30 * when for when in DENSE[::-1]]


def crossing(values, level=0.9, end=0.95, **exact):
    """Budget of one seed that showed these competences at 0, 1000, 2000, ..., and its end."""
    rows = trial_rows({"competence": end}, "ok")
    last = 1000 * len(values)
    results = frame([{**row, "timesteps": last} for row in rows])
    curve = {"trial": rows[0]["trial"], "timesteps": 1000 * np.arange(len(values))}
    curves = pd.DataFrame({**curve, "competence": values, **exact})
    found = Crossings(results, curves).budgets(results["trial"].unique(), level)
    return found.steps[0], bool(found.reached[0]), found.before[0]


@pytest.mark.parametrize(
    ("values", "end", "steps", "before"),
    [
        ([0.1, 0.95, 0.95], 0.95, 1000, 0),
        ([0.1, 0.95, 0.2, 0.95], 0.95, 3000, 2000),  # it did not stay there at the next
        ([0.95, 0.95], 0.95, 0, 0),  # untrained
        ([0.1, 0.2], 0.95, 2000, 1000),  # the end has no next
        ([0.1, 0.95], 0.5, nan, nan),  # fell again at the end
        ([0.95, 0.1, 0.2], 0.1, nan, nan),
    ],
)
def test_a_budget_is_the_first_evaluation_that_stays_at_the_next(values, end, steps, before):
    found = crossing(values, end=end)
    assert found[1] == (not isnan(steps))
    if found[1]:
        assert (found[0], found[2]) == (steps, before)
    else:
        assert found[0] == 1000 * len(values)


def test_exact_values_come_before_sampled_ones():
    exact = {"exact.competence": [nan, 0.5, 0.95, 0.95]}
    assert crossing([0.1, 0.95, 0.95, 0.95], **exact) == (2000, True, 1000)


def ratio(times, every=1000, more=(), standing=None, charted=True, made=None, **said):
    trials, curves = made_budgets(times, every, **(made or {}))
    claim = {"id": "H5", "contrast": {"budget": 10}, "direction": "larger", **said}
    claims = [Claim(Hypothesis(**claim), **(standing or {}))]
    return findings(frame(*trials, *more), claims, curves=curves if charted else None)


def test_thirty_times_is_more_than_ten_and_needs_no_rest_and_no_control():
    (one,) = ratio({"dense": DENSE, "terminal": LONG}, standing={"gate": 0.9})
    assert one.verdict.answer == "supported"
    assert (one.a, one.b) == ("terminal", "dense")
    # Medians: of sixteen seeds the eighth. More than 400,000 steps were watched for no seed.
    assert one.ratio.ratio.value == 30 * 12_000 / 12_000
    reached = np.array(LONG) <= 400_000
    steps = np.where(reached, np.array(LONG) - 1000, 400_000)
    p = p_log_rank(steps, reached, 10 * np.array(DENSE), np.ones(16, bool), "larger")
    assert one.asked.tests().difference == pytest.approx(p)
    assert list(one.p) == pytest.approx(list(multipletests(one.asked.tests(), method="holm")[1]))
    text = finding_text(one)
    assert text.effect.startswith("budget to competence 0.9, terminal over dense: 30.0 times, 95 %")
    assert "more than 10 (log-rank) p" in text.evidence[0]
    assert "got there: 9 of 16 and 16 of 16" in text.evidence[0]
    assert "seen up to 1,000 steps late" in text.evidence[0]
    said = claim_text(one.claim.hypothesis, one.unit, ["homestead"])
    assert said == (
        "Claimed: the budget to competence with success alone paid is more than 10 times that "
        "with dense reward."
    )


def test_it_shares_one_family_with_other_claims():
    trials, curves = made_budgets({"dense": DENSE, "terminal": LONG}, 1000)
    trials = [*trials, *planted(1.0, world="other")]
    said = [
        Claim(Hypothesis(id="H5", contrast={"budget": 10}, direction="larger")),
        Claim(Hypothesis(id="H1a", contrast="timing", direction="larger", margin=0.5)),
    ]
    both = findings(frame(*trials), said, curves=curves)
    assert [one.together for one in both] == [4, 4]
    plain = [p for one in both for p in one.asked.tests()]
    wanted = multipletests(plain, method="holm")[1]
    assert [p for one in both for p in one.p] == pytest.approx(list(wanted))


def test_an_arm_that_never_learns_has_a_bound_and_a_verdict():
    (one,) = ratio({"dense": DENSE, "terminal": [500_000] * 16})
    assert one.verdict.answer == "supported"
    assert isnan(one.ratio.ratio.value)
    assert "at least 33.3 times" in finding_text(one).effect
    assert "no upper end" in finding_text(one).effect


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"margin": 0.5}, "margin"),
        ({"measure": "beyond"}, "measure"),
        ({"line": 2.0}, "line"),
        ({"checkpoint": "competence>=0.9"}, "checkpoint"),
        ({"direction": "none", "contrast": {"budget": 1}}, "contrast"),
    ],
)
def test_what_a_budget_leaves_no_room_for_is_refused(more, field):
    said = {"id": "H5", "contrast": {"budget": 10}, "direction": "larger", **more}
    with pytest.raises(InvalidInput) as caught:
        make_study(
            {"name": "x", "worlds": [{"id": "star"}], "timesteps": 100, "hypotheses": [said]}
        )
    assert caught.value.field == f"hypotheses[0].{field}"


FLOPS = "spent_flops"
SHARED = {"dense": DENSE, "terminal": DENSE}


def in_flops(times, dense=2.0, terminal=8.0, budget=2, clock="flops", **more):
    """The claim in another clock, of arms that spend so many FLOPs a step."""
    clocks = {"dense": {FLOPS: dense}, "terminal": {FLOPS: terminal}}
    contrast = {"budget": budget, "clock": clock}
    return ratio(times, made={"clocks": clocks}, contrast=contrast, **more)[0]


def test_four_times_the_flops_in_as_many_steps_is_four_in_one_clock_and_one_in_the_other():
    one = in_flops(SHARED)
    assert one.ratio.ratio.value == 4
    assert one.verdict.answer == "supported"
    (steps,) = ratio(SHARED, contrast={"budget": 2}, direction="none")
    assert steps.ratio.ratio.value == 1
    # A cohort that needs half the steps at eight times the price of each: four again.
    halved = {"dense": DENSE, "terminal": [when / 2 for when in DENSE]}
    assert in_flops(halved, every=500, dense=1.0).ratio.ratio.value == 4
    text = finding_text(one)
    assert text.effect.startswith("FLOPs to competence 0.9, terminal over dense: 4.00 times, 95 %")
    assert "seen up to 8,000 FLOPs late" in text.evidence[0]
    said = claim_text(one.claim.hypothesis, one.unit, ["homestead"])
    assert said == (
        "Claimed: the FLOPs to competence with success alone paid are more than 2 times those with "
        "dense reward."
    )


def test_the_tests_in_another_clock_are_of_what_was_spent():
    """By a second way: the log-rank test of steps times the price of a step."""
    one = in_flops({"dense": DENSE, "terminal": LONG}, terminal=1.0, budget=10)
    there = np.array(LONG) <= 400_000
    spent = np.where(there, np.array(LONG) - 1000, 400_000) * 1.0
    p = p_log_rank(spent, there, 10 * 2.0 * np.array(DENSE), np.ones(16, bool), "larger")
    assert one.asked.tests().difference == pytest.approx(p)
    assert one.ratio.ratio.value == 15


def test_agents_are_compared_under_each_reward_by_what_each_spends():
    times = {"ppo": DENSE, "a2c": [3 * when for when in DENSE]}
    clocks = {"ppo": {FLOPS: 6.0}, "a2c": {FLOPS: 1.0}}
    levels = {"factor": "agent", "low": "a2c", "high": "ppo"}
    trials, curves = [], []
    for reward in ("dense", "terminal"):
        rows, own = made_budgets(times, 1000, factor="agent", clocks=clocks, reward=reward)
        trials, curves = [*trials, *rows], [*curves, own]
    found = {}
    for clock in ("steps", "flops"):
        contrast = {"budget": 1.5, "of": levels, "clock": clock}
        claim = Claim(Hypothesis(id="who", contrast=contrast, direction="larger"))
        found[clock] = findings(frame(*trials), [claim], curves=pd.concat(curves))
        assert [one.setting["reward"] for one in found[clock]] == ["dense", "terminal"]
        assert {(one.a, one.b) for one in found[clock]} == {("ppo", "a2c")}
    assert [one.ratio.ratio.value for one in found["steps"]] == pytest.approx([1 / 3] * 2)
    assert [one.ratio.ratio.value for one in found["flops"]] == [2, 2]
    one = found["flops"][0]
    assert finding_text(one).effect.startswith(
        "FLOPs to competence 0.9, agent ppo over agent a2c: 2.00 times"
    )
    assert claim_text(one.claim.hypothesis, "times", ["homestead"]) == (
        "Claimed: the FLOPs to competence with agent ppo are more than 1.5 times those with agent "
        "a2c."
    )


def test_agents_trained_for_other_lengths_are_given_up_each_at_its_own():
    """a2c never learns in 60,000 steps, ppo always in 30,000: the ratio is at least two."""
    levels = {"factor": "agent", "low": "ppo", "high": "a2c"}
    trials, curves = [], []
    for agent, when, end in (("ppo", 20_000, 30_000), ("a2c", 900_000, 60_000)):
        times = {agent: [when] * 16}
        rows, own = made_budgets(times, 1000, end=end, factor="agent", budget=end)
        trials, curves = [*trials, *rows], [*curves, own]
    claim = Claim(Hypothesis(id="who", contrast={"budget": 2, "of": levels}, direction="larger"))
    (one,) = findings(frame(*trials), [claim], curves=pd.concat(curves))
    assert "budget" not in one.setting
    assert one.ratio.ratio.at_least == 3
    assert one.verdict.answer == "supported"


@pytest.mark.parametrize(
    ("dense", "why"),
    [
        (0.0, "16 seeds spend no FLOPs at all"),
        (nan, "nothing tells how many FLOPs 16 seeds took to get there (no curve spent_flops)"),
    ],
)
def test_a_clock_that_stands_still_or_was_not_kept_is_said(dense, why):
    one = in_flops(SHARED, dense=dense)
    assert one.verdict.answer == "cannot tell"
    assert why in one.verdict.reasons[0]
    assert isnan(one.ratio.ratio.value)
    assert one.together == 0  # it costs the other claims of a study nothing
    assert "log-rank" not in finding_text(one).evidence[0]


def test_old_results_without_a_ledger_say_so():
    for charted in (True, False):
        (one,) = ratio(SHARED, contrast={"budget": 2, "clock": "labels"}, charted=charted)
        assert one.verdict.answer == "cannot tell"
        assert "32 seeds took to get there (no curve spent_labels)" in one.verdict.reasons[0]


def test_seeds_that_are_competent_before_they_spend_anything_have_no_ratio():
    one = in_flops({"dense": [0, *DENSE[1:]], "terminal": DENSE})
    assert "1 seeds were at competence 0.9 before any FLOPs" in one.verdict.reasons[0]


def test_who_never_gets_there_is_given_up_at_what_was_spent_and_told_steps_to_train():
    one = in_flops({"dense": [390_000] * 16, "terminal": [500_000] * 16}, dense=8.0, budget=10)
    assert list(one.ratio.a.steps) == [8.0 * 400_000] * 16
    assert "timesteps: 800000" in one.verdict.advice[0]


def test_every_clock_is_one_of_the_ledger_and_has_its_metric():
    assert list(CLOCKS) == list(LEDGER)
    names = [Contrast("budget", clock=clock).ledger for clock in CLOCKS]
    assert names == ["", *(f"spent_{name}" for name in LEDGER[1:])]
