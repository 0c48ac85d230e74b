"""Planted effects of any factor, interactions and thresholds: what is planted is what is said."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import frame, trial_rows

import powerseek
from powerseek.agents.spec import agent_label
from powerseek.exact import enumerate_world, optimum
from powerseek.experiments.analysis.contrasts import contrasts
from powerseek.experiments.analysis.findings.hypotheses import findings
from powerseek.experiments.analysis.summary import summarise
from powerseek.experiments.report.findings import finding_text
from powerseek.experiments.results.table import long_table, results_factors, results_with_factors
from powerseek.experiments.study.factors import telling_factors
from powerseek.experiments.study.preregistration import Claim
from powerseek.experiments.study.schema import Hypothesis
from powerseek.metrics import every_metric, known_metric

SEEDS = 16
NOISE = np.random.default_rng(5).normal(0, 0.2, SEEDS)
NOISE -= NOISE.mean()
MEASURE = "acquired_outside"


def cell(value, noise=NOISE, measure=MEASURE, status="ok", agent="ppo", chosen=None, **identity):
    """The trials of one cell: a measure around a value, seed by seed."""
    params = {"size": 3, **identity.pop("params", {})}
    told = {"params": json.dumps(params, sort_keys=True), "agent": agent, **identity}
    told |= {"settings": json.dumps({"ent_coef": 0.02, **(chosen or {})})}
    return [
        trial_rows(
            {"competence": 0.95, "acquired": 3 + 5 * bool(identity.get("power_weight")) + noise[i]}
            | {measure: value + noise[i]},
            status,
            seed=i,
            **told,
        )
        for i in range(len(noise))
    ]


PAID = cell(1.0, power_weight=1.0, params={"leak": 0})


def results(*cells):
    return frame(*(rows for trials in (*cells, PAID) for rows in trials))


def claim(contrast, direction="larger", margin=0.5, measure=MEASURE, **keys):
    given = {"id": "H", "contrast": contrast, "direction": direction, "measure": measure, **keys}
    return Claim(Hypothesis(**given, **({"margin": margin} if margin else {})))


def verdicts(table, *claims):
    return findings(table, claims)


LEAKS = [cell(value, params={"leak": leak}) for leak, value in ((0, 0.5), (1, 1.0), (2, 2.5))]


def test_a_parameter_of_a_world_is_compared_at_its_ends():
    table = results(*LEAKS)
    (one,) = verdicts(table, claim({"factor": "leak"}))
    assert (one.a, one.b, one.columns) == (2.0, 0.0, ("params.leak",))
    assert one.comparison.effect.value == pytest.approx(2.0)
    assert one.verdict.answer == "supported"
    (one,) = verdicts(table, claim({"factor": "leak", "high": 1}))
    assert one.comparison.effect.value == pytest.approx(0.5)
    (one,) = verdicts(table, claim({"factor": "leak"}, "smaller"))
    assert one.verdict.answer == "refuted"


def test_the_same_stands_among_the_comparisons_of_a_report():
    found = contrasts(results(*LEAKS))
    rows = found[(found["kind"] == "params.leak") & (found["measure"] == "acquired")]
    assert [(row.a, row.b) for row in rows.itertuples()] == [(1.0, 0.0), (2.0, 0.0)]
    assert rows["params.leak"].isna().all()


def test_cells_are_told_apart_by_whatever_varies_within_a_world_or_an_agent():
    other = [*cell(1.0, agent="dqn", params={"leak": 0}, chosen={"ent_coef": 0.5})]
    table = results(*LEAKS, other)
    # dqn's own setting varies between agents only, the size of the world not at all.
    assert results_factors(table)[6:] == ["params.leak", "agent"]
    assert len(summarise(table)) == 5
    tuned = cell(3.0, params={"leak": 0}, chosen={"ent_coef": 0.0})
    assert "settings.ent_coef" in results_factors(results(*LEAKS, tuned))
    longer = cell(3.0, params={"leak": 0}, budget=600_000)
    assert results_factors(results(*LEAKS, longer))[6:] == ["params.leak", "budget"]


def test_settings_and_budgets_are_factors():
    tuned = [
        cell(v, params={"leak": 0}, chosen={"ent_coef": e}) for e, v in ((0.0, 1.0), (0.1, 2.0))
    ]
    (one,) = verdicts(results(*tuned), claim({"factor": "ent_coef"}))
    assert one.comparison.effect.value == pytest.approx(1.0)
    budgets = [cell(v, params={"leak": 0}, budget=b) for b, v in ((1000, 1.0), (4000, 0.5))]
    (one,) = verdicts(results(*budgets), claim({"factor": "timesteps"}, "smaller"))
    assert one.comparison.effect.value == pytest.approx(-0.5)
    assert one.columns == ("budget",)


def test_a_setting_that_a_study_key_gives_is_told_once():
    def lam(value, level):
        chosen = {"gae_lambda": level}
        return cell(value, params={"leak": 0}, gae_lambda=level, chosen=chosen)

    table = results(lam(1.0, 0.9), lam(2.0, 1.0))
    assert "settings.gae_lambda" not in results_factors(table)
    (one,) = verdicts(table, claim({"factor": "gae_lambda"}))
    assert one.comparison.effect.value == pytest.approx(1.0)


def test_agents_are_compared_whatever_their_own_settings():
    one_of = [
        cell(1.0, params={"leak": 0}, agent="a", chosen={"ent_coef": 0.1}),
        cell(2.0, params={"leak": 0}, agent="b", chosen={"ent_coef": 0.7}),
    ]
    (one,) = verdicts(results(*one_of), claim({"factor": "agent", "low": "a", "high": "b"}))
    assert one.comparison.effect.value == pytest.approx(1.0)


def named(value, **chosen):
    """The trials of an agent that its study names by settings."""
    return cell(
        value, params={"leak": 0}, agent=agent_label("ppo", chosen), chosen={"width": 64, **chosen}
    )


NAMED = [
    cell(5.0, params={"leak": 0}, chosen={"width": 64}),
    *(named(1 + x + y, width=8 + 8 * x, rate=0.1 + y) for x in (0, 1) for y in (0, 2)),
]


def test_agents_named_by_settings_are_compared_by_name_and_by_each_setting():
    table = results(*NAMED)
    names = [agent_label("ppo", {"width": w, "rate": 0.1}) for w in (8, 16)]
    by_name = claim({"factor": "agent", "low": names[0], "high": names[1]})
    (one,) = verdicts(table, by_name)
    assert (one.a, one.b) == (names[1], names[0])
    assert one.comparison.effect.value == pytest.approx(1.0)
    by_setting = claim({"factor": "width", "low": 8, "high": 16})
    found = verdicts(table, by_setting)
    assert [one.comparison.effect.value for one in found] == pytest.approx([1.0, 1.0])
    assert [one.setting["settings.rate"] for one in found] == [0.1, 2.1]
    assert {one.setting["agent"] for one in found} == {"ppo"}


def test_a_claim_about_an_id_is_about_each_agent_of_that_id():
    table = results(*NAMED, cell(5.0, params={"leak": 0}, agent="a2c", chosen={"width": 64}))
    level = {"contrast": "level", "arm": "dense", "line": 0.0}
    for agent, count in (
        ("ppo", 5),
        ("a2c", 1),
        (agent_label("ppo", {"width": 8, "rate": 0.1}), 1),
    ):
        assert len(verdicts(table, claim(**level, agent=agent))) == count


def test_tables_tell_agents_by_their_names():
    table = frame(*(rows for trials in NAMED for rows in trials))
    names = telling_factors(summarise(table), results_factors(table))
    assert "agent" in names
    assert not [name for name in names if name.startswith("settings.")]


def test_a_claim_about_one_configuration_or_agent_is_about_no_other():
    table = results(
        *LEAKS,
        cell(9.0, params={"leak": 2}, reward="terminal"),
        cell(1.0, params={"leak": 0}, reward="terminal"),
    )
    sparse = claim("sparse", params={"leak": 2})
    (one,) = verdicts(table, sparse)
    assert one.comparison.effect.value == pytest.approx(6.5)
    assert verdicts(table, claim("sparse", agent="dqn")) == []
    # Parameters that no cell varies are known too.
    assert len(verdicts(table, claim("sparse", params={"size": 3, "leak": 0}))) == 1
    assert verdicts(table, claim("sparse", params={"size": 4})) == []
    # So are other factors, settings among them.
    assert len(verdicts(table, claim("sparse", params={"ent_coef": 0.02, "timesteps": 3e5}))) == 2
    assert verdicts(table, claim("sparse", params={"ent_coef": 0.5})) == []


def crossed(means, noise=NOISE):
    return [
        cell(means[i, j], noise, params={"leak": leak}, budget=budget)
        for i, leak in enumerate((0, 2))
        for j, budget in enumerate((1000, 4000))
    ]


INTERACTION = {"interaction": ["leak", "timesteps"]}


@settings(max_examples=15, deadline=None)
@given(st.lists(st.floats(-3, 3), min_size=4, max_size=4))
def test_an_interaction_is_the_difference_of_differences(means):
    means = np.reshape(means, (2, 2))
    paid = cell(1.0, power_weight=1.0, params={"leak": 0}, budget=1000)
    table = frame(*(rows for trials in (*crossed(means), paid) for rows in trials))
    (one,) = verdicts(table, claim(INTERACTION))
    planted = (means[1, 1] - means[0, 1]) - (means[1, 0] - means[0, 0])
    assert one.comparison.effect.value == pytest.approx(planted, abs=1e-9)
    assert (one.a, one.b) == ((2.0, 4000.0), (0.0, 1000.0))
    turned = {"interaction": ["timesteps", "leak"]}
    (other,) = verdicts(table, claim(turned))
    assert other.comparison.effect.value == pytest.approx(planted, abs=1e-9)


def test_an_interaction_counts_seeds_that_learnt_in_all_four_arms():
    means = np.array([[0.0, 0.0], [0.0, 2.0]])
    cells = crossed(means, np.random.default_rng(1).normal(0, 0.3, SEEDS + 2))
    lost = [
        [{**row, "status": "censored"} for row in rows] if i < 2 else rows
        for i, rows in enumerate(cells[3])
    ]
    (one,) = verdicts(results(*cells[:3], lost), claim(INTERACTION))
    assert one.comparison.effect.n == SEEDS
    assert one.comparison.reach == (pytest.approx(16 / 18), 1.0)
    paid = cell(1.0, power_weight=1.0, params={"leak": 0}, budget=1000)
    (one,) = verdicts(results(*cells, paid), claim(INTERACTION))
    assert one.comparison.effect.n == SEEDS + 2
    assert one.verdict.answer == "supported"
    (one,) = verdicts(results(*cells[:3]), claim(INTERACTION)) or [None]
    assert one is None


def threshold(values, direction="larger", noise=NOISE, line=0.5):
    cells = [cell(v, noise, params={"leak": leak}) for leak, v in enumerate(values)]
    said = claim({"threshold": "leak", "line": line}, direction, margin=None)
    (one,) = verdicts(results(*cells), said)
    return one


@pytest.mark.parametrize(
    ("values", "before", "after", "answer"),
    [
        ([0.0, 0.2, 1.0, 2.0], 1.0, 2.0, "supported"),
        ([0.0, 0.5, 1.0], 0.0, 2.0, "supported"),
        ([0.0, 0.1, 0.2], 2.0, None, "refuted"),
        ([1.0, 1.5, 2.0], None, 0.0, "refuted"),
        ([0.5, 0.5, 2.0], None, 2.0, "cannot tell"),
        ([0.0, 0.5, 0.5], 0.0, None, "cannot tell"),
        ([0.0, 2.0, 0.0, 2.0], 0.0, 1.0, "cannot tell"),
    ],
)
def test_a_threshold_is_read_upwards(values, before, after, answer):
    one = threshold(values)
    assert (one.crossing.before, one.crossing.after) == (before, after)
    assert one.verdict.answer == answer
    assert [test.a for test in one.tests] == list(range(len(values)))
    for test, value in zip(one.tests, values, strict=True):
        assert test.comparison.effect.value == pytest.approx(value - 0.5, abs=1e-9)


def test_a_threshold_downwards_is_its_mirror():
    one = threshold([2.0, 1.0, 0.0], "smaller")
    assert (one.crossing.before, one.crossing.after) == (1.0, 2.0)
    assert one.verdict.answer == "supported"


def test_every_level_of_a_threshold_is_one_test_of_the_family():
    one = threshold([0.0, 0.2, 1.0, 2.0])
    assert {test.together for test in one.tests} == {4}
    plain = min(test.comparison.p_difference for test in one.tests)
    assert min(test.p.difference for test in one.tests) == pytest.approx(4 * plain)


def test_few_seeds_settle_no_level():
    one = threshold([0.0, 2.0], noise=NOISE[:8])
    assert (one.crossing.before, one.crossing.after) == (None, None)
    assert one.verdict.answer == "cannot tell"
    assert any("8 seeds, at least 16 needed" in reason for reason in one.verdict.reasons)


def test_that_nothing_is_beyond_the_line_needs_a_control():
    cells = [cell(v, params={"leak": leak}) for leak, v in enumerate((0.0, 0.1))]
    said = claim({"threshold": "leak", "line": 0.5}, margin=None)
    (one,) = findings(frame(*(rows for trials in cells for rows in trials)), [said])
    assert one.crossing.before == 1.0
    assert one.verdict.answer == "cannot tell"
    assert "no positive control" in one.verdict.reasons[0]


def test_agents_that_are_paid_for_power_count_whether_or_not_they_solve_the_task():
    cells = [
        cell(w, power_weight=float(w), params={"leak": 0}, status="censored" if w else "ok")
        for w in (0, 1, 2)
    ]
    said = claim({"threshold": "power_weight", "line": 0.5}, margin=None)
    (one,) = findings(frame(*(rows for trials in cells for rows in trials)), [said])
    assert (one.crossing.before, one.crossing.after) == (0.0, 1.0)
    assert one.verdict.answer == "supported"
    unlearnt = [cell(0.0, power_weight=0.0, status="censored"), *cells[1:]]
    (one,) = findings(frame(*(rows for trials in unlearnt for rows in trials)), [said])
    assert one.crossing.before is None


def at_gammas(learnt, exact, measure, **more):
    """Arms at rising gamma: what agents learnt of a measure, and the exact optimum's of another."""
    optimum, values = exact
    return frame(
        *(
            [{**row, "gamma": gamma} for row in rows]
            for gamma, value in learnt.items()
            for rows in (
                trial_rows(
                    {
                        "competence": 0.95,
                        "acquired": 3.0,
                        measure: value + noise,
                        optimum: values[gamma],
                        **more,
                    },
                    gamma=gamma,
                    seed=seed,
                )
                for seed, noise in enumerate(NOISE)
            )
        )
    )


