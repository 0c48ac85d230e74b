"""What ``--set`` makes of a study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from powerseek.errors import InvalidInput
from powerseek.experiments.study.changes import (
    Change,
    change_study,
    load_changed_study,
    naming_changes,
)
from powerseek.experiments.study.schema import load_study, shipped_studies

STUDY: dict[str, Any] = {
    "name": "s",
    "worlds": [{"id": "homestead", "openness": [0, 1]}, {"id": "star", "params": {"leaves": 3}}],
    "gamma": 1.0,
    "timesteps": 100,
    "settings": {"my.agent": {"rate": 1}},
    "also": [],
    "looks": None,
}


def changed(*lines: str) -> dict[str, Any]:
    return change_study(STUDY, lines)[0]


@pytest.mark.parametrize(
    ("line", "where", "value"),
    [
        ("seeds=32", ["seeds"], 32),
        ("gamma=[1.0, .9]", ["gamma"], [1.0, 0.9]),
        ("worlds.0.openness=[0,2]", ["worlds", 0, "openness"], [0, 2]),
        ("worlds.0.openness.1=2", ["worlds", 0, "openness", 1], 2),
        ("worlds.1=homestead", ["worlds", 1], "homestead"),
        ("worlds.0.params.quota=2", ["worlds", 0, "params", "quota"], 2),
        ("worlds.1.params.leaves=4", ["worlds", 1, "params", "leaves"], 4),
        ("settings.ppo.net=[8]", ["settings", "ppo", "net"], [8]),
        ('settings."my.agent".rate=2', ["settings", "my.agent", "rate"], 2),
        ("rewards=[{every: 8}, {coverage: .5, aim: need}]", ["rewards", 1, "aim"], "need"),
        ("name=a=b", ["name"], "a=b"),
        ("looks=", ["looks"], None),
    ],
)
def test_a_value_stands_where_the_path_says_and_nothing_else_changes(
    line: str, where: list[Any], value: Any
) -> None:
    before = yaml.safe_dump(STUDY)
    here: Any = changed(line)
    there: Any = here
    for part in where:
        there = there[part]
    assert there == value
    assert yaml.safe_dump(STUDY) == before
    assert {key: here[key] for key in STUDY if key != where[0]} == {
        key: value for key, value in STUDY.items() if key != where[0]
    }


def test_changes_are_made_in_order_and_say_what_was_there() -> None:
    data, (first, second, third) = change_study(
        STUDY, ["worlds.0={id: star}", "worlds.0.openness=1", "gamma=.9"]
    )
    assert data["worlds"][0] == {"id": "star", "openness": 1}
    assert first == Change(("worlds", "0"), {"id": "star"}, STUDY["worlds"][0])
    _, (whole, _) = change_study(STUDY, ["settings={a: {b: 1}}", "settings.a.b=2"])
    assert whole.value == {"a": {"b": 1}}
    assert str(second) == "worlds.0.openness = 1 (was not written)"
    assert str(third) == "gamma = 0.9 (was 1.0)"


def test_what_an_alias_stands_for_is_changed_in_one_place_only() -> None:
    world = {"id": "star", "params": {"leaves": 3}}
    data, _ = change_study({"worlds": [world, world]}, ["worlds.0.params.leaves=4"])
    assert [entry["params"]["leaves"] for entry in data["worlds"]] == [4, 3]


REFUSED = {
    "seeds": ("--set", "PATH=VALUE", "--set seeds=32"),
    "=3": ("--set", "PATH=VALUE", ""),
    "a..b=3": ("--set", "PATH=VALUE", ""),
    ".seeds=3": ("--set", "PATH=VALUE", ""),
    "seeds.=3": ("--set", "PATH=VALUE", ""),
    'seeds."=3': ("--set", "PATH=VALUE", ""),
    "seeds=[": ("--set seeds", "a value as a study file writes it", "Line 1"),
    "seeds=010": ("--set seeds", "a value as a study file writes it", "no one meaning"),
    "wrlds.0.openness=[0, 2]": (
        "--set wrlds.0.openness",
        "a key of the study: name, worlds, gamma",
        "Write --set 'worlds.0.openness=[0, 2]'.",
    ),
    "worlds.2.openness=1": (
        "--set worlds.2.openness",
        "a place in worlds: 0 is homestead, 1 is star",
        "Write --set worlds.0.openness=1.",
    ),
    "worlds.homestead.openness=1": ("", "0 is homestead", "--set worlds.0.openness=1."),
    "worlds.-1=star": ("", "0 is homestead, 1 is star", "--set worlds.0=star."),
    "worlds.2=star": ("", "0 is homestead, 1 is star", "--set worlds.0=star."),
    "worlds.01=star": ("", "0 is homestead, 1 is star", "--set worlds.0=star."),
    "gamma.0=.9": ("--set gamma.0", "no part of gamma, which is 1.0", "--set 'gamma=[0.9]'."),
    "gamma.x.y=.9": ("", "no part of gamma, which is 1.0", "--set 'gamma={x: {y: 0.9}}'."),
    "also.0.gamma=.9": ("", "no part of also, which is []", "--set 'also=[{gamma: 0.9}]'."),
    "looks.0=9": ("", "no part of looks, which is null", "--set 'looks=[9]'."),
}


@pytest.mark.parametrize(("line", "named"), REFUSED.items(), ids=REFUSED)
def test_a_path_to_nowhere_is_refused_with_what_is_there(
    line: str, named: tuple[str, str, str]
) -> None:
    field, allowed, hint = named
    with pytest.raises(InvalidInput) as refused:
        changed(line)
    assert refused.value.field == (field or f"--set {line.partition('=')[0]}")
    assert allowed in refused.value.allowed
    assert hint in refused.value.hint


@pytest.mark.parametrize(
    "lines",
    [["seeds=1", "seeds=2"], ["worlds.0.openness=1", "worlds=[]"], ["gamma=1", "gamma=1"]],
)
def test_a_change_that_undoes_another_is_refused(lines: list[str]) -> None:
    with pytest.raises(InvalidInput, match="Leave one of them out"):
        changed(*lines)


@pytest.mark.parametrize(
    ("line", "field", "allowed"),
    [
        ("sedes=3", "--set sedes", "did you mean 'seeds'"),
        ("seeds=many", "--set seeds", "whole number"),
        ("seeds=.nan", "--set seeds", "whole number"),
        ("seeds=", "--set seeds", "whole number"),
        ("worlds.0.opennes=1", "--set worlds.0.opennes", "did you mean 'openness'"),
        ("worlds.0.openness=[x]", "--set worlds.0.openness", "number"),
        ("setings.ppo.net=1", "setings", "did you mean 'settings'"),
    ],
)
def test_what_the_study_cannot_be_is_said_of_the_option(
    line: str, field: str, allowed: str, tmp_path: Path
) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(yaml.safe_dump({**STUDY, "settings": {}}))
    with pytest.raises(InvalidInput) as refused:
        load_changed_study(path, [line])
    assert refused.value.field.endswith(field)
    assert allowed in str(refused.value)


def test_only_errors_about_what_was_set_name_the_option() -> None:
    _, changes = change_study(STUDY, ["worlds.0.openness=[9]"])
    for field, named in (
        ("worlds[0].openness", "--set worlds.0.openness"),
        ("worlds[0].openness[0]", "--set worlds.0.openness"),
        ("worlds[1].openness", "worlds[1].openness"),
        ("--out", "--out"),
    ):
        with pytest.raises(InvalidInput) as refused, naming_changes(changes):
            raise InvalidInput(field, 9, "less")
        assert refused.value.field == named


@pytest.mark.parametrize("name", shipped_studies())
def test_shipped_studies_can_be_changed(name: str) -> None:
    study, changes = load_changed_study(name, ["seeds=80", "name=mine"])
    assert (study.seeds, study.name) == (80, "mine")
    assert [change.key for change in changes] == ["seeds", "name"]
    assert study.model_copy(update={"seeds": 0, "name": ""}) == load_study(name).model_copy(
        update={"seeds": 0, "name": ""}
    )


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab.", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.text("ab.", min_size=1, max_size=2), inner, max_size=2)
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.text("ab", min_size=1), PLAIN), st.text('ab.01="[ -', max_size=9))
def test_any_text_is_a_change_or_refused(data: dict[str, Any], line: str) -> None:
    try:
        after, (change,) = change_study(data, [line])
    except InvalidInput as error:
        field = error.field
    else:
        field = "--set"
        # Said again of what came out, it changes nothing.
        again, (same,) = change_study(after, [line])
        assert again == after
        assert same.before == change.value
    assert field.startswith("--set")


def test_a_results_directory_given_as_a_study_says_how_to_go_on(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(STUDY))
    with pytest.raises(InvalidInput, match=r"powerseek sweep .*/study.yaml --out .* --resume"):
        load_study(tmp_path)
