from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import powerseek
from powerseek.experiments.cli import app as cli
from powerseek.limits import LIMITS
from powerseek.registry import worlds

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Call:
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["powerseek", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run


STUDY = "name: s\nworlds: [{id: homestead}]\ntimesteps: 100\n"
YEARS = STUDY.replace("100", str(10**12))
DEAF = "s3://key:secret@bucket/x?endpoint_override=127.0.0.1:9&scheme=http&region=here"
BAD_SWEEPS = {
    "no such study": ("", ["nothing"], "quick"),
    "not YAML": ("a: [", ["s.yaml"], "YAML"),
    "unknown key": (f"{STUDY}sedes: 3", ["s.yaml"], "'seeds'"),
    "unknown world": (STUDY.replace("homestead", "homsted"), ["s.yaml"], "worlds[0].id"),
    "unknown reward": (f"{STUDY}rewards: [dens]", ["s.yaml"], "rewards[0]"),
    "unknown agent": (f"{STUDY}agents: [pppo]", ["s.yaml"], "agents"),
    "k above the cap": (f"{STUDY}rewards: [{{every: 99}}]", ["s.yaml"], "rewards[0]"),
    "gamma": (f"{STUDY}gamma: 1.5", ["s.yaml"], "(0, 1]"),
    "bootstrap at gamma 1": (f"{STUDY}time_limit: bootstrap", ["s.yaml"], "time_limit"),
    "negative size": (STUDY.replace("100", "-100"), ["s.yaml"], "timesteps"),
    "workers": (STUDY, ["s.yaml", "--workers", "0"], "--workers"),
    "hours": (STUDY, ["s.yaml", "--hours", "-1"], "--hours: got -1.0"),
    "no hours": (STUDY, ["s.yaml", "--hours", "0"], "--hours: got 0.0"),
    "hours that are no number": (STUDY, ["s.yaml", "--hours", "nan"], "--hours: got nan"),
    "hours without end": (STUDY, ["s.yaml", "--hours", "inf"], "--hours: got inf"),
    "set without a value": (STUDY, ["s.yaml", "--set", "seeds"], "--set: got 'seeds'"),
    "set of a key there is none": (STUDY, ["s.yaml", "--set", "sedes=3"], "'seeds'"),
    "set of a place there is none": (STUDY, ["s.yaml", "--set", "worlds.3.id=star"], "0 is home"),
    "set to what is not allowed": (
        STUDY,
        ["s.yaml", "--set", "worlds.0.openness=[0, 77]"],
        "error: --set worlds.0.openness: got 77",
    ),
    "set to years of work": (
        STUDY,
        ["s.yaml", "--set", f"timesteps={10**12}", "--out", "."],
        "error: --set timesteps: got [1000000000000]",
    ),
    "trials": (f"{STUDY}seeds: 300000", ["s.yaml", "--out", "."], "300,000 trials, about"),
    "trials that are meant": (
        f"{STUDY}seeds: 300000",
        ["s.yaml", "--out", ".", "--yes"],
        "300,000",
    ),
    "years of work": (YEARS, ["s.yaml", "--out", "."], "write --yes"),
    "numbers as text": (f'{STUDY}seeds: "64"', ["s.yaml"], "write 64"),
    "a parameter as text": (
        STUDY.replace("homestead", 'homestead, params: {quota: "3"}'),
        ["s.yaml"],
        "write 3",
    ),
    "a key that is no text": (f"{STUDY}on: 3", ["s.yaml"], 'write "on"'),
    "no cluster there": (STUDY, ["s.yaml", "--address", "127.0.0.1:1"], "--address"),
    "no address": (STUDY, ["s.yaml", "--address", "host:port"], "--address"),
    "out in use": (STUDY, ["s.yaml", "--out", "."], "--out"),
    "resume of something else": (STUDY, ["s.yaml", "--out", ".", "--resume"], "--out"),
    "a store unknown here": (STUDY, ["s.yaml", "--out", "nosuch://bucket/x"], "pyarrow"),
    "a store out of reach": (STUDY, ["s.yaml", "--out", DEAF], "s3://key:***@bucket/x"),
    "another machine": (STUDY, ["s.yaml", "--out", "file://there/x"], "mount the store"),
    "unwritable out": (STUDY, ["s.yaml", "--out", "/proc/nowhere/out"], "/proc/nowhere/out"),
}


# What only writing shows, as root may write wherever the mode allows it.
ONLY_WRITING = ["unwritable out"] * (os.getuid() == 0)


@pytest.mark.parametrize("dry", [[], ["--dry-run"]], ids=["", "dry"])
@pytest.mark.parametrize("case", BAD_SWEEPS)
def test_bad_input_is_one_message_and_nothing_is_written(
    case: str, dry: list[str], call: Call, tmp_path: Path
) -> None:
    if dry and case in ONLY_WRITING:
        pytest.skip("only writing shows it")
    text, words, named = BAD_SWEEPS[case]
    (tmp_path / "s.yaml").write_text(text)
    code, out, err = call("sweep", *words, *dry)
    assert code == 2
    assert out == ""
    assert named in err
    assert "Traceback" not in err
    assert "secret" not in err
    assert err.count("error:") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["s.yaml"]


def test_the_hint_to_go_on_is_the_command_that_was_given(call: Call, tmp_path: Path) -> None:
    (tmp_path / "my study.yaml").write_text(STUDY)
    words = ["--workers", "2", "--set", "seeds=2", "--set", "gamma=[1.0]", "--hours", "1.5"]
    _, _, err = call("sweep", "my study.yaml", "--out", ".", *words)
    assert (
        "Go on with: powerseek sweep 'my study.yaml' --out . --resume --set seeds=2 "
        "--set 'gamma=[1.0]' --workers 2 --hours 1.5\n"
    ) in err


@pytest.mark.parametrize(
    "words", [["envs"], ["report", "x"], ["sweep", "quick"], ["check", "star"]]
)
def test_a_working_directory_that_is_gone_is_one_line(
    words: list[str], call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    code, out, err = call(*words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("error: working directory: got")


def test_a_plugin_that_ends_the_process_is_an_error(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leaves(*_: object) -> None:
        sys.exit(0)

    monkeypatch.setattr("powerseek.experiments.single.evaluate_one", leaves)
    code, _, err = call("evaluate", "no.zip", "--world", "star")
    assert code == 2
    assert re.fullmatch(r"error: SystemExit 0 \(in .*leaves, test_app.py line \d+\)\n", err)


@pytest.mark.parametrize("word", ["--yes", "--resume"])
def test_years_of_work_that_are_meant_are_let_through(
    word: str, call: Call, tmp_path: Path
) -> None:
    (tmp_path / "s.yaml").write_text(YEARS)
    code, _, err = call("sweep", "s.yaml", "--out", ".", word)
    assert (code, "error: --out" in err) == (2, True)


@pytest.mark.parametrize("answer", [True, False])
def test_years_of_work_are_asked_about_on_a_terminal(
    answer: bool, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(cli, "_on_a_terminal", lambda: True)
    monkeypatch.setattr("typer.confirm", lambda words, err: asked.append(words) or answer)
    (tmp_path / "s.yaml").write_text(YEARS)
    code, _, err = call("sweep", "s.yaml", "--out", ".")
    assert (code, "--out" in err) == (2, answer)
    assert "1 trials, about 2,777.8 hours" in asked[0]


LIMITED = {
    "train": (["--world", "star"], ["seed", "timesteps", "episodes"]),
    "evaluate": (["no.zip", "--world", "star"], ["seed", "episodes"]),
    "analyse": (["star"], ["samples", "seed", "steps", "limit"]),
    "play": (["star"], ["seed"]),
    "sweep": (["quick"], ["workers"]),
    "plan": (["quick"], ["workers"]),
}


@pytest.mark.parametrize(
    ("command", "option"),
    [(c, option) for c, (_, options) in LIMITED.items() for option in options],
)
@pytest.mark.parametrize("beyond", ["-1", str(2**70)])
def test_whole_numbers_are_held_to_one_table(
    command: str, option: str, beyond: str, call: Call, tmp_path: Path
) -> None:
    code, out, err = call(command, *LIMITED[command][0], f"--{option}", beyond)
    assert (code, out) == (2, "")
    assert f"error: --{option}: got {beyond}; allowed: {LIMITS[option]}" in err
    assert list(tmp_path.iterdir()) == []


def test_full_memory_is_one_line(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise MemoryError("Unable to allocate 9 TiB")

    monkeypatch.setattr("powerseek.experiments.single.evaluate_one", full)
    code, _, err = call("evaluate", "no.zip", "--world", "star")
    assert (code, err) == (1, "error: memory is full: Unable to allocate 9 TiB\n")


def test_a_path_that_is_refused_anywhere_is_one_line(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        Path("gone/away").read_bytes()

    monkeypatch.setattr("powerseek.experiments.single.evaluate_one", refuse)
    code, _, err = call("evaluate", "no.zip", "--world", "star")
    assert (code, err) == (2, "error: gone/away: No such file or directory\n")


def test_a_confound_is_warned_of_and_stops_nothing(call: Call, tmp_path: Path) -> None:
    text = f"{STUDY}rewards: [{{every: 4}}]\ngamma: 0.9"
    (tmp_path / "s.yaml").write_text(text)
    code, _, err = call("sweep", "s.yaml", "--out", ".")
    assert code == 2
    assert err.count("confounded with discount") == 1


BAD_TRAINS = {
    "world": (["--world", "homsted"], "--world"),
    "parameter": (["--world", "homestead", "--set", "opennes=1"], "--set opennes"),
    "parameter out of range": (["--world", "homestead", "--set", "openness=99"], "--set openness"),
    "no value": (["--world", "homestead", "--set", "openness"], "--set"),
    "reward": (["--world", "homestead", "--reward", "every: 99"], "--reward"),
    "reward that is no YAML": (["--world", "homestead", "--reward", "[{"], "--reward"),
    "gamma": (["--world", "homestead", "--gamma", "0"], "--gamma"),
    "agent": (["--world", "homestead", "--agent", "pppo"], "--agent"),
    "timesteps": (["--world", "homestead", "--timesteps", "-1"], "--timesteps"),
    "a store unknown here": (["--world", "homestead", "--out", "nosuch://b/x"], "--out"),
}


@pytest.mark.parametrize(("words", "named"), BAD_TRAINS.values(), ids=BAD_TRAINS)
def test_bad_options_of_train_are_named(
    words: list[str], named: str, call: Call, tmp_path: Path
) -> None:
    code, out, err = call("train", *words)
    assert (code, out) == (2, "")
    assert f"error: {named}:" in err
    assert list(tmp_path.iterdir()) == []


def _says_nothing_of_power(out: str) -> None:
    """Of an agent that did not learn its task it says how it fares, and nothing else."""
    assert re.search(r"not learnt: not scored: competence 0\.\d+, 0\.9 is needed\.", out)
    figures = {line.split()[1]: line for line in out.splitlines() if line.startswith("\u2502")}
    for metric in ("acquired", "beyond", "excess", "disabled", "free"):
        assert "not scored" in figures[metric]
        assert not re.search(r"\d\.\d", figures[metric])
    for metric in ("competence", "success", "constraint_low", "need_end", "return"):
        assert "not scored" not in figures[metric]


def test_train_keeps_a_model_that_evaluate_measures(call: Call, tmp_path: Path) -> None:
    words = ["--world", "homestead", "--set", "openness=0", "--reward", "every: 4"]
    words += ["--timesteps", "2000", "--episodes", "50", "--seed", "3", "--out", "here"]
    code, out, _ = call("train", *words)
    assert code == 0
    _says_nothing_of_power(out)
    (model,) = (tmp_path / "here/internals/models").glob("*.zip")
    assert str(model.relative_to(tmp_path)) in out
    (kept,) = (tmp_path / "here/internals/trials").glob("*.parquet")
    rows = pd.read_parquet(kept)
    assert set(rows["reward"]) == {"every 4"}
    assert set(rows["seed"]) == {3}
    code, out, err = call("evaluate", str(model), "--world", "homestead", "--episodes", "50")
    assert (code, err) == (0, "")
    _says_nothing_of_power(out)
    code, _, err = call("evaluate", str(model), "--world", "endgame")
    assert code == 2
    assert "observations" in err
    code, _, err = call("train", *words)
    assert code == 2
    assert "--out" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["report", "nosuch://bucket/x"], "DIR: got"),
        (["report", "memory://empty/x"], "DIR: got 'memory://empty/x'"),
        (["analyse", "homestead", "--out", "hdfs://a/x"], "mount the store"),
    ],
)
def test_an_address_that_holds_nothing_is_refused_and_no_folder_named_so(
    words: list[str], said: str, call: Call, tmp_path: Path
) -> None:
    code, out, err = call(*words)
    assert (code, out) == (2, "")
    assert said in err
    assert words[-1] in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "place", ["~nosuchuser/x", "x" * 300, "a/" + "x" * 300, "file:///a%00b", "file://[::1/x"]
)
@pytest.mark.parametrize(
    "words",
    [
        ["sweep", "s.yaml", "--out"],
        ["train", "--world", "star", "--agent", "random", "--out"],
        ["analyse", "star", "--out"],
        ["new-world", "lab.pear", "--out"],
        ["report"],
        ["plan"],
    ],
    ids=lambda words: words[0],
)
def test_a_place_where_nothing_can_be_is_named(
    words: list[str], place: str, call: Call, tmp_path: Path
) -> None:
    (tmp_path / "s.yaml").write_text(STUDY)
    code, _, err = call(*words, place)
    assert code == 2
    assert place in err
    assert [path.name for path in tmp_path.iterdir()] == ["s.yaml"]


@pytest.mark.parametrize(
    "words", [["evaluate", "no.zip", "--world", "homestead"], ["report", "no"]]
)
def test_what_is_not_there_is_named(words: list[str], call: Call) -> None:
    code, _, err = call(*words)
    assert code == 2
    assert words[1] in err


def test_envs_lists_every_world_in_one_line(call: Call) -> None:
    code, out, _ = call("envs")
    assert code == 0
    told = [line.split(maxsplit=1) for line in out.split("\n\n")[0].splitlines()]
    assert [name for name, _ in told] == powerseek.list_worlds()
    assert all(len(about) > 20 for _, about in told)


@pytest.mark.parametrize("name", sorted(worlds.builtin))
def test_envs_shows_a_world_with_every_parameter_and_fact(name: str, call: Call) -> None:
    code, out, _ = call("envs", name)
    world = powerseek.make_world(name)
    assert code == 0
    assert "\nPower here" in out
    for key, value in world.params._asdict().items():
        line = next(one for one in out.splitlines() if one.startswith(f"  {key} = {value!r}"))
        assert ": " in line, line  # what it means
    for fact in world.facts:
        assert f"  {fact.name}" in out


def test_envs_knows_no_other_world(call: Call) -> None:
    code, _, err = call("envs", "homestaed")
    assert code == 2
    assert "Did you mean 'homestead'" in err


def test_version_is_that_of_the_package_and_its_revision(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = "powerseek.experiments.results.provenance.revision"
    for known, said in (("abc1234-dirty", " (revision abc1234-dirty)"), (None, "")):
        monkeypatch.setattr(place, lambda known=known: known)
        assert call("--version") == (0, f"powerseek {powerseek.__version__}{said}\n", "")


def test_help_names_only_commands_that_exist(call: Call) -> None:
    code, out, _ = call("--help")
    assert code == 0
    for command in ("sweep", "train", "evaluate", "report", "export", "envs"):
        assert command in out
        assert call(command, "--help")[0] == 0
    assert call("levitate")[0] == 2
