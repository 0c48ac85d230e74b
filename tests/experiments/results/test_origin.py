from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import gymnasium
import pandas as pd
import pyarrow.parquet as pq
import pytest

from powerseek.envs.adapters.foreign import ForeignWorld
from powerseek.envs.rewards.timing import Dense
from powerseek.envs.world import Param
from powerseek.errors import InvalidInput
from powerseek.experiments.analysis.view import View
from powerseek.experiments.report.pages import write_report, write_summary
from powerseek.experiments.report.sections import sections
from powerseek.experiments.results import origin
from powerseek.experiments.results.files import write_table
from powerseek.experiments.results.oracles import WORLD, exact_setting, keep_exact, read_exact
from powerseek.experiments.results.origin import Origins, origin_of, read_mixed, read_origin
from powerseek.experiments.results.store import COLUMNS, Store, trial_columns
from powerseek.experiments.study.checked import trials
from powerseek.experiments.study.grid import Trial
from powerseek.experiments.study.schema import Study, make_study
from powerseek.experiments.sweep import oracles
from powerseek.experiments.sweep.oracles import oracle_of
from powerseek.registry import metrics, rewards, worlds

RULES = """
from powerseek.envs.world import Fact, Param, World, columns

PRICE = 1.0


class Edited(World):
    parameters = {"max_steps": Param(4)}
    state = (("n", "i8"),)
    flows = (("got", "f8"),)
    facts = (
        *(Fact("progress"), Fact("success"), Fact("over")),
        Fact("got", flow=True, roles=("resource",)),
    )

    def actions(params):
        return ("take", "wait")

    def observation(params):
        return ("n",)

    def initial(p, s, c):
        s.n = 0

    def transition(p, s, a, c):
        if a == 0:
            s.n += 1
            s.got = PRICE

    def legal(p, s, out):
        out[0] = out[1] = True

    def observe(p, s, out):
        out[0] = s.n / 3

    def measure(p, s, out):
        out[F.progress] = min(s.n, 3) / 3
        out[F.success] = out[F.over] = 1.0 if s.n >= 3 else 0.0
        out[F.got] = s.got


F = columns(*Edited.facts)
"""


