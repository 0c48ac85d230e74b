"""`powerseek check`: the verdict, what failed, what to write instead, and the exit code."""

from __future__ import annotations

import sys

import broken
import pytest

from powerseek.envs.checks.run import CHECKS
from powerseek.experiments.cli import app as cli
from powerseek.registry import worlds

POLE = """
import gymnasium
from powerseek import Param
from powerseek.envs.adapters.foreign import ForeignWorld

class Pole(ForeignWorld):
    parameters = {"max_steps": Param(9)}
    environment = staticmethod(lambda params: gymnasium.make("CartPole-v1"))
    read = staticmethod(lambda params, moment: {"progress": 0, "success": 0})
"""


@pytest.fixture
def call(monkeypatch, capsys, forgotten):
    for world in (broken.BadPrepare, broken.SaysLittle, broken.NoParams):
        monkeypatch.setitem(worlds._entries, f"test.{world.__name__}", world)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["powerseek", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run


def test_a_world_that_conforms(call):
    code, out, err = call("check", "off-switch", "--set", "interruption=0.25")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].split() == ["check", "verdict", "what", "it", "means", "found"]
    for check in CHECKS:
        (line,) = [x for x in lines if x.startswith(f"{check.name} ")]
        assert check.about[:20] in line
    assert "OffSwitch(interruption=0.25, max_steps=100) conforms: 21 passed, 3 not" in out
    assert "Instead" not in out


def test_a_world_that_does_not(call):
    code, out, err = call("check", "test.SaysLittle")
    assert (code, err) == (1, "")
    told = " ".join(out.split())
    assert "docstring failed it says what power is here and is missed see below" in told
    assert "no paragraph begins with 'Observation', 'Actions', 'Power here'" in told
    assert 'Instead: Write one: "Observation: ...".' in told
    assert "does not conform: docstring failed;" in told


def test_a_foreign_world_is_shown_the_laws_that_apply_to_it(call, tmp_path):
    (tmp_path / "pole.py").write_text(POLE)
    code, out, err = call("check", f"{tmp_path}/pole.py:Pole")
    assert (code, err) == (1, "")
    table, _, rest = out.partition("\n\n")
    assert {line.split()[0] for line in table.splitlines() if line[0] != " "} == {
        "check",
        *(check.name for check in CHECKS if check.foreign),
    }
    assert "not applicable: purity, compiled," in rest
    assert "Pole(max_steps=9) does not conform: docstring failed; 8 passed, 15 not" in rest


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("test.BadPrepare", "prepare raises KeyError: 'table' (broken.py line"),
        ("test.NoParams", "it cannot be made: AttributeError"),
    ],
)
def test_a_world_that_cannot_be_made_is_no_traceback(call, name, words):
    code, out, err = call("check", name)
    assert (code, err) == (1, "")
    assert words in " ".join(out.split())
    assert "Traceback" not in out


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["homestaed"], "WORLD: got 'homestaed'; allowed: "),
        (["homestead", "--set", "openness=7"], "--set openness: got 7; allowed: 0 to 2"),
        (["homestead", "--set", "open=7"], "--set: got 'open'; allowed: openness, "),
        (["homestead", "--set", "openness"], "--set: got 'openness'; allowed: KEY=VALUE"),
    ],
)
def test_bad_input_is_refused(call, given, message):
    code, out, err = call("check", *given)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {message}")
