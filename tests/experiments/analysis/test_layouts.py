"""Seeds nested in layouts, from rows to verdicts; and the constants of cells of several layouts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from synthetic import frame, planted, trial_rows

from powerseek.experiments.analysis.arms import Arms, Pair
from powerseek.experiments.analysis.cells import Cell
from powerseek.experiments.analysis.contrasts import contrasts
from powerseek.experiments.analysis.density import arm_optimum_share
from powerseek.experiments.analysis.findings.hypotheses import findings
from powerseek.experiments.analysis.groups import compare_arms
from powerseek.experiments.analysis.summary import summarise
from powerseek.experiments.report.findings import finding_text
from powerseek.experiments.results.table import trials
from powerseek.experiments.statistics.layouts import LEAST_LAYOUTS
from powerseek.experiments.statistics.reasons import Cause
from powerseek.experiments.study.preregistration import Claim
from powerseek.experiments.study.schema import Hypothesis

CLAIM = {"id": "H1a", "contrast": "timing", "direction": "larger", "margin": 0.5}
LAYOUTS, SEEDS = 8, 5


def rng(seed=0):
    return np.random.default_rng(seed)


def nested(effects, seeds=SEEDS, noise=0.1, measures=None, base=None):
    """Two arms and a control whose seeds are nested in layouts, with an effect on each of them.

    Args:
        effects: By layout, every cap less dense, exactly.
        seeds: Seeds on each layout.
        noise: Between seeds.
        measures: More measures of each trial, by layout (from 0).
        base: By layout, the mean of dense.
    """
    chance, found = rng(7), []
    base = np.zeros(len(effects)) if base is None else base
    for layout, effect in enumerate(effects):
        more = {} if measures is None else measures(layout)
        for arm, weight in ((0, 0.0), (1, 0.0), (0, 1.0)):
            values = noise * chance.normal(size=seeds)
            values += base[layout] + arm * effect + 9 * weight - values.mean()
            for i, value in enumerate(values):
                told = {"layout": str(layout + 1), "seed": layout + i * len(effects)}
                told |= {"reward": ("dense", "every cap")[arm], "power_weight": weight}
                own = {"competence": 0.95, "acquired": 3 + value, "beyond": value, **more}
                found.append(trial_rows({"excess": value, **own}, **told))
    return found


def found(rows, layouts=LAYOUTS, **more):
    seeds = layouts * SEEDS
    claim = Claim(Hypothesis(**{**CLAIM, **more}), seeds=seeds, layouts=layouts)
    return findings(frame(*rows), [claim])


def compared(rows, **more):
    arms = Arms(frame(*rows))
    cells = {(r["reward"], r["power_weight"]): i for i, r in enumerate(arms.records)}
    ends = (cells["every cap", 0.0],), (cells["dense", 0.0],)
    pair = Pair("timing", {}, "every cap", "dense", *ends, **{"measure": "beyond", **more})
    return compare_arms(arms, [pair], rng())[0]


def test_the_comparison_over_layouts_has_a_layout_s_difference_of_means_as_unit():
    effects = rng(1).normal(1, 0.4, LAYOUTS)
    one = compared(nested(effects), margin=0.5)
    assert one.effect.n == LAYOUTS * SEEDS
    assert one.layouts.effect.n == LAYOUTS
    assert one.layouts.deviation == pytest.approx(effects.std(ddof=1))
    assert one.layouts.effect.value == pytest.approx(effects.mean())
    assert one.effect.value == pytest.approx(effects.mean())
    # What all arms of a layout have in common cancels, however much it is.
    shifted = compared(nested(effects, base=100 * np.arange(LAYOUTS)), margin=0.5)
    assert shifted.layouts.p_difference == pytest.approx(one.layouts.p_difference)
    assert shifted.effect[1:3] == pytest.approx(one.effect[1:3], abs=0.05)


def test_seeds_far_out_are_those_of_their_own_layout():
    # Layouts lie two margins apart: that makes no seed a seeker.
    rows = nested(np.zeros(LAYOUTS), base=np.arange(LAYOUTS, dtype=float))
    assert compared(rows, margin=0.5).tail == (0, 0)
    for row in rows[0]:
        row["value"] = 9.0 if row["metric"] == "beyond" else row["value"]
    assert compared(rows, margin=0.5).tail == (0, 1)


def test_seeds_crossed_with_layouts_stand_for_no_others():
    crossed = [
        [{**row, "seed": row["seed"] // LAYOUTS, "trial": f"{row['trial']}"} for row in rows]
        for rows in nested(np.ones(LAYOUTS))
    ]
    assert not Arms(frame(*crossed)).nested.any()
    assert compared(crossed).layouts is None
    assert compared(planted(1.0)).layouts is None
    assert Arms(frame(*nested(np.ones(LAYOUTS)))).nested.all()


def test_a_verdict_needs_layouts_that_agree():
    (agreed,) = found(nested(1 + 0.2 * rng(2).normal(size=LAYOUTS)))
    assert agreed.verdict.answer == "supported"
    assert agreed.planned == LAYOUTS * SEEDS
    effects = 4 * np.array([1, -1, 1, -1, 1, 1, -1, 1])
    (open_,) = found(nested(effects))
    assert [r.cause for r in open_.verdict.because] == [Cause.THESE_LAYOUTS]
    assert open_.p.difference > 0.3
    said = finding_text(open_)
    assert "95 % interval over 8 layouts [" in said.effect
    assert "95 % interval over seeds on these layouts [" in said.effect
    assert "8 layouts x 5 seeds an arm" in said.evidence[0]
    assert "(t test over layouts)" in said.evidence[0]
    assert "on these 8 layouts it is supported" in said.wanting
    assert "more layouts (layouts: " in said.wanting


def test_more_seeds_on_the_same_layouts_do_not_settle_it():
    effects = 4 * np.array([1, -1, 1, -1, 1, 1, -1, 1])
    (few,), (many,) = (found(nested(effects, seeds=seeds)) for seeds in (5, 50))
    assert many.p.difference == pytest.approx(few.p.difference, abs=1e-6)
    assert many.verdict.answer == "cannot tell"


def test_registered_layouts_of_which_one_alone_ended_conclude_nothing():
    (one,) = found(nested([1.0], seeds=20))
    assert one.comparison.layouts is None
    assert one.verdict.answer == "cannot tell"
    assert Cause.UNFINISHED in {reason.cause for reason in one.verdict.because}
    (one,) = found(nested([1.0], seeds=20), layouts=4)  # registered with as many seeds as ended
    assert [reason.cause for reason in one.verdict.because] == [Cause.FEW_LAYOUTS]


@pytest.mark.parametrize("n", [2, LEAST_LAYOUTS - 1])
def test_few_layouts_conclude_nothing(n):
    (one,) = found(nested(np.ones(n), seeds=20), layouts=n)
    assert one.verdict.because[0].cause is Cause.FEW_LAYOUTS


def test_what_is_computed_is_a_fact_about_each_layout_and_a_sample_of_them():
    values = 2 + 0.3 * rng(3).normal(size=LAYOUTS)

    def measures(layout):
        return {"optimum_acquired": (values[layout], values[layout] - 0.1, values[layout] + 0.1)}

    told = {"contrast": "level", "arm": "dense", "measure": "optimum_acquired", "margin": 0.5}
    (one,) = found(nested(np.zeros(LAYOUTS), measures=measures), **told)
    assert one.verdict.answer == "supported"
    assert one.comparison.exact
    effect = one.comparison.effect
    assert effect[:3] == pytest.approx(values.mean() + np.array([0, -0.1, 0.1]))
    assert one.comparison.layouts.deviation == pytest.approx(values.std(ddof=1))
    values -= 1.6  # near the margin: these layouts lie beyond it, others may not
    (one,) = found(nested(np.zeros(LAYOUTS), measures=measures), **{**told, "margin": 0.25})
    assert one.verdict.answer == "cannot tell"


def test_optima_that_tie_leave_it_open_however_many_the_layouts():
    def measures(layout):
        return {"optimum_acquired": (1.0, 0.0, 3.0)}

    (one,) = found(nested(np.zeros(LAYOUTS), measures=measures), measure="optimum_acquired")
    assert [r.cause for r in one.verdict.because] == [Cause.TIES]


@pytest.mark.parametrize("beyond", [0, 20, 40])
def test_a_tail_is_a_mean_of_fractions_of_layouts(beyond):
    rows = nested(np.zeros(LAYOUTS), noise=0.0)
    told = [row for trial in rows for row in trial if row["metric"] == "beyond"]
    dense = [r for r in told if r["reward"] == "dense" and not r["power_weight"]]
    for row in sorted(dense, key=lambda row: int(row["layout"]))[:beyond]:
        row["value"] = 9.0
    shape = {"contrast": {"tail": 1, "share": 0.1}, "arm": "dense", "margin": None}
    (one,) = found(rows, **{**shape, "direction": "smaller"})
    over = one.comparison.layouts
    assert over.effect.value == pytest.approx(beyond / 40)
    assert over.p_at_most >= (1 - 0.1) ** LAYOUTS - 1e-9  # eight layouts cannot exclude one in ten
    assert one.comparison.p_at_most == pytest.approx(0.9**40 if not beyond else 1, abs=0.01)


def test_a_threshold_is_read_over_layouts():
    chance, rows = rng(0), []
    for gamma, mean in ((0.8, 0.0), (0.9, 2.0), (1.0, 3.0)):
        for layout in range(LAYOUTS):
            own = mean + 0.2 * chance.normal()
            for i in range(SEEDS):
                told = {"layout": str(layout), "seed": layout + i * LAYOUTS, "gamma": gamma}
                value = own + 0.1 * chance.normal()
                rows.append(trial_rows({"competence": 0.95, "acquired": value}, **told))
                paid = {"competence": 0.95, "acquired": 20 + value}
                rows.append(trial_rows(paid, power_weight=1.0, **told))
    asked = {"contrast": {"threshold": "gamma", "line": 1.0}, "measure": "acquired"}
    (one,) = found(rows, margin=None, **asked)
    assert (one.crossing.before, one.crossing.after) == (0.8, 0.9)
    assert one.tests[0].comparison.layouts.effect.n == LAYOUTS


# --- constants of a cell -------------------------------------------------------------------------


def planted_needs(uneven=False):
    """Two layouts crossed with seeds: need 1 and 3 of at most 4; half of what is left is taken."""
    rows = []
    for layout, need in (("a", 1.0), ("b", 3.0)):
        for seed in range(4 if uneven and layout == "a" else 20):
            beyond = (4 - need) / 2 + 0.01 * seed
            measures = {"competence": 0.95, "acquired": need + beyond, "beyond": beyond}
            measures |= {"excess": beyond, "need_end": need, "most": 4.0, "width": need}
            for how in ("sampled", "exact"):
                rows.append(trial_rows(measures, evaluation=how, layout=layout, seed=seed))
    return rows


@pytest.mark.parametrize(
    ("measure", "low", "high"), [("beyond", -3, 3), ("excess", -3, 4), ("acquired", 0, 4)]
)
def test_the_range_of_a_seed_is_that_of_the_widest_layout(measure, low, high):
    # Need is 2 in the mean: a seed of layout a can go beyond it by 3, not by 2.
    arms = Arms(frame(*planted_needs()))
    pair = Pair("level", {}, "dense", None, (0,), (), measure, 0.5, evaluation="exact")
    (one,) = compare_arms(arms, [pair], rng())
    assert one.bounds == (low, high)


def test_a_seed_outside_its_own_layout_s_range_gives_no_range():
    rows = planted_needs()
    for row in rows[-1]:  # layout b, where at most 1 lies beyond need: 2.5 would fit layout a
        row["value"] = 2.5 if row["metric"] == "beyond" else row["value"]
    pair = Pair("level", {}, "dense", None, (0,), (), "beyond", 0.5, evaluation="exact")
    (one,) = compare_arms(Arms(frame(*rows)), [pair], rng())
    assert one.bounds == (-np.inf, np.inf)


@pytest.mark.parametrize("uneven", [False, True])
def test_a_width_is_the_mean_over_layouts_however_many_trials_each_has(uneven):
    assert Arms(frame(*planted_needs(uneven))).constant("width", 0) == 2.0


def test_what_an_optimum_leaves_is_read_off_each_layout_s_own_frontier():
    optima = {"a": (1.0, 3.0), "b": (0.5, 1.0)}  # success and what there is beyond need there
    rows, lines = [], []
    for layout, (success, surplus) in optima.items():
        for seed in range(3):
            measures = {"competence": 0.95, "optimum_success": success, "incentive": surplus / 2}
            measures |= {"acquired": 1.0, "need": 1.0}
            rows.append(trial_rows(measures, layout=layout, seed=seed))
        for kind, taken in (("need", 0.0), ("most", surplus)):
            for at in (0.0, success, 1.0):
                # Elsewhere the frontier is another: only the optimum's own success counts.
                line = {"kind": kind, "success": at, "acquisition": taken + 5 * abs(at - success)}
                line["acquisition"] = line["acquisition"] if kind == "most" else 0.0
                lines.append({"world": "homestead", "layout": layout, **line})
    table = frame(*rows)
    (row,) = summarise(table).to_dict("records")
    cell = Cell("", row, trials(table), np.arange(len(rows)))
    assert arm_optimum_share(cell, pd.DataFrame(lines)) == pytest.approx(0.5)


# --- tables --------------------------------------------------------------------------------------


def test_rows_and_contrasts_say_layouts():
    table = frame(*nested(1 + 0.2 * rng(2).normal(size=LAYOUTS)))
    assert set(summarise(table)["layouts"]) == {LAYOUTS}
    rows = contrasts(table, margins={"timing": 0.5})
    (row,) = rows[(rows["kind"] == "timing") & (rows["measure"] == "beyond")].to_dict("records")
    assert (row["layouts"], row["seeds"]) == (LAYOUTS, LAYOUTS * SEEDS)
    assert row["over_layouts"] == pytest.approx(row["effect"])
    assert row["over_high"] - row["over_low"] > row["high"] - row["low"]
    assert row["answer"] == "larger"
    plain = contrasts(frame(*planted(1.0)))
    assert (plain["layouts"] == 0).all()
    assert plain["over_low"].isna().all()
