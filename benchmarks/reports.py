"""What a report costs, stage by stage: from the results file to the page, on one core."""

from __future__ import annotations

import io
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.made_up import write_results

SHAPES = {
    "report": (1000, 100),
    "report-1000000": (1000, 1000),
    "report-10000-cells": (10_000, 100),
}
"""Cells and seeds a cell; all but the first only on request."""


def report(cells: int, seeds: int) -> dict[str, float]:
    """Seconds of work of every stage, of made-up results of cells x seeds trials.

    Returns:
        A stage a key, in order; ``seconds`` of work and ``wall`` of all of them; ``gigabytes``,
        the largest memory of the process; ``megabytes`` of the page; ``size``, the trials;
        ``rows`` of their results.
    """
    from powerseek.experiments.analysis.view import View
    from powerseek.experiments.report.pages import write_report, write_summary
    from powerseek.experiments.report.sections import sections, write_figures
    from powerseek.experiments.report.terminal import print_table
    from powerseek.experiments.results.wide import write_trials

    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        # In a process of its own, whose memory is not the report's.
        written = folder / "results.parquet", cells, seeds
        with ProcessPoolExecutor(1, get_context("spawn")) as other:
            rows = other.submit(write_results, *written).result()
        done: dict[str, Any] = {}
        steps: dict[str, Callable[[], object]] = {
            "pivot": lambda: write_trials(written[0], folder / "trials.parquet"),
            "read": lambda: View.read(folder),
            "trials": lambda: done["read"].trials,
            "summary": lambda: done["read"].summary,
            "comparisons": lambda: done["read"].compared,
            "sections": lambda: sections(done["read"]),
            "figures": lambda: write_figures(done["sections"], folder),
            "markdown": lambda: write_summary(done["read"], done["sections"], folder),
            "page": lambda: write_report(done["read"], done["sections"], folder),
            "terminal": lambda: print_table(done["read"], Console(file=io.StringIO(), width=120)),
        }
        spent: dict[str, float] = {}
        begun = time.perf_counter()
        for name, step in steps.items():
            start = time.process_time()
            done[name] = step()
            spent[name] = time.process_time() - start
            print(
                f"{name}: {spent[name]:.1f} s, {_gigabytes():.2f} GB", file=sys.stderr, flush=True
            )
        wall = time.perf_counter() - begun
        page = done["page"].stat().st_size / 1e6
    told = {"seconds": sum(spent.values()), "wall": wall, "gigabytes": _gigabytes()}
    return {**spent, **told, "megabytes": page, "size": cells * seeds, "rows": rows}


def _gigabytes() -> float:
    """The largest memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


ALL: dict[str, Callable[[], dict[str, float]]] = {
    name: partial(report, *shape) for name, shape in SHAPES.items()
}
