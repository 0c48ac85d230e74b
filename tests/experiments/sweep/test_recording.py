"""What a recording holds is what happened, to the last state, and it changes nothing else."""

from __future__ import annotations

import gzip
import json
from typing import Any

import gymnasium
import numpy as np
import pandas as pd
import pytest
from worlds import Ladder

from powerseek.agents import rollout, train
from powerseek.envs.adapters.foreign import ForeignWorld
from powerseek.envs.engine.chance import flip
from powerseek.envs.task import Task
from powerseek.envs.world import Fact, Param, World, columns
from powerseek.exact.measures.attribution import PARTS, action_changes
from powerseek.experiments.results.recordings import recording_path
from powerseek.experiments.results.store import StoreError
from powerseek.experiments.study.checked import trials
from powerseek.experiments.study.grid import Trial
from powerseek.experiments.study.schema import make_study
from powerseek.experiments.sweep import trial as trials_module
from powerseek.experiments.sweep.recording import (
    LONGEST,
    keep_recording,
    record_episodes,
    split_picture,
)
from powerseek.experiments.sweep.trial import run_trial
from powerseek.registry import make_world

COMPASS = {
    **{"N": (-1, 0), "NE": (-1, 1), "E": (0, 1), "SE": (1, 1)},
    **{"S": (1, 0), "SW": (1, -1), "W": (0, -1), "NW": (-1, -1)},
}


def recorded(world: World, agent: str = "random", seed: int = 3) -> dict[str, Any]:
    task = Task(world)
    return record_episodes(train(task, agent).policy, task, seed)


def board(held: dict[str, Any], episode: dict[str, Any], i: int) -> list[list[str]]:
    rows = held["pictures"][episode["frames"][i]][0].split("\n")
    return [list(row) for row in rows]


def find(squares: list[list[str]], letter: str) -> tuple[int, int]:
    return next((r, c) for r, row in enumerate(squares) for c, x in enumerate(row) if x == letter)


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        ("@ S F\n. o .\ngrain 1", ("@SF\n.o.", "grain 1")),
        ("1 k . .\n0 . K .\n  0 1 2\nmate", ("k..\n.K.", "mate")),
        ("#@ \n# G", ("#@ \n# G", "")),
        ("# @\n", ("", "# @\n")),
        ("what a day\nand night", ("", "what a day\nand night")),
        ("x y z\nx,y z", ("", "x y z\nx,y z")),
    ],
    ids=["apart", "numbered", "close", "too short", "words", "no gap"],
)
def test_a_picture_is_parted_into_board_and_words(picture: str, expected: tuple[str, str]) -> None:
    assert split_picture(picture, 2, 3) == expected


@pytest.mark.parametrize("agent", ["random", "hoarder"])
def test_the_course_is_that_of_the_same_episodes(agent: str) -> None:
    world = make_world("homestead", hazard=0.05, max_steps=24)
    task = Task(world)
    policy = train(task, agent).policy
    held, episodes = record_episodes(policy, task, 3), rollout(policy, task, 8, 3)
    assert len(held["episodes"]) == 8
    weights = {"acquired": [1, 1], "outside": [1, 2, 2, 1]}
    totals = sum(episodes.total(name) @ np.array(w) for name, w in weights.items())
    for i, episode in enumerate(held["episodes"]):
        length = episodes.lengths[i]
        assert episode["steps"] == list(range(length + 1))
        assert episode["actions"] == episodes.actions[i, :length].tolist()
        assert episode["acquired"][0] == 0
        assert episode["acquired"][-1] == totals[i]
        for name in ("success", "disabled", "interrupted"):
            assert episode[name] == episodes.fact(name)[i, : length + 1].astype(int).tolist()
        first = world.render(world.params, episodes.records[i, 0]).splitlines()
        assert board(held, episode, 0) == [line.split() for line in first[:3]]


def test_what_actions_change_is_told_where_it_is_known_and_more_than_a_little() -> None:
    world = make_world("homestead", hazard=0.05, max_steps=24)
    task = Task(world)
    policy = train(task, "random").policy
    held = record_episodes(policy, task, 3, exactly=True)
    episodes = rollout(policy, task, 8, 3)
    assert held["price"] == 0.02
    told = 0
    for i, episode in enumerate(held["episodes"]):
        length = episodes.lengths[i]
        success, gain, part = action_changes(
            world, episodes.records[i, :length], episodes.actions[i, :length], 0.02
        )
        for t, change in enumerate(episode["changes"]):
            if abs(gain[t]) <= 0.01:
                assert change is None
            else:
                told += 1
                assert change == [PARTS[part[t]], round(gain[t], 6), round(success[t], 6)]
    assert told > 20
    assert "changes" not in record_episodes(policy, task, 3)["episodes"][0]
    switch = make_world("off-switch", max_steps=20)  # nothing to acquire
    assert "changes" not in record_episodes(policy, Task(switch), 1, exactly=True)["episodes"][0]


