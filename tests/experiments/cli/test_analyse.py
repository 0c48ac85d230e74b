from __future__ import annotations

import inspect
import io
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import gymnasium
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from rich.console import Console
from worlds import Ladder, random_actions

from powerseek import list_worlds, make_world
from powerseek.envs import VecWorld
from powerseek.envs.adapters.foreign import ForeignWorld
from powerseek.envs.world import Param
from powerseek.exact import (
    Frontier,
    Outcome,
    TabularMDP,
    enumerate_world,
    most,
    need,
    optimum,
    power,
    random_success,
    reward_oracle,
)
from powerseek.exact.measures.empowerment import empowerment
from powerseek.exact.measures.goals import state_classes
from powerseek.experiments.cli import app as cli
from powerseek.experiments.cli.analyse.analysis import (
    WorldAnalysis,
    analyse,
    distances,
    rewards_to_analyse,
    world_of,
)
from powerseek.experiments.cli.analyse.figures import mean_by_place, outcome_points, power_picture
from powerseek.experiments.cli.analyse.files import FILES, OWN, states_table
from powerseek.experiments.cli.analyse.text import extremes, print_analysis, watching
from powerseek.registry import list_rewards, worlds

Call = Callable[..., tuple[int, str, str]]
SMALL = ("--samples", "4")


class Balance(ForeignWorld):
    """A pole, which is no world of rules."""

    id = "test.balance"
    parameters = {"max_steps": Param(10)}

    @staticmethod
    def environment(params: object) -> gymnasium.Env:
        return gymnasium.make("CartPole-v1")


