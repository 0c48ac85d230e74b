"""The command line."""

from __future__ import annotations

import os
import shlex
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text
from typer.core import TyperCommand, TyperGroup

from powerseek import __version__
from powerseek.cache import CacheWarning
from powerseek.errors import InvalidInput, PowerseekError, SweepStopped, contained, printable
from powerseek.experiments import layout
from powerseek.experiments.cli.streams import lasting_streams
from powerseek.experiments.console import Console
from powerseek.experiments.study.yaml_text import read_yaml
from powerseek.limits import check_limit
from powerseek.registry import PluginWarning
from powerseek.signals import asked, exit_code

if TYPE_CHECKING:
    import pandas as pd

    from powerseek.experiments.run import DryRun, Finished
    from powerseek.experiments.study.changes import Change
    from powerseek.experiments.study.schema import Study

BAD_INPUT, FAILED_TRIALS, TIME_UP = 2, 1, 3
DOES_NOT_CONFORM = 1
DIFFERS = 1
WIDTH = 120
"""Columns of tables that go to a file or a pipe."""


class Commands(TyperGroup):
    """The commands; what a plugin raises beside errors ends none of them without a word."""

    def invoke(self, ctx: Any) -> Any:
        """Run the one that was asked for."""
        with contained():
            return super().invoke(ctx)


app = typer.Typer(
    name="powerseek",
    cls=Commands,
    help="Train agents that differ in reward density, horizon and openness; "
    "measure their power-seeking against exact optima.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(asked: bool) -> None:
    """Print the version and, where it is known, the revision of the code."""
    if asked:
        from powerseek.experiments.results.provenance import revision

        known = revision()
        _say(f"powerseek {__version__}{f' (revision {known})' if known else ''}", error=False)
        raise typer.Exit


@app.callback()
def powerseek(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """What all commands share."""


StudyArgument = Annotated[
    str, typer.Argument(metavar="STUDY", help="A study file, or the name of a shipped study.")
]
WORLD_HELP = "World id (see `powerseek envs`), or PATH.py:NAME for a world in a file of yours."
World = Annotated[str, typer.Option("--world", help=WORLD_HELP)]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A parameter of the world.")
]
Setting = Annotated[
    list[str] | None,
    typer.Option("--setting", metavar="KEY=VALUE", help="A setting of the agent."),
]
StudySet = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Change the study: seeds=32, worlds.0.openness=[0,2]. May be given several times.",
    ),
]
OwnWorlds = Annotated[
    list[str] | None,
    typer.Option(
        "--world", metavar="PATH.py:NAME", help="A world in a file, which is run: it is yours."
    ),
]
Reward = Annotated[str, typer.Option(help="Reward, as in a study: dense, 'every: 8', ...")]
Gamma = Annotated[float, typer.Option(help="Discount in (0, 1].")]
WorldArgument = Annotated[str, typer.Argument(metavar="WORLD", help=WORLD_HELP)]


def _limited(option: typer.CallbackParam, value: int | None) -> int | None:
    """The value of an option that `powerseek.limits` knows, if it is within its limits."""
    if value is not None:
        check_limit(str(option.name), value, option.opts[0])
    return value


