"""Runs side by side: effects are those planted, matched by what they compare."""

from __future__ import annotations

import functools
import io
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from finished import TIMING, finished
from PIL import Image
from synthetic import planted, trial_rows

from powerseek.errors import InvalidInput
from powerseek.experiments import layout
from powerseek.experiments.analysis.view import View
from powerseek.experiments.checksums import unchecked_record
from powerseek.experiments.cli.compare import print_side_by_side
from powerseek.experiments.compare.files import check_files, csv_table, panels, write_files
from powerseek.experiments.compare.runs import run_names
from powerseek.experiments.compare.side_by_side import SideBySide, side_by_side
from powerseek.experiments.compare.text import is_muted, match_grid, reasons_in_words
from powerseek.experiments.console import Console
from powerseek.experiments.report.figures.forest import ForestPanel, ForestRow, forest_picture
from powerseek.experiments.results.files import StoreError, write_json

ROW = ForestRow("a", "gamma 1", 0.5, 0.2, 0.8, 0.0, 0.3, "supported", False)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Studies of the same claim: another learner, another world, and without a claim."""
    folder = tmp_path_factory.mktemp("runs")
    other = {"world": "endgame", "goal": "mate", "max_steps": 20}
    named = {**TIMING, "id": "later pays more"}
    return {
        "ppo": finished(folder / "ppo", planted(0.9) + planted(0.2, openness=2.0)),
        "dqn": finished(
            folder / "dqn", planted(0.1, seeds=20, agent="dqn"), hypotheses=[named], seeds=20
        ),
        "endgame": finished(
            folder / "endgame", planted(-0.7, unlearnt=5, **other), world="endgame"
        ),
        "plain": finished(folder / "plain", planted(0.4, agent="a2c"), hypotheses=[]),
    }


@functools.cache
def compared(*paths: Path) -> SideBySide:
    """Runs that nobody changes, compared once."""
    return side_by_side(paths)


def test_effects_are_those_planted_each_with_its_own_verdict(runs: dict[str, Path]) -> None:
    found = compared(runs["ppo"], runs["dqn"])
    (match,) = found.matches
    assert [one.run for one in match.effects] == ["ppo", "dqn"]
    assert [one.effect for one in match.effects] == pytest.approx([0.9, 0.1])
    assert [one.verdict for one in match.effects] == ["supported", "equivalent to none"]
    assert [one.seeds for one in match.effects] == [16, 20]
    assert [one.margin for one in match.effects] == [0.5, 0.5]
    assert [one.unit for one in match.effects] == ["units"] * 2
    for one in match.effects:
        assert one.low < one.effect < one.high
        assert one.competence == pytest.approx((0.95, 0.95))
        assert one.reach == (1.0, 1.0)


def test_numbers_are_those_of_each_report(runs: dict[str, Path]) -> None:
    found = compared(runs["ppo"], runs["dqn"])
    for one in found.matches[0].effects:
        (own, *_) = View.read(runs[one.run]).findings
        assert (one.effect, one.low, one.high) == own.comparison.effect[:3]
        assert one.verdict == own.verdict.answer


def test_only_what_differs_is_told_and_told_first(runs: dict[str, Path]) -> None:
    found = compared(runs["ppo"], runs["dqn"], runs["endgame"])
    assert found.differences == {
        "world": ["homestead", "homestead", "endgame"],
        "openness": ["0, 2", "0", "0"],
        "goal": ["deliver", "deliver", "mate"],
        "max_steps": ["28", "28", "20"],
        "agent": ["ppo", "dqn", "ppo"],
        "seeds": ["0 to 15 (16)", "0 to 19 (20)", "0 to 15 (16)"],
    }
    text = printed(found)
    assert text.index("What differs") < text.index("timing")
    assert "gamma" not in text[: text.index("timing")]


def test_same_claim_in_another_world_is_matched_and_what_one_has_alone_is_listed(
    runs: dict[str, Path],
) -> None:
    found = compared(runs["ppo"], runs["endgame"])
    (match,) = found.matches
    assert [one.setting["world"] for one in match.effects] == ["homestead", "endgame"]
    assert [one.effect for one in match.effects] == pytest.approx([0.9, -0.7], abs=0.15)
    assert match.effects[1].reach[0] == pytest.approx(11 / 16)
    assert match.effects[1].verdict == "cannot tell"
    (alone,) = found.alone
    assert (alone.run, alone.setting["openness"]) == ("ppo", "2")
    assert "In one run only" in printed(found)


def test_claims_are_matched_by_what_they_compare_not_by_id(
    tmp_path: Path, runs: dict[str, Path]
) -> None:
    found = compared(runs["ppo"], runs["dqn"])
    assert [one.claim for one in found.matches[0].effects] == ["H1a", "later pays more"]
    # The same id of another measure is another claim: the standard contrasts are shown instead.
    other = finished(
        tmp_path / "other", planted(0.5, agent="dqn"), [{**TIMING, "measure": "excess"}]
    )
    found = side_by_side([runs["ppo"], other])
    assert "share no hypothesis" in found.notes[-1]
    assert all(not one.claim for match in found.matches for one in match.effects)


def test_without_hypotheses_the_standard_contrasts_are_compared(runs: dict[str, Path]) -> None:
    found = compared(runs["ppo"], runs["plain"])
    assert "plain tested no hypothesis" in found.notes[0]
    timing = next(match for match in found.matches if match.effects[0].kind == "timing")
    assert [one.effect for one in timing.effects] == pytest.approx([0.9, 0.4])
    assert timing.effects[0].verdict == "H1a: supported"
    control = next(match for match in found.matches if match.effects[0].kind == "control")
    assert [one.verdict for one in control.effects] == ["fires", "fires"]
    assert match_grid(control).muted == (False, False)


def test_rows_that_are_not_shown_are_counted(tmp_path: Path) -> None:
    paths = []
    for agent in ("ppo", "dqn"):
        rows = [
            trial_rows(
                {"competence": 0.95, "beyond": 1.0}, reward=reward, openness=float(o), agent=agent
            )
            for reward in ("dense", "every cap")
            for o in range(31)
        ]
        paths.append(finished(tmp_path / agent, rows, seeds=1))
    (match,) = side_by_side(paths).matches
    assert len(match.effects) == 62
    assert len(match_grid(match).rows) == 60
    assert reasons_in_words(match)[-1] == "The first 60 of 62 rows; all are in compare.csv."


def test_factor_that_varies_in_one_run_is_matched_with_its_one_value_in_the_other(
    tmp_path: Path,
) -> None:
    both = finished(
        tmp_path / "both",
        planted(0.9, budget=300_000) + planted(0.3, budget=100_000),
        timesteps=[100_000, 300_000],
    )
    one = finished(tmp_path / "one", planted(0.8, budget=100_000, agent="dqn"), timesteps=100_000)
    found = side_by_side([both, one])
    (match,) = found.matches
    assert [each.effect for each in match.effects] == pytest.approx([0.3, 0.8])
    assert [each.setting["budget"] for each in found.alone] == ["300000"]


def test_shared_trials_are_said_not_to_be_independent(
    tmp_path: Path, runs: dict[str, Path]
) -> None:
    copy = Path(shutil.copytree(runs["ppo"], tmp_path / "copy"))
    found = side_by_side([runs["ppo"], copy])
    assert found.notes == (
        "ppo and copy share 96 trials (the same configuration and seed), with the same numbers: "
        "they are not independent of each other.",
    )
    assert found.differences == {}
    more = planted(0.9, seeds=18)
    later = finished(tmp_path / "later", more, seeds=18)
    (note,) = side_by_side([runs["ppo"], later]).notes
    assert "share 48 trials" in note
    assert "with other numbers" in note
    assert compared(runs["ppo"], runs["dqn"]).notes == ()


def test_level_has_both_ends_of_its_bracket(tmp_path: Path) -> None:
    claim = {**TIMING, "id": "H1b", "contrast": "level", "arm": "dense", "direction": "none"}
    paths = [
        finished(tmp_path / name, planted(0.9, agent=name), [claim]) for name in ("ppo", "dqn")
    ]
    found = side_by_side(paths)
    assert [match.effects[0].measure for match in found.matches] == ["beyond", "excess"]
    for match in found.matches:
        assert [one.effect for one in match.effects] == pytest.approx([1.0, 1.0])
        assert all(len(one.competence) == len(one.reach) == 1 for one in match.effects)


def test_levels_of_a_threshold_are_comparisons_of_their_own(tmp_path: Path) -> None:
    claim = {
        "id": "H4a",
        "contrast": {"threshold": "power_weight", "line": 4.0},
        "measure": "acquired",
        "direction": "larger",
    }
    paths = [
        finished(tmp_path / name, planted(0.0, agent=name), [claim]) for name in ("ppo", "dqn")
    ]
    found = side_by_side(paths)
    dense = [m for m in found.matches if "dense" in {e.setting["reward"] for e in m.effects}]
    assert [m.effects[0].arms for m in dense] == ["power_weight 0", "power_weight 1"]
    assert [m.effects[0].effect for m in dense] == pytest.approx([3, 5], abs=0.1)
    assert {one.null for match in dense for one in match.effects} == {4.0}


def test_fraction_of_seeds_is_told_as_one(tmp_path: Path) -> None:
    claim = {"id": "tail", "contrast": {"tail": 1.0, "share": 0.2}, "arm": "every cap"}
    claim |= {"direction": "smaller", "measure": "beyond"}
    paths = [
        finished(tmp_path / name, planted(5.0, agent=name), [claim]) for name in ("ppo", "dqn")
    ]
    match = side_by_side(paths).matches[0]
    assert [one.effect for one in match.effects] == [1.0, 1.0]
    assert match.effects[0].subject.startswith("fraction of seeds with acquisition beyond")
    assert [one.unit for one in match.effects] == ["share", "share"]
    assert match_grid(match).rows[0][1].startswith("1.00 [")


def test_arms_that_differ_between_runs_stand_in_each_row(tmp_path: Path) -> None:
    claim = {**TIMING, "id": "H2", "contrast": "discount"}
    paths = []
    for name, low in (("near", 0.9), ("far", 0.8)):
        rows = [
            trial_rows({"competence": 0.95, "beyond": 1 + gamma}, gamma=gamma, seed=seed)
            for gamma in (low, 1.0)
            for seed in range(3)
        ]
        keys = {"gamma": [low, 1.0], "seeds": 3, "rewards": ["dense"]}
        paths.append(finished(tmp_path / name, rows, [claim], **keys))
    (match,) = side_by_side(paths).matches
    grid = match_grid(match)
    assert [row[grid.headers.index("compared")] for row in grid.rows] == [
        "gamma 1 minus gamma 0.9",
        "gamma 1 minus gamma 0.8",
    ]


def test_competence_is_that_of_each_arm_in_its_setting(tmp_path: Path) -> None:
    competence = {("dense", 0): 0.91, ("every cap", 0): 0.93, ("dense", 2): 0.97}
    competence[("every cap", 2)] = 0.99
    paths = []
    for agent in ("ppo", "dqn"):
        rows = [
            trial_rows(
                {"competence": value, "beyond": 1.0},
                **{"reward": reward, "openness": float(openness), "agent": agent, "seed": seed},
            )
            for (reward, openness), value in competence.items()
            for seed in range(2)
        ]
        paths.append(finished(tmp_path / agent, rows, seeds=2))
    (match,) = side_by_side(paths).matches
    found = np.array([one.competence for one in match.effects])
    assert found == pytest.approx(np.array([[0.93, 0.91]] * 2 + [[0.99, 0.97]] * 2))


def printed(found: SideBySide, width: int = 120) -> str:
    target = io.StringIO()
    print_side_by_side(found, Console(file=target, width=width, force_terminal=False))
    return target.getvalue()


@pytest.mark.parametrize("width", [60, 80, 120])
def test_terminal_cuts_nothing(runs: dict[str, Path], width: int) -> None:
    found = compared(runs["ppo"], runs["dqn"], runs["endgame"])
    text = printed(found, width)
    assert "\u2026" not in text
    assert max(map(len, text.splitlines())) <= width
    for row in match_grid(found.matches[0]).rows:
        assert all(word in text for cell in row for word in cell.split())


def test_files_hold_the_same_numbers(runs: dict[str, Path], tmp_path: Path) -> None:
    found = compared(runs["ppo"], runs["dqn"], runs["endgame"])
    out = tmp_path / "new" / "out"
    paths = write_files(found, out)
    assert [path.name for path in paths] == [
        *("compare.csv", "compare.md", "forest.png", "forest.svg")
    ]
    table = pd.read_csv(out / "compare.csv")
    assert len(table) == 4
    assert table["effect"].tolist() == pytest.approx(csv_table(found)["effect"].tolist())
    assert table.loc[~table["in_two_runs"], "openness"].tolist() == [2]
    page = (out / "compare.md").read_text()
    assert page.index("What differs") < page.index("## Effects")
    for row in match_grid(found.matches[0]).rows:
        assert all(word.strip("[],") in page for cell in row for word in cell.split())
    assert "](forest.png)" in page
    check_files(out)  # a later comparison takes its place


def test_forest_has_a_row_for_each_effect_and_says_what_it_leaves_out() -> None:
    def height(rows: int) -> int:
        picture = forest_picture([ForestPanel("t", "l", (ROW,) * rows)], ["a"])
        return Image.open(io.BytesIO(picture.png())).height

    assert height(3) - height(2) == pytest.approx(height(2) - height(1), abs=2)
    assert height(2) > height(1) + 60
    many = forest_picture([ForestPanel("t", "l", (ROW,) * 100)], ["a"])
    assert "more effects are not drawn" in many.caption
    assert "not drawn" not in forest_picture([ForestPanel("t", "l", (ROW,))], ["a"]).caption


def test_forest_without_any_number_is_drawn() -> None:
    nothing = ForestRow("a", "", *(float("nan"),) * 3, 0.0, float("nan"), "cannot tell", True)
    assert forest_picture([ForestPanel("t", "l", (nothing,))], ["a"]).png()


def test_panels_hold_each_effect_with_its_margin(runs: dict[str, Path]) -> None:
    (panel,) = panels(compared(runs["ppo"], runs["endgame"]))
    assert panel.label.endswith("in units")
    assert [row.run for row in panel.rows] == ["ppo", "endgame"]
    assert [row.margin for row in panel.rows] == [0.5, 0.5]
    assert [row.muted for row in panel.rows] == [False, True]
    (match,) = compared(runs["ppo"], runs["endgame"]).matches
    assert not is_muted(replace(match.effects[1], gated=False))  # as of the positive control
    assert np.isfinite([[row.low, row.high] for row in panel.rows]).all()


def test_names_are_as_long_as_tells_them_apart() -> None:
    assert run_names(["runs/a/", "runs/b"]) == ["a", "b"]
    assert run_names(["x/quick", "y/quick", "y/slow"]) == ["x/quick", "y/quick", "y/slow"]
    assert run_names(["/x/y/../quick", "/y/quick"]) == ["x/quick", "y/quick"]
    assert run_names(["s3://key:secret@quick", "s3://b/quick"])[1] == "quick"
    assert "secret" not in str(run_names(["s3://key:secret@bucket/x", "s3://bucket/x"]))


def test_folder_that_one_stands_in_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_names([".", "a"]) == [tmp_path.name, "a"]


def other_format(path: Path) -> Path:
    held = unchecked_record(path / layout.MANIFEST)
    held.pop("checksum")
    write_json(path / layout.MANIFEST, {**held, "format": 9})
    return path


BAD: dict[str, tuple[Callable[[dict[str, Path], Path], list[Path]], type[Exception], str]] = {
    "one": (lambda runs, new: [runs["ppo"]], InvalidInput, "two results directories"),
    "twice": (lambda runs, new: [runs["ppo"], runs["ppo"] / "."], InvalidInput, "different"),
    "absent": (lambda runs, new: [runs["ppo"], new / "no"], InvalidInput, "RUN: got .*no'"),
    "empty": (lambda runs, new: [runs["ppo"], new], InvalidInput, "manifest"),
    "format": (
        lambda runs, new: [runs["ppo"], other_format(shutil.copytree(runs["dqn"], new / "x"))],
        StoreError,
        "results of format 9",
    ),
    "nothing in common": (
        lambda runs, new: [
            runs["ppo"],
            finished(new / "y", planted(0.1, gain=None, rewards=("terminal", "own")), []),
        ],
        InvalidInput,
        "a comparison in common .*every cap - dense on beyond",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_in_words(name: str, runs: dict[str, Path], tmp_path: Path) -> None:
    make, kind, words = BAD[name]
    given = make(runs, tmp_path)
    with pytest.raises(kind, match=words):
        side_by_side(given)


def test_folder_of_other_files_is_not_written_into(runs: dict[str, Path]) -> None:
    with pytest.raises(InvalidInput, match="--out"):
        check_files(runs["ppo"])
    with pytest.raises(InvalidInput, match="--out"):
        check_files(runs["ppo"] / layout.STUDY)
