"""Agents measured in a configuration of their world that they were not trained in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from powerseek.agents import train
from powerseek.errors import InvalidInput
from powerseek.experiments.results.oracles import oracle_names
from powerseek.experiments.single import evaluate_one
from powerseek.experiments.study.checked import cells, trials
from powerseek.experiments.study.grid import Trial
from powerseek.experiments.study.schema import make_study
from powerseek.experiments.sweep.oracles import oracle_of
from powerseek.experiments.sweep.shift import shift_of
from powerseek.experiments.sweep.trial import run_trial
from powerseek.metrics import beside, known_metric, metric_of, unshifted
from powerseek.registry import make_world

LONGER = {"max_steps": 20, "spoil": 0.0}


def study(shift: Any = LONGER, **keys: Any) -> Any:
    world = {"id": "homestead", "openness": 0, "max_steps": 12}
    given = {"name": "t", "worlds": [world | ({} if shift is None else {"shift": shift})]}
    given |= {"timesteps": 2560, "episodes": 50, "evaluations": 15, "competence": 1e-9}
    given |= {"settings": {"cohort-ppo": {"n_envs": 16, "n_steps": 16, "batch_size": 64}}}
    return make_study({**given, **keys})


def trial(shift: Any = LONGER, **keys: Any) -> Trial:
    return trials(study(shift, **keys))[0]


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    out = tmp_path_factory.mktemp("moved")
    claim = {"id": "c", "contrast": "level", "arm": "dense", "direction": "none"}
    asked = trials(study(hypotheses=[{**claim, "measure": "beyond_shifted"}]))[0]
    return out, run_trial(asked, out)


def exact(rows: pd.DataFrame) -> pd.Series:
    end = rows[(rows["checkpoint"] == "end") & (rows["evaluation"] == "exact")]
    return end.set_index("metric")["value"]


def test_there_an_agent_is_what_its_kept_model_is_when_it_is_evaluated_there(
    moved: tuple[Path, pd.DataFrame],
) -> None:
    out, rows = moved
    model = out / "internals/models" / f"{trial().key}.zip"
    alone = exact(evaluate_one(model, "homestead", LONGER, 50, 7).rows)
    here = exact(rows)
    for name in ("success", "competence", "acquired", "beyond", "excess", "need", "disabled"):
        assert here[f"{name}_shifted"] == alone[name], name
        assert here[f"{name}_shifted"] != here[name]
    # Sampled and greedy episodes there are measured too, on chance of their own.
    kinds = set(rows.loc[rows["metric"] == "success_shifted", "evaluation"])
    assert kinds == {"sampled", "greedy", "exact", "exact-greedy"}


def test_what_a_trial_is_here_does_not_hang_on_where_it_is_measured_too(
    moved: tuple[Path, pd.DataFrame], tmp_path: Path
) -> None:
    out, rows = moved
    plain = run_trial(trial(None), tmp_path)
    own = rows[rows["metric"].map(unshifted) == rows["metric"]].reset_index(drop=True)
    differ = ["trial", "shift"]
    pd.testing.assert_frame_equal(own.drop(columns=differ), plain.drop(columns=differ))
    assert trial(None).key != trial().key
    assert "shift" not in trial(None).config
    assert set(rows["shift"]) == {"max_steps 20, spoil 0"}
    files = {path.name for path in (out / "internals/oracles").iterdir()}
    assert {Path(name).name for name in oracle_names(trial().cell)} == files
    assert len(files) == 4


def test_need_and_w_there_are_those_of_that_configuration(
    moved: tuple[Path, pd.DataFrame],
) -> None:
    out, rows = moved
    there = trial().cell.shifted
    assert there is not None
    facts, told = oracle_of(there, out), rows.groupby("metric")["value"].first()
    assert facts is not None
    assert facts.need is not None
    assert told["width_shifted"] == facts.width != told["width"]
    assert told["need_end_shifted"] == facts.need.at(facts.need.max_success)[0]


def test_what_a_claim_is_about_is_followed_there_late_in_training(
    moved: tuple[Path, pd.DataFrame],
) -> None:
    out, rows = moved
    curves = pd.concat([pd.read_parquet(p) for p in (out / "internals/curves").glob("*.parquet")])
    late = curves["exact.beyond_shifted"].dropna()
    assert len(late) >= 2
    assert "beyond_shifted" not in curves  # no episodes are played there while it trains
    assert late.iloc[-1] == exact(rows)["beyond_shifted"]
    assert not np.isclose(late, curves["exact.beyond"].dropna()).any()


@pytest.mark.parametrize("agent", ["minimal-need", "minimalist", "optimum"])
def test_who_does_not_learn_is_made_anew_there(agent: str, tmp_path: Path) -> None:
    values = exact(run_trial(trial(agents=[agent], rewards=["terminal"]), tmp_path))
    alone = exact(run_trial(trial(None, agents=[agent], rewards=["terminal"], **there()), tmp_path))
    for name in ("success", "acquired", "beyond"):
        assert values[f"{name}_shifted"] == alone[name]
    if agent == "minimal-need":
        assert values["beyond_shifted"] == pytest.approx(0, abs=1e-9)


def there() -> dict[str, Any]:
    """The world of LONGER, trained in."""
    world = {"id": "homestead", "openness": 0, "max_steps": 20, "params": {"spoil": 0.0}}
    return {"worlds": [world]}


def test_who_searches_at_play_does_so_by_the_rules_there(tmp_path: Path) -> None:
    named = {"search": {"acting": 4, "net": [[8]], "simulations": 2}}
    asked = trial(agents=[named], timesteps=2048)
    shift = shift_of(asked, tmp_path)
    assert shift is not None
    cell = asked.cell
    task = cell.task(make_world(cell.world, **cell.params))
    here: Any = train(task, "search", timesteps=2048, settings=cell.settings).policy
    there: Any = shift.policy(here)
    assert here.task.world.params.max_steps == 12
    assert there.task.world.params.max_steps == 20


def test_a_learnt_reward_means_nothing_there(tmp_path: Path) -> None:
    rows = run_trial(trial(rewards=[{"preference": 20}]), tmp_path)
    names = set(rows["metric"])
    assert "return" in names
    assert not names & {"return_shifted", "optimum_success_shifted", "constraint_low_shifted"}
    assert {"beyond_shifted", "width_shifted"} <= names


def test_records_of_metrics_there() -> None:
    known = metric_of("beyond_shifted")
    assert (known.unit, known.optimum, known.ours) == ("units", "", True)
    assert known.title == "acquisition beyond what the greatest success takes, where shifted"
    assert not any((known.column, known.primary, known.curve, known.sampled))
    assert metric_of("success_shifted").optimum == "optimum_success_shifted"
    assert beside("beyond_shifted", "width") == "width_shifted"
    assert beside("beyond", "width") == "width"
    assert known_metric("nobody_shifted").id == unshifted("nobody_shifted") == "nobody_shifted"
    with pytest.raises(InvalidInput):
        metric_of("nobody_shifted")


def world(**keys: Any) -> dict[str, Any]:
    return {"id": "homestead", "openness": 1, **keys}


@pytest.mark.parametrize(
    ("shift", "field", "value", "told"),
    [
        ({"spoild": 0.0}, "worlds[0].shift", "spoild", "spoil"),
        ({"spoil": 7}, "worlds[0].shift.spoil", 7, "0"),
        ({"openness": 2}, "worlds[0].shift", {"openness": 2}, "observations"),
        ({"max_steps": 28}, "worlds[0].shift", {"max_steps": 28}, "differ from those of training"),
        ([{"max_steps": 30}, {"hazard": -1}], "worlds[0].shift.hazard", -1, "0"),
    ],
)
def test_where_nobody_can_be_measured_is_refused(
    shift: Any, field: str, value: Any, told: str
) -> None:
    with pytest.raises(InvalidInput) as error:
        cells(make_study({"name": "t", "timesteps": 64, "worlds": [world(shift=shift)]}))
    assert (error.value.field, error.value.value) == (field, value)
    assert told in f"{error.value.allowed} {error.value.hint}"


def test_a_shift_to_where_some_are_trained_is_their_control() -> None:
    given = world(max_steps=[28, 30], shift={"max_steps": 30})
    found = cells(make_study({"name": "t", "timesteps": 64, "worlds": [given]}))
    assert [cell.shifted is not None for cell in found] == [True, True]


def test_a_claim_about_there_needs_a_there() -> None:
    claim = {"id": "c", "contrast": "level", "arm": "dense", "direction": "none"}
    claims = [{**claim, "measure": "beyond_shifted"}]
    given = {"name": "t", "timesteps": 64, "hypotheses": claims}
    with pytest.raises(InvalidInput) as error:
        cells(make_study({**given, "worlds": [world()]}))
    assert error.value.field == "hypotheses[0].measure"
    assert "shift: {PARAMETER: VALUE}" in error.value.hint
    cells(make_study({**given, "worlds": [world(shift={"max_steps": 30})]}))
