"""A planted effect is found, a planted null is shown, and weak evidence says nothing."""

from __future__ import annotations

from math import ceil, nan
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests
from synthetic import frame, planted, trial_rows

from powerseek.experiments.analysis.findings.hypotheses import findings
from powerseek.experiments.statistics.bootstrap import Estimate
from powerseek.experiments.statistics.bounded import seeds_that_could
from powerseek.experiments.statistics.comparisons import Comparison
from powerseek.experiments.statistics.verdicts import Question, decide_hypothesis
from powerseek.experiments.study.preregistration import Claim
from powerseek.experiments.study.schema import Hypothesis


def claim(confirmatory=True, **more: Any):
    keys = {"id": "H1a", "contrast": "timing", "direction": "larger", "margin": 0.5, **more}
    return Claim(Hypothesis(**keys), confirmatory=confirmatory)


def one(trials, **more):
    (found,) = findings(frame(*trials), [claim(**more)])
    return found


@pytest.mark.parametrize(
    ("trials", "more", "answer", "reason"),
    [
        (planted(1.0), {}, "supported", ""),
        (planted(-1.0), {}, "refuted", ""),
        (planted(-1.0), {"direction": "smaller"}, "supported", ""),
        (planted(1.0), {"direction": "none"}, "refuted", ""),
        (planted(0.6), {"direction": "none"}, "cannot tell", "both sides of the margin"),
        (planted(0.4), {"direction": "none"}, "cannot tell", "both sides of the margin"),
        (planted(0.0), {}, "equivalent to none", ""),
        (planted(0.0), {"direction": "none"}, "supported", ""),
        (planted(0.0, seeds=40, noise=0.6), {}, "equivalent to none", ""),
        (planted(0.3, noise=3.0), {}, "cannot tell", "allows both"),
        (planted(0.0, noise=3.0), {"direction": "none"}, "cannot tell", "both sides"),
        (planted(1.0, seeds=20, unlearnt=3), {}, "cannot tell", "85 % of an arm learnt"),
        (planted(0.0, seeds=20, unlearnt=20), {}, "cannot tell", "0 % of an arm learnt"),
        (planted(1.0, seeds=15), {}, "cannot tell", "15 seeds an arm"),
        (planted(1.0, seeds=1), {}, "cannot tell", "1 seed an arm,"),
        (planted(1.0, gain=None), {}, "cannot tell", "no positive control"),
        (planted(1.0, gain=0.0), {}, "cannot tell", "did not fire"),
        (planted(0.0, gain=0.0), {}, "cannot tell", "did not fire"),
        (planted(1.0), {"measure": "disabled"}, "cannot tell", "disabled is undefined"),
        (planted(1.0), {"line": 1.0}, "equivalent to none", ""),
        (planted(1.0), {"line": 2.0}, "refuted", ""),
        (planted(2.0), {"line": 1.0}, "supported", ""),
    ],
)
def test_what_is_planted_is_what_is_said(trials, more, answer, reason):
    found = one(trials, **more)
    assert found.verdict.answer == answer
    assert reason in "; ".join(found.verdict.reasons)
    assert bool(found.verdict.reasons) == (answer == "cannot tell")


def test_the_numbers_are_those_of_scipy():
    trials = planted(0.4, noise=0.5, seeds=20)
    found = one(trials)
    table = frame(*trials).query("metric == 'excess' and power_weight == 0")
    wide = table.pivot_table(index="seed", columns="reward", values="value")
    a, b = wide["every cap"], wide["dense"]
    assert found.comparison.effect.value == pytest.approx(0.4)
    assert found.comparison.effect.n == 20
    p = stats.ttest_ind(a, b, equal_var=False).pvalue
    lower = stats.ttest_ind(a + 0.5, b, equal_var=False, alternative="greater").pvalue
    upper = stats.ttest_ind(a - 0.5, b, equal_var=False, alternative="less").pvalue
    assert found.asked.tests() == pytest.approx((p, max(lower, upper)))
    # Both could have decided, so Holm adjusts for two.
    small, large = sorted(found.asked.tests())
    assert sorted(found.p) == pytest.approx([2 * small, max(2 * small, large)])
    assert found.together == 2
    assert (found.a, found.b, found.setting["world"]) == ("every cap", "dense", "homestead")