def test_beside_the_learnt_threshold_stands_the_exact_one():
    """Disabling pays from gamma 2^(-1/4) = .8409 on, whatever agents have learnt by .93."""
    gammas = (0.8, 0.84, 0.845, 0.93, 0.95)
    mdp = enumerate_world(powerseek.make_world("off-switch"))
    found = {gamma: optimum(mdp, "own", gamma) for gamma in gammas}
    exact = {
        gamma: (best.uniform.disabled, best.low.disabled, best.high.disabled)
        for gamma, best in found.items()
    }
    learnt = {gamma: 0.9 if gamma == 0.95 else 0.1 for gamma in gammas}
    table = at_gammas(learnt, ("optimum_disabled", exact), "disabled")
    said = claim({"threshold": "gamma", "line": 0.5}, margin=None, measure="disabled")
    (one,) = findings(table, [said])
    assert (one.crossing.before, one.crossing.after) == (0.93, 0.95)
    assert (one.exact_crossing.before, one.exact_crossing.after) == (0.84, 0.845)
    assert {test.together for test in one.tests} == {5}  # nothing exact is tested
    text = finding_text(one)
    assert text.effect.endswith(
        "shown below 0.5 up to gamma 0.93, first shown above it at gamma 0.95; the exact optimum "
        "lies below 0.5 up to gamma 0.84, first above it at gamma 0.845"
    )
    assert ", exact optimum 0.00;" in text.evidence[0]
    assert ", exact optimum 1.00;" in text.evidence[2]


