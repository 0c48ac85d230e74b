"""Worlds in files: ``orchard.py:Orchard`` wherever a world's id stands, in other processes too."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from powerseek.envs.checks.interpreted import interpret
from powerseek.errors import InvalidInput
from powerseek.experiments.results.origin import origin_of
from powerseek.experiments.results.store import _refuse_files
from powerseek.experiments.study.checked import cells
from powerseek.experiments.study.hypotheses import concerns_cell
from powerseek.experiments.study.schema import load_study, make_study, parse_study
from powerseek.registry import Worlds, export_entries, import_entries, worlds
from powerseek.scripts import import_file, module_of, parse_reference

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
(ORCHARD,) = [x for x in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "Orchard" in x]
PLAIN = "import powerseek\nfrom powerseek.envs import Param\n\n"
TWO = PLAIN + "class Elm(powerseek.World):\n    parameters = {'max_steps': Param(3)}\n"
TWO += "\n\nclass Oak(Elm):\n    pass\n"


@pytest.fixture
def folder(tmp_path, monkeypatch, forgotten):
    """An empty working directory; what is imported from it is forgotten at the end."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return tmp_path


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("orchard.py:Orchard", ("orchard.py", "Orchard")),
        ("sub/my orchard.py:my.orchard", ("sub/my orchard.py", "my.orchard")),
        ("orchard.py", ("orchard.py", "")),
        ("orchard.py:", ("orchard.py", "")),
        ("homestead", None),
        ("lab.pyramid", None),
        ("orchard.pyc:Orchard", None),
        (3, None),
    ],
)
def test_what_a_reference_looks_like(text, parts, folder):
    found = parse_reference(text)
    assert found == (parts and (folder / parts[0], parts[1]))


@pytest.mark.parametrize("name", [":Orchard", ":my.orchard", "", ":"])
def test_a_world_is_found_by_class_by_id_and_where_it_is_the_only_one(name, folder):
    (folder / "grove_a.py").write_text(ORCHARD)
    assert worlds.resolve(f"grove_a.py{name}") == "my.orchard"
    made = worlds.get(f"{folder}/grove_a.py{name}")(openness=2)
    assert (made.id, made.params.openness) == ("my.orchard", 2)
    assert not interpret(made).absent  # another process finds it too


def test_a_class_that_registers_nothing_gets_an_id_of_its_file(folder):
    (folder / "two trees.py").write_text(TWO)
    assert worlds.resolve("two trees.py:Oak") == "two_trees.Oak"
    assert worlds.resolve("two trees.py:two_trees.Oak") == "two_trees.Oak"
    assert worlds.get("two trees.py:Elm").id == "two_trees.Elm"


@pytest.mark.parametrize(
    ("name", "source", "words"),
    [
        ("absent.py:Oak", None, "allowed: a file that exists (/"),
        ("a.py:Ork", TWO, "allowed: a world of that file: Elm, Oak. Write a.py:Oak."),
        ("a.py", TWO, "allowed: a world of that file: Elm, Oak. Write a.py:Elm."),
        ("a.py:Oak", "x = 1\n", "allowed: a file with a world in it. Let it define one: class A(p"),
        ("a.py:Oak", "\n1 / 0\n", "It raises ZeroDivisionError: division by zero (a.py line 2)."),
        ("a.py:Oak", "x = (\n", "It raises SyntaxError: '(' was never closed (a.py, line 1)."),
        ("a.py:Oak", "import sys\nsys.exit(3)\n", "It raises ProcessLeft: SystemExit 3 (in <modul"),
        (
            "a.py:Oak",
            "import nowhere\n",
            "It raises ModuleNotFoundError: No module named 'nowhere'",
        ),
    ],
)
def test_errors_say_what_to_write(name, source, words, folder):
    if source is not None:
        (folder / "a.py").write_text(source)
    with pytest.raises(InvalidInput, match=r"^world: got ") as refused:
        worlds.get(name)
    assert words in str(refused.value)
    study = {"name": "mine", "worlds": [{"id": name}], "timesteps": 1}
    with pytest.raises(InvalidInput, match=r"^worlds\[0\].id: got "):
        cells(make_study(study))


def test_the_name_of_a_library_is_left_to_it(folder):
    (folder / "random.py").write_text(TWO)
    (folder / "sub").mkdir()
    (folder / "sub" / "random.py").write_text(TWO)
    one, two = module_of(folder / "random.py"), module_of(folder / "sub" / "random.py")
    assert len({one, two, "random"}) == 3
    assert worlds.get("random.py:Elm").__module__ == one
    assert import_file(folder / "random.py", one) is sys.modules[one]
    assert module_of(folder / "sub" / ".." / "random.py") == one


