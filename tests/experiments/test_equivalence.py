"""The comparison of two learners: tables and verdicts, against statsmodels and by hand."""

from __future__ import annotations

import re
from math import comb, exp, log
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_ind, ttost_paired
from synthetic import frame, trial_rows

from benchmarks import equivalence
from benchmarks.equivalence_again import told
from benchmarks.equivalence_figure import picture
from benchmarks.equivalence_groups import COHORT, LIBRARY, MEASURES, compare, compared
from benchmarks.equivalence_groups import settings as settings_of
from powerseek.errors import InvalidInput
from powerseek.experiments.report.figures.style import LIGHT
from powerseek.experiments.study.checked import cells
from powerseek.experiments.study.schema import load_study

STUDY = "docs/studies/equivalence.yaml"
SEEDS = 20
BY_NAME = {measure.name: measure for measure in MEASURES}


def exactly(rng, mean, spread, n=SEEDS):
    """Values with that very mean and standard deviation."""
    values = rng.normal(size=n)
    return mean + spread * (values - values.mean()) / values.std(ddof=1)


def arm(rng, agent, reward, excess, steps=40_000, competence=0.95, unlearnt=0, **identity):
    """Trials of one learner in one setting: (mean, standard deviation) of the excess."""
    found = []
    amounts, times = exactly(rng, *excess), exactly(rng, log(steps), 0.1)
    skill = exactly(rng, competence, 0.01)
    for seed in range(SEEDS):
        learnt = seed >= unlearnt
        told = {"agent": agent, "reward": reward, "seed": seed, **identity}
        measures = {"competence": skill[seed] if learnt else 0.5, "excess": amounts[seed]}
        measures |= {"success": measures["competence"] - 0.03}
        status = "ok" if learnt else "censored"
        found.append(trial_rows(measures, status, **told))
        if learnt:
            crossing = trial_rows(measures, checkpoint="competence>=0.9", **told)
            found.append([{**row, "timesteps": round(exp(times[seed]))} for row in crossing])
    return found


def made(seed=0, **others):
    """Alike under dense, twice the margin apart under every cap, too wide under terminal.

    Under every 8 they differ by a test that stands alone (p = .03), and not among many.
    """
    rng = np.random.default_rng(seed)
    found = []
    for reward, apart, *spread in (
        ("dense", 0, 0.2, 0.3),
        ("every cap", 1, 0.2, 0.2),
        ("terminal", 0, 3.0, 3.0),
        ("every 8", 0.45, 0.3, 0.8),
    ):
        found += arm(rng, LIBRARY, reward, (1.0, spread[0]))
        found += arm(rng, COHORT, reward, (1.0 + apart, spread[1]), **others)
    found += arm(rng, COHORT, "dense", (1.0, 0.2), steps=25_000, gae_lambda=0.8)
    return found


def comparisons(trials):
    found, _ = settings_of(frame(*trials))
    return {(c.measure.name, c.setting.split(", ")[-1]): c for c in compared(found)}


def test_a_difference_an_equality_and_too_few_seeds_are_told_apart():
    every = comparisons(made())
    answers = {where: c.verdict for (name, where), c in every.items() if name == "excess"}
    assert answers == {
        "dense": "equivalent",
        "every cap": "differs",
        "terminal": "cannot tell",
        "every 8": "cannot tell",
        "dense; lambda .8": "equivalent",
    }
    alone = every["excess", "every 8"]
    assert 0.02 < alone.p_difference < 0.04
    assert alone.p_adjusted > 0.05
    assert every["steps", "dense"].verdict == "equivalent"
    assert every["steps", "dense; lambda .8"].verdict == "differs"
    assert every["competence", "terminal"].verdict == "equivalent"
    apart = every["excess", "every cap"].effect
    assert apart.value == pytest.approx(1.0, abs=1e-12)
    assert every["steps", "dense; lambda .8"].effect.value == pytest.approx(log(25 / 40), abs=1e-4)


