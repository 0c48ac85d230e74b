"""Checks that what a results directory holds is whole, of this version and of one study."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from powerseek.experiments import layout
from powerseek.experiments.checksums import Count, Record, unchecked
from powerseek.experiments.results.files import (
    StoreError,
    check_table,
    names,
    read_column,
    read_record,
    read_table,
)

FORMAT = 2
"""Of the files in a results directory; another one is never read. Raised when they change."""


class Damaged(StoreError):
    """A file that can be written anew from what lies beside it."""


class _Manifest(Record):
    format: Count
    study: str
    identity: str
    seeds: Count
    content: dict[str, Any]
    powerseek: str = ""
    checksums: bool = False


def read_manifest(out: Path) -> dict[str, Any]:
    """Read the manifest of a results directory; empty where there is none.

    Raises:
        StoreError: It is there, and damaged or of another version.
    """
    path = out / layout.MANIFEST
    check_format(out)
    held = unchecked(path)
    if type(held.get("format")) is int and held["format"] != FORMAT:
        raise _other_format(path, held, held["format"])
    try:
        return read_record(path, _Manifest)
    except StoreError as error:
        anew = f"powerseek sweep {out / layout.STUDY} --out {out} --resume"
        raise Damaged(f"{error}. To have it written anew: {anew}") from None


def check_format(out: Path) -> None:
    """Refuse a results directory of format 1: its files lie elsewhere, so it would seem empty.

    Raises:
        StoreError: It is one; which version wrote it, and what to do.
    """
    path = out / layout.OLDER_MANIFEST
    if path.is_file() and not (out / layout.MANIFEST).is_file():
        held = unchecked(path)
        raise _other_format(path, held, held.get("format", 1))


def _other_format(path: Path, held: Mapping[str, Any], form: object) -> StoreError:
    version = held.get("powerseek", "(it does not say which)")
    return StoreError(
        f"{path}: results of format {form}, written by powerseek {version}; this version reads "
        f"format {FORMAT}. Read them with that version, or run the study anew in another --out."
    )


def check_trials(
    folder: Path, keys: Collection[str], schema: pa.Schema, required: bool
) -> set[str]:
    """The trials whose rows lie in `folder`, each file seen to be a whole table of results.

    Args:
        folder: Where each trial's rows lie.
        keys: The study's trials.
        schema: Of results.
        required: Whether all were written with a checksum.

    Raises:
        StoreError: One is cut short, of another version, or belongs to no trial of the study.
    """
    found = names(folder, ".parquet")
    strange = sorted(found.difference(keys))
    if strange:
        for stem in strange:
            check_table(folder / f"{stem}.parquet", schema)
        more = f" and {len(strange) - 1} more" if len(strange) > 1 else ""
        raise StoreError(
            f"{folder / strange[0]}.parquet{more}: of no trial of this study. Another study's "
            "files were put here, or another version of powerseek wrote them. Move them away, or "
            "use that version."
        )
    for stem in sorted(found):
        if not check_table(folder / f"{stem}.parquet", schema, required):
            raise StoreError(f"{folder / stem}.parquet: {_EMPTY}")
    return found


def read_trial(path: Path, schema: pa.Schema, study: str, required: bool) -> pa.Table:
    """The rows of the trial that the file is named after; arguments as of `check_trials`.

    Raises:
        StoreError: Not a table of results, or rows of something else.
    """
    table = read_table(path, schema, required)
    if not table.num_rows:
        raise StoreError(f"{path}: {_EMPTY}")
    for name, expected in (("trial", path.stem), ("study", study)):
        found = table.column(name).unique().to_pylist()
        if found != [expected]:
            other = next(value for value in found if value != expected)
            raise StoreError(f"{path}: holds rows of another {name} ({other!r}). {_AWAY}")
    return table


_AWAY = "Move it away and run the sweep again with --resume."
_EMPTY = f"holds no row. {_AWAY}"


def check_results(
    path: Path, keys: Collection[str], kept: Collection[str], schema: pa.Schema
) -> None:
    """Refuse to replace merged rows that could not be made again.

    Args:
        path: The merged table; one that is damaged is made again, so it is let pass.
        keys: The study's trials.
        kept: Trials whose own file is there.
        schema: Of results.

    Raises:
        StoreError: It holds rows that are nowhere else.
    """
    merged = merged_trials(path, schema)
    if merged is None:
        return
    if merged.difference(keys):
        raise StoreError(
            f"{path}: holds rows of trials that are not in this study. Move it away: it is made "
            "again from the files of the trials."
        )
    lost = merged.difference(kept)
    if lost:
        raise StoreError(
            f"{path}: holds {len(lost)} trial{'s' * (len(lost) > 1)} whose own file is gone from "
            f"{path.parent / layout.ROWS} ({min(lost)}). Put back what is gone, or have it run "
            f"again with --resume, or move {path.name} away to report on the rest."
        )


def merged_trials(path: Path, schema: pa.Schema) -> set[str] | None:
    """The trials in the merged table; None where there is none that can be read."""
    try:
        return set(read_column(path, schema, "trial"))
    except StoreError:
        return None


def different(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """In which keys two studies differ, in words."""
    keys = [key for key in now if before.get(key) != now[key]]
    return f"different: {', '.join(keys)}" if keys else "of another version"
