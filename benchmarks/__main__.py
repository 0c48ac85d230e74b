"""Speed as ratios, both sides measured in this run, on one thread a process.

``make bench`` is the table ``peers``: other people's learners and solvers beside ours, by turns, in
Markdown. Each side runs in a process of its own. Absolute figures belong to this machine at this
hour; quote the ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import cohorts, exact, measures, reports, sweeps, worlds
from benchmarks.peers import sides, table
from powerseek.errors import InvalidInput

ALL: dict[str, Callable[[], dict[str, Any]]] = {
    **measures.ALL,
    **cohorts.ALL,
    **exact.ALL,
    **sweeps.ALL,
    **reports.ALL,
    **worlds.ALL,
    **{name: partial(table.one, name) for name in table.SIDES},
}


def measured(name: str, *, interpreted: bool = False, processes: int = 1) -> dict[str, float]:
    """What one measure prints, in a process of its own; of several at once, the sums."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    if interpreted:
        environment["NUMBA_DISABLE_JIT"] = "1"
    command = [sys.executable, "-m", "benchmarks", "--one", name]
    pipe = subprocess.PIPE
    running = [
        subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True)
        for _ in range(processes)
    ]
    found: list[dict[str, float]] = []
    for process in running:
        out, error = process.communicate()
        if process.returncode:
            sys.exit(f"benchmark {name!r} failed:\n{error}")
        found.append(json.loads(out.splitlines()[-1]))
    return {key: sum(one[key] for one in found) for key in found[0]}


