from __future__ import annotations

import io
import subprocess
import sys
import tempfile
from dataclasses import replace
from math import isnan
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from powerseek.errors import InvalidInput
from powerseek.experiments.cli import app as cli
from powerseek.experiments.plan import pilot
from powerseek.experiments.plan.cost import (
    Optimum,
    Pace,
    Pilot,
    World,
    configuration_of,
    pace_of,
    reward_of,
)
from powerseek.experiments.plan.pilot import PilotFailed, run_pilot
from powerseek.experiments.plan.plan import AROUND, Packing, Plan, cost_of, make_plan
from powerseek.experiments.plan.text import hours_text, print_plan, size
from powerseek.experiments.statistics.bounded import seeds_that_could
from powerseek.experiments.study.checked import cells, trials
from powerseek.experiments.study.schema import Study, load_study, make_study
from powerseek.registry import make_world, worlds

# Counting


def a_study(**keys: Any) -> Study:
    common = {"worlds": [{"id": "off-switch"}], "timesteps": 5000, "agents": ["maskable-ppo"]}
    return make_study({"name": "s", **common, **keys})


def test_the_shipped_study_counted() -> None:
    study = load_study("quick")
    plan = make_plan(study)
    grid = trials(study)
    assert plan.trials + plan.references == len(grid)
    assert plan.references == 4 * len(study.references)
    assert plan.steps == sum(t.cell.timesteps for t in grid)
    assert sum(share.cells for share in plan.worlds) == len(cells(study))
    found = {(row.kind, row.world): row.configurations for row in plan.compared}
    # One delay in each of three levels of openness, and so on, by hand.
    assert found == {
        ("control", "homestead"): 3,
        ("control", "endgame"): 1,
        ("timing", "homestead"): 3,
        ("timing", "endgame"): 1,
        ("sparse", "homestead"): 3,
        ("sparse", "endgame"): 1,
        ("openness", "homestead"): 8,
        ("discount", "homestead"): 3,
    }
    assert plan.cost is None
    assert plan.more_seeds == 16


HORIZON: dict[str, Any] = {
    "worlds": [{"id": "homestead", "openness": [1]}],
    "max_steps": [16, 32],
    "power_weight": [0, 1],
}


@pytest.mark.parametrize("seeds", [3, 16])
def test_a_verdict_needs_seeds_and_a_margin(seeds: int) -> None:
    plan = make_plan(a_study(**HORIZON, seeds=seeds))
    (row,) = (row for row in plan.compared if row.kind == "horizon")
    assert ("16" in " ".join(row.lacks)) == (seeds < 16)
    assert "no margin" in " ".join(row.lacks)
    assert any("contrast: horizon" in line for line in plan.suggestions)
    assert any(line.startswith("seeds: 16") for line in plan.suggestions) == (seeds < 16)


def test_nothing_lacks_with_seeds_margin_and_control() -> None:
    claim = {"id": "H2", "contrast": "horizon", "direction": "larger", "margin": 0.5}
    plan = make_plan(a_study(**HORIZON, seeds=20, evaluations=15, hypotheses=[claim]))
    assert {row.lacks for row in plan.compared} == {()}
    assert plan.suggestions == ()
    assert plan.cautions == ()
    assert "Nothing lacks by design" in text(plan)


def test_verdicts_are_counted_and_budgets_need_no_positive_control() -> None:
    budget = {"id": "H5", "contrast": {"budget": 2}, "direction": "larger"}
    level = {"id": "H1b", "contrast": "level", "arm": "dense", "direction": "none", "margin": 1}
    common: dict[str, Any] = {
        "worlds": [{"id": "strip", "max_steps": [8, 16], "params": {"distance": 4}}],
        "rewards": ["dense", "terminal"],
        "seeds": 16,
    }
    alone, both = (
        make_plan(a_study(**common, hypotheses=claims)) for claims in ([budget], [budget, level])
    )
    assert [(row.id, row.direction, row.comparisons) for row in both.claims] == [
        ("H5", "larger", 2),
        ("H1b", "none", 2),
    ]
    assert alone.claims == both.claims[:1]
    controls = [any("positive control" in line for line in plan.cautions) for plan in (alone, both)]
    assert controls == [False, True]
    assert not any("sparse" in line for line in alone.suggestions)