@pytest.fixture(autouse=True)
def edit(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Put the world ``my.edited`` into the registry, its rules rewritten."""

    def edited(before: str = "", after: str = "") -> None:
        names: dict[str, Any] = {"__name__": "edited"}
        exec(compile(RULES.replace(before, after) if before else RULES, "edited.py", "exec"), names)
        names["Edited"].id = "my.edited"
        monkeypatch.setitem(worlds._entries, "my.edited", names["Edited"])

    monkeypatch.setattr(origin, "_plugins", lambda cell: {})
    edited()
    return edited


def study(seeds: int = 2) -> Study:
    given = {"worlds": [{"id": "my.edited"}], "agents": "random", "timesteps": 1, "seeds": seeds}
    return make_study({"name": "s", **given})


def write(store: Store, trial: Trial, **changed: str) -> None:
    about = {"timesteps": 9, "updates": 3, "checkpoint": "end", "evaluation": "sampled"}
    about |= {"metric": "success", "value": 0.5, "n": 4, "unit": "", "status": "ok"}
    rows = pd.DataFrame([{**trial_columns(trial), **about}], columns=list(COLUMNS))
    store.write(trial, rows, {**origin_of(trial.cell), **changed})


def begun(folder: Path, **changed: str) -> Store:
    """A study of which the first of two seeds has been run."""
    store = Store(folder / "out")
    store.open(study(), trials(study()), resume=True)
    write(store, trials(study())[0], **changed)
    return store


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("PRICE = 1.0", "PRICE = 2.0"),
        ("s.n += 1", "s.n += 2"),
    ],
)
def test_trials_of_other_rules_are_refused_by_name(
    before: str, after: str, tmp_path: Path, edit: Any
) -> None:
    store = begun(tmp_path)
    there = {path: path.read_bytes() for path in store.out.rglob("*") if path.is_file()}
    assert Store(store.out).open(study(), trials(study()), resume=True) == ()
    edit(before, after)
    with pytest.raises(InvalidInput, match=r"my\.edited") as caught:
        Store(store.out).open(study(), trials(study()), resume=True)
    assert caught.value.field == "--out"
    assert trials(study())[0].key in caught.value.allowed
    assert "another --out" in caught.value.hint
    assert there == {path: path.read_bytes() for path in store.out.rglob("*") if path.is_file()}


def test_a_finished_study_is_shown_whatever_the_rules_are_now(tmp_path: Path, edit: Any) -> None:
    store = begun(tmp_path)
    write(store, trials(study())[1])
    edit("PRICE = 1.0", "PRICE = 2.0")
    assert Store(store.out).open(study(), trials(study()), resume=True) == ()
    with pytest.raises(InvalidInput, match=r"my\.edited"):
        Store(store.out).open(study(3), trials(study(3)), resume=True)


def test_fingerprints_of_another_minor_version_of_python_are_no_edit(tmp_path: Path) -> None:
    store = begun(tmp_path, python="3.9.1", rules="of the same rules")
    (said,) = store.open(study(), trials(study()), resume=True)
    assert "python 3.9.1 (now 3." in said


def test_going_on_with_trials_of_another_version_is_told(tmp_path: Path) -> None:
    store = begun(tmp_path, powerseek="0.0.7", numpy="1.0")
    (said,) = store.open(study(), trials(study()), resume=True)
    assert said.startswith(f"1 of 1 trials ({trials(study())[0].key}) here are made with ")
    assert "powerseek 0.0.7 (now " in said
    assert "numpy 1.0 (now " in said
    assert "numba" not in said


def test_trials_that_do_not_say_how_they_were_made_are_told(tmp_path: Path) -> None:
    """Those of a folder that an earlier version made."""
    store = begun(tmp_path)
    path = store.path(trials(study())[0])
    data = path.read_bytes()
    write_table(path, pq.read_table(path).replace_schema_metadata(None))
    assert path.read_bytes() != data
    (said,) = store.open(study(), trials(study()), resume=True)
    assert "earlier powerseek" in said
    write(store, trials(study())[1])
    store.join(trials(study()))
    (line,) = read_mixed(store.out)
    assert line.startswith("1 of 2 trials (")


def test_trials_of_two_versions_are_marked_in_every_page(tmp_path: Path) -> None:
    one, two = trials(study())
    store = begun(tmp_path)
    write(store, two, powerseek="0.0.7", processor="abacus")
    store.join((one, two))
    view = View.read(store.out)
    (line,) = view.mixed
    assert line.startswith(f"1 of 2 trials ({two.key}) were made with ")
    assert "powerseek 0.0.7 (the others " in line
    assert "processor abacus (the others " in line
    parts = sections(view)
    assert "powerseek 0.0.7" in write_summary(view, parts, store.out).read_text()
    assert "powerseek 0.0.7" in write_report(view, parts, store.out).read_text()


def test_trials_of_one_making_are_not_marked(tmp_path: Path) -> None:
    store = begun(tmp_path)
    write(store, trials(study())[1])
    store.join(trials(study()))
    assert read_mixed(store.out) == ()


def test_rules_are_held_against_those_of_one_configuration(tmp_path: Path) -> None:
    """Tables differ between configurations, and so do their fingerprints."""
    given = {"worlds": [{"id": "star", "goals": [0, 1]}], "agents": "random", "timesteps": 1}
    grid = trials(make_study({"name": "s", **given, "seeds": 3}))
    store = Store(tmp_path)
    for trial in grid:
        write(store, trial)
    rules = {read_origin(store.path(trial))["rules"] for trial in grid}
    assert len(rules) == 2
    edited = grid[0]
    for last in (False, True):
        if last:
            write(store, edited, rules="others")
        origins = Origins()
        for trial in grid:
            origins.add(trial, store.path(trial))
        assert [edited.key in line for line in origins.mixed] == [True] * last


def test_exact_numbers_of_other_rules_are_made_anew(
    tmp_path: Path, edit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one process, whose memory keeps what was read, and in the next, which has the file."""
    made: list[float] = []

    def solved(world: Any) -> Any:
        made.append(world.transition.__globals__["PRICE"])
        raise InvalidInput("world", world.id, "a solution")

    monkeypatch.setattr(oracles, "oracle", solved)
    (trial,) = trials(study(1))
    for price in ("1.0", "2.0", "2.0"):
        edit("PRICE = 1.0", f"PRICE = {price}")
        oracle_of(trial.cell, tmp_path)
    oracles._oracle.cache_clear()
    oracle_of(trial.cell, tmp_path)
    assert made == [1.0, 2.0]


def test_exact_numbers_say_whose_they_are(tmp_path: Path) -> None:
    setting = exact_setting(trials(study())[0].cell, WORLD)
    keep_exact(tmp_path, setting, "some rules", {})
    assert read_exact(tmp_path, setting, "some rules") == {}
    assert read_exact(tmp_path, setting, "others") is None
    assert read_exact(tmp_path, setting) == {}


SOURCE = "def half(context):\n    return {number}\n"


def test_a_plugin_counts_by_its_code_and_not_by_its_comments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(package: str, source: str) -> str:
        folder = tmp_path / package
        folder.mkdir()
        (folder / "__init__.py").write_text("from .numbers import half")
        (folder / "numbers.py").write_text(textwrap.dedent(source))
        monkeypatch.syspath_prepend(tmp_path)
        name, digest = origin._source(__import__(package).half)
        assert name == f"plugin {package}"
        return digest

    one, same, other = (
        told("we_plain", SOURCE.format(number=1)),
        told("we_commented", "# one\n" + SOURCE.format(number=1)),
        told("we_changed", SOURCE.format(number=2)),
    )
    assert one == same != other


def test_what_a_script_defines_counts_by_its_code() -> None:
    def made(number: int, line: str = "") -> Any:
        names: dict[str, Any] = {"__name__": "__main__"}
        exec(line + SOURCE.format(number=number), names)
        return names["half"]

    assert origin._source(made(1)) == origin._source(made(1, "\n\n"))
    assert origin._source(made(1)) != origin._source(made(2))
    assert origin._source(made(1))[0] == "script's half"


def test_every_metric_of_a_plugin_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    cell = trials(make_study({"name": "s", "worlds": [{"id": "star"}], "timesteps": 1}))[0].cell
    before = origin_of(cell)
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(SOURCE.format(number=1), names)
    monkeypatch.setitem(metrics._entries, "my.half", names["half"])
    assert set(origin_of(cell)) - set(before) == {"script's half"}


def test_a_plugin_s_reward_counts_where_a_price_is_put_on_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.undo()

    class Own(Dense):
        id = "my.dense"

    Own.__module__ = "__main__"
    monkeypatch.setitem(rewards._entries, "my.dense", Own)
    given = {"worlds": [{"id": "homestead"}], "timesteps": 1}
    priced = {"priced": 0.02, "of": "my.dense"}
    cell = trials(make_study({"name": "s", **given, "rewards": [priced]}))[0].cell
    assert "script's" in " ".join(origin_of(cell))


def test_a_foreign_environment_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    class Pole(ForeignWorld):
        id = "my.pole"
        parameters = {"max_steps": Param(20, 1, 500)}

        @staticmethod
        def environment(params: Any) -> Any:
            return gymnasium.make("CartPole-v1", sutton_barto_reward=True)

        @staticmethod
        def read(params: Any, moment: Any) -> Any:
            return {"progress": 0.0, "success": 0.0}

    monkeypatch.setitem(worlds._entries, "my.pole", Pole)
    given = {"worlds": [{"id": "my.pole"}], "agents": "random", "timesteps": 1}
    told = origin_of(trials(make_study({"name": "s", **given}))[0].cell)["environment"]
    assert told.startswith('CartPole-v1 {"sutton_barto_reward": true')
    assert told.endswith(f" of gymnasium {gymnasium.__version__}")
