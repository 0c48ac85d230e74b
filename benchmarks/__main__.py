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
    table = Table("measure", "this", "against", "ratio", "target", title="powerseek benchmarks")
    with console.status("plain Python under DummyVecEnv"):
        plain = measured("plain-simulator", interpreted=True)["steps_per_second"]
    with console.status("compiled, under the same library interface"):
        sb3 = measured("sb3-simulator")["steps_per_second"]
    _row(table, "homestead, 64 copies, stepped through SB3's VecEnv", sb3, plain, 50)
    with console.status("compiled, by itself"):
        for world in ("homestead", "endgame", "off-switch"):
            for copies, speed in measured(f"simulator-{world}").items():
                target = 3e6 if (world, copies) == ("homestead", "1024") else None
                reached = f"{target:,.0f}" if target else ""
                table.add_row(
                    f"{world}, {copies} copies, with observations, steps/s",
                    f"{speed:,.0f}",
                    "",
                    f"{speed / plain:,.0f} x plain" if world == "homestead" else "",
                    reached,
                )
    with console.status("training: library defaults on plain Python (minutes)"):
        slow = measured("plain-training", interpreted=True)
    with console.status("training: ours"):
        fast = measured("training")
    _row(
        table,
        f"training steps/s, competence {fast['competence']:.2f} against {slow['competence']:.2f}",
        fast["steps_per_second"],
        slow["steps_per_second"],
        10,
    )
    with console.status("a small sweep: Ray's own share of the wall time"):
        ray = measured("ray-overhead")
    table.add_row(
        f"Ray: wall {ray['wall']:.0f} s, {ray['trials']:.0f} trials, {ray['workers']:.0f} workers",
        f"{ray['overhead']:.0%} overhead",
        f"{ray['work']:.0f} s of work",
        "",
        "<= 15 % of make study, which is longer",
    )
    console.print(table)
    console.print("Each line again: python -m benchmarks --one NAME (see --help for the names).")


def _row(table: Table, what: str, this: float, against: float, target: float) -> None:
    table.add_row(
        what, f"{this:,.0f}", f"{against:,.0f}", f"{this / against:,.0f} x", f">= {target:g} x"
    )


if __name__ == "__main__":
    main()
