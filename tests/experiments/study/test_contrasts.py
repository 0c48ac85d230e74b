"""Contrasts: how studies write them, which levels they compare, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic import places

from powerseek.envs.rewards.spec import place_of, reward_name
from powerseek.errors import InvalidInput
from powerseek.experiments.study.arms import (
    arm_pairs,
    arms_compared,
    factor_scales,
    primary_arm_pairs,
    reward_families,
)
from powerseek.experiments.study.contrasts import KINDS, Contrast, contrast_kind, read_contrast

WRITTEN = [
    *(kind for kind in KINDS if kind != "tail"),
    {"factor": "leak"},
    {"factor": "leak", "low": 0, "high": 2},
    {"factor": "useful", "high": True},
    {"interaction": ["leak", "timesteps"]},
    {"threshold": "power_weight", "line": 0.5},
    {"tail": 1.5, "share": 0.05},
    {"budget": 10, "of": "sparse"},
    {"budget": 0.5, "of": "timing"},
    {"budget": 2, "of": "timing", "clock": "flops"},
    {"budget": 2, "of": {"factor": "agent", "low": "cohort-ppo", "high": "ppo"}},
    {"budget": 2, "of": {"factor": "leak"}, "clock": "model_steps"},
]


@pytest.mark.parametrize("written", WRITTEN, ids=str)
def test_a_contrast_is_written_as_it_is_read(written):
    found = read_contrast(written)
    assert found.written == written
    assert read_contrast(found) is found


@pytest.mark.parametrize(
    ("written", "field", "allowed"),
    [
        ("leak", "", "{factor: leak}"),
        ("timming", "", "did you mean 'timing'"),
        (3, "", "one of control"),
        ({"leak": 1}, "", "{factor: NAME"),
        ({"factor": 3}, "factor", "the name of a factor"),
        ({"factor": "leak", "hihg": 2}, "hihg", "no key but factor, low, high"),
        ({"interaction": ["leak"]}, "interaction", "two different factors"),
        ({"interaction": ["leak", "leak"]}, "interaction", "two different factors"),
        ({"interaction": "leak x gamma"}, "interaction", "[leak, timesteps]"),
        ({"threshold": "leak"}, "line", "{threshold: leak, line: 0.5}"),
        ({"threshold": "leak", "line": "x"}, "line", "a number"),
        ({"threshold": "leak", "line": float("nan")}, "line", "a number"),
        ({"threshold": "leak", "line": True}, "line", "a number"),
        ("budget", "", "{budget: 10}"),
        ({"budget": 0}, "budget", "a ratio of budgets > 0"),
        ({"budget": True}, "budget", "a ratio of budgets > 0"),
        ({"budget": float("inf")}, "budget", "a ratio of budgets > 0"),
        ({"budget": 10, "of": "level"}, "of", "one of timing, sparse"),
        ({"budget": 10, "line": 2}, "line", "no key but budget, of, clock"),
        ({"budget": 10, "of": "agent"}, "of", "of: {factor: agent, low: cohort-ppo, high: ppo}"),
        ({"budget": 10, "clock": "hours"}, "clock", "one of steps, model_steps, updates, flops"),
        ({"budget": 10, "clock": "flop"}, "clock", "did you mean 'flops'?"),
        ({"budget": 10, "clock": ["flops"]}, "clock", "one of steps"),
        ({"budget": 10, "of": {"factor": "price"}}, "of.factor", "a contrast of its own"),
        ({"budget": 10, "of": {"factor": 3}}, "of.factor", "the name of a factor"),
        ({"budget": 10, "of": {"low": "ppo"}}, "of.factor", "{factor: NAME, low: LEVEL"),
        ({"budget": 10, "of": {"factor": "agent", "clock": "flops"}}, "of.clock", "{factor: NAME"),
        ({"factor": "leak", "clock": "flops"}, "clock", "only a budget has a clock"),
        ({"clock": "flops"}, "", "Write {budget: 10, of: sparse, clock: flops}"),
    ],
)
def test_a_wrong_contrast_names_the_part_and_what_is_allowed(written, field, allowed):
    with pytest.raises(InvalidInput) as caught:
        read_contrast(written)
    assert caught.value.field == field
    assert allowed in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "place"),
    [
        ("dense", ("timing", 1, "")),
        ({"every": 8}, ("timing", 8, "")),
        ({"every": "cap"}, ("timing", float("inf"), "")),
        ({"every": 8, "corrected": True}, ("timing", 8, "corrected")),
        ({"every": 8, "of": "own"}, ("timing", 8, "own reward")),
        ({"every": 8, "of": "own", "corrected": True}, ("timing", 8, "own reward, corrected")),
        ("own", ("timing", 1, "own reward")),
        ({"thinned": 0.25}, ("thinning", 3, "")),
        ("terminal", ("coverage", 0, "")),
        ({"terminal": {"pay": "cap"}}, None),
        ({"coverage": 0.5}, ("coverage", 0.5, "")),
        ({"approval": "cap"}, ("lookahead", float("inf"), "")),
        ({"approval": 8}, ("lookahead", 8, "")),
        ("approval", None),
        ("shaped", None),
    ],
    ids=str,
)
def test_rewards_lie_where_their_specs_say(spec, place):
    factor_alone = None if place_of(spec) is None else place_of(spec)[:3]
    assert factor_alone == place


def test_delays_are_compared_with_the_same_reward_at_once():
    known = ["own", "every 8 of own", "dense", "every 4 corrected", "every 8", "every 2 of own"]
    assert arm_pairs("timing", known, places(known)) == [
        ("every 8 of own", "own"),
        ("every 4 corrected", "dense"),
        ("every 8", "dense"),
        ("every 2 of own", "own"),
    ]
    # Without its own reward at once a delay has nothing to be compared with.
    assert arm_pairs("timing", ["every 8 of own", "dense"], places(known)) == []


def test_families_share_the_low_end_of_coverage_at_their_price_alone():
    known = ["coverage 1", "coverage 0.5 need price 0.1", "terminal", "coverage 1 need price 0.1"]
    known += ["coverage 1 progress"]
    assert reward_families("coverage", known, places(known)) == [
        ["terminal", "coverage 1"],
        ["coverage 0.5 need price 0.1", "coverage 1 need price 0.1"],
        ["terminal", "coverage 1 progress"],
    ]
    known += ["terminal price 0.1", "coverage 1 need price 0.1 and at the end"]
    assert reward_families("coverage", known, places(known)) == [
        ["terminal", "coverage 1"],
        ["terminal price 0.1", "coverage 0.5 need price 0.1", "coverage 1 need price 0.1"],
        ["terminal", "coverage 1 progress"],
        ["terminal price 0.1", "coverage 1 need price 0.1 and at the end"],
    ]


def test_a_noisy_overseer_is_compared_with_the_same_one_that_misjudges_least():
    known = ["approval 8", "approval 8 noise 2", "approval 8 noise 0.5", "approval cap noise 0.5"]
    known += ["approval 8 progress noise 1", "approval 8 progress noise 0.5", "dense"]
    assert primary_arm_pairs("noise", known, places(known)) == [
        ("approval 8 noise 2", "approval 8"),
        ("approval 8 progress noise 1", "approval 8 progress noise 0.5"),
    ]
    assert arm_pairs("noise", known, places(known)) == [
        ("approval 8 noise 0.5", "approval 8"),
        ("approval 8 noise 2", "approval 8"),
        ("approval 8 progress noise 1", "approval 8 progress noise 0.5"),
    ]
    # Look-aheads are compared at one noise.
    assert arm_pairs("lookahead", known, places(known)) == [
        ("approval 8 noise 0.5", "approval cap noise 0.5")
    ]


def test_a_price_is_compared_with_the_same_reward_without():
    known = ["every cap price 0.1", "every cap", "dense", "terminal price 0.1", "approval 8"]
    known += ["approval 8 need price 0.2", "approval 8 need price 0.1", "approval 1 progress"]
    pairs = [
        ("every cap price 0.1", "every cap"),
        ("approval 8 need price 0.2", "approval 8"),
    ]
    assert sorted(primary_arm_pairs("price", known, places(known))) == sorted(pairs)
    within = ("approval 8 need price 0.1", "approval 8")
    assert sorted(arm_pairs("price", known, places(known))) == sorted([*pairs, within])
    # A delay is compared with what costs as much.
    assert arm_pairs("timing", known, places(known)) == [("every cap", "dense")]
    also = ["coverage 1", "coverage 1 need price 0.1 and at the end", "coverage 1 price 0.1"]
    assert {a for a, _ in arm_pairs("price", also, places(also))} == {*also[1:]}


CONSTRAINED = {
    name: {"aup": strength, "placebo": placebo, "of": of}
    for of in ("terminal", "dense")
    for strength in (0, 0.1, 1)
    for placebo in (False, True)
    for name in [reward_name({"aup": strength, "placebo": placebo, "of": of})]
} | {"terminal penalty 0.1 within 8": {"penalty": 0.1, "horizon": 8, "of": "terminal"}}


def constrained(*names):
    """Places of rewards by label, of constrained ones too."""
    return {name: place_of(CONSTRAINED.get(name, name)) for name in names}


def test_a_constraint_is_compared_with_the_same_reward_without_and_with_its_placebo():
    known = ["terminal aup 1", "terminal", "terminal aup 0.1", "dense", "dense aup 1"]
    known += ["terminal aup 0.1 placebo", "terminal aup 1 placebo", "terminal penalty 0.1 within 8"]
    at = constrained(*known)
    assert sorted(primary_arm_pairs("constraint", known, at)) == [
        ("dense aup 1", "dense"),
        ("terminal aup 1", "terminal"),
        ("terminal penalty 0.1 within 8", "terminal"),
    ]
    assert {("terminal aup 0.1", "terminal"), ("terminal aup 1 placebo", "terminal")} < set(
        arm_pairs("constraint", known, at)
    )
    assert primary_arm_pairs("placebo", known, at) == [("terminal aup 1", "terminal aup 1 placebo")]
    assert sorted(arm_pairs("placebo", known, at)) == [
        ("terminal aup 0.1", "terminal aup 0.1 placebo"),
        ("terminal aup 1", "terminal aup 1 placebo"),
    ]
    # Strength 0 is no constraint: the low end where the bare reward is missing.
    none = ["terminal aup 1", "terminal aup 0", "terminal aup 0.1"]
    assert arm_pairs("constraint", none, constrained(*none)) == [
        ("terminal aup 0.1", "terminal aup 0"),
        ("terminal aup 1", "terminal aup 0"),
    ]
    # Weaker against stronger, where nothing is free of it.
    some = ["terminal aup 1", "terminal aup 0.1"]
    assert primary_arm_pairs("constraint", some, constrained(*some)) == [tuple(some)]


def test_other_contrasts_stay_within_one_constraint():
    timed = {"aup": 0.1, "of": {"every": 8}}
    judged = {"aup": 0.1, "of": {"coverage": 1}}
    specs = {reward_name(spec): spec for spec in (timed, judged)}
    known = ["terminal", "terminal aup 0.1", "dense", "every 8", "dense aup 0.1", *specs]
    at = constrained(*CONSTRAINED, "terminal", "dense")
    at |= {name: place_of(spec) for name, spec in specs.items()}
    at |= {"every 8": place_of({"every": 8})}
    assert arm_pairs("timing", known, at) == [
        ("every 8", "dense"),
        ("every 8 aup 0.1", "dense aup 0.1"),
    ]
    assert reward_families("coverage", known, at) == [["terminal aup 0.1", "coverage 1 aup 0.1"]]


def test_aims_are_compared_with_success():
    known = ["approval 8", "approval 8 progress", "approval cap progress", "approval 8 meant"]
    assert arm_pairs("aim", known, places(known)) == [
        ("approval 8 progress", "approval 8"),
        ("approval 8 meant", "approval 8"),
    ]


@pytest.mark.parametrize("factor", ["price", "aim"])
def test_what_is_part_of_a_reward_is_a_contrast_of_its_own(factor):
    with pytest.raises(InvalidInput, match=f"Write contrast: {factor}"):
        read_contrast({"factor": factor})


def pairs(written, levels, scales, columns=("params.leak",)):
    return arms_compared(read_contrast(written), levels, {}, columns=columns, scales=scales)


def test_a_factor_is_compared_at_its_ends_or_at_those_named():
    rising = [[0.0, 1.0, 2.0]]
    assert pairs({"factor": "leak"}, [1.0, 0.0, 2.0], rising) == [(2.0, 0.0)]
    assert pairs({"factor": "leak", "high": 1}, [0.0, 1.0, 2.0], rising) == [(1.0, 0.0)]
    assert pairs({"factor": "leak", "low": 2, "high": 0}, [0.0, 2.0], rising) == [(0.0, 2.0)]
    # A setting that lacks an end has no comparison: it is not made with another level.
    assert pairs({"factor": "leak"}, [0.0, 1.0], rising) == []
    named = {"factor": "opponent", "low": "random", "high": "greedy"}
    assert pairs(named, ["greedy", "random"], [[]]) == [("greedy", "random")]
    assert pairs({"factor": "opponent"}, ["greedy", "random"], [[]]) == []
    assert pairs({"factor": "useful", "high": True}, ["false", "true"], [["false", "true"]]) == [
        ("true", "false")
    ]


def test_a_budget_compares_the_arms_of_its_kind():
    known = ["dense", "every 8", "every cap", "terminal"]
    assert read_contrast({"budget": 10}) == read_contrast({"budget": 10, "of": "sparse"})
    for kind, arms in {
        "sparse": ("terminal", "dense"),
        "timing": ("every cap", "dense"),
    }.items():
        said = read_contrast({"budget": 10, "of": kind})
        assert arms_compared(said, known, places(known), columns=("reward",)) == [arms]
        assert arms_compared(said, known[1:3], places(known), columns=("reward",)) == []
    agents = {"factor": "agent", "low": "ppo", "high": "a2c"}
    named = {"budget": 2, "of": agents}
    assert pairs(named, ["ppo", "a2c", "dqn"], [[]], ("agent",)) == [("a2c", "ppo")]
    assert str(read_contrast(named)) == "budget, agent"
    assert str(read_contrast({"budget": 2, "clock": "flops"})) == "FLOPs, sparse"
    assert read_contrast({"budget": 2, "clock": "steps"}) == read_contrast({"budget": 2})


def test_an_interaction_has_four_arms_and_a_threshold_all_levels():
    corners = [(a, b) for a in (0.0, 2.0) for b in (1e5, 4e5)]
    both = {"interaction": ["leak", "timesteps"]}
    columns = ("params.leak", "budget")
    scales = [[0.0, 2.0], [1e5, 4e5]]
    assert pairs(both, corners, scales, columns) == [
        ((2.0, 4e5), (0.0, 4e5), (2.0, 1e5), (0.0, 1e5))
    ]
    assert pairs(both, corners[:3], scales, columns) == []
    line = {"threshold": "leak", "line": 0.5}
    assert pairs(line, [2.0, 0.0, 1.0], [[0.0, 1.0, 2.0]]) == [(0.0, 1.0, 2.0)]
    assert pairs(line, [2.0], [[2.0]]) == []


def test_an_interaction_is_of_levels_that_are_crossed():
    crossed = [(a, b) for a in (1.0, 2.0, 4.0) for b in (5e4, 2e5)]
    columns = ("params.leak", "budget")

    def found(*cells):
        return factor_scales(columns, [dict(zip(columns, cell, strict=True)) for cell in cells])

    assert found(*crossed, (0.0, 2e5)) == [[1.0, 2.0, 4.0], [5e4, 2e5]]
    assert found((0.0, 1e5), (1.0, 2e5)) == [[], []]
    assert factor_scales(("gamma",), [{"gamma": 0.9}, {"gamma": 0.5}, {}]) == [[0.5, 0.9]]


@given(st.lists(st.floats(-5, 5), min_size=2, unique=True))
def test_every_other_level_of_a_factor_is_compared_with_the_least(levels):
    found = arm_pairs("params.leak", levels, {})
    assert {b for _, b in found} == {min(levels)}
    assert [a for a, _ in found] == sorted(levels)[1:]


def test_a_kind_of_any_factor_says_whose_it_is():
    assert contrast_kind("params.leak").title == "Factor: leak of the world"
    assert contrast_kind("settings.ent_coef").title == "Factor: ent_coef of the agent"
    assert contrast_kind("budget").title == "Factor: timesteps"
    assert str(Contrast("interaction", ("leak", "timesteps"))) == "leak x timesteps"