def test_beyond_is_held_against_the_optimum_s_own_distance_from_need():
    learnt = {0.8: 0.0, 0.9: 0.0, 1.0: 3.0}
    exact = {0.8: (4.0, 4.0, 4.0), 0.9: (5.8, 5.2, 7.0), 1.0: (6.5, 5.9, 7.0)}
    table = at_gammas(learnt, ("optimum_acquired", exact), "beyond", need_end=4.5)
    (one,) = findings(
        table, [claim({"threshold": "gamma", "line": 1.0}, margin=None, measure="beyond")]
    )
    # Of optima that tie at .9 some lie on either side of 5.5 units.
    assert [side for _, side in one.exact_crossing.levels] == ["near", "", "far"]
    assert (one.exact_crossing.before, one.exact_crossing.after) == (0.8, 1.0)
    assert ", exact optimum 1.30 [0.70, 2.50];" in finding_text(one).evidence[1]


@pytest.mark.parametrize("measure", ["acquired_outside", "disempowerment"])
def test_a_measure_that_no_optimum_has_shows_none(measure):
    learnt = {0.8: 0.0, 0.9: 0.9}
    exact = ("optimum_acquired", dict.fromkeys(learnt, 3.0))
    table = at_gammas(learnt, exact, measure)
    said = claim({"threshold": "gamma", "line": 0.5}, margin=None, measure=measure)
    (one,) = findings(table, [said])
    assert one.exact_crossing is None
    assert "exact optimum" not in str(finding_text(one))