def test_where_the_agent_stands_is_what_its_moves_say() -> None:
    held = recorded(make_world("homestead", hazard=0.05), seed=9)
    moves = {"north": (-1, 0), "south": (1, 0), "west": (0, -1), "east": (0, 1)}
    ends = set()
    for episode in held["episodes"]:
        row, column = 0, 0
        for i, action in enumerate(episode["actions"], 1):
            down, right = moves.get(held["names"][action], (0, 0))
            row, column = row + down, column + right
            mark = "x" if episode["interrupted"][i] else "@"
            assert find(board(held, episode, i), mark) == (row, column)
        ends.add(mark)
    assert ends == {"@", "x"}  # stopped by the cap, and switched off


def test_a_capped_episode_ends_where_a_longer_one_goes_on() -> None:
    # The hoarder does not look at the clock.
    short = make_world("homestead", openness=2, max_steps=9)
    task = Task(short.replace(max_steps=10))
    episodes = rollout(train(task, "hoarder").policy, task, 8, 3)
    held = recorded(short, "hoarder")
    capped = 0
    for i, episode in enumerate(held["episodes"]):
        if len(episode["actions"]) == 9 and not episode["interrupted"][-1]:
            capped += 1
            lines = short.render(short.params, episodes.records[i, 9]).splitlines()
            assert held["pictures"][episode["frames"][-1]][1].startswith(lines[-1])
            assert board(held, episode, -1) == [line.split() for line in lines[:3]]
    assert capped > 3


def test_a_mate_is_shown_after_the_move_that_gives_it() -> None:
    held = recorded(make_world("endgame", openness=0), "minimalist")
    for episode in held["episodes"]:
        assert episode["success"][-1] == 1
        piece, direction, *distance = held["names"][episode["actions"][-1]].split()
        letter = {"king": "K", "rook": "R"}[piece]
        before, after = (find(board(held, episode, i), letter) for i in (-2, -1))
        steps = int(distance[0]) if distance else 1
        moved = tuple(a + steps * b for a, b in zip(before, COMPASS[direction], strict=True))
        assert after == moved
        assert held["pictures"][episode["frames"][-1]][1] == "mate"


class Coin(World):
    """Over after one step; the coin that it throws shows in the picture and in no fact."""

    id = "test.coin"
    parameters = {"max_steps": Param(3)}
    state = (("coin", "i8"), ("thrown", "i8"))
    facts = (Fact("progress"), Fact("success"), Fact("over"))

    @staticmethod
    def actions(params):
        return ("throw",)

    @staticmethod
    def observation(params):
        return ("thrown",)

    @staticmethod
    def initial(p, s, c):
        pass

    @staticmethod
    def transition(p, s, a, c):
        s.thrown = 1
        if flip(c, 0.5):
            s.coin = 1

    @staticmethod
    def legal(p, s, out):
        out[0] = True

    @staticmethod
    def observe(p, s, out):
        out[0] = s.thrown

    @staticmethod
    def measure(p, s, out):
        out[F.over] = s.thrown

    @staticmethod
    def render(params, record):
        return f"coin {record['coin']}"


F = columns(*Coin.facts)


@pytest.mark.slow  # the world is compiled for this test alone
def test_an_end_that_cannot_be_told_is_not_shown() -> None:
    held = recorded(Coin())
    assert held["pictures"] == [["", "coin 0"]]
    assert {tuple(episode["frames"]) for episode in held["episodes"]} == {(0, None)}
    assert held["episodes"][0]["acquired"] is None
    assert held["episodes"][0]["disabled"] is None


class Mapped(Ladder):
    """It has a map and draws no picture."""

    @staticmethod
    def tiles(params):
        return (("trap", "top", "wall"), ("", "", ""), ("", "", ""), ("", "bottom", "b"))

    @staticmethod
    def places(params, records):
        return {"climber": (3 - records["height"], np.ones_like(records["height"]))}


class Broken(Ladder):
    """It cannot draw itself."""

    @staticmethod
    def render(params, record):
        raise RuntimeError("no paint left")


