"""What a verdict may rest on: both ends of a bracket, margins in widths, tails, and rest."""

from __future__ import annotations

import json
from math import nan
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from synthetic import frame, trial_rows

from powerseek.experiments.analysis.findings.hypotheses import findings
from powerseek.experiments.report.findings import check_text, finding_text
from powerseek.experiments.study.preregistration import Claim
from powerseek.experiments.study.schema import Hypothesis

SETTING = {"width": 5.0, "cliff": 2.3, "need_end": 6.0, "most": 9.0}


def claim(level=0.05, confirmatory=True, **more: Any) -> Claim:
    keys = {"id": "H1b", "contrast": "level", "arm": "dense", "direction": "none"}
    keys |= {"margin": {"w": 0.2}} if "contrast" not in more else {}
    keys |= more
    if keys["contrast"] != "level" and not isinstance(keys["contrast"], dict):
        keys["arm"] = None
    return Claim(Hypothesis(**keys), confirmatory=confirmatory, level=level)


def agents(beyond, excess=None, greedy=None, setting=SETTING, exact=True, seeds=60, **identity):
    """Trials of one cell, by what each seed acquires beyond need at the end, and at its own."""
    excess = beyond if excess is None else excess
    greedy = excess if greedy is None else greedy
    found = []
    for seed in range(seeds):
        slip = 0.02 * (seed % 5 - 2)
        mine = {"competence": 0.95, "acquired": 3 + slip, **setting}
        mine |= {"beyond": beyond + slip + 9 * exact, "excess": excess + slip + 9 * exact}
        found.append(trial_rows(mine, seed=seed, **identity))
        if exact:  # the sampled rows are far off, so that it shows which ones were read
            own = {"beyond": beyond + slip, "excess": excess + slip}
            found.append(trial_rows(own, evaluation="exact", seed=seed, **identity))
            own = {"beyond": beyond + slip, "excess": greedy + slip}
            found.append(trial_rows(own, evaluation="exact-greedy", seed=seed, **identity))
    return found


def paid(seeds=60, **identity):
    return [
        trial_rows(
            {"competence": 0.95, "acquired": 8 + 0.1 * (seed % 3), "beyond": 5.0, **SETTING},
            power_weight=1.0,
            seed=seed,
            **identity,
        )
        for seed in range(seeds)
    ]


def one(*trials, curves=None, **said):
    rows = [row for part in trials for row in part]
    (found,) = findings(frame(*rows), [claim(**said)], curves=curves)
    return found


@pytest.mark.parametrize(
    ("beyond", "excess", "greedy", "direction", "answer"),
    [
        (-2.3, 0.0, 0.0, "none", "supported"),
        (-2.3, 0.0, 0.0, "larger", "refuted"),
        (2.0, 3.0, 3.0, "none", "refuted"),
        (2.0, 3.0, 3.0, "larger", "supported"),
        (-1.0, 2.0, 2.0, "none", "cannot tell"),
        (-1.0, 2.0, 2.0, "larger", "cannot tell"),
        (-1.0, 1.8, 0.0, "none", "supported"),  # slips alone fill the upper end: greedy has none
        (-1.0, 0.0, 1.8, "none", "cannot tell"),
    ],
)
def test_a_level_is_judged_at_both_ends_of_its_bracket(beyond, excess, greedy, direction, answer):
    found = one(agents(beyond, excess, greedy), paid(), direction=direction)
    assert found.verdict.answer == answer
    assert found.exactly
    assert [end.effect.value for end in found.asked.ends] == pytest.approx([beyond, excess])
    if answer == "cannot tell":
        assert found.verdict.reasons[0].startswith(
            "need rises by 2.3 units over the last .005 of success"
        )
    assert "from" in finding_text(found).effect