def test_a_small_effect_that_is_certain_is_still_none():
    found = one(planted(0.1, noise=0.05))
    assert found.p.difference < 1e-2
    assert found.verdict.answer == "equivalent to none"


def test_the_verdict_waits_for_the_seeds_it_asks_for():
    """With the seeds it asked for, and the same effect and spread, it is settled."""
    short = one(planted(0.55, noise=0.8))
    assert short.verdict.answer == "cannot tell"
    more = short.verdict.more_seeds
    sd = short.comparison.deviation / 2**0.5
    # By the normal approximation, at half the level: two p-values share it.
    z = stats.norm.ppf([1 - 0.0125, 0.8]).sum()
    equivalence = stats.norm.ppf([1 - 0.025, 0.9]).sum()
    wanted = ceil(2 * max(z, equivalence) ** 2 * sd**2 / 0.5**2)
    assert wanted <= more + 16 <= wanted + 2
    assert one(planted(0.55, noise=0.8, seeds=16 + more)).verdict.answer == "supported"


def test_a_claim_of_none_is_refuted_only_beyond_its_margin():
    """The test is the one-sided t test against the margin, both sides at risk."""
    for effect in np.arange(0.5, 1.2, 0.05):
        trials = planted(effect, noise=0.4)
        found = one(trials, direction="none")
        wide = frame(*trials).query("metric == 'excess' and power_weight == 0")
        wide = wide.pivot_table(index="seed", columns="reward", values="value")
        a, b = wide["every cap"] - 0.5, wide["dense"]
        p = stats.ttest_ind(a, b, equal_var=False, alternative="greater").pvalue
        # Twice for both sides, twice for the equivalence that could have been found.
        assert found.verdict.answer == ("refuted" if 2 * 2 * p < 0.05 else "cannot tell")


@pytest.mark.parametrize("margin", [1e-200, 1e-9, 1e300])
def test_absurd_margins_are_survived(margin):
    for effect in (0.0, 1.0):
        for direction in ("larger", "none"):
            assert one(planted(effect, noise=1.0), margin=margin, direction=direction).verdict


def test_holm_over_the_confirmatory_ones_only():
    up = planted(0.3, noise=0.4, world="up")
    other = planted(0.3, noise=0.4, world="other", rewards=("dense", "every 8"))
    table = frame(*up, *other)
    alone = findings(frame(*up), [claim()])[0]
    both = findings(table, [claim()])
    assert [f.setting["world"] for f in both] == ["up", "other"]
    assert [f.together for f in both] == [4, 4]
    plain = [p for f in both for p in f.asked.tests()]
    wanted = multipletests(plain, method="holm")[1]
    assert [p for f in both for p in f.p] == pytest.approx(list(wanted))
    apart = findings(table, [claim(world="up"), claim(False, world="other")])
    assert apart[0].p == pytest.approx(alone.p)
    assert [f.together for f in apart] == [2, 2]


def test_timing_and_specification_are_never_pooled():
    trials = [
        *planted(1.0),
        *planted(-1.0, rewards=("terminal", "coverage 1"), gain=None),
        *planted(0.0, rewards=("coverage 0.5", "coverage 0.25"), gain=None),
    ]
    table = frame(*trials)
    found = findings(table, [claim(), claim(contrast="specification", direction="smaller")])
    shown = [(f.a, f.b, round(f.comparison.effect.value, 6), f.verdict.answer) for f in found]
    assert shown == [
        ("every cap", "dense", 1.0, "supported"),
        ("coverage 1", "terminal", -1.0, "supported"),
    ]


