"""Trials: build, train, evaluate, measure; one alone, or a cohort side by side."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd

from powerseek.agents import (
    Checkpoint,
    Failure,
    Job,
    TrainedAgent,
    TrainingFailed,
    save_agent,
    train_jobs,
)
from powerseek.envs.task import Task
from powerseek.errors import contained
from powerseek.experiments import layout
from powerseek.experiments.results.files import StoreError, guarded_results_file
from powerseek.experiments.results.schema import competence_of
from powerseek.experiments.results.side_tables import keep_curve
from powerseek.experiments.results.store import COLUMNS, checkpoint_path, trial_columns
from powerseek.experiments.study.grid import Cell, Trial, without_reward_warnings
from powerseek.experiments.study.lookahead import lookahead_of
from powerseek.experiments.sweep.evaluate import Asked, evaluator_of, rows_each
from powerseek.experiments.sweep.follow import END, RECORDING, EvalCallback, run_together
from powerseek.experiments.sweep.recording import keep_recording
from powerseek.experiments.sweep.shift import rows_there, shift_of
from powerseek.experiments.tensorboard.curves import Curves
from powerseek.metrics import EXACT, failure_of

CHECKPOINT_SECONDS = 30.0
"""Seconds of a trial that an interruption costs at most, about."""

Rows: TypeAlias = list[dict[str, Any]]
Broken: TypeAlias = Callable[[str, str], object]
"""Is told of a metric that failed, and why."""


@dataclass
class _Sent(Checkpoint):
    """A checkpoint that is sent on each time it is written; training does not need that."""

    sent: Callable[[Path], None] = field(default=lambda path: None)

    def write(self, of: Mapping[str, Any], state: Mapping[str, Any]) -> None:
        """Keep the state, here and there."""
        super().write(of, state)
        try:
            self.sent(self.path)
        except StoreError as error:
            self.caution(f"{error}; an interruption costs more.")


class _TrialRun:
    """One trial under way."""

    def __init__(
        self,
        trial: Trial,
        out: Path,
        checkpoint_seconds: float,
        caution: Callable[[str], None] | None,
        sent: Callable[[Path], None],
        broken: Broken,
    ) -> None:
        cell = trial.cell
        self.trial, self.out = trial, out
        self.evaluator = evaluator_of(cell, trial.seed, out)
        self.task = self.evaluator.task
        self.shift = shift_of(trial, out)
        self.curves = Curves(out, trial)
        self.callback = EvalCallback(self.evaluator, trial, self.curves, self.shift)
        self.broken = broken
        self.checkpoint = _Sent(
            checkpoint_path(out, trial),
            checkpoint_seconds,
            about={"trial": trial.key},
            keep=self.callback.snapshot,
            take=self.callback.restore,
            sent=sent,
        )
        if caution is not None:
            self.checkpoint.caution = caution

    @property
    def job(self) -> Job:
        """Its training."""
        cell, seed = self.trial.cell, self.trial.seed
        return Job(self.task, seed, cell.timesteps, cell.settings, self.callback, self.checkpoint)

    def noted(self, error: Exception) -> Exception:
        """The error, with what was last seen of the agent if its training failed."""
        if isinstance(error, TrainingFailed) and self.curves.points:
            steps, values = self.curves.points[-1]
            shown = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
            error.add_note(f"Last evaluated at step {steps:,}: {shown}.")
        return error

    def finished(self, trained: TrainedAgent, end: Rows) -> pd.DataFrame:
        """Keep all but its rows, which are given back; `end` is what was measured at the end."""
        trial, cell = self.trial, self.trial.cell
        last = _last(end, trial)
        end = judged(end, cell)
        self.curves.add(trained.timesteps, last)
        keep_curve(self.out, trial, self.curves.points)
        keep_model(trained, self.task, self.out / layout.MODELS / trial.key)
        if end[0]["status"] == "ok":
            (seed,) = self.evaluator.roots((RECORDING,), 1)
            exactly = self.evaluator.oracle is not None
            keep_recording(self.out, trial, trained.policy, self.task, seed, exactly=exactly)
        rows = [{**trial_columns(trial), **row} for row in (*end, *self.callback.rows)]
        told = {row["metric"]: why for row in rows if (why := failure_of(row["unit"]))}
        for metric, why in {**self.callback.broken, **told}.items():
            self.broken(metric, why)
        return pd.DataFrame(rows, columns=list(COLUMNS))


def run_trials(
    trials: Sequence[Trial],
    out: Path,
    *,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    caution: Callable[[str], None] | None = None,
    sent: Callable[[Path], None] = lambda path: None,
    broken: Broken = lambda metric, why: None,
) -> Iterator[tuple[Trial, pd.DataFrame | Exception]]:
    """Train and measure trials side by side, each as it would be alone, row for row.

    Their models, curves and exact numbers are kept under `out`; so are a few episodes to replay
    of those that learnt the task: no other agent is ever shown.

    While a trial trains a checkpoint is kept there too. If one of this very trial is found,
    training goes on from it, and all rows come out as if it had never been interrupted. It stays
    until the trial's rows are kept (`Store.write`).

    Args:
        trials: One, or several that share a cohort (`powerseek.experiments.sweep.cohorts`).
        out: Results directory.
        checkpoint_seconds: Seconds of training between checkpoints, >= 0.
        caution: Is told, in a line, why a checkpoint that is there is not used; by default a
            warning.
        sent: Is told of a checkpoint whenever it has been written; a StoreError of it is a
            caution.
        broken: Is told of each metric of a plugin or script that failed, and why, once a trial.

    Returns:
        Each trial, in order, with its rows (one per checkpoint x evaluation x metric) or with
        what it failed of; one's failure costs the others nothing.

    Raises:
        StoreError: What they make cannot be kept.
    """

    def begin(some: Sequence[Trial]) -> list[_TrialRun]:
        how = (out, checkpoint_seconds, caution, sent, broken)
        return [_TrialRun(trial, *how) for trial in some]

    with without_reward_warnings(), contextlib.ExitStack() as stack:
        begun = [run_together(begin, [trial])[0] for trial in trials]
        runs = [run for run in begun if isinstance(run, _TrialRun)]
        for run in runs:
            stack.enter_context(run.curves)
        outcomes = _outcomes(runs) if runs else iter(())
        for trial, found in zip(trials, begun, strict=True):
            yield trial, found if isinstance(found, Exception) else next(outcomes)


def run_trial(trial: Trial, out: Path, **how: Any) -> pd.DataFrame:
    """The rows of one trial, as `run_trials` gives them.

    Raises:
        PowerseekError: Something in the trial broke its contract, or what it makes cannot be
            kept.
    """
    ((_, found),) = run_trials([trial], out, **how)
    if isinstance(found, Exception):
        raise found
    return found


def _outcomes(runs: Sequence[_TrialRun]) -> Iterator[pd.DataFrame | Exception]:
    """The rows of each trial, or what it failed of."""
    trained = _trained(runs)
    sound = [i for i, agent in enumerate(trained) if isinstance(agent, TrainedAgent)]
    ends = dict(
        zip(sound, run_together(_ends, [(runs[i], trained[i]) for i in sound]), strict=True)
    )
    for i, run in enumerate(runs):
        outcome: Any = ends.get(i, trained[i])
        if not isinstance(outcome, Exception):
            (outcome,) = run_together(_finished, [(run, trained[i], outcome)])
        run.curves.end(ok=not isinstance(outcome, Exception))
        yield run.noted(outcome) if isinstance(outcome, Exception) else outcome


def _trained(runs: Sequence[_TrialRun]) -> list[Any]:
    """Each one's agent, or what its training failed of."""
    cell = runs[0].trial.cell
    jobs = [run.job for run in runs]
    try:
        with contained():
            results = train_jobs(cell.agent, jobs)
    except StoreError:
        raise
    except Exception as error:
        if len(runs) > 1:
            raise
        return [error]
    return [
        run.callback.error or (agent.as_error if isinstance(agent, Failure) else agent)
        for run, agent in zip(runs, results, strict=True)
    ]


