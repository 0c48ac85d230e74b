"""Checks that what a results directory holds is whole, of this version and of one study.

Whether what was drawn is of what lies there is told by content, never by time or presence.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from powerseek import __version__
from powerseek.experiments import layout
from powerseek.experiments.checksums import Count, Record, results_fingerprint, unchecked_record
from powerseek.experiments.results.files import (
    StoreError,
    check_table,
    names,
    read_column,
    read_record,
    read_table,
    write_json,
)
from powerseek.experiments.results.schema import SCHEMA
from powerseek.experiments.study.grid import content_hash

FORMAT = 2
"""Of the files in a results directory; another one is never read. Raised when they change."""


class Damaged(StoreError):
    """A file that can be written anew from what lies beside it."""


class _Origin(Record):
    origin: dict[str, str]
    trials: list[str]


class _Archive(Record):
    """Shape of what an archive says of itself: see `archive_record`."""

    rows: Count
    left_out: Count
    made_of: str
    powerseek: str
    files: dict[str, str]
    origins: list[_Origin]


class _Manifest(Record):
    format: Count
    study: str
    identity: str
    seeds: Count
    content: dict[str, Any]
    powerseek: str = ""
    checksums: bool = False
    archive: _Archive | None = None


def archive_record(out: Path) -> dict[str, Any]:
    """What an archive (`report.archive`) says of itself; empty of a run, which has trials' files.

    ``rows`` it holds, ``left_out`` of its run's, ``made_of`` (digest of the run's results) and by
    which version (``powerseek``), ``files`` (digests of its own), and ``origins``: the ``origin``
    that each of some ``trials`` has.
    """
    with (
        contextlib.suppress(FileNotFoundError, NotADirectoryError),
        os.scandir(out / layout.ROWS) as files,
    ):
        if any(files):
            return {}
    held = unchecked_record(out / layout.MANIFEST).get("archive")
    return held if isinstance(held, dict) else {}


def made_anew(out: Path) -> str:
    """How a damaged table of a results directory is made again."""
    if archive_record(out):
        return "This is an archive: put back a sound copy, or export it again from its run"
    return f"To have it made anew: powerseek report {out}"


def read_manifest(out: Path) -> dict[str, Any]:
    """Read the manifest of a results directory; empty where there is none.

    Raises:
        StoreError: It is there, and damaged or of another version.
    """
    path = out / layout.MANIFEST
    check_format(out)
    held = unchecked_record(path)
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
        held = unchecked_record(path)
        raise _other_format(path, held, held.get("format", 1))


def _other_format(path: Path, held: Mapping[str, Any], form: object) -> StoreError:
    version = held.get("powerseek", "(it does not say which)")
    return StoreError(
        f"{path}: results of format {form}, written by powerseek {version}; this version reads "
        f"format {FORMAT}. Read them with that version, or run the study anew in another --out."
    )


def check_trials(folder: Path, keys: Collection[str], required: bool) -> set[str]:
    """The trials whose rows lie in `folder`, each file seen to be a whole table of results.

    Args:
        folder: Where each trial's rows lie.
        keys: The study's trials.
        required: Whether all were written with a checksum.

    Raises:
        StoreError: One is cut short, edited, of another version, or of no trial of the study.
    """
    kept = names(folder, ".parquet")
    strange = sorted(kept.difference(keys))
    if strange:
        for stem in strange:
            check_table(folder / f"{stem}.parquet", SCHEMA)
        more = f" and {len(strange) - 1} more" if len(strange) > 1 else ""
        raise StoreError(
            f"{folder / strange[0]}.parquet{more}: of no trial of this study. Another study's "
            "files were put here, or another version of powerseek wrote them. Move them away, or "
            "use that version."
        )
    for stem in sorted(kept):
        if not check_table(folder / f"{stem}.parquet", SCHEMA, required):
            raise StoreError(f"{folder / stem}.parquet: {_EMPTY}")
    return kept


def read_trial(path: Path, study: str, required: bool) -> pa.Table:
    """The rows of the trial that the file is named after; arguments as of `check_trials`.

    Raises:
        StoreError: Not a table of results, or rows of something else.
    """
    table = read_table(path, SCHEMA, required)
    if not table.num_rows:
        raise StoreError(f"{path}: {_EMPTY}")
    for name, expected in (("trial", path.stem), ("study", study)):
        for value in table.column(name).unique().to_pylist():
            if value != expected:
                raise StoreError(f"{path}: holds rows of another {name} ({value!r}). {_AWAY}")
    return table


_AWAY = "Move it away and run the sweep again with --resume."
_EMPTY = f"holds no row. {_AWAY}"


def check_results(path: Path, keys: Collection[str], kept: Collection[str]) -> None:
    """Refuse to replace merged rows that could not be made again.

    Args:
        path: The merged table; one that is damaged is made again, so it is let pass.
        keys: The study's trials.
        kept: Trials whose own file is there.

    Raises:
        StoreError: It holds rows that are nowhere else.
    """
    try:
        merged = set(read_column(path, SCHEMA, "trial"))
    except StoreError:
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


def study_differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """In which keys two studies differ, in words."""
    keys = [key for key in now if before.get(key) != now[key]]
    return f"different: {', '.join(keys)}" if keys else "of another version"


class _Drawn(Record):
    """Digest of what was drawn from, and of each file that was made, by its path."""

    sources: str
    files: dict[str, str]


def sources(out: Path) -> str:
    """Digest of all that a report is made from, and of the version that makes it."""
    single = (layout.RESULTS, layout.STUDY, layout.REGISTRATION, layout.PROVENANCE)
    folders = (layout.ORACLES, layout.CURVES, layout.REPLAYS)
    paths = [*single, *(f"{folder}/{n}" for folder in folders for n in sorted(names(out / folder)))]
    return content_hash([__version__, {path: results_fingerprint(out / path) for path in paths}])


def is_drawn(out: Path, made_of: str) -> bool:
    """True if the report, its tables and its pictures are those of these `sources`."""
    try:
        held = read_record(out / layout.DRAWN, _Drawn)
    except StoreError:
        return False
    return held == {**held, "sources": made_of, "files": _files(out)}


def drawn_differences(out: Path) -> list[str]:
    """In what the pages, pictures and tables are not those that were drawn; empty where in nothing.

    Returns:
        A text a file that was changed, is gone or was added, and one where what they were drawn
        from has changed since.
    """
    try:
        held = read_record(out / layout.DRAWN, _Drawn)
    except StoreError as error:
        return [str(error)]
    if not held:
        return [f"{layout.DRAWN} is not there"]
    now, was = _files(out), held["files"]
    wrong = [
        f"{name} {'was changed since' if now.get(name) else 'is gone'}"
        for name in {**was, **now}
        if was.get(name, "") != now.get(name, "")
    ]
    stale = held["sources"] != sources(out)
    return wrong + ["what they were drawn from has changed since, or the version"] * stale


def note_drawn(out: Path, made_of: str) -> None:
    """Keep what was drawn, and from which `sources`.

    Raises:
        DiskFull: No space is left.
        StoreError: Not writable.
    """
    write_json(out / layout.DRAWN, {"sources": made_of, "files": _files(out)})


def _files(out: Path) -> dict[str, str]:
    tables = (f"{layout.INTERNALS}/{name}.parquet" for name in ("curves", "frontiers"))
    figures = (f"{layout.FIGURES}/{name}" for name in sorted(names(out / layout.FIGURES)))
    made = (layout.REPORT, layout.SUMMARY, layout.TRIALS, *tables, *figures)
    return {name: results_fingerprint(out / name) for name in made}
