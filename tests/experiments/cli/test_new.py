"""`powerseek new-world` and sisters: a whole package or nothing, and names that cannot go wrong."""

from __future__ import annotations

import ast
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from powerseek.errors import InvalidInput
from powerseek.experiments.cli import app as cli
from powerseek.experiments.cli.new import FILES, KINDS, make_new, new_names, package_files
from powerseek.registry import worlds


@pytest.fixture
def call(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)

    def run(*words, kind="world"):
        monkeypatch.setattr(sys, "argv", ["powerseek", f"new-{kind}", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_package_is_written_and_the_next_steps_are_said(call, tmp_path):
    code, out, err = call("lab.apple-orchard")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "lab.apple-orchard lies in apple-orchard. Next:",
        "  pip install -e 'apple-orchard[test]'",
        "  powerseek check lab.apple-orchard",
        "  pytest apple-orchard",
        "  powerseek sweep apple-orchard/study.yaml",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["apple-orchard"]
    assert files(tmp_path / "apple-orchard") == {
        "README.md",
        "pyproject.toml",
        "src/lab_apple_orchard/__init__.py",
        "src/lab_apple_orchard/py.typed",
        "src/lab_apple_orchard/world.py",
        "study.yaml",
        "tests/test_apple_orchard.py",
    }


@pytest.mark.parametrize(
    ("kind", "place"),
    [("agent", "AppleOrchard"), ("reward", "AppleOrchard"), ("metric", "apple_orchard")],
)
def test_so_is_one_of_every_other_kind(kind, place, call, tmp_path):
    code, out, err = call("lab.apple-orchard", kind=kind)
    assert (code, err) == (0, "")
    assert f"  powerseek {kind}s lab.apple-orchard" in out.splitlines()
    made = files(tmp_path / "apple-orchard")
    assert f"src/lab_apple_orchard/{kind}.py" in made
    assert len(made) == len(FILES)
    project = tomllib.loads((tmp_path / "apple-orchard" / "pyproject.toml").read_text())["project"]
    assert project["entry-points"] == {
        f"powerseek.{kind}s": {"lab.apple-orchard": f"lab_apple_orchard.{kind}:{place}"}
    }


def test_a_name_without_a_namespace_gets_one(call, tmp_path):
    assert call("orchard")[1].startswith("my.orchard lies in orchard.")
    project = tomllib.loads((tmp_path / "orchard" / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["powerseek.worlds"] == {"my.orchard": "my_orchard.world:Orchard"}


def test_here_and_into_an_empty_folder(call, tmp_path):
    assert call("lab.orchard", "--out", ".")[0] == 0
    assert (tmp_path / "pyproject.toml").is_file()
    (tmp_path / "empty").mkdir()
    assert call("lab.meadow", "--out", "empty")[0] == 0
    assert len(files(tmp_path / "empty")) == len(FILES)


BAD_NAMES = {
    "capitals": ("lab.Orchard", "Write: powerseek new-world lab.orchard"),
    "underscore": ("lab.apple_orchard", "Write: powerseek new-world lab.apple-orchard"),
    "digit first": ("lab.3d", "Write: powerseek new-world lab.orchard"),
    "three parts": ("a.b.c", "Write: powerseek new-world a-b.c"),
    "no world": ("lab.", "Write: powerseek new-world lab.orchard"),
    "nothing": ("", "Write: powerseek new-world lab.orchard"),
    "a path": ("../lab.orchard", "Write: powerseek new-world lab.orchard"),
    "two lines": ("lab.orchard\n", "Write: powerseek new-world lab.orchard"),
    "ours": ("powerseek.orchard", "Write: powerseek new-world lab.orchard"),
    "keyword": ("lab.none", "Write: powerseek new-world lab.orchard"),
    "base class": ("lab.world", "Write: powerseek new-world lab.orchard"),
    "too long": (f"lab.{'a' * 21}", f"Write: powerseek new-world lab.{'a' * 20}"),
}


@pytest.mark.parametrize(("name", "hint"), BAD_NAMES.values(), ids=BAD_NAMES)
def test_a_bad_name_is_refused_and_nothing_is_written(name, hint, call, tmp_path):
    code, out, err = call(name)
    assert (code, out) == (2, "")
    assert err.startswith(
        f"error: NAME: got {name!r}; allowed: namespace.world, each of at most 20"
    )
    assert err.rstrip().endswith(hint)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("homestead", "world 'homestead'"),
        ("lab.taken", "world 'lab.taken'"),
        ("test.discovery", "package 'test_discovery'"),
    ],
)
def test_a_taken_name_is_refused(name, taken, call, tmp_path, monkeypatch):
    monkeypatch.setitem(worlds._entries, "lab.taken", object)
    (tmp_path / "on-the-path").mkdir()
    (tmp_path / "on-the-path" / "test_discovery.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path / "on-the-path"))
    code, _, err = call(name)
    assert code == 2
    assert f"a name that is free (there is a {taken} already)" in err
    hint = err.rstrip().rpartition(" ")[2]
    assert new_names("world", hint).id == hint
    assert [path.name for path in tmp_path.iterdir()] == ["on-the-path"]


@pytest.mark.parametrize("kind", KINDS)
def test_of_each_kind_a_bad_name_is_met_with_one_that_will_do(kind, call):
    for name in (
        "dense",
        "lab.none",
        "lab.Any",
        "lab.context",
        "lab.job",
        *KINDS[kind].registry.builtin,
    ):
        code, _, err = call(name, kind=kind)
        if code:
            command, hint = err.split()[-2:]
            assert command == f"new-{kind}"
            assert new_names(kind, hint).id == hint
    assert new_names(kind, KINDS[kind].example).id == KINDS[kind].example


def test_a_folder_in_use_is_left_alone(call, tmp_path):
    (tmp_path / "orchard").mkdir()
    (tmp_path / "orchard" / "apple").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for words in (["lab.orchard"], ["lab.orchard", "--out", "file"]):
        code, _, err = call(*words)
        assert code == 2
        assert "allowed: a folder that is empty or does not exist. Write --out" in err
    assert files(tmp_path) == {"orchard/apple", "file"}
    code, _, err = call("lab.orchard", "--out", "/proc/nowhere")
    assert code == 2
    assert "--out: got '/proc/nowhere'; allowed: a folder that can be written" in err


PARTS = st.from_regex(r"[a-z][a-z0-9]{0,5}(-[a-z0-9]{1,4}){0,3}", fullmatch=True)


@given(st.sampled_from(sorted(KINDS)), PARTS, PARTS)
def test_every_name_that_is_taken_gives_code_that_parses_and_keeps_to_the_line(
    kind, namespace, own
):
    try:
        names = new_names(kind, f"{namespace}.{own}")
    except InvalidInput:
        return
    assert names.package.isidentifier()
    assert names.name.isidentifier()
    made = package_files(names)
    tomllib.loads(made["pyproject.toml"])
    for path, text in made.items():
        assert "$" not in path + text
        assert path.endswith((".md", ".yaml", ".toml")) or max(map(len, text.split("\n"))) <= 100
        if path.endswith(".py"):
            ast.parse(text)


@pytest.mark.parametrize("kind", KINDS)
def test_the_longest_name_keeps_to_the_line(kind):
    part = f"{'a' * 9}-{'b' * 10}"
    for path, text in package_files(new_names(kind, f"{part}.{part}")).items():
        assert not path.endswith(".py") or max(map(len, text.split("\n"))) <= 100


@pytest.mark.parametrize(
    ("kind", "own"),
    [
        *[("world", own) for own in ("a", "fact", "class-var", "value-error")],
        *[("agent", own) for own in ("agent", "linear", "vec-task", "exception")],
        *[("reward", own) for own in ("step", "any", "reward-function")],
        *[("metric", own) for own in ("metric", "exact", "inf", "register-metric", "float", "in")],
    ],
)
def test_a_name_that_the_module_needs_for_something_else_is_refused(kind, own):
    with pytest.raises(InvalidInput, match="small letters") as refused:
        new_names(kind, f"lab.{own}")
    assert refused.value.hint == f"Write: powerseek new-{kind} {KINDS[kind].example}"


def test_it_can_be_called_from_python(tmp_path):
    names, folder = make_new("world", "lab.orchard", str(tmp_path / "deep" / "er"))
    assert (names.id, folder) == ("lab.orchard", tmp_path / "deep" / "er")
    assert len(files(folder)) == len(FILES)
