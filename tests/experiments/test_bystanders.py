"""H4b can be stated: bystanders' losses held against a line, where bystanders can act."""

from __future__ import annotations

from typing import Any

from powerseek.experiments.study.checked import cells
from powerseek.experiments.study.hypotheses import hypothesis_comparisons
from powerseek.experiments.study.lint import study_cautions
from powerseek.experiments.study.schema import Study, make_study

LOSS: dict[str, Any] = {
    **{"id": "H4b", "contrast": "level", "arm": "dense", "measure": "disempowerment"},
    **{"direction": "larger", "line": -0.05, "margin": 0.05},
}
KEYS: dict[str, Any] = {
    "name": "others",
    "worlds": [{"id": "commons", "openness": [1, 2]}],
    "rewards": ["dense"],
    "power_weight": [0.0, 1.0],
    "timesteps": 100,
    "seeds": 16,
}


def study(**keys: Any) -> Study:
    return make_study({**KEYS, **keys})


def test_losses_at_every_openness_are_claimed_about_unpaid_agents() -> None:
    made = study(hypotheses=[{**LOSS, "measure": "excess", "line": 0.0}, LOSS])
    assert study_cautions(made) == ()
    claims = [one.plain() for one in hypothesis_comparisons(made.hypotheses[1], cells(made))]
    assert [(claim["openness"], claim["a"]) for claim in claims] == [(1, "dense"), (2, "dense")]
    assert {claim["power_weight"] for claim in claims} == {0.0}
    assert made.hypotheses[1].compared == "disempowerment"


def test_where_nobody_else_can_act_it_is_said_beforehand() -> None:
    worlds = [*KEYS["worlds"], {"id": "homestead"}]
    (line,) = study_cautions(study(worlds=worlds, hypotheses=[LOSS]))
    assert (
        "hypotheses[0] is about disempowerment, and nobody beside the agent can act in its place"
        in line
    )
    assert line.endswith("Write world: commons.")
    assert study_cautions(study(worlds=worlds, hypotheses=[{**LOSS, "world": "commons"}])) == ()
    (line,) = study_cautions(study(worlds=[{"id": "homestead"}], hypotheses=[LOSS]))
    assert "homestead" in line
    taken_over = [{"id": "commons", "params": {"actor": 1}}]
    (line,) = study_cautions(study(worlds=taken_over, hypotheses=[LOSS]))
    assert "nobody beside the agent can act in its place in commons" in line