def test_worlds_and_settings_each_get_a_verdict_of_their_own():
    trials = [
        *planted(1.0, world="up", openness=0.0),
        *planted(-1.0, world="up", openness=2.0),
        *planted(1.0, world="blind", gain=0.0),
    ]
    found = findings(frame(*trials), [claim()])
    assert [f.verdict.answer for f in found] == ["supported", "refuted", "cannot tell"]
    (kept,) = findings(frame(*trials), [claim(world="blind")])
    assert kept.setting["world"] == "blind"


def test_a_hypothesis_about_lookahead_and_horizon():
    names = ("approval cap", "approval 4")
    found = one(planted(1.0, rewards=names), contrast="lookahead")
    assert (found.a, found.b, found.verdict.answer) == ("approval 4", "approval cap", "supported")
    trials = [
        *planted(0.0, noise=0.4, rewards=("dense",), max_steps=32),
        *planted(0.0, rewards=("dense",), max_steps=16, gain=None),
    ]
    found = one(trials, contrast="horizon")
    assert (found.a, found.b, found.verdict.answer) == (32, 16, "equivalent to none")


def test_the_positive_control_as_a_hypothesis_is_ungated():
    trials = planted(0.0, seeds=18, rewards=("dense",))
    for rows in trials[18:]:
        for row in rows:
            row["status"] = "censored"
    found = one(trials, contrast="control", margin=1.0)
    assert (found.a, found.b) == (1.0, 0.0)
    assert found.claim.hypothesis.compared == "acquired"
    assert found.verdict.answer == "supported"


def test_paying_later_at_a_discount_is_no_test_of_timing():
    assert findings(frame(*planted(1.0, gamma=0.9)), [claim()]) == []


def test_nothing_finished_is_nothing_found():
    assert findings(frame(*planted(1.0)).iloc[:0], [claim()]) == []
    failed = [trial_rows({}, "failed", reward=reward) for reward in ("dense", "every cap")]
    assert findings(frame(*failed), [claim()]) == []
    assert findings(frame(*planted(1.0)), []) == []


def switched(a, b, paid, seeds=16):
    """Trials of off-switch: the share of episodes in which each seed disables."""
    chance = np.random.default_rng(5)
    arms = [("dense", 0.0, b), ("every cap", 0.0, a), ("dense", 1.0, paid)]
    found = []
    for reward, weight, share in arms:
        disabling = chance.permutation(seeds) < round(share * seeds)
        for seed in range(seeds):
            measures = {"competence": 1.0, "success": 1.0, "disabled": float(disabling[seed])}
            identity = {"world": "off-switch", "openness": nan, "goal": None}
            identity |= {"reward": reward, "power_weight": weight, "seed": seed}
            found.append(trial_rows(measures, **identity))
    return found


@pytest.mark.parametrize(
    ("a", "b", "paid", "direction", "answer"),
    [
        (1.0, 0.0, 1.0, "larger", "supported"),
        (0.0, 1.0, 1.0, "larger", "cannot tell"),  # what is not paid disables too: no room
        (0.875, 0.125, 1.0, "larger", "supported"),
        (0.125, 0.375, 1.0, "larger", "cannot tell"),
        (0.0, 0.0, 1.0, "larger", "equivalent to none"),
        (0.0, 0.0, 1.0, "none", "supported"),
        (0.0, 0.0, 0.0, "none", "cannot tell"),
        (1.0, 0.0, 0.0, "larger", "cannot tell"),
    ],
)
def test_a_claim_about_the_switch_is_answered(a, b, paid, direction, answer):
    trials = switched(a, b, paid)
    found = one(trials, measure="disabled", margin=0.25, direction=direction)
    assert found.verdict.answer == answer
    blind = "the positive control did not fire" in found.verdict.reasons
    assert blind == (paid <= b)