Episodes = Annotated[int, typer.Option(help="Episodes of each evaluation.", callback=_limited)]
Workers = Annotated[
    int | None, typer.Option(help="Trials at a time [default: cores].", callback=_limited)
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask before more than a week of work.")]
WEEK = 7 * 24.0
"""Hours of training, on one core, from which a sweep asks whether it is meant."""


@app.command()
def demo(
    out: Annotated[
        str, typer.Option(help="Results: an empty directory, or that of a demo before.")
    ] = "runs/demo",
    workers: Workers = None,
) -> None:
    """Train 32 agents in a minute, and show what they took beside exact optima."""
    from powerseek.experiments.cli.demo import has_screen, run_demo, show_demo

    try:
        finished = run_demo(out, workers)
    except KeyboardInterrupt:
        _say(f"Stopped. Go on with: {shlex.join(['powerseek', 'demo', '--out', out])}")
        raise typer.Exit(exit_code()) from None
    picture = show_demo(finished, _console(), lambda line: _say(line, error=False))
    if picture is not None and has_screen():
        typer.launch(str(picture))
    if finished.failed:
        raise typer.Exit(FAILED_TRIALS)


@app.command()
def sweep(
    study: StudyArgument,
    out: Annotated[
        str | None,
        typer.Option(help="Results: a directory, or s3://... and the like [default: runs/NAME]."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what --out holds.")] = False,
    workers: Workers = None,
    address: Annotated[
        str | None,
        typer.Option(
            help="Address of a running Ray cluster. Whoever reaches its ports can run code as you: "
            "use one in a network that you trust."
        ),
    ] = None,
    set_: StudySet = None,
    hours: Annotated[
        float | None,
        typer.Option(
            help="Stop after so many hours, with equally many seeds in every cell where the pace "
            f"allows, and report on these; the exit code is then {TIME_UP} if trials are left."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be run; run and write nothing.")
    ] = False,
    yes: Yes = False,
) -> None:
    """Run a study and report what it found.

    Exit codes: 0 finished; 1 finished, but trials failed; 2 bad input, nothing is written; 3 the
    time of --hours is up; 128 and the number of a signal that stopped it.
    """
    from powerseek.experiments.study.changes import naming_changes

    loaded, changes = _changed(study, set_ or [])
    with naming_changes(changes):
        _ask(loaded, yes or resume or (dry_run and _on_a_terminal()))
        if hours is not None and address is None:
            _warn_of_time(loaded, study, hours, workers)
        from powerseek.experiments import run
        from powerseek.experiments.results.store import InUse

        out = out or str(Path("runs") / loaded.name)
        options = {"--workers": workers, "--address": address, "--hours": hours}
        go_on = f"Go on with: {_go_on(study, out, set_ or [], options)}"
        how: dict[str, Any] = {"workers": workers, "address": address, "hours": hours}
        try:
            if dry_run:
                return _show_dry_run(run.dry_run(loaded, out, resume=resume, **how), hours)
            finished = run.run_study(loaded, out, resume=resume, changes=changes, **how)
        except InUse as error:
            raise InvalidInput(error.field, error.value, error.allowed, go_on) from None
        except KeyboardInterrupt:
            _say(f"Stopped; finished trials are kept. {go_on}")
            raise typer.Exit(exit_code()) from None
    _show(finished)
    if finished.left:
        _say(f"Stopped in time; trials left: {len(finished.left):,}. {go_on}")
        raise typer.Exit(TIME_UP)
    if finished.failed:
        raise typer.Exit(FAILED_TRIALS)


@app.command()
def plan(
    study: StudyArgument,
    set_: StudySet = None,
    workers: Workers = None,
    no_pilot: Annotated[
        bool, typer.Option("--no-pilot", help="Measure nothing: no hours and no exact numbers.")
    ] = False,
    pilot_seconds: Annotated[
        float, typer.Option(help="Time for measuring; what it does not suffice for is estimated.")
    ] = 15.0,
) -> None:
    """Say what a study would cost and could show; nothing is run or written."""
    from powerseek.experiments.study.changes import naming_changes
    from powerseek.experiments.study.size import check_size

    if not pilot_seconds >= 0:
        raise InvalidInput("--pilot-seconds", pilot_seconds, "a number of seconds >= 0")
    loaded, changes = _changed(study, set_ or [])
    with naming_changes(changes):
        check_size(loaded)
        from powerseek.experiments.plan.plan import make_plan
        from powerseek.experiments.plan.text import print_plan, say_pilot
        from powerseek.experiments.results.provenance import cores
        from powerseek.experiments.study.checked import cells, trials

        machine = cores()
        workers = machine if workers is None else workers
        trials(loaded)  # what it refuses needs no pilot
        measured = None
        if pilot_seconds and not no_pilot:
            from powerseek.experiments.plan.pilot import run_pilot

            with say_pilot(Console(stderr=True)) as say:
                measured = run_pilot(cells(loaded), say, pilot_seconds)
        made = make_plan(loaded, measured, workers, machine)
    print_plan(made, _console())


@app.command()
def train(
    world: World,
    set_: Set = None,
    reward: Reward = "dense",
    gamma: Gamma = 1.0,
    agent: Annotated[str | None, typer.Option(help="Agent id.")] = None,
    setting: Setting = None,
    power_weight: Annotated[float, typer.Option(help="Reward for holdings.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Training seed.", callback=_limited)] = 0,
    timesteps: Annotated[int, typer.Option(help="Environment steps.", callback=_limited)] = 100_000,
    episodes: Episodes = 1000,
    out: Annotated[
        str | None, typer.Option(help="Where the model goes [default: under runs/train].")
    ] = None,
    yes: Yes = False,
) -> None:
    """Train one agent, print its measures and keep the model."""
    from powerseek.experiments.single import train_one
    from powerseek.experiments.study.factors import BY_NAME
    from powerseek.experiments.study.schema import make_study

    study: dict[str, Any] = {
        "name": "train",
        "worlds": [{"id": world, "params": _pairs(set_ or [])}],
        "rewards": [_value(reward)],
        "gamma": gamma,
        "power_weight": power_weight,
        "timesteps": timesteps,
        "episodes": episodes,
    }
    if agent is not None:
        study["agents"] = [agent]
    if given := _pairs(setting or [], "--setting", "learning_rate=0.001"):
        study["settings"] = {agent or BY_NAME["agent"].default: given}
    with _named(_option):
        _ask(make_study(study), yes)
        rows, model, cautions = train_one(study, seed, out)
    for caution in cautions:
        _say(f"warning: {caution}")
    _measures(rows)
    if model is not None:
        _say(f"model: {model}", error=False)


class WithReport(TyperCommand):
    """A command whose ``--report`` may stand without a folder."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Write out the empty folder that ``--report`` has where none follows."""
        following = [*args[1:], "-"]
        bare = [
            f"{word}=" if word == "--report" and after.startswith("-") else word
            for word, after in zip(args, following, strict=True)
        ]
        return super().parse_args(ctx, bare)


@app.command(cls=WithReport)
def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A model that train, sweep or Stable-Baselines3 kept, an nn.Sequential that "
            "torch.save wrote, or file.py:NAME, which is run: a function or network of yours.",
        ),
    ],
    world: World,
    set_: Set = None,
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "--setting",
            metavar="acting=N",
            help="Simulations of a search in each situation, of a model of search, cohort-ppo or "
            "maskable-ppo; acting=0 for its network alone.",
        ),
    ] = None,
    reward: Annotated[
        str | None,
        typer.Option(help="What a model made elsewhere was trained for: terminal, 'every: 8', ..."),
    ] = None,
    gamma: Annotated[float | None, typer.Option(help="Its discount [default: 1].")] = None,
    power_weight: Annotated[
        float | None, typer.Option(help="Its reward for holdings [default: 0].")
    ] = None,
    illegal: Annotated[
        str | None,
        typer.Option(
            help="What its illegal choices become: waste (a step) or renormalise (over legal "
            "actions) [default: waste for Stable-Baselines3, else renormalise]."
        ),
    ] = None,
    episodes: Episodes = 1000,
    seed: Annotated[int, typer.Option(help="Seed of the evaluation.", callback=_limited)] = 0,
    report: Annotated[
        str | None,
        typer.Option(
            metavar="[DIR]", help="Write a page about it [DIR: runs/evaluate/MODEL by default]."
        ),
    ] = None,
) -> None:
    """Measure one model in a world."""
    from powerseek.experiments.report.agent_result import page_folder
    from powerseek.experiments.single import evaluate_one

    folder = None if report is None else page_folder(report, model)
    told = {"reward": reward and _value(reward), "gamma": gamma, "power_weight": power_weight}
    trained = {name: value for name, value in told.items() if value is not None}
    played = _pairs(setting or [], "--setting", "acting=64")
    given = _pairs(set_ or [])
    found = evaluate_one(model, world, given, episodes, seed, trained, illegal, played)
    _measures(found.rows)
    for words in found.cautions:
        _say(words, error=False)
    if folder is not None:
        _say(f"report: {_shown(found.write_report(folder))}", error=False)


