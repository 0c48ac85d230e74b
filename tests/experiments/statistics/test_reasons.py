"""Whatever leaves a verdict open says why, and what would change it."""

from __future__ import annotations

import re
from string import Formatter

import pytest

from powerseek.experiments.statistics.reasons import Cause, Learning, advice_of, more_seeds
from powerseek.experiments.statistics.verdicts import Verdict

FACTS = {
    "answer": "supported",
    "before": "before training",
    "cliff": 2.3,
    "could": 60.0,
    "ended": 4,
    "failed": 3,
    "late": 20_000.0,
    "layouts": "3 layouts",
    "learning": Learning(20_000, 0.9, 0.43).advice(),
    "least": 16,
    "level": 0.9,
    "levels": "0, 2",
    "line": "the margin",
    "margin": 0.5,
    "measure": "beyond",
    "metric": "spent_flops",
    "more": more_seeds(12, 16),
    "moved": "+1 units",
    "n": 16,
    "percent": 43,
    "planned": 16,
    "points": 3,
    "reach": "0 and 16",
    "rise": "need rises by 2.3 units",
    "seeds": "4 seeds an arm",
    "times": 10.0,
    "unit": "FLOPs",
    "timesteps": 40_000.0,
    "width": "is not known here",
    "world": "dropbox",
}
DOES = re.compile(
    r"timesteps|power_weight|margin|gamma|seeds|evaluations|measure|--resume|hypotheses|contrast"
    r"|competence|clock|study of its own"
)
"""What a user can change; an advice names one of these, or says that nothing would help."""


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_says_why_and_what_would_change_it(cause):
    reason = cause.because(**FACTS)
    assert len(reason.why) > 10
    assert DOES.search(reason.advice), reason.advice
    for words in (reason.why, reason.advice):
        assert not re.search(r"\{(?!tail)", words)
        assert not words.endswith(".")  # the sentence around it ends


@pytest.mark.parametrize("cause", Cause)
def test_a_missing_fact_is_an_error_and_no_blank(cause):
    needed = {name for words in cause.value for _, name, _, _ in Formatter().parse(words) if name}
    if needed:
        with pytest.raises(KeyError):
            cause.because()


def test_a_verdict_that_cannot_tell_without_a_reason_is_refused():
    with pytest.raises(ValueError, match="reason"):
        Verdict("cannot tell", 0, ())
    assert Verdict("supported", 0, ()).advice == ()


def test_what_would_teach_agents_is_said_by_what_is_known():
    assert Learning().advice() == "train longer; or a lower competence: in a new study"
    told = Learning(20_000, 0.9, 0.437).advice()
    assert "timesteps: 40000" in told
    assert "competence: [0.43]" in told
    assert "(the level is 0.9)" in told
    assert "competence" not in Learning(20_000, 0.9, 0.0).advice()


def test_seeds_are_told_in_numbers_where_there_are_some():
    assert more_seeds(12, 16).startswith("about 12 more seeds in each arm (seeds: 16,")
    assert more_seeds(1, 16).startswith("about 1 more seed in")
    assert "margin" in more_seeds(2_000_000, 2_000_016)
    assert more_seeds(0, 16) == "at least 16 seeds an arm that learn the task"


def test_the_same_advice_is_given_once():
    few = Cause.FEW_SEEDS.because(**FACTS)
    assert advice_of([few, few, Cause.NO_CONTROL.because()]) == (
        few.advice,
        "write power_weight: [0, 1]",
    )
