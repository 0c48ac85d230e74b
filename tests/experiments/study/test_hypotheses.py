"""What hypotheses compare in a grid, by any factor; and what is refused, in one line each."""

import pytest

from powerseek.errors import InvalidInput
from powerseek.experiments.study.checked import cells, trials
from powerseek.experiments.study.hypotheses import hypothesis_comparisons
from powerseek.experiments.study.preregistration import registration
from powerseek.experiments.study.schema import make_study

CLAIM = {"id": "H", "direction": "larger", "margin": 0.5}
CROSSED = {k: v for k, v in CLAIM.items() if k != "margin"}
WORLDS = [{"id": "leaky-chess", "params": {"leak": [0, 1, 2], "useful": [True, False]}}]
KEYS = {
    "name": "factors",
    "worlds": WORLDS,
    "rewards": ["dense"],
    "agents": ["cohort-ppo"],
    "settings": {"cohort-ppo": {"ent_coef": [0.0, 0.02], "net": [[16], [32, 32]]}},
    "timesteps": [100, 400],
    "power_weight": [0.0],
}


def found(claim, **keys):
    study = make_study({**KEYS, **keys, "hypotheses": [{**CLAIM, **claim}]})
    return list(hypothesis_comparisons(study.hypotheses[0], cells(study)))


def test_lists_are_levels_and_lists_within_lists_where_values_are_lists():
    grid = cells(make_study(KEYS))
    assert len(grid) == 3 * 2 * 2 * 2 * 2
    assert {cell.params["leak"] for cell in grid} == {0, 1, 2}
    assert {tuple(cell.settings["net"]) for cell in grid} == {(16,), (32, 32)}
    plain = {**KEYS, "settings": {"cohort-ppo": {"net": [16, 16]}}, "timesteps": 100}
    assert {tuple(cell.settings["net"]) for cell in cells(make_study(plain))} == {(16, 16)}


@pytest.mark.parametrize(
    ("name", "column", "ends"),
    [
        ("leak", "params.leak", (2.0, 0.0)),
        ("useful", "params.useful", ("true", "false")),
        ("timesteps", "budget", (400.0, 100.0)),
        ("ent_coef", "settings.ent_coef", (0.02, 0.0)),
        ("params.leak", "params.leak", (2.0, 0.0)),
    ],
)
def test_any_parameter_and_setting_is_a_factor(name, column, ends):
    pairs = found({"contrast": {"factor": name}})
    assert {one.columns for one in pairs} == {(column,)}
    assert {tuple(one.arms) for one in pairs} == {ends}
    # One in each setting of all others, and all others are equal within it.
    grid = cells(make_study(KEYS))
    assert len(pairs) * len({1 for _ in ends}) * len({*ends}) <= len(grid)
    for one in pairs:
        (high,), (low,) = one.arms.values()
        differ = {k for k in high.config if high.config[k] != low.config[k]}
        assert len(differ) == 1
        assert column not in one.setting


def test_a_hypothesis_names_one_configuration_and_one_agent():
    at = {"contrast": {"factor": "timesteps"}, "params": {"leak": 2, "useful": True}}
    pairs = found(at)
    assert {(one.setting["params.leak"], one.setting["params.useful"]) for one in pairs} == {
        (2.0, "true")
    }
    assert {
        one.setting["budget"]
        for one in found({"contrast": {"factor": "leak"}, "params": {"timesteps": 400}})
    } == {400.0}
    agents = {"agents": ["cohort-ppo", "maskable-ppo"], "settings": {}}
    assert {one.setting["agent"] for one in found(at | {"agent": "maskable-ppo"}, **agents)} == {
        "maskable-ppo"
    }
    named = {"contrast": {"factor": "agent", "low": "cohort-ppo", "high": "maskable-ppo"}}
    pairs = found(named, **agents)
    assert {tuple(one.arms) for one in pairs} == {("maskable-ppo", "cohort-ppo")}
    assert all(not k.startswith("settings.") for one in pairs for k in one.setting)


def test_a_level_of_one_world_is_no_end_in_another():
    worlds = [
        {"id": "homestead", "params": {"quota": [2, 3]}},
        {"id": "homestead-plane", "params": {"quota": 1}},
    ]
    pairs = found({"contrast": {"factor": "quota"}}, worlds=worlds, settings={}, timesteps=100)
    assert {(one.setting["world"], *one.arms) for one in pairs} == {("homestead", 3.0, 2.0)}


