"""A study's results in every form that is needed, each computed once."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from pathlib import Path

import pandas as pd

from powerseek.agents.spec import agent_id
from powerseek.errors import InvalidInput
from powerseek.experiments.analysis.budgets import Crossings
from powerseek.experiments.analysis.contrasts import contrasts
from powerseek.experiments.analysis.findings.finding import Finding
from powerseek.experiments.analysis.findings.hypotheses import findings
from powerseek.experiments.analysis.summary import summarise
from powerseek.experiments.results.integrity import check_format
from powerseek.experiments.results.origin import named_trials, read_mixed
from powerseek.experiments.results.schema import broken_words
from powerseek.experiments.results.side_tables import read_side_table
from powerseek.experiments.results.table import (
    Results,
    learning_trials,
    long_table,
    measures_of,
    read_long,
    results_factors,
    results_with_factors,
    reward_places,
    trials,
)
from powerseek.experiments.statistics.verdicts import units_in_words
from powerseek.experiments.study.arms import Places, unseen_timing
from powerseek.experiments.study.factors import PREFIX, goes_along, varying_factors
from powerseek.experiments.study.preregistration import Registration, read_registration
from powerseek.metrics import Metric, known_metric

SINCE = ("beyond", "free", "need_end")
"""Figures of every enumerated world with something to acquire that older versions lack."""


class View:
    """One study as the terminal, the pictures, the page and the summary show it.

    Args:
        results: As written by a sweep; in memory, or from `cells.read_long`.
        folder: Directory of the study, for what lies beside the results: its registration,
            frontiers, curves. Without one there are none.

    Attributes:
        results: All of them, in the form in which `cells.trials` and the like read them.
        trained: Those of agents that learn; all of them where none does.
        references: Those of the agents that do not learn, in a study that has both.

    Raises:
        InvalidInput: Columns are missing.
    """

    def __init__(self, results: Results, folder: Path | str | None = None) -> None:
        self.results = long_table(results)
        self.folder = None if folder is None else Path(folder)
        self.trained, self.references = learning_trials(self.results)

    @classmethod
    def read(cls, folder: Path | str) -> View:
        """The study in a directory, its results read by columns as they are asked for.

        Raises:
            InvalidInput: There are no results, they cannot be read, or columns are missing.
            StoreError: They are of another format.
        """
        check_format(Path(folder))
        return cls(read_long(folder), folder)

    @property
    def units(self) -> str:
        """Seeds of a setting at most, in words; on how many layouts where on several."""
        seeds = self.trained.every["seed"].nunique()
        nested = seeds >= self.summary["seeds"].max() and self.summary["layouts"].max() > 1
        return units_in_words(seeds, int(self.summary["layouts"].max()) if nested else 0)

    @cached_property
    def keys(self) -> list[str]:
        """Columns that make a cell of the trained agents."""
        return results_factors(self.trained)

    @cached_property
    def unsaid(self) -> dict[str, set[str]]:
        """By world, what the name of a setting need not say: what another factor tells.

        See `goes_along`; and settings of agents that are the same all over the world.
        """
        own = [name for name in self.keys if name.startswith(PREFIX["agent"])]
        found = {}
        for world, here in self.summary.groupby("world", sort=False):
            along = goes_along(here, varied := varying_factors(here, self.keys))
            found[str(world)] = {*along, *(name for name in own if name not in varied)}
        return found

    @cached_property
    def places(self) -> Places:
        """Places of the rewards on the factors of rewards, by label."""
        return reward_places(self.results)

    @cached_property
    def asked(self) -> tuple[Metric, ...]:
        """Metrics beside those that every table shows: of hypotheses, and plugins' with rows."""
        try:
            said = () if self.registration is None else self.registration.claims
        except InvalidInput:  # told where its verdicts would stand
            said = ()
        names = [claim.hypothesis.compared for claim in said]
        names += [name for name in measures_of(self.trained) if not known_metric(name).ours]
        known = set(self.trained.metrics)
        metrics = (known_metric(name) for name in dict.fromkeys(names) if name in known)
        return tuple(metric for metric in metrics if not metric.column)

    @cached_property
    def trials(self) -> pd.DataFrame:
        """One row a finished trial of the trained agents; see `cells.trials`."""
        return trials(self.trained)

    @cached_property
    def summary(self) -> pd.DataFrame:
        """One row a cell of the trained agents; see `table.summarise`."""
        return summarise(self.trained)

    @cached_property
    def inexact(self) -> tuple[str, ...]:
        """Trained agents that were not evaluated exactly, and why: a line a world and reason."""
        every = self.trained.every
        counts = Counter(
            (world, self.trained.inexact[trial])
            for world, trial in zip(every["world"], every["trial"], strict=True)
            if trial in self.trained.inexact
        )
        lines = [
            f"{world}: {count} agent{'s' * (count != 1)} evaluated by sampled episodes alone: {why}"
            for (world, why), count in counts.items()
        ]
        known = self.trained.metrics
        lacking = [name for name in SINCE if name not in known]
        if "acquired" in known and len(counts) < every["world"].nunique() and lacking:
            lines.append(
                f"These results were made by an older version, which did not measure "
                f"{', '.join(lacking)}: to have them, run the sweep again into a new folder"
            )
        return tuple(lines)

    @cached_property
    def foot(self) -> tuple[str, ...]:
        """What a reader of its tables must know of its agents, a line each."""
        every = self.trained.every[["agent", "reward", "gamma"]].drop_duplicates()
        seen = (
            (agent_id(agent), reward, gamma)
            for agent, reward, gamma in every.itertuples(index=False, name=None)
        )
        alike = (words for _, _, words in unseen_timing(seen, self.places))
        return (*self.inexact, *alike)

    @cached_property
    def mixed(self) -> tuple[str, ...]:
        """Trials made by other code or machines than the most, a line each."""
        return () if self.folder is None else read_mixed(self.folder)

    @cached_property
    def broken(self) -> dict[str, str]:
        """What is said of each metric of a plugin or script that failed, by its id."""
        total = len(self.results.every)
        return {
            id: broken_words(id, why, named_trials(keys, total))
            for id, (why, keys) in self.results.broken.items()
        }

    @cached_property
    def registration(self) -> Registration | None:
        """The registration made before the first trial; None without a folder or a registration.

        Raises:
            InvalidInput: It cannot be read.
        """
        return None if self.folder is None else read_registration(self.folder)

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """Findings about each registered hypothesis, from the trained agents' results.

        Raises:
            InvalidInput: The registration cannot be read.
        """
        claims = () if self.registration is None else self.registration.claims
        if not claims:
            return ()
        return tuple(findings(self.trained, claims, curves=self.table("curves")))

    @cached_property
    def crossings(self) -> Crossings:
        """When the trained agents reached each level of competence."""
        return Crossings(self.trained, self.table("curves"))

    @cached_property
    def compared(self) -> pd.DataFrame:
        """One row a comparison; see `contrasts.contrasts`."""
        return contrasts(self.trained)

    def table(self, name: str) -> pd.DataFrame | None:
        """A table beside the results (``frontiers``, ``curves``), None where there is none."""
        table = None if self.folder is None else read_side_table(self.folder, name)
        return None if table is None else results_with_factors(table)
