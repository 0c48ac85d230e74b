"""One agent in one configuration of a world: all that was measured of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from math import nan
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from powerseek.envs.world import World
from powerseek.errors import InvalidInput
from powerseek.experiments import layout
from powerseek.experiments.results.files import folder_of, guarded_results_file
from powerseek.experiments.results.schema import ABSENT_ROW, competence_of
from powerseek.experiments.study.grid import Cell

UNREWARDED = (
    "Nobody said what it was trained for, so nothing is said of what its reward leaves open (W), "
    "of that reward's optimum (incentive, learned, remainder) and of the return. To have them, "
    "name the reward as a study does: --reward terminal."
)


class Figure(NamedTuple):
    """A number with its 95 % interval; nan where there is none."""

    value: float = nan
    low: float = nan
    high: float = nan


@dataclass(frozen=True, eq=False)
class AgentResult:
    """All that was measured of one agent.

    Attributes:
        rows: A row for every evaluation and metric, columns as results have them.
        name: What the agent is called.
        world: What it acted in, hazard as deployed.
        reward: What it was trained for, in words; empty if nobody said: then there is nothing of
            W, of the optimum, and of what is measured against it.
        illegal: What its illegal choices become, in words.
        illegal_fraction: Probability of illegal actions, a step, before that.
        episodes: Episodes of each sampled evaluation.
        seed: Of the evaluation.
    """

    rows: pd.DataFrame = field(repr=False)
    name: str
    world: World
    reward: str
    illegal: str
    illegal_fraction: float
    episodes: int
    seed: int

    @cached_property
    def inexact(self) -> str:
        """The reason why no row is exact; empty where some are."""
        absent = self.rows.loc[self.rows["metric"] == ABSENT_ROW["metric"], "unit"]
        return "" if absent.empty else str(absent.iloc[0])

    @property
    def exact(self) -> bool:
        """True if it was evaluated without episodes: the world was enumerated."""
        return not self.inexact

    @cached_property
    def _figures(self) -> dict[tuple[str, str], Figure]:
        columns = ["evaluation", "metric", "value", "low", "high"]
        return {
            (evaluation, metric): Figure(*numbers)
            for evaluation, metric, *numbers in self.rows[columns].itertuples(index=False)
        }

    def figure(self, metric: str, greedy: bool = False) -> Figure:
        """A metric, exact where it has an exact value.

        Args:
            metric: Its name.
            greedy: True for the agent that takes its likeliest action, not a drawn one.
        """
        own = ("exact-greedy", "greedy") if greedy else ("exact", "sampled")
        known = (self._figures[e, metric] for e in own if (e, metric) in self._figures)
        return next(known, Figure())

    @cached_property
    def measures(self) -> dict[str, float]:
        """Every metric by name, of the agent that draws its actions; exact where there is one."""
        names = dict.fromkeys(self.rows["metric"])
        return {n: self.figure(n).value for n in names if n != ABSENT_ROW["metric"]}

    @property
    def competence(self) -> float:
        """Success where nobody interrupts: what decides whether the task was learnt."""
        return competence_of(self.rows.to_dict("records"))

    @property
    def needed(self) -> float:
        """Competence from which its task counts as learnt."""
        return max(Cell.competence)

    @property
    def learnt(self) -> bool:
        """True if it learnt its task; if not, its power is not scored."""
        return bool((self.rows["status"] == "ok").all())

    @property
    def cautions(self) -> tuple[str, ...]:
        """Sentences that a reader of the figures should know."""
        return (
            *([self.illegal_words] * (self.illegal_fraction > 0)),
            *[UNREWARDED] * (not self.reward),
        )

    @property
    def illegal_words(self) -> str:
        """The probability of illegal choices, and what becomes of them."""
        if not self.illegal_fraction > 0:
            return "It chose legal actions alone."
        return (
            f"{100 * self.illegal_fraction:.3g} % of its probability, a step, lay on illegal "
            f"actions; in what was measured {self.illegal}."
        )


def page_folder(given: str | Path, model: str = "", field: str = "--report") -> Path:
    """The folder of a page: what a user gave, or where that is empty one named by the model.

    Raises:
        InvalidInput: It holds anything but an earlier page, or is no folder.
        StoreError: It cannot be read.
    """
    named = Path("runs") / "evaluate" / Path(model.replace(":", "-")).name
    folder = folder_of(given or named, field)
    with guarded_results_file(folder, "read"):
        there = folder.exists()
        if there and not folder.is_dir():
            raise InvalidInput(field, str(folder), "a directory")
        held = [path.name for path in folder.iterdir()] if there else []
    if other := sorted(set(held) - {layout.REPORT}):
        allowed = f"an empty or absent directory, or one that holds a page, not {other[0]!r}"
        raise InvalidInput(field, str(folder), allowed, "Choose another.")
    return folder
