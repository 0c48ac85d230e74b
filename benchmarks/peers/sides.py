"""Two sides of a ratio, each in a process of its own, measured by turns.

A process makes itself ready once (imports, compiling, the task), then works each time it is asked
to, while the others wait: what the machine does in an hour, it does to both sides.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

Found = dict[str, Any]
"""``seconds`` of processor time; then ``steps`` and ``competence``, or an ``answer``."""

Work = Callable[[int], Found]
"""One measurement; its number is its seed, so that both sides have the same."""

LIMIT = 240.0
"""Seconds of wall time after which a measurement is given up."""
LEAST = 0.2
"""Seconds of processor time that something short is repeated for."""

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "JAX_PLATFORMS": "cpu",
    "JAX_ENABLE_X64": "0",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "PYTHONWARNINGS": "ignore",
}


class Side(NamedTuple):
    """One side of a ratio.

    Attributes:
        words: In a table.
        library: Distribution that must be there, and whose version is told.
        prepare: Makes ready and returns the work.
    """

    words: str
    library: str
    prepare: Callable[[], Work]


class Comparison(NamedTuple):
    """A task and who does it: `sides` by name, ours first.

    Attributes:
        words: The task, in a table.
        sides: Name -> side.
        rounds: How often each pair of sides is measured.
        tolerance: How far apart answers may lie for a speed to be told.
        apart: How far our answer and another's are; None for training, whose answer, competence,
            is shown and not compared.
    """

    words: str
    sides: Mapping[str, Side]
    rounds: int = 3
    tolerance: float = 0.0
    apart: Callable[[Any, Any], float] | None = None


class Broken(Exception):
    """A side that stopped, with the last that it said."""


class Running:
    """A side at work in a process of its own, pinned to one core; use it in a ``with``.

    Args:
        name: As ``--one`` takes it.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.said = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed on leaving
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks", "--serve", name],
            env={**os.environ, **ONE_THREAD},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.said,
            text=True,
        )

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()
        self.said.close()

    def ready(self) -> None:
        """Wait until it is.

        Raises:
            Broken: It never will be.
        """
        self._read()

    def measure(self, turn: int) -> Found:
        """One measurement.

        Raises:
            Broken: It stopped, or took longer than `LIMIT`.
        """
        assert self.process.stdin
        with suppress(BrokenPipeError):  # reading tells why
            print(turn, file=self.process.stdin, flush=True)
        return self._read()

    def _read(self) -> Found:
        assert self.process.stdout
        late = threading.Timer(LIMIT, self.process.kill)
        late.start()
        line = self.process.stdout.readline()
        over = not late.is_alive()
        late.cancel()
        if line:
            found: Found = json.loads(line)
            return found
        self.said.seek(0)
        last = (self.said.read().strip().splitlines() or ["it stopped without a word"])[-1]
        raise Broken(f"{self.name} broke: {f'longer than {LIMIT:.0f} s' if over else last}")


def serve(prepare: Callable[[], Work]) -> None:
    """Be a side: make ready, say so, then one measurement a line of standard input."""
    # Libraries print: what they say goes with the errors, and answers alone go out.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    work = prepare()
    print("{}", file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(work(int(line))), file=answers, flush=True)


T = TypeVar("T")


def timed(work: Callable[[], T], least: float = LEAST) -> tuple[float, T]:
    """(seconds of processor time that it takes, what came of it), repeated over `least` seconds."""
    times, begun = 0, time.process_time()
    while True:
        found = work()
        times += 1
        spent = time.process_time() - begun
        if spent >= least:
            return spent / times, found