def test_what_lies_beside_it_can_be_imported_after_what_is_installed(folder):
    (folder / "sub").mkdir()
    (folder / "sub" / "this.py").write_text("raise RuntimeError\n")
    sys.modules.pop("this", None)
    (folder / "sub" / "helper_of_elm.py").write_text("STEPS = 5\n")
    source = "import this\nfrom helper_of_elm import STEPS\n" + TWO.replace(
        "Param(3)", "Param(STEPS)"
    )
    (folder / "sub" / "b.py").write_text(source)
    assert worlds.get("sub/b.py:Elm").parameters["max_steps"].default == 5


def test_another_process_gets_its_absolute_path(folder, monkeypatch):
    (folder / "grove_c.py").write_text(ORCHARD)
    worlds.resolve("grove_c.py:Orchard")
    exported = export_entries()
    assert exported["files"]["grove_c"] == str(folder / "grove_c.py")
    del sys.modules["grove_c"], worlds._entries["my.orchard"]
    monkeypatch.chdir("/")
    import_entries(exported)
    assert worlds.get("my.orchard").__module__ == "grove_c"
    exported["files"] = {"gone": "/nowhere/gone.py"}
    with pytest.raises(ImportError, match=r"there is no file /nowhere/gone\.py"):
        import_entries(exported)


def test_a_registered_id_that_looks_like_a_file_is_itself():
    registry = Worlds("world", "powerseek.none", {})
    registry._entries["lab.py"] = object  # type: ignore[assignment]  # not looked at
    assert registry.resolve("lab.py") == "lab.py"


STUDY = """
name: mine
worlds: [{id: 'grove_d.py:Orchard', openness: [0, 1]}]
agents: [random]
timesteps: 1
episodes: 20
evaluations: 1
hypotheses:
  - {id: more, contrast: openness, direction: larger, margin: 0.5, measure: acquired,
     world: 'grove_d.py:Orchard'}
"""


def test_a_study_keeps_what_was_written_and_knows_the_source(folder):
    (folder / "grove_d.py").write_text(ORCHARD)
    (folder / "mine.yaml").write_text(STUDY)
    study = load_study("mine.yaml")
    grid = cells(study)
    assert {cell.world for cell in grid} == {"my.orchard"}
    assert study.worlds[0].id == study.hypotheses[0].world == "grove_d.py:Orchard"
    assert concerns_cell(study.hypotheses[0], {"world": "my.orchard", "agent": "random"})
    digest = origin_of(grid[0])["plugin grove_d"]
    assert re.fullmatch(r"[0-9a-f]{16}", digest)


def test_a_results_folder_has_no_file_run(folder):
    """Whoever reads a stranger's results runs nothing that their study names."""
    (folder / "evil.py").write_text(f"open('ran', 'w').close()\n{ORCHARD}")
    study = parse_study(STUDY.replace("grove_d", "evil"))
    plain = parse_study(STUDY.replace("grove_d.py:Orchard", "star").replace("[0, 1]", "0"))
    assert not (folder / "ran").exists()
    with pytest.raises(InvalidInput, match=r"evil.py:Orchard'; allowed: worlds whose code .* --wo"):
        _refuse_files(study, folder / "study.yaml")
    _refuse_files(plain, folder / "study.yaml")
    assert not concerns_cell(study.hypotheses[0], {"world": "my.orchard", "agent": "random"})
    assert not (folder / "ran").exists()
    worlds.resolve("evil.py:Orchard")  # the user's own word
    _refuse_files(study, folder / "study.yaml")
    assert concerns_cell(study.hypotheses[0], {"world": "my.orchard", "agent": "random"})


def ran(folder: Path, *words: str) -> str:
    """Standard output of a Python process in a folder."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_a_script_that_names_itself_is_not_run_again(tmp_path):
    code = f"print('once')\n{ORCHARD.partition('# 5. use it')[0]}"
    (tmp_path / "main.py").write_text(f"{code}print(powerseek.make_world('./main.py:Orchard').id)")
    assert ran(tmp_path, "main.py") == "once\nmy.orchard\n"


@pytest.mark.slow
def test_workers_of_a_sweep_import_it(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "grove_e.py").write_text(ORCHARD)
    study = STUDY.partition("hypotheses")[0].replace("grove_d", "sub/grove_e")
    (tmp_path / "mine.yaml").write_text(study.replace("[0, 1]", "1"))
    ran(tmp_path, "-m", "powerseek.experiments.cli", "sweep", "mine.yaml", "--out", "out")
    rows = pq.read_table(tmp_path / "out" / "results.parquet")
    assert set(rows["world"].to_pylist()) == {"my.orchard"}
    assert set(rows["status"].to_pylist()) == {"ok"}
    assert "id: sub/grove_e.py:Orchard" in (tmp_path / "out" / "study.yaml").read_text()