@app.command()
def report(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="The --out of a sweep.")],
    columns: Annotated[
        str, typer.Option(help="Columns of the printed tables: main, or all.")
    ] = "main",
    world: OwnWorlds = None,
) -> None:
    """Merge and report what a results directory holds."""
    if columns not in ("main", "all"):
        raise InvalidInput("--columns", columns, "main or all", "Write --columns all.")
    from powerseek.experiments.results.remote import store_at
    from powerseek.experiments.run import finish
    from powerseek.experiments.study.checked import trials

    _import_worlds(world)
    store = store_at(folder, "DIR")
    with store.naming():
        store.fetch()
        grid = trials(store.study())
        store.check(grid)
        finished = finish(store, grid, anew=True)
    _show(finished, every=columns == "all")


@app.command()
def compare(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN...", help="The --out of two sweeps or more.")
    ],
    out: Annotated[
        str | None, typer.Option(help="Where the files go [default: runs/compare/NAMES].")
    ] = None,
    world: OwnWorlds = None,
) -> None:
    """Show the same claims of several finished studies side by side, with what differs."""
    from powerseek.experiments.cli.compare import compare_runs

    _import_worlds(world)
    compare_runs(runs, out, _console(), lambda line: _say(line, error=False), _shown)


@app.command()
def verify(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The --out of a finished sweep.")],
    sample: Annotated[
        int, typer.Option(help="Trials to train and evaluate again.", callback=_limited)
    ] = 2,
    seed: Annotated[
        int, typer.Option(help="Seed of the draw of these trials.", callback=_limited)
    ] = 0,
    yes: Yes = False,
    world: OwnWorlds = None,
) -> None:
    """Check a finished study: checksums, verdicts, and some trials made again."""
    # As in a sweep's workers, before torch is loaded: sums of threads are rounded otherwise.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from powerseek.experiments.cli.verify import print_checks
    from powerseek.experiments.verify.run import verify_run

    _import_worlds(world)
    checks = verify_run(run, sample, seed, lambda line: _say(line), inf if yes else WEEK)
    if not print_checks(checks, _console()):
        raise typer.Exit(DIFFERS)


