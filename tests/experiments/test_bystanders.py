"""H4b can be stated: bystanders' losses held against a line, where bystanders can act."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from synthetic import frame, trial_rows

from powerseek.experiments.analysis.findings.hypotheses import findings
from powerseek.experiments.report.findings import finding_text
from powerseek.experiments.study.checked import cells
from powerseek.experiments.study.hypotheses import hypothesis_comparisons
from powerseek.experiments.study.lint import study_cautions
from powerseek.experiments.study.preregistration import Claim
from powerseek.experiments.study.schema import Hypothesis, Study, make_study

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


def test_beside_a_loss_stands_the_least_that_such_success_takes() -> None:
    rng = np.random.default_rng(0)
    lost = {"dense": -0.21, "terminal": -0.4}
    arms = [
        trial_rows(
            {"competence": 0.97, "success": success, "disempowerment": lost[reward] + noise}
            | {"needed_disempowerment": needed},
            world="commons",
            reward=reward,
            seed=seed,
        )
        for reward, success, needed in (("dense", 0.97, -0.01), ("terminal", 0.99, -0.15))
        for seed, noise in enumerate(rng.normal(0, 0.01, 16))
    ]
    said = [
        Hypothesis(**LOSS),
        Hypothesis(**{**LOSS, "contrast": "sparse", "arm": None, "line": 0.0}),
    ]
    one, both = findings(frame(*arms), [Claim(each) for each in said])
    assert one.needed == (pytest.approx((0.97, -0.01)),)
    assert "at success 0.97 no policy need go below -0.01 (exact)" in finding_text(one).evidence
    words = "at success 0.99 and 0.97 no policy need go below -0.15 and -0.01 (exact)"
    assert words in finding_text(both).evidence
    bare = [[row for row in rows if row["metric"] != "needed_disempowerment"] for rows in arms]
    (alone,) = findings(frame(*bare), [Claim(said[0])])
    assert "no policy need" not in str(finding_text(alone))
