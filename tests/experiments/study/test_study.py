from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from powerseek.errors import InvalidInput
from powerseek.experiments.study.checked import cells, trials
from powerseek.experiments.study.grid import Cell, Trial, canonical_study_json, row_of
from powerseek.experiments.study.lint import study_cautions
from powerseek.experiments.study.schema import (
    Study,
    load_study,
    make_study,
    parse_study,
    shipped_studies,
)

TINY = {"name": "tiny", "worlds": [{"id": "homestead"}], "timesteps": 100}


def study(**keys: Any) -> Study:
    return make_study({**TINY, **keys})


def refused(**keys: Any) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        cells(study(**keys))
    return caught.value


BAD_TEXT = {
    "empty": ("", "STUDY", "holds nothing"),
    "a list": ("- 1", "STUDY", "holds list"),
    "not YAML": ("a: [", "STUDY", "YAML"),
    "a key twice": ("name: x\nname: y", "STUDY", "written twice"),
}


@pytest.mark.parametrize(("text", "field", "words"), BAD_TEXT.values(), ids=BAD_TEXT)
def test_text_that_is_no_study_is_refused(text: str, field: str, words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_study(text)
    assert caught.value.field == field
    assert words in str(caught.value)


BAD_SHAPE: dict[str, tuple[dict[str, Any], str, str]] = {
    "unknown key": ({"nme": 1}, "nme", "known keys: "),
    "unknown world key": ({"worlds": [{"id": "a", "opennes": 1}]}, "worlds[0].opennes", "openness"),
    "unknown key in a block": ({"also": [{"rewads": 1}]}, "also[0].rewads", "'rewards'"),
    "text for a number": (
        {"worlds": [{"id": "a", "openness": ["wide"]}]},
        "worlds[0].openness[0]",
        "a number",
    ),
    "scientific notation": ({"timesteps": "3e5"}, "timesteps", "write 300000"),
    "negative size": ({"timesteps": -3}, "timesteps", ">= 1"),
    "a name that leaves its folder": ({"name": "../s"}, "name", "without /"),
    "a name of two folders": ({"name": "a\\b"}, "name", "without /"),
    "a hidden name": ({"name": ".s"}, "name", "begins with no dot"),
    "a name without letters": ({"name": ""}, "name", "a name"),
    "a name with NUL": ({"name": "a\0b"}, "name", "a name"),
    "half a letter": ({"name": "\ud800"}, "name", "a name"),
    "a name longer than files have": ({"name": "x" * 300}, "name", "at most 100 letters"),
    "an id that rings": (
        {"hypotheses": [{"id": "\a", "contrast": "timing", "direction": "larger", "margin": 1}]},
        "hypotheses[0].id",
        "an id",
    ),
    "a key that is no text": ({1: 2}, "key", "text as a key"),  # type: ignore[dict-item]
    "no seeds": ({"seeds": 0}, "seeds", ">= 1"),
    "a first seed below 0": ({"first_seed": -1}, "first_seed", ">= 0"),
    "a truth value for a number": ({"seeds": True}, "seeds", "whole number"),
    "gamma too large": ({"gamma": 1.2}, "gamma", "(0, 1]"),
    "gamma zero": ({"gamma": [1, 0]}, "gamma[1]", "(0, 1]"),
    "negative weight": ({"power_weight": -1}, "power_weight", ">= 0"),
    "empty list": ({"gamma": []}, "gamma", "(0, 1]"),
    "no worlds": ({"worlds": []}, "worlds", "a list of worlds"),
    "unknown time limit": ({"time_limit": "never"}, "time_limit", "terminal or bootstrap"),
    "no look-ahead": ({"lookahead": [8, 0]}, "lookahead[1]", "a whole number >= 1, cap"),
    "look-ahead in words": ({"lookahead": "far"}, "lookahead", "a whole number >= 1, cap"),
    "hypothesis without id": ({"hypotheses": [{"margin": 1}]}, "hypotheses[0].id", "required"),
    "settings not a mapping": ({"settings": {"ppo": 3}}, "settings.ppo", "{setting: value}"),
}


@pytest.mark.parametrize(("keys", "field", "words"), BAD_SHAPE.values(), ids=BAD_SHAPE)
def test_a_bad_key_is_named_with_what_is_allowed(
    keys: dict[str, Any], field: str, words: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        make_study({**TINY, **keys})
    assert caught.value.field == field
    assert words in str(caught.value)


BAD_CELLS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown world": ({"worlds": [{"id": "homsted"}]}, "worlds[0].id"),
    "unknown parameter": (
        {"worlds": [{"id": "homestead", "params": {"nope": 1}}]},
        "worlds[0].params.nope",
    ),
    "parameter of the wrong type": (
        {"worlds": [{"id": "homestead", "params": {"openness": "x"}}]},
        "worlds[0].params.openness",
    ),
    "openness out of range": (
        {"worlds": [{"id": "homestead", "openness": [0, 99]}]},
        "worlds[0].openness",
    ),
    "openness twice": (
        {"worlds": [{"id": "homestead", "openness": 1, "params": {"openness": 1}}]},
        "worlds[0].params.openness",
    ),
    "unknown reward": ({"rewards": ["dense", "denser"]}, "rewards[1]"),
    "k above the cap": ({"rewards": [{"every": 1000}]}, "rewards[0]"),
    "k above the cap of a block": ({"also": [{"rewards": {"every": 1000}}]}, "also[0].rewards[0]"),
    "bootstrap at gamma 1": ({"time_limit": "bootstrap"}, "time_limit"),
    "unknown agent": ({"agents": ["pppo"]}, "agents"),
    "unknown agent of a world": (
        {"worlds": [{"id": "homestead", "agents": "pppo"}]},
        "worlds[0].agents",
    ),
    "unknown agent in settings": ({"settings": {"pppo": {"ent_coef": 0.1}}}, "settings"),
    "unknown setting": (
        {"settings": {"cohort-ppo": {"entropy": 0.1}}},
        "settings.cohort-ppo.entropy",
    ),
    "bad setting of a world": (
        {"worlds": [{"id": "homestead", "settings": {"cohort-ppo": {"n_envs": 0}}}]},
        "worlds[0].settings.cohort-ppo.n_envs",
    ),
    "value-target length the agent does not have": ({"n_step": 5}, "n_step"),
    "value-target length twice": (
        {"gae_lambda": 0.9, "settings": {"cohort-ppo": {"gae_lambda": 0.8}}},
        "settings.cohort-ppo.gae_lambda",
    ),
    "lookahead without overseer": ({"lookahead": 3}, "lookahead"),
    "lookahead without an arm that looks ahead": (
        {"lookahead": 3, "rewards": {"coverage": 1}},
        "lookahead",
    ),
    "lookahead of a block without overseer": (
        {
            "rewards": ["approval"],
            "lookahead": 3,
            "also": [{"rewards": "dense", "lookahead": 2}],
        },
        "also[0].lookahead",
    ),
    "lookahead given twice": (
        {"lookahead": 3, "rewards": ["approval", {"approval": 4}]},
        "rewards[1]",
    ),
    "lookahead not given": ({"rewards": ["dense", "approval"]}, "rewards[1]"),
    "lookahead above the cap": ({"lookahead": [3, 1000], "rewards": "approval"}, "lookahead"),
    "look-ahead above the cap": ({"rewards": {"approval": 1000}}, "rewards[0]"),
    "an overseer of unknown aim": (
        {"rewards": {"approval": 3, "aim": "power"}},
        "rewards[0]",
    ),
    "an overseer past a bootstrapped cap": (
        {"rewards": {"coverage": 1}, "gamma": 0.9, "time_limit": "bootstrap"},
        "time_limit",
    ),
    "an arm that is none beside a lookahead": (
        {"rewards": ["approval", "denser"], "lookahead": 3},
        "rewards[1]",
    ),
    "cohort without a cohort agent": ({"agents": "maskable-ppo", "cohort": 3}, "cohort"),
}


@pytest.mark.parametrize(("keys", "field"), BAD_CELLS.values(), ids=BAD_CELLS)
def test_a_cell_that_cannot_be_built_is_named(keys: dict[str, Any], field: str) -> None:
    assert refused(**keys).field == field


def test_a_reward_given_as_an_empty_value_is_refused() -> None:
    assert refused(rewards=[None]).field == "rewards[0]"


def test_cells_are_the_product_of_the_dials() -> None:
    grid = cells(
        study(
            worlds=[{"id": "homestead", "openness": [0, 1]}],
            rewards=["dense", {"every": "cap"}, "terminal"],
            gamma=[1, 0.8],
        )
    )
    assert len(grid) == 2 * 3 * 2
    assert len({cell.key for cell in grid}) == len(grid)


def test_a_price_on_an_overseer_s_reward_leaves_its_look_ahead() -> None:
    (cell,) = cells(study(rewards=[{"priced": 0.02, "of": {"approval": 8}}]))
    assert (cell.reward_label, cell.lookahead) == ("approval 8 price 0.02", 8)


def test_lookaheads_are_those_of_the_arms_that_look_ahead() -> None:
    far = {"approval": None, "aim": "progress"}
    grid = cells(study(rewards=["dense", "approval", far], lookahead=[1, 8, "cap"]))
    shown = [(cell.reward_label, cell.lookahead) for cell in grid]
    cap = grid[0].max_steps
    assert shown == [
        ("dense", None),
        ("approval 1", 1),
        ("approval 8", 8),
        ("approval cap", cap),
        ("approval 1 progress", 1),
        ("approval 8 progress", 8),
        ("approval cap progress", cap),
    ]


def test_a_lookahead_may_be_written_in_the_arm() -> None:
    (written,) = cells(study(rewards={"approval": 8}))
    (given,) = cells(study(rewards="approval", lookahead=8))
    assert (written.key, written.lookahead) == (given.key, 8)
    (covered,) = cells(study(rewards={"coverage": 0.5}))
    assert (covered.reward_label, covered.lookahead) == ("coverage 0.5", None)


def test_a_block_without_overseer_may_inherit_a_lookahead() -> None:
    grid = cells(study(rewards="approval", lookahead=[2, 4], also=[{"rewards": "dense"}]))
    assert [cell.lookahead for cell in grid] == [2, 4, None]
    grid = cells(study(rewards="dense", lookahead=[2, 4], also=[{"rewards": "approval"}]))
    assert [cell.lookahead for cell in grid] == [None, 2, 4]


def test_what_to_write_is_said() -> None:
    assert "rewards: [approval]" in refused(lookahead=3).hint
    assert "leave lookahead out" in refused(lookahead=3, rewards={"approval": 4}).hint
    assert "{approval: 8}" in refused(rewards="approval").hint


def test_a_block_replaces_keys_for_its_cells_only() -> None:
    grid = cells(
        study(rewards=["dense", "terminal"], also=[{"rewards": "dense", "power_weight": 1}])
    )
    shown = [(cell.reward, cell.power_weight) for cell in grid]
    assert shown == [("dense", 0.0), ("terminal", 0.0), ("dense", 1.0)]


def test_a_cell_written_twice_is_one_cell() -> None:
    assert len(cells(study(gamma=[1, 1.0], also=[{"rewards": "dense"}]))) == 1


def test_a_world_overrides_the_study() -> None:
    worlds = [{"id": "homestead", "max_steps": 9, "timesteps": 50}, {"id": "homestead"}]
    first, second = cells(study(worlds=worlds, max_steps=12))
    assert (first.max_steps, first.timesteps) == (9, 50)
    assert (second.max_steps, second.timesteps) == (12, 100)


def test_every_arm_observes_every_window_of_its_cap() -> None:
    grid = cells(
        study(max_steps=[8, 12], rewards=["dense", {"every": 4}, {"every": "cap"}, {"every": 8}])
    )
    assert {cell.max_steps: cell.windows for cell in grid} == {8: (4, 8), 12: (4, 8, 12)}


def test_seeds_are_paired_across_cells_and_whole_seeds_come_first() -> None:
    grid = trials(study(rewards=["dense", "terminal"], seeds=3))
    assert [trial.seed for trial in grid] == [0, 0, 1, 1, 2, 2]


def test_a_study_may_use_seeds_that_chose_no_setting() -> None:
    grid = trials(study(rewards=["dense", "terminal"], seeds=2, first_seed=10_001))
    assert [trial.seed for trial in grid] == [10_001, 10_001, 10_002, 10_002]
    usual = {trial.key for trial in trials(study(rewards=["dense", "terminal"], seeds=2))}
    assert usual.isdisjoint(trial.key for trial in grid)


def test_an_identity_changes_with_anything_in_the_configuration() -> None:
    base = cells(study())[0]
    grid = cells(study(worlds=[{"id": "homestead", "openness": [0, 2]}], gamma=[1, 0.9]))
    keys = {Trial(cell, seed).key for cell in (base, *grid) for seed in (0, 1)}
    assert len(keys) == 2 * len({cell.key for cell in (base, *grid)})
    assert Trial(base, 0, "one study").key == Trial(base, 0, "another").key


def test_a_trial_survives_the_way_through_json() -> None:
    trial = trials(study(rewards={"every": 4}, settings={"cohort-ppo": {"ent_coef": 0.02}}))[0]
    again = Trial.from_config(trial.config, trial.study)
    assert (again, again.key) == (trial, trial.key)


def test_an_identity_is_the_same_in_every_process(tmp_path: Path) -> None:
    code = (
        "from powerseek.experiments.study.grid import Cell, Trial\n"
        "print(Trial(Cell('w', 1, {'b': 2, 'a': .1}, {'every': 8}, 'ppo', 100), 3).key)"
    )
    here = Trial(Cell("w", 1, {"a": 0.1, "b": 2}, {"every": 8}, "ppo", 100), 3).key
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**__import__("os").environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == here


def test_canonical_json_ignores_order() -> None:
    assert canonical_study_json({"a": 1, "b": [1.5, None]}) == canonical_study_json(
        {"b": [1.5, None], "a": 1}
    )


def test_discount_with_uncorrected_delay_is_cautioned_once() -> None:
    assert study_cautions(study(rewards=["dense", {"every": 4}], gae_lambda=1)) == ()
    assert study_cautions(study(rewards=[{"every": 4, "corrected": True}], gamma=0.9)) == ()
    (words,) = study_cautions(study(rewards=[{"every": 4}, {"every": 8}], gamma=[0.9, 1.0]))
    assert "confounded" in words


def test_one_treatment_under_two_labels_is_cautioned() -> None:
    given = {"worlds": [{"id": "star", "max_steps": [6, 12]}], "agents": ["ppo"], "gae_lambda": 1}
    (words,) = study_cautions(study(**given, rewards=["dense", {"every": 6}, {"every": "cap"}]))
    assert words.startswith("every 6 and every cap are both timing 6 in star at 6 steps: ")
    words, _ = study_cautions(study(**given, rewards=["dense", {"every": 1}]))
    assert words.startswith("dense and every 1 are both timing 1 in star at 6 steps: ")
    assert study_cautions(study(**given, rewards=["dense", {"every": 3}, "terminal"])) == ()
    # Labels are no steps: a time limit does not bound them.
    given |= {"agents": ["cohort-ppo"]}
    assert study_cautions(study(**given, rewards=[{"preference": 20}, {"preference": 200}])) == ()


def test_studies_are_found_by_path_and_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("name: mine\nworlds: [{id: homestead}]\ntimesteps: 5\n")
    assert load_study("mine.yaml").name == "mine"
    assert load_study("quick").name == "quick"
    with pytest.raises(InvalidInput, match="quick"):
        load_study("quik")
    with pytest.raises(InvalidInput):
        load_study(tmp_path)


def test_a_study_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(InvalidInput, match="UTF-8"):
        load_study(path)


@pytest.mark.parametrize("name", shipped_studies())
def test_shipped_studies_can_be_built(name: str) -> None:
    assert cells(load_study(name))


def test_make_studies_runs_every_shipped_study_but_the_short_ones() -> None:
    makefile = (Path(__file__).parents[3] / "Makefile").read_text(encoding="utf-8")
    (line,) = (line for line in makefile.splitlines() if line.startswith("STUDIES ?= "))
    assert {*line.split()[2:]} == {*shipped_studies()} - {"demo", "quick"}


ONE_TREATMENT: dict[str, dict[str, Any]] = {
    "a reward at its default": {"rewards": ["terminal", {"terminal": {"pay": "success"}}]},
    "a reward and true": {"rewards": ["dense", {"dense": True}]},
    "an option that is off": {"rewards": [{"every": 2}, {"every": 2, "corrected": False}]},
    "a whole number and a fraction": {"rewards": [{"thinned": 1}, {"thinned": 1.0}]},
    "a parameter at its default": {"worlds": [{"id": "star"}, {"id": "star", "goals": [0, 0]}]},
    "a cap twice": {"worlds": [{"id": "star"}, {"id": "star", "max_steps": [6, 6]}]},
    "gamma": {"gamma": [1, 1.0]},
    "a weight of minus 0": {"power_weight": [0, 0.0, -0.0]},
    "agents": {"agents": ["ppo", "ppo"]},
    "a setting at its default": {"settings": {"ppo": {"gae_lambda": [0.95, 0.95]}}},
    "a setting in the world and in the study": {
        "worlds": [{"id": "star"}, {"id": "star", "settings": {"ppo": {"gae_lambda": 0.9}}}],
        "settings": {"ppo": {"gae_lambda": 0.9}},
    },
    "timesteps": {"timesteps": [100, 100]},
    "blocks": {"also": [{"gamma": 1.0}, {"rewards": [{"dense": True}]}]},
}


@pytest.mark.parametrize("keys", ONE_TREATMENT.values(), ids=ONE_TREATMENT)
def test_a_treatment_written_in_two_ways_is_one_cell(keys: dict[str, Any]) -> None:
    assert len(cells(study(**{"worlds": [{"id": "star"}], "agents": ["ppo"], **keys}))) == 1


def test_the_first_way_of_writing_names_the_trials() -> None:
    """Results of a study keep their names when a line is added that says the same again."""
    before = trials(study(rewards=[{"coverage": 1}], worlds=[{"id": "required"}]))
    after = trials(study(rewards=[{"coverage": 1}, {"coverage": 1.0}], worlds=[{"id": "required"}]))
    assert [trial.key for trial in after] == [trial.key for trial in before]


def test_two_treatments_of_one_row_are_refused_by_name() -> None:
    """Labels have six digits: both would be rows of ``coverage 0.123457``."""
    given = {"rewards": [{"coverage": 0.1234567}, {"coverage": 0.1234568}]}
    error = refused(worlds=[{"id": "required"}], **given)
    assert error.field == "worlds[0], rewards[1]"
    assert "worlds[0], rewards[0]" in error.allowed
    assert "0.1234567" in error.allowed


def test_levels_of_competence_are_each_measured_once() -> None:
    (cell,) = cells(study(competence=[0.9, 0.5, 0.9]))
    assert cell.competence == (0.9, 0.5)
    assert refused(competence=[0.9, 0.9000001]).field == "competence"


def test_references_written_twice_are_run_once() -> None:
    given = {"worlds": [{"id": "star"}, {"id": "star", "goals": 0}], "references": ["random"] * 2}
    assert sum(trial.cell.is_reference for trial in trials(study(**given))) == 1


@pytest.mark.parametrize("letter", ["\x1b", "\x9b", "\u202e", "\u2066", "\u2028"])
def test_no_letter_that_steers_is_part_of_a_name_or_an_id(letter: str) -> None:
    given = {"name": f"a{letter}b", "worlds": [{"id": "star"}], "timesteps": 1}
    with pytest.raises(InvalidInput, match="name: got"):
        make_study(given)
    claim = {"id": f"a{letter}b", "contrast": "timing", "direction": "larger", "margin": 1.0}
    with pytest.raises(InvalidInput, match=r"hypotheses\[0\].id: got"):
        make_study({**given, "name": "s", "hypotheses": [claim]})


# --- phases -----------------------------------------------------------------------------------

PHASES = {
    "scratch": [{"reward": "task"}],
    "cloned": [{"imitate": "minimalist", "steps": 3}, {"reward": "task"}],
}


def test_phases_are_a_factor_whose_levels_are_their_names() -> None:
    found = cells(study(phases=PHASES, timesteps=5000))
    assert [cell.phases for cell in found] == ["scratch", "cloned"]
    assert "phases=cloned" in found[1].label()
    assert found[1].settings["phases"][0] == {
        **{"imitate": "minimalist", "steps": 3},
        **{"episodes": 200, "batch_size": 256},
    }
    levels = [dict(row_of(cell)) for cell in found]
    assert [row["phases"] for row in levels] == ["scratch", "cloned"]
    assert "settings.phases" not in levels[0]
    assert Trial.from_config(Trial(found[1], 3).config).key == Trial(found[1], 3).key


def test_a_cell_without_phases_is_what_it_was() -> None:
    (cell,) = cells(study())
    assert "phases" not in cell.config
    assert "phases" not in cell.settings


def test_one_name_is_one_list_of_phases() -> None:
    """Under one name two ways of training would be one row."""
    other = {"cloned": [{"imitate": "hoarder", "steps": 3}, {"reward": "task"}]}
    assert "both would be the row" in str(
        refused(phases=PHASES, also=[{"phases": other}], timesteps=5000)
    )


def test_rewards_of_phases_are_seen_by_every_agent() -> None:
    own = {**PHASES, "two": [{"reward": {"every": 4}, "timesteps": 4096}, {"reward": "task"}]}
    found = cells(study(phases=own, timesteps=10_000))
    assert {cell.windows for cell in found} == {(4,)}


BAD_PHASES: dict[str, tuple[Any, str, str]] = {
    "a list": ([{"reward": "task"}], "phases", "Write phases: {mine: [...]}"),
    "no list": ({"mine": {"reward": "task"}}, "phases.mine", "under a name"),
    "no phase": ({"mine": [{"steps": 3}]}, "phases.mine[0]", "{imitate: AGENT"),
    "an unknown demonstrator": (
        {"mine": [{"imitate": "saint"}, {"reward": "task"}]},
        "phases.mine[0].imitate",
        "an agent that does not learn",
    ),
    "no prior": (
        {"mine": [{"reward": "task", "leash": {"to": 0, "kl": 1}}]},
        "phases.mine[0].leash.to",
        "Write to: random, or imitate first",
    ),
    "too few steps": (
        {"mine": [{"reward": "task", "timesteps": 50}, {"reward": "task"}]},
        "phases.mine[0].timesteps",
        "at least 4,096",
    ),
}


@pytest.mark.parametrize(("phases", "field", "words"), BAD_PHASES.values(), ids=BAD_PHASES)
def test_bad_phases_are_refused_by_their_name(phases: Any, field: str, words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        cells(study(phases=phases, timesteps=5000))
    assert caught.value.field == field
    assert words in str(caught.value)


def test_phases_of_an_agent_that_has_none_are_refused() -> None:
    error = refused(phases=PHASES, agents=["ppo"], timesteps=5000)
    assert error.field == "agents"
    assert "trained by phases: cohort-ppo" in str(error)