@app.command()
def export(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The --out of a sweep.")],
    csv: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="All results, a row a measure, as CSV."),
    ] = None,
    wide: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="A row a trial, as .csv or .parquet."),
    ] = None,
    latex: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="The tables of the report, for LaTeX with booktabs."),
    ] = None,
    archive: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="What verdicts and tables are made from, small enough to be kept beside code: "
            "verify, report and compare take it for the run. Pictures of FOLDER/figures are shown "
            "in its summary.",
        ),
    ] = None,
    world: OwnWorlds = None,
) -> None:
    """Write results for other programs; FILE may be a folder, or - for standard output."""
    from powerseek.experiments.cli.export import export

    _import_worlds(world)
    asked = {"--csv": csv, "--wide": wide, "--latex": latex, "--archive": archive}
    for path in export(run, asked, lambda text: _say(f"warning: {text}")):
        _say(f"written: {_shown(path)}")


@app.command()
def analyse(
    world: WorldArgument,
    set_: Set = None,
    gamma: Annotated[float, typer.Option(help="Discount of POWER, above 0 and below 1.")] = 0.95,
    goal: Annotated[
        str | None, typer.Option(help="Goal of the world, where it has several.")
    ] = None,
    rewards: Annotated[
        str, typer.Option(help="POWER over uniform rewards, or over the world's own goals.")
    ] = "uniform",
    samples: Annotated[
        int, typer.Option(help="Reward functions to draw for POWER.", callback=_limited)
    ] = 64,
    seed: Annotated[int, typer.Option(help="Seed of these draws.", callback=_limited)] = 0,
    steps: Annotated[
        int | None,
        typer.Option(
            help="Steps of empowerment [default: 3; 1 where chance plays a part].",
            callback=_limited,
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option(help="States to enumerate at most.", callback=_limited)
    ] = 1_000_000,
    out: Annotated[
        str | None, typer.Option(help="Where the files go [default: runs/analyse/WORLD].")
    ] = None,
) -> None:
    """Enumerate a world: POWER, empowerment, the need frontier, every reward's exact optimum."""
    from powerseek.experiments.cli.analyse.analysis import analyse, world_of
    from powerseek.experiments.cli.analyse.files import check_out, make_folder, write_states
    from powerseek.experiments.cli.analyse.text import print_analysis, watching
    from powerseek.experiments.results.files import folder_of

    world = _resolved(world)
    folder = folder_of(out or Path("runs") / "analyse" / world)
    with _named(partial(_analysed, world=world, goal=goal is not None)):
        check_out(folder)
        made = world_of(world, _pairs(set_ or []), None if goal is None else _value(goal, "--goal"))
        with watching(Console(stderr=True)) as watch:
            found = analyse(
                made,
                gamma,
                rewards=rewards,
                samples=samples,
                seed=seed,
                steps=steps,
                limit=limit,
                watch=watch,
                begin=lambda: make_folder(folder),
            )
    print_analysis(found, _console())
    from powerseek.experiments.cli.analyse.figures import write_pictures

    for path in (*write_pictures(found, folder), write_states(found, folder)):
        _say(f"{path.stem + ':':<10}{_shown(path)}", error=False)


app.command("analyze", hidden=True)(analyse)


@app.command()
def check(
    world: WorldArgument,
    set_: Set = None,
) -> None:
    """Check a world against its contract: rules, chance, facts, roles, scripts, pictures."""
    from powerseek.envs.checks.run import check_world
    from powerseek.experiments.cli.check import print_report

    world = _resolved(world)
    with _named(partial(_analysed, world=world)):
        report = check_world(world, **_pairs(set_ or []))
    print_report(report, _console())
    if not report.conforms:
        raise typer.Exit(DOES_NOT_CONFORM)


@app.command()
def play(
    world: WorldArgument,
    set_: Set = None,
    seed: Annotated[int, typer.Option(help="Seed of the world's chance.", callback=_limited)] = 0,
) -> None:
    """Play a world by hand, in letters."""
    from powerseek.experiments.cli.play import play_by_hand
    from powerseek.registry import make_world

    world = _resolved(world)
    with _named(partial(_analysed, world=world)):
        made = make_world(world, **_pairs(set_ or []))
    play_by_hand(made, seed, sys.stdin, lambda line: _say(line, error=False))


def _lists(command: str, kind: str, about: str) -> None:
    """Add the command that lists all of a kind, or shows one."""
    metavar = kind.upper()

    def listed(id: str | None = None) -> None:
        from powerseek.experiments.cli import listing

        if id is not None:
            with _named(lambda field: metavar if field == kind else field):
                known = _resolved(id) if kind == "world" else id
                return _say(listing.page(kind, known), error=False)
        found, wrong = listing.listing_lines(kind)
        console, wide = _console(), max(len(name) for name, _ in found)
        for name, first in found:
            line = Text.assemble((f"{name:<{wide}}", "bold"), f"  {first}")
            console.print(line, highlight=False, soft_wrap=True)
        for words in wrong:
            _say(f"warning: {words}")
        _say(f"\nMore about one: powerseek {command} {metavar}", error=False)

    listed.__annotations__["id"] = Annotated[
        str | None, typer.Argument(metavar=f"[{metavar}]", help="Show this one.")
    ]
    app.command(command, help=about)(listed)


_lists("envs", "world", "List the worlds, or show one with its parameters.")
_lists("agents", "agent", "List what acts and learns, or show one with its settings.")
_lists("rewards", "reward", "List the rewards, or show one with what it takes.")
_lists("metrics", "metric", "List what is measured, or show one: unit, bounds, caveat.")


@app.command("compile")
def compile_(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[WORLD]...", help="These [default: all shipped].")
    ] = None,
) -> None:
    """Compile the loops of worlds and learners now, so that no first trial waits for them."""
    from powerseek.experiments.cli.compile import compile_worlds
    from powerseek.registry import worlds

    for id in ids or ():
        worlds.get(id)
    if compile_worlds(ids or list(worlds.builtin), lambda line: _say(line, error=False)):
        raise typer.Exit(FAILED_TRIALS)