def test_none_is_shown_by_betting_with_the_oracle_s_bounds():
    found = one(agents(0.0), paid())
    lower, upper = found.asked.none
    assert lower.bounds == pytest.approx((-6.0, 3.0))
    assert upper.bounds == pytest.approx((-6.0, 9.0))
    assert "betting" in finding_text(found).evidence[0]
    few = one(agents(0.0, seeds=30), paid(30), margin=0.5)
    assert few.verdict.answer == "cannot tell"
    assert "with 30 seeds no data could show none" in few.verdict.reasons[0]
    # Of sampled episodes no bound is known: a t test, and it says so.
    rough = one(agents(0.0, exact=False), paid())
    assert not rough.exactly
    assert all(np.isinf(end.bounds).all() for end in rough.asked.none)
    assert rough.verdict.answer == "supported"
    text = finding_text(rough).evidence[0]
    assert "one-sided t test" in text
    assert "evaluated by sampled episodes alone" in text


def test_without_the_oracle_s_rows_a_level_is_read_all_the_same():
    found = one(agents(0.0, setting={}), paid(), margin=0.5)
    assert found.verdict.answer == "supported"
    wide = one(agents(-1.0, 2.0, setting={}), paid(), margin=0.5)
    assert "need is not known near the greatest success" in wide.verdict.reasons[0]


def test_a_margin_is_a_share_of_the_setting_s_width():
    for share, size in ((None, 0.5), ({"w": 0.3}, 1.5), (0.7, 0.7)):
        found = one(agents(0.0), paid(), margin=share)
        assert found.comparison.margin == pytest.approx(size)
    narrow = one(agents(0.0, setting={**SETTING, "width": 0.09}), paid())
    assert narrow.verdict.answer == "cannot tell"
    assert "width of W, which is 0.09 units here, below 0.1" in narrow.verdict.reasons[0]
    assert narrow.verdict.advice == ("write margin: a number of units",)
    unknown = one(agents(0.0, setting={}), paid())
    assert "is not known here" in unknown.verdict.reasons[0]


SHIFT = {"shift": "max_steps 64"}


def there(trials):
    """The same values, told of where agents were not trained; here they have others."""

    def here(row):
        return row if row["metric"] == "competence" else {**row, "value": 77.0}

    moved = [[{**row, "metric": f"{row['metric']}_shifted"} for row in rows] for rows in trials]
    whole = zip(trials, moved, strict=True)
    return [[{**row, **SHIFT} for row in [*map(here, rows), *own]] for rows, own in whole]


def test_where_agents_were_not_trained_all_is_read_there():
    control = there(paid())
    known = (-2.3, 0.0, "supported"), (2.0, 3.0, "refuted"), (-1.0, 2.0, "cannot tell")
    for beyond, excess, answer in known:
        found = one(
            there(agents(beyond, excess, setting={**SETTING, "width": 4.0})),
            control,
            measure="beyond_shifted",
        )
        assert [end.effect.value for end in found.asked.ends] == pytest.approx([beyond, excess])
        assert found.comparison.margin == pytest.approx(0.2 * 4.0)
        if answer == "supported":
            bounds = [end.bounds for end in found.asked.none]
            assert bounds == [pytest.approx((-6.0, 3.0)), pytest.approx((-6.0, 9.0))]
        assert found.verdict.answer == answer
        if answer == "cannot tell":
            assert "need rises by 2.3 units" in found.verdict.reasons[0]


def horizon(a, b, **more):
    """Two horizons, of widths 5 and 2."""
    long = agents(*a, max_steps=32, **more)
    short = agents(*b, setting={**SETTING, "width": 2.0}, max_steps=16, **more)
    return [*long, *short, *paid(max_steps=32)]


@pytest.mark.parametrize(
    ("long", "short", "answer"),
    [
        ((3.0, 3.5), (0.2, 0.4), "supported"),
        ((0.5, 1.0), (0.2, 0.4), "equivalent to none"),  # as many widths of each
        ((-1.0, 2.0), (0.2, 0.0), "cannot tell"),
        ((-3.0, -2.0), (0.2, 0.4), "refuted"),
    ],
)
def test_settings_are_compared_in_their_own_widths_at_both_ends(long, short, answer):
    found = one(horizon(long, short), contrast="horizon", direction="larger")
    assert found.verdict.answer == answer
    wanted = [a / 5 - b / 2 for a, b in zip(long, short, strict=True)]
    assert [end.effect.value for end in found.asked.ends] == pytest.approx(wanted)
    assert (found.unit, found.comparison.margin) == ("W", 0.1)
    if answer == "cannot tell":
        assert "need rises by 2.3 units" in found.verdict.reasons[0]