def main() -> None:
    """Measure everything, or what is chosen, and print tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    told = "run one measure, print JSON; a wrong name lists them"
    parser.add_argument("--one", choices=sorted(ALL), metavar="NAME", help=told)
    parser.add_argument("--serve", choices=sorted(table.SIDES), help=argparse.SUPPRESS)
    parser.add_argument("tables", nargs="*", help=f"of {', '.join(TABLES)} [default: all]")
    only = parser.add_argument_group("of the table peers, which alone is made with any of these")
    only.add_argument("--quick", action="store_true", help="one turn of a few tasks (two minutes)")
    only.add_argument("--out", type=Path, metavar="FILE", help="write the table there as well")
    told = f"put it into FILE, between its lines {table.BEGIN} and {table.END}"
    only.add_argument("--write", type=Path, metavar="FILE", help=told)
    given = parser.parse_args()
    if given.serve:
        sides.serve(table.SIDES[given.serve])
        return
    if given.quick or given.out or given.write:
        if given.tables not in ([], ["peers"]):
            parser.error("--quick, --out and --write belong to the table peers alone")
        try:
            peers(given.quick, given.out, given.write)
        except (InvalidInput, OSError) as error:
            parser.error(str(error))
        return
    if given.one:
        print(json.dumps(ALL[given.one]()))
        return
    unknown = [name for name in given.tables if name not in TABLES]
    if unknown:
        parser.error(f"no table {unknown[0]!r}; choose of {', '.join(TABLES)}")
    console = Console(width=110)
    for name in given.tables or TABLES:
        TABLES[name](console)
    console.print("Each line again: python -m benchmarks --one NAME (see --help for the names).")


def peers(quick: bool = False, out: Path | None = None, page: Path | None = None) -> None:
    """Print the peers beside ours; into the file `out` and between the markers of `page` too."""
    if page:
        table.replaced(page.read_text(encoding="utf-8"), "")  # before minutes of measuring
    if out:
        out.touch()
    load = os.getloadavg()
    chosen = table.QUICK if quick else tuple(table.COMPARISONS)
    told = partial(print, file=sys.stderr, flush=True)
    found = [row for task in chosen for row in table.rows(task, 1 if quick else None, told)]
    printed = table.markdown(found, table.machine(load))
    print(printed)
    if out:
        out.write_text(printed + "\n", encoding="utf-8")
    if page:
        page.write_text(table.replaced(page.read_text(encoding="utf-8"), printed), encoding="utf-8")


def training(console: Console) -> None:
    """The simulator and training against plain Python, and what Ray adds."""
    table = Table("measure", "steps/s", "ratio", "target", title="powerseek benchmarks")
    with console.status("plain Python under DummyVecEnv"):
        plain = measured("plain-simulator", interpreted=True)["steps_per_second"]
    table.add_row("homestead in plain Python, DummyVecEnv, 64 copies", f"{plain:,.0f}", "", "")
    for world in ("homestead", "endgame", "off-switch"):
        with console.status(f"{world}, compiled"):
            for copies, speed in measured(f"simulator-{world}").items():
                ratio = f"{speed / plain:,.0f} x" if world == "homestead" else ""
                table.add_row(
                    f"{world}, {copies} {'copy' if copies == '1' else 'copies'}",
                    f"{speed:,.0f}",
                    ratio,
                    {"64": ">= 50 x", "1024": "> 3,000,000"}.get(copies, "") if ratio else "",
                )
    with console.status("compiled, through SB3's VecEnv interface, rewards included"):
        sb3 = measured("sb3-simulator")["steps_per_second"]
    table.add_row(
        "homestead, 64 copies, through SB3's VecEnv", f"{sb3:,.0f}", f"{sb3 / plain:,.0f} x", ""
    )
    with console.status("training: library defaults on plain Python (a minute)"):
        slow = measured("plain-training", interpreted=True)
    with console.status("training: ours"):
        fast = measured("training")
    for name, side in (("SB3 PPO defaults, plain Python", slow), ("ours", fast)):
        table.add_row(
            f"training, {name}: {side['seconds']:.1f} s to competence {side['competence']:.2f}",
            f"{side['steps_per_second']:,.0f}",
            f"{side['steps_per_second'] / slow['steps_per_second']:,.0f} x",
            ">= 10 x" if side is fast else "",
        )
    table.add_row(
        "training, time for at least that competence: ratio",
        "",
        f"{slow['seconds'] / fast['seconds']:,.0f} x"
        if fast["competence"] >= slow["competence"]
        else "not reached",
        "",
    )
    with console.status("a small sweep: Ray's own share of the wall time"):
        ray = measured("ray-overhead")
    table.add_row(
        f"Ray: {ray['trials']:.0f} short trials in {ray['wall']:.0f} s, "
        f"{ray['work']:.0f} s of them at work on {ray['workers']:.0f} workers",
        "",
        f"{ray['overhead']:.0%}",
        "<= 15 % in make study",
    )
    console.print(table)


def sweep_overhead(console: Console) -> None:
    """What each trial of a sweep costs beside its own work, as their number grows."""
    names = ("run", "check", "merge", "beside", "load")
    table = Table("trials", *names, "run, beyond the first 100", title="A sweep: ms a trial")
    first: dict[str, float] = {}
    for size in sweeps.SIZES:
        with console.status(f"{size:,} trivial trials (minutes)"):
            found = measured(f"sweep-{size}")
        first = first or found
        further = found["trials"] - first["trials"]
        spent = [one["run"] * one["trials"] for one in (first, found)]
        marginal = f"{(spent[1] - spent[0]) / further:,.1f}" if further else ""
        table.add_row(f"{size:,}", *(f"{found[name]:,.2f}" for name in names), marginal)
    console.print(table)


def reporting(console: Console) -> None:
    """What a report costs; of a million trials only on request."""
    with console.status("a report of 100,000 trials"):
        found = measured("report")
    table = Table("stage", "time", title=f"A report of {found['size']:,.0f} trials, 1 core")
    told = ("seconds", "wall", "gigabytes", "megabytes", "size", "rows")
    for stage in found:
        if stage not in told:
            table.add_row(stage, _time(found[stage]))
    table.add_row("all", _time(found["seconds"]))
    console.print(table)
    console.print(
        f"{found['gigabytes']:.2f} GB at most, a page of {found['megabytes']:.1f} MB; of a million "
        "trials (60 s, 4 GB): --one report-1000000, --one report-10000-cells"
    )


def exact_layer(console: Console) -> None:
    """POWER against a peer, and what sizes cost."""
    table = Table("measure", "per reward", "error of V", "ratio", "target", title="POWER, 1 core")
    for kind in exact.KINDS:
        with console.status(f"POWER and a peer's value iteration, {kind} graph"):
            ours = measured(f"power-{kind}")
            peers = {form: measured(f"peer-{kind}-{form}") for form in ("dense", "sparse")}
        name = f"{exact.STATES:,} states, {kind}, gamma {exact.GAMMA:g}"
        table.add_row(f"{name}: ours", _time(ours["seconds"]), f"{ours['error']:.0e}", "", "")
        for form, peer in peers.items():
            table.add_row(
                f"{name}: pymdptoolbox, {form} matrices",
                _time(peer["seconds"]),
                f"{peer['error']:.0e}",
                f"{peer['seconds'] / ours['seconds']:,.0f} x",
                ">= 3,000 x" if form == "dense" else "",
            )
    console.print(table)
    table = Table("measure", "time", "memory", "target", title="The exact layer by size, all cores")
    for kind in exact.KINDS:
        for size in exact.SIZES:
            with console.status(f"POWER, {size:,} states"):
                found = measured(f"scale-{kind}-{size}")
            table.add_row(
                f"POWER, {kind} graph of {size:,} states x 64 rewards",
                _time(found["seconds"]),
                f"{found['gigabytes']:.2f} GB",
                "<= 10 min, 8 GB" if size == 1_000_000 else "",
            )
    with console.status("POWER of king and rook against king (minutes)"):
        found = measured("chess-power")
    table.add_row(
        f"POWER, K+R v K on 8 x 8 ({found['states']:,.0f} states) x 256 rewards",
        f"{_time(found['enumeration'])} + {_time(found['seconds'])}",
        f"{found['gigabytes']:.2f} GB",
        "<= 5 min",
    )
    with console.status("frontiers and optima of the largest homestead"):
        found = measured("homestead-exact")
    table.add_row(
        f"homestead 2 ({found['states']:,.0f} states): both frontiers, every arm's optimum",
        _time(found["seconds"]),
        f"{found['gigabytes']:.2f} GB",
        "<= 1 min",
    )
    console.print(table)


TABLES: dict[str, Callable[[Console], None]] = {
    "peers": lambda _: peers(),
    "training": training,
    "worlds": lambda console: worlds.table(console, measured),
    "cohorts": lambda console: cohorts.tables(console, measured),
    "sweeps": sweep_overhead,
    "reports": reporting,
    "exact": exact_layer,
}
"""The tables, in the order in which they are printed."""


def _time(seconds: float) -> str:
    return f"{seconds:,.1f} s" if seconds >= 1 else f"{seconds * 1e3:,.2f} ms"


if __name__ == "__main__":
    main()