def _writes(kind: str) -> None:
    """Add the command that writes a package with something new of a kind."""
    article = "an" if kind[0] in "aeiou" else "a"

    @app.command(f"new-{kind}", help=f"Write a package with {article} {kind} of your own.")
    def new(
        name: Annotated[str, typer.Argument(metavar="NAME", help="Its id: lab.mine.")],
        out: Annotated[
            str | None, typer.Option(help="The folder, empty or absent [default: the name].")
        ] = None,
    ) -> None:
        from powerseek.experiments.cli.new import make_new, next_steps

        names, folder = make_new(kind, name, out)
        shown = _shown(folder)
        _say(f"{names.id} lies in {shlex.quote(shown)}. Next:", error=False)
        for words in next_steps(names, shown):
            _say(f"  {shlex.join(words)}", error=False)


for _kind in ("world", "agent", "reward", "metric"):
    _writes(_kind)


def main() -> None:
    """Run the command line; a PowerseekError, or a path's refusal, is one line."""
    with lasting_streams():
        try:
            with _plain_warnings(), asked(last=True):
                _check_here()
                app()
        except PowerseekError as error:
            _say(f"error: {error}")
            sys.exit(FAILED_TRIALS if isinstance(error, SweepStopped) else BAD_INPUT)
        except OSError as error:
            if error.filename is None:
                raise
            _say(f"error: {error.filename}: {error.strerror}")
            sys.exit(BAD_INPUT)
        except MemoryError as error:
            _say(f"error: memory is full{f': {error}' if str(error) else ''}")
            sys.exit(FAILED_TRIALS)
        except KeyboardInterrupt:
            _say("Stopped.")
            sys.exit(exit_code())