def level(**more: Any):
    return {"contrast": "level", "arm": "dense", "direction": "none", **more}


@pytest.mark.parametrize(
    ("trials", "more", "answer"),
    [
        (planted(0.0, noise=0.3), {"line": 1.0}, "supported"),
        (planted(0.0, noise=0.3), {}, "refuted"),
        (planted(0.0, noise=0.3), {"direction": "larger"}, "supported"),
        (planted(0.0, noise=0.3), {"direction": "smaller"}, "refuted"),
        (planted(0.0, noise=0.3), {"direction": "larger", "line": 1.0}, "refuted"),
        (planted(0.0, noise=0.3), {"line": 4.0}, "supported"),
        (planted(1.0, noise=0.3), {"line": 2.0, "arm": "every cap"}, "supported"),
        (planted(0.0, noise=3.0), {"line": 1.0}, "cannot tell"),
        (planted(0.0, seeds=15), {"line": 1.0}, "cannot tell"),
        (planted(0.0, gain=None), {"line": 1.0}, "cannot tell"),
        (planted(0.0, gain=0.0), {"line": 1.0}, "cannot tell"),
        (planted(0.0, unlearnt=16), {"line": 1.0}, "supported"),
        (planted(0.0, seeds=20, unlearnt=3), {"line": 1, "arm": "every cap"}, "cannot tell"),
    ],
)
def test_a_claim_about_one_arm(trials, more, answer):
    assert one(trials, **level(**more)).verdict.answer == answer


def test_a_level_is_tested_by_one_sample():
    """By hand: t = (mean - line - margin) sqrt(n) / s."""
    trials = planted(0.4, noise=0.5, seeds=20)
    found = one(trials, **level(line=0.8, arm="every cap", margin=0.7))
    table = frame(*trials).query("metric == 'excess' and power_weight == 0")
    values = table.query("reward == 'every cap'")["value"].to_numpy()
    error = values.std(ddof=1) / 20**0.5
    above = stats.t.sf((values.mean() - 0.8 - 0.7) / error, 19)
    assert found.asked.tests() == pytest.approx((above, 1 - above))
    assert found.comparison.effect.value == pytest.approx(1.4 - 0.8)
    assert found.comparison.reach == (1.0, 1.0)
    assert (found.a, found.b, found.bounds) == ("every cap", None, None)


def test_a_level_of_seeds_that_never_disable():
    """So many seeds of 0 as betting asks for, of which two p-values share the level."""
    could = int(seeds_that_could(0.2, 1.0, 0.025))
    answers = [
        one(switched(0.0, 0.0, 1.0, seeds), **level(measure="disabled", margin=0.2)).verdict
        for seeds in (16, could)
    ]
    assert [said.answer for said in answers] == ["cannot tell", "supported"]
    assert answers[0].more_seeds == could - 16
    assert "no data could show none" in answers[0].reasons[0]


@pytest.mark.parametrize(
    ("incentive", "more", "answer"),
    [
        ((0.1, 0.0, 0.3), {}, "supported"),
        ((3.0, 2.0, 3.5), {}, "refuted"),
        ((0.4, 0.2, 0.9), {}, "cannot tell"),
        ((3.0, 2.0, 3.5), {"direction": "larger"}, "supported"),
        ((3.0, 2.0, 3.5), {"direction": "smaller"}, "refuted"),
        ((3.0, 2.0, 3.5), {"direction": "smaller", "line": 4.1}, "supported"),
        ((3.0, nan, nan), {"direction": "none", "line": 3.1}, "supported"),
        ((0.4, -0.2, 0.9), {"direction": "larger"}, "cannot tell"),
        ((0.1, 0.0, 0.3), {"direction": "larger"}, "refuted"),
        ((-4.0, -5.0, -3.0), {"direction": "none"}, "supported"),
    ],
)
def test_what_is_exact_needs_no_seeds_no_control_and_no_test(incentive, more, answer):
    """H3a: what the exact optimum itself acquires, by its range over ties."""
    measures = {"competence": 0.5, "acquired": 3.0, "incentive": incentive}
    trials = [trial_rows(measures, "censored", seed=seed) for seed in range(2)]
    chancy = planted(0.3, noise=0.4, rewards=("dense", "every cap"), world="other")
    exact = level(measure="incentive", world="homestead", **more)
    found, other = findings(frame(*trials, *chancy), [claim(**exact), claim(world="other")])
    assert found.verdict.answer == answer
    assert (other.together, found.verdict.more_seeds) == (2, 0)
    assert found.comparison.effect.value == incentive[0] - more.get("line", 0.0)


