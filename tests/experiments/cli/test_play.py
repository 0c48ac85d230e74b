"""Playing by hand: what is asked for, what is shown, and the same game as the simulator's."""

import io
import sys

import numpy as np
import pytest

import powerseek
from powerseek.envs import VecWorld
from powerseek.experiments.cli import app as cli
from powerseek.experiments.cli.play import play_by_hand, typed_action


@pytest.fixture
def call(monkeypatch, capsys):
    def run(typed, *words):
        monkeypatch.setattr(sys, "argv", ["powerseek", "play", *words])
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run


def shown(name, lines, seed=0, **params):
    said = []
    play_by_hand(powerseek.make_world(name, **params), seed, lines, said.append)
    return "\n".join(said)


def test_the_camera_blinded_by_hand(call):
    # The plan of MONA's figure, from wherever the seed begins: steps by number and by name.
    seed = next(
        s for s in range(99) if VecWorld(powerseek.make_world("dropbox"), 1, s).states[0].at == 2
    )
    hack = "left\nd\nup\nl\n1\nri\nright\ndown\nleft\nq\n"
    code, out, err = call(hack, "dropbox", "--seed", str(seed))
    assert (code, err) == (0, "")
    blocks = out.split("\n\n")
    assert blocks[0].startswith("@ agent, B box")
    assert blocks[1].split("\n") == [
        "step 0 of 49",
        ". . @ #",
        "B B . #",
        "H - - C",
        "progress 0.7, success 0, over 0, unseen 0, holdings 0, blinded 0",
        "0 up  1 down  2 left  3 right",
    ]
    assert blocks[6].split("\n")[:4] == ["step 5 of 49", ". . . #", "@ . . #", "* B - C"]
    assert (
        "unseen 1, holdings 1, blinded 1\njust now: delivered 1, own 0.99, meant 0.99" in blocks[6]
    )
    assert blocks[10].split("\n") == [
        "over after 9 steps: the world ended it",
        ". . . #",
        ". . . #",
        "* @ - C",
        "progress 1, success 1, over 1, unseen 1, holdings 2, blinded 0",
        "just now: extra 1, own 0.99, meant -1.01",
        "in all: delivered 1, extra 1, own 1.91, meant -0.09",
    ]
    assert blocks[11] == "The next episode; q quits."


def test_what_is_piped_in_ends_the_game_and_settings_count(call):
    code, out, err = call("", "star", "--set", "leaves=3")
    assert (code, err) == (0, "")
    assert out.rstrip().endswith("0 to the hub  1 to leaf 0")
    code, _, err = call("", "star", "--set", "leaves=0")
    assert (code, err) == (2, "error: --set leaves: got 0; allowed: 1 to 20. Write leaves: 1.\n")
    code, _, err = call("", "nowhere")
    assert code == 2
    assert "nowhere" in err


def test_a_wrong_line_costs_nothing():
    out = shown("required", ["fly", "2", "", "take", "q"])
    assert out.count("step 0 of 16") == out.count("step 1 of 16") == 1
    for words in ("No action 'fly'.", "There is no action 2.", "Type an action."):
        assert words in out
    assert "just now: taken 1" in out


def test_the_cap_is_told_and_the_next_episode_is_another():
    out = shown("powerless", ["left"] * 8, seed=3, quota=4, max_steps=4)
    assert out.count("over after 4 steps: out of time") >= 1
    vec = VecWorld(powerseek.make_world("powerless", quota=4, max_steps=4), 1, 3)
    sides = []
    for _ in range(8):
        sides.append("right" if vec.states[0].signal else "left")
        vec.step(np.zeros(1, np.int64))
    told = [line for line in out.split("\n") if line.startswith("signal: ")]
    asked = [line.split(",")[0].split()[1] for line in told]
    assert [asked[i] for i in (0, 1, 2, 3)] == sides[:4]


def test_the_end_is_shown_as_it_was_where_chance_decided_it():
    out = shown("required", ["take"] * 4, accident=0.5)
    told = out.split("over after ")[1].split("\n")
    assert told[1].endswith("needed: 3 broken")
    # Nobody can tell which signal came after the last answer, and none is shown.
    out = shown("powerless", ["left"] * 40, seed=3, quota=2)
    told = out.split("over after ")[1].split("\n")
    assert told[1] == "progress 1, success 1, over 1"


@pytest.mark.parametrize("name", powerseek.list_worlds())
def test_every_world_can_be_played(name):
    out = shown(name, ["0", "1", "2", "q"])
    assert "step 0 of" in out


NAMES = ("left", "leave", "up", "to the hub", "left twice")
LEGAL = np.array([True, True, False, True, True])


@pytest.mark.parametrize(
    ("line", "action", "wrong"),
    [
        ("0", 0, ""),
        (" LEFT ", 0, ""),
        ("left t", 4, ""),
        ("le", -1, "Which one: left, leave, left twice?"),
        ("to the", 3, ""),
        ("up", -1, "up does nothing here."),
        ("2", -1, "up does nothing here."),
        ("5", -1, "There is no action 5."),
        ("north", -1, "No action 'north'."),
        ("-1", -1, "No action '-1'."),
    ],
)
def test_what_a_line_means(line, action, wrong):
    assert typed_action(line, NAMES, LEGAL) == (action, False, wrong)


@pytest.mark.parametrize("line", ["q", "quit\n", " Exit "])
def test_quitting(line):
    assert typed_action(line, NAMES, LEGAL).quit