def test_within_one_setting_the_constant_cancels():
    trials = [agents(1.0, 3.0, reward="every cap"), agents(0.0, 3.0), paid()]
    found = one(*trials, contrast="timing", direction="larger")
    assert len(found.asked.ends) == 1
    assert found.comparison.effect.value == pytest.approx(1.0)
    assert found.verdict.answer == "supported"


@pytest.mark.parametrize(
    ("seekers", "direction", "answer"),
    [
        (0, "smaller", "supported"),
        (1, "smaller", "cannot tell"),
        (20, "smaller", "refuted"),
        (20, "larger", "supported"),
        (0, "larger", "refuted"),
    ],
)
def test_a_tail_counts_seeds_by_the_exact_binomial_test(seekers, direction, answer):
    greedy = agents(4.0, seeds=seekers)
    still = [rows for rows in agents(0.0, seeds=80) if rows[0]["seed"] >= seekers]
    found = one(greedy, still, paid(), contrast={"tail": 1, "share": 0.05}, direction=direction)
    assert found.verdict.answer == answer
    p = [
        stats.binomtest(seekers, 80, 0.05, alternative=side).pvalue for side in ("greater", "less")
    ]
    assert found.asked.tests() == pytest.approx(p)
    text = finding_text(found)
    assert f"above 1, dense: {seekers} of 80 seeds" in text.effect
    assert "exact binomial" in text.evidence[0]


def test_a_tail_says_how_many_seeds_could_show_it():
    found = one(
        agents(0.0, seeds=40), paid(), contrast={"tail": 1, "share": 0.05}, direction="smaller"
    )
    assert "with 40 seeds no data could show none" in found.verdict.reasons[0]
    assert (
        0.95 ** (40 + found.verdict.more_seeds) <= 0.025 < 0.95 ** (39 + found.verdict.more_seeds)
    )


def test_a_look_has_its_own_level():
    # p = .02: enough at .05, for two p-values, but not at .01.
    for level, answer in ((0.05, "supported"), (0.01, "cannot tell")):
        rng = np.random.default_rng(0)
        noise = rng.normal(size=30)
        noise = (noise - noise.mean()) / noise.std(ddof=1)
        trials = [
            trial_rows(
                {"competence": 0.95, "acquired": 3.0, "beyond": shift + noise[seed]},
                reward=reward,
                seed=seed,
            )
            for reward, shift in (("dense", 0.0), ("every cap", 0.72))
            for seed in range(30)
        ]
        said = {"contrast": "timing", "direction": "larger", "margin": 0.5, "level": level}
        found = one(trials, paid(30), **said)
        assert found.verdict.answer == answer
        assert ("tested at 0.01" in finding_text(found).evidence[0]) == (level < 0.05)


# --- at rest ----------------------------------------------------------------------------------


