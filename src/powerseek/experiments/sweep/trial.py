"""Trials: build, train, evaluate, measure; one alone, or a cohort side by side."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import nan
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import pandas as pd

from powerseek.agents import Checkpoint, Progress, TrainedAgent, TrainingFailed, train
from powerseek.envs.task import Task
from powerseek.exact.overseer import overseen
from powerseek.experiments import layout
from powerseek.experiments.results.files import StoreError
from powerseek.experiments.results.side_tables import keep_curve
from powerseek.experiments.results.store import COLUMNS, checkpoint_path, describe
from powerseek.experiments.study.grid import Cell, Trial, unwarned
from powerseek.experiments.study.lookahead import lookahead_of
from powerseek.experiments.sweep.evaluate import Asked, Judge, rows_each
from powerseek.experiments.sweep.follow import END, RECORDING, Watch, look
from powerseek.experiments.sweep.oracles import holdings_scale, optimum_of, oracle_of
from powerseek.experiments.sweep.recording import keep_recording
from powerseek.experiments.tensorboard.curves import Curves
from powerseek.registry import agents, make_world

CHECKPOINT_SECONDS = 30.0
"""Seconds of a trial that an interruption costs at most, about."""

Rows: TypeAlias = list[dict[str, Any]]
Given = TypeVar("Given")
Made = TypeVar("Made")


@dataclass
class _Sent(Checkpoint):
    """A checkpoint that is sent on each time it is written; training does not need that."""

    sent: Callable[[Path], None] = field(default=lambda path: None)

    def write(self, of: Mapping[str, Any], parts: Mapping[str, bytes]) -> None:
        """Keep `parts`, here and there."""
        super().write(of, parts)
        try:
            self.sent(self.path)
        except StoreError as error:
            self.caution(f"{error}; an interruption costs more.")


class _Course:
    """One trial under way."""

    def __init__(
        self,
        trial: Trial,
        out: Path,
        checkpoint_seconds: float,
        caution: Callable[[str], None] | None,
        sent: Callable[[Path], None],
    ) -> None:
        cell = trial.cell
        self.trial, self.out = trial, out
        facts = oracle_of(cell, out)
        world = make_world(cell.world, **cell.params)
        self.task = overseen(cell.task(world, holdings_scale(cell, facts)))
        self.judge = Judge(self.task, facts, optimum_of(cell, out), trial.seed)
        self.curves = Curves(out, trial)
        self.watch = Watch(self.judge, trial, self.curves)
        self.checkpoint = _Sent(
            checkpoint_path(out, trial),
            checkpoint_seconds,
            about={"trial": trial.key},
            keep=self.watch.snapshot,
            take=self.watch.restore,
            sent=sent,
        )
        if caution is not None:
            self.checkpoint.caution = caution

    def broke(self, error: Exception) -> Exception:
        """The error, with what was last seen of the agent if its training failed."""
        if isinstance(error, TrainingFailed) and self.curves.points:
            steps, values = self.curves.points[-1]
            shown = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
            error.add_note(f"Last evaluated at step {steps:,}: {shown}.")
        return error

    def finished(self, trained: TrainedAgent, end: Rows) -> pd.DataFrame:
        """Keep all but its rows, which are given back; `end` is what was measured at the end."""
        trial, cell = self.trial, self.trial.cell
        last = _last(end, trial.curves)
        if not last.get("competence", nan) >= max(cell.competence):
            end = [{**row, "status": "censored"} for row in end]
        self.curves.add(trained.timesteps, last)
        keep_curve(self.out, trial, self.curves.points)
        keep_model(trained, self.task, self.out / layout.MODELS / trial.key)
        if end[0]["status"] == "ok":
            seed = self.judge.root(RECORDING)
            keep_recording(self.out, trial, trained.policy, self.task, seed)
        rows = [{**describe(trial), **row} for row in (*end, *self.watch.rows)]
        return pd.DataFrame(rows, columns=list(COLUMNS))


def run_trial(
    trial: Trial,
    out: Path,
    *,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    caution: Callable[[str], None] | None = None,
    sent: Callable[[Path], None] = lambda path: None,
) -> pd.DataFrame:
    """Train and measure one trial; its model, curves and exact numbers are kept under `out`.

    So are a few episodes to replay, if it learnt the task: no other agent is ever shown.

    While it trains a checkpoint is kept there too. If one of this very trial is found, training
    goes on from it, and all rows come out as if it had never been interrupted. It stays until
    the trial's rows are kept (`Store.write`).

    Args:
        trial: The trial.
        out: Results directory.
        checkpoint_seconds: Seconds of training between checkpoints, >= 0.
        caution: Is told, in a line, why a checkpoint that is there is not used; by default a
            warning.
        sent: Is told of the checkpoint whenever it has been written; a StoreError of it is a
            caution.

    Returns:
        The rows of the results, one per checkpoint x evaluation x metric.

    Raises:
        PowerseekError: Something in the trial broke its contract.
    """
    cell = trial.cell
    with unwarned():
        course = _Course(trial, out, checkpoint_seconds, caution, sent)
        with course.curves:
            try:
                trained = train(
                    course.task,
                    cell.agent,
                    seed=trial.seed,
                    timesteps=cell.timesteps,
                    settings=cell.settings,
                    callback=course.watch,
                    checkpoint=course.checkpoint,
                )
            except TrainingFailed as error:
                raise course.broke(error) from None
            (end,) = _ends([(course, trained)])
            return course.finished(trained, end)


def run_cohort(
    trials: Sequence[Trial],
    out: Path,
    *,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    caution: Callable[[str], None] | None = None,
    sent: Callable[[Path], None] = lambda path: None,
) -> Iterator[tuple[Trial, pd.DataFrame | Exception]]:
    """Train and measure trials side by side, each as `run_trial` would alone, row for row.

    Args:
        trials: Trials that share a cohort (`powerseek.experiments.sweep.cohorts`).
        out: Results directory.
        checkpoint_seconds: As in `run_trial`.
        caution: Likewise.
        sent: Likewise.

    Returns:
        Each trial, in order, with its rows or with what it failed of; one's failure costs the
        others nothing.

    Raises:
        StoreError: What they make cannot be kept.
    """

    def begin(some: Sequence[Trial]) -> list[_Course]:
        return [_Course(trial, out, checkpoint_seconds, caution, sent) for trial in some]

    with unwarned(), contextlib.ExitStack() as stack:
        begun = [_tried(begin, [trial])[0] for trial in trials]
        courses = [course for course in begun if isinstance(course, _Course)]
        for course in courses:
            stack.enter_context(course.curves)
        outcomes = _together(courses) if courses else iter(())
        for trial, found in zip(trials, begun, strict=True):
            yield trial, found if isinstance(found, Exception) else next(outcomes)


def _together(courses: Sequence[_Course]) -> Iterator[pd.DataFrame | Exception]:
    """What comes of each."""
    lost: dict[int, Exception] = {}

    def watched(now: Mapping[int, Progress]) -> Mapping[int, Exception]:
        seen = _tried(_look, [(courses[i].watch, progress) for i, progress in now.items()])
        lost.update(
            (i, found) for i, found in zip(now, seen, strict=True) if isinstance(found, Exception)
        )
        return lost

    cell = courses[0].trial.cell
    trained = agents.get(cell.agent).build_cohort(
        [course.task for course in courses],
        [course.trial.seed for course in courses],
        cell.timesteps,
        [course.trial.cell.settings for course in courses],
        watched,
        [course.checkpoint for course in courses],
    )
    lost |= {i: TrainingFailed(agent.failed) for i, agent in enumerate(trained) if agent.failed}
    sound = [i for i in range(len(courses)) if i not in lost]
    ends = dict(zip(sound, _tried(_ends, [(courses[i], trained[i]) for i in sound]), strict=True))
    for i, course in enumerate(courses):
        found: Any = lost.get(i) or ends[i]
        if not isinstance(found, Exception):
            (found,) = _tried(_finished, [(course, trained[i], found)])
        course.curves.end(ok=not isinstance(found, Exception))
        yield course.broke(found) if isinstance(found, Exception) else found


def _tried(
    work: Callable[[Sequence[Given]], Sequence[Made]], given: Sequence[Given]
) -> list[Made | Exception]:
    """What `work` makes of each, all together; one by one where that fails, to see whose fault.

    Raises:
        StoreError: Nobody's fault, and more of it would come.
    """
    try:
        return list(work(given))
    except StoreError:
        raise
    except Exception as error:
        return [error] if len(given) == 1 else [_tried(work, [one])[0] for one in given]


def _look(agents: Sequence[tuple[Watch, Progress]]) -> Sequence[None]:
    look(agents)
    return [None] * len(agents)


def _ends(trained: Sequence[tuple[_Course, TrainedAgent]]) -> list[Rows]:
    """What each is at the end of its training."""
    if not trained:
        return []
    return rows_each(
        [Asked(course.judge, agent.policy, (END,)) for course, agent in trained],
        trained[0][0].trial.cell.episodes,
        [
            {
                "timesteps": agent.timesteps,
                "updates": agent.updates,
                "checkpoint": "end",
                "status": "ok",
            }
            for _, agent in trained
        ],
    )


def _finished(ended: Sequence[tuple[_Course, TrainedAgent, Rows]]) -> list[pd.DataFrame]:
    return [course.finished(agent, end) for course, agent, end in ended]


def _last(rows: Rows, curves: Sequence[str]) -> dict[str, float]:
    """The curves' values at the end, sampled."""
    return {
        row["metric"]: row["value"]
        for row in rows
        if (row["checkpoint"], row["evaluation"]) == ("end", "sampled") and row["metric"] in curves
    }


def keep_model(trained: TrainedAgent, task: Task, path: Path) -> Path | None:
    """Write a trained network as `path`.zip; None for an agent that has none."""
    if trained.model is None:
        return None
    from powerseek.agents import save_agent

    path.parent.mkdir(parents=True, exist_ok=True)
    return save_agent(trained, task, path)


def trial_of_card(card: Mapping[str, Any], task: Task, seed: int, episodes: int) -> Trial:
    """What a kept model was trained on, moved into the world of `task`."""
    cell = Cell(
        world=task.world.id,
        version=task.world.version,
        params=task.world.params._asdict(),
        reward=task.reward,
        power_weight=task.power_weight,
        gamma=task.gamma,
        time_limit=task.time_limit,
        lookahead=lookahead_of(task),
        agent=card["agent"],
        settings=card["settings"],
        timesteps=card["timesteps"],
        windows=task.windows,
        episodes=episodes,
    )
    plain = json.loads(json.dumps(cell.config))
    return Trial.from_config({**plain, "seed": seed})
