"""Finished studies that are compared, and what differs in their configuration."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from powerseek.errors import InvalidInput
from powerseek.experiments import layout
from powerseek.experiments.analysis.cells import cell_records
from powerseek.experiments.analysis.view import View
from powerseek.experiments.results.files import folder_of, is_elsewhere, without_passwords
from powerseek.experiments.results.provenance import read_provenance
from powerseek.experiments.results.remote import store_at
from powerseek.experiments.results.store import Store
from powerseek.experiments.results.table import json_column
from powerseek.experiments.study.factors import FACTORS, PREFIX, factor_columns, written_level

STUDY_KEYS = ("competence", "episodes", "evaluations")
"""Keys of a study that are no factor, and yet decide what its numbers are."""
Values = dict[str, tuple[str, ...]]
"""What is set, by name: all values that it has, as a user writes them."""


@dataclass(frozen=True)
class Run:
    """One finished study.

    Attributes:
        name: What it is called here: the end of its path, as much as tells it from the others.
        store: Its results.
        view: The same, read.
    """

    name: str
    store: Store
    view: View

    @cached_property
    def study(self) -> str:
        """The study's own name."""
        return str(self.view.results.every["study"].iloc[0])

    @cached_property
    def every(self) -> list[dict[str, Any]]:
        """Its trained trials, as rows of what they are."""
        return cell_records(self.view.trained.every)

    @cached_property
    def cells(self) -> dict[str, NDArray[np.object_]]:
        """The factors of each cell of the summary, as written, by column."""
        table = self.view.summary
        return {name: table[name].map(written_level).to_numpy(object) for name in self.view.keys}

    @cached_property
    def configuration(self) -> Values:
        """All that was set, and by what it was run."""
        found: dict[str, dict[str, None]] = {}

        def note(name: str, value: object) -> None:
            found.setdefault(name, {})[written_level(value)] = None

        for row in _distinct(self.every):
            for name, value in levels_of_row(row).items():
                # A parameter is its world's own: another's of that name is something else.
                owner = f"{row['world']}." if name.startswith(PREFIX["world"]) else ""
                note(f"{owner}{name.removeprefix(PREFIX['world'])}", value)
        seeds = sorted({int(row["seed"]) for row in self.every})
        note("seeds", _seeds_text(seeds))
        held = self.store.manifest()
        for key in STUDY_KEYS:
            note(key, _plain(held.get("content", {}).get(key)))
        last: Mapping[str, Any] = (read_provenance(self.store.out).get("runs") or [{}])[-1]
        note("powerseek", held.get("powerseek"))
        note("revision", last.get("revision"))
        for name, number in last.get("versions", {}).items():
            if name != "powerseek":
                note(name, number)
        note("processor", last.get("machine", {}).get("processor"))
        return {name: tuple(values) for name, values in found.items()}

    @cached_property
    def constants(self) -> dict[str, dict[str, str]]:
        """Of each world, the factors that have one value in all its trials, as written."""
        levels: dict[str, dict[str, set[str]]] = {}
        for row in _distinct(self.every):
            here = levels.setdefault(str(row["world"]), {})
            for name, value in levels_of_row(row).items():
                here.setdefault(name, set()).add(written_level(value))
        return {
            world: {name: min(values) for name, values in here.items() if len(values) == 1}
            for world, here in levels.items()
        }