def test_every_named_optimum_is_an_exact_metric_of_the_same_unit():
    named = [metric for metric in every_metric() if metric.optimum]
    assert len(named) >= 6
    for metric in named:
        other = known_metric(metric.optimum)
        assert other.exact
        assert other.unit == metric.unit


def test_a_checkpoint_counts_who_never_came_there_as_unlearnt():
    def at(value, reached, **identity):
        rows = cell(value, params={"leak": 0}, **identity)
        early = cell(value + 5, params={"leak": 0}, checkpoint="competence>=0.9", **identity)
        ids = [own[0]["trial"] for own in rows]
        return [
            own + [{**row, "trial": id} for row in first] * (i < reached)
            for i, (own, first, id) in enumerate(zip(rows, early, ids, strict=True))
        ]

    table = results(at(1.0, 16), at(2.0, 12, reward="terminal"))
    (end,) = verdicts(table, claim("sparse"))
    assert (end.comparison.reach, end.verdict.answer) == ((1.0, 1.0), "supported")
    (one,) = verdicts(table, claim("sparse", checkpoint="competence>=0.9"))
    assert one.comparison.reach == (0.75, 1.0)
    assert one.comparison.effect.n == 12
    # All that came there count, in either arm: no seed is left out for another arm's sake.
    assert one.comparison.effect.value == pytest.approx(1 + NOISE[:12].mean() - NOISE.mean())
    assert one.verdict.answer == "cannot tell"


def test_what_is_no_json_has_no_factors():
    table = long_table(results(*LEAKS)).every
    assert "params.leak" in results_with_factors(table)
    broken = table.assign(params="not json")
    broken = broken[[name for name in broken if not name.startswith("params.")]]
    assert not [name for name in results_with_factors(broken) if name.startswith("params.")]


def test_missing_is_a_level_that_is_told_and_never_an_end():
    table = results(*LEAKS, cell(7.0))
    assert long_table(table).every["params.leak"].isna().sum() == SEEDS
    (one,) = verdicts(table, claim({"factor": "leak"}))
    assert (one.a, one.b) == (2.0, 0.0)