def test_every_setting_of_an_agent_and_of_a_world_is_counted() -> None:
    plan = make_plan(
        a_study(
            worlds=[{"id": "leaky-chess", "params": {"leak": [1, 2]}, "max_steps": 8}],
            agents=["cohort-ppo"],
            settings={
                "cohort-ppo": {"ent_coef": [0.0, 0.01], "learning_rate": [0.001, 0.003, 0.01]}
            },
            rewards=["dense", "terminal"],
        )
    )
    found = {row.kind: row.configurations for row in plan.compared}
    counts = {"sparse": 2 * 2 * 3, "settings.ent_coef": 2 * 2 * 3, "params.leak": 2 * 2 * 3}
    assert found == {**counts, "settings.learning_rate": 2 * 2 * 2 * 2}  # each against the least


def test_a_study_of_one_cell_compares_nothing() -> None:
    plan = make_plan(a_study())
    assert plan.compared == ()
    assert "Nothing is compared" in plan.suggestions[0]


def test_cautions_that_need_no_pilot() -> None:
    study = a_study(
        rewards=["dense", {"every": 4}], gamma=0.9, time_limit=["terminal", "bootstrap"]
    )
    said = "\n".join(make_plan(study, workers=3, cores=2).cautions)
    for words in ("confounded with discount", "bootstrap", "no positive control", "2 cores"):
        assert words in said


def test_workers_must_be_some() -> None:
    with pytest.raises(InvalidInput, match="--workers"):
        make_plan(a_study(), workers=0)


@pytest.mark.parametrize("world", worlds.builtin)
def test_every_world_is_planned_for(world: str) -> None:
    keys = {"agents": "random", "rewards": ["dense", "terminal"], "seeds": 3, "first_seed": 7}
    study = a_study(worlds=[{"id": world}], **keys)
    plan = make_plan(study)
    assert (plan.trials, plan.steps) == (6, 30_000)
    made = make_world(world)
    assert bool(plan.compared) == bool(made.role("resource") or made.role("off_switch"))
    assert ("no world of it has" in text(plan)) != bool(plan.compared)


def test_a_plan_does_not_depend_on_the_first_seed() -> None:
    assert make_plan(a_study(**HORIZON, seeds=3, first_seed=11)) == make_plan(
        a_study(**HORIZON, seeds=3)
    )


# Costs, from made-up measurements

PACE = Pace(step=0.001, batch=1000, look=0.5, exact=0.25, level=2.0, fixed=3.0, kept=10_000)


def a_pilot(study: Study, **changes: Any) -> Pilot:
    grid = cells(study)
    worlds = {configuration_of(cell): World(8.0, "", 0.99, True) for cell in grid}
    optima = {reward_of(cell): Optimum(2.0, "", 0.9, 3.0, 0.5) for cell in grid}
    made = {"worlds": worlds, "optima": optima, "paces": {pace_of(cell): PACE for cell in grid}}
    return Pilot(**{**made, "start": 4.0, "exact_bytes": 500, "seconds": 9.0, **changes})


def test_a_trial_costs_steps_looks_levels_and_the_rest() -> None:
    (cell,) = cells(a_study(timesteps=4500, evaluations=3, competence=[0.5, 0.9]))
    # Five whole batches, four looks, all but the last exact as well, two levels.
    looks = 4 * 0.5 + 3 * 0.25
    assert PACE.seconds(cell) == pytest.approx(5 * 1000 * 0.001 + looks + 2 * 2.0 + 3.0)
    scripted = Pace(0.0, 0, 0.0, 0.0, 0.0, 1.5, 100)
    assert scripted.seconds(cell) == 1.5