def _distinct(rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """One row of each treatment."""
    seen = set()
    for row in rows:
        key = tuple(str(v) for n, v in row.items() if n not in ("seed", "trial", "status", "study"))
        if key not in seen:
            seen.add(key)
            yield row


def levels_of_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """The level of every factor of a trial, by column; its world and that's version besides."""
    own = {factor.column: row.get(factor.column) for factor in FACTORS}
    told = {name: None if value != value else value for name, value in own.items()}
    return {
        "world": row["world"],
        "version": row["version"],
        **told,
        **dict(factor_columns(json_column(row["params"]), "world", told)),
        **dict(factor_columns(json_column(row["settings"]), "agent", told)),
    }


def _plain(value: object) -> str | None:
    if isinstance(value, list):
        return ", ".join(written_level(each) for each in value)
    return None if value is None else written_level(value)


def _seeds_text(seeds: Sequence[int]) -> str:
    """``0 to 15 (16)``; or all of them, where some between are missing."""
    if len(seeds) > 1 and seeds[-1] - seeds[0] == len(seeds) - 1:
        return f"{seeds[0]} to {seeds[-1]} ({len(seeds)})"
    return f"{', '.join(map(str, seeds))} ({len(seeds)})"


def open_runs(given: Sequence[str | Path]) -> list[Run]:
    """Open finished studies.

    Args:
        given: Results directories, or addresses of such elsewhere; two or more.

    Raises:
        InvalidInput: Fewer than two, the same twice, or no finished study.
        StoreError: Of another format, or damaged.
    """
    if len(given) < 2:
        one = str(given[0]) if given else ""
        raise InvalidInput("RUN", one, "two results directories or more", "Name another one.")
    stores = [store_at(run, "RUN") for run in given]
    for store, run in zip(stores, given, strict=True):
        if sum(other.address == store.address for other in stores) > 1:
            raise InvalidInput("RUN", str(run), "different results directories", "Name it once.")
    return [
        _opened(name, store, str(run))
        for name, store, run in zip(run_names(given), stores, given, strict=True)
    ]


def _opened(name: str, store: Store, given: str) -> Run:
    with store.naming():
        store.fetch()
        return _read(name, store, given)


def _read(name: str, store: Store, given: str) -> Run:
    if not store.manifest():
        allowed = f"a results directory of a sweep (it would hold {layout.MANIFEST})"
        raise InvalidInput("RUN", given, allowed)
    if not store.results.is_file():
        hint = f"To merge what has ended: powerseek report {given}"
        raise InvalidInput("RUN", given, f"a directory that holds {layout.RESULTS}", hint)
    try:
        view = View.read(store.out)
    except InvalidInput as error:
        raise InvalidInput("RUN", given, error.allowed, error.hint) from None
    if view.results.empty:
        raise InvalidInput("RUN", given, "a study of which a trial has finished")
    return Run(name, store, view)


def run_names(given: Sequence[str | Path]) -> list[str]:
    """The end of each path, with as many folders before it as tell all of them apart."""
    whole = [
        without_passwords(str(path)) if is_elsewhere(path) else str(folder_of(path, "RUN"))
        for path in given
    ]
    parts = [[part for part in path.split("/") if part] for path in map(os.path.normpath, whole)]
    for depth in range(1, max(map(len, parts), default=0) + 1):
        names = ["/".join(own[-depth:]) or "/" for own in parts]
        if len({*names}) == len(names):
            return names
    return whole


def differences(runs: Sequence[Run]) -> dict[str, list[str]]:
    """What is not the same in all runs, by name: the values of each, "-" where it has none.

    What only one run knows (a parameter of a world that the others do not hold) is left out: that
    the world is another is told.
    """
    names = dict.fromkeys(name for run in runs for name in run.configuration)
    told = {name: [run.configuration.get(name, ()) for run in runs] for name in names}
    return {
        name: [", ".join(own) or "-" for own in values]
        for name, values in told.items()
        if sum(map(bool, values)) > 1 and len({frozenset(own) for own in values if own}) > 1
    }


def overlaps(runs: Sequence[Run]) -> list[str]:
    """Which runs share trials, a line a pair: the same training runs are one evidence, not two."""
    lines = []
    for first, second in combinations(runs, 2):
        shared = sorted(set(first.view.trials["trial"]) & set(second.view.trials["trial"]))
        if shared:
            equal = _same_numbers(first.view.trials, second.view.trials, shared)
            how = "with the same numbers" if equal else "with other numbers"
            lines.append(
                f"{first.name} and {second.name} share {len(shared)} trials (the same "
                f"configuration and seed), {how}: they are not independent of each other."
            )
    return lines


def _same_numbers(first: pd.DataFrame, second: pd.DataFrame, shared: Sequence[str]) -> bool:
    names = [str(n) for n in first if n in second and first[n].dtype == np.float64]
    a, b = (table.set_index("trial")[names].loc[[*shared]].to_numpy() for table in (first, second))
    return bool(((a == b) | (np.isnan(a) & np.isnan(b))).all())