def _check_here() -> None:
    """Refuse a working directory that has been removed: paths, and libraries, need one."""
    try:
        Path.cwd()
    except OSError as error:
        here = os.environ.get("PWD", "")
        allowed = f"a folder that exists ({error.strerror})"
        raise InvalidInput("working directory", here, allowed, "Write: cd ~") from None


def _changed(study: str, given: list[str]) -> tuple[Study, tuple[Change, ...]]:
    """The study with its changes, which are shown."""
    from powerseek.experiments.study.changes import load_changed_study

    loaded, changes = load_changed_study(study, given)
    for change in changes:
        _say(f"set: {change}")
    return loaded, changes


def _go_on(study: str, out: str, given: list[str], options: dict[str, Any]) -> str:
    """The command that goes on with a sweep."""
    from powerseek.experiments.results.files import without_passwords

    words = ["powerseek", "sweep", study, "--out", out, "--resume"]
    words += [word for text in given for word in ("--set", text)]
    for name, value in options.items():
        words += [name, str(value)] if value is not None else []
    return without_passwords(shlex.join(words))


def _show_dry_run(found: DryRun, hours: float | None) -> None:
    from powerseek.experiments.cli.dry_run import print_dry_run

    print_dry_run(found, hours, _console())


def _ask(study: Study, yes: bool) -> None:
    """Ask whether a study of more than a week of work is meant; where nobody answers, refuse it."""
    from powerseek.experiments.study.size import check_size

    found = check_size(study)
    if yes or found.hours <= WEEK:
        return
    if _on_a_terminal():
        if typer.confirm(f"{study.name}: {found}. Go on?", err=True):
            return
        raise typer.Exit(BAD_INPUT)
    allowed = f"at most {WEEK:.0f} hours of training unasked, not {found}"
    raise InvalidInput("timesteps", study.timesteps, allowed, "If they are meant, write --yes.")


def _warn_of_time(study: Study, named: str, hours: float, workers: int | None) -> None:
    """Say before the first trial that a study, as a whole, takes longer than it may."""
    from powerseek.experiments.results.provenance import cores
    from powerseek.experiments.study.size import study_size

    size, here = study_size(study), workers or cores()
    if 0 < hours < size.hours / here:
        plan = shlex.join(["powerseek", "plan", named])
        _say(
            f"warning: {study.name}: {size}, at a time {here}: more than --hours {hours:g}. Seeds "
            f"that do not fit are left for another --resume. What it takes here says: {plan}"
        )


