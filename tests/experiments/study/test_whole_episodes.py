"""Agents that learn from the returns of whole episodes: timing is one treatment for them."""

import re

import pytest
import yaml
from synthetic import frame, trial_rows

from powerseek.errors import InvalidInput
from powerseek.experiments.analysis.view import View
from powerseek.experiments.study.checked import cells
from powerseek.experiments.study.lint import study_cautions
from powerseek.experiments.study.schema import make_study

TIMING = {"id": "H1a", "contrast": "timing", "direction": "larger", "margin": 0.5}
KEYS = {
    "name": "whole",
    "worlds": [{"id": "homestead"}],
    "rewards": ["dense", {"every": 8}, {"every": "cap"}, "terminal"],
    "agents": ["cohort-ppo", "evolution"],
    "timesteps": 1000,
    "seeds": 16,
}


def study(**keys):
    return make_study({**KEYS, **keys})


def told(**keys):
    return [line for line in study_cautions(study(**keys)) if "one treatment for" in line]


def test_crossing_with_timing_is_said_and_with_nothing_else():
    (line,) = told()
    assert line.startswith("dense and every 8 and every cap are one treatment for evolution")
    assert told(agents=["cohort-ppo", "dqn"]) == []
    assert told(rewards=["dense", "terminal", {"coverage": 1}, {"thinned": 0.5}]) == []
    assert told(rewards=["dense", {"every": 8}], gamma=0.9) == []
    (priced,) = told(rewards=[{"priced": 0.02, "of": "dense"}, "dense", {"every": 8}])
    assert priced.startswith("dense and every 8 are")


def test_what_it_says_to_write_is_a_study_without_that_caution():
    (line,) = told()
    block = yaml.safe_load(re.findall(r"also: (\[.*\])\.$", line)[0])
    assert told(agents=["cohort-ppo"], also=block) == []
    assert {cell.agent for cell in cells(study(agents=["cohort-ppo"], also=block))} == {
        "cohort-ppo",
        "evolution",
    }


def test_a_claim_about_timing_is_refused_with_the_line_to_write():
    with pytest.raises(InvalidInput, match=r"one treatment for it.*Write agent: cohort-ppo") as one:
        cells(study(hypotheses=[TIMING]))
    assert one.value.field == "hypotheses[0].contrast"
    assert cells(study(hypotheses=[{**TIMING, "agent": "cohort-ppo"}]))
    with pytest.raises(InvalidInput, match=r"Write agents: \[cohort-ppo\], or gamma"):
        cells(study(hypotheses=[TIMING], agents=["evolution"]))
    by_name = {"factor": "reward", "low": "dense", "high": "every 8"}
    with pytest.raises(InvalidInput, match="one treatment"):
        cells(study(hypotheses=[{**TIMING, "contrast": by_name}], agents=["evolution"]))
    assert cells(study(hypotheses=[{**TIMING, "contrast": "sparse"}], agents=["evolution"]))
    corrected = [{"every": 8, "corrected": True}, "dense"]
    with pytest.raises(InvalidInput, match="one treatment"):
        cells(study(hypotheses=[TIMING], agents=["evolution"], rewards=corrected))
    assert cells(study(hypotheses=[TIMING], agents=["evolution"], rewards=corrected, gamma=0.99))


def test_bootstrap_is_refused_by_the_name_of_its_key():
    with pytest.raises(InvalidInput, match="Write time_limit: terminal") as one:
        cells(study(time_limit="bootstrap", gamma=0.9))
    assert one.value.field == "time_limit"


def test_tables_of_results_say_it_below_them():
    def foot(agent, *rewards, gamma=1.0):
        rows = [
            trial_rows({"competence": 1.0}, agent=agent, reward=r, gamma=gamma) for r in rewards
        ]
        return View(frame(*rows)).foot

    (line,) = foot("evolution method cma", "dense", "every cap", "terminal")
    assert line.startswith("dense and every cap are one treatment for evolution, bit for bit")
    assert foot("evolution", "dense", "terminal") == ()
    assert foot("evolution", "dense", "every cap", gamma=0.9) == ()
    assert foot("ppo", "dense", "every cap") == ()
    assert foot("gone.plugin", "dense", "every cap") == ()
