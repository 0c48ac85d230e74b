"""Progress of a sweep: a live line on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf
from statistics import fmean
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

AT_ONCE = 1.0
"""Seconds that a trial without training is taken to cost while none has ended."""


class Kind(NamedTuple):
    """Trials that take about as long as each other.

    Attributes:
        agent: Its id.
        setting: Configuration of a world, whose exact numbers all agents share.
        timesteps: Environment steps of each.
    """

    agent: str
    setting: str
    timesteps: int


class Piece(NamedTuple):
    """Trials under way, side by side.

    Attributes:
        kind: Of each.
        trials: How many.
        begun: When, on the clock of the display.
    """

    kind: Kind
    trials: int
    begun: float


@dataclass
class Tally:
    """Counts of a sweep at one moment.

    Attributes:
        total: Trials in the study.
        before: Trials finished by earlier runs.
        left: Trials of this run that have not ended, by their kind.
        workers: Pieces of work at a time.
        done: Trials finished by this run, failed ones included.
        failed: Trials of this run that failed.
        running: What is under way.
        busy: Seconds that the trials themselves took, all workers together.
        nodes: Trials finished by this run on each node of the cluster, by the node's id.
        pace: Seconds that a trial of a kind takes.
        exact: Seconds that the exact numbers of a setting took.
    """

    total: int
    before: int
    left: Counter[Kind]
    workers: int = 1
    done: int = 0
    failed: int = 0
    running: Sequence[Piece] = ()
    busy: float = 0.0
    nodes: Counter[str] = field(default_factory=Counter)
    pace: dict[Kind, float] = field(default_factory=dict)
    exact: dict[str, float] = field(default_factory=dict)

    def ended(self, kind: Kind, failed: bool) -> None:
        """One trial has ended."""
        self.left[kind] -= 1
        self.done += 1
        self.failed += failed

    def took(self, kind: Kind, trials: int, seconds: float, exact: float = 0.0) -> None:
        """So many trials of a kind, side by side, took so long, exact numbers included."""
        self.busy += seconds
        self.pace[kind] = min(self.pace.get(kind, inf), (seconds - exact) / trials)
        self.exact[kind.setting] = self.exact.get(kind.setting, 0.0) + exact

    def seconds_left(self, now: float) -> float | None:
        """Time left at the pace so far; None while no training is finished.

        A kind that is not known yet is taken to cost what the known ones do, step by step, and the
        exact numbers of a new setting what others' do; or what its piece under way has taken.
        """
        known = {kind: pace for kind, pace in self.pace.items() if kind.timesteps}
        if not known:
            return None
        a_step = fmean(pace / kind.timesteps for kind, pace in known.items())
        ready = [pace for kind, pace in self.pace.items() if not kind.timesteps]
        expected = {
            kind: self.pace.get(
                kind, kind.timesteps * a_step or (fmean(ready) if ready else AT_ONCE)
            )
            for kind in self.left
        }
        new = {kind.setting for kind, trials in self.left.items() if trials} - set(self.exact)
        exact = fmean(self.exact.values())
        for kind, trials, begun in self.running:
            if kind not in self.pace:
                taken = now - begun - exact * (kind.setting in new)
                expected[kind] = max(expected[kind], taken / trials)
        going = [
            max(trials * expected[kind] + exact * (kind.setting in new) - (now - begun), 0.0)
            for kind, trials, begun in self.running
        ]
        work = sum(trials * expected[kind] for kind, trials in self.left.items())
        work += exact * len(new - {piece.kind.setting for piece in self.running})
        work -= sum(trials * expected[kind] for kind, trials, _ in self.running)
        return max([(work + sum(going)) / self.workers, *going])

    def line(self, left: float | None) -> str:
        """``12 of 40 done · 2 running · 0 failed · 3:20 left``; `left`: seconds, if known."""
        parts = [
            f"{self.before + self.done} of {self.total} done",
            f"{sum(piece.trials for piece in self.running)} running",
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
    _ended: int = -1
    _expected: float | None = None
    _said: float = field(default=float("-inf"))
    _live: Progress | None = None
    _task: TaskID | None = None

    def __enter__(self) -> Display:
        """Start the live line."""
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
        """The tally; between ends of trials, the time left is what it was less what has passed."""
        if self._ended != self.tally.done:
            left = self.tally.seconds_left(self.now())
            self._ended, self._expected = (
                self.tally.done,
                None if left is None else self.now() + left,
            )
        left = None if self._expected is None else max(0.0, self._expected - self.now())
        return self.tally.line(left)