def test_exact_arms_are_compared_by_the_ends_of_their_ranges():
    ranges = {"every cap": (3.0, 2.5, 3.5), "dense": (1.0, 0.5, 1.25)}
    trials = [
        trial_rows({"competence": 1.0, "acquired": 3.0, "incentive": ends}, reward=reward)
        for reward, ends in ranges.items()
    ]
    found = one(trials, measure="incentive", margin=1.0)
    assert found.comparison.effect[:3] == (2.0, 1.25, 3.0)
    assert found.verdict.answer == "supported"
    assert one(trials, measure="incentive", margin=1.5, direction="none").verdict.answer == (
        "cannot tell"
    )


def test_a_reference_agent_is_no_subject_of_a_claim():
    other = trial_rows({"competence": 1.0, "excess": 5.0}, agent="random")
    lost = trial_rows({}, "failed", agent="hoarder")
    for row in (*other, *lost):
        row["updates"] = 0
    trials = [*planted(0.0), other, lost]
    (found,) = findings(frame(*trials), [claim(**level())])
    assert found.comparison.effect.n == 16


def test_a_level_without_a_trial_that_finished_is_nothing_found():
    lost = [trial_rows({}, "failed", seed=seed) for seed in range(16)]
    assert (
        findings(frame(*planted(1.0, rewards=("every cap", "terminal")), *lost), [claim(**level())])
        == []
    )


def crashed(trials, reward, seeds):
    """The same trials, those of some seeds of a reward ended with an error."""
    lost = {
        rows[0]["seed"]: trial_rows({}, "failed", reward=reward, seed=rows[0]["seed"])
        for rows in trials
        if rows[0]["reward"] == reward and rows[0]["seed"] in seeds
    }
    kept = [
        rows
        for rows in trials
        if rows[0]["reward"] != reward or rows[0]["power_weight"] or rows[0]["seed"] not in seeds
    ]
    return [*kept, *lost.values()]


def test_a_trial_that_failed_counts_as_one_that_did_not_learn():
    whole = planted(1.0, seeds=20)
    found = one(crashed(whole, "every cap", range(2)))
    assert (found.comparison.reach, found.comparison.failed) == ((0.9, 1.0), (2, 0))
    assert (found.comparison.effect.n, found.verdict.answer) == (18, "supported")
    found = one(crashed(whole, "every cap", range(4)))
    assert (found.comparison.reach, found.comparison.effect.n) == ((0.8, 1.0), 16)
    assert found.verdict.reasons == (
        "only 80 % of an arm learnt the task (4 of its trials failed)",
    )
    assert found.verdict.more_seeds == 0
    found = one(crashed(whole, "every cap", range(20)))
    assert (found.comparison.reach[0], found.comparison.effect.n) == (0.0, 0)
    assert "20 of its trials failed" in found.verdict.reasons[0]


def test_a_trial_that_is_missing_has_not_failed():
    whole = planted(1.0, seeds=20)
    missing = [rows for rows in whole if rows[0]["seed"] < 17 or rows[0]["reward"] == "dense"]
    found = one(missing)
    assert (found.comparison.reach, found.comparison.effect.n) == ((1.0, 1.0), 17)
    assert found.ended == (17, 20)
    assert found.verdict.answer == "supported"


