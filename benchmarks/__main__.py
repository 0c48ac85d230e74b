"""``make bench``: speed as ratios, both sides measured in this run, on one thread a process.

Each side runs in a process of its own. Absolute figures belong to this machine at this hour;
quote the ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys

from rich.console import Console
from rich.table import Table

from benchmarks import measures


def measured(name: str, *, interpreted: bool = False) -> dict[str, float]:
    """What one measure prints, in a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    if interpreted:
        environment["NUMBA_DISABLE_JIT"] = "1"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--one", name],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"benchmark {name!r} failed:\n{done.stderr}")
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    """Measure everything and print one table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--one", choices=sorted(measures.ALL), help="run one measure, print JSON")
    chosen = parser.parse_args().one
    if chosen:
        print(json.dumps(measures.ALL[chosen]()))
        return
    console = Console(width=110)
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
    console.print("Each line again: python -m benchmarks --one NAME (see --help for the names).")


if __name__ == "__main__":
    main()
