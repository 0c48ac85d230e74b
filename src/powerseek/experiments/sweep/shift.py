"""Measuring agents where they were not trained: another configuration of their world."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from powerseek.agents import TrainedAgent, train
from powerseek.envs.rewards.spec import is_learnt
from powerseek.experiments.results.schema import ABSENT_ROW, OF_REWARD
from powerseek.experiments.study.grid import Cell, Trial
from powerseek.experiments.sweep.evaluate import Asked, Evaluator, evaluator_of, rows_each
from powerseek.metrics import SHIFTED
from powerseek.registry import agents
from powerseek.types import Policy

THERE = 4
"""What the seed of these evaluations is for: none of `follow` has its chance."""


@dataclass(frozen=True)
class Shift:
    """Where agents of a cell are measured too, once they are trained.

    Attributes:
        evaluator: Measures there.
        cell: The cell as if it were trained there.
        paid: Whether the reward means something there: one that was learnt knows nothing of it.
    """

    evaluator: Evaluator
    cell: Cell
    paid: bool

    def policy(self, trained: Policy) -> Policy:
        """The policy of an agent as it acts there.

        One that searches does so by the rules that hold there. One that does not learn is made
        anew: a script or a planner knows where it is.
        """
        cell, task = self.cell, self.evaluator.task
        builder = agents.get(cell.agent)
        if builder.learns:
            policy: Policy = builder.in_task(trained, task, cell.settings)
            return policy
        return train(task, cell.agent, seed=self.evaluator.seed, settings=cell.settings).policy


def shift_of(trial: Trial, out: Path) -> Shift | None:
    """Where the agent of a trial is measured too; None where its study says nothing of it.

    Args:
        trial: The trial.
        out: Results directory.
    """
    cell = trial.cell.shifted
    if cell is None:
        return None
    paid = not is_learnt(cell.reward)
    cell = cell if paid else replace(cell, reward="dense")
    return Shift(evaluator_of(cell, trial.seed, out, paid), cell, paid)


def rows_there(
    measured: Sequence[tuple[Shift, TrainedAgent, Mapping[str, Sequence[float]]]],
    abouts: Sequence[Mapping[str, Any]],
) -> list[list[dict[str, Any]]]:
    """The rows of each trained agent where it was not trained: ``NAME_shifted`` of every metric.

    Args:
        measured: Where, of whom, and its exact values there at earlier evaluations late in
            training, by metric.
        abouts: What is said of each.
    """
    if not measured:
        return []
    asked = [
        Asked(shift.evaluator, shift.policy(agent.policy), (THERE,), followed)
        for shift, agent, followed in measured
    ]
    found = rows_each(asked, measured[0][0].cell.episodes, abouts)
    return [
        [_named(row) for row in rows if _tells(row, shift)]
        for (shift, *_), rows in zip(measured, found, strict=True)
    ]


def _tells(row: Mapping[str, Any], shift: Shift) -> bool:
    """True unless a row is of a reward that means nothing there, or says that there is none."""
    metric = row["metric"]
    return metric != ABSENT_ROW["metric"] and (shift.paid or metric not in OF_REWARD)


def _named(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, "metric": f"{row['metric']}{SHIFTED}"}