def test_a_study_costs_its_trials_and_each_exact_number_once() -> None:
    study = a_study(rewards=["dense", "terminal"], seeds=4, timesteps=5000, evaluations=10)
    grid, pilot = cells(study), a_pilot(study)
    each = 5.0 + 6 * 0.5 + 4 * 0.25 + 2.0 + 3.0
    alone = cost_of(grid, 4, pilot, workers=1)
    assert alone.hours * 3600 == pytest.approx(AROUND + 4 + (8 + 4) + 8 * each)
    assert alone.trial == pytest.approx((each, each, each))
    assert alone.bytes == 8 * 10_000 + 500
    both = cost_of(grid, 4, pilot, workers=2)
    # One configuration: the second worker waits for it, or computes it too.
    assert both.hours * 3600 == pytest.approx(AROUND + 4 + (8 + 2) + 4 * each)
    many = cost_of(grid, 4, pilot, workers=1000)
    assert many.hours * 3600 == pytest.approx(AROUND + 4 + (8 + 2) + each)


def test_a_cohort_takes_as_long_as_its_trials_one_after_the_other() -> None:
    keys = {"rewards": ["dense", "terminal"], "seeds": 5, "timesteps": 5000, "evaluations": 10}
    study = a_study(**keys, agents="cohort-ppo", cohort=4)
    grid, pilot = cells(study), a_pilot(study)
    each = 5.0 + 6 * 0.5 + 4 * 0.25 + 2.0 + 3.0
    for workers, longest in ((1, 10), (2, 5), (3, 4), (1000, 4)):  # cohorts of 4, 4 and 2
        found = cost_of(grid, 5, pilot, workers, cohort=4)
        assert (found.hours - found.exact) * 3600 == pytest.approx(AROUND + 4 + longest * each)
    plan = make_plan(study, pilot, workers=8, cores=8)
    assert plan.packing == Packing(10, 3, 4, {"off-switch": ()})
    assert make_plan(a_study(**keys)).packing is None
    said = " ".join(text(plan, 80).split())
    assert "10 trials train in 3 cohorts of at most 4, side by side" in said
    assert "only 3 of 8 workers have anything to do: cohort: 1 would occupy" in said
    assert "8 cohorts at a time" in said


def test_what_keeps_cohorts_apart_is_named() -> None:
    study = a_study(agents="cohort-ppo", max_steps=[20, 30], seeds=3)
    plan = make_plan(study, workers=2, cores=2)
    assert plan.packing == Packing(6, 2, 3, {"off-switch": ("max_steps",)})
    assert "kept apart by off-switch: max_steps" in " ".join(text(plan, 80).split())
    assert not [line for line in plan.cautions if "workers" in line]


@pytest.mark.parametrize(("workers", "exact"), [(1, 16.0), (2, 16.0), (4, 8.0)])
def test_workers_share_exact_numbers_only_of_different_settings(workers: int, exact: float) -> None:
    study = a_study(rewards=["dense", "terminal"], max_steps=[50, 100], timesteps=5000)
    found = cost_of(cells(study), 1, a_pilot(study), workers)
    assert found.exact * 3600 == pytest.approx(exact + max(2.0, 8.0 / workers))


@given(st.integers(1, 40), st.integers(1, 40))
def test_more_workers_never_take_longer_and_more_seeds_never_less(seeds: int, workers: int) -> None:
    now, more, shared = (cost_of(GRID, *n) for n in _around(seeds, workers))
    assert shared.hours <= now.hours <= more.hours


GRID = cells(a_study(rewards=["dense", {"every": 4}], gamma=[0.8, 1.0]))
GRID_PILOT = a_pilot(a_study(rewards=["dense", {"every": 4}], gamma=[0.8, 1.0]))


def _around(seeds: int, workers: int) -> list[tuple[int, Pilot, int]]:
    counts = [(seeds, workers), (seeds + 1, workers), (seeds, workers + 1)]
    return [(s, GRID_PILOT, w) for s, w in counts]


