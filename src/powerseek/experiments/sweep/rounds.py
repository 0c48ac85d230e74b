"""Rounds of a sweep that has so many hours: whole seeds of every cell, and none in vain.

A sweep that is cut short should leave a balanced design. So seeds are begun together, in all cells,
and only those that can be finished by the pace measured so far.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heapreplace
from itertools import accumulate, chain
from typing import TypeAlias

from powerseek.experiments.study.grid import Trial
from powerseek.experiments.sweep.cohorts import Cohort

SLACK = 1.1
"""Of the time that a last round is expected to take, the time that must be left for it."""

Round: TypeAlias = Sequence[Trial]
"""The trials of one seed."""


@dataclass(frozen=True)
class Pace:
    """The speed of a sweep so far.

    Attributes:
        step: Seconds that one core takes for a step of training.
        around: Seconds that pass beside the work: processes that start, cores that wait.
        workers: Cohorts at a time.
    """

    step: float
    around: float
    workers: int

    def seconds(self, cohorts: Sequence[Cohort]) -> float:
        """Seconds that cohorts are expected to take."""
        return self.around + self.step * span(cohorts, self.workers)

    @classmethod
    def measured(cls, cohorts: Sequence[Cohort], took: float, busy: float, workers: int) -> Pace:
        """The pace of cohorts that took so long, and kept their processes busy so long in all."""
        step = busy / max(1, sum(map(steps_of, cohorts)))
        return cls(step, max(0.0, took - step * span(cohorts, workers)), workers)


def steps_of(trials: Sequence[Trial]) -> int:
    """Steps of training of some trials."""
    return sum(trial.cell.timesteps for trial in trials)


def span(cohorts: Sequence[Cohort], workers: int) -> float:
    """Steps of training that pass one after the other, so many cohorts at a time."""
    free = [0.0] * workers
    for cohort in cohorts:  # each goes to the worker that is free first
        heapreplace(free, free[0] + steps_of(cohort))
    return max(free)


def rounds(trials: Sequence[Trial]) -> list[Round]:
    """Trials by their seed, in their order; references, which run once, with the first."""
    found: dict[int, list[Trial]] = {}
    for trial in trials:
        if not trial.cell.is_reference:
            found.setdefault(trial.seed, []).append(trial)
    references = [trial for trial in trials if trial.cell.is_reference]
    first, *others = found.values() or [[]]
    return [[*first, *references], *others]


def rounds_in_time(
    trials: Sequence[Trial],
    pack: Callable[[Sequence[Trial]], Sequence[Cohort]],
    workers: int,
    until: float,
    busy: Callable[[], float],
    now: Callable[[], float] = time.monotonic,
) -> Iterator[Sequence[Cohort]]:
    """The cohorts to run next, time after time: of as many whole rounds as can be finished.

    The first are begun whatever they take, for nothing is measured yet. Then as many as take half
    of the time that is left, so that a wrong guess costs no unfinished round, or else all that take
    nearly all of it; where not even one would be finished, there is nothing more.

    Args:
        trials: What is to be run, in the order of the study.
        pack: Makes cohorts of trials.
        workers: Cohorts at a time, >= 1.
        until: When time is up, by `now`.
        busy: Seconds that trials have taken so far, all workers together.
        now: A clock in seconds.
    """
    waiting = rounds(trials)
    count = _first(waiting, workers)
    while waiting and count:
        part, waiting = waiting[:count], waiting[count:]
        cohorts = pack(list(chain(*part)))
        began, before = now(), busy()
        yield cohorts
        pace = Pace.measured(cohorts, now() - began, busy() - before, workers)
        count = _fitting(waiting, pack, pace, until - now())


def _first(waiting: Sequence[Round], workers: int) -> int:
    """Rounds to measure by: a worker has a trial of them, and what is left of one is no round."""
    enough = max(map(steps_of, waiting)) / 2
    steps = accumulate(map(steps_of, waiting))
    trials = accumulate(map(len, waiting))
    held = zip(steps, trials, strict=True)
    return next(
        (i for i, (done, many) in enumerate(held, 1) if done >= enough and many >= workers),
        len(waiting),
    )


def _fitting(
    waiting: Sequence[Round],
    pack: Callable[[Sequence[Trial]], Sequence[Cohort]],
    pace: Pace,
    left: float,
) -> int:
    """Rounds to begin together."""

    def seconds(count: int) -> float:
        return pace.seconds(pack(list(chain(*waiting[:count]))))

    counts = range(1, len(waiting) + 1)
    half = bisect_right(counts, left / 2, key=seconds)
    return half or bisect_right(counts, left / SLACK, key=seconds)
