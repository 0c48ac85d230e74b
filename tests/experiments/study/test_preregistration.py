"""Claims are fixed before the first trial; what changes later is kept, and said."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from powerseek.envs.world import Fact
from powerseek.envs.worlds.off_switch import OffSwitch
from powerseek.errors import InvalidInput
from powerseek.experiments.results.files import StoreError
from powerseek.experiments.results.integrity import sources
from powerseek.experiments.results.store import Store
from powerseek.experiments.study.checked import cells, trials
from powerseek.experiments.study.contrasts import KINDS
from powerseek.experiments.study.grid import Trial, content_hash
from powerseek.experiments.study.hypotheses import hypothesis_comparisons
from powerseek.experiments.study.lint import study_cautions
from powerseek.experiments.study.preregistration import (
    read_registration,
    registration,
    registration_content,
)
from powerseek.experiments.study.schema import Study, make_study
from powerseek.registry import register_world


@register_world("powerless-by-test")
class Powerless(OffSwitch):
    """The off-switch level, in which nothing counts as held."""

    facts = tuple(Fact(f.name, about=f.about, flow=f.flow) for f in OffSwitch.facts)


TIMING = {"id": "H1a", "contrast": "timing", "direction": "larger", "margin": 0.5}
OPEN = {"id": "more is taken", "contrast": "openness", "direction": "none", "margin": 0.1}
KEYS: dict[str, Any] = {
    "name": "tiny",
    "worlds": [{"id": "homestead", "openness": [0, 2]}],
    "rewards": ["dense", {"every": "cap"}, "terminal"],
    "timesteps": 100,
    "seeds": 2,
    "evaluations": 15,
    "gae_lambda": 1,
}


def study(**keys: Any) -> Study:
    return make_study({**KEYS, **keys})


def opened(out: Path, **keys: Any) -> Store:
    """A directory as it is when the first trial starts."""
    store = Store(out)
    made = study(**keys)
    store.open(made, trials(made), resume=True)
    return store


def begun(store: Store) -> None:
    store.write_failed(Trial(cells(study())[0], 0, "tiny"), "the roof fell in")


def kept(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "internals/preregistration.json").read_text())
    return found


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "no contrast": ({"contrast": None}, "hypotheses[0].contrast", "one of control, timing"),
    "unknown contrast": ({"contrast": "timming"}, "hypotheses[0].contrast", "'timing'"),
    "margin 0": ({"margin": 0}, "hypotheses[0].margin", "a number > 0"),
    "negative margin": ({"margin": -1.0}, "hypotheses[0].margin", "Write margin: 0.5"),
    "endless margin": ({"margin": float("inf")}, "hypotheses[0].margin", "a number > 0"),
    "margin in words": ({"margin": "small"}, "hypotheses[0].margin", "a number > 0"),
    "margin as text": ({"margin": "0.5"}, "hypotheses[0].margin", "write 0.5"),
    "unknown direction": ({"direction": "up"}, "hypotheses[0].direction", "larger, smaller or"),
    "unknown measure": ({"measure": "exces"}, "hypotheses[0].measure", "'excess'"),
    "endless line": ({"line": float("nan")}, "hypotheses[0].line", "a number"),
    "unknown world": ({"world": "homsted"}, "hypotheses[0].world", "'homestead'"),
    "no id": ({"id": ""}, "hypotheses[0].id", "H1a"),
    "no such arms": (
        {"contrast": "specification"},
        "hypotheses[0].contrast",
        "Write rewards: [terminal, {coverage: 1}]",
    ),
    "no arm": ({"contrast": "level"}, "hypotheses[0].arm", "Write arm: dense."),
    "unknown arm": ({"contrast": "level", "arm": "every 8"}, "hypotheses[0].arm", "'every cap'"),
    "an arm that is none": ({"contrast": "level", "arm": 3}, "hypotheses[0].arm", "arm: dense"),
    "an arm too many": ({"arm": "dense"}, "hypotheses[0].arm", "contrast: level"),
    "no control": ({"contrast": "control"}, "hypotheses[0].contrast", "power_weight: [0, 1]"),
}


@pytest.mark.parametrize(("change", "field", "words"), REFUSED.values(), ids=REFUSED)
def test_a_claim_that_cannot_be_tested_is_refused(
    change: dict[str, Any], field: str, words: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        cells(study(hypotheses=[{**TIMING, **change}]))
    assert caught.value.field == field
    assert words in str(caught.value)


@pytest.mark.parametrize("name", ["id", "contrast", "direction"])
def test_what_a_claim_lacks_is_said_with_the_line_to_write(name: str) -> None:
    with pytest.raises(InvalidInput, match="required") as caught:
        study(hypotheses=[{key: value for key, value in TIMING.items() if key != name}])
    assert caught.value.field == f"hypotheses[0].{name}"
    assert f"Write {name}: " in caught.value.hint


def test_a_claim_made_twice_is_refused() -> None:
    with pytest.raises(InvalidInput, match="hypotheses\\[0\\] already makes this one"):
        cells(study(hypotheses=[TIMING, {**TIMING, "id": "H1b", "measure": "beyond"}]))
    assert cells(study(hypotheses=[TIMING, {**TIMING, "measure": "disabled"}]))


def test_paying_later_at_a_discount_cannot_be_claimed() -> None:
    with pytest.raises(InvalidInput, match="gamma: 1") as caught:
        cells(study(hypotheses=[TIMING], gamma=0.9))
    assert caught.value.field == "hypotheses[0].contrast"


def test_arms_of_another_world_do_not_count() -> None:
    worlds = [{"id": "homestead", "openness": [0, 2]}, {"id": "endgame"}]
    assert cells(study(hypotheses=[OPEN], worlds=worlds))
    with pytest.raises(InvalidInput, match="endgame has both arms"):
        cells(study(hypotheses=[{**OPEN, "world": "endgame"}], worlds=worlds))


def test_a_level_names_its_arm_as_a_study_or_as_results_do() -> None:
    level = {**TIMING, "contrast": "level"}
    for arm in ({"every": "cap"}, "every cap"):
        made = study(hypotheses=[{**level, "arm": arm}])
        assert made.hypotheses[0].arm == "every cap"
        found = list(hypothesis_comparisons(made.hypotheses[0], cells(made)))
        assert [(*[c.plain()[name] for name in ("a", "b", "openness")],) for c in found] == [
            ("every cap", None, 0),
            ("every cap", None, 2),
        ]


def test_a_level_is_registered_with_its_arm(tmp_path: Path) -> None:
    level = {**TIMING, "contrast": "level", "arm": "dense"}
    opened(tmp_path, hypotheses=[TIMING, level, {**level, "arm": "terminal"}])
    first, *others = kept(tmp_path)["registered"]["hypotheses"]
    assert first["arm"] is None
    assert [claim["arm"] for claim in others] == ["dense", "terminal"]
    found = read_registration(tmp_path)
    assert found is not None
    assert [claim.hypothesis.arm for claim in found.claims] == [None, "dense", "terminal"]
    assert [claim.settings for claim in found.claims] == [2, 2, 2]
    assert all(claim.confirmatory for claim in found.claims)
    changed = study(hypotheses=[TIMING, {**level, "arm": "terminal"}])
    content = registration(changed, cells(changed))
    assert content_hash(content) != kept(tmp_path)["hash"]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "tail"])
def test_the_line_to_write_makes_the_comparison(kind: Any) -> None:
    lines: dict[str, dict[str, Any]] = {
        "control": {"power_weight": [0, 1]},
        "specification": {"rewards": ["terminal", {"coverage": 1}]},
        "aim": yaml.safe_load("{" + KINDS["aim"].line + "}"),
        "noise": yaml.safe_load("{" + KINDS["noise"].line + "}"),
        "price": yaml.safe_load("{" + KINDS["price"].line + "}"),
        "constraint": yaml.safe_load("{" + KINDS["constraint"].line + "}"),
        "placebo": yaml.safe_load("{" + KINDS["placebo"].line + "}"),
        "labels": yaml.safe_load("{" + KINDS["labels"].line + "}"),
        "lookahead": {"rewards": ["approval"], "lookahead": [8, "cap"]},
        "horizon": {"max_steps": [16, 32]},
        "discount": {"gamma": [1, 0.8]},
    }
    claim = {**TIMING, "contrast": kind}
    claim |= yaml.safe_load(KINDS[kind].line) if kind == "level" else {}
    assert cells(study(hypotheses=[claim], **lines.get(kind, {})))


def test_what_cannot_get_a_verdict_is_said_before_any_compute() -> None:
    assert study_cautions(study()) == ()
    control, seeds = study_cautions(study(hypotheses=[TIMING]))
    assert "no positive control in homestead" in control
    assert "no hypothesis gets a verdict below 16" in seeds
    assert "Write seeds: 40" in seeds
    none = {**TIMING, "contrast": "level", "arm": "dense", "direction": "none"}
    assert "Write seeds: 60" in study_cautions(study(hypotheses=[none]))[1]
    paid = [{"rewards": "dense", "power_weight": 1}]
    assert study_cautions(study(hypotheses=[TIMING], also=paid, seeds=16)) == ()
    only = [{**TIMING, "contrast": "control"}]
    assert study_cautions(study(hypotheses=only, also=paid, seeds=16)) == ()


CONTROLLED: dict[str, dict[str, Any]] = {
    "dense": {},
    "no dense": {"rewards": ["terminal", {"coverage": 1}]},
    "every cell paid": {"power_weight": 1},
    "a block of its own": {"rewards": ["dense"], "also": [{"rewards": {"every": "cap"}}]},
    "two worlds": {"worlds": [{"id": "homestead", "openness": [0, 2]}, {"id": "off-switch"}]},
    "off-switch": {"worlds": [{"id": "off-switch", "params": {"interruption": 0.25}}]},
}


@pytest.mark.parametrize("keys", CONTROLLED.values(), ids=CONTROLLED)
def test_the_line_to_write_gives_the_study_its_control(keys: dict[str, Any]) -> None:
    contrast = "specification" if keys is CONTROLLED["no dense"] else "timing"
    claim = {**TIMING, "contrast": contrast, "measure": "disabled"}
    keys = {**keys, "hypotheses": [claim], "seeds": 16}
    (line,) = study_cautions(study(**keys))
    name, text = re.findall(r"(also|power_weight): (.*)\.$", line)[0]
    value = yaml.safe_load(text)
    value = [*keys.get("also", []), *value] if name == "also" else value
    assert study_cautions(study(**{**keys, name: value})) == ()


def test_nothing_impossible_is_suggested() -> None:
    """The foreign world has nothing to pay for; a claim about what is not there is told."""
    worlds = [{"id": "off-switch"}, {"id": "homestead"}]
    (line, _, _) = study_cautions(study(worlds=worlds, hypotheses=[TIMING]))
    assert "hypotheses[0] is about beyond, and nothing can be acquired in off-switch" in line
    assert "Write measure: disabled." in line
    bare = [{"id": "powerless-by-test"}]
    keys = {"worlds": bare, "hypotheses": [{**TIMING, "measure": "success"}], "seeds": 16}
    exact = {**TIMING, "contrast": "level", "arm": "dense", "measure": "optimum_success"}
    assert study_cautions(study(worlds=bare, hypotheses=[exact])) == ()
    (line,) = study_cautions(study(**keys))
    assert "no positive control is possible in powerless-by-test" in line
    assert "Write" not in line


def test_claims_are_kept_before_the_first_trial(tmp_path: Path) -> None:
    store = opened(tmp_path, hypotheses=[TIMING, OPEN])
    found = kept(tmp_path)
    content = found["registered"]
    assert found["hash"] == content_hash(content) == store.manifest()["preregistered"]
    assert (found["late"], found["changes"]) == (False, [])
    assert content["hypotheses"][0]["measure"] == "beyond"
    assert (content["seeds"], content["looks"]) == (2, [2])
    assert content["hypotheses"][1]["measure"] == "share_beyond_incentive"
    assert content["exclusions"] == {"competence": 0.9, "least_reach": 0.9, "least_seeds": 16}
    assert [(c["openness"], c["a"], c["b"]) for c in content["primary"][0]] == [
        (0, "every cap", "dense"),
        (2, "every cap", "dense"),
    ]
    assert len(content["cells"]) == 6
    assert not list(store.trials.iterdir())


def test_nothing_is_registered_where_the_study_is_refused(tmp_path: Path) -> None:
    opened(tmp_path, hypotheses=[TIMING])
    before = kept(tmp_path)
    with pytest.raises(InvalidInput):
        opened(tmp_path, hypotheses=[OPEN], timesteps=200)
    assert kept(tmp_path) == before


def test_going_on_unchanged_leaves_the_registration_alone(tmp_path: Path) -> None:
    store = opened(tmp_path, hypotheses=[TIMING])
    begun(store)
    path = tmp_path / "internals/preregistration.json"
    os.utime(path, ns=(5, 5))
    opened(tmp_path, hypotheses=[TIMING])
    assert path.stat().st_mtime_ns == 5
    found = read_registration(tmp_path)
    assert found is not None
    assert found.notes == ()
    assert [(claim.confirmatory, claim.settings) for claim in found.claims] == [(True, 2)]


def test_before_the_first_trial_claims_may_change(tmp_path: Path) -> None:
    opened(tmp_path, hypotheses=[TIMING])
    opened(tmp_path, hypotheses=[{**TIMING, "margin": 0.2}])
    assert kept(tmp_path)["changes"] == []
    assert kept(tmp_path)["registered"]["hypotheses"][0]["margin"] == 0.2


def test_a_change_after_the_first_trial_is_kept_beside_the_first_claim(tmp_path: Path) -> None:
    store = opened(tmp_path, hypotheses=[TIMING, OPEN])
    begun(store)
    first = kept(tmp_path)
    for _ in range(2):
        opened(tmp_path, hypotheses=[{**TIMING, "margin": 0.01}, OPEN])
    found = kept(tmp_path)
    assert (found["hash"], found["registered"]) == (first["hash"], first["registered"])
    (change,) = found["changes"]
    assert change["changed"] == ["hypotheses"]
    said = read_registration(tmp_path)
    assert said is not None
    shown = [(c.hypothesis.margin.value, c.confirmatory, c.note) for c in said.claims]
    assert [row[:2] for row in shown] == [(0.5, True), (0.1, True), (0.01, False)]
    assert "taken out" in shown[0][2]
    assert shown[1][2] == ""
    assert "changed after the first trial" in shown[2][2]
    assert "Changed after the first trial" in said.notes[0]


def test_seeds_added_after_the_first_trial_are_said(tmp_path: Path) -> None:
    begun(opened(tmp_path, hypotheses=[TIMING]))
    opened(tmp_path, hypotheses=[TIMING], seeds=5)
    said = read_registration(tmp_path)
    assert said is not None
    assert "Seeds were set to 5" in said.notes[0]
    assert [(c.confirmatory, c.note, c.level) for c in said.claims] == [
        (False, "exploratory: seeds were added after a look", 0.05)
    ]


def test_a_registration_from_before_looks_has_one(tmp_path: Path) -> None:
    made = study(hypotheses=[TIMING])
    content = registration(made, cells(made))
    old = {name: value for name, value in content.items() if name != "looks"}
    held = registration_content({}, old, content_hash(old), False, "2026-01-01T00:00:00")
    again = registration_content(held, content, content_hash(content), True, "2026-01-02T00:00:00")
    assert [change["changed"] for change in again["changes"]] == [[]]


def test_each_planned_look_has_its_part_of_the_level(tmp_path: Path) -> None:
    begun(opened(tmp_path, hypotheses=[TIMING], seeds=2, looks=[2, 4, 9]))
    for seeds, level in ((2, 0.01), (4, 0.01), (9, 0.03)):
        opened(tmp_path, hypotheses=[TIMING], seeds=seeds, looks=[2, 4, 9])
        said = read_registration(tmp_path)
        assert said is not None
        assert said.notes == ()
        (claim,) = said.claims
        assert (claim.confirmatory, claim.note) == (True, "")
        assert claim.level == pytest.approx(level)
    # A look that was not planned, whatever the study file says by then.
    opened(tmp_path, hypotheses=[TIMING], seeds=12, looks=[2, 4, 9, 12])
    said = read_registration(tmp_path)
    assert said is not None
    assert not said.claims[0].confirmatory


@pytest.mark.parametrize(
    ("looks", "seeds", "field", "words"),
    [
        ([4, 2], 2, "looks", "Write looks: [2, 4]"),
        ([2, 2], 2, "looks", "Write looks: [2]"),
        ([1, 2, 3, 4, 5, 6], 6, "looks", "at most 5"),
        ([4, 8], 5, "seeds", "Write seeds: 4"),
        ([0, 8], 8, "looks[0]", "seeds"),
    ],
)
def test_looks_that_are_none_are_refused(
    looks: list[int], seeds: int, field: str, words: str
) -> None:
    with pytest.raises(InvalidInput, match=re.escape(words)) as caught:
        study(looks=looks, seeds=seeds)
    assert caught.value.field == field


def test_what_is_undefined_by_construction_is_not_registered(tmp_path: Path) -> None:
    worlds = [{"id": "homestead"}, {"id": "off-switch"}]
    opened(tmp_path, hypotheses=[TIMING], worlds=worlds)
    (compared,) = kept(tmp_path)["registered"]["primary"]
    assert [one["world"] for one in compared] == ["homestead"]


MARGINS: dict[str, tuple[dict[str, Any], str]] = {
    "of what is not in units": ({"measure": "disabled", "margin": {"w": 0.1}}, "margin: 0.1"),
    "by default, of what is not in units": ({"measure": "disabled"}, "not in units"),
    "of the share beyond": ({"contrast": "openness"}, "not in units"),
    "of no width": ({"margin": {"w": 0}}, "margin: {w: 0.1}"),
    "of something else": ({"margin": {"v": 0.1}}, "margin: {w: 0.1}"),
    "as text": ({"margin": "0.5"}, "write 0.5"),
}


@pytest.mark.parametrize(("change", "words"), MARGINS.values(), ids=MARGINS)
def test_a_margin_is_a_number_or_a_share_of_w(change: dict[str, Any], words: str) -> None:
    claim = {key: value for key, value in TIMING.items() if key != "margin"}
    with pytest.raises(InvalidInput, match=re.escape(words)) as caught:
        cells(study(hypotheses=[{**claim, **change}]))
    assert caught.value.field.startswith("hypotheses[0].margin")


def test_a_margin_is_by_default_a_tenth_of_w() -> None:
    claim = {key: value for key, value in TIMING.items() if key != "margin"}
    made = study(hypotheses=[claim, {**claim, "id": "H", "margin": {"w": 0.2}}])
    content = registration(made, cells(made))
    assert [said["margin"] for said in content["hypotheses"]] == [{"w": 0.1}, {"w": 0.2}]
    again = study(hypotheses=[{**content["hypotheses"][1], "id": "again"}])
    assert again.hypotheses[0].smallest == made.hypotheses[1].smallest


def test_a_tail_is_a_claim_about_seeds() -> None:
    tail = {"id": "no seeker", "contrast": {"tail": 1, "share": 0.05}, "direction": "smaller"}
    made = study(hypotheses=[{**tail, "arm": "dense"}])
    assert cells(made)
    (content,) = registration(made, cells(made))["hypotheses"]
    assert content["contrast"] == {"tail": 1.0, "share": 0.05}
    assert (content["margin"], content["measure"]) == (None, "beyond")
    for change, field, words in (
        ({"arm": None}, "hypotheses[0].arm", "Write arm: dense"),
        ({"margin": 0.1}, "hypotheses[0].margin", "Leave it out"),
        ({"line": 0.1}, "hypotheses[0].line", "{tail: 0.1, share: 0.05}"),
        ({"direction": "none"}, "hypotheses[0].direction", "smaller"),
        ({"contrast": {"tail": 1}}, "hypotheses[0].contrast.share", "(0, 1)"),
        ({"contrast": {"tail": "x", "share": 0.1}}, "hypotheses[0].contrast.tail", "number"),
        ({"contrast": {"tail": 1, "share": 1.5}}, "hypotheses[0].contrast.share", "(0, 1)"),
        ({"contrast": "tail"}, "hypotheses[0].contrast", "{tail: 1, share: 0.05}"),
        (
            {"contrast": {"tail": 3, "share": 0.1}, "measure": "success"},
            "hypotheses[0].contrast.tail",
            "0 to 1",
        ),
    ):
        with pytest.raises(InvalidInput, match=re.escape(words)) as caught:
            cells(study(hypotheses=[{**tail, "arm": "dense", **change}]))
        assert caught.value.field == field


def test_the_page_s_example_is_a_study() -> None:
    page = (Path(__file__).parents[3] / "docs/verdicts.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    made = study(**yaml.safe_load(text))
    assert cells(made)
    assert [said.smallest for said in made.hypotheses][:2] == [made.hypotheses[1].margin] * 2


def test_timing_with_a_hidden_discount_is_cautioned() -> None:
    rewards = ["dense", {"every": "cap"}]
    (line,) = study_cautions(study(rewards=rewards, gae_lambda=0.9))
    assert "gae_lambda is 0.9 in homestead" in line
    assert "Write gae_lambda: 1" in line
    assert study_cautions(study(rewards=rewards, gae_lambda=[0.9, 1])) == ()
    assert study_cautions(study(rewards=["dense", "terminal"], gae_lambda=0.9)) == ()


def test_too_few_evaluations_to_see_rest_are_cautioned() -> None:
    paid = [{"rewards": "dense", "power_weight": 1}]
    keys = {"hypotheses": [TIMING], "also": paid, "seeds": 16}
    (line,) = study_cautions(study(**keys, evaluations=12))
    assert "leave 4 in the last third of training" in line
    assert study_cautions(study(**keys, evaluations=13)) == ()


def test_claims_first_made_after_the_first_trial_are_exploratory(tmp_path: Path) -> None:
    begun(opened(tmp_path))
    opened(tmp_path, hypotheses=[TIMING])
    said = read_registration(tmp_path)
    assert said is not None
    assert [claim.confirmatory for claim in said.claims] == [False]


def test_a_lost_registration_does_not_come_back_as_a_fresh_one(tmp_path: Path) -> None:
    begun(opened(tmp_path, hypotheses=[TIMING]))
    (tmp_path / "internals/preregistration.json").unlink()
    said = read_registration(tmp_path)
    assert said is not None
    assert not said.claims[0].confirmatory
    opened(tmp_path, hypotheses=[TIMING])
    said = read_registration(tmp_path)
    assert said is not None
    assert not said.claims[0].confirmatory
    assert "not to be trusted" in said.notes[0]


def test_a_registration_changed_by_hand_is_seen(tmp_path: Path) -> None:
    opened(tmp_path, hypotheses=[TIMING])
    found = kept(tmp_path)
    found["registered"]["hypotheses"][0]["margin"] = 0.01
    (tmp_path / "internals/preregistration.json").write_text(json.dumps(found))
    said = read_registration(tmp_path)
    assert said is not None
    assert not any(claim.confirmatory for claim in said.claims)
    assert "hash" in said.notes[0]


def test_a_study_file_changed_by_hand_is_seen(tmp_path: Path) -> None:
    opened(tmp_path, hypotheses=[TIMING])
    path = tmp_path / "study.yaml"
    path.write_text(path.read_text().replace("margin: 0.5", "margin: 0.05"))
    said = read_registration(tmp_path)
    assert said is not None
    assert [(c.hypothesis.margin.value, c.confirmatory) for c in said.claims] == [
        (0.5, True),
        (0.05, False),
    ]
    assert "changed after the first trial" in said.notes[0]


def test_without_claims_there_is_nothing_to_say(tmp_path: Path) -> None:
    assert read_registration(tmp_path) is None
    opened(tmp_path)
    said = read_registration(tmp_path)
    assert said is not None
    assert (said.claims, said.notes) == ((), ())


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"hash": 1}', "null"])
def test_a_broken_registration_is_refused(tmp_path: Path, text: str) -> None:
    begun(opened(tmp_path, hypotheses=[TIMING]))
    (tmp_path / "internals/preregistration.json").write_text(text)
    with pytest.raises(InvalidInput, match=r"preregistration\.json"):
        read_registration(tmp_path)
    if text in ("", "[]", "null"):
        with pytest.raises(StoreError, match="cannot be read"):
            opened(tmp_path, hypotheses=[TIMING])


def test_changes_add_up_and_a_way_back_is_a_change_too() -> None:
    first = registration_content({}, {"seeds": 1, "hypotheses": []}, "x", False, "monday")
    second = registration_content(first, {"seeds": 1, "hypotheses": [1]}, "y", True, "tuesday")
    third = registration_content(second, {"seeds": 1, "hypotheses": []}, "x", True, "friday")
    assert [c["date"] for c in third["changes"]] == ["tuesday", "friday"]
    assert (third["date"], third["hash"]) == ("monday", "x")


def test_a_changed_claim_makes_the_page_stale(tmp_path: Path) -> None:
    store = opened(tmp_path, hypotheses=[TIMING])
    begun(store)
    store.merge(trials(study()))
    before = sources(tmp_path)
    assert sources(tmp_path) == before
    opened(tmp_path, hypotheses=[OPEN])
    assert sources(tmp_path) != before