def test_exact_cautions() -> None:
    study = a_study(worlds=[{"id": "homestead", "openness": [0, 1, 2]}], power_weight=[0, 1])
    keys = list(dict.fromkeys(map(configuration_of, cells(study))))
    worlds = {
        keys[0]: World(1.0, "too large to enumerate"),
        keys[1]: World(1.0, "", 0.5, True),
        keys[2]: World(1.0, "", 0.99, True),
    }
    plan = make_plan(study, a_pilot(study, worlds=worlds, slowed=2.0))
    said = "\n".join(plan.cautions)
    assert "homestead openness 0" in said.split("no oracle")[0]
    assert "too large to enumerate" in said
    assert "competence 0.9 is out of reach (the best policy has 0.500)" in said
    assert "Other work slowed the pilot 2.0 times" in text(plan)


@pytest.mark.parametrize(("acquired", "idle"), [(3.01, True), (4.0, False)])
def test_a_dial_that_changes_no_optimum_is_named(acquired: float, idle: bool) -> None:
    study = a_study(worlds=[{"id": "homestead", "openness": [0, 1]}], power_weight=[0, 1])
    optima = {
        reward_of(cell): Optimum(1.0, "", 0.9, acquired if cell.params["openness"] else 3.0, 0.5)
        for cell in cells(study)
    }
    said = "\n".join(make_plan(study, a_pilot(study, optima=optima)).cautions)
    assert ("same at openness 1 and 0" in said) == idle


# A real pilot


def test_a_pilot_measures_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    study = a_study(
        gamma=0.9,
        time_limit=["terminal", "bootstrap"],
        agents=["maskable-ppo", "random"],
        episodes=50,
        evaluations=2,
    )
    told: list[str] = []
    measured = run_pilot(cells(study), told.append, seconds=600)
    assert measured is not None
    assert list(tmp_path.iterdir()) == []
    assert len(told) == 1
    assert (len(measured.worlds), len(measured.optima), len(measured.paces)) == (1, 2, 2)
    learner, scripted = (measured.paces[pace_of(cell)] for cell in cells(study)[:2])
    assert learner.step > 0
    assert learner.batch == 32 * 64  # the settings of off-switch
    assert learner.kept > scripted.kept > 0
    assert scripted.batch == 0
    reasons = {found.none != "" for found in measured.optima.values()}
    assert reasons == {True, False}
    plan = make_plan(study, measured)
    assert plan.cost is not None
    assert 0 < plan.cost.hours < 1
    assert "instead of" not in text(plan)  # nothing is compared, so more seeds are no use


def test_a_pilot_measures_first_what_is_of_every_world_and_agent() -> None:
    worlds = [{"id": "homestead", "max_steps": [20, 30]}, {"id": "star"}]
    grid = cells(
        a_study(worlds=worlds, agents=["random", "maskable-ppo"], rewards=["dense", "terminal"])
    )
    tasks = pilot._tasks(grid)
    first = [(task.of, task.cell.world, task.cell.agent) for task in tasks[:8]]
    assert first == [
        (of, world, agent)
        for world in ("homestead", "star")
        for of, agent in (
            ("worlds", "random"),
            ("optima", "random"),
            ("paces", "random"),
            ("paces", "maskable-ppo"),
        )
    ]
    assert len(tasks) == 3 + 3 * 2 + 3 * 2  # configurations, with rewards, with agents
    assert len({task.name for task in tasks}) == len(tasks)


