"""Following agents while they train: curves, and measures where they first are competent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, nan
from typing import Any

from powerseek.agents import Progress
from powerseek.experiments.study.grid import Cell, Trial
from powerseek.experiments.sweep.evaluate import Asked, Judge, measure_each, rows_each
from powerseek.experiments.tensorboard.curves import Curves

CURVE_EPISODES = 256
"""Most episodes of an evaluation while training."""

# What a seed is for: no two uses share chance.
END, CURVE, CROSSING, RECORDING = 0, 1, 2, 3


@dataclass
class Watch:
    """Follows an agent while it trains.

    Attributes:
        judge: Measures it.
        trial: What is trained.
        curves: Where the curves go.
        rows: What was measured at each level of competence, when it was first reached.
        reached: The levels reached.
    """

    judge: Judge
    trial: Trial
    curves: Curves
    rows: list[dict[str, Any]] = field(default_factory=list)
    reached: set[float] = field(default_factory=set)
    _next: float = 0.0
    _count: int = 0

    @property
    def cell(self) -> Cell:
        """The treatment."""
        return self.trial.cell

    def __call__(self, progress: Progress) -> None:
        """Look, if a look is due."""
        look([(self, progress)])

    def due(self, timesteps: int) -> bool:
        """Whether it is time to look."""
        return timesteps >= self._next

    def asks(self, progress: Progress) -> Asked:
        """What the next look measures."""
        return Asked(self.judge, progress.policy, (CURVE, self._count + 1))

    def crossed(self, values: Mapping[str, float]) -> list[float]:
        """Levels of competence that these values of the curves reach for the first time."""
        found = values.get("competence", nan)
        return [x for x in self.cell.competence if x not in self.reached and found >= x]

    def note(self, progress: Progress, values: Mapping[str, float]) -> None:
        """Take down what a look has shown."""
        while self._next <= progress.timesteps:
            self._next += self.cell.timesteps / self.cell.evaluations
        if progress.timesteps >= self.cell.timesteps:
            self._next = inf
        self._count += 1
        self.reached.update(self.crossed(values))
        if self._next < inf:  # the end is shown by its own, larger evaluation
            self.curves.add(progress.timesteps, values)

    def snapshot(self) -> dict[str, Any]:
        """All it knows so far as plain JSON values, for `restore`."""
        return {
            "rows": self.rows,
            "reached": sorted(self.reached),
            "next": self._next,
            "count": self._count,
            "points": self.curves.snapshot(),
        }

    def restore(self, kept: Mapping[str, Any]) -> None:
        """Know what it knew at `snapshot`; it must be new.

        Raises:
            KeyError, TypeError, ValueError: Not such a snapshot; nothing is changed.
        """
        rows = [dict(row) for row in kept["rows"]]
        reached = {float(level) for level in kept["reached"]}
        following, count = float(kept["next"]), int(kept["count"])
        points = [(int(steps), dict(shown), float(when)) for steps, shown, when in kept["points"]]
        self.curves.restore(points)
        self.rows, self.reached, self._next, self._count = rows, reached, following, count


def look(agents: Sequence[tuple[Watch, Progress]]) -> None:
    """Let each watch look at its agent where a look is due, at all of them side by side.

    Args:
        agents: Watches of cells that have episodes in common, and how far their agents are.

    Raises:
        Exception: Of whatever kind, from one of the policies; then nothing was noted of any.
    """
    due = [(watch, now) for watch, now in agents if watch.due(now.timesteps)]
    if not due:
        return
    episodes = due[0][0].cell.episodes
    asked = [watch.asks(now) for watch, now in due]
    names = due[0][0].trial.curves
    shown = measure_each(asked, min(episodes, CURVE_EPISODES), names=names)
    values = [{found.name: found.value for found in each} for each in shown]
    crossings = [
        (watch, now, level)
        for (watch, now), each in zip(due, values, strict=True)
        for level in watch.crossed(each)
    ]
    # On fresh episodes: those that showed the crossing were chosen for showing it.
    rows = rows_each(
        [
            Asked(watch.judge, now.policy, (CROSSING, round(level * 1_000_000)))
            for watch, now, level in crossings
        ],
        episodes,
        [_at(now, level) for _, now, level in crossings],
    )
    for (watch, now), each in zip(due, values, strict=True):
        watch.note(now, each)
    for (watch, _, _), found in zip(crossings, rows, strict=True):
        watch.rows += found


def _at(progress: Progress, level: float) -> dict[str, Any]:
    return {
        "timesteps": progress.timesteps,
        "updates": progress.updates,
        "checkpoint": f"competence>={level:g}",
        "status": "ok",
    }