def _ends(trained: Sequence[tuple[_TrialRun, TrainedAgent]]) -> list[Rows]:
    """The rows of each at the end of its training."""
    if not trained:
        return []
    abouts = [
        {
            "timesteps": agent.timesteps,
            "updates": agent.updates,
            "checkpoint": "end",
            "status": "ok",
        }
        for _, agent in trained
    ]
    rows = rows_each(
        [
            Asked(run.evaluator, agent.policy, (END,), run.callback.followed, agent.spent)
            for run, agent in trained
        ],
        trained[0][0].trial.cell.episodes,
        abouts,
    )
    moved = [i for i, (run, _) in enumerate(trained) if run.shift is not None]
    there = rows_there(
        [(run.shift, agent, run.callback.followed_there) for run, agent in trained if run.shift],
        [abouts[i] for i in moved],
    )
    for i, more in zip(moved, there, strict=True):
        rows[i] += more
    return rows


def _finished(ended: Sequence[tuple[_TrialRun, TrainedAgent, Rows]]) -> list[pd.DataFrame]:
    return [run.finished(agent, end) for run, agent, end in ended]


def _last(rows: Rows, trial: Trial) -> dict[str, float]:
    """Values of the curves at the end, of the sampling policy."""
    kinds = {"sampled": ("", trial.sampled_curves), "exact": (EXACT, trial.exact_curves)}
    last = {}
    for row in rows:
        prefix, curves = kinds.get(row["evaluation"], ("", ()))
        if row["checkpoint"] == "end" and row["metric"] in curves:
            last[f"{prefix}{row['metric']}"] = row["value"]
    return last


def judged(rows: Rows, cell: Cell) -> Rows:
    """The rows at the end, marked as censored where the agent did not learn its task."""
    if competence_of(rows) >= max(cell.competence):
        return rows
    return [{**row, "status": "censored"} for row in rows]


def keep_model(trained: TrainedAgent, task: Task, path: Path) -> Path | None:
    """Write a trained agent as `path`.zip; None for one of which there is nothing to keep."""
    if not trained.can_be_saved:
        return None
    with guarded_results_file(path):
        return save_agent(trained, task, path)


def trial_of_card(card: Mapping[str, Any], task: Task, seed: int, episodes: int) -> Trial:
    """The trial that a kept model was trained by, moved into the world of `task`."""
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
        acquired_so_far=task.acquired_so_far,
        episodes=episodes,
    )
    plain = json.loads(json.dumps(cell.config))
    return Trial.from_config({**plain, "seed": seed})