def test_interactions_and_thresholds_are_registered_with_their_levels():
    study = make_study(
        {
            **KEYS,
            "settings": {},
            "worlds": [{"id": "leaky-chess", "params": {"leak": [0, 2]}}],
            "hypotheses": [
                {**CLAIM, "contrast": {"interaction": ["leak", "timesteps"]}, "measure": "success"},
                {**CROSSED, "contrast": {"threshold": "leak", "line": 0.5}, "measure": "success"},
            ],
        }
    )
    content = registration(study, cells(study))
    first, second = content["primary"]
    assert [one["arms"] for one in first] == [
        [[2.0, 400.0], [0.0, 400.0], [2.0, 100.0], [0.0, 100.0]]
    ]
    assert [(one["a"], one["b"]) for one in second] == [(0.0, 2.0)] * 2
    assert content["hypotheses"][0]["contrast"] == {"interaction": ["leak", "timesteps"]}
    assert content["hypotheses"][1]["margin"] is None


REFUSED = {
    "unknown factor": ({"contrast": {"factor": "leek"}}, "contrast.factor", "'leak'"),
    "idle factor": ({"contrast": {"factor": "gamma"}}, "contrast.factor", "gamma is 1 in every"),
    "no level": ({"contrast": {"factor": "leak", "high": 4}}, "contrast.high", "one of 0, 1, 2"),
    "one level": (
        {"contrast": {"factor": "leak", "low": 1, "high": 1}},
        "contrast.high",
        "another",
    ),
    "no order": (
        {"contrast": {"factor": "net"}},
        "contrast.low",
        "both ends must be named",
    ),
    "threshold without order": (
        {"contrast": {"threshold": "net", "line": 1}, "margin": None},
        "contrast.threshold",
        "whose levels are numbers",
    ),
    "threshold with a margin": (
        {"contrast": {"threshold": "leak", "line": 1}},
        "margin",
        "held against its line",
    ),
    "threshold with a line of the claim": (
        {"contrast": {"threshold": "leak", "line": 1}, "margin": None, "line": 2.0},
        "line",
        "{threshold: leak, line: 2}",
    ),
    "threshold of none": (
        {"contrast": {"threshold": "leak", "line": 1}, "margin": None, "direction": "none"},
        "direction",
        "larger or smaller",
    ),
    "line out of reach": (
        {"contrast": {"threshold": "leak", "line": 1.5}, "margin": None, "measure": "disabled"},
        "contrast.line",
        "0 to 1",
    ),
    "level out of reach": (
        {"contrast": "level", "arm": "dense", "line": -1.0, "measure": "success"},
        "line",
        "0 to 1",
    ),
    "no margin": (
        {"contrast": {"factor": "leak"}, "margin": None, "measure": "disabled"},
        "margin",
        "Write margin: 0.1",
    ),
    "unknown metric": ({"contrast": {"factor": "leak"}, "measure": "exces"}, "measure", "'excess'"),
    "unknown parameter": (
        {"contrast": {"factor": "leak"}, "params": {"leek": 2}},
        "params",
        "'leak'",
    ),
    "no such configuration": (
        {"contrast": {"factor": "timesteps"}, "params": {"leak": 4}},
        "params.leak",
        "one of 0, 1, 2",
    ),
    "unknown agent": ({"contrast": {"factor": "leak"}, "agent": "ppo"}, "agent", "cohort-ppo"),
    "unknown checkpoint": (
        {"contrast": {"factor": "leak"}, "checkpoint": "competence>=0.5"},
        "checkpoint",
        "end, competence>=0.9",
    ),
}


@pytest.mark.parametrize(("claim", "field", "words"), REFUSED.values(), ids=REFUSED)
def test_what_the_study_does_not_hold_is_refused_by_name(claim, field, words):
    given = {k: v for k, v in {**CLAIM, **claim}.items() if v is not None}
    with pytest.raises(InvalidInput) as caught:
        cells(make_study({**KEYS, "hypotheses": [given]}))
    assert caught.value.field == f"hypotheses[0].{field}"
    assert words in str(caught.value)


def test_what_hypotheses_are_about_is_followed_while_agents_train():
    study = make_study(
        {
            **KEYS,
            "hypotheses": [
                {**CLAIM, "contrast": "level", "arm": "dense", "measure": "acquired_outside"}
            ],
        }
    )
    curves = trials(study)[0].curves
    assert "acquired_outside" in curves
    plain = trials(make_study(KEYS))[0]
    assert "acquired_outside" not in plain.curves
    # What is followed changes no row, so it is no part of what a trial is.
    assert plain.key == trials(study)[0].key
    assert plain == trials(study)[0]