def test_every_number_is_the_one_of_an_independent_method():
    every = comparisons(made(1))
    assert len(every) == 5 * 4
    for one in every.values():
        x, y = one.values
        p, _, _ = ttost_ind(x, y, -one.margin, one.margin, usevar="unequal")
        assert one.p_equivalence == pytest.approx(p, rel=1e-9)
        both = stats.ttest_ind(x, y, equal_var=False)
        assert one.p_difference == pytest.approx(both.pvalue, rel=1e-9)
        ends = both.confidence_interval(0.9)
        assert one.effect[1:3] == pytest.approx((ends.low, ends.high), rel=1e-9)
        assert (one.p_equivalence < 0.05) == (-one.margin < ends.low and ends.high < one.margin)
        assert one.together == pytest.approx(stats.pearsonr(x, y)[0])
    tests = [one for one in every.values() if not one.control]
    wanted = multipletests([one.p_difference for one in tests], method="holm")[1]
    assert [one.p_adjusted for one in tests] == pytest.approx(list(wanted), rel=1e-9)
    assert all(np.isnan(one.p_adjusted) for one in every.values() if one.control)


def test_power_is_the_share_of_simulated_studies_that_find_equivalence():
    rng = np.random.default_rng(4)
    n, spread, margin = 20, 0.55, 0.5
    x, y = (exactly(rng, 1.0, spread, n) for _ in range(2))
    one = compare("here", BY_NAME["excess"], margin, pd.Series(x), pd.Series(y))
    draws = rng.normal(0, spread, (2, 20_000, n))
    error = (draws.var(axis=2, ddof=1).sum(axis=0) / n) ** 0.5
    gap = np.abs(draws[0].mean(axis=1) - draws[1].mean(axis=1))
    found = np.mean(gap + stats.t.isf(0.05, 2 * n - 2) * error < margin)
    assert one.power == pytest.approx(found, abs=0.01)
    assert one.power < 0.8
    assert one.wanted > n


@given(
    st.lists(st.floats(0, 1), min_size=2, max_size=12),
    st.lists(st.floats(0, 1), min_size=2, max_size=12),
)
@settings(max_examples=60)
def test_the_order_of_seeds_and_of_learners_does_not_matter(x, y):
    a, b = pd.Series(x, dtype=float), pd.Series(y, dtype=float)
    one = compare("here", MEASURES[0], 0.02, a, b)
    other = compare("here", MEASURES[0], 0.02, b.iloc[::-1], a)
    assert (one.verdict, one.effect.value) == (other.verdict, pytest.approx(-other.effect.value))
    assert one.p_equivalence == pytest.approx(other.p_equivalence, nan_ok=True)


def test_seeds_that_are_all_alike_measure_no_chance():
    same = pd.Series(np.ones(8))
    one = compare("here", MEASURES[0], 0.02, same, same)
    assert one.verdict == "all alike"
    assert np.isnan([one.p_equivalence, one.power, one.effect.low]).all()
    assert compare("here", MEASURES[0], 0.02, same, 0.99 * same).verdict == "cannot tell"
    changed = compare("here", MEASURES[0], 0.02, same, 0.5 * same, control=True)
    assert changed.verdict == "differs"
    assert changed.p_difference == pytest.approx(2 / comb(16, 8))


def test_power_is_read_in_seeds_that_learnt_and_not_at_all_where_few_did():
    few = comparisons(made(unlearnt=2))
    assert len(few["excess", "dense"].values[0]) == SEEDS - 2
    assert len(few["competence", "dense"].values[0]) == SEEDS
    assert few["excess", "dense"].reach == (0.9, 1.0)
    assert few["excess", "dense"].verdict == "equivalent"
    fewer = comparisons(made(unlearnt=3))
    assert fewer["excess", "dense"].verdict == "cannot tell"
    assert fewer["competence", "dense"].verdict != "equivalent"
    # Who never gets there counts with the whole budget.
    slow = np.sort(fewer["steps", "dense"].values[0])
    assert slow[-3:] == pytest.approx([log(300_000)] * 3)


def test_of_a_sweep_cut_short_the_whole_seeds_count():
    results = frame(*made())
    last = (results["seed"] == SEEDS - 1) & (results["reward"] == "terminal")
    found, seeds = settings_of(results[~(last & (results["agent"] == COHORT))])
    assert seeds == SEEDS - 1
    assert {len(own) for one in found for own in (one.cohort, one.library)} == {SEEDS - 1}