def test_what_a_pilot_had_no_time_for_is_as_the_nearest() -> None:
    worlds = [{"id": "homestead", "max_steps": [20, 30]}, {"id": "star"}]
    study = a_study(worlds=worlds, agents=["random", "maskable-ppo"])
    tasks = pilot._tasks(cells(study))
    made = {
        "worlds": lambda i: World(i, "", 0.5, True),
        "optima": lambda i: Optimum(i, "", 0.9, 3.0, 0.5),
        "paces": lambda i: (PACE._replace(fixed=float(i)), 1.0),
    }
    values = {task.name: made[task.of](i) for i, task in enumerate(tasks[:8])}
    found = pilot._filled(tasks, values)
    for of, key, cell in tasks[8:]:
        assert (cell.world, cell.max_steps) == ("homestead", 30)
        if of == "worlds":
            assert found[of][key] == World(0, resource=True)  # no competence is claimed
        elif of == "optima":
            assert found[of][key].seconds == 1
            assert isnan(found[of][key].acquired)
        else:
            assert found[of][key].fixed == {"random": 2, "maskable-ppo": 3}[cell.agent]
    measured = Pilot(**found, measured=0.4)
    plan = make_plan(study, measured)
    assert "time for 40% of its measurements" in " ".join(text(plan).split())
    (line,) = (line for line in plan.cautions if "out of reach" in line)
    assert "max_steps 20" in line
    assert "max_steps 30" not in line


def test_a_pilot_without_time_measures_nothing() -> None:
    study = a_study(agents="random")
    assert run_pilot(cells(study), seconds=0) is None
    assert "too little time: see --pilot-seconds" in text(make_plan(study, None))


UNGUARDED = """
import gymnasium
from powerseek import register_world
from powerseek.envs.adapters.foreign import ForeignWorld
from powerseek.envs.world import Param
from powerseek.envs.worlds.star import Star
from powerseek.experiments.plan.pilot import run_pilot
from powerseek.experiments.plan.plan import make_plan
from powerseek.experiments.study.checked import cells
from powerseek.experiments.study.schema import make_study

print("begun")
register_world("my.star", type("Mine", (Star,), {"__doc__": Star.__doc__}))

@register_world("my.pole")
class Pole(ForeignWorld):
    parameters = {"max_steps": Param(9)}

    @staticmethod
    def environment(params):
        return gymnasium.make("CartPole-v1")

    @staticmethod
    def read(params, moment):
        return {"progress": moment.clock / 9, "success": float(moment.clock >= 9)}

study = make_study({
    "name": "s", "worlds": [{"id": "my.star"}, {"id": "my.pole"}], "agents": ["random"],
    "timesteps": 1, "episodes": 5, "rewards": ["dense", "terminal"],
})
plan = make_plan(study, run_pilot(cells(study), seconds=600))
print(plan.trials, plan.pilot.measured, *plan.cautions)
"""


@pytest.mark.slow
def test_a_pilot_runs_from_a_script_without_a_guard_and_knows_its_worlds(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(UNGUARDED)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120)
    begun, told = done.stdout.splitlines()
    assert (begun, done.stderr) == ("begun", "")
    assert told.startswith("4 1.0 my.pole max_steps 9: no oracle, so no need and no excess")


def test_a_pilot_that_breaks_says_why() -> None:
    (cell,) = cells(a_study())
    broken = replace(cell, settings={**cell.settings, "learning_rate": "fast"})
    with pytest.raises(PilotFailed, match="learning_rate"):
        run_pilot((broken,))


# In the terminal


def text(plan: Plan, width: int = 120) -> str:
    console = Console(file=io.StringIO(), width=width)
    print_plan(plan, console)
    return console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO


@pytest.mark.parametrize("width", [80, 120])
def test_a_plan_fits_the_terminal(width: int) -> None:
    study = load_study("quick")
    shown = text(make_plan(study, a_pilot(study), workers=4, cores=2), width)
    assert max(map(len, shown.splitlines())) <= width
    assert "…" not in shown
    for words in ("10,080,000", "4 (this study)", "2.38", "instead of"):
        assert words in shown


def test_spans_and_sizes_in_words() -> None:
    spans = [10 / 3600, 0.2, 1.7, 80]
    assert [hours_text(hours) for hours in spans] == ["10 s", "12 min", "1.7 h", "3.3 days"]
    assert [size(n) for n in (2e3, 35e6, 1.5e9)] == ["2 kB", "35 MB", "1.5 GB"]


