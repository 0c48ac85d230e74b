from __future__ import annotations

from typing import Any

import pytest

from powerseek.errors import InvalidInput
from powerseek.experiments.study.checked import cells, trials
from powerseek.experiments.study.schema import load_study, make_study, shipped_studies
from powerseek.experiments.study.size import COHORT_PACE, PACE, study_size
from powerseek.limits import LIMITS

TINY = {"name": "tiny", "worlds": [{"id": "homestead"}], "timesteps": 3600}


@pytest.mark.parametrize("name", shipped_studies())
def test_the_size_of_a_shipped_study_is_that_of_its_grid(name: str) -> None:
    study = load_study(name)
    found = study_size(study)
    assert found.cells * (study.layouts or 1) == len(cells(study))
    assert found.trials == sum(not trial.cell.is_reference for trial in trials(study))


FACTORS: dict[str, dict[str, Any]] = {
    "study": {"gamma": [1, 0.9, 0.8], "rewards": ["dense", "terminal"], "power_weight": [0, 1]},
    "world": {"worlds": [{"id": "homestead", "openness": [0, 1], "max_steps": [20, 30, 40]}]},
    "parameter": {"worlds": [{"id": "homestead", "params": {"quota": [2, 3, 4]}}]},
    "setting": {"settings": {"cohort-ppo": {"ent_coef": [0, 0.01], "learning_rate": [0.1, 0.2]}}},
    "budget": {"timesteps": [100, 200, 300]},
    "look-ahead": {"rewards": "approval", "lookahead": [1, 2, 3]},
    "block": {"also": [{"gamma": [0.9, 0.8]}, {"rewards": "terminal"}]},
    "agents of a world": {"worlds": [{"id": "homestead", "agents": ["random", "ppo"]}]},
}


@pytest.mark.parametrize("keys", FACTORS.values(), ids=FACTORS)
def test_every_factor_counts(keys: dict[str, Any]) -> None:
    study = make_study({**TINY, **keys, "seeds": 2})
    assert study_size(study)[:2] == (len(cells(study)), len(trials(study)))


def test_hours_are_those_of_the_steps() -> None:
    steps = 3600 * 5
    for agent, pace in (("maskable-ppo", PACE), ("cohort-ppo", COHORT_PACE)):
        found = study_size(make_study({**TINY, "agents": agent, "seeds": 5}))
        assert found.hours == pytest.approx(steps / pace / 3600)


def test_more_trials_than_can_be_meant_are_refused_with_trials_and_hours() -> None:
    most = LIMITS["trials"].maximum
    with pytest.raises(InvalidInput) as caught:
        cells(make_study({**TINY, "gamma": [1, 0.9], "seeds": 10**9}))
    assert caught.value.field == "seeds"
    assert "2,000,000,000 trials, about 20,000.0 hours" in str(caught.value)
    assert f"Write seeds: {most // 2}, or fewer." in str(caught.value)
    levels = [i / 1000 for i in range(1, 1001)]
    wide = {"gamma": levels, "power_weight": levels, "gae_lambda": levels, "max_steps": [2, 3]}
    with pytest.raises(InvalidInput) as caught:
        trials(make_study({**TINY, **wide}))
    assert (caught.value.field, caught.value.value) == ("cells", 2 * 10**9)