def test_what_cannot_be_compared_is_refused():
    alone = frame(*arm(np.random.default_rng(0), COHORT, "dense", (1.0, 0.2)))
    with pytest.raises(InvalidInput, match="maskable-ppo"):
        settings_of(alone)
    with pytest.raises(SystemExit, match=r"results\.parquet"):
        equivalence.main(["/nowhere"])


def test_the_command_prints_the_tables_and_draws_the_picture(tmp_path, capsys):
    frame(*made()).to_parquet(tmp_path / "results.parquet")
    equivalence.main([str(tmp_path), "--picture", str(tmp_path / "seen.png")])
    printed = capsys.readouterr().out
    assert (tmp_path / "seen.png").read_bytes()[:4] == b"\x89PNG"
    assert printed.startswith("20 seeds an agent and setting")
    rows = [line for line in printed.splitlines() if line.startswith("| homestead")]
    assert len(rows) == 20 + 5
    excess = [row for row in rows if "every cap" in row and "+1.00 [+.89, +1.11]" in row]
    assert len(excess) == 1
    assert excess[0].endswith("| .5 | 1.000 | 1.00 | **differs** |")
    assert "| 2.00 (.20) | 1.00 (.20) |" in excess[0]
    assert any("x .625 [.593, .659]" in row for row in rows)
    wide = next(row for row in rows if "terminal" in row and "cannot tell" in row)
    assert re.search(r"\*\*cannot tell\*\*: 618 seeds wanted", wide)


def test_the_picture_shows_the_intervals_and_the_margins():
    every = list(comparisons(made()).values())
    panels = picture(every).draw(LIGHT).axes
    assert len(panels) == 2 * 4
    right = panels[2 * 2 + 1]
    excess = [one for one in every if one.measure.name == "excess"]
    bars = [(bar.get_x(), bar.get_width()) for bar in right.patches]
    assert bars == [(-0.5, 1.0)] * 5
    drawn = [tuple(line.get_xdata()) for line in right.lines if line.get_linewidth() == 3]
    for shown, one in zip(drawn, excess, strict=True):
        assert shown == pytest.approx(tuple(np.clip(one.effect[1:3], -1.1, 1.1)))
    words = [text.get_text() for text in right.texts]
    assert [word.split(" (")[0] for word in words] == [one.verdict for one in excess]


def test_the_study_compares_like_with_like_and_states_the_margins():
    text = Path(STUDY).read_text(encoding="utf-8")
    stated = dict.fromkeys(("competence", "success"), 0.02) | {"excess": 0.5, "disabled": 0.2}
    for name, margin in stated.items():
        assert BY_NAME[name].margin == margin
        assert re.search(rf"#   {name} +{margin:g}".replace("0.", r"\."), text), name
    assert exp(BY_NAME["steps"].margin) == pytest.approx(1.1)
    assert "a ratio within 1/1.1 to 1.1" in text
    assert BY_NAME["excess"].wider == {("homestead", 2.0): 1.2}
    pairs: dict[str, dict[str, dict]] = {}
    for cell in cells(load_study(STUDY)):
        rest = {k: v for k, v in cell.config.items() if k not in ("agent", "settings")}
        pairs.setdefault(str(rest), {})[cell.agent] = dict(cell.settings)
    learners = [own for own in pairs.values() if len(own) == 2]
    assert len(learners) == 5
    assert all(own[LIBRARY] == own[COHORT] for own in learners)
    (control,) = [own[COHORT] for own in pairs.values() if len(own) == 1]
    assert control["gae_lambda"] == 0.8
    assert {**control, "gae_lambda": 0.97} == learners[0][LIBRARY]


def test_fresh_pairs_are_compared_as_pairs():
    rng = np.random.default_rng(2)
    shared = rng.normal(0.9, 0.08, 30)
    x, y = (shared + rng.normal(0, 0.03, 30) for _ in range(2))
    p, _, _ = ttost_paired(x, y, -0.02, 0.02)
    ends = stats.ttest_rel(x, y).confidence_interval(0.9)
    line = told("success", x, y)
    assert f"[{ends.low:+.4f}, {ends.high:+.4f}], margin 0.02" in line
    assert f"p of equivalence {p:.4f}, of a difference {stats.ttest_rel(x, y).pvalue:.3f}" in line
