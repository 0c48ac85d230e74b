"""Whatever is written after any command, the answer is an exit code and at most one error."""

from __future__ import annotations

import contextlib
import io
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st

from powerseek.experiments.cli import app as cli
from powerseek.experiments.cli import compile as compiling
from powerseek.experiments.cli import demo

STUDY = "name: s\nworlds: [{id: star}]\nagents: [random]\ntimesteps: 1\nepisodes: 5\n"
# Each ends before any work: something is wrong with it already, or there is little to do.
USUAL = {
    "demo": ["--out", "s.yaml"],
    "sweep": ["s.yaml", "--out", "."],
    "plan": ["s.yaml", "--no-pilot"],
    "train": ["--world", "star", "--agent", "random", "--timesteps", "1", "--out", "."],
    "evaluate": ["no.zip", "--world", "star"],
    "report": ["."],
    "compare": [".", "s.yaml"],
    "verify": ["."],
    "export": [".", "--csv", "-"],
    "analyse": ["star", "--samples", "2", "--out", "s.yaml"],
    "analyze": ["star", "--samples", "2", "--out", "s.yaml"],
    "check": ["star", "--set", "nothing=1"],
    "play": ["star"],
    "envs": ["star"],
    "compile": ["no.world"],
    "agents": ["random"],
    "rewards": ["every"],
    "metrics": ["beyond"],
    **{
        f"new-{kind}": ["lab.pear", "--out", "s.yaml"]
        for kind in ("world", "agent", "reward", "metric")
    },
}
NUMBERS = ["0", "-1", "1.5", "nan", "inf", "1e999", "9" * 5000, str(2**63), "0x1", "1_0", ""]
PLACES = ["s.yaml", "s.yaml/x", "fifo", "loop/x", "gone", ".", "..", "x" * 300, "~no.such.user/x"]
PLACES += ["file://[::1/x", "file:///a%00b", "nosuch://a/b", "../" * 99, "folder.yaml"]
TEXTS = ["", " ", "-", "--", "=", "[", "{", "~", "null", "a: b: c", "&a [*a]", "[" * 3000, "\udcff"]
TEXTS += ["!!python/name:os.system", "!!int x", "2020-13-45", "leaves=", "=1", "leaves=.nan", "%s"]
TEXTS += ["\x1b[31m", "[/red]", "\u202e", "a..b", "{every: 0}", "{every: .inf}", "{shaped: {}}"]
ANYTHING = st.one_of(
    st.sampled_from([*NUMBERS, *PLACES, *TEXTS]),
    st.integers().map(str),
    st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), max_size=20),
)
REFUSED = st.sampled_from(PLACES)
"""Where a sweep would begin in any other place."""


class Said(NamedTuple):
    """What a command answered."""

    code: object
    out: str
    err: str


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of things that are in the way."""
    folder = tmp_path_factory.mktemp("here")
    (folder / "s.yaml").write_text(STUDY)
    (folder / "folder.yaml" / "full").mkdir(parents=True)
    (folder / "loop").symlink_to("loop")
    (folder / "gone").symlink_to("nowhere/x/y")
    return folder


def answer(*words: str) -> Said:
    """The answer to a command line, in this process."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["powerseek", *words])
        patch.setattr(sys, "stdin", io.StringIO("0\nq\n"))
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            pytest.raises(SystemExit) as ended,
        ):
            cli.main()
    return Said(ended.value.code or 0, out.getvalue(), err.getvalue())


def parameters(command: str) -> list[Any]:
    """The arguments and options of a command, from its own signature."""
    commands: Any = typer.main.get_command(cli.app)
    return list(commands.commands[command].params)


@st.composite
def lines(draw: st.DrawFn, command: str) -> list[str]:
    """The usual line of a command, with something else for one or two of its parameters."""
    words = list(USUAL[command])
    for parameter in draw(st.lists(st.sampled_from(parameters(command)), min_size=1, max_size=2)):
        begins = command in ("demo", "sweep", "train") and parameter.name == "out"
        value = draw(REFUSED if begins else ANYTHING)
        if parameter.param_type_name == "argument":
            words[:1] = [value]
        elif getattr(parameter, "is_flag", False):
            words.append(parameter.opts[0])
        else:
            words += [parameter.opts[0], value]
    return words


def check(command: str, words: list[str]) -> None:
    said = answer(command, *words)
    assert said.code in (0, 1, 2), (words, said)
    assert "Traceback" not in said.err + said.out, (words, said)
    assert said.err.count("error: ") <= 1, (words, said)
    assert not set(said.err + said.out) & set("\x1b\u202e"), (words, said)
    assert said.code == 0 or said.err or said.out, (words, said)


@pytest.mark.parametrize("command", USUAL)
@pytest.mark.parametrize(
    "examples", [10, pytest.param(1000, marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_no_input_ends_in_a_traceback(
    command: str, examples: int, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(here)
    # What is asked for is begun, and there is little to do.
    monkeypatch.setattr(demo, "STUDY", str(here / "s.yaml"))
    monkeypatch.setattr(compiling, "compile_worlds", lambda ids, say: 0)

    @settings(max_examples=examples, deadline=None, database=None, derandomize=True)
    @given(lines(command))
    def holds(words: list[str]) -> None:
        check(command, words)

    holds()


def test_every_command_is_tried() -> None:
    commands: Any = typer.main.get_command(cli.app)
    assert set(USUAL) == set(commands.commands)
