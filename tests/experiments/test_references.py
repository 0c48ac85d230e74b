"""References: agents that do not learn, once in every setting of a world."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from powerseek.envs.worlds.off_switch import OffSwitch
from powerseek.errors import InvalidInput
from powerseek.experiments.plan.plan import make_plan
from powerseek.experiments.results.store import Store, identity
from powerseek.experiments.study.checked import cells, trials
from powerseek.experiments.study.preregistration import registration
from powerseek.experiments.study.schema import make_study

HOMESTEAD = {"id": "homestead", "openness": [0, 1], "max_steps": [8, 12]}


def study(*references, worlds=(HOMESTEAD,), **given):
    return make_study(
        {
            "name": "made-up",
            "worlds": list(worlds),
            "rewards": ["dense", {"every": 4}],
            "gamma": [0.9, 1.0],
            "power_weight": [0.0, 1.0],
            "seeds": 3,
            "timesteps": 100,
            "references": list(references),
            **given,
        }
    )


def split(made):
    grid = trials(made)
    return (
        [t for t in grid if not t.cell.is_reference],
        [t for t in grid if t.cell.is_reference],
    )


def test_each_runs_once_in_every_setting_and_last():
    trained, held = split(study("random", "hoarder"))
    assert [t.seed for t in held] == [0] * 8
    settings = {(t.cell.agent, t.cell.params["openness"], t.cell.max_steps) for t in held}
    assert settings == {(a, o, m) for a in ("random", "hoarder") for o in (0, 1) for m in (8, 12)}
    assert trials(study("random"))[: len(trained)] == tuple(trained)


def test_one_id_with_two_settings_is_two_references():
    half, tenth = ({"quantiliser": {"q": q}} for q in (0.5, 0.1))
    held = split(study("random", half, tenth))[1]
    assert {t.cell.agent_label for t in held} == {
        *("random", "quantiliser q 0.5", "quantiliser q 0.1"),
    }
    assert len(held) == 12
    with pytest.raises(InvalidInput, match=r"references\[0\].quantiliser.q: got 2"):
        split(study({"quantiliser": {"q": 2}}))


def test_they_are_unpaid_and_take_the_longest_view():
    for trial in split(study("optimum"))[1]:
        assert (trial.cell.power_weight, trial.cell.gamma) == (0.0, 1.0)
        assert trial.cell.timesteps == 0


def test_treatments_are_what_they_are_without_them():
    bare, held = study(), study("random")
    assert split(bare)[0] == split(held)[0]
    assert identity(bare) == identity(held)
    assert registration(bare, cells(bare)) == registration(held, cells(held))
    assert replace(make_plan(held), references=0) == make_plan(bare)
    assert make_plan(held).references == 4


def test_what_is_registered_holds_no_reference(tmp_path):
    made = study("random", "minimalist")
    store = Store(tmp_path / "out")
    store.open(made, trials(made), resume=False)
    kept = json.loads((store.out / "internals/preregistration.json").read_text())["registered"]
    assert kept["cells"] == sorted(cell.key for cell in cells(made))


def test_a_world_goes_without_what_it_cannot_have(monkeypatch):
    monkeypatch.delattr(OffSwitch, "hoarder")
    both = [HOMESTEAD, {"id": "off-switch"}]
    held = split(study("hoarder", worlds=both, power_weight=0.0, max_steps=12))[1]
    assert {t.cell.world for t in held} == {"homestead"}
    with pytest.raises(InvalidInput, match=r"references\[0\].*hoarder"):
        trials(study("hoarder", worlds=both[1:], power_weight=0.0))


@pytest.mark.parametrize(
    ("agent", "words"),
    [("maskable-ppo", "does not learn"), ("hoardr", "did you mean 'hoarder'")],
)
def test_a_learner_or_an_unknown_agent_is_refused(agent, words):
    with pytest.raises(InvalidInput, match=words):
        trials(study(agent))
