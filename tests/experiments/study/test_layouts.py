"""Studies whose seeds are nested in layouts: which seed is trained where, and what is refused."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from quarry import need_of

from powerseek.errors import InvalidInput
from powerseek.exact import need
from powerseek.experiments.plan.plan import make_plan
from powerseek.experiments.results.store import identity
from powerseek.experiments.study.checked import cells, trials
from powerseek.experiments.study.grid import content_hash
from powerseek.experiments.study.lint import study_cautions
from powerseek.experiments.study.preregistration import registration
from powerseek.experiments.study.schema import make_study
from powerseek.experiments.study.size import study_size
from powerseek.experiments.sweep.cohorts import cohort_boundaries, make_cohorts
from powerseek.experiments.sweep.rounds import rounds
from powerseek.registry import make_world

CLAIM = {"id": "H1", "contrast": "timing", "direction": "larger"}


def a_study(**keys):
    plain = {"name": "nested", "worlds": [{"id": "test.quarry"}], "timesteps": 1000}
    return make_study({**plain, "rewards": ["dense", {"every": "cap"}], **keys})


def told(study):
    """(layout, seed) of every trial that is trained, in order."""
    grid = (trial for trial in trials(study) if not trial.cell.is_reference)
    return [(trial.cell.params["layout"], trial.seed) for trial in grid]


def test_seed_number_i_is_trained_on_layout_1_and_i_mod_n_in_every_cell():
    given = told(a_study(layouts=3, seeds=6, first_seed=10))
    assert given == [(1 + i % 3, 10 + i) for i in range(6) for _ in range(2)]


@given(st.integers(2, 5), st.integers(1, 4), st.integers(0, 50))
def test_every_layout_has_equally_many_seeds_and_no_seed_two(layouts, each, first):
    given = told(a_study(layouts=layouts, seeds=layouts * each, first_seed=first))
    assert Counter(layout for layout, _ in given) == dict.fromkeys(range(1, layouts + 1), 2 * each)
    assert len(set(given)) == layouts * each


def test_a_trial_is_the_one_that_its_layout_as_a_parameter_makes():
    nested = {t.key for t in trials(a_study(layouts=2, seeds=2))}
    alone = [
        t
        for layout in (1, 2)
        for t in trials(
            a_study(worlds=[{"id": "test.quarry", "params": {"layout": layout}}], seeds=2)
        )
    ]
    assert nested == {t.key for t in alone if t.cell.params["layout"] == t.seed + 1}


def test_more_seeds_add_trials_and_change_none():
    few, many = (trials(a_study(layouts=3, seeds=seeds)) for seeds in (3, 9))
    assert [t.key for t in many[: len(few)]] == [t.key for t in few]
    assert identity(a_study(layouts=3, seeds=3)) == identity(a_study(layouts=3, seeds=9))


def test_layouts_are_part_of_the_identity_and_registered_and_without_them_nothing_changes():
    plain, three, two = a_study(seeds=6), a_study(layouts=3, seeds=6), a_study(layouts=2, seeds=6)
    assert len({identity(study) for study in (plain, three, two)}) == 3
    assert registration(three, cells(three))["layouts"] == 3
    assert "layouts" not in registration(plain, cells(plain))
    # As they were before there were layouts.
    quick = make_study({"name": "x", "worlds": [{"id": "star"}], "timesteps": 100, "seeds": 2})
    assert identity(quick)[:16] == IDENTITY
    assert content_hash(registration(quick, cells(quick)))[:16] == REGISTRATION
    assert content_hash([t.key for t in trials(quick)])[:16] == TRIALS


IDENTITY, REGISTRATION, TRIALS = "9fd86ab4d1be3a14", "8b19d12dbacdfe49", "a9b23930c321bfc2"


def test_references_and_exact_numbers_are_those_of_each_layout():
    study = a_study(layouts=4, seeds=4, references=["minimalist"])
    beside = [t for t in trials(study) if t.cell.is_reference]
    assert [t.cell.params["layout"] for t in beside] == [1, 2, 3, 4]
    for layout in (1, 2, 3, 4):
        line = need(make_world("test.quarry", layout=layout))
        assert line.vertices[-1][1] == pytest.approx(need_of(layout))


def test_blocks_have_the_layouts_too():
    study = a_study(layouts=2, seeds=4, also=[{"power_weight": [1]}])
    assert Counter(told(study)) == dict.fromkeys([(1, 0), (2, 1), (1, 2), (2, 3)], 4)


@pytest.mark.parametrize(
    ("keys", "field", "says"),
    [
        ({"seeds": 41}, "seeds", "Write seeds: 40"),
        ({"seeds": 3}, "seeds", "Write seeds: 8"),
        ({"seeds": 40, "looks": [20, 40]}, "looks", "Write looks: [16, 40]"),
        ({"layouts": 1}, "layouts", ">= 2"),
        (
            {"hypotheses": [{"id": "H5", "contrast": {"budget": 10}, "direction": "larger"}]},
            "hypotheses[0].contrast",
            "one for each seed, or leave layouts out",
        ),
        ({"layouts": 100, "seeds": 100}, "layouts", "99"),
        ({"worlds": [{"id": "star"}]}, "worlds[0].id", "homestead-plane"),
        ({"worlds": [{"id": "shutdown-delay"}]}, "worlds[0].id", "params: {layout: [...]}"),
        (
            {"worlds": [{"id": "test.quarry", "params": {"layout": [1, 2]}}]},
            "worlds[0].params.layout",
            "layouts: 8",
        ),
        (
            {"also": [{"worlds": [{"id": "test.quarry", "params": {"layout": 1}}]}]},
            "also[0].worlds[0].params.layout",
            "Leave one out",
        ),
    ],
)
def test_what_cannot_be_nested_is_refused_with_what_to_write(keys, field, says):
    with pytest.raises(InvalidInput) as refused:
        trials(a_study(**{"layouts": 8, "seeds": 40, **keys}))
    assert refused.value.field == field
    assert says in str(refused.value)


def test_few_layouts_are_a_caution():
    said = " ".join(study_cautions(a_study(layouts=4, seeds=20, hypotheses=[CLAIM])))
    assert "4 layouts: no hypothesis gets a verdict below 6. Write layouts: 6, seeds: 30" in said
    said = " ".join(study_cautions(a_study(layouts=8, seeds=40, hypotheses=[CLAIM])))
    assert "no hypothesis gets a verdict below 6" not in said


def test_a_plan_counts_what_is_trained_and_says_what_layouts_can_find():
    study = a_study(layouts=4, seeds=20)
    plan = make_plan(study)
    assert study_size(study).trials == plan.trials == len(told(study)) == 40
    assert (plan.worlds[0].cells, plan.steps) == (2, 40 * 1000)
    assert plan.layouts == 4
    assert [row.spread for row in plan.over_layouts] == [0.5, 1.0, 2.0]
    assert make_plan(a_study(layouts=3, seeds=6)).more_seeds == 18  # 16, in equal parts
    assert make_plan(a_study(seeds=20)).over_layouts == ()
    tail = {
        "id": "T",
        "contrast": {"tail": 1, "share": 0.1},
        "arm": "dense",
        "direction": "smaller",
    }
    said = " ".join(
        make_plan(a_study(layouts=4, seeds=20, hypotheses=[tail | {"arm": "dense"}])).cautions
    )
    assert "no data of 4 layouts" in said


def test_a_cohort_is_of_one_layout_and_a_round_of_one_seed():
    grid = trials(a_study(layouts=4, seeds=40))
    cohorts = make_cohorts(grid)
    assert all(len({t.cell.params["layout"] for t in cohort}) == 1 for cohort in cohorts)
    assert sorted(map(len, cohorts)) == [4] * 4 + [16] * 4  # 20 trials a layout
    assert cohort_boundaries(grid) == {"test.quarry": ("layout",)}
    assert all(len({t.cell.params["layout"] for t in part}) == 1 for part in rounds(grid))
    assert json.loads(json.dumps(grid[0].config))["params"]["layout"] == 1
