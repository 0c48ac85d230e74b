"""Progress of a sweep: a live line on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn


@dataclass
class Tally:
    """Counts of a sweep at one moment.

    Attributes:
        total: Trials in the study.
        before: Trials finished by earlier runs.
        work: Environment steps this run has to train, over all its trials.
        done: Trials finished by this run, failed ones included.
        failed: Trials of this run that failed.
        running: Trials under way.
        worked: Environment steps of this run's finished trials.
        busy: Seconds that the trials themselves took, all workers together.
        nodes: Trials finished by this run on each node of the cluster, by the node's id.
    """

    total: int
    before: int
    work: int
    done: int = 0
    failed: int = 0
    running: int = 0
    worked: int = 0
    busy: float = 0.0
    nodes: Counter[str] = field(default_factory=Counter)

    def seconds_left(self, elapsed: float) -> float | None:
        """Time left at the pace so far; None while nothing is finished."""
        if not self.worked or elapsed <= 0:
            return None
        return elapsed * (self.work - self.worked) / self.worked

    def line(self, elapsed: float) -> str:
        """``12 of 40 done · 2 running · 0 failed · 3:20 left``."""
        left = self.seconds_left(elapsed)
        parts = [
            f"{self.before + self.done} of {self.total} done",
            f"{self.running} running",
            f"{self.failed} failed",
            "time left: not known yet" if left is None else f"{clock(left)} left",
        ]
        return " · ".join(parts)


def clock(seconds: float) -> str:
    """``3:20`` or ``1:03:20``."""
    minutes, second = divmod(round(seconds), 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour}:{minute:02d}:{second:02d}" if hour else f"{minute}:{second:02d}"


@dataclass
class Display:
    """Shows a tally: one live line on a terminal, else a line every `every` seconds.

    Attributes:
        tally: What is shown.
        console: Where.
        every: Seconds between plain lines.
        now: A clock in seconds.
    """

    tally: Tally
    console: Console
    every: float = 20.0
    now: Callable[[], float] = time.monotonic
    _begun: float = 0.0
    _said: float = field(default=float("-inf"))
    _live: Progress | None = None
    _task: TaskID | None = None

    def __enter__(self) -> Display:
        """Start the clock and the live line."""
        self._begun = self.now()
        if self.console.is_terminal:
            columns = (BarColumn(bar_width=30), TextColumn("{task.description}"))
            self._live = Progress(*columns, console=self.console, transient=True)
            self._task = self._live.add_task("starting", total=self.tally.total)
            self._live.start()
        self.update()
        return self

    def __exit__(self, *error: object) -> None:
        """Take the live line away, and leave the last state as a line."""
        if self._live is not None:
            self._live.stop()
        self.console.print(self._line(), highlight=False)

    def update(self) -> None:
        """Show the tally as it is now, if a line is due."""
        if self._live is not None and self._task is not None:
            finished = self.tally.before + self.tally.done
            self._live.update(self._task, completed=finished, description=self._line())
        elif self.now() - self._said >= self.every:
            self._said = self.now()
            self.console.print(self._line(), highlight=False)

    def _line(self) -> str:
        return self.tally.line(self.now() - self._begun)