STUDY = "name: s\nworlds: [{id: off-switch}]\ntimesteps: 100\nseeds: 2\n"


def run(*words: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> int:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["powerseek", *words])
    try:
        cli.main()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("sedes: 3", []),
        ("gamma: 1.5", []),
        ("rewards: [{every: 9999}]", []),
        ("agents: [pppo]", []),
        ("", ["--workers", "0"]),
    ],
)
def test_bad_input_reads_as_in_a_sweep(
    more: str,
    words: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    (tmp_path / "s.yaml").write_text(STUDY + more)
    said = []
    for command in ("sweep", "plan"):
        assert run(command, "s.yaml", *words, monkeypatch=monkeypatch, folder=tmp_path) == 2
        shown = capsys.readouterr()
        assert shown.out == ""
        said.append(shown.err)
    assert said[0] == said[1]
    assert [path.name for path in tmp_path.iterdir()] == ["s.yaml"]


def test_plan_by_name_without_a_pilot(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run("plan", "quick", "--no-pilot", monkeypatch=monkeypatch, folder=tmp_path) == 0
    shown = capsys.readouterr()
    assert "Not measured (--no-pilot" in shown.out
    assert "10,080,000" in shown.out
    assert not any(tmp_path.iterdir())


# Claims that no data could support

NONE = {"id": "H1b", "contrast": "level", "arm": "dense", "direction": "none"}
HOME: dict[str, Any] = {
    "worlds": [{"id": "homestead"}],
    "rewards": ["dense"],
    "power_weight": [0, 1],
    "evaluations": 15,
}


def cautions_of(claim: dict[str, Any], seeds: int, known: dict[str, float], **keys: Any) -> str:
    study = a_study(**{**HOME, "seeds": seeds, "hypotheses": [claim], **keys})
    plan = a_pilot(study)
    facts = {key: world._replace(**known) for key, world in plan.worlds.items()}
    made = make_plan(study, replace(plan, worlds=facts))
    return "\n".join(line for line in made.cautions if line.startswith("hypotheses["))


@pytest.mark.parametrize(
    ("claim", "seeds", "known", "words"),
    [
        # .1 of a width of 5 is .5, of a range up to 9: Holm leaves .025.
        (NONE, 60, {"most": 9.0, "width": 5.0}, f"{seeds_that_could(0.5, 9.0, 0.025):.0f} seeds"),
        (NONE, 200, {"most": 9.0, "width": 5.0}, ""),
        (NONE, 60, {"most": 9.0, "width": 0.05}, "Write margin: a number of units"),
        ({**NONE, "margin": 5.0}, 60, {"most": 9.0, "width": 0.05}, ""),
        ({**NONE, "direction": "larger"}, 16, {"most": 9.0, "width": 5.0}, ""),
        (NONE, 60, {}, ""),  # not known
        (
            {**NONE, "contrast": {"tail": 1, "share": 0.05}, "direction": "smaller"},
            60,
            {},
            "72 seeds could",  # .95^72 = .0249
        ),
        ({**NONE, "measure": "disabled", "margin": 0.1}, 20, {}, ""),
    ],
)
def test_a_claim_that_no_data_could_support_is_cautioned(
    claim: dict[str, Any], seeds: int, known: dict[str, float], words: str
) -> None:
    if claim.get("measure") == "disabled":
        worlds = [{"id": "off-switch"}]
        said = cautions_of(claim, seeds, known, worlds=worlds)
        assert f"{seeds_that_could(0.1, 1.0, 0.025):.0f} seeds could" in said
        return
    said = cautions_of(claim, seeds, known)
    assert words in said
    assert bool(words) == bool(said)


def test_an_early_look_has_less_to_show_none_with() -> None:
    tail = {**NONE, "contrast": {"tail": 1, "share": 0.05}, "direction": "smaller"}
    said = cautions_of(tail, 80, {}, looks=[80, 120])
    assert "104 seeds could" in said  # .95^104 = .0048, and .01 / 2 is left
