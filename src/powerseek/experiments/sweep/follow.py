"""Following agents while they train: curves, and measures where they first are competent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil, inf, nan
from typing import Any, TypeVar

from powerseek.agents import Progress
from powerseek.errors import contained
from powerseek.experiments.results.files import StoreError
from powerseek.experiments.study.grid import Cell, Trial
from powerseek.experiments.sweep.evaluate import Asked, Evaluator, measure_each, rows_each
from powerseek.experiments.sweep.shift import Shift
from powerseek.experiments.tensorboard.curves import Curves
from powerseek.metrics import EXACT, SHIFTED, broken_metrics, is_shifted, unshifted
from powerseek.metrics.expected import LEAST_FOLLOWED
from powerseek.types import Measurement

CURVE_EPISODES = 256
"""Most episodes of an evaluation while training."""

EARLY = "divergence"
"""What is followed exactly at every evaluation, where it is followed."""

# What a seed is for: no two uses share chance.
END, CURVE, CROSSING, RECORDING = 0, 1, 2, 3


Given = TypeVar("Given")
Made = TypeVar("Made")


@dataclass(eq=False)
class EvalCallback:
    """Evaluates an agent while it trains; agents of a cohort side by side (`GroupCallback`).

    Attributes:
        evaluator: Measures it.
        trial: What is trained.
        curves: Where the curves go.
        shift: Where it is measured too; None where it is not.
        rows: What was measured at each level of competence, when it was first reached.
        reached: The levels reached.
        error: What an evaluation failed of, which ended the training; None if none did.
        broken: Why each metric failed that did while it trained.
    """

    evaluator: Evaluator
    trial: Trial
    curves: Curves
    shift: Shift | None = None
    rows: list[dict[str, Any]] = field(default_factory=list)
    reached: set[float] = field(default_factory=set)
    error: Exception | None = None
    broken: dict[str, str] = field(default_factory=dict)
    _next: float = 0.0
    _count: int = 0

    @property
    def cell(self) -> Cell:
        """The treatment."""
        return self.trial.cell

    def __call__(self, progress: Progress) -> bool:
        """Evaluate, if that is due; False if it failed."""
        return self.together([(self, progress)])[0]

    @staticmethod
    def together(news: Sequence[tuple[EvalCallback, Progress]]) -> list[bool]:
        """Evaluate each agent for which it is due; False for those of which it failed.

        Raises:
            StoreError: What is found cannot be kept.
        """
        for (callback, _), found in zip(news, run_together(_evaluate, news), strict=True):
            callback.error = found if isinstance(found, Exception) else None
        return [callback.error is None for callback, _ in news]

    def due(self, timesteps: int) -> bool:
        """True if it is time to evaluate."""
        return timesteps >= self._next

    def asked(self, progress: Progress) -> Asked:
        """The next evaluation."""
        purpose = CURVE, self._count + 1
        return Asked(self.evaluator, progress.policy, purpose, spent=progress.spent)

    def exact_values(self, progress: Progress) -> list[Measurement]:
        """Exact values at this evaluation, if it is late enough; before that `EARLY` alone.

        Those of the end are in its rows.
        """
        cell, names = self.cell, self.trial.exact_curves
        if not progress.timesteps < cell.timesteps:
            return []
        if progress.timesteps < first_exact(cell.evaluations) * cell.timesteps / cell.evaluations:
            return self.evaluator.diverged(progress.policy) if EARLY in names else []
        here = [id for id in names if not is_shifted(id)]
        there = [unshifted(id) for id in names if is_shifted(id)]
        found = self.evaluator.exact_curves(progress.policy, here)
        if self.shift is None or not there:
            return found
        policy = self.shift.policy(progress.policy)
        moved = self.shift.evaluator.exact_curves(policy, there)
        return [*found, *(replace(one, name=f"{one.name}{SHIFTED}") for one in moved)]

    @property
    def followed_there(self) -> dict[str, list[float]]:
        """Exact values so far where it is measured too, by metric."""
        return {unshifted(id): xs for id, xs in self.followed.items() if is_shifted(id)}

    @property
    def followed(self) -> dict[str, list[float]]:
        """Exact values so far, by metric."""
        found = {
            id: [values.get(f"{EXACT}{id}", nan) for _, values in self.curves.points]
            for id in self.trial.exact_curves
        }
        return {id: [x for x in values if x == x] for id, values in found.items()}

    def seen(self, sampled: Sequence[Measurement], progress: Progress) -> dict[str, float]:
        """Values of the curves at this evaluation, those of its episodes and exact ones."""
        exact = self.exact_values(progress)
        self.broken |= broken_metrics([*exact, *sampled])
        values = {found.name: found.value for found in sampled}
        return values | {f"{EXACT}{found.name}": found.value for found in exact}

    def crossed(self, values: Mapping[str, float]) -> list[float]:
        """Levels of competence that these values of the curves reach for the first time."""
        found = values.get("competence", nan)
        return [x for x in self.cell.competence if x not in self.reached and found >= x]

    def note(self, progress: Progress, values: Mapping[str, float]) -> None:
        """Take down what an evaluation has shown."""
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


def first_exact(evaluations: int) -> int:
    """Number of the first evaluation that is exact, of 0 to `evaluations`, the end.

    The last third of training, and five at least.
    """
    return max(0, min(ceil(evaluations * 2 / 3), evaluations + 1 - LEAST_FOLLOWED))


def run_together(
    work: Callable[[Sequence[Given]], Sequence[Made]], given: Sequence[Given]
) -> list[Made | Exception]:
    """Work on all together; one by one where that fails, to see whose fault it is.

    Raises:
        StoreError: Nobody's fault, and more of it would come.
    """
    try:
        with contained():
            return list(work(given))
    except StoreError:
        raise
    except Exception as error:
        return [error] if len(given) == 1 else [run_together(work, [one])[0] for one in given]


def _evaluate(news: Sequence[tuple[EvalCallback, Progress]]) -> list[None]:
    """Evaluate where that is due; where it raises, nothing was noted of any."""
    nothing: list[None] = [None] * len(news)
    due = [(callback, now) for callback, now in news if callback.due(now.timesteps)]
    if not due:
        return nothing
    episodes = due[0][0].cell.episodes
    asked = [callback.asked(now) for callback, now in due]
    names = due[0][0].trial.sampled_curves
    shown = measure_each(asked, min(episodes, CURVE_EPISODES), names=names)
    values = [callback.seen(each, now) for each, (callback, now) in zip(shown, due, strict=True)]
    crossings = [
        (callback, now, level)
        for (callback, now), each in zip(due, values, strict=True)
        for level in callback.crossed(each)
    ]
    # On fresh episodes: those that showed the crossing were chosen for showing it.
    rows = rows_each(
        [
            Asked(
                callback.evaluator,
                now.policy,
                (CROSSING, round(level * 1_000_000)),
                spent=now.spent,
            )
            for callback, now, level in crossings
        ],
        episodes,
        [_at(now, level) for _, now, level in crossings],
        exactly=False,
    )
    for (callback, now), each in zip(due, values, strict=True):
        callback.note(now, each)
    for (callback, _, _), found in zip(crossings, rows, strict=True):
        callback.rows += found
    return nothing


def _at(progress: Progress, level: float) -> dict[str, Any]:
    return {
        "timesteps": progress.timesteps,
        "updates": progress.updates,
        "checkpoint": f"competence>={level:g}",
        "status": "ok",
    }
