"""Trials made again: some of a study's trials, trained and evaluated anew from its study file."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow.dataset import field

from powerseek.errors import reason_of
from powerseek.experiments import layout
from powerseek.experiments.report.archive import archived_rows, read_at
from powerseek.experiments.results.files import (
    DiskFull,
    StoreError,
    read_column,
    read_table,
    reason,
)
from powerseek.experiments.results.oracles import oracle_names
from powerseek.experiments.results.origin import origin_of
from powerseek.experiments.results.schema import COLUMNS, SCHEMA
from powerseek.experiments.results.side_tables import curve_path, curve_table
from powerseek.experiments.results.store import Store
from powerseek.experiments.study.grid import Trial
from powerseek.experiments.study.preregistration import read_registration
from powerseek.experiments.sweep.shared import nothing_shared
from powerseek.experiments.sweep.trial import run_trial
from powerseek.experiments.verify.agreement import (
    IDENTICAL,
    OTHER,
    ROUNDED,
    ROUNDING,
    Agreement,
    arrays_agreement,
    curves_agreement,
    rows_agreement,
)
from powerseek.experiments.verify.checks import DIFFERS, OK, SHOWN, Check, few

NEVER = float("inf")


def sample_trials(trials: Sequence[Trial], sample: int, seed: int) -> list[Trial]:
    """Some trials, drawn at random and spread over cells: one of each cell before two of any.

    Cells of agents that are trained come first, references last.

    Args:
        trials: Those to choose from.
        sample: How many; all where there are fewer.
        seed: Of the draw.
    """
    rng = np.random.default_rng(seed)
    cells: dict[str, list[Trial]] = {}
    for trial in trials:
        cells.setdefault(trial.cell.key, []).append(trial)
    drawn = [[own[i] for i in rng.permutation(len(own))] for own in cells.values()]
    drawn = [drawn[i] for i in rng.permutation(len(drawn))]
    drawn.sort(key=lambda own: own[0].cell.is_reference)
    rounds = chain.from_iterable(zip_longest(*drawn))
    return [trial for trial in rounds if trial is not None][:sample]


def check_again(
    store: Store, chosen: Sequence[Trial], folder: Path, watch: Callable[[str], None]
) -> Iterator[Check]:
    """Train and evaluate trials again, each alone, and hold their rows against those kept.

    Args:
        store: The results; nothing is written there.
        chosen: The trials.
        folder: Where what they make goes.
        watch: Is told what begins, in a line.
    """
    for i, trial in enumerate(chosen):
        name = f"{trial.cell.world} {trial.cell.label()} seed {trial.seed}"
        watch(f"trial {i + 1} of {len(chosen)}, {trial.cell.timesteps:,} steps: {name}")
        yield _again(store, trial, folder, name)
    if chosen and not store.archive:
        yield _exact(store, chosen, folder)


def _again(store: Store, trial: Trial, folder: Path, name: str) -> Check:
    name = f"again: {name}"
    try:
        kept = _kept(store, trial)
        with nothing_shared():
            # It is never gone on with.
            rows = run_trial(trial, folder, checkpoint_seconds=NEVER)
        known = read_column(store.results, SCHEMA, "metric")
        newer = sorted({*rows["metric"]} - {*known})
        rows = rows[rows["metric"].isin(known)]
        table = pa.Table.from_pandas(rows[list(COLUMNS)], SCHEMA, preserve_index=False)
        made = _Made(table, curve_table(curve_path(folder, trial)))
        if store.archive:
            made = _as_archived(store, made, kept)
    except DiskFull:
        raise
    except StoreError as error:
        return Check(name, DIFFERS, str(error))
    except Exception as error:  # a plugin may raise anything
        return Check(name, DIFFERS, f"it cannot be made here: {reason_of(error)}")
    curve = Agreement(OTHER, apart="it is not there")
    if kept.curve is not None and made.curve is not None:
        curve = curves_agreement(kept.curve, made.curve)
    which = " that the archive keeps" if store.archive else ""
    found = {
        f"{kept.rows.num_rows} rows{which}": rows_agreement(kept.rows, made.rows),
        "learning curve": curve,
    }
    words = [f"{what} {agreement_text(one)}" for what, one in found.items()]
    if newer:
        words.append(f"{len(newer)} metrics that the results do not have left out ({few(newer)})")
    said = {one.word for one in found.values()}
    if said != {IDENTICAL}:
        words.append(f"within rounding would be {ROUNDING:g} at most, relative above 1")
        words += _elsewhere(store, trial)
    return Check(name, DIFFERS if OTHER in said else OK, "; ".join(words))


class _Made(NamedTuple):
    """Rows and learning curve of one trial; None where there is no curve."""

    rows: pa.Table
    curve: pa.Table | None


def _kept(store: Store, trial: Trial) -> _Made:
    path = curve_path(store.out, trial)
    if not store.archive:
        rows = read_table(store.path(trial), SCHEMA)
        return _Made(rows, curve_table(path) if path.exists() else None)
    own = field("trial") == trial.key
    path = layout.table(store.out, "curves")
    curve = curve_table(path, store.checksummed).filter(own) if path.exists() else None
    if curve is not None:  # the merged table says what no trial's own does
        curve = curve.drop_columns(["world", "seed"])
    return _Made(read_table(store.results, SCHEMA).filter(own), curve)


def _as_archived(store: Store, made: _Made, kept: _Made) -> _Made:
    """What an archive would keep of a trial."""
    rows = archived_rows(made.rows, read_at(read_registration(store.out)))
    if made.curve is None or kept.curve is None:
        return _Made(rows, made.curve)
    columns = {
        # Of a trial that lacks a column which others have nothing is known there.
        one.name: made.curve.column(one.name)
        if one.name in made.curve.column_names
        else pa.nulls(len(made.curve), one.type)
        for one in kept.curve.schema
    }
    return _Made(rows, pa.table(columns))


def agreement_text(found: Agreement) -> str:
    """``identical``; or what differs, and by how much at most."""
    words = [found.word]
    if found.apart:
        words.append(found.apart)
    if found.greatest:
        sizes = sorted(found.greatest.items(), key=lambda one: -one[1])
        more = f" and {len(sizes) - SHOWN} more" if len(sizes) > SHOWN else ""
        told = ", ".join(f"{metric} {size:.2g}" for metric, size in sizes[:SHOWN])
        words.append(f"greatest differences {told}{more}")
    return words[0] if len(words) == 1 else f"{words[0]} ({'; '.join(words[1:])})"


def _elsewhere(store: Store, trial: Trial) -> list[str]:
    """Where and by what it was made, if not by what runs here: rounding differs between these."""
    held, here = store.origin(trial), origin_of(trial.cell)
    parts = ("processor", "torch", "numpy", "numba", "powerseek", "revision")
    other = [
        f"{part} {held.get(part)} (here {here.get(part)})"
        for part in parts
        if held.get(part) != here.get(part)
    ]
    return [f"made with {', '.join(other)}: repeat it there"] if other else []


def _exact(store: Store, chosen: Sequence[Trial], folder: Path) -> Check:
    """The exact numbers that these trials need, computed anew."""
    paths = dict.fromkeys(name for trial in chosen for name in oracle_names(trial.cell))
    found = {name: _arrays_agree(store.out / name, folder / name) for name in paths}
    wrong = [f"{n}: {agreement_text(one)}" for n, one in found.items() if one.word == OTHER]
    if wrong:
        return Check("exact numbers", DIFFERS, few(wrong))
    word = ROUNDED if any(one.word == ROUNDED for one in found.values()) else IDENTICAL
    return Check("exact numbers", OK, f"{len(found)} files computed again: {word}")


def _arrays_agree(kept: Path, made: Path) -> Agreement:
    if not kept.exists() or not made.exists():
        apart = "" if kept.exists() == made.exists() else "it is not there"
        return Agreement(OTHER if apart else IDENTICAL, apart=apart)
    try:
        held, here = (_arrays(path) for path in (kept, made))
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        return Agreement(OTHER, apart=f"it cannot be read: {reason(error)}")
    return arrays_agreement(held, here)


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a file, all but the fingerprint of the rules, which has a check of its own."""
    with np.load(path, allow_pickle=False) as held:
        return {name: held[name] for name in held.files if name != "rules"}
