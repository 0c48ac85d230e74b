"""One trial: build, train, evaluate, measure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from math import inf, nan
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from powerseek.agents import Checkpoint, Progress, TrainedAgent, calmed, rollout, train
from powerseek.envs.task import Task
from powerseek.exact import Optimum, Oracle
from powerseek.experiments.beside import keep_curve
from powerseek.experiments.files import StoreError
from powerseek.experiments.grid import Cell, Trial, unwarned
from powerseek.experiments.lookahead import lookahead_of
from powerseek.experiments.oracles import holdings_scale, optimum_of, oracle_of
from powerseek.experiments.recording import keep_recording
from powerseek.experiments.store import COLUMNS, MODELS, checkpoint_path, describe
from powerseek.experiments.tensorboard import CURVES, Curves
from powerseek.metrics import Context, measure
from powerseek.registry import make_world
from powerseek.types import Measurement, Policy

EVALUATIONS = {"sampled": False, "greedy": True}
CURVE_EPISODES = 256
"""Most episodes of an evaluation while training."""
CHECKPOINT_SECONDS = 30.0
"""Seconds of a trial that an interruption costs at most, about."""

# What a seed is for: no two uses share chance.
_END, _CURVE, _CROSSING, _RECORDING = 0, 1, 2, 3


@dataclass(frozen=True)
class Judge:
    """Measures policies in one setting.

    Attributes:
        task: What is acted in, hazard as met.
        oracle: Exact facts of the setting, if there are any.
        arm: The exact optimum of what the policy was trained on, likewise.
        seed: Of every evaluation; each `purpose` has chance of its own.
    """

    task: Task
    oracle: Oracle | None
    arm: Optimum | None
    seed: int

    def measure(
        self,
        policy: Policy,
        episodes: int,
        *purpose: int,
        greedy: bool = False,
        names: Iterable[str] | None = None,
    ) -> list[Measurement]:
        """All measures (or those named) of `policy`, from `episodes` as met and as many calm."""
        roots = np.random.SeedSequence([self.seed, *purpose]).generate_state(3, np.uint32)
        met, calm, chance = (int(root) for root in roots)
        task, quiet = self.task, calmed(self.task)
        context = Context(
            rollout(policy, task, episodes, met, greedy=greedy),
            task.world,
            np.random.default_rng(chance),
            rollout(policy, quiet, episodes, calm, greedy=greedy) if task.world.calm else None,
            self.oracle,
            self.arm,
        )
        return measure(context, names)

    def root(self, *purpose: int) -> int:
        """A seed for `purpose` alone."""
        return int(np.random.SeedSequence([self.seed, *purpose]).generate_state(1, np.uint32)[0])

    def rows(
        self, policy: Policy, episodes: int, *purpose: int, about: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """A row for every evaluation and measure, each with what is said `about` them."""
        return [
            {
                **about,
                "evaluation": evaluation,
                "metric": found.name,
                "value": found.value,
                "low": found.low,
                "high": found.high,
                "n": found.n,
                "unit": found.unit,
            }
            for i, (evaluation, greedy) in enumerate(EVALUATIONS.items())
            for found in self.measure(policy, episodes, *purpose, i, greedy=greedy)
        ]


@dataclass
class Watch:
    """Follows an agent while it trains: curves, and measures where it first is competent.

    Attributes:
        judge: Measures it.
        cell: The treatment.
        curves: Where the curves go.
        rows: What was measured at each level of competence, when it was first reached.
        reached: The levels reached.
    """

    judge: Judge
    cell: Cell
    curves: Curves
    rows: list[dict[str, Any]] = field(default_factory=list)
    reached: set[float] = field(default_factory=set)
    _next: float = 0.0
    _count: int = 0

    def __call__(self, progress: Progress) -> None:
        """Look, if a look is due."""
        if progress.timesteps < self._next:
            return
        while self._next <= progress.timesteps:
            self._next += self.cell.timesteps / self.cell.evaluations
        if progress.timesteps >= self.cell.timesteps:
            self._next = inf
        self._count += 1
        episodes = min(self.cell.episodes, CURVE_EPISODES)
        shown = self.judge.measure(progress.policy, episodes, _CURVE, self._count, names=CURVES)
        values = {found.name: found.value for found in shown}
        if self._next < inf:  # the end is shown by its own, larger evaluation
            self.curves.add(progress.timesteps, values)
        for level in self.cell.competence:
            if level not in self.reached and values.get("competence", nan) >= level:
                self.reached.add(level)
                self._measure(progress, level)

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

    def _measure(self, progress: Progress, level: float) -> None:
        """On fresh episodes: those that showed the crossing were chosen for showing it."""
        about = {
            "timesteps": progress.timesteps,
            "updates": progress.updates,
            "checkpoint": f"competence>={level:g}",
            "status": "ok",
        }
        level_id = round(level * 1_000_000)
        self.rows += self.judge.rows(
            progress.policy, self.cell.episodes, _CROSSING, level_id, about=about
        )


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
        facts = oracle_of(cell, out)
        task = cell.task(make_world(cell.world, **cell.params), holdings_scale(cell, facts))
        judge = Judge(task, facts, optimum_of(cell, out), trial.seed)
        with Curves(out, trial) as curves:
            watch = Watch(judge, cell, curves)
            kept = _Sent(
                checkpoint_path(out, trial),
                checkpoint_seconds,
                about={"trial": trial.key},
                keep=watch.snapshot,
                take=watch.restore,
                sent=sent,
            )
            if caution is not None:
                kept.caution = caution
            trained = train(
                task,
                cell.agent,
                seed=trial.seed,
                timesteps=cell.timesteps,
                settings=cell.settings,
                callback=watch,
                checkpoint=kept,
            )
            rows = [*_end(judge, trained, cell), *watch.rows]
            curves.add(trained.timesteps, _last(rows))
    keep_curve(out, trial, curves.points)
    keep_model(trained, task, out / MODELS / trial.key)
    if rows[0]["status"] == "ok":
        with unwarned():
            keep_recording(out, trial, trained.policy, task, judge.root(_RECORDING))
    return pd.DataFrame([{**describe(trial), **row} for row in rows], columns=list(COLUMNS))


def _end(judge: Judge, trained: TrainedAgent, cell: Cell) -> list[dict[str, Any]]:
    """The rows at the end of training; censored where the task was not learnt."""
    about = {
        "timesteps": trained.timesteps,
        "updates": trained.updates,
        "checkpoint": "end",
        "status": "ok",
    }
    rows = judge.rows(trained.policy, cell.episodes, _END, about=about)
    if not _last(rows).get("competence", nan) >= max(cell.competence):
        rows = [{**row, "status": "censored"} for row in rows]
    return rows


def _last(rows: list[dict[str, Any]]) -> dict[str, float]:
    """The curves' values at the end, sampled."""
    return {
        row["metric"]: row["value"]
        for row in rows
        if (row["checkpoint"], row["evaluation"]) == ("end", "sampled") and row["metric"] in CURVES
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