def test_a_world_without_a_picture_shows_its_map_or_its_fields() -> None:
    held = recorded(Mapped(slip=0.0), "minimalist")
    assert held["legend"] == "@ climber, T trap, O top, # wall, B bottom, 0 b"
    boards = [held["pictures"][i][0] for i in held["episodes"][0]["frames"]]
    assert boards[0] == "TO#\n...\n...\n.@0"
    assert boards[-1] == "T@#\n...\n...\n.B0"
    assert held["pictures"][0][1].startswith("height 0, gold ")
    for world in (Ladder(slip=0.0), Broken(slip=0.0)):
        held = recorded(world, "minimalist")
        assert held["pictures"][-1][0] == ""
        assert held["pictures"][-1][1].startswith("height 3, gold ")


class Pole(ForeignWorld):
    id = "test.pole"
    parameters = {"max_steps": Param(30)}

    @staticmethod
    def environment(params):
        return gymnasium.make("CartPole-v1")

    @staticmethod
    def read(params, moment):
        return {"progress": moment.clock / 30, "success": float(moment.clock >= 30)}


def test_a_foreign_environment_shows_its_facts() -> None:
    held = recorded(Pole())
    for episode in held["episodes"]:
        assert len(episode["frames"]) == len(episode["actions"]) + 1
        assert held["pictures"][episode["frames"][0]] == [
            "",
            "progress 0, success 0, over 0, own 0",
        ]
        steps = len(episode["actions"])
        words = held["pictures"][episode["frames"][-1]][1]
        assert words.startswith(f"progress {steps / 30:.6g}, success {int(steps == 30)}, over ")


def test_long_episodes_keep_their_beginning_and_their_end() -> None:
    world = make_world("off-switch", interruption=1.0, max_steps=900)
    task = Task(world)
    policy = train(task, "random").policy
    held, episodes = record_episodes(policy, task, 5), rollout(policy, task, 2, 5)
    assert len(held["episodes"]) == 2
    ends = set()
    for i, episode in enumerate(held["episodes"]):
        length, actions = int(episodes.lengths[i]), episodes.actions[i]
        assert length > LONGEST
        assert episode["steps"] == [*range(LONGEST), length]
        assert episode["actions"] == [*actions[: LONGEST - 1], actions[length - 1]]
        mark = "x" if episode["interrupted"][-1] else "@"
        ends.add((mark, find(board(held, episode, -1), mark)))
    assert ends == {("x", (3, 4)), ("@", (5, 1))}  # stuck on the tile, and in the goal


def small(**keys: Any) -> Trial:
    given = {"name": "t", "worlds": [{"id": "off-switch", "max_steps": 32}], "timesteps": 512}
    learner = {"maskable-ppo": {"n_envs": 8, "n_steps": 32, "batch_size": 64, "n_epochs": 1}}
    given |= {"settings": learner, "episodes": 200, "evaluations": 1}
    return trials(make_study({**given, **keys}))[0]


def test_a_competent_agent_leaves_a_small_recording(tmp_path, monkeypatch) -> None:
    this = small(competence=0.01)
    rows = run_trial(this, tmp_path / "with")
    path = recording_path(tmp_path / "with", this.key)
    data = path.read_bytes()
    assert len(data) < 5_000
    assert len(json.loads(gzip.decompress(data))["episodes"]) == 8
    # Nothing else that a trial says depends on it, and it is itself the same every time.
    monkeypatch.setattr(trials_module, "keep_recording", lambda *_, **__: None)
    pd.testing.assert_frame_equal(rows, run_trial(this, tmp_path / "without"))
    assert not (tmp_path / "without/internals/replays").exists()
    monkeypatch.undo()
    run_trial(this, tmp_path / "again")
    assert recording_path(tmp_path / "again", this.key).read_bytes() == data


def test_an_agent_that_did_not_learn_leaves_none(tmp_path) -> None:
    rows = run_trial(small(competence=1.0), tmp_path)
    assert set(rows["status"]) == {"censored"}
    assert not (tmp_path / "internals/replays").exists()


def test_a_recording_that_cannot_be_written_says_so(tmp_path) -> None:
    (tmp_path / "internals").mkdir()
    (tmp_path / "internals/replays").write_text("in the way")
    this = small(agents="random")
    task = Task(make_world("homestead"))
    with pytest.raises(StoreError, match="cannot be written"):
        keep_recording(tmp_path, this, train(task, "random").policy, task, 0)