def curves(trials, drift=0.0, points=15, column="exact.beyond", jump=0.0):
    """Learning curves of these trials; what is exact is known in the last third alone."""
    rows, noise = [], np.random.default_rng(0)
    for key in dict.fromkeys(part[0]["trial"] for part in trials):
        slip = noise.normal()
        for i in range(1, points + 1):
            late = i - 2 * points // 3
            value = slip + drift * late / (points - 2 * points // 3) + jump * (late == 1)
            value += 0.1 * noise.normal()
            if column.startswith("exact.") and late <= 0:
                value = nan
            rows.append({"trial": key, "timesteps": 1000 * i, column: value, "excess": 99.0 * i})
    return pd.DataFrame(rows)


def timing(**more):
    trials = [*agents(2.0, reward="every cap"), *agents(0.0)]
    return trials, {"contrast": "timing", "direction": "larger", "margin": 0.5, **more}


@pytest.mark.parametrize(
    ("drift", "jump", "answer"),
    [(0.0, 0.0, "supported"), (1.0, 0.0, "cannot tell"), (0.0, 4.0, "cannot tell")],
)
@pytest.mark.parametrize("column", ["exact.beyond", "beyond"])
def test_what_still_moves_gets_no_verdict(drift, jump, answer, column):
    trials, said = timing()
    moving = [part for part in trials if part[0]["reward"] == "every cap"]
    others = [part for part in trials if part[0]["reward"] != "every cap"]
    table = pd.concat(
        [curves(moving, drift, column=column, jump=jump), curves(others, column=column)]
    )
    found = one(trials, paid(), curves=table, **said)
    assert found.verdict.answer == answer
    (rest,) = found.rest
    assert (rest.points, rest.exact) == (5, column == "exact.beyond")
    assert rest.drift.value - (-4 if jump else drift) == pytest.approx(0, abs=0.05)
    text = finding_text(found)
    if answer == "cannot tell":
        assert found.verdict.reasons[0].startswith("still moving: ")
        budget = float(found.verdict.advice[0].split("timesteps: ")[1].split()[0])
        assert budget >= 1.5 * 15_000 - 500
        assert "still moving" in text.wanting
    else:
        assert "at rest: drift over the last third of training" in text.evidence[0]
        assert ("by sampled evaluations" in text.evidence[0]) == (column == "beyond")


def test_beside_an_effect_stands_how_far_success_rests_on_what_was_taken():
    trials, said = timing()
    for i, part in enumerate(trials):
        lost = 0.25 if part[0]["reward"] == "every cap" else float(part[0]["seed"] % 2)
        if part[0]["evaluation"] == "exact" and i % 7:  # of some it is undefined
            part.append({**part[0], "metric": "reliance", "value": lost})
    found = one(trials, paid(), **said)
    assert found.relied == pytest.approx((0.25, 0.5), abs=0.05)
    shown = [line for line in finding_text(found).evidence if "reliance" in line]
    words = "success lost where the power on offer is withheld (reliance): +0.25 and +"
    assert [line.startswith(words) for line in shown] == [True]
    (bare,) = [one(timing()[0], paid(), **said)]
    assert (bare.relied, "reliance" in str(finding_text(bare))) == ((), False)


def test_exact_curves_are_read_before_sampled_ones():
    trials, said = timing()
    table = curves(trials).assign(beyond=lambda rows: rows["timesteps"] * 1.0)
    found = one(trials, paid(), curves=table, **said)
    assert (found.rest[0].exact, found.verdict.answer) == (True, "supported")


def test_a_threshold_on_a_level_is_read_at_both_ends():
    cells = [agents(b, e, gamma=g) for g, b, e in ((0.8, -3.0, 0.0), (0.9, 0.0, 3.0), (1.0, 3, 6))]
    claimed = {"contrast": {"threshold": "gamma", "line": 1.5}, "direction": "larger"}
    rows = [row for trials in (*cells, paid()) for part in trials for row in part]
    said = Hypothesis(id="H", **claimed)
    (found,) = findings(frame(rows), [Claim(said)])
    assert [side for _, side in found.crossing.levels] == ["near", "", "far"]
    assert found.verdict.answer == "supported"


def test_a_drift_that_both_arms_share_is_none_of_their_difference():
    trials, said = timing()
    found = one(trials, paid(), curves=curves(trials, 3.0), **said)
    assert found.verdict.answer == "supported"
    level = one(trials, paid(), curves=curves(trials, 3.0), margin=0.5)
    assert "still moving" in level.verdict.reasons[0]


def test_too_few_evaluations_tell_of_no_rest():
    trials, said = timing()
    found = one(trials, paid(), curves=curves(trials, points=10), **said)
    assert found.verdict.answer == "cannot tell"
    assert (
        "4 evaluations in the last third of training, at least 5 needed"
        in (found.verdict.reasons[0])
    )
    (advice,) = found.verdict.advice
    assert advice.startswith("write evaluations: 15; where it stands there already")
    assert advice.endswith("timesteps: 12500")  # 10,000 had 4 of the 5


def test_without_curves_it_is_said_that_rest_is_not_known():
    trials, said = timing()
    for table in (None, curves(trials, column="other")):
        found = one(trials, paid(), curves=table, **said)
        assert (found.rest, found.verdict.answer) == ((), "supported")
        assert "no learning curve tells whether it was at rest" in finding_text(found).evidence[0]


# --- whether a factor bites -------------------------------------------------------------------


def crossing(trials, steps):
    rows = [
        {**row, "checkpoint": "competence>=0.9", "timesteps": steps}
        for part in trials
        for row in part
    ]
    return [rows]


@pytest.mark.parametrize(
    ("high", "steps", "bites"), [(8.9, 50_000, True), (4.0, 90_000, True), (4.0, 55_000, False)]
)
def test_manipulation_checks_stand_before_a_verdict(high, steps, bites):
    late, soon = (
        agents(0.0, setting={**SETTING, "constraint_low": 3.7, "constraint_high": end}, reward=arm)
        for arm, end in (("every cap", high), ("dense", 3.9))
    )
    plain = [part for part in late if part[0]["evaluation"] == "sampled"]
    trials = [*late, *soon, *crossing(plain, steps), *crossing(soon, 50_000)]
    found = one(trials, paid(), contrast="timing", direction="larger")
    assert found.check is not None
    assert np.array(found.check.left_open) == pytest.approx(np.array([[3.7, high], [3.7, 3.9]]))
    assert found.check.ratio == pytest.approx(steps / 50_000)
    assert found.check.bites == bites
    text = check_text(found)
    assert f"every cap [3.70, {high:.2f}] and dense [3.70, 3.90]" in text
    assert f"steps to competence: {steps:,} and 50,000" in text
    assert ("hardly bites" in text) == (not bites)


def test_what_is_not_known_of_a_manipulation_is_said():
    trials, said = timing()
    found = one(trials, paid(), **said)
    assert found.check is not None
    assert found.check.bites is None
    assert "neither W nor budgets to competence are known" in check_text(found)


@pytest.mark.parametrize(
    ("short", "long", "answer"),
    [(3.0, 0.0, "supported"), (0.0, 3.0, "cannot tell"), (0.0, 0.0, "supported")],
)
@pytest.mark.parametrize("kind", [{"factor": "timesteps"}, {"interaction": ["leak", "timesteps"]}])
def test_of_lengths_of_training_only_the_longest_must_have_come_to_rest(short, long, answer, kind):
    params = {leak: json.dumps({"leak": leak}) for leak in (1, 4)}
    cells = [
        (agents(2.0 if (leak, budget) == (4, 9000) else 0.0, budget=budget, params=held), budget)
        for leak, held in params.items()
        for budget in (3000, 9000)
    ]
    if "factor" in kind:
        cells = cells[2:]
    # Where both leaks drifted alike, their difference would not move: only the greater leak does.
    drifts = [
        (short if budget == 3000 else long) * (i >= len(cells) - 2)
        for i, (_, budget) in enumerate(cells)
    ]
    table = pd.concat(
        [curves(trials, drift) for (trials, _), drift in zip(cells, drifts, strict=True)]
    )
    trials = [row for own, _ in cells for row in own]
    found = one(
        trials,
        paid(budget=9000, params=params[4]),
        curves=table,
        contrast=kind,
        direction="larger",
        margin=0.5,
    )
    assert found.verdict.answer == answer
    if answer == "cannot tell":
        assert "still moving" in found.verdict.reasons[0]


@pytest.mark.parametrize(("agent", "answer"), [("search", "supported"), ("ppo", "cannot tell")])
def test_of_the_same_networks_at_play_rest_is_no_question(agent, answer):
    """acting changes no weight; of an agent that trains by it, its drift would tell."""
    told = [
        {"agent": f"{agent} acting {n}", "settings": json.dumps({"acting": n})} for n in (0, 16)
    ]
    cells = [agents(beyond, **own) for beyond, own in zip((0.0, 2.0), told, strict=True)]
    table = pd.concat([curves(cells[0], 0.0), curves(cells[1], 3.0)])
    said = {"contrast": {"factor": "acting"}, "direction": "larger", "margin": 0.5}
    found = one([*cells[0], *cells[1]], paid(**told[1]), curves=table, **said)
    assert found.verdict.answer == answer
    assert found.frozen == (agent == "search")
    assert ("rest is no question" in " ".join(finding_text(found).evidence)) == found.frozen