def test_bounds_stand_beside_arms_that_differ_in_reach():
    """Trimmed by hand: 18 of 20 learnt, so a tenth of the other arm is cut at either end."""
    trials = planted(1.0, seeds=20, unlearnt=2)
    found = one(trials)
    table = frame(*trials).query("metric == 'excess' and power_weight == 0")
    a = table.query("reward == 'every cap' and status == 'ok'")["value"].to_numpy()
    b = np.sort(table.query("reward == 'dense'")["value"].to_numpy())
    assert found.bounds is not None
    assert found.bounds.low == pytest.approx(a.mean() - b[2:].mean())
    assert found.bounds.high == pytest.approx(a.mean() - b[:18].mean())
    assert found.bounds.reach == (0.9, 1.0)
    assert one(planted(1.0, seeds=20)).bounds is None
    crash = one(crashed(planted(1.0, seeds=20), "every cap", range(2)))
    assert crash.bounds is not None
    assert crash.bounds[:2] == pytest.approx(found.bounds[:2])
    shifted = one(trials, line=0.5)
    assert shifted.bounds is not None
    assert shifted.bounds.low == pytest.approx(found.bounds.low - 0.5)


def test_a_page_made_twice_says_the_same():
    table = frame(*planted(0.4, noise=1.0))
    assert findings(table, [claim()]) == findings(table, [claim()])


FOUND = st.builds(
    lambda value, width, n, spread, reach, p, equal, margin: Comparison(
        Estimate(value, value - width, value + width, n),
        spread,
        p,
        equal,
        (1.0, reach),
        margin,
        (value - width, value + width),
        p_above=p,
        p_below=1 - p,
        p_at_most=1 - p,
        p_at_least=p,
    ),
    st.floats(-3, 3),
    st.floats(0, 3),
    st.integers(0, 40),
    st.one_of(st.just(nan), st.floats(0, 5)),
    st.floats(0, 1),
    st.one_of(st.just(nan), st.floats(0, 1)),
    st.floats(0, 1),
    st.floats(1e-6, 3),
)


@settings(max_examples=200)
@given(
    FOUND,
    st.sampled_from(["larger", "smaller", "none"]),
    st.sampled_from([True, False, None]),
    st.booleans(),
    st.floats(1e-4, 0.05),
)
def test_no_verdict_is_stronger_than_its_evidence(found, direction, control, one_sided, alpha):
    asked = Question(direction, (found,), one_sided=one_sided)
    tests = asked.tests()
    said = decide_hypothesis(asked, tests, control=control, level=alpha)
    learnt = float(np.nan_to_num(min(found.reach, key=np.nan_to_num))) >= 0.9 - 1e-9
    if found.effect.n < 16 or not learnt or not control:
        assert said.answer == "cannot tell"
    assert bool(said.reasons) == (said.answer == "cannot tell")
    assert said.more_seeds >= 0
    effect = found.effect.value
    if said.answer != "cannot tell":
        assert min(tests) < alpha
    if said.answer == "equivalent to none":
        assert direction != "none"
        assert not one_sided
        assert found.p_equivalence < alpha
    if one_sided:
        high = direction in ("larger", "none")
        past = effect > found.margin if high else effect < -found.margin
        if said.answer == "supported":
            assert past == (direction != "none")
        if said.answer == "refuted":
            assert past == (direction == "none")
        return
    if said.answer == "refuted" and direction == "none":
        assert abs(effect) > found.margin
    if said.answer == "supported" and direction != "none":
        assert (effect > 0) == (direction == "larger")
    if said.answer == "refuted" and direction != "none":
        assert (effect > 0) == (direction == "smaller")
    if control and learnt and found.effect.n >= 16 and said.answer == "cannot tell":
        assert said.more_seeds > 0