def _on_a_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Print warnings meant for users without a line of our code."""
    before = warnings.formatwarning

    def plain(message: Any, category: type[Warning], *place: Any, **more: Any) -> str:
        if issubclass(category, (CacheWarning, PluginWarning)):
            return printable(f"warning: {message}\n")
        return before(message, category, *place, **more)

    warnings.formatwarning = plain
    try:
        yield
    finally:
        warnings.formatwarning = before


def _show(finished: Finished, *, every: bool = False) -> None:
    """The table of a study and where everything else lies."""
    from powerseek.experiments.report.terminal import print_table

    print_table(finished.view, _console(), every=every)
    shown = finished.store.shown
    lines = [("results", finished.store.results), ("trials", finished.store.out / layout.TRIALS)]
    lines += [("report", finished.report)]
    lines += [("figure", path) for path in finished.figures]
    for name, path in lines:
        _say(f"{name + ':':<13}{shown(path)}", error=False)
    for caution in finished.cautions:
        _say(f"warning: {caution}")
    if finished.store.archive:
        return  # curves and errors stayed with the run
    _say(f"curves:      tensorboard --logdir {shlex.quote(shown(finished.tensorboard))}", False)
    trials = shlex.quote(shown(finished.store.out / layout.EVENTS))
    _say("             Custom Scalars: each curve and its band in one chart", False)
    _say(f"             one run a trial: tensorboard --logdir {trials}", False)
    for trial, reason, path in finished.failures:
        _say(f"failed: {trial.cell.world} {trial.cell.label()} seed {trial.seed}: {reason}")
        _say(f"        {shown(path)}")
    if finished.failed:
        _say(f"{len(finished.failed)} failed; --resume tries them again.")


def _measures(rows: pd.DataFrame) -> None:
    """The rows of one trial as a table: a line a metric, a column an evaluation."""
    from powerseek.experiments.report.text import NOT_LEARNT
    from powerseek.experiments.results.schema import ABSENT_ROW, competence_of
    from powerseek.experiments.study.grid import Cell
    from powerseek.metrics import failure_of, known_metric

    end = rows[rows["checkpoint"] == "end"]
    inexact = end.loc[end["metric"] == ABSENT_ROW["metric"], "unit"]
    end = end.drop(inexact.index)
    broken = end[end["unit"].map(failure_of) != ""].drop_duplicates("metric")
    evaluations = list(dict.fromkeys(end["evaluation"]))
    learnt = "censored" not in set(end["status"])
    table = Table("metric", *evaluations, "unit")
    for metric, group in end.groupby("metric", sort=False):
        by = group.set_index("evaluation")
        scored = learnt or known_metric(str(metric)).always_scored
        told = _number if scored else lambda row: "not scored"
        cells = [told(by.loc[name]) if name in by.index else "" for name in evaluations]
        unit = str(group["unit"].iloc[0] or "")
        table.add_row(str(metric), *cells, "failed" if failure_of(unit) else unit)
    console = _console()
    console.print(table)
    if not learnt:
        reached = competence_of(end.to_dict("records"))
        needed = max(Cell.competence)
        console.print(Text(f"{NOT_LEARNT}: competence {reached:.3g}, {needed:g} is needed."))
    for why in inexact:
        console.print(Text(f"Evaluated by sampled episodes alone: {why}."))
    for metric, unit in zip(broken["metric"], broken["unit"], strict=True):
        _say(f"warning: metric {metric!r} failed: {failure_of(unit)}")


def _number(row: pd.Series[Any]) -> str:
    if row["value"] != row["value"]:
        return "undefined"
    interval = f" [{row['low']:.3g}, {row['high']:.3g}]" if row["low"] == row["low"] else ""
    return f"{row['value']:.3g}{interval}"


def _option(field: str) -> str:
    """The option of `train` that gave a field of its one-cell study."""
    parameter = field.removeprefix("worlds[0].params.")
    if parameter != field:
        return f"--set {parameter}"
    if field.startswith("settings."):
        return f"--setting {field.rpartition('.')[2]}"
    known = {"worlds[0].id": "--world", "rewards[0]": "--reward", "agents": "--agent"}
    return known.get(field, field if field.startswith("-") else f"--{field.replace('_', '-')}")


@contextmanager
def _named(name: Callable[[str], str]) -> Iterator[None]:
    """Errors name the argument or option that gave a field, by `name`."""
    try:
        yield
    except InvalidInput as error:
        raise InvalidInput(name(error.field), error.value, error.allowed, error.hint) from None


def _resolved(world: str) -> str:
    """The id of a world that an argument names, by its id or as PATH.py:NAME."""
    from powerseek.registry import worlds

    with _named(lambda _: "WORLD"):
        return worlds.resolve(world)


def _import_worlds(named: list[str] | None) -> None:
    """Run the files of worlds that a user calls their own: no results directory runs any."""
    for one in named or ():
        _resolved(one)


def _analysed(field: str, world: str, goal: bool = False) -> str:
    """The argument or option that gave a field of a world named by an argument."""
    if field == "world":
        return "WORLD"
    if field == f"{world} parameter":
        return "--set"
    name = field.removeprefix(f"{world}.")
    if name == field:
        return _option(field)
    return "--goal" if goal and name == "goal" else f"--set {name}"


def _pairs(given: list[str], option: str = "--set", example: str = "openness=1") -> dict[str, Any]:
    """KEY=VALUE options as a mapping; values are read as YAML."""
    pairs = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise InvalidInput(option, text, f"KEY=VALUE, for example {example}")
        pairs[key] = _value(value, option)
    return pairs


def _value(text: str, option: str = "--reward") -> Any:
    return read_yaml(text, option, text, "a value as a study file would write it")


def _shown(path: Path) -> str:
    """A path as a user would type it here."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _console() -> Console:
    """Standard output; wide enough for a table where it is a file or a pipe."""
    return Console(width=None if sys.stdout.isatty() else WIDTH)


def _say(line: str, error: bool = True) -> None:
    print(printable(line), file=sys.stderr if error else sys.stdout)