@pytest.fixture
def call(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Call:
    monkeypatch.chdir(tmp_path)
    # Known for one test only: what is registered, other tests run over.
    monkeypatch.setitem(worlds._entries, Balance.id, Balance)

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["powerseek", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run


@pytest.fixture(scope="module")
def board() -> WorldAnalysis:
    return analyse(make_world("endgame"), samples=4, seed=3)


def text_of(analysis: WorldAnalysis, width: int) -> str:
    console = Console(width=width, file=io.StringIO())
    print_analysis(analysis, console)
    return str(console.file.getvalue())  # type: ignore[attr-defined]  # a StringIO


def test_it_says_how_sparse_success_is(board: WorldAnalysis) -> None:
    assert f"succeeds in {random_success(board.mdp):.2g} of its episodes" in text_of(board, 100)


# From the command line.


def test_the_command_prints_draws_and_writes(call: Call, tmp_path: Path) -> None:
    code, out, err = call("analyze", "endgame", *SMALL)
    assert code == 0
    folder = tmp_path / "runs" / "analyse" / "endgame"
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    for file in FILES:
        assert f"runs/analyse/endgame/{file}" in out
        assert (folder / file).stat().st_size < 100_000
    for words in ("1,700, of these 405 ends", "11,110", "POWER-richest", "POWER-poorest"):
        assert words in out
    assert "dense" in out
    assert "solving every reward" in err
    assert "Traceback" not in err


def test_two_spellings_are_one_command() -> None:
    known = {command.name or "analyse": command.callback for command in cli.app.registered_commands}
    assert known["analyze"] is cli.analyse


def test_analysing_again_replaces_what_was_there(call: Call, tmp_path: Path) -> None:
    call("analyse", "endgame", *SMALL, "--out", "here")
    (tmp_path / "here" / "power.png").write_bytes(b"old")
    code, _, _ = call("analyse", "off-switch", *SMALL, "--seed", "1", "--out", "here")
    assert code == 0
    held = sorted(path.name for path in (tmp_path / "here").iterdir())
    assert held == ["power.png", "states.parquet"]  # nothing to acquire: no frontier
    assert (tmp_path / "here" / "power.png").read_bytes() != b"old"
    about = json.loads(pq.read_schema(tmp_path / "here" / "states.parquet").metadata[b"powerseek"])
    assert about["world"] == "off-switch"
    assert about["seed"] == 1


def test_a_goal_can_be_chosen(call: Call, tmp_path: Path) -> None:
    words = ("--set", "openness=1", "--set", "quota=1", "--set", "stock_cap=1")
    code, out, _ = call("analyse", "homestead", *words, "--goal", "1", *SMALL, "--out", "o")
    assert code == 0
    assert "goal 1" in out
    metadata = pq.read_schema(tmp_path / "o" / "states.parquet").metadata
    assert json.loads(metadata[b"powerseek"])["params"]["goal"] == 1


BAD = {
    "world": (["endgam"], "WORLD: got 'endgam'", "endgame"),
    "foreign world": (["test.balance"], "foreign environment", "Train on it"),
    "parameter": (["endgame", "--set", "sice=4"], "--set: got 'sice'", "size"),
    "parameter out of range": (["endgame", "--set", "size=99"], "--set size: got 99", "4 to 8"),
    "no value": (["endgame", "--set", "size"], "--set", "KEY=VALUE"),
    "gamma 1": (["endgame", "--gamma", "1"], "--gamma: got 1.0", "0.999"),
    "gamma 0": (["endgame", "--gamma", "0"], "--gamma: got 0.0", "power_limit"),
    "gamma above 1": (["endgame", "--gamma", "1.5"], "--gamma: got 1.5", "limit"),
    "gamma nan": (["endgame", "--gamma", "nan"], "--gamma: got nan", "above 0"),
    "no samples": (["endgame", "--samples", "0"], "--samples: got 0", ">= 1"),
    "no steps": (["endgame", "--steps", "0"], "--steps: got 0", ">= 1"),
    "rewards": (["endgame", "--rewards", "many"], "--rewards: got 'many'", "uniform or goals"),
    "no goal to choose": (["off-switch", "--goal", "1"], "--goal: got 1", "interruption"),
    "goal out of range": (["homestead", "--goal", "7"], "--goal: got 7", "0 to 1"),
    "two goals": (["homestead", "--goal", "1", "--set", "goal=0"], "--goal", "not both"),
    "goal that is no YAML": (["homestead", "--goal", "[{"], "--goal", "value"),
    "too many states": (["endgame", "--limit", "99"], "--limit: got 99", "still growing"),
    "no limit": (["endgame", "--limit", "0"], "--limit: got 0", ">= 1"),
    "out in use": (["endgame", "--out", "."], "--out: got", "'other.txt'"),
    "out is a file": (["endgame", "--out", "other.txt"], "--out", "a directory"),
    "unwritable out": (["endgame", "--out", "/proc/nowhere/out"], "/proc/nowhere/out", "written"),
}


@pytest.mark.parametrize(("words", "named", "said"), BAD.values(), ids=BAD)
def test_bad_input_is_one_message_and_nothing_is_written(
    words: list[str], named: str, said: str, call: Call, tmp_path: Path
) -> None:
    (tmp_path / "other.txt").write_text("mine")
    code, out, err = call("analyse", *words)
    assert code == 2
    assert out == ""
    assert named in err
    assert said in err
    assert "Traceback" not in err
    assert err.count("error:") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["other.txt"]


# The numbers.


def test_numbers_are_those_of_the_exact_layer(board: WorldAnalysis) -> None:
    world = make_world("endgame")
    mdp = enumerate_world(world)
    table = states_table(board).to_pandas()
    measured = power(mdp, samples=4, seed=3)
    np.testing.assert_array_equal(table["power"], measured.values)
    np.testing.assert_array_equal(table["power_standard_error"], measured.standard_error)
    np.testing.assert_array_equal(table["empowerment_bits"], empowerment(mdp, 3).bits)
    np.testing.assert_array_equal(table["terminal"], mdp.terminal)
    np.testing.assert_array_equal(table["initial"], mdp.initial)
    for name in world.identity:
        np.testing.assert_array_equal(table[name], mdp.records[name])
    progress = mdp.fact_names.index("progress")
    np.testing.assert_array_equal(table["fact.progress"], mdp.state_facts[:, progress])
    assert board.need.vertices == need(mdp).vertices
    assert board.most.vertices == most(mdp).vertices
    expected = optimum(mdp, "terminal").uniform.as_array()
    np.testing.assert_array_equal(board.arms["terminal"].uniform.as_array(), expected)


def test_columns_are_fields_facts_and_measures() -> None:
    found = analyse(Ladder(), samples=2)
    assert states_table(found).column_names == [
        *("state", "height", "gold", "off", "weights[0]", "weights[1]", "weights[2]"),
        *("fact.progress", "fact.success", "fact.over", "fact.interrupted", "fact.holdings"),
        *OWN[1:],
    ]
    # Chance plays a part here, so that empowerment looks one step ahead unless told otherwise.
    assert found.empowerment.n == 1
    assert analyse(Ladder(), samples=2, steps=2).empowerment.n == 2


def test_what_success_costs_bystanders_is_shown_where_there_are_some(board: WorldAnalysis) -> None:
    small = {"quota": 1, "room": 2, "capacity": 2, "max_steps": 4, "openness": 2}
    found = analyse(make_world("commons", **small), samples=2)
    assert found.loss is not None
    for name, outcome in found.policies.items():
        assert found.losses[name] >= found.loss.at(outcome.success)[0] - 1e-9
    assert found.losses["hoarder"] > 0.05
    text = text_of(found, 120)
    for words in ("What success costs bystanders", "least loss", "others lose"):
        assert words in text
    assert board.loss is None
    assert not board.losses
    assert "bystanders" not in text_of(board, 120)


def test_every_registered_arm_is_solved_or_said_to_be_left_out(board: WorldAnalysis) -> None:
    shown = {name.split()[0] for name in (*board.arms, *board.skipped)}
    assert shown >= set(list_rewards()) - {"priced", "aup", "penalty"}
    assert "terminal price 0.02" in board.arms
    constrained = ["terminal aup 0.1", "terminal penalty 0.1 within 4"]
    every = [name + more for name in constrained for more in ("", " placebo")]
    assert board.skipped == {
        "own": "this world has no fact 'own'",
        **dict.fromkeys(every, "this world has no action that does nothing"),
    }
    found = analyse(make_world("strip", distance=4, max_steps=8), samples=2)
    assert {name for name in found.arms if name.startswith("terminal ")} >= {
        "terminal price 0.02",
        *(name for name in every if name not in found.skipped),
    }
    assert constrained[0] in found.arms
    assert "own" in analyse(make_world("off-switch"), samples=2).arms
    for name, spec in (("dense", "dense"), ("every 8", {"every": 8})):
        expected = reward_oracle(make_world("endgame"), spec)
        for end in ("low", "high"):
            found = getattr(board.arms[name], end).as_array()
            np.testing.assert_array_equal(found, getattr(expected, end).as_array())


def test_arms_fit_the_cap() -> None:
    assert {"every": 8} in rewards_to_analyse(20)
    assert {"every": 8} not in rewards_to_analyse(8)
    assert {"every": "cap"} in rewards_to_analyse(8)
    assert {"coverage": 1.0} in rewards_to_analyse(1)


def test_rewards_may_be_the_goals_of_the_world() -> None:
    found = analyse(make_world("off-switch"), rewards="goals")
    assert found.power.samples == 0
    np.testing.assert_array_equal(found.power.standard_error, 0)


def test_distance_counts_the_fewest_steps() -> None:
    graph = {
        "a": ["b", "b", "c"],
        "b": ["d", "d"],
        "c": ["c"],
        "d": ["e", "a"],
        "e": ["e"],
        "f": ["a"],
    }
    mdp = TabularMDP.from_successors(graph, initial={"a": 0.5, "f": 0.5})
    assert distances(mdp).tolist() == [0, 1, 1, 2, 3, 0]
    board = enumerate_world(make_world("off-switch"))
    found = distances(board)
    assert found[np.flatnonzero(board.initial)] == [0]
    assert (np.diff(found) >= 0).all()  # states are met breadth-first


def test_the_minimal_need_policy_is_never_beyond_need(board: WorldAnalysis) -> None:
    assert board.beyond_need(board.policies["minimal need"]) == 0
    assert board.beyond_need(board.policies["hoarder"]) == pytest.approx(3)
    nothing = analyse(make_world("off-switch"), samples=2)
    assert np.isnan(nothing.beyond_need(nothing.policies["random"]))
    assert np.isnan(nothing.need_at(0.5))


def test_beyond_need_is_zero_between_its_bounds(board: WorldAnalysis) -> None:
    bounds = Frontier(1.0, np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([[0.0, 0.0], [4.0, 2.0]]))
    found = replace(board, need=bounds)
    assert bounds.at(0.5) == (0.0, 1.0)
    for acquired, beyond in ((0.0, 0.0), (0.7, 0.0), (1.0, 0.0), (1.5, 1.0)):
        assert found.beyond_need(Outcome(success=0.5, acquisition=acquired)) == beyond


def test_a_goal_is_asked_for_once() -> None:
    assert world_of("homestead", {"openness": 2}, 1).params.goal == 1
    assert world_of("off-switch", {}).id == "off-switch"


# Maps.


@pytest.mark.parametrize("name", list_worlds())
def test_things_are_on_the_map(name: str) -> None:
    world = make_world(name)
    if isinstance(world, ForeignWorld):
        pytest.skip("a foreign world has no records")
    tiles = world.tiles(world.params)
    assert len({len(row) for row in tiles}) <= 1
    vec, generator = VecWorld(world, 64, 0), np.random.default_rng(0)
    for _ in range(20):
        places = world.places(world.params, vec.states)
        assert bool(places) <= bool(tiles)
        for rows, columns in places.values():
            gone = (rows == -1) & (columns == -1)
            here = (rows >= 0) & (rows < len(tiles)) & (columns >= 0) & (columns < len(tiles[0]))
            assert (gone | here).all()
            for row, column in zip(rows[here], columns[here], strict=True):
                assert tiles[row][column] != "wall"
        vec.step(random_actions(vec, generator))


@pytest.mark.parametrize(
    ("name", "params", "mark", "thing"),
    [
        ("homestead", {"openness": 2}, "@", "agent"),
        ("off-switch", {}, "@", "agent"),
        ("endgame", {}, "K", "White's king"),
        ("endgame", {"size": 5}, "R", "White's rook"),
        ("endgame", {"piece": "queen"}, "Q", "White's queen"),
        ("endgame", {}, "k", "Black's king"),
    ],
)
def test_places_are_where_the_world_draws_them(
    name: str, params: dict[str, object], mark: str, thing: str
) -> None:
    world = make_world(name, **params)
    vec, generator = VecWorld(world, 16, 1), np.random.default_rng(1)
    step = 1 if name == "off-switch" else 2  # letters are set apart by spaces
    start = 2 if name == "endgame" else 0  # rows are numbered in front
    for _ in range(10):
        rows, columns = world.places(world.params, vec.states)[thing]
        for record, row, column in zip(vec.states, rows, columns, strict=True):
            drawn = world.render(world.params, record).splitlines()
            if row < 0:
                assert not any(mark in line for line in drawn)
            elif not (mark == "@" and record["interrupted"]):
                assert drawn[row][start + step * column] == mark
        vec.step(random_actions(vec, generator))


def test_a_square_is_the_mean_of_the_states_there() -> None:
    values = np.array([1.0, 3.0, 5.0, 7.0, 9.0])
    rows, columns = np.array([0, 0, 1, 1, -1]), np.array([0, 0, 1, 1, -1])
    counted = np.array([True, True, True, False, True])
    found = mean_by_place(values, (rows, columns), counted, (2, 2))
    np.testing.assert_array_equal(found, [[2.0, np.nan], [np.nan, 5.0]])


@pytest.mark.parametrize(
    "world",
    [Ladder(), make_world("off-switch"), make_world("endgame", size=5, openness=0)],
    ids=["no map", "walls", "many squares"],
)
def test_power_is_drawn_with_and_without_a_map(world: object) -> None:
    found = analyse(world, samples=2, steps=1)  # type: ignore[arg-type]  # a world
    image = Image.open(io.BytesIO(power_picture(found).png()))
    assert min(image.size) > 300
    assert len(image.getcolors() or ()) > 10


def test_every_optimum_and_policy_is_a_labelled_point(board: WorldAnalysis) -> None:
    marked = outcome_points(board)
    names = [name for point in marked for name in point.names]
    assert sorted(names) == sorted([*board.arms, *board.policies])
    (dense,) = [point for point in marked if "dense" in point.names]
    assert dense.value == board.arms["dense"].uniform.acquisition
    assert (dense.low, dense.high) == pytest.approx((0, 3))
    assert "thinned 0.25" in dense.names  # pays the same in expectation


# In the terminal.


@pytest.mark.parametrize("width", [80, 120])
def test_the_text_fits_the_terminal(board: WorldAnalysis, width: int) -> None:
    text = text_of(board, width)
    assert max(len(line) for line in text.splitlines()) <= width
    assert "..." not in text
    assert "\u2026" not in text
    rich, poor = extremes(board)
    for state in (*rich, *poor):
        assert f"state {state}" in text


def test_boards_stand_side_by_side_at_80_columns() -> None:
    text = text_of(analyse(make_world("homestead", openness=0), samples=2), 80)
    line = next(line for line in text.splitlines() if line.startswith("\u2570"))
    assert line.count("state ") == 3


def test_extremes_are_no_ends_and_sorted_one_of_each_class(board: WorldAnalysis) -> None:
    of, values = state_classes(board.mdp), board.power.values
    alive = np.flatnonzero(~board.mdp.terminal)
    for states, sign in zip(extremes(board, 5), (-1, 1), strict=True):
        assert not board.mdp.terminal[states].any()
        assert len(set(of[states])) == 5
        order = [of[i] for i in alive[np.argsort(sign * values[alive], kind="stable")]]
        assert list(of[states]) == list(dict.fromkeys(order))[:5]
        assert (np.diff(sign * values[states]) >= 0).all()


def test_progress_is_a_bar_on_a_terminal() -> None:
    console = Console(force_terminal=True, file=io.StringIO(), width=100)
    with watching(console) as watch:
        analyse(Ladder(), samples=1, watch=watch)
        watch("arms", 1, 2)
    assert "solving every reward" in console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO


def test_defaults_are_those_of_the_exact_layer() -> None:
    from powerseek.exact.enumerate import DEFAULT_LIMIT
    from powerseek.exact.measures.power import GAMMA
    from powerseek.experiments.cli.analyse.analysis import SAMPLES
    from powerseek.experiments.cli.app import analyse as command

    given = inspect.signature(command).parameters
    assert given["gamma"].default == GAMMA
    assert given["limit"].default == DEFAULT_LIMIT
    assert given["samples"].default == SAMPLES


def test_power_seeking_stands_beside_every_optimum(board: WorldAnalysis) -> None:
    assert board.seeking["POWER-greedy"] == pytest.approx(1, abs=1e-6)
    assert board.seeking["random"] == pytest.approx(0, abs=1e-9)
    assert set(board.seeking) <= {*board.arms, *board.policies}
    assert board.arms["every cap"] is board.arms["dense"]
